# SPDX-License-Identifier: Apache-2.0
"""Every page that links lead to, by axe-core: no serious violation, on a dark phone and on a light desk."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import urljoin, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page
from tests.browser.conftest import PASSWORD
from tests.browser.house import House, furnished
from tests.conftest import Server

_LEFT_OUT = re.compile(
    r"/console/(static|sign-out)|\.(jpg|pdf|zip|json|csv|html)$|/proof$|/receipts/|/ledger/$|^/ledger/|^/v1/"
)
_STRANGERS = re.compile(r"/console/accuracy|/console/evaluations/.*/report$")
"""What looks the same for everybody: who isn't signed in goes there for all."""
_SIZES = {"light": (1280, 900), "dark": (390, 844)}
_BY_COLOUR = ("color-contrast", "link-in-text-block", "target-size")
"""Rules whose outcome colours and widths may change; all others are asked of the same pages in the light."""
_SEEN: set[str] = set()
"""Elements that were looked at in the dark, as tag, class and what they stand in: by these they have their colours."""
_BUILT = """() => [...new Set([...document.querySelectorAll("body *")].map(e =>
  [e.tagName, e.getAttribute("class"), e.parentElement.tagName, e.parentElement.getAttribute("class")].join(" ")))]"""


def shape(path: str) -> str:
    """Return a path with ids and values left out: pages of one shape are one page."""
    return re.sub(r"=[^&]*", "=", re.sub(r"[0-9a-f]{8,}|[0-9]+", "*", path))


def links(page: Page) -> Iterator[str]:
    """Find where a page leads, within the console."""
    for href in page.eval_on_selector_all("a[href]", "all => all.map(a => a.getAttribute('href'))"):
        parts = urlsplit(urljoin(page.url, href))
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        if parts.netloc == urlsplit(page.url).netloc and not _LEFT_OUT.search(parts.path):
            yield path


def violations(page: Page, rules: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Return what axe-core finds serious or critical by these rules, or all."""
    options = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
    found = Axe().run(page, options=options).response["violations"]
    return [(v["id"], n["html"][:160]) for v in found if v["impact"] in ("serious", "critical") for n in v["nodes"]]


def overflow(page: Page) -> list[tuple[str, str]]:
    """Tell whether a page is wider than the screen."""
    wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth + 1")
    return [("wider than the screen", "")] if wide else []


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, start_server: Callable[..., Server]) -> Iterator[House]:
    """A server with people of every kind and a case in work."""
    made = furnished(tmp_path_factory.mktemp("house") / "data", start_server)
    yield made
    made.server.stop()


@pytest.mark.parametrize("scheme", _SIZES)
@pytest.mark.parametrize("who", ["nobody", "cara", "olga", "operator"])
def test_every_page_can_be_used_by_everybody(house: House, browser: Browser, who: str, scheme: str) -> None:
    """From the first page on links are followed, one of each shape; each page passes and fits the screen."""
    width, height = _SIZES[scheme]
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height})
    page = context.new_page()
    base = house.server.endpoint_url
    if who != "nobody":
        house.enter(page, who, PASSWORD)
    more = house.more.get(who, []) if scheme == "dark" else []
    waiting, seen, wrong, shapes = ["/console" if who != "nobody" else "/", *more], 0, {}, set[str]()
    while waiting:
        path = waiting.pop(0)
        answer = page.goto(base + path)
        if answer is None or not answer.headers.get("content-type", "").startswith("text/html"):
            continue
        assert answer.status < 400, path
        seen += 1
        found = overflow(page)
        if scheme == "light":
            found += violations(page)
        elif new := set(page.evaluate(_BUILT)) - _SEEN:
            _SEEN.update(new)
            found += violations(page, _BY_COLOUR)
        if found:
            wrong[path] = found
        for link in links(page):
            if shape(link) not in shapes and (who == "nobody" or not _STRANGERS.match(link)):
                shapes.add(shape(link))
                waiting.append(link)
    context.close()
    assert wrong == {}
    assert seen >= {"nobody": 6, "cara": 27, "olga": 14, "operator": 17}[who]
