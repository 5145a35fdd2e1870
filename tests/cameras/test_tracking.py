# SPDX-License-Identifier: Apache-2.0
"""Following faces over frames: by centre, velocity and size, in time rather than frames."""

from __future__ import annotations

import numpy as np
import pytest

from custodes.cameras.tracking import Tracker, shot_quality
from custodes.domain import Box, Face, FaceImage, Landmarks, Pose, Quality
from custodes.errors import Invalid


def at(x: float, y: float = 300.0, side: float = 40.0) -> Box:
    """A face around a point."""
    return Box(x - side / 2, y - side / 2, side, side)


def followed(tracker: Tracker, *frames: tuple[int, list[Box]]) -> list[list[int]]:
    """The numbers of the tracks of each frame's faces; 0 for none."""
    told = []
    for when, boxes in frames:
        step = tracker.update(when, boxes, [0.5] * len(boxes))
        told.append([t.number if t is not None else 0 for t in step.tracks])
    return told


def a_face(
    *, side: float = 120.0, confidence: float = 100.0, sharpness: float = 60.0, yaw: float = 0.0, pitch: float = 0.0
) -> Face:
    """A face of which only its quality counts."""
    return Face(
        box=Box(0, 0, side, side),
        confidence=confidence,
        landmarks=Landmarks(("nose",), np.zeros((1, 2), np.float32)),
        pose=Pose(0.0, yaw, pitch),
        quality=Quality(50.0, sharpness),
        image=FaceImage(np.zeros((112, 112, 3), np.uint8)),
        mesh=np.zeros((468, 3), np.float32),
    )


@pytest.mark.parametrize("speed", [0.0, 0.1, 0.3, 0.55])
def test_a_fast_small_face_is_one_track(speed: float) -> None:
    """A face that moves by more than its own size between two frames, so that its boxes don't overlap, is one track."""
    frames = [(200 * i, [at(100 + speed * 200 * i)]) for i in range(20)]
    assert followed(Tracker(), *frames) == [[1]] * 20


def test_people_who_cross_are_not_mixed_up() -> None:
    """Two faces that pass each other keep their tracks, since each goes on as it went."""
    frames = [(200 * i, [at(100 + 40 * i, 300), at(900 - 40 * i, 318)]) for i in range(20)]
    assert followed(Tracker(), *frames) == [[1, 2]] * 20


def test_it_is_measured_in_time() -> None:
    """Frames that are dropped for want of time do no harm: what counts is how much time has passed."""
    frames = [(when, [at(100 + 0.15 * when)]) for when in (0, 200, 400, 1500, 1700, 3100, 3300)]
    assert followed(Tracker(), *frames) == [[1]] * 7


def test_a_track_ends_when_it_was_not_seen_for_two_seconds() -> None:
    """A face that is gone for more than two seconds has ended, and is a new track when it is back."""
    tracker = Tracker()
    tracker.update(0, [at(100)], [0.4])
    assert not tracker.update(2000, [], []).ended
    tracker.update(2000, [at(100)], [0.4])
    [ended] = tracker.update(4001, [at(100)], [0.4]).ended
    assert (ended.number, ended.begun, ended.last, ended.seen) == (1, 0, 2000, 2)
    assert [t.number for t in tracker.tracks] == [2]


def test_someone_far_away_is_someone_else() -> None:
    """A face at another place, or of quite another size, is another track."""
    assert followed(Tracker(), (0, [at(100)]), (200, [at(900)])) == [[1], [2]]
    assert followed(Tracker(), (0, [at(100, side=40)]), (200, [at(100, side=120)])) == [[1], [2]]


def test_the_best_shot_is_told() -> None:
    """It is told of each face whether it is its track's best shot so far, and when that was."""
    tracker = Tracker()
    better = [tracker.update(200 * i, [at(100)], [q]).better[0] for i, q in enumerate((0.3, 0.2, 0.5, 0.5, 0.6))]
    assert better == [True, False, True, False, True]
    assert (tracker.tracks[0].quality, tracker.tracks[0].best) == (0.6, 800)


def test_the_number_of_tracks_is_bounded() -> None:
    """A picture full of faces has so many tracks and no more; whoever is followed already stays."""
    tracker = Tracker(most=4)
    crowd = [at(100.0 + 200 * i) for i in range(10)]
    assert followed(tracker, (0, crowd), (200, crowd[2:] + crowd[:2])) == [
        [1, 2, 3, 4, 0, 0, 0, 0, 0, 0],
        [3, 4, 0, 0, 0, 0, 0, 0, 1, 2],
    ]
    for i in range(500):
        tracker.update(10_000 + 3000 * i, crowd, [0.1] * 10)
    assert len(tracker.tracks) == 4


def test_a_frame_without_time_between_does_no_harm() -> None:
    """Two frames of the same moment give no infinite velocity."""
    tracker = Tracker()
    assert followed(tracker, (0, [at(100)]), (0, [at(110)]), (200, [at(120)])) == [[1], [1], [1]]
    assert abs(tracker.tracks[0].vx) < 1


def test_closing_ends_all() -> None:
    """At the end all tracks are handed out, and none is left."""
    tracker = Tracker()
    followed(tracker, (0, [at(100), at(600)]))
    assert [t.number for t in tracker.close()] == [1, 2]
    assert not tracker.tracks
    assert followed(tracker, (200, [at(100)])) == [[3]]


def test_where_a_face_is_looked_for() -> None:
    """It is looked for where it will be by its velocity, but not ever farther if it isn't seen."""
    tracker = Tracker()
    followed(tracker, (0, [at(100)]), (200, [at(140)]))
    [track] = tracker.tracks
    assert track.expected(400)[0] == pytest.approx(180)
    assert track.place(400).contains(180, 300)
    assert track.expected(1900) == track.expected(1000)


def test_faces_and_qualities_go_together() -> None:
    """A face without a quality is refused."""
    with pytest.raises(Invalid):
        Tracker().update(0, [at(1)], [])


@pytest.mark.parametrize(
    "worse",
    [{"side": 60.0}, {"confidence": 90.0}, {"sharpness": 10.0}, {"yaw": 40.0}, {"pitch": -40.0}, {"yaw": 100.0}],
)
def test_a_worse_shot_counts_less(worse: dict[str, float]) -> None:
    """A shot that is smaller, less sure, less sharp or turned away counts less, and none less than nothing."""
    assert 0 <= shot_quality(a_face(**worse)) < shot_quality(a_face()) == pytest.approx(1.0)
