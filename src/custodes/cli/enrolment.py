# SPDX-License-Identifier: Apache-2.0
"""``custodes index``: the photos of a folder, enrolled."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from custodes.cli.arguments import MAX_LABEL, UNTOLD, InCollection, Json, Quality
from custodes.cli.output import console, installation, print_json, print_table, warn
from custodes.cli.who import Provenance, who
from custodes.domain import QualityFilter
from custodes.errors import Conflict, CustodesError, NotFound

if TYPE_CHECKING:
    from custodes.app import App
    from custodes.governance import Caller

__all__ = ["add_to", "label_of"]

_SUFFIXES = {".jpg", ".jpeg", ".png"}
_MARK = 12  # hexadecimal digits that tell apart what would read the same


def add_to(program: typer.Typer) -> None:
    """Add the command."""
    program.command()(index)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of one file: ``enrolled`` faces, or ``skipped`` as it was in, or ``failed`` and why."""

    path: Path
    enrolled: int = 0
    skipped: bool = False
    failed: str = ""


def label_of(path: PurePath) -> str:
    """Return the external image id of a photo: its path below the folder, with ``:`` between the folders' names.

    Other characters than an id may have become ``_``, and what is too long is cut; then a mark made of the whole path
    follows, so that no two photos of a folder get one id.
    """
    told = [UNTOLD.sub("_", part.replace(":", "_")) for part in path.parts]
    label = ":".join(told)
    if told == list(path.parts) and len(label) <= MAX_LABEL:
        return label
    mark = hashlib.sha256(os.fsencode(path)).hexdigest()[:_MARK]
    return f"{label[: MAX_LABEL - _MARK - 1]}-{mark}"


def _index_one(app: App, caller: Caller, collection: str, folder: Path, path: Path, quality: QualityFilter) -> _Outcome:
    from custodes.operations.photos import read_bytes  # here, so that --help doesn't wait for models

    label = label_of(path.relative_to(folder))
    try:
        data = read_bytes(path, app.config.limits)
        if app.faces.is_indexed(caller, collection, data, label):
            return _Outcome(path, skipped=True)
        done = app.faces.index(caller, collection, data, external_image_id=label, quality=quality)
    except CustodesError as error:
        return _Outcome(path, failed=error.message)
    if done.enrolled:
        return _Outcome(path, enrolled=len(done.enrolled))
    reasons = sorted({r.value for s in done.skipped for r in s.reasons})
    return _Outcome(path, failed=f"no face that is good enough ({', '.join(reasons)})" if reasons else "no face")


def _outcomes(
    app: App, caller: Caller, collection: str, folder: Path, paths: Sequence[Path], quality: QualityFilter
) -> Iterator[_Outcome]:
    """Index files on all cores, with a few waiting, so that an interruption loses little."""
    workers = app.config.server.workers or os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        running: set[Future[_Outcome]] = set()
        for path in paths:
            running.add(pool.submit(_index_one, app, caller, collection, folder, path, quality))
            if len(running) >= 4 * workers:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (f.result() for f in done)
        yield from (f.result() for f in running)


def index(
    folder: Annotated[Path, typer.Argument(help="A folder of photos; subfolders too.", show_default=False)],
    collection: InCollection,
    quality: Quality = QualityFilter.AUTO,
    provenance: Provenance = None,
    as_json: Json = False,
) -> None:
    """Enrol the faces of all photos of a folder; a second run goes on where the first ended."""
    if not folder.is_dir():
        raise NotFound(f"{folder} is no folder.")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES and p.is_file())
    with installation(make=True) as app:
        caller = who(app, provenance=provenance)
        try:
            app.collections.create(caller, collection, {})
            warn(f"Collection {collection} is new.")
        except Conflict:
            pass  # it is there already
        results: list[_Outcome] = []
        columns = (TextColumn("Indexing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, disable=as_json) as progress:
            task = progress.add_task("", total=len(paths))
            for outcome in _outcomes(app, caller, collection, folder, paths, quality):
                results.append(outcome)
                progress.advance(task)
    failed = [
        {"photo": str(r.path.relative_to(folder)), "reason": r.failed}
        for r in sorted(results, key=lambda r: r.path)
        if r.failed
    ]
    told = {
        "collection_id": collection,
        "photos": len(paths),
        "faces": sum(r.enrolled for r in results),
        "already_in": sum(r.skipped for r in results),
        "failed": failed,
    }
    if as_json:
        print_json(told)
        return
    console.print(
        f"{told['faces']} faces enrolled of {len(paths)} photos; {told['already_in']} photos were in already; "
        f"{len(failed)} failed.",
        highlight=False,
    )
    if failed:
        print_table(("Photo", "Why not"), [(f["photo"], f["reason"]) for f in failed])
