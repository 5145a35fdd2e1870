# SPDX-License-Identifier: Apache-2.0
"""A real browser for tests of pages: Debian's Chromium, driven by Playwright; without it the tests are skipped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page
    from tests.conftest import Server

CHROMIUM = Path("/usr/bin/chromium")
PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, once for all tests of a module.

    Not for the session, nor for the folder: Playwright's loop counts as running in this thread as long as it is there,
    and tests that come after have loops of their own. A start takes less than a second.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright isn't installed (dev dependencies).")
    found = str(CHROMIUM) if CHROMIUM.exists() else shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip(f"There is no Chromium: neither {CHROMIUM}, nor chromium or google-chrome on the PATH.")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a browser that knows nothing yet; at its end nothing on it may have gone wrong unseen."""
    context = browser.new_context()
    made = context.new_page()
    made.set_default_timeout(15_000)
    errors: list[str] = []
    made.on("pageerror", lambda error: errors.append(str(error)))
    yield made
    context.close()
    assert errors == []


@pytest.fixture(scope="session")
def enter() -> Callable[..., None]:
    """Signs somebody in on a page: by an invitation the first time, by their password then.

    ``enter(page, server, "p-...", purposes=["missing-person"])`` leaves the page on the dashboard.
    """
    known: set[tuple[str, str]] = set()

    def go(page: Page, server: Server, principal: str = "operator", purposes: Sequence[str] = ()) -> None:
        who = (server.endpoint_url, principal)
        if who in known:
            page.goto(f"{server.endpoint_url}/console/sign-in")
            page.fill("[name=name]", principal)
            page.fill("[name=password]", PASSWORD)
        else:
            named = [word for p in purposes for word in ("--purpose", p)]
            made = server.cli("console", "invite", principal, *named, "--json")
            assert made.returncode == 0, made.stderr
            page.goto(server.endpoint_url + urlsplit(json.loads(made.stdout)["url"]).path)
            page.fill("[name=password]", PASSWORD)
            page.fill("[name=again]", PASSWORD)
            known.add(who)
        page.click("main form button.button")
        page.wait_for_url(f"{server.endpoint_url}/console")

    return go
