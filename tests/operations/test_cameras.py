# SPDX-License-Identifier: Apache-2.0
"""Cameras are their household's own: who sets them up, who looks, what is on record of it, what nobody ever reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa
from tests.cameras.footage import footage
from tests.cameras.kept import raw, recorded
from tests.operations.conftest import ME, World, open_world

from custodes.app import App
from custodes.cameras.model import Camera, Event, Segment, Sighting, Span, Spot, Zone
from custodes.cameras.schema import cameras
from custodes.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from custodes.governance import Caller, OrgClass, Purpose, Role

DAY = 1_799_971_200_000
"""2027-01-15 00:00 UTC, the day of the tests' clock."""
SECRET = "p4ss-w0rd"
URL = f"rtsp://ana:{SECRET}@192.0.2.7:554/main"
SET_UP = "base.camera-administered"


@dataclass
class Street:
    """Two households and the police, in an installation; a camera of one."""

    world: World
    ana: Caller
    ben: Caller
    nia: Caller
    camera: Camera
    told: list[Camera] = field(default_factory=list)

    @property
    def app(self) -> App:
        """The installation."""
        return self.world.app

    def add(self, **more: object) -> Camera:
        """Add a camera of Ana's."""
        self.told.append(self.app.cameras.add(self.ana, f"camera {len(self.told)}", URL, **more))
        return self.told[-1]

    def entries(self, what: Callable[[], object]) -> list[dict]:
        """Do something, and return what the ledger tells of it."""
        before = self.app.ledger.size()
        what()
        return [dict(self.app.ledger.entry(i)) for i in range(before, self.app.ledger.size())]

    def record(self, camera: Camera, video: Path, start: int = DAY + 36_000_000) -> list[Segment]:
        """Let a camera have recorded a video."""
        made = recorded(video, self.world.config.video, camera.id, start)
        for segment in made:
            self.app.keeping.keep_segment(segment)
        return made

    def happen(self, camera: Camera, start: int = DAY + 36_000_000) -> Event:
        """Let somebody have come."""
        event = Event("evt-" + camera.id[4:], camera.id, start, start + 2000, open=False, zone="porch")
        with self.app._database.transaction() as c:
            self.app.watching.events.begin(c, event, b"a picture")
            self.app.watching.events.see(c, event.id, Sighting(1, start, (0.1, 0.1, 0.2, 0.2), "ann", 91.0), b"a face")
        return event


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    """An installation with two households: Ana, who sets up cameras, and Ben in one, Nia in the other."""
    world = open_world(tmp_path_factory.mktemp("cameras") / "data")
    people = world.app.people
    homes = {name: people.add_organisation(ME, name, OrgClass.HOUSEHOLD, "US-CA").id for name in ("Home", "Next")}

    def person(home: str, name: str, *roles: Role) -> Caller:
        made = people.add(ME, homes[home], f"{name}@home.example", name, roles)
        return Caller(made.id, Purpose.HOME_SECURITY)

    ana, ben = person("Home", "ana", Role.ADMIN, Role.USER), person("Home", "ben", Role.USER)
    nia = person("Next", "nia", Role.ADMIN, Role.USER)
    yield Street(
        world, ana, ben, nia, world.app.cameras.add(ana, "front door", URL, substream=URL.replace("main", "sub"))
    )
    world.app.close()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds."""
    return footage(tmp_path_factory.mktemp("videos"), size=(160, 90), fps=5, seconds=4.0)


def looks(street: Street, camera: Camera, start: int) -> dict[str, Callable[[Caller], object]]:
    """All ways to look at what a camera shows or has recorded."""
    app = street.app
    return {
        "watch": lambda who: app.cameras.watch(who, camera.id),
        "open_day": lambda who: app.cameras.open_day(who, camera.id, "2027-01-15"),
        "segment_file": lambda who: app.cameras.segment_file(who, camera.id, start),
        "still": lambda who: app.exports.still(who, camera.id),
        "glimpse": lambda who: app.exports.glimpse(who, camera.id),
        "export": lambda who: app.exports.export(who, camera.id, Span(start, start + 1000), Path("/nowhere/clip.mp4")),
    }


def changes(street: Street, camera: Camera) -> dict[str, Callable[[Caller], object]]:
    """All ways to set up cameras."""
    app = street.app
    return {
        "add": lambda who: app.cameras.add(who, "another", URL),
        "change": lambda who: app.cameras.change(who, replace(camera, name="mine")),
        "remove": lambda who: app.cameras.remove(who, camera.id),
    }


# --- who may ----------------------------------------------------------------------------------------------------------


def test_who_lives_there_looks_and_administrators_set_up(street: Street) -> None:
    """A user of the household sees its cameras and can't change them; each refusal is one entry."""
    app, camera = street.app, street.camera
    assert camera in app.cameras.list(street.ben)
    assert app.cameras.watch(street.ben, "Front Door") == camera
    for name, what in changes(street, camera).items():
        told = street.entries(lambda what=what: street.world.denied(lambda: what(street.ben)))
        assert [(e["outcome"], SET_UP in e["rules"]) for e in told] == [("denied", True)], name
    assert app.cameras.get(street.ben, camera.id) == camera


