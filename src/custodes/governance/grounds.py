# SPDX-License-Identifier: Apache-2.0
"""Grounds that a use may rest on: cases, authorities, consents; and duties that somebody attests to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from custodes.errors import Conflict, Invalid, NotFound
from custodes.governance.model import Authority, Case, Consent, ConsentKind, check_hash, new_id, one_line
from custodes.governance.request import AuthorityKind, Purpose
from custodes.governance.rows import dump, load, rise, seconds, time_of
from custodes.governance.schema import attestations, authorities, cases, consents

__all__ = ["Grounds"]

_CASE_KINDS = frozenset(
    {Purpose.MISSING_PERSON, Purpose.VICTIM_IDENTIFICATION, Purpose.CRIMINAL_INVESTIGATION, Purpose.WELLBEING_CHECK}
)


class Grounds:
    """The store of grounds; every method works in the transaction that it is given."""

    # --- cases ---

    @staticmethod
    def check_case_kind(kind: Purpose) -> None:
        """Check that there are cases for a purpose.

        Raises:
            Invalid: if there are none.
        """
        if kind not in _CASE_KINDS:
            raise Invalid(f"There are no cases for {kind}; there are for {', '.join(sorted(_CASE_KINDS))}.")

    def open_case(self, c: sa.Connection, organisation: str, kind: Purpose, now: datetime) -> Case:
        """Open a case.

        Raises:
            Invalid: if there are no cases for this purpose.
        """
        self.check_case_kind(kind)
        made = Case(new_id("case"), organisation, kind, now)
        c.execute(
            sa.insert(cases).values(
                id=made.id,
                organisation=organisation,
                kind=str(kind),
                opened_at=now.timestamp(),
                closed_at=None,
                paused_at=None,
            )
        )
        rise(c)
        return made

    def close_case(self, c: sa.Connection, case: str, now: datetime) -> Case:
        """Close a case, for good.

        Raises:
            NotFound: if there is none of this id.
            Conflict: if it is closed already.
        """
        found = self.case(c, case)
        if found.closed_at is not None:
            raise Conflict(f"The case {case} is closed already.")
        c.execute(sa.update(cases).where(cases.c.id == case).values(closed_at=now.timestamp()))
        rise(c)
        return replace(found, closed_at=now)

    def pause_case(self, c: sa.Connection, case: str, now: datetime) -> Case:
        """Let work on a case rest, because it is suspended or the person is found.

        Raises:
            NotFound: if there is none of this id.
            Conflict: if it is closed, or rests already.
        """
        found = self.case(c, case)
        if found.closed_at is None and found.paused_at is not None:
            raise Conflict(f"The case {case} rests already.", remedy="custodes cases list shows since when.")
        return self._rest(c, found, now)

    def resume_case(self, c: sa.Connection, case: str) -> Case:
        """Take up work on a case again that rests.

        Raises:
            NotFound: if there is none of this id.
            Conflict: if it is closed, or doesn't rest.
        """
        found = self.case(c, case)
        if found.closed_at is None and found.paused_at is None:
            raise Conflict(f"The case {case} is open already.")
        return self._rest(c, found, None)

    @staticmethod
    def _rest(c: sa.Connection, case: Case, since: datetime | None) -> Case:
        if case.closed_at is not None:
            raise Conflict(f"The case {case.id} is closed, for good.", remedy="Open a new one: custodes cases open.")
        c.execute(sa.update(cases).where(cases.c.id == case.id).values(paused_at=seconds(since)))
        rise(c)
        return replace(case, paused_at=since)

    def case(self, c: sa.Connection, case: str) -> Case:
        """Read a case.

        Raises:
            NotFound: if there is none of this id.
        """
        row = c.execute(sa.select(cases).where(cases.c.id == case)).one_or_none()
        if row is None:
            raise NotFound(f"There is no case {case}.", remedy="custodes cases list shows all.")
        return _to_case(row._mapping)

    def cases(self, c: sa.Connection, organisation: str | None = None) -> tuple[Case, ...]:
        """Read the cases of an organisation, or all, the oldest first."""
        query = sa.select(cases).order_by(cases.c.opened_at, cases.c.id)
        if organisation is not None:
            query = query.where(cases.c.organisation == organisation)
        return tuple(_to_case(r._mapping) for r in c.execute(query))

    # --- authorities ---

    def file(self, c: sa.Connection, authority: Authority) -> Authority:
        """File an authority.

        Raises:
            Invalid: if it ends before it begins, has no purpose or collection, or its texts have no valid form.
            NotFound: if it is filed for an exigency that there isn't.
        """
        if authority.not_after <= authority.not_before:
            raise Invalid("An authority ends after it begins.")
        if not authority.purposes or not authority.collections:
            raise Invalid("An authority names at least one purpose and one collection.")
        one_line(authority.issuer, "An issuer", 200)
        if authority.kind != AuthorityKind.EXIGENCY:
            check_hash(authority.document_hash)
        if authority.satisfies is not None:
            exigency = self.authority(c, authority.satisfies)
            if exigency.kind != AuthorityKind.EXIGENCY or exigency.organisation != authority.organisation:
                raise Invalid(f"{authority.satisfies} is no exigency of this organisation.")
            if authority.kind not in (AuthorityKind.WARRANT, AuthorityKind.COURT_ORDER):
                raise Invalid("For an exigency a warrant or a court order is filed.")
            if not (exigency.purposes <= authority.purposes and exigency.collections <= authority.collections):
                raise Invalid("The authority doesn't cover what the exigency was used for.")
            if not authority.not_before <= exigency.filed_at < authority.not_after:
                raise Invalid("The authority wasn't valid when the exigency was used.")
            if authority.filed_at > exigency.not_after:
                raise Invalid("The 48 hours in which an authority may be filed for this exigency are over.")
        c.execute(
            sa.insert(authorities).values(
                id=authority.id,
                organisation=authority.organisation,
                kind=str(authority.kind),
                issuer=authority.issuer,
                document_hash=authority.document_hash,
                purposes=dump(authority.purposes),
                collections=dump(authority.collections),
                subjects=dump(authority.subjects),
                not_before=authority.not_before.timestamp(),
                not_after=authority.not_after.timestamp(),
                filed_at=authority.filed_at.timestamp(),
                filed_by=authority.filed_by,
                satisfies=authority.satisfies,
            )
        )
        rise(c)
        return authority

    def authority(self, c: sa.Connection, authority: str) -> Authority:
        """Read an authority.

        Raises:
            NotFound: if there is none of this id.
        """
        row = c.execute(sa.select(authorities).where(authorities.c.id == authority)).one_or_none()
        if row is None:
            raise NotFound(f"There is no authority {authority}.", remedy="custodes authority list shows all.")
        return _to_authority(row._mapping)

    def authorities(self, c: sa.Connection, organisation: str | None = None) -> tuple[Authority, ...]:
        """Read the authorities of an organisation, or all, in the order of filing."""
        query = sa.select(authorities).order_by(authorities.c.filed_at, authorities.c.id)
        if organisation is not None:
            query = query.where(authorities.c.organisation == organisation)
        return tuple(_to_authority(r._mapping) for r in c.execute(query))

    def is_overdue(self, c: sa.Connection, organisation: str, now: datetime) -> bool:
        """Tell whether an organisation has an exigency for which no authority was filed in its time."""
        filed = authorities.alias()
        unfiled = ~sa.exists().where(filed.c.satisfies == authorities.c.id)
        query = sa.select(authorities.c.id).where(
            authorities.c.organisation == organisation,
            authorities.c.kind == str(AuthorityKind.EXIGENCY),
            authorities.c.not_after <= now.timestamp(),
            unfiled,
        )
        return bool(c.execute(query.limit(1)).all())

    def is_satisfied(self, c: sa.Connection, exigency: str) -> bool:
        """Tell whether an authority was filed for an exigency."""
        return bool(c.execute(sa.select(authorities.c.id).where(authorities.c.satisfies == exigency).limit(1)).all())

    # --- consents ---

    def consent(self, c: sa.Connection, consent: Consent) -> Consent:
        """Record a consent.

        Raises:
            Invalid: if it ends before it is given, has no purpose, or its document no hash.
        """
        if consent.not_after <= consent.given_at:
            raise Invalid("A consent ends after it is given.")
        if not consent.purposes:
            raise Invalid("A consent names at least one purpose.")
        check_hash(consent.document_hash)
        one_line(consent.external_image_id, "An external image id", 255)
        c.execute(
            sa.insert(consents).values(
                id=consent.id,
                organisation=consent.organisation,
                kind=str(consent.kind),
                collection=consent.collection,
                external_image_id=consent.external_image_id,
                purposes=dump(consent.purposes),
                document_hash=consent.document_hash,
                given_at=consent.given_at.timestamp(),
                not_after=consent.not_after.timestamp(),
                withdrawn_at=None,
                executed_at=None,
            )
        )
        rise(c)
        return consent

    def find_consent(self, c: sa.Connection, consent: str) -> Consent:
        """Read a consent.

        Raises:
            NotFound: if there is none of this id.
        """
        row = c.execute(sa.select(consents).where(consents.c.id == consent)).one_or_none()
        if row is None:
            raise NotFound(f"There is no consent {consent}.", remedy="custodes consent list shows all.")
        return _to_consent(row._mapping)

    def consent_for(
        self, c: sa.Connection, organisation: str, collection: str, external_image_id: str, now: datetime
    ) -> Consent | None:
        """Read the consent to enrolling under a label that lasts longest, or None if none is valid."""
        at = now.timestamp()
        row = c.execute(
            sa.select(consents)
            .where(
                consents.c.organisation == organisation,
                consents.c.collection == collection,
                consents.c.external_image_id == external_image_id,
                consents.c.withdrawn_at.is_(None),
                consents.c.given_at <= at,
                consents.c.not_after > at,
            )
            .order_by(consents.c.not_after.desc())
            .limit(1)
        ).one_or_none()
        return None if row is None else _to_consent(row._mapping)

    def consents(
        self,
        c: sa.Connection,
        organisation: str | None = None,
        *,
        collection: str | None = None,
        label: str | None = None,
    ) -> tuple[Consent, ...]:
        """Read consents in the order in which they were given, of all or of those that are named."""
        query = sa.select(consents).order_by(consents.c.given_at, consents.c.id)
        for column, value in (
            (consents.c.organisation, organisation),
            (consents.c.collection, collection),
            (consents.c.external_image_id, label),
        ):
            if value is not None:
                query = query.where(column == value)
        return tuple(_to_consent(r._mapping) for r in c.execute(query))

    def withdraw(self, c: sa.Connection, consent: str, now: datetime) -> Consent:
        """Withdraw a consent; what was enrolled on it is then due to be erased.

        Raises:
            NotFound: if there is none of this id.
            Conflict: if it is withdrawn already.
        """
        found = self.find_consent(c, consent)
        if found.withdrawn_at is not None:
            raise Conflict(f"The consent {consent} is withdrawn already.")
        c.execute(sa.update(consents).where(consents.c.id == consent).values(withdrawn_at=now.timestamp()))
        rise(c)
        return replace(found, withdrawn_at=now)

    def ended_consents(self, c: sa.Connection, now: datetime) -> tuple[Consent, ...]:
        """Read the consents that are over or withdrawn and whose references have not been erased for that."""
        over = (consents.c.not_after <= now.timestamp()) | consents.c.withdrawn_at.is_not(None)
        rows = c.execute(sa.select(consents).where(consents.c.executed_at.is_(None), over))
        return tuple(_to_consent(r._mapping) for r in rows)

    @staticmethod
    def unlabel(c: sa.Connection, consent: str) -> None:
        """Forget the label of a consent, which may name somebody, when nothing rests on it any more."""
        c.execute(sa.update(consents).where(consents.c.id == consent).values(external_image_id=""))

    @staticmethod
    def drop_labels(c: sa.Connection, collection: str) -> None:
        """Forget the labels of a collection's consents, when it goes."""
        c.execute(sa.update(consents).where(consents.c.collection == collection).values(external_image_id=""))

    def executed(self, c: sa.Connection, consent: str, now: datetime) -> None:
        """Note that what was enrolled on an ended consent is gone; its label, which may name somebody, goes too."""
        values = {"executed_at": now.timestamp(), "external_image_id": ""}
        c.execute(sa.update(consents).where(consents.c.id == consent).values(values))

    # --- duties ---

    def attest(self, c: sa.Connection, organisation: str, duty: str, by: str, now: datetime, until: datetime) -> None:
        """Record that a person attests to an organisation's duty until a date.

        Raises:
            Invalid: if that date is past.
        """
        if until <= now:
            raise Invalid("An attestation ends in the future.")
        mine = (attestations.c.organisation == organisation) & (attestations.c.duty == duty)
        c.execute(sa.delete(attestations).where(mine))
        c.execute(
            sa.insert(attestations).values(
                organisation=organisation, duty=duty, attested_by=by, attested_at=seconds(now), until=seconds(until)
            )
        )
        rise(c)

    def attestations(self, c: sa.Connection) -> tuple[tuple[str, str, str, datetime, datetime], ...]:
        """Read all attestations: organisation, duty, by whom, when, until when."""
        rows = c.execute(sa.select(attestations).order_by(attestations.c.organisation, attestations.c.duty))
        return tuple((r.organisation, r.duty, r.attested_by, time_of(r.attested_at), time_of(r.until)) for r in rows)


