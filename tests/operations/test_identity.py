# SPDX-License-Identifier: Apache-2.0
"""The first key of an installation, and its file."""

from __future__ import annotations

import configparser
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from custodes.app import App
from custodes.config import Config
from custodes.errors import Denied, Invalid, Unavailable
from custodes.governance import OPERATOR, Caller, Purpose
from custodes.operations.identity import Identity

ME = Caller(OPERATOR, Purpose.PHOTO_LIBRARY, provenance="own")
Start = Callable[[], Identity]


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    """Where the first key's file is."""
    return tmp_path / "credentials"


@pytest.fixture
def start(tmp_path: Path, credentials: Path) -> Iterator[Start]:
    """Starts as another process on the same data folder would."""
    opened: list[App] = []

    def begin() -> Identity:
        opened.append(App.open(Config(data=tmp_path)))
        return opened[-1].identity

    yield begin
    for app in opened:
        app.close()


def test_every_start_tells_the_same_first_key(start: Start, credentials: Path) -> None:
    """The first start makes the key, later ones read it, and it works."""
    first = start().first_key("eu-west-1")
    again = start().first_key("eu-west-1")
    assert (again.access_key_id, again.secret) == (first.access_key_id, first.secret)
    caller, secret = start().holder(first.access_key_id)
    assert (caller.principal, caller.purpose, caller.provenance) == (OPERATOR, Purpose.PHOTO_LIBRARY, "own")
    assert (first.label, secret) == ("first key", first.secret)
    assert stat.S_IMODE(credentials.stat().st_mode) == 0o600


def test_the_file_has_the_format_of_aws_tools(start: Start, credentials: Path) -> None:
    """Profile custodes holds id, secret and region, as AWS's own tools read them."""
    key = start().first_key("eu-west-1")
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.read_string(credentials.read_text())
    assert dict(parsed["custodes"]) == {
        "aws_access_key_id": key.access_key_id,
        "aws_secret_access_key": key.secret,
        "region": "eu-west-1",
    }


def test_a_revoked_first_key_is_forgotten_and_replaced(start: Start, credentials: Path) -> None:
    """Revoking it takes its secret out of the file; the next start makes another."""
    first = start().first_key("r")
    start().revoke_key(ME, first.access_key_id)
    assert first.secret not in credentials.read_text()
    second = start().first_key("r")
    assert second.access_key_id != first.access_key_id
    assert start().holder(first.access_key_id) is None
    assert start().holder(second.access_key_id) is not None


def test_revoking_another_key_leaves_the_first_alone(start: Start, credentials: Path) -> None:
    """The file is about the first key only."""
    first = start().first_key("r")
    before = credentials.read_text()
    start().revoke_key(ME, start().create_key(ME, "other").access_key_id)
    assert credentials.read_text() == before
    assert start().first_key("r").access_key_id == first.access_key_id


def test_a_lost_file_makes_a_new_first_key(start: Start, credentials: Path) -> None:
    """Without the file the secret can't be told any more, so another key is made."""
    first = start().first_key("r")
    credentials.unlink()
    assert start().first_key("r").access_key_id != first.access_key_id


def test_other_profiles_in_the_file_stay(start: Start, credentials: Path) -> None:
    """A file with profiles of the operator's own keeps them, and becomes private."""
    credentials.write_text("[mine]\naws_access_key_id = A%B\n")
    credentials.chmod(0o644)
    key = start().first_key("r")
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.read_string(credentials.read_text())
    assert parsed["mine"]["aws_access_key_id"] == "A%B"
    assert parsed["custodes"]["aws_access_key_id"] == key.access_key_id
    assert stat.S_IMODE(credentials.stat().st_mode) == 0o600


def test_servers_that_start_at_once_tell_one_key(start: Start, tmp_path: Path) -> None:
    """Of a race for the first key one stays valid, and all tell it."""
    identities = [start() for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        told = {(k.access_key_id, k.secret) for k in pool.map(lambda i: i.first_key("r"), identities)}
    assert len(told) == 1
    valid = [k.access_key_id for k in start().list_keys() if k.revoked_at is None]
    assert valid == [next(iter(told))[0]]
    assert not list(tmp_path.glob(".credentials*"))


def test_a_key_is_checked_without_a_word(tmp_path: Path) -> None:
    """Who looks at requests is known by the key, and the ledger knows neither that they came nor that they couldn't."""
    app = App.open(Config(data=tmp_path / "data"))
    key = app.identity.create_key(ME, "spare")
    app.identity.write_credentials(tmp_path / "good", key, "r")
    (tmp_path / "bad").write_text((tmp_path / "good").read_text().replace(key.secret, "none"))
    before = app.ledger.size()
    assert app.identity.from_file(tmp_path / "good", silent=True).principal == OPERATOR
    with pytest.raises(Denied):
        app.identity.from_file(tmp_path / "bad", silent=True)
    assert app.ledger.size() == before
    with pytest.raises(Denied):
        app.identity.from_file(tmp_path / "bad")
    app.identity.from_file(tmp_path / "good")
    assert [app.ledger.entry(i)["event"] for i in range(before, app.ledger.size())] == ["login-refused", "login"]
    app.close()


def test_a_file_that_cannot_be_understood_is_refused_and_left_alone(start: Start, credentials: Path) -> None:
    """A damaged file is a clear error, never overwritten."""
    for content in (b"no section here", b"\xff\xfe\x00", b"[custodes]\n[custodes]\n"):
        credentials.write_bytes(content)
        with pytest.raises(Invalid, match="credentials file"):
            start().first_key("r")
        assert credentials.read_bytes() == content


def test_a_folder_in_the_files_place_is_unavailable(start: Start, credentials: Path) -> None:
    """What can't be read is a typed error."""
    credentials.mkdir()
    with pytest.raises(Unavailable, match="credentials file"):
        start().first_key("r")


@pytest.mark.parametrize("label", ["x" * 101, "two\nlines", "\x00"])
def test_a_label_is_short_and_printable(start: Start, label: str) -> None:
    """What would spoil a table is refused."""
    with pytest.raises(Invalid):
        start().create_key(ME, label)
    assert start().create_key(ME, "x" * 100).label == "x" * 100
