# SPDX-License-Identifier: Apache-2.0
"""``custodes evaluate | evaluations | calibrate``: from tables and photos to figures, files and the public page."""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path

import numpy as np
import orjson
import pytest
from tests.cli.test_cli_rules import run
from tests.operations.conftest import PHOTOS

from custodes.evaluation.calibration import Local, Measured, Stated
from custodes.evaluation.results import Interval, Rate, from_json
from custodes.operations import calibrating
from custodes.operations.signed import verify_signed


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables of the photos in ``tests/data``."""
    folder = tmp_path_factory.mktemp("tables")
    (folder / "pairs.csv").write_text(
        "image_a,image_b,mated,subject_a,subject_b\n"
        "obama_1.jpg,obama_2.jpg,1,b,b\nobama_1.jpg,biden.jpg,0,b,j\nobama_2.jpg,collins.png,0,b,e\n"
    )
    (folder / "photos.csv").write_text(
        "image,subject,born\nobama_1.jpg,b,Hawaii\nobama_2.jpg,b,Hawaii\nbiden.jpg,j,Mainland\ncollins.png,e,Mainland\n"
    )
    return folder


def test_from_pairs_to_a_published_figure(tmp_path: Path, tables: Path) -> None:
    """Measured, written, kept, shown, verified and published, by the commands that the page of documentation names."""
    data = tmp_path / "data"
    assert run(data, "keys", "create").status == 0
    page, scores, saved = tmp_path / "r.html", tmp_path / "s.csv", tmp_path / "e.json"
    files = ("--report", str(page), "--scores", str(scores), "--save", str(saved))
    fast = ("--rounds", "100", "--title", "Four portraits")
    done = run(data, "evaluate", "verification", str(tables / "pairs.csv"), str(PHOTOS), *files, *fast)
    assert done.status == 0, done
    assert "not enough data" in done.out
    assert "isn't for publication" in done.out
    assert "data:image/jpeg" in page.read_text()
    rows = list(csv.DictReader(io.StringIO(scores.read_text())))
    assert [r["mated"] for r in rows] == ["1", "0", "0"]
    assert float(rows[0]["cosine"]) > 0.5 > float(rows[1]["cosine"])
    assert verify_signed(saved.read_bytes()).sound
    document = orjson.loads(orjson.loads(saved.read_bytes())["document"])
    assert document["scores_sha256"] == hashlib.sha256(scores.read_bytes()).hexdigest()
    [record] = run(data, "evaluations", "list", "--json").told
    assert record["title"] == "Four portraits"
    told = run(data, "evaluations", "show", record["id"], "--json").told
    assert told["evaluation"] == orjson.loads(orjson.loads(saved.read_bytes())["document"])
    again = tmp_path / "again.html"
    assert run(data, "evaluations", "report", record["id"], "--html", str(again)).status == 0
    assert "data:image/jpeg" not in again.read_text()
    assert run(data, "evaluations", "verify", str(saved)).status == 0
    few = run(data, "evaluations", "publish", record["id"])
    assert (few.status, "can't be published" in few.err) == (1, True)
    answers = tmp_path / "a.csv"
    answers.write_text("presentation,score\n" + "bona fide,0.9\n" * 5 + "printed photo,0.1\n" * 5)
    made = run(data, "evaluate", "attacks", str(answers), "--json").told["record"]["id"]
    assert run(data, "evaluations", "publish", made, "--json").told["published_at"]
    assert run(data, "evaluations", "withdraw", made, "--json").told["published_at"] is None
    gate = run(data, "evaluations", "gate")
    assert gate.status == 0
    assert "No rulebook in force demands" in gate.out
    assert f"{record['id']} counts, of 1" in gate.out
    assert "1 in 1,000" not in gate.out  # nobody asks for a bound


def test_without_an_installation_files_are_all_that_stays(tmp_path: Path, tables: Path) -> None:
    """Every pair of a table of photos is compared, by group, and no installation is made of it."""
    saved = tmp_path / "e.json"
    arguments = (str(tables / "photos.csv"), str(PHOTOS), "--all-pairs", "--by", "born", "--rounds", "100")
    files = ("--save", str(saved), "--scores", str(tmp_path / "s.csv"))
    done = run(tmp_path / "data", "evaluate", "verification", *arguments, *files, "--json")
    assert done.status == 0, done
    assert done.told["record"] is None
    figures = done.told["evaluation"]["figures"]
    assert (figures["mated"], figures["non_mated"]) == (1, 5)
    groups = figures["differentials"][0]["groups"]
    assert [(g["name"], g["subjects"], g["enough"]) for g in groups] == [("Hawaii", 1, False), ("Mainland", 2, False)]
    evaluation = from_json(saved.read_bytes())
    assert evaluation.rules_hash == ""
    assert evaluation.scores_sha256 == hashlib.sha256((tmp_path / "s.csv").read_bytes()).hexdigest()
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("obama_1.jpg,obama_2.jpg,1,b,b\nobama_1.jpg,missing.jpg,0,b,m\n", "missing.jpg"),
        ("obama_1.jpg,obama_2.jpg,1,b,b\nobama_1.jpg,biden.jpg,0,b,b\n", "row"),
        ("obama_1.jpg,biden.jpg,0,b,j\n", "no mated pairs"),
    ],
    ids=["a missing photo", "one person who is two", "no mated pairs"],
)
def test_a_table_that_cannot_be_meant_is_one_line_and_status_1(tmp_path: Path, rows: str, told: str) -> None:
    """What is wrong is said with its rows; nothing is written."""
    table = tmp_path / "p.csv"
    table.write_text("image_a,image_b,mated,subject_a,subject_b\n" + rows)
    page = tmp_path / "r.html"
    done = run(tmp_path / "data", "evaluate", "verification", str(table), str(PHOTOS), "--report", str(page))
    assert done.status == 1
    assert told in done.err
    assert "Traceback" not in done.err
    assert not page.exists()


COMMAND = "custodes evaluate verification PHOTOS.csv IMAGES --all-pairs --by COLUMN --similarity 99"


def test_the_gate_refuses_with_rule_remedy_and_status_1(tmp_path: Path) -> None:
    """Police without an evaluation are told by which rule, and what to type; as JSON too."""
    data, key = tmp_path / "data", tmp_path / "chief.key"
    org = run(data, "org", "add", "PD", "--class", "law-enforcement", "--jurisdiction", "US-WA", "--json").told["id"]
    who = run(data, "people", "add", "Chief", "--id", "c@pd.example", "--org", org, "--role", "admin", "--json").told[
        "id"
    ]
    purpose = ("--purpose", "criminal-investigation", "--credentials", str(key))
    assert run(data, "keys", "create", "--principal", who, *purpose).status == 0
    done = run(data, "evaluations", "gate", CUSTODES_CREDENTIALS=str(key))
    assert done.status == 1
    assert "REFUSED, at a similarity of 99" in done.out
    assert "evaluation-gate.missing (RCW 43.386.040" in done.out
    assert COMMAND in done.out
    done = run(data, "evaluations", "gate", "--json", CUSTODES_CREDENTIALS=str(key))
    assert (done.status, done.told["passes"], done.told["attempts"]) == (1, False, 0)
    [rule] = done.told["refused"]
    assert (rule["id"], COMMAND in rule["remedy"]) == ("evaluation-gate.missing", True)
    assert done.told["bounds"]["false_match_ppm"] == 1000
    assert run(data, "evaluate", "attacks", "none.csv", CUSTODES_CREDENTIALS=str(key)).status == 1


def test_groups_are_told_with_failures_ratios_and_years(tmp_path: Path, tables: Path) -> None:
    """Failure to enrol by group, false matches between groups, ratios, and misses by years between photos."""
    table = tmp_path / "p.csv"
    table.write_text(
        "image,subject,born,taken\nobama_1.jpg,b,Hawaii,2009\nobama_2.jpg,b,Hawaii,2012\n"
        "biden.jpg,j,Mainland,2013\ncollins.png,e,Mainland,1998\n"
    )
    options = ("--all-pairs", "--by", "born", "--taken", "taken", "--rounds", "100", "--least-people", "2")
    told = run(tmp_path / "data", "evaluate", "verification", str(table), str(PHOTOS), *options)
    assert told.status == 0, told
    for head in ("Failure to enrol", "Between groups", "Hawaii and Mainland", "Max/min", "Max/geometric mean"):
        assert head in told.out, head
    assert "Between both photos" in told.out
    assert "years" in told.out


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("--report", "x", "--save", "./x"), 1, "one and the same"),
        (("--provenance", "stolen"), 2, "--provenance"),
        (("--provenance", "case-file"), 1, "--provenance own"),
        (("--by", "sex"), 1, "--labels"),
    ],
    ids=["one file twice", "no provenance", "pictures of cases", "groups without labels"],
)
def test_what_cannot_be_asked_for_names_the_option(
    tmp_path: Path, tables: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], status: int, told: str
) -> None:
    """Before anything is measured, without an installation too."""
    monkeypatch.chdir(tmp_path)
    done = run(tmp_path / "data", "evaluate", "verification", str(tables / "pairs.csv"), str(PHOTOS), *arguments)
    assert (done.status, told in done.err) == (status, True), done
    assert not (tmp_path / "x").exists()


def test_calibrate_tells_what_80_and_99_let_through(tmp_path: Path, tables: Path) -> None:
    """Rates for the similarities that count, what these data can't tell, and that nothing was changed or made."""
    arguments = ("calibrate", str(tables / "photos.csv"), str(PHOTOS))
    done = run(tmp_path / "data", *arguments, "--json")
    assert done.status == 0, done
    assert not (tmp_path / "data").exists()
    assert (done.told["pairs"], done.told["applied"], done.told["entry"]) == (5, False, None)
    assert {80, 99} <= {s["similarity"] for s in done.told["stated"]}
    high = [s for s in done.told["stated"] if s["similarity"] >= 80]
    assert all(s["false_match_rate"] == 0 and s["interval"] is None and s["note"] for s in high), high
    words = run(tmp_path / "data", *arguments).out
    assert "These data can't tell at 50, 70, 80 and 99." in words
    assert "At 10 more passed than the pack promises, but the data are too few to be sure." in words
    assert "They are too few to make a map of." in words
    assert "keeps what it promises" not in words
    assert "1 in 100,000" in words
    assert "1e-" not in words
    for changing in ("--apply", "--remove"):
        refused = run(tmp_path / "data", *arguments, changing)
        assert (refused.status, "no installation" in refused.err) == (1, True), refused


