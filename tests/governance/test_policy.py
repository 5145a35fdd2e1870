# SPDX-License-Identifier: Apache-2.0
"""The rule engine: what loads, what decides, and that whatever goes wrong denies."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import cedarpy
import pytest

from custodes.errors import Invalid
from custodes.governance import policy
from custodes.governance.moratorium import GROUPS, USES, Exemption, Moratorium
from custodes.governance.policy import ENGINE_ERROR, Decision, Rule, RuleSet, cedar_of
from custodes.governance.request import (
    Act,
    Action,
    CaseFacts,
    EvaluationFacts,
    OrganisationFacts,
    OrgClass,
    Percent,
    Purpose,
    Request,
    Target,
    Use,
    to_json,
)
from custodes.governance.rulebook import Rulebook, default_moratoria, load, schema_text, shipped, standard

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
ALBUM = Target("album", own=True, owner_class="general", purpose="photo-library")
SEARCH = Request(
    "ann",
    Action.SEARCH_REFERENCES,
    Use(NOW, OrganisationFacts(OrgClass.GENERAL), "photo-library", collection=ALBUM, threshold=Percent(80)),
)
MORATORIUM = Moratorium(
    id="test",
    classes=frozenset({OrgClass.GENERAL}),
    jurisdictions=frozenset(),
    actions=frozenset({"Recognise"}),
    purposes=frozenset(),
    begins=NOW,
    ends=NOW + timedelta(days=1),
    exempt=(),
    citation='A "quoted" source with a \\ in it',
    explain="Nobody searches.",
    remedy="Wait.",
)


def _rule(body: str, rule_id: str = "extra.rule") -> str:
    return f'@id("{rule_id}") @citation("c") @explain("e") @remedy("r")\n{body}\n'


def _book(text: str, book_id: str = "extra") -> Rulebook:
    return Rulebook(book_id, "t", "s", (), text)


@pytest.fixture(scope="module")
def base() -> Rulebook:
    """The shipped base rules."""
    return load("base")


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    """All that is in force from the start."""
    return RuleSet.compile(standard(shipped()), default_moratoria(shipped()))


def _with(**facts: object) -> Request:
    return replace(SEARCH, facts=replace(SEARCH.facts, **facts))


# --- What loads -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (_rule("forbid (principal, action, resource) whn { true };"), "Rulebook extra, rule extra.rule"),
        (_rule("forbid (principal, action, resource)"), "Rulebook extra"),
        (_rule('forbid (principal, action, resource) when { "\n@id("x" };'), "Rulebook extra"),
        ('@id("extra.rule") forbid (principal, action, resource);', "extra.rule: @citation is missing"),
        ("forbid (principal, action, resource);", "rule number 1: @citation is missing"),
        (_rule("forbid (principal, action, resource);").replace('"r"', '""'), "@remedy is missing"),
        (_rule("forbid (principal, action, resource);").replace('"e"', '"e\\n"'), "no line of text"),
        ('@colour("red") ' + _rule("forbid (principal, action, resource);"), "there is no @colour"),
        (_rule("forbid (principal, action, resource);") * 2, "Two rules are called extra.rule"),
        (_rule("forbid (principal, action, resource);", "other.rule"), "its id begins with extra."),
        (_rule("forbid (principal, action, resource);", "extra.Rule"), "lower-case"),
        (_rule("permit (principal, action, resource);"), "every other rule forbids"),
        (_rule("forbid (principal == ?principal, action, resource);"), "no slots"),
        (
            _rule('forbid (principal, action == Action::"Enrol", resource) when { context.case.open };'),
            "Rulebook extra, rule extra.rule: unable to guarantee safety of access to optional attribute `case`",
        ),
        (_rule("forbid (principal, action, resource) when { context.weather };"), "attribute `weather`"),
        (_rule('forbid (principal, action == Action::"Fly", resource);'), "extra.rule: unrecognized action"),
    ],
)
def test_what_is_no_rule_does_not_load(base: Rulebook, text: str, said: str) -> None:
    """A set with a rule that can't be trusted isn't made; the message names rulebook and rule."""
    with pytest.raises(Invalid, match=said.replace(".", r"\.").replace("(", r"\(")):
        RuleSet.compile([base, _book(text)], [])


def test_a_set_without_its_base_does_not_load(base: Rulebook) -> None:
    """Base is there, once, with its permit; reserved names stay reserved."""
    with pytest.raises(Invalid, match="has the rulebook base"):
        RuleSet.compile([_book("")], [])
    with pytest.raises(Invalid, match="has the rulebook base"):
        RuleSet.compile([replace(base, text="")], [])
    with pytest.raises(Invalid, match="Two"):
        RuleSet.compile([base, base], [])
    with pytest.raises(Invalid, match="may be called moratorium"):
        RuleSet.compile([base, _book("", "moratorium")], [])
    with pytest.raises(Invalid, match="Two rulebooks are called extra"):
        RuleSet.compile([base, _book(""), _book("")], [])
    with pytest.raises(Invalid, match="schema"):
        RuleSet("entity", [("base", base.text)])


def test_rules_stand_in_the_order_of_rulebooks(rules: RuleSet) -> None:
    """Base comes first, then moratoria, then the others by name, however they were given."""
    names = ["amazon-public-safety", "eu-ai-act", "evaluation-gate", "gdpr", "moratorium-2020", "us-il-bipa", "us-wa"]
    assert rules.rulebooks == ("base", "moratorium", *names)
    again = RuleSet.compile(standard(shipped())[::-1], default_moratoria(shipped()))
    assert again.hash == rules.hash


def test_a_moratorium_reads_like_a_rule() -> None:
    """The generated policy is what a person would have written."""
    exempt = (Exemption(OrgClass.VICTIM_RESCUE, frozenset({Purpose.MISSING_PERSON})),)
    moratorium = replace(MORATORIUM, jurisdictions=frozenset({"US-WA", "DE"}), ends=None, exempt=exempt)
    assert cedar_of(moratorium) == (
        '@id("moratorium.test")\n'
        '@citation("A \\"quoted\\" source with a \\\\ in it")\n'
        '@explain("Nobody searches.")\n'
        '@remedy("Wait.")\n'
        'forbid (principal, action in [Action::"Recognise"], resource)\n'
        "when {\n"
        '  ["general"].contains(context.org.class) &&\n'
        '  (context.org.jurisdiction == "DE" || context.org.jurisdiction like "DE-*" || context.org.country == "DE" || '
        'context.org.jurisdiction == "US-WA") &&\n'
        '  context.now >= datetime("2026-01-15T12:00:00.000Z")\n'
        "}\n"
        "unless {\n"
        '  context.org.class == "victim-rescue" &&\n'
        '  ["missing-person"].contains(context.purpose) &&\n'
        "  context has case && context.case.own && context.case.open && context.case.kind == context.purpose\n"
        "};\n"
        '@id("moratorium.test.cases")\n'
        '@citation("A \\"quoted\\" source with a \\\\ in it")\n'
        '@explain("Nobody searches. Meanwhile no case is opened for what is forbidden.")\n'
        '@remedy("Wait.")\n'
        'forbid (principal, action in [Action::"OpenCase"], resource)\n'
        "when {\n"
        "  context has case_kind && context has target_org &&\n"
        '  ["general"].contains(context.target_org.class) &&\n'
        '  (context.target_org.jurisdiction == "DE" || context.target_org.jurisdiction like "DE-*" || '
        'context.target_org.country == "DE" || context.target_org.jurisdiction == "US-WA") &&\n'
        '  context.now >= datetime("2026-01-15T12:00:00.000Z")\n'
        "}\n"
        "unless {\n"
        '  context.target_org.class == "victim-rescue" &&\n'
        '  ["missing-person"].contains(context.case_kind)\n'
        "};\n"
    )


POLICE = OrganisationFacts(OrgClass.LAW_ENFORCEMENT, "US-WA", "US")
OPENING = Request(
    "olga",
    Action.OPEN_CASE,
    Act(
        NOW,
        OrganisationFacts(OrgClass.GENERAL),
        "photo-library",
        "olga",
        roles=frozenset({"operator"}),
        own=False,
        case_kind="criminal-investigation",
        target_org=POLICE,
    ),
)
BAN = replace(MORATORIUM, classes=frozenset({OrgClass.LAW_ENFORCEMENT}))


def _opening(**facts: object) -> Request:
    return replace(OPENING, facts=replace(OPENING.facts, **facts))


@pytest.mark.parametrize(
    ("moratorium", "request_", "bound"),
    [
        (BAN, OPENING, True),
        (BAN, _opening(target_org=OrganisationFacts(OrgClass.VICTIM_RESCUE), case_kind="missing-person"), False),
        (BAN, _opening(org=POLICE, own=True, roles=frozenset({"admin"})), True),
        (BAN, _opening(now=NOW - timedelta(milliseconds=1)), False),
        (BAN, _opening(now=NOW + timedelta(days=1)), False),
        (replace(BAN, purposes=frozenset({Purpose.MISSING_PERSON})), OPENING, False),
        (replace(BAN, purposes=frozenset({Purpose.CRIMINAL_INVESTIGATION})), OPENING, True),
        (replace(BAN, jurisdictions=frozenset({"US-OR"})), OPENING, False),
        (replace(BAN, jurisdictions=frozenset({"US"})), OPENING, True),
        (replace(BAN, actions=frozenset({"Search"})), OPENING, True),
        (replace(BAN, actions=frozenset({"SearchReferences"})), OPENING, True),
        (replace(BAN, actions=frozenset({"Compare", "Store", "Detect"})), OPENING, False),
        (
            replace(BAN, exempt=(Exemption(OrgClass.LAW_ENFORCEMENT, frozenset({Purpose.CRIMINAL_INVESTIGATION})),)),
            OPENING,
            False,
        ),
        (
            replace(BAN, exempt=(Exemption(OrgClass.LAW_ENFORCEMENT, frozenset({Purpose.MISSING_PERSON})),)),
            OPENING,
            True,
        ),
        (BAN, replace(_opening(case_kind=None, target_org=None), action=Action.MANAGE_CASES), False),
    ],
)
def test_no_case_is_opened_for_what_a_moratorium_forbids(
    base: Rulebook, moratorium: Moratorium, request_: Request, bound: bool
) -> None:
    """One that binds searches refuses cases of the kinds, organisations and time that it binds, and no others."""
    decision = RuleSet.compile([base], [moratorium]).judge(request_)
    assert {rule.id for rule in decision.rules} == ({"moratorium.test.cases"} if bound else set())
    assert decision.allowed != bound


def test_a_moratorium_may_say_as_much_as_before(base: Rulebook) -> None:
    """The longest explanation that a moratorium may have still loads with what is added to it for cases."""
    rules = RuleSet.compile([base], [replace(MORATORIUM, explain="x" * 1000)])
    assert {"moratorium.test", "moratorium.test.cases"} <= {rule.id for rule in rules.rules}


def test_a_moratorium_that_takes_the_name_of_anothers_rule_does_not_load(base: Rulebook) -> None:
    """One that is called like the rule for cases of another is refused, and isn't taken for it."""
    with pytest.raises(Invalid, match=r"Two rules are called moratorium\.test\.cases"):
        RuleSet.compile([base], [MORATORIUM, replace(MORATORIUM, id="test.cases")])


