# SPDX-License-Identifier: Apache-2.0
"""What pages about cameras share: how cameras are, in words; moments of video; and parts of their paths.

Moments are shown in UTC by the server; a script shows them by the viewer's own clock, with what lies between the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Final

from fastapi import Path
from markupsafe import Markup

from custodes.cameras.model import Event
from custodes.cameras.moments import from_ms, written
from custodes.operations.cameralive import CameraState

__all__ = [
    "CAMERA",
    "HARDLY",
    "CameraId",
    "DayName",
    "EventId",
    "clock",
    "day_name",
    "moment",
    "size",
    "state_told",
    "who",
]

CAMERA: Final = r"cam-[0-9a-f]{16}"
"""The form of a camera's id."""

HARDLY: Final = 95.0
"""Whom cameras take for a person above this similarity alone, they hardly ever recognise."""

CameraId = Annotated[str, Path(pattern=rf"^{CAMERA}$")]
"""A camera in a path; one's name is never part of any."""
EventId = Annotated[str, Path(pattern=r"^evt-[0-9a-f]{16}$")]
"""An event in a path."""
DayName = Annotated[date, Path(ge=date(1970, 1, 1), le=date(9999, 12, 30))]
"""A day in a path."""

_WHY: Final[Mapping[str, str]] = {
    "ended": "its video ended",
    "frozen": "it sent no more pictures",
    "refused": "it refuses the name or the password",
    "unreachable": "it can't be reached",
    "unreadable": "what it sends can't be read as video",
}
_TROUBLE: Final[Mapping[str, str]] = {
    "disk-full": "The disk is full: nothing is recorded until there is room.",
    "undecodable": "Its pictures can't be decoded: they are recorded, and nothing is looked for in them.",
    "too-large": "Its pictures are too large to decode: they are recorded, and nothing is looked for in them.",
    "codec": "Its kind of video can't be recorded.",
}
_UNITS: Final = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def state_told(state: CameraState) -> dict[str, object]:
    """Return how a camera is as scripts and pages are told: codes in words, and nothing that changes all the time."""
    return {
        "up": state.up,
        "since": state.since,
        "why": "" if state.up else _WHY.get(state.why, state.why),
        "trouble": [_TROUBLE.get(t, t) for t in state.trouble],
        "mime": state.mime,
        "width": state.width,
        "height": state.height,
    }


def moment(milliseconds: int) -> Markup:
    """Return a moment to the second; a script puts it into the viewer's own time."""
    at = from_ms(milliseconds)
    machine = written(at)
    return Markup('<time datetime="{}" data-moment>{} UTC</time>').format(machine, f"{at:%Y-%m-%d %H:%M:%S}")


def clock(milliseconds: int) -> Markup:
    """Return the time of day of a moment likewise."""
    at = from_ms(milliseconds)
    machine = written(at)
    return Markup('<time datetime="{}" data-moment="clock">{} UTC</time>').format(machine, f"{at:%H:%M:%S}")


def day_name(milliseconds: int) -> str:
    """Return the day (UTC) of a moment, as paths have it."""
    return f"{from_ms(milliseconds):%Y-%m-%d}"


def size(count: int) -> str:
    """Return a number of bytes in the unit that suits it."""
    for unit, name in _UNITS:
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"


def who(event: Event) -> str:
    """Return who was there: the names of those who were recognised, and how many others."""
    known = tuple(dict.fromkeys(s.subject for s in event.sightings if s.subject))
    others = sum(1 for s in event.sightings if not s.subject)
    if known:
        return ", ".join(known) + (f" and {others} unknown" if others else "")
    if others:
        return "Somebody unknown" if others == 1 else f"{others} unknown people"
    return "Something moved"
