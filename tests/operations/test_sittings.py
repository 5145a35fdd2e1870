# SPDX-License-Identifier: Apache-2.0
"""Sittings: what a reviewer sees, answers that stand, who takes over, and nothing half done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.operations.conftest import World
from tests.operations.reviewroom import NO, SIMILARITIES, UNSURE, YES, Room, furnish

from custodes.casework import CandidateState, CaseEvent, Side
from custodes.errors import Conflict, Invalid, NotFound
from custodes.governance import Caller
from custodes.operations.comparing import SittingView


@pytest.fixture
def room(world: World, photos: dict[str, bytes]) -> Room:
    """A case on SQLite."""
    return furnish(world, photos)


@pytest.fixture
def both_rooms(both_worlds: World, photos: dict[str, bytes]) -> Room:
    """A case on SQLite and on PostgreSQL."""
    return furnish(both_worlds, photos)


def test_a_first_reviewer_sees_the_score(room: Room) -> None:
    """Similarity, rank, dates, the years between them, and what makes a face hard to judge."""
    ann = room.reviewer("ann")
    room.in_review(3)
    sitting = room.sit(ann, blind=False)
    views = [room.review.item(ann, i) for i in sitting.items]
    assert [(v.rank, v.similarity) for v in views] == [(n + 1, SIMILARITIES[n]) for n in range(3)]
    assert views[0].age_gap == pytest.approx(3900 / 365.2425)
    assert views[2].age_gap is None
    assert (views[0].probe.image, views[0].other.image) == (room.images["obama_1"], room.images["obama_2"])
    assert (sitting.case, sitting.next, views[0].count) == (room.case, sitting.items[0], 3)


def test_one_sitting_of_a_kind_at_a_time(room: Room) -> None:
    """To begin again is to go on; another kind may go on beside it."""
    ann, ben = room.reviewer("ann"), room.reviewer("ben")
    room.add_control()
    room.in_review(4)
    room.sit(ann, blind=False, limit=2)
    room.judge(ann, YES, blind=False)
    first = room.sit(ben, blind=False)
    assert room.sit(ben, blind=False) == first
    blind = room.sit(ben, blind=True)
    assert blind.id != first.id
    assert room.sit(ben, blind=True) == blind
    assert {s.id for s in room.review.queue(ben).sittings} == {first.id, blind.id}


def test_an_answer_stands(room: Room) -> None:
    """It isn't given twice, and one that says what can't be said changes nothing and is no entry."""
    ann = room.reviewer("ann")
    room.in_review(2)
    sitting = room.sit(ann, blind=False)
    item, size = sitting.items[0], room.world.app.ledger.size()
    with pytest.raises(Invalid):
        room.review.answer(ann, item, YES, {"tail": "similar"})
    with pytest.raises(Invalid):
        room.review.answer(ann, item, YES, note="x" * 5000)
    assert room.world.app.ledger.size() == size
    after = room.review.answer(ann, item, YES, {"ears": "similar"}, "the same scar")
    assert (after.answered, after.next) == ((item,), sitting.items[1])
    with pytest.raises(Conflict):
        room.review.answer(ann, item, NO)
    view = room.review.item(ann, item)
    assert (view.answer, view.checklist, view.note) == (YES, {"ears": "similar"}, "the same scar")
    assert room.world.app.ledger.size() == size + 1


def test_sittings_are_their_reviewers_alone(room: Room) -> None:
    """Neither another reviewer nor the case's lead reads, answers or sees pictures of one."""
    ann, ben = room.reviewer("ann"), room.reviewer("ben")
    room.in_review()
    sitting = room.sit(ann, blind=False)
    item, pictures = sitting.items[0], room.world.app.casework.pictures
    for other in (ben, room.cara):
        for ask in (
            lambda other=other: room.review.item(other, item),
            lambda other=other: room.review.answer(other, item, YES),
            lambda other=other: room.review.sitting(other, sitting.id),
            lambda other=other: room.review.result(other, sitting.id),
            lambda other=other: pictures.of_item(other, item, Side.PROBE),
            lambda other=other: room.review.item(other, "cmp-0"),
        ):
            with pytest.raises(NotFound):
                ask()
    assert pictures.of_item(ann, item, Side.PROBE).startswith(b"\xff\xd8")


