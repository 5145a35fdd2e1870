# SPDX-License-Identifier: Apache-2.0
"""Signatures: botocore's signer is the oracle, AWS's published suite the golden values."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from custodes.api.aws import sigv4
from custodes.api.aws.errors import WireError
from custodes.api.aws.sigv4 import SignedRequest, check_claim, forget, parse, unrecognized_client, verify

KEY = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
REGION = "us-east-1"
TARGET = "RekognitionService.SearchFaces"
BODY = b'{"CollectionId":"missing"}'

Headers = list[tuple[bytes, bytes]]


def sign(
    body: bytes = BODY,
    *,
    secret: str = SECRET,
    region: str = REGION,
    service: str = "rekognition",
    extra: dict[str, str] | None = None,
    url: str = "http://127.0.0.1:8420/",
    token: str | None = None,
) -> Headers:
    """Sign as boto3 does and return the headers as an ASGI server hands them on."""
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": TARGET,
        "Host": "127.0.0.1:8420",
        **(extra or {}),
    }
    request = AWSRequest("POST", url, headers=headers, data=body)
    SigV4Auth(Credentials(KEY, secret, token), service, region).add_auth(request)
    unsigned = [(b"user-agent", b"Boto3/1.44.5"), (b"content-length", str(len(body)).encode())]
    return [(n.lower().encode(), v.encode("latin-1")) for n, v in request.headers.items()] + unsigned


def value(headers: Headers, name: bytes) -> bytes:
    return dict(headers)[name]


def change(headers: Headers, name: bytes, new: bytes | None) -> Headers:
    """Replace a header's value, or drop it."""
    kept = [(n, v) for n, v in headers if n != name]
    return kept if new is None else [*kept, (name, new)]


def read(headers: Headers, path: bytes = b"/", query: bytes = b"") -> SignedRequest:
    return parse("POST", path, query, headers)


def check(headers: Headers, body: bytes = BODY, *, secret: str = SECRET, late: float = 0.0) -> None:
    signed = read(headers)
    verify(signed, secret, body, now=signed.time + timedelta(seconds=late), region=REGION)


def refusal(headers: Headers, body: bytes = BODY, *, secret: str = SECRET, late: float = 0.0) -> WireError:
    with pytest.raises(WireError) as caught:
        check(headers, body, secret=secret, late=late)
    return caught.value


