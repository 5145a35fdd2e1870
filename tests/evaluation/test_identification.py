# SPDX-License-Identifier: Apache-2.0
"""One-to-many searches: FPIR, FNIR, ranks and their intervals, by hand, against scikit-learn, and where data lack."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from custodes.errors import Invalid
from custodes.evaluation.identification import identification
from custodes.evaluation.metrics import clopper_pearson, threshold_at
from custodes.evaluation.results import Enrolment, Identification, Rate, Settings
from custodes.evaluation.scored import FAILED, NOBODY, Searches
from custodes.evaluation.units import rate_by_units
from custodes.vision.manifest import Calibration, Knot

SCALE = Calibration((Knot(-1, 0), Knot(0.4, 80), Knot(0.6, 99), Knot(1, 100)), "a test")
NONE = Enrolment(Rate(0, 1, 0.0), 0, 0)
F, N = FAILED, NOBODY


def searches(rows: list[tuple[int, bool, list[tuple[int, float]]]], k: int = 3) -> Searches:
    """Searches from rows: who is searched for, whether they are there, and who was found with which score."""
    scores, found = np.full((len(rows), k), F, np.float32), np.full((len(rows), k), N, np.int32)
    for i, (_, _, candidates) in enumerate(rows):
        for j, (who, score) in enumerate(candidates):
            found[i, j], scores[i, j] = who, score
    probes = np.array([who for who, _, _ in rows], np.int32)
    return Searches(scores, found, probes, np.array([mated for _, mated, _ in rows], np.bool_))


def measured(
    made: Searches, rounds: int = 50, length: int = 3, subjects: int = 10, seed: int = 1, similarity: float = 80.0
) -> Identification:
    return identification(
        made,
        gallery_subjects=subjects,
        gallery_photos=2 * subjects,
        gallery_enrolment=NONE,
        probe_enrolment=NONE,
        scale=SCALE,
        settings=Settings(similarity, rounds=rounds, seed=seed),
        list_length=length,
    )


BY_HAND = [
    (0, True, [(0, 0.7), (1, 0.2), (2, 0.1)]),  # first, above the floor
    (1, True, [(5, 0.5), (1, 0.5), (2, 0.1)]),  # second, above the default
    (2, True, [(5, 0.3), (6, 0.2), (2, 0.1)]),  # third, below the default
    (3, True, [(5, 0.65), (6, 0.2), (2, 0.1)]),  # another above the floor: not on the list
    (4, True, []),  # the probe has no template
    (20, False, [(0, 0.61), (1, 0.2), (2, 0.1)]),  # above the floor
    (21, False, [(1, 0.4), (2, 0.2), (3, 0.1)]),  # at the default to the bit
    (22, False, [(1, 0.39), (2, 0.2), (3, 0.1)]),
    (23, False, []),  # no template: returns nobody
]


def test_rates_and_ranks_are_those_counted_by_hand() -> None:
    """FPIR counts searches with anybody at or above the threshold, FNIR those without the person; failures stay in."""
    made = searches(BY_HAND)
    made.scores[6, 0] = np.float32(0.4) if np.float32(0.4) >= 0.4 else np.nextafter(np.float32(0.4), np.float32(1))
    told = measured(made)
    assert (told.mated, told.non_mated, told.list_length) == (5, 4, 3)
    assert [(r.rank, r.hits.events, r.hits.trials) for r in told.ranks] == [(1, 1, 5), (2, 2, 5), (3, 3, 5)]
    assert [p.similarity for p in told.points] == [0.0, 80.0, 99.0]
    assert [p.cosine for p in told.points] == [-1.0, 0.4, 0.6]
    assert [(p.false_positive.events, p.false_positive.trials) for p in told.points] == [(3, 4), (2, 4), (1, 4)]
    assert [(p.false_negative.events, p.false_negative.trials) for p in told.points] == [(2, 5), (3, 5), (4, 5)]
    assert [p.found_of_1000 for p in told.points] == [750.0, 500.0, 250.0]
    for point in told.points:
        assert point.false_positive.interval is not None
        exact = clopper_pearson(point.false_positive.events, 4)
        assert point.false_positive.interval.low <= exact.low
        assert point.false_positive.interval.high >= exact.high


def test_the_threshold_that_is_asked_for_is_told() -> None:
    """A similarity that isn't among those in use has a point of its own, and changes nothing else."""
    made = searches(BY_HAND)
    usual, told = measured(made), measured(made, similarity=90.0)
    assert told.points[:3] == usual.points
    [own] = told.points[3:]
    assert (own.name, own.similarity) == ("the threshold of this evaluation, 90", 90.0)
    assert own.cosine == SCALE.cosine(90.0)
    assert (own.false_positive.events, own.false_negative.events) == (1, 4)
    assert own.false_negative.interval is not None
    assert measured(made, similarity=99.0).points == usual.points
    many = random_searches(7, 60, 60)
    usual, told = (measured(many, length=5, subjects=300, similarity=s) for s in (80.0, 90.0))
    assert (told.ranks, told.at_rates, told.curve) == (usual.ranks, usual.at_rates, usual.curve)


