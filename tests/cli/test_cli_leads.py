# SPDX-License-Identifier: Apache-2.0
"""``custodes leads``: listing, exporting and checking at the command line, with files that come and go."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import orjson
import pypdf
import pytest
import sqlalchemy as sa
from tests.cli.test_cli_rules import Done, run
from tests.operations import conftest, leadcase

from custodes.casework.schema import search_records


@dataclass
class Desk:
    """An installation with a solved case, and the credentials of its lead.

    Attributes:
        vkey: a file with the log's key.
    """

    data: Path
    credentials: Path
    lead: str
    case: str
    vkey: Path
    world: conftest.World

    def run(self, *arguments: str) -> Done:
        """Run a command of the case's lead."""
        return run(self.data, "leads", *arguments, CUSTODES_CREDENTIALS=str(self.credentials))

    def tell(self, *arguments: str, status: int = 0) -> Any:
        """Run a command with --json, and return what it told."""
        done = self.run(*arguments, "--json")
        assert done.status == status, done
        return done.told


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A case that came to a lead some hours ago."""
    folder = tmp_path_factory.mktemp("desk")
    photos = {}
    for name in ("obama_1", "obama_2", "biden", "group"):
        picture = cv2.imread(str(conftest.PHOTOS / f"{name}.jpg"))
        scale = 640 / max(picture.shape)
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        photos[name] = cv2.imencode(".jpg", small)[1].tobytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conftest, "START", datetime.now(UTC) - timedelta(days=1))  # the command line has no other clock
        world = conftest.open_world(folder / "data")
    solved = leadcase.solve(world, photos, folder / "in")
    who, file = solved.cara.principal, folder / "credentials"
    made = run(
        folder / "data",
        *("keys", "create", "--principal", who, "--purpose", "missing-person", "--credentials", str(file), "--json"),
    )
    assert made.status == 0, made
    (folder / "vkey").write_text(world.app.ledger.vkey)
    yield Desk(folder / "data", file, solved.lead.id, solved.case, folder / "vkey", world)
    world.app.close()


def test_leads_are_listed_and_shown(desk: Desk) -> None:
    """By case or all; what is shown says first what a lead is, and no score."""
    assert [r["id"] for r in desk.tell("list")] == [desk.lead]
    assert [r["id"] for r in desk.tell("list", "--case", desk.case)] == [desk.lead]
    assert desk.lead in desk.run("list").out
    told = desk.tell("show", desk.lead)
    assert (told["case"], told["reviews"]) == (desk.case, 2)
    assert "similarity" not in told
    assert desk.run("show", desk.lead).out.startswith("An investigative lead, not an identification")
    missing = desk.run("show", "lead-0000000000000000", "--json")
    assert (missing.status, missing.told["error"]) == (1, "NotFound")


def test_the_operator_has_no_leads(desk: Desk) -> None:
    """Without credentials of a member there are none."""
    assert run(desk.data, "leads", "list", "--json").told == []
    assert run(desk.data, "leads", "show", desk.lead).status == 1


def test_a_report_is_written_and_checked(desk: Desk, tmp_path: Path) -> None:
    """PDF and JSON of one export; both hold; nothing is written over."""
    pdf, json = tmp_path / "lead.pdf", tmp_path / "lead.json"
    done = desk.run("report", desk.lead, "--pdf", str(pdf), "--json", str(json))
    assert done.status == 0, done
    assert f"custodes leads verify {pdf}" in done.out
    assert pypdf.PdfReader(io.BytesIO(pdf.read_bytes())).attachments["lead-report.json"] == [json.read_bytes()]
    for file in (pdf, json):
        checked = desk.run("verify", str(file), "--vkey", str(desk.vkey))
        assert checked.status == 0, checked
        assert "All that can be checked holds." in checked.out
        assert "own word" not in checked.out
    assert "own word" in desk.run("verify", str(json)).out
    again = desk.run("report", desk.lead, "--pdf", str(pdf))
    assert (again.status, "is there already" in again.err) == (1, True)
    assert desk.run("report", desk.lead).status == 1


def test_a_check_says_what_does_not_hold(desk: Desk, tmp_path: Path) -> None:
    """Status 1 and each problem, in words and as JSON; no installation is needed."""
    json = tmp_path / "lead.json"
    desk.run("report", desk.lead, "--json", str(json))
    told = orjson.loads(json.read_bytes())
    told["reviews"][0]["answer"] = "contradicts"
    json.write_bytes(orjson.dumps(told))
    nowhere = tmp_path / "nowhere"
    done = run(nowhere, "leads", "verify", str(json), "--vkey", str(desk.vkey))
    assert done.status == 1
    assert "DOESN'T HOLD: Review" in done.out
    assert "wrong" in done.out
    found = run(nowhere, "leads", "verify", str(json), "--json")
    assert (found.status, found.told["sound"]) == (1, False)
    assert any("says: answer" in p for p in found.told["problems"])
    assert not nowhere.exists()
    for file in (tmp_path / "missing.json", desk.vkey):
        assert run(nowhere, "leads", "verify", str(file)).status == 1


def test_a_bundle_is_written_and_checked(desk: Desk, tmp_path: Path) -> None:
    """As a ZIP; with the published log too; one from which a search is taken out doesn't hold."""
    out, log = tmp_path / "case.zip", tmp_path / "log"
    told = desk.tell("bundle", desk.case, str(out))
    assert (told["complete"], told["differences"]) == (True, [])
    assert run(desk.data, "ledger", "publish", str(log)).status == 0
    key = ("--vkey", str(desk.vkey))
    checked = desk.run("check-bundle", str(out), *key, "--ledger", str(log))
    assert checked.status == 0, checked
    assert "no other entry of the case" in checked.out
    folder = tmp_path / "folder"
    shutil.unpack_archive(out, folder)
    rows = orjson.loads((folder / "searches.json").read_bytes())
    (folder / "searches.json").write_bytes(orjson.dumps({"searches": rows["searches"][1:]}))
    found = desk.tell("check-bundle", str(folder), *key, status=1)
    assert any("left out of the searches" in p for p in found["problems"])
    assert desk.run("bundle", desk.case, str(out)).status == 1
    assert desk.run("check-bundle", str(tmp_path / "missing.zip")).status == 1


def test_an_incomplete_bundle_is_told_loudly(desk: Desk, tmp_path: Path) -> None:
    """It is written, says so itself, and the command ends with status 1 and a warning."""
    database = desk.world.app.casework.review._desk.db
    with database.read() as c:
        kept = [dict(r) for r in c.execute(sa.select(search_records)).mappings()]
    with database.transaction() as c:
        c.execute(sa.delete(search_records))
    try:
        done = desk.run("bundle", desk.case, str(tmp_path / "case.zip"))
    finally:
        with database.transaction() as c:
            c.execute(sa.insert(search_records), kept)
    assert done.status == 1
    assert "IT ISN'T COMPLETE" in done.err
    assert "there is no record" in done.err
    assert (tmp_path / "case.zip").exists()
