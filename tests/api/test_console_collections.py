# SPDX-License-Identifier: Apache-2.0
"""Collections at a running server: making, enrolling, searching, erasing; and what the rules and the limits refuse."""

from __future__ import annotations

import html
import json
import re
import sqlite3
from contextlib import closing

import httpx
import pytest

HOSTILE = "<img src=x onerror=alert(1)>.jpg"
HERE = "/console/collections"


def _entries(server, last: int = 1) -> list[dict]:
    """Read the newest entries of the ledger."""
    with closing(sqlite3.connect(server.data / "custodes.sqlite3", timeout=30)) as c:
        rows = c.execute('SELECT data FROM ledger_entries ORDER BY "index" DESC LIMIT ?', (last,)).fetchall()
    return [json.loads(data) for (data,) in rows]


def _refused(server, answer: httpx.Response, rule: str) -> None:
    """Check that a rule refuses, and that the ledger has it."""
    assert answer.status_code == 403
    assert rule in answer.text
    [entry] = _entries(server)
    assert (entry["outcome"], rule in entry["rules"]) == ("denied", True)


@pytest.fixture(scope="module")
def operator(server, sign_in):
    """Somebody of the first organisation, who works for its photo library."""
    return sign_in(server)


@pytest.fixture(scope="module")
def stranger(server, sign_in):
    """Somebody of another organisation."""
    made = server.cli("org", "add", "Elsewhere", "--class", "general", "--json")
    other = json.loads(made.stdout)["id"]
    made = server.cli("people", "add", "Eve", "--id", "eve@elsewhere.example", "--org", other, "--json")
    return sign_in(server, json.loads(made.stdout)["id"])


@pytest.fixture(scope="module")
def overseer(server, sign_in):
    """Somebody who watches and uses no faces."""
    made = server.cli("people", "add", "Ove", "--id", "ove@board.example", "--role", "oversight", "--json")
    return sign_in(server, json.loads(made.stdout)["id"], ["oversight"])


@pytest.fixture(scope="module")
def shelf(operator, people) -> str:
    """A collection with Ann and Bob in it, one photo each, labelled so."""
    operator.get(HERE)
    operator.post(HERE, {"name": "shelf", "days": "30", "tags": "floor=2"})
    assert operator.page.url.path == f"{HERE}/shelf", operator.page.text
    for label in ("ann", "bob"):
        _enrol(operator, "shelf", getattr(people, label), label=label)
    return "shelf"


def _enrol(browser, name: str, data: bytes, file: str = "photo.jpg", **fields: str) -> dict:
    browser.get(f"{HERE}/{name}/enrol")
    answer = browser.fetch(
        f"{HERE}/{name}/enrol", data={"provenance": "own"} | fields, files={"photos": (file, data, "image/jpeg")}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def _search(browser, name: str, data: bytes, **fields: str) -> httpx.Response:
    return browser.fetch(f"{HERE}/{name}/search", data=fields, files={"photo": ("p.jpg", data, "image/jpeg")})


# --- the list, and making one ---------------------------------------------------------------------------------------


def test_a_collection_is_made_and_listed(server, operator, shelf) -> None:
    """It is of the purpose that was chosen; its name isn't in the ledger."""
    row = re.search(r"<tr><th[^>]*>(?:(?!</tr>).)*collections/shelf.*?</tr>", operator.get(HERE).text, re.S)[0]
    assert "Photo library" in row
    assert "30 days" in row
    assert "shelf" not in json.dumps(_entries(server, 20))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "<script>alert(1)</script>"),
        ("name", "shelf"),
        ("days", "0"),
        ("tags", "<b>=1"),
        ("tags", "custodes:x=1"),
    ],
)
def test_what_cant_be_meant_is_told_beside_its_field(operator, shelf, field: str, value: str) -> None:
    """Nothing is made, and what was typed comes back as text."""
    operator.get(HERE)
    answer = operator.post(HERE, {"name": "fresh", field: value})
    assert answer.status_code == 400
    assert f'id="e-{field}"' in answer.text
    assert html.escape(value) in answer.text
    assert "<script>alert" not in answer.text
    assert "/fresh" not in operator.get(HERE).text


