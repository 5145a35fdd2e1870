# SPDX-License-Identifier: Apache-2.0
"""``custodes cases``: case files, their people and photos, and searching for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from custodes.cli.arguments import Json, LeastThreshold, moment
from custodes.cli.output import console, installation, print_done, print_json, print_rows, warn, when
from custodes.cli.who import who
from custodes.errors import NotFound
from custodes.governance.request import Purpose

if TYPE_CHECKING:
    from custodes.app import App
    from custodes.casework import CaseFile, Run
    from custodes.governance import Caller
    from custodes.operations.desk import Origin

__all__ = ["program"]

program = typer.Typer(help="Cases: files, people, photos, searches.", no_args_is_help=True)
members = typer.Typer(help="Who works on a case.", no_args_is_help=True)
photos = typer.Typer(help="Reference photos of the person that a case is about.", no_args_is_help=True)
standing = typer.Typer(help="Searches that are made again as images come in.", no_args_is_help=True)
program.add_typer(members, name="members")
program.add_typer(photos, name="photos")
program.add_typer(standing, name="standing")

_SUFFIXES = {".jpg", ".jpeg", ".png"}
CaseId = Annotated[str, typer.Argument(help="The case.", show_default=False)]
Organisation = Annotated[str | None, typer.Option("--org", help="Whose; your own organisation's unless given.")]
Collections = Annotated[
    list[str] | None, typer.Option("--collection", "-c", help="Where, by name; all of the case unless given.")
]
Most = Annotated[int, typer.Option("--limit", min=1, max=1000, help="Length of the candidate list.")]
Basis = Annotated[str, typer.Option(help="On which legal basis it is held.")]
Source = Annotated[str, typer.Option(help="Who gave it.")]
From = Annotated[str, typer.Option("--provenance", help="own, consented, public-record or case-file.")]
Taken = Annotated[str, typer.Option("--taken", help="When it was taken, as 2019-05-31.")]


def _caller(app: App, case: str) -> Caller:
    """Return who acts, for the case if it is of their key's purpose; otherwise the rules say what is wrong."""
    caller = who(app)
    file = app.casework.cases.get(caller, case)
    return replace(caller, case=case) if str(caller.purpose) == file.kind else caller


def _row(file: CaseFile) -> dict[str, object]:
    return {
        "id": file.id,
        "kind": file.kind,
        "status": str(file.status),
        "title": file.title,
        "organisation": file.organisation,
        "lead": file.lead or None,
        "opened_at": when(file.opened_at),
        "closed_at": when(file.closed_at),
        "erase_at": when(file.erase_at),
    }


@program.command("open")
def open_case(
    kind: Purpose,
    title: Annotated[str, typer.Option(help="What it is about; kept sealed, and never in the ledger.")] = "",
    reference: Annotated[str, typer.Option(help="Your own number of it.")] = "",
    about: Annotated[str, typer.Option(help="More, in words.")] = "",
    authority: Annotated[str | None, typer.Option(help="The authority or mandate that it rests on, by id.")] = None,
    lead: Annotated[str | None, typer.Option(help="Who leads it, by id; you unless given.")] = None,
    keep_days: Annotated[int, typer.Option(help="So long all of it is kept after it is closed.")] = 90,
    organisation: Organisation = None,
    as_json: Json = False,
) -> None:
    """Open a case."""
    with installation() as app:
        made = app.casework.cases.open(
            who(app),
            kind,
            title or f"A case of {str(kind).replace('-', ' ')}",
            reference=reference,
            about=about,
            authority=authority,
            lead=lead,
            keep_days=keep_days,
            organisation=organisation,
        )
    print_done(_row(made), f"{made.id} is open: {kind}.", as_json=as_json)


@program.command("list")
def list_cases(as_json: Json = False) -> None:
    """List the cases of all organisations; what they are about is told of those alone that you may see."""
    with installation() as app:
        mine = {f.id: f.title for f in app.casework.cases.list(who(app))}
        rows = [
            {
                "id": c.id,
                "kind": str(c.kind),
                "organisation": c.organisation,
                "title": mine.get(c.id),
                "opened_at": when(c.opened_at),
                "paused_at": when(c.paused_at),
                "closed_at": when(c.closed_at),
            }
            for c in app.grounds.cases()
        ]
    columns = {"id": "Case", "kind": "Kind", "title": "Title", "organisation": "Organisation", "opened_at": "Opened"}
    print_rows(rows, columns | {"paused_at": "Rests since", "closed_at": "Closed"}, as_json=as_json)


@program.command("show")
def show_case(case: CaseId, as_json: Json = False) -> None:
    """Show a case file."""
    with installation() as app:
        view = app.casework.cases.view(who(app), case)
    told = _row(view.file) | {
        "reference": view.file.reference,
        "about": view.file.about,
        "authority": view.file.authority,
        "members": list(view.file.members),
        "collections": [k.name for k in view.collections],
        "images": {str(k): n for k, n in view.images.items()},
        "candidates": {str(k): n for k, n in view.candidates.items()},
        "sightings": [{"seen_at": when(s.seen_at), "place": s.place, "note": s.note} for s in view.sightings],
        "leads": [k.id for k in view.leads],
    }
    if as_json:
        print_json(told)
        return
    for name, value in told.items():
        if value not in (None, "", [], {}):
            console.print(f"{name.replace('_', ' ')}: {value}", highlight=False, markup=False)


