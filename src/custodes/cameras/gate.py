# SPDX-License-Identifier: Apache-2.0
"""Which pictures are decoded, and which are sent to be looked at for faces.

While nothing moves, only key pictures are decoded: that costs about a sixth of decoding all. When one differs from the
background, the groups of pictures before it are replayed, so that nothing of what has begun is missed, and everything
is decoded until nothing has moved for two and a half seconds. A camera with a substream is watched in that instead.

Who is late drops pictures here, never in the recording: pictures come by way of a queue that forgets, frames are sent
only while there is credit, and a decoder that lags goes on with the next key picture. Larger pictures than allowed are
never decoded.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from custodes.cameras.codecs import DECODED
from custodes.cameras.moments import now_ms
from custodes.cameras.motion import Begun, Box, Ended, Masks, MotionDetector, MotionTeller, grey
from custodes.cameras.shapes import Shape
from custodes.cameras.stream import Picture
from custodes.cameras.wire import Frame, Motion, Still, Trouble

__all__ = ["Frames", "Gate", "decoder_for"]

_LOOK = 200  # milliseconds between looks while everything is decoded, at most
_GLANCE = 900  # milliseconds between key pictures that are decoded, at least
_LONG = 4000  # milliseconds: longer groups of pictures are decoded from there on, lest somebody passes between keys
_LAG = 4000  # milliseconds by which decoding may be late
_EARLY = 500  # milliseconds before a substream's motion from which frames are sent
_WAIT = 2.0  # seconds for which a replay waits for credit in all
_KEPT = 1 << 25  # bytes of pictures that are kept for a replay
_FAILED = 3  # key pictures in succession that can't be decoded are a trouble
_MOST_PIXELS = (1 << 28) // 3  # more bytes have no room in a message
_MILLISECOND = Fraction(1, 1000)

Say = Callable[[Motion | Still | Trouble], None]


def decoder_for(shape: Shape, most_pixels: int, *, rough: bool = False) -> VideoCodecContext | None:
    """Return a decoder of one thread, or None if such pictures aren't decoded here.

    Args:
        shape: of the pictures.
        most_pixels: larger ones aren't decoded, whatever their headers say.
        rough: whether blocks may be seen in them: that is good enough to look for motion, and cheaper.
    """
    if shape.codec not in DECODED:
        return None
    try:
        made = av.CodecContext.create(shape.codec, "r")
    except (FFmpegError, ValueError):
        return None
    if not isinstance(made, VideoCodecContext):
        return None
    made.extradata = shape.extradata or None
    made.thread_count = 1
    made.options = {"max_pixels": str(most_pixels), "skip_loop_filter": "all" if rough else "default"}
    return made


class Frames:
    """Sends frames while there is credit; :meth:`credit` may come from another thread.

    Args:
        masks: painted into each.
        per_second: at most so many.
        tell: takes them.
    """

    def __init__(self, masks: Masks, per_second: float, tell: Callable[[Frame, memoryview], None]) -> None:
        self._masks = masks
        self._interval = 1000 / per_second
        self._tell = tell
        self._given = threading.Condition()
        self._credit = 0
        self._dropped = 0
        self._sent: int | None = None

    def credit(self, frames: int) -> None:
        """Allow more frames."""
        with self._given:
            self._credit += max(0, frames)
            self._given.notify()

    def send(self, frame: VideoFrame, at: int, box: Box, wait: float) -> None:
        """Send a frame if it is due and there is credit, or comes within ``wait`` seconds; else count it."""
        if self._sent is not None and 0 <= at - self._sent < self._interval * 0.9:
            return
        self._sent = at
        with self._given:
            if not self._given.wait_for(lambda: self._credit > 0, wait):
                self._dropped += 1
                return
            self._credit -= 1
        pixels: npt.NDArray[np.uint8] = np.ascontiguousarray(frame.to_ndarray(format="bgr24"), np.uint8)
        if not pixels.flags.writeable:
            pixels = pixels.copy()
        self._masks.paint(pixels)
        height, width = pixels.shape[:2]
        dropped, self._dropped = self._dropped, 0
        self._tell(Frame(at, width, height, [float(v) for v in box], dropped), pixels.data.cast("B"))


class Gate:
    """Takes a camera's pictures one by one, and decodes what is needed. It belongs to one thread.

    Args:
        detector: looks for motion; of the main stream.
        frames: sends what is to be looked at.
        most_pixels: larger pictures are never decoded.
        say: is told of motion and troubles.
        now: tells the time, in milliseconds since 1970.
    """

    def __init__(
        self,
        detector: MotionDetector,
        frames: Frames,
        most_pixels: int,
        say: Say,
        now: Callable[[], int] = now_ms,
    ) -> None:
        self._detector = detector
        self._frames = frames
        self._most = min(most_pixels, _MOST_PIXELS)
        self._say = say
        self._now = now
        self._teller = MotionTeller()
        self._by_substream = False
        self._shape: Shape | None = None
        self._blind = False
        self._keys: VideoCodecContext | None = None  # decodes key pictures alone
        self._all: VideoCodecContext | None = None  # decodes all pictures; None while nothing moves
        self._before: list[Picture] = []
        self._group: list[Picture] = []
        self._bytes = 0
        self._glanced = 0
        self._looked = 0
        self._from = 0
        self._wait = 0.0
        self._skipping = False  # it was late: the next key picture is waited for
        self._failures = 0
        self._told = False

    @property
    def is_idle(self) -> bool:
        """Whether pictures that aren't key pictures are only kept for now; any thread may ask."""
        return self._all is None

    def take(self, picture: Picture) -> None:
        """Take the next picture."""
        if picture.stamp.cut:
            self.interrupt()
        if picture.shape != self._shape:
            if not picture.key:
                return
            self._reshape(picture)
        if self._blind or not self._keep(picture):
            return
        late = self._now() - picture.at > _LAG
        if picture.key:
            self._turn(picture)
        if self._all is not None:
            self._skipping = not picture.key and (self._skipping or late)
            if not self._skipping:
                self._decode(picture)
        elif self._by_substream:
            return
        elif picture.key:
            self._glance(picture)
        elif picture.at - self._group[0].at > _LONG and not late:
            self._open(self._group)

    def notice(self, at: int, box: Box | None) -> None:
        """Take note of a look at the substream: it is what tells of motion from now on."""
        if not self._by_substream:
            self._by_substream = True
            self._end()
        change = self._teller.saw(at, box)
        self._tell(change)
        if isinstance(change, Begun) and self._group and not self._blind:
            self._from = at - _EARLY
            self._open(self._group)

    def alone(self) -> None:
        """Take note that there is no substream any more: the main stream is looked at."""
        if self._by_substream:
            self._by_substream = False
            self._end()

    def interrupt(self) -> None:
        """Take note that pictures are missing, or times have begun anew."""
        self._end()
        self._shape = None
        self._before, self._group = [], []
        self._detector.reset()

    # --- pictures ---

    def _turn(self, key: Picture) -> None:
        """Decide at a key picture whether all are decoded from here on."""
        if self._teller.moving and not self._by_substream and key.at - self._looked > _LAG:
            self._tell(self._teller.saw(key.at, None))  # nothing could be looked at for long
        if not self._teller.moving:
            self._all = None
        elif self._all is None or self._skipping:
            self._all = decoder_for(key.shape, self._most)

    def _reshape(self, key: Picture) -> None:
        shape = key.shape
        self._end()
        self._shape = shape
        self._before, self._group = [], []
        self._detector.reset()
        self._keys = decoder_for(shape, self._most, rough=True)
        self._failures = 0
        too_large = shape.width * shape.height > self._most
        self._blind = too_large or self._keys is None
        if self._blind:
            self._say(Trouble(key.at, "too-large" if too_large else "undecodable"))
            self._told = self._told or not too_large

    def _keep(self, picture: Picture) -> bool:
        """Keep a picture for a replay; tell whether it can be decoded, given those before."""
        if picture.key:
            self._before, self._group = self._group, []
            self._bytes = sum(p.packet.size for p in self._before)
        elif not self._group:
            return False
        self._group.append(picture)
        self._bytes += picture.packet.size
        if self._bytes > _KEPT:
            self._before = []
            if sum(p.packet.size for p in self._group) > _KEPT:
                self._group = []
                self._all = None
                return False
        return True

    def _glance(self, key: Picture) -> None:
        """Decode a key picture alone, and look whether something has changed."""
        if 0 <= key.at - self._glanced < _GLANCE or self._keys is None:
            return
        self._glanced = key.at
        try:
            frames = [*self._keys.decode(key.packed()), *self._keys.decode(None)]
            self._keys.flush_buffers()
        except (FFmpegError, ValueError):
            self._keys, frames = decoder_for(key.shape, self._most, rough=True), []
        self._note(bool(frames), key.at)
        for frame in frames[:1]:
            box = self._detector.look(grey(frame), key.at, glance=True)
            if box is not None:
                self._open([*self._before, *self._group])
                if not self._teller.moving:  # no other picture shows it
                    self._tell(self._teller.saw(key.at, box))

    def _open(self, pictures: list[Picture]) -> None:
        """Decode all pictures from here on, after some that were."""
        if self._shape is None:
            return
        self._all = decoder_for(self._shape, self._most)
        self._skipping = False
        self._wait = _WAIT
        for picture in list(pictures):
            self._decode(picture)
        self._wait = 0.0

    def _decode(self, picture: Picture) -> None:
        if self._all is None:
            return
        packet = picture.packed()
        packet.pts, packet.dts, packet.time_base = picture.at, None, _MILLISECOND
        try:
            frames = self._all.decode(packet)
        except (FFmpegError, ValueError):
            frames = []
        if picture.key or frames:
            self._note(bool(frames), picture.at)
        for frame in frames:
            if not frame.is_corrupt:
                self._look(frame, picture.at if frame.pts is None else frame.pts)

    def _look(self, frame: VideoFrame, at: int) -> None:
        """Look at a decoded picture, unless that was done."""
        if at > self._looked + _LOOK * 0.9 and not self._by_substream:
            self._looked = at
            change = self._teller.saw(at, self._detector.look(grey(frame), at))
            self._tell(change)
        if self._teller.moving and at >= self._from:
            begun = time.monotonic()
            self._frames.send(frame, at, self._teller.box, self._wait)
            self._wait = max(0.0, self._wait - (time.monotonic() - begun))

    # --- what is told ---

    def _tell(self, change: Begun | Ended | None) -> None:
        match change:
            case Begun():
                self._say(Motion(change.at, [float(v) for v in change.box]))
            case Ended():
                self._all = None
                self._say(Still(change.start, change.end))

    def _end(self) -> None:
        """End the motion, if there is one, and decode key pictures alone."""
        self._all = None
        self._looked = self._glanced = self._from = 0
        self._tell(self._teller.over())

    def _note(self, decoded: bool, at: int) -> None:
        """Count what can't be decoded."""
        self._failures = 0 if decoded else self._failures + 1
        if self._failures >= _FAILED and not self._told:
            self._told = True
            self._say(Trouble(at, "undecodable"))
        elif decoded and self._told:
            self._told = False
            self._say(Trouble(at, "decodable"))
