# SPDX-License-Identifier: Apache-2.0
"""The log's private key, in a file that its owner alone may read."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from custodes.db.vault import read_key_file
from custodes.errors import Invalid
from custodes.ledger.checkpoint import KeyKind, VerifierKey

__all__ = ["FileSigner"]

_KEY = 32


class FileSigner:
    """Signs with an Ed25519 key that is in memory.

    Args:
        name: the key's name; of a log its origin.
        private: 32 bytes (RFC 8032's seed).
        kind: what it signs.

    Raises:
        Invalid: if the key has another length, or the name can't be one.
    """

    def __init__(self, name: str, private: bytes, kind: KeyKind = KeyKind.NOTE) -> None:
        if len(private) != _KEY:
            raise Invalid(f"A signing key has {_KEY} bytes, got {len(private)}.")
        self._private = Ed25519PrivateKey.from_private_bytes(private)
        raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
        self._verifier_key = VerifierKey(name, kind, self._private.public_key().public_bytes(*raw))

    @classmethod
    def from_file(cls, path: Path, name: str, kind: KeyKind = KeyKind.NOTE) -> FileSigner:
        """Read the key from a file, which is made with a random key, readable by its owner alone, if absent.

        Raises:
            Invalid: if the file holds anything but 64 hexadecimal digits, or the name can't be one.
            Unavailable: if it can't be read or made.
        """
        return cls(name, read_key_file(path, "signing key"), kind)

    @property
    def name(self) -> str:
        """The key's name."""
        return self._verifier_key.name

    @property
    def verifier_key(self) -> VerifierKey:
        """The public key."""
        return self._verifier_key

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature of a message."""
        return self._private.sign(message)
