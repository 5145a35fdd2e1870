# SPDX-License-Identifier: Apache-2.0
"""``custodes collections``: sets of enrolled faces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from custodes.cli.arguments import CollectionId, Json
from custodes.cli.output import console, installation, print_json, print_table
from custodes.cli.who import who

if TYPE_CHECKING:
    from custodes.gallery import Collection

__all__ = ["program"]

program = typer.Typer(help="Collections of enrolled faces.", no_args_is_help=True)
_PAGE = 1000


def _told(collection: Collection) -> dict[str, object]:
    return {
        "collection_id": collection.name,
        "faces": collection.face_count,
        "users": collection.subject_count,
        "model_version": collection.pack_version,
        "pack": collection.pack,
        "created_at": collection.created_at.isoformat(timespec="seconds"),
    }


@program.command()
def create(collection_id: CollectionId, as_json: Json = False) -> None:
    """Make a collection, pinned to the current model pack."""
    with installation(make=True) as app:
        caller = who(app)
        made = _told(app.collections.create(caller, collection_id, {}))
    print_json(made) if as_json else console.print(f"{collection_id} is made.", highlight=False)


@program.command("list")
def list_collections(as_json: Json = False) -> None:
    """List the collections."""
    rows: list[dict[str, object]] = []
    with installation() as app:
        caller = who(app)
        position: int | None = 0
        while position is not None:
            page, position = app.collections.list(caller, after=position, limit=_PAGE)
            rows += [_told(c) for c in page]
    if as_json:
        print_json(rows)
    else:
        print_table(("Collection", "Faces", "Users", "Model", "Pack", "Created"), [tuple(r.values()) for r in rows])


@program.command()
def describe(collection_id: CollectionId, as_json: Json = False) -> None:
    """Say what a collection holds."""
    with installation() as app:
        caller = who(app)
        told = _told(app.collections.describe(caller, collection_id))
    print_json(told) if as_json else print_table(("", ""), told.items())


@program.command()
def delete(
    collection_id: CollectionId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    as_json: Json = False,
) -> None:
    """Delete a collection with everything in it, from the disk too."""
    with installation() as app:
        caller = who(app)
        count = app.collections.describe(caller, collection_id).face_count
        if not yes:
            typer.confirm(f"Delete {collection_id} with {count} faces?", abort=True, err=True)
        app.collections.delete(caller, collection_id)
    told = {"collection_id": collection_id, "deleted_faces": count}
    print_json(told) if as_json else console.print(f"{collection_id} is deleted.", highlight=False)
