# SPDX-License-Identifier: Apache-2.0
"""The report of a lead as a value, and as JSON of the form ``custodes/lead-report/v1`` (docs/leads.md, field by field).

It says first that it is a lead and nothing more. Everything in it but ``seal`` is what its export has committed to in
the ledger: ``seal`` is the disclosure of that entry, which opens ``report``, the SHA-256 of the rest in its one form
(no spaces, names sorted).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import orjson

from custodes.casework import CaseFile, CaseImage, FoundCandidate, Lead, ReviewerFigures, Run
from custodes.governance import Authority, Organisation
from custodes.operations.caserows import (
    Reviewed,
    Searched,
    Unlisted,
    authority_row,
    candidate_row,
    image_row,
    instant,
    organisation_row,
)
from custodes.operations.comparing import wilson
from custodes.operations.dossier import Meaning, ModelFacts, RulesFacts
from custodes.operations.exhibits import Exhibits, digest_of

__all__ = ["FOLLOWS", "FORM", "LIMITS", "SEALED", "STATEMENT", "LeadReport", "figures_row"]

FORM = "custodes/lead-report/v1"
"""What the JSON is; another number, another form."""
SEALED = "report"
"""Name of the commitment to a report in the entry of its export."""

STATEMENT = "An investigative lead, not an identification, and no ground for arrest."
"""What stands first."""

FOLLOWS = (
    "Independent evidence must connect the person to the matter before anybody acts. This report is no such evidence, "
    "and neither is a witness who was shown the photo that it led to.",
    "Nobody is arrested, searched, charged or confronted because of this report, or of conclusions from it alone.",
    "Whoever asks a court or a prosecutor for anything names this search, all of its candidates and all reviews.",
    "The defence gets the disclosure bundle of the case: every search in it, also those that found nobody.",
)
"""What must follow."""

LIMITS = (
    "It doesn't say who the person is. A label is what an organisation enrolled a photo under; nobody has checked it "
    "here.",
    "A similarity is no probability that two photos show one person. It is a scale that stands for how seldom photos "
    "of two different people come so close, in the pictures on which it was measured; worse light, older photos, "
    "relatives, and other groups of people than those have other rates.",
    "A search lists whoever is most alike, whether or not the person who is looked for is in the collection; and the "
    "more faces a collection has, the more of them are alike by chance.",
    "Reviews are opinions of people who have looked at two photos. How often a reviewer took two people for one on "
    "controls is told as counted; a few controls say little.",
    "Where images come from, when they were taken and what is said in notes is as it was entered.",
    "The proofs show that the entries were written when they say and were not changed since, and that this report is "
    "the one that was exported; not that what somebody entered is true.",
    "What was erased before this export isn't in it; where the ledger still shows that there was something, that is "
    "said.",
)
"""What a report doesn't say."""