def test_police_have_no_cameras_and_the_operator_none_of_others(street: Street) -> None:
    """Whoever administers the police sets up none; whoever runs the installation has those of their own door alone."""
    app, guard = street.app, street.app.guard
    chief = app.people.add(ME, street.world.police, "chief@spd.example", "chief", [Role.ADMIN, Role.USER]).id
    for purpose in (Purpose.CRIMINAL_INVESTIGATION, Purpose.HOME_SECURITY):
        who = Caller(chief, purpose)
        assert SET_UP in street.world.denied(lambda who=who: app.cameras.add(who, "x", URL))
    assert SET_UP in street.world.denied(lambda: guard.check(ME, "ManageCameras", of=street.camera.organisation))
    own = app.cameras.add(ME, "office", URL)
    assert app.cameras.list(ME) == (own,)
    assert own.purpose == "access-control"
    app.cameras.remove(ME, own.id)


def test_to_everybody_else_there_is_no_such_camera(street: Street, video: Path) -> None:
    """Another household, the police and the operator are told the same of it as of one that never was."""
    camera = street.add()
    [first, *_] = street.record(camera, video)
    never = replace(camera, id="cam-00000000000000ff")
    ways, none = (looks(street, k, first.start) | changes(street, k) for k in (camera, never))
    del ways["add"]
    for who in (street.nia, street.world.officer, ME):
        if who is not street.world.officer:  # whose class of organisation has no cameras to list
            assert camera not in street.app.cameras.list(who)
        for name, what in ways.items():
            told = []
            for way in (what, none[name]):
                with pytest.raises(NotFound) as caught:
                    way(who)
                told.append((str(caught.value), caught.value.remedy, caught.value.code))
            assert told[0] == told[1], name


def test_the_rules_themselves_keep_the_police_away(street: Street) -> None:
    """Even if an operation would find the camera for them: no view and no export, whatever their purpose."""
    guard, camera = street.app.guard, street.camera
    for purpose in (Purpose.CRIMINAL_INVESTIGATION, Purpose.HOME_SECURITY):
        police = Caller(street.world.officer.principal, purpose)
        for action in ("ViewVideo", "ExportVideo"):
            denied = street.world.denied(lambda a=action, p=police: guard.check_use(p, a, camera=camera.organisation))
            assert {"base.household-cameras", "base.camera-own", "base.cameras-of-class"} <= set(denied)


