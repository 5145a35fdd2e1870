# SPDX-License-Identifier: Apache-2.0
"""Idempotency: a request that is sent twice under one token happens once and is answered the same.

The answer is kept, sealed, for a day, in the transaction of what it reports.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from custodes.db import Vault, hold
from custodes.errors import Code, Conflict
from custodes.gallery.schema import request_tokens

__all__ = ["Once", "Tokens"]

_KEPT = 86_400.0  # seconds


@dataclass(frozen=True, slots=True)
class Once:
    """A request that shall happen once: the operation's name, the caller's token, and the request's canonical bytes."""

    operation: str
    token: str
    request: bytes


class Tokens:
    """Remembers answers by token."""

    def __init__(self, vault: Vault, *, clock: Callable[[], float] = time.time) -> None:
        self._vault = vault
        self._key = vault.derive("request-token")
        self._clock = clock

    def run(self, c: sa.Connection, once: Once | None, act: Callable[[], bytes]) -> bytes:
        """Do ``act`` in the transaction of ``c`` and remember its answer, or return the answer remembered.

        Raises:
            Conflict: if the token was used for another request (code ``token-mismatch``).
        """
        if once is None:
            return act()
        digest = hmac.digest(self._key, once.request, hashlib.sha256)
        t = request_tokens.c
        mine = (t.operation == once.operation) & (t.token == once.token)
        owner = f"{once.operation}:{once.token}".encode()
        hold(c, f"custodes.token:{once.operation}:{once.token}")  # the same request may come twice at once
        c.execute(sa.delete(request_tokens).where(t.created_at < self._clock() - _KEPT))
        row = c.execute(sa.select(t.digest, t.response, t.response_key).where(mine)).one_or_none()
        if row is not None:
            if not hmac.compare_digest(row.digest, digest):
                raise Conflict(
                    f"The ClientRequestToken: {once.token} you have supplied is already in use.",
                    code=Code.TOKEN_MISMATCH,
                )
            return self._vault.open(row.response, row.response_key, owner)
        response = act()
        sealed = self._vault.seal(response, owner)
        c.execute(
            sa.insert(request_tokens).values(
                operation=once.operation,
                token=once.token,
                digest=digest,
                response=sealed.ciphertext,
                response_key=sealed.wrapped_key,
                created_at=self._clock(),
            )
        )
        return response