def test_ranks_go_as_far_as_the_list() -> None:
    """A list of one place has rank 1 alone, and whoever stands behind it is missed at every threshold."""
    told = measured(searches(BY_HAND), length=1)
    assert [r.rank for r in told.ranks] == [1]
    assert [p.false_negative.events for p in told.points] == [4, 4, 4]


def random_searches(seed: int, mated: int, others: int, k: int = 5) -> Searches:
    """Searches with plausible scores, each of another person."""
    generator, rows = np.random.default_rng(seed), []
    for i in range(mated + others):
        who = i if i < mated else 10_000 + i
        scores = sorted(np.round(generator.normal(0.2, 0.15, k), 2).clip(-0.9, 0.9).tolist(), reverse=True)
        names = (20_000 + generator.permutation(100)[:k]).tolist()
        if i < mated:
            names[int(generator.integers(0, 2))] = who
            scores[0] = float(np.clip(generator.normal(0.5, 0.15), scores[0], 0.95))
        rows.append((who, i < mated, list(zip(names, scores, strict=True))))
    return searches(rows, k)


def test_the_curve_is_that_of_scikit_learn() -> None:
    """FPIR and FNIR at every threshold are sklearn's rates of the deciding scores."""
    made = random_searches(3, 60, 80)
    told = measured(made, length=5, subjects=300)
    own = np.where(made.found == made.probes[:, None], made.scores, -2).max(axis=1)[made.mated]
    best = made.scores[~made.mated, 0]
    fpr, tpr, thresholds = roc_curve(np.repeat([1, 0], [60, 80]), np.concatenate([own, best]), drop_intermediate=False)
    at = {float(t): (f, 1 - r) for t, f, r in zip(thresholds, fpr, tpr, strict=True)}
    curve = told.curve
    assert len(curve.thresholds) == len(at) - 1  # all but sklearn's own infinite one
    for i, threshold in enumerate(curve.thresholds):
        assert (curve.false_positives[i], curve.misses[i]) == pytest.approx(at[threshold], abs=1e-12)
        assert 0 <= curve.low[i] <= curve.misses[i] <= curve.high[i] <= 1
    assert list(curve.thresholds) == sorted(curve.thresholds)
    assert list(curve.misses) == sorted(curve.misses)
    assert list(curve.false_positives) == sorted(curve.false_positives, reverse=True)


def test_a_long_curve_is_cut_to_200_points() -> None:
    """However many scores there are, the curve stays short and keeps both ends."""
    made = random_searches(4, 400, 400)
    made.scores[:, 0] += np.linspace(0, 0.001, 800, dtype=np.float32)
    curve = measured(made, rounds=20, length=5, subjects=600).curve
    assert 100 < len(curve.thresholds) <= 200
    assert curve.false_positives[-1] <= 1 / 400
    assert curve.misses[0] == 0.0


