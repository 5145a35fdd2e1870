# SPDX-License-Identifier: Apache-2.0
"""Drawing: marks where the faces are, captions inside the picture, files that can be read again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from custodes.domain import Box, ImageSize
from custodes.errors import Invalid
from custodes.vision.draw import draw, encode_jpeg, save
from custodes.vision.engine import Engine
from custodes.vision.image import Image
from custodes.vision.landmarks import scaled


def test_drawing_marks_faces_and_leaves_the_picture(
    engine: Engine, portraits: dict[str, Image], tmp_path: Path
) -> None:
    """A drawn picture differs at the boxes only; the original stays as it was; a file of it can be read again."""
    image = portraits["group"]
    before = image.pixels.copy()
    faces = engine.detect(image)
    drawn = draw(image, faces, ["one", "", "three", "four"])
    assert np.array_equal(image.pixels, before)
    changed = (drawn.pixels != before).any(axis=2)
    assert 0.001 < changed.mean() < 0.1
    largest = faces[0].box
    assert changed[int(largest.top), int(largest.left + largest.width / 2)]
    assert not changed[-200:, :].any()
    save(drawn, tmp_path / "out.jpg")
    assert engine.load(tmp_path / "out.jpg").size == image.size
    assert encode_jpeg(drawn)[:3] == b"\xff\xd8\xff"
    with pytest.raises(Invalid):
        draw(image, faces, ["too few"])
    with pytest.raises(Invalid):
        save(drawn, tmp_path / "no" / "out.jpg")


def test_labels_at_the_edge_stay_inside(engine: Engine, portraits: dict[str, Image]) -> None:
    """A box that reaches over the corner is drawn, with its caption inside the picture."""
    [face] = engine.detect(portraits["collins"])
    for box in (Box(-30, -30, 80, 80), Box(480, 480, 90, 90)):
        drawn = draw(portraits["collins"], [replace(face, box=box)], ["a rather long caption"])
        assert drawn.size == portraits["collins"].size


def test_nothing_to_mark_leaves_a_copy(portraits: dict[str, Image]) -> None:
    """Without faces the picture is the same, but not the same array."""
    image = portraits["collins"]
    drawn = draw(image, [], [])
    assert np.array_equal(drawn.pixels, image.pixels)
    assert not np.shares_memory(drawn.pixels, image.pixels)


def test_an_empty_label_leaves_the_caption_out(engine: Engine, portraits: dict[str, Image]) -> None:
    """A label adds a plate above the box; without one only the frame is there."""
    image = portraits["collins"]
    [face] = engine.detect(image)
    above = np.s_[: int(face.box.top) - 8]
    plain, labelled = (draw(image, [face], [label]).pixels for label in ("", "Eileen Collins"))
    assert np.array_equal(plain[above], image.pixels[above])
    assert not np.array_equal(labelled[above], image.pixels[above])


def test_faces_of_a_picture_that_was_decoded_in_part_are_marked_in_place(
    engine: Engine, portraits: dict[str, Image]
) -> None:
    """Coordinates of the whole picture are brought to the pixels that are there."""
    image = portraits["collins"]
    [face] = engine.detect(image)
    part = Image(image.pixels, whole=ImageSize(4 * image.size.width, 4 * image.size.height))
    drawn = draw(part, [scaled(face, 4)], ["a"])
    assert np.array_equal(drawn.pixels, draw(image, [face], ["a"]).pixels)


def test_a_drawn_jpeg_is_near_what_was_drawn(engine: Engine, portraits: dict[str, Image]) -> None:
    """The file's pixels are those of the picture, but for what JPEG loses."""
    image = portraits["collins"]
    again = engine.decode(encode_jpeg(image))
    assert again.size == image.size
    assert np.abs(again.pixels.astype(int) - image.pixels).mean() < 4