@pytest.mark.parametrize(
    ("jurisdictions", "jurisdiction", "country", "bound"),
    [
        ({"US-WA"}, "US-WA", "US", True),
        ({"US-WA"}, "US-WAX", "US", False),
        ({"US-WA"}, "US", "US", False),
        ({"US"}, "US-WA", "US", True),
        ({"US"}, "US", "US", True),
        ({"US"}, "US-WA", "ZZ", True),
        ({"US"}, "DE-BE", "DE", False),
        ({"US", "DE"}, "DE-BE", "DE", True),
        (set(), "ZZ", "ZZ", True),
    ],
)
def test_a_moratorium_binds_where_it_says(
    base: Rulebook, jurisdictions: set[str], jurisdiction: str, country: str, bound: bool
) -> None:
    """A country includes its parts, a part nothing else, and no place means everywhere."""
    rules = RuleSet.compile([base], [replace(MORATORIUM, jurisdictions=frozenset(jurisdictions))])
    decision = rules.decide(_with(org=OrganisationFacts(OrgClass.GENERAL, jurisdiction, country)))
    assert decision.allowed != bound


def test_a_moratorium_is_on_uses_alone(base: Rulebook) -> None:
    """Single uses can be forbidden; deleting, reading and governing can't, or nobody could ease or stop any more."""
    exempt = (Exemption(OrgClass.GENERAL, frozenset({Purpose.PHOTO_LIBRARY})),)
    rules = RuleSet.compile([base], [replace(MORATORIUM, actions=frozenset({"Compare", "Detect"}), exempt=exempt)])
    assert not rules.decide(replace(SEARCH, action=Action.DETECT)).allowed
    assert rules.decide(SEARCH).allowed
    for action in ("ApproveEasing", "StopUse", "DeleteReferences", "ListCollections", "Oversee", "Erase", "Nothing"):
        with pytest.raises(Invalid, match="uses of faces"):
            replace(MORATORIUM, actions=frozenset({action}))


