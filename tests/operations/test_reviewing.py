# SPDX-License-Identifier: Apache-2.0
"""Two people judge a candidate, the second blind: who may, and what comes of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import orjson
import pytest
import sqlalchemy as sa
from tests.operations import leadcase
from tests.operations.conftest import ME, START, World
from tests.operations.reviewroom import FAMILY, NO, SIMILARITIES, UNSURE, YES, Room, furnish

from custodes.casework import Answer, CandidateState, CaseEvent
from custodes.casework.schema import sittings
from custodes.domain import QualityFilter
from custodes.errors import Conflict, Invalid, NotFound
from custodes.governance import Caller, Purpose, Role


@pytest.fixture
def room(world: World, photos: dict[str, bytes]) -> Room:
    """A case on SQLite."""
    return furnish(world, photos)


@pytest.fixture
def both_rooms(both_worlds: World, photos: dict[str, bytes]) -> Room:
    """A case on SQLite and on PostgreSQL."""
    return furnish(both_worlds, photos)


# --- the main path ----------------------------------------------------------------------------------------------


def test_two_concurring_reviews_make_a_lead(both_rooms: Room) -> None:
    """The second is blind, with controls; each answer is an entry that decides again as it did; a lead, no identity."""
    room, app = both_rooms, both_rooms.world.app
    ann, ben = room.reviewer("ann"), room.reviewer("ben")
    room.add_control()
    [candidate] = room.in_review()
    assert (room.review.queue(ann).first, room.review.queue(ann).blind) == (1, 0)
    first = room.judge(ann, YES, blind=False)
    assert (len(first.items), first.ended_at is not None) == (1, True)
    assert room.state(candidate) == CandidateState.IN_REVIEW
    assert (room.review.queue(ann).blind, room.review.queue(ben).blind) == (0, 1)
    before = app.ledger.size()
    second = room.judge(ben, Answer.SUPPORTS_STRONGLY, blind=True)
    assert second.ended_at is not None
    entries = [room.world.entry(n) for n in range(before, app.ledger.size())]
    answers = [e for e in entries if e["kind"] == "use"]
    assert len(answers) == len(second.items) >= 2
    for entry in answers:
        facts = entry["request"]["facts"]["review"]
        assert entry["request"]["action"] == "Review"
        assert (facts["round"], facts["same_person"], facts["exposed"]) == (2, False, False)
        assert facts["controls"] == len(second.items) - 1
        assert (entry["case"], entry["round"], entry["blind"]) == (room.case, 2, True)
    assert [e["event"] for e in entries if e["kind"] == "system"] == ["sitting-begun", "sitting-ended"]
    assert entries[-1]["lead"] == 1
    assert room.state(candidate) == CandidateState.LEAD
    [lead] = room.review.leads(room.cara, room.case)
    assert (lead.candidate, lead.case) == (candidate, room.case)
    assert room.world.entry(lead.entry)["outcome"] == "done"
    assert b"identi" not in orjson.dumps(entries).lower().replace(b"victim-identification", b"")
    assert app.rules.replay().differences == ()


def test_disagreement_goes_to_a_third(both_rooms: Room) -> None:
    """Who is neither of the two, and blind too; the side that two are on decides."""
    room = both_rooms
    ann, ben, eve = (room.reviewer(n) for n in ("ann", "ben", "eve"))
    room.add_control()
    [candidate] = room.in_review()
    room.judge(ann, YES, blind=False)
    room.judge(ben, NO, blind=True)
    assert room.state(candidate) == CandidateState.IN_REVIEW
    for judge in (ann, ben):
        with pytest.raises(NotFound):
            room.sit(judge, blind=True)
    room.judge(eve, Answer.CONTRADICTS_STRONGLY, blind=True)
    assert room.state(candidate) == CandidateState.DISMISSED
    assert room.review.leads(room.cara) == ()
    assert [r.round for r in room.review.reviews_of(room.cara, candidate)] == [1, 2, 3]


def test_three_on_three_sides_are_inconclusive(room: Room) -> None:
    """Nobody is asked a fourth time."""
    room.add_control()
    [candidate] = room.in_review()
    for name, answer, blind in (("ann", YES, False), ("ben", NO, True), ("eve", UNSURE, True)):
        room.judge(room.reviewer(name), answer, blind=blind)
    assert room.state(candidate) == CandidateState.INCONCLUSIVE
    fay = room.reviewer("fay")
    assert (room.review.queue(fay).first, room.review.queue(fay).blind) == (0, 0)
    with pytest.raises(NotFound):
        room.sit(fay, blind=True)


# --- what is put into review ------------------------------------------------------------------------------------


def test_what_can_be_put_into_review(room: Room) -> None:
    """A candidate of the case that has a photo and is no near-duplicate, by who works on the case; all or none."""
    desk, review = room.desk, room.review
    good, bare, twin, done = room.found(4)
    with desk.db.transaction() as c:
        table = sa.table("found_candidates", sa.column("id"), sa.column("image_id"), sa.column("folded_into"))
        c.execute(sa.update(table).where(table.c.id == bare).values(image_id=None))
        c.execute(sa.update(table).where(table.c.id == twin).values(folded_into=good))
        desk.searches.stand(c, done, CandidateState.FOUND, CandidateState.DISMISSED)
    size = room.world.app.ledger.size()
    for ids, error, word in (
        ([good, bare], Invalid, "Attach"),
        ([good, twin], Invalid, good),
        ([good, done], Conflict, "dismissed"),
        ([good, "cand-0"], NotFound, "cand-0"),
        ([], Invalid, "1 to"),
    ):
        with pytest.raises(error) as caught:
            review.submit(room.cara, room.case, ids)
        assert word in caught.value.diagnostics()
    with pytest.raises(NotFound):
        review.submit(room.world.rescuer, room.case, [good])
    other = room.world.app.casework.cases.open(room.cara, Purpose.MISSING_PERSON, "Tom").id
    with pytest.raises(NotFound):
        review.submit(room.cara, other, [good])
    assert room.state(good) == CandidateState.FOUND
    assert review.submit(room.cara, room.case, [good, good]) == 1
    entry = room.world.entry()
    assert (entry["event"], entry["candidates"], entry["case"]) == ("review-asked", 1, room.case)
    assert good not in str(entry)
    assert room.world.app.ledger.size() == size + 2  # the other case, and this
    with pytest.raises(Conflict):
        review.submit(room.cara, room.case, [good])
    room.world.app.casework.cases.happen(room.cara, room.case, CaseEvent.SUSPEND)
    with pytest.raises(Conflict):
        review.submit(room.cara, room.case, [bare])


# --- who may judge ----------------------------------------------------------------------------------------------


def test_nobody_judges_twice(room: Room) -> None:
    """Whoever judged it isn't offered it again; the same human being under another name is refused by the rule."""
    ann, ben = room.reviewer("ann"), room.reviewer("ben")
    room.add_control()
    room.in_review()
    room.judge(ann, YES, blind=False)
    with pytest.raises(NotFound):
        room.sit(ann, blind=True)
    sitting = room.sit(ben, blind=True)
    with room.desk.db.transaction() as c:  # as if Ann's principal had been Ben's
        person = room.desk.principal(c, ben).person
        c.execute(sa.update(sittings).where(sittings.c.principal == ann.principal).values(person=person))
    item = next(i for i in sitting.items if room.behind(i))
    assert room.world.denied(lambda: room.review.answer(ben, item, YES)) == ["base.review-two-people"]
    assert room.world.entry()["decision"] == "deny"
    assert room.review.sitting(ben, sitting.id).answered == ()


