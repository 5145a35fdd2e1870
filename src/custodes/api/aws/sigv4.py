# SPDX-License-Identifier: Apache-2.0
"""AWS Signature Version 4, the server's side: who signed this request, and did they sign all of it?

Three steps, so that the caller can refuse before it reads the body, and look the secret up between them::

    signed = parse(method, path, query, headers)    # what the request claims
    check_claim(signed, now=now, region=region)     # whether it could be true here and now
    verify(signed, secret_of(signed.access_key_id), body, now=now, region=region)

The algorithm is that of "Create a signed AWS API request" in the IAM User Guide; "step" in comments refers to it.
Stricter than AWS where being strict costs no client anything: ``host`` and ``x-amz-target`` must be signed, and
the payload's hash is always computed from the body. A client's ``x-amz-content-sha256`` is compared and never
believed, so ``UNSIGNED-PAYLOAD`` and ``STREAMING-*`` are refused; boto3 and the AWS CLI don't send that header.
Session tokens and presigned URLs are not supported.

A signature covers a second, not a request: within the allowed skew the same bytes pass again. Who minds keeps
the signatures that were seen (``SignedRequest.signature``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from hmac import digest as hmac_digest
from urllib.parse import quote_from_bytes, unquote_to_bytes

from custodes.api.aws.errors import Frame, WireError

__all__ = ["SERVICE", "SignedRequest", "check_claim", "forget", "parse", "unrecognized_client", "verify"]

SERVICE = "rekognition"
_ALGORITHM = "AWS4-HMAC-SHA256"
_TERMINATOR = "aws4_request"
_MAX_SKEW = timedelta(seconds=300)
_TIMESTAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_HEX_SHA256 = re.compile(r"[0-9a-f]{64}")
_PRESIGNED = re.compile(rb"(?:^|&)X-Amz-(?:Signature|Algorithm|Credential)=", re.IGNORECASE)
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access "
    "Key and signing method. Consult the service documentation for details."
)

Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What a request claims about itself; nothing of it is true before :func:`verify` has returned.

    Attributes:
        access_key_id: whose secret to look up.
        scope_date: the credential scope's day, ``YYYYMMDD``.
        region: the credential scope's region.
        service: the credential scope's service.
        terminator: the credential scope's last word.
        timestamp: ``X-Amz-Date`` as sent, ``YYYYMMDDTHHMMSSZ``.
        time: the same as a time in UTC.
        signed_headers: lower-case names, in the order of the canonical request.
        signature: 64 hexadecimal digits.
        target: ``X-Amz-Target``, empty when there is none; signed when it is there.
        canonical_head: the canonical request (step 1) up to and without the payload's hash.
        content_sha256: ``x-amz-content-sha256`` as sent, empty when there is none.
    """

    access_key_id: str
    scope_date: str
    region: str
    service: str
    terminator: str
    timestamp: str
    time: datetime
    signed_headers: tuple[str, ...]
    signature: str
    target: str
    canonical_head: bytes
    content_sha256: str


def _incomplete(message: str) -> WireError:
    return WireError(Frame.INCOMPLETE_SIGNATURE, message)


def _invalid(message: str) -> WireError:
    return WireError(Frame.INVALID_SIGNATURE, message)


def unrecognized_client() -> WireError:
    """Return the refusal of an access key that is unknown or revoked, or of a session token."""
    return WireError(Frame.UNRECOGNIZED_CLIENT, "The security token included in the request is invalid.")


# --- Step 1: the canonical request ----------------------------------------------------------------------------


def _canonical_path(path: bytes) -> bytes:
    """Normalise as RFC 3986 section 5.2.4 says, drop empty segments, and encode the encoded path once more."""
    if path in (b"/", b""):
        return b"/"
    kept: list[bytes] = []
    segments = path.split(b"/")
    for segment in segments:
        if segment == b"..":
            del kept[-1:]
        elif segment not in (b"", b"."):
            kept.append(segment)
    trailing = b"/" if kept and not segments[-1] else b""
    return quote_from_bytes(b"/" + b"/".join(kept) + trailing, safe="/~").encode()


def _canonical_query(query: bytes) -> bytes:
    """Encode names and values anew and sort by name, then by value."""
    if not query:
        return b""
    pairs = (piece.partition(b"=") for piece in query.split(b"&") if piece)
    encoded = sorted(
        (quote_from_bytes(unquote_to_bytes(name), safe="~"), quote_from_bytes(unquote_to_bytes(value), safe="~"))
        for name, _, value in pairs
    )
    return "&".join(f"{name}={value}" for name, value in encoded).encode()