def test_calibrate_asks_before_it_voids_every_evaluation(
    tmp_path: Path, tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What rises and what follows is said before; a no changes nothing; the packs' list tells of a map in force."""

    def harsh(scores: np.ndarray, base: calibrating.Calibration, **_: object) -> Measured:
        rate = Rate(90, 3_000_000, 3e-5, Interval(2.4e-5, 3.7e-5))
        return Measured(base, len(scores), (Stated(99.0, 0.4828, 1e-5, rate),), (Local(99.0, 1e-5, 0.5),))

    monkeypatch.setattr(calibrating, "measured", harsh)
    data = tmp_path / "data"
    assert run(data, "keys", "create").status == 0
    apply = ("calibrate", str(tables / "photos.csv"), str(PHOTOS), "--apply")
    done = run(data, *apply, stdin=b"n\n")
    assert done.status == 1
    assert "At 99 more pass than the pack promises." in done.out
    assert "99 from 0.4828 to 0.5000" in done.out
    assert "voids every evaluation" in done.out
    assert not (data / "calibrations").exists()
    [pack] = [p for p in run(data, "pack", "list", "--json").told if p["id"] == "custodes-1"]
    assert (pack["map_in_force"], pack["local_calibration"]) == ("own", None)
    assert "in force when the server starts anew" in run(data, *apply, "--yes").out
    [pack] = [p for p in run(data, "pack", "list", "--json").told if p["id"] == "custodes-1"]
    assert pack["map_in_force"] == "local"
    assert {k["cosine"] for k in pack["local_calibration"]["knots"]} >= {0.4265, 0.5}
    assert "A local map is in force" in run(data, *apply[:-1]).out
    (data / "calibrations" / "custodes-1.json").write_text("{}")
    assert "none: The local calibration of pack custodes-1 can't be used" in run(data, "pack", "list").out
