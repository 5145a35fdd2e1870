# SPDX-License-Identifier: Apache-2.0
"""What it costs to tell how sure one is: a million scored pairs and a thousand rounds of the bootstrap, two threads."""

from __future__ import annotations

import time

import numpy as np
from sklearn.metrics import det_curve

from bench.report import Row, at_most, interleaved
from custodes.evaluation.metrics import TARGETS, det
from custodes.evaluation.results import Enrolment, Rate, Settings
from custodes.evaluation.scored import Comparisons, People
from custodes.evaluation.verification import verification
from custodes.vision.manifest import Calibration, Knot

__all__ = ["run"]

_PAIRS, _PEOPLE, _PHOTOS, _THREADS, _BOUND = 1_000_000, 2000, 5, 2, 60.0  # seconds for 1,000 rounds
_SCALE = Calibration((Knot(-1.0, 0.0), Knot(0.4265, 80.0), Knot(0.4828, 99.0), Knot(1.0, 100.0)), "")
_COSINES = (0.4265, 0.4828)


def _pairs() -> Comparisons:
    """Make a tenth of pairs mated; people have five photos each and a group in either of two columns."""
    random = np.random.default_rng(1)
    mated = _PAIRS // 10
    one = random.integers(0, _PEOPLE, _PAIRS)
    other = np.where(np.arange(_PAIRS) < mated, one, (one + random.integers(1, _PEOPLE, _PAIRS)) % _PEOPLE)
    photo = random.integers(0, _PHOTOS, _PAIRS)
    photos = np.stack([one * _PHOTOS + photo, other * _PHOTOS + (photo + 1) % _PHOTOS], axis=1)
    centre = np.where(np.arange(_PAIRS) < mated, 0.6, 0.1)
    groups = {
        "first": (tuple("ABCD"), random.integers(0, 4, _PEOPLE).astype(np.int32)),
        "second": (tuple("ABCDEF"), random.integers(0, 6, _PEOPLE).astype(np.int32)),
    }
    return Comparisons(
        scores=random.normal(centre, 0.1).astype(np.float32),
        mated=np.arange(_PAIRS) < mated,
        photos=photos.astype(np.int32),
        people=People(np.repeat(np.arange(_PEOPLE, dtype=np.int32), _PHOTOS), np.ones(_PEOPLE * _PHOTOS, bool), groups),
    )


def _plain(data: Comparisons, curve: tuple[float, ...], rounds: int) -> float:
    """Do the same in a plain loop: a weight for every pair, sorted once, counted by NumPy; return seconds a round."""
    order = np.argsort(data.scores)
    scores, mated, (first, second) = data.scores[order], data.mated[order], data.subjects[order].T
    labels = [labels for _, labels in data.people.groups.values()]
    cells = [np.minimum(g[first], g[second]) * 6 + np.maximum(g[first], g[second]) for g in labels]
    at, ends = np.searchsorted(scores, _COSINES), np.searchsorted(scores, curve)
    random = np.random.default_rng(1)
    begun = time.perf_counter()
    for _ in range(rounds):
        drawn = np.bincount(random.integers(0, _PEOPLE, _PEOPLE), minlength=_PEOPLE)
        genuine = np.where(mated, drawn[first], 0)
        impostors = np.where(mated, 0, drawn[first] * drawn[second])
        below, under = np.append(0, genuine.cumsum()), np.append(0, impostors.cumsum())
        misses, matches = below / below[-1], 1 - under / under[-1]
        told = [misses[at], matches[at], misses[ends]]
        told += [misses[np.argmax(matches <= target)] for target in TARGETS]
        for cell, group in zip(cells, labels, strict=True):
            for weights, side in ((genuine, slice(0, at[1])), (impostors, slice(at[1], None))):
                of = cell if weights is impostors else group[first]
                told.append(np.bincount(of[side], weights[side]))
                told.append(np.bincount(of, weights))
    return (time.perf_counter() - begun) / rounds


def run(quick: bool) -> list[Row]:
    """Return the figures of evaluating."""
    data, settings = _pairs(), Settings(99.0, rounds=100 if quick else 1000)
    nobody = Enrolment(Rate(0, _PEOPLE * _PHOTOS, 0.0), 0, 0)
    begun = time.perf_counter()
    found = verification(data, nobody, _SCALE, settings, workers=_THREADS)
    seconds = time.perf_counter() - begun
    tried = 2 if quick else 10
    plain = _plain(data, found.curve.thresholds, tried) * settings.rounds
    ours, theirs = interleaved(
        3 if quick else 7,
        lambda: det(data.scores, data.mated),
        lambda: det_curve(data.mated, data.scores),
        warm=1,
    )
    what = f"{_PAIRS:,} scored pairs, {settings.rounds:,} rounds"
    note = f"{_PEOPLE:,} people, curve with band, two columns of groups; {_THREADS} threads"
    beside = f"a plain NumPy loop in one thread, {plain:.0f} s by {tried} of its rounds"
    return [
        at_most(f"{what}: all of a verification", seconds, _BOUND * settings.rounds / 1000, "s", note),
        Row("the same beside a plain bootstrap", seconds / plain, "x", note=beside),
        Row("DET at every score", ours, "ms", note=f"{_PAIRS:,} pairs"),
        Row("the same beside scikit-learn's det_curve", ours / theirs, "x", note=f"{theirs:.0f} ms"),
    ]
