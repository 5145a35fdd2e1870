# SPDX-License-Identifier: Apache-2.0
"""Requests against the service model: what passes, how a refusal reads, and that nothing else can happen."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from custodes.api.aws.errors import WireError
from custodes.api.aws.protocol import Call, Protocol, response_headers
from custodes.errors import Invalid

PROTOCOL = Protocol()
FACE = "11111111-2222-3333-4444-555555555555"
ARN = "arn:aws:rekognition:us-east-1:000000000000:collection/town"
FACE_PATTERN = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
IMAGE = {"Bytes": base64.b64encode(b"image").decode()}
PROJECT = {
    "ProjectArn": "arn:aws:rekognition:us-east-1:000000000000:project/p/1",
    "VersionName": "v",
    "OutputConfig": {"S3Bucket": "bucket"},
}


def asset(bucket: str) -> dict[str, Any]:
    return {"GroundTruthManifest": {"S3Object": {"Bucket": bucket}}}


def params(operation: str, body: object) -> Any:
    call = PROTOCOL.parse(f"RekognitionService.{operation}", json.dumps(body).encode())
    assert call.operation == operation
    return call.params


def outcome(operation: str, body: bytes) -> Call | WireError:
    """Return the request that was read, or the refusal; any other exception is a failure."""
    try:
        return PROTOCOL.parse(f"RekognitionService.{operation}", body)
    except WireError as error:
        return error


def refusal(operation: str, body: object) -> WireError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(WireError) as caught:
        PROTOCOL.parse(f"RekognitionService.{operation}", raw)
    return caught.value


def violations(operation: str, body: object) -> str:
    error = refusal(operation, body)
    assert (error.name, error.status) == ("ValidationException", 400)
    return error.message


def one(value: str, path: str, rule: str) -> str:
    return f"1 validation error detected: Value {value} at '{path}' failed to satisfy constraint: {rule}"


def test_valid_request_is_read() -> None:
    """Members keep their names, blobs become bytes, whole numbers stand for floats, unknown members vanish."""
    body = {
        "CollectionId": "town",
        "Image": {**IMAGE, "Novelty": {"a": [1]}},
        "MaxFaces": 3.0,
        "DetectionAttributes": ["ALL"],
        "ExternalImageId": None,
        "FutureOption": {"deep": [None]},
    }
    read = params("IndexFaces", body)
    assert read == {
        "CollectionId": "town",
        "Image": {"Bytes": b"image"},
        "MaxFaces": 3,
        "DetectionAttributes": ["ALL"],
    }
    assert type(read["MaxFaces"]) is int
    threshold = params("SearchFaces", {"CollectionId": "town", "FaceId": FACE, "FaceMatchThreshold": 90})
    assert type(threshold["FaceMatchThreshold"]) is float


def test_all_operations_compile_and_are_listed() -> None:
    """The model has 75 operations, and each answers an empty object with params or a ValidationException."""
    assert len(PROTOCOL.operations) == 75
    for operation in PROTOCOL.operations:
        result = outcome(operation, b"{}")
        if isinstance(result, Call):
            assert result == Call(operation, {})
        else:
            assert result.name == "ValidationException"
            assert "Value null at '" in result.message


@pytest.mark.parametrize(
    "target",
    ["", "RekognitionService", "RekognitionService.", "RekognitionService.Nope", "Other.DetectFaces", "DetectFaces"],
)
def test_unknown_target_is_refused(target: str) -> None:
    """A target that isn't the service's own is UnknownOperationException, whatever the body."""
    with pytest.raises(WireError) as caught:
        PROTOCOL.parse(target, b"\xff")
    assert caught.value.name == "UnknownOperationException"


def test_all_violations_are_told_at_once() -> None:
    """Every broken constraint is in one message, in the order of the model."""
    message = violations("SearchFacesByImage", {"CollectionId": "../etc", "MaxFaces": 4097})
    assert message == (
        "3 validation errors detected: Value '../etc' at 'collectionId' failed to satisfy constraint: "
        r"Member must satisfy regular expression pattern: [a-zA-Z0-9_.\-]+; "
        "Value null at 'image' failed to satisfy constraint: Member must not be null; "
        "Value '4097' at 'maxFaces' failed to satisfy constraint: Member must have value less than or equal to 4096"
    )


@pytest.mark.parametrize(
    ("operation", "body", "message"),
    [
        (
            "DetectFaces",
            {"Image": {"Bytes": base64.b64encode(b"\0" * 5_242_881).decode()}},
            one(
                "'java.nio.HeapByteBuffer[pos=0 lim=5242881 cap=5242881]'",
                "image.bytes",
                "Member must have length less than or equal to 5242880",
            ),
        ),
        (
            "DetectFaces",
            {"Image": {"Bytes": ""}},
            one(
                "'java.nio.HeapByteBuffer[pos=0 lim=0 cap=0]'",
                "image.bytes",
                "Member must have length greater than or equal to 1",
            ),
        ),
        (
            "DetectFaces",
            {"Image": {"S3Object": {"Bucket": "ab", "Name": "x"}}},
            one("'ab'", "image.s3Object.bucket", "Member must have length greater than or equal to 3"),
        ),
        (
            "DetectFaces",
            {"Image": IMAGE, "Attributes": ["ALL", "RACE"]},
            one(
                "'[ALL, RACE]'",
                "attributes",
                "Member must satisfy constraint: [Member must satisfy enum value set: [DEFAULT, ALL, AGE_RANGE, "
                "BEARD, EMOTIONS, EYE_DIRECTION, EYEGLASSES, EYES_OPEN, GENDER, MOUTH_OPEN, MUSTACHE, "
                "FACE_OCCLUDED, SMILE, SUNGLASSES], Member must not be null]",
            ),
        ),
        (
            "DeleteFaces",
            {"CollectionId": "town", "FaceIds": [FACE, None]},
            one(
                f"'[{FACE}, null]'",
                "faceIds",
                "Member must satisfy constraint: [Member must satisfy regular expression pattern: "
                f"{FACE_PATTERN}, Member must not be null]",
            ),
        ),
        (
            "DeleteFaces",
            {"CollectionId": "town", "FaceIds": []},
            one("'[]'", "faceIds", "Member must have length greater than or equal to 1"),
        ),
        (
            "CompareFaces",
            {"SourceImage": IMAGE, "TargetImage": IMAGE, "SimilarityThreshold": 100.5},
            one("'100.5'", "similarityThreshold", "Member must have value less than or equal to 100"),
        ),
        (
            "CompareFaces",
            {"SourceImage": IMAGE, "TargetImage": IMAGE, "QualityFilter": "auto"},
            one("'auto'", "qualityFilter", "Member must satisfy enum value set: [NONE, AUTO, LOW, MEDIUM, HIGH]"),
        ),
        (
            "SearchFaces",
            {"CollectionId": "town", "FaceId": FACE, "MaxFaces": 0},
            one("'0'", "maxFaces", "Member must have value greater than or equal to 1"),
        ),
        (
            "TagResource",
            {"ResourceArn": ARN, "Tags": {"aws:owner": "me"}},
            one(
                "'{aws:owner=me}'",
                "tags",
                "Map keys must satisfy constraint: [Member must have length less than or equal to 128, Member must "
                "have length greater than or equal to 1, Member must satisfy regular expression pattern: "
                r"^(?!aws:)[\p{L}\p{Z}\p{N}_.:/=+\-@]*$, Member must not be null]",
            ),
        ),
        (
            "CreateProjectVersion",
            {**PROJECT, "TestingData": {"Assets": [asset("bucket"), asset("ab")]}},
            one(
                "'ab'",
                "testingData.assets.2.member.groundTruthManifest.s3Object.bucket",
                "Member must have length greater than or equal to 3",
            ),
        ),
    ],
)
def test_violation_reads_as_on_aws(operation: str, body: object, message: str) -> None:
    """A broken constraint is told in AWS's words, with the path in lower camel case."""
    assert violations(operation, body) == message