def _canonical_headers(headers: dict[bytes, bytes], names: list[bytes]) -> bytes:
    lines = []
    for name in names:
        if name not in headers:
            raise _invalid(f"The request has no header '{name.decode('latin-1')}', which its 'SignedHeaders' name.")
        lines.append(name + b":" + b" ".join(headers[name].split()) + b"\n")
    return b"".join(lines)


# --- The claim ------------------------------------------------------------------------------------------------


def _gather(headers: Headers) -> dict[bytes, bytes]:
    """Return headers by lower-case name; values of a repeated one are joined by commas, as they are signed."""
    gathered: dict[bytes, bytes] = {}
    for raw, value in headers:
        name = raw.lower()
        gathered[name] = gathered[name].strip() + b"," + value.strip() if name in gathered else value
    return gathered


def _authorization(value: str, has_date: bool) -> dict[str, str]:
    """Split the Authorization header into its three parameters."""
    algorithm, _, rest = value.partition(" ")
    if not algorithm.startswith("AWS4-"):
        raise WireError(Frame.MISSING_TOKEN, "Request is missing Authentication Token")
    if algorithm != _ALGORITHM:
        raise _incomplete(f"Unsupported AWS 'algorithm': '{algorithm[:64]}' (only {_ALGORITHM} for now).")
    found: dict[str, str] = {}
    for piece in rest.split(","):
        name, equals, content = piece.strip().partition("=")
        if not equals or name in found:
            raise _incomplete(
                f"'{name[:64]}' not a valid key=value pair (missing equal-sign or repeated) in Authorization header."
            )
        found[name] = content
    missing = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if not found.get(name)
    ]
    if not has_date:
        missing.append("Authorization header requires existence of a 'X-Amz-Date' header.")
    if missing:
        raise _incomplete(" ".join(missing))
    return found


def _time(timestamp: str) -> datetime:
    try:
        if _TIMESTAMP.fullmatch(timestamp):
            return datetime.fromisoformat(timestamp)
    except ValueError:  # the thirteenth month
        pass
    raise _incomplete(
        f"Date must be in ISO-8601 'basic format'. Got '{timestamp[:32]}'. See http://en.wikipedia.org/wiki/ISO_8601"
    )


def parse(method: str, path: bytes, query: bytes, headers: Headers) -> SignedRequest:
    """Read what a request claims about who signed it, and check that it signs what matters.

    Args:
        method: HTTP method, upper case.
        path: raw path, percent-encoded as sent (ASGI's ``raw_path``).
        query: raw query without the question mark (ASGI's ``query_string``).
        headers: names and values as received, repeated ones repeated.

    Raises:
        WireError: MissingAuthenticationTokenException without an AWS Authorization header,
            IncompleteSignatureException when it is malformed or the request is presigned,
            InvalidSignatureException when ``host`` or ``x-amz-target`` isn't signed, UnrecognizedClientException
            when there is a session token.
    """
    given = _gather(headers)
    authorization = given.get(b"authorization", b"").decode("latin-1").strip()
    if not authorization:
        if _PRESIGNED.search(query):
            raise _incomplete("Presigned requests are not supported: sign with the Authorization header.")
        raise WireError(Frame.MISSING_TOKEN, "Request is missing Authentication Token")
    timestamp = given.get(b"x-amz-date", b"").decode("latin-1").strip()
    parameters = _authorization(authorization, bool(timestamp))
    time = _time(timestamp)
    names = sorted(parameters["SignedHeaders"].lower().encode("latin-1").split(b";"))
    if b"host" not in names:
        raise _invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    if b"x-amz-target" in given and b"x-amz-target" not in names:
        raise _invalid("'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.")
    scope = parameters["Credential"].rstrip("/").split("/")
    if len(scope) != 5:
        raise _incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got '{parameters['Credential'][:128]}'"
        )
    if b"x-amz-security-token" in given:
        raise unrecognized_client()
    head = (
        method.encode("latin-1", "replace"),
        _canonical_path(path),
        _canonical_query(query),
        _canonical_headers(given, names),
        b";".join(names),
        b"",
    )
    access_key_id, scope_date, region, service, terminator = scope
    return SignedRequest(
        access_key_id=access_key_id,
        scope_date=scope_date,
        region=region,
        service=service,
        terminator=terminator,
        timestamp=timestamp,
        time=time,
        signed_headers=tuple(name.decode("latin-1") for name in names),
        signature=parameters["Signature"],
        target=given.get(b"x-amz-target", b"").decode("latin-1").strip(),
        canonical_head=b"\n".join(head),
        content_sha256=given.get(b"x-amz-content-sha256", b"").decode("latin-1").strip(),
    )


# --- The check ------------------------------------------------------------------------------------------------


_MAX_KEYS = 256


