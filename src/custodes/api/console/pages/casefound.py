# SPDX-License-Identifier: Apache-2.0
"""What a run has found: its candidates with scores, all its searches, and putting candidates into review.

Whoever sees the scores of a run is no blind reviewer of it any more; who may review is asked before they are shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.responses import JSONResponse

from custodes.api.console.pages.casedesk import PROVENANCES, AtCase, Working, at_case, casework, date_in, origin_of
from custodes.api.console.pages.caseruns import runs_of
from custodes.casework import CandidateState, CaseImage, FoundCandidate, Run, RunState
from custodes.errors import Conflict, CustodesError, Invalid, NotFound, Unavailable
from custodes.gallery import Collection
from custodes.governance import Role
from custodes.operations.browsing import Meaning
from custodes.operations.candidates import Listed
from custodes.operations.entries import NOTICE

__all__ = ["router"]

router = APIRouter(prefix="/console/cases/{case}")

RunId = Annotated[str, Path(pattern="^run-[0-9a-f]{16}$")]
CandidateId = Annotated[str, Path(pattern="^cand-[0-9a-f]{16}$")]

_UPLOAD = 32 * 2**20
_GROUPS = 40
_SEARCHES = 200

Attaching = Annotated[AtCase, Depends(at_case(_UPLOAD))]


@dataclass(frozen=True, slots=True)
class _Shown:
    """A candidate with its near-duplicates, what its score means, and the collection that it is in."""

    candidate: FoundCandidate
    twins: tuple[FoundCandidate, ...]
    meaning: Meaning | None
    collection: Collection | None

    @property
    def can_be_judged(self) -> bool:
        """Whether it can be put into review."""
        return self.candidate.state == CandidateState.FOUND and self.candidate.image is not None


@dataclass(frozen=True, slots=True)
class _Group:
    """Candidates that seem to show one person, the most alike first."""

    number: int
    members: tuple[_Shown, ...]


async def _run(at: AtCase, run: str) -> Run:
    """Return a run of the case.

    Raises:
        NotFound: if there is none.
    """
    found = await at.visit.quick(lambda: casework(at.visit).browsing.run(at.caller, run))
    if found.case != at.file.id:
        raise NotFound("There is no such search in this case.")
    return found


@router.get("/runs/{run}")
async def show_run(
    at: Working,
    run: RunId,
    page: Annotated[int, Query(ge=1, le=1000)] = 1,
    searches: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> Response:
    """Show what a run has found, or how far it is."""
    found = await _run(at, run)
    if found.state == RunState.RUNNING:
        progress = runs_of(at.visit).progress(run)
        return at.page("cases_run_going.html.j2", "search", {"run": found, "progress": progress})
    seen = await at.visit.quick(lambda: casework(at.visit).browsing.has_seen(at.caller, run))
    if Role.REVIEWER in at.visit.session.roles and not seen and found.candidates:
        return at.page("cases_run_ask.html.j2", "search", {"run": found})
    return await _show(at, found, page, searches)


async def _show(
    at: AtCase, run: Run, page: int = 1, searches: int = 1, error: CustodesError | None = None, status: int = 200
) -> Response:
    work = casework(at.visit)

    def read() -> tuple[Listed, Mapping[str, Collection], frozenset[str]]:
        listed = work.candidates.listed(at.caller, run.id)
        places = {k.uid: k for k in work.cases.view(at.visit.caller(), at.file.id).collections}
        return listed, places, work.pictures.hidden(at.caller, at.file.id, tuple(listed.images.values()))

    listed, places, hidden = await at.visit.quick(read)
    groups = _groups(at, listed, places)
    some = groups[(page - 1) * _GROUPS : page * _GROUPS]
    first = (searches - 1) * _SEARCHES
    values = {
        "run": run,
        "groups": some,
        "images": listed.images,
        "hidden": hidden,
        "notice": NOTICE,
        "searches": listed.searches[first : first + _SEARCHES],
        "all_searches": len(listed.searches),
        "empty_searches": sum(not s.candidates for s in listed.searches),
        "pages": _pages(page, len(groups), _GROUPS),
        "search_pages": _pages(searches, len(listed.searches), _SEARCHES),
        "to_judge": sum(m.can_be_judged for g in some for m in g.members),
        "provenances": [(str(k), text) for k, text in PROVENANCES.items()],
        "error": error,
        "sensitive": at.file.sensitive or bool(hidden),
    }
    return at.page("cases_run.html.j2", "search", values, status=status)


def _pages(page: int, count: int, size: int) -> tuple[int | None, int | None, int, int]:
    """Return the page before, the one after (None where there is none), this one, and how many there are."""
    last = max(1, -(-count // size))
    return (page - 1 if page > 1 else None, page + 1 if page < last else None, page, last)


def _groups(at: AtCase, listed: Listed, places: Mapping[str, Collection]) -> Sequence[_Group]:
    """Fold near-duplicates into the candidates that they are of, and gather those that seem to show one person."""
    twins: dict[str, list[FoundCandidate]] = {}
    for candidate in listed.candidates:
        if candidate.folded_into is not None:
            twins.setdefault(candidate.folded_into, []).append(candidate)
    compared = sum(places[s.collection].face_count for s in listed.searches if s.collection in places)
    groups: dict[int, list[_Shown]] = {}
    for candidate in listed.candidates:
        if candidate.folded_into is None:
            place = places.get(candidate.collection)
            meaning = None if place is None else _meaning(at, place, candidate, compared)
            shown = _Shown(candidate, tuple(twins.get(candidate.id, ())), meaning, place)
            groups.setdefault(candidate.person, []).append(shown)
    return [_Group(n, tuple(members)) for n, members in groups.items()]


def _meaning(at: AtCase, place: Collection, candidate: FoundCandidate, compared: int) -> Meaning | None:
    try:
        return casework(at.visit).browsing.meaning(place.pack, candidate.similarity, compared)
    except Unavailable:  # the model was taken away; nothing is known of its scores any more
        return None


@router.get("/runs/{run}/state")
async def tell_state(at: Working, run: RunId) -> Response:
    """Tell a script how far a run is."""
    found = await _run(at, run)
    progress = runs_of(at.visit).progress(run)
    of = progress.of if progress else None
    return JSONResponse({"state": str(found.state), "made": found.searches, "of": of})


@router.post("/runs/{run}/stop")
async def stop(at: Working, run: RunId) -> Response:
    """End a run after the search that it is at; what it has found by then is kept."""
    await _run(at, run)
    if not runs_of(at.visit).end(run):
        return at.done(f"/runs/{run}", "It isn't made by this server, or it is over.", kind="warning")
    return at.done(f"/runs/{run}", "It ends with the search that it is at.", kind="note")


@router.post("/runs/{run}/show")
async def show_scores(at: Working, run: RunId) -> Response:
    """Show the scores to somebody who may review, and has been told what that means."""
    await _run(at, run)
    await at.visit.quick(lambda: casework(at.visit).candidates.listed(at.caller, run))
    return at.done(f"/runs/{run}")


@router.post("/runs/{run}/review")
async def submit(at: Working, run: RunId) -> Response:
    """Put candidates into review."""
    found, chosen = await _run(at, run), at.visit.texts("candidates")
    try:
        if not chosen:
            raise Invalid("Nothing is chosen.", remedy="Tick the candidates that people should judge.")
        count = await at.visit.quick(lambda: casework(at.visit).review.submit(at.caller, at.file.id, chosen))
    except (Invalid, Conflict) as error:
        return await _show(at, found, error=error, status=400)
    told = "1 candidate is" if count == 1 else f"{count} candidates are"
    return at.done(f"/runs/{run}", f"{told} in review: two people judge each, the second without knowing the first.")


@router.post("/candidates/{candidate}/photo")
async def attach(at: Attaching, candidate: CandidateId) -> Response:
    """Keep the photo behind a candidate that was enrolled without one."""
    visit, work = at.visit, casework(at.visit).candidates
    run = await _run(at, visit.text("run"))
    if not await visit.quick(lambda: casework(visit).browsing.holds(at.caller, run.id, candidate)):
        raise NotFound("There is no such candidate in this search.")
    try:
        file = await visit.upload("photo")
        origin = origin_of(visit, name=file.name, taken_at=date_in(file.data))

        def keep() -> CaseImage:
            return work.attach(at.caller, candidate, file.data, origin)

        await visit.inference(keep)
    except (Invalid, Conflict) as error:
        return await _show(at, run, error=error, status=400)
    return at.done(f"/runs/{run.id}#{candidate}", "The photo is attached: people can judge the candidate now.")
