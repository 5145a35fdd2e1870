# SPDX-License-Identifier: Apache-2.0
"""A clip of a camera's recordings as a file for its owner: as it was recorded, or blurred, or with masks black.

A clip of a camera with privacy masks is never the recording itself, in which what they hide can be seen.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from custodes.cameras.index import SegmentIndex
from custodes.cameras.model import Camera, Span
from custodes.db import Database
from custodes.errors import Conflict, Invalid, NotFound, Unavailable
from custodes.governance import Action, Caller
from custodes.operations.cameras import CameraOperations
from custodes.operations.guard import Guard
from custodes.operations.redactor import Clip, Redactor

__all__ = ["ExportOperations", "Exported"]

_MOST = 3600 * 1000
"""Longest clip in milliseconds: it is held in memory."""


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


class ExportOperations:
    """Clips for owners.

    Args:
        guard: authorises and records.
        database, index: what was recorded.
        cameras: whose cameras are whose.
        redactor: makes clips.
    """

    def __init__(
        self,
        guard: Guard,
        database: Database,
        index: SegmentIndex,
        cameras: CameraOperations,
        redactor: Redactor,
    ) -> None:
        self._guard = guard
        self._db = database
        self._index = index
        self._cameras = cameras
        self._redactor = redactor

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
        if span.end - span.start > _MOST:
            raise Invalid(f"A clip lasts at most {_MOST // 60_000} minutes.", remedy="Export it in parts.")
        if path.exists():
            raise Conflict(f"{path.name} is there already.", remedy="Choose another name.")
        with self._guard.using(caller, Action.EXPORT_VIDEO, camera=camera.organisation) as using:
            clip = self._clip(camera, span, blurred=blurred, progress=progress)
            digest = hashlib.sha256(clip.data).hexdigest()
            derivative = clip.derivative is not None
            using.part.note(camera=camera.id, start=span.start, end=span.end, sha256=digest)
            using.part.note(blurred=blurred, derivative=derivative)
            with _placed(path, clip.data), using.committing():
                pass
        return Exported(path, span, clip.real, len(clip.data), digest, derivative, blurred)

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

    def _clip(self, camera: Camera, span: Span, *, blurred: bool, progress: Callable[[int, int], None]) -> Clip:
        with self._db.read() as c:
            segments = self._index.list(c, camera.id, span)
        if not segments:
            raise NotFound("There is no video of that time.", remedy="custodes camera show tells what there is.")
        return self._redactor.make(segments, span, camera.masks, blurred=blurred, progress=progress)


@contextmanager
def _placed(path: Path, data: bytes) -> Iterator[None]:
    """Write a file that its owner alone may read, and let it have its name if all goes well.

    Raises:
        Conflict: if there is one of this name meanwhile.
        Unavailable: if it can't be written.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(data)
        yield
        os.link(draft, path)
    except FileExistsError as e:
        raise Conflict(f"{path.name} is there already.", remedy="Choose another name.") from e
    except OSError as e:
        raise Unavailable(f"{path.name} can't be written: {e.strerror}.") from e
    finally:
        draft.unlink(missing_ok=True)
