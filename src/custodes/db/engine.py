# SPDX-License-Identifier: Apache-2.0
"""SQLAlchemy engine, the two kinds of transaction, and migrations.

SQLite is run as a server would be: WAL, ``synchronous=FULL`` (an answer that was given survives a power cut),
``secure_delete`` (deleted rows are overwritten), one writer at a time by ``BEGIN IMMEDIATE`` behind a lock of the
process, so that threads wait their turn instead of polling. What was deleted also stands in the write-ahead log
until that is truncated: :meth:`Database.scrub` does so.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from custodes.errors import Invalid, Unavailable

__all__ = ["Database", "metadata"]

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""Every table of the house; each room's ``store`` adds its own."""

_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_MS = 30_000
_POOL = 32


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    assert isinstance(connection, sqlite3.Connection)
    connection.isolation_level = None  # SQLAlchemy's BEGIN below, not the driver's
    for pragma in (
        f"busy_timeout={_BUSY_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "secure_delete=ON",
        "foreign_keys=ON",
        "cache_size=-16384",
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")


class Database:
    """The one way to the database.

    Args:
        url: SQLAlchemy URL: ``sqlite:///file`` or ``postgresql://...``.

    Raises:
        Invalid: if the URL names neither SQLite nor PostgreSQL.
        Unavailable: if the driver is missing.
    """

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        self.sqlite = parsed.get_backend_name() == "sqlite"
        if not self.sqlite and parsed.get_backend_name() != "postgresql":
            raise Invalid(f"The database must be sqlite or postgresql, got {parsed.get_backend_name()}.")
        if not self.sqlite and parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        if self.sqlite:
            if not parsed.database or parsed.database == ":memory:":
                raise Invalid("SQLite needs a file: several connections share it.")
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self.engine = sa.create_engine(parsed, pool_size=_POOL, max_overflow=_POOL, pool_pre_ping=not self.sqlite)
        except ImportError as e:
            raise Unavailable(
                "The PostgreSQL driver isn't installed.", remedy="pip install 'custodes[postgres]'"
            ) from e
        if self.sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
        self._writer = threading.Lock() if self.sqlite else nullcontext()

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Open a transaction that may write; it commits at the end and rolls back on an exception.

        Raises:
            Unavailable: if the database can't be reached or stays locked.
        """
        with self._writer, self._connect() as connection:
            if self.sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            with connection.begin() if not connection.in_transaction() else connection.get_transaction():  # type: ignore[union-attr]
                yield connection

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Open a transaction that only reads, and sees one state of the database (SQLite) throughout.

        Raises:
            Unavailable: if the database can't be reached.
        """
        with self._connect() as connection:
            if self.sqlite:
                connection.exec_driver_sql("BEGIN")
            yield connection
            connection.rollback()

    @contextmanager
    def _connect(self) -> Iterator[sa.Connection]:
        try:
            with self.engine.connect() as connection:
                yield connection
        except sa.exc.OperationalError as e:
            raise Unavailable("The database can't be reached or is busy.", remedy="Try again.") from e

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
            Unavailable: if the database can't be reached.
        """
        config = AlembicConfig()
        config.set_main_option("script_location", str(_MIGRATIONS))
        with self.transaction() as connection:
            if not self.sqlite:  # several processes may start at once; SQLite's writer lock serialises them already
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('custodes.migrate'))"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def scrub(self, tables: tuple[str, ...]) -> bool:
        """Remove what was deleted from the files: truncate SQLite's log, or vacuum PostgreSQL's tables.

        Returns:
            False if a reader held SQLite's log meanwhile; call again then.
        """
        if not self.sqlite:
            with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                for table in tables:
                    quoted = connection.dialect.identifier_preparer.quote(table)
                    connection.exec_driver_sql(f"VACUUM (INDEX_CLEANUP ON) {quoted}")
            return True
        for _ in range(20):
            with self._writer, self.engine.connect() as connection:
                busy: int = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]
            if not busy:
                return True
            time.sleep(0.01)
        return False

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()
