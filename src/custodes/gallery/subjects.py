# SPDX-License-Identifier: Apache-2.0
"""Subjects: one person's references together, with a template that is the mean of theirs.

Averaging templates of several photos of a person and normalising the sum is the usual way to search for a subject
rather than a photo (IJB-A calls it template pooling); it is what Rekognition names a user vector.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import orjson
import sqlalchemy as sa

from custodes.db import Database, Vault
from custodes.domain import Float32, Subject, SubjectStatus, Template
from custodes.errors import Code, Conflict, Invalid
from custodes.gallery.cache import FACES, SUBJECTS, IndexCache, owner_of, vectors
from custodes.gallery.references import record_removals
from custodes.gallery.rows import (
    Collection,
    find_collection,
    lock_collection,
    parse_id,
    subject_row,
    to_subject,
)
from custodes.gallery.schema import collections, references, subjects
from custodes.gallery.search import Pairs, Query, exact_search
from custodes.gallery.tokens import Done, Once, Tokens

__all__ = ["Association", "Disassociation", "Subjects"]


@dataclass(frozen=True, slots=True)
class Association:
    """What became of a request to associate references with a subject.

    Attributes:
        associated: ids that are new with the subject.
        unknown: ids that the collection doesn't have.
        elsewhere: ids of another subject, with its id.
        unlike: ids below the threshold, with their cosine to the subject.
        surplus: ids beyond the limit of references of a subject.
        status: the subject's state afterwards.
    """

    associated: tuple[str, ...]
    unknown: tuple[str, ...]
    elsewhere: tuple[tuple[str, str], ...]
    unlike: tuple[tuple[str, float], ...]
    surplus: tuple[str, ...]
    status: SubjectStatus


@dataclass(frozen=True, slots=True)
class Disassociation:
    """What became of a request to disassociate references from a subject."""

    disassociated: tuple[str, ...]
    unknown: tuple[str, ...]
    elsewhere: tuple[tuple[str, str], ...]
    status: SubjectStatus


@dataclass(frozen=True, slots=True)
class _Asked:
    """Reference ids of a request, sorted by what the collection knows of them (row numbers by id)."""

    free: dict[str, int]
    own: dict[str, int]
    elsewhere: tuple[tuple[str, str], ...]
    unknown: tuple[str, ...]


def _pairs(values: Sequence[Sequence[Any]]) -> tuple[tuple[str, Any], ...]:
    return tuple((str(v[0]), v[1]) for v in values)


class Subjects:
    """The store of subjects."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        cache: IndexCache,
        *,
        max_references: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._db = database
        self._vault = vault
        self._cache = cache
        self._max_references = max_references
        self._clock = clock
        self._tokens = Tokens(vault, clock=clock)

    def create(self, name: str, subject_id: str, once: Once | None) -> None:
        """Create a subject without references.

        Raises:
            NotFound: if there is no such collection.
            Conflict: if the subject exists, or the token was used otherwise.
        """
        with self._db.transaction() as c:
            collection = lock_collection(c, name)
            self._tokens.run(c, collection, once, lambda: self._create(c, collection, subject_id))

    def _create(self, c: sa.Connection, collection: Collection, subject_id: str) -> Done:
        taken = c.execute(
            sa.select(subjects.c.id).where(
                subjects.c.collection_id == collection.row, subjects.c.subject_id == subject_id
            )
        ).one_or_none()
        if taken is not None:
            raise Conflict(
                f"The collection {collection.name} has a subject {subject_id} already.", code=Code.SUBJECT_EXISTS
            )
        row: int = c.execute(
            sa.insert(subjects)
            .values(
                collection_id=collection.row,
                subject_id=subject_id,
                created_at=self._clock(),
                face_count=0,
                change=collection.change,
            )
            .returning(subjects.c.id)
        ).scalar_one()
        self._count(c, collection, 1)
        return Done(b"", row)

    def delete(self, name: str, subject_id: str, once: Once | None) -> None:
        """Disassociate a subject's references and delete it, from the files too.

        Raises:
            NotFound: if there is no such collection or subject.
            Conflict: if the token was used otherwise.
        """
        with self._db.transaction() as c:
            collection = lock_collection(c, name)
            self._tokens.run(c, collection, once, lambda: self._delete(c, collection, subject_id))
        self._db.scrub()

    def _delete(self, c: sa.Connection, collection: Collection, subject_id: str) -> Done:
        row = subject_row(c, collection, subject_id)
        c.execute(sa.update(references).where(references.c.subject == row.id).values(subject=None))
        c.execute(sa.delete(subjects).where(subjects.c.id == row.id))
        record_removals(c, collection, SUBJECTS, [row.id], self._clock())
        self._count(c, collection, -1)
        return Done(b"", None)

    @staticmethod
    def _count(c: sa.Connection, collection: Collection, more: int) -> None:
        c.execute(
            sa.update(collections)
            .where(collections.c.id == collection.row)
            .values(subject_count=collections.c.subject_count + more)
        )

    def list(self, name: str, *, after: int, limit: int) -> tuple[tuple[Subject, ...], int | None]:
        """Read a page of subjects in the order of creation, and the position to go on from (None at the end).

        Raises:
            NotFound: if there is no such collection.
        """
        with self._db.read() as c:
            collection = find_collection(c, name)
            rows = c.execute(
                sa.select(subjects)
                .where(subjects.c.collection_id == collection.row, subjects.c.id > after)
                .order_by(subjects.c.id)
                .limit(limit + 1)
            ).all()
        return tuple(to_subject(r) for r in rows[:limit]), rows[limit - 1].id if len(rows) > limit else None

    def template(self, name: str, subject_id: str) -> Template | None:
        """Read a subject's template; None while it has no references.

        Raises:
            NotFound: if there is no such collection or subject.
        """
        with self._db.read() as c:
            collection = find_collection(c, name)
            row = subject_row(c, collection, subject_id)
        if row.template is None:
            return None
        blob = self._vault.open(row.template, row.template_key, owner_of(SUBJECTS, row.id))
        return Template(np.frombuffer(blob, np.float32), collection.pack)

    def search(self, name: str, probe: Template, *, limit: int, threshold: float) -> Pairs[Subject]:
        """Find the subjects most alike to a probe; arguments, result and errors are those of ``References.search``."""
        [found] = exact_search(
            self._db,
            self._vault,
            self._cache,
            kind=SUBJECTS,
            name=name,
            ask=lambda _, __: Query((probe,), threshold),
            limit=limit,
            describe=_describe,
        )
        return found.pairs

    def associate(
        self, name: str, subject_id: str, reference_ids: Sequence[str], *, threshold: float, once: Once | None
    ) -> Association:
        """Associate references with a subject; from the second on each must be alike enough to those before.

        Raises:
            NotFound: if there is no such collection or subject.
            Conflict: if the subject is full (code ``quota``), or the token was used otherwise.
        """
        with self._db.transaction() as c:
            collection = lock_collection(c, name)
            raw = self._tokens.run(
                c, collection, once, lambda: self._associate(c, collection, subject_id, reference_ids, threshold)
            )
        told = orjson.loads(raw)
        return Association(
            tuple(told["associated"]),
            tuple(told["unknown"]),
            _pairs(told["elsewhere"]),
            _pairs(told["unlike"]),
            tuple(told["surplus"]),
            SubjectStatus(told["status"]),
        )

    def _associate(
        self, c: sa.Connection, collection: Collection, subject_id: str, reference_ids: Sequence[str], threshold: float
    ) -> Done:
        row = subject_row(c, collection, subject_id)
        asked = self._sort(c, collection, row.id, reference_ids)
        if row.face_count >= self._max_references and asked.free:
            raise Conflict(f"A user has at most {self._max_references} faces.", code=Code.QUOTA)
        total = self._member_sum(c, collection, row.id)
        probes = vectors(c, self._vault, FACES, collection.dimension, np.array(list(asked.free.values()), np.int64))
        taken: dict[str, int] = {}
        unlike: list[tuple[str, float]] = []
        surplus: list[str] = []
        for (reference_id, key), vector in zip(asked.free.items(), probes, strict=True):
            norm = float(np.linalg.norm(total))
            cosine = float(np.clip(vector @ total / norm, -1.0, 1.0)) if norm > 0 else 1.0
            if row.face_count + len(taken) >= self._max_references:
                surplus.append(reference_id)
            elif norm > 0 and cosine < threshold:
                unlike.append((reference_id, cosine))
            else:
                taken[reference_id] = key
                total = total + vector
        if taken:
            keys = list(taken.values())
            c.execute(sa.update(references).where(references.c.id.in_(keys)).values(subject=row.id))
            self._store(c, collection, row.id, total, row.face_count + len(taken))
        status = SubjectStatus.ACTIVE if row.face_count + len(taken) else SubjectStatus.CREATED
        done = Association(tuple(taken), asked.unknown, asked.elsewhere, tuple(unlike), tuple(surplus), status)
        return Done(orjson.dumps(asdict(done)), row.id)

    def disassociate(
        self, name: str, subject_id: str, reference_ids: Sequence[str], once: Once | None
    ) -> Disassociation:
        """Take references away from a subject; they stay in the collection.

        Raises:
            NotFound: if there is no such collection or subject.
            Conflict: if the token was used otherwise.
        """
        with self._db.transaction() as c:
            collection = lock_collection(c, name)
            raw = self._tokens.run(
                c, collection, once, lambda: self._disassociate(c, collection, subject_id, reference_ids)
            )
        self._db.scrub()
        told = orjson.loads(raw)
        return Disassociation(
            tuple(told["disassociated"]),
            tuple(told["unknown"]),
            _pairs(told["elsewhere"]),
            SubjectStatus(told["status"]),
        )

    def _disassociate(
        self, c: sa.Connection, collection: Collection, subject_id: str, reference_ids: Sequence[str]
    ) -> Done:
        row = subject_row(c, collection, subject_id)
        asked = self._sort(c, collection, row.id, reference_ids)
        left = row.face_count - len(asked.own)
        if asked.own:
            keys = list(asked.own.values())
            c.execute(sa.update(references).where(references.c.id.in_(keys)).values(subject=None))
            self._store(c, collection, row.id, self._member_sum(c, collection, row.id), left)
        status = SubjectStatus.ACTIVE if left else SubjectStatus.CREATED
        done = Disassociation(tuple(asked.own), asked.unknown, asked.elsewhere, status)
        return Done(orjson.dumps(asdict(done)), row.id)

    @staticmethod
    def _sort(c: sa.Connection, collection: Collection, subject: int, reference_ids: Sequence[str]) -> _Asked:
        wanted = {i: parse_id(i) for i in dict.fromkeys(reference_ids)}
        found = {
            r.reference_id: r
            for r in c.execute(
                sa.select(references.c.reference_id, references.c.id, references.c.subject, subjects.c.subject_id)
                .select_from(references)
                .outerjoin(subjects, references.c.subject == subjects.c.id)
                .where(
                    references.c.collection_id == collection.row,
                    references.c.reference_id.in_(list(wanted.values())),
                )
            )
        }
        known = {i: found[b] for i, b in wanted.items() if b in found}
        return _Asked(
            free={i: r.id for i, r in known.items() if r.subject is None},
            own={i: r.id for i, r in known.items() if r.subject == subject},
            elsewhere=tuple(
                (i, r.subject_id) for i, r in known.items() if r.subject is not None and r.subject != subject
            ),
            unknown=tuple(i for i, b in wanted.items() if b not in found),
        )

    def _member_sum(self, c: sa.Connection, collection: Collection, subject: int) -> Float32:
        keys = c.execute(sa.select(references.c.id).where(references.c.subject == subject)).scalars().all()
        members = vectors(c, self._vault, FACES, collection.dimension, np.array(keys, np.int64))
        total: Float32 = members.sum(axis=0, dtype=np.float32)
        return total

    def _store(self, c: sa.Connection, collection: Collection, subject: int, total: Float32, count: int) -> None:
        norm = float(np.linalg.norm(total))
        sealed = None
        if count:
            if norm == 0.0:
                raise Invalid("The faces of this user cancel each other out.")
            sealed = self._vault.seal((total / norm).astype("<f4").tobytes(), owner_of(SUBJECTS, subject))
        else:
            record_removals(c, collection, SUBJECTS, [subject], self._clock())
        c.execute(
            sa.update(subjects)
            .where(subjects.c.id == subject)
            .values(
                face_count=count,
                change=collection.change,
                template=sealed.ciphertext if sealed else None,
                template_key=sealed.wrapped_key if sealed else None,
            )
        )


def _describe(c: sa.Connection, _: Collection, keys: Sequence[int]) -> dict[int, Subject]:
    return {r.id: to_subject(r) for r in c.execute(sa.select(subjects).where(subjects.c.id.in_(keys)))}
