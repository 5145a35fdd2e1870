# SPDX-License-Identifier: Apache-2.0
"""Searching a collection by a photo: its faces are found, one of them is chosen, and candidates come out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse

from custodes.api.console.grounds import Choices, caller_of, choices
from custodes.api.console.pages.collection_enrol import box_told
from custodes.api.console.pages.collections import shown
from custodes.api.console.reading import CollectionName, beside, similarity, whole
from custodes.api.console.visits import Visit, Visitor, visiting
from custodes.domain import QualityFilter
from custodes.errors import CustodesError, Denied, Invalid
from custodes.gallery import Collection
from custodes.operations.browsing import Thresholds
from custodes.operations.entries import NOTICE
from custodes.operations.faces import Detection, ImageSearch

__all__ = ["router"]

router = APIRouter(prefix="/console/collections")

_FORM_BYTES = 64_000_000
_MOST = 100  # candidates of a page
_USUAL = 10
_Sender = Annotated[Visit, Depends(visiting(_FORM_BYTES))]


@dataclass(frozen=True, slots=True)
class _Found:
    """A search that was made, and its entry in the ledger."""

    search: ImageSearch
    threshold: float
    entry: int


async def _page(
    visit: Visit, name: str, *, found: _Found | None = None, error: CustodesError | None = None
) -> Response:
    app, caller = visit.console.app, visit.caller()

    def read() -> tuple[Collection, Choices, Thresholds]:
        collection = app.collections.describe(caller, name)
        return collection, choices(visit, app.overview.now()), app.casework.browsing.thresholds(caller)

    collection, grounds, thresholds = await visit.quick(read)
    fields = ("threshold", "limit", "face", "case", "authority", "place", "exigency")
    typed = {n: visit.text(n) for n in fields}
    typed["threshold"] = typed["threshold"] or f"{thresholds.default:g}"
    typed["limit"] = typed["limit"] or str(_USUAL)
    values = {
        "grounds": grounds,
        "floor": thresholds.floor,
        "found": found,
        "error": error,
        "errors": beside(error),
        "typed": typed,
        "most": _MOST,
        "notice": NOTICE,
        "limit": app.config.limits.image_bytes,
    }
    status = 200 if error is None else 400
    return visit.page("collection_search.html.j2", shown(collection, "search", values), status=status)


@router.get("/{name}/search")
async def ask(visit: Visitor, name: CollectionName) -> Response:
    """Show the form."""
    return await _page(visit, name)


@router.post("/{name}/search/faces")
async def find_faces(visit: _Sender, name: CollectionName) -> Response:
    """Tell a script where faces are in a photo, the largest first, so that one can be chosen."""
    app = visit.console.app
    photo = await visit.upload("photo")
    found: Detection = await visit.inference(lambda: app.faces.detect(caller_of(visit), photo.data))
    told = {
        "width": found.size.width,
        "height": found.size.height,
        "faces": [box_told(f.box) for f in found.faces],
    }
    return JSONResponse(told)


@router.post("/{name}/search")
async def search(visit: _Sender, name: CollectionName) -> Response:
    """Search the collection for a face of a photo, which is not enrolled."""
    try:
        found = await _search(visit, name)
    except Denied:
        raise
    except Invalid as error:
        if visit.wants_json:
            raise
        return await _page(visit, name, error=error)
    return JSONResponse(_told(found)) if visit.wants_json else await _page(visit, name, found=found)


async def _search(visit: Visit, name: str) -> _Found:
    """Search as the form says.

    Raises:
        Invalid: if a field can't be meant, or the photo can't be read or shows no such face.
        Denied: if a rule forbids it.
    """
    app, caller = visit.console.app, caller_of(visit)
    stated = similarity("threshold", visit.text("threshold"))
    limit = whole("limit", visit.text("limit", str(_USUAL)), "There are", 1, _MOST)
    number = whole("face", visit.text("face") or "1", "Faces are counted by", 1, 1000)
    photo = await visit.upload("photo")

    def act() -> _Found:
        threshold = app.casework.browsing.thresholds(caller).default if stated is None else stated
        done = app.faces.search_by_image(
            caller,
            name,
            photo.data,
            limit=limit,
            threshold=threshold,
            quality=QualityFilter.NONE,
            number=number - 1,
        )
        return _Found(done, threshold, app.guard.written[0])

    return await visit.inference(act)


def _told(found: _Found) -> Mapping[str, object]:
    return {
        "width": found.search.size.width,
        "height": found.search.size.height,
        "faces": found.search.faces,
        "probe": box_told(found.search.probe.box),
        "threshold": found.threshold,
        "entry": found.entry,
        "notice": NOTICE,
        "candidates": [
            {
                "id": c.reference.reference_id,
                "label": c.reference.external_image_id or "",
                "user": c.reference.subject_id or "",
                "similarity": int(c.score.similarity * 100) / 100,
            }
            for c in found.search.candidates
        ],
    }
