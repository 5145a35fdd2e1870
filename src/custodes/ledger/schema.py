# SPDX-License-Identifier: Apache-2.0
"""The ledger's tables.

``ledger_head`` has one row; whoever appends holds it until the transaction ends, so that entries have no gaps and
their order is that of their commits. Triggers of the migration refuse to change or remove an entry. Hashes of full
tiles of level 0 are kept beside the entries, those of higher levels in rows that grow by one hash for each full tile
below, so that a proof reads few rows whatever the log's size. What people may have erased, the values behind
commitments and who is mentioned where, lies in tables of its own.
"""

from __future__ import annotations

import sqlalchemy as sa

from custodes.db import BIG, ERASED, metadata

__all__ = ["checkpoints", "cosignatures", "entries", "head", "mentions", "openings", "tiles", "witnesses"]

head = sa.Table(
    "ledger_head",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("vkey", sa.Text, nullable=False),
    sa.Column("size", BIG, nullable=False),
    sa.Column("last_at", BIG, nullable=False),
    sa.Column("frontier", sa.LargeBinary, nullable=False),
    sa.CheckConstraint("id = 1", name="ck_ledger_head_one"),
)

entries = sa.Table(
    "ledger_entries",
    metadata,
    sa.Column("index", BIG, primary_key=True, autoincrement=False),
    sa.Column("at", BIG, nullable=False),
    sa.Column("leaf", sa.LargeBinary, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

tiles = sa.Table(
    "ledger_tiles",
    metadata,
    sa.Column("level", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("tile", BIG, primary_key=True, autoincrement=False),
    sa.Column("hashes", sa.LargeBinary, nullable=False),
)

checkpoints = sa.Table(
    "ledger_checkpoints",
    metadata,
    sa.Column("size", BIG, primary_key=True, autoincrement=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("made_at", BIG, nullable=False),
)

witnesses = sa.Table(
    "ledger_witnesses",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("vkey", sa.Text, nullable=False),
)

cosignatures = sa.Table(
    "ledger_cosignatures",
    metadata,
    sa.Column("size", BIG, sa.ForeignKey("ledger_checkpoints.size", ondelete="CASCADE"), primary_key=True),
    sa.Column("witness", sa.Text, primary_key=True),
    sa.Column("line", sa.Text, nullable=False),
)

openings = sa.Table(
    "ledger_openings",
    metadata,
    sa.Column("entry", BIG, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("owner", sa.LargeBinary, index=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
    sa.Column("value_key", sa.LargeBinary, nullable=False),
    info=ERASED,
)

mentions = sa.Table(
    "ledger_mentions",
    metadata,
    sa.Column("owner", sa.LargeBinary, primary_key=True),
    sa.Column("entry", BIG, primary_key=True, autoincrement=False),
    info=ERASED,
)
