# SPDX-License-Identifier: Apache-2.0
"""A case as it comes to a lead: photos that are imported, a search, reviews by two people, all by the operations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from tests.operations.conftest import ME, PHOTOS, START, World

from custodes.casework import Answer, CandidateState, Lead, Run
from custodes.governance import Caller, Purpose, Role
from custodes.operations.desk import Origin
from custodes.operations.sources import SourceKind

FAMILY = Origin(
    "case-file", "the parents' request", "the family", name="lena.jpg", taken_at=START - timedelta(days=4000)
)
AGREED = Origin("consented", "written release", "a volunteer", taken_at=START - timedelta(days=1000))


@dataclass
class Solved:
    """A case with a lead.

    Attributes:
        cara: leads the case.
        rita, ruth: its reviewers.
        run: whose candidate became the lead.
    """

    world: World
    cara: Caller
    rita: Caller
    ruth: Caller
    case: str
    run: Run
    lead: Lead


def brought_in(world: World, cara: Caller, case: str, photos: dict[str, bytes], folder: Path, **names: str) -> str:
    """Import photos into a case, by the names that they get, and return the import's id."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, photo in names.items():
        (folder / f"{name}.jpg").write_bytes(photos[photo])
    imports = world.app.casework.imports
    made = imports.begin(
        cara,
        case,
        SourceKind.FOLDER,
        str(folder),
        provenance="case-file",
        basis="the parents' request",
        source="the police of Springfield",
        at_once=True,
    )
    imports.work(cara, made.id)
    return made.id


def reviewer(world: World, name: str) -> Caller:
    """Return a trained reviewer of the rescuers."""
    made = world.rescuer_called(name, Role.REVIEWER)
    now = world.clock.now
    world.app.people.train(ME, made.principal, "face comparison", now, now + timedelta(days=30))
    return made


def judge(world: World, who: Caller, answer: Answer, *, blind: bool, note: str = "") -> None:
    """Make a sitting and give one answer to all its candidates; controls are told apart."""
    review = world.app.casework.review
    sitting = review.begin(who, blind=blind)
    for item in sitting.items:
        review.item(who, item)
        world.clock.forward(seconds=40)
        with review._desk.db.read() as c:
            real = review._desk.reviews.item(c, item).candidate is not None
        checklist = {"eyes": "similar", "nose": "similar", "ears": "not-visible"} if real else {"nose": "different"}
        review.answer(who, item, answer if real else Answer.CONTRADICTS, checklist, note if real else "")


def solve(
    world: World,
    photos: dict[str, bytes],
    folder: Path,
    *,
    title: str = "Lena",
    reference: str = "SPD 2027/12",
    note: str = "The same scar above the left eyebrow; hairline agrees.",
    sensitive: bool = False,
    exigency: str | None = None,
) -> Solved:
    """Open a case, import three photos, search with low demands, and let two people judge the best candidate."""
    app, cara = world.app, world.rescuer_called("cara")
    case = app.casework.cases.open(
        cara, Purpose.MISSING_PERSON, title, reference=reference, about="Missing since May.", sensitive=sensitive
    ).id
    app.casework.cases.add_photo(cara, case, photos["obama_1"], FAMILY)
    brought_in(world, cara, case, photos, folder, found="obama_2", biden="biden", group="group")
    world.clock.forward(minutes=5)
    run = app.casework.searches.search_references(replace(cara, exigency=exigency), case, threshold=1.0)
    best = app.casework.candidates.listed(cara, run.id).candidates[0]
    app.casework.controls.add(cara, (PHOTOS / "collins.png").read_bytes(), AGREED)
    rita, ruth = reviewer(world, "rita"), reviewer(world, "ruth")
    app.casework.review.submit(cara, case, [best.id])
    world.clock.forward(hours=1)
    judge(world, rita, Answer.SUPPORTS_STRONGLY, blind=False, note=note)
    world.clock.forward(hours=1)
    judge(world, ruth, Answer.SUPPORTS, blind=True, note="Blind: ears can't be seen.")
    [lead] = app.casework.leads.list(cara, case)
    with app.casework.review._desk.db.read() as c:
        assert app.casework.review._desk.searches.candidate(c, lead.candidate).state == CandidateState.LEAD
    world.clock.forward(minutes=10)
    return Solved(world, cara, rita, ruth, case, run, lead)
