# SPDX-License-Identifier: Apache-2.0
"""boto3 on users: making them, tying faces to them, searching for them, and sending a request twice."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from botocore.exceptions import ClientError

UNKNOWN = "11111111-2222-4333-8444-555555555555"


def message(caught) -> str:
    return caught.value.response["Error"]["Message"]


def empty(answer: dict) -> bool:
    return set(answer) == {"ResponseMetadata"}


def status(client, collection: str) -> dict[str, str]:
    return {u["UserId"]: u["UserStatus"] for u in client.list_users(CollectionId=collection)["Users"]}


@pytest.fixture
def ann(client, enrolled):
    """The collection ``enrolled`` with a user ``ann`` who has Ann's face, and a user ``bob`` without any."""
    client.create_user(CollectionId=enrolled.collection, UserId="ann")
    client.create_user(CollectionId=enrolled.collection, UserId="bob")
    client.associate_faces(CollectionId=enrolled.collection, UserId="ann", FaceIds=[enrolled.ann])
    return enrolled


# --- Their life -----------------------------------------------------------------------------------------------


def test_user_lives_and_dies(client, enrolled) -> None:
    """A user is CREATED, ACTIVE with a face, CREATED again without, and its faces survive it."""
    name = enrolled.collection
    assert empty(client.create_user(CollectionId=name, UserId="town:ann-1"))
    assert status(client, name) == {"town:ann-1": "CREATED"}
    faces = {"CollectionId": name, "UserId": "town:ann-1", "FaceIds": [enrolled.ann]}
    tied = client.associate_faces(**faces)
    assert tied["AssociatedFaces"] == [{"FaceId": enrolled.ann}]
    assert tied["UnsuccessfulFaceAssociations"] == []
    assert tied["UserStatus"] == "ACTIVE"
    assert status(client, name) == {"town:ann-1": "ACTIVE"}
    loose = client.disassociate_faces(**faces)
    assert loose["DisassociatedFaces"] == [{"FaceId": enrolled.ann}]
    assert loose["UserStatus"] == "CREATED"
    client.associate_faces(**faces)
    assert client.describe_collection(CollectionId=name)["UserCount"] == 1
    assert empty(client.delete_user(CollectionId=name, UserId="town:ann-1"))
    assert status(client, name) == {}
    told = client.describe_collection(CollectionId=name)
    assert (told["UserCount"], told["FaceCount"]) == (0, 2)
    assert all("UserId" not in face for face in client.list_faces(CollectionId=name)["Faces"])


def test_user_exists_once(client, collection) -> None:
    """A second user of the same id is a conflict; the SDK's own token doesn't hide it."""
    client.create_user(CollectionId=collection, UserId="ann")
    with pytest.raises(client.exceptions.ConflictException):
        client.create_user(CollectionId=collection, UserId="ann")


@pytest.mark.parametrize("user", ["a b", "änn", "a/b", "😀", "x" * 129, "a\u202eb"])
def test_user_id_is_checked(server, collection, user: str) -> None:
    """A UserId of characters that the model forbids is refused."""
    with pytest.raises(ClientError) as caught:
        server.client(parameter_validation=False).create_user(CollectionId=collection, UserId=user)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_missing_user_is_told(client, enrolled) -> None:
    """Operations on a user that there isn't raise ResourceNotFoundException."""
    name = enrolled.collection
    for call in (
        lambda: client.delete_user(CollectionId=name, UserId="nobody"),
        lambda: client.associate_faces(CollectionId=name, UserId="nobody", FaceIds=[enrolled.ann]),
        lambda: client.disassociate_faces(CollectionId=name, UserId="nobody", FaceIds=[enrolled.ann]),
        lambda: client.search_users(CollectionId=name, UserId="nobody"),
        lambda: client.list_faces(CollectionId=name, UserId="nobody"),
    ):
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            call()


