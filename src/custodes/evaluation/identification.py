# SPDX-License-Identifier: Apache-2.0
"""One-to-many searches, by ISO/IEC 19795-1 and as NIST counts them (FRTE 1:N, NIST IR 8271).

FPIR(N, T) is the share of non-mated searches that return anybody at or above the threshold T, FNIR(N, T) the share of
mated searches whose person isn't among the candidates at or above T within the list. A probe without a template
returns nobody, and a person without one is never found: both are misses, and stay in the denominators. Both rates are
those of one gallery of N people; a larger one has a higher FPIR.

Intervals are bootstraps over the people that are searched for (:mod:`custodes.evaluation.bootstrap`); the gallery stays
as it is, so they say nothing of how another gallery of that size would do. Where the threshold is itself found in the
data (FNIR at an FPIR), each round finds its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from custodes.domain import Float32
from custodes.errors import Invalid
from custodes.evaluation.bootstrap import Int64, resample
from custodes.evaluation.enrolling import Progress, silent
from custodes.evaluation.metrics import Float64, carried, threshold_at, threshold_score
from custodes.evaluation.results import (
    AtRate,
    Curve,
    Enrolment,
    Identification,
    IdentificationPoint,
    Interval,
    Rank,
    Rate,
    Settings,
)
from custodes.evaluation.scored import FAILED, NOBODY, Bool, Int32, Searches
from custodes.evaluation.units import rate_by_units
from custodes.vision.manifest import Calibration

__all__ = ["POINTS", "RANKS", "TARGETS", "identification"]

RANKS = (1, 2, 3, 5, 10, 20, 50)
"""Ranks that are told, as far as the list goes."""
POINTS = (("without a threshold", 0.0), ("the default, 80", 80.0), ("the public-safety floor, 99", 99.0))
"""Names and similarities of the thresholds that are told; the settings' own is told too."""
TARGETS = (1e-1, 1e-2, 1e-3)
"""FPIR at which FNIR is told."""

_MOST_POINTS = 200  # of a curve
_NO_MATED = "no search of people who are in the gallery was made"
_NO_OTHERS = "no search of people who aren't in the gallery was made"
_ROUGH = "rough: fewer than 30 false positives are expected (rule of 30)"
_NO_PLACE = max(RANKS)


@dataclass(frozen=True, slots=True, eq=False)
class _Searches:
    """Searches of one kind, by the one score that decides each.

    Attributes:
        scores: ``(n,)`` float32, rising: of the person's own candidate if mated, of the first candidate otherwise.
        whose: ``(n,)`` which person, 0.. among all that are searched for.
    """

    scores: Float32
    whose: Int32

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def people(self) -> int:
        """How many people there are."""
        return len(np.unique(self.whose))

    def below(self, thresholds: Float32) -> Int64:
        """Return how many scores lie below each threshold."""
        return np.searchsorted(self.scores, thresholds, side="left")

    def upto(self, weights: Int64) -> Int64:
        """Return ``(n + 1,)``: how many searches the first 0..n are when each counts as often as its person."""
        return np.append(0, np.cumsum(weights[self.whose]))


def identification(
    searches: Searches,
    *,
    gallery_subjects: int,
    gallery_photos: int,
    gallery_enrolment: Enrolment,
    probe_enrolment: Enrolment,
    scale: Calibration,
    settings: Settings,
    list_length: int,
    progress: Progress = silent,
) -> Identification:
    """Measure searches.

    Args:
        searches: all in one gallery.
        gallery_subjects, gallery_photos, gallery_enrolment: that gallery, with those who have no template.
        probe_enrolment: of the photos that are searched with.
        scale: between cosine and similarity.
        settings: a threshold to tell, rounds and seed of the bootstrap.
        list_length: how long candidate lists are.
        progress: told of each round.

    Raises:
        Invalid: if there are no searches, or they contradict themselves or the gallery.
    """
    _check(searches, gallery_subjects, list_length)
    names, whose = np.unique(searches.probes, return_inverse=True)
    hits = (searches.found[:, :list_length] == searches.probes[:, None])[searches.mated]
    own = np.where(hits, searches.scores[searches.mated, :list_length], np.float32(FAILED)).max(axis=1)
    rising = np.argsort(own, kind="stable")
    mated = _Searches(own[rising], whose[searches.mated][rising].astype(np.int32))
    best = searches.scores[~searches.mated, 0]
    others = _Searches(np.sort(best), whose[~searches.mated][np.argsort(best, kind="stable")].astype(np.int32))
    asked = [*POINTS]
    if settings.similarity not in [similarity for _, similarity in POINTS]:
        asked.append((f"the threshold of this evaluation, {settings.similarity:g}", settings.similarity))
    in_use = [(name, similarity, scale.cosine(similarity)) for name, similarity in asked]
    measure = _Measure(mated, others, in_use, _places(hits)[rising])
    measure.resample(len(names), settings, progress)
    return Identification(
        kind="identification",
        gallery_subjects=gallery_subjects,
        gallery_photos=gallery_photos,
        mated=len(mated),
        non_mated=len(others),
        list_length=list_length,
        gallery_enrolment=gallery_enrolment,
        probe_enrolment=probe_enrolment,
        ranks=measure.ranks(list_length),
        points=measure.points(),
        at_rates=tuple(measure.at_rate(i, target) for i, target in enumerate(TARGETS)),
        curve=measure.curve(),
    )


