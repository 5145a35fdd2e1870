# SPDX-License-Identifier: Apache-2.0
"""What the run of an evaluation leaves: figures for publication, and scores and comparisons for the evaluator alone."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from custodes.domain import Box
from custodes.evaluation.enrolling import Enrolled, Outcome
from custodes.evaluation.metrics import rate
from custodes.evaluation.results import Dataset, Enrolment, Figures
from custodes.evaluation.scored import FAILED
from custodes.evaluation.sheets import Fault, Problems
from custodes.vision.manifest import Calibration

__all__ = ["WORST", "Run", "ScoreTable", "Worst", "check_decoded", "digest", "enrolment", "on_both_scales"]

WORST = 12
"""Comparisons of a kind that are looked at."""

_UNREADABLE = Fault(
    "a photo can't be decoded",
    "Bring a JPEG or PNG that is whole and within the limits that are set, or take out its rows.",
)


@dataclass(frozen=True, slots=True, eq=False)
class ScoreTable:
    """Every score, as rows of text that are made when they are asked for. They hold names of people and files.

    Attributes:
        header: names of columns.
        rows: returns the rows, from the first one, each time it is called.
    """

    header: tuple[str, ...]
    rows: Callable[[], Iterator[tuple[str, ...]]]

    @classmethod
    def empty(cls) -> ScoreTable:
        """Return that of an evaluation without scores."""
        return cls((), lambda: iter(()))


@dataclass(frozen=True, slots=True, eq=False)
class Worst:
    """A comparison that somebody should look at: it may be an error of the engine's, or of the labels.

    Attributes:
        kind: ``non-mated, most alike`` or ``mated, least alike``.
        photos: the two; of a search, the probe and the photo of the gallery.
        boxes: of the faces that were compared, in pixels of the upright pictures.
        cosine, similarity: of the two.
    """

    kind: str
    photos: tuple[Path, Path]
    boxes: tuple[Box | None, Box | None]
    cosine: float
    similarity: float


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What an evaluation came to.

    Attributes:
        figures: for publication.
        dataset: likewise; its title is empty.
        scores: every score, for the evaluator alone.
        worst: comparisons to look at, likewise; those of a kind together, the worst first.
    """

    figures: Figures
    dataset: Dataset
    scores: ScoreTable
    worst: tuple[Worst, ...]


def check_decoded(
    table: str, names: Sequence[str], rows: Sequence[int], decoded: Iterable[bool], problems: Problems
) -> None:
    """Tell which photos can't be decoded: they are no failures to enrol, but a broken data set.

    Args:
        table: that names the photos.
        names, rows: of each photo: its name, and the row that names it first.
        decoded: whether each could be.
        problems: told of those that couldn't.
    """
    for name, row, well in zip(names, rows, decoded, strict=True):
        if not well:
            problems.add(table, _UNREADABLE, row, name)


def digest(tables: Sequence[str], photos: Sequence[str]) -> str:
    """Return the SHA-256 of a data set: of the lines that hold those of each table and each photo, in hexadecimal."""
    return hashlib.sha256("".join(f"{line}\n" for line in (*tables, *photos)).encode()).hexdigest()


def enrolment(enrolled: Enrolled) -> Enrolment:
    """Count what became of photos."""
    counts = Counter(enrolled.outcomes)
    photos = len(enrolled.outcomes)
    return Enrolment(
        failure=rate(photos - counts[Outcome.ENROLLED], photos, of="photos"),
        no_face=counts[Outcome.NO_FACE],
        refused=counts[Outcome.REFUSED],
        unreadable=counts[Outcome.UNREADABLE],
        several_faces=sum(faces > 1 for faces in enrolled.faces),
    )


def on_both_scales(scale: Calibration, score: float) -> tuple[str, str]:
    """Return a score as text, cosine and similarity, both with every bit; empty where the comparison failed."""
    return ("", "") if score == FAILED else (repr(score), repr(scale.similarity(score)))
