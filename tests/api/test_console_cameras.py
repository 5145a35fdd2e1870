# SPDX-License-Identifier: Apache-2.0
"""Cameras at the console: live views over WebSockets, a day's recordings, events, zones, people, settings."""

from __future__ import annotations

import hashlib
import io
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av
import pytest
from tests.api.conftest import PASSWORD, Browser
from tests.cameras.filmed import DAY, Filmed, awaited, filmed, serving
from tests.cameras.footage import footage
from tests.conftest import DATA, pixels
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from custodes.api import server
from custodes.api.console.pages import camera_checks
from custodes.cameras.doctor import Findings, findings_of
from custodes.cameras.finding import Found
from custodes.cameras.model import Camera, Sighting, Span, Spot, Zone
from custodes.cameras.probing import Measured
from custodes.errors import NotFound
from custodes.governance import OPERATOR, Action, Caller, OrgClass, Purpose, Role, StopScope
from custodes.operations.cameralive import LivePart, PartKind
from custodes.operations.exporting import Taken

HERE = "/console/cameras"
MIME = 'video/mp4; codecs="avc1.64001f"'
JPEG = (DATA / "obama_1.jpg").read_bytes()
SECRETS = ("sesame", "door:")
NOBODY = "cam-0123456789abcdef"
PLACES = ("cameras", "people", "cases", "review", "evaluations")
ME = Caller(OPERATOR, Purpose.PHOTO_LIBRARY)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filmed]:
    """A household with cameras, and its server."""
    with filmed(tmp_path_factory.mktemp("filmed")) as made:
        made.application._live.check_seconds = 0.1
        made.application._live.still_seconds = 0.05
        yield made


@pytest.fixture(scope="module")
def enter(house: Filmed) -> Iterator[Callable[[str], Browser]]:
    """Signs somebody in, and returns a browser of its own."""
    opened: list[Browser] = []
    known: set[str] = set()

    def go(who: str) -> Browser:
        browser = Browser(house.url)
        opened.append(browser)
        if who in known:
            browser.get("/console/sign-in")
            browser.post("/console/sign-in", {"name": house.people[who], "password": PASSWORD})
        else:
            path = house.invitation(who)
            browser.get(path)
            browser.post(path, {"password": PASSWORD, "again": PASSWORD})
            known.add(who)
        assert browser.page.url.path in ("/console", HERE), browser.page.text
        return browser

    yield go
    for browser in opened:
        browser.http.close()


@pytest.fixture(scope="module")
def ana(enter: Callable[[str], Browser]) -> Browser:
    """Ana, an administrator of the household."""
    return enter("ana")


@pytest.fixture(scope="module")
def ben(enter: Callable[[str], Browser]) -> Browser:
    """Ben, who lives there too."""
    return enter("ben")


@pytest.fixture(scope="module")
def nia(enter: Callable[[str], Browser]) -> Browser:
    """Nia, an administrator of another household."""
    return enter("nia")


@pytest.fixture(scope="module")
def door(house: Filmed) -> Camera:
    """A camera with a privacy mask."""
    mask = Zone("Neighbour", ((0.5, 0.0), (1.0, 0.0), (1.0, 0.5)), Spot.MASK)
    return house.camera("Front door", zones=(mask,))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of a room."""
    return footage(tmp_path_factory.mktemp("footage"), size=(320, 180), seconds=4.0)


def last_entry(house: Filmed) -> dict[str, Any]:
    """Return the newest entry of the ledger."""
    return dict(house.app.ledger.entry(house.app.ledger.size() - 1))


@contextmanager
def live(
    house: Filmed, browser: Browser | None, camera: str, *, origin: str | None = "", path: str = ""
) -> Iterator[ClientConnection]:
    """Open a live view as a page of the console does, or from another origin."""
    cookies = {} if browser is None else {"Cookie": "; ".join(f"{c.name}={c.value}" for c in browser.http.cookies.jar)}
    url = house.url.replace("http", "ws", 1) + (path or f"{HERE}/{camera}/live")
    with connect(url, origin=house.url if origin == "" else origin, additional_headers=cookies) as opened:
        yield opened


def heard(view: ClientConnection, kind: str) -> dict[str, object]:
    """Return the next text of a kind."""
    while True:
        told = view.recv(10)
        if isinstance(told, str) and (found := json.loads(told))["type"] == kind:
            return found


def closed(view: ClientConnection) -> int:
    """Return the code with which a view ends."""
    try:
        while True:
            view.recv(10)
    except ConnectionClosed as ended:
        return ended.rcvd.code if ended.rcvd else 0


def fragment(at: int, *, key: bool = True, data: bytes = b"moof") -> LivePart:
    return LivePart(PartKind.FRAGMENT, data, "", at, key)


# --- who gets a live view ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", None])
def test_no_other_site_opens_a_live_view(house: Filmed, ana: Browser, door: Camera, origin: str | None) -> None:
    """A browser that another site sends, or that doesn't say which page sent it, is refused, cookies or not."""
    with pytest.raises(InvalidStatus) as refused, live(house, ana, door.id, origin=origin):
        pass
    assert refused.value.response.status_code == 403