def _check(searches: Searches, gallery_subjects: int, list_length: int) -> None:
    """Refuse what can't be meant.

    Raises:
        Invalid: naming the searches, by their numbers from 0.
    """
    if len(searches.probes) == 0:
        raise Invalid("There are no searches.")
    if list_length < 1 or gallery_subjects < 1:
        raise Invalid(f"A gallery and a list hold at least one person, got {gallery_subjects} and {list_length}.")
    if searches.scores.shape[1] == 0:
        raise Invalid("Searches have room for at least one candidate.")
    _refuse((searches.probes < 0)[:, None], "is of nobody")
    _refuse(searches.scores[:, 1:] > searches.scores[:, :-1], "has candidates whose scores rise")
    _refuse((searches.scores == np.inf), "has an infinite score")
    _refuse(
        (searches.found == NOBODY) != (searches.scores == FAILED), "has a score without a candidate, or none for one"
    )
    people = np.sort(searches.found, axis=1)
    _refuse((people[:, 1:] == people[:, :-1]) & (people[:, 1:] != NOBODY), "has somebody twice among its candidates")
    _refuse(
        (searches.found == searches.probes[:, None]) & ~searches.mated[:, None],
        "is of somebody who isn't in the gallery, and found them there",
    )
    both = np.intersect1d(searches.probes[searches.mated], searches.probes[~searches.mated])
    _refuse(
        np.isin(searches.probes, both)[:, None], "is of somebody who is in the gallery by one search and not by another"
    )


def _refuse(bad: Bool, why: str) -> None:
    rows = np.flatnonzero(bad.any(axis=1))
    if len(rows):
        more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
        raise Invalid(f"A search {why}: number {', '.join(map(str, rows[:5]))}{more}.")


def _places(hits: Bool) -> Int32:
    """Return the place of the person on each list, from 0; beyond all ranks if they aren't on it."""
    return np.where(hits.any(axis=1), hits.argmax(axis=1), _NO_PLACE).astype(np.int32)


def _at_targets(mated: _Searches, others: _Searches) -> list[float]:
    """Return the thresholds at :data:`TARGETS`; none without non-mated searches."""
    if not len(others):
        return []
    scores = np.concatenate([mated.scores, others.scores])
    is_mated = np.arange(len(scores)) < len(mated)
    return [threshold_at(scores, is_mated, target) for target in TARGETS]


def _thresholds(mated: _Searches, others: _Searches) -> Float32:
    """Return thresholds at which the curve is told: half evenly among FNIR, half among the logarithm of FPIR."""
    if not len(mated) or not len(others):
        return np.empty(0, np.float32)
    seen: Float32 = np.unique(np.concatenate([mated.scores, others.scores]))
    if len(seen) > _MOST_POINTS:
        half = _MOST_POINTS // 2
        rare = len(others) - np.geomspace(1, len(others), half).astype(int)
        even = np.linspace(0, len(mated) - 1, half).astype(int)
        seen = np.unique(np.concatenate([others.scores[rare], mated.scores[even]]))
    return seen[np.isfinite(seen)]


