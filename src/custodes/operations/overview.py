# SPDX-License-Identifier: Apache-2.0
"""What a dashboard shows: how much is held, what was used and refused, which restraints hold. It is no use of faces.

What the last days were is counted out of the ledger, each entry once and few at a time, so that a look at it stays
short however long the ledger is; what is counted is remembered.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType
from typing import Any

from custodes.db import Database
from custodes.gallery import Collections
from custodes.governance import Caller, Organisation, OrgClass, Registry, Role, Watch
from custodes.governance.moratorium import Moratorium
from custodes.governance.request import SEARCHES, Uses
from custodes.ledger import Log, parse
from custodes.operations.guard import Guard

__all__ = ["CAPS", "DAYS", "Cap", "Day", "DayCounts", "Figures", "Holding", "Overview"]

DAYS = 14
"""So many days are counted, today included."""


@dataclass(frozen=True, slots=True)
class Cap:
    """How many searches and comparisons a day the base rules allow one person, and one organisation; None for any."""

    principal: int | None
    organisation: int | None


CAPS: Mapping[OrgClass, Cap] = MappingProxyType(
    {
        OrgClass.LAW_ENFORCEMENT: Cap(50, 200),
        OrgClass.VICTIM_RESCUE: Cap(1000, 5000),
        OrgClass.TESTER: Cap(10_000, None),
    }
)
"""As ``base.daily-cap-person`` and ``base.daily-cap-organisation`` say; other classes have none."""

_NO_CAP = Cap(None, None)
_BUDGET = 1500  # entries that one look may read
_SEARCHES = frozenset(map(str, SEARCHES))


@dataclass(frozen=True, slots=True)
class Day:
    """What an organisation did on a day (UTC): searches that were made, and whatever the rules refused."""

    date: date
    searches: int
    refused: int


@dataclass(frozen=True, slots=True)
class Holding:
    """How many collections there are, faces in them, and users."""

    collections: int
    faces: int
    users: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What there is to know at a glance.

    Attributes:
        now: when that was, by the ledger's clock.
        days: of the own organisation, the oldest first, today last.
        counted: whether all entries of these days are counted; if not, the next look counts on.
        today, cap: searches and comparisons that count against the caps, and these.
        own: what the own organisation holds.
        moratoria, stops: those that are in force now, for whomever.
        binding: the moratoria among them that bind the own organisation.
        stopped: whether the kill switch holds for the own organisation and the caller's purpose.
        alarms: how many nobody has looked into; None for those who don't oversee.
        entries: of the ledger.
        checkpoint: size and time of the newest one, or None.
    """

    now: datetime
    days: tuple[Day, ...]
    counted: bool
    today: Uses
    cap: Cap
    own: Holding
    moratoria: tuple[Moratorium, ...]
    binding: tuple[Moratorium, ...]
    stops: int
    stopped: bool
    alarms: int | None
    entries: int
    checkpoint: tuple[int, datetime] | None


class DayCounts:
    """Counts of the last days by organisation, out of the ledger; today first, then back, then on with what is new.

    Args:
        log: the ledger.
        budget: most entries that one look reads.
    """

    def __init__(self, log: Log, budget: int = _BUDGET) -> None:
        self._log = log
        self._budget = budget
        self._lock = threading.Lock()
        self._days: dict[str, dict[str, list[int]]] = {}
        self._first = self._next = -1  # entries from the one on and before the other are counted
        self._start = 0
        self._since: date | None = None

    def read(self, organisation: str, today: date) -> tuple[tuple[Day, ...], bool]:
        """Return an organisation's days, and whether all their entries are counted by now."""
        with self._lock:
            whole = self._count_on(today)
            days = [today - timedelta(days=n) for n in reversed(range(DAYS))]
            found = [(d, self._days.get(d.isoformat(), {}).get(organisation, [0, 0])) for d in days]
            return tuple(Day(d, searches, refused) for d, (searches, refused) in found), whole

    def _count_on(self, today: date) -> bool:
        size, since = self._log.size(), today - timedelta(days=DAYS - 1)
        if self._next < 0:
            self._first = self._next = self._log.index_at(_midnight(today))
        if self._since != since:
            self._start = self._log.index_at(_midnight(since))
            self._since = since
            self._days = {d: counts for d, counts in self._days.items() if d >= since.isoformat()}
        until = min(size, self._next + self._budget)
        left = self._budget - max(0, until - self._next)
        self._add(self._next, until)
        self._next = max(self._next, until)
        back = max(self._start, self._first - left)
        self._add(back, self._first)
        self._first = min(self._first, back)
        return self._next >= size and self._first <= self._start

    def _add(self, start: int, stop: int) -> None:
        if start < stop:
            for data in self._log.entries(start, stop):
                self._add_one(parse(data))

    def _add_one(self, entry: Mapping[str, Any]) -> None:
        organisation, outcome = entry.get("organisation"), entry.get("outcome")
        request = entry.get("request")
        if not isinstance(organisation, str) or not isinstance(request, Mapping):
            return
        place = 1 if outcome == "denied" else 0
        if outcome == "denied" or (outcome == "done" and request.get("action") in _SEARCHES):
            day = self._days.setdefault(str(entry["at"])[:10], {})
            day.setdefault(organisation, [0, 0])[place] += 1


class Overview:
    """What a dashboard shows.

    Args:
        guard, database, registry, watch: governance.
        collections: the gallery's.
        log: the ledger.
    """

    def __init__(
        self,
        guard: Guard,
        database: Database,
        registry: Registry,
        watch: Watch,
        collections: Collections,
        log: Log,
    ) -> None:
        self._guard = guard
        self._db = database
        self._registry = registry
        self._watch = watch
        self._collections = collections
        self._log = log
        self._days = DayCounts(log)

    def figures(self, caller: Caller) -> Figures:
        """Return the figures of the caller's organisation and of the installation. Nothing of it enters the ledger.

        Raises:
            Denied: if the caller is nobody.
        """
        organisation = self._guard.organisation_of(caller)
        with self._db.read() as c:
            now, state = self._guard.now(c), self._registry.state(c)
            roles = state.principals[caller.principal].roles
            today = self._watch.uses(c, caller.principal, organisation, now)
            waiting = self._watch.unanswered(c) if Role.OVERSIGHT in roles else None
        days, counted = self._days.read(organisation, now.date())
        held = self._collections.totals(organisation)
        mine = state.organisations[organisation]
        moratoria = tuple(m for m in state.moratoria if m.begins <= now and (m.ends is None or now < m.ends))
        return Figures(
            now=now,
            days=days,
            counted=counted,
            today=today,
            cap=CAPS.get(mine.org_class, _NO_CAP),
            own=Holding(held.collections, held.references, held.subjects),
            moratoria=moratoria,
            binding=tuple(m for m in moratoria if _binds(m, mine)),
            stops=len(state.stops),
            stopped=state.is_stopped(organisation, str(caller.purpose)),
            alarms=waiting,
            entries=self._log.size(),
            checkpoint=self._log.checkpointed(),
        )

    def now(self) -> datetime:
        """Return the time by which things are decided: the ledger's."""
        with self._db.read() as c:
            return self._guard.now(c)


def _binds(moratorium: Moratorium, organisation: Organisation) -> bool:
    places = {organisation.jurisdiction, organisation.country}
    where = not moratorium.jurisdictions or bool(moratorium.jurisdictions & places)
    return organisation.org_class in moratorium.classes and where


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
