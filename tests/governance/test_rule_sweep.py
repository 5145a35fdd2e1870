# SPDX-License-Identifier: Apache-2.0
"""Every combination of who, where, what for, what, in which case and when: nothing slips through a moratorium.

The oracle below says in Python what the moratorium of 2020 forbids, without looking at the rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import combinations, product

import pytest

from custodes.errors import Invalid
from custodes.governance.policy import ENGINE_ERROR, RuleSet
from custodes.governance.request import (
    Act,
    Action,
    AuthorityFacts,
    AuthorityKind,
    CameraFacts,
    CaseFacts,
    ConsentFacts,
    EvaluationFacts,
    OrganisationFacts,
    OrgClass,
    Percent,
    Purpose,
    Request,
    Role,
    Target,
    Use,
)
from custodes.governance.rulebook import default_moratoria, load, shipped

MILLISECOND = timedelta(milliseconds=1)
PLACES = (("ZZ", "ZZ"), ("US-WA", "US"), ("DE", "DE"))
"""Nowhere, a state with a rulebook of its own, a country with two; the moratorium is the same everywhere."""
ACTIONS = (Action.COMPARE, Action.SEARCH_REFERENCES, Action.SEARCH_SUBJECTS, Action.WATCH, Action.ENROL)
CASES = ("none", "right", "other kind", "closed", "somebody else's")
BEGINS = {
    "amazon-one-year": datetime(2020, 6, 10, tzinfo=UTC),
    "until-further-notice": datetime(2021, 5, 18, tzinfo=UTC),
}
ENDS = {"amazon-one-year": datetime(2021, 6, 10, tzinfo=UTC)}
RESCUE = {Purpose.MISSING_PERSON, Purpose.VICTIM_IDENTIFICATION}


@dataclass(frozen=True)
class Point:
    """One combination."""

    org_class: OrgClass
    place: tuple[str, str]
    purpose: Purpose
    action: Action
    case: str
    now: datetime


def _dates(form: str) -> list[datetime]:
    turns = [BEGINS[form], *([ENDS[form]] if form in ENDS else [datetime(2026, 11, 22, tzinfo=UTC)])]
    return [turn + step for turn in turns for step in (-MILLISECOND, timedelta(0), MILLISECOND)]


def _points(form: str) -> Iterator[Point]:
    """Give every combination; to the millisecond in one place, and in the others before and in the moratorium."""
    dates = _dates(form)
    for place in PLACES:
        nows = dates if place == PLACES[0] else [dates[0], dates[2]]
        yield from (Point(c, place, *p) for c, *p in product(OrgClass, Purpose, ACTIONS, CASES, nows))


def _case(point: Point) -> CaseFacts | None:
    if point.case == "none":
        return None
    other = Purpose.CRIMINAL_INVESTIGATION if point.purpose in RESCUE else Purpose.MISSING_PERSON
    kind = other if point.case == "other kind" else point.purpose
    return CaseFacts(kind, open=point.case != "closed", own=point.case != "somebody else's")


def _request(point: Point) -> Request:
    """Everything that other rules ask for is there, so that what is denied is denied for the point's own sake."""
    start, end = point.now - timedelta(days=1), point.now + timedelta(days=1)
    purposes = frozenset({point.purpose})
    facts = Use(
        now=point.now,
        org=OrganisationFacts(point.org_class, *point.place),
        purpose=point.purpose,
        trained=True,
        attested=frozenset({"us-wa.accountability-report", "us-wa.operational-testing"}),
        case=_case(point),
        authority=AuthorityFacts("warrant", True, purposes, frozenset({"c"}), True, start, end),
        consent=ConsentFacts("written-release", True, purposes, start, end),
        collection=None
        if point.action == Action.COMPARE
        else Target("c", True, point.org_class, point.purpose, retention_days=30),
        threshold=Percent(99.5),
        provenance="case-file",
        live=point.action == Action.WATCH,
        evaluation=EvaluationFacts(True, 1, Percent(99), 2, True, 100, 10_000),
        camera=CameraFacts(own=True, owner_class=point.org_class) if point.action == Action.WATCH else None,
    )
    return Request("someone", point.action, facts)


def _bound(point: Point, form: str) -> bool:
    """Say whether the moratorium forbids it: the oracle."""
    ended = form in ENDS and point.now >= ENDS[form]
    if point.now < BEGINS[form] or ended or point.action == Action.ENROL:
        return False
    if point.org_class == OrgClass.VICTIM_RESCUE:
        return not (point.purpose in RESCUE and point.case == "right")
    if point.org_class == OrgClass.LAW_ENFORCEMENT:
        return not (point.purpose == Purpose.MISSING_PERSON and point.case == "right")
    return False


def _rules(form: str) -> RuleSet:
    forms = [f.moratorium for f in load("moratorium-2020").moratoria if f.moratorium.id == form]
    return RuleSet.compile(shipped(), forms)


