# SPDX-License-Identifier: Apache-2.0
"""Intervals that know of people: the bootstrap draws people, not comparisons.

Comparisons of one person go wrong together, so that comparisons drawn one by one would make for intervals that are too
narrow. In each round as many people as there are are drawn with replacement, w_s times each. A mated comparison of s
then counts w_s times, a non-mated one of s and t w_s * w_t times (the two-way or pigeonhole bootstrap: Owen 2007,
Annals of Applied Statistics 1; for people in biometrics Bolle, Ratha and Pankanti 2004, Computer Vision and Image
Understanding 93). Where comparisons have nothing in common it is too careful: it gives shares of non-mated ones up to
three times their variance.

An interval is that from the 2.5th to the 97.5th percentile of the rounds. Rounds in which a rate has no trials are left
out; if more than one in twenty is, people are too few to be drawn, and the interval is that of Clopper and Pearson,
which takes comparisons as independent; the note says so. Where fewer than ten trials went one way the rounds know too
little (of no errors at all they would say [0, 0]), and the interval reaches as far as that of Clopper and Pearson too.

All counts are whole numbers, and each round has a generator of its own, seeded from the one seed: what comes out
doesn't depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from custodes.domain import Float32
from custodes.errors import Invalid
from custodes.evaluation.enrolling import Progress, silent
from custodes.evaluation.metrics import Float64, threshold_score
from custodes.evaluation.results import Settings
from custodes.evaluation.scored import Bool, Int32

__all__ = ["AtTargets", "AtThresholds", "Int64", "Integers", "Measure", "Shares", "Tally", "resample"]

Int64 = npt.NDArray[np.int64]
Integers = npt.NDArray[np.integer]

Measure = Callable[[Int64], Float64]
"""From how often each person was drawn, ``(s,)``, to figures, ``(k,)``, the same ones in each round; NaN for none."""

_CHUNK = 1 << 17  # comparisons at a time, so that what is looked up stays near


def resample(
    people: int, measures: Sequence[Measure], settings: Settings, *, workers: int = 2, progress: Progress = silent
) -> list[Float64]:
    """Draw people, and measure, as often as the settings say.

    Args:
        people: how many there are, numbered from 0.
        measures: each is called in every round, from several threads at once.
        settings: for ``rounds`` and ``seed``.
        workers: threads.
        progress: told of rounds.

    Returns:
        For each measure its figures, ``(rounds, k)``.

    Raises:
        Invalid: if there is nobody to draw, or no round.
    """
    if people < 1 or settings.rounds < 1:
        raise Invalid(f"A bootstrap needs people and rounds, got {people} and {settings.rounds}.")

    def once(seed: np.random.SeedSequence) -> list[Float64]:
        drawn = np.random.default_rng(seed).integers(0, people, people)
        weights = np.bincount(drawn, minlength=people).astype(np.int64)
        return [measure(weights) for measure in measures]

    rounds: list[list[Float64]] = []
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for found in pool.map(once, np.random.SeedSequence(settings.seed).spawn(settings.rounds)):
            rounds.append(found)
            progress("Bootstrap", len(rounds), settings.rounds)
    return [np.array([found[i] for found in rounds]) for i in range(len(measures))]


class Tally:
    """How many comparisons fall into each cell when people are drawn.

    Comparisons of the same two people in one cell are counted once and for all, and those of one person in one cell lie
    together, so that a round looks up one weight for each pair and multiplies once for each person.

    Args:
        subjects: ``(n, 2)`` who is compared with whom, or ``(n,)`` of whom a mated comparison, or a photo, is.
        cells: ``(n,)`` the cell of each, 0..size-1.
        size: how many cells there are.
    """

    def __init__(self, subjects: Int32, cells: Integers, size: int) -> None:
        self._size = size
        two = subjects.ndim == 2
        people = int(subjects.max(initial=0)) + 1
        keys = cells.astype(np.int64) * people + (subjects[:, 0] if two else subjects)
        if two:
            keys = keys * people + subjects[:, 1]
        keys, repeats = np.unique(keys, return_counts=True)
        blocks = keys // people if two else keys  # one for each person in each cell
        cuts = np.arange(0, len(keys), _CHUNK)
        starts = np.union1d(_changes(blocks), cuts)  # a chunk ends where a block does
        self._seconds = (keys % people).astype(np.int32) if two else None
        self._often = bool((repeats > 1).any())
        self._repeats = repeats.astype(np.int32) if self._often or not two else np.empty(0, np.int32)
        ends = pairwise([*np.searchsorted(starts, cuts).tolist(), len(starts)])
        self._chunks = [(slice(a, a + _CHUNK), starts[i:j] - a) for a, (i, j) in zip(cuts.tolist(), ends, strict=True)]
        self._firsts = blocks[starts] % people
        of_cell = blocks[starts] // people
        self._edges = _changes(of_cell)
        self._filled = of_cell[self._edges]

    def __call__(self, weights: Int64) -> Float64:
        """Return ``(size,)`` how many there are in each cell."""
        counts = np.zeros(self._size)
        if len(self._firsts):
            blocks = self._repeats if self._seconds is None else self._looked_up(weights, self._seconds)
            counts[self._filled] = np.add.reduceat(weights[self._firsts] * blocks, self._edges)
        return counts

    def _looked_up(self, weights: Int64, seconds: Int32) -> Int64:
        """Return how often the second person of each block's pairs was drawn, summed."""
        sums = []
        for chunk, starts in self._chunks:
            drawn = weights.take(seconds[chunk])
            if self._often:
                drawn *= self._repeats[chunk]
            sums.append(np.add.reduceat(drawn, starts))
        return np.concatenate(sums)


