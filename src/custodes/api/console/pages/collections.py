# SPDX-License-Identifier: Apache-2.0
"""Collections: the list, making one, its settings, and its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query, Response

from custodes.api.console.reading import (
    CollectionName,
    Misread,
    beside,
    collection_name,
    tags,
    whole,
)
from custodes.api.console.visits import Visit, Visitor
from custodes.errors import Conflict, CustodesError, Invalid
from custodes.gallery import Collection

__all__ = ["router", "shown"]

router = APIRouter(prefix="/console/collections")

_HERE = "/console/collections"
_PAGE = 50
_MOST_DAYS = 36_500
_PUBLIC = "custodes:public-space"
_RETENTION = "custodes:retention-days"


def shown(collection: Collection, tab: str, values: Mapping[str, object]) -> dict[str, object]:
    """Return what a page of a collection shows, with what its frame needs."""
    return {"collection": collection, "tab": tab, "root": f"{_HERE}/{collection.name}"} | dict(values)


# --- all ---


async def _list(
    visit: Visit, after: int = 0, error: CustodesError | None = None, typed: Mapping[str, str] | None = None
) -> Response:
    caller = visit.caller()
    page, position = await visit.quick(lambda: visit.console.app.collections.list(caller, after=after, limit=_PAGE))
    empty = {"name": "", "days": "", "tags": "", "public": ""}
    values = {
        "collections": page,
        "first": after == 0,
        "position": position,
        "error": error,
        "errors": beside(error),
        "typed": empty | dict(typed or {}),
    }
    return visit.page("collections.html.j2", values, status=200 if error is None else 400)


@router.get("")
async def collections(visit: Visitor, after: Annotated[int, Query(ge=0, le=2**53)] = 0) -> Response:
    """List the collections of the own organisation."""
    return await _list(visit, after)


@router.post("")
async def create(visit: Visitor) -> Response:
    """Make a collection for the purpose that was chosen."""
    typed = {name: visit.text(name) for name in ("name", "days", "tags", "public")}
    try:
        name, labels = collection_name(typed["name"]), tags(typed["tags"])
        if typed["public"]:
            labels[_PUBLIC] = "true"
        if typed["days"]:
            labels[_RETENTION] = str(_days(typed["days"]))
        await visit.quick(lambda: visit.console.app.collections.create(visit.caller(), name, labels))
    except Conflict as error:
        return await _list(visit, error=Misread("name", error.message, remedy="Choose another name."), typed=typed)
    except Invalid as error:
        return await _list(visit, error=error, typed=typed)
    return visit.done(f"{_HERE}/{name}", "The collection is made.")


def _days(text: str) -> int:
    return whole("days", text, "References are kept for", 1, _MOST_DAYS)


# --- the settings of one ---


async def _settings(
    visit: Visit, name: str, error: CustodesError | None = None, typed: Mapping[str, str] | None = None
) -> Response:
    app, caller = visit.console.app, visit.caller()

    def read() -> tuple[Collection, dict[str, str]]:
        return app.collections.describe(caller, name), app.collections.tags(caller, name)

    collection, labels = await visit.quick(read)
    empty = {"days": str(collection.retention_days or ""), "tags": "", "again": ""}
    values = {
        "labels": sorted((k, v) for k, v in labels.items() if not k.startswith("custodes:")),
        "error": error,
        "errors": beside(error),
        "typed": empty | dict(typed or {}),
    }
    status = 200 if error is None else 400
    return visit.page("collection_settings.html.j2", shown(collection, "settings", values), status=status)


@router.get("/{name}/settings")
async def settings(visit: Visitor, name: CollectionName) -> Response:
    """Show how a collection is kept, and its tags."""
    return await _settings(visit, name)


@router.post("/{name}/retention")
async def retain(visit: Visitor, name: CollectionName) -> Response:
    """Change how long references are kept."""
    text = visit.text("days")
    try:
        days = _days(text) if text else None
        await visit.quick(lambda: visit.console.app.collections.retain(visit.caller(), name, days))
    except Invalid as error:
        return await _settings(visit, name, error, {"days": text})
    kept = f"for {days:,} days" if days else "without an end"
    return visit.done(f"{_HERE}/{name}/settings", f"References are kept {kept} from now on.")


@router.post("/{name}/tags")
async def add_tags(visit: Visitor, name: CollectionName) -> Response:
    """Add tags, or change their values."""
    text = visit.text("tags")
    try:
        labels = tags(text)
        if not labels:
            raise Misread("tags", "Type at least one tag: key=value.")
        await visit.quick(lambda: visit.console.app.collections.tag(visit.caller(), name, labels))
    except Invalid as error:
        return await _settings(visit, name, error, {"tags": text})
    return visit.done(f"{_HERE}/{name}/settings", "The tags are kept.")


@router.post("/{name}/tags/remove")
async def remove_tag(visit: Visitor, name: CollectionName) -> Response:
    """Remove a tag."""
    key = visit.secret("key")
    await visit.quick(lambda: visit.console.app.collections.untag(visit.caller(), name, [key]))
    return visit.done(f"{_HERE}/{name}/settings", "The tag is removed.")


@router.post("/{name}/delete")
async def delete(visit: Visitor, name: CollectionName) -> Response:
    """Delete a collection with everything in it, once its name is typed."""
    again, app, caller = visit.text("again"), visit.console.app, visit.caller()
    if again != name:
        wrong = Misread("again", f"To delete it, type its name: {name}.")
        return await _settings(visit, name, wrong, {"again": again})

    def act() -> tuple[int, ...]:
        app.collections.delete(caller, name)
        return app.guard.written

    entries = await visit.quick(act)
    return visit.done(f"/console/erased?entry={entries[0]}", "The collection is deleted.")
