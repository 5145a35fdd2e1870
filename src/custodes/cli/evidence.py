# SPDX-License-Identifier: Apache-2.0
"""``custodes footage fetch | open | verify``: the officer's end of a share, without an installation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from custodes.cli.arguments import Json, Key
from custodes.cli.ledger import verifier_key
from custodes.cli.output import print_done, print_findings
from custodes.errors import Invalid

__all__ = ["add_to"]

OfficerKeyFile: TypeAlias = Annotated[Path, typer.Option("--key", help="Your own private key's file.")]
Output: TypeAlias = Annotated[
    Path | None, typer.Option("--output", "-o", help="The ZIP to write; share-....zip here unless given.")
]


def add_to(program: typer.Typer) -> None:
    """Add the commands."""
    program.command()(fetch)
    program.command("open")(open_sealed)
    program.command()(verify)


def _place(output: Path | None) -> tuple[Path, str]:
    """Return the folder and the name of what is written; no name if none is given."""
    if output is None:
        return Path(), ""
    if output.exists():
        raise Invalid(f"{output} is there already.", remedy="Name another file.")
    return output.parent, output.name


def fetch(
    link: Annotated[str, typer.Argument(help="The link, all of it.", show_default=False)],
    key: OfficerKeyFile,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Fetch what somebody has shared with you, and open it with your key; that you did is on record there."""
    from custodes.cameras.sharing import OfficerKey  # here, so that --help doesn't wait
    from custodes.operations.fetching import fetch as fetched

    package = fetched(link, OfficerKey.load(key), *_place(output))
    _tell(package, as_json=as_json)


def open_sealed(
    file: Annotated[Path, typer.Argument(help="The sealed package.", show_default=False)],
    share: Annotated[str, typer.Option(help="The share's id: share-...")],
    key: OfficerKeyFile,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Open a sealed package that was handed to you by other means than a link."""
    from custodes.cameras.sharing import OfficerKey  # here, so that --help doesn't wait
    from custodes.operations.fetching import open_package

    package = open_package(file, share, OfficerKey.load(key), *_place(output))
    _tell(package, as_json=as_json)


def _tell(package: Path, *, as_json: bool) -> None:
    sentence = f"{package} is written. To check it: custodes footage verify {package}"
    print_done({"file": str(package)}, sentence, as_json=as_json)


def verify(
    file: Annotated[Path, typer.Argument(help="The package, a ZIP.", show_default=False)],
    vkey: Key = "",
    as_json: Json = False,
) -> None:
    """Check a package of evidence offline; status 1 if anything in it doesn't hold."""
    from custodes.operations.fetching import verify as verified  # here, so that --help doesn't wait

    print_findings(verified(file, verifier_key(vkey) or None), as_json=as_json)
