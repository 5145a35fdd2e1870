# SPDX-License-Identifier: Apache-2.0
"""Requests for footage: what police may ask the public for, who must stand for it, and who is asked.

A request is a signed document, public, the same for everyone. An officer makes it, whom an enrolled agency certifies;
two others of that agency approve it. It is about one small place, a few hours that are over, for one of three purposes,
and it expires. Whoever has a camera checks all of that alone, and compares place and time with their own at home:
nobody learns whether it concerned them. There is no answer "no", and so none that could be kept: doing nothing is
declining.

Everything here is pure. What else sharing needs is offered here too: agencies, officers, and files sealed for one.
"""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from custodes.cameras.board import MOST_BOARD, Board, make_board, read_board
from custodes.cameras.documents import Fields, canonical, is_signed, parse
from custodes.cameras.model import Span
from custodes.cameras.moments import to_ms
from custodes.cameras.officerkeys import (
    SIGNATURE,
    AgencyKey,
    OfficerKey,
    OfficerPublic,
    check_officer_signature,
    officer_signature,
    read_public,
)
from custodes.cameras.officers import (
    Agency,
    OfficerCertificate,
    agency_certificate,
    certify,
    find_agency,
    officer_among,
    officer_of,
    read_agency,
    read_officer,
)
from custodes.cameras.sealedfiles import open_sealed, open_stream, seal_for, seal_stream
from custodes.cameras.wanted import Area, Offence, RequestPurpose, Wanted, distance, mixed_word, refused_word
from custodes.errors import Denied, Invalid

__all__ = [
    "APPROVALS",
    "MOST_BOARD",
    "Agency",
    "AgencyKey",
    "Approval",
    "Area",
    "Board",
    "FootageRequest",
    "Offence",
    "OfficerCertificate",
    "OfficerKey",
    "OfficerPublic",
    "RequestPurpose",
    "Wanted",
    "agency_certificate",
    "approve",
    "certify",
    "check_draft",
    "check_officer_signature",
    "check_request",
    "distance",
    "draft",
    "joined",
    "make_board",
    "matches",
    "officer_among",
    "officer_signature",
    "open_sealed",
    "open_stream",
    "read_agency",
    "read_board",
    "read_officer",
    "read_public",
    "read_request",
    "refused_word",
    "seal_for",
    "seal_stream",
]

APPROVALS = 2
"""So many others approve a request before it is public."""

_REQUEST = "custodes-footage-request-1"
_APPROVAL = "custodes-footage-approval-1"

_MOST_APPROVALS = 8
_MOST_WINDOW = timedelta(hours=12)
_MOST_AGE = timedelta(days=30)
_MOST_OPEN = timedelta(days=14)
_CLOCKS = timedelta(minutes=5)  # by which two clocks may differ
_TEXT = 1_000
_CONTACT = 200
_INCIDENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ./#_-]{2,63}")
_MICRO = 1_000_000

