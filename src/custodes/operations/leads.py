# SPDX-License-Identifier: Apache-2.0
"""Leads, and the reports of them that leave the house: what was searched, found and judged, with proofs.

An export is a use of its own: decided by the rules, and its entry commits to what was exported. Whoever exports sees
scores and answers, and is no blind reviewer of that run any more. Faces of others than the lead's aren't shown, and
sensitive pictures only if they are asked for, which is an entry of its own for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from custodes.casework import CaseFile, CaseImage, FoundCandidate, Lead, ReviewerFigures, RunKind
from custodes.errors import NotFound
from custodes.governance import Action, Caller
from custodes.ledger import Log, parse
from custodes.operations.caserows import Reviewed, Searched, found_in, unlisted
from custodes.operations.desk import Desk
from custodes.operations.dossier import Dossier
from custodes.operations.exhibits import Exhibits
from custodes.operations.guard import Guard, Using
from custodes.operations.leadform import SEALED, LeadReport
from custodes.operations.owners import owner_of
from custodes.operations.pictures import PictureOperations, PictureSize

__all__ = ["LeadOperations", "LeadView", "cut_out", "packs_of"]

See = Callable[[Caller, str, Sequence[str]], None]
"""Notes that somebody sees scores of runs and answers to candidates, by their ids, or refuses it."""

_OPENED = 500
"""Of a run of more searches than this, those alone are opened that found the lead; the bundle has the rest."""


@dataclass(frozen=True, slots=True)
class LeadView:
    """A lead with its candidate and the number of its reviews, without their answers.

    The candidate knows its scores: who shows these to somebody notes that first, as the report does.
    """

    lead: Lead
    candidate: FoundCandidate
    reviews: int


class LeadOperations:
    """Leads of cases.

    Args:
        guard: authorises and records.
        desk, pictures: casework's.
        dossier: models, rules and authorities.
        log: the ledger.
        see: notes who sees scores and answers.
    """

    def __init__(
        self, guard: Guard, desk: Desk, pictures: PictureOperations, dossier: Dossier, log: Log, see: See
    ) -> None:
        self._guard = guard
        self._desk = desk
        self._pictures = pictures
        self._dossier = dossier
        self._log = log
        self._see = see

    def list(self, caller: Caller, case: str | None = None) -> tuple[Lead, ...]:
        """List the leads of a case, or of all cases that the caller works on; the newest first.

        Raises:
            Denied: if the caller is nobody.
            NotFound: if there is no such case.
        """
        desk = self._desk
        with desk.db.read() as c:
            if case is not None:
                return desk.searches.leads(c, desk.file(c, caller, case).id)
            who = desk.principal(c, caller)
            mine = {f.id for f in desk.files.list(c, who.organisation, who.id)}
            return tuple(k for k in desk.searches.leads(c, organisation=who.organisation) if k.case in mine)

    def get(self, caller: Caller, lead: str) -> LeadView:
        """Read a lead; not how alike it is, nor what reviewers said.

        Raises:
            NotFound: if there is none in a case that the caller works on, or its candidate is erased.
        """
        with self._desk.db.read() as c:
            found, _, candidate = self._find(c, caller, lead)
            return LeadView(found, candidate, len(self._desk.reviews.of(c, candidate.id)))

    def report(self, caller: Caller, lead: str, *, with_sensitive: bool = False) -> LeadReport:
        """Make the report of a lead, which leaves the house.

        Args:
            caller: a member of the case.
            lead: which.
            with_sensitive: whether sensitive pictures are shown too; for each the caller asks to see it.

        Raises:
            Denied: if a rule forbids it, what was found is sealed, or the caller is judging candidates of the run.
            NotFound: if there is no such lead in a case that the caller works on, or its candidate is erased.
        """
        desk = self._desk
        with desk.db.read() as c:
            found, file, candidate = self._find(c, caller, lead)
            own = desk.own_collection(c, file)
        self._see(caller, file.id, [candidate.run, candidate.id])
        with self._guard.using(desk.calling(caller, file), Action.EXPORT_LEAD, own) as using:
            pictures = self._cut_out(caller, candidate, with_sensitive=with_sensitive)
            report = replace(self._gather(caller, found, file, candidate), pictures=pictures)
            self._tell(using, report)
            with using.committing():
                pass
        [entry] = self._guard.written
        return replace(report, seal=self._log.disclose(entry, [SEALED]).to_json(), entry=entry)

    def _find(self, c: sa.Connection, caller: Caller, lead: str) -> tuple[Lead, CaseFile, FoundCandidate]:
        try:
            found = self._desk.searches.find_lead(c, lead)
            file = self._desk.file(c, caller, found.case)
        except NotFound:
            raise NotFound(
                "There is no such lead, or you don't work on its case.", remedy="Ask the case's lead."
            ) from None
        try:
            return found, file, self._desk.searches.candidate(c, found.candidate)
        except NotFound:
            raise NotFound("The lead's candidate is erased: there is nothing left to report.") from None

    def _tell(self, using: Using, report: LeadReport) -> None:
        using.part.note(
            export="report", lead_id=report.lead.id, candidates=len(report.candidates), reviews=len(report.reviews)
        )
        using.part.note(pictures=len(report.pictures))
        using.part.commit(SEALED, report.digest.encode())
        using.part.mentions.extend(owner_of(k.reference_id) for k in report.candidates)

    # --- what is in it ---

    def _gather(self, caller: Caller, lead: Lead, file: CaseFile, candidate: FoundCandidate) -> LeadReport:
        """Bring together what the report says; its seal and pictures are put in later."""
        desk, dossier = self._desk, self._dossier
        with desk.db.read() as c:
            now = self._guard.now(c)
            run = desk.searches.run(c, candidate.run)
            records = {s.entry: s for s in desk.searches.searches(c, run=run.id)}
            candidates = desk.searches.candidates(c, run=run.id)
            items = {i.entry: i for i, _ in desk.reviews.of(c, candidate.id) if i.entry is not None}
            searches = tuple(Searched.of(i, dossier.entry(i), r) for i, r in records.items())
            dossier.refuse_sealed(c, searches, now)
            shown = {s.probe for s in records.values()} | {k.image for k in candidates if k.image}
            shown |= {image for i in items.values() for image in (i.probe, i.image)}
            images = {i.id: i for i in desk.images.many(c, shown)}
            known = {f.principal: f for f in desk.reviews.figures(c, file.organisation)}
            rules = dossier.rules(c, [s.rules for s in searches if s.rules])
            authorities = dossier.authorities(c, [file.authority, *(s.authority for s in searches)])
            organisation = dossier.organisation(c, file.organisation)
            models = dossier.models(packs_of(desk, searches))
        telling = _telling(searches, candidate)
        exhibits = Exhibits.gather(
            self._log, {*records, *items, lead.entry}, lambda i: i not in records or i in telling
        )
        opened = {d.index: {o.name: o.value for o in d.openings} for d in exhibits.disclosures}
        entries = {d.index: parse(d.entry) for d in exhibits.disclosures}
        reviews = tuple(Reviewed.of(i, entries[i], opened[i], item) for i, item in items.items())
        standing = frozenset({run.id} if run.kind == RunKind.STANDING else ())
        return LeadReport(
            lead=lead,
            case=file,
            organisation=organisation,
            authorities=authorities,
            run=run,
            searches=searches,
            candidates=candidates,
            unlisted=unlisted(searches, {i: found_in(v) for i, v in opened.items()}, candidates, standing),
            images=images,
            reviews=reviews,
            figures=tuple(known.get(p, ReviewerFigures(p)) for p in dict.fromkeys(r.by for r in reviews if r.by)),
            models=models,
            rules=rules,
            exhibits=exhibits,
            made_at=now,
            made_by=caller.principal,
            pictures={},
        )

    def _cut_out(
        self, caller: Caller, candidate: FoundCandidate, *, with_sensitive: bool
    ) -> dict[tuple[str, int], bytes]:
        """Cut out the candidate's face and those that were searched for when it was found."""
        wanted = [(s.probe, s.face) for s in candidate.scores]
        if candidate.image is not None:
            wanted.append((candidate.image, candidate.face))
        with self._desk.db.read() as c:
            images = {i.id: i for i in self._desk.images.many(c, [i for i, _ in wanted])}
        return cut_out(self._pictures, caller, candidate.case, images, wanted, with_sensitive=with_sensitive)


