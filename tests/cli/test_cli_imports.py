# SPDX-License-Identifier: Apache-2.0
"""``custodes import`` and ``custodes hashlists``: what they tell, in words, JSON and CSV, and how they fail."""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tests.cli.test_cli_rules import Done, run

from custodes.app import App
from custodes.config import Config
from custodes.governance import OPERATOR, Caller, OrgClass, Purpose, Role
from custodes.operations.importing import Run

ME = Caller(OPERATOR, Purpose.PHOTO_LIBRARY)
TOLD = ("--basis", "Art. 9(2)(g)", "--source", "the family")


def plain(number: int) -> bytes:
    return cv2.imencode(".png", np.full((90, 90, 3), number, np.uint8))[1].tobytes()


@dataclass
class Desk:
    """An installation with a case, the key of who leads it, and a folder."""

    data: Path
    case: str
    key: Path
    folder: Path

    def run(self, *arguments: str, **settings: str) -> Done:
        return run(self.data, *arguments, CUSTODES_CREDENTIALS=str(self.key), **settings)

    def told(self, *arguments: str) -> Any:
        """Run a command with ``--json``, and return what it tells."""
        done = self.run(*arguments, "--json")
        assert done.status == 0, done.err
        return done.told


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    data, folder = tmp_path / "data", tmp_path / "photos"
    folder.mkdir()
    app = App.open(Config(data=data))
    rescue = app.people.add_organisation(ME, "Rescue", OrgClass.VICTIM_RESCUE, "US-CA").id
    cara = app.people.add(ME, rescue, "cara@example.org", "Cara", [Role.ADMIN, Role.USER]).id
    case = app.casework.cases.open(Caller(cara, Purpose.MISSING_PERSON), Purpose.MISSING_PERSON, "Lena").id
    key = app.identity.create_key(ME, principal=cara, purpose=Purpose.MISSING_PERSON, provenance="case-file")
    app.identity.write_credentials(data / "cara", key, "us-east-1")
    app.close()
    return Desk(data, case, data / "cara", folder)


def test_a_folder_is_brought_in_and_looked_at(desk: Desk) -> None:
    """The provenance is the key's unless given; list, show and items tell the same in JSON."""
    (desk.folder / "a.png").write_bytes(plain(1))
    (desk.folder / "=b.png").write_bytes(b"=cmd|' /C calc'!A0")
    (desk.folder / "c.png").write_bytes(plain(1))
    done = desk.told("import", "folder", desk.case, str(desk.folder), *TOLD, "--sensitive")
    assert (done["state"], done["kind"], done["case"], done["entries"]) == ("done", "folder", desk.case, 3)
    assert (done["imported"], done["duplicate"], done["known"], done["refused"]) == (1, 1, 0, 1)
    assert (done["provenance"], done["sensitive"], done["location"]) == ("case-file", True, str(desk.folder))
    assert desk.told("import", "show", done["id"]) == done
    assert desk.told("import", "list", desk.case) == [done]
    items = desk.told("import", "items", done["id"])
    assert [(i["number"], i["name"], i["outcome"], i["reason"]) for i in items] == [
        (0, "=b.png", "refused", "not-a-photo"),
        (1, "a.png", "imported", None),
        (2, "c.png", "duplicate", "same-bytes"),
    ]
    assert desk.told("import", "items", done["id"], "--outcome", "refused") == items[:1]
    table = list(csv.DictReader(io.StringIO(desk.run("import", "items", done["id"], "--csv").out)))
    assert [r["name"] for r in table] == ["'=b.png", "a.png", "c.png"]  # no formula for a spreadsheet
    assert table[1]["image"] == items[1]["image"]
    said = desk.run("import", "show", done["id"]).out
    assert f"{done['id']} is done: 1 imported, 1 duplicate, 0 known, 1 refused (3 entries)." in said
    for late in ("stop", "resume"):
        failed = desk.run("import", late, done["id"], "--json")
        assert (failed.status, failed.told["error"]) == (1, "Conflict")


def test_zip_manifest_and_bucket_are_brought_in(desk: Desk) -> None:
    """Each as its own command."""
    with zipfile.ZipFile(desk.folder / "p.zip", "w") as archive:
        archive.writestr("a.png", plain(1))
    (desk.folder / "b.png").write_bytes(plain(2))
    (desk.folder / "m.csv").write_text("file,provenance\nb.png,consented\n")
    bucket = desk.data / "buckets" / "b" / "x"
    bucket.mkdir(parents=True)
    (bucket / "c.png").write_bytes(plain(3))
    for kind, where in (
        ("zip", str(desk.folder / "p.zip")),
        ("manifest", str(desk.folder / "m.csv")),
        ("bucket", "b/x"),
    ):
        done = desk.told("import", kind, desk.case, where, *TOLD, "--provenance", "public-record")
        assert (done["kind"], done["state"], done["imported"]) == (kind, "done", 1)
    assert len(desk.told("import", "list", desk.case)) == 3


