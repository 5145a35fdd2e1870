# SPDX-License-Identifier: Apache-2.0
"""``custodes import | hashlists``: images brought into a case in bulk, and lists of hashes by which some are known."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from custodes.casework.hashes import HashKind
from custodes.casework.imports import inert
from custodes.casework.model import ImportState, ItemOutcome
from custodes.cli.arguments import Json
from custodes.cli.output import console, installation, print_done, print_rows, warn, when
from custodes.cli.who import Provenance, who
from custodes.errors import Conflict, NotFound

if TYPE_CHECKING:
    from custodes.app import App
    from custodes.casework import Import, ImportItem
    from custodes.governance import Caller

__all__ = ["hash_lists", "program"]

program = typer.Typer(help="Images brought into a case in bulk; what is interrupted goes on.", no_args_is_help=True)
hash_lists = typer.Typer(
    help="Lists of hashes: an image on one is passed over, and nobody sees it.", no_args_is_help=True
)

CaseId = Annotated[str, typer.Argument(help="The case.", show_default=False)]
ImportId = Annotated[str, typer.Argument(metavar="IMPORT", help="The import.", show_default=False)]
Basis = Annotated[str, typer.Option("--basis", help="On which legal basis the images are held.")]
Source = Annotated[str, typer.Option("--source", help="Who gave them.")]
Sensitive = Annotated[
    bool | None,
    typer.Option("--sensitive/--not-sensitive", help="Whether they are blurred until asked for; as the case is."),
]
Where = Annotated[Path, typer.Argument(help="What is read.", show_default=False)]

_COLUMNS = {"number": "Number", "outcome": "Outcome", "reason": "Reason", "name": "Name", "detail": "Detail"}


# --- importing ------------------------------------------------------------------------------------------------------


@program.command("folder")
def import_folder(
    case: CaseId,
    where: Where,
    basis: Basis,
    source: Source,
    provenance: Provenance = None,
    sensitive: Sensitive = None,
    as_json: Json = False,
) -> None:
    """Bring in all images of a folder and the folders below it; links are not followed."""
    _bring("folder", case, str(where), basis, source, provenance, sensitive, as_json)


@program.command("zip")
def import_zip(
    case: CaseId,
    where: Where,
    basis: Basis,
    source: Source,
    provenance: Provenance = None,
    sensitive: Sensitive = None,
    as_json: Json = False,
) -> None:
    """Bring in all images of a ZIP archive."""
    _bring("zip", case, str(where), basis, source, provenance, sensitive, as_json)


@program.command("manifest")
def import_manifest(
    case: CaseId,
    where: Where,
    basis: Basis,
    source: Source,
    provenance: Provenance = None,
    sensitive: Sensitive = None,
    as_json: Json = False,
) -> None:
    """Bring in the images that a CSV file names: file, provenance, basis, source, taken_at, sensitive.

    Files are named by their path from the manifest. What has no column is as the options say.
    """
    _bring("manifest", case, str(where), basis, source, provenance, sensitive, as_json)


@program.command("bucket")
def import_bucket(
    case: CaseId,
    where: Annotated[str, typer.Argument(metavar="BUCKET/PREFIX", help="What is read.", show_default=False)],
    basis: Basis,
    source: Source,
    provenance: Provenance = None,
    sensitive: Sensitive = None,
    as_json: Json = False,
) -> None:
    """Bring in all images of a bucket below a prefix."""
    _bring("bucket", case, where, basis, source, provenance, sensitive, as_json)


def _bring(
    kind: str,
    case: str,
    where: str,
    basis: str,
    source: str,
    provenance: str | None,
    sensitive: bool | None,
    as_json: bool,
) -> None:
    from custodes.operations.imports import SourceKind  # here, so that --help doesn't wait for models

    with installation() as app:
        caller = who(app, provenance=provenance)
        made = app.casework.imports.begin(
            caller,
            case,
            SourceKind(kind),
            where,
            provenance=caller.provenance,
            basis=basis,
            source=source,
            sensitive=sensitive,
            at_once=True,
        )
        _work(app, caller, made.id, as_json)


@program.command()
def resume(import_id: ImportId, as_json: Json = False) -> None:
    """Go on with an import here; whoever works on it lets go of it."""
    with installation() as app:
        caller = who(app)
        with suppress(Conflict):  # it waits already
            app.casework.imports.resume(caller, import_id)
        _work(app, caller, import_id, as_json)


def _work(app: App, caller: Caller, import_id: str, as_json: bool) -> None:
    """Work on an import, show how far it is, and tell how it ended."""
    imports = app.casework.imports
    columns = (TextColumn("Importing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=as_json) as bar:
        task = bar.add_task("", total=None)
        try:
            done = imports.work(
                caller,
                import_id,
                progress=lambda so_far, total: bar.update(task, completed=so_far, total=total),
                workers=app.config.imports.workers or os.cpu_count() or 1,
            )
        except KeyboardInterrupt:
            with suppress(Conflict):
                imports.stop(caller, import_id, "It was interrupted at the command line.")
            warn(f"It is stopped; custodes import resume {import_id} goes on.")
            raise
    print_done(_row(done), _sentence(done), as_json=as_json)
    if done.state == ImportState.STOPPED:
        warn(f"{done.why} When that is mended: custodes import resume {import_id}.")
        raise typer.Exit(1)


# --- looking --------------------------------------------------------------------------------------------------------


@program.command()
def show(import_id: ImportId, as_json: Json = False) -> None:
    """Show how an import stands."""
    with installation() as app:
        found = app.casework.imports.get(who(app), import_id)
    print_done(_row(found), _sentence(found), as_json=as_json)


@program.command("list")
def list_imports(case: CaseId, as_json: Json = False) -> None:
    """List the imports of a case."""
    with installation() as app:
        rows = [_row(i) for i in app.casework.imports.list(who(app), case)]
    columns = {"id": "Import", "kind": "Kind", "state": "State", "made_at": "Begun", "entries": "Entries"}
    columns |= {str(o): str(o).capitalize() for o in ItemOutcome}
    print_rows(rows, columns, as_json=as_json)


@program.command()
def items(
    import_id: ImportId,
    outcome: Annotated[ItemOutcome | None, typer.Option(help="Those of which this became alone.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_json: Json = False,
) -> None:
    """List what became of an import's entries."""
    with installation() as app:
        rows = [_item(i) for i in _all_items(app, who(app), import_id, outcome)]
    if as_csv and not as_json:
        table = csv.writer(sys.stdout)
        table.writerow((*_COLUMNS, "image"))
        table.writerows([_cell(r[name]) for name in (*_COLUMNS, "image")] for r in rows)
    else:
        print_rows(rows, _COLUMNS, as_json=as_json)


