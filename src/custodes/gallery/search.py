# SPDX-License-Identifier: Apache-2.0
"""One exact search: a snapshot of the store, an index that knows it, and what is told of the candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeAlias, TypeVar

import numpy as np
import sqlalchemy as sa

from custodes.db import Database, Vault
from custodes.domain import Float32, Template
from custodes.errors import IntegrityError, Invalid, Unavailable
from custodes.gallery.cache import IndexCache, Stale, vectors
from custodes.gallery.rows import Collection, find_collection

__all__ = ["Ask", "Pairs", "Query", "Ranking", "exact_search"]

_SNAPSHOTS = 20
T = TypeVar("T")
Pairs: TypeAlias = tuple[tuple[T, float], ...]
"""A candidate list: nouns with their cosine, the most alike first."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for: templates of the collection's pack, and the least cosine."""

    probes: tuple[Template, ...]
    threshold: float


@dataclass(frozen=True, slots=True)
class Ranking(Generic[T]):
    """What a search found for one probe, and the collection as it was searched."""

    collection: Collection
    pairs: Pairs[T]


Ask: TypeAlias = Callable[[sa.Connection, Collection], Query]


def exact_search(
    database: Database,
    vault: Vault,
    cache: IndexCache,
    *,
    kind: str,
    name: str,
    ask: Ask,
    limit: int,
    describe: Callable[[sa.Connection, Collection, Sequence[int]], dict[int, T]],
) -> tuple[Ranking[T], ...]:
    """Find the rows whose templates are most alike to each probe, by the cosine of the float32 vectors.

    Args:
        database, vault, cache: store, keys and indexes.
        kind: which templates: ``cache.FACES`` or ``cache.SUBJECTS``.
        name: the collection.
        ask: makes the query, in the snapshot that is searched.
        limit: length of each candidate list.
        describe: reads the nouns of some rows; rows that are gone may be missing.

    Returns:
        A candidate list for each probe, in their order, all of one snapshot.

    Raises:
        NotFound: if there is no such collection, or as ``ask`` does.
        Invalid: if a probe is of another pack.
        IntegrityError: if a template doesn't open, or isn't the one that the index knows.
        Unavailable: if the collection changes faster than it can be read.
    """
    for _ in range(_SNAPSHOTS):
        with database.read() as c:
            collection = find_collection(c, name)
            query = ask(c, collection)
            probes = _stacked(query.probes, collection)
            index = cache.synced(c, collection, kind)
            fetch = partial(vectors, c, vault, kind, collection.dimension)
            try:
                found = index.search_batch(probes, limit, query.threshold, fetch)
            except Stale:
                continue
            except IntegrityError:
                if cache.is_at(collection, kind):
                    raise
                continue  # another search has brought the index up to a later state than this snapshot's
            ranked = [list(zip(hits.keys.tolist(), hits.scores.tolist(), strict=True)) for hits in found]
            keys = list({key: None for pairs in ranked for key, _ in pairs})
            nouns = describe(c, collection, keys)
            if len(nouns) == len(keys):
                return tuple(Ranking(collection, tuple((nouns[k], s) for k, s in pairs)) for pairs in ranked)
    raise Unavailable("The collection changes faster than it can be read.", remedy="Try again.")


def _stacked(probes: Sequence[Template], collection: Collection) -> Float32:
    for probe in probes:
        if probe.pack != collection.pack or len(probe.vector) != collection.dimension:
            raise Invalid(f"The collection holds templates of pack {collection.pack}, not {probe.pack}.")
    return np.array([p.vector for p in probes], np.float32).reshape(len(probes), collection.dimension)
