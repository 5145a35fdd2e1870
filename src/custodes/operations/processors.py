# SPDX-License-Identifier: Apache-2.0
"""Use cases around stream processors: who may make, start, stop, change and delete them.

Whoever administers the organisation whose the camera is, and nobody else; what a processor does then is done on behalf
of who started it, and is asked for anew with each face (see ``streamruns``). It looks at a camera of the organisation,
or at one that is made for it: that one is recorded by nobody, runs while the processor does, and goes with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import sqlalchemy as sa

from custodes.cameras.model import Camera, camera_name
from custodes.cameras.processors import (
    Presence,
    Processor,
    ProcessorStore,
    Region,
    Search,
    Session,
    State,
)
from custodes.cameras.store import CameraStore
from custodes.db import Database
from custodes.db.sealing import new_id
from custodes.errors import Conflict, Invalid, NotFound
from custodes.governance import Action, Caller
from custodes.ledger import commit
from custodes.operations.cameralive import LiveHub
from custodes.operations.cameras import CameraOperations
from custodes.operations.guard import Guard
from custodes.operations.streamchecks import NewProcessor, ProcessorChecks, Source, check_tags, lasting
from custodes.operations.streamruns import StreamRuns
from custodes.operations.streamsinks import StreamSinks

__all__ = ["NewProcessor", "ProcessorOperations", "Source", "Standing"]


@dataclass(frozen=True, slots=True)
class Standing:
    """A processor, and how it is.

    Attributes:
        processor: it.
        sees: whether it runs and its camera's video arrives.
        why: why it failed, or why no video arrives; or empty.
    """

    processor: Processor
    sees: bool
    why: str


class ProcessorOperations:
    """Use cases around stream processors.

    Args:
        guard, database: decide and record.
        store: of processors.
        cameras, camera_store: the organisation's cameras, and those that are made for processors.
        hub: knows how cameras are.
        checks: what they may do.
        sinks: where records go.
        runs: lets them work.
    """

    def __init__(
        self,
        guard: Guard,
        database: Database,
        store: ProcessorStore,
        cameras: CameraOperations,
        camera_store: CameraStore,
        hub: LiveHub,
        checks: ProcessorChecks,
        sinks: StreamSinks,
        runs: StreamRuns,
    ) -> None:
        self._guard = guard
        self._db = database
        self._store = store
        self._cameras = cameras
        self._camera_store = camera_store
        self._hub = hub
        self._checks = checks
        self.sinks = sinks
        self.runs = runs

    # --- making ---

    def create(self, caller: Caller, new: NewProcessor) -> Processor:
        """Make a processor, which is started by :meth:`start`.

        Args:
            caller: who asks.
            new: what it shall be.

        Raises:
            Denied: if a rule forbids it, or what it would do.
            Invalid: if a value can't be meant.
            NotFound: if there is no such camera or collection.
            Conflict: if there is one of this name, or as many as there may be; or a camera of this name.
            Unavailable: if this installation doesn't send there (code ``not-offered``).
        """
        self._guard.check(caller, Action.MANAGE_CAMERAS)  # strangers aren't told what there is
        organisation = self._guard.organisation_of(caller)
        check_tags(new.tags or {})
        self._checks.check_output(caller, organisation, new)
        if new.source.url:
            camera_name(new.name)
            self._checks.check_task(caller, organisation, new.task, None)
        else:
            seen = self._cameras.get(caller, new.source.camera)
            self._checks.check_task(caller, organisation, new.task, seen)
        with self._guard.acting(caller, Action.MANAGE_CAMERAS) as acting:
            c = acting.connection
            camera = self._camera(c, caller, new)
            now = acting.now.timestamp()
            made = Processor(
                id=new_id("prc"),
                organisation=organisation,
                name=new.name,
                camera=camera.id,
                own=bool(new.source.url),
                source=new.source.told,
                role=new.role,
                task=new.task,
                output=new.output,
                topic=new.topic,
                bucket=new.bucket,
                regions=new.regions,
                tags=dict(new.tags or {}),
                created=self._store.next_time(c, now),
                updated=now,
            )
            self._store.add(c, made)
            searches = isinstance(new.task, Search)
            acting.note(event="processor-added", processor=made.id, camera=camera.id, searches=searches)
            acting.openings += [commit(f"output.{n}", s.told.encode()) for n, s in enumerate(made.sinks)]
        return made

    def _camera(self, c: sa.Connection, caller: Caller, new: NewProcessor) -> Camera:
        """Return the camera of a processor; one of its own is made, and rests."""
        if not new.source.url:
            return self._cameras.get(caller, new.source.camera)
        made = self._cameras.add(caller, new.name, new.source.url, records=False)
        return self._camera_store.put(c, replace(made, enabled=False))

    # --- what there is ---

    def list(self, caller: Caller, *, after: int = 0, limit: int) -> tuple[tuple[Standing, ...], int | None]:
        """Read a page of the organisation's processors in the order of their making, and where to go on (or None).

        Raises:
            Denied: if a rule forbids it.
        """
        self._guard.check(caller, Action.MANAGE_CAMERAS)
        organisation = self._guard.organisation_of(caller)
        with self._db.read() as c:
            page, position = self._store.page(c, organisation, after=after, limit=limit)
            return tuple(self._standing(c, p) for p in page), position

    def get(self, caller: Caller, name: str) -> Standing:
        """Read a processor of the organisation.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is none of this name.
        """
        self._guard.check(caller, Action.MANAGE_CAMERAS)
        organisation = self._guard.organisation_of(caller)
        with self._db.read() as c:
            return self._standing(c, self._store.find(c, organisation, name))

    def _standing(self, c: sa.Connection, processor: Processor) -> Standing:
        if not processor.runs:
            return Standing(processor, False, processor.message)
        state = self._hub.state(processor.camera)
        if state.up:
            return Standing(processor, True, "")
        try:
            enabled = self._camera_store.get(c, processor.camera).enabled
        except NotFound:
            return Standing(processor, False, "Its camera was removed.")
        if not enabled:
            return Standing(processor, False, "Its camera is switched off.")
        why = f" ({state.why})" if state.why else ""
        return Standing(processor, False, f"Its camera's video doesn't arrive yet{why}.")

    # --- running ---

    def start(self, caller: Caller, name: str, *, selects: bool = False, seconds: int | None = None) -> str:
        """Start a processor on behalf of the caller, and return the session's id; it looks at what comes from now on.

        Args:
            caller: who asks.
            name: which.
            selects: whether the caller states from when to when; a search has neither.
            seconds: how long it looks whether a person is there; 10 unless it is stated.

        Raises:
            Denied: if a rule forbids it, or what it would do.
            NotFound: if there is none of this name, or its camera or collection is gone.
            Conflict: if it runs.
            Invalid: if the time can't be meant, the caller's key is for another purpose than the camera, or the bucket
                is gone.
            Unavailable: if this installation doesn't send there any more (code ``not-offered``).
        """
        known = self.get(caller, name).processor
        if known.runs:
            raise _runs()
        with self._db.read() as c:
            camera = self._camera_store.get(c, known.camera)
        self._checks.check_task(caller, known.organisation, known.task, camera)
        for sink in known.sinks:
            self.sinks.check(known.organisation, sink)
        self._checks.check_bucket(caller, known.bucket)
        if selects and isinstance(known.task, Search):
            raise Invalid("A search of faces goes on until it is stopped: it has no start or stop selector.")
        lasts = 0 if isinstance(known.task, Search) else lasting(seconds)
        with self._guard.acting(caller, Action.MANAGE_CAMERAS) as acting:
            c = acting.connection
            current = self._store.get(c, known.id)
            if current.runs:
                raise _runs()
            began = round(acting.now.timestamp() * 1000)
            session = Session(
                new_id("ses"),
                caller.principal,
                str(caller.purpose),
                began,
                began + lasts * 1000 if lasts else 0,
            )
            now = acting.now.timestamp()
            started = replace(current, state=State.RUNNING, message="", updated=now, session=session)
            self._store.put(c, started)
            self.runs.switch(c, started, on=True)
            acting.note(event="processor-started", processor=known.id, session=session.id, camera=known.camera)
        return session.id

    def stop(self, caller: Caller, name: str) -> None:
        """Stop a processor; one that doesn't run stays as it is, and one that failed is stopped from then on.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is none of this name.
        """
        known = self.get(caller, name).processor
        with self._guard.acting(caller, Action.MANAGE_CAMERAS) as acting:
            current = self._store.get(acting.connection, known.id)
            now = acting.now.timestamp()
            if current.state != State.STOPPED:
                self.runs.halt(acting.connection, current, now, State.STOPPED)
            acting.note(event="processor-stopped", processor=known.id)
        if current.runs:
            self.runs.conclude(current, now)

    # --- changing ---

    def change(
        self,
        caller: Caller,
        name: str,
        *,
        labels: bool = False,
        confidence: float | None = None,
        regions: tuple[Region, ...] | None = None,
    ) -> None:
        """Change a processor that doesn't run.

        Args:
            caller: who asks.
            name: which.
            labels: whether the caller states settings of labels, which a search hasn't.
            confidence: of a face by which a person is told; as it is if None.
            regions: parts of the picture in which faces count; as they are if None.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is none of this name.
            Conflict: if it runs.
            Invalid: if it searches, and settings of labels are stated.
        """
        known = self.get(caller, name).processor
        if (labels or confidence is not None) and isinstance(known.task, Search):
            raise Invalid("This stream processor searches faces: it has no labels.")
        with self._guard.acting(caller, Action.MANAGE_CAMERAS) as acting:
            current = self._store.get(acting.connection, known.id)
            if current.runs:
                raise _runs()
            task = current.task if confidence is None else Presence(confidence)
            wanted = current.regions if regions is None else regions
            now = acting.now.timestamp()
            self._store.put(acting.connection, replace(current, task=task, regions=wanted, updated=now))
            acting.note(event="processor-changed", processor=known.id)

    def delete(self, caller: Caller, name: str) -> None:
        """Delete a processor that doesn't run, and the camera that was made for it; what it has sent stays.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is none of this name.
            Conflict: if it runs.
        """
        known = self.get(caller, name).processor
        with self._guard.acting(caller, Action.MANAGE_CAMERAS) as acting:
            current = self._store.get(acting.connection, known.id)
            if current.runs:
                raise _runs()
            self._store.remove(acting.connection, known.id)
            if known.own and any(k.id == known.camera for k in self._cameras.list(caller)):
                self._cameras.remove(caller, known.camera)
            acting.note(event="processor-removed", processor=known.id, camera=known.camera)
        self._db.scrub()

    # --- tags ---

    def tags(self, caller: Caller, name: str) -> dict[str, str]:
        """Read a processor's tags.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is none of this name.
        """
        return dict(self.get(caller, name).processor.tags)

    def tag(self, caller: Caller, name: str, tags: Mapping[str, str]) -> None:
        """Add or change tags.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no processor of this name.
            Conflict: if there would be too many.
            Invalid: if a tag is Custodes' own.
        """
        self._tag(caller, name, tags, ())

    def untag(self, caller: Caller, name: str, keys: Iterable[str]) -> None:
        """Remove tags.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no processor of this name.
        """
        self._tag(caller, name, {}, frozenset(keys))

    def _tag(self, caller: Caller, name: str, more: Mapping[str, str], less: Iterable[str]) -> None:
        known = self.get(caller, name).processor
        with self._guard.acting(caller, Action.MANAGE_CAMERAS) as acting:
            current = self._store.get(acting.connection, known.id)
            tags = {k: v for k, v in current.tags.items() if k not in less} | dict(more)
            check_tags(tags)
            self._store.put(acting.connection, replace(current, tags=tags))
            acting.note(event="processor-tagged", processor=known.id)


def _runs() -> Conflict:
    return Conflict("The stream processor runs.", remedy="Stop it first.")
