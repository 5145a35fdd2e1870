# SPDX-License-Identifier: Apache-2.0
"""Agencies and officers: who vouches for whom.

An agency signs its own certificate; whoever enrols it compares the fingerprint of its key with the agency on another
way. It signs its officers' certificates.

A named limit: certificates can't be called back from those who have them, so they are short. Whoever an agency takes
its trust from is kept from this installation's board at once, and ends for others with the certificate.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from custodes.cameras.documents import Fields, canonical, is_signed, parse
from custodes.cameras.moments import to_ms
from custodes.cameras.officerkeys import KEY, SIGNATURE, AgencyKey, agency_id, officer_id, read_public
from custodes.errors import Denied, Invalid

__all__ = [
    "CERTIFIED_FOR",
    "Agency",
    "OfficerCertificate",
    "agency_certificate",
    "certify",
    "find_agency",
    "officer_among",
    "officer_of",
    "read_agency",
    "read_officer",
]

CERTIFIED_FOR = timedelta(days=366)
"""An officer's certificate is valid for so long at most."""

_AGENCY = "custodes-agency-1"
_OFFICER = "custodes-officer-1"
_JURISDICTION = re.compile(r"[A-Z]{2}(?:-[A-Z0-9]{1,3})?")
_BADGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ./-]{0,31}")
_NAME = 100
_CONTACT = 200


@dataclass(frozen=True, slots=True)
class Agency:
    """An agency, as its own certificate has it.

    Attributes:
        id: ``agency-`` and the beginning of the key's SHA-256.
        name: what it calls itself; whoever enrols it checks that.
        contact: how the public reaches it.
        key: the public key that signs its officers' certificates: Ed25519, 32 bytes.
        jurisdiction: where it is: ISO 3166-2 (US-WA) or a country (US).
        document: the certificate.
    """

    id: str
    name: str
    contact: str
    key: bytes
    jurisdiction: str
    document: bytes

    @property
    def fingerprint(self) -> str:
        """SHA-256 of its key, in groups of four, to be compared on another way: on the telephone, on paper."""
        text = hashlib.sha256(self.key).hexdigest()
        return " ".join(text[i : i + 4] for i in range(0, len(text), 4))


@dataclass(frozen=True, slots=True)
class OfficerCertificate:
    """What an agency says of an officer.

    Attributes:
        id: ``officer-`` and the beginning of the signing key's SHA-256.
        agency: id of the agency that says it.
        name, badge: of the officer; both are public.
        signing_key: Ed25519, 32 bytes.
        encryption_key: X25519, 32 bytes.
        not_before, not_after: valid from the first on and before the second.
        document: the certificate.
    """

    id: str
    agency: str
    name: str
    badge: str
    signing_key: bytes
    encryption_key: bytes
    not_before: datetime
    not_after: datetime
    document: bytes

    def is_valid(self, at: datetime) -> bool:
        """Tell whether it is valid at a time."""
        return self.not_before <= at < self.not_after

    def is_same_officer(self, other: OfficerCertificate) -> bool:
        """Tell whether two certificates may be one officer's: a key, an id or a badge in common."""
        return (
            self.id == other.id
            or self.badge.casefold().replace(" ", "") == other.badge.casefold().replace(" ", "")
            or self.signing_key == other.signing_key
            or self.encryption_key == other.encryption_key
        )


# --- certificates -----------------------------------------------------------------------------------------------------


def agency_certificate(key: AgencyKey, *, name: str, contact: str, jurisdiction: str) -> bytes:
    """Make an agency's certificate, signed by itself.

    Raises:
        Invalid: if a value can't be meant.
    """
    body = {
        "form": _AGENCY,
        "name": name,
        "contact": contact,
        "jurisdiction": jurisdiction,
        "key": key.public.hex(),
    }
    made = canonical({"body": body, "signature": key.sign(_AGENCY, body)})
    read_agency(made)
    return made


def read_agency(document: bytes) -> Agency:
    """Read an agency's certificate; hostile. It proves nothing but that whoever has the key calls itself so.

    Raises:
        Invalid: if it is none.
        Denied: if its signature doesn't hold.
    """
    what = "An agency's certificate"
    whole = Fields(parse(document, what), what, "body", "signature")
    fields = Fields(whole.any("body"), what, "form", "name", "contact", "jurisdiction", "key")
    fields.form(_AGENCY)
    key = fields.raw("key", KEY)
    made = Agency(
        id=agency_id(key),
        name=fields.text("name", _NAME),
        contact=fields.text("contact", _CONTACT),
        key=key,
        jurisdiction=fields.word("jurisdiction", _JURISDICTION, "a code of ISO 3166-2 (US-WA) or of a country (US)"),
        document=document,
    )
    if not is_signed(key, _AGENCY, whole.any("body"), whole.raw("signature", SIGNATURE)):
        raise Denied("The agency's certificate isn't signed by its key.", remedy="Ask the agency for it again.")
    return made


