# SPDX-License-Identifier: Apache-2.0
"""``custodes keys``: who may call the server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from custodes.cli.arguments import Json
from custodes.cli.endpoint import endpoint_of
from custodes.cli.output import console, installation, print_json, print_table
from custodes.cli.who import who
from custodes.errors import Invalid
from custodes.governance.request import Purpose

__all__ = ["program"]

program = typer.Typer(help="Access keys.", no_args_is_help=True)


@program.command()
def create(
    label: Annotated[str, typer.Option(help="What the key is for.")] = "",
    principal: Annotated[str, typer.Option(help="Whose it is; the operator's unless another is named.")] = "operator",
    purpose: Annotated[Purpose, typer.Option(help="For what alone.")] = Purpose.PHOTO_LIBRARY,
    case: Annotated[str | None, typer.Option(help="The case that its requests are for, unless they name one.")] = None,
    authority: Annotated[str | None, typer.Option(help="The authority that they rest on, likewise.")] = None,
    provenance: Annotated[str | None, typer.Option(help="Where images come from that are enrolled with it.")] = None,
    days: Annotated[int | None, typer.Option(help="For how long it is valid.", min=1)] = None,
    credentials: Annotated[
        Path | None, typer.Option(help="Write it to a new credentials file instead of printing the secret.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make an access key; its secret is shown this once."""
    with installation(make=True) as app:
        endpoint = endpoint_of(app.config)  # before a key is made that nobody would get to see
        if credentials is not None and credentials.exists():
            raise Invalid(f"{credentials} is there already.")
        if provenance is None and principal == "operator":
            provenance = "own"
        key = app.identity.create_key(
            who(app),
            label,
            principal=principal,
            purpose=purpose,
            case=case,
            authority=authority,
            provenance=provenance,
            days=days,
        )
        region = app.config.server.region
        if credentials is not None:
            app.identity.write_credentials(credentials, key, region)
        told = {
            "access_key_id": key.access_key_id,
            "secret_access_key": key.secret if credentials is None else None,
            "endpoint_url": endpoint,
            "region": region,
            "principal": principal,
            "purpose": str(purpose),
            "credentials": str(credentials) if credentials else None,
        }
    if as_json:
        print_json(told)
        return
    for name, value in told.items():
        if value is not None:
            console.print(f"[bold]{name:<18}[/bold] {value}", highlight=False, soft_wrap=True)
    if credentials is None:
        console.print("The secret is not shown again.", style="dim")


@program.command("list")
def list_keys(as_json: Json = False) -> None:
    """List the access keys, without their secrets."""
    with installation() as app:
        rows = [
            {
                "access_key_id": k.access_key_id,
                "label": k.label,
                "principal": k.principal,
                "purpose": str(k.purpose),
                "created_at": k.created_at.isoformat(timespec="seconds"),
                "expires_at": k.expires_at.isoformat(timespec="seconds") if k.expires_at else None,
                "revoked_at": k.revoked_at.isoformat(timespec="seconds") if k.revoked_at else None,
            }
            for k in app.identity.list_keys()
        ]
    if as_json:
        print_json(rows)
    else:
        print_table(
            ("Access key", "Label", "Person", "Purpose", "Created", "Expires", "Revoked"),
            [tuple(r.values()) for r in rows],
        )


@program.command()
def revoke(access_key_id: str, as_json: Json = False) -> None:
    """Make an access key useless, for good; running servers follow within a second."""
    with installation() as app:
        key = app.identity.revoke_key(who(app), access_key_id)
    if as_json:
        print_json({"access_key_id": key.access_key_id, "revoked": True})
    else:
        console.print(f"{key.access_key_id} is revoked.", highlight=False)
