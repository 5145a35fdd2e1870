# SPDX-License-Identifier: Apache-2.0
"""The console's logins, invitations and sessions.

A login belongs to a principal, a person in an organisation. Tokens are 32 random bytes, and of them the SHA-256 alone
is kept, so that whoever reads the database can't go in by it. The secret of an authenticator has to be recoverable: it
is sealed, not hashed. Every method works in the transaction that it is given.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa

from custodes.db import Database, Vault
from custodes.errors import NotFound
from custodes.governance.request import Purpose
from custodes.governance.rows import dump, load, time_of
from custodes.governance.schema import invitations, logins, sessions

__all__ = ["Invitation", "Login", "Logins", "Stay", "key_of", "wait_until"]

_FREE = 5  # failures before one has to wait
_FIRST_WAIT = timedelta(seconds=30)  # and then twice as long after each
_LONGEST_WAIT = timedelta(minutes=15)
_KEPT = timedelta(days=30)  # so long a used or expired invitation is remembered


@dataclass(frozen=True, slots=True)
class Login:
    """How a principal proves who they are.

    Attributes:
        principal: whose it is.
        password: hash of the password.
        purposes: for which the principal may work at the console.
        has_code: whether codes of an authenticator are asked for.
        failures, locked_until: failures since the last success, and until when no further try counts.
    """

    principal: str
    password: str = field(repr=False)
    purposes: frozenset[Purpose]
    has_code: bool
    failures: int
    locked_until: datetime | None
    created_at: datetime

    def is_locked(self, now: datetime) -> bool:
        """Tell whether it is too early for another try."""
        return self.locked_until is not None and now < self.locked_until


@dataclass(frozen=True, slots=True)
class Invitation:
    """A one-time link by which a principal sets a password."""

    principal: str
    purposes: frozenset[Purpose]
    made_at: datetime
    expires_at: datetime
    used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Stay:
    """A session as it is stored. ``key`` is the hash of its token, in hexadecimal."""

    key: str
    principal: str
    purpose: Purpose
    csrf: str = field(repr=False)
    made_at: datetime
    seen_at: datetime
    expires_at: datetime


def key_of(token: str) -> str:
    """Return by what a token is known: its SHA-256 in hexadecimal."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def wait_until(failures: int, now: datetime) -> datetime | None:
    """Return until when no further try counts after so many failures, the last of them now; None while one may try."""
    if failures < _FREE:
        return None
    doublings: int = min(failures - _FREE, 10)
    return now + min(_LONGEST_WAIT, _FIRST_WAIT * (1 << doublings))


def _hash(token: str) -> bytes:
    return bytes.fromhex(key_of(token))


