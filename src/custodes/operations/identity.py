# SPDX-License-Identifier: Apache-2.0
"""Access keys: making, listing, revoking, and the first one of a new installation."""

from __future__ import annotations

import configparser
import os
from pathlib import Path

from custodes.errors import Invalid, NotFound
from custodes.governance import AccessKey, Keys, Principal, Replays

__all__ = ["Identity"]

_MAX_LABEL = 100
_PROFILE = "custodes"


class Identity:
    """Use cases around access keys."""

    def __init__(self, keys: Keys, replays: Replays, credentials: Path) -> None:
        self._keys = keys
        self._replays = replays
        self._credentials = credentials

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
        """Revoke an access key.

        Raises:
            NotFound: if there is no such key.
        """
        return self._keys.revoke(access_key_id)

    def first_key(self, region: str) -> AccessKey:
        """Return the key that the first start makes, and its secret, from the credentials file in the data folder.

        The file has the format that AWS tools read (profile ``custodes``) and is readable by its owner alone. A
        new key is made if the file is missing or its key was revoked.
        """
        stored = configparser.ConfigParser(interpolation=None)
        stored.read(self._credentials, encoding="utf-8")
        if stored.has_section(_PROFILE):
            key_id = stored[_PROFILE].get("aws_access_key_id", "")
            for key in self._keys.list():
                if key.access_key_id == key_id and key.revoked_at is None:
                    secret = stored[_PROFILE].get("aws_secret_access_key")
                    return AccessKey(key_id, key.label, key.created_at, None, secret)
        key = self.create_key("first key")
        stored[_PROFILE] = {
            "aws_access_key_id": key.access_key_id,
            "aws_secret_access_key": key.secret or "",
            "region": region,
        }
        descriptor = os.open(self._credentials, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            stored.write(file)
        return key

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
