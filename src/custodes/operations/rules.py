# SPDX-License-Identifier: Apache-2.0
"""Use cases around the rules themselves: listing, trying, explaining, replaying, and asking what a change would do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from custodes.db import Database
from custodes.errors import Invalid, NotFound
from custodes.governance import Registry, Request, Restraints
from custodes.governance.moratorium import Moratorium
from custodes.governance.policy import RuleSet
from custodes.governance.registry import State
from custodes.governance.request import from_json
from custodes.governance.rulebook import Rulebook
from custodes.governance.trial import Explanation, Outcome, check, explain
from custodes.ledger import Log, parse
from custodes.operations.guard import Guard

__all__ = ["Difference", "Replayed", "RuleOperations"]


@dataclass(frozen=True, slots=True)
class Difference:
    """A logged request that comes out otherwise: what was decided and by which rules, and what would be.

    Attributes:
        index, at: the entry.
        request: what was asked.
        was, was_rules: the decision, and the rules that denied.
        now, now_rules: what is decided on it now.
    """

    index: int
    at: str
    request: Request
    was: str
    was_rules: tuple[str, ...]
    now: str
    now_rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of deciding logged requests again: how many there were, and those that differ."""

    requests: int
    differences: tuple[Difference, ...]


class RuleOperations:
    """Rulebooks and what they decide."""

    def __init__(self, guard: Guard, database: Database, registry: Registry, restraints: Restraints, log: Log) -> None:
        self._guard = guard
        self._db = database
        self._registry = registry
        self._restraints = restraints
        self._log = log

    def _state(self) -> State:
        with self._db.read() as c:
            return self._registry.state(c)

    def rulebooks(self) -> tuple[tuple[Rulebook, bool], ...]:
        """List all rulebooks, and whether each is enabled."""
        enabled = {b.id for b in self._state().rulebooks}
        return tuple((b, b.id in enabled) for b in self._registry.shipped)

    @property
    def current(self) -> RuleSet:
        """The rules that hold now."""
        return self._state().rules

    def test(self) -> tuple[Outcome, ...]:
        """Decide the worked cases of every rulebook."""
        return tuple(outcome for book in self._registry.shipped for outcome in check(book))

    def explain(self, request: Request) -> Explanation:
        """Say which rules decide a request, and why, as the rules hold now."""
        return explain(self._state().rules, request)

    def logged(self, index: int) -> tuple[Request, str]:
        """Return the request of an entry of the ledger, and the hash of the rules that decided it.

        Raises:
            NotFound: if there is no such entry, or it decided nothing.
        """
        entry = parse(self._log.entry(index))
        if "request" not in entry:
            raise NotFound(f"The entry {index} decided nothing.")
        return from_json(_mapping(entry["request"])), str(entry["rules_hash"])

    def explain_entry(self, index: int) -> Explanation:
        """Say which rules decided a logged request, and why, as they held then.

        Raises:
            NotFound: if there is no such entry, it decided nothing, or its rules are not kept here.
        """
        request, digest = self.logged(index)
        with self._db.read() as c:
            return explain(self._kept(c, digest), request)

    def _kept(self, c: sa.Connection, digest: str) -> RuleSet:
        """Return a set of rules that decided here.

        Raises:
            NotFound: if none of this hash did.
            Invalid: if its text was changed: it has another hash.
        """
        rules = RuleSet.from_text(self._restraints.rules(c, digest))
        if rules.hash != digest:
            raise Invalid(f"The rules kept as {digest} are others: their hash is {rules.hash}.")
        return rules

    def replay(self, *, since: datetime | None = None) -> Replayed:
        """Decide the ledger's requests again, each by the rules of its time, and return those that differ.

        A difference means that entry, rules or engine were changed: the same request and the same rules give the same
        decision.

        Raises:
            NotFound: if the rules of an entry are not kept here.
            Invalid: if kept rules were changed.
        """
        known: dict[str, RuleSet] = {}
        with self._db.read() as c:
            return self._decided_again(self._entries(since), lambda digest: self._once(c, known, digest))

    def _once(self, c: sa.Connection, known: dict[str, RuleSet], digest: str) -> RuleSet:
        if digest not in known:
            known[digest] = self._kept(c, digest)
        return known[digest]

    def diff(
        self,
        *,
        days: int,
        enable: Iterable[str] = (),
        disable: Iterable[str] = (),
        rulebooks: Sequence[Rulebook] = (),
        without: Iterable[str] = (),
        declare: Iterable[Moratorium] = (),
    ) -> Replayed:
        """Tell what a change of the rules would have decided otherwise on the requests of the last days.

        Args:
            days: how many.
            enable, disable: rulebooks, by id.
            rulebooks: others than those that ship, in their place or beside them.
            without: moratoria to leave out, by id.
            declare: moratoria to add.

        Raises:
            NotFound: if there is no such rulebook or moratorium.
            Invalid: if the changed rules don't load.
        """
        state = self._state()
        books = {b.id: b for b in state.rulebooks}
        shipped = {b.id: b for b in self._registry.shipped}
        books |= {i: _found(shipped, i, "rulebook") for i in enable}
        for gone in disable:
            if _found(books, gone, "enabled rulebook").locked:
                raise Invalid(f"The rulebook {gone} can't be switched off.")
            del books[gone]
        books |= {b.id: b for b in rulebooks}
        moratoria = {m.id: m for m in state.moratoria}
        for lifted in without:
            _found(moratoria, lifted, "moratorium")
            del moratoria[lifted]
        moratoria |= {m.id: m for m in declare}
        changed = RuleSet.compile(list(books.values()), list(moratoria.values()))
        with self._db.read() as c:
            since = self._guard.now(c) - timedelta(days=days)
        return self._decided_again(self._entries(since), lambda _: changed)

    def _entries(self, since: datetime | None) -> Iterator[tuple[int, Mapping[str, Any]]]:
        start = 0 if since is None else self._log.index_at(since)
        for index, data in enumerate(self._log.entries(start), start):
            entry = parse(data)
            if "request" in entry:
                yield index, entry

    @staticmethod
    def _decided_again(entries: Iterable[tuple[int, Mapping[str, Any]]], rules: Callable[[str], RuleSet]) -> Replayed:
        count, differences = 0, []
        for index, entry in entries:
            count += 1
            request = from_json(_mapping(entry["request"]))
            decision = rules(str(entry["rules_hash"])).judge(request)
            was, was_rules = str(entry["decision"]), tuple(entry.get("rules", ()))
            now = "permit" if decision.allowed else "deny"
            now_rules = tuple(rule.id for rule in decision.rules)
            if (was, was_rules) != (now, now_rules):
                differences.append(Difference(index, str(entry["at"]), request, was, was_rules, now, now_rules))
        return Replayed(count, tuple(differences))


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Invalid("The entry's request is no object.")
    return value


def _found(known: Mapping[str, Any], name: str, what: str) -> Any:
    if name not in known:
        raise NotFound(f"There is no {what} {name}; there are {', '.join(sorted(known)) or 'none'}.")
    return known[name]
