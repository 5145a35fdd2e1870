# SPDX-License-Identifier: Apache-2.0
"""The dashboard: the first page after signing in; a script asks for its figures again every few seconds.

Looking at it is no use of faces: nothing of it enters the ledger, and what it reads is bounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, RedirectResponse

from custodes.api.console.visits import Visit, Visitor
from custodes.api.warmup import Warmth
from custodes.casework import CaseStatus
from custodes.governance import OrgClass, Purpose, Role
from custodes.operations.overview import Day, Figures

__all__ = ["router"]

router = APIRouter()

_USES = frozenset({Role.USER, Role.REVIEWER, Role.ADMIN, Role.OPERATOR})
_CAMERAS = "/console/cameras"
_SOON = timedelta(days=30)
_HEIGHT = 100  # of the chart, in its own units
_LEAST = 2  # of a bar that stands for anything
_READY = {
    Warmth.COLD: ("Starting", "warn"),
    Warmth.WARMING: ("Models are loading", "warn"),
    Warmth.WARM: ("Ready", "good"),
    Warmth.FAILED: ("Not all models load", "bad"),
}


@dataclass(frozen=True, slots=True)
class _Figure:
    """A number with its name; ``key`` is how the script finds it, ``href`` where it leads."""

    key: str
    value: str
    label: str
    href: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True)
class _Meter:
    """How much of a cap is used; ``most`` is None where there is none."""

    key: str
    label: str
    made: int
    most: int | None


@dataclass(frozen=True, slots=True)
class _Bars:
    """A day of the chart, with the heights of its two bars."""

    day: Day
    searches: float
    refused: float


@dataclass(frozen=True, slots=True)
class _Board:
    """All that the dashboard shows."""

    figures: Figures
    work: tuple[_Figure, ...]
    restraints: tuple[_Figure, ...]
    record: tuple[_Figure, ...]
    meters: tuple[_Meter, ...]
    bars: tuple[_Bars, ...]
    most: int
    training: str

    def values(self) -> Mapping[str, str]:
        """Return the texts that change, by key."""
        told = {f.key: f.value for f in (*self.work, *self.restraints, *self.record)}
        told["refused"] = f"{self.figures.days[-1].refused:,}"
        told["searches"] = f"{self.figures.days[-1].searches:,}"
        for bars in self.bars:
            told[f"searches-{bars.day.date}"] = f"{bars.day.searches:,}"
            told[f"refused-{bars.day.date}"] = f"{bars.day.refused:,}"
        for meter in self.meters:
            told[f"{meter.key}-words"] = f"{meter.made:,} of {meter.most:,}" if meter.most else f"{meter.made:,}"
        return told


def _href(visit: Visit, path: str) -> str:
    """Return a path if there is a page."""
    return path if path in visit.console.paths else ""


def _work(visit: Visit, figures: Figures) -> tuple[_Figure, ...]:
    """Return what there is to do and what is held, for those who use faces."""
    session, app = visit.session, visit.console.app
    if not session.roles & _USES or session.purpose == Purpose.OVERSIGHT:
        return ()
    cases = [c for c in app.casework.cases.list(session.caller) if c.status == CaseStatus.OPEN]
    return (
        _Figure("cases", f"{len(cases):,}", "Open cases", _href(visit, "/console/cases")),
        _Figure("collections", f"{figures.own.collections:,}", "Collections", _href(visit, "/console/collections")),
        _Figure("faces", f"{figures.own.faces:,}", "Faces held"),
        _Figure("users", f"{figures.own.users:,}", "Users"),
    )


def _restraints(visit: Visit, figures: Figures) -> tuple[_Figure, ...]:
    rules = _href(visit, "/console/rules")
    found = [
        _Figure(
            "moratoria", f"{len(figures.moratoria):,}", "Moratoria in force", rules, "warn" if figures.binding else ""
        ),
        _Figure("stops", f"{figures.stops:,}", "Stops", rules, "bad" if figures.stops else ""),
    ]
    if figures.alarms is not None:
        alarms, tone = _href(visit, "/console/rules/alarms"), "bad" if figures.alarms else ""
        found.append(_Figure("alarms", f"{figures.alarms:,}", "Alarms to look into", alarms, tone))
    return tuple(found)


def _record(visit: Visit, figures: Figures) -> tuple[_Figure, ...]:
    ledger, warm_up = _href(visit, "/console/ledger"), visit.console.warm_up
    word, tone = _READY[warm_up.state if warm_up is not None else Warmth.WARM]
    made = "none yet" if figures.checkpoint is None else _time(figures.checkpoint[1])
    return (
        _Figure("entries", f"{figures.entries:,}", "Entries of the ledger", ledger),
        _Figure("checkpoint", made, "Last checkpoint"),
        _Figure("ready", word, "Server", "", tone),
    )


def _time(value: datetime) -> str:
    return f"{value:%Y-%m-%d %H:%M} UTC"


def _meters(figures: Figures) -> tuple[_Meter, ...]:
    return (
        _Meter("mine", "You", figures.today.principal, figures.cap.principal),
        _Meter("ours", "Your organisation", figures.today.organisation, figures.cap.organisation),
    )


def _bars(days: tuple[Day, ...]) -> tuple[tuple[_Bars, ...], int]:
    """Return the heights of the chart's bars, and what its height stands for."""
    most = max(1, *(max(d.searches, d.refused) for d in days))

    def height(count: int) -> float:
        return max(_LEAST, round(_HEIGHT * count / most, 1)) if count else 0

    return tuple(_Bars(d, height(d.searches), height(d.refused)) for d in days), most


