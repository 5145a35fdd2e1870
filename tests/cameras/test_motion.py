# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import av
import cv2
import numpy as np
import pytest
from tests.cameras.footage import Visit, pictures

from custodes.cameras.motion import Begun, Ended, Masks, MotionDetector, MotionTeller, grey

_LEFT = [[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [0.0, 1.0]]
_RIGHT = [[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]]
_ALL = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]


def _grey(picture: np.ndarray) -> np.ndarray:
    return grey(av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format="yuv420p"))


def _looks(detector: MotionDetector, *visits: Visit, seconds: float = 4.0, noise: float = 3.0) -> list[int]:
    """Return the tenths of seconds at which something moves in a video."""
    film = pictures((640, 360), 10, seconds, visits, noise=noise)
    found = [detector.look(_grey(picture), n * 100) for n, picture in enumerate(film)]
    return [n for n, box in enumerate(found) if box is not None]


def test_noise_is_no_motion() -> None:
    """A sensor's noise, even much of it, isn't taken for motion."""
    assert _looks(MotionDetector([], []), noise=6.0) == []


def test_somebody_who_comes_is_motion() -> None:
    """Motion is seen from when somebody comes until they have gone."""
    moving = _looks(MotionDetector([], []), Visit(start=1.0, end=3.0))
    assert moving[0] in (11, 12)
    assert set(range(12, 29)) <= set(moving)
    assert len([n for n in moving if n > 30]) < 10  # what is left behind fades


def test_the_box_is_where_it_moves() -> None:
    """The box is around what moves, in ratios of the picture."""
    detector = MotionDetector([], [])
    still = np.full((360, 640, 3), 90, np.uint8)
    detector.look(_grey(still), 0)
    moved = still.copy()
    moved[90:180, 320:480] = 200
    box = detector.look(_grey(moved), 200)
    assert box == pytest.approx((0.5, 0.25, 0.75, 0.5), abs=0.03)


def test_under_a_mask_nothing_moves() -> None:
    """What happens under a mask is never seen, not even at its edge; beside it, everything is."""
    visit = Visit(start=1.0, end=3.0)
    assert _looks(MotionDetector([_ALL], []), visit) == []
    hidden, seen = MotionDetector([_LEFT], []), MotionDetector([_RIGHT], [])
    still = np.full((360, 640, 3), 90, np.uint8)
    moved = still.copy()
    moved[100:300, 200:320] = np.random.default_rng(1).integers(0, 255, (200, 120, 3))
    for detector in (hidden, seen):
        detector.look(_grey(still), 0)
    assert hidden.look(_grey(moved), 200) is None
    assert seen.look(_grey(moved), 200) is not None


def test_in_zones_alone() -> None:
    """Where there are zones, what moves elsewhere counts for nothing."""
    detector = MotionDetector([], [_RIGHT])
    still = np.full((360, 640, 3), 90, np.uint8)
    detector.look(_grey(still), 0)
    left, right = still.copy(), still.copy()
    left[100:200, 50:150] = 200
    right[100:200, 450:550] = 200
    assert detector.look(_grey(left), 200) is None
    assert detector.look(_grey(right), 400) is not None


@pytest.mark.parametrize("masks", [[], [_LEFT]])
def test_another_light_is_no_motion(masks: list[list[list[float]]]) -> None:
    """A picture that has changed everywhere that is looked at is the new background."""
    detector = MotionDetector(masks, [])
    assert [detector.look(_grey(np.full((360, 640, 3), v, np.uint8)), v * 100) for v in (60, 61, 160, 161)] == [
        None
    ] * 4


def test_what_stays_becomes_background() -> None:
    """Something that is put down moves for a while, and then no more."""
    detector = MotionDetector([], [])
    still = np.full((360, 640, 3), 90, np.uint8)
    detector.look(_grey(still), 0)
    still[100:200, 50:150] = 160
    seen = [detector.look(_grey(still), n * 200) is not None for n in range(1, 200)]
    assert seen[0]
    assert not any(seen[100:])


def test_a_glance_leaves_no_trace() -> None:
    """What is glanced at while something moves is not taken into the background."""
    detector = MotionDetector([], [])
    still = np.full((360, 640, 3), 90, np.uint8)
    detector.look(_grey(still), 0)
    moved = still.copy()
    moved[100:200, 50:150] = 255
    assert detector.look(_grey(moved), 60_000, glance=True) is not None
    assert detector.look(_grey(still), 60_200) is None


def test_masks_are_painted_over_and_beyond_their_edge() -> None:
    """A mask is black in a picture of any size, up to a pixel beyond its edge; the rest is left."""
    corners = [[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]]
    for width, height in ((640, 360), (1920, 1080), (333, 77)):
        picture = np.full((height, width, 3), 255, np.uint8)
        Masks([corners]).paint(picture)
        inside = picture[int(height * 0.25) : int(height * 0.75) + 1, int(width * 0.25) : int(width * 0.75) + 1]
        assert not inside.any()
        assert picture[: int(height * 0.25) - 3].all()
        assert picture[:, int(width * 0.75) + 4 :].all()


@pytest.mark.parametrize("form", ["yuv420p", "yuvj420p", "nv12", "yuv420p10le", "rgb24", "gray"])
def test_every_kind_of_picture_is_made_grey(form: str) -> None:
    """Pictures of all encodings look alike to the detector."""
    picture = np.zeros((360, 640, 3), np.uint8)
    cv2.rectangle(picture, (320, 0), (640, 360), (255, 255, 255), -1)
    small = grey(av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format=form))
    assert small.shape == (180, 320)
    assert small.dtype == np.uint8
    assert small[:, :150].max() < 30
    assert small[:, 170:].min() > 220


def test_a_motion_is_told_as_a_whole() -> None:
    """A motion begins with the first box, goes on through pauses, and ends at the last one after a while."""
    teller, box = MotionTeller(), (0.1, 0.1, 0.2, 0.2)
    told = [teller.saw(at, box if at in (1000, 1200, 3000) else None) for at in range(0, 6000, 200)]
    assert [t for t in told if t] == [Begun(1000, box), Ended(1000, 3000)]
    assert not teller.moving
    assert teller.over() is None
    teller.saw(9000, box)
    assert teller.over() == Ended(9000, 9001)
