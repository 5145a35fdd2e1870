# SPDX-License-Identifier: Apache-2.0
"""Mutated pictures and made-up JSON against the running server: it answers 200 or a modelled 400, and lives."""

from __future__ import annotations

import base64
import io
import json
import struct
import zlib
from functools import cache

import botocore.session
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from custodes.api.aws.errors import Frame
from custodes.api.aws.handlers import OFFERED

MODEL = botocore.session.get_session().get_service_model("rekognition")
FRAME = {str(name) for name in Frame}
bounded = settings(
    deadline=None,
    derandomize=True,  # the same run everywhere; raise max_examples and drop this to look further
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def check(operation: str, answer) -> None:
    """Check that an answer is one that the service model knows."""
    assert answer.status in (200, 400), answer.body
    if answer.status == 400:
        declared = {shape.name for shape in MODEL.operation_model(operation).error_shapes}
        assert answer.error in declared | FRAME
        assert len(answer.body) < 8000
    assert answer.seconds < 5


@pytest.fixture(scope="module", autouse=True)
def survives(wire):
    """The server is the same process before and after, within 200 MB of its memory, and logs no surprise."""
    before = wire.resident
    yield
    assert wire.alive()
    assert wire.resident - before < 200 * 2**20
    assert b'"unforeseen"' not in wire.server.log.read_bytes()
    assert b'"failure"' not in wire.server.log.read_bytes()


# --- Pictures -------------------------------------------------------------------------------------------------


@cache
def seeds(ann: bytes) -> dict[str, bytes]:
    """Return small pictures of one face in several encodings."""
    photo = Pillow.open(io.BytesIO(ann)).resize((160, 160))
    exif = Pillow.Exif()
    exif[0x0112] = 6

    def saved(kind: str, picture: Pillow.Image = photo, **options: object) -> bytes:
        out = io.BytesIO()
        picture.save(out, kind, **options)
        return out.getvalue()

    return {
        "jpeg": saved("JPEG"),
        "progressive": saved("JPEG", progressive=True),
        "turned": saved("JPEG", exif=exif),
        "restarts": saved("JPEG", restart_marker_blocks=2),
        "png": saved("PNG"),
        "palette": saved("PNG", photo.convert("P")),
        "alpha": saved("PNG", photo.convert("RGBA")),
        "animated": saved("PNG", save_all=True, append_images=[photo.rotate(90)]),
    }


def with_sums(png: bytes) -> bytes:
    """Make every chunk's check sum right again, as a careful attacker would."""
    out, at = bytearray(png[:8]), 8
    while at + 12 <= len(png):
        length = min(struct.unpack_from(">I", png, at)[0], len(png) - at - 12)
        body = png[at + 4 : at + 8 + length]
        out += struct.pack(">I", length) + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return bytes(out + png[at:])


def mutate(data: bytes, changes: list[tuple[str, float, int]]) -> bytes:
    """Apply changes: a kind, a place from 0 to 1, and a value from 0 to 65,535."""
    picture = bytearray(data)
    for kind, place, value in changes:
        at = int(place * (len(picture) - 1))
        match kind:
            case "flip":
                picture[at] ^= 1 << value % 8
            case "head":  # sizes, types and tables are in the first bytes
                picture[2 + value % min(600, len(picture) - 2)] = int(place * 255)
            case "word":
                picture[at : at + 2] = struct.pack(">H", value)
            case "cut":
                del picture[max(at, 16) :]
            case "drop":
                del picture[at : at + value % 200]
            case "repeat":
                picture[at:at] = picture[at : at + value % 2000]
        if len(picture) < 16:
            break
    return bytes(picture)


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["flip", "head", "word", "cut", "drop", "repeat"]),
        st.floats(0, 1, allow_subnormal=False),
        st.integers(0, 65_535),
    ),
    min_size=1,
    max_size=12,
)
KINDS = ["jpeg", "progressive", "turned", "restarts", "png", "palette", "alpha", "animated"]


@settings(bounded, max_examples=600)
@given(kind=st.sampled_from(KINDS), changes=CHANGES, mended=st.booleans())
def test_mutated_pictures(wire, people, kind: str, changes: list[tuple[str, float, int]], mended: bool) -> None:
    """A picture that was damaged at random is read or refused."""
    data = mutate(seeds(people.ann)[kind], changes)
    if mended and data.startswith(b"\x89PNG"):
        data = with_sums(data)
    image = {"Bytes": base64.b64encode(data).decode()}
    check("DetectFaces", wire.call("DetectFaces", {"Image": image, "Attributes": ["ALL"]}))


# --- JSON -----------------------------------------------------------------------------------------------------

NUMBERS = [0, -1, 1, 2**31, -(2**63), 2**64, 1.5, 1e308]
TEXTS = ["", "fuzz", "../x", "\u0000", "ﷺ", "a" * 300, "11111111-2222-4333-8444-555555555555"]
ARN = "arn:aws:rekognition:us-east-1:000000000000:collection/fuzz"
PARTS = [{"Bytes": ""}, {"Bytes": "aaaa"}, {"S3Object": {"Bucket": "fuzz", "Name": "x"}}]
ODD = st.sampled_from([None, True, *NUMBERS, *TEXTS, ARN, [], {}, [[]], *PARTS])
ANYTHING = st.recursive(
    ODD | st.text(max_size=40) | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, dict[str, object]]:
    """Draw an operation and a body with some of its members, whose values are seldom what they should be."""
    operation = draw(st.sampled_from(sorted(OFFERED)))
    members = list(MODEL.operation_model(operation).input_shape.members)
    names = draw(st.lists(st.sampled_from([*members, *members, "Novelty"]), unique=True))
    body = {name: draw(ANYTHING) for name in names}
    if "CollectionId" in members and draw(st.booleans()):
        body["CollectionId"] = "fuzz"
    return operation, body


@settings(bounded, max_examples=1200)
@given(request=requests())
def test_made_up_requests(wire, request: tuple[str, dict[str, object]]) -> None:
    """A body of odd values is done or refused."""
    operation, body = request
    check(operation, wire.call(operation, body))


@settings(bounded, max_examples=800)
@given(changes=CHANGES, operation=st.sampled_from(["SearchFaces", "TagResource", "AssociateFaces"]))
def test_mutated_json(wire, changes: list[tuple[str, float, int]], operation: str) -> None:
    """A body whose bytes were damaged is done or refused."""
    body = {
        "CollectionId": "fuzz",
        "FaceId": "11111111-2222-4333-8444-555555555555",
        "FaceIds": ["11111111-2222-4333-8444-555555555555"],
        "UserId": "ann",
        "ResourceArn": "arn:aws:rekognition:us-east-1:000000000000:collection/fuzz",
        "Tags": {"größe": "1.5"},
        "MaxFaces": 17,
    }
    data = mutate(json.dumps(body, ensure_ascii=False).encode(), changes)
    check(operation, wire.call(operation, data))
