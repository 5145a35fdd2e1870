# SPDX-License-Identifier: Apache-2.0
"""``custodes share`` and the officer's end of it at the command line: look, share, fetch by hand, verify, end."""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_cli_rules import Done, run
from tests.operations.sharingroom import House, Room, open_room

from custodes.app import App
from custodes.config import Config


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


@dataclass
class Desk:
    """A household's folder, and a board that it has fetched."""

    folder: Path
    room: Room
    house: House

    def run(self, *arguments: str, stdin: bytes = b"", **settings: str) -> Done:
        """Run a command as the household's administrator."""
        who = {"CUSTODES_CREDENTIALS": str(self.folder / "home.key")} | settings
        return run(self.folder / "data", *arguments, stdin=stdin, **who)

    def stored(self) -> dict[str, bytes]:
        """Every byte of the data folder."""
        data = self.folder / "data"
        return {str(p.relative_to(data)): p.read_bytes() for p in sorted(data.rglob("*")) if p.is_file()}

    def tell(self, *arguments: str, status: int = 0, **settings: str) -> Any:
        """Run a command with --json, and return what it told."""
        done = self.run(*arguments, "--json", **settings)
        assert done.status == status, done
        return done.told

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def clip(self) -> tuple[str, ...]:
        """Return the arguments that name the clip."""
        span = self.house.span
        begins, ends = (datetime.fromtimestamp(t / 1000, UTC).isoformat() for t in (span.start, span.end))
        board = ("--board", self.path("board.json"))
        return self.room.request.code, "--camera", "12 Elm Street porch", "--from", begins, "--to", ends, *board


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Somebody at the command line of an installation that an agency's request concerns."""
    folder, clock = tmp_path_factory.mktemp("desk"), _Clock()
    config = Config(data=folder / "data")
    world = _World(App.open(config, clock=clock), clock, config)
    room = open_room(world, tmp_path_factory.getbasetemp() / "footage")
    house = room.house()
    room.asking.key.save(folder / "officer.key")
    (folder / "board.json").write_bytes(room.board[0].document)
    made = Desk(folder, room, house)
    key = ("--principal", house.admin.principal, "--purpose", "home-security", "--credentials", made.path("home.key"))
    assert run(folder / "data", "keys", "create", *key).status == 0
    yield made
    room.previews.close()
    world.app.close()


