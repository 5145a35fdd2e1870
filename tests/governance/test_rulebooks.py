# SPDX-License-Identifier: Apache-2.0
"""The rulebooks: their worked cases hold, every rule and every part of a rule is needed by one, nothing is loose."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cedarpy
import pytest

from custodes.errors import Invalid, NotFound
from custodes.governance.cases import read_cases
from custodes.governance.moratorium import Exemption
from custodes.governance.policy import RuleSet
from custodes.governance.request import (
    Action,
    CameraFacts,
    OrganisationFacts,
    OrgClass,
    Percent,
    Purpose,
    Request,
    Target,
    Use,
)
from custodes.governance.rulebook import (
    Form,
    Rulebook,
    default_moratoria,
    floor_of,
    load,
    read,
    shipped,
    standard,
)
from custodes.governance.trial import Outcome, check, explain, run_cases

BOOKS = shipped()
IDS = [book.id for book in BOOKS]
BASE_BOOK = BOOKS[0]
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    """All that is in force from the start."""
    return RuleSet.compile(standard(BOOKS), default_moratoria(BOOKS))


# --- Worked cases ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [o for book in BOOKS for o in check(book)], ids=lambda o: o.case.name)
def test_a_worked_case_holds(outcome: Outcome) -> None:
    """The decision is the expected one, by the expected rules alone, and no rule erred."""
    assert outcome.met, outcome.diagnostics()
    assert not outcome.decision.errors


def test_shipped_rulebooks_are_all_there() -> None:
    """Base comes first and is locked, the others are not; one is off until it is enabled."""
    books = ["amazon-public-safety", "eu-ai-act", "evaluate-first", "evaluation-gate", "gdpr", "moratorium-2020"]
    assert ["base", *books, "us-il-bipa", "us-wa"] == IDS
    assert [book.id for book in BOOKS if book.optional] == ["evaluate-first"]
    assert [book.id for book in BOOKS if book.locked] == ["base"]
    assert all(book.cases and book.sources and book.summary for book in BOOKS)


def test_what_is_in_force_is_what_ships_but_for_what_was_changed() -> None:
    """An optional rulebook waits to be enabled, another to be disabled; base is in force whatever a state says."""
    ids = set(IDS)
    assert {b.id for b in standard(BOOKS)} == ids - {"evaluate-first"}
    changed = {"evaluate-first": True, "us-wa": False, "gdpr": True, "base": False, "gone": True}
    assert {b.id for b in standard(BOOKS, changed)} == ids - {"us-wa"}
    assert {b.id for b in standard(BOOKS, {"evaluate-first": False})} == ids - {"evaluate-first"}


def test_both_demands_for_an_evaluation_are_one_but_for_whom_they_bind() -> None:
    """Police and all others but testers are asked for the same, by the same bounds; what is typed differs."""
    gate, first = (" ".join(load(b).text.split("\n\n", 1)[1].split()) for b in ("evaluation-gate", "evaluate-first"))
    for ours, theirs in (
        ("evaluation-gate.", "evaluate-first."),
        ('context.org.class == "law-enforcement"', '!["law-enforcement", "tester"].contains(context.org.class)'),
        ('Action::"Recognise"', 'Action::"Search"'),
        ("--similarity 99", "--similarity 80"),
        (
            "Police search and compare faces only where accuracy was measured",
            "Here nobody but testers searches before accuracy was measured",
        ),
        ("measured before, on", "measured, on"),
    ):
        gate = gate.replace(ours, theirs)
    assert gate == first


def test_an_unmet_case_says_what_was_expected() -> None:
    """Expected and got are both in the sentence."""
    book = load("base")
    denied = next(case for case in book.cases if not case.allowed)
    permitted = next(case for case in book.cases if case.allowed)
    cases = (replace(denied, allowed=True, rules=frozenset()), replace(permitted, allowed=False, rules=frozenset("a")))
    wrong, other = run_cases(RuleSet.compile([book], []), cases)
    assert wrong.diagnostics() == f"{denied.name}: expected a permit, got a denial by {', '.join(denied.rules)}."
    assert other.diagnostics() == f"{permitted.name}: expected a denial by a, got a permit."
    assert not wrong.met
    assert check(book)[0].diagnostics() == f"{book.cases[0].name}: as expected."


# --- Every rule is needed -------------------------------------------------------------------------------------------


def _policies(book: Rulebook) -> dict[str, dict]:
    return json.loads(cedarpy.policies_to_json_str(book.text))["staticPolicies"]


def _rewritten(book: Rulebook, policies: dict[str, dict]) -> Rulebook:
    document = {"templates": {}, "templateLinks": [], "staticPolicies": policies}
    return replace(book, text=cedarpy.policies_from_json_str(json.dumps(document)))


def _fails(book: Rulebook) -> bool:
    """Tell whether a rulebook that was tampered with is found out: it doesn't load, or a case isn't met."""
    try:
        for chosen in dict.fromkeys(case.moratoria for case in book.cases):
            moratoria = [form.moratorium for form in book.moratoria if form.moratorium.id in chosen]
            rule_set = RuleSet.compile([book] if book.id == BASE_BOOK.id else [BASE_BOOK, book], moratoria)
            cases = (case for case in book.cases if case.moratoria == chosen)
            if not all(run_cases(rule_set, [case])[0].met for case in cases):  # the first that isn't ends it
                return True
    except Invalid:
        return True
    return False


PERMIT = next(p for p in _policies(BASE_BOOK).values() if p["annotations"]["id"] == "base.permit")


def _noticed(book: Rulebook, policy: dict) -> bool:
    """Tell whether a worked case finds out that a rule is another one: it forbids what it didn't, or the other way.

    Each rule forbids by itself, and every case names all that forbid it (a test above holds that), so that nothing but
    the rule at hand has to be decided: that is ten times as fast as :func:`_fails`.
    """
    name = policy["annotations"]["id"]
    base = _rewritten(BASE_BOOK, {"policy0": PERMIT} | ({"policy1": policy} if book.id == BASE_BOOK.id else {}))
    try:
        alone = RuleSet.compile(
            [base] if book.id == BASE_BOOK.id else [base, _rewritten(book, {"policy0": policy})], []
        )
    except Invalid:
        return True
    expected = (frozenset({name}) & case.rules for case in book.cases)
    return any(outcome.rules != rules for outcome, rules in zip(_decided(alone, book), expected, strict=True))


def _decided(rule_set: RuleSet, book: Rulebook) -> Iterator[Outcome]:
    return (run_cases(rule_set, [case])[0] for case in book.cases)  # one after the other: the first may be enough


@pytest.mark.parametrize("book", BOOKS, ids=IDS)
def test_a_rulebook_may_be_rewritten(book: Rulebook) -> None:
    """What the next tests do to rules changes nothing by itself, and what they tell of a rule is what all tell."""
    policies = _policies(book)
    assert not _fails(_rewritten(book, policies))
    rules = [(number, policy) for number, policy in policies.items() if policy != PERMIT][::6]
    assert not any(_noticed(book, policy) for _, policy in rules)
    for number, policy in rules[:2]:
        never = {**policy, "conditions": [{"kind": "when", "body": {"Value": False}}]}
        assert _noticed(book, never)
        assert _fails(_rewritten(book, {**policies, number: never}))


@pytest.mark.parametrize(
    ("book", "number"),
    [(book, n) for book in BOOKS for n in _policies(book)],
    ids=[p["annotations"]["id"] for book in BOOKS for p in _policies(book).values()],
)
def test_without_a_rule_a_case_fails(book: Rulebook, number: str) -> None:
    """Whichever rule is taken away, some worked case tells: it names the rule, or all are denied without it."""
    policies = _policies(book)
    rule = policies[number]["annotations"]["id"]
    if rule == "base.permit":
        assert _fails(_rewritten(book, {n: p for n, p in policies.items() if n != number}))
    else:
        assert any(rule in case.rules for case in book.cases)


UNION = frozenset(re.findall("..", "ATBEBGCYCZDEDKEEESFIFRGRHRHUIEITLTLULVMTNLPLPTROSESISK"))
AREA = UNION | {"IS", "LI", "NO"}


@pytest.mark.parametrize(("book", "countries"), [("eu-ai-act", UNION), ("gdpr", AREA)])
def test_every_rule_knows_the_same_countries(book: str, countries: frozenset[str]) -> None:
    """The countries stand in each rule, for Cedar has no names for sets; none is missing anywhere."""
    for name, policy in ((p["annotations"]["id"], json.dumps(p["conditions"])) for p in _policies(load(book)).values()):
        assert frozenset(re.findall(r'"Value": "([A-Z]{2})"', policy)) == countries, name


def _weaker(node: object) -> Iterator[object]:
    """Give an expression without one operand of an ``and`` or an ``or``, and without one text of a set, in turn.

    Sets of countries stay whole: a case for each of them in each rule would be no worked case any more.
    """
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        if key in ("&&", "||"):
            yield value["left"]
            yield value["right"]
        if key == "Set":
            parts = len(value) if 1 < len(value) <= 10 else 0
            yield from ({"Set": value[:n] + value[n + 1 :]} for n in range(parts))
            continue
        if key == "!":
            yield value["arg"]
        for name, part in value.items() if isinstance(value, dict) else ():
            yield from ({key: {**value, name: weaker}} for weaker in _weaker(part))


def _mutants(book: Rulebook) -> Iterator[tuple[str, dict]]:
    """Give every rule of a rulebook with one condition, or one part of a condition, less."""
    for policy in _policies(book).values():
        name = policy["annotations"]["id"]
        for n, condition in enumerate(policy["conditions"]):
            changed = copy.deepcopy(policy)
            del changed["conditions"][n]
            yield f"{name} without condition {n}", changed
            for weaker in _weaker(condition["body"]):
                changed = copy.deepcopy(policy)
                changed["conditions"][n]["body"] = weaker
                yield f"{name} {n} {json.dumps(weaker)}", changed


@pytest.mark.slow
@pytest.mark.no_cover  # of hundreds of sets of rules that are made by the same lines
@pytest.mark.parametrize("book", [b for b in BOOKS if b.id != "evaluate-first"], ids=lambda b: b.id)
def test_without_a_part_of_a_rule_a_case_fails(book: Rulebook) -> None:
    """Whichever condition, or part of one, is taken away, some worked case tells.

    evaluate-first is left out: its rules are evaluation-gate's but for whom they bind, which a test above holds.
    """
    survivors = [name for name, mutant in _mutants(book) if not _noticed(book, mutant)]
    assert survivors == []


def _weaker_moratoria(form: Form) -> Iterator[Form]:
    """Give a moratorium with one thing changed, in turn."""
    m = form.moratorium
    yield from (replace(form, moratorium=replace(m, exempt=tuple(e for e in m.exempt if e != x))) for x in m.exempt)
    for x in m.exempt:
        others = tuple(e for e in m.exempt if e != x)
        for purpose in x.purposes if len(x.purposes) > 1 else ():
            less = Exemption(x.org_class, x.purposes - {purpose})
            yield replace(form, moratorium=replace(m, exempt=(*others, less)))
        for purpose in (Purpose.CRIMINAL_INVESTIGATION, Purpose.VICTIM_IDENTIFICATION, Purpose.WELLBEING_CHECK):
            if purpose not in x.purposes and x.org_class == OrgClass.LAW_ENFORCEMENT:
                more = Exemption(x.org_class, x.purposes | {purpose})
                yield replace(form, moratorium=replace(m, exempt=(*others, more)))
    yield from (replace(form, moratorium=replace(m, classes=m.classes - {c})) for c in m.classes)
    yield replace(form, moratorium=replace(m, actions=frozenset({"Search"})))
    for step in (timedelta(milliseconds=-1), timedelta(milliseconds=1)):
        yield replace(form, moratorium=replace(m, begins=m.begins + step))
        if m.ends is not None:
            yield replace(form, moratorium=replace(m, ends=m.ends + step))


FORMS = [(n, m) for n, form in enumerate(load("moratorium-2020").moratoria) for m in _weaker_moratoria(form)]


@pytest.mark.parametrize(("number", "weaker"), FORMS)
def test_without_a_part_of_a_moratorium_a_case_fails(number: int, weaker: Form) -> None:
    """Exemptions, their purposes, bound classes, actions and each millisecond of the dates are held by cases."""
    book = load("moratorium-2020")
    forms = list(book.moratoria)
    assert forms[number] != weaker
    forms[number] = weaker
    assert _fails(replace(book, moratoria=tuple(forms)))


# --- No friction for ordinary use -----------------------------------------------------------------------------------

CASEWORK = {Action.READ_RESULTS, Action.IMPORT_IMAGES, Action.VIEW_IMAGE, Action.EXPORT_LEAD, Action.REVIEW}
"""Uses that need a case, or kept results."""
MEASURING = {Action.EVALUATE, Action.SCORE_PAIRS}
"""Uses for administrators, and for testers."""
USES = list(Action)[: list(Action).index(Action.MANAGE_ORGANISATIONS)]
ORDINARY = [a for a in USES if a not in CASEWORK | MEASURING]


@pytest.mark.parametrize("role", ["user", "admin", "operator"])
@pytest.mark.parametrize("action", ORDINARY)
def test_a_photo_app_meets_no_friction(rules: RuleSet, action: Action, role: str) -> None:
    """Who has just run ``make serve`` may do everything ordinary: no case, no consent, no retention, a million uses."""
    facts = Use(
        NOW,
        OrganisationFacts(OrgClass.GENERAL),
        "photo-library",
        roles=frozenset({role}),
        collection=Target("album", own=True, owner_class="general", purpose="photo-library"),
        threshold=Percent(80),
        attributes=frozenset({"age-range", "emotions", "gender", "smile"}),
        provenance="own",
        camera=CameraFacts(own=True, owner_class="general"),
    )
    assert rules.decide(Request("ann", action, facts)).allowed
    if action in (Action.DETECT, Action.COMPARE, Action.CREATE_COLLECTION, Action.LIST_COLLECTIONS):
        assert rules.decide(Request("ann", action, replace(facts, collection=None))).allowed


@pytest.mark.parametrize("org_class", [c for c in OrgClass if c != OrgClass.OVERSIGHT])
def test_an_administrator_of_any_class_may_measure(rules: RuleSet, org_class: OrgClass) -> None:
    """Whatever forbids to search, moratorium, training or a missing evaluation, doesn't forbid to find out how well."""
    purposes = {
        OrgClass.LAW_ENFORCEMENT: Purpose.CRIMINAL_INVESTIGATION,
        OrgClass.VICTIM_RESCUE: Purpose.MISSING_PERSON,
        OrgClass.TESTER: Purpose.TESTING,
    }
    for place in (("US-WA", "US"), ("DE", "DE"), ("US-IL", "US")):
        org = OrganisationFacts(org_class, *place)
        purpose = purposes.get(org_class, Purpose.PHOTO_LIBRARY)
        facts = Use(NOW, org, purpose, roles=frozenset({"admin"}), provenance="own")
        assert rules.decide(Request("ann", Action.EVALUATE, facts)).allowed, place
        assert not rules.decide(Request("ann", Action.EVALUATE, replace(facts, purpose="oversight"))).allowed, place