@pytest.mark.parametrize("size", [1, 2, 500])
def test_list_users_page_by_page(client, collection, size: int) -> None:
    """The paginator brings every user once."""
    users = ["c", "a", "b", "d", "e"]
    for user in users:
        client.create_user(CollectionId=collection, UserId=user)
    pages = list(
        client.get_paginator("list_users").paginate(CollectionId=collection, PaginationConfig={"PageSize": size})
    )
    assert all(len(page["Users"]) <= size for page in pages)
    assert [user["UserId"] for page in pages for user in page["Users"]] == users


# --- Sending twice --------------------------------------------------------------------------------------------


def test_token_makes_a_request_happen_once(client, enrolled) -> None:
    """The same token with the same parameters gets the same answer, and nothing happens a second time."""
    name = enrolled.collection
    create = {"CollectionId": name, "UserId": "ann", "ClientRequestToken": "create-1"}
    assert empty(client.create_user(**create))
    assert empty(client.create_user(**create))
    tie = {"CollectionId": name, "UserId": "ann", "FaceIds": [enrolled.ann, UNKNOWN], "ClientRequestToken": "tie-1"}
    first, second = client.associate_faces(**tie), client.associate_faces(**tie)
    assert first["AssociatedFaces"] == second["AssociatedFaces"] == [{"FaceId": enrolled.ann}]
    assert first["UnsuccessfulFaceAssociations"] == second["UnsuccessfulFaceAssociations"]
    loosen = {"CollectionId": name, "UserId": "ann", "FaceIds": [enrolled.ann], "ClientRequestToken": "loosen-1"}
    assert client.disassociate_faces(**loosen)["DisassociatedFaces"] == [{"FaceId": enrolled.ann}]
    client.associate_faces(CollectionId=name, UserId="ann", FaceIds=[enrolled.ann])
    assert client.disassociate_faces(**loosen)["DisassociatedFaces"] == [{"FaceId": enrolled.ann}]
    assert status(client, name) == {"ann": "ACTIVE"}, "the second disassociation was only an answer"
    delete = {"CollectionId": name, "UserId": "ann", "ClientRequestToken": "delete-1"}
    assert empty(client.delete_user(**delete))
    assert empty(client.delete_user(**delete))


def test_token_is_for_one_request(client, enrolled) -> None:
    """The same token with other parameters is refused, in AWS's words; another operation has tokens of its own."""
    name = enrolled.collection
    client.create_user(CollectionId=name, UserId="ann", ClientRequestToken="t-1")
    with pytest.raises(client.exceptions.IdempotentParameterMismatchException) as caught:
        client.create_user(CollectionId=name, UserId="bob", ClientRequestToken="t-1")
    assert message(caught) == "The ClientRequestToken: t-1 you have supplied is already in use."
    assert status(client, name) == {"ann": "CREATED"}
    tie = {"CollectionId": name, "UserId": "ann", "FaceIds": [enrolled.ann], "ClientRequestToken": "t-1"}
    assert client.associate_faces(**tie)["AssociatedFaces"]
    for other in ({"UserMatchThreshold": 10}, {"FaceIds": [enrolled.bob]}):
        with pytest.raises(client.exceptions.IdempotentParameterMismatchException):
            client.associate_faces(**{**tie, **other})
    client.delete_user(CollectionId=name, UserId="ann", ClientRequestToken="t-2")
    with pytest.raises(client.exceptions.IdempotentParameterMismatchException):
        client.delete_user(CollectionId=name, UserId="bob", ClientRequestToken="t-2")


def test_token_of_a_failure_may_be_used_again(client, collection) -> None:
    """A request that failed has not used its token up."""
    request = {"CollectionId": collection, "UserId": "ann", "ClientRequestToken": "again"}
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.delete_user(**request)
    client.create_user(CollectionId=collection, UserId="ann")
    assert empty(client.delete_user(**request))


# --- Tying faces ----------------------------------------------------------------------------------------------