class _SigningKeys:
    """Derived signing keys by access key id, the latest of each.

    A derived key is good for one day, region and service. The secret itself is not kept, but its hash, by which a
    changed one is seen: secrets are random, so their hashes tell nothing.
    """

    def __init__(self) -> None:
        self._kept: dict[str, tuple[bytes, str, str, str, bytes]] = {}

    def derive(self, access_key_id: str, secret: str, date: str, region: str, service: str) -> bytes:
        """Derive the signing key (step 3): four HMACs, the same all day long."""
        fingerprint = sha256(secret.encode()).digest()
        kept = self._kept.get(access_key_id)
        if kept is not None and kept[:4] == (fingerprint, date, region, service):
            return kept[4]
        key = b"AWS4" + secret.encode()
        for part in (date, region, service, _TERMINATOR):
            key = hmac_digest(key, part.encode(), "sha256")
        if len(self._kept) >= _MAX_KEYS:
            self._kept.clear()
        self._kept[access_key_id] = (fingerprint, date, region, service, key)
        return key

    def forget(self, access_key_id: str) -> None:
        """Forget what was derived for an access key."""
        self._kept.pop(access_key_id, None)


_signing_keys = _SigningKeys()


def forget(access_key_id: str) -> None:
    """Forget what was derived from the secret of an access key that is revoked."""
    _signing_keys.forget(access_key_id)


def _check_time(signed: SignedRequest, now: datetime, skew: timedelta) -> None:
    def text(moment: datetime) -> str:
        return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")

    minutes = f"{skew.total_seconds() / 60:g} min."
    if signed.time < now - skew:
        raise _invalid(
            f"Signature expired: {signed.timestamp} is now earlier than {text(now - skew)} ({text(now)} - {minutes})"
        )
    if signed.time > now + skew:
        raise _invalid(
            f"Signature not yet current: {signed.timestamp} is still later than {text(now + skew)} "
            f"({text(now)} + {minutes})"
        )


def _check_scope(signed: SignedRequest, region: str, service: str) -> None:
    complaints = []
    if signed.region != region:
        complaints.append(f"Credential should be scoped to a valid region, not '{signed.region[:64]}'.")
    if signed.service != service:
        complaints.append(f"Credential should be scoped to correct service: '{service}'.")
    if signed.terminator != _TERMINATOR:
        complaints.append(
            f"Credential should be scoped with a valid terminator: '{_TERMINATOR}', not '{signed.terminator[:64]}'."
        )
    if signed.scope_date != signed.timestamp[:8]:
        complaints.append(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{signed.scope_date[:64]}' != '{signed.timestamp[:8]}', from '{signed.timestamp}'."
        )
    if complaints:
        raise _invalid(" ".join(complaints))


def check_claim(
    signed: SignedRequest, *, now: datetime, region: str, service: str = SERVICE, skew: timedelta = _MAX_SKEW
) -> None:
    """Check what can be checked without the secret and the body: that the request is meant for here and now.

    Args:
        signed: what :func:`parse` returned.
        now, region, service, skew: as for :func:`verify`.

    Raises:
        WireError: InvalidSignatureException for another time or scope.
    """
    _check_time(signed, now, skew)
    _check_scope(signed, region, service)


def verify(
    signed: SignedRequest,
    secret: str,
    body: bytes | bytearray | memoryview,
    *,
    now: datetime,
    region: str,
    service: str = SERVICE,
    skew: timedelta = _MAX_SKEW,
) -> None:
    """Check that the holder of ``secret`` signed this request, body included, for here and now.

    Args:
        signed: what :func:`parse` returned.
        secret: the secret access key of ``signed.access_key_id``.
        body: the whole body as received.
        now: the present, with a time zone.
        region: the only region that is served.
        service: the only service that is served.
        skew: how far the request's clock may be off, both ways.

    Raises:
        WireError: InvalidSignatureException for another time, scope, secret, body or header.
    """
    check_claim(signed, now=now, region=region, service=service, skew=skew)
    payload_hash = sha256(body).hexdigest()
    if signed.content_sha256 and signed.content_sha256 != payload_hash:
        raise _invalid("The value of 'x-amz-content-sha256' is not the SHA-256 of the request's body.")
    request_hash = sha256(signed.canonical_head + payload_hash.encode()).hexdigest()
    scope = f"{signed.scope_date}/{region}/{service}/{_TERMINATOR}"
    string_to_sign = f"{_ALGORITHM}\n{signed.timestamp}\n{scope}\n{request_hash}"  # step 2
    key = _signing_keys.derive(signed.access_key_id, secret, signed.scope_date, region, service)
    expected = hmac_digest(key, string_to_sign.encode(), "sha256").hex()
    if not _HEX_SHA256.fullmatch(signed.signature) or not compare_digest(expected, signed.signature):
        raise _invalid(_MISMATCH)
