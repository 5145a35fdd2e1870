# SPDX-License-Identifier: Apache-2.0
"""Rates are what their sources say: hand-computed vectors, scikit-learn, SciPy and slow plain code agree."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binomtest
from sklearn.metrics import det_curve, roc_auc_score, roc_curve
from tests.evaluation.synthetic import synthetic

from custodes.domain import Float32
from custodes.errors import Invalid
from custodes.evaluation.metrics import (
    at_rate,
    carried,
    clopper_pearson,
    det,
    equal_error_rate,
    false_match_rate,
    false_non_match_rate,
    percentiles,
    rate,
    tenfold,
    threshold_at,
    threshold_score,
)
from custodes.evaluation.results import Interval, Rate
from custodes.evaluation.scored import FAILED, Bool, Int32

NON_MATED, MATED = [0.1, 0.2, 0.2, 0.5], [0.2, 0.5, 0.5, 0.8, FAILED]


def _vectors(mated: list[float], non_mated: list[float]) -> tuple[Float32, Bool]:
    return np.array(mated + non_mated, np.float32), np.arange(len(mated) + len(non_mated)) < len(mated)


@pytest.mark.parametrize(
    ("threshold", "fmr", "fnmr"),
    [(0.0, 1.0, 0.2), (0.15, 0.75, 0.2), (0.2, 0.75, 0.2), (0.21, 0.25, 0.4), (0.5, 0.25, 0.4), (0.6, 0.0, 0.8)],
)
def test_rates_by_hand(threshold: float, fmr: float, fnmr: float) -> None:
    """A score at the threshold matches, and a failed mated comparison is a false non-match."""
    scores, mated = _vectors(MATED, NON_MATED)
    assert false_match_rate(scores, mated, threshold) == fmr
    assert false_non_match_rate(scores, mated, threshold) == fnmr


def test_failures_stay_in_the_denominator_of_false_matches() -> None:
    """A failed non-mated comparison is a trial and no false match."""
    scores, mated = _vectors([0.9], [0.5, FAILED, FAILED, FAILED])
    assert false_match_rate(scores, mated, 0.5) == 0.25


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.7, 0.4265, 1 / 3])
def test_thresholds_are_compared_exactly(threshold: float) -> None:
    """A float32 that is less than the threshold by its last bits doesn't reach it, as in float64."""
    near = np.float32(threshold)
    scores = np.array([np.nextafter(near, np.float32(-1)), near, np.nextafter(near, np.float32(1))])
    reached = scores >= threshold_score(threshold)
    assert reached.tolist() == [float(s) >= threshold for s in scores]


def test_trade_off_by_hand() -> None:
    """There is one point for each distinct score, equal ones together, and none for a failure."""
    scores, mated = _vectors(MATED, NON_MATED)
    found = det(scores, mated)
    assert found.thresholds.tolist() == np.float32([0.1, 0.2, 0.5, 0.8]).tolist()
    assert found.false_match.tolist() == [1.0, 0.75, 0.25, 0.0]
    assert found.false_non_match.tolist() == [0.2, 0.2, 0.4, 0.8]


@pytest.mark.parametrize("decimals", [1, 2, 6])
def test_trade_off_is_scikit_learns(decimals: int) -> None:
    """FMR is its false positive rate, 1 - FNMR its true positive rate, and areas under the curve agree, ties or not."""
    data = synthetic(decimals=decimals)
    found = det(data.scores, data.mated)
    fpr, tpr, thresholds = roc_curve(data.mated, data.scores, drop_intermediate=False)
    assert found.thresholds[::-1].tolist() == thresholds[1:].tolist()
    np.testing.assert_allclose(found.false_match[::-1], fpr[1:], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.false_non_match[::-1], 1 - tpr[1:], rtol=0, atol=1e-12)
    area = np.trapezoid([0.0, *(1 - found.false_non_match[::-1])], [0.0, *found.false_match[::-1]])
    assert area == pytest.approx(roc_auc_score(data.mated, data.scores), abs=1e-12)
    for fmr, fnmr, threshold in zip(*det_curve(data.mated, data.scores), strict=True):
        if np.isfinite(threshold):
            assert false_match_rate(data.scores, data.mated, threshold) == pytest.approx(fmr, abs=1e-12)
            assert false_non_match_rate(data.scores, data.mated, threshold) == pytest.approx(fnmr, abs=1e-12)


_SCORE = st.sampled_from([FAILED, *np.linspace(-0.5, 1, 16).tolist()])


@given(st.lists(_SCORE, min_size=1, max_size=30), st.lists(_SCORE, min_size=1, max_size=30), st.floats(0, 1))
@settings(max_examples=150, deadline=None)
def test_threshold_is_the_least_that_keeps_the_rate(mated: list[float], non_mated: list[float], fmr: float) -> None:
    """No lower score keeps FMR, the threshold does; where no score does it is just above the highest non-mated."""
    scores, is_mated = _vectors(mated, non_mated)
    threshold = threshold_at(scores, is_mated, fmr)
    seen = np.unique(scores[np.isfinite(scores)])
    keeping = [float(s) for s in seen if false_match_rate(scores, is_mated, float(s)) <= fmr]
    if keeping:
        assert threshold == keeping[0]
    elif len(seen):
        assert threshold == np.nextafter(scores[~is_mated].max(), np.float32(np.inf))
    else:
        assert threshold == -1.0
    assert false_match_rate(scores, is_mated, threshold) <= fmr


