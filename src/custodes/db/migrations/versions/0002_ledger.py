# SPDX-License-Identifier: Apache-2.0
"""The ledger: entries that can't be changed, hashes, checkpoints, and what may be erased."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_PERSONAL = {
    "ledger_openings": ("owner", "value", "value_key"),
    "ledger_mentions": ("owner",),
}
"""Columns of which PostgreSQL shall keep no samples in its statistics, where deleted values would live on."""

_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_REFUSED = "the ledger is append-only"


def upgrade() -> None:
    _log()
    _notes()
    _erasable()
    if op.get_bind().dialect.name == "postgresql":
        _guard_postgresql()
        _keep_no_samples()
    else:
        _guard_sqlite()


def _log() -> None:
    op.create_table(
        "ledger_head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("vkey", sa.Text, nullable=False),
        sa.Column("size", _BIG, nullable=False),
        sa.Column("last_at", _BIG, nullable=False),
        sa.Column("frontier", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("id = 1", name="ck_ledger_head_one"),
    )
    op.create_table(
        "ledger_entries",
        sa.Column("index", _BIG, primary_key=True, autoincrement=False),
        sa.Column("at", _BIG, nullable=False),
        sa.Column("leaf", sa.LargeBinary, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "ledger_tiles",
        sa.Column("level", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("tile", _BIG, primary_key=True, autoincrement=False),
        sa.Column("hashes", sa.LargeBinary, nullable=False),
    )


def _notes() -> None:
    op.create_table(
        "ledger_checkpoints",
        sa.Column("size", _BIG, primary_key=True, autoincrement=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("made_at", _BIG, nullable=False),
    )
    op.create_table(
        "ledger_witnesses",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("vkey", sa.Text, nullable=False),
    )
    op.create_table(
        "ledger_cosignatures",
        sa.Column(
            "size",
            _BIG,
            sa.ForeignKey("ledger_checkpoints.size", ondelete="CASCADE", name="fk_ledger_cosignatures_size"),
            primary_key=True,
        ),
        sa.Column("witness", sa.Text, primary_key=True),
        sa.Column("line", sa.Text, nullable=False),
    )


def _erasable() -> None:
    op.create_table(
        "ledger_openings",
        sa.Column("entry", _BIG, primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("owner", sa.LargeBinary),
        sa.Column("value", sa.LargeBinary, nullable=False),
        sa.Column("value_key", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_ledger_openings_owner", "ledger_openings", ["owner"])
    op.create_table(
        "ledger_mentions",
        sa.Column("owner", sa.LargeBinary, primary_key=True),
        sa.Column("entry", _BIG, primary_key=True, autoincrement=False),
    )


def _guard_sqlite() -> None:
    """Refuse changes; INSERT OR REPLACE too, which removes a row without asking the trigger for DELETE."""
    for name, event in (
        ("ledger_entries_no_update", "UPDATE ON ledger_entries"),
        ("ledger_entries_no_delete", "DELETE ON ledger_entries"),
        (
            "ledger_entries_no_replace",
            'INSERT ON ledger_entries WHEN EXISTS (SELECT 1 FROM ledger_entries WHERE "index" = NEW."index")',
        ),
    ):
        op.execute(f"CREATE TRIGGER {name} BEFORE {event} BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END")


def _guard_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION ledger_entries_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_REFUSED}'; END $$"
    )
    op.execute(
        "CREATE TRIGGER ledger_entries_no_change BEFORE UPDATE OR DELETE ON ledger_entries "
        "FOR EACH ROW EXECUTE FUNCTION ledger_entries_refuse()"
    )
    op.execute(
        "CREATE TRIGGER ledger_entries_no_truncate BEFORE TRUNCATE ON ledger_entries "
        "FOR EACH STATEMENT EXECUTE FUNCTION ledger_entries_refuse()"
    )


def _keep_no_samples() -> None:
    for table, columns in _PERSONAL.items():
        for column in columns:
            op.execute(f'ALTER TABLE "{table}" ALTER COLUMN {column} SET STATISTICS 0')
