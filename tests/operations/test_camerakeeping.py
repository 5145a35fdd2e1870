# SPDX-License-Identifier: Apache-2.0
"""What is kept of cameras, and for how long: files and index always tell the same, and nothing of others is touched."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
import structlog
from tests.cameras.footage import footage
from tests.cameras.kept import AT, Kept, raw, recorded

from custodes.cameras.index import segment_path
from custodes.cameras.model import Camera, Event, Retention, Segment, Span, Spot, Zone
from custodes.cameras.paths import part_path, start_of
from custodes.cameras.schema import camera_events
from custodes.config import Cameras, Config
from custodes.db import Database
from custodes.errors import IntegrityError, NotFound, Unavailable
from custodes.operations import camerakeeping
from custodes.operations.camerakeeping import CameraKeeping

HOUR = 3_600_000
DAYS = 24 * HOUR
NOW = AT - 60 * DAYS
SIZE = 1000
ALWAYS = Span(0, 1 << 62)


@dataclass
class House:
    """Cameras, their files, and what keeps them; nothing runs."""

    folder: Path
    kept: Kept
    settings: Cameras
    holds: list[Span] = field(default_factory=list)
    clocks: tuple[float, float] = (NOW / 1000, 5.0)

    def __post_init__(self) -> None:
        self.config = Config(data=self.folder, cameras=self.settings)
        self.restart()

    def restart(self) -> None:
        """Begin anew, as after a crash of the server."""
        stores = self.kept.cameras, self.kept.index, self.kept.events
        self.keeping = CameraKeeping(
            self.kept.database, *stores, self.config, lambda camera: self.holds, lambda: self.clocks
        )

    def camera(self, *days: float, **more: object) -> Camera:
        """Add a camera that keeps continuous, motion and event video for so many days."""
        with self.kept.database.transaction() as c:
            return self.kept.camera(c, retention=Retention(*days), **more)

    def record(self, camera: Camera, *ages: int, length: int = 10_000, size: int = SIZE) -> list[Segment]:
        """Let it have recorded files that began so many milliseconds ago."""
        made = [Segment(camera.id, NOW - a, NOW - a + length, size, bytes(32), 64, 36, "video/mp4") for a in ages]
        for segment in made:
            path = segment_path(self.config.video, camera.id, segment.start)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(size))
            self.keeping.keep_segment(segment)
        return made

    def happen(self, camera: Camera, age: int, *, open_: bool = False) -> Event:
        """Let something have happened for two seconds so long ago."""
        event = Event(f"evt-{age:016x}", camera.id, NOW - age, NOW - age + 2000, open=open_)
        with self.kept.database.transaction() as c:
            self.kept.events.begin(c, event, b"a picture")
        return event

    def retain(self) -> int:
        """Let the worker look through what there is."""
        return self.keeping.run_retention(datetime.fromtimestamp(NOW / 1000, UTC))

    def left(self, camera: Camera, of: Sequence[Segment]) -> list[int]:
        """Return which of these files are left, by number; index and disk tell the same."""
        with self.kept.database.read() as c:
            listed = {s.start for s in self.kept.index.list(c, camera.id, ALWAYS)}
        assert listed == files(self.config.video / camera.id)
        return [n for n, s in enumerate(of) if s.start in listed]

    def motions(self, camera: Camera) -> tuple[Span, ...]:
        """Return when something moved."""
        with self.kept.database.read() as c:
            return self.kept.index.motions(c, camera.id, ALWAYS)

    def events(self, camera: Camera) -> list[str]:
        """Return the ids of what happened."""
        with self.kept.database.read() as c:
            return [e.id for e in self.kept.events.list(c, [camera.id])]


def files(folder: Path) -> set[int]:
    """Return when the complete files of a camera begin."""
    told = (start_of(f.parent.name, f.name) for f in folder.rglob("*.mp4"))
    return {at[0] for at in told if at is not None}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A house whose disk never is full."""
    kept = Kept(Database(f"sqlite:///{tmp_path}/custodes.sqlite3"))
    yield House(tmp_path, kept, Cameras(free_bytes=0))
    kept.database.close()


def fill(monkeypatch: pytest.MonkeyPatch, house: House, lacking: int) -> None:
    """Let the disk have so many bytes too few, until files are deleted."""

    def used() -> int:
        return sum(f.stat().st_size for f in house.config.video.rglob("*.mp4"))

    room = used() + 1_000_000_000 - lacking
    monkeypatch.setattr(camerakeeping.shutil, "disk_usage", lambda _: SimpleNamespace(free=room - used()))
    house.config = replace(house.config, cameras=Cameras())
    house.restart()