@program.command("pause")
def pause_case(case: CaseId, as_json: Json = False) -> None:
    """Suspend a case: nobody searches for it until it is resumed."""
    _happen(case, "suspend", "is suspended", as_json=as_json)


@program.command("resume")
def resume_case(case: CaseId, as_json: Json = False) -> None:
    """Take up a case again that was suspended, or whose person was thought to be found."""
    with installation() as app:
        status = str(app.casework.cases.status(case))
    _happen(case, "reopen" if status == "found" else "resume", "is open again", as_json=as_json)


@program.command("found")
def found(case: CaseId, as_json: Json = False) -> None:
    """Note that the person is found."""
    _happen(case, "find", "is found", as_json=as_json)


@program.command("close")
def close_case(case: CaseId, as_json: Json = False) -> None:
    """Close a case, for good; after its time everything in it is erased."""
    _happen(case, "close", "is closed", as_json=as_json)


def _happen(case: str, event: str, sentence: str, *, as_json: bool) -> None:
    from custodes.casework import CaseEvent  # here, so that --help doesn't wait for it

    with installation() as app:
        file = app.casework.cases.happen(who(app), case, CaseEvent(event))
    told = {"id": case, "status": str(file.status)}
    told |= {"closed_at": when(file.closed_at) or "", "erase_at": when(file.erase_at) or ""}
    print_done(told, f"{case} {sentence}.", as_json=as_json)


# --- people, collections, photos, sightings ---------------------------------------------------------------------


@members.command("add")
def add_member(case: CaseId, principal: str, as_json: Json = False) -> None:
    """Let somebody work on a case."""
    with installation() as app:
        app.casework.cases.add_member(who(app), case, principal)
    print_done({"id": case, "member": principal}, f"{principal} works on {case}.", as_json=as_json)


@members.command("remove")
def remove_member(case: CaseId, principal: str, as_json: Json = False) -> None:
    """Let somebody work on a case no more."""
    with installation() as app:
        app.casework.cases.remove_member(who(app), case, principal)
    print_done({"id": case, "removed": principal}, f"{principal} doesn't work on {case} any more.", as_json=as_json)


@members.command("lead")
def set_lead(case: CaseId, principal: str, as_json: Json = False) -> None:
    """Let somebody lead a case."""
    with installation() as app:
        app.casework.cases.set_lead(who(app), case, principal)
    print_done({"id": case, "lead": principal}, f"{principal} leads {case}.", as_json=as_json)


@program.command("use")
def use_collection(case: CaseId, collection: str, as_json: Json = False) -> None:
    """Let a case use a collection of its organisation."""
    with installation() as app:
        app.casework.cases.use_collection(who(app), case, collection)
    print_done({"id": case, "collection": collection}, f"{case} may use {collection}.", as_json=as_json)


@program.command("sighting")
def add_sighting(
    case: CaseId,
    place: str,
    at: Annotated[str, typer.Option("--at", help="When, as 2027-01-31T12:00:00Z.")],
    note: str = "",
    as_json: Json = False,
) -> None:
    """Note that somebody says to have seen the person."""
    with installation() as app:
        made = app.casework.cases.sight(who(app), case, seen_at=moment(at), place=place, note=note)
    print_done({"id": made.id, "seen_at": when(made.seen_at)}, f"{made.id} is noted.", as_json=as_json)


def _origin(provenance: str, basis: str, source: str, taken: str, name: str) -> Origin:
    from custodes.operations.desk import Origin  # here, so that --help doesn't wait for it

    return Origin(provenance, basis, source, name=name, taken_at=moment(taken) if taken else None)


@photos.command("add")
def add_photos(
    case: CaseId,
    files: Annotated[list[Path], typer.Argument(help="JPEG or PNG files.", show_default=False)],
    basis: Basis,
    source: Source,
    provenance: From = "case-file",
    taken: Taken = "",
    as_json: Json = False,
) -> None:
    """Add reference photos of the person."""
    from custodes.operations.photos import read_bytes  # here, as it loads the models' libraries

    with installation() as app:
        caller = _caller(app, case)
        rows = []
        for path in files:
            origin = _origin(provenance, basis, source, taken, path.name)
            made = app.casework.cases.add_photo(caller, case, read_bytes(path, app.config.limits), origin)
            poor = [
                a for f in made.faces for a in app.casework.candidates.check(caller, case, made.id)[f.number].advice
            ]
            rows.append({"id": made.id, "file": str(path), "faces": len(made.faces), "advice": poor})
    print_rows(rows, {"id": "Image", "file": "File", "faces": "Faces", "advice": "What would help"}, as_json=as_json)


# --- searching --------------------------------------------------------------------------------------------------


