# SPDX-License-Identifier: Apache-2.0
"""Photos get worse by as much as is said, in the same way each time, and nowhere else."""

from __future__ import annotations

import itertools
from dataclasses import replace

import cv2
import numpy as np
import pytest
from tests.evaluation.damage import BY_NAME, small_portrait, worse

from custodes.domain import Box, Face, UInt8
from custodes.errors import Invalid
from custodes.evaluation.light import LINEAR
from custodes.evaluation.strains import KINDS, Kind, Level
from custodes.evaluation.worn import longer_side
from custodes.vision.engine import Engine
from custodes.vision.landmarks import scaled

WORSE = [(kind, level) for kind in KINDS for level in kind.levels[1:]]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.default()


@pytest.fixture(scope="module")
def portrait(engine: Engine) -> UInt8:
    return small_portrait(engine)


@pytest.fixture(scope="module")
def face(engine: Engine, portrait: UInt8) -> Face:
    [found] = engine.detect(portrait)
    return found


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.name)
def test_the_first_level_of_every_kind_is_the_photo_as_it_is(kind: Kind, portrait: UInt8, face: Face) -> None:
    """No pixel differs, and the table says "as it is"."""
    assert kind.worse(portrait, face, kind.levels[0], 1) is portrait
    assert kind.levels[0].words == "as it is"


@pytest.mark.parametrize(("kind", "level"), WORSE, ids=[f"{k.name}-{v.value:g}" for k, v in WORSE])
def test_every_other_level_changes_a_copy_and_is_the_same_again(
    kind: Kind, level: Level, portrait: UInt8, face: Face
) -> None:
    """RGB comes out of RGB, the photo that was given stays, and a second time gives the same bytes."""
    before = portrait.copy()
    made = kind.worse(portrait, face, level, 7)
    assert made.dtype == np.uint8
    assert made.ndim == 3
    assert made.shape[2] == 3
    assert made.shape != portrait.shape or (made != portrait).any()
    assert (portrait == before).all()
    assert (made == kind.worse(portrait, face, level, 7)).all()


def test_levels_and_words_are_told_apart() -> None:
    """No two kinds share a name, no two levels of a kind a value or words."""
    assert len(BY_NAME) == len(KINDS) == 9
    for kind in KINDS:
        assert len({level.value for level in kind.levels}) == len({level.words for level in kind.levels})
        assert len({level.value for level in kind.levels}) == len(kind.levels)


def test_noise_depends_on_seed_photo_and_level_alone(portrait: UInt8, face: Face) -> None:
    """Another seed gives other noise, a second photo doesn't get the first one's."""
    flat = np.full((60, 60, 3), 128, np.uint8)
    other = np.full((60, 60, 3), 129, np.uint8)
    first = worse("noise", 20, flat, face).astype(int) - 128
    assert (worse("noise", 20, flat, face, seed=2) != worse("noise", 20, flat, face)).any()
    assert (worse("noise", 20, other, face).astype(int) - 129 != first).mean() > 0.9
    assert (worse("noise", 20, portrait, face) == worse("noise", 20, portrait, face)).all()


def test_noise_has_the_stated_strength(face: Face) -> None:
    """Its standard deviation on grey is the level, its mean nothing."""
    flat = np.full((300, 300, 3), 128, np.uint8)
    for level in (5, 10, 20, 30):
        added = worse("noise", level, flat, face).astype(float) - 128
        assert added.std() == pytest.approx(level, rel=0.02)
        assert added.mean() == pytest.approx(0, abs=0.02 * level)


def test_blur_is_measured_by_the_face(face: Face) -> None:
    """An edge becomes a Gaussian's, with the level as sigma where the face has 112 pixels, and twice that with 224."""
    edge = np.zeros((8, 400, 3), np.uint8)
    edge[:, 200:] = 255
    square = replace(face, box=Box(0, 0, 80, 112))
    for by, level in itertools.product((1, 2), (2, 4, 8)):
        profile = worse("blur", level, edge, scaled(square, by))[4, :, 0].astype(float)
        steps, x = np.diff(profile), np.arange(399)
        mean = (steps * x).sum() / steps.sum()
        sigma = np.sqrt((steps * (x - mean) ** 2).sum() / steps.sum())
        assert sigma == pytest.approx(level * by, rel=0.05)