# --- Nothing is loose -----------------------------------------------------------------------------------------------


def test_every_attested_duty_is_declared() -> None:
    """A duty that a rule asks for is one that somebody can attest to."""
    declared = {duty.id for book in BOOKS for duty in book.duties}
    asked = {duty for book in BOOKS for duty in re.findall(r'attested\.contains\("([^"]+)"\)', book.text)}
    assert asked == {"us-wa.accountability-report", "us-wa.operational-testing"}
    assert asked <= declared


def test_texts_are_for_people(rules: RuleSet) -> None:
    """Citations name a source; explanations and remedies are sentences."""
    for rule in rules.rules:
        assert len(rule.citation) >= 8, rule.id
        for text in (rule.explain, rule.remedy):
            assert re.match(r"[A-Z0-9]", text), rule.id
            assert text.endswith("."), rule.id
            assert 15 <= len(text) <= 300, rule.id


def test_floors_are_found_by_class_and_purpose() -> None:
    """The highest floor counts; without one there is none."""
    assert floor_of(BOOKS, "law-enforcement", "criminal-investigation") == 99.0
    assert floor_of(BOOKS, "law-enforcement", "missing-person") == 80.0
    assert floor_of(BOOKS, "general", "photo-library") == 0.0
    assert floor_of([], "law-enforcement", "criminal-investigation") == 0.0


