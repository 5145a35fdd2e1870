# SPDX-License-Identifier: Apache-2.0
"""What every index promises: the ``VectorIndex`` plugin point and its result.

Scores are :func:`custodes.domain.cosines`, which depend on a row and the query alone, never on the rows beside it, so
that equal vectors have equal scores and a candidate list is reproducible.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from custodes.domain import Float32, cosines

__all__ = ["Fetch", "Hits", "Int64", "VectorIndex", "cosines"]

Int64 = npt.NDArray[np.int64]

Fetch = Callable[[Int64], Float32]
"""Read vectors from the store: ``(n,)`` int64 keys in, ``(n, d)`` float32 out, in the same order, a few thousand at
a time. What it raises (a row that is gone, say) ends the search and reaches the caller."""


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """The result of one search: score descending, equal scores by key ascending.

    Attributes:
        keys: ``(m,)`` int64.
        scores: ``(m,)`` float32, each at least the threshold.
        fetched: rows whose vectors were read from the store to decide.
    """

    keys: Int64
    scores: Float32
    fetched: int

    def __len__(self) -> int:
        return len(self.keys)


class VectorIndex(Protocol):
    """Unit vectors under integer keys.

    Safe for any number of threads. A search sees the rows as they were at one moment.
    """

    def add(self, keys: Int64, vectors: Float32) -> None:
        """Add rows; a key that is in already gets the new vector. A search sees all of the call or nothing.

        Args:
            keys: ``(n,)`` int64, distinct.
            vectors: ``(n, d)`` float32 of unit length.

        Raises:
            Invalid: if shapes, types or lengths are wrong; then nothing is added.
        """

    def remove(self, keys: Int64) -> None:
        """Remove rows and erase what memory holds of them; keys that aren't in are passed over.

        Args:
            keys: ``(n,)`` int64.

        Raises:
            Invalid: if ``keys`` has another shape or type.
        """

    def search(self, query: Float32, k: int, threshold: float, fetch: Fetch) -> Hits:
        """Find the ``k`` rows with the highest scores of at least ``threshold``.

        Args:
            query: ``(d,)`` float32 of unit length.
            k: how many rows at most, from 1.
            threshold: least score, rounded to float32; -1 passes all.
            fetch: reads vectors from the store.

        Raises:
            Invalid: if an argument is out of range, or the query isn't finite and of unit length.
            IntegrityError: if the store's vectors aren't those that were added; the index has to be rebuilt.
        """

    def search_batch(self, queries: Float32, k: int, threshold: float, fetch: Fetch) -> list[Hits]:
        """Search for each of the ``(q, d)`` queries; cheaper than one by one, with the same results.

        Raises:
            Invalid: as :meth:`search`.
            IntegrityError: as :meth:`search`.
        """

    def __contains__(self, key: int) -> bool:
        """Tell whether a row has this key."""

    def __len__(self) -> int:
        """Return the number of rows."""