def _all_items(app: App, caller: Caller, import_id: str, outcome: ItemOutcome | None) -> Iterator[ImportItem]:
    after: int | None = -1
    while after is not None:
        page, after = app.casework.imports.items(caller, import_id, outcome=outcome, after=after)
        yield from page


@program.command()
def stop(import_id: ImportId, as_json: Json = False) -> None:
    """Stop an import; it can go on later."""
    with installation() as app:
        done = app.casework.imports.stop(who(app), import_id)
    print_done(_row(done), f"{import_id} is stopped.", as_json=as_json)


def _row(found: Import) -> dict[str, object]:
    counts = {str(o): found.counts.get(o, 0) for o in ItemOutcome}
    return {
        "id": found.id,
        "case": found.case,
        "kind": found.kind,
        "state": str(found.state),
        "why": found.why or None,
        "location": found.location,
        "provenance": found.provenance,
        "basis": found.basis,
        "source": found.source,
        "sensitive": found.sensitive,
        "made_by": found.made_by,
        "made_at": when(found.made_at),
        "done_at": when(found.done_at),
        "entries": found.total,
        **counts,
    }


def _sentence(found: Import) -> str:
    counts = ", ".join(f"{found.counts.get(o, 0)} {o}" for o in ItemOutcome)
    total = "not counted yet" if found.total is None else f"{found.total} entries"
    return f"{found.id} is {found.state}: {counts} ({total})."


def _item(item: ImportItem) -> dict[str, object]:
    return {
        "number": item.number,
        "outcome": str(item.outcome),
        "reason": item.reason or None,
        "name": item.name,
        "detail": item.detail or None,
        "image": item.image,
    }


def _cell(value: object) -> object:
    return inert(value) if isinstance(value, str) else value


# --- lists of hashes ------------------------------------------------------------------------------------------------


@hash_lists.command("add")
def add_list(
    file: Annotated[Path, typer.Argument(help="A hash a line, in hexadecimal.", show_default=False)],
    kind: Annotated[HashKind, typer.Option(help="Exact: MD5, SHA-1, SHA-256. Perceptual: PDQ.")],
    name: Annotated[str, typer.Option(help="Whose list it is; kept sealed.")],
    as_json: Json = False,
) -> None:
    """Add a list; imports heed it from then on."""
    with installation() as app:
        caller = who(app)
        try:
            with file.open(encoding="utf-8", errors="replace") as lines:
                made = app.casework.hash_lists.add(caller, name, kind, lines)
        except OSError as e:
            raise NotFound(f"{file} can't be read: {e.strerror}.") from e
    told = {"id": made.id, "kind": str(kind), "hashes": made.count}
    print_done(told, f"{made.id} is added, with {made.count} hashes.", as_json=as_json)


@hash_lists.command("list")
def list_lists(as_json: Json = False) -> None:
    """List the lists of your organisation."""
    with installation() as app:
        rows = [
            {
                "id": found.id,
                "name": found.name,
                "kind": str(found.kind),
                "hashes": found.count,
                "added_at": when(found.added_at),
                "added_by": found.added_by,
            }
            for found in app.casework.hash_lists.list(who(app))
        ]
    columns = {"id": "List", "name": "Name", "kind": "Kind", "hashes": "Hashes", "added_at": "Added"}
    print_rows(rows, columns, as_json=as_json)


@hash_lists.command("remove")
def remove_list(
    list_id: Annotated[str, typer.Argument(metavar="LIST", help="The list.", show_default=False)], as_json: Json = False
) -> None:
    """Destroy a list."""
    with installation() as app:
        app.casework.hash_lists.remove(who(app), list_id)
    print_done({"id": list_id, "removed": True}, f"{list_id} is destroyed.", as_json=as_json)
