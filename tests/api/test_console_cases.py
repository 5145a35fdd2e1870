# SPDX-License-Identifier: Apache-2.0
"""The console's pages of cases: the way from a case to a review by forms, who sees what, and what is hostile."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
import socket
import sqlite3
import struct
import time
import zipfile
from collections.abc import AsyncGenerator, Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from fastapi.routing import APIRoute
from tests.api.conftest import Browser

from custodes.api import console
from custodes.api.console.pages import caseimports, caseruns
from custodes.api.console.pages.casedesk import day_of, moment_of, number_of
from custodes.api.console.site import ROUTERS
from custodes.app import App
from custodes.casework import Run, RunKind
from custodes.config import Config
from custodes.errors import Conflict, CustodesError, Invalid, Throttled
from custodes.governance import OPERATOR, Caller, OrgClass, Purpose, Role

SCRIPT = "<script>alert(1)</script>"
HOSTILE = f'"><{SCRIPT[1:]}'
ORIGIN = {"provenance": "case-file", "basis": "the parents' consent", "source": "the family"}
SAMPLES = {
    "image": "img-" + "0" * 16,
    "size": "small",
    "run": "run-" + "0" * 16,
    "candidate": "cand-" + "0" * 16,
    "standing": "stand-" + "0" * 16,
    "import_id": "imp-" + "0" * 16,
    "lead": "lead-" + "0" * 16,
    "collection": "0" * 32,
}
"""A value of each parameter of a case's routes; a route with a new one has to be given one here."""


def routes() -> list[tuple[str, str]]:
    """Return method and path of every route of a case, with the case's id left to fill in."""
    found = []
    for route in (r for router in ROUTERS for r in router.routes if isinstance(r, APIRoute)):
        if route.path.startswith("/console/cases/{case}"):
            path = route.path.replace("{case}", "CASE").format(**SAMPLES)
            found += [(method, path) for method in sorted(route.methods) if method != "HEAD"]
    return sorted(found)


@dataclass
class Desk:
    """Two organisations, who is in them, and a case with a photo of Ann and an import.

    ``cara`` administers and leads, ``dora`` works on both cases and reviews, but her login is for missing persons
    alone, ``fred`` is a colleague who works on none, ``gina`` is of another organisation. ``victim`` is a case with
    one sensitive photo.
    """

    cara: Browser
    dora: Browser
    fred: Browser
    gina: Browser
    names: dict[str, str]
    case: str
    victim: str
    photo: str
    sensitive: str
    import_id: str

    @property
    def path(self) -> str:
        """Where the case's pages begin."""
        return f"/console/cases/{self.case}"


def _exif(photo: bytes, date: bytes, maker: bytes) -> bytes:
    """Write a date and a maker into a JPEG, as a camera does."""
    text = maker + b"\0"
    first = struct.pack(">H", 2) + struct.pack(">HHII", 0x010F, 2, len(text), 80)
    first += struct.pack(">HHII", 0x8769, 4, 1, 40) + struct.pack(">I", 0)
    second = struct.pack(">H", 1) + struct.pack(">HHII", 0x9003, 2, 20, 58) + struct.pack(">I", 0)
    block = b"MM\0*" + struct.pack(">I", 8) + first
    block = block.ljust(40, b"\0") + second
    block = (block.ljust(58, b"\0") + date + b"\0").ljust(80, b"\0") + text
    segment = b"Exif\0\0" + block
    return photo[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + photo[2:]


def _poor(photo: bytes) -> bytes:
    """Return a photo dark and small."""
    picture = cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_COLOR)
    return cv2.imencode(".jpg", cv2.convertScaleAbs(cv2.resize(picture, (130, 130)), alpha=0.2))[1].tobytes()


def _id(kind: str, text: str) -> str:
    return re.search(rf"{kind}-[0-9a-f]{{16}}", text)[0]


def _wait(browser: Browser, path: str, done: Callable[[dict], bool]) -> dict:
    """Look at JSON until it is as it should be."""
    for _ in range(200):
        told = browser.fetch(path, "GET").json()
        if done(told):
            return told
        time.sleep(0.1)
    raise AssertionError(told)


