# SPDX-License-Identifier: Apache-2.0
"""Adding a camera, its settings, its end; and what of all cameras' video is really on the disk.

Where a camera's video comes from is a secret, with a name and a password in it: it is typed here, and never shown again
but for what of it is none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from fastapi import APIRouter, Response

from custodes.api.console.filming import CameraId
from custodes.api.console.pages.cameras import shown
from custodes.api.console.reading import Misread, beside, whole
from custodes.api.console.visits import Visit, Visitor
from custodes.cameras.doctor import Finding
from custodes.cameras.finding import Found
from custodes.cameras.model import Camera, Retention
from custodes.cameras.retention import Kept, Kind
from custodes.cameras.sources import redacted
from custodes.errors import Conflict, CustodesError, Invalid, NotFound
from custodes.governance import Caller, Role
from custodes.operations.cameras import CameraUsage

__all__ = ["new_page", "router", "settings_page"]

router = APIRouter(prefix="/console/cameras")

_HERE = "/console/cameras"
_STORAGE = f"{_HERE}/storage"
_LIBRARY: Final = "library"
_AS_IT_IS: Final = "as-it-is"
_DAY: Final = 86_400_000
_LEAST: Final = 3_600_000  # milliseconds of video from which a day's is estimated
_NUMBERS = {
    "continuous_days": "Everything is kept for",
    "motion_days": "Video in which something moves is kept for",
    "event_days": "Video of events is kept for",
    "gigabytes": "The size is",
    "pre_roll": "Before motion there are kept",
    "post_roll": "After motion there are kept",
}
_FIELDS = ("name", "url", "substream", "latitude", "longitude", "recognises", *_NUMBERS)


def _number(field: str, text: str) -> float:
    """Read a number that isn't negative.

    Raises:
        Misread: if it is none.
    """
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise Misread(field, f"{_NUMBERS[field]} a number, 0 or more.")
    return value


def _place(visit: Visit) -> tuple[float, float] | None:
    """Read a place; None if there is none.

    Raises:
        Misread: if it can't be one.
    """
    texts = {n: visit.text(n) for n in ("latitude", "longitude")}
    if not any(texts.values()):
        return None
    found = []
    for (field, text), most in zip(texts.items(), (90, 180), strict=True):
        try:
            value = float(text.replace(",", "."))
        except ValueError:
            value = math.nan
        if not abs(value) <= most:
            raise Misread(
                field, f"A {field} lies between -{most} and {most} degrees.", remedy="Leave both empty for none."
            )
        found.append(value)
    return found[0], found[1]


def _retention(visit: Visit) -> Retention:
    """Read how long video is kept.

    Raises:
        Misread: if that can't be meant.
    """
    days = [_number(n, visit.text(n)) for n in ("continuous_days", "motion_days", "event_days", "gigabytes")]
    try:
        return Retention(*days)
    except Invalid as e:
        raise Misread("event_days", e.message) from e


def _collection(visit: Visit, caller: Caller, before: str) -> str:
    """Return the name of the collection whose people are recognised; the library is made if there is none.

    Raises:
        Misread: if it isn't one of the choices.
        Denied: if a rule forbids making it.
        Invalid: if the session's purpose isn't that of cameras.
    """
    chosen = visit.text("recognises")
    if chosen == _LIBRARY:
        return visit.console.app.library.ensure(caller)
    if chosen not in ("", _AS_IT_IS):
        raise Misread("recognises", "Choose whom it recognises.")
    return before if chosen else ""


def _choices(visit: Visit, caller: Caller, now: str) -> tuple[list[tuple[str, str]], str]:
    """Return whom a camera may recognise, and what holds now."""
    try:
        library = visit.console.app.library.of(caller).name
    except NotFound:
        library = ""
    choices = [("", "Nobody"), (_LIBRARY, "Our people, who have agreed to it")]
    if now and now != library:
        return [*choices, (_AS_IT_IS, f"As it is: the people of {now}")], _AS_IT_IS
    return choices, _LIBRARY if now else ""


# --- adding ---


async def new_page(
    visit: Visit,
    error: CustodesError | None = None,
    *,
    found: Sequence[Found] | None = None,
    findings: Sequence[Finding] = (),
    typed: bool = False,
) -> Response:
    """Show the form for a new camera.

    Args:
        visit: of whoever adds one.
        error: what is wrong with what was typed, or None.
        found: cameras that answered in the local network; None if nobody was asked.
        findings: what was found of the one that is typed.
        typed: whether the form shows what was typed though nothing is wrong.
    """
    caller, again = visit.caller(), typed or error is not None
    choices, _ = await visit.quick(lambda: _choices(visit, caller, ""))
    values = {
        "choices": choices,
        "typed": {n: visit.text(n) for n in _FIELDS if n != "url"} | {"url": visit.text("url") if again else ""},
        "records": not visit.text("name") or visit.has("records") if again else True,
        "found": found,
        "findings": findings,
        "files": bool(visit.console.app.config.cameras.files),
        "error": error,
        "errors": beside(error),
    }
    return visit.page("camera_new.html.j2", shown(visit, "", values), status=200 if error is None else 400)


@router.get("/new")
async def ask(visit: Visitor) -> Response:
    """Show the form for a new camera."""
    return await new_page(visit)


@router.post("")
async def add(visit: Visitor) -> Response:
    """Add a camera."""
    app, caller = visit.console.app, visit.caller()
    try:
        if not visit.text("url"):
            raise Misread("url", "Say where its video comes from.")
        place = _place(visit)
        made: Camera = await visit.quick(
            lambda: app.cameras.add(
                caller,
                visit.text("name"),
                visit.text("url"),
                substream=visit.text("substream"),
                place=place,
                collection=_collection(visit, caller, ""),
                records=visit.has("records"),
            )
        )
    except (Invalid, Conflict) as error:
        return await new_page(visit, error)
    return visit.done(f"{_HERE}/{made.id}", f"{made.name} is added, and read from now on.")


# --- settings ---


def _typed(camera: Camera, chosen: str) -> dict[str, str]:
    """Return a camera's settings as the form shows them; no secrets."""
    kept = camera.retention
    numbers = {
        "continuous_days": kept.continuous_days,
        "motion_days": kept.motion_days,
        "event_days": kept.event_days,
        "gigabytes": kept.gigabytes,
        "pre_roll": camera.pre_roll,
        "post_roll": camera.post_roll,
    }
    latitude, longitude = camera.place or ("", "")
    texts = {"name": camera.name, "url": "", "substream": "", "recognises": chosen}
    return texts | {n: f"{v:g}" for n, v in numbers.items()} | {"latitude": f"{latitude}", "longitude": f"{longitude}"}


