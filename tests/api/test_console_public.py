# SPDX-License-Identifier: Apache-2.0
"""The page for everybody: what it tells, what it never tells, and that it costs little."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from custodes.api.console.facade import facts_now
from custodes.api.console.figures import Stale, last_month, month_of
from custodes.app import App
from custodes.config import Config, Server
from custodes.governance import OPERATOR, Caller, OrgClass, Purpose, Role, StopScope
from custodes.governance.rulebook import shipped

ME = Caller(OPERATOR, Purpose.PHOTO_LIBRARY, provenance="own")
HOSTILE = "<script>alert(1)</script>"
CONTACT = "privacy@example.org"


@dataclass(frozen=True)
class Shop:
    """A server whose ledger was begun two months ago, and the same installation to look at."""

    server: Any
    app: App


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, start_server) -> Iterator[Shop]:
    """Five general organisations, one household with a name, a stop with a hostile reason."""
    data = tmp_path_factory.mktemp("shop")
    begun = month_of(datetime.now(UTC))[0] - timedelta(days=20)
    app = App.open(Config(data=data), clock=begun.timestamp)
    for n in range(4):  # and the one that there is from the start
        app.people.add_organisation(ME, f"App {n}", OrgClass.GENERAL, "ZZ")
    home = app.people.add_organisation(ME, "The Millers", OrgClass.HOUSEHOLD, "DE").id
    board = app.people.add_organisation(ME, "Board", OrgClass.OVERSIGHT, "US").id
    olga = app.people.add(ME, board, "olga@example.org", "Olga Miller", [Role.OVERSIGHT]).id
    app.oversight.stop(Caller(olga, Purpose.OVERSIGHT), StopScope.ORGANISATION, home, HOSTILE)
    app.close()
    server = start_server(data, CUSTODES_CONTACT=CONTACT)
    app = App.open(Config(data=data))
    yield Shop(server, app)
    server.stop()
    app.close()


@pytest.fixture(scope="module")
def page(shop: Shop) -> str:
    """The page, once its figures are counted."""
    httpx.get(shop.server.endpoint_url + "/console/report").raise_for_status()
    return httpx.get(shop.server.endpoint_url + "/").text


def test_it_tells_who_uses_it_for_what_and_no_names(page: str) -> None:
    """Classes, places and purposes; a count of five is told, fewer are not; people and organisations have no names."""
    assert "Household" in page
    assert ">5<" in page
    assert "&lt;5" in page
    assert "Photo library" in page
    for name in ("Miller", "Olga", "App 1"):
        assert name not in page, name
    assert not re.search(r"\b(org|p|stop)-[0-9a-f]{16}", page)


def test_it_tells_the_rules(page: str) -> None:
    """Moratoria, rulebooks and their sources; a stop by its class, and its reason as text."""
    assert "until-further-notice" in page
    assert "police do not search or compare faces" in page
    for book in shipped():
        assert book.sources[0].url in page
    assert "one organisation of class household" in page
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page


def test_it_says_plainly_that_accuracy_was_not_published(shop: Shop, page: str) -> None:
    """And what the manifest of the models says: licence, version, calibration."""
    manifest = shop.app.packs.get(shop.app.config.vision.pack)
    assert "No accuracy report of this installation has been published" in page
    for told in (manifest.licence, manifest.version, manifest.calibration.measured_on, manifest.models[0].sha256):
        assert told in page


def test_it_says_who_measured_the_scale(page: str) -> None:
    """Custodes' makers did, and not those of the networks; a similarity isn't put as a percentage."""
    assert "measurements of the makers of Custodes" in page
    assert "folds 0 to 2, by the makers of Custodes" in page
    assert "what the makers of the models say" not in page
    assert ">99 or more<" in page
    assert "99.00" not in page


def test_it_says_how_to_ask_and_how_to_check(shop: Shop, page: str) -> None:
    """Contact, steps, receipt; checkpoint and key, and where they are verified."""
    assert f"mailto:{CONTACT}" in page
    assert "custodes subject report" in page
    assert "receipt" in page
    assert 'href="/console/verify"' in page
    assert shop.app.ledger.origin in page
    assert 'href="/console/sign-in"' in page


def test_the_figures_are_of_the_last_month_that_is_over(shop: Shop, page: str) -> None:
    """Those of the report of that month, in which the rules were changed; the whole report is shown and is JSON."""
    since, _ = last_month(datetime.now(UTC))
    assert f"{since:%B %Y}" in page
    assert "The rules were changed 9 times." in page
    told = httpx.get(shop.server.endpoint_url + "/console/report.json").json()
    assert told["period"]["from"] == f"{since:%Y-%m-%d}T00:00:00.000Z"
    assert "The rules were changed 9 times." in told["summary"]
    assert "Transparency report" in httpx.get(shop.server.endpoint_url + "/console/report").text


def test_it_is_fast_and_writes_nothing(shop: Shop, page: str) -> None:
    """A visit takes less than 50 milliseconds, most of the time, and no visit is an entry of the ledger."""
    before = shop.app.ledger.size()
    seconds = []
    with httpx.Client(base_url=shop.server.endpoint_url) as client:
        for _ in range(20):
            begun = time.perf_counter()
            assert client.get("/").status_code == 200
            seconds.append(time.perf_counter() - begun)
    assert sorted(seconds)[5] < 0.05  # of a machine that others use too
    assert shop.app.ledger.size() == before


def test_it_needs_no_session_and_seals_itself(shop: Shop) -> None:
    """The headers of the frame are there, and no cookie but the door's."""
    answer = httpx.get(shop.server.endpoint_url + "/")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "custodes-session" not in answer.headers.get("set-cookie", "")