def _staff(data: Path) -> dict[str, str]:
    """Add two organisations and their people to the server's installation, and return these by name."""
    roles = {
        "cara": (Role.ADMIN, Role.USER),
        "dora": (Role.USER, Role.REVIEWER),
        "fred": (Role.USER,),
        "gina": (Role.ADMIN, Role.USER),
    }
    operator = Caller(OPERATOR, Purpose.PHOTO_LIBRARY)
    app = App.open(Config(data=data))
    try:
        rescue, other = (
            app.people.add_organisation(operator, name, OrgClass.VICTIM_RESCUE, place).id
            for name, place in (("Rescue", "US-CA"), ("Another", "DE"))
        )
        return {
            name: app.people.add(
                operator, other if name == "gina" else rescue, f"{name}@cases.example", name.title(), granted
            ).id
            for name, granted in roles.items()
        }
    finally:
        app.close()


@pytest.fixture(scope="module")
def desk(server, sign_in, people) -> Desk:
    """A case that was opened, filled and given to people by forms."""
    names = _staff(server.data)
    missing = ["missing-person"]
    purposes = {name: [*missing, "victim-identification"] if name == "cara" else missing for name in names}
    browsers = {name: sign_in(server, names[name], purposes=purposes[name]) for name in names}
    cara = browsers["cara"]

    def opened(kind: str, title: str) -> str:
        cara.get("/console/cases/new")
        form = {"kind": kind, "title": title, "reference": HOSTILE, "about": HOSTILE, "lead": names["cara"]}
        answer = cara.post("/console/cases", {**form, "sensitive": "", "keep_days": "30"})
        assert answer.status_code == 200, answer.text
        case = answer.url.path.rpartition("/")[2]
        cara.post(f"/console/cases/{case}/terms/members", {"principal": names["dora"]})
        return case

    case, victim = opened("missing-person", f"Lena {HOSTILE}"), opened("victim-identification", "Series 88")
    photo = _exif(people.ann, b"2015:06:07 08:09:10", HOSTILE.encode())
    files = [("photos", (f"{HOSTILE}.jpg", photo, "image/jpeg"))]
    cara.post(f"/console/cases/{case}/photos", {"role": "reference", **ORIGIN}, files=files)
    kept = _id("img", cara.page.text)
    files = [("photos", ("x.jpg", people.bob, "image/jpeg"))]
    cara.post(f"/console/cases/{victim}/photos", {"role": "reference", **ORIGIN}, files=files)
    sensitive = _id("img", cara.page.text)
    cara.post(f"/console/cases/{case}/sightings", {"seen_at": "2026-01-02T03:04", "place": HOSTILE, "note": HOSTILE})
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in {"a.jpg": people.ann_again, "b.jpg": people.both, f"{HOSTILE}.jpg": b"no photo"}.items():
            archive.writestr(name, data)
        archive.writestr("=1+1.jpg", b"no photo either")
    upload = {"file": (f"{HOSTILE}.zip", packed.getvalue(), "application/zip")}
    answer = cara.post(f"/console/cases/{case}/imports", ORIGIN, files=upload)
    assert answer.status_code == 200, answer.text
    import_id = answer.url.path.rpartition("/")[2]
    _wait(cara, f"/console/cases/{case}/imports/{import_id}", lambda told: told["state"] == "done")
    return Desk(**browsers, names=names, case=case, victim=victim, photo=kept, sensitive=sensitive, import_id=import_id)


# --- the way through ---


