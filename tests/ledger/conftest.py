# SPDX-License-Identifier: Apache-2.0
"""A ledger on both kinds of database, a clock that is moved by hand, and witnesses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import sqlalchemy as sa

from custodes.db import Database, Vault
from custodes.ledger import FileSigner, KeyKind, Log, NewEntry

ORIGIN = "custodes.example/ledger"
MASTER = bytes(range(32))
KEY = bytes(range(100, 132))


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Ledger:
    """What one process has of a ledger."""

    url: str
    clock: Clock = field(default_factory=Clock)
    signer: FileSigner = field(default_factory=lambda: FileSigner(ORIGIN, KEY))
    opened: list[Database] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.database = Database(self.url)
        self.opened.append(self.database)
        self.database.migrate()
        self.vault = Vault(MASTER)
        self.log = Log(self.database, self.vault, self.signer, clock=self.clock)

    def again(self, **changed: object) -> Ledger:
        """Open the same ledger as another process would."""
        given = {"url": self.url, "clock": self.clock, "signer": self.signer, "opened": self.opened}
        return Ledger(**{**given, **changed})

    def append(self, **body: object) -> int:
        """Append one entry in a transaction of its own."""
        with self.database.transaction() as c:
            return self.log.append(c, "test", body).index

    def fill(self, count: int, start: int = 0) -> None:
        """Append many entries that differ."""
        with self.database.transaction() as c:
            self.log.append_many(c, [NewEntry("test", {"n": n}) for n in range(start, start + count)])

    def tamper(self, statement: str, **values: object) -> None:
        """Change rows as someone with the database's password, who takes the triggers away, can."""
        with self.database.transaction() as c:
            if self.database.sqlite:
                for name in ("update", "delete", "replace"):
                    c.execute(sa.text(f"DROP TRIGGER IF EXISTS ledger_entries_no_{name}"))
            else:
                c.execute(sa.text("DROP TRIGGER IF EXISTS ledger_entries_no_change ON ledger_entries"))
            c.execute(sa.text(statement), values)

    def count(self, table: str) -> int:
        """Count a table's rows."""
        with self.database.read() as c:
            return int(c.scalar(sa.text(f"SELECT count(*) FROM {table}")))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'db' / 'test.sqlite3'}"
    return str(request.getfixturevalue("postgres").new())


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    """An empty ledger on each kind of database."""
    made = Ledger(url)
    yield made
    for database in made.opened:
        database.close()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger on SQLite."""
    made = Ledger(f"sqlite:///{tmp_path / 'db' / 'test.sqlite3'}")
    yield made
    for database in made.opened:
        database.close()


@pytest.fixture
def new_ledger(tmp_path: Path) -> Iterator[Callable[[str], Ledger]]:
    """Makes further ledgers on SQLite, with the same key and origin."""
    made: list[Ledger] = []

    def make(name: str) -> Ledger:
        made.append(Ledger(f"sqlite:///{tmp_path / name / 'test.sqlite3'}"))
        return made[-1]

    yield make
    for each in made:
        each.database.close()


@pytest.fixture
def witness() -> FileSigner:
    """A witness's key."""
    return FileSigner("witness.example/w1", bytes(range(32)), KeyKind.COSIGNATURE)


@pytest.fixture
def other_witness() -> FileSigner:
    """Another witness's key."""
    return FileSigner("witness.example/w2", bytes(range(1, 33)), KeyKind.COSIGNATURE)
