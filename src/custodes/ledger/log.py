# SPDX-License-Identifier: Apache-2.0
"""The log: appending within the transaction of the act, reading, proofs, and forgetting.

An entry commits or is rolled back together with what it records, because it is written on the caller's connection.
Whoever appends holds the head's row until that transaction ends; append last, to hold it briefly. Entries are dated
by the clock, never before the entry ahead of them: a clock that stands a little behind is overruled by the last entry,
one that stands farther behind stops the log.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from custodes.db import Database, Vault
from custodes.errors import IntegrityError
from custodes.ledger import entry as form
from custodes.ledger.checkpoint import Signer, VerifierKey
from custodes.ledger.entry import Opening
from custodes.ledger.merkle import leaf_hash
from custodes.ledger.notes import Notes
from custodes.ledger.publish import Published, publish
from custodes.ledger.reader import LogReader, binding
from custodes.ledger.schema import head, mentions, openings
from custodes.ledger.selfcheck import check
from custodes.ledger.stored import RESTORE, EntryRow, Stored
from custodes.ledger.tiles import WIDTH

__all__ = ["Appended", "Log", "NewEntry"]

_SLACK_MS = 5_000  # a clock that is stepped back by time synchronisation
_MAX_AGE = 10.0
_IN = 500
_BEGIN = sa.text(
    "INSERT INTO ledger_head (id, origin, vkey, size, last_at, frontier) "
    "VALUES (1, :origin, :vkey, 0, 0, :frontier) ON CONFLICT DO NOTHING"
)


@dataclass(frozen=True, slots=True)
class NewEntry:
    """What is to be appended.

    Attributes:
        kind: what happened.
        body: what is said of it: JSON values, no personal data.
        openings: values that the entry commits to.
        mentions: whom the entry is about, for "every use of this reference".
    """

    kind: str
    body: Mapping[str, object]
    openings: Sequence[Opening] = ()
    mentions: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True)
class Appended:
    """Where an entry stands, and when it is dated."""

    index: int
    at: datetime


class Log(LogReader):
    """The ledger of one installation.

    A log is begun with its first use: its origin and key are remembered, and it isn't opened under others.

    Args:
        database: migrated.
        vault: seals what commitments stand for.
        signer: the log's key; its name is the log's origin.
        clock: seconds since 1970.
        max_age: seconds after which :meth:`checkpoint` makes a new one if the log has grown.

    Raises:
        IntegrityError: if the database holds the log of another origin or key.
        Unavailable: if the database can't be reached.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        signer: Signer,
        *,
        clock: Callable[[], float] = time.time,
        max_age: float = _MAX_AGE,
    ) -> None:
        stored = Stored(sqlite=database.sqlite)
        notes = Notes(database, stored, signer, clock=self._now_ms, max_age_ms=int(max_age * 1000))
        super().__init__(database, vault, stored, notes, signer.verifier_key)
        self._clock = clock
        self._begin()

    def _begin(self) -> None:
        own = sa.select(head.c.origin, head.c.vkey)
        with self._db.read() as c:
            known = c.execute(own).first()
        if known is None:
            with self._db.transaction() as c:
                known = c.execute(own).first()  # another process may have begun it meanwhile, and written to it
                if known is None and self._stored.data(c, 0, 1):
                    raise IntegrityError("The ledger has entries, but its head is gone.", remedy=RESTORE)
                c.execute(_BEGIN, {"origin": self.origin, "vkey": self.vkey, "frontier": b""})
                known = c.execute(own).one()
        if known.origin != self.origin:
            raise IntegrityError(
                f"The ledger was begun as {known.origin}, and is now to be {self.origin}.",
                remedy="Set its origin as it was.",
            )
        if known.vkey != self.vkey:
            raise IntegrityError(
                "The ledger's signing key is not the one that it was begun with.",
                remedy="Restore the signing key file that was made with this database.",
            )

    # --- time ---

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _date(self, last_at: int) -> int:
        """Return the clock's time, but never one before the last entry.

        Raises:
            IntegrityError: if the clock stands far behind the last entry.
        """
        now = self._now_ms()
        if now >= last_at:
            return now
        if last_at - now > _SLACK_MS:
            raise IntegrityError(
                f"The clock stands {(last_at - now) / 1000:.1f} s behind the ledger's last entry: it says "
                f"{form.stamp(now)}, the entry {form.stamp(last_at)}.",
                remedy="Set the clock right.",
            )
        return last_at

    def now(self, c: sa.Connection) -> datetime:
        """Return the time to decide by: the clock's, never before the last entry. Takes no lock.

        Raises:
            IntegrityError: if the clock stands far behind the last entry.
        """
        return form.from_ms(self._date(self._stored.last_at(c)))

    # --- writing ---

    def append(
        self,
        c: sa.Connection,
        kind: str,
        body: Mapping[str, object],
        openings: Sequence[Opening] = (),
        mentions: Sequence[bytes] = (),
    ) -> Appended:
        """Write one entry in the caller's transaction.

        Args:
            c: the transaction of the act.
            kind: what happened.
            body: what is said of it: JSON values, no personal data.
            openings: values that the entry commits to; they are kept, sealed.
            mentions: whom the entry is about.

        Raises:
            Invalid: if the entry can't be written, or is too long.
            IntegrityError: if the clock stands far behind the last entry, or the log's rows don't agree.
        """
        return self.append_many(c, (NewEntry(kind, body, openings, mentions),))[0]

    def append_many(self, c: sa.Connection, new: Sequence[NewEntry]) -> list[Appended]:
        """Write entries, dated alike, in the caller's transaction.

        Raises:
            Invalid: if one can't be written, or is too long; none is written then.
            IntegrityError: if the clock stands far behind the last entry, or the log's rows don't agree.
        """
        if not new:
            return []
        sealed = [[self._seal(o) for o in e.openings] for e in new]
        state = self._stored.head(c, lock=True)
        at = self._date(state.last_at)
        text = form.stamp(at)
        frontier = state.frontier()
        rows: list[EntryRow] = []
        ends: list[tuple[int, list[bytes]]] = []
        for index, e in enumerate(new, state.size):
            data = form.encode(e.kind, text, e.body, e.openings)
            leaf = leaf_hash(data)
            made = frontier.append(leaf)
            rows.append(EntryRow(index, at, leaf, data))
            if (index + 1) % WIDTH == 0:
                ends.append((index, made))
        self._stored.insert(c, rows)
        for index, made in ends:
            self._stored.finish(c, index, made)
        self._stored.advance(c, frontier, at)
        self._keep(c, state.size, new, sealed)
        date = form.from_ms(at)
        return [Appended(row.place, date) for row in rows]

    def _seal(self, opening: Opening) -> tuple[str, bytes | None, bytes, bytes]:
        value, key = self._vault.seal(opening.salt + opening.value, binding(opening.digest))
        return opening.name, opening.owner, value, key

    def _keep(
        self,
        c: sa.Connection,
        start: int,
        new: Sequence[NewEntry],
        sealed: Sequence[Sequence[tuple[str, bytes | None, bytes, bytes]]],
    ) -> None:
        opened = [(i, *opening) for i, many in enumerate(sealed, start) for opening in many]
        if opened:
            self._stored.insert_openings(c, opened)
        mentioned = [(owner, i) for i, e in enumerate(new, start) for owner in dict.fromkeys(e.mentions)]
        if mentioned:
            self._stored.insert_mentions(c, mentioned)

    def forget(self, c: sa.Connection, owners: Iterable[bytes]) -> int:
        """Destroy what commitments about these owners stand for, and where they are mentioned.

        What was deleted leaves the files with the scrub that the caller asks for after the commit.

        Returns:
            How many openings there were.
        """
        every, gone = list(owners), 0
        for i in range(0, len(every), _IN):
            some = every[i : i + _IN]
            gone += c.execute(sa.delete(openings).where(openings.c.owner.in_(some))).rowcount
            c.execute(sa.delete(mentions).where(mentions.c.owner.in_(some)))
        return gone

    def forget_in(self, c: sa.Connection, owner: bytes, indexes: Iterable[int]) -> int:
        """Destroy what commitments about one owner in some entries stand for; the owner's others stay.

        Returns:
            How many openings there were.
        """
        every, gone = list(indexes), 0
        for i in range(0, len(every), _IN):
            mine = (openings.c.owner == owner) & openings.c.entry.in_(every[i : i + _IN])
            gone += c.execute(sa.delete(openings).where(mine)).rowcount
        return gone

    def accept_cosignature(self, note: str) -> tuple[str, ...]:
        """Keep the lines of registered witnesses under one of the log's own checkpoints; return their names.

        Raises:
            IntegrityError: if it is malformed, no checkpoint of this log's, or a witness's line isn't its own.
            Invalid: if there is no line by a registered witness.
        """
        return self._notes.accept(note)

    def add_witness(self, vkey: str) -> VerifierKey:
        """Register a witness by its key.

        Raises:
            Invalid: if the key is malformed, no cosignature/v1 key, or the log's own.
            Conflict: if its name or its key is registered with another.
        """
        return self._notes.add_witness(vkey)

    def witnesses(self) -> tuple[VerifierKey, ...]:
        """Return the registered witnesses' keys."""
        return self._notes.witnesses()

    def check(self) -> None:
        """Check at a start, in a moment, that what is stored agrees with itself, with what was signed, and the clock.

        Raises:
            IntegrityError: if something doesn't; the message says what, and what to do.
        """
        with self._db.read() as c:
            check(c, self._stored, self._key)
            self.now(c)

    def publish(self, folder: Path) -> Published:
        """Write the log's files into a folder as static files; what stands there already is left.

        Raises:
            IntegrityError: if the folder holds a checkpoint of another log, or one that this log doesn't continue.
            Unavailable: if the folder can't be written.
        """
        return publish(self, self._key, folder)
