# SPDX-License-Identifier: Apache-2.0
"""The date that a camera wrote, as Pillow reads it; whatever is odd about it, there is no date and no error."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image as Pil

from custodes.vision.dates import taken_at

PICTURE = Pil.new("RGB", (8, 8))


def photo(date: str | None, offset: str | None = None, kind: str = "JPEG", **more: object) -> bytes:
    """Return a picture with an Exif date."""
    exif = Pil.Exif()
    exif[0x010F] = "A camera of some make"
    part = exif.get_ifd(0x8769)
    if date is not None:
        part[0x9003] = date
    if offset is not None:
        part[0x9011] = offset
    made = io.BytesIO()
    PICTURE.save(made, kind, exif=exif, **more)
    return made.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_date_is_read_as_pillow_reads_it(kind: str) -> None:
    """Of both kinds of file; without a zone it counts as UTC."""
    data = photo("2019:05:31 23:59:58", kind=kind)
    theirs = Pil.open(io.BytesIO(data)).getexif().get_ifd(0x8769)[0x9003]
    assert theirs == "2019:05:31 23:59:58"
    assert taken_at(data) == datetime(2019, 5, 31, 23, 59, 58, tzinfo=UTC)


def test_the_zone_counts() -> None:
    """Exif 2.31's OffsetTimeOriginal, east and west; what is no zone is none."""
    assert taken_at(photo("2019:05:31 12:00:00", "+02:00")) == datetime(2019, 5, 31, 10, tzinfo=UTC)
    assert taken_at(photo("2019:05:31 12:00:00", "-03:30")) == datetime(2019, 5, 31, 15, 30, tzinfo=UTC)
    for odd in ("+99:00", "CEST", "", "+02:75"):
        assert taken_at(photo("2019:05:31 12:00:00", odd)) == datetime(2019, 5, 31, 12, tzinfo=UTC)


def test_little_endian_blocks_are_read() -> None:
    """Cameras write either order."""
    exif = Pil.Exif()
    exif.endian = "<"
    exif.get_ifd(0x8769)[0x9003] = "2001:02:03 04:05:06"
    made = io.BytesIO()
    PICTURE.save(made, "JPEG", exif=exif)
    assert b"II*\0" in made.getvalue()
    assert taken_at(made.getvalue()) == datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    "date",
    [None, "", "0000:00:00 00:00:00", "2019:02:30 12:00:00", "2019-05-31 12:00:00", "2019:05:31", "x" * 300, "19:5:1"],
)
def test_what_is_no_date_is_none(date: str | None) -> None:
    """A camera whose clock was never set, another form, and nothing."""
    assert taken_at(photo(date)) is None


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", photo("2019:05:31 12:00:00")[:30]]
)
def test_what_is_no_photo_has_no_date(data: bytes) -> None:
    """However short it is."""
    assert taken_at(data) is None


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_whatever_is_changed_it_is_a_date_or_none(kind: str) -> None:
    """Any bytes of the block may be anything."""
    rng = np.random.default_rng(1)
    whole = photo("2019:05:31 12:00:00", "+02:00", kind)
    at = whole.index(b"MM\0*")
    found = set()
    for _ in range(4000):
        data = bytearray(whole)
        for _ in range(int(rng.integers(1, 5))):
            place = at + int(rng.integers(0, 120))
            data[place : place + 1] = rng.bytes(1)
        found.add(taken_at(bytes(data[: int(rng.integers(at, len(data)))] if rng.random() < 0.2 else data)))
    assert None in found
    assert len(found) > 10
