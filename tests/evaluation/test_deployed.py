# SPDX-License-Identifier: Apache-2.0
"""In what things that run differ is told in words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.evaluation import examples

from custodes.evaluation.deployed import differences
from custodes.evaluation.results import Deployed, Network

NOW = examples.evaluation(examples.attacks()).deployed
OTHER = (NOW.networks[0], NOW.networks[1], Network("embedder", "00" * 32))


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        (NOW, ()),
        (replace(NOW, runtime="1.0", software="9"), ()),
        (replace(NOW, pack_version="0.9"), ("the pack (custodes-1 0.9, now custodes-1 1.0)",)),
        (replace(NOW, networks=OTHER), ("the embedder",)),
        (replace(NOW, networks=NOW.networks[1:]), ("the detector",)),
        (
            replace(NOW, calibration="00", thresholds="00"),
            ("the scale of similarity", "the thresholds of the pack"),
        ),
        (
            replace(NOW, provider="cuda", detail=2),
            ("what runs the models (cuda, now cpu)", "the setting vision.detail (2, now 1920)"),
        ),
    ],
)
def test_what_differs_is_told(measured: Deployed, words: tuple[str, ...]) -> None:
    """Only what a score depends on counts, and what can be named is."""
    assert differences(measured, NOW) == words
