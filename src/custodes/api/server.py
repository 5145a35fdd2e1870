# SPDX-License-Identifier: Apache-2.0
"""The HTTP server: AWS SDKs at ``POST /``, the native API below ``/v1``."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn

from custodes.api.aws.endpoint import AwsEndpoint
from custodes.api.connection import Connection
from custodes.api.gate import Gate
from custodes.api.rest.routes import create_rest
from custodes.api.telemetry import Telemetry
from custodes.app import App
from custodes.errors import Unavailable

__all__ = ["Application", "bind", "serve"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_KEEP_ALIVE = 75  # seconds, longer than the SDKs keep an idle connection
_BACKLOG = 1024


class Application:
    """The ASGI application: sends each request to the API that it is meant for."""

    def __init__(self, app: App) -> None:
        self._gate = Gate(app.config.server)
        telemetry = Telemetry()
        self._aws = AwsEndpoint(app, self._gate, telemetry)
        self._rest = create_rest(app, self._gate, telemetry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or start and stop with the server."""
        if scope["type"] == "http" and scope["path"] == "/" and scope["method"] == "POST":
            await self._aws(scope, receive, send)
        else:
            await self._rest(scope, receive, send)

    def close(self) -> None:
        """End the threads."""
        self._gate.close()


def bind(host: str, port: int) -> socket.socket:
    """Open the listening socket.

    Raises:
        Unavailable: if the address is taken or isn't this machine's.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as e:
        raise Unavailable(
            f"The server can't listen on {host} port {port}: {e.strerror}.",
            remedy="Stop what listens there, or set CUSTODES_PORT.",
        ) from e
    return listener


def serve(app: App, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Answer requests until the process is told to stop.

    Args:
        app: what answers.
        listener: an open socket.
        ready: called when requests are being answered.
    """
    application = Application(app)
    settings = uvicorn.Config(
        application,
        http=Connection,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,  # RFC 9110, 6.6.1; SDKs whose clock is wrong set themselves by it
        lifespan="off",
        timeout_keep_alive=_KEEP_ALIVE,
        backlog=_BACKLOG,
    )

    class _Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

    try:
        _Server(settings).run([listener])
    finally:
        application.close()
