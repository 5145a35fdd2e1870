# SPDX-License-Identifier: Apache-2.0
"""What comes of a sitting, all of it when it ends: where its candidates stand, leads, figures, and one entry.

Nothing of that moves before: a count, a list of leads or a state that changes with one answer of a blind sitting would
tell which comparison was a control. So a sitting ends in one way, whether its reviewer finishes it, it lapses, its case
is closed or a control is removed; a process that dies before leaves one that goes on or lapses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

import sqlalchemy as sa

from custodes.casework import Answer, CandidateState, CaseFile, Pending, ReviewerFigures, ReviewItem, Sitting
from custodes.casework.judging import agrees, outcome, supports
from custodes.operations.desk import Desk
from custodes.operations.guard import Guard

__all__ = ["end_sitting", "tell_sitting"]

_LONGEST = 3600.0
"""So many seconds a comparison counts at most: whoever took longer did something else meanwhile."""


def end_sitting(c: sa.Connection, guard: Guard, desk: Desk, sitting: Sitting) -> None:
    """End a sitting in a transaction, and tell the ledger what came of it; nothing if it is over already."""
    now = guard.now(c)
    if not desk.reviews.end(c, sitting.id, now):
        return
    file = desk.files.get(c, sitting.case)
    answered = [i for i in sitting.items if i.answer is not None]
    judged = {i.candidate: i for i in answered if i.candidate}
    for pending in desk.reviews.pending(c, judged):
        if pending.state == CandidateState.IN_REVIEW:
            _decide(c, desk, file, pending, judged[pending.candidate], now)
    known = {p.candidate: p.state for p in desk.reviews.pending(c, judged)}
    done = _figures(sitting.principal, answered, known)
    if answered:
        desk.reviews.count(c, sitting.principal, file.organisation, now, done)
    left = len(sitting.items) - done.reviews
    counts = {"answered": done.reviews, "left": left, "controls": done.controls}
    tell_sitting(c, guard, "sitting-ended", file, sitting, counts | Counter(map(str, known.values())))


def _decide(c: sa.Connection, desk: Desk, file: CaseFile, pending: Pending, item: ReviewItem, now: datetime) -> None:
    """Let a candidate stand where its reviews put it, and count that for those who judged it before."""
    reviews = [(i.answer, s) for i, s in desk.reviews.of(c, pending.candidate) if i.answer is not None]
    state = outcome([answer for answer, _ in reviews])
    if state == CandidateState.IN_REVIEW:
        return
    desk.searches.stand(c, pending.candidate, CandidateState.IN_REVIEW, state)
    if state == CandidateState.LEAD and item.entry is not None:
        desk.searches.lead(c, file.id, pending.candidate, item.entry, now)
    for answer, head in reviews:
        if head.id != item.sitting and head.ended_at is not None:  # others' count when they end
            more = ReviewerFigures(head.principal, decided=1, agreed=int(agrees(answer, state)))
            desk.reviews.count(c, head.principal, file.organisation, now, more)


def _figures(principal: str, answered: Iterable[ReviewItem], known: Mapping[str, CandidateState]) -> ReviewerFigures:
    """Return what a reviewer did; candidates are counted as decided if they are by now, and later otherwise."""
    items = [(i, i.answer) for i in answered if i.answer is not None]
    undecided = (CandidateState.FOUND, CandidateState.IN_REVIEW)
    real = [(a, known[i.candidate]) for i, a in items if i.candidate is not None and i.candidate in known]
    decided = [(a, state) for a, state in real if state not in undecided]
    controls = [a for i, a in items if i.is_control]
    return ReviewerFigures(
        principal,
        reviews=len(items),
        seconds=sum(min(i.seconds or 0.0, _LONGEST) for i, _ in items),
        controls=len(controls),
        control_errors=sum(map(supports, controls)),
        inconclusive=sum(a == Answer.INCONCLUSIVE for _, a in items),
        decided=len(decided),
        agreed=sum(agrees(a, state) for a, state in decided),
    )


def tell_sitting(
    c: sa.Connection, guard: Guard, event: str, file: CaseFile, sitting: Sitting, counts: Mapping[str, int]
) -> None:
    """Tell the ledger that a sitting has begun or ended, and counts of it."""
    told = {"sitting": sitting.id, "blind": sitting.blind, "principal": sitting.principal}
    told |= {"case": file.id, "organisation": file.organisation}
    guard.append_system(c, event, told | dict(counts))
