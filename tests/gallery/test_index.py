# SPDX-License-Identifier: Apache-2.0
"""The exact index against brute force, with rows chosen to hurt it, under change and under many threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custodes.domain import Float32
from custodes.errors import IntegrityError, Invalid
from custodes.gallery.index import ExactIndex, Hits, VectorIndex, block, cosines, exact, probe
from custodes.gallery.index.protocol import Int64


class Store:
    """A store in a dict, which counts what is read of it."""

    def __init__(self) -> None:
        self.vectors: dict[int, Float32] = {}
        self.largest = 0

    def add(self, index: VectorIndex, keys: list[int], vectors: Float32) -> None:
        self.vectors.update(zip(keys, vectors, strict=True))
        index.add(np.array(keys, np.int64), vectors)

    def remove(self, index: VectorIndex, keys: list[int]) -> None:
        for key in keys:
            self.vectors.pop(key, None)
        index.remove(np.array(keys, np.int64))

    def fetch(self, keys: Int64) -> Float32:
        self.largest = max(self.largest, len(keys))
        return np.stack([self.vectors[int(k)] for k in keys])

    def best(self, query: Float32, k: int, threshold: float) -> list[tuple[int, float]]:
        if not self.vectors:
            return []
        keys = np.array(list(self.vectors))
        scores = cosines(np.stack(list(self.vectors.values())), query)
        order = [i for i in np.lexsort((keys, -scores)) if scores[i] >= np.float32(threshold)]
        return [(int(keys[i]), float(scores[i])) for i in order[:k]]


def found(hits: Hits) -> list[tuple[int, float]]:
    return list(zip(hits.keys.tolist(), hits.scores.tolist(), strict=True))


def unit(vectors: np.ndarray) -> Float32:
    x = np.asarray(vectors, np.float64)
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def rows_of(kind: str, n: int, d: int, rng: np.random.Generator) -> Float32:
    x = rng.standard_normal((n, d))
    match kind:
        case "one-hot":
            x = np.eye(d)[rng.integers(0, d, n)] * rng.choice([-1.0, 1.0], (n, 1))
        case "spike":  # one large element, the others lost in a coarse step
            x *= 1e-3
            x[np.arange(n), rng.integers(0, d, n)] = 1.0
        case "tiny":
            x = np.where(np.arange(d) < 2, x, x * 1e-20)
        case "same":
            x[:] = x[:1] if n else x
        case "near":  # differ in the last bits only
            x = x[:1] + 1e-7 * x if n else x
        case "half":  # elements in the middle between two codes
            x = (rng.integers(-126, 126, (n, d)) + 0.5) * rng.choice([0.5, 1.0], (n, 1))
        case "signs":
            x = rng.choice([-1.0, 1.0], (n, d))
    return unit(x) if n else x.astype(np.float32)


KINDS = ("random", "one-hot", "spike", "tiny", "same", "near", "half", "signs")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture(scope="module")
def small_limits() -> Iterator[None]:
    """Blocks of a few rows and buffers of a few candidates, so that small sets take every path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(block, "_BLOCK_BYTES", 4096)
        patch.setattr(block, "_FIRST_ROWS", 4)
        patch.setattr(block, "_CHUNK_BYTES", 1024)
        patch.setattr(exact, "_FEW_ROWS", 0)
        patch.setattr(exact, "_SPARE", 2)
        patch.setattr(exact, "_MOST", 8)
        patch.setattr(exact, "_HELD", 16)
        patch.setattr(exact, "_PENDING", 32)
        patch.setattr(probe, "_PIECE", 8)
        yield


