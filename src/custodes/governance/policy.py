# SPDX-License-Identifier: Apache-2.0
"""Decides by rules: rulebooks and moratoria compiled into one set that permits a request, or says which rules forbid.

The only place that imports cedarpy. Invariants:

- One permit, ``base.permit``, and named forbids: a denial always says by which rule.
- Cedar skips a rule that errs, so a broken forbid would permit. A request is permitted only if Cedar allows it and
  reports no error; a request that Cedar can't build, and an engine that fails, deny by :data:`ENGINE_ERROR`.
- A set is validated against the schema before it decides anything: a rule that reads an optional fact without asking
  whether it is there does not load.
- A set is its text: :meth:`RuleSet.text` holds everything that decides, moratoria as the policies that they became,
  :attr:`RuleSet.hash` is its SHA-256, and :meth:`RuleSet.from_text` makes the same set again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import cedarpy
import orjson

from custodes.errors import Invalid
from custodes.governance.memo import Memo
from custodes.governance.moratorium import Exemption, Moratorium
from custodes.governance.request import Action, Request, Use, to_json
from custodes.governance.rulebook import BASE, RESERVED, Rulebook, schema_text
from custodes.governance.words import FILM

__all__ = ["ENGINE_ERROR", "Decision", "Rule", "RuleSet", "cedar_of"]

ENGINE_ERROR = "engine.error"
"""Id of the rule that denies what the rules could not judge."""

_PERMIT = f"{BASE}.permit"
_MORATORIUM = "moratorium"
_FORMAT = "custodes rule set 1"
_ANNOTATIONS = frozenset({"id", "citation", "explain", "remedy"})
_CASES = "cases"
_LONGEST = 1100  # characters of an annotation, which becomes part of an error message; a moratorium's has 1,000
_ON_SERVICE = frozenset({Action.DETECT, Action.COMPARE, Action.LIST_COLLECTIONS, Action.EVALUATE, *FILM})
_FAULTS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule for people: its id, whose it is, where it comes from, what it says, and what the refused can do."""

    id: str
    rulebook: str
    citation: str
    explain: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What the rules say to one request.

    Attributes:
        allowed: whether it is permitted.
        rules: all rules that forbid it, in the set's order; empty for a permit.
        errors: what kept the rules from judging.
    """

    allowed: bool
    rules: tuple[Rule, ...] = ()
    errors: tuple[str, ...] = ()

    def message(self) -> str:
        """Return what the caller is told: the first rule with its citation, explanation and remedy, and the others."""
        if self.allowed:
            return "Permitted."
        first, *others = self.rules
        told = f"Denied by {first.id} ({first.citation}): {first.explain} {first.remedy}"
        if others:
            kind = "rule forbids" if len(others) == 1 else "rules forbid"
            told += f" {len(others)} more {kind} it: {', '.join(rule.id for rule in others)}."
            told += " custodes rules show RULEBOOK tells why."
        return told


class RuleSet:
    """Rules that were parsed and validated together; never changes, and may be used by many threads at once."""

    def __init__(self, schema: str, books: Sequence[tuple[str, str]]) -> None:
        """Parse and validate rules.

        Args:
            schema: the facts, in Cedar's words.
            books: id and policies of each rulebook, in their order.

        Raises:
            Invalid: if they are no set of rules; the message names rulebook and rule.
        """
        self._text = json.dumps({"format": _FORMAT, "schema": schema, "rulebooks": books}, ensure_ascii=False)
        self.hash = hashlib.sha256(self._text.encode()).hexdigest()
        self.rulebooks = tuple(book for book, _ in books)
        read = [(book, _read_policies(book, text)) for book, text in books]
        self.rules = tuple(_read_rule(book, policy, n) for book, found in read for n, policy in enumerate(found))
        self._order = {rule.id: n for n, rule in enumerate(self.rules)}
        if len(self._order) != len(self.rules):
            raise Invalid(f"Two rules are called {_repeated([rule.id for rule in self.rules])}.")
        if BASE not in self.rulebooks or _PERMIT not in self._order:
            raise Invalid(f"A set of rules has the rulebook {BASE} with its {_PERMIT}.")
        if len(set(self.rulebooks)) != len(self.rulebooks):
            raise Invalid(f"Two rulebooks are called {_repeated(self.rulebooks)}.")
        policies = "\n".join(text for _, text in books)
        self._schema = _parse_schema(schema)
        self._validate(policies)
        # Without the schema the entities lack the actions' groups, and no rule for a group would ever apply.
        self._entities = cedarpy.Entities.from_json_str("[]", self._schema)
        self._policies = _by_action([policy for _, found in read for policy in found], self._entities)
        self._memo = Memo(policies)

    @classmethod
    def compile(cls, rulebooks: Sequence[Rulebook], moratoria: Sequence[Moratorium]) -> RuleSet:
        """Make one set of rulebooks and moratoria: ``base`` first, then moratoria, then the others by their ids.

        Raises:
            Invalid: if they are no set of rules; the message names rulebook and rule.
        """
        texts = [(book.id, book.text) for book in sorted(rulebooks, key=lambda b: (b.id != BASE, b.id))]
        declared = "\n".join(cedar_of(m) for m in sorted(moratoria, key=lambda m: m.id))
        at = 1 if texts and texts[0][0] == BASE else 0
        strays = RESERVED & {book for book, _ in texts}
        if strays:
            raise Invalid(f"No rulebook may be called {', '.join(sorted(strays))}.")
        return cls(schema_text(), [*texts[:at], *([(_MORATORIUM, declared)] if declared else []), *texts[at:]])

    @classmethod
    def from_text(cls, text: str) -> RuleSet:
        """Make the set again whose :meth:`text` this is.

        Raises:
            Invalid: if it isn't one.
        """
        try:
            document = json.loads(text)
            schema, books = document["schema"], [(str(book), str(policies)) for book, policies in document["rulebooks"]]
        except (KeyError, TypeError, ValueError) as e:
            raise Invalid(f"That is no set of rules: {e}.") from e
        made = cls(str(schema), books)
        if made.text() != text:
            raise Invalid("That is no set of rules: it is not written as it was.")
        return made

    def text(self) -> str:
        """Return everything that decides, always in the same words."""
        return self._text

    def decide(self, request: Request) -> Decision:
        """Say whether a request is permitted, and if not by which rules; what still holds is remembered."""
        try:
            key, now = self._memo.key(request), request.facts.now
        except _FAULTS:
            return self.judge(request)
        decision = self._memo.find(key, now)
        if decision is None:
            decision = self.judge(request)
            self._memo.keep(key, request, decision)
        return decision

    def judge(self, request: Request) -> Decision:
        """Say whether a request is permitted, and if not by which rules, with nothing remembered."""
        try:
            asked = _asked(request)
            policies = self._policies[request.action]
            result = cedarpy.is_authorized(asked, policies, self._entities, self._schema)
            allowed, told = result.allowed, result.diagnostics
            errors = tuple(self._named(error) for error in told.errors)
            if allowed and not errors:
                return Decision(allowed=True)
            ids = told.id_annotations_by_reason.values()
            forbidding = [] if allowed else sorted(ids, key=self._order.__getitem__)
            rules = tuple(self.rules[self._order[rule]] for rule in forbidding)
        except _FAULTS as e:
            rules, errors = (), (f"{type(e).__name__}: {e}",)
        if errors or not rules:
            rules = (*rules, _engine_error(errors))
        return Decision(False, rules, errors)

    def _named(self, error: str) -> str:
        """Put rules' ids where Cedar counts policies."""
        return re.sub(r"`?policy(\d+)`?", lambda m: self.rules[int(m[1])].id, error)

    def _validate(self, policies: str) -> None:
        """Check all rules against the schema.

        Raises:
            Invalid: if one doesn't fit; the message names it.
        """
        result = cedarpy.validate_policies(policies, self._schema)
        if result.validation_passed and not result.errors:
            return
        for found in result.errors:
            number = re.fullmatch(r"policy(\d+)", found.policy_id)
            rule = self.rules[int(number[1])] if number else None
            where = f"Rulebook {rule.rulebook}, rule {rule.id}" if rule else "The rules"
            said = found.error.removeprefix(f"for policy `{found.policy_id}`, ")
            raise Invalid(f"{where}: {said}.", remedy="Ask with `has` for optional facts.")
        raise Invalid("The rules don't fit the schema.")


