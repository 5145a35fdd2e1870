# SPDX-License-Identifier: Apache-2.0
"""Events of the organisation's own cameras: who was there, the pictures, and what the owner says of it.

Who is told in an event is a candidate. What the owner corrects stays, whatever is found later. "Not this person" makes
that person be recognised from a higher similarity on alone, so that the same mistake isn't made again: they are
recognised less easily then, until :meth:`SightingOperations.reset_floor`. No face is kept for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa

from custodes.cameras.events import EventStore
from custodes.cameras.model import Camera, Event, Sighting, Span
from custodes.cameras.store import CameraStore
from custodes.db import Database
from custodes.errors import Conflict, NotFound
from custodes.gallery import Subjects
from custodes.governance import Action, Caller
from custodes.operations.guard import Guard
from custodes.operations.library import LibraryOperations

__all__ = ["SightingOperations"]

_MOST_FLOOR = 99.99
_ABOVE = 0.01
"""The floor lies so much above a mistaken similarity."""
_MOST_NEWS = 200


class SightingOperations:
    """Use cases around events and who was there.

    Args:
        guard, database: decide and record.
        cameras, events: the stores.
        subjects: who is known.
        library: enrols faces of people who have agreed to it.
    """

    def __init__(
        self,
        guard: Guard,
        database: Database,
        cameras: CameraStore,
        events: EventStore,
        subjects: Subjects,
        library: LibraryOperations,
    ) -> None:
        self._guard = guard
        self._db = database
        self._cameras = cameras
        self._events = events
        self._subjects = subjects
        self._library = library

    # --- looking ---

    def list(
        self,
        caller: Caller,
        cameras: Sequence[str] = (),
        *,
        person: str = "",
        span: Span | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> tuple[Event, ...]:
        """Read events of the organisation's cameras, the newest first; that they are looked at is one entry.

        Args:
            caller: who asks.
            cameras: of these alone, by id or name; of all if none is named.
            person: those alone in which this person was seen; all unless one is named.
            span: events that overlap it alone.
            before: events that began before it alone: where the page before ended.
            limit: how many at most.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such camera.
        """
        organisation = self._guard.organisation_of(caller)
        with self._db.read() as c:
            if cameras:
                own = tuple(self._cameras.find(c, organisation, name) for name in cameras)
            else:
                own = self._cameras.list(c, organisation=organisation)
        subjects = sorted({(k.collection, person) for k in own if k.collection}) if person else [None]
        with self._guard.using(caller, Action.VIEW_VIDEO, camera=organisation) as using:
            known: dict[str, Event] = {}
            with self._db.read() as c:
                for subject in subjects:
                    page = self._events.list(
                        c, [k.id for k in own], span=span, before=before, limit=limit, subject=subject
                    )
                    known |= {event.id: event for event in page}
            found = tuple(sorted(known.values(), key=lambda e: (-e.start, e.id))[:limit])
            using.part.note(listed=len(found), camera=own[0].id if len(own) == 1 else None)
            return found

    def news(self, caller: Caller, cameras: Sequence[str], span: Span) -> tuple[Event, ...]:
        """Read what happened before cameras, for who has begun to look at them; that was an entry, and this is none.

        Args:
            caller: who looks.
            cameras: ids; others than the organisation's own are passed over.
            span: when.

        Raises:
            Denied: if a rule forbids it.
        """
        organisation = self._guard.organisation_of(caller)
        self._guard.check_use(caller, Action.VIEW_VIDEO, camera=organisation)
        with self._db.read() as c:
            own = {k.id for k in self._cameras.list(c, organisation=organisation)}
            return self._events.list(c, [k for k in cameras if k in own], span=span, limit=_MOST_NEWS)

    def get(self, caller: Caller, event: str) -> Event:
        """Read an event; that it is looked at is an entry.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such event.
        """
        with self._db.read() as c:
            found, camera = self._find(c, caller, event)
        with self._guard.using(caller, Action.VIEW_VIDEO, camera=camera.organisation) as using:
            using.part.note(camera=camera.id, camera_event=event)
            return found

    def picture(self, caller: Caller, event: str, number: int | None = None) -> bytes:
        """Return the picture of an event that was opened, or that of the face of one who was there, as JPEG.

        Args:
            caller: who looks.
            event: which.
            number: of the sighting; None for the whole picture.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such event, or no such picture.
        """
        with self._db.read() as c:
            _, camera = self._find(c, caller, event)
        self._guard.check_use(caller, Action.VIEW_VIDEO, camera=camera.organisation)
        with self._db.read() as c:
            return self._events.picture(c, event, number)

    # --- correcting ---

    def not_this_person(self, caller: Caller, event: str, number: int) -> Event:
        """Take away the name of one who was there, and recognise that person above this similarity alone from now on.

        Above means by 0.01, and 99.99 at most; :meth:`reset_floor` takes it back.

        Args:
            caller: who says so.
            event, number: which sighting.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such event or sighting.
            Conflict: if nobody was recognised there.
        """
        with self._db.read() as c:
            _, camera = self._find(c, caller, event)
        guarded = self._guard.using(caller, Action.VIEW_VIDEO, camera=camera.organisation)
        with guarded as using, using.committing() as c:
            known = _sighting(self._events.get(c, event), number)
            if not known.subject:
                raise Conflict("Nobody was recognised there.")
            self._mistaken(c, event, known)
            self._write(c, event, replace(known, subject="", similarity=0.0, corrected=True))
            using.part.note(camera=camera.id, camera_event=event, corrected="not-this-person")
            changed = self._events.get(c, event)
        self._db.scrub()
        return changed

    def this_is(self, caller: Caller, event: str, number: int, name: str, enrol: bool = False) -> Event:
        """Say who was there: somebody of the people whom the camera recognises.

        Was it taken for somebody else, then that was a mistake, as with :meth:`not_this_person`.

        Args:
            caller: who says so.
            event, number: which sighting.
            name: who it is.
            enrol: whether the picture of the face is enrolled too, on the person's consent; it is before anything else
                is changed.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such event, sighting or person.
            Conflict: if the camera recognises nobody; or, to enrol, if no consent of theirs holds.
            Invalid: if the picture can't be enrolled: the face isn't good enough, or not like those of this person.
        """
        with self._db.read() as c:
            found, camera = self._find(c, caller, event)
            _sighting(found, number)
        if not camera.collection:
            raise Conflict(
                "This camera recognises nobody.", remedy="Set up whose people it recognises, and add the person."
            )
        self._check_known(camera, name)
        if enrol:
            self._guard.check_use(caller, Action.VIEW_VIDEO, camera=camera.organisation)
            with self._db.read() as c:
                portrait = self._events.picture(c, event, number)
            self._library.add_photo(caller, name, portrait, collection=camera.collection)
        guarded = self._guard.using(caller, Action.VIEW_VIDEO, camera=camera.organisation)
        with guarded as using, using.committing() as c:
            known = _sighting(self._events.get(c, event), number)
            if known.subject and known.subject != name:
                self._mistaken(c, event, known)
            similarity = known.similarity if known.subject == name else 0.0
            told = replace(known, subject=name, similarity=similarity, corrected=True)
            self._write(c, event, told, camera.collection)
            using.part.note(camera=camera.id, camera_event=event, corrected="this-is", learned=enrol)
            changed = self._events.get(c, event)
        self._db.scrub()
        return changed

    def reset_floor(self, caller: Caller, name: str, *, collection: str | None = None) -> None:
        """Recognise a person as easily again as before anybody said "not this person".

        Args:
            caller: who says so.
            name: whom.
            collection: where; the organisation's own library unless it is named.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such person or collection.
        """
        organisation = self._guard.organisation_of(caller)
        library = self._library.of(caller, collection)
        self._subjects.template(library.name, name)  # whether they are there
        with self._guard.using(caller, Action.VIEW_VIDEO, camera=organisation) as using, using.committing() as c:
            self._events.reset_floor(c, library.name, name)
            using.part.note(corrected="floor-reset")

    def remove(self, caller: Caller, event: str) -> None:
        """Destroy an event with its pictures; its video stays as long as the camera keeps it.

        Raises:
            Denied: if a rule forbids it: it takes an administrator.
            NotFound: if there is no such event.
        """
        with self._db.read() as c:
            _, camera = self._find(c, caller, event)
        with self._guard.acting(caller, Action.MANAGE_CAMERAS, of=camera.organisation) as acting:
            self._events.remove(acting.connection, [event])
            acting.note(event="camera-event-removed", camera=camera.id, target=event)
        self._db.scrub()

    # --- shared ---

    def _find(self, c: sa.Connection, caller: Caller, event: str) -> tuple[Event, Camera]:
        """Return an event of a camera of the caller's organisation.

        Raises:
            NotFound: if there is none.
        """
        found = self._events.get(c, event)
        camera = self._cameras.get(c, found.camera)
        if camera.organisation != self._guard.organisation_of(caller):
            raise NotFound("There is no such event.")
        return found, camera

    def _check_known(self, camera: Camera, name: str) -> None:
        try:
            self._subjects.template(camera.collection, name)
        except NotFound:
            raise NotFound(
                f"There is nobody called {name} among the people whom this camera recognises.",
                remedy="Add them first, with their consent.",
            ) from None

    def _mistaken(self, c: sa.Connection, event: str, known: Sighting) -> None:
        """Raise the floor of the person for whom somebody was taken; what people said has no similarity."""
        if known.similarity > 0:
            floor = min(round(known.similarity + _ABOVE, 4), _MOST_FLOOR)
            self._events.raise_floor(c, self._events.collection(c, event), known.subject, floor)

    def _write(self, c: sa.Connection, event: str, told: Sighting, collection: str | None = None) -> None:
        portrait = self._events.picture(c, event, told.number)
        self._events.see(c, event, told, portrait, collection=collection)


def _sighting(event: Event, number: int) -> Sighting:
    """Return a sighting of an event.

    Raises:
        NotFound: if it has none of this number.
    """
    for known in event.sightings:
        if known.number == number:
            return known
    raise NotFound("There is no such person in this event.")
