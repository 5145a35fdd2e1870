# SPDX-License-Identifier: Apache-2.0
"""Requests that no SDK would send: each is refused by a named error at once, and the server goes on."""

from __future__ import annotations

import contextlib
import json
import socket
import time

import pytest

MISSING = "MissingAuthenticationTokenException"
INCOMPLETE = "IncompleteSignatureException"
SIGNATURE = "InvalidSignatureException"
CLIENT = "UnrecognizedClientException"
SERIALIZATION = "SerializationException"
VALIDATION = "ValidationException"
UNKNOWN = "UnknownOperationException"
DENIED = "AccessDeniedException"
TOO_LARGE = "RequestEntityTooLargeException"
MEGABYTE = 2**20

pytestmark = pytest.mark.alone


@pytest.fixture(autouse=True)
def still_there(wire):
    """After every test the server answers, and holds no more memory than before, but for some slack."""
    before = wire.resident
    yield
    assert wire.alive()
    assert wire.resident - before < 64 * MEGABYTE


def refused(answer, error: str, status: int = 400) -> str:
    """Check that a request was refused by a named error within a second, and return the text."""
    assert (answer.status, answer.error) == (status, error)
    assert answer.seconds < 1
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"
    assert len(answer.headers["x-amzn-requestid"]) == 36
    assert answer.message
    return answer.message


# --- Who asks -------------------------------------------------------------------------------------------------


def test_wrong_signature(wire) -> None:
    """Another secret, another body, another operation or a cut signature don't match."""
    body = b"{}"
    good = wire.sign("ListCollections", body)
    tampered = [
        (wire.sign("ListCollections", body, secret="x" * 40), body),
        (good, b"{ }"),
        ({**good, "x-amz-target": "RekognitionService.DetectFaces"}, body),
        ({**good, "authorization": good["authorization"][:-1]}, body),
        ({**good, "authorization": good["authorization"][:-64] + "0" * 64}, body),
        ({**good, "authorization": good["authorization"].replace("content-type;", "")}, body),
    ]
    for headers, sent in tampered:
        refused(wire.send([wire.head(headers, len(sent)), sent]), SIGNATURE)


@pytest.mark.parametrize("offset", [-310, 310, -86_400, 86_400 * 365])
def test_skewed_clock(wire, offset: float) -> None:
    """A request that was signed more than five minutes ago or ahead is refused, and told both times."""
    text = refused(wire.call("ListCollections", b"{}", offset=offset), SIGNATURE)
    assert ("expired" if offset < 0 else "not yet current") in text


@pytest.mark.parametrize("offset", [-290, 290])
def test_clock_within_five_minutes(wire, offset: float) -> None:
    """Five minutes of difference are allowed, as at AWS."""
    assert wire.call("ListCollections", b"{}", offset=offset).status == 200


def test_wrong_scope(wire) -> None:
    """A signature for another region or service is none for this one."""
    assert "region" in refused(wire.call("ListCollections", b"{}", region="eu-west-1"), SIGNATURE)
    assert "service" in refused(wire.call("ListCollections", b"{}", service="s3"), SIGNATURE)


def test_unknown_and_revoked_key(server, wire) -> None:
    """A key that there isn't, or isn't any more, is not recognised; the message doesn't tell which."""
    made = json.loads(server.cli("keys", "create", "--json").stdout)
    pair = {"key": made["access_key_id"], "secret": made["secret_access_key"]}
    assert wire.call("ListCollections", b"{}", **pair).status == 200
    assert server.cli("keys", "revoke", pair["key"]).returncode == 0
    deadline = time.monotonic() + 5
    while (answer := wire.call("ListCollections", b"{}", **pair)).status == 200 and time.monotonic() < deadline:
        time.sleep(1.01)
    revoked = refused(answer, CLIENT)
    assert refused(wire.call("ListCollections", b"{}", key="NOSUCHKEY00000000000"), CLIENT) == revoked


@pytest.mark.parametrize(
    ("authorization", "error"),
    [
        (None, MISSING),
        ("", MISSING),
        ("Basic dXNlcjpwYXNz", MISSING),
        ("Bearer x", MISSING),
        ("AWS4-HMAC-SHA256", INCOMPLETE),
        ("AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature=0", INCOMPLETE),
        ("AWS4-HMAC-SHA1 Credential=x, SignedHeaders=host, Signature=0", INCOMPLETE),
        ("AWS4-ECDSA-P256-SHA256 Credential=x, SignedHeaders=host, Signature=0", INCOMPLETE),
        ("AWS4-HMAC-SHA256 " + "=,;/" * 2000, INCOMPLETE),
    ],
)
def test_missing_or_foreign_authorization(wire, authorization: str | None, error: str) -> None:
    """Without a signature of the right kind nobody is there."""
    headers = {"host": wire.host, "content-type": "x", "x-amz-target": "RekognitionService.ListCollections"}
    if authorization is not None:
        headers["authorization"] = authorization
    refused(wire.send([wire.head(headers, 2), b"{}"]), error)


