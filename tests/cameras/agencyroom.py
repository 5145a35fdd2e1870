# SPDX-License-Identifier: Apache-2.0
"""An agency with officers, and requests of theirs that hold, for tests to spoil."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from custodes.cameras.model import Span
from custodes.cameras.moments import to_ms
from custodes.cameras.sharing import (
    Agency,
    AgencyKey,
    Area,
    Offence,
    OfficerCertificate,
    OfficerKey,
    RequestPurpose,
    Wanted,
    agency_certificate,
    approve,
    certify,
    draft,
    read_agency,
    read_officer,
)

__all__ = ["NOW", "PIKE_PLACE", "Department", "Officer", "wanted"]

NOW = datetime(2027, 1, 15, 8, tzinfo=UTC)
PIKE_PLACE = (47.609_722, -122.342_5)


def wanted(now: datetime = NOW, **other: Any) -> Wanted:
    """Return what is asked for: two hours of the evening before, around Pike Place; ``other`` replaces parts."""
    begins = now - timedelta(hours=12)
    whole = Wanted(
        incident="2027-000123",
        purpose=RequestPurpose.CRIMINAL_INVESTIGATION,
        offence=Offence.BURGLARY,
        text="A burglary at a shop.\nWe look for a white van.",
        contact="+1 206 555 0100",
        area=Area(*PIKE_PLACE, 300),
        span=Span(to_ms(begins), to_ms(begins + timedelta(hours=2))),
        expires_at=now + timedelta(days=7),
    )
    return replace(whole, **other)


@dataclass
class Officer:
    """An officer with a key and a certificate."""

    key: OfficerKey
    certificate: OfficerCertificate


@dataclass
class Department:
    """An agency with its key."""

    name: str = "Seattle Police Department"
    now: datetime = NOW
    key: AgencyKey = field(default_factory=AgencyKey.generate)

    @property
    def document(self) -> bytes:
        """Its certificate."""
        return agency_certificate(self.key, name=self.name, contact="records@example.org", jurisdiction="US-WA")

    @property
    def agency(self) -> Agency:
        """It, as its certificate has it."""
        return read_agency(self.document)

    def officer(self, name: str, badge: str = "", key: OfficerKey | None = None, **when: datetime) -> Officer:
        """Certify an officer; the badge is made of the name."""
        mine = key or OfficerKey.generate()
        begins = when.get("not_before", self.now - timedelta(days=30))
        ends = when.get("not_after", self.now + timedelta(days=300))
        made = certify(
            self.key, mine.public_document(), name=name, badge=badge or name, not_before=begins, not_after=ends
        )
        return Officer(mine, read_officer(made, self.agency, begins))

    def draft(self, officer: Officer, what: Wanted | None = None, now: datetime | None = None) -> bytes:
        """Make a request of an officer's."""
        at = now or self.now
        return draft(officer.key, officer.certificate, self.agency, what or wanted(at), at)

    def approve(self, document: bytes, *officers: Officer, now: datetime | None = None) -> bytes:
        """Let officers approve it."""
        for one in officers:
            document = approve(document, one.key, one.certificate, self.agency, now or self.now)
        return document

    def request(self, what: Wanted | None = None, now: datetime | None = None) -> bytes:
        """Make a request of new officers that two others have approved."""
        ann, bob, cat = (self.officer(n) for n in ("ann", "bob", "cat"))
        return self.approve(self.draft(ann, what, now), bob, cat, now=now)

    def forged(self, officer: Officer, change: Callable[[dict[str, Any]], object], *approvers: Officer) -> bytes:
        """Make a request whose body is changed before the officer signs it and others approve it, unchecked."""
        from custodes.cameras import sharing

        body = orjson.loads(self.draft(self.officer("whoever")))["body"]
        body["officer"] = orjson.loads(officer.certificate.document)
        change(body)
        digest = sharing.hashlib.sha256(sharing.canonical(body)).hexdigest()
        approvals = []
        for one in approvers:
            told = sharing._approval(digest, one.certificate, self.now)
            signature = one.key.sign(sharing._APPROVAL, told)
            certificate = orjson.loads(one.certificate.document)
            approvals.append({"officer": certificate, "at": told["at"], "signature": signature})
        signature = officer.key.sign(sharing._REQUEST, body)
        return sharing.canonical({"approvals": approvals, "body": body, "signature": signature})
