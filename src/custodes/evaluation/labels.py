# SPDX-License-Identifier: Apache-2.0
"""Labels of people and dates of photos, from a table: what groups are made of. Custodes infers none of them.

A label belongs to a person, never to a photo: a person whose photos have different ones is an error. So is a person
without one, unless the caller says that there may be some; they are then in no group, and are counted.
"""

from __future__ import annotations

import calendar
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import numpy.typing as npt

from custodes.errors import Invalid
from custodes.evaluation.scored import NOBODY, Int32
from custodes.evaluation.sheets import NO_VALUES, Fault, Problems, Sheet, shown
from custodes.evaluation.subjects import Subjects

__all__ = ["Float64", "Groups", "Labels", "check_columns", "read_labels"]

Float64 = npt.NDArray[np.float64]
Groups = dict[str, tuple[tuple[str, ...], Int32]]
"""By column: names of groups, and ``(s,)`` int32 for each person; see :class:`custodes.evaluation.scored.People`."""

_MOST_GROUPS = 50
_FEW_GROUPS = 5
"""So many groups are taken for groups however few people there are."""
_LONGEST = 100
_DATE = re.compile(r"([12]\d{3})(?:-(\d\d)(?:-(\d\d))?)?", re.ASCII)

_NO_VALUE = Fault(
    "a label is a word for a missing value",
    "Write what it is, or leave the cell empty and say that there may be people without a label.",
)
_LONG = Fault(f"a label has more than {_LONGEST} characters or some that can't be printed", "Write a short word.")
_EMPTY = Fault("a person's label is empty", "Write what it is, or say that there may be people without a label.")
_ABSENT = Fault("a person isn't in the table of labels", "Add them, or say that there may be people without a label.")
_DIFFERENT = Fault("a person has two labels in one column", "Give all rows of a person the same one.")
_ALIKE = Fault(
    "two labels differ by nothing but small letters or spaces",
    "Write a group the same in all its rows; if there are two, name them more clearly.",
)
_DATED_TWICE = Fault("a photo has two dates", "Leave one.")
_NO_DATE = Fault("that is no date", "Write a year (2019), a month (2019-05) or a day (2019-05-31), or nothing.")


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """What a table says of people and photos.

    Attributes:
        groups: see :data:`Groups`.
        taken: ``(p,)`` float64, year and its fraction; NaN where none is told; None if no column tells it.
        notes: for the reader.
    """

    groups: Groups = field(default_factory=dict)
    taken: Float64 | None = None
    notes: tuple[str, ...] = ()


def check_columns(by: Sequence[str], taken: str | None, labels: bool) -> None:
    """Check which columns an evaluator asks for.

    Raises:
        Invalid: if a column is asked for twice, is a key, or there is no table of labels; or if there is one and
            nothing is asked of it.
    """
    asked = [*by, *([taken] if taken is not None else [])]
    twice = sorted({c for c in asked if asked.count(c) > 1})
    if twice:
        raise Invalid(f"The column {shown(twice[0], 40)} is asked for twice.", remedy="Name each column once.")
    if any(c in ("image", "subject", "") for c in asked):
        raise Invalid("image and subject are no groups.", remedy="Name a column of labels.")
    if asked and not labels:
        raise Invalid("Groups and dates need a table of labels.", remedy="Name the table, too.")
    if labels and not asked:
        raise Invalid("No column of the table of labels is asked for.", remedy="Name those by which to group.")


def read_labels(
    sheet: Sheet,
    who: Subjects,
    by: Sequence[str],
    taken: str | None,
    *,
    unlabelled: bool,
    problems: Problems,
    again: bool = False,
) -> Labels:
    """Read the columns that are asked for.

    Args:
        sheet: has a column ``image`` or, without one, ``subject``; and those that are asked for; dates need ``image``.
        who: the people and photos that are evaluated.
        by: columns of labels.
        taken: column of dates, or None.
        unlabelled: whether there may be people without a label.
        problems: told of rows that are wrong; all that it knows is told then.
        again: whether the table was read before, and ``problems`` knows of its rows that aren't whole.

    Raises:
        Invalid: if rows are wrong; if a column is no column of groups; or if dates are asked for and no photo has one.
    """
    image = sheet.at("image")
    key = image if image >= 0 else sheet.at("subject")
    columns = [_Column(c, sheet.at(c)) for c in by]
    dates = np.full(len(who.subjects), np.nan)
    strangers = 0
    for row, cells in sheet.rows(Problems() if again else problems):
        photo = who.photos.find(cells[key]) if image >= 0 else -1
        person = (who.subjects[photo] if photo >= 0 else -1) if image >= 0 else who.find(cells[key])
        strangers += person < 0
        for column in columns:
            column.take(sheet.name, row, cells[column.at], person, who, problems)
        if taken is not None:
            _date(sheet, row, cells[sheet.at(taken)], photo, dates, problems)
    if not unlabelled and (image < 0 or not problems):  # a photo that is missing may be the one with the label
        for column in columns:
            column.miss(sheet.name, who, problems)
    problems.check()
    notes = [f"rows of the table of labels that are about others, and weren't used: {strangers}"] if strangers else []
    groups = {c.name: c.groups(sheet.name, len(who.names)) for c in columns}
    notes += [
        f"people without a label in the column {shown(name, 40)}: {missing} of {len(who.names)}"
        for name, (_, of) in groups.items()
        if (missing := int((of == NOBODY).sum()))
    ]
    undated = int(np.isnan(dates).sum())
    if taken is not None and undated == len(dates):
        raise Invalid(f"{sheet.name} has no date of any photo.", remedy="Ask for no dates, or write them.")
    if taken is not None and undated:
        notes.append(f"photos of which it isn't known when they were taken: {undated} of {len(dates)}")
    return Labels(groups, None if taken is None else dates, tuple(notes))


