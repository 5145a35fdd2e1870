# SPDX-License-Identifier: Apache-2.0
"""``custodes org`` and ``custodes people``: who uses the service, and what they may do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from custodes.cli.arguments import Json, moment
from custodes.cli.output import installation, print_done, print_rows, when
from custodes.cli.who import who
from custodes.errors import Invalid
from custodes.governance.request import NO_JURISDICTION, OrgClass, Role

__all__ = ["people", "program"]

program = typer.Typer(
    help="Organisations: class and jurisdiction decide which rules hold for them.", no_args_is_help=True
)
people = typer.Typer(help="People in organisations, their roles and their training.", no_args_is_help=True)


@program.command()
def add(
    name: str,
    org_class: Annotated[OrgClass, typer.Option("--class", help="What it is; can't be changed later.")],
    jurisdiction: Annotated[
        str, typer.Option(help="Where it is, by ISO 3166-2 (US-WA) or country (DE); can't be changed later.")
    ] = NO_JURISDICTION,
    as_json: Json = False,
) -> None:
    """Add an organisation."""
    with installation(make=True) as app:
        made = app.people.add_organisation(who(app), name, org_class, jurisdiction)
    told = {"id": made.id, "name": made.name, "class": str(org_class), "jurisdiction": made.jurisdiction}
    print_done(told, f"{made.id} is added: {name}, {org_class}, {made.jurisdiction}.", as_json=as_json)


@program.command("list")
def list_organisations(as_json: Json = False) -> None:
    """List the organisations."""
    with installation() as app:
        rows = [
            {
                "id": o.id,
                "name": o.name,
                "class": str(o.org_class),
                "jurisdiction": o.jurisdiction,
                "created_at": when(o.created_at),
                "suspended_at": when(o.suspended_at),
            }
            for o in app.people.organisations()
        ]
    columns = {"id": "Organisation", "name": "Name", "class": "Class", "jurisdiction": "Where"}
    print_rows(rows, columns | {"suspended_at": "Suspended"}, as_json=as_json)


@program.command()
def suspend(organisation: str, as_json: Json = False) -> None:
    """Let an organisation do nothing any more."""
    with installation() as app:
        app.people.suspend_organisation(who(app), organisation, suspended=True)
    print_done({"id": organisation, "suspended": True}, f"{organisation} is suspended.", as_json=as_json)


@program.command()
def resume(organisation: str, as_json: Json = False) -> None:
    """Let a suspended organisation act again."""
    with installation() as app:
        app.people.suspend_organisation(who(app), organisation, suspended=False)
    print_done({"id": organisation, "suspended": False}, f"{organisation} may act again.", as_json=as_json)


@people.command("add")
def add_person(
    name: Annotated[str, typer.Argument(help="For tables; it never enters the ledger.")],
    identifier: Annotated[
        str, typer.Option("--id", help="What tells this human being from all others: e-mail address, staff number.")
    ],
    organisation: Annotated[str, typer.Option("--org", help="The organisation, by id.")] = "local",
    roles: Annotated[list[Role] | None, typer.Option("--role", help="What they may do; user unless given.")] = None,
    as_json: Json = False,
) -> None:
    """Add a person to an organisation."""
    with installation(make=True) as app:
        made = app.people.add(who(app), organisation, identifier, name, roles or [Role.USER])
    told = {"id": made.id, "organisation": organisation, "roles": sorted(map(str, made.roles))}
    print_done(told, f"{made.id} is added: {name}, {', '.join(sorted(map(str, made.roles)))}.", as_json=as_json)


@people.command("list")
def list_people(as_json: Json = False) -> None:
    """List the people."""
    with installation() as app:
        rows = [
            {
                "id": p.id,
                "name": p.name,
                "organisation": p.organisation,
                "roles": sorted(map(str, p.roles)),
                "trained_until": when(max((t.until for t in p.trainings), default=None)),
                "suspended_at": when(p.suspended_at),
            }
            for p in app.people.principals()
        ]
    columns = {"id": "Person", "name": "Name", "organisation": "Organisation", "roles": "Roles"}
    print_rows(rows, columns | {"trained_until": "Trained until", "suspended_at": "Suspended"}, as_json=as_json)


@people.command("roles")
def set_roles(person: str, roles: Annotated[list[Role], typer.Argument()], as_json: Json = False) -> None:
    """Change what a person may do; the oversight role is given and taken by two overseers (custodes easings)."""
    with installation() as app:
        app.people.set_roles(who(app), person, roles)
    told = {"id": person, "roles": sorted(map(str, roles))}
    print_done(told, f"{person} is now {', '.join(sorted(map(str, roles)))}.", as_json=as_json)


@people.command("suspend")
def suspend_person(person: str, as_json: Json = False) -> None:
    """Let a person do nothing any more."""
    with installation() as app:
        app.people.suspend(who(app), person, suspended=True)
    print_done({"id": person, "suspended": True}, f"{person} is suspended.", as_json=as_json)


@people.command("resume")
def resume_person(person: str, as_json: Json = False) -> None:
    """Let a suspended person act again."""
    with installation() as app:
        app.people.suspend(who(app), person, suspended=False)
    print_done({"id": person, "suspended": False}, f"{person} may act again.", as_json=as_json)


@people.command()
def train(
    person: str,
    course: str,
    since: Annotated[str, typer.Option(help="When it was; now unless given.")] = "",
    days: Annotated[int, typer.Option(help="For how long it counts.", min=1, max=3650)] = 365,
    as_json: Json = False,
) -> None:
    """Record that a person was trained."""
    begun = moment(since) if since else datetime.now(UTC)
    try:
        until = begun + timedelta(days=days)
    except OverflowError as e:
        raise Invalid("A training ends before the year 10000 does.") from e
    with installation() as app:
        app.people.train(who(app), person, course, begun, until)
    told = {"id": person, "course": course, "until": when(until)}
    print_done(told, f"{person} counts as trained until {when(until)}.", as_json=as_json)
