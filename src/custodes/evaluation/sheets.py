# SPDX-License-Identifier: Apache-2.0
"""One table of the evaluator's, and the photos that it names: hostile until they are read.

A table is CSV (RFC 4180) in UTF-8 with a heading. Rows are numbered as in a spreadsheet: the heading is row 1.
A photo's name is a path below the folder of images, folders parted by ``/``. What is wrong is gathered in
:class:`Problems` and told together, with its rows: no row is passed over. Memory is bounded by the limits here.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import io
import math
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from custodes.casework.imports import printable
from custodes.errors import Invalid, NotFound

__all__ = ["NO_VALUES", "Fault", "Photos", "Problems", "Sheet", "number", "open_sheet", "shown"]

NO_VALUES = frozenset(
    (
        "nan",
        "-nan",
        "null",
        "none",
        "nil",
        "n/a",
        "na",
        "<na>",
        "#n/a",
        "#n/a n/a",
        "#na",
        "1.#ind",
        "-1.#ind",
        "1.#qnan",
    )
)
"""Words, in lower case, that programs write where there was no value."""

_BYTES = 200_000_000
_ROWS = 10_000_000
_COLUMNS = 1000
_PHOTO_BYTES = 200_000_000
_TOLD = 20
"""Rows that a message names; of the others, how many there are."""
_NAME = 100
_ALIKE = 0.82
"""A column whose name is as alike to that of a known one (difflib's ratio) is taken for a slip."""
_SPREADSHEET = "Save the table as CSV in UTF-8, with commas between cells, and try again."
_MARKS = {";": "semicolons", "\t": "tabs"}
"""What parts the cells of tables that are no CSV."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of thing that is wrong with rows: what it is, and what to do."""

    says: str
    remedy: str


_RAGGED = Fault("a row has more or fewer cells than the heading", "Give each row as many cells as there are columns.")
_NULS = Fault("a cell holds a NUL byte", _SPREADSHEET)
_NAMELESS = Fault("no photo is named", "Name one in each row.")
_OUTSIDE = Fault(
    "a photo lies outside the folder of images",
    "Write paths that start in that folder, without '..', and let no link lead out of it.",
)
_MISSING = Fault(
    "a photo isn't there, or can't be read",
    "Put it into the folder of images, or mend its path: it starts in that folder, and folders are parted by '/'.",
)

_HUGE = Fault(f"a photo has more than {_PHOTO_BYTES:,} bytes", "Bring a smaller one.")


def shown(text: str, most: int = _NAME) -> str:
    """Return a hostile text as it may be printed in one line."""
    return printable(text, most) + ("..." if len(text) > most else "")


class Problems:
    """What is wrong with tables, by table and kind."""

    def __init__(self) -> None:
        self._count: dict[tuple[str, Fault], int] = {}
        self._told: dict[tuple[str, Fault], list[str]] = {}

    def add(self, table: str, fault: Fault, row: int, what: str = "") -> None:
        """Note that a row is wrong; ``what`` says more of it."""
        kind = (table, fault)
        self._count[kind] = self._count.get(kind, 0) + 1
        told = self._told.setdefault(kind, [])
        if len(told) < _TOLD:
            told.append(f"row {row} ({shown(what, 2 * _NAME)})" if what else f"row {row}")

    def __bool__(self) -> bool:
        return bool(self._count)

    def check(self) -> None:
        """Tell all that is wrong, a line for each kind in each table, with what to do about it.

        Raises:
            Invalid: if anything is.
        """
        if not self._count:
            return
        lines = []
        for (table, fault), count in self._count.items():
            told = self._told[table, fault]
            more = f", and {count - len(told)} more" if count > len(told) else ""
            lines.append(f"{table}: {fault.says}: {', '.join(told)}{more}. {fault.remedy}")
        *_, (_, last) = self._count  # each remedy stands behind what it is for: the last one, behind the message
        raise Invalid("\n".join(lines).removesuffix(f" {last.remedy}"), remedy=last.remedy)


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """A table whose heading is read.

    Attributes:
        name: of the file, as messages tell it.
        columns: as the heading names them; known ones in lower case.
        sha256: of its bytes, hexadecimal.
        data: its bytes.
    """

    name: str
    columns: tuple[str, ...]
    sha256: str
    data: bytes = field(repr=False)

    def has(self, column: str) -> bool:
        """Tell whether it has a column."""
        return column in self.columns

    def at(self, column: str) -> int:
        """Return where a column is; -1 if there is none."""
        return self.columns.index(column) if column in self.columns else -1

    def rows(self, problems: Problems) -> Iterator[tuple[int, list[str]]]:
        """Yield each row that isn't blank: its number, and a cell for each column, without space around it.

        Args:
            problems: told of rows that aren't whole, which are not yielded.

        Raises:
            Invalid: from a row on, if the rest is no CSV; or if there are too many rows.
        """
        nul, width = b"\0" in self.data, len(self.columns)
        for row, cells in _parsed(self.name, self.data):
            if row == 1 or not cells:
                continue
            if len(cells) != width:
                problems.add(self.name, _RAGGED, row, f"{len(cells)} instead of {width}")
            elif nul and any("\0" in cell for cell in cells):
                problems.add(self.name, _NULS, row)
            else:
                yield row, [cell.strip() for cell in cells]

    def unread(self, read: Collection[str]) -> tuple[str, ...]:
        """Say how many columns are not read, as a note: none or one. Their names may be about people, and stay out."""
        others = sum(not c or c not in read for c in self.columns)
        return (f"columns of the table that aren't read: {others}",) if others else ()


def open_sheet(path: Path, *, needed: Sequence[str], known: Sequence[str] = (), asked: Sequence[str] = ()) -> Sheet:
    """Open a table and read its heading.

    Args:
        path: the file.
        needed: columns without which it can't be read.
        known: other columns that mean something.
        asked: columns that the evaluator named.

    Raises:
        NotFound: if there is no such file, or it can't be read.
        Invalid: if it is no such table, is too large, a column is missing or there twice, or one has a name so like
            that of a known column that it must be a slip.
    """
    data, name = _bytes(path), shown(path.name)
    first = next(_parsed(name, data), (1, []))[1]
    if len(first) == 1 and (parted := next((word for mark, word in _MARKS.items() if mark in first[0]), None)):
        raise Invalid(f"{name}: its cells are parted by {parted}.", remedy=_SPREADSHEET)
    columns = _heading(name, [c.strip() for c in first], (*needed, *known), asked)
    lacking = [shown(c, 40) for c in (*needed, *asked) if c not in columns]
    if lacking:
        there = ", ".join(shown(c, 40) for c in columns[:_TOLD])
        told = f"names the columns; there are: {there}" if any(columns) else "is empty, and should name the columns"
        raise Invalid(f"{name} has no column {' and no column '.join(lacking)}.", remedy=f"Its first row {told}.")
    return Sheet(name, columns, hashlib.sha256(data).hexdigest(), data)


def _unlike(path: Path, meant: str) -> str:
    """Say that there is nothing at a path, or something of another kind."""
    name = shown(str(path), 2 * _NAME)
    kind = _kind(path)
    return f"{name} is a {kind}, not a {meant}." if kind else f"There is no {meant} {name}."


def _kind(path: Path) -> str:
    """Return what is at a path, empty if there is nothing or it can't be looked at."""
    try:
        if path.is_dir():
            return "folder"
        if path.is_file():
            return "file"
        return "pipe or a device" if path.exists() else ""
    except OSError:
        return ""


def _bytes(path: Path) -> bytes:
    name = shown(path.name)
    try:
        if not path.is_file():
            raise NotFound(_unlike(path, "table"), remedy="Name a CSV file.")
        with path.open("rb") as file:
            data = file.read(_BYTES + 1)
    except (OSError, ValueError) as e:  # ValueError: a NUL in the path
        raise NotFound(f"The table {name} can't be read.", remedy="Name a CSV file that you may read.") from e
    if len(data) > _BYTES:
        raise Invalid(f"{name} has more than {_BYTES:,} bytes.", remedy="Evaluate in parts.")
    return data


def _parsed(name: str, data: bytes) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline=""), strict=True)
    row = 0
    try:
        for cells in reader:
            row += 1
            if row > _ROWS + 1:
                raise Invalid(f"{name} has more than {_ROWS:,} rows.", remedy="Evaluate in parts.")
            yield row, cells
    except csv.Error as e:
        remedy = "Mend its quotes." if row else _SPREADSHEET
        raise Invalid(f"{name}: row {row + 1} is no CSV: {e}.", remedy=remedy) from e
    except UnicodeDecodeError as e:
        raise Invalid(f"{name}: line {_bad_line(data)} is no UTF-8.", remedy=_SPREADSHEET) from e


