# SPDX-License-Identifier: Apache-2.0
"""``custodes faces``: what is enrolled."""

from __future__ import annotations

from typing import Annotated

import typer

from custodes.cli.arguments import CollectionId, FaceIds, Json
from custodes.cli.output import console, installation, print_json, print_table, warn
from custodes.cli.who import who

__all__ = ["program"]

program = typer.Typer(help="Enrolled faces.", no_args_is_help=True)
_PAGE = 1000


@program.command("list")
def list_faces(
    collection: CollectionId,
    user: Annotated[str | None, typer.Option("--user", help="Only the faces of this user.")] = None,
    as_json: Json = False,
) -> None:
    """List the faces of a collection."""
    rows: list[dict[str, object]] = []
    with installation() as app:
        caller = who(app)
        position: int | None = 0
        while position is not None:
            _, page, position = app.faces.list(caller, collection, after=position, limit=_PAGE, user=user, ids=None)
            rows += [
                {
                    "face_id": r.reference_id,
                    "external_image_id": r.external_image_id,
                    "user_id": r.subject_id,
                    "confidence": round(r.confidence, 2),
                }
                for r in page
            ]
    if as_json:
        print_json(rows)
    else:
        print_table(("Face", "Image", "User", "Confidence"), [tuple(r.values()) for r in rows])


@program.command()
def delete(collection: CollectionId, faces: FaceIds, as_json: Json = False) -> None:
    """Delete faces, from the disk too; those of a user have to be disassociated first. Status 1 if one is left."""
    with installation() as app:
        caller = who(app)
        done = app.faces.delete(caller, collection, faces)
    failed = [{"face_id": i, "reason": "not in the collection"} for i in done.unknown]
    failed += [{"face_id": i, "reason": f"of user {user}"} for i, user in done.tied]
    if as_json:
        print_json({"deleted": done.deleted, "failed": failed})
    else:
        console.print(f"{len(done.deleted)} faces are deleted.", highlight=False)
        for f in failed:
            warn(f"{f['face_id']} is not deleted: {f['reason']}.")
    if failed:
        raise typer.Exit(1)
