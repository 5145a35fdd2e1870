# SPDX-License-Identifier: Apache-2.0
"""Who may judge what, and how a sitting is made of it: nobody is offered what the rules would not let them judge.

Two rounds aren't the same human being's, whoever judges blind has seen neither scores nor answers, and controls stand
in a blind sitting like anything else. One lock an organisation keeps two reviewers from being given one candidate.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from custodes.casework import CaseFile, CaseImage, CaseStatus, FoundCandidate, Pending, ReviewItem, Sitting
from custodes.db import hold
from custodes.db.sealing import new_id
from custodes.errors import NotFound
from custodes.governance import Principal, Purpose
from custodes.operations.comparing import face_of
from custodes.operations.controls import Control
from custodes.operations.desk import Desk

__all__ = [
    "Offer",
    "balanced",
    "controls_wanted",
    "has_faces",
    "hold_reviews",
    "is_sensitive",
    "judgeable",
    "offers",
    "seated",
]

_PER_CONTROL = 3
"""So many candidates stand beside one control at most."""

_random = secrets.SystemRandom()


@dataclass(frozen=True, slots=True)
class Offer:
    """A candidate that somebody may judge now, in which round, and which face it was found with."""

    candidate: FoundCandidate
    round: int

    @property
    def probe(self) -> tuple[str, int]:
        """The face of the case that is most alike: image and number."""
        best = self.candidate.scores[0]
        return best.probe, best.face


def hold_reviews(c: sa.Connection, organisation: str) -> None:
    """Keep others from beginning, answering or seeing in an organisation until the transaction ends."""
    hold(c, f"custodes.reviews.{organisation}")


def judgeable(
    c: sa.Connection, desk: Desk, who: Principal, *, purpose: Purpose | None = None, case: str | None = None
) -> tuple[Pending, ...]:
    """Return the candidates that wait and that somebody may judge, those of the oldest case first.

    Args:
        c: the transaction.
        desk: casework's.
        who: a reviewer.
        purpose, case: only those of cases for a purpose, or of one case.
    """
    of_organisation = reversed(desk.files.list(c, who.organisation))
    fit = (f for f in of_organisation if f.status == CaseStatus.OPEN and purpose in (None, f.kind))
    files = {f.id: n for n, f in enumerate(fit) if case in (None, f.id)}
    waiting = desk.reviews.waiting(c, files)
    seen = {f: desk.files.exposed(c, f, who.person) for f in {p.case for p in waiting}}
    mine = (p for p in waiting if who.person not in p.judges and (p.round == 1 or not p.kin & seen[p.case]))
    return tuple(sorted(mine, key=lambda p: files[p.case]))


def offers(c: sa.Connection, desk: Desk, found: Sequence[Pending], *, blind: bool, limit: int) -> tuple[Offer, ...]:
    """Return what a sitting may be made of: candidates of one case, for a first round by rank, otherwise shuffled.

    What has lost its photo meanwhile is passed over.
    """
    mine = [p for p in found if (p.round > 1) == blind]
    for case in dict.fromkeys(p.case for p in mine):
        waiting = [p for p in mine if p.case == case]
        if blind:
            _random.shuffle(waiting)
        made: list[Offer] = []
        for pending in waiting:
            offer = Offer(desk.searches.candidate(c, pending.candidate), pending.round)
            if is_there(c, desk, offer):
                made.append(offer)
            if len(made) == limit:
                break
        if made:
            return tuple(made)
    return ()


def is_there(c: sa.Connection, desk: Desk, offer: Offer) -> bool:
    """Tell whether both faces are there to be compared."""
    found = offer.candidate
    if found.image is None or not found.scores:
        return False
    return has_faces(c, desk, [offer.probe, (found.image, found.face)])


def has_faces(c: sa.Connection, desk: Desk, faces: Sequence[tuple[str, int]]) -> bool:
    """Tell whether faces of images, by number, are all there."""
    images = {i.id: i for i in desk.images.many(c, [image for image, _ in faces])}
    try:
        return all(image in images and face_of(images[image], number) for image, number in faces)
    except NotFound:
        return False


def is_sensitive(c: sa.Connection, desk: Desk, file: CaseFile, sitting: Sitting, images: Iterable[CaseImage]) -> bool:
    """Tell whether a comparison is blurred until its reviewer asks for it; in a blind sitting all are, or none."""
    if sitting.blind:
        return file.sensitive or desk.reviews.shows_sensitive(c, sitting.id)
    return any(i.sensitive for i in images)


def controls_wanted(candidates: int) -> int:
    """Return how many controls stand beside candidates: one for every three or one more; nobody shall count them."""
    return _fewest(candidates) + _random.randrange(2)


def _fewest(candidates: int) -> int:
    return -(-candidates // _PER_CONTROL)


def balanced(chosen: Sequence[Offer], controls: Sequence[Control]) -> tuple[Sequence[Offer], Sequence[Control]]:
    """Return candidates and controls that fit: of the same probes, and no more candidates than the controls bear.

    A control with a probe that no candidate has would be known by it: candidates with the probe of a control go first.
    """
    borne = {(k.probe, k.probe_face) for k in controls}
    fit = sorted(chosen, key=lambda o: o.probe not in borne)
    while True:
        probes = {o.probe for o in fit}
        beside = [k for k in controls if (k.probe, k.probe_face) in probes]
        if len(fit) <= _PER_CONTROL * len(beside):
            return fit, beside[: _fewest(len(fit)) + 1]
        fit = fit[: _PER_CONTROL * len(beside)]


def seated(
    who: Principal, chosen: Sequence[Offer], controls: Sequence[Control], *, blind: bool, now: datetime
) -> Sitting:
    """Return a sitting of candidates and controls, in an order by chance if it is blind."""
    sitting = new_id("sit")
    items = [
        _item(sitting, o.candidate.id, o.round, Control(*o.probe, o.candidate.image or "", o.candidate.face))
        for o in chosen
    ]
    items += [_item(sitting, None, _random.choice(chosen).round, control) for control in controls]
    if blind:
        _random.shuffle(items)
    numbered = tuple(replace(i, position=n) for n, i in enumerate(items))
    return Sitting(sitting, chosen[0].candidate.case, who.id, who.person, blind, now, None, numbered)


def _item(sitting: str, candidate: str | None, number: int, faces: Control) -> ReviewItem:
    return ReviewItem(
        id=new_id("cmp"),
        sitting=sitting,
        position=0,
        candidate=candidate,
        round=number,
        probe=faces.probe,
        probe_face=faces.probe_face,
        image=faces.image,
        face=faces.face,
    )
