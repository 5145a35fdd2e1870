# SPDX-License-Identifier: Apache-2.0
"""``custodes ledger``: reading, publishing, verifying, opening an entry, witnesses."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from custodes.cli.arguments import Json
from custodes.cli.output import console, installation, print_done, print_json, print_rows, when, write
from custodes.cli.rules import replay
from custodes.cli.who import who
from custodes.errors import Invalid

__all__ = ["program", "verifier_key"]

program = typer.Typer(
    help="The ledger: what was decided and done, for whoever wants to check it.", no_args_is_help=True
)
witness = typer.Typer(help="Witnesses: others who sign what they have seen.", no_args_is_help=True)
program.add_typer(witness, name="witness")
program.command()(replay)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise Invalid(f"{path} can't be read: {e}.") from e


def verifier_key(told: str) -> str:
    """Return a verifier key, which is told as such or by a file that holds it.

    Raises:
        Invalid: if the file can't be read.
    """
    with contextlib.suppress(OSError):  # a key is too long for a file's name
        if Path(told).is_file():
            return _text(Path(told)).strip()
    return told


@program.command("list")
def list_entries(
    last: Annotated[int, typer.Option("--last", "-n", help="So many, the newest.", min=1)] = 20,
    as_json: Json = False,
) -> None:
    """List entries."""
    with installation() as app:
        entries = list(app.ledger.entries(max(0, app.ledger.size() - last)))
    if as_json:
        print_json([{"index": i, **e} for i, e in entries])
        return
    columns = {
        "index": "Entry",
        "at": "At",
        "what": "What",
        "decision": "Decision",
        "who": "Person",
        "detail": "Detail",
    }
    print_rows([_row(i, e) for i, e in entries], columns, as_json=False)


def _row(index: int, e: Mapping[str, Any]) -> dict[str, object]:
    request = e.get("request") or {}
    detail = e.get("rules") or e.get("change") or e.get("outcome")
    return {
        "index": index,
        "at": e["at"],
        "what": request.get("action") or e.get("event"),
        "decision": e.get("decision"),
        "who": request.get("principal"),
        "detail": detail,
    }


@program.command()
def show(index: int, as_json: Json = False) -> None:
    """Show an entry."""
    with installation() as app:
        entry = app.ledger.entry(index)
    text = orjson.dumps(entry, option=orjson.OPT_INDENT_2).decode()
    print_json(entry) if as_json else console.print(text, highlight=False, markup=False, soft_wrap=True)


@program.command()
def checkpoint(
    cosigned: Annotated[int, typer.Option(help="The newest that so many witnesses have cosigned.", min=0)] = 0,
) -> None:
    """Print a signed checkpoint; keep it, and no later one can hide what it covers."""
    with installation() as app:
        text = app.ledger.cosigned(cosigned) if cosigned else app.ledger.checkpoint(fresh=True)
    console.print(text, end="", highlight=False, markup=False, soft_wrap=True)


@program.command()
def publish(folder: Path, as_json: Json = False) -> None:
    """Write the log as static files, in the layout of C2SP tlog-tiles; run it again to bring it up to date."""
    with installation() as app:
        done = app.ledger.publish(folder)
        vkey = app.ledger.vkey
    told = {"size": done.size, "written": done.written, "folder": str(folder), "vkey": vkey}
    print_done(told, f"{done.size} entries are published in {folder}.\nVerifier key: {vkey}", as_json=as_json)


@program.command()
def verify(
    source: Annotated[str, typer.Argument(help="The folder or the URL of a published log.")],
    vkey: Annotated[
        str, typer.Option(help="The log's verifier key, or a file with it; the log's own word unless given.")
    ] = "",
    since: Annotated[Path | None, typer.Option(help="An older checkpoint, which this log must continue.")] = None,
    witnesses: Annotated[
        list[str] | None, typer.Option("--witness", help="A witness's verifier key; may be repeated.")
    ] = None,
    need: Annotated[int, typer.Option(help="So many of them must have cosigned.", min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Verify a published log, with no database and no trust in its operator; status 1 if anything is wrong."""
    from custodes.operations.ledger import open_source  # here, so that --help doesn't wait
    from custodes.operations.ledger import verify as check

    key = verifier_key(vkey)
    columns = (TextColumn("Verifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=as_json, transient=True) as progress:
        task = progress.add_task("", total=None)
        found = check(
            open_source(source),
            vkey=key or None,
            since=_text(since) if since else None,
            witnesses=tuple(witnesses or ()),
            need=need or len(witnesses or ()),
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    told = {
        "origin": found.origin,
        "size": found.size,
        "root": found.root.hex(),
        "first_at": when(found.first_at),
        "last_at": when(found.last_at),
        "key_given": bool(key),
        "continues": str(since) if since else None,
        "cosigned_by": list(found.witnesses),
    }
    sentence = f"{found.size} entries of {found.origin} are whole, root {found.root.hex()}."
    if since:
        sentence += f"\nThe log continues {since}."
    if found.witnesses:
        sentence += f"\nCosigned by {', '.join(found.witnesses)}."
    if not key:
        sentence += "\nThe verifier key is the log's own word: get it from elsewhere too, and give it as --vkey."
    print_done(told, sentence, as_json=as_json)


@program.command()
def disclose(
    index: int,
    names: Annotated[list[str] | None, typer.Option("--name", help="Only this commitment; may be repeated.")] = None,
    out: Annotated[Path | None, typer.Option(help="The file to write; standard output unless given.")] = None,
) -> None:
    """Open an entry to a court or to the person concerned: what it commits to, with a proof; itself an entry."""
    with installation() as app:
        told = app.ledger.disclose(who(app), index, names)
    _hand_out(told, out)


@program.command()
def receipt(
    index: int,
    out: Annotated[Path | None, typer.Option(help="The file to write; standard output unless given.")] = None,
) -> None:
    """Give the receipt of an erasure: its entry, opened, with a proof that it is in the ledger."""
    with installation() as app:
        told = app.erasure.receipt(index)
    _hand_out(told, out)


def _hand_out(told: bytes, out: Path | None) -> None:
    if out is None:
        console.print(told.decode(), highlight=False, markup=False, soft_wrap=True)
        return
    write(out, told)
    console.print(f"{out} is written. To check it: custodes ledger check {out} --vkey KEY", highlight=False)


@program.command()
def check(
    file: Annotated[Path, typer.Argument(help="A disclosure or a receipt.")],
    vkey: Annotated[str, typer.Option(help="The log's verifier key, or a file with it.")],
    as_json: Json = False,
) -> None:
    """Check a disclosure or a receipt offline; status 1 if anything is wrong."""
    from custodes.operations.ledger import check_disclosure  # here, so that --help doesn't wait

    found = check_disclosure(_text(file), verifier_key(vkey))
    told = {
        "index": found.index,
        "size": found.size,
        "root": found.root.hex(),
        "entry": found.entry,
        "openings": {name: value.decode("utf-8", "backslashreplace") for name, value in found.values.items()},
    }
    if as_json:
        print_json(told)
        return
    console.print(f"Entry {found.index} is in the log of {found.size} entries.", highlight=False)
    console.print(orjson.dumps(found.entry, option=orjson.OPT_INDENT_2).decode(), highlight=False, markup=False)
    for name, value in found.values.items():
        console.print(f"{name}: {value.decode('utf-8', 'backslashreplace')}", highlight=False, markup=False)


@witness.command("add")
def add_witness(vkey: str, as_json: Json = False) -> None:
    """Register a witness by its verifier key (cosignature/v1)."""
    with installation() as app:
        made = app.ledger.add_witness(who(app), vkey)
    print_done({"name": made.name}, f"{made.name} is registered.", as_json=as_json)


@witness.command("list")
def list_witnesses(as_json: Json = False) -> None:
    """List the registered witnesses."""
    with installation() as app:
        rows = [{"name": w.name, "vkey": str(w)} for w in app.ledger.witnesses()]
    print_rows(rows, {"name": "Witness", "vkey": "Verifier key"}, as_json=as_json)


@witness.command()
def accept(note: Annotated[Path, typer.Argument(help="A checkpoint with their lines.")], as_json: Json = False) -> None:
    """Keep what witnesses have signed below one of the log's checkpoints; it is published with it."""
    with installation() as app:
        names = app.ledger.accept_cosignature(_text(note))
    print_done({"accepted": list(names)}, f"Accepted: {', '.join(names)}.", as_json=as_json)
