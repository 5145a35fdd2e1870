# SPDX-License-Identifier: Apache-2.0
"""Events as their owner sees them, and what the owner says of them for good."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.operations.conftest import ME, World, open_world
from tests.operations.household import Home, files_with, jpeg, move_in

from custodes.cameras.model import Span
from custodes.errors import Conflict, Denied, Invalid, NotFound
from custodes.governance import Role

BARACK = ("obama_2", 250, 60, 560)
JOE = ("biden", 780, 40, 640)
EILEEN = ("collins", 500, 40, 600)


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An installation with room for many households."""
    made = open_world(tmp_path_factory.mktemp("street") / "data")
    yield made
    made.app.close()


@pytest.fixture
def home(street: World) -> Home:
    """A household whose camera recognises Barack."""
    made = move_in(street)
    made.knows("barack", "obama_1")
    return made


def floor(home: Home, name: str = "barack") -> float:
    with home.database.read() as c:
        return home.events.floor(c, home.camera.collection, name)


def looks(home: Home) -> list[dict]:
    """The ledger's entries of video that was looked at in the household."""
    return home.entries("ViewVideo")


# --- looking ----------------------------------------------------------------------------------------------------------


def test_a_list_is_one_entry(home: Home) -> None:
    """Events are listed newest first, by camera, person, time and page, with one entry for each list."""
    watcher = home.watcher()
    first = home.visit(watcher, BARACK)
    home.at += 60_000
    second = home.visit(watcher, JOE)
    listed = home.sightings.list(home.admin)
    assert [e.id for e in listed] == [second.id, first.id]
    assert [(e["listed"], e["outcome"]) for e in looks(home)] == [(2, "done")]
    assert [e.id for e in home.sightings.list(home.admin, person="barack")] == [first.id]
    assert home.sightings.list(home.admin, person="joe") == ()
    assert [e.id for e in home.sightings.list(home.admin, [home.camera.id], limit=1)] == [second.id]
    assert [e.id for e in home.sightings.list(home.admin, ["Front Door"], before=second.start)] == [first.id]
    assert [e.id for e in home.sightings.list(home.admin, span=Span(first.start, first.end))] == [first.id]
    assert len(looks(home)) == 6


def test_news_and_pictures_are_no_entries(home: Home) -> None:
    """Who has opened events gets their pictures, and what comes after, without an entry for each."""
    event = home.visit(home.watcher(), BARACK)
    assert home.sightings.get(home.admin, event.id) == event
    assert len(looks(home)) == 1
    assert home.sightings.picture(home.admin, event.id).startswith(b"\xff\xd8\xff")
    assert home.sightings.picture(home.admin, event.id, 1).startswith(b"\xff\xd8\xff")
    assert home.sightings.news(home.admin, [home.camera.id, "cam-of-others"], Span(0, event.end)) == (event,)
    assert len(looks(home)) == 1
    with pytest.raises(NotFound):
        home.sightings.picture(home.admin, event.id, 9)


def test_others_see_nothing(home: Home, street: World) -> None:
    """To another household an event isn't there; police are refused even their own list."""
    event = home.visit(home.watcher(), BARACK)
    other = move_in(street)
    for call in (
        lambda: other.sightings.get(other.admin, event.id),
        lambda: other.sightings.picture(other.admin, event.id),
        lambda: other.sightings.not_this_person(other.admin, event.id, 1),
        lambda: other.sightings.this_is(other.admin, event.id, 1, "barack"),
        lambda: other.sightings.remove(other.admin, event.id),
        lambda: other.sightings.list(other.admin, [home.camera.id]),
    ):
        with pytest.raises(NotFound):
            call()
    assert other.sightings.list(other.admin) == ()
    assert other.sightings.news(other.admin, [home.camera.id], Span(0, event.end)) == ()
    assert street.denied(lambda: home.sightings.list(street.officer)) == ["base.cameras-of-class"]
    assert home.newest() == event


def test_who_is_suspended_sees_no_picture(home: Home) -> None:
    """A picture is refused to who is suspended, and the refusal is an entry."""
    event = home.visit(home.watcher(), BARACK)
    home.world.app.people.suspend(ME, home.admin.principal, suspended=True)
    assert home.world.denied(lambda: home.sightings.picture(home.admin, event.id)) == ["base.suspended"]
    assert looks(home)[-1]["decision"] == "deny"


# --- correcting -------------------------------------------------------------------------------------------------------


def test_not_this_person_is_for_good(home: Home) -> None:
    """The name goes, the mistake isn't made again at this similarity, and the way back is open."""
    watcher = home.watcher()
    event = home.visit(watcher, BARACK)
    similarity = event.sightings[0].similarity
    changed = home.sightings.not_this_person(home.admin, event.id, 1)
    [sighting] = changed.sightings
    assert (sighting.subject, sighting.similarity, sighting.corrected) == ("", 0.0, True)
    assert floor(home) == pytest.approx(min(similarity + 0.01, 99.99))
    assert (looks(home)[-1]["corrected"], looks(home)[-1]["camera_event"]) == ("not-this-person", event.id)
    assert [s.subject for s in home.visit(watcher, BARACK).sightings] == [""]
    assert home.library.people(home.admin)[0].floor == floor(home)
    home.sightings.reset_floor(home.admin, "barack")
    assert floor(home) == 0
    assert [s.subject for s in home.visit(watcher, BARACK).sightings] == ["barack"]
    with home.database.read() as c:
        assert home.events.picture(c, event.id, 1)


