# SPDX-License-Identifier: Apache-2.0
"""The whole way: pictures of every form in, the same faces out, turned or not, from many threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from custodes.config import Config
from custodes.domain import Box, Face, QualityFilter, Template
from custodes.errors import CustodesError, Invalid, InvalidImage, NotFound
from custodes.vision.engine import Engine
from custodes.vision.image import Image

DATA = Path(__file__).parent.parent / "data"
SAME = 0.363
"""Cosine at a false-match rate of about 1e-3."""


def template(engine: Engine, image: Image) -> Template:
    faces = engine.detect(image)
    assert faces
    return engine.embed(faces[:1])[0]


def turned(pixels: np.ndarray, degrees: float) -> Image:
    """Turn a picture clockwise, with room for its corners."""
    side = int(np.hypot(*pixels.shape[:2])) + 1
    matrix = cv2.getRotationMatrix2D((pixels.shape[1] / 2, pixels.shape[0] / 2), -degrees, 1.0)
    matrix[:, 2] += (side - pixels.shape[1]) / 2, (side - pixels.shape[0]) / 2
    return Image(np.asarray(cv2.warpAffine(pixels, matrix, (side, side)), np.uint8))


def test_every_form_of_a_picture_gives_the_same_faces(engine: Engine) -> None:
    """Path, text, bytes, array and image are one picture."""
    path = DATA / "collins.png"
    image = engine.load(path)
    expected = engine.detect(image)[0].box
    for form in (path, str(path), path.read_bytes(), np.ascontiguousarray(image.pixels[:, :, ::-1])):
        assert engine.detect(form)[0].box == expected


def test_what_is_no_picture_is_refused(engine: Engine, tmp_path: Path) -> None:
    """Missing files and other bytes raise typed errors."""
    with pytest.raises(NotFound):
        engine.detect(tmp_path / "none.jpg")
    with pytest.raises(InvalidImage):
        engine.detect(b"no picture")


@pytest.mark.parametrize("degrees", [15, 30, 45, 60, 90, 120, 135, 180, 225, 270, 315])
@pytest.mark.parametrize("name", ["collins", "obama_1", "obama_2", "biden"])
def test_a_turned_face_is_the_same_person(
    engine: Engine, portraits: dict[str, Image], name: str, degrees: float
) -> None:
    """However a photo is turned, the face is found, its roll is right, and its template matches the upright one."""
    image = portraits[name]
    picture = turned(image.pixels, degrees)
    face = engine.detect(picture)[0]
    upright = engine.detect(image)[0]
    assert abs((face.pose.roll - upright.pose.roll - degrees + 180) % 360 - 180) < 8
    score = engine.compare(template(engine, picture), template(engine, image))
    assert score.cosine > SAME + 0.3


@pytest.mark.parametrize("change", ["small", "mirrored", "dark", "compressed", "grey"])
def test_a_changed_photo_still_shows_the_same_person(engine: Engine, portraits: dict[str, Image], change: str) -> None:
    """Scaling, mirroring, darkening, compressing and losing colour leave the person."""
    for name in ("collins", "obama_1", "biden"):
        pixels = portraits[name].pixels
        if change == "small":
            other = cv2.resize(pixels, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
        elif change == "mirrored":
            other = np.ascontiguousarray(pixels[:, ::-1])
        elif change == "dark":
            other = (pixels * 0.4).astype(np.uint8)
        elif change == "compressed":
            other = cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 20])[1], cv2.IMREAD_COLOR)
        else:
            other = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        cosine = engine.compare(
            template(engine, Image(np.asarray(other, np.uint8))), template(engine, portraits[name])
        ).cosine
        assert cosine > SAME + 0.1, (name, cosine)


def test_faces_of_one_picture_are_embedded_in_order(engine: Engine, portraits: dict[str, Image]) -> None:
    """A batch of templates belongs to the faces that were given, in their order."""
    image = portraits["group"]
    faces = engine.detect(image)
    forward, backward = engine.embed(faces), engine.embed(faces[::-1])
    assert len(forward) == 4
    for a, b in zip(forward, backward[::-1], strict=True):
        assert engine.compare(a, b).cosine > 0.999
    assert engine.embed(()) == ()


def test_templates_of_another_pack_are_not_compared(engine: Engine, portraits: dict[str, Image]) -> None:
    """Numbers of different networks mean different things."""
    own = template(engine, portraits["collins"])
    assert engine.compare(own, own).similarity == pytest.approx(100, abs=0.01)
    with pytest.raises(Invalid):
        engine.compare(own, replace(own, pack="another"))


def test_a_good_portrait_passes_every_bar(engine: Engine, portraits: dict[str, Image]) -> None:
    """The official portrait has no fault at any level; a blurred thumbnail has one."""
    [face] = engine.detect(portraits["obama_1"])
    assert all(engine.quality_reasons(face, level) == () for level in QualityFilter)
    small = cv2.resize(portraits["obama_1"].pixels, None, fx=0.12, fy=0.12, interpolation=cv2.INTER_AREA)
    [tiny] = engine.detect(Image(np.asarray(small, np.uint8)))
    assert engine.quality_reasons(tiny, QualityFilter.HIGH)


def test_boxes_and_confidences_are_within_reason(engine: Engine, portraits: dict[str, Image]) -> None:
    """Faces lie in their picture, and a plain one is all but certain."""
    for image in portraits.values():
        for face in engine.detect(image):
            assert 98 < face.confidence <= 100
            assert -20 < face.box.left < face.box.right < image.size.width + 20
            assert -20 < face.box.top < face.box.bottom < image.size.height + 20
            assert face.box.contains(*face.landmarks["nose"])


def test_threads_share_one_engine(engine: Engine, portraits: dict[str, Image]) -> None:
    """Eight threads get what one gets."""
    names = sorted(portraits) * 4

    def boxes(name: str) -> list[Box]:
        return [f.box for f in engine.detect(portraits[name], attributes=True)]

    alone = {name: boxes(name) for name in portraits}
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(boxes, names)) == [alone[n] for n in names]


def test_any_picture_gives_faces_or_a_typed_error(engine: Engine, portraits: dict[str, Image]) -> None:
    """Odd shapes, extreme sizes and noise never raise anything but Custodes' own errors."""
    rng = np.random.default_rng(8)
    head = portraits["collins"].pixels[20:220, 120:330]
    for width, height in ((80, 80), (81, 2000), (5000, 80), (97, 103), (3001, 1999)):
        stretched = np.asarray(cv2.resize(head, (width, height)), np.uint8)
        noise = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        for pixels in (stretched, noise):
            try:
                faces = engine.detect(Image(pixels), attributes=True)
            except CustodesError:
                continue
            assert all(isinstance(f, Face) for f in faces)


