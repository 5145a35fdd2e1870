# SPDX-License-Identifier: Apache-2.0
"""What a face looks like, as far as a freely licensed model says it honestly; ``docs/attributes.md`` gives the facts.

Perceived gender and facial expression are answered only where the operator has switched them on. There is no race
or ethnicity, and there will be none. A confidence is the network's own probability; where a length decides (eyes,
mouth) it is a logistic scale around the deciding length and says how clear the answer is, not how often it is right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from custodes.config import Vision
from custodes.domain import AttributeName, Attributes, AttributeSet, BinaryAttribute, Float32, UInt8
from custodes.vision.align import Matrix, piece, similarity_transform, square
from custodes.vision.landmarks import squares_of, to_picture
from custodes.vision.pack import Pack
from custodes.vision.tensor import tensor

__all__ = ["AttributeReader", "Looks"]

_DLIB_FIVE: Float32 = np.array(
    [
        [0.8595674595992, 0.2134981538014],
        [0.6460604764104, 0.2289674387677],
        [0.1205750620789, 0.2137274526848],
        [0.3340850613712, 0.2290642403242],
        [0.4901123135679, 0.6277975316475],
    ],
    np.float32,
)
"""Where dlib's face chips have the outer and inner corner of either eye and the base of the nose (King 2009)."""
_DLIB_MESH = (263, 362, 33, 133, 2)
_DLIB_PADDING = 0.2
_AGE_MARGIN = 6
"""Years on either side of the mean: the network's own spread is too sure of itself."""
_OLDEST = 100
_FEMALE, _MALE = 0, 1

_EXPRESSIONS = ("CALM", "HAPPY", "SAD", "ANGRY", "FEAR", "DISGUSTED", "SURPRISED")
"""Rekognition's names in the order of the network's classes (neutral, happy, sad, angry, fearful, disgusted,
surprised)."""
_HAPPY = _EXPRESSIONS.index("HAPPY")
_EXPRESSION_REACH = 1.15 / 1.5
"""Side of the expression network's square over that of the mesh's."""

_EYE_CLOSED, _EYE_SCALE = 0.06, 0.02
"""Gap between the lids over the eye's width at which an eye counts as closed."""
_MOUTH_OPEN, _MOUTH_SCALE = 0.10, 0.03
"""Gap between the lips over the mouth's width from which a mouth counts as open."""
_BATCH = 16
"""Faces of one run; more are no faster each and cost memory."""
_LIPS_UP, _LIPS_DOWN, _LIPS_LEFT, _LIPS_RIGHT = 13, 14, 78, 308


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """What was found out of one face: attributes, and the pupils ``(2, 2)`` float32 when they were sought."""

    attributes: Attributes
    pupils: Float32 | None


