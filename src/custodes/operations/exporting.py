# SPDX-License-Identifier: Apache-2.0
"""A clip of a camera's recordings as a file for its owner: as it was recorded, or blurred, or with masks black.

A clip of a camera with privacy masks is never the recording itself, in which what they hide can be seen. A file has its
name when it is complete and the export is on record, and not before. What is handed out over a network lies in a file
without a name meanwhile, beside the video, and not in memory: who reads slowly holds up nobody.
"""

from __future__ import annotations

import hashlib
import math
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from custodes.cameras.index import SegmentIndex
from custodes.cameras.model import Camera, Span
from custodes.db import Database
from custodes.errors import Conflict, Invalid, NotFound, Unavailable
from custodes.governance import Action, Caller
from custodes.operations.cameras import CameraOperations
from custodes.operations.guard import Guard, Using
from custodes.operations.redactor import Clip, Redactor

__all__ = ["ExportOperations", "Exported", "Taken"]

_MOST = 3600 * 1000
"""Longest clip in milliseconds: it is held in memory while it is made."""
_MOST_TAKEN = 256 * 2**20
"""Most bytes of recorded files of which a clip is made that is handed out."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A clip that was written.

    Attributes:
        path: the file.
        asked, real: what was asked for, and what the clip shows: it begins at the key picture before.
        size: bytes.
        sha256: of the file, hexadecimal.
        derivative: whether it was encoded anew: with masks black, or blurred.
        blurred: whether faces are.
    """

    path: Path
    asked: Span
    real: Span
    size: int
    sha256: str
    derivative: bool
    blurred: bool


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """A clip that was made, to be handed out.

    Attributes:
        file: it, without a name, for its owner alone; whoever hands it out closes it, and then it is gone.
        size, sha256: of the file; the latter hexadecimal.
        real: what it shows.
        derivative: whether it was encoded anew.
    """

    file: BinaryIO
    size: int
    sha256: str
    real: Span
    derivative: bool


