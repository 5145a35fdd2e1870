# SPDX-License-Identifier: Apache-2.0
"""The store of agencies that are trusted here, of officers of this installation's agencies, and of their requests.

All of it is public, or will be: signed documents, as they came. Nothing here is about who has cameras. Every method
works in the transaction that it is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from custodes.cameras.officers import Agency, OfficerCertificate, officer_among, read_agency
from custodes.cameras.schema import agencies, footage_requests, officers
from custodes.db.sealing import moment, time_of
from custodes.errors import Conflict, NotFound

__all__ = ["EnrolledAgency", "FiledRequest", "FootageStore", "KnownOfficer", "RequestState"]


class RequestState(StrEnum):
    """Where a request stands; that it is over is told by its own end."""

    WAITING = "waiting"  # for approvals
    PUBLISHED = "published"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class EnrolledAgency:
    """An agency that the operator has enrolled; ``removed_at`` if it isn't trusted any more."""

    agency: Agency
    enrolled_at: datetime
    enrolled_by: str
    removed_at: datetime | None


@dataclass(frozen=True, slots=True)
class KnownOfficer:
    """An officer of this installation, by their certificate, and whose key it is."""

    certificate: OfficerCertificate
    organisation: str
    principal: str
    certified_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class FiledRequest:
    """A request as it is on file.

    Attributes:
        code: its own.
        organisation, principal: who asks.
        state: where it stands.
        document: with the approvals that it has.
        made_at, expires_at: its own.
        published_at: since when it is public, or None.
    """

    code: str
    organisation: str
    principal: str
    state: RequestState
    document: bytes
    made_at: datetime
    expires_at: datetime
    published_at: datetime | None = None