async def settings_page(
    visit: Visit, camera: str, error: CustodesError | None = None, *, findings: Sequence[Finding] = ()
) -> Response:
    """Show the settings of a camera.

    Args:
        visit: of whoever looks at them.
        camera: which.
        error: what is wrong with what was typed, or None.
        findings: what was found of it when it was looked at.

    Raises:
        NotFound: if there is none.
    """
    app, caller = visit.console.app, visit.caller()

    def read() -> tuple[Camera, tuple[list[tuple[str, str]], str]]:
        found = app.cameras.get(caller, camera)
        return found, _choices(visit, caller, found.collection)

    found, (choices, chosen) = await visit.quick(read)
    typed = _typed(found, chosen)
    again = error is not None or bool(findings)
    if again:
        typed |= {n: visit.text(n) for n in _FIELDS}
    ticked = {"enabled": found.enabled, "records": found.records, "no_substream": False}
    changes = Role.ADMIN in visit.session.roles  # nobody else is told where its video comes from
    values = {
        "camera": found,
        "source": redacted(found.url) if changes else "",
        "second": redacted(found.substream) if changes and found.substream else "",
        "choices": choices,
        "typed": typed,
        "ticked": {n: visit.has(n) for n in ticked} if again else ticked,
        "revision": visit.text("revision") or found.revision,
        "findings": findings,
        "pushes": found.url.startswith("rtmp:"),
        "error": error,
        "errors": beside(error),
    }
    return visit.page("camera_settings.html.j2", shown(visit, "settings", values), status=200 if error is None else 400)


@router.get("/{camera}/settings")
async def settings(visit: Visitor, camera: CameraId) -> Response:
    """Show the settings of a camera."""
    return await settings_page(visit, camera)


