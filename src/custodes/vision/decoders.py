# SPDX-License-Identifier: Apache-2.0
"""What a detector network says, turned into boxes: pure functions on arrays, one a family of networks.

All three families look at the picture on grids of 8, 16 and 32 pixels; they differ in how a cell states its box.

- ``yunet`` (OpenCV Zoo, Wu et al. 2023): one anchor a cell; centre as an offset and size as a logarithm, both in
  strides; score is the root of class times objectness.
- ``scrfd`` (Guo et al. 2021): two anchors a cell; distances to the four edges and to the points, in strides.
- ``retinaface`` (Deng et al. 2019): two anchor sizes a cell; SSD's offsets with variances 0.1 and 0.2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from custodes.domain import Float32
from custodes.errors import Invalid

__all__ = ["DECODERS", "Decoder", "Detections", "decode_retinaface", "decode_scrfd", "decode_yunet"]

_STRIDES = (8, 16, 32)
_RETINAFACE_SIZES = ((16, 32), (64, 128), (256, 512))
_CENTRE_VARIANCE, _SIZE_VARIANCE = 0.1, 0.2
_LARGEST_LOG = 8.0
"""Cap on a size's logarithm, so that a broken network can't overflow."""


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Places that may hold a face.

    Attributes:
        boxes: ``(n, 4)`` float32: left, top, right, bottom in pixels.
        scores: ``(n,)`` float32, 0..1.
        points: ``(n, 5, 2)`` float32, x and y in pixels: the eye, then the other eye to its right when the head is
            upright, nose, mouth corners likewise.
    """

    boxes: Float32
    scores: Float32
    points: Float32

    def __post_init__(self) -> None:
        n = len(self.scores)
        if self.boxes.shape != (n, 4) or self.scores.shape != (n,) or self.points.shape != (n, 5, 2):
            raise Invalid(
                "Detections are (n, 4), (n,), (n, 5, 2), got "
                f"{self.boxes.shape}, {self.scores.shape}, {self.points.shape}."
            )

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, keep: npt.NDArray[np.intp] | npt.NDArray[np.bool_] | slice) -> Detections:
        return Detections(self.boxes[keep], self.scores[keep], self.points[keep])

    @classmethod
    def none(cls) -> Detections:
        """Return no detection."""
        return cls(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty((0, 5, 2), np.float32))

    @classmethod
    def joined(cls, parts: Sequence[Detections]) -> Detections:
        """Return all detections of ``parts``, in their order."""
        if not parts:
            return cls.none()
        return cls(
            np.concatenate([p.boxes for p in parts]),
            np.concatenate([p.scores for p in parts]),
            np.concatenate([p.points for p in parts]),
        )

    @property
    def centres(self) -> Float32:
        """``(n, 2)`` float32, the middle of each box."""
        return np.asarray((self.boxes[:, :2] + self.boxes[:, 2:]) / 2, np.float32)

    @property
    def sides(self) -> Float32:
        """``(n, 2)`` float32, width and height of each box."""
        return self.boxes[:, 2:] - self.boxes[:, :2]

    def scaled(self, factor: float) -> Detections:
        """Return the detections with all coordinates multiplied."""
        return Detections(self.boxes * np.float32(factor), self.scores, self.points * np.float32(factor))

    def shifted(self, dx: float, dy: float) -> Detections:
        """Return the detections moved by ``dx, dy`` pixels."""
        by = np.array([dx, dy], np.float32)
        return Detections(self.boxes + np.tile(by, 2), self.scores, self.points + by)

    def distinct(self, overlap: float) -> npt.NDArray[np.intp]:
        """Return which detections overlap no better one, best first (greedy suppression).

        Args:
            overlap: the largest intersection over union that two distinct faces may have.
        """
        left = np.argsort(-self.scores, kind="stable")
        kept = []
        area = self.sides.prod(axis=1)
        while left.size:
            best, left = left[0], left[1:]
            kept.append(best)
            corner = np.maximum(self.boxes[best, :2], self.boxes[left, :2])
            other = np.minimum(self.boxes[best, 2:], self.boxes[left, 2:])
            shared = np.clip(other - corner, 0, None).prod(axis=1)
            left = left[shared <= overlap * (area[best] + area[left] - shared)]
        return np.array(kept, np.intp)


Outputs = Mapping[str, Float32]
Decoder = Callable[[Outputs, int, int, float], Detections]
"""Takes a network's outputs by name, the height and width of its input, and the lowest score of interest."""


