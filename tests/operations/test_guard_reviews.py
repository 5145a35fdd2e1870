# SPDX-License-Identifier: Apache-2.0
"""Reviews pass the guard like every use: who judges a candidate, and how, is decided on, kept and decided again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import timedelta

import pytest

from custodes.governance import OPERATOR, Action, Caller, Purpose, ReviewFacts, Role, StopScope

ME = Caller(OPERATOR, Purpose.PHOTO_LIBRARY, provenance="own")
BLIND = ReviewFacts(round=2, same_person=False, exposed=False, controls=3)
"""A second reviewer who has seen nothing, with controls in the sitting."""


def _reviewer(world, name: str) -> Caller:
    """Return a reviewer of the rescuers, trained for 30 days, in an open case of theirs."""
    app, now = world.app, world.clock.now
    case = next((c for c in app.grounds.cases()), None) or app.grounds.open_case(
        ME, Purpose.MISSING_PERSON, world.rescue
    )
    person = app.people.add(ME, world.rescue, f"{name}@example.org", name, [Role.REVIEWER]).id
    app.people.train(ME, person, "face comparison", now, now + timedelta(days=30))
    return Caller(person, Purpose.MISSING_PERSON, case=case.id)


def _review(
    world,
    caller: Caller,
    done: list[str],
    review: ReviewFacts | None = BLIND,
    meanwhile: Callable[[], object] = lambda: None,
) -> None:
    """Judge a candidate; whether the answer comes to stand is in ``done``."""
    with world.app.guard.using(caller, Action.REVIEW, review=review) as using:
        meanwhile()
        with using.committing():
            done.append("answer")


def test_a_review_states_how_it_is_made(both_worlds) -> None:
    """Its facts are decided on and kept; each that shouldn't be is refused by its rule, and nothing is done."""
    world, app = both_worlds, both_worlds.app
    reviewer = _reviewer(world, "rita")
    done: list[str] = []
    _review(world, reviewer, done, ReviewFacts(round=1, same_person=False, exposed=True, controls=0))
    _review(world, reviewer, done)
    entry = world.entry()
    assert (entry["request"]["action"], entry["outcome"], entry["case"]) == ("Review", "done", reviewer.case)
    assert entry["request"]["facts"]["review"] == asdict(BLIND)
    for review, rule in (
        (replace(BLIND, same_person=True), "base.review-two-people"),
        (replace(BLIND, exposed=True), "base.review-blind"),
        (replace(BLIND, controls=0), "base.review-controls"),
        (replace(BLIND, round=4), "base.review-stated"),
        (None, "base.review-stated"),
    ):
        assert world.denied(lambda review=review: _review(world, reviewer, done, review)) == [rule]
        assert world.entry()["request"]["facts"].get("review") == (asdict(review) if review else None)
    user = replace(world.rescuer, case=reviewer.case)
    assert world.denied(lambda: _review(world, user, done)) == ["base.review-role", "base.review-trained"]
    nowhere = replace(reviewer, case=None)
    assert world.denied(lambda: _review(world, nowhere, done)) == ["base.case-stated"]
    assert done == ["answer", "answer"]
    assert app.rules.replay().differences == ()


def test_lapsed_training_locks_review(world) -> None:
    """From the instant on at which the training ends, and until there is another."""
    reviewer = _reviewer(world, "rita")
    done: list[str] = []
    world.clock.forward(days=30, milliseconds=-1)
    _review(world, reviewer, done)
    world.clock.forward(milliseconds=1)
    assert world.denied(lambda: _review(world, reviewer, done)) == ["base.review-trained"]
    now = world.clock.now
    world.app.people.train(ME, reviewer.principal, "a refresher", now, now + timedelta(days=1))
    _review(world, reviewer, done)
    assert len(done) == 2


@pytest.mark.parametrize("rule", ["case-open", "review-role", "stopped"])
def test_a_review_is_decided_again_before_it_counts(world, rule: str) -> None:
    """A case that is paused, a role that is taken, a stop that is thrown while somebody looks: it is denied."""
    app, reviewer = world.app, _reviewer(world, "rita")
    done: list[str] = []
    meanwhile = {
        "case-open": lambda: app.grounds.pause_case(ME, reviewer.case),
        "review-role": lambda: app.people.set_roles(ME, reviewer.principal, [Role.USER]),
        "stopped": lambda: app.oversight.stop(world.olga, StopScope.PURPOSE, "missing-person", "for a test"),
    }[rule]
    before = app.ledger.size()
    assert world.denied(lambda: _review(world, reviewer, done, meanwhile=meanwhile)) == [f"base.{rule}"]
    told = [e["decision"] for _, e in app.ledger.entries(before) if e["request"]["action"] == "Review"]
    assert told == ["deny"]
