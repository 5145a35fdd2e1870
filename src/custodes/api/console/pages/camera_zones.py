# SPDX-License-Identifier: Apache-2.0
"""Zones and privacy masks of a camera: polygons on its picture, drawn with a script or typed as corners.

A corner is typed as two percentages, of the picture's width and height from its upper left corner; one a line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from fastapi import APIRouter, Response

from custodes.api.console.filming import CameraId
from custodes.api.console.pages.cameras import shown
from custodes.api.console.reading import Misread, beside, known, whole
from custodes.api.console.visits import Visit, Visitor
from custodes.cameras.model import Camera, Point, Spot, Zone, camera_name
from custodes.errors import CustodesError, Invalid

__all__ = ["router"]

router = APIRouter(prefix="/console/cameras")

_HERE = "/console/cameras"
_KEY = re.compile(r"[a-z0-9]{1,8}")
_MOST = 16
_PAIR = re.compile(r"[\s,;]+")
_SPOTS = ((Spot.ZONE, "Zone"), (Spot.MASK, "Privacy mask"))


@dataclass(frozen=True, slots=True)
class _Row:
    """A zone as it stands in the form."""

    key: str
    name: str = ""
    spot: str = Spot.ZONE
    corners: str = ""
    gone: bool = False


def _corners(points: Iterable[Point]) -> str:
    return "\n".join(f"{x * 100:.1f} {y * 100:.1f}" for x, y in points)


def _points(row: _Row) -> tuple[Point, ...]:
    """Read corners.

    Raises:
        Misread: if a line isn't one.
    """
    found: list[Point] = []
    for line in filter(None, map(str.strip, row.corners.splitlines())):
        try:
            x, y = (float(part) / 100 for part in _PAIR.split(line))
        except ValueError:
            x = y = math.nan
        if not (0 <= x <= 1 and 0 <= y <= 1):
            raise Misread(
                f"corners-{row.key}", f"A corner is a line with two percentages, such as 12.5 80; got {line[:40]!r}."
            )
        found.append((x, y))
    return tuple(found)


def _zone(row: _Row) -> Zone:
    """Read a zone.

    Raises:
        Misread: if it can't be meant.
    """
    spot = known(f"spot-{row.key}", row.spot, Spot, "what it is")
    points = _points(row)
    try:
        name = camera_name(row.name)
    except Invalid as e:
        raise Misread(f"name-{row.key}", e.message, remedy=e.remedy) from e
    try:
        return Zone(name, points, spot)
    except Invalid as e:
        raise Misread(f"corners-{row.key}", e.message) from e


def _rows(visit: Visit) -> tuple[_Row, ...]:
    """Read the form's rows; one without a name and corners was left empty.

    Raises:
        Misread: if the form is none of ours.
    """
    keys = visit.texts("zone")
    if len(set(keys)) < len(keys) or len(keys) > 4 * _MOST or not all(map(_KEY.fullmatch, keys)):
        raise Misread("zone", "The form can't be meant.", remedy="Load the page again.")
    rows = [
        _Row(k, visit.text(f"name-{k}"), visit.text(f"spot-{k}"), visit.text(f"corners-{k}"), visit.has(f"gone-{k}"))
        for k in keys
    ]
    return tuple(_named([r for r in rows if r.name or r.corners]))


def _named(rows: Sequence[_Row]) -> Iterator[_Row]:
    """Yield rows with a name each: who gives none gets the first that is free, such as Zone 1 or Mask 2."""
    taken = {r.name.lower() for r in rows}
    for row in rows:
        name = row.name
        if not name:
            word = "Mask" if row.spot == Spot.MASK else "Zone"
            name = next(n for n in (f"{word} {i}" for i in range(1, len(rows) + 2)) if n.lower() not in taken)
            taken.add(name.lower())
        yield replace(row, name=name)


async def _page(
    visit: Visit,
    camera: str,
    rows: Sequence[_Row] | None = None,
    *,
    zones_only: bool | None = None,
    error: CustodesError | None = None,
) -> Response:
    app, caller = visit.console.app, visit.caller()
    found: Camera = await visit.quick(lambda: app.cameras.get(caller, camera))
    state = app.live.state(camera)
    if rows is None:
        rows = [_Row(f"z{i}", z.name, z.spot, _corners(z.points)) for i, z in enumerate(found.zones)]
    values = {
        "camera": found,
        "rows": rows,
        "spare": _Row("new"),
        "spots": _SPOTS,
        "most": _MOST,
        "zones_only": found.zones_only if zones_only is None else zones_only,
        "ratio": (state.width or 16, state.height or 9),
        "revision": visit.text("revision") or found.revision,
        "error": error,
        "errors": beside(error),
    }
    return visit.page("camera_zones.html.j2", shown(visit, "zones", values), status=200 if error is None else 400)


@router.get("/{camera}/zones")
async def zones(visit: Visitor, camera: CameraId) -> Response:
    """Show the editor."""
    return await _page(visit, camera)


@router.post("/{camera}/zones")
async def draw(visit: Visitor, camera: CameraId) -> Response:
    """Keep zones and masks as they were drawn."""
    app, caller = visit.console.app, visit.caller()
    rows, zones_only = _rows(visit), visit.has("zones_only")
    try:
        revision = whole("revision", visit.text("revision"), "A revision is", 0, 2**53)
        drawn = tuple(_zone(r) for r in rows if not r.gone)

        def keep() -> Camera:
            read = app.cameras.get(caller, camera)
            changed: Camera = app.cameras.change(
                caller, replace(read, zones=drawn, zones_only=zones_only, revision=revision)
            )
            return changed

        await visit.quick(keep)
    except Invalid as error:
        return await _page(visit, camera, rows, zones_only=zones_only, error=error)
    return visit.done(f"{_HERE}/{camera}/zones", "Zones and masks are kept, and hold from now on.")
