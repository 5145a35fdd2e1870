# SPDX-License-Identifier: Apache-2.0
"""``custodes detect | compare | index | search``: photos."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from custodes.cli.output import Json, configuration, console, installation, print_json, print_table, warn
from custodes.domain import AttributeSet, Box, Face, QualityFilter
from custodes.errors import Conflict, CustodesError, NotFound

if TYPE_CHECKING:
    from custodes.app import App
    from custodes.operations.faces import ImageSearch
    from custodes.vision.engine import Engine
    from custodes.vision.image import Image

__all__ = ["add_to"]

Photo = Annotated[Path, typer.Argument(help="A JPEG or PNG file.", show_default=False)]
Draw = Annotated[Path | None, typer.Option("--draw", help="Write a picture of the result (JPEG).")]
CollectionName = Annotated[str, typer.Option("--collection", "-c", help="The collection.")]
Quality = Annotated[QualityFilter, typer.Option("--quality", help="Faces below are passed over.")]

_SUFFIXES = {".jpg", ".jpeg", ".png"}
_UNTOLD = re.compile(r"[^a-zA-Z0-9_.\-:]")
_MAX_LABEL = 255


def add_to(program: typer.Typer) -> None:
    """Add the commands."""
    program.command()(detect)
    program.command()(compare)
    program.command()(index)
    program.command()(search)


def _bytes(path: Path) -> bytes:
    """Read a file.

    Raises:
        NotFound: if it can't be read.
    """
    try:
        return path.read_bytes()
    except OSError as e:
        raise NotFound(f"{path} can't be read: {e.strerror}.") from e


def _engine() -> Engine:
    from custodes.vision.engine import Engine  # here, so that --help doesn't wait for models

    return Engine.default(configuration())


def _draw(image: Image, faces: Sequence[Face], labels: Sequence[str], path: Path) -> None:
    from custodes.vision.draw import draw, save

    save(draw(image, faces, labels), path)


def _box(box: Box) -> dict[str, float]:
    return {
        "left": round(box.left, 1),
        "top": round(box.top, 1),
        "width": round(box.width, 1),
        "height": round(box.height, 1),
    }


def _face(face: Face) -> dict[str, Any]:
    told: dict[str, Any] = {
        "box": _box(face.box),
        "confidence": round(face.confidence, 2),
        "pose": {k: round(getattr(face.pose, k), 1) for k in ("roll", "yaw", "pitch")},
        "quality": {k: round(getattr(face.quality, k), 1) for k in ("brightness", "sharpness")},
    }
    a = face.attributes
    if a is not None:
        told["age"] = a.age
        for name in ("smile", "eyes_open", "mouth_open", "male"):
            answer = getattr(a, name)
            if answer is not None:
                told[name] = {"value": answer.value, "confidence": round(answer.confidence, 1)}
        if a.expression is not None:
            told["expression"] = dict(a.expression)
    return told


def detect(
    photo: Photo,
    attributes: Annotated[bool, typer.Option("--attributes", help="Tell age, smile, eyes, mouth too.")] = False,
    picture: Draw = None,
    as_json: Json = False,
) -> None:
    """Find the faces of a photo."""
    engine = _engine()
    image = engine.decode(_bytes(photo))
    faces = engine.detect(image, attributes=AttributeSet.all() if attributes else False)
    if picture:
        _draw(image, faces, [f"{f.confidence:.1f} %" for f in faces], picture)
    rows = [_face(f) for f in faces]
    if as_json:
        print_json({"width": image.size.width, "height": image.size.height, "faces": rows})
        return
    console.print(f"{len(faces)} face{'s' if len(faces) != 1 else ''} in {photo.name}", highlight=False)
    print_table(
        ("#", "Box (left, top, width, height)", "Confidence", "Roll, yaw, pitch", "Bright", "Sharp", "Looks"),
        [
            (
                i,
                ", ".join(f"{v:.0f}" for v in r["box"].values()),
                f"{r['confidence']:.1f} %",
                ", ".join(f"{v:.0f}" for v in r["pose"].values()),
                f"{r['quality']['brightness']:.0f}",
                f"{r['quality']['sharpness']:.0f}",
                _looks(f),
            )
            for i, (f, r) in enumerate(zip(faces, rows, strict=True), 1)
        ],
    )


def _looks(face: Face) -> str:
    a = face.attributes
    if a is None:
        return ""
    words = [f"{a.age[0]}-{a.age[1]} years"] if a.age else []
    for answer, yes, no in (
        (a.smile, "smiles", ""),
        (a.eyes_open, "eyes open", "eyes closed"),
        (a.mouth_open, "mouth open", ""),
        (a.male, "looks male", "looks female"),
    ):
        if answer is not None:
            words.append(yes if answer.value else no)
    return ", ".join(w for w in words if w)


def compare(
    source: Photo,
    target: Photo,
    threshold: Annotated[float, typer.Option(min=0, max=100, help="Least similarity.")] = 80.0,
    picture: Draw = None,
    as_json: Json = False,
) -> None:
    """Compare the largest face of one photo with all faces of another."""
    engine = _engine()
    left, right = engine.decode(_bytes(source)), engine.decode(_bytes(target))
    probes, faces = engine.detect(left), engine.detect(right)
    for path, found in ((source, probes), (target, faces)):
        if not found:
            raise NotFound(f"There is no face in {path.name}.")
    if len(probes) > 1:
        warn(f"{source.name} shows {len(probes)} faces; the largest is compared.")
    [probe] = engine.embed(probes[:1])
    scores = [engine.compare(probe, t) for t in engine.embed(faces)]
    ranked = sorted(zip(faces, scores, strict=True), key=lambda pair: -pair[1].cosine)
    if picture:
        labels = [f"{s.similarity:.1f} %" for _, s in ranked]
        _draw(right, [f for f, _ in ranked], labels, picture)
    rows = [
        {
            "box": _box(f.box),
            "similarity": round(s.similarity, 2),
            "cosine": round(s.cosine, 4),
            "match": s.similarity >= threshold,
        }
        for f, s in ranked
    ]
    if as_json:
        print_json({"source": {"box": _box(probes[0].box)}, "threshold": threshold, "faces": rows})
        return
    print_table(
        ("Similarity", "Cosine", f"At least {threshold:g} %", "Box (left, top, width, height)"),
        [
            (
                f"{r['similarity']:.1f} %",
                f"{r['cosine']:.3f}",
                "yes" if r["match"] else "no",
                ", ".join(f"{v:.0f}" for v in _box(f.box).values()),
            )
            for r, (f, _) in zip(rows, ranked, strict=True)
        ],
    )


# --- index ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of one file: ``enrolled`` faces, or ``skipped`` as it was in, or ``failed`` and why."""

    path: Path
    enrolled: int = 0
    skipped: bool = False
    failed: str = ""


