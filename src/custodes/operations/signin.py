# SPDX-License-Identifier: Apache-2.0
"""The door of the console: invitations, passwords, one-time codes, sessions.

Whatever is wrong with a sign-in, the answer is the same in words and takes as long: an unknown name, a wrong password,
a wrong or used code, too many tries, a suspended person. Passwords are hashed outside of transactions and one at a
time, so that nobody tries many at once. Tries are counted by login for strangers, and apart from theirs for a browser
that was signed in with before and for an open session, so that strangers lock nobody out there.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa

from custodes.db import Database, hold
from custodes.errors import Denied, Invalid, NotFound
from custodes.governance import Caller, Organisation, People, Principal, Purpose, Registry, Role, State
from custodes.governance.logins import Login, Logins, Stay
from custodes.governance.proofs import (
    MOST_PASSWORD,
    check_password,
    hash_password,
    is_stale,
    step_of,
    verify_password,
)
from custodes.operations.browsers import Browsers
from custodes.operations.guard import Guard

__all__ = ["IDLE", "LASTS", "SIGNED_OUT", "Session", "SignIn", "check_new", "in_order"]

SIGNED_OUT = "signed-out"
"""Code of the error that says that there is no session, or none any more."""

IDLE = timedelta(minutes=30)
LASTS = timedelta(hours=12)
"""A session ends so long after its last use, and so long after its beginning."""

_SEEN = timedelta(minutes=1)  # so often it is noted that a session is used
_REFUSALS = 20  # entries a minute
_ORDER = "custodes.sign-in"


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is signed in at the console.

    Attributes:
        key: by what the session is known; it opens nothing.
        principal, name: who.
        organisation: where.
        roles, purposes: what they may do, and for what.
        purpose: what they work for now.
        csrf: what every form has to carry.
        made_at, expires_at: when it began, and when it ends at the latest.
    """

    key: str
    principal: str
    name: str
    organisation: Organisation
    roles: frozenset[Role]
    purposes: tuple[Purpose, ...]
    purpose: Purpose
    csrf: str = field(repr=False)
    made_at: datetime
    expires_at: datetime

    @property
    def caller(self) -> Caller:
        """Who asks, for the purpose that was chosen, and on no ground but that."""
        return Caller(self.principal, self.purpose, key_expires=self.expires_at)


