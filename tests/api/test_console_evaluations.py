# SPDX-License-Identifier: Apache-2.0
"""The console's pages of evaluations: one's own, the gate, the report by itself, and what everybody may see."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from tests.api.conftest import PASSWORD, Browser
from tests.evaluation import examples
from tests.evaluation.made import MadeUp

from custodes.api.console.accuracy import EVALUATIONS, differs_now, evaluator_words
from custodes.api.console.entries import commitments
from custodes.app import App
from custodes.config import Config
from custodes.evaluation.report import BROUGHT
from custodes.evaluation.told import spread_in_words
from custodes.governance import OPERATOR, Caller, Organisation, OrgClass, Purpose, Role
from custodes.governance.model import LOCAL
from custodes.operations.signed import verify_signed

ME = Caller(OPERATOR, Purpose.PHOTO_LIBRARY, provenance="own")
WORK = Purpose.CRIMINAL_INVESTIGATION
HOSTILE = "<script>alert(1)</script>"
TITLE = f"Staff {HOSTILE}"
COMMAND = "custodes evaluate verification PHOTOS.csv IMAGES --all-pairs --by COLUMN --similarity 99"


@dataclass(frozen=True)
class House:
    """A server, the same installation to look at, invitations of people, and evaluations by whose they are."""

    server: Any
    app: App
    invited: dict[str, str]
    kept: dict[str, str]
    browsers: dict[str, Browser] = field(default_factory=dict)

    def enter(self, who: str) -> Browser:
        """Return the browser in which somebody is signed in, on the dashboard."""
        if who not in self.browsers:
            browser = self.browsers[who] = Browser(self.server.endpoint_url)
            path = f"/console/invitation/{self.invited[who]}"
            browser.get(path)
            browser.post(path, {"password": PASSWORD, "again": PASSWORD})
        self.browsers[who].get("/console")
        return self.browsers[who]

    def stranger(self, path: str) -> httpx.Response:
        """Return what somebody gets who isn't signed in."""
        return httpx.get(self.server.endpoint_url + path)


def _furnish(app: App) -> tuple[dict[str, str], dict[str, str]]:
    """Make two police departments, and a board; one department has an evaluation that passes, one that doesn't."""
    people, kept = {"operator": OPERATOR}, {}
    purposes = {"operator": ME.purpose, "Board": Purpose.OVERSIGHT}
    for name, org_class, roles in (
        ("Seattle PD", OrgClass.LAW_ENFORCEMENT, [Role.ADMIN, Role.USER]),
        ("Portland PD", OrgClass.LAW_ENFORCEMENT, [Role.ADMIN, Role.USER]),
        ("Bend PD", OrgClass.LAW_ENFORCEMENT, [Role.ADMIN]),
        ("Board", OrgClass.OVERSIGHT, [Role.OVERSIGHT]),
    ):
        made = app.people.add_organisation(ME, name, org_class, "US-WA").id
        people[name] = app.people.add(ME, made, f"{made}@example.org", f"Chief of {name}", roles).id
        if name == "Seattle PD":
            people["officer"] = app.people.add(ME, made, "o@example.org", "Officer", [Role.USER]).id
    jobs = (
        ("Seattle PD", MadeUp(examples.verification(), TITLE)),
        ("Portland PD", MadeUp(examples.bare_verification(), "All groups")),
        ("operator", MadeUp(examples.identification(), "Visitors")),
        ("operator", MadeUp(examples.attacks(), "Masks")),
    )
    for who, job in jobs:
        caller = Caller(people[who], purposes.get(who, WORK), provenance="own")
        name = "attacks" if job.kind == "attacks" else who
        kept[name] = app.evaluations.measure(caller, job).kept.record.id
    for name in ("operator", "attacks"):
        app.evaluations.publish(ME, kept[name])
    invited = {w: app.invitations.invite(ME, p, [purposes.get(w, WORK)]).token for w, p in people.items()}
    return invited, kept


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, start_server) -> Iterator[House]:
    """A server with kept evaluations of figures that were made up; that of the operator is published."""
    data = tmp_path_factory.mktemp("measured")
    app = App.open(Config(data=data))
    invited, kept = _furnish(app)
    server = start_server(data)
    made = House(server, app, invited, kept)
    yield made
    for browser in made.browsers.values():
        browser.http.close()
    server.stop()
    app.close()


