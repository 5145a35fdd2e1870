# SPDX-License-Identifier: Apache-2.0
"""``custodes calibrate``: what 80 and 99 stand for among one's own people."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from custodes.cli.arguments import Json
from custodes.cli.evaluate import Face, Images, Seed, progress_bar, workers_of
from custodes.cli.output import configuration, console, installation, is_installed, print_done, print_json, print_table
from custodes.cli.who import DataProvenance, check_data, who

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
        bool,
        typer.Option("--apply", help="Put the map in force where it is stricter than the pack's own; asks before."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take the local map away; oversight is told.")] = False,
    most_pairs: Annotated[int, typer.Option(min=1000, help="Pairs at most; more are drawn.")] = 10_000_000,
    face: Face = "largest",
    seed: Seed = 1,
    provenance: DataProvenance = None,
    as_json: Json = False,
) -> None:
    """Measure false matches among photos of different people, and make a map of similarities from them.

    A local map can only be stricter than the model pack's own. A server that runs has it when it starts anew. Where
    there is no installation it is measured all the same, and nothing stays.
    """
    if remove:
        with installation() as app:
            app.calibration.remove(who(app))
        told = "The pack's own map is in force when the server starts anew; evaluations by the local one are void then."
        print_done({"removed": True}, told, as_json=as_json)
        return
    if table is None:
        raise typer.BadParameter("Name a table of photos and their folder.", param_hint="TABLE")
    from custodes.evaluation.results import Settings  # here, so that --help doesn't wait
    from custodes.operations.calibrating import calibrate_alone

    if face not in ("largest", "central"):
        raise typer.BadParameter("It is largest or central.", param_hint="--face")
    settings, config = Settings(99.0, face, "NONE", 1000, seed), configuration()
    workers = workers_of(config.server.workers)
    if not apply and not is_installed(config):
        check_data(provenance)
        with progress_bar(quiet=as_json) as bar:
            found = calibrate_alone(config, table, images, settings, most=most_pairs, workers=workers, progress=bar)
        _tell(found, as_json=as_json)
        _end(found, apply=False, as_json=as_json)
        return
    with installation() as app:
        caller = who(app, provenance=provenance)
        if apply:
            app.calibration.check(caller)
        with progress_bar(quiet=as_json) as bar:
            found = app.calibration.calibrate(
                caller, table, images, settings, most=most_pairs, workers=workers, progress=bar
            )
        _tell(found, as_json=as_json)
        if apply:
            if found.rises and not (yes or as_json):
                _ask()
            found = app.calibration.apply(caller, found)
    _end(found, apply=apply, as_json=as_json)


def _ask() -> None:
    """Ask whether the scale is to change.

    Raises:
        Abort: if it isn't.
    """
    _say(
        "To put it in force voids every evaluation that was made here: until they are made anew police can't search or "
        "compare faces, nor others search where evaluate-first is in force. Oversight is told."
    )
    typer.confirm("Put it in force?", abort=True, err=True)


def _say(text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _end(found: Calibrated, *, apply: bool, as_json: bool) -> None:
    if as_json:
        print_json(_told(found))
    elif found.applied:
        _say("It is in force when the server starts anew; every evaluation of what ran before is void then.")
    elif found.rises and not apply:
        _say("Nothing was changed; --apply puts it in force.")
    else:
        _say("Nothing was changed.")


def _told(found: Calibrated) -> dict[str, object]:
    from custodes.operations.calibrating import promise_of

    measured = found.measured
    return {
        "pack": found.deployed.pack,
        "pairs": measured.count,
        "entry": found.entry,
        "local_map_in_force": found.is_local,
        "applied": found.applied,
        "stated": [
            {
                "similarity": s.similarity,
                "cosine": s.cosine,
                "promised": s.promised,
                "promise": str(promise_of(s)),
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
            {"similarity": k.similarity, "target": k.target, "cosine": k.cosine, "note": k.note} for k in measured.local
        ],
        "rises": [{"similarity": r.similarity, "from": r.before, "to": r.after} for r in found.rises],
        "left_as_chance": list(found.left),
        "map": [
            {"cosine": k.cosine, "similarity": k.similarity, "false_match_rate": k.false_match_rate}
            for k in (found.stricter.knots if found.stricter else ())
        ],
        "why_no_map": found.why,
    }


def _tell(found: Calibrated, *, as_json: bool) -> None:
    """Print what was measured, in words."""
    if as_json:
        return
    from custodes.evaluation.told import in_words

    measured = found.measured
    entry = "" if found.entry is None else f"; entry {found.entry} of the ledger"
    _say(f"{measured.count:,} pairs of different people, {found.dataset.photos:,} photos{entry}.")
    if found.is_local:
        _say("A local map is in force. What is compared here is the pack's own.")
    here = {k.similarity: f"takes {30 / k.target:,.0f} pairs" for k in measured.local}  # by the rule of 30
    here |= {k.similarity: f"{k.cosine:.4f}" for k in measured.local if k.cosine is not None}
    print_table(
        ("Similarity", "Cosine, pack's own map", "Which promises", "Here it is", "Cosine that keeps it here"),
        [
            (
                f"{s.similarity:g}",
                f"{s.cosine:.4f}",
                "" if s.promised is None else in_words(s.promised),
                in_words(replace(s.false_match, note="")),
                here.get(s.similarity, ""),
            )
            for s in measured.stated
        ],
    )
    for sentence in _verdicts(found):
        _say(sentence)


def _verdicts(found: Calibrated) -> list[str]:
    """Return what follows, for each similarity by itself."""
    from custodes.evaluation.told import listed
    from custodes.operations.calibrating import Promise, promise_of

    words = {
        Promise.BROKEN: "At {} more pass than the pack promises.",
        Promise.PERHAPS_BROKEN: "At {} more passed than the pack promises, but the data are too few to be sure.",
        Promise.UNTOLD: "These data can't tell at {}.",
        Promise.PERHAPS_KEPT: "At {} no more passed than the pack promises, but the data are too few to be sure.",
        Promise.KEPT: "At {} the pack keeps what it promises.",
    }
    said = []
    for promise, sentence in words.items():
        at = [f"{s.similarity:g}" for s in found.measured.stated if s.promised and promise_of(s) == promise]
        if at:
            said.append(sentence.format(listed(at)))
    if found.left:
        at = [f"{similarity:g}" for similarity in found.left]
        said.append(f"A rise at {listed(at)} would be less than these data can tell from chance: it is left out.")
    if found.why:
        return [*said, f"No map can be made of these data: {found.why}"]
    if all(k.cosine is None for k in found.measured.local):
        return [*said, "They are too few to make a map of."]
    if not found.rises:
        return [*said, "They ask for no other map."]
    rises = [f"{r.similarity:g} from {r.before:.4f} to {r.after:.4f}" for r in found.rises]
    return [*said, f"A map of these data moves cosines up: {listed(rises)}."]
