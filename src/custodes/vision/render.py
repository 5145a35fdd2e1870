# SPDX-License-Identifier: Apache-2.0
"""Pictures for people to look at: small ones, cut-outs of faces, and such as tell nothing. None has metadata."""

from __future__ import annotations

import cv2
import numpy as np

from custodes.domain import Box, UInt8
from custodes.vision.draw import encode_jpeg
from custodes.vision.image import Image

__all__ = ["MARGIN", "around", "blurred", "fitted", "jpeg", "opened", "rgb"]

_BLUR_CELLS = 12
"""So many squares along the longer side are left of a blurred picture: what it is of can't be told."""
MARGIN = 0.6
"""Room around a face on each side, as a share of its longer side, unless it is said otherwise."""


def jpeg(image: Image) -> bytes:
    """Return a picture as a JPEG file without metadata."""
    return encode_jpeg(image)


def opened(data: bytes) -> Image:
    """Return the picture of a JPEG that :func:`jpeg` made, however small it is."""
    return Image(np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8))


def rgb(image: Image) -> UInt8:
    """Return a picture's pixels: ``(h, w, 3)`` uint8, RGB."""
    return image.pixels[:, :, ::-1]


def fitted(image: Image, side: int) -> Image:
    """Return a picture whose longer side has at most ``side`` pixels; one that fits already stays as it is."""
    height, width = image.pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return _resized(image.pixels, size, cv2.INTER_AREA)


def around(image: Image, box: Box, side: int, margin: float = MARGIN) -> Image:
    """Return a square cut-out of ``side`` pixels around a face, with room for hair, ears and chin.

    Args:
        image: the picture.
        box: the face, in pixels of the whole picture.
        side: of the cut-out, in pixels; what lies outside of the picture is grey.
        margin: how much room beyond the face on each side, as a share of its longer side.
    """
    scale = 1 / image.scale
    half = max(box.width, box.height) * scale * (0.5 + margin)
    x, y = (box.left + box.width / 2) * scale, (box.top + box.height / 2) * scale
    left, top, width = round(x - half), round(y - half), max(1, round(2 * half))
    height_, width_ = image.pixels.shape[:2]
    x0, y0, x1, y1 = max(0, left), max(0, top), min(width_, left + width), min(height_, top + width)
    part = image.pixels[y0 : max(y0 + 1, y1), x0 : max(x0 + 1, x1)]
    before, after = (y0 - top, x0 - left), (top + width - y1, left + width - x1)
    padded = cv2.copyMakeBorder(
        part,
        max(0, before[0]),
        max(0, after[0]),
        max(0, before[1]),
        max(0, after[1]),
        cv2.BORDER_CONSTANT,
        value=(128, 128, 128),
    )
    ways = cv2.INTER_AREA if padded.shape[0] > side else cv2.INTER_CUBIC
    return _resized(padded, (side, side), ways)


def blurred(image: Image) -> Image:
    """Return a picture of the same shape, at most 256 pixels a side, that tells no more than its colours."""
    height, width = image.pixels.shape[:2]
    scale = _BLUR_CELLS / max(height, width)
    cells = max(1, round(width * scale)), max(1, round(height * scale))
    coarse = _resized(image.pixels, cells, cv2.INTER_AREA)
    shown = max(1, round(width * 256 / max(height, width))), max(1, round(height * 256 / max(height, width)))
    return _resized(coarse.pixels, shown, cv2.INTER_CUBIC)


def _resized(pixels: cv2.typing.MatLike, size: tuple[int, int], how: int) -> Image:
    """Return pixels in another size: width and height."""
    return Image(np.asarray(cv2.resize(pixels, size, interpolation=how), np.uint8))