def _bad_line(data: bytes) -> int:
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        return data.count(b"\n", 0, e.start) + 1
    return 1


def _heading(name: str, heading: Sequence[str], known: Sequence[str], asked: Sequence[str]) -> tuple[str, ...]:
    if len(heading) > _COLUMNS:
        raise Invalid(f"{name} has more than {_COLUMNS} columns.")
    if any("\0" in c for c in heading):
        raise Invalid(f"{name}: row 1 holds a NUL byte.", remedy=_SPREADSHEET)
    columns = tuple(c.lower() if c.lower() in known and c not in asked else c for c in heading)
    small = [c.lower() for c in columns if c]
    twice = sorted({c for c in small if small.count(c) > 1})
    if twice:
        told = ", ".join(shown(c, 40) for c in twice[:_TOLD])
        raise Invalid(f"{name}: row 1 names a column twice: {told}.", remedy="Give each column a name of its own.")
    for column in columns:
        if column and column not in known and column not in asked:
            _refuse_slip(name, column, known)
    return columns


def _refuse_slip(name: str, column: str, known: Sequence[str]) -> None:
    plain = {"".join(ch for ch in k if ch.isalnum()): k for k in known}
    own = "".join(ch for ch in column.lower() if ch.isalnum())
    like = difflib.get_close_matches(own, plain, 1, _ALIKE)
    if like:
        meant = plain[like[0]]
        raise Invalid(
            f"{name}: row 1 names a column {shown(column, 40)}, which isn't known and may be meant for {meant}.",
            remedy=f"Name it {meant}, or give it a name that is less like that.",
        )


