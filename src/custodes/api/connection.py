# SPDX-License-Identifier: Apache-2.0
"""A client's connection: uvicorn's, with an end to what a client may send before a request begins.

uvicorn bounds neither the size of a request's head nor the time that it takes, so one client could fill the memory
with a header that never ends, and many could hold all file descriptors. Time for a body is the endpoint's affair.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["Connection"]


class Connection(HttpToolsProtocol):
    """One connection; a head that is too long or too slow is refused, and the connection closed.

    Attributes:
        head_bytes: most bytes of request line and headers; an SDK sends below 4 KiB, a browser below 16.
        head_seconds: from the connection, or from a request's first byte, to the end of its headers.
    """

    head_bytes = 65_536
    head_seconds = 20.0

    _received = 0
    _in_head = True
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request, but not for ever."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer with the connection."""
        self._forget_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, and count while the head hasn't ended."""
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            self._received += len(data)
            if self._received > self.head_bytes:
                self.send_400_response(f"A request's head has at most {self.head_bytes} bytes.")

    def on_message_begin(self) -> None:
        """Count anew for each request of the connection."""
        super().on_message_begin()
        self._in_head = True
        self._received = 0
        self._expect_head()

    def on_headers_complete(self) -> None:
        """Stop counting."""
        self._in_head = False
        self._forget_timer()
        super().on_headers_complete()

    def _expect_head(self) -> None:
        self._forget_timer()
        self._head_timer = self.loop.call_later(self.head_seconds, self._refuse_late_head)

    def _forget_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse_late_head(self) -> None:
        if not self.transport.is_closing():
            self.send_400_response(f"A request's head is complete within {self.head_seconds:g} seconds.")