def test_presigned_request(wire) -> None:
    """A signature in the query string isn't read, and the answer says so."""
    line = "POST /?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a&X-Amz-Signature=b HTTP/1.1"
    answer = wire.send([wire.head({"host": wire.host}, 2, line=line), b"{}"])
    assert "Presigned" in refused(answer, INCOMPLETE)


def test_session_token(wire) -> None:
    """Temporary credentials aren't issued here."""
    refused(wire.call("ListCollections", b"{}", more={"x-amz-security-token": "token"}), CLIENT)


def test_unsigned_payload(wire) -> None:
    """A client can't opt out of signing the body."""
    for value in ("UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "0" * 64):
        refused(wire.call("ListCollections", b"{}", more={"x-amz-content-sha256": value}), SIGNATURE)


# --- Copies ---------------------------------------------------------------------------------------------------


def test_copy_is_refused(wire) -> None:
    """The very same request passes once; a retry of the SDK's, which says so, passes beside it."""
    body = b'{"MaxResults":7}'
    headers = wire.sign("ListCollections", body)
    request = [wire.head(headers, len(body)), body]
    assert wire.send(request).status == 200
    assert "copy" in refused(wire.send(request), DENIED)
    retry = {**headers, "amz-sdk-request": "attempt=2; max=3"}
    assert wire.send([wire.head(retry, len(body)), body]).status == 200


def test_altered_copy_is_refused_after_the_grace(start_server, wire_to, tmp_path) -> None:
    """Under another request id a signature passes for the grace alone: a client's clock moves on, a thief's can't."""
    server = start_server(tmp_path, CUSTODES_AUTH_REPLAY_GRACE="1")
    try:
        wire = wire_to(server)
        headers = wire.sign("ListCollections", b"{}")
        sent = []
        for request_id in ("first", "second"):
            sent.append(wire.send([wire.head({**headers, "amz-sdk-invocation-id": request_id}, 2), b"{}"]).status)
        assert sent == [200, 200]
        time.sleep(1.1)
        late = wire.send([wire.head({**headers, "amz-sdk-invocation-id": "third"}, 2), b"{}"])
        assert "copy" in refused(late, DENIED)
    finally:
        server.stop()


def test_equal_calls_of_one_second_both_pass(server) -> None:
    """Two calls of boto3's that mean the same, and are signed alike as they fall into one second, are two calls."""
    client = server.client()
    signatures = []
    client.meta.events.register(
        "before-send.rekognition", lambda request, **_: signatures.append(bytes(request.headers["Authorization"]))
    )
    for _ in range(12):
        client.list_collections()
    assert len(signatures) == 12
    assert len(set(signatures)) < 12, "some fell into one second"


# --- What is asked --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["Nothing", "", "listcollections", "ListCollections ListCollections", "__init__"])
def test_unknown_operation(wire, operation: str) -> None:
    """A target that the service doesn't have is an unknown operation."""
    refused(wire.call(operation, b"{}"), UNKNOWN)


def test_foreign_target(wire) -> None:
    """So is another service's, or none; a target must be signed to count."""
    headers = wire.sign("ListCollections", b"{}")
    for target in ("DynamoDB_20120810.ListTables", "ListCollections", ""):
        refused(wire.send([wire.head({**headers, "x-amz-target": target}, 2), b"{}"]), SIGNATURE)
    del headers["x-amz-target"]
    refused(wire.send([wire.head(headers, 2), b"{}"]), SIGNATURE)


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("SearchFacesByImage", {"CollectionId": "a", "Image": {"Bytes": "aaaa"}, "MaxFaces": 4097}),
        ("SearchFacesByImage", {"CollectionId": "a", "Image": {"Bytes": "aaaa"}, "MaxFaces": -(2**70)}),
        ("SearchFaces", {"CollectionId": "../a", "FaceId": "11111111-2222-4333-8444-555555555555"}),
        ("SearchFaces", {"CollectionId": "a", "FaceId": "11111111-2222-4333-8444-55555555555g"}),
        ("CreateCollection", {"CollectionId": "../../etc/passwd"}),
        ("CreateCollection", {}),
        ("CreateCollection", {"CollectionId": None}),
        ("CreateCollection", {"CollectionId": "x" * 1_000_000}),
        ("DeleteFaces", {"CollectionId": "a", "FaceIds": []}),
        ("DeleteFaces", {"CollectionId": "a", "FaceIds": ["x"] * 5000}),
        ("ListFaces", {"CollectionId": "a", "MaxResults": 4097}),
        ("DetectFaces", {"Image": {"Bytes": "aaaa"}, "Attributes": ["ALL", "SOUL"]}),
        ("CompareFaces", {"SourceImage": {}, "TargetImage": {}, "SimilarityThreshold": 1e300}),
        ("IndexFaces", {"CollectionId": "a", "Image": {"Bytes": "aaaa"}, "MaxFaces": 0}),
        ("CreateUser", {"CollectionId": "a", "UserId": "a\u0000"}),
        ("CreateUser", {"CollectionId": "a", "UserId": "\uff41\u200b"}),
    ],
)
def test_broken_constraint(wire, operation: str, body: dict) -> None:
    """What the model forbids is refused, and named, in a message of bounded length."""
    text = refused(wire.call(operation, body), VALIDATION)
    assert "failed to satisfy constraint" in text
    assert len(text) < 3000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"NaN",
        b"{'a':1}",
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{}",
        b'{"CollectionId":"\xed\xa0\x80"}',
        b'{"CollectionId":"\xff"}',
        b'{"CollectionId":["a"]}',
        b'{"CollectionId":1}',
        b'{"MaxResults":"5"}',
        b'{"MaxResults":1e999}',
        b"<xml/>",
        b"[" * 1_000_000,
        b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
    ],
    ids=lambda body: body[:16].decode("latin-1"),
)
def test_wrong_json(wire, body: bytes) -> None:
    """What isn't JSON, isn't UTF-8, or has the wrong types can't be read."""
    operation = "ListCollections" if b"MaxResults" in body else "DescribeCollection"
    refused(wire.call(operation, body), SERIALIZATION)