class Logins:
    """The store of logins, invitations and sessions.

    Args:
        database: whose files forget what is deleted.
        vault: seals the secrets of authenticators.
    """

    def __init__(self, database: Database, vault: Vault) -> None:
        self._db = database
        self._vault = vault

    # --- logins ---

    def of(self, c: sa.Connection, principals: Iterable[str]) -> tuple[Login, ...]:
        """Read the logins of some principals, the oldest first; who has none is left out."""
        mine = sa.select(logins).where(logins.c.principal.in_(list(principals)))
        return _logins(c, mine.order_by(logins.c.created_at, logins.c.principal))

    def all(self, c: sa.Connection) -> tuple[Login, ...]:
        """Read all logins, the oldest first."""
        return _logins(c, sa.select(logins).order_by(logins.c.created_at, logins.c.principal))

    def find(self, c: sa.Connection, principal: str) -> Login:
        """Read a principal's login.

        Raises:
            NotFound: if there is none.
        """
        found = self.of(c, [principal])
        if not found:
            raise NotFound("This person has no login.", remedy="custodes console invite makes one.")
        return found[0]

    def has(self, c: sa.Connection, principal: str) -> bool:
        """Tell whether a principal has a login."""
        return bool(self.of(c, [principal]))

    def put(self, c: sa.Connection, principal: str, password: str, purposes: Iterable[Purpose], now: datetime) -> None:
        """Give a principal a login in place of any earlier one, whose authenticator and sessions end."""
        self.end_all(c, principal)
        c.execute(sa.delete(logins).where(logins.c.principal == principal))
        c.execute(
            sa.insert(logins).values(
                principal=principal,
                password=password,
                purposes=dump(purposes),
                totp_step=0,
                failures=0,
                created_at=now.timestamp(),
            )
        )

    def set_password(self, c: sa.Connection, principal: str, password: str) -> None:
        """Replace a password's hash."""
        self._update(c, principal, {"password": password})

    def forget(self, c: sa.Connection, principal: str) -> None:
        """Delete a principal's login, invitations and sessions, from the files too, as if none had been made."""
        for table in (sessions, invitations, logins):
            c.execute(sa.delete(table).where(table.c.principal == principal))
        self._db.scrub()

    @staticmethod
    def _update(c: sa.Connection, principal: str, values: dict[str, object]) -> None:
        c.execute(sa.update(logins).where(logins.c.principal == principal).values(values))

    # --- tries ---

    def failed(self, c: sa.Connection, login: Login, now: datetime) -> None:
        """Count a failure; from the fifth on the next try has to wait, longer each time."""
        count = login.failures + 1
        until = wait_until(count, now)
        at = None if until is None else until.timestamp()
        self._update(c, login.principal, {"failures": count, "locked_until": at})

    def succeeded(self, c: sa.Connection, principal: str) -> None:
        """Forget failures."""
        self._update(c, principal, {"failures": 0, "locked_until": None})

    # --- authenticators ---

    def put_code(self, c: sa.Connection, principal: str, secret: str) -> None:
        """Keep the secret of an authenticator, which isn't asked for until it is confirmed."""
        sealed = self._vault.seal(secret.encode(), _owner(principal))
        self._update(c, principal, {"totp": sealed.ciphertext, "totp_key": sealed.wrapped_key, "totp_since": None})

    def code(self, c: sa.Connection, principal: str) -> str:
        """Return the secret of an authenticator, confirmed or not.

        Raises:
            NotFound: if there is none.
        """
        row = c.execute(sa.select(logins.c.totp, logins.c.totp_key).where(logins.c.principal == principal)).first()
        if row is None or row.totp is None:
            raise NotFound("There is no authenticator.", remedy="Set one up first.")
        return self._vault.open(row.totp, row.totp_key, _owner(principal)).decode()

    def confirm_code(self, c: sa.Connection, principal: str, now: datetime) -> None:
        """Ask for an authenticator's codes from now on."""
        self._update(c, principal, {"totp_since": now.timestamp()})

    def drop_code(self, c: sa.Connection, principal: str) -> None:
        """Forget an authenticator, in the files too."""
        self._update(c, principal, {"totp": None, "totp_key": None, "totp_since": None})
        self._db.scrub()

    def spend(self, c: sa.Connection, principal: str, step: int) -> bool:
        """Use a code up; False if it, or a later one, was used before."""
        mine = (logins.c.principal == principal) & (logins.c.totp_step < step)
        return c.execute(sa.update(logins).where(mine).values(totp_step=step)).rowcount == 1

    # --- invitations ---

    def invite(
        self, c: sa.Connection, principal: str, purposes: Iterable[Purpose], now: datetime, lasts: timedelta
    ) -> str:
        """Make an invitation, which ends the earlier ones, and return its token: the only place where that is shown."""
        mine = (invitations.c.principal == principal) & invitations.c.used_at.is_(None)
        c.execute(sa.delete(invitations).where(mine))
        token = secrets.token_urlsafe(32)
        c.execute(
            sa.insert(invitations).values(
                token=_hash(token),
                principal=principal,
                purposes=dump(purposes),
                made_at=now.timestamp(),
                expires_at=(now + lasts).timestamp(),
            )
        )
        return token

    def invitation(self, c: sa.Connection, token: str) -> Invitation:
        """Read an invitation, used or expired as it may be.

        Raises:
            NotFound: if there is none of this token.
        """
        row = c.execute(sa.select(invitations).where(invitations.c.token == _hash(token))).one_or_none()
        if row is None:
            raise NotFound("There is no such invitation.", remedy="Ask for a new one.")
        return Invitation(
            row.principal,
            _purposes(row.purposes),
            time_of(row.made_at),
            time_of(row.expires_at),
            None if row.used_at is None else time_of(row.used_at),
        )

    def was_invited(self, c: sa.Connection, principal: str) -> bool:
        """Tell whether a principal has been invited lately, whatever became of it."""
        return bool(c.scalar(sa.select(sa.exists().where(invitations.c.principal == principal))))

    def use(self, c: sa.Connection, token: str, now: datetime) -> bool:
        """Use an invitation up; False if it was used before, or is over."""
        at = now.timestamp()
        mine = (invitations.c.token == _hash(token)) & invitations.c.used_at.is_(None) & (invitations.c.expires_at > at)
        return c.execute(sa.update(invitations).where(mine).values(used_at=at)).rowcount == 1

    # --- sessions ---

    def begin(self, c: sa.Connection, principal: str, purpose: Purpose, now: datetime, lasts: timedelta) -> str:
        """Begin a session, and return its token."""
        token = secrets.token_urlsafe(32)
        c.execute(
            sa.insert(sessions).values(
                token=_hash(token),
                principal=principal,
                purpose=str(purpose),
                csrf=secrets.token_urlsafe(32),
                made_at=now.timestamp(),
                seen_at=now.timestamp(),
                expires_at=(now + lasts).timestamp(),
            )
        )
        return token

    def stay(self, c: sa.Connection, token: str) -> Stay:
        """Read a session, over as it may be.

        Raises:
            NotFound: if there is none of this token.
        """
        row = c.execute(sa.select(sessions).where(sessions.c.token == _hash(token))).mappings().one_or_none()
        if row is None:
            raise NotFound("There is no such session.")
        return _stay(row)

    def stays(self, c: sa.Connection, principal: str) -> tuple[Stay, ...]:
        """Read a principal's sessions, the newest first."""
        mine = sa.select(sessions).where(sessions.c.principal == principal).order_by(sessions.c.made_at.desc())
        return tuple(_stay(row) for row in c.execute(mine).mappings())

    def seen(self, c: sa.Connection, key: str, now: datetime) -> None:
        """Note that a session is being used."""
        c.execute(sa.update(sessions).where(_known(key)).values(seen_at=now.timestamp()))

    def set_purpose(self, c: sa.Connection, key: str, purpose: Purpose) -> None:
        """Change what a session is for."""
        c.execute(sa.update(sessions).where(_known(key)).values(purpose=str(purpose)))

    def end(self, c: sa.Connection, key: str) -> None:
        """End a session; one that is over already is no error."""
        c.execute(sa.delete(sessions).where(_known(key)))

    def end_all(self, c: sa.Connection, *principals: str, but: str | None = None) -> None:
        """End all sessions of some principals, or all but one of them."""
        mine = sessions.c.principal.in_(principals)
        c.execute(sa.delete(sessions).where(mine if but is None else mine & ~_known(but)))

    def sweep(self, c: sa.Connection, now: datetime, idle: timedelta) -> None:
        """Delete sessions that are over, and invitations that are long over."""
        over = (sessions.c.expires_at <= now.timestamp()) | (sessions.c.seen_at <= (now - idle).timestamp())
        c.execute(sa.delete(sessions).where(over))
        c.execute(sa.delete(invitations).where(invitations.c.expires_at <= (now - _KEPT).timestamp()))


