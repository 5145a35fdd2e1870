# SPDX-License-Identifier: Apache-2.0
"""``custodes camera``: cameras, their video and what happened before them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias
from urllib.parse import quote, urlsplit, urlunsplit

import typer

from custodes.cli.arguments import Json, moment
from custodes.cli.cameratools import PasswordFile, User, add_to, from_onvif, password_of
from custodes.cli.output import console, installation, print_done, print_json, print_rows, print_table, when
from custodes.cli.who import who
from custodes.errors import Invalid, NotFound

if TYPE_CHECKING:
    from custodes.app import App
    from custodes.cameras.model import Camera, Event
    from custodes.cameras.retention import Kept, Usage
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
    str | None, typer.Option("--collection", help="Whose people it recognises; empty for nobody.")
]


@program.command()
def household(
    name: Annotated[str, typer.Argument(help="What the household is called.", show_default=False)],
    person: Annotated[str, typer.Option("--person", help="Who sets up its cameras: their name.")],
    identifier: Annotated[str, typer.Option("--id", help="What tells them from all others: an e-mail address.")],
    jurisdiction: Annotated[str, typer.Option(help="Where it is: a country or a part of one, such as US-WA.")] = "ZZ",
    credentials: Annotated[
        Path | None, typer.Option("--credentials", help="Write a key for the command line to this file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a household with a person who sets up its cameras, and a link by which they set their password."""
    from custodes.cli.console import link
    from custodes.cli.endpoint import endpoint_of
    from custodes.governance import OrgClass, Purpose, Role

    if credentials is not None and credentials.exists():
        raise Invalid(f"{credentials.name} is there already.", remedy="Choose another name.")
    with installation(make=True) as app:
        caller = who(app)
        made = app.people.add_organisation(caller, name, OrgClass.HOUSEHOLD, jurisdiction)
        owner = app.people.add(caller, made.id, identifier, person, [Role.ADMIN, Role.USER])
        if credentials is not None:
            key = app.identity.create_key(caller, "cameras", principal=owner.id, purpose=Purpose.HOME_SECURITY)
            app.identity.write_credentials(credentials, key, app.config.server.region)
        invited = app.invitations.invite(caller, owner.id, [Purpose.HOME_SECURITY])
        url = link(endpoint_of(app.config), invited.token)
    told = {"organisation": made.id, "person": owner.id, "url": url, "expires_at": when(invited.expires_at)}
    if as_json:
        print_json(told)
        return
    console.print(f"{name} is {made.id}; {person} is {owner.id}. The link sets their password, once:", markup=False)
    console.print(url, highlight=False, markup=False, soft_wrap=True)
    if credentials is not None:
        console.print(f"At the command line: export CUSTODES_CREDENTIALS={credentials}", markup=False, style="dim")


@program.command()
def add(
    name: Annotated[str, typer.Argument(help="What people will call it: front-door.", show_default=False)],
    url: Annotated[
        str,
        typer.Argument(
            help="rtsp://..., rtsps://..., onvif://HOST (which is asked for its streams), rtmp://ADDRESS:PORT/KEY to "
            "be pushed to, file:NAME; - reads it from standard input.",
            show_default=False,
        ),
    ],
    substream: Substream = None,
    user: User = "",
    password_file: PasswordFile = None,
    place: Place = None,
    collection: Collection = None,
    records: Annotated[bool, typer.Option("--record/--no-record", help="Whether its video is kept.")] = True,
    as_json: Json = False,
) -> None:
    """Set up a camera; the server begins to read it within a second."""
    told, second = _given(url), substream or ""
    if told.startswith("onvif://"):
        told, second = from_onvif(told.removeprefix("onvif://").strip("/"), user, password_of(password_file))
    else:
        told = _with_credentials(told, user, password_file)
        second = _with_credentials(second, user, password_file) if second else ""
    with installation() as app:
        made = app.cameras.add(
            who(app), name, told, substream=second, place=_place(place), collection=collection or "", records=records
        )
    print_done(_row(made), f"{made.name} is {made.id}.", as_json=as_json)


@program.command("list")
def list_cameras(as_json: Json = False) -> None:
    """List your cameras, what they give, and when they last recorded."""
    rows: list[dict[str, object]] = []
    with installation() as app:
        caller = who(app)
        for camera in app.cameras.list(caller):
            last = app.cameras.last(caller, camera.id)
            rows.append(_row(camera) | {"last_video": _at(last.end) if last else None})
    columns = {
        "name": "Name",
        "id": "Camera",
        "url": "From",
        "enabled": "Runs",
        "records": "Keeps",
        "last_video": "Last",
    }
    print_rows(rows, columns, as_json=as_json)


@program.command()
def show(name: Name, as_json: Json = False) -> None:
    """Show a camera's settings, and what of its video is on the disk."""
    with installation() as app:
        caller = who(app)
        camera = app.cameras.get(caller, name)
        used = next(u for u in app.cameras.usage(caller) if u.camera.id == camera.id)
    kept = [
        {"kind": kind, "bytes": part.size, "oldest": _at(part.oldest), "newest": _at(part.newest)}
        for kind, part in _parts(used.usage)
    ]
    told = _row(camera) | {
        "substream": _redacted(camera.substream),
        "zones": [{"name": z.name, "kind": str(z.spot), "points": z.points} for z in camera.zones],
        "pre_roll": camera.pre_roll,
        "post_roll": camera.post_roll,
        "days": {
            "continuous": camera.retention.continuous_days,
            "motion": camera.retention.motion_days,
            "event": camera.retention.event_days,
        },
        "gigabytes": camera.retention.gigabytes,
        "video": kept,
        "disk_free": used.free,
    }
    if as_json:
        print_json(told)
        return
    print_table(("Setting", "Value"), [(k, str(v)) for k, v in told.items() if k != "video"])
    print_rows(kept, {"kind": "Video", "bytes": "Bytes", "oldest": "From", "newest": "To"}, as_json=False)


