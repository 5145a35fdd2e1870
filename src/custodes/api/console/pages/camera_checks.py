# SPDX-License-Identifier: Apache-2.0
"""What helps to set up a camera: who answers in the local network, and what a camera gives, before it is kept or after.

Both are for those who set up cameras, and take seconds: threads of their own do them, one of each person's at once.
Nothing is kept of them; what is told of a camera is made of numbers, and holds nothing that the camera says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from fastapi import APIRouter, Response

from custodes.api.console.filming import CameraId
from custodes.api.console.pages.camera_settings import new_page, settings_page
from custodes.api.console.reading import Misread
from custodes.api.console.visits import Visit, Visitor
from custodes.cameras.doctor import Finding, examine
from custodes.cameras.finding import Found, discover
from custodes.cameras.model import Camera, Retention
from custodes.cameras.sources import parse_source
from custodes.errors import Denied, Invalid, Unavailable

__all__ = ["router"]

router = APIRouter(prefix="/console/cameras")

T = TypeVar("T")


async def _looked(visit: Visit, work: Callable[[], T]) -> T:
    """Do what takes seconds, for somebody who may set up cameras.

    Raises:
        Denied: if they may not.
        Throttled: if another of theirs is going on, or too many wait.
    """
    app, caller = visit.console.app, visit.caller()
    if not await visit.quick(lambda: app.cameras.is_set_up_by(caller)):
        raise Denied("Cameras are set up by administrators.", remedy="Ask an administrator of yours.")
    return await visit.console.gate.checks.run(work, owner=visit.session.principal)


@router.post("/new/find")
async def find(visit: Visitor) -> Response:
    """Ask the local network who is there (ONVIF), and show the form for a new camera with who answered."""
    try:
        found: tuple[Found, ...] = await _looked(visit, discover)
    except Unavailable as error:
        return await new_page(visit, error)
    return await new_page(visit, found=found, typed=True)


@router.post("/new/check")
async def check_new(visit: Visitor) -> Response:
    """Look at what a camera gives whose address was typed, and show the form as it was with what was found."""
    url, second = visit.text("url"), visit.text("substream")
    try:
        if not url:
            raise Misread("url", "Say where its video comes from.")
        findings = await _looked(visit, lambda: _examined(visit, url, second, Retention().continuous_days))
    except Invalid as error:
        return await new_page(visit, error)
    return await new_page(visit, findings=findings, typed=True)


@router.post("/{camera}/check")
async def check(visit: Visitor, camera: CameraId) -> Response:
    """Look at what a camera gives as it is set up, and show its settings with what was found."""
    app, caller = visit.console.app, visit.caller()
    found: Camera = await visit.quick(lambda: app.cameras.get(caller, camera))
    try:
        days = found.retention.continuous_days
        findings = await _looked(visit, lambda: _examined(visit, found.url, found.substream, days))
    except Invalid as error:
        return await settings_page(visit, camera, error)
    return await settings_page(visit, camera, findings=findings)


def _examined(visit: Visit, url: str, second: str, days: float) -> tuple[Finding, ...]:
    """Look at a camera for some seconds.

    Raises:
        Misread: if its address can't be meant, or no camera may be there.
    """
    config = visit.console.app.config
    settings = config.cameras
    for field, told in (("url", url), ("substream", second)):
        try:
            if told:
                parse_source(told, settings.files, config.server.port)
        except Invalid as e:
            raise Misread(field, e.message, remedy=e.remedy) from e
    return examine(
        url,
        second,
        file_root=settings.files,
        folder=config.video,
        free_bytes=settings.free_bytes,
        days=days,
        most_pixels=settings.most_pixels,
    ).findings
