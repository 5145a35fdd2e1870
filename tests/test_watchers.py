# SPDX-License-Identifier: Apache-2.0
"""Cameras from end to end: a real camera's stream, a process that reads it, what is recorded, and who is recognised."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
import structlog
from tests.cameras.filmed import awaited
from tests.cameras.footage import Visit, footage
from tests.cameras.gst_rtsp import RtspServer, missing

from custodes.app import App
from custodes.cameras.index import SegmentIndex
from custodes.cameras.model import Camera, Event, News, NewsKind, Segment, Span
from custodes.cameras.paths import start_of
from custodes.config import Cameras, Config, Mqtt
from custodes.governance import OPERATOR, Caller, ConsentKind, OrgClass, Purpose, Role
from custodes.operations.agreements import Agreement
from custodes.operations.cameralive import PartKind
from custodes.worker import Watchers

ME = Caller(OPERATOR, Purpose.PHOTO_LIBRARY, provenance="own")
PHOTO = Path(__file__).parent / "data" / "obama_2.jpg"
ALWAYS = Span(0, 1 << 62)
SECONDS = 30.0
VISITS = (Visit("obama_1.jpg", 1.2, 3.4, 0.9, top=0.05), Visit("biden.jpg", 3.6, 5.8, 0.9, top=0.05, leftwards=True))


@dataclass
class Scene:
    """A household whose cameras run."""

    app: App
    watchers: Watchers
    owner: Caller
    told: list[News]

    def add(self, name: str, url: str, **more: object) -> Camera:
        """Add a camera."""
        return self.app.cameras.add(self.owner, name, url, **more)

    def segments(self, camera: Camera) -> tuple[Segment, ...]:
        """Return what the index has of a camera."""
        with self.app._database.read() as c:
            return SegmentIndex().list(c, camera.id, ALWAYS)

    def events(self, camera: Camera) -> tuple[Event, ...]:
        """Return what has happened before a camera, the newest first."""
        return self.app.sightings.news(self.owner, (camera.id,), ALWAYS)

    def pid(self, camera: Camera) -> int:
        """Return the process that reads a camera now; 0 if none does."""
        runner = self.watchers._runners.get(camera.id)
        process = runner._process if runner else None
        return process.pid if process else 0

    def folder(self, camera: Camera) -> Path:
        """Return where its video lies."""
        return self.app.config.video / camera.id

    def up(self, camera: Camera) -> bool:
        """Tell whether its video arrives."""
        return self.app.live.state(camera.id).up


def files(folder: Path, *, complete: bool = True) -> set[int]:
    """Return when the files of a camera begin that are complete, or that are being written."""
    told = (start_of(f.parent.name, f.name) for f in folder.rglob("*") if f.is_file())
    return {at[0] for at in told if at is not None and at[1] == complete}


def household(data: Path, mqtt: Mqtt | None = None, **settings: object) -> tuple[App, Caller]:
    """Make an installation with a household."""
    cameras = Cameras(segment_seconds=1.0, free_bytes=0, **settings)
    app = App.open(Config(data=data, mqtt=mqtt or Mqtt(), cameras=cameras))
    home = app.people.add_organisation(ME, "Home", OrgClass.HOUSEHOLD, "US-CA").id
    owner = app.people.add(ME, home, "ana@home.example", "Ana", (Role.ADMIN, Role.USER)).id
    return app, Caller(owner, Purpose.HOME_SECURITY)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two people pass a door; in the garden there is nobody."""
    folder = tmp_path_factory.mktemp("videos")
    return {
        "door": footage(folder, seconds=6.4, visits=VISITS, key_seconds=0.5),
        "garden": footage(folder, size=(320, 180), seconds=2.0, key_seconds=0.5, seed=2),
    }