@given(st.integers(0, 10_000), st.integers(30, 60), st.integers(3, 12))
@settings(max_examples=15, deadline=None)
def test_fnir_at_an_fpir_is_at_the_least_threshold_that_keeps_it(seed: int, others: int, mated: int) -> None:
    """At the threshold told the FPIR is kept, and at the next lower score it isn't."""
    made = random_searches(seed, mated, others)
    found = measured(made, rounds=10, length=5).at_rates[0]
    best = made.scores[~made.mated, 0].astype(np.float64)
    own = np.where(made.found == made.probes[:, None], made.scores, F).max(axis=1)[made.mated].astype(np.float64)
    assert found.target == 0.1
    assert found.cosine is not None
    assert (best >= found.cosine).mean() <= 0.1
    lower = [s for s in np.concatenate([best, own]) if s < found.cosine]
    assert not lower or (best >= max(lower)).mean() > 0.1
    assert found.misses.value == (own < found.cosine).mean()


def test_rules_of_3_and_30() -> None:
    """An FPIR of 1e-1 needs 30 non-mated searches and is rough below 300; what isn't carried has no value."""
    told = measured(random_searches(1, 5, 29), length=5).at_rates
    assert [r.misses.value for r in told] == [None, None, None]
    assert told[0].cosine is None
    assert "needs at least 30 non-mated searches, there are 29" in told[0].misses.note
    assert told[0].misses.trials == 5
    tenth, hundredth, _ = measured(random_searches(1, 5, 30), length=5).at_rates
    assert tenth.misses.value is not None
    assert "rule of 30" in tenth.misses.note
    assert "needs at least 300" in hundredth.misses.note
    assert measured(random_searches(1, 5, 300), length=5).at_rates[0].misses.note == ""


def test_a_closed_set_has_no_fpir() -> None:
    """Without non-mated searches the share of false positives isn't 0 but missing, and so is the curve."""
    told = measured(searches([r for r in BY_HAND if r[1]]))
    for point in told.points:
        assert point.false_positive == Rate(0, 0, None, note="no search of people who aren't in the gallery was made")
        assert point.found_of_1000 is None
        assert point.false_negative.trials == 5
    assert "there are 0" in told.at_rates[0].misses.note
    assert told.curve.thresholds == ()
    assert told.ranks[0].hits.value == 0.2


def test_without_mated_searches_there_is_no_fnir() -> None:
    """Likewise the other way round; the threshold at an FPIR is still told."""
    told = measured(random_searches(1, 0, 40), length=5)
    assert {p.false_negative.value for p in told.points} == {None}
    assert {r.hits.note for r in told.ranks} == {"no search of people who are in the gallery was made"}
    assert told.points[0].false_positive.value == 1.0
    assert told.at_rates[0].cosine is not None
    assert told.at_rates[0].misses.value is None
    assert told.curve.thresholds == ()


def test_probes_without_templates_only() -> None:
    """Where every probe failed nobody is found, and nothing breaks."""
    told = measured(searches([(i, i < 5, []) for i in range(40)]))
    assert told.points[0].false_positive.value == 0.0
    assert told.points[0].false_negative.value == 1.0
    assert told.at_rates[0].misses.value == 1.0
    assert told.curve.thresholds == ()


def test_searches_of_one_person_go_wrong_together() -> None:
    """Fifty searches of each of twelve people make a wider interval than six hundred people would."""
    rows = [(who, True, [(who, 0.7 if who % 3 else 0.1)]) for who in range(12) for _ in range(50)]
    apart = [(i, True, candidates and [(i, candidates[0][1])]) for i, (_, _, candidates) in enumerate(rows)]
    together, spread = measured(searches(rows), rounds=300), measured(searches(apart), rounds=300)
    widths = []
    for told in (together, spread):
        found = told.points[1].false_negative
        assert found.value == pytest.approx(1 / 3)
        assert found.interval is not None
        widths.append(found.interval.high - found.interval.low)
    assert widths[0] > 4 * widths[1]


