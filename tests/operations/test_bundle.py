# SPDX-License-Identifier: Apache-2.0
"""Disclosure bundles: all of a case is in them, they say when it isn't, and whatever is left out or changed is seen."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import shutil
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa
from tests.operations.conftest import World, open_world
from tests.operations.leadcase import Solved, brought_in, judge, reviewer, solve

from custodes.casework import Answer
from custodes.casework.schema import review_items, search_records
from custodes.domain import QualityFilter
from custodes.errors import Conflict, Invalid, NotFound
from custodes.ledger import FileSigner, open_source
from custodes.operations.bundle import Bundle
from custodes.operations.bundlecheck import check_bundle

Files = dict[str, bytes]


@dataclass
class Disclosed:
    """A case with searches of all kinds, its bundle, and the published log."""

    solved: Solved
    bundle: Bundle
    log: Path
    vkey: str


@pytest.fixture(scope="module")
def disclosed(tmp_path_factory: pytest.TempPathFactory, photos: dict[str, bytes]) -> Iterator[Disclosed]:
    """A solved case with a search that finds nobody, one by a key, one that is denied, and a file that is refused."""
    folder = tmp_path_factory.mktemp("disclosed")
    world = open_world(folder / "data")
    solved = solve(world, photos, folder / "in")
    app, cara, case = world.app, solved.cara, solved.case
    app.casework.searches.search_references(cara, case, threshold=100.0)
    key = replace(cara, case=case, access_key_id="CUSTODESKEY000000001")
    found: dict[str, Any] = {"threshold": 1.0, "limit": 10, "quality": QualityFilter.NONE}
    app.faces.search_by_image(key, case, photos["biden"], **found)
    other = replace(key, purpose=world.officer.purpose)
    world.denied(lambda: app.faces.search_by_image(other, case, photos["biden"], **found))
    brought_in(world, cara, case, photos | {"text": b"no photo"}, folder / "more", **{"=cmd": "text"}, twice="biden")
    bundle = app.casework.bundles.make(cara, case)
    app.ledger.publish(folder / "log")
    yield Disclosed(solved, bundle, folder / "log", app.ledger.vkey)
    world.app.close()


@pytest.fixture
def files(disclosed: Disclosed) -> Files:
    """The bundle's files, to be changed."""
    return dict(disclosed.bundle.files)


def told(files: Files, name: str) -> Any:
    """Read one of the tables."""
    return orjson.loads(files[f"{name}.json"])[name]


def put(files: Files, name: str, rows: Any) -> None:
    """Write one of the tables."""
    files[f"{name}.json"] = orjson.dumps({name: rows})


def hashed(files: Files) -> None:
    """Let the manifest have the hashes of what is there, as somebody who changes something would."""
    manifest = orjson.loads(files["manifest.json"])
    names = set(files) - {"manifest.json", "seal.json"}
    manifest["files"] = {n: hashlib.sha256(files[n]).hexdigest() for n in names}
    files["manifest.json"] = orjson.dumps(manifest)


def problems(files: Files, folder: Path, vkey: str | None = None, log: Path | None = None) -> tuple[str, ...]:
    """Write a bundle, and return what doesn't hold of it."""
    place = folder / "bundle"
    shutil.rmtree(place, ignore_errors=True)
    for name, data in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    return check_bundle(place, vkey, open_source(str(log)) if log else None).problems


# --- what is in it ------------------------------------------------------------------------------------------------


def test_a_bundle_has_everything_that_was_searched(disclosed: Disclosed, files: Files) -> None:
    """Searches that found nobody, that a key made, that were denied: each entry of the ledger is a row, no other."""
    rows = told(files, "searches")
    case = disclosed.solved.case
    found = [(i, e) for i, e in disclosed.solved.world.app.ledger.entries() if e.get("case") == case]
    entries = {i for i, e in found if e.get("request", {}).get("action") == "SearchReferences"}
    assert {r["entry"] for r in rows} == entries
    assert [(r["outcome"], r["candidates"], r["search"] is None) for r in rows] == [
        ("done", 6, False),
        ("done", 0, False),
        ("done", 6, True),
        ("denied", None, True),
    ]
    assert rows[2]["key"] == "CUSTODESKEY000000001"
    assert rows[3]["refused_by"]
    assert disclosed.bundle.complete
    assert orjson.loads(files["manifest.json"])["complete"] is True


