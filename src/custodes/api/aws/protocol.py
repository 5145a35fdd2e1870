# SPDX-License-Identifier: Apache-2.0
"""AWS JSON 1.1 for Rekognition, driven by botocore's own service model (``rekognition/2016-06-27``).

Requests: ``X-Amz-Target`` names the operation, the body is a JSON object, blobs are Base64. Responses: JSON whose
timestamps are seconds since the epoch. What a request may hold is decided by the model alone, so that server and
SDK cannot disagree; what the model doesn't say (defaults, either-or) is the handlers' part.

The model is the one that came with botocore: a user's own in ``~/.aws/models`` is not looked at. Operations are
compiled when they are first called.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import orjson
import pybase64
from botocore.loaders import Loader

from custodes.api.aws.checker import Compiler, Reader, Shape
from custodes.api.aws.errors import serialization_error, unknown_operation
from custodes.api.aws.violations import Violation, refuse
from custodes.errors import Invalid

__all__ = ["CONTENT_TYPE", "Call", "Params", "Protocol", "response_headers"]

CONTENT_TYPE = "application/x-amz-json-1.1"
_API_VERSION = "2016-06-27"
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_PASSTHROUGH_DATETIME

Params = Mapping[str, Any]
"""Checked members by name: str, bool, int, float, bytes, or lists and mappings of these, as the model says."""


class Call(NamedTuple):
    """A request that keeps every rule of the model."""

    operation: str
    params: Params


def _wire_value(value: object) -> object:
    """Give orjson what the protocol writes for a type that JSON lacks."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise TypeError("A timestamp without a time zone is no moment.")
        return round(value.timestamp(), 3)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return pybase64.b64encode_as_string(value)
    raise TypeError(f"{type(value).__name__} is no type of the wire.")


def response_headers(request_id: str) -> list[tuple[bytes, bytes]]:
    """Return the headers of every response, refusals included."""
    return [(b"content-type", CONTENT_TYPE.encode()), (b"x-amzn-requestid", request_id.encode())]


class Protocol:
    """Parses requests and writes responses by the service model; safe to share between threads.

    Raises:
        botocore.exceptions.DataNotFoundError: botocore came without its data.
    """

    def __init__(self) -> None:
        loader = Loader(
            extra_search_paths=[Loader.BUILTIN_DATA_PATH],
            include_default_search_paths=False,
            include_default_extras=False,
        )
        model = loader.load_service_model("rekognition", "service-2", _API_VERSION)
        self._prefix: str = model["metadata"]["targetPrefix"] + "."
        self._operations: Mapping[str, Shape] = model["operations"]
        self._shapes: Mapping[str, Shape] = model["shapes"]
        self._compiler = Compiler(self._shapes)
        self._inputs: dict[str, Reader] = {}
        self._declared = {
            name: frozenset(e["shape"] for e in operation["errors"]) for name, operation in self._operations.items()
        }

    @property
    def operations(self) -> tuple[str, ...]:
        """The names of all operations of the service, offered here or not."""
        return tuple(self._operations)

    def declared(self, operation: str) -> frozenset[str]:
        """Return the names of the errors that the operation declares; empty for an unknown operation."""
        return self._declared.get(operation, frozenset())

    def operation(self, target: str) -> str:
        """Return the operation that an ``X-Amz-Target`` names.

        Raises:
            WireError: UnknownOperationException.
        """
        name = target.removeprefix(self._prefix)
        if name == target or name not in self._operations:
            raise unknown_operation()
        return name

    def parse(self, target: str, body: bytes | bytearray | memoryview) -> Call:
        """Read a request and check every constraint of the model.

        Args:
            target: the ``X-Amz-Target`` header.
            body: the whole body.

        Raises:
            WireError: UnknownOperationException; SerializationException when the body isn't JSON or a type is
                wrong; ValidationException with all constraints that are broken.
        """
        name = self.operation(target)
        reader = self._inputs.get(name)
        if reader is None:
            reader = self._inputs[name] = self._compiler.reader(self._operations[name]["input"]["shape"])
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise serialization_error("The request's body is not valid JSON.") from error
        found: list[Violation] = []
        params = reader.read(document, found)
        if found:
            raise refuse(found)
        return Call(name, params)

    def serialize(self, result: Params) -> bytes:
        """Write a response: numpy's numbers and arrays, aware datetimes and bytes included.

        Raises:
            TypeError: a value is of a type that the wire doesn't have.
        """
        return orjson.dumps(result, default=_wire_value, option=_OPTIONS)

    def check_output(self, operation: str, result: Params) -> None:
        """Compare a response with the model, strictly; for tests, as it is slow.

        Raises:
            Invalid: a member is unknown, lacks, has the wrong type or breaks a constraint.
            WireError: the same, for what a request would be refused for.
        """
        shape = self._operations[operation]["output"]["shape"]
        document = orjson.loads(self.serialize(result))
        self._refuse_unknown(shape, document, operation)
        found: list[Violation] = []
        self._compiler.reader(shape).read(document, found)
        if found:
            raise refuse(found)

    def _refuse_unknown(self, name: str, value: object, path: str) -> None:
        shape = self._shapes[name]
        if shape["type"] == "structure" and isinstance(value, dict):
            for member, item in value.items():
                if member not in shape["members"]:
                    raise Invalid(f"{path} has no member {member}; the model knows {list(shape['members'])}.")
                if item is None:
                    raise Invalid(f"{path}.{member} is null; an absent member is left out.")
                self._refuse_unknown(shape["members"][member]["shape"], item, f"{path}.{member}")
        elif shape["type"] == "list" and isinstance(value, list):
            for number, item in enumerate(value):
                self._refuse_unknown(shape["member"]["shape"], item, f"{path}[{number}]")
