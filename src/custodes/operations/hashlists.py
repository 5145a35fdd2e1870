# SPDX-License-Identifier: Apache-2.0
"""Use cases around lists of hashes by which images are known without anybody looking at them.

An organisation brings its own lists, as hash-sharing programmes give them to it. Whose list it is is kept sealed; the
ledger has kind and count.
"""

from __future__ import annotations

from collections.abc import Iterable

from custodes.casework import HashKind, HashList, HashLists
from custodes.casework.hashes import parse_hashes
from custodes.governance import Action, Caller
from custodes.operations.desk import Desk
from custodes.operations.guard import Guard

__all__ = ["HashKind", "HashList", "HashListOperations"]


class HashListOperations:
    """Lists of hashes.

    Args:
        guard: authorises and records.
        desk: who is who.
        lists: the store.
    """

    def __init__(self, guard: Guard, desk: Desk, lists: HashLists) -> None:
        self._guard = guard
        self._desk = desk
        self._lists = lists

    def add(self, caller: Caller, name: str, kind: HashKind, lines: Iterable[str]) -> HashList:
        """Keep a list for the caller's organisation; imports heed it from then on.

        Args:
            caller: who brings it.
            name: whose it is, in words.
            kind: what it holds.
            lines: its text, a hash a line.

        Raises:
            Denied: if a rule forbids it.
            Invalid: if a line is no hash, or the name says nothing or is too long.
        """
        hashes = parse_hashes(lines, kind)
        with self._guard.acting(caller, Action.MANAGE_CASES) as acting:
            made = self._lists.add(
                acting.connection, acting.permit.organisation, name, kind, hashes, caller.principal, acting.now
            )
            acting.note(change="hash-list-added", target=made.id, list_kind=str(kind), hashes=made.count)
            return made

    def list(self, caller: Caller) -> tuple[HashList, ...]:
        """List what the caller's organisation has, the oldest first.

        Raises:
            Denied: if the caller is nobody.
        """
        with self._desk.db.read() as c:
            return self._lists.list(c, self._desk.principal(c, caller).organisation)

    def remove(self, caller: Caller, list_id: str) -> None:
        """Destroy a list.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if the organisation has none of this id.
        """
        with self._guard.acting(caller, Action.MANAGE_CASES) as acting:
            self._lists.remove(acting.connection, acting.permit.organisation, list_id)
            acting.note(change="hash-list-removed", target=list_id)
        self._desk.db.scrub()
