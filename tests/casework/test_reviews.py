# SPDX-License-Identifier: Apache-2.0
"""The store of reviews: sittings, answers that stand, who has judged what, and what is counted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.casework.conftest import CASE, NOW, Stores

from custodes.casework import (
    Answer,
    CandidateState,
    FoundCandidate,
    ReviewerFigures,
    ReviewItem,
    Run,
    RunKind,
    RunState,
    Similar,
    Sitting,
)
from custodes.errors import Conflict, Invalid, NotFound

LATER = NOW + timedelta(seconds=90)
MINUTE = timedelta(minutes=1)


def run_of(stores: Stores, c: sa.Connection, run: str, *references: str) -> None:
    """Keep a run with candidates in review, ``RUN/REFERENCE`` each."""
    stores.searches.begin_run(c, Run(run, CASE, RunKind.REFERENCES, NOW, "p-1", None))
    found = [
        FoundCandidate(
            f"{run}/{reference}",
            run,
            CASE,
            rank,
            reference,
            "uid",
            97.5,
            CandidateState.IN_REVIEW,
            "img-2",
            0,
            None,
            rank,
            None,
            (Similar("img-1", 0, 97.5),),
        )
        for rank, reference in enumerate(references, 1)
    ]
    stores.searches.end_run(c, run, RunState.DONE, found)


def sit(
    stores: Stores,
    c: sa.Connection,
    name: str,
    candidates: Sequence[str | None],
    *,
    number: int = 1,
    person: str = "person-1",
    principal: str = "p-1",
    blind: bool = False,
) -> Sitting:
    """Begin a sitting; comparisons are called ``NAME/0`` and so on."""
    items = tuple(
        ReviewItem(f"{name}/{n}", name, n, candidate, number, "img-1", 0, "img-2" if candidate else f"ctl-{n}", n)
        for n, candidate in enumerate(candidates)
    )
    made = Sitting(name, CASE, principal, person, blind, NOW, None, items)
    stores.reviews.begin(c, made)
    return made


def test_a_sitting_comes_back_as_it_was_begun(stores: Stores) -> None:
    """With its items in their order; another id is nobody's."""
    with stores.database.transaction() as c:
        run_of(stores, c, "run-1", "a", "b")
        made = sit(stores, c, "sit-1", ["run-1/b", None, "run-1/a"], number=2, blind=True)
        assert stores.reviews.sitting(c, "sit-1") == made
        assert stores.reviews.open_sittings(c) == (made,)
        assert stores.reviews.open_sittings(c, person="person-1", case=CASE, organisation="org-1") == (made,)
        for other in ({"person": "person-2"}, {"case": "case-2"}, {"organisation": "org-2"}):
            assert stores.reviews.open_sittings(c, **other) == ()
        with pytest.raises(NotFound):
            stores.reviews.sitting(c, "sit-2")
        with pytest.raises(NotFound):
            stores.reviews.item(c, "sit-1/9")


def test_an_answer_stands_and_is_sealed(stores: Stores) -> None:
    """It has its time, its entry and its words, the words aren't in the table, and no other answer replaces it."""
    with stores.database.transaction() as c:
        run_of(stores, c, "run-1", "a")
        sit(stores, c, "sit-1", ["run-1/a"])
        stores.reviews.show(c, "sit-1/0", NOW)
        stores.reviews.show(c, "sit-1/0", NOW + MINUTE)  # the first time counts
        done = stores.reviews.answer(
            c, "sit-1/0", Answer.SUPPORTS, {"ears": "similar"}, "the same scar", LATER, entry=12
        )
        assert (done.answer, done.seconds, done.entry, done.answered_at) == (Answer.SUPPORTS, 90.0, 12, LATER)
        assert (done.checklist, done.note) == ({"ears": "similar"}, "the same scar")
        row = c.exec_driver_sql("SELECT * FROM review_items").first()
        assert b"scar" not in b"".join(v for v in row if isinstance(v, bytes))
        with pytest.raises(Conflict):
            stores.reviews.answer(c, "sit-1/0", Answer.CONTRADICTS, {}, "", LATER, entry=13)
        assert stores.reviews.item(c, "sit-1/0") == done
        with pytest.raises(NotFound):
            stores.reviews.answer(c, "sit-1/9", Answer.SUPPORTS, {}, "", LATER, entry=13)


