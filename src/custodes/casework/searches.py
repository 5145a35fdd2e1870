# SPDX-License-Identifier: Apache-2.0
"""The store of searches: runs, what each searched for and found, candidates and where they stand, standing searches.

A search that found nothing is kept like any other: whoever defends a suspect may ask for all of them. Every method
works in the transaction that it is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
import sqlalchemy as sa

from custodes.casework.images import Forgotten
from custodes.casework.judging import Lead
from custodes.casework.model import (
    CandidateState,
    FoundCandidate,
    Run,
    RunKind,
    RunState,
    SearchRecord,
    Similar,
    Standing,
)
from custodes.casework.schema import (
    case_files,
    found_candidates,
    leads,
    review_items,
    search_records,
    search_runs,
    standing_searches,
)
from custodes.db import Vault
from custodes.db.sealing import Sealer, moment, new_id, time_of
from custodes.errors import Conflict, NotFound

__all__ = ["RUN_HELD_FOR", "Searches"]

RUN_HELD_FOR = timedelta(minutes=10)
"""So long a run is its process's without a sign of life; each of its searches is one."""


class Searches:
    """The store of searches and candidates.

    Args:
        vault: seals scores and labels.
    """

    def __init__(self, vault: Vault) -> None:
        self._sealer = Sealer(vault)

    # --- searches ---

    def record(self, c: sa.Connection, search: SearchRecord) -> None:
        """Keep what one search was, in the transaction of its entry."""
        c.execute(
            sa.insert(search_records).values(
                id=search.id,
                run_id=search.run,
                case_id=search.case,
                probe=search.probe,
                face=search.face,
                collection=search.collection,
                collection_name=search.collection_name,
                at=search.at.timestamp(),
                by=search.by,
                threshold=search.threshold,
                candidates=search.candidates,
                entry=search.entry,
                pack_version=search.pack_version,
                rules=search.rules,
            )
        )

    def searches(
        self, c: sa.Connection, *, case: str | None = None, run: str | None = None
    ) -> tuple[SearchRecord, ...]:
        """Read the searches of a case, or of a run, in the order of their entries."""
        query = sa.select(search_records).order_by(search_records.c.entry, search_records.c.id)
        if case is not None:
            query = query.where(search_records.c.case_id == case)
        if run is not None:
            query = query.where(search_records.c.run_id == run)
        return tuple(_to_search(r) for r in c.execute(query))

    # --- runs ---

    def begin_run(self, c: sa.Connection, run: Run) -> None:
        """Note that searches are being made together."""
        c.execute(
            sa.insert(search_runs).values(
                id=run.id,
                case_id=run.case,
                kind=str(run.kind),
                state=str(run.state),
                why=run.why,
                standing=run.standing,
                at=run.at.timestamp(),
                by=run.by,
                searches=run.searches,
                candidates=run.candidates,
                held_until=(run.at + RUN_HELD_FOR).timestamp(),
            )
        )

    def hold_run(self, c: sa.Connection, run: str, now: datetime) -> None:
        """Tell that searches of a run are still being made."""
        until = (now + RUN_HELD_FOR).timestamp()
        c.execute(sa.update(search_runs).where(search_runs.c.id == run).values(held_until=until))

    def has_abandoned(self, c: sa.Connection, now: datetime) -> bool:
        """Tell whether there are runs that nobody makes any more, and that don't say so."""
        return c.execute(sa.select(search_runs.c.id).where(_is_left(now)).limit(1)).first() is not None

    def abandon_runs(self, c: sa.Connection, now: datetime, why: str) -> int:
        """Note that runs which nobody makes any more are stopped, and why; return how many these were."""
        count = sa.select(sa.func.count()).where(search_records.c.run_id == search_runs.c.id).scalar_subquery()
        values = {"state": str(RunState.STOPPED), "why": why[:500], "searches": count}
        return int(c.execute(sa.update(search_runs).where(_is_left(now)).values(values)).rowcount)

    def end_run(
        self, c: sa.Connection, run: str, state: RunState, candidates: Sequence[FoundCandidate], why: str = ""
    ) -> Run:
        """Keep a run's candidate list, and note that it is over."""
        mine = search_records.c.run_id == run
        count = c.execute(sa.select(sa.func.count()).select_from(search_records).where(mine)).scalar_one()
        values = {"state": str(state), "why": why[:500], "searches": count, "candidates": len(candidates)}
        c.execute(sa.update(search_runs).where(search_runs.c.id == run).values(values))
        if candidates:
            c.execute(sa.insert(found_candidates), [self._row(f) for f in candidates])
        return self.run(c, run)

    def run(self, c: sa.Connection, run: str) -> Run:
        """Read a run.

        Raises:
            NotFound: if there is none of this id.
        """
        row = c.execute(sa.select(search_runs).where(search_runs.c.id == run)).one_or_none()
        if row is None:
            raise NotFound(f"There is no search {run}.")
        return _to_run(row)

    def runs(self, c: sa.Connection, case: str, *, limit: int = 100) -> tuple[Run, ...]:
        """Read the last runs of a case, the newest first."""
        query = sa.select(search_runs).where(search_runs.c.case_id == case)
        return tuple(
            _to_run(r) for r in c.execute(query.order_by(search_runs.c.at.desc(), search_runs.c.id).limit(limit))
        )

    # --- candidates ---

    def candidate(self, c: sa.Connection, candidate: str) -> FoundCandidate:
        """Read a candidate.

        Raises:
            NotFound: if there is none of this id.
        """
        row = c.execute(sa.select(found_candidates).where(found_candidates.c.id == candidate)).one_or_none()
        if row is None:
            raise NotFound(f"There is no candidate {candidate}.")
        return self._read(row)

    def candidates(
        self,
        c: sa.Connection,
        *,
        run: str | None = None,
        case: str | None = None,
        states: Iterable[CandidateState] = (),
    ) -> tuple[FoundCandidate, ...]:
        """Read candidates by rank: of a run or a case, those in some states or all."""
        query = sa.select(found_candidates).order_by(found_candidates.c.run_id, found_candidates.c.rank)
        if run is not None:
            query = query.where(found_candidates.c.run_id == run)
        if case is not None:
            query = query.where(found_candidates.c.case_id == case)
        if wanted := [str(s) for s in states]:
            query = query.where(found_candidates.c.state.in_(wanted))
        return tuple(self._read(r) for r in c.execute(query))

    def count(self, c: sa.Connection, cases: Iterable[str]) -> Mapping[str, Mapping[CandidateState, int]]:
        """Count the candidates of cases by where they stand."""
        t = found_candidates.c
        query = sa.select(t.case_id, t.state, sa.func.count()).where(t.case_id.in_(list(cases)))
        found: dict[str, dict[CandidateState, int]] = {}
        for case, state, n in c.execute(query.group_by(t.case_id, t.state)):
            found.setdefault(case, {})[CandidateState(state)] = n
        return found

    def seen(self, c: sa.Connection, case: str) -> frozenset[str]:
        """Read the references that are candidates of a case already."""
        query = sa.select(found_candidates.c.reference_id).where(found_candidates.c.case_id == case)
        return frozenset(c.execute(query).scalars())

    def stand(self, c: sa.Connection, candidate: str, was: CandidateState, state: CandidateState) -> None:
        """Let a candidate stand elsewhere.

        Raises:
            Conflict: if it doesn't stand where it was thought to.
        """
        mine = (found_candidates.c.id == candidate) & (found_candidates.c.state == str(was))
        if not c.execute(sa.update(found_candidates).where(mine).values(state=str(state))).rowcount:
            raise Conflict("The candidate was judged meanwhile.", remedy="Try again.")

    def attach(self, c: sa.Connection, candidate: str, image: str, face: int) -> None:
        """Note which face of which image shows a candidate that had none.

        Raises:
            Conflict: if it has one by now, or is gone.
        """
        mine = (found_candidates.c.id == candidate) & found_candidates.c.image_id.is_(None)
        if not c.execute(sa.update(found_candidates).where(mine).values(image_id=image, face=face)).rowcount:
            raise Conflict("The candidate has a photo already.")

    def forget(self, c: sa.Connection, reference_ids: Iterable[str]) -> Forgotten:
        """Destroy the candidates that are references which are erased, with their reviews; return what is gone."""
        ids, gone = list(reference_ids), 0
        faces: set[tuple[str, int]] = set()
        answers: dict[str, tuple[int, ...]] = {}
        for start in range(0, len(ids), 500):
            doomed = found_candidates.c.reference_id.in_(ids[start : start + 500])
            shown = sa.select(found_candidates.c.image_id, found_candidates.c.face)
            faces |= {(i, n) for i, n in c.execute(shown.where(doomed, found_candidates.c.image_id.is_not(None)))}
            judged = review_items.c.candidate_id.in_(sa.select(found_candidates.c.id).where(doomed))
            told = sa.select(review_items.c.case_id, review_items.c.entry)
            for case, entry in c.execute(told.where(judged, review_items.c.entry.is_not(None))):
                answers[case] = (*answers.get(case, ()), entry)
            c.execute(sa.delete(review_items).where(judged))
            gone += c.execute(sa.delete(found_candidates).where(doomed)).rowcount
        return Forgotten(gone, frozenset(faces), answers)

    # --- leads ---

    def lead(self, c: sa.Connection, case: str, candidate: str, entry: int, now: datetime) -> Lead:
        """Note that a candidate has become a lead."""
        made = Lead(new_id("lead"), case, candidate, now, entry)
        c.execute(
            sa.insert(leads).values(
                id=made.id, case_id=case, candidate_id=candidate, made_at=now.timestamp(), entry=entry
            )
        )
        return made

    def find_lead(self, c: sa.Connection, lead: str) -> Lead:
        """Read a lead.

        Raises:
            NotFound: if there is none of this id.
        """
        row = c.execute(sa.select(leads).where(leads.c.id == lead)).one_or_none()
        if row is None:
            raise NotFound(f"There is no lead {lead}.")
        return _to_lead(row)

    def leads(self, c: sa.Connection, case: str | None = None, organisation: str | None = None) -> tuple[Lead, ...]:
        """Read the leads of a case, or of an organisation, the newest first."""
        query = sa.select(leads).order_by(leads.c.made_at.desc(), leads.c.id)
        if case is not None:
            query = query.where(leads.c.case_id == case)
        if organisation is not None:
            mine = sa.select(case_files.c.id).where(case_files.c.organisation == organisation)
            query = query.where(leads.c.case_id.in_(mine))
        return tuple(_to_lead(r) for r in c.execute(query))

    # --- standing searches ---

    def stand_watch(self, c: sa.Connection, standing: Standing) -> None:
        """Keep a standing search."""
        c.execute(
            sa.insert(standing_searches).values(
                id=standing.id,
                case_id=standing.case,
                by=standing.by,
                purpose=standing.purpose,
                threshold=standing.threshold,
                limit=standing.limit,
                collections=orjson.dumps(list(standing.collections)).decode(),
                seen="{}",
                active=standing.active,
                made_at=standing.made_at.timestamp(),
                last_run_at=None,
                why="",
            )
        )

    def standing(
        self, c: sa.Connection, *, case: str | None = None, active: bool | None = None
    ) -> tuple[Standing, ...]:
        """Read standing searches, of a case or all, the oldest first."""
        query = sa.select(standing_searches).order_by(standing_searches.c.made_at, standing_searches.c.id)
        if case is not None:
            query = query.where(standing_searches.c.case_id == case)
        if active is not None:
            query = query.where(standing_searches.c.active.is_(active))
        return tuple(_to_standing(r) for r in c.execute(query))

    def watermarks(self, c: sa.Connection, standing: str) -> dict[str, int]:
        """Read which change of each collection a standing search has seen."""
        query = sa.select(standing_searches.c.seen).where(standing_searches.c.id == standing)
        read: dict[str, int] = orjson.loads(c.execute(query).scalar_one_or_none() or "{}")
        return read

    def stood(self, c: sa.Connection, standing: str, seen: Mapping[str, int], now: datetime, why: str = "") -> None:
        """Note that a standing search was made again, up to which changes; or why it couldn't be."""
        values = {"seen": orjson.dumps(dict(seen)).decode(), "last_run_at": now.timestamp(), "why": why[:500]}
        c.execute(sa.update(standing_searches).where(standing_searches.c.id == standing).values(values))

    def stop_standing(self, c: sa.Connection, standing: str, why: str = "") -> None:
        """End a standing search; ``why`` says why, if nobody wanted it.

        Raises:
            NotFound: if there is none of this id.
        """
        mine = standing_searches.c.id == standing
        if not c.execute(sa.update(standing_searches).where(mine).values(active=False, why=why[:500])).rowcount:
            raise NotFound(f"There is no standing search {standing}.")

    def _row(self, f: FoundCandidate) -> dict[str, object]:
        told = {
            "similarity": f.similarity,
            "label": f.label,
            "scores": [[s.probe, s.face, s.similarity, s.age_gap] for s in f.scores],
        }
        return {
            "id": f.id,
            "run_id": f.run,
            "case_id": f.case,
            "rank": f.rank,
            "reference_id": f.reference_id,
            "collection": f.collection,
            "state": str(f.state),
            "image_id": f.image,
            "face": f.face,
            "person": f.person,
            "folded_into": f.folded_into,
            **self._sealer.seal_words(f.id, told),
        }

    def _read(self, r: sa.Row[Any]) -> FoundCandidate:
        told = orjson.loads(self._sealer.open(r.id, r.secret, r.secret_key))
        return FoundCandidate(
            id=r.id,
            run=r.run_id,
            case=r.case_id,
            rank=r.rank,
            reference_id=r.reference_id,
            collection=r.collection,
            similarity=told["similarity"],
            state=CandidateState(r.state),
            image=r.image_id,
            face=r.face,
            label=told["label"],
            person=r.person,
            folded_into=r.folded_into,
            scores=tuple(Similar(*s) for s in told["scores"]),
        )