def _label(folder: Path, path: Path) -> str:
    """Return the external image id of a file: its path below the folder, in the characters that an id may have."""
    return _UNTOLD.sub("_", path.relative_to(folder).as_posix().replace("/", ":"))[-_MAX_LABEL:]


def _index_one(app: App, collection: str, folder: Path, path: Path, quality: QualityFilter) -> _Outcome:
    label = _label(folder, path)
    try:
        data = _bytes(path)
        if app.faces.is_indexed(collection, data, label):
            return _Outcome(path, skipped=True)
        done = app.faces.index(collection, data, external_image_id=label, quality=quality)
    except CustodesError as error:
        return _Outcome(path, failed=error.message)
    if done.enrolled:
        return _Outcome(path, enrolled=len(done.enrolled))
    reasons = sorted({r.value for s in done.skipped for r in s.reasons})
    return _Outcome(path, failed=f"no face that is good enough ({', '.join(reasons)})" if reasons else "no face")


def _outcomes(
    app: App, collection: str, folder: Path, paths: Sequence[Path], quality: QualityFilter
) -> Iterator[_Outcome]:
    """Index files on all cores, with a few waiting, so that an interruption loses little."""
    workers = app.config.server.workers or os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        running: set[Future[_Outcome]] = set()
        for path in paths:
            running.add(pool.submit(_index_one, app, collection, folder, path, quality))
            if len(running) >= 4 * workers:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (f.result() for f in done)
        yield from (f.result() for f in running)


