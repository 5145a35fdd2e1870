# SPDX-License-Identifier: Apache-2.0
"""Erasing: what is due, what is asked for; and the openings in the ledger that go with it.

An entry stays for ever; what it commits to is opened by salts, and these are destroyed with the reference that they
are about. What cases keep of a face goes with its reference: candidates, reviews, and the photo that shows nobody else
who is enrolled. A person gets a receipt: the entry of the erasure, opened, with a proof that it is in the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from custodes.cameras.events import EventStore
from custodes.casework import CaseFiles, CaseImages, Searches
from custodes.db import Database
from custodes.domain import Reference
from custodes.errors import Code, NotFound
from custodes.gallery import Collection, Collections, Deletion, Due, Gone, Held, References, Retention
from custodes.governance import Action, Caller, Consent, Grounds, Watch
from custodes.ledger import Log, parse
from custodes.operations.admission import Admission
from custodes.operations.entries import erased_parts
from custodes.operations.guard import Guard
from custodes.operations.owners import owner_of, owner_of_case, owner_of_image

__all__ = ["Erased", "Eraser", "ErasureOperations", "KeptPhotos", "Mention", "Report", "Shelf"]

_MOST = 10_000  # references of one person


@dataclass(frozen=True, slots=True)
class Mention:
    """One use of a person's references, as the ledger has it."""

    index: int
    at: str
    action: str
    decision: str
    organisation: str
    org_class: str
    purpose: str
    principal: str
    case: str | None
    authority: str | None


@dataclass(frozen=True, slots=True)
class Erased:
    """References that are gone, and the ledger's entries that say so: more than one if they are many."""

    reference_ids: tuple[str, ...]
    entries: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Shelf:
    """A page of a collection's references with what is kept beside them, and where to go on (None at the end)."""

    collection: Collection
    references: tuple[tuple[Reference, Held], ...]
    position: int | None


@dataclass(frozen=True, slots=True)
class KeptPhotos:
    """How many photos that show a person a case keeps; until when, if it is closed, and so long after its closing."""

    case: str
    count: int
    until: datetime | None
    keep_days: int

    @property
    def words(self) -> str:
        """Say it in a sentence."""
        after = f"until {self.keep_days} days after it is closed"
        end = after if self.until is None else f"until {self.until:%Y-%m-%d}"
        return f"The case {self.case} keeps {self.count} photo{'s' * (self.count != 1)} of this person, {end}."


@dataclass(frozen=True, slots=True)
class Report:
    """What is held of a person in a collection, on which ground, until when, every use of it, and photos in cases."""

    collection: str
    owner: str
    purpose: str
    retention_days: int | None
    references: tuple[tuple[Reference, Held], ...]
    consents: tuple[Consent, ...]
    uses: tuple[Mention, ...]
    photos: tuple[KeptPhotos, ...] = ()

    @property
    def photos_told(self) -> tuple[str, ...]:
        """Say which photos are held, a sentence each."""
        return tuple(p.words for p in self.photos) or ("No photo is held.",)


