# SPDX-License-Identifier: Apache-2.0
"""Where ``Image.S3Object`` reads from: folders on this machine, or an S3-compatible service.

A bucket name or key is hostile until parsed: it must not lead out of the buckets' folder, neither by ``..`` nor by a
symbolic link. Whatever goes wrong reads the same to the caller, so that probing tells nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from custodes.config import S3
from custodes.errors import Code, Invalid, TooLarge, Unavailable

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import S3Config

__all__ = ["BucketObject", "Buckets", "LocalBuckets", "S3Buckets"]

_MESSAGE = "Unable to get object metadata from S3. Check object key, region and/or access permissions."


@dataclass(frozen=True, slots=True)
class BucketObject:
    """Names an object in a bucket."""

    bucket: str
    key: str
    version: str | None = None


class Buckets(Protocol):
    """A place that has buckets."""

    def read(self, item: BucketObject, limit: int) -> bytes:
        """Read an object.

        Raises:
            Invalid: if it can't be read (code ``s3``).
            TooLarge: if it has more than ``limit`` bytes (code ``image-bytes``).
        """
        ...


def _too_large(size: int, limit: int) -> TooLarge:
    return TooLarge(f"The object has {size} bytes, at most {limit} are read.", code=Code.IMAGE_BYTES)


class LocalBuckets:
    """Subfolders of one folder as buckets."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, item: BucketObject, limit: int) -> bytes:
        """Read a file; errors are those of the protocol. Versions are not kept here."""
        try:
            root = self._root.resolve(strict=True)
            bucket = root / item.bucket
            path = (bucket / item.key).resolve(strict=True)
            inside = bucket.parent == root and item.bucket not in ("", ".", "..")
            if not inside or item.version is not None or not path.is_relative_to(bucket) or not path.is_file():
                raise Invalid(_MESSAGE, code=Code.S3)
            size = path.stat().st_size
            if size > limit:
                raise _too_large(size, limit)
            return path.read_bytes()
        except (OSError, ValueError) as e:
            raise Invalid(_MESSAGE, code=Code.S3) from e


class S3Buckets:
    """Buckets of an S3-compatible service.

    Raises:
        Unavailable: if the client library isn't installed.
    """

    def __init__(self, settings: S3) -> None:
        try:
            import obstore.store
        except ImportError as e:
            raise Unavailable("Reading from S3 needs a client.", remedy="pip install 'custodes[s3]'") from e
        self._settings = settings
        self._obstore = obstore

    def read(self, item: BucketObject, limit: int) -> bytes:
        """Get an object; errors are those of the protocol."""
        s = self._settings
        known: S3Config = {"endpoint": s.endpoint, "region": s.region, "virtual_hosted_style_request": False}
        if s.access_key_id:
            known |= {"access_key_id": s.access_key_id, "secret_access_key": s.secret_access_key}
        options: GetOptions = {"version": item.version} if item.version else {}
        try:
            store = self._obstore.store.S3Store(
                item.bucket,
                config=known,
                client_options={"allow_http": True, "timeout": "10s"},
                retry_config={"max_retries": 2},
            )
            found = self._obstore.get(store, item.key, options=options)
            size = found.meta["size"]
            if size > limit:
                raise _too_large(size, limit)
            return bytes(found.bytes())
        except (self._obstore.exceptions.BaseError, OSError, ValueError) as e:
            raise Invalid(_MESSAGE, code=Code.S3) from e
