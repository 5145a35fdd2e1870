# SPDX-License-Identifier: Apache-2.0
"""Finding faces: how many of the marked ones are found, and how many boxes hold none.

Boxes: a marked face is found by a box with an intersection over union of at least 0.5, as PASCAL VOC counts
(Everingham and others, 2010) and WIDER FACE after it (Yang and others, 2016). The pair that overlaps most is taken
first, and each box and each mark once; VOC and COCO take boxes by their scores first, which matters to curves alone.
Points: a marked face is found by a box that holds its point; the smallest box is taken first, with the point nearest to
its middle, and each box and each point once.

Intervals are bootstraps over images, which are drawn as people are elsewhere (:mod:`custodes.evaluation.bootstrap`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from custodes.domain import Float32
from custodes.errors import Invalid
from custodes.evaluation.bootstrap import Int64, resample
from custodes.evaluation.metrics import FEW, Float64, percentiles
from custodes.evaluation.results import Detection, Interval, Rate, Settings, SizeBin
from custodes.evaluation.units import rate_by_units

__all__ = ["OVERLAP", "SIZES", "Marked", "detection"]

OVERLAP = 0.5
"""Least intersection over union of a mark and the box that finds it."""
SIZES = (0.0, 16.0, 32.0, 64.0, 128.0, 256.0)
"""Where the bins of the longer side begin, in pixels; each ends where the next begins."""

_NO_SIZE = "a face that is marked by a point and not found has no size, so there is no share by size"
_OF = "marked faces"
_NONE = "no face of this size is marked"


@dataclass(frozen=True, slots=True, eq=False)
class Marked:
    """One image.

    Attributes:
        marks: ``(m, 4)`` float32, marked boxes: left, top, width, height in pixels; or ``(m, 2)``, points: x, y.
        found: ``(f, 4)`` float32, boxes that were found.
    """

    marks: Float32
    found: Float32

    def __post_init__(self) -> None:
        if self.marks.dtype != np.float32 or self.marks.ndim != 2 or self.marks.shape[1] not in (2, 4):
            raise Invalid(f"marks are (m, 2) or (m, 4) float32, got {self.marks.shape} {self.marks.dtype}.")
        if self.found.dtype != np.float32 or self.found.ndim != 2 or self.found.shape[1] != 4:
            raise Invalid(f"found is (f, 4) float32, got {self.found.shape} {self.found.dtype}.")
        if not (np.isfinite(self.marks).all() and np.isfinite(self.found).all()):
            raise Invalid("A mark or a box isn't finite.")
        if (self.found[:, 2:] <= 0).any() or (self.marks[:, 2:] <= 0).any():
            raise Invalid("A mark or a box has no area.")


@dataclass(frozen=True, slots=True, eq=False)
class _Counts:
    """Images by bin of size.

    Attributes:
        marked, found, false: ``(n, bins)`` float64: marks, marks that were found, boxes that found none.
        unseen: ``(n,)`` float64, points that weren't found, which have no size.
    """

    marked: Float64
    found: Float64
    false: Float64
    unseen: Float64


@dataclass(frozen=True, slots=True, eq=False)
class _Rounds:
    """What the rounds of the bootstrap give.

    Attributes:
        recall, false: ``(rounds,)``, share of marks that are found, and false boxes for each image.
        sizes: ``(rounds, bins)``, that share by size; NaN without a mark.
    """

    recall: Float64
    false: Float64
    sizes: Float64

    @classmethod
    def of(cls, counts: _Counts, settings: Settings) -> _Rounds:
        """Draw images, as often as the settings say."""
        n = len(counts.unseen)
        columns = np.column_stack([counts.found, counts.marked, counts.unseen, counts.false.sum(axis=1)])

        def counted(weights: Int64) -> Float64:
            return np.asarray(weights @ columns)

        [rounds] = resample(n, [counted], settings)
        found, marked, rest = np.split(rounds, [len(SIZES), 2 * len(SIZES)], axis=1)
        trials = marked.sum(axis=1) + rest[:, 0]
        return cls(_shares(found.sum(axis=1), trials), rest[:, 1] / n, _shares(found, marked))


def detection(images: Sequence[Marked], settings: Settings) -> Detection:
    """Measure how faces are found.

    Args:
        images: all marked by boxes, or all by points; one without a marked face may be either.
        settings: rounds and seed of the bootstrap.

    Raises:
        Invalid: if there is no image or no mark, or some have boxes and some points.
    """
    if not images:
        raise Invalid("There are no images.")
    kinds = {image.marks.shape[1] for image in images if len(image.marks)}
    if not kinds:
        raise Invalid("No face is marked in any image.", remedy="Recall can't be told without marks.")
    if len(kinds) > 1:
        raise Invalid("Some images are marked by boxes and some by points.", remedy="Evaluate them apart.")
    by_boxes = kinds == {4}
    counts = _counted(images, by_boxes)
    rounds = _Rounds.of(counts, settings)
    extra = int(counts.false.sum())
    trials = int(counts.marked.sum() + counts.unseen.sum())
    return Detection(
        kind="detection",
        images=len(images),
        marked_by="boxes" if by_boxes else "points",
        recall=rate_by_units(int(counts.found.sum()), trials, rounds.recall, len(images), of=_OF),
        false_positives=extra,
        per_image=extra / len(images),
        per_image_interval=_per_image(extra, len(images), rounds.false),
        sizes=_sizes(counts, rounds, len(images), by_boxes),
    )


def _counted(images: Sequence[Marked], by_boxes: bool) -> _Counts:
    shape = (len(images), len(SIZES))
    counts = _Counts(np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(len(images)))
    for i, image in enumerate(images):
        marks, boxes = image.marks.astype(np.float64), image.found.astype(np.float64)
        pairs = (_boxes(marks, boxes) if by_boxes else _points(marks, boxes)) if len(marks) and len(boxes) else []
        free = np.ones(len(boxes), np.bool_)
        free[[b for _, b in pairs]] = False
        counts.false[i] = _binned(boxes[free])
        if by_boxes:
            counts.marked[i] = _binned(marks)
            counts.found[i] = _binned(marks[[m for m, _ in pairs]])
        else:
            counts.found[i] = counts.marked[i] = _binned(boxes[~free])
            counts.unseen[i] = len(marks) - len(pairs)
    return counts


def _boxes(marks: Float64, boxes: Float64) -> list[tuple[int, int]]:
    """Return which mark is found by which box, by overlap."""
    low = np.maximum(marks[:, None, :2], boxes[None, :, :2])
    high = np.minimum(marks[:, None, :2] + marks[:, None, 2:], boxes[None, :, :2] + boxes[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    overlap = shared / (marks[:, 2:].prod(axis=1)[:, None] + boxes[:, 2:].prod(axis=1)[None, :] - shared)
    mark, box = np.nonzero(overlap >= OVERLAP)
    return _greedy(mark, box, np.argsort(-overlap[mark, box], kind="stable"))


def _points(marks: Float64, boxes: Float64) -> list[tuple[int, int]]:
    """Return which mark is found by which box, by where it lies."""
    off = marks[:, None, :] - boxes[None, :, :2]
    mark, box = np.nonzero(((off >= 0) & (off <= boxes[None, :, 2:])).all(axis=2))
    area = boxes[box, 2] * boxes[box, 3]
    middle = boxes[box, :2] + boxes[box, 2:] / 2
    return _greedy(mark, box, np.lexsort((np.square(marks[mark] - middle).sum(axis=1), area)))


def _greedy(mark: np.ndarray, box: np.ndarray, order: np.ndarray) -> list[tuple[int, int]]:
    """Take pairs in an order, each mark and each box once."""
    pairs: list[tuple[int, int]] = []
    marks, boxes = set[int](), set[int]()
    for i in order.tolist():
        m, b = int(mark[i]), int(box[i])
        if m not in marks and b not in boxes:
            marks.add(m)
            boxes.add(b)
            pairs.append((m, b))
    return pairs


def _shares(events: Float64, trials: Float64) -> Float64:
    """Return events for each trial, NaN without a trial."""
    return np.divide(events, trials, out=np.full_like(events, np.nan), where=trials > 0)


def _sizes(counts: _Counts, rounds: _Rounds, images: int, by_boxes: bool) -> tuple[SizeBin, ...]:
    bins = []
    for i, (least, most) in enumerate(itertools.pairwise((*SIZES, None))):
        found, marked = int(counts.found[:, i].sum()), int(counts.marked[:, i].sum())
        if not by_boxes:
            recall = Rate(found, marked, None, note=_NO_SIZE)
        elif not marked:
            recall = Rate(0, 0, None, note=_NONE)
        else:
            recall = rate_by_units(found, marked, rounds.sizes[:, i], images, of=_OF)
        bins.append(SizeBin(float(least or 0.0), most, recall, int(counts.false[:, i].sum())))
    return tuple(bins)


def _per_image(false: int, images: int, rounds: Float64) -> Interval:
    """Return the interval of false boxes for each image; where they are few it holds Garwood's of a Poisson count."""
    found, ends = percentiles(rounds), [false / images]
    if found is not None:
        ends += [found.low, found.high]
    if min(false, images) < FEW:
        ends += [_poisson_mean(false, share) / images for share in (0.025, 0.975)]
    return Interval(min(ends), max(ends))


def _poisson_mean(count: int, share: float) -> float:
    """Return the end of Garwood's interval of a Poisson mean (Biometrika 28, 1936) of which ``count`` were seen.

    Args:
        count: how many.
        share: 0.025 for the mean at which so many or more come with that probability, 0.975 for the one at which so
            many or fewer come with 1 minus that.
    """
    below = count - 1 if share < 0.5 else count
    if below < 0:
        return 0.0
    low, high = 0.0, count + 10 * math.sqrt(count + 1) + 10
    for _ in range(200):
        mean = (low + high) / 2
        fewer = math.fsum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(below + 1))
        low, high = (mean, high) if fewer > 1 - share else (low, mean)
    return (low + high) / 2


def _binned(boxes: Float64) -> Float64:
    """Return how many boxes have the size of each bin."""
    bins = np.searchsorted(SIZES, boxes[:, 2:].max(axis=1), side="right") - 1
    return np.bincount(bins, minlength=len(SIZES)).astype(np.float64)
