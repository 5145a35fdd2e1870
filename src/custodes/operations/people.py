# SPDX-License-Identifier: Apache-2.0
"""Use cases around organisations and the people in them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from custodes.db import Database
from custodes.errors import Conflict, Denied, NotFound
from custodes.governance import (
    ALL,
    Action,
    Caller,
    Keys,
    Logins,
    Organisation,
    OrgClass,
    People,
    Principal,
    Registry,
    Role,
    Training,
)
from custodes.governance.registry import State
from custodes.operations.entries import Acting
from custodes.operations.guard import Guard

__all__ = ["PeopleOperations"]


class PeopleOperations:
    """Organisations, people, roles, training."""

    def __init__(
        self, guard: Guard, database: Database, registry: Registry, people: People, keys: Keys, logins: Logins
    ) -> None:
        self._guard = guard
        self._db = database
        self._registry = registry
        self._people = people
        self._keys = keys
        self._logins = logins

    def _state(self) -> State:
        with self._db.read() as c:
            return self._registry.state(c)

    def add_organisation(self, caller: Caller, name: str, org_class: OrgClass, jurisdiction: str) -> Organisation:
        """Add an organisation; its class and jurisdiction are fixed from then on.

        Raises:
            Denied: if a rule forbids it.
            Invalid: if name or jurisdiction have no valid form.
        """
        with self._guard.acting(caller, Action.MANAGE_ORGANISATIONS, of=ALL) as acting:
            made = self._people.add_organisation(acting.connection, name, org_class, jurisdiction, acting.now)
            acting.note(change="organisation-added", target=made.id, org_class=str(org_class))
            acting.note(jurisdiction=made.jurisdiction)
            return made

    def organisations(self) -> tuple[Organisation, ...]:
        """List all organisations."""
        return tuple(self._state().organisations.values())

    def suspend_organisation(self, caller: Caller, organisation: str, *, suspended: bool) -> None:
        """Suspend an organisation, or let it act again.

        Raises:
            Denied: if a rule forbids it, as when an overseer is in it.
            NotFound: if there is none of this id.
        """
        members = [p for p in self._state().principals.values() if p.organisation == organisation]
        guarded = self._guard.acting(caller, Action.MANAGE_ORGANISATIONS, of=ALL, dismisses=_overseer(*members))
        with guarded as acting:
            at = acting.now if suspended else None
            self._people.suspend_organisation(acting.connection, organisation, at)
            self._logins.end_all(acting.connection, *(p.id for p in members))
            change = "organisation-suspended" if suspended else "organisation-resumed"
            acting.note(change=change, target=organisation)

    def add(self, caller: Caller, organisation: str, identifier: str, name: str, roles: Iterable[Role]) -> Principal:
        """Add a person to an organisation.

        The operator appoints the first two overseers; from then on two overseers appoint another.

        Args:
            caller: who adds.
            organisation: where.
            identifier: what tells this human being from all others, an e-mail address or a staff number.
            name: for tables.
            roles: what they may do.

        Raises:
            Denied: if a rule forbids it, as with a third overseer.
            NotFound: if there is no such organisation.
            Conflict: if the person is in the organisation already.
            Invalid: if a value can't be meant.
        """
        granted = frozenset(roles)
        guarded = self._guard.acting(
            caller,
            Action.MANAGE_PEOPLE,
            of=ALL if Role.OPERATOR in granted else organisation,
            concerns=organisation,
            appoints=Role.OVERSIGHT if Role.OVERSIGHT in granted else None,
        )
        with guarded as acting:
            made = self._people.add(acting.connection, organisation, identifier, name, granted, acting.now)
            self._keep_apart(acting, made.person)
            acting.note(change="person-added", target=made.id, in_organisation=organisation, person=made.person)
            acting.note(roles=sorted(map(str, granted)))
            return made

    def principals(self) -> tuple[Principal, ...]:
        """List all people."""
        return tuple(self._state().principals.values())

    def principal(self, principal: str) -> Principal:
        """Return a person.

        Raises:
            NotFound: if there is none of this id.
        """
        found = self._state().principals.get(principal)
        if found is None:
            raise NotFound(f"There is no person {principal}.", remedy="custodes people list shows all.")
        return found

    def set_roles(self, caller: Caller, principal: str, roles: Iterable[Role]) -> None:
        """Change what a person may do; two overseers take the oversight role, and give it from the third on.

        Raises:
            Denied: if a rule forbids it, as with the oversight role.
            NotFound: if there is none of this id.
            Invalid: if no role would be left.
        """
        found, granted = self.principal(principal), frozenset(roles)
        guarded = self._guard.acting(
            caller,
            Action.MANAGE_PEOPLE,
            of=ALL if Role.OPERATOR in granted else found.organisation,
            concerns=found.organisation,
            appoints=Role.OVERSIGHT if Role.OVERSIGHT in granted - found.roles else None,
            dismisses=Role.OVERSIGHT if Role.OVERSIGHT in found.roles - granted else None,
        )
        with guarded as acting:
            self._unchanged(acting, found)
            self._people.set_roles(acting.connection, principal, granted)
            self._keep_apart(acting, found.person)
            if Role.OVERSIGHT in granted - found.roles:
                self._keys.forget(principal)  # whoever made them may know their secrets
                self._logins.forget(acting.connection, principal)
            acting.note(change="roles-changed", target=principal, roles=sorted(map(str, granted)))

    def suspend(self, caller: Caller, principal: str, *, suspended: bool) -> None:
        """Suspend a person, or let them act again.

        Raises:
            Denied: if a rule forbids it, as with an overseer.
            NotFound: if there is none of this id.
        """
        found = self.principal(principal)
        guarded = self._guard.acting(caller, Action.MANAGE_PEOPLE, of=found.organisation, dismisses=_overseer(found))
        with guarded as acting:
            self._unchanged(acting, found)
            self._people.suspend(acting.connection, principal, acting.now if suspended else None)
            self._logins.end_all(acting.connection, principal)
            acting.note(change="person-suspended" if suspended else "person-resumed", target=principal)

    def train(self, caller: Caller, principal: str, course: str, since: datetime, until: datetime) -> None:
        """Record that a person was trained, and until when that counts.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is none of this id.
            Invalid: if it ends before it begins.
        """
        found = self.principal(principal)
        with self._guard.acting(caller, Action.MANAGE_PEOPLE, of=found.organisation) as acting:
            self._people.train(acting.connection, principal, Training(course, since, until))
            acting.note(change="training-recorded", target=principal, until=until.isoformat())

    def _keep_apart(self, acting: Acting, person: str) -> None:
        """Refuse one human being as operator and overseer: the second watches the first.

        Raises:
            Denied: if they would be both.
        """
        state = self._registry.state(acting.connection, keep=False)
        if person in state.overseers and state.is_operator(person):
            raise Denied(
                "One person isn't operator and overseer.",
                remedy="Let somebody else take one of the roles.",
                code="base.operator-no-overseer",
            )

    @staticmethod
    def _unchanged(acting: Acting, seen: Principal) -> None:
        """Refuse to go on what was read before the transaction, if it has changed.

        Raises:
            Conflict: if it has.
        """
        known = acting.permit.state.principals.get(seen.id)
        if known is None or known.roles != seen.roles:
            raise Conflict("Their roles were changed meanwhile.", remedy="Try again.")


def _overseer(*people: Principal) -> Role | None:
    """Return the oversight role if any of these people has it: they would lose it in effect."""
    return Role.OVERSIGHT if any(Role.OVERSIGHT in p.roles for p in people) else None