def test_what_starts_from_its_floor_is_permitted() -> None:
    """A caller who names no similarity isn't refused for the one that the floor gives."""
    book = load("amazon-public-safety")
    rule_set = RuleSet.compile([load("base"), book], [])
    request = next(case.request for case in book.cases if case.name == "police search at no stated similarity")
    floor = Percent(floor_of([book], "law-enforcement", request.facts.purpose))
    assert rule_set.decide(replace(request, facts=replace(request.facts, threshold=floor))).allowed


def test_the_default_moratorium_is_until_further_notice() -> None:
    """From the start the second form is in force, the first is ready."""
    (default,) = default_moratoria(BOOKS)
    assert (default.id, default.begins, default.ends) == (
        "until-further-notice",
        datetime(2021, 5, 18, tzinfo=UTC),
        None,
    )
    first = load("moratorium-2020").moratoria[0].moratorium
    assert (first.begins, first.ends) == (datetime(2020, 6, 10, tzinfo=UTC), datetime(2021, 6, 10, tzinfo=UTC))


def test_an_explanation_names_rules_and_rulebooks(rules: RuleSet) -> None:
    """A person reads what was asked, who was asked, and each rule that forbids."""
    case = next(case for case in load("moratorium-2020").cases if case.name == "police compare two faces")
    told = explain(rules, case.request)
    assert not told.decision.allowed
    text = told.text()
    assert "Compare for criminal-investigation by an organisation of class law-enforcement in US-CA: denied." in text
    assert "moratorium.until-further-notice [Amazon, 18 May 2021" in text
    assert rules.hash.startswith(told.rule_set[:16])
    assert told.rulebooks[0] == "base"
    permit = explain(rules, load("base").cases[0].request).text()
    assert permit.splitlines()[0].endswith("permitted.")
    assert len(permit.splitlines()) == 2