def _engine_error(errors: Sequence[str]) -> Rule:
    said = errors[0] if errors else "no rule allows it, and none says why not"
    return Rule(
        ENGINE_ERROR,
        "engine",
        "Custodes: what can't be judged is refused",
        f"The rules could not judge this request: {said}.",
        "Tell the operator: a rule or a fact is broken; custodes rules test shows which.",
    )


def _by_action(policies: Sequence[dict[str, Any]], entities: cedarpy.Entities) -> dict[str, cedarpy.PolicySet]:
    """Sort rules by the actions that they are about, so that a decision asks no others, and none for its scope.

    That takes a third of a decision's time away, and a test compares it with the rules as they are written.
    """
    parents = {e["uid"]["id"]: {p["id"] for p in e["parents"]} for e in orjson.loads(str(entities))}
    made: dict[frozenset[int], cedarpy.PolicySet] = {}
    sorted_by: dict[str, cedarpy.PolicySet] = {}
    for action in parents:
        groups = _with_all_above(action, parents)
        key = frozenset(n for n, policy in enumerate(policies) if _is_about(policy["action"], groups))
        if key not in made:
            chosen = {f"policy{n}": {**policies[n], "action": {"op": "All"}} for n in sorted(key)}
            document = {"templates": {}, "templateLinks": [], "staticPolicies": chosen}
            made[key] = cedarpy.PolicySet.from_json_str(orjson.dumps(document).decode())
        sorted_by[action] = made[key]
    return sorted_by


