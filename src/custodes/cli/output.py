# SPDX-License-Identifier: Apache-2.0
"""How the command line speaks: tables for people, JSON for scripts, errors on standard error, one line each."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, TypeAlias

import orjson
import typer
from rich.console import Console
from rich.table import Table

from custodes.config import Config, load
from custodes.errors import CustodesError

if TYPE_CHECKING:
    from custodes.app import App

__all__ = ["Json", "configuration", "console", "fail", "installation", "print_json", "print_table", "warn"]

Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_PIPED = 10_000  # columns: what goes to a file or a program is not cut to fit a screen

console = Console(width=None if sys.stdout.isatty() else _PIPED)
_errors = Console(stderr=True, soft_wrap=True)


def configuration() -> Config:
    """Read the configuration.

    Raises:
        Invalid: if it can't be meant.
    """
    return load()


@contextmanager
def installation() -> Iterator[App]:
    """Open the installation in the data folder; a server may run on it at the same time."""
    from custodes.app import App  # here, so that --help doesn't wait for a database and models

    app = App.open(configuration())
    try:
        yield app
    finally:
        app.close()


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under their headings."""
    table = Table(*columns, header_style="bold", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    console.print(table)


def warn(message: str) -> None:
    """Say something on standard error."""
    _errors.print(message, style="yellow", highlight=False, markup=False)


def fail(error: CustodesError, *, as_json: bool) -> None:
    """Say what went wrong and what to do about it."""
    if as_json:
        print_json({"error": type(error).__name__, "message": error.message, "remedy": error.remedy})
    _errors.print(error.diagnostics(), style="red", highlight=False, markup=False)
