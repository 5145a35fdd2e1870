# SPDX-License-Identifier: Apache-2.0
"""Live views: one WebSocket a camera, over which a browser gets video that Media Source Extensions play.

Another site can make a browser open a WebSocket here, with its cookies, and no token against forgery travels with it:
so a handshake has to name its origin, which has to be the console's own, and who comes has to be signed in; anything
else is answered 403. What begins is an entry of the ledger before the first byte goes out. Every two seconds it is
decided anew, by the rules, whether the session holds and the camera is theirs to look at; if not, the view ends.

The server speaks alone. A text is JSON: ``camera`` (name, masks: before all video, and whenever they change),
``state``, ``init`` (what follows begins a stream of this ``mime``), ``refused`` (why it ends). Bytes are an
initialisation segment after an ``init``, or a fragment: one byte (1 if it begins with a picture that needs no other),
eight with its time (milliseconds since 1970, big-endian), and the fragment. Who reads too slowly is waited for, while
the hub drops whole groups of pictures. The browser has one thing to say: ``stills``, if it can't play this kind of
video; from then on bytes are JPEGs, one whenever a newer one was recorded. To watch is to use a session, as to ask for
a page is.
"""

from __future__ import annotations

import asyncio
import re
import struct
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

import orjson
from fastapi import Request

from custodes.api.console.filming import state_told
from custodes.api.console.frame import Console
from custodes.api.console.refusals import problem_of, status_of
from custodes.api.console.visits import check_origin
from custodes.api.ending import Receive, Scope, Send
from custodes.api.gate import Pool
from custodes.cameras.model import Camera
from custodes.errors import CustodesError, Denied, NotFound, Throttled, Unavailable
from custodes.governance import Caller
from custodes.operations.cameralive import LivePart, PartKind
from custodes.operations.signin import SIGNED_OUT

__all__ = ["LiveViews"]

T = TypeVar("T")

_PATH = re.compile(r"/console/cameras/(cam-[0-9a-f]{16})/live")
_OPERATION: Final = "GET /console/cameras/{camera}/live"
_HEAD = struct.Struct(">BQ")
_WAIT: Final = 1.0  # seconds for which a thread waits for a part

# Codes of a connection's end (RFC 6455, 7.4)
ENDED: Final = 1000
REFUSED: Final = 1008
LATER: Final = 1013
AWAY: Final = 4001  # the session is over
GONE: Final = 4004  # the camera is no more, or is somebody else's


@dataclass(slots=True)
class _Viewer:
    """Who looks, at which camera, by which session; and how it was said to be last."""

    token: str
    camera: str
    principal: str
    told: Mapping[str, object] | None = None


