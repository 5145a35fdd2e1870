# SPDX-License-Identifier: Apache-2.0
"""``POST /``: one request of an AWS SDK, from bytes to bytes.

through the door (``admission``) -> parse and check by the service model -> handler -> JSON. All after the reading runs
in one hop to a thread; the first failure ends the chain, and whatever fails is translated once, by the one table in
``errors``.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from functools import partial

from custodes.api.aws.admission import Door, Visitor, header, hung_up
from custodes.api.aws.context import Context
from custodes.api.aws.errors import translate
from custodes.api.aws.handlers import OFFERED, SEARCHES, WITH_IMAGE, refuse
from custodes.api.aws.pages import Pages
from custodes.api.aws.protocol import Protocol, response_headers
from custodes.api.aws.streams import Records
from custodes.api.ending import Receive, Scope, Send
from custodes.api.gate import Gate, HungUp
from custodes.api.telemetry import Telemetry
from custodes.app import App
from custodes.errors import Code, IntegrityError, Unavailable
from custodes.operations.entries import NOTICE

__all__ = ["AwsEndpoint"]

_UNKNOWN = "unknown"
_HUNG_UP = 499  # as other servers log it; nobody gets it


@dataclass(slots=True)
class _Exchange:
    """One request and what becomes known of it on its way.

    Attributes:
        request_id: what the client gets to quote.
        operation: name of a known operation, or ``"unknown"``.
        visitor: who sent it, once its head has passed the door.
        params: what it asks, once that is parsed.
        entries: where the ledger has it.
        outcome, status: what became of it.
    """

    request_id: str
    operation: str = _UNKNOWN
    visitor: Visitor | None = None
    params: dict[str, object] | None = None
    entries: tuple[int, ...] = ()
    outcome: str = "ok"
    status: int = 200


class AwsEndpoint:
    """ASGI application of the AWS protocol."""

    def __init__(self, app: App, gate: Gate, door: Door, telemetry: Telemetry) -> None:
        self._app = app
        self._gate = gate
        self._door = door
        self._telemetry = telemetry
        self._protocol = Protocol()
        self._pages = Pages(app.page_key)
        app.processors.runs.speak(Records())
        self._targets = {f"RekognitionService.{name}".encode(): name for name in self._protocol.operations}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        exchange = _Exchange(str(uuid.uuid4()))
        exchange.operation = self._targets.get(header(scope, b"x-amz-target").strip(), _UNKNOWN)
        begun = time.perf_counter()
        try:
            visitor = exchange.visitor = await self._door.admit(scope)
            body = await self._door.read(visitor, receive)
            begun = time.perf_counter()
            pool = self._gate.inference if exchange.operation in WITH_IMAGE else self._gate.quick
            answer = await pool.run(partial(self._serve, exchange, visitor, body), partial(hung_up, receive))
        except HungUp:
            exchange.outcome, exchange.status = "HungUp", _HUNG_UP
        except Exception as error:  # noqa: BLE001 - the boundary: whatever fails inside is answered, and logged
            answer = self._refusal(exchange, error)
        finally:
            if exchange.visitor is not None:
                self._door.leave(exchange.visitor)
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
            key_id=exchange.visitor.key_id if exchange.visitor else "",
        )

    def _serve(self, exchange: _Exchange, visitor: Visitor, body: bytes) -> bytes:
        """Do what is asked, in a thread."""
        caller = self._door.authenticate(visitor, body)
        call = self._protocol.parse(visitor.signed.target, body)
        exchange.params = dict(call.params)
        handler = OFFERED.get(call.operation) or refuse(call.operation)
        try:
            return self._protocol.serialize(handler(Context(self._app, self._pages, caller), call.params))
        finally:
            exchange.entries = self._app.guard.taken()

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


def _is_ours(error: Exception) -> bool:
    """Tell whether an error stems from the server, whatever the wire makes of it."""
    if isinstance(error, Unavailable):
        return error.code != Code.NOT_OFFERED
    return isinstance(error, IntegrityError)
