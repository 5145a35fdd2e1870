# SPDX-License-Identifier: Apache-2.0
"""Clips for owners: what the camera sent, or nothing of what is hidden; a whole file and one entry, or neither."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import av
import numpy as np
import pytest
from tests.cameras.footage import footage
from tests.cameras.kept import recorded
from tests.operations.conftest import ME, World, open_world
from tests.operations.sharingroom import SameProcess

from custodes.cameras.model import Camera, Segment, Span, Spot, Zone
from custodes.errors import Conflict, CustodesError, Denied, Invalid, NotFound, Unavailable
from custodes.governance import Caller, OrgClass, Purpose, Role
from custodes.operations import exporting
from custodes.operations.exporting import ExportOperations, Taken
from custodes.operations.redactor import Clip, Redactor

DAY = 1_799_971_200_000
"""2027-01-15 00:00 UTC."""
MASK = Zone("window", ((0, 0), (0.5, 0), (0.5, 1), (0, 1)), Spot.MASK)


@dataclass
class House:
    """A household whose camera has recorded four seconds, and how clips of it are made in this process."""

    world: World
    owner: Caller
    camera: Camera
    segments: list[Segment]
    redactor: SameProcess
    asked: list[bool] = field(default_factory=list)
    meanwhile: Callable[[], None] = lambda: None

    def make(self, *told: object, blurred: bool, progress: Callable[[int, int], None]) -> Clip:
        """Make a clip, as a redactor does, while something else happens; who is to be blurred isn't looked for."""
        self.asked.append(blurred)
        self.meanwhile()
        progress(1, 2)
        return self.redactor.make(*told, blurred=False)

    @property
    def exports(self) -> ExportOperations:
        """What is tested."""
        app = self.world.app
        return ExportOperations(
            app.guard, app._database, app.exports._index, app.cameras, self, self.world.config.video
        )

    def hide(self, *zones: Zone) -> None:
        """Change the camera's zones."""
        self.camera = self.world.app.cameras.change(self.owner, replace(self.camera, zones=zones))

    def entries(self, what: Callable[[], object]) -> list[Mapping[str, object]]:
        """Do something, and return what the ledger tells of it."""
        log = self.world.app.ledger
        before = log.size()
        what()
        return [log.entry(i) for i in range(before, log.size())]

    def refused(self, kind: type[CustodesError], path: Path, *, span: Span | None = None) -> list[object]:
        """Export a clip, which is refused; return the outcomes on record. Nothing is left where it was to be."""
        there = sorted(path.parent.iterdir()) if path.parent.is_dir() else []

        def tried() -> None:
            with pytest.raises(kind):
                self.exports.export(self.owner, self.camera.id, span or self.segments[0].span, path)

        told = self.entries(tried)
        assert (sorted(path.parent.iterdir()) if path.parent.is_dir() else []) == there
        return [e["outcome"] for e in told if "outcome" in e]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A household."""
    world = open_world(tmp_path_factory.mktemp("exporting") / "data")
    organisation = world.app.people.add_organisation(ME, "Home", OrgClass.HOUSEHOLD, "US-CA").id
    person = world.app.people.add(ME, organisation, "ana@home.example", "ana", [Role.ADMIN, Role.USER]).id
    owner = Caller(person, Purpose.HOME_SECURITY)
    camera = world.app.cameras.add(owner, "door", "rtsp://192.0.2.7/main")
    video = footage(tmp_path_factory.mktemp("videos"), size=(160, 90), fps=5, seconds=4.0)
    segments = recorded(video, world.config.video, camera.id, DAY)
    for segment in segments:
        world.app.keeping.keep_segment(segment)
    yield House(world, owner, camera, segments, SameProcess(Redactor(world.config), None))
    world.app.close()


@pytest.fixture
def house(home: House) -> House:
    """The same without masks, and nothing happens meanwhile."""
    home.meanwhile = lambda: None
    home.asked.clear()
    if home.camera.zones:
        home.hide()
    return home


def packets(path: Path) -> list[bytes]:
    """Return what a file has of video, packet by packet."""
    with av.open(str(path)) as container:
        return [bytes(p) for p in container.demux(video=0) if p.size]


def test_a_clip_is_what_the_camera_sent(house: House, tmp_path: Path) -> None:
    """Packet by packet, from the key picture before; readable by its owner alone, and one entry."""
    path, asked = tmp_path / "clip.mp4", Span(DAY + 1500, DAY + 3000)
    [entry] = house.entries(lambda: house.exports.export(house.owner, "door", asked, path))
    told = packets(path)
    sent = [
        p for s in house.segments for p in packets(house.world.app.cameras.segment_file(house.owner, "door", s.start))
    ]
    assert told == sent[5:15]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
    assert (entry["request"]["action"], entry["outcome"], entry["camera"]) == ("ExportVideo", "done", house.camera.id)
    assert (entry["start"], entry["end"], entry["derivative"], entry["blurred"]) == (
        asked.start,
        asked.end,
        False,
        False,
    )
    assert entry["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "clip.mp4" not in str(entry)
    assert "door" not in str(entry)


def test_what_is_told_of_a_clip(house: House, tmp_path: Path) -> None:
    """What was asked for, what it really shows, its size and hash, and how far it was meanwhile."""
    steps: list[tuple[int, int]] = []
    path, asked = tmp_path / "clip.mp4", Span(DAY + 1500, DAY + 2500)
    made = house.exports.export(house.owner, "door", asked, path, progress=lambda *step: steps.append(step))
    assert (made.path, made.asked, made.real) == (path, asked, Span(DAY + 1000, DAY + 2600))
    assert (made.size, made.sha256) == (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
    assert (made.derivative, made.blurred, steps) == (False, False, [(1, 2)])


def test_what_is_masked_never_leaves(house: House, tmp_path: Path) -> None:
    """A camera with a privacy mask has no other clips than such as are encoded anew, with it black."""
    house.hide(MASK)
    path = tmp_path / "clip.mp4"
    [entry] = house.entries(lambda: house.exports.export(house.owner, "door", house.segments[0].span, path))
    assert entry["derivative"]
    sent = {
        p for s in house.segments for p in packets(house.world.app.cameras.segment_file(house.owner, "door", s.start))
    }
    assert sent.isdisjoint(packets(path))
    with av.open(str(path)) as container:
        seen = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    assert len(seen) >= 9
    assert max(int(np.max(picture[4:-4, 4:72])) for picture in seen) < 24
    assert min(float(np.mean(picture[:, 90:])) for picture in seen) > 60


def test_faces_are_blurred_if_that_is_wished(house: House, tmp_path: Path) -> None:
    """Which the entry tells."""
    export = house.exports.export
    span = house.segments[0].span
    [entry] = house.entries(lambda: export(house.owner, "door", span, tmp_path / "clip.mp4", blurred=True))
    assert (house.asked, entry["blurred"]) == ([True], True)


def test_a_clip_that_is_handed_out_is_the_same(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For whoever has no folder here: the bytes of an export, one entry, and nobody else's camera; no file has a name.

    What is larger than fits is refused before it is made.
    """
    path, span = tmp_path / "clip.mp4", house.segments[0].span
    house.exports.export(house.owner, "door", span, path)
    there = set(house.world.config.video.rglob("*"))
    taken: list[Taken] = []
    [entry] = house.entries(lambda: taken.append(house.exports.take(house.owner, "door", span)))
    with taken[0].file as file:
        assert file.read() == path.read_bytes()
    assert taken[0].size == path.stat().st_size
    assert set(house.world.config.video.rglob("*")) == there
    assert (entry["request"]["action"], entry["outcome"], entry["camera"]) == ("ExportVideo", "done", house.camera.id)
    assert entry["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    for who, when, kind in ((ME, span, NotFound), (house.owner, Span(DAY, DAY + 3_600_001), Invalid)):
        with pytest.raises(kind):
            house.exports.take(who, house.camera.id, when)
    house.asked.clear()
    monkeypatch.setattr(exporting, "_MOST_TAKEN", house.segments[0].size - 1)
    with pytest.raises(Invalid, match="of video"):
        house.exports.take(house.owner, "door", span)
    assert house.asked == []


def test_no_file_is_written_over(house: House, tmp_path: Path) -> None:
    """Neither one that is there, nor a link that leads nowhere, nor one that comes while the clip is made."""
    taken, link = tmp_path / "taken.mp4", tmp_path / "link.mp4"
    taken.write_bytes(b"precious")
    link.symlink_to(tmp_path / "nowhere")
    assert house.refused(Conflict, taken) == []
    assert house.asked == []  # nothing was made of it
    assert house.refused(Conflict, link) == ["failed"]
    assert taken.read_bytes() == b"precious"
    (tmp_path / "later").mkdir()
    later = tmp_path / "later" / "clip.mp4"
    house.meanwhile = lambda: later.write_bytes(b"precious") and None
    with pytest.raises(Conflict):
        house.exports.export(house.owner, "door", house.segments[0].span, later)
    assert list(later.parent.iterdir()) == [later]
    assert later.read_bytes() == b"precious"


def test_what_is_not_permitted_any_more_leaves_no_file(house: House, tmp_path: Path) -> None:
    """The rules are asked again when the clip is made; who was suspended meanwhile gets nothing."""
    people, ana = house.world.app.people, house.owner.principal
    house.meanwhile = lambda: people.suspend(ME, ana, suspended=True)
    assert house.refused(Denied, tmp_path / "clip.mp4")[-1] == "denied"
    people.suspend(ME, ana, suspended=False)


def test_what_cannot_be_made_leaves_no_file(house: House, tmp_path: Path) -> None:
    """And one entry, which says that it came to nothing."""

    def fail() -> None:
        assert [p.stat().st_size for p in tmp_path.iterdir()] == [0]  # under another name
        assert not (tmp_path / "clip.mp4").exists()
        raise Unavailable("It can't be decoded.")

    house.meanwhile = fail
    assert house.refused(Unavailable, tmp_path / "clip.mp4") == ["failed"]
    house.meanwhile = lambda: (_ for _ in ()).throw(KeyboardInterrupt)
    assert house.entries(lambda: _interrupted(house, tmp_path / "clip.mp4"))[0]["outcome"] == "failed"
    assert not list(tmp_path.iterdir())


def _interrupted(house: House, path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        house.exports.export(house.owner, "door", house.segments[0].span, path)


def test_what_cannot_be_written_leaves_no_file(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that isn't there is noticed before anything is made; a full disk when it is."""
    assert house.refused(Unavailable, tmp_path / "no" / "clip.mp4") == ["failed"]
    assert house.asked == []

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert house.refused(Unavailable, tmp_path / "clip.mp4") == ["failed"]


def test_what_is_not_there_is_not_exported(house: House, tmp_path: Path) -> None:
    """No video of that time, more than an hour, and another household's camera."""
    path = tmp_path / "clip.mp4"
    assert house.refused(NotFound, path, span=Span(DAY - 9000, DAY - 1)) == ["failed"]
    assert house.refused(Invalid, path, span=Span(DAY, DAY + 3_600_001)) == []
    owner, house.owner = house.owner, ME
    assert house.refused(NotFound, path) == []
    house.owner = owner


def test_a_glimpse_is_of_what_is_new(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest picture, if there is one since; it is no entry, for that somebody looks is one already."""
    asked: list[int] = []
    monkeypatch.setattr(House, "still", lambda _, last, masks: asked.append(last.start) or b"jpeg", raising=False)
    newest = house.segments[-1].start

    def looked() -> None:
        assert house.exports.glimpse(house.owner, "door") == (newest, b"jpeg")
        assert house.exports.glimpse(house.owner, "door", newest) is None

    assert house.entries(looked) == []
    assert asked == [newest]
