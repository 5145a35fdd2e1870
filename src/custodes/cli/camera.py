# SPDX-License-Identifier: Apache-2.0
"""``custodes camera``: cameras, their video and what happened before them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from custodes.cameras.moments import now_ms, to_ms
from custodes.cli.arguments import Json, moment
from custodes.cli.camerasources import PasswordFile, User, sources_of, with_account
from custodes.cli.cameratold import at, print_camera, row, settings, state
from custodes.cli.cameratools import add_to
from custodes.cli.output import console, installation, print_done, print_line, print_rows
from custodes.cli.who import who
from custodes.errors import Denied, Invalid, NotFound

if TYPE_CHECKING:
    from custodes.app import App
    from custodes.cameras.model import Camera, Event
    from custodes.governance import Caller

__all__ = ["program"]

program = typer.Typer(help="Cameras, their video and what happened before them.", no_args_is_help=True)
add_to(program)

_POLL_SECONDS = 1.0

Name: TypeAlias = Annotated[str, typer.Argument(help="The camera, by name or id.", show_default=False)]
Substream: TypeAlias = Annotated[
    str | None,
    typer.Option("--substream", help="A stream of small pictures of the same camera, to look for motion in."),
]
Place: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--place",
        help="Latitude and longitude, 47.61,-122.33: only then are requests for footage matched with it.",
    ),
]
Collection: TypeAlias = Annotated[
    str | None, typer.Option("--collection", help="Another collection whose people it recognises; empty for nobody.")
]
Recognise: TypeAlias = Annotated[
    bool | None, typer.Option("--recognise/--no-recognise", help="Whether it recognises the people of your library.")
]


@program.command()
def add(
    name: Annotated[str, typer.Argument(help="What people will call it: front-door.", show_default=False)],
    url: Annotated[
        str,
        typer.Argument(
            help="rtsp://..., rtsps://..., onvif://HOST (which is asked for its streams), file:NAME, or "
            "rtmp://ADDRESS:PORT/WORD/KEY to be pushed to (an address of this machine, a word, and a key of at least 8 "
            "characters that the camera alone knows); - reads it from standard input.",
            show_default=False,
        ),
    ],
    substream: Substream = None,
    user: User = "",
    password_file: PasswordFile = None,
    place: Place = None,
    recognise: Recognise = None,
    collection: Collection = None,
    records: Annotated[bool, typer.Option("--record/--no-record", help="Whether its video is kept.")] = True,
    as_json: Json = False,
) -> None:
    """Set up a camera; the server begins to read it within a second."""
    where = _place(place)
    told, second = sources_of(url, substream or "", user, password_file)
    with installation() as app:
        caller = who(app)
        people = _collection(app, caller, recognise, collection) or ""
        made = app.cameras.add(caller, name, told, substream=second, place=where, collection=people, records=records)
        hint = not people and recognise is None and _knows_somebody(app, caller)
    print_done(row(made), f"{made.name} is {made.id}.", as_json=as_json)
    if hint and not as_json:
        more = f"custodes camera set {made.name!r} --recognise"
        console.print(f"It recognises nobody yet, and your library has people: {more}", style="dim", soft_wrap=True)


def _collection(app: App, caller: Caller, recognise: bool | None, collection: str | None) -> str | None:
    """Return whose people a camera is to recognise, by name; empty for nobody, None if nothing is said.

    Raises:
        Invalid: if two things are said.
        Denied: if a rule forbids making the library.
    """
    if recognise is not None and collection is not None:
        raise Invalid(
            "Whose people it recognises is said twice.", remedy="Leave out --collection, or --recognise/--no-recognise."
        )
    if recognise is None:
        return collection
    return app.library.ensure(caller) if recognise else ""


def _knows_somebody(app: App, caller: Caller) -> bool:
    """Tell whether there are people in the caller's library, as far as the caller may know."""
    try:
        return bool(app.library.people(caller))
    except Denied:
        return False


@program.command("list")
def list_cameras(as_json: Json = False) -> None:
    """List your cameras, what they give, and whether they record."""
    rows: list[dict[str, object]] = []
    with installation() as app:
        caller = who(app)
        urls = app.cameras.is_set_up_by(caller)
        for camera in app.cameras.list(caller):
            last = app.cameras.last(caller, camera.id)
            told = {"state": state(camera, last), "last_video": at(last.end) if last else None}
            rows.append(row(camera, urls=urls) | told)
    print_rows(rows, {"name": "Name", "id": "Camera", "url": "From", "state": "State"}, as_json=as_json)


