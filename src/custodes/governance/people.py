# SPDX-License-Identifier: Apache-2.0
"""Organisations, the people in them, their roles and their training."""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa

from custodes.errors import Conflict, Invalid, NotFound
from custodes.governance.model import (
    LOCAL,
    OPERATOR,
    Organisation,
    Principal,
    Training,
    new_id,
    one_line,
)
from custodes.governance.places import check_place
from custodes.governance.request import NO_JURISDICTION, OrgClass, Role
from custodes.governance.rows import dump, load, rise, seconds, time_of
from custodes.governance.schema import organisations, people, principals, trainings

__all__ = ["People"]

_OPERATOR_ROLES = (Role.OPERATOR, Role.ADMIN, Role.USER)


class People:
    """The store of organisations and principals; every method works in the transaction that it is given.

    Args:
        key: 32 bytes; people's identifiers are kept as HMACs under it.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def begin(self, c: sa.Connection, now: datetime) -> None:
        """Make the first organisation and its operator."""
        c.execute(
            sa.insert(organisations).values(
                {
                    "id": LOCAL,
                    "name": "This installation",
                    "class": str(OrgClass.GENERAL),
                    "jurisdiction": NO_JURISDICTION,
                    "created_at": now.timestamp(),
                }
            )
        )
        self._insert(c, OPERATOR, LOCAL, self._person(c, OPERATOR), "Operator", _OPERATOR_ROLES, now)
        rise(c)

    # --- organisations ---

    def add_organisation(
        self, c: sa.Connection, name: str, org_class: OrgClass, jurisdiction: str, now: datetime
    ) -> Organisation:
        """Add an organisation; what it is and where is fixed from then on.

        Raises:
            Invalid: if name or jurisdiction have no valid form.
        """
        made = Organisation(
            new_id("org"), one_line(name, "A name", 200), org_class, check_place(jurisdiction, org_class), now
        )
        c.execute(
            sa.insert(organisations).values(
                {
                    "id": made.id,
                    "name": made.name,
                    "class": str(org_class),
                    "jurisdiction": made.jurisdiction,
                    "created_at": now.timestamp(),
                }
            )
        )
        rise(c)
        return made

    def organisations(self, c: sa.Connection) -> tuple[Organisation, ...]:
        """Read all organisations, the oldest first."""
        rows = c.execute(sa.select(organisations).order_by(organisations.c.created_at, organisations.c.id)).mappings()
        return tuple(
            Organisation(
                r["id"],
                r["name"],
                OrgClass(r["class"]),
                r["jurisdiction"],
                time_of(r["created_at"]),
                None if r["suspended_at"] is None else time_of(r["suspended_at"]),
            )
            for r in rows
        )

    def suspend_organisation(self, c: sa.Connection, organisation: str, at: datetime | None) -> None:
        """Suspend an organisation, or with None let it act again.

        Raises:
            NotFound: if there is none of this id.
        """
        mine = organisations.c.id == organisation
        if not c.execute(sa.update(organisations).where(mine).values(suspended_at=seconds(at))).rowcount:
            raise NotFound(f"There is no organisation {organisation}.", remedy="custodes org list shows all.")
        rise(c)

    # --- people ---

    def add(
        self, c: sa.Connection, organisation: str, identifier: str, name: str, roles: Iterable[Role], now: datetime
    ) -> Principal:
        """Add a person to an organisation.

        Args:
            c: the transaction.
            organisation: where.
            identifier: what tells this human being from all others (an e-mail address, a staff number); kept as a
                keyed hash alone, so that one person with two names is one person.
            name: for tables; personal data.
            roles: what they may do.
            now: when.

        Raises:
            NotFound: if there is no such organisation.
            Conflict: if the person is in the organisation already.
            Invalid: if name or identifier have no valid form, or there is no role.
        """
        granted = frozenset(roles)
        if not granted:
            raise Invalid("A person has at least one role.")
        if not c.execute(sa.select(organisations.c.id).where(organisations.c.id == organisation)).one_or_none():
            raise NotFound(f"There is no organisation {organisation}.", remedy="custodes org list shows all.")
        person = self._person(c, one_line(identifier, "An identifier", 200))
        twin = sa.select(principals.c.id).where(
            principals.c.organisation == organisation, principals.c.person == person
        )
        if c.execute(twin).one_or_none():
            raise Conflict("This person is in the organisation already.")
        made = Principal(new_id("p"), organisation, person, one_line(name, "A name", 200), granted, now)
        self._insert(c, made.id, organisation, person, made.name, granted, now)
        rise(c)
        return made

    @staticmethod
    def _insert(
        c: sa.Connection,
        principal: str,
        organisation: str,
        person: str,
        name: str,
        roles: Iterable[Role],
        now: datetime,
    ) -> None:
        c.execute(
            sa.insert(principals).values(
                id=principal,
                organisation=organisation,
                person=person,
                name=name,
                roles=dump(roles),
                created_at=now.timestamp(),
            )
        )

    def find_person(self, c: sa.Connection, identifier: str) -> str:
        """Return the id of the human being of an identifier.

        Raises:
            NotFound: if nobody has it.
        """
        known: str | None = c.execute(self._of(self._digest(identifier))).scalar_one_or_none()
        if known is None:
            raise NotFound("Nobody has this identifier.")
        return known

    def _digest(self, identifier: str) -> bytes:
        plain = " ".join(unicodedata.normalize("NFKC", identifier).casefold().split())
        return hmac.digest(self._key, plain.encode("utf-8", "surrogatepass"), hashlib.sha256)

    @staticmethod
    def _of(digest: bytes) -> sa.Select[str]:
        return sa.select(people.c.id).where(people.c.identifier == digest)

    def _person(self, c: sa.Connection, identifier: str) -> str:
        digest = self._digest(identifier)
        known: str | None = c.execute(self._of(digest)).scalar_one_or_none()
        if known is None:
            known = new_id("person")
            c.execute(sa.insert(people).values(id=known, identifier=digest))
        return known

    def principals(self, c: sa.Connection) -> tuple[Principal, ...]:
        """Read all principals, the oldest first."""
        learned: dict[str, list[Training]] = {}
        for t in c.execute(sa.select(trainings).order_by(trainings.c.id)):
            learned.setdefault(t.principal, []).append(Training(t.course, time_of(t.since), time_of(t.until)))
        rows = c.execute(sa.select(principals).order_by(principals.c.created_at, principals.c.id))
        return tuple(
            Principal(
                r.id,
                r.organisation,
                r.person,
                r.name,
                frozenset(Role(v) for v in load(r.roles)),
                time_of(r.created_at),
                None if r.suspended_at is None else time_of(r.suspended_at),
                tuple(learned.get(r.id, ())),
            )
            for r in rows
        )

    def set_roles(self, c: sa.Connection, principal: str, roles: Iterable[Role]) -> None:
        """Change what a person may do.

        Raises:
            NotFound: if there is no such principal.
            Invalid: if no role would be left.
        """
        granted = frozenset(roles)
        if not granted:
            raise Invalid("A person has at least one role.", remedy="Suspend the person instead.")
        self._update(c, principal, {"roles": dump(granted)})

    def suspend(self, c: sa.Connection, principal: str, at: datetime | None) -> None:
        """Suspend a person, or with None let them act again.

        Raises:
            NotFound: if there is no such principal.
        """
        self._update(c, principal, {"suspended_at": seconds(at)})

    def _update(self, c: sa.Connection, principal: str, values: dict[str, object]) -> None:
        if not c.execute(sa.update(principals).where(principals.c.id == principal).values(values)).rowcount:
            raise NotFound(f"There is no person {principal}.", remedy="custodes people list shows all.")
        rise(c)

    def train(self, c: sa.Connection, principal: str, training: Training) -> None:
        """Record a training.

        Raises:
            NotFound: if there is no such principal.
            Invalid: if it ends before it begins.
        """
        if training.until <= training.since:
            raise Invalid("A training ends after it begins.")
        if not c.execute(sa.select(principals.c.id).where(principals.c.id == principal)).one_or_none():
            raise NotFound(f"There is no person {principal}.", remedy="custodes people list shows all.")
        c.execute(
            sa.insert(trainings).values(
                principal=principal,
                course=one_line(training.course, "A course", 200),
                since=training.since.timestamp(),
                until=training.until.timestamp(),
            )
        )
        rise(c)
