# SPDX-License-Identifier: Apache-2.0
"""Alignment: golden places, the best similarity transform, and sampling without loss."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from skimage.transform import estimate_transform

from custodes.errors import Invalid
from custodes.vision.align import ARCFACE_112, aligned, five_points, piece, similarity_transform, square

RNG = np.random.default_rng(3)
WAVES = np.asarray(
    cv2.resize(RNG.integers(0, 256, (12, 16, 3), dtype=np.uint8), (640, 480), interpolation=cv2.INTER_CUBIC), np.uint8
)


def test_arcface_places_are_the_published_ones() -> None:
    """The five reference points are InsightFace's ``arcface_dst``, to the last digit."""
    published = [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
    assert np.array_equal(ARCFACE_112, np.array(published, np.float32))


def test_transform_is_umeyamas() -> None:
    """On noisy points the transform equals scikit-image's, which follows the paper."""
    for _ in range(50):
        source = RNG.uniform(-300, 300, (5, 2)).astype(np.float32)
        target = (ARCFACE_112 + RNG.normal(0, 4, (5, 2))).astype(np.float32)
        expected = estimate_transform("similarity", source.astype(np.float64), target.astype(np.float64)).params[:2]
        assert np.allclose(similarity_transform(source, target), expected, atol=1e-6)


def test_transform_recovers_what_was_done() -> None:
    """Points that were turned, scaled and moved are brought back exactly."""
    angle, scale, move = 0.7, 2.5, np.array([40.0, -7.0])
    turn = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    moved = (ARCFACE_112 @ turn.T + move).astype(np.float32)
    found = similarity_transform(moved, ARCFACE_112)
    assert np.allclose(moved @ found[:, :2].T + found[:, 2], ARCFACE_112, atol=1e-3)


def test_transform_refuses_points_that_are_one() -> None:
    """No transform is best where all points coincide, and sets must have one shape."""
    with pytest.raises(Invalid):
        similarity_transform(np.ones((5, 2), np.float32), ARCFACE_112)
    with pytest.raises(Invalid):
        similarity_transform(ARCFACE_112[:4], ARCFACE_112)


def test_square_maps_its_middle_and_its_corners() -> None:
    """A square turned clockwise has its upper edge along the turned axis."""
    matrix = square(np.array([100.0, 50.0], np.float32), 64.0, math.radians(90), 32)
    assert np.allclose(matrix @ [100, 50, 1], [15.5, 15.5])
    # The piece's right is the picture's down.
    assert np.allclose(matrix @ [100, 60, 1], [15.5 + 5, 15.5])


def test_a_piece_at_full_scale_is_the_picture() -> None:
    """Without scaling nothing is changed, and outside of the picture is black."""
    matrix = np.array([[1.0, 0, -100], [0, 1, -60]])
    assert np.array_equal(piece(WAVES, matrix, 64), WAVES[60:124, 100:164])
    outside = piece(WAVES, np.array([[1.0, 0, 1000], [0, 1, 1000]]), 64)
    assert not outside.any()
    assert not piece(WAVES, np.array([[0.1, 0, 1000], [0, 0.1, 1000]]), 64).any()


def test_a_small_piece_is_averaged_first() -> None:
    """A fine checkerboard becomes grey, not a moiré of black and white."""
    board = np.zeros((600, 600, 3), np.uint8)
    board[::2, ::2] = board[1::2, 1::2] = 255
    small = piece(board, square(np.array([300.0, 300.0], np.float32), 480.0, 0.2, 96), 96)
    assert np.abs(small.astype(int) - 127).max() < 12


@pytest.mark.parametrize("scale", [0.49, 0.31, 0.2, 0.07])
def test_shrinking_moves_nothing(scale: float) -> None:
    """Averaging down keeps places: the piece equals the smooth picture sampled at the same points."""
    smooth = np.asarray(cv2.GaussianBlur(WAVES, (0, 0), 3 / scale), np.uint8)
    size = int(400 * scale)
    matrix = square(np.array([322.0, 241.0], np.float32), 400.0, 0.3, size)
    direct = cv2.warpAffine(smooth, matrix, (size, size), flags=cv2.INTER_LINEAR)
    assert np.abs(piece(smooth, matrix, size).astype(int) - direct)[2:-2, 2:-2].mean() < 1.0


def test_eyes_are_the_means_of_their_corners() -> None:
    """The five points come from the mesh's corners of eyes and mouth and the tip of the nose."""
    mesh = np.zeros((468, 3), np.float32)
    mesh[[33, 133], 0] = 10, 30
    mesh[[362, 263], 0] = 50, 70
    mesh[[1, 4], 1] = 20, 22
    mesh[61, :2], mesh[291, :2] = (15, 60), (65, 60)
    assert five_points(mesh).tolist() == [[20, 0], [60, 0], [0, 21], [15, 60], [65, 60]]
    assert five_points(np.stack([mesh, mesh])).shape == (2, 5, 2)


def test_aligned_puts_the_points_in_their_places() -> None:
    """Marks painted at a face's five points are found at ArcFace's places, in RGB."""
    five = (ARCFACE_112 * 2.5 + [120, 30]).astype(np.float32)
    canvas = np.zeros((480, 640, 3), np.uint8)
    for x, y in five:
        cv2.circle(canvas, (round(float(x)), round(float(y))), 6, (255, 0, 0), cv2.FILLED)
    mesh = np.zeros((468, 3), np.float32)
    for indices, point in zip(((33, 133), (362, 263), (1, 4), (61,), (291,)), five, strict=True):
        mesh[list(indices), :2] = point
    face = aligned(canvas, mesh).pixels
    for x, y in ARCFACE_112:
        assert face[round(float(y)), round(float(x))].tolist() == [0, 0, 255]
