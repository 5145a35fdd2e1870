# SPDX-License-Identifier: Apache-2.0
"""Verification: every figure is the definition's, and what can't be told is said, never left out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from tests.evaluation import examples
from tests.evaluation.synthetic import ENROLMENT, SCALE, synthetic

from custodes.errors import Invalid
from custodes.evaluation.differentials import differential
from custodes.evaluation.metrics import (
    clopper_pearson,
    equal_error_rate,
    false_match_rate,
    false_non_match_rate,
    tenfold,
)
from custodes.evaluation.results import Dataset, Deployed, Evaluation, Rate, Settings, Verification, from_json, to_json
from custodes.evaluation.scored import FAILED, NOBODY, Comparisons, People
from custodes.evaluation.verification import AGE_GAPS, verification
from custodes.operations.gauging import verdict_of

SETTINGS = Settings(80.0, rounds=60, least_subjects=5)


@pytest.fixture(scope="module")
def data() -> Comparisons:
    return synthetic(60, 1000, 4000, groups=("x", "y"), failing=0.01, dated=True)


@pytest.fixture(scope="module")
def found(data: Comparisons) -> Verification:
    return verification(data, ENROLMENT, SCALE, SETTINGS)


def test_points_are_the_rates_at_thresholds_in_use(data: Comparisons, found: Verification) -> None:
    """FMR and FNMR at 80 and 99, with how many of how many, inside their intervals."""
    assert [(p.name, p.similarity, p.cosine) for p in found.points] == [
        ("the default, 80", 80.0, 0.4),
        ("the public-safety floor, 99", 99.0, 0.5),
    ]
    for point in found.points:
        assert point.false_match.value == false_match_rate(data.scores, data.mated, point.cosine)
        assert point.false_non_match.value == false_non_match_rate(data.scores, data.mated, point.cosine)
        assert (point.false_match.trials, point.false_non_match.trials) == (4000, 1000)
        for rate in (point.false_match, point.false_non_match):
            assert rate.interval is not None
            assert rate.interval.low < rate.value < rate.interval.high
    other = verification(data, ENROLMENT, SCALE, SETTINGS, points=[("all", 0.0)])
    assert other.points[0].false_match.events == int(np.isfinite(data.scores[~data.mated]).sum())


def test_misses_at_rates_go_as_far_as_the_data(data: Comparisons, found: Verification) -> None:
    """4,000 non-mated comparisons carry 1e-3, roughly, and no less; what isn't told says what it would take."""
    values = [(at.target, at.cosine is not None, at.misses.note[:6]) for at in found.at_rates]
    assert values == [(1e-2, True, ""), (1e-3, True, "rough:"), (1e-4, False, "not en"), (1e-5, False, "not en")]
    for at in found.at_rates[:2]:
        assert at.misses.value == false_non_match_rate(data.scores, data.mated, at.cosine)
        assert at.misses.interval is not None
        assert at.misses.interval.low <= at.misses.value <= at.misses.interval.high
    assert found.equal_error == equal_error_rate(data.scores, data.mated)


def test_curve_is_the_trade_off_with_a_band(data: Comparisons, found: Verification) -> None:
    """At most 200 thresholds, rising, from the lowest score to the highest, each with the definition's rates."""
    curve = found.curve
    assert 100 <= len(curve.thresholds) <= 200
    assert list(curve.thresholds) == sorted(set(curve.thresholds))
    seen = data.scores[np.isfinite(data.scores)]
    assert (curve.thresholds[0], curve.thresholds[-1]) == (float(seen.min()), float(seen.max()))
    for i in range(0, len(curve.thresholds), 10):
        assert curve.false_positives[i] == false_match_rate(data.scores, data.mated, curve.thresholds[i])
        assert curve.misses[i] == false_non_match_rate(data.scores, data.mated, curve.thresholds[i])
    assert all(a <= b <= c for a, b, c in zip(curve.low, curve.misses, curve.high, strict=True))
    counts = sorted({round(share * 4000) for share in curve.false_positives})
    assert counts[:4] == [0, 1, 2, 3]  # every step where steps are few
    highest = data.scores[~data.mated].max()
    assert curve.thresholds[curve.false_positives.index(0.0)] == seen[seen > highest].min()


def test_folds_give_accuracy(data: Comparisons, found: Verification) -> None:
    """Accuracy is LFW's where there are folds; comparisons without a fold are counted in the note."""
    assert data.folds is not None
    assert found.accuracy == tenfold(data.scores, data.mated, data.folds)
    some = np.where(np.arange(len(data)) < 30, NOBODY, data.folds).astype(np.int32)
    told = verification(replace(data, folds=some), ENROLMENT, SCALE, SETTINGS).accuracy
    assert told is not None
    assert told.note == "30 of 5,000 comparisons state no fold and aren't in it"
    for folds in (None, np.full(len(data), NOBODY, np.int32)):
        assert verification(replace(data, folds=folds), ENROLMENT, SCALE, SETTINGS).accuracy is None


def test_every_column_is_compared(data: Comparisons, found: Verification) -> None:
    """Differentials are those that are computed alone: all figures share the same rounds."""
    assert found.differentials == (differential(data, "group", SCALE, SETTINGS),)


