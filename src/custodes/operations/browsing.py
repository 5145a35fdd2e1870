# SPDX-License-Identifier: Apache-2.0
"""What pages show of cases beside their files: counts, pages of photos, runs under way, what a score means.

Reading alone. Nothing here shows a score: that is for ``candidates``, which notes who has seen it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import sqlalchemy as sa

from custodes.casework import CandidateState, CaseImage, ImageRole, Run, RunState
from custodes.governance import Caller, Role
from custodes.governance.rulebook import floor_of
from custodes.operations.desk import Desk
from custodes.operations.dossier import Meaning, ModelFacts
from custodes.operations.engines import Engines
from custodes.operations.scores import MATCH_THRESHOLD
from custodes.vision.dates import taken_at as taken_at

__all__ = ["Browsing", "Meaning", "PhotoPage", "Thresholds", "taken_at"]


@dataclass(frozen=True, slots=True)
class PhotoPage:
    """A page of a case's photos, and after which photo to go on (None at the end)."""

    photos: tuple[CaseImage, ...]
    after: str | None


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From which similarity a search starts, 0..100.

    Attributes:
        default: unless it is stated.
        floor: where rules set one, or 0; what is stated below it is refused.
    """

    default: float
    floor: float


class Browsing:
    """What is shown of cases.

    Args:
        desk: casework's.
        engines: know what a score is worth.
    """

    def __init__(self, desk: Desk, engines: Engines) -> None:
        self._desk = desk
        self._engines = engines

    def counts(self, caller: Caller) -> Mapping[str, Mapping[CandidateState, int]]:
        """Count the candidates of the caller's cases by where they stand.

        Raises:
            Denied: if the caller is nobody.
        """
        desk = self._desk
        with desk.db.read() as c:
            who = desk.principal(c, caller)
            files = desk.files.list(c, who.organisation, None if Role.ADMIN in who.roles else who.id)
            return desk.searches.count(c, [f.id for f in files])

    def photos(
        self,
        caller: Caller,
        case: str,
        role: ImageRole,
        *,
        import_id: str | None = None,
        faces: bool = False,
        after: str | None = None,
        limit: int = 60,
    ) -> PhotoPage:
        """Read a page of a case's photos for one use, in the order in which they came.

        Args:
            caller: a member of the case.
            case: which.
            role: what they are for.
            import_id: of one import alone.
            faces: of those alone in which a face was found.
            after: the last one of the page before.
            limit: photos of a page.

        Raises:
            NotFound: if there is no such case.
        """
        desk = self._desk
        with desk.db.read() as c:
            desk.file(c, caller, case)
            page, rest = desk.images.list(
                c, case, role, after=after, limit=limit, import_id=import_id, with_faces=faces
            )
            return PhotoPage(page, rest)

    def run(self, caller: Caller, run: str) -> Run:
        """Read a run, with the number of searches made by now, and without its candidates.

        Raises:
            NotFound: if there is none that the caller may see.
        """
        desk = self._desk
        with desk.db.read() as c:
            found = self._found(c, caller, run)
            if found.state != RunState.RUNNING:
                return found
            return replace(found, searches=len(desk.searches.searches(c, run=run)))

    def has_seen(self, caller: Caller, run: str) -> bool:
        """Tell whether the caller has seen the scores of a run already.

        Raises:
            NotFound: if there is none that the caller may see.
        """
        desk = self._desk
        with desk.db.read() as c:
            found = self._found(c, caller, run)
            return run in desk.files.exposed(c, found.case, desk.principal(c, caller).person)

    def holds(self, caller: Caller, run: str, candidate: str) -> bool:
        """Tell whether a candidate is in the list of a run.

        Raises:
            NotFound: if there is no such run that the caller may see.
        """
        desk = self._desk
        with desk.db.read() as c:
            self._found(c, caller, run)
            return candidate in {k.id for k in desk.searches.candidates(c, run=run)}

    def _found(self, c: sa.Connection, caller: Caller, run: str) -> Run:
        found = self._desk.searches.run(c, run)
        self._desk.file(c, caller, found.case)
        return found

    def thresholds(self, caller: Caller) -> Thresholds:
        """Tell from which similarity a search of the caller's starts, by the rules that bind them.

        Raises:
            Denied: if the caller is nobody.
        """
        desk = self._desk
        with desk.db.read() as c:
            state, who = desk.registry.state(c), desk.principal(c, caller)
            floor = floor_of(state.rulebooks, state.organisations[who.organisation].org_class, caller.purpose)
        return Thresholds(max(MATCH_THRESHOLD, floor), floor)

    def meaning(self, pack: str, similarity: float, comparisons: int) -> Meaning | None:
        """Return what a similarity means, as far as the model says.

        Args:
            pack: of the collection.
            similarity: 0..100.
            comparisons: how many comparisons of two faces it is the best of.

        Raises:
            Unavailable: if the model isn't installed here.
        """
        return ModelFacts.of(self._engines.of(pack).pack).meaning(similarity, comparisons)