@lru_cache(maxsize=64)
def _cells(height: int, width: int, stride: int) -> Float32:
    """Return the corner ``(x, y)`` of each cell of a grid, row by row: ``(n, 2)`` float32."""
    y, x = np.mgrid[: -(-height // stride), : -(-width // stride)]
    cells = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32) * stride
    cells.flags.writeable = False
    return cells


def decode_yunet(outputs: Outputs, height: int, width: int, threshold: float) -> Detections:
    """Decode YuNet's ``cls_S``, ``obj_S``, ``bbox_S`` and ``kps_S`` for the strides S = 8, 16, 32."""
    found = []
    for stride in _STRIDES:
        squared = outputs[f"cls_{stride}"].reshape(-1) * outputs[f"obj_{stride}"].reshape(-1)
        at = np.flatnonzero(squared >= threshold * threshold)
        if not at.size:
            continue
        cell = _cells(height, width, stride)[at]
        box = outputs[f"bbox_{stride}"].reshape(-1, 4)[at]
        points = outputs[f"kps_{stride}"].reshape(-1, 5, 2)[at]
        centre = cell + box[:, :2] * stride
        half = np.exp(np.minimum(box[:, 2:], _LARGEST_LOG)) * (stride / 2)
        found.append(
            Detections(
                np.concatenate([centre - half, centre + half], axis=1),
                np.sqrt(squared[at]),
                points * stride + cell[:, None],
            )
        )
    return Detections.joined(found)


def decode_scrfd(outputs: Outputs, height: int, width: int, threshold: float) -> Detections:
    """Decode SCRFD's nine outputs, in InsightFace's order: scores, boxes, points, each for strides 8, 16, 32.

    Raises:
        Invalid: if there aren't nine (a network without points can't be used).
    """
    values = list(outputs.values())
    if len(values) != 3 * len(_STRIDES):
        raise Invalid(f"SCRFD with points has nine outputs, got {len(values)}.")
    found = []
    for level, stride in enumerate(_STRIDES):
        scores = values[level].reshape(-1)
        at = np.flatnonzero(scores >= threshold)
        cells = _cells(height, width, stride)
        cell = np.repeat(cells, len(scores) // len(cells), axis=0)[at]
        reach = values[level + 3].reshape(-1, 4)[at] * stride
        points = values[level + 6].reshape(-1, 5, 2)[at] * stride
        boxes = np.concatenate([cell - reach[:, :2], cell + reach[:, 2:]], axis=1)
        found.append(Detections(boxes, scores[at], points + cell[:, None]))
    return Detections.joined(found)


@lru_cache(maxsize=64)
def _retinaface_anchors(height: int, width: int) -> Float32:
    """Return ``(n, 4)`` float32: centre x, y and width, height of each anchor, in pixels."""
    levels = []
    for stride, sizes in zip(_STRIDES, _RETINAFACE_SIZES, strict=True):
        centres = np.repeat(_cells(height, width, stride) + stride / 2, len(sizes), axis=0)
        sides = np.tile(np.array(sizes, np.float32), len(centres) // len(sizes))
        levels.append(np.column_stack([centres, sides, sides]))
    anchors = np.concatenate(levels).astype(np.float32)
    anchors.flags.writeable = False
    return anchors


def decode_retinaface(outputs: Outputs, height: int, width: int, threshold: float) -> Detections:
    """Decode RetinaFace's boxes ``(1, n, 4)``, probabilities ``(1, n, 2)`` and points ``(1, n, 10)``.

    Raises:
        Invalid: if an output is missing, told by its last axis.
    """
    by_width = {v.shape[-1]: v.reshape(-1, v.shape[-1]) for v in outputs.values()}
    if not {4, 2, 10} <= by_width.keys():
        raise Invalid(f"RetinaFace has outputs of 4, 2 and 10 columns, got {sorted(by_width)}.")
    at = np.flatnonzero(by_width[2][:, 1] >= threshold)
    anchor = _retinaface_anchors(height, width)[at]
    offset = by_width[4][at]
    centre = anchor[:, :2] + offset[:, :2] * _CENTRE_VARIANCE * anchor[:, 2:]
    half = anchor[:, 2:] * np.exp(np.minimum(offset[:, 2:] * _SIZE_VARIANCE, _LARGEST_LOG)) / 2
    points = by_width[10][at].reshape(-1, 5, 2) * _CENTRE_VARIANCE * anchor[:, None, 2:] + anchor[:, None, :2]
    return Detections(np.concatenate([centre - half, centre + half], axis=1), by_width[2][at, 1], points)


DECODERS: dict[str, Decoder] = {
    "yunet": decode_yunet,
    "scrfd": decode_scrfd,
    "retinaface": decode_retinaface,
}
"""Decoders by the name that a pack's manifest uses."""
