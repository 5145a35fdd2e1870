# SPDX-License-Identifier: Apache-2.0
"""What makes photos worse, in measured steps: pictures in, pictures out.

Pixels are ``(h, w, 3)`` uint8 RGB, and so is what comes back; pixels that are given are left alone. The face that is
meant has the coordinates of those pixels. Chance comes from a seed and from the photo itself, so that a photo is made
worse in the same way whenever and beside whatever it is.

Blur and size are measured by the face, in pixels of its box's longer side. Noise, low light and JPEG act on the photo's
own pixels, as they do in a camera: a face with more pixels bears more of them. Masks and glasses are drawn
(:mod:`custodes.evaluation.worn`).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from custodes.domain import Face, UInt8
from custodes.errors import Invalid
from custodes.evaluation.light import LINEAR, encoded, whole
from custodes.evaluation.worn import glasses, longer_side, mask

__all__ = ["KINDS", "Kind", "Level", "blur", "grey", "jpeg", "low_light", "noise", "rotation", "size"]

Change = Callable[[UInt8, Face, float, np.random.Generator], UInt8]
"""Pixels, the face that is meant, how much, and chance, to worse pixels."""

STANDARD_FACE = 112.0
"""Longer side of the face, in pixels, in whose pixels blur is stated."""
LEAST_SIDE = 80
"""Pixels that a picture has on each side at least (``limits.min_side``): smaller ones get a grey margin."""
MARGIN = 127

FULL_WELL = 2000.0
"""Electrons that white stands for: a small sensor at its lowest gain."""
READ_NOISE = 4.0
"""Electrons of noise that reading the sensor adds, however dark it is."""


@dataclass(frozen=True, slots=True)
class Level:
    """How much: ``value`` in the unit of the kind, and ``words`` for the table."""

    value: float
    words: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One way in which photos get worse.

    Attributes:
        name: in the table.
        unit: of the levels' values.
        levels: at least two; the first leaves the photo as it is, whatever its value, and the others get worse.
        change: does it.
    """

    name: str
    unit: str
    levels: tuple[Level, ...]
    change: Change

    def __post_init__(self) -> None:
        if len(self.levels) < 2:
            raise Invalid(f"{self.name}: the first level leaves photos as they are, so there are at least two.")

    def worse(self, pixels: UInt8, face: Face, level: Level, seed: int) -> UInt8:
        """Return the photo at a level.

        Args:
            pixels: ``(h, w, 3)`` uint8 RGB.
            face: the one that is meant, in coordinates of ``pixels``.
            level: one of this kind's.
            seed: 0 or more; for one seed a photo always gets the same noise.

        Raises:
            Invalid: if these aren't such pixels.
        """
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
            raise Invalid(f"Pixels are (h, w, 3) uint8, got {pixels.shape} {pixels.dtype}.")
        if level == self.levels[0]:
            return pixels
        own = [zlib.crc32(self.name.encode()), self.levels.index(level), zlib.crc32(pixels.tobytes())]
        return self.change(pixels, face, level.value, np.random.default_rng([seed, *own]))


# --- Lens, sensor, file -----------------------------------------------------------------------------------------------


def blur(pixels: UInt8, face: Face, level: float, _rng: np.random.Generator) -> UInt8:
    """Blur by a Gaussian whose sigma is ``level`` pixels of a face of 112."""
    sigma = level * longer_side(face) / STANDARD_FACE
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8)


def noise(pixels: UInt8, _face: Face, level: float, rng: np.random.Generator) -> UInt8:
    """Add white Gaussian noise of sigma ``level`` (of 255) to each sample."""
    return whole(pixels + rng.standard_normal(pixels.shape, np.float32) * np.float32(level))


def low_light(pixels: UInt8, _face: Face, level: float, rng: np.random.Generator) -> UInt8:
    """Take the photo with ``level`` per cent of the light, the exposure left as it was.

    In linear light: fewer electrons, whose number is uncertain by its square root (shot noise; a Gaussian stands in for
    Poisson's law), the sensor's read noise, then sRGB and whole numbers again. What is lost so, brightening can't bring
    back.
    """
    electrons = LINEAR[pixels] * np.float32(FULL_WELL * level / 100)
    spread = np.sqrt(electrons + np.float32(READ_NOISE**2))
    caught = electrons + rng.standard_normal(pixels.shape, np.float32) * spread
    return encoded(caught / np.float32(FULL_WELL))


