# SPDX-License-Identifier: Apache-2.0
"""How cameras are right now, and what they show: from the worker's threads to whoever looks.

Nothing of it is kept: a look begins with a key picture. Who is too slow loses whole groups of pictures, and costs no
memory for that. A camera's process makes a live stream while somebody looks, and at no other time.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import TracebackType

from custodes.errors import Throttled

__all__ = ["CameraState", "LiveHub", "LivePart", "PartKind", "Subscription"]

_MOST_PARTS = 300
_MOST_BYTES = 16_000_000
"""That wait for one viewer."""
_MOST_VIEWERS = 32
"""Of one camera."""


@dataclass(frozen=True, slots=True)
class CameraState:
    """How a camera is.

    Attributes:
        up: whether its video arrives.
        since: since when, milliseconds since 1970; 0 if it has not been looked for yet.
        width, height, codec, mime: of its pictures, as it last was up.
        why: why it is gone (``ended``, ``frozen``, ``refused``, ``unreachable``, ``unreadable``), or empty.
        trouble: what else is wrong: ``disk-full``, ``undecodable``, ``too-large``, ``codec``.
        dropped: pictures in which something moved and that nobody looked at, for want of time.
        moving: whether something moves.
    """

    up: bool = False
    since: int = 0
    width: int = 0
    height: int = 0
    codec: str = ""
    mime: str = ""
    why: str = ""
    trouble: tuple[str, ...] = ()
    dropped: int = 0
    moving: bool = False


class PartKind(StrEnum):
    """What a part of a live stream is."""

    INIT = "init"
    FRAGMENT = "fragment"


@dataclass(frozen=True, slots=True)
class LivePart:
    """A part of a live stream.

    Attributes:
        kind: whether it initialises a decoder or is a movie fragment.
        data: its bytes (ISO BMFF).
        mime: of what an initialisation begins.
        at: when a fragment's first picture arrived, milliseconds since 1970.
        key: whether it begins with a picture that needs no other.
    """

    kind: PartKind
    data: bytes
    mime: str = ""
    at: int = 0
    key: bool = False


@dataclass(slots=True)
class _Channel:
    """What there is of a camera.

    Attributes:
        state: how it is.
        init: with what its live stream began last.
        viewers: who looks.
        told: whether its process was told last that somebody does.
        telling: is held meanwhile, so that who comes when the last one leaves isn't forgotten.
    """

    state: CameraState = field(default_factory=CameraState)
    init: LivePart | None = None
    viewers: list[Subscription] = field(default_factory=list)
    told: bool = False
    telling: threading.Lock = field(default_factory=threading.Lock)


class Subscription:
    """Somebody looks at a camera; a context manager, which ends it."""

    def __init__(self, hub: LiveHub, camera: str) -> None:
        self._hub = hub
        self._camera = camera
        self._parts: deque[LivePart] = deque()
        self._bytes = 0
        self._needs_key = True
        self._ended = False
        self._changed = threading.Condition()

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hub.leave(self._camera, self)

    @property
    def ended(self) -> bool:
        """Whether nothing will come any more: the camera was removed, or the server ends."""
        return self._ended

    def next(self, timeout: float) -> LivePart | None:
        """Return the next part, or None if none has come within ``timeout`` seconds or none will."""
        with self._changed:
            if not self._parts and not self._ended:
                self._changed.wait(timeout)
            if not self._parts:
                return None
            part = self._parts.popleft()
            self._bytes -= len(part.data)
            return part

    def put(self, part: LivePart) -> None:
        """Add a part; where too many wait, all that wait are dropped, up to the next key picture."""
        with self._changed:
            if self._ended:
                return
            if part.kind == PartKind.INIT:
                self._drop()
            elif not self._has_room(part):
                return
            self._needs_key = part.kind == PartKind.INIT
            self._parts.append(part)
            self._bytes += len(part.data)
            self._changed.notify()

    def end(self) -> None:
        """Let whoever waits know that nothing will come any more."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _has_room(self, part: LivePart) -> bool:
        """Tell whether a fragment is taken; where it is one too many, what waits makes room for a key picture."""
        if self._needs_key and not part.key:
            return False
        if len(self._parts) >= _MOST_PARTS or self._bytes + len(part.data) > _MOST_BYTES:
            self._drop(*(p for p in self._parts if p.kind == PartKind.INIT))
            self._needs_key = True
            return part.key and len(part.data) <= _MOST_BYTES
        return True

    def _drop(self, *kept: LivePart) -> None:
        """Forget what waits, but for some of it."""
        self._parts = deque(kept)
        self._bytes = sum(len(p.data) for p in kept)