def _bound_by(rules: RuleSet) -> set[Action]:
    """Return the uses that the moratorium forbids to a photo app."""
    told = {action: rules.judge(replace(SEARCH, action=action)) for action in USES}
    return {action for action, said in told.items() if "moratorium.test" in {rule.id for rule in said.rules}}


@pytest.mark.parametrize("action", USES)
def test_a_moratorium_may_name_each_use(base: Rulebook, action: Action) -> None:
    """One that names a single use forbids that one and no other, whatever its purposes, places and exemptions."""
    named = frozenset({str(action)})
    exempt = (Exemption(OrgClass.VICTIM_RESCUE, frozenset({Purpose.MISSING_PERSON})),)
    assert _bound_by(RuleSet.compile([base], [replace(MORATORIUM, actions=named, exempt=exempt)])) == {action}
    there = replace(MORATORIUM, actions=named, jurisdictions=frozenset({"US"}))
    assert _bound_by(RuleSet.compile([base], [there])) == set()


def test_measuring_goes_on_unless_a_moratorium_names_it(base: Rulebook) -> None:
    """No group of actions holds it, so that who may not search may still find out how well this works."""
    rules = RuleSet.compile([base], [replace(MORATORIUM, actions=GROUPS)])
    assert set(USES) - _bound_by(rules) == {Action.DETECT, Action.EVALUATE}
    asked = replace(_with(roles=frozenset({"admin"}), provenance="own"), action=Action.EVALUATE)
    assert rules.judge(asked).allowed
    denied = RuleSet.compile([base], [replace(MORATORIUM, actions=frozenset({"Evaluate"}))]).judge(asked)
    assert [rule.id for rule in denied.rules] == ["moratorium.test"]


