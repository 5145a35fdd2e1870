# SPDX-License-Identifier: Apache-2.0
"""Brightness and sharpness move as they should, and bars let the right faces through."""

from __future__ import annotations

import itertools
from dataclasses import replace

import cv2
import numpy as np
import pytest

from custodes.domain import Box, Face, FaceImage, Pose, Quality, QualityFilter, QualityReason
from custodes.vision.align import aligned
from custodes.vision.engine import Engine
from custodes.vision.image import Image
from custodes.vision.quality import measure, reasons

NAMES = ["collins", "obama_1", "obama_2", "biden"]


@pytest.fixture(scope="module")
def faces(engine: Engine, portraits: dict[str, Image]) -> dict[str, Face]:
    return {name: engine.detect(portraits[name])[0] for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_blur_lowers_sharpness_step_by_step(portraits: dict[str, Image], faces: dict[str, Face], name: str) -> None:
    """The more a photo is blurred, the less sharp its face; brightness stays."""
    found = []
    for sigma in (0.0, 1.0, 2.0, 4.0, 8.0):
        spread = sigma * faces[name].box.width / 100
        pixels = portraits[name].pixels if not sigma else cv2.GaussianBlur(portraits[name].pixels, (0, 0), spread)
        found.append(measure(aligned(np.asarray(pixels, np.uint8), faces[name].mesh)))
    sharpness = [q.sharpness for q in found]
    assert all(a > b * 1.1 for a, b in itertools.pairwise(sharpness))
    assert found[-1].brightness == pytest.approx(found[0].brightness, abs=3)


@pytest.mark.parametrize("name", NAMES)
def test_darkening_lowers_brightness_and_little_else(
    portraits: dict[str, Image], faces: dict[str, Face], name: str
) -> None:
    """Brightness falls in proportion to light; sharpness hardly changes."""
    pixels = portraits[name].pixels.astype(np.float32)
    found = [measure(aligned((pixels * f).astype(np.uint8), faces[name].mesh)) for f in (1.0, 0.75, 0.5)]
    assert [q.brightness / found[0].brightness for q in found] == pytest.approx([1, 0.75, 0.5], abs=0.03)
    assert found[-1].sharpness == pytest.approx(found[0].sharpness, abs=2)


def test_portraits_are_sharp_and_enlarged_thumbnails_are_not(
    portraits: dict[str, Image], faces: dict[str, Face]
) -> None:
    """A good portrait scores above fifty; the same face from a sixteen-pixel thumbnail below thirty."""
    for name in NAMES:
        crop = aligned(portraits[name].pixels, faces[name].mesh)
        tiny = cv2.resize(cv2.resize(crop.pixels, (16, 16), interpolation=cv2.INTER_AREA), (112, 112))
        assert measure(crop).sharpness > 50
        assert measure(FaceImage(np.asarray(tiny, np.uint8))).sharpness < 30


def test_flat_pictures_have_no_sharpness() -> None:
    """Without contrast nothing is sharp, and black and white are the ends of brightness."""
    black = measure(FaceImage(np.zeros((112, 112, 3), np.uint8)))
    white = measure(FaceImage(np.full((112, 112, 3), 255, np.uint8)))
    assert (black.brightness, black.sharpness) == (0, 0)
    assert (white.brightness, white.sharpness) == (100, 0)


GOOD = {"box": Box(0, 0, 200, 200), "confidence": 99.5, "pose": Pose(0, 0, 0), "quality": Quality(50, 60)}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"pose": Pose(0, 80, 0)}, QualityReason.EXTREME_POSE),
        ({"pose": Pose(0, 0, -70)}, QualityReason.EXTREME_POSE),
        ({"quality": Quality(3, 60)}, QualityReason.LOW_BRIGHTNESS),
        ({"quality": Quality(99, 60)}, QualityReason.LOW_FACE_QUALITY),
        ({"quality": Quality(50, 2)}, QualityReason.LOW_SHARPNESS),
        ({"confidence": 60.0}, QualityReason.LOW_CONFIDENCE),
        ({"box": Box(0, 0, 12, 16)}, QualityReason.SMALL_BOUNDING_BOX),
    ],
)
def test_each_fault_has_its_reason(faces: dict[str, Face], change: dict[str, object], reason: QualityReason) -> None:
    """One fault gives its one reason at every level but NONE; a faultless face gives none."""
    good = replace(faces["collins"], **GOOD)
    bad = replace(good, **change)
    for level in QualityFilter:
        assert reasons(good, level) == ()
        assert reasons(bad, level) == (() if level is QualityFilter.NONE else (reason,))


def test_levels_grow_stricter(faces: dict[str, Face]) -> None:
    """What a level refuses, every higher one refuses too."""
    rng = np.random.default_rng(6)
    order = [QualityFilter.LOW, QualityFilter.AUTO, QualityFilter.MEDIUM, QualityFilter.HIGH]
    refused = []
    for _ in range(300):
        side = float(rng.uniform(10, 120))
        face = replace(
            faces["collins"],
            box=Box(0, 0, side, side),
            confidence=float(rng.uniform(60, 100)),
            pose=Pose(0, float(rng.uniform(-90, 90)), float(rng.uniform(-70, 70))),
            quality=Quality(float(rng.uniform(0, 100)), float(rng.uniform(0, 60))),
        )
        found = [bool(reasons(face, level)) for level in order]
        assert found == sorted(found)
        refused.append(found)
    assert 0 < sum(r[0] for r in refused) < sum(r[-1] for r in refused)
