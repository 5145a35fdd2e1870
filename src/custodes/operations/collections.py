# SPDX-License-Identifier: Apache-2.0
"""Use cases around collections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from custodes.gallery import Collection, Collections, IndexCache
from custodes.operations.engines import Engines

__all__ = ["CollectionOperations"]


class CollectionOperations:
    """Creating, describing, listing, tagging and deleting collections."""

    def __init__(self, collections: Collections, cache: IndexCache, engines: Engines) -> None:
        self._collections = collections
        self._cache = cache
        self._engines = engines

    def create(self, name: str, tags: Mapping[str, str]) -> Collection:
        """Create a collection that is pinned to the current model pack.

        Raises:
            Conflict: if it exists, or has too many tags.
        """
        pack = self._engines.default.pack
        return self._collections.create(
            name,
            pack=pack.manifest.id,
            pack_version=pack.manifest.version,
            dimension=self._engines.default.dimension,
            labels=tags,
        )

    def describe(self, name: str) -> Collection:
        """Read a collection.

        Raises:
            NotFound: if there is none of that name.
        """
        return self._collections.get(name)

    def list(self, *, after: int, limit: int) -> tuple[tuple[Collection, ...], int | None]:
        """Read a page of collections, and the position to go on from (None at the end)."""
        return self._collections.list(after=after, limit=limit)

    def delete(self, name: str) -> None:
        """Delete a collection with everything in it.

        Raises:
            NotFound: if there is none of that name.
        """
        self._cache.drop(self._collections.delete(name))

    def tags(self, name: str) -> dict[str, str]:
        """Read a collection's tags.

        Raises:
            NotFound: if there is none of that name.
        """
        return self._collections.tags(name)

    def tag(self, name: str, tags: Mapping[str, str]) -> None:
        """Add or change tags.

        Raises:
            NotFound: if there is none of that name.
            Conflict: if there would be too many.
        """
        self._collections.tag(name, tags)

    def untag(self, name: str, keys: Iterable[str]) -> None:
        """Remove tags.

        Raises:
            NotFound: if there is none of that name.
        """
        self._collections.untag(name, keys)
