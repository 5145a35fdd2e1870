# SPDX-License-Identifier: Apache-2.0
"""What people type into forms, read and checked; what can't be meant is told beside its field.

Ids are held to the same form as at the command line and by AWS's clients, so that what is made here works there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, TypeVar

from fastapi import Path

from custodes.api.console.dates import day_of
from custodes.errors import CustodesError, Invalid

__all__ = [
    "FACE",
    "CollectionName",
    "FaceId",
    "Misread",
    "UserId",
    "beside",
    "chosen",
    "collection_name",
    "first_instant",
    "known",
    "label",
    "label_of",
    "page_of",
    "similarity",
    "tags",
    "user_id",
    "whole",
]

E = TypeVar("E", bound=StrEnum)

_COLLECTION = r"[a-zA-Z0-9_.\-]{1,255}"
_USER = r"[a-zA-Z0-9_.\-:]{1,128}"
_LABEL = re.compile(r"[a-zA-Z0-9_.\-:]{1,255}")
_UNTOLD = re.compile(r"[^a-zA-Z0-9_.\-:]")
_MOST_LABEL = 255
_TAG_KEY, _TAG_VALUE, _TAGS = 128, 256, 200

FACE = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
"""The form of a face's id."""

CollectionName = Annotated[str, Path(pattern=rf"^{_COLLECTION}$")]
"""A collection in a path."""
UserId = Annotated[str, Path(pattern=rf"^{_USER}$")]
"""A user of a collection in a path."""
FaceId = Annotated[str, Path(pattern=rf"^{FACE}$")]
"""A face in a path."""


class Misread(Invalid):
    """A field of a form can't be meant.

    Attributes:
        field: its name.
    """

    def __init__(self, field: str, message: str, *, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.field = field


def beside(error: CustodesError | None) -> dict[str, str]:
    """Return what is to be told beside which field."""
    return {error.field: error.message} if isinstance(error, Misread) else {}


def collection_name(text: str) -> str:
    """Return the name of a collection.

    Raises:
        Misread: if it can't be one.
    """
    if not re.fullmatch(_COLLECTION, text) or text in (".", ".."):
        raise Misread("name", "A name has 1 to 255 letters, digits, '_', '.' or '-', and no spaces.")
    return text


def user_id(text: str) -> str:
    """Return the id of a user of a collection.

    Raises:
        Misread: if it can't be one.
    """
    if not re.fullmatch(_USER, text) or text in (".", ".."):
        raise Misread("user", "A user's id has 1 to 128 letters, digits, '_', '.', '-' or ':', and no spaces.")
    return text


def label(text: str) -> str | None:
    """Return the label of a photo (its external image id); None if it has none.

    Raises:
        Misread: if it can't be one.
    """
    if text and not _LABEL.fullmatch(text):
        raise Misread("label", "A label has 1 to 255 letters, digits, '_', '.', '-' or ':', and no spaces.")
    return text or None


def label_of(name: str) -> str | None:
    """Return a file's name as a label: what a label can't have becomes ``_``."""
    return _UNTOLD.sub("_", name)[:_MOST_LABEL] or None


def whole(field: str, text: str, what: str, least: int, most: int) -> int:
    """Return a whole number.

    Args:
        field: of the form.
        text: what was typed.
        what: how the number is called at the beginning of a sentence, with its verb.
        least, most: its bounds.

    Raises:
        Misread: if it is none, or out of bounds.
    """
    if not text.isascii() or not text.isdigit() or len(text) > 18 or not least <= int(text) <= most:
        raise Misread(field, f"{what} a whole number from {least:,} to {most:,}.")
    return int(text)


def similarity(field: str, text: str) -> float | None:
    """Return a similarity, 0..100; None if nothing was typed.

    Raises:
        Misread: if it is none.
    """
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise Misread(field, "A similarity is a number from 0 to 100.")
    return value


def known(field: str, text: str, words: type[E], what: str) -> E:
    """Return one of the words that there are.

    Raises:
        Misread: if it is none of them.
    """
    if text not in {str(w) for w in words}:
        raise Misread(field, f"Choose {what}.")
    return words(text)


def chosen(field: str, texts: Iterable[str], words: type[E], what: str) -> tuple[E, ...]:
    """Return several of the words that there are, at least one.

    Raises:
        Misread: if one is none of them, or there is none.
    """
    found = tuple(known(field, t, words, what) for t in texts)
    if not found:
        raise Misread(field, f"Choose {what}.")
    return found


def first_instant(field: str, text: str) -> datetime:
    """Return the first instant (UTC) of a day that was typed as 2027-01-31.

    Raises:
        Misread: if it is none.
    """
    try:
        return day_of(text, "This")
    except Invalid as e:
        raise Misread(field, e.message) from e


def tags(text: str) -> dict[str, str]:
    """Return tags that were typed, a line each: ``key=value``.

    Raises:
        Misread: if a line isn't one.
    """
    found: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        key, sign, value = (part.strip() for part in line.partition("="))
        fits = sign and 1 <= len(key) <= _TAG_KEY and len(value) <= _TAG_VALUE and all(map(_is_of_tag, key + value))
        if not fits:
            raise Misread(
                "tags",
                f"A tag is a line key=value: 1 to {_TAG_KEY} characters before the sign, up to {_TAG_VALUE} after it; "
                "letters, digits, spaces and _ . : / = + - @.",
            )
        if key.startswith(("custodes:", "aws:")):
            raise Misread("tags", "Tags that begin with custodes: or aws: are not yours to give; use the fields above.")
        found[key] = value
    if len(found) > _TAGS:
        raise Misread("tags", f"A collection has at most {_TAGS} tags.")
    return found


def _is_of_tag(character: str) -> bool:
    return character.isalpha() or character.isnumeric() or character in " _.:/=+-@"


def page_of(texts: Iterable[str], most: int) -> tuple[str, ...]:
    """Return ids of faces that were chosen on a page, or typed, each once.

    Raises:
        Misread: if one can't be an id, there is none, or there are too many.
    """
    found = tuple(dict.fromkeys(word for text in texts for word in text.split()))
    if not found:
        raise Misread("face", "No face is chosen.", remedy="Choose at least one.")
    if len(found) > most:
        raise Misread("face", f"At most {most} faces at once.")
    if not all(re.fullmatch(FACE, word) for word in found):
        raise Misread("face", "The id of a face is a UUID in lower case, as the list of faces shows it.")
    return found