class ExportOperations:
    """Clips for owners.

    Args:
        guard: authorises and records.
        database, index: what was recorded.
        cameras: whose cameras are whose.
        redactor: makes clips.
        folder: of recorded video.
    """

    def __init__(
        self,
        guard: Guard,
        database: Database,
        index: SegmentIndex,
        cameras: CameraOperations,
        redactor: Redactor,
        folder: Path,
    ) -> None:
        self._guard = guard
        self._db = database
        self._index = index
        self._cameras = cameras
        self._redactor = redactor
        self._folder = folder

    def export(
        self,
        caller: Caller,
        camera_id: str,
        span: Span,
        path: Path,
        *,
        blurred: bool = False,
        progress: Callable[[int, int], None] = lambda done, of: None,
    ) -> Exported:
        """Write a clip to a file that isn't there yet.

        Args:
            caller: who asks.
            camera_id: which camera, by id or name.
            span: from when to when.
            path: the file, an MP4.
            blurred: whether faces are blurred.
            progress: told how many milliseconds of how many are done, of a clip that is encoded anew.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such camera, or no video of that time.
            Invalid: if the clip would be too long.
            Conflict: if the file is there.
            Unavailable: if it can't be written.
        """
        camera = self._cameras.get(caller, camera_id)
        _check(span)
        if path.exists():
            raise _taken(path)
        with self._guard.using(caller, Action.EXPORT_VIDEO, camera=camera.organisation) as using, _Draft(path) as draft:
            clip, digest = self._made(using, camera, span, blurred=blurred, progress=progress)
            draft.write(clip.data)
            draft.claim()
            with using.committing():
                pass
            draft.place()
        return Exported(path, span, clip.real, len(clip.data), digest, clip.derivative is not None, blurred)

    def take(self, caller: Caller, camera_id: str, span: Span, *, blurred: bool = False) -> Taken:
        """Return a clip, for whoever hands it out.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such camera, or no video of that time.
            Invalid: if the clip would be too long or too large.
            Unavailable: if there is no room for it.
        """
        camera = self._cameras.get(caller, camera_id)
        _check(span)
        with ExitStack() as undo:
            with self._guard.using(caller, Action.EXPORT_VIDEO, camera=camera.organisation) as using:
                clip, digest = self._made(using, camera, span, blurred=blurred, most=_MOST_TAKEN)
                file = undo.enter_context(self._laid_down(clip.data))
            undo.pop_all()
        return Taken(file, len(clip.data), digest, clip.real, clip.derivative is not None)

    def _laid_down(self, data: bytes) -> BinaryIO:
        """Return a file without a name that holds some bytes; it is read from its beginning.

        Raises:
            Unavailable: if it can't be written.
        """
        try:
            file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - whoever hands it out closes it
            try:
                file.write(data)
                file.seek(0)
            except BaseException:
                file.close()
                raise
        except OSError as e:
            raise Unavailable(f"There is no room for the clip: {e.strerror}.", remedy="Make it shorter.") from e
        return file

    def _made(
        self,
        using: Using,
        camera: Camera,
        span: Span,
        *,
        blurred: bool,
        progress: Callable[[int, int], None] = lambda done, of: None,
        most: float = math.inf,
    ) -> tuple[Clip, str]:
        """Make a clip, tell the entry of it, and return it with its SHA-256 in hexadecimal."""
        clip = self._clip(camera, span, blurred=blurred, progress=progress, most=most)
        digest = hashlib.sha256(clip.data).hexdigest()
        using.part.note(camera=camera.id, start=span.start, end=span.end, sha256=digest)
        using.part.note(blurred=blurred, derivative=clip.derivative is not None)
        return clip, digest

    def still(self, caller: Caller, camera_id: str) -> bytes:
        """Return the newest picture that was recorded (JPEG), privacy masks black; that it is looked at is an entry.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such camera, or no video yet.
        """
        camera = self._cameras.get(caller, camera_id)
        with self._guard.using(caller, Action.VIEW_VIDEO, camera=camera.organisation) as using:
            with self._db.read() as c:
                last = self._index.last(c, camera.id)
            if last is None:
                raise NotFound("Nothing has been recorded yet.", remedy="Wait until the camera has run for a while.")
            using.part.note(camera=camera.id, live=False)
            return self._redactor.still(last, camera.masks)

    def glimpse(self, caller: Caller, camera_id: str, after: int = -1) -> tuple[int, bytes] | None:
        """Return the same, and when its file begins, for who has begun to look; that was an entry, and this is none.

        Args:
            caller: who looks.
            camera_id: which camera, by id or name.
            after: beginning of the file whose picture they have; None is returned if there is none since.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such camera.
        """
        camera = self._cameras.get(caller, camera_id)
        self._guard.check_use(caller, Action.VIEW_VIDEO, camera=camera.organisation)
        with self._db.read() as c:
            last = self._index.last(c, camera.id)
        if last is None or last.start <= after:
            return None
        return last.start, self._redactor.still(last, camera.masks)

    def _clip(
        self, camera: Camera, span: Span, *, blurred: bool, progress: Callable[[int, int], None], most: float
    ) -> Clip:
        with self._db.read() as c:
            segments = self._index.list(c, camera.id, span)
        if not segments:
            raise NotFound("There is no video of that time.", remedy="custodes camera show tells what there is.")
        if sum(s.size for s in segments) > most:
            raise Invalid(
                f"A clip of more than {most / 2**20:.0f} MiB of video isn't handed out here.",
                remedy="Make it shorter, or use custodes camera export.",
            )
        return self._redactor.make(segments, span, camera.masks, blurred=blurred, progress=progress)


def _check(span: Span) -> None:
    """Refuse a clip that is too long.

    Raises:
        Invalid: if it is.
    """
    if span.end - span.start > _MOST:
        raise Invalid(f"A clip lasts at most {_MOST // 60_000} minutes.", remedy="Export it in parts.")


class _Draft:
    """A file beside the one that it is to become, for its owner alone; a context manager, which leaves nothing else.

    Names are claimed, not linked: sticks and shares on which clips are carried away may have no links.

    Raises:
        Unavailable: if it can't be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        self._claimed = False

    def __enter__(self) -> Self:
        with self._explained():
            self._draft.touch(0o600, exist_ok=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._draft.unlink(missing_ok=True)
        if self._claimed:
            self._path.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        """Write it, to the disk."""
        with self._explained(), self._draft.open("r+b") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())

    def claim(self) -> None:
        """Let nobody else have the name.

        Raises:
            Conflict: if somebody has it.
        """
        try:
            with self._explained():
                self._path.touch(0o600, exist_ok=False)
        except FileExistsError as e:
            raise _taken(self._path) from e
        self._claimed = True

    def place(self) -> None:
        """Give it the name that it has claimed."""
        with self._explained():
            self._draft.replace(self._path)
        self._claimed = False

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except FileExistsError:
            raise
        except OSError as e:
            raise Unavailable(f"{self._path.name} can't be written: {e.strerror}.") from e


def _taken(path: Path) -> Conflict:
    return Conflict(f"{path.name} is there already.", remedy="Choose another name.")
