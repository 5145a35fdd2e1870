# SPDX-License-Identifier: Apache-2.0
"""Every command of ``custodes``: what it prints, in words and as JSON, and how it fails.

Most commands run in this process; some of each kind run in one of their own, as a user runs them.
"""

from __future__ import annotations

import os
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import orjson
import pytest

PHOTOS = Path(__file__).parents[1] / "data"
Done = subprocess.CompletedProcess[bytes]


@pytest.fixture
def run(custodes_here, tmp_path: Path) -> Callable[..., Done]:
    """Runs a command on a data folder of the test's own."""
    return lambda *arguments, **settings: custodes_here(tmp_path / "data", *arguments, **settings)


@pytest.fixture
def start(custodes, tmp_path: Path) -> Callable[..., Done]:
    """Does the same in a process of its own."""
    return lambda *arguments, **settings: custodes(tmp_path / "data", *arguments, **settings)


@pytest.fixture
def ask(run) -> Callable[..., Any]:
    """Runs a command with --json and returns what it told."""

    def asked(*arguments: str) -> Any:
        done = run(*arguments, "--json")
        assert (done.returncode, done.stderr) == (0, b""), done
        return orjson.loads(done.stdout)

    return asked


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of photos: two of one person, one of another in a subfolder, and three that can't be enrolled."""
    folder = tmp_path_factory.mktemp("album")
    for source, target in (("obama_1.jpg", "a.jpg"), ("obama_2.jpg", "b.JPG"), ("biden.jpg", "sub folder/c.jpg")):
        picture = cv2.imread(str(PHOTOS / source))
        (folder / target).parent.mkdir(exist_ok=True)
        scale = 640 / max(picture.shape)
        cv2.imwrite(str(folder / target), cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    cv2.imwrite(str(folder / "empty.png"), np.full((200, 200, 3), 128, np.uint8))
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    (folder / "notes.txt").write_text("no photo")
    return folder


def _lines(raw: bytes) -> list[str]:
    return raw.decode().splitlines()


@pytest.mark.alone
def test_help_is_there_at_once_and_names_every_command(start) -> None:
    """--help lists all commands with what they do, in less than a second."""
    seconds = []
    for _ in range(2):
        begun = time.perf_counter()
        done = start("--help", COLUMNS="100")
        seconds.append(time.perf_counter() - begun)
    assert done.returncode == 0
    assert min(seconds) < 1.0
    text = done.stdout.decode()
    for command in ("serve", "detect", "compare", "index", "search", "collections", "faces", "users", "keys", "pack"):
        assert command in text
    assert max(len(line) for line in text.splitlines()) <= 100


def test_keys_are_made_listed_and_revoked(run, ask) -> None:
    """create --json has what a script needs; the list never has secrets; a revoked key says when."""
    made = ask("keys", "create", "--label", "ci")
    assert set(made) == {
        "access_key_id",
        "secret_access_key",
        "endpoint_url",
        "region",
        "principal",
        "purpose",
        "credentials",
    }
    assert (made["endpoint_url"], made["region"]) == ("http://127.0.0.1:8420", "us-east-1")
    words = run("keys", "create").stdout.decode()
    assert "not shown again" in words
    listed = ask("keys", "list")
    assert [(k["label"], k["revoked_at"]) for k in listed] == [("ci", None), ("", None)]
    assert made["secret_access_key"] not in orjson.dumps(listed).decode()
    assert ask("keys", "revoke", made["access_key_id"]) == {"access_key_id": made["access_key_id"], "revoked": True}
    assert ask("keys", "list")[0]["revoked_at"] is not None
    assert made["access_key_id"] in run("keys", "list").stdout.decode()


def test_collections_are_made_described_listed_and_deleted(run, ask) -> None:
    """Each command tells of the collection what the others do."""
    made = ask("collections", "create", "people")
    assert (made["collection_id"], made["faces"], made["users"], made["pack"]) == ("people", 0, 0, "custodes-1")
    assert ask("collections", "describe", "people") == made
    assert ask("collections", "list") == [made]
    assert ask("faces", "list", "people") == []
    assert b"people" in run("collections", "list").stdout
    refused = run("collections", "delete", "people")
    assert refused.returncode == 1
    assert ask("collections", "delete", "people", "--yes") == {"collection_id": "people", "deleted_faces": 0}
    assert ask("collections", "list") == []


def test_packs_are_listed_and_verified(run, ask) -> None:
    """The default pack is there, says what similarity stands for, and is what its manifest says."""
    [pack] = [p for p in ask("pack", "list") if p["id"] == "custodes-1"]
    assert pack["licence"]
    assert {"detector", "embedder"} <= set(pack["models"])
    assert pack["calibration"]["measured_on"]
    assert {"cosine": 0.4828, "similarity": 99.0, "false_match_rate": 1e-5} in pack["calibration"]["knots"]
    checks = ask("pack", "verify")
    assert {c["role"] for c in checks} >= {"detector", "embedder"}
    assert "failed" not in {c["state"] for c in checks}
    table = run("pack", "list").stdout.decode().splitlines()
    assert table[1].startswith("*")
    assert "80: 1 in 10,000, 99: 1 in 100,000" in table[1]


def test_detect_tells_every_face(start, ask, tmp_path: Path) -> None:
    """Faces with boxes and, when asked, looks; and a picture of them."""
    told = ask("detect", str(PHOTOS / "group.jpg"), "--attributes", "--draw", str(tmp_path / "out.jpg"))
    assert len(told["faces"]) == 4
    assert all(f["confidence"] > 90 and f["age"][0] < f["age"][1] for f in told["faces"])
    drawn = cv2.imread(str(tmp_path / "out.jpg"))
    assert drawn.shape[1::-1] == (told["width"], told["height"])
    words = _lines(start("detect", str(PHOTOS / "group.jpg")).stdout)
    assert words[0] == "4 faces in group.jpg"
    assert len(words) == 2 + 4


def test_compare_tells_one_person_from_another(run, ask) -> None:
    """Two photos of one person are alike, those of two are not."""
    same = ask("compare", str(PHOTOS / "obama_1.jpg"), str(PHOTOS / "obama_2.jpg"))
    assert same["faces"][0]["match"]
    assert same["faces"][0]["similarity"] > 90
    other = ask("compare", str(PHOTOS / "obama_1.jpg"), str(PHOTOS / "biden.jpg"))
    assert not other["faces"][0]["match"]
    done = run("compare", str(PHOTOS / "group.jpg"), str(PHOTOS / "biden.jpg"))
    assert done.returncode == 0
    assert _lines(done.stderr) == ["group.jpg shows 4 faces; the largest is compared."]


def test_a_folder_is_indexed_once_and_searched(run, ask, album: Path, tmp_path: Path) -> None:
    """Photos are enrolled; what failed is told with the reason; a second run skips what is in; a search finds it."""
    done = run("index", str(album), "--collection", "album", "--json")
    assert (done.returncode, _lines(done.stderr)) == (0, ["Collection album is new."])
    told = orjson.loads(done.stdout)
    assert (told["photos"], told["faces"], told["already_in"]) == (5, 3, 0)
    assert [f["photo"] for f in told["failed"]] == ["broken.jpg", "empty.png"]
    assert told["failed"][1]["reason"] == "no face"
    (album / "new.jpg").write_bytes((album / "a.jpg").read_bytes())
    again = ask("index", str(album), "--collection", "album")
    (album / "new.jpg").unlink()
    assert (again["photos"], again["faces"], again["already_in"]) == (6, 1, 3)
    faces = ask("faces", "list", "album")
    [marked] = [f["external_image_id"] for f in faces if "sub_folder:c.jpg-" in f["external_image_id"]]
    assert {f["external_image_id"] for f in faces} == {"a.jpg", "b.JPG", marked, "new.jpg"}
    picture = tmp_path / "found.jpg"
    [search] = ask("search", str(PHOTOS / "obama_2.jpg"), "--collection", "album", "--draw", str(picture))
    assert {c["external_image_id"] for c in search["candidates"]} == {"a.jpg", "b.JPG", "new.jpg"}
    assert search["candidates"][0]["external_image_id"] == "b.JPG"
    assert cv2.imread(str(picture)) is not None
    assert len(ask("search", str(PHOTOS / "group.jpg"), "-c", "album", "--all")) == 4
    words = run("search", str(PHOTOS / "biden.jpg"), "-c", "album").stdout.decode()
    assert marked in words
    assert "not an identity" in words
    text = run("index", str(album), "--collection", "album").stdout.decode()
    assert "0 faces enrolled of 5 photos; 3 photos were in already; 2 failed." in text
    assert "empty.png" in text


_FAILURES = {
    "a collection that isn't there": (["collections", "describe", "nope"], "NotFound"),
    "a name that is taken": (["collections", "create", "taken"], "Conflict"),
    "a key that isn't there": (["keys", "revoke", "CUSTAAAAAAAAAAAAAAAA"], "NotFound"),
    "a pack that isn't there": (["pack", "verify", "nope"], "NotFound"),
    "a photo that isn't there": (["detect", "nowhere.jpg"], "NotFound"),
    "a photo without a face": (["compare", str(PHOTOS / "biden.jpg"), "{nobody}"], "Invalid"),
    "a user that isn't there": (["users", "delete", "taken", "nope"], "NotFound"),
    "a search by nothing": (["users", "search", "taken"], "Invalid"),
    "a photo that is none": (["detect", __file__], "InvalidImage"),
    "a search in no collection": (["search", str(PHOTOS / "biden.jpg"), "-c", "nope"], "NotFound"),
}


@pytest.mark.parametrize("case", _FAILURES)
def test_a_failure_is_one_line_and_status_1(run, case: str, tmp_path: Path) -> None:
    """What went wrong is one sentence on standard error; with --json standard output is JSON all the same."""
    arguments, kind = _FAILURES[case]
    run("collections", "create", "taken")
    nobody = tmp_path / "nobody.png"
    cv2.imwrite(str(nobody), np.full((200, 200, 3), 128, np.uint8))
    done = run(*(a.format(nobody=nobody) for a in arguments), "--json", COLUMNS="40")
    assert done.returncode == 1
    assert len(_lines(done.stderr)) == 1, done.stderr.decode()
    told = orjson.loads(done.stdout)
    assert (told["error"], set(told)) == (kind, {"error", "message", "remedy"})
    assert _lines(done.stderr) == [f"{told['message']} {told['remedy']}".strip()]


def test_without_json_a_failure_leaves_standard_output_empty(run, start) -> None:
    """A pipe gets nothing that isn't a result."""
    run("collections", "create", "other")
    for way in (run, start):
        done = way("collections", "describe", "nope")
        assert (done.returncode, done.stdout) == (1, b"")
        assert _lines(done.stderr) == ["There is no collection nope."]


def test_a_wrong_option_is_status_2(run, start) -> None:
    """What can't be parsed is told with the usage."""
    for arguments in (
        ["nonsense"],
        ["search", "x.jpg"],
        ["search", "x.jpg", "-c", "c", "--limit", "0"],
        ["collections", "create", "two words"],
        ["users", "create", "c", "two words"],
        ["faces", "delete", "c", "no uuid"],
    ):
        done = run(*arguments)
        assert done.returncode == 2
        assert b"Usage" in done.stderr
    assert start("nonsense").returncode == 2


def test_a_configuration_with_a_mistake_is_one_line(run, tmp_path: Path) -> None:
    """Commands refuse what the configuration can't mean, before they touch anything."""
    file = tmp_path / "custodes.toml"
    file.write_text("[server]\nprot = 1\n")
    for settings in ({"CUSTODES_PORT": "x"}, {"CUSTODES_PROT": "1"}, {"CUSTODES_CONFIG": str(file)}):
        done = run("keys", "list", **settings)
        assert (done.returncode, len(_lines(done.stderr))) == (1, 1)
        assert b"etting" in done.stderr
    assert not (tmp_path / "data").exists()


def test_the_data_folder_is_private(run, start, tmp_path: Path) -> None:
    """Folders are 0700 and files 0600; a folder that was there stays as it was, and its files are private too."""
    start("keys", "create")
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    shared.chmod(0o755)
    run("keys", "create", CUSTODES_DATA=str(shared))
    for folder in (tmp_path / "data", shared):
        inside = [p for p in folder.rglob("*") if "keys" in p.parts or p.is_file()]
        assert len(inside) >= 4
        for p in inside:
            assert stat.S_IMODE(p.stat().st_mode) == (0o700 if p.is_dir() else 0o600), p
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert stat.S_IMODE(shared.stat().st_mode) == 0o755


def test_a_data_folder_that_cannot_be_made_is_one_line(run, tmp_path: Path) -> None:
    """A file in the folder's place is told, not dumped."""
    (tmp_path / "data").touch()
    done = run("keys", "create")
    assert (done.returncode, len(_lines(done.stderr))) == (1, 1)
    assert os.fsencode(tmp_path) not in done.stderr


def test_a_lost_or_exchanged_master_key_is_one_line(run, start, tmp_path: Path) -> None:
    """No command works with a database whose key is not there, and none makes a new one."""
    run("keys", "create")
    key = tmp_path / "data" / "keys" / "master.key"
    right = key.read_text()
    for wrong in (None, "00" * 32, "nonsense"):
        key.unlink()
        if wrong is not None:
            key.write_text(wrong)
        done = run("keys", "list")
        assert (done.returncode, len(_lines(done.stderr))) == (1, 1)
        assert b"aster key" in done.stderr
        key.write_text(right)
    assert start("keys", "list").returncode == 0
