# SPDX-License-Identifier: Apache-2.0
"""What is due to be erased: references whose time is over, or whose consent has ended.

A reference that belongs to a subject leaves it first; a subject that has none left goes too. Keys are destroyed with
the rows, and the files are scrubbed, as with every deletion.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from custodes.db import Database
from custodes.gallery.references import Deletion, References
from custodes.gallery.rows import find_collection, parse_id
from custodes.gallery.schema import collections, references, subjects
from custodes.gallery.subjects import Subjects

__all__ = ["Due", "Gone", "Held", "Retention"]

_DAY = 86_400
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Due:
    """References of a collection that are to be erased now."""

    collection: str
    uid: str
    owner: str
    reference_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """What is kept of a reference beside the template: since when, from where, on which consent."""

    reference_id: str
    enrolled_at: float | None
    provenance: str | None
    consent: str | None


@dataclass(frozen=True, slots=True)
class Gone:
    """What was erased: references, subjects that had no others, and consents on which nothing rests any more."""

    reference_ids: tuple[str, ...]
    subject_ids: tuple[str, ...]
    consents: tuple[str, ...]


class Retention:
    """Finds what is due, and erases it."""

    def __init__(
        self,
        database: Database,
        references_: References,
        subjects_: Subjects,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._db = database
        self._references = references_
        self._subjects = subjects_
        self._clock = clock

    def overdue(self) -> tuple[Due, ...]:
        """Find references that are older than their collection keeps them: a batch of each collection."""
        with self._db.read() as c:
            limited = c.execute(sa.select(collections).where(collections.c.retention_days.is_not(None))).all()
            found = []
            for row in limited:
                oldest = self._clock() - row.retention_days * _DAY
                found.append(self._due(c, row, references.c.enrolled_at <= oldest))
        return tuple(d for d in found if d.reference_ids)

    def without(self, consents: Sequence[str]) -> tuple[Due, ...]:
        """Find references that were enrolled on any of these consents: a batch of each collection."""
        mine = references.c.consent.in_(list(consents))
        with self._db.read() as c:
            concerned = sa.select(references.c.collection_id).where(mine).distinct()
            rows = c.execute(sa.select(collections).where(collections.c.id.in_(concerned))).all()
            return tuple(self._due(c, row, mine) for row in rows)

    @staticmethod
    def _due(c: sa.Connection, row: sa.Row[tuple[object, ...]], which: sa.ColumnElement[bool]) -> Due:
        query = sa.select(references.c.reference_id).where(references.c.collection_id == row.id, which)
        ids = c.execute(query.order_by(references.c.id).limit(_BATCH)).scalars()
        return Due(row.name, row.uid, row.owner, tuple(str(uuid.UUID(bytes=i)) for i in ids))

    def every(self, name: str) -> Iterator[tuple[str, ...]]:
        """Read the ids of all references of a collection, a batch at a time.

        Raises:
            NotFound: if there is no such collection.
        """
        last = 0
        with self._db.read() as c:
            row = find_collection(c, name).row
        while True:
            query = sa.select(references.c.id, references.c.reference_id).where(
                references.c.collection_id == row, references.c.id > last
            )
            with self._db.read() as c:
                some = c.execute(query.order_by(references.c.id).limit(_BATCH)).all()
            if not some:
                return
            last = some[-1].id
            yield tuple(str(uuid.UUID(bytes=r.reference_id)) for r in some)

    def everybody(self, name: str) -> tuple[str, ...]:
        """Read the ids of all subjects of a collection.

        Raises:
            NotFound: if there is no such collection.
        """
        found: list[str] = []
        position: int | None = 0
        while position is not None:
            page, position = self._subjects.list(name, after=position, limit=_BATCH)
            found += [s.subject_id for s in page]
        return tuple(found)

    def erase(self, name: str, reference_ids: Sequence[str]) -> Gone:
        """Erase references, whether they belong to a subject or not, and subjects that have none left.

        Returns:
            What was there and is gone.

        Raises:
            NotFound: if there is no such collection.
        """
        with self._db.transaction() as c:
            collection = find_collection(c, name)
            query = (
                sa.select(references.c.reference_id, subjects.c.subject_id)
                .join(subjects, references.c.subject == subjects.c.id)
                .where(
                    references.c.collection_id == collection.row,
                    references.c.reference_id.in_([parse_id(i) for i in reference_ids]),
                )
            )
            emptied: list[str] = []
            tied: dict[str, list[str]] = {}
            for row in c.execute(query):
                tied.setdefault(row.subject_id, []).append(str(uuid.UUID(bytes=row.reference_id)))
            for subject_id, ids in tied.items():
                self._subjects.disassociate(name, subject_id, ids, None)
                if not self._references.list(name, after=0, limit=1, subject_id=subject_id)[0]:
                    self._subjects.delete(name, subject_id, None)
                    emptied.append(subject_id)
            _, gone = self.delete(name, reference_ids)
            return replace(gone, subject_ids=tuple(emptied))

    def delete(self, name: str, reference_ids: Sequence[str]) -> tuple[Deletion, Gone]:
        """Delete references that belong to no subject; tell what became of each, and what is gone with them.

        Raises:
            NotFound: if there is no such collection.
        """
        with self._db.transaction() as c:
            held = {h.consent for h in self.held(name, reference_ids) if h.consent}
            done = self._references.delete(name, reference_ids)
            collection = find_collection(c, name)
            resting = sa.select(references.c.consent).where(
                references.c.collection_id == collection.row, references.c.consent.in_(list(held))
            )
            left = set(c.execute(resting).scalars()) if held else set()
            return done, Gone(done.deleted, (), tuple(sorted(held - left)))

    def held(self, name: str, reference_ids: Sequence[str]) -> tuple[Held, ...]:
        """Read since when, from where and on which consent references are kept.

        Raises:
            NotFound: if there is no such collection.
        """
        with self._db.read() as c:
            collection = find_collection(c, name)
            rows = c.execute(
                sa.select(
                    references.c.reference_id, references.c.enrolled_at, references.c.provenance, references.c.consent
                ).where(
                    references.c.collection_id == collection.row,
                    references.c.reference_id.in_([parse_id(i) for i in reference_ids]),
                )
            )
            return tuple(
                Held(str(uuid.UUID(bytes=r.reference_id)), r.enrolled_at, r.provenance, r.consent) for r in rows
            )