# --- Reading --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nope", "..", "../rulebooks/base", "base/", "", "Base", "schema.cedarschema"])
def test_no_rulebook_of_that_name(name: str) -> None:
    """A name that is none, or leads elsewhere, finds nothing."""
    with pytest.raises(NotFound, match="no rulebook"):
        load(name)


BOOK = """
id = "house"
title = "House rules"
summary = "Ours."
"""
CASES = """
[defaults.app]
action = "Detect"
facts.now = 2026-01-15T12:00:00Z
facts.org.class = "general"
facts.purpose = "photo-library"
facts.key_expires = 2027-01-01T00:00:00Z
[[cases]]
name = "one"
like = "app"
expect = "permit"
"""
MORATORIUM = """
[[moratoria]]
id = "m"
classes = ["general"]
actions = ["Search"]
begins = 2026-01-01T00:00:00Z
citation = "c"
explain = "e"
remedy = "r"
"""


def _written(tmp_path: Path, book: str = BOOK, cases: str = CASES, name: str = "house") -> Path:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "rulebook.toml").write_text(book)
    (folder / "policies.cedar").write_text("")
    (folder / "cases.toml").write_text(cases)
    return folder


def test_a_rulebook_of_ones_own_is_read(tmp_path: Path) -> None:
    """A folder of three files is enough, wherever it lies."""
    book = read(_written(tmp_path, BOOK + MORATORIUM))
    assert (book.id, book.title, book.locked, len(book.cases), len(book.moratoria)) == (
        "house",
        "House rules",
        False,
        1,
        1,
    )
    assert not book.moratoria[0].default
    assert all(outcome.met for outcome in check(book))