def test_a_stopped_import_says_why_and_how_to_go_on(desk: Desk) -> None:
    """With exit status 1; resuming it goes on."""
    (desk.folder / "a.png").write_bytes(plain(1))
    app = App.open(Config(data=desk.data))
    caller = app.identity.from_file(desk.key)
    begun = app.casework.imports.begin(
        caller, desk.case, "folder", str(desk.folder), provenance="case-file", basis="x", source="y"
    ).id
    app.close()
    assert desk.told("import", "stop", begun)["state"] == "stopped"
    (desk.folder / "a.png").rename(desk.folder.with_suffix(".png"))
    desk.folder.rmdir()
    failed = desk.run("import", "resume", begun)
    assert failed.status == 1
    assert f"custodes import resume {begun}" in failed.err
    assert "can't be read" in failed.err
    desk.folder.mkdir()
    desk.folder.with_suffix(".png").rename(desk.folder / "a.png")
    assert desk.told("import", "resume", begun)["imported"] == 1


def test_an_interrupted_import_is_stopped(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """By ctrl-c; what was brought in stays, and it says how to go on."""
    for n in range(5):
        (desk.folder / f"{n}.png").write_bytes(plain(n))
    bring, asked = Run._bring, []

    def interrupting(*arguments: Any) -> None:
        bring(*arguments)
        asked.append(1)
        if len(asked) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_bring", interrupting)
        done = desk.run("import", "folder", desk.case, str(desk.folder), *TOLD, CUSTODES_IMPORTS_WORKERS="1")
    assert done.status != 0
    assert "custodes import resume imp-" in done.err
    [stopped] = desk.told("import", "list", desk.case)
    assert (stopped["state"], "interrupted" in stopped["why"], stopped["imported"] >= 2) == ("stopped", True, True)
    assert desk.told("import", "resume", stopped["id"])["imported"] == 5


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (("import", "folder", "CASE", "/nowhere", *TOLD), "NotFound", "can't be read"),
        (("import", "folder", "case-0000000000000000", "FOLDER", *TOLD), "NotFound", "no case"),
        (("import", "folder", "CASE", "FOLDER", *TOLD, "--provenance", "scraped"), "Refused", "scraped"),
        (("import", "folder", "CASE", "FOLDER", "--basis", " ", "--source", "x"), "Invalid", "legal basis"),
        (("import", "zip", "CASE", "FOLDER/x", *TOLD), "Invalid", "no ZIP"),
        (("import", "manifest", "CASE", "FOLDER/x", *TOLD), "Invalid", "unknown columns"),
        (("import", "show", "imp-0"), "NotFound", "no such import"),
        (("import", "items", "imp-0"), "NotFound", "no such import"),
        (("import", "resume", "imp-0"), "NotFound", "no such import"),
        (("hashlists", "add", "FOLDER/x", "--kind", "exact", "--name", "n"), "Invalid", "Line 2"),
        (("hashlists", "add", "FOLDER/none", "--kind", "exact", "--name", "n"), "NotFound", "can't be read"),
        (("hashlists", "remove", "list-0"), "NotFound", "no list"),
    ],
)
def test_what_can_not_be_done_is_said_in_one_line(
    desk: Desk, arguments: tuple[str, ...], error: str, says: str
) -> None:
    """On standard error, and as JSON."""
    (desk.folder / "x").write_text("a heading,x\nno hash\n")
    given = [a.replace("CASE", desk.case).replace("FOLDER", str(desk.folder)) for a in arguments]
    done = desk.run(*given, "--json")
    assert done.status == 1
    assert done.told["error"] == error
    assert says in done.told["message"]
    assert "Traceback" not in done.err


def test_a_hash_list_is_added_heeded_and_removed(desk: Desk) -> None:
    """Its name is shown to its organisation alone."""
    file = desk.folder / "list.csv"
    file.write_text(f"md5,what\n{hashlib.md5(plain(1)).hexdigest()},x\n")
    added = desk.told("hashlists", "add", str(file), "--kind", "exact", "--name", "Interpol")
    assert (added["kind"], added["hashes"]) == ("exact", 1)
    [row] = desk.told("hashlists", "list")
    assert (row["id"], row["name"], row["hashes"]) == (added["id"], "Interpol", 1)
    (desk.folder / "a.png").write_bytes(plain(1))
    done = desk.told("import", "folder", desk.case, str(desk.folder), *TOLD)
    assert (done["known"], done["imported"], done["refused"]) == (1, 0, 1)
    [known] = desk.told("import", "items", done["id"], "--outcome", "known")
    assert (known["reason"], known["detail"], known["image"]) == ("exact", added["id"], None)
    assert desk.told("hashlists", "remove", added["id"]) == {"id": added["id"], "removed": True}
    assert desk.told("hashlists", "list") == []