def test_both_ends_of_a_map_are_told() -> None:
    """A map whose keys and values are wrong breaks two constraints, each told once."""
    message = violations("TagResource", {"ResourceArn": ARN, "Tags": {"a": "v" * 257, "b": None, "#": "x"}})
    assert message.startswith("2 validation errors detected: ")
    assert message.count("Map keys must satisfy") == message.count("Map value must satisfy") == 1


def test_tags_of_every_script_are_accepted() -> None:
    """Java's letter classes hold for all of Unicode."""
    tags = {"größe": "Überraschung 1", "часть": "第三部", "k": ""}
    assert params("TagResource", {"ResourceArn": ARN, "Tags": tags})["Tags"] == tags


@pytest.mark.parametrize("name", ["a/b", "a\n", "\u0661", "ä", "a b", "a" * 256, ""])
def test_collection_name_is_matched_in_full(name: str) -> None:
    """A name matches as a whole, in ASCII, or not at all."""
    assert "at 'collectionId'" in violations("CreateCollection", {"CollectionId": name})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The request's body is not valid JSON."),
        (b"{", "The request's body is not valid JSON."),
        (b"\xff\xfe", "The request's body is not valid JSON."),
        (b'{"MaxFaces": NaN}', "The request's body is not valid JSON."),
        (b'{"MaxFaces": 1e999}', "The request's body is not valid JSON."),
        (b'{"Image":' * 5000 + b"1" + b"}" * 5000, "The request's body is not valid JSON."),
        (b"null", "Unexpected field type"),
        (b"[]", "Start of list found where not expected"),
        (b'"text"', "Unexpected field type"),
        (b'{"CollectionId": 7}', "NUMBER_VALUE cannot be converted to String"),
        (b'{"CollectionId": true}', "TRUE_VALUE cannot be converted to String"),
        (b'{"CollectionId": {}}', "Start of structure or map found where not expected."),
        (b'{"CollectionId": []}', "Start of list found where not expected"),
        (b'{"Image": "x"}', "Unexpected field type"),
        (b'{"Image": {"Bytes": 1}}', "NUMBER_VALUE cannot be converted to Blob"),
        (b'{"Image": {"Bytes": "YWJ"}}', "A blob cannot be decoded: it is not valid Base64"),
        (b'{"Image": {"Bytes": "YW J"}}', "A blob cannot be decoded: it is not valid Base64"),
        (b'{"MaxFaces": "10"}', "STRING_VALUE cannot be converted to Integer"),
        (b'{"MaxFaces": false}', "FALSE_VALUE cannot be converted to Integer"),
        (b'{"DetectionAttributes": "ALL"}', "Unexpected field type"),
        (b'{"DetectionAttributes": [[]]}', "Start of list found where not expected"),
    ],
)
def test_wrong_type_is_a_serialization_exception(body: bytes, message: str) -> None:
    """What isn't JSON, or not of the model's types, is refused before any constraint is looked at."""
    error = refusal("IndexFaces", body)
    assert (error.name, error.message) == ("SerializationException", message)


