# SPDX-License-Identifier: Apache-2.0
"""Rules on the ledger: replayed, explained, and asked what a change would have done."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
import sqlalchemy as sa

from custodes.errors import Invalid, NotFound
from custodes.governance import OPERATOR, Caller, Purpose
from custodes.governance.request import Percent
from custodes.governance.schema import rule_sets

ME = Caller(OPERATOR, Purpose.PHOTO_LIBRARY, provenance="own")
FORM = "until-further-notice"


def _denied_once(world) -> int:
    world.denied(lambda: world.app.faces.compare(world.officer, b"", b"", threshold=None))
    return world.app.guard.written[0]


def test_worked_cases_of_all_rulebooks_come_out_as_expected(world) -> None:
    """As custodes rules test says."""
    outcomes = world.app.rules.test()
    assert len(outcomes) > 250
    assert [o.diagnostics() for o in outcomes if not o.met] == []


def test_logged_requests_are_decided_again_by_the_rules_of_their_time(world) -> None:
    """After the moratorium is lifted, what was denied under it is still a denial by the same rule."""
    index = _denied_once(world)
    world.lift_moratorium()
    replayed = world.app.rules.replay()
    assert replayed.differences == ()
    assert replayed.requests >= 10
    explained = world.app.rules.explain_entry(index)
    assert [r.id for r in explained.decision.rules] == [f"moratorium.{FORM}"]
    assert "moratorium" in explained.text()
    now = world.app.rules.explain(explained.request)
    assert now.decision.allowed
    with pytest.raises(NotFound):
        world.app.rules.explain_entry(0)


def test_rules_that_were_changed_under_their_hash_are_found(world) -> None:
    """Whoever edits a kept set of rules is told that its hash is another."""
    _denied_once(world)
    app = world.app
    with app._database.transaction() as c:
        text = c.execute(sa.select(rule_sets.c.text)).scalars().first()
        weaker = orjson.loads(text)
        weaker["rulebooks"] = [b for b in weaker["rulebooks"] if b[0] != "moratorium"]
        import json

        c.execute(sa.update(rule_sets).values(text=json.dumps(weaker, ensure_ascii=False)))
    with pytest.raises(Invalid, match="others"):
        app.rules.replay()


def test_a_change_is_tried_on_what_was_logged(world) -> None:
    """Lifting the moratorium, disabling a rulebook, declaring a form: each tells what would come out otherwise."""
    app = world.app
    index = _denied_once(world)
    lifted = app.rules.diff(days=1, without=[FORM])
    assert [(d.index, d.was, d.now) for d in lifted.differences] == [(index, "deny", "permit")]
    assert app.rules.diff(days=1, disable=["gdpr"]).differences == ()
    world.lift_moratorium()
    again = app.rules.diff(days=1, declare=[m for m in app.oversight.forms() if m.id == FORM])
    assert again.differences == ()
    world.denied(lambda: app.faces.compare(world.officer, b"", b"", threshold=98.0))
    floor = world.app.guard.written[0]
    without = app.rules.diff(days=1, disable=["amazon-public-safety"])
    assert floor in {d.index for d in without.differences if d.now == "permit"}
    world.clock.forward(days=2)
    app.collections.list(ME, after=0, limit=1)
    assert app.rules.diff(days=1, without=[], disable=["gdpr"]).requests == 1
    with pytest.raises(NotFound):
        app.rules.diff(days=1, disable=["nothing"])
    with pytest.raises(NotFound):
        app.rules.diff(days=1, without=[FORM])
    with pytest.raises(Invalid):
        app.rules.diff(days=1, disable=["base"])


def test_no_decision_is_taken_by_rules_that_do_not_load(world, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rulebook with an error is refused at the start, and the message names it."""
    from custodes.governance import registry
    from custodes.governance.rulebook import shipped

    books = list(shipped())
    broken = [replace(b, text=b.text.replace("context.case.own", "context.cas.own", 1)) for b in books]
    monkeypatch.setattr(registry, "shipped", lambda: tuple(broken))
    with pytest.raises(Invalid, match="Rulebook base, rule base"):
        world.reopen()
    monkeypatch.undo()
    world.reopen()
    assert Percent(99) == 99
