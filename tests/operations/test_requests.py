# SPDX-License-Identifier: Apache-2.0
"""Whoever has cameras sees what concerns them, looks at what they would share, and leaves no trace of that."""

from __future__ import annotations

import http.server
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from tests.cameras.agencyroom import Department, wanted
from tests.cameras.badservers import bad_server
from tests.operations.conftest import ME, World, open_world
from tests.operations.sharingroom import Room, open_room

from custodes.cameras.board import MOST_BOARD, make_board
from custodes.cameras.documents import canonical
from custodes.cameras.model import Span, Spot, Zone
from custodes.errors import Invalid, NotFound, Throttled, Unavailable
from custodes.governance import OrgClass, Role
from custodes.operations import boards, previews, requests
from custodes.operations.boards import BoardReader
from custodes.operations.previews import KEPT


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An installation for all tests of this module."""
    made = open_world(tmp_path_factory.mktemp("requests") / "data")
    yield made
    made.app.close()


@pytest.fixture
def room(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """An agency that asks, and all of sharing."""
    made = open_room(world, tmp_path_factory.getbasetemp() / "footage")
    yield made
    made.previews.close()


def codes(room: Room, house) -> list[str]:
    """Return the codes of what a household sees."""
    return [i.request.code for i in room.inbox.inbox(house.admin)]


# --- what one sees ----------------------------------------------------------------------------------------------------


def test_a_household_sees_what_concerns_its_cameras(room: Room) -> None:
    """Who asks, how far the camera is, when it has recorded and something moved: all of it compared at home."""
    house = room.house(metres_north=120)
    with room.database.transaction() as c:
        room.inbox._index.add_motion(c, house.camera.id, house.span)
    [item] = room.inbox.inbox(house.admin)
    assert (item.request.code, item.request.agency.name) == (room.request.code, room.department.name)
    [camera] = item.cameras
    assert (camera.camera, camera.metres, camera.motions) == (house.camera, 120, (house.span,))
    assert [s.end - s.start for s in camera.spans] == [6000]
    assert room.inbox.item(house.admin, room.request.code.lower()) == item


def test_it_sees_nothing_of_other_places_and_times(room: Room) -> None:
    """A camera that is too far, that doesn't say where it is, or had recorded nothing then."""
    far, silent, other = room.house(metres_north=400), room.house(), room.house()
    room.change(silent, place=None)
    assert (codes(room, far), codes(room, silent), codes(room, other)) == ([], [], [room.request.code])
    with room.database.transaction() as c:
        room.inbox._index.remove(c, other.camera.id, [other.span.start - 2300])
    assert codes(room, other) == []


def test_it_sees_none_that_does_not_hold(room: Room) -> None:
    """Of an agency that isn't enrolled, not approved by two, over, changed, or no request at all."""
    house, now, trusted = room.house(), room.world.clock.now, room.department
    ann, bob = trusted.officer("ann"), trusted.officer("bob")
    stranger = Department(name="Sheriff", now=now)
    changed = room.request.document.replace(b"white van", b"black van")
    short = trusted.approve(trusted.draft(ann, wanted(now), now), bob, now=now)
    past = now - timedelta(days=8)
    over = Department(now=now, key=trusted.key).request(wanted(past), past)
    bad = [stranger.request(wanted(now), now), changed, short, over, canonical({"no": "request"}), b"no JSON"]
    room.reader._own = lambda: replace(room.board[0], requests=tuple(bad))
    assert codes(room, house) == []
    room.reader._own = lambda: replace(room.board[0], requests=(*bad, room.request.document, room.request.document))
    assert codes(room, house) == [room.request.code]
    room.world.app.footage.remove_agency(ME, trusted.agency.id)
    assert codes(room, house) == []


