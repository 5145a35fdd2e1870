# SPDX-License-Identifier: Apache-2.0
"""Comparisons and searches with their scores, as arrays: what metrics are computed from.

The score of a comparison without two templates is minus infinity (:data:`FAILED`), which is below every threshold: it
stays in every denominator.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from custodes.domain import Float32
from custodes.errors import Invalid

__all__ = ["FAILED", "NOBODY", "Bool", "Comparisons", "Int32", "People", "Searches"]

Int32 = npt.NDArray[np.int32]
Bool = npt.NDArray[np.bool_]

FAILED = float("-inf")
NOBODY = -1
"""Index of the group of somebody without a label, of a missing candidate, and of a fold that isn't stated."""


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """Photos and the people on them.

    Attributes:
        subjects: ``(p,)`` int32, number 0.. of the person on each photo.
        enrolled: ``(p,)`` bool, whether it has a template.
        groups: by column of the labels: names of the groups, and ``(s,)`` int32 for each person, :data:`NOBODY` without
            a label.
        taken: ``(p,)`` float64, year in which each photo was taken, with its fraction; NaN where it isn't known; None
            where no photo's is.
    """

    subjects: Int32
    enrolled: Bool
    groups: dict[str, tuple[tuple[str, ...], Int32]] = field(default_factory=dict)
    taken: npt.NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        _check("subjects", self.subjects, np.int32, len(self.enrolled))
        _check("enrolled", self.enrolled, np.bool_, len(self.subjects))

    @property
    def count(self) -> int:
        """How many people there are."""
        return int(self.subjects.max()) + 1 if len(self.subjects) else 0


@dataclass(frozen=True, slots=True, eq=False)
class Comparisons:
    """One-to-one comparisons.

    Attributes:
        scores: ``(n,)`` float32 cosines, or :data:`FAILED`.
        mated: ``(n,)`` bool, whether both photos show one person.
        photos: ``(n, 2)`` int32, indexes into ``people``.
        people: who is on the photos.
        folds: ``(n,)`` int32, or None where the data has none.
    """

    scores: Float32
    mated: Bool
    photos: Int32
    people: People
    folds: Int32 | None = None

    def __post_init__(self) -> None:
        n = len(self.scores)
        _check("scores", self.scores, np.float32, n)
        _check("mated", self.mated, np.bool_, n)
        if self.photos.dtype != np.int32 or self.photos.shape != (n, 2):
            raise Invalid(f"photos are ({n}, 2) int32, got {self.photos.shape} {self.photos.dtype}.")
        if self.folds is not None:
            _check("folds", self.folds, np.int32, n)
        if np.isnan(self.scores).any():
            raise Invalid("A score is not a number.")

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def subjects(self) -> Int32:
        """``(n, 2)`` int32, who is compared with whom."""
        return self.people.subjects[self.photos]


@dataclass(frozen=True, slots=True, eq=False)
class Searches:
    """One-to-many searches, the same gallery for all; the gallery's entries are people, not photos.

    Attributes:
        scores: ``(m, k)`` float32 cosines of the best k people of the gallery, falling; :data:`FAILED` where there are
            fewer, or the probe has no template.
        found: ``(m, k)`` int32, who they are; :data:`NOBODY` likewise.
        probes: ``(m,)`` int32, who is searched for.
        mated: ``(m,)`` bool, whether that person is in the gallery (enrolled with a template or not).
    """

    scores: Float32
    found: Int32
    probes: Int32
    mated: Bool

    def __post_init__(self) -> None:
        m = len(self.probes)
        _check("probes", self.probes, np.int32, m)
        _check("mated", self.mated, np.bool_, m)
        if self.scores.dtype != np.float32 or self.scores.ndim != 2 or len(self.scores) != m:
            raise Invalid(f"scores are ({m}, k) float32, got {self.scores.shape} {self.scores.dtype}.")
        if self.found.dtype != np.int32 or self.found.shape != self.scores.shape:
            raise Invalid(f"found is {self.scores.shape} int32, got {self.found.shape} {self.found.dtype}.")
        if np.isnan(self.scores).any():
            raise Invalid("A score is not a number.")


def _check(name: str, value: npt.NDArray[np.generic], dtype: type, length: int) -> None:
    if value.dtype != np.dtype(dtype) or value.shape != (length,):
        raise Invalid(f"{name} is ({length},) {np.dtype(dtype)}, got {value.shape} {value.dtype}.")
