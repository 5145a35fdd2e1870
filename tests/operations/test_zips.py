# SPDX-License-Identifier: Apache-2.0
"""Archives are read as Python's ``zipfile`` reads them; what is hostile is refused, and nothing hostile is believed."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib

import numpy as np
import pytest

from custodes.errors import Invalid
from custodes.operations.refusals import Reason
from custodes.operations.zips import ZipFile, is_zip

NOISE = np.random.default_rng(3).integers(0, 256, 5000, np.uint8).tobytes()


def opened(data: bytes, **limits: int) -> ZipFile:
    known = {"entries": 1000, "entry_bytes": 1_000_000, "total_bytes": 10_000_000, "ratio": 100} | limits
    return ZipFile(io.BytesIO(data), **known)


def packed(*entries: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED, before: bytes = b""):
    made = io.BytesIO()
    made.write(before)
    with zipfile.ZipFile(made, "a" if before else "w", method) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return made.getvalue()


def reasons(data: bytes, **limits: int) -> list[str]:
    """Return what becomes of each entry: its reason, or nothing."""
    archive = opened(data, **limits)
    found = []
    for entry in archive.entries:
        try:
            archive.read(entry)
            found.append("")
        except Invalid as error:
            found.append(error.code)
    return found


def changed(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("before", [b"", b"#!/bin/sh unpack yourself\n"])
def test_an_archive_is_read_as_zipfile_reads_it(method: int, before: bytes) -> None:
    """Names in both encodings, sizes from nothing on, either method, with and without something in front."""
    entries = [("a/b.jpg", NOISE), ("März ✓.jpg", b"x" * 900), ("empty", b""), ("folder/", b""), ("one", b"1")]
    data = packed(*entries, method=method, before=before)
    ours, theirs = opened(data), zipfile.ZipFile(io.BytesIO(data))
    assert [(e.name, e.size, e.packed, e.crc) for e in ours.entries] == [
        (i.filename, i.file_size, i.compress_size, i.CRC) for i in theirs.infolist()
    ]
    assert [ours.read(e) for e in ours.entries] == [theirs.read(i) for i in theirs.infolist()]
    assert [e.name for e in ours.entries if e.is_folder] == ["folder/"]
    assert is_zip(data) == (not before)


def test_entries_that_were_streamed_and_zip64_are_read() -> None:
    """Sizes behind the data, and sizes in the ZIP64 field."""

    class Pipe(io.RawIOBase):
        """Can't go back, so that sizes follow the data."""

        def __init__(self) -> None:
            self.made = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data) -> int:
            self.made += bytes(data)
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x", "w", force_zip64=True) as file:
        file.write(NOISE)
    found = opened(bytes(pipe.made))
    assert [found.read(e) for e in found.entries] == [NOISE]


def test_zip64_archives_are_read() -> None:
    """Where counts, sizes and offsets are all in their wide fields."""
    data = packed(("x", NOISE))
    at, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    size, there = len(NOISE), struct.unpack_from("<L", data, at + 20)[0]
    central = bytearray(data[at:end])
    central[20:28] = b"\xff" * 8
    central[42:46] = b"\xff" * 4
    extra = struct.pack("<2H3Q", 1, 24, size, there, 0)
    central[30:32] = struct.pack("<H", len(extra))
    central += extra
    wide = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, len(central), at)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, at + len(central), 1)
    last = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    made = data[:at] + bytes(central) + wide + locator + last
    assert zipfile.ZipFile(io.BytesIO(made)).read("x") == NOISE
    found = opened(made)
    assert [found.read(e) for e in found.entries] == [NOISE]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../up.jpg", Reason.PATH),
        ("a/../../up.jpg", Reason.PATH),
        ("/etc/passwd", Reason.PATH),
        ("..\\up.jpg", Reason.PATH),
        ("\\\\server\\share", Reason.PATH),
        ("C:/boot.ini", Reason.PATH),
        ("a..b/...jpg", ""),
        ("./a.jpg", ""),
    ],
)
def test_names_that_lead_out_are_refused(name: str, reason: str) -> None:
    """By any system's ways of writing it; dots in a name are no matter."""
    assert reasons(packed((name, b"x"))) == [reason]


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (stat.S_IFLNK | 0o777, Reason.LINK),
        (stat.S_IFCHR | 0o600, Reason.SPECIAL),
        (stat.S_IFBLK | 0o600, Reason.SPECIAL),
        (stat.S_IFIFO | 0o600, Reason.SPECIAL),
        (stat.S_IFSOCK | 0o600, Reason.SPECIAL),
        (stat.S_IFREG | 0o644, ""),
        (0o644, ""),
    ],
)
def test_links_and_devices_are_refused(mode: int, reason: str) -> None:
    """As the archive's Unix modes tell them."""
    info = zipfile.ZipInfo("x.jpg")
    info.create_system, info.external_attr = 3, mode << 16
    assert reasons(packed((info, b"/etc/passwd"))) == [reason]


def test_what_is_encrypted_is_refused() -> None:
    """By the directory's flags or by the entry's own."""
    data = packed(("x", NOISE))
    at = data.index(b"PK\x01\x02")
    assert reasons(changed(data, at + 8, b"\x01\x00")) == [Reason.ENCRYPTED]
    assert reasons(changed(data, at + 8, b"\x40\x00")) == [Reason.ENCRYPTED]
    assert reasons(changed(data, 6, b"\x01\x00")) == [Reason.ENCRYPTED]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_are_refused(method: int) -> None:
    """Their unpackers can't be bounded as deflate's can."""
    assert reasons(packed(("x", NOISE), method=method)) == [Reason.METHOD]