def test_only_administrators_of_those_with_cameras_see_it(room: Room) -> None:
    """Not somebody else in the house, not the police, and no try is on record; others see what concerns their own."""
    house, world, code = room.house(), room.world, room.request.code
    begun = world.app.ledger.size()
    for caller in (house.user, world.officer, world.rescuer):
        for look in (
            lambda who: room.inbox.inbox(who),
            lambda who: room.inbox.item(who, code),
            lambda who: room.inbox.preview(who, code, house.camera.id, house.span),
            lambda who: room.inbox.made(who, "0" * 32),
        ):
            assert "base.camera-administered" in world.denied(lambda look=look, caller=caller: look(caller))
    assert world.app.ledger.size() == begun
    company = world.app.people.add_organisation(ME, "Corner shop", OrgClass.GENERAL, "US-WA").id
    person = world.app.people.add(ME, company, "shop@example.org", "shop", [Role.ADMIN])
    assert room.inbox.inbox(replace(house.admin, principal=person.id)) == ()
    assert room.inbox.inbox(ME) == ()  # the operator's own organisation has no camera


def test_nobody_looks_into_another_house(room: Room) -> None:
    """Neither at its cameras nor at its previews."""
    one, other = room.house(), room.house()
    with pytest.raises(NotFound):
        room.inbox.preview(one.admin, room.request.code, other.camera.id, other.span)
    made = room.inbox.preview(one.admin, room.request.code, one.camera.id, one.span)
    assert room.inbox.made(one.admin, made.id) is made
    with pytest.raises(NotFound):
        room.inbox.made(other.admin, made.id)


# --- previews ---------------------------------------------------------------------------------------------------------


def test_a_preview_is_what_would_be_shared_for_a_quarter_of_an_hour(room: Room) -> None:
    """It is made once, blurred unless one says otherwise, and then it has never been."""
    house, code = room.house(), room.request.code
    made = room.inbox.preview(house.admin, code, house.camera.name, house.span)
    clip = made.result(20)
    assert clip.derivative is not None
    assert clip.derivative.hidden == 10
    assert room.inbox.preview(house.admin, code, house.camera.id, house.span) is made
    plain = room.inbox.preview(house.admin, code, house.camera.id, house.span, blurred=False)
    assert plain.result(20).derivative is None
    assert room.redactor.made == 2
    room.previews._clock = lambda: made.made + KEPT
    with pytest.raises(NotFound):
        room.inbox.made(house.admin, made.id)
    assert room.previews._kept.keys() <= {plain.id}


def test_a_camera_with_masks_shows_nothing_of_them(room: Room) -> None:
    """Its clips are encoded anew, blurred or not; and anew again when the masks change."""
    house = room.house(masks=(Zone("yard", ((0, 0), (1, 0), (1, 0.3), (0, 0.3)), Spot.MASK),))
    code = room.request.code
    made = room.inbox.preview(house.admin, code, house.camera.id, house.span, blurred=False)
    assert made.result(20).derivative is not None
    room.change(house, zones=())
    again = room.inbox.preview(house.admin, code, house.camera.id, house.span, blurred=False)
    assert again is not made
    assert again.result(20).derivative is None


def test_what_can_not_be_previewed_is_refused(room: Room) -> None:
    """Too long, outside of what is asked about, nothing recorded, no such request; too many at once."""
    house, code, asked = room.house(), room.request.code, room.request.span
    look = room.inbox.preview
    with pytest.raises(Invalid, match="10 minutes"):
        look(house.admin, code, house.camera.id, Span(asked.start, asked.start + 600_001))
    with pytest.raises(Invalid, match="outside"):
        look(house.admin, code, house.camera.id, Span(asked.start - 1, asked.start + 5000))
    with pytest.raises(NotFound, match="Nothing was recorded"):
        look(house.admin, code, house.camera.id, Span(asked.start, asked.start + 5000))
    with pytest.raises(NotFound, match="no such request"):
        look(house.admin, "FR-0000-0000-0000", house.camera.id, house.span)
    begun, go_on = threading.Event(), threading.Event()

    def slow(*_: object, **__: object) -> None:
        begun.set()
        go_on.wait(20)
        raise RuntimeError("/secret/path")

    room.redactor.make = slow
    first = look(house.admin, code, house.camera.id, house.span)
    with pytest.raises(Unavailable, match="isn't ready"):
        first.result(0)
    spans = [Span(house.span.start, house.span.end - n) for n in range(1, 5)]
    for span in spans[:3]:
        look(house.admin, code, house.camera.id, span)
    with pytest.raises(Throttled):
        look(house.admin, code, house.camera.id, spans[3])
    go_on.set()
    with pytest.raises(Unavailable, match="The preview can't be made"):
        first.result(20)


