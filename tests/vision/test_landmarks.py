# SPDX-License-Identifier: Apache-2.0
"""Mesh, named landmarks and pose: names, places, and signs by construction."""

from __future__ import annotations

import itertools
import math

import cv2
import numpy as np
import pytest

from custodes.domain import AttributeSet, Face, Float32
from custodes.vision.align import square
from custodes.vision.engine import Engine
from custodes.vision.image import Image
from custodes.vision.landmarks import ALL_NAMES, FIVE_NAMES, all_landmarks, pose, squares_of, to_picture

REKOGNITION = {
    "eyeLeft",
    "eyeRight",
    "mouthLeft",
    "mouthRight",
    "nose",
    "leftEyeBrowLeft",
    "leftEyeBrowRight",
    "leftEyeBrowUp",
    "rightEyeBrowLeft",
    "rightEyeBrowRight",
    "rightEyeBrowUp",
    "leftEyeLeft",
    "leftEyeRight",
    "leftEyeUp",
    "leftEyeDown",
    "rightEyeLeft",
    "rightEyeRight",
    "rightEyeUp",
    "rightEyeDown",
    "noseLeft",
    "noseRight",
    "mouthUp",
    "mouthDown",
    "leftPupil",
    "rightPupil",
    "upperJawlineLeft",
    "midJawlineLeft",
    "chinBottom",
    "midJawlineRight",
    "upperJawlineRight",
}


def only(engine: Engine, image: Image) -> Face:
    [face] = engine.detect(image, attributes=AttributeSet(landmarks=True))
    return face


