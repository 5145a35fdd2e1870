# SPDX-License-Identifier: Apache-2.0
"""The people whom an organisation's cameras recognise: its own, each with a consent that was on file before the face.

Nothing new is stored: a person is a subject of a collection, a photo a reference under the person's name, and a consent
is recorded for that name. This is the way in which the three always go together, wherever the organisation is.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from custodes.cameras.events import EventStore
from custodes.db import Database
from custodes.domain import QualityFilter
from custodes.errors import Code, Conflict, CustodesError, Invalid, NotFound
from custodes.gallery import Collection, Collections, References, Subjects
from custodes.governance import Action, Caller, Consent, Grounds, OrgClass, Provenance, Purpose
from custodes.operations.admission import Admission
from custodes.operations.agreements import Agreement, statement_of
from custodes.operations.collections import CollectionOperations
from custodes.operations.entries import erased_parts
from custodes.operations.erasure import Erased, Eraser
from custodes.operations.faces import FaceOperations
from custodes.operations.grounds import GroundOperations
from custodes.operations.guard import Guard
from custodes.operations.images import ImageSource
from custodes.operations.photos import no_face
from custodes.operations.subjects import Associated, SubjectOperations
from custodes.vision.engine import Engine

__all__ = ["Agreement", "Enrolled", "LibraryOperations", "PersonView"]

_NAME = re.compile(r"[a-zA-Z0-9_.\-:]{1,128}")
"""What Rekognition's users are called."""
_RETENTION_DAYS = 1095
"""So long a face is kept at most, however long the consent lasts (740 ILCS 14/15(a))."""
_MOST_PHOTOS = 20
_MOST = 10_000
_PAGE = 1000
_NAMES_TRIED = 10


