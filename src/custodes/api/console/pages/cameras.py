# SPDX-License-Identifier: Apache-2.0
"""Cameras as they are now: a grid of live views, and one of them large.

A live view is an entry of the ledger when its WebSocket begins (:mod:`custodes.api.live`); the pages alone show none.
"""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Response

from custodes.api.console.filming import CameraId, clock, moment, size, state_told
from custodes.api.console.visits import Visit, Visitor
from custodes.cameras.model import Camera
from custodes.governance import Role

__all__ = ["router", "shown"]

router = APIRouter(prefix="/console/cameras")

_HERE = "/console/cameras"
_TABS = (
    (_HERE, "Live"),
    (f"{_HERE}/events", "Events"),
    (f"{_HERE}/people", "Known people"),
    (f"{_HERE}/storage", "Storage"),
    (f"{_HERE}/requests", "Requests"),
    (f"{_HERE}/shares", "Shared"),
)
"""In their order; what has no page isn't shown."""


def shown(visit: Visit, tab: str, values: Mapping[str, object]) -> dict[str, object]:
    """Return what a page about cameras shows, with what its frame needs.

    Args:
        visit: of whoever looks.
        tab: where in the tabs it is; of a camera's own pages the last part of their path.
        values: what it shows.
    """
    frame: dict[str, object] = {
        "tabs": [t for t in _TABS if t[0] in visit.console.paths],
        "tab": tab,
        "manages": Role.ADMIN in visit.session.roles,
        "moment": moment,
        "clock": clock,
        "size": size,
    }
    return frame | dict(values)


@router.get("")
async def cameras(visit: Visitor) -> Response:
    """Show all cameras at once."""
    app, caller = visit.console.app, visit.caller()
    found: tuple[Camera, ...] = await visit.quick(lambda: app.cameras.list(caller))
    values = {"cameras": [(c, state_told(app.live.state(c.id))) for c in found]}
    return visit.page("cameras.html.j2", shown(visit, _HERE, values))


@router.get("/{camera}")
async def camera(visit: Visitor, camera: CameraId) -> Response:
    """Show one camera, large."""
    app, caller = visit.console.app, visit.caller()
    found: Camera = await visit.quick(lambda: app.cameras.get(caller, camera))
    values = {"camera": found, "state": state_told(app.live.state(camera))}
    return visit.page("camera_view.html.j2", shown(visit, "live", values))


@router.get("/{camera}/snapshot.jpg")
async def snapshot(visit: Visitor, camera: CameraId) -> Response:
    """Hand out the newest picture that was recorded, masks black; that it is looked at is an entry."""
    app, caller = visit.console.app, visit.caller()
    data: bytes = await visit.console.gate.stills.run(
        lambda: app.exports.still(caller, camera), owner=visit.session.principal
    )
    return Response(data, media_type="image/jpeg")
