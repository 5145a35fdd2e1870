# SPDX-License-Identifier: Apache-2.0
"""boto3 on all operations that Custodes does not offer, and the table in the documentation that says so."""

from __future__ import annotations

import re
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name
from botocore.model import Shape

from custodes.api.aws.handlers import OFFERED

MODEL = botocore.session.get_session().get_service_model("rekognition")
UNOFFERED = sorted(set(MODEL.operation_names) - set(OFFERED))
TABLE = Path(__file__).parents[2] / "docs" / "compatibility.md"
_PATTERNED = (
    "x" * 8,
    "1",
    "0" * 64,
    "11111111-2222-4333-8444-555555555555",
    "arn:aws:iam::000000000000:role/name",
    "arn:aws:sns:us-east-1:000000000000:AmazonRekognition",
    "arn:aws:kinesis:us-east-1:000000000000:stream/name",
    "arn:aws:kinesisvideo:us-east-1:000000000000:stream/name/1530559711205",
    "arn:aws:kms:us-east-1:000000000000:key/name",
    "arn:aws:rekognition:us-east-1:000000000000:project/name/1530559711205",
    "arn:aws:rekognition:us-east-1:000000000000:project/name/version/name/1530559711205",
    "arn:aws:rekognition:us-east-1:000000000000:project/name/dataset/train/1530559711205",
    "arn:aws:rekognition:us-east-1:000000000000:streamprocessor/name",
    "2026-11-23T00:00:00.000Z",
)
"""Values that some pattern of the model takes."""


def sample(shape: Shape) -> object:
    """Make a value of a shape that keeps every rule of the model, with required members alone."""
    match shape.type_name:
        case "structure":
            members = shape.required_members or (list(shape.members)[:1] if shape.metadata.get("union") else [])
            return {name: sample(shape.members[name]) for name in members}
        case "list":
            return [sample(shape.member)] * max(1, shape.metadata.get("min", 1))
        case "map":
            return {sample(shape.key): sample(shape.value)}
        case "string":
            least, most = shape.metadata.get("min", 0), shape.metadata.get("max", 10**6)
            pattern = shape.metadata.get("pattern", ".*")
            candidates = (*shape.metadata.get("enum", ()), *_PATTERNED)
            return next(v for v in candidates if least <= len(v) <= most and re.fullmatch(pattern, v))
        case "blob":
            return b"x"
        case "boolean":
            return True
        case "timestamp":
            return 1_500_000_000
        case "integer" | "long":
            return max(1, shape.metadata.get("min", 1))
        case "float" | "double":
            return float(shape.metadata.get("min", 0.5))
    raise NotImplementedError(shape.type_name)


@pytest.mark.parametrize("operation", UNOFFERED)
def test_unoffered_operation_says_so(client, operation: str) -> None:
    """A valid request for an operation that isn't offered gets a declared error that tells so, and no retry."""
    params = sample(MODEL.operation_model(operation).input_shape)
    with pytest.raises(client.exceptions.AccessDeniedException) as caught:
        getattr(client, xform_name(operation))(**params)
    error = caught.value.response
    assert error["Error"]["Message"] == (
        f"Custodes does not offer {operation}. docs/compatibility.md lists what it does."
    )
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert error["ResponseMetadata"]["RetryAttempts"] == 0


def test_all_operations_are_known() -> None:
    """Custodes offers 28 of the model's 75 operations."""
    assert len(OFFERED) == 28
    assert len(UNOFFERED) == 47
    assert set(OFFERED) < set(MODEL.operation_names)


def test_documented_table_is_true() -> None:
    """The table in docs/compatibility.md has every operation of the model once, and offers what is offered."""
    rows = re.findall(r"^\| `(\w+)` \| (offered|refused) \| (.+) \|$", TABLE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(name for name, _, _ in rows) == sorted(MODEL.operation_names)
    assert {name for name, state, _ in rows if state == "offered"} == set(OFFERED)
    assert all(len(note) > 10 for _, _, note in rows)