@pytest.mark.parametrize("by", ["key", "login"])
def test_nobody_lets_themselves_into_a_household(street: Street, by: str) -> None:
    """The operator sets it up; once its administrator has a key or a login, only its own people manage it, for good."""
    app, denied = street.app, lambda call: street.world.denied(call) == ["base.household-own"]
    home = app.people.add_organisation(ME, by, OrgClass.HOUSEHOLD, "US-CA").id
    ada, eve = (
        app.people.add(ME, home, f"{name}-{by}@home.example", name, roles).id
        for name, roles in (("ada", [Role.ADMIN]), ("eve", [Role.USER]))
    )
    app.people.set_roles(ME, eve, [Role.USER, Role.REVIEWER])
    key = app.identity.create_key(ME, principal=eve, purpose=Purpose.HOME_SECURITY).access_key_id  # who manages nothing
    link = app.invitations.invite(ME, ada, [Purpose.HOME_SECURITY])
    admin = Caller(ada, Purpose.HOME_SECURITY)
    if by == "key":
        own = app.identity.create_key(ME, principal=ada, purpose=Purpose.HOME_SECURITY).access_key_id
    else:
        app.invitations.accept(link.token, "kettle and spoon and door")
    ways: dict[str, Callable[[Caller], object]] = {
        "add": lambda who: app.people.add(who, home, f"mole-{by}@x.example", "mole", [Role.ADMIN, Role.USER]),
        "set_roles": lambda who: app.people.set_roles(who, eve, [Role.ADMIN, Role.USER]),
        "suspend": lambda who: app.people.suspend(who, eve, suspended=True),
        "invite": lambda who: app.invitations.invite(who, eve, [Purpose.HOME_SECURITY]),
        "create_key": lambda who: app.identity.create_key(who, principal=eve, purpose=Purpose.HOME_SECURITY),
        "revoke_key": lambda who: app.identity.revoke_key(who, key),
    }
    as_operators = {  # which concerns more than the household, and lets somebody in all the same
        "add": lambda: app.people.add(ME, home, f"m-{by}@x.example", "mole", [Role.ADMIN, Role.OPERATOR]),
        "set_roles": lambda: app.people.set_roles(ME, eve, [Role.ADMIN, Role.OPERATOR]),
    }
    assert all(denied(call) for call in as_operators.values())
    assert all(denied(lambda what=what: what(ME)) for what in ways.values())
    for what in ways.values():
        what(admin)
    if by == "key":
        app.identity.revoke_key(admin, own)  # which opens nothing
    for suspended in (True, False):
        app.people.suspend_organisation(ME, home, suspended=suspended)
        assert all(denied(lambda what=what: what(ME)) for what in ways.values())


def test_who_belongs_to_the_police_is_no_eye_in_a_household(street: Street, video: Path) -> None:
    """Not as its administrator either, whatever they are called there: neither video nor cameras nor events."""
    app, camera = street.app, street.add()
    [first, *_] = street.record(camera, video)
    bob = app.people.add(ME, camera.organisation, " BOB@example.org", "Robert", [Role.ADMIN, Role.USER]).id
    who, no_eye = Caller(bob, Purpose.HOME_SECURITY), ["base.household-no-police"]
    ways = looks(street, camera, first.start) | changes(street, camera)
    ways |= {"list": app.cameras.list, "usage": app.cameras.usage, "events": app.sightings.list}
    for name, what in ways.items():
        assert street.world.denied(lambda what=what: what(who)) == no_eye, name
    assert street.world.denied(lambda: app.guard.check(who, "ShareVideo")) == no_eye


def test_whoever_may_not_look_is_told_of_no_cameras(street: Street) -> None:
    """What there is, when it last recorded and how much is decided by the rules too; sources are for administrators."""
    app, stray = street.app, replace(street.ben, purpose=Purpose.CRIMINAL_INVESTIGATION)
    for what in (app.cameras.list, app.cameras.usage, lambda who: app.cameras.last(who, street.camera.id)):
        what(street.ben)
        assert street.world.denied(lambda what=what: what(stray)) == ["base.purpose-of-class"]
    told: list[bool] = []
    assert street.entries(lambda: told.extend(map(app.cameras.is_set_up_by, (street.ana, street.ben, ME)))) == []
    assert told == [True, False, True]  # the operator those of the own door


# --- what is on record ------------------------------------------------------------------------------------------------


