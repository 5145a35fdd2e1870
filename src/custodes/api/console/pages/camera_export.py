# SPDX-License-Identifier: Apache-2.0
"""A clip for its owner: from when to when, as it was recorded or with faces blurred, as a file to keep.

Whoever asks for one has a place until it has arrived; making it takes a thread that nothing else waits for.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Response

from custodes.api.console.filming import CameraId, day_name
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
_DIGITS = re.compile(r"[0-9]{1,15}")
_UNPLAIN = re.compile(r"[^A-Za-z0-9_-]")
_PART = 256 * 1024
"""Bytes that are in memory at a time while a clip is on its way."""
_LATEST = 253_402_300_799_000
"""The last moment of which there is a day."""
_Moment = Annotated[int, Query(ge=0, le=_LATEST)]


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
    if not (_DIGITS.fullmatch(start) and _DIGITS.fullmatch(end) and max(int(start), int(end)) <= _LATEST):
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
    headers = {"content-disposition": _named(camera.name, taken.real.start), "x-content-sha256": taken.sha256}
    return _Film(taken, headers, lambda: gate.downloads.leave(owner))


def _named(camera: str, start: int) -> str:
    """Return the header that names a clip's file: by its camera, and when it begins, in UTC."""
    at = f"{datetime.fromtimestamp(start / 1000, UTC):%Y-%m-%d %H-%M-%S}Z.mp4"
    plain = " ".join(_UNPLAIN.sub(" ", camera).split()) or "Camera"
    return f"attachment; filename=\"{plain} {at}\"; filename*=UTF-8''{quote(f'{camera} {at}', safe='')}"


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
    values = {"camera": camera, "wanted": wanted, "error": error, "day": day_name(wanted.start)}
    return visit.page("camera_export.html.j2", shown(visit, "day", values), status=400 if error else 200)