@program.command("set")
def change(
    name: Name,
    url: Annotated[str | None, typer.Option("--url", help="Another source; - reads it from standard input.")] = None,
    substream: Substream = None,
    user: User = "",
    password_file: PasswordFile = None,
    rename: Annotated[str | None, typer.Option("--rename", help="Another name.")] = None,
    place: Place = None,
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
    given: dict[str, object] = {
        "url": None if url is None else _with_credentials(_given(url), user, password_file),
        "substream": None if substream is None else _with_credentials(substream, user, password_file),
        "name": rename,
        "collection": collection,
        "records": records,
        "enabled": enabled,
        "pre_roll": pre_roll,
        "post_roll": post_roll,
    }
    days = {"continuous_days": continuous, "motion_days": motion, "event_days": events, "gigabytes": gigabytes}
    with installation() as app:
        caller = who(app)
        camera = app.cameras.get(caller, name)
        wanted = replace(
            camera,
            **{k: v for k, v in given.items() if v is not None},  # type: ignore[arg-type]  # each is of its field's type
            retention=replace(camera.retention, **{k: v for k, v in days.items() if v is not None}),
            place=camera.place if place is None else _place(place),
        )
        changed = app.cameras.change(caller, wanted)
    print_done(_row(changed), f"{changed.name} is changed.", as_json=as_json)


@program.command()
def remove(
    name: Name,
    sure: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove a camera with its events and all its video."""
    if not sure and not as_json:
        typer.confirm(f"Delete {name}, its events and all its video?", abort=True)
    with installation() as app:
        caller = who(app)
        camera = app.cameras.get(caller, name)
        app.cameras.remove(caller, camera.id)
    print_done({"id": camera.id, "removed": True}, f"{camera.name} and all its video are gone.", as_json=as_json)


@program.command()
def watch(
    name: Annotated[str | None, typer.Argument(help="One camera; all unless given.", show_default=False)] = None,
    seconds: Annotated[float, typer.Option("--for", min=0, help="End after so long; 0 goes on until ctrl-c.")] = 0,
    as_json: Json = False,
) -> None:
    """Tell of events as they happen: who came, where. A server must be running."""
    begun = time.monotonic()
    since = int(time.time() * 1000)
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
        try:
            while not seconds or time.monotonic() - begun < seconds:
                for event in reversed(_news(app, caller, cameras, since)):
                    state = (event.open, event.sightings)
                    if told.get(event.id) != state:
                        told[event.id] = state
                        _tell(event, cameras[event.camera], as_json=as_json)
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
        print_json(
            {
                "event": event.id,
                "camera": camera.name,
                "from": _at(event.start),
                "to": _at(event.end),
                "open": event.open,
                "zone": event.zone,
                "people": people,
                "unknown": unknown,
            }
        )
        return
    who_came = ", ".join(people + ([f"{unknown} unknown"] if unknown else [])) or "somebody or something"
    place = f" at {event.zone}" if event.zone else ""
    end = "" if event.open else f" until {_at(event.end)}"
    console.print(f"{_at(event.start)}{end}  {camera.name}{place}: {who_came}", highlight=False, markup=False)


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
    span = Span(int(first.timestamp() * 1000), int(last.timestamp() * 1000))
    with installation() as app, progress_bar(quiet=as_json) as bar:
        made = app.exports.export(
            who(app), name, span, output, blurred=blur, progress=lambda done, of: bar("encoding", done, of)
        )
    told = {
        "path": str(made.path),
        "asked": [_at(made.asked.start), _at(made.asked.end)],
        "real": [_at(made.real.start), _at(made.real.end)],
        "bytes": made.size,
        "sha256": made.sha256,
        "as_recorded": not made.derivative,
        "blurred": made.blurred,
    }
    how = "encoded anew" if made.derivative else "as it was recorded"
    print_done(told, f"{made.path.name}: {_at(made.real.start)} to {_at(made.real.end)}, {how}.", as_json=as_json)


def _parts(usage: Usage) -> tuple[tuple[str, Kept], ...]:
    return (
        ("continuous", usage.continuous),
        ("motion", usage.motion),
        ("event", usage.event),
        ("on hold", usage.held),
        ("total", usage.total),
    )


def _row(camera: Camera) -> dict[str, object]:
    return {
        "id": camera.id,
        "name": camera.name,
        "url": _redacted(camera.url),
        "enabled": camera.enabled,
        "records": camera.records,
        "collection": camera.collection,
        "place": camera.place,
        "revision": camera.revision,
    }


def _redacted(url: str) -> str:
    from custodes.cameras.sources import redacted

    return redacted(url) if url else ""


def _at(value: int | None) -> str | None:
    if value is None:
        return None
    return datetime.fromtimestamp(value / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _given(url: str) -> str:
    return typer.get_text_stream("stdin").readline().strip() if url == "-" else url


def _with_credentials(url: str, user: str, password_file: Path | None) -> str:
    """Return a URL with user name and password in it.

    Raises:
        Invalid: if it has some already, or the file can't be read.
    """
    if not user and password_file is None:
        return url
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise Invalid("The URL names a user already.", remedy="Leave out --user, or the user in the URL.")
    password = password_of(password_file)
    return urlunsplit(parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{parts.netloc}"))


def _place(text: str | None) -> tuple[float, float] | None:
    if not text:
        return None
    try:
        latitude, longitude = (float(part) for part in text.split(","))
    except ValueError as e:
        raise typer.BadParameter("A place is written as latitude and longitude: 47.61,-122.33.") from e
    return latitude, longitude
