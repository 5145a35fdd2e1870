# SPDX-License-Identifier: Apache-2.0
"""SQLAlchemy engine, the two kinds of transaction, migrations, and erasure from the files.

SQLite is run as a server would be: WAL, ``synchronous=FULL`` (an answer that was given survives a power cut),
``secure_delete`` (deleted rows are overwritten), one writer at a time by ``BEGIN IMMEDIATE`` behind a queue of the
process, so that threads have their turn in order instead of polling. What was deleted also stands in the write-ahead
log until that is truncated: :meth:`Database.scrub` does so. Files are made for their owner alone, whatever the folder.

PostgreSQL promises less: a vacuum gives a deleted row's place back, but its bytes may stand in the free space of a page
until they are overwritten, and in the write-ahead log until that is recycled. A full scrub rewrites the tables.

What fails is told, and logged, without the values that a statement carried.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from custodes.errors import CustodesError, IntegrityError, Invalid, Unavailable

__all__ = [
    "BIG",
    "ERASED",
    "HEAD",
    "Database",
    "explained",
    "hold",
    "make_private_file",
    "make_private_folder",
    "metadata",
]

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""Every table of the house; each room's ``schema`` adds its own."""

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""The type of a column of whole numbers that may pass 2^31; SQLite counts rows by its own integers alone."""

ERASED = {"erased": True}
"""A table's ``info`` if what is deleted of it must leave the files."""

HEAD = "0007"
"""The schema's version that this code works with: the last of ``migrations/versions``."""

_MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATING = threading.Lock()  # Alembic's context belongs to the process
_BUSY_MS = 30_000
_WAL_PAUSE = 0.02  # seconds
_SCRUB_MS = 250  # a scrub waits so long for readers, and writers with it
_REWRITE_MS = 30_000  # a full scrub waits so long for each of PostgreSQL's tables, and all who come after it
_POOL = 32

_SAYINGS = {
    sqlite3.SQLITE_BUSY: "is busy",
    sqlite3.SQLITE_LOCKED: "is busy",
    sqlite3.SQLITE_FULL: "has no room left on its disk",
    sqlite3.SQLITE_READONLY: "may not be written",
    sqlite3.SQLITE_PERM: "may not be opened",
    sqlite3.SQLITE_CANTOPEN: "can't be opened",
    sqlite3.SQLITE_IOERR: "can't be read or written",
    sqlite3.SQLITE_NOMEM: "has no memory left",
}


def _explain(error: sa.exc.SQLAlchemyError) -> CustodesError | None:
    """Tell what is wrong with the database; None if it is the statement that is wrong."""
    orig = getattr(error, "orig", None)
    if isinstance(orig, sqlite3.Error):
        code = getattr(orig, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return IntegrityError("The database file is damaged.", remedy="Restore it from a backup.")
        said = _SAYINGS.get(code)
    elif isinstance(error, sa.exc.TimeoutError):
        said = "is busy"
    else:
        said = "can't be reached or is busy" if isinstance(error, sa.exc.OperationalError) else None
    return Unavailable(f"The database {said}.", remedy="Try again.") if said else None


@contextmanager
def explained() -> Iterator[None]:
    """Raise failures of the database, but not of statements, as errors of this house.

    Raises:
        Unavailable: if the database can't be reached, is busy, or can't be written.
        IntegrityError: if its file is damaged.
    """
    try:
        yield
    except sa.exc.SQLAlchemyError as e:
        known = _explain(e)
        if known is None:
            raise
        raise known from e


def make_private_folder(path: Path) -> None:
    """Make a folder that its owner alone may enter; one that is there stays as it is.

    Raises:
        Unavailable: if it can't be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as e:
        raise Unavailable(f"The data folder can't be made: {e.strerror}.") from e


def make_private_file(path: Path) -> None:
    """Make an empty file that its owner alone may read and write, unless there is one.

    Raises:
        Unavailable: if it or its folder can't be made.
    """
    make_private_folder(path.parent)
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    except OSError as e:
        raise Unavailable(f"The database's file can't be opened: {e.strerror}.") from e


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    assert isinstance(connection, sqlite3.Connection)
    connection.isolation_level = None  # the BEGIN of this module, not the driver's
    connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    _keep_wal(connection)
    for pragma in (
        "synchronous=FULL",
        "secure_delete=ON",
        "foreign_keys=ON",
        "cache_size=-16384",
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _keep_wal(connection: sqlite3.Connection) -> None:
    """Let the database keep a write-ahead log; SQLite itself doesn't wait for others when that is new to the file."""
    until = time.monotonic() + _BUSY_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as e:
            if e.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_WAL_PAUSE)


