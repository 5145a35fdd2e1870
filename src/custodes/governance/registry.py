# SPDX-License-Identifier: Apache-2.0
"""What decisions rest on, as one value: who there is, what is stopped, which rules hold.

It is read from the database when its version has risen, and otherwise kept: every change raises the version in its own
transaction, so that whoever reads the version and then the value decides by what is committed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import TypeVar

import sqlalchemy as sa

from custodes.governance.evaluations import EvaluationRecord, Evaluations
from custodes.governance.grounds import Grounds
from custodes.governance.model import Authority, Case, Organisation, Principal, Stop, StopScope
from custodes.governance.moratorium import Moratorium
from custodes.governance.people import People
from custodes.governance.policy import RuleSet
from custodes.governance.request import OrgClass, Role
from custodes.governance.restraints import Restraints
from custodes.governance.rows import version
from custodes.governance.rulebook import Rulebook, shipped, standard

__all__ = ["Registry", "State"]

_MEMO = 100_000
_SETS = 4  # of rules that are kept compiled: one for each state that installations of this process are in by turns
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class State:
    """What decisions rest on at one version.

    Attributes:
        version: which.
        organisations, principals: by id.
        stops, moratoria: those that hold; moratoria also before they begin and after they end.
        rulebooks: those that are enabled.
        rules: all of it, compiled.
        attested: by organisation: duty, and until when somebody attests to it.
        evaluations: by organisation: those that rules may ask for, the newest first.
        cases, authorities: those that were asked for, by id.
    """

    version: int
    organisations: Mapping[str, Organisation]
    principals: Mapping[str, Principal]
    stops: tuple[Stop, ...]
    moratoria: tuple[Moratorium, ...]
    rulebooks: tuple[Rulebook, ...]
    rules: RuleSet
    attested: Mapping[str, tuple[tuple[str, datetime], ...]]
    evaluations: Mapping[str, tuple[EvaluationRecord, ...]] = field(default_factory=dict)
    cases: dict[str, Case] = field(default_factory=dict)
    authorities: dict[str, Authority] = field(default_factory=dict)

    @property
    def overseers(self) -> frozenset[str]:
        """The people who hold the oversight role and may act."""
        return frozenset(
            p.person
            for p in self.principals.values()
            if Role.OVERSIGHT in p.roles
            and p.suspended_at is None
            and self.organisations[p.organisation].suspended_at is None
        )

    def is_police(self, person: str) -> bool:
        """Tell whether a human being belongs to an organisation of the police, under whatever name."""
        return any(
            self.organisations[p.organisation].org_class == OrgClass.LAW_ENFORCEMENT
            for p in self.principals.values()
            if p.person == person
        )

    def is_operator(self, person: str) -> bool:
        """Tell whether a human being has the role of an operator, under whatever name."""
        return any(Role.OPERATOR in p.roles for p in self.principals.values() if p.person == person)

    def is_stopped(self, organisation: str, purpose: str) -> bool:
        """Tell whether the kill switch holds for an organisation's use for a purpose."""
        return any(
            s.scope == StopScope.ALL
            or (s.scope == StopScope.ORGANISATION and s.value == organisation)
            or (s.scope == StopScope.PURPOSE and s.value == purpose)
            for s in self.stops
        )


@lru_cache(_SETS)
def _compiled(rulebooks: tuple[Rulebook, ...], moratoria: tuple[Moratorium, ...]) -> RuleSet:
    return RuleSet.compile(rulebooks, moratoria)


class Registry:
    """Reads the state of governance, and keeps it while nothing changes.

    Args:
        people, grounds, restraints, evaluations: where it is.
        rulebooks: all that ship.
    """

    def __init__(
        self,
        people: People,
        grounds: Grounds,
        restraints: Restraints,
        evaluations: Evaluations,
        rulebooks: Sequence[Rulebook] | None = None,
    ) -> None:
        self._people = people
        self._grounds = grounds
        self._restraints = restraints
        self._evaluations = evaluations
        self._shipped = tuple(rulebooks) if rulebooks is not None else shipped()
        self._lock = threading.Lock()
        self._state: State | None = None

    @property
    def shipped(self) -> tuple[Rulebook, ...]:
        """All rulebooks there are, enabled or not."""
        return self._shipped

    def state(self, c: sa.Connection, *, keep: bool = True) -> State:
        """Return the state as a transaction sees it.

        Args:
            c: the transaction.
            keep: whether to keep it; not in a transaction that writes, for what that has changed may yet roll back.

        Raises:
            Invalid: if the rules don't load; then nothing can be decided.
        """
        current = version(c)
        state = self._state
        if state is not None and state.version == current:
            return state
        with self._lock:
            state = self._read(c, current)
            if not keep:
                return state
            if self._state is None or self._state.version < current:
                self._state = state
            return state

    def _read(self, c: sa.Connection, current: int) -> State:
        moratoria = self._restraints.moratoria(c)
        rulebooks = standard(self._shipped, self._restraints.states(c))
        attested: dict[str, list[tuple[str, datetime]]] = {}
        for organisation, duty, _, _, until in self._grounds.attestations(c):
            attested.setdefault(organisation, []).append((duty, until))
        return State(
            version=current,
            organisations={o.id: o for o in self._people.organisations(c)},
            principals={p.id: p for p in self._people.principals(c)},
            stops=self._restraints.stops(c),
            moratoria=moratoria,
            rulebooks=rulebooks,
            rules=_compiled(rulebooks, moratoria),
            attested={k: tuple(v) for k, v in attested.items()},
            evaluations=self._evaluations.verdicts(c),
        )

    def case(self, c: sa.Connection, state: State, case: str) -> Case:
        """Read a case as of a state.

        Raises:
            NotFound: if there is none of this id.
        """
        return _once(state.cases, case, lambda: self._grounds.case(c, case))

    def authority(self, c: sa.Connection, state: State, authority: str) -> Authority:
        """Read an authority as of a state.

        Raises:
            NotFound: if there is none of this id.
        """
        return _once(state.authorities, authority, lambda: self._grounds.authority(c, authority))


def _once(known: dict[str, T], name: str, read: Callable[[], T]) -> T:
    """Return what is known by a name, or read it and remember it, up to a bound."""
    if name not in known:
        if len(known) >= _MEMO:
            known.clear()
        known[name] = read()
    return known[name]