def test_associate_wants_alike_faces(client, ann, people) -> None:
    """From the second face on a user's faces must be alike by 75 %; a lower threshold takes them."""
    name = ann.collection
    again = client.index_faces(CollectionId=name, Image={"Bytes": people.ann_again})["FaceRecords"][0]["Face"]["FaceId"]
    tie = {"CollectionId": name, "UserId": "ann", "FaceIds": [ann.bob, again]}
    answer = client.associate_faces(**tie)
    assert answer["AssociatedFaces"] == [{"FaceId": again}]
    [failed] = answer["UnsuccessfulFaceAssociations"]
    assert failed["FaceId"] == ann.bob
    assert failed["Reasons"] == ["LOW_MATCH_CONFIDENCE"]
    assert 0 <= failed["Confidence"] < 75
    lenient = client.associate_faces(**tie, UserMatchThreshold=0)
    assert lenient["AssociatedFaces"] == [{"FaceId": ann.bob}]
    assert lenient["UnsuccessfulFaceAssociations"] == [], "one that is associated already is passed over"


def test_associate_tells_failures(client, ann) -> None:
    """Faces that there aren't, and those of another user, are told one by one."""
    answer = client.associate_faces(CollectionId=ann.collection, UserId="bob", FaceIds=[UNKNOWN, ann.ann])
    assert answer["AssociatedFaces"] == []
    assert answer["UnsuccessfulFaceAssociations"] == [
        {"FaceId": UNKNOWN, "Reasons": ["FACE_NOT_FOUND"]},
        {"FaceId": ann.ann, "UserId": "ann", "Reasons": ["ASSOCIATED_TO_A_DIFFERENT_USER"]},
    ]
    assert answer["UserStatus"] == "CREATED"


def test_disassociate_tells_failures(client, ann) -> None:
    """The same holds for taking faces away."""
    answer = client.disassociate_faces(CollectionId=ann.collection, UserId="bob", FaceIds=[UNKNOWN, ann.ann])
    assert answer["DisassociatedFaces"] == []
    assert answer["UnsuccessfulFaceDisassociations"] == [
        {"FaceId": UNKNOWN, "Reasons": ["FACE_NOT_FOUND"]},
        {"FaceId": ann.ann, "UserId": "ann", "Reasons": ["ASSOCIATED_TO_A_DIFFERENT_USER"]},
    ]


def test_user_has_at_most_100_faces(client, collection, people) -> None:
    """A hundred faces of one picture fit a user; the next one exceeds a quota."""
    ann = cv2.resize(cv2.imdecode(np.frombuffer(people.ann, np.uint8), cv2.IMREAD_COLOR), (160, 160))
    crowd = cv2.imencode(".jpg", np.tile(ann, (10, 11, 1)))[1].tobytes()
    answer = client.index_faces(CollectionId=collection, Image={"Bytes": crowd}, QualityFilter="NONE")
    faces = [record["Face"]["FaceId"] for record in answer["FaceRecords"]]
    assert len(faces) == 100, "no more faces of one picture are looked at"
    [more] = client.index_faces(CollectionId=collection, Image={"Bytes": people.ann})["FaceRecords"]
    client.create_user(CollectionId=collection, UserId="ann")
    tie = {"CollectionId": collection, "UserId": "ann", "UserMatchThreshold": 0}
    assert len(client.associate_faces(**tie, FaceIds=faces)["AssociatedFaces"]) == 100
    assert client.associate_faces(**tie, FaceIds=faces[:1])["AssociatedFaces"] == []
    with pytest.raises(client.exceptions.ServiceQuotaExceededException):
        client.associate_faces(**tie, FaceIds=[more["Face"]["FaceId"]])
    with pytest.raises(ClientError) as caught:
        client.associate_faces(**tie, FaceIds=[*faces, more["Face"]["FaceId"]])
    assert caught.value.response["Error"]["Code"] == "ValidationException"


# --- Searching ------------------------------------------------------------------------------------------------


