# SPDX-License-Identifier: Apache-2.0
"""Of two households one looks at a request and doesn't share, the other never looks: nobody can tell which is which.

Compared is every byte of every file there is, the log, the numbers, and all that is sent to a board. Then one shares,
by the console, and the officer fetches it by its link, which nobody else can.
"""

from __future__ import annotations

import hashlib
import html
import http.server
import os
import re
import sqlite3
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from tests.api.conftest import PASSWORD, Browser
from tests.cameras.agencyroom import Officer
from tests.conftest import Server
from tests.operations.conftest import ME
from tests.operations.sharingroom import House, open_room

from custodes.app import App
from custodes.cameras.links import read_link
from custodes.cameras.moments import to_ms
from custodes.cameras.sharing import OfficerKey, officer_signature
from custodes.config import Cameras, Config
from custodes.errors import Conflict, Denied, NotFound
from custodes.governance import Purpose
from custodes.operations.fetching import HEADERS, fetch, open_package, verify

HERE, SHARES = "/console/cameras/requests", "/console/cameras/shares"


class Site(http.server.ThreadingHTTPServer):
    """An agency's board, which notes every byte that comes."""

    def __init__(self, document: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.document = document
        self.seen: list[bytes] = []
        self.url = f"http://127.0.0.1:{self.server_port}/v1/board"


class _Handler(http.server.BaseHTTPRequestHandler):
    def handle(self) -> None:
        raw = b""
        while b"\r\n\r\n" not in raw:
            part = self.connection.recv(65_536)
            if not part:
                break
            raw += part
        body = self.server.document
        self.connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body)
        )
        self.connection.settimeout(0.2)
        with suppress(TimeoutError):
            raw += self.connection.recv(1)
        self.server.seen.append(re.sub(rb"127\.0\.0\.1:\d+", b"BOARD", raw))


