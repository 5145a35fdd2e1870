# SPDX-License-Identifier: Apache-2.0
"""``custodes console``: inviting people, and listing who has a login."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest


@pytest.fixture(scope="module")
def home(custodes_here, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with an installation."""
    data = tmp_path_factory.mktemp("home") / "data"
    assert custodes_here(data, "keys", "create").returncode == 0
    return data


def test_an_invitation_is_told_in_words_and_as_json(custodes_here, home: Path) -> None:
    """The link, whom it is for and until when it works; without a purpose it is for all that suit the organisation."""
    told = custodes_here(home, "console", "invite", "operator", "--purpose", "photo-library").stdout.decode()
    assert re.match(r"http://127\.0\.0\.1:8420/console/invitation/[A-Za-z0-9_-]{43}\n", told)
    assert "hand it to operator alone" in told
    made = orjson.loads(custodes_here(home, "console", "invite", "operator", "--json").stdout)
    assert made["purposes"] == ["photo-library", "access-control", "identity-verification"]
    ends = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=71) < ends <= timedelta(hours=72)
    assert made["url"] not in told


def test_an_invitation_names_the_public_address(custodes_here, home: Path) -> None:
    """Behind a proxy the link is for the proxy's address."""
    done = custodes_here(home, "console", "invite", "operator", "--json", CUSTODES_ENDPOINT="https://faces.example/")
    assert orjson.loads(done.stdout)["url"].startswith("https://faces.example/console/invitation/")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nobody"], "There is no person nobody"),
        (["operator", "--purpose", "oversight"], "does not use faces for oversight"),
    ],
)
def test_who_cannot_be_invited(custodes_here, home: Path, arguments: list[str], said: str) -> None:
    """An unknown person, and a purpose that the organisation doesn't have, are one line and status 1."""
    done = custodes_here(home, "console", "invite", *arguments)
    assert (done.returncode, done.stdout) == (1, b"")
    [line] = done.stderr.decode().splitlines()
    assert said in line


def test_who_has_a_login_is_listed(custodes_here, home: Path) -> None:
    """An invitation is no login yet."""
    assert orjson.loads(custodes_here(home, "console", "logins", "--json").stdout) == []
    assert "There are none" in custodes_here(home, "console", "logins").stdout.decode()


def test_nobody_is_invited_to_what_is_not_there(custodes_here, tmp_path: Path) -> None:
    """In the wrong folder nothing is made."""
    done = custodes_here(tmp_path / "data", "console", "invite", "operator")
    assert (done.returncode, (tmp_path / "data").exists()) == (1, False)