def test_strangers_get_no_live_view(house: Filmed, door: Camera) -> None:
    """Who isn't signed in is refused before the connection is made."""
    with pytest.raises(InvalidStatus) as refused, live(house, None, door.id):
        pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("path", ["/", "/console", f"{HERE}/front-door/live", f"{HERE}/{NOBODY}/live/", "/v1/live"])
def test_there_is_no_other_websocket(house: Filmed, ana: Browser, path: str) -> None:
    """A live view of a camera is all that is spoken of over one."""
    with pytest.raises(InvalidStatus) as refused, live(house, ana, "", path=path):
        pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("who", ["nia", "pat"])
def test_nobody_sees_the_cameras_of_others(
    house: Filmed, enter: Callable[[str], Browser], door: Camera, who: str
) -> None:
    """To other households and to the police there is no such camera, and no live view, page or video of it."""
    other = enter(who)
    with live(house, other, door.id) as view:
        assert "sesame" not in json.dumps(heard(view, "refused"))
        assert closed(view) == 4004
    for path in ("", "/snapshot.jpg", "/day/2026-11-25", "/segments/1.mp4", "/zones", "/settings"):
        assert other.get(f"{HERE}/{door.id}{path}").status_code == 404, path


def test_a_live_view_is_in_the_ledger_before_its_first_byte(house: Filmed, ana: Browser, door: Camera) -> None:
    """The first that is said comes after an entry that tells who looks at which camera."""
    before = house.app.ledger.size()
    with live(house, ana, door.id) as view:
        told = json.loads(view.recv(10))
        entry = last_entry(house)
    assert told == {"type": "camera", "name": "Front door", "masks": [[[0.5, 0.0], [1.0, 0.0], [1.0, 0.5]]]}
    assert house.app.ledger.size() == before + 1
    assert (entry["request"]["action"], entry["camera"], entry["live"]) == (str(Action.VIEW_VIDEO), door.id, True)
    assert entry["request"]["principal"] == house.people["ana"]


def test_video_comes_as_it_was_published(house: Filmed, ben: Browser, door: Camera) -> None:
    """After its kind an initialisation segment, then fragments with nine bytes before each."""
    with live(house, ben, door.id) as view:
        heard(view, "state")
        awaited(lambda: house.app.live.is_wanted(door.id))
        house.app.live.change(door.id, up=True, since=DAY, mime=MIME, width=1280, height=720)
        house.app.live.publish(door.id, LivePart(PartKind.INIT, b"ftyp", MIME))
        house.app.live.publish(door.id, fragment(DAY + 1))
        house.app.live.publish(door.id, fragment(DAY + 2, key=False, data=b"more"))
        assert heard(view, "init") == {"type": "init", "mime": MIME}
        assert view.recv(10) == b"ftyp"
        found = [m for m in (view.recv(10) for _ in range(3)) if isinstance(m, bytes)]
    assert found == [struct.pack(">BQ", 1, DAY + 1) + b"moof", struct.pack(">BQ", 0, DAY + 2) + b"more"]
    awaited(lambda: not house.app.live.is_wanted(door.id))  # nobody looks any more


def test_a_camera_says_in_words_how_it_is(house: Filmed, ana: Browser) -> None:
    """That it is gone, since when and why, and what else is wrong."""
    camera = house.camera("Shed")
    house.app.live.change(camera.id, up=False, since=DAY, why="refused", trouble=("disk-full",))
    with live(house, ana, camera.id) as view:
        told = heard(view, "state")
    assert (told["up"], told["since"], told["why"]) == (False, DAY, "it refuses the name or the password")
    assert "The disk is full" in told["trouble"][0]
    page = ana.get(HERE).text
    assert "it refuses the name or the password" in page
    assert "The disk is full" in page


# --- when it ends ---


def test_a_live_view_ends_with_its_session(house: Filmed, enter: Callable[[str], Browser], door: Camera) -> None:
    """Who signs out, or is suspended, sees no more."""
    browser = enter("ben")
    with live(house, browser, door.id) as view:
        heard(view, "state")
        browser.get("/console")
        browser.post("/console/sign-out")
        assert closed(view) == 4001


def test_a_live_view_ends_with_its_camera(house: Filmed, ana: Browser) -> None:
    """A camera that is removed is seen no more."""
    camera = house.camera("Old one")
    with live(house, ana, camera.id) as view:
        heard(view, "state")
        house.app.cameras.remove(house.caller(), camera.id)
        assert closed(view) == 4004


