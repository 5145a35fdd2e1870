# SPDX-License-Identifier: Apache-2.0
"""How candidates of several searches become one list."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from custodes.casework import CaseImage, ImageRole
from custodes.domain import QualityReason
from custodes.operations.ranking import ADVICE, Hit, advice, age_gap, fused, grouped

NOW = datetime(2027, 1, 1, tzinfo=UTC)


def image(name: str, perceptual: int = 0, taken_at: datetime | None = None) -> CaseImage:
    return CaseImage(
        name, "case-1", "org-1", ImageRole.IMPORTED, b"k", 10, 10, "case-file", False, NOW, "p-1", taken_at, "n", "s",
        perceptual.to_bytes(32), "b", "s",
    )  # fmt: skip


def hit(reference: str, similarity: float, probe: str = "p1", subject: str | None = None) -> Hit:
    return Hit(reference, "uid", None, subject, probe, 0, similarity)


def test_the_best_score_ranks_and_all_are_kept() -> None:
    """A candidate that two probes find stands once, at its better score, with both."""
    hits = [hit("a", 91), hit("b", 95), hit("a", 97, "p2")]
    made = fused(hits, run="r", case="c", limit=10, behind={}, images={}, persons={"a": 0, "b": 1})
    assert [(f.rank, f.reference_id, f.similarity) for f in made] == [(1, "a", 97), (2, "b", 95)]
    assert [(s.probe, s.similarity) for s in made[0].scores] == [("p2", 97), ("p1", 91)]
    assert [f.person for f in made] == [1, 2]


def test_the_list_is_as_long_as_asked() -> None:
    """What ranks below the limit is left out."""
    hits = [hit(str(n), 90 + n / 10) for n in range(20)]
    assert len(fused(hits, run="r", case="c", limit=5, behind={}, images={}, persons={})) == 5


def test_near_duplicates_fold_into_the_most_alike() -> None:
    """Images whose perceptual hashes differ in 31 bits at most are one picture; at 32 they are two."""
    images = {"i1": image("i1", 0), "i2": image("i2", (1 << 31) - 1), "i3": image("i3", (1 << 32) - 1)}
    behind = {"a": ("i1", 0), "b": ("i2", 0), "c": ("i3", 0)}
    hits = [hit("a", 99), hit("b", 98), hit("c", 97)]
    first, second, third = fused(hits, run="r", case="c", limit=10, behind=behind, images=images, persons={})
    assert (first.folded_into, second.folded_into, third.folded_into) == (None, first.id, None)


def test_age_gaps_are_told_where_both_dates_are_known() -> None:
    """Years between probe and candidate; None where one date is missing."""
    images = {
        "p1": image("p1", 1, datetime(2020, 1, 1, tzinfo=UTC)),
        "i1": image("i1", 2, datetime(2012, 1, 1, tzinfo=UTC)),
    }
    [made] = fused([hit("a", 99)], run="r", case="c", limit=1, behind={"a": ("i1", 0)}, images=images, persons={})
    assert made.scores[0].age_gap == pytest.approx(8.0, abs=0.01)
    assert age_gap(None, NOW) is None


def test_one_person_is_what_is_alike_or_of_one_subject() -> None:
    """Templates near enough, directly or through a third, and references of one subject get one number."""
    vectors = np.eye(5, dtype=np.float32)
    vectors[1] = [0.8, 0.6, 0, 0, 0]
    vectors[2] = [0.28, 0.96, 0, 0, 0]  # near the second, not the first
    found = grouped(list("abcde"), vectors, [None, None, None, "x", "x"], 0.79)
    assert found["a"] == found["b"] == found["c"]
    assert found["d"] == found["e"] != found["a"]
    assert grouped([], np.zeros((0, 4), np.float32), [], 0.5) == {}


def test_every_reason_has_advice() -> None:
    """Whatever makes a probe poor, somebody is told what would help."""
    assert set(ADVICE) == {str(r) for r in QualityReason} - {"EXCEEDS_MAX_FACES"}
    assert advice(["LOW_BRIGHTNESS", "EXTREME_POSE"]) == (ADVICE["LOW_BRIGHTNESS"], ADVICE["EXTREME_POSE"])