def _read(path: Path) -> bytes:
    """Read a file, and leave no trace of that."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOATIME), "rb") as file:
        return file.read()


@dataclass
class Place:
    """An installation on which two households are signed in, and the board that it reads."""

    site: Site
    data: Path
    code: str
    officer: Officer
    server: Server
    looks: tuple[House, Browser]
    absent: tuple[House, Browser]

    def files(self) -> dict[str, bytes]:
        """Every byte of every file, the logs among them."""
        return {str(p.relative_to(self.data)): _read(p) for p in sorted(self.data.rglob("*")) if p.is_file()}

    def times(self) -> dict[str, tuple[int, int]]:
        """When each file was changed; of video, which nobody else reads, also when it was read.

        SQLite's shared memory, whose time the kernel sets when it likes, is left out; its bytes aren't.
        """
        told = {}
        for path in sorted(self.data.rglob("*")):
            s, video = path.stat(), "video" in path.parts
            if path.name.endswith("-shm"):
                continue
            told[str(path.relative_to(self.data))] = (s.st_atime_ns if video else 0, s.st_mtime_ns)
        return told

    def numbers(self) -> dict[str, str]:
        """What the server tells operators, but for what each look at that itself changes: the process's own times and
        sizes, and the seconds of the threads that answer it.
        """
        with urllib.request.urlopen(f"{self.server.endpoint_url}/v1/metrics") as answer:
            text = answer.read().decode()
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        own = ("process_", "python_", "custodes_request_seconds_sum", "custodes_request_seconds_bucket")
        return {k: v for k, v in lines.items() if not k.startswith(own) and 'pool="probe"' not in k}

    def settled(self) -> dict[str, bytes]:
        """Wait until nothing is written any more of what came before."""
        before = self.files()
        for _ in range(100):
            time.sleep(0.1)
            now = self.files()
            if now == before:
                return now
            before = now
        raise AssertionError("it doesn't come to rest")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, start_server: Callable[..., Server]) -> Iterator[Place]:
    """Both households have a camera beside the place that is asked about; nobody has done anything for five minutes."""
    with ExitStack() as stack:
        data, clock = tmp_path_factory.mktemp("silence") / "data", _Clock()
        config = Config(data=data, cameras=Cameras(run=False))
        world = _World(App.open(config, clock=clock), clock, config)
        room = open_room(world, tmp_path_factory.getbasetemp() / "footage")
        houses = [room.house("looks"), room.house("absent")]
        for path in (data / "video").rglob("*.mp4"):
            os.utime(path, (1, path.stat().st_mtime))  # so that it would be noted that it is read
        tokens = [_invited(world.app, h.admin.principal) for h in houses]
        world.app.close()
        site = stack.enter_context(Site(room.board[0].document))
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        stack.callback(thread.join)
        stack.callback(site.shutdown)
        settings = {"CUSTODES_SHARING_BOARDS": site.url, "CUSTODES_SHARING_POLL_SECONDS": "1"}
        server = start_server(data, CUSTODES_CAMERAS_RUN="false", **settings)
        stack.callback(server.stop)
        browsers = [_signed_in(server, token, stack) for token in tokens]
        with closing(sqlite3.connect(data / "custodes.sqlite3")) as database, database:
            database.execute("UPDATE sessions SET seen_at = seen_at - 300")
        looks, absent = zip(houses, browsers, strict=True)
        yield Place(site, data, room.request.code, room.asking, server, looks, absent)


def _invited(app: App, principal: str) -> str:
    return app.invitations.invite(ME, principal, [Purpose.HOME_SECURITY]).token


def _signed_in(server: Server, token: str, stack: ExitStack) -> Browser:
    browser = Browser(server.endpoint_url)
    stack.callback(browser.http.close)
    browser.get(f"/console/invitation/{token}")
    browser.post(f"/console/invitation/{token}", {"password": PASSWORD, "again": PASSWORD})
    assert browser.page.url.path == "/console/cameras", browser.page.text
    return browser


class _Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> float:
        return self.now.timestamp()


@dataclass
class _World:
    app: App
    clock: _Clock
    config: Config


def look(place: Place) -> None:
    """Look at everything that there is to look at, in every way, and do nothing."""
    house, browser = place.looks
    get, code = browser.get, place.code
    page = get(HERE).text
    assert code in page
    assert "Doing nothing declines." in page
    for asset in set(re.findall(r"/console/static/[0-9a-f]+/[a-z_.]+", page)):
        assert get(asset).status_code == 200
    page = get(f"{HERE}/{code}").text
    assert "12 Elm Street porch" in page
    for kind in ("yes", "no"):
        start = datetime.fromtimestamp(house.span.start / 1000, UTC).isoformat()
        query = {"camera": house.camera.id, "start": start, "seconds": 1, "blurred": kind}
        page = get(f"{HERE}/{code}/look", params=query).text
        preview = re.search(rf'data-preview="({HERE}/previews/[0-9a-f]+)"', page)[1]
        while (told := get(preview).json())["state"] == "working":
            time.sleep(0.1)
        assert told["state"] == "ready", told
        whole = get(f"{preview}/clip.mp4")
        part = get(f"{preview}/clip.mp4", headers={"range": "bytes=4-7"})
        assert (whole.status_code, part.status_code, part.content) == (200, 206, b"ftyp")
        get(f"{preview}/still.jpg")
    assert get(f"{HERE}/process").status_code == 200
    assert get(f"{HERE}/FR-0000-0000-0000").status_code == 404
    assert get(f"{HERE}/previews/{'0' * 32}").status_code == 404
    assert get(f"{HERE}/nowhere/at/all").status_code == 404
    assert get(f"{HERE}/{code}/look", params={"camera": "x", "start": "y"}).status_code == 400
    wrong = get(f"{HERE}/{code}/look", params={"camera": house.camera.id, "start": start, "seconds": "601"})
    assert (wrong.status_code, 'value="601"' in wrong.text) == (400, True)
    assert browser.http.head(HERE).status_code == 200


def test_who_looks_and_declines_is_as_who_never_looks(place: Place) -> None:
    """Files, times of files, logs, numbers, and what goes over the wire: there is no difference at all."""
    told = []
    place.numbers()  # the first look at them is counted from then on
    for act in (lambda: time.sleep(1.6), lambda: look(place)):  # first nobody looks, then somebody does
        numbers, before, times = place.numbers(), place.settled(), place.times()
        asked, begun = len(place.site.seen), time.monotonic()
        act()
        assert _differ(before, place.files()) == []
        assert _differ(times, place.times()) == []
        polls, seconds = len(place.site.seen) - asked, time.monotonic() - begun
        assert abs(polls - seconds) <= 1.5  # one a second, whatever anybody does
        told.append(_differ(numbers, place.numbers()))
    assert told[0] == told[1]
    assert all("GET /v1/metrics" in line for line in told[0])
    assert len(set(place.site.seen)) == 1


def _differ(one: dict[str, object], other: dict[str, object]) -> list[str]:
    return [name for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)]


def test_who_looks_at_anything_else_is_seen(place: Place) -> None:
    """The comparison would notice: a page that isn't silent is a line of the log, and a session that is used."""
    before = place.settled()
    place.absent[1].get("/console")
    differ = _differ(before, place.files())
    assert "server.log" in differ
    assert any(name.startswith("custodes.sqlite3") for name in differ)


