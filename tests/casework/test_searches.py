# SPDX-License-Identifier: Apache-2.0
"""The store of searches, candidates, leads and standing searches."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.casework.conftest import CASE, NOW, Stores

from custodes.casework import (
    CandidateState,
    FoundCandidate,
    Run,
    RunKind,
    RunState,
    SearchRecord,
    Similar,
    Standing,
)
from custodes.casework.searches import RUN_HELD_FOR
from custodes.errors import Conflict, NotFound

RUN = Run("run-1", CASE, RunKind.REFERENCES, NOW, "p-1", None)


def found(name: str, rank: int = 1, state: CandidateState = CandidateState.FOUND) -> FoundCandidate:
    scores = (Similar("img-1", 0, 97.5, 3.25), Similar("img-2", 1, 91.0))
    return FoundCandidate(
        name, "run-1", CASE, rank, f"ref-{name}", "uid", 97.5, state, None, 0, "label", 1, None, scores
    )


def search(name: str, entry: int, candidates: int = 1) -> SearchRecord:
    return SearchRecord(
        name, "run-1", CASE, "img-1", 0, "uid", "found", NOW, "p-1", 80.0, candidates, entry, "1", "hash"
    )


def with_run(stores: Stores, c: sa.Connection, *candidates: FoundCandidate) -> Run:
    stores.searches.begin_run(c, RUN)
    stores.searches.record(c, search("srch-1", 7))
    stores.searches.record(c, search("srch-2", 9, 0))
    return stores.searches.end_run(c, "run-1", RunState.DONE, candidates)


def test_a_run_has_its_searches_and_candidates(stores: Stores) -> None:
    """Searches that found nothing are among them; scores and labels come back, and are sealed in the table."""
    with stores.database.transaction() as c:
        run = with_run(stores, c, found("b", 2), found("a", 1))
        assert (run.searches, run.candidates, run.state) == (2, 2, RunState.DONE)
        assert stores.searches.candidates(c, run="run-1") == (found("a", 1), found("b", 2))
        assert stores.searches.searches(c, case=CASE) == (search("srch-1", 7), search("srch-2", 9, 0))
        assert stores.searches.runs(c, CASE) == (run,)
        assert stores.searches.seen(c, CASE) == {"ref-a", "ref-b"}
        row = c.exec_driver_sql("SELECT * FROM found_candidates").first()
        assert b"label" not in b"".join(v for v in row if isinstance(v, bytes))


def test_a_candidate_moves_from_where_it_was_thought_to_stand(stores: Stores) -> None:
    """Who thinks that it stands elsewhere is told so, and it stays."""
    with stores.database.transaction() as c:
        with_run(stores, c, found("a"))
        stores.searches.stand(c, "a", CandidateState.FOUND, CandidateState.IN_REVIEW)
        with pytest.raises(Conflict):
            stores.searches.stand(c, "a", CandidateState.FOUND, CandidateState.LEAD)
        assert stores.searches.candidate(c, "a").state == CandidateState.IN_REVIEW
        assert stores.searches.count(c, [CASE]) == {CASE: {CandidateState.IN_REVIEW: 1}}
        only = stores.searches.candidates(c, case=CASE, states=[CandidateState.LEAD])
        assert only == ()


def test_candidates_go_with_their_references(stores: Stores) -> None:
    """When a reference is erased, the candidate that it was goes; the search stays."""
    with stores.database.transaction() as c:
        with_run(stores, c, found("a", 1), found("b", 2))
        assert stores.searches.forget(c, ["ref-a", "ref-unknown"]).candidates == 1
        assert [k.id for k in stores.searches.candidates(c, run="run-1")] == ["b"]
        assert len(stores.searches.searches(c, run="run-1")) == 2


def test_leads_are_kept_by_case_and_organisation(stores: Stores) -> None:
    """A lead is found by its id, its case and its organisation."""
    with stores.database.transaction() as c:
        with_run(stores, c, found("a"))
        made = stores.searches.lead(c, CASE, "a", 12, NOW)
        assert stores.searches.find_lead(c, made.id) == made
        assert stores.searches.leads(c, CASE) == stores.searches.leads(c, organisation="org-1") == (made,)
        assert stores.searches.leads(c, organisation="org-2") == ()


def test_a_run_without_a_sign_of_life_is_abandoned(stores: Stores) -> None:
    """After ten minutes it is stopped with the searches that it has made; one that is over stays as it is."""
    late = NOW + RUN_HELD_FOR
    with stores.database.transaction() as c:
        with_run(stores, c)
        stores.searches.begin_run(c, Run("run-2", CASE, RunKind.BULK, NOW, "p-1", None))
        stores.searches.hold_run(c, "run-2", NOW + timedelta(seconds=1))
        stores.searches.begin_run(c, Run("run-3", CASE, RunKind.BULK, NOW, "p-1", None))
        assert not stores.searches.has_abandoned(c, late - timedelta(seconds=1))
        assert stores.searches.has_abandoned(c, late)
        assert stores.searches.abandon_runs(c, late, "why") == 1
        told = {r.id: (r.state, r.why) for r in stores.searches.runs(c, CASE)}
        assert told["run-3"] == (RunState.STOPPED, "why")
        assert told["run-2"][0] == RunState.RUNNING
        assert told["run-1"][0] == RunState.DONE


def test_a_standing_search_remembers_what_it_has_seen(stores: Stores) -> None:
    """Watermarks, the last time and the reason why it wasn't made come back; ended, it is active no more."""
    standing = Standing("stand-1", CASE, "p-1", "missing-person", None, 50, ("uid",), True, NOW, None)
    with stores.database.transaction() as c:
        stores.searches.stand_watch(c, standing)
        assert stores.searches.standing(c, case=CASE) == (standing,)
        assert stores.searches.watermarks(c, "stand-1") == {}
        stores.searches.stood(c, "stand-1", {"uid": 4}, NOW, "why not")
        assert stores.searches.watermarks(c, "stand-1") == {"uid": 4}
        [known] = stores.searches.standing(c, active=True)
        assert (known.last_run_at, known.why) == (NOW, "why not")
        stores.searches.stop_standing(c, "stand-1")
        assert stores.searches.standing(c, active=True) == ()


def test_what_is_not_there_is_said_to_be(stores: Stores) -> None:
    """Runs, candidates, leads and standing searches that there aren't raise."""
    with stores.database.transaction() as c:
        for call in (
            stores.searches.run,
            stores.searches.candidate,
            stores.searches.find_lead,
            stores.searches.stop_standing,
        ):
            with pytest.raises(NotFound):
                call(c, "nothing")
