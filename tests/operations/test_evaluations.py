# SPDX-License-Identifier: Apache-2.0
"""Evaluations as uses: authorised, measured, kept, recorded, published; and what the rules get to know of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.evaluation import examples
from tests.evaluation.made import MadeUp
from tests.operations import conftest
from tests.operations.conftest import ME, World, open_world

from custodes.errors import Denied, Invalid, NotFound
from custodes.evaluation.results import CrossFigures, Interval, Rate, Settings, Verification, to_json
from custodes.governance import Caller, Evaluations, OrgClass, Purpose, Role
from custodes.operations.evaluations import Kept
from custodes.operations.gating import Bounds
from custodes.operations.gauging import verdict_of
from custodes.operations.measuring import AttackJob, DetectionJob, IdentificationJob, RobustnessJob, VerificationJob
from custodes.operations.signed import verify_signed

FAST = Settings(99.0, rounds=100, least_subjects=2)
BARACK, BARACKS, JOE, EILEEN = "obama_1.jpg", "obama_2.jpg", "biden.jpg", "collins.png"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An installation that the tests of this file share."""
    made = open_world(tmp_path_factory.mktemp("lab") / "data")
    yield made
    made.app.close()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, photos: dict[str, bytes]) -> Path:
    """A folder of three people's small photos."""
    folder = tmp_path_factory.mktemp("images")
    for name in (BARACK, BARACKS, JOE):
        (folder / name).write_bytes(photos[name.removesuffix(".jpg")])
    return folder


def table(folder: Path, name: str, *rows: str) -> Path:
    """Write a table."""
    path = folder / name
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One person twice, and two different people, twice."""
    return table(
        tmp_path_factory.mktemp("tables"),
        "pairs.csv",
        "image_a,image_b,mated,subject_a,subject_b",
        f"{BARACK},{BARACKS},1,b,b",
        f"{BARACK},{JOE},0,b,j",
        f"{BARACKS},{JOE},0,b,j",
    )


@pytest.fixture(scope="module")
def kept(lab: World, images: Path, pairs: Path) -> Kept:
    """An evaluation that the operator has made."""
    return lab.app.evaluations.measure(ME, VerificationJob(pairs, images, FAST, "Three portraits")).kept


def test_an_evaluation_is_kept_and_its_entry_tells_of_it_without_names(lab: World, kept: Kept) -> None:
    """The entry has counts, hashes and the model; titles, files and people stay out of it."""
    figures = kept.evaluation.figures
    assert isinstance(figures, Verification)
    assert (figures.mated, figures.non_mated, figures.enrolment.failure.events) == (1, 2, 0)
    assert kept.current
    assert kept.evaluation.scores_sha256 == ""  # nobody asked for scores
    entry = lab.entry(kept.record.entry or -1)
    assert entry["request"]["action"] == "Evaluate"
    assert entry["evaluation"] == kept.record.id
    assert entry["fingerprint"] == kept.evaluation.deployed.fingerprint == lab.app.engines.fingerprint("")
    assert (entry["photos"], entry["people"], entry["discloses"]) == (3, 2, [])
    assert kept.evaluation.dataset.sha256 not in str(entry)  # whoever has the photos could test for them
    assert not re.search("obama|biden|portrait", str(entry))
    assert kept.evaluation.rules_hash == entry["rules_hash"]


def test_a_kept_evaluation_is_what_the_ledger_commits_to(lab: World, kept: Kept) -> None:
    """The signed form verifies offline; one letter changed doesn't."""
    signed = lab.app.evaluations.signed(kept)
    assert verify_signed(signed, lab.app.ledger.vkey).sound
    assert to_json(kept.evaluation).decode()[:100] in signed.decode().replace('\\"', '"')
    assert not verify_signed(signed.replace(b"Three", b"Seven"), lab.app.ledger.vkey).sound


