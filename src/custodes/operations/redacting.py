# SPDX-License-Identifier: Apache-2.0
"""Clips that are encoded anew: with privacy masks black, and with the faces of whoever is in them made unrecognisable.

Every picture is looked at, at up to 1280 pixels a side; what was found also hides the same place in the five pictures
before and after, so that a face that is missed once stays hidden. A place is grown by 40 per cent and painted over with
at most four cells from side to side, and these are blurred: what was there isn't in the file. Nobody should believe
that no face is ever missed: the owner looks at the result before it goes anywhere. Sound is never part of it.

Encoded is VP9 (libvpx, BSD), in MP4.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO, Protocol

import av
import cv2
import numpy as np
import numpy.typing as npt

from custodes.cameras.model import Span, Zone
from custodes.domain import Face, UInt8
from custodes.errors import NotFound

__all__ = ["Derivative", "Looker", "black_out", "hide", "redact"]

_SIDE = 1280
"""Longest side, in pixels, of what is looked at."""
_HOLD = 5
"""Pictures before and after in which the same place is hidden."""
_GROWN = 1.4
_CELLS = 4
"""From side to side of a place that is hidden."""
_MOST_FACES = 100
_MOST_SIDE = 1920
"""Longest side, in pixels, of what is written."""
_BITS = 2
"""For each pixel and second."""
_CODEC = "libvpx-vp9"
_OPTIONS = {"deadline": "realtime", "cpu-used": "8", "row-mt": "1", "lag-in-frames": "0"}
_KEY_SECONDS = 2
_MS = Fraction(1, 1000)

_Boxes = npt.NDArray[np.float32]


class Looker(Protocol):
    """Finds faces in a picture of a video: :class:`~custodes.vision.engine.Engine`."""

    def glance(self, pixels: UInt8, *, side: int = 640, max_faces: int = 20) -> tuple[Face, ...]:
        """Find the faces in ``(h, w, 3)`` BGR pixels."""
        ...


@dataclass(frozen=True, slots=True)
class Derivative:
    """What was written.

    Attributes:
        width, height: pixels.
        pictures: how many.
        hidden: in how many of them something was painted over for a face.
        packets: how many there are in the file.
        packets_sha256: of their bytes, one after another.
    """

    width: int
    height: int
    pictures: int
    hidden: int
    packets: int
    packets_sha256: bytes


def black_out(pixels: UInt8, masks: Sequence[Zone]) -> UInt8:
    """Return a picture with privacy masks black; the given one stays as it is."""
    if not masks:
        return pixels
    made = pixels.copy()
    size = np.array([pixels.shape[1], pixels.shape[0]])
    for mask in masks:
        cv2.fillPoly(made, [np.rint(np.array(mask.points) * size).astype(np.int32)], (0, 0, 0))
    return made


def hide(pixels: UInt8, boxes: _Boxes) -> UInt8:
    """Return a picture in which faces can't be recognised; the given one stays as it is.

    Args:
        pixels: ``(h, w, 3)`` uint8 BGR.
        boxes: ``(n, 4)`` float32, of faces: left, top, right, bottom in pixels.
    """
    if not len(boxes):
        return pixels
    made, cover = pixels.copy(), np.zeros(pixels.shape[:2], np.uint8)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 2) * _GROWN
    for middle, side in zip(middles.tolist(), sides.tolist(), strict=True):
        centre = (round(middle[0]), round(middle[1]))
        cv2.ellipse(cover, centre, (round(side[0] / 2), round(side[1] / 2)), 0, 0, 360, 255, -1)
    count, places, stats, _ = cv2.connectedComponentsWithStats(cover)
    within = np.clip(np.rint(middles).astype(int), 0, np.array(pixels.shape[1::-1]) - 1)
    owners = places[within[:, 1], within[:, 0]]
    for place in range(1, count):
        left, top, width, height = (int(v) for v in stats[place, :4])
        mine = sides[owners == place]
        largest = float(mine.max()) if len(mine) else float(max(width, height))
        area = (slice(top, top + height), slice(left, left + width))
        painted = _painted(pixels[area], largest / _CELLS)
        shown = places[area] == place
        made[area][shown] = painted[shown]
    return made


def _painted(pixels: UInt8, cell: float) -> UInt8:
    """Return pixels as cells of at least so many pixels a side, blurred."""
    height, width = pixels.shape[:2]
    small = (max(1, int(width / cell)), max(1, int(height / cell)))
    cells = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
    large = cv2.resize(cells, (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.GaussianBlur(large, (0, 0), max(0.5, cell / 2)), np.uint8)


def redact(
    frames: Iterable[tuple[int, UInt8]],
    out: BinaryIO,
    engine: Looker | None,
    masks: Sequence[Zone],
    span: Span,
    *,
    progress: Callable[[int, int], None] = lambda done, of: None,
    still: Callable[[UInt8], None] = lambda pixels: None,
) -> Derivative:
    """Encode a clip anew, with masks black and, with an engine, with faces hidden.

    Args:
        frames: pictures with their times, in milliseconds since 1970, BGR.
        out: where the MP4 goes; it is written to in several places.
        engine: finds the faces that are hidden; None hides none.
        masks: privacy masks.
        span: what of the frames is taken.
        progress: told how many milliseconds of how many are done.
        still: given each picture as it was written, to show what becomes of it.

    Raises:
        NotFound: if there is no picture.
    """
    writer = _Writer(out, still)
    waiting: deque[tuple[int, UInt8]] = deque()
    seen: deque[_Boxes] = deque(maxlen=2 * _HOLD + 1)
    hold = 0 if engine is None else _HOLD
    try:
        for at, pixels in frames:
            if not span.start <= at < span.end:
                continue
            picture = writer.fitted(black_out(pixels, masks))
            waiting.append((at, picture))
            seen.append(_found(engine, picture))
            if len(waiting) > hold:
                writer.write(*waiting.popleft(), np.concatenate(seen))
            progress(at - span.start, span.end - span.start)
        while waiting:
            writer.write(*waiting.popleft(), np.concatenate(seen))
            if len(seen) > hold:
                seen.popleft()
        made = writer.end()
    finally:
        writer.close()
    progress(span.end - span.start, span.end - span.start)
    return made


def _found(engine: Looker | None, pixels: UInt8) -> _Boxes:
    faces = () if engine is None else engine.glance(pixels, side=_SIDE, max_faces=_MOST_FACES)
    boxes = [(f.box.left, f.box.top, f.box.left + f.box.width, f.box.top + f.box.height) for f in faces]
    return np.array(boxes, np.float32).reshape(-1, 4)


class _Writer:
    """Encodes pictures; all get the size of the first one, at most 1920 pixels a side."""

    def __init__(self, out: BinaryIO, still: Callable[[UInt8], None]) -> None:
        self._out = out
        self._still = still
        self._size: tuple[int, int] | None = None
        self._container: av.container.OutputContainer | None = None
        self._stream: av.VideoStream | None = None
        self._first = self._last = 0
        self._digest = hashlib.sha256()
        self._pictures = self._hidden = self._packets = 0

    def fitted(self, pixels: UInt8) -> UInt8:
        """Return a picture in the size in which it is written."""
        height, width = pixels.shape[:2]
        if self._size is None:
            scale = min(1.0, _MOST_SIDE / max(height, width))
            self._size = max(2, int(width * scale) // 2 * 2), max(2, int(height * scale) // 2 * 2)
        if self._size == (width, height):
            return pixels
        return np.asarray(cv2.resize(pixels, self._size, interpolation=cv2.INTER_AREA), np.uint8)

    def write(self, at: int, pixels: UInt8, boxes: _Boxes) -> None:
        """Hide what is to be hidden, and encode."""
        shown = hide(pixels, boxes)
        self._still(shown)
        stream = self._begun(at)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(shown), format="bgr24")
        self._last = frame.pts = max(at - self._first, self._last + 1) if self._pictures else 0
        frame.time_base = _MS
        self._pictures += 1
        self._hidden += bool(len(boxes))
        self._mux(stream.encode(frame))

    def _begun(self, at: int) -> av.VideoStream:
        if self._stream is None:
            assert self._size is not None
            self._container = av.open(self._out, "w", format="mp4")
            stream = self._container.add_stream(_CODEC, rate=30, options=_OPTIONS)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height = self._size
            stream.pix_fmt = "yuv420p"
            stream.time_base = stream.codec_context.time_base = _MS
            stream.bit_rate = self._size[0] * self._size[1] * _BITS
            stream.codec_context.gop_size = 30 * _KEY_SECONDS
            self._stream, self._first = stream, at
        return self._stream

    def _mux(self, packets: Sequence[av.Packet[av.VideoStream]]) -> None:
        assert self._container is not None
        for packet in packets:
            self._digest.update(bytes(packet))
            self._packets += 1
            self._container.mux(packet)

    def end(self) -> Derivative:
        """Finish the file.

        Raises:
            NotFound: if there was no picture.
        """
        if self._stream is None or self._size is None:
            raise NotFound("There is no video of that time that can be shown.")
        self._mux(self._stream.encode(None))
        self.close()
        return Derivative(*self._size, self._pictures, self._hidden, self._packets, self._digest.digest())

    def close(self) -> None:
        """Let go of the encoder."""
        if self._container is not None:
            self._container.close()
            self._container = None
