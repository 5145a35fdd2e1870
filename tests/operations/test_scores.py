# SPDX-License-Identifier: Apache-2.0
"""The map between cosines and similarity, there and back."""

from __future__ import annotations

import pytest

from custodes.app import App
from custodes.errors import Invalid
from custodes.operations.scores import least_cosine, score


def test_nothing_that_is_alike_enough_lies_below_the_least_cosine(installation: App) -> None:
    """Whatever has a similarity of s or more has a cosine above least_cosine(s), and little else has."""
    pack = installation.engines.default.pack
    for similarity in (0.1, 1.0, 50.0, 79.99, 80.0, 99.0, 99.9):
        least = least_cosine(pack, similarity)
        assert score(pack, least + 2e-6).similarity >= similarity
        assert score(pack, least - 1e-3).similarity < similarity


@pytest.mark.parametrize("similarity", [-0.1, 100.1, float("nan")])
def test_a_similarity_is_a_percentage(installation: App, similarity: float) -> None:
    """Others are refused."""
    with pytest.raises(Invalid):
        least_cosine(installation.engines.default.pack, similarity)