def index(
    folder: Annotated[Path, typer.Argument(help="A folder of photos; subfolders too.", show_default=False)],
    collection: CollectionName,
    quality: Quality = QualityFilter.AUTO,
    as_json: Json = False,
) -> None:
    """Enrol the faces of all photos of a folder; a second run goes on where the first ended."""
    if not folder.is_dir():
        raise NotFound(f"{folder} is no folder.")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES and p.is_file())
    with installation() as app:
        try:
            app.collections.create(collection, {})
            warn(f"Collection {collection} is new.")
        except Conflict:
            pass  # it is there already
        results: list[_Outcome] = []
        columns = (TextColumn("Indexing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, disable=as_json) as progress:
            task = progress.add_task("", total=len(paths))
            for outcome in _outcomes(app, collection, folder, paths, quality):
                results.append(outcome)
                progress.advance(task)
    failed = [
        {"photo": str(r.path.relative_to(folder)), "reason": r.failed}
        for r in sorted(results, key=lambda r: r.path)
        if r.failed
    ]
    told = {
        "collection_id": collection,
        "photos": len(paths),
        "faces": sum(r.enrolled for r in results),
        "already_in": sum(r.skipped for r in results),
        "failed": failed,
    }
    if as_json:
        print_json(told)
        return
    console.print(
        f"{told['faces']} faces enrolled of {len(paths)} photos; {told['already_in']} photos were in already; "
        f"{len(failed)} failed.",
        highlight=False,
    )
    if failed:
        print_table(("Photo", "Why not"), [(f["photo"], f["reason"]) for f in failed])


# --- search ---------------------------------------------------------------------------------------------------


def search(
    photo: Photo,
    collection: CollectionName,
    limit: Annotated[int, typer.Option(min=1, max=4096, help="Candidates a face.")] = 10,
    threshold: Annotated[float, typer.Option(min=0, max=100, help="Least similarity.")] = 80.0,
    every: Annotated[bool, typer.Option("--all", help="Search for every face, not only the largest.")] = False,
    quality: Quality = QualityFilter.NONE,
    picture: Draw = None,
    as_json: Json = False,
) -> None:
    """Search a collection for the face of a photo. The answer is a list of candidates, never an identity."""
    data = _bytes(photo)
    with installation() as app:
        if every:
            searches = app.faces.search_each(collection, data, limit=limit, threshold=threshold, quality=quality)
        else:
            searches = (app.faces.search_by_image(collection, data, limit=limit, threshold=threshold, quality=quality),)
            count = len(app.engines.default.detect(data))
            if count > 1:
                warn(f"{photo.name} shows {count} faces; the largest is searched for. --all searches for each.")
        if picture:
            faces = [s.probe for s in searches]
            _draw(app.engines.default.decode(data), faces, [_caption(s) for s in searches], picture)
    if as_json:
        print_json([_searched(s) for s in searches])
        return
    for number, found in enumerate(searches, 1):
        title = f"Face {number}: " if len(searches) > 1 else ""
        console.print(f"{title}{len(found.candidates)} candidates", style="bold", highlight=False)
        print_table(
            ("Similarity", "Image", "User", "Face"),
            [
                (
                    f"{c.score.similarity:.1f} %",
                    c.reference.external_image_id,
                    c.reference.subject_id,
                    c.reference.reference_id,
                )
                for c in found.candidates
            ],
        )
    console.print("A candidate is a lead for a person to judge, not an identity.", style="dim")


def _caption(found: ImageSearch) -> str:
    if not found.candidates:
        return "no candidate"
    first = found.candidates[0]
    return f"{first.reference.external_image_id or first.reference.reference_id[:8]} {first.score.similarity:.1f} %"


def _searched(found: ImageSearch) -> dict[str, Any]:
    return {
        "probe": {"box": _box(found.probe.box), "confidence": round(found.probe.confidence, 2)},
        "model_version": found.pack_version,
        "candidates": [
            {
                "face_id": c.reference.reference_id,
                "external_image_id": c.reference.external_image_id,
                "user_id": c.reference.subject_id,
                "similarity": round(c.score.similarity, 2),
                "cosine": round(c.score.cosine, 4),
            }
            for c in found.candidates
        ],
    }
