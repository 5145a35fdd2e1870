# SPDX-License-Identifier: Apache-2.0
"""What is remembered is what would be decided: at every instant around every boundary, for every worked case."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from custodes.governance.memo import Memo, _times
from custodes.governance.policy import Decision, RuleSet
from custodes.governance.request import Action, OrganisationFacts, OrgClass, Request, Use
from custodes.governance.rulebook import shipped

MS, US = timedelta(milliseconds=1), timedelta(microseconds=400)
NOW = datetime(2026, 1, 15, tzinfo=UTC)
BOOKS = shipped()
FORMS = [form.moratorium for book in BOOKS for form in book.moratoria]
REQUEST = Request("p", Action.DETECT, Use(NOW, OrganisationFacts(OrgClass.GENERAL), "photo-library"))
RULES = RuleSet.compile(BOOKS, FORMS)


@pytest.mark.parametrize("book", BOOKS, ids=[b.id for b in BOOKS])
def test_what_is_remembered_is_what_would_be_decided(book) -> None:
    """Each case is asked again and again, at instants around all that count, forwards and backwards."""
    constants = [t for m in FORMS for t in (m.begins, m.ends) if t is not None]
    for case in book.cases:
        request = case.request
        instants = [*constants, *_times(request.facts), NOW]
        times = sorted({t + d for t in instants for d in (-MS, -US, timedelta(0), US, MS)})
        for now in [*times, *reversed(times)]:
            asked = replace(request, facts=replace(request.facts, now=now))
            assert RULES.decide(asked) == RULES.judge(asked), (case.name, now)


def test_the_shipped_rules_are_remembered() -> None:
    """They only compare the time; a second question costs no judgement."""
    assert RULES._memo.works
    first = RULES.decide(REQUEST)
    later = replace(REQUEST, facts=replace(REQUEST.facts, now=NOW + timedelta(days=1)))
    assert RULES.decide(later) is first


@pytest.mark.parametrize(
    ("text", "works"),
    [
        ('forbid (principal, action, resource) when { context.now >= datetime("2026-01-01T00:00:00Z") };', True),
        ("forbid (principal, action, resource) when { context.now < context.authority.not_after };", True),
        ("forbid (principal, action, resource) when { context.authority.not_before <= context.now };", True),
        ("// context.now.toDate()\nforbid (principal, action, resource) when { context.own };", True),
        ("forbid (principal, action, resource) when { context.now.toDate() == context.day };", False),
        ('forbid (principal, action, resource) when { context.now < context.given.offset(duration("30d")) };', False),
        ('forbid (principal, action, resource) when { context.given.offset(duration("1d")) < context.now };', False),
        (
            "forbid (principal, action, resource) when { context.now.durationSince(context.given) > context.most };",
            False,
        ),
        ('forbid (principal, action, resource) when { context["now"] < context.given };', False),
        ("forbid (principal, action, resource) when { [context.now].contains(context.given) };", False),
        ('forbid (principal, action, resource) when { context.now < datetime("2026-01-01T00:00:00.5+0100") };', True),
        ('forbid (principal, action, resource) when { context.now < datetime("whenever") };', False),
    ],
)
def test_rules_that_do_more_with_the_time_are_not_remembered(text: str, works: bool) -> None:
    """Only comparisons with constants and with facts as they are: everything else is judged each time."""
    memo = Memo(text)
    assert memo.works is works
    memo.keep(memo.key(REQUEST), REQUEST, Decision(allowed=True))
    assert (memo.find(memo.key(REQUEST), NOW) is not None) is works


def test_errors_are_not_remembered() -> None:
    """What could not be judged is judged again."""
    memo = Memo("")
    memo.keep(memo.key(REQUEST), REQUEST, Decision(False, (), ("broken",)))
    assert memo.find(memo.key(REQUEST), NOW) is None
