# SPDX-License-Identifier: Apache-2.0
"""Requests for footage in a real browser: from the inbox to a preview that plays, and to a share."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.browser.conftest import PASSWORD
from tests.browser.test_accessible import overflow, violations
from tests.cameras.agencyroom import PIKE_PLACE, Department, wanted
from tests.cameras.filmed import Filmed, awaited, filmed
from tests.cameras.footage import Visit, footage
from tests.operations.conftest import ME

from custodes.api.console.pages import requests
from custodes.cameras.board import make_board
from custodes.cameras.moments import from_ms, to_ms

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HERE = "/console/cameras/requests"
HOUR = 3_600_000
PLAYED = "() => { const video = document.querySelector('[data-clip]'); return video.ended && video.currentTime > 1; }"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Filmed]:
    """A household whose camera has recorded somebody near a place that an agency asks about, and its server."""
    now = datetime.now(UTC).replace(microsecond=0)
    department = Department(now=now)
    with filmed(tmp_path / "data") as made:
        made.app.footage.enrol_agency(ME, department.document)
        made.app.boards.take(make_board([], [department.request(wanted(now))]).document)
        camera = made.camera("Front door", place=PIKE_PLACE)
        video = footage(tmp_path, size=(640, 360), seconds=1.5, visits=(Visit("obama_1.jpg", 0.1, 1.4),))
        made.record(camera, to_ms(now) - 11 * HOUR, video)
        yield made


def enter(house: Filmed, page: Page) -> None:
    """Sign Ana in on a page."""
    page.goto(house.url + house.invitation("ana"))
    page.fill("[name=password]", PASSWORD)
    page.fill("[name=again]", PASSWORD)
    page.click("main form button.button")
    page.wait_for_url(f"{house.url}/console/cameras")


def test_an_owner_looks_at_what_they_share(house: Filmed, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the inbox to a clip, which plays to its end though it comes in parts, and to the link; nothing before that
    is on record.
    """
    monkeypatch.setattr(requests, "_MOST_PART", 8192)
    enter(house, page)
    awaited(lambda: house.app.ledger.entry(house.app.ledger.size() - 1).get("camera"))  # the live view
    begun, parts = house.app.ledger.size(), []
    page.on("response", lambda answer: parts.append(answer.status) if answer.url.endswith("/clip.mp4") else None)
    page.goto(house.url + HERE)
    assert "Doing nothing declines." in page.locator("main").inner_text()
    page.click("article.request h2 a")
    page.fill("[name=seconds]", "2")
    page.click("text=Look at what I would share")
    assert not page.locator("[data-ready]").is_visible()
    page.wait_for_selector("[data-state=ready]")
    page.evaluate("() => { const video = document.querySelector('[data-clip]'); video.muted = true; video.play(); }")
    page.wait_for_function(PLAYED)
    assert len(parts) > 1
    assert set(parts) == {206}
    assert overflow(page) + violations(page) == []
    assert house.app.ledger.size() == begun
    page.check("[name=looked]")
    page.get_by_role("button", name="Share it").click()
    page.wait_for_selector(".flash.done")
    [share] = house.app.sharing.list(house.caller())
    told = page.locator(f"#{share.id}").inner_text()
    assert share.link in told
    assert house.app.requests.inbox(house.caller())[0].request.contact in told
    assert house.app.ledger.size() == begun + 1


def test_times_of_a_request_are_the_viewers_own(house: Filmed, browser: Browser) -> None:
    """They are shown and typed by the viewer's clock; a time that can't be meant is told, and the form is kept."""
    context = browser.new_context(timezone_id="Asia/Tokyo")
    page = context.new_page()
    enter(house, page)
    page.goto(house.url + HERE)
    page.click("article.request h2 a")
    [item] = house.app.requests.inbox(house.caller())
    begins = -(-item.cameras[0].spans[0].start // 1000) * 1000
    field = page.get_by_label("From (UTC+09:00)")
    assert field.input_value().replace("T", " ") in f"{from_ms(begins) + timedelta(hours=9):%Y-%m-%d %H:%M:%S}"
    assert int(page.locator("[name=seconds]").input_value()) >= 1
    page.check("[name=blurred][value=no]")
    typed = f"{from_ms(begins) + timedelta(hours=7):%Y-%m-%dT%H:%M:%S}"  # long before the request's own time
    field.fill(typed)
    page.click("text=Look at what I would share")
    assert "outside of the time that is asked about" in page.locator(".notice.error").inner_text()
    assert page.get_by_label("From (UTC+09:00)").input_value() == typed
    assert page.is_checked("[name=blurred][value=no]")
    assert overflow(page) == []
    context.close()
