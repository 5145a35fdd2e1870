# SPDX-License-Identifier: Apache-2.0
"""``POST /``: one request of an AWS SDK, from bytes to bytes.

the head: who claims to ask, for here and now, by a key that there is -> the body -> verify the signature -> refuse
copies -> parse and check by the service model -> handler -> JSON. Nobody's body is read whose head doesn't name a valid
key. All after the reading runs in one hop to a thread; the first failure ends the chain, and whatever fails is
translated once, by the one table in ``errors``.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from custodes.api.aws import sigv4
from custodes.api.aws.errors import request_timeout, translate
from custodes.api.aws.grounds import stated
from custodes.api.aws.handlers import OFFERED, SEARCHES, WITH_IMAGE, Context, refuse
from custodes.api.aws.pages import Pages
from custodes.api.aws.protocol import Protocol, response_headers
from custodes.api.ending import Receive, Scope, Send
from custodes.api.gate import Gate, HungUp
from custodes.api.telemetry import Telemetry
from custodes.app import App
from custodes.errors import Code, IntegrityError, TooLarge, Unavailable
from custodes.governance import Caller
from custodes.operations.entries import NOTICE

__all__ = ["AwsEndpoint"]

_UNKNOWN = "unknown"
_HUNG_UP = 499  # as other servers log it; nobody gets it
_ADMITTED = 60.0  # seconds for which a valid key opens the door to bodies; each body's signature is verified anyway
_MAX_ADMITTED = 10_000


@dataclass(slots=True)
class _Exchange:
    """One request and what becomes known of it on its way.

    Attributes:
        request_id: what the client gets to quote.
        scope: ASGI's.
        operation: name of a known operation, or ``"unknown"``.
        caller: the access key that it claims, and where it comes from.
        key_id: the access key, once it is verified.
        held: bytes of its body that were counted.
        params: what it asks, once that is parsed.
        entries: where the ledger has it.
        outcome, status: what became of it.
    """

    request_id: str
    scope: Scope
    operation: str = _UNKNOWN
    caller: str = ""
    key_id: str = ""
    held: int = 0
    params: dict[str, object] | None = None
    entries: tuple[int, ...] = ()
    outcome: str = "ok"
    status: int = 200


def _header(scope: Scope, name: bytes) -> bytes:
    return next((v for k, v in scope["headers"] if k.lower() == name), b"")


class AwsEndpoint:
    """ASGI application of the AWS protocol."""

    def __init__(self, app: App, gate: Gate, telemetry: Telemetry) -> None:
        self._app = app
        self._gate = gate
        self._telemetry = telemetry
        self._protocol = Protocol()
        self._pages = Pages(app.page_key)
        self._skew = timedelta(seconds=app.config.auth.clock_skew)
        self._targets = {f"RekognitionService.{name}".encode(): name for name in self._protocol.operations}
        self._admitted: dict[str, float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        exchange = _Exchange(str(uuid.uuid4()), scope)
        exchange.operation = self._targets.get(_header(scope, b"x-amz-target").strip(), _UNKNOWN)
        begun = time.perf_counter()
        try:
            signed = await self._admit(exchange)
            body = await self._read(exchange, receive)
            begun = time.perf_counter()
            pool = self._gate.inference if exchange.operation in WITH_IMAGE else self._gate.quick
            answer = await pool.run(partial(self._serve, exchange, signed, body), partial(_hung_up, receive))
        except HungUp:
            exchange.outcome, exchange.status = "HungUp", _HUNG_UP
        except Exception as error:  # noqa: BLE001 - the boundary: whatever fails inside is answered, and logged
            answer = self._refusal(exchange, error)
        finally:
            self._gate.release(exchange.caller, exchange.held)
        if exchange.status != _HUNG_UP:
            headers = [*response_headers(exchange.request_id), (b"content-length", str(len(answer)).encode())]
            headers += _told(exchange)
            await send({"type": "http.response.start", "status": exchange.status, "headers": headers})
            await send({"type": "http.response.body", "body": answer})
        self._telemetry.request(
            operation=exchange.operation,
            outcome=exchange.outcome,
            status=exchange.status,
            seconds=time.perf_counter() - begun,
            request_id=exchange.request_id,
            key_id=exchange.key_id,
        )

    async def _admit(self, exchange: _Exchange) -> sigv4.SignedRequest:
        """Read who claims to ask, and refuse who can't be meant, before the body's first byte.

        Raises:
            WireError: if the head isn't signed for here and now by a key that there is.
            TooLarge: if it announces a body that is larger than allowed.
        """
        scope = exchange.scope
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
        exchange.caller = f"{key_id} {(scope.get('client') or ('',))[0]}"
        declared, most = _header(scope, b"content-length"), self._app.config.limits.body_bytes
        if declared.isdigit() and int(declared) > most:
            raise _too_large(most)
        return signed

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

    async def _read(self, exchange: _Exchange, receive: Receive) -> bytes:
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
                    self._gate.hold(exchange.caller, len(part))
                    exchange.held += len(part)
                    if exchange.held > most:
                        raise _too_large(most)
                    parts.append(part)
                    more = message.get("more_body", False)
        except TimeoutError as error:
            raise request_timeout(seconds) from error
        return b"".join(parts)

    def _serve(self, exchange: _Exchange, signed: sigv4.SignedRequest, body: bytes) -> bytes:
        """Do what is asked, in a thread."""
        caller = stated(self._authenticate(exchange, signed, body), signed, exchange.scope["headers"])
        call = self._protocol.parse(signed.target, body)
        exchange.params = dict(call.params)
        handler = OFFERED.get(call.operation) or refuse(call.operation)
        try:
            return self._protocol.serialize(handler(Context(self._app, self._pages, caller), call.params))
        finally:
            exchange.entries = self._app.guard.taken()

    def _authenticate(self, exchange: _Exchange, signed: sigv4.SignedRequest, body: bytes) -> Caller:
        """Verify the signature, refuse copies, and return who calls.

        The clock is looked at again, for the body may have taken long.
        """
        caller, secret = self._holder(signed.access_key_id)
        region = self._app.config.server.region
        sigv4.verify(signed, secret, body, now=datetime.now(UTC), region=region, skew=self._skew)
        exchange.key_id = signed.access_key_id
        attempt = _header(exchange.scope, b"amz-sdk-invocation-id") + b" " + _header(exchange.scope, b"amz-sdk-request")
        self._app.identity.refuse_copies(signed.signature, attempt.decode("latin-1"))
        return caller

    def _refusal(self, exchange: _Exchange, error: Exception) -> bytes:
        refusal = translate(error, self._protocol.declared(exchange.operation), exchange.params)
        exchange.status = refusal.status
        exchange.outcome = refusal.name
        if refusal.status >= 500 or _is_ours(error):
            self._telemetry.failure(error, operation=exchange.operation, request_id=exchange.request_id)
        return refusal.body(exchange.request_id)


def _told(exchange: _Exchange) -> list[tuple[bytes, bytes]]:
    """Return what an answer says beyond the API: where the ledger has it, and what a search result is."""
    told = [(b"x-custodes-entry", str(index).encode()) for index in exchange.entries]
    if exchange.operation in SEARCHES:
        told.append((b"x-custodes-notice", NOTICE.encode()))
    return told


async def _hung_up(receive: Receive) -> None:
    """Return when the client hangs up, after its body."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _is_ours(error: Exception) -> bool:
    """Tell whether an error stems from the server, whatever the wire makes of it."""
    if isinstance(error, Unavailable):
        return error.code != Code.NOT_OFFERED
    return isinstance(error, IntegrityError)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"A request's body has at most {limit} bytes.", code=Code.BODY_BYTES)
