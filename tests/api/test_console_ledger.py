# SPDX-License-Identifier: Apache-2.0
"""The console's pages of the ledger and of transparency reports."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from custodes.api.console.entries import Wanted, commitments, newest
from custodes.api.console.facade import facts_now
from custodes.api.console.figures import to_csv
from custodes.app import App
from custodes.casework.imports import inert
from custodes.config import Config
from custodes.errors import Denied
from custodes.governance import OPERATOR, Caller, OrgClass, Purpose, Role
from custodes.ledger import check_disclosure
from custodes.operations.transparency import of_ledger

ME = Caller(OPERATOR, Purpose.PHOTO_LIBRARY, provenance="own")
HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class House:
    """A server, the same installation to look at, and people in it."""

    server: Any
    app: App
    officer: str
    admin: str
    face: str
    enrolment: int


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, start_server, photo) -> Iterator[House]:
    """A server whose ledger has an enrolment, whose face's id is committed to, a case, and a refusal."""
    data = tmp_path_factory.mktemp("house")
    app = App.open(Config(data=data))
    police = app.people.add_organisation(ME, "Seattle PD", OrgClass.LAW_ENFORCEMENT, "US-WA").id
    officer = app.people.add(ME, police, "officer@example.org", "Officer", [Role.USER]).id
    admin = app.people.add(ME, police, "chief@example.org", "Chief", [Role.ADMIN]).id
    app.grounds.open_case(ME, Purpose.MISSING_PERSON, police)
    with pytest.raises(Denied):
        app.grounds.open_case(ME, Purpose.CRIMINAL_INVESTIGATION, police)
    server = start_server(data)
    client = server.client()
    client.create_collection(CollectionId="people")
    done = client.index_faces(CollectionId="people", Image={"Bytes": photo("biden.jpg")}, ExternalImageId="Joe")
    face = done["FaceRecords"][0]["Face"]["FaceId"]
    yield House(server, app, officer, admin, face, app.ledger.size() - 1)
    server.stop()
    app.close()


def _indexes(page: str) -> list[int]:
    return [int(i) for i in re.findall(r'<th scope="row" data-label="Entry"><a href="/console/ledger/(\d+)"', page)]


# --- entries ---


def test_entries_are_listed_the_newest_first_and_chosen(house: House, sign_in) -> None:
    """All of them, by kind, action, decision or case; a filter that nothing fits says so."""
    browser = sign_in(house.server, house.officer, ["missing-person"])
    every = _indexes(browser.get("/console/ledger").text)
    assert every == sorted(every, reverse=True)
    assert house.enrolment in every
    assert _indexes(browser.get("/console/ledger?action=Enrol").text) == [house.enrolment]
    denied = _indexes(browser.get("/console/ledger?decision=deny").text)
    assert [house.app.ledger.entry(i)["decision"] for i in denied] == ["deny"]
    acts = _indexes(browser.get("/console/ledger?kind=act").text)
    assert {house.app.ledger.entry(i)["kind"] for i in acts} == {"act"}
    assert "No such entry" in browser.get("/console/ledger?case=case-0000000000000000").text
    for wrong in ("kind=party", "decision=maybe", "before=-1", "action=%3Cscript%3E"):
        assert browser.get(f"/console/ledger?{wrong}").status_code == 400


def test_a_page_of_entries_is_bounded_and_goes_on(house: House) -> None:
    """A bounded number is read, and it is said where to read on; nothing comes twice or is left out."""
    ledger, seen = house.app.ledger, []
    before: int | None = None
    while True:
        found = newest(ledger, Wanted().takes, before, 3)
        seen += [line.index for line in found.lines]
        before = found.before
        if before is None:
            break
    assert seen == list(range(seen[0], -1, -1))
    assert len(seen) >= house.enrolment


def test_an_entry_is_told_in_words_and_as_it_is_written(house: House, sign_in) -> None:
    """Facts, commitments, the raw bytes; no label of anybody's photo."""
    browser = sign_in(house.server, house.officer, ["missing-person"])
    page = browser.get(f"/console/ledger/{house.enrolment}").text
    assert "Store a face" in page
    assert "Where the image comes from" in page
    assert "Joe" not in page
    assert house.face not in page
    shown = base64.b64decode(re.search(r'data-entry="([^"]+)"', page)[1])
    assert json.loads(shown) == dict(house.app.ledger.entry(house.enrolment))
    assert browser.get(f"/console/ledger/{10**9}").status_code == 404
    assert browser.get("/console/ledger/first").status_code == 400


def test_an_entry_and_its_proof_are_handed_out(house: House, sign_in) -> None:
    """Whoever is signed in gets it; it opens nothing, is no entry of its own, and holds offline."""
    browser, before = sign_in(house.server, house.officer, ["missing-person"]), house.app.ledger.size()
    answer = browser.get(f"/console/ledger/{house.enrolment}/proof")
    assert answer.headers["content-disposition"] == f'attachment; filename="entry-{house.enrolment}.json"'
    found = check_disclosure(answer.content, house.app.ledger.vkey)
    assert (found.index, dict(found.values)) == (house.enrolment, {})
    assert house.app.ledger.size() == before


