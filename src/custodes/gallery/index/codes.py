# SPDX-License-Identifier: Apache-2.0
"""Vectors to one byte an element, with an error that is known and not estimated.

A row x is coded as x = s*c + r: c holds integers in -127..127, s is the row's step, r the rest. For a query
q = s'*c' + r' the Cauchy-Schwarz inequality gives

    |q.x - s*s'*(c.c')| <= |r'| * |s*c| + |q| * |r|        (rough: integers only)
    |q.x - s*(q.c)|     <= |q| * |r|                       (fine: the query as it is)

so whoever knows |r| knows how far the true score can be. The steps come from a fixed ladder, a factor of sqrt(2)
apart (a row's *rung* follows from its largest element): rows of one rung share their step, their integer
products can be compared directly, and a row with an unusual element coarsens no other row.

Codes are stored with 128 added (FAISS's ``QT_8bit_direct_signed``), rows padded with zeros to 64 bytes. Integer
sums stay below 2**24 and thus exact in float32 up to :data:`MAX_DIMENSION`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from custodes.domain import Float32, UInt8
from custodes.errors import Invalid

__all__ = [
    "MAX_DIMENSION",
    "ZERO",
    "EncodedQuery",
    "EncodedRows",
    "decode",
    "encode",
    "encode_query",
    "fine_error",
    "padded",
    "rough_error",
    "step",
]

MAX_DIMENSION = 1024
ZERO = 128
_LIMIT = 127
_UNIT_TOLERANCE = 1e-3
# More than float32 arithmetic can lose in a residual's length, or in the final rounding of a score.
_ROUNDING = 1e-6
_STEPS = 2.0 ** (-0.5 * np.arange(12)) / _LIMIT
_PIECE = 8192


@dataclass(frozen=True, slots=True, eq=False)
class EncodedRows:
    """Rows as bytes.

    Attributes:
        codes: ``(n, padded(d))`` uint8.
        rungs: ``(n,)`` int8; the step is ``step(rung)``.
        errors: ``(n,)`` float32, upper bounds of the residuals' lengths.
    """

    codes: UInt8
    rungs: npt.NDArray[np.int8]
    errors: Float32

    def where(self, chosen: npt.NDArray[np.bool_]) -> EncodedRows:
        """Return some of the rows."""
        return EncodedRows(self.codes[chosen], self.rungs[chosen], self.errors[chosen])

    def part(self, start: int, stop: int) -> EncodedRows:
        """Return the rows from ``start`` to before ``stop``."""
        return EncodedRows(self.codes[start:stop], self.rungs[start:stop], self.errors[start:stop])


@dataclass(frozen=True, slots=True, eq=False)
class EncodedQuery:
    """A query as integers and as it is.

    Attributes:
        code: ``(padded(d),)`` int8.
        step: what one unit of the code stands for.
        error: length of the query's residual.
        vector: ``(padded(d),)`` float64.
        norm: length of the vector.
    """

    code: npt.NDArray[np.int8]
    step: float
    error: float
    vector: npt.NDArray[np.float64]
    norm: float


def padded(dimension: int) -> int:
    """Return the bytes of a row: the dimension rounded up to a multiple of 64."""
    return -(-dimension // 64) * 64


def step(rung: int) -> float:
    """Return what one unit of a code on this rung stands for."""
    return float(_STEPS[rung])


def rough_error(query: EncodedQuery, residual: float) -> float:
    """Bound how far a product of integers can be from the true score of a row with that residual."""
    return query.error * (1.0 + _UNIT_TOLERANCE + residual) + fine_error(query, residual)


def fine_error(query: EncodedQuery, residual: float) -> float:
    """Bound how far the query's product with a row's code can be from the true score."""
    return query.norm * residual + _ROUNDING


def _require_unit(vectors: Float32) -> None:
    lengths = np.sqrt(np.vecdot(vectors, vectors))
    if not (np.abs(lengths - 1.0) <= _UNIT_TOLERANCE).all():
        raise Invalid("Vectors must be finite and of unit length.")


def encode(vectors: Float32) -> EncodedRows:
    """Code ``(n, d)`` float32 vectors of unit length.

    Raises:
        Invalid: if a vector isn't finite and of unit length.
    """
    n, d = vectors.shape
    codes = np.full((n, padded(d)), ZERO, np.uint8)
    rungs = np.empty(n, np.int8)
    errors = np.empty(n, np.float32)
    for a in range(0, n, _PIECE):
        x = vectors[a : a + _PIECE]
        _require_unit(x)
        peaks = np.maximum(x.max(1), -x.min(1))
        rung = np.clip(np.floor(-2.0 * np.log2(peaks)), 0, len(_STEPS) - 1).astype(np.int8)
        steps = _STEPS[rung].astype(np.float32)[:, None]
        whole = np.clip(np.rint(x / steps), -_LIMIT, _LIMIT)
        rest = x - whole * steps
        codes[a : a + _PIECE, :d] = (whole + ZERO).astype(np.uint8)
        rungs[a : a + _PIECE] = rung
        errors[a : a + _PIECE] = np.sqrt(np.vecdot(rest, rest)) + _ROUNDING
    return EncodedRows(codes, rungs, errors)


def decode(codes: UInt8) -> npt.NDArray[np.float64]:
    """Return the integers of ``(n, w)`` codes as float64; times the step, they are close to the vectors."""
    return codes.astype(np.float64) - ZERO


def encode_query(query: Float32) -> EncodedQuery:
    """Code a ``(d,)`` float32 query of unit length.

    Raises:
        Invalid: if it isn't finite and of unit length.
    """
    _require_unit(query[None])
    vector = np.zeros(padded(len(query)))
    vector[: len(query)] = query
    size = float(np.abs(vector).max()) / _LIMIT
    code = np.rint(vector / size)
    return EncodedQuery(
        code=code.astype(np.int8),
        step=size,
        error=float(np.linalg.norm(vector - size * code)),
        vector=vector,
        norm=float(np.linalg.norm(vector)),
    )
