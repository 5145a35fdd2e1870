# SPDX-License-Identifier: Apache-2.0
"""The table of errors: every cause gets a declared name, AWS's words, and nothing leaks."""

from __future__ import annotations

import boto3
import orjson
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.exceptions import ClientError

from custodes.api.aws.errors import Frame, WireError, translate, unknown_operation
from custodes.api.aws.protocol import Protocol, response_headers
from custodes.errors import (
    Code,
    Conflict,
    CustodesError,
    Denied,
    IntegrityError,
    Invalid,
    InvalidImage,
    NotFound,
    Throttled,
    TooLarge,
    Unavailable,
)

REQUEST_ID = "6d1d2f6c-0f43-4d0a-9a8e-2f2f2c2b7f10"
PROTOCOL = Protocol()
KINDS = (Conflict, Denied, IntegrityError, Invalid, InvalidImage, NotFound, Throttled, TooLarge, Unavailable)


def told(error: Exception, operation: str, **params: str) -> WireError:
    return translate(error, PROTOCOL.declared(operation), params)


@pytest.mark.parametrize("operation", PROTOCOL.operations)
def test_every_error_is_declared_by_every_operation(operation: str) -> None:
    """Whatever goes wrong, the operation declares the answer, so that SDKs raise a typed exception."""
    declared = PROTOCOL.declared(operation)
    errors: list[Exception] = [kind("It is so.", code=code) for kind in KINDS for code in ("", *Code)]
    for error in (*errors, ValueError("secret"), CustodesError("It is so.")):
        wire = translate(error, declared)
        if wire.name != Frame.ENTITY_TOO_LARGE:  # before any operation
            assert wire.name in declared, (operation, error)
        assert wire.status in (400, 413, 500)
        assert wire.message


def test_every_code_has_a_row() -> None:
    """No code is worded by its kind by oversight: each differs from an unknown cause of no kind."""
    for code in Code:
        assert translate(CustodesError("It is so.", code=code), frozenset()).name != "InternalServerError"


@pytest.mark.parametrize(
    ("error", "operation", "name", "message"),
    [
        (
            NotFound("x", code=Code.COLLECTION_MISSING),
            "SearchFaces",
            "ResourceNotFoundException",
            "The collection id: town does not exist",
        ),
        (
            Conflict("x", code=Code.COLLECTION_EXISTS),
            "CreateCollection",
            "ResourceAlreadyExistsException",
            "The collection id: town already exists",
        ),
        (
            NotFound("x", code=Code.SUBJECT_MISSING),
            "AssociateFaces",
            "ResourceNotFoundException",
            "The user id: ann does not exist",
        ),
        (
            Conflict("x", code=Code.SUBJECT_EXISTS),
            "CreateUser",
            "ConflictException",
            "The user id: ann already exists",
        ),
        (
            Conflict("x", code=Code.TOKEN_MISMATCH),
            "AssociateFaces",
            "IdempotentParameterMismatchException",
            "The ClientRequestToken: tok-1 you have supplied is already in use.",
        ),
        (
            NotFound("x", code=Code.FACE_MISSING),
            "SearchFaces",
            "InvalidParameterException",
            "faceId was not found in the collection.",
        ),
        (InvalidImage("x"), "DetectFaces", "InvalidImageFormatException", "Request has invalid image format"),
        (TooLarge("x", code=Code.IMAGE_BYTES), "DetectFaces", "ImageTooLargeException", "Image size is too large."),
        (
            InvalidImage("It is 79 pixels wide.", code=Code.IMAGE_TOO_SMALL),
            "DetectFaces",
            "InvalidParameterException",
            "Request has invalid parameters. It is 79 pixels wide.",
        ),
        (
            Invalid("x", code=Code.NO_FACE),
            "SearchFacesByImage",
            "InvalidParameterException",
            "There are no faces in the image. Should be at least 1.",
        ),
        (
            Invalid("x", code=Code.PAGE_TOKEN),
            "ListFaces",
            "InvalidPaginationTokenException",
            "Invalid Pagination Token",
        ),
        (
            Invalid("x", code=Code.S3),
            "IndexFaces",
            "InvalidS3ObjectException",
            "Unable to get object metadata from S3. Check object key, region and/or access permissions.",
        ),
        (Conflict("Full.", code=Code.QUOTA), "IndexFaces", "ServiceQuotaExceededException", "Full."),
        (
            Denied("A moratorium is in force.", remedy="Ask the board."),
            "SearchFaces",
            "AccessDeniedException",
            "A moratorium is in force. Ask the board.",
        ),
        (
            Throttled("x", code=Code.OVERLOAD),
            "DetectFaces",
            "ThrottlingException",
            "Slow down; sudden increase in rate of requests",
        ),
        (
            Unavailable("Custodes does not offer DetectLabels.", code=Code.NOT_OFFERED),
            "DetectLabels",
            "AccessDeniedException",
            "Custodes does not offer DetectLabels.",
        ),
    ],
)
def test_causes_read_as_on_aws(error: Exception, operation: str, name: str, message: str) -> None:
    """Each cause has AWS's name and, where it is known, AWS's wording."""
    wire = told(error, operation, CollectionId="town", ClientRequestToken="tok-1", UserId="ann")
    assert (wire.name, wire.message, wire.status) == (name, message, 400)


