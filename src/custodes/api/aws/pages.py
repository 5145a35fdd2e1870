# SPDX-License-Identifier: Apache-2.0
"""Pagination tokens: a position in one list of one operation, signed so that only our own come back."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct

from custodes.errors import Code, Invalid

__all__ = ["Pages"]

_TAG = 16


class Pages:
    """Makes and reads ``NextToken``.

    Args:
        key: 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def _tag(self, scope: str, position: bytes) -> bytes:
        return hmac.digest(self._key, scope.encode() + b"\0" + position, hashlib.sha256)[:_TAG]

    def write(self, scope: str, position: int) -> str:
        """Return the token for a position; ``scope`` names the list."""
        packed = struct.pack(">q", position)
        return base64.urlsafe_b64encode(packed + self._tag(scope, packed)).decode().rstrip("=")

    def read(self, scope: str, token: str | None) -> int:
        """Return the position of a token, 0 without one.

        Raises:
            Invalid: if it was not made for this list (code ``page-token``).
        """
        if token is None:
            return 0
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as e:
            raise Invalid("Invalid Pagination Token", code=Code.PAGE_TOKEN) from e
        packed, tag = raw[:-_TAG], raw[-_TAG:]
        if len(packed) != 8 or not hmac.compare_digest(tag, self._tag(scope, packed)):
            raise Invalid("Invalid Pagination Token", code=Code.PAGE_TOKEN)
        position: int = struct.unpack(">q", packed)[0]
        return position
