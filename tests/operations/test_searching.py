# SPDX-License-Identifier: Apache-2.0
"""Searching for a case: what is searched, what is recorded, how it is listed, and what stands."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import cv2
import numpy as np
import pytest
from tests.operations.conftest import ME, PHOTOS, START, World

from custodes.casework import CaseEvent, Run, RunKind, RunState
from custodes.domain import QualityFilter
from custodes.errors import Conflict, Invalid, NotFound
from custodes.governance import Caller, Purpose, Role
from custodes.operations.desk import Origin

FAMILY = Origin("case-file", "the parents' request", "the family", taken_at=START - timedelta(days=4000))


def darker(photo: bytes) -> bytes:
    """Return a photo a little darker and smaller: other bytes, the same picture."""
    picture = cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_COLOR)
    return cv2.imencode(".jpg", cv2.resize(cv2.convertScaleAbs(picture, alpha=0.9), None, fx=0.9, fy=0.9))[1].tobytes()


@pytest.fixture
def cara(world: World) -> Caller:
    """Leads cases of the rescue organisation."""
    return world.rescuer_called("cara")


@pytest.fixture
def case(world: World, cara: Caller, photos: dict[str, bytes]) -> str:
    """A case with one reference photo, and a collection ``found`` with three photos."""
    case = world.app.casework.cases.open(cara, Purpose.MISSING_PERSON, "Lena").id
    world.app.casework.cases.add_photo(cara, case, photos["obama_1"], FAMILY)
    world.app.collections.create(cara, "found", {})
    for name in ("obama_2", "biden", "group"):
        world.app.faces.index(cara, "found", photos[name], external_image_id=name)
    world.app.casework.cases.use_collection(cara, case, "found")
    return case


def test_references_find_the_person_in_the_collections_of_the_case(world: World, cara: Caller, case: str) -> None:
    """A search with the references is one entry for each photo and collection, and lists candidates by similarity."""
    before = world.app.ledger.size()
    run = world.app.casework.searches.search_references(cara, case)
    assert (run.kind, run.state, run.searches) == (RunKind.REFERENCES, RunState.DONE, 1)
    assert world.app.ledger.size() == before + 1
    listed = world.app.casework.candidates.listed(cara, run.id)
    assert [c.label for c in listed.candidates] == ["obama_2"]
    assert listed.candidates[0].rank == 1
    [search] = listed.searches
    entry = world.entry(search.entry)
    assert (entry["search"], entry["run"], entry["case"], entry["candidates"]) == (search.id, run.id, case, 1)
    assert "identity" in entry["notice"]


def test_a_search_that_finds_nobody_is_kept_like_any_other(
    world: World, cara: Caller, case: str, photos: dict[str, bytes]
) -> None:
    """A threshold that nothing reaches gives an empty list, a record and an entry."""
    run = world.app.casework.searches.search_references(cara, case, threshold=100.0)
    listed = world.app.casework.candidates.listed(cara, run.id)
    assert listed.candidates == ()
    assert [s.candidates for s in listed.searches] == [0]
    assert world.entry(listed.searches[0].entry)["candidates"] == 0


def test_every_face_of_a_group_is_a_search_of_its_own(
    world: World, cara: Caller, case: str, photos: dict[str, bytes]
) -> None:
    """A group photo gives as many entries as faces; the largest face alone gives one."""
    before = world.app.ledger.size()
    image = world.app.casework.cases.keep_probe(cara, case, photos["group"], FAMILY)
    searches = world.app.casework.searches
    run = searches.search_images(cara, case, [image.id], every_face=True)
    faces = run.searches
    assert (run.kind, faces > 1) == (RunKind.GROUP, True)
    assert world.app.ledger.size() == before + 1 + faces  # the photo that is kept, and the searches
    again = searches.search_images(cara, case, [image.id])
    assert (again.kind, again.searches) == (RunKind.PHOTO, 1)


def test_references_of_different_ages_are_used_together_with_the_gap(
    world: World, cara: Caller, case: str, photos: dict[str, bytes]
) -> None:
    """With two references a candidate has two scores, the better first, and the years between the photos."""
    later = replace(FAMILY, taken_at=START - timedelta(days=365))
    world.app.casework.cases.add_photo(cara, case, darker(photos["obama_1"]), later)
    candidates = world.app.casework.candidates
    run = world.app.casework.searches.search_references(cara, case)
    [found] = candidates.listed(cara, run.id).candidates
    assert len(found.scores) == 2
    assert found.similarity == found.scores[0].similarity >= found.scores[1].similarity
    assert all(s.age_gap is None for s in found.scores)  # nobody knows when the candidate's photo was taken
    candidates.attach(cara, found.id, photos["obama_2"], replace(FAMILY, taken_at=START))
    run = world.app.casework.searches.search_references(cara, case)
    [again] = candidates.listed(cara, run.id).candidates
    assert sorted(round(s.age_gap or 0) for s in again.scores if s.age_gap is not None) in ([], [1, 11])


def test_a_candidate_without_a_photo_gets_the_very_file_and_no_other(
    world: World, cara: Caller, case: str, photos: dict[str, bytes]
) -> None:
    """What was enrolled through the API has no photo; the file that was enrolled can be attached, a copy can't."""
    candidates = world.app.casework.candidates
    run = world.app.casework.searches.search_references(cara, case)
    [found] = candidates.listed(cara, run.id).candidates
    assert found.image is None
    with pytest.raises(Invalid, match="isn't the file"):
        candidates.attach(cara, found.id, darker(photos["obama_2"]), FAMILY)
    made = candidates.attach(cara, found.id, photos["obama_2"], FAMILY)
    [found] = candidates.listed(cara, run.id).candidates
    assert (found.image, found.face) == (made.id, 0)
    with pytest.raises(Conflict):
        candidates.attach(cara, found.id, photos["obama_2"], FAMILY)


