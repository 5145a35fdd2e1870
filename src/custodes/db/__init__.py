# SPDX-License-Identifier: Apache-2.0
"""One database: engine, transactions, migrations, and the vault that encrypts what rests in it."""

from __future__ import annotations

from custodes.db.engine import BIG, ERASED, Database, explained, hold, make_private_file, make_private_folder, metadata
from custodes.db.vault import Sealed, Vault

__all__ = [
    "BIG",
    "ERASED",
    "Database",
    "Sealed",
    "Vault",
    "explained",
    "hold",
    "make_private_file",
    "make_private_folder",
    "metadata",
]
