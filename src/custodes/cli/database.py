# SPDX-License-Identifier: Apache-2.0
"""``custodes database``: upkeep of the database."""

from __future__ import annotations

import typer

from custodes.cli.arguments import Json
from custodes.cli.output import console, installation, print_json

__all__ = ["program"]

program = typer.Typer(help="The database's upkeep.", no_args_is_help=True)


@program.callback()
def _group() -> None:
    """Upkeep of the database."""


@program.command()
def scrub(as_json: Json = False) -> None:
    """Write the database anew, without a trace of what was deleted. Requests wait meanwhile: do it on a quiet day."""
    with installation() as app:
        app.scrub()
    print_json({"scrubbed": True}) if as_json else console.print("The database is written anew.", highlight=False)
