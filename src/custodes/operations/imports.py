# SPDX-License-Identifier: Apache-2.0
"""Use cases around imports: beginning one, uploading to one, working on it, stopping it, going on, and its report.

An import is begun by a person and worked on by that person's process or by the server (see ``worker``), for whoever
began it: the rules decide on every image as if that person brought it. Whatever ends the work, nothing is repeated and
nothing lost (see ``importing``). What it may bring in and what not is ``sources``' part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from custodes.casework import CaseFile, Import, ImportItem, ImportState, ItemOutcome
from custodes.casework.imports import printable
from custodes.db.sealing import new_id, words
from custodes.errors import Conflict, Invalid
from custodes.governance import Action, Caller
from custodes.operations.cases import CaseOperations
from custodes.operations.guard import Using
from custodes.operations.importing import Bench, Progress
from custodes.operations.importwork import ImportWork, never, silent
from custodes.operations.sources import SourceKind, Sources
from custodes.operations.spool import Spool

__all__ = ["ImportOperations", "Progress", "SourceKind"]

_PAGE = 1000
_BY_PERSON = "It was stopped by somebody who works on the case."


class ImportOperations:
    """Imports.

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
        self._work = ImportWork(bench, cases, sources, spool)

    # --- beginning ---

    def begin(
        self,
        caller: Caller,
        case: str,
        kind: SourceKind,
        location: str,
        *,
        provenance: str | None,
        basis: str,
        source: str,
        sensitive: bool | None = None,
        at_once: bool = False,
    ) -> Import:
        """Begin to bring images into a case; the work itself is for :meth:`work`, or for the server.

        Folders, ZIPs and manifests are read from this machine's disk with the rights of this process: only whoever sits
        at the machine may name one. Others upload, or name a bucket.

        Args:
            caller: who brings them.
            case: which case.
            kind, location: what is read: a folder, a ZIP, a manifest (by path), or BUCKET/PREFIX.
            provenance: where the images come from; the caller's own unless given.
            basis, source: on which legal basis they are held, and who gave them.
            sensitive: whether they are blurred until asked for; as the case says unless given.
            at_once: whether this process works on it now, so that no other takes it up.

        Raises:
            Denied: if a rule forbids it, as for scraped images.
            NotFound: if there is no such case, file or folder.
            Invalid: if it isn't what it is said to be, holds too much, or a text has no valid form.
        """
        if kind == SourceKind.UPLOAD:
            raise Invalid("An upload is begun with its bytes.")
        _check(basis, source)
        place = self._sources.place(kind, location)
        with self._beginning(caller, case, provenance) as (using, file):
            if kind != SourceKind.BUCKET:
                with self._sources.open(kind, place):
                    pass  # what can't be read is told at once
            return self._begun(
                using,
                file,
                kind,
                location=place,
                basis=basis,
                source=source,
                sensitive=sensitive,
                holder=self._work.holder if at_once else None,
            )

    def spool(
        self,
        caller: Caller,
        case: str,
        chunks: Iterable[bytes],
        *,
        name: str,
        provenance: str | None,
        basis: str,
        source: str,
        sensitive: bool | None = None,
    ) -> Import:
        """Keep an upload, sealed, and begin its import; a server brings it in, and then it is gone.

        Args:
            caller: who uploads.
            case: which case.
            chunks: the bytes of a ZIP or of one photo, as they come.
            name: of the file; hostile.
            provenance, basis, source, sensitive: as :meth:`begin`.

        Raises:
            Denied: if a rule forbids it; then no byte is read.
            NotFound: if there is no such case.
            TooLarge: if there are too many bytes (code ``body-bytes``).
            Invalid: if it is neither a ZIP nor a photo, or a text has no valid form.
            Unavailable: if there is no room for it.
        """
        _check(basis, source)
        import_id, told = new_id("imp"), printable(name, 500) or "upload"
        with (
            self._beginning(caller, case, provenance) as (using, file),
            self._spool.receive(import_id, chunks) as key,
        ):
            with self._sources.open(SourceKind.UPLOAD, told, upload=import_id, key=key):
                pass  # what can't be read is told at once
            return self._begun(
                using,
                file,
                SourceKind.UPLOAD,
                location=told,
                basis=basis,
                source=source,
                sensitive=sensitive,
                import_id=import_id,
                spool_key=key,
            )

    @contextmanager
    def _beginning(self, caller: Caller, case: str, provenance: str | None) -> Iterator[tuple[Using, CaseFile]]:
        with self._desk.db.read() as c:
            file = self._desk.file(c, caller, case)
        acting_for = self._desk.calling(caller, file, provenance)
        with self._guard.using(acting_for, Action.IMPORT_IMAGES, self._cases.collection_of(caller, case)) as using:
            yield using, file

    def _begun(
        self,
        using: Using,
        file: CaseFile,
        kind: SourceKind,
        *,
        location: str,
        basis: str,
        source: str,
        sensitive: bool | None,
        holder: str | None = None,
        import_id: str | None = None,
        spool_key: bytes = b"",
    ) -> Import:
        caller = using.caller
        with using.committing() as c:
            made = self._store.begin(
                c,
                file.id,
                file.organisation,
                str(kind),
                location=location,
                provenance=caller.provenance or "",  # which no rule would have permitted
                basis=basis,
                source=source,
                sensitive=file.sensitive if sensitive is None else sensitive,
                by=caller.principal,
                purpose=str(caller.purpose),
                now=self._guard.now(c),
                import_id=import_id,
                spool_key=spool_key,
                holder=holder,
            )
            using.part.note(import_id=made.id, import_kind=str(kind), provenance=caller.provenance)
        return made

    # --- reading ---

    def get(self, caller: Caller, import_id: str) -> Import:
        """Read an import.

        Raises:
            NotFound: if there is none, or the caller doesn't work on its case.
        """
        return self._work.known(caller, import_id)[0]

    def list(self, caller: Caller, case: str) -> tuple[Import, ...]:
        """Read the imports of a case, the newest first.

        Raises:
            NotFound: if there is no such case, or the caller doesn't work on it.
        """
        with self._desk.db.read() as c:
            self._desk.file(c, caller, case)
            return self._store.list(c, case)

    def items(
        self,
        caller: Caller,
        import_id: str,
        *,
        outcome: ItemOutcome | None = None,
        after: int = -1,
        limit: int = _PAGE,
    ) -> tuple[tuple[ImportItem, ...], int | None]:
        """Read a page of what became of an import's entries, by number, and where to go on (None at the end).

        Raises:
            NotFound: if there is no such import, or the caller doesn't work on its case.
        """
        self._work.known(caller, import_id)
        with self._desk.db.read() as c:
            return self._store.items(c, import_id, outcome=outcome, after=after, limit=max(1, min(limit, _PAGE)))

    # --- stopping and going on ---

    def stop(self, caller: Caller, import_id: str, why: str = _BY_PERSON) -> Import:
        """Stop an import; whoever works on it ends with the entries that are under way.

        Raises:
            NotFound: if there is none, or the caller doesn't work on its case.
            Conflict: if it is done or stopped.
        """
        return self._change(caller, import_id, ImportState.STOPPED, "import-stopped", why)

    def resume(self, caller: Caller, import_id: str) -> Import:
        """Let an import go on that was stopped, or that somebody has left; who works on it has to let go of it.

        Raises:
            NotFound: if there is none, or the caller doesn't work on its case.
            Conflict: if it is done.
        """
        return self._change(caller, import_id, ImportState.WAITING, "import-resumed")

    def _change(self, caller: Caller, import_id: str, to: ImportState, event: str, why: str = "") -> Import:
        known, file = self._work.known(caller, import_id)
        with self._guard.transaction() as c:
            state = self._store.get(c, import_id).state
            if state in (ImportState.DONE, to):
                raise Conflict(f"The import is {state} already.")
            self._store.end(c, import_id, to, self._guard.now(c), why)
            told = {"import": import_id, "case": known.case, "organisation": file.organisation}
            self._guard.append_system(c, event, told | {"principal": caller.principal})
            return self._store.get(c, import_id)

    # --- working ---

    def pending(self) -> tuple[str, ...]:
        """Return the imports that wait for somebody to work on them, the oldest first."""
        with self._desk.db.read() as c:
            return self._store.unfinished(c, self._guard.now(c))

    def go_on(self, import_id: str, *, halted: Callable[[], bool] = never) -> Import | None:
        """Work on an import for whoever began it; if they may no more, it is stopped.

        Args:
            import_id: which.
            halted: whether to end early.

        Returns:
            The import as it is then, or None if it is gone.

        Raises:
            Conflict: if another works on it.
            Unavailable: if something isn't there now; it is tried again later.
        """
        return self._work.go_on(import_id, halted)

    def work(
        self,
        caller: Caller,
        import_id: str,
        *,
        progress: Progress = silent,
        workers: int = 1,
        halted: Callable[[], bool] = never,
    ) -> Import:
        """Bring in what an import hasn't brought in yet.

        Args:
            caller: who brings the images.
            import_id: which import.
            progress: told how many entries are done, of how many.
            workers: images that are looked at at once.
            halted: whether to end early; the import waits then.

        Returns:
            The import as it is then: done; or stopped, as when a rule forbids to go on (it says why); or another's.

        Raises:
            NotFound: if there is none, or the caller doesn't work on its case.
            Conflict: if another works on it, or it is done or stopped.
            Unavailable: if something isn't there now, as a bucket; it can go on later.
        """
        return self._work.work(caller, import_id, progress, workers, halted)

    def sweep(self) -> int:
        """Remove what uploads have left that no import needs, and return how many files these were."""

        def needed() -> frozenset[str]:
            with self._desk.db.read() as c:
                return self._store.spooled(c)

        return self._spool.sweep(needed)


def _check(basis: str, source: str) -> None:
    """Check what is said before anything is read.

    Raises:
        Invalid: if a text is too long, or says nothing.
    """
    words(basis, "A legal basis", 500, empty=False)
    words(source, "A source", 500, empty=False)
