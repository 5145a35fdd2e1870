# SPDX-License-Identifier: Apache-2.0
"""Households with a camera near the place that an agency asks about, and what they share, in this process."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.cameras.agencyroom import PIKE_PLACE, Department, Officer, wanted
from tests.cameras.footage import Visit, footage
from tests.operations.conftest import ME, World

from custodes.cameras.board import Board, make_board
from custodes.cameras.footagestore import FootageStore
from custodes.cameras.index import SegmentIndex, segment_path
from custodes.cameras.model import Camera, News, Segment, Span, Zone
from custodes.cameras.moments import to_ms
from custodes.cameras.mp4 import measured
from custodes.cameras.shares import ShareStore
from custodes.cameras.sharing import FootageRequest, check_request
from custodes.cameras.store import CameraStore
from custodes.errors import NotFound
from custodes.governance import Caller, OrgClass, Purpose, Role
from custodes.operations.boards import BoardReader
from custodes.operations.previews import Previews
from custodes.operations.process import ProcessOperations
from custodes.operations.redactor import Redactor
from custodes.operations.releasing import Releasing
from custodes.operations.requests import RequestInbox
from custodes.operations.sharing import ShareOperations

__all__ = ["ENDPOINT", "House", "Room", "SameProcess", "open_room", "record", "walk"]

ENDPOINT = "http://127.0.0.1:8080"
_BEFORE = 11 * 3_600_000  # milliseconds before now, within what is asked about


def walk(folder: Path, **more: object) -> Path:
    """Six seconds in which somebody walks by."""
    visits = (Visit("obama_1.jpg", 1.0, 5.0, 0.9, top=0.05),)
    return footage(folder, **{"size": (640, 360), "fps": 10, "seconds": 6.0, "visits": visits} | more)


def record(folder: Path, camera: str, start: int, video: Path) -> Segment:
    """Put a video where a camera's recordings lie."""
    place = segment_path(folder, camera, start)
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    shutil.copyfile(video, place)
    place.chmod(0o600)
    with place.open("rb") as file:
        found = measured(file)
    data = place.read_bytes()
    return Segment(
        camera,
        start,
        start + found.length,
        len(data),
        hashlib.sha256(data).digest(),
        found.width,
        found.height,
        found.mime,
    )


@dataclass
class House:
    """A household, who administers it, its camera, and a second in which that has recorded somebody."""

    organisation: str
    admin: Caller
    user: Caller
    camera: Camera
    span: Span


@dataclass
class SameProcess:
    """A redactor that works in this process, with an engine that is there already; counts what it makes."""

    redactor: Redactor
    engine: object
    made: int = 0

    def make(self, segments, span, masks, *, blurred, progress=None, still=None, stopped=None):
        """Make a clip as the process does."""
        import io

        from custodes.cameras.clips import cut, frames
        from custodes.operations.redacting import redact
        from custodes.operations.redactor import Clip

        self.made += 1
        video, out = self.redactor._config.video, io.BytesIO()
        found, derivative = cut(segments, video, span, out), None
        if blurred or masks:
            out = io.BytesIO()
            engine = self.engine if blurred else None
            derivative = redact(frames(segments, video, span), out, engine, masks, span)
        facts = found.codec, found.width, found.height, found.packets, found.packets_sha256
        return Clip(out.getvalue(), found.asked, found.real, *facts, derivative)


@dataclass
class Room:
    """A world with an agency that is enrolled, a board, and all of sharing."""

    world: World
    folder: Path
    department: Department
    asking: Officer
    request: FootageRequest
    reader: BoardReader
    previews: Previews
    inbox: RequestInbox
    sharing: ShareOperations
    releasing: Releasing
    process: ProcessOperations
    redactor: SameProcess
    cameras: CameraStore
    board: list[Board]
    told: list[News] = field(default_factory=list)

    @property
    def database(self):
        """The installation's database."""
        return self.world.app._database

    def house(self, name: str = "home", *, metres_north: float = 50.0, masks: tuple[Zone, ...] = ()) -> House:
        """Let a household move in whose camera has recorded somebody walking by."""
        app = self.world.app
        organisation = app.people.add_organisation(ME, f"{name} {secrets.token_hex(3)}", OrgClass.HOUSEHOLD, "US-WA").id

        def person(role: Role) -> Caller:
            found = app.people.add(ME, organisation, f"{secrets.token_hex(4)}@home.example", name, [role])
            return Caller(found.id, Purpose.HOME_SECURITY)

        admin, user = person(Role.ADMIN), person(Role.USER)
        camera = Camera(
            id=f"cam-{secrets.token_hex(8)}",
            organisation=organisation,
            by=admin.principal,
            purpose=str(Purpose.HOME_SECURITY),
            name="12 Elm Street porch",
            url="rtsp://user:secret@192.0.2.7/stream",
            zones=masks,
            place=(PIKE_PLACE[0] + metres_north / 111_195, PIKE_PLACE[1]),
        )
        start = to_ms(self.world.clock.now) - _BEFORE
        segment = record(self.world.config.video, camera.id, start, walk(self.folder))
        with self.database.transaction() as c:
            self.cameras.add(c, camera)
            SegmentIndex().add(c, segment)
        return House(organisation, admin, user, camera, Span(start + 2300, start + 3300))

    def change(self, house: House, **changes: object) -> None:
        """Change a camera's settings."""
        with self.database.transaction() as c:
            house.camera = self.cameras.put(c, replace(self.cameras.get(c, house.camera.id), **changes))

    def entries(self, begun: int) -> list[dict]:
        """The ledger's entries from one on."""
        log = self.world.app.ledger
        return [dict(log.entry(i)) for i in range(begun, log.size())]

    def refused(self, call: Callable[[], object]) -> str:
        """Return what is said to who may not fetch."""
        try:
            call()
        except NotFound as e:
            return e.diagnostics()
        raise AssertionError("it was let through")


def open_room(world: World, folder: Path) -> Room:
    """Enrol an agency that asks about Pike Place, and open all of sharing.

    Args:
        world: the installation.
        folder: where videos are kept for all tests.
    """
    app, now = world.app, world.clock.now
    department = Department(now=now)
    ann, bob, cat = (department.officer(n) for n in ("ann", "bob", "cat"))
    document = department.approve(department.draft(ann, wanted(now), now), bob, cat, now=now)
    app.footage.enrol_agency(ME, department.document)
    request = check_request(document, (department.agency,), now)
    board = [make_board([department.document], [document])]
    vault = app.faces._references._vault
    cameras, store, footage, told = CameraStore(vault), ShareStore(vault), FootageStore(), []
    log = app.ledger._log
    reader = BoardReader((), lambda: board[0], clock=world.clock)
    redactor = SameProcess(Redactor(world.config), app.engines.default)
    previews = Previews(redactor)
    inbox = RequestInbox(app.guard, app._database, cameras, SegmentIndex(), reader, footage.trusted, previews)
    folder_of_shares = world.config.shares
    return Room(
        world,
        folder,
        department,
        ann,
        request,
        reader,
        previews,
        inbox,
        ShareOperations(
            app.guard, app._database, store, footage, inbox, log, folder_of_shares, ENDPOINT, reader.offset
        ),
        Releasing(app.guard, app._database, store, footage, folder_of_shares, told.append),
        ProcessOperations(app.guard, app._database, app.identity._registry, vault, told.append),
        redactor,
        cameras,
        board,
        told,
    )