class _Column:
    """Labels of one column, as they are read."""

    def __init__(self, name: str, at: int) -> None:
        self.name = name
        self.at = at
        self._of: dict[int, tuple[str, int]] = {}
        self._blank: dict[int, int] = {}
        self._written: dict[str, tuple[str, int]] = {}

    def take(self, table: str, row: int, label: str, person: int, who: Subjects, problems: Problems) -> None:
        """Take a person's label (-1: somebody's who isn't evaluated)."""
        told = f"column {self.name}: {label}"
        if label.lower() in NO_VALUES:
            problems.add(table, _NO_VALUE, row, told)
        elif len(label) > _LONGEST or not (label.isprintable() or not label):
            problems.add(table, _LONG, row, told)
        elif person < 0:
            return
        elif not label:
            self._blank.setdefault(person, row)
        else:
            word = unicodedata.normalize("NFC", label)
            first, line = self._written.setdefault(" ".join(word.split()).casefold(), (word, row))
            before, where = self._of.setdefault(person, (word, row))
            if first != word:
                problems.add(table, _ALIKE, row, f"{told}, in row {line} {first}")
            elif before != word:
                problems.add(table, _DIFFERENT, row, f"{who.names[person]}: {label}, in row {where} {before}")

    def miss(self, table: str, who: Subjects, problems: Problems) -> None:
        """Tell who has no label."""
        absent: dict[int, int] = {}
        for photo, person in enumerate(who.subjects):
            if person >= 0 and person not in self._of:
                absent.setdefault(person, who.photos.rows[photo])
        for person, row in absent.items():
            if person in self._blank:
                problems.add(table, _EMPTY, self._blank[person], f"column {self.name}: {who.names[person]}")
            else:
                problems.add(who.table, _ABSENT, row, who.names[person])

    def groups(self, table: str, people: int) -> tuple[tuple[str, ...], Int32]:
        """Return the names of groups, and who is in which."""
        names = tuple(sorted({label for label, _ in self._of.values()}))
        if not names:
            raise Invalid(f"{table}: nobody has a label in the column {shown(self.name, 40)}.", remedy="Write them.")
        if len(names) > _MOST_GROUPS or (len(names) > _FEW_GROUPS and 2 * len(names) > len(self._of)):
            raise Invalid(
                f"{table}: the column {shown(self.name, 40)} has {len(names)} different labels for "
                f"{len(self._of)} people, which are no groups.",
                remedy=f"Name a column with at most {_MOST_GROUPS} labels, each of several people.",
            )
        numbers = {name: i for i, name in enumerate(names)}
        of = np.full(people, NOBODY, np.int32)
        for person, (label, _) in self._of.items():
            of[person] = numbers[label]
        return names, of


def _date(sheet: Sheet, row: int, text: str, photo: int, dates: Float64, problems: Problems) -> None:
    if not text:
        return
    year = _year(text)
    if year is None:
        problems.add(sheet.name, _NO_DATE, row, text)
    elif photo >= 0 and not np.isnan(dates[photo]) and dates[photo] != year:
        problems.add(sheet.name, _DATED_TWICE, row, text)
    elif photo >= 0:
        dates[photo] = year


def _year(text: str) -> float | None:
    """Return a date as a year with its fraction; a year or a month alone is its middle."""
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    year, month, day = (int(g) if g else 0 for g in found.groups())
    if not month:
        return None if found[2] else year + 0.5
    if not day:
        return year + (month - 0.5) / 12 if month <= 12 and not found[3] else None
    try:
        passed = date(year, month, day).timetuple().tm_yday - 0.5
    except ValueError:
        return None
    return year + passed / (366 if calendar.isleap(year) else 365)
