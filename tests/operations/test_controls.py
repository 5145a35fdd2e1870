# SPDX-License-Identifier: Apache-2.0
"""Blind sittings: known non-mates are mixed in, and nothing tells which they are."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

import orjson
import pytest
import sqlalchemy as sa
from tests.operations.conftest import ME, START, World
from tests.operations.reviewroom import AGREED, FAMILY, NO, SIMILARITIES, YES, Room, furnish, size_of

from custodes.casework import Answer, ImageRole, RunState, Side, Similar
from custodes.casework.schema import case_images, review_items
from custodes.errors import Conflict, Denied, Invalid, NotFound
from custodes.governance import Purpose
from custodes.operations.comparing import ItemView, wilson
from custodes.operations.pictures import PictureSize

COMMITTED = ("candidate", "answer", "reasons", "stands")


@pytest.fixture
def room(world: World, photos: dict[str, bytes]) -> Room:
    """A case on SQLite."""
    return furnish(world, photos)


# --- blind sittings ---------------------------------------------------------------------------------------------


def test_without_controls_no_blind_sitting(room: Room) -> None:
    """The rule refuses it by name and says how to add some; with one it begins."""
    ann, ben = room.reviewer("ann"), room.reviewer("ben")
    room.in_review()
    room.judge(ann, YES, blind=False)
    with pytest.raises(Denied) as caught:
        room.sit(ben, blind=True)
    assert caught.value.code == "base.review-controls"
    assert "custodes review controls add" in caught.value.diagnostics()
    assert room.world.entry()["rules"] == ["base.review-controls"]
    room.add_control()
    assert len(room.sit(ben, blind=True).items) == 2


def test_a_blind_reviewer_is_told_nothing(room: Room) -> None:
    """Neither of sitting nor of comparison: no score, rank, answer, control, candidate, run, case or image."""
    ann, ben = room.reviewer("ann"), room.reviewer("ben")
    control, _ = room.add_control(), room.add_control("group.jpg")
    candidates = room.in_review(6)
    room.judge(ann, Answer.SUPPORTS_STRONGLY, blind=False)
    sitting = room.sit(ben, blind=True)
    views = [room.review.item(ben, i) for i in sitting.items]
    told = orjson.dumps([asdict(sitting), *map(asdict, views)]).decode()
    hidden = [room.case, room.run, control, *candidates, *room.images.values(), ann.principal, "Lena", "a name"]
    hidden += [f"{s:.2f}"[:5] for s in SIMILARITIES] + ["supports", "control", "CONTROL"]
    assert [h for h in hidden if h in told] == []
    shapes = {_shape(v) for v in views}
    assert len(shapes) == 1, "a control's value has another form than a candidate's"
    assert all(v.similarity is None and v.rank is None for v in views)
    assert [v.position for v in views] == list(range(1, len(views) + 1))
    controls = [i for i in sitting.items if room.behind(i) is None]
    assert 2 <= len(controls) <= 3
    assert {v.count for v in views} == {len(candidates) + len(controls)}


def _shape(view: ItemView) -> tuple[bool, ...]:
    """Return which values a view has, but for what the photos themselves decide."""
    told = asdict(view)
    return tuple(told[k] is None for k in ("similarity", "rank", "answer")) + tuple(
        told[side][k] is None for side in ("probe", "other") for k in ("image", "box")
    )


def test_the_ledger_tells_no_control_from_a_candidate(room: Room) -> None:
    """Entries of one sitting have the same names and values but for what is committed to, before it is over."""
    ann, ben, eve = (room.reviewer(n) for n in ("ann", "ben", "eve"))
    room.add_control()
    candidates = room.in_review(3)
    room.judge(ann, YES, blind=False)
    room.judge(ben, NO, blind=True)
    sitting = room.sit(eve, blind=True)
    before = room.world.app.ledger.size()
    last = next(i for i in sitting.items if room.behind(i))
    for item in (i for i in sitting.items if i != last):
        room.review.answer(eve, item, YES, {"ears": "similar"}, "the same scar")
    entries = [room.world.entry(n) for n in range(before, room.world.app.ledger.size())]
    for entry in entries:
        assert entry["request"]["facts"]["review"]["round"] == 3
        assert not [w for w in (*candidates, "supports", "scar", 'control"', "lead") if w in str(entry)]
        assert all(len(entry[name]) == 64 for name in COMMITTED)
    assert [_plain(e) for e in entries] == [_plain(entries[0])] * 3
    assert len({len(str(e)) for e in entries}) == 1


def _plain(entry: dict[str, Any]) -> dict[str, Any]:
    """Return what an entry tells, without what it commits to and when it was."""
    facts = {k: v for k, v in entry["request"]["facts"].items() if k != "now"}
    return {k: v for k, v in entry.items() if k not in (*COMMITTED, "at")} | {"request": facts}


def test_controls_come_from_the_same_photo_too(room: Room, photos: dict[str, bytes]) -> None:
    """Two faces of one photo are two people; nothing tells that it is one photo, and each side shows its own face."""
    ann, ben = room.reviewer("ann"), room.reviewer("ben")
    [candidate] = room.found()
    with room.desk.db.transaction() as c:
        c.execute(sa.update(case_images).values(taken_at=START.timestamp()))
        known = room.desk.searches.candidate(c, candidate)
        room.desk.searches.forget(c, [known.reference_id])
        again = replace(known, scores=(Similar(room.images["group"], 1, 90.0),))
        room.desk.searches.end_run(c, room.run, RunState.DONE, [again])
    room.review.submit(room.cara, room.case, [candidate])
    room.judge(ann, YES, blind=False)
    sitting = room.sit(ben, blind=True)
    for item in sitting.items:
        view = room.review.item(ben, item)
        with room.desk.db.read() as c:
            stored = room.desk.reviews.item(c, item)
        assert (stored.probe, stored.probe_face) == (room.images["group"], 1)
        if stored.candidate is None:
            assert stored.image == room.images["group"]
            assert stored.face != 1
        assert (view.probe.taken_at, view.other.taken_at, view.age_gap) == (START, None, None)
        sides = [room.world.app.casework.pictures.of_item(ben, item, side, PictureSize.FULL) for side in Side]
        assert sides[0] != sides[1]
        assert {size_of(s) for s in sides} == {(640, 640)}


def test_the_same_photo_is_the_last_resort(room: Room) -> None:
    """Two faces of one scene show themselves: they come only when no face of a control photo is left."""
    controls, probe = room.world.app.casework.controls, (room.images["group"], 1)
    with room.desk.db.read() as c:
        person = room.desk.principal(c, room.reviewer("ann")).person
    control = room.add_control("biden.jpg")
    for _ in range(6):
        first, *rest = controls.pick(person, room.world.rescue, [probe], 2)
        assert (first.image, [k.image for k in rest]) == (control, [room.images["group"]])


def test_the_same_is_read_for_a_control_as_for_a_candidate(room: Room) -> None:
    """Showing and answering take the same statements, so that neither takes another time."""
    ann, ben = room.reviewer("ann"), room.reviewer("ben")
    room.add_control()
    room.in_review(3)
    room.judge(ann, YES, blind=False)
    sitting = room.sit(ben, blind=True)
    *items, _ = sorted(sitting.items, key=lambda i: room.behind(i) is not None)  # the last answer ends the sitting
    told: list[str] = []
    engine = room.desk.db.engine

    def note(*arguments: Any) -> None:
        told.append(arguments[2])

    sa.event.listen(engine, "before_cursor_execute", note)
    shapes: dict[bool, set[tuple[str, ...]]] = {True: set(), False: set()}
    try:
        for act in (room.review.item, lambda who, item: room.review.answer(who, item, NO)):
            for item in items:
                told.clear()
                act(ben, item)
                shapes[room.behind(item) is None].add(tuple(told))
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)
    assert shapes[True]
    assert shapes[True] == shapes[False]


def test_controls_are_hard_and_fresh(room: Room) -> None:
    """The most alike come first, such as the reviewer was given before come last, and nothing doubtful comes at all."""
    controls = room.world.app.casework.controls
    probe = (room.images["obama_2"], 0)
    ann = room.reviewer("ann")
    with room.desk.db.read() as c:
        person = room.desk.principal(c, ann).person
    alike, far = room.add_control("biden.jpg"), room.add_control("group.jpg")
    chosen = {(k.image, k.face) for _ in range(12) for k in controls.pick(person, room.world.rescue, [probe], 1)}
    assert (alike, 0) in chosen
    assert len(chosen) <= 3
    every = controls.pick(person, room.world.rescue, [probe], 9)
    assert {k.image for k in every} == {alike, far}
    assert len({(k.image, k.face) for k in every}) == len(every) == 5
    same = room.add_control("obama_1.jpg")
    assert same not in {k.image for k in controls.pick(person, room.world.rescue, [probe], 9)}
    assert controls.pick(person, room.world.police, [probe], 1) == ()
    room.in_review()
    room.judge(room.reviewer("ben"), YES, blind=False)
    room.judge(ann, YES, blind=True)
    with room.desk.db.read() as c:
        given = room.desk.reviews.controls_of(c, person)
    fresh = controls.pick(person, room.world.rescue, [probe], 1)
    assert given
    assert not {(k.image, k.face) for k in fresh} & given


def test_errors_on_controls_are_counted_when_the_sitting_is_over(room: Room) -> None:
    """Before that neither figures nor a result tell; then the reviewer learns which ones."""
    ann, ben = room.reviewer("ann"), room.reviewer("ben")
    room.add_control()
    room.add_control("group.jpg")
    room.in_review(2)
    room.judge(ann, YES, blind=False)
    sitting = room.sit(ben, blind=True)
    for item in sitting.items:
        [mine] = room.review.figures(ben)
        assert (mine.reviews, mine.controls, mine.control_errors, mine.decided) == (0, 0, 0, 0)
        with pytest.raises(Conflict):
            room.review.result(ben, sitting.id)
        room.review.item(ben, item)
        room.world.clock.forward(seconds=30)
        room.review.answer(ben, item, YES)
    controls = tuple(i for i in sitting.items if room.behind(i) is None)
    result = room.review.result(ben, sitting.id)
    assert (result.reviews, result.controls, result.mistaken) == (len(sitting.items), len(controls), controls)
    [mine] = room.review.figures(ben)
    assert (mine.reviews, mine.controls, mine.control_errors) == (len(sitting.items), len(controls), len(controls))
    assert (mine.decided, mine.agreed, mine.agreement, mine.errors) == (2, 2, 1.0, 1.0)
    assert mine.seconds == pytest.approx(30)
    assert mine.interval == wilson(len(controls), len(controls))
    shown = {v.name: v for v in room.review.figures(room.cara)}
    assert shown["ben"] == mine
    assert (shown["ann"].decided, shown["ann"].agreed, shown["ann"].controls) == (2, 2, 0)
    assert {v.name for v in room.review.figures(room.cara, START + timedelta(days=2))} == {"ann", "ben"}
    assert all(v.reviews == 0 for v in room.review.figures(room.cara, START + timedelta(days=2)))


def test_agreement_is_counted_when_a_third_decides(room: Room) -> None:
    """For the two whose sittings are over too; who was overruled didn't agree."""
    room.add_control()
    room.in_review()
    for name, answer, blind in (("ann", YES, False), ("ben", NO, True), ("eve", YES, True)):
        room.judge(room.reviewer(name), answer, blind=blind)
    shown = {v.name: (v.decided, v.agreed) for v in room.review.figures(room.cara)}
    assert shown == {"ann": (1, 1), "ben": (1, 0), "eve": (1, 1)}


