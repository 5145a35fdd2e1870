# SPDX-License-Identifier: Apache-2.0
"""Transactions, their failures, the order of writers, and what is left in the files."""

from __future__ import annotations

import sqlite3
import stat
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from custodes.db import ERASED, Database
from custodes.errors import IntegrityError, Invalid, Unavailable

T = sa.Table("things", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("text", sa.Text))


def _count(database: Database) -> int:
    with database.read() as c:
        return int(c.scalar(sa.select(sa.func.count()).select_from(T)) or 0)


def _with_table(database: Database) -> Database:
    with database.transaction() as c:
        T.create(c)
    return database


def _file(database: Database) -> Path:
    return Path(str(database.engine.url.database))


def test_a_transaction_commits_at_its_end(database: Database) -> None:
    """What a transaction wrote is there afterwards, for other connections too."""
    _with_table(database)
    with database.transaction() as c:
        c.execute(sa.insert(T).values(id=1))
    with database.engine.connect() as other:
        assert other.scalar(sa.select(sa.func.count()).select_from(T)) == 1


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_transaction_rolls_back_on_any_exception(database: Database, error: type[BaseException]) -> None:
    """An exception undoes all of the transaction, passes through, and leaves a connection that works."""
    _with_table(database)
    with pytest.raises(error), database.transaction() as c:  # noqa: PT012
        c.execute(sa.insert(T).values(id=1))
        raise error
    assert _count(database) == 0
    with database.transaction() as c:
        assert c.scalar(sa.select(sa.func.count()).select_from(T)) == 0
        c.execute(sa.insert(T).values(id=2))
    assert _count(database) == 1
    assert database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_a_failed_statement_undoes_the_statements_before_it(database: Database) -> None:
    """A constraint that is violated rolls back the whole transaction."""
    _with_table(database)
    with pytest.raises(sa.exc.IntegrityError), database.transaction() as c:  # noqa: PT012
        c.execute(sa.insert(T).values(id=1))
        c.execute(sa.insert(T).values(id=1))
    assert _count(database) == 0


def test_a_table_definition_is_rolled_back_too(database: Database) -> None:
    """A migration that fails half way leaves no table behind."""
    with pytest.raises(ValueError), database.transaction() as c:  # noqa: PT012
        T.create(c)
        raise ValueError
    with database.read() as c:
        assert not sa.inspect(c).has_table("things")


def test_a_read_sees_one_state_throughout(database: Database) -> None:
    """What is committed while a read is open appears in the next one only."""
    _with_table(database)
    query = sa.select(sa.func.count()).select_from(T)
    with database.read() as reader:
        assert reader.scalar(query) == 0
        with database.transaction() as c:
            c.execute(sa.insert(T).values(id=1))
        assert reader.scalar(query) == 0
    assert _count(database) == 1


def test_a_read_keeps_nothing(database: Database) -> None:
    """What is written in a read is refused (PostgreSQL) or undone (SQLite)."""
    _with_table(database)
    try:
        with database.read() as c:
            c.execute(sa.insert(T).values(id=1))
    except sa.exc.InternalError:
        assert not database.sqlite
    assert _count(database) == 0


def test_a_reader_does_not_make_later_transactions_read_only(database: Database) -> None:
    """A pooled connection that served a read serves a transaction afterwards."""
    _with_table(database)
    for number in range(5):
        _count(database)
        with database.transaction() as c:
            c.execute(sa.insert(T).values(id=number))
    assert _count(database) == 5


def test_a_wrong_statement_is_not_taken_for_a_database_that_is_away(database: Database) -> None:
    """A table that doesn't exist is a mistake of the program, and raised as such."""
    with (
        pytest.raises((sa.exc.OperationalError, sa.exc.ProgrammingError), match="nowhere"),
        database.read() as c,
    ):
        c.execute(sa.text("SELECT 1 FROM nowhere"))


def test_sqlite_is_run_as_a_server(sqlite: Database) -> None:
    """Every connection has the pragmas that durability and erasure rest on."""
    expected = {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "foreign_keys": 1, "busy_timeout": 30_000}
    with sqlite.engine.connect() as first, sqlite.engine.connect() as second:
        for connection in (first, second):
            assert {p: connection.scalar(sa.text(f"PRAGMA {p}")) for p in expected} == expected


