# SPDX-License-Identifier: Apache-2.0
"""Which counts of a report may be told, so that none points at single people: primary and complementary suppression.

Counts from 1 to 4 are not told. Nor is any that would give one of them away: counts that add up to a total that is told
are held against it, and more of them are withheld, the smallest first, until none that is hidden can be worked out from
what is told. What a reader can work out is bounded by passing intervals along the sums until nothing narrows; as long
as the sums form a tree (no two share more than one count, no ring of them) these bounds are exact.

Limits: a reader who knows how the next count is chosen may narrow it down further, and who knows one hidden count from
elsewhere may work out another. Reports of overlapping periods are not held against one another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

__all__ = ["LEAST", "Group", "Key", "Mark", "suppress"]

LEAST = 5
"""The smallest count, other than 0, that is told."""

Key: TypeAlias = tuple[str, ...]

_MOST = 1 << 62  # more than can be counted


class Mark(Enum):
    """Why a count is not told, and what a reader learns: the least and the most that it may be."""

    SMALL = (1, LEAST - 1)
    """It is from 1 to 4, and the report says so."""
    NEXT = (LEAST, _MOST)
    """It would give a small one away."""
    VEILED = (0, _MOST)
    """The report doesn't say which of the two it is, as that would be too much."""


@dataclass(frozen=True, slots=True)
class Group:
    """Counts and their total.

    Attributes:
        total: the total's key.
        parts: the keys of the counts.
        overlap: whether one thing may be counted by several parts, so that they sum to the total or to more.
    """

    total: Key
    parts: tuple[Key, ...]
    overlap: bool = False

    @property
    def keys(self) -> tuple[Key, ...]:
        """All keys: the parts, and then the total."""
        return (*self.parts, self.total)


@dataclass(slots=True)
class _Bounds:
    """What a reader can work out: for each key the least and the most that it may be."""

    low: dict[Key, int]
    high: dict[Key, int]

    @classmethod
    def of(cls, values: Mapping[Key, int], hidden: Mapping[Key, Mark]) -> _Bounds:
        """Begin with what is told: counts, and marks in the place of those that are hidden."""
        return cls(
            {k: hidden[k].value[0] if k in hidden else v for k, v in values.items()},
            {k: hidden[k].value[1] if k in hidden else v for k, v in values.items()},
        )

    def narrowed(self, groups: Sequence[Group]) -> _Bounds:
        """Let all groups narrow the counts until none does any more."""
        while any(self.narrow(group) for group in groups):
            pass
        return self

    def narrow(self, group: Group) -> bool:
        """Let a group narrow its counts; tell whether it did."""
        changed = False
        for key, low, high in list(self.implied(group)):
            if low > self.low[key]:
                self.low[key], changed = low, True
            if high < self.high[key]:
                self.high[key], changed = high, True
        return changed

    def implied(self, group: Group) -> Iterator[tuple[Key, int, int]]:
        """Work out, for each count of a group, the least and the most that the others leave to it."""
        low = sum(self.low[k] for k in group.parts)
        high = sum(self.high[k] for k in group.parts)
        total_low, total_high = self.low[group.total], self.high[group.total]
        if group.overlap:
            yield group.total, max((self.low[k] for k in group.parts), default=0), high
            for k in group.parts:
                yield k, total_low - (high - self.high[k]), total_high
            return
        yield group.total, low, high
        for k in group.parts:
            yield k, total_low - (high - self.high[k]), total_high - (low - self.low[k])


def suppress(values: Mapping[Key, int], groups: Sequence[Group], known: Set[Key] = frozenset()) -> dict[Key, Mark]:
    """Choose which counts are not told.

    Args:
        values: the counts.
        groups: which of them add up to which.
        known: what everybody knows anyway; it is told, and held to be known.

    Returns:
        Why they aren't told, for those that aren't.
    """
    hidden = {k: Mark.SMALL for k, v in values.items() if 0 < v < LEAST and k not in known}
    places: dict[Key, list[Group]] = {}
    for group in groups:
        for key in group.keys:
            places.setdefault(key, []).append(group)
    while found := _given_away(values, groups, places, hidden):
        if not any(_hide_more(group, values, places, hidden, known) for group in found):
            break  # nothing is left that could be hidden
    bounds = _Bounds.of(values, hidden).narrowed(groups)
    return {k: mark for k, mark in hidden.items() if values[k] or bounds.low[k] != bounds.high[k]}


def _given_away(
    values: Mapping[Key, int],
    groups: Sequence[Group],
    places: Mapping[Key, Sequence[Group]],
    hidden: Mapping[Key, Mark],
) -> list[Group]:
    """Return the groups by which a hidden count could be worked out; first those that give it away by themselves."""
    marks, bounds = _Bounds.of(values, hidden), _Bounds.of(values, hidden).narrowed(groups)
    alone: list[Group] = []
    together: list[Group] = []
    for key in hidden:
        if bounds.low[key] != bounds.high[key] or not values[key]:
            continue  # a zero that is found out does no harm unless it gives another away; it is told in the end
        for group in places.get(key, ()):
            low, high = next((low, high) for k, low, high in marks.implied(group) if k == key)
            by_itself = max(low, marks.low[key]) == min(high, marks.high[key])
            (alone if by_itself else together).append(group)
    return alone + together


def _hide_more(
    group: Group,
    values: Mapping[Key, int],
    places: Mapping[Key, Sequence[Group]],
    hidden: dict[Key, Mark],
    known: Set[Key],
) -> bool:
    """Hide one count more of a group, or say less of those that are hidden; tell whether there was anything to do.

    The smallest is hidden first; of zeros, one that isn't broken down, as its parts would have to be hidden too.
    """
    shown = sorted((values[k], len(places[k]), k) for k in group.parts if k not in hidden and k not in known)
    larger = [k for value, _, k in shown if value]
    marked = [k for k in group.keys if hidden.get(k, Mark.VEILED) is not Mark.VEILED]
    if larger:
        hidden[larger[0]] = Mark.NEXT
    elif marked:
        hidden.update(dict.fromkeys(marked, Mark.VEILED))
    elif shown:
        hidden[shown[0][2]] = Mark.VEILED
    elif group.total not in hidden and group.total not in known:
        hidden[group.total] = Mark.VEILED
    else:
        return False
    return True
