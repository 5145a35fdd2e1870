# SPDX-License-Identifier: Apache-2.0
"""The faces of a collection: browsing, a person's report, and erasing with a receipt.

No photo is kept here, so that there are no pictures to show: a face is an id, a label, when and whence it came, and
where it was in its photo. Photos are cases' (a report says which keep some).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import orjson
from fastapi import APIRouter, Path, Query, Response
from pydantic import Field, StringConstraints

from custodes.api.console.pages.collections import shown
from custodes.api.console.reading import FACE, CollectionName, page_of
from custodes.api.console.visits import Visit, Visitor
from custodes.api.console.wording import action_words
from custodes.errors import Code, Invalid, NotFound
from custodes.governance import Role
from custodes.governance.rows import time_of
from custodes.operations.erasure import Erased, Report

__all__ = ["router"]

router = APIRouter()

_HERE = "/console/collections"
_PAGE = 50
_MOST = 1000  # faces that are chosen at once
_USES = 200  # that a page shows; the file has all
_Position = Annotated[int, Query(ge=0, le=2**53)]
_Faces = Annotated[
    list[Annotated[str, StringConstraints(pattern=f"^{FACE}$")]], Query(max_length=_MOST, default_factory=list)
]
_User = Annotated[str, Query(max_length=128)]


@router.get(_HERE + "/{name}")
async def faces(
    visit: Visitor,
    name: CollectionName,
    after: _Position = 0,
    user: _User = "",
    face: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    """Show a page of a collection's faces, all or those of a user, or one of them."""
    caller, wanted = visit.caller(), face.strip().lower()
    ids = None if not wanted else [wanted]
    try:
        shelf = await visit.quick(
            lambda: visit.console.app.erasure.held(
                caller, name, after=after, limit=_PAGE, user=user.strip() or None, reference_ids=ids
            )
        )
    except NotFound as error:
        if error.code != Code.SUBJECT_MISSING:
            raise
        return visit.done(f"{_HERE}/{name}", "The collection has no user of this id.", kind="warning")
    values = {
        "faces": [(r, h, None if h.enrolled_at is None else time_of(h.enrolled_at)) for r, h in shelf.references],
        "first": after == 0,
        "position": shelf.position,
        "user": user.strip(),
        "face": wanted,
    }
    return visit.page("collection_faces.html.j2", shown(shelf.collection, "faces", values))


# --- erasing ---


def _whose(visit: Visit) -> tuple[tuple[str, ...], str | None]:
    """Return the faces that were chosen, or the user whose they are.

    Raises:
        Invalid: if none is chosen.
    """
    user = visit.text("user_of")
    return ((), user) if user else (page_of(visit.texts("face"), _MOST), None)


@router.post(_HERE + "/{name}/erase")
async def erase(visit: Visitor, name: CollectionName) -> Response:
    """Ask whether the chosen faces are to be erased, and then erase them."""
    app, caller = visit.console.app, visit.caller()
    ids, user = _whose(visit)
    if not visit.has("sure"):
        collection = await visit.quick(lambda: app.collections.describe(caller, name))
        return visit.page("collection_erase.html.j2", shown(collection, "faces", {"ids": ids, "user": user}))
    done: Erased = await visit.quick(lambda: app.erasure.erase(caller, name, ids, user))
    entries = "&".join(f"entry={i}" for i in done.entries)
    return visit.done(f"/console/erased?{entries}", f"{len(done.reference_ids):,} faces are erased.")


def _own_erasure(visit: Visit, index: int) -> int:
    """Return how many faces an entry of the own organisation erased.

    Raises:
        NotFound: if it is none.
    """
    entry = visit.console.app.ledger.entry(index)
    erased = entry.get("erased")
    uses_faces = visit.session.roles - {Role.OVERSIGHT}
    if entry.get("organisation") != visit.session.organisation.id or type(erased) is not int or not uses_faces:
        raise NotFound(f"The entry {index} is no erasure of your organisation's.")
    return erased