@pytest.mark.parametrize(
    ("book", "said"),
    [
        ("", "id is missing"),
        ("id =", "can't be read"),
        (BOOK.replace('"Ours."', "3"), "summary is wrong"),
        (BOOK.replace('"Ours."', '" "'), "summary is empty"),
        (BOOK + 'colour = "red"', "has no colour"),
        (BOOK + "locked = 1", "locked is wrong"),
        (BOOK + "optional = 1", "optional is wrong"),
        (BOOK + "locked = true\noptional = true", "isn't optional"),
        (BOOK + "duties = [3]", "duties is a table"),
        (BOOK + '[[duties]]\nid = "other.x"\ncitation = "c"\ntext = "t"\nwho = "w"', "begins with the rulebook's"),
        (BOOK + '[[duties]]\nid = "house.x"\ncitation = "c"\ntext = "t"', "who is missing"),
        (BOOK + '[[sources]]\ntitle = "t"\nurl = "u"\npage = 3', "has no page"),
        (BOOK + '[[floors]]\nclasses = ["army"]\npurposes = []\nsimilarity = 99.0\ncitation = "c"', "army"),
        (BOOK + '[[floors]]\nclasses = ["general"]\npurposes = []\nsimilarity = 101.0\ncitation = "c"', "0 to 100"),
        (BOOK + '[[floors]]\nclasses = [3]\npurposes = []\nsimilarity = 99.0\ncitation = "c"', "not a text"),
        (BOOK + MORATORIUM + MORATORIUM, "two moratoria"),
        (BOOK + MORATORIUM.replace("begins", "begun"), "begins is missing"),
        (BOOK + MORATORIUM.replace("00Z", "00"), "time zone"),
        (BOOK + MORATORIUM + "ends = 2025-01-01T00:00:00Z", "ends after it begins"),
        (BOOK + MORATORIUM + 'exempt = [{ classes = ["general"], purposes = [] }]', "at least one purpose"),
        (BOOK.replace("house", "home"), "another name"),
    ],
)
def test_what_is_no_rulebook_is_refused(tmp_path: Path, book: str, said: str) -> None:
    """Unknown keys, wrong types and what doesn't fit together are refused, each in words."""
    with pytest.raises(Invalid, match=said):
        read(_written(tmp_path, book))


