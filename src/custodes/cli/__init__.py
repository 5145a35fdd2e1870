# SPDX-License-Identifier: Apache-2.0
"""The command line: one file per noun, each parse -> operation -> print; every command has ``--json``."""

from __future__ import annotations

import errno
import sys
from typing import NoReturn

import typer

from custodes.cli import (
    calibrate,
    camera,
    cases,
    collections,
    console,
    database,
    enrolment,
    erasure,
    evaluate,
    evaluations,
    faces,
    footage,
    grounds,
    imports,
    keys,
    leads,
    ledger,
    organisations,
    oversight,
    packs,
    photos,
    review,
    rules,
    server,
    shares,
    testing,
    users,
)
from custodes.cli.output import fail, prepare_output
from custodes.errors import CustodesError, Invalid

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
calibrate.add_to(program)
program.add_typer(collections.program, name="collections")
program.add_typer(faces.program, name="faces")
program.add_typer(users.program, name="users")
program.add_typer(database.program, name="database")
program.add_typer(keys.program, name="keys")
program.add_typer(packs.program, name="pack")
program.add_typer(console.program, name="console")
program.add_typer(organisations.program, name="org")
program.add_typer(organisations.people, name="people")
program.add_typer(rules.program, name="rules")
program.add_typer(oversight.moratoria, name="moratoria")
program.add_typer(oversight.stop, name="stop")
program.add_typer(oversight.easings, name="easings")
program.add_typer(oversight.alarms, name="alarms")
program.add_typer(cases.program, name="cases")
program.add_typer(review.program, name="review")
program.add_typer(imports.program, name="import")
program.add_typer(imports.hash_lists, name="hashlists")
program.add_typer(grounds.authority, name="authority")
program.add_typer(grounds.consent, name="consent")
program.add_typer(grounds.results, name="results")
program.add_typer(camera.program, name="camera")
program.add_typer(footage.program, name="footage")
program.add_typer(shares.program, name="share")
program.add_typer(leads.program, name="leads")
program.add_typer(ledger.program, name="ledger")
program.add_typer(evaluate.program, name="evaluate")
program.add_typer(evaluations.program, name="evaluations")
program.add_typer(testing.program, name="testing")
program.add_typer(erasure.subject, name="subject")
program.add_typer(erasure.retention, name="retention")
program.add_typer(erasure.report, name="report")


def main() -> None:
    """Run the command line; an error that was foreseen becomes one line and exit status 1."""
    prepare_output()
    try:
        program()
    except CustodesError as error:
        _leave(error)
    except UnicodeEncodeError:  # odd bytes are for names of files alone
        _leave(Invalid("An argument holds bytes that are no UTF-8."))
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        _leave(Invalid("The name of a file is too long."))


def _leave(error: CustodesError) -> NoReturn:
    fail(error, as_json="--json" in sys.argv)
    sys.exit(1)