class Shares:
    """The share of hits among the comparisons (or photos) of each cell.

    Args:
        subjects, cells, size: see :class:`Tally`.
        hits: ``(n,)`` which count.
    """

    def __init__(self, subjects: Int32, cells: Integers, size: int, hits: Bool) -> None:
        self._trials = Tally(subjects, cells, size)
        self._events = Tally(subjects[hits], cells[hits], size)

    def __call__(self, weights: Int64) -> Float64:
        """Return ``(size,)`` shares."""
        return _share(self._events(weights), self._trials(weights))


class AtThresholds:
    """The share of comparisons whose score reaches each threshold, or lies below it.

    Args:
        subjects: see :class:`Tally`.
        scores: ``(n,)`` float32.
        thresholds: in any order.
        below: count those below.
    """

    def __init__(self, subjects: Int32, scores: Float32, thresholds: Sequence[float], *, below: bool) -> None:
        marks, self._index = np.unique([threshold_score(t) for t in thresholds], return_inverse=True)
        self._tally = Tally(subjects, np.searchsorted(marks, scores, side="right"), len(marks) + 1)
        self._below = below

    def __call__(self, weights: Int64) -> Float64:
        """Return ``(k,)`` shares, one for each threshold."""
        passed = np.cumsum(self._tally(weights))  # how many lie below the first, the second, ..., and all
        counted = passed[:-1] if self._below else passed[-1] - passed[:-1]
        shares: Float64 = _share(counted, passed[-1])[self._index]
        return shares


class AtTargets:
    """FNMR where FMR is at most so much; the threshold is found anew in each round.

    Only the highest non-mated scores are looked at, as many as a round needs.

    Args:
        mated: ``(m,)`` of whom each mated comparison is.
        mated_scores: ``(m,)`` float32.
        pairs: ``(n, 2)`` who are compared in non-mated ones.
        pair_scores: ``(n,)`` float32.
        targets: FMRs.

    Raises:
        Invalid: if a target isn't below 1.
    """

    def __init__(
        self, mated: Int32, mated_scores: Float32, pairs: Int32, pair_scores: Float32, targets: Sequence[float]
    ) -> None:
        if any(target >= 1.0 for target in targets):
            raise Invalid(f"A false match rate to be kept is below 1, got {max(targets)}.")
        rising, falling = np.argsort(mated_scores), np.argsort(-pair_scores)
        self._mated, self._mated_scores = mated[rising], mated_scores[rising]
        self._pairs, self._pair_scores = pairs[falling], pair_scores[falling]
        self._all = Tally(pairs, np.zeros(len(pairs), np.int8), 1)
        self._targets = np.array(targets)

    def __call__(self, weights: Int64) -> Float64:
        """Return ``(k,)`` FNMRs, one for each target."""
        total, missed = self._all(weights)[0], np.cumsum(weights[self._mated])
        if not len(self._targets) or not total or not len(missed) or not missed[-1]:
            return np.full(len(self._targets), np.nan)
        # the first score at which FMR is above the target bars the way: what isn't above it is missed
        bars = self._pair_scores[np.searchsorted(self._top(weights, total), self._targets, side="right")]
        below = np.searchsorted(self._mated_scores, bars, side="right")
        misses: Float64 = np.append(0, missed)[below] / missed[-1]
        return misses

    def _top(self, weights: Int64, total: float) -> Float64:
        """Return FMR at the highest scores, one after another, until it is above every target."""
        most = self._targets.max()
        look = int(2 * most * len(self._pairs)) + 1000
        while True:
            first, second = self._pairs[:look].T
            shares: Float64 = np.cumsum(weights[first] * weights[second]) / total
            if shares[-1] > most:
                return shares
            look *= 2


def _changes(values: Int64) -> Int64:
    """Return where a value differs from the one before; the first always does."""
    return np.flatnonzero(np.diff(values, prepend=values[:1] - 1))


def _share(events: Float64, trials: Float64) -> Float64:
    """Divide; NaN where nothing was tried."""
    with np.errstate(invalid="ignore"):
        return events / trials
