# SPDX-License-Identifier: Apache-2.0
"""Appending: with the act or not at all, in order, dated forwards, and what may be forgotten."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from pymerkle import InmemoryTree

from custodes.errors import IntegrityError, Invalid, NotFound
from custodes.ledger import FileSigner, NewEntry, Note, commit, parse, verify
from custodes.ledger.checkpoint import Checkpoint
from custodes.ledger.merkle import EMPTY, verify_consistency, verify_inclusion
from custodes.ledger.merkle import leaf_hash as hashed

from .conftest import KEY, ORIGIN, Ledger

SIZES = [0, 1, 2, 3, 255, 256, 257, 511, 512, 513, 700]


def test_an_entry_is_what_was_said(ledger: Ledger) -> None:
    """An entry holds kind, body and time, and comes back by its index."""
    with ledger.database.transaction() as c:
        made = ledger.log.append(c, "decision", {"purpose": "testing", "score": 99.5})
    assert (made.index, made.at) == (0, datetime.fromtimestamp(ledger.clock.now, UTC))
    assert parse(ledger.log.entry(0)) == {
        "v": 1,
        "at": "2027-01-15T08:00:00.000Z",
        "kind": "decision",
        "purpose": "testing",
        "score": 99.5,
    }
    with pytest.raises(NotFound):
        ledger.log.entry(1)
    with pytest.raises(NotFound):
        ledger.log.entry(-1)


def test_roots_and_proofs_hold_at_every_size(ledger: Ledger) -> None:
    """However entries came in, roots are another implementation's, and proofs verify."""
    oracle = InmemoryTree(algorithm="sha256")
    assert ledger.log.root() == EMPTY
    for size in SIZES[1:]:
        before = ledger.log.size()
        if size - before == 1:
            ledger.append(n=before)
        else:
            ledger.fill(size - before, before)
        for data in ledger.log.entries(before):
            oracle.append_entry(data)
        assert ledger.log.size() == size
        assert ledger.log.root() == oracle.get_root(size)
    entries = list(ledger.log.entries())
    assert [parse(e)["n"] for e in entries] == list(range(700))
    for size in SIZES[1:]:
        root = ledger.log.root(size)
        assert root == oracle.get_root(size)
        for index in {0, size // 3, size // 2, size - 1, max(0, size - 200)}:
            verify_inclusion(hashed(entries[index]), index, size, ledger.log.inclusion(index, size), root)
        for old in (s for s in SIZES if s <= size):
            verify_consistency(
                old, size, ledger.log.consistency(old, size), oracle.get_root(old) if old else EMPTY, root
            )
    ledger.log.check()


def test_a_larger_log_has_tiles_of_three_levels(sqlite: Ledger) -> None:
    """Beyond 65,536 entries proofs lead through the third level, and everything verifies."""
    oracle = InmemoryTree(algorithm="sha256")
    for start in range(0, 66_400, 8_300):
        sqlite.fill(8_300, start)
    entries = list(sqlite.log.entries())
    for data in entries:
        oracle.append_entry(data)
    size, root = 66_400, sqlite.log.root()
    assert root == oracle.get_root(size)
    for index in (0, 255, 256, 40_000, 65_535, 65_536, 66_303, 66_304, 66_399):
        verify_inclusion(hashed(entries[index]), index, size, sqlite.log.inclusion(index), root)
    for old in (1, 256, 65_535, 65_536, 65_537, 66_048):
        verify_consistency(old, size, sqlite.log.consistency(old), sqlite.log.root(old), root)
    assert len(sqlite.log.tile(2, 0, 1)) == 32
    sqlite.log.check()
    assert verify(sqlite.log).size == size


def test_what_there_is_not_is_not_proven(ledger: Ledger) -> None:
    """Sizes beyond the log, and entries beyond a size, are refused."""
    ledger.fill(5)
    with pytest.raises(NotFound, match="5 entries, not 6"):
        ledger.log.root(6)
    with pytest.raises(NotFound):
        ledger.log.inclusion(0, 6)
    with pytest.raises(NotFound):
        ledger.log.consistency(1, 6)
    with pytest.raises(Invalid):
        ledger.log.inclusion(3, 3)
    with pytest.raises(Invalid):
        ledger.log.consistency(4, 3)


def test_served_files_are_those_that_there_are(ledger: Ledger) -> None:
    """Tiles and bundles are served at any width that the log has, and no other."""
    ledger.fill(300)
    assert len(ledger.log.read("tile/0/000")) == 8_192
    assert ledger.log.read("tile/0/001.p/44") == ledger.log.tile(0, 1, 44)
    assert ledger.log.read("tile/0/001.p/10") == ledger.log.tile(0, 1, 44)[:320]
    assert ledger.log.read("tile/1/000.p/1") == ledger.log.root(256)
    assert ledger.log.read("tile/entries/001.p/44") == ledger.log.bundle(1, 44)
    assert ledger.log.read("vkey").decode() == f"{ledger.log.vkey}\n"
    assert ledger.log.read("checkpoint").decode() == ledger.log.checkpoint()
    for path in ("tile/0/001", "tile/0/001.p/45", "tile/1/000.p/2", "tile/1/000", "tile/2/000.p/1", "tile/entries/001"):
        with pytest.raises(NotFound):
            ledger.log.read(path)
    for path in ("", "tile", "../master.key", "tile/0/1"):
        with pytest.raises(Invalid):
            ledger.log.read(path)
    with pytest.raises(NotFound, match="more than 10 bytes"):
        ledger.log.read("tile/0/000", 10)


def test_an_entry_is_rolled_back_with_its_act(ledger: Ledger) -> None:
    """An act that fails leaves no entry, no hash, no opening and no mention, and the next entry takes the place."""
    ledger.fill(255)
    before = ledger.log.checkpoint(fresh=True)
    with pytest.raises(RuntimeError), ledger.database.transaction() as c:  # noqa: PT012
        ledger.log.append(c, "test", {}, [commit("x", b"value", b"me")], [b"me"])
        ledger.log.append(c, "test", {})
        raise RuntimeError
    assert ledger.log.size() == 255
    assert ledger.log.checkpoint(fresh=True) == before
    assert [ledger.count(t) for t in ("ledger_tiles", "ledger_openings", "ledger_mentions")] == [0, 0, 0]
    assert ledger.append(n=255) == 255
    ledger.log.check()


def test_a_checkpoint_is_of_what_has_committed(ledger: Ledger) -> None:
    """While entries are being written, the checkpoint is of those before, and stays true if they are rolled back."""
    ledger.fill(300)
    with pytest.raises(RuntimeError), ledger.database.transaction() as c:  # noqa: PT012
        ledger.log.append(c, "test", {"n": "never"})
        signed = ledger.log.checkpoint(fresh=True)
        ledger.log.inclusion(300, 301)  # which may be read here, but mustn't be remembered
        with pytest.raises(Invalid):
            ledger.log.disclose(300)
        raise RuntimeError
    assert ledger.append(n=300) == 300
    assert Checkpoint.parse(Note.parse(signed).text).size == 300
    assert verify(ledger.log, since=signed).size == 301
    verify_inclusion(hashed(ledger.log.entry(300)), 300, 301, ledger.log.inclusion(300), ledger.log.root())


def test_an_entry_that_cannot_be_written_writes_none(ledger: Ledger) -> None:
    """One bad entry among many leaves the log as it was, even if its transaction goes on."""
    with ledger.database.transaction() as c:
        with pytest.raises(Invalid):
            ledger.log.append_many(c, [NewEntry("test", {}), NewEntry("test", {"x": float("nan")})])
        assert ledger.log.append_many(c, []) == []
    assert ledger.log.size() == 0


def test_the_longest_entry_is_published_and_read(ledger: Ledger) -> None:
    """An entry of 65,535 bytes passes all the way, and one byte more is refused."""
    at = '{"at":"2027-01-15T08:00:00.000Z","kind":"test","v":1,"x":""}'
    room = 65_535 - len(at)
    ledger.append(x="y" * room)
    with pytest.raises(Invalid, match="65535"):
        ledger.append(x="y" * (room + 1))
    assert len(ledger.log.entry(0)) == 65_535
    assert verify(ledger.log).size == 1


_KILLED = """
import os, sys
from custodes.db import Database, Vault
from custodes.ledger import FileSigner, Log
database = Database(sys.argv[1])
log = Log(database, Vault(bytes(range(32))), FileSigner(sys.argv[2], bytes.fromhex(sys.argv[3])))
with database.transaction() as c:
    for n in range(300):
        log.append(c, "test", {"n": n})
    print("appended", flush=True)
    os.kill(os.getpid(), 9)
"""


def test_a_process_that_is_killed_before_its_commit_leaves_nothing(ledger: Ledger, url: str) -> None:
    """After kill -9 between act and commit the log is as before, and goes on."""
    ledger.clock.now = 1_700_000_000.0
    ledger.fill(10)
    ended = subprocess.run([sys.executable, "-c", _KILLED, url, ORIGIN, KEY.hex()], capture_output=True, check=False)
    assert (ended.returncode, ended.stdout) == (-9, b"appended\n"), ended.stderr
    assert ledger.log.size() == 10
    ledger.again().log.check()
    assert ledger.append(n=10) == 10


@pytest.mark.parametrize("processes", [1, 2])
def test_many_append_at_once(ledger: Ledger, processes: int) -> None:
    """Threads, and several databases over one file, write entries without gaps, each thread's in its own order."""
    homes = [ledger, *[ledger.again() for _ in range(processes - 1)]]
    failures: list[BaseException] = []

    def work(name: int, home: Ledger) -> None:
        try:
            for n in range(60):
                with home.database.transaction() as c:
                    home.log.append(c, "test", {"who": name, "n": n})
        except BaseException as e:  # noqa: BLE001 - looked at below
            failures.append(e)

    threads = [threading.Thread(target=work, args=(i, homes[i % processes])) for i in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failures == []
    entries = [parse(e) for e in ledger.log.entries()]
    assert len(entries) == 360
    for name in range(6):
        assert [e["n"] for e in entries if e["who"] == name] == list(range(60))
    ledger.log.check()
    assert verify(ledger.log).size == 360


# --- time ---


def _now(ledger: Ledger) -> datetime:
    with ledger.database.read() as c:
        return ledger.log.now(c)


def test_no_entry_is_dated_before_the_last(ledger: Ledger) -> None:
    """A clock that steps back a little is overruled by the last entry, for decisions and entries alike."""
    ledger.append()
    last = _now(ledger)
    ledger.clock.now -= 5.0
    assert _now(ledger) == last
    ledger.append()
    assert parse(ledger.log.entry(1))["at"] == parse(ledger.log.entry(0))["at"]
    ledger.clock.now += 5.001
    assert (_now(ledger) - last).total_seconds() == 0.001


def test_a_clock_that_was_set_back_stops_the_log(ledger: Ledger) -> None:
    """Farther behind than time synchronisation explains, nothing is decided or written, and the message says why."""
    ledger.append()
    ledger.clock.now -= 5.002
    for act in (lambda: _now(ledger), ledger.append, ledger.log.check):
        with pytest.raises(IntegrityError, match=r"5\.0 s behind the ledger's last entry") as e:
            act()
        assert "2027-01-15T07:59:54.998Z" in e.value.message
        assert e.value.remedy == "Set the clock right."
    assert ledger.log.size() == 1


def test_entries_are_found_by_time(ledger: Ledger) -> None:
    """The first entry at or after a time is found, wherever the time lies."""
    for _ in range(5):
        ledger.append()
        ledger.append()
        ledger.clock.now += 10
    start = datetime(2027, 1, 15, 8, tzinfo=UTC).timestamp()
    for seconds, index in ((-100, 0), (0, 0), (0.001, 2), (10, 2), (35, 8), (40, 8), (41, 10)):
        assert ledger.log.index_at(datetime.fromtimestamp(start + seconds, UTC)) == index


# --- what the database refuses ---


@pytest.mark.parametrize(
    "statement",
    [
        'UPDATE ledger_entries SET data = data WHERE "index" = 1',
        "UPDATE ledger_entries SET at = 0",
        'DELETE FROM ledger_entries WHERE "index" = 2',
        "DELETE FROM ledger_entries",
        "INSERT OR REPLACE INTO ledger_entries (\"index\", at, leaf, data) VALUES (1, 0, x'00', x'00')",
        "TRUNCATE ledger_entries",
    ],
)
def test_the_database_refuses_to_change_an_entry(ledger: Ledger, statement: str) -> None:
    """Neither UPDATE nor DELETE nor what amounts to them gets past the triggers."""
    if ("OR REPLACE" in statement) != ledger.database.sqlite and "TRUNCATE" not in statement and "REPLACE" in statement:
        pytest.skip("SQLite's own")
    if "TRUNCATE" in statement and ledger.database.sqlite:
        pytest.skip("PostgreSQL's own")
    ledger.fill(3)
    before = list(ledger.log.entries())
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), ledger.database.transaction() as c:
        c.execute(sa.text(statement))
    assert list(ledger.log.entries()) == before


def test_a_ledger_is_not_opened_under_another_name_or_key(ledger: Ledger) -> None:
    """An exchanged signing key, or another origin, is noticed at the start."""
    with pytest.raises(IntegrityError, match="signing key is not the one"):
        ledger.again(signer=FileSigner(ORIGIN, bytes(32)))
    with pytest.raises(IntegrityError, match=f"begun as {ORIGIN}"):
        ledger.again(signer=FileSigner("other.example", KEY))


# --- what may be forgotten ---


def test_openings_and_mentions_are_forgotten_with_their_owner(ledger: Ledger) -> None:
    """What an owner's commitments stand for goes, with where the owner is mentioned; the log stays whole."""
    for owner in (b"ann", b"bob"):
        with ledger.database.transaction() as c:
            mine = [commit("subject", b"name of " + owner, owner), commit("case", b"case 7")]
            ledger.log.append(c, "search", {}, mine, [owner, b"both", owner])
    assert ledger.log.mentions(b"both") == (0, 1)
    assert ledger.log.mentions(b"ann") == (0,)
    root = ledger.log.root()
    with ledger.database.transaction() as c:
        assert ledger.log.forget(c, [b"ann"] + [b"%d" % i for i in range(1_200)]) == 1
    assert ledger.log.mentions(b"ann") == ()
    assert ledger.log.mentions(b"bob") == (1,)
    assert ledger.log.mentions(b"both") == (0, 1)
    assert [o.name for o in ledger.log.disclose(0).openings] == ["case"]
    assert [o.name for o in ledger.log.disclose(1).openings] == ["case", "subject"]
    assert ledger.log.root() == root
    ledger.log.check()


def test_what_was_forgotten_is_nowhere_in_the_files(sqlite: Ledger, tmp_path: Path) -> None:
    """Neither ciphertext nor key nor owner is left, and the value never was there in the clear."""
    owner, value = b"owner-a1b2c3d4e5f6", b"value-f6e5d4c3b2a1"
    with sqlite.database.transaction() as c:
        sqlite.log.append(c, "search", {}, [commit("subject", value, owner)], [owner])
    with sqlite.database.read() as c:
        row = c.execute(sa.text("SELECT value, value_key FROM ledger_openings")).one()

    def found(needle: bytes) -> bool:
        return any(needle in p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())

    assert [found(n) for n in (owner, value, row.value, row.value_key)] == [True, False, True, True]
    with sqlite.database.transaction() as c:
        sqlite.log.forget(c, [owner])
    assert sqlite.database.scrub()
    assert [found(n) for n in (owner, value, row.value, row.value_key)] == [False] * 4


def test_postgresql_samples_nothing_that_may_be_forgotten(ledger: Ledger) -> None:
    """No statistics are kept of columns that hold what people may have erased."""
    if ledger.database.sqlite:
        pytest.skip("PostgreSQL's own")
    query = (
        "SELECT attname FROM pg_attribute WHERE attrelid IN ('ledger_openings'::regclass, 'ledger_mentions'::regclass) "
        "AND attstattarget = 0"
    )
    with ledger.database.read() as c:
        assert sorted(c.scalars(sa.text(query))) == ["owner", "owner", "value", "value_key"]


def test_appending_waits_for_who_was_first(ledger: Ledger, url: str) -> None:
    """A second writer's entry comes after the first one's commit, and is dated after it."""
    other = ledger.again()
    order: list[str] = []
    started = threading.Event()

    def second() -> None:
        started.set()
        other.append(who="second")
        order.append("second")

    with ledger.database.transaction() as c:
        ledger.log.append(c, "test", {"who": "first"})
        thread = threading.Thread(target=second)
        thread.start()
        started.wait()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert [parse(e)["who"] for e in ledger.log.entries()] == ["first", "second"]


def test_two_begin_one_ledger(new_ledger: Callable[[str], Ledger]) -> None:
    """Opening a ledger twice begins it once."""
    first, second = new_ledger("one"), new_ledger("one")
    first.append()
    second.append()
    assert first.log.size() == 2
    assert first.count("ledger_head") == 1
