# SPDX-License-Identifier: Apache-2.0
"""Detection: what decoders give back, and that faces of every size and position are found, and nothing else."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from custodes.domain import Float32, UInt8
from custodes.errors import Invalid
from custodes.vision.decoders import (
    Detections,
    decode_retinaface,
    decode_scrfd,
    decode_yunet,
)
from custodes.vision.detect import Detector
from custodes.vision.engine import Engine
from custodes.vision.image import Image

HEIGHT, WIDTH = 96, 128
STRIDES = (8, 16, 32)
BOXES = np.array([[10, 12, 42, 52], [60.5, 20.25, 120.75, 90.5]], np.float32)
POINTS = np.stack(
    [box[:2] + (box[2:] - box[:2]) * [[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]] for box in BOXES]
).astype(np.float32)
SCORES = np.array([0.9, 0.7], np.float32)


def cell_of(box: Float32, stride: int) -> tuple[int, int]:
    """Return column and row of the cell that holds a box's middle."""
    return int((box[0] + box[2]) / 2 / stride), int((box[1] + box[3]) / 2 / stride)


def yunet_outputs() -> dict[str, Float32]:
    """Write the boxes as YuNet would: each in the grid of its own stride."""
    made: dict[str, Float32] = {}
    for stride in STRIDES:
        n = (HEIGHT // stride) * (WIDTH // stride)
        for name, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            made[f"{name}_{stride}"] = np.zeros((1, n, width), np.float32)
    for stride, box, points, score in zip((8, 32), BOXES, POINTS, SCORES, strict=True):
        column, row = cell_of(box, stride)
        at = row * (WIDTH // stride) + column
        corner = np.array([column, row], np.float32) * stride
        made[f"cls_{stride}"][0, at] = score
        made[f"obj_{stride}"][0, at] = score
        made[f"bbox_{stride}"][0, at, :2] = ((box[:2] + box[2:]) / 2 - corner) / stride
        made[f"bbox_{stride}"][0, at, 2:] = np.log((box[2:] - box[:2]) / stride)
        made[f"kps_{stride}"][0, at] = ((points - corner) / stride).reshape(-1)
    return made


def scrfd_outputs() -> dict[str, Float32]:
    """Write the boxes as SCRFD would, in the second of two anchors a cell."""
    counts = [(HEIGHT // s) * (WIDTH // s) * 2 for s in STRIDES]
    parts = {width: [np.zeros((n, width), np.float32) for n in counts] for width in (1, 4, 10)}
    for level, box, points, score in zip((0, 2), BOXES, POINTS, SCORES, strict=True):
        stride = STRIDES[level]
        column, row = cell_of(box, stride)
        at = (row * (WIDTH // stride) + column) * 2 + 1
        corner = np.array([column, row], np.float32) * stride
        parts[1][level][at] = score
        parts[4][level][at] = np.concatenate([corner - box[:2], box[2:] - corner]) / stride
        parts[10][level][at] = ((points - corner) / stride).reshape(-1)
    return {f"o{i}": v for i, v in enumerate([*parts[1], *parts[4], *parts[10]])}


def retinaface_outputs() -> dict[str, Float32]:
    """Write the boxes as RetinaFace would: SSD's offsets from the smaller anchor of a cell."""
    n = sum((HEIGHT // s) * (WIDTH // s) * 2 for s in STRIDES)
    loc, conf, landms = np.zeros((1, n, 4)), np.zeros((1, n, 2)), np.zeros((1, n, 10))
    for level, box, points, score in zip((0, 2), BOXES, POINTS, SCORES, strict=True):
        stride, side = STRIDES[level], (16, 64, 256)[level]
        column, row = cell_of(box, stride)
        before = sum((HEIGHT // s) * (WIDTH // s) * 2 for s in STRIDES[:level])
        at = before + (row * (WIDTH // stride) + column) * 2
        anchor = (np.array([column, row]) + 0.5) * stride
        conf[0, at] = 1 - score, score
        loc[0, at, :2] = ((box[:2] + box[2:]) / 2 - anchor) / (0.1 * side)
        loc[0, at, 2:] = np.log((box[2:] - box[:2]) / side) / 0.2
        landms[0, at] = ((points - anchor) / (0.1 * side)).reshape(-1)
    return {k: v.astype(np.float32) for k, v in (("loc", loc), ("conf", conf), ("landms", landms))}


@pytest.mark.parametrize(
    ("decode", "outputs"),
    [(decode_yunet, yunet_outputs()), (decode_scrfd, scrfd_outputs()), (decode_retinaface, retinaface_outputs())],
    ids=["yunet", "scrfd", "retinaface"],
)
def test_decoders_give_back_what_was_encoded(decode, outputs) -> None:
    """Boxes, points and scores that were written into a network's outputs are read from them; weak ones are not."""
    found = decode(outputs, HEIGHT, WIDTH, 0.5)
    assert np.allclose(found.boxes, BOXES, atol=1e-3)
    assert np.allclose(found.points, POINTS, atol=1e-3)
    assert np.allclose(found.scores, SCORES, atol=1e-5)
    assert decode(outputs, HEIGHT, WIDTH, 0.8).scores.tolist() == pytest.approx([0.9])
    assert len(decode(outputs, HEIGHT, WIDTH, 0.95)) == 0


def test_decoders_refuse_outputs_of_another_kind() -> None:
    """A network without points, or without scores, can't be used."""
    six = dict(list(scrfd_outputs().items())[:6])
    with pytest.raises(Invalid):
        decode_scrfd(six, HEIGHT, WIDTH, 0.5)
    with pytest.raises(Invalid):
        decode_retinaface({"loc": np.zeros((1, 5, 4), np.float32)}, HEIGHT, WIDTH, 0.5)


def detections(*rows: tuple[float, float, float, float, float]) -> Detections:
    table = np.array(rows, np.float32)
    return Detections(table[:, :4], table[:, 4], np.zeros((len(table), 5, 2), np.float32))


def test_distinct_keeps_the_best_of_those_that_overlap() -> None:
    """Suppression is greedy by score; neighbours that touch little both stay."""
    found = detections((0, 0, 10, 10, 0.6), (1, 1, 11, 11, 0.9), (9, 9, 19, 19, 0.5), (100, 0, 110, 10, 0.7))
    assert found.distinct(0.3).tolist() == [1, 3, 2]
    assert Detections.none().distinct(0.3).tolist() == []


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
    found = detector.find_turned(picture, 0.8, math.radians(degrees))
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
