# SPDX-License-Identifier: Apache-2.0
"""The default pack's map from cosine to similarity."""

from __future__ import annotations

import pytest

from custodes.config import load
from custodes.vision.pack import open_pack


@pytest.mark.parametrize(("similarity", "rate"), [(70.0, 1e-3), (80.0, 1e-4), (99.0, 1e-5)])
def test_similarity_stands_for_the_false_match_rate_that_the_readme_states(similarity: float, rate: float) -> None:
    """The knots at Rekognition's default and at the public-safety floor carry their measured rates."""
    pack = open_pack(load(environ={}), "custodes-1")
    [knot] = [k for k in pack.calibration.knots if k.similarity == similarity]
    assert knot.false_match_rate == pytest.approx(rate)
    assert pack.similarity(knot.cosine) == pytest.approx(similarity)
    assert pack.calibration.measured_on


def test_similarity_rises_with_the_cosine() -> None:
    """A higher cosine never gives a lower similarity, and the ends of the scale are reached."""
    pack = open_pack(load(environ={}), "custodes-1")
    seen = [pack.similarity(c / 100) for c in range(-100, 101)]
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 100.0)
