# SPDX-License-Identifier: Apache-2.0
"""Masks and glasses cover what is said, look alike on all skins, and change nothing else."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from tests.evaluation.damage import BY_NAME, small_portrait, worse

from custodes.domain import Box, Face, UInt8
from custodes.errors import Invalid
from custodes.evaluation.light import LINEAR
from custodes.vision.engine import Engine


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


def at(pixels: UInt8, face: Face, point: int) -> np.ndarray:
    """Return the mean of 3 x 3 pixels at a point of the mesh."""
    x, y = np.round(face.mesh[point, :2]).astype(int)
    return pixels[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3).mean(axis=0)


def light(pixels: UInt8, face: Face, point: int) -> np.ndarray:
    """Return the light there."""
    return LINEAR[np.round(at(pixels, face, point)).astype(int)]


@pytest.mark.parametrize(
    ("level", "bare", "covered"),
    [(16, (14, 1, 4, 168), (200, 199)), (43, (1, 4, 168), (14, 164)), (50, (6, 168), (14, 1)), (60, (168,), (14, 4))],
)
def test_a_mask_covers_what_is_said_and_no_more(
    portrait: UInt8, face: Face, level: float, bare: tuple[int, ...], covered: tuple[int, ...]
) -> None:
    """Cloth is light blue where the mask is; eyes, forehead and what is above its edge stay as they are."""
    made = worse("mask", level, portrait, face)
    for point in (*bare, 10, 33, 133, 362, 263, 159, 386):
        assert np.abs(at(made, face, point) - at(portrait, face, point)).max() < 1
    for point in covered:
        red, _, blue = at(made, face, point)
        assert blue > red + 15


def test_more_of_the_mask_is_more_of_the_face(portrait: UInt8, face: Face) -> None:
    """Each level covers more pixels than the one before."""
    levels = [level.value for level in BY_NAME["mask"].levels[1:]]
    changed = [(worse("mask", v, portrait, face) != portrait).any(axis=2).sum() for v in levels]
    assert all(a < b for a, b in itertools.pairwise(changed))


def test_masks_have_one_colour_for_all_skins(portrait: UInt8, face: Face) -> None:
    """A darker face in the same light gets the same mask."""
    left, top = round(face.box.left), round(face.box.top)
    right, foot = round(face.box.right), round(face.box.bottom)
    darker = portrait.copy()
    darker[top:foot, left:right] = darker[top:foot, left:right] * 0.5
    pair = [at(worse("mask", 60, pixels, face), face, 14) for pixels in (portrait, darker)]
    assert pair[0] == pytest.approx(pair[1], rel=0.05)


@pytest.mark.parametrize("level", [8, 50, 85, 97])
def test_lenses_stop_the_stated_light_and_nothing_else_changes(portrait: UInt8, face: Face, level: float) -> None:
    """Skin below the eyes gets darker by the share, less a faint reflection; mouth, chin and forehead stay."""
    made = worse("glasses", level, portrait, face)
    for point in (230, 450):
        ratio = light(made, face, point) / light(portrait, face, point)
        assert 1 - level / 100 - 0.02 <= ratio.mean() <= 1 - level / 100 + 0.12
    for point in (14, 1, 152, 10):
        assert np.abs(at(made, face, point) - at(portrait, face, point)).max() < 1


@pytest.mark.parametrize("name", ["mask", "glasses"])
@pytest.mark.parametrize(("dx", "dy"), [(-180, 0), (170, 0), (0, -150), (0, 350), (900, 900), (-900, -900)])
def test_what_is_drawn_on_a_face_that_leaves_the_picture_is_cut_off(
    portrait: UInt8, face: Face, name: str, dx: float, dy: float
) -> None:
    """A mesh that lies outside in part, or wholly, changes only what is inside."""
    mesh = face.mesh + np.array([dx, dy, 0], np.float32)
    moved = replace(face, mesh=mesh, box=Box(face.box.left + dx, face.box.top + dy, face.box.width, face.box.height))
    made = BY_NAME[name].worse(portrait, moved, BY_NAME[name].levels[-1], 1)
    assert made.shape == portrait.shape
    share = (made != portrait).any(axis=2).mean()
    assert share == 0 if abs(dx) == 900 else share < 0.12


def test_a_mask_that_nobody_wears_is_refused(portrait: UInt8, face: Face) -> None:
    """There are four ways to wear one, and the error names them."""
    with pytest.raises(Invalid, match="16, 43, 50, 60 %"):
        BY_NAME["mask"].change(portrait, face, 30, np.random.default_rng(1))
