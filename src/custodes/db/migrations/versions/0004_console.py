# SPDX-License-Identifier: Apache-2.0
"""Logins, invitations and sessions of the web console."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")

_SECRET = {"logins": ("password", "totp", "totp_key"), "sessions": ("csrf",)}
"""Columns of which PostgreSQL shall keep no samples in its statistics, where deleted values would live on."""


def upgrade() -> None:
    op.create_table(
        "logins",
        _principal("logins", primary_key=True),
        sa.Column("password", sa.Text, nullable=False),
        sa.Column("purposes", sa.Text, nullable=False),
        sa.Column("totp", sa.LargeBinary),
        sa.Column("totp_key", sa.LargeBinary),
        sa.Column("totp_since", sa.Double),
        sa.Column("totp_step", _BIG, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("locked_until", sa.Double),
        sa.Column("created_at", sa.Double, nullable=False),
    )
    op.create_table(
        "invitations",
        sa.Column("token", sa.LargeBinary, primary_key=True),
        _principal("invitations", nullable=False),
        sa.Column("purposes", sa.Text, nullable=False),
        sa.Column("made_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("used_at", sa.Double),
    )
    op.create_table(
        "sessions",
        sa.Column("token", sa.LargeBinary, primary_key=True),
        _principal("sessions", nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("csrf", sa.Text, nullable=False),
        sa.Column("made_at", sa.Double, nullable=False),
        sa.Column("seen_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
    )
    op.create_index("ix_invitations_principal", "invitations", ["principal"])
    op.create_index("ix_sessions_principal", "sessions", ["principal"])
    if op.get_bind().dialect.name == "postgresql":
        for table, columns in _SECRET.items():
            for column in columns:
                op.execute(f'ALTER TABLE "{table}" ALTER COLUMN {column} SET STATISTICS 0')


def _principal(table: str, *, primary_key: bool = False, nullable: bool = False) -> sa.Column[str]:
    key = sa.ForeignKey("principals.id", name=f"fk_{table}_principal")
    return sa.Column("principal", sa.Text, key, primary_key=primary_key, nullable=nullable)