@settings(max_examples=150, deadline=None)
@given(
    parts=st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 80)), min_size=1, max_size=4),
    d=st.sampled_from([2, 64, 67, 128]),
    k=st.sampled_from([1, 2, 10, 50, 1000]),
    threshold=st.sampled_from([-1.0, 0.0, 0.4, 0.999, 1.0]),
    queries=st.integers(1, 5),
    probes=st.sampled_from(["random", "one-hot", "row"]),
    seed=st.integers(0, 2**32),
)
@pytest.mark.usefixtures("small_limits")
def test_result_equals_brute_force(
    parts: list[tuple[str, int]], d: int, k: int, threshold: float, queries: int, probes: str, seed: int
) -> None:
    """Whatever the rows, keys and scores are those of comparing every float32 vector."""
    rng = np.random.default_rng(seed)
    index, store = ExactIndex(d), Store()
    keys = rng.permutation(1000)
    for kind, n in parts:
        store.add(index, keys[:n].tolist(), rows_of(kind, n, d, rng))
        keys = keys[n:]
    q = rows_of("random" if probes == "row" else probes, queries, d, rng)
    if probes == "row" and store.vectors:
        q = np.stack([list(store.vectors.values())[i] for i in rng.integers(0, len(store.vectors), queries)])
    expected = [store.best(x, k, threshold) for x in q]
    assert [found(index.search(x, k, threshold, store.fetch)) for x in q] == expected
    assert [found(h) for h in index.search_batch(q, k, threshold, store.fetch)] == expected


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["add", "remove"]), st.lists(st.integers(0, 60), unique=True, max_size=30)),
        max_size=14,
    ),
    seed=st.integers(0, 2**32),
)
@pytest.mark.usefixtures("small_limits")
def test_adding_replacing_and_removing_in_any_order(steps: list[tuple[str, list[int]]], seed: int) -> None:
    """After any sequence of changes the index holds exactly the rows that the store does."""
    rng = np.random.default_rng(seed)
    index, store = ExactIndex(64), Store()
    for action, keys in steps:
        if action == "add":
            store.add(index, keys, rows_of(str(rng.choice(KINDS)), len(keys), 64, rng))
        else:
            store.remove(index, keys)
        assert len(index) == len(store.vectors)
        assert [k for k in range(61) if k in index] == sorted(store.vectors)
        q = rows_of("random", 1, 64, rng)[0]
        assert found(index.search(q, 7, -1.0, store.fetch)) == store.best(q, 7, -1.0)


