# SPDX-License-Identifier: Apache-2.0
"""Use cases around cameras: setting them up, looking at what they show and recorded, and how long it is kept.

Cameras belong to an organisation; nobody else sees that they exist. What is looked at is an entry of the ledger: one
for each live view that begins, and one for each day that is opened. No operation here, or anywhere, gives video to
somebody who isn't of the camera's own organisation: what is shared goes by ``sharing``, and its owner begins it.
"""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from custodes.cameras.events import EventStore
from custodes.cameras.index import SegmentIndex
from custodes.cameras.model import Camera, Event, Retention, Segment, Span, Zone
from custodes.cameras.moments import to_ms
from custodes.cameras.paths import day_of, open_segment, segment_path
from custodes.cameras.retention import Usage
from custodes.cameras.sources import parse_source
from custodes.cameras.store import CameraStore
from custodes.config import Config
from custodes.db import Database, make_private_folder
from custodes.db.sealing import new_id
from custodes.errors import Code, Invalid, NotFound
from custodes.governance import Action, Caller, OrgClass, Purpose, Refused
from custodes.operations.admission import Admission
from custodes.operations.camerakeeping import CameraKeeping, delete_video
from custodes.operations.guard import Guard

__all__ = ["CameraOperations", "CameraUsage", "Day"]

_DAY: Final = timedelta(days=1)
_MOST_EVENTS = 1000
"""Of one day."""
_MOST_OPENED: Final = 10_000
_OPENED_FOR: Final = 12 * 3600.0  # seconds


@dataclass(frozen=True, slots=True)
class Day:
    """What there is of a day (UTC).

    Attributes:
        camera: whose.
        day: ``2026-11-26``.
        span: from its first to its last moment.
        segments, motions, events: by time, events too.
        days: all days with video, the newest first.
    """

    camera: Camera
    day: str
    span: Span
    segments: tuple[Segment, ...]
    motions: tuple[Span, ...]
    events: tuple[Event, ...]
    days: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CameraUsage:
    """What of a camera's video is on the disk, by kind, and how much room there is.

    Attributes:
        camera: whose.
        usage: bytes, oldest and newest of each kind.
        free, total: bytes of the disk.
    """

    camera: Camera
    usage: Usage
    free: int
    total: int


