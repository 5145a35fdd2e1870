# SPDX-License-Identifier: Apache-2.0
"""One's own account at the console: password, authenticator, sessions.

Who changes how they prove who they are gives their password again: an open screen is not enough.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from custodes.db import Database
from custodes.errors import Conflict, Invalid, NotFound
from custodes.governance import People, Purpose
from custodes.governance.logins import Logins, key_of
from custodes.governance.proofs import code_uri, hash_password, new_code_secret
from custodes.operations.guard import Guard
from custodes.operations.signin import IDLE, SignIn, check_new

__all__ = ["Accounts", "Authenticator", "Visited"]

_ISSUER = "Custodes"


@dataclass(frozen=True, slots=True)
class Visited:
    """A session as its owner sees it in a list."""

    key: str
    purpose: Purpose
    made_at: datetime
    seen_at: datetime
    expires_at: datetime
    current: bool


@dataclass(frozen=True, slots=True)
class Authenticator:
    """What an authenticator is set up with; shown once."""

    secret: str = field(repr=False)
    uri: str = field(repr=False)


class Accounts:
    """Use cases around one's own login; each takes the token of a session."""

    def __init__(self, guard: Guard, database: Database, people: People, logins: Logins, door: SignIn) -> None:
        self._guard = guard
        self._db = database
        self._people = people
        self._logins = logins
        self._door = door

    # --- sessions ---

    def sessions(self, token: str) -> tuple[Visited, ...]:
        """List one's own sessions, the newest first.

        Raises:
            Denied: if this one is over.
        """
        with self._db.read() as c:
            now = self._guard.now(c)
            mine, _, _ = self._door.stay(c, token, now)
            return tuple(
                Visited(s.key, s.purpose, s.made_at, s.seen_at, s.expires_at, s.key == mine.key)
                for s in self._logins.stays(c, mine.principal)
                if now < s.expires_at and now - s.seen_at < IDLE
            )

    def revoke(self, token: str, key: str) -> None:
        """End one of one's own sessions, by its key.

        Raises:
            Denied: if this one is over.
            NotFound: if there is no such session of one's own.
        """
        with self._db.transaction() as c:
            mine, _, _ = self._door.stay(c, token, self._guard.now(c))
            if key not in {s.key for s in self._logins.stays(c, mine.principal)}:
                raise NotFound("There is no such session.", remedy="It may have ended already.")
            self._logins.end(c, key)
            self._guard.append_system(c, "logout", {"principal": mine.principal})

    # --- passwords ---

    def change_password(self, token: str, old: str, new: str) -> None:
        """Set another password, and end all sessions but this one.

        Raises:
            Denied: if the session is over, or the old password is another.
            Invalid: if the new one is too short, too long, or a name.
        """
        principal, login = self._door.prove(token, old)
        with self._db.read() as c:
            check_new(self._people, c, principal, new)
        made = hash_password(new)
        with self._db.transaction() as c:
            self._logins.set_password(c, login.principal, made)
            self._logins.end_all(c, login.principal, but=key_of(token))
            self._guard.append_system(c, "password-changed", {"principal": login.principal})

    # --- authenticators ---

    def enable_totp(self, token: str, password: str) -> Authenticator:
        """Make an authenticator; its codes are asked for once :meth:`confirm_totp` has seen one.

        Raises:
            Denied: if the session is over, or the password is another.
            Conflict: if there is one already.
        """
        self._door.prove(token, password)
        with self._db.transaction() as c:
            stay, login, _ = self._door.stay(c, token, self._guard.now(c))
            if login.has_code:
                raise Conflict("You have an authenticator already.", remedy="Remove it first.")
            secret = new_code_secret()
            self._logins.put_code(c, stay.principal, secret)
        return Authenticator(secret, code_uri(secret, stay.principal, _ISSUER))

    def pending_totp(self, token: str) -> Authenticator:
        """Return the authenticator that was made and isn't confirmed yet.

        Raises:
            Denied: if the session is over.
            NotFound: if there is none.
        """
        with self._db.read() as c:
            stay, login, _ = self._door.stay(c, token, self._guard.now(c))
            if login.has_code:
                raise NotFound("There is no authenticator to confirm.")
            secret = self._logins.code(c, stay.principal)
        return Authenticator(secret, code_uri(secret, stay.principal, _ISSUER))

    def confirm_totp(self, token: str, code: str) -> None:
        """Ask for the authenticator's codes from now on.

        Raises:
            Denied: if the session is over.
            NotFound: if none was made.
            Conflict: if it is confirmed already.
            Invalid: if the code isn't its.
        """
        with self._db.transaction() as c:
            now = self._guard.now(c)
            stay, login, _ = self._door.stay(c, token, now)
            if login.has_code:
                raise Conflict("Your authenticator is confirmed already.")
            if not self._door.spend(c, stay.principal, code, now):
                raise Invalid("That is not the code of now.", remedy="Check the clock of your device.")
            self._logins.confirm_code(c, stay.principal, now)
            self._guard.append_system(c, "authenticator-added", {"principal": stay.principal})

    def disable_totp(self, token: str, password: str) -> None:
        """Ask for no codes any more.

        Raises:
            Denied: if the session is over, or the password is another.
        """
        _, login = self._door.prove(token, password)
        with self._db.transaction() as c:
            self._logins.drop_code(c, login.principal)
            self._guard.append_system(c, "authenticator-removed", {"principal": login.principal})

    def has_totp(self, token: str) -> bool:
        """Tell whether codes are asked for.

        Raises:
            Denied: if the session is over.
        """
        with self._db.read() as c:
            return self._door.stay(c, token, self._guard.now(c))[1].has_code
