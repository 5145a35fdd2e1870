# SPDX-License-Identifier: Apache-2.0
"""The end of cases: when the time after their closing is over, all that is in them is erased.

A case that can't be erased keeps none of the others: they go, and then it is told.
"""

from __future__ import annotations

from custodes.casework import CaseFile
from custodes.errors import CustodesError, NotFound, Unavailable
from custodes.gallery import Collection, Collections, References
from custodes.ledger import Log
from custodes.operations.desk import Desk
from custodes.operations.entries import erased_parts
from custodes.operations.erasure import Eraser
from custodes.operations.guard import Guard
from custodes.operations.owners import owner_of_case, owner_of_image

__all__ = ["CaseErasure"]

_BATCH = 500


class CaseErasure:
    """Erases cases.

    Args:
        guard: records.
        desk: what casework's operations share.
        collections, references: the gallery.
        eraser, log: let go of what the ledger's openings tell.
    """

    def __init__(
        self,
        guard: Guard,
        desk: Desk,
        collections: Collections,
        references: References,
        eraser: Eraser,
        log: Log,
    ) -> None:
        self._guard = guard
        self._desk = desk
        self._collections = collections
        self._references = references
        self._eraser = eraser
        self._log = log

    def run(self) -> int:
        """Erase everything in the cases whose time after closing is over, and return how many those were.

        Raises:
            Unavailable: if some of them couldn't be erased; all others are.
        """
        with self._desk.db.read() as c:
            due = self._desk.files.due(c, self._guard.now(c))
        failed: list[tuple[str, CustodesError]] = []
        for case in due:
            try:
                self._erase(case)
            except CustodesError as error:
                if not isinstance(error, NotFound) or self._is_there(case):  # otherwise another process was faster
                    failed.append((case, error))
        if due:
            self._desk.db.scrub()
        if failed:
            first, why = failed[0]
            raise Unavailable(
                f"{len(failed)} of {len(due)} cases that are due couldn't be erased; {first}: {why.message}",
                remedy=why.remedy,
            ) from why
        return len(due)

    def _is_there(self, case: str) -> bool:
        with self._desk.db.read() as c:
            return case in self._desk.files.ids(c)

    def _erase(self, case: str) -> None:
        """Erase a case: the references of its own collection a batch at a time, then the rest in one transaction."""
        desk = self._desk
        with desk.db.read() as c:
            file = desk.files.get(c, case)
            own = desk.own_collection(c, file)
            owners = [owner_of_image(i) for i in desk.images.ids(c, case)]  # some go with their references
        erased = 0 if own is None else self._erase_references(file, own)
        with self._guard.transaction() as c:
            if own is not None:
                self._eraser.drop(c, own)  # what was enrolled in between
                self._collections.delete(own.name)
            self._log.forget(c, [*owners, owner_of_case(case)])
            desk.files.erase(c, case)
            told = {"case": case, "organisation": file.organisation, "images": len(owners), "references": erased}
            self._guard.append_system(c, "case-erased", told)

    def _erase_references(self, file: CaseFile, own: Collection) -> int:
        gone = 0
        while True:
            page, _ = self._references.list(own.name, after=0, limit=_BATCH)
            if not page:
                return gone
            with self._guard.transaction() as c:
                ids = self._eraser.erase(c, own, [r.reference_id for r in page])
                told = {"collection": own.uid, "organisation": file.organisation, "case": file.id}
                for part in erased_parts(ids):
                    self._guard.append_system(c, "case-erased-references", told | part.details, part.openings)
                gone += len(ids)
