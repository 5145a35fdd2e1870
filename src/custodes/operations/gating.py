# SPDX-License-Identifier: Apache-2.0
"""Whether an organisation has the evaluation that rules ask for before it searches: the rules themselves are asked.

No bound of a rulebook stands here a second time: where one is told, it was found by asking.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from custodes.governance import Action, EvaluationRecord, OrgClass, Purpose, Request, State, Use, counting
from custodes.governance.evaluations import facts_of
from custodes.governance.policy import Rule
from custodes.governance.request import EvaluationFacts, OrganisationFacts, Percent

__all__ = ["Bounds", "Gate", "gate_of"]

_FLOOR, _DEFAULT = 99.0, 80.0  # least similarities of the police's searches, and of others'
_GATES = {True: "evaluation-gate", False: "evaluate-first"}  # rulebooks that ask police, and everybody else
_MILLION, _MANY_GROUPS, _MANY_DAYS = 1_000_000, 1_000, 100_000


@dataclass(frozen=True, slots=True)
class Bounds:
    """What rules ask of an evaluation; None each where they ask for nothing.

    Attributes:
        days: how old it may be.
        groups: how many it compares at least.
        false_match_ppm, false_non_match_ppm: how high these may be.
    """

    days: int | None
    groups: int | None
    false_match_ppm: int | None
    false_non_match_ppm: int | None


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether an organisation has what the rules may ask for before it searches.

    Attributes:
        fingerprint: of what runs here now.
        record: the evaluation that counts, see :func:`custodes.governance.evaluations.counting`; None without any.
        current: whether that is of what runs here now.
        demanded: rulebooks that are in force and ask this organisation for an evaluation.
        attempts: how many evaluations of what runs here now the organisation has made, good ones and bad ones.
        similarity: of the search that the rules were asked about.
        refused: rules of ``demanded`` that forbid it for want of an evaluation; each says what to do.
        bounds: what they ask for; None where none is demanded.
        now: when they were asked.
    """

    fingerprint: str
    record: EvaluationRecord | None
    current: bool
    demanded: tuple[str, ...]
    attempts: int
    similarity: float
    refused: tuple[Rule, ...]
    bounds: Bounds | None
    now: datetime

    @property
    def passes(self) -> bool:
        """Whether no rule refuses a search for want of an evaluation."""
        return not self.refused


def gate_of(state: State, organisation: str, fingerprint: str, now: datetime) -> Gate:
    """Ask the rules whether an organisation has the evaluation that they want.

    Args:
        state: rules and organisations as they are.
        organisation: whose evaluation.
        fingerprint: of what runs here now.
        now: when it is asked.
    """
    whose = state.organisations[organisation]
    police = whose.org_class == OrgClass.LAW_ENFORCEMENT
    records = state.evaluations.get(organisation, ())
    record, current = counting(records, fingerprint) or (None, False)
    asking = tuple(b.id for b in state.rulebooks if b.id == _GATES[police])
    use = Use(
        now=now,
        org=OrganisationFacts(whose.org_class, whose.jurisdiction, whose.country),
        purpose=str(Purpose.OVERSIGHT),
        threshold=Percent(_FLOOR if police else _DEFAULT),
    )

    def refusing(told: EvaluationFacts | None) -> tuple[Rule, ...]:
        asked = Request("somebody", Action.SEARCH_REFERENCES, replace(use, evaluation=told))
        return tuple(rule for rule in state.rules.judge(asked).rules if rule.rulebook in asking)

    demanded = asking if refusing(None) else ()  # a rulebook may exempt a class, as testers
    return Gate(
        fingerprint=fingerprint,
        record=record,
        current=current,
        demanded=demanded,
        attempts=sum(r.fingerprint == fingerprint for r in records),
        similarity=_FLOOR if police else _DEFAULT,
        refused=refusing(None if record is None else facts_of(record, current, now)) if demanded else (),
        bounds=_bounds(lambda told: bool(refusing(told))) if demanded else None,
        now=now,
    )


def _bounds(is_refused: Callable[[EvaluationFacts], bool]) -> Bounds:
    """Find what rules ask for, from an evaluation that is perfect but for one thing."""
    perfect = EvaluationFacts(
        current=True,
        age_days=0,
        similarity=Percent(0),
        groups=_MANY_GROUPS,
        enough=True,
        false_match_ppm=0,
        false_non_match_ppm=0,
    )
    groups = _last(lambda n: is_refused(replace(perfect, groups=_MANY_GROUPS - n)), _MANY_GROUPS)
    return Bounds(
        days=_last(lambda n: is_refused(replace(perfect, age_days=n)), _MANY_DAYS),
        groups=None if groups is None else _MANY_GROUPS - groups,
        false_match_ppm=_last(lambda n: is_refused(replace(perfect, false_match_ppm=n)), _MILLION),
        false_non_match_ppm=_last(lambda n: is_refused(replace(perfect, false_non_match_ppm=n)), _MILLION),
    )


def _last(is_refused: Callable[[int], bool], most: int) -> int | None:
    """Return the last number that isn't refused, where all after it are; None if none is refused, or 0 is."""
    good, bad = 0, most
    if is_refused(good) or not is_refused(bad):
        return None
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (good, middle) if is_refused(middle) else (middle, bad)
    return good