def test_each_look_is_one_entry(street: Street, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A live view, a day, a picture: one entry each; the files of a day that was opened are none."""
    camera = street.add()
    [first, *_] = street.record(camera, video)
    noted = {"watch": {"live": True}, "open_day": {"day": "2027-01-15"}, "still": {"live": False}}
    monkeypatch.setattr(street.app.exports._redactor, "still", lambda last, masks: b"jpeg")
    ways = looks(street, camera, first.start)
    del ways["export"]
    for name, what in ways.items():
        told = street.entries(lambda what=what: what(street.ben))
        assert len(told) == (name in noted), name
        for entry in told:
            assert (entry["request"]["action"], entry["outcome"]) == ("ViewVideo", "done")
            assert {"camera": camera.id, **noted[name]}.items() <= entry.items()
    assert street.app.cameras.segment_file(street.ben, camera.id, first.start).read_bytes()[4:8] == b"ftyp"


def test_a_file_of_a_day_that_nobody_opened_is_an_entry(
    street: Street, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One for each person, camera and day, and again after half a day or when too many others were opened since."""
    camera, other = street.add(), street.add()
    starts = {k.id: street.record(k, video)[0].start for k in (camera, other)}

    def days(who: Caller, of: Camera) -> list[object]:
        told = street.entries(lambda: street.app.cameras.segment_file(who, of.id, starts[of.id]))
        assert all((e["request"]["action"], e["camera"]) == ("ViewVideo", of.id) for e in told)
        return [e["day"] for e in told]

    street.app.cameras.open_day(street.ben, camera.id, "2027-01-15")
    asked = [(street.ben, camera), (street.ana, camera), (street.ana, camera), (street.ben, other), (street.ben, other)]
    assert [len(days(*ask)) for ask in asked] == [0, 1, 0, 1, 0]
    monkeypatch.setattr("custodes.operations.cameras._OPENED_FOR", -1.0)
    street.app.cameras.open_day(street.ben, camera.id, "2027-01-15")
    assert days(street.ben, camera) == ["2027-01-15"]
    monkeypatch.undo()
    street.app.cameras.open_day(street.ben, camera.id, "2027-01-15")
    monkeypatch.setattr("custodes.operations.cameras._MOST_OPENED", 1)
    for _ in range(len(street.app.cameras._opened._until)):  # each new one drops the one that was opened first
        street.app.cameras.open_day(street.ana, other.id, "2027-01-14")
    assert days(street.ben, camera) == ["2027-01-15"]


def test_entries_name_nothing(street: Street) -> None:
    """What the ledger tells of setting up, changing and removing a camera are ids and switches."""
    app, zone = street.app, Zone("porch", ((0, 0), (1, 0), (1, 1)), Spot.MASK)

    def whole_life() -> None:
        made = app.cameras.add(street.ana, "terrace", URL, place=(47.61, -122.33), zones=(zone,))
        made = app.cameras.change(street.ana, replace(made, name="balcony", url=URL.replace("main", "other")))
        app.cameras.remove(street.ana, made.name)

    told = street.entries(whole_life)
    assert [e["event"] for e in told] == ["camera-added", "camera-changed", "camera-removed"]
    assert all(e["request"]["action"] == "ManageCameras" for e in told)
    text = orjson.dumps(told).decode()
    assert not [w for w in ("terrace", "balcony", "porch", "192.0.2.7", SECRET, "47.61", "rtsp") if w in text]


# --- names, sources, collections --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["../../etc/cron.d/x", "a/../b", "..", "door\x00", "do\nor", "\u202edoor", "d\u00f6or", "", "x" * 65, "-rf"]
)
def test_names_that_mean_something_to_somebody_else(street: Street, name: str) -> None:
    """Paths, control characters, letters that write backwards: refused, and nothing is made."""
    before = street.app.cameras.list(street.ana)
    with pytest.raises(Invalid):
        street.app.cameras.add(street.ana, name, URL)
    with pytest.raises(Invalid):
        street.app.cameras.change(street.ana, replace(street.camera, name=name))
    assert street.app.cameras.list(street.ana) == before


