# SPDX-License-Identifier: Apache-2.0
"""Encryption at rest: every sealed value has a key of its own, wrapped by the master key.

AES-256-GCM (NIST SP 800-38D) twice: the value under a fresh random key, that key under the master key with a random
96-bit nonce. Since a value's key seals that value alone, its nonce is constant. What a value belongs to is bound
as associated data, so a sealed value moved to another row doesn't open. Destroying the wrapped key destroys the
value, wherever copies of it are. Purposes other than sealing get keys derived by HKDF (RFC 5869).
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from custodes.errors import IntegrityError, Invalid

__all__ = ["Sealed", "Vault"]

_KEY = 32
_NONCE = 12
_ZERO = bytes(_NONCE)


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
        """
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        if not path.exists():
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(_KEY) + "\n")
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(draft, path)  # fails if another process was first, so that one key wins
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        try:
            return cls(bytes.fromhex(path.read_text(encoding="ascii").strip()))
        except ValueError as e:
            raise Invalid("The master key file must hold 64 hexadecimal digits.") from e

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
