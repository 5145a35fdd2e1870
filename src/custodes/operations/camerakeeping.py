# SPDX-License-Identifier: Apache-2.0
"""What the server keeps of cameras while they run: the index of their video, and for how long video stays.

Video goes when it was kept long enough, whatever anybody does; what a share or a legal process needs is on hold.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from custodes.cameras.events import EventStore
from custodes.cameras.index import SegmentIndex
from custodes.cameras.model import Camera, Segment, Span, Zone
from custodes.cameras.paths import segment_path
from custodes.cameras.retention import Usage, due, usage
from custodes.cameras.store import CameraStore
from custodes.cameras.survey import survey
from custodes.cameras.wire import Begin
from custodes.config import Config
from custodes.db import Database, make_private_folder

__all__ = ["CameraKeeping", "delete_video", "milliseconds"]

_DAY: Final = timedelta(days=1)
_FOREVER = Span(0, 1 << 62)
_MOST_EVENTS = 1000
"""That are deleted at once."""


class CameraKeeping:
    """Keeps cameras' video, for the worker.

    Args:
        database: where all is.
        store, index, events: of cameras, their video and what happened.
        config: folders and limits.
        holds: tells which stretches of a camera's video are needed yet, whatever its retention says.
    """

    def __init__(
        self,
        database: Database,
        store: CameraStore,
        index: SegmentIndex,
        events: EventStore,
        config: Config,
        holds: Callable[[str], Sequence[Span]] = lambda camera: (),
    ) -> None:
        self._db = database
        self._store = store
        self._index = index
        self._events = events
        self._config = config
        self._holds = holds
        self._moving: dict[str, int] = {}  # since when something moves, by camera

    def usage(self, camera: Camera) -> Usage:
        """Return what of a camera's video is on the disk."""
        with self._db.read() as c:
            segments = self._index.list(c, camera.id, _FOREVER)
            motions = self._motions(c, camera.id)
            spans = self._events.spans(c, camera.id, _FOREVER)
        return usage(segments, motions, spans, camera, self._holds(camera.id))

    def enabled(self) -> tuple[Camera, ...]:
        """Return the cameras of all organisations that are to run."""
        with self._db.read() as c:
            return self._store.list(c, enabled=True)

    def begin_of(self, camera: Camera) -> Begin:
        """Return what a camera's process is told."""
        settings = self._config.cameras
        folder = ""
        if camera.records:
            own = self._config.video / camera.id
            make_private_folder(own)
            folder = str(own.resolve())
        return Begin(
            camera=camera.id,
            url=camera.url,
            substream=camera.substream,
            folder=folder,
            masks=[_corners(z) for z in camera.masks],
            zones=[_corners(z) for z in camera.places] if camera.zones_only else [],
            segment_seconds=settings.segment_seconds,
            frames_per_second=settings.frames_per_second,
            free_bytes=settings.free_bytes,
            most_pixels=settings.most_pixels,
            file_root=settings.files,
        )

    def recover(self, camera: Camera) -> None:
        """Bring index and events in line with the files, before a camera begins to run."""
        with self._db.read() as c:
            known = self._index.sizes(c, camera.id)
        found = survey(self._config.video, camera.id, known, writing=False)
        with self._db.transaction() as c:
            self._index.apply(c, camera.id, found)
            self._events.close_open(c, camera.id)

    def keep_segment(self, segment: Segment) -> None:
        """Take a segment into the index."""
        with self._db.transaction() as c:
            self._index.add(c, segment)

    def begin_motion(self, camera_id: str, at: int) -> None:
        """Note that something has begun to move: what is recorded from then on is motion video."""
        self._moving[camera_id] = at

    def keep_motion(self, camera_id: str, span: Span) -> None:
        """Take a motion that is over into the index."""
        self._moving.pop(camera_id, None)
        with self._db.transaction() as c:
            self._index.add_motion(c, camera_id, span)

    def run_retention(self, now: datetime | None = None) -> int:
        """Delete video that was kept long enough, and video of cameras that are no more; return how many files."""
        at = milliseconds(now or datetime.now(UTC))
        with self._db.read() as c:
            cameras = self._store.list(c)
        gone = self._sweep({k.id for k in cameras})
        for camera in cameras:
            gone += self._retain(camera, at, self._missing())
        return gone

    def _missing(self) -> int:
        """Return how many bytes are missing for the disk to have as much room as it should."""
        folder = self._config.video
        if not folder.exists():
            return 0
        return max(0, self._config.cameras.free_bytes - shutil.disk_usage(folder).free)

    def _retain(self, camera: Camera, at: int, excess: int) -> int:
        with self._db.read() as c:
            segments = self._index.list(c, camera.id, _FOREVER)
            motions = self._motions(c, camera.id)
            spans = self._events.spans(c, camera.id, _FOREVER)
            stale = self._stale(c, camera, at)
        old = due(segments, motions, spans, camera, self._holds(camera.id), at, excess)
        if not (old or stale):
            return 0
        for segment in old:  # first the files: what is left in the index without one, the next rebuild takes out
            segment_path(self._config.video, camera.id, segment.start).unlink(missing_ok=True)
        with self._db.transaction() as c:
            self._index.remove(c, camera.id, [s.start for s in old])
            self._index.forget_motions(c, camera.id, at - _days(camera.retention.event_days))
            self._events.remove(c, stale)
        return len(old)

    def _motions(self, c: sa.Connection, camera_id: str) -> tuple[Span, ...]:
        """Return when something moved, to this moment if it still does."""
        over = self._index.motions(c, camera_id, _FOREVER)
        since = self._moving.get(camera_id)
        return over if since is None else (*over, Span(since, max(since + 1, milliseconds(datetime.now(UTC)))))

    def _stale(self, c: sa.Connection, camera: Camera, at: int) -> Sequence[str]:
        """Return the ids of events that were kept long enough."""
        ended = at - _days(camera.retention.event_days)
        if ended <= 0:
            return ()
        found = self._events.list(c, [camera.id], span=Span(0, ended), limit=_MOST_EVENTS)
        return [e.id for e in found if e.end <= ended and not e.open]

    def _sweep(self, known: set[str]) -> int:
        """Delete the folders of cameras that are no more."""
        folder = self._config.video
        if not folder.exists():
            return 0
        gone = [f for f in folder.iterdir() if f.name.startswith("cam-") and f.name not in known and not f.is_symlink()]
        for left in gone:
            delete_video(folder, left.name)
        return len(gone)


def delete_video(folder: Path, camera_id: str) -> None:
    """Delete all video of a camera that is no more; what is being written yet, the next round of the worker deletes."""
    own = folder / camera_id
    if own.is_dir() and not own.is_symlink():
        shutil.rmtree(own, ignore_errors=True)


def _corners(zone: Zone) -> list[list[float]]:
    return [[x, y] for x, y in zone.points]


def _days(days: float) -> int:
    """Return days in milliseconds."""
    return int(days * _DAY.total_seconds() * 1000)


def milliseconds(moment: datetime) -> int:
    """Return a time in milliseconds since 1970."""
    return int(moment.timestamp() * 1000)
