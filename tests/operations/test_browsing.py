# SPDX-License-Identifier: Apache-2.0
"""What pages show of cases: counts, pages of photos, runs under way, and nothing to whoever doesn't work on them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.operations.conftest import World

from custodes.casework import CandidateState, ImageRole, Run, RunState
from custodes.errors import Conflict, NotFound
from custodes.governance import Caller, Purpose, Role
from custodes.operations.desk import Origin

FAMILY = Origin("case-file", "the parents' request", "the family", taken_at=datetime(2015, 1, 1, tzinfo=UTC))


@pytest.fixture
def cara(world: World) -> Caller:
    """Leads cases of the rescue organisation."""
    return world.rescuer_called("cara")


@pytest.fixture
def case(world: World, cara: Caller, photos: dict[str, bytes]) -> str:
    """A case with one reference photo, and a collection with another of the same person."""
    case = world.app.casework.cases.open(cara, Purpose.MISSING_PERSON, "Lena").id
    world.app.casework.cases.add_photo(cara, case, photos["obama_1"], FAMILY)
    world.app.collections.create(cara, "found", {})
    world.app.faces.index(cara, "found", photos["obama_2"], external_image_id="obama_2")
    world.app.casework.cases.use_collection(cara, case, "found")
    return case


def test_a_run_under_way_tells_how_far_it_is_and_shows_no_score(world: World, cara: Caller, case: str) -> None:
    """While it is made its row says running; then it has its counts, and nobody has seen its scores yet."""
    browsing, seen = world.app.casework.browsing, []

    def watch(run: Run, made: int, of: int) -> None:
        seen.append((browsing.run(cara, run.id).state, made, of))

    run = world.app.casework.searches.search_references(cara, case, watch=watch)
    assert seen == [(RunState.RUNNING, 0, 1)]
    assert (browsing.run(cara, run.id).state, browsing.run(cara, run.id).searches) == (RunState.DONE, 1)
    assert not browsing.has_seen(cara, run.id)
    [candidate] = world.app.casework.candidates.listed(cara, run.id).candidates
    assert browsing.has_seen(cara, run.id)
    assert browsing.holds(cara, run.id, candidate.id)
    assert not browsing.holds(cara, run.id, "cand-0000000000000000")
    assert browsing.counts(cara) == {case: {CandidateState.FOUND: 1}}


def test_what_a_watcher_raises_ends_a_run(world: World, cara: Caller, case: str) -> None:
    """What it raises stops the run, which says why; whatever else goes wrong, no run is left going on."""

    def stop(run: Run, made: int, of: int) -> None:
        raise Conflict("Somebody has stopped it.")

    def break_down(run: Run, made: int, of: int) -> None:
        raise ZeroDivisionError

    searches = world.app.casework.searches
    with pytest.raises(Conflict):
        searches.search_references(cara, case, watch=stop)
    with pytest.raises(ZeroDivisionError):
        searches.search_references(cara, case, watch=break_down)
    runs = world.app.casework.candidates.runs(cara, case)
    assert [r.state for r in runs] == [RunState.STOPPED, RunState.STOPPED]
    assert {r.why for r in runs} == {"Somebody has stopped it.", "It was broken off."}


def test_photos_come_in_pages_and_by_whether_they_show_a_face(
    world: World, cara: Caller, case: str, photos: dict[str, bytes]
) -> None:
    """A page has so many photos of one use; where it goes on is said."""
    browsing, work = world.app.casework.browsing, world.app.casework.imports
    for name in ("biden", "nobody"):
        made = work.spool(cara, case, [photos[name]], name=name, provenance="case-file", basis="b", source="s")
        work.work(cara, made.id)
    first = browsing.photos(cara, case, ImageRole.IMPORTED, limit=1)
    second = browsing.photos(cara, case, ImageRole.IMPORTED, limit=1, after=first.after)
    assert (len(first.photos), len(second.photos), second.after) == (1, 1, None)
    assert len(browsing.photos(cara, case, ImageRole.IMPORTED, faces=True).photos) == 1
    assert browsing.photos(cara, case, ImageRole.IMPORTED, faces=True, import_id=made.id).photos == ()


def test_who_does_not_work_on_a_case_sees_nothing_of_it(world: World, cara: Caller, case: str) -> None:
    """A colleague finds neither photos nor runs."""
    run = world.app.casework.searches.search_references(cara, case)
    dora, browsing = world.rescuer_called("dora", Role.USER), world.app.casework.browsing
    for look in (
        lambda: browsing.photos(dora, case, ImageRole.REFERENCE),
        lambda: browsing.run(dora, run.id),
        lambda: browsing.has_seen(dora, run.id),
        lambda: browsing.holds(dora, run.id, "cand-0000000000000000"),
    ):
        with pytest.raises(NotFound):
            look()
    assert browsing.counts(dora) == {}


def test_a_threshold_has_the_floor_of_the_rules(world: World, cara: Caller) -> None:
    """Police start at 99, rescuers at the default; what a score means is what was measured at or below it."""
    browsing = world.app.casework.browsing
    assert (browsing.thresholds(world.officer).default, browsing.thresholds(world.officer).floor) == (99.0, 99.0)
    assert (browsing.thresholds(cara).default, browsing.thresholds(cara).floor) == (80.0, 0.0)
    pack = world.app.engines.default.pack.manifest.id
    told = browsing.meaning(pack, 85.0, 1_000_000)
    assert told is not None
    assert (told.from_similarity, told.false_match_rate, told.by_chance) == (80.0, 0.0001, 100.0)
    assert browsing.meaning(pack, 5.0, 10) is None
