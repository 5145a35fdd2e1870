# SPDX-License-Identifier: Apache-2.0
"""The rows of the log: statements in the driver's own words, since they run with every act, and tiles as trees.

What is kept in memory, the trees over tiles, is found by the tiles' own hashes: it is true of these whoever asks, and
whether or not they have committed.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa

from custodes.errors import IntegrityError
from custodes.ledger.merkle import HASH, Frontier, NodeReader, node_hash
from custodes.ledger.tiles import WIDTH

__all__ = ["RESTORE", "EntryRow", "Head", "Stored"]

RESTORE = "Restore the database from a backup; custodes ledger verify tells what was changed in what was published."
"""What to do when rows don't agree."""

_MAX_ROW = (1 << 63) - 1  # what a number in a row can be
_TREES = 256  # at 42 KB each
_HEIGHT = 8
_Tree = list[list[bytes]]


class Head(NamedTuple):
    """The state of the log: how many entries, when the last was made (ms), and the right edge."""

    size: int
    last_at: int
    edge: bytes

    def frontier(self) -> Frontier:
        """Return the right edge.

        Raises:
            IntegrityError: if it isn't that of a tree of this size.
        """
        return Frontier.from_bytes(self.size, self.edge)


class EntryRow(NamedTuple):
    """An entry with its place, its time in milliseconds and its hash."""

    place: int
    at: int
    leaf: bytes
    data: bytes


def _tree(hashes: bytes) -> _Tree:
    """Return the hashes of a tile and of all complete subtrees above them, row by row."""
    row = [hashes[i : i + HASH] for i in range(0, len(hashes), HASH)]
    rows = [row]
    while len(row) > 1:
        row = [node_hash(row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)]
        rows.append(row)
    return rows


def _bytes(value: object) -> bytes:
    """Return what a row holds.

    Raises:
        IntegrityError: if somebody put something else there.
    """
    if not isinstance(value, bytes | memoryview):
        raise IntegrityError("A row of the ledger holds no bytes: it was changed.", remedy=RESTORE)
    return bytes(value)