@pytest.mark.parametrize(
    ("number", "shown"),
    [("1e300", "2147483647"), ("9" * 40, "2147483647"), ("5000.9", "5000"), ("-1e30", "-2147483648")],
)
def test_numbers_become_java_integers(number: str, shown: str) -> None:
    """A number beyond Java's integer is clamped and a fraction cut off, as AWS does."""
    body = f'{{"CollectionId": "c", "FaceId": "{FACE}", "MaxFaces": {number}}}'.encode()
    assert f"Value '{shown}' at 'maxFaces'" in refusal("SearchFaces", body).message


def test_last_of_duplicate_members_counts() -> None:
    """A member that comes twice has its last value, as in most JSON readers."""
    body = b'{"CollectionId": "../first", "CollectionId": "last"}'
    assert PROTOCOL.parse("RekognitionService.DescribeCollection", body).params == {"CollectionId": "last"}


def test_messages_are_short_and_hold_no_image() -> None:
    """However long a value is, the message stays short, and an image is never echoed."""
    long = "#" * 1_000_000
    body = {"CollectionId": long, "ExternalImageId": long, "Image": {"Bytes": "QUFB" * 2_000_000}}
    message = violations("IndexFaces", body)
    assert len(message) < 4000
    assert "QUFB" not in message
    assert "..." in message
    assert len(violations("DeleteFaces", {"CollectionId": "c", "FaceIds": [long] * 3})) < 1000


