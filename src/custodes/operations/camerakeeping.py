# SPDX-License-Identifier: Apache-2.0
"""What the server keeps of cameras while they run: the index of their video, and for how long video stays.

Video goes when it was kept long enough, whatever anybody does; what a share needs is on hold. When
the disk is full, the oldest of the cheapest kind goes first, of all cameras together. Nothing is deleted through a
link.

What a camera's process says of a file is compared with the file. A clock that has leapt ahead makes nothing old: for a
day, while somebody may notice, video goes only where the disk is full.
"""

from __future__ import annotations

import contextlib
import math
import re
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Final

import sqlalchemy as sa
import structlog

from custodes.cameras.events import EventStore
from custodes.cameras.index import SegmentIndex
from custodes.cameras.model import Camera, Segment, Span, Zone
from custodes.cameras.moments import to_ms
from custodes.cameras.mp4 import size_of
from custodes.cameras.paths import open_segment, segment_path
from custodes.cameras.retention import Kind, Usage, due, kinds, usage
from custodes.cameras.store import CameraStore
from custodes.cameras.survey import survey
from custodes.cameras.wire import Begin
from custodes.config import Config
from custodes.db import Database, make_private_folder
from custodes.errors import IntegrityError, Unavailable

__all__ = ["CameraKeeping", "delete_video"]

_log = structlog.get_logger("custodes.cameras")
_DAY: Final = timedelta(days=1)
_FOREVER = Span(0, 1 << 62)
_MOST_EVENTS = 1000
"""That are deleted at once."""
_OURS = re.compile(r"cam-[0-9a-f]{16}")
"""How a camera's folder is called; what is called otherwise isn't ours to delete."""
_CHEAPEST = tuple(Kind)
_MOST_ROUNDS = 10
"""In which room is made at once, if files turn out to be smaller than was believed."""
_LOOKING = 20.0
"""Seconds for which the files of a paused camera are looked through at once: the others' wait meanwhile."""
_LEAP = 3600.0
_DOUBT = _DAY.total_seconds()
"""Seconds by which a clock leaps at least, and for which it is not believed then."""


@dataclass(frozen=True, slots=True)
class _Video:
    """What there is of a camera: its complete files, when something moved, when there were events, what is on hold."""

    camera: Camera
    segments: tuple[Segment, ...]
    motions: tuple[Span, ...]
    events: tuple[Span, ...]
    holds: Sequence[Span]

    def due(self, now: int, excess: int = 0) -> tuple[Segment, ...]:
        """Return what is to be deleted, as :func:`~custodes.cameras.retention.due` says."""
        return due(self.segments, self.motions, self.events, self.camera, self.holds, now, excess)

    def ranked(self, now: int, excess: int) -> Iterable[tuple[int, int, Segment]]:
        """Return what would go if so many bytes were lacking, with what it is compared by with other cameras'."""
        found = self.due(now, excess)
        told = kinds(found, self.motions, self.events, self.camera)
        return [(_CHEAPEST.index(kind), s.start, s) for s, kind in zip(found, told, strict=True)]


class _Clock:
    """Tells the time, unless it has leapt ahead of what has passed since it was told last."""

    def __init__(self, clocks: Callable[[], tuple[float, float]]) -> None:
        self._clocks = clocks
        self._told: tuple[float, float] | None = None
        self._doubted: float | None = None

    def now(self) -> datetime | None:
        """Return the time, or None while it isn't believed."""
        wall, passed = self._clocks()
        leap = 0.0 if self._told is None else (wall - self._told[0]) - (passed - self._told[1])
        if leap > _LEAP:
            if self._doubted is None:
                self._doubted = passed
                _log.error("the clock has leapt ahead: no video is deleted for its age for a day", seconds=round(leap))
            if passed - self._doubted < _DOUBT:
                return None
        self._told, self._doubted = (wall, passed), None
        return datetime.fromtimestamp(wall, UTC)


def _clocks() -> tuple[float, float]:
    """Return the time in seconds since 1970, and the seconds that have passed since some moment, sleep included."""
    boot = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.time(), time.clock_gettime(boot)


