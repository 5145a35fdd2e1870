# SPDX-License-Identifier: Apache-2.0
"""Use cases around case files: opening, giving them to people, what they may search, photos, sightings, the end.

The case itself, on which rules rest, is governance's; its file, with all that is personal, is casework's. Both change
in one transaction. What is in a file its members see, and nobody else (see ``desk``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from custodes.casework import (
    CandidateState,
    CaseEvent,
    CaseFile,
    CaseImage,
    CaseStatus,
    ImageRole,
    Lead,
    Sighting,
    Standing,
)
from custodes.db import hold
from custodes.errors import Conflict, Invalid, NotFound
from custodes.gallery import Collection, Collections, References
from custodes.governance import Action, Caller, Case, Purpose, Role
from custodes.ledger import Log
from custodes.operations.collections import CollectionOperations
from custodes.operations.desk import Desk, Origin
from custodes.operations.engines import Engines
from custodes.operations.entries import Acting, erased_parts
from custodes.operations.erasure import Eraser
from custodes.operations.grounds import GroundOperations
from custodes.operations.guard import Guard
from custodes.operations.images import Images, ImageSource
from custodes.operations.owners import owner_of_image

__all__ = ["KEEP_DAYS", "CaseOperations", "CaseView"]

KEEP_DAYS = 90
"""So long what a closed case holds is kept, unless its opening says otherwise."""
_BATCH = 500
_MOST_DAYS = 1095
"""So long the faces of a case's photos are kept at most, even if the case stays open."""


@dataclass(frozen=True, slots=True)
class CaseView:
    """A case file with what belongs to it: collections by name, how many images of which role, and so on."""

    file: CaseFile
    collections: tuple[Collection, ...]
    own: str | None
    images: Mapping[ImageRole, int]
    candidates: Mapping[CandidateState, int]
    sightings: tuple[Sighting, ...]
    standing: tuple[Standing, ...]
    leads: tuple[Lead, ...]