class Eraser:
    """Lets the ledger forget what its commitments stand for, and cases what they keep of faces.

    Args:
        retention: deletes.
        log: the ledger.
        watch: kept results and sightings.
        grounds: consents.
        searches, images: candidates and photos of cases.
        events: who was seen by cameras; None where there are none.
    """

    def __init__(
        self,
        retention: Retention,
        log: Log,
        watch: Watch,
        grounds: Grounds,
        searches: Searches,
        images: CaseImages,
        events: EventStore | None = None,
    ) -> None:
        self._retention = retention
        self._log = log
        self._watch = watch
        self._grounds = grounds
        self._searches = searches
        self._images = images
        self._events = events

    def delete(self, c: sa.Connection, collection: Collection, reference_ids: Sequence[str]) -> Deletion:
        """Delete references that belong to no subject, in a transaction, with all that tells of them.

        Raises:
            NotFound: if the collection is gone.
        """
        done, gone = self._retention.delete(collection.name, reference_ids)
        self._forget(c, gone, collection)
        return done

    def erase(self, c: sa.Connection, collection: Collection, reference_ids: Sequence[str]) -> tuple[str, ...]:
        """Erase references, in a transaction, from their subjects too, with all that tells of them; return which.

        Raises:
            NotFound: if the collection is gone.
        """
        gone = self._retention.erase(collection.name, reference_ids)
        self._forget(c, gone, collection)
        return gone.reference_ids

    def drop(self, c: sa.Connection, collection: Collection) -> None:
        """Destroy what else tells of the references of a collection that is deleted as a whole, a batch at a time.

        Raises:
            NotFound: if the collection is gone.
        """
        for ids in self._retention.every(collection.name):
            self._forget_references(c, ids)
            self._watch.lose_sight(c, collection.owner, [f"reference:{i}" for i in ids])
        self._unname(c, collection, self._retention.everybody(collection.name))

    def _unname(self, c: sa.Connection, collection: Collection, subject_ids: Sequence[str]) -> None:
        """Take the names of subjects that go out of what cameras have seen."""
        if self._events is not None:
            for subject in subject_ids:
                self._events.forget_subject(c, collection.name, subject)

    def _forget_references(self, c: sa.Connection, reference_ids: Sequence[str]) -> None:
        """Destroy what the ledger's openings and cases tell of references: candidates, answers, faces, photos."""
        known = self._searches.forget(c, reference_ids)
        for case, entries in known.answers.items():
            self._log.forget_in(c, owner_of_case(case), entries)
        photos = self._images.forget(c, reference_ids, known.faces)
        self._log.forget(c, [*map(owner_of, reference_ids), *map(owner_of_image, photos)])

    def _forget(self, c: sa.Connection, gone: Gone, collection: Collection) -> None:
        """Destroy what else tells of what is gone.

        Openings in the ledger, what cases keep, kept results that tell of any of it, sightings, names in what cameras
        have seen, and labels of consents on which nothing rests any more.
        """
        self._forget_references(c, gone.reference_ids)
        about = [*gone.reference_ids, *gone.subject_ids]
        if about:
            self._watch.drop_kept(c, collection.uid, about)
        words = [f"reference:{i}" for i in gone.reference_ids] + [f"subject:{i}" for i in gone.subject_ids]
        self._watch.lose_sight(c, collection.owner, words)
        self._unname(c, collection, gone.subject_ids)
        for consent in gone.consents:
            self._grounds.unlabel(c, consent)


