# SPDX-License-Identifier: Apache-2.0
"""Private keys of agencies and officers: made offline, each in a file of its owner's; no server ever has one.

An officer has two keys: one signs, with the other packages are opened.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from custodes.cameras.documents import Fields, canonical, is_signed, parse, read_key_file, sign, write_key_file
from custodes.cameras.moments import to_ms
from custodes.errors import Denied

__all__ = [
    "KEY",
    "SIGNATURE",
    "SIGNATURE_LASTS",
    "AgencyKey",
    "OfficerKey",
    "OfficerPublic",
    "agency_id",
    "check_officer_signature",
    "officer_id",
    "officer_signature",
    "read_public",
]

KEY = 32
"""Bytes of a key, of either kind."""
SIGNATURE = 64
"""Bytes of a signature."""
SIGNATURE_LASTS = timedelta(minutes=5)
"""An officer's signature for fetching a share is good for so long, to either side of its time."""

_AGENCY_KEY = "custodes-agency-key-1"
_OFFICER_KEY = "custodes-officer-key-1"
_PUBLIC = "custodes-officer-public-1"
_FETCH = "custodes-share-fetch-1"
_NONCE = re.compile(r"[0-9a-f]{32}")


def _named(prefix: str, key: bytes) -> str:
    return f"{prefix}-{hashlib.sha256(key).hexdigest()[:32]}"


def agency_id(key: bytes) -> str:
    """Return the id of the agency that has a public key."""
    return _named("agency", key)


def officer_id(signing_key: bytes) -> str:
    """Return the id of the certificate of a public key that signs."""
    return _named("officer", signing_key)


@dataclass(frozen=True, slots=True)
class OfficerPublic:
    """The public half of an officer's keys.

    Attributes:
        signing_key: Ed25519, 32 bytes.
        encryption_key: X25519, 32 bytes.
    """

    signing_key: bytes
    encryption_key: bytes


