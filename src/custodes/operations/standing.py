# SPDX-License-Identifier: Apache-2.0
"""Standing searches: made again, by whom they are, whenever images come into what they search.

Each time is a run like any other: authorised as if its owner asked at that moment, counted, and recorded. What a rule
forbids stays undone, and the next try waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from custodes.casework import CaseFile, CaseStatus, ImageRole, Standing
from custodes.casework.sealing import new_id
from custodes.errors import CustodesError, NotFound
from custodes.governance import Caller, Purpose
from custodes.operations.desk import Desk
from custodes.operations.guard import Guard
from custodes.operations.searching import LIMIT, CaseSearches, check_bounds, must_be_open

__all__ = ["StandingSearches"]

_PAUSE = timedelta(minutes=5)
"""So long a standing search rests after one that a rule forbade."""


class StandingSearches:
    """Standing searches of cases.

    Args:
        guard: authorises and records.
        desk: casework's.
        searches: makes them.
    """

    def __init__(self, guard: Guard, desk: Desk, searches: CaseSearches) -> None:
        self._guard = guard
        self._desk = desk
        self._searches = searches

    def stand(
        self,
        caller: Caller,
        case: str,
        *,
        collections: Sequence[str] = (),
        threshold: float | None = None,
        limit: int = LIMIT,
    ) -> Standing:
        """Let the references of a case be searched for again whenever images come into its collections.

        Raises:
            NotFound: if there is no such case, or it doesn't use such a collection.
            Conflict: if it isn't open.
            Invalid: if a value is out of range.
        """
        check_bounds(threshold, limit)
        desk = self._desk
        with desk.db.read() as c:
            file = desk.file(c, caller, case)
            if collections:
                self._searches.places(c, file, collections)
        must_be_open(file)
        with self._guard.transaction() as c:
            now = self._guard.now(c)
            made = Standing(
                new_id("stand"),
                case,
                caller.principal,
                str(caller.purpose),
                threshold,
                limit,
                tuple(collections),
                True,
                now,
                None,
            )
            desk.searches.stand_watch(c, made)
            told = {"standing": made.id, "case": case, "principal": caller.principal}
            self._guard.append_system(c, "standing-search", told)
        return made

    def stop_standing(self, caller: Caller, case: str, standing: str) -> None:
        """End a standing search.

        Raises:
            NotFound: if there is none of this id in the case.
        """
        desk = self._desk
        with self._guard.transaction() as c:
            desk.file(c, caller, case)
            if standing not in {s.id for s in desk.searches.standing(c, case=case)}:
                raise NotFound(f"There is no standing search {standing}.")
            desk.searches.stop_standing(c, standing)
            self._guard.append_system(c, "standing-search-ended", {"standing": standing, "case": case})

    def run_standing(self) -> int:
        """Make the standing searches again whose collections or references have changed; return how many that were."""
        with self._desk.db.read() as c:
            active = self._desk.searches.standing(c, active=True)
        return sum(self._again(s) for s in active)

    def _again(self, standing: Standing) -> bool:
        desk = self._desk
        caller = Caller(standing.by, Purpose(standing.purpose))
        with desk.db.read() as c:
            now = self._guard.now(c)
            file = desk.files.get(c, standing.case)
            seen = desk.searches.watermarks(c, standing.id)
            current = self._changes(c, file, standing)
        if file.status != CaseStatus.OPEN or seen == current or _rests(standing, now):
            return False
        why = ""
        try:
            self._searches.search_again(caller, standing)
        except CustodesError as error:  # it is tried again, after a rest
            why, current = error.diagnostics(), seen
        with self._guard.transaction() as c:
            desk.searches.stood(c, standing.id, current, now, why)
        return not why

    def _changes(self, c: sa.Connection, file: CaseFile, standing: Standing) -> dict[str, int]:
        """Return the number of the last change of each collection, and how many references the case has."""
        wanted = standing.collections
        places = {k.uid: k.change for k in self._desk.collections(c, file) if not wanted or k.uid in wanted}
        return places | {"references": self._desk.images.count(c, file.id).get(ImageRole.REFERENCE, 0)}


def _rests(standing: Standing, now: datetime) -> bool:
    return standing.last_run_at is not None and bool(standing.why) and now - standing.last_run_at < _PAUSE
