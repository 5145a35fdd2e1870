# SPDX-License-Identifier: Apache-2.0
"""Arguments and options that several commands share; ids are held to Rekognition's rules, as clients are."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from custodes.domain import QualityFilter

__all__ = [
    "MATCH_THRESHOLD",
    "MAX_LABEL",
    "UNTOLD",
    "CollectionId",
    "Draw",
    "FaceIds",
    "InCollection",
    "Json",
    "Key",
    "LeastThreshold",
    "Limit",
    "Photo",
    "Quality",
    "Threshold",
    "UserId",
    "moment",
]

MATCH_THRESHOLD = 80.0
"""Least similarity of a candidate unless another is given; Rekognition's own default."""
MAX_LABEL = 255
"""Characters of an external image id, ``[a-zA-Z0-9_.\\-:]`` each."""
UNTOLD = re.compile(r"[^a-zA-Z0-9_.\-:]")
"""A character that an external image id can't have."""


def _form(pattern: str, words: str) -> Callable[[str | None], str | None]:
    """Return a check of a text's form."""

    def check(value: str | None) -> str | None:
        if value is not None and not re.fullmatch(pattern, value):
            raise typer.BadParameter(words)
        return value

    return check


_collection = _form(r"[a-zA-Z0-9_.\-]{1,255}", "An id of a collection has 1 to 255 letters, digits, '_', '.' or '-'.")
_user = _form(r"[a-zA-Z0-9_.\-:]{1,128}", "An id of a user has 1 to 128 letters, digits, '_', '.', '-' or ':'.")

_UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_face = _form(_UUID, "An id of a face is a UUID in lower case; custodes faces list shows them.")


def _faces(values: list[str]) -> list[str]:
    for value in values:
        _face(value)
    return values


def moment(text: str) -> datetime:
    """Read a time: RFC 3339, or a date, which means its first instant in UTC.

    Raises:
        typer.BadParameter: if it is neither.
    """
    try:
        value = datetime.fromisoformat(text)
    except ValueError as e:
        raise typer.BadParameter("A time is written as 2027-01-31 or 2027-01-31T12:00:00Z.") from e
    return value if value.tzinfo else value.replace(tzinfo=UTC)


Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Key: TypeAlias = Annotated[
    str, typer.Option("--vkey", help="The log's verifier key, or a file with it; have it from elsewhere.")
]
Photo: TypeAlias = Annotated[Path, typer.Argument(help="A JPEG or PNG file.", show_default=False)]
Draw: TypeAlias = Annotated[Path | None, typer.Option("--draw", help="Write a picture of the result (JPEG).")]
Quality: TypeAlias = Annotated[QualityFilter, typer.Option("--quality", help="Faces below are passed over.")]
Threshold: TypeAlias = Annotated[float, typer.Option(min=0, max=100, help="Least similarity.")]
LeastThreshold: TypeAlias = Annotated[
    float | None,
    typer.Option(
        min=0, max=100, help="Least similarity; Rekognition's default, or the floor that the rules set, unless given."
    ),
]
Limit: TypeAlias = Annotated[int, typer.Option(min=1, max=4096, help="Most candidates a face.")]

CollectionId: TypeAlias = Annotated[
    str, typer.Argument(help="The collection.", show_default=False, callback=_collection)
]
InCollection: TypeAlias = Annotated[
    str, typer.Option("--collection", "-c", help="The collection.", callback=_collection)
]
UserId: TypeAlias = Annotated[str, typer.Argument(help="The user.", show_default=False, callback=_user)]
FaceIds: TypeAlias = Annotated[list[str], typer.Argument(help="Faces, by id.", show_default=False, callback=_faces)]
