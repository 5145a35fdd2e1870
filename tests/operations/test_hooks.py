# SPDX-License-Identifier: Apache-2.0
"""Webhooks of a household: who sets them up, what the ledger says of it, and that news of others don't reach them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from tests.operations.conftest import ME, World

from custodes.cameras.courier import Courier
from custodes.cameras.hooks import HookStore
from custodes.cameras.model import News, NewsKind
from custodes.cameras.reach import Reach
from custodes.db import Vault
from custodes.errors import Conflict, CustodesError, Invalid, NotFound, Unavailable
from custodes.governance import Caller, OrgClass, Purpose, Role
from custodes.operations.announcing import Announcer
from custodes.operations.hooks import HookOperations

NEWS = News(NewsKind.MOTION, "org-0123456789abcdef", 1_795_600_000_123, camera="cam-00000000000000aa")


class Listening(HTTPServer):
    """A receiver of webhooks."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.heard: list[dict[str, object]] = []
        self.status = 204
        self.changed = threading.Condition()
        self.url = f"http://127.0.0.1:{self.server_port}/api/webhook/abc"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def wait(self, count: int) -> list[dict[str, object]]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.heard) >= count, 5)
            return list(self.heard)


class _Handler(BaseHTTPRequestHandler):
    server: Listening

    def do_POST(self) -> None:
        told = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.changed:
            self.server.heard.append(told)
            self.server.changed.notify_all()
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


class House:
    """A household with webhooks, in an installation."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.organisation = self.household("Smith")
        self.anna = self.person(self.organisation, "anna", Role.ADMIN)
        self.courier = Courier(Reach(own_port=8420), delays=(0.01,), alarm=0.02)
        self.announcer = Announcer()
        app = world.app
        self.hooks = HookOperations(
            app.guard,
            app._database,
            HookStore(Vault.for_database(app._database, world.config.key_path)),
            self.courier,
            Reach(own_port=8420),
            self.announcer.tell,
        )

    def household(self, name: str) -> str:
        return self.world.app.people.add_organisation(ME, name, OrgClass.HOUSEHOLD, "US-WA").id

    def person(self, organisation: str, name: str, *roles: Role) -> Caller:
        made = self.world.app.people.add(ME, organisation, f"{name}@smith.example", name, roles)
        return Caller(made.id, Purpose.PHOTO_LIBRARY, provenance="own")

    def close(self) -> None:
        self.announcer.close()
        self.hooks.close()


@pytest.fixture
def house(world: World) -> Iterator[House]:
    made = House(world)
    yield made
    made.close()


@pytest.fixture
def listening() -> Iterator[Listening]:
    made = Listening()
    yield made
    made.shutdown()
    made.server_close()


def test_an_administrator_sets_up_a_webhook_and_news_arrive(house: House, listening: Listening) -> None:
    """The key is shown once; news of the household arrive, those of others don't; and after its end nothing does."""
    made = house.hooks.add(house.anna, listening.url)
    assert made.secret.startswith("whsec_")
    assert house.hooks.test(house.anna, made.id).done
    house.announcer.add_sink("webhooks", house.hooks.tell)
    house.announcer.tell(NEWS)
    house.announcer.tell(News(NewsKind.STILL, house.organisation, NEWS.at))
    heard = listening.wait(2)
    assert [told["type"] for told in heard] == ["test", "still"]
    (view,) = house.hooks.list(house.anna)
    assert (view.id, view.url, view.pictures, view.state.failures) == (made.id, listening.url, False, 0)
    assert made.secret not in repr(view)
    house.hooks.remove(house.anna, made.id)
    assert house.hooks.list(house.anna) == ()
    with pytest.raises(NotFound):
        house.hooks.remove(house.anna, made.id)


def test_the_ledger_tells_of_a_webhook_and_not_where_it_leads(house: House, listening: Listening) -> None:
    """An entry each for the beginning and the end of a webhook; its URL is committed to, and stands nowhere."""
    made = house.hooks.add(house.anna, listening.url, pictures=True)
    entry = house.world.entry()
    assert (entry["event"], entry["hook"], entry["pictures"]) == ("hook-added", made.id, True)
    size = house.world.app.ledger.size()
    house.hooks.list(house.anna)
    house.hooks.test(house.anna, made.id)
    assert house.world.app.ledger.size() == size
    house.hooks.remove(house.anna, made.id)
    assert house.world.entry()["event"] == "hook-removed"
    entries = [house.world.entry(n) for n in range(house.world.app.ledger.size())]
    assert "api/webhook" not in json.dumps(entries, default=str)


