# SPDX-License-Identifier: Apache-2.0
"""Collections and their tags."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import sqlalchemy as sa

from custodes.db import Database
from custodes.errors import Code, Conflict, NotFound
from custodes.gallery.rows import Collection, find_collection, lock_collection, to_collection
from custodes.gallery.schema import collections, references, removals, request_tokens, subjects, tags

__all__ = ["Collections", "Terms", "Totals"]

_MAX_TAGS = 200


class Terms(NamedTuple):
    """Whose a collection is, for what, whether it is watched for in public, and how long references are kept."""

    owner: str
    purpose: str
    public_space: bool
    retention_days: int | None


class Totals(NamedTuple):
    """How many collections there are, references in them, and subjects."""

    collections: int
    references: int
    subjects: int


_COUNTED = (collections.c.face_count, collections.c.subject_count)
_TERMS = sa.select(
    collections.c.owner, collections.c.purpose, collections.c.public_space, collections.c.retention_days
).where(collections.c.uid == sa.bindparam("wanted"))


class Collections:
    """The store of collections."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._db = database
        self._clock = clock

    def create(
        self,
        name: str,
        *,
        pack: str,
        pack_version: str,
        dimension: int,
        labels: Mapping[str, str],
        uid: str = "",
        owner: str = "local",
        purpose: str = "photo-library",
        public_space: bool = False,
        retention_days: int | None = None,
    ) -> Collection:
        """Create a collection pinned to a model pack.

        Args:
            name: unique among all.
            pack, pack_version, dimension: whose templates it holds.
            labels: tags.
            uid: its random id; one is made if it is empty.
            owner, purpose, public_space, retention_days: see :class:`Collection`.

        Raises:
            Conflict: if the name is taken, or there are more than 200 tags.
        """
        try:
            with self._db.transaction() as c:
                row = c.execute(
                    sa.insert(collections)
                    .values(
                        name=name,
                        pack=pack,
                        pack_version=pack_version,
                        dimension=dimension,
                        created_at=self._clock(),
                        change=0,
                        pruned=0,
                        face_count=0,
                        subject_count=0,
                        uid=uid or uuid.uuid4().hex,
                        owner=owner,
                        purpose=purpose,
                        public_space=public_space,
                        retention_days=retention_days,
                    )
                    .returning(collections)
                ).one()
                collection = to_collection(row)
                self._tag(c, collection, labels)
        except sa.exc.IntegrityError:  # whose text has the values that PostgreSQL was given
            raise Conflict(f"There is a collection {name} already.", code=Code.COLLECTION_EXISTS) from None
        return collection

    def get(self, name: str) -> Collection:
        """Read a collection.

        Raises:
            NotFound: if there is none of that name.
        """
        with self._db.read() as c:
            return find_collection(c, name)

    def list(self, *, after: int, limit: int, owner: str | None = None) -> tuple[tuple[Collection, ...], int | None]:
        """Read a page of an owner's collections, or of all, in the order of creation.

        Returns:
            The collections, and the position to go on from (None at the end).
        """
        with self._db.read() as c:
            query = sa.select(collections).where(collections.c.id > after).order_by(collections.c.id)
            if owner is not None:
                query = query.where(collections.c.owner == owner)
            rows = c.execute(query.limit(limit + 1)).all()
        return tuple(to_collection(r) for r in rows[:limit]), rows[limit - 1].id if len(rows) > limit else None

    def totals(self, owner: str) -> Totals:
        """Count an owner's collections, and what is in them."""
        counts = (sa.func.count(), *(sa.func.coalesce(sa.func.sum(k), 0) for k in _COUNTED))
        with self._db.read() as c:
            row = c.execute(sa.select(*counts).where(collections.c.owner == owner)).one()
        return Totals(int(row[0]), int(row[1]), int(row[2]))

    def delete(self, name: str) -> Collection:
        """Delete a collection with everything in it, from the files too.

        Raises:
            NotFound: if there is none of that name.
        """
        with self._db.transaction() as c:
            collection = lock_collection(c, name)
            for table in (request_tokens, references, subjects, removals, tags):
                c.execute(sa.delete(table).where(table.c.collection_id == collection.row))
            c.execute(sa.delete(collections).where(collections.c.id == collection.row))
        self._db.scrub()
        return collection

    def find(self, uid: str) -> Collection:
        """Read the collection of a random id.

        Raises:
            NotFound: if there is none.
        """
        with self._db.read() as c:
            row = c.execute(sa.select(collections).where(collections.c.uid == uid)).one_or_none()
        if row is None:
            raise NotFound("There is no such collection any more.", code=Code.COLLECTION_MISSING)
        return to_collection(row)

    def terms(self, c: sa.Connection, uid: str) -> Terms:
        """Read under which terms the collection of a random id is kept, in a transaction; cheaper than all of it.

        Raises:
            NotFound: if there is none.
        """
        row = c.execute(_TERMS, {"wanted": uid}).first()
        if row is None:
            raise NotFound("There is no such collection any more.", code=Code.COLLECTION_MISSING)
        return Terms(row[0], row[1], bool(row[2]), row[3])

    def retain(self, name: str, days: int | None) -> Collection:
        """Change how long a collection's references are kept; None means without an end.

        Raises:
            NotFound: if there is no such collection.
        """
        with self._db.transaction() as c:
            collection = lock_collection(c, name)
            changed = sa.update(collections).where(collections.c.id == collection.row).values(retention_days=days)
            return to_collection(c.execute(changed.returning(collections)).one())

    def tags(self, name: str) -> dict[str, str]:
        """Read a collection's tags.

        Raises:
            NotFound: if there is no such collection.
        """
        with self._db.read() as c:
            row = find_collection(c, name).row
            found = c.execute(sa.select(tags.c.key, tags.c.value).where(tags.c.collection_id == row))
            return {key: value for key, value in found}  # noqa: C416 - rows are no pairs to a type checker

    def tag(self, name: str, labels: Mapping[str, str]) -> None:
        """Add tags or change their values.

        Raises:
            NotFound: if there is no such collection.
            Conflict: if it would have more than 200 tags.
        """
        with self._db.transaction() as c:
            self._tag(c, lock_collection(c, name), labels)

    def untag(self, name: str, keys: Iterable[str]) -> None:
        """Remove tags; keys that aren't there are passed over.

        Raises:
            NotFound: if there is no such collection.
        """
        with self._db.transaction() as c:
            row = lock_collection(c, name).row
            c.execute(sa.delete(tags).where(tags.c.collection_id == row, tags.c.key.in_(list(keys))))

    @staticmethod
    def _tag(c: sa.Connection, collection: Collection, labels: Mapping[str, str]) -> None:
        if not labels:
            return
        c.execute(sa.delete(tags).where(tags.c.collection_id == collection.row, tags.c.key.in_(list(labels))))
        c.execute(
            sa.insert(tags),
            [{"collection_id": collection.row, "key": k, "value": v} for k, v in labels.items()],
        )
        count = c.execute(
            sa.select(sa.func.count()).select_from(tags).where(tags.c.collection_id == collection.row)
        ).scalar_one()
        if count > _MAX_TAGS:
            raise Conflict(f"A collection has at most {_MAX_TAGS} tags, this would be {count}.", code=Code.QUOTA)