@pytest.mark.slow
@pytest.mark.no_cover  # of tens of thousands of calls of the same few lines, which other tests cover
@pytest.mark.parametrize("form", BEGINS)
def test_nothing_slips_through_the_moratorium(form: str) -> None:
    """Inside it there is no permit that the exemption doesn't cover, and its rule forbids exactly what it should."""
    rules, name = _rules(form), f"moratorium.{form}"
    seen: Counter[str] = Counter()
    for point in _points(form):
        decision = rules.judge(_request(point))
        named = {rule.id for rule in decision.rules}
        bound = _bound(point, form)
        assert not (decision.allowed and bound), point
        assert (name in named) == bound, point
        assert ENGINE_ERROR not in named, point
        seen["bound" if bound else "permitted" if decision.allowed else "denied otherwise"] += 1
    assert sum(seen.values()) == 6 * 10 * 5 * 5 * (6 + 2 * 2)
    assert seen["bound"] > 1900
    assert seen["permitted"] > 600


@pytest.mark.parametrize("org_class", [OrgClass.VICTIM_RESCUE, OrgClass.LAW_ENFORCEMENT])
@pytest.mark.parametrize("form", BEGINS)
def test_what_is_exempt_goes_on(form: str, org_class: OrgClass) -> None:
    """The exemption isn't empty: within the moratorium the right case opens the way, for each search, everywhere."""
    rules = _rules(form)
    now = BEGINS[form] + timedelta(days=100)
    for place, action in product(PLACES, ACTIONS):
        point = Point(org_class, place, Purpose.MISSING_PERSON, action, "right", now)
        assert rules.decide(_request(point)).allowed, point


def test_both_forms_together_leave_no_gap() -> None:
    """From 10 June 2020 on police don't search for suspects at any instant, with both forms in force."""
    rules = RuleSet.compile(shipped(), [f.moratorium for f in load("moratorium-2020").moratoria])
    point = Point(
        OrgClass.LAW_ENFORCEMENT,
        PLACES[0],
        Purpose.CRIMINAL_INVESTIGATION,
        Action.SEARCH_REFERENCES,
        "right",
        BEGINS["amazon-one-year"],
    )
    assert rules.decide(_request(replace(point, now=point.now - MILLISECOND))).allowed
    turns = [*_dates("until-further-notice"), *_dates("amazon-one-year")[1:]]
    for now in [turn for turn in turns if turn >= point.now] + [datetime(2999, 1, 1, tzinfo=UTC)]:
        assert not rules.decide(_request(replace(point, now=now))).allowed, now


@pytest.mark.parametrize("role", Role)
def test_no_single_score_reaches_the_police(role: Role) -> None:
    """Whoever measures, where and for what: scores and faces of single comparisons are refused to police alone."""
    rules = RuleSet.compile(shipped(), [])
    told = ({"scores"}, {"faces"}, {"scores", "faces"}, set(), None)
    seen: Counter[str] = Counter()
    for org_class, place, purpose, wanted in product(OrgClass, PLACES, Purpose, told):
        facts = Use(
            BEGINS["amazon-one-year"],
            OrganisationFacts(org_class, *place),
            purpose,
            roles=frozenset({role}),
            provenance="own",
            discloses=None if wanted is None else frozenset(wanted),
        )
        decision = rules.judge(Request("someone", Action.EVALUATE, facts))
        bound = org_class == OrgClass.LAW_ENFORCEMENT and bool(wanted)
        named = {rule.id for rule in decision.rules}
        assert ("base.evaluate-scores" in named) == bound, facts
        assert not (decision.allowed and bound), facts
        assert ENGINE_ERROR not in named, facts
        seen["refused" if bound else "permitted" if decision.allowed else "denied otherwise"] += 1
    assert seen["refused"] == len(PLACES) * 10 * 3
    assert (seen["permitted"] > 10) == (role != Role.OVERSIGHT), seen


KINDS = (Purpose.MISSING_PERSON, Purpose.VICTIM_IDENTIFICATION, Purpose.WELLBEING_CHECK, Purpose.CRIMINAL_INVESTIGATION)
OPENERS = ((OrgClass.GENERAL, "operator"), (OrgClass.LAW_ENFORCEMENT, "admin"))


@pytest.mark.parametrize("form", BEGINS)
def test_no_case_slips_through_the_moratorium(form: str) -> None:
    """Whoever opens it, a case is refused exactly if its organisation couldn't search in it."""
    rules, name = _rules(form), f"moratorium.{form}.cases"
    seen: Counter[str] = Counter()
    for org_class, place, kind, (opener, role), now in product(OrgClass, PLACES, KINDS, OPENERS, _dates(form)):
        target = OrganisationFacts(org_class, *place)
        org = target if role == "admin" else OrganisationFacts(opener)
        facts = Act(
            now, org, "photo-library", "p", frozenset({role}), own=role == "admin", case_kind=kind, target_org=target
        )
        decision = rules.judge(Request("someone", Action.OPEN_CASE, facts))
        bound = _bound(Point(org_class, place, kind, Action.SEARCH_REFERENCES, "right", now), form)
        named = {rule.id for rule in decision.rules}
        assert (name in named) == bound, facts
        assert named <= {name, "base.case-of-class"}, facts
        assert not (decision.allowed and bound), facts
        seen["bound" if bound else "permitted" if decision.allowed else "of another class"] += 1
    assert min(seen.values()) > 60, seen