def test_a_poor_probe_says_why_and_what_would_help(
    world: World, cara: Caller, case: str, photos: dict[str, bytes]
) -> None:
    """A small dark face is told to be so before a search runs; a good one has nothing wrong with it."""
    cases, check = world.app.casework.cases, world.app.casework.candidates.check
    picture = cv2.imdecode(np.frombuffer(photos["biden"], np.uint8), cv2.IMREAD_COLOR)
    poor = cv2.imencode(".jpg", cv2.convertScaleAbs(cv2.resize(picture, None, fx=0.3, fy=0.3), alpha=0.15))[1].tobytes()
    bad = cases.add_photo(cara, case, poor, FAMILY)
    [told] = check(cara, case, bad.id)
    assert not told.good
    assert {"SMALL_BOUNDING_BOX", "LOW_BRIGHTNESS"} & set(told.reasons)
    assert len(told.advice) == len(told.reasons)
    good = cases.add_photo(cara, case, photos["biden"], FAMILY)
    assert check(cara, case, good.id)[0].good


def test_nothing_is_searched_for_a_case_that_rests(world: World, cara: Caller, case: str) -> None:
    """A suspended case is not searched for."""
    world.app.casework.cases.happen(cara, case, CaseEvent.SUSPEND)
    with pytest.raises(Conflict, match="suspended"):
        world.app.casework.searches.search_references(cara, case)


def test_a_rule_that_forbids_the_first_search_leaves_a_run_that_says_so(world: World, cara: Caller, case: str) -> None:
    """Somebody who mayn't search is denied by name; the run is kept as stopped, without candidates."""
    viewer = world.rescuer_called("vera", Role.REVIEWER)
    world.app.casework.cases.add_member(cara, case, viewer.principal)
    wrong = replace(viewer, purpose=Purpose.PHOTO_LIBRARY)
    rules = world.denied(lambda: world.app.casework.searches.search_references(wrong, case))
    assert "base.purpose-of-class" in rules
    [run] = world.app.casework.candidates.runs(cara, case)
    assert (run.state, run.searches, run.candidates) == (RunState.STOPPED, 0, 0)
    assert run.why


