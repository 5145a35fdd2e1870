# SPDX-License-Identifier: Apache-2.0
"""The store of events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.cameras.kept import AT, Kept, kept_on, new_camera, raw

from custodes.cameras.model import Camera, Event, Sighting, Span
from custodes.cameras.schema import camera_events, camera_floors, camera_sightings
from custodes.db import Database
from custodes.db.sealing import new_id
from custodes.errors import Conflict, IntegrityError, Invalid, NotFound

BOX = (0.25, 0.5, 0.125, 0.25)
LENA = Sighting(1, AT + 500, BOX, "Lena", 98.5)
UNKNOWN = Sighting(2, AT + 900, BOX)
JPEG, FACE = b"\xff\xd8 the whole picture", b"\xff\xd8 a face"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """The stores, on SQLite and on PostgreSQL."""
    yield from kept_on(request, tmp_path_factory.mktemp("events"))


def begun(kept: Kept, c: sa.Connection, camera: Camera, at: int = AT, *seen: Sighting, **told: object) -> Event:
    """Keep an event of two seconds with sightings."""
    made = Event(new_id("evt"), camera.id, at, at + 2000, **told)  # type: ignore[arg-type]
    kept.events.begin(c, made, JPEG)
    for sighting in seen:
        kept.events.see(c, made.id, sighting, FACE)
    return replace(made, sightings=seen)


def test_an_event_is_read_as_it_was_told(kept: Kept) -> None:
    """Zone, reason, times and sightings come back, and both kinds of pictures."""
    with kept.database.transaction() as c:
        made = begun(kept, c, kept.camera(c), AT, LENA, UNKNOWN, zone="Porch", why="no-consent")
    with kept.database.read() as c:
        assert kept.events.get(c, made.id) == made
        assert kept.events.collection(c, made.id) == "household"
        assert kept.events.picture(c, made.id) == JPEG
        assert kept.events.picture(c, made.id, 2) == FACE
        with pytest.raises(NotFound):
            kept.events.picture(c, made.id, 3)
        with pytest.raises(NotFound):
            kept.events.picture(c, new_id("evt"))


def test_an_update_changes_all_but_the_sightings(kept: Kept) -> None:
    """The picture stays unless there is a better one; an event that is gone can't be changed."""
    with kept.database.transaction() as c:
        made = begun(kept, c, kept.camera(c), AT, LENA)
        later = replace(made, end=AT + 9000, open=False, zone="Path", why="denied", sightings=())
        kept.events.update(c, later)
        assert kept.events.get(c, made.id) == replace(later, sightings=(LENA,))
        assert kept.events.picture(c, made.id) == JPEG
        kept.events.update(c, later, b"better")
        assert kept.events.picture(c, made.id) == b"better"
        with pytest.raises(NotFound):
            kept.events.update(c, replace(made, id=new_id("evt")))
        with pytest.raises(NotFound):
            kept.events.see(c, new_id("evt"), LENA, FACE)
        with pytest.raises(Conflict):
            kept.events.begin(c, made, JPEG)
        with pytest.raises(NotFound):
            kept.events.begin(c, replace(made, id=new_id("evt"), camera=new_id("cam")), JPEG)


def test_a_sighting_is_replaced_by_its_number(kept: Kept) -> None:
    """A correction takes the old name's place, and events are found by the new name alone."""
    with kept.database.transaction() as c:
        camera = kept.camera(c)
        made = begun(kept, c, camera, AT, LENA)
        right = replace(LENA, subject="Mara", similarity=0.0, corrected=True)
        kept.events.see(c, made.id, right, b"")
        assert kept.events.get(c, made.id).sightings == (right,)
        assert kept.events.list(c, [camera.id], subject=("household", "Lena")) == ()
        assert [e.id for e in kept.events.list(c, [camera.id], subject=("household", "Mara"))] == [made.id]
        with pytest.raises(NotFound):
            kept.events.picture(c, made.id, 1)