def test_a_validator_that_is_unhappy_is_believed(base: Rulebook, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the validator finds, named or not, the set isn't made."""
    for found in ([], [{"policy_id": "", "error": "odd"}], [{"policy_id": "policy1", "error": "odd"}]):
        answer = cedarpy.ValidationResult({"validation_passed": False, "errors": found})
        monkeypatch.setattr(policy.cedarpy, "validate_policies", lambda *_, answer=answer: answer)
        with pytest.raises(Invalid, match=r"don't fit|The rules: odd|rule base\.stopped: odd"):
            RuleSet.compile([base], [])


# --- The set as a text ----------------------------------------------------------------------------------------------


def test_a_set_is_made_again_from_its_text(rules: RuleSet) -> None:
    """The text holds everything that decides: the set that it makes has the same hash and decides the same."""
    again = RuleSet.from_text(rules.text())
    assert (again.hash, again.text(), again.rules) == (rules.hash, rules.text(), rules.rules)
    for case in (case for book in shipped() for case in book.cases):
        assert again.decide(case.request) == rules.decide(case.request)


def test_the_hash_changes_with_any_change(base: Rulebook) -> None:
    """Schema, any rule, and every part of a moratorium count."""
    other = replace(
        MORATORIUM,
        classes=frozenset({OrgClass.TESTER}),
        jurisdictions=frozenset({"US"}),
        actions=frozenset({"Search"}),
        purposes=frozenset({Purpose.TESTING}),
        begins=NOW + timedelta(milliseconds=1),
        ends=None,
        exempt=(Exemption(OrgClass.TESTER, frozenset({Purpose.TESTING})),),
        citation="x",
        explain="x",
        remedy="x",
        id="x",
    )
    hashes = [RuleSet.compile([base], [replace(MORATORIUM, **{n: getattr(other, n)})]).hash for n in other.__slots__]
    hashes += [RuleSet.compile([base], m).hash for m in ([], [MORATORIUM], [MORATORIUM, other])]
    hashes.append(RuleSet.compile([replace(base, text=base.text + "\n// seen")], []).hash)
    hashes.append(RuleSet.compile([base, _book("")], []).hash)
    hashes.append(RuleSet(schema_text() + "\n// seen", [("base", base.text)]).hash)
    assert len(set(hashes)) == len(hashes)
    assert all(len(h) == 64 for h in hashes)


LATER = (
    ",\n  review?: Review",
    ", paused?: Bool",
    ",\n  case_kind?: String,\n  target_org?: Organisation",
    ",\n  evaluation?: Evaluation",
    ",\n  discloses?: Set<String>",
)
"""Facts that came after the first installations."""


def test_a_set_from_before_a_fact_came_decides_what_was_asked_then() -> None:
    """A kept set keeps its schema: requests of its time are decided again, and later ones aren't taken for them."""
    schema = schema_text()
    for fact in LATER:
        assert schema.count(fact) == 1
        schema = schema.replace(fact, "")
    permit = _rule("permit (principal, action, resource);", "base.permit")
    closed = _rule("forbid (principal, action, resource) when { context has case && !context.case.open };", "base.case")
    old = RuleSet.from_text(RuleSet(schema, [("base", permit + closed)]).text())
    assert old.judge(_with(case=CaseFacts("missing-person", open=True, own=True))).allowed
    denied = old.judge(_with(case=CaseFacts("missing-person", open=False, own=True)))
    assert [rule.id for rule in denied.rules] == ["base.case"]
    assert old.judge(replace(_opening(case_kind=None, target_org=None), action=Action.MANAGE_CASES)).allowed
    assert _denied_by_engine(old.judge(_with(case=CaseFacts("x", open=True, own=True, paused=True))), "paused")
    assert _denied_by_engine(old.judge(_with(evaluation=EvaluationFacts(True, 1, Percent(99), 2, True, 1, 1))), "evalu")
    assert _denied_by_engine(old.judge(_with(discloses=frozenset({"scores"}))), "discloses")


@pytest.mark.parametrize("text", ["", "[]", "{}", "3", '{"schema": "", "rulebooks": [["base"]]}', "null"])
def test_a_text_that_is_no_set_is_refused(text: str) -> None:
    """What isn't a set's text makes none."""
    with pytest.raises(Invalid, match="no set of rules"):
        RuleSet.from_text(text)


def test_a_text_that_was_touched_is_refused(rules: RuleSet) -> None:
    """A set's text is as it was written, or none."""
    with pytest.raises(Invalid, match="not written as it was"):
        RuleSet.from_text(json.dumps(json.loads(rules.text()), indent=1))
    with pytest.raises(Invalid):
        RuleSet.from_text(rules.text().replace("base.stopped", "bass.stopped"))


# --- What decides ---------------------------------------------------------------------------------------------------


def test_a_denial_says_why_and_what_to_do(rules: RuleSet) -> None:
    """The message names the first rule, its citation, explanation and remedy, and the ids of the others."""
    decision = rules.decide(_with(purpose="oversight", stopped=True, probe_faces=2))
    assert [rule.id for rule in decision.rules] == [
        "base.stopped",
        "base.purpose-of-class",
        "base.oversight-uses-no-faces",
        "base.purpose-limitation",
        "base.one-face",
    ]
    message = decision.message()
    first = decision.rules[0]
    assert message.startswith(f"Denied by base.stopped ({first.citation}): {first.explain} {first.remedy}")
    others = ", ".join(rule.id for rule in decision.rules[1:])
    assert message.endswith(f"4 more rules forbid it: {others}. custodes rules show RULEBOOK tells why.")
    one = Rule("base.a", "base", "c", "e.", "r.")
    two = Decision(False, (one, one)).message()
    assert two.endswith("1 more rule forbids it: base.a. custodes rules show RULEBOOK tells why.")
    assert Decision(False, (one,)).message() == "Denied by base.a (c): e. r."
    assert Decision(True).message() == "Permitted."


def test_sorted_rules_decide_like_the_rules_as_written(rules: RuleSet) -> None:
    """Asking an action's rules alone, without their scopes, comes to the same as asking all of them as they stand."""
    schema = cedarpy.Schema.from_str(schema_text())
    written = cedarpy.PolicySet.from_str("\n".join(text for _, text in json.loads(rules.text())["rulebooks"]))
    actions = cedarpy.Entities.from_json_str("[]", schema)
    asked = 0
    for n, case in enumerate(case for book in shipped() for case in book.cases):
        for action in list(Action)[n % 3 :: 3]:  # each action by a third of the cases
            request = replace(case.request, action=action)
            result = cedarpy.is_authorized(policy._asked(request), written, actions, schema)
            told = rules.decide(request)
            assert told.allowed == result.allowed
            by = set(result.diagnostics.id_annotations_by_reason.values()) if not told.allowed else set()
            assert {rule.id for rule in told.rules} == (by or ({ENGINE_ERROR} if result.diagnostics.errors else by))
            asked += 1
    assert asked > 6000


def test_every_action_can_be_asked_about(rules: RuleSet) -> None:
    """Each action knows its resource and its facts: none is refused because Cedar can't build the request."""
    requests = {case.request.facts.__class__: case.request for book in shipped() for case in book.cases}
    for action in Action:
        built = [rules.decide(replace(request, action=action)) for request in requests.values()]
        assert sum(not decision.errors for decision in built) == 1, action


# --- Whatever goes wrong denies -------------------------------------------------------------------------------------


def _denied_by_engine(decision: Decision, said: str) -> bool:
    last = decision.rules[-1]
    return not decision.allowed and last.id == ENGINE_ERROR and said in last.explain and bool(decision.errors)


def test_a_rule_that_errs_denies(base: Rulebook) -> None:
    """Cedar would skip it and allow; here the request is denied, and the rule named."""
    guarded = _rule("forbid (principal, action, resource) when { context has case && context.case.open };")
    rules = RuleSet.compile([base, _book(guarded)], [])
    assert rules.decide(SEARCH).allowed
    text = base.text + guarded.replace("context has case && ", "")
    broken = cedarpy.PolicySet.from_str(text)  # past the validator, which would refuse it
    rules._policies = dict.fromkeys(rules._policies, broken)
    decision = rules.judge(SEARCH)
    assert [rule.id for rule in decision.rules] == [ENGINE_ERROR]
    assert _denied_by_engine(decision, "extra.rule")
    both = rules.decide(_with(stopped=True))
    assert [rule.id for rule in both.rules] == ["base.stopped", ENGINE_ERROR]


def test_a_missing_fact_denies(base: Rulebook) -> None:
    """A fact that the schema asks for and the request lacks is no permit."""
    schema = schema_text().replace("live: Bool,", "live: Bool, weather: String,")
    assert _denied_by_engine(RuleSet(schema, [("base", base.text)]).decide(SEARCH), "`weather`")


def test_a_fact_too_many_denies(base: Rulebook) -> None:
    """A fact that the schema doesn't know is no permit either."""
    schema = schema_text().replace("output: String,", "output: String, weather?: String,").replace("live: Bool,", "")
    assert _denied_by_engine(RuleSet(schema, [("base", base.text)]).decide(SEARCH), "live")


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"now": datetime(2026, 1, 1)}, "no time zone"),
        ({"now": None}, "`now`"),
        ({"threshold": 80.0}, "dataclass"),
        ({"threshold": Percent("nan")}, "nan"),
        ({"purpose": "\ud800"}, "surrogates"),
        ({"purpose": 3}, "purpose"),
        ({"probe_faces": 2**63}, ""),
        ({"probe_faces": 2**64}, ""),
        ({"roles": "admin"}, "type mismatch"),
        ({"org": None}, "org"),
        ({"live": "no"}, "live"),
    ],
)
def test_facts_that_are_none_deny(rules: RuleSet, facts: dict[str, object], said: str) -> None:
    """What isn't of its type is refused, and the message says what."""
    assert _denied_by_engine(rules.decide(_with(**facts)), said)


