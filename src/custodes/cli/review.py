# SPDX-License-Identifier: Apache-2.0
"""``custodes review``: what waits to be judged, who judges how, and control photos.

Judging itself takes eyes: it is done in the console.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from custodes.cli.arguments import Json, Photo, moment
from custodes.cli.output import console, installation, print_done, print_json, print_rows, when
from custodes.cli.who import who

__all__ = ["program"]

program = typer.Typer(help="Reviews: two people judge a candidate, the second blind.", no_args_is_help=True)
controls = typer.Typer(
    help="Photos of people who are nobody of any case, to be mixed into blind reviews.", no_args_is_help=True
)
program.add_typer(controls, name="controls")

Organisation = Annotated[str | None, typer.Option("--org", help="Whose; your own organisation's unless given.")]

_LOCKED = {
    "role": "You don't have the role reviewer: ask your administrator.",
    "training": "Your training is missing or has lapsed: have it recorded (custodes people train).",
}


@program.command()
def submit(
    case: Annotated[str, typer.Argument(help="The case.", show_default=False)],
    candidates: Annotated[list[str], typer.Argument(help="Candidates, by id.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Put candidates of a case into review."""
    with installation() as app:
        count = app.casework.review.submit(who(app), case, candidates)
    told = {"case": case, "submitted": count}
    print_done(told, f"{count} candidate{'' if count == 1 else 's'} of {case} in review.", as_json=as_json)


@program.command()
def queue(as_json: Json = False) -> None:
    """Tell how much waits for you to judge."""
    with installation() as app:
        found = app.casework.review.queue(who(app))
    told = {
        "first": found.first,
        "blind": found.blind,
        "locked": found.locked or None,
        "trained_until": when(found.trained_until),
        "sittings": [
            {
                "id": s.id,
                "blind": s.blind,
                "begun_at": when(s.begun_at),
                "answered": len(s.answered),
                "of": len(s.items),
            }
            for s in found.sittings
        ],
    }
    if as_json:
        print_json(told)
        return
    if found.locked:
        console.print(_LOCKED[found.locked])
        return
    console.print(f"To judge first: {found.first}. To judge blind: {found.blind}.")
    for s in found.sittings:
        kind = "blind" if s.blind else "first"
        console.print(f"Your {kind} sitting {s.id} goes on: {len(s.answered)} of {len(s.items)} are answered.")


@program.command()
def figures(
    since: Annotated[
        str, typer.Option(help="From which day (UTC) on, as 2026-11-25; from the beginning unless given.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Tell how reviewers did: agreement, errors on controls, time. Administrators see all of their organisation."""
    day: datetime | None = moment(since) if since else None
    with installation() as app:
        found = app.casework.review.figures(who(app), day)
    rows = [
        {
            "id": v.principal,
            "name": v.name,
            "reviews": v.reviews,
            "seconds": None if v.seconds is None else round(v.seconds, 1),
            "inconclusive": _rounded(v.inconclusive),
            "decided": v.decided,
            "agreed": v.agreed,
            "agreement": _rounded(v.agreement),
            "controls": v.controls,
            "control_errors": v.control_errors,
            "error_rate": _rounded(v.errors),
            "error_interval": None if v.interval is None else [round(b, 4) for b in v.interval],
            "trained_until": when(v.trained_until),
        }
        for v in found
    ]
    if as_json:
        print_json(rows)
        return
    shown = [
        row
        | {
            "agreement": _of(row["agreed"], row["decided"]),
            "errors": _of(row["control_errors"], row["controls"]) + _within(v.interval),
            "trained": row["trained_until"] or "not valid",
        }
        for row, v in zip(rows, found, strict=True)
    ]
    columns = {"name": "Reviewer", "reviews": "Reviews", "seconds": "Seconds each", "agreement": "Agreed"}
    print_rows(shown, columns | {"errors": "Errors on controls", "trained": "Trained until"}, as_json=False)


@controls.command("add")
def add_control(
    photo: Photo,
    provenance: Annotated[str, typer.Option(help="consented or public-record.")],
    basis: Annotated[str, typer.Option(help="On which legal basis it is held.")] = "",
    source: Annotated[str, typer.Option(help="Who gave it.")] = "",
    taken: Annotated[str, typer.Option(help="When it was taken, as 2019-05-31.")] = "",
    organisation: Organisation = None,
    as_json: Json = False,
) -> None:
    """Keep a photo of people who are known to be nobody of any case."""
    from custodes.operations.desk import Origin  # here, so that --help doesn't wait for it
    from custodes.operations.photos import read_bytes

    origin = Origin(provenance, basis, source, photo.name, moment(taken) if taken else None)
    with installation() as app:
        data = read_bytes(photo, app.config.limits)
        made = app.casework.controls.add(who(app), data, origin, organisation=organisation)
    faces = len(made.faces)
    told = {"id": made.id, "faces": faces}
    print_done(told, f"{made.id} is kept: {faces} face{'' if faces == 1 else 's'}.", as_json=as_json)


@controls.command("list")
def list_controls(organisation: Organisation = None, as_json: Json = False) -> None:
    """List the control photos, for administrators."""
    with installation() as app:
        rows = [
            {
                "id": i.id,
                "faces": len(i.faces),
                "provenance": i.provenance,
                "basis": i.basis,
                "source": i.source,
                "name": i.name,
                "taken_at": when(i.taken_at),
                "added_at": when(i.added_at),
            }
            for i in app.casework.controls.photos(who(app), organisation=organisation)
        ]
    columns = {"id": "Photo", "faces": "Faces", "provenance": "Provenance", "source": "Source", "added_at": "Added"}
    print_rows(rows, columns, as_json=as_json)


@controls.command("remove")
def remove_control(photo: Annotated[str, typer.Argument(help="By id.")], as_json: Json = False) -> None:
    """Destroy a control photo."""
    with installation() as app:
        app.casework.controls.remove(who(app), photo)
    print_done({"id": photo, "removed": True}, f"{photo} is destroyed.", as_json=as_json)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _of(part: object, whole: object) -> str:
    return f"{part} of {whole}"


def _within(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f" ({interval[0]:.0%} to {interval[1]:.0%})"
