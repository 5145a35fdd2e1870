# SPDX-License-Identifier: Apache-2.0
"""The master key's fingerprint, access keys, collections, references, subjects."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_PERSONAL = {
    "access_keys": ("secret", "secret_key"),
    "tags": ("key", "value"),
    "subjects": ("subject_id", "template", "template_key"),
    "references": ("image_id", "external_image_id", "template", "template_key"),
    "request_tokens": ("token", "response", "response_key"),
}
"""Columns of which PostgreSQL shall keep no samples in its statistics, where deleted values would live on."""


_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _keys()
    _collections()
    _subjects()
    _references()
    _bookkeeping()
    _keep_no_samples()


def _keys() -> None:
    op.create_table("master_key", sa.Column("fingerprint", sa.LargeBinary, primary_key=True))
    op.create_table(
        "access_keys",
        sa.Column("access_key_id", sa.Text, primary_key=True),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("secret_key", sa.LargeBinary, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("revoked_at", sa.Double),
    )


def _collections() -> None:
    op.create_table(
        "collections",
        sa.Column("id", _BIG, primary_key=True, autoincrement=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("pack", sa.Text, nullable=False),
        sa.Column("pack_version", sa.Text, nullable=False),
        sa.Column("dimension", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("change", _BIG, nullable=False),
        sa.Column("pruned", _BIG, nullable=False),
        sa.Column("face_count", _BIG, nullable=False),
        sa.Column("subject_count", _BIG, nullable=False),
        sa.UniqueConstraint("name", name="uq_collections_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "tags",
        sa.Column(
            "collection_id",
            _BIG,
            sa.ForeignKey("collections.id", ondelete="CASCADE", name="fk_tags_collection_id"),
            primary_key=True,
        ),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )


def _subjects() -> None:
    op.create_table(
        "subjects",
        sa.Column("id", _BIG, primary_key=True, autoincrement=True),
        sa.Column(
            "collection_id",
            _BIG,
            sa.ForeignKey("collections.id", ondelete="CASCADE", name="fk_subjects_collection_id"),
            nullable=False,
        ),
        sa.Column("subject_id", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("face_count", sa.Integer, nullable=False),
        sa.Column("change", _BIG, nullable=False),
        sa.Column("template", sa.LargeBinary),
        sa.Column("template_key", sa.LargeBinary),
        sa.UniqueConstraint("collection_id", "subject_id", name="uq_subjects_collection_id_subject_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_subjects_collection_id_id", "subjects", ["collection_id", "id"])
    op.create_index("ix_subjects_collection_id_change", "subjects", ["collection_id", "change"])


def _references() -> None:
    op.create_table(
        "references",
        sa.Column("id", _BIG, primary_key=True, autoincrement=True),
        sa.Column(
            "collection_id",
            _BIG,
            sa.ForeignKey("collections.id", ondelete="CASCADE", name="fk_references_collection_id"),
            nullable=False,
        ),
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
        sa.Column("subject", _BIG, sa.ForeignKey("subjects.id", ondelete="SET NULL", name="fk_references_subject")),
        sa.Column("change", _BIG, nullable=False),
        sa.Column("template", sa.LargeBinary, nullable=False),
        sa.Column("template_key", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("collection_id", "reference_id", name="uq_references_collection_id_reference_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_references_collection_id_id", "references", ["collection_id", "id"])
    op.create_index("ix_references_collection_id_change", "references", ["collection_id", "change"])
    op.create_index("ix_references_collection_id_image_id", "references", ["collection_id", "image_id"])
    op.create_index("ix_references_subject", "references", ["subject"])


def _bookkeeping() -> None:
    op.create_table(
        "removals",
        sa.Column(
            "collection_id",
            _BIG,
            sa.ForeignKey("collections.id", ondelete="CASCADE", name="fk_removals_collection_id"),
            primary_key=True,
        ),
        sa.Column("change", _BIG, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("row", _BIG, primary_key=True),
        sa.Column("removed_at", sa.Double, nullable=False),
    )
    op.create_table(
        "request_tokens",
        sa.Column(
            "collection_id",
            _BIG,
            sa.ForeignKey("collections.id", ondelete="CASCADE", name="fk_request_tokens_collection_id"),
            primary_key=True,
        ),
        sa.Column("operation", sa.Text, primary_key=True),
        sa.Column("token", sa.Text, primary_key=True),
        sa.Column("subject", _BIG, sa.ForeignKey("subjects.id", ondelete="CASCADE", name="fk_request_tokens_subject")),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("response", sa.LargeBinary, nullable=False),
        sa.Column("response_key", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
    )
    op.create_index("ix_request_tokens_subject", "request_tokens", ["subject"])
    op.create_index("ix_request_tokens_created_at", "request_tokens", ["created_at"])


def _keep_no_samples() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table, columns in _PERSONAL.items():
            for column in columns:
                op.execute(f'ALTER TABLE "{table}" ALTER COLUMN {column} SET STATISTICS 0')