class AgencyKey:
    """An agency's private key; it lies in a file of the agency's, and is given to commands that certify."""

    def __init__(self, signing: bytes) -> None:
        self._signing = Ed25519PrivateKey.from_private_bytes(signing)

    @classmethod
    def generate(cls) -> AgencyKey:
        """Make a new one."""
        return cls(Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def load(cls, path: Path) -> AgencyKey:
        """Read one from its file.

        Raises:
            NotFound: if there is no such file.
            Invalid: if it is no agency's key, or others may read it.
        """
        fields = Fields(parse(read_key_file(path), "An agency's key"), "An agency's key", "form", "signing")
        fields.form(_AGENCY_KEY)
        return cls(fields.raw("signing", KEY))

    def save(self, path: Path) -> None:
        """Write it to a new file for its owner alone.

        Raises:
            Conflict: if the file exists.
            Invalid: if it can't be written.
        """
        write_key_file(path, canonical({"form": _AGENCY_KEY, "signing": self._signing.private_bytes_raw().hex()}))

    @property
    def public(self) -> bytes:
        """The public key: Ed25519, 32 bytes."""
        return self._signing.public_key().public_bytes_raw()

    def sign(self, kind: str, body: object) -> str:
        """Sign a body as a document of a kind, in hexadecimal."""
        return sign(self._signing, kind, body)


class OfficerKey:
    """An officer's two private keys; they lie in a file of the officer's, made offline."""

    def __init__(self, signing: bytes, encryption: bytes) -> None:
        self._signing = Ed25519PrivateKey.from_private_bytes(signing)
        self.decryption = X25519PrivateKey.from_private_bytes(encryption)

    @classmethod
    def generate(cls) -> OfficerKey:
        """Make new ones."""
        return cls(Ed25519PrivateKey.generate().private_bytes_raw(), X25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def load(cls, path: Path) -> OfficerKey:
        """Read them from their file.

        Raises:
            NotFound: if there is no such file.
            Invalid: if it holds no officer's keys, or others may read it.
        """
        what = "An officer's key"
        fields = Fields(parse(read_key_file(path), what), what, "form", "signing", "encryption")
        fields.form(_OFFICER_KEY)
        return cls(fields.raw("signing", KEY), fields.raw("encryption", KEY))

    def save(self, path: Path) -> None:
        """Write them to a new file for its owner alone.

        Raises:
            Conflict: if the file exists.
            Invalid: if it can't be written.
        """
        told = {
            "form": _OFFICER_KEY,
            "signing": self._signing.private_bytes_raw().hex(),
            "encryption": self.decryption.private_bytes_raw().hex(),
        }
        write_key_file(path, canonical(told))

    @property
    def public(self) -> OfficerPublic:
        """Their public half."""
        return OfficerPublic(
            self._signing.public_key().public_bytes_raw(), self.decryption.public_key().public_bytes_raw()
        )

    def public_document(self) -> bytes:
        """Return what the agency needs to certify them; signed, which shows that their owner asks for it."""
        body = {
            "form": _PUBLIC,
            "signing_key": self.public.signing_key.hex(),
            "encryption_key": self.public.encryption_key.hex(),
        }
        return canonical({"body": body, "signature": self.sign(_PUBLIC, body)})

    def sign(self, kind: str, body: object) -> str:
        """Sign a body as a document of a kind, in hexadecimal."""
        return sign(self._signing, kind, body)


def read_public(document: bytes) -> OfficerPublic:
    """Read the public half of an officer's keys; hostile.

    Raises:
        Invalid: if it is none.
        Denied: if its signature doesn't hold.
    """
    what = "An officer's public key"
    whole = Fields(parse(document, what), what, "body", "signature")
    fields = Fields(whole.any("body"), what, "form", "signing_key", "encryption_key")
    fields.form(_PUBLIC)
    made = OfficerPublic(fields.raw("signing_key", KEY), fields.raw("encryption_key", KEY))
    if not is_signed(made.signing_key, _PUBLIC, whole.any("body"), whole.raw("signature", SIGNATURE)):
        raise Denied("The officer's public key isn't signed by itself.", remedy="Ask the officer for it again.")
    return made


# --- fetching what is shared ------------------------------------------------------------------------------------------


def _fetch(share: str, method: str, path: str, at: datetime, nonce: str) -> dict[str, object]:
    return {"form": _FETCH, "share": share, "method": method, "path": path, "at": to_ms(at), "nonce": nonce}


def officer_signature(key: OfficerKey, share_id: str, method: str, path: str, at: datetime, nonce: str) -> str:
    """Sign a request to fetch a share.

    Args:
        key: the officer's.
        share_id: of the share.
        method, path: of the HTTP request.
        at: now.
        nonce: 32 random hexadecimal digits, new for each request.

    Returns:
        128 hexadecimal digits, for a header.
    """
    return key.sign(_FETCH, _fetch(share_id, method, path, at, nonce))


def check_officer_signature(
    signing_key: bytes,
    share_id: str,
    method: str,
    path: str,
    at: datetime,
    nonce: str,
    *,
    signature: str,
    now: datetime,
) -> None:
    """Check the signature of a request to fetch a share. That a nonce comes once alone is for the caller to check.

    Args:
        signing_key: of the officer whom it is shared with.
        share_id: of the share.
        method, path: of the HTTP request.
        at, nonce, signature: what came with it; hostile.
        now: the time.

    Raises:
        Denied: if it isn't the officer's, too old or too new, or malformed.
    """
    try:
        given = bytes.fromhex(signature)
    except ValueError:
        given = b""
    fresh = abs(now - at) <= SIGNATURE_LASTS and _NONCE.fullmatch(nonce) is not None
    if not (fresh and is_signed(signing_key, _FETCH, _fetch(share_id, method, path, at, nonce), given)):
        raise Denied(
            "The request isn't signed by the officer whom this is shared with, or not now.",
            remedy="Fetch it with that officer's key, on a machine whose clock is right.",
        )
