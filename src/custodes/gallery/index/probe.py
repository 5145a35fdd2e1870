# SPDX-License-Identifier: Apache-2.0
"""One query on its way to its result, and the proof that nothing better was missed.

A row's true score t lies within its error e of the approximate score a (``codes`` says why). Two facts follow:

- when k rows have a - e >= L, the k-th best score is at least L;
- a row with a + e < L can't be among the k best, nor one with a + e < threshold.

L, the *cut*, only rises: first from the products of integers (rough), then from the query as it is against the
codes (fine), at last from the true scores of the best candidates. What remains above the cut is read from the
store and ordered by true score. Nothing is assumed of the vectors' distribution; it decides only how many are read.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from custodes.domain import Float32
from custodes.errors import IntegrityError
from custodes.gallery.index.block import Segment
from custodes.gallery.index.codes import decode, encode_query, fine_error, rough_error
from custodes.gallery.index.protocol import Fetch, Hits, Int64, cosines

__all__ = ["Probe"]

_PIECE = 4096  # rows that are refined, or read from the store, at a time
_GREATEST = 2**30  # beyond any product

Float64 = npt.NDArray[np.float64]


def _kth_greatest(values: Float64 | Float32, k: int) -> float:
    return float(np.partition(values, len(values) - k)[len(values) - k])


class Probe:
    """A query, its candidates so far and its cut.

    Args:
        query: ``(d,)`` float32 of unit length.
        k: how many rows are asked for.
        threshold: least score.
        segments: what is searched.

    Attributes:
        code: the query as integers.
        cut: no row whose score is less can be in the result.

    Raises:
        Invalid: if the query isn't finite and of unit length.
    """

    def __init__(self, query: Float32, k: int, threshold: float, segments: tuple[Segment, ...]) -> None:
        self._query = query
        self._encoded = encode_query(query)
        self.code = self._encoded.code
        self._k = k
        self._threshold = np.float32(threshold)
        self.cut = float(self._threshold)
        self._segments = segments
        self._scales = np.array([s.step for s in segments]) * self._encoded.step
        self._rough = np.array([rough_error(self._encoded, s.error) for s in segments])
        self._fine = np.array([fine_error(self._encoded, s.error) for s in segments])
        self._offers: list[tuple[Int64, Int64, Float64]] = []
        self._known: list[tuple[Int64, Float32]] = []
        self._fetched = 0

    @property
    def pending(self) -> int:
        """How many candidates wait for their true score."""
        return sum(len(rows) for _, rows, _ in self._offers)

    def floor(self, number: int) -> int:
        """Return the least product that a row of segment ``number`` needs to stay in the race."""
        least = float((self.cut - self._rough[number]) / self._scales[number])
        return max(-_GREATEST, min(_GREATEST, math.floor(least) - 1))

    def offer(self, number: int, rows: Int64, products: npt.NDArray[np.float32] | npt.NDArray[np.int32]) -> None:
        """Take rows of segment ``number`` with their products as candidates."""
        self._offers.append((np.full(len(rows), number), rows, products * self._scales[number]))

    def retract(self, number: int) -> None:
        """Forget the candidates of segment ``number``."""
        self._offers = [(n[n != number], rows[n != number], a[n != number]) for n, rows, a in self._offers]

    def tighten(self) -> None:
        """Raise the cut as far as the rough scores prove, and drop the candidates below it."""
        if not self._offers:
            return
        numbers, rows, scores = (np.concatenate(column) for column in zip(*self._offers, strict=True))
        errors = self._rough[numbers]
        keep = self._above_cut(scores, errors)
        self._offers = [(numbers[keep], rows[keep], scores[keep])]

    def settle(self, fetch: Fetch) -> None:
        """Find the true scores of all candidates that may be in the result.

        Raises:
            IntegrityError: if a vector that was read isn't the one whose code is here.
        """
        self.tighten()
        keys, scores, errors = self._refined()
        keep = self._above_cut(scores, errors)
        left = np.flatnonzero(keep)
        left = left[np.argsort(-scores[left], kind="stable")]
        size = min(self._k, _PIECE)
        while len(left):
            now, left = left[:size], left[size:]
            self._learn(keys[now], scores[now], errors[now], fetch)
            left = left[scores[left] + errors[left] >= self.cut]
            size = _PIECE

    def hits(self) -> Hits:
        """Return the result, once all candidates are settled."""
        keys, scores = self._ranked()
        return Hits(keys, scores, fetched=self._fetched)

    def _above_cut(self, scores: Float64, errors: Float64) -> npt.NDArray[np.bool_]:
        if len(scores) >= self._k:
            self.cut = max(self.cut, _kth_greatest(scores - errors, self._k))
        above: npt.NDArray[np.bool_] = scores + errors >= self.cut
        return above

    def _refined(self) -> tuple[Int64, Float64, Float64]:
        """Take all candidates, with scores of the query as it is against the codes."""
        keys, scores, errors = [np.empty(0, np.int64)], [np.empty(0)], [np.empty(0)]
        for numbers, rows, _ in self._offers:
            for number in np.unique(numbers):
                segment = self._segments[number]
                for part in _pieces(rows[numbers == number]):
                    keys.append(segment.keys[part])
                    scores.append(decode(segment.codes[part]) @ self._encoded.vector * segment.step)
                    errors.append(np.full(len(part), self._fine[number]))
        self._offers = []
        return np.concatenate(keys), np.concatenate(scores), np.concatenate(errors)

    def _learn(self, keys: Int64, scores: Float64, errors: Float64, fetch: Fetch) -> None:
        vectors = fetch(keys)
        if vectors.shape != (len(keys), len(self._query)):
            raise IntegrityError(
                f"The store was asked for {(len(keys), len(self._query))} vectors and gave {vectors.shape}."
            )
        true = cosines(vectors, self._query)
        if not (np.abs(true - scores) <= errors).all():
            raise IntegrityError("A stored vector is not the one that the index was built from.")
        self._fetched += len(keys)
        passed = true >= self._threshold
        self._known.append((keys[passed], true[passed]))
        if sum(len(k) for k, _ in self._known[1:]) >= self._k or len(self._known) == 1:
            ranked = self._ranked()
            self._known = [ranked]
            if len(ranked[1]) == self._k:
                self.cut = max(self.cut, float(ranked[1][-1]))

    def _ranked(self) -> tuple[Int64, Float32]:
        if not self._known:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        keys = np.concatenate([k for k, _ in self._known])
        scores = np.concatenate([s for _, s in self._known])
        order = np.lexsort((keys, -scores))[: self._k]
        return keys[order], scores[order]


def _pieces(rows: Int64) -> list[Int64]:
    return [rows[a : a + _PIECE] for a in range(0, len(rows), _PIECE)]