# --- No household's video for police ----------------------------------------------------------------------------------

FILMED = (Action.WATCH, Action.VIEW_VIDEO, Action.EXPORT_VIDEO)
"""Everything by which somebody sees a camera's video, or learns whom it shows."""
KEPT = "base.household-cameras"


def _grounds(purpose: str, collection: str) -> tuple[AuthorityFacts | None, ...]:
    """None, and one of each kind that covers everything."""
    all_of = frozenset({purpose}), frozenset({collection})
    last, first = datetime(2999, 1, 1, tzinfo=UTC), datetime(1999, 1, 1, tzinfo=UTC)
    return None, *(AuthorityFacts(kind, True, *all_of, True, first, last) for kind in AuthorityKind)


def _filmed(org_class: OrgClass, roles: frozenset[str], purposes: tuple[str, ...]) -> Iterator[Use]:
    """Give uses of a household's camera: with whatever case and authority, in every place, in and out of moratoria."""
    nows = (BEGINS["amazon-one-year"] - MILLISECOND, datetime(2026, 11, 26, tzinfo=UTC))
    for purpose, place, own, now in product(purposes, PLACES, (True, False), nows):
        for owner, authority, case in product((org_class, "household"), _grounds(purpose, "c"), (True, False)):
            yield Use(
                now,
                OrganisationFacts(org_class, *place),
                purpose,
                roles=roles,
                trained=True,
                attested=frozenset({"us-wa.accountability-report", "us-wa.operational-testing"}),
                case=CaseFacts(purpose, open=True, own=True) if case else None,
                authority=authority,
                collection=Target("c", True, owner, purpose, retention_days=30),
                threshold=Percent(99.5),
                evaluation=EvaluationFacts(True, 1, Percent(99), 2, True, 100, 10_000),
                camera=CameraFacts(own, "household"),
            )


def _seen(rules: RuleSet, action: Action, uses: Iterator[Use]) -> Counter[str]:
    """Count by what came of it."""
    seen: Counter[str] = Counter()
    for facts in uses:
        decision = rules.judge(Request("someone", action, replace(facts, live=action == Action.WATCH)))
        named = {rule.id for rule in decision.rules}
        assert ENGINE_ERROR not in named, facts
        seen["permitted" if decision.allowed else KEPT if KEPT in named else "denied otherwise"] += 1
    return seen


@pytest.mark.no_cover  # of thousands of calls of the same few lines, which other tests cover
@pytest.mark.parametrize("action", FILMED)
def test_police_see_no_household_video_on_whatever_ground(action: Action) -> None:
    """By the base rules alone: for no purpose, with no role, case or authority, not even if the camera were theirs."""
    rules = RuleSet.compile([load("base")], [])
    for roles in (frozenset(Role), frozenset({Role.USER})):
        seen = _seen(rules, action, _filmed(OrgClass.LAW_ENFORCEMENT, roles, tuple(Purpose)))
        assert seen == {KEPT: 10 * len(PLACES) * 2 * 2 * 2 * 5 * 2}
    uses = list(_filmed(OrgClass.HOUSEHOLD, frozenset({Role.USER}), (Purpose.HOME_SECURITY,)))
    assert not _seen(rules, action, (replace(use, police=True) for use in uses))["permitted"], "nor one who lives there"
    home = _seen(rules, action, iter(uses))
    assert home["permitted"] >= 10, "the same facts let a household look, or this shows nothing"
    assert KEPT not in home


def test_no_set_of_rulebooks_lets_police_see_a_household_video() -> None:
    """Whichever rulebooks and moratoria are in force: base can't be left out, and no other rule permits anything."""
    others = [book for book in shipped() if book.id != "base"]
    sets = [chosen for n in (0, 1, len(others)) for chosen in combinations(others, n)]
    assert len(sets) == 2 + len(others)
    uses = [use for use in _filmed(OrgClass.LAW_ENFORCEMENT, frozenset(Role), (Purpose.MISSING_PERSON,)) if use.case]
    for chosen, moratoria in product(sets, ([], default_moratoria(shipped()))):
        rules = RuleSet.compile([load("base"), *chosen], moratoria)
        for action, facts in product(FILMED, uses[::40]):
            decision = rules.judge(Request("someone", action, replace(facts, live=action == Action.WATCH)))
            assert KEPT in {rule.id for rule in decision.rules}, (rules.rulebooks, facts)
    with pytest.raises(Invalid, match="has the rulebook base"):
        RuleSet.compile(others, [])
