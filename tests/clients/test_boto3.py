# SPDX-License-Identifier: Apache-2.0
"""boto3 on pictures: DetectFaces and CompareFaces. Every answer is also compared with the service model (conftest)."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

FIVE = ["eyeLeft", "eyeRight", "nose", "mouthLeft", "mouthRight"]
DEFAULT = {"BoundingBox", "Confidence", "Landmarks", "Pose", "Quality"}
NO_FACE = "There are no faces in the image. Should be at least 1."


def faces(client, data: bytes, *attributes: str) -> list[dict]:
    options = {"Attributes": list(attributes)} if attributes else {}
    return client.detect_faces(Image={"Bytes": data}, **options)["FaceDetails"]


def box(face: dict) -> list[float]:
    return [face["BoundingBox"][k] for k in ("Left", "Top", "Width", "Height")]


def message(caught) -> str:
    return caught.value.response["Error"]["Message"]


def decoded(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def png(picture: np.ndarray) -> bytes:
    return cv2.imencode(".png", picture)[1].tobytes()


def test_detect_tells_the_default_attributes(client, people) -> None:
    """Without Attributes a face has a box, a confidence, five landmarks, a pose and a quality, and nothing else."""
    [face] = faces(client, people.ann)
    assert set(face) == DEFAULT
    assert [mark["Type"] for mark in face["Landmarks"]] == FIVE
    left, top, width, height = box(face)
    assert abs(left + width / 2 - 0.5) < 0.15
    assert abs(top + height / 2 - 0.5) < 0.15
    for mark in face["Landmarks"]:
        assert left < mark["X"] < left + width
        assert top < mark["Y"] < top + height
    assert face["Confidence"] > 95
    assert all(0 < face["Quality"][k] < 100 for k in ("Brightness", "Sharpness"))
    assert set(face["Pose"]) == {"Roll", "Yaw", "Pitch"}
    assert abs(face["Pose"]["Roll"]) < 30


def test_detect_all_wins_over_default(client, people) -> None:
    """ALL beside DEFAULT brings all landmarks and the attributes that a bundled model does honestly."""
    [face] = faces(client, people.ann, "DEFAULT", "ALL")
    assert set(face) == DEFAULT | {"AgeRange", "Smile", "EyesOpen", "MouthOpen"}
    names = [mark["Type"] for mark in face["Landmarks"]]
    assert 25 <= len(names) <= 30
    assert len(set(names)) == len(names)
    assert names[:5] == FIVE
    assert face["AgeRange"]["Low"] < face["AgeRange"]["High"]
    for name in ("Smile", "EyesOpen", "MouthOpen"):
        assert isinstance(face[name]["Value"], bool)
        assert 50 <= face[name]["Confidence"] <= 100


@pytest.mark.parametrize("name", ["GENDER", "EMOTIONS", "BEARD", "FACE_OCCLUDED", "DEFAULT"])
def test_detect_leaves_out_what_is_off_or_not_done(client, people, name: str) -> None:
    """Gender and emotion are off by default, other attributes have no honest model: asking is allowed, and in vain."""
    [face] = faces(client, people.ann, name)
    assert set(face) == DEFAULT


def test_detect_adds_one_attribute(client, people) -> None:
    """A single attribute comes beside the default ones, with five landmarks."""
    [face] = faces(client, people.ann, "SMILE")
    assert set(face) == DEFAULT | {"Smile"}
    assert len(face["Landmarks"]) == 5


def test_detect_lists_the_largest_face_first(client, people) -> None:
    """Faces are sorted by size; Ann stands on the left and is larger."""
    [first, second] = faces(client, people.both)
    assert first["BoundingBox"]["Width"] > second["BoundingBox"]["Width"]
    assert first["BoundingBox"]["Left"] < 0.5 < second["BoundingBox"]["Left"]


def test_detect_finds_nobody(client, people) -> None:
    """A picture without a face is answered by an empty list."""
    assert faces(client, people.nobody) == []


TURNS = {
    2: lambda p: p[:, ::-1],
    3: lambda p: np.rot90(p, 2),
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p),
    7: lambda p: np.rot90(p.transpose(1, 0, 2), 2),
    8: lambda p: np.rot90(p, -1),
}
"""How pixels are stored so that a reader of this EXIF orientation turns them upright (Exif 2.32, tag 0x0112)."""


@pytest.mark.parametrize("orientation", TURNS)
def test_exif_orientation_turns_the_frame(client, people, tmp_path, orientation: int) -> None:
    """Boxes of a JPEG with an EXIF orientation are in the turned frame: those of the upright picture."""
    upright = decoded(people.both)
    stored = Pillow.fromarray(np.ascontiguousarray(TURNS[orientation](upright)[:, :, ::-1]))
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    turned = faces(client, (tmp_path / "turned.jpg").read_bytes())
    assert len(turned) == 2
    for got, want in zip(turned, faces(client, png(upright)), strict=True):
        assert box(got) == pytest.approx(box(want), abs=0.02)


def test_exif_orientation_of_a_png_is_ignored(client, people, tmp_path) -> None:
    """A PNG is taken as it lies, whatever its EXIF chunk says, and its face is found lying."""
    lying = Pillow.fromarray(np.ascontiguousarray(np.rot90(decoded(people.both))[:, :, ::-1]))
    exif = Pillow.Exif()
    exif[0x0112] = 6
    lying.save(tmp_path / "lying.png", exif=exif)
    found = faces(client, (tmp_path / "lying.png").read_bytes())
    assert len(found) == 2
    top = found[0]["BoundingBox"]["Top"]
    assert top > 0.5, "Ann, on the left, is below after a quarter turn to the left"
    assert abs(found[0]["Pose"]["Roll"]) > 60


def test_compare_matches_and_leaves_strangers_unmatched(client, people) -> None:
    """By default 80 % are needed: Ann is matched, Bob is told as unmatched."""
    answer = client.compare_faces(SourceImage={"Bytes": people.ann_again}, TargetImage={"Bytes": people.both})
    [match] = answer["FaceMatches"]
    [other] = answer["UnmatchedFaces"]
    assert match["Similarity"] > 95
    assert match["Face"]["BoundingBox"]["Left"] < 0.5 < other["BoundingBox"]["Left"]
    assert set(match["Face"]) == set(other) == DEFAULT
    assert set(answer["SourceImageFace"]) == {"BoundingBox", "Confidence"}
    assert "SourceImageOrientationCorrection" not in answer
    assert "TargetImageOrientationCorrection" not in answer


def test_compare_orders_by_similarity(client, people) -> None:
    """With a threshold of 0 everybody matches, the most alike first, however small their face."""
    answer = client.compare_faces(
        SourceImage={"Bytes": people.bob}, TargetImage={"Bytes": people.both}, SimilarityThreshold=0
    )
    similarities = [match["Similarity"] for match in answer["FaceMatches"]]
    assert similarities == sorted(similarities, reverse=True)
    assert len(similarities) == 2
    assert similarities[1] < 80 < similarities[0]
    assert answer["FaceMatches"][0]["Face"]["BoundingBox"]["Left"] > 0.5
    assert answer["UnmatchedFaces"] == []


def test_compare_takes_the_largest_face_of_the_source(client, people) -> None:
    """Of a source with two faces the larger one is compared."""
    source = {"Bytes": people.both}
    assert len(client.compare_faces(SourceImage=source, TargetImage={"Bytes": people.ann})["FaceMatches"]) == 1
    assert client.compare_faces(SourceImage=source, TargetImage={"Bytes": people.bob})["FaceMatches"] == []


@pytest.mark.parametrize(("source", "target"), [("nobody", "ann"), ("ann", "nobody")])
def test_compare_needs_a_face_in_both(client, people, source: str, target: str) -> None:
    """A picture without a face can't be compared."""
    with pytest.raises(client.exceptions.InvalidParameterException) as caught:
        client.compare_faces(
            SourceImage={"Bytes": getattr(people, source)}, TargetImage={"Bytes": getattr(people, target)}
        )
    assert message(caught) == NO_FACE


