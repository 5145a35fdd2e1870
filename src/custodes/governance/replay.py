# SPDX-License-Identifier: Apache-2.0
"""Requests that came before: SigV4 has no nonce, so signatures are remembered while they are valid.

The date in a signature has the resolution of a second, and boto3 signs no request id: two requests that mean the
same and are made in the same second are signed alike. The SDKs also send a request id (``amz-sdk-invocation-id``)
and an attempt number outside the signature. So a request with the same signature, id and attempt is a copy and is
refused at once; one with the same signature and another id passes for a few seconds after the first, since a client
may mean it, and is refused later, since by then the client's clock has moved on and only a copy can bear it.

Signatures are remembered, as hashes, across the processes of a server: in a file of their own beside SQLite, written
without waiting for the disk (a power cut may cost the last of them, never the file); in an unlogged table on
PostgreSQL.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event

from custodes.db import Database, explained, hold, make_private_file
from custodes.errors import Denied, Unavailable

__all__ = ["Replays"]

_PURGE_EVERY = 2_000  # requests
_POOL = 32
_CREATE = (
    "CREATE {unlogged} TABLE IF NOT EXISTS seen_signatures"
    " (signature {blob} NOT NULL, request {blob} NOT NULL, seen_at DOUBLE PRECISION NOT NULL,"
    " PRIMARY KEY (signature, request)) {options}"
)


def _prepare(connection: object, _: object) -> None:
    assert hasattr(connection, "execute")
    connection.isolation_level = None  # type: ignore[attr-defined]
    for pragma in ("busy_timeout=30000", "page_size=1024", "journal_mode=WAL", "synchronous=NORMAL"):
        connection.execute(f"PRAGMA {pragma}")


class Replays:
    """Remembers signatures.

    Args:
        database: decides where.
        kept: seconds for which a signature is valid before or after its date.
        grace: seconds for which distinct requests may bear one signature.
        clock: seconds since 1970.
    """

    def __init__(
        self, database: Database, *, kept: float, grace: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._kept = 2 * kept
        self._grace = grace
        self._clock = clock
        self._count = 0
        self._lock = threading.Lock()
        mark = "?" if database.sqlite else "%s"
        self._insert = (
            f"INSERT INTO seen_signatures VALUES ({mark}, {mark}, {mark}) ON CONFLICT DO NOTHING "  # noqa: S608
            "RETURNING COALESCE((SELECT MIN(s.seen_at) FROM seen_signatures s "
            f"WHERE s.signature = {mark}), seen_at)"
        )
        self._purge = f"DELETE FROM seen_signatures WHERE seen_at < {mark}"  # noqa: S608
        if database.sqlite:
            url = database.engine.url.set(database=f"{database.engine.url.database}-seen")
            make_private_file(Path(str(url.database)))
            self._engine = sa.create_engine(url, pool_size=_POOL, max_overflow=_POOL, hide_parameters=True)
            event.listen(self._engine, "connect", _prepare)
            ddl = _CREATE.format(unlogged="", blob="BLOB", options="WITHOUT ROWID")
        else:
            self._engine = database.engine.execution_options(isolation_level="AUTOCOMMIT")
            ddl = _CREATE.format(unlogged="UNLOGGED", blob="BYTEA", options="")
        with database.transaction() as turn, self._engine.connect() as c:
            hold(turn, "custodes.seen")  # several processes may start at once
            c.exec_driver_sql(ddl)

    @property
    def _driver_error(self) -> type[Exception]:
        error: type[Exception] = self._engine.dialect.loaded_dbapi.Error
        return error

    def check(self, signature: str, request: str) -> None:
        """Remember a request, or refuse it if it came before.

        Args:
            signature: the verified signature.
            request: what else tells requests apart: request id and attempt as sent, or an empty string.

        Raises:
            Denied: if it is a copy.
            Unavailable: if the database can't be reached.
        """
        first = hashlib.blake2b(signature.encode(), digest_size=16).digest()
        second = hashlib.blake2b(request.encode(), digest_size=16).digest()
        now = self._clock()
        since = self._remember(first, second, now)
        if since is None or since < now - self._grace:
            raise Denied("The request is a copy of one that was received before.", remedy="Sign it anew.")
        with self._lock:
            self._count += 1
            due = self._count % _PURGE_EVERY == 0
        if due:
            with explained(), self._engine.connect() as c:
                c.exec_driver_sql(self._purge, (now - self._kept,))

    def _remember(self, signature: bytes, request: bytes, now: float) -> float | None:
        """Return when the signature was first seen, None if the very request was; past SQLAlchemy, for speed."""
        try:
            with explained(), contextlib.closing(self._engine.raw_connection()) as connection:
                cursor = connection.cursor()
                cursor.execute(self._insert, (signature, request, now, signature))
                row = cursor.fetchone()
                connection.commit()
        except self._driver_error as e:
            raise Unavailable("The database can't be reached or is busy.", remedy="Try again.") from e
        return None if row is None else float(row[0])

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()