@pytest.mark.parametrize(
    ("error", "operation", "name"),
    [
        (NotFound("x", code=Code.COLLECTION_MISSING), "DetectFaces", "InvalidParameterException"),
        (Invalid("x", code=Code.PAGE_TOKEN), "DetectFaces", "InvalidParameterException"),
        (Conflict("x", code=Code.QUOTA), "CreateStreamProcessor", "ServiceQuotaExceededException"),
        (Conflict("x", code=Code.QUOTA), "StartFaceSearch", "LimitExceededException"),
        (Conflict("x"), "DeleteStreamProcessor", "ResourceInUseException"),
        (InvalidImage("x"), "ListFaces", "InvalidParameterException"),
    ],
)
def test_undeclared_name_falls_back_to_a_declared_one(error: Exception, operation: str, name: str) -> None:
    """Where an operation doesn't declare the fittest name, the next one that it declares is taken."""
    assert told(error, operation).name == name


def test_wording_without_its_member_is_custodes_own() -> None:
    """A sentence of AWS's that quotes a member gives way when the request has none."""
    wire = told(NotFound("No such {thing}.", code=Code.COLLECTION_MISSING), "TagResource", ResourceArn="arn:x")
    assert wire.message == "No such {thing}."


def test_an_arn_names_the_collection_too() -> None:
    """Operations on tags tell of a collection that isn't there in the words of the others."""
    arn = "arn:aws:rekognition:us-east-1:000000000000:collection/town"
    wire = told(NotFound("x", code=Code.COLLECTION_MISSING), "TagResource", ResourceArn=arn)
    assert (wire.name, wire.message) == ("ResourceNotFoundException", "The collection id: town does not exist")


@pytest.mark.parametrize("error", [ValueError("/etc/secret"), IntegrityError("tag of row 7", code="row-tag")])
def test_unforeseen_gives_nothing_away(error: Exception) -> None:
    """A fault inside is a 500 that carries the request's id and no detail."""
    wire = told(error, "DetectFaces")
    assert (wire.name, wire.status, wire.message) == ("InternalServerError", 500, "Internal server error")
    assert b"secret" not in wire.body(REQUEST_ID)
    assert REQUEST_ID.encode() in wire.body(REQUEST_ID)


def test_wire_error_passes_unchanged() -> None:
    """What already has its wire name, from the signature or the parser, keeps it."""
    error = unknown_operation()
    assert told(error, "DetectFaces") is error


def test_dependency_that_is_away_is_a_fault() -> None:
    """What may pass later through no change of the caller's is a 500, which SDKs try again."""
    wire = told(Unavailable("The database doesn't answer."), "DetectFaces")
    assert (wire.name, wire.status) == ("ThrottlingException", 500)
    assert wire.message == "Service Unavailable. The database doesn't answer."


def test_bodies_have_the_two_shapes_of_aws() -> None:
    """Errors of the model have Code, Logref and Message; errors of the frame have message."""
    modelled = orjson.loads(told(NotFound("Gone."), "ListFaces").body(REQUEST_ID))
    assert modelled == {
        "__type": "ResourceNotFoundException",
        "Code": "ResourceNotFoundException",
        "Logref": REQUEST_ID,
        "Message": "Gone.",
    }
    frame = orjson.loads(unknown_operation().body(REQUEST_ID))
    assert set(frame) == {"__type", "message"}


def raised_by_boto3(wire: WireError) -> tuple[ClientError, object]:
    """Return what boto3 raises for an error, and the client that raised it; nothing is sent."""
    client = boto3.client(
        "rekognition",
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="s",
        endpoint_url="http://127.0.0.1:9",
        config=Config(retries={"max_attempts": 0}),
    )

    class Raw:
        def stream(self) -> list[bytes]:
            return [wire.body(REQUEST_ID)]

    headers = HTTPHeaders()
    for name, value in response_headers(REQUEST_ID):
        headers[name.decode()] = value.decode()

    def answer(**_: object) -> AWSResponse:
        return AWSResponse("http://127.0.0.1:9/", wire.status, headers, Raw())

    client.meta.events.register("before-send.rekognition.ListFaces", answer)
    with pytest.raises(ClientError) as caught:
        client.list_faces(CollectionId="town")
    return caught.value, client


@pytest.mark.parametrize(
    "error", [NotFound("Gone."), Denied("No."), Invalid("x", code=Code.PAGE_TOKEN), ValueError("x"), Throttled("x")]
)
def test_boto3_raises_the_typed_exception(error: Exception) -> None:
    """boto3 finds its exception class, the message and the request id in the answer."""
    wire = told(error, "ListFaces")
    raised, client = raised_by_boto3(wire)
    assert type(raised) is client.exceptions.from_code(wire.name)  # type: ignore[attr-defined]
    assert type(raised) is not ClientError
    assert raised.response["Error"]["Message"] == wire.message
    assert raised.response["ResponseMetadata"]["RequestId"] == REQUEST_ID
    assert raised.response["ResponseMetadata"]["HTTPStatusCode"] == wire.status


def test_boto3_reads_errors_of_the_frame() -> None:
    """An error that no operation declares arrives as ClientError with code and message."""
    raised, _ = raised_by_boto3(unknown_operation())
    assert raised.response["Error"]["Code"] == "UnknownOperationException"
    assert raised.response["Error"]["Message"] == unknown_operation().message
