# SPDX-License-Identifier: Apache-2.0
"""Stream processors: on whose behalf they search, what they send and when, what ends them, where nothing is sent."""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa
from tests.cameras.test_webhooks import Receiver
from tests.operations.conftest import ME, World, open_world
from tests.operations.household import Home, files_with, jpeg, move_in

from custodes.cameras.courier import Courier
from custodes.cameras.processors import (
    Bucket,
    Presence,
    Processor,
    Region,
    Search,
    Sink,
    SinkKind,
    State,
)
from custodes.cameras.reach import Reach
from custodes.cameras.schema import stream_processors
from custodes.config import S3, Config, Mqtt, Streams
from custodes.domain import Candidate
from custodes.errors import Conflict, IntegrityError, Invalid, NotFound, Unavailable
from custodes.governance import Caller, OrgClass, Purpose, Role
from custodes.operations import streamsinks
from custodes.operations.processors import NewProcessor, ProcessorOperations, Source
from custodes.operations.shots import Shot
from custodes.operations.streamruns import Sighted, StreamRuns
from custodes.operations.streamsinks import PictureBuckets, StreamSinks

BARACK = ("obama_2", 250, 60, 560)
JOE = ("biden", 780, 40, 640)
ROLE = "arn:aws:iam::000000000000:role/any"


class Plain:
    """Writes records in few words; nothing is written in the middle of a transaction."""

    def __init__(self, world: World) -> None:
        self._database = world.app._database

    def found(self, processor: Processor, shot: Shot, ranked: Sequence[Candidate]) -> bytes:
        assert self._database._mine.connection is None
        return orjson.dumps({"of": processor.name, "at": shot.at, "who": [k.reference.subject_id for k in ranked]})

    def present(self, processor: Processor, sighted: Sighted) -> bytes:
        assert self._database._mine.connection is None
        return orjson.dumps({"of": processor.name, "frame": sighted.frame, "crop": sighted.crop})

    def over(self, processor: Processor, milliseconds: int) -> bytes:
        return orjson.dumps({"of": processor.name, "lasted": milliseconds})


