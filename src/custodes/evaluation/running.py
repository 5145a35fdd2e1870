# SPDX-License-Identifier: Apache-2.0
"""Evaluations from tables to figures, through the deployed engine.

A score is :func:`custodes.domain.cosines` of two templates that the engine made as it makes them for the API, so that
it equals what a comparison or a search in production says, to the last bit. A photo that can't be decoded is no failure
to enrol: the data set is broken, and nothing is measured.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import numpy as np

from custodes.domain import Box, Float32, ImageSize, QualityFilter, cosines
from custodes.errors import Invalid, NotFound
from custodes.evaluation.detection import Marked, detection
from custodes.evaluation.enrolling import Enrolled, Outcome, Progress, enrol_all, silent
from custodes.evaluation.results import Dataset, Settings
from custodes.evaluation.runs import WORST, Run, ScoreTable, Worst, check_decoded, digest, enrolment, on_both_scales
from custodes.evaluation.scored import FAILED, Comparisons, Int32
from custodes.evaluation.searching import run_identification
from custodes.evaluation.sheets import Fault, Problems
from custodes.evaluation.tables import MarkSet, PairSet
from custodes.evaluation.verification import verification
from custodes.vision.engine import Engine
from custodes.vision.manifest import Calibration

__all__ = [
    "Compared",
    "Run",
    "ScoreTable",
    "Worst",
    "compare",
    "pair_scores",
    "run_detection",
    "run_identification",
    "run_verification",
]

_BLOCK = 65_536
"""Comparisons that are computed at once; more take memory and no less time."""
_COPY = Fault(
    "both photos of a pair are the same file, byte for byte",
    "Leave one of them out: it compares nothing, and flatters.",
)
_OFF = Fault("a mark lies outside its photo", "Write pixels of the upright picture, as its EXIF orientation turns it.")


# --- Verification -----------------------------------------------------------------------------------------------------


def run_verification(
    engine: Engine,
    data: PairSet,
    settings: Settings,
    *,
    most_faces: int = 100,
    workers: int = 1,
    progress: Progress = silent,
) -> Run:
    """Compare pairs of photos.

    Args:
        engine: the deployed one.
        data: the pairs.
        settings: see there.
        most_faces: the setting ``limits.faces``.
        workers: how many photos are looked at at a time.
        progress: told of each step.

    Raises:
        NotFound: if a photo isn't there any more.
        Invalid: if photos can't be decoded, which the message names; or as
            :func:`custodes.evaluation.verification.verification` says.
    """
    compared = compare(engine, data, settings, most_faces=most_faces, workers=workers, progress=progress)
    enrolled, scores, scale = compared.enrolled, compared.comparisons.scores, engine.pack.calibration
    figures = verification(compared.comparisons, enrolment(enrolled), scale, settings, progress=progress)
    table = _pair_table(data, enrolled, scores, scale)
    return Run(figures, compared.dataset, table, _worst_pairs(data, enrolled, scores, scale))


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """Pairs of photos with their scores: what was made of the photos, the comparisons, and of which data they are."""

    enrolled: Enrolled
    comparisons: Comparisons
    dataset: Dataset


def compare(
    engine: Engine,
    data: PairSet,
    settings: Settings,
    *,
    most_faces: int = 100,
    workers: int = 1,
    progress: Progress = silent,
) -> Compared:
    """Enrol photos and compute the scores of their pairs; see :func:`run_verification`.

    Raises:
        NotFound: if a photo isn't there any more.
        Invalid: if photos can't be decoded, or both of a pair are the same file; the message names them.
    """
    enrolled = enrol_all(engine, data.paths, settings, most_faces=most_faces, workers=workers, progress=progress)
    problems = Problems()
    decoded = (outcome is not Outcome.UNREADABLE for outcome in enrolled.outcomes)
    check_decoded(data.table, data.names, data.rows, decoded, problems)
    _check_copies(data, enrolled, problems)
    problems.check()
    scores = pair_scores(enrolled, data.pairs, progress)
    comparisons = Comparisons(scores, data.mated, data.pairs, data.people(enrolled.enrolled), data.folds)
    dataset = Dataset("", digest(data.sha256, enrolled.sha256), len(data.paths), len(data.subject_names), data.notes)
    return Compared(enrolled, comparisons, dataset)


def pair_scores(enrolled: Enrolled, pairs: Int32, progress: Progress = silent) -> Float32:
    """Compute the scores of pairs, a block at a time.

    Args:
        enrolled: the photos.
        pairs: ``(n, 2)`` int32, numbers of photos.
        progress: told of the comparisons.

    Returns:
        ``(n,)`` float32; :data:`custodes.evaluation.scored.FAILED` where a photo has no template.
    """
    scores, has = np.empty(len(pairs), np.float32), enrolled.enrolled
    for start in range(0, len(pairs), _BLOCK):
        block = pairs[start : start + _BLOCK]
        found = cosines(enrolled.vectors[block[:, 0]], enrolled.vectors[block[:, 1]])
        found[~has[block].all(axis=1)] = FAILED
        scores[start : start + _BLOCK] = found
        progress("Comparisons", start + len(block), len(pairs))
    return scores


def _pair_table(data: PairSet, enrolled: Enrolled, scores: Float32, scale: Calibration) -> ScoreTable:
    def rows() -> Iterator[tuple[str, ...]]:
        for (a, b), mated, score in zip(data.pairs, data.mated, scores, strict=True):
            whose = (data.subject_names[data.subjects[a]], data.subject_names[data.subjects[b]])
            failed = [
                f"{side}: {outcome}"
                for side, outcome in (("a", enrolled.outcomes[a]), ("b", enrolled.outcomes[b]))
                if outcome is not Outcome.ENROLLED
            ]
            told = "; ".join(failed) or "compared"
            yield data.names[a], data.names[b], *whose, str(int(mated)), *on_both_scales(scale, float(score)), told

    header = ("image_a", "image_b", "subject_a", "subject_b", "mated", "cosine", "similarity", "outcome")
    return ScoreTable(header, rows)


def _worst_pairs(data: PairSet, enrolled: Enrolled, scores: Float32, scale: Calibration) -> tuple[Worst, ...]:
    found = []
    compared = scores > FAILED
    for kind, which, sign in (("non-mated, most alike", ~data.mated, -1), ("mated, least alike", data.mated, 1)):
        own = np.flatnonzero(which & compared)
        for i in own[np.argsort(sign * scores[own], kind="stable")[:WORST]].tolist():
            a, b = data.pairs[i].tolist()
            photos, boxes = (data.paths[a], data.paths[b]), (enrolled.boxes[a], enrolled.boxes[b])
            score = float(scores[i])
            found.append(Worst(kind, photos, boxes, score, scale.similarity(score)))
    return tuple(found)


def _check_copies(data: PairSet, enrolled: Enrolled, problems: Problems) -> None:
    """Tell which pairs are of one file twice: they compare nothing, and would flatter a figure.

    Args:
        data: the pairs.
        enrolled: the photos.
        problems: told of those pairs.
    """
    numbers = {sha256: i for i, sha256 in enumerate(enrolled.sha256)}
    files = np.array([numbers[sha256] for sha256 in enrolled.sha256], np.int32)[data.pairs]
    for a, b in data.pairs[files[:, 0] == files[:, 1]].tolist():
        problems.add(data.table, _COPY, data.rows[b], f"{data.names[b]} is {data.names[a]}")


# --- Detection --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What was found in a photo: boxes, and how sure it is of each; or that it can't be decoded (no size)."""

    sha256: str
    size: ImageSize | None = None
    boxes: tuple[Box, ...] = ()
    confidences: tuple[float, ...] = ()