def test_intervals_are_those_of_searches_repeated_as_people_are_drawn() -> None:
    """Each round of the bootstrap comes to what its repeated searches come to, thresholds at an FPIR found anew."""
    made = random_searches(7, 90, 90)
    probes = np.concatenate([np.arange(90) % 30, 10_000 + np.arange(90) % 45]).astype(np.int32)
    found = np.where(made.found < 90, probes[:, None], made.found).astype(np.int32)
    told = measured(Searches(made.scores, found, probes, made.mated), rounds=40, length=5, subjects=300)
    own = np.where(found == probes[:, None], made.scores, F).max(axis=1)[:90].astype(np.float32)
    best = made.scores[90:, 0]
    names, whose = np.unique(probes, return_inverse=True)
    at_default, at_tenth, passed = [], [], []
    for seed in np.random.SeedSequence(1).spawn(40):
        weights = np.bincount(np.random.default_rng(seed).integers(0, len(names), len(names)), minlength=len(names))
        mine, theirs = np.repeat(own, weights[whose[:90]]), np.repeat(best, weights[whose[90:]])
        both, mated = np.concatenate([mine, theirs]), np.repeat([True, False], [len(mine), len(theirs)])
        at_default.append((mine.astype(float) < 0.4).mean())
        passed.append((theirs.astype(float) >= 0.4).mean())
        at_tenth.append((mine.astype(float) < threshold_at(both, mated, 0.1)).mean())
    for rate, rounds in (
        (told.points[1].false_negative, at_default),
        (told.points[1].false_positive, passed),
        (told.at_rates[0].misses, at_tenth),
    ):
        assert min(rate.events, rate.trials - rate.events) >= 10
        assert rate.interval is not None
        ends = np.quantile(rounds, [0.025, 0.975])
        assert (rate.interval.low, rate.interval.high) == pytest.approx(tuple(ends), abs=1e-12)


def test_few_people_have_no_narrow_interval() -> None:
    """A single person searched for a hundred times isn't told without doubt."""
    rows = [(0, True, [(0, 0.7 if i % 2 else 0.1)]) for i in range(100)]
    found = measured(searches(rows)).points[1].false_negative
    assert found.interval is not None
    exact = clopper_pearson(50, 100)
    assert (found.interval.low, found.interval.high) == (exact.low, exact.high)


def test_shares_of_units_that_most_rounds_miss_say_what_they_take_for_granted() -> None:
    """Where rounds have no trial the exact interval stands, for few units and for many, and the note says so."""
    rounds = np.full(100, np.nan)
    for units in (2, 20):
        found = rate_by_units(1, 40, rounds, units, of="mated searches", note="rough")
        assert found.interval == clopper_pearson(1, 40)
        assert found.note.startswith("rough; the interval takes mated searches as independent, as 100 % of")
    assert rate_by_units(0, 0, rounds, 2, of="mated searches") == Rate(0, 0, None, note="no mated searches")


def test_the_seed_decides() -> None:
    """The same seed gives the same evaluation, another one another interval."""
    made = random_searches(5, 40, 40)
    first, again, other = (measured(made, length=5, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


CONTRADICTIONS: dict[str, tuple[list[tuple[int, bool, list[tuple[int, float]]]], str]] = {
    "no searches": ([], "no searches"),
    "rising scores": ([(0, True, [(0, 0.1), (1, 0.2)])], "rise: number 0"),
    "found though not there": ([(0, True, []), (9, False, [(9, 0.5)])], "found them there: number 1"),
    "there and not there": ([(3, True, []), (3, False, [])], "not by another: number 0, 1"),
    "twice on a list": ([(0, True, [(1, 0.3), (1, 0.2)])], "twice among its candidates: number 0"),
    "candidate without a score": ([(0, True, [(1, F)])], "a score without a candidate, or none for one: number 0"),
    "nobody": ([(-1, True, [])], "of nobody: number 0"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_searches_that_contradict_themselves_are_refused(case: str) -> None:
    """The message names the searches."""
    rows, word = CONTRADICTIONS[case]
    with pytest.raises(Invalid, match=word):
        measured(searches(rows))


def test_a_gallery_of_nobody_is_refused() -> None:
    """There must be somebody to find, and a place to tell them in."""
    with pytest.raises(Invalid, match="at least one person"):
        measured(searches(BY_HAND), subjects=0)
    with pytest.raises(Invalid, match="at least one person"):
        measured(searches(BY_HAND), length=0)