def certify(
    key: AgencyKey, public: bytes, *, name: str, badge: str, not_before: datetime, not_after: datetime
) -> bytes:
    """Make an officer's certificate.

    Args:
        key: the agency's.
        public: what :meth:`OfficerKey.public_document` gave the officer; hostile.
        name, badge: of the officer; both are public.
        not_before, not_after: valid from the first on and before the second.

    Raises:
        Invalid: if a value can't be meant.
        Denied: if the officer's public key isn't signed by itself.
    """
    keys = read_public(public)
    body = {
        "form": _OFFICER,
        "agency": agency_id(key.public),
        "name": name,
        "badge": badge,
        "signing_key": keys.signing_key.hex(),
        "encryption_key": keys.encryption_key.hex(),
        "not_before": to_ms(not_before),
        "not_after": to_ms(not_after),
    }
    whole = {"body": body, "signature": key.sign(_OFFICER, body)}
    _certificate(whole, key.public)
    return canonical(whole)


def _certificate(value: object, agency_key: bytes) -> OfficerCertificate:
    """Read an officer's certificate, whenever it is valid.

    Raises:
        Invalid: if it is none.
        Denied: if the agency hasn't signed it.
    """
    what = "An officer's certificate"
    whole = Fields(value, what, "body", "signature")
    names = ("form", "agency", "name", "badge", "signing_key", "encryption_key", "not_before", "not_after")
    fields = Fields(whole.any("body"), what, *names)
    fields.form(_OFFICER)
    signing_key = fields.raw("signing_key", KEY)
    made = OfficerCertificate(
        id=officer_id(signing_key),
        agency=agency_id(agency_key),
        name=fields.text("name", _NAME),
        badge=fields.word("badge", _BADGE, "1 to 32 letters, digits, spaces, dots, slashes and hyphens"),
        signing_key=signing_key,
        encryption_key=fields.raw("encryption_key", KEY),
        not_before=fields.time("not_before"),
        not_after=fields.time("not_after"),
        document=canonical(value),
    )
    if not timedelta() < made.not_after - made.not_before <= CERTIFIED_FOR:
        raise Invalid(f"An officer's certificate is valid for at most {CERTIFIED_FOR.days} days.")
    if fields.any("agency") != made.agency or not is_signed(
        agency_key, _OFFICER, whole.any("body"), whole.raw("signature", SIGNATURE)
    ):
        raise Denied("The officer's certificate isn't signed by the agency.", remedy="Ask the agency about it.")
    return made


def officer_of(value: object, agency: Agency) -> OfficerCertificate:
    """Read an officer's certificate that is a part of another document, whenever it is valid; hostile.

    Raises:
        Invalid: if it is none.
        Denied: if the agency hasn't signed it.
    """
    return _certificate(value, agency.key)


def officer_among(document: bytes, agencies: Sequence[Agency]) -> OfficerCertificate:
    """Read an officer's certificate of one of some agencies, whenever it is valid; hostile.

    Raises:
        Invalid: if it is none.
        Denied: if none of these agencies has signed it.
    """
    value = parse(document, "An officer's certificate")
    body = value.get("body") if isinstance(value, dict) else None
    return officer_of(value, find_agency(agencies, body.get("agency") if isinstance(body, dict) else None))


def read_officer(document: bytes, agency: Agency, now: datetime) -> OfficerCertificate:
    """Read an officer's certificate; hostile.

    Raises:
        Invalid: if it is none.
        Denied: if the agency hasn't signed it, or it isn't valid now.
    """
    made = officer_of(parse(document, "An officer's certificate"), agency)
    if not made.is_valid(now):
        raise Denied("The officer's certificate isn't valid now.", remedy="Ask the agency for a new one.")
    return made


def find_agency(agencies: Sequence[Agency], agency: object) -> Agency:
    """Return the agency of an id, of those that are trusted.

    Raises:
        Denied: if it is none of them.
    """
    for one in agencies:
        if one.id == agency:
            return one
    raise Denied(
        "The agency isn't enrolled here, or not any more.",
        remedy="The operator enrols it: custodes footage agencies enrol FILE --fingerprint FINGERPRINT",
    )
