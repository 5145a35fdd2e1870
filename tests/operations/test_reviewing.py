# SPDX-License-Identifier: Apache-2.0
"""Two people judge a candidate, the second blind: who may, what they see, what comes of it, and what is recorded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import orjson
import pytest
import sqlalchemy as sa
from tests.operations.conftest import ME, PHOTOS, START, World

from custodes.casework import (
    Answer,
    CandidateState,
    CaseEvent,
    FoundCandidate,
    ImageRole,
    Run,
    RunKind,
    RunState,
    Side,
    Similar,
)
from custodes.casework.schema import review_items, sittings
from custodes.errors import Conflict, Denied, Invalid, NotFound
from custodes.governance import Caller, Purpose, Role
from custodes.operations.comparing import ItemView, SittingView, wilson
from custodes.operations.desk import Origin
from custodes.operations.pictures import PictureSize

YES, NO, UNSURE = Answer.SUPPORTS, Answer.CONTRADICTS, Answer.INCONCLUSIVE
FAMILY = Origin("case-file", "the parents' request", "the family", taken_at=START - timedelta(days=4000))
AGREED = Origin("consented", "written release", "a volunteer", taken_at=START - timedelta(days=1000))
SIMILARITIES = (98.7654, 97.6543, 96.5432, 95.4321, 94.3219, 93.2198)
_FACES = (("obama_2", 0), ("biden", 0), ("group", 0), ("group", 1), ("group", 2), ("group", 3))


@dataclass
class Room:
    """A case of the rescuers with one reference photo, photos of six candidates, and its lead, Cara.

    Attributes:
        images: ids of the photos, by name.
        run: the run whose candidates they are.
    """

    world: World
    cara: Caller
    case: str
    images: dict[str, str] = field(default_factory=dict)
    run: str = "run-0000000000000001"

    def reviewer(self, name: str, *, days: int = 30) -> Caller:
        """Return a trained reviewer of the rescuers."""
        made = self.world.rescuer_called(name, Role.REVIEWER)
        now = self.world.clock.now
        self.world.app.people.train(ME, made.principal, "face comparison", now, now + timedelta(days=days))
        return made

    def found(self, count: int = 1, run: str = "", references: Sequence[str] = ()) -> list[str]:
        """Keep a run with candidates, and return their ids by rank."""
        run, desk = run or self.run, self.desk
        ids = references or [str(uuid4()) for _ in range(count)]
        made = [
            FoundCandidate(
                id=f"cand-{uuid4().hex[:16]}",
                run=run,
                case=self.case,
                rank=n + 1,
                reference_id=reference,
                collection="uid",
                similarity=SIMILARITIES[n],
                state=CandidateState.FOUND,
                image=self.images[_FACES[n][0]],
                face=_FACES[n][1],
                label="a name",
                person=n,
                folded_into=None,
                scores=(Similar(self.images["obama_1"], 0, SIMILARITIES[n], 3.5),),
            )
            for n, reference in enumerate(ids)
        ]
        with desk.db.transaction() as c:
            desk.searches.begin_run(c, Run(run, self.case, RunKind.PHOTO, START, self.cara.principal, None))
            desk.searches.end_run(c, run, RunState.DONE, made)
        return [m.id for m in made]

    def in_review(self, count: int = 1) -> list[str]:
        """Return candidates that are in review."""
        ids = self.found(count)
        self.review.submit(self.cara, self.case, ids)
        return ids

    def add_control(self, name: str = "collins.png") -> str:
        """Keep a control photo, and return its id."""
        return self.world.app.casework.controls.add(self.cara, (PHOTOS / name).read_bytes(), AGREED).id

    @property
    def review(self) -> Any:
        """The operations."""
        return self.world.app.casework.review

    @property
    def desk(self) -> Any:
        """What they share."""
        return self.review._desk

    def sit(self, caller: Caller, *, blind: bool, **more: Any) -> SittingView:
        """Begin a sitting."""
        return self.review.begin(caller, blind=blind, **more)

    def behind(self, item: str) -> str | None:
        """Return the candidate of a comparison, or None of a control; no reviewer gets to know it."""
        with self.desk.db.read() as c:
            return self.desk.reviews.item(c, item).candidate

    def judge(self, caller: Caller, answer: Answer, *, blind: bool, control: Answer = NO) -> SittingView:
        """Make a sitting and give one answer to all its candidates, another to its controls."""
        sitting = self.sit(caller, blind=blind)
        for item in sitting.items:
            self.review.item(caller, item)
            self.world.clock.forward(seconds=20)
            sitting = self.review.answer(caller, item, answer if self.behind(item) else control)
        return sitting

    def state(self, candidate: str) -> CandidateState:
        """Return where a candidate stands."""
        with self.desk.db.read() as c:
            return self.desk.searches.candidate(c, candidate).state


def furnish(world: World, photos: dict[str, bytes]) -> Room:
    """Open a case with its photos."""
    cara = world.rescuer_called("cara")
    room = Room(world, cara, world.app.casework.cases.open(cara, Purpose.MISSING_PERSON, "Lena").id)
    add = world.app.casework.cases.add_photo
    room.images["obama_1"] = add(cara, room.case, photos["obama_1"], FAMILY).id
    for name in ("obama_2", "biden", "group"):
        origin = replace(FAMILY, taken_at=START - timedelta(days=100) if name != "group" else None)
        room.images[name] = add(cara, room.case, photos[name], origin, ImageRole.ATTACHED).id
    return room


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
    assert len(listed(ben, "run-other").candidates) == 1
    for item in sitting.items:
        room.review.answer(ben, item, YES)
    assert len(listed(ben, room.run).candidates) == 1
    with room.desk.db.read() as c:
        assert room.run in room.desk.files.exposed(c, room.case, room.desk.principal(c, ben).person)


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
    for item in sitting.items[:-1]:
        room.review.answer(eve, item, YES, {"ears": "similar"}, "the same scar")
    entries = [room.world.entry(n) for n in range(before, room.world.app.ledger.size())]
    for entry in entries:
        assert entry["request"]["facts"]["review"]["round"] == 3
        assert not [w for w in (*candidates, "supports", "scar", 'control"', "lead") if w in str(entry)]
        assert all(len(entry[name]) == 64 for name in ("candidate", "answer", "stands"))
    assert len({orjson.dumps(_plain(e), option=orjson.OPT_SORT_KEYS) for e in entries}) == 1
    assert len({len(str(e)) for e in entries}) == 1


def _plain(entry: dict[str, Any]) -> dict[str, Any]:
    """Return what an entry tells, without what it commits to and when it was."""
    facts = {k: v for k, v in entry["request"]["facts"].items() if k != "now"}
    return {k: v for k, v in entry.items() if k not in ("candidate", "answer", "stands", "at")} | {"request": facts}


def test_controls_come_from_the_same_photo_too(room: Room, photos: dict[str, bytes]) -> None:
    """Two faces of one photo are two people; nothing tells that it is one photo, and each side shows its own face."""
    ann, ben = room.reviewer("ann"), room.reviewer("ben")
    [candidate] = room.found()
    with room.desk.db.transaction() as c:
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
            assert view.other.taken_at is None
        sides = [room.world.app.casework.pictures.of_item(ben, item, side, PictureSize.FULL) for side in Side]
        assert sides[0] != sides[1]
        assert {read_size(s) for s in sides} == {(640, 640)}


def read_size(data: bytes) -> tuple[int, int]:
    """Return width and height of a JPEG."""
    import cv2
    import numpy as np

    height, width = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape[:2]
    return width, height


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


# --- sittings and answers ---------------------------------------------------------------------------------------


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
    room.world.app.casework.cases.remove_photo(room.cara, room.case, room.images["biden"])
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
    assert room.review.queue(ann).first == 0


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
    seen = room.review.reviews_of(room.cara, first)
    assert [(r.principal, r.round, r.blind, r.answer) for r in seen] == [
        (ann.principal, 1, False, YES),
        (ben.principal, 2, True, Answer.SUPPORTS_STRONGLY),
    ]
    assert (seen[1].checklist, seen[1].note) == ({"ears": "similar"}, "the same scar")
    for item in (i for i in sitting.items if i != items[first]):
        room.review.answer(ben, item, NO)
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
        assert {read_size(b) for b in blurred} == {(256, 256)}
        pictures.reveal_of_item(ben, item)
        entry = world.entry()
        assert (entry["request"]["action"], entry["comparison"]) == ("ViewImage", item)
        assert not pictures.is_hidden_of_item(ben, item)
        assert {read_size(pictures.of_item(ben, item, side)) for side in Side} == {(640, 640)}
    with world.app.casework.review._desk.db.read() as c:
        assert c.execute(sa.select(sa.func.count()).select_from(review_items)).scalar_one() == 1 + len(sitting.items)
