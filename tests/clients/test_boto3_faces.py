# SPDX-License-Identifier: Apache-2.0
"""boto3 on faces in collections: enrolling, listing, searching, deleting."""

from __future__ import annotations

import re
import uuid

import cv2
import numpy as np
import pytest
from botocore.exceptions import ClientError

NO_FACE = "There are no faces in the image. Should be at least 1."
UNKNOWN = "11111111-2222-4333-8444-555555555555"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def message(caught) -> str:
    return caught.value.response["Error"]["Message"]


def changed(data: bytes, *, light: float = 1.0, blur: float = 0.0, size: int = 0) -> bytes:
    """Return a picture darkened, blurred and shrunk, as PNG."""
    picture = cv2.convertScaleAbs(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), alpha=light)
    if blur:
        picture = cv2.GaussianBlur(picture, None, blur)
    if size:
        picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".png", picture)[1].tobytes()


def index(client, collection: str, data: bytes, **options: object) -> dict:
    return client.index_faces(CollectionId=collection, Image={"Bytes": data}, **options)


def ids(answer: dict) -> list[str]:
    return [record["Face"]["FaceId"] for record in answer["FaceRecords"]]


# --- IndexFaces -----------------------------------------------------------------------------------------------


def test_index_tells_what_it_enrolled(client, collection, people) -> None:
    """Every face becomes a record, the largest first, and FaceRecord and FaceDetail agree."""
    answer = index(client, collection, people.both, ExternalImageId="town:hall_1.jpg")
    first, second = (record["Face"] for record in answer["FaceRecords"])
    assert first["BoundingBox"]["Width"] > second["BoundingBox"]["Width"]
    assert first["ImageId"] == second["ImageId"]
    assert first["FaceId"] != second["FaceId"]
    for record in answer["FaceRecords"]:
        assert UUID.fullmatch(record["Face"]["FaceId"])
        assert UUID.fullmatch(record["Face"]["ImageId"])
        assert record["Face"]["ExternalImageId"] == "town:hall_1.jpg"
        assert record["Face"]["BoundingBox"] == pytest.approx(record["FaceDetail"]["BoundingBox"])
        assert record["Face"]["Confidence"] == pytest.approx(record["FaceDetail"]["Confidence"])
        assert set(record["FaceDetail"]) == {"BoundingBox", "Confidence", "Landmarks", "Pose", "Quality"}
        assert len(record["FaceDetail"]["Landmarks"]) == 5
        assert "UserId" not in record["Face"]
    assert answer["UnindexedFaces"] == []
    assert "OrientationCorrection" not in answer
    told = client.describe_collection(CollectionId=collection)
    assert told["FaceCount"] == 2
    assert told["FaceModelVersion"] == answer["FaceModelVersion"] == first["IndexFacesModelVersion"]


def test_index_all_attributes(client, collection, people) -> None:
    """DetectionAttributes reach the FaceDetail of each record."""
    [record] = index(client, collection, people.ann, DetectionAttributes=["ALL"])["FaceRecords"]
    assert {"AgeRange", "Smile", "EyesOpen", "MouthOpen"} < set(record["FaceDetail"])
    assert len(record["FaceDetail"]["Landmarks"]) >= 25


def test_index_finds_nobody(client, collection, people) -> None:
    """A picture without a face enrols nothing, and is no error."""
    answer = index(client, collection, people.nobody)
    assert answer["FaceRecords"] == answer["UnindexedFaces"] == []
    assert client.describe_collection(CollectionId=collection)["FaceCount"] == 0


