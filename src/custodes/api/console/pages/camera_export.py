# SPDX-License-Identifier: Apache-2.0
"""A clip for its owner: from when to when, as it was recorded or with faces blurred, as a file to keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Response

from custodes.api.console.filming import CameraId
from custodes.api.console.pages.cameras import shown
from custodes.api.console.visits import Visit, Visitor
from custodes.cameras.model import Camera, Span
from custodes.errors import Invalid

__all__ = ["router"]

router = APIRouter(prefix="/console/cameras")

_MOST_BLURRED = 5 * 60 * 1000
"""Longest clip, in milliseconds, that is encoded anew while a browser waits; longer ones the command line makes."""
_Moment = Annotated[int, Query(ge=0, le=2**53)]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A clip that is asked for: seconds to add to where it begins and ends are the form's."""

    start: int
    end: int
    blurred: bool


@router.get("/{camera}/export")
async def ask(
    visit: Visitor, camera: CameraId, start: Annotated[_Moment, Query(alias="from")], to: _Moment
) -> Response:
    """Ask how the clip is to be."""
    found = await visit.quick(lambda: visit.console.app.cameras.get(visit.caller(), camera))
    return _page(visit, found, _Wanted(start, max(to, start + 1), bool(found.masks)))


@router.post("/{camera}/export")
async def make(visit: Visitor, camera: CameraId) -> Response:
    """Make the clip, and hand it out."""
    app, caller = visit.console.app, visit.caller()
    found = await visit.quick(lambda: app.cameras.get(caller, camera))
    start, end = visit.text("from"), visit.text("to")
    if not (start.isdigit() and end.isdigit() and len(start) < 16 and len(end) < 16):
        raise Invalid("It isn't said from when to when.", remedy="Choose the clip on the day's page.")
    wanted = _Wanted(int(start), int(end), visit.has("blurred"))
    try:
        span = Span(wanted.start, wanted.end)
        if (wanted.blurred or found.masks) and span.end - span.start > _MOST_BLURRED:
            raise Invalid(
                "A clip that is encoded anew lasts at most five minutes here.",
                remedy="Make it shorter, or use custodes camera export.",
            )
        taken = await visit.inference(lambda: app.exports.take(caller, camera, span, blurred=wanted.blurred))
    except Invalid as error:
        return _page(visit, found, wanted, error)
    name = f"{found.id}-{taken.real.start}.mp4"
    headers = {"content-disposition": f'attachment; filename="{name}"', "x-content-sha256": taken.sha256}
    return Response(taken.data, media_type="video/mp4", headers=headers)


def _page(visit: Visit, camera: Camera, wanted: _Wanted, error: Invalid | None = None) -> Response:
    values = {"camera": camera, "wanted": wanted, "error": error, "most_blurred": _MOST_BLURRED}
    return visit.page("camera_export.html.j2", shown(visit, "day", values), status=400 if error else 200)
