# SPDX-License-Identifier: Apache-2.0
"""The terms of a case: what is said of it, who works on it, what it rests on, and which collections it may search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Response

from custodes.api.console.pages.casedesk import AtCase, CollectionId, Looking, casework
from custodes.api.console.pages.cases import authorities_of
from custodes.casework import CaseFile
from custodes.errors import CustodesError, Denied, Invalid
from custodes.gallery import Collection
from custodes.operations.cases import CaseView

__all__ = ["router"]

router = APIRouter(prefix="/console/cases/{case}")

_PAGE = 200


@dataclass(frozen=True, slots=True)
class _Terms:
    """``others``: collections of the organisation that the case could use; None if the visitor may not list them, or
    hasn't asked for the list: to make it is a use of its own, in the ledger.
    """

    view: CaseView
    authorities: list[tuple[str, str]]
    others: tuple[Collection, ...] | None


def _read(at: AtCase, choose: bool) -> _Terms:
    visit, file = at.visit, at.file
    view = casework(visit).cases.view(visit.caller(), file.id)
    used = {k.uid for k in view.collections}
    others: tuple[Collection, ...] | None = None
    if choose and at.may_manage:
        try:
            page, _ = visit.console.app.collections.list(at.caller, after=0, limit=_PAGE)
            others = tuple(k for k in page if k.uid not in used and not k.name.startswith("case-"))
        except Denied:  # the page says so; the rest of it is for them all the same
            others = None
    return _Terms(view, authorities_of(visit, file.organisation), others)


async def _show(
    at: AtCase, error: CustodesError | None = None, about: str = "", status: int = 200, choose: bool = False
) -> Response:
    terms = await at.visit.quick(lambda: _read(at, choose))
    members = set(at.file.members)
    others = [(p.id, p.name) for p in at.people.values() if p.id not in members and p.suspended_at is None]
    given = {name: getattr(at.file, name) for name in ("title", "reference", "about")}
    if about == "words":
        given = {name: at.visit.text(name) for name in given}
    values = {"terms": terms, "view": terms.view, "others": others, "error": error, "about": about, "given": given}
    values["choose"] = choose
    return at.page("cases_terms.html.j2", "terms", values, status=status)


async def _change(at: AtCase, work: Callable[[], object], text: str, about: str = "") -> Response:
    """Change something; what can't be meant is told where it was asked for."""
    try:
        await at.visit.quick(work)
    except Invalid as error:
        return await _show(at, error, about, 400)
    return at.done("/terms", text)


@router.get("/terms")
async def terms(at: Looking, choose: Annotated[str, Query(pattern="^(|collection)$")] = "") -> Response:
    """Show the terms of a case; with ``choose`` the collections that it could use too."""
    return await _show(at, choose=bool(choose))


@router.post("/terms/words")
async def describe(at: Looking) -> Response:
    """Change what is said of a case."""
    visit = at.visit
    title, reference, about = (visit.text(name) for name in ("title", "reference", "about"))
    work = casework(visit).cases

    def change() -> CaseFile:
        return work.describe(at.caller, at.file.id, title=title, reference=reference, about=about)

    return await _change(at, change, "What is said of the case is changed.", "words")


@router.post("/terms/members")
async def add_member(at: Looking) -> Response:
    """Let somebody work on the case."""
    who = _person(at)
    work = casework(at.visit).cases
    return await _change(at, lambda: work.add_member(at.caller, at.file.id, who), f"{at.name(who)} works on the case.")


@router.post("/terms/members/remove")
async def remove_member(at: Looking) -> Response:
    """Let somebody work on the case no more."""
    who = _person(at)
    work = casework(at.visit).cases
    told = f"{at.name(who)} doesn't work on the case any more."
    return await _change(at, lambda: work.remove_member(at.caller, at.file.id, who), told)


@router.post("/terms/lead")
async def set_lead(at: Looking) -> Response:
    """Let somebody lead the case."""
    who = _person(at)
    work = casework(at.visit).cases
    return await _change(at, lambda: work.set_lead(at.caller, at.file.id, who), f"{at.name(who)} leads the case.")


@router.post("/terms/authority")
async def set_authority(at: Looking) -> Response:
    """Let the case rest on another authority, or on none."""
    authority = at.visit.text("authority") or None
    work = casework(at.visit).cases
    told = "The case rests on it." if authority else "The case rests on no authority."
    return await _change(at, lambda: work.set_authority(at.caller, at.file.id, authority), told)


@router.post("/terms/collections")
async def use_collection(at: Looking) -> Response:
    """Let the case search a collection of its organisation."""
    name = at.visit.text("collection")
    if not name:
        raise Invalid("Choose a collection.")
    work = casework(at.visit).cases
    told = "The case may search it; whether that fits its purpose the rules decide each time."
    return await _change(at, lambda: work.use_collection(at.caller, at.file.id, name), told)


@router.post("/terms/collections/{collection}/remove")
async def stop_using(at: Looking, collection: CollectionId) -> Response:
    """Let the case search a collection no more."""
    work = casework(at.visit).cases
    return await _change(
        at, lambda: work.stop_using(at.caller, at.file.id, collection), "The case doesn't search it any more."
    )


def _person(at: AtCase) -> str:
    """Return whom a form names.

    Raises:
        Invalid: if it is nobody.
    """
    who = at.visit.text("principal")
    if not who:
        raise Invalid("Choose a person.")
    return who
