# SPDX-License-Identifier: Apache-2.0
"""``custodes evaluate | evaluations | calibrate``: from tables and photos to figures, files and the public page."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import orjson
import pytest
from tests.cli.test_cli_rules import run
from tests.operations.conftest import PHOTOS

from custodes.evaluation.results import from_json
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
    [record] = run(data, "evaluations", "list", "--json").told
    assert record["title"] == "Four portraits"
    told = run(data, "evaluations", "show", record["id"], "--json").told
    assert told["evaluation"] == orjson.loads(orjson.loads(saved.read_bytes())["document"])
    again = tmp_path / "again.html"
    assert run(data, "evaluations", "report", record["id"], "--html", str(again)).status == 0
    assert "data:image/jpeg" not in again.read_text()
    assert run(data, "evaluations", "verify", str(saved)).status == 0
    assert run(data, "evaluations", "publish", record["id"], "--json").told["published_at"]
    assert run(data, "evaluations", "withdraw", record["id"], "--json").told["published_at"] is None
    assert "No rulebook in force demands" in run(data, "evaluations", "gate").out


def test_without_an_installation_files_are_all_that_stays(tmp_path: Path, tables: Path) -> None:
    """Every pair of a table of photos is compared, by group, and no installation is made of it."""
    saved = tmp_path / "e.json"
    arguments = (str(tables / "photos.csv"), str(PHOTOS), "--all-pairs", "--by", "born", "--rounds", "100")
    done = run(tmp_path / "data", "evaluate", "verification", *arguments, "--save", str(saved), "--json")
    assert done.status == 0, done
    assert done.told["record"] is None
    figures = done.told["evaluation"]["figures"]
    assert (figures["mated"], figures["non_mated"]) == (1, 5)
    groups = figures["differentials"][0]["groups"]
    assert [(g["name"], g["subjects"], g["enough"]) for g in groups] == [("Hawaii", 1, False), ("Mainland", 2, False)]
    assert from_json(saved.read_bytes()).rules_hash == ""
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


def test_calibrate_tells_what_80_and_99_let_through(tmp_path: Path, tables: Path) -> None:
    """Rates with intervals for the similarities that count, and that nothing was changed."""
    done = run(tmp_path / "data", "calibrate", str(tables / "photos.csv"), str(PHOTOS), "--json")
    assert done.status == 0, done
    assert (done.told["pairs"], done.told["applied"]) == (5, False)
    assert {80, 99} <= {s["similarity"] for s in done.told["stated"]}
    high = [s for s in done.told["stated"] if s["similarity"] >= 80]
    assert all(s["false_match_rate"] == 0 and s["interval"] is None and s["note"] for s in high), high
