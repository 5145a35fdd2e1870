# SPDX-License-Identifier: Apache-2.0
"""Invitations to the console: one-time links by which people set their own password, so that nobody else knows it.

An invitation is a credential like a key, and the same rules hold: administrators invite the people of their own
organisation, the operator those of all; who has a key and no login invites themselves for the purposes they have; and
an overseer who has a key or a login is invited by nobody else. An invitation replaces password and authenticator, so
that nobody who has a login makes one for themselves: an open screen would be enough to take it over. One that others
make for somebody who has a login is an alarm to oversight, and they judge nothing until it is answered.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa

from custodes.db import Database
from custodes.errors import Denied, Invalid, NotFound
from custodes.governance import (
    OPERATOR,
    Action,
    AlarmKind,
    Caller,
    Keys,
    Organisation,
    People,
    Principal,
    Purpose,
    Registry,
    Request,
    Role,
    State,
    Use,
)
from custodes.governance.logins import Logins
from custodes.governance.proofs import hash_password
from custodes.governance.request import OrganisationFacts
from custodes.operations.entries import Acting
from custodes.operations.guard import Guard
from custodes.operations.identity import managing, of_overseer
from custodes.operations.signin import LASTS, check_new, in_order

__all__ = ["Access", "Guest", "Invitations", "Invited"]

_HOLDS = timedelta(hours=72)
_BY_CLASS = "base.purpose-of-class"
"""The rule that says which class of organisation uses faces for what."""


@dataclass(frozen=True, slots=True)
class Invited:
    """An invitation that was made; its token is shown here and never again."""

    token: str = field(repr=False)
    principal: str
    purposes: tuple[Purpose, ...]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Guest:
    """Who an invitation is for, as its holder sees it."""

    principal: str
    name: str
    organisation: Organisation
    purposes: tuple[Purpose, ...]
    expires_at: datetime
    renews: bool


@dataclass(frozen=True, slots=True)
class Access:
    """A principal's login, for tables."""

    principal: str
    purposes: tuple[Purpose, ...]
    has_code: bool
    created_at: datetime


