# SPDX-License-Identifier: Apache-2.0
"""``custodes moratoria | stop | easings | alarms``: what overseers do. One makes stricter; two ease."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from custodes.cli.arguments import Json, moment
from custodes.cli.output import console, installation, print_done, print_rows, when
from custodes.cli.who import who
from custodes.errors import Invalid
from custodes.governance.model import EasingKind, StopScope
from custodes.governance.moratorium import Exemption, Moratorium
from custodes.governance.request import OrgClass, Purpose

__all__ = ["alarms", "easings", "moratoria", "stop"]

moratoria = typer.Typer(help="Moratoria: one overseer declares or extends, two lift or shorten.", no_args_is_help=True)
stop = typer.Typer(help="The kill switch: one overseer stops, two restart.", no_args_is_help=True)
easings = typer.Typer(help="What takes two overseers: one proposes, another approves.", no_args_is_help=True)
alarms = typer.Typer(help="What oversight should look into.", no_args_is_help=True)


@moratoria.command("list")
def list_moratoria(as_json: Json = False) -> None:
    """List the moratoria that are not lifted, and the forms that ship and can be declared."""
    with installation() as app:
        declared = app.oversight.moratoria()
        known = {m.id for m in declared}
        forms = [m for m in app.oversight.forms() if m.id not in known]
    rows = [_row(m, declared=True) for m in declared] + [_row(m, declared=False) for m in forms]
    columns = {"id": "Moratorium", "state": "State", "classes": "Binds", "actions": "Forbids", "begins": "From"}
    print_rows(rows, columns | {"ends": "Until", "citation": "Citation"}, as_json=as_json)


def _row(m: Moratorium, *, declared: bool) -> dict[str, object]:
    now = datetime.now(UTC)
    if not declared:
        state = "not declared"
    elif now < m.begins:
        state = "ahead"
    else:
        state = "in force" if m.ends is None or now < m.ends else "over"
    return {
        "id": m.id,
        "state": state,
        "classes": sorted(map(str, m.classes)),
        "jurisdictions": sorted(m.jurisdictions),
        "actions": sorted(m.actions),
        "purposes": sorted(map(str, m.purposes)),
        "begins": when(m.begins),
        "ends": when(m.ends),
        "exempt": [f"{e.org_class}: {p}" for e in m.exempt for p in sorted(map(str, e.purposes))],
        "citation": m.citation,
        "explain": m.explain,
    }


def _exemption(text: str) -> Exemption:
    org_class, _, purposes = text.partition(":")
    try:
        return Exemption(OrgClass(org_class), frozenset(Purpose(p.strip()) for p in purposes.split(",")))
    except ValueError as e:
        raise typer.BadParameter(f"An exemption is CLASS:PURPOSE[,PURPOSE]: {e}.") from e


@moratoria.command()
def declare(
    moratorium: Annotated[str, typer.Argument(help="Its id; that of a form that ships needs nothing else.")],
    classes: Annotated[list[OrgClass] | None, typer.Option("--class", help="Whom it binds; may be repeated.")] = None,
    actions: Annotated[
        list[str] | None, typer.Option("--action", help="What it forbids: Recognise, Search, Store, or an action.")
    ] = None,
    purposes: Annotated[list[Purpose] | None, typer.Option("--purpose", help="For what; all unless given.")] = None,
    jurisdictions: Annotated[
        list[str] | None, typer.Option("--jurisdiction", help="Where (US, US-WA); everywhere unless given.")
    ] = None,
    begins: Annotated[str, typer.Option(help="From when on; now unless given.")] = "",
    ends: Annotated[str, typer.Option(help="Until when; until further notice unless given.")] = "",
    exempt: Annotated[
        list[str] | None, typer.Option(help="Who may go on, with an own open case: CLASS:PURPOSE[,PURPOSE].")
    ] = None,
    citation: Annotated[str, typer.Option(help="Where it comes from.")] = "",
    explain: Annotated[str, typer.Option(help="What it says, in plain words.")] = "",
    remedy: Annotated[str, typer.Option(help="What the refused can do.")] = "",
    as_json: Json = False,
) -> None:
    """Put a moratorium in force."""
    with installation() as app:
        form = next((m for m in app.oversight.forms() if m.id == moratorium), None)
        if form is not None and not classes:
            made = form
        elif not classes or not actions or not citation:
            raise Invalid("A moratorium needs at least --class, --action and --citation, or the id of a form.")
        else:
            made = Moratorium(
                id=moratorium,
                classes=frozenset(classes),
                jurisdictions=frozenset(jurisdictions or ()),
                actions=frozenset(actions),
                purposes=frozenset(purposes or ()),
                begins=moment(begins) if begins else datetime.now(UTC),
                ends=moment(ends) if ends else None,
                exempt=tuple(_exemption(e) for e in exempt or ()),
                citation=citation,
                explain=explain or f"A moratorium forbids {', '.join(actions)} to {', '.join(map(str, classes))}.",
                remedy=remedy or "Only two overseers together can lift it.",
            )
        app.oversight.declare(who(app), made)
    print_done(_row(made, declared=True), f"The moratorium {moratorium} is declared.", as_json=as_json)


@moratoria.command()
def extend(
    moratorium: str,
    ends: Annotated[str, typer.Option(help="Its new end; until further notice unless given.")] = "",
    as_json: Json = False,
) -> None:
    """Let a moratorium last longer."""
    with installation() as app:
        changed = app.oversight.extend(who(app), moratorium, moment(ends) if ends else None)
    until = when(changed.ends) or "further notice"
    print_done(_row(changed, declared=True), f"{moratorium} lasts until {until}.", as_json=as_json)


@stop.command("throw")
def throw(
    reason: Annotated[str, typer.Option(help="Why, in words that may be published.")],
    organisation: Annotated[str | None, typer.Option("--org", help="Stop this organisation.")] = None,
    purpose: Annotated[Purpose | None, typer.Option(help="Stop all use for this purpose.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Stop all use.")] = False,
    as_json: Json = False,
) -> None:
    """Stop use at once; what is under way is not answered either."""
    if sum((organisation is not None, purpose is not None, everything)) != 1:
        raise Invalid("Stop --org, --purpose or --all; one of them.")
    if organisation is not None:
        scope, value = StopScope.ORGANISATION, organisation
    elif purpose is not None:
        scope, value = StopScope.PURPOSE, str(purpose)
    else:
        scope, value = StopScope.ALL, ""
    with installation() as app:
        made = app.oversight.stop(who(app), scope, value, reason)
    print_done({"id": made.id, "scope": str(scope), "value": value}, f"{made.id} holds.", as_json=as_json)


@stop.command("list")
def list_stops(as_json: Json = False) -> None:
    """List the stops that hold."""
    with installation() as app:
        rows = [
            {
                "id": s.id,
                "scope": str(s.scope),
                "value": s.value,
                "reason": s.reason,
                "stopped_at": when(s.stopped_at),
                "stopped_by": s.stopped_by,
            }
            for s in app.oversight.stops()
        ]
    columns = {"id": "Stop", "scope": "Scope", "value": "What", "reason": "Reason", "stopped_at": "Since"}
    print_rows(rows, columns | {"stopped_by": "By"}, as_json=as_json)


@easings.command()
def propose(
    kind: EasingKind,
    target: Annotated[str, typer.Argument(help="The moratorium, stop, rulebook or person, by id.")],
    reason: Annotated[str, typer.Option(help="Why, in words that may be published.")],
    ends: Annotated[str, typer.Option(help="The new end, to shorten a moratorium.")] = "",
    as_json: Json = False,
) -> None:
    """Propose an easing; nothing changes until another overseer approves."""
    parameters = {"ends": moment(ends).isoformat()} if ends else {}
    with installation() as app:
        made = app.oversight.propose(who(app), kind, target, reason, parameters)
    told = {"id": made.id, "kind": str(kind), "target": target}
    sentence = f"{made.id} is proposed. Another overseer approves it: custodes easings approve {made.id}"
    print_done(told, sentence, as_json=as_json)


@easings.command()
def approve(easing: str, as_json: Json = False) -> None:
    """Approve what another overseer has proposed, which does it."""
    with installation() as app:
        done = app.oversight.approve(who(app), easing)
    told = {"id": easing, "kind": str(done.kind), "target": done.target}
    print_done(told, f"{done.kind} {done.target}: done.", as_json=as_json)
    if done.kind in (EasingKind.APPOINT, EasingKind.REKEY) and not as_json:
        console.print(
            f"They have no key now. The operator makes one and hands it over in person: custodes keys create "
            f"--principal {done.target} --purpose oversight --credentials FILE",
            highlight=False,
            soft_wrap=True,
        )


@easings.command()
def withdraw(easing: str, as_json: Json = False) -> None:
    """Withdraw a proposal."""
    with installation() as app:
        app.oversight.withdraw(who(app), easing)
    print_done({"id": easing, "withdrawn": True}, f"{easing} is withdrawn.", as_json=as_json)


@easings.command("list")
def list_easings(as_json: Json = False) -> None:
    """List what was proposed, and what of it was approved."""
    with installation() as app:
        rows = [
            {
                "id": e.id,
                "kind": str(e.kind),
                "target": e.target,
                "parameters": e.parameters,
                "reason": e.reason,
                "proposed_at": when(e.proposed_at),
                "proposed_by": e.proposed_by,
                "approved_at": when(e.approved_at),
                "approved_by": e.approved_by,
                "withdrawn_at": when(e.withdrawn_at),
            }
            for e in app.oversight.easings()
        ]
    columns = {"id": "Easing", "kind": "Kind", "target": "Target", "reason": "Reason", "proposed_by": "Proposed by"}
    print_rows(rows, columns | {"approved_by": "Approved by", "approved_at": "Approved"}, as_json=as_json)


@alarms.command("list")
def list_alarms(everything: Annotated[bool, typer.Option("--all")] = False, as_json: Json = False) -> None:
    """List the alarms that nobody has answered."""
    with installation() as app:
        rows = [
            {
                "id": a.id,
                "kind": str(a.kind),
                "organisation": a.organisation,
                "principal": a.principal,
                "detail": a.detail,
                "raised_at": when(a.raised_at),
                "answered_at": when(a.answered_at),
                "answered_by": a.answered_by,
            }
            for a in app.oversight.alarms()
            if everything or a.answered_at is None
        ]
    columns = {"id": "Alarm", "kind": "Kind", "organisation": "Organisation", "principal": "Person"}
    print_rows(rows, columns | {"detail": "Detail", "raised_at": "Raised", "answered_at": "Answered"}, as_json=as_json)


@alarms.command()
def answer(
    alarm: str,
    finding: Annotated[str, typer.Option(help="What was found, in words that may be published.")],
    as_json: Json = False,
) -> None:
    """Note what was found when an alarm was looked into."""
    with installation() as app:
        app.oversight.answer(who(app), alarm, finding)
    print_done({"id": alarm, "answered": True}, f"{alarm} is answered.", as_json=as_json)