class LiveViews:
    """The ASGI application of all WebSockets.

    Args:
        console: whose sessions and pages they belong to.

    Attributes:
        check_seconds: so often it is looked at whether a view may go on.
        still_seconds: so often it is looked for a newer picture, where pictures are wished for.
        most: views at once; each has a thread that waits for its parts.
        most_of_one: views of one person.
    """

    check_seconds = 2.0
    still_seconds = 2.0
    most = 64
    most_of_one = 16

    def __init__(self, console: Console) -> None:
        self._console = console
        self._viewers: Counter[str] = Counter()
        self._threads = ThreadPoolExecutor(self.most, thread_name_prefix="live")

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(cancel_futures=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let somebody look at a camera of theirs, until they go or may no more."""
        begun = time.perf_counter()
        await receive()  # the connection's beginning
        path = _PATH.fullmatch(scope["path"])
        try:
            if path is None:
                raise NotFound("There is nothing here.")
            viewer = await self._viewer(scope, path[1])
        except CustodesError:
            self._count(path, 403, begun)
            await send({"type": "websocket.close", "code": REFUSED})  # before it was accepted: HTTP 403
            return
        self._count(path, 101, begun)
        try:
            await send({"type": "websocket.accept"})
            code = await self._admit(viewer, receive, send)
            await send({"type": "websocket.close", "code": code})
        except OSError:  # the browser is gone
            return

    def _count(self, path: re.Match[str] | None, status: int, begun: float) -> None:
        self._console.telemetry.request(
            operation=_OPERATION if path else "unknown",
            outcome="ok" if status < 400 else str(status),
            status=status,
            seconds=time.perf_counter() - begun,
        )

    async def _viewer(self, scope: Scope, camera: str) -> _Viewer:
        """Return who looks.

        Raises:
            Denied: if the browser was sent by another site or doesn't say by whom, or nobody is signed in.
            Throttled: if too many wait already.
        """
        console = self._console
        request = Request({**scope, "type": "http", "method": "GET"})  # as which a handshake comes
        if "origin" not in request.headers:
            raise Denied("It isn't known which page opened this.")
        check_origin(console, request)
        token = console.cookies.token(request)
        session = await console.gate.quick.run(lambda: console.app.sign_in.session(token))
        return _Viewer(token, camera, session.principal)

    @contextmanager
    def _place(self, viewer: _Viewer) -> Iterator[None]:
        """Take a place.

        Raises:
            Throttled: if there is none.
        """
        if self._viewers.total() >= self.most or self._viewers[viewer.principal] >= self.most_of_one:
            raise Throttled("Too many live views are open.", remedy="Close some, or look at fewer cameras at once.")
        self._viewers[viewer.principal] += 1
        try:
            yield
        finally:
            self._viewers[viewer.principal] -= 1
            if not self._viewers[viewer.principal]:
                del self._viewers[viewer.principal]

    async def _admit(self, viewer: _Viewer, receive: Receive, send: Send) -> int:
        """Show a camera, and return the code with which the connection is closed; why goes before it."""
        try:
            with self._place(viewer):
                camera = await self._do(viewer, self._begin)
                await _say(send, _camera_told(camera))  # what is masked, before there is anything to mask
                wish = asyncio.Event()
                return await _first(
                    self._show(viewer, wish, send), self._check(viewer, camera, send), _listen(receive, wish)
                )
        except CustodesError as error:
            if status_of(error) >= 500:
                self._console.telemetry.failure(error, operation=_OPERATION, request_id="")
            await _say(send, {"type": "refused", **problem_of(error)})
            return _code(error)

    def _begin(self, caller: Caller, camera: str) -> Camera:
        self._console.app.cameras.watch(caller, camera)
        return self._console.app.cameras.get(caller, camera)

    async def _do(self, viewer: _Viewer, act: Callable[[Caller, str], T], pool: Pool | None = None) -> T:
        """Do something with the camera, for the purpose that its viewer has chosen by now.

        Raises:
            Denied: if the session is over, or a rule forbids it.
            NotFound: if they have no such camera.
            Throttled: if too many wait already.
        """
        sign_in = self._console.app.sign_in
        return await (pool or self._console.gate.quick).run(
            lambda: act(sign_in.session(viewer.token).caller, viewer.camera), owner=viewer.principal
        )

    async def _check(self, viewer: _Viewer, camera: Camera, send: Send) -> int:
        """Look from time to time whether the view may go on, and tell what is masked when that changes."""
        while True:
            await asyncio.sleep(self.check_seconds)
            try:
                now = await self._do(viewer, self._console.app.cameras.recheck)
            except Throttled:
                continue  # the house is full: it is looked at the next time
            if now.revision != camera.revision:
                await _say(send, _camera_told(now))
                camera = now

    async def _show(self, viewer: _Viewer, wish: asyncio.Event, send: Send) -> int:
        """Send video, or one picture after the other once that is wished for, until nothing more will come."""
        with self._console.app.live.subscribe(viewer.camera) as subscription:
            while not (subscription.ended or wish.is_set()):
                await self._tell_state(viewer, send)
                part = await asyncio.get_running_loop().run_in_executor(self._threads, subscription.next, _WAIT)
                if part is not None:
                    await _send_part(part, send)
        newest = -1
        while wish.is_set():
            await self._tell_state(viewer, send)
            look = partial(self._console.app.exports.glimpse, after=newest)
            with suppress(
                Throttled, Unavailable, NotFound
            ):  # the next look may do better; what is gone, the check tells
                found = await self._do(viewer, look, self._console.gate.stills)
                if found is not None:
                    newest, picture = found
                    await send({"type": "websocket.send", "bytes": picture})
            await asyncio.sleep(self.still_seconds)
        return GONE

    async def _tell_state(self, viewer: _Viewer, send: Send) -> None:
        """Tell how the camera is, if that isn't what was told last."""
        state = state_told(self._console.app.live.state(viewer.camera))
        if state != viewer.told:
            viewer.told = state
            await _say(send, {"type": "state", **state})


async def _first(*works: Coroutine[None, None, int]) -> int:
    """Do all at once until one of them ends, and return what that returns, or raise what it raises."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(t for t in tasks if t in done).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _listen(receive: Receive, wish: asyncio.Event) -> int:
    """Wait until the browser goes; it may wish for still pictures before."""
    while (message := await receive())["type"] != "websocket.disconnect":
        if message.get("text") != "stills" or wish.is_set():
            return REFUSED
        wish.set()
    return ENDED


async def _say(send: Send, told: Mapping[str, object]) -> None:
    await send({"type": "websocket.send", "text": orjson.dumps(told).decode()})


async def _send_part(part: LivePart, send: Send) -> None:
    if part.kind == PartKind.INIT:
        await _say(send, {"type": "init", "mime": part.mime})
        await send({"type": "websocket.send", "bytes": part.data})
    else:
        await send({"type": "websocket.send", "bytes": _HEAD.pack(part.key, part.at) + part.data})


def _camera_told(camera: Camera) -> dict[str, object]:
    return {"type": "camera", "name": camera.name, "masks": [z.points for z in camera.masks]}


def _code(error: CustodesError) -> int:
    """Return the code with which an error closes a connection."""
    if error.code == SIGNED_OUT:
        return AWAY
    return GONE if isinstance(error, NotFound) else LATER if isinstance(error, Throttled) else REFUSED