def test_a_clip_is_looked_at_shared_opened_and_ended(desk: Desk) -> None:
    """The household's way and the officer's; what was looked at is, to the last packet, what arrives."""
    [item] = desk.tell("share", "inbox", "--board", desk.path("board.json"))
    assert (item["code"], item["cameras"]) == (desk.room.request.code, ["12 Elm Street porch"])
    assert desk.tell("share", "inbox") == []  # nothing is fetched for who looks
    told = desk.tell("share", "preview", *desk.clip(), "--output", desk.path("look.mp4"))
    assert Path(told["file"]).stat().st_mode & 0o777 == 0o600
    made = desk.tell("share", "make", *desk.clip(), "--faces-shown", "--yes", "--label", "Porch")
    assert "/v1/shares/" in made["link"]
    [share] = desk.tell("share", "list")
    assert (share["id"], share["officer"], share["fetched_at"]) == (made["id"], "ann", None)
    sealed, package = desk.path("by-hand.sealed"), desk.path("package.zip")
    desk.tell("share", "hand-over", made["id"], "--output", sealed)
    officer = ("--key", desk.path("officer.key"))
    desk.tell("footage", "open", sealed, "--share", made["id"], *officer, "--output", package)
    found = desk.tell("footage", "verify", package, "--vkey", desk.room.world.app.ledger.vkey)
    assert found["sound"]
    assert "holds: " in desk.run("footage", "verify", package).out
    spoiled = bytearray(Path(package).read_bytes())
    spoiled[len(spoiled) // 2] ^= 1
    Path(desk.path("spoiled.zip")).write_bytes(spoiled)
    assert desk.tell("footage", "verify", desk.path("spoiled.zip"), status=1)["problems"]
    desk.tell("share", "revoke", made["id"])
    assert desk.tell("share", "list")[0]["revoked_at"]
    assert desk.tell("footage", "fetch", made["link"], *officer, status=1)["error"] == "Unavailable"  # nothing listens


def test_looking_leaves_no_byte(desk: Desk) -> None:
    """Who looks, looks at a clip, begins to share it and says no, or shows a key that is none, has never been there."""
    key = configparser.ConfigParser(interpolation=None)
    key.read(desk.path("home.key"))
    key["custodes"]["aws_secret_access_key"] = "none"
    with Path(desk.path("spoiled.key")).open("w") as file:
        key.write(file)
    spoiled = {"CUSTODES_CREDENTIALS": desk.path("spoiled.key")}
    before, size = desk.stored(), desk.room.world.app.ledger.size()
    assert desk.tell("share", "inbox", "--board", desk.path("board.json"))
    desk.tell("share", "preview", *desk.clip(), "--faces-shown", "--output", desk.path("silent.mp4"))
    made = desk.run("share", "make", *desk.clip(), "--faces-shown", "--look", desk.path("no.mp4"), stdin=b"n\n")
    assert (made.status, Path(desk.path("no.mp4")).is_file()) == (1, True)
    for command in (("share", "inbox"), ("share", "make", *desk.clip(), "--yes")):
        assert desk.tell(*command, status=1, **spoiled)["error"] == "Denied"
    assert desk.stored() == before
    assert desk.run("share", "make", *desk.clip(), "--faces-shown", "--yes").status == 0
    entries = [desk.room.world.app.ledger.entry(i) for i in range(size, desk.room.world.app.ledger.size())]
    assert [e.get("event") or e.get("change") for e in entries] == ["login", "video-shared"]  # from here on it is


def test_the_owner_is_told_how_it_gets_there(desk: Desk) -> None:
    """Whom to give the link, that it may not reach this server, and with what the officer opens what is handed over."""
    [item] = desk.tell("share", "inbox", "--board", desk.path("board.json"))
    made = desk.run("share", "make", *desk.clip(), "--faces-shown", "--yes")
    assert item["contact"]
    assert f"for the officer ({item['contact']})" in made.out
    assert "no public address" in made.err
    assert f"custodes share hand-over {made.out.split()[0]}" in made.err
    public = desk.run("share", "make", *desk.clip(), "--faces-shown", "--yes", CUSTODES_ENDPOINT="https://home.example")
    assert (public.status, public.err) == (0, "")
    assert "https://home.example/v1/shares/" in public.out
    share = public.out.split()[0]
    told = desk.run("share", "hand-over", share, "--output", desk.path("told.sealed"))
    assert f"custodes footage open told.sealed --share {share} --key officer.key" in told.out


def test_what_can_not_be_meant_is_refused(desk: Desk) -> None:
    """Without a look, onto a file that is there, for what is no board or no link."""
    taken = desk.path("officer.key")
    for arguments in (
        ("share", "make", *desk.clip()),
        ("share", "preview", *desk.clip(), "--output", taken),
        ("share", "inbox", "--board", taken),
        ("share", "process", "record", "emergency", "--issuer", "a", "--reference", "b", "--document", taken),
        ("footage", "fetch", "https://example.org", "--key", taken),
        ("footage", "verify", taken, "--output", taken)[:3],
        ("footage", "open", taken, "--share", "x", "--key", taken, "--output", taken),
    ):
        assert desk.tell(*arguments, status=1)["error"] == "Invalid", arguments


def test_legal_process_is_recorded_and_seen(desk: Desk) -> None:
    """By the file, of which the hash is kept."""
    document = Path(desk.path("warrant.pdf"))
    document.write_bytes(b"%PDF warrant")
    told = ("--issuer", "Superior Court", "--reference", "26-1", "--document", str(document))
    made = desk.tell("share", "process", "record", "warrant", *told)
    [listed] = desk.tell("share", "process", "list")
    assert (listed["id"], listed["seen_at"], listed["sha256"]) == (made["id"], None, made["sha256"])
    desk.tell("share", "process", "seen", made["id"])
    assert desk.tell("share", "process", "list")[0]["seen_at"]
