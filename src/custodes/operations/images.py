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

__all__ = ["ImageSource", "Images", "ReadOnce"]

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

    def identify(self, data: bytes) -> bytes:
        """Return 16 bytes that the same image always gets."""
        return hmac.digest(self._key, data, hashlib.sha256)[:16]


class ReadOnce:
    """An image that is read when it is first needed and not again: what was decided on is what is searched for.

    Args:
        images: reads.
        source: from where.
    """

    def __init__(self, images: Images, source: ImageSource) -> None:
        self._images = images
        self._source = source
        self._data: bytes | None = None

    @property
    def content(self) -> bytes:
        """The encoded image; raises as :meth:`Images.read` does."""
        if self._data is None:
            self._data = self._images.read(self._source)
        return self._data

    @property
    def word(self) -> str:
        """The word by which an authority knows it; raises as :meth:`Images.read` does."""
        return f"image:{self._images.digest(self.content).decode()}"