@pytest.mark.parametrize(
    ("count", "of", "low", "high"), [(0, 10, 0.0, 0.2775), (1, 10, 0.0179, 0.4042), (5, 5, 0.5655, 1.0)]
)
def test_wilsons_interval(count: int, of: int, low: float, high: float) -> None:
    """As tables have it; of nothing there is none."""
    assert wilson(count, of) == pytest.approx((low, high), abs=5e-5)
    assert wilson(0, 0) is None


# --- control photos ---------------------------------------------------------------------------------------------


def test_control_photos_are_for_administrators(room: Room, photos: dict[str, bytes]) -> None:
    """Who adds, lists and removes them; what is refused is an entry, and names and bytes are in none."""
    controls, ann = room.world.app.casework.controls, room.reviewer("ann")
    made = controls.add(room.cara, photos["group"], replace(AGREED, name="smith.jpg"))
    entry = room.world.entry()
    assert (entry["change"], entry["target"], entry["faces"]) == ("control-added", made.id, len(made.faces))
    assert "smith" not in str(entry)
    assert [p.id for p in controls.photos(room.cara)] == [made.id]
    assert [p.id for p in controls.photos(ME, organisation=room.world.rescue)] == [made.id]
    assert room.world.denied(lambda: controls.add(ann, photos["biden"], AGREED)) == ["base.administer-role"]
    assert room.world.entry()["decision"] == "deny"
    assert room.world.denied(lambda: controls.photos(ann)) == ["base.administer-role"]
    assert room.world.denied(lambda: controls.remove(ann, made.id)) == ["base.administer-role"]
    other = lambda: controls.add(room.cara, photos["biden"], AGREED, organisation=room.world.police)  # noqa: E731
    assert room.world.denied(other) == ["base.administer-own"]
    for photo, origin, error in (
        (photos["group"], AGREED, Conflict),
        (photos["nobody"], AGREED, Invalid),
        (photos["biden"], FAMILY, Invalid),
        (b"no photo", AGREED, Invalid),
    ):
        with pytest.raises(error):
            controls.add(room.cara, photo, origin)
    with pytest.raises(NotFound):
        controls.add(room.cara, photos["biden"], AGREED, organisation="org-0")
    with pytest.raises(NotFound):
        controls.remove(room.cara, room.images["biden"])
    controls.remove(room.cara, made.id)
    assert controls.photos(room.cara) == ()
    assert room.world.entry()["change"] == "control-removed"


