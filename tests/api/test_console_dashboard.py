# SPDX-License-Identifier: Apache-2.0
"""The dashboard at a running server: what whom it shows, that it is live, and that looking at it leaves no trace."""

from __future__ import annotations

import json
import re

import httpx
import pytest


@pytest.fixture(scope="module")
def overseer(server) -> str:
    """An overseer in an organisation of their own."""
    made = server.cli("org", "add", "Board", "--class", "oversight", "--json")
    board = json.loads(made.stdout)["id"]
    made = server.cli(
        "people", "add", "Olga", "--id", "olga@dash.example", "--org", board, "--role", "oversight", "--json"
    )
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)["id"]


def _live(browser) -> dict:
    answer = browser.fetch("/console/live", "GET")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_operator_sees_work_uses_restraints_and_the_record(server, sign_in) -> None:
    """Every figure is there without scripts, and leads to its page."""
    text = sign_in(server).page.text
    for figure in ("Open cases", "Collections", "Faces held", "Moratoria in force", "Stops", "Entries of the ledger"):
        assert figure in text
    assert 'href="/console/collections">Collections</a>' in text
    assert "Alarms to look into" not in text
    assert ">Ready<" in text or ">Models are loading<" in text


def test_an_overseer_sees_alarms_and_no_faces(server, sign_in, overseer) -> None:
    """Who watches has alarms; how many faces are held isn't theirs to work with."""
    text = sign_in(server, overseer, ["oversight"]).page.text
    assert "Alarms to look into" in text
    assert "Faces held" not in text
    assert "/console/collections" not in text


def test_the_chart_can_be_read_without_seeing_it(server, sign_in) -> None:
    """It has a title and a description, and the same is in a table of fourteen days."""
    text = sign_in(server).page.text
    picture = re.search(r'<svg class="chart".*?</svg>', text, re.S)[0]
    assert 'role="img"' in picture
    assert "<title" in picture
    assert "<desc" in picture
    assert len(re.findall(r'data-live="searches-\d{4}-\d\d-\d\d"', text)) == 14


def test_looking_leaves_no_trace(server, sign_in) -> None:
    """The ledger is as long after a look as before, and the script's answer has what the page has."""
    browser = sign_in(server)
    before = _live(browser)
    browser.get("/console")
    after = _live(browser)
    assert before["values"]["entries"] == after["values"]["entries"]
    assert f'data-live="entries">{after["values"]["entries"]}<' in browser.page.text
    assert after["counted"] is True
    assert "<svg" in after["chart"]


def test_what_is_done_and_refused_is_counted_at_once(server, client, sign_in, photo) -> None:
    """A collection, a search and a refusal show in the next look."""
    browser = sign_in(server)
    before = _live(browser)["values"]
    client.create_collection(CollectionId="dashboard")
    client.index_faces(CollectionId="dashboard", Image={"Bytes": photo("collins.png")})
    client.search_faces_by_image(CollectionId="dashboard", Image={"Bytes": photo("collins.png")})
    browser.post("/console/purpose", {"purpose": "access-control"})
    assert browser.get("/console/collections/dashboard").status_code == 403
    after = _live(browser)["values"]
    client.delete_collection(CollectionId="dashboard")

    def more(key: str) -> int:
        return int(after[key].replace(",", "")) - int(before[key].replace(",", ""))

    assert {k: more(k) for k in ("collections", "faces", "searches", "refused")} == {
        "collections": 1,
        "faces": 1,
        "searches": 1,
        "refused": 1,
    }


def test_a_stranger_gets_no_figures(server) -> None:
    """Without a session a script is told so, and a person is led to the door."""
    answer = httpx.get(f"{server.endpoint_url}/console/live", headers={"accept": "application/json"})
    assert answer.status_code == 401
    assert httpx.get(f"{server.endpoint_url}/console").headers["location"] == "/console/sign-in"