def _text(page: str) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page)))


# --- one's own ---


def test_the_gate_says_what_is_missing_and_the_command(house: House) -> None:
    """Without one, with one that doesn't pass, with one that does; and where nobody demands one."""
    page = house.enter("Bend PD").get("/console/evaluations").text
    assert "evaluation-gate.missing" in page
    assert COMMAND in page
    assert "No evaluations yet" in page
    page = house.enter("Seattle PD").get("/console/evaluations").text
    assert "evaluation-gate.data" in page
    assert "evaluation-gate.missing" not in page
    page = house.enter("Portland PD").get("/console/evaluations").text
    assert "You have the evaluation that the rules demand" in page
    assert COMMAND not in page
    groups = examples.many_groups()
    assert f"{len(groups.groups)}, by {groups.column}" in page
    assert "No rulebook in force demands" in house.enter("operator").get("/console/evaluations").text


def test_the_list_is_of_ones_own_but_for_those_who_oversee(house: House) -> None:
    """Kind, title, label, whether it is of what runs now; overseers see all, with their organisations."""
    page = house.enter("officer").get("/console/evaluations").text
    assert house.kept["Seattle PD"] in page
    assert house.kept["Portland PD"] not in page
    assert house.kept["operator"] not in page
    assert "runs here now" in page
    assert HOSTILE not in page
    assert TITLE in _text(page)
    page = house.enter("Board").get("/console/evaluations").text
    assert all(kept in page for kept in house.kept.values())
    assert "Portland PD" in page


def test_an_evaluation_is_told_in_sentences_and_tables(house: House) -> None:
    """Intervals, and the reasons where there is too little data; the evaluator's words are text and nothing else."""
    browser = house.enter("Seattle PD")
    page = browser.get(f"/console/evaluations/{house.kept['Seattle PD']}").text
    for told in ("In short", "Differences by sex", "women", "12 people; 30 are needed", "0 of 298,000", '<svg xmlns="'):
        assert told in page, told
    assert "not enough data: FNMR at FMR 1e-05" in page
    assert HOSTILE not in page
    assert "/report" in page
    page = house.enter("Portland PD").get(f"/console/evaluations/{house.kept['Portland PD']}").text
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page
    assert browser.get("/console/evaluations/eval-none").status_code == 400


def test_the_report_loads_and_runs_nothing(house: House) -> None:
    """It comes with a policy of its own, and isn't kept by browsers."""
    answer = house.enter("Seattle PD").get(f"/console/evaluations/{house.kept['Seattle PD']}/report")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:; ")
    assert "script-src" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert "<script" not in answer.text
    assert answer.text.startswith("<!DOCTYPE html>") or answer.text.startswith("<!doctype html>")


def test_the_file_is_proven_by_the_ledger(house: House) -> None:
    """Offline, by the log's key; what is changed doesn't hold any more."""
    answer = house.enter("officer").get(f"/console/evaluations/{house.kept['Seattle PD']}.json")
    assert f"{house.kept['Seattle PD']}.json" in answer.headers["content-disposition"]
    found = verify_signed(answer.content, house.app.ledger.vkey)
    assert found.sound, found.problems
    told = json.loads(answer.content)
    assert json.loads(told["document"])["dataset"]["title"] == TITLE
    told["document"] = told["document"].replace("1500", "1501")
    assert not verify_signed(json.dumps(told).encode(), house.app.ledger.vkey).sound