def test_an_unknown_action_is_denied(rules: RuleSet) -> None:
    """Nothing is permitted that the schema has no name for."""
    assert _denied_by_engine(rules.decide(replace(SEARCH, action="Fly")), "Fly")  # type: ignore[arg-type]


def test_names_can_not_pretend_to_be_more(rules: RuleSet) -> None:
    """Ids with quotes, and texts that look like Cedar's own values, stay texts."""
    assert rules.decide(replace(SEARCH, principal='x", action, resource); permit (principal')).allowed
    assert rules.decide(_with(collection=replace(ALBUM, id='a"b\n'))).allowed
    denied = rules.decide(_with(purpose='{"__extn": {"fn": "decimal", "arg": "1.0"}}'))
    assert "base.purpose-of-class" in {rule.id for rule in denied.rules}


@pytest.mark.parametrize("fault", [ValueError("v"), RuntimeError("r"), TypeError("t"), KeyError("k"), OverflowError()])
def test_an_engine_that_fails_denies(rules: RuleSet, monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    """An exception in cedarpy is a denial, not a way around the rules."""

    def fail(*_: object) -> None:
        raise fault

    monkeypatch.setattr(policy.cedarpy, "is_authorized", fail)
    assert _denied_by_engine(rules.decide(SEARCH), type(fault).__name__)


@pytest.mark.parametrize(
    "answer",
    [
        {"decision": "Allow", "diagnostics": {"reason": ["policy0"], "errors": ["policy1 erred"]}},
        {"decision": "NoDecision", "diagnostics": {"reason": [], "errors": []}},
        {"decision": "Deny", "diagnostics": {"reason": [], "errors": []}},
        {"decision": "Deny", "diagnostics": {"id_annotations_by_reason": {"policy9": "base.unheard-of"}}},
        {"decision": "Perhaps"},
        {},
    ],
)
def test_an_answer_that_is_no_clear_permit_denies(
    rules: RuleSet, monkeypatch: pytest.MonkeyPatch, answer: dict[str, object]
) -> None:
    """Only Allow without an error permits."""
    monkeypatch.setattr(policy.cedarpy, "is_authorized", lambda *_: cedarpy.AuthzResult(answer))
    decision = rules.decide(SEARCH)
    assert not decision.allowed
    assert decision.rules[-1].id == ENGINE_ERROR


def test_what_is_decided_on_is_what_is_kept() -> None:
    """Cedar reads the very facts that go into the ledger."""
    assert json.loads(str(policy._asked(SEARCH)["context"])) == to_json(SEARCH)["facts"]
