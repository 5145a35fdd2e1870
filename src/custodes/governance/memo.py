# SPDX-License-Identifier: Apache-2.0
"""Decisions that are remembered: the same question at another time has the same answer, until an instant that counts.

A decision depends on nothing but the rules and the request. Of a request only ``now`` changes from one use to the next
of the same kind, and rules only compare it: with constants, and with times among the facts. Between two such instants
no comparison changes, so that a decision holds from the last of them to the next, both left out. Rules that do
anything else with ``now`` are not remembered at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson

from custodes.governance.request import Request, to_json

if TYPE_CHECKING:
    from custodes.governance.policy import Decision

__all__ = ["Memo"]

_MOST = 10_000
_NOW = re.compile(r"context\s*\.\s*now\b|context\s*\[")
_TIME = r'(?:datetime\("[^"]*"\)|context(?:\.\w+)+(?![\w(.\[]))'
_IS = r"(?:<=|>=|==|!=|<|>)"
_COMPARED = re.compile(rf"context\.now\s*{_IS}\s*{_TIME}|{_TIME}\s*{_IS}\s*context\.now(?![\w(.\[])")
_CONSTANT = re.compile(r'datetime\("([^"]*)"\)')
_COMMENT = re.compile(r"//[^\n]*")
_EVER = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


class Memo:
    """Remembers the decisions of one set of rules; may be used by many threads at once.

    Args:
        policies: the set's rules in Cedar.
    """

    def __init__(self, policies: str) -> None:
        text = _COMMENT.sub("", policies)
        times = [_time(t) for t in _CONSTANT.findall(text)]
        only_compared = len(_NOW.findall(text)) == len(_COMPARED.findall(text))
        self.works = only_compared and None not in times
        self._constants = frozenset(_cut(t) for t in times if t is not None)
        self._known: dict[bytes, tuple[Decision, datetime, datetime]] = {}

    @staticmethod
    def key(request: Request) -> bytes:
        """Return all of a request but ``now``."""
        asked = to_json(request)
        del asked["facts"]["now"]
        return orjson.dumps(asked)

    def find(self, key: bytes, now: datetime) -> Decision | None:
        """Return what was decided on the same request, if that holds at this time."""
        known = self._known.get(key)
        return known[0] if known is not None and known[1] < _cut(now) < known[2] else None

    def keep(self, key: bytes, request: Request, decision: Decision) -> None:
        """Remember a decision, unless it was taken at an instant at which a comparison changes."""
        now = _cut(request.facts.now)
        instants = self._constants | {_cut(t) for t in _times(request.facts, "now")}
        if not self.works or decision.errors or now in instants:
            return
        if len(self._known) >= _MOST:
            self._known.clear()
        since = max((t for t in instants if t < now), default=_EVER[0])
        until = min((t for t in instants if t > now), default=_EVER[1])
        self._known[key] = (decision, since, until)


def _cut(value: datetime) -> datetime:
    """Return a time as Cedar gets to see it: in whole milliseconds."""
    return value.replace(microsecond=value.microsecond // 1000 * 1000)


def _time(text: str) -> datetime | None:
    """Read a constant of Cedar's; None for a form that is not understood here."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _times(value: object, without: str = "") -> Iterator[datetime]:
    """Give all times among facts."""
    if isinstance(value, datetime):
        yield value
    elif is_dataclass(value):
        for f in fields(value):
            if f.name != without:
                yield from _times(getattr(value, f.name))
