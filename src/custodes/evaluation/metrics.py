# SPDX-License-Identifier: Apache-2.0
"""What the rates are, to the letter of their sources: plain functions of scores and of who is mated.

A comparison is a match if its score is at least the threshold. FMR(T) is the share of non-mated scores that are at
least T, FNMR(T) the share of mated scores below it (ISO/IEC 19795-1:2021; NIST FRTE 1:1, whose step function is 1 at
0). A failed comparison scores minus infinity and stays in both denominators, as NIST counts it: a false non-match if it
is mated, no false match if it isn't. Thresholds are finite, so that a failure is never a match.

A score is a float32 and a threshold may be any number; they are compared exactly. How intervals are made is told in
:mod:`custodes.evaluation.bootstrap`.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from custodes.domain import Float32
from custodes.errors import Invalid
from custodes.evaluation.results import Accuracy, AtRate, Interval, Rate
from custodes.evaluation.scored import Bool, Int32

__all__ = [
    "FEW",
    "TARGETS",
    "Det",
    "Float64",
    "at_rate",
    "carried",
    "clopper_pearson",
    "det",
    "equal_error_rate",
    "false_match_rate",
    "false_non_match_rate",
    "percentiles",
    "rate",
    "tenfold",
    "threshold_at",
    "threshold_score",
]

Float64 = npt.NDArray[np.float64]

TARGETS = (1e-2, 1e-3, 1e-4, 1e-5)
"""False match rates at which misses are told."""

FEW = 10
"""With fewer errors than this, or fewer that are none, an interval reaches as far as Clopper and Pearson's."""

_LEFT_OUT = 0.05  # share of a bootstrap's rounds that may be without a trial
_TAIL = 0.025  # on each side of an interval
_TINY = 1e-300


class Det(NamedTuple):
    """A detection error trade-off: errors at every distinct score.

    Attributes:
        thresholds: ``(k,)`` float32, rising, finite.
        false_match: ``(k,)`` float64, FMR at each, falling.
        false_non_match: ``(k,)`` float64, FNMR at each, rising.
    """

    thresholds: Float32
    false_match: Float64
    false_non_match: Float64


def threshold_score(threshold: float) -> np.float32:
    """Return the least float32 that is at least ``threshold``: scores reach the one where they reach the other."""
    rounded = np.float32(threshold)
    return rounded if float(rounded) >= threshold else np.nextafter(rounded, np.float32(np.inf))


def false_match_rate(scores: Float32, mated: Bool, threshold: float) -> float:
    """Return the share of non-mated comparisons that match (FMR; ISO/IEC 19795-1:2021; NIST FRTE 1:1).

    Raises:
        Invalid: if no comparison is non-mated.
    """
    non_mated = _sorted(scores, ~mated, "non-mated")
    return int((non_mated >= threshold_score(threshold)).sum()) / len(non_mated)


def false_non_match_rate(scores: Float32, mated: Bool, threshold: float) -> float:
    """Return the share of mated comparisons that don't match (FNMR; ISO/IEC 19795-1:2021; NIST FRTE 1:1).

    Raises:
        Invalid: if no comparison is mated.
    """
    both = _sorted(scores, mated, "mated")
    return int((both < threshold_score(threshold)).sum()) / len(both)


def det(scores: Float32, mated: Bool) -> Det:
    """Compute the errors at every distinct score (ISO/IEC 19795-1:2021: detection error trade-off).

    Raises:
        Invalid: if no comparison is mated, or none is non-mated.
    """
    both, non_mated = _sorted(scores, mated, "mated"), _sorted(scores, ~mated, "non-mated")
    thresholds = np.unique(scores[np.isfinite(scores)])
    matches = len(non_mated) - np.searchsorted(non_mated, thresholds, side="left")
    misses = np.searchsorted(both, thresholds, side="left")
    return Det(thresholds, matches / len(non_mated), misses / len(both))


def threshold_at(scores: Float32, mated: Bool, fmr: float) -> float:
    """Return the least of the scores at which FMR is at most ``fmr``.

    Equal scores pass or fail together, so that FMR may lie well below ``fmr``. Where no score will do it is the next
    float32 above the highest non-mated one; where every comparison failed, -1.

    Raises:
        Invalid: if no comparison is non-mated, or ``fmr`` lies outside 0..1.
    """
    if not 0.0 <= fmr <= 1.0:
        raise Invalid(f"A false match rate lies in 0..1, got {fmr}.")
    non_mated = _sorted(scores, ~mated, "non-mated")
    finite = np.sort(scores[np.isfinite(scores)])
    if not len(finite):
        return -1.0
    # the k-th highest passes while k / n <= fmr; the first that doesn't bars the way
    shares = np.arange(1, len(non_mated) + 1) / len(non_mated)
    barred = int(np.searchsorted(shares, fmr, side="right"))
    if barred == len(non_mated):
        return float(finite[0])
    bar = non_mated[len(non_mated) - 1 - barred]
    above = int(np.searchsorted(finite, bar, side="right"))
    return float(finite[above] if above < len(finite) else np.nextafter(bar, np.float32(np.inf)))


