# SPDX-License-Identifier: Apache-2.0
"""Working on an import: taking it, asking the rules, opening what it reads, running it, and saying how that ended.

Whoever works on an import holds it (see ``casework.imports``). It ends as done, or as stopped with a reason, or it
waits again; if the process is killed, or something isn't there for a while, it stays held until its time is over, and
somebody takes it up then. What isn't there five times in a row ends it; whoever resumes it begins to count anew.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from custodes.casework import CaseFile, Import, ImportState, ItemOutcome, Lost
from custodes.db.sealing import new_id
from custodes.errors import Conflict, CustodesError, Denied, NotFound, Unavailable
from custodes.gallery import Collection
from custodes.governance import Action, Caller, Purpose
from custodes.operations.cases import CaseOperations
from custodes.operations.importing import Bench, Progress, Run
from custodes.operations.sources import SourceKind, Sources
from custodes.operations.spool import Spool

__all__ = ["ImportWork", "never", "silent"]

_TRIES = 5
"""So often a server tries an import whose source doesn't answer."""


def silent(done: int, total: int) -> None:
    """Tell nobody of progress."""


def never() -> bool:
    """Tell that nothing is to be halted."""
    return False


class ImportWork:
    """Works on imports, each at most once at a time.

    Args:
        bench: what a run works with.
        cases: makes a case's own collection.
        sources, spool: what is read.
    """

    def __init__(self, bench: Bench, cases: CaseOperations, sources: Sources, spool: Spool) -> None:
        self._bench = bench
        self._guard, self._desk, self._store = bench.guard, bench.desk, bench.store
        self._cases = cases
        self._sources = sources
        self._spool = spool
        self.holder = new_id("worker")
        self._mine: set[str] = set()
        self._tries: dict[str, int] = {}
        self._lock = threading.Lock()

    def known(self, caller: Caller, import_id: str) -> tuple[Import, CaseFile]:
        """Return an import and its case.

        Raises:
            NotFound: if there is none, or the caller doesn't work on its case.
        """
        with self._desk.db.read() as c:
            try:
                found = self._store.get(c, import_id)
                return found, self._desk.file(c, caller, found.case)
            except NotFound:
                raise NotFound(
                    "There is no such import, or you don't work on its case.", remedy="custodes import list shows all."
                ) from None

    def go_on(self, import_id: str, halted: Callable[[], bool]) -> Import | None:
        """Work on an import for whoever began it; if they may no more, it is stopped.

        Raises:
            Conflict: if another works on it.
            Unavailable: if something isn't there now.
        """
        with self._desk.db.read() as c:
            try:
                known = self._store.get(c, import_id)
            except NotFound:
                return None
        caller = Caller(known.made_by, Purpose(known.purpose), provenance=known.provenance)
        try:
            found: Import | None = self.work(caller, import_id, silent, 1, halted)
        except (NotFound, Denied) as error:  # whoever began it doesn't work on the case any more
            found = self._left(import_id, error.message)
        except Unavailable as error:
            tries = self._tries.get(import_id, 0) + 1
            if tries < _TRIES:
                self._tries[import_id] = tries
                raise
            found = self._left(import_id, error.message)
        self._tries.pop(import_id, None)
        return found

    def _left(self, import_id: str, why: str) -> Import | None:
        with self._guard.transaction() as c:
            now = self._guard.now(c)
            try:
                known = self._store.take(c, import_id, self.holder, now)
            except NotFound:  # its case is erased
                return None
            self._store.end(c, import_id, ImportState.STOPPED, now, why)
            return known

    def work(
        self, caller: Caller, import_id: str, progress: Progress, workers: int, halted: Callable[[], bool]
    ) -> Import:
        """Bring in what an import hasn't brought in yet; see ``ImportOperations.work``.

        Raises:
            NotFound: if there is none, or the caller doesn't work on its case.
            Conflict: if another works on it, or it is done or stopped.
            Unavailable: if something isn't there now.
        """
        _, file = self.known(caller, import_id)
        with self._working(import_id):
            with self._guard.transaction() as c:
                work = self._store.take(c, import_id, self.holder, self._guard.now(c))
            try:
                self._run(caller, work, file, progress, workers, halted)
            except Lost:
                pass  # how it stands is another's doing
            except Unavailable:
                raise
            except CustodesError as error:
                self._stopped(import_id, error.message)
            except Exception as error:  # whatever it is, it is told, and not tried for ever
                self._stopped(import_id, f"Something went wrong that nobody has foreseen ({type(error).__name__}).")
                raise
            return self.known(caller, import_id)[0]

    @contextmanager
    def _working(self, import_id: str) -> Iterator[None]:
        """See to it that this process works on an import once at a time: all of it is one holder."""
        with self._lock:
            if import_id in self._mine:
                raise Conflict("The import is being worked on.", remedy="Wait for it.")
            self._mine.add(import_id)
        try:
            yield
        finally:
            with self._lock:
                self._mine.discard(import_id)

    def _run(
        self,
        caller: Caller,
        work: Import,
        file: CaseFile,
        progress: Progress,
        workers: int,
        halted: Callable[[], bool],
    ) -> None:
        collection = self._permitted(caller, work, file)
        with self._desk.db.read() as c:
            key = self._store.spool_key(c, work.id)
        with self._sources.open(SourceKind(work.kind), work.location, upload=work.id, key=key) as source:
            with self._guard.transaction() as c:
                self._store.count(c, work.id, len(source.entries), source.listing)
            run = Run(self._bench, work, self.holder, caller, file, collection, progress)
            whole = run.go(source, workers=workers, halted=halted)
        self._end(work, ImportState.DONE if whole else ImportState.WAITING)
        if whole and work.kind == SourceKind.UPLOAD:
            self._spool.remove(work.id)
            self._desk.db.scrub()  # of its key

    def _permitted(self, caller: Caller, work: Import, file: CaseFile) -> Collection:
        """Let the rules decide before anything is read, and return the case's own collection.

        Raises:
            Refused: if a rule forbids it.
        """
        collection = self._cases.collection_of(caller, work.case)
        acting_for = self._desk.calling(caller, file, work.provenance)
        with self._guard.using(acting_for, Action.IMPORT_IMAGES, collection) as using, using.committing() as c:
            self._store.hold(c, work.id, self.holder, self._guard.now(c))
            using.part.note(import_id=work.id, import_kind=work.kind, done=sum(work.counts.values()))
        return collection

    def _end(self, work: Import, state: ImportState) -> None:
        """Note that an import is done, or waits again.

        Raises:
            Lost: if another holds it by now, or it was stopped.
        """
        with self._guard.transaction() as c:
            now = self._guard.now(c)
            self._store.hold(c, work.id, self.holder, now)
            self._store.end(c, work.id, state, now)
            if state == ImportState.DONE:
                known = self._store.get(c, work.id)
                told: dict[str, object] = {"import": work.id, "case": work.case, "organisation": work.organisation}
                told |= {str(o): known.counts.get(o, 0) for o in ItemOutcome}
                self._guard.append_system(c, "import-done", told | {"import_kind": work.kind, "entries": known.total})

    def _stopped(self, import_id: str, why: str) -> None:
        """Note why an import can't go on, unless another holds it by now, or it was stopped."""
        with self._guard.transaction() as c:
            now = self._guard.now(c)
            try:
                self._store.hold(c, import_id, self.holder, now)
            except Lost:
                return
            self._store.end(c, import_id, ImportState.STOPPED, now, why)
