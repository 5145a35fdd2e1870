# SPDX-License-Identifier: Apache-2.0
"""The indexes in memory, each brought up to the state of the store before it is searched.

The store is the truth and the index a cache of it. An index remembers the last change that it has seen; a search
reads the collection's change number, in the same snapshot in which it will read the candidates, and loads what came
between. So a process sees at once what another has enrolled or deleted, and nothing has to be announced.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from custodes.db import Vault
from custodes.domain import Float32
from custodes.errors import IntegrityError
from custodes.gallery.index import VectorIndex
from custodes.gallery.rows import Collection
from custodes.gallery.schema import collections, references, removals, subjects

__all__ = ["FACES", "SUBJECTS", "IndexCache", "NewIndex", "Stale", "vectors"]

NewIndex = Callable[[int], VectorIndex]
"""Makes an empty index for vectors of the given dimension."""

FACES = "face"
SUBJECTS = "subject"

_BATCH = 20_000


class Stale(Exception):
    """The index knows rows that the reader's snapshot of the store doesn't: read again."""


@dataclass(slots=True)
class _Entry:
    index: VectorIndex
    change: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def _templates(kind: str) -> sa.Select[int, bytes, bytes, bytes]:
    """Select row number, owner, sealed template and wrapped key of all rows that have a template."""
    table = references if kind == FACES else subjects
    owner = references.c.reference_id if kind == FACES else subjects.c.id
    return sa.select(table.c.id, owner, table.c.template, table.c.template_key).where(table.c.template.is_not(None))


_OF_ROWS = {
    FACES: _templates(FACES).where(references.c.id.in_(sa.bindparam("rows", expanding=True))),
    SUBJECTS: _templates(SUBJECTS).where(subjects.c.id.in_(sa.bindparam("rows", expanding=True))),
}


def _rows_since(kind: str, collection: Collection, seen: int) -> sa.Select[int, bytes, bytes, bytes]:
    table = references if kind == FACES else subjects
    return _templates(kind).where(
        table.c.collection_id == collection.row, table.c.change > seen, table.c.change <= collection.change
    )


def owner_of(kind: str, identity: bytes | int) -> bytes:
    """Return what a sealed template of that kind is bound to."""
    return identity if isinstance(identity, bytes) else f"{kind}:{identity}".encode()


def _decoded(
    vault: Vault, kind: str, rows: Iterator[sa.Row[int, bytes, bytes, bytes]]
) -> tuple[npt.NDArray[np.int64], list[bytes]]:
    keys, blobs = [], []
    unseal = vault.open
    for key, owner, sealed, wrapped in rows:
        keys.append(key)
        blobs.append(unseal(sealed, wrapped, owner_of(kind, owner)))
    return np.array(keys, np.int64), blobs


def vectors(connection: sa.Connection, vault: Vault, kind: str, dimension: int, keys: npt.NDArray[np.int64]) -> Float32:
    """Read and decrypt the templates of some rows.

    Returns:
        ``(n, dimension)`` float32, in the order of ``keys``.

    Raises:
        Stale: if a row is gone.
    """
    out = np.empty((len(keys), dimension), np.float32)
    place = {int(k): i for i, k in enumerate(keys)}
    for start in range(0, len(keys), _BATCH):
        rows = keys[start : start + _BATCH].tolist()
        found, blobs = _decoded(vault, kind, iter(connection.execute(_OF_ROWS[kind], {"rows": rows})))
        if len(found) != len(rows):
            raise Stale
        for key, blob in zip(found, blobs, strict=True):
            out[place[int(key)]] = np.frombuffer(blob, np.float32)
    return out


class IndexCache:
    """The indexes of all collections that were searched in this process."""

    def __init__(self, vault: Vault, new_index: NewIndex) -> None:
        self._vault = vault
        self._new_index = new_index
        self._entries: dict[tuple[int, str], _Entry] = {}
        self._lock = threading.Lock()

    def synced(self, connection: sa.Connection, collection: Collection, kind: str) -> VectorIndex:
        """Return the collection's index, knowing at least what ``connection``'s snapshot knows.

        Raises:
            IntegrityError: if a template doesn't open or has another dimension.
        """
        if (collection.row, kind) not in self._entries:
            self._forget_deleted(connection)
        entry = self._entry(collection, kind)
        if entry.change >= collection.change:
            return entry.index
        with entry.lock:
            if entry.change < collection.change:
                seen, entry.change = entry.change, -1
                try:
                    self._catch_up(connection, collection, kind, entry, seen)
                    entry.change = collection.change
                finally:
                    if entry.change < 0:  # half done: begin anew next time
                        entry.index, entry.change = self._new_index(collection.dimension), 0
            return entry.index

    def is_at(self, collection: Collection, kind: str) -> bool:
        """Tell whether the collection's index knows ``collection``'s change as the last."""
        return self._entry(collection, kind).change == collection.change

    def drop(self, collection: Collection) -> None:
        """Forget a collection that was deleted."""
        with self._lock:
            for kind in (FACES, SUBJECTS):
                self._entries.pop((collection.row, kind), None)

    def _forget_deleted(self, connection: sa.Connection) -> None:
        """Forget collections that other processes have deleted."""
        there = set(connection.execute(sa.select(collections.c.id)).scalars())
        with self._lock:
            for key in [k for k in self._entries if k[0] not in there]:
                del self._entries[key]

    def _entry(self, collection: Collection, kind: str) -> _Entry:
        key = (collection.row, kind)
        entry = self._entries.get(key)
        if entry is None:
            with self._lock:
                entry = self._entries.setdefault(key, _Entry(self._new_index(collection.dimension)))
        return entry

    def _catch_up(self, c: sa.Connection, collection: Collection, kind: str, entry: _Entry, seen: int) -> None:
        if seen < collection.pruned:
            entry.index, seen = self._new_index(collection.dimension), 0
        index = entry.index
        gone = c.execute(
            sa.select(removals.c.row).where(
                removals.c.collection_id == collection.row,
                removals.c.kind == kind,
                removals.c.change > seen,
                removals.c.change <= collection.change,
            )
        ).scalars()
        index.remove(np.fromiter(gone, np.int64))
        query = _rows_since(kind, collection, seen).execution_options(yield_per=_BATCH)
        with c.execute(query) as rows:
            for part in rows.partitions():
                keys, blobs = _decoded(self._vault, kind, iter(part))
                if any(len(b) != 4 * collection.dimension for b in blobs):
                    raise IntegrityError(f"A template of {collection.dimension} numbers was expected.")
                index.add(keys, np.frombuffer(b"".join(blobs), np.float32).reshape(len(keys), collection.dimension))