def test_compare_filters_by_quality_when_asked(client, people) -> None:
    """CompareFaces passes over bad faces only with a QualityFilter; the default is NONE."""
    dark = cv2.imencode(".jpg", cv2.convertScaleAbs(decoded(people.ann), alpha=0.25))[1].tobytes()
    images = {"SourceImage": {"Bytes": dark}, "TargetImage": {"Bytes": people.ann}}
    assert client.compare_faces(**images)["FaceMatches"]
    with pytest.raises(client.exceptions.InvalidParameterException) as caught:
        client.compare_faces(**images, QualityFilter="HIGH")
    assert message(caught) == NO_FACE


def test_image_has_bytes_or_object(client, people) -> None:
    """An image with both sources, or with none, is no image."""
    both = {"Bytes": people.ann, "S3Object": {"Bucket": "bucket", "Name": "key"}}
    for image in (both, {}, {"S3Object": {"Bucket": "bucket"}}, {"S3Object": {"Name": "key"}}):
        with pytest.raises(client.exceptions.InvalidParameterException) as caught:
            client.detect_faces(Image=image)
        assert "has" in message(caught)


def test_compare_two_photos_of_one_person(client, photo) -> None:
    """Another photo of the same person matches above 80 %, one of somebody else doesn't."""
    source, same, other = ({"Bytes": photo(name)} for name in ("obama_1.jpg", "obama_2.jpg", "biden.jpg"))
    assert client.compare_faces(SourceImage=source, TargetImage=same)["FaceMatches"]
    assert client.compare_faces(SourceImage=source, TargetImage=other)["FaceMatches"] == []