def test_a_bundle_has_all_candidates_reviews_and_refusals(files: Files) -> None:
    """Dismissed and waiting candidates, answers to controls, and what an import did not bring in."""
    assert [k["state"] for k in told(files, "candidates")] == ["lead", *["found"] * 5]
    assert sorted(r["candidate"] == "control" for r in told(files, "reviews")) == [False, False, True]
    assert {(i["outcome"], i["name"]) for i in told(files, "not_brought_in")} == {
        ("refused", "=cmd.jpg"),
        ("duplicate", "twice.jpg"),
    }
    assert [(i["entries"], i.get("imported"), i.get("refused")) for i in told(files, "imports")] == [
        (2, None, 1),
        (3, 3, None),
    ]
    assert {i["name"] for i in told(files, "images")} == {"lena.jpg", "found.jpg", "biden.jpg", "group.jpg"}


def test_uninvolved_faces_are_left_out_unless_asked_for(disclosed: Disclosed, files: Files) -> None:
    """The probe's face and the lead's alone; with ``pictures`` those of all candidates."""
    probe = told(files, "searches")[0]["probe"]
    lead = told(files, "candidates")[0]["image"]
    shown = {n for n in files if n.startswith("pictures/")}
    assert shown == {f"pictures/{probe}-0.jpg", f"pictures/{lead}-0.jpg"}
    solved = disclosed.solved
    more = solved.world.app.casework.bundles.make(solved.cara, solved.case, pictures=True)
    assert sum(n.startswith("pictures/") for n in more.files) == 7


def test_names_are_fixed_and_a_bundle_is_a_zip_or_a_folder(disclosed: Disclosed, tmp_path: Path) -> None:
    """No name of a file comes from anybody; both forms hold the same; nothing is written over."""
    name = re.compile(
        r"(README\.txt|[a-z_]+\.(html|json|csv)|ledger/[a-z.]+|rules/[0-9a-f]{64}\.json|pictures/img-[0-9a-f]{16}-\d+\.jpg)"
    )
    assert [n for n in disclosed.bundle.files if not name.fullmatch(n)] == []
    disclosed.bundle.write(tmp_path / "b.zip")
    disclosed.bundle.write(tmp_path / "folder")
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        packed = {n: archive.read(n) for n in archive.namelist()}
    assert packed == disclosed.bundle.files
    assert {str(p.relative_to(tmp_path / "folder")) for p in (tmp_path / "folder").rglob("*") if p.is_file()} == set(
        packed
    )
    with pytest.raises(Conflict):
        disclosed.bundle.write(tmp_path / "b.zip")
    assert disclosed.bundle.to_zip() == disclosed.bundle.to_zip()


def test_a_spreadsheet_runs_nothing_and_a_page_neither(world: World, photos: dict[str, bytes], tmp_path: Path) -> None:
    """Cells don't begin a formula; markup is text; what hides or turns text is marked."""
    title = "=1+1 <script>alert(1)</script> {{ 7919*7919 }} עברית"
    solved = solve(world, photos, tmp_path / "in", title=title, note="<img src=x onerror=alert(2)>\n=2+2")
    bad = {f"{n}": photos["biden"] + bytes([i]) for i, n in enumerate(("=a", "+b", "<b>\u202ec"))}
    brought_in(world, solved.cara, solved.case, bad, tmp_path / "more", **{n: n for n in bad})
    made = world.app.casework.bundles.make(solved.cara, solved.case)
    cells = [
        c
        for n, d in made.files.items()
        if n.endswith(".csv")
        for row in csv.reader(io.StringIO(d.decode("utf-8-sig")))
        for c in row
    ]
    assert [c for c in cells if c.startswith(("=", "+", "-", "@"))] == []
    assert "'=a.jpg" in cells
    page = made.files["index.html"].decode()
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "62710561" not in re.findall(r"<p class=\"soft\">(.*?)</p>", page)[0]
    assert "\u202e" not in page
    assert "default-src 'none'" in page
    assert check_bundle(_zip(made, tmp_path), world.app.ledger.vkey).problems == ()


