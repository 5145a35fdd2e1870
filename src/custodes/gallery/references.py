# SPDX-License-Identifier: Apache-2.0
"""References: enrolling, listing, deleting and searching faces.

A search reads one snapshot of the store: the collection's change number, the candidates' templates for the exact
re-ranking, and what is told of them. Templates are read for the few candidates of a search alone; whole galleries
are in memory only as the index's codes.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa

from custodes.db import Database, Vault
from custodes.domain import Box, Float32, ImageSize, Reference, Template
from custodes.errors import Code, Conflict, Invalid, NotFound
from custodes.gallery.cache import FACES, IndexCache, vectors
from custodes.gallery.rows import (
    REFERENCE_COLUMNS,
    Collection,
    find_collection,
    lock_collection,
    parse_id,
    subject_row,
    to_reference,
)
from custodes.gallery.schema import collections, references, removals, subjects
from custodes.gallery.search import Ask, Pairs, Query, Ranking, exact_search

__all__ = ["Deletion", "NewReference", "References"]

_IN = 20_000
_SAME_FACE = 0.8  # overlap (intersection over union) above which two boxes of one image are one face
_NAMED = 5  # of references that there aren't
_PRUNE_AFTER = 3600.0  # seconds for which removals are listed at least; an index that slept longer may be built anew

_WITH_SUBJECT = (
    sa.select(*REFERENCE_COLUMNS, subjects.c.subject_id)
    .select_from(references)
    .outerjoin(subjects, references.c.subject == subjects.c.id)
)

_DESCRIBED = _WITH_SUBJECT.where(references.c.id.in_(sa.bindparam("rows", expanding=True)))
_NUMBERS = sa.select(references.c.reference_id, references.c.id).where(
    references.c.collection_id == sa.bindparam("collection"),
    references.c.reference_id.in_(sa.bindparam("references", expanding=True)),
)
_TEMPLATE = sa.select(references.c.template, references.c.template_key).where(
    references.c.collection_id == sa.bindparam("collection"),
    references.c.reference_id == sa.bindparam("reference"),
)


@dataclass(frozen=True, slots=True)
class NewReference:
    """A face to be enrolled."""

    box: Box
    confidence: float
    template: Template


@dataclass(frozen=True, slots=True)
class Deletion:
    """What became of a request to delete references: ids gone, unknown, and tied to a subject (id, subject)."""

    deleted: tuple[str, ...]
    unknown: tuple[str, ...]
    tied: tuple[tuple[str, str], ...]


class References:
    """The store of references."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        cache: IndexCache,
        *,
        max_faces: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._db = database
        self._vault = vault
        self._cache = cache
        self._max_faces = max_faces
        self._clock = clock

    def enrol(
        self,
        name: str,
        faces: Sequence[NewReference],
        *,
        image_id: bytes,
        external_image_id: str | None,
        image_size: ImageSize,
        provenance: str | None = None,
        consent: str | None = None,
    ) -> tuple[Reference, ...]:
        """Store the faces of one image, all or none, and return their references in the same order.

        A face of the same image under the same external id that is enrolled already is not stored again.

        Args:
            name: the collection.
            faces: what to store.
            image_id: 16 bytes that stand for the image's content.
            external_image_id: the caller's label of the image.
            image_size: frame of the boxes.
            provenance, consent: where the image comes from, and the id of the consent that it is enrolled on.

        Raises:
            NotFound: if there is no such collection.
            Invalid: if a template is of another pack than the collection.
            Conflict: if the collection is full (code ``quota``).
        """
        with self._db.transaction() as c:
            collection = lock_collection(c, name)
            known = self._enrolled(c, collection, image_id, external_image_id)
            result: list[Reference] = []
            rows: list[dict[str, Any]] = []
            for face in faces:
                twin = next((r for r in known if r.box.overlap(face.box) > _SAME_FACE), None)
                if twin is None:
                    row = self._new_row(collection, face, image_id, external_image_id, image_size)
                    row |= {"provenance": provenance, "consent": consent}
                    rows.append(row)
                    twin = to_reference(row, collection.pack_version, None)
                result.append(twin)
            if collection.face_count + len(rows) > self._max_faces:
                raise Conflict(f"A collection has at most {self._max_faces} faces.", code=Code.QUOTA)
            if rows:
                c.execute(sa.insert(references), rows)
                self._count(c, collection, len(rows))
        return tuple(result)

    def _enrolled(
        self, c: sa.Connection, collection: Collection, image_id: bytes, external_image_id: str | None
    ) -> list[Reference]:
        if external_image_id is None:
            return []
        query = _WITH_SUBJECT.where(
            references.c.collection_id == collection.row,
            references.c.image_id == image_id,
            references.c.external_image_id == external_image_id,
        )
        return [to_reference(r, collection.pack_version, r.subject_id) for r in c.execute(query)]

    def has_image(self, name: str, image_id: bytes, external_image_id: str) -> bool:
        """Tell whether a face of an image is enrolled under a label.

        Raises:
            NotFound: if there is no such collection.
        """
        with self._db.read() as c:
            return bool(self._enrolled(c, find_collection(c, name), image_id, external_image_id))

    def _new_row(
        self,
        collection: Collection,
        face: NewReference,
        image_id: bytes,
        external_image_id: str | None,
        image_size: ImageSize,
    ) -> dict[str, Any]:
        if face.template.pack != collection.pack or len(face.template.vector) != collection.dimension:
            raise Invalid(f"The collection holds templates of pack {collection.pack}, not {face.template.pack}.")
        reference_id = uuid.uuid4().bytes
        sealed = self._vault.seal(face.template.vector.astype("<f4").tobytes(), reference_id)
        return {
            "collection_id": collection.row,
            "reference_id": reference_id,
            "image_id": image_id,
            "external_image_id": external_image_id,
            "left": face.box.left,
            "top": face.box.top,
            "width": face.box.width,
            "height": face.box.height,
            "image_width": image_size.width,
            "image_height": image_size.height,
            "confidence": face.confidence,
            "change": collection.change,
            "template": sealed.ciphertext,
            "template_key": sealed.wrapped_key,
            "enrolled_at": self._clock(),
        }

    @staticmethod
    def _count(c: sa.Connection, collection: Collection, more: int) -> None:
        c.execute(
            sa.update(collections)
            .where(collections.c.id == collection.row)
            .values(face_count=collections.c.face_count + more)
        )

    def list(
        self,
        name: str,
        *,
        after: int,
        limit: int,
        subject_id: str | None = None,
        reference_ids: Sequence[str] | None = None,
    ) -> tuple[tuple[Reference, ...], int | None]:
        """Read a page of references in the order of enrolment.

        Returns:
            The references, and the position to go on from, or None at the end.

        Raises:
            NotFound: if there is no such collection or subject.
        """
        with self._db.read() as c:
            collection = find_collection(c, name)
            query = _WITH_SUBJECT.where(references.c.collection_id == collection.row, references.c.id > after)
            if subject_id is not None:
                query = query.where(references.c.subject == subject_row(c, collection, subject_id).id)
            if reference_ids is not None:
                query = query.where(references.c.reference_id.in_([parse_id(i) for i in reference_ids]))
            rows = c.execute(query.order_by(references.c.id).limit(limit + 1)).all()
            page = tuple(to_reference(r, collection.pack_version, r.subject_id) for r in rows[:limit])
        return page, rows[limit - 1].id if len(rows) > limit else None

    def delete(self, name: str, reference_ids: Sequence[str]) -> Deletion:
        """Delete references, from the files too; one that belongs to a subject is refused.

        Raises:
            NotFound: if there is no such collection.
        """
        with self._db.transaction() as c:
            collection = lock_collection(c, name)
            wanted = {i: parse_id(i) for i in dict.fromkeys(reference_ids)}
            found = {
                r.reference_id: r
                for r in c.execute(
                    _WITH_SUBJECT.where(
                        references.c.collection_id == collection.row,
                        references.c.reference_id.in_(list(wanted.values())),
                    )
                )
            }
            tied = {i: found[b].subject_id for i, b in wanted.items() if b in found and found[b].subject_id is not None}
            gone = {i: found[b].id for i, b in wanted.items() if b in found and i not in tied}
            if gone:
                rows = list(gone.values())
                c.execute(sa.delete(references).where(references.c.id.in_(rows)))
                record_removals(c, collection, FACES, rows, self._clock())
                self._count(c, collection, -len(rows))
        if gone:
            self._db.scrub()
        unknown = tuple(i for i, b in wanted.items() if b not in found)
        return Deletion(tuple(gone), unknown, tuple(tied.items()))

    def template(self, name: str, reference_id: str) -> Template:
        """Read a reference's template.

        Raises:
            NotFound: if there is no such collection, or no such reference in it (code ``face-missing``).
        """
        with self._db.read() as c:
            return self._template(c, find_collection(c, name), reference_id)

    def _template(self, c: sa.Connection, collection: Collection, reference_id: str) -> Template:
        identity = parse_id(reference_id)
        row = c.execute(_TEMPLATE, {"collection": collection.row, "reference": identity}).one_or_none()
        if row is None:
            raise NotFound(f"The collection {collection.name} has no reference {reference_id}.", code=Code.FACE_MISSING)
        blob = self._vault.open(row.template, row.template_key, identity)
        return Template(np.frombuffer(blob, np.float32), collection.pack)

    def templates(self, name: str, reference_ids: Sequence[str]) -> tuple[Collection, Float32]:
        """Read the templates of some references, all in one snapshot.

        Args:
            name: the collection.
            reference_ids: which.

        Returns:
            The collection, and ``(n, d)`` float32, one for each id.

        Raises:
            NotFound: if there is no such collection, or it lacks some of the references (code ``face-missing``).
        """
        wanted = [parse_id(i) for i in reference_ids]
        with self._db.read() as c:
            collection = find_collection(c, name)
            numbers: dict[bytes, int] = {}
            for start in range(0, len(wanted), _IN):
                some = {"collection": collection.row, "references": wanted[start : start + _IN]}
                numbers.update((r.reference_id, r.id) for r in c.execute(_NUMBERS, some))
            missing = [i for i, b in zip(reference_ids, wanted, strict=True) if b not in numbers]
            if missing:
                more = len(missing) - _NAMED
                named = ", ".join(missing[:_NAMED]) + (f" and {more} more" if more > 0 else "")
                raise NotFound(
                    f"The collection {name} lacks {len(missing)} of the {len(wanted)} references: {named}.",
                    code=Code.FACE_MISSING,
                )
            rows, places = np.unique(np.array([numbers[b] for b in wanted], np.int64), return_inverse=True)
            return collection, vectors(c, self._vault, FACES, collection.dimension, rows)[places]

    def search(self, name: str, probe: Template, *, limit: int, threshold: float) -> Pairs[Reference]:
        """Find the references most alike to a probe: exactly, by the cosine of the float32 templates.

        Args:
            name: the collection.
            probe: a template of the collection's pack.
            limit: length of the candidate list.
            threshold: least cosine.

        Returns:
            References with their cosine, the most alike first.

        Raises:
            NotFound: if there is no such collection.
            Invalid: if the probe is of another pack.
            Unavailable: if the collection changes faster than it can be read.
        """
        return self.search_many(name, [probe], limit=limit, threshold=threshold)[0]

    def search_many(
        self, name: str, probes: Sequence[Template], *, limit: int, threshold: float
    ) -> tuple[Pairs[Reference], ...]:
        """Make one search for each probe, all in one snapshot; for many probes and references cheaper than one by one.

        Arguments and errors are those of :meth:`search`.

        Returns:
            A candidate list for each probe, in their order.
        """
        query = Query(tuple(probes), threshold)
        return tuple(found.pairs for found in self._search(name, lambda _, __: query, limit))

    def search_like(
        self, name: str, reference_id: str, *, limit: int, threshold: Callable[[str], float]
    ) -> Ranking[Reference]:
        """Find the references most alike to one of the collection, which is left out; all in one snapshot.

        Args:
            name: the collection.
            reference_id: which.
            limit: length of the candidate list.
            threshold: gives the least cosine for the collection's pack.

        Raises:
            NotFound: if there is no such collection, or no such reference in it (code ``face-missing``).
            Unavailable: if the collection changes faster than it can be read.
        """

        def ask(c: sa.Connection, collection: Collection) -> Query:
            return Query((self._template(c, collection, reference_id),), threshold(collection.pack))

        [found] = self._search(name, ask, limit + 1)
        others = tuple(pair for pair in found.pairs if pair[0].reference_id != reference_id)
        return Ranking(found.collection, others[:limit])

    def _search(self, name: str, ask: Ask, limit: int) -> tuple[Ranking[Reference], ...]:
        return exact_search(
            self._db, self._vault, self._cache, kind=FACES, name=name, ask=ask, limit=limit, describe=_describe
        )

    def warm(self, name: str) -> int:
        """Bring the index of a collection into memory, and return how many references it has.

        Raises:
            NotFound: if there is no such collection.
        """
        with self._db.read() as c:
            return len(self._cache.synced(c, find_collection(c, name), FACES))


