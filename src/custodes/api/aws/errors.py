# SPDX-License-Identifier: Apache-2.0
"""The one table from Custodes' errors to Rekognition's, and how they read on the wire.

An SDK raises a typed exception only for an error that the service model declares for the operation, so every row
lists names from the fittest to the most general and :func:`translate` takes the first that is declared. All 75
operations declare ``InvalidParameterException``, ``AccessDeniedException``, ``ThrottlingException`` and
``InternalServerError``; a row ends with one of them.

Two shapes of body, as AWS sends them: errors of the model carry ``__type, Code, Logref, Message``; errors of the
frame around it (signature, JSON, validation; :class:`Frame`) carry ``__type, message`` and are never declared.

Unoffered operations answer ``AccessDeniedException``: like a missing permission, the refusal is permanent, holds
for any parameters and is not worth a retry, and all operations declare it. ``InvalidParameterException`` would
blame the request, and a 500 or a throttle would make SDKs try again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

import orjson

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

__all__ = ["Frame", "WireError", "request_timeout", "serialization_error", "translate", "unknown_operation"]


class Frame(StrEnum):
    """Errors of the frame around the operations; the service model doesn't list them."""

    ENTITY_TOO_LARGE = "RequestEntityTooLargeException"
    INCOMPLETE_SIGNATURE = "IncompleteSignatureException"
    INVALID_SIGNATURE = "InvalidSignatureException"
    MISSING_TOKEN = "MissingAuthenticationTokenException"  # noqa: S105 (a name, no secret)
    REQUEST_TIMEOUT = "RequestTimeoutException"
    SERIALIZATION = "SerializationException"
    UNKNOWN_OPERATION = "UnknownOperationException"
    UNRECOGNIZED_CLIENT = "UnrecognizedClientException"
    VALIDATION = "ValidationException"


_FRAME = frozenset(Frame)
_INTERNAL = "InternalServerError"
_STATUS = {_INTERNAL: 500, Frame.ENTITY_TOO_LARGE: 413, Frame.REQUEST_TIMEOUT: 408}


class WireError(CustodesError):
    """A refusal in Rekognition's own words, ready to be sent.

    Args:
        name: the error's name on the wire (``"ResourceNotFoundException"``).
        message: the text for the caller.
        status: HTTP status; 0 takes the name's usual one.
    """

    def __init__(self, name: str, message: str, *, status: int = 0) -> None:
        super().__init__(message, code=str(name))
        self.name = str(name)
        self.status = status or _STATUS.get(name, 400)

    def body(self, request_id: str) -> bytes:
        """Return the JSON body; ``request_id`` becomes the ``Logref`` by which the operator finds the log line."""
        if self.name in _FRAME:
            return orjson.dumps({"__type": self.name, "message": self.message})
        return orjson.dumps({"__type": self.name, "Code": self.name, "Logref": request_id, "Message": self.message})


def serialization_error(message: str) -> WireError:
    """Return the refusal of a body that isn't JSON or whose types aren't the model's."""
    return WireError(Frame.SERIALIZATION, message)


def request_timeout(seconds: float) -> WireError:
    """Return the refusal of a body that doesn't come to its end; SDKs try again."""
    return WireError(Frame.REQUEST_TIMEOUT, f"The request's body was not complete within {seconds:g} seconds.")


def unknown_operation() -> WireError:
    """Return the refusal of a target that the service doesn't have."""
    return WireError(Frame.UNKNOWN_OPERATION, "The X-Amz-Target header names no operation of this service.")


@dataclass(frozen=True, slots=True)
class _Row:
    """How one cause reads.

    Attributes:
        names: wire names, the fittest first.
        text: AWS's wording; ``{Member}`` takes a member of the request, ``{own}`` the error's own words.
        status: HTTP status; 0 takes the name's usual one.
    """

    names: tuple[str, ...]
    text: str = "{own}"
    status: int = 0


_INVALID = "InvalidParameterException"
_DENIED = "AccessDeniedException"
_THROTTLED = "ThrottlingException"
_TOO_LARGE = _Row(("ImageTooLargeException", _INVALID), "Image size is too large.")
_FORMAT = _Row(("InvalidImageFormatException", _INVALID), "Request has invalid image format")
_MISSING = _Row(("ResourceNotFoundException", _INVALID))
_OVERLOAD = _Row((_THROTTLED,), "Slow down; sudden increase in rate of requests")
_BROKEN = _Row((_INTERNAL,), "Internal server error")

