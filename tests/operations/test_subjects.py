# SPDX-License-Identifier: Apache-2.0
"""Subjects: making them of faces, searching them by face, subject and image."""

from __future__ import annotations

import pytest

from custodes.app import App
from custodes.cameras.model import Camera, Event, Sighting
from custodes.domain import QualityFilter, SubjectStatus
from custodes.errors import Code, Conflict, NotFound
from custodes.gallery import Once
from custodes.governance import OPERATOR, Caller, Purpose

ME = Caller(OPERATOR, Purpose.PHOTO_LIBRARY, provenance="own")

Photos = dict[str, bytes]


@pytest.fixture
def faces(app: App, photos: Photos) -> dict[str, str]:
    """Ids of three enrolled faces, two of one person."""
    return {
        n: app.faces.index(ME, "people", photos[n], external_image_id=n).enrolled[0][0].reference_id
        for n in ("obama_1", "obama_2", "biden")
    }


def _make(app: App, subject: str, *faces: str) -> None:
    app.subjects.create(ME, "people", subject, None)
    app.subjects.associate(ME, "people", subject, faces, threshold=75.0, once=None)


def test_a_subject_takes_only_faces_that_are_alike(app: App, faces: dict[str, str]) -> None:
    """The unlike ones are told with their similarity; a threshold of 0 takes them too."""
    app.subjects.create(ME, "people", "o", None)
    done = app.subjects.associate(ME, "people", "o", list(faces.values()), threshold=75.0, once=None)
    assert set(done.associated) == {faces["obama_1"], faces["obama_2"]}
    [(unlike, similarity)] = done.unlike
    assert unlike == faces["biden"]
    assert 0 <= similarity < 75
    assert done.status is SubjectStatus.ACTIVE
    assert app.subjects.associate(ME, "people", "o", [faces["biden"]], threshold=0.0, once=None).associated == (unlike,)


def test_faces_of_others_and_unknown_faces_are_told(app: App, faces: dict[str, str]) -> None:
    """Neither is taken, and a face is given back by who has it alone."""
    _make(app, "b", faces["biden"])
    app.subjects.create(ME, "people", "o", None)
    unknown = "00000000-0000-0000-0000-000000000000"
    done = app.subjects.associate(ME, "people", "o", [faces["biden"], unknown], threshold=0.0, once=None)
    assert (done.associated, done.elsewhere, done.unknown) == ((), ((faces["biden"], "b"),), (unknown,))
    back = app.subjects.disassociate(ME, "people", "o", [faces["biden"]], None)
    assert (back.disassociated, back.elsewhere) == ((), ((faces["biden"], "b"),))
    assert app.subjects.disassociate(ME, "people", "b", [faces["biden"]], None).status is SubjectStatus.CREATED


def test_subjects_are_found_by_face_subject_and_image(app: App, faces: dict[str, str], photos: Photos) -> None:
    """A search by a subject leaves that subject out; the others find who is alike."""
    _make(app, "o", faces["obama_1"])
    _make(app, "again", faces["obama_2"])
    _make(app, "b", faces["biden"])

    def names(found) -> list[str]:
        return [c.subject.subject_id for c in found.candidates]

    options = {"limit": 10, "threshold": 80.0}
    assert names(app.subjects.search_by_face(ME, "people", faces["obama_1"], **options)) == ["o", "again"]
    assert names(app.subjects.search_by_subject(ME, "people", "o", **options)) == ["again"]
    by_image = app.subjects.search_by_image(ME, "people", photos["biden"], quality=QualityFilter.NONE, **options)
    assert names(by_image) == ["b"]
    assert by_image.probe is not None
    every = app.subjects.search_by_face(ME, "people", faces["obama_1"], limit=2, threshold=0.0)
    assert names(every) == ["o", "again"]


def test_a_subject_without_faces_finds_nobody(app: App) -> None:
    """There is nothing to search by."""
    app.subjects.create(ME, "people", "empty", None)
    assert app.subjects.search_by_subject(ME, "people", "empty", limit=1, threshold=0.0).candidates == ()


def test_an_image_is_searched_by_its_largest_face(app: App, photos: Photos) -> None:
    """The other faces are told as smaller; of an image without a face nothing is searched."""
    options = {"limit": 1, "threshold": 0.0, "quality": QualityFilter.NONE}
    group = app.subjects.search_by_image(ME, "people", photos["group"], **options)
    assert group.probe is not None
    assert [smaller for _, _, smaller in group.unsearched] == [True] * 3
    nobody = app.subjects.search_by_image(ME, "people", photos["nobody"], **options)
    assert (nobody.probe, nobody.unsearched, nobody.candidates) == (None, (), ())


def test_subjects_are_listed_and_deleted_and_their_faces_stay(app: App, faces: dict[str, str]) -> None:
    """A deleted subject is gone; its faces are free again."""
    _make(app, "o", faces["obama_1"])
    app.subjects.create(ME, "people", "p", None)
    page, position = app.subjects.list(ME, "people", after=0, limit=1)
    rest, end = app.subjects.list(ME, "people", after=position, limit=1)
    assert ([s.subject_id for s in page + rest], end) == (["o", "p"], None)
    assert app.faces.delete(ME, "people", [faces["obama_1"]]).tied == ((faces["obama_1"], "o"),)
    app.subjects.delete(ME, "people", "o", None)
    assert app.faces.delete(ME, "people", [faces["obama_1"]]).deleted == (faces["obama_1"],)
    with pytest.raises(NotFound) as e:
        app.subjects.delete(ME, "people", "o", None)
    assert e.value.code == Code.SUBJECT_MISSING


def test_a_deleted_subject_is_named_by_no_event(app: App, faces: dict[str, str]) -> None:
    """Sightings and its floor go with it; who has the name later isn't forgotten when the request is repeated."""
    events, once = app.watching.events, Once("DeleteUser", "token", b"kim")
    camera = Camera("cam-00000000000000aa", "org", ME.principal, str(ME.purpose), "door", "x", collection="people")
    event, seen = Event("evt-00000000000000aa", camera.id, 1, 2), Sighting(1, 1, (0, 0, 1, 1), "kim", 97.5)

    def is_known() -> bool:
        with app._database.read() as c:
            [sighting] = events.get(c, event.id).sightings
            assert bool(sighting.subject) == bool(events.floor(c, "people", "kim"))
            return sighting.subject == "kim"

    def meet() -> None:
        app.subjects.create(ME, "people", "kim", None)
        with app._database.transaction() as c:
            events.see(c, event.id, seen, b"")
            events.raise_floor(c, "people", "kim", 90.0)

    with app._database.transaction() as c:
        app.cameras._store.add(c, camera)
        events.begin(c, event, b"")
    meet()
    assert is_known()
    app.subjects.delete(ME, "people", "kim", once)
    assert not is_known()
    meet()
    app.subjects.delete(ME, "people", "kim", once)  # the same request once more: it was done
    assert is_known()
    with app._database.transaction() as c:
        app.cameras._store.remove(c, camera.id)


def test_a_name_is_taken_once(app: App) -> None:
    """A second subject of a name is a conflict."""
    app.subjects.create(ME, "people", "o", None)
    with pytest.raises(Conflict) as e:
        app.subjects.create(ME, "people", "o", None)
    assert e.value.code == Code.SUBJECT_EXISTS
