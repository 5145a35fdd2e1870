# SPDX-License-Identifier: Apache-2.0
"""Every pair of photos that can be made, or a fair draw of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from custodes.evaluation.scored import Bool, Int32

__all__ = ["every_pair"]

Int64 = npt.NDArray[np.int64]


def every_pair(subjects: Int32, most: int, seed: int) -> tuple[Int32, Bool, tuple[str, ...]]:
    """Pair photos, each with each; mated pairs come first.

    Args:
        subjects: ``(p,)`` int32, who is on each.
        most: of more pairs of a kind (mated, non-mated) so many are drawn, all being equally likely.
        seed: of the draw.

    Returns:
        pairs: ``(n, 2)`` int32, numbers of photos, the lower one first.
        mated: ``(n,)`` bool.
        notes: which say of a draw.
    """
    order = np.argsort(subjects, kind="stable")
    grouped = subjects[order]
    here = np.arange(len(order), dtype=np.int64)
    end = np.searchsorted(grouped, grouped, side="right").astype(np.int64)
    random = np.random.default_rng(seed)
    found, notes = [], []
    for kind, starts, counts in (("mated", here + 1, end - 1 - here), ("non-mated", end, len(order) - end)):
        total = int(counts.sum())
        if total > most:
            notes.append(f"of {total:,} {kind} pairs {most:,} were drawn (seed {seed})")
        chosen = _chosen(random, total, most)
        past = np.cumsum(counts)
        first = np.searchsorted(past, chosen, side="right")
        second = starts[first] + chosen - (past[first] - counts[first])
        pairs = np.stack([order[first], order[second]], axis=1).astype(np.int32)
        found.append(np.sort(pairs, axis=1))
    mated = np.repeat(np.array([True, False]), [len(f) for f in found])
    return np.concatenate(found), mated, tuple(notes)


def _chosen(random: np.random.Generator, total: int, most: int) -> Int64:
    """Return ``most`` different numbers below ``total``, rising; all of them if there are no more."""
    if total <= most:
        return np.arange(total, dtype=np.int64)
    if total <= 2 * most:
        return np.sort(random.permutation(total)[:most]).astype(np.int64)
    drawn = np.empty(0, np.int64)
    while len(drawn) < most:
        drawn = np.unique(np.concatenate([drawn, random.integers(0, total, most, dtype=np.int64)]))
    return np.sort(random.permutation(drawn)[:most])