def test_a_live_view_ends_when_its_use_is_stopped(house: Filmed, enter: Callable[[str], Browser]) -> None:
    """The rules decide on it anew while it goes on: the kill switch ends it, and says so."""
    app = house.app
    home = app.people.add_organisation(ME, "Third", OrgClass.HOUSEHOLD, "US-CA").id
    board = app.people.add_organisation(ME, "Board", OrgClass.OVERSIGHT, "US").id
    house.people["kim"] = app.people.add(ME, home, "kim@home.example", "Kim", (Role.ADMIN, Role.USER)).id
    olga = Caller(app.people.add(ME, board, "olga@board.example", "Olga", (Role.OVERSIGHT,)).id, Purpose.OVERSIGHT)
    with live(house, enter("kim"), house.camera("Gate", "kim").id) as view:
        heard(view, "state")
        app.oversight.stop(olga, StopScope.ORGANISATION, home, "for a test")
        assert "base.stopped" in str(heard(view, "refused"))
        assert closed(view) == 1008


def test_a_mask_that_is_drawn_meanwhile_is_told(house: Filmed, ana: Browser) -> None:
    """So that a page which is open shows it black."""
    camera = house.camera("Yard")
    with live(house, ana, camera.id) as view:
        assert heard(view, "camera")["masks"] == []
        mask = Zone("Pool", ((0.0, 0.0), (0.5, 0.0), (0.5, 0.5)), Spot.MASK)
        house.app.cameras.change(house.caller(), replace(camera, zones=(mask,)))
        assert heard(view, "camera")["masks"] == [[[0.0, 0.0], [0.5, 0.0], [0.5, 0.5]]]