def test_index_max_faces(client, collection, people) -> None:
    """Beyond MaxFaces the smaller faces are told as unindexed; what is larger than the picture's count is no limit."""
    answer = index(client, collection, people.both, MaxFaces=1)
    [record] = answer["FaceRecords"]
    [left_out] = answer["UnindexedFaces"]
    assert left_out["Reasons"] == ["EXCEEDS_MAX_FACES"]
    assert left_out["FaceDetail"]["BoundingBox"]["Left"] > 0.5 > record["Face"]["BoundingBox"]["Left"]
    assert client.describe_collection(CollectionId=collection)["FaceCount"] == 1
    assert len(index(client, collection, people.both, MaxFaces=5000)["FaceRecords"]) == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"light": 0.1}, "LOW_BRIGHTNESS"), ({"blur": 9.0}, "LOW_SHARPNESS"), ({"size": 80}, "SMALL_BOUNDING_BOX")],
)
def test_index_leaves_bad_faces_out(client, collection, people, change: dict, reason: str) -> None:
    """A face below the bar of the QualityFilter is told with its reasons; NONE enrols it all the same."""
    bad = changed(people.ann, **change)
    answer = index(client, collection, bad, QualityFilter="HIGH")
    assert answer["FaceRecords"] == []
    [left_out] = answer["UnindexedFaces"]
    assert reason in left_out["Reasons"]
    assert "BoundingBox" in left_out["FaceDetail"]
    assert len(index(client, collection, bad, QualityFilter="NONE")["FaceRecords"]) == 1


def test_index_filters_by_default(client, collection, people) -> None:
    """IndexFaces filters by AUTO unless told otherwise."""
    dark = changed(people.ann, light=0.1)
    by_default = index(client, collection, dark)
    assert by_default["FaceRecords"] == []
    assert by_default["UnindexedFaces"] == index(client, collection, dark, QualityFilter="AUTO")["UnindexedFaces"]


def test_index_knows_an_image_with_the_same_label(client, collection, people) -> None:
    """The same image under the same ExternalImageId adds nothing and answers the same faces."""
    first = index(client, collection, people.both, ExternalImageId="hall", MaxFaces=1)
    again = index(client, collection, people.both, ExternalImageId="hall", MaxFaces=1)
    assert ids(again) == ids(first)
    assert client.describe_collection(CollectionId=collection)["FaceCount"] == 1
    complete = index(client, collection, people.both, ExternalImageId="hall")
    assert ids(complete)[0] == ids(first)[0]
    assert client.describe_collection(CollectionId=collection)["FaceCount"] == 2


def test_index_duplicates_without_or_with_another_label(client, collection, people) -> None:
    """As at AWS, only an equal ExternalImageId keeps an image from being enrolled again; the ImageId stays."""
    answers = [
        index(client, collection, people.ann, **label)
        for label in ({"ExternalImageId": "a"}, {"ExternalImageId": "b"}, {}, {})
    ]
    assert len({ids(answer)[0] for answer in answers}) == 4
    assert len({answer["FaceRecords"][0]["Face"]["ImageId"] for answer in answers}) == 1
    assert "ExternalImageId" not in answers[2]["FaceRecords"][0]["Face"]
    assert client.describe_collection(CollectionId=collection)["FaceCount"] == 4


@pytest.mark.parametrize("label", ["ann smith", "änn", "a/b", "a\u202eb", "😀", "x" * 256, "a\x00", "a\ud800"])
def test_index_label_is_checked(server, collection, people, label: str) -> None:
    """An ExternalImageId of characters that the model forbids is refused before the picture is looked at."""
    client = server.client(parameter_validation=False)
    with pytest.raises(ClientError) as caught:
        index(client, collection, people.ann, ExternalImageId=label)
    assert caught.value.response["Error"]["Code"] in ("ValidationException", "SerializationException")
    assert client.describe_collection(CollectionId=collection)["FaceCount"] == 0