class Stored:
    """Reads and writes rows on a connection that the caller opened."""

    def __init__(self, *, sqlite: bool) -> None:
        def sql(text: str) -> str:
            return text if sqlite else text.replace("?", "%s")

        head = "SELECT size, last_at, frontier FROM ledger_head WHERE id = 1"
        where = 'FROM ledger_entries WHERE "index" >= ? AND "index" < ? ORDER BY "index"'
        self._head = head
        self._lock = head if sqlite else f"{head} FOR UPDATE"  # SQLite's one writer holds everything
        self._last = "SELECT last_at FROM ledger_head WHERE id = 1"
        self._advance = sql("UPDATE ledger_head SET size = ?, last_at = ?, frontier = ? WHERE id = 1")
        self._insert = sql('INSERT INTO ledger_entries ("index", at, leaf, data) VALUES (?, ?, ?, ?)')
        self._leaves = sql(f"SELECT leaf {where}")
        self._data = sql(f"SELECT data {where}")
        self._rows = sql(f'SELECT "index", at, leaf, data {where}')
        self._tile = sql("SELECT hashes FROM ledger_tiles WHERE level = ? AND tile = ?")
        self._new_tile = sql("INSERT INTO ledger_tiles (level, tile, hashes) VALUES (?, ?, ?)")
        self._more_tile = sql("UPDATE ledger_tiles SET hashes = ? WHERE level = ? AND tile = ?")
        self._opening = sql("INSERT INTO ledger_openings (entry, name, owner, value, value_key) VALUES (?, ?, ?, ?, ?)")
        self._mention = sql("INSERT INTO ledger_mentions (owner, entry) VALUES (?, ?)")
        self._trees: OrderedDict[bytes, _Tree] = OrderedDict()
        self._mutex = threading.Lock()

    def head(self, c: sa.Connection, *, lock: bool = False) -> Head:
        """Read the state; with ``lock`` keep others from changing it until the transaction ends.

        Raises:
            IntegrityError: if there is none.
        """
        row = c.exec_driver_sql(self._lock if lock else self._head).first()
        if row is None:
            raise IntegrityError("The ledger's head is gone.", remedy=RESTORE)
        return Head(row[0], row[1], row[2])

    def last_at(self, c: sa.Connection) -> int:
        """Read the time of the last entry, in milliseconds; 0 in an empty log.

        Raises:
            IntegrityError: if there is no head.
        """
        found = c.exec_driver_sql(self._last).scalar()
        if found is None:
            raise IntegrityError("The ledger's head is gone.", remedy=RESTORE)
        return int(found)

    def advance(self, c: sa.Connection, frontier: Frontier, at: int) -> None:
        """Write the state."""
        c.exec_driver_sql(self._advance, (frontier.size, at, frontier.to_bytes()))

    def insert(self, c: sa.Connection, rows: Sequence[EntryRow]) -> None:
        """Write entries."""
        c.exec_driver_sql(self._insert, rows[0] if len(rows) == 1 else list(rows))

    def insert_openings(
        self, c: sa.Connection, openings: Sequence[tuple[int, str, bytes | None, bytes, bytes]]
    ) -> None:
        """Write sealed openings: entry, name, owner, ciphertext, wrapped key."""
        c.exec_driver_sql(self._opening, list(openings))

    def insert_mentions(self, c: sa.Connection, mentions: Sequence[tuple[bytes, int]]) -> None:
        """Write who is mentioned where."""
        c.exec_driver_sql(self._mention, list(mentions))

    def finish(self, c: sa.Connection, index: int, made: Sequence[bytes]) -> None:
        """Write the full tile of level 0 that ends with an entry, and its root into the levels above.

        Args:
            c: the connection.
            index: an entry at the end of a tile.
            made: the roots of the complete subtrees that end with it.

        Raises:
            IntegrityError: if the tiles below it are not as long as they should be.
        """
        n = index // WIDTH
        c.exec_driver_sql(self._new_tile, (0, n, self._leaves_of(c, n * WIDTH, index + 1)))
        level = 1
        while len(made) > _HEIGHT * level:
            n, at = divmod(((index + 1) >> _HEIGHT * level) - 1, WIDTH)
            new = made[_HEIGHT * level]
            if at == 0:
                c.exec_driver_sql(self._new_tile, (level, n, new))
            else:
                before = self.tile(c, level, n, WIDTH)
                if len(before) != at * HASH:
                    raise IntegrityError(
                        f"Tile {n} of level {level} should have {at} hashes, got {len(before) / HASH:g}.",
                        remedy=RESTORE,
                    )
                c.exec_driver_sql(self._more_tile, (before + new, level, n))
            level += 1

    def _leaves_of(self, c: sa.Connection, start: int, stop: int) -> bytes:
        if not 0 <= start <= stop <= _MAX_ROW:
            return b""
        return b"".join([row[0] for row in c.exec_driver_sql(self._leaves, (start, stop))])

    def tile(self, c: sa.Connection, level: int, n: int, width: int) -> bytes:
        """Read a tile; it is shorter than asked for where the log ends."""
        if level == 0 and width < WIDTH:
            return self._leaves_of(c, n * WIDTH, n * WIDTH + width)
        row = c.exec_driver_sql(self._tile, (level, n)).first()
        return _bytes(row[0])[: width * HASH] if row else b""

    def data(self, c: sa.Connection, start: int, stop: int) -> list[bytes]:
        """Read entries; there are fewer than asked for where the log ends."""
        if not 0 <= start <= stop <= _MAX_ROW:
            return []
        return [_bytes(row[0]) for row in c.exec_driver_sql(self._data, (start, stop))]

    def rows(self, c: sa.Connection, start: int, stop: int) -> list[EntryRow]:
        """Read entries with what is kept beside them."""
        found = c.exec_driver_sql(self._rows, (start, stop))
        return [EntryRow(index, at, _bytes(leaf), _bytes(data)) for index, at, leaf, data in found]

    def nodes(self, c: sa.Connection, size: int) -> NodeReader:
        """Return a reader of the nodes of the tree of the first ``size`` entries, for one proof.

        The reader raises IntegrityError if a tile is shorter than it should be.
        """

        trees: dict[tuple[int, int], _Tree] = {}

        def read(level: int, index: int) -> bytes:
            tile_level, height = divmod(level, _HEIGHT)
            n, at = divmod(index << height, WIDTH)
            tree = trees.get((tile_level, n))
            if tree is None:
                width = min(WIDTH, (size >> _HEIGHT * tile_level) - n * WIDTH)
                tree = trees[tile_level, n] = self._tree_of(c, tile_level, n, width)
            return tree[height][at >> height]

        return read

    def _tree_of(self, c: sa.Connection, level: int, n: int, width: int) -> _Tree:
        hashes = self.tile(c, level, n, width)
        if len(hashes) != width * HASH:
            raise IntegrityError(
                f"Tile {n} of level {level} should have {width} hashes, got {len(hashes) / HASH:g}.", remedy=RESTORE
            )
        with self._mutex:
            known = self._trees.get(hashes)
            if known is not None:
                self._trees.move_to_end(hashes)
                return known
        made = _tree(hashes)
        with self._mutex:
            self._trees[hashes] = made
            while len(self._trees) > _TREES:
                self._trees.popitem(last=False)
        return made