def test_threshold_at_exact_shares() -> None:
    """Three false matches of 3,000 are an FMR of 1e-3, whatever the rounding."""
    for target in (1e-2, 1e-3, 1e-4):
        non_mated = np.arange(round(3 / target), dtype=np.float32) / 1e6
        scores, mated = np.append(non_mated, np.float32(1)), np.append(np.zeros(len(non_mated), bool), True)
        assert threshold_at(scores, mated, target) == non_mated[-3]


@pytest.mark.parametrize(
    ("mated", "non_mated", "expected"),
    [
        ([0.8, 0.9], [0.1, 0.2], 0.0),
        ([0.4, 0.8], [0.2, 0.6], 0.5),  # a point of the curve
        ([0.3, 0.8, 0.9], [0.1, 0.5], 1 / 3),  # from (1/2, 1/3) straight down to (0, 1/3)
        ([0.5, 0.9, 0.9], [0.1, 0.5], 0.2),  # 3/5 of the way from (1/2, 0) to (0, 1/3)
        ([FAILED, FAILED, 0.9], [0.1, FAILED, FAILED], None),
        ([0.1, 0.2], [0.8, 0.9], 1.0),
    ],
)
def test_equal_error_by_hand(mated: list[float], non_mated: list[float], expected: float | None) -> None:
    """The rates meet at a point of the curve, or on the line between its neighbours, or not at all."""
    found = equal_error_rate(*_vectors(mated, non_mated))
    assert found == (expected if expected is None else pytest.approx(expected, abs=1e-12))


def _plain_accuracy(scores: Float32, mated: Bool, folds: Int32) -> list[float]:
    """Do as ``bench.vision`` does: try every score of the other folds."""
    rights = []
    for fold in np.unique(folds):
        own = folds == fold
        candidates = np.unique(scores[~own])
        accuracy = [((scores[~own] >= t) == mated[~own]).mean() for t in candidates]
        threshold = candidates[int(np.argmax(accuracy))]
        rights.append(float(((scores[own] >= threshold) == mated[own]).mean()))
    return rights


@pytest.mark.parametrize("decimals", [1, 2, 6])
@pytest.mark.parametrize("folds", [2, 3, 10])
def test_accuracy_by_folds_is_that_of_plain_code(decimals: int, folds: int) -> None:
    """The quick way finds the thresholds that trying all of them finds, ties and all; the error is LFW's."""
    data = synthetic(mated=150, non_mated=150, decimals=decimals)
    of = (np.arange(len(data)) % folds).astype(np.int32)
    found, plain = tenfold(data.scores, data.mated, of), _plain_accuracy(data.scores, data.mated, of)
    np.testing.assert_allclose(found.folds, plain, rtol=0, atol=1e-12)
    assert found.mean == pytest.approx(np.mean(plain), abs=1e-12)
    mean = sum(plain) / folds
    spread = math.sqrt(sum((p - mean) ** 2 for p in plain) / (folds - 1))
    assert found.error == pytest.approx(spread / math.sqrt(folds), abs=1e-12)


def test_failures_are_errors_of_accuracy() -> None:
    """A failed comparison is wrong even if it is non-mated, and has no say in the threshold."""
    scores = np.array([0.1, 0.9, FAILED, FAILED] * 2, np.float32)
    mated = np.array([False, True, False, True] * 2)
    found = tenfold(scores, mated, np.repeat(np.int32([0, 1]), 4))
    assert found.folds == (0.5, 0.5)
    assert found.threshold == pytest.approx(np.float32(0.9))


def test_accuracy_needs_two_folds_with_scores() -> None:
    """One fold, or none but failures outside of one, is refused."""
    scores, mated = np.array([0.1, 0.9], np.float32), np.array([False, True])
    with pytest.raises(Invalid, match="two of them"):
        tenfold(scores, mated, np.int32([3, 3]))
    with pytest.raises(Invalid, match="outside fold 0"):
        tenfold(np.array([0.1, FAILED], np.float32), mated, np.int32([0, 1]))


def test_clopper_pearson_is_scipys() -> None:
    """Both ends agree with SciPy's to 1e-9, from one trial to ten million, with few errors, many, and all."""
    random = np.random.default_rng(1)
    cases = [(0, 1), (1, 1), (1, 2), (0, 10**6), (5, 10**6), (500_000, 10**6), (10**6 - 3, 10**6), (30, 10**7)]
    for trials in (10 ** random.uniform(0, 7, 150)).astype(int).tolist():
        cases += [(int(random.integers(0, trials + 1)), trials), (min(trials, int(random.integers(0, 12))), trials)]
    for events, trials in cases:
        found = clopper_pearson(events, trials)
        plain = binomtest(events, trials).proportion_ci(0.95, "exact")
        assert found.low == pytest.approx(plain.low, abs=1e-9), (events, trials)
        assert found.high == pytest.approx(plain.high, abs=1e-9), (events, trials)
        if events:
            assert found.low == pytest.approx(beta.ppf(0.025, events, trials - events + 1), rel=1e-7)


