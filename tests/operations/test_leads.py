# SPDX-License-Identifier: Apache-2.0
"""Reports of leads: what they say, who may export them, and that whatever is changed in one is found offline."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pypdf
import pytest
from tests.operations.conftest import ME, World, open_world
from tests.operations.leadcase import Solved, brought_in, judge, reviewer, solve

from custodes.casework import Answer
from custodes.errors import Denied, Invalid, NotFound
from custodes.governance import Purpose, Role, StopScope
from custodes.ledger import FileSigner, KeyKind, Witness
from custodes.ledger.checkpoint import VerifierKey
from custodes.operations.dossier import ModelFacts
from custodes.operations.leadcheck import verify_report
from custodes.operations.leadform import FOLLOWS, STATEMENT, LeadReport
from custodes.operations.leadwords import chance
from custodes.operations.paper import MARK, visible
from custodes.vision.manifest import Knot

Told = dict[str, Any]
HOSTILE = "<script>alert('1')</script> ﷽ العربية עברית 漢字 {nb} " + "W" * 40
MARKUP = "=HYPERLINK(1) **bold** <b>&amp;</b> {{ 7*7 }} {nb}"


@pytest.fixture(scope="module")
def solved(tmp_path_factory: pytest.TempPathFactory, photos: dict[str, bytes]) -> Iterator[Solved]:
    """A case with a lead, of which no test changes anything."""
    folder = tmp_path_factory.mktemp("solved")
    world = open_world(folder / "data")
    yield solve(world, photos, folder / "in")
    world.app.close()


@pytest.fixture(scope="module")
def report(solved: Solved) -> LeadReport:
    """The lead's report."""
    return solved.world.app.casework.leads.report(solved.cara, solved.lead.id)


@pytest.fixture
def told(report: LeadReport) -> Told:
    """The report as JSON values, to be changed."""
    found: Told = orjson.loads(report.to_json())
    return found


@pytest.fixture(scope="module")
def vkey(solved: Solved) -> str:
    """The log's key, as somebody has it from elsewhere."""
    return solved.world.app.ledger.vkey


def text_of(pdf: bytes) -> tuple[str, list[str]]:
    """Return the text of a PDF without its line ends, and that of each page."""
    pages = [" ".join(page.extract_text().split()) for page in pypdf.PdfReader(io.BytesIO(pdf)).pages]
    return " ".join(pages), pages


# --- what it says -------------------------------------------------------------------------------------------------


def test_a_report_says_first_that_it_is_no_identification(told: Told) -> None:
    """The statement and what must follow stand before everything else."""
    assert list(told)[:3] == ["form", "statement", "must_follow"]
    assert told["form"] == "custodes/lead-report/v1"
    assert told["statement"] == "An investigative lead, not an identification, and no ground for arrest."
    assert told["must_follow"] == list(FOLLOWS)


def test_a_report_tells_what_was_searched_found_and_judged(solved: Solved, told: Told) -> None:
    """Case, searches with the sizes of collections, all candidates, reviews in full, and the reviewers' figures."""
    assert (told["case"]["id"], told["case"]["kind"], told["case"]["reference"]) == (
        solved.case,
        "missing-person",
        "SPD 2027/12",
    )
    assert told["case"]["organisation"]["class"] == "victim-rescue"
    [search] = told["searches"]
    assert (search["collection_size"], search["candidates"], search["outcome"]) == (6, 6, "done")
    assert [k["rank"] for k in told["candidates"]] == [1, 2, 3, 4, 5, 6]
    best = told["candidates"][0]
    assert (best["candidate"], best["state"]) == (solved.lead.candidate, "lead")
    assert best["meaning"]["false_match_rate"] == 1e-5
    assert best["meaning"]["expected_by_chance"] == pytest.approx(6e-5)
    assert [(r["by"], r["round"], r["blind"], r["trained"], r["answer"]) for r in told["reviews"]] == [
        (solved.rita.principal, 1, False, True, "supports-strongly"),
        (solved.ruth.principal, 2, True, True, "supports"),
    ]
    assert told["reviews"][0]["note"].startswith("The same scar")
    assert told["reviews"][0]["checklist"] == {"eyes": "similar", "nose": "similar", "ears": "not-visible"}
    figures = {f["by"]: (f["controls"], f["control_errors"]) for f in told["reviewers"]}
    assert figures == {solved.rita.principal: (0, 0), solved.ruth.principal: (1, 0)}


