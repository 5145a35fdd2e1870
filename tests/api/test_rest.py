# SPDX-License-Identifier: Apache-2.0
"""The native REST API, and what the server writes about itself: numbers and lines, and no personal data in either."""

from __future__ import annotations

import base64
import json
import re
import sqlite3
import threading
import time
from collections.abc import Callable

import pytest
from openapi_spec_validator import validate

import custodes


@pytest.fixture(scope="session")
def get(wire):
    """Gets a path."""
    return lambda path, method="GET": wire.send(
        [wire.head({"host": wire.host}, None, line=f"{method} {path} HTTP/1.1")]
    )


@pytest.fixture
def enrolled_face(client, collection, people) -> str:
    """The id of a face that is enrolled."""
    record = client.index_faces(CollectionId=collection, Image={"Bytes": people.ann})["FaceRecords"][0]
    return record["Face"]["FaceId"]


def counters(metrics: str) -> dict[tuple[str, str], float]:
    """Return requests answered by operation and outcome."""
    lines = re.findall(r'^custodes_requests_total\{operation="(\w+)",outcome="(\w+)"\} (\S+)$', metrics, re.MULTILINE)
    return {(operation, outcome): float(count) for operation, outcome, count in lines}


def test_health(get) -> None:
    """A server that lives says so, with its version and the pack of new collections."""
    answer = get("/v1/health")
    assert answer.status == 200
    assert set(answer.document) == {"status", "version", "pack", "waiting"}
    assert answer.document["status"] == "ok"
    assert answer.document["version"] == custodes.__version__
    assert answer.document["waiting"] >= 0


def test_ready(get) -> None:
    """A server says when it has loaded models and indexes, and until then that it is loading them."""
    deadline = time.monotonic() + 30
    while (answer := get("/v1/ready")).status == 503 and time.monotonic() < deadline:
        assert answer.document["message"] == "Models and indexes are being loaded."
        time.sleep(0.05)
    assert answer.status == 200
    assert answer.document == {"status": "ok", "warm_up": "warm"}