_BY_CODE: Mapping[str, _Row] = {
    Code.COLLECTION_MISSING: _Row(_MISSING.names, "The collection id: {CollectionId} does not exist"),
    Code.SUBJECT_MISSING: _Row(_MISSING.names, "The user id: {UserId} does not exist"),
    Code.FACE_MISSING: _Row((_INVALID,), "faceId was not found in the collection."),
    Code.COLLECTION_EXISTS: _Row(
        ("ResourceAlreadyExistsException", "ResourceInUseException", _INVALID),
        "The collection id: {CollectionId} already exists",
    ),
    Code.SUBJECT_EXISTS: _Row(("ConflictException", _INVALID), "The user id: {UserId} already exists"),
    Code.TOKEN_MISMATCH: _Row(
        ("IdempotentParameterMismatchException", _INVALID),
        "The ClientRequestToken: {ClientRequestToken} you have supplied is already in use.",
    ),
    Code.IMAGE_FORMAT: _FORMAT,
    Code.IMAGE_TOO_SMALL: _Row((_INVALID,), "Request has invalid parameters. {own}"),
    Code.IMAGE_BYTES: _TOO_LARGE,
    Code.IMAGE_PIXELS: _TOO_LARGE,
    Code.BODY_BYTES: _Row((Frame.ENTITY_TOO_LARGE,)),
    Code.NO_FACE: _Row((_INVALID,), "There are no faces in the image. Should be at least 1."),
    Code.PAGE_TOKEN: _Row(("InvalidPaginationTokenException", _INVALID), "Invalid Pagination Token"),
    Code.S3: _Row(
        ("InvalidS3ObjectException", _INVALID),
        "Unable to get object metadata from S3. Check object key, region and/or access permissions.",
    ),
    Code.QUOTA: _Row(("ServiceQuotaExceededException", "LimitExceededException", _INVALID)),
    Code.OVERLOAD: _OVERLOAD,
    Code.NOT_OFFERED: _Row((_DENIED,)),
}

_BY_KIND: Mapping[type[BaseException], _Row] = {
    NotFound: _MISSING,
    InvalidImage: _FORMAT,
    TooLarge: _TOO_LARGE,
    Invalid: _Row((_INVALID,)),
    Conflict: _Row(("ConflictException", "ResourceInUseException", _INVALID)),
    Denied: _Row((_DENIED,)),
    Throttled: _OVERLOAD,
    Unavailable: _Row((_THROTTLED,), "Service Unavailable. {own}", status=500),
    IntegrityError: _BROKEN,
}


def _row(error: Exception) -> _Row:
    """Find the row by code, else by the nearest kind, else the one that gives nothing away."""
    if not isinstance(error, CustodesError):
        return _BROKEN
    by_code = _BY_CODE.get(error.code)
    if by_code is not None:
        return by_code
    return next((_BY_KIND[kind] for kind in type(error).__mro__ if kind in _BY_KIND), _BROKEN)


def translate(error: Exception, declared: Collection[str], params: Mapping[str, object] | None = None) -> WireError:
    """Return the error in Rekognition's words.

    An unforeseen exception and an :class:`~custodes.errors.IntegrityError` become ``InternalServerError`` without
    details; the request id leads the operator to them.

    Args:
        error: what was raised.
        declared: the names that the operation declares (``Protocol.declared``).
        params: the request's members, which some of AWS's sentences quote.
    """
    if isinstance(error, WireError):
        return error
    row = _row(error)
    name = next((n for n in row.names if n in declared), row.names[-1])
    own = error.diagnostics() if isinstance(error, CustodesError) else ""
    quoted = {k: v for k, v in (params or {}).items() if isinstance(v, str)}
    _, named, collection = quoted.get("ResourceArn", "").partition(":collection/")
    if named:  # so do the operations on tags
        quoted["CollectionId"] = collection
    try:
        message = row.text.format_map({**quoted, "own": own})
    except KeyError:  # the request has no such member: Custodes' own sentence says it as well
        message = own
    return WireError(name, message, status=row.status)
