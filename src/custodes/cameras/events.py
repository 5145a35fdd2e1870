# SPDX-License-Identifier: Apache-2.0
"""The store of events: what happened before cameras, and who was there.

Zones, names, similarities and pictures are sealed, bound to their event (and number). Somebody is found by a keyed hash
of collection and subject. Faces that nobody's template fits have a picture here like others, and no template.

Every method works in the transaction that it is given; what is deleted leaves the files with the scrub that the caller
asks for.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
import sqlalchemy as sa

from custodes.cameras.model import Event, Sighting, Span
from custodes.cameras.schema import camera_events, camera_floors, camera_sightings
from custodes.cameras.store import CameraStore
from custodes.db import Vault, hold
from custodes.db.sealing import Sealer
from custodes.errors import Conflict, Invalid, NotFound

__all__ = ["EventStore"]

_IN = 500
_HIGHEST = 100.0
_COLUMNS = [column for column in camera_events.c if not column.name.startswith("picture")]


class EventStore:
    """The store of events.

    Args:
        vault: seals them.
    """

    def __init__(self, vault: Vault) -> None:
        self._sealer = Sealer(vault)
        self._key = vault.derive("camera-subject")
        self._cameras = CameraStore(vault)

    def begin(self, c: sa.Connection, event: Event, picture: bytes) -> None:
        """Keep a new event with its picture; its sightings are for :meth:`see`.

        Args:
            c: the transaction.
            event: what happens.
            picture: a JPEG with masks black, or empty.

        Raises:
            NotFound: if there is no such camera.
            Conflict: if there is an event of this id.
        """
        collection = self._cameras.get(c, event.camera).collection
        if c.execute(sa.select(camera_events.c.id).where(camera_events.c.id == event.id)).first():
            raise Conflict("There is an event of this id.")
        values = self._values(event, collection) | self._picture(event.id, picture)
        c.execute(sa.insert(camera_events).values(id=event.id, camera=event.camera, **values))

    def update(self, c: sa.Connection, event: Event, picture: bytes | None = None) -> None:
        """Change all of an event but its camera and its sightings.

        Args:
            c: the transaction.
            event: as it is now.
            picture: a better one, or None to leave it.

        Raises:
            NotFound: if there is none of this id.
        """
        values = self._values(event, self._secret(self._row(c, event.id))["collection"])
        if picture is not None:
            values |= self._picture(event.id, picture)
        c.execute(sa.update(camera_events).where(camera_events.c.id == event.id).values(**values))

    def see(
        self, c: sa.Connection, event: str, sighting: Sighting, picture: bytes, *, collection: str | None = None
    ) -> None:
        """Note who is there; what was noted under the same number is replaced.

        Args:
            c: the transaction.
            event: id of the event.
            sighting: who.
            picture: a JPEG of the face, or empty.
            collection: name of the collection whose subject it is; None for the one that the camera had when the event
                began.

        Raises:
            NotFound: if there is no such event.
        """
        told = self._secret(self._row(c, event))["collection"] if collection is None else collection
        owner = _owner(event, sighting.number)
        values = {
            "subject_hash": self._digest(told, sighting.subject) if sighting.subject else None,
            **self._sighting(owner, sighting),
            **self._picture(owner, picture),
        }
        same = _is(event, sighting.number)
        if not c.execute(sa.update(camera_sightings).where(same).values(**values)).rowcount:
            c.execute(sa.insert(camera_sightings).values(event=event, number=sighting.number, **values))

    def get(self, c: sa.Connection, event: str) -> Event:
        """Read an event with its sightings.

        Raises:
            NotFound: if there is none of this id.
            IntegrityError: if a row was changed by somebody else.
        """
        return self._read(c, [self._row(c, event)])[0]

    def collection(self, c: sa.Connection, event: str) -> str:
        """Read whose people the camera recognised when an event began: the name of a collection, or nothing.

        Raises:
            NotFound: if there is no such event.
        """
        return self._secret(self._row(c, event))["collection"]

    def list(
        self,
        c: sa.Connection,
        cameras: Sequence[str],
        *,
        span: Span | None = None,
        before: int | None = None,
        limit: int = 50,
        subject: tuple[str, str] | None = None,
    ) -> tuple[Event, ...]:
        """Read events of cameras with their sightings, the newest first.

        Args:
            c: the transaction.
            cameras: their ids.
            span: events that overlap it alone.
            before: events that began before it alone: where the page before ended.
            limit: how many at most.
            subject: collection and subject: events in which they are alone.

        Raises:
            IntegrityError: if a row was changed by somebody else.
        """
        e = camera_events.c
        query = sa.select(*_COLUMNS).where(e.camera.in_(list(cameras)))
        if span is not None:
            query = query.where(_within(span))
        if before is not None:
            query = query.where(e.start < before)
        if subject is not None:
            seen = camera_sightings.c.subject_hash == self._digest(*subject)
            query = query.where(e.id.in_(sa.select(camera_sightings.c.event).where(seen)))
        return self._read(c, c.execute(query.order_by(e.start.desc(), e.id).limit(limit)).all())

    def spans(self, c: sa.Connection, camera: str, span: Span) -> tuple[Span, ...]:
        """Read when there were events of a camera in a stretch of time, by their beginning."""
        e = camera_events.c
        query = sa.select(e.start, e.end).where(e.camera == camera, _within(span)).order_by(e.start)
        return tuple(Span(r.start, max(r.end, r.start + 1)) for r in c.execute(query))

    def picture(self, c: sa.Connection, event: str, number: int | None = None) -> bytes:
        """Open the picture of an event, or that of the face of one who was there.

        Raises:
            NotFound: if there is none.
            IntegrityError: if it was changed by somebody else.
        """
        e, s = camera_events.c, camera_sightings.c
        if number is None:
            query = sa.select(e.picture, e.picture_key).where(e.id == event)
        else:
            query = sa.select(s.picture, s.picture_key).where(_is(event, number))
        row = c.execute(query).one_or_none()
        if row is None or row.picture is None:
            raise NotFound("There is no such picture.")
        owner = event if number is None else _owner(event, number)
        return self._sealer.open(owner, row.picture, row.picture_key, "picture")

    def close_open(self, c: sa.Connection, camera: str) -> int:
        """End the events of a camera that are going on, each when it was last changed, and count them."""
        going = (camera_events.c.camera == camera) & camera_events.c.open.is_(True)
        return c.execute(sa.update(camera_events).where(going).values(open=False)).rowcount

    def remove(self, c: sa.Connection, ids: Iterable[str]) -> None:
        """Destroy events with their sightings and pictures; those that are gone are passed over."""
        gone = list(ids)
        for at in range(0, len(gone), _IN):
            c.execute(sa.delete(camera_events).where(camera_events.c.id.in_(gone[at : at + _IN])))

    # --- people ---

    def forget_subject(self, c: sa.Connection, collection: str, subject: str) -> int:
        """Erase a person's name, and how alike they were, from all sightings, and count those.

        What they were mistaken for is forgotten with it.

        Raises:
            IntegrityError: if a row was changed by somebody else.
        """
        s, digest = camera_sightings.c, self._digest(collection, subject)
        rows = c.execute(sa.select(s.event, s.number, s.secret, s.secret_key).where(s.subject_hash == digest)).all()
        for r in rows:
            owner = _owner(r.event, r.number)
            told = orjson.loads(self._sealer.open(owner, r.secret, r.secret_key))
            told |= {"subject": "", "similarity": 0.0}
            values = {"subject_hash": None, **self._sealer.seal(owner, orjson.dumps(told))}
            c.execute(sa.update(camera_sightings).where(_is(r.event, r.number)).values(**values))
        c.execute(sa.delete(camera_floors).where(self._floor(collection, subject)))
        return len(rows)

    def floor(self, c: sa.Connection, collection: str, subject: str) -> float:
        """Read above which similarity somebody is recognised; 0 if they were never mistaken for another."""
        query = sa.select(camera_floors.c.similarity).where(self._floor(collection, subject))
        known: float | None = c.execute(query).scalar_one_or_none()
        return known or 0.0

    def raise_floor(self, c: sa.Connection, collection: str, subject: str, similarity: float) -> None:
        """Recognise somebody above this similarity alone; a higher floor stays.

        Raises:
            Invalid: if it isn't between 0 and 100.
        """
        if not 0 <= similarity <= _HIGHEST:
            raise Invalid("A similarity lies between 0 and 100.")
        hold(c, "custodes.camera-floors")
        known = self._floor(collection, subject)
        if c.execute(sa.select(camera_floors.c.similarity).where(known)).first() is None:
            key = {"collection": collection, "subject_hash": self._digest(collection, subject)}
            c.execute(sa.insert(camera_floors).values(similarity=similarity, **key))
            return
        lower = known & (camera_floors.c.similarity < similarity)
        c.execute(sa.update(camera_floors).where(lower).values(similarity=similarity))

    def reset_floor(self, c: sa.Connection, collection: str, subject: str) -> None:
        """Recognise somebody as easily again as others."""
        c.execute(sa.delete(camera_floors).where(self._floor(collection, subject)))

    def _floor(self, collection: str, subject: str) -> sa.ColumnElement[bool]:
        f = camera_floors.c
        return (f.collection == collection) & (f.subject_hash == self._digest(collection, subject))

    def _digest(self, collection: str, subject: str) -> bytes:
        told = f"{collection}\0{subject}"
        return hmac.digest(self._key, told.encode("utf-8", "surrogatepass"), hashlib.sha256)

    # --- rows ---

    @staticmethod
    def _row(c: sa.Connection, event: str) -> sa.Row[Any]:
        row = c.execute(sa.select(*_COLUMNS).where(camera_events.c.id == event)).one_or_none()
        if row is None:
            raise NotFound("There is no such event.")
        return row

    def _values(self, event: Event, collection: str) -> dict[str, object]:
        told = {"zone": event.zone, "why": event.why, "collection": collection}
        sealed = self._sealer.seal_words(event.id, told)
        return {"start": event.start, "end": event.end, "open": event.open, **sealed}

    def _secret(self, r: sa.Row[Any]) -> dict[str, str]:
        return self._sealer.open_words(r.id, r.secret, r.secret_key)

    def _picture(self, owner: str, picture: bytes) -> dict[str, bytes | None]:
        if not picture:
            return {"picture": None, "picture_key": None}
        return {**self._sealer.seal(owner, picture, "picture")}

    def _sighting(self, owner: str, s: Sighting) -> dict[str, bytes]:
        told = {
            "at": s.at,
            "box": [float(v) for v in s.box],  # of numpy's kinds, too
            "subject": s.subject,
            "similarity": float(s.similarity),
            "corrected": s.corrected,
        }
        return self._sealer.seal(owner, orjson.dumps(told))

    def _read(self, c: sa.Connection, rows: Sequence[sa.Row[Any]]) -> tuple[Event, ...]:
        s, seen = camera_sightings.c, dict[str, list[Sighting]]()
        ids = [r.id for r in rows]
        for at in range(0, len(ids), _IN):
            query = sa.select(s.event, s.number, s.secret, s.secret_key).where(s.event.in_(ids[at : at + _IN]))
            for r in c.execute(query.order_by(s.event, s.number)):
                told = orjson.loads(self._sealer.open(_owner(r.event, r.number), r.secret, r.secret_key))
                left, top, width, height = told.pop("box")
                seen.setdefault(r.event, []).append(Sighting(r.number, box=(left, top, width, height), **told))
        return tuple(self._event(r, tuple(seen.get(r.id, ()))) for r in rows)

    def _event(self, r: sa.Row[Any], sightings: tuple[Sighting, ...]) -> Event:
        told = self._secret(r)
        return Event(r.id, r.camera, r.start, r.end, bool(r.open), told["zone"], told["why"], sightings)


def _within(span: Span) -> sa.ColumnElement[bool]:
    """Return what is true of events that overlap a span; one that has just begun has no length yet."""
    e = camera_events.c
    return (e.start < span.end) & ((e.end > span.start) | (e.start >= span.start))


def _is(event: str, number: int) -> sa.ColumnElement[bool]:
    return (camera_sightings.c.event == event) & (camera_sightings.c.number == number)


def _owner(event: str, number: int) -> str:
    return f"{event}/{number}"
