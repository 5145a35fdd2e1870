# SPDX-License-Identifier: Apache-2.0
"""What similarity stands for on local data, and a local map from cosine to similarity that keeps the pack's promise.

A pack's map names a false-match rate at each of its knots, measured on the pack's own data. On other faces (of one
region, of one age, of relatives) the same cosine may let more through. The local map has the same knots, each at the
higher of two cosines: the pack's, and the one at which the local data keep the knot's rate. So it is nowhere easier
than the pack's, and a floor of 99 goes on standing for at most the rate that it stood for.

A knot is measured only if 30 false matches are expected there (rule of 30, ISO/IEC 19795-1). Photos without a template
stay in the denominators, as everywhere.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from custodes.domain import Float32
from custodes.errors import Invalid
from custodes.evaluation.bootstrap import AtThresholds, resample
from custodes.evaluation.enrolling import Progress, silent
from custodes.evaluation.metrics import carried, percentiles, rate, threshold_at, threshold_score
from custodes.evaluation.results import Rate, Settings
from custodes.evaluation.scored import Int32
from custodes.vision.manifest import Calibration

__all__ = ["STATED", "Local", "Measured", "Stated", "measured", "stricter"]

STATED = (80.0, 99.0)
"""Similarities whose false-match rate is always told: the default, and the public-safety floor."""

_RULE = 30  # expected false matches for a knot to be measured


@dataclass(frozen=True, slots=True)
class Stated:
    """What a similarity lets through on the local data by the pack's own map.

    Attributes:
        similarity, cosine: by that map.
        promised: the false-match rate of its highest knot up to there; None if none was measured.
        false_match: FMR on the local data.
    """

    similarity: float
    cosine: float
    promised: float | None
    false_match: Rate


@dataclass(frozen=True, slots=True)
class Local:
    """Where a knot's false-match rate lies on the local data.

    Attributes:
        similarity: of the knot.
        target: its false-match rate.
        cosine: the least score at which FMR is at most ``target``; None where there are too few comparisons.
        note: why.
    """

    similarity: float
    target: float
    cosine: float | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """A pack's map on local data.

    Attributes:
        base: the pack's own map.
        count: non-mated comparisons.
        stated: at 80, at 99 and at the knots, similarities rising.
        local: for each knot with a false-match rate.
    """

    base: Calibration
    count: int
    stated: tuple[Stated, ...]
    local: tuple[Local, ...]

    @property
    def stricter(self) -> Calibration:
        """The local map; the pack's own if the data ask for no knot to be moved.

        Raises:
            Invalid: if the data allow for none.
        """
        return stricter(self.base, self.local, f"{self.count:,} non-mated comparisons of local photos")


def measured(
    scores: Float32,
    base: Calibration,
    *,
    subjects: Int32 | None = None,
    settings: Settings | None = None,
    progress: Progress = silent,
) -> Measured:
    """Measure a pack's own map on non-mated comparisons.

    Args:
        scores: ``(n,)`` float32 cosines of non-mated comparisons, or :data:`custodes.evaluation.scored.FAILED`.
        base: the pack's own map.
        subjects: ``(n, 2)`` int32, who is compared with whom. Intervals are then a bootstrap over people; without it
            they are Clopper and Pearson's, which takes comparisons as independent and is too narrow. Of people who are
            too few to be drawn there is none.
        settings: rounds and seed of the bootstrap.
        progress: told of rounds.

    Raises:
        Invalid: if there are no scores, one isn't a cosine, or ``subjects`` isn't about them.
    """
    if scores.dtype != np.float32 or scores.ndim != 1 or not len(scores):
        raise Invalid(f"Scores are (n,) float32, at least one, got {scores.shape} {scores.dtype}.")
    if np.isnan(scores).any() or np.isposinf(scores).any():
        raise Invalid("A score is not a number, or infinite.")
    if subjects is not None and subjects.shape != (len(scores), 2):
        raise Invalid(f"subjects are ({len(scores)}, 2), got {subjects.shape}.")
    similarities = sorted({*STATED, *(k.similarity for k in base.knots[1:-1])})
    cosines = [base.cosine(s) for s in similarities]
    rounds = None
    if subjects is not None:
        measure = AtThresholds(subjects, scores, cosines, below=False)
        people = int(subjects.max()) + 1
        [rounds] = resample(people, [measure], settings or Settings(STATED[0]), progress=progress)
    stated = []
    for i, (similarity, cosine) in enumerate(zip(similarities, cosines, strict=True)):
        promised = _promised(base, similarity)
        events = int((scores >= threshold_score(cosine)).sum())
        _, note = carried(promised, len(scores), "non-mated comparisons") if promised else (True, "")
        column = None if rounds is None else rounds[:, i]
        found = rate(events, len(scores), column, note=note)
        if column is not None and percentiles(column) is None:  # pairs of a few people keep or break no promise
            lacking = "; ".join(filter(None, (note, "people are too few for an interval")))
            found = replace(found, interval=None, note=lacking)
        stated.append(Stated(similarity, cosine, promised, found))
    return Measured(base, len(scores), tuple(stated), _locals(scores, base))


def _promised(base: Calibration, similarity: float) -> float | None:
    told = [k.false_match_rate for k in base.knots if k.similarity <= similarity and k.false_match_rate is not None]
    return told[-1] if told else None


def _locals(scores: Float32, base: Calibration) -> tuple[Local, ...]:
    non_mated, found = np.zeros(len(scores), np.bool_), []
    for knot in base.knots:
        target = knot.false_match_rate
        if not target:
            continue
        needed = int(np.ceil(_RULE / target - 1e-6))
        if len(scores) < needed:
            why = (
                f"not enough data: a rate of {target:g} needs {needed:,} non-mated comparisons (rule of 30), "
                f"there are {len(scores):,}"
            )
            found.append(Local(knot.similarity, target, None, why))
        else:
            found.append(Local(knot.similarity, target, threshold_at(scores, non_mated, target)))
    return tuple(found)


def stricter(base: Calibration, local: Sequence[Local], data: str) -> Calibration:
    """Return the map with each knot at the higher of both cosines; ``base`` itself if that moves none.

    A knot that the data don't measure stays where the pack has it; if one that they do measure has risen past it, it
    goes as far above that one as the pack has it.

    Args:
        base: the pack's own map.
        local: see :func:`measured`.
        data: what was measured on, in words.

    Raises:
        Invalid: if the knots can't rise.
    """
    asked = {(m.similarity, m.target): m.cosine for m in local if m.cosine is not None}
    knots, lifted = [base.knots[0]], []
    for before, knot in itertools.pairwise(base.knots):
        cosine = asked.get((knot.similarity, knot.false_match_rate or 0.0))
        least = knots[-1].cosine
        if cosine is None and knot.cosine <= least and knot is not base.knots[-1]:
            cosine = least + (knot.cosine - before.cosine)
            lifted.append(f"{knot.similarity:g}")
        knots.append(knot if cosine is None or cosine <= knot.cosine else replace(knot, cosine=cosine))
    if tuple(knots) == base.knots:
        return base
    for a, b in itertools.pairwise(knots):
        if a.cosine >= b.cosine:
            raise Invalid(
                f"The data put similarity {a.similarity:g} at a cosine of {a.cosine:.4f} and {b.similarity:g} at "
                f"{b.cosine:.4f}: no map rises from one to the other.",
                remedy="Look for photos of one person under two names, and calibrate with more photos of more people.",
            )
    told = [base.measured_on, f"nowhere easier than {data} ask for"]
    told += [f"similarity {', '.join(lifted)} lifted with those below, not measured on them"] if lifted else []
    return Calibration(tuple(knots), "; ".join(filter(None, told)))
