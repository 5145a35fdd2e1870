# SPDX-License-Identifier: Apache-2.0
"""The gallery's tables.

``change`` numbers order all that happens to a collection: every writing transaction takes the next one while it
holds the collection's row, so that numbers become visible in their order (a database sequence would not promise
that). An index that has seen change *n* asks for what is later. Rows that go leave their number in ``removals``,
which carries nothing of the face; ``pruned`` is the last change whose removals are no longer listed.
"""

from __future__ import annotations

import sqlalchemy as sa

from custodes.db import BIG, ERASED, metadata

__all__ = ["collections", "references", "removals", "request_tokens", "subjects", "tags"]


def _collection() -> sa.Column[int]:
    return sa.Column("collection_id", BIG, sa.ForeignKey("collections.id", ondelete="CASCADE"), nullable=False)


collections = sa.Table(
    "collections",
    metadata,
    sa.Column("id", BIG, primary_key=True, autoincrement=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("pack", sa.Text, nullable=False),
    sa.Column("pack_version", sa.Text, nullable=False),
    sa.Column("dimension", sa.Integer, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("change", BIG, nullable=False),
    sa.Column("pruned", BIG, nullable=False),
    sa.Column("face_count", BIG, nullable=False),
    sa.Column("subject_count", BIG, nullable=False),
    sa.Column("uid", sa.Text),
    sa.Column("owner", sa.Text, nullable=False, server_default="local"),
    sa.Column("purpose", sa.Text, nullable=False, server_default="photo-library"),
    sa.Column("public_space", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("retention_days", sa.Integer),
    sa.Index(None, "uid", unique=True),
    sqlite_autoincrement=True,
    info=ERASED,
)

tags = sa.Table(
    "tags",
    metadata,
    sa.Column("collection_id", BIG, sa.ForeignKey("collections.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    info=ERASED,
)

subjects = sa.Table(
    "subjects",
    metadata,
    sa.Column("id", BIG, primary_key=True, autoincrement=True),
    _collection(),
    sa.Column("subject_id", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("face_count", sa.Integer, nullable=False),
    sa.Column("change", BIG, nullable=False),
    sa.Column("template", sa.LargeBinary),
    sa.Column("template_key", sa.LargeBinary),
    sa.UniqueConstraint("collection_id", "subject_id"),
    sa.Index(None, "collection_id", "id"),
    sa.Index(None, "collection_id", "change"),
    sqlite_autoincrement=True,
    info=ERASED,
)

references = sa.Table(
    "references",
    metadata,
    sa.Column("id", BIG, primary_key=True, autoincrement=True),
    _collection(),
    sa.Column("reference_id", sa.LargeBinary, nullable=False),
    sa.Column("image_id", sa.LargeBinary, nullable=False),
    sa.Column("external_image_id", sa.Text),
    sa.Column("left", sa.Double, nullable=False),
    sa.Column("top", sa.Double, nullable=False),
    sa.Column("width", sa.Double, nullable=False),
    sa.Column("height", sa.Double, nullable=False),
    sa.Column("image_width", sa.Integer, nullable=False),
    sa.Column("image_height", sa.Integer, nullable=False),
    sa.Column("confidence", sa.Double, nullable=False),
    sa.Column("subject", BIG, sa.ForeignKey("subjects.id", ondelete="SET NULL"), index=True),
    sa.Column("change", BIG, nullable=False),
    sa.Column("template", sa.LargeBinary, nullable=False),
    sa.Column("template_key", sa.LargeBinary, nullable=False),
    sa.Column("enrolled_at", sa.Double),
    sa.Column("provenance", sa.Text),
    sa.Column("consent", sa.Text, index=True),
    sa.UniqueConstraint("collection_id", "reference_id"),
    sa.Index(None, "collection_id", "id"),
    sa.Index(None, "collection_id", "change"),
    sa.Index(None, "collection_id", "image_id"),
    sa.Index(None, "collection_id", "enrolled_at"),
    sqlite_autoincrement=True,
    info=ERASED,
)

removals = sa.Table(
    "removals",
    metadata,
    sa.Column("collection_id", BIG, sa.ForeignKey("collections.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("change", BIG, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("row", BIG, primary_key=True),
    sa.Column("removed_at", sa.Double, nullable=False),
)

request_tokens = sa.Table(
    "request_tokens",
    metadata,
    sa.Column("collection_id", BIG, sa.ForeignKey("collections.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("operation", sa.Text, primary_key=True),
    sa.Column("token", sa.Text, primary_key=True),
    sa.Column("subject", BIG, sa.ForeignKey("subjects.id", ondelete="CASCADE"), index=True),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("response", sa.LargeBinary, nullable=False),
    sa.Column("response_key", sa.LargeBinary, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False, index=True),
    info=ERASED,
)
