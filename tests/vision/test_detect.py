# SPDX-License-Identifier: Apache-2.0
"""Detection: faces of every size and position are found, and nothing else."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from custodes.domain import Float32, UInt8
from custodes.vision.detect import Detector
from custodes.vision.engine import Engine
from custodes.vision.image import Image

STRIDES = (8, 16, 32)


class BrightSquares:
    """A detector network that sees one face wherever a cell of 32 pixels is all white."""

    outputs = tuple(f"{n}_{s}" for n in ("cls", "obj", "bbox", "kps") for s in STRIDES)

    def __init__(self) -> None:
        self.shapes: list[tuple[int, int]] = []

    def run(self, x: Float32) -> tuple[Float32, ...]:
        height, width = x.shape[2:]
        self.shapes.append((height, width))
        cells = x[0].mean(axis=0).reshape(height // 32, 32, width // 32, 32).min(axis=(1, 3)).reshape(-1)
        made = []
        for name in self.outputs:
            kind, stride = name.split("_")
            n = (height // int(stride)) * (width // int(stride))
            size = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}[kind]
            out = np.zeros((1, n, size), np.float32)
            if stride == "32" and kind in ("cls", "obj"):
                out[0, :, 0] = cells / 255
            elif stride == "32" and kind == "bbox":
                out[0, :, :2] = 0.5
            made.append(out)
        return tuple(made)


def fake_detector(engine: Engine) -> tuple[Detector, BrightSquares]:
    network = BrightSquares()
    return Detector(network, engine.pack.spec("detector")), network  # type: ignore[arg-type]


def test_more_detail_finds_smaller_faces_in_large_photos(engine: Engine, portraits: dict[str, Image]) -> None:
    """A face too small for Rekognition's rule is found, in its place, when twice the detail is asked for."""
    face = engine.detect(portraits["collins"])[0].box
    scale = 22 / face.height
    small = cv2.resize(portraits["collins"].pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    scene = np.full((2160, 3840, 3), 128, np.uint8)
    scene[1070 : 1070 + small.shape[0], 1900 : 1900 + small.shape[1]] = small  # where tiles meet
    x, y = 1900 + (face.left + face.width / 2) * scale, 1070 + (face.top + face.height / 2) * scale
    spec = engine.pack.spec("detector")
    assert spec is not None
    plain, fine = (Detector(engine.pack.model("detector"), spec, detail=d).find(scene, 0.6) for d in (1, 2))
    assert not len(plain)
    left, top, right, bottom = fine.boxes[0]
    assert left < x < right
    assert top < y < bottom


def test_more_detail_is_looked_at_in_tiles(engine: Engine) -> None:
    """Detail beyond one pass comes in overlapping tiles of bounded size."""
    network = BrightSquares()
    picture = np.zeros((3000, 4000, 3), np.uint8)
    Detector(network, engine.pack.spec("detector"), detail=2).find(picture, 0.5)  # type: ignore[arg-type]
    assert len(network.shapes) == 5
    assert max(h * w for h, w in network.shapes) <= 2048 * 2048


@pytest.mark.parametrize(
    ("width", "height", "passes"),
    [(640, 640, 1), (640, 480, 1), (250, 250, 1), (641, 480, 2), (1920, 1080, 2), (4000, 3000, 2), (12000, 800, 5)],
)
def test_passes_are_few_and_bounded(engine: Engine, width: int, height: int, passes: int) -> None:
    """Up to 640 pixels one pass suffices; beyond, a fine and a coarse one; strips are tiled; none exceeds 2.3 MP."""
    detector, network = fake_detector(engine)
    picture = np.zeros((height, width, 3), np.uint8)
    picture[64:96, 64:96] = 255
    if max(width, height) > 640:
        picture[:] = 255
    detector.find(picture, 0.9)
    assert len(network.shapes) == passes
    assert max(h * w for h, w in network.shapes) < 2_300_000


def test_tiles_report_in_the_pictures_frame(engine: Engine) -> None:
    """What is seen in a far tile of a strip lies where it lies in the picture."""
    detector, _ = fake_detector(engine)
    strip = np.zeros((480, 4096, 3), np.uint8)
    strip[96:192, 3904:4000] = 255
    found = detector.find(strip, 0.9)
    assert len(found)
    assert (np.abs(found.centres - [3952, 144]) <= 48).all()


def test_a_network_of_fixed_size_is_fed_with_scaled_pictures(engine: Engine) -> None:
    """A network that takes 256 x 256 only sees a larger picture scaled; boxes come back at full scale."""
    network = BrightSquares()
    spec = engine.pack.spec("detector")
    fixed = replace(spec, input=replace(spec.input, size=(256, 256)))
    picture = np.zeros((512, 512, 3), np.uint8)
    picture[128:192, 192:256] = 255
    found = Detector(network, fixed).look(picture, 0.9)  # type: ignore[arg-type]
    assert network.shapes == [(256, 256)]
    assert found.boxes.tolist() == [[192, 128, 256, 192]]


@pytest.mark.parametrize("degrees", [0, 30, 45, 90, 135, 180, 270])
def test_turned_faces_are_seen_in_the_pictures_frame(
    engine: Engine, portraits: dict[str, Image], degrees: float
) -> None:
    """Looking for faces at the angle at which they lie finds them, with the eyes at that angle."""
    detector = Detector(engine.pack.model("detector"), engine.pack.spec("detector"))
    upright = portraits["collins"].pixels
    around = cv2.getRotationMatrix2D((223.0, 120.0), -degrees, 1.0)
    picture = np.asarray(cv2.warpAffine(upright, around, (512, 512), borderMode=cv2.BORDER_REPLICATE), np.uint8)
    [found] = detector.find_turned(picture, 0.8, [math.radians(degrees)])
    best = int(found.scores.argmax())
    across = found.points[best, 1] - found.points[best, 0]
    angle = math.degrees(math.atan2(across[1], across[0]))
    assert np.abs(found.centres[best] - [223, 120]).max() < 15
    assert abs((angle - degrees + 180) % 360 - 180) < 10


def scene(face: UInt8, side: int) -> UInt8:
    """Return a 1080p picture of soft colours with the face, shrunk to ``side`` pixels, in the middle."""
    clouds = np.random.default_rng(5).integers(60, 180, (9, 16, 3), dtype=np.uint8)
    made = np.asarray(cv2.resize(clouds, (1920, 1080), interpolation=cv2.INTER_CUBIC), np.uint8)
    small = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    made[500 : 500 + side, 900 : 900 + side] = small
    return made


def test_small_faces_of_a_large_picture_are_found(engine: Engine, portraits: dict[str, Image]) -> None:
    """A head whose face is about 28 pixels high is found in 1080p, and nothing beside it."""
    head = portraits["collins"].pixels[40:200, 145:305]
    faces = engine.detect(Image(scene(head, 40)))
    assert len(faces) == 1
    assert 14 < faces[0].box.width < 34


def test_a_face_that_fills_the_picture_is_found(engine: Engine, portraits: dict[str, Image]) -> None:
    """Cut tightly and enlarged, the face is found by the coarse pass."""
    tight = portraits["obama_1"].pixels[86:411, 373:613]
    large = np.asarray(cv2.resize(tight, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC), np.uint8)
    faces = engine.detect(Image(large))
    assert len(faces) == 1
    assert faces[0].box.height > 0.75 * large.shape[0]


def test_no_face_is_seen_where_there_is_none(engine: Engine, portraits: dict[str, Image]) -> None:
    """Noise, flat colour, stripes and bodies without heads hold no face."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:300, :400]
    stripes = np.repeat(((np.sin(x / 9) + np.sin(y / 7)) * 60 + 128).astype(np.uint8)[:, :, None], 3, axis=2)
    for picture in (
        rng.integers(0, 256, (300, 400, 3), dtype=np.uint8),
        np.full((300, 400, 3), 127, np.uint8),
        stripes,
        np.ascontiguousarray(portraits["obama_1"].pixels[500:]),
        np.ascontiguousarray(portraits["group"].pixels[850:]),
    ):
        assert engine.detect(Image(picture)) == ()


def test_the_group_is_complete(engine: Engine, portraits: dict[str, Image]) -> None:
    """All four faces of the group are found once, the largest first, and a limit keeps the largest."""
    faces = engine.detect(portraits["group"])
    assert len(faces) == 4
    areas = [f.box.area for f in faces]
    assert areas == sorted(areas, reverse=True)
    assert [f.box for f in engine.detect(portraits["group"], max_faces=2)] == [f.box for f in faces[:2]]
