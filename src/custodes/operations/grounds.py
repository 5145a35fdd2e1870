# SPDX-License-Identifier: Apache-2.0
"""Use cases around the grounds that a use may rest on: cases, authorities, consents, duties; and kept results."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from custodes.db import Database
from custodes.errors import Invalid, NotFound
from custodes.gallery import Collections
from custodes.governance import (
    EXIGENCY_LASTS,
    Action,
    AlarmKind,
    Authority,
    AuthorityKind,
    Caller,
    Case,
    Consent,
    ConsentKind,
    Exigency,
    Grounds,
    OrgClass,
    Purpose,
    Registry,
    ResultFacts,
    State,
    Watch,
    new_id,
)
from custodes.ledger import commit
from custodes.operations.entries import Acting
from custodes.operations.guard import Guard

__all__ = ["Attested", "GroundOperations", "KeptResults"]

_MAX_DAYS = 3650

Then = Callable[[Acting, Case], None]
"""What else is done, and noted, in the transaction in which a case changes."""


def _nothing_more(acting: Acting, case: Case) -> None:
    """Leave it at the change."""


@dataclass(frozen=True, slots=True)
class Attested:
    """A duty that software can't enforce, and who attests to it until when (None: nobody)."""

    duty: str
    rulebook: str
    citation: str
    text: str
    who: str
    attested_by: str | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class KeptResults:
    """What an exigent search found, and until when that may be seen without an authority."""

    exigency: Exigency
    seals_at: datetime
    filed: bool
    results: bytes = b""