def test_a_rulebook_with_a_reserved_name_is_refused(tmp_path: Path) -> None:
    """No rulebook speaks for moratoria or for the engine."""
    for name in ("engine", "moratorium", "House"):
        with pytest.raises(Invalid, match="reserved"):
            read(_written(tmp_path, BOOK.replace("house", name), name=name))


def test_a_rulebook_without_its_files_is_refused(tmp_path: Path) -> None:
    """Each of the three files is needed, as text."""
    folder = _written(tmp_path)
    (folder / "policies.cedar").write_bytes(b"\xff")
    with pytest.raises(Invalid, match="can't be read"):
        read(folder)
    (folder / "policies.cedar").unlink()
    with pytest.raises(Invalid, match="can't be read"):
        read(folder)


@pytest.mark.parametrize(
    ("cases", "said"),
    [
        ("cases = 3", "a list of tables"),
        ("x = [", "no TOML"),
        (CASES + "\n[more]\n", "has no more"),
        ("defaults = 3", "by name"),
        (CASES.replace('action = "Detect"', 'act = "Detect"'), "default app has no act"),
        (CASES.replace('action = "Detect"', ""), "no request"),
        (CASES + "colour = 3", "case 1 .one. has no colour"),
        (CASES.replace('"permit"', '"allow"'), "expects"),
        (CASES.replace('name = "one"', ""), "has a name"),
        (CASES.replace('like = "app"', 'like = "lib"'), "no default"),
        (CASES.replace("[defaults.app]", '[defaults.app]\nlike = "app"'), "no default"),
        (CASES.replace('"permit"', '"deny"'), "names its rules"),
        (CASES + 'rules = ["base.stopped"]', "a permit has none"),
        (CASES + 'rules = "base.stopped"', "a list of texts"),
        (CASES + 'without = ["case"]', "no case to do without"),
        (CASES + 'without = ["org.weather"]', "no org.weather to do without|no weather to do without"),
        (CASES + 'facts.weather = "fine"', "no request"),
        (CASES + 'moratoria = ["m"]', "no moratorium is called m"),
        (CASES + CASES[CASES.index("[[cases]]") :], "one name"),
    ],
)
def test_what_is_no_case_is_refused(tmp_path: Path, cases: str, said: str) -> None:
    """A case that says something odd is refused by its name."""
    with pytest.raises(Invalid, match=said):
        read(_written(tmp_path, cases=cases))


def test_a_case_differs_from_its_default_where_it_says() -> None:
    """Tables are laid on tables, lists replace lists, and facts can be done without."""
    more = CASES + 'facts.org.country = "DE"\nfacts.roles = ["admin"]\nwithout = ["key_expires"]\n'
    (case,) = read_cases(more)
    assert case.request.facts.org == OrganisationFacts(OrgClass.GENERAL, "ZZ", "DE")
    assert case.request.facts.roles == {"admin"}
    assert case.request.facts.key_expires is None
