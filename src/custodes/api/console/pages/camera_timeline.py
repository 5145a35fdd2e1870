# SPDX-License-Identifier: Apache-2.0
"""A day of a camera's recordings: what was recorded when, what moved, what happened, and the video itself.

To open a day is an entry of the ledger; the files of video that are fetched for it are not. A day of a path is one of
UTC for the server; a script shows the viewer's own day of that date, for which it opens a second one where their clock
isn't UTC's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, BinaryIO

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import JSONResponse, RedirectResponse, StreamingResponse

from custodes.api.console.dates import day_of
from custodes.api.console.filming import CameraId, DayName, who
from custodes.api.console.pages.cameras import shown
from custodes.api.console.visits import Visitor
from custodes.cameras.model import Segment, Span
from custodes.errors import NotFound

if TYPE_CHECKING:
    from custodes.operations.cameras import Day

__all__ = ["router"]

router = APIRouter(prefix="/console/cameras")

_HERE = "/console/cameras"
_EXPORT = _HERE + "/{camera}/export"
_TOGETHER = 2000  # milliseconds: what lies closer is drawn and told as one stretch
_PART = 1 << 16
_DAYS = 60
_Moment = Annotated[int, Query(ge=0, le=2**53)]


@router.get("/{camera}/day")
async def choose(visit: Visitor, camera: CameraId, day: Annotated[str, Query(max_length=10)] = "") -> Response:
    """Go on to a day that was chosen, or to today."""
    now = await visit.quick(visit.console.app.overview.now)
    at = day_of(day, "What you look for") if day else now
    return RedirectResponse(f"{_HERE}/{camera}/day/{at:%Y-%m-%d}", status_code=303)


@router.get("/{camera}/day/{day}")
async def show(visit: Visitor, camera: CameraId, day: DayName, at: _Moment = 0) -> Response:
    """Open a day; scripts get what there is of it alone."""
    app, caller = visit.console.app, visit.caller()

    def read() -> tuple[Day, datetime]:
        return app.cameras.open_day(caller, camera, day.isoformat()), app.overview.now()

    found, now = await visit.quick(read)
    if visit.wants_json:
        return JSONResponse(_told(found))
    chosen = _from(found.segments, at) if at else None
    values = {
        "camera": found.camera,
        "day": day.isoformat(),
        "told": _told(found),
        "before": f"{day - timedelta(days=1)}" if day > date(1970, 1, 1) else "",
        "after": f"{day + timedelta(days=1)}" if day <= now.astimezone(UTC).date() else "",
        "days": found.days[:_DAYS],
        "recorded": _band(found.span, (s.span for s in found.segments)),
        "moved": _band(found.span, found.motions),
        "stretches": tuple(_stretches(s.span for s in found.segments)),
        "events": found.events,
        "who": who,
        "at": at,
        "chosen": chosen,
        "exports": _EXPORT in visit.console.paths,
    }
    return visit.page("camera_day.html.j2", shown(visit, "day", values))


@router.get("/{camera}/segments/{start}.mp4")
async def segment(visit: Visitor, camera: CameraId, start: Annotated[int, Path(ge=0, le=2**53)]) -> Response:
    """Hand out a file of recorded video."""
    app, caller = visit.console.app, visit.caller()

    def opened() -> tuple[BinaryIO, int]:
        path = app.cameras.segment_file(caller, camera, start)
        try:
            file = path.open("rb")
        except FileNotFoundError as e:
            raise NotFound("There is no such video: it may have been deleted meanwhile.") from e
        return file, path.stat().st_size

    file, length = await visit.quick(opened)
    return StreamingResponse(_parts(file), media_type="video/mp4", headers={"content-length": str(length)})


def _parts(file: BinaryIO) -> Iterator[bytes]:
    """Read an open file, which may be deleted meanwhile, and close it."""
    with file:
        while part := file.read(_PART):
            yield part


def _from(segments: Iterable[Segment], at: int) -> Segment | None:
    """Return the video of a moment, or the next after it."""
    return next((s for s in segments if s.end > at), None)


def _stretches(spans: Iterable[Span]) -> Iterator[Span]:
    """Yield stretches of time, those together that hardly leave a gap."""
    held: Span | None = None
    for span in spans:
        if held is not None and span.start <= held.end + _TOGETHER:
            held = Span(held.start, max(held.end, span.end))
            continue
        if held is not None:
            yield held
        held = span
    if held is not None:
        yield held


def _band(day: Span, spans: Iterable[Span]) -> str:
    """Return stretches as the path of an SVG: seconds of the day from left to right, 1 high."""
    parts = []
    for span in _stretches(spans):
        left = max(0, span.start - day.start) / 1000
        right = min(day.end - day.start, span.end - day.start) / 1000
        parts.append(f"M{left:.0f} 0h{max(1.0, right - left):.0f}v1h-{max(1.0, right - left):.0f}z")
    return "".join(parts)


def _told(found: Day) -> dict[str, object]:
    """Return what scripts draw and play; times of video count from the day's beginning, to be short."""
    start, mimes = found.span.start, tuple(dict.fromkeys(s.mime for s in found.segments))
    return {
        "start": start,
        "end": found.span.end,
        "mimes": mimes,
        "segments": [[s.start - start, s.end - s.start, mimes.index(s.mime)] for s in found.segments],
        "motions": [[m.start - start, m.end - m.start] for m in found.motions],
        "events": [{"id": e.id, "start": e.start, "end": e.end, "who": who(e), "zone": e.zone} for e in found.events],
    }
