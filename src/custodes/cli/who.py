# SPDX-License-Identifier: Apache-2.0
"""Who acts at the command line: the operator of the installation, or the holder of a credentials file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from custodes.app import App
    from custodes.governance import Caller

__all__ = ["Provenance", "who"]

Provenance: TypeAlias = Annotated[
    str | None,
    typer.Option("--provenance", help="Where the images come from: own, consented, public-record, case-file."),
]


def who(app: App, *, provenance: str | None = None) -> Caller:
    """Return who acts: ``CUSTODES_CREDENTIALS`` names a file with a key, otherwise it is the operator.

    Raises:
        Denied: if that key is none.
        Invalid: if the file can't be understood.
        Unavailable: if it can't be read.
    """
    name = app.config.credentials
    caller = app.identity.from_file(Path(name).expanduser()) if name else app.identity.operator()
    return replace(caller, provenance=provenance) if provenance else caller
