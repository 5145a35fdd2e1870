# SPDX-License-Identifier: Apache-2.0
"""``custodes detect | compare | search``: photos. The first two need no installation; where there is one, they are a
use of it, decided and recorded as any other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from custodes.cli.arguments import (
    MATCH_THRESHOLD,
    Draw,
    InCollection,
    Json,
    LeastThreshold,
    Limit,
    Photo,
    Quality,
    Threshold,
)
from custodes.cli.output import configuration, console, installation, is_installed, print_json, print_table, warn
from custodes.cli.told import box_json, box_words, candidate_json, face_json, looks
from custodes.cli.who import who
from custodes.domain import AttributeSet, QualityFilter

if TYPE_CHECKING:
    from custodes.operations.faces import ImageSearch

__all__ = ["add_to"]


def add_to(program: typer.Typer) -> None:
    """Add the commands."""
    program.command()(detect)
    program.command()(compare)
    program.command()(search)


def detect(
    photo: Photo,
    attributes: Annotated[bool, typer.Option("--attributes", help="Tell age, smile, eyes, mouth too.")] = False,
    picture: Draw = None,
    as_json: Json = False,
) -> None:
    """Find the faces of a photo."""
    from custodes.operations.photos import PhotoOperations, draw, read, read_bytes  # here: --help needs no models

    config = configuration()
    image, asked = read(photo, config.limits), AttributeSet.all() if attributes else None
    if is_installed(config):
        with installation() as app:
            found = app.faces.detect(who(app), read_bytes(photo, config.limits), asked)
    else:
        found = PhotoOperations.open(config).detect(image, asked)
    if picture:
        draw(image, found.faces, [f"{f.confidence:.1f} %" for f in found.faces], picture)
    if as_json:
        faces = [face_json(f) for f in found.faces]
        print_json({"width": image.size.width, "height": image.size.height, "faces": faces})
        return
    count = len(found.faces)
    console.print(f"{count} face{'s' if count != 1 else ''} in {photo.name}", highlight=False, markup=False)
    print_table(
        ("#", "Box (left, top, width, height)", "Confidence", "Roll, yaw, pitch", "Bright", "Sharp", "Looks"),
        [
            (
                number,
                box_words(f.box),
                f"{f.confidence:.1f} %",
                f"{f.pose.roll:.0f}, {f.pose.yaw:.0f}, {f.pose.pitch:.0f}",
                f"{f.quality.brightness:.0f}",
                f"{f.quality.sharpness:.0f}",
                looks(f),
            )
            for number, f in enumerate(found.faces, 1)
        ],
    )


def compare(
    source: Photo,
    target: Photo,
    threshold: Threshold = MATCH_THRESHOLD,
    picture: Draw = None,
    as_json: Json = False,
) -> None:
    """Compare the largest face of one photo with all faces of another."""
    from custodes.operations.photos import PhotoOperations, draw, read, read_bytes  # here: --help needs no models

    config = configuration()
    left, right = read(source, config.limits), read(target, config.limits)
    if is_installed(config):
        with installation() as app:
            pair = read_bytes(source, config.limits), read_bytes(target, config.limits)
            found = app.faces.compare(who(app), *pair, threshold=0.0, quality=QualityFilter.NONE)
    else:
        found = PhotoOperations.open(config).compare(left, right, threshold=0.0, quality=QualityFilter.NONE)
    if found.source_count > 1:
        warn(f"{source.name} shows {found.source_count} faces; the largest is compared.")
    if picture:
        faces, scores = zip(*found.matches, strict=True)
        draw(right, faces, [f"{s.similarity:.1f} %" for s in scores], picture)
    if as_json:
        rows = [
            {
                "box": box_json(f.box),
                "similarity": round(s.similarity, 2),
                "cosine": round(s.cosine, 4),
                "match": s.similarity >= threshold,
            }
            for f, s in found.matches
        ]
        print_json({"source": {"box": box_json(found.source.box)}, "threshold": threshold, "faces": rows})
        return
    print_table(
        ("Similarity", "Cosine", f"At least {threshold:g} %", "Box (left, top, width, height)"),
        [
            (f"{s.similarity:.1f} %", f"{s.cosine:.3f}", "yes" if s.similarity >= threshold else "no", box_words(f.box))
            for f, s in found.matches
        ],
    )


def search(
    photo: Photo,
    collection: InCollection,
    limit: Limit = 10,
    threshold: LeastThreshold = None,
    every: Annotated[bool, typer.Option("--all", help="Search for every face, not only the largest.")] = False,
    quality: Quality = QualityFilter.NONE,
    picture: Draw = None,
    as_json: Json = False,
) -> None:
    """Search a collection for the face of a photo. The answer is a list of candidates, never an identity."""
    with installation() as app:
        from custodes.operations.photos import draw, read, read_bytes  # here, so that --help doesn't wait for models

        data = read_bytes(photo, app.config.limits)
        ask = app.faces.search_each if every else app.faces.search_by_image
        found = ask(who(app), collection, data, limit=limit, threshold=threshold, quality=quality)
        searches = found if isinstance(found, tuple) else (found,)
        if not every and searches[0].faces > 1:
            warn(f"{photo.name} shows {searches[0].faces} faces; the largest is searched for. --all searches for each.")
        if picture:
            image = read(photo, app.config.limits)
            draw(image, [s.probe for s in searches], [_caption(s) for s in searches], picture)
    if as_json:
        print_json([_searched(s) for s in searches])
        return
    for number, one in enumerate(searches, 1):
        title = f"Face {number}: " if len(searches) > 1 else ""
        console.print(f"{title}{len(one.candidates)} candidates", style="bold", highlight=False)
        print_table(
            ("Similarity", "Image", "User", "Face"),
            [
                (
                    f"{c.score.similarity:.1f} %",
                    c.reference.external_image_id,
                    c.reference.subject_id,
                    c.reference.reference_id,
                )
                for c in one.candidates
            ],
        )
    console.print("A candidate is a lead for a person to judge, not an identity.", style="dim")


def _caption(found: ImageSearch) -> str:
    if not found.candidates:
        return "no candidate"
    first = found.candidates[0]
    return f"{first.reference.external_image_id or first.reference.reference_id[:8]} {first.score.similarity:.1f} %"


def _searched(found: ImageSearch) -> dict[str, object]:
    return {
        "probe": {"box": box_json(found.probe.box), "confidence": round(found.probe.confidence, 2)},
        "model_version": found.pack_version,
        "candidates": [candidate_json(c) for c in found.candidates],
    }
