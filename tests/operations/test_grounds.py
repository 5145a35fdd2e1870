# SPDX-License-Identifier: Apache-2.0
"""Cases rest and are taken up again; none is opened for what is forbidden, or what its organisation can't have."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from custodes.errors import Conflict, Invalid, NotFound
from custodes.governance import OPERATOR, Action, Caller, Case, OrgClass, Purpose, Role
from custodes.governance.moratorium import Moratorium
from custodes.operations.entries import Acting

ME = Caller(OPERATOR, Purpose.PHOTO_LIBRARY, provenance="own")
FORM = "until-further-notice"
CRIME = Purpose.CRIMINAL_INVESTIGATION
MISSING = Purpose.MISSING_PERSON


@pytest.fixture
def case(world) -> str:
    """An open case of the rescuers, with a collection ``missing``."""
    world.app.collections.create(world.rescuer, "missing", {})
    return world.app.grounds.open_case(ME, MISSING, world.rescue).id


def _uses(world, caller: Caller, action: Action) -> None:
    """Make a use of the rescuers' collection that does nothing."""
    with world.app.guard.using(caller, action, world.app.guard._collections.get("missing")):
        pass


# --- Resting --------------------------------------------------------------------------------------------------------


def test_nothing_is_searched_or_stored_in_a_case_that_rests(both_worlds) -> None:
    """A case that is paused is not open to the rules; resumed it is again, and both are entries."""
    world, app = both_worlds, both_worlds.app
    app.collections.create(world.rescuer, "missing", {})
    made = app.grounds.open_case(ME, MISSING, world.rescue)
    assert (made.is_open, made.paused_at) == (True, None)
    within = replace(world.rescuer, case=made.id)
    _uses(world, within, Action.IMPORT_IMAGES)
    paused = app.grounds.pause_case(ME, made.id)
    assert (paused.is_open, paused.paused_at) == (False, world.clock.now)
    assert (world.entry()["kind"], world.entry()["change"], world.entry()["target"]) == ("act", "case-paused", made.id)
    assert app.grounds.cases() == (paused,)
    assert world.denied(lambda: _uses(world, within, Action.IMPORT_IMAGES)) == ["base.case-open"]
    assert "base.case-open" in world.denied(lambda: _uses(world, within, Action.SEARCH_REFERENCES))
    facts = world.entry()["request"]["facts"]["case"]
    assert facts == {"kind": "missing-person", "open": False, "own": True, "paused": True}
    resumed = app.grounds.resume_case(ME, made.id)
    assert resumed == made
    assert (world.entry()["change"], world.entry()["request"]["action"]) == ("case-resumed", "OpenCase")
    _uses(world, within, Action.IMPORT_IMAGES)
    assert world.entry()["request"]["facts"]["case"] == {"kind": "missing-person", "open": True, "own": True}
    assert app.rules.replay().differences == ()


def test_what_rests_is_read_and_what_is_closed_stays_blurred(world, case: str) -> None:
    """A sensitive image is shown while a case rests, and not after its end; a report leaves it in either state."""
    grounds, within = world.app.grounds, replace(world.rescuer, case=case)
    for change in (lambda: None, lambda: grounds.pause_case(ME, case)):
        change()
        _uses(world, within, Action.VIEW_IMAGE)
        _uses(world, within, Action.EXPORT_LEAD)
    grounds.close_case(ME, case)
    assert world.denied(lambda: _uses(world, within, Action.VIEW_IMAGE)) == ["base.view-not-closed"]
    assert "paused" not in world.entry()["request"]["facts"]["case"]
    _uses(world, within, Action.EXPORT_LEAD)
    for action in (Action.VIEW_IMAGE, Action.EXPORT_LEAD):
        assert "base.case-stated" in world.denied(lambda action=action: _uses(world, world.rescuer, action))
    assert world.app.rules.replay().differences == ()


def test_a_case_rests_once_and_is_closed_for_good(world, case: str) -> None:
    """What can't come about changes nothing and is a failed entry."""
    grounds = world.app.grounds
    with pytest.raises(Conflict, match="open already"):
        grounds.resume_case(ME, case)
    grounds.pause_case(ME, case)
    with pytest.raises(Conflict, match="rests already"):
        grounds.pause_case(ME, case)
    assert (world.entry()["outcome"], world.entry()["error"]) == ("failed", "Conflict")
    grounds.close_case(ME, case)
    for change in (grounds.pause_case, grounds.resume_case):
        with pytest.raises(Conflict, match="for good"):
            change(ME, case)
        with pytest.raises(NotFound):
            change(ME, "case-0")
    with pytest.raises(Conflict):
        grounds.close_case(ME, case)


def test_only_administrators_let_a_case_rest(world, case: str) -> None:
    """A user doesn't, nor an administrator of another organisation."""
    chief = Caller(world.app.people.add(ME, world.police, "chief@example.org", "Chief", [Role.ADMIN]).id, MISSING)
    for change in (world.app.grounds.pause_case, world.app.grounds.resume_case):
        assert world.denied(lambda change=change: change(world.rescuer, case)) == ["base.administer-role"]
        assert world.denied(lambda change=change: change(chief, case)) == ["base.administer-own"]