def test_anothers_evaluation_is_nothing(house: House) -> None:
    """Page, report, file, publishing: as if there were none; whoever isn't signed in is sent to the door."""
    browser, path = house.enter("Portland PD"), f"/console/evaluations/{house.kept['Seattle PD']}"
    for more in ("", "/report", ".json"):
        assert browser.get(path + more).status_code == 404, more
        assert house.stranger(path + more).status_code == 303, more
    browser.get("/console/evaluations")
    assert browser.post(path + "/publish").status_code == 404
    assert house.enter("Board").get(path).status_code == 200


def test_the_entry_of_the_ledger_reads_well(house: House) -> None:
    """What was measured, on how many photos, hashes in clear; it commits to data and result, and leads to it."""
    kept = house.app.evaluations.get_published(house.kept["operator"]).record
    entry = house.app.ledger.entry(kept.entry)
    assert [name for name, _ in commitments(entry)] == ["dataset", "result"]
    page = house.enter("operator").get(f"/console/ledger/{kept.entry}").text
    for told in ("Measure how accurate this is", "Searching for a face", kept.fingerprint, "3300"):
        assert told in page, told
    assert f"/console/evaluations/{kept.id}" in page
    assert f"/console/evaluations/{kept.id}" not in house.enter("officer").get(f"/console/ledger/{kept.entry}").text


# --- publishing ---


def test_who_may_publish_does_and_takes_it_back(house: House) -> None:
    """A user is refused; an administrator publishes, strangers see it at once, and no more when it is withdrawn."""
    kept = house.kept["Seattle PD"]
    own, public = f"/console/evaluations/{kept}", f"/console/accuracy/{kept}"
    officer = house.enter("officer")
    assert "Publish it" not in officer.get(own).text
    officer.get("/console/evaluations")
    assert officer.post(own + "/publish").status_code == 403
    assert house.stranger(public).status_code == 404
    assert house.stranger(public + ".json").status_code == 404

    chief = house.enter("Seattle PD")
    assert "Publish it" in chief.get(own).text
    assert TITLE not in _text(house.stranger("/").text)
    page = chief.post(own + "/publish").text
    assert "It is published" in page
    assert "within a minute" in page
    for path in ("/", "/console/accuracy"):  # this server doesn't wait for the minute to be over
        assert TITLE in _text(house.stranger(path).text), path
    assert "Withdraw it" in page
    answer = house.stranger(public)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "public, max-age=60"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert "Seattle" not in answer.text
    assert verify_signed(house.stranger(public + ".json").content, house.app.ledger.vkey).sound
    assert "An evaluation was published" in chief.get("/console/ledger").text

    page = chief.post(own + "/withdraw").text
    assert "It is withdrawn" in page
    assert "within a minute" in page
    for path in ("/", "/console/accuracy"):
        assert TITLE not in _text(house.stranger(path).text), path
    assert house.stranger(public).status_code == 404
    assert house.stranger(public + ".json").status_code == 404
    entry = house.app.ledger.entry(house.app.ledger.size() - 1)
    assert (entry["change"], entry["target"]) == ("evaluation-withdrawn", kept)


def test_strangers_see_what_is_published_and_nothing_else(house: House) -> None:
    """On the public page, in the list, with the class of who made it; no id or title of what isn't published."""
    kept, other = house.kept["operator"], house.kept["Portland PD"]
    for path in ("/", "/console/accuracy"):
        page = house.stranger(path).text
        assert "of people who are not in this gallery of 5,000" in _text(page), path
        assert f"/console/accuracy/{kept}" in page
        assert "made by: the operator" in _text(page)
        assert other not in page
        assert "All groups" not in page
        assert "Portland" not in page
        assert "No accuracy report of this installation has been published" not in page
    assert house.stranger(f"/console/accuracy/{other}").status_code == 404
    assert house.stranger("/console/accuracy/eval-0000000000000000").status_code == 404