def test_a_locked_database_is_unavailable(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """When another process doesn't let go of SQLite's lock, a writer gives up with a typed error."""
    monkeypatch.setattr("custodes.db.engine._BUSY_MS", 50)
    with sqlite3.connect(_file(sqlite)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="busy"), sqlite.transaction():
            pytest.fail("the lock was ignored")
        other.rollback()
    other.close()
    _with_table(sqlite)


def test_a_damaged_file_is_an_integrity_error(tmp_path: Path) -> None:
    """A file that is no database is told apart from one that is away."""
    (tmp_path / "x.sqlite3").write_bytes(b"not a database, whatever it is called" * 100)
    database = Database(f"sqlite:///{tmp_path / 'x.sqlite3'}")
    with pytest.raises(IntegrityError, match="damaged"):
        database.check()
    database.close()


def test_a_full_disk_is_unavailable(sqlite: Database) -> None:
    """When there is no room, the writer is told so and nothing is half written."""
    _with_table(sqlite)
    with pytest.raises(Unavailable, match="no room"), sqlite.transaction() as c:  # noqa: PT012
        c.exec_driver_sql("PRAGMA max_page_count=3")
        c.execute(sa.insert(T), [{"id": i, "text": "x" * 1000} for i in range(100)])
    assert _count(sqlite) == 0


def test_a_server_that_is_away_is_unavailable() -> None:
    """A PostgreSQL that doesn't answer is a typed error, not the driver's."""
    database = Database("postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(Unavailable, match="can't be reached"):
        database.check()


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite://", "sqlite:///:memory:", "nonsense"])
def test_other_databases_are_refused(url: str) -> None:
    """Only a file of SQLite's and PostgreSQL can be meant."""
    with pytest.raises(Invalid):
        Database(url)


def test_a_folder_that_may_not_be_made_is_unavailable(tmp_path: Path) -> None:
    """A data folder below a file is one clear error."""
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="can't be made"):
        Database(f"sqlite:///{tmp_path / 'file' / 'x.sqlite3'}")


def test_the_files_are_their_owners_alone(tmp_path: Path) -> None:
    """Database and log can't be read by others, even where the folder was made for all."""
    tmp_path.chmod(0o755)
    database = _with_table(Database(f"sqlite:///{tmp_path / 'test.sqlite3'}"))
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
    database.close()
    assert len(modes) == 3
    assert set(modes.values()) == {0o600}, modes


@pytest.mark.alone
def test_writers_have_their_turn_in_order(sqlite: Database) -> None:
    """A thread that writes in a loop does not keep another from writing."""
    _with_table(sqlite)
    done: dict[int, int] = dict.fromkeys(range(4), 0)
    end = time.monotonic() + 0.6

    def write(who: int) -> None:
        while time.monotonic() < end:
            with sqlite.transaction() as c:
                c.execute(sa.insert(T).values(text="x"))
            done[who] += 1

    _in_threads([lambda who=who: write(who) for who in done])
    assert min(done.values()) >= 0.7 * max(done.values()), done


def test_a_writer_that_fails_lets_the_next_one_in(sqlite: Database) -> None:
    """Waiting writers go on after one that ends with an exception."""
    _with_table(sqlite)

    def write(number: int) -> None:
        try:
            with sqlite.transaction() as c:
                c.execute(sa.insert(T).values(id=number))
                if number % 2:
                    raise ValueError
        except ValueError:
            pass

    _in_threads([lambda n=n: write(n) for n in range(20)])
    assert _count(sqlite) == 10


def test_many_threads_read_and_write(database: Database) -> None:
    """Concurrent increments of one row are all counted."""
    _with_table(database)
    with database.transaction() as c:
        c.execute(sa.insert(T).values(id=1, text="0"))
    more = sa.update(T).values(text=sa.cast(sa.cast(T.c.text, sa.Integer) + 1, sa.Text))

    def write() -> None:
        for _ in range(10):
            with database.transaction() as c:
                c.execute(more)
            _count(database)

    _in_threads([write] * 8)
    with database.read() as c:
        assert c.scalar(sa.select(T.c.text)) == "80"


def test_a_scrub_removes_what_was_deleted_from_the_files(sqlite: Database) -> None:
    """Deleted text stands neither in the database file nor in its log."""
    _with_table(sqlite)
    secrets = [f"secret-{i:04}-{'z' * (i % 90)}" for i in range(2000)]
    with sqlite.transaction() as c:
        c.execute(sa.insert(T), [{"id": i * 7919 % 100_003, "text": s} for i, s in enumerate(secrets)])
    for rest in (2, 1):
        with sqlite.transaction() as c:
            c.execute(sa.delete(T).where(T.c.id % rest == 0))
    assert sqlite.scrub()
    assert not [p.name for p in _file(sqlite).parent.iterdir() if b"secret-" in p.read_bytes()]


@pytest.mark.alone
def test_a_scrub_does_not_wait_for_a_slow_reader_who_then_does_it(sqlite: Database) -> None:
    """A long read delays erasure, not other writers, and erases when it ends."""
    _with_table(sqlite)
    with sqlite.transaction() as c:
        c.execute(sa.insert(T).values(text="a secret"))
    log = Path(f"{_file(sqlite)}-wal")
    with sqlite.read() as reader:
        reader.execute(sa.select(T)).all()
        with sqlite.transaction() as c:
            c.execute(sa.delete(T))
        begun = time.monotonic()
        assert not sqlite.scrub()
        assert time.monotonic() - begun < 2
        assert log.stat().st_size > 0
        with sqlite.transaction() as c:
            c.execute(sa.insert(T).values(text="public"))
    assert log.stat().st_size == 0
    assert b"a secret" not in _file(sqlite).read_bytes()


@pytest.mark.alone
def test_scrubs_that_come_together_are_done_together(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting requests share the next scrub, and none returns before one that began after it was asked for."""
    begun: list[float] = []

    def slow(*_: object) -> bool:
        begun.append(time.monotonic())
        time.sleep(0.05)
        return True

    monkeypatch.setattr(database, "_truncate_log" if database.sqlite else "_vacuum", slow)

    def ask() -> None:
        asked = time.monotonic()
        assert database.scrub()
        assert any(b >= asked for b in begun)

    _in_threads([ask] * 10)
    assert len(begun) <= 3


def _in_pages(database: Database) -> int:
    with database.engine.connect() as c:
        query = "PRAGMA page_count" if database.sqlite else "SELECT pg_relation_size('erased_things')"
        return int(c.scalar(sa.text(query)) or 0)


def test_a_full_scrub_writes_the_tables_anew(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The room of deleted rows is given back, so that nothing can stand in it; what wasn't deleted is there."""
    tables = sa.MetaData()
    things = sa.Table("erased_things", tables, sa.Column("id", sa.Integer, primary_key=True), sa.Column("t", sa.Text))
    things.info.update(ERASED)
    monkeypatch.setattr("custodes.db.engine.metadata", tables)
    with database.transaction() as c:
        things.create(c)
        c.execute(sa.insert(things), [{"id": i, "t": "x" * 500} for i in range(2000)])
    with database.transaction() as c:
        c.execute(sa.delete(things).where(things.c.id % 50 != 7))
    assert database.scrub()
    before = _in_pages(database)
    assert database.scrub(full=True)
    assert _in_pages(database) < before / 10
    with database.read() as c:
        assert len(c.execute(sa.select(things)).all()) == 40
        if not database.sqlite:
            assert c.exec_driver_sql("SHOW lock_timeout").scalar() == "0"  # the pool has none of its connections


def test_a_full_scrub_that_others_are_in_the_way_of_is_unavailable(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives up after a while, with a typed error, and lets those go on who wait behind it."""
    monkeypatch.setattr("custodes.db.engine._REWRITE_MS", 50)
    monkeypatch.setattr("custodes.db.engine._BUSY_MS", 50)
    tables = sa.MetaData()
    things = sa.Table("erased_things", tables, sa.Column("id", sa.Integer, primary_key=True), info=ERASED)
    monkeypatch.setattr("custodes.db.engine.metadata", tables)
    with database.transaction() as c:
        things.create(c)
    other = Database(database.engine.url.render_as_string(hide_password=False))
    with other.transaction() as c:
        c.execute(sa.insert(things).values(id=1))
        with pytest.raises(Unavailable, match="busy"):
            database.scrub(full=True)
    other.close()
    assert database.scrub(full=True)


def _told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def test_what_is_told_of_a_failure_has_no_values(database: Database) -> None:
    """Neither the error nor what it came from, as a log would show them, has what a statement carried."""
    _with_table(database)
    with pytest.raises(sa.exc.DBAPIError) as wrong, database.transaction() as c:
        c.execute(sa.text("INSERT INTO nowhere VALUES (:who)"), {"who": "Ann Example"})
    with pytest.raises(Unavailable) as away, database.transaction() as c:  # noqa: PT012
        if database.sqlite:
            c.exec_driver_sql("PRAGMA max_page_count=3")
            c.execute(sa.insert(T), [{"id": i, "text": "Ann Example" * 100} for i in range(100)])
        else:
            c.exec_driver_sql("SET LOCAL statement_timeout = 50")
            c.execute(sa.select(sa.func.pg_sleep(5), sa.literal("Ann Example")))
    for caught in (wrong, away):
        assert "Ann" not in _told(caught.value).replace('"Ann Example"', "")  # but for this test's own lines
    assert "parameters hidden" in _told(away.value)


def _in_threads(tasks: list[Callable[[], None]]) -> None:
    """Run tasks at the same time and raise the first failure."""
    failures: list[BaseException] = []

    def run(task: Callable[[], None]) -> None:
        try:
            task()
        except BaseException as e:  # noqa: BLE001 - raised again below
            failures.append(e)

    threads = [threading.Thread(target=run, args=(t,)) for t in tasks]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if failures:
        raise failures[0]