@pytest.fixture(scope="module")
def server(videos: dict[str, Path]) -> Iterator[RtspServer]:
    """Two cameras."""
    if why := missing():
        pytest.skip(why)
    made = RtspServer(videos)
    yield made
    made.kill()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A household that knows one person, on their consent; its cameras run."""
    app, owner = household(tmp_path_factory.mktemp("scene"))
    agreement = Agreement("the person", ConsentKind.EXPLICIT, datetime.now(UTC) + timedelta(days=30))
    app.library.add(owner, "barack", agreement, [PHOTO.read_bytes()])
    told: list[News] = []
    app.announcer.add_sink("test", told.append)
    made = Scene(app, Watchers(app), owner, told)
    made.watchers.start()
    yield made
    made.watchers.stop()
    app.close()


@pytest.fixture(scope="module")
def door(scene: Scene, server: RtspServer) -> Camera:
    """A camera by which two people pass, over and over; one of them is known."""
    return scene.add("door", server.url("door"), collection=scene.app.library.ensure(scene.owner))


def test_one_is_recognised_and_the_other_is_not(scene: Scene, door: Camera) -> None:
    """Who has agreed to it is called by name, and whoever else comes is unknown; both are told of."""

    def seen() -> set[str]:
        return {s.subject for e in scene.events(door) for s in e.sightings}

    awaited(lambda: len(seen()) == 2, SECONDS)
    assert seen() == {"barack", ""}
    assert {p for n in scene.told if n.kind == NewsKind.EVENT_SEEN for p in n.people} == {"barack"}
    assert NewsKind.CAMERA_UP in {n.kind for n in scene.told}


def test_a_recorder_that_is_killed_comes_back(scene: Scene, door: Camera) -> None:
    """No complete file is lost, the one that was being written is taken up, and the log says that it happened."""
    own, app = scene.folder(door), scene.app
    begun: list[int] = []

    def is_writing() -> bool:
        for path in own.rglob(".*.part"):
            with contextlib.suppress(FileNotFoundError):  # it is complete by now
                if path.stat().st_size > 20_000 and (told := start_of(path.parent.name, path.name)):
                    begun.append(told[0])
        return bool(begun)

    awaited(is_writing, SECONDS)
    broken, killed = begun[-1], scene.pid(door)
    with structlog.testing.capture_logs() as logged:
        os.kill(killed, signal.SIGKILL)
        awaited(lambda: scene.pid(door) not in (0, killed) and scene.up(door), SECONDS)
    assert {"event": "a camera's process has ended unasked", "camera": door.id, "log_level": "warning"} in logged
    assert broken in {s.start for s in scene.segments(door)}

    app.cameras.change(scene.owner, replace(app.cameras.get(scene.owner, door.id), enabled=False))
    awaited(lambda: not scene.pid(door) and not files(own, complete=False), SECONDS)
    awaited(lambda: files(own) == {s.start for s in scene.segments(door)}, SECONDS)
    before = scene.segments(door)
    assert before[-1].start > broken  # it recorded again
    with app._database.transaction() as c:
        SegmentIndex().remove(c, door.id, [s.start for s in before])
    app.keeping.recover(door)
    assert scene.segments(door) == before
    assert not any(e.open for e in scene.events(door))


def test_a_camera_that_is_changed_begins_anew_and_one_that_is_removed_is_gone(scene: Scene, server: RtspServer) -> None:
    """Who looks sees it go on after a change; nothing is left of one that is removed: process, video, looks."""
    garden = scene.add("garden", server.url("garden"))
    with scene.app.live.subscribe(garden.id) as view:

        def begins() -> bool:
            part = view.next(0.2)
            return part is not None and part.kind == PartKind.INIT

        awaited(begins, SECONDS)
        first = scene.pid(garden)
        scene.app.cameras.change(scene.owner, replace(garden, name="yard"))
        awaited(begins, SECONDS)
        second = scene.pid(garden)
        assert second not in (0, first)
        assert not psutil.pid_exists(first)
        awaited(lambda: files(scene.folder(garden)), SECONDS)
        scene.app.cameras.remove(scene.owner, garden.id)
        (scene.folder(garden) / "20200101").mkdir(
            parents=True, exist_ok=True
        )  # as its process does that isn't told yet
        awaited(lambda: view.ended, SECONDS)
    awaited(lambda: not psutil.pid_exists(second) and not scene.folder(garden).exists(), SECONDS)
    assert garden.id not in scene.watchers._runners


def test_the_broker_is_told_of_one_organisation_for_good(tmp_path: Path) -> None:
    """When its cameras rest, or are gone, no neighbour follows; with several the log says that it takes the setting."""
    app, owner = household(tmp_path / "data", mqtt=Mqtt(host="127.0.0.1"))
    told: list[tuple[str, set[str]]] = []

    def round_of(watchers: Watchers) -> list[tuple[str, set[str]]]:
        told.clear()
        watchers._mqtt.show = lambda organisation, cameras: told.append((organisation, set(cameras)))
        watchers._show(app.keeping.enabled())
        return list(told)

    home, first, late = app.guard.organisation_of(owner), Watchers(app), Watchers(app)
    mine = app.cameras.add(owner, "door", "rtsp://192.0.2.7/a")
    assert round_of(first) == [(home, {mine.id})]
    other = app.people.add_organisation(ME, "Next door", OrgClass.HOUSEHOLD, "US-CA").id
    nia = app.people.add(ME, other, "nia@next.example", "Nia", (Role.ADMIN, Role.USER)).id
    app.cameras.add(Caller(nia, Purpose.HOME_SECURITY), "gate", "rtsp://192.0.2.8/a")
    mine = app.cameras.change(owner, replace(mine, enabled=False))
    assert round_of(first) == [(home, set())]
    with structlog.testing.capture_logs() as logged:
        assert round_of(late) == round_of(late) == []
    assert [e["log_level"] for e in logged] == ["warning"]
    app.cameras.remove(owner, mine.id)
    assert round_of(first) == [(home, set())]
    app.close()


def test_nothing_runs_any_more_when_the_server_ends(tmp_path: Path, videos: dict[str, Path]) -> None:
    """Every process ends, and with it the file that it writes."""
    app, owner = household(tmp_path / "data", files=str(videos["garden"].parent))
    scene = Scene(app, Watchers(app), owner, [])
    cameras = [scene.add(name, f"file:{videos['garden'].name}") for name in ("one", "two")]
    scene.watchers.start()
    awaited(lambda: all(scene.up(k) for k in cameras), SECONDS)
    pids = [scene.pid(k) for k in cameras]
    scene.watchers.stop()
    assert len({*pids, 0}) == 3
    assert not any(psutil.pid_exists(p) for p in pids)
    assert not any(files(scene.folder(k), complete=False) for k in cameras)
    assert all(scene.segments(k) for k in cameras)
    assert not any(scene.up(k) for k in cameras)
    app.close()
