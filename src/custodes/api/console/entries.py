# SPDX-License-Identifier: Apache-2.0
"""The ledger for pages: entries, the newest first and a bounded number of them read, and the newest checkpoint.

Entries are published, so that nothing here asks who looks. They may be anybody's text: nothing is taken for granted of
their form but that they are entries.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from custodes.api.console.visits import AnyVisit
from custodes.api.console.wording import action_words, change_words
from custodes.app import App
from custodes.ledger import Note
from custodes.ledger.checkpoint import Checkpoint
from custodes.operations.ledger import LedgerOperations

__all__ = [
    "CheckpointShown",
    "Found",
    "Line",
    "Wanted",
    "checkpoint_shown",
    "commitments",
    "ledger_url",
    "line_of",
    "newest",
]

_CHUNK = 256
_READ = 8192
"""So many entries are read for one page at most."""
_COMMITMENT = re.compile(r"[0-9a-f]{64}")
_NO_COMMITMENTS = frozenset({"rules_hash", "rules_after", "fingerprint"})


@dataclass(frozen=True, slots=True)
class Line:
    """One entry in a table.

    Attributes:
        index, at, kind: the entry.
        what: what was asked for, done, or happened, in words.
        decision: ``permit``, ``deny``, or nothing.
        outcome: ``done``, ``denied``, ``failed``, or nothing.
        organisation: whose, by id.
        org_class, purpose, case: who asked and for what, as far as it is told.
        rules: those that denied.
    """

    index: int
    at: datetime
    kind: str
    what: str
    decision: str
    outcome: str
    organisation: str
    org_class: str
    purpose: str
    case: str
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries to show; what is empty doesn't choose."""

    kind: str = ""
    action: str = ""
    decision: str = ""
    case: str = ""
    organisation: str = ""

    def takes(self, entry: Mapping[str, Any]) -> bool:
        """Tell whether an entry is one of them."""
        request = entry.get("request")
        action = request.get("action") if isinstance(request, Mapping) else None
        chosen = (
            (self.kind, entry.get("kind")),
            (self.action, action),
            (self.decision, entry.get("decision")),
            (self.case, entry.get("case")),
            (self.organisation, entry.get("organisation")),
        )
        return all(not wanted or wanted == got for wanted, got in chosen)


@dataclass(frozen=True, slots=True)
class Found:
    """A page of entries, the newest first.

    Attributes:
        lines: the entries.
        before: where to read on, or None at the beginning of the log.
        read_to: index of the oldest entry that was read.
    """

    lines: tuple[Line, ...]
    before: int | None
    read_to: int


def newest(
    ledger: LedgerOperations, takes: Callable[[Mapping[str, Any]], bool], before: int | None = None, most: int = 50
) -> Found:
    """Read entries back from a place in the log, or from its end.

    Args:
        ledger: which.
        takes: tells which entries to show.
        before: only those before this index.
        most: so many at most.
    """
    size = ledger.size()
    start = stop = size if before is None else min(before, size)
    floor = max(0, stop - _READ)
    lines: list[Line] = []
    while stop > floor:
        start = max(floor, stop - _CHUNK)
        for index, entry in reversed(list(ledger.entries(start, stop))):
            if takes(entry):
                lines.append(line_of(index, entry))
                if len(lines) == most:
                    return Found(tuple(lines), index or None, index)
        stop = start
    return Found(tuple(lines), start or None, start)


def line_of(index: int, entry: Mapping[str, Any]) -> Line:
    """Return an entry as a line of a table."""
    request = _table(entry.get("request"))
    facts = _table(request.get("facts"))
    rules = entry.get("rules")
    return Line(
        index=index,
        at=datetime.fromisoformat(str(entry["at"])),
        kind=str(entry["kind"]),
        what=_what(entry, _text(request.get("action"))),
        decision=_text(entry.get("decision")),
        outcome=_text(entry.get("outcome")),
        organisation=_text(entry.get("organisation")),
        org_class=_text(_table(facts.get("org")).get("class")),
        purpose=_text(facts.get("purpose")),
        case=_text(entry.get("case")),
        rules=tuple(map(str, rules)) if isinstance(rules, list) else (),
    )


def _what(entry: Mapping[str, Any], action: str) -> str:
    change = _text(entry.get("change")) or _text(entry.get("event"))
    return change_words(change) if change else action_words(action)


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def commitments(entry: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the salted commitments of an entry, by name."""
    return tuple(
        (name, value)
        for name, value in sorted(entry.items())
        if isinstance(value, str) and _COMMITMENT.fullmatch(value) and name not in _NO_COMMITMENTS
    )


@dataclass(frozen=True, slots=True)
class CheckpointShown:
    """The log's newest checkpoint: its text, and what it states."""

    note: str
    origin: str
    size: int
    root: str
    witnesses: int
    vkey: str


def ledger_url(visit: AnyVisit) -> str:
    """Return where the log is published, as the visitor reaches it, for commands that they copy."""
    endpoint = visit.console.app.config.server.endpoint or str(visit.request.base_url)
    return f"{endpoint.rstrip('/')}/ledger/"


def checkpoint_shown(app: App) -> CheckpointShown:
    """Read the log's newest checkpoint."""
    text = app.ledger.checkpoint()
    note = Note.parse(text)
    stated = Checkpoint.parse(note.text)
    root = base64.b64encode(stated.root).decode()
    return CheckpointShown(text, stated.origin, stated.size, root, len(note.signatures) - 1, app.ledger.vkey)
