# SPDX-License-Identifier: Apache-2.0
"""Standing searches: when they are made again, what they search, and when they end."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tests.operations.conftest import ME, START, World
from tests.operations.leadcase import brought_in
from tests.operations.test_searching import darker

from custodes.casework import CaseEvent, RunState, Standing
from custodes.errors import Denied
from custodes.governance import Caller, Purpose
from custodes.operations.desk import Origin

FAMILY = Origin("case-file", "the parents' request", "the family", taken_at=START - timedelta(days=4000))


@pytest.fixture
def cara(world: World) -> Caller:
    """Leads cases of the rescue organisation, and has a key for them."""
    made = world.rescuer_called("cara")
    world.app.identity.create_key(ME, principal=made.principal, purpose=Purpose.MISSING_PERSON)
    return made


@pytest.fixture
def case(world: World, cara: Caller, photos: dict[str, bytes]) -> str:
    """A case with a reference photo, a collection ``found`` with three photos, and a standing search."""
    app = world.app
    case = app.casework.cases.open(cara, Purpose.MISSING_PERSON, "Lena").id
    app.casework.cases.add_photo(cara, case, photos["obama_1"], FAMILY)
    app.collections.create(cara, "found", {})
    for name in ("obama_2", "biden", "group"):
        app.faces.index(cara, "found", photos[name], external_image_id=name)
    app.casework.cases.use_collection(cara, case, "found")
    app.casework.standing.stand(cara, case)
    return case


def known(world: World, cara: Caller, case: str) -> Standing:
    [found] = world.app.casework.cases.view(cara, case).standing
    return found


def test_it_runs_again_as_images_come_in(world: World, cara: Caller, case: str, photos: dict[str, bytes]) -> None:
    """It runs once at first, then only when a collection has changed, and lists nobody twice."""
    standing = world.app.casework.standing
    assert (standing.run_standing(), standing.run_standing()) == (1, 0)
    world.app.faces.index(cara, "found", darker(photos["obama_2"]), external_image_id="new")
    world.clock.forward(minutes=16)
    assert standing.run_standing() == 1
    runs = world.app.casework.candidates.runs(cara, case)
    lists = [[c.label for c in world.app.casework.candidates.listed(cara, r.id).candidates] for r in runs]
    assert sorted(lists) == [["new"], ["obama_2"]]
    world.app.casework.cases.happen(cara, case, CaseEvent.SUSPEND)
    world.app.faces.index(cara, "found", photos["obama_1"], external_image_id="newer")
    world.clock.forward(minutes=16)
    assert standing.run_standing() == 0


def test_a_busy_collection_does_not_eat_the_cap(
    world: World, cara: Caller, case: str, photos: dict[str, bytes], tmp_path: Path
) -> None:
    """Between two runs lies a quarter of an hour, but an import into the case's own collection is searched at once."""
    standing = world.app.casework.standing
    assert standing.run_standing() == 1
    world.app.faces.index(cara, "found", photos["biden"], external_image_id="again")
    world.clock.forward(minutes=14)
    assert standing.run_standing() == 0
    brought_in(world, cara, case, photos, tmp_path / "in", a="obama_2")
    assert (standing.run_standing(), standing.run_standing()) == (1, 0)
    searched = [s.collection_name for s in _searches(world, cara, case, 0)]
    assert searched == [world.app.casework.cases.collection_of(cara, case).name]  # and not the busy one
    world.clock.forward(minutes=16)
    assert (standing.run_standing(), standing.run_standing()) == (1, 0)
    assert [s.collection_name for s in _searches(world, cara, case, 0)] == ["found"]


def _searches(world: World, cara: Caller, case: str, run: int):
    runs = world.app.casework.candidates.runs(cara, case)
    return world.app.casework.candidates.listed(cara, runs[run].id).searches


def test_what_was_cut_off_is_made_again(
    world: World, cara: Caller, case: str, photos: dict[str, bytes], monkeypatch
) -> None:
    """A run that a rule stops in the middle counts as none: it says why, rests, and is made again as a whole."""
    work = world.app.casework
    work.cases.add_photo(cara, case, photos["biden"], FAMILY)
    search, calls = work.searches._search, iter(range(100))

    def capped(*told: object) -> object:
        if next(calls) == 1:
            raise Denied("You have searched as often today as one person may.", code="base.daily-cap-person")
        return search(*told)

    monkeypatch.setattr(work.searches, "_search", capped)
    assert (work.standing.run_standing(), work.standing.run_standing()) == (0, 0)
    assert "as often today" in known(world, cara, case).why
    world.clock.forward(minutes=16)
    assert (work.standing.run_standing(), known(world, cara, case).why) == (1, "")
    runs = work.candidates.runs(cara, case)
    assert [(r.state, r.searches) for r in runs] == [(RunState.DONE, 2), (RunState.STOPPED, 1)]


def test_it_ends_when_its_owner_is_suspended(world: World, cara: Caller, case: str) -> None:
    """There is one denial and no run, it says why, and it has to be asked for anew."""
    standing = world.app.casework.standing
    world.app.people.suspend(ME, cara.principal, suspended=True)
    size = world.app.ledger.size()
    for _ in range(3):
        assert standing.run_standing() == 0
        world.clock.forward(minutes=16)
    assert [world.entry(i).get("event") for i in range(size, world.app.ledger.size())] == [
        None,
        "standing-search-ended",
    ]
    assert world.entry()["cause"] == "base.suspended"
    world.app.people.suspend(ME, cara.principal, suspended=False)
    ended = known(world, cara, case)
    assert (ended.active, bool(ended.why)) == (False, True)
    assert world.app.casework.candidates.runs(cara, case) == ()
    assert standing.run_standing() == 0


def test_it_ends_when_its_owner_has_no_key_or_left_the_case(world: World, cara: Caller, case: str) -> None:
    """No search is even asked for then; the entry names the cause and nobody."""
    work = world.app.casework
    work.standing.stop_standing(cara, case, known(world, cara, case).id)
    dora = world.rescuer_called("dora")
    key = world.app.identity.create_key(ME, principal=dora.principal, purpose=Purpose.MISSING_PERSON)
    work.cases.add_member(cara, case, dora.principal)
    for leave in (
        lambda: world.app.identity.revoke_key(ME, key.access_key_id),
        lambda: work.cases.remove_member(cara, case, dora.principal),
    ):
        work.standing.stand(dora, case)
        leave()
        size = world.app.ledger.size()
        assert work.standing.run_standing() == 0
        assert world.app.ledger.size() == size + 1
        assert (world.entry()["event"], world.entry()["cause"]) == ("standing-search-ended", "owner")
        assert work.standing.run_standing() == 0
    assert work.candidates.runs(cara, case) == ()
    assert not any(s.active for s in work.cases.view(cara, case).standing)


def test_one_that_fails_keeps_no_other_from_being_made(world: World, cara: Caller, case: str, monkeypatch) -> None:
    """What nobody has foreseen is told, and it rests."""
    work = world.app.casework
    work.standing.stand(cara, case)
    again, calls, told = work.searches.search_again, iter(range(100)), []

    def failing(*asked: object) -> object:
        if next(calls) == 0:
            raise ZeroDivisionError
        return again(*asked)

    monkeypatch.setattr(work.searches, "search_again", failing)
    assert work.standing.run_standing(lambda standing, error: told.append(type(error))) == 1
    assert told == [ZeroDivisionError]
    assert work.standing.run_standing() == 0
    assert any("ZeroDivisionError" in s.why for s in work.cases.view(cara, case).standing)