def test_an_entry_is_opened_by_who_may_and_that_is_an_entry(house: House, sign_in) -> None:
    """The operator opens it: the page has the values and the file; a user is refused, and both are recorded."""
    operator = sign_in(house.server)
    page = operator.get(f"/console/ledger/{house.enrolment}").text
    names = re.findall(r'name="names" value="([^"]+)"', page)
    assert names
    assert operator.post(f"/console/ledger/{house.enrolment}/disclose").status_code == 400
    page = operator.post(f"/console/ledger/{house.enrolment}/disclose", {"all": "yes"}).text
    data = base64.b64decode(re.search(r"data:application/json;base64,([^\"]+)", page)[1])
    found = check_disclosure(data, house.app.ledger.vkey)
    assert set(found.values) == set(names)
    assert found.values["reference.0"].decode() == house.face
    assert house.face in page
    entry = house.app.ledger.entry(house.app.ledger.size() - 1)
    assert (entry["change"], entry["opened"]) == ("disclosed", sorted(names))
    user = sign_in(house.server, house.officer, ["missing-person"])
    user.get("/console/ledger")
    answer = user.post(f"/console/ledger/{house.enrolment}/disclose", {"all": "yes"})
    assert answer.status_code == 403
    assert "base.administer-role" in answer.text
    admin = sign_in(house.server, house.admin, ["missing-person"])
    admin.get("/console/ledger")
    answer = admin.post(f"/console/ledger/{house.enrolment}/disclose", {"all": "yes"})
    assert answer.status_code == 403
    assert "base.administer-own" in answer.text
    assert house.app.ledger.entry(house.app.ledger.size() - 1)["decision"] == "deny"


def test_what_was_never_there_is_not_opened(house: House, sign_in) -> None:
    """A name that the entry doesn't commit to is an error on its page, and nothing is recorded as opened."""
    operator = sign_in(house.server)
    operator.get(f"/console/ledger/{house.enrolment}")
    answer = operator.post(f"/console/ledger/{house.enrolment}/disclose", {"names": "none-such"})
    assert answer.status_code == 400
    assert "be opened at none-such" in answer.text


# --- checking ---


def test_strangers_can_check_the_log_too(house: House, sign_in) -> None:
    """The page needs no login; the one within the console is the same."""
    outside = httpx.get(house.server.endpoint_url + "/console/verify")
    inside = sign_in(house.server, house.officer, ["missing-person"]).get("/console/ledger/verify")
    for page in (outside.text, inside.text):
        assert 'data-check="log"' in page
        assert 'data-check="file"' in page
        assert "custodes ledger check receipt.json" in page
    assert house.app.ledger.vkey.split("+")[0] in outside.text


# --- transparency ---


def test_a_report_is_shown_as_the_command_line_makes_it(house: House, sign_in) -> None:
    """Its sentences and figures are those of the operation; the files are the same report."""
    browser = sign_in(house.server, house.officer, ["missing-person"])
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    since, until = today - timedelta(days=1), today + timedelta(days=1)
    period = {"from": f"{since:%Y-%m-%d}", "to": f"{until:%Y-%m-%d}"}
    page = browser.get("/console/transparency", params=period).text
    made = of_ledger(house.app.ledger, since, until)
    for sentence in made.summary:
        assert sentence in page
    assert "Moratorium declared" in page
    assert "The period isn&#39;t over" in page or "The period isn't over" in page
    data = browser.get("/console/transparency/report.json", params=period)
    assert data.json()["tables"] == made.to_json()["tables"]
    html = browser.get("/console/transparency/report.html", params=period)
    assert html.headers["content-disposition"].startswith("attachment")
    assert html.text.startswith("<!DOCTYPE html>")
    rows = list(csv.reader(io.StringIO(browser.get("/console/transparency/report.csv", params=period).text)))
    assert rows == list(csv.reader(io.StringIO(to_csv(made))))
    assert rows[1][:2] == ["figures", "searches"]


@pytest.mark.parametrize(
    "period",
    [
        {"from": "2026-02-01", "to": "2026-01-01"},
        {"from": "soon", "to": "2026-01-01"},
        {"from": "2026-13-01", "to": ""},
    ],
)
def test_a_period_that_is_none_is_told_on_the_page(house: House, sign_in, period: dict[str, str]) -> None:
    """It ends later than it begins, and its days are days."""
    browser = sign_in(house.server, house.officer, ["missing-person"])
    answer = browser.get("/console/transparency", params=period)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert browser.get("/console/transparency/report.json", params=period).status_code == 400


def test_small_counts_stay_hidden_in_the_csv(house: House) -> None:
    """What the report doesn't tell, the file doesn't: a marked line without a number."""
    today = datetime.now(UTC)
    made = of_ledger(house.app.ledger, today - timedelta(days=1), today + timedelta(days=1))
    rows = list(csv.DictReader(io.StringIO(to_csv(made))))
    [enrolments] = [r for r in rows if (r["table"], r["row"]) == ("figures", "enrolments")]
    assert (enrolments["count"], enrolments["suppressed"]) == ("", "yes")
    assert all((r["count"] == "") == (r["suppressed"] == "yes") for r in rows)


def test_a_cell_of_the_csv_is_no_formula() -> None:
    """A name that begins as one is quoted."""
    assert [inert(t) for t in ("=1+1", "@x", "-2", "+3", "searches")] == ["'=1+1", "'@x", "'-2", "'+3", "searches"]


def test_commitments_are_told_from_other_hashes(house: House) -> None:
    """The set of rules is none."""
    entry = house.app.ledger.entry(house.enrolment)
    names = {name for name, _ in commitments(entry)}
    assert names
    assert "rules_hash" not in names
    assert all(HASH.fullmatch(str(entry[name])) for name in names)


def test_what_the_public_page_tells_writes_no_entry(house: House) -> None:
    """Reading it leaves the ledger as it is."""
    before = house.app.ledger.size()
    facts_now(house.app, datetime.now(UTC))
    assert house.app.ledger.size() == before
