# SPDX-License-Identifier: Apache-2.0
"""``custodes console``: who may sign in at the web console."""

from __future__ import annotations

from typing import Annotated

import typer

from custodes.cli.arguments import Json
from custodes.cli.endpoint import endpoint_of
from custodes.cli.output import console, installation, print_json, print_rows, when
from custodes.cli.who import who
from custodes.governance.request import Purpose

__all__ = ["link", "program"]

program = typer.Typer(help="The web console.", no_args_is_help=True)


def link(endpoint: str, token: str) -> str:
    """Return the address at which an invitation is accepted."""
    return f"{endpoint.rstrip('/')}/console/invitation/{token}"


@program.command()
def invite(
    principal: Annotated[str, typer.Argument(help="Whom, by id; custodes people list shows all.")],
    purposes: Annotated[
        list[Purpose] | None,
        typer.Option("--purpose", help="For what they may work there; all that suit their organisation unless given."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a link by which somebody sets their password, once; it ends the links that they had before."""
    with installation() as app:
        endpoint = endpoint_of(app.config)
        caller = who(app)
        made = app.invitations.invite(caller, principal, purposes or app.invitations.suited(principal))
    told = {
        "principal": principal,
        "purposes": list(map(str, made.purposes)),
        "url": link(endpoint, made.token),
        "expires_at": when(made.expires_at),
    }
    if as_json:
        print_json(told)
        return
    console.print(told["url"], highlight=False, markup=False, soft_wrap=True)
    console.print(f"It works once, until {told['expires_at']}: hand it to {principal} alone.", style="dim")


@program.command("logins")
def list_logins(as_json: Json = False) -> None:
    """List who has a login."""
    with installation() as app:
        rows = [
            {
                "principal": a.principal,
                "purposes": list(map(str, a.purposes)),
                "authenticator": a.has_code,
                "created_at": when(a.created_at),
            }
            for a in app.invitations.accesses()
        ]
    columns = {"principal": "Person", "purposes": "Purposes", "authenticator": "Authenticator", "created_at": "Since"}
    print_rows(rows, columns, as_json=as_json)
