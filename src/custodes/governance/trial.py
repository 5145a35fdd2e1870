# SPDX-License-Identifier: Apache-2.0
"""Rules on trial: worked cases that are decided and compared, and one request that is explained."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from custodes.governance.cases import Case
from custodes.governance.policy import Decision, Rule, RuleSet
from custodes.governance.request import Request
from custodes.governance.rulebook import BASE, Rulebook, load

__all__ = ["Explanation", "Outcome", "check", "explain", "run_cases"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a worked case came to."""

    case: Case
    decision: Decision

    @property
    def rules(self) -> frozenset[str]:
        """Return the ids of the rules that forbade it."""
        return frozenset(rule.id for rule in self.decision.rules)

    @property
    def met(self) -> bool:
        """Return whether it is what was expected, by the expected rules alone."""
        return self.decision.allowed == self.case.allowed and self.rules == self.case.rules

    def diagnostics(self) -> str:
        """Return expected and got, in a sentence."""
        if self.met:
            return f"{self.case.name}: as expected."
        return (
            f"{self.case.name}: expected {_said(self.case.allowed, self.case.rules)}, "
            f"got {_said(self.decision.allowed, self.rules)}."
        )


def _said(allowed: bool, rules: Iterable[str]) -> str:
    return "a permit" if allowed else f"a denial by {', '.join(sorted(rules))}"


def run_cases(rule_set: RuleSet, cases: Iterable[Case]) -> tuple[Outcome, ...]:
    """Decide worked cases by one set of rules, whatever moratoria they name."""
    return tuple(Outcome(case, rule_set.judge(case.request)) for case in cases)


def check(rulebook: Rulebook, base: Rulebook | None = None) -> tuple[Outcome, ...]:
    """Decide a rulebook's cases by its rules, those of ``base``, and the moratoria that each case names.

    Args:
        rulebook: whose cases.
        base: another ``base`` than the shipped one.

    Raises:
        Invalid: if they are no set of rules.
    """
    books = [rulebook] if rulebook.id == BASE else [base or load(BASE), rulebook]
    outcomes: list[Outcome] = []
    for chosen in dict.fromkeys(case.moratoria for case in rulebook.cases):
        moratoria = [form.moratorium for form in rulebook.moratoria if form.moratorium.id in chosen]
        cases = [case for case in rulebook.cases if case.moratoria == chosen]
        outcomes += run_cases(RuleSet.compile(books, moratoria), cases)
    return tuple(outcomes)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a request is permitted or denied.

    Attributes:
        request: what was asked.
        decision: what the rules say.
        rulebooks: which were asked, in their order.
        rule_set: hash of the set that decided.
    """

    request: Request
    decision: Decision
    rulebooks: tuple[str, ...]
    rule_set: str

    def text(self) -> str:
        """Return it for a person, a rule each paragraph."""
        verdict = "permitted" if self.decision.allowed else "denied"
        lines = [
            f"{self.request.action} for {self.request.facts.purpose} by an organisation of class "
            f"{self.request.facts.org.class_} in {self.request.facts.org.jurisdiction}: {verdict}.",
            f"Asked: {', '.join(self.rulebooks)} (rule set {self.rule_set[:16]}).",
        ]
        for rule in self.decision.rules:
            lines += ["", _told(rule)]
        return "\n".join(lines)


def _told(rule: Rule) -> str:
    return f"{rule.id} [{rule.citation}]\n  {rule.explain}\n  {rule.remedy}"


def explain(rule_set: RuleSet, request: Request) -> Explanation:
    """Say which rules decide a request, and why."""
    return Explanation(request, rule_set.decide(request), rule_set.rulebooks, rule_set.hash)
