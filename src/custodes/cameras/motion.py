# SPDX-License-Identifier: Apache-2.0
"""Whether something moves in a picture, and where; and privacy masks, which are painted before anything is looked at.

A picture of 320 x 180 grey pixels is compared with a running average of those before it. What lies under a mask is
black in both, together with the pixels beside it that a part of it went into; where there are zones, only what moves in
one counts. A picture that has changed almost everywhere (light was switched on, a camera went to infrared) is the new
background, and no motion.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame

__all__ = ["Begun", "Box", "Ended", "Masks", "MotionDetector", "MotionTeller", "Polygons", "grey"]

_WIDTH, _HEIGHT = 320, 180
_CONTRAST = 18  # of 255, by which a pixel differs from the background
_SPECK = 60  # pixels of the small picture: what is smaller is noise
_EVERYWHERE = 0.6
_FORGET = 10.0  # seconds in which something that stands still becomes background (time constant)
_BLUR = (5, 5)
_STILL = 2500  # milliseconds without motion after which nothing moves any more
_PLANAR = ("yuv4", "yuvj4", "nv12", "nv21", "gray")

_UInt8 = npt.NDArray[np.uint8]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom, as ratios."""
Polygons = Sequence[Sequence[Sequence[float]]]


class Masks:
    """Polygons of ratios that are black in all that leaves this process."""

    def __init__(self, polygons: Polygons) -> None:
        self._polygons = [np.array(p, np.float64) for p in polygons]

    def paint(self, pixels: _UInt8) -> None:
        """Paint them into a picture, ``(height, width)`` or ``(height, width, 3)`` uint8, and a pixel more around."""
        for corners in self._at(pixels):
            cv2.fillPoly(pixels, [corners], (0, 0, 0))
            cv2.polylines(pixels, [corners], True, (0, 0, 0), thickness=3)

    def area(self, *, wider: bool) -> _UInt8:
        """Return 1 where they are in the small picture, and 0 elsewhere; ``wider`` adds what they have touched."""
        found = np.zeros((_HEIGHT, _WIDTH), np.uint8)
        for corners in self._at(found):
            cv2.fillPoly(found, [corners], (1,))
        return cv2.dilate(found, np.ones((5, 5), np.uint8)).astype(np.uint8) if wider else found

    def _at(self, pixels: _UInt8) -> list[npt.NDArray[np.int32]]:
        size = np.array([pixels.shape[1], pixels.shape[0]], np.float64)
        return [np.round(p * size).astype(np.int32) for p in self._polygons]


def grey(frame: VideoFrame) -> _UInt8:
    """Return a decoded picture as the detector wants it, ``(180, 320)`` uint8."""
    if frame.format.name.startswith(_PLANAR) and frame.format.components[0].bits == 8:
        plane = frame.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]
    else:
        rows = frame.to_ndarray(format="gray").astype(np.uint8, copy=False)
    small: _UInt8 = cv2.resize(rows, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return small


class MotionDetector:
    """Looks for motion in the pictures of one camera, in the order of their times.

    Args:
        masks: polygons that are nobody's business.
        zones: polygons in which motion counts; none for everywhere.
    """

    def __init__(self, masks: Polygons, zones: Polygons) -> None:
        hidden = Masks(masks).area(wider=True)
        self._hidden = hidden.astype(bool) if hidden.any() else None
        self._most = _EVERYWHERE * max(1, int((hidden == 0).sum()))
        self._counts = Masks(zones).area(wider=False) if zones else None
        self._average: npt.NDArray[np.float32] | None = None
        self._seen = 0

    def reset(self) -> None:
        """Forget the background."""
        self._average = None

    def look(self, picture: _UInt8, at: int, *, glance: bool = False) -> Box | None:
        """Return where something moves, or None if nothing does.

        Args:
            picture: as :func:`grey` makes it.
            at: milliseconds since 1970.
            glance: whether earlier pictures will be looked at if something moves: this one leaves no trace then.
        """
        if self._hidden is not None:
            picture = picture.copy()
            picture[self._hidden] = 0
        now = cv2.GaussianBlur(picture, _BLUR, 0)
        if self._average is None:
            self._average, self._seen = now.astype(np.float32), at
            return None
        differs = cv2.absdiff(now, cv2.convertScaleAbs(self._average)) > _CONTRAST
        grown = cv2.dilate(differs.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=2)
        moving: _UInt8 = grown.astype(np.uint8, copy=False)
        if moving.sum() > self._most:
            self._average, self._seen = now.astype(np.float32), at
            return None
        found = _around(moving if self._counts is None else moving & self._counts)
        if not (glance and found):
            passed = max(0.0, (at - self._seen) / 1000)
            cv2.accumulateWeighted(now, self._average, 1 - math.exp(-passed / _FORGET))
            self._seen = max(self._seen, at)
        return found


def _around(moving: _UInt8) -> Box | None:
    """Return the box around all that is large enough."""
    outlines, _ = cv2.findContours(moving, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    boxes = [cv2.boundingRect(o) for o in outlines if cv2.contourArea(o) > _SPECK]
    if not boxes:
        return None
    left, top = min(b[0] for b in boxes), min(b[1] for b in boxes)
    right, bottom = max(b[0] + b[2] for b in boxes), max(b[1] + b[3] for b in boxes)
    return left / _WIDTH, top / _HEIGHT, right / _WIDTH, bottom / _HEIGHT


@dataclass(frozen=True, slots=True)
class Begun:
    """Something has begun to move."""

    at: int
    box: Box


@dataclass(frozen=True, slots=True)
class Ended:
    """What began at ``start`` was seen last at ``end``."""

    start: int
    end: int


class MotionTeller:
    """Makes motions of looks: one begins with the first box, and ends when there was none for two and a half seconds.

    Attributes:
        box: where something moved last.
    """

    def __init__(self) -> None:
        self.box: Box = (0.0, 0.0, 1.0, 1.0)
        self._start: int | None = None
        self._last = 0

    @property
    def moving(self) -> bool:
        """Whether something moves."""
        return self._start is not None

    def saw(self, at: int, box: Box | None) -> Begun | Ended | None:
        """Take note of a look at a picture of ``at``; return what has changed by it."""
        if box is not None:
            self.box, self._last = box, max(self._last, at) if self._start is not None else at
            if self._start is None:
                self._start = at
                return Begun(at, box)
        elif self._start is not None and at - self._last > _STILL:
            return self.over()
        return None

    def over(self) -> Ended | None:
        """End the motion, if there is one."""
        start, self._start = self._start, None
        return None if start is None else Ended(start, max(start + 1, self._last))
