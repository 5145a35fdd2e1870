# SPDX-License-Identifier: Apache-2.0
"""Where may faces be: a detector network over a picture, at the scales and in the positions that it needs.

A picture of up to 640 pixels a side costs one pass. A larger one is looked at in full detail up to about two
megapixels (1080p), beyond that scaled down to them, so that the least face grows with the picture, as
Rekognition's rule of 40 pixels in 1080p does. More detail can be asked for; what is then too large for one pass, as
are long strips, is cut into overlapping tiles. A second, coarse pass with room around the picture finds faces that
fill it. Networks of this kind lose faces that are turned by more than 30 degrees, or find them with misplaced points:
:meth:`Detector.closer` looks at one place in eight positions, in one pass over a mosaic.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from custodes.domain import Float32, UInt8
from custodes.vision.align import Matrix, piece, square
from custodes.vision.decoders import DECODERS, Detections
from custodes.vision.manifest import ModelSpec
from custodes.vision.session import Model
from custodes.vision.tensor import tensor

__all__ = ["Detector"]

_ONE_PASS = 640
"""Longest side, in pixels, up to which one pass sees small and large faces."""
_FINE_AREA = 1920 * 1088
"""Pixels that the fine pass looks at, in the least detail."""
_TILE, _TILE_OVERLAP = 2048, 320
"""Longest side of a tile of the fine pass, and by how much neighbours overlap, in pixels."""
_COARSE = 320
"""Longest side, in pixels, of the picture in the coarse pass."""
_COARSE_BORDER = 64
"""Room around it."""

_VIEW = 128
"""Side of one view of a mosaic, in pixels; the face fills half of it."""
_VIEW_REACH = 2.0
"""Side of a view over the longer side of the box."""
_VIEWS = 8
"""Positions in which a place is looked at."""
_VIEW_THRESHOLD = 0.2
_VIEW_OFF_CENTRE = 0.2
"""How far from the middle a face may lie to be the one that is meant, over the view's side."""


