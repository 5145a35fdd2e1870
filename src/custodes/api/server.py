# SPDX-License-Identifier: Apache-2.0
"""The HTTP server: AWS SDKs at ``POST /``, the console below ``/console``, the native API below ``/v1``."""

from __future__ import annotations

import gc
import socket
import time
from collections.abc import Awaitable, Callable

import uvicorn

from custodes.api.aws.admission import Door
from custodes.api.aws.endpoint import AwsEndpoint
from custodes.api.connection import Channel, Connection
from custodes.api.console.silence import is_silent
from custodes.api.console.site import Site, is_console
from custodes.api.ending import Ending, Receive, Scope, Send
from custodes.api.gate import Gate
from custodes.api.live import LiveViews
from custodes.api.rest.routes import create_rest
from custodes.api.telemetry import Telemetry
from custodes.api.warmup import WarmUp
from custodes.app import App
from custodes.errors import Unavailable

__all__ = ["Application", "bind", "configured", "serve"]

_KEEP_ALIVE = 75  # seconds, longer than the SDKs keep an idle connection
_PING = 15.0  # seconds between pings of a WebSocket, and until it is cut that answers none
_HEARD = 1024  # bytes of a message over a WebSocket: browsers send none
_BACKLOG = 1024


class Application:
    """The ASGI application: sends each request to the API that it is meant for."""

    def __init__(self, app: App) -> None:
        self._gate = Gate(app.config.server)
        self.telemetry = Telemetry(self._gate)
        self.warm_up = WarmUp(app.warm)
        door = Door(app, self._gate)
        self._aws = AwsEndpoint(app, self._gate, door, self.telemetry)
        self._rest = create_rest(app, self._gate, door, self.telemetry, self.warm_up)
        self._site = Site(app, self._gate, self.telemetry, warm_up=self.warm_up)
        self._live = LiveViews(self._site.console)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or speak over one WebSocket: live views are all that there are."""
        if scope["type"] == "websocket":
            await self._live(scope, receive, send)
            return
        ending = Ending(scope, receive, send)
        if scope["path"] == "/" and scope["method"] == "POST":
            await self._aws(scope, ending.receive, ending.send)
        else:
            await self._answer_routed(self._site if is_console(scope) else self._rest, scope, ending)
        if ending.early:
            await ending.linger()

    async def _answer_routed(
        self, routed: Callable[[Scope, Receive, Send], Awaitable[None]], scope: Scope, ending: Ending
    ) -> None:
        begun = time.perf_counter()
        try:
            await routed(scope, ending.receive, ending.send)
        finally:
            if not is_silent(scope):
                route = scope.get("route")
                self.telemetry.request(
                    operation=f"{scope['method']} {route.path}" if route else "unknown",
                    outcome="ok" if ending.status < 400 else str(ending.status),
                    status=ending.status,
                    seconds=time.perf_counter() - begun,
                )

    def close(self) -> None:
        """End the threads."""
        self._live.close()
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


def configured(application: Application) -> uvicorn.Config:
    """Return how uvicorn runs an application: bounds of connections, and nothing of its own in answers and logs."""

    class _Counted(Connection):
        def send_400_response(self, msg: str) -> None:
            super().send_400_response(msg)
            application.telemetry.refused_head(msg)

    return uvicorn.Config(
        application,
        http=_Counted,
        ws=Channel,
        ws_max_size=_HEARD,
        ws_ping_interval=_PING,
        ws_ping_timeout=_PING,
        ws_per_message_deflate=False,  # video is compressed
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,  # RFC 9110, 6.6.1; SDKs whose clock is wrong set themselves by it
        lifespan="off",
        timeout_keep_alive=_KEEP_ALIVE,
        backlog=_BACKLOG,
    )


def serve(app: App, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Load models and indexes in the background, and answer requests until the process is told to stop.

    Args:
        app: what answers.
        listener: an open socket.
        ready: called when requests are being answered.
    """
    gc.collect()
    gc.freeze()  # what is loaded by now stays: the collector need not look at it for every few requests
    application = Application(app)

    class _Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            application.warm_up.start()
            ready()

    try:
        _Server(configured(application)).run([listener])
    finally:
        application.close()