def test_whoever_saw_the_scores_judges_nothing_blind(room: Room) -> None:
    """Not of that run, nor the same reference in another; who sees them in the middle is refused by the rule."""
    ann, ben, eve = (room.reviewer(n) for n in ("ann", "ben", "eve"))
    room.add_control()
    reference = str(uuid4())
    [candidate] = room.found(references=[reference])
    room.found(run="run-2", references=[reference])
    room.review.submit(room.cara, room.case, [candidate])
    room.judge(ann, YES, blind=False)
    room.review.see(ben, room.case, ["run-2"])
    assert room.review.queue(ben).blind == 0
    with pytest.raises(NotFound):
        room.sit(ben, blind=True)
    sitting = room.sit(eve, blind=True)
    with room.desk.db.transaction() as c:
        person = room.desk.principal(c, eve).person
        room.desk.files.expose(c, room.case, person, [room.run], room.world.clock.now)
    item = next(i for i in sitting.items if room.behind(i))
    assert room.world.denied(lambda: room.review.answer(eve, item, YES)) == ["base.review-blind"]


def test_scores_are_kept_from_who_judges_blind(room: Room) -> None:
    """Until the sitting is over; other runs are shown, and what is shown is noted."""
    ann, ben = room.reviewer("ann"), room.reviewer("ben")
    room.world.app.casework.cases.add_member(room.cara, room.case, ben.principal)
    room.add_control()
    [candidate] = room.in_review()
    room.found(run="run-other")
    room.judge(ann, YES, blind=False)
    sitting = room.sit(ben, blind=True)
    listed = room.world.app.casework.candidates.listed
    assert room.world.denied(lambda: listed(ben, room.run)) == ["base.review-blind"]
    assert room.world.denied(lambda: room.review.see(ben, room.case, [candidate])) == ["base.review-blind"]
    entry = room.world.entry()
    assert (entry["event"], entry["principal"], entry["rules"]) == (
        "scores-refused",
        ben.principal,
        ["base.review-blind"],
    )
    assert candidate not in str(entry)
    assert len(listed(ben, "run-other").candidates) == 1
    for item in sitting.items:
        room.review.answer(ben, item, YES)
    assert len(listed(ben, room.run).candidates) == 1
    with room.desk.db.read() as c:
        assert room.run in room.desk.files.exposed(c, room.case, room.desk.principal(c, ben).person)


