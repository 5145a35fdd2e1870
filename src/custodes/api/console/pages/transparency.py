# SPDX-License-Identifier: Apache-2.0
"""The transparency report of a period, made of the ledger alone: as a page, and as files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import orjson
from fastapi import APIRouter, Path, Query, Response

from custodes.api.console.dates import day_of
from custodes.api.console.entries import ledger_url
from custodes.api.console.figures import begun_at, last_month, month_of, reports_of, to_csv
from custodes.api.console.visits import Visit, Visitor
from custodes.errors import Invalid
from custodes.operations.sheets import SUPPRESSION
from custodes.operations.transparency import Report

__all__ = ["report_values", "router"]

router = APIRouter(prefix="/console/transparency")

Day = Annotated[str, Query(max_length=10)]
_FILES = {"html": "text/html", "json": "application/json", "csv": "text/csv"}


def report_values(report: Report) -> dict[str, object]:
    """Return what the template of a report needs."""
    bounds = tuple(datetime.fromisoformat(at) for at in report.basis.bounds)
    changes = [(change, datetime.fromisoformat(change.at)) for change in report.changes]
    return {"report": report, "since": bounds[0], "until": bounds[1], "changes": changes, "suppression": SUPPRESSION}


def _quarter_of(now: datetime) -> datetime:
    """Return the beginning of a time's quarter."""
    since, _ = month_of(now)
    return since.replace(month=3 * ((since.month - 1) // 3) + 1)


def _periods(now: datetime) -> list[tuple[str, str, str]]:
    """Return periods to choose from: what each is called, its first day, and the day after its last."""
    month, last = month_of(now), last_month(now)
    quarter, year = _quarter_of(now), month[0].replace(month=1)
    named = (
        ("Last month", *last),
        ("This month", *month),
        ("Last quarter", _quarter_of(quarter - timedelta(days=1)), quarter),
        ("This year", year, year.replace(year=year.year + 1)),
    )
    return [(name, f"{a:%Y-%m-%d}", f"{b:%Y-%m-%d}") for name, a, b in named]


async def _made(visit: Visit, since: str, until: str) -> Report:
    return await reports_of(visit.console).get(
        visit.console, day_of(since, "The first day"), day_of(until, "The day after the last")
    )


@router.get("")
async def transparency(
    visit: Visitor, since: Annotated[Day, Query(alias="from")] = "", until: Annotated[Day, Query(alias="to")] = ""
) -> Response:
    """Show the report of a period; of this month, unless another is chosen."""
    now = datetime.now(UTC)
    periods = _periods(now)
    if not since and not until:
        _, since, until = periods[1]
    values: dict[str, object] = {"periods": periods, "from_": since, "to": until, "error": None, "report": None}
    values["url"] = ledger_url(visit)
    values["begun"] = await visit.quick(lambda: begun_at(visit.console.app))
    try:
        made = await _made(visit, since, until)
    except Invalid as error:
        return visit.page("transparency.html.j2", values | {"error": error}, status=400)
    return visit.page("transparency.html.j2", values | report_values(made))


@router.get("/report.{kind}")
async def file(
    visit: Visitor,
    kind: Annotated[str, Path(pattern="^(html|json|csv)$")],
    since: Annotated[Day, Query(alias="from")],
    until: Annotated[Day, Query(alias="to")],
) -> Response:
    """Hand a report out as a file."""
    made = await _made(visit, since, until)
    if kind == "html":
        data = made.to_html().encode()
    elif kind == "json":
        data = orjson.dumps(made.to_json(), option=orjson.OPT_INDENT_2) + b"\n"
    else:
        data = to_csv(made).encode()
    first, last = (at[:10] for at in made.basis.bounds)
    headers = {"content-disposition": f'attachment; filename="transparency-{first}-{last}.{kind}"'}
    return Response(data, media_type=_FILES[kind], headers=headers)
