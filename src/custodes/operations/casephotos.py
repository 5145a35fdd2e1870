# SPDX-License-Identifier: Apache-2.0
"""What cases bring in and keep: their own collection, photos, sightings. Members see it, nobody else (see ``desk``).

A photo on which something rests stays until the case is erased: what was searched with, judged or made a lead.
"""

from __future__ import annotations

from datetime import datetime

from custodes.casework import CandidateState, CaseFile, CaseImage, CaseStatus, ImageRole, Resting, Sighting
from custodes.db import hold
from custodes.errors import Conflict, Invalid, NotFound
from custodes.gallery import Collection, Collections
from custodes.governance import Action, Caller
from custodes.ledger import Log
from custodes.operations.collections import CollectionOperations
from custodes.operations.desk import Desk, Origin
from custodes.operations.engines import Engines
from custodes.operations.entries import erased_parts
from custodes.operations.erasure import Eraser
from custodes.operations.guard import Guard
from custodes.operations.images import Images, ImageSource
from custodes.operations.owners import owner_of_image

__all__ = ["CasePhotos"]

_MOST_DAYS = 1095
"""So long the faces of a case's photos are kept at most, even if the case stays open."""


class CasePhotos:
    """What cases keep.

    Args:
        guard: authorises and records.
        desk: what casework's operations share.
        shelves: makes the collection of a case.
        collections, engines, images: the gallery's collections, models and photos that come in.
        eraser, log: let go of what the ledger's openings tell.
    """

    def __init__(
        self,
        guard: Guard,
        desk: Desk,
        shelves: CollectionOperations,
        collections: Collections,
        engines: Engines,
        images: Images,
        eraser: Eraser,
        log: Log,
    ) -> None:
        self._guard = guard
        self._desk = desk
        self._shelves = shelves
        self._collections = collections
        self._engines = engines
        self._images = images
        self._eraser = eraser
        self._log = log

    # --- the case's own collection ---

    def collection_of(self, caller: Caller, case: str) -> Collection:
        """Return the collection of a case's own, which its first photo makes.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such case.
        """
        desk = self._desk
        with desk.db.read() as c:
            file = desk.file(c, caller, case)
            own = desk.own_collection(c, file)
        if own is not None:
            return own
        tags = {"custodes:retention-days": str(_MOST_DAYS)}
        try:
            own = self._shelves.create(desk.calling(caller, file), case, tags)
        except Conflict:  # another first photo was faster, or an earlier one came no further
            own = self._collections.get(case)
            if own.owner != file.organisation:
                raise
        with self._guard.transaction() as c:
            hold(c, f"custodes.case-collection.{case}")
            desk.files.use(c, case, own.uid, own=True)
        return own

    def status(self, case: str) -> CaseStatus:
        """Return where a case stands.

        Raises:
            NotFound: if there is none.
        """
        with self._desk.db.read() as c:
            return self._desk.files.get(c, case).status

    # --- photos ---

    def add_photo(
        self,
        caller: Caller,
        case: str,
        source: ImageSource,
        origin: Origin,
        role: ImageRole = ImageRole.REFERENCE,
    ) -> CaseImage:
        """Keep a photo in a case: a reference of the person, or a probe. Its faces are not enrolled.

        Args:
            caller: who adds it.
            case: which case.
            source: the photo.
            origin: where it comes from, on which legal basis, when it was taken.
            role: what it is for.

        Raises:
            Denied: if a rule forbids it, as with a scraped one.
            NotFound: if there is no such case.
            Invalid: if the photo can't be read, shows no face, or a text is too long.
            Conflict: if the case keeps it already.
        """
        desk = self._desk
        with desk.db.read() as c:
            file = desk.file(c, caller, case)
        acting_for = desk.calling(caller, file, origin.provenance)
        with self._guard.using(acting_for, Action.IMPORT_IMAGES, self.collection_of(caller, case)) as using:
            engine = self._engines.default
            seen = desk.look(engine, self._images.read(source))
            if not seen.faces:
                raise Invalid("The photo shows no face that is found.", remedy="Take one that shows the face.")
            with using.committing() as c:
                if desk.images.has(c, case, desk.key(seen.data), role):
                    raise Conflict("The case keeps this photo already.")
                now = self._guard.now(c)
                made = desk.keep(c, file, seen, role, origin, by=caller.principal, now=now)
                using.part.note(images=1, image_id=made.id, role=str(role), faces=len(seen.faces))
                using.part.note(provenance=origin.provenance)
                using.part.commit("image", made.sha256.encode(), owner_of_image(made.id))
            return made

    def keep_probe(self, caller: Caller, case: str, source: ImageSource, origin: Origin) -> CaseImage:
        """Keep a photo in a case as a probe, or return the one that it keeps already.

        Raises:
            As :meth:`add_photo`, but for a photo that is kept already.
        """
        known = self.find_photo(caller, case, source, ImageRole.PROBE)
        return known or self.add_photo(caller, case, source, origin, ImageRole.PROBE)

    def find_photo(self, caller: Caller, case: str, source: ImageSource, role: ImageRole) -> CaseImage | None:
        """Return what the case keeps of a photo for some use, or None.

        Raises:
            NotFound: if there is no such case.
            Invalid: if the photo can't be read.
        """
        key = self._desk.key(self._images.read(source))
        with self._desk.db.read() as c:
            self._desk.file(c, caller, case)
            known = self._desk.images.has(c, case, key, role)
            return None if known is None else self._desk.images.get(c, known)

    def photos(
        self, caller: Caller, case: str, role: ImageRole | None = None, *, after: str | None = None, limit: int = 100
    ) -> tuple[tuple[CaseImage, ...], str | None]:
        """List a page of a case's photos, and where to go on (None at the end).

        Raises:
            NotFound: if there is no such case.
        """
        with self._desk.db.read() as c:
            self._desk.file(c, caller, case)
            return self._desk.images.list(c, case, role, after=after, limit=limit)

    def photo(self, caller: Caller, case: str, image: str) -> CaseImage:
        """Read what is known of a photo of a case.

        Raises:
            NotFound: if there is no such case or photo.
        """
        with self._desk.db.read() as c:
            self._desk.file(c, caller, case)
            found = self._desk.images.get(c, image)
            if found.case != case:
                raise NotFound(f"There is no image {image}.")
            return found

    def remove_photo(self, caller: Caller, case: str, image: str) -> None:
        """Destroy a photo of a case, and the references that were made of its faces.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such case or photo.
            Conflict: if the case is closed, or something rests on the photo.
        """
        desk = self._desk
        known = self.photo(caller, case, image)
        with desk.db.read() as c:
            file = desk.file(c, caller, case)
            own = desk.own_collection(c, file)
        ids = [f.reference_id for f in known.faces if f.reference_id is not None]
        guarded = self._guard.using(desk.calling(caller, file), Action.DELETE_REFERENCES, own)
        with guarded as using, using.committing() as c:
            _check_removable(desk.file(c, caller, case), desk.images.resting(c, image))
            desk.images.remove(c, image)
            gone = self._eraser.erase(c, own, ids) if own is not None and ids else ()
            self._log.forget(c, [owner_of_image(image)])
            using.parts = erased_parts(gone)
            using.part.note(image_id=image)
        desk.db.scrub()

    # --- sightings ---

    def sight(self, caller: Caller, case: str, *, seen_at: datetime, place: str, note: str = "") -> Sighting:
        """Note that somebody says to have seen the person.

        Raises:
            NotFound: if there is no such case.
            Conflict: if it is closed.
            Invalid: if a text is too long, there is no place, or it is to be in the future.
        """
        desk = self._desk
        with desk.db.read() as c:
            file = desk.file(c, caller, case)
        if file.status == CaseStatus.CLOSED:
            raise Conflict("The case is closed.")
        with self._guard.transaction() as c:
            now = self._guard.now(c)
            made = desk.files.sight(c, case, seen_at=seen_at, place=place, note=note, by=caller.principal, now=now)
            self._guard.append_system(c, "sighting", {"case": case, "principal": caller.principal})
            return made


def _check_removable(file: CaseFile, resting: Resting) -> None:
    """Refuse to remove a photo on which something rests.

    Raises:
        Conflict: if the case is closed, or the photo was searched with, or shows a candidate in review or a lead.
    """
    if file.status == CaseStatus.CLOSED:
        end = "" if file.erase_at is None else f" on {file.erase_at:%Y-%m-%d}"
        raise Conflict("The case is closed: what it keeps stays as it is.", remedy=f"All of it is erased{end}.")
    why = ""
    if CandidateState.LEAD in resting.states:
        why = "it shows a lead"
    elif CandidateState.IN_REVIEW in resting.states:
        why = "it shows a candidate in review"
    elif resting.searched:
        why = "it was searched with"
    if why:
        raise Conflict(
            f"The photo stays: {why}.",
            remedy="It goes when the case is erased; who is in it and enrolled can be erased before.",
        )