def _zip(bundle: Bundle, folder: Path) -> Path:
    bundle.write(folder / "made.zip")
    return folder / "made.zip"


def test_the_page_says_loudly_that_something_is_missing(world: World, photos: dict[str, bytes], tmp_path: Path) -> None:
    """A record that was taken out of the database is told in manifest, page and entry, and to whoever checks."""
    solved = solve(world, photos, tmp_path / "in")
    with world.app.casework.review._desk.db.transaction() as c:
        c.execute(sa.delete(search_records))
    made = world.app.casework.bundles.make(solved.cara, solved.case)
    assert not made.complete
    assert any("there is no record" in d for d in made.differences)
    assert any("says that it made 1 searches, and has 0" in d for d in made.differences)
    assert "Not complete" in made.files["index.html"].decode()
    assert "IT ISN'T COMPLETE" in made.files["README.txt"].decode()
    assert world.entry(made.entry)["complete"] is False
    found = check_bundle(_zip(made, tmp_path), world.app.ledger.vkey).problems
    assert any("says itself that it isn't complete" in p for p in found)


def test_a_review_that_was_taken_out_is_a_difference(world: World, photos: dict[str, bytes], tmp_path: Path) -> None:
    """The ledger has the answer of which the database has none."""
    solved = solve(world, photos, tmp_path / "in")
    assert world.app.casework.bundles.make(solved.cara, solved.case).complete
    with world.app.casework.review._desk.db.transaction() as c:
        c.execute(sa.delete(review_items).where(review_items.c.candidate_id.is_not(None), review_items.c.round == 1))
    made = world.app.casework.bundles.make(solved.cara, solved.case)
    assert [d for d in made.differences if "without a record" in d]


@pytest.mark.parametrize("column", ["candidates", "run_id", "entry", "collection"])
def test_a_record_that_was_changed_is_a_difference(
    world: World, photos: dict[str, bytes], tmp_path: Path, column: str
) -> None:
    """What the case's own records say is held against the ledger."""
    solved = solve(world, photos, tmp_path / "in")
    value: object = {"candidates": 2, "entry": 0}.get(column, "another")
    with world.app.casework.review._desk.db.transaction() as c:
        c.execute(sa.update(search_records).values({column: value}))
    assert not world.app.casework.bundles.make(solved.cara, solved.case).complete


def test_answers_of_a_sitting_that_goes_on_stay_closed(world: World, photos: dict[str, bytes], tmp_path: Path) -> None:
    """Which pairs are controls isn't told by a bundle while somebody still judges; afterwards it is."""
    solved = solve(world, photos, tmp_path / "in")
    work = world.app.casework
    waiting = work.candidates.listed(solved.cara, solved.run.id).candidates[1:3]
    work.review.submit(solved.cara, solved.case, [k.id for k in waiting])
    judge(world, solved.rita, Answer.SUPPORTS, blind=False)
    rosa = reviewer(world, "rosa")
    sitting = work.review.begin(rosa, blind=True)
    work.review.item(rosa, sitting.items[0])
    work.review.answer(rosa, sitting.items[0], Answer.INCONCLUSIVE, {}, "a note")
    rows = told(dict(work.bundles.make(solved.cara, solved.case).files), "reviews")
    assert [(r["candidate"], r["answer"], r["note"]) for r in rows if r["by"] == rosa.principal] == [(None, None, "")]
    for item in sitting.items[1:]:
        work.review.item(rosa, item)
        work.review.answer(rosa, item, Answer.CONTRADICTS)
    rows = told(dict(work.bundles.make(solved.cara, solved.case).files), "reviews")
    assert None not in {r["answer"] for r in rows}


