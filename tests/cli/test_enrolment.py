# SPDX-License-Identifier: Apache-2.0
"""``custodes index``: labels that tell photos apart, and files with odd names or of odd sizes."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path, PurePath

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from custodes.cli.enrolment import label_of

PHOTO = Path(__file__).parents[1] / "data" / "biden.jpg"
FORM = re.compile(r"[a-zA-Z0-9_.\-:]{1,255}")


@pytest.mark.parametrize("name", ["a.jpg", "IMG_0001.JPG", "2024-07/trip.2/a-b.png"])
def test_a_plain_path_is_its_own_label(name: str) -> None:
    """Folders are parted by colons; nothing is added."""
    assert label_of(PurePath(name)) == name.replace("/", ":")


@pytest.mark.parametrize(
    "names",
    [
        ("ö.jpg", "ä.jpg", "_.jpg"),
        ("照片.jpg", "图片.jpg"),
        ("a/b.jpg", "a:b.jpg", "a_b.jpg"),
        ("a b.jpg", "a_b.jpg"),
        (os.fsdecode(b"\xff.jpg"), os.fsdecode(b"\xfe.jpg")),
        tuple(f"{'x' * 200}/{'y' * 200}{end}.jpg" for end in "12"),
        tuple(f"{begin}{'x' * 200}/{'y' * 200}.jpg" for begin in "12"),
    ],
)
def test_photos_that_read_alike_have_labels_of_their_own(names: tuple[str, ...]) -> None:
    """What was replaced or cut is told apart by a mark; the readable part stays."""
    labels = [label_of(PurePath(n)) for n in names]
    assert len(set(labels)) == len(names)
    assert all(FORM.fullmatch(label) for label in labels)
    assert label_of(PurePath("Familie/Jörg.jpg")).startswith("Familie:J_rg.jpg-")


PATHS = st.lists(st.text("a_:.ö", min_size=1, max_size=3).filter(lambda n: n.strip(".")), min_size=1, max_size=3)


@given(PATHS, PATHS)
def test_no_two_paths_share_a_label(one: list[str], other: list[str]) -> None:
    """Whatever the names, labels are alike just where paths are."""
    labels = [label_of(PurePath(*parts)) for parts in (one, other)]
    assert (labels[0] == labels[1]) is (one == other)
    assert all(FORM.fullmatch(label) for label in labels)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' names are Unicode")
def test_a_name_that_is_no_unicode_is_told_escaped(custodes, tmp_path: Path) -> None:
    """The photo is enrolled, or fails with its reason; JSON stays JSON, and tables are printed."""
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / os.fsdecode(b"broken\xff.jpg")).write_bytes(b"\xff\xd8\xff broken")
    (folder / os.fsdecode(b"fine\xfe.jpg")).write_bytes(PHOTO.read_bytes())
    done = custodes(tmp_path / "data", "index", str(folder), "-c", "c", "--json")
    assert done.returncode == 0, done.stderr
    told = orjson.loads(done.stdout)
    assert (told["faces"], [f["photo"] for f in told["failed"]]) == (1, ["broken\\udcff.jpg"])
    words = custodes(tmp_path / "data", "index", str(folder), "-c", "c")
    assert (words.returncode, b"Traceback" in words.stderr) == (0, False)
    assert b"broken\\udcff.jpg" in words.stdout
    refused = custodes(tmp_path / "data", "detect", os.fsdecode(b"nowhere\xff.jpg"), "--json")
    assert refused.returncode == 1
    assert "nowhere\\udcff.jpg" in orjson.loads(refused.stdout)["message"]


def test_a_photo_of_eight_megabytes_is_detected_compared_indexed_and_found(custodes_here, tmp_path: Path) -> None:
    """Rekognition's limit of 5,242,880 bytes holds for requests, not for files; theirs is a setting."""
    folder = tmp_path / "photos"
    folder.mkdir()
    large = folder / "large.jpg"
    data = PHOTO.read_bytes()
    comment = b"\xff\xfe" + (60_000).to_bytes(2, "big") + bytes(59_998)
    large.write_bytes(data[:2] + comment * (8_000_000 // len(comment)) + data[2:])
    assert large.stat().st_size > 7_900_000
    home = tmp_path / "data"
    detected = orjson.loads(custodes_here(home, "detect", str(large), "--json").stdout)
    assert len(detected["faces"]) == 1
    assert orjson.loads(custodes_here(home, "compare", str(large), str(PHOTO), "--json").stdout)["faces"][0]["match"]
    assert not home.exists()
    assert orjson.loads(custodes_here(home, "index", str(folder), "-c", "c", "--json").stdout)["faces"] == 1
    [found] = orjson.loads(custodes_here(home, "search", str(large), "-c", "c", "--json").stdout)
    assert found["candidates"][0]["external_image_id"] == "large.jpg"
    small = custodes_here(home, "detect", str(large), "--json", CUSTODES_LIMITS_IMAGE_BYTES="5000000")
    assert (small.returncode, orjson.loads(small.stdout)["error"]) == (1, "TooLarge")