def test_a_report_tells_where_images_come_from_and_what_decided(solved: Solved, told: Told) -> None:
    """Provenance, basis, source, hash and date of probe and candidate; the model's pack; the rules by their hash."""
    probe = told["images"][told["searches"][0]["probe"]]
    assert (probe["provenance"], probe["basis"], probe["source"], probe["name"]) == (
        "case-file",
        "the parents' request",
        "the family",
        "lena.jpg",
    )
    assert len(probe["sha256"]) == 64
    assert probe["taken_at"].startswith("2016-02-02")
    candidate = told["images"][told["candidates"][0]["image"]]
    assert (candidate["name"], candidate["source"]) == ("found.jpg", "the police of Springfield")
    [model] = told["models"]
    assert (model["pack"], model["version"]) == ("custodes-1", "1.0")
    assert [n["role"] for n in model["networks"]] == ["detector", "landmarks", "embedder"]
    [rules] = told["rules"]
    assert rules["hash"] == told["searches"][0]["rules"]
    assert "base" in {b["id"] for b in rules["rulebooks"]}


def test_the_export_is_an_entry_that_commits_to_the_report(solved: Solved, report: LeadReport) -> None:
    """It names lead and case and opens to the report's hash; whoever it tells of finds it among the uses of a face."""
    entry = solved.world.entry(report.entry)
    assert (entry["request"]["action"], entry["outcome"]) == ("ExportLead", "done")
    assert (entry["lead_id"], entry["case"]) == (solved.lead.id, solved.case)
    [opening] = orjson.loads(report.seal)["openings"]
    assert (opening["name"], base64.b64decode(opening["value"]).decode()) == ("report", report.digest)
    rest = {k: v for k, v in orjson.loads(report.to_json()).items() if k != "seal"}
    assert report.digest == hashlib.sha256(orjson.dumps(rest, option=orjson.OPT_SORT_KEYS)).hexdigest()
    uses = solved.world.app.erasure.report(
        replace(solved.cara, case=None), solved.case, [report.candidates[-1].reference_id]
    ).uses
    assert report.entry in {u.index for u in uses}


def test_a_report_of_a_standing_list_names_what_was_seen_before(
    world: World, photos: dict[str, bytes], tmp_path: Path
) -> None:
    """A run that lists what is new alone leaves out what an earlier one has found; the report says so, and verifies."""
    solved = solve(world, photos, tmp_path / "in")
    work = world.app.casework
    world.app.identity.create_key(ME, principal=solved.cara.principal, purpose=Purpose.MISSING_PERSON)
    work.standing.stand(solved.cara, solved.case, threshold=1.0)
    brought_in(world, solved.cara, solved.case, {"again": photos["obama_2"] + b"\0"}, tmp_path / "more", again="again")
    assert work.standing.run_standing() == 1
    run = work.candidates.runs(solved.cara, solved.case)[0]
    [new] = work.candidates.listed(solved.cara, run.id).candidates
    work.review.submit(solved.cara, solved.case, [new.id])
    judge(world, reviewer(world, "rosa"), Answer.SUPPORTS, blind=False)
    judge(world, reviewer(world, "rolf"), Answer.SUPPORTS, blind=True)
    lead = work.leads.list(solved.cara, solved.case)[0]
    raw = work.leads.report(solved.cara, lead.id).to_json()
    assert {u["why"] for u in orjson.loads(raw)["unlisted"]} == {"seen-before"}
    found = verify_report(raw, world.app.ledger.vkey)
    assert found.problems == ()
    listed: Told = orjson.loads(raw)
    listed["run"]["kind"] = "references"
    assert any("seen before" in p for p in verify_report(orjson.dumps(listed)).problems)