class Invitations:
    """Use cases around invitations."""

    def __init__(
        self, guard: Guard, database: Database, registry: Registry, people: People, keys: Keys, logins: Logins
    ) -> None:
        self._guard = guard
        self._db = database
        self._registry = registry
        self._people = people
        self._keys = keys
        self._logins = logins

    def suited(self, principal: str) -> tuple[Purpose, ...]:
        """Return the purposes that somebody may be invited for: what the rules allow their class, or oversight.

        Raises:
            NotFound: if there is no such person.
        """
        with self._db.read() as c:
            state = self._registry.state(c)
            return _suited(state, _holder(state, principal), self._guard.now(c))

    def invite(self, caller: Caller, principal: str, purposes: Iterable[Purpose]) -> Invited:
        """Make an invitation, which ends earlier ones of the same person.

        Args:
            caller: who invites.
            principal: whom.
            purposes: for which they may work at the console.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such person.
            Invalid: if there is no purpose, or one that their organisation doesn't use faces for.
        """
        wanted = in_order(purposes)
        if not wanted:
            raise Invalid("An invitation is for at least one purpose.")
        with self._db.read() as c:
            holder = _holder(self._registry.state(c), principal)
        with self._guard.acting(caller, managing(caller, principal), of=holder.organisation) as acting:
            c, state = acting.connection, acting.permit.state
            self._check_purposes(state, _holder(state, principal), wanted, acting.now)
            own, roles = _is_own(state, caller, principal), state.principals[principal].roles
            has_login, has_one = self._logins.has(c, principal), self._has_credential(c, principal)
            if Role.OVERSIGHT in roles and not own and has_one:
                raise of_overseer()
            if own:
                self._check_own(acting, caller, principal, wanted)
            elif has_login or (has_one and Role.REVIEWER in roles):
                acting.alarm(AlarmKind.LOGIN, holder.organisation, principal)
            token = self._logins.invite(c, principal, wanted, acting.now, _HOLDS)
            acting.note(change="invited", target=principal, purposes=[str(p) for p in wanted], replaces=has_login)
            return Invited(token, principal, wanted, acting.now + _HOLDS)

    @staticmethod
    def _check_purposes(state: State, holder: Principal, wanted: Iterable[Purpose], now: datetime) -> None:
        fit = _suited(state, holder, now)
        strays = [p for p in wanted if p not in fit]
        if strays:
            raise Invalid(
                f"Their organisation does not use faces for {', '.join(strays)}.",
                remedy=f"It may be invited for {', '.join(fit)}." if fit else "",
            )

    def _has_credential(self, c: sa.Connection, principal: str) -> bool:
        return self._logins.has(c, principal) or any(k.principal == principal for k in self._keys.list())

    def _check_own(self, acting: Acting, caller: Caller, principal: str, wanted: Iterable[Purpose]) -> None:
        """Refuse somebody who would invite themselves though they have a login, or for a purpose nobody gave them.

        Raises:
            Denied: if they would.
        """
        if self._logins.has(acting.connection, principal) and not _is_at_the_machine(caller):
            raise Denied(
                "You have a login, so that you can't invite yourself: that would replace your password and "
                "authenticator.",
                remedy="Change your password on the page Account. If your password or authenticator is lost, or for "
                "other purposes, ask another administrator or the operator; an overseer asks two overseers.",
                code="base.own-keys",
            )
        if acting.permit.state.principals[principal].roles & {Role.ADMIN, Role.OPERATOR}:
            return
        held = {k.purpose for k in self._keys.list() if k.principal == principal and k.revoked_at is None}
        held |= {p for o in self._logins.of(acting.connection, [principal]) for p in o.purposes}
        missing = [p for p in wanted if p not in held]
        if missing:
            raise Denied(
                f"You have no key and no login for {', '.join(missing)}, so that you can't invite yourself for it.",
                remedy="Ask your administrator for it.",
                code="base.own-keys",
            )

    def guest(self, token: str) -> Guest:
        """Tell who an invitation is for.

        Raises:
            NotFound: if there is none, or none any more.
        """
        with self._db.read() as c:
            now = self._guard.now(c)
            found = self._logins.invitation(c, token)
            state = self._registry.state(c)
            principal = state.principals[found.principal]
            organisation = state.organisations[principal.organisation]
            if (
                found.used_at is not None
                or now >= found.expires_at
                or principal.suspended_at
                or organisation.suspended_at
            ):
                raise _over()
            return Guest(
                principal.id,
                principal.name,
                organisation,
                in_order(found.purposes),
                found.expires_at,
                self._logins.has(c, principal.id),
            )

    def accept(self, token: str, password: str) -> str:
        """Set a password by an invitation, which is used up by that, and return the token of a session.

        An earlier login of the same person ends, with its authenticator and sessions.

        Raises:
            NotFound: if there is no such invitation, or none any more.
            Invalid: if the password is too short, too long, or a name.
        """
        guest = self.guest(token)
        with self._db.read() as c:
            check_new(self._people, c, self._registry.state(c).principals[guest.principal], password)
        made = hash_password(password)
        with self._db.transaction() as c:
            now = self._guard.now(c)
            if not self._logins.use(c, token, now):
                raise _over()
            replaced = self._logins.has(c, guest.principal)
            self._logins.put(c, guest.principal, made, guest.purposes, now)
            told = {"principal": guest.principal, "console": True, "replaced": replaced}
            self._guard.append_system(c, "login-made", told)
            return self._logins.begin(c, guest.principal, guest.purposes[0], now, LASTS)

    def accesses(self) -> tuple[Access, ...]:
        """List who has a login."""
        with self._db.read() as c:
            return tuple(
                Access(o.principal, in_order(o.purposes), o.has_code, o.created_at) for o in self._logins.all(c)
            )

    def operator_waits(self) -> bool:
        """Tell whether the operator has no login."""
        with self._db.read() as c:
            return not self._logins.has(c, OPERATOR)

    def operator_was_invited(self) -> bool:
        """Tell whether the operator has been invited before."""
        with self._db.read() as c:
            return self._logins.was_invited(c, OPERATOR)


def _is_own(state: State, caller: Caller, principal: str) -> bool:
    """Tell whether somebody invites themselves, under whatever name."""
    me = state.principals.get(caller.principal)
    return me is not None and me.person == state.principals[principal].person


def _is_at_the_machine(caller: Caller) -> bool:
    """Tell whether it is the operator at the machine's command line: with neither a session nor a key."""
    return caller.principal == OPERATOR and not caller.access_key_id and caller.key_expires is None


def _holder(state: State, principal: str) -> Principal:
    """Return a person.

    Raises:
        NotFound: if there is none of this id.
    """
    found = state.principals.get(principal)
    if found is None:
        raise NotFound(f"There is no person {principal}.", remedy="custodes people list shows all.")
    return found


def _suited(state: State, holder: Principal, now: datetime) -> tuple[Purpose, ...]:
    """Ask the rules for which purposes an organisation of this class uses faces."""
    organisation = state.organisations[holder.organisation]
    facts = OrganisationFacts(organisation.org_class, organisation.jurisdiction, organisation.country)

    def fits(purpose: Purpose) -> bool:
        if purpose == Purpose.OVERSIGHT and Role.OVERSIGHT in holder.roles:
            return True
        asked = Request(holder.id, Action.LIST_COLLECTIONS, Use(now, facts, str(purpose)))
        return _BY_CLASS not in {rule.id for rule in state.rules.decide(asked).rules}

    return tuple(p for p in Purpose if fits(p))


def _over() -> NotFound:
    return NotFound("This invitation is used up or over.", remedy="Ask for a new one.")