def packs_of(desk: Desk, searches: Iterable[Searched]) -> dict[str, str]:
    """Return by version the pack of the collections that were searched; nothing if these are gone."""
    packs: dict[str, str] = {}
    for search in searches:
        if search.model is None or search.collection is None or packs.get(search.model):
            continue
        try:
            packs[search.model] = desk.collection(search.collection).pack
        except NotFound:
            packs[search.model] = ""
    return packs


def cut_out(
    pictures: PictureOperations,
    caller: Caller,
    case: str,
    images: Mapping[str, CaseImage],
    wanted: Iterable[tuple[str, int]],
    *,
    with_sensitive: bool,
) -> dict[tuple[str, int], bytes]:
    """Cut out faces, as JPEG; those of sensitive images only if that is asked for, which is an entry for each.

    Raises:
        Denied: if a rule forbids to see a sensitive one.
    """
    shown = [(i, f) for i, f in dict.fromkeys(wanted) if i in images and (with_sensitive or not images[i].sensitive)]
    for image in dict.fromkeys(i for i, _ in shown if images[i].sensitive):
        pictures.reveal(caller, case, image)
    return {(i, f): pictures.picture(caller, case, i, PictureSize.FACE, f) for i, f in shown}


def _telling(searches: Sequence[Searched], candidate: FoundCandidate) -> frozenset[int]:
    """Return the entries of searches that are opened: all, or if they are too many those that found the lead."""
    if len(searches) <= _OPENED:
        return frozenset(s.entry for s in searches)
    found = {(s.probe, s.face) for s in candidate.scores}
    return frozenset(s.entry for s in searches if s.collection == candidate.collection and (s.probe, s.face) in found)