class SignIn:
    """Use cases around being signed in."""

    def __init__(
        self,
        guard: Guard,
        database: Database,
        registry: Registry,
        people: People,
        logins: Logins,
        browsers: Browsers,
    ) -> None:
        self._browsers = browsers
        self._guard = guard
        self._db = database
        self._registry = registry
        self._people = people
        self._logins = logins
        self._turn = threading.Lock()
        self._minute = self._refused = self._untold = 0

    # --- going in and out ---

    def sign_in(self, name: str, password: str, code: str = "", *, browser: str = "") -> str:
        """Begin a session, and return its token.

        Args:
            name: a principal's id, or the person's identifier (an e-mail address, a staff number).
            password: theirs.
            code: of their authenticator, if they have set one up.
            browser: what :meth:`browser` gave this one, by which it isn't held up by the failures of others.

        Raises:
            Denied: if that doesn't prove who they are; it isn't said why.
        """
        with self._turn:
            with self._db.read() as c:
                now = self._guard.now(c)
                tried = self._open(c, self._named(c, name), now, browser)
            login = _matching(tried, password)
            fresh = hash_password(password) if login is not None and is_stale(login.password) else None
            with self._db.transaction() as c:
                hold(c, _ORDER)
                now = self._guard.now(c)
                self._logins.sweep(c, now, IDLE)
                if login is not None and self._is_right(c, login, code, now, browser):
                    return self._begin(c, login, fresh, now, browser)
                for other in self._open(c, [o.principal for o in (tried if login is None else [login])], now, browser):
                    self._failed(c, other, now, browser)
                self._record_refusal(c, now)
        raise Denied(
            "That is not right: name, password or code. After several failures there is a wait before the next try.",
            remedy="Try again a little later, or ask your administrator for an invitation.",
        )

    def _record_refusal(self, c: sa.Connection, now: datetime) -> None:
        """Record that somebody wasn't let in, without a word of whom; of many in one minute the later ones together.

        Anybody may knock: without this, strangers could fill the ledger.
        """
        minute = int(now.timestamp()) // 60
        if minute != self._minute:
            self._minute, self._refused = minute, 0
        self._refused += 1
        if self._refused > _REFUSALS:
            self._untold += 1
            return
        self._guard.append_system(c, "login-refused", {"more": self._untold} if self._untold else {})
        self._untold = 0

    def _named(self, c: sa.Connection, name: str) -> list[str]:
        """Return the principals whom a name may mean."""
        told, state = name.strip(), self._registry.state(c)
        if told in state.principals:
            return [told]
        try:
            person = self._people.find_person(c, told)
        except NotFound:
            return []
        return [p.id for p in state.principals.values() if p.person == person]

    def _open(self, c: sa.Connection, principals: Iterable[str], now: datetime, browser: str) -> list[Login]:
        """Return the logins that may be tried now: of nobody who is suspended, and not too soon after failures."""
        state = self._registry.state(c, keep=False)
        found = [o for o in self._logins.of(c, principals) if not _is_out(state, o.principal)]
        return [o for o in found if not self._is_locked(o, now, browser)]

    def _is_locked(self, login: Login, now: datetime, browser: str) -> bool:
        own = self._browsers.known(browser, login, now)
        return login.is_locked(now) if own is None else self._browsers.is_locked(own, now)

    def _failed(self, c: sa.Connection, login: Login, now: datetime, browser: str) -> None:
        own = self._browsers.known(browser, login, now)
        if own is None:
            self._logins.failed(c, login, now)
        else:
            self._browsers.failed(own, now)

    def _is_right(self, c: sa.Connection, login: Login, code: str, now: datetime, browser: str) -> bool:
        """Tell whether who has the password may go in still, with a code that wasn't used."""
        known = self._open(c, [login.principal], now, browser)
        if not known or known[0].password != login.password:
            return False  # it was changed meanwhile, or others have failed
        return not known[0].has_code or self.spend(c, login.principal, code, now)

    def spend(self, c: sa.Connection, principal: str, code: str, now: datetime) -> bool:
        """Use a code up; False if it is none of now, or was used before."""
        step = step_of(self._logins.code(c, principal), code, now)
        return step is not None and self._logins.spend(c, principal, step)

    def _begin(self, c: sa.Connection, login: Login, fresh: str | None, now: datetime, browser: str) -> str:
        own = self._browsers.known(browser, login, now)
        if own is None:
            self._logins.succeeded(c, login.principal)
        else:
            self._browsers.succeeded(own)  # the failures of strangers stay theirs
        if fresh is not None:
            self._logins.set_password(c, login.principal, fresh)
        token = self._logins.begin(c, login.principal, in_order(login.purposes)[0], now, LASTS)
        self._guard.append_system(c, "login", {"principal": login.principal, "console": True})
        return token

    def browser(self, token: str) -> str:
        """Return what the browser of a session keeps, so that the failures of others don't hold it up from now on.

        Raises:
            Denied: if the session is over.
        """
        with self._db.read() as c:
            now = self._guard.now(c)
            _, login, _ = self.stay(c, token, now)
        return self._browsers.token(login, now)

    def session(self, token: str, *, note: bool = True) -> Session:
        """Return whose a token is, and note that it is used.

        Args:
            token: what the browser has.
            note: whether that is noted, so that the session doesn't end; what leaves no trace isn't.

        Raises:
            Denied: (code :data:`SIGNED_OUT`) if the session is over, or its principal or organisation suspended.
        """
        with self._db.read() as c:
            now = self._guard.now(c)
            stay, login, state = self.stay(c, token, now)
        if note and now - stay.seen_at >= _SEEN:
            with self._db.transaction() as c:
                self._logins.seen(c, stay.key, now)
        principal = state.principals[stay.principal]
        purposes = in_order(login.purposes)
        return Session(
            key=stay.key,
            principal=principal.id,
            name=principal.name,
            organisation=state.organisations[principal.organisation],
            roles=principal.roles,
            purposes=purposes,
            purpose=stay.purpose,
            csrf=stay.csrf,
            made_at=stay.made_at,
            expires_at=stay.expires_at,
        )

    def stay(self, c: sa.Connection, token: str, now: datetime) -> tuple[Stay, Login, State]:
        """Read a session that holds.

        Raises:
            Denied: if there is none.
        """
        try:
            stay = self._logins.stay(c, token)
            login = self._logins.find(c, stay.principal)
        except NotFound as e:
            raise _signed_out() from e
        state = self._registry.state(c)
        over = now >= stay.expires_at or now - stay.seen_at >= IDLE or stay.purpose not in login.purposes
        if over or _is_out(state, stay.principal):
            raise _signed_out()
        return stay, login, state

    def switch_purpose(self, token: str, purpose: Purpose) -> None:
        """Work for another purpose from now on.

        Raises:
            Denied: if the session is over, or its login isn't for this purpose.
        """
        with self._db.transaction() as c:
            stay, login, _ = self.stay(c, token, self._guard.now(c))
            if purpose not in login.purposes:
                raise Denied(
                    f"Your login is not for {purpose}.",
                    remedy="Ask your administrator for an invitation that has this purpose.",
                    code="base.own-keys",
                )
            self._logins.set_purpose(c, stay.key, purpose)

    def sign_out(self, token: str) -> None:
        """End a session; one that is over already is no error."""
        with self._db.transaction() as c:
            try:
                stay = self._logins.stay(c, token)
            except NotFound:
                return
            self._logins.end(c, stay.key)
            self._guard.append_system(c, "logout", {"principal": stay.principal})

    def prove(self, token: str, password: str) -> tuple[Principal, Login]:
        """Have somebody who is signed in give their password again; failures count here and at the door.

        The failures of others don't: who is in already can change a password while strangers try theirs.

        Raises:
            Denied: if the session is over, or the password is another, or there were too many tries.
        """
        with self._turn:
            with self._db.read() as c:
                now = self._guard.now(c)
                stay, login, state = self.stay(c, token, now)
            locked = self._browsers.is_locked(stay.key, now)
            right = _matching([] if locked else [login], password)
            with self._db.transaction() as c:
                hold(c, _ORDER)
                unlocked = self._open(c, [login.principal], self._guard.now(c), "")
                known = self._logins.of(c, [login.principal])
                if right is not None and known and known[0].password == login.password:
                    self._browsers.succeeded(stay.key)
                    if unlocked:
                        self._logins.succeeded(c, login.principal)
                    return state.principals[stay.principal], login
                if not locked:
                    self._browsers.failed(stay.key, now)
                for other in unlocked:
                    self._logins.failed(c, other, now)
        raise Denied(
            "That is not your password. After several failures there is a wait before the next try.",
            remedy="Try again a little later.",
        )


