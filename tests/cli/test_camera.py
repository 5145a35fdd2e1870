# SPDX-License-Identifier: Apache-2.0
"""``custodes camera``: a household's whole way at the command line, and what no output ever shows."""

from __future__ import annotations

import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import pytest
from tests.cameras.footage import footage
from tests.cameras.kept import raw, recorded
from tests.cameras.onvifroom import PASSWORD, USER, StubCamera
from tests.cli.test_cli_rules import PHOTOS, Done, run

from custodes.app import App
from custodes.cameras import doctor, finding
from custodes.cameras.model import Camera, Event, Retention, Segment, Sighting, Spot, Zone
from custodes.cli import camera as commands
from custodes.cli import cameratold
from custodes.config import Config
from custodes.governance import Caller, Purpose, Role

SECRET = "s3cret/w@rd"
QUOTED = "s3cret%2Fw%40rd"
URL = f"rtsp://ann:{QUOTED}@192.0.2.7:554/main"
DAY = 1_795_564_800_000
"""2026-11-25 00:00 UTC."""


@dataclass
class House:
    """An installation with a household that the command line has made, and all that was printed."""

    folder: Path
    app: App
    owner: Caller
    printed: list[str] = field(default_factory=list)

    def run(self, *arguments: str, stdin: bytes = b"", **settings: str) -> Done:
        """Run a command as the household's administrator."""
        who = {"CUSTODES_CREDENTIALS": str(self.folder / "home.key")}
        done = run(self.folder / "data", "camera", *arguments, stdin=stdin, **(who | settings))
        self.printed += [done.out, done.err]
        return done

    def tell(self, *arguments: str, status: int = 0, stdin: bytes = b"", **settings: str) -> Any:
        """Run a command with --json, and return what it told."""
        done = self.run(*arguments, "--json", stdin=stdin, **settings)
        assert done.status == status, done
        return done.told

    def get(self, name: str) -> Camera:
        """Return a camera as it is kept."""
        return self.app.cameras.get(self.owner, name)

    def path(self, name: str, text: str = "") -> str:
        """Return where a file is, which is made if it is to say something."""
        path = self.folder / name
        if text:
            path.write_text(text)
        return str(path)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    told = ("Our home", "--person", "Ann", "--id", "ann@example.org", "--credentials", str(folder / "home.key"))
    made = run(folder / "data", "camera", "household", *told, "--json")
    assert made.status == 0, made
    app = App.open(Config(data=folder / "data"))
    yield House(folder, app, Caller(made.told["person"], Purpose.HOME_SECURITY), [made.out])
    app.close()


@pytest.fixture
def front(house: House) -> Iterator[Camera]:
    """A camera with an account."""
    house.tell("add", "front", "-", stdin=f"{URL}\n".encode())
    yield house.get("front")
    house.run("remove", "front", "--yes")


# --- a household ------------------------------------------------------------------------------------------------------


def test_a_household_is_made_in_one_go(house: House) -> None:
    """A link for the console and a key for the command line, which is in a file for its owner alone."""
    assert "/console/invitation/" in house.printed[0]
    assert stat.S_IMODE((house.folder / "home.key").stat().st_mode) == 0o600
    [home] = [o for o in house.app.people.organisations() if o.name == "Our home"]
    assert home.org_class == "household"
    assert house.app.people.principal(house.owner.principal).roles == {"admin", "user"}


@pytest.mark.parametrize(
    "wrong", [{"--id": ""}, {"--person": "A\nnn"}, {"--credentials": "no/where.key"}, {"--credentials": "home.key"}]
)
def test_half_a_household_is_not_made(house: House, wrong: dict[str, str]) -> None:
    """Whatever is wrong is said before anything is made."""
    told = {"--person": "Bob", "--id": "bob@example.org"} | wrong
    if "--credentials" in told:
        told["--credentials"] = house.path(told["--credentials"])
    before = house.app.people.organisations()
    options = [part for option in told.items() for part in option]
    assert house.tell("household", "Theirs", *options, status=1, CUSTODES_CREDENTIALS="")["error"] == "Invalid"
    assert house.app.people.organisations() == before


# --- setting up -------------------------------------------------------------------------------------------------------


