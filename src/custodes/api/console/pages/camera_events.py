# SPDX-License-Identifier: Apache-2.0
"""What happened before cameras: events, who was seen, and the owner's two corrections: not this person, this is ...

A person who is named is a candidate until somebody has said so. Who is unknown stays so: of them there are pictures
with their event, and nothing by which they could be found again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path, Query, Response

from custodes.api.console.dates import day_of
from custodes.api.console.filming import CAMERA, HARDLY, EventId, day_name, who
from custodes.api.console.pages.cameras import shown
from custodes.api.console.reading import Misread
from custodes.api.console.visits import Visit, Visitor
from custodes.cameras.model import Camera, Event, Span
from custodes.cameras.moments import to_ms
from custodes.errors import Conflict, CustodesError, Denied, Invalid, NotFound

if TYPE_CHECKING:
    from custodes.operations.library import PersonView

__all__ = ["router"]

router = APIRouter(prefix="/console/cameras/events")

_HERE = "/console/cameras/events"
_PAGE = 24
_Number = Annotated[int, Path(ge=1, le=10_000)]
_Camera = Annotated[str, Query(pattern=rf"^({CAMERA})?$")]
_Zone = Annotated[int, Query(ge=-900, le=900)]
_MORE = timedelta(days=1)


def _span(day: str, zone: int) -> Span | None:
    """Return a day by the clock of a viewer which is so many minutes before UTC; None for all.

    Raises:
        Misread: if there is no such day.
    """
    if not day:
        return None
    try:
        begun = day_of(day, "This") - timedelta(minutes=zone)
        start, end = (to_ms(d) for d in (begun, begun + _MORE))
    except (Invalid, OverflowError) as e:
        raise Misread("day", "This is a day, written 2027-01-31.") from e
    return Span(max(0, start), max(1, end))


@router.get("")
async def events(
    visit: Visitor,
    camera: _Camera = "",
    person: Annotated[str, Query(max_length=128)] = "",
    day: Annotated[str, Query(max_length=10)] = "",
    zone: _Zone = 0,
    before: Annotated[int, Query(ge=0, le=2**53)] = 0,
) -> Response:
    """List events, the newest first; all, or those of a camera, a person or a day."""
    app, caller = visit.console.app, visit.caller()
    error: CustodesError | None = None
    try:
        span = _span(day, zone)
    except Misread as wrong:
        span, error = None, wrong

    def read() -> tuple[tuple[Camera, ...], tuple[Event, ...]]:
        cameras = app.cameras.list(caller)
        if error is not None or not cameras:
            return cameras, ()
        found = app.sightings.list(
            caller,
            (camera,) if camera else (),
            person=person.strip(),
            span=span,
            before=before or None,
            limit=_PAGE + 1,
        )
        return cameras, found

    cameras, found = await visit.quick(read)
    values = {
        "events": [(e, who(e), day_name(e.start)) for e in found[:_PAGE]],
        "names": {c.id: c.name for c in cameras},
        "query": {"camera": camera, "person": person.strip(), "day": day, "zone": str(zone) if day else ""},
        "filtered": any((camera, person, day)),
        "first": not before,
        "last": found[_PAGE - 1].start if len(found) > _PAGE else None,
        "error": error,
    }
    status = 200 if error is None else 400
    return visit.page("camera_events.html.j2", shown(visit, _HERE, values), status=status)


# --- one ---


async def _one(visit: Visit, event: str, error: CustodesError | None = None) -> Response:
    app, caller = visit.console.app, visit.caller()

    def read() -> tuple[Event, Camera, tuple[PersonView, ...]]:
        found = app.sightings.get(caller, event)
        camera = app.cameras.get(caller, found.camera)
        if not (camera.collection and found.sightings):
            return found, camera, ()
        try:
            return found, camera, app.library.people(caller, collection=camera.collection)
        except (Denied, NotFound):  # they see what happened all the same, and can't say who it was
            return found, camera, ()

    found, camera, people = await visit.quick(read)
    mistaken = any(s.corrected and not s.subject for s in found.sightings)
    values = {
        "event": found,
        "camera": camera,
        "who": who(found),
        "day": day_name(found.start),
        "people": people,
        "hard": [p for p in people if p.floor > HARDLY] if mistaken else [],
        "agreed": [p.name for p in people if p.consent],
        "typed": {n: visit.text(n) for n in ("number", "person")},
        "error": error,
    }
    return visit.page("camera_event.html.j2", shown(visit, _HERE, values), status=200 if error is None else 400)


@router.get("/{event}")
async def one(visit: Visitor, event: EventId) -> Response:
    """Show an event: its picture, and everybody in it."""
    return await _one(visit, event)


async def _picture(visit: Visit, event: str, number: int | None = None) -> Response:
    app, caller = visit.console.app, visit.caller()
    data: bytes = await visit.quick(lambda: app.sightings.picture(caller, event, number))
    return Response(data, media_type="image/jpeg")


@router.get("/{event}/picture.jpg")
async def picture(visit: Visitor, event: EventId) -> Response:
    """Hand out an event's picture."""
    return await _picture(visit, event)


@router.get("/{event}/faces/{number}.jpg")
async def face(visit: Visitor, event: EventId, number: _Number) -> Response:
    """Hand out the picture of somebody in it."""
    return await _picture(visit, event, number)


# --- corrections ---


@router.post("/{event}/faces/{number}/not")
async def not_this(visit: Visitor, event: EventId, number: _Number) -> Response:
    """Take a name off a face: it isn't this person."""
    app, caller = visit.console.app, visit.caller()

    def correct() -> tuple[str, float]:
        before = app.sightings.get(caller, event)
        app.sightings.not_this_person(caller, event, number)
        return next((s.subject, s.similarity) for s in before.sightings if s.number == number)

    name, similarity = await visit.quick(correct)
    told = "It is nobody known now, and a face that is no more alike isn't taken for that person again."
    if similarity > HARDLY:
        return visit.done(f"{_HERE}/{event}", f"{told} {name} will hardly be recognised now.", kind="warning")
    return visit.done(f"{_HERE}/{event}", told)


@router.post("/{event}/faces/{number}/name")
async def this_is(visit: Visitor, event: EventId, number: _Number) -> Response:
    """Say who a face is, and have the picture learned if that was asked for."""
    app, caller = visit.console.app, visit.caller()
    name, learn = visit.text("person"), visit.has("enrol")
    try:
        if not name:
            raise Misread("person", "Say who it is.", remedy="Choose somebody of your people, or add them first.")
        await visit.inference(lambda: app.sightings.this_is(caller, event, number, name, enrol=learn))
    except (Invalid, NotFound, Conflict) as error:
        return await _one(visit, event, error)
    told = f"This is {name}" + (", and the picture is learned." if learn else ".")
    return visit.done(f"{_HERE}/{event}", told)


@router.post("/{event}/remove")
async def remove(visit: Visitor, event: EventId) -> Response:
    """Delete an event with its pictures; the recording stays as long as its camera keeps it."""
    app, caller = visit.console.app, visit.caller()
    await visit.quick(lambda: app.sightings.remove(caller, event))
    return visit.done(_HERE, "The event and its pictures are deleted.")
