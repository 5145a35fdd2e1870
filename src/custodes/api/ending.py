# SPDX-License-Identifier: Apache-2.0
"""The end of an exchange: an answer that comes before the request's end also ends the connection.

What is refused by its head (no signature, too large, no such route) is answered while its body is still on its way. To
keep the connection would mean to read a body that nobody wants, for as long as the client likes; to close it at once
would reset it, and take the answer from a client that is still writing (RFC 9112, 9.6). So the answer says
``Connection: close``, what still comes is thrown away for a few seconds, and then the connection ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["LINGER", "Ending", "Receive", "Scope", "Send"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LINGER = 5.0  # seconds


def _has_body(scope: Scope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b" 0"))
        for name, value in scope["headers"]
    )


class Ending:
    """One exchange's ``receive`` and ``send``, for an application that may answer early.

    Args:
        scope, receive, send: the server's.
        linger: how long to read on after an early answer, in seconds.

    Attributes:
        early: whether the answer came before the request's end; then :meth:`linger` must be called.
        status: HTTP status of the answer; 0 before it.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, linger: float = LINGER) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._seconds = linger
        self._read = False
        self.early = False
        self.status = 0

    async def receive(self) -> MutableMapping[str, Any]:
        """Receive the next part of the request."""
        message = await self._receive()
        if not message.get("more_body"):
            self._read = True
        return message

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Send a part of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if not self._read and _has_body(self._scope):
                self.early = True
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
        elif self.early and not message.get("more_body"):
            message["more_body"] = True  # its end is sent by linger
        await self._send(message)

    async def linger(self) -> None:
        """Throw away what still comes, for a while, and end the connection."""
        try:
            async with asyncio.timeout(self._seconds):
                while not self._read:
                    await self.receive()
        except TimeoutError:
            pass
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