def head(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> Float32:
    """Return a mesh with nothing but cheeks, forehead and chin, turned by degrees: y down, z away from the viewer."""
    mesh = np.zeros((468, 3))
    mesh[234], mesh[454], mesh[10], mesh[152] = (-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0)
    y, p, r = (math.radians(v) for v in (yaw, pitch, roll))
    # Looking to the image's right, up, and leaning clockwise are the positive turns.
    around_y = np.array([[math.cos(y), 0, -math.sin(y)], [0, 1, 0], [math.sin(y), 0, math.cos(y)]])
    around_x = np.array([[1, 0, 0], [0, math.cos(p), math.sin(p)], [0, -math.sin(p), math.cos(p)]])
    around_z = np.array([[math.cos(r), -math.sin(r), 0], [math.sin(r), math.cos(r), 0], [0, 0, 1]])
    return (mesh @ (around_z @ around_y @ around_x).T).astype(np.float32)


def test_all_landmarks_have_rekognitions_names() -> None:
    """Thirty names with an iris model, twenty-eight without; the first five are the default ones."""
    assert len(ALL_NAMES) == 30
    assert set(ALL_NAMES) == REKOGNITION
    assert ALL_NAMES[:5] == FIVE_NAMES
    mesh = np.random.default_rng(0).uniform(0, 100, (468, 3)).astype(np.float32)
    pupils = np.array([[1, 2], [3, 4]], np.float32)
    known = all_landmarks(mesh, pupils)
    assert known.names == ALL_NAMES
    assert known["leftPupil"] == (1, 2)
    assert known["chinBottom"] == tuple(mesh[152, :2])
    assert set(ALL_NAMES) - set(all_landmarks(mesh).names) == {"leftPupil", "rightPupil"}
    assert all_landmarks(mesh)["chinBottom"] == tuple(mesh[152, :2])


@pytest.mark.parametrize("name", ["collins", "obama_1", "obama_2", "biden"])
def test_landmarks_lie_where_their_names_say(engine: Engine, portraits: dict[str, Image], name: str) -> None:
    """Left is left in the image, up is up, pupils lie between lids, and all lie near the box."""
    face = only(engine, portraits[name])
    points = face.all_landmarks
    assert points is not None
    at = {n: points[n] for n in ALL_NAMES}
    rows = [
        ("upperJawlineLeft", "leftEyeLeft", "leftPupil", "leftEyeRight", "rightEyeLeft", "rightPupil", "rightEyeRight"),
        ("leftEyeBrowLeft", "leftEyeBrowUp", "leftEyeBrowRight", "rightEyeBrowLeft", "rightEyeBrowUp"),
        ("midJawlineLeft", "mouthLeft", "mouthUp", "mouthRight", "midJawlineRight"),
        ("noseLeft", "nose", "noseRight"),
        ("rightEyeBrowUp", "rightEyeBrowRight", "upperJawlineRight"),
    ]
    columns = [
        ("leftEyeBrowUp", "leftEyeUp", "leftEyeDown", "noseLeft", "mouthLeft", "chinBottom"),
        ("rightEyeBrowUp", "rightEyeUp", "rightEyeDown", "noseRight", "mouthRight", "chinBottom"),
        ("eyeLeft", "nose", "mouthUp", "mouthDown", "chinBottom"),
        ("upperJawlineLeft", "midJawlineLeft", "chinBottom"),
    ]
    assert all(at[a][0] < at[b][0] for row in rows for a, b in itertools.pairwise(row))
    assert all(at[a][1] < at[b][1] for column in columns for a, b in itertools.pairwise(column))
    for side in ("left", "right"):
        lids = at[f"{side}EyeUp"][1], at[f"{side}EyeDown"][1]
        slack = 0.05 * face.box.width
        assert lids[0] - slack < at[f"{side}Pupil"][1] < lids[1] + slack
    for x, y in points.points.tolist():
        assert face.box.left - 0.2 * face.box.width < x < face.box.right + 0.2 * face.box.width
        assert face.box.top - 0.2 * face.box.height < y < face.box.bottom + 0.2 * face.box.height


def test_five_landmarks_are_those_that_were_marked_by_hand(engine: Engine, portraits: dict[str, Image]) -> None:
    """On one portrait the points lie within three pixels of where a person set them (its eyes are 44 pixels apart)."""
    face = only(engine, portraits["collins"])
    by_hand = {
        "eyeLeft": (203, 101),
        "eyeRight": (247, 103.5),
        "nose": (224, 127),
        "mouthLeft": (202, 140),
        "mouthRight": (247, 141),
    }
    for name, (x, y) in by_hand.items():
        assert math.dist(face.landmarks[name], (x, y)) < 3, name


@pytest.mark.parametrize(
    ("yaw", "pitch", "roll"), [(20, 0, 0), (-35, 0, 0), (0, 15, 0), (0, -25, 0), (0, 0, 40), (0, 0, -170)]
)
def test_pose_of_a_built_head(yaw: float, pitch: float, roll: float) -> None:
    """A head that is turned by known angles about one axis has just these."""
    found = pose(head(yaw, pitch, roll))
    assert (found.yaw, found.pitch, found.roll) == pytest.approx((yaw, pitch, roll), abs=1e-3)


def test_turning_the_picture_turns_the_roll(engine: Engine, portraits: dict[str, Image]) -> None:
    """A picture turned clockwise by 20 degrees has a face whose roll is 20 degrees more."""
    pixels = portraits["collins"].pixels
    turn = cv2.getRotationMatrix2D((223.0, 120.0), -20, 1.0)  # OpenCV counts counter-clockwise
    turned = np.asarray(cv2.warpAffine(pixels, turn, (512, 512)), np.uint8)
    before, after = only(engine, Image(pixels)).pose, only(engine, Image(turned)).pose
    assert after.roll - before.roll == pytest.approx(20, abs=3)


def test_mirroring_the_picture_flips_yaw_and_roll(engine: Engine, portraits: dict[str, Image]) -> None:
    """Seen in a mirror, a head looks and leans the other way, and as high as before."""
    for name in ("obama_2", "biden"):
        pixels = portraits[name].pixels
        before = only(engine, Image(pixels)).pose
        after = only(engine, Image(np.ascontiguousarray(pixels[:, ::-1]))).pose
        assert abs(before.yaw) > 5
        assert after.yaw == pytest.approx(-before.yaw, abs=4)
        assert after.roll == pytest.approx(-before.roll, abs=3)
        assert after.pitch == pytest.approx(before.pitch, abs=4)


def test_squares_follow_a_turned_mesh() -> None:
    """The square of a turned mesh is turned with it; its middle and side stay."""
    rng = np.random.default_rng(4)
    mesh = np.zeros((468, 3), np.float32)
    mesh[:, :2] = rng.uniform(-50, 50, (468, 2))
    mesh[[33, 133], :2] = (-20, 0), (-10, 0)
    mesh[[362, 263], :2] = (10, 0), (20, 0)
    angle = 0.6
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    turned = mesh.copy()
    turned[:, :2] = mesh[:, :2] @ turn.T
    (centre, side, zero), (turned_centre, turned_side, found) = squares_of(mesh[None]), squares_of(turned[None])
    assert zero[0] == pytest.approx(0, abs=1e-5)
    assert found[0] == pytest.approx(angle, abs=1e-5)
    assert turned_side[0] == pytest.approx(side[0], rel=1e-4)
    assert np.allclose(turned_centre[0], turn @ centre[0], atol=1e-3)


def test_points_of_a_square_go_back_to_the_picture() -> None:
    """Mapping into a square and back is nothing, and depth is scaled as the plane is."""
    matrix = square(np.array([200.0, 100.0], np.float32), 96.0, 0.4, 192)
    there = np.array([[180, 90], [210, 140]]) @ matrix[:, :2].T + matrix[:, 2]
    back = to_picture(np.column_stack([there, [10, -4]]).astype(np.float32), matrix)
    assert np.allclose(back, [[180, 90, 5], [210, 140, -2]], atol=1e-3)
