# SPDX-License-Identifier: Apache-2.0
"""How the rooms' stores seal: words and pictures under a key of each row's own, bound to the row's id."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import orjson
import sqlalchemy as sa

from custodes.db.values import new_id, seconds, time_of
from custodes.db.vault import Vault
from custodes.errors import Invalid

__all__ = ["Sealer", "moment", "new_id", "seconds", "secret_columns", "time_of", "words"]


def moment(value: float | None) -> datetime | None:
    """Return the time of seconds since 1970, or None."""
    return None if value is None else time_of(value)


def words(text: str, what: str, most: int, *, lines: bool = False, empty: bool = True) -> str:
    """Return a text without spaces around it.

    Args:
        text: hostile.
        what: what messages call it.
        most: characters.
        lines: whether it may have several lines.
        empty: whether it may say nothing.

    Raises:
        Invalid: if it is too long, says nothing, or has control characters.
    """
    told = text.strip()
    plain = told.replace("\n", "").replace("\r", "").replace("\t", "") if lines else told
    if len(told) > most or not (told or empty) or not (plain.isprintable() or not plain):
        raise Invalid(f"{what} has {'0' if empty else '1'} to {most} printable characters.")
    return told


def secret_columns() -> tuple[sa.Column[bytes], sa.Column[bytes]]:
    """Return the columns of what :meth:`Sealer.seal_words` makes, which a row has in any case."""
    return sa.Column("secret", sa.LargeBinary, nullable=False), sa.Column("secret_key", sa.LargeBinary, nullable=False)


class Sealer:
    """Seals values for a row.

    Args:
        vault: under whose master key.
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def seal(self, owner: str, value: bytes, name: str = "secret") -> dict[str, bytes]:
        """Return the two columns ``NAME`` and ``NAME_key`` of a value."""
        sealed = self._vault.seal(value, f"{owner}/{name}".encode())
        return {name: sealed.ciphertext, f"{name}_key": sealed.wrapped_key}

    def open(self, owner: str, value: bytes, key: bytes, name: str = "secret") -> bytes:
        """Open what :meth:`seal` made.

        Raises:
            IntegrityError: if it was changed, or is another row's.
        """
        return self._vault.open(value, key, f"{owner}/{name}".encode())

    def seal_words(self, owner: str, told: Mapping[str, object]) -> dict[str, bytes]:
        """Return the columns ``secret`` and ``secret_key`` of JSON values."""
        return self.seal(owner, orjson.dumps(dict(told)))

    def open_words(self, owner: str, value: bytes, key: bytes) -> dict[str, str]:
        """Open what :meth:`seal_words` made, of texts alone.

        Raises:
            IntegrityError: if it was changed, or is another row's.
        """
        read: dict[str, str] = orjson.loads(self.open(owner, value, key))
        return read
