# SPDX-License-Identifier: Apache-2.0
"""What the ledger costs: durable entries, beside a bare durable insert, and verifying and proving a large log."""

from __future__ import annotations

import random
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.report import Row, at_least, at_most, interleaved
from custodes.db import Database, Vault
from custodes.ledger import FileSigner, Log, NewEntry, VerifierKey, open_source, verify
from custodes.ledger.checkpoint import verify_checkpoint
from custodes.ledger.merkle import leaf_hash, verify_inclusion

__all__ = ["run"]

_LARGE = 1_000_255
"""A million, and as many more as make every proof read the longest partial tile."""
_BATCH = 1_000


def _body(random_: random.Random) -> dict[str, object]:
    """Return a decision as it is logged: with time and kind about 900 bytes."""

    def token(digits: int) -> str:
        return f"{random_.getrandbits(4 * digits):0{digits}x}"

    return {
        "decision": "permit",
        "operation": "SearchFacesByImage",
        "organisation": {"id": token(32), "class": "law-enforcement", "jurisdiction": "US-WA"},
        "principal": token(32),
        "purpose": "missing-person",
        "case": {"id": token(32), "state": "open", "kind": "missing-person"},
        "authority": {"id": token(32), "document": token(64)},
        "collection": token(32),
        "threshold": 99.0,
        "candidates": random_.randrange(10),
        "pack": {"id": "default", "sha256": token(64)},
        "rules": ["base.provenance", "moratorium-2020.exemption", "us-wa.warrant", "amazon-public-safety.floor"],
        "rulebooks": token(64),
        "probe": token(64),
    }


def _bodies(count: int) -> Iterator[dict[str, object]]:
    random_ = random.Random(5)
    return (_body(random_) for _ in range(count))


def _open(folder: Path) -> tuple[Database, Log]:
    database = Database(f"sqlite:///{folder / 'ledger.sqlite3'}")
    database.migrate()
    return database, Log(database, Vault(bytes(32)), FileSigner("bench.example/ledger", bytes(32)))


def _fill(database: Database, log: Log, bodies: list[dict[str, object]]) -> float:
    """Append durable batches, and return entries a second."""
    start = time.perf_counter()
    for i in range(0, len(bodies), _BATCH):
        with database.transaction() as c:
            log.append_many(c, [NewEntry("decision", body) for body in bodies[i : i + _BATCH]])
    return len(bodies) / (time.perf_counter() - start)


def _single(folder: Path, runs: int) -> list[Row]:
    """Time one durable entry beside one durable insert of the same bytes, in turn."""
    database, log = _open(folder)
    _fill(database, log, list(_bodies(2_000)))
    bodies, data = list(_bodies(200)), log.entry(0)
    with database.transaction() as c:
        c.exec_driver_sql("CREATE TABLE bare (id INTEGER PRIMARY KEY, data BLOB NOT NULL)")
    plain = sqlite3.connect(folder / "plain.sqlite3", isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
        plain.execute(f"PRAGMA {pragma}")
    plain.execute("CREATE TABLE bare (id INTEGER PRIMARY KEY, data BLOB NOT NULL)")

    def entry() -> None:
        with database.transaction() as c:
            log.append(c, "decision", random.choice(bodies))

    def bare() -> None:
        with database.transaction() as c:
            c.exec_driver_sql("INSERT INTO bare (data) VALUES (?)", (data,))

    def driver() -> None:
        plain.execute("BEGIN IMMEDIATE")
        plain.execute("INSERT INTO bare (data) VALUES (?)", (data,))
        plain.execute("COMMIT")

    ours, theirs, least = interleaved(runs, entry, bare, driver, pick=lambda t: float(np.median(t)))
    within: list[float] = []
    for _ in range(20):  # a good many tiles are filled
        with database.transaction() as c:
            start = time.perf_counter()
            for body in bodies:
                log.append(c, "decision", body)
            within.append((time.perf_counter() - start) / len(bodies))
    plain.close()
    database.close()
    return [
        Row("one durable entry", ours * 1e3, "us", note=f"{len(data)} bytes"),
        Row("one durable entry beside a bare insert", ours / theirs, "x", note=f"{theirs * 1e3:.0f} us by Database"),
        Row("one durable entry beside the driver's insert", ours / least, "x", note=f"{least * 1e3:.0f} us by sqlite3"),
        at_most("one entry within a transaction", min(within) * 1e6, 60, "us", "mean of 200"),
    ]


def _proofs(log: Log, size: int, count: int) -> list[Row]:
    """Time and check proofs for random entries: with nothing in memory, the best of three, and as they come."""
    checkpoint, _ = verify_checkpoint(log.checkpoint(fresh=True), VerifierKey.parse(log.vkey))
    random_, cold, warm = random.Random(7), [], []

    def timed(index: int) -> float:
        start = time.perf_counter()
        proof = log.inclusion(index, size)
        took = (time.perf_counter() - start) * 1e3
        verify_inclusion(leaf_hash(log.entry(index)), index, size, proof, checkpoint.root)
        return took

    for _ in range(count):
        index, tries = random_.randrange(size), []
        for _ in range(3):
            log._stored._trees.clear()
            tries.append(timed(index))
        cold.append(min(tries))
    for _ in range(count):
        warm.append(timed(random_.randrange(size)))
    return [
        at_most(f"{size:,} entries: proof for any entry, median", float(np.median(warm)), 1.0, "ms"),
        Row(f"{size:,} entries: proof, 99th percentile", float(np.percentile(warm, 99)), "ms"),
        at_most(f"{size:,} entries: proof with nothing in memory, median", float(np.median(cold)), 1.0, "ms"),
        at_most(f"{size:,} entries: proof with nothing in memory, slowest", max(cold), 1.0, "ms", f"of {count:,}"),
    ]


def _large(folder: Path, size: int) -> list[Row]:
    """Fill a large log, prove, publish and verify it."""
    database, log = _open(folder)
    rates = []
    for start in range(0, size, 50_000):
        bodies = list(_bodies(min(50_000, size - start)))
        rates.append(_fill(database, log, bodies))
    rows = [at_least(f"durable entries in batches of {_BATCH:,}, slowest", min(rates), 2_000, "/s")]
    rows += _proofs(log, size, 2_000)
    start_at = time.perf_counter()
    log.check()
    rows.append(Row(f"{size:,} entries: check at a start", (time.perf_counter() - start_at) * 1e3, "ms"))
    start_at = time.perf_counter()
    made = log.publish(folder / "www")
    rows.append(Row(f"{size:,} entries: published", time.perf_counter() - start_at, "s", note=f"{made.written} files"))
    start_at = time.perf_counter()
    assert verify(open_source(str(folder / "www")), vkey=log.vkey).root == log.root()
    took = time.perf_counter() - start_at
    rows.append(at_most(f"{size:,} entries: verified from files", took, 60 * size / 1e6, "s"))
    database.close()
    return rows


def run(quick: bool) -> list[Row]:
    """Measure everything; ``quick`` takes a tenth of the entries."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "small").mkdir()
        (folder / "large").mkdir()
        rows = _single(folder / "small", 100 if quick else 500)
        rows += _large(folder / "large", _LARGE // 10 if quick else _LARGE)
    return rows
