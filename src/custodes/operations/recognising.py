# SPDX-License-Identifier: Apache-2.0
"""Who stands before a camera: one search of the household's own people, for one face, on behalf of who set it up.

The rules decide first; only then a template is made. Only people are told who have agreed to it: whose reference rests
on a consent that holds now. What fits nobody stays in memory, and goes with the event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import sqlalchemy as sa

from custodes.cameras.events import EventStore
from custodes.cameras.model import Camera
from custodes.config import Cameras
from custodes.db import Database
from custodes.domain import Candidate, Face, Template, cosines
from custodes.errors import NotFound
from custodes.gallery import Collection, References, Retention
from custodes.governance import Action, Caller, Grounds, Purpose
from custodes.operations.admission import Admission
from custodes.operations.engines import Engines
from custodes.operations.entries import tell_found
from custodes.operations.faces import candidates
from custodes.operations.guard import Guard
from custodes.operations.scores import MATCH_THRESHOLD, least_cosine

__all__ = ["Found", "Recogniser", "Watching", "may_be_told"]

_MOST = 100
"""Candidates that a search returns: more than any person has references."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Watching:
    """What the watchers of all cameras share.

    Attributes:
        guard: authorises and records.
        database: where all is.
        admission: finds collections as callers may know of them.
        engines: find faces and make templates.
        references, retention, grounds: who is known, and on which consent.
        events: keeps what happened.
        settings: of cameras.
    """

    guard: Guard
    database: Database
    admission: Admission
    engines: Engines
    references: References
    retention: Retention
    grounds: Grounds
    events: EventStore
    settings: Cameras


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What came of a search: the template that was made for it, and whom it is like; nobody if that is empty."""

    template: Template
    subject: str
    similarity: float


class Recogniser:
    """Searches on behalf of one camera.

    Args:
        watching: what all watchers share.
        camera: whose faces; it names the collection, and in whose name it watches.
    """

    def __init__(self, watching: Watching, camera: Camera) -> None:
        self._watching = watching
        self._camera = camera
        self._caller = Caller(camera.by, Purpose(camera.purpose), place=camera.id)

    def search(self, face: Face, event: str, write: Callable[[sa.Connection, Found], T]) -> tuple[Found, T]:
        """Search for a face, and write what came of it together with the ledger's entry.

        Args:
            face: it.
            event: id of the event in which it was seen.
            write: keeps the outcome, in the transaction of the entry; what it returns is returned.

        Raises:
            Denied: if a rule forbids it, before a template is made or when the entry is to be written; or if the
                person in whose name the camera watches is gone.
            NotFound: if the collection is gone.
        """
        tools, camera = self._watching, self._camera
        collection = tools.admission.get(self._caller, camera.collection)
        guarded = tools.guard.searching(self._caller, Action.WATCH, collection, None, tuple, camera=camera.organisation)
        with guarded as using:
            engine = tools.engines.of(collection.pack)
            [template] = engine.embed([face])
            least = least_cosine(engine.pack, using.threshold)
            pairs = tools.references.search(collection.name, template, limit=_MOST, threshold=least)
            ranked = candidates(engine, pairs, using.threshold)
            found = Found(template, *self._person(collection, ranked))
            tell_found(using.part, collection.pack_version, f"event:{event}", ranked)
            using.part.note(camera=camera.id, camera_event=event, recognised=int(bool(found.subject)))
            with using.committing() as c:
                done = write(c, found)
        return found, done

    def alike(self, template: Template, others: Sequence[Template]) -> tuple[int, ...]:
        """Return which templates are alike to one, as a match is, the most alike first; all are in memory."""
        same = [(i, t) for i, t in enumerate(others) if t.pack == template.pack]
        if not same:
            return ()
        least = least_cosine(self._watching.engines.of(template.pack).pack, MATCH_THRESHOLD)
        scored = [(i, float(cosines(t.vector[None], template.vector)[0])) for i, t in same]
        return tuple(i for i, cosine in sorted(scored, key=lambda pair: -pair[1]) if cosine >= least)

    def _person(self, collection: Collection, ranked: Sequence[Candidate]) -> tuple[str, float]:
        """Return the most alike person who may be told, and how alike they are."""
        people = [k for k in ranked if k.reference.subject_id is not None]
        for k in may_be_told(self._watching, collection, people)[:1]:
            return k.reference.subject_id or "", round(k.score.similarity, 4)
        return "", 0.0


def may_be_told(tools: Watching, collection: Collection, ranked: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Return the candidates that a camera may tell, in their order.

    Those are whose reference rests on a consent that holds now, and who are so alike that no "not this person" of the
    household's rules them out.
    """
    agreed = _agreed(tools, collection, [k.reference.reference_id for k in ranked])
    floors: dict[str, float] = {}
    told = []
    for k in ranked:
        subject = k.reference.subject_id
        if subject is not None and subject not in floors:
            with tools.database.read() as c:
                floors[subject] = tools.events.floor(c, collection.name, subject)
        floor = floors.get(subject or "", 0.0)
        if k.reference.reference_id in agreed and k.score.similarity >= floor:
            told.append(k)
    return tuple(told)


def _agreed(tools: Watching, collection: Collection, reference_ids: Sequence[str]) -> frozenset[str]:
    """Return those references that rest on a consent which holds now."""
    if not reference_ids:
        return frozenset()
    held = tools.retention.held(collection.name, reference_ids)
    with tools.database.read() as c:
        now = tools.guard.now(c)
        holding: dict[str, bool] = {}
        for consent in {h.consent for h in held if h.consent is not None}:
            try:
                known = tools.grounds.find_consent(c, consent)
            except NotFound:
                continue
            in_time = known.given_at <= now < known.not_after
            holding[consent] = in_time and known.withdrawn_at is None and known.collection == collection.uid
    return frozenset(h.reference_id for h in held if h.consent is not None and holding.get(h.consent, False))
