# SPDX-License-Identifier: Apache-2.0
"""What a start checks: that the newest rows, the tiles, the right edge and the newest checkpoint agree.

It reads one tile of entries and one tile of each level, whatever the log's size. That every entry is what it was is the
verifier's to show (:mod:`custodes.ledger.audit`).
"""

from __future__ import annotations

import sqlalchemy as sa

from custodes.errors import IntegrityError
from custodes.ledger import entry as form
from custodes.ledger.checkpoint import VerifierKey, verify_checkpoint
from custodes.ledger.merkle import HASH, Frontier, leaf_hash, root_hash
from custodes.ledger.notes import newest
from custodes.ledger.stored import RESTORE, EntryRow, Head, Stored
from custodes.ledger.tiles import WIDTH

__all__ = ["check"]


def _wrong(message: str) -> IntegrityError:
    return IntegrityError(f"The ledger doesn't agree with itself: {message}", remedy=RESTORE)


def _expect(what: str, expected: object, got: object) -> None:
    if expected != got:
        told = (v.hex() if isinstance(v, bytes) else v for v in (expected, got))
        raise _wrong(f"{what}: expected {next(told)}, got {next(told)}.")


def check(c: sa.Connection, stored: Stored, key: VerifierKey) -> None:
    """Check a log.

    Args:
        c: a transaction that reads.
        stored: the log's rows.
        key: the log's own.

    Raises:
        IntegrityError: if something doesn't agree; the message says what.
    """
    head = stored.head(c)
    rows = _last_rows(c, stored, head)
    _tiles(c, stored, head.size, rows)
    _edge(c, stored, head)
    note = newest(c)
    if note is None:
        return
    try:
        checkpoint, _ = verify_checkpoint(note, key)
    except IntegrityError as e:
        raise _wrong(f"its newest checkpoint is not what it signed. {e.message}") from e
    if checkpoint.size > head.size:
        raise _wrong(f"a checkpoint of {checkpoint.size} entries was signed, and there are {head.size}.")
    root = root_hash(stored.nodes(c, checkpoint.size), checkpoint.size)
    _expect(f"root of the checkpoint of {checkpoint.size} entries", checkpoint.root, root)


def _last_rows(c: sa.Connection, stored: Stored, head: Head) -> list[EntryRow]:
    """Check and return the entries of the last tile."""
    last = c.exec_driver_sql('SELECT max("index") FROM ledger_entries').scalar_one()
    _expect("number of entries", head.size, 0 if last is None else last + 1)
    start = max(0, head.size - 1) // WIDTH * WIDTH
    rows = stored.rows(c, start, head.size)
    _expect(f"number of entries from {start} on", head.size - start, len(rows))
    before = 0
    for row in rows:
        _expect(f"hash of entry {row.place}", leaf_hash(row.data), row.leaf)
        _expect(f"time of entry {row.place}", _time_of(row), form.stamp(row.at))
        if row.at < before:
            raise _wrong(f"entry {row.place} is dated before the one ahead of it.")
        before = row.at
    _expect("time of the last entry", before, head.last_at)
    return rows


def _time_of(row: EntryRow) -> object:
    try:
        return form.parse(row.data)["at"]
    except IntegrityError as e:
        raise _wrong(f"entry {row.place} is malformed. {e.message}") from e


def _tiles(c: sa.Connection, stored: Stored, size: int, rows: list[EntryRow]) -> None:
    """Check that the last hash of each level is the root of the full tile that it stands for."""
    if len(rows) == WIDTH:
        n = rows[0].place // WIDTH
        _expect(f"hashes of tile {n}", b"".join(r.leaf for r in rows), stored.tile(c, 0, n, WIDTH))
    level, count = 1, size // WIDTH
    while count:
        n, at = divmod(count - 1, WIDTH)
        hashes = stored.tile(c, level, n, WIDTH)
        _expect(f"length of tile {n} of level {level}", (at + 1) * HASH, len(hashes))
        below = stored.tile(c, level - 1, count - 1, WIDTH)
        edge = Frontier()
        for i in range(0, len(below), HASH):
            edge.append(below[i : i + HASH])
        _expect(f"root of tile {count - 1} of level {level - 1}", edge.root(), hashes[at * HASH :])
        level, count = level + 1, count // WIDTH


def _edge(c: sa.Connection, stored: Stored, head: Head) -> None:
    """Check the right edge against the tiles."""
    read, hashes, start = stored.nodes(c, head.size), [], 0
    for level in reversed(range(head.size.bit_length())):
        if head.size >> level & 1:
            hashes.append(read(level, start >> level))
            start += 1 << level
    _expect("right edge of the tree", b"".join(hashes), head.edge)