def test_bombs_are_refused_by_what_they_declare() -> None:
    """By ratio, by size, and by the sum of all; small entries before it are read."""
    zeros = bytes(900_000)
    assert reasons(packed(("a", b"1"), ("x", zeros))) == ["", Reason.RATIO]
    assert reasons(packed(("x", zeros)), ratio=2000) == [""]
    assert reasons(packed(("x", zeros)), ratio=2000, entry_bytes=899_999) == [Reason.BYTES]
    assert reasons(packed(("a", NOISE), ("b", NOISE), ("c", NOISE)), total_bytes=10_000) == ["", "", Reason.TOTAL]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_entry_that_holds_more_than_it_declares_is_refused(method: int) -> None:
    """Whatever its check sum says: it is unpacked to one byte beyond what it declares, and no further."""
    data = packed(("x", NOISE), method=method)
    at = data.index(b"PK\x01\x02")
    part = struct.pack("<L", zlib.crc32(NOISE[:100]))
    less = changed(changed(data, at + 24, struct.pack("<L", 100)), at + 16, part)
    assert reasons(less) == [Reason.BEYOND]
    more = changed(data, at + 24, struct.pack("<L", 5001))
    assert reasons(more) == [Reason.CORRUPT]


def test_entries_that_share_bytes_are_refused() -> None:
    """All at one place, or one within another, as in bombs that unpack the same bytes again and again."""
    data = packed(("a", NOISE), ("b", b"2"), ("c", b"3"), method=zipfile.ZIP_STORED)
    at, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    entry = data[at : data.index(b"PK\x01\x02", at + 1)]
    central = entry * 3
    last = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 3, 3, len(central), at, 0)
    assert reasons(data[:at] + central + last) == [Reason.OVERLAP] * 3
    second = data.index(b"PK\x01\x02", at + 1)
    moved = changed(data, second + 42, struct.pack("<L", 40))  # within the first
    assert reasons(moved) == [Reason.OVERLAP, Reason.OVERLAP, ""]
    beyond = changed(data, at + 42, struct.pack("<L", end))  # within the directory
    assert reasons(beyond)[0] == Reason.OVERLAP


def test_a_local_header_can_not_reach_into_the_next_entry() -> None:
    """Its own extra field moves the data; what is moved into another entry is refused."""
    data = packed(("a", NOISE), ("b", b"2"), method=zipfile.ZIP_STORED)
    assert reasons(changed(data, 28, struct.pack("<H", 9))) == [Reason.OVERLAP, ""]


def test_damage_is_refused_entry_by_entry() -> None:
    """A wrong check sum, a header that is none, and a stream that ends early; the others are read."""
    data = packed(("a", NOISE), ("b", NOISE[::-1]), ("c", b"3"))
    assert reasons(changed(data, 40, b"\xff\xff\xff")) == [Reason.CORRUPT, "", ""]
    assert reasons(changed(data, 0, b"XX")) == [Reason.CORRUPT, "", ""]
    at = data.index(b"PK\x01\x02")
    short = changed(data, at + 20, struct.pack("<L", 50))
    assert reasons(short) == [Reason.CORRUPT, "", ""]


def test_too_many_entries_are_refused_whatever_the_end_declares() -> None:
    """They are counted, not believed."""
    data = packed(*((str(n), b"") for n in range(12)))
    assert len(opened(data, entries=12).entries) == 12
    with pytest.raises(Invalid, match="more than 11"):
        opened(data, entries=11)
    end = data.index(b"PK\x05\x06")
    with pytest.raises(Invalid, match="more than 11"):
        opened(changed(data, end + 8, b"\x01\x00\x01\x00"), entries=11)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK",
        NOISE,
        packed(("x", NOISE))[:-22],
        packed(("x", NOISE))[30:-30],
        b"PK\x05\x06" + bytes(17),
        b"PK\x05\x06" + b"\xff" * 18,
    ],
    ids=["nothing", "two bytes", "noise", "no end", "cut", "end cut", "end of ones"],
)
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    """With a sentence that says so."""
    with pytest.raises(Invalid, match=r"no ZIP|split"):
        opened(data)


def test_whatever_is_changed_nothing_but_a_refusal_comes_of_it() -> None:
    """A byte, a word, or a cut anywhere: each entry gives its own bytes, others of the right sum, or a reason."""
    rng = np.random.default_rng(11)
    whole = packed(("a.jpg", NOISE), ("März.jpg", b"ab" * 400), ("b", b"1"), before=b"#!")
    told: set[str] = set()
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(int(rng.integers(1, 4))):
            near_the_end = rng.random() < 0.5  # where the structure is
            at = int(rng.integers(max(0, len(data) - 300) if near_the_end else 0, len(data)))
            data[at : at + int(rng.choice([1, 2, 4]))] = rng.bytes(int(rng.choice([1, 2, 4])))
        if rng.random() < 0.1:
            del data[int(rng.integers(len(data))) :]
        try:
            archive = opened(bytes(data))
        except Invalid:
            told.add("")
            continue
        for entry in archive.entries:
            try:
                read = archive.read(entry)
            except Invalid as error:
                told.add(error.code)
            else:
                assert (len(read), zlib.crc32(read)) == (entry.size, entry.crc)
    assert told <= {"", *Reason}
    assert told >= {"", Reason.CORRUPT, Reason.OVERLAP, Reason.ENCRYPTED, Reason.METHOD, Reason.RATIO}