def test_from_a_photo_to_a_review_by_forms_alone(desk: Desk) -> None:
    """Search with the references, see candidates with what a score means, and submit one for review."""
    cara = desk.cara
    assert "2015-06-07" in cara.get(desk.path).text  # the date that the camera has written
    page = cara.get(f"{desk.path}/search").text
    places = re.findall(r'name="collections" value="([0-9a-f]{32})" checked', page)
    assert len(places) == 1
    answer = cara.post(f"{desk.path}/search", {"what": "references", "collections": places, "limit": "50"})
    assert "/runs/run-" in answer.url.path
    assert "A candidate is a lead for a person to judge, not an identity." in answer.text
    assert "pairs of different people" in answer.text
    assert "/console/ledger/" in answer.text
    chosen = re.findall(r'name="candidates" value="(cand-[0-9a-f]{16})"', answer.text)
    assert chosen
    run = answer.url.path
    assert cara.post(f"{run}/review", {}).status_code == 400
    assert "in review" in cara.post(f"{run}/review", {"candidates": chosen[:1]}).text
    assert "In review" in cara.get(run).text
    assert "1 in review" in cara.get("/console/cases").text


def test_a_reviewer_is_asked_before_scores_are_shown(desk: Desk) -> None:
    """Who may review sees no score of a run until they say that they want to; then it is theirs for good."""
    places = re.findall(r'value="([0-9a-f]{32})" checked', desk.cara.get(f"{desk.path}/search").text)
    answer = desk.cara.post(f"{desk.path}/search", {"what": "references", "collections": places})
    run = answer.url.path
    asked = desk.dora.get(run).text
    assert "Before you look" in asked
    assert "pairs of different people" not in asked
    assert "pairs of different people" in desk.dora.post(f"{run}/show").text
    assert "pairs of different people" in desk.dora.get(run).text


def test_a_poor_probe_is_told_of_before_anything_is_searched(desk: Desk, people) -> None:
    """A dark small face leads to a page with advice, and no search is made until it is confirmed."""
    cara = desk.cara
    cara.get(f"{desk.path}/photos/new?role=probe")
    files = [("photos", ("dark.jpg", _poor(people.bob), "image/jpeg"))]
    cara.post(f"{desk.path}/photos", {"role": "probe", **ORIGIN}, files=files)
    image = _id("img", cara.page.text)
    form = {"what": "photo", "image": image, "faces": "0"}
    page = cara.get(f"{desk.path}/search?what=photo&image={image}").text
    form["collections"] = re.findall(r'value="([0-9a-f]{32})" checked', page)
    before = cara.get(f"{desk.path}/search").text.count("/runs/run-")
    asked = cara.post(f"{desk.path}/search", form)
    assert "Before it runs" in asked.text
    assert "use a" in asked.text
    assert cara.get(f"{desk.path}/search").text.count("/runs/run-") == before
    assert "/runs/run-" in cara.post(f"{desk.path}/search", {**form, "sure": "yes"}).url.path


def test_a_standing_search_is_started_and_stopped(desk: Desk) -> None:
    """It is on the overview until it is stopped."""
    desk.cara.get(f"{desk.path}/search")
    page = desk.cara.post(f"{desk.path}/standing", {"limit": "10"}).text
    standing = _id("stand", page)
    assert f"/standing/{standing}/stop" in page
    assert f"/standing/{standing}/stop" not in desk.cara.post(f"{desk.path}/standing/{standing}/stop").text


def test_closing_a_case_says_what_it_starts_and_asks(desk: Desk) -> None:
    """Without the tick nothing is closed; then the list counts the days until all is erased."""
    cara = desk.cara
    cara.get("/console/cases/new")
    opened = cara.post("/console/cases", {"kind": "missing-person", "title": "Tom", "keep_days": "12"})
    path = opened.url.path
    assert "everything in it is erased" in cara.post(f"{path}/event", {"event": "close"}).text
    assert "Close this case?" in cara.page.text
    assert "erased in 12 days" not in cara.get("/console/cases").text
    cara.get(f"{path}/close")
    assert "This case is closed." in cara.post(f"{path}/event", {"event": "close", "sure": "yes"}).text
    assert "erased in 12 days" in cara.get("/console/cases").text
    assert cara.post(f"{path}/event", {"event": "resume"}).status_code == 409