def test_nothing_of_another_organisation_is_seen_or_done(server, stranger, operator, shelf) -> None:
    """Its collections aren't listed; forced addresses and forms are refused by the rules, and recorded."""
    assert "shelf" not in stranger.get(HERE).text
    for path in ("", "/enrol", "/search", "/users", "/settings", "/report?user=x"):
        _refused(server, stranger.get(f"{HERE}/shelf{path}"), "base.own-collections")
    stranger.get(HERE)
    _refused(server, stranger.post(f"{HERE}/shelf/delete", {"again": "shelf"}), "base.own-collections")
    assert operator.get(f"{HERE}/shelf").status_code == 200


def test_who_only_watches_uses_no_faces(server, overseer, shelf) -> None:
    """The navigation doesn't lead there, and the address is refused."""
    assert f'href="{HERE}"' not in overseer.page.text
    _refused(server, overseer.get(HERE), "base.role")
    overseer.get("/console")
    _refused(server, overseer.post(HERE, {"name": "mine"}), "base.oversight-uses-no-faces")


# --- enrolling ------------------------------------------------------------------------------------------------------


def test_a_photo_is_enrolled_and_browsed(server, operator, shelf, people) -> None:
    """The answer says where the face is and which entry tells of it; the list has label and provenance, no picture."""
    told = _enrol(operator, shelf, people.ann, label="ann")
    assert (told["width"], told["height"], len(told["enrolled"]), told["skipped"]) == (480, 480, 1, [])
    assert _entries(server)[0]["provenance"] == "own"
    page = operator.get(f"{HERE}/{shelf}").text
    assert told["enrolled"][0]["id"] in page
    assert ">ann<" in page
    assert ">Own<" in page
    assert "No photo is kept" in page
    assert operator.get(f"{HERE}/{shelf}?face={told['enrolled'][0]['id']}").text.count('class="where"') == 1


def test_hostile_names_and_metadata_come_out_as_text(operator, shelf, people) -> None:
    """Without scripts: the file's name is told as text, as a label it has no sign of its own, metadata isn't told."""
    words = b"<script>alert('exif')</script>"
    tagged = people.bob[:2] + b"\xff\xfe" + (len(words) + 2).to_bytes(2) + words + people.bob[2:]
    operator.get(f"{HERE}/{shelf}/enrol")
    files = [("photos", (HOSTILE, tagged, "image/jpeg")), ("photos", ("empty.jpg", people.nobody, "image/jpeg"))]
    page = operator.post(f"{HERE}/{shelf}/enrol", {"provenance": "own", "names": "yes"}, files=files).text
    assert html.escape(HOSTILE) in page
    assert "<img src=x" not in page
    assert "alert('exif')" not in page
    assert "1 face enrolled" in page
    assert "0 faces enrolled" in page
    browsed = operator.get(f"{HERE}/{shelf}").text
    assert "_img_src_x_onerror_alert_1__.jpg" in browsed


def test_what_is_no_photo_or_too_large_is_told_clearly(operator, shelf) -> None:
    """By a script and by a form; a photo without provenance isn't enrolled."""
    operator.get(f"{HERE}/{shelf}/enrol")
    for data, status, words in (
        (b"no image at all", 400, "neither JPEG nor PNG"),
        (b"\xff" * 16_000_000, 413, "at most"),
    ):
        answer = operator.fetch(f"{HERE}/{shelf}/enrol", data={"provenance": "own"}, files={"photos": ("x.jpg", data)})
        assert answer.status_code == status
        assert words in answer.json()["message"]
        answer = operator.post(f"{HERE}/{shelf}/enrol", {"provenance": "own"}, files={"photos": ("<x>.jpg", data)})
        assert words in answer.text
        assert "&lt;x&gt;.jpg" in answer.text
    answer = operator.post(f"{HERE}/{shelf}/enrol", {}, files={"photos": ("x.jpg", b"1")})
    assert (answer.status_code, 'id="e-provenance"' in answer.text) == (400, True)
    answer = operator.fetch(f"{HERE}/{shelf}/enrol", files={"photos": ("x.jpg", b"1" * 101_000_000)})
    assert answer.status_code == 413


