# SPDX-License-Identifier: Apache-2.0
"""Evaluations that organisations made here."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "evaluations",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("organisation", sa.Text, sa.ForeignKey("organisations.id"), nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("pack", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("column", sa.Text, nullable=False),
        sa.Column("dataset", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text),
        sa.Column("made_at", sa.Double, nullable=False),
        sa.Column("made_by", sa.Text, nullable=False),
        sa.Column("entry", _BIG),
        sa.Column("published_at", sa.Double),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_evaluations_organisation", "evaluations", ["organisation"])
