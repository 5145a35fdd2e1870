# SPDX-License-Identifier: Apache-2.0
"""Requests for footage, as those see them who have cameras: reading, looking at what one would share, sharing it.

Everything that is only looked at here leaves no trace (:mod:`custodes.api.console.silence`): a page that is added must
be a GET below :data:`~custodes.api.console.silence.REQUESTS` and write nothing. There is no button to decline.
"""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from custodes.api.console.pages.cameras import shown
from custodes.api.console.refusals import status_of
from custodes.api.console.silence import REQUESTS
from custodes.api.console.visits import Visit, Visitor, visiting
from custodes.cameras.model import Span
from custodes.cameras.moments import from_ms, to_ms
from custodes.errors import CustodesError, Invalid, NotFound
from custodes.governance import Role
from custodes.operations.previews import Preview
from custodes.operations.process import ProcessKind
from custodes.operations.requests import MOST_CLIP, InboxCamera, InboxItem
from custodes.operations.sharing import LASTS, RECALL, ClipChosen

__all__ = ["router"]

router = APIRouter(prefix=REQUESTS)

_SHARES = "/console/cameras/shares"
_UPLOAD = 32 * 2**20
_PIECE = 1 << 18
_MOST_PART = 4 * 2**20
"""Bytes of a clip that one answer has: who reads slowly keeps no more in memory."""
_HALF = 100.0  # of the map's side, in its own units
_ROOM = 0.8  # the circle's share of it
_EARTH = 111_195.0  # metres of a degree
_SECOND = 1000
_USUAL = 60  # seconds that are looked at unless somebody says otherwise
_AFTER = 5000  # milliseconds that are shown after something moved
_DIGITS = re.compile(r"[0-9]{1,4}")
_RANGE = re.compile(r"bytes=([0-9]{1,12})-([0-9]{0,12})")

Code = Annotated[str, Path(pattern=r"^FR-[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}$")]
PreviewId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]


@dataclass(frozen=True, slots=True)
class _Dot:
    """A camera on the map, in its units."""

    name: str
    x: float
    y: float


def _dots(item: InboxItem) -> list[_Dot]:
    """Return where cameras are within the circle that is asked about, which has 80 units around the middle of 200."""
    area = item.request.area
    found = []
    for one in item.cameras:
        assert one.camera.place is not None
        latitude, longitude = one.camera.place
        north = (latitude - area.latitude) * _EARTH
        east = (longitude - area.longitude) * _EARTH * math.cos(math.radians(area.latitude))
        scale = _HALF * _ROOM / area.radius_m
        found.append(_Dot(one.camera.name, round(_HALF + east * scale, 1), round(_HALF - north * scale, 1)))
    return found


@dataclass(frozen=True, slots=True)
class _Part:
    """What the form of a camera asks to look at, and the links to what moved.

    Attributes:
        start, seconds, blurred: as the form has them; the server's times are UTC.
        at: the beginning in milliseconds, which a script shows by the viewer's own clock; none if it can't be meant.
        moved: whole seconds in which something moved, and how long.
    """

    start: str
    seconds: str
    blurred: str
    at: int | None
    moved: tuple[tuple[int, int], ...]