def test_previews_take_so_much_memory_and_no_more(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest goes first; after the end there is none."""
    house, code = room.house(), room.request.code
    first = room.inbox.preview(house.admin, code, house.camera.id, house.span, blurred=False)
    monkeypatch.setattr(previews, "_MOST_BYTES", len(first.result(20).data) + 1000)
    shorter = Span(house.span.start, house.span.end - 500)
    second = room.inbox.preview(house.admin, code, house.camera.id, shorter, blurred=False)
    second.result(20)
    room.previews.sweep()
    assert list(room.previews._kept) == [second.id]
    room.previews.close()
    assert room.previews._kept == {}
    with pytest.raises(Unavailable):
        room.inbox.preview(house.admin, code, house.camera.id, house.span)


# --- no trace ---------------------------------------------------------------------------------------------------------


def test_looking_writes_and_sends_nothing(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inbox, request, preview: no entry, no row, no file and no time of one, no connection to anybody."""
    house, data = room.house(), room.world.config.data
    room.inbox.inbox(house.admin)  # readers of SQLite leave a mark in its shared memory after somebody has written

    def state() -> dict[str, object]:
        files = {}
        for path in sorted(data.rglob("*")):
            told = path.stat()
            files[str(path)] = path.read_bytes() if path.is_file() else b"", told.st_mtime_ns
        return files

    def times() -> dict[str, int]:
        return {str(p): p.stat().st_atime_ns for p in (data / "video").rglob("*")}

    def connect(*_: object) -> None:
        raise AssertionError("somebody was told")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)
    before, told = state(), times()
    seen: list[str] = []
    sqlite3.enable_callback_tracebacks(True)
    for blurred in (True, False):
        item = room.inbox.item(house.admin, room.request.code)
        seen.append(item.request.text)
        room.inbox.preview(house.admin, item.request.code, house.camera.id, house.span, blurred=blurred).result(20)
    assert times() == told
    assert state() == before
    assert len(seen) == 2


def test_there_is_no_way_to_decline(room: Room) -> None:
    """No function of the inbox answers anything: it is made of looks."""
    public = {n for n in dir(room.inbox) if not n.startswith("_")}
    assert public == {"inbox", "item", "preview", "made", "check"}
    assert not [n for n in vars(requests) if "declin" in n.lower() or "refus" in n.lower() or "answer" in n.lower()]


# --- boards -----------------------------------------------------------------------------------------------------------


class Board(http.server.BaseHTTPRequestHandler):
    """A server that notes what comes, byte by byte, and answers as it is told to."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        self.server.seen.append((self.requestline, self.headers.as_string()))
        status, body, headers = self.server.answer
        self.send_response_only(status)
        for name, value in ({"content-length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[http.server.ThreadingHTTPServer]:
    """A server of a board."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Board) as server:
        server.seen, server.answer = [], (200, make_board([], []).document, {})
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def reader(site: http.server.ThreadingHTTPServer, path: str = "/v1/board") -> BoardReader:
    """A reader of its board."""
    return BoardReader([f"http://127.0.0.1:{site.server_port}{path}"], lambda: make_board([], []))


def test_a_board_is_asked_for_by_the_same_request_each_time(site) -> None:
    """Without cookies, without a tag, without a name of a client: byte for byte, whatever came the last time."""
    made = reader(site)
    site.answer = (200, site.answer[1], {"set-cookie": "id=1", "etag": '"x"', "last-modified": "now"})
    assert (made.round(), made.round()) == (1, 1)
    site.answer = (304, b"", {})
    assert made.round() == 0
    assert len(set(site.seen)) == 1
    line, headers = site.seen[0]
    assert line == "GET /v1/board HTTP/1.1"
    names = sorted(h.partition(":")[0].lower() for h in headers.splitlines() if h)
    assert names == ["accept", "accept-encoding", "connection", "host", "user-agent"]
    assert "User-Agent: Custodes\n" in headers.replace("\r", "")


