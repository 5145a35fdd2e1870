# SPDX-License-Identifier: Apache-2.0
"""A household with a camera, without a process or a network: frames are portraits on a grey wall."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from tests.operations.conftest import ME, PHOTOS, World

from custodes.cameras.events import EventStore
from custodes.cameras.model import Camera, Event, News, NewsKind, Zone
from custodes.cameras.store import CameraStore
from custodes.cameras.wire import Frame
from custodes.domain import Face, Template, UInt8
from custodes.governance import Caller, ConsentKind, OrgClass, Purpose, Role
from custodes.operations.agreements import Agreement
from custodes.operations.library import LibraryOperations
from custodes.operations.sightings import SightingOperations
from custodes.operations.watching import TrackListener, Watcher, Watching

T0 = 1_800_000_000_000
WIDTH, HEIGHT = 1280, 720
STEP = 200
CENTRE = (0.3, 0.2, 0.7, 0.9)


@cache
def portrait(name: str, height: int) -> UInt8:
    """A photo of ``tests/data``, so high."""
    [path] = PHOTOS.glob(f"{name}.*")
    picture = cv2.imread(str(path))
    scale = height / picture.shape[0]
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def wall(*people: tuple[str, int, int, int]) -> UInt8:
    """A frame with portraits on a wall: name, left, top, height of each."""
    frame = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    for name, left, top, height in people:
        photo = portrait(name, height)
        frame[top : top + photo.shape[0], left : left + photo.shape[1]] = photo[: HEIGHT - top, : WIDTH - left]
    return frame


def jpeg(name: str, height: int = 640) -> bytes:
    """A portrait as a file."""
    return cv2.imencode(".jpg", portrait(name, height))[1].tobytes()


class Embedders:
    """The installation's engines; counts templates, keeps them, and does something before each if it is told to."""

    def __init__(self, engines: object) -> None:
        self._engines = engines
        self.made: list[Template] = []
        self.before: Callable[[], None] = lambda: None

    @property
    def default(self) -> Embedders:
        return self

    def of(self, pack: str) -> Embedders:
        return self

    def __getattr__(self, name: str) -> object:
        return getattr(self._engines.default, name)

    def embed(self, faces: Sequence[Face]) -> tuple[Template, ...]:
        self.before()
        made = self._engines.default.embed(faces)
        self.made += made
        return made


@dataclass
class Home:
    """A household, who administers it, its camera, and what was told."""

    world: World
    organisation: str
    admin: Caller
    camera: Camera
    store: CameraStore
    events: EventStore
    library: LibraryOperations
    sightings: SightingOperations
    engines: Embedders
    watching: Watching
    begun: int
    told: list[News] = field(default_factory=list)
    at: int = T0

    def tell(self, news: News) -> None:
        """Take news; what they are about is committed."""
        assert self.database._mine.connection is None, "news are told in the middle of a transaction"
        self.told.append(news)

    @property
    def database(self):
        """The installation's database."""
        return self.world.app._database

    def setup(self, **changes: object) -> Camera:
        """Change the camera's settings."""
        with self.database.transaction() as c:
            self.camera = self.store.put(c, replace(self.store.get(c, self.camera.id), **changes))
        return self.camera

    def watcher(self, *listeners: TrackListener) -> Watcher:
        """Begin to watch."""
        return Watcher(self.watching, self.camera, self.tell, listeners)

    def show(
        self, watcher: Watcher, pixels: UInt8, frames: int = 2, box: tuple[float, float, float, float] = CENTRE
    ) -> None:
        """Let the camera see the same for so many frames."""
        for _ in range(frames):
            self.at += STEP
            watcher.frame(Frame(self.at, pixels.shape[1], pixels.shape[0], list(box), 0), pixels)

    def visit(self, watcher: Watcher, *people: tuple[str, int, int, int], frames: int = 3) -> Event:
        """Let people stand before the camera, and go; return the event."""
        watcher.motion(self.at, CENTRE)
        self.show(watcher, wall(*people), frames)
        watcher.still(self.at - frames * STEP, self.at)
        return self.newest()

    def all(self) -> tuple[Event, ...]:
        """All events of the camera, the newest first."""
        with self.database.read() as c:
            return self.events.list(c, [self.camera.id])

    def newest(self) -> Event:
        """The newest event."""
        return self.all()[0]

    def kinds(self) -> list[NewsKind]:
        """Kinds of what was told."""
        return [n.kind for n in self.told]

    def agreement(self, by: str = "the person") -> Agreement:
        """A consent that somebody gives."""
        return Agreement(by, ConsentKind.EXPLICIT, self.world.clock.now + timedelta(days=300))

    def knows(self, name: str, *photos: str) -> None:
        """Add a person to the library, and let the camera recognise its people."""
        self.library.add(self.admin, name, self.agreement(), [jpeg(p) for p in photos])
        self.setup(collection=self.library.ensure(self.admin))

    def entries(self, action: str = "") -> list[dict]:
        """The ledger's entries of this household, the oldest first: all, or those of an action."""
        log = self.world.app.ledger
        mine = [e for e in map(log.entry, range(self.begun, log.size())) if e.get("organisation") == self.organisation]
        return [e for e in mine if not action or (e.get("request") or {}).get("action") == action]

    def searches(self) -> list[dict]:
        """Those of searches over video."""
        return self.entries("Watch")


_NUMBERS: Iterator[int] = iter(range(1_000_000))


def move_in(
    world: World,
    *,
    jurisdiction: str = "US-CA",
    zones: tuple[Zone, ...] = (),
    org_class: OrgClass = OrgClass.HOUSEHOLD,
) -> Home:
    """Let a household (or a company) move into an installation, with one camera that recognises nobody yet."""
    app, number = world.app, next(_NUMBERS)
    begun = app.ledger.size()
    organisation = app.people.add_organisation(ME, f"Home {number}", org_class, jurisdiction).id
    purpose = Purpose.HOME_SECURITY if org_class == OrgClass.HOUSEHOLD else Purpose.ACCESS_CONTROL
    person = app.people.add(ME, organisation, f"owner-{number}@home.example", "owner", [Role.ADMIN, Role.USER]).id
    admin = Caller(person, purpose)
    store, events = app.cameras._store, app.watching.events
    camera = Camera(
        id=f"cam-{number:016x}",
        organisation=organisation,
        by=person,
        purpose=str(purpose),
        name="front door",
        url="rtsp://user:secret@192.0.2.7/stream",
        zones=zones,
    )
    with app._database.transaction() as c:
        store.add(c, camera)
    engines = Embedders(app.engines)
    watching = replace(app.watching, engines=engines)
    return Home(world, organisation, admin, camera, store, events, app.library, app.sightings, engines, watching, begun)


def files_with(folder: Path, needle: bytes) -> list[Path]:
    """Files below a folder in which some bytes stand."""
    return [p for p in folder.rglob("*") if p.is_file() and needle in p.read_bytes()]


__all__ = ["CENTRE", "STEP", "T0", "Embedders", "Home", "files_with", "jpeg", "move_in", "portrait", "wall"]
