# SPDX-License-Identifier: Apache-2.0
"""Where ``Image.S3Object`` reads from: folders on this machine, or an S3-compatible service.

A bucket name or key is hostile until parsed: it must not lead out of the buckets' folder, neither by ``..`` nor by a
symbolic link. Whatever is wrong with an object reads the same to the caller, so that probing tells nothing; a place
that doesn't answer is another matter, worth another try. Messages, and so logs, name neither bucket nor key.
"""

from __future__ import annotations

import builtins
import errno
import os
import re
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from custodes.config import S3
from custodes.errors import Code, Invalid, TooLarge, Unavailable

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import S3Config, S3Store

__all__ = ["BucketObject", "Buckets", "LocalBuckets", "S3Buckets"]

_STORES = 64  # clients that are kept, one a bucket
_PAGE = 1000  # keys that a service lists at once
_ATTEMPT = timedelta(seconds=5)  # a read holds an inference thread: at most two attempts
_CONNECT = timedelta(seconds=2)
_SICK = frozenset({errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT})
_STATUS = re.compile(r"Error performing GET (\S+) .*?status code: ([0-9]{3})", re.DOTALL)


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
            Invalid: if there is no such object, or it may not be read (code ``s3``).
            Unavailable: if the place doesn't answer.
            TooLarge: if it has more than ``limit`` bytes (code ``image-bytes``).
        """
        ...

    def list(self, bucket: str, prefix: str, limit: int) -> tuple[str, ...]:
        """Return the keys of a bucket below a prefix, by whole parts between slashes, sorted.

        Raises:
            Invalid: if there is no such bucket, it may not be read (code ``s3``), or it has more than ``limit``.
            Unavailable: if the place doesn't answer.
        """
        ...


def _unreadable() -> Invalid:
    return Invalid("There is no such object, or it may not be read.", code=Code.S3)


def _too_many(limit: int) -> Invalid:
    return Invalid(f"There are more than {limit} objects.", remedy="Name a longer prefix.")


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
                raise _unreadable()
            size = path.stat().st_size
            if size > limit:
                raise _too_large(size, limit)
            return path.read_bytes()
        except OSError as e:
            if e.errno in _SICK:
                raise Unavailable(f"The folder of the buckets can't be read: {e.strerror}.") from None
            raise _unreadable() from None
        except ValueError:
            raise _unreadable() from None

    def list(self, bucket: str, prefix: str, limit: int) -> tuple[str, ...]:
        """List files; errors are those of the protocol. Links are listed, and read if they stay in the bucket."""
        try:
            root = self._root.resolve(strict=True)
            top = root / bucket
            start = (top / prefix).resolve(strict=True)
            if bucket in ("", ".", "..") or top.parent != root or not top.is_dir() or not start.is_relative_to(top):
                raise _unreadable()
            keys: builtins.list[str] = []
            for folder, _, names in os.walk(start, onerror=_raise):
                keys += [(Path(folder) / n).relative_to(top).as_posix() for n in names]
                if len(keys) > limit:
                    raise _too_many(limit)
            return tuple(sorted(keys))
        except OSError as e:
            if e.errno in _SICK:
                raise Unavailable(f"The folder of the buckets can't be read: {e.strerror}.") from None
            raise _unreadable() from None
        except ValueError:
            raise _unreadable() from None


def _raise(error: OSError) -> None:
    raise error


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
        self._store = lru_cache(_STORES)(self._open)

    def read(self, item: BucketObject, limit: int) -> bytes:
        """Get an object; errors are those of the protocol."""
        if item.bucket in ("", ".", ".."):
            raise _unreadable()
        options: GetOptions = {"version": item.version} if item.version else {}
        try:
            found = self._obstore.get(self._store(item.bucket), item.key, options=options)
            size = found.meta["size"]
            if size > limit:
                raise _too_large(size, limit)
            return bytes(found.bytes())
        except self._obstore.exceptions.GenericError as e:
            raise self._explained(str(e)) from None  # its text names the object
        except (self._obstore.exceptions.BaseError, OSError, ValueError):
            raise _unreadable() from None

    def list(self, bucket: str, prefix: str, limit: int) -> tuple[str, ...]:
        """List objects, but for empty ones, which stand for folders; errors are those of the protocol."""
        if bucket in ("", ".", ".."):
            raise _unreadable()
        keys: builtins.list[str] = []
        try:
            for page in self._obstore.list(self._store(bucket), prefix or None, chunk_size=_PAGE):
                keys += [o["path"] for o in page if o["size"]]
                if len(keys) > limit:
                    raise _too_many(limit)
        except self._obstore.exceptions.GenericError as e:
            raise self._explained(str(e)) from None  # its text names the bucket
        except (self._obstore.exceptions.BaseError, OSError, ValueError):
            raise _unreadable() from None
        return tuple(sorted(keys))

    def _open(self, bucket: str) -> S3Store:
        s = self._settings
        known: S3Config = {"endpoint": s.endpoint, "region": s.region, "virtual_hosted_style_request": False}
        if s.access_key_id:
            known |= {"access_key_id": s.access_key_id, "secret_access_key": s.secret_access_key}
        return self._obstore.store.S3Store(
            bucket,
            config=known,
            client_options={"allow_http": True, "timeout": _ATTEMPT, "connect_timeout": _CONNECT},
            retry_config={"max_retries": 1, "retry_timeout": _ATTEMPT},
        )

    def _explained(self, failure: str) -> Invalid | Unavailable:
        """Tell a refusal of the object from a failure; the client library tells them by words alone.

        A refusal from elsewhere than the service, such as of credentials by a cloud, is a failure.
        """
        found = _STATUS.search(failure)
        status = int(found[2]) if found and found[1].startswith(self._settings.endpoint) else 0
        if 400 <= status < 500 and status not in (408, 429):
            return _unreadable()
        how = f"answered with status {status}" if status else "didn't answer"
        return Unavailable(f"The S3 service {how}.", remedy="Try again.")