# --- searching ------------------------------------------------------------------------------------------------------


def test_a_face_is_chosen_and_candidates_are_leads(server, operator, shelf, people) -> None:
    """Faces are found, the second is searched for, and the answer names the entry; with a form as with a script."""
    operator.get(f"{HERE}/{shelf}/search")
    sent = {"photo": ("p.jpg", people.both, "image/jpeg")}
    found = operator.fetch(f"{HERE}/{shelf}/search/faces", files=sent).json()
    assert (len(found["faces"]), found["width"]) == (2, 1000)
    for face, label in (("1", "ann"), ("2", "bob")):
        told = _search(operator, shelf, people.both, face=face, threshold="90").json()
        assert told["candidates"][0]["label"] == label
        assert told["candidates"][0]["similarity"] >= 90
        assert told["probe"] == found["faces"][int(face) - 1]
        assert "not an identity" in told["notice"]
        assert operator.http.get(f"/console/ledger/{told['entry']}").status_code == 200
        assert _entries(server)[0]["request"]["action"] == "SearchReferences"
    page = operator.post(f"{HERE}/{shelf}/search", {"threshold": "90", "limit": "5", "face": "2"}, files=sent).text
    assert "A candidate is a lead for a person to judge, not an identity." in page
    assert ">bob<" in page
    assert f'<a href="/console/ledger/{len(_all(server)) - 2}">' in page  # the page describes the collection after it


def _all(server) -> list[dict]:
    return _entries(server, 10**6)


def test_a_search_that_cant_be_is_told(operator, shelf, people) -> None:
    """Numbers out of range beside their fields; a photo without a face, and a face that there isn't, in words."""
    sent = {"photo": ("p.jpg", people.ann, "image/jpeg")}
    operator.get(f"{HERE}/{shelf}/search")
    for field, value in (("threshold", "101"), ("threshold", "x"), ("limit", "0")):
        answer = operator.post(f"{HERE}/{shelf}/search", {"limit": "5", field: value}, files=sent)
        assert (answer.status_code, f'id="e-{field}"' in answer.text) == (400, True)
    assert "no face" in _search(operator, shelf, people.nobody).json()["message"]
    assert "no face" in _search(operator, shelf, people.ann, face="2").json()["message"]


# --- users, reports, erasing ----------------------------------------------------------------------------------------


def test_a_user_gets_faces_and_a_report(operator, shelf, people) -> None:
    """Faces that aren't alike are refused in words; the report says what is held and every use, as page and file."""
    ann = _enrol(operator, shelf, people.ann_again, label="ann-again")["enrolled"][0]["id"]
    bob = _enrol(operator, shelf, people.bob, label="bob")["enrolled"][0]["id"]
    operator.get(f"{HERE}/{shelf}/users")
    operator.post(f"{HERE}/{shelf}/users", {"user": "a-1"})
    operator.post(f"{HERE}/{shelf}/users/a-1/give", {"faces": ann})
    assert "1 of 1 faces are given" in operator.page.text
    operator.post(f"{HERE}/{shelf}/users/a-1/give", {"faces": bob})
    assert "not alike enough" in operator.page.text
    assert 'id="e-faces"' in operator.post(f"{HERE}/{shelf}/users/a-1/give", {"faces": "<b>"}).text
    page = operator.get(f"{HERE}/{shelf}/report?user=a-1").text
    assert ann in page
    assert "Store a face" in page
    told = operator.http.get(f"{HERE}/{shelf}/report.json?user=a-1")
    assert "attachment" in told.headers["content-disposition"]
    assert [f["id"] for f in told.json()["faces"]] == [ann]
    assert {u["action"] for u in told.json()["uses"]} >= {"Enrol", "Associate", "ExportReport"}
    operator.post(f"{HERE}/{shelf}/users/a-1/take", {"face": ann})
    assert "they stay enrolled" in operator.page.text
    operator.post(f"{HERE}/{shelf}/users/a-1/delete")
    assert "a-1" not in operator.get(f"{HERE}/{shelf}/users").text