def test_the_ledger_opens_no_answer_before_it_is_decided(room: Room) -> None:
    """To nobody, and the attempt is an entry; then to whoever may, who judges it blind no more."""
    ann, ben = room.reviewer("ann"), room.reviewer("ben")
    app, disclose = room.world.app, room.world.app.ledger.disclose
    room.add_control()
    [candidate] = room.in_review()
    room.judge(ann, YES, blind=False)
    first = next(n for n in range(app.ledger.size()) if room.world.entry(n).get("round") == 1)
    for names in (None, ["answer"], []):
        assert room.world.denied(lambda names=names: disclose(room.cara, first, names)) == ["base.review-blind"]
        assert room.world.entry()["event"] == "scores-refused"
    size = app.ledger.size()
    sitting = room.sit(ben, blind=True)
    for item in sitting.items:
        room.review.answer(ben, item, YES)
        if room.review.sitting(ben, sitting.id).ended_at is None:
            answered = app.ledger.size() - 1
            assert room.world.denied(lambda n=answered: disclose(room.cara, n)) == ["base.review-blind"]
    assert b"answer" in disclose(room.cara, first)
    for n in (n for n in range(size, app.ledger.size()) if room.world.entry(n)["kind"] == "use"):
        assert disclose(room.cara, n)
    with room.desk.db.read() as c:
        assert candidate in room.desk.files.exposed(c, room.case, room.desk.principal(c, room.cara).person)