def test_an_upload_by_a_script_is_imported(desk: Desk, people) -> None:
    """Bytes come as the body, what is said of them in a header; what can't be read there is refused."""
    body, kind = people.nobody, "application/octet-stream"
    told = base64.b64encode(json.dumps({**ORIGIN, "name": "nobody.jpg"}).encode()).decode()
    headers = {"x-custodes-import": told, "content-type": kind}
    desk.cara.get(desk.path)
    answer = desk.cara.fetch(f"{desk.path}/imports", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    state = _wait(desk.cara, answer.json()["page"], lambda told: told["state"] == "done")
    assert state["counts"]["imported"] == 1
    for wrong in ("%%%", base64.b64encode(b"[1]").decode(), base64.b64encode(b'{"name": "x"}').decode()):
        refused = desk.cara.fetch(f"{desk.path}/imports", content=body, headers={**headers, "x-custodes-import": wrong})
        assert refused.status_code == 400, wrong


# --- who sees what ---


@pytest.mark.parametrize(("method", "path"), routes())
def test_who_does_not_work_on_a_case_finds_none(desk: Desk, method: str, path: str) -> None:
    """A colleague and another organisation get the same answer on every route as for a case that there isn't."""
    for browser in (desk.fred, desk.gina):
        browser.get("/console/cases")
        told = set()
        for case in (desk.case, "case-" + "0" * 16):
            there = path.replace("CASE", case)
            answer = browser.fetch(there, method, **({} if method == "GET" else {"data": {"event": "suspend"}}))
            assert answer.status_code == 404, there
            told.add(answer.text.replace(case, "CASE"))
        assert len(told) == 1


def test_nobody_sees_cases_of_others_in_the_list(desk: Desk) -> None:
    """The list has the cases that somebody works on or administers, and no other."""
    assert desk.case in desk.dora.get("/console/cases").text
    for browser in (desk.fred, desk.gina):
        assert desk.case not in browser.get("/console/cases").text


def _size(server) -> int:
    """Return how many entries the ledger has."""
    with closing(sqlite3.connect(server.data / "custodes.sqlite3", timeout=30)) as c:
        return c.execute("SELECT count(*) FROM ledger_entries").fetchone()[0]


def test_a_search_of_a_collection_offers_ones_own_cases_alone(desk: Desk) -> None:
    """Nobody learns of a case by the list of grounds from which a search is made."""
    desk.cara.get("/console/collections")
    desk.cara.post("/console/collections", {"name": "ledge"})
    path = "/console/collections/ledge/search"
    assert f'value="{desk.case}"' in desk.cara.get(path).text
    assert desk.fred.get(path).status_code == 200
    assert desk.case not in desk.fred.page.text


def test_who_opens_no_case_gets_no_names_for_one(desk: Desk, server) -> None:
    """The form has names of people and issuers of authorities: it is refused by the rule, and that is an entry."""
    size = _size(server)
    for answer in (desk.fred.get("/console/cases/new"), desk.dora.get("/console/cases/new")):
        assert (answer.status_code, "base.administer-role" in answer.text) == (403, True)
        assert "Cara" not in answer.text
    assert _size(server) == size + 2
    desk.fred.get("/console/account")
    answer = desk.fred.post("/console/cases", {"kind": "nonsense", "title": "x"})
    assert (answer.status_code, "Cara" in answer.text) == (403, False)
    assert "Cara" in desk.cara.get("/console/cases/new").text


def test_a_member_whose_login_is_for_another_purpose_is_told_so(desk: Desk) -> None:
    """They see that there is a case; its photos, pictures and searches are refused, by the name of the rule."""
    path = f"/console/cases/{desk.victim}"
    page = desk.dora.get(path)
    assert page.status_code == 200
    assert "Your login is not for this purpose." in page.text
    assert desk.sensitive not in page.text
    for there in ("/photos", "/search", "/leads", f"/images/{desk.sensitive}/small"):
        answer = desk.dora.get(f"{path}{there}")
        assert answer.status_code == 403, there
        assert "base.case-purpose" in answer.text


def test_a_member_without_the_role_changes_no_case(desk: Desk) -> None:
    """Buttons aren't shown, and the rules refuse what is sent all the same."""
    page = desk.dora.get(desk.path).text
    assert f"{desk.path}/event" not in page
    refused = desk.dora.post(f"{desk.path}/event", {"event": "suspend"})
    assert (refused.status_code, "base.administer-role" in refused.text) == (403, True)


# --- pictures ---


def test_pictures_are_jpeg_without_metadata(desk: Desk) -> None:
    """Whatever size is asked for, nothing of the file as it came is sent: no EXIF, no text of the camera's."""
    for size in ("small", "full", "face"):
        answer = desk.cara.get(f"{desk.path}/images/{desk.photo}/{size}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.content.startswith(b"\xff\xd8\xff")
        assert b"Exif" not in answer.content
        assert b"script" not in answer.content


@pytest.mark.parametrize(
    "there",
    [
        "img-0000000000000000/small",
        "img-0000000000000000/huge",
        "..%2f..%2fetc%2fpasswd/small",
        "img-zzzz/small",
        "PHOTO/original",
        "PHOTO/small%00",
        "PHOTO/face?face=99",
        "PHOTO/face?face=-1",
        "PHOTO/face?face=1e9",
    ],
)
def test_hostile_names_of_pictures_are_refused(desk: Desk, there: str) -> None:
    """An image, a size or a face that there isn't is no picture, and no error of the server's."""
    answer = desk.cara.get(f"{desk.path}/images/{there.replace('PHOTO', desk.photo)}")
    assert answer.status_code in (400, 404)


def test_a_picture_of_another_case_is_none_of_this(desk: Desk) -> None:
    """An image is found below its own case alone."""
    assert desk.cara.get(f"{desk.path}/images/{desk.sensitive}/small").status_code == 404
    assert desk.cara.get(f"{desk.path}/photos/{desk.sensitive}").status_code == 404


def test_a_sensitive_picture_is_blurred_until_it_is_asked_for(desk: Desk, server) -> None:
    """Then it is as it is for who asked, which the ledger has; pages of the case are grey by default."""
    path = f"/console/cases/{desk.victim}"
    blurred = desk.cara.get(f"{path}/images/{desk.sensitive}/full").content
    page = desk.cara.get(f"{path}/photos/{desk.sensitive}").text
    assert "data-sensitive" in page
    assert "written into the ledger" in page
    assert "Look at a sensitive image" not in desk.cara.get(f"{path}/history").text
    desk.cara.post(f"{path}/photos/{desk.sensitive}/reveal", {"back": "https://evil.example/"})
    assert desk.cara.page.url.path == f"{path}/photos/{desk.sensitive}"
    clear = desk.cara.get(f"{path}/images/{desk.sensitive}/full").content
    detail = [cv2.Laplacian(cv2.imdecode(np.frombuffer(d, np.uint8), 0), cv2.CV_64F).var() for d in (blurred, clear)]
    assert detail[1] > 20 * detail[0]
    assert "Look at a sensitive image" in desk.cara.get(f"{path}/history").text


# --- what is hostile ---


def test_whatever_people_write_is_shown_as_text(desk: Desk) -> None:
    """Titles, names of files and entries, places, notes and what a camera writes run nowhere."""
    pages = ["", "/photos", f"/photos/{desk.photo}", "/photos?show=imported", "/search", "/terms", "/history", "/leads"]
    pages += ["/imports", f"/imports/{desk.import_id}", f"/imports/{desk.import_id}?outcome=refused", "/close"]
    texts = [desk.cara.get(f"{desk.path}{page}").text for page in pages] + [desk.cara.get("/console/cases").text]
    for text in texts:
        assert SCRIPT not in text
        assert "&lt;script&gt;alert(1)" in text  # of the title at least


def test_a_hostile_title_that_is_refused_comes_back_as_text(desk: Desk) -> None:
    """A form that is shown again has what was typed, and it runs nowhere; so has the list of files that failed."""
    desk.cara.get("/console/cases/new")
    form = {"kind": "missing-person", "title": HOSTILE + "x" * 120, "keep_days": "30"}
    answer = desk.cara.post("/console/cases", form)
    assert answer.status_code == 400
    assert SCRIPT not in answer.text
    files = [("photos", (f"{HOSTILE}.jpg", b"no photo", "image/jpeg"))]
    answer = desk.cara.post(f"{desk.path}/photos", {"role": "probe", **ORIGIN}, files=files)
    assert "Not all of the photos are kept." in answer.text
    assert SCRIPT not in answer.text


def test_the_table_of_what_was_refused_is_no_spreadsheet_program(desk: Desk) -> None:
    """A name that begins as a formula does is quoted."""
    answer = desk.cara.get(f"{desk.path}/imports/{desk.import_id}/refused.csv")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert "'=1+1.jpg" in answer.text
    assert ",=1+1" not in answer.text


def test_what_is_too_large_is_refused(desk: Desk) -> None:
    """A form without files has a mebibyte, a photo what the server's limits allow, a file's beginning half of one."""
    desk.cara.get(desk.path)
    long = {"seen_at": "2026-01-02T03:04", "place": "x", "note": "y" * 1_200_000}
    assert desk.cara.fetch(f"{desk.path}/sightings", data=long).status_code in (400, 413)
    kind = {"content-type": "application/octet-stream"}
    assert desk.cara.fetch(f"{desk.path}/photos/date", content=bytes(600_000), headers=kind).status_code == 413
    files = [("photos", ("big.jpg", b"\xff\xd8\xff" + bytes(15_800_000), "image/jpeg"))]
    answer = desk.cara.fetch(f"{desk.path}/photos", data={"role": "probe", **ORIGIN}, files=files)
    assert answer.status_code == 413


def test_a_photo_says_where_it_comes_from_or_isnt_kept(desk: Desk, people) -> None:
    """Without basis or source nothing is kept; what was scraped is refused by its rule; the future is no date."""
    files = [("photos", ("n.jpg", people.both, "image/jpeg"))]
    desk.cara.get(desk.path)

    def sent(**more: str) -> int:
        form = {"role": "probe", **ORIGIN, **more}
        return desk.cara.fetch(f"{desk.path}/photos", data=form, files=files).status_code

    assert sent(basis="") == 400
    assert sent(provenance="elsewhere") == 400
    assert sent(taken_at="2999-01-01") == 400
    assert sent(provenance="scraped") == 403


# --- alone ---


def test_fields_are_read_or_refused() -> None:
    """Days, times and numbers are what they look like, with the offset of the reader's zone; all else is Invalid."""
    assert moment_of("2026-01-02T03:04", "-60").isoformat() == "2026-01-02T02:04:00+00:00"
    assert day_of("") is None
    assert number_of("99,5", "It", 0, 100) == 99.5
    for wrong in (
        lambda: moment_of("soon"),
        lambda: moment_of("2026-01-02T03:04", "9" * 30),
        lambda: day_of("1799-01-01"),
        lambda: day_of("31.5.2019"),
        lambda: number_of("nan", "It", 0, 100),
        lambda: number_of("101", "It", 0, 100),
    ):
        with pytest.raises(Invalid):
            wrong()


def test_a_long_run_goes_on_after_its_page_and_can_be_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run in bulk gives its id at once and its progress later, keeps a second one out, and ends when told to."""
    monkeypatch.setattr(caseruns, "_PATIENCE", 0.05)
    run = Run("run-1", "case-1", RunKind.BULK, moment_of("2026-01-02T03:04"), "p-1", None)
    ended: list[CustodesError] = []

    def work(watch: Callable[[Run, int, int], None]) -> Run:
        for made in range(500):
            try:
                watch(run, made, 500)
            except Conflict as error:
                ended.append(error)
                return run
            time.sleep(0.01)
        return run

    class Gate:
        async def inference(self, work: object) -> Run:
            return replace(run, id="at the gate")

    async def go() -> None:
        runs = caseruns.Runs()
        many = caseruns.SHORT + 1  # whatever it searches for
        assert await runs.make(None, work, searches=many) == "run-1"
        with pytest.raises(Throttled):
            await runs.make(None, work, searches=many)
        assert await runs.make(Gate(), work, searches=caseruns.SHORT) == "at the gate"
        assert runs.progress("run-1").of == 500
        assert runs.end("run-1")
        while runs.progress("run-1") is not None:
            await asyncio.sleep(0.01)
        assert not runs.end("run-1")

    asyncio.run(asyncio.wait_for(go(), 10))
    assert len(ended) == 1


def test_a_slow_upload_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trickle is no upload; what comes fast enough may take as long as it takes."""
    monkeypatch.setattr(caseimports, "_SLOW", 0.05)

    class Nothing:
        def release(self) -> None:
            """Hold nothing."""

    async def come(size: int) -> int:
        async def parts() -> AsyncGenerator[bytes, None]:
            for _ in range(10):
                await asyncio.sleep(0.02)
                yield bytes(size)

        coming, arrival, found = parts(), caseimports._Arrival(), 0
        while (part := await caseimports._next(Nothing(), coming, arrival)) is not None:
            found += len(part)
        return found

    assert asyncio.run(come(10_000)) == 100_000
    with pytest.raises(Throttled, match="16 KiB"):
        asyncio.run(come(10))


def test_everybody_has_one_place_to_upload() -> None:
    """A second upload of one person is refused, and so is anybody's when all places are taken; then both are free."""
    place = caseimports._place
    with place("p-1"), place("p-2"), place("p-3"), place("p-4"):
        for one, why in (("p-1", "of yours"), ("p-5", "Too many")):
            with pytest.raises(Throttled, match=why), place(one):
                pass
    with place("p-1"):
        assert caseimports._uploading == {"p-1"}


@pytest.mark.parametrize("path", ["photos", "imports", "candidates/cand-0123456789abcdef/photo"])
def test_no_byte_is_read_of_who_does_not_work_on_a_case(desk: Desk, path: str) -> None:
    """The answer is that there is no such case, while the body is still awaited."""
    desk.fred.get("/console/cases")
    browser = desk.fred.http
    address = browser.base_url
    head = [
        f"POST {desk.path}/{path} HTTP/1.1",
        f"Host: {address.host}:{address.port}",
        f"Cookie: {'; '.join(f'{k.name}={k.value}' for k in browser.cookies.jar)}",
        f"X-CSRF-Token: {desk.fred.csrf}",
        "Accept: application/json",
        "Content-Type: multipart/form-data; boundary=x",
        "Content-Length: 1000000",
    ]
    with socket.create_connection((address.host, address.port), timeout=10) as connection:
        connection.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 404")


def test_what_the_list_is_filtered_by_is_in_no_address(desk: Desk) -> None:
    """It may be a name: it goes in a form's body, and an address that has it all the same filters nothing."""
    page = desk.cara.get("/console/cases").text
    assert 'method="post" action="/console/cases/filter"' in page
    assert desk.case in desk.cara.post("/console/cases/filter", {"text": "lena"}).text
    assert desk.case not in desk.cara.post("/console/cases/filter", {"text": "nobody of this name"}).text
    assert desk.victim not in desk.cara.post("/console/cases/filter", {"kind": "missing-person"}).text
    assert desk.case in desk.cara.get("/console/cases?text=nobody+of+this+name").text


def test_pictures_are_grey_by_one_setting() -> None:
    """What somebody chooses on a case's pages holds in the review, and the other way round."""
    static = Path(console.__file__).parent / "static"
    told = {name: (static / name).read_text() for name in ("cases_calm.js", "cases.js", "review.js")}
    assert all("custodes-" in text for text in told.values())
    assert re.findall(r'"(custodes[^"]*grey)"', told["review.js"]) == ["custodes-grey"]
    assert re.search(r'keepGrey\(e\.target\.checked \? "on" : "off"\)', told["review.js"])