@program.command()
def show(name: Name, as_json: Json = False) -> None:
    """Show a camera's settings, and what of its video is on the disk."""
    with installation() as app:
        caller = who(app)
        camera = app.cameras.get(caller, name)
        urls = app.cameras.is_set_up_by(caller)
        used = next(u for u in app.cameras.usage(caller) if u.camera.id == camera.id)
        last = app.cameras.last(caller, camera.id)
    told = settings(camera, urls=urls) | {"state": state(camera, last), "last_video": at(last.end) if last else None}
    print_camera(told, camera, used.usage, used.free, as_json=as_json)


@program.command("set")
def change(
    name: Name,
    url: Annotated[str | None, typer.Option("--url", help="Another source; - reads it from standard input.")] = None,
    substream: Substream = None,
    user: User = "",
    password_file: PasswordFile = None,
    rename: Annotated[str | None, typer.Option("--rename", help="Another name.")] = None,
    place: Place = None,
    recognise: Recognise = None,
    collection: Collection = None,
    records: Annotated[bool | None, typer.Option("--record/--no-record", help="Whether its video is kept.")] = None,
    enabled: Annotated[bool | None, typer.Option("--run/--pause", help="Whether it runs.")] = None,
    continuous: Annotated[float | None, typer.Option(min=0, help="Days that video without motion is kept.")] = None,
    motion: Annotated[float | None, typer.Option(min=0, help="Days that video with motion is kept.")] = None,
    events: Annotated[float | None, typer.Option(min=0, help="Days that video of events is kept.")] = None,
    gigabytes: Annotated[float | None, typer.Option(min=0, help="Most of all three; 0 for no limit.")] = None,
    pre_roll: Annotated[float | None, typer.Option(min=0, max=60, help="Seconds kept before motion.")] = None,
    post_roll: Annotated[float | None, typer.Option(min=0, max=60, help="Seconds kept after motion.")] = None,
    as_json: Json = False,
) -> None:
    """Change a camera's settings; from then on it watches on your behalf."""
    switches = (recognise, records, enabled, continuous, motion, events, gigabytes, pre_roll, post_roll)
    if {url, substream, user or None, password_file, rename, place, collection, *switches} == {None}:
        raise Invalid("Nothing to change.", remedy="Say what: its --help shows what can be changed.")
    days = {"continuous_days": continuous, "motion_days": motion, "event_days": events, "gigabytes": gigabytes}
    with installation() as app:
        caller = who(app)
        camera = app.cameras.get(caller, name)
        first, second = _sources(camera, url, substream, user, password_file)
        given: dict[str, object] = {
            "url": first,
            "substream": second,
            "name": rename,
            "collection": _collection(app, caller, recognise, collection),
            "records": records,
            "enabled": enabled,
            "pre_roll": pre_roll,
            "post_roll": post_roll,
        }
        wanted = replace(
            camera,
            **{k: v for k, v in given.items() if v is not None},  # type: ignore[arg-type]  # each is of its field's type
            retention=replace(camera.retention, **{k: v for k, v in days.items() if v is not None}),
            place=camera.place if place is None else _place(place),
        )
        changed = app.cameras.change(caller, wanted)
        urls = app.cameras.is_set_up_by(caller)
    print_done(settings(changed, urls=urls), f"{changed.name} is changed.", as_json=as_json)


def _sources(
    camera: Camera, url: str | None, substream: str | None, user: str, password_file: Path | None
) -> tuple[str, str]:
    """Return a camera's URLs as they shall be; another account holds for both."""
    if url is not None:
        first, second = sources_of(url, substream or "", user, password_file)
        return first, second if second or substream is not None else camera.substream
    first, second = camera.url, camera.substream if substream is None else substream
    if user or password_file is not None:
        return with_account(first, user, password_file, anew=True), with_account(second, user, password_file, anew=True)
    return first, second


