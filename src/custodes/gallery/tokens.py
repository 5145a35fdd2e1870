# SPDX-License-Identifier: Apache-2.0
"""Idempotency: a request that is sent twice under one token happens once and is answered the same.

The answer is kept, sealed, for a day, in the transaction of what it reports. It goes before that with the collection
or the subject that it is about: a request that comes again then is a new one.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from custodes.db import Vault
from custodes.errors import Code, Conflict
from custodes.gallery.rows import Collection
from custodes.gallery.schema import request_tokens

__all__ = ["Done", "Once", "Tokens"]

_KEPT = 86_400.0  # seconds


@dataclass(frozen=True, slots=True)
class Once:
    """A request that shall happen once: the operation's name, the caller's token, and the request's canonical bytes."""

    operation: str
    token: str
    request: bytes


@dataclass(frozen=True, slots=True)
class Done:
    """What was done: the answer, and the row of the subject with which it is forgotten (None: with the collection)."""

    answer: bytes
    subject: int | None


class Tokens:
    """Remembers answers by collection, operation and token."""

    def __init__(self, vault: Vault, *, clock: Callable[[], float] = time.time) -> None:
        self._vault = vault
        self._key = vault.derive("request-token")
        self._clock = clock

    def run(self, c: sa.Connection, collection: Collection, once: Once | None, act: Callable[[], Done]) -> bytes:
        """Do ``act`` in the transaction of ``c`` and remember its answer, or return the answer remembered.

        Args:
            c: a transaction that has locked the collection, so that the same request can't be in another one too.
            collection: whose request it is.
            once: the request; None is always done.
            act: does it.

        Raises:
            Conflict: if the token was used for another request (code ``token-mismatch``).
        """
        if once is None:
            return act().answer
        self._forget_old(c)
        t = request_tokens.c
        digest = hmac.digest(self._key, once.request, hashlib.sha256)
        owner = f"{collection.row}:{once.operation}:{once.token}".encode()
        row = c.execute(
            sa.select(t.digest, t.response, t.response_key).where(
                t.collection_id == collection.row, t.operation == once.operation, t.token == once.token
            )
        ).one_or_none()
        if row is not None:
            if not hmac.compare_digest(row.digest, digest):
                raise Conflict("The token belongs to another request.", code=Code.TOKEN_MISMATCH)
            return self._vault.open(row.response, row.response_key, owner)
        done = act()
        sealed = self._vault.seal(done.answer, owner)
        c.execute(
            sa.insert(request_tokens).values(
                collection_id=collection.row,
                operation=once.operation,
                token=once.token,
                subject=done.subject,
                digest=digest,
                response=sealed.ciphertext,
                response_key=sealed.wrapped_key,
                created_at=self._clock(),
            )
        )
        return done.answer

    def _forget_old(self, c: sa.Connection) -> None:
        """Delete answers of all collections that are too old; those that another transaction deletes are left to it."""
        t = request_tokens.c
        key = (t.collection_id, t.operation, t.token)
        old = sa.select(*key).where(t.created_at < self._clock() - _KEPT).with_for_update(skip_locked=True)
        c.execute(sa.delete(request_tokens).where(sa.tuple_(*key).in_(old)))
