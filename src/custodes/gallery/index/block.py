# SPDX-License-Identifier: Apache-2.0
"""Rows in memory, in blocks of a few megabytes, and the two scans over them.

A block holds codes of one rung and their keys. Rows are appended behind those that are published and a published
row is never changed in place, so a :class:`Segment` (a block and how many of its rows count) is an immutable
snapshot that any number of threads may scan while one thread appends. Removing rows copies the others to a new
block; the old one is overwritten with zeros as soon as the last search that uses it is done.

Two libraries scan, because each is best at one thing: FAISS keeps the best n for one query at close to the speed
of reading the memory, NumKong multiplies a chunk that stays in cache with many queries at once. Both release the
interpreter lock. This is the only module that imports them.
"""

from __future__ import annotations

from collections.abc import Iterator

import faiss
import numkong
import numpy as np
import numpy.typing as npt

from custodes.domain import Float32, UInt8
from custodes.gallery.index.codes import ZERO, EncodedRows, step
from custodes.gallery.index.protocol import Int64

__all__ = ["Block", "Segment", "Sweeper", "rows_of_a_block"]

_BLOCK_BYTES = 16 << 20
_FIRST_ROWS = 64
_CHUNK_BYTES = 512 << 10  # codes, beside the products of 32 queries, fit a core's cache


def rows_of_a_block(width: int) -> int:
    """Return how many rows of ``width`` bytes a whole block holds."""
    return _BLOCK_BYTES // width


def _room_for(rows: int, width: int) -> int:
    return max(rows, min(max(_FIRST_ROWS, rows + rows // 2), rows_of_a_block(width)))


class Block:
    """Room for rows of one rung.

    Args:
        rung: of all rows.
        rows: how many it has to hold; half as many again will fit, up to a whole block, unless it is ``tight``.
        width: bytes of a row.
        tight: make no spare room.

    Attributes:
        rung: of all rows.
        codes: ``(capacity, width)`` uint8.
        keys: ``(capacity,)`` int64.
        error: upper bound of the rows' residuals; it only grows.
    """

    def __init__(self, rung: int, rows: int, width: int, *, tight: bool = False) -> None:
        capacity = rows if tight else _room_for(rows, width)
        self.rung = rung
        self.codes: UInt8 = np.empty((capacity, width), np.uint8)
        self.keys: Int64 = np.empty(capacity, np.int64)
        self.error = 0.0

    def __del__(self) -> None:
        self.codes.fill(0)
        self.keys.fill(0)

    def write(self, at: int, keys: Int64, rows: EncodedRows) -> Segment:
        """Write rows from place ``at`` on, and return the segment that ends with them."""
        stop = at + len(keys)
        self.codes[at:stop] = rows.codes
        self.keys[at:stop] = keys
        self.error = max(self.error, float(rows.errors.max()))
        return Segment(self, stop)

    def copy(self, at: int, segment: Segment) -> Segment:
        """Copy rows of the same rung to place ``at``, and return the segment that ends with them."""
        stop = at + segment.length
        self.codes[at:stop], self.keys[at:stop] = segment.codes, segment.keys
        self.error = max(self.error, segment.error)
        return Segment(self, stop)


class Segment:
    """The first ``length`` rows of a block.

    Attributes:
        step: what one unit of a code stands for.
        error: upper bound of the rows' residuals.
        low, high: least and greatest key.
    """

    __slots__ = ("_scanner", "block", "error", "high", "length", "low", "step")

    def __init__(self, block: Block, length: int) -> None:
        self.block = block
        self.length = length
        self.step = step(block.rung)
        self.error = block.error
        self.low, self.high = int(self.keys.min()), int(self.keys.max())
        width = block.codes.shape[1]
        self._scanner = faiss.IndexScalarQuantizer(
            width, faiss.ScalarQuantizer.QT_8bit_direct_signed, faiss.METRIC_INNER_PRODUCT
        )
        view = faiss.MaybeOwnedVectorUInt8.create_view  # type: ignore[attr-defined]  # missing in the stubs
        owner = self._scanner.codes.owner  # type: ignore[attr-defined]  # nobody: the block keeps the memory
        self._scanner.codes = view(faiss.swig_ptr(block.codes), length * width, owner)
        self._scanner.ntotal = length

    @property
    def keys(self) -> Int64:
        """``(length,)`` int64."""
        return self.block.keys[: self.length]

    @property
    def codes(self) -> UInt8:
        """``(length, width)`` uint8."""
        return self.block.codes[: self.length]

    @property
    def free(self) -> int:
        """Rows that can be appended."""
        return len(self.block.keys) - self.length

    def block_with_room(self, rows: int) -> Block:
        """Return the block when ``rows`` more fit, a larger copy of it otherwise."""
        if rows <= self.free:
            return self.block
        width = self.block.codes.shape[1]
        block = Block(self.block.rung, self.length + rows, width)
        block.copy(0, self)
        return block

    def best(self, code: Float32, n: int) -> tuple[Float32, Int64]:
        """Return products and row numbers of the ``n`` greatest products with ``code``, greatest first.

        Args:
            code: ``(1, width)`` float32, whole numbers.
            n: at most ``length``.

        Returns:
            ``(n,)`` float32 (exact) and ``(n,)`` int64.
        """
        faiss.omp_set_num_threads(1)  # OpenMP keeps it for each thread; a team for one query only spins
        products, rows = self._scanner.search(code, n)
        return products[0], rows[0]

    def compacted(self, keep: npt.NDArray[np.bool_]) -> Segment:
        """Copy the rows to keep, ``(length,)`` bool, to a new block."""
        rows = int(np.count_nonzero(keep))
        width = self.block.codes.shape[1]
        block = Block(self.block.rung, rows, width, tight=not self.free)
        block.error = self.error
        block.codes[:rows], block.keys[:rows] = self.codes[keep], self.keys[keep]
        return Segment(block, rows)

    def joined(self, other: Segment) -> Segment:
        """Copy the rows, and those of another segment of the same rung behind them, to a new block."""
        block = Block(self.block.rung, self.length + other.length, self.block.codes.shape[1])
        block.copy(0, self)
        return block.copy(self.length, other)


class Sweeper:
    """Multiplies rows with several queries at once.

    Args:
        codes: ``(q, width)`` int8, the queries.
    """

    def __init__(self, codes: npt.NDArray[np.int8]) -> None:
        q, width = codes.shape
        self._chunk = max(1, _CHUNK_BYTES // width)
        self._queries = numkong.dots_pack(codes, dtype="int8")
        self._signed: UInt8 = np.empty((self._chunk, width), np.uint8)
        self._products = numkong.zeros((self._chunk, q), dtype="int32")

    def products(self, segment: Segment) -> Iterator[tuple[int, npt.NDArray[np.int32]]]:
        """Yield, chunk by chunk, the number of the first row and ``(m, q)`` int32 products, valid until the next."""
        for start in range(0, segment.length, self._chunk):
            codes = segment.codes[start : start + self._chunk]
            m = len(codes)
            np.bitwise_xor(codes, np.uint8(ZERO), out=self._signed[:m])  # minus 128, as two's complement
            out = self._products[:m]
            numkong.dots_packed(self._signed[:m].view(np.int8), self._queries, out=out)  # type: ignore[arg-type]
            yield start, np.asarray(out)
