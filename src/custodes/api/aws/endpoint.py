# SPDX-License-Identifier: Apache-2.0
"""``POST /``: one request of an AWS SDK, from bytes to bytes.

read the body -> parse and verify the signature -> refuse copies -> parse and check by the service model -> handler
-> JSON. All after the reading runs in one hop to a thread; the first failure ends the chain, and whatever fails is
translated once, by the one table in ``errors``.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from custodes.api.aws import sigv4
from custodes.api.aws.errors import request_timeout, translate
from custodes.api.aws.handlers import OFFERED, WITH_IMAGE, Context, refuse
from custodes.api.aws.pages import Pages
from custodes.api.aws.protocol import Protocol, response_headers
from custodes.api.gate import Gate
from custodes.api.telemetry import Telemetry
from custodes.app import App
from custodes.errors import Code, CustodesError, TooLarge

__all__ = ["AwsEndpoint"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_UNKNOWN = "unknown"


@dataclass(slots=True)
class _Exchange:
    """One request and what becomes known of it on its way."""

    request_id: str
    scope: Scope
    operation: str = _UNKNOWN
    key_id: str = ""
    held: int = 0
    outcome: str = "ok"
    status: int = 200


class _Gone(Exception):
    """The client has hung up: there is nobody to answer."""


def _header(scope: Scope, name: bytes) -> bytes:
    return next((v for k, v in scope["headers"] if k.lower() == name), b"")


class AwsEndpoint:
    """ASGI application of the AWS protocol."""

    def __init__(self, app: App, gate: Gate, telemetry: Telemetry) -> None:
        self._app = app
        self._gate = gate
        self._telemetry = telemetry
        self._protocol = Protocol()
        self._context = Context(app, Pages(app.page_key))
        self._skew = timedelta(seconds=app.config.auth.clock_skew)
        self._targets = {f"RekognitionService.{name}".encode(): name for name in self._protocol.operations}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        exchange = _Exchange(str(uuid.uuid4()), scope)
        exchange.operation = self._targets.get(_header(scope, b"x-amz-target").strip(), _UNKNOWN)
        begun = time.perf_counter()
        try:
            body = await self._read(exchange, receive)
            begun = time.perf_counter()
            answer = await self._gate.run(
                lambda: self._serve(exchange, body), inference=exchange.operation in WITH_IMAGE
            )
        except _Gone:
            return
        except CustodesError as error:
            answer = self._refusal(exchange, error, None)
        finally:
            self._gate.release(exchange.held)
        headers = [*response_headers(exchange.request_id), (b"content-length", str(len(answer)).encode())]
        if exchange.status == 408:
            headers.append((b"connection", b"close"))
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

    async def _read(self, exchange: _Exchange, receive: Receive) -> bytes:
        """Return the whole body.

        Raises:
            _Gone: if the client hung up.
            TooLarge: if it is larger than allowed.
            Throttled: if too many bytes are in memory already.
            WireError: if it doesn't come in time.
        """
        limits = self._app.config.limits
        seconds = self._app.config.server.timeout
        declared = _header(exchange.scope, b"content-length")
        if declared.isdigit() and int(declared) > limits.body_bytes:
            raise _too_large(limits.body_bytes)
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(seconds):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Gone
                    part = message.get("body", b"")
                    self._gate.hold(len(part))
                    exchange.held += len(part)
                    if exchange.held > limits.body_bytes:
                        raise _too_large(limits.body_bytes)
                    parts.append(part)
                    more = message.get("more_body", False)
        except TimeoutError as error:
            raise request_timeout(seconds) from error
        return b"".join(parts)

    def _serve(self, exchange: _Exchange, body: bytes) -> bytes:
        params: dict[str, object] | None = None
        try:
            signed = self._authenticate(exchange, body)
            call = self._protocol.parse(signed.target, body)
            params = dict(call.params)
            handler = OFFERED.get(call.operation) or refuse(call.operation)
            return self._protocol.serialize(handler(self._context, call.params))
        except Exception as error:  # noqa: BLE001 - the boundary: whatever fails inside is answered, and logged
            return self._refusal(exchange, error, params)

    def _authenticate(self, exchange: _Exchange, body: bytes) -> sigv4.SignedRequest:
        scope = exchange.scope
        path = scope.get("raw_path") or scope["path"].encode()
        signed = sigv4.parse(scope["method"], path, scope["query_string"], scope["headers"])
        holder = self._app.identity.holder(signed.access_key_id)
        if holder is None:
            raise sigv4.unrecognized_client()
        principal, secret = holder
        region = self._app.config.server.region
        sigv4.verify(signed, secret, body, now=datetime.now(UTC), region=region, skew=self._skew)
        exchange.key_id = principal.access_key_id
        attempt = _header(scope, b"amz-sdk-invocation-id") + b" " + _header(scope, b"amz-sdk-request")
        self._app.identity.refuse_copies(signed.signature, attempt.decode("latin-1"))
        return signed

    def _refusal(self, exchange: _Exchange, error: Exception, params: dict[str, object] | None) -> bytes:
        refusal = translate(error, self._protocol.declared(exchange.operation), params)
        exchange.status = refusal.status
        exchange.outcome = refusal.name
        if refusal.status >= 500:
            self._telemetry.failure(error, operation=exchange.operation, request_id=exchange.request_id)
        return refusal.body(exchange.request_id)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"A request's body has at most {limit} bytes.", code=Code.BODY_BYTES)
