# SPDX-License-Identifier: Apache-2.0
"""What a decision costs: the full default set of rules, in a warm process, for a photo app and for police."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from bench.report import Row, at_most
from custodes.governance.policy import Decision, RuleSet
from custodes.governance.request import (
    Action,
    AuthorityFacts,
    CaseFacts,
    EvaluationFacts,
    OrganisationFacts,
    OrgClass,
    Percent,
    Purpose,
    Request,
    Target,
    Use,
)
from custodes.governance.rulebook import default_moratoria, shipped, standard

__all__ = ["measure", "run"]

_NOW = datetime(2021, 5, 1, 12, tzinfo=UTC)  # before the moratorium that is in force by default
_BOUND = 0.3  # milliseconds


def _requests() -> dict[str, Request]:
    """Return both requests: each is permitted, so that no rule is left out."""
    album = Target("5f0c", own=True, owner_class=OrgClass.GENERAL, purpose=Purpose.PHOTO_LIBRARY)
    photo_app = Use(
        _NOW, OrganisationFacts(OrgClass.GENERAL), Purpose.PHOTO_LIBRARY, collection=album, threshold=Percent(80)
    )
    purposes = frozenset({Purpose.CRIMINAL_INVESTIGATION})
    police = Use(
        _NOW,
        OrganisationFacts(OrgClass.LAW_ENFORCEMENT, "US-WA", "US"),
        Purpose.CRIMINAL_INVESTIGATION,
        trained=True,
        attested=frozenset({"us-wa.accountability-report", "us-wa.operational-testing"}),
        key_expires=_NOW + timedelta(days=90),
        case=CaseFacts(Purpose.CRIMINAL_INVESTIGATION, open=True, own=True),
        authority=AuthorityFacts("warrant", True, purposes, frozenset({"77ab"}), True, _NOW, _NOW + timedelta(days=30)),
        collection=Target("77ab", True, OrgClass.LAW_ENFORCEMENT, Purpose.CRIMINAL_INVESTIGATION, retention_days=365),
        threshold=Percent(99),
        evaluation=EvaluationFacts(True, 90, Percent(80), 2, True, 400, 30_000),
    )
    return {
        "a photo app's search": Request("ann", Action.SEARCH_REFERENCES, photo_app),
        "a police search with case and warrant": Request("bob", Action.SEARCH_REFERENCES, police),
    }


def _rules() -> RuleSet:
    """Return all that is in force from the start."""
    return RuleSet.compile(standard(shipped()), default_moratoria(shipped()))


def _median(call: Callable[[], Decision], times: int) -> float:
    """Return the median of many calls, in milliseconds."""
    seen = []
    for _ in range(times):
        begun = time.perf_counter_ns()
        call()
        seen.append(time.perf_counter_ns() - begun)
    return sorted(seen)[times // 2] / 1e6


def measure(times: int = 5000) -> dict[str, float]:
    """Return milliseconds a decision (p50), by request.

    Args:
        times: how many decisions are timed, after a tenth of them to warm up.
    """
    rules = _rules()
    figures = {}
    for name, request in _requests().items():
        decision = rules.decide(request)
        if not decision.allowed:
            raise RuntimeError(f"{name} should be permitted, so that every rule is asked: {decision.message()}")
        _median(lambda request=request: rules.judge(request), times // 10)
        figures[name] = _median(lambda request=request: rules.judge(request), times)
    return figures


def run(quick: bool) -> list[Row]:
    """Return the figures of the rules."""
    rules = _rules()
    begun = time.perf_counter()
    _rules()
    load = (time.perf_counter() - begun) * 1e3
    note = f"p50, {len(rules.rules)} rules of {len(rules.rulebooks)} rulebooks"
    rows = [at_most(f"decide {name}", ms, _BOUND, "ms", note) for name, ms in measure(1000 if quick else 5000).items()]
    photo_app = next(iter(_requests().values()))
    remembered = _median(lambda: rules.decide(photo_app), 1000)
    return [
        *rows,
        Row("decide it again, as it is remembered", remembered, "ms", note="what a photo app's next search costs"),
        Row("load and validate all rules", load, "ms"),
    ]