class GroundOperations:
    """Cases, authorities, consents, duties, kept results."""

    def __init__(
        self,
        guard: Guard,
        database: Database,
        registry: Registry,
        grounds: Grounds,
        watch: Watch,
        collections: Collections,
    ) -> None:
        self._guard = guard
        self._db = database
        self._registry = registry
        self._grounds = grounds
        self._watch = watch
        self._collections = collections

    # --- cases ---

    def open_case(
        self, caller: Caller, kind: Purpose, organisation: str | None = None, *, then: Then = _nothing_more
    ) -> Case:
        """Open a case of an organisation, the caller's own unless another is named.

        Args:
            caller: who opens it.
            kind: the purpose that it serves.
            organisation: whose it is to be.
            then: what else is done in the same transaction; what it notes is in the entry.

        Raises:
            Denied: if a rule forbids it, as when a moratorium binds the organisation.
            Invalid: if there are no cases for this purpose.
            NotFound: if there is no such organisation.
        """
        self._grounds.check_case_kind(kind)
        owner = self._owner(caller, organisation)
        with self._guard.acting(caller, Action.OPEN_CASE, of=owner, case_kind=kind) as acting:
            made = self._grounds.open_case(acting.connection, owner, kind, acting.now)
            acting.note(change="case-opened", target=made.id, case_kind=str(kind), in_organisation=owner)
            if acting.permit.state.organisations[owner].org_class == OrgClass.LAW_ENFORCEMENT:
                acting.alarm(AlarmKind.CASE, owner, made.id)  # on which an exemption may rest
            then(acting, made)
            return made

    def close_case(self, caller: Caller, case: str, *, then: Then = _nothing_more) -> Case:
        """Close a case, for good; ``then`` is done in the same transaction.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is none of this id.
            Conflict: if it is closed already.
        """
        owner = self._case(case).organisation
        with self._guard.acting(caller, Action.MANAGE_CASES, of=owner) as acting:
            closed = self._grounds.close_case(acting.connection, case, acting.now)
            acting.note(change="case-closed", target=case)
            then(acting, closed)
            return closed

    def pause_case(self, caller: Caller, case: str, *, then: Then = _nothing_more) -> Case:
        """Let work on a case rest, because it is suspended or the person is found; ``then`` as for opening.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is none of this id.
            Conflict: if it is closed, or rests already.
        """
        owner = self._case(case).organisation
        with self._guard.acting(caller, Action.MANAGE_CASES, of=owner) as acting:
            paused = self._grounds.pause_case(acting.connection, case, acting.now)
            acting.note(change="case-paused", target=case)
            then(acting, paused)
            return paused

    def resume_case(self, caller: Caller, case: str, *, then: Then = _nothing_more) -> Case:
        """Take up work on a case again that rests; the rules ask for what they ask for when one is opened.

        Raises:
            Denied: if a rule forbids it, as when a moratorium binds the organisation by now.
            NotFound: if there is none of this id.
            Conflict: if it is closed, or doesn't rest.
        """
        found = self._case(case)
        owner = found.organisation
        with self._guard.acting(caller, Action.OPEN_CASE, of=owner, case_kind=found.kind) as acting:
            resumed = self._grounds.resume_case(acting.connection, case)
            acting.note(change="case-resumed", target=case, case_kind=str(found.kind), in_organisation=owner)
            then(acting, resumed)
            return resumed

    def cases(self) -> tuple[Case, ...]:
        """List all cases."""
        with self._db.read() as c:
            return self._grounds.cases(c)

    # --- authorities ---

    def file(
        self,
        caller: Caller,
        kind: AuthorityKind,
        *,
        issuer: str,
        document_hash: str,
        purposes: Iterable[Purpose],
        collections: Iterable[str],
        not_before: datetime,
        not_after: datetime,
        subjects: Iterable[str] = (),
        organisation: str | None = None,
        satisfies: str | None = None,
    ) -> Authority:
        """File an authority.

        Args:
            caller: who files it.
            kind, issuer, document_hash: what it is, who gave it, and the SHA-256 of its document.
            purposes, collections: its scope; collections by name.
            not_before, not_after: valid from the first on and before the second.
            subjects: whom it is about (``reference:ID``, ``subject:USER``, ``image:SHA256``); none for anybody.
            organisation: whose it is; the caller's own unless another is named.
            satisfies: id of the exigency that it is filed for afterwards.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if a collection or an exigency isn't there.
            Invalid: if a value can't be meant.
        """
        if kind == AuthorityKind.EXIGENCY:
            raise Invalid(
                "An exigency isn't filed: it is stated with the search that can't wait.",
                remedy="Send the signed header x-custodes-exigency with the reason.",
            )
        owner = self._owner(caller, organisation)
        uids = frozenset(self._collections.get(name).uid for name in collections)
        with self._guard.acting(caller, Action.FILE_AUTHORITY, of=owner) as acting:
            made = self._grounds.file(
                acting.connection,
                Authority(
                    id=new_id("auth"),
                    organisation=owner,
                    kind=kind,
                    issuer=issuer,
                    document_hash=document_hash,
                    purposes=frozenset(purposes),
                    collections=uids,
                    subjects=frozenset(self._watch.hash(owner, "subject", s).hex() for s in subjects),
                    not_before=not_before,
                    not_after=not_after,
                    filed_at=acting.now,
                    filed_by=caller.principal,
                    satisfies=satisfies,
                ),
            )
            _tell_filed(acting, made)
            return made

    def authorities(self) -> tuple[Authority, ...]:
        """List all authorities, exigencies too."""
        with self._db.read() as c:
            return self._grounds.authorities(c)

    # --- consents ---

    def consent(
        self,
        caller: Caller,
        kind: ConsentKind,
        *,
        collection: str,
        external_image_id: str,
        purposes: Iterable[Purpose],
        document_hash: str,
        days: int,
    ) -> Consent:
        """Record a person's consent to being enrolled in a collection under an external image id.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such collection.
            Invalid: if a value can't be meant.
        """
        if not 1 <= days <= _MAX_DAYS:
            raise Invalid(f"A consent lasts 1 to {_MAX_DAYS} days.")
        target = self._collections.get(collection)
        with self._guard.acting(caller, Action.FILE_CONSENT, of=target.owner) as acting:
            made = self._grounds.consent(
                acting.connection,
                Consent(
                    id=new_id("consent"),
                    organisation=target.owner,
                    kind=kind,
                    collection=target.uid,
                    external_image_id=external_image_id,
                    purposes=frozenset(purposes),
                    document_hash=document_hash,
                    given_at=acting.now,
                    not_after=acting.now + timedelta(days=days),
                ),
            )
            acting.note(change="consent-recorded", target=made.id, consent_kind=str(kind), in_organisation=target.owner)
            acting.note(document=document_hash, purposes=sorted(map(str, made.purposes)))
            acting.note(not_after=made.not_after.isoformat())
            return made

    def withdraw(self, caller: Caller, consent: str) -> Consent:
        """Withdraw a consent; what was enrolled on it is erased by the retention that follows.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is none of this id.
            Conflict: if it is withdrawn already.
        """
        with self._db.read() as c:
            owner = self._grounds.find_consent(c, consent).organisation
        with self._guard.acting(caller, Action.FILE_CONSENT, of=owner) as acting:
            gone = self._grounds.withdraw(acting.connection, consent, acting.now)
            acting.note(change="consent-withdrawn", target=consent)
            return gone

    def consents(self) -> tuple[Consent, ...]:
        """List all consents."""
        with self._db.read() as c:
            return self._grounds.consents(c)

    # --- duties ---

    def attest(self, caller: Caller, duty: str, days: int, organisation: str | None = None) -> None:
        """Attest to a duty of an organisation for some days.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such duty.
            Invalid: if it isn't for 1 to 3,650 days.
        """
        if duty not in {d.id for b in self._registry.shipped for d in b.duties}:
            raise NotFound(f"There is no duty {duty}.", remedy="custodes rules duties lists all.")
        if not 1 <= days <= _MAX_DAYS:
            raise Invalid(f"An attestation is for 1 to {_MAX_DAYS} days.")
        owner = self._owner(caller, organisation)
        with self._guard.acting(caller, Action.ATTEST_DUTY, of=owner) as acting:
            until = acting.now + timedelta(days=days)
            self._grounds.attest(acting.connection, owner, duty, caller.principal, acting.now, until)
            acting.note(change="duty-attested", target=duty, in_organisation=owner, until=until.isoformat())

    def duties(self, organisation: str) -> tuple[Attested, ...]:
        """List the duties of the enabled rulebooks, and who attests to them for an organisation.

        Raises:
            NotFound: if there is no such organisation.
        """
        with self._db.read() as c:
            state = self._registry.state(c)
            _must_exist(state, organisation)
            known = {d: (by, until) for o, d, by, _, until in self._grounds.attestations(c) if o == organisation}
        return tuple(
            Attested(d.id, book.id, d.citation, d.text, d.who, *known.get(d.id, (None, None)))
            for book in state.rulebooks
            for d in book.duties
        )

    # --- kept results ---

    def kept(self) -> tuple[KeptResults, ...]:
        """List the kept results of exigent searches; not what they are."""
        with self._db.read() as c:
            return tuple(
                KeptResults(e, e.kept_at + EXIGENCY_LASTS, self._grounds.is_satisfied(c, e.authority))
                for e in self._watch.kept(c)
            )

    def open_kept(self, caller: Caller, result: str) -> KeptResults:
        """Show what an exigent search found; after 48 hours only if an authority was filed for it.

        Raises:
            Denied: if a rule forbids it, as when it is sealed.
            NotFound: if there are none of this id.
        """
        mine = self._guard.organisation_of(caller)
        with self._db.read() as c:
            found = self._watch.find_kept(c, result)
            filed = self._grounds.is_satisfied(c, found.authority)
            age = self._guard.now(c) - found.kept_at
        facts = ResultFacts(
            exigent=True,
            filed=filed,
            own=found.organisation == mine,
            age_hours=int(age.total_seconds() // 3600),
        )
        target = self._collections.find(found.collection)
        with self._guard.using(caller, Action.READ_RESULTS, target, results=facts) as using:
            using.part.note(result=result)
            with self._db.read() as c:
                told = self._watch.open_kept(c, result)
            return KeptResults(found, found.kept_at + EXIGENCY_LASTS, filed, told)

    def _case(self, case: str) -> Case:
        """Return a case.

        Raises:
            NotFound: if there is none of this id.
        """
        with self._db.read() as c:
            return self._grounds.case(c, case)

    def _owner(self, caller: Caller, organisation: str | None) -> str:
        """Return the organisation that is named, or the caller's own.

        Raises:
            NotFound: if there is none of this id.
        """
        owner = organisation or self._guard.organisation_of(caller)
        with self._db.read() as c:
            _must_exist(self._registry.state(c), owner)
        return owner


def _must_exist(state: State, organisation: str) -> None:
    if organisation not in state.organisations:
        raise NotFound(f"There is no organisation {organisation}.", remedy="custodes org list shows all.")


def _tell_filed(acting: Acting, made: Authority) -> None:
    acting.openings.append(commit("issuer", made.issuer.encode()))
    acting.note(
        change="authority-filed",
        target=made.id,
        authority_kind=str(made.kind),
        in_organisation=made.organisation,
        document=made.document_hash,
        purposes=sorted(map(str, made.purposes)),
        collections=sorted(made.collections),
        not_before=made.not_before.isoformat(),
        not_after=made.not_after.isoformat(),
        subjects=len(made.subjects),
        satisfies=made.satisfies,
    )
