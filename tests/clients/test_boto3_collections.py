# SPDX-License-Identifier: Apache-2.0
"""boto3 on collections: their life, their names, their tags, and pages of lists."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

FACE = "11111111-2222-4333-8444-555555555555"


def message(caught) -> str:
    return caught.value.response["Error"]["Message"]


def test_collection_lives_and_dies(client) -> None:
    """A collection is created empty, described, and gone after its deletion."""
    made = client.create_collection(CollectionId="life")
    assert made["StatusCode"] == 200
    assert made["CollectionArn"] == "aws:rekognition:us-east-1:000000000000:collection/life"
    told = client.describe_collection(CollectionId="life")
    assert told["CollectionARN"] == f"arn:{made['CollectionArn']}", "CreateCollection's has no arn:, as AWS's has none"
    assert (told["FaceCount"], told["UserCount"]) == (0, 0)
    assert told["FaceModelVersion"] == made["FaceModelVersion"]
    assert told["CreationTimestamp"].tzinfo is not None
    assert abs(datetime.now(UTC) - told["CreationTimestamp"]) < timedelta(minutes=1)
    assert client.delete_collection(CollectionId="life")["StatusCode"] == 200
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.describe_collection(CollectionId="life")


def test_collection_exists_once(client, collection) -> None:
    """A second collection of the same name is refused in AWS's words."""
    with pytest.raises(client.exceptions.ResourceAlreadyExistsException) as caught:
        client.create_collection(CollectionId=collection)
    assert message(caught) == f"The collection id: {collection} already exists"


def test_collection_is_deleted_with_its_content(client, collection, people) -> None:
    """A new collection of an old name is empty."""
    client.index_faces(CollectionId=collection, Image={"Bytes": people.ann})
    client.create_user(CollectionId=collection, UserId="ann")
    told = client.describe_collection(CollectionId=collection)
    assert (told["FaceCount"], told["UserCount"]) == (1, 1)
    client.delete_collection(CollectionId=collection)
    client.create_collection(CollectionId=collection)
    assert client.list_faces(CollectionId=collection)["Faces"] == []
    assert client.list_users(CollectionId=collection)["Users"] == []
    assert client.search_faces_by_image(CollectionId=collection, Image={"Bytes": people.ann})["FaceMatches"] == []


MISSING = {
    "associate_faces": {"UserId": "u", "FaceIds": [FACE]},
    "create_user": {"UserId": "u"},
    "delete_collection": {},
    "delete_faces": {"FaceIds": [FACE]},
    "delete_user": {"UserId": "u"},
    "describe_collection": {},
    "disassociate_faces": {"UserId": "u", "FaceIds": [FACE]},
    "index_faces": {"Image": None},
    "list_faces": {},
    "list_users": {},
    "search_faces": {"FaceId": FACE},
    "search_faces_by_image": {"Image": None},
    "search_users": {"FaceId": FACE},
    "search_users_by_image": {"Image": None},
}


@pytest.mark.parametrize("method", MISSING)
def test_missing_collection_is_told(client, people, method: str) -> None:
    """Every operation on a collection says which one there isn't."""
    params = {k: v if v is not None else {"Bytes": people.ann} for k, v in MISSING[method].items()}
    with pytest.raises(client.exceptions.ResourceNotFoundException) as caught:
        getattr(client, method)(CollectionId="nowhere", **params)
    assert message(caught) == "The collection id: nowhere does not exist"


@pytest.mark.parametrize("name", ["../etc", "a/b", "a b", "ä", "", "x" * 256, "a\x00b", "a\n"])
def test_collection_name_is_checked(server, name: str) -> None:
    """A name that the service model forbids is a ValidationException, which no operation declares."""
    client = server.client(parameter_validation=False)
    for call in (client.create_collection, client.delete_collection, client.list_faces):
        with pytest.raises(ClientError) as caught:
            call(CollectionId=name)
        assert caught.value.response["Error"]["Code"] == "ValidationException"
        assert "at 'collectionId' failed to satisfy constraint" in message(caught)


# --- Pages ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_list_collections_page_by_page(client, size: int) -> None:
    """The paginator brings every collection once, in pages of the size asked for, with the model versions beside."""
    names = [f"page-{size}-{i}" for i in (3, 1, 2)]
    for name in names:
        client.create_collection(CollectionId=name)
    pages = list(client.get_paginator("list_collections").paginate(PaginationConfig={"PageSize": size}))
    assert all(len(page["CollectionIds"]) <= size for page in pages)
    assert all(len(page["CollectionIds"]) == size for page in pages[:-1])
    assert all(len(page["CollectionIds"]) == len(page["FaceModelVersions"]) for page in pages)
    seen = [name for page in pages for name in page["CollectionIds"]]
    assert len(seen) == len(set(seen))
    assert [name for name in seen if name in names] == names, "in the order of creation"
    for name in names:
        client.delete_collection(CollectionId=name)