def test_nested_values_are_not_opened_in_messages() -> None:
    """A value that nests hundreds deep, or thousands wide, is shown as what it is and no deeper."""
    deep = b"[" * 900 + b"]" * 900
    body = b'{"CollectionId":"c","FaceIds":[' + b",".join([deep] * 20 + [b"1"] * 5000) + b"]}"
    error = refusal("DeleteFaces", body)
    assert "Value '[[...], [...]" in error.message
    assert len(error.message) < 1000
    assert refusal("DeleteFaces", b'{"CollectionId":"c","FaceIds":' + deep + b"}").name == "SerializationException"


def test_at_most_ten_violations_are_told() -> None:
    """A body that is wrong everywhere gets ten reasons, not ten thousand."""
    message = violations("CreateProjectVersion", {**PROJECT, "TestingData": {"Assets": [asset("a")] * 10_000}})
    assert message.startswith("10 validation errors detected: ")
    assert message.count("failed to satisfy constraint") == 10


@pytest.mark.alone
@pytest.mark.parametrize(
    "body",
    [
        {"Image": IMAGE, "Attributes": ["ALL"] * 1_000_000},
        {"Image": IMAGE, "Attributes": ["x"] * 1_000_000},
        {"Image": {"Bytes": "A" * 15_000_000}},
        {"Image": {"Bytes": "A" * 6_000_000 + "!"}},
        {"Image": {"S3Object": {"Bucket": "b" * 10_000_000, "Name": " " * 5_000_000}}},
    ],
)
def test_hostile_body_is_cheap(body: object) -> None:
    """A body of many megabytes is read or refused within a second."""
    raw = orjson.dumps(body)
    start = time.perf_counter()
    result = outcome("DetectFaces", raw)
    assert time.perf_counter() - start < 1.0
    assert isinstance(result, Call) or len(result.message) < 4000


# --- Fuzzing --------------------------------------------------------------------------------------------------

VALID: dict[str, dict[str, Any]] = {
    "DetectFaces": {"Image": IMAGE, "Attributes": ["ALL"]},
    "CompareFaces": {"SourceImage": IMAGE, "TargetImage": IMAGE, "SimilarityThreshold": 80.5},
    "IndexFaces": {"CollectionId": "c", "Image": {"S3Object": {"Bucket": "bucket", "Name": "n"}}, "MaxFaces": 5},
    "DeleteFaces": {"CollectionId": "c", "FaceIds": [FACE]},
    "TagResource": {"ResourceArn": ARN, "Tags": {"k": "v"}},
    "AssociateFaces": {"CollectionId": "c", "UserId": "u", "FaceIds": [FACE], "UserMatchThreshold": 75},
    "CreateFaceLivenessSession": {"Settings": {"AuditImagesLimit": 2, "OutputConfig": {"S3Bucket": "bucket"}}},
    "UpdateStreamProcessor": {
        "Name": "n",
        "RegionsOfInterestForUpdate": [{"Polygon": [{"X": 0.1, "Y": 0.2}] * 3}],
        "DataSharingPreferenceForUpdate": {"OptIn": True},
    },
}
JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=20),
        st.sampled_from(["", "YWJj", FACE, "ALL", "town"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=12,
)


def attempt(operation: str, body: bytes) -> None:
    """Parse, and accept nothing but a result or a wire error of three kinds."""
    result = outcome(operation, body)
    if isinstance(result, Call):
        assert result.operation == operation
    else:
        assert result.name in ("ValidationException", "SerializationException")
        assert len(result.message) < 6000
        assert orjson.loads(result.body("id"))["message"] == result.message


def test_valid_requests_of_the_fuzzer_are_valid() -> None:
    """The fuzzer starts from requests that pass."""
    for operation, body in VALID.items():
        assert set(params(operation, body)) == set(body)


@settings(max_examples=300, deadline=1000)
@given(
    operation=st.sampled_from(PROTOCOL.operations), body=st.one_of(JSON.map(json.dumps).map(str.encode), st.binary())
)
@example(operation="DetectFaces", body=b'{"Image":{"Bytes":"\\ud800"}}')
def test_random_bodies_get_typed_errors(operation: str, body: bytes) -> None:
    """Random JSON and random bytes never raise anything but a wire error, for any operation."""
    attempt(operation, body)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) in a JSON document."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    here = [(value, key) for key in keys]
    return here + [place for container, key in here for place in places(container[key])]