def test_a_control_that_is_removed_ends_the_sittings_with_it(room: Room) -> None:
    """Their rest is free for others, and nobody is left with a sitting that can't be finished."""
    ann, ben = room.reviewer("ann"), room.reviewer("ben")
    control = room.add_control()
    room.in_review()
    room.judge(ann, YES, blind=False)
    sitting = room.sit(ben, blind=True)
    room.world.app.casework.controls.remove(room.cara, control)
    assert room.review.sitting(ben, sitting.id).ended_at is not None
    assert room.review.queue(ben).blind == 1
    assert room.world.entry()["sittings_ended"] == 1


# --- pictures ---------------------------------------------------------------------------------------------------


def test_one_sensitive_photo_blurs_a_whole_blind_sitting(room: Room) -> None:
    """Otherwise candidates would be blurred and controls not."""
    with room.desk.db.transaction() as c:
        c.execute(sa.update(case_images).where(case_images.c.id == room.images["biden"]).values(sensitive=True))
    ann, ben, pictures = room.reviewer("ann"), room.reviewer("ben"), room.world.app.casework.pictures
    room.add_control()
    room.in_review(3)
    first = room.sit(ann, blind=False)
    assert [room.review.item(ann, i).sensitive for i in first.items] == [False, True, False]
    room.judge(ann, YES, blind=False)
    sitting = room.sit(ben, blind=True)
    for item in sitting.items:
        assert room.review.item(ben, item).sensitive
        assert pictures.is_hidden_of_item(ben, item)
    assert {size_of(pictures.of_item(ben, i, side)) for i in sitting.items for side in Side} == {(256, 256)}


