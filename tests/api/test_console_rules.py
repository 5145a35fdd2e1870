# SPDX-License-Identifier: Apache-2.0
"""The console's pages of the rules: what holds, why something was refused, and what takes two people."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from custodes.api.console.facts import facts_of
from custodes.api.console.proposals import Scene
from custodes.api.console.wording import ACTIONS
from custodes.app import App
from custodes.config import Config
from custodes.errors import Denied
from custodes.governance import OPERATOR, Action, Caller, EasingKind, OrgClass, Purpose, Role
from custodes.governance.moratorium import USES
from custodes.governance.rulebook import shipped

ME = Caller(OPERATOR, Purpose.PHOTO_LIBRARY, provenance="own")
FORM = "until-further-notice"
HOSTILE = "<script>alert(1)</script>"
PAGES = (
    "/console/rules",
    "/console/rules/books/base",
    "/console/rules/denials",
    "/console/rules/try",
    "/console/rules/proposals",
    "/console/rules/proposals/new",
    "/console/rules/alarms",
    "/console/rules/declare",
    "/console/rules/stop",
    f"/console/rules/moratoria/{FORM}",
)


@dataclass(frozen=True)
class Board:
    """A server with a board of oversight and a police department; ``app`` is the same installation, to look at."""

    server: Any
    app: App
    olga: str
    otto: str
    officer: str
    police: str
    denied: int

    def last(self) -> Mapping[str, Any]:
        """Return the newest entry of the ledger."""
        return self.app.ledger.entry(self.app.ledger.size() - 1)


def _people(app: App) -> tuple[str, str, str, str]:
    police = app.people.add_organisation(ME, "Seattle PD", OrgClass.LAW_ENFORCEMENT, "US-WA").id
    board = app.people.add_organisation(ME, "Board", OrgClass.OVERSIGHT, "US").id
    olga, otto = (
        app.people.add(ME, board, f"{name}@example.org", name, [Role.OVERSIGHT]).id for name in ("Olga", "Otto")
    )
    officer = app.people.add(ME, police, "officer@example.org", "Officer", [Role.USER]).id
    return olga, otto, officer, police


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory, start_server) -> Iterator[Board]:
    """The server; its ledger has a refusal by the moratorium and an alarm already."""
    data = tmp_path_factory.mktemp("board")
    app = App.open(Config(data=data))
    olga, otto, officer, police = _people(app)
    with pytest.raises(Denied):
        app.grounds.open_case(ME, Purpose.CRIMINAL_INVESTIGATION, police)
    denied = app.ledger.size() - 1
    app.grounds.open_case(ME, Purpose.MISSING_PERSON, police)
    server = start_server(data)
    yield Board(server, app, olga, otto, officer, police, denied)
    server.stop()
    app.close()


@pytest.fixture
def overseer(board: Board, sign_in):
    """Signs an overseer in: ``overseer("olga")``."""
    return lambda name: sign_in(board.server, getattr(board, name), ["oversight"])


def _proposal(browser) -> str:
    """Return the id of the proposal whose page a browser is on."""
    return re.search(r"ease-[0-9a-f]{16}", str(browser.page.url))[0]


def _propose(browser, **form: str) -> str:
    browser.get(f"/console/rules/proposals/new?kind={form['kind']}")
    browser.post("/console/rules/proposals", form)
    return _proposal(browser)


# --- looking ---


@pytest.mark.parametrize("path", PAGES)
def test_strangers_are_led_to_the_door(board: Board, path: str) -> None:
    """No page of the rules is shown to somebody who isn't signed in."""
    answer = httpx.get(board.server.endpoint_url + path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/console/sign-in")


def test_all_see_what_holds(board: Board, sign_in) -> None:
    """Moratoria and rulebooks with their citations, whoever asks; nobody but overseers is offered to change them."""
    browser = sign_in(board.server, board.officer, ["missing-person"])
    page = browser.get("/console/rules").text
    assert FORM in page
    assert "in force" in page
    assert "police do not search or compare faces" in page
    for book in shipped():
        assert f"/console/rules/books/{book.id}" in page
        for source in book.sources:
            assert source.url in page
    assert "custodes ledger replay" in page
    assert "/console/rules/stop" not in page


def test_names_are_for_overseers(board: Board, sign_in, overseer) -> None:
    """Who else looks at the forms is not told which people and organisations there are; who looks is."""
    browser = sign_in(board.server, board.officer, ["missing-person"])
    forms = ["stop", *(f"proposals/new?kind={kind}" for kind in EasingKind)]
    for path in forms:
        page = browser.get(f"/console/rules/{path}").text
        assert "This is for overseers" in page, path
        for name in ("Board", "Olga", "Otto", "This installation"):
            assert name not in page, (path, name)
    assert "Otto" in overseer("olga").get("/console/rules/proposals/new?kind=dismiss-overseer").text


def test_a_rulebook_tells_each_rule_and_what_its_cases_come_to(board: Board, sign_in) -> None:
    """Explanation, remedy, citation, duties; the worked cases are decided, and come out as expected."""
    browser = sign_in(board.server, board.officer, ["missing-person"])
    page = browser.get("/console/rules/books/us-wa").text
    assert "RCW 43.386.080(1)" in page
    assert "us-wa.accountability-report" in page
    assert "all come out as expected" in page
    [book] = [b for b in shipped() if b.id == "us-wa"]
    assert f"{len(book.cases)} worked cases" in page
    assert browser.get("/console/rules/books/none-such").status_code == 404


def test_every_action_has_words() -> None:
    """No page shows the name of an action that only programs understand."""
    assert set(ACTIONS) == set(Action)


# --- why was it refused? ---


def test_a_refusal_is_explained_by_the_rules_of_its_time(board: Board, sign_in) -> None:
    """The organisation's refusals are listed; one is explained rule by rule, with the facts in words."""
    browser = sign_in(board.server)
    page = browser.get("/console/rules/denials").text
    assert f"/console/rules/denials/{board.denied}" in page
    page = browser.get(f"/console/rules/denials/{board.denied}").text
    assert f"moratorium.{FORM}.cases" in page
    assert "Amazon, 18 May 2021" in page
    assert "Kind of case" in page
    assert "criminal investigation" in page
    assert "This is not what the ledger says" not in page


def test_others_refusals_are_not_in_ones_list(board: Board, sign_in) -> None:
    """The list is of the own organisation alone."""
    page = sign_in(board.server, board.olga, ["oversight"]).get("/console/rules/denials").text
    assert f"/console/rules/denials/{board.denied}" not in page


def test_an_entry_that_decided_nothing_is_not_explained(board: Board, sign_in) -> None:
    """It is not found, in words."""
    answer = sign_in(board.server).get("/console/rules/denials/0")
    assert answer.status_code == 404
    assert "decided nothing" in answer.text


def test_the_facts_of_every_worked_case_are_told_in_words() -> None:
    """Whatever the rules are told, somebody can read it: no fact is without a name, none is left as JSON."""
    for book in shipped():
        for case in book.cases:
            groups = facts_of(case.request)
            assert groups[0].title == "Asked"
            told = [pair for group in groups for pair in group.pairs]
            assert not [term for term, _ in told if not term[0].isupper() or "_" in term], case.name
            assert not [value for _, value in told if "{" in str(value) and "datetime" not in str(value)], case.name
            if case.name == "an officer approves a request for video twice":
                assert dict(groups[0].pairs)["Approved before by"] == "the same person"


# --- may I? ---


def test_a_request_is_tried_and_nothing_recorded(board: Board, sign_in) -> None:
    """The rules answer as they hold now: with each that forbids, or that none does; the ledger doesn't grow."""
    browser = sign_in(board.server, board.officer, ["missing-person"])
    before = board.app.ledger.size()
    asked = {
        "action": "SearchReferences",
        "org_class": "law-enforcement",
        "place": "US-WA",
        "purpose": "criminal-investigation",
        "role": "user",
        "case": "open",
        "authority": "warrant",
        "evaluation": "good",
        "threshold": "99",
        "trained": "yes",
        "attested": "yes",
    }
    page = browser.get("/console/rules/try", params=asked).text
    assert f"<code>moratorium.{FORM}</code>" in page
    assert "This rule forbids it" in page
    page = browser.get("/console/rules/try", params=asked | {"purpose": "missing-person"}).text
    assert "No rule forbids it" in page
    for evaluation, rule in (("", "missing"), ("void", "changed"), ("old", "old"), ("bad", "false-matches")):
        page = browser.get("/console/rules/try", params=asked | {"evaluation": evaluation}).text
        assert f"<code>evaluation-gate.{rule}</code>" in page
    opened = browser.get("/console/rules/try", params=asked | {"action": "OpenCase", "role": "admin"}).text
    assert f"<code>moratorium.{FORM}.cases</code>" in opened
    assert board.app.ledger.size() == before


@pytest.mark.parametrize(
    "wrong",
    [{"place": "Washington"}, {"threshold": "101"}, {"action": "Teleport"}, {"purpose": HOSTILE}, {"threshold": "NaN"}],
)
def test_what_cannot_be_asked_is_refused_in_words(board: Board, sign_in, wrong: dict[str, str]) -> None:
    """A value that is none is a page that says so."""
    answer = sign_in(board.server, board.officer, ["missing-person"]).get("/console/rules/try", params=wrong)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert HOSTILE not in answer.text


# --- what one may not, and two may ---


def test_who_is_no_overseer_is_refused_by_the_rules_and_that_is_recorded(board: Board, sign_in, overseer) -> None:
    """Each form, sent by somebody without the role, is a denial that names the rule, and an entry of the ledger."""
    waiting = _propose(overseer("olga"), kind="lift-moratorium", target=FORM, reason="a try")
    alarm = board.app.oversight.alarms()[0].id
    browser = sign_in(board.server, board.officer, ["missing-person"])
    custom = {"id": "mine", "classes": "general", "actions": "Recognise", "citation": "me", "sure": "yes"}
    forms = (
        ("stop", {"scope": "all", "reason": "because", "sure": "yes"}, Action.STOP_USE),
        ("declare", custom, Action.DECLARE_MORATORIUM),
        ("declare/amazon-one-year", {}, Action.DECLARE_MORATORIUM),
        (f"moratoria/{FORM}/extend", {"further": "yes"}, Action.DECLARE_MORATORIUM),
        ("books/gdpr/enable", {}, Action.ENABLE_RULEBOOK),
        ("proposals", {"kind": "lift-moratorium", "target": FORM, "reason": "because"}, Action.PROPOSE_EASING),
        (f"proposals/{waiting}/approve", {"confirm": FORM}, Action.APPROVE_EASING),
        (f"proposals/{waiting}/withdraw", {}, Action.PROPOSE_EASING),
        (f"alarms/{alarm}/answer", {"finding": "nothing"}, Action.ANSWER_ALARM),
    )
    for path, form, action in forms:
        browser.get("/console/rules")
        answer = browser.post(f"/console/rules/{path}", form)
        assert answer.status_code == 403, path
        assert "base.oversee-role" in answer.text, path
        entry = board.last()
        assert (entry["decision"], entry["request"]["action"]) == ("deny", str(action)), path
        assert "base.oversee-role" in entry["rules"], path
    assert [m.id for m in board.app.oversight.moratoria()] == [FORM]
    assert board.app.oversight.stops() == ()
    board.app.oversight.withdraw(Caller(board.olga, Purpose.OVERSIGHT), waiting)


def test_two_people_lift_a_moratorium(board: Board, overseer) -> None:
    """One proposes, and can't approve; another types what it is about, and approves; a hostile reason is text."""
    olga, otto = overseer("olga"), overseer("otto")
    easing = _propose(olga, kind="lift-moratorium", target=FORM, reason=HOSTILE)
    assert [m.id for m in board.app.oversight.moratoria()] == [FORM]
    page = olga.page.text
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page
    assert "another overseer has to approve it" in page
    assert f"{easing}/approve" not in page
    for expected in ("As it is now", "After approval", "until further notice", "lifted", "--lift until-further-notice"):
        assert expected in page
    own = olga.post(f"/console/rules/proposals/{easing}/approve", {"confirm": FORM})
    assert own.status_code == 403
    assert "base.easing-two-people" in own.text
    assert board.last()["rules"] == ["base.easing-two-people"]
    page = otto.get(f"/console/rules/proposals/{easing}").text
    assert "Olga" in page
    lapses = board.app.oversight.easings()[0].proposed_at + timedelta(days=14)
    assert f"{lapses:%Y-%m-%d %H:%M} UTC" in page
    wrong = otto.post(f"/console/rules/proposals/{easing}/approve", {"confirm": "yes"})
    assert wrong.status_code == 400
    assert [m.id for m in board.app.oversight.moratoria()] == [FORM]
    done = otto.post(f"/console/rules/proposals/{easing}/approve", {"confirm": FORM})
    assert "It is approved and done" in done.text
    assert board.app.oversight.moratoria() == ()
    assert (board.last()["change"], board.last()["proposed_by"]) == ("easing-approved", board.olga)
    again = otto.post(f"/console/rules/proposals/{easing}/approve", {"confirm": FORM})
    assert again.status_code == 409
    # What was refused before is explained by the moratorium still; and one person declares it again.
    assert f"moratorium.{FORM}.cases" in otto.get(f"/console/rules/denials/{board.denied}").text
    otto.get("/console/rules/declare")
    otto.post(f"/console/rules/declare/{FORM}")
    assert [m.id for m in board.app.oversight.moratoria()] == [FORM]


def test_a_proposal_is_withdrawn_and_stays_in_the_history(board: Board, overseer) -> None:
    """Any overseer withdraws it; then nobody approves it."""
    olga, otto = overseer("olga"), overseer("otto")
    easing = _propose(olga, kind="disable-rulebook", target="gdpr", reason="not here")
    otto.get(f"/console/rules/proposals/{easing}")
    page = otto.post(f"/console/rules/proposals/{easing}/withdraw").text
    assert "The proposal is withdrawn" in page
    assert easing in page
    otto.get(f"/console/rules/proposals/{easing}")
    assert otto.post(f"/console/rules/proposals/{easing}/approve", {"confirm": "gdpr"}).status_code == 409


def test_a_rulebook_goes_off_by_two_and_on_by_one(board: Board, overseer) -> None:
    """And what can't be switched off can't be proposed."""
    olga, otto = overseer("olga"), overseer("otto")
    easing = _propose(olga, kind="disable-rulebook", target="us-il-bipa", reason="nobody is there")
    otto.get(f"/console/rules/proposals/{easing}")
    otto.post(f"/console/rules/proposals/{easing}/approve", {"confirm": "us-il-bipa"})
    assert "us-il-bipa" not in {b.id for b, on in board.app.rules.rulebooks() if on}
    page = olga.get("/console/rules/books/us-il-bipa").text
    assert "us-il-bipa.written-release" in page  # its rules are shown though they don't hold
    olga.post("/console/rules/books/us-il-bipa/enable")
    assert "us-il-bipa" in {b.id for b, on in board.app.rules.rulebooks() if on}
    olga.get("/console/rules/proposals/new?kind=disable-rulebook")
    assert '<option value="base"' not in olga.page.text
    locked = olga.post("/console/rules/proposals", {"kind": "disable-rulebook", "target": "base", "reason": "r"})
    assert locked.status_code == 403


def test_an_overseer_is_appointed_by_two(board: Board, overseer) -> None:
    """The page says what they had and will have; then the operator invites them anew."""
    olga, otto = overseer("olga"), overseer("otto")
    dora = board.app.people.add(ME, "local", "dora@example.org", "Dora", [Role.USER]).id
    easing = _propose(olga, kind="appoint-overseer", target=dora, reason="a third one")
    page = otto.get(f"/console/rules/proposals/{easing}").text
    assert "oversight, user" in page
    done = otto.post(f"/console/rules/proposals/{easing}/approve", {"confirm": dora})
    assert "the operator invites them" in done.text
    assert Role.OVERSIGHT in board.app.people.principal(dora).roles
    again = _propose(otto, kind="dismiss-overseer", target=dora, reason="for a test")
    assert "2 overseers are left" in olga.get(f"/console/rules/proposals/{again}").text
    olga.post(f"/console/rules/proposals/{again}/approve", {"confirm": dora})
    assert Role.OVERSIGHT not in board.app.people.principal(dora).roles


def test_one_stops_and_two_restart(board: Board, overseer) -> None:
    """The kill switch takes a reason and a tick; what is stopped is on every page of the rules."""
    olga, otto = overseer("olga"), overseer("otto")
    olga.get("/console/rules/stop")
    form = {"scope": "purpose", "purpose": "testing", "reason": HOSTILE}
    without = olga.post("/console/rules/stop", form)
    assert without.status_code == 400
    assert "only two overseers" in without.text
    assert HOSTILE not in without.text
    assert board.app.oversight.stops() == ()
    for wrong in ({"scope": "organisation", "organisation": "org-none"}, {"scope": "purpose"}, {"scope": "moon"}):
        assert olga.post("/console/rules/stop", {"reason": "r", "sure": "yes"} | wrong).status_code == 400
    page = olga.post("/console/rules/stop", form | {"sure": "yes"}).text
    assert "All use for testing is stopped" in page
    assert HOSTILE not in page
    [stop] = board.app.oversight.stops()
    easing = _propose(otto, kind="restart", target=stop.id, reason="looked into")
    olga.get(f"/console/rules/proposals/{easing}")
    olga.post(f"/console/rules/proposals/{easing}/approve", {"confirm": stop.id})
    assert board.app.oversight.stops() == ()


def test_a_moratorium_of_ones_own_is_declared_extended_and_shortened(board: Board, overseer) -> None:
    """One declares and extends it; two shorten it; what the form got is kept when something is wrong with it."""
    olga, otto = overseer("olga"), overseer("otto")
    page = olga.get("/console/rules/declare").text
    assert all(html.escape(ACTIONS[a]) in page for a in USES)
    form = {
        "id": "city-ban",
        "classes": ["general", "law-enforcement"],
        "actions": ["Recognise", "Enrol"],
        "jurisdictions": "US-OR, US-WA",
        "exempt": "law-enforcement:missing-person",
        "begins": "2027-01-01",
        "ends": "2028-01-01",
        "citation": "Portland, City Code 34.10",
        "sure": "yes",
    }
    for wrong in (
        {"id": "City Ban"},
        {"classes": []},
        {"actions": ["ManagePeople"]},
        {"ends": "2026-01-01"},
        {"ends": "soon"},
        {"exempt": "moon:testing"},
        {"citation": ""},
        {"id": FORM},
    ):
        answer = olga.post("/console/rules/declare", form | wrong)
        assert answer.status_code == 400, wrong
        assert "US-OR, US-WA" in answer.text, wrong
    page = olga.post("/console/rules/declare", form).text
    assert "to come" in page
    made = next(m for m in board.app.oversight.moratoria() if m.id == "city-ban")
    assert made.begins == datetime(2027, 1, 1, tzinfo=UTC)
    assert made.explain.endswith("to general, law-enforcement: Store a face; Searching and comparing faces.")
    assert (made.jurisdictions, len(made.exempt)) == (frozenset({"US-OR", "US-WA"}), 1)
    assert olga.post("/console/rules/moratoria/city-ban/extend", {"ends": "2027-06-01"}).status_code == 400
    olga.post("/console/rules/moratoria/city-ban/extend", {"ends": "2029-01-01"})
    assert "2029-01-01" in olga.page.text
    olga.get("/console/rules/proposals/new?kind=shorten-moratorium&target=city-ban")
    shorten = {"kind": "shorten-moratorium", "target": "city-ban", "reason": "r"}
    assert olga.post("/console/rules/proposals", shorten | {"ends": "2030-01-01"}).status_code == 400
    easing = _propose(olga, **shorten, ends="2027-09-01")
    page = otto.get(f"/console/rules/proposals/{easing}").text
    assert "2029-01-01" in page
    assert "2027-09-01" in page
    otto.post(f"/console/rules/proposals/{easing}/approve", {"confirm": "city-ban"})
    made = next(m for m in board.app.oversight.moratoria() if m.id == "city-ban")
    assert made.ends == datetime(2027, 9, 1, tzinfo=UTC)


def test_alarms_are_answered_by_overseers(board: Board, sign_in, overseer) -> None:
    """They see all of them; others see those about their own organisation; what was found is published as text."""
    olga = overseer("olga")
    [alarm] = board.app.oversight.alarms()
    assert alarm.id in olga.get("/console/rules/alarms").text
    assert "Seattle PD" in olga.page.text
    assert alarm.organisation == board.police
    assert alarm.id in sign_in(board.server, board.officer, ["missing-person"]).get("/console/rules/alarms").text
    rita = board.app.people.add(ME, "local", "rita@example.org", "Rita", [Role.USER]).id
    assert alarm.id not in sign_in(board.server, rita, ["photo-library"]).get("/console/rules/alarms").text
    empty = olga.post(f"/console/rules/alarms/{alarm.id}/answer", {"finding": " "})
    assert empty.status_code == 400
    page = olga.post(f"/console/rules/alarms/{alarm.id}/answer", {"finding": HOSTILE}).text
    assert "The alarm is answered" in page
    assert board.last()["finding"] == HOSTILE
    ledger = olga.get(f"/console/ledger/{board.app.ledger.size() - 1}").text
    assert HOSTILE not in ledger


def test_a_form_without_the_token_changes_nothing(board: Board, overseer) -> None:
    """Every form is checked by the frame before it is read."""
    olga, before = overseer("olga"), board.app.ledger.size()
    answer = olga.http.post("/console/rules/stop", data={"scope": "all", "reason": "r", "sure": "yes"})
    assert answer.status_code == 403
    assert board.app.oversight.stops() == ()
    assert board.app.ledger.size() == before


def test_an_old_proposal_has_lapsed(tmp_path: Path) -> None:
    """After 14 days it is shown as lapsed, and before as waiting; a target that is gone is shown to be."""
    app = App.open(Config(data=tmp_path))
    olga, _, officer, _ = _people(app)
    caller = Caller(olga, Purpose.OVERSIGHT)
    made = app.oversight.propose(caller, EasingKind.LIFT, FORM, "for a test")
    late = made.proposed_at + timedelta(days=14, seconds=1)
    roles = frozenset({Role.OVERSIGHT})
    assert Scene(app, olga, roles, late).of(made).state == "lapsed"
    now = Scene(app, olga, roles, made.proposed_at + timedelta(days=13)).of(made)
    assert (now.state, now.own, now.change.gone) == ("waits", True, False)
    assert "Olga" in now.proposed_by
    stranger = Scene(app, officer, frozenset({Role.USER}), late).of(made)
    assert (stranger.proposed_by, stranger.own) == (olga, False)
    gone = Scene(app, olga, roles, late).change(EasingKind.RESTART, "stop-0123456789abcdef")
    assert gone.gone
    app.close()