class _Queue:
    """A lock that is given in the order of asking."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._held = False
        self._waiting: deque[threading.Lock] = deque()

    def acquire(self, *, blocking: bool = True) -> bool:
        """Take the lock; without ``blocking`` only if it is free."""
        with self._mutex:
            if not self._held:
                self._held = True
                return True
            if not blocking:
                return False
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        turn.acquire()
        return True

    def release(self) -> None:
        """Hand the lock to who has waited longest."""
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._held = False

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class _Mine(threading.local):
    """The open transaction of this thread, and whether a scrub is to follow it."""

    connection: sa.Connection | None = None
    scrub: bool = False


def hold(connection: sa.Connection, name: str) -> None:
    """Keep others from holding the same name until the transaction ends; SQLite's one writer always does."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(name, 0))))


class Database:
    """The one way to the database.

    Args:
        url: SQLAlchemy URL: ``sqlite:///file`` or ``postgresql://...``.

    Raises:
        Invalid: if the URL names neither SQLite nor PostgreSQL.
        Unavailable: if the driver is missing, or the file can't be made.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
        except sa.exc.ArgumentError as e:
            raise Invalid("The database must be an SQLAlchemy URL: sqlite:///file or postgresql://host/name.") from e
        self.sqlite = parsed.get_backend_name() == "sqlite"
        if not self.sqlite and parsed.get_backend_name() != "postgresql":
            raise Invalid(f"The database must be sqlite or postgresql, got {parsed.get_backend_name()}.")
        if not self.sqlite and parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        if self.sqlite:
            if not parsed.database or parsed.database == ":memory:":
                raise Invalid("SQLite needs a file: several connections share it.")
            make_private_file(Path(parsed.database))
        try:
            self.engine = sa.create_engine(
                parsed, pool_size=_POOL, max_overflow=_POOL, pool_pre_ping=not self.sqlite, hide_parameters=True
            )
        except ImportError as e:
            raise Unavailable(
                "The PostgreSQL driver isn't installed.", remedy="pip install 'custodes[postgres]'"
            ) from e
        if self.sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
        self._writers = _Queue()
        self._mine = _Mine()
        self._scrubs = threading.Lock()
        self._counting = threading.Lock()
        self._asked = 0  # scrubs that were asked for ...
        self._scrubbed = 0  # ... and those that one, begun later, has done

    def _turn(self) -> AbstractContextManager[None]:
        """Wait for SQLite's one writer; PostgreSQL takes many."""
        return self._writers if self.sqlite else nullcontext()

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Open a transaction that may write; it commits at the end and rolls back on an exception.

        Within another one of the same thread it is part of that: an act and its entry in the ledger commit together.
        A scrub that is asked for meanwhile follows the commit.

        Raises:
            Unavailable: if the database can't be reached or stays locked.
            IntegrityError: if its file is damaged.
        """
        if self._mine.connection is not None:
            yield self._mine.connection
            return
        try:
            with self._turn(), self._connect() as connection:
                if self.sqlite:
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                self._mine.connection = connection
                yield connection
                connection.commit()
        except BaseException:
            self._mine.scrub = False  # nothing was deleted
            raise
        finally:
            self._mine.connection = None
        if self._mine.scrub:
            self._mine.scrub = False
            self.scrub()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Open a transaction that only reads, sees one state of the database throughout, and is rolled back.

        Within :meth:`transaction` of the same thread it reads what that has written.

        Raises:
            Unavailable: if the database can't be reached.
            IntegrityError: if its file is damaged.
        """
        if self._mine.connection is not None:
            yield self._mine.connection
            return
        with self._connect() as connection:
            if self.sqlite:
                connection.exec_driver_sql("BEGIN")
            else:
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield connection
        if self.sqlite and self._scrubbed < self._asked:
            self._scrub_if_free()  # this reader may have been in the way

    @contextmanager
    def _connect(self) -> Iterator[sa.Connection]:
        """Open a connection; what it hasn't committed in the end is rolled back."""
        with explained(), self.engine.connect() as connection:
            yield connection

    def check(self) -> None:
        """Ask the database for a sign of life.

        Raises:
            Unavailable: if it can't be reached.
        """
        with self.read() as connection:
            connection.execute(sa.text("SELECT 1"))

    def migrate(self) -> None:
        """Bring the schema to this version.

        Raises:
            Unavailable: if the database can't be reached, or is of a later version of Custodes.
        """
        with self.read() as connection:
            known = sa.inspect(connection).has_table("alembic_version")
            version = connection.scalar(sa.text("SELECT version_num FROM alembic_version")) if known else None
        if version == HEAD:
            return
        from alembic import command  # here, since few starts have anything to migrate
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        with _MIGRATING, self.transaction() as connection:
            hold(connection, "custodes.migrate")  # several processes may start at once
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as e:
                raise Unavailable(
                    f"The database has schema {version}, this version of Custodes knows up to {HEAD}.",
                    remedy="Use the version that made it, or a later one.",
                ) from e

    def scrub(self, *, full: bool = False) -> bool:
        """Remove what was deleted from SQLite's files by truncating its log, or vacuum PostgreSQL's tables.

        Requests that come while one is at work are served together by the next. If a reader is in SQLite's way for
        longer than a moment, that reader scrubs when it is done; if PostgreSQL fails, the next scrub, or its own
        autovacuum, does it.

        Args:
            full: (outside of transactions only) write the tables anew first, so that nothing is left in the free space
                of their pages. Nobody writes meanwhile, on PostgreSQL nobody reads the table at hand either; SQLite
                takes as much memory as its file.

        Returns:
            Whether it is done.

        Raises:
            Unavailable: only if ``full``: if the database can't be reached, or others don't let go of it.
        """
        if self._mine.connection is not None:
            self._mine.scrub = True  # when it has committed
            return False
        if full:
            self._rewrite()
        with self._counting:
            self._asked += 1
            mine = self._asked
        with self._scrubs:
            if self._scrubbed < mine:
                with self._turn():
                    self._scrub(_SCRUB_MS)
            return self._scrubbed >= mine

    def _scrub_if_free(self) -> None:
        if not self._scrubs.acquire(blocking=False):
            return
        try:
            if self._writers.acquire(blocking=False):
                try:
                    self._scrub(0)
                finally:
                    self._writers.release()
        finally:
            self._scrubs.release()

    def _scrub(self, patience_ms: int) -> None:
        asked = self._asked
        try:
            done = self._truncate_log(patience_ms) if self.sqlite else self._vacuum()
        except sa.exc.OperationalError:
            return
        if done:
            self._scrubbed = asked

    def _truncate_log(self, patience_ms: int) -> bool:
        with self.engine.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA busy_timeout={patience_ms}")
            try:
                busy: int = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]
            finally:
                connection.exec_driver_sql(f"PRAGMA busy_timeout={_BUSY_MS}")
        return not busy

    def _vacuum(self) -> bool:
        with self._autocommit() as connection:
            for name in self._erased():
                connection.exec_driver_sql(f"VACUUM (INDEX_CLEANUP ON) {name}")
        return True

    def _rewrite(self) -> None:
        with explained(), self._turn(), self._autocommit() as connection:
            if self.sqlite:
                connection.exec_driver_sql("VACUUM")
                return
            connection.detach()  # its settings end with it
            connection.exec_driver_sql(f"SET lock_timeout = {_REWRITE_MS}")
            for name in self._erased():
                connection.exec_driver_sql(f"VACUUM (FULL) {name}")

    def _autocommit(self) -> sa.Connection:
        return self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    def _erased(self) -> list[str]:
        quote = self.engine.dialect.identifier_preparer.quote
        return [quote(table.name) for table in metadata.sorted_tables if table.info == ERASED]

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()
