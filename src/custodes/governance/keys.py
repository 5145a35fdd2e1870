# SPDX-License-Identifier: Apache-2.0
"""Access keys. A secret has to be recoverable, since SigV4 is an HMAC: it is sealed, not hashed."""

from __future__ import annotations

import secrets
import string
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from custodes.db import Database, Vault
from custodes.errors import NotFound
from custodes.governance.model import OPERATOR, AccessKey, Caller
from custodes.governance.request import Purpose
from custodes.governance.schema import access_keys

__all__ = ["Keys"]

_PREFIX = "CUST"
_ID_CHARACTERS = string.ascii_uppercase + "234567"
_CACHED = 1.0  # seconds until a revocation made by another process is seen
_MAX_CACHE = 10_000


@dataclass(frozen=True, slots=True)
class _Cached:
    caller: Caller
    secret: str
    until: float


class Keys:
    """The store of access keys."""

    def __init__(self, database: Database, vault: Vault, *, clock: Callable[[], float] = time.time) -> None:
        self._db = database
        self._vault = vault
        self._clock = clock
        self._cache: dict[str, _Cached] = {}

    def create(
        self,
        label: str,
        *,
        principal: str = OPERATOR,
        purpose: Purpose = Purpose.PHOTO_LIBRARY,
        case: str | None = None,
        authority: str | None = None,
        provenance: str | None = None,
        expires_at: datetime | None = None,
    ) -> AccessKey:
        """Make a key; the answer is the only place where its secret is shown.

        Args:
            label: what it is for, in its owner's words.
            principal, purpose: whose it is, and for what alone.
            case, authority: what its requests refer to, unless they name another.
            provenance: where the images come from that are enrolled with it.
            expires_at: from when on it isn't valid any more.
        """
        key_id = _PREFIX + "".join(secrets.choice(_ID_CHARACTERS) for _ in range(16))
        secret = secrets.token_urlsafe(30)
        sealed = self._vault.seal(secret.encode(), key_id.encode())
        row = {
            "access_key_id": key_id,
            "secret": sealed.ciphertext,
            "secret_key": sealed.wrapped_key,
            "label": label,
            "created_at": self._clock(),
            "principal": principal,
            "purpose": str(purpose),
            "case_id": case,
            "authority_id": authority,
            "provenance": provenance,
            "expires_at": expires_at.timestamp() if expires_at else None,
            "revoked_at": None,
        }
        with self._db.transaction() as c:
            c.execute(sa.insert(access_keys).values(row))
        return _to_key(row, secret)

    def list(self) -> tuple[AccessKey, ...]:
        """Read all keys without their secrets, the oldest first."""
        with self._db.read() as c:
            return tuple(
                _to_key(r._mapping) for r in c.execute(sa.select(access_keys).order_by(access_keys.c.created_at))
            )

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
        return _to_key(row._mapping)

    def forget(self, principal: str) -> int:
        """Delete all keys of a person, from the files too, as if none had been made; return how many there were."""
        with self._db.transaction() as c:
            mine = access_keys.c.principal == principal
            gone = c.execute(sa.select(access_keys.c.access_key_id).where(mine)).scalars().all()
            c.execute(sa.delete(access_keys).where(mine))
        for key in gone:
            self._cache.pop(key, None)
        self._db.scrub()
        return len(gone)

    def find(self, access_key_id: str) -> tuple[Caller, str]:
        """Return who calls with a key, as the key itself says, and its secret; one that has expired is found too.

        Raises:
            NotFound: if there is none, or it was revoked.
        """
        now = time.monotonic()
        cached = self._cache.get(access_key_id)
        if cached is not None and cached.until > now:
            return cached.caller, cached.secret
        with self._db.read() as c:
            row = c.execute(sa.select(access_keys).where(access_keys.c.access_key_id == access_key_id)).one_or_none()
        if row is None or row.revoked_at is not None:
            self._cache.pop(access_key_id, None)
            raise NotFound("There is no such access key.")
        secret = self._vault.open(row.secret, row.secret_key, access_key_id.encode()).decode()
        if len(self._cache) >= _MAX_CACHE:
            self._cache.clear()
        key = _to_key(row._mapping)
        caller = Caller(
            principal=key.principal,
            purpose=key.purpose,
            access_key_id=access_key_id,
            key_expires=key.expires_at,
            case=key.case,
            authority=key.authority,
            provenance=key.provenance,
        )
        self._cache[access_key_id] = _Cached(caller, secret, now + _CACHED)
        return caller, secret


def _time(value: float | None) -> datetime | None:
    return None if value is None else datetime.fromtimestamp(value, UTC)


def _to_key(row: Mapping[Any, Any], secret: str | None = None) -> AccessKey:
    return AccessKey(
        access_key_id=row["access_key_id"],
        label=row["label"],
        created_at=datetime.fromtimestamp(row["created_at"], UTC),
        revoked_at=_time(row["revoked_at"]),
        secret=secret,
        principal=row["principal"],
        purpose=Purpose(row["purpose"]),
        case=row["case_id"],
        authority=row["authority_id"],
        provenance=row["provenance"],
        expires_at=_time(row["expires_at"]),
    )
