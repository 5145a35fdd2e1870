# SPDX-License-Identifier: Apache-2.0
"""How cameras are told at the command line: whether they record, their settings, and what of their video is there.

Where a camera's video comes from is for who sets it up; no account in it is ever told. The server alone knows whether
a camera is connected, so that the newest video on the disk tells of it here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from custodes.cameras.moments import from_ms, written
from custodes.cli.output import print_json, print_rows, print_table

if TYPE_CHECKING:
    from custodes.cameras.model import Camera, Segment
    from custodes.cameras.retention import Usage

__all__ = ["at", "print_camera", "row", "settings", "state", "usage"]

_FRESH = 45
"""Seconds since the newest video for which a camera counts as recording: the file being written isn't known yet."""
_SECONDS = ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
_UNITS = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def at(value: int | None) -> str | None:
    """Return a time, milliseconds since 1970, as it is printed."""
    if value is None:
        return None
    return written(from_ms(value))


def state(camera: Camera, last: Segment | None) -> str:
    """Say whether a camera records, as far as the disk tells."""
    if not camera.enabled:
        return "paused"
    if not camera.records:
        return "doesn't record"
    if last is None:
        return "no video yet"
    ago = max(0, round(time.time() - last.end / 1000))
    told = f"last video {_ago(ago)} ago"
    if ago <= _FRESH:
        return f"recording, {told}"
    return f"no video since then, {told}" if camera.retention.continuous_days else told


def _ago(seconds: int) -> str:
    length, unit = next(((length, unit) for length, unit in _SECONDS if seconds >= length), _SECONDS[-1])
    return _many(seconds // length, unit)


def _many(count: float, unit: str) -> str:
    return f"{count:g} {unit}{'' if count == 1 else 's'}"


def row(camera: Camera, *, urls: bool = True) -> dict[str, object]:
    """Return what is told of a camera everywhere."""
    return {
        "id": camera.id,
        "name": camera.name,
        "url": _redacted(camera.url) if urls else None,
        "enabled": camera.enabled,
        "records": camera.records,
        "collection": camera.collection,
        "place": camera.place,
        "revision": camera.revision,
    }


def settings(camera: Camera, *, urls: bool = True) -> dict[str, object]:
    """Return all settings of a camera."""
    return row(camera, urls=urls) | {
        "substream": _redacted(camera.substream) if urls else None,
        "zones": [{"name": z.name, "kind": str(z.spot), "points": z.points} for z in camera.zones],
        "zones_only": camera.zones_only,
        "pre_roll": camera.pre_roll,
        "post_roll": camera.post_roll,
        "days": {
            "continuous": camera.retention.continuous_days,
            "motion": camera.retention.motion_days,
            "event": camera.retention.event_days,
        },
        "gigabytes": camera.retention.gigabytes,
    }


def usage(used: Usage) -> list[dict[str, object]]:
    """Return what of a camera's video is on the disk, a row for each kind."""
    kinds = {
        "continuous": used.continuous,
        "motion": used.motion,
        "event": used.event,
        "on hold": used.held,
        "total": used.total,
    }
    return [
        {"kind": kind, "bytes": kept.size, "oldest": at(kept.oldest), "newest": at(kept.newest)}
        for kind, kept in kinds.items()
    ]


def print_camera(told: Mapping[str, object], camera: Camera, used: Usage, free: int, *, as_json: bool) -> None:
    """Print all of a camera: as JSON, or in words and units."""
    if as_json:
        print_json(dict(told) | {"video": usage(used), "disk_free": free})
        return
    days, most = camera.retention, camera.retention.gigabytes
    video = f"continuous {_days(days.continuous_days)}, motion {_days(days.motion_days)}, events "
    pairs = [
        ("Name", camera.name),
        ("Camera", camera.id),
        ("State", told["state"]),
        ("From", told["url"]),
        ("Small pictures from", told["substream"] or None),
        ("Recognises", f"the people of {camera.collection}" if camera.collection else "nobody"),
        ("Place", "{}, {}".format(*camera.place) if camera.place else "none: no request is matched with it"),
        ("Video is kept", video + _days(days.event_days)),
        ("At most", f"{most:g} GB" if most else "as the disk allows"),
        ("Around motion", f"{camera.pre_roll:g} s before, {camera.post_roll:g} s after"),
        *((f"{'Mask' if z.spot == 'mask' else 'Zone'} {z.name}", f"{len(z.points)} corners") for z in camera.zones),
        *([("Elsewhere", "motion counts for nothing")] if camera.zones_only else []),
        ("Free on the disk", _size(free)),
    ]
    print_table(("Setting", "Value"), [pair for pair in pairs if pair[1] is not None])
    rows = [kept | {"bytes": _size(int(str(kept["bytes"])))} for kept in usage(used)]
    print_rows(rows, {"kind": "Video", "bytes": "Size", "oldest": "From", "newest": "To"}, as_json=False)


def _days(count: float) -> str:
    return _many(count, "day")


def _size(count: int) -> str:
    for unit, name in _UNITS:
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count} bytes"


def _redacted(url: str) -> str:
    from custodes.cameras.sources import redacted  # here, so that --help doesn't wait

    return redacted(url) if url else ""