# --- Opening --------------------------------------------------------------------------------------------------------


def test_no_criminal_investigation_is_opened_under_the_moratorium(both_worlds) -> None:
    """Neither by the police nor by the operator for them; the denial names the moratorium, and lifted it is opened."""
    world, app = both_worlds, both_worlds.app
    chief = Caller(app.people.add(ME, world.police, "chief@example.org", "Chief", [Role.ADMIN]).id, CRIME)
    before = app.ledger.size()
    for caller, organisation in ((ME, world.police), (chief, None), (chief, world.police)):
        denied = world.denied(lambda c=caller, o=organisation: app.grounds.open_case(c, CRIME, o))
        assert denied == [f"moratorium.{FORM}.cases"]
        facts = world.entry()["request"]["facts"]
        assert facts["case_kind"] == "criminal-investigation"
        assert facts["target_org"] == {"class": "law-enforcement", "jurisdiction": "US-WA", "country": "US"}
        assert facts["org"]["class"] == ("general" if caller is ME else "law-enforcement")
    assert [e["outcome"] for _, e in app.ledger.entries(before)] == ["denied"] * 3
    assert app.grounds.cases() == ()
    app.grounds.open_case(chief, MISSING)
    world.lift_moratorium()
    made = app.grounds.open_case(chief, CRIME)
    assert made.organisation == world.police
    assert [a.detail for a in app.oversight.alarms()].count(made.id) == 1
    assert app.rules.replay().differences == ()


def test_no_case_is_taken_up_again_under_a_moratorium(world) -> None:
    """One that was opened before may be closed or rest, and isn't resumed."""
    grounds = world.app.grounds
    world.lift_moratorium()
    resting, closing = (grounds.open_case(ME, CRIME, world.police).id for _ in range(2))
    grounds.pause_case(ME, resting)
    world.app.oversight.declare(world.olga, _moratorium("police-ban", OrgClass.LAW_ENFORCEMENT))
    assert world.denied(lambda: grounds.resume_case(ME, resting)) == ["moratorium.police-ban.cases"]
    grounds.pause_case(ME, closing)
    grounds.close_case(ME, closing)
    assert [c.is_open for c in grounds.cases()] == [False, False]
    assert grounds.open_case(ME, MISSING, world.rescue).is_open


def test_each_class_opens_the_cases_that_it_has(world) -> None:
    """A photo app opens no criminal investigation, rescuers neither; what no case is for is invalid for everybody."""
    open_case = world.app.grounds.open_case
    assert world.denied(lambda: open_case(ME, CRIME)) == ["base.case-of-class"]
    assert world.denied(lambda: open_case(ME, MISSING)) == ["base.case-of-class"]
    assert "base.case-of-class" in world.denied(lambda: open_case(ME, CRIME, world.rescue))
    with pytest.raises(Invalid, match="no cases for testing"):
        open_case(ME, Purpose.TESTING)
    assert open_case(ME, Purpose.VICTIM_IDENTIFICATION, world.rescue).kind == Purpose.VICTIM_IDENTIFICATION


def test_what_else_is_done_commits_with_the_case_or_not_at_all(world, case: str) -> None:
    """It sees the case and notes in its entry; if it fails, there is no case, no alarm, and a failed entry."""
    app = world.app

    def then(acting: Acting, changed: Case) -> None:
        seen.append(app.guard._grounds.case(acting.connection, changed.id))
        acting.note(lead="p-1")

    def fail(acting: Acting, changed: Case) -> None:
        raise Conflict("It can't be.")

    for change in (app.grounds.pause_case, app.grounds.resume_case, app.grounds.close_case):
        seen: list[Case] = []
        assert change(ME, case, then=then) == seen[0]
        assert world.entry()["lead"] == "p-1"
    before, alarms = app.grounds.cases(), app.oversight.alarms()
    with pytest.raises(Conflict, match="It can't be"):
        app.grounds.open_case(ME, MISSING, world.police, then=fail)
    assert (app.grounds.cases(), app.oversight.alarms()) == (before, alarms)
    assert (world.entry()["outcome"], world.entry()["error"]) == ("failed", "Conflict")
    opened = app.grounds.open_case(ME, MISSING, world.police, then=then)
    assert seen[-1] == opened
    index = app.guard.written[0]
    assert world.entry(index)["lead"] == "p-1"


def _moratorium(name: str, bound: OrgClass) -> Moratorium:
    return Moratorium(
        id=name,
        classes=frozenset({bound}),
        jurisdictions=frozenset(),
        actions=frozenset({"Search"}),
        purposes=frozenset(),
        begins=datetime(2027, 1, 1, tzinfo=UTC),
        ends=None,
        exempt=(),
        citation="A test",
        explain="A test forbids it.",
        remedy="Wait.",
    )
