# SPDX-License-Identifier: Apache-2.0
"""Faces that somebody marked in photos, by a point or a box each: what detection is measured against."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from custodes.domain import Float32
from custodes.errors import Invalid
from custodes.evaluation.sheets import Fault, Photos, Problems, Sheet, number, open_sheet

__all__ = ["MarkSet", "read_marks"]

_POINTS = ("x", "y")
_BOXES = ("left", "top", "width", "height")
_SUFFIXES = (".jpg", ".jpeg", ".png")
_FARTHEST = 1_000_000

_NUMBERS = Fault(
    "a mark isn't made of plain numbers of pixels",
    "Write decimal numbers; a photo without faces has one row with the image alone, and empty cells.",
)
_SIZE = Fault("a box has no size", "Write a width and a height above 0.")
_NEGATIVE = Fault("a point lies left of the picture or above it", "Write pixels of the upright picture, from 0.")
_TWICE = Fault("a face is marked twice", "Leave one of the rows.")
_CONTRARY = Fault("a photo has faces and a row that says it has none", "Leave what is right.")


@dataclass(frozen=True, slots=True, eq=False)
class MarkSet:
    """Photos and the faces marked in them.

    Attributes:
        table: name of the file that names the photos.
        paths, names: for each photo its path and its name in the table.
        by: ``points`` or ``boxes``.
        marks: for each photo ``(m, 2)`` float32, x and y, or ``(m, 4)``, left, top, width, height; in pixels of the
            upright picture.
        rows: for each photo the rows that name it, one for each mark, or the one that says that it shows nobody.
        sha256: of the table's bytes.
        notes: for the reader of results.
    """

    table: str
    paths: tuple[Path, ...]
    names: tuple[str, ...]
    by: str
    marks: tuple[Float32, ...]
    rows: tuple[tuple[int, ...], ...]
    sha256: tuple[str, ...]
    notes: tuple[str, ...] = ()


def read_marks(marks: Path, images: Path) -> MarkSet:
    """Read marks: image and x, y (any point of the face) or image and left, top, width, height, a row for each face.

    A photo that shows nobody has one row with empty cells but the image. Photos that no row names are not evaluated,
    which a note says.

    Args:
        marks: the table.
        images: the folder in which paths start.

    Raises:
        NotFound: if the table or the folder isn't there.
        Invalid: if anything in the table is wrong; what, in which rows, and what to do.
    """
    sheet = open_sheet(marks, needed=("image",), known=(*_POINTS, *_BOXES))
    columns = _columns(sheet)
    problems, photos = Problems(), Photos(images)
    found: list[dict[tuple[float, ...], int]] = []
    for row, cells in sheet.rows(problems):
        photo = photos.number(cells[sheet.at("image")], sheet.name, row, problems)
        found.extend({} for _ in range(len(photos.names) - len(found)))
        mark = _mark(sheet, columns, row, cells, problems)
        if photo < 0 or mark is None:
            continue
        own = found[photo]
        if mark in own:
            problems.add(sheet.name, _TWICE, row, f"{photos.names[photo]}, as in row {own[mark]}")
        elif own and (not mark or () in own):
            problems.add(sheet.name, _CONTRARY, row, f"{photos.names[photo]}, see row {next(iter(own.values()))}")
        own.setdefault(mark, row)
    problems.check()
    if not found:
        raise Invalid(f"{sheet.name} has no rows.", remedy="Write a row for each face, and one for a photo without.")
    left = _unnamed(images, photos)
    notes = [f"photos of the folder that no row names, and that weren't evaluated: {left}"] if left else []
    return MarkSet(
        table=sheet.name,
        paths=photos.paths(),
        names=tuple(photos.names),
        by="points" if columns == _POINTS else "boxes",
        marks=tuple(np.array([m for m in own if m], np.float32).reshape(-1, len(columns)) for own in found),
        rows=tuple(tuple(own.values()) for own in found),
        sha256=(sheet.sha256,),
        notes=(*notes, *sheet.unread(("image", *columns))),
    )


def _columns(sheet: Sheet) -> tuple[str, ...]:
    points, boxes = ([c for c in kind if sheet.has(c)] for kind in (_POINTS, _BOXES))
    if len(points) == len(_POINTS) and not boxes:
        return _POINTS
    if len(boxes) == len(_BOXES) and not points:
        return _BOXES
    raise Invalid(
        f"{sheet.name} marks neither points (image, x, y) nor boxes (image, left, top, width, height).",
        remedy="Name the columns of the one or the other, and not of both.",
    )


def _mark(
    sheet: Sheet, columns: Sequence[str], row: int, cells: Sequence[str], problems: Problems
) -> tuple[float, ...] | None:
    """Return a mark, without numbers if the row has none; None if it is wrong."""
    texts = [cells[sheet.at(c)] for c in columns]
    if not any(texts):
        return ()
    values = [v for v in map(number, texts) if v is not None and abs(v) <= _FARTHEST]
    fault = None
    if len(values) < len(texts):
        fault = _NUMBERS
    elif columns == _BOXES and min(values[2:]) <= 0:
        fault = _SIZE
    elif columns == _POINTS and min(values) < 0:
        fault = _NEGATIVE
    if fault is not None:
        problems.add(sheet.name, fault, row, ", ".join(texts))
        return None
    return tuple(values)


def _unnamed(images: Path, photos: Photos) -> int:
    count = 0
    for folder, _, files in os.walk(images):
        for name in files:
            if name.lower().endswith(_SUFFIXES):
                count += photos.find((Path(folder) / name).relative_to(images).as_posix()) < 0
    return count
