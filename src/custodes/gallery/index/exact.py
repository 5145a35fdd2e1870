# SPDX-License-Identifier: Apache-2.0
"""The default index: the true float32 candidate list, proved for every query, from a quarter of a row's bits.

All rows are compared as integers, then the few that could be in the result are read from the store and compared
as they are (``probe``). The rows of an index are a tuple of segments (``block``); a change makes another tuple
and publishes it in one assignment, so searches need no lock, and a search keeps to the tuple it began with.
Removals are published block by block, so that memory holds one block twice at most.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from custodes.domain import Float32
from custodes.errors import Invalid
from custodes.gallery.index.block import Block, Segment, Sweeper, rows_of_a_block
from custodes.gallery.index.codes import MAX_DIMENSION, EncodedRows, encode, padded
from custodes.gallery.index.probe import Probe
from custodes.gallery.index.protocol import Fetch, Hits, Int64

__all__ = ["ExactIndex"]

_BATCH = 32  # queries that are swept together
_SINGLES = 2  # up to so many, or among so few rows, one scan each is faster than a sweep for all
_FEW_ROWS = 50_000
_SPARE = 32  # candidates that a scan takes from each block beyond its share of k
_MOST = 1024  # results of one scan, beyond which a sweep is faster unless the segment is large
_HELD = 1 << 16  # hits of a sweep before they are dealt out
_PENDING = 1 << 18  # candidates of one query before they are settled


class ExactIndex:
    """An exact :class:`VectorIndex` in memory, about 0.27 of the vectors' size.

    Args:
        dimension: of the vectors, 1..1024.

    Raises:
        Invalid: if the dimension is out of range.
    """

    def __init__(self, dimension: int) -> None:
        if not 1 <= dimension <= MAX_DIMENSION:
            raise Invalid(f"The dimension lies in 1..{MAX_DIMENSION}, got {dimension}.")
        self._dimension = dimension
        self._width = padded(dimension)
        self._segments: tuple[Segment, ...] = ()
        self._writing = threading.Lock()

    def __len__(self) -> int:
        return sum(s.length for s in self._segments)

    def __contains__(self, key: int) -> bool:
        return any(s.low <= key <= s.high and bool((s.keys == key).any()) for s in self._segments)

    @property
    def nbytes(self) -> int:
        """Bytes of codes and keys, with the room for more."""
        return sum(s.block.codes.nbytes + s.block.keys.nbytes for s in self._segments)

    def add(self, keys: Int64, vectors: Float32) -> None:
        """Add rows; see :meth:`VectorIndex.add`."""
        _require_keys(keys)
        self._require_vectors(vectors, len(keys))
        if len(np.unique(keys)) != len(keys):
            raise Invalid("The keys of one call must be distinct.")
        if not len(keys):
            return
        rows = encode(vectors)
        with self._writing:
            segments: list[Segment] = []
            for segment in self._segments:
                segments += _without(segment, keys)
            for rung in np.unique(rows.rungs):
                chosen = rows.rungs == rung
                _append(segments, int(rung), keys[chosen], rows.where(chosen))
            self._segments = tuple(segments)

    def remove(self, keys: Int64) -> None:
        """Remove rows; see :meth:`VectorIndex.remove`."""
        _require_keys(keys)
        with self._writing:
            kept: list[Segment] = []
            left = list(reversed(self._segments))
            while left:
                segment = left.pop()
                kept += _without(segment, keys)
                if not kept or kept[-1] is not segment:
                    self._segments = (*kept, *reversed(left))
                del segment  # the last reference, unless a search is on: here the block of a removed row is erased
            self._segments = tuple(_merged(self._segments))

    def search(self, query: Float32, k: int, threshold: float, fetch: Fetch) -> Hits:
        """Find the best rows; see :meth:`VectorIndex.search`."""
        if query.ndim != 1:
            raise Invalid(f"A query is ({self._dimension},) float32, got {query.shape} {query.dtype}.")
        return self.search_batch(query[None], k, threshold, fetch)[0]

    def search_batch(self, queries: Float32, k: int, threshold: float, fetch: Fetch) -> list[Hits]:
        """Find the best rows for each query; see :meth:`VectorIndex.search_batch`."""
        self._require_vectors(queries, len(queries))
        if k < 1:
            raise Invalid(f"At least one row has to be asked for, got {k}.")
        if not np.isfinite(threshold):
            raise Invalid(f"A threshold is a number, got {threshold}.")
        segments = self._segments
        rows = sum(s.length for s in segments)
        results: list[Hits] = []
        together = max(1, min(_BATCH, _PENDING // k))
        for start in range(0, len(queries), together):
            probes = [Probe(q, k, threshold, segments) for q in queries[start : start + together]]
            if len(probes) <= _SINGLES or rows < _FEW_ROWS:
                for probe in probes:
                    _scan(segments, probe, k / max(rows, 1), fetch)
            else:
                _sweep(segments, range(len(segments)), probes, fetch)
            for probe in probes:
                probe.settle(fetch)
                results.append(probe.hits())
        return results

    def _require_vectors(self, vectors: Float32, n: int) -> None:
        if vectors.shape != (n, self._dimension) or vectors.dtype != np.float32:
            raise Invalid(f"Expected ({n}, {self._dimension}) float32, got {vectors.shape} {vectors.dtype}.")


def _require_keys(keys: Int64) -> None:
    if keys.ndim != 1 or keys.dtype != np.int64:
        raise Invalid(f"Keys are (n,) int64, got {keys.shape} {keys.dtype}.")


def _without(segment: Segment, keys: Int64) -> list[Segment]:
    """Return the segment less the rows with these keys: itself, a smaller copy, or nothing when none is left."""
    near = keys[(keys >= segment.low) & (keys <= segment.high)]
    if not len(near):
        return [segment]
    gone = np.isin(segment.keys, near)
    if not gone.any():
        return [segment]
    return [] if gone.all() else [segment.compacted(~gone)]


def _merged(segments: tuple[Segment, ...]) -> list[Segment]:
    """Join neighbours of one rung that together fill half a block at most, so that scans stay few."""
    out: list[Segment] = []
    latest: dict[int, int] = {}
    for segment in segments:
        rung = segment.block.rung
        at = latest.get(rung)
        half = rows_of_a_block(segment.block.codes.shape[1]) // 2
        if at is not None and out[at].length + segment.length <= half:
            out[at] = out[at].joined(segment)
        else:
            latest[rung] = len(out)
            out.append(segment)
    return out


def _append(segments: list[Segment], rung: int, keys: Int64, rows: EncodedRows) -> None:
    """Write rows of one rung behind the last segment of that rung, and into new blocks."""
    width = rows.codes.shape[1]
    whole = rows_of_a_block(width)
    last = next((i for i in reversed(range(len(segments))) if segments[i].block.rung == rung), None)
    done = 0
    while done < len(keys):
        used = 0 if last is None or segments[last].length >= whole else segments[last].length
        stop = min(len(keys), done + whole - used)
        if last is None or not used:
            block = Block(rung, stop - done, width)
            last = len(segments)
            segments.append(block.write(0, keys[done:stop], rows.part(done, stop)))
        else:
            block = segments[last].block_with_room(stop - done)
            segments[last] = block.write(used, keys[done:stop], rows.part(done, stop))
        done = stop


def _scan(segments: tuple[Segment, ...], probe: Probe, share: float, fetch: Fetch) -> None:
    """Offer one probe the best rows of each segment; sweep the segments that may hold more that matter.

    Args:
        share: expected number of results for each row.
    """
    code = probe.code.astype(np.float32)[None]
    least: list[tuple[int, float]] = []
    unsure: list[int] = []
    for number, segment in enumerate(segments):
        n = min(segment.length, _SPARE + int(2 * share * segment.length))
        if n > max(_MOST, segment.length // 4):
            unsure.append(number)
            continue
        products, rows = segment.best(code, n)
        probe.offer(number, rows, products)
        if n < segment.length:
            least.append((number, float(products[-1])))
    probe.tighten()
    for number, product in least:
        if product >= probe.floor(number):
            probe.retract(number)
            unsure.append(number)
    _sweep(segments, unsure, [probe], fetch)


def _sweep(segments: tuple[Segment, ...], numbers: Sequence[int], probes: list[Probe], fetch: Fetch) -> None:
    """Compare every row of some segments with all probes, and offer each probe what is above its cut."""
    if not numbers:
        return
    sweeper = Sweeper(np.stack([p.code for p in probes]))
    for number in numbers:
        floors = np.array([p.floor(number) for p in probes], np.int32)
        hits: list[tuple[Int64, npt.NDArray[np.int32]]] = []
        held = 0
        for start, products in sweeper.products(segments[number]):
            places = np.flatnonzero(products >= floors)
            if len(places):
                hits.append((places + start * len(probes), products.ravel()[places]))
                held += len(places)
            if held > _HELD:
                _deal(number, hits, probes, fetch)
                floors = np.array([p.floor(number) for p in probes], np.int32)
                hits, held = [], 0
        _deal(number, hits, probes, fetch)


def _deal(number: int, hits: list[tuple[Int64, npt.NDArray[np.int32]]], probes: list[Probe], fetch: Fetch) -> None:
    """Give each probe its hits in a segment; place ``i`` is row ``i // q`` and probe ``i % q``."""
    if not hits:
        return
    places, products = (np.concatenate(column) for column in zip(*hits, strict=True))
    rows, owners = np.divmod(places, len(probes))
    order = np.argsort(owners, kind="stable")
    ends = np.searchsorted(owners[order], np.arange(len(probes) + 1))
    for probe, a, b in zip(probes, ends[:-1], ends[1:], strict=True):
        if b > a:
            mine = order[a:b]
            probe.offer(number, rows[mine], products[mine])
            probe.tighten()
            if probe.pending > _PENDING:
                probe.settle(fetch)