@program.command()
def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove a camera with its events and all its video."""
    with installation() as app:
        caller = who(app)
        camera = app.cameras.get(caller, name)
        if not yes:
            typer.confirm(f"Delete {camera.name}, its events and all its video?", abort=True, err=True)
        app.cameras.remove(caller, camera.id)
    print_done({"id": camera.id, "removed": True}, f"{camera.name} and all its video are gone.", as_json=as_json)


@program.command()
def watch(
    name: Annotated[str | None, typer.Argument(help="One camera; all unless given.", show_default=False)] = None,
    seconds: Annotated[float, typer.Option("--for", min=0, help="End after so long; 0 goes on until ctrl-c.")] = 0,
    as_json: Json = False,
) -> None:
    """Tell of events as they happen: who came, where; --json, one line each. A server must be running."""
    since = now_ms()
    told: dict[str, tuple[object, ...]] = {}
    with installation() as app:
        caller = who(app)
        cameras = {k.id: k for k in app.cameras.list(caller) if name is None or name in (k.name, k.id)}
        if not cameras:
            raise NotFound("There is no such camera.", remedy="custodes camera list shows all.")
        for camera_id in cameras:
            app.cameras.watch(caller, camera_id)
        if not as_json:
            console.print("Waiting for events; ctrl-c ends it.", style="dim")
        begun = time.monotonic()
        try:
            while True:
                for event in reversed(_news(app, caller, cameras, since)):
                    state = (event.open, event.sightings)
                    if told.get(event.id) != state:
                        told[event.id] = state
                        _tell(event, cameras[event.camera], as_json=as_json)
                if seconds and time.monotonic() - begun >= seconds:
                    return
                time.sleep(_POLL_SECONDS)
        except KeyboardInterrupt:
            return


def _news(app: App, caller: Caller, cameras: Mapping[str, Camera], since: int) -> tuple[Event, ...]:
    from custodes.cameras.model import Span

    return app.sightings.news(caller, tuple(cameras), Span(since, since + (1 << 40)))


def _tell(event: Event, camera: Camera, *, as_json: bool) -> None:
    people = [s.subject for s in event.sightings if s.subject]
    unknown = sum(not s.subject for s in event.sightings)
    if as_json:
        print_line(
            {
                "event": event.id,
                "camera": camera.name,
                "from": at(event.start),
                "to": at(event.end),
                "open": event.open,
                "zone": event.zone,
                "people": people,
                "unknown": unknown,
            }
        )
        return
    who_came = ", ".join(people + ([f"{unknown} unknown"] if unknown else [])) or "somebody or something"
    place = f" at {event.zone}" if event.zone else ""
    end = "" if event.open else f" until {at(event.end)}"
    console.print(f"{at(event.start)}{end}  {camera.name}{place}: {who_came}", highlight=False, markup=False)


@program.command()
def export(
    name: Name,
    begin: Annotated[str, typer.Option("--from", help="When it begins: 2026-11-26T08:00:00Z.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file, an MP4.")],
    end: Annotated[str, typer.Option("--to", help="When it ends; a minute later unless given.")] = "",
    blur: Annotated[bool, typer.Option("--blur", help="Blur all faces.")] = False,
    as_json: Json = False,
) -> None:
    """Write a clip: as it was recorded, or with faces blurred; privacy masks are always black."""
    from custodes.cameras.model import Span
    from custodes.cli.evaluate import progress_bar

    first = moment(begin)
    last = moment(end) if end else first + timedelta(minutes=1)
    span = Span(to_ms(first), to_ms(last))
    with installation() as app, progress_bar(quiet=as_json) as bar:
        made = app.exports.export(
            who(app), name, span, output, blurred=blur, progress=lambda done, of: bar("encoding", done, of)
        )
    told = {
        "path": str(made.path),
        "asked": [at(made.asked.start), at(made.asked.end)],
        "real": [at(made.real.start), at(made.real.end)],
        "bytes": made.size,
        "sha256": made.sha256,
        "as_recorded": not made.derivative,
        "blurred": made.blurred,
    }
    how = "encoded anew" if made.derivative else "as it was recorded"
    print_done(told, f"{made.path.name}: {at(made.real.start)} to {at(made.real.end)}, {how}.", as_json=as_json)


def _place(text: str | None) -> tuple[float, float] | None:
    if not text:
        return None
    try:
        latitude, longitude = (float(part) for part in text.split(","))
    except ValueError as e:
        raise typer.BadParameter("A place is written as latitude and longitude: 47.61,-122.33.") from e
    return latitude, longitude
