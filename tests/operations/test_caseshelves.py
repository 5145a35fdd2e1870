# SPDX-License-Identifier: Apache-2.0
"""A case's own collection is its members' alone, and what cases keep of a face goes with its reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.operations.conftest import ME, World
from tests.operations.leadcase import AGREED, FAMILY, brought_in, judge, reviewer, solve

from custodes.casework import Answer, CaseEvent, ImageRole
from custodes.domain import QualityFilter
from custodes.errors import Code, Conflict, NotFound, Unavailable
from custodes.governance import Caller, Purpose, Role
from custodes.ledger import Disclosure
from custodes.operations.caseerasure import CaseErasure

Photos = dict[str, bytes]


@pytest.fixture
def cara(world: World) -> Caller:
    """Leads cases of the rescue organisation."""
    return world.rescuer_called("cara")


@pytest.fixture
def case(world: World, cara: Caller, photos: Photos, tmp_path: Path) -> str:
    """A case with a photo to search with, and three that are imported and enrolled: two of one face, one of several."""
    made = world.app.casework.cases.open(cara, Purpose.MISSING_PERSON, "Lena", keep_days=10).id
    world.app.casework.cases.add_photo(cara, made, photos["obama_1"], FAMILY)
    brought_in(world, cara, made, photos, tmp_path / "in", found="obama_2", biden="biden", group="group")
    return made


def _imported(world: World, cara: Caller, case: str, name: str):
    page, _ = world.app.casework.cases.photos(cara, case, ImageRole.IMPORTED)
    return next(i for i in page if i.name == f"{name}.jpg")


def _ways(world: World, who: Caller, name: str, face: str, photo: bytes) -> dict[str, Callable[[], object]]:
    app, told = world.app, replace(who, case=name)
    found = {"limit": 5, "threshold": 1.0}
    faces = {"after": 0, "limit": 5, "user": None, "ids": None}
    return {
        "describe": lambda: app.collections.describe(who, name),
        "tags": lambda: app.collections.tags(who, name),
        "tag": lambda: app.collections.tag(who, name, {"a": "b"}),
        "untag": lambda: app.collections.untag(who, name, ["a"]),
        "retain": lambda: app.collections.retain(who, name, None),
        "delete": lambda: app.collections.delete(who, name),
        "list faces": lambda: app.faces.list(who, name, **faces),
        "enrol": lambda: app.faces.index(told, name, photo),
        "is enrolled": lambda: app.faces.is_indexed(who, name, photo, "a"),
        "delete faces": lambda: app.faces.delete(who, name, [face]),
        "search": lambda: app.faces.search(told, name, face, **found),
        "search by photo": lambda: app.faces.search_by_image(told, name, photo, quality=QualityFilter.NONE, **found),
        "search for each": lambda: app.faces.search_each(told, name, photo, quality=QualityFilter.NONE, **found),
        "make a user": lambda: app.subjects.create(who, name, "u", None),
        "delete a user": lambda: app.subjects.delete(who, name, "u", None),
        "list users": lambda: app.subjects.list(who, name, after=0, limit=5),
        "associate": lambda: app.subjects.associate(who, name, "u", [face], threshold=None, once=None),
        "disassociate": lambda: app.subjects.disassociate(who, name, "u", [face], None),
        "search users": lambda: app.subjects.search_by_face(told, name, face, **found),
        "search users by user": lambda: app.subjects.search_by_subject(told, name, "u", **found),
        "search users by photo": lambda: app.subjects.search_by_image(
            told, name, photo, quality=QualityFilter.NONE, **found
        ),
        "browse": lambda: app.erasure.held(who, name),
        "report": lambda: app.erasure.report(who, name, [face]),
        "erase": lambda: app.erasure.erase(who, name, [face]),
    }


def test_a_cases_own_collection_is_not_there_for_others(world: World, cara: Caller, case: str, photos: Photos) -> None:
    """By every way it reads as one that there isn't: to colleagues, administrators, the operator and others."""
    app, face = world.app, _imported(world, cara, case, "biden").faces[0].reference_id
    before = app.collections.describe(cara, case)
    for who in (world.rescuer, world.rescuer_called("dora"), world.officer, ME):
        for way, call in _ways(world, who, case, face, photos["biden"]).items():
            with pytest.raises(NotFound) as caught:
                call()
            assert caught.value.message == f"There is no collection {case}.", way
            assert caught.value.code == Code.COLLECTION_MISSING, way
    assert app.collections.describe(cara, case) == before
    assert app.faces.search_by_image(
        replace(cara, case=case), case, photos["biden"], limit=5, threshold=1.0, quality=QualityFilter.NONE
    ).candidates