def test_list_collections_with_zero_results_takes_the_default(client, collection) -> None:
    """The model allows MaxResults 0; like an absent one it means the server's own page."""
    assert collection in client.list_collections(MaxResults=0)["CollectionIds"]


def test_tokens_are_good_for_their_own_list_only(client, enrolled) -> None:
    """A token that was changed, made up, or made for another list is refused by a typed error."""
    name = enrolled.collection
    client.create_collection(CollectionId="other-list")
    for user in ("a", "b"):
        client.create_user(CollectionId=name, UserId=user)
    calls = {
        "faces": (client.list_faces, {"CollectionId": name}),
        "users": (client.list_users, {"CollectionId": name}),
        "collections": (client.list_collections, {}),
    }
    tokens = {kind: call(**scope, MaxResults=1)["NextToken"] for kind, (call, scope) in calls.items()}
    assert all(0 < len(token) <= 255 for token in tokens.values())
    for kind, (call, scope) in calls.items():
        own = tokens[kind]
        assert call(**scope, NextToken=own)
        changed = ("B" if own[0] == "A" else "A") + own[1:]
        foreign = [token for other, token in tokens.items() if other != kind]
        for token in ("", "x", "ä", "A" * 255, own + "A", own[:-4], changed, *foreign):
            with pytest.raises(client.exceptions.InvalidPaginationTokenException) as caught:
                call(**scope, NextToken=token)
            assert message(caught) == "Invalid Pagination Token"
    with pytest.raises(client.exceptions.InvalidPaginationTokenException):
        client.list_faces(CollectionId="other-list", NextToken=tokens["faces"])
    client.delete_collection(CollectionId="other-list")


# --- Tags -----------------------------------------------------------------------------------------------------


def test_tags_come_and_go(client) -> None:
    """Tags of the creation, added, changed and removed ones are read back; both forms of the ARN will do."""
    short = client.create_collection(CollectionId="tagged", Tags={"owner": "town", "stage": "test"})["CollectionArn"]
    arn = client.describe_collection(CollectionId="tagged")["CollectionARN"]
    assert client.list_tags_for_resource(ResourceArn=arn)["Tags"] == {"owner": "town", "stage": "test"}
    assert client.tag_resource(ResourceArn=short, Tags={"stage": "live", "größe": ""}).keys() == {"ResponseMetadata"}
    client.untag_resource(ResourceArn=arn, TagKeys=["owner", "never-there"])
    assert client.list_tags_for_resource(ResourceArn=short)["Tags"] == {"stage": "live", "größe": ""}
    client.delete_collection(CollectionId="tagged")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.list_tags_for_resource(ResourceArn=arn)


def test_tags_are_at_most_200(client, collection) -> None:
    """The 201st tag of a collection exceeds a quota, and none of the request's is kept."""
    arn = client.describe_collection(CollectionId=collection)["CollectionARN"]
    client.tag_resource(ResourceArn=arn, Tags={f"k{i}": "v" for i in range(200)})
    client.tag_resource(ResourceArn=arn, Tags={"k0": "changed"})
    with pytest.raises(client.exceptions.ServiceQuotaExceededException):
        client.tag_resource(ResourceArn=arn, Tags={"one": "more", "k1": "changed"})
    tags = client.list_tags_for_resource(ResourceArn=arn)["Tags"]
    assert len(tags) == 200
    assert (tags["k0"], tags["k1"]) == ("changed", "v")


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:rekognition:us-east-1:000000000000:collection/nowhere",
        "arn:aws:rekognition:eu-west-1:000000000000:collection/{}",
        "arn:aws:rekognition:us-east-1:111111111111:collection/{}",
        "arn:aws:s3:us-east-1:000000000000:collection/{}",
        "this is no ARN at all, is it?",
    ],
)
def test_tags_of_nothing_here(client, collection, arn: str) -> None:
    """An ARN of another account, region or service names nothing of this server."""
    name = arn.format(collection)
    for call in (
        lambda: client.list_tags_for_resource(ResourceArn=name),
        lambda: client.tag_resource(ResourceArn=name, Tags={"a": "b"}),
        lambda: client.untag_resource(ResourceArn=name, TagKeys=["a"]),
    ):
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            call()