def test_a_camera_is_added_shown_changed_and_removed(house: House) -> None:
    """Its URL from standard input, with its account; what is shown of it has none."""
    made = house.tell("add", "hall", "-", "--place", "47.61,-122.33", "--no-record", stdin=f"{URL}\nmore\n".encode())
    assert (made["name"], made["url"], made["records"]) == ("hall", "rtsp://192.0.2.7:554/main", False)
    assert house.get("hall").url == URL
    [row] = [r for r in house.tell("list") if r["name"] == "hall"]
    assert (row["id"], row["url"], row["last_video"]) == (made["id"], made["url"], None)
    changes = ("--rename", "hallway", "--record", "--pause", "--events", "30", "--gigabytes", "5", "--pre-roll", "2")
    changed = house.tell("set", "hall", *changes, "--place", "")
    assert (changed["name"], changed["enabled"], changed["place"], changed["revision"]) == ("hallway", False, None, 2)
    shown = house.tell("show", made["id"])
    assert (shown["days"], shown["gigabytes"], shown["pre_roll"]) == (
        {"continuous": 1.0, "motion": 7.0, "event": 30.0},
        5.0,
        2.0,
    )
    assert [v["kind"] for v in shown["video"]] == ["continuous", "motion", "event", "on hold", "total"]
    assert house.get("hallway").url == URL
    assert house.tell("remove", "hallway", "--yes") == {"id": made["id"], "removed": True}
    assert house.tell("show", made["id"], status=1)["error"] == "NotFound"


def test_where_video_comes_from_is_for_administrators(house: House, front: Camera) -> None:
    """Who just lives there sees the camera, and neither of its addresses; the administrator lets them in."""
    home = house.app.people.principal(house.owner.principal).organisation
    eve = house.app.people.add(house.owner, home, "eve@example.org", "Eve", [Role.USER])
    key = house.app.identity.create_key(house.owner, principal=eve.id, purpose=Purpose.HOME_SECURITY)
    house.app.identity.write_credentials(house.folder / "eve.key", key, "us-east-1")
    who = {"CUSTODES_CREDENTIALS": str(house.folder / "eve.key")}
    [row], shown = house.tell("list", **who), house.tell("show", "front", **who)
    assert (row["id"], row["url"], shown["url"], shown["substream"]) == (front.id, None, None, None)


def test_people_read_sentences(house: House, front: Camera) -> None:
    """Without --json, tables and one sentence each; what is asked before video is deleted is answered by typing."""
    assert "front" in house.run("list").out
    assert "rtsp://192.0.2.7:554/main" in house.run("show", "front").out
    shown = house.run("show", "front").out
    assert ("no video yet" in shown, "events 14 days" in shown, "{" in shown, "None" in shown) == (
        True,
        True,
        False,
        False,
    )
    assert house.run("set", "front", "--run").out == "front is changed.\n"
    assert house.run("remove", "front", stdin=b"n\n").status == 1
    assert house.get("front").id == front.id
    assert house.run("remove", "front", stdin=b"y\n").out.endswith("front and all its video are gone.\n")


def test_each_zone_has_a_row(house: House, front: Camera) -> None:
    """Zones and masks by name; places and sizes as people write them."""
    corners = ((0.1, 0.1), (0.9, 0.1), (0.5, 0.9))
    zones = (Zone("path", corners), Zone("their window", corners, Spot.MASK))
    house.app.cameras.change(house.owner, replace(house.get("front"), zones=zones, place=(47.6097, -122.3425)))
    lines = [" ".join(line.split()) for line in house.run("show", "front").out.splitlines()]
    for line in ("Zone path 3 corners", "Mask their window 3 corners", "Place 47.6097, -122.3425", "total 0 bytes"):
        assert line in lines


def test_nothing_to_change_changes_nothing(house: House, front: Camera) -> None:
    """A change without an option is a mistake; one with an option shows all settings."""
    assert house.tell("set", "front", status=1)["message"] == "Nothing to change."
    assert house.get("front") == front
    changed = house.tell("set", "front", "--pre-roll", "3")
    assert (changed["pre_roll"], changed["days"]["event"], changed["zones"]) == (3.0, 14.0, [])