@router.get("/console/erased")
async def erased(
    visit: Visitor, entry: Annotated[list[Annotated[int, Field(ge=0, le=2**53)]], Query(min_length=1, max_length=100)]
) -> Response:
    """Show what was erased, with its receipts."""
    counts = await visit.quick(lambda: [(i, _own_erasure(visit, i)) for i in entry])
    return visit.page("erased.html.j2", {"counts": counts, "total": sum(n for _, n in counts)})


@router.get("/console/receipts/{index}")
async def receipt(visit: Visitor, index: Annotated[int, Path(ge=0, le=2**53)]) -> Response:
    """Hand out the receipt of an erasure."""

    def read() -> bytes:
        _own_erasure(visit, index)
        return visit.console.app.erasure.receipt(index)

    return _file(await visit.quick(read), f"receipt-{index}.json")


# --- a person's report ---


async def _report(visit: Visit, name: str, ids: Sequence[str], user: str | None) -> Response:
    app, caller = visit.console.app, visit.caller()
    found = await visit.quick(lambda: app.erasure.report(caller, name, ids, user))
    collection = await visit.quick(lambda: app.collections.describe(caller, name))
    query = f"user={user}" if user is not None else "&".join(f"face={i}" for i in ids)
    values = {
        "report": found,
        "faces": [(r, h, None if h.enrolled_at is None else time_of(h.enrolled_at)) for r, h in found.references],
        "uses": found.uses[::-1][:_USES],
        "query": query,
        "action_words": action_words,
        "user": user,
    }
    return visit.page("collection_report.html.j2", shown(collection, "faces", values))


@router.get(_HERE + "/{name}/report")
async def show_report(visit: Visitor, name: CollectionName, face: _Faces, user: _User = "") -> Response:
    """Show what is held of a person, on which consent, and every use of it."""
    return await _report(visit, name, face, user or None)


@router.post(_HERE + "/{name}/report")
async def report_of_chosen(visit: Visitor, name: CollectionName) -> Response:
    """Show the same of faces that were chosen."""
    ids, user = _whose(visit)
    return await _report(visit, name, ids, user)


@router.get(_HERE + "/{name}/report.json")
async def report_file(visit: Visitor, name: CollectionName, face: _Faces, user: _User = "") -> Response:
    """Hand out the report as a file for the person."""
    caller = visit.caller()
    if not user and not face:
        raise Invalid("A report is about a person.", remedy="Choose faces, or a user.")
    found = await visit.quick(lambda: visit.console.app.erasure.report(caller, name, face, user or None))
    return _file(orjson.dumps(_told(found), option=orjson.OPT_INDENT_2), "report.json")


def _told(found: Report) -> dict[str, object]:
    return {
        "collection": found.collection,
        "organisation": found.owner,
        "purpose": found.purpose,
        "retention_days": found.retention_days,
        "faces": [
            {
                "id": r.reference_id,
                "label": r.external_image_id,
                "user": r.subject_id,
                "enrolled_at": None if h.enrolled_at is None else time_of(h.enrolled_at),
                "provenance": h.provenance,
                "consent": h.consent,
                "held": "an encrypted template, the box in the photo, the label",
            }
            for r, h in found.references
        ],
        "photos": [
            {"case": p.case, "count": p.count, "until": p.until, "keep_days": p.keep_days, "told": p.words}
            for p in found.photos
        ],
        "consents": [
            {
                "id": c.id,
                "kind": str(c.kind),
                "purposes": sorted(map(str, c.purposes)),
                "document": c.document_hash,
                "given_at": c.given_at,
                "not_after": c.not_after,
                "withdrawn_at": c.withdrawn_at,
            }
            for c in found.consents
        ],
        "uses": [
            {
                "entry": u.index,
                "at": u.at,
                "action": u.action,
                "decision": u.decision,
                "organisation": u.organisation,
                "class": u.org_class,
                "purpose": u.purpose,
                "principal": u.principal,
                "case": u.case,
                "authority": u.authority,
            }
            for u in found.uses
        ],
    }


def _file(data: bytes, name: str) -> Response:
    return Response(
        data, media_type="application/json", headers={"content-disposition": f'attachment; filename="{name}"'}
    )
