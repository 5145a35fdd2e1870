# SPDX-License-Identifier: Apache-2.0
"""Makes of a camera's pictures, while somebody looks, what a browser plays (Media Source Extensions, ISO BMFF).

An initialisation segment, and then a fragment for each picture, the first one a key picture; both over again when the
resolution changes or the camera comes back, with times that begin at zero. Whoever begins to look gets what came since
the last key picture at once. Nothing is encoded anew.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import av
from av.container import OutputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from custodes.cameras.recorder import add_stream
from custodes.cameras.shapes import Shape
from custodes.cameras.stream import Picture
from custodes.cameras.wire import Init, Moof

__all__ = ["Feed"]

_OPTIONS = {"movflags": "frag_every_frame+empty_moov+default_base_moof", "flush_packets": "1"}
_BUFFER = 1 << 18
_MOST_KEPT = 900
"""Pictures since the last key picture that are kept for whoever begins to look; of longer groups none."""
_MOST_BYTES = 1 << 24


class _Sink:
    """Takes what libav writes."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(data)
        return len(data)

    def taken(self) -> bytes:
        """Return what was written since, and forget it."""
        data = b"".join(self._parts)
        self._parts.clear()
        return data


class _Show:
    """One initialisation segment and the fragments after it."""

    def __init__(self, key: Picture) -> None:
        """Begin.

        Raises:
            FFmpegError: if MP4 can't hold such pictures.
            ValueError: likewise.
        """
        self.shape: Shape = key.shape
        self._sink = _Sink()
        self._origin = key.stamp.dts
        self._last: Picture | None = None
        self._out: OutputContainer = av.open(self._sink, "w", format="mp4", options=_OPTIONS, buffer_size=_BUFFER)
        self._stream: VideoStream = add_stream(self._out, key.packet.stream, key.shape)
        self._out.start_encoding()
        self.head = self._sink.taken()

    def add(self, picture: Picture) -> tuple[Picture, bytes] | None:
        """Add a picture; return the one before with its fragment, which is complete now."""
        packet = picture.packed(self._origin)
        packet.stream = self._stream
        try:
            self._out.mux(packet)
        except (FFmpegError, ValueError):
            return None
        before, self._last = self._last, picture
        data = self._sink.taken()
        return (before, data) if before is not None and data else None


class Feed:
    """The live view of one camera; :meth:`want` may come from another thread.

    Args:
        tell: is told of initialisation segments and fragments; returns False if there is no room for more, and then a
            new key picture is waited for.
    """

    def __init__(self, tell: Callable[[Init | Moof, bytes], bool]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._wanted = False
        self._show: _Show | None = None
        self._group: list[Picture] = []
        self._bytes = 0
        self._unfit: Shape | None = None

    def want(self, on: bool) -> None:
        """Begin to make fragments, over again if they are made already, or make no more."""
        with self._lock:
            self._wanted = on
            self._show = None
            for picture in list(self._group) if on else ():
                self._add(picture)

    def take(self, picture: Picture) -> None:
        """Show a picture, if anybody looks."""
        with self._lock:
            self._keep(picture)
            if self._wanted:
                self._add(picture)

    def interrupt(self) -> None:
        """Take note that no more pictures come for now."""
        with self._lock:
            self._show = None
            self._group = []

    def _keep(self, picture: Picture) -> None:
        if picture.key:
            self._group, self._bytes = [], 0
        elif not self._group:
            return
        self._group.append(picture)
        self._bytes += picture.packet.size
        if len(self._group) > _MOST_KEPT or self._bytes > _MOST_BYTES:
            self._group = []

    def _add(self, picture: Picture) -> None:
        if picture.key and (self._show is None or self._show.shape != picture.shape):
            self._show = self._begun(picture)
        if self._show is None:
            return
        done = self._show.add(picture)
        if done is not None and not self._tell(Moof(done[0].at, done[0].key), done[1]):
            self._show = None

    def _begun(self, key: Picture) -> _Show | None:
        if not key.shape.mime or key.shape == self._unfit:
            return None
        try:
            show = _Show(key)
        except (FFmpegError, ValueError):
            self._unfit = key.shape
            return None
        return show if self._tell(Init(key.shape.mime), show.head) else None