def equal_error_rate(scores: Float32, mated: Bool) -> float | None:
    """Return the rate at which FMR and FNMR meet.

    The points of :func:`det`, and one above all scores (FMR 0, FNMR 1), are joined by straight lines in the plane of
    both rates; the answer is where that path crosses FMR = FNMR. None where it doesn't, which is so if failures alone
    make FNMR greater than FMR at every threshold.

    Raises:
        Invalid: if no comparison is mated, or none is non-mated.
    """
    _, falling, rising = det(scores, mated)
    falling, rising = np.append(falling, 0.0), np.append(rising, 1.0)
    after = int(np.argmax(rising >= falling))  # there is one: the last
    if rising[after] == falling[after]:
        return float(falling[after])
    if after == 0:
        return None
    gap_before = falling[after - 1] - rising[after - 1]
    share = gap_before / (gap_before + rising[after] - falling[after])
    return float(falling[after - 1] + share * (falling[after] - falling[after - 1]))


def tenfold(scores: Float32, mated: Bool, folds: Int32) -> Accuracy:
    """Compute accuracy by LFW's protocol (Huang et al. 2007, Labeled Faces in the Wild, view 2).

    Each fold is judged at the threshold that is best on the others: among their scores, the least of those that get
    most of them right. A failed comparison is an error, mated or not. The error is the standard deviation over folds
    (with n - 1) over the square root of their number. LFW has ten folds; any number from two will do.

    Raises:
        Invalid: if there are fewer than two folds, or no score outside one of them.
    """
    names = np.unique(folds)
    if len(names) < 2:
        raise Invalid(
            f"Accuracy by folds needs two of them at least, there is {len(names)}.", remedy="Leave the folds out."
        )
    order = np.argsort(scores, kind="stable")
    scores, mated, folds = scores[order], mated[order], folds[order]
    valid = np.isfinite(scores)
    rights, thresholds = [], []
    for name in names:
        own = folds == name
        others = ~own & valid
        if not others.any():
            raise Invalid(f"There is no score outside fold {name}, so that no threshold can be found for it.")
        threshold = _best(scores[others], mated[others])
        right = ((scores[own] >= threshold) == mated[own]) & valid[own]
        rights.append(int(right.sum()) / int(own.sum()))
        thresholds.append(float(threshold))
    return Accuracy(
        mean=float(np.mean(rights)),
        error=float(np.std(rights, ddof=1) / math.sqrt(len(rights))),
        folds=tuple(rights),
        threshold=float(np.mean(thresholds)),
    )


def _best(scores: Float32, mated: Bool) -> np.float32:
    """Return the least threshold that gets most right; scores rise."""
    starts = np.flatnonzero(np.append(True, scores[1:] != scores[:-1]))
    below: npt.NDArray[np.int64] = np.cumsum(mated) - mated
    right = (starts - below[starts]) + (int(mated.sum()) - below[starts])
    best: np.float32 = scores[starts[int(np.argmax(right))]]
    return best


def carried(target: float, trials: int, of: str) -> tuple[bool, str]:
    """Say whether ``trials`` can show a rate as low as ``target``, and what to remark.

    By the rule of 3 no rate below 3/N can be shown with N trials; by the rule of 30 fewer than 30 expected errors make
    for a rough figure (ISO/IEC 19795-1).

    Args:
        target: a rate above 0.
        trials: how many could give a false positive.
        of: what they are (``non-mated comparisons``).
    """
    least, good = (math.ceil(n / target - 1e-6) for n in (3, 30))
    if trials < least:
        return False, f"not enough data: a rate of {target:g} needs at least {least:,} {of}, there are {trials:,}"
    return True, "" if trials >= good else "rough: fewer than 30 false matches are expected (rule of 30)"


def at_rate(scores: Float32, mated: Bool, target: float, rounds: Float64 | None = None) -> AtRate:
    """Compute FNMR at the least threshold at which FMR is at most ``target``, where there is data enough for it.

    Args:
        scores, mated: the comparisons.
        target: the FMR.
        rounds: FNMR in each round of the bootstrap, each at its own threshold.

    Raises:
        Invalid: if no comparison is mated, or none is non-mated.
    """
    both = _sorted(scores, mated, "mated")
    enough, note = carried(target, len(scores) - len(both), "non-mated comparisons")
    if not enough:
        return AtRate(target, None, Rate(0, len(both), None, note=note))
    threshold = threshold_at(scores, mated, target)
    misses = int((both < threshold_score(threshold)).sum())
    return AtRate(target, threshold, rate(misses, len(both), rounds, note=note))


