# SPDX-License-Identifier: Apache-2.0
"""``custodes subject | retention | report``: what is held of a person, what is due to go, what the public is told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from custodes.cli.arguments import CollectionId, Json, moment
from custodes.cli.output import console, installation, print_done, print_json, print_rows, when, write
from custodes.cli.who import who
from custodes.errors import Invalid

if TYPE_CHECKING:
    from custodes.operations.erasure import Report

__all__ = ["report", "retention", "subject"]

subject = typer.Typer(help="What a person may ask: what is held of me, and how was it used?", no_args_is_help=True)
retention = typer.Typer(help="Erasing what is due.", no_args_is_help=True)
report = typer.Typer(help="Reports that are made of the ledger.", no_args_is_help=True)


@subject.command("report")
def subject_report(
    collection: CollectionId,
    faces: Annotated[list[str] | None, typer.Option("--face", help="A face of the person; may be repeated.")] = None,
    user: Annotated[str | None, typer.Option("--user", help="The user that has the person's faces, instead.")] = None,
    as_json: Json = False,
) -> None:
    """Report what is held of a person in a collection, on which ground, until when, and every use of it."""
    if bool(faces) == (user is not None):
        raise Invalid("Name the person's faces (--face) or the user that has them (--user).")
    with installation() as app:
        found = app.erasure.report(who(app), collection, faces or (), user)
    told = _told(found)
    if as_json:
        print_json(told)
        return
    kept = f"{found.retention_days} days" if found.retention_days else "no end"
    console.print(
        f"Collection {collection}, of organisation {found.owner}, for {found.purpose}; kept for: {kept}.",
        highlight=False,
        soft_wrap=True,
    )
    columns = {"face_id": "Face", "external_image_id": "Image", "enrolled_at": "Enrolled", "provenance": "From"}
    print_rows(_rows(told, "faces"), columns | {"consent": "Consent"}, as_json=False)
    columns = {"index": "Entry", "at": "At", "action": "Action", "decision": "Decision", "class": "Class"}
    columns |= {"organisation": "Organisation", "purpose": "Purpose", "principal": "Person"}
    print_rows(_rows(told, "uses"), columns, as_json=False)
    for sentence in found.photos_told:
        console.print(sentence, highlight=False, soft_wrap=True)
    console.print("Each use is an entry of the ledger: custodes ledger show ENTRY.", style="dim")


def _rows(told: dict[str, object], name: str) -> list[dict[str, object]]:
    rows = told[name]
    assert isinstance(rows, list)
    return rows


def _told(found: Report) -> dict[str, object]:
    from custodes.governance.rows import time_of  # here, so that --help doesn't wait

    return {
        "collection_id": found.collection,
        "organisation": found.owner,
        "purpose": found.purpose,
        "retention_days": found.retention_days,
        "faces": [
            {
                "face_id": r.reference_id,
                "external_image_id": r.external_image_id,
                "user_id": r.subject_id,
                "enrolled_at": when(time_of(h.enrolled_at)) if h.enrolled_at is not None else None,
                "provenance": h.provenance,
                "consent": h.consent,
                "held": "an encrypted template, the box in the photo, the label",
            }
            for r, h in found.references
        ],
        "photos": [
            {"case": p.case, "count": p.count, "until": when(p.until), "keep_days": p.keep_days, "told": p.words}
            for p in found.photos
        ],
        "consents": [
            {
                "id": c.id,
                "kind": str(c.kind),
                "purposes": sorted(map(str, c.purposes)),
                "document": c.document_hash,
                "given_at": when(c.given_at),
                "not_after": when(c.not_after),
                "withdrawn_at": when(c.withdrawn_at),
            }
            for c in found.consents
        ],
        "uses": [
            {
                "index": u.index,
                "at": u.at,
                "action": u.action,
                "decision": u.decision,
                "organisation": u.organisation,
                "class": u.org_class,
                "purpose": u.purpose,
                "principal": u.principal,
                "case": u.case,
                "authority": u.authority,
            }
            for u in found.uses
        ],
    }


@subject.command("erase")
def erase_subject(
    collection: CollectionId,
    faces: Annotated[list[str] | None, typer.Option("--face", help="A face of the person; may be repeated.")] = None,
    user: Annotated[str | None, typer.Option("--user", help="The user that has the person's faces, instead.")] = None,
    out: Annotated[
        Path | None, typer.Option("--receipt", help="Write the receipt for the person to this file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Erase a person from a collection, from the files too, and give a receipt that can be checked.

    A case's photos that show nobody else who is enrolled go too; from the others the face's record goes.
    """
    if bool(faces) == (user is not None):
        raise Invalid("Name the person's faces (--face) or the user that has them (--user).")
    if out is not None and out.exists():
        raise Invalid(f"{out} is there already.")
    with installation() as app:
        done = app.erasure.erase(who(app), collection, faces or (), user)
        if out is not None:
            write(out, app.erasure.receipt(done.entries[0]))
    told = {"erased": list(done.reference_ids), "entries": list(done.entries), "receipt": str(out) if out else None}
    rest = done.entries[1:] if out else done.entries
    receipts = [f"{out} is the receipt"] if out else []
    receipts += [f"custodes ledger receipt {entry} gives the receipt" for entry in rest]
    where = "; ".join(receipts)
    print_done(told, f"{len(done.reference_ids)} references are erased; {where}.", as_json=as_json)


@retention.command("run")
def run_retention(as_json: Json = False) -> None:
    """Erase what is due now: older than its collection keeps it, or on a consent that has ended."""
    with installation() as app:
        gone = app.erasure.run_retention()
    print_done({"erased": gone}, f"{gone} references are erased.", as_json=as_json)


@retention.command("set")
def set_retention(
    collection: CollectionId,
    days: Annotated[int, typer.Option(help="Days for which references are kept; 0 for no end.", min=0, max=36_500)],
    as_json: Json = False,
) -> None:
    """Change how long a collection's references are kept."""
    with installation() as app:
        app.collections.retain(who(app), collection, days or None)
    kept = f"for {days} days" if days else "without an end"
    print_done({"collection_id": collection, "days": days or None}, f"{collection} keeps {kept}.", as_json=as_json)


@report.command()
def transparency(
    start: Annotated[str, typer.Option("--from", help="From this date on.")],
    end: Annotated[str, typer.Option("--to", help="Before this date.")],
    out: Annotated[Path, typer.Option(help="The HTML page to write; a .json of the same name goes beside it.")] = Path(
        "transparency.html"
    ),
    ledger: Annotated[
        str, typer.Option(help="A published log (folder or URL) to make it of; this installation's unless given.")
    ] = "",
    vkey: Annotated[
        str, typer.Option(help="The published log's verifier key, from somebody you trust; its own word unless given.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Make a transparency report of the ledger alone: an HTML page and JSON."""
    from custodes.operations import transparency as room  # here, so that --help doesn't wait

    since, until = moment(start), moment(end)
    if ledger:
        made = room.of_published(ledger, since, until, vkey or None)
    else:
        with installation() as app:
            made = room.of_ledger(app.ledger, since, until)
    written = room.write(made, out)
    if as_json:
        print_json(made.to_json())
    else:
        console.print(f"{written[0]} and {written[1]} are written.", highlight=False, soft_wrap=True)