def _owner(principal: str) -> bytes:
    return f"totp/{principal}".encode()


def _known(key: str) -> sa.ColumnElement[bool]:
    """Return the condition by which a session is found; a key that is no hash finds none."""
    try:
        return sessions.c.token == bytes.fromhex(key)
    except ValueError:
        return sa.false()


def _purposes(text: str) -> frozenset[Purpose]:
    return frozenset(Purpose(p) for p in load(text))


def _logins(c: sa.Connection, asked: sa.Select[tuple[object, ...]]) -> tuple[Login, ...]:
    return tuple(
        Login(
            principal=r["principal"],
            password=r["password"],
            purposes=_purposes(r["purposes"]),
            has_code=r["totp_since"] is not None,
            failures=r["failures"],
            locked_until=None if r["locked_until"] is None else time_of(r["locked_until"]),
            created_at=time_of(r["created_at"]),
        )
        for r in c.execute(asked).mappings()
    )


def _stay(row: sa.RowMapping) -> Stay:
    return Stay(
        key=row["token"].hex(),
        principal=row["principal"],
        purpose=Purpose(row["purpose"]),
        csrf=row["csrf"],
        made_at=time_of(row["made_at"]),
        seen_at=time_of(row["seen_at"]),
        expires_at=time_of(row["expires_at"]),
    )
