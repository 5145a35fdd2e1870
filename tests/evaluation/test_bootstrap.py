# SPDX-License-Identifier: Apache-2.0
"""The bootstrap draws people: equal to slow plain code to the last digits, whatever the threads, and honest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from tests.evaluation.synthetic import synthetic

from custodes.errors import Invalid
from custodes.evaluation import bootstrap
from custodes.evaluation.bootstrap import AtTargets, AtThresholds, Int64, Measure, Shares, Tally, resample
from custodes.evaluation.metrics import (
    false_match_rate,
    false_non_match_rate,
    percentiles,
    rate,
    threshold_at,
)
from custodes.evaluation.results import Settings
from custodes.evaluation.scored import FAILED, Comparisons

THRESHOLDS = (0.5, 0.3, 0.45, 0.3)
TARGETS = (0.2, 0.01, 0.05)


def _measures(data: Comparisons) -> list[Measure]:
    """Return FMR and FNMR at thresholds, FNMR at rates, and the share of each tenth of people that is matched."""
    pairs, of = data.subjects[~data.mated], data.subjects[data.mated, 0]
    impostors, genuine = data.scores[~data.mated], data.scores[data.mated]
    return [
        AtThresholds(pairs, impostors, THRESHOLDS, below=False),
        AtThresholds(of, genuine, THRESHOLDS, below=True),
        AtTargets(of, genuine, pairs, impostors, TARGETS),
        Shares(pairs, pairs.sum(axis=1) % 10, 10, impostors >= 0.3),
    ]


def _plainly(data: Comparisons, weights: Int64) -> list[list[float]]:
    """Do the same with every comparison written down as often as it was drawn, by the definitions alone."""
    first, second = data.subjects.T
    times = np.where(data.mated, weights[first], weights[first] * weights[second])
    scores, mated, tenth = (np.repeat(v, times) for v in (data.scores, data.mated, (first + second) % 10))
    cells = [scores[~mated & (tenth == i)] for i in range(10)]
    return [
        [false_match_rate(scores, mated, t) for t in THRESHOLDS],
        [false_non_match_rate(scores, mated, t) for t in THRESHOLDS],
        [false_non_match_rate(scores, mated, threshold_at(scores, mated, f)) for f in TARGETS],
        [float((c >= np.float32(0.3)).mean()) if len(c) else np.nan for c in cells],
    ]


@pytest.mark.parametrize("decimals", [1, 6])
def test_rounds_are_those_of_plain_code(decimals: int) -> None:
    """Each round's figures equal the definitions on the drawn comparisons to 1e-12, with ties and failures."""
    data, settings = synthetic(failing=0.03, decimals=decimals), Settings(80.0, rounds=40, seed=7)
    found = resample(40, _measures(data), settings)
    for i, seed in enumerate(np.random.SeedSequence(7).spawn(40)):
        weights = np.bincount(np.random.default_rng(seed).integers(0, 40, 40), minlength=40)
        for measured, expected in zip(found, _plainly(data, weights), strict=True):
            np.testing.assert_allclose(measured[i], expected, rtol=0, atol=1e-12)


def test_threads_do_not_change_the_result() -> None:
    """One, two and five threads give the same bits; another seed gives others."""
    data = synthetic()
    one, two, five = (resample(40, _measures(data), Settings(80.0, rounds=30), workers=w) for w in (1, 2, 5))
    other = resample(40, _measures(data), Settings(80.0, rounds=30, seed=2))
    for a, b, c, d in zip(one, two, five, other, strict=True):
        assert a.tobytes() == b.tobytes() == c.tobytes()
        assert a.tobytes() != d.tobytes()


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), max_size=40), st.lists(st.integers(0, 5), min_size=5, max_size=5))
@profile(max_examples=100, deadline=None)
def test_tally_counts_what_is_drawn(rows: list[tuple[int, int, int]], drawn: list[int]) -> None:
    """A cell holds the sum of its comparisons' weights, of pairs or of single people, also with none at all."""
    table, weights = np.array(rows, np.int32).reshape(-1, 3), np.array(drawn, np.int64)
    pairs, cells = table[:, :2], table[:, 2]
    both, one = np.zeros(5), np.zeros(5)
    for a, b, cell in rows:
        both[cell] += drawn[a] * drawn[b]
        one[cell] += drawn[a]
    assert Tally(pairs, cells, 5)(weights).tolist() == both.tolist()
    assert Tally(pairs[:, 0], cells, 5)(weights).tolist() == one.tolist()


def test_chunks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """People whose comparisons are cut in two by a chunk's end are counted as ever."""
    data, settings = synthetic(), Settings(80.0, rounds=5)
    whole = resample(40, _measures(data), settings)
    monkeypatch.setattr(bootstrap, "_CHUNK", 7)
    for a, b in zip(whole, resample(40, _measures(data), settings), strict=True):
        assert a.tobytes() == b.tobytes()


