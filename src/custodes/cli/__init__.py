# SPDX-License-Identifier: Apache-2.0
"""The command line: one file per noun, each parse -> operation -> print; every command has ``--json``."""

from __future__ import annotations

import sys

import typer

from custodes.cli import collections, database, enrolment, faces, keys, packs, photos, server, users
from custodes.cli.output import fail, prepare_output
from custodes.errors import CustodesError

__all__ = ["main", "program"]

program = typer.Typer(
    name="custodes",
    help="Face recognition in which every use answers to somebody.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
server.add_to(program)
photos.add_to(program)
enrolment.add_to(program)
program.add_typer(collections.program, name="collections")
program.add_typer(faces.program, name="faces")
program.add_typer(users.program, name="users")
program.add_typer(database.program, name="database")
program.add_typer(keys.program, name="keys")
program.add_typer(packs.program, name="pack")


def main() -> None:
    """Run the command line; an error that was foreseen becomes one line and exit status 1."""
    prepare_output()
    try:
        program()
    except CustodesError as error:
        fail(error, as_json="--json" in sys.argv)
        sys.exit(1)
