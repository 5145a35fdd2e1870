# SPDX-License-Identifier: Apache-2.0
"""What strangers may see: what this is used for and under which rules, a report, checking the ledger, the board."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from custodes.api.console.accuracy import kind_words
from custodes.api.console.entries import ledger_url
from custodes.api.console.facade import facade_of
from custodes.api.console.figures import month_of
from custodes.api.console.pages.transparency import report_values
from custodes.api.console.visits import Stranger, StrangerAtDoor
from custodes.cameras.moments import from_ms
from custodes.errors import NotFound
from custodes.operations.transparency import Report

__all__ = ["router"]

router = APIRouter()

_AT_ONCE = 0.03  # seconds for which the page waits for figures that aren't counted yet
_SOON = 20.0


@router.get("/")
async def public(stranger: Stranger) -> Response:
    """Say what this is, who uses it for what, under which rules, and what everybody can ask and check."""
    facade = facade_of(stranger.console)
    facts = await facade.facts(stranger.console)
    report = await facade.report(stranger.console, facts, _AT_ONCE)
    now = datetime.now(UTC)
    values: dict[str, object] = {
        "facts": facts,
        "counting": report is None and facts.begun is not None and facts.begun < month_of(now)[0],
        "month": month_of(now)[0],
        "report": report,
        "since": datetime.fromisoformat(report.basis.bounds[0]) if report else None,
        "kinds": kind_words,
        "searches": next((t for t in report.tables if t.name == "searches"), None) if report else None,
    }
    return stranger.page("public.html.j2", values)


async def _report(stranger: StrangerAtDoor) -> Report:
    facade = facade_of(stranger.console)
    found = await facade.report(stranger.console, await facade.facts(stranger.console), _SOON)
    if found is None:
        raise NotFound(
            "There is no report yet: the first is of the month in which the ledger was begun.",
            remedy="Come back when that month is over.",
        )
    return found


@router.get("/console/report")
async def report(stranger: Stranger) -> Response:
    """Show the transparency report of the last month that is over."""
    return stranger.page(
        "public_report.html.j2", report_values(await _report(stranger)) | {"url": ledger_url(stranger)}
    )


@router.get("/console/report.json")
async def report_as_json(stranger: Stranger) -> Response:
    """Return the same report as JSON."""
    return JSONResponse((await _report(stranger)).to_json())


@router.get("/console/verify")
async def verify(stranger: Stranger) -> Response:
    """Check the log, an entry or a receipt in the browser."""
    facts = await facade_of(stranger.console).facts(stranger.console)
    return stranger.page("ledger_verify.html.j2", {"checkpoint": facts.checkpoint, "url": ledger_url(stranger)})


@router.get("/console/board")
async def board(stranger: Stranger) -> Response:
    """Show the public requests for footage, the same for everyone: no cookie is set, nor any asked for."""
    found = await stranger.quick(stranger.console.app.footage.public)
    rows = [(r, from_ms(r.span.start), from_ms(r.span.end)) for r in found]
    return stranger.console.page(stranger.request, "public_board.html.j2", {"requests": rows}, session=None)