def test_thresholds_far_down_are_found() -> None:
    """Where the draw puts the threshold of an FMR far below where one would look first, it is found all the same."""
    scores = np.linspace(0.9, 0.1, 9000, dtype=np.float32)
    pairs = np.array([[0, 1]] * 8999 + [[2, 3]], np.int32)  # the lowest score is of the two people that are drawn
    found = AtTargets(np.int32([0, 0]), np.float32([0.05, 0.5]), pairs, scores, [0.01])(np.array([1, 0, 2, 2]))
    assert found.tolist() == [0.5]


def test_a_rate_that_is_kept_exactly_is_kept() -> None:
    """One false match of 100 is an FMR of 1e-2: the second highest score bars the way, not the highest."""
    scores = np.linspace(0.9, 0.1, 100, dtype=np.float32)
    mated = np.array([scores[0], scores[1], 0.05], np.float32)
    at = AtTargets(np.int32([0, 0, 0]), mated, np.array([[0, 1]] * 100, np.int32), scores, [0.01, 0.009])
    assert at(np.array([1, 1])).tolist() == [2 / 3, 1.0]


def test_rounds_without_a_trial_give_nothing() -> None:
    """A rate whose comparisons weren't drawn is NaN, and so is FNMR at an FMR without non-mated or mated ones."""
    pairs, impostors = np.array([[0, 1]], np.int32), np.float32([0.2])
    at = AtTargets(np.int32([2]), np.float32([0.9]), pairs, impostors, [0.5])
    share = Shares(pairs, np.array([0]), 2, np.array([True]))
    for weights, trials, misses in (([1, 1, 1], True, True), ([0, 2, 1], False, False), ([1, 2, 0], True, False)):
        assert np.isnan(share(np.array(weights))).tolist() == [not trials, True]
        assert np.isnan(at(np.array(weights))).tolist() == [not misses]


def test_failures_cannot_bar_the_way() -> None:
    """Where the non-mated comparisons that got a score keep the FMR, only failed mated comparisons are missed."""
    pairs, impostors = np.array([[0, 1]] * 4, np.int32), np.float32([0.2, FAILED, FAILED, FAILED])
    found = AtTargets(np.int32([0, 1]), np.float32([0.1, FAILED]), pairs, impostors, [0.3])(np.array([1, 1]))
    assert found.tolist() == [0.5]


def test_progress_is_told_of_each_round() -> None:
    """Whoever waits hears of every round, in order."""
    seen: list[tuple[str, int, int]] = []
    resample(40, _measures(synthetic()), Settings(80.0, rounds=3), progress=lambda *step: seen.append(step))
    assert seen == [("Bootstrap", 1, 3), ("Bootstrap", 2, 3), ("Bootstrap", 3, 3)]


@pytest.mark.parametrize(("people", "rounds"), [(0, 10), (10, 0)])
def test_nobody_to_draw_is_refused(people: int, rounds: int) -> None:
    """Without people, or rounds, there is no bootstrap."""
    with pytest.raises(Invalid, match="needs people and rounds"):
        resample(people, [], Settings(80.0, rounds=rounds))


def test_a_target_of_everything_is_refused() -> None:
    """An FMR of 1 sets no threshold."""
    with pytest.raises(Invalid, match="below 1"):
        AtTargets(np.int32([0]), np.float32([0.9]), np.array([[0, 1]], np.int32), np.float32([0.2]), [1.0])


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Of 60 samples of people with habits of their own, at least nine in ten have the true rates in their intervals.

    An interval of independent comparisons would not: it is compared with what comparisons drawn one by one give.
    """
    settings, trials, kept = Settings(80.0, rounds=200), 60, np.zeros(3)
    truth = synthetic(4000, 200_000, 200_000, seed=99)
    misses, matches = (measure(truth.scores, truth.mated, 0.45) for measure in (false_non_match_rate, false_match_rate))
    for trial in range(trials):
        data = synthetic(60, 600, 2000, seed=1000 + trial)
        pairs, of = data.subjects[~data.mated], data.subjects[data.mated, 0]
        missed, matched = data.scores[data.mated] < 0.45, data.scores[~data.mated] >= 0.45
        rounds = resample(
            60, [Shares(of, np.zeros(600, int), 1, missed), Shares(pairs, np.zeros(2000, int), 1, matched)], settings
        )
        naive = np.random.default_rng(trial).binomial(600, missed.mean(), 200) / 600
        told = [
            (rate(int(missed.sum()), 600, rounds[0][:, 0]).interval, misses),
            (rate(int(matched.sum()), 2000, rounds[1][:, 0]).interval, matches),
            (percentiles(naive), misses),
        ]
        kept += [found is not None and found.low <= true <= found.high for found, true in told]
    assert kept[0] >= 0.9 * trials
    assert kept[1] >= 0.9 * trials
    assert kept[2] < 0.8 * trials
