# SPDX-License-Identifier: Apache-2.0
"""The whole way from a case to a lead in a real browser, and what a blind reviewer never gets to see."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import cv2
import numpy as np
import orjson
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect
from tests.conftest import DATA, Server

from custodes.app import App
from custodes.config import Config
from custodes.governance import OPERATOR, Caller, OrgClass, Purpose, Role

PASSWORD = "correct horse battery staple"
HOSTILE = '"><script>document.title="taken"</script>.jpg'
ORIGIN = {"provenance": "case-file", "basis": "Request of the parents", "source": "The family"}


@dataclass
class Rescue:
    """A server with an organisation of rescuers, and the invitations of its people."""

    server: Server
    invitations: dict[str, str]


@pytest.fixture(scope="module")
def rescue(tmp_path_factory: pytest.TempPathFactory, start_server: Callable[..., Server]) -> Iterator[Rescue]:
    """A rescue organisation with a case worker and two trained reviewers."""
    data = tmp_path_factory.mktemp("rescue") / "data"
    app = App.open(Config(data=data))
    me = Caller(OPERATOR, Purpose.PHOTO_LIBRARY)
    organisation = app.people.add_organisation(me, "Bring Them Home", OrgClass.VICTIM_RESCUE, "US-CA").id
    roles = {"cara": (Role.ADMIN, Role.USER), "rex": (Role.REVIEWER,), "rita": (Role.REVIEWER,)}
    invitations = {}
    with app._database.read() as c:
        now = app.guard.now(c)
    for name, granted in roles.items():
        person = app.people.add(me, organisation, f"{name}@home.example", name.title(), granted)
        if Role.REVIEWER in granted:
            app.people.train(me, person.id, "face comparison", now - timedelta(days=1), now + timedelta(days=300))
        invitations[name] = app.invitations.invite(me, person.id, [Purpose.MISSING_PERSON]).token
    app.close()
    made = Rescue(start_server(data), invitations)
    yield made
    made.server.stop()


def enter(rescue: Rescue, context: BrowserContext, name: str) -> Page:
    """Accept an invitation with a password, and return the page of who has."""
    page = context.new_page()
    page.goto(f"{rescue.server.endpoint_url}/console/invitation/{rescue.invitations[name]}")
    for box in page.locator("input[type=password]").all():
        box.fill(PASSWORD)
    page.locator("main form button").first.click()
    expect(page).to_have_url(re.compile(r"/console$"))
    return page


def check(page: Page) -> None:
    """Find no serious violation of WCAG on a page."""
    found = Axe().run(page).response["violations"]
    serious = [
        (v["id"], [n["html"][:120] for n in v["nodes"]][:3]) for v in found if v["impact"] in ("serious", "critical")
    ]
    assert serious == [], page.url


def origin(page: Page) -> None:
    """Say where images come from."""
    page.locator("main [name=provenance]").first.select_option(ORIGIN["provenance"])
    page.locator("main [name=basis]").first.fill(ORIGIN["basis"])
    page.locator("main [name=source]").first.fill(ORIGIN["source"])


def face(data: bytes, margin: float) -> np.ndarray:
    """Return the face in the middle of a cut-out, 48 x 48 pixels."""
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    half = round(picture.shape[0] / (1 + 2 * margin) / 2)
    middle = picture.shape[0] // 2
    part = picture[middle - half : middle + half, middle - half : middle + half]
    return cv2.resize(part, (48, 48), interpolation=cv2.INTER_AREA).astype(float)


def alike(shown: bytes, blind: bytes) -> bool:
    """Tell whether a cut-out of a blind sitting is of the face that was shown in the first review."""
    return float(np.abs(face(shown, 0.6) - face(blind, 0.25)).mean()) < 12


def bulk() -> bytes:
    """Return a ZIP with two photos and what isn't any."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.write(DATA / "obama_2.jpg", HOSTILE)
        archive.write(DATA / "biden.jpg", "seen/biden.jpg")
        archive.writestr("../../escape.jpg", (DATA / "biden.jpg").read_bytes())
        archive.writestr("notes.txt", "no photo")
    return made.getvalue()