# --- how long it stays ------------------------------------------------------------------------------------------------


def test_each_kind_stays_for_its_days(house: House) -> None:
    """What lies around an event longest, around a motion less long, anything else least; motions and events go too."""
    camera = house.camera(1, 7, 14)
    ages = [15 * DAYS, 13 * DAYS, 12 * DAYS, 8 * DAYS, 6 * DAYS, 5 * DAYS, 2 * DAYS, HOUR]
    made = house.record(camera, *ages)
    house.happen(camera, ages[0])
    recent = house.happen(camera, ages[1])
    for age in (ages[0], ages[3], ages[4]):
        house.keeping.keep_motion(camera.id, Span(NOW - age, NOW - age + 3000))
    assert house.keeping.usage(camera).total.files == 8
    assert house.retain() == 5
    assert house.left(camera, made) == [1, 4, 7]
    told = house.keeping.usage(camera)
    assert (told.event.files, told.motion.files, told.continuous.files) == (1, 1, 1)
    assert house.events(camera) == [recent.id]
    assert len(house.motions(camera)) == 2  # as long as events
    assert not segment_path(house.config.video, camera.id, made[0].start).parent.exists()
    assert house.retain() == 0


def test_the_oldest_of_the_cheapest_kind_goes_first(house: House) -> None:
    """Where a camera's size is reached: continuous video, then motion, then events."""
    camera = house.camera(9, 9, 9)
    camera = replace(camera, retention=replace(camera.retention, gigabytes=2 * SIZE / 1e9))
    with house.kept.database.transaction() as c:
        house.kept.cameras.put(c, camera)
    made = house.record(camera, 5 * HOUR, 4 * HOUR, 3 * HOUR, 2 * HOUR)
    house.happen(camera, 5 * HOUR)
    house.keeping.keep_motion(camera.id, Span(made[1].start, made[1].end))
    assert house.retain() == 2
    assert house.left(camera, made) == [0, 1]


