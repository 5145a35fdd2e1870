# SPDX-License-Identifier: Apache-2.0
"""Access keys: making, listing, revoking, and the first one of a new installation."""

from __future__ import annotations

import configparser
import os
import secrets
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from custodes.db import Database
from custodes.errors import Denied, Invalid, NotFound, Unavailable
from custodes.governance import (
    OPERATOR,
    AccessKey,
    Action,
    AlarmKind,
    Caller,
    Keys,
    Logins,
    Principal,
    Provenance,
    Purpose,
    Registry,
    Replays,
    Role,
)
from custodes.operations.entries import Acting
from custodes.operations.guard import Guard

__all__ = ["Identity", "managing", "of_overseer"]

_MAX_LABEL = 100
_MAX_DAYS = 3650
_PROFILE = "custodes"
_ID = "aws_access_key_id"
_SECRET = "aws_secret_access_key"  # noqa: S105 - the name of a field


class Identity:
    """Use cases around access keys."""

    def __init__(
        self,
        guard: Guard,
        database: Database,
        registry: Registry,
        keys: Keys,
        logins: Logins,
        replays: Replays,
        credentials: Path,
    ) -> None:
        self._guard = guard
        self._db = database
        self._registry = registry
        self._keys = keys
        self._logins = logins
        self._replays = replays
        self._credentials = credentials

    @property
    def credentials(self) -> Path:
        """The file that holds the first key and its secret, in the format of AWS's tools."""
        return self._credentials

    def operator(self) -> Caller:
        """Return the operator at the machine itself, who manages photos of its own."""
        return Caller(OPERATOR, Purpose.PHOTO_LIBRARY, provenance=str(Provenance.OWN))

    def from_file(self, path: Path, *, silent: bool = False) -> Caller:
        """Return who calls with the key of a credentials file (profile ``custodes``), and record the login.

        Args:
            path: of the file.
            silent: record neither that somebody has come nor that they were refused: for who looks at requests.

        Raises:
            Denied: if the key is none, or the secret is another.
            Invalid: if the file can't be understood.
            Unavailable: if it can't be read.
        """
        stored = _parsed(path)
        key_id = stored.get(_PROFILE, _ID, fallback="")
        known, secret = self.holder(key_id), stored.get(_PROFILE, _SECRET, fallback="")
        if known is None or not secrets.compare_digest(known[1].encode(), secret.encode()):
            if not silent:
                self._guard.system("login-refused", {})
            raise Denied("The credentials file holds no valid key.", remedy="custodes keys create makes one.")
        if not silent:
            self._guard.system("login", {"principal": known[0].principal, "key": key_id})
        return known[0]

    def create_key(
        self,
        caller: Caller,
        label: str = "",
        *,
        principal: str = OPERATOR,
        purpose: Purpose = Purpose.PHOTO_LIBRARY,
        case: str | None = None,
        authority: str | None = None,
        provenance: str | None = None,
        days: int | None = None,
    ) -> AccessKey:
        """Make an access key.

        An overseer's keys, from the second on, are the overseer's own affair: nobody else gets to hold one. One that
        others make for a reviewer who has a key or a login is an alarm to oversight.

        Args:
            caller: who makes it.
            label: what it is for, in words; it may be personal data.
            principal, purpose: whose it is, and for what alone.
            case, authority: what its requests refer to unless they name another.
            provenance: where the images come from that are enrolled with it.
            days: for how long it is valid.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such person.
            Invalid: if the label is too long or unprintable, or another value can't be meant.
        """
        _check(label, days, provenance)
        with self._db.read() as c:
            state = self._registry.state(c)
            holder = state.principals.get(principal)
            if holder is None:
                raise NotFound(f"There is no person {principal}.", remedy="custodes people list shows all.")
            owners = [self._registry.case(c, state, case).organisation] if case is not None else []
            owners += [self._registry.authority(c, state, authority).organisation] if authority is not None else []
        if any(owner != holder.organisation for owner in owners):
            raise Invalid("A key names cases and authorities of its holder's own organisation.")
        with self._guard.acting(caller, managing(caller, principal), of=holder.organisation) as acting:
            if Role.OVERSIGHT in holder.roles and caller.principal != principal and self._has_one(acting, principal):
                raise of_overseer()
            if caller.principal == principal and not self._may_have(acting, principal, purpose):
                raise Denied(
                    f"You have no key for {purpose}, so that you can't make yourself one.",
                    remedy="Ask your administrator for it.",
                    code="base.own-keys",
                )
            if caller.principal != principal and Role.REVIEWER in holder.roles and self._has_one(acting, principal):
                acting.alarm(AlarmKind.LOGIN, holder.organisation, principal)
            made = self._keys.create(
                label,
                principal=principal,
                purpose=purpose,
                case=case,
                authority=authority,
                provenance=provenance,
                expires_at=None if days is None else acting.now + timedelta(days=days),
            )
            acting.note(change="key-created", target=made.access_key_id, principal=principal, purpose=str(purpose))
        return made

    def _may_have(self, acting: Acting, principal: str, purpose: Purpose) -> bool:
        """Tell whether somebody may make a key of their own for a purpose: as administrator, or if they have one."""
        roles = acting.permit.state.principals[principal].roles
        if roles & {Role.ADMIN, Role.OPERATOR}:
            return True
        mine = [k for k in self._keys.list() if k.principal == principal and k.revoked_at is None]
        return any(k.purpose == purpose for k in mine)

    def _has_one(self, acting: Acting, principal: str) -> bool:
        """Tell whether somebody has a key or a login."""
        return self._logins.has(acting.connection, principal) or any(
            k.principal == principal for k in self._keys.list()
        )

    def list_keys(self) -> tuple[AccessKey, ...]:
        """List all access keys, without secrets."""
        return self._keys.list()

    def revoke_key(self, caller: Caller, access_key_id: str) -> AccessKey:
        """Revoke an access key; if it is the first one, the credentials file forgets it too.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such key.
            Invalid: if the credentials file can't be understood.
            Unavailable: if that can't be read or written.
        """
        holder = self._holder_of(access_key_id)
        with self._guard.acting(caller, managing(caller, holder.id), of=holder.organisation) as acting:
            if Role.OVERSIGHT in holder.roles and caller.principal != holder.id:
                raise of_overseer()
            key = self._keys.revoke(access_key_id)
            acting.note(change="key-revoked", target=access_key_id, principal=key.principal)
        stored = self._stored()
        if stored.has_section(_PROFILE) and stored[_PROFILE].get(_ID) == access_key_id:
            stored.remove_section(_PROFILE)
            self._store(stored, new=False)
        return key

    def _holder_of(self, access_key_id: str) -> Principal:
        """Return whose an access key is.

        Raises:
            NotFound: if there is no such key.
        """
        key = next((k for k in self._keys.list() if k.access_key_id == access_key_id), None)
        if key is None:
            raise NotFound(f"There is no access key {access_key_id}.", remedy="custodes keys list shows all.")
        with self._db.read() as c:
            return self._registry.state(c).principals[key.principal]

    def first_key(self, region: str) -> AccessKey:
        """Return the key that the first start makes, and its secret, from the credentials file in the data folder.

        The file has the format that AWS tools read (profile ``custodes``) and is readable by its owner alone. A
        new key is made if the file is missing or its key was revoked.

        Raises:
            Invalid: if the credentials file can't be understood.
            Unavailable: if that can't be read or written.
        """
        new = not self._credentials.exists()
        stored = self._stored()
        known = self._valid(stored)
        if known is not None:
            return known
        key = self.create_key(self.operator(), "first key", provenance=str(Provenance.OWN))
        stored[_PROFILE] = {_ID: key.access_key_id, _SECRET: key.secret or "", "region": region}
        if self._store(stored, new=new):
            return key
        self.revoke_key(self.operator(), key.access_key_id)  # another server that starts at once was first
        return self.first_key(region)

    def known_first_key(self) -> AccessKey | None:
        """Return the first key if an earlier start has made it and it is valid still.

        Raises:
            Invalid: if the credentials file can't be understood.
            Unavailable: if that can't be read.
        """
        return self._valid(self._stored())

    def _valid(self, stored: configparser.ConfigParser) -> AccessKey | None:
        """Return the key of a credentials file, with its secret, unless it was revoked."""
        if stored.has_section(_PROFILE):
            key_id, secret = stored[_PROFILE].get(_ID, ""), stored[_PROFILE].get(_SECRET, "")
            for key in self._keys.list():
                if secret and key.access_key_id == key_id and key.revoked_at is None:
                    return replace(key, secret=secret)
        return None

    def _stored(self) -> configparser.ConfigParser:
        return _parsed(self._credentials) if self._credentials.exists() else _parser()

    @staticmethod
    def write_credentials(path: Path, key: AccessKey, region: str) -> None:
        """Write a key to a new file in the format of AWS's tools, for its owner alone.

        Raises:
            Unavailable: if it is there, or can't be written.
        """
        stored = _parser()
        stored[_PROFILE] = {_ID: key.access_key_id, _SECRET: key.secret or "", "region": region}
        try:
            _write_new(path, stored)
        except OSError as e:
            raise Unavailable(f"The credentials file can't be written: {e.strerror}.") from e

    def _store(self, stored: configparser.ConfigParser, *, new: bool) -> bool:
        """Write the credentials file in one step; False if it should be ``new`` and isn't."""
        draft = self._credentials.with_name(f".{self._credentials.name}.{secrets.token_hex(8)}")
        try:
            try:
                _write_new(draft, stored)
                if new:
                    os.link(draft, self._credentials)
                else:
                    draft.replace(self._credentials)
            except FileExistsError:
                return False
            finally:
                draft.unlink(missing_ok=True)
        except OSError as e:
            raise Unavailable(f"The credentials file can't be written: {e.strerror}.") from e
        return True

    def holder(self, access_key_id: str) -> tuple[Caller, str] | None:
        """Return who calls with a valid key, and its secret, or None."""
        try:
            return self._keys.find(access_key_id)
        except NotFound:
            return None

    def refuse_copies(self, signature: str, request: str) -> None:
        """Remember a signed request.

        Raises:
            Denied: if it came before.
        """
        self._replays.check(signature, request)


