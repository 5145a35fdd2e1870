# SPDX-License-Identifier: Apache-2.0
"""What rules get to know of an evaluation, and of which evaluations nothing may be told: those of too few people."""

from __future__ import annotations

import math

from custodes.evaluation.results import Evaluation, Rate, Verification
from custodes.governance import Verdict

__all__ = ["LEAST_MEASURED", "LEAST_TOLD", "too_few", "verdict_of"]

LEAST_MEASURED = 30
"""People that an evaluation of police, and a group that rules rely on, need, whatever the evaluator has asked for."""
LEAST_TOLD = 10
"""People that a published evaluation and each of its groups have: figures of fewer tell of single ones."""

_MILLION = 1_000_000
_MOST_FAILED = 0.05
"""Share of a group's photos that may give no template: their comparisons count as right among non-mated ones."""
_MOST_UNLABELLED = 0.05
_OF_PEOPLE = ("verification", "identification", "robustness")


def verdict_of(evaluation: Evaluation) -> Verdict | None:
    """Return what the rules know of an evaluation, or None if it isn't of one-to-one comparisons.

    It is the worst of all groups, of any two groups and of the whole: the upper end of the 95 % interval of each rate,
    so that little data looks bad, not good. There is enough data where each group has :data:`LEAST_MEASURED` people of
    whom two photos were compared, few photos gave no template, and few people have no label.
    """
    figures = evaluation.figures
    if not isinstance(figures, Verification):
        return None
    similarity = evaluation.settings.similarity
    whole = [p for p in figures.points if p.similarity == similarity]
    groups = [g for d in figures.differentials for g in d.groups]
    crosses = [x.false_match for d in figures.differentials for x in d.crosses]
    few = any(
        not g.enough or g.compared < LEAST_MEASURED or (g.failure.value or 0.0) > _MOST_FAILED for g in groups
    ) or any(d.unlabelled > _MOST_UNLABELLED * evaluation.dataset.subjects for d in figures.differentials)
    return Verdict(
        similarity=similarity,
        groups=min((len(d.groups) for d in figures.differentials), default=0),
        enough=bool(groups) and not few,
        false_match_ppm=_worst([*(p.false_match for p in whole), *(g.false_match for g in groups), *crosses]),
        false_non_match_ppm=_worst([*(p.false_non_match for p in whole), *(g.false_non_match for g in groups)]),
    )


def _worst(rates: list[Rate]) -> int:
    """Return the highest upper end of rates' intervals per million, rounded up; a million where one has none."""
    ends = [1.0 if r.interval is None else r.interval.high for r in rates]
    return min(_MILLION, math.ceil(max(ends, default=1.0) * _MILLION))


def too_few(evaluation: Evaluation, least: int) -> str:
    """Return why an evaluation tells of single people, or nothing if it doesn't.

    Args:
        evaluation: with its groups.
        least: people that the whole needs; each group needs :data:`LEAST_TOLD`.
    """
    figures, people = evaluation.figures, evaluation.dataset.subjects
    if figures.kind in _OF_PEOPLE and people < least:
        return f"It is of {people} people, and takes {least} at least, so that it tells of nobody."
    if isinstance(figures, Verification):
        small = [g for d in figures.differentials for g in d.groups if g.subjects < LEAST_TOLD]
        if small:
            return (
                f"{len(small)} of its groups {'has' if len(small) == 1 else 'have'} fewer than {LEAST_TOLD} people, "
                "so that it tells of single ones."
            )
    return ""
