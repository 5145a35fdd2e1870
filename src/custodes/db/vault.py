# SPDX-License-Identifier: Apache-2.0
"""Encryption at rest: every sealed value has a key of its own, wrapped by the master key.

AES-256-GCM (NIST SP 800-38D) twice: the value under a fresh random key, that key under the master key with a random
96-bit nonce. Since a value's key seals that value alone, its nonce is constant. What a value belongs to is bound
as associated data, so a sealed value moved to another row doesn't open. Destroying the wrapped key destroys the
value, wherever copies of it are. Purposes other than sealing get keys derived by HKDF (RFC 5869).

A database remembers a value that is derived from its master key, so that it is never opened, and nothing new is
sealed in it, under another.
"""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from custodes.db.engine import Database, hold, metadata
from custodes.errors import IntegrityError, Invalid, Unavailable

__all__ = ["Sealed", "Vault", "master_key", "read_key_file"]

_KEY = 32
_NONCE = 12
_ZERO = bytes(_NONCE)

master_key = sa.Table("master_key", metadata, sa.Column("fingerprint", sa.LargeBinary, primary_key=True))
"""One row: what :meth:`Vault.derive` makes of the master key for this purpose."""


class Sealed(NamedTuple):
    """An encrypted value and its own key, wrapped."""

    ciphertext: bytes
    wrapped_key: bytes


class Vault:
    """Seals and opens values under one master key.

    Args:
        master: 32 bytes.

    Raises:
        Invalid: if the key has another length.
    """

    def __init__(self, master: bytes) -> None:
        if len(master) != _KEY:
            raise Invalid(f"The master key has {_KEY} bytes, got {len(master)}.")
        self._master = master
        self._wrapping = AESGCM(self.derive("wrap"))

    @classmethod
    def from_file(cls, path: Path) -> Vault:
        """Read the master key from a file, which is made with a random key, readable by its owner alone, if absent.

        Raises:
            Invalid: if the file holds anything but 64 hexadecimal digits.
            Unavailable: if it can't be read or made.
        """
        return cls(read_key_file(path, "master key"))

    @classmethod
    def for_database(cls, database: Database, path: Path) -> Vault:
        """Read the master key of a database as :meth:`from_file` does, and check that it is the database's own.

        Raises:
            IntegrityError: if the database was begun under another key, or its key's file is gone.
            Invalid: as :meth:`from_file`.
            Unavailable: as :meth:`from_file`.
        """
        remedy = "Restore the master key file that was made with this database."
        with database.read() as c:
            known = c.execute(sa.select(master_key.c.fingerprint)).scalar_one_or_none()
        if known is not None and not path.exists():
            raise IntegrityError("The master key file is gone; without it nothing here can be read.", remedy=remedy)
        vault = cls.from_file(path)
        own = vault.derive("fingerprint")
        if known is None:
            with database.transaction() as c:
                hold(c, "custodes.master-key")
                known = c.execute(sa.select(master_key.c.fingerprint)).scalar_one_or_none()
                if known is None:
                    known = own
                    c.execute(sa.insert(master_key).values(fingerprint=own))
        if not hmac.compare_digest(known, own):
            raise IntegrityError("The master key is not the one that this database was begun with.", remedy=remedy)
        return vault

    def derive(self, purpose: str) -> bytes:
        """Derive a 32-byte key for a purpose (HKDF-SHA256)."""
        return HKDF(hashes.SHA256(), _KEY, None, f"custodes/{purpose}".encode()).derive(self._master)

    def seal(self, value: bytes, owner: bytes) -> Sealed:
        """Encrypt ``value`` under a fresh key, bound to ``owner``."""
        key, nonce = secrets.token_bytes(_KEY), secrets.token_bytes(_NONCE)
        return Sealed(AESGCM(key).encrypt(_ZERO, value, owner), nonce + self._wrapping.encrypt(nonce, key, owner))

    def open(self, ciphertext: bytes, wrapped_key: bytes, owner: bytes) -> bytes:
        """Decrypt what :meth:`seal` made for the same ``owner``.

        Raises:
            IntegrityError: if value, key or owner don't belong together or were changed, or the master key is another.
        """
        try:
            key = self._wrapping.decrypt(wrapped_key[:_NONCE], wrapped_key[_NONCE:], owner)
            return AESGCM(key).decrypt(_ZERO, ciphertext, owner)
        except (InvalidTag, ValueError) as e:
            raise IntegrityError("A sealed value doesn't open: it was changed, or the master key is another.") from e


def read_key_file(path: Path, what: str) -> bytes:
    """Read a 32-byte key from a file, which is made with a random key, readable by its owner alone, if absent.

    Args:
        path: the file.
        what: what messages call the key.

    Raises:
        Invalid: if the file holds anything but 64 hexadecimal digits.
        Unavailable: if it can't be read or made.
    """
    try:
        if not path.exists():
            _make_key_file(path)
        text = path.read_text(encoding="ascii")
    except OSError as e:
        raise Unavailable(f"The {what} file can't be read or made: {e.strerror}.") from e
    except UnicodeDecodeError:
        text = ""
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != _KEY:
        raise Invalid(f"The {what} file must hold {2 * _KEY} hexadecimal digits.")
    return key


def _make_key_file(path: Path) -> None:
    """Write a random key; if several processes do so at once, one key wins."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(_KEY) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)  # fails if another process was first
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)  # the key has to outlast whatever it seals
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
