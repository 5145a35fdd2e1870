# SPDX-License-Identifier: Apache-2.0
"""Uploads on their way into a case: each in a file that is sealed as it is written and opened as it is read.

AES-256-GCM (NIST SP 800-38D) in chunks of 64 KiB under a key of the file's own; a chunk's nonce is its number and
whether it is the last, its associated data the import's id, so that none can be changed, moved, left out or cut off
unnoticed (the STREAM construction, Hoang et al., "Online Authenticated-Encryption and its Nonce-Reuse
Misuse-Resistance", 2015). The key is in the import's row: with the row the content of the file is gone, wherever
copies of it are. No clear copy is ever written.

A file is called as its import. While it is being written its process locks it; one that nobody locks and no import
needs is left over from a process that was killed, and :meth:`Spool.sweep` removes it.
"""

from __future__ import annotations

import fcntl
import io
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from custodes.db import make_private_folder
from custodes.errors import Code, IntegrityError, Invalid, NotFound, TooLarge, Unavailable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["CHUNK", "SealedReader", "Spool"]

CHUNK = 65_536
"""Bytes of an upload that are sealed together."""
_TAG = 16
_KEY = 32


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


class Spool:
    """The folder of uploads.

    Args:
        folder: where; made when it is needed, for its owner alone.
        most: bytes of one upload.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self._folder = folder
        self._most = most

    @contextmanager
    def receive(self, name: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Write an upload, and give its key; if what follows fails, nothing of it stays.

        Args:
            name: what it is called, and bound to.
            chunks: its bytes, as they come.

        Raises:
            TooLarge: if there are too many bytes (code ``body-bytes``).
            Invalid: if there are none.
            Unavailable: if they can't be written, as on a full disk.
        """
        make_private_folder(self._folder)
        path, key = self._folder / name, secrets.token_bytes(_KEY)
        descriptor = self._locked(path)
        try:
            try:
                self._write(descriptor, key, name, chunks)
            except OSError as e:
                raise Unavailable(f"The upload can't be kept: {e.strerror}.", remedy="Try again later.") from e
            yield key
        except BaseException:  # whatever it is, the upload came to nothing
            with suppress(OSError):
                path.unlink()
            raise
        finally:
            os.close(descriptor)

    def _locked(self, path: Path) -> int:
        """Make a file and lock it, so that nobody sweeps it.

        Raises:
            Unavailable: if it can't be made.
        """
        while True:
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            except OSError as e:
                raise Unavailable(f"The upload can't be kept: {e.strerror}.", remedy="Try again later.") from e
            if os.fstat(descriptor).st_nlink:
                return descriptor
            os.close(descriptor)  # swept before it was locked

    def _write(self, descriptor: int, key: bytes, name: str, chunks: Iterable[bytes]) -> None:
        cipher, owner = AESGCM(key), name.encode()
        held, number, size = bytearray(), 0, 0

        def seal(last: bool) -> None:
            nonlocal number
            _write_all(descriptor, cipher.encrypt(_nonce(number, last), bytes(held[:CHUNK]), owner))
            del held[:CHUNK]
            number += 1

        for chunk in chunks:
            size += len(chunk)
            if size > self._most:
                raise TooLarge(
                    f"The upload has more than {self._most} bytes.",
                    remedy="Upload it in parts, or import it at the command line: custodes import zip.",
                    code=Code.BODY_BYTES,
                )
            held += chunk
            while len(held) > CHUNK:  # the last chunk has at least one byte
                seal(last=False)
        if not size:
            raise Invalid("The upload is empty.")
        seal(last=True)
        os.fsync(descriptor)
        self._sync_folder()

    def _sync_folder(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def open(self, name: str, key: bytes) -> io.BufferedReader:
        """Open an upload for reading, anywhere in it.

        Raises:
            IntegrityError: here or when it is read, if it was changed or cut, or the key is another's.
            NotFound: if it is gone.
            Unavailable: if it can't be opened.
        """
        try:
            file = (self._folder / name).open("rb", buffering=0)
        except FileNotFoundError as e:
            raise NotFound("The upload is gone.", remedy="Upload it again.") from e
        except OSError as e:
            raise Unavailable(f"The upload can't be read: {e.strerror}.", remedy="Try again later.") from e
        return io.BufferedReader(SealedReader(file, key, name), CHUNK)

    def remove(self, name: str) -> None:
        """Remove an upload; one that is gone already is no matter."""
        with suppress(OSError):
            (self._folder / name).unlink()

    def sweep(self, needed: Callable[[], frozenset[str]]) -> int:
        """Remove what nobody writes and no import needs, and return how many files that were.

        Args:
            needed: tells the names that imports need; asked when a file is locked, so that one that was being written
                until then has its import by now.
        """
        gone = 0
        with suppress(OSError):  # there is no folder yet
            for path in sorted(self._folder.iterdir()):
                gone += self._swept(path, needed)
        return gone

    @staticmethod
    def _swept(path: Path, needed: Callable[[], frozenset[str]]) -> bool:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.name in needed():
                return False
            path.unlink()
            return True
        except OSError:  # it is being written, or is gone
            return False
        finally:
            os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class SealedReader(io.RawIOBase):
    """Reads a sealed file as if it were clear.

    Args:
        file: the sealed file; closed with this.
        key: its key.
        name: what it is bound to.

    Raises:
        IntegrityError: if it can't be such a file.
    """

    def __init__(self, file: io.FileIO, key: bytes, name: str) -> None:
        super().__init__()
        self._file = file
        self._owner = name.encode()
        sealed = file.seek(0, os.SEEK_END)
        self._chunks = -(-sealed // (CHUNK + _TAG))
        self._size = sealed - _TAG * self._chunks
        if len(key) != _KEY or self._size <= CHUNK * max(self._chunks - 1, 0):
            file.close()
            raise _damaged()
        self._cipher = AESGCM(key)
        self._at = 0
        self._number, self._clear = -1, b""

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that any place can be read."""
        return True

    def tell(self) -> int:
        """Return where the next byte comes from."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place.

        Raises:
            ValueError: if it lies before the beginning.
        """
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError("There is nothing before the beginning.")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read into a buffer what is left of the chunk at hand.

        Raises:
            IntegrityError: if the chunk was changed.
        """
        number, start = divmod(self._at, CHUNK)
        if self._at >= self._size:
            return 0
        if number != self._number:
            self._clear, self._number = self._opened(number), number
        view = memoryview(buffer).cast("B")
        part = self._clear[start : start + len(view)]
        view[: len(part)] = part
        self._at += len(part)
        return len(part)

    def _opened(self, number: int) -> bytes:
        self._file.seek(number * (CHUNK + _TAG))
        sealed = self._file.read(CHUNK + _TAG) or b""
        try:
            return self._cipher.decrypt(_nonce(number, number == self._chunks - 1), sealed, self._owner)
        except (InvalidTag, ValueError) as e:
            raise _damaged() from e

    def close(self) -> None:
        """Close the sealed file too."""
        self._file.close()
        super().close()


def _damaged() -> IntegrityError:
    return IntegrityError("The upload was changed or cut, or its key is another.", remedy="Upload it again.")