class AttributeReader:
    """The attribute networks of a pack, opened when they are first needed; may be shared by threads."""

    def __init__(self, pack: Pack, config: Vision) -> None:
        self._pack = pack
        self._gender = config.gender
        self._emotion = config.emotion

    def read(self, pixels: UInt8, meshes: Float32, wanted: AttributeSet) -> tuple[Looks, ...]:
        """Find out what is wanted of each face.

        Args:
            pixels: ``(h, w, 3)`` uint8, BGR.
            meshes: ``(n, 468, 3)`` float32.
            wanted: attributes, and whether pupils are needed for all landmarks.
        """
        if not len(meshes):
            return ()
        names = wanted.names
        n = len(meshes)
        ages: Sequence[tuple[int, int] | None] = [None] * n
        men: Sequence[BinaryAttribute | None] = [None] * n
        moods: Sequence[Float32 | None] = [None] * n
        eyes: Sequence[BinaryAttribute | None] = [None] * n
        pupils: Sequence[Float32 | None] = [None] * n
        if AttributeName.AGE_RANGE in names and self._pack.has("age"):
            ages = self._ages(pixels, meshes)
        if AttributeName.GENDER in names and self._gender and self._pack.has("gender"):
            men = self._men(pixels, meshes)
        emotion = AttributeName.EMOTIONS in names and self._emotion
        smile = AttributeName.SMILE in names
        if (emotion or smile) and self._pack.has("expression"):
            moods = list(self._expressions(pixels, meshes))
        if (wanted.landmarks or AttributeName.EYES_OPEN in names) and self._pack.has("eyes"):
            eyes, pupils = self._eyes(pixels, meshes)
        return tuple(
            Looks(
                Attributes(
                    age=age,
                    smile=_binary(float(mood[_HAPPY])) if smile and mood is not None else None,
                    eyes_open=eye if AttributeName.EYES_OPEN in names else None,
                    mouth_open=_mouth(mesh) if AttributeName.MOUTH_OPEN in names else None,
                    male=man,
                    expression=_emotions(mood) if emotion and mood is not None else None,
                ),
                pupil,
            )
            for age, man, mood, eye, pupil, mesh in zip(ages, men, moods, eyes, pupils, meshes, strict=True)
        )

    def _run(self, role: str, pixels: UInt8, squares: Sequence[Matrix]) -> dict[str, Float32]:
        """Run a role's network on squares of the picture; outputs by name, a row for each."""
        model, spec = self._pack.model(role), self._pack.spec(role).input
        size = spec.size[0] if spec.size else 0
        batch = 1 if model.fixed_batch else _BATCH
        rows: dict[str, list[Float32]] = {name: [] for name in model.outputs}
        for i in range(0, len(squares), batch):
            pieces = [piece(pixels, m, size) for m in squares[i : i + batch]]
            for name, output in zip(model.outputs, model.run(tensor(pieces, spec)), strict=True):
                rows[name].append(output.reshape(len(pieces), -1))
        return {name: np.concatenate(parts) for name, parts in rows.items()}

    def _chips(self, role: str, meshes: Float32) -> list[Matrix]:
        """Return dlib's face chips: its five points in the role's square, with padding."""
        size = self._pack.spec(role).input.size
        side = size[0] if size else 0
        target = np.asarray((_DLIB_FIVE + _DLIB_PADDING) / (2 * _DLIB_PADDING + 1) * side, np.float32)
        return [similarity_transform(mesh[list(_DLIB_MESH), :2], target) for mesh in meshes]

    def _ages(self, pixels: UInt8, meshes: Float32) -> list[tuple[int, int]]:
        (shares,) = self._run("age", pixels, self._chips("age", meshes)).values()
        means = shares @ np.arange(shares.shape[1], dtype=np.float32)
        return [(max(0, round(m) - _AGE_MARGIN), min(_OLDEST, round(m) + _AGE_MARGIN)) for m in means.tolist()]

    def _men(self, pixels: UInt8, meshes: Float32) -> list[BinaryAttribute]:
        (shares,) = self._run("gender", pixels, self._chips("gender", meshes)).values()
        return [_binary(float(row[_MALE] / max(row[_MALE] + row[_FEMALE], 1e-6))) for row in shares]

    def _expressions(self, pixels: UInt8, meshes: Float32) -> Float32:
        size = self._pack.spec("expression").input.size
        centres, sides, angles = squares_of(meshes)
        squares = [
            square(c, float(s) * _EXPRESSION_REACH, float(a), size[0] if size else 0)
            for c, s, a in zip(centres, sides, angles, strict=True)
        ]
        (shares,) = self._run("expression", pixels, squares).values()
        return shares

    def _eyes(self, pixels: UInt8, meshes: Float32) -> tuple[list[BinaryAttribute], list[Float32]]:
        """Return whether both eyes are open, and the pupils."""
        size = self._pack.spec("eyes").input.size
        squares = [
            square(c, float(s), float(a), size[0] if size else 0) for c, s, a in zip(*squares_of(meshes), strict=True)
        ]
        found = self._run("eyes", pixels, squares)
        opened, pupils = [], []
        for i, matrix in enumerate(squares):
            gaps = [_lid_gap(found[eye][i].reshape(71, 2)) for eye in ("left_eye", "right_eye")]
            opened.append(_binary(_logistic(max(gaps), _EYE_CLOSED, _EYE_SCALE)))
            centres = np.stack([found[iris][i].reshape(5, 2)[0] for iris in ("left_iris", "right_iris")])
            placed = to_picture(centres, matrix)
            order = np.argsort(centres[:, 0])
            pupils.append(placed[order])
        return opened, pupils


def _binary(probability: float) -> BinaryAttribute:
    return BinaryAttribute(probability >= 0.5, min(100.0, 100 * max(probability, 1 - probability)))


def _logistic(value: float, middle: float, scale: float) -> float:
    return 1 / (1 + math.exp(-max(-50.0, min(50.0, (value - middle) / scale))))


def _lid_gap(eye: Float32) -> float:
    """Return the widest gap between the lids over the eye's width, of the attention mesh's 71 points of an eye."""
    lower, upper = eye[1:8], eye[9:16]
    width = float(np.linalg.norm(eye[0] - eye[8]))
    return float(np.abs(lower[:, 1] - upper[:, 1]).max()) / max(width, 1e-6)


def _mouth(mesh: Float32) -> BinaryAttribute:
    gap = float(np.linalg.norm(mesh[_LIPS_UP, :2] - mesh[_LIPS_DOWN, :2]))
    width = float(np.linalg.norm(mesh[_LIPS_LEFT, :2] - mesh[_LIPS_RIGHT, :2]))
    return _binary(_logistic(gap / max(width, 1e-6), _MOUTH_OPEN, _MOUTH_SCALE))


def _emotions(shares: Float32) -> tuple[tuple[str, float], ...]:
    """Return Rekognition's emotion names with percentages, the likeliest first."""
    order = np.argsort(-shares)
    return tuple((_EXPRESSIONS[i], min(100.0, 100 * float(shares[i]))) for i in order)