def test_what_is_sealed_stays_out_and_is_said(world: World, photos: dict[str, bytes], tmp_path: Path) -> None:
    """An exigent search without an authority is told of after 48 hours, what it found isn't."""
    solved = solve(world, photos, tmp_path / "in", exigency="A child is in danger.")
    world.clock.forward(hours=49)
    made = world.app.casework.bundles.make(solved.cara, solved.case)
    [search] = told(dict(made.files), "searches")
    assert search["exigent"]
    assert told(dict(made.files), "candidates") == []
    assert orjson.loads(made.files["manifest.json"])["sealed"] == [search["entry"]]
    entries = [orjson.loads(line) for line in made.files["ledger/entries.jsonl"].splitlines()]
    assert [e["openings"] for e in entries if e["index"] == search["entry"]] == [[]]
    found = check_bundle(_zip(made, tmp_path), world.app.ledger.vkey)
    assert found.problems == ()
    assert any("sealed" in r for r in found.remarks)


def test_bundles_are_their_cases_members(disclosed: Disclosed) -> None:
    """To others there is no such case; the export is an entry that commits to the manifest."""
    solved = disclosed.solved
    for stranger in (solved.world.rescuer, solved.world.officer):
        with pytest.raises(NotFound):
            solved.world.app.casework.bundles.make(stranger, solved.case)
    entry = solved.world.entry(disclosed.bundle.entry)
    assert (entry["request"]["action"], entry["export"], entry["complete"]) == ("ExportLead", "bundle", True)


# --- checking -----------------------------------------------------------------------------------------------------


def test_a_bundle_is_checked_offline_and_against_the_published_log(disclosed: Disclosed, tmp_path: Path) -> None:
    """All holds; the log has no other entry of the case before the export."""
    disclosed.bundle.write(tmp_path / "b.zip")
    found = check_bundle(tmp_path / "b.zip", disclosed.vkey, open_source(str(disclosed.log)))
    assert found.problems == ()
    assert any("no other entry of the case" in h for h in found.holds)
    alone = check_bundle(tmp_path / "b.zip")
    assert alone.problems == ()
    assert any("own word" in r for r in alone.remarks)
    assert any("--ledger" in r for r in alone.remarks)
    other = FileSigner(disclosed.vkey.split("+")[0], bytes(32)).verifier_key
    assert check_bundle(tmp_path / "b.zip", str(other)).problems


def _without_search(files: Files) -> None:
    """Take a search that found nobody out of everything, hashes and counts too."""
    gone = next(r for r in told(files, "searches") if r["candidates"] == 0)
    put(files, "searches", [r for r in told(files, "searches") if r != gone])
    put(files, "runs", [r for r in told(files, "runs") if r["id"] != gone["run"]])
    lines = files["ledger/entries.jsonl"].splitlines(keepends=True)
    files["ledger/entries.jsonl"] = b"".join(x for x in lines if orjson.loads(x)["index"] != gone["entry"])
    manifest = orjson.loads(files["manifest.json"])
    manifest["ledger"]["entries"].remove(gone["entry"])
    manifest["counts"]["searches"] -= 1
    files["manifest.json"] = orjson.dumps(manifest)


def _without_row(files: Files) -> None:
    put(files, "searches", told(files, "searches")[:-1])


def _without_run(files: Files) -> None:
    put(files, "runs", told(files, "runs")[:1])


def _without_proof(files: Files) -> None:
    files["ledger/entries.jsonl"] = b"".join(files["ledger/entries.jsonl"].splitlines(keepends=True)[:-3])


def _without_candidate(files: Files) -> None:
    put(files, "candidates", told(files, "candidates")[:-1])


def _without_review(files: Files) -> None:
    put(files, "reviews", [r for r in told(files, "reviews") if r["candidate"] != "control"])


def _more_alike(files: Files) -> None:
    rows = told(files, "candidates")
    rows[0]["similarity"] = rows[0]["scores"][0]["similarity"] = 99.9
    put(files, "candidates", rows)


def _another_answer(files: Files) -> None:
    rows = told(files, "reviews")
    rows[0]["answer"] = "contradicts"
    put(files, "reviews", rows)


def _invented(files: Files) -> None:
    rows = told(files, "searches")
    put(files, "searches", [*rows, rows[0] | {"entry": 10_000, "search": "srch-1"}])


