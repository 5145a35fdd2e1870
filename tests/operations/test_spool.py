# SPDX-License-Identifier: Apache-2.0
"""Uploads are sealed as they come and read anywhere; what is changed, cut or moved isn't; nothing is left behind."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from custodes.errors import Code, IntegrityError, Invalid, NotFound, TooLarge, Unavailable
from custodes.operations.spool import CHUNK, Spool

NAME = "imp-0000000000000001"
BYTES = np.random.default_rng(5).bytes(3 * CHUNK)


def spooled(spool: Spool, data: bytes, *, piece: int = 10_000, name: str = NAME) -> bytes:
    """Write an upload, and return its key."""
    with spool.receive(name, (data[i : i + piece] for i in range(0, len(data), piece))) as key:
        return key


def read(spool: Spool, name: str, key: bytes) -> bytes:
    with spool.open(name, key) as file:
        return file.read()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def spool(folder: Path) -> Spool:
    return Spool(folder, 10_000_000)


@pytest.mark.parametrize("size", [1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
@pytest.mark.parametrize("piece", [7777, CHUNK, 10 * CHUNK])
def test_what_was_written_is_read(spool: Spool, folder: Path, size: int, piece: int) -> None:
    """Whole, from anywhere, and from the end; by its owner alone, and with none of it in the clear."""
    key = spooled(spool, BYTES[:size], piece=piece)
    with spool.open(NAME, key) as file:
        assert file.read() == BYTES[:size]
        assert file.seek(-1, io.SEEK_END) == size - 1
        assert file.read() == BYTES[size - 1 : size]
        for at in (0, size // 2, max(0, size - 5), min(size, CHUNK - 3)):
            file.seek(at)
            assert file.read(9) == BYTES[at : min(at + 9, size)]
    raw = (folder / NAME).read_bytes()
    assert len(raw) == size + 16 * -(-size // CHUNK)
    assert size < 16 or BYTES[:16] not in raw
    assert (folder / NAME).stat().st_mode & 0o77 == 0


def test_an_archive_is_read_in_place(spool: Spool) -> None:
    """As zipfile does it, which goes back and forth."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for n in range(30):
            archive.writestr(f"{n}.bin", BYTES[n * 100 : n * 5000])
    key = spooled(spool, made.getvalue())
    with spool.open(NAME, key) as file, zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert archive.read("29.bin") == BYTES[2900 : 29 * 5000]


def test_what_was_changed_cut_or_moved_is_not_read(spool: Spool, folder: Path) -> None:
    """A bit, a chunk less at the end, chunks in another order, another import's name, another key."""
    key = spooled(spool, BYTES)
    path, whole = folder / NAME, (folder / NAME).read_bytes()
    step = CHUNK + 16
    wrong = {
        "bit": whole[:100] + bytes([whole[100] ^ 1]) + whole[101:],
        "last chunk": whole[: 2 * step],
        "cut": whole[:-1],
        "order": whole[step : 2 * step] + whole[:step] + whole[2 * step :],
        "nothing": b"",
        "a tag alone": whole[:16],
    }
    for data in wrong.values():
        path.write_bytes(data)
        with pytest.raises(IntegrityError):
            read(spool, NAME, key)
    path.write_bytes(whole)
    (folder / "imp-0000000000000002").write_bytes(whole)
    for name, other in (("imp-0000000000000002", key), (NAME, bytes(32)), (NAME, b"")):
        with pytest.raises(IntegrityError):
            read(spool, name, other)
    assert read(spool, NAME, key) == BYTES


def test_too_much_nothing_and_what_breaks_off_leave_nothing(spool: Spool, folder: Path) -> None:
    """Nor does what fails after it was written."""
    with pytest.raises(TooLarge) as caught:
        spooled(Spool(folder, len(BYTES) - 1), BYTES)
    assert caught.value.code == Code.BODY_BYTES
    with pytest.raises(Invalid, match="empty"):
        spooled(spool, b"")

    def breaking() -> Iterator[bytes]:
        yield BYTES
        raise ConnectionResetError(104, "Connection reset by peer")

    with pytest.raises(Unavailable), spool.receive(NAME, breaking()):
        pytest.fail("it was received")
    with pytest.raises(KeyError), spool.receive(NAME, [BYTES]):
        raise KeyError
    assert list(folder.iterdir()) == []


def test_an_upload_that_is_gone_says_so(spool: Spool) -> None:
    """It is NotFound, so that nobody waits for it; removing it again is no matter."""
    key = spooled(spool, b"x")
    spool.remove(NAME)
    spool.remove(NAME)
    with pytest.raises(NotFound):
        spool.open(NAME, key)


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """The upload is refused, and its room is free again."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a file system takes root")
    how = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    mounted = subprocess.run(how, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        spool = Spool(disk / "spool", 10_000_000)
        with pytest.raises(Unavailable, match="No space left"):
            spooled(spool, 2 * BYTES)
        assert list((disk / "spool").iterdir()) == []
        assert len(spooled(spool, BYTES[: 2 * CHUNK])) == 32
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_sweeping_takes_what_no_import_needs_and_nobody_writes(spool: Spool, folder: Path) -> None:
    """A file that is being written stays until it is needed or given up; links aren't followed."""
    assert spool.sweep(frozenset) == 0  # there is no folder yet
    spooled(spool, b"needed", name="imp-1")
    spooled(spool, b"left over", name="imp-2")
    (folder / "link").symlink_to("/etc/hostname")
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> Iterator[bytes]:
        yield BYTES
        begun.set()
        assert go_on.wait(20)

    needed = {"imp-1"}

    def upload() -> None:
        with spool.receive("imp-3", slow()):
            needed.add("imp-3")  # its import is there before it lets go of the file

    thread = threading.Thread(target=upload)
    thread.start()
    assert begun.wait(20)
    assert spool.sweep(lambda: frozenset(needed)) == 1
    go_on.set()
    thread.join()
    assert spool.sweep(lambda: frozenset(needed)) == 0
    assert sorted(p.name for p in folder.iterdir()) == ["imp-1", "imp-3", "link"]
