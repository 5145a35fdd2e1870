# SPDX-License-Identifier: Apache-2.0
"""Leads of a case, how they were judged, and what leaves the house: reports, and the disclosure for the defence.

A download is a use that the rules decide and the ledger keeps, so that it is a form and no link.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from custodes.api.console.pages.casedesk import AtCase, Working, casework
from custodes.casework import Answer, CandidateState, CaseImage, Lead
from custodes.casework.judging import CHECKLIST
from custodes.errors import Conflict, Denied, NotFound
from custodes.governance import Role
from custodes.operations.comparing import ReviewView
from custodes.operations.leadform import STATEMENT
from custodes.operations.leads import LeadView

__all__ = ["router"]

router = APIRouter(prefix="/console/cases/{case}")

LeadId = Annotated[str, Path(pattern="^lead-[0-9a-f]{16}$")]

_PAGE = 20

_ANSWERS: Mapping[Answer, str] = {
    Answer.SUPPORTS_STRONGLY: "supports strongly that it is one person",
    Answer.SUPPORTS: "supports that it is one person",
    Answer.INCONCLUSIVE: "can't be told",
    Answer.CONTRADICTS: "supports that these are two people",
    Answer.CONTRADICTS_STRONGLY: "supports strongly that these are two people",
}


@dataclass(frozen=True, slots=True)
class _Shown:
    """A lead; ``view`` is None if its candidate is erased, ``why``: why its reviews aren't shown."""

    lead: Lead
    view: LeadView | None
    reviews: tuple[ReviewView, ...]
    why: str


def _read(at: AtCase, page: int) -> tuple[list[_Shown], int, dict[str, CaseImage], frozenset[str]]:
    work, case = casework(at.visit), at.file.id
    leads = work.leads.list(at.caller, case)
    shown = [_shown(at, lead) for lead in leads[(page - 1) * _PAGE : page * _PAGE]]
    wanted = {s.view.candidate.image for s in shown if s.view} | {
        s.view.candidate.scores[0].probe for s in shown if s.view and s.view.candidate.scores
    }
    images: dict[str, CaseImage] = {}
    for image in wanted - {None}:
        try:
            images[str(image)] = work.cases.photo(at.caller, case, str(image))
        except NotFound:  # it was destroyed meanwhile
            continue
    return shown, len(leads), images, work.pictures.hidden(at.caller, case, tuple(images.values()))


def _shown(at: AtCase, lead: Lead) -> _Shown:
    work = casework(at.visit)
    try:
        view = work.leads.get(at.caller, lead.id)
    except NotFound as error:
        return _Shown(lead, None, (), error.message)
    try:
        return _Shown(lead, view, work.review.reviews_of(at.caller, lead.candidate), "")
    except (Denied, Conflict, NotFound) as error:  # as while the visitor judges candidates of the case blind
        return _Shown(lead, view, (), f"{error.message} {error.remedy}")


@router.get("/leads")
async def leads(at: Working, page: Annotated[int, Query(ge=1, le=1000)] = 1) -> Response:
    """Show the leads of a case with their reviews."""
    shown, count, images, hidden = await at.visit.quick(lambda: _read(at, page))
    view = await at.visit.quick(lambda: casework(at.visit).cases.view(at.visit.caller(), at.file.id))
    values = {
        "leads": shown,
        "count": count,
        "page": page,
        "last": max(1, -(-count // _PAGE)),
        "images": images,
        "hidden": hidden,
        "waiting": view.candidates.get(CandidateState.IN_REVIEW, 0),
        "answers": _ANSWERS,
        "checklist": CHECKLIST,
        "statement": STATEMENT,
        "is_reviewer": Role.REVIEWER in at.visit.session.roles,
        "sensitive": at.file.sensitive or bool(hidden),
    }
    return at.page("cases_leads.html.j2", "leads", values)


@router.post("/leads/{lead}/report")
async def report(at: Working, lead: LeadId) -> Response:
    """Make the report of a lead: a PDF, or JSON."""
    visit, work = at.visit, casework(at.visit).leads
    as_json, sensitive = visit.text("form") == "json", visit.has("with_sensitive")

    def make() -> bytes:
        if work.get(at.caller, lead).lead.case != at.file.id:
            raise NotFound("There is no such lead in this case.")
        made = work.report(at.caller, lead, with_sensitive=sensitive)
        return made.to_json() if as_json else made.to_pdf()

    data = await visit.inference(make)
    kind = "json" if as_json else "pdf"
    return _download(data, f"{lead}.{kind}", f"application/{kind}")


def _download(data: bytes, name: str, media_type: str) -> Response:
    return Response(data, media_type=media_type, headers={"content-disposition": f'attachment; filename="{name}"'})


@router.post("/leads/disclosure")
async def disclose(at: Working) -> Response:
    """Make the disclosure bundle of the case, a ZIP."""
    visit, work = at.visit, casework(at.visit).bundles
    pictures, sensitive = visit.has("pictures"), visit.has("with_sensitive")

    def make() -> bytes:
        return work.make(at.caller, at.file.id, pictures=pictures, with_sensitive=sensitive).to_zip()

    data = await visit.inference(make)
    return _download(data, f"{at.file.id}-disclosure.zip", "application/zip")
