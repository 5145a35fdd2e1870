# SPDX-License-Identifier: Apache-2.0
"""A client's connection: uvicorn's, with an end to what a client may send before a request begins.

uvicorn bounds neither the size of a request's head nor the time that it takes, so one client could fill the memory
with a header that never ends, and many could hold all file descriptors. Time for a body is the endpoint's affair. A
connection becomes a WebSocket's only by a GET; one whose client hears nothing for a while is cut, whatever is still to
be sent.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

__all__ = ["Channel", "Connection"]

_UNREADABLE = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


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

    def _should_upgrade(self) -> bool:
        """Tell whether a WebSocket is asked for; any other request with such a header is answered as it is.

        What isn't a GET would be waited for without an end where it is no handshake.
        """
        return self.scope["method"] == "GET" and super()._should_upgrade()

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


class Channel(WebSocketsSansIOProtocol):
    """A WebSocket; one that is dead or speaks something else is cut, rather than closed once all is sent."""

    def data_received(self, data: bytes) -> None:
        """Refuse a handshake that can't be read: its head has come as a whole, so no more of it ever will."""
        super().data_received(data)
        if not (self.handshake_initiated or self.transport.is_closing()):
            self.transport.write(_UNREADABLE)
            self.transport.close()

    def keepalive_timeout(self) -> None:
        """Cut the connection: there was no answer to a ping, so that nobody reads what waits to be sent."""
        super().keepalive_timeout()
        self.transport.abort()

    def handle_parser_exception(self) -> None:
        """End what isn't the protocol, before the handshake's answer too."""
        if self.conn.close_sent is None:
            self.transport.abort()
        else:
            super().handle_parser_exception()