@pytest.mark.parametrize(("k", "threshold"), [(1, -1.0), (10, 0.3), (100, -1.0), (4096, 0.2), (4096, -1.0), (9000, -1)])
def test_large_set_with_production_limits(
    k: int, threshold: float, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Limits as they are in use give the brute-force result, scanned or swept, up to k beyond the number of rows."""
    index, store = ExactIndex(128), Store()
    people = rng.standard_normal((1600, 128))
    x = unit(people[rng.integers(0, 1600, 8000)] + 0.8 * rng.standard_normal((8000, 128)))
    store.add(index, list(range(8000)), x)
    for q in (unit(people[:3] + 0.8 * rng.standard_normal((3, 128))), rows_of("random", 3, 128, rng)):
        expected = [store.best(x, k, threshold) for x in q]
        for few in (0, 50_000):
            monkeypatch.setattr(exact, "_FEW_ROWS", few)
            assert [found(h) for h in index.search_batch(q, k, threshold, store.fetch)] == expected
        assert found(index.search(q[0], k, threshold, store.fetch)) == expected[0]
    assert store.largest <= 4096


def test_equal_scores_are_ordered_by_key(rng: np.random.Generator) -> None:
    """Of thousands of equal rows those with the least keys are returned, wherever they lie."""
    index, store = ExactIndex(128), Store()
    keys = rng.permutation(6000)
    x = np.repeat(rows_of("random", 1, 128, rng), 6000, axis=0)
    store.add(index, keys.tolist(), x)
    assert index.search(x[0], 10, 0.5, store.fetch).keys.tolist() == list(range(10))


def test_few_rows_are_read_from_the_store(rng: np.random.Generator) -> None:
    """The bound is tight enough that a top 10 of 50,000 rows reads less than 50 of them."""
    index, store = ExactIndex(128), Store()
    store.add(index, list(range(50_000)), rows_of("random", 50_000, 128, rng))
    hits = index.search(rows_of("random", 1, 128, rng)[0], 10, -1.0, store.fetch)
    assert 10 <= hits.fetched < 50


def test_unusual_rows_do_not_coarsen_the_others(rng: np.random.Generator) -> None:
    """A thousand rows with extreme elements among the others leave the number of rows read as it was."""
    index, store = ExactIndex(128), Store()
    store.add(index, list(range(20_000)), rows_of("random", 20_000, 128, rng))
    q = rows_of("random", 1, 128, rng)[0]
    before = index.search(q, 10, -1.0, store.fetch).fetched
    store.add(index, list(range(20_000, 21_000)), rows_of("spike", 1000, 128, rng))
    assert index.search(q, 10, -1.0, store.fetch).fetched <= before + 2


def test_empty_index_finds_nothing() -> None:
    """Searching an index without rows gives empty results of the right types."""
    index = ExactIndex(16)
    hits = index.search(np.eye(16, dtype=np.float32)[0], 5, -1.0, Store().fetch)
    assert (len(hits), hits.keys.dtype, hits.scores.dtype) == (0, np.int64, np.float32)
    assert index.search_batch(np.empty((0, 16), np.float32), 5, -1.0, Store().fetch) == []


ONE = np.eye(16, dtype=np.float32)


@pytest.mark.parametrize(
    ("query", "k", "threshold"),
    [
        (np.full(16, np.nan, np.float32), 1, 0.0),
        (np.full(16, np.inf, np.float32), 1, 0.0),
        (np.zeros(16, np.float32), 1, 0.0),
        (2 * ONE[0], 1, 0.0),
        (ONE[0].astype(np.float64), 1, 0.0),
        (ONE[0][:8], 1, 0.0),
        (ONE, 1, 0.0),
        (ONE[0], 0, 0.0),
        (ONE[0], 1, float("nan")),
    ],
)
def test_bad_search_is_refused(query: Float32, k: int, threshold: float) -> None:
    """A query that isn't one unit vector, k below 1 or a threshold that is no number is invalid."""
    index, store = ExactIndex(16), Store()
    store.add(index, [1], ONE[:1])
    with pytest.raises(Invalid):
        index.search(query, k, threshold, store.fetch)


@pytest.mark.parametrize(
    ("keys", "vectors"),
    [
        (np.array([1, 1]), ONE[:2]),
        (np.array([1.0, 2.0]), ONE[:2]),
        (np.array([1]), ONE[:2]),
        (np.array([1, 2]), ONE[:2, :8]),
        (np.array([1, 2]), 3 * ONE[:2]),
        (np.array([1, 2]), np.full((2, 16), np.nan, np.float32)),
    ],
)
def test_bad_rows_are_refused_and_nothing_is_added(keys: Int64, vectors: Float32) -> None:
    """Rows that aren't unit vectors under distinct integer keys leave the index as it was."""
    index = ExactIndex(16)
    with pytest.raises(Invalid):
        index.add(keys, vectors)
    assert len(index) == 0


@pytest.mark.parametrize("dimension", [0, -1, 1025])
def test_bad_dimension_is_refused(dimension: int) -> None:
    """Dimensions whose products float32 couldn't hold exactly, and empty ones, are invalid."""
    with pytest.raises(Invalid):
        ExactIndex(dimension)


def test_store_that_disagrees_is_noticed(rng: np.random.Generator) -> None:
    """A vector that isn't the one that was added breaks the proof, and the search says so."""
    index, store = ExactIndex(64), Store()
    x = rows_of("random", 20, 64, rng)
    store.add(index, list(range(20)), x)
    store.vectors[3] = x[4]
    with pytest.raises(IntegrityError):
        index.search(x[3], 1, -1.0, store.fetch)
    with pytest.raises(IntegrityError):
        index.search(x[3], 1, -1.0, lambda keys: np.empty((len(keys), 63), np.float32))


def test_what_the_store_raises_reaches_the_caller() -> None:
    """An exception of the callback ends the search unchanged."""
    index = ExactIndex(16)
    index.add(np.array([1]), ONE[:1])
    with pytest.raises(KeyError):
        index.search(ONE[0], 1, 0.0, Store().fetch)


def test_memory_is_a_third_of_the_vectors_at_most(rng: np.random.Generator) -> None:
    """Added in batches, codes and keys with their spare room take at most 0.4 of the float32 vectors."""
    index = ExactIndex(128)
    x = rows_of("random", 60_000, 128, rng)
    for a in range(0, len(x), 5000):
        index.add(np.arange(a, a + 5000), x[a : a + 5000])
    assert index.nbytes <= 0.4 * x.nbytes


def test_removed_rows_are_erased(rng: np.random.Generator) -> None:
    """After a removal the row's code is nowhere in the index, and the memory that held it is zeroed."""
    index = ExactIndex(128)
    x = rows_of("random", 3000, 128, rng)
    index.add(np.arange(3000), x)
    code = index._segments[0].codes[5].tobytes()
    key = int(index._segments[0].keys[5])
    memory = [s.block.codes for s in index._segments]
    assert any(code in m.tobytes() for m in memory)
    index.remove(np.array([key]))
    assert not any(code in m.tobytes() for m in memory)
    assert not any(code in s.block.codes.tobytes() for s in index._segments)
    assert key not in index


def test_removing_most_rows_gives_memory_and_scans_back(rng: np.random.Generator, small_limits: None) -> None:
    """When nine of ten rows are gone, so are most blocks."""
    index, store = ExactIndex(64), Store()
    store.add(index, list(range(2000)), rows_of("random", 2000, 64, rng))
    blocks, size = len(index._segments), index.nbytes
    store.remove(index, [k for k in range(2000) if k % 10])
    assert len(index._segments) < blocks / 3
    assert index.nbytes < size / 4
    q = rows_of("random", 1, 64, rng)[0]
    assert found(index.search(q, 20, -1.0, store.fetch)) == store.best(q, 20, -1.0)


def test_readers_see_whole_changes_only(rng: np.random.Generator) -> None:
    """While one thread adds, replaces and removes groups, searches see a group whole or not at all, and exact."""
    index = ExactIndex(64)
    groups = rows_of("random", 40, 64, rng)
    fillers = rows_of("random", 3000, 64, rng)
    vectors = np.concatenate([np.repeat(groups, 8, axis=0), fillers])
    index.add(np.arange(320, 3320), fillers)
    failures: list[str] = []
    done = threading.Event()

    def read(seed: int) -> None:
        order = np.random.default_rng(seed)
        while not done.is_set() and not failures:
            g = int(order.integers(0, 40))
            hits = index.search(groups[g], 20, 0.99, lambda keys: vectors[keys])
            if hits.keys.tolist() not in ([], list(range(8 * g, 8 * g + 8))):
                failures.append(f"group {g}: {hits.keys.tolist()}")
            top = index.search(fillers[g], 1, -1.0, lambda keys: vectors[keys])
            if top.keys.tolist() != [320 + g]:
                failures.append(f"filler {g}: {top.keys.tolist()}")

    readers = [threading.Thread(target=read, args=(s,)) for s in range(4)]
    for r in readers:
        r.start()
    for turn in range(200):
        g = int(rng.integers(0, 40))
        keys = np.arange(8 * g, 8 * g + 8)
        if turn % 3 == 1:
            index.remove(keys)
        elif turn % 3 == 2:
            index.remove(np.concatenate([np.arange(320, 3320)[-turn:], [10**6]]))
            index.add(np.arange(320, 3320)[-turn:], fillers[-turn:])
        else:
            index.add(keys, vectors[keys])
    done.set()
    for r in readers:
        r.join()
    assert failures == []
