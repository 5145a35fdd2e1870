# SPDX-License-Identifier: Apache-2.0
"""Why an entry of an import isn't brought in: a word for programs, and a sentence for people.

Whatever an entry holds and however it is called, one of these words is what becomes of it, or it is an image.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from custodes.errors import Code, Invalid

__all__ = ["Reason", "reason_of", "unfit"]


class Reason(StrEnum):
    """What is told of an entry that was not imported, in a word."""

    SAME_BYTES = "same-bytes"  # a duplicate
    EXACT = "exact"  # known by its bytes
    PERCEPTUAL = "perceptual"  # known by its looks
    NOT_A_PHOTO = "not-a-photo"
    ARCHIVE = "archive"
    CORRUPT = "corrupt"
    TOO_SMALL = "too-small"
    BYTES = "bytes"
    PIXELS = "pixels"
    PATH = "path"
    LINK = "link"
    SPECIAL = "special"
    ENCRYPTED = "encrypted"
    METHOD = "method"
    RATIO = "ratio"
    TOTAL = "total"
    OVERLAP = "overlap"
    BEYOND = "beyond-declared"
    UNREADABLE = "unreadable"
    MISSING = "missing"
    OUTSIDE = "outside"
    NETWORK = "network"
    CELLS = "cells"
    TEXT = "text"
    NO_PROVENANCE = "no-provenance"
    PROVENANCE = "provenance"
    SCRAPED = "scraped"
    NO_BASIS = "no-basis"
    NO_SOURCE = "no-source"
    DATE = "date"
    SENSITIVE = "sensitive"


_SENTENCES: Mapping[Reason, str] = {
    Reason.SAME_BYTES: "The case has the same bytes already.",
    Reason.NOT_A_PHOTO: "It is neither a JPEG nor a PNG, whatever its name says.",
    Reason.ARCHIVE: "It is an archive; an archive within what is brought in is not opened.",
    Reason.CORRUPT: "It is damaged.",
    Reason.BYTES: "It has too many bytes.",
    Reason.PATH: "Its name is absolute, or leads out of the archive.",
    Reason.LINK: "It is a link, or lies behind one; links are not followed.",
    Reason.SPECIAL: "It is no file: a device, a pipe or a socket.",
    Reason.ENCRYPTED: "It is encrypted.",
    Reason.METHOD: "It is packed in a way that is not unpacked here: only deflate is.",
    Reason.RATIO: "It unpacks to so many times its size that it must be a bomb.",
    Reason.TOTAL: "The archive unpacks to more than is taken.",
    Reason.OVERLAP: "It shares its place in the archive with another entry.",
    Reason.BEYOND: "It holds more than the archive declares.",
    Reason.UNREADABLE: "It can't be read.",
    Reason.MISSING: "There is no such file.",
    Reason.OUTSIDE: "It lies outside of the manifest's folder.",
    Reason.NETWORK: "Only files beside the manifest are read; nothing is fetched from the network.",
    Reason.CELLS: "The row has more cells than the manifest has columns.",
    Reason.TEXT: "Basis or source is too long, or holds characters that can't be shown.",
    Reason.NO_PROVENANCE: "The row doesn't say where the image comes from (provenance).",
    Reason.PROVENANCE: "The row's provenance is no word that is known: own, consented, public-record or case-file.",
    Reason.SCRAPED: "Images that were scraped from the internet or from camera footage are not imported.",
    Reason.NO_BASIS: "The row doesn't say on which legal basis the image is held (basis).",
    Reason.NO_SOURCE: "The row doesn't say who gave the image (source).",
    Reason.DATE: "The row's taken_at is no date of the past (2026-01-31, or 2026-01-31T12:00:00Z).",
    Reason.SENSITIVE: "The row's sensitive is neither yes nor no.",
}

_CODES: Mapping[str, Reason] = {
    Code.IMAGE_FORMAT: Reason.CORRUPT,
    Code.IMAGE_TOO_SMALL: Reason.TOO_SMALL,
    Code.IMAGE_BYTES: Reason.BYTES,
    Code.IMAGE_PIXELS: Reason.PIXELS,
    Code.S3: Reason.UNREADABLE,
}


def unfit(reason: Reason, sentence: str = "") -> Invalid:
    """Return the refusal of an entry; its code is the reason."""
    return Invalid(sentence or _SENTENCES[reason], code=str(reason))


def reason_of(error: Invalid) -> Reason:
    """Return why an entry was refused, whoever refused it."""
    known = _CODES.get(error.code)
    if known is not None:
        return known
    return Reason(error.code) if error.code in set(Reason) else Reason.UNREADABLE