class CameraKeeping:
    """Keeps cameras' video, for the worker.

    Args:
        database: where all is.
        store, index, events: of cameras, their video and what happened.
        config: folders and limits.
        holds: tells which stretches of a camera's video are needed yet, whatever its retention says.
        clocks: tell the time in seconds since 1970, and how many seconds have passed.
    """

    def __init__(
        self,
        database: Database,
        store: CameraStore,
        index: SegmentIndex,
        events: EventStore,
        config: Config,
        holds: Callable[[str], Sequence[Span]] = lambda camera: (),
        clocks: Callable[[], tuple[float, float]] = _clocks,
    ) -> None:
        self._db = database
        self._store = store
        self._index = index
        self._events = events
        self._config = config
        self._holds = holds
        self._clock = _Clock(clocks)
        self._moving: dict[str, int] = {}  # since when something moves, by camera

    def usage(self, camera: Camera) -> Usage:
        """Return what of a camera's video is on the disk."""
        there = self._video(camera)
        return usage(there.segments, there.motions, there.events, camera, there.holds)

    def enabled(self) -> tuple[Camera, ...]:
        """Return the cameras of all organisations that are to run."""
        with self._db.read() as c:
            return self._store.list(c, enabled=True)

    def organisations(self) -> frozenset[str]:
        """Return the organisations that have cameras, be they enabled or not."""
        with self._db.read() as c:
            return frozenset(camera.organisation for camera in self._store.list(c))

    def known(self, cameras: Iterable[str]) -> frozenset[str]:
        """Return which of these cameras there are, by id."""
        with self._db.read() as c:
            return frozenset(cameras) & {camera.id for camera in self._store.list(c)}

    def begin_of(self, camera: Camera) -> Begin:
        """Return what a camera's process is told.

        Raises:
            Unavailable: if there can be no folder for its video.
        """
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

    def recover(self, camera: Camera, *, writing: bool = False) -> None:
        """Bring index and events in line with the files, before a camera begins to run, or while it doesn't.

        Args:
            camera: whose.
            writing: whether a process of its may be about to end: what was written in the last minute is left to it.

        Raises:
            Unavailable: if its folder can't be read, as when it is a link.
        """
        with self._db.read() as c:
            known = self._index.sizes(c, camera.id)
        seconds = _LOOKING if writing else math.inf
        found = survey(self._config.video, camera.id, known, writing=writing, most_seconds=seconds)
        with self._db.transaction() as c:
            self._index.apply(c, camera.id, found)
            self._events.close_open(c, camera.id)

    # --- while it runs ---

    def keep_segment(self, segment: Segment) -> None:
        """Take a segment into the index, and so much of the motion that goes on, lest a crash make it look still.

        Raises:
            NotFound: if there is no such file.
            IntegrityError: if it has another size, or holes.
            Unavailable: if it can't be looked at, or kept.
        """
        with open_segment(self._config.video, segment.camera, segment.start) as file:
            if size_of(file) != segment.size:
                raise IntegrityError("A file of recorded video isn't as large as its camera's process says.")
        since = self._moving.get(segment.camera)
        with self._db.transaction() as c:
            self._index.add(c, segment)
            if since is not None and since < segment.end:
                self._index.add_motion(c, segment.camera, Span(since, segment.end))

    def begin_motion(self, camera_id: str, at: int) -> None:
        """Note that something has begun to move: what is recorded from then on is motion video."""
        self._moving[camera_id] = at

    def keep_motion(self, camera_id: str, span: Span) -> None:
        """Take a motion that is over into the index."""
        with self._db.transaction() as c:
            self._index.add_motion(c, camera_id, span)
        self._moving.pop(camera_id, None)

    def break_motion(self, camera_id: str, at: int) -> None:
        """Take the motion that went on, if one did, into the index: nobody will tell when it was over."""
        since = self._moving.get(camera_id)
        if since is not None:
            self.keep_motion(camera_id, Span(since, max(since + 1, at)))

    # --- how long it stays ---

    def run_retention(self, now: datetime | None = None) -> int:
        """Delete video that was kept long enough, and video of cameras that are no more; return how many files.

        A folder counts as one. While the clock isn't believed, video goes for want of room alone.
        """
        told = now or self._clock.now()
        at = to_ms(told or datetime.now(UTC))
        gone = self.sweep()
        with self._db.read() as c:
            cameras = self._store.list(c)
        if told is not None:
            gone += sum(self._retain(camera, at) for camera in cameras)
        return gone + self._make_room(cameras, at)

    def sweep(self) -> int:
        """Delete the folders of cameras that are no more, and return how many."""
        folder = self._config.video
        if not folder.is_dir():
            return 0
        there = [f.name for f in folder.iterdir() if _OURS.fullmatch(f.name) and f.is_dir() and not f.is_symlink()]
        known = self.known(there) if there else frozenset()  # looked up later: a camera is known before its folder is
        return sum(delete_video(folder, name) for name in there if name not in known)

    def _missing(self) -> int:
        """Return how many bytes are missing for the disk to have as much room as it should."""
        folder = self._config.video
        if not folder.exists():
            return 0
        return max(0, self._config.cameras.free_bytes - shutil.disk_usage(folder).free)

    def _make_room(self, cameras: Iterable[Camera], at: int) -> int:
        """Delete what the disk has no room for: the oldest of the cheapest kind, whosever it is.

        What counts is the room that files really take.
        """
        lacking, gone = self._missing(), 0
        for _ in range(_MOST_ROUNDS):
            chosen = self._chosen(cameras, at, lacking) if lacking > 0 else []
            if not chosen:
                break
            taken = {s: _taken(self._config.video, s) for s in chosen}
            for camera, segments in groupby(chosen, lambda s: s.camera):
                deleted = self._delete(camera, tuple(segments), at)
                gone += len(deleted)
                lacking -= sum(taken[s] for s in deleted)
        return gone

    def _chosen(self, cameras: Iterable[Camera], at: int, lacking: int) -> list[Segment]:
        """Return what is to be deleted for want of so many bytes, by camera."""
        chosen: list[Segment] = []
        ranked = [row for camera in cameras for row in self._video(camera).ranked(at, lacking)]
        for _, _, segment in sorted(ranked, key=lambda row: row[:2]):
            if lacking <= 0:
                break
            chosen.append(segment)
            lacking -= segment.size
        return sorted(chosen, key=lambda s: s.camera)

    def _retain(self, camera: Camera, at: int) -> int:
        """Delete what of a camera's video, motions and events was kept long enough; return how many files."""
        if not camera.enabled:  # what a killed process left is found while nobody runs it, too
            with contextlib.suppress(Unavailable):
                self.recover(camera, writing=True)
        gone = len(self._delete(camera.id, self._video(camera).due(at), at))
        with self._db.read() as c:
            stale = self._stale(c, camera, at)
        if gone or stale:
            with self._db.transaction() as c:
                self._index.forget_motions(c, camera.id, at - _days(camera.retention.event_days))
                self._events.remove(c, stale)
        if stale:
            self._db.scrub()
        return gone

    def _delete(self, camera_id: str, segments: Sequence[Segment], at: int) -> list[Segment]:
        """Delete files, take them out of the index, and return which went."""
        deleted = [s for s in segments if _is_gone(self._config.video, s)]
        gone = [s.start for s in deleted]
        if len(gone) < len(segments):
            _log.error("video can't be deleted", camera=camera_id, files=len(segments) - len(gone))
        if gone:  # first the files: what is left in the index without one, the next rebuild takes out
            with self._db.transaction() as c:
                self._index.remove(c, camera_id, gone)
        for day in {
            segment_path(self._config.video, camera_id, start).parent for start in gone if start < at - _days(2)
        }:
            with contextlib.suppress(OSError):  # it isn't empty yet
                day.rmdir()
        return deleted

    def _video(self, camera: Camera) -> _Video:
        with self._db.read() as c:
            segments = self._index.list(c, camera.id, _FOREVER)
            motions = self._motions(c, camera.id)
            events = self._events.spans(c, camera.id, _FOREVER)
        return _Video(camera, segments, motions, events, self._holds(camera.id))

    def _motions(self, c: sa.Connection, camera_id: str) -> tuple[Span, ...]:
        """Return when something moved, to this moment if it still does."""
        over = self._index.motions(c, camera_id, _FOREVER)
        since = self._moving.get(camera_id)
        return over if since is None else (*over, Span(since, max(since + 1, to_ms(datetime.now(UTC)))))

    def _stale(self, c: sa.Connection, camera: Camera, at: int) -> Sequence[str]:
        """Return the ids of events that were kept long enough."""
        ended = at - _days(camera.retention.event_days)
        if ended <= 0:
            return ()
        found = self._events.list(c, [camera.id], span=Span(0, ended), limit=_MOST_EVENTS)
        forgotten = ended - _days(1)  # one that goes on has changed since
        return [e.id for e in found if e.end <= (forgotten if e.open else ended)]


def delete_video(folder: Path, camera_id: str) -> bool:
    """Delete all video of a camera that is no more, and tell whether it is gone."""
    own = folder / camera_id
    if own.is_symlink() or not own.is_dir():
        return False
    shutil.rmtree(own, ignore_errors=True)
    return not own.exists()


def _taken(folder: Path, segment: Segment) -> int:
    """Return how many bytes of a disk a file takes that has no other name, at most as many as it has."""
    try:
        told = segment_path(folder, segment.camera, segment.start).lstat()
    except OSError:
        return 0
    return min(told.st_size, told.st_blocks * 512) if told.st_nlink == 1 else 0


def _is_gone(folder: Path, segment: Segment) -> bool:
    """Delete a file, unless it lies behind a link, and tell whether it is gone."""
    path = segment_path(folder, segment.camera, segment.start)
    if path.parent.is_symlink() or path.parent.parent.is_symlink():
        return False
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return False
    return True


def _corners(zone: Zone) -> list[list[float]]:
    return [[x, y] for x, y in zone.points]


def _days(days: float) -> int:
    """Return days in milliseconds."""
    return int(days * _DAY.total_seconds() * 1000)
