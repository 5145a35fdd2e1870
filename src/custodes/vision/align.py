# SPDX-License-Identifier: Apache-2.0
"""Square pieces of a picture, turned and scaled: for the mesh, for the embedder, for the attribute networks.

An embedder sees faces in one position: five points (eyes, tip of the nose, corners of the mouth) are brought, as
nearly as turning, scaling and moving can, to the places where ArcFace (Deng et al. 2019) put them. The best such
move in the least-squares sense is Umeyama's (IEEE PAMI 13(4), 1991). Matrices are ``(2, 3)`` float64 and map
pixels of the picture to pixels of the piece; pixel centres have whole coordinates.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from custodes.domain import FaceImage, Float32, UInt8
from custodes.errors import Invalid

__all__ = ["ARCFACE_112", "aligned", "five_points", "piece", "similarity_transform", "square"]

Matrix = npt.NDArray[np.float64]

ARCFACE_112: Float32 = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    np.float32,
)
"""``(5, 2)``: where ArcFace's 112 x 112 faces have eyes, nose and mouth corners (InsightFace's ``arcface_dst``)."""

_ALIASING = 0.5
"""Below so many piece pixels per picture pixel, bilinear sampling skips pixels: average them first."""

_FIVE_OF_MESH = ((33, 133), (362, 263), (1, 4), (61,), (291,))
"""The mesh's points whose mean is each of the five: corners of the eyes, tip of the nose, corners of the mouth."""
_FIVE: Float32 = np.zeros((5, 468), np.float32)
for _row, _points in enumerate(_FIVE_OF_MESH):
    _FIVE[_row, list(_points)] = 1 / len(_points)


def five_points(mesh: Float32) -> Float32:
    """Return the five points of alignment of one ``(468, 3)`` mesh, or of ``(n, 468, 3)``: ``(..., 5, 2)``.

    An eye is the mean of its corners, which holds still when it blinks.
    """
    return np.asarray(_FIVE @ mesh, np.float32)[..., :2]


def similarity_transform(source: Float32, target: Float32) -> Matrix:
    """Return the turn, scale and move that bring ``source`` nearest to ``target`` (Umeyama, eq. 40-42).

    Args:
        source: ``(n, 2)``, n >= 2.
        target: ``(n, 2)``.

    Raises:
        Invalid: if all points of ``source`` are one, or shapes differ.
    """
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 2 or len(source) < 2:
        raise Invalid(f"Two equal (n, 2) sets of points are needed, got {source.shape} and {target.shape}.")
    a, b = source.astype(np.float64), target.astype(np.float64)
    a_mean, b_mean = a.mean(axis=0), b.mean(axis=0)
    a, b = a - a_mean, b - b_mean
    # In the plane the singular value decomposition has a closed form: as complex numbers, b ~ c * a.
    energy = float((a * a).sum())
    if energy < 1e-12:
        raise Invalid("All points are one: no transform is best.")
    cosine = float((a * b).sum()) / energy
    sine = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()) / energy
    turn = np.array([[cosine, -sine], [sine, cosine]])
    return np.column_stack([turn, b_mean - turn @ a_mean])


def square(centre: Float32, side: float, angle: float, size: int) -> Matrix:
    """Return the matrix of a square piece.

    Args:
        centre: ``(2,)``, its middle in the picture.
        side: its side in picture pixels.
        angle: by how many radians its upper edge is turned clockwise in the picture.
        size: its side in piece pixels.
    """
    scale = size / side
    c, s = math.cos(angle) * scale, math.sin(angle) * scale
    middle = (size - 1) / 2
    x, y = float(centre[0]), float(centre[1])
    return np.array([[c, s, middle - c * x - s * y], [-s, c, middle + s * x - c * y]])


def piece(pixels: UInt8, matrix: Matrix, size: int) -> UInt8:
    """Sample a ``(size, size, 3)`` piece; what lies outside of the picture is black.

    Where the piece is much smaller than what it shows, the picture is averaged down first, only there.
    """
    scale = math.hypot(matrix[0, 0], matrix[1, 0])
    if scale >= _ALIASING:
        return np.asarray(cv2.warpAffine(pixels, matrix, (size, size), flags=cv2.INTER_LINEAR), np.uint8)
    shrink = round(1 / scale)
    left, top, right, bottom = _reach(matrix, size, margin=2 * shrink)
    height, width = pixels.shape[:2]
    left, top = max(0, left), max(0, top)
    columns, rows = (min(width, right) - left) // shrink, (min(height, bottom) - top) // shrink
    if columns < 1 or rows < 1:
        return np.zeros((size, size, 3), np.uint8)
    cut = pixels[top : top + rows * shrink, left : left + columns * shrink]
    small = cv2.resize(cut, (columns, rows), interpolation=cv2.INTER_AREA)
    # From the small picture's pixel centres to the picture's.
    up = np.array([[shrink, 0, (shrink - 1) / 2 + left], [0, shrink, (shrink - 1) / 2 + top], [0, 0, 1]])
    return np.asarray(cv2.warpAffine(small, matrix @ up, (size, size), flags=cv2.INTER_LINEAR), np.uint8)


def _reach(matrix: Matrix, size: int, margin: int) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of what a piece shows, in whole picture pixels, with a margin."""
    back = cv2.invertAffineTransform(matrix)
    half = size / 2
    (x, y), (w, h) = back @ [half, half, 1], np.abs(back[:, :2]).sum(axis=1) * half
    return (
        math.floor(x - w) - margin,
        math.floor(y - h) - margin,
        math.ceil(x + w) + margin,
        math.ceil(y + h) + margin,
    )


def aligned(pixels: UInt8, mesh: Float32) -> FaceImage:
    """Return the face of one ``(468, 3)`` mesh in ArcFace's position, from ``(h, w, 3)`` BGR pixels."""
    matrix = similarity_transform(five_points(mesh), ARCFACE_112)
    return FaceImage(np.ascontiguousarray(piece(pixels, matrix, 112)[:, :, ::-1]))