@settings(max_examples=400, deadline=1000)
@given(data=st.data(), operation=st.sampled_from(sorted(VALID)))
def test_mutated_requests_get_typed_errors(data: st.DataObject, operation: str) -> None:
    """Valid requests with any values swapped for others never raise anything but a wire error."""
    body = json.loads(json.dumps(VALID[operation]))
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places(body)))
        container[key] = data.draw(JSON)
    attempt(operation, json.dumps(body).encode())


@settings(max_examples=200, deadline=1000)
@given(data=st.data(), operation=st.sampled_from(sorted(VALID)))
def test_flipped_bytes_get_typed_errors(data: st.DataObject, operation: str) -> None:
    """Valid bodies with bytes changed or cut off never raise anything but a wire error."""
    body = bytearray(json.dumps(VALID[operation]).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    attempt(operation, bytes(body[: data.draw(st.integers(0, len(body)))]))


# --- Responses ------------------------------------------------------------------------------------------------

OUTPUT = {
    "Faces": [
        {"FaceId": FACE, "BoundingBox": {"Width": 0.5, "Height": 0.5, "Left": 0.0, "Top": -0.1}, "Confidence": 99.5}
    ],
    "FaceModelVersion": "7.0",
}


def test_response_is_json_with_epoch_seconds_and_base64() -> None:
    """Numpy numbers, aware datetimes and bytes are written as the protocol has them."""
    moment = datetime(2019, 9, 25, 20, 53, 48, 274_000, tzinfo=UTC)
    written = orjson.loads(PROTOCOL.serialize({"F": np.float32(0.5), "T": moment, "B": b"abc", "N": np.arange(2)}))
    assert written == {"F": 0.5, "T": 1569444828.274, "B": "YWJj", "N": [0, 1]}


@pytest.mark.parametrize("value", [object(), datetime(2026, 1, 1)])
def test_value_that_the_wire_lacks_is_an_error(value: object) -> None:
    """A value that JSON 1.1 can't carry is a mistake of the server's, told at once."""
    with pytest.raises(TypeError):
        PROTOCOL.serialize({"X": value})


def test_output_of_the_model_passes() -> None:
    """A response that is the model's passes the check, a box that reaches over the edge included."""
    PROTOCOL.check_output("ListFaces", OUTPUT)
    PROTOCOL.check_output("DescribeCollection", {"FaceCount": 1, "CreationTimestamp": datetime.now(UTC)})


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"Bogus": 1}, Invalid),
        ({"NextToken": None}, Invalid),
        ({"Faces": [{"Bogus": 1}]}, Invalid),
        ({"Faces": "x"}, WireError),
        ({"Faces": [{"FaceId": "x"}]}, WireError),
    ],
)
def test_output_that_is_not_the_models_is_found(change: dict[str, Any], error: type[Exception]) -> None:
    """A member that the model doesn't know, or of another type, is found."""
    with pytest.raises(error):
        PROTOCOL.check_output("ListFaces", {"FaceModelVersion": "7.0", **change})


def test_response_headers_name_type_and_request() -> None:
    """Every response carries its type and the request's id."""
    assert response_headers("id-1") == [
        (b"content-type", b"application/x-amz-json-1.1"),
        (b"x-amzn-requestid", b"id-1"),
    ]