@pytest.mark.parametrize(
    ("changes", "ago", "told"),
    [
        ({}, 4, "recording, last video 4 seconds ago"),
        ({}, 7200, "no video since then, last video 2 hours ago"),
        ({"retention": Retention(0, 7, 14)}, 90_000, "last video 1 day ago"),
        ({}, None, "no video yet"),
        ({"enabled": False}, 4, "paused"),
        ({"records": False}, 4, "doesn't record"),
    ],
)
def test_the_newest_video_tells_whether_a_camera_records(
    front: Camera, changes: dict[str, Any], ago: int | None, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where motion alone is kept, old video is no bad sign."""
    monkeypatch.setattr(cameratold.time, "time", lambda: DAY / 1000)
    end = DAY - 1000 * (ago or 0)
    last = None if ago is None else Segment(front.id, end - 10_000, end, 1, b"", 160, 90, "")
    assert cameratold.state(replace(front, **changes), last) == told


def test_an_account_is_said_beside_the_url(house: House) -> None:
    """Its password in a file; it holds for both streams, and another one takes its place."""
    account = ("--user", "ann", "--password-file", house.path("password", f"{SECRET}\n"))
    house.tell("add", "yard", "rtsp://192.0.2.7/main", "--substream", "rtsp://192.0.2.7/sub", *account)
    made = house.get("yard")
    assert made.url == f"rtsp://ann:{QUOTED}@192.0.2.7/main"
    assert made.substream == f"rtsp://ann:{QUOTED}@192.0.2.7/sub"
    house.tell("set", "yard", "--user", "bob", "--password-file", house.path("other", "n3w"))
    made = house.get("yard")
    assert (made.url, made.substream) == ("rtsp://bob:n3w@192.0.2.7/main", "rtsp://bob:n3w@192.0.2.7/sub")
    house.tell("set", "yard", "--url", "rtsp://192.0.2.8/x", *account)
    made = house.get("yard")
    assert (made.url, made.substream) == (f"rtsp://ann:{QUOTED}@192.0.2.8/x", "rtsp://bob:n3w@192.0.2.7/sub")
    house.tell("set", "yard", "--substream", "")
    assert house.get("yard").substream == ""
    house.tell("remove", "yard", "--yes")


@pytest.mark.parametrize(
    ("url", "more"),
    [
        (URL.replace("2.7", "2.77"), ("--user", "bob")),
        ("rtsp://192.0.2.77/main", ("--password-file", "password")),
        ("rtsp://192.0.2.77/main", ("--user", "ann", "--password-file", "nothing-there")),
        (f"rtsp://ann:{SECRET}@192.0.2.77/main", ()),
        (f"rtsp://ann:{QUOTED}@[::1/main", ("--user", "bob")),
        (f"onvif://ann:{QUOTED}@192.0.2.77", ()),
        ("onvif://192.0.2.77:nonsense", ()),
        (f"http://ann:{QUOTED}@192.0.2.77/main", ()),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_line(house: House, url: str, more: tuple[str, ...]) -> None:
    """No camera is made, and no line repeats a URL."""
    house.path("password", SECRET)
    files = tuple(house.path(m) if m in ("password", "nothing-there") else m for m in more)
    before = house.app.cameras.list(house.owner)
    for done in (house.run("add", "new", url, *files), house.run("add", "new", "-", *files, stdin=url.encode())):
        assert (done.status, done.out) == (1, "")
        assert "192.0.2.77" not in done.err
        assert "Traceback" not in done.err
    assert house.app.cameras.list(house.owner) == before


def test_a_camera_is_asked_for_its_streams(house: House) -> None:
    """By ONVIF, with an account: the largest is recorded, a small one is looked at for motion."""
    stub = StubCamera()
    account = ("--user", USER, "--password-file", house.path("onvif", PASSWORD))
    try:
        rows = house.tell("streams", f"127.0.0.1:{stub.port}", *account)
        house.tell("add", "porch", f"onvif://127.0.0.1:{stub.port}/onvif/device_service", *account)
        refused = house.tell("add", "other", f"onvif://127.0.0.1:{stub.port}", "--user", USER, status=1)
    finally:
        stub.close()
    assert [(r["name"], r["width"]) for r in rows] == [("mainStream", 1920), ("subStream", 640)]
    made = house.get("porch")
    account_told = f"{USER}:pa%3Css%3E%26word@127.0.0.1:554"
    assert made.url == f"rtsp://{account_told}/Streaming/Channels/101?transportmode=unicast"
    assert made.substream == f"rtsp://{account_told}/Streaming/Channels/102"
    assert refused["error"] == "Denied"
    house.tell("remove", "porch", "--yes")


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><html></html>", b"Hello", b"<html></html>"])
def test_what_is_no_camera_is_said_to_be_none(house: House, page: bytes) -> None:
    """A web page at the port that was named: that it isn't ONVIF, and at which ports that may be."""

    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        told = house.tell("streams", f"127.0.0.1:{server.server_port}", status=1)
        server.shutdown()
    assert "isn't ONVIF" in told["message"]
    assert "port of its own" in told["remedy"]


# --- whom they recognise ----------------------------------------------------------------------------------------------


def test_a_camera_recognises_whom_it_is_told_to(house: House) -> None:
    """The people of the library, those of a collection, or nobody, which is hinted at if there are people."""
    assert "recognises nobody" not in house.run("add", "side", URL).out
    added = house.tell("people", "add", "ann", str(PHOTOS / "obama_1.jpg"), "--by", "Ann", "--days", "9")
    assert (added["name"], added["photos"]) == ("ann", 1)
    hint = house.run("add", "back", URL).out
    assert hint.startswith("back is cam-")
    assert "custodes camera set 'back' --recognise" in hint
    library = house.app.library.ensure(house.owner)
    assert house.tell("set", "back", "--recognise")["collection"] == library
    assert house.tell("set", "back", "--no-recognise")["collection"] == ""
    assert house.tell("set", "back", "--collection", library)["collection"] == library
    assert house.tell("add", "attic", URL, "--recognise")["collection"] == library
    assert "nobody" not in house.run("add", "cellar", URL, "--no-recognise").out
    assert house.tell("add", "no", URL, "--collection", "x", "--no-recognise", status=1)["error"] == "Invalid"
    assert [p["name"] for p in house.tell("people", "list")] == ["ann"]
    assert house.tell("people", "photos", "ann", str(PHOTOS / "obama_2.jpg"))["photos"] == 2
    for command in (("people", "photos", "zed", str(PHOTOS / "obama_2.jpg")), ("people", "remove", "zed")):
        assert house.tell(*command, status=1)["message"] == "There is nobody called zed."
    assert house.tell("people", "remove", "ann") == {"name": "ann", "removed": True}
    assert house.app.library.people(house.owner) == ()
    for camera in house.app.cameras.list(house.owner):
        house.app.cameras.remove(house.owner, camera.id)


# --- looking ----------------------------------------------------------------------------------------------------------


def test_who_comes_is_told_as_it_happens(house: House, front: Camera, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each event once, and again when it changes; that somebody looks is one entry for each camera."""
    monkeypatch.setattr(commands, "_POLL_SECONDS", 0.01)
    now = int(time.time() * 1000)
    event = Event("evt-00000000000000aa", front.id, now, now + 3_600_000, zone="porch")
    with house.app._database.transaction() as c:
        house.app.watching.events.begin(c, event, b"")
        for number, subject in ((1, "ann"), (2, "")):
            house.app.watching.events.see(c, event.id, Sighting(number, now, (0, 0, 1, 1), subject, 90.0), b"")
    before = house.app.ledger.size()
    told = house.tell("watch", "front", "--for", "0.05")
    entries = [house.app.ledger.entry(i) for i in range(before, house.app.ledger.size())]
    assert (told["event"], told["camera"], told["zone"], told["open"]) == (event.id, "front", "porch", True)
    assert (told["people"], told["unknown"]) == (["ann"], 1)
    used = [e for e in entries if e["kind"] == "use"]
    assert [(e["request"]["action"], e["camera"]) for e in used] == [("ViewVideo", front.id)]
    assert house.run("watch", "front", "--for", "0.01", "--json").out.count("\n") == 1  # a line for each event
    assert "front at porch: ann, 1 unknown" in house.run("watch", "--for", "0.01").out
    assert house.tell("watch", "nothing", status=1)["error"] == "NotFound"


def test_a_clip_is_written_once(house: House, front: Camera, tmp_path_factory: pytest.TempPathFactory) -> None:
    """As it was recorded; what is there already, and what was never recorded, are refused."""
    video = footage(tmp_path_factory.mktemp("videos"), size=(160, 90), fps=5, seconds=4.0)
    for segment in recorded(video, house.app.config.video, front.id, DAY):
        house.app.keeping.keep_segment(segment)
    clip = house.path("clip.mp4")
    span = ("--from", "2026-11-25T00:00:01Z", "--to", "2026-11-25T00:00:03Z")
    told = house.tell("export", "front", *span, "-o", clip)
    assert (told["asked"], told["as_recorded"], told["blurred"]) == (
        ["2026-11-25T00:00:01.000Z", "2026-11-25T00:00:03.000Z"],
        True,
        False,
    )
    with av.open(clip) as container:
        assert container.streams.video[0].width == 160
    assert house.tell("list")[0]["last_video"] == "2026-11-25T00:00:04.000Z"
    assert house.tell("export", "front", *span, "-o", clip, status=1)["error"] == "Conflict"
    none = house.path("none.mp4")
    assert house.tell("export", "front", "--from", "2026-11-20", "-o", none, status=1)["error"] == "NotFound"
    assert house.tell("export", "front", *span[:2], "--to", "2026-11-24", "-o", none, status=1)["error"] == "Invalid"
    assert not Path(none).exists()


# --- what helps -------------------------------------------------------------------------------------------------------


def test_the_doctor_says_what_to_mend(house: House, front: Camera, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a camera by name or of a URL; the status tells whether something is bad."""
    seen: list[tuple[str, str, float]] = []
    real = doctor.examine

    def short(url: str, substream: str, **told: Any) -> doctor.Findings:
        seen.append((url, substream, told["days"]))
        return real("rtsp://127.0.0.1:1/x", **told, seconds=0.5, patience=0.5)

    monkeypatch.setattr(doctor, "examine", short)
    told = house.tell("doctor", "front", status=1)
    assert [(f["what"], f["verdict"]) for f in told] == [("connection", "bad")]
    assert "Nothing answers there" in house.run("doctor", URL, "--substream", "rtsp://192.0.2.7/sub").out
    assert seen == [(URL, "", 1.0), (URL, "rtsp://192.0.2.7/sub", 1.0)]
    assert house.tell("doctor", "nothing", status=1)["error"] == "NotFound"


def test_nobody_in_the_network_is_said_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who looks for cameras and finds none is told in one line; a script gets an empty list."""
    monkeypatch.setattr(finding, "discover", lambda seconds: ())
    assert house.run("discover").out == "Nobody answered: some cameras have ONVIF switched off.\n"
    assert house.tell("discover") == []


def test_news_go_to_webhooks(house: House) -> None:
    """The key that signs is told once; a test says what became of it."""
    made = house.tell("hooks", "add", "http://127.0.0.1:9/hook")
    assert made["secret"].startswith("whsec_")
    listed = house.tell("hooks", "list")
    assert [(h["id"], h["url"]) for h in listed] == [(made["id"], "http://127.0.0.1:9/hook")]
    assert made["secret"] not in str(listed)
    tried = house.tell("hooks", "test", made["id"], status=1)
    assert (tried["outcome"], tried["remedy"][:20]) == ("unreachable", "Nothing listens ther")
    assert "Nothing listens there" in house.run("hooks", "test", made["id"]).out
    assert house.tell("hooks", "remove", made["id"]) == {"id": made["id"], "removed": True}
    assert house.tell("hooks", "list") == []


def test_no_password_was_printed_or_kept(house: House, front: Camera) -> None:
    """Whatever commands have told here, and whatever lies in the data folder: no password, in no writing."""
    shown = "".join(house.printed).encode() + raw(house.folder / "data")
    for password in (SECRET, QUOTED, PASSWORD, "pa%3Css%3E%26word"):
        assert password.encode() not in shown
    before = house.app.ledger.size()
    assert before > 10
    assert not [i for i in range(before) if "192.0.2.7" in str(house.app.ledger.entry(i))]
    assert house.get("front") == front