class Detector:
    """A detector network and how to use it; may be shared by threads.

    Args:
        model: the network.
        spec: how pictures go in, and (``kind``) how boxes come out.
        overlap: intersection over union from which two boxes are one face.
        detail: how many times the resolution of 1080p the fine pass looks at, where the picture has it.
    """

    def __init__(self, model: Model, spec: ModelSpec, *, overlap: float = 0.3, detail: int = 1) -> None:
        self._model = model
        self._input = spec.input
        self._decode = DECODERS[spec.kind]
        self._overlap = overlap
        self._fine_area = _FINE_AREA * detail**2

    def look(self, pixels: UInt8, threshold: float) -> Detections:
        """Look once at ``(h, w, 3)`` BGR pixels, as they are; boxes may overlap."""
        height, width = pixels.shape[:2]
        if self._input.size:
            full_width, full_height = self._input.size
            scale = min(full_width / width, full_height / height)
            if scale < 1:
                pixels = _resized(pixels, scale)
                return self.look(pixels, threshold).scaled(width / pixels.shape[1])
        else:
            step = self._input.multiple
            full_width, full_height = -(-width // step) * step, -(-height // step) * step
        x = tensor([pixels], self._input, width=full_width, height=full_height)
        outputs = dict(zip(self._model.outputs, self._model.run(x), strict=True))
        return self._decode(outputs, full_height, full_width, threshold)

    @staticmethod
    def shrunk(pixels: UInt8, side: int) -> UInt8:
        """Return a picture of at most ``side`` pixels a side."""
        return _resized(pixels, min(1.0, side / max(pixels.shape[:2])))

    def find(self, pixels: UInt8, threshold: float) -> Detections:
        """Look for upright faces of any size; best first, no two alike."""
        height, width = pixels.shape[:2]
        fine = _resized(pixels, min(1.0, math.sqrt(self._fine_area / (height * width))))
        scale = width / fine.shape[1]
        parts = [
            self.look(fine[y : y + h, x : x + w], threshold).shifted(x, y).scaled(scale)
            for x, y, w, h in _tiles(fine.shape[1], fine.shape[0])
        ]
        if max(height, width) > _ONE_PASS or not any(map(len, parts)):
            parts.append(self._coarse(pixels, threshold))
        found = Detections.joined(parts)
        return found[found.distinct(self._overlap)]

    def find_turned(self, pixels: UInt8, threshold: float, angles: Sequence[float]) -> Iterator[Detections]:
        """Look for faces that are turned clockwise by about so many radians, at one angle after the other.

        Yields:
            For each angle, what is seen, best first, in the picture's own frame.
        """
        if not angles:
            return
        small = _resized(pixels, min(1.0, _ONE_PASS / max(pixels.shape[:2])))
        for angle in angles:
            yield self._turned(small, threshold, angle).scaled(pixels.shape[1] / small.shape[1])

    def closer(self, pixels: UInt8, detections: Detections) -> tuple[Detections, ...]:
        """Look at each place again, upright and turned.

        Returns:
            For each place, every position in which something like a face was seen.
        """
        return tuple(
            self._closer(pixels, centre, float(sides.max()))
            for centre, sides in zip(detections.centres, detections.sides, strict=True)
        )

    def _closer(self, pixels: UInt8, centre: Float32, side: float) -> Detections:
        views = [square(centre, side * _VIEW_REACH, turn * 2 * math.pi / _VIEWS, _VIEW) for turn in range(_VIEWS)]
        corners = [(i % 4 * _VIEW, i // 4 * _VIEW) for i in range(_VIEWS)]
        mosaic = np.empty((_VIEWS // 4 * _VIEW, 4 * _VIEW, 3), np.uint8)
        for view, (x, y) in zip(views, corners, strict=True):
            mosaic[y : y + _VIEW, x : x + _VIEW] = piece(pixels, view, _VIEW)
        found = self.look(mosaic, _VIEW_THRESHOLD)
        seen = []
        for view, (x, y) in zip(views, corners, strict=True):
            off = np.abs(found.centres - np.array([x + _VIEW / 2, y + _VIEW / 2], np.float32)).max(axis=1)
            here = found[off <= _VIEW_OFF_CENTRE * _VIEW]
            if len(here):
                best = here[np.array([here.scores.argmax()])].shifted(-x, -y)
                seen.append(_mapped_back(best, view))
        return Detections.joined(seen)

    def _turned(self, pixels: UInt8, threshold: float, angle: float) -> Detections:
        height, width = pixels.shape[:2]
        c, s = math.cos(angle), math.sin(angle)
        full_width = abs(width * c) + abs(height * s)
        full_height = abs(width * s) + abs(height * c)
        scale = min(1.0, _ONE_PASS / max(full_width, full_height))
        size = (max(1, round(full_width * scale)), max(1, round(full_height * scale)))
        turn = np.array([[c, s], [-s, c]]) * scale
        middle = np.array([(width - 1) / 2, (height - 1) / 2])
        matrix = np.column_stack([turn, (np.array(size) - 1) / 2 - turn @ middle])
        upright = np.asarray(cv2.warpAffine(pixels, matrix, size, flags=cv2.INTER_LINEAR), np.uint8)
        found = self.look(upright, threshold)
        return _mapped_back(found[found.distinct(self._overlap)], matrix)

    def _coarse(self, pixels: UInt8, threshold: float) -> Detections:
        small = _resized(pixels, min(1.0, _COARSE / max(pixels.shape[:2])))
        border = _COARSE_BORDER
        roomy = cv2.copyMakeBorder(small, border, border, border, border, cv2.BORDER_CONSTANT)
        found = self.look(np.asarray(roomy, np.uint8), threshold)
        return found.shifted(-border, -border).scaled(pixels.shape[1] / small.shape[1])


def _mapped_back(seen: Detections, matrix: Matrix) -> Detections:
    """Return what was seen in a square piece in the picture's frame.

    A turned box becomes the upright one around the ellipse that fills it, which is nearer to a head than the one
    around its corners.
    """
    back = cv2.invertAffineTransform(matrix)
    centres = seen.centres @ back[:, :2].T + back[:, 2]
    halves = np.sqrt((seen.sides / 2) ** 2 @ (back[:, :2] ** 2).T)
    points = seen.points @ back[:, :2].T + back[:, 2]
    boxes = np.concatenate([centres - halves, centres + halves], axis=1)
    return Detections(boxes.astype(np.float32), seen.scores, points.astype(np.float32))


def _resized(pixels: UInt8, scale: float) -> UInt8:
    if scale >= 1.0:
        return pixels
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _tiles(width: int, height: int) -> Iterator[tuple[int, int, int, int]]:
    """Cut a picture into tiles (x, y, width, height) that overlap."""
    for y, h in _spans(height):
        for x, w in _spans(width):
            yield x, y, w, h


def _spans(length: int) -> Iterator[tuple[int, int]]:
    if length <= _TILE:
        yield 0, length
        return
    count = math.ceil((length - _TILE_OVERLAP) / (_TILE - _TILE_OVERLAP))
    for i in range(count):
        yield round(i * (length - _TILE) / (count - 1)), _TILE