class ErasureOperations:
    """Retention, and what a person may ask: what is held, how it was used, and that it is gone.

    Args:
        guard, database: decide and record.
        log: the ledger.
        admission: finds collections as callers may know of them.
        collections, references, retention: the gallery.
        grounds: consents.
        files, images: the cases that keep photos.
        eraser: lets the ledger's openings go.
    """

    def __init__(
        self,
        guard: Guard,
        database: Database,
        log: Log,
        admission: Admission,
        collections: Collections,
        references: References,
        retention: Retention,
        grounds: Grounds,
        files: CaseFiles,
        images: CaseImages,
        eraser: Eraser,
    ) -> None:
        self._guard = guard
        self._db = database
        self._log = log
        self._admission = admission
        self._collections = collections
        self._references = references
        self._retention = retention
        self._grounds = grounds
        self._files = files
        self._images = images
        self._eraser = eraser

    def run_retention(self) -> int:
        """Erase all that is due: older than its collection keeps it, or enrolled on a consent that has ended.

        Returns:
            How many references are gone.
        """
        gone = 0
        while due := self._retention.overdue():
            gone += sum(self._erase(one, "retention") for one in due)
        with self._db.read() as c:
            ended = self._grounds.ended_consents(c, self._guard.now(c))
        for consent in ended:
            while due := self._retention.without((consent.id,)):
                gone += sum(self._erase(one, "consent-ended", consent.id) for one in due)
            with self._guard.transaction() as c:
                self._grounds.executed(c, consent.id, self._guard.now(c))
                self._guard.append_system(c, "consent-executed", {"consent": consent.id})
            self._db.scrub()
        return gone

    def _erase(self, due: Due, event: str, consent: str | None = None) -> int:
        with self._guard.transaction() as c:
            gone = self._eraser.erase(c, self._collections.get(due.collection), due.reference_ids)
            told: dict[str, object] = {"collection": due.uid, "organisation": due.owner}
            if consent is not None:
                told["consent"] = consent
            for part in erased_parts(gone):
                self._guard.append_system(c, event, told | part.details, part.openings)
        return len(gone)

    def held(
        self,
        caller: Caller,
        name: str,
        *,
        after: int = 0,
        limit: int = 50,
        user: str | None = None,
        reference_ids: Sequence[str] | None = None,
    ) -> Shelf:
        """Read a page of a collection's references, with since when, from where and on which consent each is kept.

        Args:
            caller: who asks.
            name: the collection.
            after: where the page before ended.
            limit: most references.
            user: the subject that has them; all unless it is named.
            reference_ids: these alone.

        Raises:
            NotFound: if there is no such collection or subject.
            Denied: if a rule forbids it.
        """
        collection = self._admission.get(caller, name)
        with self._guard.using(caller, Action.LIST_REFERENCES, collection) as using:
            page, position = self._references.list(
                name, after=after, limit=limit, subject_id=user, reference_ids=reference_ids
            )
            kept = {h.reference_id: h for h in self._retention.held(name, [r.reference_id for r in page])}
            using.part.note(listed=len(page))
            known = tuple((r, kept[r.reference_id]) for r in page if r.reference_id in kept)
            return Shelf(collection, known, position)

    def report(self, caller: Caller, name: str, reference_ids: Sequence[str] = (), user: str | None = None) -> Report:
        """Tell what is held of a person, photos that cases keep too, and every use of it.

        Args:
            caller: who asks.
            name: the collection.
            reference_ids: the person's references.
            user: the subject that has them, instead.

        Raises:
            NotFound: if there is no such collection, or nothing of the person in it.
            Denied: if a rule forbids it.
        """
        collection = self._admission.get(caller, name)
        with self._guard.using(caller, Action.EXPORT_REPORT, collection) as using:
            ids = list(reference_ids) if user is None else None
            page, _ = self._references.list(name, after=0, limit=_MOST, subject_id=user, reference_ids=ids)
            if not page:
                raise NotFound("The collection holds nothing of this person.", code=Code.FACE_MISSING)
            held = {h.reference_id: h for h in self._retention.held(name, [r.reference_id for r in page])}
            with self._db.read() as c:
                consents = {h.consent: self._grounds.find_consent(c, h.consent) for h in held.values() if h.consent}
                photos = self._photos(c, [r.reference_id for r in page])
            indexes = sorted({i for r in page for i in self._log.mentions(owner_of(r.reference_id))})
            uses = tuple(_mention(i, parse(self._log.entry(i))) for i in indexes)
            using.part.note(reported=len(page))
            using.part.mentions.extend(owner_of(r.reference_id) for r in page)
            return Report(
                collection=name,
                owner=collection.owner,
                purpose=collection.purpose,
                retention_days=collection.retention_days,
                references=tuple((r, held[r.reference_id]) for r in page),
                consents=tuple(consents.values()),
                uses=uses,
                photos=photos,
            )

    def _photos(self, c: sa.Connection, reference_ids: Sequence[str]) -> tuple[KeptPhotos, ...]:
        found = self._images.showing(c, reference_ids)
        files = [(self._files.get(c, case), images) for case, images in sorted(found.items())]
        return tuple(KeptPhotos(f.id, len(images), f.erase_at, f.keep_days) for f, images in files)

    def erase(self, caller: Caller, name: str, reference_ids: Sequence[str] = (), user: str | None = None) -> Erased:
        """Erase a person from a collection: references, whether a subject has them or not, the subject, openings.

        A case's photos go with them, but those that show somebody else who is enrolled, and those it searches with.

        Args:
            caller: who asks.
            name: the collection.
            reference_ids: the person's references.
            user: the subject that has them, instead.

        Returns:
            Which references are gone, and the entries whose receipts the person gets.

        Raises:
            NotFound: if there is no such collection, or nothing of the person in it.
            Denied: if a rule forbids it.
        """
        collection = self._admission.get(caller, name)
        with self._guard.using(caller, Action.DELETE_REFERENCES, collection) as using, using.committing() as c:
            ids = list(reference_ids) if user is None else None
            page, _ = self._references.list(name, after=0, limit=_MOST, subject_id=user, reference_ids=ids)
            gone = self._eraser.erase(c, collection, [r.reference_id for r in page])
            if not gone:
                raise NotFound("The collection holds nothing of this person.", code=Code.FACE_MISSING)
            using.parts = erased_parts(gone)
        self._db.scrub()
        return Erased(gone, self._guard.written)

    def receipt(self, index: int) -> bytes:
        """Return the receipt of an erasure: its entry, opened, with a proof that it is in the ledger, as JSON.

        Raises:
            NotFound: if there is no such entry, or it erased nothing.
        """
        entry = parse(self._log.entry(index))
        if not entry.get("erased"):
            raise NotFound(f"The entry {index} erased nothing.")
        return self._log.disclose(index).to_json()


def _mention(index: int, entry: Mapping[str, Any]) -> Mention:
    request = entry.get("request") or {}
    facts = request.get("facts") or {}
    return Mention(
        index=index,
        at=str(entry["at"]),
        action=str(request.get("action", entry["kind"])),
        decision=str(entry.get("decision", "")),
        organisation=str(entry.get("organisation", "")),
        org_class=str((facts.get("org") or {}).get("class", "")),
        purpose=str(facts.get("purpose", "")),
        principal=str(request.get("principal", "")),
        case=entry.get("case"),
        authority=entry.get("authority"),
    )