Kind = TypeVar("Kind", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Approval:
    """Another officer who stands for a request."""

    officer: OfficerCertificate
    at: datetime


@dataclass(frozen=True, slots=True)
class FootageRequest:
    """A request that holds: all of it was checked.

    Attributes:
        code: by which people speak of it (``FR-7K2M-9QXT-AB3C``): made of what it says, so that no other can have it.
        digest: SHA-256 of what it says, in hexadecimal; approvals are of that.
        agency: that vouches for the officer.
        officer: who asks; packages are sealed for the key of this certificate.
        incident, purpose, offence, text, contact, area, span, expires_at: see :class:`Wanted`.
        made_at: when it was signed.
        approvals: who stands for it, in the order in which they did.
        document: the whole, as it is public.
    """

    code: str
    digest: str
    agency: Agency
    officer: OfficerCertificate
    incident: str
    offence: Offence
    purpose: RequestPurpose
    text: str
    contact: str
    area: Area
    span: Span
    made_at: datetime
    expires_at: datetime
    approvals: tuple[Approval, ...]
    document: bytes


# --- making -----------------------------------------------------------------------------------------------------------


def draft(key: OfficerKey, certificate: OfficerCertificate, agency: Agency, wanted: Wanted, now: datetime) -> bytes:
    """Make a request, which nobody has approved yet.

    Args:
        key: of the officer who asks.
        certificate: the officer's.
        agency: the officer's.
        wanted: what is asked for.
        now: the time.

    Raises:
        Invalid: if it can't be asked for.
        Denied: if the key isn't the certificate's, or that isn't valid.
    """
    _check_own(key, certificate)
    body = {
        "form": _REQUEST,
        "agency": agency.id,
        "officer": parse(certificate.document, "An officer's certificate"),
        "incident": wanted.incident,
        "purpose": str(wanted.purpose),
        "offence": str(wanted.offence),
        "text": unicodedata.normalize("NFC", wanted.text.strip()),
        "contact": unicodedata.normalize("NFC", wanted.contact.strip()),
        "area": {
            "latitude": round(wanted.area.latitude * _MICRO),
            "longitude": round(wanted.area.longitude * _MICRO),
            "radius_m": wanted.area.radius_m,
        },
        "window": {"start": wanted.span.start, "end": wanted.span.end},
        "made_at": to_ms(now),
        "expires_at": to_ms(wanted.expires_at),
    }
    made = canonical({"approvals": [], "body": body, "signature": key.sign(_REQUEST, body)})
    check_draft(made, (agency,), now)
    return made


def approve(document: bytes, key: OfficerKey, certificate: OfficerCertificate, agency: Agency, now: datetime) -> bytes:
    """Stand for a request of another officer's, and return it with that.

    Args:
        document: the request, with the approvals that it has; hostile.
        key: of the officer who approves.
        certificate: the approving officer's.
        agency: theirs, and the request's.
        now: the time.

    Raises:
        Invalid: if the request can't be meant.
        Denied: if something in it doesn't hold, the officer has made or approved it, or the key isn't theirs.
    """
    _check_own(key, certificate)
    found = check_draft(document, (agency,), now)
    whole = Fields(parse(document, "A request"), "A request", "approvals", "body", "signature")
    body = _approval(found.digest, certificate, now)
    added = {
        "officer": parse(certificate.document, "An officer's certificate"),
        "at": to_ms(now),
        "signature": key.sign(_APPROVAL, body),
    }
    made = canonical(
        {
            "approvals": [*whole.list("approvals", _MOST_APPROVALS), added],
            "body": whole.any("body"),
            "signature": whole.any("signature"),
        }
    )
    check_draft(made, (agency,), now)
    return made


def joined(document: bytes, other: bytes) -> bytes:
    """Return a request with the approvals of both of its copies, those of the first one first; unchecked.

    Args:
        document, other: of one request; hostile, but for their signatures.

    Raises:
        Invalid: if one can't be meant, or they are two requests.
    """
    names = ("approvals", "body", "signature")
    mine, theirs = (Fields(parse(d, "A request"), "A request", *names) for d in (document, other))
    if any(mine.any(n) != theirs.any(n) for n in ("body", "signature")):
        raise Invalid("This is another request.", remedy="Approve it as it is on file: custodes footage show.")
    known = mine.list("approvals", _MOST_APPROVALS)
    added = [a for a in theirs.list("approvals", _MOST_APPROVALS) if a not in known]
    return canonical({"approvals": [*known, *added], "body": mine.any("body"), "signature": mine.any("signature")})


def _approval(digest: str, certificate: OfficerCertificate, at: datetime) -> dict[str, object]:
    return {"form": _APPROVAL, "request": digest, "officer": certificate.id, "at": to_ms(at)}


def _check_own(key: OfficerKey, certificate: OfficerCertificate) -> None:
    if key.public != OfficerPublic(certificate.signing_key, certificate.encryption_key):
        raise Denied("The certificate is another key's.", remedy="Name the certificate that was made for this key.")


# --- checking ---------------------------------------------------------------------------------------------------------


def check_request(document: bytes, agencies: Sequence[Agency], now: datetime) -> FootageRequest:
    """Check a request that is said to be public.

    Args:
        document: hostile.
        agencies: those that are trusted here.
        now: the time.

    Raises:
        Invalid: if it can't be meant, or asks for more than may be asked for.
        Denied: if its agency isn't trusted, something isn't signed or valid, it is over, or two haven't approved it.
    """
    found = check_draft(document, agencies, now)
    if len(found.approvals) < APPROVALS:
        raise Denied(
            f"A request is approved by {APPROVALS} officers beside the one who asks, this by {len(found.approvals)}.",
            remedy="Let another officer approve it.",
        )
    return found


def check_draft(document: bytes, agencies: Sequence[Agency], now: datetime) -> FootageRequest:
    """Check a request as :func:`check_request` does, however many have approved it.

    Raises:
        Invalid: as there.
        Denied: as there, but for the number of approvals.
    """
    found = read_request(document, agencies)
    _check_times(found, now)
    _check_people(found, now)
    return found


def read_request(document: bytes, agencies: Sequence[Agency]) -> FootageRequest:
    """Read a request as it was made, whether or not it is open, and its people stand for it, now: for what is on file.

    Args:
        document: hostile.
        agencies: those by one of which its officers are to be certified.

    Raises:
        Invalid: if it can't be meant, or asks for more than may be asked for.
        Denied: if its agency is none of these, or something isn't signed.
    """
    what = "A request"
    whole = Fields(parse(document, what), what, "approvals", "body", "signature")
    names = ("form", "agency", "officer", "incident", "purpose", "offence", "text", "contact", "area", "window")
    fields = Fields(whole.any("body"), what, *names, "made_at", "expires_at")
    fields.form(_REQUEST)
    agency = find_agency(agencies, fields.any("agency"))
    officer = officer_of(fields.any("officer"), agency)
    if not is_signed(officer.signing_key, _REQUEST, whole.any("body"), whole.raw("signature", SIGNATURE)):
        raise Denied("The request isn't signed by the officer whom it names.")
    digest = hashlib.sha256(canonical(whole.any("body"))).digest()
    made_at = fields.time("made_at")
    found = FootageRequest(
        code=_code(digest),
        digest=digest.hex(),
        agency=agency,
        officer=officer,
        incident=fields.word("incident", _INCIDENT, "3 to 64 letters, digits, spaces and . / # _ -"),
        offence=_one_of(fields, "offence", Offence),
        purpose=_one_of(fields, "purpose", RequestPurpose),
        text=fields.text("text", _TEXT, lines=True),
        contact=fields.text("contact", _CONTACT),
        area=_area(fields.any("area")),
        span=_window(fields.any("window"), made_at),
        made_at=made_at,
        expires_at=fields.time("expires_at"),
        approvals=_approvals(whole, digest.hex(), agency),
        document=document,
    )
    _check_purpose(found)
    return found


def _code(digest: bytes) -> str:
    """Return twelve letters and digits that can't be mistaken for one another (Crockford's base 32)."""
    standard, crockford = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    text = base64.b32encode(digest[:10]).decode().translate(str.maketrans(standard, crockford))
    return f"FR-{text[:4]}-{text[4:8]}-{text[8:12]}"


def _one_of(fields: Fields, name: str, kind: type[Kind]) -> Kind:
    try:
        return kind(str(fields.any(name)))
    except ValueError as e:
        raise Invalid(f"A request: {name} is one of {', '.join(kind)}.") from e


def _area(value: object) -> Area:
    fields = Fields(value, "A request's area", "latitude", "longitude", "radius_m")
    return Area(
        fields.number("latitude", -90 * _MICRO, 90 * _MICRO) / _MICRO,
        fields.number("longitude", -180 * _MICRO, 180 * _MICRO) / _MICRO,
        fields.number("radius_m", 0, _MICRO),
    )


def _window(value: object, made_at: datetime) -> Span:
    fields = Fields(value, "A request's window", "start", "end")
    start, end = fields.time("start"), fields.time("end")
    if not timedelta() < end - start <= _MOST_WINDOW:
        raise Invalid("A request is about at most 12 hours, which end after they begin.")
    if end > made_at:
        raise Invalid("A request is about what is over when it is made: nobody is asked to watch somebody.")
    if start < made_at - _MOST_AGE:
        raise Invalid(f"A request is about the last {_MOST_AGE.days} days.")
    return Span(to_ms(start), to_ms(end))


def _approvals(whole: Fields, digest: str, agency: Agency) -> tuple[Approval, ...]:
    found = []
    for one in whole.list("approvals", _MOST_APPROVALS):
        fields = Fields(one, "An approval", "officer", "at", "signature")
        officer, at = officer_of(fields.any("officer"), agency), fields.time("at")
        body = _approval(digest, officer, at)
        if not is_signed(officer.signing_key, _APPROVAL, body, fields.raw("signature", SIGNATURE)):
            raise Denied("An approval isn't of this request, or not signed by the officer whom it names.")
        found.append(Approval(officer, at))
    return tuple(found)


def _check_times(found: FootageRequest, now: datetime) -> None:
    if not timedelta() < found.expires_at - found.made_at <= _MOST_OPEN:
        raise Invalid(f"A request is open for at most {_MOST_OPEN.days} days after it is made.")
    if found.made_at > now + _CLOCKS:
        raise Denied("The request was made in the future.", remedy="Set this machine's clock, or wait.")
    if found.expires_at <= now:
        raise Denied("The request is over.", remedy="Let the agency make another, if it needs one.")
    if any(not found.made_at <= a.at <= now + _CLOCKS for a in found.approvals):
        raise Denied("An approval was given before the request was made, or in the future.")


def _check_people(found: FootageRequest, now: datetime) -> None:
    if not (found.officer.is_valid(found.made_at) and found.officer.is_valid(now)):
        raise Denied("The certificate of the officer who asks isn't valid, or wasn't when the request was made.")
    for number, approval in enumerate(found.approvals):
        if not (approval.officer.is_valid(approval.at) and approval.officer.is_valid(now)):
            raise Denied("The certificate of an officer who approves isn't valid, or wasn't when they did.")
        others = [found.officer, *(a.officer for a in found.approvals[:number])]
        if any(approval.officer.is_same_officer(o) for o in others):
            raise Denied("A request is approved by different officers, none of whom has made it.")


def _check_purpose(found: FootageRequest) -> None:
    investigates = found.purpose == RequestPurpose.CRIMINAL_INVESTIGATION
    if investigates == (found.offence == Offence.NONE):
        raise Invalid("An offence is named if a crime is investigated, and otherwise none.")
    for text in (found.text, found.incident, found.contact, found.agency.name):
        word = refused_word(text)
        if word:
            raise Invalid(
                f'Nobody is asked for footage of assembly, strikes or migration, and this says "{word}".',
                remedy="If it is about something else, say it in other words.",
            )
        if mixed_word(text):
            raise Invalid(f"A word mixes alphabets, so that it looks like another: {mixed_word(text)}.")


# --- matching ---------------------------------------------------------------------------------------------------------


def matches(
    request: FootageRequest,
    place: tuple[float, float] | None,
    has_video: Callable[[Span], bool],
    now: datetime,
) -> bool:
    """Tell whether a request is about a camera: where it stands, and when it has recorded. Nothing is kept of it.

    Args:
        request: that was checked.
        place: latitude and longitude of the camera in degrees, or None if its owner hasn't said.
        has_video: tells whether there is any of a time; asked only if the place is right.
        now: the time.
    """
    if place is None or request.expires_at <= now:
        return False
    middle = (request.area.latitude, request.area.longitude)
    return distance(middle, place) <= request.area.radius_m and has_video(request.span)
