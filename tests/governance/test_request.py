# SPDX-License-Identifier: Apache-2.0
"""Requests to the rules: written down and read again without loss; nothing else is read."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custodes.errors import Invalid
from custodes.governance import request as module
from custodes.governance.request import (
    Act,
    Action,
    AuthorityFacts,
    CameraFacts,
    CaseFacts,
    ConsentFacts,
    EvaluationFacts,
    OrganisationFacts,
    OrgClass,
    Percent,
    Request,
    ResultFacts,
    ReviewFacts,
    Target,
    Tracking,
    Use,
    Uses,
    from_json,
    to_json,
)

_TEXT = st.text(max_size=12)
_SET = st.frozensets(_TEXT, max_size=4)
_COUNT = st.integers(0, 2**40)
_TIME = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)).map(
    lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000)
)
_PERCENT = st.integers(0, 1_000_000).map(lambda n: Percent(f"{n / 10_000:.4f}"))


def _maybe(strategy: st.SearchStrategy) -> st.SearchStrategy:
    return st.none() | strategy


_ORG = st.builds(OrganisationFacts, st.sampled_from(OrgClass), _TEXT, _TEXT)
_USE = st.builds(
    Use,
    now=_TIME,
    org=_ORG,
    purpose=_TEXT,
    roles=_SET,
    trained=st.booleans(),
    suspended=st.booleans(),
    stopped=st.booleans(),
    attested=_SET,
    key_expires=_maybe(_TIME),
    case=_maybe(st.builds(CaseFacts, _TEXT, st.booleans(), st.booleans(), _maybe(st.booleans()))),
    authority=_maybe(st.builds(AuthorityFacts, _TEXT, st.booleans(), _SET, _SET, st.booleans(), _TIME, _TIME)),
    consent=_maybe(st.builds(ConsentFacts, _TEXT, st.booleans(), _SET, _TIME, _TIME)),
    collection=_maybe(st.builds(Target, _TEXT, st.booleans(), _TEXT, _TEXT, st.booleans(), _maybe(_COUNT))),
    threshold=_maybe(_PERCENT),
    attributes=_SET,
    provenance=_maybe(_TEXT),
    probe_faces=_COUNT,
    probe_enrolled=st.booleans(),
    output=_TEXT,
    live=st.booleans(),
    today=st.builds(Uses, _COUNT, _COUNT),
    tracking=_maybe(st.builds(Tracking, _COUNT, _COUNT)),
    results=_maybe(st.builds(ResultFacts, st.booleans(), st.booleans(), st.booleans(), _COUNT)),
    exigency_overdue=_maybe(st.booleans()),
    review=_maybe(st.builds(ReviewFacts, _COUNT, st.booleans(), st.booleans(), _COUNT)),
    evaluation=_maybe(
        st.builds(EvaluationFacts, st.booleans(), _COUNT, _PERCENT, _COUNT, st.booleans(), _COUNT, _COUNT)
    ),
    discloses=_maybe(_SET),
    camera=_maybe(st.builds(CameraFacts, st.booleans(), _TEXT)),
    police=_maybe(st.booleans()),
)
_ACT = st.builds(
    Act,
    now=_TIME,
    org=_ORG,
    purpose=_TEXT,
    person=_TEXT,
    roles=_SET,
    suspended=st.booleans(),
    key_expires=_maybe(_TIME),
    proposer=_maybe(_TEXT),
    reason=st.booleans(),
    own=st.booleans(),
    overseers=_COUNT,
    appoints=_maybe(_TEXT),
    dismisses=_maybe(_TEXT),
    police=_maybe(st.booleans()),
    case_kind=_maybe(_TEXT),
    target_org=_maybe(_ORG),
    approved_by=_maybe(_SET),
    household=_maybe(st.booleans()),
)
_ACTIONS = {kind: [a for a in Action if (a in module._ACTS) == (kind is Act)] for kind in (Use, Act)}
REQUESTS = st.builds(Request, _TEXT, st.sampled_from(_ACTIONS[Use]), _USE) | st.builds(
    Request, _TEXT, st.sampled_from(_ACTIONS[Act]), _ACT
)
MEASURED = {
    "current": True,
    "age_days": 3,
    "similarity": "99.0000",
    "groups": 2,
    "enough": True,
    "false_match_ppm": 40,
    "false_non_match_ppm": 9000,
}
WRITTEN = {
    "principal": "ann",
    "action": "Detect",
    "facts": {"now": "2026-01-01T00:00:00.000Z", "org": {"class": "general"}, "purpose": "photo-library"},
}


@given(REQUESTS)
def test_a_request_survives_being_written_down(asked: Request) -> None:
    """What is read is what was written, also through bytes."""
    written = to_json(asked)
    assert from_json(json.loads(json.dumps(written))) == asked
    assert to_json(from_json(written)) == written


def test_times_are_written_in_utc_to_the_millisecond() -> None:
    """A time is the same instant wherever it was taken."""
    here = datetime(2026, 1, 1, 1, 0, 0, 1999, tzinfo=timezone(timedelta(hours=1)))
    asked = Request("ann", Action.DETECT, Use(here, OrganisationFacts(OrgClass.GENERAL), "photo-library"))
    assert to_json(asked)["facts"]["now"] == "2026-01-01T00:00:00.001Z"
    with pytest.raises(ValueError, match="time zone"):
        to_json(replace(asked, facts=replace(asked.facts, now=datetime(2026, 1, 1))))


def _changed(**facts: object) -> dict[str, object]:
    return {**WRITTEN, "facts": {**WRITTEN["facts"], **facts}}


@pytest.mark.parametrize(
    "hostile",
    [
        None,
        3,
        "Detect",
        [],
        {},
        {**WRITTEN, "action": "Fly"},
        {**WRITTEN, "action": ["Detect"]},
        {**WRITTEN, "action": None},
        {**WRITTEN, "action": "ManagePeople"},
        {**WRITTEN, "facts": None},
        {**WRITTEN, "facts": []},
        {**WRITTEN, "facts": {}},
        {"action": "Detect", "facts": WRITTEN["facts"]},
        _changed(weather="fine"),
        _changed(**{"class": "general"}),
        _changed(now=None),
        _changed(now=3),
        _changed(now="yesterday"),
        _changed(now="2026-01-01T00:00:00"),
        _changed(now="0001-01-01T00:00:00+14:00"),
        _changed(now="9999-12-31T23:59:59-14:00"),
        _changed(org="general"),
        _changed(org={"class": "army"}),
        _changed(org={"class_": "general"}),
        _changed(org={1: "general", "x": 2}),
        _changed(purpose=3),
        _changed(trained="yes"),
        _changed(trained=1),
        _changed(roles="admin"),
        _changed(roles=[1]),
        _changed(roles=None),
        _changed(probe_faces=True),
        _changed(probe_faces=1.0),
        _changed(threshold="high"),
        _changed(threshold=[]),
        _changed(threshold=True),
        _changed(threshold="nan"),
        _changed(threshold="inf"),
        _changed(threshold=-1),
        _changed(threshold=100.1),
        _changed(today={"principal": "many"}),
        _changed(case={"kind": "missing-person", "open": True}),
        _changed(case={"kind": "missing-person", "open": True, "own": True, "paused": "no"}),
        _changed(review={"round": 2, "same_person": False, "exposed": False}),
        _changed(review={"round": "2", "same_person": False, "exposed": False, "controls": 3}),
        _changed(review={"round": 2, "same_person": False, "exposed": 0, "controls": 3}),
        _changed(evaluation={k: v for k, v in MEASURED.items() if k != "similarity"}),
        _changed(evaluation=MEASURED | {"similarity": "100.1"}),
        _changed(evaluation=MEASURED | {"similarity": None}),
        _changed(evaluation=MEASURED | {"current": 1}),
        _changed(evaluation=MEASURED | {"groups": 2.0}),
        _changed(evaluation=MEASURED | {"false_match_ppm": "40"}),
        _changed(discloses="scores"),
        _changed(discloses=["scores", 1]),
        _changed(discloses=None),
        _changed(target_org={"class": "law-enforcement"}),
        _changed(collection={"id": "a", "own": True, "owner_class": "general", "purpose": "x", "retention_days": "9"}),
    ],
)
def test_what_is_no_request_is_refused(hostile: object) -> None:
    """Wrong types, strays, gaps and impossible times end in one error, whoever wrote them."""
    with pytest.raises(Invalid, match="no request"):
        from_json(hostile)  # type: ignore[arg-type]


def test_what_is_a_request_is_read() -> None:
    """The least of facts is enough."""
    assert from_json(WRITTEN).facts == Use(
        datetime(2026, 1, 1, tzinfo=UTC), OrganisationFacts(OrgClass.GENERAL), "photo-library"
    )


def test_an_evaluation_is_read_as_it_is_written() -> None:
    """Its similarity is a text of four places, as every similarity; the rest are numbers and truths."""
    read = from_json(_changed(evaluation=MEASURED))
    assert isinstance(read.facts, Use)
    assert read.facts.evaluation == EvaluationFacts(True, 3, Percent(99), 2, True, 40, 9000)
    assert to_json(read)["facts"]["evaluation"] == MEASURED


def test_what_is_disclosed_is_read_as_it_is_written() -> None:
    """In the order of the alphabet; nothing at all is told from what isn't stated."""
    for written, told in ((["faces", "scores"], {"scores", "faces"}), ([], set())):
        read = from_json(_changed(discloses=written))
        assert isinstance(read.facts, Use)
        assert read.facts.discloses == frozenset(told)
        assert to_json(read)["facts"]["discloses"] == written


OLD = {
    "principal": "bob",
    "action": "SearchReferences",
    "facts": {
        "now": "2026-01-01T00:00:00.000Z",
        "org": {"class": "law-enforcement", "jurisdiction": "US-WA", "country": "US"},
        "purpose": "missing-person",
        "case": {"kind": "missing-person", "open": True, "own": True},
    },
}


def test_facts_that_came_later_are_not_in_what_was_written_before() -> None:
    """A request without them is written as it always was, so that rules of its time decide it again."""
    read = from_json(OLD)
    assert isinstance(read.facts, Use)
    assert (read.facts.review, read.facts.case) == (None, CaseFacts("missing-person", open=True, own=True))
    written = to_json(read)["facts"]
    assert written["case"] == OLD["facts"]["case"]
    assert not {"review", "exigency_overdue", "evaluation", "discloses", "camera", "police"} & set(written)
    act = Act(datetime(2026, 1, 1, tzinfo=UTC), OrganisationFacts(OrgClass.GENERAL), "photo-library", "olga")
    told = to_json(Request("olga", Action.MANAGE_CASES, act))["facts"]
    assert not {"case_kind", "target_org", "police", "household"} & set(told)
