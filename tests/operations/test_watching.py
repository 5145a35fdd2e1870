# SPDX-License-Identifier: Apache-2.0
"""What a camera sees: who is recognised, who isn't, what is written of it, what isn't, and what is told."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta

import cv2
import numpy as np
import orjson
import pytest
from tests.operations.conftest import ME, World, open_world
from tests.operations.household import CENTRE, STEP, Home, files_with, jpeg, move_in, portrait, wall

from custodes.cameras.model import Camera, NewsKind, Zone
from custodes.cameras.wire import Frame
from custodes.db import Vault
from custodes.domain import Template
from custodes.errors import IntegrityError, Unavailable
from custodes.operations.watching import FAILED, NOBODY, Shot

BARACK = ("obama_2", 250, 60, 560)
JOE = ("biden", 780, 40, 640)
EILEEN = ("collins", 500, 40, 600)
PORCH = Zone("porch", ((0.0, 0.5), (0.3, 0.5), (0.3, 1.0), (0.0, 1.0)))
BEGUN, SEEN, ENDED = NewsKind.EVENT_BEGUN, NewsKind.EVENT_SEEN, NewsKind.EVENT_ENDED


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An installation with room for many households."""
    made = open_world(tmp_path_factory.mktemp("street") / "data")
    yield made
    made.app.close()


@pytest.fixture
def home(street: World) -> Home:
    """A household whose camera recognises Barack, who has agreed to it."""
    made = move_in(street)
    made.knows("barack", "obama_1")
    made.engines.made.clear()
    return made


class Listener:
    """Wants all faces of some cameras."""

    def __init__(self, *cameras: str) -> None:
        self.cameras = cameras
        self.shots: list[Shot] = []

    def wants(self, camera_id: str) -> bool:
        return camera_id in self.cameras

    def seen(self, camera: Camera, shot: Shot) -> None:
        assert camera.id in self.cameras
        self.shots.append(shot)


# --- who is recognised ------------------------------------------------------------------------------------------------


def test_a_person_of_the_household_is_named(home: Home) -> None:
    """Who has agreed to it is named, by one template and one search, in an event that ends when nothing moves."""
    event = home.visit(home.watcher(), BARACK, frames=6)
    [sighting] = event.sightings
    assert (sighting.subject, sighting.number, sighting.corrected) == ("barack", 1, False)
    assert sighting.similarity > 90
    assert (event.open, event.why, event.zone) == (False, "", "")
    assert len(home.engines.made) == len(home.searches()) == 1
    assert home.kinds() == [NewsKind.MOTION, BEGUN, SEEN, ENDED, NewsKind.STILL]
    assert [n.people for n in home.told] == [(), (), ("barack",), ("barack",), ()]
    assert all(n.organisation == home.organisation and n.camera == home.camera.id for n in home.told)
    assert home.told[1].picture.startswith(b"\xff\xd8\xff")


def test_the_entry_tells_no_name(home: Home) -> None:
    """The ledger has counts and salted commitments of a search, and neither a name nor where the camera is."""
    event = home.visit(home.watcher(), BARACK)
    [entry] = home.searches()
    assert (entry["candidates"], entry["recognised"], entry["camera_event"]) == (1, 1, event.id)
    assert (entry["outcome"], entry["request"]["facts"]["live"], entry["camera"]) == ("done", True, home.camera.id)
    assert entry["request"]["facts"]["camera"] == {"own": True, "owner_class": "household"}
    told = orjson.dumps(dict(entry))
    assert b"barack" not in told
    assert b"front door" not in told
    assert b"192.0.2.7" not in told


def test_others_are_unknown(home: Home) -> None:
    """Who isn't of the household is unknown, beside who is, each with a picture of the face."""
    event = home.visit(home.watcher(), BARACK, JOE)
    assert [s.subject for s in event.sightings] == ["barack", ""]
    assert event.sightings[1].similarity == 0
    with home.database.read() as c:
        pictures = [home.events.picture(c, event.id, n) for n in (None, 1, 2)]
    assert len(set(pictures)) == 3
    assert home.told[-2].people == ("barack",)
    assert home.told[-2].unknown == 1


