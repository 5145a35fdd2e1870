# SPDX-License-Identifier: Apache-2.0
"""The door for requests that AWS's tools sign, whatever they ask for: from a head that claims something to a caller.

the head: who claims to ask, for here and now, by a key that there is -> the body, within bounds -> the signature ->
copies are refused -> grounds that signed headers name. Nobody's body is read whose head doesn't name a valid key.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from custodes.api.aws import sigv4
from custodes.api.aws.errors import request_timeout
from custodes.api.aws.grounds import stated
from custodes.api.ending import Receive, Scope
from custodes.api.gate import Gate, HungUp
from custodes.app import App
from custodes.errors import Code, TooLarge
from custodes.governance import Caller

__all__ = ["Door", "Visitor", "header", "hung_up"]

_ADMITTED = 60.0  # seconds for which a valid key opens the door to bodies; each body's signature is verified anyway
_MAX_ADMITTED = 10_000


@dataclass(slots=True)
class Visitor:
    """Whoever sent a request.

    Attributes:
        scope: ASGI's.
        signed: what the head claims.
        share: the access key that it claims, and where it comes from: whose bytes are counted.
        key_id: the access key, once it is verified; empty until then.
        held: bytes of its body that were counted.
    """

    scope: Scope
    signed: sigv4.SignedRequest
    share: str
    key_id: str = ""
    held: int = 0


def header(scope: Scope, name: bytes) -> bytes:
    """Return a header by its lower-case name; empty if there is none."""
    return next((v for k, v in scope["headers"] if k.lower() == name), b"")


async def hung_up(receive: Receive) -> None:
    """Return when the client hangs up, after its body."""
    while (await receive())["type"] != "http.disconnect":
        pass


class Door:
    """Lets requests in: :meth:`admit`, :meth:`read`, :meth:`authenticate`, and in any case :meth:`leave`.

    Args:
        app: knows keys, copies and limits.
        gate: looks keys up, and counts bytes.
    """

    def __init__(self, app: App, gate: Gate) -> None:
        self._app = app
        self._gate = gate
        self._skew = timedelta(seconds=app.config.auth.clock_skew)
        self._admitted: dict[str, float] = {}

    async def admit(self, scope: Scope) -> Visitor:
        """Read who claims to ask, and refuse who can't be meant, before the body's first byte.

        Raises:
            WireError: if the head isn't signed for here and now by a key that there is.
            TooLarge: if it announces a body that is larger than allowed.
        """
        path = scope.get("raw_path") or scope["path"].encode()
        signed = sigv4.parse(scope["method"], path, scope["query_string"], scope["headers"])
        region = self._app.config.server.region
        sigv4.check_claim(signed, now=datetime.now(UTC), region=region, skew=self._skew)
        key_id = signed.access_key_id
        now = time.monotonic()
        if self._admitted.get(key_id, 0.0) < now:
            await self._gate.door.run(partial(self._holder, key_id))
            if len(self._admitted) >= _MAX_ADMITTED:
                self._admitted.clear()
            self._admitted[key_id] = now + _ADMITTED
        declared, most = header(scope, b"content-length"), self._app.config.limits.body_bytes
        if declared.isdigit() and int(declared) > most:
            raise _too_large(most)
        return Visitor(scope, signed, f"{key_id} {(scope.get('client') or ('',))[0]}")

    def _holder(self, key_id: str) -> tuple[Caller, str]:
        """Look up whose a key is, and its secret.

        Raises:
            WireError: if there is no such key, or none any more.
        """
        holder = self._app.identity.holder(key_id)
        if holder is None:
            self._admitted.pop(key_id, None)
            sigv4.forget(key_id)
            raise sigv4.unrecognized_client()
        return holder

    async def read(self, visitor: Visitor, receive: Receive) -> bytes:
        """Return the whole body.

        Raises:
            HungUp: if the client hung up.
            TooLarge: if it is larger than allowed.
            Throttled: if too many bytes are in memory already.
            WireError: if it doesn't come in time.
        """
        most = self._app.config.limits.body_bytes
        seconds = self._app.config.server.timeout
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(seconds):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise HungUp
                    part = message.get("body", b"")
                    self._gate.hold(visitor.share, len(part))
                    visitor.held += len(part)
                    if visitor.held > most:
                        raise _too_large(most)
                    parts.append(part)
                    more = message.get("more_body", False)
        except TimeoutError as error:
            raise request_timeout(seconds) from error
        return b"".join(parts)

    def authenticate(self, visitor: Visitor, body: bytes) -> Caller:
        """Verify the signature, refuse copies, and return who calls, on which grounds; in a thread.

        The clock is looked at again, for the body may have taken long.

        Raises:
            WireError: if the key's holder hasn't signed this, for here and now.
            Denied: if it is a copy of a request that came before.
            Invalid: if grounds aren't signed, or can't be meant.
        """
        signed, scope = visitor.signed, visitor.scope
        caller, secret = self._holder(signed.access_key_id)
        region = self._app.config.server.region
        sigv4.verify(signed, secret, body, now=datetime.now(UTC), region=region, skew=self._skew)
        visitor.key_id = signed.access_key_id
        attempt = header(scope, b"amz-sdk-invocation-id") + b" " + header(scope, b"amz-sdk-request")
        self._app.identity.refuse_copies(signed.signature, attempt.decode("latin-1"))
        return stated(caller, signed, scope["headers"])

    def leave(self, visitor: Visitor) -> None:
        """Count what a visitor's body held no more."""
        self._gate.release(visitor.share, visitor.held)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"A request's body has at most {limit} bytes.", code=Code.BODY_BYTES)