def test_a_similarity_means_what_the_manifest_measured() -> None:
    """The rate is that of the highest knot at or below it; below the first, or without measurements, there is none."""
    knots = (Knot(-1, 0), Knot(0.2, 10, 0.1), Knot(0.4, 80, 0.0001), Knot(1, 100))
    model = ModelFacts("1", "pack", knots=knots, measured_on="pairs")
    found = [model.meaning(s, 1000) for s in (9.99, 10, 79.99, 80, 100)]
    assert [m and (m.from_similarity, m.by_chance) for m in found] == [
        None,
        (10, 100),
        (10, 100),
        (80, pytest.approx(0.1)),
        (80, pytest.approx(0.1)),
    ]
    assert ModelFacts("1").meaning(99, 5) is None
    assert "1 in 10,000 comparisons" in chance(found[3])
    assert "by chance" not in chance(model.meaning(80, None))
    assert "no false-match rate" in chance(None)


# --- who may ------------------------------------------------------------------------------------------------------


def test_leads_are_their_cases_members(solved: Solved) -> None:
    """Members list and read them; to others of the organisation, and to other organisations, there are none."""
    leads, world = solved.world.app.casework.leads, solved.world
    assert [k.id for k in leads.list(solved.cara)] == [solved.lead.id]
    assert leads.get(solved.cara, solved.lead.id).reviews == 2
    for stranger in (world.rescuer, world.officer):
        assert leads.list(stranger) == ()
        for call in (leads.get, leads.report):
            with pytest.raises(NotFound, match="no such lead"):
                call(stranger, solved.lead.id)
    with pytest.raises(NotFound, match="no such lead"):
        leads.report(solved.cara, "lead-0000000000000000")


def test_whoever_judges_blind_cannot_export(world: World, photos: dict[str, bytes], tmp_path: Path) -> None:
    """A member in a blind sitting with candidates of the same run gets no report, and no entry says there was one."""
    solved = solve(world, photos, tmp_path / "in")
    work = world.app.casework
    world.app.people.set_roles(ME, solved.cara.principal, [Role.USER, Role.REVIEWER])
    now = world.clock.now
    world.app.people.train(ME, solved.cara.principal, "face comparison", now, now + timedelta(days=30))
    rex = reviewer(world, "rex")
    second = work.candidates.listed(solved.cara, solved.run.id).candidates[1]
    work.review.submit(solved.cara, solved.case, [second.id])
    judge(world, solved.rita, Answer.SUPPORTS, blind=False)
    world.app.people.set_roles(ME, rex.principal, [Role.USER, Role.REVIEWER])
    with work.review._desk.db.transaction() as c:
        work.review._desk.files.add_member(c, solved.case, rex.principal)
    work.review.begin(rex, blind=True)
    with pytest.raises(Denied, match="blind"):
        work.leads.report(rex, solved.lead.id)


def test_what_the_rules_forbid_is_not_exported(world: World, photos: dict[str, bytes], tmp_path: Path) -> None:
    """A stop of the purpose forbids the export, and the refusal is an entry."""
    solved = solve(world, photos, tmp_path / "in")
    world.app.oversight.stop(world.olga, StopScope.PURPOSE, "missing-person", "for a test")
    leads = world.app.casework.leads
    assert world.denied(lambda: leads.report(solved.cara, solved.lead.id)) == ["base.stopped"]
    assert (world.entry()["request"]["action"], world.entry()["outcome"]) == ("ExportLead", "denied")


def test_sensitive_pictures_are_left_out_unless_asked_for(
    world: World, photos: dict[str, bytes], tmp_path: Path
) -> None:
    """Without asking there is none; asking for each is an entry, and the rules decide on it."""
    solved = solve(world, photos, tmp_path / "in", sensitive=True)
    leads = world.app.casework.leads
    made = leads.report(solved.cara, solved.lead.id)
    assert made.pictures == {}
    assert "Sensitive: not shown." in text_of(made.to_pdf())[0]
    before = world.app.ledger.size()
    assert len(leads.report(solved.cara, solved.lead.id, with_sensitive=True).pictures) == 2
    actions = [e["request"]["action"] for _, e in world.app.ledger.entries(before)]
    assert actions == ["ViewImage", "ViewImage", "ExportLead"]


