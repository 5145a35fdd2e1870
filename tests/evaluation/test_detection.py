# SPDX-License-Identifier: Apache-2.0
"""Finding faces: matches of marks and boxes, sizes, false positives, and their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from custodes.errors import Invalid
from custodes.evaluation.detection import Marked, detection
from custodes.evaluation.results import Detection, Settings

BOX = (10.0, 10.0, 40.0, 40.0)


def marked(marks: list[tuple[float, ...]], found: list[tuple[float, ...]], columns: int = 4) -> Marked:
    return Marked(np.array(marks, np.float32).reshape(-1, columns), np.array(found, np.float32).reshape(-1, 4))


def measured(*images: Marked, rounds: int = 50) -> Detection:
    return detection(images, Settings(80.0, rounds=rounds))


def test_boxes_are_matched_at_an_overlap_of_one_half() -> None:
    """Half of the union is enough, less isn't; a box that finds no mark is a false positive."""
    half, less = (10.0, 10.0, 40.0, 20.0), (10.0, 10.0, 40.0, 19.9)
    assert measured(marked([BOX], [half])).recall.events == 1
    told = measured(marked([BOX], [less]))
    assert (told.recall.events, told.recall.trials, told.false_positives) == (0, 1, 1)
    assert told.marked_by == "boxes"


def test_a_mark_and_a_box_are_matched_once_and_the_best_first() -> None:
    """Two boxes on a face are a find and a false positive; one box on two faces finds the one it fits best."""
    near = (12.0, 10.0, 40.0, 40.0)
    told = measured(marked([BOX], [near, BOX]))
    assert (told.recall.events, told.false_positives) == (1, 1)
    told = measured(marked([near, BOX], [BOX]))
    assert (told.recall.events, told.recall.trials, told.false_positives) == (1, 2, 0)
    # the box on the left overlaps both marks, and the first mark more than its own: the best pairs are taken first
    told = measured(marked([(0, 0, 10, 10), (2, 0, 10, 10)], [(2, 0, 10, 10), (0, 0, 10, 11)]))
    assert (told.recall.events, told.false_positives) == (2, 0)


def test_points_are_found_by_the_smallest_box_that_holds_them() -> None:
    """One box finds one point, the nearest to its middle; a large box takes what the small ones leave."""
    small, large = (40.0, 40.0, 20.0, 20.0), (0.0, 0.0, 200.0, 200.0)
    told = measured(marked([(50, 50), (45, 45), (100, 100)], [large, small], 2))
    assert (told.marked_by, told.recall.events, told.recall.trials, told.false_positives) == ("points", 2, 3, 0)
    told = measured(marked([(60, 60), (20, 20)], [small, (61.0, 61.0, 5.0, 5.0)], 2))
    assert (told.recall.events, told.recall.trials, told.false_positives) == (1, 2, 1)


def test_sizes_are_those_of_the_longer_side() -> None:
    """A bin begins with its least size and ends before the next; false positives are told by their own size."""
    sides = [15.9, 16, 31.9, 32, 64, 128, 256, 4000]
    marks = [(0.0, 5000.0 * i, side, side / 4) for i, side in enumerate(sides)]
    told = measured(marked(marks, marks[::2]), marked([], [(0, 0, 10, 20)]))
    assert [(s.least, s.most) for s in told.sizes] == [
        (0, 16),
        (16, 32),
        (32, 64),
        (64, 128),
        (128, 256),
        (256, None),
    ]
    assert [(s.recall.events, s.recall.trials) for s in told.sizes] == [(1, 1), (1, 2), (0, 1), (1, 1), (0, 1), (1, 2)]
    assert [s.false_positives for s in told.sizes] == [0, 1, 0, 0, 0, 0]
    assert sum(s.recall.trials for s in told.sizes) == told.recall.trials


def test_a_size_without_marks_has_no_recall() -> None:
    """What wasn't marked has no value, and says so."""
    told = measured(marked([BOX], [BOX]))
    assert told.sizes[0].recall.value is None
    assert told.sizes[0].recall.note == "no face of this size is marked"
    assert told.sizes[2].recall.value == 1.0