@pytest.mark.parametrize(
    "url",
    [
        "",
        f"http://ana:{SECRET}@192.0.2.7/",
        f"rtsp://ana:{SECRET}@/main",
        f"rtsp://ana:{SECRET}@[::1/main",
        f"rtsp://ana:{SECRET}@h:99999/",
        f"rtsp://ana:{SECRET}@h/a b",
        f"rtsp://ana:{SECRET}@h/\r\nSETUP",
        f"concat:{SECRET}",
        f"file:///etc/{SECRET}",
        f"rtmp://ana:{SECRET}@127.0.0.1/live/12345678",
        f"rtsp://h/{SECRET}" + "x" * 3000,
    ],
)
def test_sources_that_cannot_be_meant(street: Street, url: str) -> None:
    """Refused before anything is kept, and the answer doesn't repeat what may hold a password."""
    for what in (
        lambda: street.app.cameras.add(street.ana, "new", url),
        lambda: street.app.cameras.change(street.ana, replace(street.camera, url=url)),
        lambda: street.app.cameras.change(street.ana, replace(street.camera, substream=url or "x")),
    ):
        with pytest.raises(Invalid) as caught:
            what()
        assert SECRET not in caught.value.diagnostics()
    assert street.app.cameras.get(street.ana, street.camera.id) == street.camera


def test_a_file_is_only_read_below_its_folder(street: Street) -> None:
    """Who may not set up a camera isn't even told whether there is such a file."""
    with pytest.raises(Denied):
        street.app.cameras.add(street.ben, "new", "file:///etc/passwd")


def test_one_recognises_the_people_of_ones_own(street: Street) -> None:
    """A collection of another organisation reads as if it weren't there, and one for another purpose is refused."""
    app = street.app
    theirs = app.library.ensure(street.nia)
    app.collections.create(replace(street.ana, purpose=Purpose.PHOTO_LIBRARY), "holidays", {})
    told = []
    for name in (theirs, "never-there"):
        with pytest.raises(NotFound) as caught:
            app.cameras.add(street.ana, "new", URL, collection=name)
        told.append((str(caught.value).replace(name, ""), caught.value.remedy, caught.value.code))
    assert told[0] == told[1]
    with pytest.raises(Invalid, match="photo-library"):
        app.cameras.change(street.ana, replace(street.camera, collection="holidays"))
    own = street.add(collection=app.library.ensure(street.ana))
    assert own.collection == app.library.ensure(street.ana)
    app.collections.delete(replace(street.ana, purpose=Purpose.PHOTO_LIBRARY), "holidays")


# --- changing and removing --------------------------------------------------------------------------------------------


def test_who_was_slower_is_told_so(street: Street) -> None:
    """A change of what was read before another change is refused, and so is a name that another camera has."""
    camera = street.add()
    changed = street.app.cameras.change(street.ana, replace(camera, name=" Attic "))
    assert (changed.name, changed.revision) == ("Attic", camera.revision + 1)
    for wrong in (replace(camera, name="cellar"), replace(changed, name="FRONT DOOR")):
        with pytest.raises(Conflict):
            street.app.cameras.change(street.ana, wrong)
    assert street.app.cameras.get(street.ana, camera.id) == changed
    with pytest.raises(Conflict):
        street.app.cameras.add(street.ana, "attic", URL)


def test_a_camera_watches_on_behalf_of_who_changed_it_last(street: Street) -> None:
    """And whatever else a change says of whose it is, for what, and since when, is passed over."""
    camera = street.add()
    eve = street.app.people.add(ME, camera.organisation, "eve@home.example", "eve", [Role.ADMIN]).id
    forged = replace(camera, organisation="org-0123456789abcdef", by="usr-1", purpose="photo-library", created=1)
    changed = street.app.cameras.change(Caller(eve, Purpose.HOME_SECURITY), forged)
    assert changed == replace(camera, by=eve, revision=camera.revision + 1)


