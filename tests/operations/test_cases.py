# SPDX-License-Identifier: Apache-2.0
"""Case files: who works on them, what they keep, and how they end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.operations.conftest import ME, World

from custodes.casework import CaseEvent, CaseStatus, ImageRole
from custodes.errors import Conflict, Denied, Invalid, NotFound
from custodes.governance import Caller, Purpose, Role
from custodes.operations.desk import Origin

FAMILY = Origin("case-file", "the parents' request", "the family", name="lena.jpg")


@pytest.fixture
def cara(world: World) -> Caller:
    """Leads cases of the rescue organisation."""
    return world.rescuer_called("cara")


def opened(world: World, caller: Caller, **more: object) -> str:
    """Open a missing-person case."""
    return world.app.casework.cases.open(caller, Purpose.MISSING_PERSON, "Lena", **more).id


def test_an_open_case_has_a_lead_and_is_recorded_without_its_words(both_worlds: World) -> None:
    """Opening a case makes governance's case and its file; the entry tells who leads it, and no title."""
    cara = both_worlds.rescuer_called("cara")
    file = both_worlds.app.casework.cases.open(
        cara, Purpose.MISSING_PERSON, "Lena Meyer", reference="M-17", about="Last seen\nat the station."
    )
    assert (file.status, file.lead, file.members) == (CaseStatus.OPEN, cara.principal, (cara.principal,))
    assert both_worlds.app.casework.cases.get(cara, file.id) == file
    entry = both_worlds.entry()
    assert (entry["change"], entry["target"], entry["lead"]) == ("case-opened", file.id, cara.principal)
    assert "Lena" not in str(entry)


def test_a_criminal_case_is_refused_under_the_moratorium(world: World) -> None:
    """Police can't open a criminal investigation while the moratorium binds them; when it is lifted they can."""
    chief = world.app.people.add(ME, world.police, "chief@example.org", "chief", [Role.ADMIN, Role.USER])
    chief_calls = Caller(chief.id, Purpose.CRIMINAL_INVESTIGATION)

    def opening() -> object:
        return world.app.casework.cases.open(chief_calls, Purpose.CRIMINAL_INVESTIGATION, "Burglary")

    assert any("until-further-notice" in rule for rule in world.denied(opening))
    assert world.app.casework.cases.list(chief_calls) == ()
    world.lift_moratorium()
    opening()
    assert len(world.app.casework.cases.list(chief_calls)) == 1


def test_who_does_not_work_on_a_case_finds_none(world: World, cara: Caller) -> None:
    """Another organisation and a colleague who isn't a member get the same answer as for a case that there isn't."""
    case = opened(world, cara)
    cases = world.app.casework.cases
    dora = world.rescuer_called("dora", Role.USER)
    for stranger in (dora, world.officer, world.olga):
        with pytest.raises(NotFound, match="no case"):
            cases.view(stranger, case)
        assert cases.list(stranger) == ()
    cases.add_member(cara, case, dora.principal)
    assert cases.view(dora, case).file.members == tuple(sorted((cara.principal, dora.principal)))
    with pytest.raises(NotFound):
        cases.add_member(cara, case, world.officer.principal)  # of another organisation
    cases.set_lead(cara, case, dora.principal)
    with pytest.raises(Conflict, match="lead"):
        cases.remove_member(cara, case, dora.principal)
    cases.remove_member(cara, case, cara.principal)
    assert cases.get(cara, case).lead == dora.principal  # an administrator sees it still ...
    with pytest.raises(NotFound):
        cases.photos(cara, case)  # ... but not what is in it


def test_a_member_without_the_role_cannot_change_a_case(world: World, cara: Caller) -> None:
    """Closing a case takes an administrator, and the refusal is on record."""
    case = opened(world, cara)
    dora = world.rescuer_called("dora", Role.USER)
    world.app.casework.cases.add_member(cara, case, dora.principal)
    rules = world.denied(lambda: world.app.casework.cases.happen(dora, case, CaseEvent.CLOSE))
    assert rules == ["base.administer-role"]
    assert world.app.casework.cases.get(cara, case).status == CaseStatus.OPEN


