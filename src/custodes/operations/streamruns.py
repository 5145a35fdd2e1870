# SPDX-License-Identifier: Apache-2.0
"""Stream processors at work: a face that is followed is searched for, or told as a person who is there.

It is done on behalf of who started the processor, by the rules that hold now: they are asked for each face, before a
template is made. A refusal ends the processor, which says why. Nothing is sent before its entry is committed, and
nothing after the processor was stopped. Who has not agreed to it is no candidate here, as to the household's own
search; a face that is like nobody is told as a face, and its template is gone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import sqlalchemy as sa
import structlog

from custodes.cameras.model import Camera
from custodes.cameras.processors import Presence, Processor, ProcessorStore, Search, Session, State
from custodes.cameras.store import CameraStore
from custodes.domain import Box, Candidate
from custodes.errors import CustodesError, Denied, NotFound
from custodes.governance import Action, Caller, Purpose
from custodes.operations.entries import Part, tell_found
from custodes.operations.faces import candidates
from custodes.operations.recognising import Watching, may_be_told
from custodes.operations.scores import least_cosine
from custodes.operations.shots import Shot
from custodes.operations.streamsinks import PictureBuckets, StreamSinks
from custodes.vision import render

__all__ = ["Sighted", "StreamRuns", "Wording"]

_log = structlog.get_logger("custodes.cameras")
_MOST = 100
"""Candidates of a search: more than any person has references."""
_CROP = 320
"""Pixels a side of a face's picture."""


@dataclass(frozen=True, slots=True)
class Sighted:
    """A person who is there.

    Attributes:
        shot: of the face.
        frame, crop: URIs of the pictures of the frame and of the face; empty if none are kept.
    """

    shot: Shot
    frame: str
    crop: str


class Wording(Protocol):
    """Writes records, as lines of JSON, in the words of whoever reads them."""

    def found(self, processor: Processor, shot: Shot, ranked: Sequence[Candidate]) -> bytes:
        """Return what a search has found; nothing, perhaps."""

    def present(self, processor: Processor, sighted: Sighted) -> bytes:
        """Return that a person is there."""

    def over(self, processor: Processor, milliseconds: int) -> bytes:
        """Return that a session is over, and how long it was."""


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """A face, before a processor that runs."""

    processor: Processor
    session: Session
    camera: Camera
    shot: Shot
    wording: Wording

    @property
    def caller(self) -> Caller:
        """On whose behalf it is searched for or told."""
        return Caller(self.session.by, Purpose(self.session.purpose), place=self.camera.id)

    def note(self, part: Part) -> None:
        """Tell an entry which processor it is of."""
        part.note(processor=self.processor.id, session=self.session.id, camera=self.camera.id, faces=1)