def test_lists_leave_out_the_own_collections_of_others_cases(world: World, cara: Caller, case: str) -> None:
    """A page is as long as the next one allows; members see theirs."""
    app = world.app
    app.collections.create(cara, "after", {})
    names = [[k.name for k in app.collections.list(who, after=0, limit=1)[0]] for who in (world.rescuer, cara)]
    assert names == [["after"], [case]]
    page, position = app.collections.list(cara, after=0, limit=5)
    assert ([k.name for k in page], position) == ([case, "after"], None)


def test_nobody_else_takes_the_name_of_a_cases_collection(world: World, cara: Caller) -> None:
    """Who doesn't work on the case can't make one of that name; the case's first photo does."""
    made = world.app.casework.cases.open(cara, Purpose.MISSING_PERSON, "Lena").id
    for who in (world.rescuer, ME):
        with pytest.raises(Conflict, match="already"):
            world.app.collections.create(who, made, {})
    assert world.app.casework.cases.collection_of(cara, made).name == made


def test_a_case_does_not_use_anothers_own_collection(world: World, cara: Caller, case: str) -> None:
    """Even its members can't let another case search it."""
    cases = world.app.casework.cases
    other = cases.open(cara, Purpose.MISSING_PERSON, "Other").id
    with pytest.raises(NotFound, match="no collection"):
        cases.use_collection(cara, other, case)
    assert cases.view(cara, other).collections == ()


def test_a_cases_own_collection_is_not_deleted(world: World, cara: Caller, case: str) -> None:
    """It goes with the case; the refusal says so, and is on record."""
    with pytest.raises(Conflict, match="goes with it") as caught:
        world.app.collections.delete(cara, case)
    assert "Close the case" in caught.value.remedy
    assert world.entry()["outcome"] == "failed"
    assert world.app.casework.cases.view(cara, case).own is not None


def test_a_case_whose_collection_is_gone_goes_on_and_ends(
    world: World, cara: Caller, case: str, photos: Photos
) -> None:
    """It reads as one before its first photo, makes another, and is erased when its time is over."""
    cases = world.app.casework.cases
    cases._collections.delete(case)
    assert cases.view(cara, case).own is None
    cases.add_photo(cara, case, photos["biden"], FAMILY)
    assert cases.view(cara, case).own == cases.collection_of(cara, case).uid
    cases._collections.delete(case)
    cases.happen(cara, case, CaseEvent.CLOSE)
    world.clock.forward(days=11)
    assert cases.run_retention() == 1