@dataclass(frozen=True, slots=True)
class PersonView:
    """A person of a library.

    Attributes:
        name: the subject's id.
        photos: how many are enrolled; none of them is kept as a picture.
        consent, until: the consent that holds, by id, and its end; None: nobody is recognised without one.
        floor: similarity from which the person is recognised, after "not this person"; 0 where it is as for others.
    """

    name: str
    photos: int
    consent: str | None
    until: datetime | None
    floor: float


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A person who was added, and the statement of consent that was made and hashed; nothing if there was a document.

    Custodes keeps the hash alone.
    """

    person: PersonView
    statement: bytes


class LibraryOperations:
    """The face library of an organisation that has cameras.

    Args:
        guard, database: decide and record.
        admission, collections, references, subjects: the gallery.
        grounds: consents.
        events: who was seen by cameras.
        eraser: lets go of what else tells of references.
        shelves, faces, people, agreements: the operations that do it: on collections, faces, subjects and consents.
    """

    def __init__(
        self,
        guard: Guard,
        database: Database,
        admission: Admission,
        collections: Collections,
        references: References,
        subjects: Subjects,
        grounds: Grounds,
        events: EventStore,
        eraser: Eraser,
        shelves: CollectionOperations,
        faces: FaceOperations,
        people: SubjectOperations,
        agreements: GroundOperations,
    ) -> None:
        self._guard = guard
        self._db = database
        self._admission = admission
        self._collections = collections
        self._references = references
        self._subjects = subjects
        self._grounds = grounds
        self._events = events
        self._eraser = eraser
        self._shelves = shelves
        self._faces = faces
        self._people = people
        self._agreements = agreements

    def ensure(self, caller: Caller) -> str:
        """Return the name of the organisation's own library, which is made if there is none.

        Raises:
            Denied: if a rule forbids it.
            Invalid: if the caller's purpose isn't that of cameras.
        """
        purpose = self._purpose(caller)
        if caller.purpose != purpose:
            raise Invalid(
                f"The people whom cameras recognise are for {purpose}, and you are here for {caller.purpose}.",
                remedy=f"Sign in for {purpose}, or use a key of that purpose.",
            )
        found, free = self._own(caller)
        if found is not None:
            return found.name
        try:
            return self._shelves.create(caller, free, {"custodes:retention-days": str(_RETENTION_DAYS)}).name
        except Conflict:  # somebody else of the organisation was faster
            return self.of(caller).name

    def people(self, caller: Caller, *, collection: str | None = None) -> tuple[PersonView, ...]:
        """List the people of a library, by name; nobody if there is none yet.

        Args:
            caller: who asks.
            collection: which; the organisation's own unless it is named.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no collection of that name.
        """
        found = self._own(caller)[0] if collection is None else self._admission.get(caller, collection)
        if found is None:
            return ()
        with self._guard.using(caller, Action.LIST_SUBJECTS, found) as using:
            names: list[str] = []
            position: int | None = 0
            while position is not None:
                page, position = self._subjects.list(found.name, after=position, limit=_PAGE)
                names += [s.subject_id for s in page]
            references, _ = self._references.list(found.name, after=0, limit=_MOST)
            photos: dict[str, int] = {}
            for reference in references:
                if reference.subject_id is not None:
                    photos[reference.subject_id] = photos.get(reference.subject_id, 0) + 1
            using.part.note(listed=len(names))
            return tuple(self._view(found, n, photos.get(n, 0)) for n in sorted(names, key=str.casefold))

    def add(
        self, caller: Caller, name: str, agreement: Agreement, photos: Sequence[ImageSource], *, collection: str = ""
    ) -> Enrolled:
        """Add a person: the consent is recorded first, then the photos are enrolled on it. All of it, or nothing.

        Args:
            caller: who adds them.
            name: of letters, digits and ``_ . - :``.
            agreement: the consent.
            photos: 1 to 20, each with the person's face alone; none is kept as a picture.
            collection: where; the organisation's own library unless it is named.

        Raises:
            Denied: if a rule forbids it.
            Invalid: if a name or a photo can't be meant, a photo shows nobody, several people, or another than those
                before, or the consent is over.
            Conflict: if there is a person of this name, or there is no room.
            NotFound: if there is no such collection.
        """
        if not _NAME.fullmatch(name):
            raise Invalid("A name has 1 to 128 letters without accents, digits, and the characters _ . - :")
        if not 1 <= len(photos) <= _MOST_PHOTOS:
            raise Invalid(f"A person is added with 1 to {_MOST_PHOTOS} photos, got {len(photos)}.")
        found = self.of(caller, collection or self.ensure(caller))
        if self._is_there(found, name):
            raise Conflict(
                f"There is a person {name} already.",
                remedy="Add photos to them, or choose another name.",
                code=Code.SUBJECT_EXISTS,
            )
        for number, photo in enumerate(photos, 1):
            self._look(caller, number, photo)
        statement, document = statement_of(name, agreement, found)
        consent = self._agreements.consent(
            caller,
            agreement.kind,
            collection=found.name,
            external_image_id=name,
            purposes=[caller.purpose],
            document_hash=document,
            days=self._days(agreement.until),
        )
        try:
            self._people.create(caller, found.name, name, None)
            for photo in photos:
                self._enrol(caller, found, name, consent, photo)
        except CustodesError:
            self._retract(caller, found, name, consent)
            raise
        return Enrolled(self._view(found, name, len(photos)), statement)

    def add_photo(self, caller: Caller, name: str, photo: ImageSource, *, collection: str | None = None) -> PersonView:
        """Enrol another photo of a person, on the consent that is on file.

        Args:
            caller: who adds it.
            name: of whom.
            photo: with the person's face alone; it is not kept as a picture.
            collection: where; the organisation's own library unless it is named.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such person or collection.
            Conflict: if no consent of theirs holds, the photo is there already, or there is no room.
            Invalid: if the photo can't be read, or shows nobody, several people or another.
        """
        found = self._known(caller, name, collection)
        photos = self._photos(found, name)
        with self._db.read() as c:
            consent = self._grounds.consent_for(c, found.owner, found.uid, name, self._guard.now(c))
        if consent is None:
            raise Conflict(
                f"No consent of {name} is on file that holds: no face is stored without one.",
                remedy="Remove them, and add them anew on a new consent.",
            )
        self._enrol(caller, found, name, consent, photo)
        return self._view(found, name, len(photos) + 1)

    def remove(self, caller: Caller, name: str, *, collection: str | None = None) -> Erased:
        """Remove a person: photos, name, what the ledger's openings tell, and the name wherever cameras have seen them.

        The consents that were given for it end.

        Args:
            caller: who removes them.
            name: whom.
            collection: where; the organisation's own library unless it is named.

        Returns:
            Which references are gone, and the entries whose receipts the person gets.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such person or collection.
        """
        found = self._known(caller, name, collection)
        with self._db.read() as c:
            consents = self._grounds.consents(c, found.owner, collection=found.uid, label=name)
        for consent in consents:
            if consent.withdrawn_at is None:
                self._agreements.withdraw(caller, consent.id)
        with self._guard.using(caller, Action.DELETE_REFERENCES, found) as using, using.committing() as c:
            gone = self._eraser.erase(c, found, self._photos(found, name))
            if self._is_there(found, name):  # who had no photo left
                self._subjects.delete(found.name, name, None)
            self._events.forget_subject(c, found.name, name)
            using.parts = erased_parts(gone)
            using.part.note(erased_subjects=1)
        entries = self._guard.written
        self._db.scrub()
        return Erased(gone, entries)

    # --- shared ---

    def _purpose(self, caller: Caller) -> Purpose:
        """Return the purpose of the cameras of the caller's organisation."""
        home = self._guard.class_of(caller) == OrgClass.HOUSEHOLD
        return Purpose.HOME_SECURITY if home else Purpose.ACCESS_CONTROL

    def _own(self, caller: Caller) -> tuple[Collection | None, str]:
        """Return the organisation's own library, if it is there, and what it is to be called.

        Names of collections are everybody's: it is made of the organisation's id, and another if somebody has that.
        """
        organisation = self._guard.organisation_of(caller)
        name = f"home-{organisation.removeprefix('org-')}"
        for number in range(_NAMES_TRIED):
            tried = f"{name}-{number}" if number else name
            try:
                found = self._collections.get(tried)
            except NotFound:
                return None, tried
            if found.owner == organisation:
                return found, tried
        return None, f"{name}-{secrets.token_hex(4)}"

    def of(self, caller: Caller, collection: str | None = None) -> Collection:
        """Return a library of the caller's organisation: its own unless another collection is named.

        Raises:
            NotFound: if there is none.
        """
        found = self._own(caller)[0] if collection is None else self._admission.get(caller, collection)
        if found is None:
            raise NotFound("Nobody is in the library yet.", remedy="Add a person, with their consent.")
        if found.owner != self._guard.organisation_of(caller):
            raise NotFound(f"There is no collection {found.name}.", code=Code.COLLECTION_MISSING)
        return found

    def _known(self, caller: Caller, name: str, collection: str | None) -> Collection:
        """Return the library in which a person is.

        Raises:
            NotFound: if there is no such person or collection.
        """
        there = collection is not None or self._own(caller)[0] is not None
        found = self.of(caller, collection) if there else None
        if found is None or not self._is_there(found, name):
            raise NotFound(f"There is nobody called {name}.", remedy="custodes camera people list shows all.")
        return found

    def _photos(self, collection: Collection, name: str) -> tuple[str, ...]:
        """Return the references of a person.

        Raises:
            NotFound: if there is no such person.
        """
        page, _ = self._references.list(collection.name, after=0, limit=_MOST, subject_id=name)
        return tuple(r.reference_id for r in page)

    def _is_there(self, collection: Collection, name: str) -> bool:
        try:
            self._references.list(collection.name, after=0, limit=1, subject_id=name)
        except NotFound:
            return False
        return True

    def _view(self, collection: Collection, name: str, photos: int) -> PersonView:
        with self._db.read() as c:
            holds = self._grounds.consent_for(c, collection.owner, collection.uid, name, self._guard.now(c))
            floor = self._events.floor(c, collection.name, name)
        return PersonView(name, photos, holds.id if holds else None, holds.not_after if holds else None, floor)

    def _days(self, until: datetime) -> int:
        with self._db.read() as c:
            days = (until - self._guard.now(c)).days
        if days < 1:
            raise Invalid("The consent would be over within a day.", remedy="Say until when it is given.")
        return days

    def _look(self, caller: Caller, number: int, photo: ImageSource) -> None:
        """Refuse a photo that can't be enrolled, before anything is written.

        Raises:
            Denied: if a rule forbids it.
            Invalid: if it can't be read, or doesn't show one face.
        """
        faces = self._faces.detect(caller, photo).faces
        good = sum(not Engine.quality_reasons(f, QualityFilter.AUTO) for f in faces)
        if not good:
            raise no_face(f"photo {number}")
        if good > 1:
            raise Invalid(
                f"Photo {number} shows {good} faces, and the consent is one person's.",
                remedy="Crop it, or take another.",
            )

    def _enrol(self, caller: Caller, collection: Collection, name: str, consent: Consent, photo: ImageSource) -> None:
        """Enrol one photo of a person on a consent; nothing stays of one that can't be theirs."""
        calling = replace(caller, consent=consent.id, provenance=str(Provenance.CONSENTED))
        indexed = self._faces.index(calling, collection.name, photo, external_image_id=name)
        if not indexed.enrolled:
            raise no_face("photo")
        [(reference, _)] = indexed.enrolled
        if reference.subject_id is not None:
            raise Conflict("This photo is there already.")
        new = [reference.reference_id]
        try:
            done = self._people.associate(calling, collection.name, name, new, threshold=None, once=None)
            _check_associated(done)
        except CustodesError:
            self._faces.delete(caller, collection.name, new)
            raise

    def _retract(self, caller: Caller, collection: Collection, name: str, consent: Consent) -> None:
        """Take back what was made of a person who couldn't be added, as far as the rules let."""
        try:
            if self._is_there(collection, name):
                self.remove(caller, name, collection=collection.name)
            else:
                self._agreements.withdraw(caller, consent.id)
        except CustodesError:  # what failed before is what is told; retention erases what rests on an ended consent
            return


def _check_associated(done: Associated) -> None:
    """Refuse a photo that wasn't taken.

    Raises:
        Invalid: if it shows somebody else.
        Conflict: if there is no room.
    """
    if done.unlike:
        raise Invalid(
            "The photo isn't like those of the same person before.",
            remedy="Take another, or add the other person under their own name and with their own consent.",
        )
    if done.surplus:
        raise Conflict("This person has as many photos as there may be.", code=Code.QUOTA)
    if not done.associated:
        raise Conflict("The photo is gone by now.", remedy="Try again.")