def test_a_rescuer_finds_a_lead_that_two_reviewers_support(rescue: Rescue, browser: Browser, tmp_path: Path) -> None:
    """A case, references, a bulk import, a search, two reviews of which the second is blind, a report that verifies."""
    base = rescue.server.endpoint_url
    cara = enter(rescue, browser.new_context(), "cara")
    check(cara)

    # a case
    cara.goto(f"{base}/console/cases/new")
    check(cara)
    cara.locator("main input[name=kind]").first.check()
    cara.locator("main [name=title]").fill("Lena")
    cara.get_by_role("button", name="Open the case").click()
    expect(cara.locator("h1")).to_contain_text("Lena")
    case = re.search(r"/console/cases/(case-[0-9a-f]+)", cara.url)[1]
    check(cara)

    # a reference photo
    cara.goto(f"{base}/console/cases/{case}/photos/new")
    check(cara)
    cara.locator("main input[type=file]").set_input_files(DATA / "obama_1.jpg")
    origin(cara)
    cara.get_by_role("button", name=re.compile("^Keep the photo")).click()
    expect(cara).not_to_have_url(re.compile(r"/photos/new"), timeout=15_000)
    cara.goto(f"{base}/console/cases/{case}/photos")
    expect(cara.locator("main .pic img")).to_have_count(1)
    check(cara)

    # a bulk import
    archive = tmp_path / "bulk.zip"
    archive.write_bytes(bulk())
    cara.goto(f"{base}/console/cases/{case}/imports/new")
    check(cara)
    cara.locator("main input[type=file]").set_input_files(archive)
    origin(cara)
    cara.get_by_role("button", name="Upload").click()
    expect(cara).to_have_url(re.compile(r"/imports/imp-"), timeout=30_000)
    expect(cara.locator("[data-state=done]")).to_be_visible(timeout=60_000)
    check(cara)
    assert cara.title() != "taken"

    # control photos
    cara.goto(f"{base}/console/review/controls")
    cara.locator("main input[type=file]").set_input_files(DATA / "collins.png")
    cara.locator("main [name=basis]").fill("public domain")
    cara.locator("main [name=source]").fill("NASA")
    cara.get_by_role("button", name="Add").click()
    expect(cara.locator(".gallery li")).to_have_count(1)
    check(cara)

    # the search
    cara.goto(f"{base}/console/cases/{case}/search")
    check(cara)
    cara.get_by_role("button", name="Search", exact=True).click()
    expect(cara).to_have_url(re.compile(r"/runs/run-"), timeout=30_000)
    expect(cara.locator("article.candidate")).to_have_count(1, timeout=30_000)
    check(cara)
    assert cara.title() != "taken"
    similarity = cara.locator("article.candidate h3").inner_text().split()[-2]
    assert float(similarity) > 90
    run = re.search(r"/runs/(run-[0-9a-f]+)", cara.url)[1]
    candidate = cara.locator("article.candidate").get_attribute("id")
    cara.locator("input[name=candidates]").check()
    cara.get_by_role("button", name="Submit for review").click()
    cara.wait_for_load_state()
    assert "in review" in cara.locator("main").inner_text().lower()

    # the first review
    rex = enter(rescue, browser.new_context(), "rex")
    rex.goto(f"{base}/console/review")
    check(rex)
    rex.get_by_role("button", name="Begin first reviews").click()
    expect(rex.locator("[data-pane=other] img")).to_be_visible()
    check(rex)
    shown = rex.request.get(base + rex.locator("[data-pane=other] img").get_attribute("src")).body()
    for key in ("+", "]", "b", "g", "f", "2"):
        rex.keyboard.press(key)
    assert "scale(1.25)" in rex.locator("[data-pane=other] img").get_attribute("style")
    assert rex.locator("[data-pane=probe] img").get_attribute("style") == rex.locator(
        "[data-pane=other] img"
    ).get_attribute("style")
    rex.locator("[name='feature.ears']").select_option("similar")
    rex.locator("textarea").fill("The ears agree in every detail.")
    rex.keyboard.press("Control+Enter")
    expect(rex).to_have_url(re.compile(r"/review/sittings/"))
    check(rex)

    # the second, blind
    secrets = (similarity, run, candidate, "The ears agree", "similarity of", "rank ")
    context = browser.new_context()
    rita = enter(rescue, context, "rita")
    asked: list[Request] = []
    context.on("request", lambda request: asked.append(request))
    told: list[str] = []
    rita.goto(f"{base}/console/review")
    rita.get_by_role("button", name="Begin blind reviews").click()
    compared = 0
    while "/review/items/" in rita.url:
        expect(rita.locator("[data-pane=other] img")).to_be_visible()
        check(rita)
        told += [rita.content(), rita.request.get(rita.url).text()]
        assert "Whole photos" not in told[-1]
        other = rita.request.get(base + rita.locator("[data-pane=other] img").get_attribute("src")).body()
        assert rita.request.get(rita.url + "/other/full.jpg").body() == other  # there is nothing larger for her
        same = alike(shown, other)
        here = rita.url
        rita.keyboard.press("1" if same else "5")
        rita.keyboard.press("Control+Enter")
        rita.wait_for_url(lambda url, here=here: url != here)
        compared += 1
    assert compared == 2  # the candidate and a control
    expect(rita.locator("main")).to_contain_text("all controls for what they are")
    told.append(rita.content())
    told += [
        rita.request.get(r.url).body().decode("latin-1") for r in asked if r.method == "GET" and "/static/" not in r.url
    ]
    told += [f"{r.url} {r.post_data or ''}" for r in asked]
    assert len(asked) > 10
    assert not [s for s in secrets for text in told if s in text]
    assert rita.request.get(f"{base}/console/cases/{case}").status == 404  # she doesn't work on it

    # the lead
    cara.goto(f"{base}/console/cases/{case}/leads")
    expect(cara.locator("article.candidate")).to_have_count(1)
    expect(cara.locator("article.candidate")).to_contain_text("The ears agree in every detail.")
    check(cara)
    cara.get_by_text("Download its report").click()
    with cara.expect_download() as download:
        cara.get_by_role("button", name=re.compile("^JSON")).click()
    report = tmp_path / "lead.json"
    download.value.save_as(report)
    cara.goto(f"{base}/console/cases/{case}/leads")
    cara.get_by_text("Download its report").click()
    with cara.expect_download() as download:
        cara.get_by_role("button", name="PDF").click()
    assert Path(download.value.path()).read_bytes().startswith(b"%PDF")
    key = tmp_path / "vkey"
    key.write_text(
        rescue.server.cli("ledger", "publish", str(tmp_path / "public")).stdout.decode()
        and (tmp_path / "public" / "vkey").read_text()
    )
    done = rescue.server.cli("leads", "verify", str(report), "--vkey", str(key))
    assert done.returncode == 0, done.stdout + done.stderr
    altered = orjson.loads(report.read_bytes())
    text = report.read_text().replace("supports-strongly", "supports").replace(f'"{case}"', '"case-0000000000000000"')
    assert altered
    report.write_text(text)
    assert rescue.server.cli("leads", "verify", str(report), "--vkey", str(key)).returncode == 1
