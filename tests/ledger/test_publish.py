# SPDX-License-Identifier: Apache-2.0
"""Publishing into a folder: what stands where, what is left, and what a break leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from custodes.errors import IntegrityError, Unavailable
from custodes.ledger import open_source, verify
from custodes.ledger import publish as module

from .conftest import Ledger


def _files(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def test_a_log_is_published_in_the_standard_layout(ledger: Ledger, tmp_path: Path) -> None:
    """Checkpoint, key, tiles and bundles stand where the standard has them, and verify."""
    ledger.fill(600)
    folder = tmp_path / "www" / "ledger"
    made = ledger.log.publish(folder)
    assert set(_files(folder)) == {
        "checkpoint",
        "vkey",
        *(f"tile/{level}/{n}" for level in ("0", "entries") for n in ("000", "001", "002.p/88")),
        "tile/1/000.p/2",
    }
    assert (made.size, made.written, made.kept) == (600, 7, 0)
    assert (folder / "vkey").read_text() == f"{ledger.log.vkey}\n"
    assert (folder / "checkpoint").read_text() == ledger.log.checkpoint()
    assert verify(open_source(str(folder)), vkey=ledger.log.vkey).size == 600


def test_an_empty_log_is_published(ledger: Ledger, tmp_path: Path) -> None:
    """A checkpoint of nothing is a checkpoint."""
    assert ledger.log.publish(tmp_path / "www").written == 0
    found = verify(open_source(str(tmp_path / "www")))
    assert (found.size, found.first_at, found.last_at) == (0, None, None)


def test_what_stands_there_is_left(sqlite: Ledger, tmp_path: Path) -> None:
    """Files that an earlier checkpoint covers aren't written again; partial ones go when the full one is there."""
    folder = tmp_path / "www"
    sqlite.fill(300)
    sqlite.log.publish(folder)
    before = _files(folder)
    again = sqlite.log.publish(folder)
    assert (again.written, again.kept) == (0, 5)
    sqlite.fill(10, 300)
    sqlite.log.publish(folder)
    assert {"tile/0/001.p/44", "tile/0/001.p/54"} <= set(_files(folder))  # who has the older checkpoint needs the first
    sqlite.fill(300, 310)
    assert sqlite.log.publish(folder).size == 610
    after = _files(folder)
    assert not [p for p in after if p.startswith(("tile/0/001.p", "tile/entries/001.p"))]
    assert [after[p] for p in ("tile/0/000", "tile/entries/000")] == [
        before[p] for p in ("tile/0/000", "tile/entries/000")
    ]
    (folder / "tile/0/000").unlink()
    assert sqlite.log.publish(folder).written == 1
    assert verify(open_source(str(folder))).size == 610


def test_publishing_that_breaks_off_is_taken_up(
    sqlite: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it breaks, the old checkpoint stands and verifies; the next run writes anew what lies beyond it."""
    folder = tmp_path / "www"
    sqlite.fill(300)
    sqlite.log.publish(folder)
    old = (folder / "checkpoint").read_bytes()
    sqlite.fill(800, 300)
    write = module._write
    for allowed in range(11):
        left = iter(range(allowed))

        def breaking(path: Path, data: bytes, left=left) -> None:
            if next(left, None) is None:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.with_name(f".{path.name}.draft").write_bytes(data[:7])
                raise KeyboardInterrupt
            write(path, data)

        monkeypatch.setattr(module, "_write", breaking)
        with pytest.raises(KeyboardInterrupt):
            sqlite.log.publish(folder)
        assert (folder / "checkpoint").read_bytes() == old
        assert verify(open_source(str(folder))).size == 300
    monkeypatch.undo()
    (folder / "tile/0/002").write_bytes(b"")  # what a power cut may leave of a file that no checkpoint covers
    assert sqlite.log.publish(folder).size == 1_100
    assert verify(open_source(str(folder)), since=old).since == 300
    assert not [p for p in _files(folder) if p.endswith(".draft")]


def test_a_log_does_not_publish_over_what_it_does_not_continue(
    new_ledger: Callable[[str], Ledger], tmp_path: Path
) -> None:
    """A database that is older than what was published, or was changed, is refused, and nothing is written."""
    folder = tmp_path / "www"
    first = new_ledger("first")
    first.fill(300)
    first.log.publish(folder)
    before = _files(folder)
    restored, changed = new_ledger("restored"), new_ledger("changed")
    restored.fill(299)
    changed.fill(400, 1)
    for other in (restored, changed):
        with pytest.raises(IntegrityError, match="checkpoint of 300 entries, which the ledger of"):
            other.log.publish(folder)
    (folder / "checkpoint").write_bytes(b"x")
    with pytest.raises(IntegrityError, match="signed note"):
        restored.log.publish(folder)
    assert {p: t for p, t in _files(folder).items() if p != "checkpoint"} == {
        p: t for p, t in before.items() if p != "checkpoint"
    }


def test_a_folder_that_cannot_be_written_is_unavailable(sqlite: Ledger, tmp_path: Path) -> None:
    """A file in the place of the folder is a typed error."""
    (tmp_path / "file").write_bytes(b"")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(Unavailable, match="can't be published"):
            sqlite.log.publish(place)