# --- sharing ----------------------------------------------------------------------------------------------------------


def share(place: Place, **more: str) -> tuple[httpx.Response, str]:
    """Look at a second of video as it is, and share it; return the page that follows, and the link."""
    house, browser = place.looks
    start = datetime.fromtimestamp(house.span.start / 1000, UTC).isoformat()
    query = {"camera": house.camera.id, "start": start, "seconds": 1, "blurred": "no"}
    page = browser.get(f"{HERE}/{place.code}/look", params=query).text
    preview = re.search(rf'data-preview="({HERE}/previews/([0-9a-f]+))"', page)
    while browser.get(preview[1]).json()["state"] == "working":
        time.sleep(0.05)
    form = dict(re.findall(r'<input type="hidden" name="([a-z]+)" value="([^"]*)"', page))
    form |= {"label": "Porch", "days": "7", "proofs": "yes", "looked": "yes"} | more
    form = {k: v for k, v in form.items() if v != "-"}
    answer = browser.post(f"{HERE}/{place.code}/share", form)
    links = re.findall(r"http://[^<]+/v1/shares/[^<]+", answer.text)
    return answer, html.unescape(links[0]) if links else ""


def test_an_officer_fetches_what_an_owner_shares(place: Place, tmp_path: Path) -> None:
    """By the link, with the named key; the owner sees it, saves the sealed package too, and ends it."""
    answer, link = share(place)
    assert answer.status_code == 200
    assert "can be fetched" in answer.text
    assert "not yet" in answer.text
    assert "12 Elm Street" not in answer.text
    package = fetch(link, place.officer.key, tmp_path)
    found = verify(package)
    assert found.sound, found.problems
    assert '("Porch")' in " ".join(found.says)
    with pytest.raises(Conflict):
        fetch(link, place.officer.key, tmp_path)
    page = place.looks[1].get(SHARES).text
    assert "not yet" not in page
    named = re.search(r'action="(/console/cameras/shares/share-[0-9a-f]{32})/revoke"', page)[1]
    saved = place.looks[1].post(f"{named}/package")
    (tmp_path / "by-hand.sealed").write_bytes(saved.content)
    package.unlink()
    again = open_package(tmp_path / "by-hand.sealed", named.rpartition("/")[2], place.officer.key, tmp_path)
    assert verify(again).sound
    gone = place.looks[1].post(f"{named}/revoke")
    assert "can&#39;t be recalled" in gone.text or "can't be recalled" in gone.text
    with pytest.raises(NotFound):
        fetch(link, place.officer.key, tmp_path / "..")


