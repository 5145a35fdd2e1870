# SPDX-License-Identifier: Apache-2.0
"""The shape of a face: MediaPipe's mesh of 468 points, named landmarks and the pose of the head from it.

The mesh network (Kartynnik et al. 2019) sees a square of one and a half times the box, eyes level, and answers with
points and with the probability that it looks at a face. It is asked twice: the second square is set by the first
mesh, as in a video the next frame's is by the last, which is what the network was made for. That levels faces that
are turned by up to 45 degrees, and steadies the points that alignment rests on.

Left and right are the image's, as in Rekognition: ``eyeLeft`` is the eye with the smaller x when the head is
upright. MediaPipe numbers points as on its canonical face model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from custodes.domain import Box, Face, Float32, Landmarks, Pose, UInt8
from custodes.vision.align import Matrix, five_points, piece, square
from custodes.vision.decoders import Detections
from custodes.vision.manifest import ModelSpec
from custodes.vision.session import Model
from custodes.vision.tensor import tensor

__all__ = [
    "ALL_NAMES",
    "FIVE_NAMES",
    "FaceMesh",
    "Meshes",
    "all_landmarks",
    "five_landmarks",
    "pose",
    "scaled",
    "squares_of",
    "to_picture",
]

FIVE_NAMES = ("eyeLeft", "eyeRight", "nose", "mouthLeft", "mouthRight")
"""Rekognition's landmarks of a face without further attributes."""

_NAMED: dict[str, tuple[int, ...]] = {
    "leftEyeBrowLeft": (70, 46),
    "leftEyeBrowRight": (107, 55),
    "leftEyeBrowUp": (105,),
    "rightEyeBrowLeft": (336, 285),
    "rightEyeBrowRight": (300, 276),
    "rightEyeBrowUp": (334,),
    "leftEyeLeft": (33,),
    "leftEyeRight": (133,),
    "leftEyeUp": (159,),
    "leftEyeDown": (145,),
    "rightEyeLeft": (362,),
    "rightEyeRight": (263,),
    "rightEyeUp": (386,),
    "rightEyeDown": (374,),
    "noseLeft": (129,),
    "noseRight": (358,),
    "mouthUp": (0,),
    "mouthDown": (17,),
}
_JAW: dict[str, tuple[int, ...]] = {
    "upperJawlineLeft": (127,),
    "midJawlineLeft": (172,),
    "chinBottom": (152,),
    "midJawlineRight": (397,),
    "upperJawlineRight": (356,),
}
_PUPILS = ("leftPupil", "rightPupil")

ALL_NAMES = (*FIVE_NAMES, *_NAMED, *_PUPILS, *_JAW)
"""Rekognition's thirty landmarks; without an iris model there are no pupils and 28."""