def in_order(purposes: Iterable[Purpose]) -> tuple[Purpose, ...]:
    """Return purposes in the order of their list."""
    given = set(purposes)
    return tuple(p for p in Purpose if p in given)


def check_new(people: People, c: sa.Connection, principal: Principal, password: str) -> None:
    """Refuse a new password that is too short, too long, or says who one is.

    Raises:
        Invalid: if it is.
    """
    told = check_password(password).strip().casefold()
    try:
        own = people.find_person(c, password) == principal.person
    except NotFound:
        own = False
    if own or told in (principal.id, principal.name.casefold()):
        raise Invalid("A password is not a name that others know you by.", remedy="Choose another.")


def _matching(tried: Sequence[Login], password: str) -> Login | None:
    """Return the login whose password this is; with none to try it takes as long as with one."""
    hashes: list[Login | None] = [*tried] or [None]
    right = [o for o in hashes if verify_password(None if o is None else o.password, password) and o is not None]
    return right[0] if right and len(password) <= MOST_PASSWORD else None


def _is_out(state: State, principal: str) -> bool:
    """Tell whether somebody is gone or suspended, or their organisation is."""
    found = state.principals.get(principal)
    if found is None or found.suspended_at is not None:
        return True
    return state.organisations[found.organisation].suspended_at is not None


def _signed_out() -> Denied:
    return Denied("You are not signed in, or not any more.", remedy="Sign in.", code=SIGNED_OUT)
