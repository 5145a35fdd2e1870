# SPDX-License-Identifier: Apache-2.0
"""How accurate and how fair this is: evaluations of one's own, and what everybody may see of those that are published.

Whether somebody may see an evaluation is for operations to say. A report that is published is looked for in the store
at each request, so that one that is withdrawn is gone at once; lists of them may be a minute old where another process
published or withdrew.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from fastapi import APIRouter, Response

from custodes.api.console.accuracy import (
    COMMAND,
    EvaluationId,
    GateShown,
    differs_now,
    gate_shown,
    json_file,
    kind_words,
    report_page,
    reports_of,
)
from custodes.api.console.facade import facade_of
from custodes.api.console.visits import Stranger, Visit, Visitor
from custodes.evaluation.card import card_of
from custodes.evaluation.report import settings_used
from custodes.evaluation.told import summary
from custodes.governance import EvaluationRecord, Role
from custodes.operations.evaluations import Kept

__all__ = ["router"]

router = APIRouter(prefix="/console")

_MINUTE = "public, max-age=60"
_SEES_ALL = frozenset({Role.OPERATOR, Role.OVERSIGHT})
_PUBLISHES = frozenset({Role.ADMIN, Role.OPERATOR})
_WITHDRAWS = frozenset({Role.OPERATOR, Role.OVERSIGHT})  # what anybody has published


@dataclass(frozen=True, slots=True)
class _Listed:
    """An evaluation in the list; ``organisation`` is empty where all are of the visitor's own."""

    record: EvaluationRecord
    kind: str
    current: bool
    organisation: str


# --- one's own ---


@router.get("/evaluations")
async def evaluations(visit: Visitor) -> Response:
    """List evaluations, and say whether the rules ask for one."""

    def look() -> tuple[GateShown, list[_Listed]]:
        operations, caller = visit.console.app.evaluations, visit.session.caller
        names = _names(visit)
        found = [
            _Listed(r, kind_words(r.kind), operations.is_current(r), names.get(r.organisation, ""))
            for r in operations.list(caller)
        ]
        return gate_shown(visit.console.app, visit.session, datetime.now(UTC)), found

    gate, found = await visit.quick(look)
    values = {
        "gate": gate,
        "command": COMMAND,
        "evaluations": found,
        "all": bool(visit.session.roles & _SEES_ALL),
    }
    return visit.page("evaluations.html.j2", values)


def _names(visit: Visit) -> dict[str, str]:
    """Return names of organisations, for those who see evaluations of all."""
    if not visit.session.roles & _SEES_ALL:
        return {}
    return {o.id: o.name for o in visit.console.app.people.organisations()}


async def _get(visit: Visit, evaluation: str) -> Kept:
    return await visit.quick(lambda: visit.console.app.evaluations.get(visit.session.caller, evaluation))


@router.get("/evaluations/{evaluation}.json")
async def saved(visit: Visitor, evaluation: EvaluationId) -> Response:
    """Hand an evaluation out, with the proof that the ledger commits to it."""
    kept = await _get(visit, evaluation)
    return json_file(evaluation, await visit.quick(lambda: visit.console.app.evaluations.signed(kept)))


@router.get("/evaluations/{evaluation}")
async def evaluation(visit: Visitor, evaluation: EvaluationId) -> Response:
    """Show what an evaluation came to."""
    kept = await _get(visit, evaluation)
    own = kept.record.organisation == visit.session.organisation.id
    values = {
        "kept": kept,
        "record": kept.record,
        "kind": kind_words(kept.record.kind),
        "sentences": summary(kept.evaluation),
        "settings": settings_used(kept.evaluation),
        "differs": await visit.quick(lambda: differs_now(visit.console.app, kept)),
        "sections": await reports_of(visit.console).sections(visit.console, kept),
        "organisation": (await visit.quick(lambda: _names(visit))).get(kept.record.organisation, ""),
        "publishes": own and bool(visit.session.roles & _PUBLISHES),
        "withdraws": (own and bool(visit.session.roles & _PUBLISHES)) or bool(visit.session.roles & _WITHDRAWS),
    }
    return visit.page("evaluation.html.j2", values)


@router.get("/evaluations/{evaluation}/report")
async def report(visit: Visitor, evaluation: EvaluationId) -> Response:
    """Show the whole report, without any face."""
    kept = await _get(visit, evaluation)
    return report_page(await reports_of(visit.console).page(visit.console, kept, published=False))


@router.post("/evaluations/{evaluation}/publish")
async def publish(visit: Visitor, evaluation: EvaluationId) -> Response:
    """Show an evaluation to everybody."""
    await visit.quick(lambda: visit.console.app.evaluations.publish(visit.caller(), evaluation))
    facade_of(visit.console).forget()
    return visit.done(
        f"/console/evaluations/{evaluation}", "It is published: the public page tells of it within a minute."
    )


@router.post("/evaluations/{evaluation}/withdraw")
async def withdraw(visit: Visitor, evaluation: EvaluationId) -> Response:
    """Take an evaluation off the public page."""
    await visit.quick(lambda: visit.console.app.evaluations.withdraw(visit.caller(), evaluation))
    facade_of(visit.console).forget()
    told = (
        "It is withdrawn; the public page stops telling of it within a minute. That it stood there stays in the ledger."
    )
    return visit.done(f"/console/evaluations/{evaluation}", told, kind="note")


# --- what everybody may see ---


@router.get("/accuracy")
async def accuracy(stranger: Stranger) -> Response:
    """List what is published, the newest first."""
    facts_ = await facade_of(stranger.console).facts(stranger.console)
    return stranger.page("accuracy.html.j2", {"published": facts_.published, "kinds": kind_words})


@router.get("/accuracy/card")
async def model_card(stranger: Stranger) -> Response:
    """Show the card of the models that run here: what they are for, what they were trained on, where they fail."""
    facts_ = await facade_of(stranger.console).facts(stranger.console)
    return stranger.page("accuracy_card.html.j2", {"card": await stranger.quick(lambda: card_of(facts_.pack))})


@router.get("/accuracy/{evaluation}.json")
async def published_file(stranger: Stranger, evaluation: EvaluationId) -> Response:
    """Hand a published evaluation out, with the proof that the ledger commits to it."""
    operations = stranger.console.app.evaluations
    data = await stranger.quick(lambda: operations.signed(operations.get_published(evaluation)))
    return json_file(evaluation, data, _MINUTE)


@router.get("/accuracy/{evaluation}")
async def published_report(stranger: Stranger, evaluation: EvaluationId) -> Response:
    """Show the report of a published evaluation."""
    kept = await stranger.quick(lambda: stranger.console.app.evaluations.get_published(evaluation))
    page = await reports_of(stranger.console).page(stranger.console, kept, published=True)
    return report_page(page, _MINUTE)
