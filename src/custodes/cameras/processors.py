# SPDX-License-Identifier: Apache-2.0
"""Stream processors: what a camera's faces are searched for beside the household's own search, and where that is sent.

They are Rekognition's. One looks at one camera and does one task; it runs in sessions, each on behalf of who started
it. A processor that runs is RUNNING here until somebody stops it, its time is over, or a rule refuses; that survives a
restart. All of it is sealed together; the columns beside it are there to find rows by, and a row whose columns tell
another story than what is sealed doesn't open.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import orjson
import sqlalchemy as sa

from custodes.cameras.model import Point
from custodes.cameras.schema import stream_processors
from custodes.db import Vault, hold
from custodes.db.sealing import Sealer
from custodes.errors import Code, Conflict, IntegrityError, Invalid, NotFound

__all__ = [
    "Bucket",
    "Presence",
    "Processor",
    "ProcessorStore",
    "Region",
    "Search",
    "Session",
    "Sink",
    "SinkKind",
    "State",
]

_CORNERS = (3, 10)
_MOST_REGIONS = 10
_MOST = 100
"""Processors of one organisation."""
_TICKS = 1_000_000
"""Moments of a second: one is made at least one of them after the one before, and lists are in this order."""


class State(StrEnum):
    """Whether a processor shall run."""

    STOPPED = "stopped"
    RUNNING = "running"
    FAILED = "failed"


class SinkKind(StrEnum):
    """Where records go."""

    FILE = "file"  # lines of JSON
    WEBHOOK = "webhook"
    MQTT = "mqtt"


@dataclass(frozen=True, slots=True)
class Sink:
    """Where records go.

    Attributes:
        kind: how.
        name: of the file (without its suffix), the URL, or the topic below the installation's own.
        told: how the caller named it.
    """

    kind: SinkKind
    name: str
    told: str


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where pictures go: a bucket, and how keys begin."""

    name: str
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the picture in which faces count.

    Attributes:
        points: 3 to 10 corners, as ratios.
        box: whether it was named as a rectangle; then the points are its corners, from the upper left one.
    """

    points: tuple[Point, ...]
    box: bool = False

    def __post_init__(self) -> None:
        if not _CORNERS[0] <= len(self.points) <= _CORNERS[1]:
            raise Invalid(f"A region of interest has {_CORNERS[0]} to {_CORNERS[1]} corners, got {len(self.points)}.")
        if not all(math.isfinite(v) and 0 <= v <= 1 for point in self.points for v in point):
            raise Invalid("A region of interest lies within the picture: ratios between 0 and 1.")

    def contains(self, x: float, y: float) -> bool:
        """Tell whether a point (ratios) lies in it: a ray from there crosses its edge an odd number of times."""
        inside = False
        for (ax, ay), (bx, by) in zip(self.points, (*self.points[1:], self.points[0]), strict=True):
            if (ay > y) != (by > y) and x < ax + (y - ay) * (bx - ax) / (by - ay):
                inside = not inside
        return inside


@dataclass(frozen=True, slots=True)
class Search:
    """The task to search for each face in a collection.

    Attributes:
        collection: its name.
        threshold: least similarity, 0..100; None for the default, or the floor that the rules set.
    """

    collection: str
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Presence:
    """The task to tell, once a session, that a person is there, whose face is one with this confidence (0..100)."""

    confidence: float = 50.0


@dataclass(frozen=True, slots=True)
class Session:
    """A processor runs, or ran last.

    Attributes:
        id: random.
        by, purpose: on whose behalf, and for what.
        began, until: milliseconds since 1970; ``until`` is 0 if it runs until it is stopped.
        seen: whether it has told that a person is there.
    """

    id: str
    by: str
    purpose: str
    began: int
    until: int = 0
    seen: bool = False


@dataclass(frozen=True, slots=True)
class Processor:
    """A stream processor.

    Attributes:
        id: random (``prc-`` and 16 hexadecimal digits).
        organisation: whose it is.
        name: what its makers call it; unique in the organisation.
        camera: id of the camera that it looks at.
        own: whether the camera was made for it, runs while it does, and goes with it.
        source: how the caller named the camera, without credentials.
        role: what the caller stated as the role by which AWS would act; it means nothing here.
        task: what it does.
        output: where records of searches go, or None.
        topic: where it is told that a person is there, or None.
        bucket: where pictures of that go, or None.
        regions: parts of the picture in which faces count; everywhere if there are none.
        tags: of its makers.
        state, message: whether it shall run, and why it failed.
        created, updated: seconds since 1970.
        session: that goes on, or was the last; None if there was none.
    """

    id: str
    organisation: str
    name: str
    camera: str
    own: bool
    source: str
    role: str
    task: Search | Presence
    output: Sink | None = None
    topic: Sink | None = None
    bucket: Bucket | None = None
    regions: tuple[Region, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    state: State = State.STOPPED
    message: str = ""
    created: float = 0.0
    updated: float = 0.0
    session: Session | None = None

    def __post_init__(self) -> None:
        if self.name in (".", ".."):
            raise Invalid("A stream processor isn't called by dots alone.")
        if len(self.regions) > _MOST_REGIONS:
            raise Invalid(f"There are at most {_MOST_REGIONS} regions of interest.")

    @property
    def runs(self) -> bool:
        """Whether it shall run."""
        return self.state == State.RUNNING

    @property
    def sinks(self) -> tuple[Sink, ...]:
        """Where it sends anything."""
        return tuple(s for s in (self.output, self.topic) if s is not None)

    def looks_at(self, x: float, y: float) -> bool:
        """Tell whether a face whose centre is there (ratios) counts."""
        return not self.regions or any(r.contains(x, y) for r in self.regions)


class ProcessorStore:
    """The store of stream processors. Every method works in the transaction that it is given.

    Args:
        vault: seals them.
    """

    def __init__(self, vault: Vault) -> None:
        self._sealer = Sealer(vault)

    def add(self, c: sa.Connection, processor: Processor) -> None:
        """Keep a new processor.

        Raises:
            Conflict: if its organisation has one of this name, or as many as it may.
        """
        hold(c, "custodes.processors")
        own = [p for p in self._all(c) if p.organisation == processor.organisation]
        if any(p.name == processor.name for p in own):
            raise Conflict("Stream processor name already in use.")
        if len(own) >= _MOST:
            raise Conflict(f"An organisation has at most {_MOST} stream processors.", code=Code.QUOTA)
        c.execute(sa.insert(stream_processors).values(self._row(processor)))

    def next_time(self, c: sa.Connection, now: float) -> float:
        """Return when a processor is made that is made now: later than all others, for lists are in this order."""
        newest = c.execute(sa.select(sa.func.max(stream_processors.c.created_at))).scalar()
        return now if newest is None else max(now, (_position(newest) + 1) / _TICKS)

    def get(self, c: sa.Connection, processor: str) -> Processor:
        """Read a processor by its id.

        Raises:
            NotFound: if there is none.
            IntegrityError: if its row was changed by somebody else.
        """
        row = c.execute(sa.select(stream_processors).where(stream_processors.c.id == processor)).one_or_none()
        if row is None:
            raise NotFound("There is no such stream processor.")
        return self._read(row)

    def find(self, c: sa.Connection, organisation: str, name: str) -> Processor:
        """Read an organisation's processor by its name.

        Raises:
            NotFound: if it has none of this name.
            IntegrityError: if its row was changed by somebody else.
        """
        table = stream_processors.c
        query = sa.select(stream_processors).where(table.organisation == organisation, table.name == name)
        row = c.execute(query).one_or_none()
        if row is None:
            raise NotFound(f"There is no stream processor {name}.")
        return self._read(row)

    def page(
        self, c: sa.Connection, organisation: str, *, after: int = 0, limit: int
    ) -> tuple[tuple[Processor, ...], int | None]:
        """Read a page of an organisation's processors in the order of their making, and where to go on (or None).

        Raises:
            IntegrityError: if a row was changed by somebody else.
        """
        table = stream_processors.c
        query = sa.select(stream_processors).where(table.organisation == organisation)
        query = query.order_by(table.created_at, table.id)
        later = [r for r in c.execute(query) if _position(r.created_at) > after]
        page = tuple(self._read(r) for r in later[:limit])
        return page, _position(page[-1].created) if len(later) > limit else None

    def running(self, c: sa.Connection, camera: str | None = None) -> tuple[Processor, ...]:
        """Read the processors that run, of all organisations: all, or those that look at a camera.

        Raises:
            IntegrityError: if a row was changed by somebody else.
        """
        query = sa.select(stream_processors).where(stream_processors.c.status == str(State.RUNNING))
        found = (self._read(r) for r in c.execute(query.order_by(stream_processors.c.created_at)))
        return tuple(p for p in found if camera is None or p.camera == camera)

    def put(self, c: sa.Connection, processor: Processor) -> None:
        """Write a processor anew.

        Raises:
            NotFound: if it is gone.
        """
        values = self._row(processor)
        done = c.execute(sa.update(stream_processors).where(stream_processors.c.id == processor.id).values(values))
        if not done.rowcount:
            raise NotFound("There is no such stream processor.")

    def remove(self, c: sa.Connection, processor: str) -> None:
        """Destroy a processor.

        Raises:
            NotFound: if there is none of this id.
        """
        if not c.execute(sa.delete(stream_processors).where(stream_processors.c.id == processor)).rowcount:
            raise NotFound("There is no such stream processor.")

    def _all(self, c: sa.Connection) -> tuple[Processor, ...]:
        return tuple(self._read(r) for r in c.execute(sa.select(stream_processors)))

    def _row(self, p: Processor) -> dict[str, object]:
        told = asdict(p) | {"searches": isinstance(p.task, Search)}
        return {
            "id": p.id,
            "organisation": p.organisation,
            "name": p.name,
            "status": str(p.state),
            "message": p.message,
            "created_at": p.created,
            "updated_at": p.updated,
            **self._sealer.seal(p.id, orjson.dumps(told)),
        }

    def _read(self, r: sa.Row[Any]) -> Processor:
        read = _processor(orjson.loads(self._sealer.open(r.id, r.secret, r.secret_key)))
        columns = (r.id, r.organisation, r.name, r.status, r.message, r.created_at, r.updated_at)
        if columns != (
            read.id,
            read.organisation,
            read.name,
            str(read.state),
            read.message,
            read.created,
            read.updated,
        ):
            raise IntegrityError(
                "A stream processor's row doesn't agree with its settings.", remedy="Restore it from a backup."
            )
        return read


def _position(created: float) -> int:
    return round(created * _TICKS)


def _sink(told: dict[str, str] | None) -> Sink | None:
    return None if told is None else Sink(SinkKind(told["kind"]), told["name"], told["told"])


def _processor(told: dict[str, Any]) -> Processor:
    task = Search(**told["task"]) if told.pop("searches") else Presence(**told["task"])
    bucket, session = told["bucket"], told["session"]
    return Processor(
        **told
        | {
            "task": task,
            "output": _sink(told["output"]),
            "topic": _sink(told["topic"]),
            "bucket": None if bucket is None else Bucket(**bucket),
            "regions": tuple(Region(tuple((x, y) for x, y in r["points"]), r["box"]) for r in told["regions"]),
            "state": State(told["state"]),
            "session": None if session is None else Session(**session),
        }
    )
