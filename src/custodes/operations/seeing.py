# SPDX-License-Identifier: Apache-2.0
"""Who has seen scores and answers: noted before they are shown, for whoever has seen them judges nothing blind by them.

While somebody judges blind, what would tell them scores of that is refused, and that they tried is an entry. How a
candidate was judged nobody sees before it is decided, by whatever way they come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from custodes.casework import CaseFile, Sitting
from custodes.errors import Denied
from custodes.governance import Action, Caller, Principal
from custodes.operations.caserows import found_in
from custodes.operations.choosing import hold_reviews
from custodes.operations.exhibits import at
from custodes.operations.sittings import Sittings, has_lapsed

__all__ = ["Seeing"]

_BLIND = "base.review-blind"


class Seeing(Sittings):
    """What is noted of those who see scores and answers; their sittings decide what is refused."""

    def see(self, caller: Caller, case: str, what: Sequence[str]) -> None:
        """Note that the caller is about to see scores of runs, or how candidates were judged; by their ids.

        Raises:
            Denied: if the caller is in the middle of judging any of them blind; that they tried is an entry.
            NotFound: if there is no such case.
        """
        desk, ids = self._desk, frozenset(what)
        with desk.db.read() as c:
            file = desk.file_to_review(c, caller, case)
            who = desk.principal(c, caller)
            if ids <= desk.files.exposed(c, case, who.person):
                return
        with desk.db.transaction() as c:
            hold_reviews(c, who.organisation)
            now = self._guard.now(c)
            blind = self._blind(c, who, case, now)
            candidates = [i.candidate for s in blind for i in s.items if i.candidate]
            refused = any(p.kin & ids for p in desk.reviews.pending(c, candidates))
            if not refused:
                desk.files.expose(c, case, who.person, ids, now)
        if refused:
            self._tell_refused(caller, file)
            raise Denied(
                "You are judging candidates of this list blind, so you don't see their scores now.",
                remedy="Finish your sitting first.",
                code=_BLIND,
            )

    def see_alike(self, caller: Caller, collection: str, references: Sequence[str], case: str | None = None) -> None:
        """Note that the caller is about to see how alike references are to somebody, wherever that matters.

        That is in a case that is named, in one whose own collection it is, and in all that have them as candidates.

        Args:
            caller: who sees it.
            collection: where they are, by random id.
            references: by their ids.
            case: for which it was searched, if for any.

        Raises:
            Denied: if the caller is in the middle of judging any of them blind; that they tried is an entry.
        """
        desk, named = self._desk, case or caller.case
        if not references:
            return
        with desk.db.read() as c:
            who = desk.principal(c, caller)
            concerned = desk.reviews.concerned(c, collection, references) | ({named} if named else set())
            mine = [k for k in sorted(concerned) if desk.files.organisation(c, k) == who.organisation]
        for found in mine:
            self.see(caller, found, references)

    def see_entry(self, caller: Caller, index: int, entry: Mapping[str, object], values: Mapping[str, bytes]) -> None:
        """Note that the caller is about to see what an entry of a search or an answer commits to, or refuse it.

        Args:
            caller: who sees it.
            index: of the entry.
            entry: what it says.
            values: what is opened of it.

        Raises:
            Denied: if it is an answer to a candidate that isn't decided, or to a control beside such ones; or the
                caller is in the middle of judging blind what it is about. That they tried is an entry.
        """
        action = at(entry, "request", "action")
        if action == Action.REVIEW:
            self._see_answer(caller, index)
        elif action == Action.SEARCH_REFERENCES:
            case = entry.get("case")
            named = case if isinstance(case, str) else None
            self.see_alike(caller, str(entry.get("collection", "")), tuple(found_in(values)), named)

    def _see_answer(self, caller: Caller, index: int) -> None:
        desk = self._desk
        with desk.db.read() as c:
            found = desk.reviews.answered_with(c, index)
            if found is None:  # it is refused, or erased with its candidate
                return
            item, head = found
            beside = [i.candidate for i in desk.reviews.sitting(c, head.id).items if i.candidate]
            known = desk.reviews.pending(c, [item.candidate] if item.candidate else beside)
            file = desk.files.get(c, head.case)
            is_own = desk.principal(c, caller).organisation == file.organisation
        if head.ended_at is None or not all(p.is_decided for p in known):
            self._tell_refused(caller, file)
            raise Denied("The candidate isn't decided; until then nobody sees how it was judged.", code=_BLIND)
        if item.candidate and is_own:  # nobody else judges in this case
            self.see(caller, file.id, [item.candidate])

    def _tell_refused(self, caller: Caller, file: CaseFile) -> None:
        told = {"case": file.id, "organisation": file.organisation, "principal": caller.principal}
        self._guard.system("scores-refused", told | {"rules": [_BLIND]})

    def _blind(self, c: sa.Connection, who: Principal, case: str, now: datetime) -> list[Sitting]:
        """Return the blind sittings of a case that go on with somebody."""
        going_on = self._desk.reviews.open_sittings(c, person=who.person, case=case)
        return [s for s in going_on if s.blind and not has_lapsed(s, now)]
