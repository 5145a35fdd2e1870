# SPDX-License-Identifier: Apache-2.0
"""The photos of a case: adding, browsing, looking at one, and the pictures themselves.

A picture is always made anew and carries no metadata; what is sensitive is blurred until the visitor asks for it, which
is written down (see ``operations.pictures``). Names of files are whatever somebody chose, and shown as text alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.responses import JSONResponse

from custodes.api.console.pages.casedesk import (
    PROVENANCES,
    AtCase,
    ImageId,
    Working,
    at_case,
    casework,
    date_in,
    day_of,
    origin_of,
)
from custodes.api.console.visits import Upload
from custodes.casework import CaseImage, ImageRole
from custodes.errors import Conflict, CustodesError, Invalid
from custodes.operations.candidates import ProbeCheck
from custodes.operations.pictures import PictureSize

__all__ = ["router"]

router = APIRouter(prefix="/console/cases/{case}")

_UPLOAD = 128 * 2**20
"""Bytes of one form with photos; more at once is an import."""
_PAGE = 48
_HEAD = 512 * 1024
"""Bytes of a file in which its date is looked for."""
_ADDED = (ImageRole.REFERENCE, ImageRole.PROBE)

Adding = Annotated[AtCase, Depends(at_case(_UPLOAD))]

SHOWN = {
    ImageRole.REFERENCE: "Of the person",
    ImageRole.PROBE: "To search with",
    ImageRole.IMPORTED: "Imported",
    ImageRole.ATTACHED: "Attached to candidates",
}


# --- browsing ---


@router.get("/photos")
async def photos(
    at: Working,
    show: Annotated[ImageRole, Query()] = ImageRole.REFERENCE,
    faces: Annotated[str, Query(pattern="^(|yes)$")] = "",
    source: Annotated[str, Query(alias="import", pattern="^(|imp-[0-9a-f]{16})$")] = "",
    after: Annotated[str, Query(pattern="^(|img-[0-9a-f]{16})$")] = "",
) -> Response:
    """Show the photos of a case, one kind at a time."""
    work, case = casework(at.visit), at.file.id

    def read() -> tuple[object, frozenset[str], object]:
        page = work.browsing.photos(
            at.caller,
            case,
            show,
            import_id=source or None,
            faces=bool(faces),
            after=after or None,
            limit=_PAGE,
        )
        counts = work.cases.view(at.visit.caller(), case).images
        return page, work.pictures.hidden(at.caller, case, page.photos), counts

    page, hidden, counts = await at.visit.quick(read)
    values = {
        "page": page,
        "hidden": hidden,
        "counts": counts,
        "show": show,
        "shown": SHOWN,
        "filter": {"faces": faces, "import": source, "after": after},
    }
    return at.page("cases_photos.html.j2", "photos", values)


# --- adding ---


@dataclass(frozen=True, slots=True)
class _Added:
    """What became of one file: the photo and what is to be said of it as a probe, or what was wrong."""

    name: str
    image: CaseImage | None
    checks: tuple[ProbeCheck, ...] = ()
    error: CustodesError | None = None


async def _ask(at: AtCase, role: ImageRole, error: CustodesError | None = None, status: int = 200) -> Response:
    visit = at.visit
    values = {
        "role": role,
        "error": error,
        "provenances": [(str(k), text) for k, text in PROVENANCES.items()],
        "given": {n: visit.text(n) for n in ("provenance", "basis", "source", "taken_at")},
        "given_sensitive": at.file.sensitive or visit.has("sensitive"),
    }
    return at.page("cases_photos_new.html.j2", "photos", values, status=status)


@router.get("/photos/new")
async def ask_for_photos(at: Working, role: Annotated[ImageRole, Query()] = ImageRole.REFERENCE) -> Response:
    """Ask for photos."""
    return await _ask(at, role if role in _ADDED else ImageRole.REFERENCE)


@router.post("/photos")
async def add_photos(at: Adding) -> Response:
    """Keep photos: all of a form for people, each on its own for a script."""
    visit = at.visit
    role = next((r for r in _ADDED if r == visit.text("role")), ImageRole.REFERENCE)
    try:
        files = await visit.uploads("photos")
        if not files:
            raise Invalid("No file was chosen.", remedy="Choose one or more photos.")
        day_of(visit.text("taken_at"), "The date")
        origin_of(visit)
    except Invalid as error:
        if visit.wants_json:
            raise
        return await _ask(at, role, error, 400)
    added = [await _add(at, file, role) for file in files]
    if visit.wants_json:
        return _told(at, added)
    if all(a.image for a in added):
        told = "The photo is kept." if len(added) == 1 else f"{len(added)} photos are kept."
        return at.done(f"/photos?show={role}", told)
    return at.page("cases_photos_added.html.j2", "photos", {"added": added, "role": role})


async def _add(at: AtCase, file: Upload, role: ImageRole) -> _Added:
    """Keep one photo; what is wrong with it is told with the others, what the rules forbid is a page of its own."""
    visit, work = at.visit, casework(at.visit)
    taken = day_of(visit.text("taken_at"))
    if taken is None and visit.text("dates") != "typed":
        taken = date_in(file.data)
    origin = origin_of(visit, name=file.name, taken_at=taken)

    def add() -> _Added:
        made = work.cases.add_photo(at.caller, at.file.id, file.data, origin, role)
        return _Added(file.name, made, work.candidates.check(at.caller, at.file.id, made.id))

    try:
        return await visit.inference(add)
    except (Invalid, Conflict) as error:
        if visit.wants_json:
            raise
        return _Added(file.name, None, error=error)


def _told(at: AtCase, added: list[_Added]) -> Response:
    return JSONResponse(
        [
            {
                "page": f"{at.path}/photos/{a.image.id}",
                "faces": len(a.image.faces),
                "advice": list(dict.fromkeys(text for check in a.checks[:1] for text in check.advice)),
            }
            for a in added
            if a.image
        ]
    )


@router.post("/photos/date")
async def tell_date(at: Working) -> Response:
    """Tell when a photo was taken, as its camera has written it: the first part of the file is the request's body."""
    body = at.visit.body(_HEAD)
    try:
        data = b"".join([part async for part in body.stream()])
        found = date_in(data)
    finally:
        body.release()
    return JSONResponse({"taken": found.date().isoformat() if found else None})


