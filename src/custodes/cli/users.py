# SPDX-License-Identifier: Apache-2.0
"""``custodes users``: one person's faces together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from custodes.cli.arguments import CollectionId, FaceIds, Json, LeastThreshold, Limit, UserId
from custodes.cli.output import console, installation, print_json, print_table, warn
from custodes.cli.who import who
from custodes.domain import QualityFilter
from custodes.errors import Invalid

__all__ = ["program"]

program = typer.Typer(help="Users: one person's faces together.", no_args_is_help=True)

_PAGE = 500
_Failed = list[dict[str, str]]


@program.command()
def create(collection: CollectionId, user: UserId, as_json: Json = False) -> None:
    """Make a user without faces."""
    with installation() as app:
        caller = who(app)
        app.subjects.create(caller, collection, user, None)
    print_json({"user_id": user, "status": "CREATED"}) if as_json else console.print(f"{user} is made.", markup=False)


@program.command("list")
def list_users(collection: CollectionId, as_json: Json = False) -> None:
    """List the users of a collection."""
    rows: list[dict[str, object]] = []
    with installation() as app:
        caller = who(app)
        position: int | None = 0
        while position is not None:
            page, position = app.subjects.list(caller, collection, after=position, limit=_PAGE)
            rows += [
                {
                    "user_id": s.subject_id,
                    "status": s.status.value,
                    "created_at": s.created_at.isoformat(timespec="seconds"),
                }
                for s in page
            ]
    if as_json:
        print_json(rows)
    else:
        print_table(("User", "Status", "Created"), [tuple(r.values()) for r in rows])


@program.command()
def delete(collection: CollectionId, user: UserId, as_json: Json = False) -> None:
    """Delete a user; the faces stay in the collection."""
    with installation() as app:
        caller = who(app)
        app.subjects.delete(caller, collection, user, None)
    print_json({"user_id": user, "deleted": True}) if as_json else console.print(f"{user} is deleted.", markup=False)


@program.command()
def associate(
    collection: CollectionId,
    user: UserId,
    faces: FaceIds,
    threshold: LeastThreshold = None,
    as_json: Json = False,
) -> None:
    """Give faces to a user; from the second on each must be alike to those before. Status 1 if one is refused."""
    with installation() as app:
        caller = who(app)
        done = app.subjects.associate(caller, collection, user, faces, threshold=threshold, once=None)
    failed = _failed(done.unknown, done.elsewhere)
    failed += [
        {"face_id": i, "reason": "not alike enough" if s is None else f"only {s:.1f} % alike to the user"}
        for i, s in done.unlike
    ]
    failed += [{"face_id": i, "reason": "the user is full"} for i in done.surplus]
    _tell("associated", user, done.associated, failed, done.status.value, as_json=as_json)


@program.command()
def disassociate(collection: CollectionId, user: UserId, faces: FaceIds, as_json: Json = False) -> None:
    """Take faces from a user; they stay in the collection. Status 1 if one isn't the user's."""
    with installation() as app:
        caller = who(app)
        done = app.subjects.disassociate(caller, collection, user, faces, None)
    failed = _failed(done.unknown, done.elsewhere)
    _tell("disassociated", user, done.disassociated, failed, done.status.value, as_json=as_json)


def _failed(unknown: tuple[str, ...], elsewhere: tuple[tuple[str, str], ...]) -> _Failed:
    return [{"face_id": i, "reason": "not in the collection"} for i in unknown] + [
        {"face_id": i, "reason": f"of user {other}"} for i, other in elsewhere
    ]


def _tell(verb: str, user: str, done: tuple[str, ...], failed: _Failed, status: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"user_id": user, verb: done, "failed": failed, "status": status})
    else:
        console.print(f"{len(done)} faces are {verb}; {user} is {status}.", highlight=False, markup=False)
        for f in failed:
            warn(f"{f['face_id']} is not {verb}: {f['reason']}.")
    if failed:
        raise typer.Exit(1)


@program.command()
def search(
    collection: CollectionId,
    photo: Annotated[Path | None, typer.Option("--photo", help="By the largest face of a JPEG or PNG file.")] = None,
    face: Annotated[str | None, typer.Option("--face", help="By a face of the collection.")] = None,
    user: Annotated[str | None, typer.Option("--user", help="By a user of the collection, who is left out.")] = None,
    limit: Limit = 10,
    threshold: LeastThreshold = None,
    as_json: Json = False,
) -> None:
    """Search the users of a collection. The answer is a list of candidates, never an identity."""
    if sum(by is not None for by in (photo, face, user)) != 1:
        raise Invalid("A search is by --photo, by --face or by --user; one of them.")
    with installation() as app:
        caller = who(app)
        if photo is not None:
            from custodes.operations.photos import no_face, read_bytes  # here, so that --help doesn't wait for models

            data = read_bytes(photo, app.config.limits)
            by_image = app.subjects.search_by_image(
                caller, collection, data, limit=limit, threshold=threshold, quality=QualityFilter.NONE
            )
            if by_image.probe is None:
                raise no_face("photo")
            if by_image.unsearched:
                warn(f"{photo.name} shows {1 + len(by_image.unsearched)} faces; the largest is searched for.")
            found = by_image.candidates
        elif face is not None:
            found = app.subjects.search_by_face(caller, collection, face, limit=limit, threshold=threshold).candidates
        else:
            assert user is not None
            found = app.subjects.search_by_subject(
                caller, collection, user, limit=limit, threshold=threshold
            ).candidates
    if as_json:
        rows = [
            {
                "user_id": c.subject.subject_id,
                "similarity": round(c.score.similarity, 2),
                "cosine": round(c.score.cosine, 4),
            }
            for c in found
        ]
        print_json({"candidates": rows})
        return
    print_table(("Similarity", "User"), [(f"{c.score.similarity:.1f} %", c.subject.subject_id) for c in found])
    console.print("A candidate is a lead for a person to judge, not an identity.", style="dim")
