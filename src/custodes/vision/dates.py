# SPDX-License-Identifier: Apache-2.0
"""When a photo was taken, as its camera has written it: Exif 2.32, DateTimeOriginal (0x9003), OffsetTimeOriginal.

The bytes are hostile. Only the two directories that lead to the date are read, each entry within the block that the
file has, so that nothing in it can lead astray; whatever isn't as the standard has it is no date.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

__all__ = ["taken_at"]

_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
_EXIF = b"Exif\0\0"
_APP1 = 0xE1
_START_OF_SCAN = 0xDA
_STANDALONE = frozenset((0x01, *range(0xD0, 0xD8)))

_EXIF_IFD = 0x8769
_DATE = 0x9003
_OFFSET = 0x9011
_ASCII, _LONG = 2, 4
_MOST_ENTRIES = 512
_LONGEST = 64  # bytes of a text

_DATE_FORM = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)")
_OFFSET_FORM = re.compile(r"([+-])(\d\d):(\d\d)")


def taken_at(data: bytes) -> datetime | None:
    """Return when a JPEG or PNG was taken, or None where that isn't told; without a zone of time it is taken as UTC."""
    block = _exif(data)
    if block is None:
        return None
    told = _texts(block)
    date = _DATE_FORM.fullmatch(told.get(_DATE, ""))
    if date is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in date.groups())
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=_zone(told.get(_OFFSET, ""))).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _zone(text: str) -> timezone:
    found = _OFFSET_FORM.fullmatch(text)
    if found is None or int(found[2]) > 23 or int(found[3]) > 59:
        return UTC
    off = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return timezone(-off if found[1] == "-" else off)


def _exif(data: bytes) -> bytes | None:
    """Return the TIFF block of a file, or None."""
    if data.startswith(_JPEG):
        return next((s[len(_EXIF) :] for s in _app1(data) if s.startswith(_EXIF)), None)
    if data.startswith(_PNG):
        return next((body for kind, body in _chunks(data) if kind == b"eXIf"), None)
    return None


def _app1(data: bytes) -> Iterator[bytes]:
    """Walk a JPEG's segments up to the first scan (ITU-T T.81 annex B)."""
    at = 2
    while True:
        at = data.find(b"\xff", at)
        while 0 <= at < len(data) and data[at] == 0xFF:
            at += 1
        if not 0 < at < len(data) - 2 or data[at] == _START_OF_SCAN:
            return
        marker = data[at]
        at += 1
        if marker in _STANDALONE or marker == 0:
            continue
        length = max(int.from_bytes(data[at : at + 2], "big"), 2)
        if marker == _APP1:
            yield data[at + 2 : at + length]
        at += length


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Walk a PNG's chunks (PNG, third edition, clause 5.3); the bodies of pictures are left out."""
    at = len(_PNG)
    while at + 12 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        yield kind, data[at + 8 : at + 8 + length] if kind == b"eXIf" else b""
        at += 12 + length


def _texts(block: bytes) -> dict[int, str]:
    """Return the texts of the Exif directory by their tags."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None or len(block) < 8:
        return {}
    (first,) = struct.unpack_from(order + "I", block, 4)
    for tag, kind, _, at in _entries(block, order, first):
        if tag == _EXIF_IFD and kind == _LONG:
            (second,) = struct.unpack_from(order + "I", block, at)
            return {t: _text(block, order, n, a) for t, k, n, a in _entries(block, order, second) if k == _ASCII}
    return {}


def _entries(block: bytes, order: str, start: int) -> Iterator[tuple[int, int, int, int]]:
    """Walk a directory: tag, type, count, and where the four bytes of the value (or of its place) are."""
    if start + 2 > len(block):
        return
    (count,) = struct.unpack_from(order + "H", block, start)
    for i in range(min(count, _MOST_ENTRIES)):
        at = start + 2 + 12 * i
        if at + 12 > len(block):
            return
        tag, kind, many = struct.unpack_from(order + "HHI", block, at)
        yield tag, kind, many, at + 8


def _text(block: bytes, order: str, count: int, at: int) -> str:
    if count > 4:
        (at,) = struct.unpack_from(order + "I", block, at)
    return block[at : at + min(count, _LONGEST)].split(b"\0", 1)[0].decode("ascii", "replace").strip()