def _with_all_above(action: str, parents: dict[str, set[str]]) -> set[str]:
    """Return an action and the groups that it belongs to, directly or through others (Cedar knows no circles)."""
    return {action}.union(*(_with_all_above(group, parents) for group in parents[action]))


def _is_about(scope: dict[str, Any], groups: set[str]) -> bool:
    """Tell whether a rule's scope takes in one of these: an action is the groups that it belongs to, and itself."""
    if scope["op"] == "All":
        return True
    named = scope["entities"] if "entities" in scope else [scope["entity"]]  # by ==, or by in
    return any(entity["id"] in groups for entity in named)


# --- Reading rules ------------------------------------------------------------------------------------------------


def _parse_schema(schema: str) -> cedarpy.Schema:
    try:
        return cedarpy.Schema.from_str(schema)
    except ValueError as e:
        raise Invalid(f"The schema of the rules can't be read: {e}.") from e


def _repeated(names: Sequence[str]) -> str:
    return next(name for n, name in enumerate(names) if name in names[:n])


def _culprit(text: str) -> str:
    """Name the rule whose text Cedar can't read."""
    parts = re.split(r'(?m)^(?=@id\(")', text)
    for part in parts:
        try:
            cedarpy.policies_to_json_str(part)
        except ValueError as e:
            named = re.match(r'@id\("([^"]*)"\)', part)
            return f"rule {named[1] if named else 'without @id'}: {e}"
    return "it ends too early"


def _read_policies(book: str, text: str) -> list[dict[str, Any]]:
    """Return a rulebook's policies in their order.

    Raises:
        Invalid: if its text is no Cedar, or has slots.
    """
    try:
        document = orjson.loads(cedarpy.policies_to_json_str(text))
    except ValueError as e:
        raise Invalid(f"Rulebook {book}, {_culprit(text)}.") from e
    if document["templates"]:
        raise Invalid(f"Rulebook {book}: rules have no slots.")
    policies = document["staticPolicies"]
    return [policies[f"policy{n}"] for n in range(len(policies))]


def _read_rule(book: str, policy: dict[str, object], number: int) -> Rule:
    told = policy.get("annotations") or {}
    assert isinstance(told, dict)
    name = told.get("id") or f"number {number + 1}"
    for key in sorted(_ANNOTATIONS):
        value = told.get(key) or ""
        if not value.strip() or len(value) > _LONGEST or not value.isprintable():
            raise Invalid(f"Rulebook {book}, rule {name}: @{key} is missing, or no line of text.")
    if set(told) - _ANNOTATIONS:
        raise Invalid(f"Rulebook {book}, rule {name}: there is no @{min(set(told) - _ANNOTATIONS)}.")
    if not re.fullmatch(rf"{re.escape(book)}\.[a-z0-9][a-z0-9.-]*", name):
        raise Invalid(f"Rulebook {book}, rule {name}: its id begins with {book}. and has lower-case letters.")
    if (policy["effect"] == "permit") != (name == _PERMIT):
        raise Invalid(f"Rulebook {book}, rule {name}: {_PERMIT} permits, and every other rule forbids.")
    return Rule(name, book, told["citation"], told["explain"], told["remedy"])


# --- Moratoria as policies ------------------------------------------------------------------------------------------


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _one_of(values: frozenset[str], fact: str) -> str:
    return f"[{', '.join(_quoted(str(v)) for v in sorted(values))}].contains({fact})"