@pytest.mark.parametrize(
    ("checklist", "note"),
    [({"tail": "similar"}, ""), ({"ears": "pretty"}, ""), ({}, "x" * 4001), ({}, "a\x00b")],
)
def test_what_an_answer_may_say(stores: Stores, checklist: dict[str, str], note: str) -> None:
    """A feature that there isn't, another word for one, a note too long or unprintable: nothing is kept."""
    with stores.database.transaction() as c:
        run_of(stores, c, "run-1", "a")
        sit(stores, c, "sit-1", ["run-1/a"])
        with pytest.raises(Invalid):
            stores.reviews.answer(c, "sit-1/0", Answer.SUPPORTS, checklist, note, LATER, entry=1)
        assert stores.reviews.item(c, "sit-1/0").answer is None


def test_what_is_in_a_sitting_waits_for_nobody_else(stores: Stores) -> None:
    """A candidate is taken until it is answered or the sitting ends; then it waits with its judges."""
    with stores.database.transaction() as c:
        run_of(stores, c, "run-1", "a", "b")
        sit(stores, c, "sit-1", ["run-1/a", "run-1/b"])
        assert stores.reviews.waiting(c, [CASE]) == ()
        stores.reviews.answer(c, "sit-1/0", Answer.SUPPORTS, {}, "", LATER, entry=1)
        assert [p.candidate for p in stores.reviews.waiting(c, [CASE])] == ["run-1/a"]
        stores.reviews.end(c, "sit-1", LATER)
        first, second = stores.reviews.waiting(c, [CASE])
        assert (first.candidate, first.judges, first.round) == ("run-1/a", ("person-1",), 2)
        assert (second.candidate, second.judges, second.round) == ("run-1/b", (), 1)
        assert [i.id for i in stores.reviews.sitting(c, "sit-1").items] == ["sit-1/0"]
        assert stores.reviews.open_sittings(c) == ()
        stores.searches.stand(c, "run-1/b", CandidateState.IN_REVIEW, CandidateState.DISMISSED)
        assert [p.candidate for p in stores.reviews.waiting(c, [CASE])] == ["run-1/a"]
        assert stores.reviews.waiting(c, []) == ()


def test_what_is_answered_blind_waits_for_nobody_before_the_sitting_is_over(stores: Stores) -> None:
    """A third would be asked in the middle of it, and what waits would tell which comparison was real."""
    with stores.database.transaction() as c:
        run_of(stores, c, "run-1", "a")
        sit(stores, c, "sit-1", ["run-1/a", None], blind=True)
        stores.reviews.answer(c, "sit-1/0", Answer.SUPPORTS, {}, "", LATER, entry=1)
        assert stores.reviews.waiting(c, [CASE]) == ()
        assert stores.reviews.end(c, "sit-1", LATER)
        assert [p.candidate for p in stores.reviews.waiting(c, [CASE])] == ["run-1/a"]
        assert not stores.reviews.end(c, "sit-1", LATER)


def test_one_reference_in_two_runs_is_kin(stores: Stores) -> None:
    """Whoever has seen the scores of the one run has seen them; another reference isn't kin, nor is another case's."""
    with stores.database.transaction() as c:
        run_of(stores, c, "run-1", "a", "b")
        run_of(stores, c, "run-2", "a")
        a, b = stores.reviews.pending(c, ["run-1/a", "run-1/b"])
        assert a.kin == {"run-1/a", "run-1", "run-2/a", "run-2", "a"}
        assert b.kin == {"run-1/b", "run-1", "b"}
        assert stores.reviews.pending(c, ["nobody"]) == ()