def test_who_has_not_agreed_is_not_named(home: Home) -> None:
    """A reference that rests on no consent is nobody to a camera, though a search by hand finds it."""
    app, name = home.world.app, home.camera.collection
    admin = home.admin.__class__(home.admin.principal, home.admin.purpose, provenance="own")
    indexed = app.faces.index(admin, name, jpeg("biden"), external_image_id="joe")
    app.subjects.create(admin, name, "joe", None)
    app.subjects.associate(admin, name, "joe", [indexed.enrolled[0][0].reference_id], threshold=None, once=None)
    event = home.visit(home.watcher(), JOE)
    assert [s.subject for s in event.sightings] == [""]
    assert home.searches()[-1]["candidates"] == 1
    assert home.searches()[-1]["recognised"] == 0


def test_who_takes_back_their_consent_is_not_named_from_then_on(home: Home) -> None:
    """A consent that is withdrawn ends recognition at once, before anything is erased."""
    watcher = home.watcher()
    [person] = home.library.people(home.admin)
    home.world.app.grounds.withdraw(home.admin, person.consent)
    assert [s.subject for s in home.visit(watcher, BARACK).sightings] == [""]


def test_the_floor_of_a_person_holds(home: Home) -> None:
    """Who was mistaken once is recognised above that similarity alone."""
    with home.database.transaction() as c:
        home.events.raise_floor(c, home.camera.collection, "barack", 99.99)
    watcher = home.watcher()
    assert [s.subject for s in home.visit(watcher, BARACK).sightings] == [""]
    with home.database.transaction() as c:
        home.events.reset_floor(c, home.camera.collection, "barack")
    assert [s.subject for s in home.visit(watcher, BARACK).sightings] == ["barack"]