def test_a_ledger_that_was_begun_this_month_has_no_figures_yet(server) -> None:
    """It says when they come, instead of telling what changes from day to day; nor is there a report."""
    page = httpx.get(server.endpoint_url + "/").text
    assert "the first figures" in page
    assert httpx.get(server.endpoint_url + "/console/report").status_code == 404


def test_without_a_contact_it_says_so(server) -> None:
    """A person who looks for one is not left to wonder."""
    assert "said here how to reach them" in httpx.get(server.endpoint_url + "/").text


@pytest.mark.parametrize(
    ("contact", "mail"),
    [
        ("privacy@example.org", True),
        ("Data office, privacy@example.org", False),
        ("a@b?subject=x", False),
        ("Main Street 1", False),
    ],
)
def test_only_an_address_becomes_a_link(tmp_path: Path, contact: str, mail: bool) -> None:
    """What is an e-mail address and nothing else can be clicked; all else is text."""
    app = App.open(Config(data=tmp_path, server=Server(contact=contact)))
    assert bool(facts_now(app, datetime.now(UTC)).mail) == mail
    app.close()


def test_months() -> None:
    """The last month that is over, across a year too."""
    assert last_month(datetime(2027, 1, 15, 8, tzinfo=UTC)) == (
        datetime(2026, 12, 1, tzinfo=UTC),
        datetime(2027, 1, 1, tzinfo=UTC),
    )
    assert month_of(datetime(2026, 12, 31, 23, 59, tzinfo=UTC))[1] == datetime(2027, 1, 1, tzinfo=UTC)


def test_an_old_value_is_told_while_a_new_one_is_made() -> None:
    """Nobody waits for what is only old; who comes first waits a little, and then does without."""

    async def go() -> None:
        gate, made = asyncio.Event(), []

        async def make() -> int:
            await gate.wait()
            made.append(1)
            return len(made)

        value: Stale[int] = Stale(0.0)
        assert await value.get(make, 0.01) is None
        gate.set()
        assert await value.get(make, 5) == 1
        gate.clear()
        assert await value.get(make, 5) == 1
        assert len(made) == 1
        gate.set()
        await asyncio.sleep(0.01)
        assert await value.get(make, 5) == 2

        async def fail() -> int:
            raise LookupError

        with pytest.raises(LookupError):
            await Stale[int](60.0).get(fail, 5)

    asyncio.run(go())


def test_what_is_dropped_is_told_to_nobody_any_more() -> None:
    """Who asks afterwards gets a value that was begun afterwards, also if one was being made just then."""

    async def go() -> None:
        made: list[int] = []
        gate = asyncio.Event()

        async def make() -> int:
            found = len(made)
            await gate.wait()
            made.append(found)
            return found

        value: Stale[int] = Stale(60.0)
        asked = asyncio.create_task(value.get(make, 5))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        value.drop()
        gate.set()
        assert await asked == 1
        assert made == [0, 1]
        assert await value.get(make, 5) == 1
        value.drop()
        assert await value.get(make, 5) == 2

    asyncio.run(go())