def test_a_cap_in_the_middle_keeps_what_was_found_before(world: World, photos: dict[str, bytes]) -> None:
    """When the day's cap is reached in a run, what was found before it stays, and the run says why."""
    chief = world.app.people.add(ME, world.police, "chief@example.org", "chief", [Role.ADMIN, Role.USER])
    caller = Caller(chief.id, Purpose.MISSING_PERSON, provenance="case-file")
    now = world.clock.now
    world.app.people.train(ME, chief.id, "face comparison", now, now + timedelta(days=900))
    cases, searches = world.app.casework.cases, world.app.casework.searches
    case = cases.open(caller, Purpose.MISSING_PERSON, "Lena").id
    cases.add_photo(caller, case, photos["obama_1"], FAMILY)
    world.app.faces.index(replace(caller, case=case), case, photos["obama_2"])
    group = cases.add_photo(caller, case, photos["group"], FAMILY)
    runs = [searches.search_images(caller, case, [group.id], every_face=True) for _ in range(50 // len(group.faces))]
    assert all(r.state == RunState.DONE for r in runs)
    left = 50 - len(runs) * len(group.faces)
    run = searches.search_images(caller, case, [group.id], every_face=True)
    assert (run.state, run.searches) == (RunState.STOPPED, left)
    assert "as often today" in run.why


def test_a_run_whose_list_cannot_be_made_is_stopped(world: World, cara: Caller, case: str, monkeypatch) -> None:
    """Its searches stay, it says why, and whoever asked for it is told."""

    def gone(*_: object) -> dict[str, int]:
        raise NotFound("There is no such collection any more.")

    monkeypatch.setattr(world.app.casework.searches, "_persons", gone)
    with pytest.raises(NotFound):
        world.app.casework.searches.search_references(cara, case)
    [run] = world.app.casework.candidates.runs(cara, case)
    assert (run.state, run.searches, run.candidates) == (RunState.STOPPED, 1, 0)
    assert "no such collection" in run.why


def test_a_run_that_nobody_makes_any_more_is_stopped(world: World, cara: Caller, case: str, monkeypatch) -> None:
    """As after a restart; one whose searches are still being made isn't, however long it takes."""
    searches = world.app.casework.searches
    found: list[int] = []

    def watch(run: Run, made: int, of: int) -> None:
        world.clock.forward(minutes=9)
        found.append(searches.abandon_runs())

    group = world.app.casework.cases.keep_probe(cara, case, (PHOTOS / "group.jpg").read_bytes(), FAMILY)
    assert searches.search_images(cara, case, [group.id], every_face=True, watch=watch).state == RunState.DONE
    assert len(found) > 1
    assert set(found) == {0}
    monkeypatch.setattr(type(searches), "_break_off", lambda *_: None)  # as if the process were killed

    def killed(run: Run, made: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        searches.search_references(cara, case, watch=killed)
    assert world.app.casework.candidates.runs(cara, case)[0].state == RunState.RUNNING
    world.clock.forward(minutes=11)
    assert (searches.abandon_runs(), searches.abandon_runs()) == (1, 0)
    left = world.app.casework.candidates.runs(cara, case)[0]
    assert (left.state, left.searches) == (RunState.STOPPED, 0)
    assert "as by a restart" in left.why


def test_values_out_of_range_and_strange_collections_are_refused(world: World, cara: Caller, case: str) -> None:
    """A threshold, a limit, a collection or an image that can't be meant is refused before a run begins."""
    searches = world.app.casework.searches
    for wrong in ({"threshold": 101.0}, {"threshold": -1.0}, {"limit": 0}, {"limit": 5000}):
        with pytest.raises(Invalid):
            searches.search_references(cara, case, **wrong)
    other = world.app.collections.create(cara, "other", {}).uid
    with pytest.raises(NotFound):
        searches.search_references(cara, case, collections=[other])
    with pytest.raises(NotFound):
        searches.search_images(cara, case, ["img-0000000000000000"])
    assert world.app.casework.candidates.runs(cara, case) == ()


def test_another_organisation_sees_no_run(world: World, cara: Caller, case: str) -> None:
    """Runs and their lists are for the members of the case."""
    run = world.app.casework.searches.search_references(cara, case)
    for stranger in (world.officer, world.rescuer_called("dora")):
        with pytest.raises(NotFound):
            world.app.casework.candidates.listed(stranger, run.id)


def test_police_search_for_a_missing_person_under_the_moratorium_within_an_own_open_case(
    world: World, photos: dict[str, bytes]
) -> None:
    """The exemption for missing persons rests on the case: with it a search runs, and ends with the case."""
    chief = world.app.people.add(ME, world.police, "chief@example.org", "chief", [Role.ADMIN, Role.USER])
    now = world.clock.now
    world.app.people.train(ME, chief.id, "face comparison", now, now + timedelta(days=900))
    caller = Caller(chief.id, Purpose.MISSING_PERSON, provenance="case-file")
    case = world.app.casework.cases.open(caller, Purpose.MISSING_PERSON, "Lena").id
    world.app.casework.cases.add_photo(caller, case, photos["obama_1"], FAMILY)
    world.app.faces.index(replace(caller, case=case), case, photos["obama_2"])
    assert world.app.casework.searches.search_references(caller, case).candidates == 1

    def without_a_case() -> object:
        return world.app.faces.search_by_image(
            caller, case, photos["obama_1"], limit=5, threshold=None, quality=QualityFilter.NONE
        )

    assert "moratorium.until-further-notice" in world.denied(without_a_case)