@pytest.mark.parametrize(("events", "trials"), [(0, 0), (-1, 5), (6, 5)])
def test_clopper_pearson_refuses_what_is_no_share(events: int, trials: int) -> None:
    """Events are some of some trials."""
    with pytest.raises(Invalid):
        clopper_pearson(events, trials)


def test_rule_of_three_and_of_thirty() -> None:
    """Below 3/f trials there is no figure, below 30/f a rough one; the note says how many are needed."""
    assert carried(1e-5, 299_999, "pairs") == (
        False,
        "not enough data: a rate of 1e-05 needs at least 300,000 pairs, there are 299,999",
    )
    assert carried(1e-5, 300_000, "pairs") == (
        True,
        "rough: fewer than 30 false matches are expected (rule of 30)",
    )
    assert carried(1e-5, 3_000_000, "pairs") == (True, "")
    assert [carried(f, round(3 / f), "")[0] for f in (1e-2, 1e-3, 1e-4)] == [True] * 3


def test_misses_at_a_rate() -> None:
    """The figure is FNMR at the threshold that keeps FMR, and there is none where the data can't carry it."""
    data = synthetic(mated=100, non_mated=3000)
    found, lacking = at_rate(data.scores, data.mated, 1e-3), at_rate(data.scores, data.mated, 1e-4)
    assert found.cosine == threshold_at(data.scores, data.mated, 1e-3)
    assert found.misses.value == false_non_match_rate(data.scores, data.mated, found.cosine)
    assert found.misses.note.startswith("rough")
    assert (lacking.cosine, lacking.misses.value, lacking.misses.trials) == (None, None, 100)
    assert "needs at least 30,000 non-mated comparisons, there are 3,000" in lacking.misses.note


def test_a_rate_without_trials_has_no_value() -> None:
    """Nothing of nothing is not 0."""
    assert rate(0, 0, of="photos") == Rate(0, 0, None, None, "no photos")


def test_an_interval_of_few_errors_reaches_as_far_as_the_exact_one() -> None:
    """A bootstrap of no errors says 0 to 0; so few errors, or so few others, take Clopper and Pearson's as well."""
    none = rate(0, 50, np.zeros(100)).interval
    assert none == Interval(0.0, clopper_pearson(0, 50).high)
    assert rate(50, 50, np.ones(100)).interval == Interval(clopper_pearson(50, 50).low, 1.0)
    wide = np.linspace(0, 1, 1001)
    assert rate(9, 50, wide).interval == Interval(pytest.approx(0.025), pytest.approx(0.975))
    assert rate(10, 50, np.full(100, 0.2)).interval == Interval(0.2, 0.2)
    assert rate(3, 50).interval == clopper_pearson(3, 50)


def test_rounds_without_trials_are_left_out_until_there_are_too_many() -> None:
    """With 5 % of empty rounds the interval is theirs, with more it is the exact one, and the note says so."""
    rounds = np.full(100, 0.5)
    rounds[:5] = np.nan
    assert rate(20, 40, rounds).interval == Interval(0.5, 0.5)
    rounds[:6] = np.nan
    found = rate(20, 40, rounds, of="mated comparisons", note="rough")
    assert (found.value, found.interval) == (0.5, clopper_pearson(20, 40))
    assert found.note == (
        "rough; the interval takes mated comparisons as independent, as 6 % of the bootstrap's rounds had none"
    )
    assert rate(0, 2, np.full(100, np.nan)).interval == clopper_pearson(0, 2)


def test_percentiles_are_numpys_and_finite() -> None:
    """Ends lie between neighbours as NumPy's; where the upper one is infinite there is no interval."""
    rounds = np.random.default_rng(1).random(1000)
    assert percentiles(rounds) == Interval(*np.percentile(rounds, [2.5, 97.5]))
    rounds[:24] = np.inf
    found = percentiles(rounds)
    assert found is not None
    assert np.isfinite(found.high)
    rounds[:25] = np.inf
    assert percentiles(rounds) is None
    assert percentiles(np.array([np.nan])) is None


@pytest.mark.parametrize(("mated", "kind"), [(True, "non-mated"), (False, "mated")])
def test_one_kind_alone_is_refused(mated: bool, kind: str) -> None:
    """There is no rate of comparisons that aren't there."""
    scores = np.array([0.5, 0.6], np.float32)
    with pytest.raises(Invalid, match=f"no {kind} comparison"):
        det(scores, np.array([mated, mated]))


def test_a_rate_outside_0_to_1_is_refused() -> None:
    """A false match rate to keep is a share."""
    with pytest.raises(Invalid, match=r"lies in 0\.\.1"):
        threshold_at(np.array([0.5], np.float32), np.array([False]), 1.5)
