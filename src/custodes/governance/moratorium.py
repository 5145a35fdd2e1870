# SPDX-License-Identifier: Apache-2.0
"""Moratoria as values: whom they bind, where, in what, from when to when, and who is exempt."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from custodes.errors import Invalid
from custodes.governance.request import Action, OrgClass, Purpose

__all__ = ["GROUPS", "USES", "Exemption", "Moratorium", "moratorium_from_json", "moratorium_to_json"]

GROUPS = frozenset({"Recognise", "Search", "Store"})
"""Groups of actions that a moratorium may name instead of single ones."""

USES = (
    Action.DETECT,
    Action.COMPARE,
    Action.SEARCH_REFERENCES,
    Action.SEARCH_SUBJECTS,
    Action.WATCH,
    Action.ENROL,
    Action.IMPORT_IMAGES,
    Action.ASSOCIATE,
    Action.CREATE_COLLECTION,
    Action.CREATE_SUBJECT,
    Action.EVALUATE,
    Action.SCORE_PAIRS,
)
"""What a moratorium may forbid: uses of faces. Deleting, reading, looking at one's own video and governing it can't.

To measure accuracy is in none of the groups: a moratorium that forbids it names it.
"""

_OF_CASES = frozenset({"Recognise", "Search", str(Action.SEARCH_REFERENCES)})
"""Who may not do one of these has no use for a new case."""

_ID = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
_JURISDICTION = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class Exemption:
    """Who may go on: organisations of a class, for these purposes, with an own open case of that purpose."""

    org_class: OrgClass
    purposes: frozenset[Purpose]


@dataclass(frozen=True, slots=True)
class Moratorium:
    """A time in which a use is forbidden.

    Attributes:
        id: lower-case name.
        classes: organisations that it binds, by class.
        jurisdictions: where they are (``US``, ``US-WA``; a country includes its parts); empty for everywhere.
        actions: what is forbidden: actions, or groups of :data:`GROUPS`.
        purposes: for which purposes; empty for all.
        begins, ends: from the first instant on and before the second; None until further notice.
        exempt: who may go on.
        citation, explain, remedy: where it comes from, what it says, and what the refused can do.

    Raises:
        Invalid: if it binds nobody, forbids nothing, or ends before it begins.
    """

    id: str
    classes: frozenset[OrgClass]
    jurisdictions: frozenset[str]
    actions: frozenset[str]
    purposes: frozenset[Purpose]
    begins: datetime
    ends: datetime | None
    exempt: tuple[Exemption, ...]
    citation: str
    explain: str
    remedy: str

    @property
    def binds_cases(self) -> bool:
        """Whether it forbids the searches that cases are for, so that no case is opened that it would keep idle."""
        return bool(self.actions & _OF_CASES)

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise Invalid("A moratorium's id has 1 to 64 lower-case letters, digits, dots and hyphens.")
        if not self.classes or not self.actions:
            raise Invalid("A moratorium names at least one class of organisation and one action.")
        strays = self.actions - GROUPS - set(map(str, USES))
        if strays:
            raise Invalid(f"A moratorium can't forbid {', '.join(sorted(strays))}: it forbids uses of faces.")
        if not all(_JURISDICTION.fullmatch(j) for j in self.jurisdictions):
            raise Invalid("A jurisdiction is a code of ISO 3166-2 (US-WA) or of a country (US).")
        for text in (self.citation, self.explain, self.remedy):
            if not text.strip() or len(text) > 1000 or not text.isprintable():
                raise Invalid("A moratorium has a citation, an explanation and a remedy, each of one line.")
        if self.begins.tzinfo is None or (self.ends is not None and self.ends.tzinfo is None):
            raise Invalid("A moratorium's dates have a time zone.")
        if self.ends is not None and self.ends <= self.begins:
            raise Invalid("A moratorium ends after it begins.")


def _stamp(value: datetime | None) -> str | None:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if value else None


def moratorium_to_json(value: Moratorium) -> dict[str, Any]:
    """Return a moratorium as JSON; times are RFC 3339."""
    return {
        "id": value.id,
        "classes": sorted(map(str, value.classes)),
        "jurisdictions": sorted(value.jurisdictions),
        "actions": sorted(value.actions),
        "purposes": sorted(map(str, value.purposes)),
        "begins": _stamp(value.begins),
        "ends": _stamp(value.ends),
        "exempt": [{"class": str(e.org_class), "purposes": sorted(map(str, e.purposes))} for e in value.exempt],
        "citation": value.citation,
        "explain": value.explain,
        "remedy": value.remedy,
    }


def moratorium_from_json(value: Mapping[str, Any]) -> Moratorium:
    """Read what :func:`moratorium_to_json` wrote.

    Raises:
        Invalid: if it is no moratorium.
    """
    try:
        return Moratorium(
            id=value["id"],
            classes=frozenset(OrgClass(v) for v in value["classes"]),
            jurisdictions=frozenset(value["jurisdictions"]),
            actions=frozenset(value["actions"]),
            purposes=frozenset(Purpose(v) for v in value["purposes"]),
            begins=datetime.fromisoformat(value["begins"]),
            ends=datetime.fromisoformat(value["ends"]) if value["ends"] else None,
            exempt=tuple(
                Exemption(OrgClass(e["class"]), frozenset(Purpose(v) for v in e["purposes"])) for e in value["exempt"]
            ),
            citation=value["citation"],
            explain=value["explain"],
            remedy=value["remedy"],
        )
    except (KeyError, TypeError, ValueError) as e:
        raise Invalid(f"That is no moratorium: {e}.") from e