def _complete(files: Files) -> None:
    manifest = orjson.loads(files["manifest.json"])
    manifest["complete"] = False
    files["manifest.json"] = orjson.dumps(manifest)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (_without_search, "isn't what was exported"),
        (_without_row, "left out of the searches"),
        (_without_run, "Runs are missing"),
        (_without_proof, "missing or not proven"),
        (_without_candidate, "A candidate is missing"),
        (_without_review, "left out of the reviews"),
        (_more_alike, "and 99.9000 is told"),
        (_another_answer, "says: answer"),
        (_invented, "has no proof"),
        (_complete, "isn't complete"),
    ],
)
def test_whatever_is_changed_is_found(
    disclosed: Disclosed, files: Files, tmp_path: Path, change: Callable[[Files], None], found: str
) -> None:
    """Even with the hashes made anew, by what it is and by the seal; without that, by the hashes too."""
    change(files)
    if change not in (_complete, _without_search):
        assert any("was changed since" in p for p in problems(files, tmp_path, disclosed.vkey))
    hashed(files)
    told_ = problems(files, tmp_path, disclosed.vkey)
    assert any(found in p for p in told_), told_
    assert any("isn't what was exported" in p for p in told_), told_


def test_a_search_that_was_taken_out_is_missing_in_the_log(disclosed: Disclosed, files: Files, tmp_path: Path) -> None:
    """Whoever looks through the published log finds the very entry, whatever else was made to fit."""
    gone = next(r["entry"] for r in told(files, "searches") if r["candidates"] == 0)
    _without_search(files)
    hashed(files)
    found = problems(files, tmp_path, disclosed.vkey, disclosed.log)
    assert f"The log has entries of the case that the bundle leaves out: {gone}." in found


def test_missing_and_foreign_files_are_found(disclosed: Disclosed, files: Files, tmp_path: Path) -> None:
    """A file more, a file less, no seal."""
    files["extra.txt"] = b"more"
    del files["images.csv"]
    del files["seal.json"]
    found = problems(files, tmp_path, disclosed.vkey)
    assert "The file images.csv is missing." in found
    assert "The file extra.txt isn't one of the bundle's." in found
    assert any("The seal doesn't hold" in p for p in found)


@pytest.mark.parametrize(
    "names",
    [["../evil.json"], ["/etc/passwd"], ["a\\b.json"], ["manifest.json", "manifest.json"], ["x" * 300], ["ledger/a/b"]],
)
def test_a_hostile_zip_is_no_bundle(tmp_path: Path, names: list[str]) -> None:
    """Names that lead elsewhere, or twice to one file, are refused before anything is read."""
    place = tmp_path / "evil.zip"
    with zipfile.ZipFile(place, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a name is there twice
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), b"{}")
    with pytest.raises(Invalid, match="no bundle"):
        check_bundle(place)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 nothing", b"{}"])
def test_what_is_no_bundle_is_said(tmp_path: Path, data: bytes) -> None:
    """Neither damaged ZIPs nor other files break the check."""
    place = tmp_path / "b.zip"
    place.write_bytes(data)
    with pytest.raises(Invalid, match="no bundle"):
        check_bundle(place)
    with pytest.raises(Invalid, match="This is no"):
        problems({"manifest.json": data or b"[]"}, tmp_path)


@pytest.mark.parametrize("value", [None, 7, "text", [], {}, [1], [{"a": {}}]])
def test_no_malformed_bundle_breaks_the_check(
    disclosed: Disclosed, files: Files, tmp_path: Path, value: object
) -> None:
    """Any table, and any part of the manifest, may be anything."""
    manifest = orjson.loads(files["manifest.json"])
    for name in ("ledger", "files", "counts", "complete", "case"):
        if manifest[name] != value:
            changed = files | {"manifest.json": orjson.dumps(manifest | {name: value})}
            assert problems(changed, tmp_path, disclosed.vkey)
    for name in ("searches", "candidates", "reviews", "leads", "runs", "images", "unlisted"):
        changed = files | {f"{name}.json": orjson.dumps({name: value})}
        assert problems(changed, tmp_path, disclosed.vkey)