def test_others_get_nothing_and_the_same_nothing(place: Place, tmp_path: Path) -> None:
    """No signature, another's, an unknown share: the same answer; the link says itself whose it is."""
    _, link = share(place)
    told = read_link(link)
    stranger = OfficerKey.generate()
    with pytest.raises(Denied, match="another officer"):
        fetch(link, stranger, tmp_path)
    now, nonce = datetime.now(UTC), "ab" * 16
    path = f"/v1/shares/{told.share}"
    forged = officer_signature(stranger, told.share, "GET", path, now, nonce)
    signed = dict(zip(HEADERS, (str(to_ms(now)), nonce, forged), strict=True))
    tries = [(path, {}), (path, signed), (f"/v1/shares/share-{'0' * 32}", signed), ("/v1/shares/x%00", {})]
    tries += [(path, signed | {HEADERS[0]: "9" * 5000}), (path, {HEADERS[2]: "é".encode()})]
    answers = [httpx.get(f"{told.server}{p}", headers=h) for p, h in tries]
    assert {(a.status_code, a.content) for a in answers} == {(404, answers[0].content)}
    assert b"nothing here that this key could fetch" in answers[0].content
    assert list(tmp_path.iterdir()) == []
    log = (place.data / "server.log").read_text()
    assert told.share not in log
    assert "GET /v1/shares/{share}" in log


def test_a_form_that_can_not_be_meant_is_refused(place: Place) -> None:
    """Not looked at, of another preview, for too long, without a token: nothing is shared."""
    before = place.looks[1].get(SHARES).text.count("<article")
    for more, status in (
        ({"looked": "-"}, 400),
        ({"preview": "0" * 32}, 409),
        ({"preview": "-"}, 409),
        ({"days": "31"}, 400),
        ({"days": "x"}, 400),
        ({"start": "x"}, 400),
        ({"label": "a\x00b"}, 400),
        ({"csrf": "x"}, 403),
        ({"camera": place.absent[0].camera.id}, 404),
    ):
        assert share(place, **more)[0].status_code == status, more
    assert place.looks[1].get(SHARES).text.count("<article") == before


def test_the_other_household_sees_none_of_it(place: Place) -> None:
    """Neither the shares nor the previews; whoever isn't signed in comes to the door."""
    page = place.absent[1].get(SHARES).text
    assert "Nothing was shared" in page
    with Browser(place.server.endpoint_url).http as stranger:
        assert stranger.get(HERE).url.path == "/console/sign-in"


def test_legal_process_is_shown_until_it_is_seen(place: Place) -> None:
    """It is recorded by its document, whose hash is shown; a form without one is told so."""
    browser = place.absent[1]
    browser.get(f"{HERE}/process")
    form = {"kind": "subpoena", "issuer": "Superior Court <b>", "reference": "26-2"}
    assert browser.post(f"{HERE}/process", form).status_code == 400
    document = {"document": ("order.pdf", b"%PDF order", "application/pdf")}
    assert browser.post(f"{HERE}/process", form | {"kind": "emergency"}, files=document).status_code == 400
    assert browser.post(f"{HERE}/process", form, files=document).status_code == 200
    page = browser.get(HERE).text
    assert "You were served with a subpoena" in page
    assert "Superior Court &lt;b&gt;" in page
    assert hashlib.sha256(b"%PDF order").hexdigest() in page
    seen = re.search(rf'action="({HERE}/process/process-[0-9a-f]+/seen)"', page)[1]
    browser.post(seen)
    assert "You were served" not in browser.get(HERE).text
    assert "You were served" not in place.looks[1].get(HERE).text


def test_no_route_declines_and_none_pulls(place: Place) -> None:
    """Of all routes below the cameras' none says no, and none outside of the console gives video but a share."""
    from custodes.api.console.pages import requests, shares

    routes = {(sorted(r.methods)[0], r.path) for r in (*requests.router.routes, *shares.router.routes)}
    doing = sorted(path for method, path in routes if method == "POST")
    assert doing == [
        f"{HERE}/process",
        f"{HERE}/process/{{process_id}}/seen",
        f"{HERE}/{{code}}/share",
        "/console/cameras/shares/{share}/package",
        "/console/cameras/shares/{share}/revoke",
    ]
    described = place.absent[1].get("/v1/openapi.json").json()["paths"]
    assert [p for p in described if re.search("video|camera|share|clip|footage", p)] == ["/v1/shares/{share}"]
    assert set(described["/v1/shares/{share}"]) == {"get"}