class StreamRuns:
    """Runs stream processors; a listener of the watchers of all cameras, from any thread.

    Args:
        watching: what watchers share.
        store: of processors.
        cameras: of cameras.
        sinks, buckets: where records and pictures go.
    """

    def __init__(
        self,
        watching: Watching,
        store: ProcessorStore,
        cameras: CameraStore,
        sinks: StreamSinks,
        buckets: PictureBuckets,
    ) -> None:
        self._watching = watching
        self._store = store
        self._cameras = cameras
        self._sinks = sinks
        self._buckets = buckets
        self._wording: Wording | None = None

    def speak(self, wording: Wording) -> None:
        """Write records so from now on; before that, no processor wants anything."""
        self._wording = wording

    # --- what cameras see ---

    def wants(self, camera_id: str) -> bool:
        """Tell whether a processor runs that looks at a camera."""
        try:
            return self._wording is not None and bool(self._running(camera_id))
        except CustodesError as error:
            _log.error("looking for stream processors failed", error=type(error).__name__, why=error.message)
            return False

    def seen(self, camera: Camera, shot: Shot) -> None:
        """Let each processor that looks at a camera do its task with a face."""
        try:
            running = self._running(camera.id)
        except CustodesError as error:
            _log.error("looking for stream processors failed", error=type(error).__name__, why=error.message)
            return
        box, size = shot.face.box, shot.size
        centre = (box.left + box.width / 2) / size.width, (box.top + box.height / 2) / size.height
        for processor in running:
            if processor.organisation == camera.organisation and processor.looks_at(*centre):
                self._tried(processor, camera, shot)

    def _running(self, camera_id: str) -> tuple[Processor, ...]:
        with self._watching.database.read() as c:
            return self._store.running(c, camera_id)

    def _tried(self, processor: Processor, camera: Camera, shot: Shot) -> None:
        """Do a processor's task; what keeps it from that for good ends it."""
        session, wording = processor.session, self._wording
        if session is None or wording is None:
            return
        work = _Work(processor, session, camera, shot, wording)
        try:
            if isinstance(processor.task, Search):
                self._search(work, processor.task)
            elif not session.seen and shot.face.confidence >= processor.task.confidence:
                self._tell(work)
        except Denied as denied:
            self.fail(processor, denied.message, denied.code or "nobody")
        except NotFound as missing:
            self.fail(processor, missing.message, "missing")
        except CustodesError as error:  # there is an entry of it, and the next face is tried again
            _log.error("a stream processor failed", id=processor.id, error=type(error).__name__, why=error.message)

    def _search(self, work: _Work, task: Search) -> None:
        """Search for a face, and send what was found.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if the collection is gone.
        """
        tools, shot, camera = self._watching, work.shot, work.camera
        collection = tools.admission.get(work.caller, task.collection)
        guarded = tools.guard.searching(
            work.caller, Action.WATCH, collection, task.threshold, tuple, camera=camera.organisation
        )
        with guarded as using:
            engine = tools.engines.of(collection.pack)
            template = shot.template
            if template is None or template.pack != collection.pack:
                [template] = engine.embed([shot.face])
            least = least_cosine(engine.pack, using.threshold)
            pairs = tools.references.search(collection.name, template, limit=_MOST, threshold=least)
            ranked = candidates(engine, pairs, using.threshold)
            told = may_be_told(tools, collection, ranked)
            tell_found(using.part, collection.pack_version, f"stream:{work.session.id}/{shot.at}", ranked)
            work.note(using.part)
            with using.committing() as c:
                alive = self._goes_on(c, work.processor) is not None
                using.part.note(records=int(alive), matched=len(told))
        if alive:
            self._send(work.processor, work.wording.found(work.processor, shot, told))

    def _tell(self, work: _Work) -> None:
        """Tell, once a session, that a person is there: pictures leave the camera's video for that.

        Raises:
            Denied: if a rule forbids it.
        """
        processor, session, shot = work.processor, work.session, work.shot
        guarded = self._watching.guard.using(work.caller, Action.EXPORT_VIDEO, camera=work.camera.organisation)
        with guarded as using, using.committing() as c:
            now = self._goes_on(c, processor)
            first = now is not None and now.session is not None and not now.session.seen
            if first:
                self._store.put(c, replace(processor, session=replace(session, seen=True)))
            work.note(using.part)
            using.part.note(records=int(first), pictures=2 * int(first and processor.bucket is not None))
        if not first:
            return
        frame = self._keep(processor, session, f"{shot.at}-frame.jpg", shot.picture)
        crop = self._keep(processor, session, f"{shot.at}-person.jpg", _cropped(shot)) if frame else ""
        record = work.wording.present(processor, Sighted(shot, frame, crop))
        self._keep(processor, session, f"{shot.at}-person.json", record)
        self._send(processor, record)

    def _goes_on(self, c: sa.Connection, processor: Processor) -> Processor | None:
        """Return a processor as it is now, if the same session goes on."""
        try:
            now = self._store.get(c, processor.id)
        except NotFound:
            return None
        same = now.session is not None and processor.session is not None and now.session.id == processor.session.id
        return now if now.runs and same else None

    # --- sending ---

    def _send(self, processor: Processor, record: bytes) -> None:
        """Send a record to wherever the processor sends; if that isn't possible, it ends."""
        try:
            for sink in processor.sinks:
                self._sinks.send(processor.organisation, sink, record)
        except CustodesError as error:
            self.fail(processor, error.message, "unsent")

    def _keep(self, processor: Processor, session: Session, name: str, data: bytes) -> str:
        """Write an object to the processor's bucket, if it has one, and return its URI; if it can't, it ends."""
        if processor.bucket is None:
            return ""
        try:
            return self._buckets.write(processor.bucket, (processor.name, session.id, name), data)
        except CustodesError as error:
            self.fail(processor, error.message, "unsent")
            return ""

    # --- ending ---

    def fail(self, processor: Processor, why: str, code: str) -> None:
        """End a processor that can't go on, if the same session still does.

        Args:
            processor: which.
            why: what its owner is told.
            code: what the ledger and the log are told.
        """
        tools = self._watching
        _log.warning("a stream processor stopped", id=processor.id, why=code)
        try:
            with tools.database.transaction() as c:
                if self._goes_on(c, processor) is not None:
                    self.halt(c, processor, tools.guard.now(c).timestamp(), State.FAILED, why)
                    tools.guard.append_system(c, "processor-failed", {"processor": processor.id, "why": code})
        except CustodesError as error:  # the next face, or the next second, tries it again
            _log.error("ending a stream processor failed", error=type(error).__name__, why=error.message)

    def halt(self, c: sa.Connection, processor: Processor, now: float, state: State, why: str = "") -> None:
        """Write that a processor doesn't run any more, and let its own camera rest.

        Args:
            c: the transaction.
            processor: which.
            now: seconds since 1970.
            state: how it is from now on.
            why: what its owner is told.
        """
        current = self._store.get(c, processor.id)
        self._store.put(c, replace(current, state=state, message=why, updated=now))
        self.switch(c, processor, on=False)

    def switch(self, c: sa.Connection, processor: Processor, *, on: bool) -> None:
        """Let a processor's own camera run, or rest; one that its owner has removed is passed over."""
        if not processor.own:
            return
        try:
            camera = self._cameras.get(c, processor.camera)
        except NotFound:
            return
        if camera.enabled != on:
            self._cameras.put(c, replace(camera, enabled=on))

    def conclude(self, processor: Processor, now: float) -> None:
        """Tell that a session in which a person was looked for is over; the processor doesn't run any more.

        Args:
            processor: as it was while it ran.
            now: seconds since 1970.
        """
        session, wording = processor.session, self._wording
        if session is None or wording is None or not isinstance(processor.task, Presence):
            return
        end = round(now * 1000)
        record = wording.over(processor, max(0, min(end, session.until or end) - session.began))
        self._keep(processor, session, "session.json", record)
        self._send(processor, record)

    def tick(self) -> int:
        """End the sessions whose time is over, and processors whose camera is gone; return how many."""
        tools, ended = self._watching, 0
        with tools.database.read() as c:
            running = self._store.running(c)
            known = {k.id for k in self._cameras.list(c)} if running else set()
            now = tools.guard.now(c).timestamp() if running else time.time()
        for processor in running:
            session = processor.session
            if processor.camera not in known:
                self.fail(processor, "Its camera was removed.", "camera-gone")
                ended += 1
            elif session is not None and session.until and now * 1000 >= session.until:
                with tools.database.transaction() as c:
                    if self._goes_on(c, processor) is None:
                        continue
                    self.halt(c, processor, now, State.STOPPED)
                    tools.guard.append_system(c, "processor-ended", {"processor": processor.id, "session": session.id})
                self.conclude(processor, now)
                ended += 1
        return ended


def _cropped(shot: Shot) -> bytes:
    """Return the face with room around it, as a JPEG."""
    picture = render.opened(shot.picture)
    scale = picture.pixels.shape[1] / shot.size.width
    box = shot.face.box
    scaled = Box(box.left * scale, box.top * scale, box.width * scale, box.height * scale)
    return render.jpeg(render.around(picture, scaled, _CROP))
