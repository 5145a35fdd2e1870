# SPDX-License-Identifier: Apache-2.0
"""A gallery on both kinds of database, people with templates, and the plain way to search."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from custodes.db import Database, Vault
from custodes.domain import Box, Float32, ImageSize, Reference, Template
from custodes.gallery import Collections, IndexCache, NewReference, References, Subjects
from custodes.gallery.cache import owner_of
from custodes.gallery.index import ExactIndex, cosines
from custodes.gallery.schema import collections, references, subjects

DIMENSION = 32
PACK = "test-pack"
MASTER = bytes(range(32))
SIZE = ImageSize(640, 480)


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Gallery:
    """What one process has of a gallery."""

    url: str
    max_faces: int = 10_000
    max_subject_faces: int = 5
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.database = Database(self.url)
        self.database.migrate()
        self.vault = Vault(MASTER)
        self.cache = IndexCache(self.vault, ExactIndex)
        self.collections = Collections(self.database, clock=self.clock)
        self.references = References(self.database, self.vault, self.cache, max_faces=self.max_faces, clock=self.clock)
        self.subjects = Subjects(
            self.database, self.vault, self.cache, max_references=self.max_subject_faces, clock=self.clock
        )

    def create(self, name: str = "c") -> str:
        """Make a collection."""
        self.collections.create(name, pack=PACK, pack_version="1.0", dimension=DIMENSION, labels={})
        return name

    def enrol(
        self, vectors: Float32, name: str = "c", *, image: bytes | None = None, label: str | None = None
    ) -> tuple[Reference, ...]:
        """Enrol the faces of one picture, side by side."""
        faces = [NewReference(Box(60.0 * i, 20, 50, 50), 99.0, Template(v, PACK)) for i, v in enumerate(vectors)]
        return self.references.enrol(
            name,
            faces,
            image_id=image or np.random.default_rng().bytes(16),
            external_image_id=label,
            image_size=SIZE,
        )

    def stored(self, name: str = "c", kind: str = "face") -> tuple[list[str], Float32]:
        """Read all templates from the tables themselves: names, and vectors in the order of their rows."""
        table = references if kind == "face" else subjects
        names, vectors = [], []
        with self.database.read() as c:
            query = (
                sa.select(table)
                .join(collections, table.c.collection_id == collections.c.id)
                .where(collections.c.name == name, table.c.template.is_not(None))
                .order_by(table.c.id)
            )
            for row in c.execute(query):
                owner = row.reference_id if kind == "face" else owner_of(kind, row.id)
                blob = self.vault.open(row.template, row.template_key, owner)
                vectors.append(np.frombuffer(blob, "<f4"))
                names.append(_uuid(row.reference_id) if kind == "face" else row.subject_id)
        return names, np.array(vectors, np.float32).reshape(-1, DIMENSION)

    def brute_force(
        self, probe: Float32, *, limit: int, threshold: float, name: str = "c", kind: str = "face"
    ) -> list[tuple[str, float]]:
        """Search by comparing with everything that is stored."""
        names, vectors = self.stored(name, kind)
        scores = cosines(vectors, probe)
        order = np.lexsort((np.arange(len(scores)), -scores))[:limit]
        return [(names[i], float(scores[i])) for i in order if scores[i] >= np.float32(threshold)]

    def search(
        self, probe: Float32, *, limit: int = 10, threshold: float = -1.0, name: str = "c"
    ) -> list[tuple[str, float]]:
        """Search as the service does."""
        found = self.references.search(name, Template(probe, PACK), limit=limit, threshold=threshold)
        return [(r.reference_id, s) for r, s in found]

    def search_subjects(
        self, probe: Float32, *, limit: int = 10, threshold: float = -1.0, name: str = "c"
    ) -> list[tuple[str, float]]:
        """Search for subjects as the service does."""
        found = self.subjects.search(name, Template(probe, PACK), limit=limit, threshold=threshold)
        return [(s.subject_id, score) for s, score in found]

    def close(self) -> None:
        """End the process."""
        self.database.close()


def _uuid(raw: bytes) -> str:
    h = raw.hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


class People:
    """Templates of made-up people: those of one person have a cosine of about ``alike`` with one another."""

    def __init__(self, seed: int = 7) -> None:
        self._rng = np.random.default_rng(seed)

    def strangers(self, count: int) -> Float32:
        """Return ``(count, d)`` templates of as many people."""
        v = self._rng.standard_normal((count, DIMENSION)).astype(np.float32)
        return v / np.linalg.norm(v, axis=1, keepdims=True)

    def photos(self, count: int, *, noise: float = 0.1) -> Float32:
        """Return ``(count, d)`` templates of one person; the cosine of two is about 1 / (1 + d noise²)."""
        v = self.strangers(1) + noise * self._rng.standard_normal((count, DIMENSION)).astype(np.float32)
        return (v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def people() -> People:
    """Made-up people, the same ones in every run."""
    return People()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.sqlite3'}"
    return str(request.getfixturevalue("postgres").new())


@pytest.fixture
def process(url: str) -> Iterator[Callable[..., Gallery]]:
    """Opens the gallery as a further process would: nothing is shared but the database."""
    opened: list[Gallery] = []

    def start(**options: object) -> Gallery:
        opened.append(Gallery(url, **options))  # type: ignore[arg-type]
        return opened[-1]

    yield start
    for gallery in opened:
        gallery.close()


@pytest.fixture
def gallery(process: Callable[..., Gallery]) -> Gallery:
    """A gallery with one collection, ``c``."""
    made = process()
    made.create()
    return made


@pytest.fixture
def at_once() -> Callable[[Sequence[Callable[[], object]]], None]:
    """Runs tasks at the same time and raises the first failure."""

    def run(tasks: Sequence[Callable[[], object]]) -> None:
        failures: list[BaseException] = []
        barrier = threading.Barrier(len(tasks))

        def one(task: Callable[[], object]) -> None:
            try:
                barrier.wait()
                task()
            except BaseException as e:  # noqa: BLE001 - raised again below
                failures.append(e)

        threads = [threading.Thread(target=one, args=(t,)) for t in tasks]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if failures:
            raise failures[0]

    return run