class House(Home):
    """A household with stream processors."""

    @property
    def processors(self) -> ProcessorOperations:
        return self.world.app.processors

    @property
    def runs(self) -> StreamRuns:
        """The processors at work, with the household's own engines, which count templates."""
        made, store = self.processors, self.processors._store
        runs = StreamRuns(self.watching, store, self.store, made.sinks, PictureBuckets(self.world.config.bucket_root))
        runs.speak(Plain(self.world))
        return runs

    def stream(self, name: str) -> Path:
        """The file of a stream."""
        return self.world.config.stream_folder / self.organisation / f"{name}.ndjson"

    def lines(self, name: str) -> list[dict]:
        """What was written to a stream."""
        path = self.stream(name)
        return [orjson.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []

    def new(self, name: str, **more: object) -> NewProcessor:
        """What searches for the faces of the front door, and sends to a file of its own name."""
        told = {"output": file(name), "task": Search(self.camera.collection)} | more
        return NewProcessor(name, Source("arn:front", camera="front door"), ROLE, **told)

    def state(self, name: str) -> tuple[State, str]:
        """How a processor is, and why."""
        found = self.processors.get(self.admin, name)
        return found.processor.state, found.why

    def set_up(self, name: str, **more: object) -> str:
        """Make a processor and start it; return the session."""
        self.processors.create(self.admin, self.new(name, **more))
        return self.processors.start(self.admin, name)

    def look(self, *people: tuple[str, int, int, int]) -> None:
        """Let people stand before the camera while processors look."""
        self.visit(self.watcher(self.runs), *people)


def file(name: str) -> Sink:
    return Sink(SinkKind.FILE, name, f"arn:stream/{name}")


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An installation with room for many households, and a bucket."""
    made = open_world(tmp_path_factory.mktemp("street") / "data")
    (made.config.bucket_root / "door").mkdir(parents=True)
    yield made
    made.app.close()


def settled(street: World, **more: object) -> House:
    """A household (or another organisation) that knows Barack."""
    moved = move_in(street, **more)
    made = House(**{k: getattr(moved, k) for k in Home.__dataclass_fields__})
    made.knows("barack", "obama_1")
    made.engines.made.clear()
    return made


@pytest.fixture
def home(street: World) -> House:
    """A household of the test's own, whose camera recognises Barack."""
    return settled(street)


@pytest.fixture(scope="module")
def house(street: World) -> House:
    """One that tests share which look at what processors are, and not at what they find."""
    return settled(street)


# --- searching --------------------------------------------------------------------------------------------------------


def test_each_face_is_searched_and_told(home: House) -> None:
    """One record and one entry for each face that is followed, of strangers too, by the template there is already."""
    session = home.set_up("both")
    home.look(BARACK, JOE)
    told = home.lines("both")
    assert sorted(r["who"] for r in told) == [[], ["barack"]]
    mine = [e for e in home.searches() if "processor" in e]
    assert [(e["records"], e["faces"], e["matched"], e["candidates"]) for e in mine] == [(1, 1, 1, 1), (1, 1, 0, 0)]
    assert {e["session"] for e in mine} == {session}
    assert {(e["camera"], e["outcome"]) for e in mine} == {(home.camera.id, "done")}
    assert b"barack" not in orjson.dumps(mine)
    assert len(home.engines.made) == 2, "the household's own, which the processor takes"


def test_the_household_need_not_search_itself(home: House) -> None:
    """A camera that recognises nobody makes the template within the processor's permit, and keeps none of it."""
    library = home.camera.collection
    home.setup(collection="")
    home.set_up("alone", task=Search(library, 90.0))
    home.look(BARACK, JOE)
    assert sorted(r["who"] for r in home.lines("alone")) == [[], ["barack"]]
    assert len(home.engines.made) == len(home.searches()) == 2
    stranger = next(t for t in home.engines.made if t.vector.tobytes())
    assert not files_with(home.world.config.data, stranger.vector.tobytes())


def test_who_has_not_agreed_is_not_matched(home: House) -> None:
    """A reference without a consent is nobody to a processor, as to the camera itself; nor is who was mistaken."""
    name, app = home.camera.collection, home.world.app
    admin = replace(home.admin, provenance="own")
    app.faces.index(admin, name, jpeg("biden"), external_image_id="joe")
    home.set_up("agreed")
    with home.database.transaction() as c:
        home.events.raise_floor(c, name, "barack", 99.99)
    home.look(BARACK, JOE)
    assert [r["who"] for r in home.lines("agreed")] == [[], []]
    assert [(e["candidates"], e["matched"]) for e in home.searches() if "processor" in e] == [(1, 0), (1, 0)]


def test_faces_outside_of_the_regions_are_passed_over(home: House) -> None:
    """A face counts whose centre lies in a region; no other is searched for."""
    left = Region(((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)), box=True)
    home.set_up("left", regions=(left,))
    home.look(BARACK, JOE)
    assert [r["who"] for r in home.lines("left")] == [["barack"]]
    assert sum("processor" in e for e in home.searches()) == 1


def test_nothing_is_sent_once_it_is_stopped(home: House) -> None:
    """A face that is on its way when a processor is stopped is an entry without a record."""
    home.set_up("late")
    home.engines.before = lambda: home.processors.stop(home.admin, "late")
    home.setup(collection="")
    home.look(BARACK)
    assert home.lines("late") == []
    [entry] = [e for e in home.searches() if "processor" in e]
    assert (entry["outcome"], entry["records"]) == ("done", 0)
    home.engines.before = lambda: None
    home.look(BARACK)
    assert len([e for e in home.searches() if "processor" in e]) == 1


# --- by whom ----------------------------------------------------------------------------------------------------------


def test_police_and_others_may_not(house: House, street: World) -> None:
    """Neither police, nor rescuers, nor a member who isn't an administrator makes, sees or starts one."""
    house.processors.create(house.admin, house.new("mine"))
    guest = street.app.people.add(ME, house.organisation, f"guest-{house.organisation}@x.example", "g", [Role.USER]).id
    own = house.processors
    for caller in (street.officer, street.rescuer, Caller(guest, Purpose.HOME_SECURITY)):
        for call in (
            lambda c: own.create(c, house.new("theirs")),
            lambda c: own.get(c, "mine"),
            lambda c: own.list(c, limit=10),
            lambda c: own.start(c, "mine"),
            lambda c: own.stop(c, "mine"),
            lambda c: own.change(c, "mine", regions=()),
            lambda c: own.delete(c, "mine"),
            lambda c: own.tags(c, "mine"),
        ):
            assert "base.camera-administered" in street.denied(lambda call=call, caller=caller: call(caller))


def test_a_refusal_ends_it(home: House, street: World) -> None:
    """A search that a rule forbids sends nothing, and the processor has failed, by that rule."""
    home.set_up("refused")
    street.app.people.suspend(ME, home.admin.principal, suspended=True)
    home.look(BARACK)
    street.app.people.suspend(ME, home.admin.principal, suspended=False)
    state, why = home.state("refused")
    assert state == State.FAILED
    assert why.startswith("Denied by base.suspended")
    assert home.lines("refused") == []
    assert [e["rules"] for e in home.searches() if e["decision"] == "deny"][-1] == ["base.suspended"]
    home.processors.start(home.admin, "refused")
    home.look(BARACK)
    assert [r["who"] for r in home.lines("refused")] == [["barack"]]


def test_police_behind_it_see_nothing(home: House, street: World) -> None:
    """A processor that somehow runs in an officer's name is refused by the rule on households' cameras."""
    home.set_up("theirs")
    store = home.processors._store
    with home.database.transaction() as c:
        known = store.find(c, home.organisation, "theirs")
        session = replace(known.session, by=street.officer.principal, purpose=str(street.officer.purpose))
        store.put(c, replace(known, session=session))
    home.look(BARACK)
    assert home.lines("theirs") == []
    assert home.state("theirs")[0] == State.FAILED
    entries = map(street.app.ledger.entry, range(home.begun, street.app.ledger.size()))
    [entry] = [e for e in entries if e.get("organisation") == street.police and "rules" in e]
    assert "base.household-cameras" in entry["rules"]


def test_its_key_is_for_what_the_camera_is_for(house: House) -> None:
    """A key for another purpose than the camera's makes and starts nothing."""
    photos = replace(house.admin, purpose=Purpose.PHOTO_LIBRARY)
    with pytest.raises(Invalid, match="home-security"):
        house.processors.create(photos, house.new("photos"))
    house.processors.create(house.admin, house.new("photos"))
    with pytest.raises(Invalid, match="home-security"):
        house.processors.start(photos, "photos")
    assert house.state("photos") == (State.STOPPED, "")


def test_collections_of_others_are_refused(house: House, street: World) -> None:
    """A processor searches its own organisation's collections, and says at once that it won't any other."""
    street.app.collections.create(ME, f"others-{house.organisation}", {})
    foreign = Search(f"others-{house.organisation}")
    assert "base.own-collections" in street.denied(
        lambda: house.processors.create(house.admin, house.new("foreign", task=foreign))
    )
    with pytest.raises(NotFound):
        house.processors.create(house.admin, house.new("foreign", task=Search("nowhere")))


# --- how they live ----------------------------------------------------------------------------------------------------


def test_it_runs_again_after_a_restart(tmp_path: Path) -> None:
    """A processor that runs does so after a restart, and one that was stopped doesn't."""
    world = open_world(tmp_path / "data")
    moved = move_in(world)
    home = House(**{k: getattr(moved, k) for k in Home.__dataclass_fields__})
    home.knows("barack", "obama_1")
    home.set_up("goes-on")
    home.set_up("stopped")
    home.processors.stop(home.admin, "stopped")
    world.reopen()
    app = world.app
    home.watching = replace(app.watching, engines=home.engines)
    home.look(BARACK)
    assert [len(home.lines(n)) for n in ("goes-on", "stopped")] == [1, 0]
    assert [home.state(n)[0] for n in ("goes-on", "stopped")] == [State.RUNNING, State.STOPPED]
    app.close()


def test_one_that_runs_is_neither_started_nor_changed_nor_deleted(house: House) -> None:
    """Each of these is a conflict until it is stopped; to stop it twice is none."""
    house.set_up("busy")
    for call in (house.processors.start, house.processors.delete, house.processors.change):
        with pytest.raises(Conflict, match="runs"):
            call(house.admin, "busy")
    house.processors.stop(house.admin, "busy")
    house.processors.stop(house.admin, "busy")
    house.processors.change(house.admin, "busy", regions=(Region(((0, 0), (1, 0), (1, 1))),))
    house.processors.delete(house.admin, "busy")
    with pytest.raises(NotFound):
        house.processors.get(house.admin, "busy")


def test_names_are_unique_in_a_house(house: House, street: World) -> None:
    """Another household may use the name, and has a file of its own by it."""
    house.processors.create(house.admin, house.new("door"))
    with pytest.raises(Conflict, match="Stream processor name already in use"):
        house.processors.create(house.admin, house.new("door"))
    other = move_in(street)
    theirs = House(**{k: getattr(other, k) for k in Home.__dataclass_fields__})
    theirs.knows("joe", "biden")
    theirs.set_up("door")
    theirs.look(JOE)
    assert [r["who"] for r in theirs.lines("door")] == [["joe"]]
    assert house.lines("door") == []
    with pytest.raises(NotFound):
        house.processors.create(house.admin, replace(house.new("x"), source=Source("arn", camera=other.camera.id)))


def test_pages_are_in_the_order_of_making(home: House) -> None:
    """Lists come page by page, the oldest first, though the clock stands still."""
    names = [f"{home.organisation}-{n}" for n in "cab"]
    for name in names:
        home.processors.create(home.admin, home.new(name))
    first, position = home.processors.list(home.admin, limit=2)
    rest, end = home.processors.list(home.admin, after=position, limit=2)
    assert [s.processor.name for s in (*first, *rest)] == names
    assert end is None


def test_what_is_gone_ends_it(home: House, street: World) -> None:
    """A processor whose camera, or collection, is gone has failed and says so."""
    home.set_up("without-collection")
    library = home.camera.collection
    home.setup(collection="")
    street.app.collections.delete(home.admin, library)
    home.look(BARACK)
    assert home.state("without-collection") == (State.FAILED, f"There is no collection {library}.")
    home.set_up("without-camera", task=Presence(), output=None, topic=file("without-camera"))
    street.app.cameras.remove(home.admin, home.camera.id)
    assert street.app.processors.runs.tick() == 1
    assert home.state("without-camera") == (State.FAILED, "Its camera was removed.")
    with pytest.raises(NotFound):
        home.processors.start(home.admin, "without-camera")


def test_a_file_that_cannot_be_written_ends_it(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk leaves no half line, and the processor has failed."""
    home.set_up("full")
    home.look(BARACK)
    before = home.stream("full").read_bytes()
    real = streamsinks.os.write

    def short(handle: int, data: memoryview) -> int:
        if len(data) < 8:
            raise OSError(28, "No space left on device")
        return real(handle, data[: len(data) - 4])

    monkeypatch.setattr(streamsinks.os, "write", short)
    home.look(BARACK)
    assert home.state("full") == (State.FAILED, "The data stream can't be written: No space left on device.")
    assert home.stream("full").read_bytes() == before


def test_a_camera_of_its_own_runs_while_it_does(house: House) -> None:
    """It isn't recorded, rests until the processor is started, and goes with it; its password is nowhere to be read."""
    url = "rtsp://door:sesame-77@192.0.2.9/stream"
    new = replace(house.new("own-cam"), source=Source("arn:rtsp://192.0.2.9/stream", url=url))
    house.processors.create(house.admin, new)
    [camera] = [k for k in house.world.app.cameras.list(house.admin) if k.name == "own-cam"]
    assert (camera.url, camera.records, camera.enabled, camera.collection) == (url, False, False, "")
    house.processors.start(house.admin, "own-cam")
    assert house.world.app.cameras.get(house.admin, "own-cam").enabled
    assert house.state("own-cam") == (State.RUNNING, "Its camera's video doesn't arrive yet.")
    house.processors.stop(house.admin, "own-cam")
    assert not house.world.app.cameras.get(house.admin, "own-cam").enabled
    assert b"sesame-77" not in orjson.dumps([dict(e) for e in house.entries()])
    assert not files_with(house.world.config.data, b"sesame-77")
    house.processors.delete(house.admin, "own-cam")
    assert [k.name for k in house.world.app.cameras.list(house.admin)] == ["front door"]


def test_one_whose_camera_is_taken_leaves_none(house: House) -> None:
    """A name that a camera has already, or can't have, makes neither a processor nor another camera."""
    source, gopher = (Source("arn", url=f"{scheme}://192.0.2.9/a") for scheme in ("rtsp", "gopher"))
    before = house.processors.list(house.admin, limit=99), house.world.app.cameras.list(house.admin)
    with pytest.raises(Conflict, match="camera of this name"):
        house.processors.create(house.admin, replace(house.new("front door", output=file("x")), source=source))
    with pytest.raises(Invalid):
        house.processors.create(house.admin, replace(house.new("-x"), source=source))
    with pytest.raises(Invalid):
        house.processors.create(house.admin, replace(house.new("x"), source=gopher))
    assert (house.processors.list(house.admin, limit=99), house.world.app.cameras.list(house.admin)) == before


def test_a_row_that_was_changed_does_not_open(house: House) -> None:
    """Somebody who writes into the database starts nothing."""
    house.processors.create(house.admin, house.new("row"))
    with house.database.transaction() as c:
        c.execute(sa.update(stream_processors).where(stream_processors.c.name == "row").values(status="running"))
    with pytest.raises(IntegrityError):
        house.processors.get(house.admin, "row")
    with house.database.transaction() as c:
        c.execute(sa.delete(stream_processors).where(stream_processors.c.name == "row"))


# --- who is there -----------------------------------------------------------------------------------------------------


def test_no_picture_of_a_household_lies_in_a_bucket(home: House) -> None:
    """Others read what lies there: one that would write there is refused, and neither made nor started."""
    new = home.new("pictures", task=Presence(), output=None, topic=file("pictures"))
    with pytest.raises(Invalid, match="household"):
        home.processors.create(home.admin, replace(new, bucket=Bucket("door")))
    made = home.processors.create(home.admin, new)
    with home.database.transaction() as c:
        home.processors._store.put(c, replace(made, bucket=Bucket("door")))
    with pytest.raises(Invalid, match="household"):
        home.processors.start(home.admin, "pictures")
    assert home.state("pictures")[0] == State.STOPPED


def test_a_person_is_told_once_a_session(street: World) -> None:
    """The first face of a session is told, with pictures in the bucket and an entry; its end is told, too."""
    home = settled(street, org_class=OrgClass.GENERAL)
    session = home.set_up(
        "present", task=Presence(), output=None, topic=file("present"), bucket=Bucket("door", "/from/cam/")
    )
    home.look(BARACK, JOE)
    folder = street.config.bucket_root / "door" / "from" / "cam" / "present" / session
    [frame] = folder.glob("*-frame.jpg")
    [crop] = folder.glob("*-person.jpg")
    assert frame.read_bytes()[:3] == crop.read_bytes()[:3] == b"\xff\xd8\xff"
    assert (stat.S_IMODE(frame.stat().st_mode), stat.S_IMODE(folder.stat().st_mode)) == (0o600, 0o700)
    [told] = home.lines("present")
    assert told["frame"] == f"s3://door/from/cam/present/{session}/{frame.name}"
    [entry] = home.entries("ExportVideo")
    assert (entry["records"], entry["pictures"], entry["session"]) == (1, 2, session)
    assert not [e for e in home.searches() if "processor" in e]
    street.clock.forward(seconds=9)
    assert street.app.processors.runs.tick() == 0
    street.clock.forward(seconds=2)
    street.app.processors.runs.speak(Plain(street))
    assert street.app.processors.runs.tick() == 1
    assert home.lines("present")[1:] == [{"of": "present", "lasted": 10_000}]
    assert orjson.loads((folder / "session.json").read_bytes())["lasted"] == 10_000
    assert home.state("present") == (State.STOPPED, "")
    home.look(BARACK)
    assert len(home.lines("present")) == 2
    home.processors.start(home.admin, "present", selects=True, seconds=120)
    home.look(BARACK)
    home.processors.stop(home.admin, "present")
    assert len(home.lines("present")) == 4


def test_sessions_have_bounds(house: House) -> None:
    """A session lasts 1 to 120 seconds; a search has no selectors, and neither task the other's outputs."""
    house.processors.create(house.admin, house.new("s"))
    for call in (
        lambda: house.processors.start(house.admin, "s", selects=True),
        lambda: house.processors.change(house.admin, "s", confidence=10.0),
        lambda: house.processors.create(house.admin, house.new("t", topic=file("t"))),
        lambda: house.processors.create(house.admin, house.new("t", output=None)),
        lambda: house.processors.create(house.admin, house.new("t", task=Presence())),
        lambda: house.processors.create(house.admin, house.new("t", task=Presence(), output=None)),
        lambda: house.processors.create(house.admin, house.new("..")),
        lambda: house.processors.create(house.admin, house.new("t", tags={"custodes:x": "y"})),
    ):
        with pytest.raises(Invalid):
            call()
    house.processors.create(house.admin, house.new("p", task=Presence(), output=None, topic=file("p")))
    for seconds in (0, 121):
        with pytest.raises(Invalid):
            house.processors.start(house.admin, "p", selects=True, seconds=seconds)
    house.processors.change(house.admin, "p", confidence=100.0)
    house.processors.start(house.admin, "p")
    house.look(BARACK)
    assert house.lines("p") == []
    house.processors.stop(house.admin, "p")


# --- where it goes ----------------------------------------------------------------------------------------------------


def sinks(folder: Path, **settings: object) -> StreamSinks:
    return StreamSinks(Config(data=folder, **settings), Courier(Reach()))


@pytest.mark.parametrize("name", ["../x", "a/b", ".x", "", "a\x00", "a b", "x" * 129, "ä", "a\n"])
def test_file_names_are_checked(tmp_path: Path, name: str) -> None:
    """No name leads out of the folder, or hides."""
    with pytest.raises(Invalid):
        sinks(tmp_path).send("org", file(name), b"{}")
    assert not list(tmp_path.rglob("*.ndjson*"))


def test_files_are_private_whole_and_turned_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are appended to a file that its owner alone reads; a full one is put aside, and no link is followed."""
    monkeypatch.setattr(streamsinks, "_FULL", 20)
    made = sinks(tmp_path)
    for n in range(5):
        made.send("org", file("door"), b'{"n":%d}' % n)
    folder = tmp_path / "streams" / "org"
    assert {stat.S_IMODE(f.stat().st_mode) for f in (folder, folder.parent)} == {0o700}
    kept = sorted(folder.iterdir())
    assert {stat.S_IMODE(p.stat().st_mode) for p in kept} == {0o600}
    assert len(kept) == 2
    assert kept[0].read_bytes().splitlines() == [b'{"n":3}', b'{"n":4}']
    assert [orjson.loads(line)["n"] for line in kept[1].read_bytes().splitlines()] == [0, 1, 2]
    (tmp_path / "elsewhere").write_bytes(b"")
    (folder / "link.ndjson").symlink_to(tmp_path / "elsewhere")
    (folder / "folder.ndjson").mkdir()
    for name in ("link", "folder"):
        with pytest.raises(Unavailable, match="can't be written"):
            made.send("org", file(name), b"{}")
    assert (tmp_path / "elsewhere").read_bytes() == b""


def test_lines_are_deleted_when_they_were_kept_long_enough(tmp_path: Path) -> None:
    """A file has the lines of one day, and goes so many days after its last one; nothing else in the folder does."""
    made, folder = sinks(tmp_path, streams=Streams(retention_days=2)), tmp_path / "streams" / "org"
    made.send("org", file("door"), b'{"n":0}')
    now = (folder / "door.ndjson").stat().st_mtime
    os.utime(folder / "door.ndjson", (now - 86_400, now - 86_400))
    made.send("org", file("door"), b'{"n":1}')
    made.send("other", file("door"), b'{"n":2}')
    [aside] = folder.glob("door.ndjson.*")
    assert [p.read_bytes() for p in (aside, folder / "door.ndjson")] == [b'{"n":0}\n', b'{"n":1}\n']
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "theirs.ndjson").write_bytes(b"x")
    (tmp_path / "streams" / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "notes.txt").write_bytes(b"x")
    assert [made.run_retention(now + days * 86_400) for days in (0.9, 1.1, 2.1, 9)] == [0, 1, 2, 0]
    assert sorted(p.name for p in (tmp_path / "streams").rglob("*") if p.is_file()) == ["notes.txt"]
    assert (tmp_path / "elsewhere" / "theirs.ndjson").exists()


def test_only_listed_urls_and_the_own_broker(tmp_path: Path) -> None:
    """A URL that the operator hasn't listed, a broker that isn't there or is another's: not offered."""
    listed = Sink(SinkKind.WEBHOOK, "https://hub.example/a", "arn")
    topic = Sink(SinkKind.MQTT, "door", "arn")
    for sink in (listed, topic):
        with pytest.raises(Unavailable) as caught:
            sinks(tmp_path).check("org", sink)
        assert caught.value.code == "not-offered"
    made = sinks(
        tmp_path,
        streams=Streams(webhooks=("https://hub.example/a",)),
        mqtt=Mqtt(host="broker.example", organisation="org"),
    )
    made.check("org", listed)
    with pytest.raises(Unavailable):
        made.check("org", replace(listed, name="https://hub.example/b"))
    with pytest.raises(Unavailable):
        made.check("another", topic)
    for name in ("../status", "#", "a/+/b", "", "a/b/c/d/e", "a//b", "ä"):
        with pytest.raises(Invalid):
            made.check("org", replace(topic, name=name))
    sent: list[tuple[str, str, bytes]] = []
    made.send("org", topic, b"{}")  # the broker isn't there yet
    made.connect(lambda *told: sent.append(told))
    made.send("org", topic, b"{}")
    assert sent == [("org", "streams/door", b"{}")]
    made.close()


@pytest.mark.parametrize("secret", ["", f"whsec_{base64.b64encode(bytes(32)).decode()}"])
def test_a_listed_url_gets_the_record_itself(tmp_path: Path, secret: str) -> None:
    """The body of the request is the record, signed if the operator has set a secret."""
    receiver = Receiver()
    made = sinks(tmp_path, streams=Streams(webhooks=(receiver.url,), webhook_secret=secret))
    made.send("org", Sink(SinkKind.WEBHOOK, receiver.url, "arn"), b'{"a":1}')
    [heard] = receiver.wait(1)
    made.close()
    receiver.close()
    assert heard.body == b'{"a":1}'
    assert heard.headers["webhook-id"].startswith("msg_")
    assert ("webhook-signature" in heard.headers) == bool(secret)


@pytest.mark.parametrize("prefix", ["../x", "a/../b", "a//b", "./a", "a\x00b", "a\\b", "/".join("a" * 20)])
def test_keys_stay_in_their_bucket(tmp_path: Path, prefix: str) -> None:
    """No prefix leads out of a bucket."""
    (tmp_path / "door").mkdir()
    with pytest.raises(Invalid):
        PictureBuckets(tmp_path).check(Bucket("door", prefix))


def test_buckets_are_folders_that_are_there(tmp_path: Path) -> None:
    """A bucket that isn't there isn't made, links lead nowhere, and buckets of a service are not offered."""
    (tmp_path / "out").mkdir()
    root = tmp_path / "buckets"
    (root / "door").mkdir(parents=True)
    (root / "link").symlink_to(tmp_path / "out")
    (root / "door" / "link").symlink_to(tmp_path / "out")
    made = PictureBuckets(root)
    for name in ("nowhere", "..", ".", "", "door/..", "link"):
        with pytest.raises(Invalid):
            made.check(Bucket(name))
    with pytest.raises(Invalid):
        made.write(Bucket("door", "link"), ("a", "b.jpg"), b"x")
    assert made.write(Bucket("door", "in/"), ("a", "b.jpg"), b"x") == "s3://door/in/a/b.jpg"
    with pytest.raises(Unavailable):
        made.write(Bucket("door", "in/"), ("a", "b.jpg"), b"y")
    assert (root / "door" / "in" / "a" / "b.jpg").read_bytes() == b"x"
    assert not list((tmp_path / "out").iterdir())
    with pytest.raises(Unavailable) as caught:
        PictureBuckets(None).check(Bucket("door"))
    assert caught.value.code == "not-offered"
    assert S3().endpoint == ""


def test_regions_are_polygons() -> None:
    """A point is in a polygon, hollows left out; corners lie in the picture, and there are three to ten."""
    hollow = Region(((0, 0), (1, 0), (1, 1), (0.5, 0.2), (0, 1)))
    assert [hollow.contains(*p) for p in ((0.1, 0.5), (0.9, 0.5), (0.5, 0.1), (0.5, 0.8))] == [True, True, True, False]
    for points in (((0, 0), (1, 1)), ((0, 0), (1, 0), (1, 1.1)), ((0, 0), (1, 0), (float("nan"), 1)), ((0, 0),) * 11):
        with pytest.raises(Invalid):
            Region(points)


def test_there_are_so_many(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """An organisation has a bounded number of processors, and a processor of tags."""
    monkeypatch.setattr("custodes.cameras.processors._MOST", 1)
    home.processors.create(home.admin, home.new(f"one-{home.organisation}"))
    with pytest.raises(Conflict) as caught:
        home.processors.create(home.admin, home.new(f"two-{home.organisation}"))
    assert caught.value.code == "quota"
    name = f"one-{home.organisation}"
    home.processors.tag(home.admin, name, {f"k{n}": "v" for n in range(200)})
    with pytest.raises(Conflict):
        home.processors.tag(home.admin, name, {"one": "more"})
    home.processors.untag(home.admin, name, [f"k{n}" for n in range(1, 200)])
    assert home.processors.tags(home.admin, name) == {"k0": "v"}