def _check(label: str, days: int | None, provenance: str | None) -> None:
    """Refuse what a key can't be made with.

    Raises:
        Invalid: if a value is too long, out of range or none that there is.
    """
    if len(label) > _MAX_LABEL or not label.isprintable():
        raise Invalid(f"A label has at most {_MAX_LABEL} printable characters.")
    if days is not None and not 1 <= days <= _MAX_DAYS:
        raise Invalid(f"A key is valid for 1 to {_MAX_DAYS} days.")
    if provenance is not None and provenance not in set(Provenance):
        raise Invalid(f"Images come from one of {', '.join(Provenance)}.")


def managing(caller: Caller, principal: str) -> Action:
    """Return what it is to give somebody a credential: of their own, or another's."""
    return Action.MANAGE_OWN_KEYS if caller.principal == principal else Action.MANAGE_KEYS


def of_overseer() -> Denied:
    """Return the error of who would make a credential that is an overseer's own affair."""
    return Denied(
        "An overseer's keys and logins, from the second on, are the overseer's own affair.",
        remedy="If one is lost, two overseers give a new one: custodes easings propose new-key-for-overseer.",
        code="base.overseers-own-keys",
    )


def _write_new(path: Path, stored: configparser.ConfigParser) -> None:
    """Write a file that isn't there yet, for its owner alone."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        stored.write(file)


def _parser() -> configparser.ConfigParser:
    return configparser.ConfigParser(interpolation=None)


def _parsed(path: Path) -> configparser.ConfigParser:
    """Read a credentials file.

    Raises:
        Invalid: if it can't be understood.
        Unavailable: if it can't be read.
    """
    stored = _parser()
    try:
        stored.read_string(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise Unavailable(f"The credentials file can't be read: {e.strerror}.") from e
    except (configparser.Error, UnicodeDecodeError) as e:
        raise Invalid(
            "The credentials file can't be understood.", remedy="Mend it, or delete it for a new first key."
        ) from e
    return stored
