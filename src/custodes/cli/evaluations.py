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
    print_table,
    read,
    when,
    write,
)
from custodes.cli.who import who

if TYPE_CHECKING:
    from custodes.governance import EvaluationRecord
    from custodes.operations.gating import Gate

__all__ = ["program"]

program = typer.Typer(help="Evaluations that were made here.", no_args_is_help=True)

_PPM = 1_000_000


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
    if not kept.current and not as_json and kept.record.kind != "attacks":
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
    Written(html, None, save).check()
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
    """Tell whether your organisation has what the rules ask for before it searches; status 1 if they refuse."""
    with installation() as app:
        found = app.evaluations.gate(who(app))
    if as_json:
        print_json(_gate_json(found))
    else:
        _tell_gate(found)
    if not found.passes:
        raise typer.Exit(1)


def _gate_json(found: Gate) -> dict[str, object]:
    return {
        "passes": found.passes,
        "similarity": found.similarity,
        "demanded_by": list(found.demanded),
        "refused": [
            {"id": r.id, "citation": r.citation, "explain": r.explain, "remedy": r.remedy} for r in found.refused
        ],
        "fingerprint": found.fingerprint,
        "current": found.current,
        "attempts": found.attempts,
        "evaluation": None if found.record is None else record_json(found.record),
        "bounds": None
        if found.bounds is None
        else {
            "days": found.bounds.days,
            "groups": found.bounds.groups,
            "false_match_ppm": found.bounds.false_match_ppm,
            "false_non_match_ppm": found.bounds.false_non_match_ppm,
        },
    }


def _tell_gate(found: Gate) -> None:
    if not found.demanded:
        _say("No rulebook in force demands an evaluation of your organisation.")
    else:
        _say(f"{', '.join(found.demanded)} demands an evaluation of your organisation before it searches.")
        _say(
            f"PASSED, for searches at a similarity of {found.similarity:g}. Other rules hold besides."
            if found.passes
            else f"REFUSED, at a similarity of {found.similarity:g}, whatever other rules say:"
        )
        for rule in found.refused:
            _say(f"{rule.id} ({rule.citation})\n  {rule.explain}\n  {rule.remedy}")
    if found.record is None:
        _say("You have none by which you could be judged.")
        return
    of = (
        f"{found.record.id} counts, of {found.attempts} that were made of what runs here now."
        if found.current
        else f"Your newest, {found.record.id}, is of something else than what runs here now."
    )
    _say(of)
    print_table(("", "Yours", "Asked for"), _gate_rows(found.record, found))


def _gate_rows(record: EvaluationRecord, found: Gate) -> list[tuple[str, str, str]]:
    """Return what the rules see of an evaluation, beside what they ask for."""
    from custodes.operations.gating import Bounds  # here, so that --help doesn't wait

    verdict, bounds = record.verdict, found.bounds
    assert verdict is not None  # what counts has one
    days = max(0, (found.now - record.made_at).days)
    whose = "worst of groups, pairs of groups and all" if verdict.groups else "all people"
    asked = Bounds(None, None, None, None) if bounds is None else bounds
    yes = "" if bounds is None else "yes"
    return [
        ("Of what runs here now", "yes" if found.current else "no", yes),
        ("Age in days", f"{days:,}", "" if asked.days is None else f"at most {asked.days:,}"),
        (
            "Groups",
            f"{verdict.groups:,}, by {record.column}" if verdict.groups else "none",
            "" if asked.groups is None else f"at least {asked.groups:,}",
        ),
        ("Enough data on every group", "yes" if verdict.enough else "no", yes),
        ("At a similarity of", f"{verdict.similarity:g}", "" if bounds is None else f"at most {found.similarity:g}"),
        (f"False matches, {whose}", _at_most(verdict.false_match_ppm), _at_most(asked.false_match_ppm)),
        (f"False non-matches, {whose}", _at_most(verdict.false_non_match_ppm), _at_most(asked.false_non_match_ppm)),
    ]


def _at_most(ppm: int | None) -> str:
    from custodes.evaluation.told import in_words  # here, so that --help doesn't wait

    if ppm is None:
        return ""
    return "can't be said" if ppm >= _PPM else f"at most {in_words(ppm / _PPM)}"


def _say(text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