def test_a_full_disk_takes_the_cheapest_of_all_cameras(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """No camera loses an event for the sake of another's empty street; what is on hold stays in any case."""
    first, second = house.camera(9, 9, 9, name="a"), house.camera(9, 9, 9, name="b")
    events, quiet = house.record(first, 5 * HOUR, 4 * HOUR), house.record(second, 6 * HOUR, 3 * HOUR, 2 * HOUR)
    house.happen(first, 5 * HOUR)
    house.holds.append(Span(quiet[0].start, quiet[0].start + 1))
    fill(monkeypatch, house, 2 * SIZE - 10)
    assert house.retain() == 2
    assert (house.left(first, events), house.left(second, quiet)) == ([0], [0, 2])
    fill(monkeypatch, house, 50 * SIZE)
    house.retain()
    assert (house.left(first, events), house.left(second, quiet)) == ([], [0])


def test_what_moves_now_is_motion(house: House) -> None:
    """Who keeps motion alone loses nothing of one that goes on, that ends, or in which the server is killed."""
    camera = house.camera(0, 7, 14)
    made = house.record(camera, 3 * HOUR, 2 * HOUR)
    house.keeping.begin_motion(camera.id, made[1].start)
    assert house.retain() == 1
    assert house.left(camera, made) == [1]
    moving = house.record(camera, 2 * HOUR - 10_000, 2 * HOUR - 20_000)
    house.restart()
    cut = house.record(camera, 2 * HOUR - 30_000)  # it was being written
    later = house.record(camera, HOUR)
    assert house.retain() == 1
    assert house.left(camera, [*made, *moving, *cut, *later]) == [1, 2, 3, 4]
    assert house.motions(camera) == (Span(made[1].start, moving[-1].end),)


def test_a_motion_of_which_nobody_tells_the_end(house: House) -> None:
    """It ends when its process is gone, and what comes after that is still."""
    camera = house.camera(0, 7, 14)
    house.keeping.begin_motion(camera.id, NOW - 2 * HOUR)
    house.keeping.break_motion(camera.id, NOW - HOUR)
    house.keeping.break_motion(camera.id, NOW)  # nothing moves
    assert house.motions(camera) == (Span(NOW - 2 * HOUR, NOW - HOUR),)
    house.keeping.begin_motion(camera.id, NOW)
    house.keeping.keep_motion(camera.id, Span(NOW, NOW + 5))
    house.keeping.break_motion(camera.id, NOW + 9)
    assert house.motions(camera)[1:] == (Span(NOW, NOW + 5),)


def test_events_go_with_their_pictures(house: House) -> None:
    """They are scrubbed from the files; one that goes on stays, and one that was never ended goes a day later."""
    camera = house.camera(1, 1, 1)
    going, forgotten = house.happen(camera, DAYS + HOUR, open_=True), house.happen(camera, 3 * DAYS, open_=True)
    old = house.happen(camera, 2 * DAYS)
    column = sa.select(camera_events.c.picture_key)
    with house.kept.database.read() as c:
        keys = [c.execute(column.where(camera_events.c.id == e)).scalar_one() for e in (old.id, forgotten.id)]
    assert all(k in raw(house.folder) for k in keys)
    house.retain()
    assert house.events(camera) == [going.id]
    assert not any(k in raw(house.folder) for k in keys)


def test_what_cannot_be_deleted_stays_in_the_index(house: House) -> None:
    """The others go, and the log says that something is wrong, by the camera's id."""
    camera = house.camera(1, 1, 1)
    made = house.record(camera, 5 * DAYS, 4 * DAYS)
    path = segment_path(house.config.video, camera.id, made[0].start)
    path.unlink()
    path.mkdir()
    with structlog.testing.capture_logs() as told:
        assert house.retain() == 1
    assert house.left(camera, made) == [0]
    assert told == [{"event": "video can't be deleted", "camera": camera.id, "files": 1, "log_level": "error"}]


def test_a_clock_that_leaps_ahead_makes_nothing_old(house: House) -> None:
    """For a day, in which it may be set right; then it is believed, and so is time that has passed, asleep too."""
    camera = house.camera(3, 3, 3)
    made = house.record(camera, HOUR, HOUR // 2)
    wall, passed = house.clocks

    def gone(leapt: float, later: float) -> int:
        house.clocks = wall + leapt * 86_400 + later, passed + later
        return house.keeping.run_retention()

    with structlog.testing.capture_logs() as told:
        assert [gone(0, 0), gone(90, 60), gone(90, 120), gone(90, 86_000)] == [0, 0, 0, 0]
    assert [e["seconds"] for e in told] == [90 * 86_400]
    assert gone(0, 86_000) == 0  # it was set right
    assert [gone(90, 86_001), gone(90, 2 * 86_400 + 1)] == [0, 2]
    assert house.left(camera, made) == []
    house.record(camera, HOUR)
    house.restart()
    assert [gone(0, 0), gone(0, 3 * 86_400)] == [0, 1]


def test_room_is_what_files_take_and_not_what_is_said_of_them(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that somebody has made hollow give no room, so that others go as well."""
    camera = house.camera(9, 9, 9)
    made = house.record(camera, 5 * HOUR, 4 * HOUR, 3 * HOUR, 2 * HOUR)
    path, other = (segment_path(house.config.video, camera.id, s.start) for s in made[:2])
    os.truncate(path, 0)
    os.truncate(path, SIZE)
    os.link(other, house.folder / "other")
    monkeypatch.setattr(camerakeeping.shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000_000 - SIZE))
    house.config = replace(house.config, cameras=Cameras())
    house.restart()
    assert house.retain() == 3
    assert house.left(camera, made) == [3]


def test_a_file_is_what_its_process_says_or_is_not_kept(house: House) -> None:
    """One that isn't there, has another size, or has holes: the index has nothing of it."""
    camera = house.camera(9, 9, 9)
    [made] = house.record(camera, HOUR)
    path = segment_path(house.config.video, camera.id, made.start)
    with pytest.raises(NotFound):
        house.keeping.keep_segment(replace(made, start=made.start + 1))
    with pytest.raises(IntegrityError):
        house.keeping.keep_segment(replace(made, size=SIZE + 1))
    os.truncate(path, 1 << 20)
    with pytest.raises(IntegrityError):
        house.keeping.keep_segment(replace(made, size=1 << 20))
    assert house.keeping.usage(camera).total.size == SIZE


# --- what is ours -----------------------------------------------------------------------------------------------------


def test_folders_of_removed_cameras_go_and_nothing_else(house: House, tmp_path: Path) -> None:
    """Another's folder, a file, a link and what it leads to: none of that is ours."""
    camera, gone = house.camera(1, 1, 1), house.camera(1, 1, 1)
    house.record(camera, HOUR)
    house.record(gone, HOUR)
    elsewhere = tmp_path / "elsewhere" / "20261126"
    elsewhere.mkdir(parents=True)
    (elsewhere / "100000000.mp4").write_bytes(b"precious")
    video = house.config.video
    (video / "cam-0123456789abcdef").symlink_to(elsewhere.parent)
    (video / "cam-00000000000000ee").touch()
    (video / "cam-backup").mkdir()
    with house.kept.database.transaction() as c:
        house.kept.cameras.remove(c, gone.id)
    assert house.keeping.known([camera.id, gone.id]) == {camera.id}
    assert house.retain() == 1
    left = {camera.id, "cam-0123456789abcdef", "cam-00000000000000ee", "cam-backup"}
    assert {f.name for f in video.iterdir()} == left
    assert (elsewhere / "100000000.mp4").read_bytes() == b"precious"


@pytest.mark.parametrize("level", [0, 1, 2])
def test_nothing_is_deleted_through_a_link(house: House, tmp_path: Path, level: int) -> None:
    """A camera's folder, a day's or a file that somebody has made a link: what it leads to stays."""
    camera = house.camera(1, 1, 1)
    [old] = house.record(camera, 5 * DAYS)
    path = segment_path(house.config.video, camera.id, old.start)
    linked = (path.parent.parent, path.parent, path)[level]
    linked.rename(tmp_path / "elsewhere")
    linked.symlink_to(tmp_path / "elsewhere")
    house.retain()
    there = tmp_path / "elsewhere" / path.relative_to(linked)
    assert there.stat().st_size == SIZE


# --- beginning --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds, a key picture each."""
    return footage(tmp_path_factory.mktemp("videos"), size=(160, 90), fps=5, seconds=4.0)


def test_what_a_killed_recorder_left_is_taken_up(house: House, video: Path) -> None:
    """What it had complete, and what it was writing up to the last whole second; an event that went on is over."""
    camera = house.camera(9, 9, 9)
    first, second = recorded(video, house.config.video, camera.id)
    path, part = (f(house.config.video, camera.id, second.start) for f in (segment_path, part_path))
    part.write_bytes(path.read_bytes()[:-100])
    path.unlink()
    event = house.happen(camera, HOUR, open_=True)
    with house.kept.database.transaction() as c:
        house.kept.index.add(c, replace(first, start=first.start - 5000, end=first.end - 5000))  # which is gone
    house.keeping.recover(camera)
    with house.kept.database.read() as c:
        found = house.kept.index.list(c, camera.id, ALWAYS)
        assert not house.kept.events.get(c, event.id).open
    assert found[0] == first
    assert (found[1].start, found[1].end < second.end, len(found)) == (second.start, True, 2)
    assert path.stat().st_size == found[1].size


def test_a_camera_that_is_paused_is_looked_after(house: House, video: Path) -> None:
    """What its process left is found by and by, so that it doesn't stay for ever; what it just wrote is left to it."""
    camera = house.camera(90, 90, 90, enabled=False)
    first, second = recorded(video, house.config.video, camera.id, NOW - DAYS)
    parts = [part_path(house.config.video, camera.id, s.start) for s in (first, second)]
    for segment, part in zip((first, second), parts, strict=True):
        segment_path(house.config.video, camera.id, segment.start).rename(part)
    os.utime(parts[0], (time.time() - 100,) * 2)
    house.retain()
    assert house.left(camera, [first, second]) == [0]
    assert parts[1].exists()


def test_what_a_process_is_told(house: House) -> None:
    """A folder for its owner alone, masks always, zones where they alone count, and no folder if nothing is kept."""
    corners = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))
    zones = (Zone("yard", corners, Spot.MASK), Zone("door", corners))
    camera = house.camera(1, 1, 1, zones=zones, substream="rtsp://192.0.2.7/sub")
    told = house.keeping.begin_of(camera)
    folder = house.config.video / camera.id
    assert (told.url, told.substream, told.folder) == (camera.url, camera.substream, str(folder))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (told.masks, told.zones) == ([[list(p) for p in corners]], [])
    assert house.keeping.begin_of(replace(camera, zones_only=True)).zones == [[list(p) for p in corners]]
    assert house.keeping.begin_of(replace(camera, records=False)).folder == ""
    assert "geheim" not in repr(told)


def test_a_folder_that_leads_elsewhere_is_not_written_to(house: House, tmp_path: Path) -> None:
    """A camera whose folder is a link doesn't begin."""
    camera = house.camera(1, 1, 1)
    house.config.video.mkdir()
    (house.config.video / camera.id).symlink_to(tmp_path)
    with pytest.raises(Unavailable):
        house.keeping.recover(camera)
