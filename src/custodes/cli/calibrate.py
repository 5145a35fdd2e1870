# SPDX-License-Identifier: Apache-2.0
"""``custodes calibrate``: what 80 and 99 stand for among one's own people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from custodes.cli.arguments import Json
from custodes.cli.evaluate import Face, Images, Seed, progress_bar, workers_of
from custodes.cli.output import configuration, console, installation, print_done, print_json, print_table
from custodes.cli.who import Provenance, who

if TYPE_CHECKING:
    from custodes.operations.calibrating import Calibrated

__all__ = ["add_to"]


def add_to(program: typer.Typer) -> None:
    """Add the command."""
    program.command()(calibrate)


def calibrate(
    table: Annotated[Path | None, typer.Argument(help="CSV of photos: image,subject.", show_default=False)] = None,
    images: Images = Path(),
    apply: Annotated[
        bool, typer.Option("--apply", help="Put the map in force where it is stricter than the pack's own.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take the local map away; oversight is told.")] = False,
    most_pairs: Annotated[int, typer.Option(min=1000, help="Pairs at most; more are drawn.")] = 10_000_000,
    face: Face = "largest",
    seed: Seed = 1,
    provenance: Provenance = None,
    as_json: Json = False,
) -> None:
    """Measure false matches among photos of different people, and make a map of similarities from them.

    A local map can only be stricter than the model pack's own. A server that runs has it when it starts anew.
    """
    if remove:
        with installation() as app:
            app.calibration.remove(who(app))
        print_done({"removed": True}, "The pack's own map is in force when the server starts anew.", as_json=as_json)
        return
    if table is None:
        raise typer.BadParameter("Name a table of photos and their folder.", param_hint="TABLE")
    from custodes.evaluation.results import Settings  # here, so that --help doesn't wait

    if face not in ("largest", "central"):
        raise typer.BadParameter("It is largest or central.", param_hint="--face")
    settings = Settings(99.0, face, "NONE", 1000, seed)
    with progress_bar(quiet=as_json) as progress, installation(make=True) as app:
        found = app.calibration.calibrate(
            who(app, provenance=provenance),
            table,
            images,
            settings,
            most=most_pairs,
            workers=workers_of(configuration().server.workers),
            apply=apply,
            progress=progress,
        )
    _tell(found, as_json=as_json)


def _tell(found: Calibrated, *, as_json: bool) -> None:
    from custodes.evaluation.told import in_words

    measured = found.measured
    if as_json:
        print_json(
            {
                "pack": found.deployed.pack,
                "pairs": measured.count,
                "entry": found.entry,
                "applied": found.applied,
                "stated": [
                    {
                        "similarity": s.similarity,
                        "cosine": s.cosine,
                        "promised": s.promised,
                        "false_matches": s.false_match.events,
                        "pairs": s.false_match.trials,
                        "false_match_rate": s.false_match.value,
                        "interval": None
                        if s.false_match.interval is None
                        else [s.false_match.interval.low, s.false_match.interval.high],
                        "note": s.false_match.note,
                    }
                    for s in measured.stated
                ],
                "local": [
                    {"similarity": k.similarity, "target": k.target, "cosine": k.cosine, "note": k.note}
                    for k in measured.local
                ],
                "map": [
                    {"cosine": k.cosine, "similarity": k.similarity, "false_match_rate": k.false_match_rate}
                    for k in (found.stricter.knots if found.stricter else ())
                ],
                "why_no_map": found.why,
            }
        )
        return
    console.print(
        f"{measured.count:,} pairs of different people, {found.dataset.photos:,} photos; entry {found.entry}.",
        highlight=False,
    )
    print_table(
        ("Similarity", "Cosine", "The pack promises", "Here"),
        [
            (
                f"{s.similarity:g}",
                f"{s.cosine:.4f}",
                "" if s.promised is None else f"{s.promised:g}",
                in_words(s.false_match),
            )
            for s in measured.stated
        ],
    )
    print_table(
        ("Similarity", "False match rate", "Cosine for it here", ""),
        [
            (f"{k.similarity:g}", f"{k.target:g}", "" if k.cosine is None else f"{k.cosine:.4f}", k.note)
            for k in measured.local
        ],
    )
    console.print(_verdict(found), highlight=False, markup=False)


def _verdict(found: Calibrated) -> str:
    if found.applied:
        return "The stricter of both maps is in force when the server starts anew; every evaluation is void then."
    if found.stricter is None:
        return f"Nothing was changed, and no map can be made of these data: {found.why}"
    if found.stricter == found.measured.base:
        return "Nothing was changed: the pack keeps what it promises on these data, as far as they can tell."
    return "Nothing was changed; --apply puts the stricter of both maps in force."