def test_nothing_is_left_of_what_is_removed(street: Street, video: Path) -> None:
    """Rows, events, pictures, video: gone, and the sealed rows with their keys are in no file any more."""
    app, data = street.app, street.world.config.data
    camera = street.add()
    street.record(camera, video)
    event = street.happen(camera)
    with app._database.read() as c:
        row = c.execute(sa.select(cameras.c.secret_key).where(cameras.c.id == camera.id)).scalar_one()
    assert row in raw(data)
    assert (street.world.config.video / camera.id).is_dir()
    app.cameras.remove(street.ana, camera.name)
    assert not (street.world.config.video / camera.id).exists()
    assert row not in raw(data)
    for gone in (lambda: app.cameras.get(street.ana, camera.id), lambda: app.sightings.get(street.ana, event.id)):
        with pytest.raises(NotFound):
            gone()


def test_a_password_is_in_no_file_and_an_old_one_gone_for_good(street: Street) -> None:
    """Sealed when it is set and when it is changed; the row that held the old one is scrubbed away."""
    app, data = street.app, street.world.config.data
    camera = street.add()
    with app._database.read() as c:
        old = c.execute(sa.select(cameras.c.secret_key).where(cameras.c.id == camera.id)).scalar_one()
    app.cameras.change(street.ana, replace(camera, url=URL.replace(SECRET, "n3w-w0rd")))
    files = raw(data)
    assert SECRET.encode() not in files
    assert b"n3w-w0rd" not in files
    assert old not in files
    assert SECRET not in repr(camera)


# --- days -------------------------------------------------------------------------------------------------------------


def test_a_day_tells_all_there_is_of_it(street: Street, video: Path) -> None:
    """Video, motions and events in order, and the days on which there is more."""
    app, camera = street.app, street.add()
    earlier = street.record(camera, video, DAY - 1000)  # it goes on past midnight
    later = street.record(camera, video)
    app.keeping.keep_motion(camera.id, Span(DAY + 5000, DAY + 6000))
    event = street.happen(camera)
    day = app.cameras.open_day(street.ben, camera.name, "2027-1-15")
    assert (day.day, day.span, day.days) == ("2027-01-15", Span(DAY, DAY + 86_400_000), ("2027-01-15", "2027-01-14"))
    assert day.segments == (*(s for s in earlier if s.end > DAY), *later)
    assert day.motions == (Span(DAY + 5000, DAY + 6000),)
    assert [e.id for e in day.events] == [event.id]


@pytest.mark.parametrize(
    "day", ["", "2027-02-30", "1969-12-31", "0001-01-01", "9999-12-31", "yesterday", "2027-01-15T00"]
)
def test_days_that_are_none(street: Street, day: str) -> None:
    """Refused in words, before anything is on record."""

    def opened() -> None:
        with pytest.raises(Invalid):
            street.app.cameras.open_day(street.ben, street.camera.id, day)

    assert street.entries(opened) == []


def test_a_file_is_handed_out_if_it_is_our_own(street: Street, video: Path, tmp_path: Path) -> None:
    """One that was never recorded, that is gone, or that is a link to another isn't."""
    app, camera = street.app, street.add()
    first, second = street.record(camera, video)
    ask = app.cameras.segment_file
    path = ask(street.ben, camera.id, first.start)
    for never in (first.start + 1, -1, 1 << 70):
        with pytest.raises((NotFound, Invalid)):
            ask(street.ben, camera.id, never)
    path.rename(tmp_path / "elsewhere.mp4")
    with pytest.raises(NotFound):
        ask(street.ben, camera.id, first.start)
    path.symlink_to(tmp_path / "elsewhere.mp4")
    with pytest.raises(Unavailable):
        ask(street.ben, camera.id, first.start)
    assert ask(street.ben, camera.id, second.start).stat().st_size == second.size


def test_usage_is_that_of_ones_own(street: Street, video: Path) -> None:
    """Bytes by camera, and what the disk has."""
    camera = street.add()
    kept = street.record(camera, video)
    street.app.keeping.keep_motion(camera.id, kept[0].span)
    [told] = [u for u in street.app.cameras.usage(street.ben) if u.camera == camera]
    assert told.usage.total.size == sum(s.size for s in kept)
    assert told.usage.motion.newest == kept[-1].end
    assert 0 < told.free <= told.total
    assert street.app.cameras.usage(street.nia) == ()