def _part_of(item: InboxItem, one: InboxCamera, typed: Mapping[str, str]) -> _Part:
    """Return what a camera's form shows: what was typed for it, or the beginning of what it recorded.

    That is rounded up to a whole second, or it would lie before the time that is asked about.
    """
    asked = item.request.span
    moved = []
    for motion in one.motions:
        begin, end = _whole(max(motion.start, asked.start)), min(motion.end + _AFTER, asked.end)
        if end - begin >= _SECOND:
            moved.append((begin, min((end - begin) // _SECOND, MOST_CLIP // _SECOND)))
    if typed.get("camera") == one.camera.id:
        try:
            at: int | None = _instant(typed["start"])
        except Invalid:
            at = None
        start = typed["start"] if at is None else _shown(at)
        return _Part(start, typed["seconds"], typed["blurred"], at, tuple(moved))
    at = _whole(one.spans[0].start)
    seconds = min(max(1, (one.spans[0].end - at) // _SECOND), _USUAL)
    return _Part(_shown(at), str(seconds), "yes", at, tuple(moved))


def _whole(milliseconds: int) -> int:
    return -(-milliseconds // _SECOND) * _SECOND


def _shown(milliseconds: int) -> str:
    return f"{from_ms(milliseconds):%Y-%m-%dT%H:%M:%S}"


def _is_admin(visit: Visit) -> bool:
    return Role.ADMIN in visit.session.roles


def _page(visit: Visit, template: str, values: dict[str, object], status: int = 200) -> Response:
    told: dict[str, object] = {"admin": _is_admin(visit), "from_ms": from_ms}
    return visit.page(template, shown(visit, REQUESTS, told | values), status=status)


# --- looking ----------------------------------------------------------------------------------------------------------


@router.get("")
async def inbox(visit: Visitor) -> Response:
    """List the requests that concern cameras of the visitor's, and legal process that nobody has seen."""
    app, caller = visit.console.app, visit.caller()
    if not _is_admin(visit):
        return _page(visit, "requests.html.j2", {"items": [], "unseen": [], "boards": []})
    values: dict[str, object] = {
        "items": [(i, _dots(i)) for i in await visit.quick(lambda: app.requests.inbox(caller))],
        "unseen": await visit.quick(lambda: app.process.unseen(caller)),
        "boards": app.boards.states(),
    }
    return _page(visit, "requests.html.j2", values)


@router.get("/process")
async def process(visit: Visitor) -> Response:
    """List legal process that the organisation was served with."""
    return await _processes(visit)


async def _processes(visit: Visit, error: CustodesError | None = None, status: int = 200) -> Response:
    app, caller = visit.console.app, visit.caller()
    found = await visit.quick(lambda: app.process.list(caller)) if _is_admin(visit) else ()
    kinds = [(str(k), str(k).replace("-", " ").capitalize()) for k in ProcessKind]
    return _page(visit, "requests_process.html.j2", {"found": found, "kinds": kinds, "error": error}, status)


@router.get("/previews/{preview}")
async def state(visit: Visitor, preview: PreviewId) -> Response:
    """Tell a script how far a preview is."""
    found = await _made(visit, preview)
    told = {"state": _state(found), "done": round(min(1.0, found.done / found.of), 3), "still": bool(found.still)}
    if found.error is not None:
        told |= {"message": found.error.message, "remedy": found.error.remedy}
    return JSONResponse(told)


@router.get("/previews/{preview}/still.jpg")
async def still(visit: Visitor, preview: PreviewId) -> Response:
    """Hand out a picture of a preview that is being made."""
    found = await _made(visit, preview)
    return Response(found.still, media_type="image/jpeg", status_code=200 if found.still else 404)


@router.get("/previews/{preview}/clip.mp4")
async def clip(visit: Visitor, request: Request, preview: PreviewId) -> Response:
    """Hand out what would be shared, or a part of it, which players ask for."""
    found = await _made(visit, preview)
    data, asked, headers = found.result(0).data, request.headers.get("range", ""), {"accept-ranges": "bytes"}
    if _RANGE.fullmatch(asked) is None:
        return StreamingResponse(_pieces(found), media_type="video/mp4", headers=headers)
    return _part(asked, data, headers)


async def _made(visit: Visit, preview: str) -> Preview:
    return await visit.quick(lambda: visit.console.app.requests.made(visit.caller(), preview))


def _state(preview: Preview) -> str:
    if not preview.ended.is_set():
        return "working"
    return "ready" if preview.error is None else "failed"


async def _pieces(preview: Preview) -> AsyncIterator[bytes]:
    """Hand out a clip piece by piece, for as long as it is kept: who reads slowly doesn't keep it longer."""
    at = 0
    while preview.clip is not None and (piece := preview.clip.data[at : at + _PIECE]):
        at += len(piece)
        yield piece


def _part(asked: str, data: bytes, headers: dict[str, str]) -> Response:
    """Hand out the beginning of what is asked for; players ask for the rest when they have that."""
    wanted = _RANGE.fullmatch(asked)
    assert wanted is not None
    start, last = int(wanted[1]), len(data) - 1
    end = min(int(wanted[2] or last), last, start + _MOST_PART - 1)
    if start > end:
        return Response(status_code=416, headers=headers | {"content-range": f"bytes */{len(data)}"})
    told = headers | {"content-range": f"bytes {start}-{end}/{len(data)}"}
    return Response(data[start : end + 1], 206, told, "video/mp4")


@router.get("/{code}")
async def item(visit: Visitor, code: Code) -> Response:
    """Show a request."""
    return await _item(visit, code)


async def _item(
    visit: Visit, code: str, typed: Mapping[str, str] | None = None, error: CustodesError | None = None
) -> Response:
    found = await visit.quick(lambda: visit.console.app.requests.item(visit.caller(), code))
    values: dict[str, object] = {
        "item": found,
        "dots": _dots(found),
        "minutes": MOST_CLIP // 60_000,
        "cameras": [(one, _part_of(found, one, typed or {})) for one in found.cameras],
        "error": error,
    }
    return _page(visit, "requests_item.html.j2", values, 200 if error is None else status_of(error))


@router.get("/{code}/look")
async def look(
    visit: Visitor,
    code: Code,
    camera: Annotated[str, Query(max_length=80)],
    start: Annotated[str, Query(max_length=40)],
    seconds: Annotated[str, Query(max_length=10)] = str(_USUAL),
    blurred: Annotated[str, Query(pattern="^(yes|no)$")] = "yes",
) -> Response:
    """Make what would be shared, and show it; or the form again with what was typed, if that can't be meant."""
    app = visit.console.app
    try:
        span = _span(start, seconds)
        preview = await visit.quick(
            lambda: app.requests.preview(visit.caller(), code, camera, span, blurred=blurred == "yes")
        )
    except (Invalid, NotFound) as error:
        typed = {"camera": camera, "start": start, "seconds": seconds, "blurred": blurred}
        return await _item(visit, code, typed, error)
    found = await visit.quick(lambda: app.requests.item(visit.caller(), code))
    values = {
        "item": found,
        "preview": preview,
        "state": _state(preview),
        "subject": preview.subject,
        "recall": RECALL,
        "lasts": LASTS,
        "public": bool(app.config.server.endpoint),
    }
    return _page(visit, "requests_look.html.j2", values)


def _instant(start: str) -> int:
    """Return a time of a form, which is UTC.

    Raises:
        Invalid: if there is no such time.
    """
    try:
        begins = datetime.fromisoformat(start)
        return max(0, to_ms(begins if begins.tzinfo else begins.replace(tzinfo=UTC)))
    except (ValueError, OverflowError) as e:
        raise Invalid("A time is written as 2027-01-31T18:00:00, in UTC.") from e


def _span(start: str, seconds: str) -> Span:
    """Return the stretch of time of a form.

    Raises:
        Invalid: if there is no such time, or it is no number of seconds.
    """
    at, most = _instant(start), MOST_CLIP // _SECOND
    if not (_DIGITS.fullmatch(seconds) and 1 <= int(seconds) <= most):
        raise Invalid(f"A clip lasts 1 to {most} seconds.", remedy="Share several.")
    return Span(at, at + int(seconds) * _SECOND)


# --- doing ------------------------------------------------------------------------------------------------------------


@router.post("/{code}/share")
async def share(visit: Visitor, code: Code) -> Response:
    """Share what was looked at."""
    app = visit.console.app
    if not visit.has("looked"):
        raise Invalid("Nothing is shared unless you have looked at it.", remedy="Look at all of it, and say so.")
    try:
        span = Span(int(visit.text("start")), int(visit.text("end")))
        lasts = timedelta(days=int(visit.text("days")))
    except (ValueError, OverflowError) as e:
        raise Invalid("The form can't be read.", remedy="Look again, and send it once more.") from e
    chosen = ClipChosen(visit.text("camera"), span, visit.text("label"), visit.text("preview") or "none")
    made = await visit.quick(
        lambda: app.sharing.share(
            visit.caller(),
            code,
            [chosen],
            blurred=visit.text("blurred") != "no",
            expires=lasts,
            with_proofs=visit.has("proofs"),
            server=visit.address,
            digest=visit.text("digest") or "none",
        )
    )
    return visit.done(f"{_SHARES}#{made.id}", "It is shared. Give the officer the link.")


@router.post("/process")
async def record(visit: Annotated[Visit, Depends(visiting(_UPLOAD))]) -> Response:
    """Record legal process."""
    app = visit.console.app
    try:
        document = await visit.upload("document")
        kind = visit.text("kind")
        if kind not in list(ProcessKind):
            raise Invalid("It is a warrant, a subpoena or a court order.")
        issuer, reference = visit.text("issuer"), visit.text("reference")
        await visit.quick(
            lambda: app.process.record(
                visit.caller(), ProcessKind(kind), issuer=issuer, reference=reference, document=document.data
            )
        )
    except Invalid as error:
        return await _processes(visit, error, 400)
    return visit.done(f"{REQUESTS}/process", "It is on record. Nothing is released by it.")


@router.post("/process/{process_id}/seen")
async def seen(visit: Visitor, process_id: Annotated[str, Path(pattern=r"^process-[0-9a-f]{16}$")]) -> Response:
    """Say that one has seen it."""
    await visit.quick(lambda: visit.console.app.process.see(visit.caller(), process_id))
    return visit.done(REQUESTS, "It is noted that you have seen it.")