def run_detection(
    engine: Engine,
    data: MarkSet,
    settings: Settings,
    *,
    most_faces: int = 100,
    workers: int = 1,
    progress: Progress = silent,
) -> Run:
    """Find faces that were marked.

    Args:
        engine: the deployed one.
        data: photos with marks.
        settings: faces below the quality filter count as not found.
        most_faces: the setting ``limits.faces``.
        workers: how many photos are looked at at a time.
        progress: told of each photo.

    Raises:
        NotFound: if a photo isn't there any more.
        Invalid: if photos can't be decoded, or marks lie outside them; the message names them.
    """
    seen: list[_Seen] = []
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for one in pool.map(_look, repeat(engine), data.paths, repeat(settings), repeat(most_faces)):
            seen.append(one)
            progress("Photos", len(seen), len(data.paths))
    problems = Problems()
    check_decoded(data.table, data.names, [rows[0] for rows in data.rows], (s.size is not None for s in seen), problems)
    for photo, one in enumerate(seen):
        if one.size is not None:
            _check_inside(data, photo, one.size, problems)
    problems.check()
    found = [Marked(marks, _boxes(one)) for marks, one in zip(data.marks, seen, strict=True)]

    def rows() -> Iterator[tuple[str, ...]]:
        for name, one in zip(data.names, seen, strict=True):
            for box, confidence in zip(one.boxes, one.confidences, strict=True):
                yield name, *map(repr, (box.left, box.top, box.width, box.height, confidence))

    header = ("image", "left", "top", "width", "height", "confidence")
    dataset = Dataset("", digest(data.sha256, [s.sha256 for s in seen]), len(data.paths), 0, data.notes)
    return Run(detection(found, settings), dataset, ScoreTable(header, rows), ())


def _look(engine: Engine, photo: Path, settings: Settings, most_faces: int) -> _Seen:
    try:
        raw = photo.read_bytes()
    except OSError as e:
        raise NotFound(f"{photo}: {e.strerror}.") from e
    sha256 = hashlib.sha256(raw).hexdigest()
    try:
        image = engine.load(raw)
    except Invalid:
        return _Seen(sha256)
    level = QualityFilter(settings.quality)
    faces = [f for f in engine.detect(image, max_faces=most_faces) if not engine.quality_reasons(f, level)]
    return _Seen(sha256, image.size, tuple(f.box for f in faces), tuple(f.confidence for f in faces))


def _boxes(seen: _Seen) -> Float32:
    boxes = [(b.left, b.top, b.width, b.height) for b in seen.boxes]
    return np.array(boxes, np.float32).reshape(-1, 4)


def _check_inside(data: MarkSet, photo: int, size: ImageSize, problems: Problems) -> None:
    """Tell which marks lie outside a photo: points, or the middles of boxes."""
    marks = data.marks[photo]
    middles = marks if data.by == "points" else marks[:, :2] + marks[:, 2:] / 2
    for (x, y), row in zip(middles.tolist(), data.rows[photo], strict=False):
        if not (0 <= x <= size.width and 0 <= y <= size.height):
            problems.add(data.table, _OFF, row, f"{data.names[photo]}, {size.width} x {size.height} pixels")