POINTS = 468
REACH = 1.5
"""Side of the network's square over the longer side of the face, as MediaPipe takes it."""
_BATCH = 16
"""Faces of one run; more are no faster each and cost memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Meshes:
    """Meshes of several faces.

    Attributes:
        points: ``(n, 468, 3)`` float32: x and y in pixels of the picture; z, the depth, in the same unit (smaller
            is nearer).
        likely: ``(n,)`` float32, 0..1: that this is a face in about this position.
    """

    points: Float32
    likely: Float32


class FaceMesh:
    """The mesh network; may be shared by threads."""

    def __init__(self, model: Model, spec: ModelSpec) -> None:
        self._model = model
        self._input = spec.input
        self._size = spec.input.size[0] if spec.input.size else 192
        self._batch = 1 if model.fixed_batch else _BATCH

    def fit(self, pixels: UInt8, detections: Detections) -> Meshes:
        """Fit a mesh to each face that was detected, starting from the box and the line of the eyes."""
        if not len(detections):
            return Meshes(np.empty((0, POINTS, 3), np.float32), np.empty(0, np.float32))
        eyes = detections.points[:, 1] - detections.points[:, 0]
        angles = np.arctan2(eyes[:, 1], eyes[:, 0])
        sides = detections.sides.max(axis=1) * REACH
        points, first = self._run(pixels, detections.centres, sides, angles)
        points, second = self._run(pixels, *squares_of(points))
        return Meshes(points, np.maximum(first, second))

    def _run(self, pixels: UInt8, centres: Float32, sides: Float32, angles: Float32) -> tuple[Float32, Float32]:
        squares = [square(c, float(s), float(a), self._size) for c, s, a in zip(centres, sides, angles, strict=True)]
        found, likely = [], []
        for i in range(0, len(squares), self._batch):
            pieces = [piece(pixels, m, self._size) for m in squares[i : i + self._batch]]
            outputs = dict(zip(self._model.outputs, self._model.run(tensor(pieces, self._input)), strict=True))
            found.append(outputs["mesh"].reshape(len(pieces), POINTS, 3))
            likely.append(outputs["flag"].reshape(len(pieces)))
        points = [to_picture(f, m) for f, m in zip(np.concatenate(found), squares, strict=True)]
        return np.stack(points), np.concatenate(likely)


def to_picture(points: Float32, matrix: Matrix) -> Float32:
    """Return points ``(n, 2 or 3)`` of a square in pixels of the picture; depth is scaled alike."""
    scale = math.hypot(matrix[0, 0], matrix[1, 0])
    turn = matrix[:, :2] / scale
    made = points.astype(np.float64) / scale
    made[:, :2] = (points[:, :2] - matrix[:, 2]) @ turn / scale
    return made.astype(np.float32)


def squares_of(points: Float32) -> tuple[Float32, Float32, Float32]:
    """Return centre, side and angle of the square of each mesh."""
    five = five_points(points)
    eyes = five[:, 1] - five[:, 0]
    angles = np.arctan2(eyes[:, 1], eyes[:, 0])
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    x, y = points[..., 0], points[..., 1]
    along, down = x * cos + y * sin, y * cos - x * sin
    middle = (along.max(axis=1) + along.min(axis=1)) / 2, (down.max(axis=1) + down.min(axis=1)) / 2
    sides = np.maximum(np.ptp(along, axis=1), np.ptp(down, axis=1)) * REACH
    cos, sin = cos[:, 0], sin[:, 0]
    centres = np.stack([middle[0] * cos - middle[1] * sin, middle[0] * sin + middle[1] * cos], axis=1)
    return centres.astype(np.float32), sides.astype(np.float32), angles.astype(np.float32)


def five_landmarks(mesh: Float32) -> Landmarks:
    """Return Rekognition's five landmarks of one ``(468, 3)`` mesh."""
    return Landmarks(FIVE_NAMES, five_points(mesh))


def all_landmarks(mesh: Float32, pupils: Float32 | None = None) -> Landmarks:
    """Return all landmarks of one mesh.

    Args:
        mesh: ``(468, 3)``.
        pupils: ``(2, 2)`` float32, the left and the right pupil, when they are known.
    """
    named = [mesh[list(_NAMED[n]), :2].mean(axis=0) for n in _NAMED]
    jaw = [mesh[list(_JAW[n]), :2].mean(axis=0) for n in _JAW]
    eyes = [] if pupils is None else list(pupils)
    names = ALL_NAMES if pupils is not None else tuple(n for n in ALL_NAMES if n not in _PUPILS)
    return Landmarks(
        names, np.concatenate([five_points(mesh), named, *([eyes] if eyes else []), jaw], dtype=np.float32)
    )


def pose(mesh: Float32) -> Pose:
    """Return the rotation of the head: the face's own axes, cheek to cheek and chin to forehead, in space."""
    across = mesh[454] - mesh[234]
    up = mesh[10] - mesh[152]
    roll = math.atan2(across[1], across[0])
    yaw = math.atan2(across[2], math.hypot(across[0], across[1]))
    pitch = math.atan2(up[2], math.hypot(up[0], up[1]))
    return Pose(roll=math.degrees(roll), yaw=math.degrees(yaw), pitch=math.degrees(pitch))


def scaled(face: Face, factor: float) -> Face:
    """Return a face with all coordinates multiplied: the same face in the frame of a larger or smaller picture."""
    box, times = face.box, np.float32(factor)
    five, rest = face.landmarks, face.all_landmarks
    return replace(
        face,
        box=Box(box.left * factor, box.top * factor, box.width * factor, box.height * factor),
        landmarks=Landmarks(five.names, five.points * times),
        all_landmarks=None if rest is None else Landmarks(rest.names, rest.points * times),
        mesh=face.mesh * times,
    )