def _to_case(r: Mapping[Any, Any]) -> Case:
    closed, paused = (None if r[at] is None else time_of(r[at]) for at in ("closed_at", "paused_at"))
    return Case(r["id"], r["organisation"], Purpose(r["kind"]), time_of(r["opened_at"]), closed, paused)


def _purposes(text: str) -> frozenset[Purpose]:
    return frozenset(Purpose(v) for v in load(text))


def _to_authority(r: Mapping[Any, Any]) -> Authority:
    return Authority(
        id=r["id"],
        organisation=r["organisation"],
        kind=AuthorityKind(r["kind"]),
        issuer=r["issuer"],
        document_hash=r["document_hash"],
        purposes=_purposes(r["purposes"]),
        collections=load(r["collections"]),
        subjects=load(r["subjects"]),
        not_before=time_of(r["not_before"]),
        not_after=time_of(r["not_after"]),
        filed_at=time_of(r["filed_at"]),
        filed_by=r["filed_by"],
        satisfies=r["satisfies"],
    )


def _to_consent(r: Mapping[Any, Any]) -> Consent:
    return Consent(
        id=r["id"],
        organisation=r["organisation"],
        kind=ConsentKind(r["kind"]),
        collection=r["collection"],
        external_image_id=r["external_image_id"],
        purposes=_purposes(r["purposes"]),
        document_hash=r["document_hash"],
        given_at=time_of(r["given_at"]),
        not_after=time_of(r["not_after"]),
        withdrawn_at=None if r["withdrawn_at"] is None else time_of(r["withdrawn_at"]),
    )
