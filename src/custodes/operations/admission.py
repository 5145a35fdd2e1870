# SPDX-License-Identifier: Apache-2.0
"""Which collections there are for a caller: a case's own is there for those who work on the case, and nobody else.

A case's own collection is the one that is called like the case. To all others, administrators and other organisations
too, it reads as if it weren't there, by whatever way they come. What the rules say of a use is decided after that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from custodes.casework import CaseFiles
from custodes.db import Database
from custodes.errors import Code, NotFound
from custodes.gallery import Collection, Collections
from custodes.governance import Caller

__all__ = ["Admission"]


class Admission:
    """Finds collections as a caller may know of them.

    Args:
        database: where all is.
        files: know who works on a case.
        collections: the gallery's.
        see: notes that somebody sees scores of references of a collection, by random id, or refuses it.
    """

    def __init__(
        self,
        database: Database,
        files: CaseFiles,
        collections: Collections,
        see: Callable[[Caller, str, Sequence[str]], None],
    ) -> None:
        self._db = database
        self._files = files
        self._collections = collections
        self._see = see

    def get(self, caller: Caller, name: str) -> Collection:
        """Read a collection.

        Raises:
            NotFound: if there is none of that name, or it is the own one of a case that the caller doesn't work on.
        """
        if self.is_closed(caller, name):
            raise NotFound(f"There is no collection {name}.", code=Code.COLLECTION_MISSING)
        return self._collections.get(name)

    def is_closed(self, caller: Caller, name: str) -> bool:
        """Tell whether a name is that of a case which the caller doesn't work on."""
        with self._db.read() as c:
            return name in self._files.closed_to(c, caller.principal, [name])

    def list(self, caller: Caller, *, after: int, limit: int, owner: str) -> tuple[tuple[Collection, ...], int | None]:
        """Read a page of an owner's collections that the caller may know of, and where to go on (None at the end)."""
        found: list[Collection] = []
        position: int | None = after
        while position is not None and len(found) < limit:
            page, position = self._collections.list(after=position, limit=limit - len(found), owner=owner)
            with self._db.read() as c:
                closed = self._files.closed_to(c, caller.principal, [k.name for k in page])
            found += [k for k in page if k.name not in closed]
        return tuple(found), position

    def is_own(self, collection: Collection) -> bool:
        """Tell whether a collection is some case's own."""
        with self._db.read() as c:
            return self._files.has_own(c, collection.name, collection.owner)

    def show(self, caller: Caller, collection: Collection, reference_ids: Sequence[str]) -> None:
        """Note that the caller is about to see how alike references are to somebody, in whichever cases that matters.

        Whoever has seen it is no blind reviewer of these references any more.

        Raises:
            Denied: if the caller is in the middle of judging any of them blind.
        """
        self._see(caller, collection.uid, reference_ids)
