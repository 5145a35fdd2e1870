# SPDX-License-Identifier: Apache-2.0
"""The finder: how two witnesses are weighed, when it looks again or turns the picture, and what that may cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from custodes.domain import Float32, UInt8
from custodes.vision.decoders import Detections
from custodes.vision.engine import Engine
from custodes.vision.find import Finder, Found
from custodes.vision.image import Image
from custodes.vision.landmarks import Meshes
from custodes.vision.manifest import Thresholds

PICTURE = np.zeros((1000, 1000, 3), np.uint8)
CLOSER_LOOKS, FURTHER_PLACES = 64, 100


def places(*rows: tuple[float, float], side: float = 20.0) -> Detections:
    """Return places of these scores at these columns, far from one another."""
    columns = np.array([column for column, _ in rows], np.float32)
    boxes = np.stack([columns, 0 * columns, columns + side, 0 * columns + side], axis=1)
    return Detections(boxes, np.array([s for _, s in rows], np.float32), np.zeros((len(rows), 5, 2), np.float32))


class FakeDetector:
    """Proposes what it is told to, upright and at each angle, and sees ``near`` in every closer look."""

    def __init__(self, upright: Detections, turned: Sequence[Detections] = (), near: float = 0.0) -> None:
        self.upright, self.turned, self.near = upright, turned, near
        self.angles: list[float] = []
        self.columns: list[float] = []

    def find(self, pixels: UInt8, threshold: float) -> Detections:
        return self.upright[self.upright.scores >= threshold]

    def find_turned(self, pixels: UInt8, threshold: float, angles: Sequence[float]) -> Iterator[Detections]:
        for i, angle in enumerate(angles):
            self.angles.append(angle)
            yield self.turned[i] if i < len(self.turned) else Detections.none()

    def closer(self, pixels: UInt8, detections: Detections) -> tuple[Detections, ...]:
        self.columns += detections.boxes[:, 0].tolist()
        seen = (detections[np.array([i])] for i in range(len(detections)))
        if not self.near:
            return tuple(Detections.none() for _ in seen)
        return tuple(Detections(d.boxes, np.array([self.near], np.float32), d.points) for d in seen)


class FakeMesh:
    """Says of each place, by its column, how likely it holds a face; all heads are turned by ``roll`` degrees."""

    def __init__(self, likely: Callable[[float], float], roll: float = 0.0) -> None:
        self.likely, self.roll = likely, math.radians(roll)
        self.fitted = 0

    def fit(self, pixels: UInt8, detections: Detections) -> Meshes:
        self.fitted += len(detections)
        points = np.zeros((len(detections), 468, 3), np.float32)
        points[:, 454, :2] = math.cos(self.roll), math.sin(self.roll)
        points[:, 10, 1], points[:, 152, 1] = -1, 1
        likely: Float32 = np.array([self.likely(x) for x in detections.boxes[:, 0].tolist()], np.float32)
        return Meshes(points, likely)


def find(detector: FakeDetector, mesh: FakeMesh, max_faces: int = 100) -> Found:
    return Finder(detector, mesh, Thresholds()).find(PICTURE, max_faces)  # type: ignore[arg-type]


def test_what_both_witnesses_are_sure_of_needs_no_closer_look() -> None:
    """A high score and a sure mesh make a face at once, and a certain one."""
    detector = FakeDetector(places((0, 0.95)))
    found = find(detector, FakeMesh(lambda x: 0.9999))
    assert len(found.boxes) == 1
    assert found.confidences[0] > 99
    assert not detector.columns
    assert not detector.angles


@pytest.mark.parametrize(
    ("score", "likely", "near", "faces"),
    [
        (0.7, 0.999, 0.95, 1),  # seen well from near
        (0.7, 0.999, 0.0, 0),  # not seen from near
        (0.7, 0.01, 0.95, 1),  # the detector is sure enough from near
        (0.5, 0.01, 0.6, 0),  # neither is
        (0.83, 0.999, 0.0, 1),  # together enough at the first look already
        (0.88, 0.01, 0.0, 1),  # a profile: the mesh doesn't know it, the detector is believed alone
        (0.84, 0.01, 0.0, 0),  # hardly less
    ],
)
def test_a_doubt_is_settled_from_near(score: float, likely: float, near: float, faces: int) -> None:
    """A doubtful place is looked at again, and what both witnesses then say decides."""
    detector = FakeDetector(places((0, score)), near=near)
    assert len(find(detector, FakeMesh(lambda x: likely)).boxes) == faces
    assert detector.columns[0] == 0


def test_weak_proposals_are_heard_where_nothing_else_is_found() -> None:
    """A score of half the threshold counts only in a picture without better ones."""
    weak = places((0, 0.35))
    assert len(find(FakeDetector(weak, near=0.95), FakeMesh(lambda x: 0.9999)).boxes) == 1
    both = FakeDetector(places((0, 0.35), (100, 0.95)), near=0.95)
    assert find(both, FakeMesh(lambda x: 0.9999)).boxes[:, 0].tolist() == [100]


def test_the_picture_is_turned_until_something_is_found() -> None:
    """Without an upright face the angles are tried one by one, and no further than needed."""
    detector = FakeDetector(Detections.none(), [Detections.none(), Detections.none(), places((40, 0.95))])
    assert find(detector, FakeMesh(lambda x: 0.9999)).boxes[:, 0].tolist() == [40]
    assert np.degrees(detector.angles).round().tolist() == [90, 270, 180]
    nothing = FakeDetector(Detections.none())
    assert len(find(nothing, FakeMesh(lambda x: 0.9999)).boxes) == 0
    assert len(nothing.angles) == 7


def test_a_face_on_its_side_asks_for_its_neighbours() -> None:
    """Where one face lies on its side, others are sought at its angle, and none is counted twice."""
    detector = FakeDetector(places((0, 0.95)), [places((0, 0.93), (200, 0.95))])
    found = find(detector, FakeMesh(lambda x: 0.9999, roll=80))
    assert np.degrees(detector.angles) == pytest.approx([80], abs=0.1)
    assert sorted(found.boxes[:, 0].tolist()) == [0, 200]


def test_the_largest_faces_are_reported_first() -> None:
    """Of more faces than are wanted the largest stay, by falling area."""
    sizes = (20.0, 60.0, 40.0)
    several = Detections.joined([places((i * 100, 0.95), side=s) for i, s in enumerate(sizes)])
    found = find(FakeDetector(several), FakeMesh(lambda x: 0.9999), max_faces=2)
    assert (found.boxes[:, 2] - found.boxes[:, 0]).tolist() == [60, 40]


def test_closer_looks_are_budgeted() -> None:
    """Of two hundred doubtful places 64 are looked at again: those that aren't believed yet, the best first."""
    doubtful = places(*((30 * i, 0.8 - i * 1e-4) for i in range(200)))
    detector = FakeDetector(doubtful)
    believed = 30 * 50
    found = find(detector, FakeMesh(lambda x: 0.999 if x < believed else 0.9))
    assert detector.columns == [believed + 30 * i for i in range(CLOSER_LOOKS)]
    assert len(found.boxes) == 50