def test_unknown_members_are_passed_over(wire) -> None:
    """A member that the model doesn't know may come from an SDK that is newer than the server, however deep it is."""
    deep: object = 1
    for _ in range(200):
        deep = {"a": [deep]}
    assert wire.call("ListCollections", {"Novelty": deep, "MaxResults": 1}).status == 200


@pytest.mark.parametrize("kind", ["text/html", "application/json", "", "application/x-amz-json-1.0", "ä"])
def test_content_type_is_not_looked_at(wire, kind: str) -> None:
    """The body is what it is; another content type was not what was signed."""
    headers = {**wire.sign("ListCollections", b"{}"), "content-type": kind}
    refused(wire.send([wire.head(headers, 2), b"{}"]), SIGNATURE)


# --- How it is sent -------------------------------------------------------------------------------------------


def test_body_of_17_mb(wire) -> None:
    """A body that is too large is refused by what it declares, or as soon as it has grown too large."""
    headers = wire.sign("DetectFaces", b"{}")
    refused(wire.send([wire.head(headers, 17_000_000)]), TOO_LARGE, 413)
    refused(wire.send([wire.head(headers, 17_000_000), bytes(17_000_000)]), TOO_LARGE, 413)
    chunked = [wire.head({**headers, "transfer-encoding": "chunked"}, None)]
    chunked += [b"100000\r\n" + bytes(MEGABYTE) + b"\r\n"] * 17
    refused(wire.send(chunked), TOO_LARGE, 413)


def test_chunked_body(wire) -> None:
    """A body in chunks is a body."""
    headers = {**wire.sign("ListCollections", b"{}"), "transfer-encoding": "chunked"}
    assert wire.send([wire.head(headers, None), b"1\r\n{\r\n", b"1\r\n}\r\n0\r\n\r\n"]).status == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x00\xff garbage\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"POST / HTTP/9.9\r\n\r\n",
        b"POST  HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost : a\r\n\r\n",
        b"POST / HTTP/1.1\r\nho\x00st: a\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nZZZ\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nx: " + b"a" * 50_000_000,
        b"GET / HTTP/1.1\r\n" + b"x: a\r\n" * 200_000,
    ],
    ids=lambda r: r[:40].decode("latin-1"),
)
def test_request_that_is_not_http(wire, request_bytes: bytes) -> None:
    """What isn't HTTP, or has a head without end, is refused and cut off."""
    answer = wire.send([request_bytes])
    assert answer.status == 400
    assert answer.headers["connection"] == "close"
    assert answer.seconds < 1


def test_http_1_0(wire) -> None:
    """An old client is answered, and its connection closed."""
    answer = wire.send([wire.head(wire.sign("ListCollections", b"{}"), 2, line="POST / HTTP/1.0"), b"{}"])
    assert answer.status == 200
    assert answer.headers["connection"] == "close"


