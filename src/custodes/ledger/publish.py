# SPDX-License-Identifier: Apache-2.0
"""Writing a log into a folder as static files, which any web server can serve.

Every file is complete when it gets its name, and on the disk before the checkpoint is, which comes last: whoever finds
a checkpoint finds all that it covers, wherever the writing broke off. Files that an earlier checkpoint of the folder
covers are left as they are; what lies beyond it is written again. Partial tiles go when the full one is there.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from custodes.errors import IntegrityError, Unavailable
from custodes.ledger.checkpoint import Checkpoint, Note, VerifierKey, verify_checkpoint
from custodes.ledger.merkle import EMPTY
from custodes.ledger.tiles import CHECKPOINT, VKEY, WIDTH, Resource, resources

__all__ = ["Published", "publish"]


@dataclass(frozen=True, slots=True)
class Published:
    """What was published: entries, files that were written, files that stood there already."""

    size: int
    written: int
    kept: int


class _Log(Protocol):
    def checkpoint(self, *, fresh: bool) -> str: ...

    def root(self, size: int | None) -> bytes: ...

    def read(self, path: str) -> bytes: ...


def publish(log: _Log, key: VerifierKey, folder: Path) -> Published:
    """Write a log.

    Args:
        log: what to write.
        key: the log's own.
        folder: where to; it is made if it isn't there.

    Raises:
        IntegrityError: if the folder holds a checkpoint of another log, or one that this log doesn't continue.
        Unavailable: if the folder can't be read or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            return _publish(log, key, folder)
    except OSError as e:
        raise Unavailable(f"The ledger can't be published: {e.strerror}.") from e


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other publishers out of a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _publish(log: _Log, key: VerifierKey, folder: Path) -> Published:
    before = _before(log, key, folder)
    note = log.checkpoint(fresh=True)
    size = Checkpoint.parse(Note.parse(note).text).size
    written, kept = 0, 0
    filled: list[Path] = []
    changed: set[Path] = set()
    for resource in resources(size):
        path = folder / resource.path
        if _covered(resource, before) and path.exists():
            kept += 1
            continue
        _write(path, log.read(resource.path))
        written += 1
        changed.update(p for p in path.parents if p == folder or folder in p.parents)
        if resource.width == WIDTH:
            filled.append(path.with_name(f"{path.name}.p"))
    _write(folder / VKEY, f"{key}\n".encode())
    for each in changed:
        _sync(each)  # the files' names too
    _write(folder / CHECKPOINT, note.encode())
    _sync(folder)
    for partial in filled:
        shutil.rmtree(partial, ignore_errors=True)
    return Published(size, written, kept)


def _sync(folder: Path) -> None:
    """Bring a folder's list of names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _before(log: _Log, key: VerifierKey, folder: Path) -> int:
    """Return the size of what the folder holds for sure, after checking that the log continues it."""
    path = folder / CHECKPOINT
    if not path.exists():
        return 0
    old, _ = verify_checkpoint(path.read_bytes(), key)
    size = Checkpoint.parse(Note.parse(log.checkpoint(fresh=True)).text).size
    if old.size > size or old.root != (log.root(old.size) if old.size else EMPTY):
        raise IntegrityError(
            f"The folder holds a checkpoint of {old.size} entries, which the ledger of {size} doesn't continue.",
            remedy="The database is older than what was published, or was changed: restore the newest backup.",
        )
    return old.size


def _covered(resource: Resource, size: int) -> bool:
    """Return whether a log of this size has the file."""
    end = resource.n * WIDTH + resource.width
    return end <= size >> 8 * (resource.level or 0)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