def test_one_person_has_so_many_live_views(
    house: Filmed, ana: Browser, ben: Browser, door: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more is refused and told why; others aren't held up by it, and a place is free when a view ends."""
    monkeypatch.setattr(house.application._live, "most_of_one", 1)
    with live(house, ana, door.id) as first:
        heard(first, "state")
        with live(house, ana, door.id) as second:
            assert "Too many live views" in str(heard(second, "refused")["message"])
            assert closed(second) == 1013
        with live(house, ben, door.id) as other:
            heard(other, "state")
    awaited(lambda: not house.application._live._viewers)
    with live(house, ana, door.id) as again:
        heard(again, "state")


@pytest.mark.parametrize("said", ["hello", b"stills", "x" * 5000])
def test_who_says_anything_else_is_cut(house: Filmed, ana: Browser, door: Camera, said: str | bytes) -> None:
    """Browsers have one word to say; what is long isn't even read."""
    with live(house, ana, door.id) as view:
        heard(view, "state")
        view.send(said)
        assert closed(view) in (1008, 1009)


def test_a_browser_that_cannot_play_gets_pictures(
    house: Filmed, ana: Browser, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks for them over the same connection, and each comes once, without a further entry."""
    camera = house.camera("Attic")
    shots = iter([(1, b"\xff\xd8one"), None, (2, b"\xff\xd8two")])
    asked: list[int] = []

    def glimpse(caller: object, camera_id: str, after: int = -1) -> tuple[int, bytes] | None:
        asked.append(after)
        return next(shots, None)

    monkeypatch.setattr(type(house.app.exports), "glimpse", lambda _, *a, **k: glimpse(*a, **k))
    with live(house, ana, camera.id) as view:
        heard(view, "state")
        before = house.app.ledger.size()
        view.send("stills")
        assert [view.recv(10), view.recv(10)] == [b"\xff\xd8one", b"\xff\xd8two"]
        awaited(lambda: not house.app.live.is_wanted(camera.id))  # no video is made for it
    assert asked[:3] == [-1, 1, 1]
    assert house.app.ledger.size() == before


# --- handshakes that are none ---


def _answer(house: Filmed, head: str) -> bytes:
    with socket.create_connection((urlsplit(house.url).hostname, urlsplit(house.url).port), 10) as raw:
        raw.sendall(head.replace("\n", "\r\n").encode())
        raw.settimeout(10)
        received = b""
        while part := raw.recv(65536):
            received += part
        return received


def test_what_is_no_handshake_is_not_waited_for(house: Filmed, door: Camera) -> None:
    """A head that a WebSocket can't begin with is answered, and the connection ends."""
    asks = f"GET {HERE}/{door.id}/live HTTP/1.1\nhost: a\nconnection: upgrade\nupgrade: websocket\n"
    assert _answer(house, asks + "\n").startswith(b"HTTP/1.1 4")
    many = "".join(f"x-{n}: y\n" for n in range(200))
    assert _answer(house, asks + many + "\n").startswith(b"HTTP/1.1 400")


def test_a_post_is_a_request_whatever_it_asks_for(house: Filmed) -> None:
    """One that would become a WebSocket is answered as if it hadn't said so."""
    head = (
        "POST /console/sign-in HTTP/1.1\nhost: a\nconnection: upgrade, close\nupgrade: websocket\ncontent-length: 0\n\n"
    )
    assert _answer(house, head).startswith(b"HTTP/1.1 403")


def test_a_client_that_is_dead_is_cut(
    house: Filmed, ana: Browser, door: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who doesn't answer pings and reads nothing holds no place, though more waits to be sent than is ever read."""
    monkeypatch.setattr(server, "_PING", 0.2)
    cookies = "; ".join(f"{c.name}={c.value}" for c in ana.http.cookies.jar)
    with serving(house.app) as (other, url), socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.settimeout(10)
        raw.connect((urlsplit(url).hostname, urlsplit(url).port))
        raw.sendall(
            f"GET {HERE}/{door.id}/live HTTP/1.1\r\nhost: a:1\r\norigin: http://a:1\r\ncookie: {cookies}\r\n"
            "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
            "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert raw.recv(12) == b"HTTP/1.1 101"
        awaited(lambda: house.app.live.is_wanted(door.id))
        house.app.live.publish(door.id, fragment(DAY, data=bytes(12_000_000)))
        awaited(lambda: not other._live._viewers)
        received = sum(map(len, iter(lambda: raw.recv(1 << 20), b"")))
    assert received < 12_000_000  # the rest was thrown away, rather than kept until it is read


# --- a day ---


@pytest.fixture(scope="module")
def recorded(house: Filmed, door: Camera, video: Path) -> list[int]:
    """Two stretches of four seconds on 2026-11-25, at 8 and at 9 o'clock, of two files each; when they begin."""
    times = [DAY + 8 * 3_600_000, DAY + 9 * 3_600_000]
    starts = [s.start for at in times for s in house.record(door, at, video)]
    house.move(door, Span(times[0] + 500, times[0] + 3000))
    house.happen(door, times[1] + 1000, JPEG, zone="Porch")
    return starts


def test_a_day_is_opened_by_one_entry(house: Filmed, ben: Browser, door: Camera, recorded: list[int]) -> None:
    """The page has what was recorded, what moved, what happened; the video itself adds no entry."""
    before = house.app.ledger.size()
    page = ben.get(f"{HERE}/{door.id}/day/2026-11-25")
    assert page.status_code == 200
    assert house.app.ledger.size() == before + 1
    assert (last_entry(house)["camera"], last_entry(house)["day"]) == (door.id, "2026-11-25")
    assert "Something moved" in page.text
    assert "in Porch" in page.text
    assert 'd="M28800 0h4v1h-4zM32400 0h4v1h-4z"' in page.text  # the files of a stretch as one
    told = ben.fetch(f"{HERE}/{door.id}/day/2026-11-25", "GET").json()
    assert [told["start"] + s for s, _, _ in told["segments"]] == recorded
    assert told["motions"] == [[8 * 3_600_000 + 500, 2500]]
    before = house.app.ledger.size()
    for start in recorded:
        answer = ben.get(f"{HERE}/{door.id}/segments/{start}.mp4")
        assert answer.headers["content-type"] == "video/mp4"
        with av.open(io.BytesIO(answer.content)) as film:
            assert len(list(film.decode(video=0))) == 20
    assert house.app.ledger.size() == before


def test_a_day_works_without_scripts(ben: Browser, door: Camera, recorded: list[int]) -> None:
    """A moment that is chosen plays as a plain video, and so does the next after a gap."""
    for at, file in ((recorded[0] + 100, recorded[0]), (recorded[1] + 3000, recorded[2])):
        page = ben.get(f"{HERE}/{door.id}/day/2026-11-25?at={at}").text
        assert f'src="{HERE}/{door.id}/segments/{file}.mp4"' in page
    assert f"/day/2026-11-25?at={recorded[2]}" in page
    moved = ben.get(f"{HERE}/{door.id}/day?day=2026-11-24")
    assert moved.url.path.endswith("/day/2026-11-24")
    assert "No video of this day" in moved.text
    assert re.search(r"/day/20[0-9]{2}-", ben.get(f"{HERE}/{door.id}/day").url.path)


@pytest.mark.parametrize("day", ["2026-02-30", "26-11-25", "today", "9999-12-31"])
def test_a_day_that_there_is_not_is_refused(ben: Browser, door: Camera, day: str) -> None:
    """Plainly, and nothing is opened."""
    assert ben.get(f"{HERE}/{door.id}/day/{day}").status_code == 400
    assert ben.get(f"{HERE}/{door.id}/day?day={day}").status_code in (400, 303)


def test_video_that_was_deleted_is_not_there(house: Filmed, ben: Browser, door: Camera, video: Path) -> None:
    """Be it by its time, or from the disk."""
    [first, *_] = house.record(door, DAY + 20 * 3_600_000, video)
    assert ben.get(f"{HERE}/{door.id}/segments/{first.start}.mp4").status_code == 200
    assert ben.get(f"{HERE}/{door.id}/segments/{first.start + 1}.mp4").status_code == 404
    for file in (house.app.config.video / door.id).rglob("20*.mp4"):
        file.unlink()
    assert ben.get(f"{HERE}/{door.id}/segments/{first.start}.mp4").status_code == 404


# --- events ---


def test_events_are_told_newest_first(house: Filmed, ben: Browser) -> None:
    """By camera, person and day; a day is the viewer's own, and older ones are a page further."""
    library = house.app.library.ensure(house.caller())
    camera = house.camera("Gate", collection=library)
    first = house.happen(camera, DAY + 23 * 3_600_000, JPEG, Sighting(1, DAY, (0.1, 0.1, 0.2, 0.2), "Kim", 97.5))
    for n in range(25):
        house.happen(camera, DAY - 86_400_000 + n * 60_000, JPEG, Sighting(1, DAY, (0.1, 0.1, 0.2, 0.2)))
    page = ben.get(f"{HERE}/events?camera={camera.id}")
    found = re.findall(r'<h2><a href="/console/cameras/events/(evt-[0-9a-f]{16})">([^<]+)</a>', page.text)
    assert len(found) == 24
    assert found[0] == (first.id, "Kim")
    assert found[1][1] == "Somebody unknown"
    [older] = re.findall(r'href="(/console/cameras/events[^"]*before=[0-9]+)"', page.text)
    assert ben.get(older.replace("&amp;", "&")).text.count('class="event"') == 2
    assert "Kim" in ben.get(f"{HERE}/events?person=Kim").text
    assert "No such event" in ben.get(f"{HERE}/events?person=Somebody").text
    there = [f"{HERE}/events?camera={camera.id}&day=2026-11-25&zone={zone}" for zone in (0, -60, 120)]
    assert [ben.get(path).text.count('class="event"') for path in there] == [1, 1, 0]  # 23:00 is tomorrow at UTC+2
    assert ben.get(f"{HERE}/events?day=never").status_code == 400


def test_an_event_is_seen_and_corrected(house: Filmed, ana: Browser, ben: Browser, nia: Browser) -> None:
    """Not this person, and then this is somebody; who lives elsewhere knows of none of it."""
    camera = house.camera("Lane", collection=house.app.library.ensure(house.caller()))
    event = house.happen(camera, DAY, JPEG, Sighting(1, DAY, (0.1, 0.1, 0.2, 0.2), "Kim", 97.5), face=b"\xff\xd8face")
    path = f"{HERE}/events/{event.id}"
    assert "a candidate, 97.50 % alike" in ben.get(path).text
    assert ben.get(f"{path}/picture.jpg").content == JPEG
    assert ben.get(f"{path}/faces/1.jpg").content == b"\xff\xd8face"
    assert ben.get(f"{path}/faces/2.jpg").status_code == 404
    ben.get(path)
    page = ben.post(f"{path}/faces/1/not").text
    assert "Unknown" in page
    assert "Kim will hardly be recognised now." in page
    [told] = house.app.sightings.get(house.caller(), event.id).sightings
    assert (told.subject, told.corrected) == ("", True)
    assert "among the people" in ben.post(f"{path}/faces/1/name", {"person": "Nobody"}).text
    assert ben.page.status_code == 400
    assert ben.post(f"{path}/faces/1/name", {}).status_code == 400
    nia.get("/console")
    assert nia.get(path).status_code == nia.get(f"{path}/picture.jpg").status_code == 404
    assert nia.post(f"{path}/faces/1/not").status_code == nia.post(f"{path}/remove").status_code == 404
    assert "Delete this event" not in ben.page.text  # that takes an administrator
    assert ben.post(f"{path}/remove").status_code == 403
    ana.get(path)
    assert "are deleted" in ana.post(f"{path}/remove").text
    assert ana.get(path).status_code == 404


def test_an_event_without_a_search_says_why(house: Filmed, ben: Browser, door: Camera) -> None:
    """A rule forbade it: the event is there without names, and names the rule."""
    event = house.happen(door, DAY - 1000, JPEG, why="base.moratorium")
    assert "<code>base.moratorium</code>" in ben.get(f"{HERE}/events/{event.id}").text


# --- people ---


def test_people_are_added_with_their_consent_and_erased_at_once(house: Filmed, ana: Browser, ben: Browser) -> None:
    """What is missing is told beside its field; the statement is shown once; a picture is learned on the consent."""
    form = {"name": "Barack", "by": "Barack", "kind": "explicit", "until": "2027-11-01"}
    photo = {"photos": ("b.jpg", JPEG, "image/jpeg")}
    page = ana.get(f"{HERE}/people")
    assert "Nobody yet" in page.text
    for field in ("name", "by", "until"):
        assert ana.post(f"{HERE}/people", form | {field: ""}, files=photo).status_code == 400, field
        assert f'id="e-{field}"' in ana.page.text
    assert ana.post(f"{HERE}/people", form).status_code == 400
    assert "sha256sum" in ana.post(f"{HERE}/people", form | {"kind": "written-release"}, files=photo).text
    done = ana.post(f"{HERE}/people", form, files=photo).text
    assert "Barack is added" in done
    assert "data:application/json;base64," in done
    ana.get(f"{HERE}/people")
    assert "1 photo learned" in ana.page.text
    assert "already" in ana.post(f"{HERE}/people", form, files=photo).text
    camera = house.camera("Steps", collection=house.app.library.ensure(house.caller()))
    event = house.happen(
        camera, DAY, JPEG, Sighting(1, DAY, (0.1, 0.1, 0.2, 0.2)), face=(DATA / "obama_2.jpg").read_bytes()
    )
    page = ana.get(f"{HERE}/events/{event.id}")
    assert "data-agreed" in page.text
    said = ana.post(f"{HERE}/events/{event.id}/faces/1/name", {"person": "Barack", "enrol": "yes"})
    assert "the picture is learned" in said.text
    assert "2 photos learned" in ana.get(f"{HERE}/people").text
    gone = ana.post(f"{HERE}/people/remove", {"name": "Barack"})
    assert "is erased" in gone.text
    assert "Unknown" in ana.get(f"{HERE}/events/{event.id}").text
    assert "Nobody yet" in ben.get(f"{HERE}/people").text


# --- zones ---


def zone_form(revision: int, *rows: tuple[str, str, str], **more: str) -> dict[str, object]:
    form: dict[str, object] = {"revision": str(revision), "zone": [f"z{i}" for i in range(len(rows))]}
    for i, (name, spot, corners) in enumerate(rows):
        form |= {f"name-z{i}": name, f"spot-z{i}": spot, f"corners-z{i}": corners}
    return form | more


SQUARE = "10 20\n50,20\n 50 ; 60.5\n10 60"


def test_zones_are_typed_as_corners(house: Filmed, ana: Browser) -> None:
    """They are kept as ratios; what can't be meant is told beside its field, with what was typed."""
    camera = house.camera("Patio")
    path = f"{HERE}/{camera.id}/zones"
    ana.get(path)
    rows = (("Bed", "zone", SQUARE), ("Next door", "mask", SQUARE), ("", "zone", ""))
    assert "are kept" in ana.post(path, zone_form(camera.revision, *rows, zones_only="yes")).text
    kept = house.app.cameras.get(house.caller(), camera.id)
    corners = ((0.1, 0.2), (0.5, 0.2), (0.5, 0.605), (0.1, 0.6))
    assert kept.zones == (Zone("Bed", corners), Zone("Next door", corners, Spot.MASK))
    assert kept.zones_only
    for wrong, field in (
        (("Bed", "zone", "1 2\n3 4"), "corners-z0"),
        (("Bed", "zone", "1 2\n3 4\n5 101"), "corners-z0"),
        (("Bed", "zone", "1 2\n3 4\n<script>"), "corners-z0"),
        (("../bed", "zone", SQUARE), "name-z0"),
        (("Bed", "fence", SQUARE), "spot-z0"),
    ):
        page = ana.post(path, zone_form(kept.revision, wrong))
        assert (page.status_code, f'id="e-{field}"' in page.text) == (400, True), wrong
    assert "&lt;script&gt;" in ana.post(path, zone_form(kept.revision, ("Bed", "zone", "<script>"))).text
    assert ana.post(path, zone_form(kept.revision, ("Bed", "zone", SQUARE), ("Bed", "mask", SQUARE))).status_code == 400
    assert ana.post(path, zone_form(camera.revision, *rows)).status_code == 409  # somebody else was faster
    removed = zone_form(kept.revision, *rows[:2], **{"gone-z1": "yes"})
    assert "are kept" in ana.post(path, removed).text
    assert [z.name for z in house.app.cameras.get(house.caller(), camera.id).zones] == ["Bed"]


def test_zones_without_a_name_get_one(house: Filmed, ana: Browser) -> None:
    """The first of their kind that is free, so that the name is optional, as the form says."""
    camera = house.camera("Hedge")
    path = f"{HERE}/{camera.id}/zones"
    assert "Without one it is called Zone 1" in ana.get(path).text
    rows = (("", "zone", SQUARE), ("zone 1", "zone", SQUARE), ("", "mask", SQUARE), ("", "zone", SQUARE))
    assert "are kept" in ana.post(path, zone_form(camera.revision, *rows)).text
    kept = house.app.cameras.get(house.caller(), camera.id).zones
    assert [z.name for z in kept] == ["Zone 2", "zone 1", "Mask 1", "Zone 3"]


# --- settings ---


def settings_form(camera: Camera, **changes: str) -> dict[str, str]:
    form = {"name": camera.name, "revision": str(camera.revision), "enabled": "yes", "records": "yes", "recognises": ""}
    days = {"continuous_days": "2", "motion_days": "5", "event_days": "9,5", "gigabytes": "0"}
    return form | days | {"pre_roll": "3", "post_roll": "4", "latitude": "", "longitude": ""} | changes


def test_a_camera_is_added_and_its_password_never_shown(house: Filmed, ana: Browser, ben: Browser) -> None:
    """What is missing is told; who isn't an administrator adds none; no page has the password."""
    form = {"name": "Porch", "url": "rtsp://door:sesame@192.0.2.7/stream", "records": "yes", "recognises": ""}
    ana.get(f"{HERE}/new")
    for wrong in ({"url": ""}, {"url": "http://192.0.2.7/x"}, {"name": "../x"}, {"latitude": "91"}, {"latitude": "1"}):
        assert ana.post(HERE, form | wrong).status_code == 400, wrong
    ben.get(HERE)
    assert "Add a camera" not in ben.page.text
    assert ben.post(HERE, form).status_code == 403
    assert ana.post(HERE, form | {"latitude": "37,5", "longitude": "-122"}).status_code == 200
    camera = house.app.cameras.get(house.caller(), "Porch")
    assert camera.place == (37.5, -122.0)
    assert ana.post(HERE, form).status_code == 400  # there is one of this name
    for path in (HERE, f"{HERE}/{camera.id}", f"{HERE}/{camera.id}/settings", f"{HERE}/{camera.id}/zones"):
        page = ana.get(path).text
        assert not any(secret in page for secret in SECRETS), path
    assert "rtsp://192.0.2.7/stream" in ana.get(f"{HERE}/{camera.id}/settings").text


def test_cameras_are_looked_for_and_at_before_they_are_added(
    house: Filmed, ana: Browser, ben: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An administrator sees who answers and what a camera gives, with what was typed; nothing is kept of it."""
    asked: list[tuple[str, str]] = []

    def examine(url: str, second: str, **_: object) -> Findings:
        asked.append((url, second))
        return findings_of(Measured("refused"), None, None, 1)

    monkeypatch.setattr(camera_checks, "discover", lambda: (Found("192.0.2.9", 8080, False, "<Cam>", "X1"),))
    monkeypatch.setattr(camera_checks, "examine", examine)
    before = house.app.ledger.size()
    assert "rtmp://ADDRESS:PORT/WORD/KEY" in ana.get(f"{HERE}/new").text
    page = ana.post(f"{HERE}/new/find").text
    assert "<strong>192.0.2.9</strong> &lt;Cam&gt; X1" in page
    assert "onvif://192.0.2.9:8080" in page
    monkeypatch.setattr(camera_checks, "discover", lambda: ())
    assert "Nobody answered." in ana.post(f"{HERE}/new/find").text
    form = {"name": "Roof", "url": "rtsp://192.0.2.7/roof", "latitude": "37,5"}
    page = ana.post(f"{HERE}/new/check", form).text
    assert "What it gives" in page
    assert all(f'value="{v}"' in page for v in form.values())
    camera = house.camera("Ridge")
    assert "What it gives" in ana.post(f"{HERE}/{camera.id}/check", settings_form(camera)).text
    assert asked == [("rtsp://192.0.2.7/roof", ""), (camera.url, "")]
    for wrong in ("", "http://192.0.2.7/", "rtsp://169.254.169.254/x"):
        assert ana.post(f"{HERE}/new/check", form | {"url": wrong}).status_code == 400, wrong
    assert house.app.ledger.size() == before + 1  # that of the camera that was set up
    ben.get(HERE)
    tries = (f"{HERE}/new/find", f"{HERE}/new/check", f"{HERE}/{camera.id}/check")
    assert [ben.post(path, form).status_code for path in tries] == [403, 403, 403]
    assert len(asked) == 2
    assert "Roof" not in [c.name for c in house.app.cameras.list(house.caller())]


def test_settings_are_changed_and_secrets_stay(house: Filmed, ana: Browser) -> None:
    """An address that isn't typed is kept; numbers may have a comma; who comes late is told."""
    camera = house.camera("Carport", substream="rtsp://door:sesame@192.0.2.7/small")
    path = f"{HERE}/{camera.id}/settings"
    ana.get(path)
    assert "hold from now on" in ana.post(path, settings_form(camera, name="Car port", recognises="library")).text
    kept = house.app.cameras.get(house.caller(), camera.id)
    assert (kept.name, kept.url, kept.substream) == ("Car port", camera.url, camera.substream)
    assert (kept.retention.continuous_days, kept.retention.event_days, kept.pre_roll) == (2.0, 9.5, 3.0)
    assert kept.collection == house.app.library.ensure(house.caller())
    assert ana.post(path, settings_form(camera)).status_code == 400  # by then it is another revision
    for wrong in ({"motion_days": "1"}, {"event_days": "many"}, {"gigabytes": "-1"}, {"url": "file:///etc/passwd"}):
        page = ana.post(path, settings_form(kept, **wrong))
        assert page.status_code == 400, wrong
    done = ana.post(path, settings_form(kept, no_substream="yes", enabled_="", records_=""))
    assert "hold from now on" in done.text
    assert house.app.cameras.get(house.caller(), camera.id).substream == ""


def test_a_camera_is_removed_once_its_name_is_typed(house: Filmed, ana: Browser) -> None:
    """Not before, and then with all that it has."""
    camera = house.camera("Gone soon")
    ana.get(f"{HERE}/{camera.id}/settings")
    assert ana.post(f"{HERE}/{camera.id}/remove", {"again": "gone"}).status_code == 400
    assert "is removed" in ana.post(f"{HERE}/{camera.id}/remove", {"again": "Gone soon"}).text
    with pytest.raises(NotFound):
        house.app.cameras.get(house.caller(), camera.id)


def test_storage_shows_what_is_on_the_disk(house: Filmed, ben: Browser, video: Path) -> None:
    """By camera and kind, as it is; a camera without video says so."""
    camera = house.camera("Roof")
    size = sum(s.size for s in house.record(camera, DAY, video))
    page = ben.get(f"{HERE}/storage").text
    section = page[page.index(">Roof<") :]
    assert f"{size / 1000:.1f} kB" in section[: section.index("</section>")]
    assert "Nothing is recorded yet." in page
    assert "free on the disk" in page


# --- a clip to keep ---


def test_a_clip_is_made_and_sent(house: Filmed, ben: Browser, video: Path) -> None:
    """As it was recorded, with its hash; what is on its way lies in no file that has a name."""
    camera = house.camera("Balcony No. 2")
    house.record(camera, DAY, video)
    path, there = f"{HERE}/{camera.id}/export", set(house.app.config.video.rglob("*"))
    assert "2026-11-25" in ben.get(f"{path}?from={DAY}&to={DAY + 2000}").text
    answer = ben.post(path, {"from": str(DAY), "to": str(DAY + 2000)})
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["content-disposition"] == (
        'attachment; filename="Balcony No 2 2026-11-25 00-00-00Z.mp4"; '
        "filename*=UTF-8''Balcony%20No.%202%202026-11-25%2000-00-00Z.mp4"
    )
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.headers["x-content-sha256"] == hashlib.sha256(answer.content).hexdigest()
    with av.open(io.BytesIO(answer.content)) as film:
        assert len(list(film.decode(video=0))) == 20
    assert set(house.app.config.video.rglob("*")) == there
    awaited(lambda: not house.application._gate.downloads._taken)
    assert last_entry(house)["sha256"] == answer.headers["x-content-sha256"]


@pytest.mark.parametrize(("start", "to"), [("", ""), ("-1", "5"), ("5", "5"), (str(DAY), str(DAY + 3_600_001))])
def test_a_clip_that_cannot_be_meant_is_not_made(
    house: Filmed, ben: Browser, door: Camera, start: str, to: str
) -> None:
    """It is said, and no place is taken by it."""
    path = f"{HERE}/{door.id}/export"
    ben.get(f"{path}?from={DAY}&to={DAY + 1}")
    assert ben.post(path, {"from": start, "to": to}).status_code == 400
    assert not house.application._gate.downloads._taken


def test_clips_take_no_place_of_others(
    house: Filmed, ana: Browser, ben: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one is made, its owner gets no second one, and others theirs; pictures and models don't wait for it."""
    camera, going = house.camera("Terrace"), threading.Event()
    path, form, gate = f"{HERE}/{camera.id}/export", {"from": str(DAY), "to": str(DAY + 1)}, house.application._gate

    def take(_: object, caller: Caller, *told: object, **more: object) -> Taken:
        if caller.principal == house.people["ana"]:
            assert going.wait(20)
        return Taken(io.BytesIO(b"film"), 4, "", Span(DAY, DAY + 1), derivative=False)

    monkeypatch.setattr(type(house.app.exports), "take", take)
    monkeypatch.setattr(type(house.app.exports), "still", lambda *told: b"jpeg")
    with ThreadPoolExecutor(1) as pool:
        for browser in (ana, ben):
            browser.get(f"{path}?from={DAY}&to={DAY + 1}")
        first = pool.submit(ana.http.post, path, data=form | {"csrf": ana.csrf})
        awaited(lambda: gate.clips.running)
        assert gate.inference.running == gate.quick.running == 0
        assert ana.http.post(path, data=form | {"csrf": ana.csrf}).status_code == 429
        assert ana.http.get(f"{HERE}/{camera.id}/snapshot.jpg").status_code == 200
        assert ben.post(path, form).content == b"film"
        going.set()
        assert first.result().content == b"film"
    awaited(lambda: not gate.downloads._taken)


# --- the frame ---


def test_cameras_are_in_the_navigation_of_those_who_may_have_some(enter: Callable[[str], Browser]) -> None:
    """A household begins with them, and isn't led to what it has no use for; the police has none."""
    ana, pat = enter("ana").page, enter("pat").page
    assert (ana.url.path, pat.url.path) == (HERE, "/console")
    assert [f'href="/console/{p}"' in ana.text for p in PLACES] == [True, True, False, False, False]
    assert [f'href="/console/{p}"' in pat.text for p in PLACES] == [False, True, True, True, True]


def test_video_may_be_played_and_nothing_else_be_loaded(ana: Browser) -> None:
    """The policy of pages lets media come from here and from memory, and still has no inline script."""
    policy = ana.get(HERE).headers["content-security-policy"]
    assert "media-src 'self' blob:" in policy
    assert "unsafe" not in policy


def test_a_picture_comes_from_what_was_recorded(house: Filmed, ana: Browser, video: Path) -> None:
    """The newest one, with masks black; to look at it is an entry."""
    camera = house.camera("Window", zones=(Zone("All", ((0, 0), (1, 0), (1, 1), (0, 1)), Spot.MASK),))
    assert ana.get(f"{HERE}/{camera.id}/snapshot.jpg").status_code == 404
    house.record(camera, DAY, video)
    before = house.app.ledger.size()
    answer = ana.get(f"{HERE}/{camera.id}/snapshot.jpg")
    assert answer.headers["content-type"] == "image/jpeg"
    assert pixels(answer.content).max() < 8
    assert house.app.ledger.size() == before + 1