def test_lists_are_newest_first_by_page_span_and_person(kept: Kept) -> None:
    """Only the cameras that are named are read; a page goes on before the last event of the page before."""
    with kept.database.transaction() as c:
        one, two = kept.camera(c), kept.camera(c)
        events = [begun(kept, c, (one, two)[n % 2], AT + n * 10_000, *([LENA] if n < 2 else [])) for n in range(6)]
        ids = [e.id for e in events]
        both = [one.id, two.id]

        def listed(cameras: list[str], **told: object) -> list[int]:
            return [ids.index(e.id) for e in kept.events.list(c, cameras, **told)]  # type: ignore[arg-type]

        assert listed(both) == [5, 4, 3, 2, 1, 0]
        assert listed([one.id]) == [4, 2, 0]
        assert listed([]) == []
        assert listed(both, limit=2) == [5, 4]
        assert listed(both, limit=2, before=events[4].start) == [3, 2]
        assert listed(both, span=Span(AT + 11_999, AT + 20_001)) == [2, 1]
        assert listed(both, span=Span(AT + 12_000, AT + 20_000)) == []
        assert listed(both, subject=("household", "Lena")) == [1, 0]
        assert listed(both, subject=("other", "Lena")) == []
        assert kept.events.list(c, [two.id], subject=("household", "Lena"))[0] == events[1]


def test_an_event_that_has_just_begun_is_in_its_span(kept: Kept) -> None:
    """It has no length yet, and counts as a millisecond."""
    with kept.database.transaction() as c:
        camera = kept.camera(c)
        made = Event(new_id("evt"), camera.id, AT, AT)
        kept.events.begin(c, made, b"")
        assert kept.events.list(c, [camera.id], span=Span(AT, AT + 1)) == (made,)
        assert kept.events.spans(c, camera.id, Span(AT, AT + 5)) == (Span(AT, AT + 1),)
        assert kept.events.spans(c, camera.id, Span(AT + 1, AT + 5)) == ()


def test_what_was_open_in_a_crash_is_closed(kept: Kept) -> None:
    """The events of that camera alone, with the end that they had."""
    with kept.database.transaction() as c:
        mine, other = kept.camera(c), kept.camera(c)
        first, second = begun(kept, c, mine), begun(kept, c, mine, AT + 5000, open=False)
        third = begun(kept, c, other)
        assert kept.events.close_open(c, mine.id) == 1
        assert kept.events.get(c, first.id) == replace(first, open=False)
        assert kept.events.get(c, second.id) == second
        assert kept.events.get(c, third.id).open
        assert kept.events.spans(c, mine.id, Span(AT + 1999, AT + 5001)) == (
            Span(AT, AT + 2000),
            Span(AT + 5000, AT + 7000),
        )


def test_forgetting_somebody_leaves_unknown_people(kept: Kept) -> None:
    """All of their sightings lose name, similarity and hash; others' stay, and so do those of another collection."""
    with kept.database.transaction() as c:
        camera, other = kept.camera(c, collection="first"), kept.camera(c, collection="second")
        mara = Sighting(2, AT, BOX, "Mara", 91.0)
        events = [begun(kept, c, camera, AT + n * 10_000, LENA, mara) for n in range(3)]
        elsewhere = begun(kept, c, other, AT, LENA)
        told = begun(kept, c, other)
        kept.events.see(c, told.id, LENA, FACE, collection="first")
        kept.events.raise_floor(c, "first", "Lena", 97.0)
        with_her = kept.events.list(c, [camera.id, other.id], subject=("first", "Lena"))
        assert kept.events.forget_subject(c, "first", "Lena") == len(with_her) == 4
        nobody = replace(LENA, subject="", similarity=0.0)
        assert [kept.events.get(c, e.id).sightings for e in events] == [(nobody, mara)] * 3
        assert kept.events.get(c, told.id).sightings == (nobody,)
        assert kept.events.get(c, elsewhere.id) == elsewhere
        assert kept.events.list(c, [camera.id], subject=("first", "Lena")) == ()
        hashes = c.execute(
            sa.select(camera_sightings.c.subject_hash).where(
                camera_sightings.c.event == events[0].id, camera_sightings.c.number == 1
            )
        ).scalar_one()
        assert hashes is None
        assert kept.events.floor(c, "first", "Lena") == 0
        assert kept.events.forget_subject(c, "first", "Lena") == 0