def test_the_floor_is_never_more_than_can_be_reached(home: Home) -> None:
    """Who was taken for another at the highest similarity is still recognised at 99.99."""
    event = home.visit(home.watcher(), BARACK)
    told = replace(event.sightings[0], similarity=100.0)
    with home.database.transaction() as c:
        home.events.see(c, event.id, told, b"\xff\xd8\xff")
    home.sightings.not_this_person(home.admin, event.id, 1)
    assert floor(home) == 99.99


def test_nobody_is_not_somebody(home: Home) -> None:
    """To say "not this person" of somebody unknown is a conflict, and of nobody it isn't found."""
    event = home.visit(home.watcher(), JOE)
    with pytest.raises(Conflict):
        home.sightings.not_this_person(home.admin, event.id, 1)
    with pytest.raises(NotFound):
        home.sightings.not_this_person(home.admin, event.id, 2)
    with pytest.raises(NotFound):
        home.sightings.not_this_person(home.admin, "evt-0000000000000000", 1)


def test_this_is_somebody(home: Home) -> None:
    """An unknown person gets the name that the owner says, and is found by it; nobody's floor rises."""
    home.library.add(home.admin, "joe", home.agreement(), [jpeg("biden")])
    with home.database.transaction() as c:
        home.events.raise_floor(c, home.camera.collection, "joe", 99.99)
    event = home.visit(home.watcher(), JOE)
    assert [s.subject for s in event.sightings] == [""]
    [sighting] = home.sightings.this_is(home.admin, event.id, 1, "joe").sightings
    assert (sighting.subject, sighting.corrected, sighting.similarity) == ("joe", True, 0.0)
    assert [e.id for e in home.sightings.list(home.admin, person="joe")] == [event.id]
    home.sightings.not_this_person(home.admin, event.id, 1)
    assert (floor(home), floor(home, "joe")) == (0, 99.99)


def test_this_is_somebody_else(home: Home) -> None:
    """Who was taken for another is named, and the other's floor rises; who is confirmed keeps their similarity."""
    home.library.add(home.admin, "joe", home.agreement(), [jpeg("biden")])
    watcher = home.watcher()
    event = home.visit(watcher, BARACK)
    assert home.sightings.this_is(home.admin, event.id, 1, "barack").sightings[0].similarity > 90
    assert floor(home) == 0
    event = home.visit(watcher, BARACK)
    assert home.sightings.this_is(home.admin, event.id, 1, "joe").sightings[0].subject == "joe"
    assert floor(home) > 90


def test_a_face_is_learned_on_a_consent_alone(home: Home) -> None:
    """The picture of the face is enrolled if the person's consent holds; otherwise nothing is changed."""
    watcher = home.watcher()
    event = home.visit(watcher, BARACK)
    home.sightings.this_is(home.admin, event.id, 1, "barack", True)
    [person] = home.library.people(home.admin)
    assert person.photos == 2
    assert looks(home)[-1]["learned"] is True
    home.world.app.grounds.withdraw(home.admin, person.consent)
    event = home.visit(watcher, BARACK)
    with pytest.raises(Conflict) as caught:
        home.sightings.this_is(home.admin, event.id, 1, "barack", True)
    assert "consent" in caught.value.remedy
    assert home.newest() == event


def test_a_face_that_is_another_is_not_learned(home: Home) -> None:
    """A face that isn't like those of the person is refused, and the event stays as it is."""
    event = home.visit(home.watcher(), JOE)
    with pytest.raises(Invalid):
        home.sightings.this_is(home.admin, event.id, 1, "barack", True)
    assert home.newest() == event
    assert home.library.people(home.admin)[0].photos == 1


def test_only_people_of_the_library_have_names(home: Home, street: World) -> None:
    """A name that nobody in the library has is refused, and so is any where the camera recognises nobody."""
    event = home.visit(home.watcher(), JOE)
    with pytest.raises(NotFound) as caught:
        home.sightings.this_is(home.admin, event.id, 1, "joe")
    assert "consent" in caught.value.remedy
    other = move_in(street)
    event = other.visit(other.watcher(), JOE)
    with pytest.raises(Conflict):
        other.sightings.this_is(other.admin, event.id, 1, "joe")
    with pytest.raises(NotFound):
        other.sightings.reset_floor(other.admin, "joe")


def test_an_event_that_is_removed_leaves_the_files(home: Home) -> None:
    """An administrator removes an event with its pictures and names; others of the household can't."""
    event = home.visit(home.watcher(), BARACK)
    child = home.world.app.people.add(ME, home.organisation, f"child@{home.camera.id}", "child", [Role.USER])
    caller = replace(home.admin, principal=child.id)
    assert home.sightings.get(caller, event.id) == event
    with pytest.raises(Denied):
        home.sightings.remove(caller, event.id)
    with home.database.read() as c:
        row = c.exec_driver_sql("SELECT picture FROM camera_events WHERE id = ?", (event.id,)).one()
    sealed = bytes(row.picture)[40:120]
    assert files_with(home.world.config.data, sealed)
    home.sightings.remove(home.admin, event.id)
    assert home.all() == ()
    assert not files_with(home.world.config.data, sealed)
    with pytest.raises(NotFound):
        home.sightings.get(home.admin, event.id)