@pytest.mark.parametrize("event", [CaseEvent.SUSPEND, CaseEvent.FIND])
def test_a_case_that_rests_is_not_worked_on(
    world: World, cara: Caller, photos: dict[str, bytes], event: CaseEvent
) -> None:
    """Nothing is brought into a case that is suspended or whose person is found, by whatever way."""
    cases = world.app.casework.cases
    case = opened(world, cara)
    cases.add_photo(cara, case, photos["obama_1"], FAMILY)
    cases.happen(cara, case, event)
    rules = world.denied(lambda: cases.add_photo(cara, case, photos["biden"], FAMILY))
    assert rules == ["base.case-open"]
    rules = world.denied(lambda: world.app.collections.create(replace(cara, case=case), "more", {}))
    assert rules == ["base.case-open"]
    cases.happen(cara, case, CaseEvent.RESUME if event == CaseEvent.SUSPEND else CaseEvent.REOPEN)
    cases.add_photo(cara, case, photos["biden"], FAMILY)


def test_found_after_suspended_and_closed_is_the_end(world: World, cara: Caller) -> None:
    """A suspended case can be found and closed; a closed one does nothing more."""
    cases, case = world.app.casework.cases, opened(world, cara, keep_days=30)
    for event in (CaseEvent.SUSPEND, CaseEvent.FIND, CaseEvent.CLOSE):
        file = cases.happen(cara, case, event)
    assert file.status == CaseStatus.CLOSED
    assert file.erase_at == world.clock.now + timedelta(days=30)
    for event in CaseEvent:
        with pytest.raises(Conflict):
            cases.happen(cara, case, event)


def test_a_photo_is_kept_once_sealed_and_with_its_origin(both_worlds: World, photos: dict[str, bytes]) -> None:
    """A reference keeps provenance, basis, source, date and hash; its bytes are nowhere in clear; it comes once."""
    cara = both_worlds.rescuer_called("cara")
    cases, case = both_worlds.app.casework.cases, opened(both_worlds, cara)
    origin = replace(FAMILY, taken_at=both_worlds.clock.now - timedelta(days=700))
    made = cases.add_photo(cara, case, photos["obama_1"], origin)
    assert cases.photo(cara, case, made.id) == made
    assert (made.provenance, made.basis, made.source, made.name) == (
        "case-file",
        FAMILY.basis,
        "the family",
        "lena.jpg",
    )
    assert len(made.faces) == 1
    assert made.faces[0].reference_id is None
    with pytest.raises(Conflict, match="already"):
        cases.add_photo(cara, case, photos["obama_1"], origin)
    assert both_worlds.app.casework.cases.view(cara, case).images == {ImageRole.REFERENCE: 1}
    for raw in (p.read_bytes() for p in both_worlds.config.data.rglob("*") if p.is_file()):
        assert photos["obama_1"][1000:1100] not in raw
        assert b"lena.jpg" not in raw


def test_a_scraped_photo_and_one_without_a_face_are_refused(
    world: World, cara: Caller, photos: dict[str, bytes]
) -> None:
    """What is scraped is refused by rule before it is looked at; a photo without a face is no reference."""
    cases, case = world.app.casework.cases, opened(world, cara)
    rules = world.denied(lambda: cases.add_photo(cara, case, b"", replace(FAMILY, provenance="scraped")))
    assert rules == ["base.not-scraped"]
    with pytest.raises(Invalid, match="no face"):
        cases.add_photo(cara, case, photos["nobody"], FAMILY)
    assert cases.view(cara, case).images == {}
    assert world.entry()["outcome"] == "failed"


def test_a_removed_photo_leaves_no_bytes_and_no_opening(world: World, cara: Caller, photos: dict[str, bytes]) -> None:
    """Removing a photo destroys what was kept of it, and what the ledger's commitment to it stands for."""
    cases, case = world.app.casework.cases, opened(world, cara)
    made = cases.add_photo(cara, case, photos["obama_1"], FAMILY)
    index = world.app.guard.written[0]
    board = replace(ME)
    assert b'"image"' in world.app.ledger.disclose(board, index)
    cases.remove_photo(cara, case, made.id)
    with pytest.raises(NotFound):
        cases.photo(cara, case, made.id)
    assert b'"openings": []' in world.app.ledger.disclose(board, index)


