# SPDX-License-Identifier: Apache-2.0
"""People judge candidates: two of them, the second blind, and a third where they disagree. The machine decides nothing.

Who judges blind is shown two faces and nothing that tells what others or the machine think of them, nor which pairs are
known non-mates: neither here nor in the ledger, where the answers of a sitting all look alike, and not by the time that
an answer takes: for a control the same is read as for a candidate beside it. Rules decide on every answer; one that is
given stands. What comes of it is seen when the sitting ends (see ``verdicts``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import sqlalchemy as sa

from custodes.casework import (
    Answer,
    CandidateState,
    CaseStatus,
    FoundCandidate,
    Lead,
    Pending,
    ReviewerFigures,
    ReviewItem,
    Sitting,
)
from custodes.casework.judging import outcome
from custodes.casework.reviews import check_answer
from custodes.errors import Conflict, Invalid, NotFound
from custodes.governance import Action, Caller, Principal, ReviewFacts, Role
from custodes.ledger import commit
from custodes.operations.choosing import has_faces, hold_reviews, is_sensitive
from custodes.operations.comparing import (
    ItemView,
    ReviewerView,
    ReviewView,
    SittingView,
    item_view,
    reviewer_view,
)
from custodes.operations.entries import ERASED_IN_ONE, Part
from custodes.operations.exhibits import digest_of
from custodes.operations.owners import owner_of, owner_of_case, owner_of_image
from custodes.operations.seeing import Seeing
from custodes.operations.sittings import trained_until

__all__ = ["ReviewOperations"]


@dataclass(frozen=True, slots=True)
class _Judged:
    """A comparison that is being answered, and where its reviews put its candidate; None for a control."""

    item: ReviewItem
    sitting: Sitting
    pending: Pending | None
    state: CandidateState | None


class ReviewOperations(Seeing):
    """Reviews of candidates: what members put into review, what reviewers answer in sittings, and what comes of it."""

    def submit(self, caller: Caller, case: str, candidates: Sequence[str]) -> int:
        """Put candidates of a case into review, all or none, and return how many.

        Raises:
            NotFound: if there is no such case that the caller works on, or no such candidate in it.
            Conflict: if the case isn't open, or a candidate is in review already or decided.
            Invalid: if a candidate has no photo, is folded into another, or they are too many.
        """
        desk, ids = self._desk, tuple(dict.fromkeys(candidates))
        if not 1 <= len(ids) <= ERASED_IN_ONE:
            raise Invalid(f"1 to {ERASED_IN_ONE} candidates are put into review at once.")
        with self._guard.transaction() as c:
            file = desk.file(c, caller, case)
            if file.status != CaseStatus.OPEN:
                raise Conflict(f"The case is {file.status}: nothing is judged in it.", remedy="Resume it first.")
            openings = []
            for number, candidate in enumerate(ids):
                found = desk.searches.candidate(c, candidate)
                if found.case != case:
                    raise NotFound(f"There is no candidate {candidate}.")
                _check_ready(found)
                desk.searches.stand(c, candidate, CandidateState.FOUND, CandidateState.IN_REVIEW)
                openings.append(commit(f"candidate.{number}", candidate.encode(), owner_of(found.reference_id)))
            told = {"case": case, "principal": caller.principal, "candidates": len(ids)}
            self._guard.append_system(c, "review-asked", told, openings)
        return len(ids)

    # --- comparing ---

    def item(self, caller: Caller, item: str) -> ItemView:
        """Read a comparison of the caller's; from the first time on its time counts.

        Raises:
            NotFound: if it is no comparison of the caller's, or what was to be compared is erased.
        """
        desk, view = self._desk, None
        with desk.db.transaction() as c:
            found, sitting = self._mine(c, caller, item)
            if self._facts(c, desk.principal(c, caller), found, sitting) is not None:
                view = self._look(c, found, sitting)
        if view is None:
            raise self._gone(caller, item)
        return view

    def _look(self, c: sa.Connection, item: ReviewItem, sitting: Sitting) -> ItemView:
        """Show a comparison; whoever sees a score is noted."""
        desk, now, candidate = self._desk, self._guard.now(c), None
        if item.candidate is not None and not sitting.blind:
            candidate = desk.searches.candidate(c, item.candidate)
            desk.files.expose(c, sitting.case, sitting.person, [item.candidate], now)
        if item.answer is None:
            desk.reviews.show(c, item.id, now)
        images = {i.id: i for i in desk.images.many(c, [item.probe, item.image])}
        sensitive = is_sensitive(c, desk, desk.files.get(c, sitting.case), sitting, images.values())
        return item_view(item, sitting, images[item.probe], images[item.image], candidate, sensitive=sensitive)

    def answer(
        self, caller: Caller, item: str, answer: Answer, checklist: Mapping[str, str] | None = None, note: str = ""
    ) -> SittingView:
        """Answer a comparison, for good; after the last one the sitting is over.

        Args:
            caller: its reviewer.
            item: the comparison.
            answer: on the scale.
            checklist: what was seen of features, see :data:`~custodes.casework.CHECKLIST`.
            note: why, in words.

        Raises:
            Denied: if a rule forbids it: training, role, the same person, exposure, controls.
            NotFound: if it is no comparison of the caller's, or what was to be compared is erased.
            Conflict: if it is answered already, or was judged otherwise meanwhile.
            Invalid: if the checklist names no feature that there is, or the note is too long.
        """
        desk, seen = self._desk, dict(checklist or {})
        reasons = check_answer(seen, note)
        with desk.db.read() as c:
            found, sitting = self._mine(c, caller, item)
            who = desk.principal(c, caller)
            file = desk.file_to_review(c, caller, sitting.case)
            own = desk.own_collection(c, file)
            facts = self._facts(c, who, found, sitting)
        if found.answer is not None:
            raise Conflict("This comparison is answered already.")
        if facts is None:
            raise self._gone(caller, item)
        guarded = self._guard.using(desk.calling(caller, file), Action.REVIEW, own, review=facts)
        with guarded as using, using.committing() as c:
            hold_reviews(c, who.organisation)
            found, sitting = self._mine(c, caller, item)
            if self._facts(c, who, found, sitting) != facts or facts.round != found.round:
                raise Conflict("It was judged, seen or erased meanwhile.", remedy="Look at it again.")
            judged = self._judged(c, found, sitting, answer)
            _tell_answer(using.part, judged, answer, reasons)
            using.then = partial(self._keep, judged=judged, answer=answer, checklist=seen, note=note)
        return self.sitting(caller, sitting.id)

    def _keep(
        self,
        c: sa.Connection,
        entries: Sequence[int],
        *,
        judged: _Judged,
        answer: Answer,
        checklist: Mapping[str, str],
        note: str,
    ) -> None:
        """Keep an answer and what comes of it, in the transaction of its entry."""
        desk, item, now = self._desk, judged.item, self._guard.now(c)
        desk.reviews.answer(c, item.id, answer, checklist, note, now, entries[0])
        current = desk.reviews.sitting(c, judged.sitting.id)
        if current.is_answered:
            self._end(c, current)

    def _judged(self, c: sa.Connection, item: ReviewItem, sitting: Sitting, answer: Answer) -> _Judged:
        standing = _stand_in(item, sitting)
        found = self._desk.reviews.pending(c, [standing])
        earlier = [r.answer for r, _ in self._desk.reviews.of(c, standing) if r.answer is not None]
        if item.candidate is None:
            return _Judged(item, sitting, None, None)
        return _Judged(item, sitting, found[0], outcome([*earlier, answer]))

    def _facts(self, c: sa.Connection, who: Principal, item: ReviewItem, sitting: Sitting) -> ReviewFacts | None:
        """Return how somebody judges, as the database has it, or None if what is to be judged is gone.

        Those of a control are a candidate's of the same sitting, and are read in the same time.
        """
        if not has_faces(c, self._desk, [(item.probe, item.probe_face), (item.image, item.face)]):
            return None
        found = self._desk.reviews.pending(c, [_stand_in(item, sitting)])
        seen = self._desk.files.exposed(c, sitting.case, who.person)
        exposed = any(p.kin & seen for p in found)
        if item.candidate is None:
            return ReviewFacts(item.round, same_person=False, exposed=exposed, controls=sitting.controls)
        for pending in found:
            same = who.person in pending.judges
            return ReviewFacts(pending.round, same_person=same, exposed=exposed, controls=sitting.controls)
        return None

    def _mine(self, c: sa.Connection, caller: Caller, item: str) -> tuple[ReviewItem, Sitting]:
        """Return a comparison of the caller's with its sitting.

        Raises:
            NotFound: if it is none.
        """
        missing = NotFound("You have no such comparison: its sitting may be over.")
        try:
            found = self._desk.reviews.item(c, item)
            return found, self._sitting(c, caller, found.sitting)
        except NotFound:
            raise missing from None

    def _gone(self, caller: Caller, item: str) -> NotFound:
        """Take a comparison of which something is erased out of its sitting, and return what to say."""
        with self._guard.transaction() as c:
            hold_reviews(c, self._desk.principal(c, caller).organisation)
            found, _ = self._mine(c, caller, item)
            self._desk.reviews.drop(c, item)
            sitting = self._desk.reviews.sitting(c, found.sitting)
            if sitting.ended_at is None and (sitting.is_answered or (sitting.blind and not sitting.controls)):
                self._end(c, sitting)
        return NotFound("What was to be compared here is erased.", remedy="Go on with the next.")

    # --- what came of it ---

    def reviews_of(self, caller: Caller, candidate: str) -> tuple[ReviewView, ...]:
        """Read how a candidate was judged: when it is decided all of it, to members; before that one's own alone.

        Raises:
            NotFound: if there is no such candidate that the caller may see.
            Conflict: if it isn't decided.
            Denied: if the caller is in the middle of judging it blind.
        """
        desk = self._desk
        with desk.db.read() as c:
            who = desk.principal(c, caller)
            known = desk.searches.candidate(c, candidate)
            file = desk.file_to_review(c, caller, known.case)
            found = desk.reviews.of(c, candidate)
            own = [(i, s) for i, s in found if s.principal == who.id and (s.ended_at is not None or not s.blind)]
            [pending] = desk.reviews.pending(c, [candidate])
        works_on_it = who.id in file.members or Role.ADMIN in who.roles
        if works_on_it and pending.is_decided:
            self.see(caller, known.case, [candidate])
            return _views(found)
        if own:
            return _views(own)
        if not works_on_it:
            raise NotFound(f"There is no candidate {candidate}.")
        raise Conflict("The candidate isn't decided; until then nobody sees how it was judged.")

    def leads(self, caller: Caller, case: str | None = None) -> tuple[Lead, ...]:
        """List the leads of a case, or of all that the caller works on or administers, the newest first.

        A lead is a candidate that two reviewers support, never an identity.

        Raises:
            NotFound: if there is no such case.
        """
        desk = self._desk
        with desk.db.read() as c:
            if case is not None:
                desk.file(c, caller, case, manage=True)
                return desk.searches.leads(c, case)
            who = desk.principal(c, caller)
            member = None if Role.ADMIN in who.roles else who.id
            mine = {f.id for f in desk.files.list(c, who.organisation, member)}
            return tuple(k for k in desk.searches.leads(c, organisation=who.organisation) if k.case in mine)

    def figures(self, caller: Caller, since: datetime | None = None) -> tuple[ReviewerView, ...]:
        """Tell what the reviewers of the organisation did since a day (UTC): to administrators; to others their own.

        Raises:
            Denied: if the caller is nobody.
        """
        desk = self._desk
        with desk.db.read() as c:
            who, now = desk.principal(c, caller), self._guard.now(c)
            people = desk.registry.state(c).principals
            day = "" if since is None else since.strftime("%Y-%m-%d")
            known = {f.principal: f for f in desk.reviews.figures(c, who.organisation, since=day)}
        reviewers = {p.id for p in people.values() if p.organisation == who.organisation and Role.REVIEWER in p.roles}
        shown = known.keys() | reviewers if Role.ADMIN in who.roles else {who.id}
        views = [
            reviewer_view(known.get(p, ReviewerFigures(p)), people[p].name, trained_until(people[p], now))
            for p in shown
            if p in people
        ]
        return tuple(sorted(views, key=lambda v: (v.name, v.principal)))


def _check_ready(candidate: FoundCandidate) -> None:
    """Refuse to put into review what can't be judged.

    Raises:
        Conflict: if it is in review already, or decided.
        Invalid: if it has no photo, or is a near-duplicate of another.
    """
    if candidate.state != CandidateState.FOUND:
        raise Conflict(f"The candidate {candidate.id} is {candidate.state} already.")
    if candidate.folded_into is not None:
        raise Invalid(
            f"The candidate {candidate.id} is a near-duplicate of {candidate.folded_into}.",
            remedy="Put that one into review.",
        )
    if candidate.image is None:
        raise Invalid(
            f"The case has no photo of the candidate {candidate.id}, so nobody can judge it.",
            remedy="Attach the photo that was enrolled first.",
        )


def _tell_answer(part: Part, judged: _Judged, answer: Answer, reasons: Mapping[str, object]) -> None:
    """Tell the entry of an answer what it was, so that those of candidates and controls look alike from outside.

    What it says goes with the case, and with the candidate's reference (see ``erasure``).
    """
    item, pending, owner = judged.item, judged.pending, owner_of_case(judged.sitting.case)
    part.note(sitting=item.sitting, round=item.round, blind=judged.sitting.blind)
    part.commit("candidate", (item.candidate or "control").encode(), owner)
    part.commit("answer", str(answer).encode(), owner)
    part.commit("reasons", digest_of(dict(reasons)).encode(), owner)
    part.commit("stands", str(judged.state or "control").encode(), owner)
    part.mentions.append(owner_of_image(item.image) if pending is None else owner_of(pending.reference_id))


def _stand_in(item: ReviewItem, sitting: Sitting) -> str:
    """Return the candidate of a comparison, or for a control one of the same sitting, by its place."""
    beside = [i.candidate for i in sitting.items if i.candidate is not None]
    return item.candidate or (beside[item.position % len(beside)] if beside else "")


def _views(reviews: Iterable[tuple[ReviewItem, Sitting]]) -> tuple[ReviewView, ...]:
    return tuple(
        ReviewView(
            principal=s.principal,
            round=i.round,
            blind=s.blind,
            answer=i.answer,
            checklist=i.checklist,
            note=i.note,
            answered_at=i.answered_at,
            seconds=i.seconds,
            entry=i.entry,
        )
        for i, s in reviews
        if i.answer is not None and i.answered_at is not None
    )