def test_chosen_faces_are_erased_with_a_receipt_that_can_be_checked(server, operator, stranger, shelf, people) -> None:
    """First it is asked, then they are gone; the receipt opens the entry, for nobody of another organisation."""
    gone = _enrol(operator, shelf, people.ann_again, label="to-go")["enrolled"][0]["id"]
    operator.get(f"{HERE}/{shelf}")
    assert 'name="sure"' in operator.post(f"{HERE}/{shelf}/erase", {"face": gone}).text
    assert gone in operator.get(f"{HERE}/{shelf}").text
    answer = operator.post(f"{HERE}/{shelf}/erase", {"face": gone, "sure": "yes"})
    assert answer.url.path == "/console/erased"
    path = re.search(r"/console/receipts/\d+", answer.text)[0]
    assert gone not in operator.get(f"{HERE}/{shelf}").text
    file = server.data / "receipt.json"
    file.write_bytes(operator.http.get(path).content)
    vkey = httpx.get(f"{server.endpoint_url}/ledger/vkey").text.strip()
    checked = server.cli("ledger", "check", str(file), "--vkey", vkey)
    assert checked.returncode == 0, checked.stderr
    assert gone.encode() in checked.stdout
    assert stranger.get(path).status_code == 404
    assert stranger.get(f"/console/erased?entry={path.rpartition('/')[2]}").status_code == 404
    assert operator.get("/console/receipts/0").status_code == 404


def test_nothing_chosen_and_unknown_things_are_told(operator, shelf) -> None:
    """An empty choice, an unknown collection, an unknown user."""
    operator.get(f"{HERE}/{shelf}")
    assert "No face is chosen" in operator.post(f"{HERE}/{shelf}/erase").text
    assert operator.get(f"{HERE}/nowhere").status_code == 404
    assert operator.get(f"{HERE}/{shelf}/users/nobody").status_code == 404
    assert "has no user of this id" in operator.get(f"{HERE}/{shelf}?user=nobody").text
    assert "No such face" in operator.get(f"{HERE}/{shelf}?face=%3Cb%3E").text


def test_a_collection_is_kept_tagged_and_deleted_by_its_name(server, operator, people) -> None:
    """Another name deletes nothing; the right one deletes all, and leads to the receipt."""
    operator.get(HERE)
    operator.post(HERE, {"name": "passing"})
    _enrol(operator, "passing", people.ann)
    operator.get(f"{HERE}/passing/settings")
    operator.post(f"{HERE}/passing/retention", {"days": "7"})
    assert "7 days" in operator.page.text
    operator.post(f"{HERE}/passing/tags", {"tags": "colour=green"})
    assert "colour" in operator.page.text
    operator.post(f"{HERE}/passing/tags/remove", {"key": "colour"})
    assert "colour" not in operator.page.text
    answer = operator.post(f"{HERE}/passing/delete", {"again": "Passing"})
    assert (answer.status_code, 'id="e-again"' in answer.text) == (400, True)
    answer = operator.post(f"{HERE}/passing/delete", {"again": "passing"})
    assert "1 face is erased" in answer.text
    assert operator.get(f"{HERE}/passing").status_code == 404
