# SPDX-License-Identifier: Apache-2.0
"""What imports refuse: entry by entry, row by row, or as a whole; and uploads that leave nothing."""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil
from tests.operations.conftest import World, open_world
from tests.operations.importroom import TOLD, Room, archive, plain

from custodes.app import App
from custodes.casework import ImportState, ItemOutcome
from custodes.errors import Invalid, NotFound, TooLarge
from custodes.governance import Purpose
from custodes.operations.imports import SourceKind
from custodes.operations.refusals import Reason, reason_of, unfit

Photos = dict[str, bytes]


@pytest.fixture
def room(world: World, tmp_path: Path) -> Room:
    """A case in an installation of the test's own."""
    return Room(world, tmp_path / "photos")


# --- what is refused --------------------------------------------------------------------------------------------------


def _info(name: str, mode: int) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.create_system, made.external_attr = 3, mode << 16
    return made


def _wide() -> bytes:
    """Return a PNG that declares more pixels than are taken."""
    made = io.BytesIO()
    Pil.new("1", (30_000, 4_000)).save(made, "PNG")
    return made.getvalue()


def _broken_pixels() -> bytes:
    """Return a PNG whose sums are right and whose picture isn't."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 100, 100, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"no picture") + chunk(b"IEND", b"")


REFUSED: dict[str, tuple[Reason, Callable[[], tuple[str | zipfile.ZipInfo, bytes]]]] = {
    "text called jpg": (Reason.NOT_A_PHOTO, lambda: ("a.jpg", b"hello")),
    "nothing": (Reason.NOT_A_PHOTO, lambda: ("a.jpg", b"")),
    "gif": (Reason.NOT_A_PHOTO, lambda: ("a.jpg", b"GIF89a" + bytes(99))),
    "script": (Reason.NOT_A_PHOTO, lambda: ("a.jpg", b"<svg onload=alert(1)>")),
    "archive": (Reason.ARCHIVE, lambda: ("a.jpg", archive(("b.jpg", plain(1))))),
    "gzip": (Reason.ARCHIVE, lambda: ("a.jpg", b"\x1f\x8b\x08" + bytes(99))),
    "tar": (Reason.ARCHIVE, lambda: ("a.jpg", bytes(257) + b"ustar" + bytes(250))),
    "cut": (Reason.CORRUPT, lambda: ("a.jpg", plain(1)[:-20])),
    "no size": (Reason.CORRUPT, lambda: ("a.jpg", b"\xff\xd8\xff\xe0" + bytes(99))),
    "broken pixels": (Reason.CORRUPT, lambda: ("a.jpg", _broken_pixels())),
    "small": (Reason.TOO_SMALL, lambda: ("a.jpg", plain(1, side=79))),
    "pixels": (Reason.PIXELS, lambda: ("a.jpg", _wide())),
    "traversal": (Reason.PATH, lambda: ("../../a.jpg", plain(1))),
    "absolute": (Reason.PATH, lambda: ("/a.jpg", plain(1))),
    "link": (Reason.LINK, lambda: (_info("a.jpg", stat.S_IFLNK | 0o777), b"/etc/passwd")),
    "device": (Reason.SPECIAL, lambda: (_info("a.jpg", stat.S_IFCHR | 0o666), b"")),
    "bomb": (Reason.RATIO, lambda: ("a.jpg", bytes(5_000_000))),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_in_an_archive(room: Room, case: str) -> None:
    """With a word for programs and a sentence for people; the entry beside it is brought in all the same."""
    reason, make = REFUSED[case]
    done = room.bring(SourceKind.ZIP, room.zip(make(), ("good.png", plain(9))))
    assert done.state == ImportState.DONE
    refused, good = room.imports.items(room.cara, done.id)[0]
    assert (refused.outcome, refused.reason, refused.image) == (ItemOutcome.REFUSED, str(reason), None)
    assert refused.detail.endswith(".")
    assert (good.outcome, good.image) == (ItemOutcome.IMPORTED, room.kept()[0].id)


def test_what_no_reason_is_missing_a_sentence() -> None:
    """Every word has one, but for those whose sentence tells more."""

    more = {Reason.EXACT, Reason.PERCEPTUAL, Reason.TOO_SMALL, Reason.PIXELS}
    for reason in set(Reason) - more:
        error = unfit(reason)
        assert error.message.endswith(".")
        assert reason_of(error) == reason


def test_folders_are_entered_and_links_are_not(room: Room, tmp_path: Path) -> None:
    """Nor is a pipe opened; names may be any bytes."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "s.png").write_bytes(plain(1))
    room.put(a=plain(2), deep__deeper__b=plain(3))
    (room.folder / "link.jpg").symlink_to(tmp_path / "secret" / "s.png")
    (room.folder / "linked").symlink_to(tmp_path / "secret")
    os.mkfifo(room.folder / "pipe.jpg")
    Path(os.fsdecode(os.fsencode(room.folder) + b"/\xff\x1b[31m.png")).write_bytes(plain(4))
    done = room.bring(SourceKind.FOLDER, room.folder)
    assert dict(room.outcomes(done.id)) == {
        "a.jpg": "imported",
        "deep/deeper/b.jpg": "imported",
        "link.jpg": "link",
        "linked": "link",
        "pipe.jpg": "special",
        "\\xdcff\\x1b[31m.png": "imported",
    }