def test_nobody_but_an_administrator_of_the_household_has_webhooks(house: House, listening: Listening) -> None:
    """Its other people, the operator, the police and other households are refused, and find nothing of it."""
    made = house.hooks.add(house.anna, listening.url)
    member = house.person(house.organisation, "ben", Role.USER)
    stranger = house.person(house.household("Jones"), "joe", Role.ADMIN)
    for caller in (member, house.world.officer):
        for call in (
            lambda who=caller: house.hooks.add(who, listening.url + "/2"),
            lambda who=caller: house.hooks.list(who),
            lambda who=caller: house.hooks.test(who, made.id),
            lambda who=caller: house.hooks.remove(who, made.id),
        ):
            assert "base.camera-administered" in house.world.denied(call)
    for caller in (stranger, ME):  # who have cameras of their own, or might
        assert house.hooks.list(caller) == ()
        for wrong in (
            lambda who=caller: house.hooks.test(who, made.id),
            lambda who=caller: house.hooks.remove(who, made.id),
        ):
            with pytest.raises(NotFound):
                wrong()
    assert not listening.heard


def test_a_url_that_may_not_be_reached_is_refused_at_once(house: House, listening: Listening) -> None:
    """This server, link-local addresses, unknown hosts and what is no URL are refused, and nothing is kept."""
    for url, error in (
        ("http://127.0.0.1:8420/x", Invalid),
        ("http://169.254.169.254/latest/meta-data", Invalid),
        ("gopher://home.example/", Invalid),
        ("http://nobody.invalid/", Unavailable),
    ):
        with pytest.raises(error) as caught:
            house.hooks.add(house.anna, url)
        assert caught.value.remedy
    assert house.hooks.list(house.anna) == ()
    house.hooks.add(house.anna, listening.url)
    with pytest.raises(Conflict):
        house.hooks.add(house.anna, f" {listening.url} ")


def test_a_webhook_that_keeps_failing_is_news(house: House, listening: Listening) -> None:
    """When a webhook has failed for too long, the others are told."""
    told: list[News] = []
    house.announcer.add_sink("test", told.append)
    listening.status = 500
    house.hooks.add(house.anna, listening.url)
    house.hooks.tell(News(NewsKind.STILL, house.organisation, NEWS.at))
    until = time.monotonic() + 5
    while not told and time.monotonic() < until:
        time.sleep(0.005)
    assert [(n.kind, n.organisation, n.detail) for n in told] == [(NewsKind.TROUBLE, house.organisation, "webhook")]


# --- the announcer ---


def test_telling_news_neither_waits_nor_fails() -> None:
    """A listener that hangs loses the oldest, one that fails hears the next, and neither is in another's way."""
    announcer, hangs, heard, failed = Announcer(most=3), threading.Event(), [], []

    def hang(news: News) -> None:
        hangs.wait(5)
        heard.append(news.at)

    def fail(news: News) -> None:
        failed.append(news.at)
        raise RuntimeError(news)

    announcer.add_sink("hangs", hang)
    announcer.add_sink("fails", fail)
    with pytest.raises(Conflict):
        announcer.add_sink("fails", fail)
    started = time.monotonic()
    for at in range(10):
        announcer.tell(News(NewsKind.MOTION, "org", at))
        while len(failed) <= at and time.monotonic() < started + 5:
            time.sleep(0.001)
    assert time.monotonic() - started < 2
    assert failed == list(range(10))
    assert announcer.lost() == {"hangs": 6, "fails": 0}
    hangs.set()
    announcer.close()
    assert heard == [0, 7, 8, 9]
    announcer.tell(News(NewsKind.MOTION, "org", 99))
    assert 99 not in failed


def test_a_listener_that_hangs_does_not_hold_up_the_end() -> None:
    """Closing waits for listeners so long and no longer."""
    announcer, never = Announcer(), threading.Event()
    announcer.add_sink("hangs", lambda _: never.wait(5))
    announcer.tell(NEWS)
    started = time.monotonic()
    announcer.close(0.05)
    assert time.monotonic() - started < 1
    never.set()


def test_errors_of_this_house_are_told_to_nobody() -> None:
    """What a listener raises, of whatever kind, stays in its thread."""
    announcer, heard = Announcer(), []

    def fail(news: News) -> None:
        heard.append(news)
        raise CustodesError("no")

    announcer.add_sink("fails", fail)
    announcer.tell(NEWS)
    announcer.close()
    assert heard == [NEWS]
