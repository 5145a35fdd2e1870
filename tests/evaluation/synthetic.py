# SPDX-License-Identifier: Apache-2.0
"""Comparisons that were made up: people with photos, some easier to tell apart than others, scores by a seed."""

from __future__ import annotations

import numpy as np

from custodes.evaluation.results import Enrolment, Rate
from custodes.evaluation.scored import FAILED, Comparisons, People
from custodes.vision.manifest import Calibration, Knot

SCALE = Calibration((Knot(-1.0, 0.0), Knot(0.3, 50.0), Knot(0.4, 80.0), Knot(0.5, 99.0), Knot(1.0, 100.0)), "")
ENROLMENT = Enrolment(Rate(0, 1, 0.0), 0, 0)


def synthetic(
    people: int = 40,
    mated: int = 200,
    non_mated: int = 1000,
    *,
    seed: int = 1,
    groups: tuple[str, ...] = (),
    failing: float = 0.0,
    decimals: int = 6,
    dated: bool = False,
) -> Comparisons:
    """Make comparisons of people with four photos each; few ``decimals`` make for many equal scores."""
    random = np.random.default_rng(seed)
    of, a = random.integers(0, people, mated), random.integers(0, 4, mated)
    b = (a + random.integers(1, 4, mated)) % 4
    one = random.integers(0, people, non_mated)
    other = (one + random.integers(1, people, non_mated)) % people
    photos = np.concatenate(
        [np.stack([of * 4 + a, of * 4 + b], 1), np.stack([one, other], 1) * 4 + random.integers(0, 4, (non_mated, 2))]
    )
    easy = random.normal(0, 0.1, people)
    scores = np.concatenate(
        [
            random.normal(0.6, 0.1, mated) + easy[of],
            random.normal(0.1, 0.1, non_mated) + (easy[one] + easy[other]) / 2,
        ]
    ).round(decimals)
    enrolled = random.random(people * 4) >= failing
    scores[~enrolled[photos].all(axis=1)] = FAILED
    labels = random.integers(0, len(groups), people).astype(np.int32) if groups else None
    order = random.permutation(len(scores))
    return Comparisons(
        scores=scores[order].astype(np.float32),
        mated=(np.arange(len(scores)) < mated)[order],
        photos=photos[order].astype(np.int32),
        people=People(
            subjects=np.repeat(np.arange(people, dtype=np.int32), 4),
            enrolled=enrolled,
            groups={"group": (groups, labels)} if labels is not None else {},
            taken=random.uniform(2000, 2026, people * 4) if dated else None,
        ),
        folds=(np.arange(len(scores), dtype=np.int32) % 10)[order],
    )
