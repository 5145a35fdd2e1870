# SPDX-License-Identifier: Apache-2.0
"""``custodes users`` and ``custodes faces``: one person's faces together, in words and as JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

PHOTOS = Path(__file__).parents[1] / "data"
UNKNOWN = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(scope="module")
def home(custodes_here, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose collection ``c`` has three photos, two of one person."""
    folder = tmp_path_factory.mktemp("photos")
    for name in ("obama_1.jpg", "obama_2.jpg", "biden.jpg"):
        (folder / name).write_bytes((PHOTOS / name).read_bytes())
    data = tmp_path_factory.mktemp("home") / "data"
    assert custodes_here(data, "index", str(folder), "-c", "c").returncode == 0
    return data


@pytest.fixture
def ask(custodes_here, home: Path) -> Callable[..., Any]:
    """Runs a command with --json, and returns its status and what it told."""

    def asked(*arguments: str) -> Any:
        done = custodes_here(home, *arguments, "--json")
        return done.returncode, orjson.loads(done.stdout)

    return asked


def _names(told: tuple[int, Any]) -> list[str]:
    assert told[0] == 0
    return [c["user_id"] for c in told[1]["candidates"]]


def test_a_person_s_faces_are_put_together_searched_and_taken_apart(ask, custodes_here, home: Path) -> None:
    """Every step tells what it did; what is refused has its reason and makes status 1."""
    faces = {f["external_image_id"]: f["face_id"] for f in ask("faces", "list", "c")[1]}
    one, two, other = (faces[n] for n in ("obama_1.jpg", "obama_2.jpg", "biden.jpg"))
    assert ask("users", "create", "c", "o") == (0, {"user_id": "o", "status": "CREATED"})
    assert ask("users", "create", "c", "o")[0] == 1
    assert ask("users", "create", "c", "b")[0] == 0
    status, told = ask("users", "associate", "c", "o", one, two, other, UNKNOWN)
    assert (status, set(told["associated"]), told["status"]) == (1, {one, two}, "ACTIVE")
    reasons = {f["face_id"]: f["reason"] for f in told["failed"]}
    assert reasons[UNKNOWN] == "not in the collection"
    assert "alike to the user" in reasons[other]
    assert ask("users", "associate", "c", "b", other)[0] == 0
    assert [(u["user_id"], u["status"]) for u in ask("users", "list", "c")[1]] == [("o", "ACTIVE"), ("b", "ACTIVE")]
    assert {f["face_id"] for f in ask("faces", "list", "c", "--user", "o")[1]} == {one, two}

    assert _names(ask("users", "search", "c", "--face", one)) == ["o"]
    assert _names(ask("users", "search", "c", "--user", "o")) == []
    assert _names(ask("users", "search", "c", "--user", "o", "--threshold", "0")) == ["b"]
    assert _names(ask("users", "search", "c", "--photo", str(PHOTOS / "biden.jpg"))) == ["b"]
    words = custodes_here(home, "users", "search", "c", "--photo", str(PHOTOS / "biden.jpg")).stdout.decode()
    assert "not an identity" in words
    assert ask("users", "search", "c", "--face", one, "--user", "o")[0] == 1

    status, told = ask("faces", "delete", "c", other, UNKNOWN)
    assert (status, told["deleted"]) == (1, [])
    assert {f["face_id"]: f["reason"] for f in told["failed"]} == {
        other: "of user b",
        UNKNOWN: "not in the collection",
    }
    status, told = ask("users", "disassociate", "c", "b", other, one)
    assert (status, told["disassociated"], told["status"]) == (1, [other], "CREATED")
    assert told["failed"] == [{"face_id": one, "reason": "of user o"}]
    assert ask("users", "delete", "c", "o") == (0, {"user_id": "o", "deleted": True})
    assert ask("faces", "delete", "c", one, other) == (0, {"deleted": [one, other], "failed": []})
    assert [f["face_id"] for f in ask("faces", "list", "c")[1]] == [two]


def test_words_are_told_too(custodes_here, home: Path) -> None:
    """Without --json each command says a sentence, and a refusal on standard error."""
    assert b"w is made." in custodes_here(home, "users", "create", "c", "w").stdout
    assert b"w" in custodes_here(home, "users", "list", "c").stdout
    done = custodes_here(home, "users", "associate", "c", "w", UNKNOWN)
    assert (done.returncode, done.stdout) == (1, b"0 faces are associated; w is CREATED.\n")
    assert done.stderr.decode() == f"{UNKNOWN} is not associated: not in the collection.\n"
    done = custodes_here(home, "faces", "delete", "c", UNKNOWN)
    assert (done.returncode, done.stderr.decode()) == (1, f"{UNKNOWN} is not deleted: not in the collection.\n")
    assert b"w is deleted." in custodes_here(home, "users", "delete", "c", "w").stdout