def rate(events: int, trials: int, rounds: Float64 | None = None, *, of: str = "comparisons", note: str = "") -> Rate:
    """Make a share with its 95 % interval.

    Args:
        events, trials: how many of how many.
        rounds: the share in each round of a bootstrap, NaN in those without a trial; the interval is theirs, and
            reaches as far as Clopper and Pearson's where fewer than :data:`FEW` trials went one way. Without rounds, or
            where too many of them give none, it is Clopper and Pearson's alone; the note tells the latter.
        of: what the trials are.
        note: why the value is a rough one.
    """
    if not trials:
        return Rate(0, 0, None, note=f"no {of}")
    value = events / trials
    if rounds is None:
        return Rate(events, trials, value, clopper_pearson(events, trials), note)
    found = percentiles(rounds)
    if found is None:
        empty = f"{100 * np.isnan(rounds).mean():.0f} % of the bootstrap's rounds had none"
        independent = f"the interval takes {of} as independent, as {empty}"
        return Rate(
            events, trials, value, clopper_pearson(events, trials), "; ".join(filter(None, (note, independent)))
        )
    if min(events, trials - events) < FEW:
        exact = clopper_pearson(events, trials)
        found = Interval(min(found.low, exact.low), max(found.high, exact.high))
    return Rate(events, trials, value, found, note)


def percentiles(rounds: Float64) -> Interval | None:
    """Return the 2.5th and 97.5th percentile of what a bootstrap's rounds gave, with lines between neighbours.

    Rounds that gave nothing (NaN) are left out. None if more than 5 % did, or the upper end is infinite.
    """
    given = np.sort(rounds[~np.isnan(rounds)])
    if not len(given) or len(given) < (1 - _LEFT_OUT) * len(rounds):
        return None
    if np.isinf(given[math.ceil((1 - _TAIL) * (len(given) - 1))]):
        return None
    low, high = np.quantile(given, [_TAIL, 1 - _TAIL])
    return Interval(float(low), float(high))


@lru_cache(4096)
def clopper_pearson(events: int, trials: int) -> Interval:
    """Return the exact 95 % interval of a share (Clopper and Pearson 1934, Biometrika 26).

    Its ends are the 2.5th percentile of Beta(k, n - k + 1) and the 97.5th of Beta(k + 1, n - k).

    Raises:
        Invalid: unless 0 <= events <= trials, and trials > 0.
    """
    if not 0 <= events <= trials or not trials:
        raise Invalid(f"An interval is of some events of some trials, got {events} of {trials}.")
    low = 0.0 if events == 0 else _beta_quantile(_TAIL, events, trials - events + 1)
    high = 1.0 if events == trials else _beta_quantile(1 - _TAIL, events + 1, trials - events)
    return Interval(low, high)


def _beta_quantile(share: float, a: float, b: float) -> float:
    """Return where Beta(a, b) has ``share`` below: Newton's steps, and halving where one would leave the bracket."""
    low, high, x = 0.0, 1.0, a / (a + b)
    for _ in range(200):
        below, density = _beta(x, a, b)
        low, high = (x, high) if below < share else (low, x)
        step = (below - share) / density if density > 0 else math.inf
        new = x - step if low < x - step < high else (low + high) / 2
        if abs(new - x) <= 1e-13 * x or new in (low, high):
            return new
        x = new
    return x


def _beta(x: float, a: float, b: float) -> tuple[float, float]:
    """Return the regularised incomplete beta function I_x(a, b), and its derivative; 0 < x < 1."""
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(scale + a * math.log(x) + b * math.log1p(-x))
    density = front / (x * (1.0 - x))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a, density
    return 1.0 - front * _fraction(1.0 - x, b, a) / b, density


def _fraction(x: float, a: float, b: float) -> float:
    """Evaluate the continued fraction of the incomplete beta function by Lentz's method (DLMF 8.17.22)."""
    c, d = 1.0, 1.0 / _kept(1.0 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 1_000_000):  # about the square root of a + b are needed
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / _kept(1.0 + term * d)
            c = _kept(1.0 + term / c)
            value *= c * d
        if abs(c * d - 1.0) < 1e-16:
            break
    return value


def _kept(x: float) -> float:
    """Keep a denominator away from 0."""
    return x if abs(x) > _TINY else _TINY


def _sorted(scores: Float32, chosen: Bool, kind: str) -> Float32:
    """Return the chosen scores, rising.

    Raises:
        Invalid: if there are none.
    """
    found: Float32 = np.sort(scores[chosen])
    if not len(found):
        raise Invalid(f"There is no {kind} comparison.")
    return found