def test_reviews_of_a_candidate_come_by_round(stores: Stores) -> None:
    """Each with the sitting that it was made in; those that go on only if they are asked for."""
    with stores.database.transaction() as c:
        run_of(stores, c, "run-1", "a")
        sit(stores, c, "sit-2", ["run-1/a", None], number=2, person="person-2", principal="p-2", blind=True)
        sit(stores, c, "sit-1", ["run-1/a"])
        stores.reviews.answer(c, "sit-1/0", Answer.SUPPORTS, {}, "", LATER, entry=1)
        assert [(i.round, s.id) for i, s in stores.reviews.of(c, "run-1/a")] == [(1, "sit-1")]
        assert [s.id for _, s in stores.reviews.of(c, "run-1/a", answered=False)] == ["sit-2"]
        stores.reviews.answer(c, "sit-2/0", Answer.CONTRADICTS, {}, "", LATER, entry=2)
        assert [(i.round, s.person) for i, s in stores.reviews.of(c, "run-1/a")] == [(1, "person-1"), (2, "person-2")]
        assert [p.judges for p in stores.reviews.pending(c, ["run-1/a"])] == [("person-1", "person-2")]
        assert stores.reviews.controls_of(c, "person-2") == {("ctl-1", 1)}
        assert stores.reviews.controls_of(c, "person-1") == frozenset()


def test_a_comparison_is_dropped_only_while_it_is_open(stores: Stores) -> None:
    """What is answered stays."""
    with stores.database.transaction() as c:
        run_of(stores, c, "run-1", "a", "b")
        sit(stores, c, "sit-1", ["run-1/a", "run-1/b"])
        stores.reviews.answer(c, "sit-1/0", Answer.SUPPORTS, {}, "", LATER, entry=1)
        stores.reviews.drop(c, "sit-1/0")
        stores.reviews.drop(c, "sit-1/1")
        assert [i.id for i in stores.reviews.sitting(c, "sit-1").items] == ["sit-1/0"]


def test_reviews_go_with_the_reference(stores: Stores) -> None:
    """When a reference is erased, what reviewers wrote of it is destroyed with its candidates."""
    with stores.database.transaction() as c:
        run_of(stores, c, "run-1", "a", "b")
        sit(stores, c, "sit-1", ["run-1/a", "run-1/b"])
        stores.reviews.answer(c, "sit-1/0", Answer.SUPPORTS, {}, "a scar", LATER, entry=1)
        assert stores.searches.forget(c, ["a"]).candidates == 1
        assert [i.id for i in stores.reviews.sitting(c, "sit-1").items] == ["sit-1/1"]


def test_counts_add_up_by_day(stores: Stores) -> None:
    """Those of a day and of several are sums, by principal; another organisation's and earlier days are left out."""
    tomorrow = NOW + timedelta(days=1)
    once = ReviewerFigures("p-1", 2, 30.0, 1, 1, 1, 1, 0)
    with stores.database.transaction() as c:
        stores.reviews.count(c, "p-1", "org-1", NOW, once)
        stores.reviews.count(c, "p-1", "org-1", NOW, once)
        stores.reviews.count(c, "p-1", "org-1", tomorrow, ReviewerFigures("p-1", decided=1, agreed=1))
        stores.reviews.count(c, "p-2", "org-2", NOW, once)
        assert stores.reviews.figures(c, "org-1") == (ReviewerFigures("p-1", 4, 60.0, 2, 2, 2, 3, 1),)
        assert stores.reviews.figures(c, "org-1", since="2027-01-16") == (ReviewerFigures("p-1", decided=1, agreed=1),)
        assert [f.principal for f in stores.reviews.figures(c, "org-2")] == ["p-2"]
