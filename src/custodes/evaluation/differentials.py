# SPDX-License-Identifier: Apache-2.0
"""How far the groups of one column lie apart at one threshold, the same for all.

ISO/IEC 19795-10's differential performance: false non-match rate of the mated comparisons of each group, false match
rate of the non-mated ones within each group and between any two, failure to enrol of each group's photos. The spread is
told by NIST's two ratios, highest to lowest rate and highest rate to the geometric mean of all (NIST IR 8280 and 8429).
Groups are the evaluator's labels; nothing here guesses one.

A group that has too few people of whom two photos were compared, or whose comparisons of either kind are of too few
people to be drawn by the bootstrap, is shown with what it has and is not judged: it takes no part in the ratios. That
it has an interval all the same (Clopper and Pearson's, which takes comparisons as independent) says nothing of that.
People without a label are in no group, and their number is told. Comparisons with them count in the whole and in no
group.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from custodes.errors import Invalid
from custodes.evaluation.bootstrap import Integers, Measure, Shares, resample
from custodes.evaluation.enrolling import Progress, silent
from custodes.evaluation.metrics import FEW, Float64, percentiles, rate, threshold_score
from custodes.evaluation.results import CrossFigures, Differential, GroupFigures, Rate, Settings, Spread
from custodes.evaluation.scored import FAILED, NOBODY, Bool, Comparisons, Int32
from custodes.vision.manifest import Calibration

__all__ = ["Groups", "differential"]

_MOST_GROUPS = 100
"""Of one column; each pair of groups is told, so that more would make for a table that nobody reads."""


def differential(
    comparisons: Comparisons,
    column: str,
    scale: Calibration,
    settings: Settings,
    *,
    workers: int = 2,
    progress: Progress = silent,
) -> Differential:
    """Compare the groups of one column at ``settings.similarity``.

    Args:
        comparisons: with the column among ``people.groups``.
        column: its name.
        scale: from similarity to cosine.
        settings: threshold, rounds, seed and least number of people.
        workers: threads.
        progress: told of the bootstrap's rounds.

    Raises:
        Invalid: if there is no such column, it has too many groups, or its labels don't fit the people.
    """
    groups = Groups(comparisons, column, settings.similarity, scale.cosine(settings.similarity))
    rounds = resample(comparisons.people.count, groups.measures, settings, workers=workers, progress=progress)
    return groups.differential(rounds, settings)


class Groups:
    """The groups of one column, counted and made ready for a bootstrap that others share.

    Args:
        comparisons, column: see :func:`differential`.
        similarity, cosine: the threshold.

    Attributes:
        measures: what each round is to measure, for :meth:`differential`.

    Raises:
        Invalid: see :func:`differential`.
    """

    def __init__(self, comparisons: Comparisons, column: str, similarity: float, cosine: float) -> None:
        self._column, self._similarity, self._cosine = column, similarity, cosine
        self._names, self._labels = _labels(comparisons, column)
        size = len(self._names)
        subjects, matches = comparisons.subjects, comparisons.scores >= threshold_score(cosine)

        of = subjects[comparisons.mated, 0]
        self._misses = _Counted(of, self._labels[of], size, ~matches[comparisons.mated])
        self._compared = self._labels[np.unique(of[comparisons.scores[comparisons.mated] > FAILED])]

        pairs = subjects[~comparisons.mated]
        first, second = self._labels[pairs].T
        lower, higher = np.minimum(first, second), np.maximum(first, second)
        codes = np.where(lower == NOBODY, NOBODY, lower * size + higher)
        within = np.arange(size) * (size + 1)
        self._codes = np.union1d(codes[codes != NOBODY], within)  # pairs of groups that are compared, and each group
        self._within = np.searchsorted(self._codes, within)
        cells = np.where(codes == NOBODY, NOBODY, np.searchsorted(self._codes, codes))
        self._matches = _Counted(pairs, cells, len(self._codes), matches[~comparisons.mated])

        photos = comparisons.people
        self._failures = _Counted(photos.subjects, self._labels[photos.subjects], size, ~photos.enrolled)
        self.measures: tuple[Measure, ...] = (self._misses.shares, self._matches.shares, self._failures.shares)

    def differential(self, rounds: Sequence[Float64], settings: Settings) -> Differential:
        """Make the figures.

        Args:
            rounds: what the measures gave, in their order.
            settings: for ``least_subjects``.
        """
        misses = self._misses.rates(rounds[0], "mated comparisons")
        matches = self._matches.rates(rounds[1], "non-mated comparisons")
        failures = self._failures.rates(rounds[2], "photos")
        within = [matches[place] for place in self._within]
        lacks = [
            [*self._lacking(misses[i], rounds[0][:, i], "mated"), *self._lacking(within[i], of_group, "non-mated")]
            for i, of_group in enumerate(rounds[1][:, self._within].T)
        ]
        groups = [
            self._group(i, (within[i], misses[i], failures[i]), lacks[i], settings) for i in range(len(self._names))
        ]
        judged = [i for i, group in enumerate(groups) if group.enough]
        names = [self._names[i] for i in judged]
        return Differential(
            column=self._column,
            similarity=self._similarity,
            cosine=self._cosine,
            groups=tuple(groups),
            crosses=self._crosses(matches),
            spreads=(
                _spread("false match rate", names, [within[i] for i in judged], rounds[1][:, self._within[judged]]),
                _spread("false non-match rate", names, [misses[i] for i in judged], rounds[0][:, judged]),
            ),
            unlabelled=int((self._labels == NOBODY).sum()),
        )

    @staticmethod
    def _lacking(found: Rate, rounds: Float64, kind: str) -> list[str]:
        """Say why comparisons of one kind aren't enough, whatever their people are; nothing if they are."""
        if not found.trials:
            return [f"no {kind} comparison within the group; one is needed at least"]
        if percentiles(rounds) is None:
            return [f"its {kind} comparisons ({found.trials:,}) are of too few people"]
        return []

    def _group(
        self, index: int, rates: tuple[Rate, Rate, Rate], lacks: Sequence[str], settings: Settings
    ) -> GroupFigures:
        """Make the figures of one group.

        Args:
            index: which.
            rates: of false matches, of misses, of failures to enrol.
            lacks: why its comparisons aren't enough.
            settings: for ``least_subjects``.
        """
        match, miss, failure = rates
        people, compared = int((self._labels == index).sum()), int((self._compared == index).sum())
        if compared < settings.least_subjects:
            counted = f"{people:,} people" if compared == people else f"{compared:,} people of whom two photos compare"
            lacks = [f"{counted}; {settings.least_subjects} are needed", *lacks]
        return GroupFigures(
            name=self._names[index],
            subjects=people,
            photos=failure.trials,
            enough=not lacks,
            note="; ".join(lacks),
            false_match=match,
            false_non_match=miss,
            failure=failure,
            compared=compared,
        )

    def _crosses(self, matches: Sequence[Rate]) -> tuple[CrossFigures, ...]:
        """Return the figures of any two groups that were compared."""
        pairs = [divmod(code, len(self._names)) for code in self._codes.tolist()]
        return tuple(
            CrossFigures(self._names[a], self._names[b], found)
            for (a, b), found in zip(pairs, matches, strict=True)
            if a != b
        )


