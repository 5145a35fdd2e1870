# SPDX-License-Identifier: Apache-2.0
"""What those who manage look at: people, logins, keys, grounds; of their own organisation, and the operator of all.

Nothing changes by looking. Who may not manage is refused by the same rules as for the acts, and that is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from custodes.db import Database
from custodes.governance import (
    ALL,
    AccessKey,
    Action,
    Authority,
    Caller,
    Consent,
    Organisation,
    Principal,
    Registry,
    Role,
    State,
)
from custodes.operations.grounds import Attested, GroundOperations
from custodes.operations.guard import Guard
from custodes.operations.identity import Identity
from custodes.operations.invitations import Access, Invitations
from custodes.operations.people import PeopleOperations

__all__ = ["Managing", "Person", "Staff"]


@dataclass(frozen=True, slots=True)
class Staff:
    """The people whom somebody manages, with their organisations and logins.

    Attributes:
        now: when they were read.
        organisations: of them, by id.
        people: the oldest first.
        logins: who has one, by principal.
    """

    now: datetime
    organisations: Mapping[str, Organisation]
    people: tuple[Principal, ...]
    logins: Mapping[str, Access]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, their organisation, login and keys."""

    now: datetime
    principal: Principal
    organisation: Organisation
    login: Access | None
    keys: tuple[AccessKey, ...]


class Managing:
    """What those who manage look at.

    Args:
        guard, database, registry: decide, record, know.
        people, identity, invitations, grounds: what is looked at.
    """

    def __init__(
        self,
        guard: Guard,
        database: Database,
        registry: Registry,
        people: PeopleOperations,
        identity: Identity,
        invitations: Invitations,
        grounds: GroundOperations,
    ) -> None:
        self._guard = guard
        self._db = database
        self._registry = registry
        self._people = people
        self._identity = identity
        self._invitations = invitations
        self._grounds = grounds

    def _look(self, caller: Caller, action: Action) -> tuple[State, datetime, frozenset[str]]:
        """Decide whether somebody manages, and return the state, the time, and which organisations they manage.

        Raises:
            Denied: if a rule forbids it.
        """
        with self._db.read() as c:
            state, now = self._registry.state(c), self._guard.now(c)
        own = self._guard.organisation_of(caller)
        whole = Role.OPERATOR in state.principals[caller.principal].roles
        self._guard.check(caller, action, of=ALL if whole else own)
        return state, now, frozenset(state.organisations) if whole else frozenset({own})

    def organisations(self, caller: Caller) -> tuple[Organisation, ...]:
        """List all organisations, for who may add and suspend them.

        Raises:
            Denied: if a rule forbids it.
        """
        state, _, _ = self._look(caller, Action.MANAGE_ORGANISATIONS)
        return tuple(state.organisations.values())

    def staff(self, caller: Caller) -> Staff:
        """List the people whom the caller manages.

        Raises:
            Denied: if a rule forbids it.
        """
        state, now, mine = self._look(caller, Action.MANAGE_PEOPLE)
        people = tuple(p for p in state.principals.values() if p.organisation in mine)
        logins = {a.principal: a for a in self._invitations.accesses()}
        return Staff(now, {o: state.organisations[o] for o in mine}, people, logins)

    def person(self, caller: Caller, principal: str) -> Person:
        """Read about somebody whom the caller manages.

        Raises:
            Denied: if a rule forbids it, as with people of another organisation.
            NotFound: if there is none of this id.
        """
        found = self._people.principal(principal)
        self._guard.check(caller, Action.MANAGE_PEOPLE, of=found.organisation)
        return self._about(found)

    def oneself(self, caller: Caller) -> Person:
        """Read about oneself.

        Raises:
            Denied: if the caller is nobody.
        """
        self._guard.organisation_of(caller)
        return self._about(self._people.principal(caller.principal))

    def _about(self, found: Principal) -> Person:
        with self._db.read() as c:
            state, now = self._registry.state(c), self._guard.now(c)
        logins = [a for a in self._invitations.accesses() if a.principal == found.id]
        keys = tuple(k for k in self._identity.list_keys() if k.principal == found.id)
        return Person(now, found, state.organisations[found.organisation], logins[0] if logins else None, keys)

    def for_new_case(self, caller: Caller) -> tuple[tuple[Principal, ...], tuple[Authority, ...]]:
        """List who may lead a case of the caller's organisation, and on which authorities it may rest today.

        Raises:
            Denied: if a rule forbids the caller to manage cases; of which kinds they open any, is decided with each.
        """
        own = self._guard.organisation_of(caller)
        self._guard.check(caller, Action.MANAGE_CASES, of=own)
        with self._db.read() as c:
            state, now = self._registry.state(c), self._guard.now(c)
        people = tuple(p for p in state.principals.values() if p.organisation == own)
        found = self._grounds.authorities()
        return people, tuple(a for a in found if a.organisation == own and a.not_before <= now < a.not_after)

    # --- grounds ---

    def authorities(self, caller: Caller) -> tuple[Authority, ...]:
        """List the authorities of the caller's organisation, the operator's of all; the newest first.

        Raises:
            Denied: if a rule forbids it.
        """
        _, _, mine = self._look(caller, Action.FILE_AUTHORITY)
        return tuple(a for a in reversed(self._grounds.authorities()) if a.organisation in mine)

    def consents(self, caller: Caller) -> tuple[Consent, ...]:
        """List the consents to being enrolled in collections of the caller's organisation; the newest first.

        Raises:
            Denied: if a rule forbids it.
        """
        _, _, mine = self._look(caller, Action.FILE_CONSENT)
        return tuple(a for a in reversed(self._grounds.consents()) if a.organisation in mine)

    def duties(self, caller: Caller, organisation: str | None = None) -> tuple[Attested, ...]:
        """List the duties of the enabled rulebooks, and who attests to them for an organisation, the caller's own.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such organisation.
        """
        owner = organisation or self._guard.organisation_of(caller)
        self._guard.check(caller, Action.ATTEST_DUTY, of=owner)
        return self._grounds.duties(owner)
