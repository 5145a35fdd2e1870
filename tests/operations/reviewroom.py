# SPDX-License-Identifier: Apache-2.0
"""A case with photos, candidates and reviewers, for tests of reviews."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import cv2
import numpy as np
from tests.operations.conftest import ME, PHOTOS, START, World

from custodes.casework import Answer, CandidateState, FoundCandidate, ImageRole, Run, RunKind, RunState, Similar
from custodes.governance import Caller, Purpose, Role
from custodes.operations.comparing import SittingView
from custodes.operations.desk import Origin

YES, NO, UNSURE = Answer.SUPPORTS, Answer.CONTRADICTS, Answer.INCONCLUSIVE
FAMILY = Origin("case-file", "the parents' request", "the family", taken_at=START - timedelta(days=4000))
AGREED = Origin("consented", "written release", "a volunteer", taken_at=START - timedelta(days=1000))
SIMILARITIES = (98.7654, 97.6543, 96.5432, 95.4321, 94.3219, 93.2198)
_FACES = (("obama_2", 0), ("biden", 0), ("group", 0), ("group", 1), ("group", 2), ("group", 3))


@dataclass
class Room:
    """A case of the rescuers with one reference photo, photos of six candidates, and its lead, Cara.

    Attributes:
        images: ids of the photos, by name.
        run: the run whose candidates they are.
    """

    world: World
    cara: Caller
    case: str
    images: dict[str, str] = field(default_factory=dict)
    run: str = "run-0000000000000001"

    def reviewer(self, name: str, *, days: int = 30) -> Caller:
        """Return a trained reviewer of the rescuers."""
        made = self.world.rescuer_called(name, Role.REVIEWER)
        now = self.world.clock.now
        self.world.app.people.train(ME, made.principal, "face comparison", now, now + timedelta(days=days))
        return made

    def found(self, count: int = 1, run: str = "", references: Sequence[str] = ()) -> list[str]:
        """Keep a run with candidates, and return their ids by rank."""
        run, desk = run or self.run, self.desk
        ids = references or [str(uuid4()) for _ in range(count)]
        made = [
            FoundCandidate(
                id=f"cand-{uuid4().hex[:16]}",
                run=run,
                case=self.case,
                rank=n + 1,
                reference_id=reference,
                collection="uid",
                similarity=SIMILARITIES[n],
                state=CandidateState.FOUND,
                image=self.images[_FACES[n][0]],
                face=_FACES[n][1],
                label="a name",
                person=n,
                folded_into=None,
                scores=(Similar(self.images["obama_1"], 0, SIMILARITIES[n], 3.5),),
            )
            for n, reference in enumerate(ids)
        ]
        with desk.db.transaction() as c:
            desk.searches.begin_run(c, Run(run, self.case, RunKind.PHOTO, START, self.cara.principal, None))
            desk.searches.end_run(c, run, RunState.DONE, made)
        return [m.id for m in made]

    def in_review(self, count: int = 1) -> list[str]:
        """Return candidates that are in review."""
        ids = self.found(count)
        self.review.submit(self.cara, self.case, ids)
        return ids

    def add_control(self, name: str = "collins.png") -> str:
        """Keep a control photo, and return its id."""
        return self.world.app.casework.controls.add(self.cara, (PHOTOS / name).read_bytes(), AGREED).id

    @property
    def review(self) -> Any:
        """The operations."""
        return self.world.app.casework.review

    @property
    def desk(self) -> Any:
        """What they share."""
        return self.review._desk

    def sit(self, caller: Caller, *, blind: bool, **more: Any) -> SittingView:
        """Begin a sitting."""
        return self.review.begin(caller, blind=blind, **more)

    def behind(self, item: str) -> str | None:
        """Return the candidate of a comparison, or None of a control; no reviewer gets to know it."""
        with self.desk.db.read() as c:
            return self.desk.reviews.item(c, item).candidate

    def judge(self, caller: Caller, answer: Answer, *, blind: bool, control: Answer = NO) -> SittingView:
        """Make a sitting and give one answer to all its candidates, another to its controls."""
        sitting = self.sit(caller, blind=blind)
        for item in sitting.items:
            self.review.item(caller, item)
            self.world.clock.forward(seconds=20)
            sitting = self.review.answer(caller, item, answer if self.behind(item) else control)
        return sitting

    def state(self, candidate: str) -> CandidateState:
        """Return where a candidate stands."""
        with self.desk.db.read() as c:
            return self.desk.searches.candidate(c, candidate).state


def furnish(world: World, photos: dict[str, bytes]) -> Room:
    """Open a case with its photos."""
    cara = world.rescuer_called("cara")
    room = Room(world, cara, world.app.casework.cases.open(cara, Purpose.MISSING_PERSON, "Lena").id)
    add = world.app.casework.cases.add_photo
    room.images["obama_1"] = add(cara, room.case, photos["obama_1"], FAMILY).id
    for name in ("obama_2", "biden", "group"):
        origin = replace(FAMILY, taken_at=START - timedelta(days=100) if name != "group" else None)
        room.images[name] = add(cara, room.case, photos[name], origin, ImageRole.ATTACHED).id
    return room


def size_of(data: bytes) -> tuple[int, int]:
    """Return width and height of a JPEG."""
    height, width = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape[:2]
    return width, height
