# SPDX-License-Identifier: Apache-2.0
"""What hundreds of installations in the tests' own process need alike, made once: tables, open networks, quick hashes.

Log lines are written as a server without a terminal writes them: to draw one error for a terminal takes seconds.
Processes that tests start make all of it themselves, and so do the tests of these things.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from argon2 import PasswordHasher

from custodes.db import Database
from custodes.governance import proofs
from custodes.vision import pack
from custodes.vision.session import Model

__all__ = ["as_shipped", "prepared"]

MIGRATE, HASHER = Database.migrate, proofs._hasher
_LINES = (
    structlog.processors.add_log_level,
    structlog.processors.format_exc_info,
    structlog.processors.JSONRenderer(),
)


class Tables:
    """Brings a new SQLite file to this version by copying one that the migrations have made."""

    def __init__(self, folder: Path) -> None:
        self._made = folder / "made.sqlite3"
        self._copying = threading.Lock()

    def migrate(self, database: Database) -> None:
        """Stand for :meth:`Database.migrate`, which is asked in any case: it has nothing left to do."""
        file = Path(database.engine.url.database or "")
        with self._copying:
            if database.sqlite and file.stat().st_size == 0:
                if not self._made.exists():
                    made = Database(f"sqlite:///{self._made}")
                    MIGRATE(made)
                    made.close()
                file.write_bytes(self._made.read_bytes())
        MIGRATE(database)


class Networks:
    """Opens each file of a network once: networks hold nothing of who runs them, and files are checked before."""

    def __init__(self) -> None:
        self._open: dict[tuple[Path, int, int, str, int], Model] = {}

    def model(self, source: Path | bytes, *, provider: str = "cpu", threads: int = 1) -> Model:
        """Stand for :class:`Model`."""
        if isinstance(source, bytes):
            return Model(source, provider=provider, threads=threads)
        there = source.stat()
        key = (source, there.st_mtime_ns, there.st_size, provider, threads)
        if key not in self._open:
            self._open[key] = Model(source, provider=provider, threads=threads)
        return self._open[key]


@contextlib.contextmanager
def prepared(folder: Path) -> Iterator[None]:
    """Prepare this process; ``folder`` is empty."""
    tables, networks = Tables(folder), Networks()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "migrate", lambda database: tables.migrate(database))
        patch.setattr(pack, "Model", networks.model)
        patch.setattr(proofs, "_hasher", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
        structlog.configure(processors=list(_LINES))
        yield
        structlog.reset_defaults()


@contextlib.contextmanager
def as_shipped() -> Iterator[None]:
    """Undo it for tests that are about one of these things."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "migrate", MIGRATE)
        patch.setattr(pack, "Model", Model)
        patch.setattr(proofs, "_hasher", HASHER)
        yield
