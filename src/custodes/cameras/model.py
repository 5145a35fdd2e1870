# SPDX-License-Identifier: Apache-2.0
"""The nouns of cameras: where video comes from, what of it is looked at, how long it is kept.

Times of video are whole milliseconds since 1970 (UTC), by the clock of this machine when a packet arrived. Places in a
picture are ratios of its width and height, 0..1, from the upper left corner. Everything checks itself.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from enum import StrEnum

from custodes.errors import Invalid

__all__ = [
    "Camera",
    "Event",
    "News",
    "NewsKind",
    "Point",
    "Retention",
    "Segment",
    "Sighting",
    "Span",
    "Spot",
    "Zone",
    "camera_name",
]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")
_POLYGON = (3, 32)
_MOST_ZONES = 16
_MOST_DAYS = 3650
_MOST_ROLL = 60.0

Point = tuple[float, float]
"""Ratios of width and height."""


def camera_name(text: str) -> str:
    """Return a camera's (or a zone's) name without spaces around it.

    It begins with a letter or a digit and has no separators of paths; no path is made of it in any case.

    Raises:
        Invalid: if it is none.
    """
    told = text.strip()
    if not _NAME.fullmatch(told) or ".." in told:
        raise Invalid(
            "A name has 1 to 64 letters, digits, spaces, dots, hyphens and underscores, and begins with a letter or a "
            "digit.",
            remedy="Call it front-door, for example.",
        )
    return told


class Spot(StrEnum):
    """What a polygon of a picture is for."""

    ZONE = "zone"  # a place with a name, that events tell
    MASK = "mask"  # a place that is nobody's business: black before anything looks at it


@dataclass(frozen=True, slots=True)
class Zone:
    """A polygon in a camera's picture: a named place, or a privacy mask.

    Attributes:
        name: what people call it.
        points: 3 to 32 corners, as ratios.
        spot: what it is for.
    """

    name: str
    points: tuple[Point, ...]
    spot: Spot = Spot.ZONE

    def __post_init__(self) -> None:
        camera_name(self.name)
        if not _POLYGON[0] <= len(self.points) <= _POLYGON[1]:
            raise Invalid(f"A zone has {_POLYGON[0]} to {_POLYGON[1]} corners, got {len(self.points)}.")
        if not all(math.isfinite(v) and 0 <= v <= 1 for point in self.points for v in point):
            raise Invalid("A zone's corners are ratios of width and height, between 0 and 1.")


@dataclass(frozen=True, slots=True)
class Retention:
    """How long a camera's video is kept.

    What was recorded while something moved counts as motion video, what belongs to an event as event video, anything
    else as continuous video. The oldest of the cheapest kind goes first where the size is reached.

    Attributes:
        continuous_days, motion_days, event_days: days, 0..3650; 0 keeps none but what is being recorded.
        gigabytes: most of all three together, in 10^9 bytes; 0 for as much as the disk takes.
    """

    continuous_days: float = 1.0
    motion_days: float = 7.0
    event_days: float = 14.0
    gigabytes: float = 0.0

    def __post_init__(self) -> None:
        days = (self.continuous_days, self.motion_days, self.event_days)
        if not all(math.isfinite(d) and 0 <= d <= _MOST_DAYS for d in days):
            raise Invalid(f"Video is kept for 0 to {_MOST_DAYS} days.")
        if not self.continuous_days <= self.motion_days <= self.event_days:
            raise Invalid(
                "Event video is kept at least as long as motion video, and that as long as continuous video: one is a "
                "part of the other."
            )
        if not (math.isfinite(self.gigabytes) and self.gigabytes >= 0):
            raise Invalid("The size of a camera's video is 0 (no limit) or more gigabytes.")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time.

    Attributes:
        start, end: milliseconds since 1970; the end is later.
    """

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise Invalid("A stretch of time ends after it begins.")

    def overlaps(self, other: Span) -> bool:
        """Tell whether the two have a moment in common."""
        return self.start < other.end and other.start < self.end

    def widened(self, before: int, after: int) -> Span:
        """Return it with so many milliseconds more on either side."""
        return Span(max(0, self.start - before), self.end + after)


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera and all its settings.

    Attributes:
        id: random (``cam-`` and 16 hexadecimal digits); folders are called by it.
        organisation: whose it is.
        by: the principal on whose behalf it watches: as whom faces are searched for.
        purpose: for what, as the words of the rules call it.
        name: what people call it; unique in the organisation.
        url: where its video comes from, credentials included: a secret.
        substream: a second stream of the same camera with small pictures, to look for motion in; may be empty.
        enabled: whether it runs.
        records: whether its video is kept.
        zones: named places and privacy masks.
        zones_only: whether motion outside the named places counts for nothing.
        retention: how long video is kept.
        pre_roll, post_roll: seconds that are kept before and after motion.
        collection: name of the collection whose people it recognises; empty for nobody.
        place: latitude and longitude in degrees (WGS 84), or None: only where it is stated are requests for footage
            matched with it. It never leaves the house.
        created: milliseconds since 1970.
        revision: rises with each change.
    """

    id: str
    organisation: str
    by: str
    purpose: str
    name: str
    url: str = field(repr=False)
    substream: str = field(default="", repr=False)
    enabled: bool = True
    records: bool = True
    zones: tuple[Zone, ...] = ()
    zones_only: bool = False
    retention: Retention = field(default_factory=Retention)
    pre_roll: float = 5.0
    post_roll: float = 5.0
    collection: str = ""
    place: tuple[float, float] | None = None
    created: int = 0
    revision: int = 1

    def __post_init__(self) -> None:
        camera_name(self.name)
        if len(self.zones) > _MOST_ZONES or len({z.name for z in self.zones}) < len(self.zones):
            raise Invalid(f"A camera has at most {_MOST_ZONES} zones and masks, each with a name of its own.")
        if not all(math.isfinite(r) and 0 <= r <= _MOST_ROLL for r in (self.pre_roll, self.post_roll)):
            raise Invalid(f"Before and after motion 0 to {_MOST_ROLL:g} seconds are kept.")
        if self.place is not None:
            latitude, longitude = self.place
            if not (math.isfinite(latitude) and math.isfinite(longitude)):
                raise Invalid("A place is a latitude and a longitude in degrees.")
            if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
                raise Invalid("A latitude lies between -90 and 90, a longitude between -180 and 180 degrees.")

    @property
    def masks(self) -> tuple[Zone, ...]:
        """Its privacy masks."""
        return tuple(z for z in self.zones if z.spot == Spot.MASK)

    @property
    def places(self) -> tuple[Zone, ...]:
        """Its named places."""
        return tuple(z for z in self.zones if z.spot == Spot.ZONE)


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of recorded video.

    Attributes:
        camera: whose.
        start, end: of its pictures, milliseconds since 1970.
        size: of the file, in bytes.
        sha256: of the file, 32 bytes.
        width, height: pixels.
        mime: what Media Source Extensions call it; empty if browsers don't know it.
    """

    camera: str
    start: int
    end: int
    size: int
    sha256: bytes
    width: int
    height: int
    mime: str

    @property
    def span(self) -> Span:
        """When it was recorded."""
        return Span(self.start, self.end)