def jpeg(pixels: UInt8, _face: Face, level: float, _rng: np.random.Generator) -> UInt8:
    """Store as a JPEG of quality ``level`` (libjpeg's scale) with halved colour, and read that."""
    _, data = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, round(level)])
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_BGR), np.uint8)[:, :, ::-1])


def grey(pixels: UInt8, _face: Face, level: float, _rng: np.random.Generator) -> UInt8:
    """Take away ``level`` per cent of the colour."""
    luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[:, :, None]
    share = np.float32(level / 100)
    return whole(pixels * (1 - share) + luma * share)


# --- Frame ------------------------------------------------------------------------------------------------------------


def size(pixels: UInt8, face: Face, level: float, _rng: np.random.Generator) -> UInt8:
    """Make the photo smaller, so that the longer side of the face has ``level`` pixels.

    A face that is smaller already stays as it is. A photo with a side below 80 pixels gets a grey margin all round, so
    that the API would take it and its middle stays where it was.
    """
    scale = level / longer_side(face)
    if scale < 1:
        height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
        pixels = np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    height, width = pixels.shape[:2]
    down, right = max(0, LEAST_SIDE - height), max(0, LEAST_SIDE - width)
    if not down and not right:
        return pixels
    margins = (down // 2, down - down // 2, right // 2, right - right // 2)
    grey_margin = (MARGIN, MARGIN, MARGIN)
    return np.asarray(cv2.copyMakeBorder(pixels, *margins, cv2.BORDER_CONSTANT, value=grey_margin), np.uint8)


def rotation(pixels: UInt8, _face: Face, level: float, _rng: np.random.Generator) -> UInt8:
    """Turn the photo clockwise by ``level`` degrees about its middle.

    The picture grows so that all of the photo stays in it, and its corners are drawn out from the photo's edges:
    mirrored, they would show faces twice.
    """
    height, width = pixels.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -level, 1.0)
    cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
    grown = (round(width * cos + height * sin), round(width * sin + height * cos))
    matrix[:, 2] += [(grown[0] - width) / 2, (grown[1] - height) / 2]
    turned = cv2.warpAffine(pixels, matrix, grown, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, np.uint8)


# --- The table --------------------------------------------------------------------------------------------------------


def _levels(start: float, words: str, *values: float) -> tuple[Level, ...]:
    return (Level(start, "as it is"), *(Level(v, words.format(v)) for v in values))


KINDS: tuple[Kind, ...] = (
    Kind(
        "blur",
        "px of a face of 112 px (sigma)",
        _levels(0, "a blur of {:g} px", 1, 2, 3, 4, 5, 6, 8),
        blur,
    ),
    Kind("noise", "of 255 (sigma)", _levels(0, "noise of {:g}", 5, 10, 20, 30, 45, 60, 80), noise),
    Kind("low light", "% of the light", _levels(100, "{:g} % of the light", 50, 25, 12, 6, 3, 2, 1), low_light),
    Kind("JPEG", "quality", _levels(100, "JPEG quality {:g}", 90, 70, 50, 30, 20, 10, 5), jpeg),
    # 0 is the first level's number because no size is asked for.
    Kind(
        "size",
        "px, longer side of the face",
        _levels(0, "a face of {:g} px", 112, 96, 80, 64, 48, 40, 32, 24, 20),
        size,
    ),
    Kind(
        "mask",
        "% of the face's height, from the chin",
        (
            Level(0, "as it is"),
            Level(16, "a mask over the chin"),
            Level(43, "a mask up to below the nose"),
            Level(50, "a mask up to the tip of the nose"),
            Level(60, "a mask up to the bridge of the nose"),
        ),
        mask,
    ),
    Kind(
        "glasses",
        "% of light that the lenses stop",
        (
            Level(0, "as it is"),
            Level(8, "clear glasses"),
            Level(50, "tinted glasses"),
            Level(85, "sunglasses"),
            Level(97, "black sunglasses"),
        ),
        glasses,
    ),
    Kind("rotation", "degrees", _levels(0, "a turn by {:g} degrees", 15, 30, 45, 60, 90, 135, 180), rotation),
    Kind("grey", "% of the colour taken away", (Level(0, "as it is"), Level(100, "no colour")), grey),
)
"""The kinds of damage that are measured."""
