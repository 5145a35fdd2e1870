# SPDX-License-Identifier: Apache-2.0
"""Cameras: their video's index, events, sharing with police, and stream processors."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")

_PERSONAL = {
    "cameras": ("name_hash", "secret", "secret_key"),
    "camera_events": ("secret", "secret_key", "picture", "picture_key"),
    "camera_sightings": ("subject_hash", "secret", "secret_key", "picture", "picture_key"),
    "camera_floors": ("subject_hash",),
    "camera_hooks": ("secret", "secret_key"),
    "shares": ("secret", "secret_key"),
    "legal_processes": ("secret", "secret_key"),
    "stream_processors": ("secret", "secret_key"),
}
"""Columns of which PostgreSQL shall keep no samples in its statistics, where deleted values would live on."""


def upgrade() -> None:
    op.create_table(
        "cameras",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("name_hash", sa.LargeBinary, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("created", _BIG, nullable=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("secret_key", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("organisation", "name_hash"),
    )
    op.create_table(
        "camera_segments",
        sa.Column("camera", sa.Text, sa.ForeignKey("cameras.id", ondelete="CASCADE"), nullable=False, primary_key=True),
        sa.Column("start", _BIG, primary_key=True),
        sa.Column("end", _BIG, nullable=False),
        sa.Column("bytes", _BIG, nullable=False),
        sa.Column("sha256", sa.LargeBinary, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("mime", sa.Text, nullable=False),
    )
    op.create_table(
        "camera_motions",
        sa.Column("camera", sa.Text, sa.ForeignKey("cameras.id", ondelete="CASCADE"), nullable=False, primary_key=True),
        sa.Column("start", _BIG, primary_key=True),
        sa.Column("end", _BIG, nullable=False),
    )
    op.create_table(
        "camera_events",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("camera", sa.Text, sa.ForeignKey("cameras.id", ondelete="CASCADE"), nullable=False),
        sa.Column("start", _BIG, nullable=False),
        sa.Column("end", _BIG, nullable=False),
        sa.Column("open", sa.Boolean, nullable=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("secret_key", sa.LargeBinary, nullable=False),
        sa.Column("picture", sa.LargeBinary),
        sa.Column("picture_key", sa.LargeBinary),
    )
    op.create_table(
        "camera_sightings",
        sa.Column("event", sa.Text, sa.ForeignKey("camera_events.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("subject_hash", sa.LargeBinary),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("secret_key", sa.LargeBinary, nullable=False),
        sa.Column("picture", sa.LargeBinary),
        sa.Column("picture_key", sa.LargeBinary),
    )
    op.create_table(
        "camera_floors",
        sa.Column("collection", sa.Text, primary_key=True),
        sa.Column("subject_hash", sa.LargeBinary, primary_key=True),
        sa.Column("similarity", sa.Double, nullable=False),
    )
    op.create_table(
        "camera_hooks",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("secret_key", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "agencies",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("enrolled_at", sa.Double, nullable=False),
        sa.Column("enrolled_by", sa.Text, nullable=False),
        sa.Column("removed_at", sa.Double),
    )
    op.create_table(
        "officers",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("certified_at", sa.Double, nullable=False),
        sa.Column("revoked_at", sa.Double),
    )
    op.create_table(
        "footage_requests",
        sa.Column("code", sa.Text, primary_key=True),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("made_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("published_at", sa.Double),
    )
    op.create_table(
        "shares",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("made_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("revoked_at", sa.Double),
        sa.Column("fetched_at", sa.Double),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("secret_key", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "share_nonces",
        sa.Column("share", sa.Text, sa.ForeignKey("shares.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("nonce", sa.Text, primary_key=True),
        sa.Column("seen_at", sa.Double, nullable=False),
    )
    op.create_table(
        "legal_processes",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("document_hash", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.Double, nullable=False),
        sa.Column("recorded_by", sa.Text, nullable=False),
        sa.Column("seen_at", sa.Double),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("secret_key", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "stream_processors",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("secret_key", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("organisation", "name"),
    )
    op.create_index("ix_cameras_organisation", "cameras", ["organisation"])
    op.create_index("ix_camera_events_camera_start", "camera_events", ["camera", "start"])
    op.create_index("ix_camera_sightings_subject_hash", "camera_sightings", ["subject_hash"])
    op.create_index("ix_camera_hooks_organisation", "camera_hooks", ["organisation"])
    op.create_index("ix_officers_organisation", "officers", ["organisation"])
    op.create_index("ix_footage_requests_organisation", "footage_requests", ["organisation"])
    op.create_index("ix_shares_organisation", "shares", ["organisation"])
    op.create_index("ix_legal_processes_organisation", "legal_processes", ["organisation"])
    if op.get_bind().dialect.name == "postgresql":
        for table, columns in _PERSONAL.items():
            for column in columns:
                op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS 0")
