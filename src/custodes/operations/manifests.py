# SPDX-License-Identifier: Apache-2.0
"""Reading a manifest: a CSV table (RFC 4180, UTF-8) whose rows name image files and say where these come from.

Columns: ``file`` (a path below the manifest's folder, or a ``file:`` URL that leads there), ``provenance``,
``basis``, ``source``, ``taken_at``, ``sensitive``. Only ``file`` is needed. What has no column the import itself says
for all; where there is one for provenance, basis or source, each row says something there. A column of another name is
an error, so that nothing that somebody has written down is passed over.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from custodes.casework.imports import printable
from custodes.errors import Invalid
from custodes.governance import Provenance
from custodes.operations.refusals import Reason

__all__ = ["COLUMNS", "Row", "Told", "rows"]

COLUMNS = ("file", "provenance", "basis", "source", "taken_at", "sensitive")
_BYTES = 100_000_000
_TEXT = 500
_TRUTHS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Told:
    """What is said of one image; None is what the import says of all."""

    provenance: str | None = None
    basis: str | None = None
    source: str | None = None
    taken_at: datetime | None = None
    sensitive: bool | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the file as it is written, the way to it from the manifest's folder, and why it isn't taken, if so."""

    name: str
    parts: tuple[str, ...] = ()
    told: Told = field(default_factory=Told)
    refused: Reason | None = None


class _Unfit(Exception):
    """A row isn't taken."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason


def rows(file: BinaryIO, folder: Path, most: int) -> tuple[Row, ...]:
    """Read a manifest.

    Args:
        file: its bytes.
        folder: the folder that it is in.
        most: it has at most so many rows.

    Raises:
        Invalid: if it is no such table, a column is unknown, missing or there twice, or it has too many rows.
    """
    data = file.read(_BYTES + 1)
    if len(data) > _BYTES:
        raise Invalid(f"The manifest has more than {_BYTES} bytes.", remedy="Import it in parts.")
    try:
        reader = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
    except UnicodeDecodeError as e:
        raise Invalid("The manifest is no UTF-8.", remedy="Save it as CSV in UTF-8.") from e
    try:
        columns = _columns(next(reader, []))
        found = []
        for cells in reader:
            if cells:
                found.append(_row(columns, cells, folder))
            if len(found) > most:
                raise Invalid(f"The manifest has more than {most} rows.", remedy="Import it in parts.")
    except csv.Error as e:
        raise Invalid(f"Line {reader.line_num} of the manifest is no CSV.", remedy="Mend it, and begin anew.") from e
    return tuple(found)


def _columns(heading: Sequence[str]) -> tuple[str, ...]:
    names = tuple(h.strip().lower() for h in heading)
    strays = [printable(n, 40) or "(nameless)" for n in names if n not in COLUMNS]
    if strays:
        known = ", ".join(COLUMNS)
        raise Invalid(f"The manifest has unknown columns: {', '.join(strays[:20])}.", remedy=f"There are: {known}.")
    if len(set(names)) < len(names):
        raise Invalid("A column of the manifest is there twice.")
    if "file" not in names:
        raise Invalid("The manifest has no column file.", remedy=f"Its first row names the columns: {COLUMNS[0]}, ...")
    return names


def _row(columns: Sequence[str], cells: Sequence[str], folder: Path) -> Row:
    told = dict(zip(columns, (c.strip() for c in cells), strict=False))
    name = told.get("file", "")
    try:
        if len(cells) > len(columns):
            raise _Unfit(Reason.CELLS)
        said = Told(
            provenance=_provenance(columns, told),
            basis=_said(columns, told, "basis", Reason.NO_BASIS),
            source=_said(columns, told, "source", Reason.NO_SOURCE),
            taken_at=_date(told.get("taken_at", "")),
            sensitive=_truth(told.get("sensitive", "")),
        )
        return Row(name, _parts(name, folder), said)
    except _Unfit as e:
        return Row(name, refused=e.reason)


def _provenance(columns: Sequence[str], told: Mapping[str, str]) -> str | None:
    if "provenance" not in columns:
        return None
    word = told.get("provenance", "")
    if not word:
        raise _Unfit(Reason.NO_PROVENANCE)
    if word == Provenance.SCRAPED:
        raise _Unfit(Reason.SCRAPED)
    if word not in set(Provenance):
        raise _Unfit(Reason.PROVENANCE)
    return word


def _said(columns: Sequence[str], told: Mapping[str, str], name: str, missing: Reason) -> str | None:
    if name not in columns:
        return None
    text = told.get(name, "")
    if not text:
        raise _Unfit(missing)
    if len(text) > _TEXT or not text.isprintable():
        raise _Unfit(Reason.TEXT)
    return text


def _date(text: str) -> datetime | None:
    if not text:
        return None
    try:
        value = datetime.fromisoformat(text)
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as e:
        raise _Unfit(Reason.DATE) from e


def _truth(text: str) -> bool | None:
    if text and text.lower() not in _TRUTHS:
        raise _Unfit(Reason.SENSITIVE)
    return _TRUTHS.get(text.lower())


def _parts(name: str, folder: Path) -> tuple[str, ...]:
    """Return the way to a file from the manifest's folder."""
    scheme, colon, _ = name.partition(":")
    if colon and len(scheme) > 1 and scheme[0].isalpha() and scheme.replace("+", "").replace(".", "").isalnum():
        path = _path_of(name, folder)
    else:
        path = PurePosixPath(name)
    if not path.parts:
        raise _Unfit(Reason.MISSING)
    if path.is_absolute() or ".." in path.parts or "\0" in str(path):
        raise _Unfit(Reason.OUTSIDE)
    return path.parts


def _path_of(url: str, folder: Path) -> PurePosixPath:
    try:
        parsed = urlsplit(url)
    except ValueError as e:
        raise _Unfit(Reason.OUTSIDE) from e
    if parsed.scheme.lower() != "file" or parsed.netloc.lower() not in ("", "localhost"):
        raise _Unfit(Reason.NETWORK)
    path = PurePosixPath(unquote(parsed.path, errors="surrogateescape"))
    if not path.is_absolute():
        return path
    for root in (folder, folder.resolve()):
        if path.is_relative_to(root):
            return path.relative_to(root)
    raise _Unfit(Reason.OUTSIDE)
