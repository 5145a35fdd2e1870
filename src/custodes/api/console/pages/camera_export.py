# SPDX-License-Identifier: Apache-2.0
"""A clip for its owner: from when to when, as it was recorded or with faces blurred, as a file to keep.

Whoever asks for one has a place until it has arrived; making it takes a thread that nothing else waits for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Response

from custodes.api.console.filming import CameraId
from custodes.api.console.pages.cameras import shown
from custodes.api.console.visits import Visit, Visitor
from custodes.api.ending import Receive, Scope, Send
from custodes.cameras.model import Camera, Span
from custodes.errors import Invalid
from custodes.operations.exporting import Taken

__all__ = ["router"]

router = APIRouter(prefix="/console/cameras")

_MOST_BLURRED = 5 * 60 * 1000
"""Longest clip, in milliseconds, that is encoded anew while a browser waits; longer ones the command line makes."""
_PART = 256 * 1024
"""Bytes that are in memory at a time while a clip is on its way."""
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
        return await _handed_out(visit, found, lambda: app.exports.take(caller, camera, span, blurred=wanted.blurred))
    except Invalid as error:
        return _page(visit, found, wanted, error)


async def _handed_out(visit: Visit, camera: Camera, make: Callable[[], Taken]) -> Response:
    """Make a clip, and return the answer that hands it out.

    Raises:
        Throttled: if another of theirs is being made or too many are on their way to them, or too many wait.
    """
    gate, owner = visit.console.gate, visit.session.principal
    gate.downloads.take(owner)
    try:
        taken = await gate.clips.run(make, owner=owner)
    except BaseException:
        gate.downloads.leave(owner)
        raise
    name = f"{camera.id}-{taken.real.start}.mp4"
    headers = {"content-disposition": f'attachment; filename="{name}"', "x-content-sha256": taken.sha256}
    return _Film(taken, headers, lambda: gate.downloads.leave(owner))


class _Film(Response):
    """A clip that is sent part by part from its file, which is gone when it was sent, or nobody is there any more.

    Args:
        taken: the clip.
        headers: of the answer.
        ended: called then.
    """

    def __init__(self, taken: Taken, headers: Mapping[str, str], ended: Callable[[], None]) -> None:
        super().__init__(media_type="video/mp4", headers={**headers, "content-length": str(taken.size)})
        self._file = taken.file
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            while part := await asyncio.to_thread(self._file.read, _PART):
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._file.close()
            self._ended()


def _page(visit: Visit, camera: Camera, wanted: _Wanted, error: Invalid | None = None) -> Response:
    values = {"camera": camera, "wanted": wanted, "error": error, "most_blurred": _MOST_BLURRED}
    return visit.page("camera_export.html.j2", shown(visit, "day", values), status=400 if error else 200)
