# SPDX-License-Identifier: Apache-2.0
"""Masks and glasses, drawn on a face by the points of its mesh; they are no photo of somebody who wears them.

Pixels are ``(h, w, 3)`` uint8 RGB, and so is what comes back; pixels that are given are left alone. A mask has one
colour for all skins, as bright as the photo's light has it. What lies outside the picture is cut off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from custodes.domain import Face, Float32, UInt8
from custodes.errors import Invalid
from custodes.evaluation.light import LINEAR, encoded, whole

__all__ = ["glasses", "longer_side", "mask"]


def longer_side(face: Face) -> float:
    """Return the longer side of a face's box, in pixels."""
    return max(face.box.width, face.box.height)


# --- Mask -------------------------------------------------------------------------------------------------------------

# Points of MediaPipe's mesh. Of pairs only the one on the image's left is written; the other is its mirror.
_JAW = (234, 93, 132, 58, 172, 136, 150, 149, 176, 148)
_CHIN = 152
_MIRROR = {
    **{234: 454, 93: 323, 132: 361, 58: 288, 172: 397, 136: 365, 150: 379, 149: 378, 176: 400, 148: 377},
    **{117: 346, 119: 348, 174: 399, 123: 352, 50: 280, 36: 266, 131: 360, 187: 411, 206: 426, 97: 326},
    **{169: 394, 211: 431, 194: 418, 127: 356},
    **{143: 372, 124: 353, 46: 276, 53: 283, 52: 282, 65: 295, 193: 417, 188: 412, 126: 355, 101: 330},
    **{118: 347, 111: 340},
}
_MASK_EDGES: dict[float, tuple[int, ...]] = {
    16: (172, 169, 211, 194, 18),
    43: (132, 187, 206, 97, 2),
    50: (93, 123, 50, 36, 131, 4),
    60: (234, 117, 119, 174, 195),
}
"""Upper edges of masks, from the jaw to the middle, by how much of the face's height, chin to forehead, they cover."""
_CLOTH = (166, 200, 216)
_LOOP = 2 / 200
"""Width of its ear loops over the face's longer side."""
_SNUG = 1.07
"""By how much the mask stands out beyond the jaw, measured from the middle of the mouth."""


def mask(pixels: UInt8, face: Face, level: float, _rng: np.random.Generator) -> UInt8:
    """Draw a light blue surgical mask that covers ``level`` per cent of the face's height, one of four ways to wear it.

    Raises:
        Invalid: if it is none of them.
    """
    if level not in _MASK_EDGES:
        raise Invalid(f"A mask covers {', '.join(map(str, _MASK_EDGES))} % of the height, got {level:g}.")
    mesh, half = face.mesh[:, :2], _MASK_EDGES[level]
    upper = _mirrored(mesh, half)
    jaw = _mirrored(mesh, (*_JAW[_JAW.index(half[0]) :], _CHIN))
    middle = mesh[[13, 14]].mean(axis=0)
    lower = middle + (jaw - middle) * np.float32(_SNUG)
    outline = np.concatenate([upper, lower[::-1]]).astype(np.float32)
    made, view = _view(pixels, np.concatenate([outline, mesh[[127, 356]]]), longer_side(face) * 0.2)
    ears = mesh[[127, 356]] + (mesh[[127, 356]] - mesh[[356, 127]]) * np.float32(0.03)
    thick = longer_side(face) * _LOOP
    for ear, corners in zip(ears, (lower[[0, 1]], lower[[-1, -2]]), strict=True):
        for corner in corners:
            view.lines(np.stack([corner, ear]), thick, (225, 228, 230))
    view.fill(outline, _cloth(view, upper, lower, _light(pixels)))
    return made