# --- ListFaces ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 5, 4096])
def test_list_faces_page_by_page(client, collection, people, size: int) -> None:
    """The paginator brings every face once, in the order of enrolment."""
    made = [ids(index(client, collection, people.ann, ExternalImageId=f"n{i}"))[0] for i in range(5)]
    pages = list(
        client.get_paginator("list_faces").paginate(CollectionId=collection, PaginationConfig={"PageSize": size})
    )
    assert [len(page["Faces"]) for page in pages] == [size] * (5 // size) + [5 % size] * (5 % size > 0)
    assert [face["FaceId"] for page in pages for face in page["Faces"]] == made
    assert [face["ExternalImageId"] for page in pages for face in page["Faces"]] == [f"n{i}" for i in range(5)]
    assert all(page["FaceModelVersion"] for page in pages)


def test_list_faces_by_id_and_by_user(client, enrolled) -> None:
    """FaceIds and UserId narrow the list; ids that there aren't are passed over."""
    name = enrolled.collection
    client.create_user(CollectionId=name, UserId="ann")
    client.associate_faces(CollectionId=name, UserId="ann", FaceIds=[enrolled.ann])

    def listed(**filters: object) -> list[str]:
        return [face["FaceId"] for face in client.list_faces(CollectionId=name, **filters)["Faces"]]

    assert listed(FaceIds=[UNKNOWN, enrolled.bob]) == [enrolled.bob]
    assert listed(UserId="ann") == [enrolled.ann]
    assert listed(UserId="ann", FaceIds=[enrolled.bob]) == []
    by_id = {face["FaceId"]: face for face in client.list_faces(CollectionId=name)["Faces"]}
    assert by_id[enrolled.ann]["UserId"] == "ann"
    assert "UserId" not in by_id[enrolled.bob]


# --- Searching ------------------------------------------------------------------------------------------------


def test_search_leaves_the_face_itself_out(client, enrolled, people) -> None:
    """SearchFaces lists the others, the most alike first, above 80 % unless told otherwise."""
    name = enrolled.collection
    [again] = ids(index(client, name, people.ann_again, ExternalImageId="again"))
    answer = client.search_faces(CollectionId=name, FaceId=enrolled.ann)
    assert answer["SearchedFaceId"] == enrolled.ann
    [match] = answer["FaceMatches"]
    assert match["Face"]["FaceId"] == again
    assert match["Face"]["ExternalImageId"] == "again"
    assert match["Similarity"] > 95
    everybody = client.search_faces(CollectionId=name, FaceId=enrolled.ann, FaceMatchThreshold=0)["FaceMatches"]
    assert [m["Face"]["FaceId"] for m in everybody] == [again, enrolled.bob]
    assert everybody[1]["Similarity"] < 80
    nearest = client.search_faces(CollectionId=name, FaceId=enrolled.ann, FaceMatchThreshold=0, MaxFaces=1)
    assert [m["Face"]["FaceId"] for m in nearest["FaceMatches"]] == [again]


def test_search_unknown_face(client, enrolled) -> None:
    """A FaceId that the collection doesn't hold is an invalid parameter, in AWS's words; so is one that was deleted."""
    name = enrolled.collection
    client.delete_faces(CollectionId=name, FaceIds=[enrolled.bob])
    for face in (UNKNOWN, enrolled.bob, str(uuid.uuid4())):
        with pytest.raises(client.exceptions.InvalidParameterException) as caught:
            client.search_faces(CollectionId=name, FaceId=face)
        assert message(caught) == "faceId was not found in the collection."
    with pytest.raises(ClientError) as caught:
        client.search_faces(CollectionId=name, FaceId="ann")
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_search_by_image(client, enrolled, people) -> None:
    """The largest face of the picture is searched; its box and confidence are told."""
    name = enrolled.collection
    answer = client.search_faces_by_image(CollectionId=name, Image={"Bytes": people.both})
    [match] = answer["FaceMatches"]
    assert match["Face"]["FaceId"] == enrolled.ann
    assert match["Similarity"] > 95
    assert answer["SearchedFaceBoundingBox"]["Left"] < 0.5
    assert answer["SearchedFaceConfidence"] > 90
    assert answer["FaceModelVersion"] == client.describe_collection(CollectionId=name)["FaceModelVersion"]
    assert client.describe_collection(CollectionId=name)["FaceCount"] == 2, "a search enrols nothing"


def test_search_by_image_orders_and_limits(client, enrolled, people) -> None:
    """With a threshold of 0 all faces come, the most alike first, and MaxFaces keeps the first."""
    search = {"CollectionId": enrolled.collection, "Image": {"Bytes": people.bob}, "FaceMatchThreshold": 0}
    matches = client.search_faces_by_image(**search)["FaceMatches"]
    assert [m["Face"]["FaceId"] for m in matches] == [enrolled.bob, enrolled.ann]
    assert matches[0]["Similarity"] > 99.9
    assert matches[1]["Similarity"] < 80
    assert client.search_faces_by_image(**search, MaxFaces=1)["FaceMatches"] == matches[:1]


def test_search_by_image_needs_a_face(client, enrolled, people) -> None:
    """Without a face, or with none that is good enough, there is nothing to search with; the default filter is NONE."""
    dark = {"CollectionId": enrolled.collection, "Image": {"Bytes": changed(people.ann, light=0.25)}}
    assert client.search_faces_by_image(**dark)["FaceMatches"]
    empty = {"CollectionId": enrolled.collection, "Image": {"Bytes": people.nobody}}
    for search in (empty, {**dark, "QualityFilter": "HIGH"}):
        with pytest.raises(client.exceptions.InvalidParameterException) as caught:
            client.search_faces_by_image(**search)
        assert message(caught) == NO_FACE


@pytest.mark.parametrize(("option", "value"), [("MaxFaces", 0), ("MaxFaces", 4097), ("FaceMatchThreshold", 100.5)])
def test_search_limits_are_checked(server, enrolled, people, option: str, value: float) -> None:
    """Numbers outside the model's range are refused."""
    client = server.client(parameter_validation=False)
    with pytest.raises(ClientError) as caught:
        client.search_faces_by_image(CollectionId=enrolled.collection, Image={"Bytes": people.ann}, **{option: value})
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert f"at '{option[0].lower()}{option[1:]}'" in message(caught)


# --- DeleteFaces ----------------------------------------------------------------------------------------------


def test_deleted_faces_are_gone(client, enrolled, people) -> None:
    """A deleted face is in no list and in no search; an unknown one is told."""
    name = enrolled.collection
    answer = client.delete_faces(CollectionId=name, FaceIds=[enrolled.ann, UNKNOWN, enrolled.ann])
    assert answer["DeletedFaces"] == [enrolled.ann]
    assert answer["UnsuccessfulFaceDeletions"] == [{"FaceId": UNKNOWN, "Reasons": ["FACE_NOT_FOUND"]}]
    assert [face["FaceId"] for face in client.list_faces(CollectionId=name)["Faces"]] == [enrolled.bob]
    assert client.search_faces_by_image(CollectionId=name, Image={"Bytes": people.ann})["FaceMatches"] == []
    assert client.describe_collection(CollectionId=name)["FaceCount"] == 1
    assert client.delete_faces(CollectionId=name, FaceIds=[enrolled.ann])["DeletedFaces"] == []


def test_faces_of_users_are_not_deleted(client, enrolled) -> None:
    """A face that is tied to a user stays until it is disassociated."""
    name = enrolled.collection
    client.create_user(CollectionId=name, UserId="ann")
    client.associate_faces(CollectionId=name, UserId="ann", FaceIds=[enrolled.ann])
    answer = client.delete_faces(CollectionId=name, FaceIds=[enrolled.ann, enrolled.bob])
    assert answer["DeletedFaces"] == [enrolled.bob]
    assert answer["UnsuccessfulFaceDeletions"] == [
        {"FaceId": enrolled.ann, "UserId": "ann", "Reasons": ["ASSOCIATED_TO_AN_EXISTING_USER"]}
    ]
    client.disassociate_faces(CollectionId=name, UserId="ann", FaceIds=[enrolled.ann])
    assert client.delete_faces(CollectionId=name, FaceIds=[enrolled.ann])["DeletedFaces"] == [enrolled.ann]
