# SPDX-License-Identifier: Apache-2.0
"""``custodes review``: what waits, how reviewers did, control photos, and putting candidates into review."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.test_cli_rules import House
from tests.operations.conftest import PHOTOS, START

from custodes.app import App
from custodes.casework import CandidateState, FoundCandidate, ImageRole, Run, RunKind, RunState, Similar
from custodes.config import Config
from custodes.governance import Caller, Purpose
from custodes.operations.desk import Origin

FAMILY = Origin("case-file", "the parents' request", "the family")


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Rescuers with an administrator who leads a case, a trained reviewer, and one whose training is missing."""
    made = House(tmp_path / "data")
    made.ids["rescue"] = made.tell("org", "add", "Rescue", "--class", "victim-rescue", "--jurisdiction", "US-CA")["id"]
    for name, *roles in (("ann", "admin", "user"), ("ben", "reviewer"), ("eve", "reviewer")):
        options = [part for role in roles for part in ("--role", role)]
        identifier = f"{name}@example.org"
        told = made.tell("people", "add", name, "--id", identifier, "--org", made.ids["rescue"], *options)
        made.ids[name] = told["id"]
        made.key(name, name, "missing-person")
    made.tell("people", "train", made.ids["ben"], "face comparison", "--since", "2026-01-01", "--days", "3650")
    return made


def with_candidates(house: House) -> tuple[str, str, str]:
    """Open Ann's case with two candidates, one of which has no photo; return the case and both."""
    app = App.open(Config(data=house.data))
    ann = Caller(house.ids["ann"], Purpose.MISSING_PERSON)
    case = app.casework.cases.open(ann, Purpose.MISSING_PERSON, "Lena").id
    photo = (PHOTOS / "biden.jpg").read_bytes()
    image = app.casework.cases.add_photo(ann, case, photo, FAMILY, ImageRole.PROBE).id
    ids = ("cand-0000000000000001", "cand-0000000000000002")
    found = [
        FoundCandidate(
            name, "run-1", case, n + 1, f"ref-{n}", "uid", 98.5, CandidateState.FOUND, None if n else image, 0, None,
            n, None, (Similar(image, 0, 98.5),),
        )
        for n, name in enumerate(ids)
    ]  # fmt: skip
    desk = app.casework.review._desk
    with desk.db.transaction() as c:
        desk.searches.begin_run(c, Run("run-1", case, RunKind.PHOTO, START, ann.principal, None))
        desk.searches.end_run(c, "run-1", RunState.DONE, found)
    app.close()
    return (case, *ids)


def test_candidates_are_put_into_review_and_wait(house: House) -> None:
    """Who may judge is told how many; who mayn't is told why; what has no photo is refused with what to do."""
    case, good, bare = with_candidates(house)
    refused = house.refuse("review", "submit", case, good, bare, by="ann")
    assert (refused["error"], "Attach" in refused["remedy"]) == ("Invalid", True)
    assert house.refuse("review", "submit", case, good)["error"] == "NotFound"  # the operator doesn't work on it
    assert house.tell("review", "submit", case, good, by="ann") == {"case": case, "submitted": 1}
    told = house.tell("review", "queue", by="ben")
    assert (told["first"], told["blind"], told["locked"], told["sittings"]) == (1, 0, None, [])
    assert told["trained_until"] == "2035-12-30T00:00:00Z"
    assert "To judge first: 1" in house.say("review", "queue", by="ben")
    assert house.tell("review", "queue", by="eve")["locked"] == "training"
    assert "custodes people train" in house.say("review", "queue", by="eve")
    assert "role reviewer" in house.say("review", "queue", by="ann")


def test_figures_are_told(house: House) -> None:
    """An administrator sees all reviewers, a reviewer their own; nothing is a rate of nothing."""
    rows = house.tell("review", "figures", by="ann")
    assert [(r["name"], r["reviews"], r["error_rate"], r["error_interval"]) for r in rows] == [
        ("ben", 0, None, None),
        ("eve", 0, None, None),
    ]
    assert [r["name"] for r in house.tell("review", "figures", "--since", "2026-01-01", by="eve")] == ["eve"]
    words = house.say("review", "figures", by="ann")
    assert "0 of 0" in words
    assert "not valid" in words


def test_control_photos(house: House) -> None:
    """Added, listed and destroyed by administrators, or by the operator for an organisation; by nobody else."""
    photo = str(PHOTOS / "collins.png")
    add = ("review", "controls", "add", photo, "--provenance", "consented", "--source", "a volunteer")
    made = house.tell(*add, by="ann")
    assert (made["faces"], made["id"].startswith("img-")) == (1, True)
    assert house.refuse(*add, by="ann")["error"] == "Conflict"
    assert house.refuse(*add, by="ben")["error"] == "Refused"
    assert house.refuse("review", "controls", "list", by="ben")["error"] == "Denied"
    assert house.refuse("review", "controls", "add", photo, "--provenance", "scraped", by="ann")["error"] == "Invalid"
    assert house.refuse("review", "controls", "add", "nowhere.jpg", "--provenance", "consented", by="ann")
    [row] = house.tell("review", "controls", "list", "--org", house.ids["rescue"])
    assert (row["id"], row["name"], row["provenance"]) == (made["id"], "collins.png", "consented")
    assert made["id"] in house.say("review", "controls", "list", by="ann")
    assert house.tell("review", "controls", "list") == []
    assert house.tell("review", "controls", "remove", made["id"], by="ann") == {"id": made["id"], "removed": True}
    assert house.tell("review", "controls", "list", by="ann") == []
    assert house.refuse("review", "controls", "remove", made["id"], by="ann")["error"] == "NotFound"