def test_what_an_exigent_search_found_is_sealed_after_two_days(
    world: World, photos: dict[str, bytes], tmp_path: Path
) -> None:
    """Without an authority its lead is reported no more once 48 hours are over."""
    solved = solve(world, photos, tmp_path / "in", exigency="A child is in danger.")
    leads = world.app.casework.leads
    assert leads.report(solved.cara, solved.lead.id).searches[0].exigent
    world.clock.forward(hours=49)
    with pytest.raises(Denied, match="sealed") as caught:
        leads.report(solved.cara, solved.lead.id)
    assert caught.value.code == "base.results-sealed"


# --- checking -----------------------------------------------------------------------------------------------------


def test_a_report_is_checked_offline(report: LeadReport, vkey: str) -> None:
    """JSON and PDF alike hold; without the key from elsewhere it is said whose word it is."""
    for raw in (report.to_json(), report.to_pdf()):
        found = verify_report(raw, vkey)
        assert (found.problems, found.remarks) == ((), ())
        assert any("searches: 1, candidates: 6, reviews: 2" in h for h in found.holds)
    assert any("own word" in r for r in verify_report(report.to_json()).remarks)
    other = FileSigner(vkey.split("+")[0], bytes(32)).verifier_key
    assert any("not signed" in p for p in verify_report(report.to_json(), str(other)).problems)


def _similarity(told: Told) -> None:
    told["candidates"][1]["similarity"] = told["candidates"][1]["scores"][0]["similarity"] = 9.75


def _runner_up(told: Told) -> None:
    del told["candidates"][3]
    told["run"]["candidates"] -= 1


def _exchanged(told: Told) -> None:
    first, second = told["reviews"]
    first["by"], second["by"] = second["by"], first["by"]


def _answer(told: Told) -> None:
    told["reviews"][1]["answer"] = "supports-strongly"


def _note(told: Told) -> None:
    told["reviews"][1]["note"] = "No doubt at all."


def _one_review(told: Told) -> None:
    del told["reviews"][0]


def _signature(told: Told) -> None:
    note = told["ledger"]["checkpoint"]
    last = note.rstrip("\n").rpartition(" ")[2]
    blob = bytearray(base64.b64decode(last))
    blob[20] ^= 1
    forged = note.replace(last, base64.b64encode(blob).decode())
    told["ledger"]["checkpoint"] = forged
    for one in told["ledger"]["disclosures"]:
        one["checkpoint"] = forged


def _proof(told: Told) -> None:
    del told["ledger"]["disclosures"][0]


def _half_a_proof(told: Told) -> None:
    told["ledger"]["disclosures"][0]["proof"].pop()


def _another_entry(told: Told) -> None:
    told["ledger"]["disclosures"][0]["entry"] = told["ledger"]["disclosures"][1]["entry"]


def _opening(told: Told) -> None:
    opening = told["ledger"]["disclosures"][0]["openings"][1]
    opening["value"] = base64.b64encode(b'["43ad49cb",9.7]').decode()


def _probe(told: Told) -> None:
    told["images"][told["searches"][0]["probe"]]["sha256"] = "0" * 64


def _size(told: Told) -> None:
    told["searches"][0]["collection_size"] = 1_000_000


def _search(told: Told) -> None:
    told["searches"].clear()


def _case(told: Told) -> None:
    told["case"]["id"] = "case-0000000000000000"


def _lead(told: Told) -> None:
    told["lead"]["candidate"] = told["candidates"][1]["candidate"]


def _source(told: Told) -> None:
    told["images"][told["candidates"][0]["image"]]["source"] = "a public register"


def _statement(told: Told) -> None:
    told["statement"] = "Identified."


def _seal(told: Told) -> None:
    del told["seal"]


def _trained(told: Told) -> None:
    told["reviews"][0]["trained"] = False


