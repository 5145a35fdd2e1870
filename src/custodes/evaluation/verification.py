# SPDX-License-Identifier: Apache-2.0
"""One-to-one comparison, from scores to figures: errors at thresholds, trade-off, accuracy, groups, age.

All intervals come from one bootstrap, in whose rounds everything is measured at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from custodes.errors import Invalid
from custodes.evaluation.bootstrap import AtTargets, AtThresholds, Measure, Shares, resample
from custodes.evaluation.differentials import Groups
from custodes.evaluation.enrolling import Progress, silent
from custodes.evaluation.metrics import (
    TARGETS,
    Det,
    Float64,
    at_rate,
    carried,
    det,
    equal_error_rate,
    rate,
    tenfold,
    threshold_score,
)
from custodes.evaluation.results import (
    Accuracy,
    AgeGap,
    AtRate,
    Curve,
    Enrolment,
    Interval,
    Point,
    Settings,
    Verification,
)
from custodes.evaluation.scored import NOBODY, Comparisons
from custodes.vision.manifest import Calibration

__all__ = ["AGE_GAPS", "POINTS", "verification"]

POINTS = (("the default, 80", 80.0), ("the public-safety floor, 99", 99.0))
"""Thresholds that are in use: what each is, and its similarity."""

AGE_GAPS = (0.0, 1.0, 3.0, 5.0, 10.0, 20.0)
"""Years between two photos at which a new bin begins; the last has no end."""

_CURVE = (120, 76)  # levels of FMR and of FNMR, each evenly on a log scale, so that with both ends at most 200 are told


def verification(
    comparisons: Comparisons,
    enrolment: Enrolment,
    scale: Calibration,
    settings: Settings,
    *,
    points: Sequence[tuple[str, float]] = POINTS,
    workers: int = 2,
    progress: Progress = silent,
) -> Verification:
    """Compute what comparisons come to.

    Args:
        comparisons: with groups to compare, dates and folds where the data has them.
        enrolment: what became of the photos.
        scale: from similarity to cosine.
        settings: threshold at which groups and ages are compared, rounds and seed, least number of people.
        points: names and similarities of thresholds that are in use; the settings' own is told too.
        workers: threads; they don't change the result.
        progress: told of the bootstrap's rounds.

    Raises:
        Invalid: if no comparison is mated or none non-mated, if one is mated of two people or non-mated of one, if a
            column can't be compared, or if folds can't be judged.
    """
    _check(comparisons)
    cosine = scale.cosine(settings.similarity)
    asked = [*points]
    if settings.similarity not in [similarity for _, similarity in points]:
        asked.append((f"the threshold of this evaluation, {settings.similarity:g}", settings.similarity))
    whole = _Whole(comparisons, [(name, similarity, scale.cosine(similarity)) for name, similarity in asked])
    columns = [Groups(comparisons, c, settings.similarity, cosine) for c in comparisons.people.groups]
    taken = comparisons.people.taken
    ages = None if taken is None else _Ages(comparisons, taken, cosine)
    accuracy = _accuracy(comparisons)

    parts = [whole.measures, *(c.measures for c in columns), ages.measures if ages else ()]
    measured = iter(
        resample(
            comparisons.people.count, [m for part in parts for m in part], settings, workers=workers, progress=progress
        )
    )
    rounds = [[next(measured) for _ in part] for part in parts]
    return Verification(
        kind="verification",
        mated=int(comparisons.mated.sum()),
        non_mated=int((~comparisons.mated).sum()),
        enrolment=enrolment,
        points=whole.points(rounds[0]),
        at_rates=whole.at_rates(rounds[0]),
        equal_error=equal_error_rate(comparisons.scores, comparisons.mated),
        curve=whole.curve(rounds[0]),
        accuracy=accuracy,
        differentials=tuple(c.differential(r, settings) for c, r in zip(columns, rounds[1:-1], strict=True)),
        age_gaps=ages.gaps(rounds[-1]) if ages else (),
    )


class _Whole:
    """Figures of all comparisons together.

    Args:
        comparisons: of both kinds.
        points: name, similarity and cosine of each threshold.

    Attributes:
        measures: what each round of the bootstrap is to measure, for the methods.
    """

    def __init__(self, comparisons: Comparisons, points: Sequence[tuple[str, float, float]]) -> None:
        scores, mated, subjects = comparisons.scores, comparisons.mated, comparisons.subjects
        self._scores, self._mated, self._points = scores, mated, points
        self._curve = _thinned(det(scores, mated), int(mated.sum()), int((~mated).sum()))
        self._targets = [t for t in TARGETS if carried(t, int((~mated).sum()), "")[0]]
        of, pairs, cosines = subjects[mated, 0], subjects[~mated], [cosine for _, _, cosine in points]
        self.measures: tuple[Measure, ...] = (
            AtThresholds(pairs, scores[~mated], cosines, below=False),
            AtThresholds(of, scores[mated], cosines, below=True),
            AtThresholds(of, scores[mated], self._curve.thresholds.tolist(), below=True),
            AtTargets(of, scores[mated], pairs, scores[~mated], self._targets),
        )

    def points(self, rounds: Sequence[Float64]) -> tuple[Point, ...]:
        """Return the errors at the thresholds."""
        told = []
        both, non_mated = self._scores[self._mated], self._scores[~self._mated]
        for i, (name, similarity, cosine) in enumerate(self._points):
            least = threshold_score(cosine)
            match = rate(int((non_mated >= least).sum()), len(non_mated), rounds[0][:, i], of="non-mated comparisons")
            miss = rate(int((both < least).sum()), len(both), rounds[1][:, i], of="mated comparisons")
            told.append(Point(name, similarity, cosine, match, miss))
        return tuple(told)

    def at_rates(self, rounds: Sequence[Float64]) -> tuple[AtRate, ...]:
        """Return misses at fixed rates of false matches."""
        found = dict(zip(self._targets, rounds[3].T, strict=True))
        return tuple(at_rate(self._scores, self._mated, t, found.get(t)) for t in TARGETS)

    def curve(self, rounds: Sequence[Float64]) -> Curve:
        """Return the trade-off with its band."""
        trials = int(self._mated.sum())
        misses = [round(share * trials) for share in self._curve.false_non_match.tolist()]
        rates = [rate(n, trials, column) for n, column in zip(misses, rounds[2].T, strict=True)]
        bands = [found.interval or Interval(0.0, 1.0) for found in rates]
        return Curve(
            thresholds=tuple(self._curve.thresholds.tolist()),
            false_positives=tuple(self._curve.false_match.tolist()),
            misses=tuple(self._curve.false_non_match.tolist()),
            low=tuple(band.low for band in bands),
            high=tuple(band.high for band in bands),
        )


class _Ages:
    """Misses by the years between two photos of a person.

    Args:
        comparisons: of both kinds.
        taken: year of each photo.
        cosine: the threshold.

    Attributes:
        measures: what each round of the bootstrap is to measure, for :meth:`gaps`.
    """

    def __init__(self, comparisons: Comparisons, taken: Float64, cosine: float) -> None:
        mated = comparisons.mated
        years = np.abs(np.diff(taken[comparisons.photos[mated]], axis=1)[:, 0])
        known = ~np.isnan(years)
        self._unknown, self._all = int((~known).sum()), len(known)
        bins = np.searchsorted(AGE_GAPS, years[known], side="right") - 1
        missed = comparisons.scores[mated][known] < threshold_score(cosine)
        self._trials = np.bincount(bins, minlength=len(AGE_GAPS)).tolist()
        self._events = np.bincount(bins[missed], minlength=len(AGE_GAPS)).tolist()
        of = comparisons.subjects[mated, 0][known]
        self.measures: tuple[Measure, ...] = (Shares(of, bins, len(AGE_GAPS), missed),)

    def gaps(self, rounds: Sequence[Float64]) -> tuple[AgeGap, ...]:
        """Return the figures, all bins; the first says how many comparisons are in none."""
        note = f"{self._unknown:,} of {self._all:,} mated comparisons are in no row: a date isn't known"
        told = []
        for i, column in enumerate(rounds[0].T):
            found = rate(self._events[i], self._trials[i], column, of="mated comparisons")
            if i == 0 and self._unknown:
                found = replace(found, note="; ".join(filter(None, (found.note, note))))
            told.append(AgeGap(AGE_GAPS[i], AGE_GAPS[i + 1] if i + 1 < len(AGE_GAPS) else None, found))
        return tuple(told)


def _check(comparisons: Comparisons) -> None:
    """Refuse what no figures can be made of.

    Raises:
        Invalid: see :func:`verification`.
    """
    mated = comparisons.mated
    if not mated.any():
        raise Invalid(
            "There is no mated comparison, so that no false non-match rate can be told, nor at which false match rate.",
            remedy="Add pairs of two photos of one person.",
        )
    if mated.all():
        raise Invalid(
            "There is no non-mated comparison, so that no false match rate can be told, nor a threshold for one.",
            remedy="Add pairs of photos of two people.",
        )
    same = np.equal(*comparisons.subjects.T)
    if (wrong := int((same & ~mated).sum())) or int((~same & mated).sum()):
        kind = f"{wrong:,} non-mated comparisons are" if wrong else f"{int((~same & mated).sum()):,} mated ones aren't"
        raise Invalid(f"Comparisons and people contradict each other: {kind} of one person.")


def _accuracy(comparisons: Comparisons) -> Accuracy | None:
    """Return accuracy by folds, where there are any; says how many comparisons are in none.

    Raises:
        Invalid: if there is only one fold, or no score outside one.
    """
    folds = comparisons.folds
    if folds is None or (folds == NOBODY).all():
        return None
    stated = folds != NOBODY
    found = tenfold(comparisons.scores[stated], comparisons.mated[stated], folds[stated])
    if stated.all():
        return found
    return replace(
        found, note=f"{int((~stated).sum()):,} of {len(stated):,} comparisons state no fold and aren't in it"
    )


def _thinned(whole: Det, mated: int, non_mated: int) -> Det:
    """Return at most 200 points of a curve: both ends, and those at even steps of either rate on a log scale."""
    size = len(whole.thresholds)
    if size <= sum(_CURVE) + 2:
        return whole
    falling = np.searchsorted(-whole.false_match, -np.geomspace(1, 1 / non_mated, _CURVE[0]))
    rising = np.searchsorted(whole.false_non_match, np.geomspace(1 / mated, 1, _CURVE[1]))
    free = np.searchsorted(-whole.false_match, 0.0)  # the first without a false match
    chosen = np.unique(np.clip([0, *falling, *rising, free, size - 1], 0, size - 1))
    return Det(*(values[chosen] for values in whole))