def test_pipelined_requests(wire) -> None:
    """Requests that are sent without waiting are answered in order; garbage behind one is refused."""
    requests = [wire.head(wire.sign("ListCollections", b"{}"), 2) + b"{}" for _ in range(3)]
    with socket.create_connection(wire.address, 5) as connection:
        connection.sendall(b"".join(requests))
        received = b""
        while received.count(b"CollectionIds") < 3:
            part = connection.recv(65_536)
            assert part
            received += part
    assert received.count(b"HTTP/1.1 200") == 3
    garbage = wire.send([requests[0].replace(b"{}", b"{}GARBAGE\r\n\r\n")])
    assert garbage.status in (200, 400)


@pytest.mark.parametrize("line", ["PATCH /", "PUT /", "DELETE /", "OPTIONS /", "POST //", "POST /v1", "GET /v1/../"])
def test_other_methods_and_paths(wire, line: str) -> None:
    """Only POST to the root speaks AWS's protocol."""
    answer = wire.send([wire.head({"host": wire.host}, 0, line=f"{line} HTTP/1.1")])
    assert answer.status in (404, 405)


def test_slow_body_is_given_up(start_server, wire_to, tmp_path) -> None:
    """A body that never ends is refused after the time that the server waits, and the connection closed."""
    server = start_server(tmp_path, CUSTODES_TIMEOUT="1")
    try:
        wire = wire_to(server)
        stalled = wire.send([wire.head(wire.sign("ListCollections", b"{}"), 100), b"{"])
        assert (stalled.status, stalled.error) == (408, "RequestTimeoutException")
        assert 0.9 < stalled.seconds < 3
        assert stalled.headers["connection"] == "close"
        assert wire.alive()
    finally:
        server.stop()


@pytest.mark.parametrize("caller", ["nobody", "unknown", "stale", "elsewhere"])
def test_body_of_nobody_is_not_waited_for(wire, caller: str) -> None:
    """Whose head names no valid key for here and now is refused before the first byte of the body, and cut off."""
    signing = {"unknown": {"key": "NOSUCHKEY00000000000"}, "stale": {"offset": -400}, "elsewhere": {"region": "x"}}
    headers = wire.sign("DetectFaces", b"{}", **signing.get(caller, {}))
    if caller == "nobody":
        del headers["authorization"]
    answer = wire.send([wire.head(headers, 10_000_000)])
    refused(answer, {"nobody": MISSING, "unknown": CLIENT}.get(caller, SIGNATURE))
    assert answer.headers["connection"] == "close"


def test_nobody_fills_no_memory(wire) -> None:
    """Forty unsigned bodies of 15 MB that never end neither fill the memory nor throttle anybody."""
    held = []
    try:
        for _ in range(40):
            connection = socket.create_connection(wire.address, 5)
            connection.sendall(wire.head({"host": wire.host}, 15_900_000))
            with contextlib.suppress(OSError):
                connection.sendall(bytes(15_000_000))
            held.append(connection)
        answer = wire.call("ListCollections", b"{}")
        assert answer.status == 200
        assert answer.seconds < 1
    finally:
        for connection in held:
            connection.close()


def test_answer_reaches_a_client_that_is_still_writing(wire) -> None:
    """A refusal by the head isn't lost in a reset: the rest of the body is taken and thrown away."""
    with socket.create_connection(wire.address, 5) as connection:
        connection.sendall(wire.head({"host": wire.host}, 3_000_000))
        for _ in range(30):
            connection.sendall(bytes(100_000))
            time.sleep(0.005)
        received = b""
        while part := connection.recv(65_536):
            received += part
    assert received.startswith(b"HTTP/1.1 400")
    assert MISSING.encode() in received


@pytest.mark.parametrize("line", ["POST /v1/health", "POST /"])
def test_early_answer_ends_the_connection(wire, line: str) -> None:
    """Who is answered before their body's end can't keep the connection by sending on, a byte now and then."""
    with socket.create_connection(wire.address, 30) as connection:
        connection.sendall(wire.head({"host": wire.host}, 17_000_000, line=f"{line} HTTP/1.1"))
        begun = time.monotonic()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() - begun < 10:
                connection.sendall(b"x")
                time.sleep(0.2)
    assert 4 < time.monotonic() - begun < 8


def test_many_stalled_clients_block_nobody(wire) -> None:
    """Two hundred connections that send half a head or half a body keep no other client from its answer."""
    held = []
    try:
        for number in range(200):
            connection = socket.create_connection(wire.address, 5)
            head = wire.head(wire.sign("ListCollections", b"{}"), 100)
            connection.sendall(head + b"{" if number % 2 else head[:30])
            held.append(connection)
        answer = wire.call("ListCollections", b"{}")
        assert answer.status == 200
        assert answer.seconds < 1
    finally:
        for connection in held:
            connection.close()