def test_search_users_by_face_or_by_user(client, ann) -> None:
    """Exactly one of FaceId and UserId is given, and told back; a user isn't its own candidate."""
    name = ann.collection
    by_face = client.search_users(CollectionId=name, FaceId=ann.ann)
    assert by_face["SearchedFace"] == {"FaceId": ann.ann}
    assert "SearchedUser" not in by_face
    [match] = by_face["UserMatches"]
    assert match["User"] == {"UserId": "ann", "UserStatus": "ACTIVE"}
    assert match["Similarity"] > 95
    client.associate_faces(CollectionId=name, UserId="bob", FaceIds=[ann.bob])
    by_user = client.search_users(CollectionId=name, UserId="ann", UserMatchThreshold=0)
    assert by_user["SearchedUser"] == {"UserId": "ann"}
    assert "SearchedFace" not in by_user
    assert [m["User"]["UserId"] for m in by_user["UserMatches"]] == ["bob"]
    assert client.search_users(CollectionId=name, UserId="ann")["UserMatches"] == []
    for either in ({}, {"FaceId": ann.ann, "UserId": "ann"}):
        with pytest.raises(client.exceptions.InvalidParameterException):
            client.search_users(CollectionId=name, **either)
    with pytest.raises(client.exceptions.InvalidParameterException) as caught:
        client.search_users(CollectionId=name, FaceId=UNKNOWN)
    assert message(caught) == "faceId was not found in the collection."


def test_search_users_orders_and_limits(client, ann) -> None:
    """The most alike user comes first, and MaxUsers keeps the first; a user without faces is no candidate."""
    name = ann.collection
    client.create_user(CollectionId=name, UserId="faceless")
    client.associate_faces(CollectionId=name, UserId="bob", FaceIds=[ann.bob])
    search = {"CollectionId": name, "FaceId": ann.bob, "UserMatchThreshold": 0}
    matches = client.search_users(**search)["UserMatches"]
    assert [m["User"]["UserId"] for m in matches] == ["bob", "ann"]
    assert matches[0]["Similarity"] > matches[1]["Similarity"]
    assert client.search_users(**search, MaxUsers=1)["UserMatches"] == matches[:1]
    assert client.search_users(CollectionId=name, UserId="faceless", UserMatchThreshold=0)["UserMatches"] == []


def test_search_users_by_image(client, ann, people) -> None:
    """The largest face is searched; the others are told as unsearched."""
    answer = client.search_users_by_image(CollectionId=ann.collection, Image={"Bytes": people.both})
    [match] = answer["UserMatches"]
    assert match["User"]["UserId"] == "ann"
    assert answer["SearchedFace"]["FaceDetail"]["BoundingBox"]["Left"] < 0.5
    [other] = answer["UnsearchedFaces"]
    assert other["Reasons"] == ["FACE_NOT_LARGEST"]
    assert other["FaceDetails"]["BoundingBox"]["Left"] > 0.5
    assert answer["FaceModelVersion"]


def test_search_users_by_image_without_a_good_face(client, ann, people) -> None:
    """No face is no error here; a face that isn't good enough is told with its reasons."""
    nobody = client.search_users_by_image(CollectionId=ann.collection, Image={"Bytes": people.nobody})
    assert nobody["UserMatches"] == nobody["UnsearchedFaces"] == []
    assert "SearchedFace" not in nobody
    picture = cv2.imdecode(np.frombuffer(people.ann, np.uint8), cv2.IMREAD_COLOR)
    dark = {"Bytes": cv2.imencode(".png", cv2.convertScaleAbs(picture, alpha=0.1))[1].tobytes()}
    refused = client.search_users_by_image(CollectionId=ann.collection, Image=dark, QualityFilter="AUTO")
    assert refused["UserMatches"] == []
    assert "SearchedFace" not in refused
    assert "LOW_BRIGHTNESS" in refused["UnsearchedFaces"][0]["Reasons"]


def test_deleted_user_is_no_candidate(client, ann, people) -> None:
    """A search after a deletion doesn't find the user."""
    client.delete_user(CollectionId=ann.collection, UserId="ann")
    search = {"CollectionId": ann.collection, "Image": {"Bytes": people.ann}, "UserMatchThreshold": 0}
    assert client.search_users_by_image(**search)["UserMatches"] == []
