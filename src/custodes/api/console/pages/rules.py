# SPDX-License-Identifier: Apache-2.0
"""The rules: what holds now, one rulebook, why something was refused, and what would be said to a request."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import orjson
from fastapi import APIRouter, Path, Query, Response

from custodes.api.console.entries import Wanted, newest
from custodes.api.console.facts import facts_of
from custodes.api.console.restraints import RULEBOOK, books_of, in_force
from custodes.api.console.trying import OPTIONS, Asked
from custodes.api.console.visits import Visit, Visitor
from custodes.api.console.wording import action_words
from custodes.errors import Invalid, NotFound
from custodes.governance import Role
from custodes.governance.request import to_json
from custodes.governance.trial import Explanation

__all__ = ["router"]

router = APIRouter(prefix="/console/rules")

Before = Annotated[int | None, Query(ge=0, le=2**62)]
Index = Annotated[int, Path(ge=0, le=2**62)]


@router.get("")
async def rules(visit: Visitor) -> Response:
    """Show what holds now."""
    session = visit.session
    named = None if session.roles & {Role.OVERSIGHT, Role.OPERATOR} else {session.organisation.id}
    found = await visit.quick(lambda: in_force(visit.console.app, datetime.now(UTC), named))
    return visit.page("rules.html.j2", {"found": found, "oversees": Role.OVERSIGHT in visit.session.roles})


@router.get("/books/{book}")
async def rulebook(visit: Visitor, book: Annotated[str, Path(pattern=RULEBOOK)]) -> Response:
    """Show a rulebook: each rule, its duties, its worked cases and what they come to."""
    books = books_of(visit.console)
    state = dict(await visit.quick(lambda: {b.id: (b, on) for b, on in visit.console.app.rules.rulebooks()}))
    if book not in state:
        raise NotFound(f"There is no rulebook {book}.", remedy="The page of the rules lists all.")
    shown, enabled = state[book]
    tried = await visit.inference(lambda: books.tried(shown))
    values = {"book": shown, "enabled": enabled, "tried": tried, "oversees": Role.OVERSIGHT in visit.session.roles}
    return visit.page("rules_book.html.j2", values)


# --- why was it refused? ---


@router.get("/denials")
async def denials(visit: Visitor, before: Before = None) -> Response:
    """List what was refused to the own organisation, the latest first."""
    wanted = Wanted(decision="deny", organisation=visit.session.organisation.id)
    ledger = visit.console.app.ledger
    found = await visit.quick(lambda: newest(ledger, wanted.takes, before, 25))
    return visit.page("rules_denials.html.j2", {"found": found, "before": before})


@router.get("/denials/{index}")
async def explain(visit: Visitor, index: Index) -> Response:
    """Say by which rules an entry was decided, as they held then."""
    app = visit.console.app

    def look() -> tuple[Explanation, datetime, str]:
        entry = app.ledger.entry(index)
        return app.rules.explain_entry(index), datetime.fromisoformat(str(entry["at"])), str(entry["decision"])

    found, at, was = await visit.quick(look)
    values = _shown(found) | {"index": index, "at": at, "differs": (was == "permit") != found.decision.allowed}
    return visit.page("rules_explained.html.j2", values)


def _shown(found: Explanation) -> dict[str, object]:
    raw = orjson.dumps(to_json(found.request), option=orjson.OPT_INDENT_2).decode()
    return {
        "found": found,
        "action": action_words(str(found.request.action)),
        "groups": facts_of(found.request),
        "raw": raw,
    }


# --- may I? ---


@router.get("/try")
async def attempt(visit: Visitor) -> Response:
    """Say what the rules would say to a request; nothing is done and nothing recorded."""
    given = visit.request.query_params
    asked = Asked.like(visit.session)
    if not given:
        return _tried(visit, asked)
    try:
        asked = Asked.of(given)
        found = await visit.quick(lambda: visit.console.app.rules.explain(asked.request(_duties(visit))))
    except Invalid as error:
        return _tried(visit, asked, error=error, status=400)
    return _tried(visit, asked, found)


def _duties(visit: Visit) -> frozenset[str]:
    return frozenset(
        duty.id for book, enabled in visit.console.app.rules.rulebooks() if enabled for duty in book.duties
    )


def _tried(
    visit: Visit, asked: Asked, found: Explanation | None = None, error: Invalid | None = None, status: int = 200
) -> Response:
    values: dict[str, object] = {"asked": asked, "options": OPTIONS, "error": error, "found": None}
    if found is not None:
        values |= _shown(found)
    return visit.page("rules_try.html.j2", values, status=status)
