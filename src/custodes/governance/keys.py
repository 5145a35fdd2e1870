# SPDX-License-Identifier: Apache-2.0
"""Access keys. A secret has to be recoverable, since SigV4 is an HMAC: it is sealed, not hashed."""

from __future__ import annotations

import secrets
import string
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from custodes.db import ERASED, Database, Vault, metadata
from custodes.errors import NotFound
from custodes.governance.model import AccessKey, Principal

__all__ = ["Keys"]

_PREFIX = "CUST"
_ID_CHARACTERS = string.ascii_uppercase + "234567"
_CACHED = 1.0  # seconds until a revocation made by another process is seen
_MAX_CACHE = 10_000

access_keys = sa.Table(
    "access_keys",
    metadata,
    sa.Column("access_key_id", sa.Text, primary_key=True),
    sa.Column("secret", sa.LargeBinary, nullable=False),
    sa.Column("secret_key", sa.LargeBinary, nullable=False),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("revoked_at", sa.Double),
    info=ERASED,
)


@dataclass(frozen=True, slots=True)
class _Cached:
    principal: Principal
    secret: str
    until: float


class Keys:
    """The store of access keys."""

    def __init__(self, database: Database, vault: Vault, *, clock: Callable[[], float] = time.time) -> None:
        self._db = database
        self._vault = vault
        self._clock = clock
        self._cache: dict[str, _Cached] = {}

    def create(self, label: str) -> AccessKey:
        """Make a key; the answer is the only place where its secret is shown."""
        key_id = _PREFIX + "".join(secrets.choice(_ID_CHARACTERS) for _ in range(16))
        secret = secrets.token_urlsafe(30)
        sealed = self._vault.seal(secret.encode(), key_id.encode())
        now = self._clock()
        with self._db.transaction() as c:
            c.execute(
                sa.insert(access_keys).values(
                    access_key_id=key_id,
                    secret=sealed.ciphertext,
                    secret_key=sealed.wrapped_key,
                    label=label,
                    created_at=now,
                )
            )
        return AccessKey(key_id, label, datetime.fromtimestamp(now, UTC), None, secret)

    def list(self) -> tuple[AccessKey, ...]:
        """Read all keys without their secrets, the oldest first."""
        with self._db.read() as c:
            return tuple(_to_key(r) for r in c.execute(sa.select(access_keys).order_by(access_keys.c.created_at)))

    def revoke(self, access_key_id: str) -> AccessKey:
        """Make a key useless, for good: its secret is erased, from the files too. A second time changes nothing.

        Raises:
            NotFound: if there is no such key.
        """
        with self._db.transaction() as c:
            mine = access_keys.c.access_key_id == access_key_id
            c.execute(
                sa.update(access_keys)
                .where(mine, access_keys.c.revoked_at.is_(None))
                .values(revoked_at=self._clock(), secret=b"", secret_key=b"")
            )
            row = c.execute(sa.select(access_keys).where(mine)).one_or_none()
        if row is None:
            raise NotFound(f"There is no access key {access_key_id}.", remedy="custodes keys list shows all.")
        self._cache.pop(access_key_id, None)
        self._db.scrub()
        return _to_key(row)

    def find(self, access_key_id: str) -> tuple[Principal, str]:
        """Return the principal and the secret of a valid key.

        Raises:
            NotFound: if there is none, or it was revoked.
        """
        now = time.monotonic()
        cached = self._cache.get(access_key_id)
        if cached is not None and cached.until > now:
            return cached.principal, cached.secret
        with self._db.read() as c:
            row = c.execute(sa.select(access_keys).where(access_keys.c.access_key_id == access_key_id)).one_or_none()
        if row is None or row.revoked_at is not None:
            self._cache.pop(access_key_id, None)
            raise NotFound("There is no such access key.")
        secret = self._vault.open(row.secret, row.secret_key, access_key_id.encode()).decode()
        if len(self._cache) >= _MAX_CACHE:
            self._cache.clear()
        self._cache[access_key_id] = _Cached(Principal(access_key_id, row.label), secret, now + _CACHED)
        return self._cache[access_key_id].principal, secret


def _to_key(row: sa.Row[*tuple[Any, ...]]) -> AccessKey:
    revoked = datetime.fromtimestamp(row.revoked_at, UTC) if row.revoked_at is not None else None
    return AccessKey(row.access_key_id, row.label, datetime.fromtimestamp(row.created_at, UTC), revoked)
