# SPDX-License-Identifier: Apache-2.0
"""Between the gallery's cosines and the calibrated similarity, 0..100, in which callers think."""

from __future__ import annotations

from custodes.domain import Score
from custodes.vision.pack import Pack

__all__ = ["ASSOCIATE_THRESHOLD", "MATCH_THRESHOLD", "least_cosine", "score"]

MATCH_THRESHOLD = 80.0
"""Least similarity of a match or candidate unless the caller states one; Rekognition's own default."""
ASSOCIATE_THRESHOLD = 75.0
"""Least similarity of a further reference of a subject, likewise."""

_ROUNDING = 1e-6
"""What the map to similarity and back may lose of a cosine; who asks for ``least_cosine`` looks at the score again."""


def least_cosine(pack: Pack, similarity: float) -> float:
    """Return a cosine that nothing of at least this similarity lies below.

    Raises:
        Invalid: if the similarity lies outside 0..100.
    """
    return pack.cosine(similarity) - _ROUNDING


def score(pack: Pack, cosine: float) -> Score:
    """Return the score that stands for a cosine."""
    return Score(cosine, pack.similarity(cosine))