# Published in AWS's Signature Version 4 test suite.
VANILLA: Headers = [(b"Host", b"example.amazonaws.com"), (b"X-Amz-Date", b"20150830T123600Z")]
SUITE = [
    ("GET", b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ("POST", b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ("GET", b"Param2=value2&Param1=value1", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
]


@pytest.mark.parametrize(("method", "query", "signature"), SUITE)
def test_published_vectors_verify(method: str, query: bytes, signature: str) -> None:
    """The published signatures are valid, and not with another digit."""
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={KEY}/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders=host;x-amz-date, Signature={signature}"
    )
    signed = parse(method, b"/", query, [*VANILLA, (b"Authorization", authorization.encode())])
    now = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
    verify(signed, SECRET, b"", now=now, region=REGION, service="service")
    other = replace(signed, signature=signature[:-1] + ("0" if signature[-1] != "0" else "1"))
    with pytest.raises(WireError):
        verify(other, SECRET, b"", now=now, region=REGION, service="service")


def test_request_of_boto3_is_accepted_and_read() -> None:
    """What boto3 signs, four headers and no payload hash, is accepted, and its claim is what was sent."""
    headers = sign()
    signed = read(headers)
    verify(signed, SECRET, BODY, now=signed.time, region=REGION)
    assert signed.access_key_id == KEY
    assert signed.target == TARGET
    assert signed.signed_headers == ("content-type", "host", "x-amz-date", "x-amz-target")
    assert (signed.region, signed.service, signed.content_sha256) == (REGION, "rekognition", "")


def test_request_of_javascript_is_accepted() -> None:
    """The JavaScript SDK signs more headers and sends the payload's hash."""
    extra = {"X-Amz-Content-SHA256": sha256(BODY).hexdigest(), "X-Amz-User-Agent": "aws-sdk-js/3"}
    headers = sign(extra=extra)
    check(headers)
    assert b"x-amz-user-agent" in value(headers, b"authorization")


NAMES = st.sampled_from(["X-Amz-Meta", "Amz-Sdk-Request", "Zebra", "A-Header"])
VALUES = st.text(st.sampled_from("aB3 \t;:=,/+~-_.%\"'"), max_size=30)
SEGMENTS = st.lists(st.sampled_from(["a", "b~c", "%20x", ".", "..", "", "d-e_f"]), max_size=6)
WORDS = st.text(st.sampled_from("abcXYZ019-_.~"), min_size=1, max_size=5)
QUERIES = st.lists(st.tuples(WORDS, WORDS), max_size=4)


@settings(max_examples=300, deadline=None)
@given(
    body=st.binary(max_size=200),
    secret=st.text(min_size=1, max_size=40).filter(lambda s: s.isprintable()),
    extra=st.dictionaries(NAMES, VALUES, max_size=3),
    segments=SEGMENTS,
    query=QUERIES,
)
def test_agrees_with_botocore(
    body: bytes,
    secret: str,
    extra: dict[str, str],
    segments: list[str],
    query: list[tuple[str, str]],
) -> None:
    """Whatever botocore signs verifies, and no longer once the body, the path or the secret is another."""
    path = "/" + "/".join(segments)
    raw_query = "&".join(f"{n}={v}" for n, v in query)
    url = f"http://127.0.0.1:8420{path}" + (f"?{raw_query}" if raw_query else "")
    headers = sign(body, secret=secret, extra=extra, url=url)
    signed = read(headers, path.encode(), raw_query.encode())
    verify(signed, secret, body, now=signed.time, region=REGION)
    elsewhere = read(headers, path.encode() + b"/elsewhere", raw_query.encode())
    for claim, key, payload in ((signed, secret, body + b" "), (signed, secret + "x", body), (elsewhere, secret, body)):
        with pytest.raises(WireError, match="does not match"):
            verify(claim, key, payload, now=signed.time, region=REGION)


def test_repeated_header_is_joined_with_commas() -> None:
    """A signed header that comes twice is signed as its trimmed values, joined by a comma."""
    headers = sign(extra={"X-Amz-Meta": "one,two words"})
    check([*change(headers, b"x-amz-meta", b" one "), (b"x-amz-meta", b"two   words ")])


@pytest.mark.parametrize(
    ("name", "new"),
    [
        (b"x-amz-target", b"RekognitionService.DeleteCollection"),
        (b"host", b"elsewhere:8420"),
        (b"content-type", b"text/plain"),
    ],
)
def test_changed_signed_header_is_refused(name: bytes, new: bytes) -> None:
    """A flipped target or another host breaks the signature."""
    error = refusal(change(sign(), name, new))
    assert error.name == "InvalidSignatureException"
    assert error.message.startswith("The request signature we calculated does not match the signature")


def test_second_target_is_refused() -> None:
    """A target added behind the signed one breaks the signature too."""
    error = refusal([*sign(), (b"x-amz-target", b"RekognitionService.DeleteCollection")])
    assert error.name == "InvalidSignatureException"


def test_tampered_body_is_refused() -> None:
    """Another body has another hash."""
    assert refusal(sign(), BODY + b" ").name == "InvalidSignatureException"


def test_wrong_secret_is_refused() -> None:
    """Another secret makes another signature."""
    error = refusal(sign(), secret="not it")
    assert (error.name, error.status) == ("InvalidSignatureException", 400)


@pytest.mark.parametrize(
    ("region", "service", "message"),
    [
        ("eu-west-1", "rekognition", "Credential should be scoped to a valid region, not 'eu-west-1'."),
        (REGION, "s3", "Credential should be scoped to correct service: 'rekognition'."),
    ],
)
def test_other_scope_is_refused(region: str, service: str, message: str) -> None:
    """A signature for another region or service is not for here, however right it is."""
    error = refusal(sign(region=region, service=service))
    assert (error.name, error.message) == ("InvalidSignatureException", message)


def test_scope_of_another_day_or_terminator_is_refused() -> None:
    """The scope's date must be the request's, and its end the fixed word."""
    signed = read(sign())
    for other, words in (
        (replace(signed, scope_date="20010101"), "Date in Credential scope does not match"),
        (replace(signed, terminator="aws5_request"), "valid terminator: 'aws4_request'"),
    ):
        with pytest.raises(WireError, match=words):
            verify(other, SECRET, BODY, now=signed.time, region=REGION)


@pytest.mark.parametrize("late", [-300.0, 0.0, 300.0])
def test_clock_within_five_minutes_is_accepted(late: float) -> None:
    """Clocks may differ by up to 300 seconds, both ways."""
    check(sign(), late=late)


@pytest.mark.parametrize(("late", "words"), [(301.0, "Signature expired: "), (-301.0, "Signature not yet current: ")])
def test_skewed_clock_is_refused(late: float, words: str) -> None:
    """A signature older or younger than five minutes is refused with both times told."""
    error = refusal(sign(), late=late)
    assert error.name == "InvalidSignatureException"
    assert error.message.startswith(words)
    assert error.message.endswith("5 min.)")


def test_claim_is_checked_without_secret_and_body() -> None:
    """Time and scope are judged by the head alone, so that nobody's body has to be read for that."""
    signed = read(sign())
    check_claim(signed, now=signed.time, region=REGION)
    for other, late, words in (
        (signed, 301, "Signature expired"),
        (signed, -301, "not yet current"),
        (replace(signed, region="eu-west-1"), 0, "valid region"),
        (replace(signed, service="s3"), 0, "correct service"),
    ):
        with pytest.raises(WireError, match=words):
            check_claim(other, now=signed.time + timedelta(seconds=late), region=REGION)


def test_no_secret_stays_in_memory() -> None:
    """What is kept for the next request is derived from the secret and doesn't hold it; a changed secret is seen."""
    check(sign())
    kept = sigv4._signing_keys._kept
    assert KEY in kept
    assert SECRET not in repr(kept)
    refusal(sign(), secret="another")
    check(sign())
    forget(KEY)
    assert KEY not in kept


@pytest.mark.parametrize("claimed", ["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "0" * 64])
def test_payload_hash_of_the_client_is_not_believed(claimed: str) -> None:
    """A request that signs no payload, or another one, is refused though its signature is consistent."""
    error = refusal(sign(extra={"X-Amz-Content-SHA256": claimed}))
    assert error.name == "InvalidSignatureException"


def test_session_token_is_refused() -> None:
    """Temporary credentials were issued by somebody else."""
    error = refusal(sign(token="session"))
    assert (error.name, error.message) == (unrecognized_client().name, unrecognized_client().message)
    assert error.name == "UnrecognizedClientException"


@pytest.mark.parametrize("authorization", [None, b"", b"Bearer abc", b"Basic YTpi"])
def test_request_without_signature_is_refused(authorization: bytes | None) -> None:
    """No AWS Authorization header, no caller."""
    assert refusal(change(sign(), b"authorization", authorization)).name == "MissingAuthenticationTokenException"


def test_presigned_request_is_refused_clearly() -> None:
    """Signatures in the query are not supported, and the refusal says what is."""
    with pytest.raises(WireError, match="Presigned requests are not supported") as caught:
        read([(b"host", b"h")], query=b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00")
    assert caught.value.name == "IncompleteSignatureException"


def test_unsigned_host_or_target_is_refused() -> None:
    """What decides about the request must be signed, even where AWS would not insist."""
    for name in (b"host", b"x-amz-target"):
        authorization = value(sign(), b"authorization")
        fewer = authorization.replace(b"host;", b"") if name == b"host" else authorization.replace(b";" + name, b"")
        error = refusal(change(sign(), b"authorization", fewer))
        assert error.name == "InvalidSignatureException"
        assert "must be a 'SignedHeader'" in error.message


def test_signed_header_that_is_absent_is_named() -> None:
    """A header that a proxy dropped is named in the refusal."""
    error = refusal(change(sign(), b"content-type", None))
    assert error.name == "InvalidSignatureException"
    assert "content-type" in error.message


SIGNATURE = b"Signature=" + b"0" * 64
CREDENTIAL = b"Credential=AKID/20150830/us-east-1/rekognition/aws4_request"


@pytest.mark.parametrize(
    ("authorization", "words"),
    [
        (b"AWS4-HMAC-SHA256", "not a valid key=value pair"),
        (b"AWS4-HMAC-SHA256 Credential", "not a valid key=value pair"),
        (b"AWS4-HMAC-SHA256 " + CREDENTIAL + b", SignedHeaders=host", "requires 'Signature' parameter"),
        (b"AWS4-HMAC-SHA256 SignedHeaders=host," + SIGNATURE, "requires 'Credential' parameter"),
        (b"AWS4-HMAC-SHA256 " + CREDENTIAL + b"," + SIGNATURE, "requires 'SignedHeaders' parameter"),
        (b"AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host;x-amz-target," + SIGNATURE, "exactly 5"),
        (b"AWS4-HMAC-SHA1 " + CREDENTIAL, "Unsupported AWS 'algorithm'"),
        (b"AWS4-HMAC-SHA256 Signature=1, Signature=2", "repeated"),
    ],
)
def test_malformed_authorization_is_refused(authorization: bytes, words: str) -> None:
    """A broken Authorization header is IncompleteSignatureException, and the message says what lacks."""
    error = refusal(change(sign(), b"authorization", authorization))
    assert error.name == "IncompleteSignatureException"
    assert words in error.message


@pytest.mark.parametrize("date", [None, b"", b"2015-08-30", b"20151330T123600Z", b"20150830T123600"])
def test_malformed_date_is_refused(date: bytes | None) -> None:
    """A date that is absent or no date is IncompleteSignatureException."""
    assert refusal(change(sign(), b"x-amz-date", date)).name == "IncompleteSignatureException"


@settings(max_examples=300, deadline=None)
@given(
    authorization=st.one_of(
        st.binary(max_size=80),
        st.lists(st.sampled_from([CREDENTIAL, SIGNATURE, b"SignedHeaders=host", b",", b"=", b" ", b"\xff"])).map(
            lambda parts: b"AWS4-HMAC-SHA256 " + b",".join(parts)
        ),
    ),
    date=st.one_of(st.binary(max_size=20), st.just(b"20150830T123600Z")),
    path=st.binary(max_size=20),
    query=st.binary(max_size=20),
)
def test_any_bytes_get_a_wire_error(authorization: bytes, date: bytes, path: bytes, query: bytes) -> None:
    """Garbage is refused with a typed error and nothing else happens."""
    headers = [(b"host", b"h"), (b"authorization", authorization), (b"x-amz-date", date)]
    with pytest.raises(WireError):
        verify(parse("POST", path, query, headers), SECRET, b"", now=datetime.now(UTC), region=REGION)
