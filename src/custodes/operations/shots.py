# SPDX-License-Identifier: Apache-2.0
"""What a watcher takes from a frame: faces near what moves, the best shot of each, pictures, and the place.

Nothing here makes a template.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np

from custodes.cameras.model import Camera, Zone
from custodes.cameras.tracking import shot_quality
from custodes.domain import Box, Face, Float32, ImageSize, Landmarks, QualityFilter, Template, UInt8
from custodes.vision import render
from custodes.vision.engine import Engine
from custodes.vision.image import Image

__all__ = ["BestShot", "Places", "Scene", "Shot", "TrackListener", "faces_near"]

_SIDE = 640
"""Pixels a side with which a frame is looked at."""
_LEAST_CROP = 320
_ROOM = 0.25
"""Room around what moves, as a share of its longer side: a head may keep still while its body moves."""
_LEAST_ROOM = 0.05
"""The least of it, as a share of the frame's longer side."""
_WIDE = 1280
"""Pixels of an event's picture, along its longer side."""
_FACE_SIDES = (160, 640)
"""Pixels a side of a face's picture, at least and at most."""
_POOR = 0.01
"""What a shot that is too poor to be compared counts: less than any that is good enough."""
_CUT, _EDGE = 0.25, 0.15
"""What a shot counts in which the face comes so near to the picture's edge, as a share of its side: who comes in is
seen better a moment later."""
_GRID = (96, 54)
_TOUCH = 0.1
"""A motion is in a place if such a share of it lies in the place, or of the place in it."""


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """The best shot of a face that was followed, for whoever listens.

    Attributes:
        at: when, milliseconds since 1970.
        size: of the frame, in whose pixels the face's box is.
        face: it.
        template: of the face, in memory alone, if the household's own search has made one.
        picture: the frame as a JPEG, masks black, at most 1,280 pixels a side.
        subject, similarity: whom the household's own search has found; empty and 0 for nobody.
    """

    at: int
    size: ImageSize
    face: Face
    template: Template | None
    picture: bytes
    subject: str
    similarity: float


class TrackListener(Protocol):
    """Gets the best shot of each face that is followed, beside the household's own search.

    No template is made for a listener: one that needs a template has a permit of its own first, and makes it then.
    Neither method may wait long, or raise; a listener keeps no template that fits nobody.
    """

    def wants(self, camera_id: str) -> bool:
        """Tell whether it wants a face that a camera sees now; asked once for each, at its best shot."""

    def seen(self, camera: Camera, shot: Shot) -> None:
        """Take a shot."""


class Scene:
    """A frame, made into a JPEG when that is first needed; ``pixels`` is ``(h, w, 3)`` uint8 BGR."""

    def __init__(self, pixels: UInt8) -> None:
        self.image = Image(pixels)
        self._jpeg = b""

    @property
    def jpeg(self) -> bytes:
        """The whole frame, at most 1,280 pixels a side."""
        if not self._jpeg:
            self._jpeg = render.jpeg(render.fitted(self.image, _WIDE))
        return self._jpeg

    def portrait(self, box: Box) -> bytes:
        """Return a face with room around it as a JPEG, not larger than it is where that is large enough to look at."""
        native = max(box.width, box.height) * (1 + 2 * render.MARGIN)
        side = min(max(round(native), _FACE_SIDES[0]), _FACE_SIDES[1])
        return render.jpeg(render.around(self.image, box, side))


