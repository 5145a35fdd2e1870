# SPDX-License-Identifier: Apache-2.0
"""Attributes: only what was asked and is switched on, batched as one by one, and right on plain cases."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from custodes.config import Vision
from custodes.domain import AttributeName, Attributes, AttributeSet, Face
from custodes.vision.attributes import AttributeReader
from custodes.vision.engine import Engine
from custodes.vision.image import Image

EMOTIONS = {"CALM", "HAPPY", "SAD", "ANGRY", "FEAR", "DISGUSTED", "SURPRISED"}


@pytest.fixture(scope="module")
def described(engine: Engine, portraits: dict[str, Image]) -> dict[str, Face]:
    return {
        n: engine.detect(portraits[n], attributes=True)[0] for n in ("collins", "obama_1", "obama_2", "biden")
    }


def looks(face: Face) -> Attributes:
    assert face.attributes is not None
    return face.attributes


def test_nothing_is_told_unasked(engine: Engine, portraits: dict[str, Image]) -> None:
    """Without a wish there are neither attributes nor more than five landmarks."""
    [face] = engine.detect(portraits["collins"])
    assert face.attributes is None
    assert face.all_landmarks is None


def test_ages_contain_the_truth(described: dict[str, Face]) -> None:
    """Ranges of twelve years hold the ages at which the photos were taken."""
    truth = {"collins": 35, "obama_1": 51, "obama_2": 48, "biden": 67}
    for name, age in truth.items():
        low, high = looks(described[name]).age or (0, 0)
        assert high - low == 12
        assert low - 2 <= age <= high + 2, name


def test_smiles_and_mouths(described: dict[str, Face]) -> None:
    """Two laugh with open mouths, one speaks, one is earnest with closed lips; all eyes are open."""
    smiling = {n: bool(looks(f).smile and looks(f).smile.value) for n, f in described.items()}
    talking = {n: bool(looks(f).mouth_open and looks(f).mouth_open.value) for n, f in described.items()}
    assert smiling == {"collins": True, "obama_1": True, "obama_2": False, "biden": False}
    assert talking == {"collins": True, "obama_1": True, "obama_2": True, "biden": False}
    assert all(looks(f).eyes_open.value for f in described.values())  # type: ignore[union-attr]


def test_eyes_that_are_shut_are_told(engine: Engine, portraits: dict[str, Image]) -> None:
    """Lids drawn down with the skin above them make eyes that are closed, more than not."""
    image = portraits["obama_1"]
    [face] = engine.detect(image, attributes=True)
    pixels = image.pixels.copy()
    points = face.all_landmarks
    assert points is not None
    assert looks(face).eyes_open
    for side in ("left", "right"):
        (x0, _), (x1, _) = points[f"{side}EyeLeft"], points[f"{side}EyeRight"]
        (_, top), (_, bottom) = points[f"{side}EyeUp"], points[f"{side}EyeDown"]
        left, right, up, down = int(x0 - 4), int(x1 + 4), int(top - 5), int(bottom + 1)
        lid = pixels[up - 6 : up, left:right]
        pixels[up:down, left:right] = cv2.resize(lid, (right - left, down - up))
    [shut] = engine.detect(Image(pixels), attributes=True)
    open_before, open_after = looks(face).eyes_open, looks(shut).eyes_open
    assert open_before is not None
    assert open_after is not None
    assert open_before.value
    assert not open_after.value or open_after.confidence < open_before.confidence


def test_expressions_are_shares_of_seven(described: dict[str, Face]) -> None:
    """Rekognition's names, the likeliest first, that add up to a hundred; CONFUSED is not known."""
    for face in described.values():
        told = looks(face).expression
        assert told is not None
        assert {name for name, _ in told} == EMOTIONS
        shares = [share for _, share in told]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(100, abs=0.1)
    assert looks(described["collins"]).expression[0][0] == "HAPPY"  # type: ignore[index]


def test_perceived_gender_of_the_portraits(described: dict[str, Face]) -> None:
    """The answers for four public figures, by appearance."""
    found = {n: bool(looks(f).male and looks(f).male.value) for n, f in described.items()}
    assert found == {"collins": False, "obama_1": True, "obama_2": True, "biden": True}


def test_gender_and_emotions_are_off_by_default(engine: Engine, portraits: dict[str, Image]) -> None:
    """Asked or not, they stay None until the operator switches them on; the rest is told."""
    image = portraits["collins"]
    [face] = engine.detect(image)
    reader = AttributeReader(engine.pack, Vision())
    [found] = reader.read(image.pixels, face.mesh[None], AttributeSet.all())
    assert found.attributes.male is None
    assert found.attributes.expression is None
    assert found.attributes.smile is not None
    assert found.attributes.age is not None


@pytest.mark.parametrize(
    ("name", "field"),
    [
        (AttributeName.AGE_RANGE, "age"),
        (AttributeName.SMILE, "smile"),
        (AttributeName.EYES_OPEN, "eyes_open"),
        (AttributeName.MOUTH_OPEN, "mouth_open"),
        (AttributeName.GENDER, "male"),
        (AttributeName.EMOTIONS, "expression"),
    ],
)
def test_only_what_is_asked_is_told(
    engine: Engine, portraits: dict[str, Image], name: AttributeName, field: str
) -> None:
    """One attribute asked is one attribute told, without further landmarks."""
    [face] = engine.detect(portraits["collins"], attributes=AttributeSet(frozenset({name})))
    told = {f for f in Attributes.__slots__ if getattr(looks(face), f) is not None}
    assert told == {field}
    assert face.all_landmarks is None


def test_many_faces_are_read_as_each_alone(engine: Engine, portraits: dict[str, Image]) -> None:
    """Batching changes no answer."""
    image = portraits["group"]
    faces = engine.detect(image, attributes=True)
    reader = AttributeReader(engine.pack, Vision(gender=True, emotion=True))
    for face in faces:
        [alone] = reader.read(image.pixels, face.mesh[None], AttributeSet.all())
        together = looks(face)
        assert alone.attributes.age == together.age
        assert alone.attributes.smile is not None
        assert together.smile is not None
        assert alone.attributes.smile.confidence == pytest.approx(together.smile.confidence, abs=0.1)
        assert face.all_landmarks is not None
        assert alone.pupils is not None
        assert np.allclose(alone.pupils[0], face.all_landmarks["leftPupil"], atol=0.1)
