# SPDX-License-Identifier: Apache-2.0
"""Aligned faces to templates: any network of ArcFace's kind, which gives a vector whose direction is the person."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from custodes.domain import FaceImage, Float32
from custodes.vision.manifest import ModelSpec
from custodes.vision.session import Model
from custodes.vision.tensor import tensor

__all__ = ["Embedder"]

_BATCH = 16
"""Faces of one run; more are no faster each and cost memory."""


class Embedder:
    """An embedding network; may be shared by threads."""

    def __init__(self, model: Model, spec: ModelSpec) -> None:
        self._model = model
        self._input = spec.input
        self._batch = 1 if model.fixed_batch else _BATCH

    def vectors(self, faces: Sequence[FaceImage]) -> Float32:
        """Return ``(n, d)`` float32, a vector of unit length for each of n >= 1 faces."""
        parts = [
            self._model.run(tensor([f.pixels for f in faces[i : i + self._batch]], self._input, given="RGB"))[0]
            for i in range(0, len(faces), self._batch)
        ]
        vectors = np.concatenate(parts)
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)