def test_a_bad_board_changes_nothing(site) -> None:
    """It is elsewhere, an error, too large, no board, gone: that is told, and the last good copy stays."""
    document = Department().request()
    made = reader(site)
    site.answer = (200, make_board([], [document]).document, {})
    assert made.round() == 1
    good = made.states()[0]
    assert (good.requests, good.problem, made.documents()) == (1, "", (document,))
    huge = b'{"agencies":[' + b"0" * MOST_BOARD
    for answer, told in (
        ((302, b"", {"location": f"http://127.0.0.1:{site.server_port}/other"}), "elsewhere"),
        ((500, b"", {}), "answers 500"),
        ((200, b"[]", {}), "JSON object"),
        ((200, huge, {}), "bytes"),
    ):
        site.answer = answer
        assert made.round() == 0
        assert told in made.states()[0].problem
        assert made.documents() == (document,)
        assert made.states()[0].good_at == good.good_at
    gone = BoardReader(["http://127.0.0.1:9/v1/board", "file:///etc/passwd"], lambda: make_board([], []))
    assert gone.round() == 0
    assert "can't be reached" in gone.states()[0].problem
    assert "https://" in gone.states()[1].problem
    assert len([s for s in site.seen if "/other" in s[0]]) == 0


def test_a_board_that_trickles_keeps_nothing_from_being_read(site, monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose headers never end is given up in time, while another is read; it is told of, and asked again."""
    monkeypatch.setattr(boards, "_LONGEST", 0.4)
    asked: list[bytes] = []

    def trickle(client: socket.socket) -> None:
        asked.append(client.recv(4096))
        client.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            client.sendall(b"X-A: b\r\n")
            time.sleep(0.02)

    with bad_server(trickle) as port:
        urls = [f"http://127.0.0.1:{port}/v1/board", f"http://127.0.0.1:{site.server_port}/v1/board"]
        made = BoardReader(urls, lambda: make_board([], []))
        for times in (1, 2):
            begun = time.monotonic()
            assert made.round() == 1
            assert time.monotonic() - begun < 1.4
            assert [s.problem for s in made.states()] == ["The board's server talks too slowly.", ""]
            assert len(asked) == times
            assert not [t for t in made._threads.values() if t.is_alive()]


def test_a_copy_is_kept_for_a_day(site) -> None:
    """What its agency has taken back since isn't shown for longer than that, if the board can't be read any more."""
    now, document = [1_800_000_000.0], Department().request()
    site.answer = (200, make_board([], [document]).document, {})
    url = f"http://127.0.0.1:{site.server_port}/v1/board"
    made = BoardReader([url], lambda: make_board([], []), clock=lambda: now[0])
    assert made.round() == 1
    site.answer = (500, b"", {})
    now[0] += 86_399
    made.round()
    assert made.documents() == (document,)
    now[0] += 1
    assert made.documents() == ()
    assert made.states()[0].requests == 0


def test_a_board_tells_how_far_the_clock_is_off(site) -> None:
    """By its server's date, to a second; what is no date tells nothing."""
    made = reader(site)
    site.answer = (200, site.answer[1], {"date": "yesterday"})
    made.round()
    assert made.offset() is None
    site.answer = (
        200,
        site.answer[1],
        {"date": format_datetime(datetime.now(UTC) - timedelta(minutes=5), usegmt=True)},
    )
    made.round()
    found = made.offset()
    assert found is not None
    assert abs(found.milliseconds - 300_000) < 5000
    assert found.by == "127.0.0.1"


def test_a_board_of_ones_own_is_taken(room: Room) -> None:
    """One that somebody has fetched themselves, for the command line."""
    made, document = BoardReader((), lambda: make_board([], [])), room.request.document
    made.take(make_board([], [document]).document)
    assert made.documents() == (document,)
    with pytest.raises(Invalid):
        made.take(b"no board")
