# SPDX-License-Identifier: Apache-2.0
"""Access keys: making, listing, revoking, and the first one of a new installation."""

from __future__ import annotations

import configparser
import os
import secrets
from dataclasses import replace
from pathlib import Path

from custodes.errors import Invalid, NotFound, Unavailable
from custodes.governance import AccessKey, Keys, Principal, Replays

__all__ = ["Identity"]

_MAX_LABEL = 100
_PROFILE = "custodes"
_ID = "aws_access_key_id"
_SECRET = "aws_secret_access_key"  # noqa: S105 - the name of a field


class Identity:
    """Use cases around access keys."""

    def __init__(self, keys: Keys, replays: Replays, credentials: Path) -> None:
        self._keys = keys
        self._replays = replays
        self._credentials = credentials

    @property
    def credentials(self) -> Path:
        """The file that holds the first key and its secret, in the format of AWS's tools."""
        return self._credentials

    def create_key(self, label: str = "") -> AccessKey:
        """Make an access key.

        Raises:
            Invalid: if the label is too long or unprintable.
        """
        if len(label) > _MAX_LABEL or not label.isprintable():
            raise Invalid(f"A label has at most {_MAX_LABEL} printable characters.")
        return self._keys.create(label)

    def list_keys(self) -> tuple[AccessKey, ...]:
        """List all access keys, without secrets."""
        return self._keys.list()

    def revoke_key(self, access_key_id: str) -> AccessKey:
        """Revoke an access key; if it is the first one, the credentials file forgets it too.

        Raises:
            NotFound: if there is no such key.
            Invalid: if the credentials file can't be understood.
            Unavailable: if that can't be read or written.
        """
        key = self._keys.revoke(access_key_id)
        stored = self._stored()
        if stored.has_section(_PROFILE) and stored[_PROFILE].get(_ID) == access_key_id:
            stored.remove_section(_PROFILE)
            self._store(stored, new=False)
        return key

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
        key = self.create_key("first key")
        stored[_PROFILE] = {_ID: key.access_key_id, _SECRET: key.secret or "", "region": region}
        if self._store(stored, new=new):
            return key
        self._keys.revoke(key.access_key_id)  # another server that starts at once was first
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
        stored = configparser.ConfigParser(interpolation=None)
        try:
            if self._credentials.exists():
                stored.read_string(self._credentials.read_text(encoding="utf-8"))
        except OSError as e:
            raise Unavailable(f"The credentials file can't be read: {e.strerror}.") from e
        except (configparser.Error, UnicodeDecodeError) as e:
            raise Invalid(
                "The credentials file can't be understood.", remedy="Mend it, or delete it for a new first key."
            ) from e
        return stored

    def _store(self, stored: configparser.ConfigParser, *, new: bool) -> bool:
        """Write the credentials file in one step; False if it should be ``new`` and isn't."""
        draft = self._credentials.with_name(f".{self._credentials.name}.{secrets.token_hex(8)}")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    stored.write(file)
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

    def holder(self, access_key_id: str) -> tuple[Principal, str] | None:
        """Return the principal and the secret of a valid key, or None."""
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
