# SPDX-License-Identifier: Apache-2.0
"""boto3 from many threads at once: what shall happen once happens once, and too much is refused, not dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from botocore.exceptions import ClientError

THREADS = 12


def outcomes(call: Callable[[int], object], times: int = THREADS) -> Counter[str]:
    """Call from as many threads at once, and count errors by their codes, and successes as ``ok``."""

    def one(number: int) -> str:
        try:
            call(number)
        except ClientError as error:
            return error.response["Error"]["Code"]
        return "ok"

    with ThreadPoolExecutor(times) as pool:
        return Counter(pool.map(one, range(times)))


def test_one_of_many_creates_the_collection(client) -> None:
    """Of clients that create the same collection one succeeds, and all others are told that it exists."""
    got = outcomes(lambda _: client.create_collection(CollectionId="race"))
    assert got == {"ok": 1, "ResourceAlreadyExistsException": THREADS - 1}
    assert client.list_collections()["CollectionIds"].count("race") == 1
    got = outcomes(lambda _: client.delete_collection(CollectionId="race"))
    assert got == {"ok": 1, "ResourceNotFoundException": THREADS - 1}


def test_one_of_many_creates_the_user(client, collection) -> None:
    """Without a common token one succeeds; with it all do, and there is one user."""
    got = outcomes(lambda _: client.create_user(CollectionId=collection, UserId="ann"))
    assert got == {"ok": 1, "ConflictException": THREADS - 1}
    request = {"CollectionId": collection, "UserId": "bob", "ClientRequestToken": "one-request"}
    assert outcomes(lambda _: client.create_user(**request)) == {"ok": THREADS}
    assert client.describe_collection(CollectionId=collection)["UserCount"] == 2


def test_one_picture_is_enrolled_once(client, collection, people) -> None:
    """The same picture under the same label, sent by many, is one face."""
    faces = set()

    def enrol(_: int) -> None:
        answer = client.index_faces(CollectionId=collection, Image={"Bytes": people.ann}, ExternalImageId="ann")
        faces.add(answer["FaceRecords"][0]["Face"]["FaceId"])

    assert outcomes(enrol) == {"ok": THREADS}
    assert len(faces) == 1
    assert client.describe_collection(CollectionId=collection)["FaceCount"] == 1


def test_all_pictures_are_found_at_once(client, collection, people) -> None:
    """What a thread has enrolled it finds, whatever the others do meanwhile; the counts come out right."""

    def enrol_and_search(number: int) -> None:
        record = client.index_faces(
            CollectionId=collection, Image={"Bytes": people.ann}, ExternalImageId=f"ann-{number}"
        )["FaceRecords"][0]
        found = client.search_faces_by_image(CollectionId=collection, Image={"Bytes": people.ann_again})
        assert record["Face"]["FaceId"] in [match["Face"]["FaceId"] for match in found["FaceMatches"]]
        if number % 2:
            client.delete_faces(CollectionId=collection, FaceIds=[record["Face"]["FaceId"]])

    assert outcomes(enrol_and_search) == {"ok": THREADS}
    listed = client.list_faces(CollectionId=collection)["Faces"]
    assert sorted(face["ExternalImageId"] for face in listed) == sorted(f"ann-{n}" for n in range(0, THREADS, 2))
    assert client.describe_collection(CollectionId=collection)["FaceCount"] == THREADS // 2


def test_deletion_meets_enrolment(client, collection, people) -> None:
    """A collection that vanishes under its users is told as missing, and nothing of it stays."""

    def work(number: int) -> None:
        if number == THREADS // 2:
            client.delete_collection(CollectionId=collection)
        else:
            client.index_faces(CollectionId=collection, Image={"Bytes": people.ann}, ExternalImageId=f"n{number}")

    assert set(outcomes(work)) <= {"ok", "ResourceNotFoundException"}
    client.create_collection(CollectionId=collection)
    assert client.list_faces(CollectionId=collection)["Faces"] == []


def test_too_many_requests_are_throttled(start_server, people, tmp_path) -> None:
    """What doesn't fit into the queue gets a typed error that SDKs wait upon: with their retries all succeed."""
    server = start_server(tmp_path, CUSTODES_QUEUE="2", CUSTODES_WORKERS="1")
    try:
        hasty = server.client(retries={"total_max_attempts": 1})
        patient = server.client(retries={"mode": "standard", "total_max_attempts": 20})
        detect = {"Image": {"Bytes": people.ann}}
        hasty.detect_faces(**detect)
        got = outcomes(lambda _: hasty.detect_faces(**detect))
        assert set(got) == {"ok", "ThrottlingException"}
        assert got["ok"] >= 2
        assert outcomes(lambda _: patient.detect_faces(**detect), 6) == {"ok": 6}
    finally:
        server.stop()