def test_the_budget_of_closer_looks_is_the_pictures() -> None:
    """All passes over a picture share the looks, however many angles are tried."""
    junk = places(*((30 * i, 0.7) for i in range(50)))
    detector = FakeDetector(junk, [junk] * 7)
    assert len(find(detector, FakeMesh(lambda x: 0.01)).boxes) == 0
    assert len(detector.angles) == 7
    assert len(detector.columns) == CLOSER_LOOKS


def test_places_are_budgeted() -> None:
    """Three places are judged for each face that may be reported, and a hundred more in all further passes."""
    junk = places(*((30 * i, 0.5) for i in range(900)))
    mesh = FakeMesh(lambda x: 0.01)
    find(FakeDetector(junk, [junk] * 7), mesh, max_faces=50)
    assert mesh.fitted == 3 * 50 + FURTHER_PLACES


def test_a_crowd_is_found_whole(engine: Engine, portraits: dict[str, Image]) -> None:
    """Of a hundred small faces, more than the closer looks that are allowed, each is found once."""
    head = portraits["collins"].pixels[40:200, 145:305]
    small = head[::4, ::4]
    crowd = np.full((1000, 1000, 3), 110, np.uint8)
    for y in range(30, 1000, 100):
        for x in range(30, 1000, 100):
            crowd[y : y + 40, x : x + 40] = small
    faces = engine.detect(Image(crowd))
    cells = {(int(f.box.left // 100), int(f.box.top // 100)) for f in faces}
    assert len(faces) == len(cells) == 100