def test_a_file_that_is_too_large_is_not_read(world: World, tmp_path: Path) -> None:
    """In a folder, a bucket and an archive alike."""
    room = Room(world, tmp_path / "photos")
    most = world.config.limits.image_bytes
    room.put(large=plain(1) + bytes(most), good=plain(2))
    bucket = world.config.bucket_root / "b"
    bucket.mkdir(parents=True)
    (bucket / "large.jpg").write_bytes(plain(3) + bytes(most))
    noise = np.random.default_rng(0).bytes(most + 1)
    for kind, where in (
        (SourceKind.FOLDER, room.folder),
        (SourceKind.BUCKET, "b"),
        (SourceKind.ZIP, room.zip(("large.jpg", noise))),
    ):
        assert ("large.jpg", "bytes") in room.outcomes(room.bring(kind, where).id)


def test_rows_are_refused_one_by_one(room: Room, tmp_path: Path) -> None:
    """Each for its own reason; others of the table are brought in."""
    room.put(good=plain(1), deep__too=plain(2))
    (tmp_path / "outside.png").write_bytes(plain(3))
    (room.folder / "link.png").symlink_to(tmp_path / "outside.png")
    (room.folder / "way").symlink_to(tmp_path)
    told = "case-file,Art. 9,Meyer"
    rows = [
        (f"good.jpg,{told},2020-01-01,no", "imported"),
        (f"{(room.folder / 'deep' / 'too.jpg').as_uri()},{told},,", "imported"),
        (f"good.jpg,{told},,", "same-bytes"),
        ("good.jpg,,Art. 9,Meyer,,", "no-provenance"),
        ("good.jpg,case-file,,Meyer,,", "no-basis"),
        ("good.jpg,case-file,Art. 9,,,", "no-source"),
        ("good.jpg,scraped,Art. 9,Meyer,,", "scraped"),
        ("good.jpg,found,Art. 9,Meyer,,", "provenance"),
        (f"good.jpg,case-file,{'x' * 501},Meyer,,", "text"),
        ("good.jpg,case-file,Art. 9,\x1bMeyer,,", "text"),
        (f"good.jpg,{told},yesterday,", "date"),
        (f"good.jpg,{told},2199-01-01,", "date"),
        (f"good.jpg,{told},,maybe", "sensitive"),
        (f"good.jpg,{told},,,,", "cells"),
        (f"missing.jpg,{told},,", "missing"),
        (f",{told},,", "missing"),
        (f"../outside.png,{told},,", "outside"),
        (f"{tmp_path}/outside.png,{told},,", "outside"),
        (f"file://{tmp_path}/outside.png,{told},,", "outside"),
        (f"file:///{room.folder}/../outside.png,{told},,", "outside"),
        (f"link.png,{told},,", "link"),
        (f"way/outside.png,{told},,", "link"),
        (f"https://example.org/a.jpg,{told},,", "network"),
        (f"http://127.0.0.1/a.jpg,{told},,", "network"),
        (f"file://example.org/a.jpg,{told},,", "network"),
        (f"s3://bucket/a.jpg,{told},,", "network"),
        (f'"data:image/png;base64,AAAA",{told},,', "network"),
        (f"deep,{told},,", "unreadable"),
    ]
    head = "file,provenance,basis,source,taken_at,sensitive"
    (room.folder / "m.csv").write_text("\ufeff" + "\r\n".join([head, *(r for r, _ in rows), ""]), newline="")
    done = room.bring(SourceKind.MANIFEST, room.folder / "m.csv", basis="of the import", source="of the import")
    assert [r for _, r in room.outcomes(done.id)] == [r for _, r in rows]
    assert {(i.basis, i.source, i.taken_at) for i in room.kept()} == {
        ("Art. 9", "Meyer", datetime(2020, 1, 1, tzinfo=UTC)),
        ("Art. 9", "Meyer", None),
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("file,name,gps\na.jpg,x,y\n", "unknown columns: name, gps"),
        ("provenance,basis\n", "no column file"),
        ("", "no column file"),
        ("file,file\na,b\n", "twice"),
        ('file\n"a\n', "no CSV"),
        ("file\n\xff", "UTF-8"),
        ("file,\x1b[31m\n", r"\\x1b"),
    ],
)
def test_a_table_that_can_not_be_meant_is_refused_at_once(room: Room, text: str, says: str) -> None:
    """Nothing is begun."""
    (room.folder / "m.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(Invalid, match=says):
        room.begin(SourceKind.MANIFEST, room.folder / "m.csv")
    assert room.imports.list(room.cara, room.case) == ()


def test_what_is_not_there_or_not_that_is_refused_at_once(room: Room, world: World) -> None:
    """A missing file, a folder for a file, a file for a folder, a ZIP that is none, too many entries."""
    room.put(a=plain(1))
    for kind, where, error in (
        (SourceKind.FOLDER, room.folder / "none", NotFound),
        (SourceKind.FOLDER, room.folder / "a.jpg", NotFound),
        (SourceKind.ZIP, room.folder, NotFound),
        (SourceKind.ZIP, room.folder / "a.jpg", Invalid),
        (SourceKind.ZIP, "/dev/zero", NotFound),
        (SourceKind.MANIFEST, room.folder / "none", NotFound),
        (SourceKind.FOLDER, "\0", NotFound),
        (SourceKind.UPLOAD, "x", Invalid),
    ):
        with pytest.raises(error):
            room.begin(kind, where)
    for words in ({"basis": " "}, {"source": ""}, {"source": "x" * 501}, {"basis": "a\nb"}):
        with pytest.raises(Invalid):
            room.begin(SourceKind.FOLDER, room.folder, **words)
    assert room.imports.list(room.cara, room.case) == ()


def test_an_import_of_too_many_entries_is_not_begun(tmp_path: Path) -> None:
    """By a setting."""
    world = open_world(tmp_path / "data")
    few = replace(world.config, imports=replace(world.config.imports, entries=2))
    world.app.close()
    world.app = App.open(few, clock=world.clock)
    room = Room(world, tmp_path / "photos")
    room.put(a=plain(1), b=plain(2), c=plain(3))
    (room.folder / "m.csv").write_text("file\na.jpg\nb.jpg\nc.jpg\n")
    zipped = room.zip(("a", b""), ("b", b""), ("c", b""))
    for kind, where in (
        (SourceKind.FOLDER, room.folder),
        (SourceKind.ZIP, zipped),
        (SourceKind.MANIFEST, room.folder / "m.csv"),
    ):
        with pytest.raises(Invalid, match="more than 2"):
            room.begin(kind, where)
    world.app.close()


@pytest.mark.parametrize(
    ("provenance", "rule"), [("scraped", "base.not-scraped"), ("found", "base.provenance-known"), (None, "")]
)
def test_an_unfit_provenance_is_refused_by_rule(room: Room, provenance: str | None, rule: str) -> None:
    """At once; the caller's own counts where none is given."""
    room.put(a=plain(1))
    begin = lambda: room.begin(SourceKind.FOLDER, room.folder, provenance=provenance)  # noqa: E731
    if rule:
        assert rule in room.world.denied(begin)
        assert room.world.entry()["decision"] == "deny"
        assert room.imports.list(room.cara, room.case) == ()
    else:
        assert begin().provenance == "case-file"


# --- uploads ----------------------------------------------------------------------------------------------------------


def test_a_single_photo_is_uploaded(room: Room, photos: Photos) -> None:
    """It needs no archive."""
    made = room.imports.spool(room.cara, room.case, [photos["obama_1"]], name="../o\x00.jpg", **TOLD)
    assert room.imports.pending() == (made.id,)
    assert room.imports.go_on(made.id).counts == {ItemOutcome.IMPORTED: 1}
    assert [i.name for i in room.kept()] == ["../o\\x00.jpg"]
    assert list(room.world.config.spool.iterdir()) == []


def test_an_upload_that_is_refused_leaves_nothing(room: Room) -> None:
    """What is neither archive nor photo, what is damaged, too much, nothing, words that say nothing."""
    small = replace(room.world.config, imports=replace(room.world.config.imports, upload_bytes=1000))
    limited = App.open(small, clock=room.world.clock).casework.imports
    for imports, data, words, error in (
        (room.imports, b"%PDF-1.7" + bytes(99), {}, Invalid),
        (room.imports, archive(("a", b"1"))[:-9], {}, Invalid),
        (room.imports, b"", {}, Invalid),
        (room.imports, plain(1), {"basis": ""}, Invalid),
        (limited, bytes(1001), {}, TooLarge),
    ):
        with pytest.raises(error):
            imports.spool(room.cara, room.case, [data], name="x", **(TOLD | words))
    spool = room.world.config.spool
    assert not spool.exists() or list(spool.iterdir()) == []
    assert room.imports.list(room.cara, room.case) == ()


def test_a_refused_upload_is_not_even_read(room: Room) -> None:
    """The rules decide first."""
    read: list[bytes] = []

    def chunks() -> Iterator[bytes]:
        read.append(b"x")
        yield plain(1)

    spool = lambda: room.imports.spool(  # noqa: E731
        room.cara, room.case, chunks(), name="x", **(TOLD | {"provenance": "scraped"})
    )
    assert "base.not-scraped" in room.world.denied(spool)
    assert read == []


def test_an_upload_that_was_changed_is_not_brought_in(room: Room) -> None:
    """Nor one whose file is gone; it says so."""
    made = room.imports.spool(room.cara, room.case, [plain(1)], name="x.png", **TOLD)
    path = room.world.config.spool / made.id
    raw = bytearray(path.read_bytes())
    raw[20] ^= 1
    path.write_bytes(raw)
    stopped = room.imports.work(room.cara, made.id)
    assert (stopped.state, "was changed" in stopped.why) == (ImportState.STOPPED, True)
    assert room.kept() == ()


def test_sweeping_keeps_what_waits(room: Room) -> None:
    """And takes what belongs to no import, or to one whose case is erased."""
    waiting = room.imports.spool(room.cara, room.case, [plain(1)], name="x.png", **TOLD)
    other = room.world.app.casework.cases.open(room.cara, Purpose.MISSING_PERSON, "Mia").id
    gone = room.imports.spool(room.cara, other, [plain(1)], name="x.png", **TOLD)
    (room.world.config.spool / "imp-left").write_bytes(b"over")
    assert room.imports.sweep() == 1
    with room.world.app.guard.transaction() as c:
        room.imports._desk.files.erase(c, other)
    assert room.imports.sweep() == 1
    assert [p.name for p in room.world.config.spool.iterdir()] == [waiting.id]
    assert gone.id != waiting.id
