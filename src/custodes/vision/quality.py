# SPDX-License-Identifier: Apache-2.0
"""How well a face can be seen, and whether well enough.

Both measures look at the aligned face (112 x 112), between brows and chin, so that they don't depend on the
background or on the size of the photo.

- *Brightness* is the mean luma (ITU-R BT.601) as a share of white, times 100.
- *Sharpness* is v / (v + 0.1) times 100, where v is the variance of the Laplacian, less what rounding to whole
  numbers adds to it, over that of the luma: fine detail in proportion to contrast, so that darkening a photo
  leaves it alone and blurring lowers it. A face that was enlarged to 112 pixels is blurred by that and scores low.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from custodes.domain import Face, FaceImage, Quality, QualityFilter, QualityReason

__all__ = ["measure", "reasons"]

_FACE = (slice(34, 104), slice(26, 86))
"""Rows and columns of the aligned face that hold skin, eyes and mouth."""
_HALF_SHARP = 0.1
_ROUNDING = 20 / 12
"""Variance that rounding gives the Laplacian: its squared weights (16 + 4) times that of a uniform error."""
_LEAST_CONTRAST = 16.0
"""Variance of luma below which there is nothing to see; keeps noise in the dark from looking sharp."""


@dataclass(frozen=True, slots=True)
class _Bar:
    """The least that one level of the filter asks for; angles in degrees are the most."""

    side: float
    confidence: float
    yaw: float
    pitch: float
    darkest: float
    brightest: float
    sharpness: float


_BARS = {
    QualityFilter.LOW: _Bar(20, 75, 75, 60, 8, 97, 4),
    QualityFilter.AUTO: _Bar(28, 85, 65, 50, 12, 95, 8),
    QualityFilter.MEDIUM: _Bar(40, 90, 50, 40, 18, 90, 15),
    QualityFilter.HIGH: _Bar(64, 95, 30, 30, 25, 85, 30),
}


def measure(face: FaceImage) -> Quality:
    """Return brightness and sharpness of one aligned face."""
    luma = np.asarray(cv2.cvtColor(face.pixels, cv2.COLOR_RGB2GRAY)[_FACE])
    detail = max(0.0, float(cv2.Laplacian(luma, cv2.CV_32F).var()) - _ROUNDING)
    share = detail / max(float(luma.var()), _LEAST_CONTRAST)
    return Quality(brightness=float(luma.mean()) / 255 * 100, sharpness=100 * share / (share + _HALF_SHARP))


def reasons(face: Face, level: QualityFilter) -> tuple[QualityReason, ...]:
    """Return why a face is below the bar of ``level``; nothing when it is good enough."""
    if level is QualityFilter.NONE:
        return ()
    bar = _BARS[level]
    found = {
        QualityReason.EXTREME_POSE: abs(face.pose.yaw) > bar.yaw or abs(face.pose.pitch) > bar.pitch,
        QualityReason.LOW_BRIGHTNESS: face.quality.brightness < bar.darkest,
        QualityReason.LOW_SHARPNESS: face.quality.sharpness < bar.sharpness,
        QualityReason.LOW_CONFIDENCE: face.confidence < bar.confidence,
        QualityReason.SMALL_BOUNDING_BOX: math.sqrt(face.box.area) < bar.side,
        QualityReason.LOW_FACE_QUALITY: face.quality.brightness > bar.brightest,
    }
    return tuple(reason for reason, holds in found.items() if holds)
