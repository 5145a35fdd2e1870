# SPDX-License-Identifier: Apache-2.0
"""From sRGB to light and back (IEC 61966-2-1): damage to photos happens in light, and not in the numbers of a file."""

from __future__ import annotations

import numpy as np

from custodes.domain import Float32, UInt8

__all__ = ["LINEAR", "encoded", "whole"]


def _linear() -> Float32:
    v = np.arange(256) / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4).astype(np.float32)


LINEAR = _linear()
"""``(256,)`` float32: the light, 0..1, of each sRGB value."""


def encoded(light: Float32) -> UInt8:
    """Return sRGB values of light, 0..1; the other way round than :data:`LINEAR`."""
    v = np.clip(light, 0, 1)
    return whole(255 * np.where(v <= 0.0031308, v * 12.92, 1.055 * v ** np.float32(1 / 2.4) - 0.055))


def whole(values: np.ndarray[tuple[int, ...], np.dtype[np.floating]]) -> UInt8:
    """Return values rounded to 0..255."""
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
