# SPDX-License-Identifier: Apache-2.0
"""Use cases around case files: opening, giving them to people, what they may search, and how they end.

The case itself, on which rules rest, is governance's; its file, with all that is personal, is casework's. Both change
in one transaction. What is in a file its members see, and nobody else (see ``desk``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from custodes.casework import (
    CandidateState,
    CaseEvent,
    CaseFile,
    CaseStatus,
    ImageRole,
    Lead,
    Sighting,
    Standing,
)
from custodes.errors import Code, NotFound
from custodes.gallery import Collection, Collections
from custodes.governance import Action, Caller, Case, Purpose, Role
from custodes.ledger import Log
from custodes.operations.admission import Admission
from custodes.operations.caseerasure import CaseErasure
from custodes.operations.casephotos import CasePhotos
from custodes.operations.collections import CollectionOperations
from custodes.operations.desk import Desk
from custodes.operations.engines import Engines
from custodes.operations.entries import Acting
from custodes.operations.erasure import Eraser
from custodes.operations.grounds import GroundOperations
from custodes.operations.guard import Guard
from custodes.operations.images import Images
from custodes.operations.verdicts import end_sitting

__all__ = ["KEEP_DAYS", "CaseOperations", "CaseView"]

KEEP_DAYS = 90
"""So long what a closed case holds is kept, unless its opening says otherwise."""


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


@dataclass(frozen=True, slots=True)
class _Wanted:
    """How a case is to be opened."""

    title: str
    reference: str
    about: str
    authority: str | None
    lead: str | None
    sensitive: bool
    keep_days: int


class CaseOperations(CasePhotos):
    """Case files.

    Args:
        guard, desk, shelves, collections, engines, images, eraser, log: as in :class:`CasePhotos`.
        grounds: opens and closes what the rules know as cases.
        admission: knows which collections are cases' own.
        erasure: erases cases.
    """

    def __init__(
        self,
        guard: Guard,
        desk: Desk,
        grounds: GroundOperations,
        shelves: CollectionOperations,
        collections: Collections,
        engines: Engines,
        images: Images,
        eraser: Eraser,
        log: Log,
        admission: Admission,
        erasure: CaseErasure,
    ) -> None:
        super().__init__(guard, desk, shelves, collections, engines, images, eraser, log)
        self._grounds = grounds
        self._admission = admission
        self._erasure = erasure

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
        wanted = _Wanted(title, reference, about, authority, lead, hidden, keep_days)
        made: list[CaseFile] = []

        def file(acting: Acting, case: Case) -> None:
            made.append(self._begin(acting, case, caller, wanted))

        self._grounds.open_case(caller, kind, organisation, then=file)
        return made[0]

    def _begin(self, acting: Acting, case: Case, caller: Caller, wanted: _Wanted) -> CaseFile:
        """Begin the file of a case, in the transaction that opens the case."""
        mine = acting.permit.organisation == case.organisation
        leader = wanted.lead or (caller.principal if mine else "")
        if leader:
            self._check_member(acting, leader, case.organisation)
        if wanted.authority is not None:
            self._check_authority(acting, wanted.authority, case.organisation)
        acting.note(lead=leader or None, keep_days=wanted.keep_days, authority=wanted.authority)
        return self._desk.files.open(
            acting.connection,
            case.id,
            case.organisation,
            str(case.kind),
            lead=leader,
            title=wanted.title,
            reference=wanted.reference,
            about=wanted.about,
            authority=wanted.authority,
            sensitive=wanted.sensitive,
            keep_days=wanted.keep_days,
            now=acting.now,
        )

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
                    end_sitting(acting.connection, self._guard, self._desk, sitting)
            end = done[0].erase_at
            acting.note(event=str(event), erase_at=None if end is None else end.isoformat())

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
            NotFound: if there is no such case or collection, or it is another case's own.
        """
        with self._changing(caller, case) as acting:
            collection = self._collections.get(name)
            mine = collection.owner == self._desk.files.get(acting.connection, case).organisation
            if not mine or (name != case and self._admission.is_own(collection)):
                raise NotFound(f"There is no collection {name}.", code=Code.COLLECTION_MISSING)
            self._desk.files.use(acting.connection, case, collection.uid, own=name == case)
            acting.note(change="case-collection-added", target=case, collection=collection.uid)

    def stop_using(self, caller: Caller, case: str, collection: str) -> None:
        """Let a case use a collection (by random id) no more.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such case, it doesn't use the collection, or it is the case's own.
        """
        with self._changing(caller, case) as acting:
            self._desk.files.stop_using(acting.connection, case, collection)
            acting.note(change="case-collection-removed", target=case, collection=collection)

    # --- the end ---

    def run_retention(self) -> int:
        """Erase everything in the cases whose time after closing is over, and return how many those were.

        Raises:
            Unavailable: if some of them couldn't be erased; all others are.
        """
        return self._erasure.run()

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