def _describe(c: sa.Connection, collection: Collection, keys: Sequence[int]) -> dict[int, Reference]:
    return {
        r.id: to_reference(r, collection.pack_version, r.subject_id)
        for start in range(0, len(keys), _IN)
        for r in c.execute(_DESCRIBED, {"rows": keys[start : start + _IN]})
    }


def record_removals(c: sa.Connection, collection: Collection, kind: str, rows: Sequence[int], now: float) -> None:
    """List rows that go, for the indexes of all processes; forget what was listed long ago."""
    c.execute(
        sa.insert(removals),
        [
            {
                "collection_id": collection.row,
                "change": collection.change,
                "kind": kind,
                "row": r,
                "removed_at": now,
            }
            for r in rows
        ],
    )
    listed = removals.c.collection_id == collection.row
    first = c.execute(sa.select(removals.c.removed_at).where(listed).order_by(removals.c.change).limit(1)).scalar_one()
    if first < now - 2 * _PRUNE_AFTER:  # many at a time, so that most deletions look at one row only
        old = listed & (removals.c.removed_at < now - _PRUNE_AFTER)
        last = c.execute(sa.select(sa.func.max(removals.c.change)).where(old)).scalar_one()
        c.execute(sa.delete(removals).where(old))
        c.execute(sa.update(collections).where(collections.c.id == collection.row).values(pruned=last))
