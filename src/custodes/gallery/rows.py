# SPDX-License-Identifier: Apache-2.0
"""What the gallery's stores share: finding and locking a collection, and turning rows into nouns."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

import sqlalchemy as sa

from custodes.domain import Box, ImageSize, Reference, Subject, SubjectStatus
from custodes.errors import Code, NotFound
from custodes.gallery.schema import collections, references, subjects

__all__ = [
    "REFERENCE_COLUMNS",
    "AnyRow",
    "Collection",
    "find_collection",
    "lock_collection",
    "parse_id",
    "subject_row",
    "to_collection",
    "to_reference",
    "to_subject",
]

AnyRow: TypeAlias = sa.Row[*tuple[Any, ...]]

REFERENCE_COLUMNS = (
    references.c.id,
    references.c.reference_id,
    references.c.image_id,
    references.c.external_image_id,
    references.c.left,
    references.c.top,
    references.c.width,
    references.c.height,
    references.c.image_width,
    references.c.image_height,
    references.c.confidence,
)


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection of references, pinned to the model pack that it was made with.

    Attributes:
        row: its number in the database; a collection that is deleted and made again has another.
        change: number of the last change to it (see ``gallery.schema``).
        pruned: an index older than this change has to be built anew.
        uid: random id that tells nothing, by which rules and ledger know the collection.
        owner, purpose: whose it is and for what, as ids of governance.
        public_space: whether it is watched for in places that the public may enter.
        retention_days: how long references are kept, or None without an end.
    """

    row: int
    name: str
    pack: str
    pack_version: str
    dimension: int
    created_at: datetime
    change: int
    pruned: int
    face_count: int
    subject_count: int
    uid: str
    owner: str
    purpose: str
    public_space: bool
    retention_days: int | None


def to_collection(row: AnyRow) -> Collection:
    """Make the noun of a row of ``collections``."""
    return Collection(
        row=row.id,
        name=row.name,
        pack=row.pack,
        pack_version=row.pack_version,
        dimension=row.dimension,
        created_at=datetime.fromtimestamp(row.created_at, UTC),
        change=row.change,
        pruned=row.pruned,
        face_count=row.face_count,
        subject_count=row.subject_count,
        uid=row.uid,
        owner=row.owner,
        purpose=row.purpose,
        public_space=bool(row.public_space),
        retention_days=row.retention_days,
    )


def _missing(name: str) -> NotFound:
    return NotFound(f"There is no collection {name}.", code=Code.COLLECTION_MISSING)


_FIND = sa.select(collections).where(collections.c.name == sa.bindparam("wanted"))


def find_collection(connection: sa.Connection, name: str) -> Collection:
    """Read a collection.

    Raises:
        NotFound: if there is none of that name.
    """
    row = connection.execute(_FIND, {"wanted": name}).one_or_none()
    if row is None:
        raise _missing(name)
    return to_collection(row)


def lock_collection(connection: sa.Connection, name: str) -> Collection:
    """Take the collection's next change number, and with it the right to write to it until the transaction ends.

    Raises:
        NotFound: if there is none of that name.
    """
    row = connection.execute(
        sa.update(collections)
        .where(collections.c.name == name)
        .values(change=collections.c.change + 1)
        .returning(collections)
    ).one_or_none()
    if row is None:
        raise _missing(name)
    return to_collection(row)


def parse_id(text: str) -> bytes:
    """Turn a UUID's text into its 16 bytes; what is no UUID becomes bytes that no row has."""
    try:
        return uuid.UUID(text).bytes
    except ValueError:
        return b""


def to_reference(row: AnyRow | Mapping[str, Any], pack_version: str, subject_id: str | None) -> Reference:
    """Make the noun of a row that has ``REFERENCE_COLUMNS``."""
    r = row._mapping if isinstance(row, sa.Row) else row
    return Reference(
        reference_id=str(uuid.UUID(bytes=r["reference_id"])),
        image_id=str(uuid.UUID(bytes=r["image_id"])),
        external_image_id=r["external_image_id"],
        box=Box(r["left"], r["top"], r["width"], r["height"]),
        image_size=ImageSize(r["image_width"], r["image_height"]),
        confidence=r["confidence"],
        pack_version=pack_version,
        subject_id=subject_id,
    )


def to_subject(row: AnyRow) -> Subject:
    """Make the noun of a row of ``subjects``."""
    return Subject(
        subject_id=row.subject_id,
        status=SubjectStatus.ACTIVE if row.face_count else SubjectStatus.CREATED,
        created_at=datetime.fromtimestamp(row.created_at, UTC),
    )


def subject_row(connection: sa.Connection, collection: Collection, subject_id: str) -> AnyRow:
    """Read a subject's row.

    Raises:
        NotFound: if the collection has no such subject.
    """
    row = connection.execute(
        sa.select(subjects).where(subjects.c.collection_id == collection.row, subjects.c.subject_id == subject_id)
    ).one_or_none()
    if row is None:
        raise NotFound(f"The collection {collection.name} has no subject {subject_id}.", code=Code.SUBJECT_MISSING)
    return row
