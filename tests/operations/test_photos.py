# SPDX-License-Identifier: Apache-2.0
"""Detecting and comparing without an installation."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from custodes.app import App
from custodes.config import Limits
from custodes.domain import AttributeSet, QualityFilter
from custodes.errors import Code, Invalid, NotFound, TooLarge
from custodes.operations.photos import PhotoOperations, draw, read, read_bytes

PHOTOS = Path(__file__).parents[1] / "data"


@pytest.fixture
def work(installation: App) -> PhotoOperations:
    """The use cases, with models that are open already."""
    return PhotoOperations(installation.engines.default, installation.config.limits)


def test_faces_are_found_the_largest_first(work: PhotoOperations) -> None:
    """All are told, with their looks only when asked."""
    image = read(PHOTOS / "group.jpg", Limits())
    found = work.detect(image)
    areas = [f.box.area for f in found.faces]
    assert len(areas) == 4
    assert areas == sorted(areas, reverse=True)
    assert found.size == image.size
    assert {f.attributes for f in found.faces} == {None}
    assert all(f.attributes is not None for f in work.detect(image, AttributeSet.all()).faces)


def test_a_limit_of_faces_is_kept(installation: App) -> None:
    """Of many faces the largest are told."""
    work = PhotoOperations(installation.engines.default, Limits(faces=2))
    assert len(work.detect(read(PHOTOS / "group.jpg", Limits())).faces) == 2


def test_a_comparison_parts_matches_from_others(work: PhotoOperations) -> None:
    """The threshold decides which of the target's faces match; the most alike come first."""
    source, target = (read(PHOTOS / n, Limits()) for n in ("obama_1.jpg", "obama_2.jpg"))
    group = read(PHOTOS / "group.jpg", Limits())
    found = work.compare(source, target, threshold=80.0, quality=QualityFilter.NONE)
    assert (found.source_count, len(found.matches), found.unmatched) == (1, 1, ())
    assert found.matches[0][1].similarity > 90
    other = work.compare(group, source, threshold=80.0, quality=QualityFilter.NONE)
    assert (other.source_count, other.matches, len(other.unmatched)) == (4, (), 1)
    every = work.compare(source, group, threshold=0.0, quality=QualityFilter.NONE).matches
    assert len(every) == 4
    assert [s.cosine for _, s in every] == sorted((s.cosine for _, s in every), reverse=True)


def test_a_comparison_without_a_face_says_whose(
    work: PhotoOperations, photos: dict[str, bytes], tmp_path: Path
) -> None:
    """Source and target each need one."""
    (tmp_path / "nobody.jpg").write_bytes(photos["nobody"])
    nobody, somebody = read(tmp_path / "nobody.jpg", Limits()), read(PHOTOS / "biden.jpg", Limits())
    for images, whose in (((nobody, somebody), "source"), ((somebody, nobody), "target")):
        with pytest.raises(Invalid, match=f"The {whose} shows no face") as e:
            work.compare(*images, threshold=0.0, quality=QualityFilter.NONE)
        assert e.value.code == Code.NO_FACE


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    """The limit is of the file, and says which setting it is; a file that isn't there is NotFound."""
    path = tmp_path / "sparse.jpg"
    with path.open("wb") as file:
        file.truncate(2**40)
    for reader in (read, read_bytes):
        with pytest.raises(TooLarge, match=r"sparse\.jpg has 1099511627776 bytes") as e:
            reader(path, Limits())
        assert "CUSTODES_LIMITS_IMAGE_BYTES" in e.value.remedy
        with pytest.raises(NotFound):
            reader(tmp_path / "nowhere.jpg", Limits())


def test_a_picture_of_the_result_is_drawn(work: PhotoOperations, tmp_path: Path) -> None:
    """It has the size of the photo and isn't the photo; a folder in its place is refused."""
    image = read(PHOTOS / "biden.jpg", Limits())
    faces = work.detect(image).faces
    draw(image, faces, ["somebody"], tmp_path / "out.jpg")
    drawn = cv2.imread(str(tmp_path / "out.jpg"))
    assert drawn.shape == image.pixels.shape
    assert (abs(drawn.astype(int) - image.pixels) > 64).any()
    with pytest.raises(Invalid):
        draw(image, faces, ["somebody"], tmp_path)
