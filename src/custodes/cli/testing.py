# SPDX-License-Identifier: Apache-2.0
"""``custodes testing``: checking signed results of those who test an installation, and of its own evaluations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from custodes.cli.arguments import Json, Key
from custodes.cli.ledger import verifier_key
from custodes.cli.output import print_findings, read

__all__ = ["program"]

program = typer.Typer(help="Results of tests, signed by the installation that was tested.", no_args_is_help=True)


@program.callback()
def _testing() -> None:
    """Let there be a noun although it has one verb."""


@program.command()
def verify(
    file: Annotated[Path, typer.Argument(help="The signed result, as it came.", show_default=False)],
    vkey: Key = "",
    as_json: Json = False,
) -> None:
    """Check a signed result offline; status 1 if anything in it doesn't hold."""
    from custodes.operations.signed import verify_signed  # here, so that --help doesn't wait

    print_findings(verify_signed(read(file), verifier_key(vkey) or None), as_json=as_json)