def test_who_may_evaluate(lab: World, images: Path, pairs: Path) -> None:
    """It takes an administrator, and photos of which it is stated where they come from, and not from cases."""
    job = VerificationJob(pairs, images, FAST)
    officer = replace(lab.officer, provenance="own")
    assert lab.denied(lambda: lab.app.evaluations.measure(officer, job)) == ["base.evaluate-role"]
    chief = lab.app.people.add(ME, lab.police, "chief@pd.example", "Chief", [Role.ADMIN])
    admin = Caller(chief.id, Purpose.CRIMINAL_INVESTIGATION)
    for provenance in ("case-file", "scraped", None):
        caller = replace(admin, provenance=provenance)
        assert lab.denied(lambda c=caller: lab.app.evaluations.measure(c, job)) == ["base.evaluate-provenance"]
    may = replace(admin, provenance="consented")  # while a moratorium forbids them to search
    for what in ("scores", "faces"):
        ask = lambda w=what: lab.app.evaluations.measure(may, job, discloses=frozenset({w}))  # noqa: E731
        assert lab.denied(ask) == ["base.evaluate-scores"]
    with pytest.raises(Invalid, match="30 at least"):
        lab.app.evaluations.measure(may, job)
    made = lab.app.evaluations.measure(may, MadeUp(examples.verification(), similarity=99.0)).kept
    assert made.record.organisation == lab.police


def test_what_cannot_be_meant_is_an_entry_and_nothing_is_kept(lab: World, images: Path, tmp_path: Path) -> None:
    """A broken table stops everything, its rows are named, and the ledger has the attempt."""
    before = len(lab.app.evaluations.list(ME))
    rows = ("image_a,image_b,mated", f"{BARACK},{BARACKS},1", f"{BARACK},nobody.jpg,0")
    with pytest.raises(Invalid, match=r"nobody\.jpg"):
        lab.app.evaluations.measure(ME, VerificationJob(table(tmp_path, "p.csv", *rows), images, FAST))
    assert lab.entry()["outcome"] == "failed"
    assert len(lab.app.evaluations.list(ME)) == before


def test_what_tells_of_few_people_is_not_published(lab: World, kept: Kept) -> None:
    """A figure of two people is a figure of each of them."""
    with pytest.raises(Invalid, match="of 2 people"):
        lab.app.evaluations.publish(ME, kept.record.id)
    assert lab.app.evaluations.published() == ()


def test_others_see_nothing_until_it_is_published(lab: World) -> None:
    """The owner decides; strangers and other organisations get it when it is published, and not any more after."""
    ours = lab.app.evaluations
    kept = ours.measure(ME, MadeUp(examples.verification())).kept
    with pytest.raises(NotFound):
        ours.get(lab.officer, kept.record.id)
    with pytest.raises(NotFound):
        ours.get_published(kept.record.id)
    with pytest.raises((NotFound, Denied)):
        ours.publish(lab.rescuer, kept.record.id)
    assert kept.record.id in [r.id for r in ours.list(lab.olga)]
    assert ours.publish(ME, kept.record.id).published_at == lab.clock.now
    assert lab.entry()["change"] == "evaluation-published"
    assert ours.get_published(kept.record.id).evaluation == kept.evaluation
    assert [r.id for r in ours.published()] == [kept.record.id]
    assert "<img" not in ours.report(kept, published=True)
    ours.withdraw(ME, kept.record.id)
    assert ours.published() == ()


def test_every_kind_can_be_measured_and_read_again(
    lab: World, images: Path, tmp_path: Path, photos: dict[str, bytes]
) -> None:
    """Identification, detection, and attacks are kept like verification, and have no verdict for the gate."""
    gallery = table(tmp_path, "gallery.csv", "image,subject", f"{BARACK},b")
    probes = table(tmp_path, "probes.csv", "image,subject", f"{BARACKS},b", f"{JOE},j")
    marks = table(tmp_path, "marks.csv", "image,x,y", f"{BARACK},{320 * 2 // 3},200")
    scores = table(tmp_path, "scores.csv", "presentation,score", *["bona fide,0.9"] * 5, *["print,0.1"] * 5)
    measure = lab.app.evaluations.measure
    found = measure(ME, IdentificationJob(gallery, probes, images, FAST)).kept
    assert (found.evaluation.figures.mated, found.evaluation.figures.non_mated) == (1, 1)  # type: ignore[union-attr]
    for job in (DetectionJob(marks, images, FAST), AttackJob(scores, 0.5, FAST)):
        done = measure(ME, job).kept
        assert lab.app.evaluations.get(ME, done.record.id).evaluation == done.evaluation
        assert done.record.verdict is None
        assert done.evaluation.figures.kind == job.kind