class LiveHub:
    """States and live streams of all cameras of this process; may be shared by threads."""

    def __init__(self) -> None:
        self._channels: dict[str, _Channel] = {}
        self._lock = threading.Lock()
        self._wanted: Callable[[str, bool], None] = lambda camera, on: None

    def on_wanted(self, wanted: Callable[[str, bool], None]) -> None:
        """Set who is told that a camera's live stream is wanted, or isn't any more; it must not wait for long."""
        self._wanted = wanted

    def remind(self, camera: str) -> None:
        """Tell again whether a camera's live stream is wanted: its process is a new one."""
        with self._lock:
            channel = self._channels.get(camera)
        if channel is not None:
            self._tell(camera, channel, again=True)

    def state(self, camera: str) -> CameraState:
        """Return how a camera is."""
        with self._lock:
            channel = self._channels.get(camera)
            return channel.state if channel else CameraState()

    def change(self, camera: str, **changes: object) -> CameraState:
        """Change how a camera is, by the names of :class:`CameraState`, and return that."""
        with self._lock:
            channel = self._channels.setdefault(camera, _Channel())
            channel.state = replace(channel.state, **changes)  # type: ignore[arg-type]  # checked by replace
            return channel.state

    def subscribe(self, camera: str) -> Subscription:
        """Begin to look at a camera.

        Raises:
            Throttled: if too many look at it already.
        """
        made = Subscription(self, camera)
        with self._lock:
            channel = self._channels.setdefault(camera, _Channel())
            if len(channel.viewers) >= _MOST_VIEWERS:
                raise Throttled(f"{_MOST_VIEWERS} people look at this camera already.", remedy="Try again later.")
            if channel.init is not None and channel.viewers:
                made.put(channel.init)
            channel.viewers.append(made)
        self._tell(camera, channel)
        return made

    def leave(self, camera: str, viewer: Subscription) -> None:
        """End a look."""
        viewer.end()
        with self._lock:
            channel = self._channels.get(camera)
            if channel is None or viewer not in channel.viewers:
                return
            channel.viewers.remove(viewer)
        self._tell(camera, channel)

    def is_wanted(self, camera: str) -> bool:
        """Tell whether somebody looks at a camera."""
        with self._lock:
            channel = self._channels.get(camera)
            return channel is not None and bool(channel.viewers)

    def publish(self, camera: str, part: LivePart) -> None:
        """Hand a part to all who look."""
        with self._lock:
            channel = self._channels.setdefault(camera, _Channel())
            if part.kind == PartKind.INIT:
                channel.init = part
            viewers = tuple(channel.viewers)
        for viewer in viewers:
            viewer.put(part)

    def forget(self, camera: str) -> None:
        """End all looks at a camera that is no more, and its state."""
        with self._lock:
            channel = self._channels.pop(camera, None)
            viewers = tuple(channel.viewers) if channel else ()
            if channel:
                channel.viewers.clear()
        for viewer in viewers:
            viewer.end()
        if channel:
            self._tell(camera, channel)

    def close(self) -> None:
        """End all looks."""
        with self._lock:
            cameras = tuple(self._channels)
        for camera in cameras:
            self.forget(camera)

    def _tell(self, camera: str, channel: _Channel, *, again: bool = False) -> None:
        """Tell whether a live stream is wanted, if that isn't what was told last."""
        with channel.telling:
            with self._lock:
                wanted = bool(channel.viewers)
            told, channel.told = channel.told and not again, wanted
            if told != wanted:
                self._wanted(camera, wanted)