def test_cut_outs_are_tighter_for_who_judges_blind(room: Room) -> None:
    """So that little of the scene is seen, of candidates and controls alike."""
    ann, ben, pictures = room.reviewer("ann"), room.reviewer("ben"), room.world.app.casework.pictures
    room.add_control()
    room.in_review(3)
    first = room.sit(ann, blind=False)
    wide = {pictures.of_item(ann, i, Side.PROBE) for i in first.items}
    room.judge(ann, YES, blind=False)
    tight = {pictures.of_item(ben, i, Side.PROBE) for i in room.sit(ben, blind=True).items}
    assert (len(wide), len(tight)) == (1, 1)
    assert wide != tight


def test_sensitive_comparisons_are_blurred_as_one(world: World, photos: dict[str, bytes]) -> None:
    """A control whose photo isn't sensitive looks like the rest; to ask is an entry, and shows both sides."""
    cara = world.rescuer_called("cara")
    case = world.app.casework.cases.open(cara, Purpose.MISSING_PERSON, "Lena", sensitive=True).id
    room = Room(world, cara, case)
    for name in ("obama_1", "obama_2"):
        room.images[name] = world.app.casework.cases.add_photo(cara, case, photos[name], FAMILY, ImageRole.PROBE).id
    room.add_control()
    room.in_review()
    room.judge(room.reviewer("ann"), YES, blind=False)
    ben, pictures = room.reviewer("ben"), world.app.casework.pictures
    sitting = room.sit(ben, blind=True)
    for item in sitting.items:
        assert room.review.item(ben, item).sensitive
        assert pictures.is_hidden_of_item(ben, item)
        blurred = [pictures.of_item(ben, item, side) for side in Side]
        assert {size_of(b) for b in blurred} == {(256, 256)}
        pictures.reveal_of_item(ben, item)
        entry = world.entry()
        assert (entry["request"]["action"], entry["comparison"]) == ("ViewImage", item)
        assert not pictures.is_hidden_of_item(ben, item)
        assert {size_of(pictures.of_item(ben, item, side)) for side in Side} == {(640, 640)}
    with world.app.casework.review._desk.db.read() as c:
        assert c.execute(sa.select(sa.func.count()).select_from(review_items)).scalar_one() == 1 + len(sitting.items)