def test_groups_of_pairs_need_a_table_of_labels(images: Path, pairs: Path) -> None:
    """The refusal names the option by which it is given."""
    for more in ({"by": ("sex",)}, {"taken": "year"}):
        with pytest.raises(Invalid, match="--by, --taken") as caught:
            VerificationJob(pairs, images, FAST, **more).data()  # type: ignore[arg-type]
        assert "--labels" in caught.value.remedy


def test_robustness_takes_pairs_evenly(lab: World, images: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data set names what was taken of the table, and the hash is of the photos that were used."""
    seen: list[Any] = []

    def look(engine: object, mated: object, non_mated: object, *args: object, **more: object) -> object:
        seen.append((mated, non_mated))
        raise Invalid("enough")

    monkeypatch.setattr("custodes.operations.measuring.robustness", look)
    with pytest.raises(Invalid, match="enough"):
        lab.app.evaluations.measure(ME, RobustnessJob(pairs, images, FAST, pairs=1))
    assert [[p.name for p in pair] for pair in seen[0][0]] == [[BARACK, BARACKS]]
    assert len(seen[0][1]) == 1


def test_the_gate_tells_what_an_organisation_has(lab: World, kept: Kept) -> None:
    """Police are asked by evaluation-gate; others only where evaluate-first is in force."""
    police = lab.app.evaluations.gate(lab.officer)
    assert police.demanded == ("evaluation-gate",)
    assert police.current
    ours = lab.app.evaluations.gate(ME)
    assert (ours.demanded, ours.refused, ours.bounds) == ((), (), None)
    assert ours.passes
    assert ours.record is not None
    rescuers = lab.app.evaluations.gate(lab.rescuer)
    assert (rescuers.record, rescuers.current, rescuers.passes) == (None, False, True)


def test_the_gate_asks_the_rules_themselves(world: World) -> None:
    """Passed or refused as a search would be, by which rules, and within which bounds."""
    gate = world.app.evaluations.gate
    found = gate(world.officer)
    assert (found.passes, found.similarity, found.attempts) == (True, 99.0, 1)
    assert found.bounds == Bounds(days=365, groups=2, false_match_ppm=1_000, false_non_match_ppm=100_000)
    world.clock.forward(hours=1)
    world.evaluated(similarity=99.0, false_match_ppm=1_000, false_non_match_ppm=100_000)
    assert gate(world.officer).passes
    world.clock.forward(hours=1)
    world.evaluated(similarity=99.5, false_match_ppm=1_001, enough=False)
    found = gate(world.officer)
    assert [r.id.removeprefix("evaluation-gate.") for r in found.refused] == ["data", "threshold", "false-matches"]
    assert all(r.explain and "--all-pairs --by COLUMN --similarity" in r.remedy for r in found.refused)
    assert (found.passes, found.attempts) == (False, 3)
    world.clock.forward(days=400)
    assert "evaluation-gate.old" in [r.id for r in gate(world.officer).refused]


def test_the_verdict_is_the_worst_groups_and_no_data_is_the_worst(kept: Kept) -> None:
    """Upper ends of intervals count; a rate without one counts as a million in a million."""
    figures = kept.evaluation.figures
    assert isinstance(figures, Verification)
    verdict = verdict_of(kept.evaluation)
    assert verdict is not None
    assert (verdict.groups, verdict.enough) == (0, False)
    point = figures.points[-1]
    told = replace(figures, points=(replace(point, false_match=Rate(0, 9, 0.0, Interval(0.0, 0.0123456))),))
    assert verdict_of(replace(kept.evaluation, figures=told)).false_match_ppm == 12_346  # type: ignore[union-attr]
    silent = replace(figures, points=(replace(point, false_match=Rate(0, 0, None)),))
    assert verdict_of(replace(kept.evaluation, figures=silent)).false_match_ppm == 1_000_000  # type: ignore[union-attr]


def test_a_tester_evaluates_for_itself(lab: World, images: Path, pairs: Path) -> None:
    """A tester's evaluation is the tester's: it opens no gate of anybody else."""
    tester = lab.app.people.add_organisation(ME, "Lab", OrgClass.TESTER, "US").id
    who = lab.app.people.add(ME, tester, "tess@lab.example", "Tess", [Role.USER])
    caller = Caller(who.id, Purpose.TESTING, provenance="consented")
    made = lab.app.evaluations.measure(caller, VerificationJob(pairs, images, FAST)).kept
    with lab.app._database.read() as c:
        verdicts = Evaluations().verdicts(c)
    assert [r.id for r in verdicts[tester]] == [made.record.id]
    assert conftest.ME.principal not in [r.made_by for r in verdicts[tester]]


def test_a_group_of_blank_photos_and_copies_is_no_data(kept: Kept) -> None:
    """People without templates make no group, and photos that give none no denominator that rules rely on."""
    figures = examples.verification()
    whole = figures.points[1]
    group = examples.many_groups(0).groups[0]
    good = replace(examples.many_groups(0), groups=(replace(group, name="a"), replace(group, name="b")))

    def enough(**changes: Any) -> bool:
        told = replace(good, groups=(good.groups[0], replace(group, name="b", **changes)))
        made = replace(figures, points=(whole,), differentials=(told,))
        verdict = verdict_of(replace(kept.evaluation, figures=made))
        assert verdict is not None
        return verdict.enough

    assert enough()
    assert not enough(compared=29)  # whatever least the evaluator has asked for
    assert not enough(failure=Rate(20, 200, 0.1, Interval(0.06, 0.15)))
    assert not enough(enough=False)


def test_the_verdict_knows_of_the_whole_and_of_pairs_of_groups(kept: Kept) -> None:
    """False matches between groups, and of those in none, count like those within."""
    figures, good = examples.verification(), examples.many_groups(0)
    bad = Rate(90, 1000, 0.09, Interval(0.07, 0.11))
    cross = CrossFigures("a", "b", bad)
    whole = replace(figures.points[1], false_match=bad)
    for points, crosses in (((whole,), ()), ((figures.points[1],), (cross,))):
        made = replace(figures, points=points, differentials=(replace(good, crosses=crosses),))
        verdict = verdict_of(replace(kept.evaluation, figures=made))
        assert verdict is not None
        assert verdict.false_match_ppm == 110_000
    told = replace(good, unlabelled=200)
    few = replace(kept.evaluation, figures=replace(figures, differentials=(told,)))
    assert not verdict_of(few).enough  # type: ignore[union-attr]


def test_who_is_suspended_reads_nothing(lab: World, kept: Kept) -> None:
    """To read takes somebody who may act; a key that has expired doesn't do."""
    late = replace(ME, key_expires=lab.clock.now)
    for read in (lab.app.evaluations.list, lab.app.evaluations.gate):
        with pytest.raises(Denied, match="expired"):
            read(late)
    gone = lab.app.people.add(ME, lab.rescue, "gone@rescue.example", "Gone", [Role.ADMIN]).id
    lab.app.people.suspend(ME, gone, suspended=True)
    with pytest.raises(Denied, match="suspended"):
        lab.app.evaluations.get(Caller(gone, Purpose.MISSING_PERSON), kept.record.id)


def test_what_a_suspended_organisation_published_is_off_the_page(lab: World) -> None:
    """And the operator may withdraw what others have published."""
    lab_id = lab.app.people.add_organisation(ME, "Labs", OrgClass.TESTER, "US").id
    who = lab.app.people.add(ME, lab_id, "t@labs.example", "T", [Role.ADMIN, Role.USER]).id
    caller = Caller(who, Purpose.TESTING, provenance="consented")
    made = lab.app.evaluations.measure(caller, MadeUp(examples.verification())).kept.record
    lab.app.evaluations.publish(caller, made.id)
    assert [r.id for r in lab.app.evaluations.published()] == [made.id]
    lab.app.people.suspend_organisation(ME, lab_id, suspended=True)
    assert lab.app.evaluations.published() == ()
    with pytest.raises(NotFound):
        lab.app.evaluations.get_published(made.id)
    assert lab.app.evaluations.withdraw(ME, made.id).published_at is None