def test_a_stranger_who_comes_nearer_is_looked_at_again(home: Home) -> None:
    """A face that was too small to be recognised is searched for once more when it is much larger."""
    watcher = home.watcher()
    with home.database.transaction() as c:  # so that the first look finds nobody
        home.events.raise_floor(c, home.camera.collection, "barack", 99.99)
    home.show(watcher, wall(("obama_2", 500, 60, 160)), 9)
    assert len(home.engines.made) == 1
    with home.database.transaction() as c:
        home.events.reset_floor(c, home.camera.collection, "barack")
    for height in (200, 250, 320, 400, 500, 600, 600):
        home.show(watcher, wall(("obama_2", 500 - height // 8, 60, height)), 1)
    watcher.still(0, home.at)
    assert [s.subject for s in home.newest().sightings] == ["barack"]
    assert len(home.engines.made) == len(home.searches()) == 2
    assert [n.people for n in home.told if n.kind == SEEN] == [(), ("barack",)]


# --- who is one person ------------------------------------------------------------------------------------------------


def test_a_stranger_who_comes_back_is_one_stranger(home: Home) -> None:
    """Tracks that are alike are one sighting of the event; another stranger is another."""
    watcher = home.watcher()
    home.show(watcher, wall(JOE))
    home.show(watcher, wall(), frames=12)
    home.show(watcher, wall(("biden", 100, 40, 640)))
    home.show(watcher, wall(("biden", 100, 40, 640), ("collins", 700, 40, 600)))
    watcher.still(0, home.at)
    assert [s.number for s in home.newest().sightings] == [1, 2]
    assert len(home.engines.made) == 3
    assert [n.unknown for n in home.told if n.kind == SEEN] == [1, 2]


def test_a_name_that_is_found_later_is_the_strangers(home: Home) -> None:
    """An unknown sighting gets the name that a later track of the same person is found to have."""
    watcher = home.watcher()
    with home.database.transaction() as c:
        home.events.raise_floor(c, home.camera.collection, "barack", 99.99)
    home.show(watcher, wall(BARACK))
    home.show(watcher, wall(), frames=12)
    with home.database.transaction() as c:
        home.events.reset_floor(c, home.camera.collection, "barack")
    home.show(watcher, wall(("obama_2", 700, 60, 560)))
    watcher.still(0, home.at)
    assert [(s.number, s.subject) for s in home.newest().sightings] == [(1, "barack")]
    assert [n.people for n in home.told if n.kind == SEEN] == [(), ("barack",)]


def test_what_the_owner_has_corrected_stays(home: Home) -> None:
    """A later search of the same event doesn't override what the owner says."""
    watcher = home.watcher()
    home.show(watcher, wall(BARACK))
    home.sightings.not_this_person(home.admin, home.newest().id, 1)
    home.sightings.reset_floor(home.admin, "barack")
    home.show(watcher, wall(), frames=12)
    home.show(watcher, wall(("obama_2", 700, 60, 560)))
    watcher.still(0, home.at)
    [sighting] = home.newest().sightings
    assert (sighting.subject, sighting.corrected) == ("", True)
    assert len(home.searches()) == 2


# --- what is not kept -------------------------------------------------------------------------------------------------


def forms(template: Template) -> list[bytes]:
    """What a template looks like in the usual forms of storage, or the better half of that."""
    v = template.vector
    scaled = [np.round(v * 127), np.round(v / np.abs(v).max() * 127)]
    made = [
        v.tobytes(),
        v.astype("<f2").tobytes(),
        v.astype("<f8").tobytes(),
        *(s.astype(np.int8).tobytes() for s in scaled),
    ]
    return [part for whole in made for part in (whole[:64], whole[len(whole) // 2 :][:64])]


def test_a_template_that_fits_nobody_is_nowhere(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a stranger's template no file of the installation has a byte, sealed or not, while it goes on or after."""
    sealed: list[bytes] = []
    seal = Vault.seal

    def noted(self: Vault, plain: bytes, owner: bytes) -> object:
        sealed.append(plain)
        return seal(self, plain, owner)

    monkeypatch.setattr(Vault, "seal", noted)
    watcher = home.watcher()
    home.show(watcher, wall(JOE), frames=8)
    assert home.newest().open
    [template] = home.engines.made
    needles = forms(template)
    folder = home.world.config.data
    assert sealed
    assert not [n for n in needles if files_with(folder, n) or any(n in plain for plain in sealed)]
    watcher.still(0, home.at)
    assert not [n for n in needles if files_with(folder, n) or any(n in plain for plain in sealed)]
    assert files_with(folder, home.newest().id.encode())  # which shows that this would find what is there
    assert watcher._going is None


def test_a_poor_shot_is_never_compared(home: Home) -> None:
    """Of a face that is only seen blurred no template is made; it is somebody unknown."""
    blurred = wall()
    photo = cv2.GaussianBlur(portrait("obama_2", 560), (0, 0), 9)
    blurred[40 : 40 + photo.shape[0], 400 : 400 + photo.shape[1]] = photo
    watcher = home.watcher()
    watcher.motion(home.at, CENTRE)
    home.show(watcher, blurred, 12)
    watcher.still(0, home.at)
    assert not home.engines.made
    assert not home.searches()
    assert [s.subject for s in home.newest().sightings] == [""]


# --- what the rules say -----------------------------------------------------------------------------------------------


def test_refused_once_an_event_has_no_names_and_no_templates(home: Home) -> None:
    """Who is suspended sees nobody's name: one refusal for the event, why it is told, and not one template."""
    home.world.app.people.suspend(ME, home.admin.principal, suspended=True)
    watcher = home.watcher()
    event = home.visit(watcher, BARACK, JOE, frames=4)
    assert [s.subject for s in event.sightings] == ["", ""]
    assert event.why == "base.suspended"
    assert not home.engines.made
    assert [(e["decision"], e["rules"]) for e in home.searches()] == [("deny", ["base.suspended"])]
    home.world.app.people.suspend(ME, home.admin.principal, suspended=False)
    assert [s.subject for s in home.visit(watcher, BARACK).sightings] == ["barack"]


def test_a_refusal_that_comes_before_the_entry_leaves_no_name(home: Home) -> None:
    """Who is suspended between the permit and the entry gets nothing of what was found."""

    def suspend() -> None:
        home.world.app.people.suspend(ME, home.admin.principal, suspended=True)

    home.engines.before = suspend
    event = home.visit(home.watcher(), BARACK, JOE)
    assert [s.subject for s in event.sightings] == ["", ""]
    assert event.why == "base.suspended"
    assert len(home.engines.made) == 1
    assert [e["decision"] for e in home.searches()] == ["deny"]
    assert all(not n.people for n in home.told)


def test_a_camera_whose_person_is_gone_recognises_nobody(home: Home) -> None:
    """If who has set the camera up is nobody any more, events have no names, and say why."""
    home.setup(by="p-0000000000000000")
    event = home.visit(home.watcher(), BARACK)
    assert (event.why, [s.subject for s in event.sightings]) == (NOBODY, [""])
    assert not home.engines.made


def test_a_collection_that_is_gone_recognises_nobody(home: Home) -> None:
    """If the collection was deleted, events have no names, and say why."""
    watcher = home.watcher()
    home.world.app.collections.delete(home.admin, home.camera.collection)
    event = home.visit(watcher, BARACK)
    assert (event.why, [s.subject for s in event.sightings]) == ("collection-missing", [""])


def test_anothers_collection_is_refused(home: Home, street: World) -> None:
    """A camera that names another household's collection finds nobody there: the rules refuse it."""
    other = move_in(street)
    other.setup(collection=home.camera.collection)
    event = other.visit(other.watcher(), BARACK)
    assert event.why == "base.own-collections"
    assert not other.engines.made


def test_a_search_that_fails_is_tried_again(home: Home) -> None:
    """A failure is tried again with the next frames; in the end the event goes on without a name, and says why."""
    failures = [2]

    def fail() -> None:
        if failures[0]:
            failures[0] -= 1
            raise Unavailable("The model isn't there.")

    home.engines.before = fail
    watcher = home.watcher()
    assert [s.subject for s in home.visit(watcher, BARACK, frames=5).sightings] == ["barack"]
    failures[0] = 100
    event = home.visit(watcher, BARACK, frames=6)
    assert (event.why, [s.subject for s in event.sightings]) == (FAILED, [""])
    assert failures[0] == 97
    assert [e["outcome"] for e in home.searches()] == ["failed", "failed", "done", "failed", "failed", "failed"]


# --- listeners --------------------------------------------------------------------------------------------------------


def test_without_a_collection_no_template_is_made(street: World) -> None:
    """A camera that recognises nobody follows faces, has events, and makes no template."""
    home = move_in(street)
    event = home.visit(home.watcher(), BARACK, JOE)
    assert [s.subject for s in event.sightings] == ["", ""]
    assert event.why == ""
    assert not home.engines.made
    assert not home.searches()
    home.visit(home.watcher(Listener("cam-another")), BARACK)
    assert not home.engines.made


def test_a_listener_gets_shots(home: Home, street: World) -> None:
    """A listener gets the best shot of each face, and whom the household has found; no template is made for it."""
    listener = Listener(home.camera.id)
    home.visit(home.watcher(listener), BARACK, JOE)
    assert [s.subject for s in listener.shots] == ["barack", ""]
    assert [s.template for s in listener.shots] == home.engines.made
    shot = listener.shots[0]
    assert (shot.size.width, shot.size.height) == (1280, 720)
    assert shot.face.box.contains(250 + 0.52 * 292, 60 + 0.33 * 560)
    assert shot.picture.startswith(b"\xff\xd8\xff")
    other = move_in(street)
    listener = Listener(other.camera.id)
    other.visit(other.watcher(listener), BARACK)
    assert [(s.subject, s.template) for s in listener.shots] == [("", None)]
    assert not other.engines.made


def test_a_refusal_of_the_household_is_not_the_listeners(home: Home) -> None:
    """Where the household's own search is refused, a listener still gets the shot, without a template."""
    home.world.app.people.suspend(ME, home.admin.principal, suspended=True)
    listener = Listener(home.camera.id)
    event = home.visit(home.watcher(listener), BARACK)
    assert event.why == "base.suspended"
    assert [(s.subject, s.template) for s in listener.shots] == [("", None)]
    assert not home.engines.made


def test_who_comes_in_at_the_edge_is_looked_at_when_they_are_in(home: Home) -> None:
    """A face that the picture's edge nearly cuts is waited for; the sighting and the picture are of a later frame."""
    inside, watcher = wall(BARACK), home.watcher()
    watcher.motion(home.at, CENTRE)
    for cut in (330, 330, 270, 210, 150, 90, 30):
        coming = np.full_like(inside, 120)
        coming[:, :-cut] = inside[:, cut:]
        home.show(watcher, coming, 1, box=(0.0, 0.0, 0.6, 1.0))
        assert bool(home.engines.made) == (cut < 330)
    watcher.still(home.at - 1000, home.at)
    [seen] = home.newest().sightings
    assert (seen.subject, len(home.engines.made)) == ("barack", 1)
    assert seen.box[0] > 0.03


# --- events -----------------------------------------------------------------------------------------------------------


def test_motion_in_a_place_is_an_event(street: World) -> None:
    """What moves in a named place is an event though no face is seen; elsewhere it is motion alone."""
    home = move_in(street, zones=(PORCH,))
    watcher = home.watcher()
    watcher.motion(home.at, (0.6, 0.1, 0.8, 0.3))
    home.show(watcher, wall(), box=(0.6, 0.1, 0.8, 0.3))
    watcher.still(0, home.at)
    assert not home.all()
    assert home.kinds() == [NewsKind.MOTION, NewsKind.STILL]
    begun = home.at
    watcher.motion(begun, (0.1, 0.4, 0.25, 0.8))
    home.show(watcher, wall(), box=(0.1, 0.4, 0.25, 0.8))
    watcher.still(begun, home.at + 700)
    event = home.newest()
    assert (event.zone, event.start, event.end, event.open) == ("porch", begun, home.at + 700, False)
    assert home.kinds()[2:] == [NewsKind.MOTION, BEGUN, ENDED, NewsKind.STILL]
    assert {n.zone for n in home.told[2:5]} == {"porch"}
    with home.database.read() as c:
        assert home.events.picture(c, event.id).startswith(b"\xff\xd8\xff")


def test_motion_in_a_place_without_a_frame_is_an_event(street: World) -> None:
    """If no frame could be sent, what moved in a named place is an event without a picture."""
    home = move_in(street, zones=(PORCH,))
    watcher = home.watcher()
    watcher.motion(home.at, (0.1, 0.4, 0.25, 0.8))
    watcher.still(home.at, home.at + 3000)
    event = home.newest()
    assert (event.zone, event.start, event.end, event.open) == ("porch", home.at, home.at + 3000, False)


@pytest.mark.parametrize(
    ("box", "inside"),
    [
        ((0.0, 0.5, 0.3, 1.0), True),
        ((0.0, 0.0, 1.0, 1.0), True),  # all of the place is in it
        ((0.25, 0.45, 0.45, 0.95), True),
        ((0.29, 0.0, 0.9, 0.9), False),  # it barely touches
        ((0.5, 0.5, 0.9, 0.9), False),
        ((0.2, 0.7, 0.2001, 0.7001), True),
        ((math.nan, 0.0, 1.0, 1.0), True),  # what can't be meant is the whole picture
        ((5.0, -3.0, 2.0, 9.0), True),
    ],
)
def test_when_a_motion_is_in_a_place(street: World, box: tuple[float, float, float, float], inside: bool) -> None:
    """It is if a tenth of it lies in the place, or a tenth of the place in it."""
    home = move_in(street, zones=(PORCH,))
    home.watcher().motion(home.at, box)
    assert (home.told[0].zone == "porch") is inside


def test_an_event_goes_on_while_it_goes_on(home: Home) -> None:
    """While faces are followed the event is one, open, and its end moves on; closing ends it."""
    watcher = home.watcher()
    home.show(watcher, wall(BARACK), frames=20)
    event = home.newest()
    assert event.open
    assert home.at - event.end <= 2000
    watcher.close()
    ended = home.newest()
    assert (ended.id, ended.open, ended.end) == (event.id, False, home.at)
    watcher.close()
    assert home.kinds().count(ENDED) == 1


def test_an_endless_event_is_cut(home: Home) -> None:
    """What goes on for half an hour becomes another event, with searches of its own."""
    watcher = home.watcher()
    home.show(watcher, wall(BARACK))
    home.at += 30 * 60_000
    home.show(watcher, wall(BARACK), frames=3)
    watcher.close()
    assert [[s.subject for s in e.sightings] for e in home.all()] == [["barack"], ["barack"]]


def test_an_event_that_its_owner_removes_is_gone(home: Home) -> None:
    """An event that is removed while it goes on is not written again; who is still there is another event."""
    watcher = home.watcher()
    home.show(watcher, wall(BARACK))
    first = home.newest().id
    home.sightings.remove(home.admin, first)
    assert not home.all()
    home.show(watcher, wall(BARACK, JOE), frames=14)
    watcher.still(0, home.at)
    [event] = home.all()
    assert event.id != first
    assert sorted(s.subject for s in event.sightings) == ["", "barack"]


def test_a_clock_that_is_set_back_ends_the_event(home: Home) -> None:
    """After the clock was set back by more than two seconds it is another event; a little does no harm."""
    watcher = home.watcher()
    home.show(watcher, wall(BARACK))
    home.at -= 1000
    home.show(watcher, wall(BARACK))
    assert len(home.all()) == 1
    home.at -= 3_600_000
    home.show(watcher, wall(BARACK))
    watcher.close()
    assert len(home.all()) == 2
    assert not any(e.open for e in home.all())
    assert all(e.end > e.start for e in home.all())


def test_a_frame_that_lies_about_its_size_is_refused(home: Home) -> None:
    """The process that reads a camera isn't trusted: a frame of another size than it says is an error, and no more."""
    watcher = home.watcher()
    with pytest.raises(IntegrityError):
        watcher.frame(Frame(home.at, 1920, 1080, list(CENTRE), 0), wall())
    with pytest.raises(IntegrityError):
        watcher.frame(Frame(home.at, 0, 0, list(CENTRE), 0), np.zeros((0, 0, 3), np.uint8))
    assert [s.subject for s in home.visit(watcher, BARACK).sightings] == ["barack"]


def test_small_frames_and_faces_at_the_edge(home: Home) -> None:
    """A frame that is smaller than the least crop, and a face that is cut by the edge, do no harm."""
    watcher = home.watcher()
    tiny = np.ascontiguousarray(portrait("obama_2", 240))
    home.show(watcher, tiny, 3, box=(0.4, 0.1, 0.6, 0.2))
    watcher.close()
    assert [s.subject for s in home.newest().sightings] == ["barack"]
    home.show(watcher, np.ascontiguousarray(wall(BARACK)[:, 380:]), 3, box=(0.0, 0.0, 0.1, 0.1))
    watcher.close()


def test_faces_below_the_setting_are_left_out(home: Home) -> None:
    """Faces with fewer pixels a side than the setting are nobody's business."""
    assert home.watching.settings.face_pixels == 32
    watcher = home.watcher()
    home.show(watcher, wall(("obama_2", 500, 200, 100)), 4)
    watcher.still(0, home.at)
    assert not home.all()


def test_a_face_beside_what_moves_is_found_where_it_is(home: Home) -> None:
    """The frame is searched around what moves, and places are told in the whole frame."""
    watcher = home.watcher()
    home.show(watcher, wall(BARACK, ("biden", 900, 40, 640)), 3, box=(0.25, 0.4, 0.35, 0.6))
    watcher.close()
    [sighting] = home.newest().sightings  # the other face is far from what moves
    assert sighting.subject == "barack"
    left, top, width, height = sighting.box
    assert 0.2 < left < left + width < 0.45
    assert 0.1 < top < top + height < 0.5


def test_time_of_the_search(home: Home) -> None:
    """A face that is never seen well is searched for at most a second and a half after it was first seen, and no sooner
    than it must be."""
    watcher = home.watcher()
    small = wall(("obama_2", 500, 60, 160))
    begun = home.at + STEP
    while not home.searches():
        home.show(watcher, small, 1)
        assert home.at - begun <= 1500
    assert home.at - begun > 1000
    watcher.still(0, home.at)
    assert timedelta(milliseconds=home.newest().end - home.newest().start) < timedelta(seconds=2)
