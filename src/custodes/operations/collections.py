# SPDX-License-Identifier: Apache-2.0
"""Use cases around collections.

A collection belongs to the organisation that makes it, and to the purpose of the key that it is made with. Where its
images come from, whether it is watched for in public and how long its references are kept are tags that Custodes
reads: ``custodes:public-space`` and ``custodes:retention-days``; they hold from the start and can't be taken away.
A case's own collection is there for those who work on the case alone, and goes with it (see ``admission``).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from custodes.errors import Code, Conflict, Invalid
from custodes.gallery import Collection, Collections, IndexCache
from custodes.governance import Action, Caller, Grounds, Held, Watch
from custodes.operations.admission import Admission
from custodes.operations.engines import Engines
from custodes.operations.erasure import Eraser
from custodes.operations.guard import Guard, held

__all__ = ["CollectionOperations", "Enrolled"]

_PUBLIC_SPACE = "custodes:public-space"
_RETENTION = "custodes:retention-days"
_OURS = frozenset({_PUBLIC_SPACE, _RETENTION})
_MAX_DAYS = 36_500
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Enrolled:
    """How much is enrolled in all collections together."""

    collections: int
    faces: int
    users: int


class CollectionOperations:
    """Creating, describing, listing, tagging and deleting collections.

    Args:
        guard: authorises and records.
        collections, cache, engines: the gallery's, its indexes, and the models that collections are pinned to.
        watch, grounds: kept results and labels of consents, which go with a collection.
        eraser: lets go of what else tells of its references.
        admission: finds collections as callers may know of them.
    """

    def __init__(
        self,
        guard: Guard,
        collections: Collections,
        cache: IndexCache,
        engines: Engines,
        watch: Watch,
        grounds: Grounds,
        eraser: Eraser,
        admission: Admission,
    ) -> None:
        self._guard = guard
        self._collections = collections
        self._cache = cache
        self._engines = engines
        self._watch = watch
        self._grounds = grounds
        self._eraser = eraser
        self._admission = admission

    def create(self, caller: Caller, name: str, tags: Mapping[str, str]) -> Collection:
        """Create a collection that is pinned to the current model pack.

        Raises:
            Denied: if a rule forbids it.
            Conflict: if it exists, has too many tags, or is called like a case that the caller doesn't work on.
            Invalid: if a tag of Custodes' own has another value than it may.
        """
        _refuse_strays(tags)
        public = _truth(tags.get(_PUBLIC_SPACE, "false"))
        days = _days(tags[_RETENTION]) if _RETENTION in tags else None
        uid = uuid.uuid4().hex
        owner = self._guard.organisation_of(caller)
        new = Held(uid, owner, str(caller.purpose), public, days)
        with self._guard.using(caller, Action.CREATE_COLLECTION, new) as using:
            pack = self._engines.default.pack
            if self._admission.is_closed(caller, name):  # cases have random names: nobody means one by chance
                raise Conflict(f"There is a collection {name} already.", code=Code.COLLECTION_EXISTS)
            with using.committing():
                made = self._collections.create(
                    name,
                    pack=pack.manifest.id,
                    pack_version=pack.manifest.version,
                    dimension=self._engines.default.dimension,
                    labels=tags,
                    uid=uid,
                    owner=owner,
                    purpose=new.purpose,
                    public_space=public,
                    retention_days=days,
                )
                using.part.note(model=made.pack_version, retention_days=days)
            return made

    def describe(self, caller: Caller, name: str) -> Collection:
        """Read a collection.

        Raises:
            NotFound: if there is none of that name.
            Denied: if a rule forbids it.
        """
        found = self._admission.get(caller, name)
        with self._guard.using(caller, Action.DESCRIBE_COLLECTION, found):
            return found

    def list(self, caller: Caller, *, after: int, limit: int) -> tuple[tuple[Collection, ...], int | None]:
        """Read a page of the caller's organisation's collections, and the position to go on from (None at the end).

        Own ones of cases that the caller doesn't work on are left out.

        Raises:
            Denied: if a rule forbids it.
        """
        with self._guard.using(caller, Action.LIST_COLLECTIONS) as using:
            page, position = self._admission.list(caller, after=after, limit=limit, owner=using.permit.organisation)
            using.part.note(listed=len(page))
            return page, position

    def delete(self, caller: Caller, name: str) -> None:
        """Delete a collection with everything in it, and all that tells of its references.

        Raises:
            NotFound: if there is none of that name.
            Denied: if a rule forbids it.
            Conflict: if it is a case's own.
        """
        found = self._admission.get(caller, name)
        with self._guard.using(caller, Action.DELETE_COLLECTION, found) as using:
            if self._admission.is_own(found):
                raise Conflict(
                    "This is the own collection of a case, and goes with it.",
                    remedy="Close the case; when its time is over, all of it is erased.",
                )
            with using.committing() as c:
                self._eraser.drop(c, found)
                gone = self._collections.delete(name)
                self._watch.drop_kept(c, gone.uid)
                self._grounds.drop_labels(c, gone.uid)
                using.part.note(erased=gone.face_count, erased_subjects=gone.subject_count)
            self._cache.drop(gone)

    def retain(self, caller: Caller, name: str, days: int | None) -> Collection:
        """Change how long a collection's references are kept; None means without an end.

        Raises:
            NotFound: if there is none of that name.
            Denied: if a rule forbids it.
            Invalid: if it is less than a day or more than 36,500.
        """
        found = self._admission.get(caller, name)
        wanted = None if days is None else _days(str(days))
        asked = replace(held(found), retention_days=wanted)
        with self._guard.using(caller, Action.TAG_COLLECTION, asked) as using, using.committing():
            using.part.note(retention_days=wanted or 0)
            return self._collections.retain(name, wanted)

    def tags(self, caller: Caller, name: str) -> dict[str, str]:
        """Read a collection's tags.

        Raises:
            NotFound: if there is none of that name.
            Denied: if a rule forbids it.
        """
        with self._guard.using(caller, Action.DESCRIBE_COLLECTION, self._admission.get(caller, name)):
            return self._collections.tags(name)

    def tag(self, caller: Caller, name: str, tags: Mapping[str, str]) -> None:
        """Add or change tags.

        Raises:
            NotFound: if there is none of that name.
            Denied: if a rule forbids it.
            Conflict: if there would be too many.
            Invalid: if a tag is Custodes' own.
        """
        _refuse_ours(tags)
        found = self._admission.get(caller, name)
        with self._guard.using(caller, Action.TAG_COLLECTION, found) as using, using.committing():
            self._collections.tag(name, tags)

    def untag(self, caller: Caller, name: str, keys: Iterable[str]) -> None:
        """Remove tags.

        Raises:
            NotFound: if there is none of that name.
            Denied: if a rule forbids it.
            Invalid: if a tag is Custodes' own.
        """
        gone = list(keys)
        _refuse_ours(gone)
        found = self._admission.get(caller, name)
        with self._guard.using(caller, Action.TAG_COLLECTION, found) as using, using.committing():
            self._collections.untag(name, gone)

    # --- the installation's own, nobody's use ---

    def enrolled(self) -> Enrolled:
        """Count what is enrolled, for the operator's metrics."""
        pages = list(self._pages())
        return Enrolled(len(pages), sum(c.face_count for c in pages), sum(c.subject_count for c in pages))

    def names(self) -> tuple[str, ...]:
        """Return the names of all collections, for warming up."""
        return tuple(c.name for c in self._pages())

    def _pages(self) -> Iterable[Collection]:
        position: int | None = 0
        while position is not None:
            page, position = self._collections.list(after=position, limit=_PAGE)
            yield from page


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise Invalid(f"The tag {_PUBLIC_SPACE} is true or false, got {text!r}.")
    return text == "true"


def _days(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _MAX_DAYS:
        raise Invalid(f"References are kept for 1 to {_MAX_DAYS} whole days, got {text[:20]!r}.")
    return int(text)


def _refuse_strays(tags: Iterable[str]) -> None:
    strays = {t for t in tags if t.startswith("custodes:")} - _OURS
    if strays:
        raise Invalid(f"There is no tag {min(strays)}; there are {', '.join(sorted(_OURS))}.")


def _refuse_ours(tags: Iterable[str]) -> None:
    if any(t.startswith("custodes:") for t in tags):
        raise Invalid(
            "Tags that begin with custodes: are given when a collection is made.",
            remedy="custodes retention set changes how long references are kept.",
        )
