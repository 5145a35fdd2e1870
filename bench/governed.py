# SPDX-License-Identifier: Apache-2.0
"""What the rules and the ledger cost a search: the whole operation beside the same work without them, in turn.

The ungoverned path is what the operation did before there were rules: the collection, the exact search in one snapshot
of the store, the calibrated candidates; for a photo also reading, finding, aligning and embedding. A governed search
adds the decision, and one durable transaction with its entry: no answer precedes the disk.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bench.report import Row, at_most, interleaved
from bench.service import enrol_random, photo
from custodes.app import App
from custodes.config import load
from custodes.domain import QualityFilter
from custodes.operations.faces import candidates
from custodes.operations.photos import passing
from custodes.operations.scores import MATCH_THRESHOLD, least_cosine

__all__ = ["run"]

_BOUND = 1.15
_LIMIT = 10


def _durable_write(app: App) -> Callable[[], object]:
    """Return the least durable transaction that there is: one row."""
    database = app._database
    with database.transaction() as c:
        c.exec_driver_sql("CREATE TABLE bench (n INTEGER, data BLOB)")

    def write() -> None:
        with database.transaction() as c:
            c.exec_driver_sql("INSERT INTO bench VALUES (1, x'00')")

    return write


def run(quick: bool) -> list[Row]:
    """Return the figures of governed searches."""
    count, runs = (10_000, 200) if quick else (100_000, 1_000)
    with tempfile.TemporaryDirectory() as folder:
        app = App.open(replace(load(environ={}), data=Path(folder)))
        face_id = enrol_random(app, "bench", count)
        caller, engine = app.identity.operator(), app.engines.default
        collections, references = app.collections._collections, app.faces._references
        jpeg = photo(640, 100_000)

        def least(_: str) -> float:
            return least_cosine(engine.pack, MATCH_THRESHOLD)

        def plain() -> object:
            collections.get("bench")
            found = references.search_like("bench", face_id, limit=_LIMIT, threshold=least)
            return candidates(engine, found.pairs, MATCH_THRESHOLD)

        def plain_by_image() -> object:
            collections.get("bench")
            faces = engine.detect(engine.decode(jpeg), max_faces=100)
            good, _ = passing(engine, faces, QualityFilter.NONE)
            [probe] = engine.embed(good[:1])
            found = references.search("bench", probe, limit=_LIMIT, threshold=least(""))
            return candidates(engine, found, MATCH_THRESHOLD)

        def governed() -> object:
            return app.faces.search(caller, "bench", face_id, limit=_LIMIT, threshold=None)

        def governed_by_image() -> object:
            return app.faces.search_by_image(
                caller, "bench", jpeg, limit=_LIMIT, threshold=None, quality=QualityFilter.NONE
            )

        median = statistics.median
        by_face = interleaved(runs, plain, governed, _durable_write(app), warm=20, pick=median)
        by_image = interleaved(runs // 5, plain_by_image, governed_by_image, warm=5, pick=median)
        begun = time.perf_counter()
        replayed = app.rules.replay()
        replaying = replayed.requests / (time.perf_counter() - begun)
        app.close()
    if replayed.differences:
        raise RuntimeError("replaying gives other decisions")
    faces = f"{count:,} faces"
    return [
        at_most(
            "governed SearchFacesByImage",
            by_image[1] / by_image[0],
            _BOUND,
            "x",
            f"{faces}; {by_image[1]:.2f} ms; without rules and ledger {by_image[0]:.2f} ms",
        ),
        at_most(
            "governed SearchFaces",
            by_face[1] / by_face[0],
            _BOUND,
            "x",
            f"{faces}; {by_face[1]:.2f} ms; without rules and ledger {by_face[0]:.2f} ms",
        ),
        Row("a durable transaction of one row, for comparison", by_face[2], "ms"),
        Row("requests replayed", replaying, "/s"),
    ]
