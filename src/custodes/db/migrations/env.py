# SPDX-License-Identifier: Apache-2.0
"""Alembic's entry: runs the migrations on the connection, and in the transaction, that :class:`Database` opened."""

from __future__ import annotations

from alembic import context

from custodes.db.engine import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