class _Opened:
    """Which days of which cameras somebody has opened lately; it is in memory, and lost with the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[tuple[str, str, str], float] = {}

    def add(self, principal: str, camera: str, day: str) -> None:
        """Remember a day, and forget the one that was opened first if they are too many."""
        key = principal, camera, day
        with self._lock:
            self._until.pop(key, None)
            if len(self._until) >= _MOST_OPENED:
                del self._until[next(iter(self._until))]
            self._until[key] = time.monotonic() + _OPENED_FOR

    def has(self, principal: str, camera: str, day: str) -> bool:
        """Tell whether somebody has opened a day."""
        return self._until.get((principal, camera, day), 0.0) > time.monotonic()


class CameraOperations:
    """Use cases around cameras.

    Args:
        guard: authorises and records.
        database: where all is.
        store, index, events: of cameras, their video and what happened.
        admission: finds collections as callers may know of them.
        config: folders and limits.
        keeping: knows what is on the disk.
    """

    def __init__(
        self,
        guard: Guard,
        database: Database,
        store: CameraStore,
        index: SegmentIndex,
        events: EventStore,
        admission: Admission,
        config: Config,
        keeping: CameraKeeping,
    ) -> None:
        self._guard = guard
        self._db = database
        self._store = store
        self._index = index
        self._events = events
        self._admission = admission
        self._config = config
        self._keeping = keeping
        self._opened = _Opened()

    # --- setting up ---

    def add(
        self,
        caller: Caller,
        name: str,
        url: str,
        *,
        substream: str = "",
        place: tuple[float, float] | None = None,
        collection: str = "",
        records: bool = True,
        zones: tuple[Zone, ...] = (),
        retention: Retention | None = None,
    ) -> Camera:
        """Set up a camera of the caller's organisation; the server begins to read it at once.

        Args:
            caller: who asks.
            name: what people call it.
            url: where its video comes from: rtsp, rtsps, rtmp (it is listened on) or file.
            substream: a stream of small pictures of the same camera, if it has one.
            place: latitude and longitude, if requests for footage shall be matched with it.
            collection: whose people it recognises; empty for nobody.
            records: whether its video is kept.
            zones: named places and privacy masks.
            retention: how long video is kept.

        Raises:
            Denied: if a rule forbids it.
            Invalid: if a value can't be meant.
            NotFound: if there is no such collection.
            Conflict: if there is a camera of this name.
        """
        self._guard.check(caller, Action.MANAGE_CAMERAS)  # who may not, learns nothing of files and collections
        made = Camera(
            id=new_id("cam"),
            organisation=self._guard.organisation_of(caller),
            by=caller.principal,
            purpose=self.purpose(caller),
            name=name.strip(),
            url=url.strip(),
            substream=substream.strip(),
            records=records,
            zones=zones,
            retention=retention or Retention(),
            collection=collection.strip(),
            place=place,
        )
        self._check(caller, made)
        with self._guard.acting(caller, Action.MANAGE_CAMERAS) as acting:
            made = replace(made, created=to_ms(acting.now))
            self._store.add(acting.connection, made)
            acting.note(event="camera-added", camera=made.id, recognises=bool(made.collection))
        return made

    def change(self, caller: Caller, camera: Camera) -> Camera:
        """Change a camera's settings; who changes it last is the one on whose behalf it watches.

        Args:
            caller: who asks.
            camera: as it shall be, with the revision that was read.

        Raises:
            Denied: if a rule forbids it.
            Invalid: if a value can't be meant.
            NotFound: if there is no such camera or collection.
            Conflict: if somebody else has changed it meanwhile, or the name is taken.
        """
        before = self.get(caller, camera.id)
        self._guard.check(caller, Action.MANAGE_CAMERAS)
        wanted = replace(
            camera,
            organisation=before.organisation,
            by=caller.principal,
            purpose=before.purpose,
            name=camera.name.strip(),
            url=camera.url.strip(),
            substream=camera.substream.strip(),
            collection=camera.collection.strip(),
            created=before.created,
        )
        self._check(caller, wanted, before)
        with self._guard.acting(caller, Action.MANAGE_CAMERAS) as acting:
            changed = self._store.put(acting.connection, wanted)
            acting.note(
                event="camera-changed",
                camera=changed.id,
                revision=changed.revision,
                enabled=changed.enabled,
                records=changed.records,
                recognises=bool(changed.collection),
            )
        self._db.scrub()  # of the password that was
        return changed

    def remove(self, caller: Caller, camera_id: str) -> None:
        """Remove a camera, by id or name, with its events and all its video.

        What its process is writing yet, the worker deletes when that has ended.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such camera.
        """
        camera = self.get(caller, camera_id)
        with self._guard.acting(caller, Action.MANAGE_CAMERAS) as acting:
            self._store.remove(acting.connection, camera.id)
            acting.note(event="camera-removed", camera=camera.id)
        delete_video(self._config.video, camera.id)
        self._db.scrub()

    def purpose(self, caller: Caller) -> str:
        """Return for what cameras of the caller's organisation are, as the words of the rules call it.

        Raises:
            Denied: if the caller is nobody.
        """
        home = self._guard.class_of(caller) == OrgClass.HOUSEHOLD
        return str(Purpose.HOME_SECURITY if home else Purpose.ACCESS_CONTROL)

    def _check(self, caller: Caller, camera: Camera, before: Camera | None = None) -> None:
        """Refuse a source that can't be meant, and a collection that isn't the organisation's own.

        Raises:
            Invalid: if the source can't be meant.
            NotFound: if there is no such collection.
        """
        if not camera.url:
            raise Invalid("It isn't said where the camera's video comes from.", remedy="Give rtsp://..., for example.")
        for url in (camera.url, camera.substream):
            if url and (before is None or url not in (before.url, before.substream)):
                parse_source(url, self._config.cameras.files, self._config.server.port)
        if camera.collection and (before is None or camera.collection != before.collection):
            found = self._admission.get(caller, camera.collection)
            if found.owner != camera.organisation:
                raise NotFound(f"There is no collection {camera.collection}.", code=Code.COLLECTION_MISSING)
            if found.purpose != camera.purpose:
                raise Invalid(
                    f"The collection is for {found.purpose}, and the camera for {camera.purpose}.",
                    remedy="Name a collection that was made for this.",
                )

    # --- what there is ---

    def list(self, caller: Caller) -> tuple[Camera, ...]:
        """Return the cameras of the caller's organisation, by name.

        Raises:
            Denied: if a rule forbids the caller to look at them.
        """
        organisation = self._guard.organisation_of(caller)
        self._guard.check_use(caller, Action.VIEW_VIDEO, camera=organisation)
        with self._db.read() as c:
            return self._store.list(c, organisation=organisation)

    def get(self, caller: Caller, camera_id: str) -> Camera:
        """Return a camera of the caller's organisation, by id or name.

        Raises:
            NotFound: if there is none.
        """
        organisation = self._guard.organisation_of(caller)
        with self._db.read() as c:
            return self._store.find(c, organisation, camera_id)

    def is_set_up_by(self, caller: Caller) -> bool:
        """Tell whether the caller may set up cameras, and so be shown where their video comes from; no entry tells."""
        try:
            self._guard.check_unrecorded(caller, Action.MANAGE_CAMERAS)
        except Refused:
            return False
        return True

    def recheck(self, caller: Caller, camera_id: str) -> Camera:
        """Return a camera that is being looked at, if that may go on; nothing but a refusal is recorded.

        Raises:
            Denied: if a rule forbids it by now.
            NotFound: if there is no such camera any more.
        """
        camera = self.get(caller, camera_id)
        self._guard.check_use(caller, Action.VIEW_VIDEO, camera=camera.organisation)
        return camera

    def last(self, caller: Caller, camera_id: str) -> Segment | None:
        """Return the newest segment of a camera, or None.

        Raises:
            Denied: if a rule forbids the caller to look at it.
            NotFound: if there is no such camera.
        """
        camera = self.recheck(caller, camera_id)
        with self._db.read() as c:
            return self._index.last(c, camera.id)

    def usage(self, caller: Caller) -> tuple[CameraUsage, ...]:
        """Return what of each camera's video is on the disk.

        Raises:
            Denied: if a rule forbids the caller to look at them.
        """
        cameras = self.list(caller)
        make_private_folder(self._config.video)
        disk = shutil.disk_usage(self._config.video)
        return tuple(CameraUsage(k, self._keeping.usage(k), disk.free, disk.total) for k in cameras)

    # --- looking ---

    def watch(self, caller: Caller, camera_id: str) -> Camera:
        """Record that a live view begins.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such camera.
        """
        camera = self.get(caller, camera_id)
        with self._guard.using(caller, Action.VIEW_VIDEO, camera=camera.organisation) as using:
            using.part.note(camera=camera.id, live=True)
        return camera

    def open_day(self, caller: Caller, camera_id: str, day: str) -> Day:
        """Return what there is of a day, and record that it is looked at.

        Args:
            caller: who asks.
            camera_id: which camera.
            day: ``2026-11-26``, in UTC.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such camera.
            Invalid: if there is no such day.
        """
        camera = self.get(caller, camera_id)
        span = _day(day)
        with self._guard.using(caller, Action.VIEW_VIDEO, camera=camera.organisation) as using:
            with self._db.read() as c:
                found = Day(
                    camera,
                    day_of(span.start),
                    span,
                    self._index.list(c, camera.id, span),
                    self._index.motions(c, camera.id, span),
                    tuple(reversed(self._events.list(c, [camera.id], span=span, limit=_MOST_EVENTS))),
                    self._index.days(c, camera.id),
                )
            using.part.note(camera=camera.id, day=found.day)
        self._opened.add(caller.principal, camera.id, found.day)
        return found

    def segment_file(self, caller: Caller, camera_id: str, start: int) -> Path:
        """Return the file of a segment; if they haven't opened its day lately, that is an entry of its own.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such camera, or no such segment.
            Invalid: if that is no time.
            Unavailable: if it can't be read, or is no file of our own.
        """
        camera = self.recheck(caller, camera_id)
        path = segment_path(self._config.video, camera.id, start)
        with self._db.read() as c:
            found = self._index.list(c, camera.id, Span(start, start + 1))
        segment = next((s for s in found if s.start == start), None)
        if segment is None:
            raise NotFound("There is no such video: it may have been deleted meanwhile.")
        open_segment(self._config.video, camera.id, start).close()
        days = day_of(segment.start), day_of(segment.end)  # one that goes on past midnight is of both
        if not any(self._opened.has(caller.principal, camera.id, day) for day in days):
            with self._guard.using(caller, Action.VIEW_VIDEO, camera=camera.organisation) as using:
                using.part.note(camera=camera.id, day=days[0])
            self._opened.add(caller.principal, camera.id, days[0])
        return path


def _day(day: str) -> Span:
    """Return a day of UTC as a stretch of time.

    Raises:
        Invalid: if there is no such day.
    """
    try:
        start = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
        return Span(to_ms(start), to_ms(start + _DAY))
    except (ValueError, OverflowError, Invalid) as e:  # before 1970 there is no video
        raise Invalid(f"There is no day {day[:20]!r}.", remedy="Write it as 2026-11-26.") from e