def test_points_have_no_recall_by_size() -> None:
    """A point has no size, so a share by the size of what was found would always be 1."""
    told = measured(marked([(20, 20), (500, 500)], [BOX], 2))
    assert [(s.recall.events, s.recall.trials, s.recall.value) for s in told.sizes][2] == (1, 1, None)
    assert "no size" in told.sizes[2].recall.note
    assert told.recall.value == 0.5


def test_false_positives_for_each_image_have_an_interval_that_isnt_a_lie() -> None:
    """None seen in five images may still be some; the interval is Garwood's."""
    told = measured(*[marked([BOX], [BOX])] * 5)
    assert (told.false_positives, told.per_image, told.per_image_interval.low) == (0, 0.0, 0.0)
    assert told.per_image_interval.high == pytest.approx(chi2.ppf(0.975, 2) / 2 / 5, rel=1e-9)
    told = measured(*[marked([BOX], [BOX, (500, 500, 20, 20)])] * 7)
    assert told.per_image == 1.0
    assert told.per_image_interval.low == pytest.approx(chi2.ppf(0.025, 14) / 2 / 7, rel=1e-9)
    assert told.per_image_interval.high == pytest.approx(chi2.ppf(0.975, 16) / 2 / 7, rel=1e-9)


def test_images_are_drawn_and_not_faces() -> None:
    """Faces that are missed together in one image make a wider interval than faces of as many images."""
    hit, miss = marked([BOX], [BOX]), marked([BOX], [])
    crowd = [(60.0 * i, 0.0, 40.0, 40.0) for i in range(20)]
    spread = measured(*[hit, miss] * 200, rounds=300).recall
    together = measured(*[marked(crowd, crowd), marked(crowd, [])] * 10, rounds=300).recall
    assert spread.value == together.value == 0.5
    assert spread.interval is not None
    assert together.interval is not None
    assert together.interval.high - together.interval.low > 2 * (spread.interval.high - spread.interval.low)


_BOXES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(1, 60), st.integers(1, 60)), max_size=6)


@given(st.lists(st.tuples(_BOXES, _BOXES), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_every_mark_and_every_box_is_counted_once(images: list[tuple[list[tuple[int, ...]], ...]]) -> None:
    """Found and false boxes make all boxes, bins make the whole, and no more is found than there is."""
    if not any(marks for marks, _ in images):
        return
    told = measured(*[marked(list(marks), list(found)) for marks, found in images], rounds=5)
    boxes = sum(len(found) for _, found in images)
    assert told.recall.events + told.false_positives == boxes
    assert told.recall.events <= min(boxes, told.recall.trials)
    assert sum(s.recall.events for s in told.sizes) == told.recall.events
    assert sum(s.recall.trials for s in told.sizes) == told.recall.trials == sum(len(marks) for marks, _ in images)
    assert sum(s.false_positives for s in told.sizes) == told.false_positives


def test_what_cannot_be_measured_is_refused() -> None:
    """No images, no marks, or two kinds of marks: each says so."""
    with pytest.raises(Invalid, match="no images"):
        measured()
    with pytest.raises(Invalid, match="No face is marked"):
        measured(marked([], [BOX]), marked([], [], 2))
    with pytest.raises(Invalid, match="some by points"):
        measured(marked([BOX], []), marked([(1, 1)], [], 2))


@pytest.mark.parametrize(
    ("marks", "found", "word"),
    [
        (np.zeros((1, 3), np.float32), np.zeros((0, 4), np.float32), "marks are"),
        (np.zeros((1, 2)), np.zeros((0, 4), np.float32), "marks are"),
        (np.zeros((1, 2), np.float32), np.zeros((1, 5), np.float32), "found is"),
        (np.full((1, 2), np.nan, np.float32), np.zeros((0, 4), np.float32), "finite"),
        (np.array([[0, 0, 0, 5]], np.float32), np.zeros((0, 4), np.float32), "no area"),
        (np.zeros((1, 2), np.float32), np.array([[0, 0, 5, -1]], np.float32), "no area"),
    ],
)
def test_marks_and_boxes_are_checked(marks: np.ndarray, found: np.ndarray, word: str) -> None:
    """Shapes, types, and boxes that are none."""
    with pytest.raises(Invalid, match=word):
        Marked(marks, found)
