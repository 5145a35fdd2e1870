# SPDX-License-Identifier: Apache-2.0
"""Attributes: only what was asked and is switched on, batched as one by one, and right on plain cases."""

from __future__ import annotations

import numpy as np
import pytest

from custodes.config import Vision
from custodes.domain import AttributeName, Attributes, AttributeSet, Face, Float32
from custodes.vision.attributes import AttributeReader
from custodes.vision.engine import Engine
from custodes.vision.image import Image
from custodes.vision.manifest import ModelSpec
from custodes.vision.pack import Pack

EMOTIONS = {"CALM", "HAPPY", "SAD", "ANGRY", "FEAR", "DISGUSTED", "SURPRISED"}


@pytest.fixture(scope="module")
def described(engine: Engine, portraits: dict[str, Image]) -> dict[str, Face]:
    return {n: engine.detect(portraits[n], attributes=True)[0] for n in ("collins", "obama_1", "obama_2", "biden")}


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


class Eyes:
    """An attention mesh whose lids are a given share of the eye's width apart, in the middle of the eye."""

    fixed_batch = True
    outputs = ("mesh", "flag", "lips", "left_eye", "right_eye", "left_iris", "right_iris")

    def __init__(self, left: float, right: float) -> None:
        self._left, self._right = left, right

    def run(self, x: Float32) -> tuple[Float32, ...]:
        def eye(gap: float) -> Float32:
            contour = np.zeros((71, 2), np.float32)
            contour[0], contour[8] = (60, 90), (100, 90)
            contour[1:8, 0] = contour[9:16, 0] = np.linspace(65, 95, 7)
            arch = 1 - np.abs(np.linspace(-1, 1, 7))
            contour[1:8, 1], contour[9:16, 1] = 90 + arch * gap * 20, 90 - arch * gap * 20
            return contour.reshape(1, -1)

        iris = np.full((1, 10), 96, np.float32)
        zeros = [np.zeros((1, n), np.float32) for n in (1404, 1, 160)]
        return (*zeros, eye(self._left), eye(self._right), iris, iris + 10)


class PackOfEyes:
    """A pack that has nothing but that network."""

    def __init__(self, pack: Pack, network: Eyes) -> None:
        self._pack, self._network = pack, network

    def has(self, role: str) -> bool:
        return role == "eyes"

    def spec(self, role: str) -> ModelSpec:
        return self._pack.spec(role)

    def model(self, role: str) -> Eyes:
        assert role == "eyes"
        return self._network


@pytest.mark.parametrize(
    ("left", "right", "opened"),
    [(0.3, 0.3, True), (0.1, 0.1, True), (0.04, 0.04, False), (0.0, 0.0, False), (0.0, 0.3, True)],
)
def test_eyes_are_shut_when_both_gaps_are(
    engine: Engine, portraits: dict[str, Image], left: float, right: float, opened: bool
) -> None:
    """Lids that nearly touch in both eyes are shut eyes; a wink isn't; clear cases are told with confidence."""
    image = portraits["collins"]
    [face] = engine.detect(image)
    pack = PackOfEyes(engine.pack, Eyes(left, right))
    wanted = AttributeSet(frozenset({AttributeName.EYES_OPEN}))
    [found] = AttributeReader(pack, Vision()).read(image.pixels, face.mesh[None], wanted)  # type: ignore[arg-type]
    told = found.attributes.eyes_open
    assert told is not None
    assert told.value is opened
    assert told.confidence > (90 if max(left, right) in (0.0, 0.3) else 70)


def test_what_the_pack_lacks_is_left_out(engine: Engine, portraits: dict[str, Image]) -> None:
    """Without networks for age, gender and expression these are None, though switched on and asked."""
    image = portraits["collins"]
    [face] = engine.detect(image)
    reader = AttributeReader(
        PackOfEyes(engine.pack, Eyes(0.3, 0.3)),  # type: ignore[arg-type]
        Vision(gender=True, emotion=True),
    )
    [found] = reader.read(image.pixels, face.mesh[None], AttributeSet.all())
    told = found.attributes
    assert (told.age, told.male, told.expression, told.smile) == (None, None, None, None)
    assert told.mouth_open is not None


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
