# SPDX-License-Identifier: Apache-2.0
"""The people whom cameras recognise: each with a consent, which was on file before the first photo.

A photo is looked at and forgotten; a document of consent is hashed and forgotten. Where there is no document a
statement is made, which is shown once, for the household to keep.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from custodes.api.console.filming import HARDLY
from custodes.api.console.pages.cameras import shown
from custodes.api.console.reading import Misread, beside, first_instant, known
from custodes.api.console.visits import Visit, Visitor, visiting
from custodes.errors import Conflict, CustodesError, Invalid, NotFound
from custodes.governance import ConsentKind
from custodes.operations.erasure import Erased
from custodes.operations.library import Agreement, Enrolled, PersonView

__all__ = ["router"]

router = APIRouter(prefix="/console/cameras/people")

_HERE = "/console/cameras/people"
_FORM_BYTES = 100_000_000
_Sender = Annotated[Visit, Depends(visiting(_FORM_BYTES))]
_KINDS = (
    (ConsentKind.EXPLICIT, "They said so", "Explicit consent (GDPR, Art. 9). A statement is made for you to keep."),
    (ConsentKind.WRITTEN_RELEASE, "They signed a paper", "A written release (BIPA). Choose the document below."),
)
_LASTS = timedelta(days=365)


async def _page(visit: Visit, error: CustodesError | None = None, about: str = "") -> Response:
    app, caller = visit.console.app, visit.caller()

    def read() -> tuple[tuple[PersonView, ...], datetime]:
        return app.library.people(caller), app.overview.now()

    people, now = await visit.quick(read)
    typed = {n: visit.text(n) for n in ("name", "by", "kind", "until")}
    values = {
        "people": people,
        "kinds": _KINDS,
        "typed": typed | {"until": typed["until"] or f"{now + _LASTS:%Y-%m-%d}", "kind": typed["kind"] or "explicit"},
        "about": about,
        "hardly": HARDLY,
        "error": error,
        "errors": beside(error),
    }
    return visit.page("camera_people.html.j2", shown(visit, _HERE, values), status=200 if error is None else 400)


@router.get("")
async def people(visit: Visitor) -> Response:
    """List the people whom cameras recognise."""
    return await _page(visit)


async def _agreement(visit: Visit) -> Agreement:
    """Read a consent.

    Raises:
        Misread: if a field can't be meant.
        Invalid: if a written release has no document.
    """
    kind = known("kind", visit.text("kind"), ConsentKind, "how they agreed")
    if not visit.text("by"):
        raise Misread("by", "Say who has agreed: the person, or whoever may for a child.")
    until = first_instant("until", visit.text("until")) + timedelta(days=1)
    documents = await visit.uploads("document")
    return Agreement(visit.text("by"), kind, until, hashlib.sha256(documents[0].data).hexdigest() if documents else "")


@router.post("")
async def add(visit: _Sender) -> Response:
    """Add a person: consent and photos, all or nothing."""
    app, caller, name = visit.console.app, visit.caller(provenance="consented"), visit.text("name")
    try:
        if not name:
            raise Misread("name", "This is needed.")
        agreement, photos = await _agreement(visit), await visit.uploads("photos")
        if not photos:
            raise Misread("photos", "Choose at least one photo.")
        made: Enrolled = await visit.inference(
            lambda: app.library.add(caller, name, agreement, [p.data for p in photos])
        )
    except (Invalid, Conflict, NotFound, OverflowError) as error:
        told = Misread("until", "This ends too late.") if isinstance(error, OverflowError) else error
        return await _page(visit, told)
    if not made.statement:
        return visit.done(_HERE, f"{name} is added, with {len(photos)} photos.")
    values = {"person": made.person, "statement": base64.b64encode(made.statement).decode()}
    return visit.page("camera_agreed.html.j2", shown(visit, _HERE, values))


@router.post("/photos")
async def add_photos(visit: _Sender) -> Response:
    """Add photos of a person, on the consent that is on file."""
    app, caller, name = visit.console.app, visit.caller(provenance="consented"), visit.text("name")
    photos, done = await visit.uploads("photos"), 0
    try:
        if not photos:
            raise Misread("photos", "Choose at least one photo.")
        for photo in photos:
            data = photo.data
            await visit.inference(lambda data=data: app.library.add_photo(caller, name, data))  # type: ignore[misc]
            done += 1
    except (Invalid, Conflict, NotFound) as error:
        return await _page(visit, error, name)
    return visit.done(_HERE, f"{done} more photos of {name} are learned." if done > 1 else "The photo is learned.")


@router.post("/remove")
async def remove(visit: Visitor) -> Response:
    """Erase a person at once: photos, name, and the name in every event."""
    app, caller, name = visit.console.app, visit.caller(), visit.text("name")
    done: Erased = await visit.quick(lambda: app.library.remove(caller, name))
    entries = "&".join(f"entry={i}" for i in done.entries)
    return visit.done(f"/console/erased?{entries}" if entries else _HERE, f"{name} is erased, and so is the consent.")


@router.post("/floor")
async def reset(visit: Visitor) -> Response:
    """Recognise a person as easily again as before somebody said "not this person"."""
    app, caller, name = visit.console.app, visit.caller(), visit.text("name")
    await visit.quick(lambda: app.sightings.reset_floor(caller, name))
    return visit.done(_HERE, f"{name} is recognised as easily again as others.")
