# SPDX-License-Identifier: Apache-2.0
"""The checkpoints that a log has signed, and the witnesses' lines under them.

A checkpoint is signed over what has committed only, wherever it is asked for, and is stored before anyone gets it:
whatever happens afterwards, the log never signs another root for the same size.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from custodes.db import Database, explained
from custodes.errors import Conflict, IntegrityError, Invalid, NotFound
from custodes.ledger.checkpoint import (
    Checkpoint,
    KeyKind,
    Note,
    Signer,
    VerifierKey,
    cosigned_by,
    sign_checkpoint,
)
from custodes.ledger.schema import checkpoints, cosignatures, witnesses
from custodes.ledger.stored import RESTORE, Stored

__all__ = ["Notes", "newest"]

_NEWEST = sa.select(checkpoints.c.size, checkpoints.c.note, checkpoints.c.made_at).order_by(checkpoints.c.size.desc())
_MAKE = sa.text(
    "INSERT INTO ledger_checkpoints (size, note, made_at) VALUES (:size, :note, :made_at) ON CONFLICT (size) DO NOTHING"
)
_COSIGN = sa.text(
    "INSERT INTO ledger_cosignatures (size, witness, line) VALUES (:size, :witness, :line) "
    "ON CONFLICT (size, witness) DO UPDATE SET line = excluded.line"
)


class Notes:
    """Makes, keeps and hands out checkpoints.

    Args:
        database: where they are kept.
        stored: the log's rows.
        signer: the log's key.
        clock: milliseconds since 1970.
        max_age_ms: so old may a checkpoint be before one of a log that has grown is made.
    """

    def __init__(
        self, database: Database, stored: Stored, signer: Signer, *, clock: Callable[[], int], max_age_ms: int
    ) -> None:
        self._db = database
        self._stored = stored
        self._signer = signer
        self._clock = clock
        self._max_age_ms = max_age_ms

    def checkpoint(self, *, fresh: bool) -> str:
        """Return the newest checkpoint with the witnesses' lines that are known.

        Args:
            fresh: of the log as it is now.

        Raises:
            IntegrityError: if another root was signed for this size.
        """
        with explained(), self._db.engine.connect() as c:  # read() may show what will be rolled back
            newest = c.execute(_NEWEST.limit(1)).first()
            head = self._stored.head(c)
        now = self._clock()
        if newest is not None:
            recent = 0 <= now - newest.made_at < self._max_age_ms
            if newest.size == head.size or (recent and not fresh):
                return self._with_lines(newest.size, newest.note)
        made = sign_checkpoint(self._signer, Checkpoint(self._signer.name, head.size, head.frontier().root()))
        with self._db.transaction() as c:
            c.execute(_MAKE, {"size": head.size, "note": str(made), "made_at": now})
            kept = c.scalar(sa.select(checkpoints.c.note).where(checkpoints.c.size == head.size))
        if kept != str(made):
            raise IntegrityError(
                f"The ledger has signed another checkpoint for its size {head.size} already.", remedy=RESTORE
            )
        return str(made)

    def last(self) -> tuple[int, int] | None:
        """Return size and time (milliseconds) of the newest checkpoint, without making one; None if there is none."""
        with self._db.read() as c:
            newest = c.execute(_NEWEST.limit(1)).first()
        return None if newest is None else (newest.size, newest.made_at)

    def cosigned(self, need: int) -> str:
        """Return the newest checkpoint that at least ``need`` witnesses have cosigned.

        Raises:
            NotFound: if there is none.
        """
        count = sa.func.count(cosignatures.c.witness)
        query = (
            sa.select(checkpoints.c.size, checkpoints.c.note)
            .outerjoin(cosignatures, cosignatures.c.size == checkpoints.c.size)
            .group_by(checkpoints.c.size, checkpoints.c.note)
            .having(count >= need)
            .order_by(checkpoints.c.size.desc())
            .limit(1)
        )
        with self._db.read() as c:
            found = c.execute(query).first()
        if found is None:
            raise NotFound(f"No checkpoint has been cosigned by {need} witnesses.")
        return self._with_lines(found.size, found.note)

    def _with_lines(self, size: int, note: str) -> str:
        lines = sa.select(cosignatures.c.line).where(cosignatures.c.size == size).order_by(cosignatures.c.witness)
        with self._db.read() as c:
            return note + "".join(f"{line}\n" for line in c.scalars(lines))

    def accept(self, text: str) -> tuple[str, ...]:
        """Keep the lines of registered witnesses under one of this log's own checkpoints.

        Returns:
            The names of the witnesses whose lines were kept.

        Raises:
            IntegrityError: if the note is malformed, is no checkpoint that this log signed, or a line that says it is
                by a registered witness isn't.
            Invalid: if there is no line by a registered witness.
        """
        note = Note.parse(text)
        size = Checkpoint.parse(note.text).size
        with self._db.read() as c:
            own = c.scalar(sa.select(checkpoints.c.note).where(checkpoints.c.size == size))
        if own is None or Note.parse(own).text != note.text:
            raise IntegrityError(f"The checkpoint for size {size} is not one that this ledger signed.")
        lines = cosigned_by(note, self.witnesses())
        if not lines:
            raise Invalid(
                "The checkpoint has no cosignature by a registered witness.",
                remedy="Register the witness's key first.",
            )
        with self._db.transaction() as c:
            c.execute(_COSIGN, [{"size": size, "witness": n, "line": s.line} for n, s in lines.items()])
        return tuple(lines)

    def add_witness(self, vkey: str) -> VerifierKey:
        """Register a witness; one that is registered stays.

        Raises:
            Invalid: if the key is malformed, no cosignature/v1 key, or the log's own.
            Conflict: if another key has its name, or it has another name already.
        """
        key = VerifierKey.parse(vkey)
        log = self._signer.verifier_key
        if key.kind is not KeyKind.COSIGNATURE or log.public == key.public or log.name == key.name:
            raise Invalid("A witness has a cosignature/v1 key (type 4) that is not the ledger's own.")
        with self._db.transaction() as c:
            c.execute(
                sa.text("INSERT INTO ledger_witnesses (name, vkey) VALUES (:name, :vkey) ON CONFLICT DO NOTHING"),
                {"name": key.name, "vkey": str(key)},
            )
            known = [VerifierKey.parse(v) for v in c.scalars(sa.select(witnesses.c.vkey))]
            if any(k != key and (k.name == key.name or k.public == key.public) for k in known):
                raise Conflict("A witness has one name and one key; this name or this key is registered already.")
        return key

    def witnesses(self) -> tuple[VerifierKey, ...]:
        """Return the registered witnesses' keys, by name."""
        with self._db.read() as c:
            return tuple(VerifierKey.parse(v) for v in c.scalars(sa.select(witnesses.c.vkey).order_by("name")))


def newest(c: sa.Connection) -> str | None:
    """Return the newest checkpoint that is stored, or None if the log has signed none yet."""
    found = c.execute(_NEWEST.limit(1)).first()
    return str(found.note) if found else None