def _changed(visit: Visit, caller: Caller, camera: Camera) -> Camera:
    """Return a camera with the settings that were typed; secrets that weren't typed stay.

    Raises:
        Invalid: if a value can't be meant.
        Denied: if a rule forbids making the library.
    """
    revision = whole("revision", visit.text("revision"), "A revision is", 0, 2**53)
    second = "" if visit.has("no_substream") else visit.text("substream") or camera.substream
    return replace(
        camera,
        revision=revision,
        name=visit.text("name"),
        url=visit.text("url") or camera.url,
        substream=second,
        enabled=visit.has("enabled"),
        records=visit.has("records"),
        retention=_retention(visit),
        pre_roll=_number("pre_roll", visit.text("pre_roll")),
        post_roll=_number("post_roll", visit.text("post_roll")),
        collection=_collection(visit, caller, camera.collection),
        place=_place(visit),
    )


@router.post("/{camera}/settings")
async def change(visit: Visitor, camera: CameraId) -> Response:
    """Change the settings of a camera."""
    app, caller = visit.console.app, visit.caller()
    try:
        await visit.quick(lambda: app.cameras.change(caller, _changed(visit, caller, app.cameras.get(caller, camera))))
    except (Invalid, Conflict) as error:
        return await settings_page(visit, camera, error)
    return visit.done(f"{_HERE}/{camera}/settings", "The settings are kept, and hold from now on.")


@router.post("/{camera}/remove")
async def remove(visit: Visitor, camera: CameraId) -> Response:
    """Remove a camera with its events and all its video, once its name is typed."""
    app, caller, again = visit.console.app, visit.caller(), visit.text("again")
    found: Camera = await visit.quick(lambda: app.cameras.get(caller, camera))
    if again != found.name:
        wrong = Misread("again", f"To remove it, type its name: {found.name}.")
        return await settings_page(visit, camera, wrong)
    await visit.quick(lambda: app.cameras.remove(caller, camera))
    return visit.done(_HERE, f"{found.name} is removed, with its events and all its video.")


# --- what is on the disk ---


@dataclass(frozen=True, slots=True)
class _Line:
    """Video of a kind: what there is of it, how long it is kept, and how many bytes a day brings, if known."""

    kind: Kind
    kept: Kept
    days: float
    daily: float | None


def _lines(of: CameraUsage) -> Iterator[_Line]:
    kept = of.camera.retention
    days: Mapping[Kind, float] = {
        Kind.CONTINUOUS: kept.continuous_days,
        Kind.MOTION: kept.motion_days,
        Kind.EVENT: kept.event_days,
    }
    whole_time = (of.usage.total.newest or 0) - (of.usage.total.oldest or 0)
    for kind, wanted in days.items():
        found = of.usage.of(kind)
        age = min(whole_time, wanted * _DAY)
        yield _Line(kind, found, wanted, found.size * _DAY / age if age >= _LEAST else None)


def _settles(of: CameraUsage, lines: tuple[_Line, ...]) -> float | None:
    """Return at how many bytes a camera's video will settle if it goes on so; None if that isn't known yet."""
    if any(line.daily is None for line in lines if line.kept.size):
        return None
    size = sum((line.daily or 0) * line.days for line in lines)
    most = of.camera.retention.gigabytes * 1e9
    return min(size, most) if most else size


@router.get("/storage")
async def storage(visit: Visitor) -> Response:
    """Show what is really on the disk, by camera and kind, and for how long there is room."""
    app, caller = visit.console.app, visit.caller()
    found: tuple[CameraUsage, ...] = await visit.quick(lambda: app.cameras.usage(caller))
    cameras = [(u, lines, _settles(u, lines)) for u in found for lines in [tuple(_lines(u))]]
    expected = [s for _, _, s in cameras if s is not None]
    held = sum(u.usage.total.size for u in found)
    values = {
        "cameras": cameras,
        "held": held,
        "free": found[0].free if found else 0,
        "total": found[0].total if found else 0,
        "missing": max(0.0, sum(expected) - held - found[0].free) if found and len(expected) == len(found) else None,
        "least": app.config.cameras.free_bytes,
        "changes": Role.ADMIN in visit.session.roles,
    }
    return visit.page("camera_storage.html.j2", shown(visit, _STORAGE, values))