def test_low_light_keeps_the_stated_share_of_light_and_loses_the_rest_for_good(face: Face) -> None:
    """The mean of the linear light falls by the share; brightened again, it is noisier with every step."""
    flat = np.full((200, 200, 3), 188, np.uint8)  # half of white's light
    lost = []
    for level in (50, 25, 12, 6, 3):
        light = LINEAR[worse("low light", level, flat, face)]
        assert light.mean() == pytest.approx(LINEAR[flat].mean() * level / 100, rel=0.05)
        lost.append(light.std() / light.mean())
    assert all(b > a * 1.2 for a, b in itertools.pairwise(lost))
    # 1,000 x 3 % = 30 electrons: shot noise and 4 of read noise are (30 + 16) ** 0.5 of them.
    assert lost[-1] == pytest.approx((30 + 16) ** 0.5 / 30, rel=0.1)


def test_jpeg_departs_further_from_the_photo_the_lower_its_quality(portrait: UInt8, face: Face) -> None:
    """The mean error rises from level to level, colours staying in their order."""
    levels = [level.value for level in BY_NAME["JPEG"].levels[1:]]
    off = [np.abs(worse("JPEG", v, portrait, face).astype(int) - portrait).mean() for v in levels]
    assert levels == sorted(levels, reverse=True)
    assert all(a < b for a, b in itertools.pairwise(off))
    assert off[0] < 3


def test_grey_has_no_colour(portrait: UInt8, face: Face) -> None:
    """Red, green and blue are one, and are the luma."""
    made = worse("grey", 100, portrait, face)
    assert (made == made[:, :, :1]).all()
    assert (made[:, :, 0] == cv2.cvtColor(portrait, cv2.COLOR_RGB2GRAY)).mean() > 0.99


@pytest.mark.parametrize("level", [112, 64, 32, 24])
def test_a_face_gets_the_stated_size_in_a_picture_that_the_api_takes(
    engine: Engine, portrait: UInt8, face: Face, level: float
) -> None:
    """The face that is found has about so many pixels; no side of the picture has fewer than 80; the middle stays."""
    made = worse("size", level, portrait, face)
    [found] = engine.detect(made)
    assert longer_side(found) == pytest.approx(level, rel=0.15)
    assert min(made.shape[:2]) >= 80
    scale = level / longer_side(face)
    for side, total, before in ((0, made.shape[1], 320), (1, made.shape[0], 400)):
        middle = (found.mesh[:, side].mean() - total / 2) / scale
        assert middle == pytest.approx(face.mesh[:, side].mean() - before / 2, abs=2 / scale)


def test_faces_that_are_small_already_stay_as_they_are(portrait: UInt8, face: Face) -> None:
    """A photo is never enlarged."""
    small = worse("size", 80, portrait, face)
    assert (worse("size", 96, small, scaled(face, 80 / longer_side(face))) == small).all()


def test_a_quarter_turn_moves_pixels_and_loses_none(portrait: UInt8, face: Face) -> None:
    """90 degrees is clockwise and exact, 180 is upside down."""
    assert (worse("rotation", 90, portrait, face) == np.rot90(portrait, -1)).all()
    assert (worse("rotation", 180, portrait, face) == portrait[::-1, ::-1]).all()


@pytest.mark.parametrize("level", [15, 30, 45, 60, 135])
def test_a_turned_photo_is_whole_and_shows_its_face_once(
    engine: Engine, portrait: UInt8, face: Face, level: float
) -> None:
    """The picture grows, one face is found in it, and it is turned by so much."""
    made = worse("rotation", level, portrait, face)
    assert made.shape[0] * made.shape[1] > portrait.shape[0] * portrait.shape[1]
    [found] = engine.detect(made)
    turned = (found.pose.roll - face.pose.roll - level + 180) % 360 - 180
    assert abs(turned) < 4


def test_what_is_no_photo_or_no_level_is_refused(portrait: UInt8, face: Face) -> None:
    """Other shapes and types, and a kind with one level say so."""
    blur = BY_NAME["blur"]
    for wrong in (portrait[:, :, 0], portrait.astype(np.float32), np.zeros((5, 5, 4), np.uint8)):
        with pytest.raises(Invalid, match="uint8"):
            blur.worse(wrong, face, blur.levels[1], 1)
    with pytest.raises(Invalid, match="at least two"):
        replace(blur, levels=blur.levels[:1])
