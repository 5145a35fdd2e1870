# SPDX-License-Identifier: Apache-2.0
"""Decoders: what stands in a network's outputs is read from them, in pixels, and each face once."""

from __future__ import annotations

import numpy as np
import pytest

from custodes.domain import Float32
from custodes.errors import Invalid
from custodes.vision.decoders import (
    DECODERS,
    Detections,
    decode_retinaface,
    decode_scrfd,
    decode_yunet,
)

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


def test_every_family_has_a_decoder_by_its_name() -> None:
    """The names that manifests use lead to the decoders."""
    assert {"yunet": decode_yunet, "scrfd": decode_scrfd, "retinaface": decode_retinaface} == DECODERS


@pytest.mark.parametrize(("height", "width"), [(96, 128), (64, 32), (32, 352)])
def test_decoders_find_nothing_in_silence(height: int, width: int) -> None:
    """Outputs of zeros hold no face, whatever the input's size."""
    silent = {
        f"{name}_{s}": np.zeros((1, (height // s) * (width // s), n), np.float32)
        for s in STRIDES
        for name, n in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))
    }
    assert len(decode_yunet(silent, height, width, 0.1)) == 0


def test_absurd_sizes_stay_finite() -> None:
    """A broken network's size of e to the thousandth is capped, so that no box is infinite."""
    yunet, retinaface = yunet_outputs(), retinaface_outputs()
    yunet["bbox_8"][..., 2:] = 1000
    retinaface["loc"][..., 2:] = 1e6
    assert np.isfinite(decode_yunet(yunet, HEIGHT, WIDTH, 0.5).boxes).all()
    assert np.isfinite(decode_retinaface(retinaface, HEIGHT, WIDTH, 0.5).boxes).all()


def test_detections_move_and_grow() -> None:
    """Shifting adds to both coordinates of boxes and points, scaling multiplies them; scores stay."""
    found = decode_yunet(yunet_outputs(), HEIGHT, WIDTH, 0.5)
    moved = found.shifted(3, -4)
    assert np.allclose(moved.boxes - found.boxes, [3, -4, 3, -4], atol=1e-4)
    assert np.allclose(moved.points - found.points, [3, -4], atol=1e-4)
    grown = found.scaled(2.5)
    assert np.allclose(grown.boxes, 2.5 * found.boxes)
    assert np.allclose(grown.points, 2.5 * found.points)
    assert np.allclose(grown.sides, 2.5 * found.sides)
    assert np.allclose(grown.centres, 2.5 * found.centres)
    assert grown.scores is found.scores


def test_detections_are_joined_in_their_order() -> None:
    """Joining keeps every detection; joining nothing is no detection."""
    a, b = detections((0, 0, 10, 10, 0.5)), detections((5, 5, 25, 25, 0.9), (1, 1, 2, 2, 0.3))
    assert Detections.joined([a, Detections.none(), b]).scores.tolist() == pytest.approx([0.5, 0.9, 0.3])
    assert len(Detections.joined([])) == 0


def test_detections_of_unequal_length_are_refused() -> None:
    """As many scores and points are needed as boxes."""
    with pytest.raises(Invalid):
        Detections(np.zeros((2, 4), np.float32), np.zeros(1, np.float32), np.zeros((2, 5, 2), np.float32))
