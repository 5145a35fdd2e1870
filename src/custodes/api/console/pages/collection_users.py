# SPDX-License-Identifier: Apache-2.0
"""Users of a collection: one person's faces together."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from custodes.api.console.pages.collections import shown
from custodes.api.console.reading import CollectionName, Misread, UserId, beside, page_of, user_id
from custodes.api.console.visits import Visit, Visitor
from custodes.domain import Subject, SubjectStatus
from custodes.errors import Conflict, CustodesError, Invalid
from custodes.gallery import Collection
from custodes.governance.rows import time_of
from custodes.operations.erasure import Shelf
from custodes.operations.subjects import Associated

__all__ = ["router"]

router = APIRouter(prefix="/console/collections")

_HERE = "/console/collections"
_PAGE = 50
_MOST = 100  # faces that are given at once
_STATES = {SubjectStatus.CREATED: ("no faces yet", "warn"), SubjectStatus.ACTIVE: ("has faces", "good")}


async def _list(visit: Visit, name: str, after: int = 0, error: CustodesError | None = None) -> Response:
    app, caller = visit.console.app, visit.caller()

    def read() -> tuple[Collection, tuple[Subject, ...], int | None]:
        collection = app.collections.describe(caller, name)
        return collection, *app.subjects.list(caller, name, after=after, limit=_PAGE)

    collection, users, position = await visit.quick(read)
    values = {
        "users": users,
        "states": _STATES,
        "first": after == 0,
        "position": position,
        "typed": visit.text("user"),
        "error": error,
        "errors": beside(error),
    }
    status = 200 if error is None else 400
    return visit.page("collection_users.html.j2", shown(collection, "users", values), status=status)


@router.get("/{name}/users")
async def users(visit: Visitor, name: CollectionName, after: Annotated[int, Query(ge=0, le=2**53)] = 0) -> Response:
    """List a collection's users."""
    return await _list(visit, name, after)


@router.post("/{name}/users")
async def create(visit: Visitor, name: CollectionName) -> Response:
    """Make a user without faces."""
    try:
        user = user_id(visit.text("user"))
        await visit.quick(lambda: visit.console.app.subjects.create(visit.caller(), name, user, None))
    except Conflict as error:
        return await _list(visit, name, error=Misread("user", error.message))
    except Invalid as error:
        return await _list(visit, name, error=error)
    return visit.done(f"{_HERE}/{name}/users/{user}", "The user is made.")


# --- one ---


async def _one(visit: Visit, name: str, user: str, after: int = 0, error: CustodesError | None = None) -> Response:
    caller = visit.caller()
    shelf: Shelf = await visit.quick(
        lambda: visit.console.app.erasure.held(caller, name, after=after, limit=_PAGE, user=user)
    )
    values = {
        "user": user,
        "faces": [(r, h, None if h.enrolled_at is None else time_of(h.enrolled_at)) for r, h in shelf.references],
        "first": after == 0,
        "position": shelf.position,
        "typed": visit.text("faces"),
        "error": error,
        "errors": beside(error),
    }
    status = 200 if error is None else 400
    return visit.page("collection_user.html.j2", shown(shelf.collection, "users", values), status=status)


@router.get("/{name}/users/{user}")
async def show(
    visit: Visitor, name: CollectionName, user: UserId, after: Annotated[int, Query(ge=0, le=2**53)] = 0
) -> Response:
    """Show a user's faces."""
    return await _one(visit, name, user, after)


@router.post("/{name}/give")
async def give_chosen(visit: Visitor, name: CollectionName) -> Response:
    """Give faces that were chosen in the list to a user who is named there."""
    user = user_id(visit.text("user"))
    return await _give(visit, name, user, page_of(visit.texts("face"), _MOST))


@router.post("/{name}/users/{user}/give")
async def give(visit: Visitor, name: CollectionName, user: UserId) -> Response:
    """Give faces to a user, whose ids are typed."""
    try:
        ids = page_of(visit.texts("faces"), _MOST)
    except Misread as error:
        return await _one(visit, name, user, error=Misread("faces", error.message))
    return await _give(visit, name, user, ids)


async def _give(visit: Visit, name: str, user: str, ids: tuple[str, ...]) -> Response:
    caller = visit.caller()
    done: Associated = await visit.inference(
        lambda: visit.console.app.subjects.associate(caller, name, user, ids, threshold=None, once=None)
    )
    told = [(len(done.unlike), "not alike enough to the user's others"), (len(done.elsewhere), "another user's")]
    told += [(len(done.unknown), "not in the collection"), (len(done.surplus), "too many for one user")]
    rest = "; ".join(f"{count}: {text}" for count, text in told if count)
    text = f"{len(done.associated)} of {len(ids)} faces are given to the user" + (f"; {rest}." if rest else ".")
    return visit.done(f"{_HERE}/{name}/users/{user}", text, kind="warning" if rest else "done")


@router.post("/{name}/users/{user}/take")
async def take(visit: Visitor, name: CollectionName, user: UserId) -> Response:
    """Take faces away from a user; they stay in the collection."""
    ids, caller = page_of(visit.texts("face"), _MOST), visit.caller()
    done = await visit.quick(lambda: visit.console.app.subjects.disassociate(caller, name, user, ids, None))
    return visit.done(
        f"{_HERE}/{name}/users/{user}", f"{len(done.disassociated)} faces are taken from the user; they stay enrolled."
    )


@router.post("/{name}/users/{user}/delete")
async def delete(visit: Visitor, name: CollectionName, user: UserId) -> Response:
    """Delete a user; the faces stay."""
    await visit.quick(lambda: visit.console.app.subjects.delete(visit.caller(), name, user, None))
    return visit.done(f"{_HERE}/{name}/users", "The user is deleted; the faces stay enrolled.")
