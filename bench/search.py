# SPDX-License-Identifier: Apache-2.0
"""What an exact search costs, beside what merely reading the memory costs and beside other libraries.

    make bench ARGS="search"

One thread. Reading is measured in the same run, interleaved with the searches, as the fastest of many. Faces are
synthetic: unit vectors, identities with five faces in the mean and a cosine of 0.6 within, half of the probes of
people who are enrolled. The result of every search that is timed is compared with brute force over the float32
vectors, keys and scores. Templates are read from a SQLite file and decrypted, as the store does it, unless a row
says otherwise.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.report import Row, at_most
from custodes.db import Vault
from custodes.domain import Float32
from custodes.gallery.index import ExactIndex, Hits, cosines

__all__ = ["run"]

_PART = 200_000  # rows that are generated together
_PER_PERSON = 5
_COSINE = 0.6
_K = 10
_KEPT = 400  # best rows of each probe that are kept while rows stream by, for the store and brute force
_ROUNDS = 5

Keys = npt.NDArray[np.int64]
Search = Callable[[Float32], object]


@dataclass(frozen=True, slots=True)
class _Figure:
    """One figure: ``ratio`` is the value over what ``ratio_of`` names, ``target`` bounds it from above."""

    name: str
    value: float
    unit: str
    ratio: float | None = None
    ratio_of: str = ""
    target: float | None = None

    def row(self) -> Row:
        """Return it as the report has it: the ratio, where there is one, with the value beside it."""
        if self.ratio is None:
            return Row(self.name, self.value, self.unit)
        note = f"{self.value:.3g} {self.unit}; over {self.ratio_of}"
        if self.target is None:
            return Row(self.name, self.ratio, "x", note=note)
        return at_most(self.name, self.ratio, self.target, "x", note)


def _unit(x: Float32) -> Float32:
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x


def _people(part: int, d: int) -> Float32:
    return _unit(np.random.default_rng([1, part]).standard_normal((_PART // _PER_PERSON, d), dtype=np.float32))


def _faces(people: Float32, n: int, rng: np.random.Generator) -> Float32:
    """Make ``n`` faces of random people; two of one person have a cosine of about 0.6."""
    spread = np.float32(np.sqrt((1 / _COSINE - 1) / people.shape[1]))
    who = np.sort(rng.integers(0, len(people), n))
    return _unit(people[who] + spread * rng.standard_normal((n, people.shape[1]), dtype=np.float32))


def _gallery(n: int, d: int) -> Iterator[tuple[int, Float32]]:
    """Yield first keys and vectors of the parts of a gallery; the same every time."""
    for start in range(0, n, _PART):
        part = start // _PART
        size = min(_PART, n - start)
        yield start, _faces(_people(part, d)[: max(1, size // _PER_PERSON)], size, np.random.default_rng([2, part]))


def _probes(n: int, d: int, people: int) -> Float32:
    rng = np.random.default_rng(3)
    strangers = _unit(rng.standard_normal((n - n // 2, d), dtype=np.float32))
    return np.concatenate([_faces(_people(0, d)[:people], n // 2, rng), _faces(strangers, n - n // 2, rng)])


class Best:
    """The rows most like each probe among those seen so far, by brute force."""

    def __init__(self, probes: Float32) -> None:
        self.probes = probes
        self._keys = [np.empty(0, np.int64)] * len(probes)
        self._vectors = [np.empty((0, probes.shape[1]), np.float32)] * len(probes)

    def see(self, start: int, vectors: Float32) -> None:
        """Look at the rows ``start``, ``start + 1``, ..."""
        products = vectors @ self.probes.T
        for j, q in enumerate(self.probes):
            column = products[:, j]
            near = np.flatnonzero(column >= np.partition(column, -min(_KEPT, len(column)))[-min(_KEPT, len(column))])
            keys = np.concatenate([self._keys[j], near + start])
            pool = np.concatenate([self._vectors[j], vectors[near]])
            order = np.lexsort((keys, -cosines(pool, q)))[:_KEPT]
            self._keys[j], self._vectors[j] = keys[order], pool[order]

    def check(self, j: int, hits: Hits, k: int = _K) -> None:
        """Compare a result with brute force.

        Raises:
            AssertionError: if a key or a score differs.
        """
        assert hits.keys.tolist() == self._keys[j][:k].tolist(), f"probe {j}: {hits.keys} {self._keys[j][:k]}"
        assert hits.scores.tolist() == cosines(self._vectors[j][:k], self.probes[j]).tolist()

    def rows(self) -> dict[int, Float32]:
        """Return the rows that are kept."""
        return {
            int(k): v
            for keys, vectors in zip(self._keys, self._vectors, strict=True)
            for k, v in zip(keys, vectors, strict=True)
        }


class Store:
    """Templates sealed in a SQLite file, as the gallery's store keeps them; only rows that may be asked for."""

    def __init__(self, folder: Path, rows: dict[int, Float32], d: int) -> None:
        self._vault = Vault(bytes(32))
        self._d = d
        file = folder / f"{time.monotonic_ns()}.sqlite3"
        self._db = sqlite3.connect(file)
        self._db.execute("create table face (id integer primary key, template blob, template_key blob)")
        sealed = ((k, *self._vault.seal(v.tobytes(), b"%d" % k)) for k, v in rows.items())
        self._db.executemany("insert into face values (?, ?, ?)", sealed)
        self._db.commit()

    def fetch(self, keys: Keys) -> Float32:
        """Read and decrypt."""
        marks = ",".join("?" * len(keys))
        rows = self._db.execute(f"select id, template, template_key from face where id in ({marks})", keys.tolist())
        found = {k: self._vault.open(t, w, b"%d" % k) for k, t, w in rows}
        return np.frombuffer(b"".join(found[int(k)] for k in keys), np.float32).reshape(len(keys), self._d)


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _interleaved(probes: Float32, searches: dict[str, Search], read: Callable[[], object]) -> dict[str, list[float]]:
    """Return milliseconds of every search of every method, and of reading (under ``""``), in turns."""
    times: dict[str, list[float]] = {"": []}
    for _ in range(_ROUNDS):
        times[""] += [1e3 * _seconds(read) for _ in range(3)]
        for name, search in searches.items():
            search(probes[0])
            times.setdefault(name, []).extend(1e3 * _seconds(lambda q=q, s=search: s(q)) for q in probes)
    return times