def test_a_sitting_that_is_left_lapses(room: Room) -> None:
    """After eight hours without an answer its rest is free for others; what was answered stands."""
    ann, ben = room.reviewer("ann"), room.reviewer("ben")
    room.in_review(3)
    sitting = room.sit(ann, blind=False)
    with pytest.raises(NotFound):
        room.sit(ben, blind=False)
    room.world.clock.forward(hours=7)
    room.review.answer(ann, sitting.items[0], YES)
    room.world.clock.forward(hours=7)
    assert room.review.queue(ben).first == 0
    room.world.clock.forward(hours=2)
    queue = room.review.queue(ben)
    assert (queue.first, queue.blind) == (2, 1)
    entry = room.world.entry()
    assert (entry["event"], entry["answered"], entry["left"]) == ("sitting-ended", 1, 2)
    with pytest.raises(NotFound):
        room.review.answer(ann, sitting.items[1], YES)
    assert room.review.sitting(ann, sitting.id).items == (sitting.items[0],)
    assert room.review.result(ann, sitting.id).reviews == 1
    assert len(room.sit(ben, blind=False).items) == 2


def test_two_who_begin_at_once_get_different_candidates(both_rooms: Room) -> None:
    """First sittings and blind ones, on both databases: no candidate is before two people."""
    room = both_rooms
    ann, ben, eve = (room.reviewer(n) for n in ("ann", "ben", "eve"))
    room.add_control()
    room.in_review(6)

    def begin_both(one: Caller, other: Caller, *, blind: bool) -> list[set[str | None]]:
        gate = threading.Barrier(2)

        def begin(caller: Caller) -> SittingView:
            gate.wait()
            return room.sit(caller, blind=blind, limit=3)

        with ThreadPoolExecutor(2) as pool:
            return [{room.behind(i) for i in s.items} for s in pool.map(begin, (one, other))]

    first, second = begin_both(ann, ben, blind=False)
    assert not first & second
    assert len(first | second) == 6
    for caller in (ann, ben):
        room.judge(caller, YES, blind=False)
    first, second = begin_both(ann, eve, blind=True)
    assert not (first - {None}) & (second - {None})


