# SPDX-License-Identifier: Apache-2.0
"""Counting the ledger's entries: each belongs to exactly one category, and each category is broken down further.

Entries may be anybody's (a published log is read as it is), so nothing is taken for granted of their form: what is not
understood is counted under what it calls itself. The sums form a tree, for :mod:`custodes.operations.suppression`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from custodes.errors import IntegrityError
from custodes.governance.request import SEARCHES, Action, AuthorityKind
from custodes.operations.suppression import Group, Key

__all__ = ["CATEGORIES", "CHANGES", "ENTRIES", "FIGURES", "OUTCOMES", "REVIEW", "USES", "Tally", "label"]

ENTRIES: Key = ("entries",)
"""How many entries there are."""
FIGURES = "figures"
"""The table of categories."""
USES = ("searches", "comparisons", "enrolments")
"""Categories that count what was asked for, whatever came of it; the other ones count what was done."""
OUTCOMES = ("done", "denied", "failed")
REVIEW = frozenset({str(Action.REVIEW)})
"""Actions by which a person judges candidates."""

CATEGORIES = (
    *USES,
    "erasures",
    "consents",
    "reviews",
    "evaluations",
    "exports",
    "video",
    "logins",
    "alarms",
    "answers",
    "changes",
    "refused",
    "failed",
    "other",
)

_CHANGERS = frozenset(
    map(
        str,
        (
            Action.DECLARE_MORATORIUM,
            Action.STOP_USE,
            Action.ENABLE_RULEBOOK,
            Action.PROPOSE_EASING,
            Action.APPROVE_EASING,
            Action.MANAGE_ORGANISATIONS,
        ),
    )
)
CHANGES = frozenset({"moratorium-declared", "begun", "rules-changed"})
"""What the installation itself does to the rules."""

_USE = (
    {str(a): "searches" for a in SEARCHES}
    | {str(a): "comparisons" for a in (Action.COMPARE, Action.SCORE_PAIRS)}
    | {str(a): "enrolments" for a in (Action.ENROL, Action.IMPORT_IMAGES)}
)
_DONE = (
    {str(a): ("erasures", "asked") for a in (Action.DELETE_REFERENCES, Action.DELETE_SUBJECT, Action.DELETE_COLLECTION)}
    | {str(Action.EXPORT_REPORT): ("exports", "report"), str(Action.DISCLOSE): ("exports", "disclosed")}
    | {str(Action.READ_RESULTS): ("exports", "kept"), str(Action.EXPORT_LEAD): ("exports", "lead")}
    | {str(Action.VIEW_VIDEO): ("video", "viewed"), str(Action.EXPORT_VIDEO): ("video", "clip")}
    | {str(Action.REQUEST_VIDEO): ("video", "requested"), str(Action.APPROVE_VIDEO_REQUEST): ("video", "approved")}
    | {str(Action.SHARE_VIDEO): ("video", "shared"), str(Action.RECORD_PROCESS): ("video", "process")}
    | {str(Action.ANSWER_ALARM): ("answers", "")}
    | {str(a): ("evaluations", "") for a in (Action.EVALUATE, Action.PUBLISH_EVALUATION, Action.WITHDRAW_EVALUATION)}
    | dict.fromkeys(REVIEW, ("reviews", ""))
    | dict.fromkeys(_CHANGERS, ("changes", ""))
)
_EVENTS = {
    "retention": ("erasures", "retention"),
    "consent-ended": ("erasures", "consent-ended"),
    "consent-executed": ("consents", "executed"),
    "published": ("exports", "published"),
    "login": ("logins", ""),
    **dict.fromkeys(CHANGES, ("changes", "")),
}
_CONSENTS = {"consent-recorded": "recorded", "consent-withdrawn": "withdrawn"}
_TAKEN_BACK = "footage-withdrawn"
"""What the same action does that asks for video, and asks for none."""
_UNSAID = "not said"
_NO_AUTHORITY = "no authority"
_REST = "all others"
_LONGEST = 80  # characters of a label
_MOST_ROWS = 200  # of a table; what an honest log can't have


def label(value: object) -> str:
    """Return a text of an entry's as a label: one line, printable, not too long."""
    if not isinstance(value, str):
        return _UNSAID
    text = "".join(c if c.isprintable() else " " for c in value[:_LONGEST])
    return " ".join(text.split()) or _UNSAID


