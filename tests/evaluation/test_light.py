# SPDX-License-Identifier: Apache-2.0
"""sRGB becomes light and sRGB again."""

from __future__ import annotations

import numpy as np
import pytest

from custodes.evaluation.light import LINEAR, encoded, whole


def test_every_value_comes_back() -> None:
    """Light of each of 256 values encodes to that value, and rises with it."""
    assert encoded(LINEAR).tolist() == list(range(256))
    assert (np.diff(LINEAR) > 0).all()


def test_light_is_that_of_the_standard() -> None:
    """Points of IEC 61966-2-1: black, the end of the straight part, middle grey, white."""
    assert LINEAR[[0, 10, 188, 255]] == pytest.approx([0, 10 / 255 / 12.92, 0.5029, 1], abs=1e-4)


def test_what_lies_outside_is_cut_off() -> None:
    """Less than black is black, more than white is white, halves go to the even number."""
    assert encoded(np.array([-0.5, 1.5], np.float32)).tolist() == [0, 255]
    assert whole(np.array([-3.0, 0.5, 1.5, 254.6, 300.0])).tolist() == [0, 0, 2, 255, 255]