def _added(told: Told) -> None:
    told["candidates"].append(told["candidates"][-1] | {"candidate": "cand-1", "rank": 7, "reference": "nobody"})


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (_similarity, "says 9.7"),
        (_runner_up, "A candidate is missing"),
        (_exchanged, "says: by."),
        (_answer, "says: answer."),
        (_note, "checklist or note"),
        (_one_review, "a review is missing"),
        (_signature, "not the key's own"),
        (_proof, "has no proof"),
        (_half_a_proof, "isn't proven"),
        (_another_entry, "isn't proven"),
        (_opening, "doesn't commit to what is shown"),
        (_probe, "another photo"),
        (_size, "collection_size"),
        (_search, "has made 1 searches, and 0 are told"),
        (_case, "of another case"),
        (_lead, "its reviews don't make it a lead"),
        (_source, "isn't what was exported"),
        (_statement, "isn't what was exported"),
        (_seal, "The seal doesn't hold"),
        (_trained, "says: trained."),
        (_added, "and 7 are told"),
    ],
)
def test_whatever_is_changed_is_found(told: Told, vkey: str, change: Callable[[Told], None], found: str) -> None:
    """Each change is named for what it is; the seal finds it too, whatever it was."""
    change(told)
    problems = verify_report(orjson.dumps(told), vkey).problems
    assert any(found in p for p in problems), problems
    assert any("isn't what was exported" in p or "seal" in p for p in problems), problems


@pytest.mark.parametrize("value", [None, 7, "text", [], {}, [1], [{"a": {}}]])
def test_no_malformed_report_breaks_the_check(told: Told, vkey: str, value: object) -> None:
    """Any part may be anything: the check says what doesn't hold, and raises nothing but that it is no report."""
    changed = [{name: value} for name in set(told) - {"form"} if told[name] != value]
    for part in ("lead", "case", "run"):
        changed += [{part: told[part] | {name: value}} for name in told[part] if told[part][name] != value]
    for part in ("searches", "candidates", "reviews"):
        first = told[part][0]
        changed += [{part: [first | {name: value}, *told[part][1:]]} for name in first if first[name] != value]
    for change in changed:
        assert not verify_report(orjson.dumps(told | change), vkey).sound, change
    for raw in (b"", b"[]", b"{}", b"%PDF-1.7 nothing", orjson.dumps(value)):
        with pytest.raises(Invalid):
            verify_report(raw)


def test_what_was_erased_is_said_and_the_rest_holds(world: World, photos: dict[str, bytes], tmp_path: Path) -> None:
    """An erased runner-up leaves a gap in the ranks and an opening that is gone; an erased lead leaves nothing."""
    solved = solve(world, photos, tmp_path / "in")
    leads = world.app.casework.leads
    made = leads.report(solved.cara, solved.lead.id)
    world.app.erasure.erase(solved.cara, solved.case, [made.candidates[2].reference_id])
    raw = leads.report(solved.cara, solved.lead.id).to_json()
    assert [k["rank"] for k in orjson.loads(raw)["candidates"]] == [1, 2, 4, 5, 6]
    found = verify_report(raw, world.app.ledger.vkey)
    assert found.problems == ()
    assert any("1 more, which aren't opened" in r for r in found.remarks)
    assert any("had 6 candidates and has 5" in r for r in found.remarks)
    world.app.erasure.erase(solved.cara, solved.case, [made.candidate.reference_id])
    with pytest.raises(NotFound, match="erased"):
        leads.report(solved.cara, solved.lead.id)