def test_a_floor_only_rises(kept: Kept) -> None:
    """It is by collection and person, 0 at first and when it is reset; a lower one changes nothing."""
    with kept.database.transaction() as c:
        floor = lambda who: kept.events.floor(c, "house", who)  # noqa: E731
        assert floor("Lena") == 0
        for similarity, then in ((90.5, 90.5), (80.0, 90.5), (99.25, 99.25)):
            kept.events.raise_floor(c, "house", "Lena", similarity)
            assert floor("Lena") == then
        kept.events.raise_floor(c, "house", "Otto", 95.0)
        kept.events.reset_floor(c, "house", "Otto")
        assert floor("Otto") == 0
        assert (floor("Mara"), kept.events.floor(c, "other", "Lena")) == (0, 0)
        for wrong in (-1.0, 100.5, float("nan")):
            with pytest.raises(Invalid):
                kept.events.raise_floor(c, "house", "Lena", wrong)
        assert b"Lena" not in b"".join(bytes(h) for h in c.execute(sa.select(camera_floors.c.subject_hash)).scalars())


def test_removing_takes_sightings_and_pictures_along(kept: Kept) -> None:
    """Of the events that are named alone; a camera's removal takes all of its own."""
    with kept.database.transaction() as c:
        camera = kept.camera(c)
        gone, stays = begun(kept, c, camera, AT, LENA), begun(kept, c, camera, AT, LENA)
        kept.events.remove(c, [gone.id, new_id("evt")])
        seen = sa.select(camera_sightings.c.event)
        assert gone.id not in set(c.execute(seen).scalars())
        with pytest.raises(NotFound):
            kept.events.get(c, gone.id)
        assert kept.events.get(c, stays.id) == stays
        kept.cameras.remove(c, camera.id)
        assert stays.id not in set(c.execute(seen).scalars())


def test_a_row_that_was_changed_does_not_open(kept: Kept) -> None:
    """Neither words nor pictures, of events and of sightings; nor what was moved to another number."""
    with kept.database.transaction() as c:
        made = begun(kept, c, kept.camera(c), AT, LENA, UNKNOWN)
        e, s = camera_events, camera_sightings
        mine = e.c.id == made.id
        first, second = (s.c.event == made.id) & (s.c.number == 1), (s.c.event == made.id) & (s.c.number == 2)
        row = c.execute(sa.select(e).where(mine)).one()
        other = c.execute(sa.select(s).where(second)).one()
        c.execute(sa.update(e).where(mine).values(picture=row.secret, picture_key=row.secret_key))
        with pytest.raises(IntegrityError):
            kept.events.picture(c, made.id)
        c.execute(sa.update(e).where(mine).values(secret=bytes([row.secret[0] ^ 1]) + row.secret[1:]))
        with pytest.raises(IntegrityError):
            kept.events.get(c, made.id)
        c.execute(sa.update(e).where(mine).values(secret=row.secret))
        moved = {"secret": other.secret, "secret_key": other.secret_key}
        c.execute(sa.update(s).where(first).values(picture=other.picture, picture_key=other.picture_key, **moved))
        with pytest.raises(IntegrityError):
            kept.events.get(c, made.id)
        with pytest.raises(IntegrityError):
            kept.events.picture(c, made.id, 1)


def test_nothing_said_or_shown_is_in_the_files_nor_is_what_was_forgotten(tmp_path: Path) -> None:
    """Names, zones and pictures are sealed; a forgotten name's row and a removed event leave the files altogether."""
    kept = Kept(Database(f"sqlite:///{tmp_path}/events.sqlite3"))
    needles = [b"Lena", b"Porch", JPEG, FACE, b"98.5"]
    with kept.database.transaction() as c:
        camera = new_camera()
        kept.cameras.add(c, camera)
        made = begun(kept, c, camera, AT, LENA, zone="Porch")
        kept.events.raise_floor(c, "household", "Lena", 98.5)
    with kept.database.read() as c:
        s, e = c.execute(sa.select(camera_sightings)).one(), c.execute(sa.select(camera_events)).one()
        names = [bytes(s.secret), bytes(s.secret_key), bytes(s.subject_hash)]
        all_of_it = [bytes(v) for v in (s.picture, s.picture_key, e.secret, e.secret_key, e.picture, e.picture_key)]
    assert not any(n in raw(tmp_path) for n in needles)
    assert all(n in raw(tmp_path) for n in names + all_of_it)
    with kept.database.transaction() as c:
        kept.events.forget_subject(c, "household", "Lena")
    kept.database.scrub()
    assert not any(n in raw(tmp_path) for n in needles + names)
    assert all(n in raw(tmp_path) for n in all_of_it)
    with kept.database.transaction() as c:
        kept.events.remove(c, [made.id])
    kept.database.scrub()
    assert not any(n in raw(tmp_path) for n in needles + names + all_of_it)
    kept.database.close()
