# SPDX-License-Identifier: Apache-2.0
"""How the command line speaks: tables for people, JSON for scripts, errors on standard error, one line each.

A file's name that isn't UTF-8 is told with its odd bytes escaped (``\\udcff``), in words and in JSON.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from custodes.config import Config, load
from custodes.errors import CustodesError, Invalid, NotFound

if TYPE_CHECKING:
    from custodes.app import App
    from custodes.operations.exhibits import Findings

__all__ = [
    "configuration",
    "console",
    "fail",
    "installation",
    "is_installed",
    "prepare_output",
    "print_done",
    "print_findings",
    "print_json",
    "print_line",
    "print_rows",
    "print_table",
    "read",
    "warn",
    "when",
    "write",
]

_MOST = 256 * 2**20  # bytes of a file that somebody else made
_PIPED = 10_000  # columns: what goes to a file or a program is not cut to fit a screen

console = Console(width=None if sys.stdout.isatty() else _PIPED)
_errors = Console(stderr=True, soft_wrap=True)


def prepare_output() -> None:
    """Let standard output take any file's name."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def configuration() -> Config:
    """Read the configuration.

    Raises:
        Invalid: if it can't be meant.
    """
    return load()


def is_installed(config: Config) -> bool:
    """Tell whether somebody has made an installation here: its master key, its database, or its folder is there."""
    if config.database:
        return config.key_path.exists() or config.data.is_dir()
    return config.key_path.exists() or (config.data / "custodes.sqlite3").exists()


@contextmanager
def installation(*, make: bool = False) -> Iterator[App]:
    """Open the installation in the data folder; a server may run on it at the same time.

    Args:
        make: make one if there is none. Commands that only look or take away don't, so that one in the wrong folder
            says so rather than leave a database and a master key there.

    Raises:
        NotFound: if there is none, and none is to be made.
    """
    config = configuration()
    if not make and not is_installed(config):
        raise NotFound(
            f"There is no installation in {config.data.resolve()}.",
            remedy="Set CUSTODES_DATA to the folder that has it, or make one: custodes serve, custodes keys create, "
            "custodes collections create or custodes index.",
        )
    from custodes.app import App  # here, so that --help doesn't wait for a database and models

    app = App.open(config)
    try:
        yield app
    finally:
        app.close()


def _valid(value: object) -> object:
    """Return a value whose texts are valid Unicode."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {k: _valid(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_valid(v) for v in value]
    return value


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    sys.stdout.buffer.write(orjson.dumps(_valid(value), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    sys.stdout.flush()


def print_line(value: object) -> None:
    """Print a value as JSON in a line of its own, at once: for what goes on."""
    sys.stdout.buffer.write(orjson.dumps(_valid(value), option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under their headings."""
    table = Table(*columns, header_style="bold", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    console.print(table)


def print_rows(rows: Sequence[Mapping[str, object]], columns: Mapping[str, str], *, as_json: bool) -> None:
    """Print rows as JSON, or those of their values that ``columns`` names under the headings that it gives."""
    if as_json:
        print_json(rows)
    elif rows:
        print_table(tuple(columns.values()), [tuple(_cell(r[k]) for k in columns) for r in rows])
    else:
        console.print("There are none.", style="dim")


def _cell(value: object) -> object:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value


def print_done(told: Mapping[str, object], sentence: str, *, as_json: bool) -> None:
    """Print what was done, as JSON or as a sentence."""
    print_json(told) if as_json else console.print(sentence, highlight=False, markup=False, soft_wrap=True)


def print_findings(found: Findings, *, as_json: bool) -> None:
    """Print what came of a check; what was checked is hostile.

    Raises:
        Exit: with status 1, if something doesn't hold.
    """
    from custodes.casework.imports import printable  # here, so that --help doesn't wait

    told = {
        "what": found.what,
        "sound": found.sound,
        "holds": list(found.holds),
        "problems": list(found.problems),
        "remarks": list(found.remarks),
        "says": list(found.says),
    }
    lines = [*(f"holds: {h}" for h in found.holds), *(f"DOESN'T HOLD: {p}" for p in found.problems)]
    lines += [*(f"note: {r}" for r in found.remarks), *(f"says: {s}" for s in found.says)]
    count = len(found.problems)
    wrong = f"{count} {'thing' if count == 1 else 'things'} wrong."
    verdict = found.verdict if found.sound else wrong
    print_done(told, "\n".join(printable(x, 8 * len(x)) for x in (found.what, *lines, verdict)), as_json=as_json)
    if not found.sound:
        raise typer.Exit(1)


def read(path: Path) -> bytes:
    """Read a file that somebody else made, to check it.

    Raises:
        Invalid: if it can't be read, or has more than 256 MiB.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST + 1)
    except OSError as e:
        raise Invalid(f"{path} can't be read: {e.strerror}.") from e
    if len(data) > _MOST:
        raise Invalid(f"{path} can't be read: it has more than {_MOST} bytes.")
    return data


def write(path: Path, data: bytes, *, private: bool = False) -> None:
    """Write a file; a private one is for its owner's eyes alone.

    Raises:
        Invalid: if it can't be written.
    """
    try:
        if private:
            path.touch(mode=0o600)
            path.chmod(0o600)
        path.write_bytes(data)
    except OSError as e:
        raise Invalid(f"{path} can't be written: {e.strerror}.") from e


def when(value: datetime | None) -> str | None:
    """Return a time as it is printed."""
    return None if value is None else value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def warn(message: str) -> None:
    """Say something on standard error."""
    _errors.print(message, style="yellow", highlight=False, markup=False)


def fail(error: CustodesError, *, as_json: bool) -> None:
    """Say what went wrong and what to do about it."""
    if as_json:
        print_json({"error": type(error).__name__, "message": error.message, "remedy": error.remedy})
    _errors.print(error.diagnostics(), style="red", highlight=False, markup=False)
