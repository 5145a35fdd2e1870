# SPDX-License-Identifier: Apache-2.0
"""Copies of requests are refused, requests that only look alike are not, in every process."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from custodes.db import Database
from custodes.errors import Denied, Unavailable
from custodes.governance import Replays, replay


@dataclass
class Clock:
    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that stands until it is moved."""
    return Clock()


@pytest.fixture
def replays(database: Database, clock: Clock) -> Iterator[Replays]:
    """Remembers for 300 s either way, with 5 s of grace."""
    made = Replays(database, kept=300, grace=5, clock=clock)
    yield made
    made.close()


def _count(replays: Replays) -> int:
    with replays._engine.connect() as c:
        return int(c.scalar(sa.text("SELECT count(*) FROM seen_signatures")))


def test_a_copy_is_refused(replays: Replays, clock: Clock) -> None:
    """The same signature, id and attempt pass once, for as long as the signature is valid."""
    replays.check("signature", "id 1")
    for _ in range(3):
        with pytest.raises(Denied, match="copy"):
            replays.check("signature", "id 1")
        clock.now += 150


def test_distinct_requests_of_one_second_pass(replays: Replays, clock: Clock) -> None:
    """The same signature with another id or attempt passes within the grace, and is refused after it."""
    for request in ("id-1 attempt=1", "id-1 attempt=2", "id-2 attempt=1", ""):
        replays.check("signature", request)
        clock.now += 1
    clock.now += 2
    with pytest.raises(Denied):
        replays.check("signature", "id-3 attempt=1")
    replays.check("another", "id-3 attempt=1")


def test_another_process_knows_what_one_has_seen(replays: Replays, url: str, clock: Clock) -> None:
    """A copy that is sent to another server process is refused too, also after a restart."""
    replays.check("signature", "id")
    database = Database(url)
    other = Replays(database, kept=300, grace=5, clock=clock)
    with pytest.raises(Denied):
        other.check("signature", "id")
    other.close()
    database.close()


def test_of_copies_at_the_same_moment_one_passes(replays: Replays) -> None:
    """A race has one winner."""
    barrier = threading.Barrier(8)

    def check(_: int) -> bool:
        barrier.wait()
        try:
            replays.check("signature", "id")
        except Denied:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            assert sum(pool.map(check, range(8))) == (1 if _ == 0 else 0)


def test_what_is_too_old_to_be_valid_is_forgotten(
    replays: Replays, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every so many requests, signatures that no clock accepts any more are dropped, and no others."""
    monkeypatch.setattr(replay, "_PURGE_EVERY", 5)
    for number in range(3):
        replays.check(f"old {number}", "")
    clock.now += 599
    replays.check("new", "")
    clock.now += 2
    replays.check("newer", "")
    assert _count(replays) == 2
    with pytest.raises(Denied):
        replays.check("new", "")


def test_threads_may_begin_at_once(url: str, database: Database) -> None:
    """Several servers that start on one database get along."""
    with ThreadPoolExecutor(6) as pool:
        databases = [Database(url) for _ in range(6)]
        made = list(pool.map(lambda d: Replays(d, kept=300, grace=5), databases))
    made[0].check("signature", "id")
    with pytest.raises(Denied):
        made[5].check("signature", "id")
    for m, d in zip(made, databases, strict=True):
        m.close()
        d.close()


def test_a_database_that_is_away_is_unavailable(database: Database, url: str) -> None:
    """What happens to the database is told as everywhere."""
    replays = Replays(database, kept=300, grace=5)
    replays._engine = sa.create_engine("postgresql+psycopg://nobody@127.0.0.1:1/nothing")
    with pytest.raises(Unavailable):
        replays.check("signature", "id")


def test_what_is_told_of_a_failure_has_no_values(replays: Replays) -> None:
    """A statement that fails is told without what it carried, here as in the other database."""
    with pytest.raises(sa.exc.DBAPIError) as e, replays._engine.connect() as c:
        c.execute(sa.text("INSERT INTO nowhere VALUES (:it)"), {"it": "a signature"})
    assert "a signature" not in str(e.value)


def test_the_file_is_private_and_holds_hashes_only(tmp_path: Path) -> None:
    """Neither signature nor request id stands in the file, which its owner alone may read."""
    database = Database(f"sqlite:///{tmp_path / 'test.sqlite3'}")
    replays = Replays(database, kept=300, grace=5)
    replays.check("signature-of-a-request", "id-of-a-request")
    files = [p for p in tmp_path.iterdir() if "-seen" in p.name]
    assert len(files) == 3
    for p in files:
        assert stat.S_IMODE(p.stat().st_mode) == 0o600
        assert b"of-a-request" not in p.read_bytes()
    replays.close()
    database.close()


def test_a_power_cut_costs_signatures_but_never_the_file(tmp_path: Path) -> None:
    """SQLite's settings are those under which a log may lose its end but not its order."""
    database = Database(f"sqlite:///{tmp_path / 'test.sqlite3'}")
    replays = Replays(database, kept=300, grace=5)
    with replays._engine.connect() as c:
        assert (c.scalar(sa.text("PRAGMA journal_mode")), c.scalar(sa.text("PRAGMA synchronous"))) == ("wal", 1)
    replays.close()
    database.close()
