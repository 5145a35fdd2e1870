# SPDX-License-Identifier: Apache-2.0
"""Sittings: what waits for a reviewer, and the comparisons that they make in one go, by themselves.

A person has one open sitting of each kind at most. What came of it is told when it is over, to its reviewer and to the
ledger, and not before: a count that moves with an answer would tell what was compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from custodes.casework import Sitting
from custodes.errors import Conflict, Invalid, NotFound
from custodes.governance import Action, Caller, Principal, ReviewFacts, Role
from custodes.operations.choosing import (
    Offer,
    balanced,
    controls_wanted,
    has_faces,
    hold_reviews,
    judgeable,
    offers,
    seated,
)
from custodes.operations.comparing import Queue, SittingResult, SittingView, result_of, sitting_view
from custodes.operations.controls import Control, ControlOperations
from custodes.operations.desk import Desk
from custodes.operations.guard import Guard
from custodes.operations.verdicts import end_sitting, tell_sitting

__all__ = ["LONGEST", "Sittings", "has_lapsed", "trained_until"]

LONGEST = 50
"""So many candidates are in a sitting at most."""
_LAPSES = timedelta(hours=8)
"""After so long without an answer a sitting ends, so that others can judge what is in it."""
_TRIES = 3


class Sittings:
    """Sittings of reviewers.

    Args:
        guard: authorises and records.
        desk: casework's.
        controls: chooses known non-mates.
    """

    def __init__(self, guard: Guard, desk: Desk, controls: ControlOperations) -> None:
        self._guard = guard
        self._desk = desk
        self._controls = controls

    def queue(self, caller: Caller) -> Queue:
        """Tell how much waits for the caller to judge, for the purpose for which they call.

        Raises:
            Denied: if the caller is nobody.
        """
        desk = self._desk
        with desk.db.read() as c:
            organisation = desk.principal(c, caller).organisation
        self._lapse(organisation)
        with desk.db.read() as c:
            who, now = desk.principal(c, caller), self._guard.now(c)
            locked = "role" if Role.REVIEWER not in who.roles else "" if who.is_trained(now) else "training"
            found = () if locked else judgeable(c, desk, who, purpose=caller.purpose)
            return Queue(
                first=sum(p.round == 1 for p in found),
                blind=sum(p.round > 1 for p in found),
                sittings=tuple(sitting_view(s) for s in self._own(c, who)),
                locked=locked,
                trained_until=trained_until(who, now),
            )

    def begin(self, caller: Caller, *, blind: bool, limit: int = 20, case: str | None = None) -> SittingView:
        """Begin a sitting with candidates that nobody has judged, or blind with such as others have; or go on with one.

        Args:
            caller: a reviewer.
            blind: whether it is for second and third reviews, with controls mixed in.
            limit: most candidates.
            case: whose; the oldest of the caller's purpose in which something waits, unless one is named.

        Raises:
            Denied: if a rule forbids it, as without training, or blind where there are no controls.
            NotFound: if there is no such case, or nothing waits that the caller may judge.
            Conflict: if others were faster.
            Invalid: if the limit is out of range.
        """
        desk = self._desk
        if not 1 <= limit <= LONGEST:
            raise Invalid(f"A sitting has 1 to {LONGEST} candidates.")
        with desk.db.read() as c:
            who = desk.principal(c, caller)
            if case is not None:
                desk.file_to_review(c, caller, case)
        self._lapse(who.organisation)
        for _ in range(_TRIES):
            with desk.db.read() as c:
                going_on = self._open(c, who, blind=blind)
                if going_on is not None:
                    return sitting_view(going_on)
                found = judgeable(c, desk, who, purpose=None if case else caller.purpose, case=case)
                offered = offers(c, desk, found, blind=blind, limit=limit)
            if not offered:
                raise NotFound(
                    "Nothing waits that you may judge: you have judged or seen the rest, or others are at it.",
                    remedy="Come back later.",
                )
            controls: tuple[Control, ...] = ()
            if blind:
                wanted = controls_wanted(len(offered))
                controls = self._controls.pick(who.person, who.organisation, [o.probe for o in offered], wanted)
            made = self._begin(caller, who, offered, controls, blind=blind)
            if made is not None:
                return sitting_view(made)
        raise Conflict("Others have begun to judge them meanwhile.", remedy="Try again.")

    def _begin(
        self, caller: Caller, who: Principal, offered: Sequence[Offer], controls: Sequence[Control], *, blind: bool
    ) -> Sitting | None:
        """Seat a reviewer before what is still free; return None if nothing is."""
        desk, case = self._desk, offered[0].candidate.case
        with desk.db.read() as c:
            file = desk.files.get(c, case)
            own = desk.own_collection(c, file)
        facts = ReviewFacts(offered[0].round, same_person=False, exposed=False, controls=len(controls))
        with self._guard.using(desk.calling(caller, file), Action.REVIEW, own, review=facts) as using:
            using.parts = []  # nothing is judged yet: each answer is an entry
            with using.committing() as c:
                hold_reviews(c, who.organisation)
                going_on = self._open(c, who, blind=blind)
                if going_on is not None:
                    return going_on
                free = {p.candidate: p.round for p in judgeable(c, desk, who, case=case)}
                chosen: Sequence[Offer] = [o for o in offered if free.get(o.candidate.id) == o.round]
                if blind:
                    there = [k for k in controls if has_faces(c, desk, [(k.image, k.face)])]
                    chosen, controls = balanced(chosen, there)
                if not chosen:
                    return None
                made = seated(who, chosen, controls, blind=blind, now=self._guard.now(c))
                desk.reviews.begin(c, made)
                tell_sitting(c, self._guard, "sitting-begun", file, made, {"comparisons": len(made.items)})
                return made

    def sitting(self, caller: Caller, sitting: str) -> SittingView:
        """Read a sitting of the caller's.

        Raises:
            NotFound: if there is none.
        """
        with self._desk.db.read() as c:
            return sitting_view(self._sitting(c, caller, sitting))

    def result(self, caller: Caller, sitting: str) -> SittingResult:
        """Tell how the caller did on the controls of a sitting that is over.

        Raises:
            NotFound: if there is none.
            Conflict: if it goes on.
        """
        with self._desk.db.read() as c:
            found = self._sitting(c, caller, sitting)
        if found.ended_at is None:
            raise Conflict("The sitting goes on.", remedy="Answer the rest first.")
        return result_of(found)

    def _own(self, c: sa.Connection, who: Principal) -> tuple[Sitting, ...]:
        """Return the sittings of a principal that go on."""
        return tuple(s for s in self._desk.reviews.open_sittings(c, person=who.person) if s.principal == who.id)

    def _open(self, c: sa.Connection, who: Principal, *, blind: bool) -> Sitting | None:
        return next((s for s in self._own(c, who) if s.blind == blind), None)

    def _sitting(self, c: sa.Connection, caller: Caller, sitting: str) -> Sitting:
        missing = NotFound("You have no such sitting.")
        try:
            found = self._desk.reviews.sitting(c, sitting)
        except NotFound:
            raise missing from None
        if found.principal != caller.principal:
            raise missing
        return found

    # --- the end of a sitting ---

    def _lapse(self, organisation: str) -> None:
        """End the sittings of an organisation in which nothing was answered for long, or nothing is left."""
        with self._desk.db.read() as c:
            stale = self._stale(c, organisation)
        if stale:
            with self._guard.transaction() as c:
                hold_reviews(c, organisation)
                for sitting in self._stale(c, organisation):
                    self._end(c, sitting)

    def _stale(self, c: sa.Connection, organisation: str) -> list[Sitting]:
        now = self._guard.now(c)
        going_on = self._desk.reviews.open_sittings(c, organisation=organisation)
        return [s for s in going_on if has_lapsed(s, now) or s.is_answered]

    def _end(self, c: sa.Connection, sitting: Sitting) -> None:
        """End a sitting, with all that comes of it: now nobody can draw on it any more."""
        end_sitting(c, self._guard, self._desk, sitting)


def has_lapsed(sitting: Sitting, now: datetime) -> bool:
    """Tell whether nothing was answered in a sitting for so long that it is over."""
    return now - sitting.touched_at > _LAPSES


def trained_until(who: Principal, now: datetime) -> datetime | None:
    """Return when somebody's training ends, or None if it isn't valid."""
    return max((t.until for t in who.trainings if t.since <= now < t.until), default=None)