class CaseOperations:
    """Case files.

    Args:
        guard: authorises and records.
        desk: what casework's operations share.
        grounds: opens and closes what the rules know as cases.
        shelves: makes the collection of a case.
        collections, references, engines, images: the gallery, models and photos.
        eraser, log: let go of what the ledger's openings tell.
    """

    def __init__(
        self,
        guard: Guard,
        desk: Desk,
        grounds: GroundOperations,
        shelves: CollectionOperations,
        collections: Collections,
        references: References,
        engines: Engines,
        images: Images,
        eraser: Eraser,
        log: Log,
    ) -> None:
        self._guard = guard
        self._desk = desk
        self._grounds = grounds
        self._shelves = shelves
        self._collections = collections
        self._references = references
        self._engines = engines
        self._images = images
        self._eraser = eraser
        self._log = log

    # --- opening and reading ---

    def open(
        self,
        caller: Caller,
        kind: Purpose,
        title: str,
        *,
        reference: str = "",
        about: str = "",
        authority: str | None = None,
        lead: str | None = None,
        sensitive: bool | None = None,
        keep_days: int = KEEP_DAYS,
        organisation: str | None = None,
    ) -> CaseFile:
        """Open a case with its file.

        Args:
            caller: who opens it.
            kind: the purpose that it serves.
            title, reference, about: what it is about, in words; kept sealed.
            authority: the authority or mandate that it rests on.
            lead: the principal who leads it; the caller unless another is named, nobody yet if it is to be another
                organisation's.
            sensitive: whether its images are blurred until asked for; those of victim identification are unless it
                says otherwise.
            keep_days: so long after it is closed everything in it is kept.
            organisation: whose it is to be; the caller's own unless another is named.

        Raises:
            Denied: if a rule forbids it, as when a moratorium binds the organisation.
            Invalid: if there are no cases for this purpose, or a text has no valid form.
            NotFound: if there is no such organisation, authority or principal.
        """
        hidden = kind == Purpose.VICTIM_IDENTIFICATION if sensitive is None else sensitive
        made: list[CaseFile] = []

        def file(acting: Acting, case: Case) -> None:
            c = acting.connection
            mine = acting.permit.organisation == case.organisation
            leader = lead or (caller.principal if mine else "")
            if leader:
                self._check_member(acting, leader, case.organisation)
            if authority is not None:
                self._check_authority(acting, authority, case.organisation)
            made.append(
                self._desk.files.open(
                    c,
                    case.id,
                    case.organisation,
                    str(kind),
                    lead=leader,
                    title=title,
                    reference=reference,
                    about=about,
                    authority=authority,
                    sensitive=hidden,
                    keep_days=keep_days,
                    now=acting.now,
                )
            )
            acting.note(lead=leader or None, keep_days=keep_days, authority=authority)

        self._grounds.open_case(caller, kind, organisation, then=file)
        return made[0]

    def adopt(self) -> int:
        """Give a file to each case that has none, as those have that are older than files; return how many."""
        with self._desk.db.read() as c:
            known = self._desk.files.ids(c)
        bare = [k for k in self._grounds.cases() if k.id not in known]
        if not bare:
            return 0
        with self._guard.transaction() as c:
            for case in bare:
                self._desk.files.open(
                    c,
                    case.id,
                    case.organisation,
                    str(case.kind),
                    lead="",
                    title=case.id,
                    reference="",
                    about="",
                    authority=None,
                    sensitive=case.kind == Purpose.VICTIM_IDENTIFICATION,
                    keep_days=KEEP_DAYS,
                    now=case.opened_at,
                )
                for event, at in ((CaseEvent.SUSPEND, case.paused_at), (CaseEvent.CLOSE, case.closed_at)):
                    if at is not None:
                        self._desk.files.happen(c, case.id, event, at)
        return len(bare)

    def list(self, caller: Caller) -> tuple[CaseFile, ...]:
        """List the cases that the caller works on, or as an administrator all of the organisation; the newest first.

        Raises:
            Denied: if the caller is nobody.
        """
        with self._desk.db.read() as c:
            who = self._desk.principal(c, caller)
            member = None if Role.ADMIN in who.roles else who.id
            return self._desk.files.list(c, who.organisation, member)

    def get(self, caller: Caller, case: str) -> CaseFile:
        """Read a case file.

        Raises:
            NotFound: if there is none that the caller works on or administers.
        """
        with self._desk.db.read() as c:
            return self._desk.file(c, caller, case, manage=True)

    def view(self, caller: Caller, case: str) -> CaseView:
        """Read a case file with what belongs to it.

        Raises:
            NotFound: if there is none that the caller works on or administers.
        """
        desk = self._desk
        with desk.db.read() as c:
            file = desk.file(c, caller, case, manage=True)
            own = desk.own_collection(c, file)
            return CaseView(
                file=file,
                collections=desk.collections(c, file),
                own=own.uid if own else None,
                images=desk.images.count(c, case),
                candidates=desk.searches.count(c, [case]).get(case, {}),
                sightings=desk.files.sightings(c, case),
                standing=desk.searches.standing(c, case=case),
                leads=desk.searches.leads(c, case),
            )

    def describe(self, caller: Caller, case: str, *, title: str, reference: str, about: str) -> CaseFile:
        """Change what is said of a case.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is none that the caller works on.
            Invalid: if a text is too long, or there is no title.
        """
        with self._changing(caller, case) as acting:
            acting.note(change="case-described", target=case)
            return self._desk.files.describe(acting.connection, case, title=title, reference=reference, about=about)

    # --- what happens to it ---

    def happen(self, caller: Caller, case: str, event: CaseEvent) -> CaseFile:
        """Suspend, resume, find, reopen or close a case; from its closing on the time runs after which all is erased.

        Raises:
            Denied: if a rule forbids it, as when a moratorium binds what is to be resumed.
            NotFound: if there is none that the caller works on or administers.
            Conflict: if that can't happen to it where it stands.
        """
        with self._desk.db.read() as c:
            before = self._desk.files.get(c, case)
        done: list[CaseFile] = []

        def follow(acting: Acting, _: Case) -> None:
            done.append(self._desk.files.happen(acting.connection, case, event, acting.now))
            if event == CaseEvent.CLOSE:
                for sitting in self._desk.reviews.open_sittings(acting.connection, case=case):
                    self._desk.end_sitting(acting.connection, sitting, acting.now)
            acting.note(event=str(event), erase_at=_iso(done[0].erase_at))

        if event == CaseEvent.CLOSE:
            self._grounds.close_case(caller, case, then=follow)
        elif event in (CaseEvent.RESUME, CaseEvent.REOPEN):
            self._grounds.resume_case(caller, case, then=follow)
        elif before.status == CaseStatus.SUSPENDED and event == CaseEvent.FIND:
            with self._changing(caller, case) as acting:  # it rests already
                acting.note(change="case-found", target=case)
                return self._desk.files.happen(acting.connection, case, event, acting.now)
        else:
            self._grounds.pause_case(caller, case, then=follow)
        return done[0]

    # --- people ---

    def add_member(self, caller: Caller, case: str, principal: str) -> None:
        """Let somebody of the organisation work on a case.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such case or principal.
        """
        with self._changing(caller, case) as acting:
            self._check_member(acting, principal, self._desk.files.get(acting.connection, case).organisation)
            self._desk.files.add_member(acting.connection, case, principal)
            acting.note(change="case-member-added", target=case, principal=principal)

    def remove_member(self, caller: Caller, case: str, principal: str) -> None:
        """Let somebody work on a case no more.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such case, or they don't work on it.
            Conflict: if it is the lead.
        """
        with self._changing(caller, case) as acting:
            self._desk.files.remove_member(acting.connection, case, principal)
            acting.note(change="case-member-removed", target=case, principal=principal)

    def set_lead(self, caller: Caller, case: str, principal: str) -> None:
        """Let somebody of the organisation lead a case.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such case or principal.
        """
        with self._changing(caller, case) as acting:
            self._check_member(acting, principal, self._desk.files.get(acting.connection, case).organisation)
            self._desk.files.set_lead(acting.connection, case, principal)
            acting.note(change="case-lead-set", target=case, principal=principal)

    def set_authority(self, caller: Caller, case: str, authority: str | None) -> None:
        """Let a case rest on another authority or mandate, or on none.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such case or authority.
        """
        with self._changing(caller, case) as acting:
            organisation = self._desk.files.get(acting.connection, case).organisation
            if authority is not None:
                self._check_authority(acting, authority, organisation)
            self._desk.files.set_authority(acting.connection, case, authority)
            acting.note(change="case-authority-set", target=case, authority=authority)

    # --- collections ---

    def use_collection(self, caller: Caller, case: str, name: str) -> None:
        """Let a case use a collection of its organisation; whether it fits the purpose the rules decide at each use.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such case or collection.
        """
        with self._changing(caller, case) as acting:
            collection = self._collections.get(name)
            if collection.owner != self._desk.files.get(acting.connection, case).organisation:
                raise NotFound(f"There is no collection {name}.")
            self._desk.files.use(acting.connection, case, collection.uid)
            acting.note(change="case-collection-added", target=case, collection=collection.uid)

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

    def stop_using(self, caller: Caller, case: str, collection: str) -> None:
        """Let a case use a collection (by random id) no more.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such case, it doesn't use the collection, or it is the case's own.
        """
        with self._changing(caller, case) as acting:
            self._desk.files.stop_using(acting.connection, case, collection)
            acting.note(change="case-collection-removed", target=case, collection=collection)

    # --- photos and sightings ---

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

    def keep_probe(self, caller: Caller, case: str, source: ImageSource, origin: Origin) -> CaseImage:
        """Keep a photo in a case as a probe, or return the one that it keeps already.

        Raises:
            As :meth:`add_photo`, but for a photo that is kept already.
        """
        known = self.find_photo(caller, case, source, ImageRole.PROBE)
        return known or self.add_photo(caller, case, source, origin, ImageRole.PROBE)

    def status(self, case: str) -> CaseStatus:
        """Return where a case stands.

        Raises:
            NotFound: if there is none.
        """
        with self._desk.db.read() as c:
            return self._desk.files.get(c, case).status

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

    # --- the end ---

    def run_retention(self) -> int:
        """Erase everything in the cases whose time after closing is over, and return how many those were."""
        with self._desk.db.read() as c:
            due = self._desk.files.due(c, self._guard.now(c))
        for case in due:
            self._erase(case)
        if due:
            self._desk.db.scrub()
        return len(due)

    def _erase(self, case: str) -> None:
        """Erase a case: the references of its own collection a batch at a time, then the rest in one transaction."""
        desk = self._desk
        with desk.db.read() as c:
            file = desk.files.get(c, case)
            own = desk.own_collection(c, file)
        erased = 0 if own is None else self._erase_references(file, own)
        with self._guard.transaction() as c:
            if own is not None:
                self._collections.delete(own.name)
            owners = [owner_of_image(i) for i in desk.images.ids(c, case)]
            self._log.forget(c, owners)
            desk.files.erase(c, case)
            told = {"case": case, "organisation": file.organisation, "images": len(owners), "references": erased}
            self._guard.append_system(c, "case-erased", told)

    def _erase_references(self, file: CaseFile, own: Collection) -> int:
        gone = 0
        while True:
            page, _ = self._references.list(own.name, after=0, limit=_BATCH)
            if not page:
                return gone
            with self._guard.transaction() as c:
                ids = self._eraser.erase(c, own, [r.reference_id for r in page])
                told = {"collection": own.uid, "organisation": file.organisation, "case": file.id}
                for part in erased_parts(ids):
                    self._guard.append_system(c, "case-erased-references", told | part.details, part.openings)
                gone += len(ids)

    def remove_photo(self, caller: Caller, case: str, image: str) -> None:
        """Destroy a photo of a case, and the references that were made of its faces.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such case or photo.
        """
        desk = self._desk
        known = self.photo(caller, case, image)
        with desk.db.read() as c:
            file = desk.file(c, caller, case)
            own = desk.own_collection(c, file)
        ids = [f.reference_id for f in known.faces if f.reference_id is not None]
        guarded = self._guard.using(desk.calling(caller, file), Action.DELETE_REFERENCES, own)
        with guarded as using, using.committing() as c:
            gone = self._eraser.erase(c, own, ids) if own is not None and ids else ()
            desk.images.remove(c, image)
            self._log.forget(c, [owner_of_image(image)])
            using.parts = erased_parts(gone)
            using.part.note(image_id=image)
        desk.db.scrub()

    # --- shared ---

    @contextmanager
    def _changing(self, caller: Caller, case: str) -> Iterator[Acting]:
        """Authorise a change to a case: who may, the rules decide."""
        with self._desk.db.read() as c:
            owner = self._desk.files.get(c, case).organisation
        with self._guard.acting(caller, Action.MANAGE_CASES, of=owner) as acting:
            yield acting

    def _check_member(self, acting: Acting, principal: str, organisation: str) -> None:
        found = acting.permit.state.principals.get(principal)
        if found is None or found.organisation != organisation:
            raise NotFound(
                f"There is no person {principal} in the case's organisation.", remedy="custodes people list shows all."
            )

    def _check_authority(self, acting: Acting, authority: str, organisation: str) -> None:
        found = self._desk.registry.authority(acting.connection, acting.permit.state, authority)
        if found.organisation != organisation:
            raise NotFound(f"There is no authority {authority}.", remedy="custodes authority list shows all.")


def _iso(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()