def test_age_gaps_hold_those_whose_dates_are_known(data: Comparisons, found: Verification) -> None:
    """Each bin is FNMR of the mated comparisons in it; the first says how many have no date."""
    assert data.people.taken is not None
    assert [(g.least, g.most) for g in found.age_gaps] == list(zip(AGE_GAPS, (*AGE_GAPS[1:], None), strict=True))
    years = np.abs(np.subtract(*data.people.taken[data.photos].T))
    for gap in found.age_gaps:
        inside = data.mated & (years >= gap.least) & (years < (gap.most or 99))
        assert gap.false_non_match.trials == inside.sum()
        assert gap.false_non_match.events == (data.scores[inside] < 0.4).sum()
    assert sum(g.false_non_match.trials for g in found.age_gaps) == 1000
    taken = np.where(np.arange(240) % 4 == 0, np.nan, np.full(240, 2020.0))
    same = verification(replace(data, people=replace(data.people, taken=taken)), ENROLMENT, SCALE, SETTINGS).age_gaps
    unknown = int(np.isnan(taken[data.photos[data.mated]]).any(axis=1).sum())
    assert same[0].false_non_match.trials == 1000 - unknown
    note = f"{unknown:,} of 1,000 mated comparisons are in no row: a date isn't known"
    assert same[0].false_non_match.note == note
    assert same[1].false_non_match == Rate(0, 0, None, None, "no mated comparisons")


def test_threads_do_not_change_the_figures(data: Comparisons, found: Verification) -> None:
    """One thread and two come to the same evaluation."""
    assert verification(data, ENROLMENT, SCALE, SETTINGS, workers=1) == found


def test_figures_survive_being_written_down(found: Verification) -> None:
    """What is read back equals what was computed: no number is infinite or not a number."""
    deployed = Deployed("p", "1", (), "", "", "cpu", 1, "", "", "")
    made = Evaluation(datetime(2026, 11, 25, tzinfo=UTC), deployed, Dataset("", "", 240, 60), SETTINGS, found)
    assert from_json(to_json(made)) == made


def _tiny(mated: list[float], non_mated: list[float]) -> Comparisons:
    """Two people, one photo for each score on either side."""
    size = max(len(mated), len(non_mated))
    photos = [(i, (i + 1) % size) for i in range(len(mated))] + [(i, size + i) for i in range(len(non_mated))]
    return Comparisons(
        scores=np.array(mated + non_mated, np.float32),
        mated=np.arange(len(mated) + len(non_mated)) < len(mated),
        photos=np.array(photos, np.int32).reshape(-1, 2),
        people=People(np.repeat(np.int32([0, 1]), size), np.ones(2 * size, bool)),
    )


def test_no_error_is_never_told_as_certain() -> None:
    """With no error at all the intervals still have the width that so few comparisons allow."""
    found = verification(
        synthetic(30, 50, 50, seed=3), ENROLMENT, SCALE, SETTINGS, points=[("low", 0.0), ("high", 100.0)]
    )
    matches, misses = found.points[1].false_match, found.points[0].false_non_match
    assert (matches.events, misses.events) == (0, 0)
    assert matches.interval is not None
    assert matches.interval.high >= clopper_pearson(0, 50).high


def test_two_people_have_the_widest_of_intervals() -> None:
    """Half of the rounds draw one person twice: comparisons are taken as independent, and the note says so."""
    found = verification(_tiny([0.9, 0.3], [0.1, 0.5]), ENROLMENT, SCALE, SETTINGS)
    rate = found.points[0].false_match
    assert (rate.events, rate.trials, rate.interval) == (1, 2, clopper_pearson(1, 2))
    assert rate.note.startswith("the interval takes non-mated comparisons as independent, as ")
    assert all(high - low > 0.8 for low, high in zip(found.curve.low, found.curve.high, strict=True))


def test_little_data_looks_bad_to_the_rules() -> None:
    """Intervals of a few comparisons are wide, groups of too few people have not enough data: no gate opens by them."""
    for people, mated, non_mated in ((3, 6, 12), (6, 20, 40)):
        figures = verification(synthetic(people, mated, non_mated, groups=("a", "b")), ENROLMENT, SCALE, SETTINGS)
        verdict = verdict_of(examples.evaluation(figures))
        assert verdict is not None
        assert not verdict.enough
        assert verdict.false_match_ppm > 80_000
        assert verdict.false_non_match_ppm > 200_000


def test_failures_alone_leave_a_curve_without_points() -> None:
    """Where every comparison failed there is no score to draw, and every mated one is missed."""
    found = verification(_tiny([FAILED, FAILED], [FAILED, FAILED]), ENROLMENT, SCALE, SETTINGS)
    assert (found.curve.thresholds, found.equal_error) == ((), None)
    assert (found.points[0].false_match.value, found.points[0].false_non_match.value) == (0.0, 1.0)


def test_one_kind_alone_is_refused() -> None:
    """No mated, or no non-mated comparison: the message says what can't be told, and the remedy what to add."""
    with pytest.raises(Invalid, match="no mated comparison, so that no false non-match rate") as caught:
        verification(_tiny([], [0.1, 0.2]), ENROLMENT, SCALE, SETTINGS)
    assert caught.value.remedy == "Add pairs of two photos of one person."
    with pytest.raises(Invalid, match="no non-mated comparison, so that no false match rate") as caught:
        verification(_tiny([0.1, 0.2], []), ENROLMENT, SCALE, SETTINGS)
    assert caught.value.remedy == "Add pairs of photos of two people."


def test_comparisons_that_contradict_the_people_are_refused(data: Comparisons) -> None:
    """A non-mated comparison of one person, or a mated one of two, would spoil both rates."""
    wrong = data.mated.copy()
    wrong[np.flatnonzero(data.mated)[:3]] = False
    with pytest.raises(Invalid, match="3 non-mated comparisons are of one person"):
        verification(replace(data, mated=wrong), ENROLMENT, SCALE, SETTINGS)
    wrong = data.mated.copy()
    wrong[np.flatnonzero(~data.mated)[:2]] = True
    with pytest.raises(Invalid, match="2 mated ones aren't of one person"):
        verification(replace(data, mated=wrong), ENROLMENT, SCALE, SETTINGS)