class FootageStore:
    """The store of requests for footage."""

    # --- agencies ---

    def enrol(self, c: sa.Connection, agency: Agency, by: str, now: datetime) -> None:
        """Keep an agency as one that is trusted; one that was removed comes back.

        Raises:
            Conflict: if it is enrolled.
        """
        row = {
            "document": agency.document,
            "enrolled_at": now.timestamp(),
            "enrolled_by": by,
            "removed_at": None,
        }
        known = c.execute(sa.select(agencies.c.removed_at).where(agencies.c.id == agency.id)).one_or_none()
        if known is None:
            c.execute(sa.insert(agencies).values(id=agency.id, **row))
        elif known.removed_at is None:
            raise Conflict("This agency is enrolled already.", remedy="Remove it first, for another certificate of it.")
        else:
            c.execute(sa.update(agencies).where(agencies.c.id == agency.id).values(**row))

    def remove(self, c: sa.Connection, agency: str, now: datetime) -> None:
        """Trust an agency no more.

        Raises:
            NotFound: if no such agency is enrolled.
        """
        enrolled = (agencies.c.id == agency) & agencies.c.removed_at.is_(None)
        if not c.execute(sa.update(agencies).where(enrolled).values(removed_at=now.timestamp())).rowcount:
            raise NotFound("No such agency is enrolled.", remedy="custodes footage agencies list shows all.")

    def agencies(self, c: sa.Connection) -> tuple[EnrolledAgency, ...]:
        """Read all agencies, those that were removed too, in the order in which they came."""
        rows = c.execute(sa.select(agencies).order_by(agencies.c.enrolled_at, agencies.c.id))
        return tuple(
            EnrolledAgency(read_agency(r.document), time_of(r.enrolled_at), r.enrolled_by, moment(r.removed_at))
            for r in rows
        )

    def trusted(self, c: sa.Connection) -> tuple[Agency, ...]:
        """Read the agencies that are trusted now."""
        return tuple(a.agency for a in self.agencies(c) if a.removed_at is None)

    # --- officers ---

    def certify(
        self, c: sa.Connection, certificate: OfficerCertificate, organisation: str, principal: str, now: datetime
    ) -> None:
        """Keep an officer's certificate.

        Raises:
            Conflict: if it, or another one of the same key, is on file.
        """
        if c.execute(sa.select(officers.c.id).where(officers.c.id == certificate.id)).first():
            raise Conflict("A certificate of this key is on file.", remedy="Certify a new key.")
        c.execute(
            sa.insert(officers).values(
                id=certificate.id,
                organisation=organisation,
                principal=principal,
                document=certificate.document,
                certified_at=now.timestamp(),
            )
        )

    def revoke(self, c: sa.Connection, officer: str, organisation: str, now: datetime) -> None:
        """Trust an officer's certificate no more.

        Raises:
            NotFound: if the organisation has none of this id that is in force.
        """
        mine = (officers.c.id == officer) & (officers.c.organisation == organisation)
        in_force = mine & officers.c.revoked_at.is_(None)
        if not c.execute(sa.update(officers).where(in_force).values(revoked_at=now.timestamp())).rowcount:
            raise NotFound("There is no such certificate.", remedy="custodes footage officers shows all.")

    def officers(self, c: sa.Connection, organisation: str) -> tuple[KnownOfficer, ...]:
        """Read an organisation's officers, those that were revoked too, in the order in which they were certified."""
        mine = officers.c.organisation == organisation
        return self._officers(c, sa.select(officers).where(mine).order_by(officers.c.certified_at, officers.c.id))

    def revoked(self, c: sa.Connection) -> frozenset[str]:
        """Read the ids of all certificates that were revoked."""
        return frozenset(c.scalars(sa.select(officers.c.id).where(officers.c.revoked_at.is_not(None))))

    def why_untrusted(self, c: sa.Connection, agency: str, certificate: str, not_after: datetime, now: datetime) -> str:
        """Return why an officer isn't trusted here now, in a word; nothing if they are.

        Args:
            c: the transaction.
            agency: by which they are certified, by id.
            certificate: theirs, by id.
            not_after: when that ends.
            now: the time.
        """
        enrolled = sa.select(agencies.c.id).where(agencies.c.id == agency, agencies.c.removed_at.is_(None))
        if c.execute(enrolled).first() is None:
            return "agency"
        revoked = sa.select(officers.c.id).where(officers.c.id == certificate, officers.c.revoked_at.is_not(None))
        return "certificate" if now >= not_after or c.execute(revoked).first() is not None else ""

    def _officers(self, c: sa.Connection, query: sa.Select[Any]) -> tuple[KnownOfficer, ...]:
        known = tuple(a.agency for a in self.agencies(c))
        return tuple(
            KnownOfficer(
                officer_among(r.document, known),
                r.organisation,
                r.principal,
                time_of(r.certified_at),
                moment(r.revoked_at),
            )
            for r in c.execute(query)
        )

    # --- requests ---

    def file(self, c: sa.Connection, request: FiledRequest) -> None:
        """Keep a new request.

        Raises:
            Conflict: if it is on file.
        """
        if c.execute(sa.select(footage_requests.c.code).where(footage_requests.c.code == request.code)).first():
            raise Conflict(f"{request.code} is on file already.")
        c.execute(
            sa.insert(footage_requests).values(
                code=request.code,
                organisation=request.organisation,
                principal=request.principal,
                state=str(request.state),
                document=request.document,
                made_at=request.made_at.timestamp(),
                expires_at=request.expires_at.timestamp(),
            )
        )

    def request(self, c: sa.Connection, organisation: str, code: str) -> FiledRequest:
        """Read an organisation's request.

        Raises:
            NotFound: if it has none of this code.
        """
        mine = (footage_requests.c.code == code) & (footage_requests.c.organisation == organisation)
        row = c.execute(sa.select(footage_requests).where(mine)).one_or_none()
        if row is None:
            raise NotFound("There is no such request.", remedy="custodes footage list shows all.")
        return _filed(row)

    def requests(self, c: sa.Connection, organisation: str) -> tuple[FiledRequest, ...]:
        """Read an organisation's requests, the newest first."""
        mine = footage_requests.c.organisation == organisation
        newest = (footage_requests.c.made_at.desc(), footage_requests.c.code)
        return tuple(map(_filed, c.execute(sa.select(footage_requests).where(mine).order_by(*newest))))

    def open(self, c: sa.Connection, organisation: str, now: datetime) -> int:
        """Count an organisation's requests that wait or are public."""
        mine = footage_requests.c.organisation == organisation
        stands = footage_requests.c.state.in_([str(RequestState.WAITING), str(RequestState.PUBLISHED)])
        open_yet = mine & stands & (footage_requests.c.expires_at > now.timestamp())
        return c.execute(sa.select(sa.func.count()).select_from(footage_requests).where(open_yet)).scalar_one()

    def published(self, c: sa.Connection, now: datetime) -> tuple[FiledRequest, ...]:
        """Read the requests of all organisations that are public and not over."""
        public = (footage_requests.c.state == str(RequestState.PUBLISHED)) & (
            footage_requests.c.expires_at > now.timestamp()
        )
        return tuple(
            map(_filed, c.execute(sa.select(footage_requests).where(public).order_by(footage_requests.c.code)))
        )

    def put(self, c: sa.Connection, before: FiledRequest, after: FiledRequest) -> None:
        """Change a request's document and state.

        Args:
            c: the transaction.
            before: as it was read.
            after: as it shall be.

        Raises:
            Conflict: if it was changed meanwhile.
        """
        as_read = (
            (footage_requests.c.code == before.code)
            & (footage_requests.c.state == str(before.state))
            & (footage_requests.c.document == before.document)
        )
        changed = {
            "state": str(after.state),
            "document": after.document,
            "published_at": None if after.published_at is None else after.published_at.timestamp(),
        }
        if not c.execute(sa.update(footage_requests).where(as_read).values(**changed)).rowcount:
            raise Conflict(f"{before.code} was changed meanwhile.", remedy="Look at it again: custodes footage show.")


def _filed(r: sa.Row[Any]) -> FiledRequest:
    return FiledRequest(
        r.code,
        r.organisation,
        r.principal,
        RequestState(r.state),
        r.document,
        time_of(r.made_at),
        time_of(r.expires_at),
        moment(r.published_at),
    )
