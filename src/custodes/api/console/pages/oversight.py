# SPDX-License-Identifier: Apache-2.0
"""What takes two overseers (one proposes, another approves), and the alarms that one of them answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response

from custodes.api.console.dates import day_of
from custodes.api.console.proposals import KINDS, Proposal, Scene
from custodes.api.console.visits import Visit, Visitor
from custodes.api.console.wording import EASINGS
from custodes.errors import Conflict, CustodesError, Invalid, NotFound
from custodes.governance import Alarm, AlarmKind, EasingKind, Role

__all__ = ["router"]

router = APIRouter(prefix="/console/rules")

_LIST = "/console/rules/proposals"
_ALARMS = "/console/rules/alarms"
_SHOWN = 50
_AlarmId = Annotated[str, Path(pattern="^alarm-[0-9a-f]{16}$")]
_EasingId = Annotated[str, Path(pattern="^ease-[0-9a-f]{16}$")]
_KINDS_OF_ALARM = {
    AlarmKind.EXIGENT: "An emergency search was made without an authority",
    AlarmKind.CAP: "Somebody has used up the searches of a day",
    AlarmKind.TRACKING: "A search would have followed one person through several places",
    AlarmKind.OVERDUE: "An emergency search was asked for while an earlier one is unanswered",
    AlarmKind.CASE: "A case of the police was opened",
    AlarmKind.LOGIN: "Somebody made a link or key for a person who had one: ask that person yourself",
    AlarmKind.CALIBRATION: "The scale of similarities was changed: what 99 stands for is another false-match rate",
}


def _scene(visit: Visit) -> Scene:
    session = visit.session
    return Scene(visit.console.app, session.principal, session.roles, datetime.now(UTC))


def _oversees(visit: Visit) -> bool:
    return Role.OVERSIGHT in visit.session.roles


# --- proposals ---


@router.get("/proposals")
async def proposals(visit: Visitor) -> Response:
    """List what waits for a second person, and what became of earlier proposals."""

    def look() -> tuple[list[Proposal], list[Proposal]]:
        scene = _scene(visit)
        told = [scene.of(e) for e in visit.console.app.oversight.easings()]
        return [p for p in told if p.waits], [p for p in told if not p.waits]

    waiting, past = await visit.quick(look)
    values = {"waiting": waiting, "past": past[:_SHOWN], "more": len(past) > _SHOWN, "oversees": _oversees(visit)}
    return visit.page("rules_proposals.html.j2", values)


async def _ask(visit: Visit, kind: str, target: str, error: CustodesError | None = None, status: int = 200) -> Response:
    known = EasingKind(kind) if kind in set(EasingKind) else None
    targets = await visit.quick(lambda: _scene(visit).targets(known) if known else [])
    values = {
        "kinds": KINDS,
        "kind": known,
        "title": EASINGS[known] if known else "",
        "targets": targets,
        "target": target,
        "reason": visit.text("reason"),
        "ends": visit.text("ends"),
        "error": error,
    }
    return visit.page("rules_propose.html.j2", values, status=status)


@router.get("/proposals/new")
async def begin(visit: Visitor, kind: str = "", target: str = "") -> Response:
    """Ask what is proposed, about what, and why."""
    return await _ask(visit, kind, target)


@router.post("/proposals")
async def propose(visit: Visitor) -> Response:
    """Propose an easing."""
    kind, target, reason = visit.text("kind"), visit.text("target"), visit.text("reason")
    if kind not in set(EasingKind):
        raise Invalid("It isn't said what is proposed.", remedy="Choose one of the list.")
    try:
        shortens = kind == EasingKind.SHORTEN
        parameters = {"ends": day_of(visit.text("ends"), "The new end").isoformat()} if shortens else {}
        oversight = visit.console.app.oversight
        made = await visit.quick(
            lambda: oversight.propose(visit.caller(), EasingKind(kind), target, reason, parameters)
        )
    except (Invalid, Conflict, NotFound) as error:
        return await _ask(visit, kind, target, error, 400)
    return visit.done(f"{_LIST}/{made.id}", "It is proposed. Nothing changes until another overseer approves it.")


async def _show(visit: Visit, easing: str, error: CustodesError | None = None, status: int = 200) -> Response:
    def look() -> Proposal:
        found = next((e for e in visit.console.app.oversight.easings() if e.id == easing), None)
        if found is None:
            raise NotFound(f"There is no proposal {easing}.", remedy="The list of proposals shows all.")
        return _scene(visit).of(found)

    shown = await visit.quick(look)
    values = {"shown": shown, "kind": EASINGS[shown.easing.kind], "error": error, "oversees": _oversees(visit)}
    return visit.page("rules_proposal.html.j2", values, status=status)


@router.get("/proposals/{easing}")
async def proposal(visit: Visitor, easing: _EasingId) -> Response:
    """Show a proposal: what exactly would change."""
    return await _show(visit, easing)


@router.post("/proposals/{easing}/approve")
async def approve(visit: Visitor, easing: _EasingId) -> Response:
    """Approve what another person has proposed, which does it."""
    oversight, typed = visit.console.app.oversight, visit.text("confirm")

    def go() -> EasingKind:
        found = next((e for e in oversight.easings() if e.id == easing), None)
        asked = found is not None and _oversees(visit) and not _scene(visit).of(found).own
        if found is not None and asked and typed != found.target:  # of others, the rules say what they may not
            raise Invalid(f"To approve it, type what it is about: {found.target}", remedy="Nothing was changed.")
        return oversight.approve(visit.caller(), easing).kind

    try:
        kind = await visit.quick(go)
    except (Invalid, Conflict) as error:
        return await _show(visit, easing, error, 400 if isinstance(error, Invalid) else 409)
    anew = kind in (EasingKind.APPOINT, EasingKind.REKEY)
    more = " They have no key and no login now: the operator invites them, in person." if anew else ""
    return visit.done(f"{_LIST}/{easing}", f"It is approved and done.{more}")


@router.post("/proposals/{easing}/withdraw")
async def withdraw(visit: Visitor, easing: _EasingId) -> Response:
    """Withdraw a proposal."""
    try:
        await visit.quick(lambda: visit.console.app.oversight.withdraw(visit.caller(), easing))
    except Conflict as error:
        return await _show(visit, easing, error, 409)
    return visit.done(_LIST, "The proposal is withdrawn.")


# --- alarms ---


async def _alarms(
    visit: Visit, error: CustodesError | None = None, about: str = "", finding: str = "", status: int = 200
) -> Response:
    roles, own = visit.session.roles, visit.session.organisation.id

    def look() -> tuple[list[Alarm], Scene]:
        every = bool(roles & {Role.OVERSIGHT, Role.OPERATOR})
        return [a for a in visit.console.app.oversight.alarms() if every or a.organisation == own], _scene(visit)

    found, scene = await visit.quick(look)
    answered = [a for a in found if a.answered_at is not None]
    values = {
        "open": [a for a in found if a.answered_at is None],
        "answered": answered[:_SHOWN],
        "more": len(answered) > _SHOWN,
        "kinds": _KINDS_OF_ALARM,
        "organisations": scene.organisations,
        "name": scene.name,
        "every": bool(roles & {Role.OVERSIGHT, Role.OPERATOR}),
        "oversees": Role.OVERSIGHT in roles,
        "error": error,
        "about": about,
        "finding": finding,
    }
    return visit.page("rules_alarms.html.j2", values, status=status)


@router.get("/alarms")
async def alarms(visit: Visitor) -> Response:
    """List alarms: all for overseers, those about their own organisation for others."""
    return await _alarms(visit)


@router.post("/alarms/{alarm}/answer")
async def answer(visit: Visitor, alarm: _AlarmId) -> Response:
    """Note what was found when an alarm was looked into."""
    finding = visit.text("finding")
    try:
        await visit.quick(lambda: visit.console.app.oversight.answer(visit.caller(), alarm, finding))
    except (Invalid, Conflict) as error:
        return await _alarms(visit, error, alarm, finding, 400 if isinstance(error, Invalid) else 409)
    return visit.done(_ALARMS, "The alarm is answered; the finding is in the ledger.")