@dataclass(frozen=True, slots=True)
class Sighting:
    """One person in an event: what faces that are alike, in this event alone, are taken for.

    Attributes:
        number: 1, 2, ... in the event.
        at: of the best shot, milliseconds since 1970.
        box: of the face there: left, top, width, height, as ratios of the picture.
        subject: the person of the collection that it is a candidate for; empty for an unknown person.
        similarity: 0..100; 0 for an unknown person.
        corrected: whether the owner has said who it is, or that it isn't whom it was taken for.
    """

    number: int
    at: int
    box: tuple[float, float, float, float]
    subject: str = ""
    similarity: float = 0.0
    corrected: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened before a camera: somebody came, or something moved in a named place.

    Attributes:
        id: random (``evt-`` and 16 hexadecimal digits).
        camera: where.
        start, end: milliseconds since 1970; the end moves on while it is open.
        open: whether it is going on.
        zone: the named place, or empty.
        why: why nobody was looked for (a rule's id), or empty.
        sightings: who was there, by number.
    """

    id: str
    camera: str
    start: int
    end: int
    open: bool = True
    zone: str = ""
    why: str = ""
    sightings: tuple[Sighting, ...] = ()


class NewsKind(StrEnum):
    """What there is to tell."""

    CAMERA_UP = "camera-up"
    CAMERA_DOWN = "camera-down"
    TROUBLE = "trouble"
    MOTION = "motion"
    STILL = "still"
    EVENT_BEGUN = "event-begun"
    EVENT_SEEN = "event-seen"  # who is there has become known
    EVENT_ENDED = "event-ended"
    LEGAL_PROCESS = "legal-process"
    SHARE_FETCHED = "share-fetched"


@dataclass(frozen=True, slots=True)
class News:
    """Something to tell the owner, on MQTT and by webhooks.

    Attributes:
        kind: what.
        organisation: whose.
        at: when, milliseconds since 1970.
        camera, name: id and name of the camera, or empty.
        event: id of the event, or empty.
        zone: the named place, or empty.
        people: names of those who were recognised.
        unknown: how many others there are.
        detail: a code: why a camera is gone, what trouble it is.
        picture: a JPEG with masks black, or empty.
    """

    kind: NewsKind
    organisation: str
    at: int
    camera: str = ""
    name: str = ""
    event: str = ""
    zone: str = ""
    people: tuple[str, ...] = ()
    unknown: int = 0
    detail: str = ""
    picture: bytes = b""
