# SPDX-License-Identifier: Apache-2.0
"""All that a case has recorded of its searches, imports and reviews, and whether that is all that the ledger has of it.

The ledger is the measure: whatever an entry of the case tells has its record, every record has its entry, and counts
agree. What differs is told with the bundle, never mended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from custodes.casework import (
    CaseFile,
    CaseImage,
    FoundCandidate,
    Import,
    ImportItem,
    ItemOutcome,
    Lead,
    ReviewerFigures,
    ReviewItem,
    Run,
    SearchRecord,
    Standing,
)
from custodes.governance import Action, Authority, Organisation
from custodes.operations.caserows import Reviewed, Searched, Unlisted, is_search
from custodes.operations.dossier import ModelFacts, RulesFacts
from custodes.operations.exhibits import Exhibits, at

__all__ = ["CaseRecord", "Kept", "differences"]

Entries = Mapping[int, Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Kept:
    """What the case's stores hold.

    Attributes:
        runs, records, candidates, leads, standing: of searches.
        items: answers to real candidates, by the entry of each.
        answered: the entries of all answers, those to controls too.
        images, imports: what was brought in.
        left_out: what imports have not brought in, by import.
    """

    runs: tuple[Run, ...]
    records: tuple[SearchRecord, ...]
    candidates: tuple[FoundCandidate, ...]
    leads: tuple[Lead, ...]
    standing: tuple[Standing, ...]
    items: Mapping[int, ReviewItem]
    answered: frozenset[int]
    images: tuple[CaseImage, ...]
    imports: tuple[Import, ...]
    left_out: Mapping[str, tuple[ImportItem, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class CaseRecord:
    """What a bundle is made of.

    Attributes:
        case, organisation, authorities: whose it is.
        kept: what the case's stores hold.
        searches, unlisted, reviews: every search and review that the ledger has of the case, also those that were
            denied, and what candidate lists leave out.
        figures, models, rules: of reviewers, models and rules.
        exhibits: every entry of the ledger that is about the case.
        scanned: from which entry on, and before which, the ledger was looked through.
        sealed: entries of exigent searches whose findings are sealed.
        differences: between the ledger and what the case has recorded.
        pictures: cut-outs of faces as JPEG, by image and number.
        made_at, made_by: when and by whom it was made.
    """

    case: CaseFile
    organisation: Organisation
    authorities: tuple[Authority, ...]
    kept: Kept
    searches: tuple[Searched, ...]
    unlisted: tuple[Unlisted, ...]
    reviews: tuple[Reviewed, ...]
    figures: tuple[ReviewerFigures, ...]
    models: Mapping[str, ModelFacts]
    rules: tuple[RulesFacts, ...]
    exhibits: Exhibits
    scanned: tuple[int, int]
    sealed: frozenset[int]
    differences: tuple[str, ...]
    pictures: Mapping[tuple[str, int], bytes]
    made_at: datetime
    made_by: str

    @property
    def is_complete(self) -> bool:
        """Whether all is there."""
        return not self.differences

    def leads_to(self, candidate: FoundCandidate) -> bool:
        """Tell whether a candidate became a lead."""
        return candidate.id in {k.candidate for k in self.kept.leads}


def differences(entries: Entries, kept: Kept) -> tuple[str, ...]:
    """Compare what the ledger has of a case with what the case has recorded; return a sentence for each difference.

    Args:
        entries: all that are about the case, by their indexes.
        kept: what its stores hold.
    """
    return (*_searches(entries, kept), *_reviews(entries, kept), *_images(entries, kept))


def _searches(entries: Entries, kept: Kept) -> Iterator[str]:
    recorded = {r.entry: r for r in kept.records}
    for index, record in recorded.items():
        entry = entries.get(index)
        if entry is None or not is_search(entry):
            yield f"The search {record.id} is recorded with entry {index}, which is no search of this case."
            continue
        strays = Searched.of(index, entry).lacks(record)
        if strays or entry.get("outcome") != "done":
            yield f"The search {record.id} isn't what entry {index} says: {', '.join(strays) or 'its outcome'}."
    for index, entry in entries.items():
        if is_search(entry) and entry.get("outcome") == "done" and "search" in entry and index not in recorded:
            yield f"Entry {index} is a search of this case of which there is no record."
    if len(recorded) != len(kept.records):
        yield "Two searches are recorded with one entry."
    made = Counter(r.run for r in kept.records)
    places = {(r.run, r.probe, r.face, r.collection) for r in kept.records}
    for run in kept.runs:
        if run.state != "running" and run.searches != made[run.id]:
            yield f"The run {run.id} says that it made {run.searches} searches, and has {made[run.id]}."
    for name in sorted(made.keys() - {r.id for r in kept.runs}):
        yield f"There are searches of a run that isn't recorded: {name}."
    for k in kept.candidates:
        if any((k.run, s.probe, s.face, k.collection) not in places for s in k.scores):
            yield f"The candidate {k.id} has a score of a search that isn't recorded."


def _reviews(entries: Entries, kept: Kept) -> Iterator[str]:
    for index, item in kept.items.items():
        entry = entries.get(index)
        if entry is None or at(entry, "request", "action") != Action.REVIEW or entry.get("outcome") != "done":
            yield f"The review {item.id} is recorded with entry {index}, which is no review of this case."
        elif entry.get("sitting") != item.sitting or at(entry, "request", "facts", "review", "round") != item.round:
            yield f"The review {item.id} isn't what entry {index} says: its sitting or round."
    for index, entry in entries.items():
        is_done = at(entry, "request", "action") == Action.REVIEW and entry.get("outcome") == "done"
        if is_done and index not in kept.answered:
            yield f"Entry {index} is a review of this case without a record: erased with its candidate, or lost."
    for lead in kept.leads:
        if lead.entry not in kept.items and any(k.id == lead.candidate for k in kept.candidates):
            yield f"The lead {lead.id} rests on entry {lead.entry}, which is no review that is recorded."


def _images(entries: Entries, kept: Kept) -> Iterator[str]:
    brought = [e for e in entries.values() if at(e, "request", "action") == Action.IMPORT_IMAGES]
    done = [e for e in brought if e.get("outcome") == "done"]
    told = {e.get("image_id") for e in done}
    for image in kept.images:
        if image.id not in told:
            yield f"The image {image.id} is kept, and no entry says that it was brought in."
    counted = Counter(str(e.get("import_id")) for e in done if e.get("images") == 1)
    for one in kept.imports:
        count = one.counts.get(ItemOutcome.IMPORTED, 0)
        if counted[one.id] != count:
            yield f"The import {one.id} has brought in {count} images, and the ledger says {counted[one.id]}."
