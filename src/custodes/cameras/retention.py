# SPDX-License-Identifier: Apache-2.0
"""What recorded video is kept, and what is due to be deleted. Pure: no files, no database, no clock.

A file is event video if it has a moment of an event, or of the time that is kept before and after one; motion video if
it has one of a motion; continuous video otherwise. It goes when its kind's days are over. Where that leaves too much,
the oldest of the cheapest kind goes first. What is on hold, because somebody has shared it, stays.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from custodes.cameras.model import Camera, Segment, Span

__all__ = ["Kept", "Kind", "Usage", "due", "kinds", "usage"]

_DAY = 86_400_000  # milliseconds
_GIGABYTE = 1_000_000_000
_SETTLED = 60_000  # milliseconds after which it is known of what kind a file is


class Kind(StrEnum):
    """What a file of video is kept for; the cheapest first."""

    CONTINUOUS = "continuous"
    MOTION = "motion"
    EVENT = "event"


_CHEAPEST = {kind: n for n, kind in enumerate(Kind)}


@dataclass(frozen=True, slots=True)
class Kept:
    """What there is of a kind.

    Attributes:
        files: how many.
        size: of them all, in bytes.
        oldest, newest: beginning of the first and end of the last, milliseconds since 1970; None if there is none.
    """

    files: int = 0
    size: int = 0
    oldest: int | None = None
    newest: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What is really on the disk of a camera: of each kind, what is on hold (of all kinds), and all together."""

    continuous: Kept
    motion: Kept
    event: Kept
    held: Kept
    total: Kept

    def of(self, kind: Kind) -> Kept:
        """Return what there is of a kind."""
        return {Kind.CONTINUOUS: self.continuous, Kind.MOTION: self.motion, Kind.EVENT: self.event}[kind]


def kinds(
    segments: Sequence[Segment], motions: Iterable[Span], events: Iterable[Span], camera: Camera
) -> tuple[Kind, ...]:
    """Tell of what kind each file is.

    Args:
        segments: of the camera, in any order.
        motions: when something moved; what still does has now for its end.
        events: when there were events; what goes on has now for its end.
        camera: whose; it tells how much before and after is kept with them.
    """
    before, after = round(camera.pre_roll * 1000), round(camera.post_roll * 1000)
    of_events, of_motions = (_Covered(s.widened(before, after) for s in spans) for spans in (events, motions))
    return tuple(
        Kind.EVENT if of_events.touch(s) else Kind.MOTION if of_motions.touch(s) else Kind.CONTINUOUS for s in segments
    )


def due(
    segments: Sequence[Segment],
    motions: Iterable[Span],
    events: Iterable[Span],
    camera: Camera,
    holds: Iterable[Span],
    now: int,
    excess: int,
) -> tuple[Segment, ...]:
    """Tell which files are to be deleted, in the order in which they go.

    A file is a minute (and the time that is kept before motion) old before its days count: until then it isn't known
    what it belongs to.

    Args:
        segments: complete files of the camera, in any order.
        motions, events, camera: as for :func:`kinds`.
        holds: what stays, whatever is said here.
        now: milliseconds since 1970.
        excess: bytes that the disk lacks.
    """
    days = camera.retention.continuous_days, camera.retention.motion_days, camera.retention.event_days
    age = {kind: round(d * _DAY) for kind, d in zip(Kind, days, strict=True)}
    settled = now - _SETTLED - round(camera.pre_roll * 1000)
    held = _Covered(holds)
    rated = sorted(zip(segments, kinds(segments, motions, events, camera), strict=True), key=lambda r: r[0].start)
    free = [(s, kind) for s, kind in rated if not held.touch(s)]
    old = [s for s, kind in free if s.end <= min(now - age[kind], settled)]
    gone = {s.start for s in old}
    freed = sum(s.size for s in old)
    most = round(camera.retention.gigabytes * _GIGABYTE)
    lacking = max(excess - freed, sum(s.size for s in segments) - freed - most if most else 0)
    for s, _ in sorted(free, key=lambda r: _CHEAPEST[r[1]]):  # stable: the oldest of a kind first
        if lacking <= 0:
            break
        if s.start not in gone:
            old.append(s)
            lacking -= s.size
    return tuple(old)


def usage(
    segments: Sequence[Segment],
    motions: Iterable[Span],
    events: Iterable[Span],
    camera: Camera,
    holds: Iterable[Span] = (),
) -> Usage:
    """Tell what is on the disk of a camera; arguments as for :func:`due`."""
    rated = tuple(zip(segments, kinds(segments, motions, events, camera), strict=True))
    held = _Covered(holds)
    continuous, motion, event = (_kept(s for s, k in rated if k == kind) for kind in Kind)
    return Usage(continuous, motion, event, _kept(s for s in segments if held.touch(s)), _kept(segments))


def _kept(segments: Iterable[Segment]) -> Kept:
    mine = list(segments)
    if not mine:
        return Kept()
    return Kept(len(mine), sum(s.size for s in mine), min(s.start for s in mine), max(s.end for s in mine))


class _Covered:
    """Stretches of time, put together, so that it is quickly told whether one of them touches a file."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for span in sorted(spans, key=lambda s: s.start):
            if self._ends and span.start <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], span.end)
            else:
                self._starts.append(span.start)
                self._ends.append(span.end)

    def touch(self, segment: Segment) -> bool:
        """Tell whether one has a moment in common with a file."""
        at = bisect_left(self._starts, segment.end)  # those that begin before its end
        return at > 0 and self._ends[at - 1] > segment.start