@program.command("search")
def search(
    case: CaseId,
    photo: Annotated[
        list[Path] | None,
        typer.Option("--photo", help="A photo, or a folder of them, to search for instead of the case's references."),
    ] = None,
    import_id: Annotated[str, typer.Option("--import", help="Search for every face of an import, in bulk.")] = "",
    every_face: Annotated[bool, typer.Option("--every-face", help="Not the largest face of a photo alone.")] = False,
    collections: Collections = None,
    threshold: LeastThreshold = None,
    limit: Most = 100,
    basis: Basis = "the case's mandate",
    source: Source = "the case's file",
    provenance: From = "case-file",
    taken: Taken = "",
    as_json: Json = False,
) -> None:
    """Search for the person of a case: each face in each collection is a search of its own."""
    from custodes.operations.photos import read_bytes  # here, as it loads the models' libraries

    with installation() as app:
        caller, searches = _caller(app, case), app.casework.searches
        names = {k.name: k.uid for k in app.casework.cases.view(caller, case).collections}
        places = None if collections is None else [names.get(c, c) for c in collections]
        if photo:
            images = [
                app.casework.cases.keep_probe(
                    caller,
                    case,
                    read_bytes(path, app.config.limits),
                    _origin(provenance, basis, source, taken, path.name),
                ).id
                for path in _photos(photo)
            ]
            run = searches.search_images(
                caller, case, images, every_face=every_face, collections=places, threshold=threshold, limit=limit
            )
        elif import_id:
            run = searches.search_import(caller, case, import_id, collections=places, threshold=threshold, limit=limit)
        else:
            run = searches.search_references(caller, case, collections=places, threshold=threshold, limit=limit)
        _print_run(app, caller, run, as_json=as_json)


def _photos(named: list[Path]) -> list[Path]:
    """Return the photos that are named, and those of folders that are, sorted.

    Raises:
        NotFound: if a folder has none.
    """
    found: list[Path] = []
    for path in named:
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in _SUFFIXES) if path.is_dir() else [path]
        if not inside:
            raise NotFound(f"There is no JPEG or PNG in {path}.")
        found += inside
    return found


@program.command("candidates")
def candidates(run: str, as_json: Json = False) -> None:
    """Show the candidate list of a run of searches."""
    with installation() as app:
        caller = who(app)
        _print_run(app, caller, app.casework.candidates.listed(caller, run).run, as_json=as_json)


@program.command("runs")
def runs(case: CaseId, as_json: Json = False) -> None:
    """List the runs of searches of a case."""
    with installation() as app:
        rows = [
            {
                "id": r.id,
                "kind": str(r.kind),
                "at": when(r.at),
                "by": r.by,
                "state": str(r.state),
                "searches": r.searches,
                "candidates": r.candidates,
                "why": r.why,
            }
            for r in app.casework.candidates.runs(who(app), case)
        ]
    columns = {"id": "Run", "kind": "Kind", "at": "When", "state": "State", "searches": "Searches"}
    print_rows(rows, columns | {"candidates": "Candidates", "why": "Why"}, as_json=as_json)


def _print_run(app: App, caller: Caller, run: Run, *, as_json: bool) -> None:
    listed = app.casework.candidates.listed(caller, run.id)
    rows = [
        {
            "id": k.id,
            "rank": k.rank,
            "similarity": round(k.similarity, 2),
            "state": str(k.state),
            "person": k.person,
            "label": k.label,
            "image": k.image,
            "folded_into": k.folded_into,
            "age_gap": min((s.age_gap for s in k.scores if s.age_gap is not None), default=None),
        }
        for k in listed.candidates
    ]
    if as_json:
        told = {"run": run.id, "state": str(run.state), "why": run.why, "searches": run.searches, "candidates": rows}
        print_json(told)
        return
    if run.why:
        warn(run.why)
    columns = {"rank": "Rank", "similarity": "Similarity", "person": "Person", "state": "State", "label": "Label"}
    print_rows(rows, columns | {"age_gap": "Years between", "id": "Candidate"}, as_json=False)
    console.print(f"{run.id}: {run.searches} searches. A candidate is a lead for a person to judge, not an identity.")


# --- standing searches ------------------------------------------------------------------------------------------


@standing.command("add")
def add_standing(case: CaseId, threshold: LeastThreshold = None, as_json: Json = False) -> None:
    """Search for a case's references again whenever images come into its collections."""
    with installation() as app:
        made = app.casework.standing.stand(_caller(app, case), case, threshold=threshold)
    print_done({"id": made.id, "case": case}, f"{made.id} stands.", as_json=as_json)


@standing.command("remove")
def remove_standing(case: CaseId, standing_id: str, as_json: Json = False) -> None:
    """End a standing search."""
    with installation() as app:
        app.casework.standing.stop_standing(who(app), case, standing_id)
    print_done({"id": standing_id, "ended": True}, f"{standing_id} is ended.", as_json=as_json)


@standing.command("run")
def run_standing(as_json: Json = False) -> None:
    """Make the standing searches again that have something new to search; a server does so by itself."""
    with installation() as app:
        made = app.casework.standing.run_standing()
    print_done({"made": made}, f"{made} standing searches were made again.", as_json=as_json)