@pytest.mark.alone
def test_health_while_the_database_is_locked(get, wire, server, collection) -> None:
    """Health, readiness and numbers are told at once though all database threads wait for somebody's lock."""
    test_ready(get)
    holder = sqlite3.connect(server.data / "custodes.sqlite3", isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    calls = [
        threading.Thread(target=wire.call, args=("CreateUser", {"CollectionId": collection, "UserId": f"user-{n}"}))
        for n in range(12)
    ]
    try:
        for call in calls:
            call.start()
        deadline = time.monotonic() + 5
        while get("/v1/health").document["waiting"] < 12 and time.monotonic() < deadline:
            time.sleep(0.02)
        answers = [get(path) for path in ("/v1/health", "/v1/ready", "/v1/metrics", "/v1/packs")]
        metrics = answers[2].body.decode()
    finally:
        holder.execute("ROLLBACK")
        holder.close()
        for call in calls:
            call.join()
    assert [(a.status, a.seconds < 1) for a in answers] == [(200, True)] * 4
    assert 'custodes_pool_threads_busy{pool="quick"} 8.0' in metrics
    assert 'custodes_requests_waiting{pool="quick"} 4.0' in metrics


def test_packs(get) -> None:
    """Packs are listed with their map to similarity, licence, origin and hash of every model, and one by one."""
    packs = get("/v1/packs").document
    default = get("/v1/health").document["pack"]
    [pack] = [pack for pack in packs if pack["id"] == default]
    assert pack["models"]
    for model in pack["models"]:
        assert re.fullmatch(r"[0-9a-f]{64}", model["sha256"])
        assert model["licence"]
        assert model["origin"]
    knots = {knot["similarity"]: knot["false_match_rate"] for knot in pack["calibration"]["knots"]}
    assert (knots[80.0], knots[99.0], knots[100.0]) == (1e-4, 1e-5, None)
    assert [set(knot) for knot in pack["calibration"]["knots"]] == [{"cosine", "similarity", "false_match_rate"}] * 7
    assert pack["calibration"]["measured_on"]
    assert pack["local_map"] is False
    assert get(f"/v1/packs/{default}").document == pack


@pytest.mark.parametrize("path", ["/v1/packs/none", "/v1/packs/..%2f..%2fetc", "/v1/packs/%00", "/v1/packs/a%0ab"])
def test_unknown_pack(get, path: str) -> None:
    """A pack that isn't installed is told by a Problem."""
    answer = get(path)
    assert answer.status == 404
    assert set(answer.document) == {"error", "message", "remedy"}
    assert answer.document["error"] == "NotFound"


def test_pack_id_that_is_too_long(get) -> None:
    """A value that the description forbids is told by a Problem that doesn't repeat it."""
    answer = get("/v1/packs/" + "x" * 65)
    assert answer.status == 422
    assert set(answer.document) == {"error", "message", "remedy"}
    assert answer.document["error"] == "Invalid"
    assert "pack_id" in answer.document["message"]
    assert b"xxx" not in answer.body


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/", "PUT", 404),
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
    assert set(document["paths"]) == {
        "/v1/health",
        "/v1/ready",
        "/v1/metrics",
        "/v1/packs",
        "/v1/packs/{pack_id}",
        "/v1/testing",
        "/v1/testing/scores",
        "/v1/testing/compare",
        "/v1/board",
        "/v1/shares/{share}",
        "/v1/testing/search",
        "/ledger/{path}",
    }
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


def number(metrics: str, sample: str) -> float:
    """Return a number by the name and labels of its sample; 0 if there is none yet."""
    found = re.search(rf"^{re.escape(sample)} (\S+)$", metrics, re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.mark.parametrize(
    ("send", "sample"),
    [
        (b"GET /v1/health HTTP/1.1\r\nhost: a\r\n\r\n", 'operation="GET /v1/health",outcome="ok"'),
        (b"POST /v1/health HTTP/1.1\r\nhost: a\r\n\r\n", 'operation="POST /v1/health",outcome="405"'),
        (b"GET /v1/packs/none HTTP/1.1\r\nhost: a\r\n\r\n", 'operation="GET /v1/packs/{pack_id}",outcome="404"'),
        (b"GET /secret HTTP/1.1\r\nhost: a\r\n\r\n", 'operation="unknown",outcome="404"'),
    ],
)
def test_rest_is_counted(get, wire, send: bytes, sample: str) -> None:
    """Requests of the REST API are counted by route, whatever path was asked for."""
    name = "custodes_requests_total{" + sample + "}"
    before = number(get("/v1/metrics").body.decode(), name)
    wire.send([send])
    after = get("/v1/metrics").body.decode()
    assert number(after, name) - before == 1
    assert "secret" not in after


def log_when(server, ready: Callable[[str], bool]) -> str:
    """Return the server's log as soon as it is ready: a line is written after its answer is sent."""
    deadline = time.monotonic() + 5
    while True:
        log = server.log.read_text(encoding="utf-8")
        if ready(log) or time.monotonic() > deadline:
            return log
        time.sleep(0.01)


def test_refused_heads_are_counted(get, wire) -> None:
    """What never became a request is counted and logged too."""
    name = "custodes_refused_heads_total"
    before = number(get("/v1/metrics").body.decode(), name)
    lines = wire.server.log.read_text(encoding="utf-8").count('"refused head"')
    wire.send([b"garbage\r\n\r\n"])
    assert number(get("/v1/metrics").body.decode(), name) - before == 1
    assert log_when(wire.server, lambda log: log.count('"refused head"') > lines).count('"refused head"') - lines == 1


def test_metrics_tell_how_full_the_house_is(get, client, enrolled_face) -> None:
    """Threads, their time at work, throttles by cause, and what is enrolled are told as numbers without names."""
    metrics = get("/v1/metrics").body.decode()
    assert number(metrics, 'custodes_pool_threads{pool="inference"}') >= 1
    assert number(metrics, 'custodes_pool_busy_seconds_total{pool="inference"}') > 0
    for cause in ("queue", "patience", "memory", "share"):
        assert f'custodes_throttled_total{{cause="{cause}"}} ' in metrics
    collections = number(metrics, 'custodes_enrolled{kind="collections"}')
    assert collections >= len(client.list_collections()["CollectionIds"])  # which are the caller's alone
    assert number(metrics, 'custodes_enrolled{kind="faces"}') >= 1
    client.create_collection(CollectionId="one-more-to-count")
    more = get("/v1/metrics").body.decode()
    client.delete_collection(CollectionId="one-more-to-count")
    assert number(more, 'custodes_enrolled{kind="collections"}') == collections + 1


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
    last = client.delete_collection(CollectionId=name)["ResponseMetadata"]["RequestId"]
    log, metrics = log_when(server, lambda log: last in log), get("/v1/metrics").body.decode()
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
    log = log_when(server, lambda log: request_id in log)
    lines = [json.loads(line) for line in log.splitlines() if line[:1] == "{"]
    [line] = [line for line in lines if line.get("request_id") == request_id]
    assert line["event"] == "request"
    assert (line["operation"], line["outcome"], line["status"]) == ("ListCollections", "ok", 200)
    assert line["key"] == server.access_key_id
    assert line["ms"] > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", line["timestamp"])