class _Measure:
    """The rates of searches at all thresholds, with what they come to in the rounds of the bootstrap.

    Thresholds are numbered: those in use, those at fixed FPIR, those of the curve.

    Args:
        mated, others: searches of both kinds.
        in_use: name, similarity and cosine of the thresholds in use.
        places: of the person of each mated search on its list.
    """

    def __init__(
        self, mated: _Searches, others: _Searches, in_use: Sequence[tuple[str, float, float]], places: Int32
    ) -> None:
        self._mated = mated
        self._others = others
        self._places = places
        self._in_use = in_use
        self._cosines = (*(cosine for _, _, cosine in in_use), *_at_targets(mated, others))
        self._curve = _thresholds(mated, others)
        every = np.append(np.array([threshold_score(c) for c in self._cosines]), self._curve)
        self._missed_at = mated.below(every)
        self._silent_at = others.below(every)
        self._rounds = np.empty((0, 0))

    def resample(self, people: int, settings: Settings, progress: Progress) -> None:
        """Draw people, as often as the settings say."""
        [self._rounds] = resample(people, [self._round], settings, progress=progress)

    def _round(self, weights: Int64) -> Float64:
        """Return FNIR and FPIR at all thresholds, then hits up to each rank, if people are drawn so often."""
        missed, silent = self._mated.upto(weights), self._others.upto(weights)
        counted = np.bincount(self._places, weights[self._mated.whose], max(RANKS))
        return np.concatenate(
            [
                _share(missed[self._with_own_thresholds(silent)], missed[-1]),
                _share(silent[-1] - silent[self._silent_at], silent[-1]),
                _share(np.cumsum(counted)[np.array(RANKS) - 1], missed[-1]),
            ]
        )

    def _with_own_thresholds(self, silent: Int64) -> Int64:
        """Return how many mated searches are below each threshold, where those at fixed FPIR are a round's own."""
        if not silent[-1]:
            return self._missed_at
        below = self._missed_at.copy()
        for i, target in enumerate(TARGETS):
            # the lowest searches have to stay silent until the rest are few enough; what isn't above the last is missed
            bar = int(np.searchsorted(silent, silent[-1] - target * silent[-1] - 1e-9, side="left")) - 1
            below[len(self._in_use) + i] = np.searchsorted(self._mated.scores, self._others.scores[bar], side="right")
        return below

    def _missed(self, i: int, note: str = "") -> Rate:
        """Return FNIR at threshold number ``i``."""
        if not len(self._mated):
            return Rate(0, 0, None, note=_NO_MATED)
        return self._rate(int(self._missed_at[i]), self._mated, i, "mated searches", note)

    def _passed(self, i: int) -> Rate:
        """Return FPIR at threshold number ``i``."""
        if not len(self._others):
            return Rate(0, 0, None, note=_NO_OTHERS)
        events = len(self._others) - int(self._silent_at[i])
        return self._rate(events, self._others, len(self._missed_at) + i, "non-mated searches")

    def _rate(self, events: int, searches: _Searches, column: int, of: str, note: str = "") -> Rate:
        return rate_by_units(events, len(searches), self._rounds[:, column], searches.people, of=of, note=note)

    def ranks(self, list_length: int) -> tuple[Rank, ...]:
        """Return the cumulative match characteristic, as far as the list goes."""
        told = [r for r in RANKS if r <= list_length]
        if not len(self._mated):
            return tuple(Rank(r, Rate(0, 0, None, note=_NO_MATED)) for r in told)
        return tuple(Rank(r, self._hits(i, r)) for i, r in enumerate(told))

    def _hits(self, i: int, rank: int) -> Rate:
        column = 2 * len(self._missed_at) + i
        return self._rate(int((self._places < rank).sum()), self._mated, column, "mated searches")

    def points(self) -> tuple[IdentificationPoint, ...]:
        """Return errors at the thresholds that are in use."""
        points = []
        for i, (name, similarity, cosine) in enumerate(self._in_use):
            passed = self._passed(i)
            points.append(
                IdentificationPoint(
                    name=name,
                    similarity=similarity,
                    cosine=cosine,
                    false_positive=passed,
                    false_negative=self._missed(i),
                    found_of_1000=None if passed.value is None else 1000 * passed.value,
                )
            )
        return tuple(points)

    def at_rate(self, i: int, target: float) -> AtRate:
        """Return FNIR at target number ``i`` of the FPIR, as far as the searches carry it."""
        enough, note = carried(target, len(self._others), "non-mated searches")
        if not enough:
            return AtRate(target, None, Rate(0, len(self._mated), None, note=note))
        place = len(self._in_use) + i
        return AtRate(target, self._cosines[place], self._missed(place, note and _ROUGH))

    def curve(self) -> Curve:
        """Return DET; empty unless there are searches of both kinds."""
        indexes = range(len(self._cosines), len(self._missed_at))
        missed = [self._missed(i) for i in indexes]
        bands = [m.interval or Interval(0.0, 1.0) for m in missed]
        others = len(self._others)
        return Curve(
            thresholds=tuple(self._curve.tolist()),
            false_positives=tuple((others - int(self._silent_at[i])) / others for i in indexes),
            misses=tuple(m.events / m.trials for m in missed),
            low=tuple(b.low for b in bands),
            high=tuple(b.high for b in bands),
        )


def _share(events: Int64 | Float64, trials: int) -> Float64:
    """Divide; NaN where nothing was tried."""
    return events / trials if trials else np.full(len(events), np.nan)
