# SPDX-License-Identifier: Apache-2.0
"""Who acts at the command line: the operator of the installation, or the holder of a credentials file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from custodes.errors import Invalid

if TYPE_CHECKING:
    from custodes.app import App
    from custodes.governance import Caller

__all__ = ["DataProvenance", "Provenance", "check_data", "who"]

Provenance: TypeAlias = Annotated[
    str | None,
    typer.Option("--provenance", help="Where the images come from: own, consented, public-record, case-file."),
]

_STATED = ("own", "consented", "public-record", "case-file")
_CASE_FILE = "case-file"


def _provenance(value: str | None) -> str | None:
    if value is not None and value not in _STATED:
        raise typer.BadParameter(f"It is {', '.join(_STATED[:-2])} or {_STATED[-2]}; {_CASE_FILE} is always refused.")
    return value


DataProvenance: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--provenance",
        help="Where the photos come from: own, consented or public-record. case-file is always refused: pictures of "
        "cases are no test data.",
        callback=_provenance,
    ),
]
"""Of photos that accuracy is measured on."""


def check_data(provenance: str | None) -> None:
    """Refuse pictures of cases where there is no installation, whose rules would.

    Raises:
        Invalid: if that is what they are said to be.
    """
    if provenance == _CASE_FILE:
        raise Invalid(
            "Accuracy is not measured on pictures of cases.",
            remedy="Take others, and say where they come from: --provenance own, consented or public-record.",
        )


def who(app: App, *, provenance: str | None = None, silent: bool = False) -> Caller:
    """Return who acts: ``CUSTODES_CREDENTIALS`` names a file with a key, otherwise it is the operator.

    Args:
        app: the installation.
        provenance: where images come from, if that is said.
        silent: check the key, and record nothing: for commands that look at requests for footage.

    Raises:
        Denied: if that key is none.
        Invalid: if the file can't be understood.
        Unavailable: if it can't be read.
    """
    name = app.config.credentials
    caller = app.identity.from_file(Path(name).expanduser(), silent=silent) if name else app.identity.operator()
    return replace(caller, provenance=provenance) if provenance else caller
