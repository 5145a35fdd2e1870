# SPDX-License-Identifier: Apache-2.0
"""The event that goes on before a camera: which faces are one person in it, and what is kept and told of them.

Faces that are alike are one sighting. The templates by which that is told are here, in memory, and nowhere else: they
go with the event. What the owner has corrected stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from custodes.cameras.events import EventStore
from custodes.cameras.model import Camera, Event, News, NewsKind, Sighting
from custodes.domain import Template
from custodes.errors import NotFound
from custodes.operations.recognising import Found
from custodes.operations.shots import BestShot

__all__ = ["Gone", "Happening", "Noted", "news_of"]

_NONE = -1.0
"""Quality of a picture that there isn't, or that shows no face."""


class Gone(NotFound):
    """The event was removed while it went on."""


@dataclass(frozen=True, slots=True)
class Noted:
    """What was written of a face.

    Attributes:
        event: as it is kept then.
        number: of the sighting.
        is_news: whether somebody new is there, or somebody has a name now.
        pictured: whether the event's picture is this shot's.
    """

    event: Event
    number: int
    is_news: bool
    pictured: bool

    @property
    def is_named(self) -> bool:
        """Whether the sighting is somebody's."""
        return any(s.number == self.number and s.subject for s in self.event.sightings)


class Happening:
    """An event that goes on.

    Args:
        events: keeps it.
        camera: where.
        event: as it was begun.
        quality: of the face in its picture; nothing if there is none.
        alike: tells which templates are alike to one, the most alike first.
    """

    def __init__(
        self,
        events: EventStore,
        camera: Camera,
        event: Event,
        quality: float | None,
        alike: Callable[[Template, Sequence[Template]], Sequence[int]],
    ) -> None:
        self._events = events
        self._camera = camera
        self._alike = alike
        self._quality = _NONE if quality is None else quality
        self._qualities: dict[int, float] = {}
        self._templates: list[tuple[int, Template]] = []
        self.event = event
        self.denied = False

    def change(self, c: sa.Connection, end: int, *, zone: str = "", open_: bool = True) -> Event:
        """Write until when it goes on, where, and whether it does; return the event as it is kept then.

        Raises:
            Gone: if it was removed.
        """
        known = self._read(c)
        changed = replace(known, end=max(end, known.end), zone=known.zone or zone, open=open_)
        if changed != known:
            self._events.update(c, changed)
        return changed

    def note(self, c: sa.Connection, shot: BestShot, number: int, found: Found | None, why: str, end: int) -> Noted:
        """Write who was seen.

        Args:
            c: the transaction.
            shot: of the face.
            number: of its sighting, if it has one already; otherwise 0.
            found: what the search has found; None if none was made.
            why: why none was.
            end: until when the event goes on.

        Raises:
            Gone: if the event was removed.
        """
        events, event = self._events, self._read(c)
        known = {s.number: s for s in event.sightings}
        if number not in known:
            number = self._number(known, found)
        before = known.get(number)
        told = _sighting(before, number, shot, found, better=shot.quality > self._qualities.get(number, _NONE))
        if told is not None:
            kept = before is not None and told.at == before.at
            picture = events.picture(c, event.id, number) if kept else shot.portrait
            events.see(c, event.id, told, picture, collection=self._camera.collection)
        pictured = shot.quality > self._quality
        changed = replace(event, why=why, end=max(event.end, end))
        if pictured or changed != event:
            events.update(c, changed, shot.picture if pictured else None)
        is_news = told is not None and (before is None or told.subject != before.subject)
        return Noted(events.get(c, event.id), number, is_news, pictured)

    def adopt(self, noted: Noted, shot: BestShot, found: Found | None) -> None:
        """Take over what was committed."""
        self.event = noted.event
        self._qualities[noted.number] = max(self._qualities.get(noted.number, _NONE), shot.quality)
        if noted.pictured:
            self._quality = shot.quality
        if found is not None:
            self._templates.append((noted.number, found.template))

    def _read(self, c: sa.Connection) -> Event:
        try:
            return self._events.get(c, self.event.id)
        except NotFound as e:
            raise Gone(e.message) from None

    def _number(self, known: dict[int, Sighting], found: Found | None) -> int:
        """Return the number of the sighting to which a face belongs; a new one if it is like none."""
        alike: list[int] = []
        if found is not None:
            nearest = self._alike(found.template, [t for _, t in self._templates])
            alike = [n for n in dict.fromkeys(self._templates[i][0] for i in nearest) if n in known]
        corrected = [n for n in alike if known[n].corrected]
        if corrected:
            return corrected[0]
        if found is not None and found.subject:
            named = [n for n, s in known.items() if s.subject == found.subject]
            if named:
                return named[0]
            alike = [n for n in alike if not known[n].subject]  # whoever is like two people is the one that was found
        return alike[0] if alike else max(known, default=0) + 1


def _sighting(
    before: Sighting | None, number: int, shot: BestShot, found: Found | None, *, better: bool
) -> Sighting | None:
    """Return what to keep of somebody; None if it is what is kept already, or the owner has said what it is."""
    subject, similarity = (found.subject, found.similarity) if found is not None else ("", 0.0)
    if before is None:
        return Sighting(number, shot.at, shot.box, subject, similarity)
    if before.corrected:
        return None
    if before.subject:
        same = subject == before.subject
        subject, similarity = before.subject, max(before.similarity, similarity if same else 0.0)
    at, box = (shot.at, shot.box) if better else (before.at, before.box)
    told = Sighting(number, at, box, subject, similarity)
    return None if told == before else told


def news_of(
    camera: Camera, kind: NewsKind, at: int, *, zone: str = "", event: Event | None = None, picture: bytes = b""
) -> News:
    """Return what there is to tell of a camera, and of an event there."""
    people: tuple[str, ...] = ()
    unknown = 0
    if event is not None:
        people = tuple(dict.fromkeys(s.subject for s in event.sightings if s.subject))
        unknown = sum(not s.subject for s in event.sightings)
    return News(
        kind,
        camera.organisation,
        at,
        camera.id,
        camera.name,
        event=event.id if event is not None else "",
        zone=event.zone if event is not None else zone,
        people=people,
        unknown=unknown,
        picture=picture,
    )