@dataclass(frozen=True, slots=True, eq=False)
class BestShot:
    """The best that was seen of a face so far.

    Attributes:
        at: when, milliseconds since 1970.
        face: in pixels of the frame.
        size: of the frame.
        quality: 0..1.
        usable: whether it is good enough to be compared with others.
        picture, portrait: JPEGs of the frame and of the face.
    """

    at: int
    face: Face
    size: ImageSize
    quality: float
    usable: bool
    picture: bytes
    portrait: bytes

    @classmethod
    def of(cls, at: int, face: Face, scene: Scene, quality: float, *, usable: bool) -> BestShot:
        """Take a shot of a face."""
        return cls(at, face, scene.image.size, quality, usable, scene.jpeg, scene.portrait(face.box))

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Where the face is: left, top, width, height, as ratios of the frame."""
        box, size = self.face.box, self.size
        return box.left / size.width, box.top / size.height, box.width / size.width, box.height / size.height

    @property
    def side(self) -> float:
        """How large the face is, in pixels."""
        return math.sqrt(self.face.box.area)

    @staticmethod
    def judge(face: Face, size: ImageSize) -> tuple[float, bool]:
        """Return how good a shot of a face would be, 0..1, and whether it is good enough to be compared.

        Args:
            face: in pixels of the frame.
            size: of the frame.
        """
        usable = not Engine.quality_reasons(face, QualityFilter.AUTO)
        box, room = face.box, _EDGE * math.sqrt(face.box.area)
        whole = box.left >= room and box.top >= room and box.right <= size.width - room
        whole = whole and box.bottom <= size.height - room
        return shot_quality(face) * (1.0 if usable else _POOR) * (1.0 if whole else _CUT), usable


def faces_near(engine: Engine, pixels: UInt8, moving: Box, followed: Sequence[Box], least: int) -> tuple[Face, ...]:
    """Find the faces around what moves, and where those are expected that were seen before.

    Args:
        engine: finds.
        pixels: ``(h, w, 3)`` uint8 BGR.
        moving: where something moves, in pixels.
        followed: where faces are expected, in pixels.
        least: smaller faces are left out; pixels a side.
    """
    left, top, right, bottom = _crop(moving, followed, pixels.shape[1], pixels.shape[0])
    part = np.ascontiguousarray(pixels[top:bottom, left:right])
    found = engine.glance(part, side=_SIDE)
    return tuple(_moved(f, left, top) for f in found if math.sqrt(f.box.area) >= least)


class Places:
    """The named places of a camera, to tell where something moves.

    What moves is told as one box. It is in a place if a tenth of the box lies in the place, or a tenth of the place in
    the box: feet may be hidden, and a place may be drawn where heads are.

    Args:
        zones: the named places.
    """

    def __init__(self, zones: Sequence[Zone]) -> None:
        self._masks: list[tuple[str, UInt8]] = []
        for zone in zones:
            mask = np.zeros((_GRID[1], _GRID[0]), np.uint8)
            corners = np.array(zone.points, np.float64) * (_GRID[0] - 1, _GRID[1] - 1)
            cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], (1,))
            self._masks.append((zone.name, mask))

    def of(self, box: tuple[float, float, float, float]) -> str:
        """Return the place in which most of a motion lies, or nothing; left, top, right, bottom, as ratios."""
        left, top = int(box[0] * _GRID[0]), int(box[1] * _GRID[1])
        right = min(max(math.ceil(box[2] * _GRID[0]), left + 1), _GRID[0])
        bottom = min(max(math.ceil(box[3] * _GRID[1]), top + 1), _GRID[1])
        area = max(1, (right - left) * (bottom - top))
        best, name = 0.0, ""
        for zone, mask in self._masks:
            shared, whole = int(mask[top:bottom, left:right].sum()), max(1, int(mask.sum()))
            touch = max(shared / area, shared / whole)
            if touch >= _TOUCH and touch > best:
                best, name = touch, zone
        return name


def _crop(moving: Box, followed: Sequence[Box], width: int, height: int) -> tuple[int, int, int, int]:
    """Return where to look: left, top, right, bottom, in whole pixels of the frame."""
    room = max(_ROOM * max(moving.width, moving.height), _LEAST_ROOM * max(width, height))
    left = min([moving.left - room, *(b.left for b in followed)])
    top = min([moving.top - room, *(b.top for b in followed)])
    right = max([moving.right + room, *(b.right for b in followed)])
    bottom = max([moving.bottom + room, *(b.bottom for b in followed)])
    left, right = _stretched(left, right, width)
    top, bottom = _stretched(top, bottom, height)
    return int(left), int(top), math.ceil(right), math.ceil(bottom)


def _stretched(low: float, high: float, most: int) -> tuple[float, float]:
    """Return a stretch within ``0..most`` that is as long as the least crop, where there is room."""
    missing = max(0.0, _LEAST_CROP - (high - low))
    low, high = low - missing / 2, high + missing / 2
    if low < 0:
        low, high = 0.0, high - low
    if high > most:
        low, high = low - (high - most), float(most)
    return max(0.0, low), high


def _moved(face: Face, left: int, top: int) -> Face:
    """Return a face of a part in pixels of the whole."""
    if not left and not top:
        return face
    box, marks = face.box, face.landmarks
    by: Float32 = np.array([left, top], np.float32)
    mesh = face.mesh.copy()
    mesh[:, :2] += by
    return replace(
        face,
        box=Box(box.left + left, box.top + top, box.width, box.height),
        landmarks=Landmarks(marks.names, marks.points + by),
        mesh=mesh,
    )
