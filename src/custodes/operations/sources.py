# SPDX-License-Identifier: Apache-2.0
"""What an import reads: a folder, a ZIP, a manifest, a bucket or an upload, as entries in a fixed order.

An entry's number is its place in that order, and what became of it is noted by its number; so a digest of the order
is kept with the import, and one that goes on finds the same entries or none. All that is read is hostile: bytes,
names and tables. Nothing is fetched from the network but the objects of the configured buckets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import BinaryIO

from custodes.config import Config
from custodes.errors import Invalid
from custodes.operations.buckets import BucketObject, Buckets
from custodes.operations.folders import Folder, open_file
from custodes.operations.manifests import Told, rows
from custodes.operations.refusals import Reason, unfit
from custodes.operations.spool import Spool
from custodes.operations.zips import ZipFile, is_zip
from custodes.vision.image import is_photo

__all__ = ["Entry", "Source", "SourceKind", "Sources", "check_content"]

_ARCHIVES = (b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\xfd7zXZ\0", b"BZh")
_TAR_AT = 257
_HEAD = 512


class SourceKind(StrEnum):
    """What an import reads."""

    FOLDER = "folder"  # all files in it and in the folders below
    ZIP = "zip"
    MANIFEST = "manifest"  # a CSV table of files beside it
    BUCKET = "bucket"  # objects below BUCKET/PREFIX
    UPLOAD = "upload"  # a ZIP or one photo that was uploaded


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that may be an image.

    Attributes:
        number: its place in the fixed order, from 0.
        name: hostile.
        read: gives its bytes, or raises Invalid with a reason as its code, or Unavailable.
        told: what is said of it alone.
        mark: what else tells it from others, for the digest of the order.
    """

    number: int
    name: str
    read: Callable[[], bytes]
    told: Told = field(default_factory=Told)
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """What an import reads, opened: its entries, and a digest of their order."""

    entries: tuple[Entry, ...]
    listing: str

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Source:
        """Make one of entries."""
        known = tuple(entries)
        digest = hashlib.sha256()
        for entry in known:
            digest.update(f"{entry.name}\0{entry.mark}\n".encode("utf-8", "surrogatepass"))
        return cls(known, digest.hexdigest())


def check_content(data: bytes) -> None:
    """Check by its first bytes that something is a photo.

    Raises:
        Invalid: if it isn't (code ``archive`` or ``not-a-photo``).
    """
    if data.startswith(_ARCHIVES) or data[_TAR_AT : _TAR_AT + 5] == b"ustar":
        raise unfit(Reason.ARCHIVE)
    if not is_photo(data):
        raise unfit(Reason.NOT_A_PHOTO)


class Sources:
    """Opens what imports read.

    Args:
        config: limits.
        buckets: where objects are.
        spool: where uploads are.
    """

    def __init__(self, config: Config, buckets: Buckets, spool: Spool) -> None:
        self._limits = config.imports
        self._most = config.limits.image_bytes
        self._buckets = buckets
        self._spool = spool

    @staticmethod
    def place(kind: SourceKind, location: str) -> str:
        """Return a location as it is kept: the place of a file or folder whatever folder one works in.

        Raises:
            Invalid: if it can't be one.
        """
        try:
            bucket = kind in (SourceKind.BUCKET, SourceKind.UPLOAD)
            return location.strip() if bucket else str(Path(location).expanduser().absolute())
        except (OSError, RuntimeError, ValueError) as e:
            raise Invalid("That is no path.", remedy="Name a file or a folder.") from e

    def open(
        self, kind: SourceKind, location: str, *, upload: str = "", key: bytes = b""
    ) -> AbstractContextManager[Source]:
        """Open what an import reads.

        Args:
            kind, location: what, and where.
            upload, key: what the sealed file of an upload is called, and its key.

        Raises:
            NotFound: if it isn't there.
            Invalid: if it isn't of the kind that it is said to be, or holds too much.
            Unavailable: if it can't be read now.
            IntegrityError: if the upload was changed.
        """
        match kind:
            case SourceKind.FOLDER:
                return self._folder(Path(location))
            case SourceKind.ZIP:
                return self._zip_file(Path(location))
            case SourceKind.MANIFEST:
                return self._manifest(Path(location))
            case SourceKind.BUCKET:
                return self._bucket(location)
            case SourceKind.UPLOAD:
                return self._upload(location, upload, key)

    @contextmanager
    def _folder(self, path: Path) -> Iterator[Source]:
        with Folder(path) as folder:
            files = folder.files(self._limits.entries)
            yield Source.of(Entry(n, "/".join(p), partial(folder.read, p, self._most)) for n, p in enumerate(files))

    @contextmanager
    def _zip_file(self, path: Path) -> Iterator[Source]:
        with open_file(path) as file:
            yield self._zip(file)

    def _zip(self, file: BinaryIO) -> Source:
        archive = ZipFile(
            file,
            entries=self._limits.entries,
            entry_bytes=self._most,
            total_bytes=self._limits.total_bytes,
            ratio=self._limits.ratio,
        )
        kept = (e for e in archive.entries if not e.is_folder)
        return Source.of(
            Entry(n, e.name, partial(archive.read, e), mark=f"{e.start}/{e.size}/{e.crc}") for n, e in enumerate(kept)
        )

    @contextmanager
    def _manifest(self, path: Path) -> Iterator[Source]:
        with open_file(path) as file, Folder(path.parent) as folder:
            found = rows(file, path.parent, self._limits.entries)

            def entries() -> Iterator[Entry]:
                for number, row in enumerate(found):
                    way = partial(_refuse, row.refused) if row.refused else partial(folder.read, row.parts, self._most)
                    yield Entry(number, row.name, way, row.told, mark=repr(row.told))

            yield Source.of(entries())

    @contextmanager
    def _bucket(self, location: str) -> Iterator[Source]:
        bucket, _, prefix = location.partition("/")
        keys = self._buckets.list(bucket, prefix.strip("/"), self._limits.entries)
        yield Source.of(
            Entry(n, k, partial(self._buckets.read, BucketObject(bucket, k), self._most)) for n, k in enumerate(keys)
        )

    @contextmanager
    def _upload(self, name: str, upload: str, key: bytes) -> Iterator[Source]:
        with self._spool.open(upload, key) as file:
            head = file.read(_HEAD)
            file.seek(0)
            if is_zip(head):
                yield self._zip(file)
                return
            check_content(head)
            yield Source.of([Entry(0, name, partial(_whole, file, self._most))])


def _refuse(reason: Reason) -> bytes:
    raise unfit(reason)


def _whole(file: BinaryIO, most: int) -> bytes:
    file.seek(0)
    data = file.read(most + 1)
    if len(data) > most:
        raise unfit(Reason.BYTES)
    return data
