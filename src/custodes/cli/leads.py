# SPDX-License-Identifier: Apache-2.0
"""``custodes leads``: candidates that reviewers support, reports of them, disclosure bundles, and checking both."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from custodes.cli.arguments import Json, Key
from custodes.cli.ledger import verifier_key
from custodes.cli.output import console, installation, print_done, print_findings, print_rows, read, warn, when, write
from custodes.cli.who import who
from custodes.errors import Invalid

__all__ = ["program"]

program = typer.Typer(
    help="Leads: for people to investigate, never identifications, and no ground for arrest.", no_args_is_help=True
)

Sensitive = Annotated[
    bool, typer.Option("--with-sensitive", help="Show sensitive pictures too; asking for each is an entry.")
]


@program.command("list")
def list_leads(
    case: Annotated[str | None, typer.Option(help="Of this case; of all that you work on unless given.")] = None,
    as_json: Json = False,
) -> None:
    """List leads, the newest first."""
    with installation() as app:
        found = app.casework.leads.list(who(app), case)
    rows = [
        {"id": k.id, "case": k.case, "candidate": k.candidate, "made_at": when(k.made_at), "entry": k.entry}
        for k in found
    ]
    columns = {"id": "Lead", "case": "Case", "candidate": "Candidate", "made_at": "Made", "entry": "Entry"}
    print_rows(rows, columns, as_json=as_json)


@program.command()
def show(lead: str, as_json: Json = False) -> None:
    """Show what a lead is; how alike it is and what reviewers said is in its report."""
    from custodes.operations.leadform import STATEMENT  # here, so that --help doesn't wait

    with installation() as app:
        found = app.casework.leads.get(who(app), lead)
    told = {
        "id": found.lead.id,
        "statement": STATEMENT,
        "case": found.lead.case,
        "candidate": found.lead.candidate,
        "face_id": found.candidate.reference_id,
        "image": found.candidate.image,
        "run": found.candidate.run,
        "reviews": found.reviews,
        "made_at": when(found.lead.made_at),
        "entry": found.lead.entry,
    }
    sentence = (
        f"{STATEMENT}\n{found.lead.id} of {found.lead.case}: candidate {found.lead.candidate}, face "
        f"{found.candidate.reference_id}, found by {found.candidate.run}, judged by {found.reviews} people; entry "
        f"{found.lead.entry}.\ncustodes leads report {found.lead.id} --pdf FILE writes all of it."
    )
    print_done(told, sentence, as_json=as_json)


@program.command()
def report(
    lead: str,
    pdf: Annotated[Path | None, typer.Option("--pdf", help="The PDF to write, with the JSON in it.")] = None,
    json: Annotated[Path | None, typer.Option("--json", help="The JSON to write.")] = None,
    with_sensitive: Sensitive = False,
) -> None:
    """Write the report of a lead: what was searched, found and judged, with proofs; the export is an entry."""
    places = [place for place in (pdf, json) if place is not None]
    _check_free(places)
    if not places:
        raise Invalid("Name the file to write: --pdf FILE, --json FILE, or both.")
    with installation() as app:
        made = app.casework.leads.report(who(app), lead, with_sensitive=with_sensitive)
    if json is not None:
        write(json, made.to_json())
    if pdf is not None:
        write(pdf, made.to_pdf())
    console.print(
        f"{' and '.join(map(str, places))} {'is' if len(places) == 1 else 'are'} written; the export is entry "
        f"{made.entry}.\nTo check it: custodes leads verify {places[0]} --vkey KEY",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


@program.command()
def verify(
    file: Annotated[Path, typer.Argument(help="The PDF or the JSON.")], vkey: Key = "", as_json: Json = False
) -> None:
    """Check the report of a lead offline; status 1 if anything in it doesn't hold."""
    from custodes.operations.leadcheck import verify_report  # here, so that --help doesn't wait

    print_findings(verify_report(read(file), verifier_key(vkey) or None), as_json=as_json)


@program.command()
def bundle(
    case: str,
    out: Annotated[Path, typer.Argument(help="The ZIP to write, or a new folder.")],
    pictures: Annotated[
        bool, typer.Option("--pictures", help="Put the faces of all candidates in, not of leads alone.")
    ] = False,
    with_sensitive: Sensitive = False,
    as_json: Json = False,
) -> None:
    """Write the disclosure bundle of a case, for the defence; status 1 if the ledger says that it isn't complete."""
    _check_free([out])
    with installation() as app:
        made = app.casework.bundles.make(who(app), case, pictures=pictures, with_sensitive=with_sensitive)
    made.write(out)
    told = {"case": case, "file": str(out), "entry": made.entry, "complete": made.complete}
    sentence = (
        f"{out} is written, with {len(made.files)} files; the export is entry {made.entry}.\n"
        f"To check it: custodes leads check-bundle {out} --vkey KEY --ledger URL"
    )
    print_done(told | {"differences": list(made.differences)}, sentence, as_json=as_json)
    if not made.complete:
        warn("IT ISN'T COMPLETE: the ledger and the case's records differ, and the bundle says so.")
        for difference in made.differences:
            warn(f"  {difference}")
        raise typer.Exit(1)


@program.command("check-bundle")
def check_bundle(
    file: Annotated[Path, typer.Argument(help="The ZIP, or the folder.")],
    vkey: Key = "",
    ledger: Annotated[
        str, typer.Option(help="The published log, a folder or a URL, to look for what is left out.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Check a disclosure bundle offline; status 1 if anything in it doesn't hold, or something is missing."""
    from custodes.operations.bundlecheck import check_bundle as check  # here, so that --help doesn't wait
    from custodes.operations.ledger import open_source

    columns = (TextColumn("Verifying the log"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=as_json or not ledger, transient=True) as progress:
        task = progress.add_task("", total=None)
        found = check(
            file,
            verifier_key(vkey) or None,
            open_source(ledger) if ledger else None,
            lambda done, total: progress.update(task, completed=done, total=total),
        )
    print_findings(found, as_json=as_json)


def _check_free(places: list[Path]) -> None:
    for place in places:
        if place.exists():
            raise Invalid(f"{place} is there already.", remedy="Name another file.")
