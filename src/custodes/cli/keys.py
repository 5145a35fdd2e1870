# SPDX-License-Identifier: Apache-2.0
"""``custodes keys``: who may call the server."""

from __future__ import annotations

from typing import Annotated

import typer

from custodes.cli.arguments import Json
from custodes.cli.endpoint import endpoint_of
from custodes.cli.output import console, installation, print_json, print_table

__all__ = ["program"]

program = typer.Typer(help="Access keys.", no_args_is_help=True)


@program.command()
def create(
    label: Annotated[str, typer.Option(help="What the key is for.")] = "",
    as_json: Json = False,
) -> None:
    """Make an access key; its secret is shown this once."""
    with installation(make=True) as app:
        endpoint = endpoint_of(app.config)  # before a key is made that nobody would get to see
        key = app.identity.create_key(label)
        told = {
            "access_key_id": key.access_key_id,
            "secret_access_key": key.secret,
            "endpoint_url": endpoint,
            "region": app.config.server.region,
        }
    if as_json:
        print_json(told)
        return
    for name, value in told.items():
        console.print(f"[bold]{name:<18}[/bold] {value}", highlight=False, soft_wrap=True)
    console.print("The secret is not shown again.", style="dim")


@program.command("list")
def list_keys(as_json: Json = False) -> None:
    """List the access keys, without their secrets."""
    with installation() as app:
        rows = [
            {
                "access_key_id": k.access_key_id,
                "label": k.label,
                "created_at": k.created_at.isoformat(timespec="seconds"),
                "revoked_at": k.revoked_at.isoformat(timespec="seconds") if k.revoked_at else None,
            }
            for k in app.identity.list_keys()
        ]
    if as_json:
        print_json(rows)
    else:
        print_table(("Access key", "Label", "Created", "Revoked"), [tuple(r.values()) for r in rows])


@program.command()
def revoke(access_key_id: str, as_json: Json = False) -> None:
    """Make an access key useless, for good; running servers follow within a second."""
    with installation() as app:
        key = app.identity.revoke_key(access_key_id)
    if as_json:
        print_json({"access_key_id": key.access_key_id, "revoked": True})
    else:
        console.print(f"{key.access_key_id} is revoked.", highlight=False)