@pytest.mark.parametrize("shared", [False, True])
def test_who_searches_or_opens_a_search_elsewhere_judges_nothing_blind(
    world: World, photos: dict[str, bytes], tmp_path: Path, shared: bool
) -> None:
    """By the API in the case's own collection, with or for its candidates, or by an entry: a score is a score."""
    app, cara, work = world.app, world.rescuer_called("cara"), world.app.casework
    case = work.cases.open(cara, Purpose.MISSING_PERSON, "Lena").id
    work.cases.add_photo(cara, case, photos["obama_1"], FAMILY)
    if shared:
        app.collections.create(cara, "shared", {})
        app.faces.index(cara, "shared", photos["obama_2"])
        work.cases.use_collection(cara, case, "shared")
        where = "shared"
    else:
        leadcase.brought_in(world, cara, case, photos, tmp_path / "in", found="obama_2")
        where = work.cases.collection_of(cara, case).name
    run = work.searches.search_references(cara, case, threshold=1.0)
    best = work.candidates.listed(cara, run.id).candidates[0]
    searched = next(n for n in range(app.ledger.size()) if "candidates" in world.entry(n))
    if shared:
        work.candidates.attach(cara, best.id, photos["obama_2"], FAMILY)
    room = Room(world, cara, case)
    room.add_control()
    room.review.submit(cara, case, [best.id])
    room.judge(room.reviewer("ann"), YES, blind=False)
    roles, now = (Role.REVIEWER, Role.USER, Role.ADMIN), world.clock.now
    ben, eve = (world.rescuer_called(n, *roles) for n in ("ben", "eve"))
    for who in (ben, eve):
        app.people.train(ME, who.principal, "face comparison", now, now + timedelta(days=9))
        work.cases.add_member(cara, case, who.principal)
        assert room.review.queue(who).blind == 1

    def search(who: Caller) -> list[str]:
        found = app.faces.search_by_image(
            replace(who, case=case), where, photos["obama_1"], limit=5, threshold=1.0, quality=QualityFilter.NONE
        )
        return [k.reference.reference_id for k in found.candidates]

    assert best.reference_id in search(ben)
    assert room.review.queue(ben).blind == 0
    sitting = room.sit(eve, blind=True)
    assert world.denied(lambda: app.ledger.disclose(eve, searched)) == ["base.review-blind"]
    assert world.denied(lambda: search(eve)) == ["base.review-blind"]
    for item in sitting.items:
        room.review.answer(eve, item, NO)
    assert app.ledger.disclose(eve, searched)
    with room.desk.db.read() as c:
        assert best.reference_id in room.desk.files.exposed(c, case, room.desk.principal(c, eve).person)


def test_a_score_that_was_looked_at_counts_even_without_an_answer(room: Room) -> None:
    """Who opened the candidate in a first sitting and left it isn't blind any more."""
    ann, ben = room.reviewer("ann"), room.reviewer("ben")
    room.add_control()
    room.in_review()
    sitting = room.sit(ann, blind=False)
    assert room.review.item(ann, sitting.items[0]).similarity == SIMILARITIES[0]
    room.world.clock.forward(hours=9)
    room.judge(ben, YES, blind=False)
    assert room.review.queue(ann).blind == 0


def test_lapsed_training_locks_review(room: Room) -> None:
    """The queue says so, a sitting can't be begun, and one that goes on can't be answered."""
    ann, ben = room.reviewer("ann", days=1), room.reviewer("ben")
    room.in_review(2)
    sitting = room.sit(ben, blind=False, limit=1)
    room.world.clock.forward(days=1)
    queue = room.review.queue(ann)
    assert (queue.first, queue.blind, queue.locked, queue.trained_until) == (0, 0, "training", None)
    assert room.world.denied(lambda: room.sit(ann, blind=False)) == ["base.review-trained"]
    assert room.review.queue(ben).locked == ""
    room.world.clock.forward(days=28, hours=23, minutes=59)
    sitting = room.sit(ben, blind=False, limit=1)
    room.world.clock.forward(minutes=1)
    assert room.world.denied(lambda: room.review.answer(ben, sitting.items[0], YES)) == ["base.review-trained"]