def test_the_first_page_tells_differences_between_groups(house: House) -> None:
    """Of a comparison that is published they stand beside its figures; where none were measured, that is said."""
    chief, own = house.enter("Seattle PD"), f"/console/evaluations/{house.kept['Seattle PD']}"
    assert "Differences between groups of people weren't measured in it" in _text(house.stranger("/").text)
    chief.post(own + "/publish")
    page = _text(house.stranger("/").text)
    figures = examples.verification()
    for differential in figures.differentials:
        for spread in differential.spreads:
            assert _text(spread_in_words(differential.column, spread)) in page
    assert "By LFW's protocol" in page
    assert "The whole report, with every group" in page
    chief.get("/console")
    chief.post(own + "/withdraw")


def test_attacks_are_of_a_model_that_was_brought(house: House) -> None:
    """Nobody is told that it is of what runs here, nor what runs here, and presentations aren't called photos."""
    kept = house.kept["attacks"]
    browser = house.enter("operator")
    for page in (house.stranger("/console/accuracy").text, browser.get(f"/console/evaluations/{kept}").text):
        assert BROUGHT in page
    page = browser.get(f"/console/evaluations/{kept}").text
    record = house.app.evaluations.get_published(kept).record
    assert "of what runs here now" not in page
    assert record.fingerprint not in page
    assert "scores of at least 0.5" in page
    assert "<dt>Presentations</dt><dd>3,300</dd>" in page
    assert "Quality filter" not in page
    assert "brought along, not part of this server" in browser.get("/console/evaluations").text
    assert record.fingerprint not in house.stranger(f"/console/accuracy/{kept}").text


def test_what_has_changed_since_is_told(house: House) -> None:
    """An evaluation of something else than what runs now names what differs; of a pack that is gone, that it is."""
    kept = house.app.evaluations.get_published(house.kept["operator"])
    assert differs_now(house.app, kept) == ()
    deployed = replace(kept.evaluation.deployed, provider="cuda", calibration="00" * 32)
    old = replace(kept, current=False, evaluation=replace(kept.evaluation, deployed=deployed))
    assert differs_now(house.app, old) == ("the scale of similarity", "what runs the models (cuda, now cpu)")
    gone = replace(old, record=replace(old.record, pack="gone-1"))
    assert differs_now(house.app, gone) == ("the pack gone-1 can't be used here any more",)


def test_who_runs_something_else_now_tells_what(house: House, start_server) -> None:
    """Strangers and the evaluator read in what that which was measured differs."""
    server = start_server(house.app.config.data, CUSTODES_VISION_DETAIL="2")
    try:
        for path in ("/", "/console/accuracy"):
            page = _text(httpx.get(server.endpoint_url + path).text)
            assert "of something else than what runs here now" in page, path
            assert "the setting vision.detail (1, now 2)" in page, path
    finally:
        server.stop()


def test_the_model_card_is_for_everybody(house: House) -> None:
    """What each network was trained on, and where the pack fails."""
    page = _text(house.stranger("/console/accuracy/card").text)
    manifest = house.app.packs.get(house.app.config.vision.pack)
    assert all(model.sha256 in page for model in manifest.models)
    assert "Where it fails" in page
    assert "There is no liveness model" in page


def test_without_a_publication_it_says_so(server) -> None:
    """Nothing was published on the shared server: the list doesn't pretend otherwise."""
    assert "Nothing has been published" in httpx.get(server.endpoint_url + "/console/accuracy").text


# --- words and tables ---


def test_every_kind_and_class_has_words() -> None:
    """No page names a class or a kind as only programs do, nor an organisation."""
    now = datetime.now(UTC)
    for org_class in OrgClass:
        words = evaluator_words(Organisation("org-1", "The Millers", org_class, "US", now))
        assert words.startswith(("a ", "an ")), words
        assert "Miller" not in words
    assert evaluator_words(Organisation(LOCAL, "x", OrgClass.GENERAL, "", now)) == "the operator"
    assert {e.figures.kind for e in examples.all_kinds().values()} == set(EVALUATIONS)
