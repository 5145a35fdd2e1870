# SPDX-License-Identifier: Apache-2.0
"""The store of reviews: sittings, what is compared in them, answers, and what reviewers did by day.

What a blind reviewer may be shown is in a sitting's items and nowhere else: two faces each, in shuffled order, real
candidates and known non-mates alike. Every method works in the transaction that it is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa

from custodes.casework.judging import CHECKLIST, Answer, Pending, ReviewItem, Sitting
from custodes.casework.model import CandidateState
from custodes.casework.schema import (
    case_collections,
    case_files,
    case_images,
    found_candidates,
    review_items,
    review_outcomes,
    sittings,
)
from custodes.db import Vault
from custodes.db.sealing import Sealer, moment, time_of, words
from custodes.errors import Conflict, Invalid, NotFound

__all__ = ["SEEN", "ReviewerFigures", "Reviews", "check_answer"]

_IN = 500

SEEN = frozenset({"similar", "different", "not-visible"})
"""What can be said of each feature of the checklist."""


@dataclass(frozen=True, slots=True)
class ReviewerFigures:
    """What one reviewer did.

    Attributes:
        reviews: comparisons that were answered, controls among them.
        seconds: how long they took, all together.
        controls, control_errors: known non-mates, and how many of them the reviewer took for one person.
        inconclusive: answers that decide nothing.
        decided, agreed: candidates on which it is decided, and on how many of them the reviewer's side was that of the
            decision.
    """

    principal: str
    reviews: int = 0
    seconds: float = 0.0
    controls: int = 0
    control_errors: int = 0
    inconclusive: int = 0
    decided: int = 0
    agreed: int = 0


_BRIEF = tuple(found_candidates.c[n] for n in ("id", "case_id", "run_id", "reference_id", "state"))
_COUNTS = ("reviews", "seconds", "controls", "control_errors", "inconclusive", "decided", "agreed")
_BEGIN = sa.text(
    "INSERT INTO review_outcomes (principal, day, organisation, reviews, seconds, controls, control_errors,"
    " inconclusive, decided, agreed) VALUES (:principal, :day, :organisation, 0, 0, 0, 0, 0, 0, 0)"
    " ON CONFLICT DO NOTHING"
)


class Reviews:
    """The store of reviews.

    Args:
        vault: seals checklists and notes.
    """

    def __init__(self, vault: Vault) -> None:
        self._sealer = Sealer(vault)

    # --- sittings ---

    def begin(self, c: sa.Connection, sitting: Sitting) -> None:
        """Keep a sitting with its items, none of them answered."""
        c.execute(
            sa.insert(sittings).values(
                id=sitting.id,
                case_id=sitting.case,
                principal=sitting.principal,
                person=sitting.person,
                blind=sitting.blind,
                begun_at=sitting.begun_at.timestamp(),
                ended_at=None,
            )
        )
        rows = [
            {
                "id": i.id,
                "sitting_id": sitting.id,
                "case_id": sitting.case,
                "position": i.position,
                "candidate_id": i.candidate,
                "round": i.round,
                "probe": i.probe,
                "probe_face": i.probe_face,
                "image_id": i.image,
                "face": i.face,
            }
            for i in sitting.items
        ]
        c.execute(sa.insert(review_items), rows)

    def sitting(self, c: sa.Connection, sitting: str) -> Sitting:
        """Read a sitting with its items in their order.

        Raises:
            NotFound: if there is none of this id.
        """
        row = c.execute(sa.select(sittings).where(sittings.c.id == sitting)).one_or_none()
        if row is None:
            raise NotFound(f"There is no sitting {sitting}.")
        return self._read(c, row)

    def open_sittings(
        self,
        c: sa.Connection,
        *,
        person: str | None = None,
        case: str | None = None,
        organisation: str | None = None,
    ) -> tuple[Sitting, ...]:
        """Read the sittings that are not over, of a human being, a case, an organisation, or all; the oldest first."""
        query = sa.select(sittings).where(sittings.c.ended_at.is_(None)).order_by(sittings.c.begun_at, sittings.c.id)
        if person is not None:
            query = query.where(sittings.c.person == person)
        if case is not None:
            query = query.where(sittings.c.case_id == case)
        if organisation is not None:
            mine = sa.select(case_files.c.id).where(case_files.c.organisation == organisation)
            query = query.where(sittings.c.case_id.in_(mine))
        return tuple(self._read(c, r) for r in c.execute(query).all())

    def end(self, c: sa.Connection, sitting: str, now: datetime) -> bool:
        """End a sitting; what wasn't answered goes to somebody else. Tell whether it went on until now."""
        going_on = (sittings.c.id == sitting) & sittings.c.ended_at.is_(None)
        if not c.execute(sa.update(sittings).where(going_on).values(ended_at=now.timestamp())).rowcount:
            return False
        unanswered = (review_items.c.sitting_id == sitting) & review_items.c.answered_at.is_(None)
        c.execute(sa.delete(review_items).where(unanswered))
        return True

    def shows_sensitive(self, c: sa.Connection, sitting: str) -> bool:
        """Tell whether any photo of a sitting is sensitive."""
        i, photo = review_items.c, case_images.c
        query = sa.select(photo.id).join(review_items, (i.probe == photo.id) | (i.image_id == photo.id))
        return c.execute(query.where(i.sitting_id == sitting, photo.sensitive).limit(1)).first() is not None

    def drop(self, c: sa.Connection, item: str) -> None:
        """Take a comparison out of its sitting, because what was to be compared is gone."""
        unanswered = (review_items.c.id == item) & review_items.c.answered_at.is_(None)
        c.execute(sa.delete(review_items).where(unanswered))

    def controls_of(self, c: sa.Connection, person: str) -> frozenset[tuple[str, int]]:
        """Read which faces of which images somebody was given as controls before: they would know them again."""
        query = (
            sa.select(review_items.c.image_id, review_items.c.face)
            .join(sittings, sittings.c.id == review_items.c.sitting_id)
            .where(sittings.c.person == person, review_items.c.candidate_id.is_(None))
        )
        return frozenset((r.image_id, r.face) for r in c.execute(query))

    def item(self, c: sa.Connection, item: str) -> ReviewItem:
        """Read one comparison.

        Raises:
            NotFound: if there is none of this id.
        """
        row = c.execute(sa.select(review_items).where(review_items.c.id == item)).one_or_none()
        if row is None:
            raise NotFound(f"There is no comparison {item}.")
        return self._item(row)

    def show(self, c: sa.Connection, item: str, now: datetime) -> None:
        """Note when a comparison was first shown; from then on its time counts."""
        fresh = (review_items.c.id == item) & review_items.c.shown_at.is_(None)
        c.execute(sa.update(review_items).where(fresh).values(shown_at=now.timestamp()))

    def answer(
        self,
        c: sa.Connection,
        item: str,
        answer: Answer,
        checklist: Mapping[str, str],
        note: str,
        now: datetime,
        entry: int,
    ) -> ReviewItem:
        """Keep an answer.

        Args:
            c: the transaction.
            item: the comparison.
            answer: on the scale.
            checklist: what was seen of features; see :data:`~custodes.casework.judging.CHECKLIST`.
            note: why, in words.
            now: when.
            entry: index in the ledger.

        Raises:
            NotFound: if there is no such comparison.
            Conflict: if it is answered already.
            Invalid: if the checklist names no feature that there is, or the note is too long.
        """
        told = check_answer(checklist, note)
        row = c.execute(sa.select(review_items).where(review_items.c.id == item)).one_or_none()
        if row is None:
            raise NotFound(f"There is no comparison {item}.")
        fresh = (review_items.c.id == item) & review_items.c.answered_at.is_(None)
        values: dict[str, object] = {"answered_at": now.timestamp(), "answer": str(answer), "entry": entry}
        values |= self._sealer.seal_words(item, told)
        if not c.execute(sa.update(review_items).where(fresh).values(values)).rowcount:
            raise Conflict("This comparison is answered already.")
        return self.item(c, item)

    # --- by candidate ---

    def of(self, c: sa.Connection, candidate: str, *, answered: bool = True) -> tuple[tuple[ReviewItem, Sitting], ...]:
        """Read the reviews of a candidate, or those that are going on, by round, each with its sitting (no items)."""
        found = self.of_many(c, [candidate], answered=answered)
        return found.get(candidate, ())

    def of_many(
        self, c: sa.Connection, candidates: Iterable[str], *, answered: bool = True
    ) -> dict[str, tuple[tuple[ReviewItem, Sitting], ...]]:
        """Read the reviews of candidates, as :meth:`of` does."""
        done = review_items.c.answered_at.is_not(None) if answered else review_items.c.answered_at.is_(None)
        found: dict[str, list[tuple[ReviewItem, Sitting]]] = {}
        for some in _batches(candidates):
            query = (
                sa.select(review_items)
                .where(review_items.c.candidate_id.in_(some), done)
                .order_by(review_items.c.candidate_id, review_items.c.round, review_items.c.id)
            )
            rows = c.execute(query).all()
            known = self._heads(c, {r.sitting_id for r in rows})
            for r in rows:
                found.setdefault(r.candidate_id, []).append((self._item(r), known[r.sitting_id]))
        return {k: tuple(v) for k, v in found.items()}

    def waiting(self, c: sa.Connection, cases: Iterable[str]) -> tuple[Pending, ...]:
        """Read the candidates of cases that wait for a reviewer: in no sitting now, and not decided.

        What was answered in a blind sitting waits for nobody before it is over: then it stands where it stands.
        """
        going_on = review_items.c.answered_at.is_(None) | (sittings.c.blind & sittings.c.ended_at.is_(None))
        taken = (
            sa.select(review_items.c.candidate_id)
            .join(sittings, sittings.c.id == review_items.c.sitting_id)
            .where(review_items.c.candidate_id.is_not(None), going_on)
        )
        query = sa.select(*_BRIEF).where(
            found_candidates.c.case_id.in_(list(cases)),
            found_candidates.c.state == str(CandidateState.IN_REVIEW),
            found_candidates.c.id.not_in(taken),
        )
        return self._pending(c, c.execute(query.order_by(found_candidates.c.run_id, found_candidates.c.rank)).all())

    def pending(self, c: sa.Connection, candidates: Iterable[str]) -> tuple[Pending, ...]:
        """Read who has judged some candidates, wherever they stand; those that are gone are left out."""
        rows = [
            r
            for some in _batches(candidates)
            for r in c.execute(sa.select(*_BRIEF).where(found_candidates.c.id.in_(some)))
        ]
        return self._pending(c, rows)

    def _pending(self, c: sa.Connection, rows: Sequence[sa.Row[Any]]) -> tuple[Pending, ...]:
        judges: dict[str, tuple[str, ...]] = {}
        for some in _batches(r.id for r in rows):
            query = (
                sa.select(review_items.c.candidate_id, sittings.c.person)
                .join(sittings, sittings.c.id == review_items.c.sitting_id)
                .where(review_items.c.candidate_id.in_(some), review_items.c.answered_at.is_not(None))
            )
            for j in c.execute(query.order_by(review_items.c.round, review_items.c.id)):
                judges[j.candidate_id] = (*judges.get(j.candidate_id, ()), j.person)
        kin: dict[tuple[str, str], set[str]] = {}
        f = found_candidates.c
        for some in _batches(dict.fromkeys(r.reference_id for r in rows)):
            alike = sa.select(f.case_id, f.reference_id, f.id, f.run_id).where(f.reference_id.in_(some))
            for k in c.execute(alike):
                kin.setdefault((k.case_id, k.reference_id), set()).update((k.id, k.run_id, k.reference_id))
        return tuple(
            Pending(
                candidate=r.id,
                case=r.case_id,
                reference_id=r.reference_id,
                state=CandidateState(r.state),
                judges=judges.get(r.id, ()),
                kin=frozenset(kin.get((r.case_id, r.reference_id), set()) | {r.id, r.run_id, r.reference_id}),
            )
            for r in rows
        )

    def answered_with(self, c: sa.Connection, entry: int) -> tuple[ReviewItem, Sitting] | None:
        """Read the answer that an entry of the ledger is about, with its sitting (no items); None if there is none."""
        row = c.execute(sa.select(review_items).where(review_items.c.entry == entry)).first()
        return None if row is None else (self._item(row), self._heads(c, [row.sitting_id])[row.sitting_id])

    def concerned(self, c: sa.Connection, collection: str, references: Iterable[str]) -> frozenset[str]:
        """Read the cases to which references matter: it is their own collection, or they have them as candidates."""
        own = (case_collections.c.collection == collection) & case_collections.c.own
        found = set(c.execute(sa.select(case_collections.c.case_id).where(own)).scalars())
        for some in _batches(references):
            query = sa.select(found_candidates.c.case_id).where(found_candidates.c.reference_id.in_(some)).distinct()
            found |= set(c.execute(query).scalars())
        return frozenset(found)

    def entries_of(self, c: sa.Connection, case: str) -> frozenset[int]:
        """Read the ledger's indexes of all answers in a case, those to controls too."""
        query = sa.select(review_items.c.entry).where(review_items.c.case_id == case, review_items.c.entry.is_not(None))
        return frozenset(c.execute(query).scalars())

    # --- figures ---

    def count(self, c: sa.Connection, principal: str, organisation: str, now: datetime, more: ReviewerFigures) -> None:
        """Add to what a reviewer did today (UTC)."""
        day = now.strftime("%Y-%m-%d")
        t = review_outcomes.c
        c.execute(_BEGIN, {"principal": principal, "day": day, "organisation": organisation})
        added = {name: t[name] + getattr(more, name) for name in _COUNTS}
        mine = (t.principal == principal) & (t.day == day)
        c.execute(sa.update(review_outcomes).where(mine).values(added))

    def figures(self, c: sa.Connection, organisation: str, *, since: str = "") -> tuple[ReviewerFigures, ...]:
        """Read what the reviewers of an organisation did since a day (``2026-11-25``), by principal."""
        t = review_outcomes.c
        sums = [sa.func.sum(t[name]).label(name) for name in _COUNTS]
        query = sa.select(t.principal, *sums).where(t.organisation == organisation, t.day >= since)
        rows = c.execute(query.group_by(t.principal).order_by(t.principal)).mappings()
        return tuple(ReviewerFigures(r["principal"], **{n: r[n] for n in _COUNTS}) for r in rows)

    def _heads(self, c: sa.Connection, ids: Iterable[str]) -> dict[str, Sitting]:
        rows = c.execute(sa.select(sittings).where(sittings.c.id.in_(list(ids))))
        return {r.id: _head(r, ()) for r in rows}

    def _read(self, c: sa.Connection, row: sa.Row[Any]) -> Sitting:
        query = sa.select(review_items).where(review_items.c.sitting_id == row.id)
        return _head(row, [self._item(r) for r in c.execute(query.order_by(review_items.c.position))])

    def _item(self, r: sa.Row[Any]) -> ReviewItem:
        told = {} if r.secret is None else orjson.loads(self._sealer.open(r.id, r.secret, r.secret_key))
        return ReviewItem(
            id=r.id,
            sitting=r.sitting_id,
            position=r.position,
            candidate=r.candidate_id,
            round=r.round,
            probe=r.probe,
            probe_face=r.probe_face,
            image=r.image_id,
            face=r.face,
            answered_at=moment(r.answered_at),
            answer=None if r.answer is None else Answer(r.answer),
            checklist=told.get("checklist", {}),
            note=told.get("note", ""),
            seconds=None if r.answered_at is None or r.shown_at is None else r.answered_at - r.shown_at,
            entry=r.entry,
        )


def _batches(ids: Iterable[str]) -> Iterator[list[str]]:
    """Return ids in lists that fit into a statement."""
    every = list(ids)
    for start in range(0, len(every), _IN):
        yield every[start : start + _IN]


def _head(r: sa.Row[Any], items: Sequence[ReviewItem]) -> Sitting:
    return Sitting(
        r.id, r.case_id, r.principal, r.person, bool(r.blind), time_of(r.begun_at), moment(r.ended_at), tuple(items)
    )


def check_answer(checklist: Mapping[str, str], note: str) -> dict[str, object]:
    """Return what is kept of an answer beside the answer itself.

    Raises:
        Invalid: if the checklist has a feature that there isn't, says something else of one, or the note is too long.
    """
    strays = set(checklist) - set(CHECKLIST)
    if strays:
        raise Invalid("The checklist has a feature that there isn't.")
    if set(checklist.values()) - SEEN:
        raise Invalid(f"Of a feature one says {', '.join(sorted(SEEN))}.")
    return {"checklist": dict(checklist), "note": words(note, "A note", 4000, lines=True)}
