# SPDX-License-Identifier: Apache-2.0
"""``custodes authority | consent | results``: the grounds that a use may rest on, and what was kept of it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import orjson
import typer

from custodes.cli.arguments import Json, moment
from custodes.cli.output import console, installation, print_done, print_json, print_rows, print_table, when
from custodes.cli.who import who
from custodes.errors import Invalid
from custodes.governance.model import ConsentKind
from custodes.governance.request import AuthorityKind, Purpose

__all__ = ["authority", "consent", "results"]

authority = typer.Typer(help="Warrants, court orders, consents to search; and exigencies.", no_args_is_help=True)
consent = typer.Typer(help="Consents of people to being enrolled.", no_args_is_help=True)
results = typer.Typer(help="What exigent searches found: kept for 48 hours, then sealed.", no_args_is_help=True)


def _hash(document: Path | None, digest: str) -> str:
    """Return the SHA-256 of a document, which stays where it is, or the one that is given."""
    if (document is None) == (not digest):
        raise Invalid("Name the document (--document FILE) or its SHA-256 (--sha256 HEX).")
    if document is None:
        return digest
    try:
        return hashlib.sha256(document.read_bytes()).hexdigest()
    except OSError as e:
        raise Invalid(f"{document} can't be read: {e.strerror}.") from e


Document = Annotated[Path | None, typer.Option("--document", help="Its document; only the SHA-256 is kept.")]
Digest = Annotated[str, typer.Option("--sha256", help="The SHA-256 of its document, instead of the file.")]
Organisation = Annotated[str | None, typer.Option("--org", help="Whose; your own organisation's unless given.")]


@authority.command("file")
def file_authority(
    kind: AuthorityKind,
    issuer: Annotated[str, typer.Option(help="Who gave it.")],
    purposes: Annotated[list[Purpose], typer.Option("--purpose", help="What it covers; may be repeated.")],
    collections: Annotated[list[str], typer.Option("--collection", help="Which it covers; may be repeated.")],
    not_before: Annotated[str, typer.Option(help="From when on it is valid.")],
    not_after: Annotated[str, typer.Option(help="Until when it is valid.")],
    document: Document = None,
    digest: Digest = "",
    subjects: Annotated[
        list[str] | None,
        typer.Option(
            "--subject", help="Whom it is about: reference:FACE_ID, subject:USER or image:SHA256; anybody if not given."
        ),
    ] = None,
    organisation: Organisation = None,
    satisfies: Annotated[
        str | None, typer.Option("--for", help="The exigency that it is filed for afterwards, by its id.")
    ] = None,
    as_json: Json = False,
) -> None:
    """File an authority."""
    with installation() as app:
        made = app.grounds.file(
            who(app),
            kind,
            issuer=issuer,
            document_hash=_hash(document, digest),
            purposes=purposes,
            collections=collections,
            not_before=moment(not_before),
            not_after=moment(not_after),
            subjects=subjects or (),
            organisation=organisation,
            satisfies=satisfies,
        )
    told = {"id": made.id, "kind": str(kind), "not_before": when(made.not_before), "not_after": when(made.not_after)}
    print_done(told, f"{made.id} is filed: {kind}, valid until {when(made.not_after)}.", as_json=as_json)


@authority.command("list")
def list_authorities(as_json: Json = False) -> None:
    """List the authorities, and the exigencies that wait for one."""
    with installation() as app:
        found = app.grounds.authorities()
        satisfied = {a.satisfies for a in found}
        rows = [
            {
                "id": a.id,
                "kind": str(a.kind),
                "organisation": a.organisation,
                "issuer": a.issuer,
                "purposes": sorted(map(str, a.purposes)),
                "not_before": when(a.not_before),
                "not_after": when(a.not_after),
                "for": a.satisfies,
                "waits": a.kind == AuthorityKind.EXIGENCY and a.id not in satisfied,
            }
            for a in found
        ]
    columns = {"id": "Authority", "kind": "Kind", "organisation": "Organisation", "issuer": "Issuer or reason"}
    columns |= {"purposes": "Purposes", "not_after": "Until", "for": "Filed for", "waits": "Waits"}
    print_rows(rows, columns, as_json=as_json)


@consent.command("record")
def record_consent(
    kind: ConsentKind,
    collection: Annotated[str, typer.Option("--collection", "-c", help="Where the person is to be enrolled.")],
    label: Annotated[str, typer.Option("--label", help="The external image id under which they are enrolled.")],
    purposes: Annotated[list[Purpose], typer.Option("--purpose", help="For what; may be repeated.")],
    days: Annotated[int, typer.Option(help="For how long.", min=1, max=3650)],
    document: Document = None,
    digest: Digest = "",
    as_json: Json = False,
) -> None:
    """Record a consent; images that are enrolled under its label rest on it, and go when it ends."""
    with installation() as app:
        made = app.grounds.consent(
            who(app),
            kind,
            collection=collection,
            external_image_id=label,
            purposes=purposes,
            document_hash=_hash(document, digest),
            days=days,
        )
    told = {"id": made.id, "kind": str(kind), "not_after": when(made.not_after)}
    print_done(told, f"{made.id} is recorded, until {when(made.not_after)}.", as_json=as_json)


@consent.command("withdraw")
def withdraw_consent(consent_id: str, as_json: Json = False) -> None:
    """Withdraw a consent, and erase what was enrolled on it."""
    with installation() as app:
        app.grounds.withdraw(who(app), consent_id)
        gone = app.erasure.run_retention()
    print_done(
        {"id": consent_id, "withdrawn": True, "erased": gone},
        f"{consent_id} is withdrawn; {gone} references are erased.",
        as_json=as_json,
    )


@consent.command("list")
def list_consents(as_json: Json = False) -> None:
    """List the consents."""
    with installation() as app:
        rows = [
            {
                "id": c.id,
                "kind": str(c.kind),
                "organisation": c.organisation,
                "label": c.external_image_id,
                "purposes": sorted(map(str, c.purposes)),
                "given_at": when(c.given_at),
                "not_after": when(c.not_after),
                "withdrawn_at": when(c.withdrawn_at),
            }
            for c in app.grounds.consents()
        ]
    columns = {"id": "Consent", "kind": "Kind", "label": "Label", "purposes": "Purposes", "not_after": "Until"}
    print_rows(rows, columns | {"withdrawn_at": "Withdrawn"}, as_json=as_json)


@results.command("list")
def list_results(as_json: Json = False) -> None:
    """List which results are kept; not what they are."""
    with installation() as app:
        rows = [
            {
                "id": k.exigency.id,
                "organisation": k.exigency.organisation,
                "authority": k.exigency.authority,
                "kept_at": when(k.exigency.kept_at),
                "seals_at": when(k.seals_at),
                "filed": k.filed,
            }
            for k in app.grounds.kept()
        ]
    columns = {"id": "Result", "organisation": "Organisation", "authority": "Exigency", "kept_at": "Kept"}
    print_rows(rows, columns | {"seals_at": "Seals", "filed": "Authority filed"}, as_json=as_json)


@results.command("show")
def show_results(result: str, as_json: Json = False) -> None:
    """Show what an exigent search found. Candidates are leads for a person to judge, never identities."""
    with installation() as app:
        found = app.grounds.open_kept(who(app), result)
    pairs = orjson.loads(found.results)
    if as_json:
        print_json({"id": result, "candidates": [{"id": i, "similarity": s} for i, s in pairs]})
        return
    print_table(("Similarity", "Candidate"), [(f"{s:.1f} %", i) for i, s in pairs])
    console.print("A candidate is a lead for a person to judge, not an identity.", style="dim")