class _Counted:
    """Events and trials by cell, as they are and for a bootstrap.

    Args:
        subjects, cells, size, hits: see :class:`Shares`; what is in no cell (:data:`NOBODY`) is left out.
    """

    def __init__(self, subjects: Int32, cells: Integers, size: int, hits: Bool) -> None:
        kept = cells != NOBODY
        self.shares = Shares(subjects[kept], cells[kept], size, hits[kept])
        self._trials = np.bincount(cells[kept], minlength=size).tolist()
        self._events = np.bincount(cells[kept & hits], minlength=size).tolist()

    def rates(self, rounds: Float64, of: str) -> list[Rate]:
        """Return the share in each cell."""
        counted = zip(self._events, self._trials, rounds.T, strict=True)
        return [rate(events, trials, column, of=of) for events, trials, column in counted]


def _labels(comparisons: Comparisons, column: str) -> tuple[tuple[str, ...], Int32]:
    """Return the names of a column's groups in the alphabet's order, and everybody's group among them.

    Raises:
        Invalid: see :func:`differential`.
    """
    people = comparisons.people
    if column not in people.groups:
        raise Invalid(f"There is no column {column!r} among the labels.")
    names, labels = people.groups[column]
    if len(names) > _MOST_GROUPS:
        raise Invalid(
            f"Column {column!r} has {len(names):,} groups; {_MOST_GROUPS} can be compared.",
            remedy="Put labels together to fewer groups, or choose another column.",
        )
    if len(labels) != people.count or (labels >= len(names)).any() or (labels < NOBODY).any():
        raise Invalid(
            f"Column {column!r} has {len(labels):,} labels of {len(names)} groups for {people.count:,} people."
        )
    order = sorted(range(len(names)), key=lambda i: names[i])
    places = np.full(len(names) + 1, NOBODY, np.int32)  # the last, which is also number -1, is nobody's
    places[order] = np.arange(len(names))
    return tuple(names[i] for i in order), places[labels]


def _spread(measure: str, names: Sequence[str], rates: Sequence[Rate], rounds: Float64) -> Spread:
    """Tell how far groups lie apart.

    The ratios' intervals are those of the two groups that are named, so that they may reach below 1. Two different
    groups are named even if all rates are equal, and none if all are 0.

    Args:
        measure: what the rates are.
        names, rates: of the groups that are judged.
        rounds: ``(r, g)`` their rates in each round.
    """
    values = np.array([found.value for found in rates], np.float64)
    if len(values) < 2:
        told = "1 group has" if len(values) else "no group has"
        return Spread(measure, "", "", None, None, None, None, f"{told} enough data; a ratio needs two")
    if not values.any():
        note = f"no error was seen in any of these {len(names)} groups (none of {sum(r.trials for r in rates):,})"
        return Spread(measure, "", "", None, None, None, None, note)
    most = int(values.argmax())
    least = min((i for i in range(len(values)) if i != most), key=lambda i: float(values[i]))
    if not values[least]:
        note = (
            f"the lowest rate is 0 ({names[least]}: none of {rates[least].trials:,}), and nothing can be divided by it"
        )
        return Spread(measure, names[most], names[least], None, None, None, None, note)
    with np.errstate(divide="ignore", invalid="ignore"):
        to_least = percentiles(rounds[:, most] / rounds[:, least])
        to_mean = percentiles(rounds[:, most] / np.exp(np.log(rounds).mean(axis=1)))
    notes = []
    few = [name for name, found in zip(names, rates, strict=True) if found.events < FEW]
    if few:
        notes.append(f"rough: fewer than {FEW} errors in {', '.join(few)}")
    if to_least is None or to_mean is None:
        notes.append("no upper end: in too many of the bootstrap's rounds a group has no error or no comparison")
    return Spread(
        measure=measure,
        most=names[most],
        least=names[least],
        max_min=float(values[most] / values[least]),
        max_min_interval=to_least,
        max_geometric_mean=float(values[most] / np.exp(np.log(values).mean())),
        max_geometric_mean_interval=to_mean,
        note="; ".join(notes),
    )
