# SPDX-License-Identifier: Apache-2.0
"""Standing searches: made again, by whom they are, whenever images come into what they search.

Each time is a run like any other: authorised as if its owner asked at that moment, counted, and recorded; only what has
changed is searched. Between two runs lies a least time, except after an import into the case's own collection. What
wasn't searched to its end stays to be searched, and the next try waits. A standing search ends by itself when its
owner may not search any more: it has to be asked for anew then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from custodes.casework import CaseFile, CaseStatus, ImageRole, Imports, RunState, Standing
from custodes.db.sealing import new_id
from custodes.errors import CustodesError, NotFound
from custodes.gallery import Collection
from custodes.governance import OPERATOR, Caller, Keys, Purpose, Refused
from custodes.governance.logins import Logins
from custodes.operations.desk import Desk
from custodes.operations.guard import Guard
from custodes.operations.searching import LIMIT, CaseSearches, check_bounds, must_be_open

__all__ = ["StandingSearches"]

_FOR_GOOD = frozenset({"base.suspended", "base.purpose-of-class", "base.role"})
"""Rules whose denial ends a standing search: what they refuse once they refuse the next time too."""
_REFERENCES = "references"
"""As what the number of reference photos stands among the changes of collections."""


@dataclass(frozen=True, slots=True)
class _Due:
    """What a standing search has to do.

    Attributes:
        case: its case.
        places: the collections to search, by random id; none if what changed holds no face.
        seen: up to which changes all is searched when that is done.
    """

    case: CaseFile
    places: tuple[str, ...]
    seen: dict[str, int]


def _untold(standing: str, error: Exception) -> None:
    """Tell nobody."""


class StandingSearches:
    """Standing searches of cases.

    Args:
        guard: authorises and records.
        desk: casework's.
        searches: makes them.
        imports: casework's store of imports.
        keys, logins: by which their owners may search.
        seconds: least time between two runs of one.
    """

    def __init__(
        self,
        guard: Guard,
        desk: Desk,
        searches: CaseSearches,
        imports: Imports,
        keys: Keys,
        logins: Logins,
        seconds: float,
    ) -> None:
        self._guard = guard
        self._desk = desk
        self._searches = searches
        self._imports = imports
        self._keys = keys
        self._logins = logins
        self._pause = timedelta(seconds=seconds)

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

    def run_standing(self, failed: Callable[[str, Exception], None] = _untold) -> int:
        """Make the standing searches again whose collections or references have changed; return how many that were.

        Args:
            failed: told of what nobody has foreseen, by the standing search's id; the others go on.
        """
        with self._desk.db.read() as c:
            active = self._desk.searches.standing(c, active=True)
        made = 0
        for standing in active:
            try:
                made += self._again(standing)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and the others go on
                failed(standing.id, error)
                self._stood(standing, None, f"Something went wrong that nobody has foreseen ({type(error).__name__}).")
        return made

    def _again(self, standing: Standing) -> bool:
        """Make a standing search again if that is due, and return whether it was made to its end."""
        due = self._due(standing)
        if due is None:
            return False
        caller = Caller(standing.by, Purpose(standing.purpose))
        if why := self._left(caller, due.case):
            self._end(standing, "owner", why)
        elif not due.places:
            self._stood(standing, due.seen)
        else:
            try:
                run = self._searches.search_again(caller, standing, due.places)
            except Refused as refused:
                self._refused(standing, refused)
            except CustodesError as error:  # it is tried again, after a rest
                self._stood(standing, None, error.diagnostics())
            else:
                self._stood(standing, due.seen if run.state == RunState.DONE else None, run.why)
                return run.state == RunState.DONE
        return False

    def _due(self, standing: Standing) -> _Due | None:
        """Return what a standing search has to do now, or None if that is nothing."""
        desk = self._desk
        with desk.db.read() as c:
            now = self._guard.now(c)
            file = desk.files.get(c, standing.case)
            seen = desk.searches.watermarks(c, standing.id)
            usable = {k.uid: k for k in desk.collections(c, file)}
            own = desk.own_collection(c, file)
            count = desk.images.count(c, file.id).get(ImageRole.REFERENCE, 0)
            importing = self._imports.is_going(c, file.id)
        wanted = {u: k for u, k in usable.items() if not standing.collections or u in standing.collections}
        changed = [k for k in wanted.values() if count != seen.get(_REFERENCES) or k.change != seen.get(k.uid)]
        current = {k.uid: k.change for k in wanted.values()} | {_REFERENCES: count}
        if file.status != CaseStatus.OPEN or current == seen:
            return None
        if self._rests(standing, now):
            brought = own is not None and not importing and not standing.why and seen.get(_REFERENCES) == count
            mine = [k for k in changed if brought and k.uid == own.uid] if own is not None else []
            return _Due(file, _with_faces(mine), seen | {k.uid: k.change for k in mine}) if mine else None
        return _Due(file, _with_faces(changed) if count else (), current)

    def _rests(self, standing: Standing, now: datetime) -> bool:
        return standing.last_run_at is not None and now - standing.last_run_at < self._pause

    def _left(self, caller: Caller, file: CaseFile) -> str:
        """Return why the owner of a standing search can't search for its case any more; nothing if they can."""
        if caller.principal not in file.members:
            return "Who has asked for it doesn't work on the case any more."
        with self._desk.db.read() as c:
            now = self._guard.now(c)
            purposes = {p for login in self._logins.of(c, [caller.principal]) for p in login.purposes}
        valid = (k for k in self._keys.list() if k.principal == caller.principal and k.revoked_at is None)
        purposes |= {k.purpose for k in valid if k.expires_at is None or k.expires_at > now}
        if caller.purpose in purposes or caller.principal == OPERATOR:  # who is at the machine itself needs no key
            return ""
        return "Who has asked for it has no login and no key of this purpose any more."

    def _refused(self, standing: Standing, refused: Refused) -> None:
        """End a standing search that a rule forbids for good; another rests."""
        rules = [r.id for r in refused.decision.rules if r.id in _FOR_GOOD]
        if rules:
            self._end(standing, rules[0], refused.diagnostics())
        else:
            self._stood(standing, None, refused.diagnostics())

    def _end(self, standing: Standing, cause: str, why: str) -> None:
        with self._guard.transaction() as c:
            self._desk.searches.stop_standing(c, standing.id, why)
            told = {"standing": standing.id, "case": standing.case, "cause": cause}
            self._guard.append_system(c, "standing-search-ended", told)

    def _stood(self, standing: Standing, seen: dict[str, int] | None, why: str = "") -> None:
        """Note that a standing search was made, up to which changes; None: it wasn't, and all stays to be done."""
        with self._guard.transaction() as c:
            kept = self._desk.searches.watermarks(c, standing.id) if seen is None else seen
            self._desk.searches.stood(c, standing.id, kept, self._guard.now(c), why)


def _with_faces(collections: Sequence[Collection]) -> tuple[str, ...]:
    return tuple(k.uid for k in collections if k.face_count)