# --- one photo ---


@router.get("/photos/{image}")
async def photo(at: Working, image: ImageId) -> Response:
    """Show a photo, what is known of it, and how good its faces are to search with."""
    work, case = casework(at.visit), at.file.id

    def read() -> tuple[CaseImage, tuple[ProbeCheck, ...], bool]:
        found = work.cases.photo(at.caller, case, image)
        checks = work.candidates.check(at.caller, case, image)
        return found, checks, bool(work.pictures.hidden(at.caller, case, [found]))

    found, checks, hidden = await at.visit.quick(read)
    values = {
        "image": found,
        "checks": checks,
        "is_hidden": hidden,
        "shown": SHOWN,
        "provenances": PROVENANCES,
        "sensitive": at.file.sensitive or found.sensitive,
    }
    return at.page("cases_photo.html.j2", "photos", values)


@router.post("/photos/{image}/remove")
async def remove_photo(at: Working, image: ImageId) -> Response:
    """Destroy a photo."""
    work = casework(at.visit).cases

    def remove() -> ImageRole:
        role = work.photo(at.caller, at.file.id, image).role
        work.remove_photo(at.caller, at.file.id, image)
        return role

    role = await at.visit.quick(remove)
    return at.done(f"/photos?show={role}", "The photo is destroyed.")


@router.post("/photos/{image}/reveal")
async def reveal(at: Working, image: ImageId) -> Response:
    """Show the visitor a sensitive photo as it is, from now on; that they asked is in the ledger."""
    work = casework(at.visit).pictures
    await at.visit.quick(lambda: work.reveal(at.caller, at.file.id, image))
    if at.visit.wants_json:
        return JSONResponse({})
    back = at.visit.text("back")
    here = back.startswith(f"{at.path}/") and back.isprintable() and "//" not in back and "\\" not in back
    return at.done(back.removeprefix(at.path) if here else f"/photos/{image}")


# --- pictures ---


@router.get("/images/{image}/{size}")
async def picture(
    at: Working,
    image: ImageId,
    size: Annotated[PictureSize, Path()],
    face: Annotated[int, Query(ge=0, le=10_000)] = 0,
) -> Response:
    """Return a picture."""
    work = casework(at.visit).pictures

    def make() -> bytes:
        return work.picture(at.caller, at.file.id, image, size, face)

    small = size == PictureSize.SMALL
    data = await (at.visit.quick(make) if small else at.visit.inference(make))
    return Response(data, media_type="image/jpeg")