def test_a_cosigned_checkpoint_is_preferred(world: World, photos: dict[str, bytes], tmp_path: Path) -> None:
    """Proofs are under the newest checkpoint that a witness has signed, if it covers them; its line is checked."""
    solved = solve(world, photos, tmp_path / "in")
    app = world.app
    witness = FileSigner("witness.example/w1", bytes(range(32)), KeyKind.COSIGNATURE)
    app.ledger.add_witness(ME, str(witness.verifier_key))
    note = Witness(witness, VerifierKey.parse(app.ledger.vkey)).cosign(app.ledger.checkpoint(fresh=True), (), 1)
    app.ledger.accept_cosignature(note)
    raw = app.casework.leads.report(solved.cara, solved.lead.id).to_json()
    assert orjson.loads(raw)["ledger"]["checkpoint"] == note
    found = verify_report(raw, app.ledger.vkey)
    assert found.problems == ()
    assert any("cosigned by witness.example/w1" in h for h in found.holds)
    forged = raw.replace(str(witness.verifier_key).encode(), str(_other_witness(witness.name)).encode())
    assert "cosigned" not in " ".join(verify_report(forged, app.ledger.vkey).holds)


def _other_witness(name: str) -> VerifierKey:
    return FileSigner(name, bytes(range(1, 33)), KeyKind.COSIGNATURE).verifier_key


# --- the document -------------------------------------------------------------------------------------------------


def test_the_pdf_says_what_the_report_says(report: LeadReport) -> None:
    """Its first page begins with the statement; all candidates, answers and limits are there; the JSON is attached."""
    pdf = report.to_pdf()
    whole, pages = text_of(pdf)
    assert pages[0].index(STATEMENT) < pages[0].index(report.lead.id)
    assert all(STATEMENT in page for page in pages)
    assert f"Page {len(pages)} of {len(pages)}" in pages[-1]
    packed = whole.replace(" ", "")
    assert all(k.reference_id in packed for k in report.candidates)
    assert "Strongly supports that both show one person" in whole
    assert "The same scar above the left eyebrow" in whole
    assert report.digest in packed
    assert report.exhibits.vkey.replace(" ", "") in packed
    assert pypdf.PdfReader(io.BytesIO(pdf)).attachments == {"lead-report.json": [report.to_json()]}
    assert len(list(pypdf.PdfReader(io.BytesIO(pdf)).pages[0].images)) == 2


def test_the_same_report_is_the_same_document(report: LeadReport) -> None:
    """Nothing but the report goes into the bytes; they change with the time at which it was made."""
    assert report.to_pdf() == report.to_pdf()
    assert replace(report, made_at=report.made_at + timedelta(days=1)).to_pdf() != report.to_pdf()


@pytest.mark.parametrize("text", [HOSTILE, MARKUP, "W" * 118])
def test_hostile_texts_break_nothing(world: World, photos: dict[str, bytes], tmp_path: Path, text: str) -> None:
    """Names, titles, notes in any writing, very long, like markup: shown as text or as marks, whole in the JSON."""
    note = (text + "\n") * 30
    solved = solve(
        world, photos, tmp_path / "in", title=text[:118].strip(), reference=text[:100].strip(), note=note[:3999]
    )
    made = world.app.casework.leads.report(solved.cara, solved.lead.id)
    pdf = made.to_pdf()
    told = orjson.loads(made.to_json())
    assert told["case"]["title"] == text[:118].strip()
    assert told["reviews"][0]["note"] == note[:3999].strip()
    assert pypdf.PdfReader(io.BytesIO(pdf)).attachments["lead-report.json"] == [made.to_json()]
    assert verify_report(pdf, world.app.ledger.vkey).problems == ()
    whole, _ = text_of(pdf)
    assert (whole.count(MARK) > 1) == (text == HOSTILE)  # what the mark means is always said
    assert ("{nb}" in whole) == ("{nb}" in text)


def test_what_cannot_be_shown_is_marked() -> None:
    """Control characters, turned direction, other writings and what the font lacks become one mark each."""
    assert visible("a\x00b\u202ec\u200bd") == f"a{MARK}b{MARK}c{MARK}d"
    assert visible("漢עא") == MARK * 3
    assert visible("Łódź Ελλ Привет Việt") == "Łódź Ελλ Привет Việt"
    assert visible("a\r\nb\tc") == "a b c"
    assert visible("a\r\nb", lines=True) == "a\nb"
    assert visible("x" * 50, 10) == "x" * 9 + "…"
    assert visible("\U0001f600\ud800") == MARK * 2