def _cloth(view: _View, upper: Float32, lower: Float32, light: float) -> Float32:
    """Return colours of cloth for every pixel of a view: pleats across, darker towards the sides."""
    left, right = upper[0], upper[-1]
    across = (right - left) / max(float(np.hypot(*(right - left))), 1e-6)
    down = np.array([-across[1], across[0]], np.float32)
    middle, foot = upper[len(upper) // 2], lower[len(lower) // 2]
    reach, height = float((right - left) @ across) / 2, max(float((foot - middle) @ down), 1e-6)
    places = view.places - middle
    u, v = places @ across / max(reach, 1e-6), places @ down / height
    # Pleats sag towards the sides as the mask's upper edge does.
    pleat = np.abs((v + 0.25 * u * u) * 4 % 1 - 0.5)
    shade = (1 - 0.3 * np.clip(u, -1, 1) ** 2) * (1 - 0.22 * np.clip(1 - pleat / 0.09, 0, 1)) * light
    return np.asarray(shade[:, :, None] * np.array(_CLOTH, np.float32), np.float32)


def _light(pixels: UInt8) -> float:
    """Return how bright white things look, 0.25..1: by the brightest twentieth of the photo, and so not by the skin."""
    sparse = pixels[::4, ::4].astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return float(np.clip(np.percentile(sparse, 95) / 230, 0.25, 1))


# --- Glasses ----------------------------------------------------------------------------------------------------------

_LENS = (143, 124, 46, 53, 52, 65, 193, 188, 174, 126, 101, 118, 117, 111)
_LENS_OVER_POINTS = 1.1
_FRAME = (26, 23, 22)
_RIM = 2.5 / 200
"""Width of the frame over the face's longer side: 2.5 mm, where a box that ends at chin and hair measures 20 cm."""
_GLARE = 0.03
"""Share of white that lenses reflect at their upper edge."""


def glasses(pixels: UInt8, face: Face, level: float, _rng: np.random.Generator) -> UInt8:
    """Draw glasses with dark frames whose lenses stop ``level`` per cent of the light, in linear light."""
    mesh, side = face.mesh[:, :2], longer_side(face)
    lenses = [_smooth(mesh[list(half)]) for half in (_LENS, [_MIRROR[i] for i in _LENS])]
    temples = mesh[[127, 356]]
    made, view = _view(pixels, np.concatenate([*lenses, temples]), side * 0.05)
    for lens in lenses:
        top, foot = float(lens[:, 1].min()), float(lens[:, 1].max())
        glare = _GLARE * np.clip((foot - view.places[:, :, 1]) / max(foot - top, 1e-6), 0, 1)
        seen = LINEAR[view.pixels] * np.float32(1 - level / 100) + glare[:, :, None]
        view.fill(lens, encoded(seen).astype(np.float32))
    thick = side * _RIM
    for lens in lenses:
        view.lines(np.concatenate([lens, lens[:1]]), thick, _FRAME)
    for lens, temple in zip(lenses, temples, strict=True):
        outer = lens[np.argmin(np.hypot(*(lens - temple).T))]
        view.lines(np.stack([outer, temple]), thick, _FRAME)
    ends = [lens[np.argmin(np.hypot(*(lens - mesh[168]).T))] for lens in lenses]
    view.lines(np.stack([ends[0], mesh[168], ends[1]]), thick, _FRAME)
    return made


def _smooth(corners: Float32) -> Float32:
    """Return a closed outline with its corners cut (Chaikin), a little larger, as cutting made it smaller."""
    for _ in range(3):
        following = np.roll(corners, -1, axis=0)
        cut = np.stack([corners * 0.75 + following * 0.25, corners * 0.25 + following * 0.75], axis=1)
        corners = cut.reshape(-1, 2).astype(np.float32)
    middle = corners.mean(axis=0)
    return np.asarray(middle + (corners - middle) * np.float32(_LENS_OVER_POINTS), np.float32)


# --- Drawing ----------------------------------------------------------------------------------------------------------

_FINE = 4
"""Coordinates are drawn in sixteenths of a pixel: 2 to the power of this."""
_FINE_SIDE = 800
"""Parts of a picture that are smaller than half of this, in pixels, are drawn finer."""


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """The part of a picture that is drawn on.

    Attributes:
        pixels: the picture's own.
        left, top: where the part lies in the picture.
        finer: how many times as fine edges are drawn before they are averaged, so that lines of a face that is small
            are as thick as they should be.
    """

    pixels: UInt8
    left: int
    top: int
    finer: int

    @property
    def places(self) -> Float32:
        """``(h, w, 2)``: x and y in the picture of each pixel."""
        height, width = self.pixels.shape[:2]
        y, x = np.mgrid[self.top : self.top + height, self.left : self.left + width]
        return np.stack([x, y], axis=2).astype(np.float32)

    def fill(self, outline: Float32, colours: Float32) -> None:
        """Lay ``(h, w, 3)`` colours over what an outline encloses."""
        cover = self._blank()
        cv2.fillPoly(cover, [self._fine(outline)], 255, cv2.LINE_AA, _FINE)
        self._lay(cover, colours)

    def lines(self, path: Float32, thick: float, colour: tuple[int, int, int]) -> None:
        """Draw a line ``thick`` pixels wide, faint where that is too thin to be drawn."""
        cover, width = self._blank(), thick * self.finer
        strength = round(255 * min(1.0, width))
        cv2.polylines(cover, [self._fine(path)], False, strength, max(1, round(width)), cv2.LINE_8, _FINE)
        self._lay(cover, np.array(colour, np.float32))

    def _blank(self) -> UInt8:
        height, width = self.pixels.shape[:2]
        return np.zeros((height * self.finer, width * self.finer), np.uint8)

    def _fine(self, path: Float32) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
        places = (path - [self.left, self.top] + 0.5) * self.finer - 0.5  # pixels' centres have whole coordinates
        return np.asarray(np.round(places * 2**_FINE), np.int32)

    def _lay(self, cover: UInt8, colours: Float32) -> None:
        height, width = self.pixels.shape[:2]
        cover = np.asarray(cv2.resize(cover, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        share = (cover.astype(np.float32) / 255)[:, :, None]
        self.pixels[:] = whole(self.pixels * (1 - share) + colours * share)


def _view(pixels: UInt8, points: Float32, margin: float) -> tuple[UInt8, _View]:
    """Return a copy of a picture, and the part of it that holds points."""
    made = pixels.copy()
    height, width = made.shape[:2]
    left, top = (max(0, math.floor(v - margin)) for v in points.min(axis=0))
    right, foot = (math.ceil(v + margin) for v in points.max(axis=0))
    left, top = min(left, width - 1), min(top, height - 1)
    part = made[top : max(top + 1, foot), left : max(left + 1, right)]
    return made, _View(part, left, top, max(1, min(4, _FINE_SIDE // max(part.shape[:2]))))


def _mirrored(mesh: Float32, half: Sequence[int]) -> Float32:
    """Return a path from the image's left through its last point, in the middle of the face, to the right."""
    return mesh[[*half, *(_MIRROR[i] for i in reversed(half[:-1]))]]
