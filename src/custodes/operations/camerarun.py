# SPDX-License-Identifier: Apache-2.0
"""What comes of what a camera's process says: index, events, live views, news.

One :class:`CameraRun` belongs to one thread of the worker and one life of a camera's process. What the process says is
hostile until it is checked, which :mod:`custodes.cameras.process` does; here it is only believed of its own camera.
Privacy masks are painted once more into what it sends, before anybody looks.

Nothing that goes wrong here ends the process, which records: neither a face that can't be searched for, nor a database
that is busy. A file of video that couldn't be taken into the index is, as soon as that is possible.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
import structlog

from custodes.cameras.model import Camera, News, NewsKind, Segment, Span
from custodes.cameras.moments import now_ms
from custodes.cameras.motion import Masks
from custodes.cameras.paths import DAY
from custodes.cameras.wire import (
    Down,
    Frame,
    Init,
    Message,
    Moof,
    Motion,
    SegmentDone,
    Still,
    Trouble,
    Up,
)
from custodes.errors import CustodesError, IntegrityError, Unavailable
from custodes.operations.camerakeeping import CameraKeeping
from custodes.operations.cameralive import LiveHub, LivePart, PartKind
from custodes.operations.watching import Watcher

__all__ = ["CameraRun"]

_log = structlog.get_logger("custodes.cameras")
_WELL = {"disk-ok": "disk-full", "decodable": "undecodable"}
"""What ends which trouble."""
_OF_SIZE = {"too-large", "codec"}
"""What ends when the camera sends other pictures."""
_MOST_UNKEPT = 1000
"""Files that wait to be taken into the index; of more, the oldest are found when it is rebuilt."""


class CameraRun:
    """Handles one camera's messages.

    Args:
        camera: whose.
        keeping: keeps segments and motions.
        watcher: looks for faces.
        hub: knows how cameras are, and shows them.
        tell: is told the news.
        credit: lets the process send one more frame.
        now: tells the time, in milliseconds since 1970.
    """

    def __init__(
        self,
        camera: Camera,
        keeping: CameraKeeping,
        watcher: Watcher,
        hub: LiveHub,
        tell: Callable[[News], None],
        credit: Callable[[], None],
        now: Callable[[], int] = now_ms,
    ) -> None:
        self._camera = camera
        self._keeping = keeping
        self._watcher = watcher
        self._hub = hub
        self._tell = tell
        self._credit = credit
        self._now = now
        self._masks = Masks([zone.points for zone in camera.masks]) if camera.masks else None
        self._unkept: deque[Segment] = deque(maxlen=_MOST_UNKEPT)
        self._failed: dict[str, str] = {}

    def handle(self, message: Message, payload: bytes) -> None:
        """Do what a message asks for; what fails is logged, once as long as it fails in the same way."""
        self._tried(type(message).__name__, lambda: self._handle(message, payload))

    def close(self) -> None:
        """End what is open: the process is gone, and will tell anew what ails it if it is begun again."""
        now = self._now()
        self._tried("close", self._watcher.close)
        self._tried("close", lambda: self._keeping.break_motion(self._camera.id, now))
        if self._hub.state(self._camera.id).up:
            self._down(now, "ended")
        self._hub.change(self._camera.id, trouble=())

    def _tried(self, about: str, what: Callable[[], None]) -> None:
        try:
            what()
        except Exception as error:  # noqa: BLE001 - whatever it is, what the process records is to be kept
            name = type(error).__name__
            if name != self._failed.get(about):
                why = error.message if isinstance(error, CustodesError) else ""
                _log.error(
                    "what a camera says came to nothing", camera=self._camera.id, about=about, error=name, why=why
                )
            self._failed[about] = name
        else:
            self._failed.pop(about, None)

    def _handle(self, message: Message, payload: bytes) -> None:
        camera, hub = self._camera, self._hub
        match message:
            case Moof():
                hub.publish(camera.id, LivePart(PartKind.FRAGMENT, payload, "", message.at, message.key))
            case Init():
                hub.publish(camera.id, LivePart(PartKind.INIT, payload, message.mime))
            case Frame():
                self._look(message, payload)
            case SegmentDone():
                self._keep(message)
            case Motion():
                hub.change(camera.id, moving=True)
                self._keeping.begin_motion(camera.id, message.at)
                self._watcher.motion(message.at, (message.box[0], message.box[1], message.box[2], message.box[3]))
            case Still():
                hub.change(camera.id, moving=False)
                try:
                    self._keeping.keep_motion(camera.id, Span(message.start, message.end))
                finally:
                    self._watcher.still(message.start, message.end)
            case Up():
                self._up(message)
            case Down():
                self._down(message.at, message.why)
            case Trouble():
                self._trouble(message)
            case _:  # the server's own words, which process.py refuses to hear
                pass

    def _look(self, frame: Frame, payload: bytes) -> None:
        state = self._hub.state(self._camera.id)
        if frame.dropped:
            self._hub.change(self._camera.id, dropped=state.dropped + frame.dropped)
        try:
            pixels = np.frombuffer(payload, np.uint8).reshape(frame.height, frame.width, 3)
            if self._masks is not None:
                pixels = pixels.copy()
                self._masks.paint(pixels)
            self._watcher.frame(frame, pixels)
        finally:  # whatever comes of it, recording and the next look go on
            self._credit()

    def _keep(self, done: SegmentDone) -> None:
        """Take a file into the index, and those before it that couldn't be.

        Raises:
            IntegrityError: if its time can't be, or it isn't as the process says; it is not kept.
            NotFound: if it isn't there; likewise.
            Unavailable: if it can't be done now; it is tried again with the next one.
        """
        if abs(done.start - self._now()) > DAY:
            raise IntegrityError("A camera's process tells of a file of another day.")
        self._unkept.append(
            Segment(
                self._camera.id,
                done.start,
                done.end,
                done.size,
                bytes.fromhex(done.sha256),
                done.width,
                done.height,
                done.mime,
            )
        )
        while self._unkept:
            segment = self._unkept.popleft()
            try:
                self._keeping.keep_segment(segment)
            except Unavailable:
                self._unkept.appendleft(segment)
                raise

    def _up(self, up: Up) -> None:
        before = self._hub.state(self._camera.id)
        same = (up.codec, up.width, up.height) == (before.codec, before.width, before.height)
        self._hub.change(
            self._camera.id,
            up=True,
            since=before.since if before.up else up.at,
            why="",
            width=up.width,
            height=up.height,
            codec=up.codec,
            mime=up.mime,
            trouble=tuple(t for t in before.trouble if same or t not in _OF_SIZE),
        )
        if not before.up:
            self._tell(self._news(NewsKind.CAMERA_UP, up.at))

    def _down(self, at: int, why: str) -> None:
        before = self._hub.state(self._camera.id)
        since = at if before.up or not before.since else before.since
        self._hub.change(self._camera.id, up=False, since=since, why=why, moving=False)
        if before.up or before.why != why:
            self._tell(self._news(NewsKind.CAMERA_DOWN, at, why))

    def _trouble(self, trouble: Trouble) -> None:
        known = self._hub.state(self._camera.id).trouble
        over = _WELL.get(trouble.code)
        if over is not None:
            self._hub.change(self._camera.id, trouble=tuple(t for t in known if t != over))
        elif trouble.code not in known:
            self._hub.change(self._camera.id, trouble=(*known, trouble.code))
        if over in known or (over is None and trouble.code not in known):
            self._tell(self._news(NewsKind.TROUBLE, trouble.at, trouble.code))

    def _news(self, kind: NewsKind, at: int, detail: str = "") -> News:
        camera = self._camera
        return News(kind, camera.organisation, at, camera.id, camera.name, detail=detail)