def test_sightings_have_place_and_time(world: World, cara: Caller) -> None:
    """A sighting is kept with when and where, the newest first; one in the future or without a place is refused."""
    cases, case = world.app.casework.cases, opened(world, cara)
    early = cases.sight(
        cara, case, seen_at=world.clock.now - timedelta(days=2), place="Harbour", note="With a <b>dog</b>"
    )
    late = cases.sight(cara, case, seen_at=world.clock.now - timedelta(hours=2), place="Station")
    assert cases.view(cara, case).sightings == (late, early)
    with pytest.raises(Invalid, match="past"):
        cases.sight(cara, case, seen_at=world.clock.now + timedelta(hours=1), place="Station")
    with pytest.raises(Invalid, match="place"):
        cases.sight(cara, case, seen_at=world.clock.now, place="  ")
    assert "Harbour" not in str(list(world.app.ledger.entries()))


def test_a_case_uses_collections_of_its_organisation_alone(world: World, cara: Caller) -> None:
    """Another organisation's collection doesn't exist for a case; an own one can be added and taken away again."""
    cases, case = world.app.casework.cases, opened(world, cara)
    world.app.collections.create(ME, "theirs", {})
    with pytest.raises(NotFound):
        cases.use_collection(cara, case, "theirs")
    uid = world.app.collections.create(cara, "ours", {}).uid
    cases.use_collection(cara, case, "ours")
    cases.use_collection(cara, case, "ours")
    assert [k.uid for k in cases.view(cara, case).collections] == [uid]
    cases.stop_using(cara, case, uid)
    assert cases.view(cara, case).collections == ()


def test_everything_in_a_case_goes_when_its_time_is_over(both_worlds: World, photos: dict[str, bytes]) -> None:
    """Closing starts the clock; when it has run out images, sightings, searches and the case's collection are gone."""
    world = both_worlds
    cara = world.rescuer_called("cara")
    cases, case = world.app.casework.cases, opened(world, cara, keep_days=10)
    cases.add_photo(cara, case, photos["obama_1"], FAMILY)
    cases.sight(cara, case, seen_at=world.clock.now, place="Station")
    world.app.faces.index(replace(cara, case=case), case, photos["biden"])
    world.app.casework.searches.search_references(cara, case)
    cases.happen(cara, case, CaseEvent.CLOSE)
    world.clock.forward(days=9)
    assert cases.run_retention() == 0
    world.clock.forward(days=2)
    assert cases.run_retention() == 1
    with pytest.raises(NotFound):
        cases.get(cara, case)
    assert case not in world.app.collections.names()
    assert (world.entry()["event"], world.entry()["images"], world.entry()["references"]) == ("case-erased", 1, 1)
    assert cases.run_retention() == 0


def test_words_of_a_case_are_checked(world: World, cara: Caller) -> None:
    """A case without a title, with control characters, or kept for ever is refused, and nothing of it stays."""
    cases = world.app.casework.cases
    for wrong in ({"title": " "}, {"title": "a\x00b"}, {"title": "x" * 500}, {"title": "Lena", "keep_days": 10_000}):
        title = str(wrong.pop("title"))
        with pytest.raises(Invalid):
            cases.open(cara, Purpose.MISSING_PERSON, title, **wrong)
    with pytest.raises(NotFound):
        cases.open(cara, Purpose.MISSING_PERSON, "Lena", authority="auth-0000000000000000")
    assert cases.list(cara) == ()
    with world.app.guard.transaction() as c:
        assert not c.exec_driver_sql("SELECT id FROM cases").all()


def test_a_case_is_nobodys_for_who_is_nobody(world: World, cara: Caller) -> None:
    """A principal that there isn't is denied."""
    case = opened(world, cara)
    with pytest.raises(Denied):
        world.app.casework.cases.view(Caller("p-nobody", Purpose.MISSING_PERSON), case)
