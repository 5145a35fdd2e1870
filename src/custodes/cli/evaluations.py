# SPDX-License-Identifier: Apache-2.0
"""``custodes evaluations``: what was measured here, what may be seen of it, and whether the rules are content."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from custodes.cli.arguments import Json, Key
from custodes.cli.ledger import verifier_key
from custodes.cli.measured import Written, record_json, tell
from custodes.cli.output import (
    console,
    installation,
    print_done,
    print_findings,
    print_json,
    print_rows,
    read,
    when,
    write,
)
from custodes.cli.who import who

if TYPE_CHECKING:
    from custodes.operations.evaluations import Gate

__all__ = ["program"]

program = typer.Typer(help="Evaluations that were made here.", no_args_is_help=True)


@program.command("list")
def list_evaluations(as_json: Json = False) -> None:
    """List evaluations, the newest first."""
    with installation() as app:
        found = app.evaluations.list(who(app))
    if as_json:
        print_json([record_json(r) for r in found])
        return
    rows = [
        {
            "id": r.id,
            "kind": r.kind,
            "title": r.title,
            "by": r.column,
            "made_at": when(r.made_at),
            "pack": r.pack,
            "entry": r.entry,
            "published": "" if r.published_at is None else when(r.published_at),
        }
        for r in found
    ]
    columns = {
        "id": "Evaluation",
        "kind": "Kind",
        "title": "Title",
        "by": "By",
        "made_at": "Made",
        "pack": "Pack",
        "entry": "Entry",
        "published": "Published",
    }
    print_rows(rows, columns, as_json=False)


@program.command()
def show(evaluation: str, as_json: Json = False) -> None:
    """Show what came of an evaluation."""
    with installation() as app:
        kept = app.evaluations.get(who(app), evaluation)
    if not kept.current and not as_json:
        console.print("This is of something else than what runs here now.", style="yellow")
    tell(kept.evaluation, kept.record, Written(None, None, None), as_json=as_json)


@program.command()
def report(
    evaluation: str,
    html: Annotated[Path | None, typer.Option("--html", help="The page to write, without faces.")] = None,
    save: Annotated[Path | None, typer.Option("--save", help="The JSON to write, with the ledger's proof.")] = None,
    as_json: Json = False,
) -> None:
    """Write the report of an evaluation once more; faces and single scores were never kept."""
    if html is None and save is None:
        raise typer.BadParameter("Name a file: --html FILE or --save FILE.")
    with installation() as app:
        kept = app.evaluations.get(who(app), evaluation)
        if html is not None:
            write(html, app.evaluations.report(kept).encode())
        if save is not None:
            write(save, app.evaluations.signed(kept))
    done = [str(p) for p in (html, save) if p is not None]
    print_done({"id": evaluation, "written": done}, f"Written: {', '.join(done)}.", as_json=as_json)


@program.command()
def publish(evaluation: str, as_json: Json = False) -> None:
    """Show an evaluation to everybody, on the public page."""
    with installation() as app:
        record = app.evaluations.publish(who(app), evaluation)
    print_done(record_json(record), f"{record.id} is on the public page.", as_json=as_json)


@program.command()
def withdraw(evaluation: str, as_json: Json = False) -> None:
    """Take an evaluation off the public page."""
    with installation() as app:
        record = app.evaluations.withdraw(who(app), evaluation)
    print_done(record_json(record), f"{record.id} is off the public page.", as_json=as_json)


@program.command()
def verify(file: Path, vkey: Key = "", as_json: Json = False) -> None:
    """Check a saved evaluation offline: that the ledger commits to it, to the last letter."""
    from custodes.operations.signed import verify_signed  # here, so that --help doesn't wait

    print_findings(verify_signed(read(file), verifier_key(vkey) or None), as_json=as_json)


@program.command()
def gate(as_json: Json = False) -> None:
    """Tell whether your organisation has what the rules may ask for before it searches."""
    with installation() as app:
        caller = who(app)
        found = app.evaluations.gate(caller)
    told = {
        "fingerprint": found.fingerprint,
        "demanded_by": list(found.demanded),
        "current": found.current,
        "attempts": found.attempts,
        "evaluation": None if found.record is None else record_json(found.record),
    }
    print_done(told, _gate_words(found), as_json=as_json)


def _gate_words(found: Gate) -> str:
    demanded = found.demanded
    asks = f"Demanded by {', '.join(demanded)}." if demanded else "No rulebook in force demands an evaluation of you."
    if found.record is None:
        return f"{asks} There is none: custodes evaluate verification makes one."
    if not found.current:
        return f"{asks} The last one is of something else than what runs here now: make one anew."
    verdict = found.record.verdict
    assert verdict is not None  # what counts has one
    return (
        f"{asks} {found.record.id} counts, the newest of {found.attempts} of what runs here now: at a similarity of "
        f"{verdict.similarity:g}, {verdict.groups} groups, {'enough' if verdict.enough else 'not enough'} data, in the "
        f"worst of them up to {verdict.false_match_ppm:,} false matches and {verdict.false_non_match_ppm:,} misses in "
        "1,000,000 comparisons."
    )