def number(text: str) -> float | None:
    """Return a plain decimal number, or None if it isn't one that is finite."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and text.isascii() and "_" not in text else None


class Photos:
    """The photos that a table names, numbered from 0 as they are first named.

    Args:
        folder: that of the images.

    Attributes:
        names: as they are named, ``./`` and ``//`` taken out.
        rows: the row that first names each.

    Raises:
        NotFound: if there is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        if _kind(folder) != "folder":
            raise NotFound(_unlike(folder, "folder"), remedy="Name the folder of the images.")
        self._folder = folder
        self._root = Path(os.path.realpath(folder))
        self._texts: dict[str, int] = {}
        self._numbers: dict[str, int] = {}
        self.names: list[str] = []
        self.rows: list[int] = []

    def number(self, text: str, table: str, row: int, problems: Problems) -> int:
        """Return the number of a photo; -1 if it can't be used, which ``problems`` is told of once."""
        found = self._texts.get(text)
        if found is None:
            found = self._texts[text] = self._new(text, table, row, problems)
        return found

    def find(self, text: str) -> int:
        """Return the number of a photo that was named before, or -1."""
        return self._numbers.get(str(PurePosixPath(text)), -1)

    def parts(self, photo: int) -> tuple[str, ...]:
        """Return the folders of a photo and its name."""
        return PurePosixPath(self.names[photo]).parts

    def paths(self) -> tuple[Path, ...]:
        """Return where each photo is."""
        return tuple(self._folder / name for name in self.names)

    def _new(self, text: str, table: str, row: int, problems: Problems) -> int:
        name = str(PurePosixPath(text))
        if name in self._numbers:
            return self._numbers[name]
        fault = self._fault(text)
        if fault is not None:
            problems.add(table, fault, row, text)
            return -1
        self._numbers[name] = len(self.names)
        self.names.append(name)
        self.rows.append(row)
        return self._numbers[name]

    def _fault(self, text: str) -> Fault | None:
        path = PurePosixPath(text)
        if not path.parts:
            return _NAMELESS
        if path.is_absolute() or ".." in path.parts:
            return _OUTSIDE
        try:
            real = Path(os.path.realpath(self._root / path))
            if not real.is_relative_to(self._root):
                return _OUTSIDE
            if not (real.is_file() and os.access(real, os.R_OK)):
                return _MISSING
            return _HUGE if real.stat().st_size > _PHOTO_BYTES else None
        except OSError:  # a name that the file system can't have, for one
            return _MISSING
