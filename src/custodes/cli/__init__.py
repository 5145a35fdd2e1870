# SPDX-License-Identifier: Apache-2.0
"""The command line: one file per noun, each parse -> operation -> print; every command has ``--json``."""

from __future__ import annotations

import errno
import gc
import sys
from functools import cache
from typing import NoReturn

import typer
from typer.core import TyperGroup

from custodes.cli.output import fail, prepare_output
from custodes.cli.tree import Places, tree
from custodes.errors import CustodesError, Invalid

__all__ = ["main", "program"]

_COMMANDS: Places = {
    "serve": "server",
    "detect": "photos",
    "compare": "photos",
    "search": "photos",
    "index": "enrolment",
    "calibrate": "calibrate",
    "collections": "collections:program",
    "faces": "faces:program",
    "users": "users:program",
    "database": "database:program",
    "keys": "keys:program",
    "pack": "packs:program",
    "console": "console:program",
    "org": "organisations:program",
    "people": "organisations:people",
    "rules": "rules:program",
    "moratoria": "oversight:moratoria",
    "stop": "oversight:stop",
    "easings": "oversight:easings",
    "alarms": "oversight:alarms",
    "cases": "cases:program",
    "review": "review:program",
    "import": "imports:program",
    "hashlists": "imports:hash_lists",
    "authority": "grounds:authority",
    "consent": "grounds:consent",
    "results": "grounds:results",
    "camera": "camera:program",
    "footage": "footage:program",
    "share": "shares:program",
    "leads": "leads:program",
    "ledger": "ledger:program",
    "evaluate": "evaluate:program",
    "evaluations": "evaluations:program",
    "testing": "testing:program",
    "subject": "erasure:subject",
    "retention": "erasure:retention",
    "report": "erasure:report",
}
"""Every command and group by its name, and which file of this folder has it: it is read when it is asked for."""


@cache
def program() -> TyperGroup:
    """Return the program; it is the same at every call."""
    root = typer.Typer(
        name="custodes",
        help="Face recognition in which every use answers to somebody.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        callback=lambda: None,
    )
    return tree(root, _COMMANDS)


_GARBAGE = 10_000
"""New objects between two looks for garbage: with Python's 700 they take 0.2 s of a start, which only makes modules."""


def main() -> None:
    """Run the command line; an error that was foreseen becomes one line and exit status 1."""
    gc.set_threshold(_GARBAGE)
    prepare_output()
    try:
        program()()
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
