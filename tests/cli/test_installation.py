# SPDX-License-Identifier: Apache-2.0
"""Which commands make an installation, and what the others say without one."""

from __future__ import annotations

from pathlib import Path

import pytest

PHOTO = str(Path(__file__).parents[1] / "data" / "biden.jpg")
ID = "00000000-0000-0000-0000-000000000000"

_NEED_ONE = [
    ["collections", "list"],
    ["collections", "describe", "c"],
    ["collections", "delete", "c", "--yes"],
    ["faces", "list", "c"],
    ["faces", "delete", "c", ID],
    ["users", "create", "c", "u"],
    ["users", "list", "c"],
    ["users", "delete", "c", "u"],
    ["users", "associate", "c", "u", ID],
    ["users", "disassociate", "c", "u", ID],
    ["users", "search", "c", "--face", ID],
    ["keys", "list"],
    ["keys", "revoke", "CUSTAAAAAAAAAAAAAAAA"],
    ["search", PHOTO, "-c", "c"],
]


@pytest.mark.parametrize("arguments", _NEED_ONE, ids=" ".join)
def test_without_an_installation_nothing_is_made(custodes_here, tmp_path: Path, arguments: list[str]) -> None:
    """A command in the wrong folder names that folder and the way out, and leaves no database and no key there."""
    done = custodes_here(tmp_path / "data", *arguments)
    assert done.returncode == 1
    [line] = done.stderr.decode().splitlines()
    assert f"no installation in {tmp_path / 'data'}" in line
    assert "CUSTODES_DATA" in line
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("arguments", [["detect", PHOTO], ["compare", PHOTO, PHOTO], ["pack", "list"]], ids=" ".join)
def test_photos_and_packs_need_none(custodes_here, tmp_path: Path, arguments: list[str]) -> None:
    """They work anywhere, and leave nothing behind."""
    assert custodes_here(tmp_path / "data", *arguments).returncode == 0
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "arguments", [["keys", "create"], ["collections", "create", "c"], ["index", "{empty}", "-c", "c"]], ids=" ".join
)
def test_what_is_the_beginning_of_an_installation_makes_it(custodes_here, tmp_path: Path, arguments: list[str]) -> None:
    """After it the other commands work."""
    (tmp_path / "empty").mkdir()
    given = [a.format(empty=tmp_path / "empty") for a in arguments]
    assert custodes_here(tmp_path / "data", *given).returncode == 0
    assert custodes_here(tmp_path / "data", "collections", "list").returncode == 0


def test_a_database_elsewhere_counts(custodes_here, tmp_path: Path) -> None:
    """An installation is known by its key or its data folder when CUSTODES_DATABASE names the database."""
    database = {"CUSTODES_DATABASE": f"sqlite:///{tmp_path / 'elsewhere.sqlite3'}"}
    assert custodes_here(tmp_path / "data", "keys", "list", **database).returncode == 1
    assert custodes_here(tmp_path / "data", "keys", "create", **database).returncode == 0
    assert custodes_here(tmp_path / "data", "keys", "list", **database).returncode == 0
    assert not (tmp_path / "data" / "custodes.sqlite3").exists()


def test_a_wildcard_address_is_told_as_one_that_can_be_called(custodes_here, tmp_path: Path) -> None:
    """keys create prints an endpoint that works on this machine."""
    done = custodes_here(tmp_path / "data", "keys", "create", "--json", CUSTODES_HOST="0.0.0.0")
    assert b'"endpoint_url": "http://127.0.0.1:8420"' in done.stdout