def _training(visit: Visit, now: datetime) -> str:
    """Tell a reviewer whose training is missing or about to lapse."""
    if Role.REVIEWER not in visit.session.roles:
        return ""
    trainings = visit.console.app.people.principal(visit.session.principal).trainings
    until = max((t.until for t in trainings), default=None)
    if until is None:
        return "No training of yours is recorded: you can't judge candidates."
    if until <= now:
        return f"Your training has lapsed on {until:%Y-%m-%d}: you can't judge candidates."
    return f"Your training lapses on {until:%Y-%m-%d}." if until - now < _SOON else ""


def _read(visit: Visit) -> _Board:
    figures = visit.console.app.overview.figures(visit.session.caller)
    bars, most = _bars(figures.days)
    return _Board(
        figures=figures,
        work=_work(visit, figures),
        restraints=_restraints(visit, figures),
        record=_record(visit, figures),
        meters=_meters(figures) if figures.cap.principal is not None else (),
        bars=bars,
        most=most,
        training=_training(visit, figures.now),
    )


@router.get("/console")
async def dashboard(visit: Visitor) -> Response:
    """Show what there is to do; a household begins with its cameras."""
    if visit.session.organisation.org_class == OrgClass.HOUSEHOLD and visit.console.leads(visit.session, _CAMERAS):
        return RedirectResponse(_CAMERAS, status_code=303)
    board = await visit.quick(lambda: _read(visit))
    values = {"board": board, "values": board.values(), "refusals": _href(visit, "/console/rules/denials")}
    return visit.page("dashboard.html.j2", values)


@router.get("/console/")
async def dashboard_with_slash() -> Response:
    """Lead to the dashboard."""
    return RedirectResponse("/console", status_code=308)


@router.get("/console/live")
async def live(visit: Visitor) -> Response:
    """Tell the script what has changed by now."""
    board = await visit.quick(lambda: _read(visit))
    chart = visit.console.templates.get_template("dashboard_chart.html.j2").render(bars=board.bars)
    told = {
        "values": board.values(),
        "tones": {f.key: f.tone for f in (*board.restraints, *board.record)},
        "meters": {m.key: m.made for m in board.meters},
        "most": f"{board.most:,}",
        "chart": chart,
        "counted": board.figures.counted,
        "at": board.figures.now.isoformat(timespec="seconds"),
    }
    return JSONResponse(told)
