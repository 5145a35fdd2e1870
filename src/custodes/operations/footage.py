# SPDX-License-Identifier: Apache-2.0
"""Use cases of those who ask the public for footage: agencies, their officers, requests, and the public board.

The operator enrols agencies, having compared the fingerprint of their keys with them on another way. An organisation of
the police certifies its officers' keys, makes requests and approves them; a request is public as soon as two others
have approved it, none of whom has made it, under whatever name. No private key comes here: documents are signed by
those who have the keys, and checked. Whoever has cameras reads the board; nothing here knows of them or asks them.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from custodes.cameras.footagestore import EnrolledAgency, FiledRequest, FootageStore, KnownOfficer, RequestState
from custodes.cameras.sharing import (
    APPROVALS,
    Agency,
    Approval,
    Board,
    FootageRequest,
    OfficerCertificate,
    check_draft,
    check_request,
    joined,
    make_board,
    officer_among,
    read_agency,
    read_request,
)
from custodes.db import Database
from custodes.errors import Conflict, Denied, Invalid, NotFound
from custodes.governance import Action, Caller, Registry
from custodes.ledger import Log, commit
from custodes.operations.entries import Acting
from custodes.operations.guard import Guard

__all__ = ["FootageOperations", "RequestOnFile"]

_MOST_OPEN = 50
"""So many requests of an organisation wait or are public at a time: the public is asked for what matters."""
_KEPT = timedelta(seconds=5)
"""For so long the board is not put together anew."""


@dataclass(frozen=True, slots=True)
class RequestOnFile:
    """A request of the caller's organisation.

    Attributes:
        filed: where it stands.
        request: what it says; it may be over.
        is_over: whether it is.
    """

    filed: FiledRequest
    request: FootageRequest
    is_over: bool


class FootageOperations:
    """Agencies, officers, requests, the board.

    Args:
        guard: authorises and records.
        database: where all is.
        registry: knows who is one person under two names.
        store: of agencies, officers and requests.
        log: the ledger, by whose time things are decided.
    """

    def __init__(self, guard: Guard, database: Database, registry: Registry, store: FootageStore, log: Log) -> None:
        self._guard = guard
        self._db = database
        self._registry = registry
        self._store = store
        self._log = log
        self._lock = threading.Lock()
        self._kept: tuple[datetime, Board, tuple[FootageRequest, ...]] | None = None

    # --- agencies ---

    def enrol_agency(self, caller: Caller, document: bytes) -> Agency:
        """Trust an agency: from now on requests of its officers are shown to those who have cameras here.

        Args:
            caller: who enrols it, having compared its fingerprint with the agency on another way.
            document: its certificate; hostile.

        Raises:
            Denied: if a rule forbids it, or the certificate isn't signed by its key.
            Invalid: if it is no certificate.
            Conflict: if it is enrolled.
        """
        with self._guard.acting(caller, Action.ENROL_AGENCY) as acting:
            agency = read_agency(document)
            self._store.enrol(acting.connection, agency, caller.principal, acting.now)
            acting.note(change="agency-enrolled", target=agency.id, jurisdiction=agency.jurisdiction)
            acting.note(fingerprint=agency.fingerprint.replace(" ", ""))
            acting.openings.append(commit("name", agency.name.encode()))
        self._forget_board()
        return agency

    def remove_agency(self, caller: Caller, agency: str) -> None:
        """Trust an agency no more; what its officers have asked for is public here no more.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if no such agency is enrolled.
        """
        with self._guard.acting(caller, Action.ENROL_AGENCY) as acting:
            self._store.remove(acting.connection, agency, acting.now)
            acting.note(change="agency-removed", target=agency)
        self._forget_board()

    def agencies(self) -> tuple[EnrolledAgency, ...]:
        """List all agencies that are or were enrolled; that is no secret."""
        with self._db.read() as c:
            return self._store.agencies(c)

    # --- officers ---

    def certify(self, caller: Caller, document: bytes, principal: str) -> OfficerCertificate:
        """Keep the certificate of an officer of the caller's organisation, who may then ask and approve with that key.

        Args:
            caller: an administrator of the organisation.
            document: the certificate, which the agency's key has signed elsewhere; hostile.
            principal: whose key it is.

        Raises:
            Denied: if a rule forbids it, or the certificate is of no enrolled agency, or not valid now.
            Invalid: if it is no certificate.
            NotFound: if the organisation has no such person.
            Conflict: if a certificate of this key is on file.
        """
        with self._guard.acting(caller, Action.CERTIFY_OFFICER) as acting:
            c, organisation = acting.connection, acting.permit.organisation
            found = officer_among(document, self._store.trusted(c))
            if not found.is_valid(acting.now):
                raise Denied("The officer's certificate isn't valid now.", remedy="Let the agency make a new one.")
            whose = acting.permit.state.principals.get(principal)
            if whose is None or whose.organisation != organisation:
                raise NotFound("Your organisation has no such person.", remedy="custodes people list shows all.")
            self._store.certify(c, found, organisation, principal, acting.now)
            acting.note(change="officer-certified", target=found.id, agency=found.agency, certified=principal)
            acting.note(not_after=found.not_after.isoformat())
            acting.openings.append(commit("certificate", found.document))
            return found

    def revoke(self, caller: Caller, officer: str) -> None:
        """Trust an officer's certificate no more; requests that they made or approved are public here no more.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if the organisation has none of this id that is in force.
        """
        with self._guard.acting(caller, Action.CERTIFY_OFFICER) as acting:
            self._store.revoke(acting.connection, officer, acting.permit.organisation, acting.now)
            acting.note(change="officer-revoked", target=officer)
        self._forget_board()

    def officers(self, caller: Caller) -> tuple[KnownOfficer, ...]:
        """List the certificates of the caller's organisation, those that were revoked too.

        Raises:
            Denied: if a rule forbids it.
        """
        self._guard.check(caller, Action.REQUEST_VIDEO)
        organisation = self._guard.organisation_of(caller)
        with self._db.read() as c:
            return self._store.officers(c, organisation)

    # --- requests ---

    def submit(self, caller: Caller, document: bytes) -> FootageRequest:
        """Put a request in, which waits for the approval of two others.

        Args:
            caller: who asks, with a key that is certified as theirs.
            document: the request, which they have signed; hostile.

        Raises:
            Denied: if a rule forbids it, something in it doesn't hold, or the key isn't certified as the caller's.
            Invalid: if it can't be meant, asks for more than may be asked for, or has approvals already.
            Conflict: if it is on file, or too many of the organisation are open.
        """
        with self._guard.acting(caller, Action.REQUEST_VIDEO) as acting:
            c, organisation = acting.connection, acting.permit.organisation
            found = check_draft(document, self._store.trusted(c), acting.now)
            if found.approvals:
                raise Invalid("A request is put in before others approve it.", remedy="Let them do so afterwards.")
            self._check_own(self._store.officers(c, organisation), found.officer, caller)
            if self._store.open(c, organisation, acting.now) >= _MOST_OPEN:
                raise Conflict(
                    f"An organisation has at most {_MOST_OPEN} open requests.", remedy="Withdraw what isn't needed."
                )
            self._store.file(
                c,
                FiledRequest(
                    code=found.code,
                    organisation=organisation,
                    principal=caller.principal,
                    state=RequestState.WAITING,
                    document=document,
                    made_at=found.made_at,
                    expires_at=found.expires_at,
                ),
            )
            _tell(acting, found, "footage-requested")
            return found

    def approve(self, caller: Caller, code: str, document: bytes) -> FootageRequest:
        """Approve another officer's request; it is public as soon as two have.

        Args:
            caller: who approves, with a key that is certified as theirs.
            code: of the request.
            document: the request with their approval, which they have signed; hostile.

        Raises:
            Denied: if a rule forbids it (whoever made it, or has approved it, does not), or something doesn't hold.
            Invalid: if it can't be meant, or is another request.
            NotFound: if the organisation has none of this code.
            Conflict: if it doesn't wait for approvals, or was changed meanwhile.
        """
        before = self.show(caller, code)
        proposer, approved_by = self._people(before)
        with self._guard.acting(
            caller, Action.APPROVE_VIDEO_REQUEST, proposer=proposer, approved_by=approved_by
        ) as acting:
            c, organisation = acting.connection, acting.permit.organisation
            known, trusted = self._store.officers(c, organisation), self._store.trusted(c)
            if before.filed.state != RequestState.WAITING:
                raise Conflict(f"{code} is {before.filed.state}.", remedy="custodes footage list shows what waits.")
            check_draft(document, trusted, acting.now)
            found = check_draft(joined(before.filed.document, document), trusted, acting.now)
            added = found.approvals[len(before.request.approvals) :]
            if len(added) != 1:
                raise Denied(
                    "An officer approves for themselves, and once.", remedy="Sign the request as it is on file."
                )
            self._check_own(known, added[0].officer, caller)
            for one in (found.officer, *(a.officer for a in found.approvals)):
                _check_known(known, one)
            public = len(found.approvals) >= APPROVALS
            self._store.put(
                c,
                before.filed,
                replace(
                    before.filed,
                    document=found.document,
                    state=RequestState.PUBLISHED if public else RequestState.WAITING,
                    published_at=acting.now if public else None,
                ),
            )
            _tell(acting, found, "footage-published" if public else "footage-approved", added[0])
        self._forget_board()
        return found

    def withdraw(self, caller: Caller, code: str) -> None:
        """Take a request of the caller's organisation back, whoever has made it.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if the organisation has none of this code.
            Conflict: if it is withdrawn already.
        """
        with self._guard.acting(caller, Action.REQUEST_VIDEO) as acting:
            filed = self._store.request(acting.connection, acting.permit.organisation, code)
            if filed.state == RequestState.WITHDRAWN:
                raise Conflict(f"{code} is withdrawn already.")
            self._store.put(acting.connection, filed, replace(filed, state=RequestState.WITHDRAWN))
            acting.note(change="footage-withdrawn", target=code)
        self._forget_board()

    def list(self, caller: Caller) -> tuple[RequestOnFile, ...]:
        """List the requests of the caller's organisation, the newest first.

        Raises:
            Denied: if a rule forbids it.
        """
        self._guard.check(caller, Action.REQUEST_VIDEO)
        organisation = self._guard.organisation_of(caller)
        with self._db.read() as c:
            return self._on_file(c, self._store.requests(c, organisation))

    def show(self, caller: Caller, code: str) -> RequestOnFile:
        """Read a request of the caller's organisation.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if the organisation has none of this code.
        """
        self._guard.check(caller, Action.REQUEST_VIDEO)
        organisation = self._guard.organisation_of(caller)
        with self._db.read() as c:
            return self._on_file(c, (self._store.request(c, organisation, code),))[0]

    def _on_file(self, c: sa.Connection, filed: Sequence[FiledRequest]) -> tuple[RequestOnFile, ...]:
        agencies = tuple(a.agency for a in self._store.agencies(c))
        now = self._log.now(c)
        return tuple(RequestOnFile(f, read_request(f.document, agencies), f.expires_at <= now) for f in filed)

    def _people(self, asked: RequestOnFile) -> tuple[str | None, frozenset[str]]:
        """Return who has made a request and who has approved it: human beings, whatever they are called."""
        with self._db.read() as c:
            principals = self._registry.state(c).principals
            known = {o.certificate.id: o.principal for o in self._store.officers(c, asked.filed.organisation)}
        proposer = principals.get(asked.filed.principal)
        approved = (principals.get(known.get(a.officer.id, "")) for a in asked.request.approvals)
        return proposer.person if proposer else None, frozenset(p.person for p in approved if p)

    @staticmethod
    def _check_own(known: Sequence[KnownOfficer], certificate: OfficerCertificate, caller: Caller) -> None:
        """Check that a certificate is the caller's.

        Raises:
            Denied: if it isn't on file as theirs, or was revoked.
        """
        if _check_known(known, certificate).principal != caller.principal:
            raise Denied("This key is certified as another officer's.", remedy="Sign with your own key.")

    # --- the board ---

    def board(self) -> Board:
        """Return what everyone may read: the agencies that are trusted here, and the public requests of officers here.

        Nobody is asked who they are, nothing is recorded, and everyone gets the same.
        """
        return self._public()[0]

    def public(self) -> tuple[FootageRequest, ...]:
        """Return the requests that are on the board, those that are open for longest first."""
        return self._public()[1]

    def _public(self) -> tuple[Board, tuple[FootageRequest, ...]]:
        with self._lock, self._db.read() as c:  # one at a time, so that many readers don't check signatures at once
            now = self._log.now(c)
            kept = self._kept
            if kept is None or not timedelta() <= now - kept[0] < _KEPT:
                trusted = self._store.trusted(c)
                found = self._open(c, trusted, now)
                board = make_board((a.document for a in trusted), (r.document for r in found))
                kept = self._kept = (now, board, found)
            return kept[1:]

    def _open(self, c: sa.Connection, trusted: Sequence[Agency], now: datetime) -> tuple[FootageRequest, ...]:
        revoked, found = self._store.revoked(c), []
        for filed in self._store.published(c, now):
            try:
                request = check_request(filed.document, trusted, now)
            except (Invalid, Denied):  # its agency was removed, or a certificate ended
                continue
            if not revoked & {request.officer.id, *(a.officer.id for a in request.approvals)}:
                found.append(request)
        return tuple(sorted(found, key=lambda r: (r.expires_at, r.code), reverse=True))

    def _forget_board(self) -> None:
        with self._lock:
            self._kept = None


def _check_known(known: Sequence[KnownOfficer], certificate: OfficerCertificate) -> KnownOfficer:
    """Return an officer of the organisation by their certificate.

    Raises:
        Denied: if it isn't on file, or was revoked.
    """
    for one in known:
        if one.certificate.document == certificate.document and one.revoked_at is None:
            return one
    raise Denied(
        "A certificate isn't on file as one of your organisation's, or was revoked.",
        remedy="Let an administrator certify the officer: custodes footage certify.",
    )


def _tell(acting: Acting, found: FootageRequest, change: str, approval: Approval | None = None) -> None:
    """Tell the entry which request it is; what it says in words, and the incident, are committed to."""
    acting.note(
        change=change,
        target=found.code,
        digest=found.digest,
        agency=found.agency.id,
        officer=found.officer.id,
        approver=approval.officer.id if approval else None,
        approvals=len(found.approvals),
        request_purpose=str(found.purpose),
        offence=str(found.offence),
        radius_m=found.area.radius_m,
        minutes=(found.span.end - found.span.start) // 60_000,
        expires_at=found.expires_at.isoformat(),
    )
    acting.openings.append(commit("document", found.document))
