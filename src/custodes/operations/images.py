# SPDX-License-Identifier: Apache-2.0
"""Where an operation's image comes from: the caller itself, or an object in a bucket."""

from __future__ import annotations

import hashlib
import hmac

from custodes.config import Limits
from custodes.errors import Code, TooLarge
from custodes.operations.buckets import BucketObject, Buckets
from custodes.vision.engine import Engine
from custodes.vision.image import Image

__all__ = ["ImageSource", "Images"]

ImageSource = bytes | BucketObject
"""The encoded image, or the object that holds it."""


class Images:
    """Reads images, and names them by their content.

    Args:
        buckets: where objects are.
        limits: the largest image, wherever it comes from.
        key: 32 bytes; an image's id is an HMAC under it, so that the id doesn't tell which image it is.
    """

    def __init__(self, buckets: Buckets, limits: Limits, key: bytes) -> None:
        self._buckets = buckets
        self._limits = limits
        self._key = key

    def read(self, source: ImageSource) -> bytes:
        """Return the encoded image.

        Raises:
            TooLarge: if it has too many bytes. (Rekognition allows fewer in a request; that is the wire's part.)
            Invalid: if the object can't be read.
        """
        most = self._limits.image_bytes
        if isinstance(source, BucketObject):
            return self._buckets.read(source, most)
        if len(source) > most:
            raise TooLarge(f"The image has {len(source)} bytes; at most {most} are taken.", code=Code.IMAGE_BYTES)
        return source

    def decode(self, engine: Engine, source: ImageSource) -> Image:
        """Read an image and decode it.

        Raises:
            Invalid: as :meth:`read` and :meth:`Engine.decode` do.
        """
        return engine.decode(self.read(source))

    @staticmethod
    def digest(data: bytes) -> bytes:
        """Return what the ledger commits to of an image: its SHA-256 in hexadecimal, as anybody can compute it."""
        return hashlib.sha256(data).hexdigest().encode()

    def word(self, source: ImageSource) -> str:
        """Return the word by which an authority knows an image.

        Raises:
            Invalid: as :meth:`read` does.
        """
        return f"image:{self.digest(self.read(source)).decode()}"

    def identify(self, data: bytes) -> bytes:
        """Return 16 bytes that the same image always gets."""
        return hmac.digest(self._key, data, hashlib.sha256)[:16]