def test_only_reviewers_of_the_organisation_judge(room: Room) -> None:
    """Members without the role don't, others' reviewers don't know of the case, and the purpose is the case's."""
    ann = room.reviewer("ann")
    room.in_review()
    assert room.review.queue(room.cara).locked == "role"
    assert "base.review-role" in room.world.denied(lambda: room.sit(room.cara, blind=False))
    theirs = room.world.app.people.add(ME, room.world.police, "rex@example.org", "rex", [Role.REVIEWER]).id
    rex = Caller(theirs, Purpose.MISSING_PERSON)
    now = room.world.clock.now
    room.world.app.people.train(ME, theirs, "face comparison", now, now + timedelta(days=9))
    assert room.review.queue(rex).first == 0
    with pytest.raises(NotFound):
        room.sit(rex, blind=False, case=room.case)
    other = replace(ann, purpose=Purpose.VICTIM_IDENTIFICATION)
    assert room.review.queue(other).first == 0
    with pytest.raises(NotFound):
        room.sit(other, blind=False)
    assert room.world.denied(lambda: room.sit(other, blind=False, case=room.case)) == ["base.case-purpose"]
    with pytest.raises(Invalid):
        room.sit(ann, blind=False, limit=0)


# --- what comes of it -------------------------------------------------------------------------------------------


def test_reviews_are_seen_when_it_is_decided(room: Room) -> None:
    """By members; before that reviewers see their own alone, and blind ones not even that during a sitting."""
    ann, ben = room.reviewer("ann"), room.reviewer("ben")
    room.add_control()
    first, second = room.in_review(2)
    room.judge(ann, YES, blind=False)
    with pytest.raises(Conflict):
        room.review.reviews_of(room.cara, first)
    assert [r.principal for r in room.review.reviews_of(ann, first)] == [ann.principal]
    with pytest.raises(NotFound):
        room.review.reviews_of(ben, first)
    sitting = room.sit(ben, blind=True)
    items = {room.behind(i): i for i in sitting.items}
    room.review.answer(ben, items[first], Answer.SUPPORTS_STRONGLY, {"ears": "similar"}, "the same scar")
    with pytest.raises(NotFound):
        room.review.reviews_of(ben, first)
    with pytest.raises(Conflict):
        room.review.reviews_of(room.cara, first)
    for item in (i for i in sitting.items if i != items[first]):
        room.review.answer(ben, item, NO)
    seen = room.review.reviews_of(room.cara, first)
    assert [(r.principal, r.round, r.blind, r.answer) for r in seen] == [
        (ann.principal, 1, False, YES),
        (ben.principal, 2, True, Answer.SUPPORTS_STRONGLY),
    ]
    assert (seen[1].checklist, seen[1].note) == ({"ears": "similar"}, "the same scar")
    assert [r.principal for r in room.review.reviews_of(ben, first)] == [ben.principal]
    with pytest.raises(NotFound):
        room.review.reviews_of(room.world.officer, second)
    with pytest.raises(NotFound):
        room.review.leads(room.world.officer, room.case)
    assert room.review.leads(room.world.officer) == ()
    assert len(room.review.leads(room.cara)) == 1


def test_figures_are_for_administrators_and_oneself(room: Room) -> None:
    """A reviewer sees no other's; an administrator sees all of the organisation, also who did nothing."""
    ann, ben = room.reviewer("ann"), room.reviewer("ben", days=10)
    assert [v.principal for v in room.review.figures(ann)] == [ann.principal]
    shown = room.review.figures(room.cara)
    assert [(v.name, v.reviews, v.agreement, v.interval) for v in shown] == [
        ("ann", 0, None, None),
        ("ben", 0, None, None),
    ]
    assert shown[1].trained_until == START + timedelta(days=10)
    room.world.clock.forward(days=10)
    assert room.review.figures(ben)[0].trained_until is None
    assert room.review.figures(ME) == ()
