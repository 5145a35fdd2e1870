# SPDX-License-Identifier: Apache-2.0
"""Transparency reports for pages: made one at a time, and kept for as long as they are right.

A report reads every entry of its period, so that it isn't made anew for each visit: it is kept by its period and the
size of the log. What everybody sees without a login is of whole months that are over: figures of periods that overlap
would tell by their difference what suppression hides.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from custodes.api.console.frame import Console
from custodes.app import App
from custodes.casework.imports import inert
from custodes.operations.transparency import Report, of_ledger

__all__ = ["Reports", "Stale", "begun_at", "last_month", "month_of", "reports_of", "to_csv"]

T = TypeVar("T")
_KEPT = 8


def month_of(now: datetime) -> tuple[datetime, datetime]:
    """Return the beginning of a time's month (UTC), and of the next one."""
    since = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return since, (since + timedelta(days=32)).replace(day=1)


def last_month(now: datetime) -> tuple[datetime, datetime]:
    """Return beginning and end (UTC) of the last month that is over."""
    until, _ = month_of(now)
    return month_of(until - timedelta(days=1))[0], until


class Reports:
    """Makes reports, and remembers the last few."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._known: OrderedDict[tuple[datetime, datetime, int], Report] = OrderedDict()

    async def get(self, console: Console, since: datetime, until: datetime) -> Report:
        """Return the report of a period, as the log is now.

        Raises:
            Invalid: if the period isn't one.
            Throttled: if too many wait.
        """
        app = console.app
        async with self._turn:
            size = await console.gate.quick.run(app.ledger.size)
            found = self._known.get((since, until, size))
            if found is None:
                found = await console.gate.inference.run(lambda: of_ledger(app.ledger, since, until))
                self._known[since, until, found.basis.size] = found
                while len(self._known) > _KEPT:
                    self._known.popitem(last=False)
            return found


_REPORTS: WeakKeyDictionary[Console, Reports] = WeakKeyDictionary()


def reports_of(console: Console) -> Reports:
    """Return what a console remembers of reports."""
    return _REPORTS.setdefault(console, Reports())


class Stale(Generic[T]):
    """A value that is made anew when it is old; who asks meanwhile gets the old one, or soon nothing.

    Args:
        seconds: so long it is new.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._value: T | None = None
        self._made = float("-inf")
        self._making: asyncio.Task[None] | None = None
        self._dropped = False

    def drop(self) -> None:
        """Forget the value: whoever asks next gets one that was begun after this."""
        self._value, self._made, self._dropped = None, float("-inf"), True

    async def get(self, make: Callable[[], Awaitable[T]], patience: float) -> T | None:
        """Return the value, or None if there is no old one and a new one isn't made within so many seconds.

        Raises:
            Exception: whatever ``make`` raises, if there is no old value.
        """
        loop = asyncio.get_running_loop()
        if self._making is None and loop.time() - self._made >= self._seconds:
            self._making = loop.create_task(self._make(make))
            self._making.add_done_callback(_heard)
        if self._value is None and self._making is not None:
            done, _ = await asyncio.wait({self._making}, timeout=patience)
            for task in done:
                task.result()
        return self._value

    async def _make(self, make: Callable[[], Awaitable[T]]) -> None:
        try:
            while True:
                self._dropped = False
                value = await make()
                if not self._dropped:
                    break
            self._value = value
            self._made = asyncio.get_running_loop().time()
        finally:
            self._making = None


def _heard(task: asyncio.Task[None]) -> None:
    """Take note of how a task ended, so that nobody complains that nobody did; the next who asks begins another."""
    if not task.cancelled():
        task.exception()


def begun_at(app: App) -> datetime | None:
    """Return when the log was begun, or None if it is empty."""
    return datetime.fromisoformat(str(app.ledger.entry(0)["at"])) if app.ledger.size() else None


def to_csv(report: Report) -> str:
    """Return a report's tables as CSV, by the same rule of suppression: a line for each count."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["table", "row", "and", "column", "count", "suppressed", "text"])
    for table in report.tables:
        lines = [(row.names, row.cells) for row in table.rows]
        if table.totals:
            lines.append(((table.total_words,), table.totals))
        for names, cells in lines:
            first, second = names[0], names[1] if len(names) > 1 else ""
            for column, cell in zip(table.columns, cells, strict=False):
                count = "" if cell.count is None else cell.count
                hidden = "yes" if cell.count is None else "no"
                writer.writerow([table.name, inert(first), inert(second), column, count, hidden, cell.text])
    return out.getvalue()
