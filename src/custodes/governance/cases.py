# SPDX-License-Identifier: Apache-2.0
"""Worked cases: requests beside what a rulebook has to say to them, read from its ``cases.toml``.

A file names defaults, each a whole request, and cases that differ from one of them::

    [defaults.photo-app]
    action = "SearchReferences"
    facts.now = 2026-01-15T12:00:00Z
    facts.org.class = "general"

    [[cases]]
    name = "a photo app in Illinois enrols without a written release"
    like = "photo-app"
    action = "Enrol"
    facts.org.jurisdiction = "US-IL"
    without = ["consent"]
    expect = "deny"
    rules = ["us-il-bipa.written-release"]

``facts`` are those of :mod:`custodes.governance.request` as JSON has them; ``without`` takes some of the default's
away; ``moratoria`` names forms of the same rulebook that are in force. A case is met if the decision is the expected
one and the rules that forbid are these and no others.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from custodes.errors import Invalid
from custodes.governance.request import Request, from_json

__all__ = ["Case", "read_cases"]

_DEFAULT_KEYS = frozenset({"like", "action", "principal", "facts", "without", "moratoria"})
_CASE_KEYS = _DEFAULT_KEYS | {"name", "expect", "rules"}
_NOBODY = "someone"


@dataclass(frozen=True, slots=True)
class Case:
    """One request and what is expected of it.

    Attributes:
        name: the case in a sentence.
        request: what is asked.
        allowed: whether it is to be permitted.
        rules: ids of all rules that forbid it; empty for a permit.
        moratoria: ids of the rulebook's moratoria that are in force.
    """

    name: str
    request: Request
    allowed: bool
    rules: frozenset[str]
    moratoria: frozenset[str] = frozenset()


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay ``over`` upon ``under``, table by table."""
    laid = dict(under)
    for key, value in over.items():
        below = laid.get(key)
        both = isinstance(value, Mapping) and isinstance(below, Mapping)
        laid[key] = _merged(below, value) if both else value  # type: ignore[arg-type]
    return laid


def _removed(facts: Mapping[str, Any], path: str, where: str) -> dict[str, Any]:
    """Return facts without the one at a dotted path.

    Raises:
        Invalid: if there is none.
    """
    head, _, rest = path.partition(".")
    if head not in facts:
        raise Invalid(f"{where}: there is no {path} to do without.")
    left = dict(facts)
    if rest:
        left[head] = _removed(left[head], rest, where)
    else:
        del left[head]
    return left


def _strings(value: object, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise Invalid(f"{where} is a list of texts.")
    return value


def _whole(table: Mapping[str, Any], defaults: Mapping[str, Any], where: str, depth: int = 0) -> dict[str, Any]:
    """Complete a table by the default that it is like.

    Raises:
        Invalid: if there is no such default, or they go round in a circle.
    """
    like = table.get("like")
    if like is None:
        return dict(table)
    if like not in defaults or depth > len(defaults):
        raise Invalid(f"{where} is like {like!r}, which is no default.")
    under = _whole(defaults[like], defaults, f"default {like}", depth + 1)
    facts = _merged(under.get("facts", {}), table.get("facts", {}))
    for path in _strings(table.get("without", []), f"{where}: without"):
        facts = _removed(facts, path, where)
    return {**under, **table, "facts": facts}


def _case(table: Mapping[str, Any], defaults: Mapping[str, Any], number: int) -> Case:
    where = f"case {number} ({table.get('name', 'without a name')})"
    strays = set(table) - _CASE_KEYS
    if strays:
        raise Invalid(f"{where} has no {', '.join(sorted(strays))}.")
    if not isinstance(table.get("name"), str) or table.get("expect") not in ("permit", "deny"):
        raise Invalid(f'{where} has a name, and expects "permit" or "deny".')
    whole = _whole(table, defaults, where)
    document = {
        "principal": whole.get("principal", _NOBODY),
        "action": whole.get("action"),
        "facts": whole.get("facts"),
    }
    try:
        request = from_json(document)
    except Invalid as e:
        raise Invalid(f"{where}: {e.message}") from e
    rules = frozenset(_strings(table.get("rules", []), f"{where}: rules"))
    if bool(rules) == (table["expect"] == "permit"):
        raise Invalid(f"{where}: a denial names its rules, a permit has none.")
    moratoria = frozenset(_strings(whole.get("moratoria", []), f"{where}: moratoria"))
    return Case(table["name"], request, table["expect"] == "permit", rules, moratoria)


def _tables(value: object, where: str) -> Sequence[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
        raise Invalid(f"{where} is a list of tables.")
    return value


def read_cases(text: str) -> tuple[Case, ...]:
    """Read a ``cases.toml``.

    Raises:
        Invalid: if it isn't one; the message names the case.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise Invalid(f"The cases are no TOML: {e}.") from e
    strays = set(document) - {"defaults", "cases"}
    if strays:
        raise Invalid(f"A file of cases has no {', '.join(sorted(strays))}.")
    defaults = document.get("defaults", {})
    if not isinstance(defaults, dict) or not all(isinstance(d, dict) for d in defaults.values()):
        raise Invalid("Defaults are tables by name.")
    for name, default in defaults.items():
        odd = set(default) - _DEFAULT_KEYS
        if odd:
            raise Invalid(f"default {name} has no {', '.join(sorted(odd))}.")
    cases = tuple(_case(table, defaults, n) for n, table in enumerate(_tables(document.get("cases", []), "cases"), 1))
    names = [case.name for case in cases]
    if len(set(names)) != len(names):
        raise Invalid("Two cases have one name.")
    return cases
