# SPDX-License-Identifier: Apache-2.0
"""The server: what HTTP adds to the engine, eight clients at once, and how it starts with many enrolled faces."""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil

from bench.client import Connection, Server, connect, start
from bench.report import Row, at_least, at_most
from custodes.app import App
from custodes.config import load
from custodes.domain import Box, ImageSize, Template
from custodes.gallery import NewReference
from custodes.gallery.index import ExactIndex
from custodes.governance import Caller
from custodes.vision.engine import Engine

PORTRAIT = Path(__file__).parent.parent / "tests" / "data" / "collins.png"


def photo(side: int, size: int) -> bytes:
    """Return a square JPEG of a portrait of about ``size`` bytes."""
    image = cv2.imread(str(PORTRAIT))
    image = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    best = b""
    for quality in range(30, 101):
        best = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        if len(best) >= size:
            break
    return best


def _nothing() -> None:
    return None


def _medians(runs: int, *pairs: tuple[Callable[[], Any], Callable[[Any], object]]) -> list[float]:
    """Time actions in turn, each on what its preparation made untimed; return the medians in milliseconds."""
    times: list[list[float]] = [[] for _ in pairs]
    for turn in range(runs + 5):
        for (prepare, action), seen in zip(pairs, times, strict=True):
            ready = prepare()
            begun = time.perf_counter()
            action(ready)
            if turn >= 5:
                seen.append((time.perf_counter() - begun) * 1e3)
    return [statistics.median(s) for s in times]


def enrol_random(app: App, name: str, count: int, batch: int = 5_000, caller: Caller | None = None) -> str:
    """Enrol random templates in a new collection, the operator's unless somebody is named; return the id of one."""
    app.collections.create(caller or app.identity.operator(), name, {})
    engine = app.engines.default
    random = np.random.default_rng(1)
    references = app.faces._references
    last = ""
    for start_at in range(0, count, batch):
        vectors = random.standard_normal((min(batch, count - start_at), engine.dimension), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        faces = [NewReference(Box(1, 1, 50, 50), 99.0, Template(v, engine.pack.manifest.id)) for v in vectors]
        done = references.enrol(
            name, faces, image_id=random.bytes(16), external_image_id=None, image_size=ImageSize(100, 100)
        )
        last = done[-1].reference_id
    return last


def overhead(quick: bool) -> list[Row]:
    """Measure what the server adds to the engine."""
    runs = 60 if quick else 300
    with tempfile.TemporaryDirectory() as folder:
        config = replace(load(environ={}), data=Path(folder))
        app = App.open(config)
        face_id = enrol_random(app, "bench", 1_000)
        caller = app.identity.operator()
        server, _ = start(Path(folder))
        line = connect(server)
        jpeg = photo(640, 100_000)
        encoded = b64encode(jpeg).decode()
        engine = app.engines.default
        image = {"Image": {"Bytes": encoded}}
        detect, own = _medians(
            runs,
            (lambda: server.request("DetectFaces", image), line.send),
            (_nothing, lambda _: engine.detect(engine.decode(jpeg))),
        )
        params = {"CollectionId": "bench", "FaceId": face_id}
        search, operation = _medians(
            runs,
            (lambda: server.request("SearchFaces", params), line.send),
            (_nothing, lambda _: app.faces.search(caller, "bench", face_id, limit=4096, threshold=80)),
        )
        index_alone = _index_alone(app, runs)
        line.close()
        server.stop()
        app.close()
    return [
        at_most(
            "HTTP overhead, DetectFaces",
            detect - own,
            1.5,
            "ms",
            f"{len(jpeg)} B JPEG, engine {own:.2f} ms",
        ),
        at_most(
            "HTTP overhead, SearchFaces",
            search - operation,
            0.5,
            "ms",
            f"over the same search in process, {operation:.2f} ms, of which the index {index_alone:.2f} ms",
        ),
    ]


def _index_alone(app: App, runs: int) -> float:
    random = np.random.default_rng(1)
    vectors = random.standard_normal((1_000, 128), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = ExactIndex(128)
    index.add(np.arange(1_000), vectors)
    return _medians(runs, (_nothing, lambda _: index.search(vectors[3], 4096, 0.3, lambda keys: vectors[keys])))[0]


def throughput(quick: bool) -> list[Row]:
    """Measure eight clients against the engine alone on all cores."""
    seconds = 4.0 if quick else 12.0
    jpeg = photo(640, 60_000)
    engine = Engine.default()
    threads = psutil.cpu_count() or 1

    def alone() -> float:
        return _rate(threads, seconds, lambda _: lambda: engine.detect(engine.decode(jpeg)))

    with tempfile.TemporaryDirectory() as folder:
        server, _ = start(Path(folder))
        image = {"Image": {"Bytes": b64encode(jpeg).decode()}}
        # A member that the server ignores tells the requests apart, so that none passes for a copy of another.
        prepared = [server.request("DetectFaces", {**image, "Number": i}) for i in range(int(seconds * 400))]
        pool = iter(prepared)
        lock = threading.Lock()

        def client(_: int) -> Callable[[], object]:
            line = connect(server)

            def ask() -> object:
                with lock:
                    request = next(pool)
                return line.send(request)

            return ask

        before = alone()
        served = _rate(8, seconds, client)
        after = alone()
        server.stop()
    own = (before + after) / 2
    note = f"{served:.0f}/s of {own:.0f}/s, DetectFaces 640x640"
    return [at_least("8 clients keep the engine at", served / own, 0.85, "x", note)]


def _rate(threads: int, seconds: float, make: Callable[[int], Callable[[], object]]) -> float:
    """Return how often per second so many threads get an action done."""
    counts = [0] * threads
    actions = [make(i) for i in range(threads)]
    for action in actions:
        action()
    deadline = time.perf_counter() + seconds

    def work(i: int) -> None:
        while time.perf_counter() < deadline:
            actions[i]()
            counts[i] += 1

    begun = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, i) for i in range(threads)]:
            done.result()  # raises what went wrong
    return sum(counts) / (time.perf_counter() - begun)


def starting(quick: bool) -> list[Row]:
    """Measure starts with many enrolled faces, and the memory of an idle server."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        server, _ = start(Path(folder))
        line = connect(server)
        line.send(server.request("DetectFaces", {"Image": {"Bytes": b64encode(photo(640, 60_000)).decode()}}))
        time.sleep(2)
        idle = psutil.Process(server.process.pid).memory_info().rss / 2**20
        rows.append(at_most("Idle memory", idle, 700, "MB", "after one DetectFaces"))
        server.stop()
    for count, bound in ((100_000, 3.0), (1_000_000, 30.0)):
        if quick and count > 100_000:
            continue
        rows.append(_start_with(count, bound))
    return rows


def _start_with(count: int, bound: float) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        app = App.open(replace(load(environ={}), data=Path(folder)))
        face_id = enrol_random(app, "many", count)
        app.close()
        server, begun = start(Path(folder))
        line = connect(server)
        answer = line.send(server.request("SearchFaces", {"CollectionId": "many", "FaceId": face_id, "MaxFaces": 10}))
        seconds = time.perf_counter() - begun
        memory = psutil.Process(server.process.pid).memory_info().rss / 2**20
        assert b"FaceMatches" in answer
        server.stop()
    return at_most(f"Start with {count:,} faces to first answer", seconds, bound, "s", f"then {memory:.0f} MB")


def run(quick: bool) -> list[Row]:
    """Return all figures of the server."""
    return [*overhead(quick), *throughput(quick), *starting(quick)]


__all__ = ["Connection", "Server", "run"]