def _ours(index: ExactIndex, best: Best, store: Store, name: str, read: Callable[[], object]) -> list[_Figure]:
    """Time single searches and batches over an index against reading; check every result."""
    for j, q in enumerate(best.probes):
        best.check(j, index.search(q, _K, -1.0, store.fetch))
    fetched = [h.fetched for h in index.search_batch(best.probes, _K, -1.0, store.fetch)]
    times = _interleaved(best.probes, {"one": lambda q: index.search(q, _K, -1.0, store.fetch)}, read)
    one, reading = min(times["one"]), min(times[""])
    many = np.concatenate([best.probes] * (-(-32 // len(best.probes))))[:32]
    for j, hits in enumerate(index.search_batch(many, _K, -1.0, store.fetch)):
        best.check(j % len(best.probes), hits)
    batch = min(1e3 * _seconds(lambda: index.search_batch(many, _K, -1.0, store.fetch)) for _ in range(_ROUNDS)) / 32
    return [
        _Figure(f"{name}: top {_K}, fastest", one, "ms", one / reading, "reading"),
        _Figure(f"{name}: top {_K}, median", float(np.median(times["one"])), "ms"),
        _Figure(f"{name}: 32 in a batch, each", batch, "ms", batch / one, "one search"),
        _Figure(f"{name}: reading", reading, "ms"),
        _Figure(f"{name}: templates read for one search, most", max(fetched), "rows"),
    ]


def _others(x: Float32, probes: Float32, expected: Best) -> dict[str, Search]:
    """Return exact searches of other libraries over the float32 vectors, each checked once."""
    import faiss

    faiss.omp_set_num_threads(1)
    flat = faiss.IndexFlatIP(x.shape[1])
    flat.add(x)
    searches: dict[str, Search] = {
        "FAISS IndexFlatIP": lambda q: flat.search(q[None], _K)[1][0],
        "numpy": lambda q: _top(x @ q),
    }
    try:
        from usearch.index import MetricKind
        from usearch.index import search as usearch_exact
    except ImportError:
        print("USearch is not installed: left out.")
    else:
        searches["USearch exact"] = lambda q: usearch_exact(x, q, _K, MetricKind.IP, exact=True, threads=1).keys.astype(
            np.int64
        )
    for name, search in searches.items():
        same = len(set(np.asarray(search(probes[0])).tolist()) & set(expected._keys[0][:_K].tolist()))
        assert same >= _K - 1, f"{name} found {same} of {_K}"
    return searches


def _top(scores: Float32) -> Keys:
    near = np.argpartition(scores, -_K)[-_K:]
    return near[np.argsort(-scores[near])]


def _against_float32(n: int, d: int, probes: int, folder: Path, *, others: bool) -> list[_Figure]:
    """Search ``n`` rows whose float32 vectors are in memory too, against reading those."""
    x = np.empty((n, d), np.float32)
    index, best = ExactIndex(d), Best(_probes(probes, d, max(1, n // _PER_PERSON)))
    adding = 0.0
    for start, part in _gallery(n, d):
        x[start : start + len(part)] = part
        adding += _seconds(lambda s=start, p=part: index.add(np.arange(s, s + len(p)), p))
        best.see(start, part)
    store = Store(folder, best.rows(), d)
    words = x.reshape(-1).view(np.int32)
    name = f"{n:,} x {d}"
    rows = _ours(index, best, store, name, words.max)
    rows[0] = replace(rows[0], ratio_of="reading the float32 vectors", target=0.45)
    rows[2] = replace(rows[2], target=0.5)
    reading = rows[3].value
    rows[3] = _Figure(f"{name}: reading the float32 vectors", reading, "ms")
    rows += [
        _Figure(f"{name}: bandwidth", x.nbytes / reading / 1e6, "GB/s"),
        _Figure(f"{name}: memory", index.nbytes / 1e6, "MB", index.nbytes / x.nbytes, "float32 vectors", 0.5),
        _Figure(f"{name}: adding all rows", adding, "s"),
        *_changes(index, x, name),
    ]
    if others:
        for method, times in _interleaved(best.probes[:4], _others(x, best.probes, best), words.max).items():
            if method:
                rows.append(_Figure(f"{name}: {method}", min(times), "ms", min(times) / reading, "reading"))
    return rows


def _changes(index: ExactIndex, x: Float32, name: str) -> list[_Figure]:
    """Time changes of one row."""
    n = len(x)
    appending = [_seconds(lambda i=i: index.add(np.array([n + i]), x[i : i + 1])) for i in range(20)]
    removing = [_seconds(lambda i=i: index.remove(np.array([i * (n // 10) + 7]))) for i in range(10)]
    return [
        _Figure(f"{name}: adding one row", 1e3 * float(np.median(appending)), "ms"),
        _Figure(f"{name}: removing one row", 1e3 * float(np.median(removing)), "ms"),
    ]


def _growth(sizes: Sequence[int], d: int, probes: int, folder: Path) -> list[_Figure]:
    """Let one gallery grow, and search it at each size against reading its codes."""
    index, best = ExactIndex(d), Best(_probes(probes, d, sizes[0] // _PER_PERSON))
    rows: list[_Figure] = []
    for start, part in _gallery(sizes[-1], d):
        done = 0
        while done < len(part):
            stop = min([len(part), *(s - start for s in sizes if s - start > done)])
            index.add(np.arange(start + done, start + stop), part[done:stop])
            best.see(start + done, part[done:stop])
            done = stop
            if start + done in sizes:
                codes = [s.codes.reshape(-1).view(np.int32) for s in index._segments]
                store = Store(folder, best.rows(), d)
                figures = _ours(index, best, store, f"{len(index):,} x {d}", lambda c=codes: [a.max() for a in c])
                limit = 1.5 if len(index) == 20_000_000 else None
                rows += [
                    replace(figures[0], ratio_of="reading the int8 codes", target=limit),
                    *figures[1:3],
                    figures[4],
                ]
                del codes
    return rows


def run(quick: bool) -> list[Row]:
    """Measure everything; ``quick`` leaves out what takes more than a minute."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = _against_float32(1_000_000, 128, 16, folder, others=not quick)
        figures += _against_float32(200_000 if quick else 1_000_000, 512, 8, folder, others=False)
        sizes = (10_000, 100_000) if quick else (10_000, 100_000, 1_000_000, 5_000_000, 20_000_000)
        figures += _growth(sizes, 128, 8, folder)
    return [figure.row() for figure in figures]
