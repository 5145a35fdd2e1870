# SPDX-License-Identifier: Apache-2.0
"""Reading what lies below a folder, and nothing else: no link is followed, no device opened.

A folder is held open while it is read, and every file below it is opened step by step from there, so that nothing that
is swapped meanwhile leads elsewhere, and a disk that is taken away is told from a file that is gone.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from custodes.errors import Invalid, NotFound, Unavailable
from custodes.operations.refusals import Reason, unfit

__all__ = ["Folder", "open_file"]

_SICK = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT})
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # opening a pipe doesn't wait


def open_file(path: Path) -> BinaryIO:
    """Open a file that a person has named; links on the way to it are theirs, and followed.

    Raises:
        NotFound: if it can't be opened, or is no file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as e:
        why = e.strerror if isinstance(e, OSError) else "it is no path"
        raise NotFound(f"The file can't be read: {why}.", remedy="Check where it is.") from e
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotFound("That is no file.", remedy="Name a file.")
    return os.fdopen(descriptor, "rb")


class Folder:
    """A folder that is held open; end it with :meth:`close`, or by ``with``.

    Args:
        path: which; links on the way to it are those of whoever names it, and followed.

    Raises:
        NotFound: if there is none that can be read.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (OSError, ValueError) as e:
            why = e.strerror if isinstance(e, OSError) else "it is no path"
            raise NotFound(f"The folder can't be read: {why}.", remedy="Check where it is.") from e

    def __enter__(self) -> Folder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let it go."""
        os.close(self._root)

    def files(self, most: int) -> list[tuple[str, ...]]:
        """Return what lies in the folder and the folders below it, but for these, as parts of paths, sorted.

        Raises:
            Invalid: if that is more than ``most``.
            Unavailable: if the folder can't be read any more.
        """
        found: list[tuple[str, ...]] = []
        for parts in self._walk():
            found.append(parts)
            if len(found) > most:
                raise Invalid(f"The folder holds more than {most} files.", remedy="Import it in parts.")
        return sorted(found)

    def _walk(self) -> Iterator[tuple[str, ...]]:
        waiting: list[tuple[str, ...]] = [()]
        while waiting:
            parts = waiting.pop()
            try:
                descriptor = self._open(parts, folder=True)
            except Invalid:  # it can't be entered, which is told of it
                yield parts
                continue
            try:
                with os.scandir(descriptor) as entries:
                    for entry in entries:
                        below = (*parts, entry.name)
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(below)
                        else:
                            yield below
            except OSError as e:
                raise _gone(e) from e
            finally:
                os.close(descriptor)

    def read(self, parts: Sequence[str], most: int) -> bytes:
        """Read a file.

        Args:
            parts: its path below the folder; hostile.
            most: bytes that are taken.

        Raises:
            Invalid: if it is too large, or none that is read; the code is the reason.
            Unavailable: if the folder can't be read any more.
        """
        descriptor = self._open(parts)
        with os.fdopen(descriptor, "rb") as file:
            kind = os.fstat(descriptor)
            if not stat.S_ISREG(kind.st_mode):  # it was swapped since
                raise unfit(Reason.SPECIAL)
            size = kind.st_size
            try:
                data = b"" if size > most else file.read(size + 1)
            except OSError as e:
                raise self._explained(e) from e
        if size > most:
            raise unfit(Reason.BYTES)
        if len(data) != size:
            raise unfit(Reason.UNREADABLE, "It was changed while it was read.")
        return data

    def _open(self, parts: Sequence[str], *, folder: bool = False) -> int:
        """Open a file that lies below the folder, or a folder.

        Raises:
            Invalid: if it can't be; the code is the reason.
            Unavailable: if the folder can't be read any more.
        """
        if any(p in ("", ".", "..") or "/" in p or "\0" in p for p in parts):
            raise unfit(Reason.OUTSIDE)
        at = os.dup(self._root)
        for number, part in enumerate(parts, 1):
            try:
                below = self._step(at, part, folder=folder or number < len(parts))
            except OSError as e:
                raise self._explained(e) from e
            finally:
                os.close(at)
            at = below
        return at

    @staticmethod
    def _step(at: int, part: str, *, folder: bool) -> int:
        mode = os.stat(part, dir_fd=at, follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            raise unfit(Reason.LINK)
        if folder != stat.S_ISDIR(mode):
            raise unfit(Reason.MISSING if folder else Reason.UNREADABLE)
        if not folder and not stat.S_ISREG(mode):
            raise unfit(Reason.SPECIAL)  # it isn't even opened
        return os.open(part, _FLAGS | (os.O_DIRECTORY if folder else 0), dir_fd=at)

    def _explained(self, error: OSError) -> Invalid | Unavailable:
        """Tell what is wrong with a file from what is wrong with the folder, or with this machine."""
        if error.errno in _SICK:
            return _gone(error)
        try:
            with os.scandir(self._root) as entries:
                next(entries, None)
        except OSError as e:
            return _gone(e)
        return unfit(Reason.MISSING if error.errno == errno.ENOENT else Reason.UNREADABLE)


def _gone(error: OSError) -> Unavailable:
    return Unavailable(f"The folder can't be read any more: {error.strerror}.", remedy="Try again when it is back.")