def test_one_case_that_cannot_be_erased_keeps_no_other(
    world: World, cara: Caller, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is erased, then it is told; the next run erases it."""
    cases = world.app.casework.cases
    others = [cases.open(cara, Purpose.MISSING_PERSON, "Other", keep_days=10).id for _ in range(3)]
    for made in (case, *others):
        cases.happen(cara, made, CaseEvent.CLOSE)
    world.clock.forward(days=11)
    broken, erase = sorted((case, *others))[1], CaseErasure._erase

    def failing(self: CaseErasure, one: str) -> None:
        if one == broken:
            raise Unavailable("The disk is full.")
        erase(self, one)

    with monkeypatch.context() as patch:
        patch.setattr(CaseErasure, "_erase", failing)
        with pytest.raises(Unavailable, match=f"1 of 4 cases.*{broken}: The disk is full."):
            cases.run_retention()
    assert [f.id for f in cases.list(cara)] == [broken]
    assert cases.run_retention() == 1


def test_who_is_deleted_with_a_collection_is_a_candidate_no_more(world: World, cara: Caller, photos: Photos) -> None:
    """Candidates, openings and the photo that was attached go, however the references are deleted."""
    app, work = world.app, world.app.casework
    app.collections.create(cara, "shared", {})
    face = app.faces.index(cara, "shared", photos["obama_2"]).enrolled[0][0].reference_id
    enrolled = app.guard.written[0]
    case = work.cases.open(cara, Purpose.MISSING_PERSON, "Lena").id
    work.cases.use_collection(cara, case, "shared")
    work.cases.add_photo(cara, case, photos["obama_1"], FAMILY)
    run = work.searches.search_references(cara, case, threshold=1.0)
    [found] = work.candidates.listed(cara, run.id).candidates
    attached = work.candidates.attach(cara, found.id, photos["obama_2"], FAMILY)
    assert [(p.case, p.count, p.until) for p in app.erasure.report(cara, "shared", [face]).photos] == [(case, 1, None)]
    app.collections.delete(cara, "shared")
    assert work.candidates.listed(cara, run.id).candidates == ()
    with pytest.raises(NotFound):
        work.cases.photo(cara, case, attached.id)
    assert Disclosure.from_json(app.ledger.disclose(ME, enrolled)).openings == ()


def test_many_references_go_with_their_collection_in_batches(world: World, cara: Caller, photos: Photos) -> None:
    """Openings of all of them are destroyed, not those of a first batch alone."""
    app = world.app
    app.collections.create(cara, "shared", {})
    entries = []
    for n in range(3):
        app.faces.index(cara, "shared", photos["obama_2"], external_image_id=str(n))
        entries.append(app.guard.written[0])
    import custodes.gallery.retention as room

    room._BATCH, before = 2, room._BATCH
    try:
        app.collections.delete(cara, "shared")
    finally:
        room._BATCH = before
    assert [Disclosure.from_json(app.ledger.disclose(ME, n)).openings for n in entries] == [()] * 3


# --- a person's report and erasure --------------------------------------------------------------------------------


def test_a_report_tells_of_the_photos_that_a_case_keeps(world: World, cara: Caller, case: str) -> None:
    """How many, and until when: after its closing, or once it is closed until a day."""
    face = _imported(world, cara, case, "biden").faces[0].reference_id
    told = world.app.erasure.report(cara, case, [face])
    assert told.photos_told == (f"The case {case} keeps 1 photo of this person, until 10 days after it is closed.",)
    end = world.app.casework.cases.happen(cara, case, CaseEvent.CLOSE).erase_at
    [kept] = world.app.erasure.report(cara, case, [face]).photos
    assert (kept.count, kept.until) == (1, end)
    assert f"until {end:%Y-%m-%d}" in kept.words


@pytest.mark.parametrize("way", ["erase", "delete", "retention"])
def test_the_photo_goes_with_the_last_face_that_is_enrolled(world: World, cara: Caller, case: str, way: str) -> None:
    """Its record in the photo goes with the reference, and the photo, bytes and opening, when nobody else is in it."""
    app, desk = world.app, world.app.casework.review._desk
    alone, group = _imported(world, cara, case, "biden"), _imported(world, cara, case, "group")
    enrolled = [f.reference_id for f in group.faces if f.reference_id]
    assert len(enrolled) > 1

    def go(*ids: str) -> None:
        if way == "erase":
            app.erasure.erase(cara, case, ids)
        elif way == "delete":
            app.faces.delete(cara, case, ids)
        else:
            app.collections.retain(cara, case, 1)
            world.clock.forward(days=1)
            app.erasure.run_retention()

    if way == "retention":
        go()
    else:
        go(alone.faces[0].reference_id, enrolled[0])
        left = app.casework.cases.photo(cara, case, group.id)
        assert enrolled[0] not in [f.reference_id for f in left.faces]
        assert len(left.faces) == len(group.faces) - 1
        go(*enrolled[1:])
    for image in (alone, group):
        with pytest.raises(NotFound), desk.db.read() as c:
            desk.images.original(c, image.id)
    kept, _ = app.casework.cases.photos(cara, case, ImageRole.REFERENCE)
    assert len(kept) == 1


def test_answers_go_with_the_case_and_with_the_reference(world: World, cara: Caller, photos: Photos) -> None:
    """What an answer to a candidate of a shared collection says is opened no more, whichever of the two is erased."""
    app, work = world.app, world.app.casework
    app.collections.create(cara, "shared", {})
    face = app.faces.index(cara, "shared", photos["obama_2"]).enrolled[0][0].reference_id
    entries = []
    for title in ("first", "second"):
        case = work.cases.open(cara, Purpose.MISSING_PERSON, title, keep_days=0).id
        work.cases.use_collection(cara, case, "shared")
        work.cases.add_photo(cara, case, photos["obama_1"], FAMILY)
        run = work.searches.search_references(cara, case, threshold=1.0)
        [found] = work.candidates.listed(cara, run.id).candidates
        work.candidates.attach(cara, found.id, photos["obama_2"], FAMILY)
        work.review.submit(cara, case, [found.id])
        judge(world, reviewer(world, title), Answer.SUPPORTS, blind=False)
        desk = work.review._desk
        with desk.db.read() as c:
            entries.append((case, next(iter(desk.reviews.entries_of(c, case)))))

    def opened(index: int) -> set[str]:
        return {o.name for o in app.guard._log.disclose(index).openings}

    (first, of_first), (_, of_second) = entries
    assert "answer" in opened(of_first) & opened(of_second)
    work.cases.happen(cara, first, CaseEvent.CLOSE)
    world.clock.forward(days=1)
    assert work.cases.run_retention() == 1
    assert opened(of_first) == set()
    assert "answer" in opened(of_second)
    app.erasure.erase(cara, "shared", [face])
    assert opened(of_second) == set()


# --- photos on which something rests ------------------------------------------------------------------------------


def test_a_photo_on_which_something_rests_is_not_removed(world: World, photos: Photos, tmp_path: Path) -> None:
    """What was searched with, what shows a lead or a candidate in review, and anything in a closed case stays."""
    solved = solve(world, photos, tmp_path / "in")
    cara, case, cases = solved.cara, solved.case, world.app.casework.cases
    [probe], _ = cases.photos(cara, case, ImageRole.REFERENCE)
    with pytest.raises(Conflict, match="searched with"):
        cases.remove_photo(cara, case, probe.id)
    with pytest.raises(Conflict, match="shows a lead"):
        cases.remove_photo(cara, case, _imported(world, cara, case, "found").id)
    listed = world.app.casework.candidates.listed(cara, solved.run.id).candidates
    biden = _imported(world, cara, case, "biden")
    waiting = next(k for k in listed if k.image == biden.id)
    world.app.casework.review.submit(cara, case, [waiting.id])
    with pytest.raises(Conflict, match="candidate in review"):
        cases.remove_photo(cara, case, biden.id)
    assert world.entry()["outcome"] == "failed"
    group = _imported(world, cara, case, "group")
    cases.happen(cara, case, CaseEvent.CLOSE)
    with pytest.raises(Conflict, match="closed"):
        cases.remove_photo(cara, case, group.id)
    assert cases.photo(cara, case, group.id) == group


def test_a_photo_that_was_attached_meanwhile_is_attached_once(
    world: World, cara: Caller, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two who attach at the same time: the second keeps nothing."""
    app, work = world.app, world.app.casework
    app.collections.create(cara, "shared", {})
    app.faces.index(cara, "shared", photos["obama_2"])
    case = work.cases.open(cara, Purpose.MISSING_PERSON, "Lena").id
    work.cases.use_collection(cara, case, "shared")
    work.cases.add_photo(cara, case, photos["obama_1"], FAMILY)
    run = work.searches.search_references(cara, case, threshold=1.0)
    [found] = work.candidates.listed(cara, run.id).candidates
    desk, look = work.review._desk, type(work.review._desk).look

    def slow(self: object, *given: object) -> object:
        monkeypatch.setattr(type(desk), "look", look)
        work.candidates.attach(cara, found.id, photos["obama_2"], AGREED)
        return look(self, *given)

    monkeypatch.setattr(type(desk), "look", slow)
    with pytest.raises(Conflict, match="photo already"):
        work.candidates.attach(cara, found.id, photos["obama_2"], FAMILY)
    assert len(work.cases.photos(cara, case, ImageRole.ATTACHED)[0]) == 1


def test_a_member_who_is_no_administrator_may_use_the_cases_collection(world: World, cara: Caller, case: str) -> None:
    """Membership is what opens it, and goes when it ends."""
    dora = world.rescuer_called("dora", Role.USER)
    cases = world.app.casework.cases
    cases.add_member(cara, case, dora.principal)
    assert world.app.collections.describe(dora, case).name == case
    cases.remove_member(cara, case, dora.principal)
    with pytest.raises(NotFound):
        world.app.collections.describe(dora, case)