def test_an_answer_happens_whole_or_not_at_all(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in the middle leaves answer, state, lead and figures as they were; that it failed is on record."""
    ann, ben = room.reviewer("ann"), room.reviewer("ben")
    room.add_control()
    [candidate] = room.in_review()
    room.judge(ann, YES, blind=False)
    sitting = room.sit(ben, blind=True)
    item = next(i for i in sitting.items if room.behind(i))
    for other in sitting.items:
        if other != item:
            room.review.answer(ben, other, NO)
    for name, owner in (("lead", room.desk.searches), ("of", room.desk.reviews), ("stand", room.desk.searches)):
        size = room.world.app.ledger.size()
        with monkeypatch.context() as patch:
            patch.setattr(type(owner), name, _broken(getattr(type(owner), name), after=name != "of"))
            with pytest.raises(RuntimeError, match="a fault"):
                room.review.answer(ben, item, YES)
        assert room.review.item(ben, item).answer is None
        assert room.state(candidate) == CandidateState.IN_REVIEW
        assert room.review.leads(room.cara) == ()
        assert room.world.app.ledger.size() == size + 1
        assert room.world.entry()["outcome"] == "failed"
    assert {v.name: v.decided for v in room.review.figures(room.cara)} == {"ann": 0, "ben": 0}
    room.review.answer(ben, item, YES)
    assert room.state(candidate) == CandidateState.LEAD


def _broken(real: Callable[..., object], *, after: bool) -> Callable[..., object]:
    def fail(*arguments: object, **more: object) -> object:
        if after:
            real(*arguments, **more)
        raise RuntimeError("a fault")

    return fail


def test_what_is_erased_is_compared_no_more(room: Room) -> None:
    """Its comparison leaves the sitting, and the rest goes on; if nothing is left the sitting is over."""
    ann = room.reviewer("ann")
    room.in_review(3)
    sitting = room.sit(ann, blind=False)
    with room.desk.db.transaction() as c:
        room.desk.images.remove(c, room.images["biden"])
    for ask in (
        lambda: room.review.answer(ann, sitting.items[1], YES),
        lambda: room.review.item(ann, sitting.items[1]),
    ):
        with pytest.raises(NotFound):
            ask()
    assert room.review.sitting(ann, sitting.id).items == (sitting.items[0], sitting.items[2])
    with room.desk.db.transaction() as c:
        room.desk.searches.forget(c, [room.desk.searches.candidate(c, room.behind(sitting.items[2])).reference_id])
    after = room.review.answer(ann, sitting.items[0], YES)
    assert after.ended_at is not None
    assert room.review.queue(room.reviewer("ben")).first == 1  # whose photo is gone ...
    with pytest.raises(NotFound):
        room.sit(room.reviewer("eve"), blind=False)  # ... and who isn't offered


def test_a_closed_case_ends_its_sittings(room: Room) -> None:
    """What was answered is counted, and nothing waits any more."""
    ann = room.reviewer("ann")
    room.in_review(2)
    sitting = room.sit(ann, blind=False)
    room.review.answer(ann, sitting.items[0], UNSURE)
    room.world.app.casework.cases.happen(room.cara, room.case, CaseEvent.SUSPEND)
    assert "base.case-open" in room.world.denied(lambda: room.review.answer(ann, sitting.items[1], YES))
    room.world.app.casework.cases.happen(room.cara, room.case, CaseEvent.CLOSE)
    assert room.review.sitting(ann, sitting.id).ended_at is not None
    [mine] = room.review.figures(ann)
    assert (mine.reviews, mine.inconclusive) == (1, 1.0)
    ended = [room.world.entry(n) for n in range(room.world.app.ledger.size())]
    assert [(e["answered"], e["left"]) for e in ended if e.get("event") == "sitting-ended"] == [(1, 1)]
    assert room.review.queue(ann).first == 0


@pytest.mark.parametrize("how", ["answered", "lapsed", "closed", "control-removed"])
def test_nothing_moves_before_a_blind_sitting_is_over(room: Room, how: str) -> None:
    """Neither counts, leads, others' figures nor what waits; then all of it at once, whichever way it ends."""
    ann, ben, eve = (room.reviewer(n) for n in ("ann", "ben", "eve"))
    control, app = room.add_control(), room.world.app
    room.in_review(3)
    room.judge(ann, YES, blind=False)
    sitting = room.sit(ben, blind=True)

    def told() -> tuple[object, ...]:
        work = app.casework
        counts = work.cases.view(room.cara, room.case).candidates
        return counts, room.review.leads(room.cara), room.review.figures(room.cara), room.review.queue(eve).blind

    before = told()
    *items, last = sorted(sitting.items, key=lambda i: room.behind(i) is None)
    for item in items:
        room.review.answer(ben, item, YES)
        assert told() == before
    if how == "answered":
        room.review.answer(ben, last, NO)
    elif how == "lapsed":
        room.world.clock.forward(hours=9)
        room.review.queue(eve)
    elif how == "closed":
        app.casework.cases.happen(room.cara, room.case, CaseEvent.CLOSE)
    else:
        app.casework.controls.remove(room.cara, control)
    assert told()[0] == {CandidateState.LEAD: 3}
    leads = room.review.leads(room.cara, room.case)
    assert {k.candidate for k in leads} == {room.behind(i) for i in items if room.behind(i)}
    entries = [room.world.entry(n) for n in range(app.ledger.size())]
    assert {entries[k.entry]["sitting"] for k in leads} == {sitting.id}
    [ended] = [e for e in entries if e.get("event") == "sitting-ended" and e["sitting"] == sitting.id]
    assert (ended["lead"], ended["left"]) == (3, 0 if how == "answered" else 1)
    assert {v.name: (v.decided, v.agreed) for v in room.review.figures(room.cara)} == {
        "ann": (3, 3),
        "ben": (3, 3),
        "eve": (0, 0),
    }
