# SPDX-License-Identifier: Apache-2.0
"""One exact search: a snapshot of the store, an index that knows it, and what is told of the candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeAlias, TypeVar

import sqlalchemy as sa

from custodes.db import Database, Vault
from custodes.domain import Template
from custodes.errors import IntegrityError, Invalid, Unavailable
from custodes.gallery.cache import IndexCache, Stale, vectors
from custodes.gallery.rows import Collection, find_collection

__all__ = ["Ask", "Query", "Ranking", "exact_search"]

_SNAPSHOTS = 20
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for: a template of the collection's pack, and the least cosine."""

    probe: Template
    threshold: float


@dataclass(frozen=True, slots=True)
class Ranking(Generic[T]):
    """What a search found, the most alike first, each with its cosine; and the collection as it was searched."""

    collection: Collection
    pairs: tuple[tuple[T, float], ...]


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
) -> Ranking[T]:
    """Find the rows whose templates are most alike to a probe, by the cosine of the float32 vectors.

    Args:
        database, vault, cache: store, keys and indexes.
        kind: which templates: ``cache.FACES`` or ``cache.SUBJECTS``.
        name: the collection.
        ask: makes the query, in the snapshot that is searched.
        limit: length of the candidate list.
        describe: reads the nouns of some rows; rows that are gone may be missing.

    Raises:
        NotFound: if there is no such collection, or as ``ask`` does.
        Invalid: if the probe is of another pack.
        IntegrityError: if a template doesn't open, or isn't the one that the index knows.
        Unavailable: if the collection changes faster than it can be read.
    """
    for _ in range(_SNAPSHOTS):
        with database.read() as c:
            collection = find_collection(c, name)
            query = ask(c, collection)
            if query.probe.pack != collection.pack:
                raise Invalid(f"The collection holds templates of pack {collection.pack}, not {query.probe.pack}.")
            index = cache.synced(c, collection, kind)
            fetch = partial(vectors, c, vault, kind, collection.dimension)
            try:
                hits = index.search(query.probe.vector, limit, query.threshold, fetch)
            except Stale:
                continue
            except IntegrityError:
                if cache.is_at(collection, kind):
                    raise
                continue  # another search has brought the index up to a later state than this snapshot's
            keys = hits.keys.tolist()
            found = describe(c, collection, keys)
            if len(found) == len(keys):
                pairs = tuple((found[k], float(s)) for k, s in zip(keys, hits.scores, strict=True))
                return Ranking(collection, pairs)
    raise Unavailable("The collection changes faster than it can be read.", remedy="Try again.")
