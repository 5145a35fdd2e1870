# SPDX-License-Identifier: Apache-2.0
"""The native REST API, and what the server writes about itself: numbers and lines, and no personal data in either."""

from __future__ import annotations

import base64
import json
import re

import pytest
from openapi_spec_validator import validate

import custodes


@pytest.fixture(scope="session")
def get(wire):
    """Gets a path."""
    return lambda path, method="GET": wire.send(
        [wire.head({"host": wire.host}, None, line=f"{method} {path} HTTP/1.1")]
    )


def counters(metrics: str) -> dict[tuple[str, str], float]:
    """Return requests answered by operation and outcome."""
    lines = re.findall(r'^custodes_requests_total\{operation="(\w+)",outcome="(\w+)"\} (\S+)$', metrics, re.MULTILINE)
    return {(operation, outcome): float(count) for operation, outcome, count in lines}


def test_health(get) -> None:
    """A server that works says so, with its version and the pack of new collections."""
    answer = get("/v1/health")
    assert answer.status == 200
    assert set(answer.document) == {"status", "version", "pack", "waiting"}
    assert answer.document["status"] == "ok"
    assert answer.document["version"] == custodes.__version__
    assert answer.document["waiting"] >= 0


def test_packs(get) -> None:
    """Packs are listed with licence, origin and hash of every model, and described one by one."""
    packs = get("/v1/packs").document
    default = get("/v1/health").document["pack"]
    [pack] = [pack for pack in packs if pack["id"] == default]
    assert pack["models"]
    for model in pack["models"]:
        assert re.fullmatch(r"[0-9a-f]{64}", model["sha256"])
        assert model["licence"]
        assert model["origin"]
    assert get(f"/v1/packs/{default}").document == pack


@pytest.mark.parametrize("path", ["/v1/packs/none", "/v1/packs/..%2f..%2fetc", "/v1/packs/%00", "/v1/packs/a%0ab"])
def test_unknown_pack(get, path: str) -> None:
    """A pack that isn't installed is told by a Problem."""
    answer = get(path)
    assert answer.status == 404
    assert set(answer.document) == {"error", "message", "remedy"}
    assert answer.document["error"] == "NotFound"


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/", "GET", 404),
        ("/docs", "GET", 404),
        ("/v1", "GET", 404),
        ("/v2/health", "GET", 404),
        ("/v1/health/../collections", "GET", 404),
        ("/v1/collections", "GET", 404),
        ("/v1/health", "POST", 405),
        ("/v1/metrics", "DELETE", 405),
    ],
)
def test_unknown_route(get, path: str, method: str, status: int) -> None:
    """What there isn't is told by a Problem too."""
    answer = get(path, method)
    assert answer.status == status
    assert set(answer.document) == {"error", "message", "remedy"}


def test_openapi_is_valid(get) -> None:
    """The description keeps OpenAPI's own rules, and describes every route."""
    document = get("/v1/openapi.json").document
    validate(document)
    assert set(document["paths"]) == {"/v1/health", "/v1/metrics", "/v1/packs", "/v1/packs/{pack_id}"}
    assert document["info"]["version"] == custodes.__version__


def test_metrics_count(get, wire, client) -> None:
    """Every request is counted by operation and outcome, and timed; an unknown operation makes no label of its own."""
    before = counters(get("/v1/metrics").body.decode())
    for _ in range(3):
        client.list_collections()
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.describe_collection(CollectionId="nowhere")
    wire.call("DropAllTables", b"{}")
    answer = get("/v1/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    after = counters(answer.body.decode())
    rise = {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}
    assert rise == {
        ("ListCollections", "ok"): 3,
        ("DescribeCollection", "ResourceNotFoundException"): 1,
        ("unknown", "UnknownOperationException"): 1,
    }
    assert b"DropAllTables" not in answer.body
    for name in (b"custodes_request_seconds_bucket", b"custodes_requests_waiting", b"process_resident_memory_bytes"):
        assert name in answer.body


def test_no_personal_data_is_written(get, wire, server, client, people) -> None:
    """Neither log nor numbers hold a picture, a label, a name, a face's id or a secret, be a request good or bad."""
    label, user, name = "label-of-somebody", "user-who-is-somebody", "collection-of-somebody"
    client.create_collection(CollectionId=name, Tags={"tag-of-somebody": "value-of-somebody"})
    image = {"Bytes": people.ann}
    face = client.index_faces(CollectionId=name, Image=image, ExternalImageId=label)["FaceRecords"][0]["Face"]["FaceId"]
    client.create_user(CollectionId=name, UserId=user)
    client.associate_faces(CollectionId=name, UserId=user, FaceIds=[face])
    client.search_faces_by_image(CollectionId=name, Image=image)
    with pytest.raises(client.exceptions.ConflictException):
        client.create_user(CollectionId=name, UserId=user)
    wire.call("IndexFaces", {"CollectionId": name, "ExternalImageId": f"{label} ?", "Image": {"Bytes": "*"}})
    wire.call(user, b'{"UserId": "' + user.encode())
    wire.send([f"GET /{label} HTTP/1.1\r\nhost: {user}\r\n\r\n".encode()])
    wire.send([f"garbage {label}\r\n\r\n".encode()])
    client.delete_collection(CollectionId=name)
    log, metrics = server.log.read_text(encoding="utf-8"), get("/v1/metrics").body.decode()
    encoded = base64.b64encode(people.ann).decode()
    for written in (log, metrics):
        for private in (
            label,
            user,
            name,
            face,
            "of-somebody",
            server.secret_access_key,
            encoded[:60],
            encoded[300:360],
        ):
            assert private not in written


def test_log_is_one_json_object_a_line(server, client) -> None:
    """Each request has a line with its id, its operation, its outcome, its time and the key that signed it.

    What libjpeg says of damaged pictures goes to standard error past the log, and past this test.
    """
    request_id = client.list_collections()["ResponseMetadata"]["RequestId"]
    lines = [json.loads(line) for line in server.log.read_text(encoding="utf-8").splitlines() if line[:1] == "{"]
    [line] = [line for line in lines if line.get("request_id") == request_id]
    assert line["event"] == "request"
    assert (line["operation"], line["outcome"], line["status"]) == ("ListCollections", "ok", 200)
    assert line["key"] == server.access_key_id
    assert line["ms"] > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", line["timestamp"])
