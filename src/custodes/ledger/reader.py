# SPDX-License-Identifier: Apache-2.0
"""Reading the log: entries, tiles, proofs, checkpoints, disclosures.

Within a transaction of the same thread one reads what that has written; checkpoints alone are always of what has
committed, so that a proof that goes to outsiders has to wait for the commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

import sqlalchemy as sa

from custodes.db import Database, Vault
from custodes.errors import IntegrityError, NotFound
from custodes.ledger import entry as form
from custodes.ledger.checkpoint import Checkpoint, Note, VerifierKey
from custodes.ledger.disclosure import Disclosure
from custodes.ledger.entry import Opening
from custodes.ledger.merkle import HASH, consistency_proof, inclusion_proof, root_hash
from custodes.ledger.notes import Notes
from custodes.ledger.schema import mentions, openings
from custodes.ledger.stored import RESTORE, Stored
from custodes.ledger.tiles import CHECKPOINT, VKEY, WIDTH, encode_bundle, parse_path

__all__ = ["LogReader", "binding"]


def binding(digest: bytes) -> bytes:
    """Return what a sealed opening is bound to: its commitment, so that it opens in its own entry alone."""
    return b"ledger-opening:" + digest


class LogReader:
    """A log, to be read.

    Args:
        database: migrated.
        vault: opens what commitments stand for.
        stored: the log's rows.
        notes: its checkpoints.
        key: its own.
    """

    def __init__(self, database: Database, vault: Vault, stored: Stored, notes: Notes, key: VerifierKey) -> None:
        self._db = database
        self._vault = vault
        self._stored = stored
        self._notes = notes
        self._key = key

    @property
    def origin(self) -> str:
        """The log's name."""
        return self._key.name

    @property
    def vkey(self) -> str:
        """The log's verifier key, as text."""
        return str(self._key)

    def size(self) -> int:
        """Return the number of entries."""
        with self._db.read() as c:
            return self._stored.head(c).size

    def entry(self, index: int) -> bytes:
        """Return an entry.

        Raises:
            NotFound: if there is none.
        """
        with self._db.read() as c:
            return self._entry(c, index)

    def _entry(self, c: sa.Connection, index: int) -> bytes:
        found = self._stored.data(c, index, index + 1)
        if not found:
            raise NotFound(f"The ledger has no entry {index}.")
        return found[0]

    def entries(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Return entries one by one, read in bundles; ``stop`` is the log's size if omitted."""
        stop = self.size() if stop is None else stop
        while start < stop:
            with self._db.read() as c:
                some = self._stored.data(c, start, min(stop, start + WIDTH))
            if not some:
                return
            yield from some
            start += len(some)

    def index_at(self, when: datetime) -> int:
        """Return the index of the first entry that is dated at or after a time; the log's size if there is none."""
        wanted = form.to_ms(when)
        with self._db.read() as c:
            low, high = 0, self._stored.head(c).size
            while low < high:
                middle = (low + high) // 2
                if self._stored.rows(c, middle, middle + 1)[0].at < wanted:
                    low = middle + 1
                else:
                    high = middle
        return low

    def mentions(self, owner: bytes) -> tuple[int, ...]:
        """Return the indexes of the entries that mention an owner."""
        query = sa.select(mentions.c.entry).where(mentions.c.owner == owner).order_by(mentions.c.entry)
        with self._db.read() as c:
            return tuple(c.scalars(query))

    def tile(self, level: int, n: int, width: int = WIDTH) -> bytes:
        """Return a tile of hashes as it is published.

        Raises:
            NotFound: if the log has no such tile yet.
        """
        with self._db.read() as c:
            hashes = self._stored.tile(c, level, n, width)
        if len(hashes) != width * HASH:
            raise NotFound(f"The ledger has no tile {n} of level {level} with {width} hashes.")
        return hashes

    def bundle(self, n: int, width: int = WIDTH) -> bytes:
        """Return a bundle of entries as it is published.

        Raises:
            NotFound: if the log has no such bundle yet.
        """
        with self._db.read() as c:
            found = self._stored.data(c, n * WIDTH, n * WIDTH + width)
        if len(found) != width:
            raise NotFound(f"The ledger has no bundle {n} with {width} entries.")
        return encode_bundle(found)

    def read(self, path: str, limit: int | None = None) -> bytes:
        """Return a published file by its path below the log's prefix, for serving and for the verifier.

        Raises:
            Invalid: if it is no path of a log's.
            NotFound: if the log has no such file yet, or it is larger than ``limit`` bytes.
        """
        if path == CHECKPOINT:
            data = self.checkpoint().encode()
        elif path == VKEY:
            data = f"{self.vkey}\n".encode()
        else:
            r = parse_path(path)
            data = self.bundle(r.n, r.width) if r.level is None else self.tile(r.level, r.n, r.width)
        if limit is not None and len(data) > limit:
            raise NotFound(f"{path} has more than {limit} bytes.")
        return data

    def root(self, size: int | None = None) -> bytes:
        """Return the root of the first ``size`` entries, of all if omitted.

        Raises:
            NotFound: if there are fewer.
        """
        with self._db.read() as c:
            size = self._known(c, size)
            return root_hash(self._stored.nodes(c, size), size)

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """Return the proof that an entry is among the first ``size`` entries.

        Raises:
            Invalid: if it isn't.
            NotFound: if there are fewer.
        """
        with self._db.read() as c:
            size = self._known(c, size)
            return inclusion_proof(self._stored.nodes(c, size), index, size)

    def consistency(self, old: int, new: int | None = None) -> list[bytes]:
        """Return the proof that the first ``new`` entries begin with the first ``old``.

        Raises:
            Invalid: if the sizes are not in order.
            NotFound: if there are fewer entries.
        """
        with self._db.read() as c:
            new = self._known(c, new)
            return consistency_proof(self._stored.nodes(c, new), old, new)

    def _known(self, c: sa.Connection, size: int | None) -> int:
        there = self._stored.head(c).size
        if size is None:
            return there
        if not 0 <= size <= there:
            raise NotFound(f"The ledger has {there} entries, not {size}.")
        return size

    def checkpoint(self, *, fresh: bool = False) -> str:
        """Return the newest signed checkpoint with the witnesses' lines that are known.

        Args:
            fresh: of the log as it is now; otherwise it may be as old as the log was told to let it be.

        Raises:
            IntegrityError: if another root was signed for this size.
        """
        return self._notes.checkpoint(fresh=fresh)

    def checkpointed(self) -> tuple[int, datetime] | None:
        """Return size and time of the newest checkpoint, without making one; None if there is none yet."""
        newest = self._notes.last()
        return None if newest is None else (newest[0], form.from_ms(newest[1]))

    def cosigned(self, need: int = 1) -> str:
        """Return the newest checkpoint that at least ``need`` witnesses have cosigned.

        Raises:
            NotFound: if there is none.
        """
        return self._notes.cosigned(need)

    def disclose(self, index: int, names: Iterable[str] | None = None) -> Disclosure:
        """Open an entry to a court or to the person concerned, with the proof that it is in the log.

        Args:
            index: the entry.
            names: commitments to open; all that can be opened if omitted, none if empty: a receipt.

        Raises:
            NotFound: if there is no such entry, or a name can't be opened: it was forgotten, or there never was one.
            IntegrityError: if an opening isn't what the entry commits to.
        """
        query = sa.select(openings).where(openings.c.entry == index).order_by(openings.c.name)
        with self._db.read() as c:
            data = self._entry(c, index)
            rows = {row.name: row for row in c.execute(query)}
        wanted = list(rows) if names is None else list(dict.fromkeys(names))
        missing = [name for name in wanted if name not in rows]
        if missing:
            raise NotFound(f"Entry {index} can't be opened at {', '.join(missing)}.")
        body = form.parse(data)
        opened = tuple(self._open(body, rows[name]) for name in wanted)
        note = self.checkpoint()
        if Checkpoint.parse(Note.parse(note).text).size <= index:
            note = self.checkpoint(fresh=True)
        size = Checkpoint.parse(Note.parse(note).text).size
        return Disclosure(index, data, opened, tuple(self.inclusion(index, size)), note, self.vkey)

    def _open(self, body: Mapping[str, object], row: sa.Row[int, str, bytes | None, bytes, bytes]) -> Opening:
        stated = str(body.get(row[1], ""))
        try:
            plain = self._vault.open(row[3], row[4], binding(bytes.fromhex(stated)))
        except ValueError as e:
            raise IntegrityError(f"The entry has no commitment {row[1]}.", remedy=RESTORE) from e
        return Opening(row[1], plain[HASH:], plain[:HASH], row[2])