def _within(jurisdiction: str, org: str) -> str:
    here = f"{org}.jurisdiction == {_quoted(jurisdiction)}"
    if "-" in jurisdiction:
        return here
    parts = f"{org}.jurisdiction like {_quoted(jurisdiction + '-*')}"
    return f"{here} || {parts} || {org}.country == {_quoted(jurisdiction)}"


def _unless(exemption: Exemption) -> str:
    return (
        "unless {\n"
        f"  context.org.class == {_quoted(str(exemption.org_class))} &&\n"
        f"  {_one_of(frozenset(exemption.purposes), 'context.purpose')} &&\n"
        "  context has case && context.case.own && context.case.open && context.case.kind == context.purpose\n"
        "}"
    )


def _unless_case(exemption: Exemption) -> str:
    return (
        "unless {\n"
        f"  context.target_org.class == {_quoted(str(exemption.org_class))} &&\n"
        f"  {_one_of(frozenset(exemption.purposes), 'context.case_kind')}\n"
        "}"
    )


def _instant(value: datetime) -> str:
    """Return a time in Cedar's words. A moratorium's times have a time zone."""
    written = value.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
    return f'datetime("{written}Z")'


def cedar_of(moratorium: Moratorium) -> str:
    """Return the policies that a moratorium is: a forbid with an ``unless`` for each exemption, and one for cases.

    The second refuses to open a case for which nothing could be searched: whoever it is opened for is bound, not who
    opens it, and an exemption can't ask for an open case there. It is called like the first with ``.cases`` behind.
    """
    texts = [_forbid(moratorium, "", moratorium.explain, moratorium.actions, "context.org", "context.purpose")]
    texts[0] += "".join("\n" + _unless(exemption) for exemption in moratorium.exempt)
    if moratorium.binds_cases:
        told = f"{moratorium.explain} Meanwhile no case is opened for what is forbidden."
        opening = frozenset({str(Action.OPEN_CASE)})
        there = "context has case_kind && context has target_org"
        text = _forbid(moratorium, f".{_CASES}", told, opening, "context.target_org", "context.case_kind", there)
        texts.append(text + "".join("\n" + _unless_case(exemption) for exemption in moratorium.exempt))
    return "".join(text + ";\n" for text in texts)


def _forbid(
    moratorium: Moratorium, suffix: str, explain: str, actions: frozenset[str], org: str, purpose: str, *more: str
) -> str:
    """Return a forbid of a moratorium's without exemptions; ``org`` and ``purpose`` say which facts it asks."""
    conditions = [*more, _one_of(frozenset(moratorium.classes), f"{org}.class")]
    if moratorium.jurisdictions:
        conditions.append("(" + " || ".join(_within(j, org) for j in sorted(moratorium.jurisdictions)) + ")")
    if moratorium.purposes:
        conditions.append(_one_of(frozenset(moratorium.purposes), purpose))
    conditions.append(f"context.now >= {_instant(moratorium.begins)}")
    if moratorium.ends is not None:
        conditions.append(f"context.now < {_instant(moratorium.ends)}")
    named = ", ".join(f"Action::{_quoted(a)}" for a in sorted(actions))
    lines = [
        f"@id({_quoted(f'{_MORATORIUM}.{moratorium.id}{suffix}')})",
        f"@citation({_quoted(moratorium.citation)})",
        f"@explain({_quoted(explain)})",
        f"@remedy({_quoted(moratorium.remedy)})",
        f"forbid (principal, action in [{named}], resource)",
        "when {\n  " + " &&\n  ".join(conditions) + "\n}",
    ]
    return "\n".join(lines)


# --- Requests as Cedar reads them -----------------------------------------------------------------------------------


def _asked(request: Request) -> dict[str, object]:
    """Return a request for Cedar. Its context is what the ledger keeps; the schema tells times and similarities."""
    facts = request.facts
    resource = {"type": "Service", "id": "custodes"}
    if isinstance(facts, Use) and request.action not in _ON_SERVICE:
        resource = {"type": "Collection", "id": facts.collection.id if facts.collection else "none"}
    return {
        "principal": {"type": "Principal", "id": request.principal},
        "action": {"type": "Action", "id": str(request.action)},
        "resource": resource,
        "context": orjson.dumps(to_json(request)["facts"]).decode(),  # a text: cedarpy's own way with a dict costs more
    }