def _is_left(now: datetime) -> sa.ColumnElement[bool]:
    return (search_runs.c.state == str(RunState.RUNNING)) & (search_runs.c.held_until <= now.timestamp())


def _to_search(r: sa.Row[Any]) -> SearchRecord:
    return SearchRecord(
        id=r.id,
        run=r.run_id,
        case=r.case_id,
        probe=r.probe,
        face=r.face,
        collection=r.collection,
        collection_name=r.collection_name,
        at=time_of(r.at),
        by=r.by,
        threshold=r.threshold,
        candidates=r.candidates,
        entry=r.entry,
        pack_version=r.pack_version,
        rules=r.rules,
    )


def _to_run(r: sa.Row[Any]) -> Run:
    return Run(
        id=r.id,
        case=r.case_id,
        kind=RunKind(r.kind),
        at=time_of(r.at),
        by=r.by,
        standing=r.standing,
        searches=r.searches,
        candidates=r.candidates,
        state=RunState(r.state),
        why=r.why,
    )


def _to_lead(r: sa.Row[Any]) -> Lead:
    return Lead(r.id, r.case_id, r.candidate_id, time_of(r.made_at), r.entry)


def _to_standing(r: sa.Row[Any]) -> Standing:
    return Standing(
        id=r.id,
        case=r.case_id,
        by=r.by,
        purpose=r.purpose,
        threshold=r.threshold,
        limit=r.limit,
        collections=tuple(orjson.loads(r.collections)),
        active=bool(r.active),
        made_at=time_of(r.made_at),
        last_run_at=moment(r.last_run_at),
        why=r.why,
    )
