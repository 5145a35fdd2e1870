# SPDX-License-Identifier: Apache-2.0
"""What tests of damage to photos share: a small portrait, and the kinds by their names."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from custodes.domain import Face, UInt8
from custodes.evaluation.strains import KINDS, Level
from custodes.vision.engine import Engine

BY_NAME = {kind.name: kind for kind in KINDS}
_PORTRAIT = Path(__file__).parent.parent / "data" / "obama_1.jpg"


def small_portrait(engine: Engine) -> UInt8:
    """Return a portrait of 320 x 400 RGB pixels, its face about 115 high."""
    pixels = engine.load(_PORTRAIT).pixels[:, :, ::-1]
    return np.asarray(cv2.resize(pixels, (320, 400), interpolation=cv2.INTER_AREA), np.uint8)


def level_of(name: str, value: float) -> Level:
    """Return the level of a kind."""
    return next(level for level in BY_NAME[name].levels if level.value == value)


def worse(name: str, value: float, pixels: UInt8, face: Face, seed: int = 1) -> UInt8:
    """Return a photo at a level of a kind."""
    return BY_NAME[name].worse(pixels, face, level_of(name, value), seed)