def test_default_takes_the_configured_pack(tmp_path: Path) -> None:
    """An unknown pack is named; the default one has an embedder."""
    assert Engine.default().pack.has("embedder")
    config = Config()
    with pytest.raises(NotFound):
        Engine.default(replace(config, vision=replace(config.vision, pack="nobody")))


def test_a_face_of_a_huge_jpeg_is_reported_in_the_whole_picture(engine: Engine, portraits: dict[str, Image]) -> None:
    """Decoded in part, the face lies where it lies in the whole picture, and its template is the same person's."""
    head = portraits["obama_1"].pixels[40:480, 280:720]
    scene = np.full((8000, 8400, 3), 120, np.uint8)
    scene[5000 : 5000 + len(head), 6400 : 6400 + len(head)] = head
    data = cv2.imencode(".jpg", scene, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()
    part, whole = engine.decode(data), Image(scene)
    assert part.scale == 2
    assert part.size == whole.size
    [found], [expected] = (engine.detect(image, attributes=True) for image in (part, whole))
    close = 0.05 * expected.box.width
    assert found.box.left == pytest.approx(expected.box.left, abs=close)
    assert found.box.bottom == pytest.approx(expected.box.bottom, abs=close)
    assert found.all_landmarks is not None
    assert expected.all_landmarks is not None
    assert np.abs(found.landmarks.points - expected.landmarks.points).max() < close
    assert np.abs(found.all_landmarks.points - expected.all_landmarks.points).max() < close
    assert np.abs(found.mesh - expected.mesh).max() < 2 * close
    ours, theirs = engine.embed([found, expected])
    assert engine.compare(ours, theirs).cosine > 0.99