def _of(value: object, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None


def _number(value: object) -> int:
    return value if type(value) is int and value > 0 else 0


@dataclass(frozen=True, slots=True)
class _Breakdown:
    """A column of a table, and the count that it breaks down."""

    table: str
    column: str
    total: Key
    overlap: bool = False


def _category(name: str) -> Key:
    return FIGURES, "entries", name


def _breakdowns() -> Iterable[_Breakdown]:
    yield _Breakdown(FIGURES, "entries", ENTRIES)
    for use in USES:
        yield _Breakdown("outcomes", use, _category(use))
        for outcome in OUTCOMES:
            yield _Breakdown(use, outcome, ("outcomes", use, outcome))
        yield _Breakdown("rules", use, ("outcomes", use, "denied"), overlap=True)
        yield _Breakdown("errors", use, ("outcomes", use, "failed"))
    yield _Breakdown("rules", "other", _category("refused"), overlap=True)
    yield _Breakdown("errors", "other", _category("failed"))
    yield _Breakdown("refused", "requests", _category("refused"))
    yield _Breakdown("authority", "searches", _category("searches"))
    yield _Breakdown("exigent", "searches", ("authority", "searches", "exigency"))
    yield _Breakdown("case", "searches", _category("searches"))
    yield _Breakdown("found", "searches", ("outcomes", "searches", "done"))
    for category in ("erasures", "consents", "exports", "video", "alarms", "other"):
        yield _Breakdown(category, "entries", _category(category))


_BREAKDOWNS = tuple(_breakdowns())
_ROWS: dict[str, tuple[Key, ...]] = {
    FIGURES: tuple((c,) for c in CATEGORIES),
    "outcomes": tuple((o,) for o in OUTCOMES),
    "authority": (*((str(k),) for k in AuthorityKind), (_NO_AUTHORITY,)),
    "exigent": (("filed",), ("open",), ("not-done",)),
    "case": (("named",), ("none",)),
    "found": (("some",), ("nobody",)),
    "erasures": (("asked",), ("retention",), ("consent-ended",)),
    "consents": (("recorded",), ("withdrawn",), ("executed",)),
    "exports": (("report",), ("disclosed",), ("lead",), ("kept",), ("published",)),
    "video": (("viewed",), ("clip",), ("shared",), ("requested",), ("approved",), ("process",)),
}


class Tally:
    """Counts of entries.

    Attributes:
        counts: by table, column and row.
        faces: faces enrolled, and erased for each reason.
    """

    def __init__(self) -> None:
        self.counts: Counter[Key] = Counter()
        self.faces: Counter[str] = Counter()
        self._rows: dict[str, dict[Key, None]] = {}
        for b in _BREAKDOWNS:
            self._rows.setdefault(b.table, dict.fromkeys(_ROWS.get(b.table, ())))
        self._exigent: Counter[str] = Counter()

    def rows(self, table: str) -> tuple[Key, ...]:
        """Return a table's rows: those that every report has in their order, then others by name."""
        fixed = _ROWS.get(table, ())
        return (*fixed, *sorted(set(self._rows[table]) - set(fixed)))

    def add(self, entry: Mapping[str, Any]) -> str:
        """Count an entry, and return its category."""
        self.counts[ENTRIES] += 1
        category = self._classify(entry)
        self._count(FIGURES, "entries", category)
        return category

    def close(self, filed: Iterable[str]) -> None:
        """Count exigent searches, once it is known for which of them an authority was filed.

        Args:
            filed: ids of exigencies.
        """
        after = set(filed)
        for authority, count in self._exigent.items():
            self._count("exigent", "searches", "filed" if authority in after else "open", by=count)
        self._exigent.clear()

    def groups(self) -> tuple[Group, ...]:
        """Return which counts add up to which."""
        return tuple(
            Group(b.total, tuple((b.table, b.column, *row) for row in self.rows(b.table)), b.overlap)
            for b in _BREAKDOWNS
        )

    def values(self) -> dict[Key, int]:
        """Return all counts, those that are 0 too."""
        return {key: self.counts[key] for group in self.groups() for key in group.keys}

    def reconcile(self, entries: int) -> None:
        """Check that the counts add up, and to as many entries as there are.

        Raises:
            IntegrityError: if they don't.
        """
        got = self.counts[ENTRIES]
        if got != entries:
            raise IntegrityError(f"The report doesn't reconcile: the period has {entries} entries, {got} were counted.")
        for group in self.groups():
            total, parts = self.counts[group.total], sum(self.counts[k] for k in group.parts)
            if parts < total or (parts > total and not group.overlap):
                raise IntegrityError(
                    f"The report doesn't reconcile: {'/'.join(group.total)} is {total}, its parts sum to {parts}."
                )

    def _count(self, table: str, column: str, *row: str, by: int = 1) -> None:
        rows = self._rows[table]
        if row not in rows:
            if len(rows) >= _MOST_ROWS:
                row = (_REST,) * len(row)
            rows[row] = None
        self.counts[table, column, *row] += by

    # --- categories ---

    def _classify(self, entry: Mapping[str, Any]) -> str:
        kind, outcome = entry.get("kind"), entry.get("outcome")
        if kind == "system":
            return self._system(entry)
        action = label(_of(entry.get("request"), "action"))
        if kind not in ("use", "act") or outcome not in OUTCOMES:
            return self._other(kind)
        if action in _USE:
            self._use(_USE[action], outcome, entry)
            return _USE[action]
        if outcome == "denied":
            self._count("refused", "requests", action)
            self._why("rules", "other", entry.get("rules"))
            return "refused"
        if outcome == "failed":
            self._why("errors", "other", [entry.get("error")])
            return "failed"
        return self._done(action, entry)

    def _system(self, entry: Mapping[str, Any]) -> str:
        event = label(entry.get("event"))
        if event == "alarm":
            self._count("alarms", "entries", label(entry.get("alarm_kind")))
            return "alarms"
        if event not in _EVENTS:
            return self._other(event)
        category, row = _EVENTS[event]
        if row:
            self._count(category, "entries", row)
        if category == "erasures":
            self.faces[row] += _number(entry.get("erased"))
        return category

    def _done(self, action: str, entry: Mapping[str, Any]) -> str:
        change = label(entry.get("change"))
        if action == Action.FILE_CONSENT and change in _CONSENTS:
            self._count("consents", "entries", _CONSENTS[change])
            return "consents"
        if change == _TAKEN_BACK:
            return self._other(change)
        if action not in _DONE:
            return self._other(action)
        category, row = _DONE[action]
        if row:
            self._count(category, "entries", row)
        if category == "erasures":
            self.faces[row] += _number(entry.get("erased"))
        return category

    def _other(self, what: object) -> str:
        self._count("other", "entries", label(what))
        return "other"

    def _use(self, category: str, outcome: str, entry: Mapping[str, Any]) -> None:
        facts = _of(entry.get("request"), "facts")
        second = "provenance" if category == "enrolments" else "purpose"
        self._count("outcomes", category, outcome)
        self._count(category, outcome, label(_of(_of(facts, "org"), "class")), label(_of(facts, second)))
        if outcome == "denied":
            self._why("rules", category, entry.get("rules"))
        if outcome == "failed":
            self._why("errors", category, [entry.get("error")])
        if category == "enrolments" and outcome == "done":
            self.faces["enrolled"] += _number(entry.get("enrolled"))
        if category == "searches":
            self._search(outcome, entry, facts)

    def _why(self, table: str, column: str, causes: object) -> None:
        """Count each cause once; there is always one."""
        told = causes if isinstance(causes, list | tuple) else ()
        for cause in dict.fromkeys(map(label, told)) or (_UNSAID,):
            self._count(table, column, cause)

    def _search(self, outcome: str, entry: Mapping[str, Any], facts: object) -> None:
        authority = _of(facts, "authority")
        kind = _NO_AUTHORITY if authority is None else label(_of(authority, "kind"))
        self._count("authority", "searches", kind)
        self._count("case", "searches", "none" if entry.get("case") is None else "named")
        if outcome == "done":
            found = entry.get("candidates")
            known = type(found) is int
            self._count("found", "searches", ("some" if found else "nobody") if known else _UNSAID)
        if kind == AuthorityKind.EXIGENCY:
            if outcome == "done":
                self._exigent[str(entry.get("authority"))] += 1
            else:
                self._count("exigent", "searches", "not-done")
