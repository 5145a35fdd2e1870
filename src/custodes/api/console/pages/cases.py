# SPDX-License-Identifier: Apache-2.0
"""Cases: the list, opening one, the overview of one, what happens to it, and its history in the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from custodes.api.console.entries import newest
from custodes.api.console.pages.casedesk import AtCase, Looking, Working, casework, moment_of, number_of
from custodes.api.console.visits import Visit, Visitor
from custodes.casework import CandidateState, CaseEvent, CaseFile, CaseImage, CaseStatus, ImageRole
from custodes.casework.model import after
from custodes.errors import Conflict, CustodesError, Invalid
from custodes.governance import Authority, Purpose, Role
from custodes.operations.cases import KEEP_DAYS, CaseView

__all__ = ["router"]

router = APIRouter(prefix="/console/cases")

_KINDS: Mapping[Purpose, str] = {
    Purpose.MISSING_PERSON: "Somebody is missing, and you look for them.",
    Purpose.VICTIM_IDENTIFICATION: "Somebody in pictures is a victim, and you want to find and protect them.",
    Purpose.WELLBEING_CHECK: "Somebody may need help, and you want to find out who they are.",
    Purpose.CRIMINAL_INVESTIGATION: "You investigate a crime.",
}
"""Purposes for which there are cases, and what each means."""

_EVENTS: Mapping[CaseEvent, str] = {
    CaseEvent.RESUME: "Resume",
    CaseEvent.REOPEN: "Reopen",
    CaseEvent.FIND: "The person is found",
    CaseEvent.SUSPEND: "Suspend",
    CaseEvent.CLOSE: "Close",
}
_HAPPENED: Mapping[CaseEvent, str] = {
    CaseEvent.SUSPEND: "The case is suspended: nobody searches for it until it is resumed.",
    CaseEvent.RESUME: "Work on the case goes on.",
    CaseEvent.FIND: "The person is found. Nobody searches any more; if it was a mistake, reopen the case.",
    CaseEvent.REOPEN: "The case is open again.",
    CaseEvent.CLOSE: "The case is closed.",
}
_DAY = 86_400
_YEAR = 365.2425 * _DAY
_REFERENCES = 200


# --- the list ---


@dataclass(frozen=True, slots=True)
class _Line:
    """A case in the list; ``found``, ``judged``, ``leads``: its candidates; ``days_left`` until it is erased."""

    file: CaseFile
    lead: str
    is_member: bool
    found: int
    judged: int
    leads: int
    days_left: int | None


@router.get("")
async def cases(visit: Visitor) -> Response:
    """List the cases that the visitor works on or administers."""
    return await _list(visit, "", "", "")


@router.post("/filter")
async def filtered(visit: Visitor) -> Response:
    """List some of these cases; what is looked for may be a name, so that it is in no address."""
    return await _list(visit, visit.text("status"), visit.text("kind"), visit.text("text")[:120])


async def _list(visit: Visit, status: str, kind: str, text: str) -> Response:
    caller, work, app = visit.caller(), casework(visit), visit.console.app

    def read() -> tuple[list[_Line], bool]:
        files, counts = work.cases.list(caller), work.browsing.counts(caller)
        names = {p.id: p.name for p in app.people.principals()}
        wanted = text.casefold()
        chosen = [
            f
            for f in files
            if (not status or f.status == status)
            and (not kind or f.kind == kind)
            and wanted in f"{f.title} {f.reference} {f.id}".casefold()
        ]
        return [_line(visit, f, names, counts.get(f.id, {})) for f in chosen], bool(files)

    lines, any_at_all = await visit.quick(read)
    values = {
        "lines": lines,
        "any": any_at_all,
        "kinds": [(str(k), str(k).replace("-", " ").capitalize()) for k in _KINDS],
        "filter": {"status": status, "kind": kind, "text": text},
        "may_open": _may_open(visit),
    }
    return visit.page("cases_list.html.j2", values)


def _line(visit: Visit, file: CaseFile, names: Mapping[str, str], counts: Mapping[CandidateState, int]) -> _Line:
    return _Line(
        file=file,
        lead=names.get(file.lead, file.lead or "nobody"),
        is_member=visit.session.principal in file.members,
        found=counts.get(CandidateState.FOUND, 0),
        judged=counts.get(CandidateState.IN_REVIEW, 0),
        leads=counts.get(CandidateState.LEAD, 0),
        days_left=_days_left(file),
    )


def _days_left(file: CaseFile) -> int | None:
    """Return in how many days a case is erased, or None if that isn't settled."""
    if file.erase_at is None:
        return None
    return max(0, -int(-(file.erase_at - datetime.now(UTC)).total_seconds() // _DAY))


def _may_open(visit: Visit) -> bool:
    return bool({Role.ADMIN, Role.OPERATOR} & visit.session.roles) and bool(_kinds(visit))


def _kinds(visit: Visit) -> list[Purpose]:
    return [k for k in _KINDS if k in visit.session.purposes]


# --- opening ---


async def _ask(visit: Visit, error: CustodesError | None = None, status: int = 200) -> Response:
    people, authorities = await visit.quick(lambda: visit.console.app.managing.for_new_case(visit.caller()))
    kinds = [(str(k), str(k).replace("-", " ").capitalize(), _KINDS[k]) for k in _kinds(visit)]
    chosen = visit.text("kind") or (str(visit.session.purpose) if visit.session.purpose in _KINDS else "")
    if not chosen and kinds:
        chosen = kinds[0][0]
    values = {
        "error": error,
        "kinds": kinds,
        "people": [(p.id, p.name) for p in people],
        "authorities": [_authority(a) for a in authorities],
        "given": {
            "kind": chosen,
            "title": visit.text("title"),
            "reference": visit.text("reference"),
            "about": visit.text("about"),
            "lead": visit.text("lead") or visit.session.principal,
            "authority": visit.text("authority"),
            "sensitive": visit.text("sensitive"),
            "keep_days": visit.text("keep_days") or str(KEEP_DAYS),
        },
    }
    return visit.page("cases_new.html.j2", values, status=status)


def authorities_of(visit: Visit, organisation: str) -> list[tuple[str, str]]:
    """Return the authorities of an organisation that hold today, for a field to choose from."""
    now = datetime.now(UTC)
    return [
        _authority(a)
        for a in visit.console.app.grounds.authorities()
        if a.organisation == organisation and a.not_before <= now < a.not_after
    ]


def _authority(found: Authority) -> tuple[str, str]:
    kind = str(found.kind).replace("-", " ").capitalize()
    return found.id, f"{kind}, {found.issuer}, until {found.not_after:%Y-%m-%d}"


@router.get("/new")
async def ask_for_case(visit: Visitor) -> Response:
    """Ask what a new case is about; who opens none is refused, since the form has names of people and issuers."""
    return await _ask(visit)


@router.post("")
async def open_case(visit: Visitor) -> Response:
    """Open a case."""
    try:
        made = await _opened(visit)
    except Invalid as error:
        return await _ask(visit, error, 400)
    return visit.done(f"/console/cases/{made.id}", "The case is open. Add a photo of the person first.")


async def _opened(visit: Visit) -> CaseFile:
    """Open a case as the form has it.

    Raises:
        Invalid: if a field can't be meant.
    """
    kinds, work = _kinds(visit), casework(visit)
    told = visit.text("kind")
    if told not in set(kinds):
        raise Invalid("Choose of what kind the case is.", remedy="You can open cases of the purposes of your login.")
    kind = Purpose(told)
    days = number_of(visit.text("keep_days"), "The number of days", 0, 3650)
    sensitive = {"yes": True, "no": False}.get(visit.text("sensitive"))
    return await visit.quick(
        lambda: work.cases.open(
            replace(visit.caller(), purpose=kind),
            kind,
            visit.text("title"),
            reference=visit.text("reference"),
            about=visit.text("about"),
            authority=visit.text("authority") or None,
            lead=visit.text("lead") or None,
            sensitive=sensitive,
            keep_days=KEEP_DAYS if days is None else int(days),
        )
    )


# --- the overview ---


@dataclass(frozen=True, slots=True)
class _Moment:
    """A reference photo on the line of time; ``years``: since the one before."""

    image: CaseImage
    years: float | None


@dataclass(frozen=True, slots=True)
class _Overview:
    view: CaseView
    line: tuple[_Moment, ...]
    undated: tuple[CaseImage, ...]
    since: float | None
    hidden: frozenset[str]
    searched: bool


@router.get("/{case}")
async def overview(at: Looking) -> Response:
    """Show a case."""
    return await _show(at)


async def _show(at: AtCase, error: CustodesError | None = None, status: int = 200) -> Response:
    found = await at.visit.quick(lambda: _read(at))
    values = {
        "found": found,
        "view": found.view,
        "steps": _steps(at, found),
        "events": _events(at.file.status),
        "days_left": _days_left(at.file),
        "collections": {k.uid: k.name for k in found.view.collections},
        "error": error,
        "given": {name: at.visit.text(name) for name in ("seen_at", "place", "note")},
    }
    return at.page("cases_overview.html.j2", "overview", values, status=status)


def _read(at: AtCase) -> _Overview:
    work, case = casework(at.visit), at.file.id
    view = work.cases.view(at.visit.caller(), case)
    if not (at.is_member and at.is_suited):
        return _Overview(view, (), (), None, frozenset(), searched=False)
    photos, _ = work.cases.photos(at.caller, case, ImageRole.REFERENCE, limit=_REFERENCES)
    dated = sorted((p for p in photos if p.taken_at), key=lambda p: p.taken_at or at.file.opened_at)
    before = [None, *(p.taken_at for p in dated)]
    line = tuple(_Moment(p, _years(b, p.taken_at)) for p, b in zip(dated, before, strict=False))
    since = _years(dated[-1].taken_at, datetime.now(UTC)) if dated else None
    hidden = work.pictures.hidden(at.caller, case, photos)
    undated = tuple(p for p in photos if not p.taken_at)
    return _Overview(view, line, undated, since, hidden, searched=bool(work.candidates.runs(at.caller, case)))


def _years(one: datetime | None, other: datetime | None) -> float | None:
    return None if one is None or other is None else abs((other - one).total_seconds()) / _YEAR


def _events(status: CaseStatus) -> list[tuple[str, str]]:
    """Return what can happen to a case that stands there, and what buttons call it."""
    found = []
    for event, name in _EVENTS.items():
        try:
            after(status, event)
        except Conflict:
            continue
        found.append((str(event), name))
    return found


def _steps(at: AtCase, found: _Overview) -> list[tuple[str, str, str]]:
    """Return what to do next, at most three things: the words, where that is, and what the link is called."""
    if at.file.status != CaseStatus.OPEN or not (at.is_member and at.is_suited):
        return []
    view, path, steps = found.view, at.path, []
    if not view.images.get(ImageRole.REFERENCE):
        steps.append(
            ("Add a photo of the person, best several of different years.", f"{path}/photos/new", "Add photos")
        )
    if not any(k.face_count for k in view.collections):
        steps.append(("Bring in images to search: a ZIP, or many photos.", f"{path}/imports/new", "Import images"))
    if not steps and not found.searched:
        steps.append(("Search for the person with all reference photos.", f"{path}/search", "Search"))
    if waiting := view.candidates.get(CandidateState.FOUND, 0):
        told = "1 candidate waits" if waiting == 1 else f"{waiting:,} candidates wait"
        steps.append((f"{told} for you to look at.", f"{path}/search", "See the searches"))
    if view.leads:
        steps.append(("There are leads: people have judged them.", f"{path}/leads", "See the leads"))
    return steps[:3]


@router.post("/{case}/sightings")
async def add_sighting(at: Working) -> Response:
    """Note that somebody says to have seen the person."""
    visit, work = at.visit, casework(at.visit)
    try:
        seen_at = moment_of(visit.text("seen_at"), visit.text("offset", "0"))
        await visit.quick(
            lambda: work.cases.sight(
                at.caller, at.file.id, seen_at=seen_at, place=visit.text("place"), note=visit.text("note")
            )
        )
    except Invalid as error:
        return await _show(at, error, 400)
    return at.done("#sightings", "The sighting is noted.")


# --- what happens to it ---


@router.get("/{case}/close")
async def ask_to_close(at: Looking) -> Response:
    """Say what closing a case starts."""
    view = await at.visit.quick(lambda: casework(at.visit).cases.view(at.visit.caller(), at.file.id))
    after(at.file.status, CaseEvent.CLOSE)
    return at.page("cases_close.html.j2", "overview", {"view": view})


@router.post("/{case}/event")
async def happen(at: Looking) -> Response:
    """Suspend, resume, find, reopen or close a case."""
    told = at.visit.text("event")
    if told not in set(CaseEvent):
        raise Invalid("Choose what happens to the case.")
    event = CaseEvent(told)
    if event == CaseEvent.CLOSE and not at.visit.has("sure"):
        return at.done("/close")
    await at.visit.quick(lambda: casework(at.visit).cases.happen(at.caller, at.file.id, event))
    return at.done("", _HAPPENED[event])


# --- history ---


@router.get("/{case}/history")
async def history(at: Looking, before: Annotated[int | None, Query(ge=0, le=10**12)] = None) -> Response:
    """Show the ledger's entries of a case, the newest first."""
    ledger, case = at.visit.console.app.ledger, at.file.id

    def of_case(entry: Mapping[str, Any]) -> bool:
        return case in (entry.get("case"), entry.get("target"))

    found = await at.visit.quick(lambda: newest(ledger, of_case, before))
    first = await at.visit.quick(lambda: ledger.index_at(at.file.opened_at))
    more = found.before if found.before is not None and found.before > first else None
    values = {"lines": found.lines, "older": more, "first_page": before is None, "read_to": max(found.read_to, first)}
    return at.page("cases_history.html.j2", "history", values)
