# SPDX-License-Identifier: Apache-2.0
"""Enrolling photos in a collection: one request a photo from a script, several in one form without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse

from custodes.api.console.grounds import Choices, caller_of, choices
from custodes.api.console.pages.collections import shown
from custodes.api.console.reading import CollectionName, Misread, beside, known, label, label_of
from custodes.api.console.visits import Upload, Visit, Visitor, visiting
from custodes.domain import Box, QualityFilter, QualityReason
from custodes.errors import CustodesError, Denied, Invalid
from custodes.gallery import Collection
from custodes.governance import Provenance
from custodes.operations.faces import Indexed

__all__ = ["box_told", "router", "why"]

router = APIRouter(prefix="/console/collections")

_FORM_BYTES = 100_000_000
_SOURCES = (
    (Provenance.OWN, "Own: we took it ourselves"),
    (Provenance.CONSENTED, "Consented: the person agreed to it"),
    (Provenance.PUBLIC_RECORD, "Public record"),
    (Provenance.CASE_FILE, "From the file of a case"),
)
_REASONS = {
    QualityReason.EXCEEDS_MAX_FACES: "only the largest face was asked for",
    QualityReason.EXTREME_POSE: "turned away too far",
    QualityReason.LOW_BRIGHTNESS: "too dark",
    QualityReason.LOW_SHARPNESS: "blurred",
    QualityReason.LOW_CONFIDENCE: "not surely a face",
    QualityReason.SMALL_BOUNDING_BOX: "too small",
    QualityReason.LOW_FACE_QUALITY: "not good enough",
}


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of a photo: what was enrolled and the ledger's entry, or why not."""

    name: str
    done: Indexed | None = None
    entry: int | None = None
    error: CustodesError | None = None


@dataclass(frozen=True, slots=True)
class _Wish:
    """How photos are to be enrolled."""

    label: str | None
    by_name: bool
    most: int | None


def box_told(box: Box) -> dict[str, float]:
    """Return a box as scripts get it: pixels of the upright photo, to a tenth."""
    return {n: round(getattr(box, n), 1) for n in ("left", "top", "width", "height")}


def why(reasons: tuple[QualityReason, ...]) -> str:
    """Return in words why a face was passed over."""
    return ", ".join(_REASONS[r] for r in reasons)


async def _page(
    visit: Visit,
    name: str,
    *,
    outcomes: tuple[_Outcome, ...] = (),
    error: CustodesError | None = None,
) -> Response:
    app, caller = visit.console.app, visit.caller()

    def read() -> tuple[Collection, Choices]:
        found = app.collections.describe(caller, name)
        return found, choices(visit, app.overview.now())

    collection, grounds = await visit.quick(read)
    values = {
        "grounds": grounds,
        "sources": _SOURCES,
        "outcomes": outcomes,
        "why": why,
        "error": error,
        "errors": beside(error),
        "typed": {n: visit.text(n) for n in ("provenance", "label", "names", "most", "case", "authority")},
        "limit": app.config.limits.image_bytes,
    }
    status = 200 if error is None else 400
    return visit.page("collection_enrol.html.j2", shown(collection, "enrol", values), status=status)


@router.get("/{name}/enrol")
async def ask(visit: Visitor, name: CollectionName) -> Response:
    """Show the form."""
    return await _page(visit, name)


def _wish(visit: Visit) -> _Wish:
    """Read how photos are to be enrolled.

    Raises:
        Misread: if a field can't be meant.
    """
    known("provenance", visit.text("provenance"), Provenance, "where the photos come from")
    return _Wish(label(visit.text("label")), visit.has("names"), 1 if visit.text("most") == "1" else None)


def _enrol(visit: Visit, name: str, photo: Upload, wish: _Wish) -> _Outcome:
    """Enrol one photo.

    Raises:
        Denied: if a rule forbids it; what else fails is told with the photo.
    """
    app = visit.console.app
    try:
        done = app.faces.index(
            caller_of(visit),
            name,
            photo.data,
            external_image_id=wish.label or (label_of(photo.name) if wish.by_name else None),
            max_faces=wish.most,
            quality=QualityFilter.AUTO,
        )
    except Denied:
        raise
    except CustodesError as error:
        return _Outcome(photo.name, error=error)
    return _Outcome(photo.name, done, app.guard.written[0])


@router.post("/{name}/enrol")
async def enrol(visit: Annotated[Visit, Depends(visiting(_FORM_BYTES))], name: CollectionName) -> Response:
    """Enrol the faces of photos; the photos themselves are not kept."""
    try:
        wish, photos = _wish(visit), await visit.uploads("photos")
        if not photos:
            raise Misread("photos", "Choose at least one photo.")
    except Invalid as error:
        if visit.wants_json:
            raise
        return await _page(visit, name, error=error)
    outcomes: list[_Outcome] = []
    for photo in photos:
        try:
            outcomes.append(await visit.inference(partial(_enrol, visit, name, photo, wish)))
        except Denied as error:
            if not outcomes:
                raise
            outcomes.append(_Outcome(photo.name, error=error))  # what was done before is told with it
            break
    if not visit.wants_json:
        return await _page(visit, name, outcomes=tuple(outcomes))
    first = outcomes[0]
    if first.done is None:
        assert first.error is not None
        raise first.error
    return JSONResponse(_told(first.done, first.entry))


def _told(done: Indexed, entry: int | None) -> Mapping[str, object]:
    return {
        "width": done.size.width,
        "height": done.size.height,
        "entry": entry,
        "enrolled": [{"id": r.reference_id, "box": box_told(f.box)} for r, f in done.enrolled],
        "skipped": [{"box": box_told(s.face.box), "why": why(s.reasons)} for s in done.skipped],
    }
