# SPDX-License-Identifier: Apache-2.0
"""Files that one officer alone can open, of any size, a piece at a time.

The head holds a fresh key, sealed for the officer by HPKE (RFC 9180: X25519, HKDF-SHA256, AES-256-GCM). The rest is
sealed with that key, 1 MiB at a time, by the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár, 2015): each
piece's nonce is its number and whether it is the last, so that none can be dropped, doubled, moved or cut off. The
context (which share it is) is bound into the head: what was sealed as one thing opens as nothing else.
"""

from __future__ import annotations

import hashlib
import io
import secrets
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from custodes.cameras.officerkeys import OfficerKey
from custodes.errors import IntegrityError, Invalid

__all__ = ["open_sealed", "open_stream", "seal_for", "seal_stream"]

_MAGIC = b"CUSTODES-SEALED-1\n"
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_HEAD = 32 + 32 + 16  # what HPKE makes of a key: the encapsulated one, the key, the tag
_PIECE = 2**20
_TAG = 16
_MOST = 2**32  # pieces


def _info(context: bytes) -> bytes:
    return b"custodes sealed file 1\x00" + hashlib.sha256(context).digest()


def _nonce(number: int, *, last: bool) -> bytes:
    if number >= _MOST:
        raise Invalid("A sealed file has at most 4 PiB.")
    return bytes(7) + number.to_bytes(4, "big") + bytes([last])


def seal_stream(encryption_key: bytes, source: BinaryIO, out: BinaryIO, context: bytes = b"") -> None:
    """Seal a file for an officer, a MiB at a time.

    Args:
        encryption_key: the officer's: X25519, 32 bytes.
        source: what to seal, read to its end.
        out: where it goes.
        context: what it is; whoever opens it must name the same.

    Raises:
        Invalid: if the key can't be one.
    """
    key = secrets.token_bytes(32)
    try:
        head = _SUITE.encrypt(key, X25519PublicKey.from_public_bytes(encryption_key), _info(context))
    except ValueError as e:
        raise Invalid("Nothing can be sealed for this officer's key.") from e
    out.write(_MAGIC + head)
    cipher, number, piece = AESGCM(key), 0, _read(source, _PIECE)
    while True:
        following = _read(source, _PIECE) if len(piece) == _PIECE else b""
        out.write(cipher.encrypt(_nonce(number, last=not following), piece, None))
        if not following:
            return
        number, piece = number + 1, following


def open_stream(key: OfficerKey, source: BinaryIO, out: BinaryIO, context: bytes = b"") -> None:
    """Open a sealed file, a MiB at a time. What is written is worth nothing if this raises: throw it away.

    Args:
        key: the officer's.
        source: the sealed file; hostile.
        out: where it goes.
        context: what it is.

    Raises:
        IntegrityError: if it is none, was changed or cut off, or is sealed for another key or as something else.
    """
    head = _read(source, len(_MAGIC) + _HEAD)
    if not head.startswith(_MAGIC):
        raise IntegrityError("This is no sealed file.")
    try:
        cipher = AESGCM(_SUITE.decrypt(head[len(_MAGIC) :], key.decryption, _info(context)))
    except (InvalidTag, ValueError) as e:
        raise IntegrityError("It is sealed for another key, or is another share's, or was changed.") from e
    number, piece = 0, _read(source, _PIECE + _TAG)
    while True:
        following = _read(source, _PIECE + _TAG) if len(piece) == _PIECE + _TAG else b""
        try:
            out.write(cipher.decrypt(_nonce(number, last=not following), piece, None))
        except InvalidTag as e:
            raise IntegrityError("The sealed file was changed, or cut off.") from e
        if not following:
            return
        number, piece = number + 1, following


def _read(source: BinaryIO, size: int) -> bytes:
    """Return so many bytes, fewer only at the end; sockets and pipes give them in parts."""
    data = source.read(size)
    if len(data) == size or not data:
        return data
    whole = bytearray(data)
    while len(whole) < size and (data := source.read(size - len(whole))):
        whole += data
    return bytes(whole)


def seal_for(encryption_key: bytes, data: bytes, context: bytes = b"") -> bytes:
    """Seal a few bytes for an officer, as :func:`seal_stream` does a file.

    Raises:
        Invalid: if the key can't be one.
    """
    out = io.BytesIO()
    seal_stream(encryption_key, io.BytesIO(data), out, context)
    return out.getvalue()


def open_sealed(key: OfficerKey, data: bytes, context: bytes = b"") -> bytes:
    """Open what :func:`seal_for` made.

    Raises:
        IntegrityError: as :func:`open_stream`.
    """
    out = io.BytesIO()
    open_stream(key, io.BytesIO(data), out, context)
    return out.getvalue()