@dataclass(frozen=True, slots=True, eq=False)
class LeadReport:
    """The report of a lead.

    Attributes:
        lead, case, organisation, authorities: what it is about.
        run, searches, candidates, unlisted: what was searched, what was found, and what the list leaves out.
        images: that any of it speaks of, by id.
        reviews, figures: of the candidate, and what its reviewers did altogether.
        models, rules: by version, and by hash.
        exhibits: entries of the ledger with their proofs.
        made_at, made_by: when and by whom it was exported.
        pictures: cut-outs of faces as JPEG, by image and number; sensitive ones only if they were asked for.
        seal: disclosure of the export's entry, as JSON.
        entry: index of the export's entry.
    """

    lead: Lead
    case: CaseFile
    organisation: Organisation
    authorities: tuple[Authority, ...]
    run: Run
    searches: tuple[Searched, ...]
    candidates: tuple[FoundCandidate, ...]
    unlisted: tuple[Unlisted, ...]
    images: Mapping[str, CaseImage]
    reviews: tuple[Reviewed, ...]
    figures: tuple[ReviewerFigures, ...]
    models: Mapping[str, ModelFacts]
    rules: tuple[RulesFacts, ...]
    exhibits: Exhibits
    made_at: datetime
    made_by: str
    pictures: Mapping[tuple[str, int], bytes]
    seal: bytes = b"null"
    entry: int = -1

    @property
    def candidate(self) -> FoundCandidate:
        """The candidate that is the lead."""
        return next(k for k in self.candidates if k.id == self.lead.candidate)

    @property
    def comparisons(self) -> int | None:
        """How many comparisons of two faces the run made, or None if that isn't known of one of its searches."""
        sizes = [s.collection_size for s in self.searches]
        return None if None in sizes else sum(n for n in sizes if n is not None)

    def meaning(self, candidate: FoundCandidate) -> Meaning | None:
        """Return what a candidate's similarity means, as far as the model says."""
        version = next((s.model for s in self.searches if s.collection == candidate.collection and s.model), "")
        model = self.models.get(version)
        return None if model is None else model.meaning(candidate.similarity, self.comparisons)

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of all that the export commits to."""
        return digest_of(self._told())

    def to_json(self) -> bytes:
        """Return the report as JSON."""
        return orjson.dumps(self._told() | {"seal": orjson.loads(self.seal)}, option=orjson.OPT_INDENT_2)

    def to_pdf(self) -> bytes:
        """Return the report as a PDF with the JSON attached: the same report gives the same bytes."""
        from custodes.operations.leadpdf import to_pdf  # here, as it is large and few export leads

        return to_pdf(self)

    def _told(self) -> dict[str, object]:
        """Return all but the seal."""
        return {
            "form": FORM,
            "statement": STATEMENT,
            "must_follow": list(FOLLOWS),
            "made_at": instant(self.made_at),
            "made_by": self.made_by,
            "lead": {
                "id": self.lead.id,
                "candidate": self.lead.candidate,
                "made_at": instant(self.lead.made_at),
                "entry": self.lead.entry,
            },
            "case": {
                "id": self.case.id,
                "kind": self.case.kind,
                "status": str(self.case.status),
                "title": self.case.title,
                "reference": self.case.reference,
                "opened_at": instant(self.case.opened_at),
                "authority": self.case.authority,
                "organisation": organisation_row(self.organisation),
            },
            "authorities": [authority_row(a) for a in self.authorities],
            "run": self._run(),
            "searches": [s.to_json() for s in self.searches],
            "candidates": [candidate_row(k) | {"meaning": self._meaning(k)} for k in self.candidates],
            "unlisted": [
                {"entry": u.entry, "reference": u.reference, "similarity": u.similarity, "why": u.why}
                for u in self.unlisted
            ],
            "images": {i.id: image_row(i) for i in self.images.values()},
            "reviews": [r.to_json() for r in self.reviews],
            "reviewers": [figures_row(f) for f in self.figures],
            "models": [m.to_json() for m in self.models.values()],
            "rules": [r.to_json() for r in self.rules],
            "limits": list(LIMITS),
            "ledger": self.exhibits.to_json(),
        }

    def _run(self) -> dict[str, object]:
        return {
            "id": self.run.id,
            "kind": str(self.run.kind),
            "at": instant(self.run.at),
            "by": self.run.by,
            "state": str(self.run.state),
            "why": self.run.why,
            "standing": self.run.standing,
            "searches": self.run.searches,
            "candidates": self.run.candidates,
            "comparisons": self.comparisons,
        }

    def _meaning(self, candidate: FoundCandidate) -> dict[str, object] | None:
        meaning = self.meaning(candidate)
        return None if meaning is None else meaning.to_json()


def figures_row(figures: ReviewerFigures) -> dict[str, object]:
    """Return the row of what a reviewer did until the export, in all cases, in sittings that were over."""
    rate = figures.control_errors / figures.controls if figures.controls else None
    interval = wilson(figures.control_errors, figures.controls)
    return {
        "by": figures.principal,
        "reviews": figures.reviews,
        "controls": figures.controls,
        "control_errors": figures.control_errors,
        "control_error_rate": None if rate is None else round(rate, 4),
        "interval_of_95_percent": None if interval is None else [round(v, 4) for v in interval],
        "inconclusive": figures.inconclusive,
        "decided": figures.decided,
        "agreed": figures.agreed,
    }
