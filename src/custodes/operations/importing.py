# SPDX-License-Identifier: Apache-2.0
"""One run of an import: entry by entry, in the order of its source, from wherever the last run ended.

An entry is read, compared with the lists of known bytes and with what the case has, and only then decoded, within a
use of its own that the rules decide. Its image, the references of its faces, the entry's outcome and the ledger's entry
are one transaction: whatever ends the process, all of it is there or none. Entries that come to nothing change nothing
else, and are noted some at a time; whoever goes on does the last of them again.

Reading and hashing go ahead of looking, which threads may do several at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from custodes.casework import (
    CaseFile,
    HashLists,
    ImageRole,
    Import,
    ImportItem,
    Imports,
    ItemOutcome,
    KnownHashes,
)
from custodes.casework.imports import printable
from custodes.config import Limits
from custodes.db import hold
from custodes.db.sealing import new_id
from custodes.domain import Face, QualityFilter, Reference
from custodes.errors import Invalid
from custodes.gallery import Collection, NewReference, References
from custodes.governance import Action, Caller
from custodes.operations.desk import Desk, Origin, Seen
from custodes.operations.engines import Engines
from custodes.operations.guard import Guard, Using
from custodes.operations.owners import owner_of, owner_of_image
from custodes.operations.photos import passing
from custodes.operations.refusals import Reason, reason_of, unfit
from custodes.operations.sources import Entry, Source, check_content
from custodes.vision.dates import taken_at
from custodes.vision.image import check

__all__ = ["Bench", "Progress", "Run"]

Progress = Callable[[int, int], None]
"""Told how many entries are done, of how many."""

_TOGETHER = 200
"""Entries that came to nothing and are noted together, unless ..."""
_SECONDS = 1.0
"""... so much time has passed."""
_NAME = 1000


@dataclass(frozen=True, slots=True)
class Bench:
    """What a run works with."""

    guard: Guard
    desk: Desk
    references: References
    engines: Engines
    store: Imports
    lists: HashLists
    limits: Limits


class Run:
    """Brings the entries of a source into a case, as long as it holds the import.

    Args:
        bench: what it works with.
        work: the import.
        holder: who holds it.
        caller: who brings the images.
        file: the case.
        collection: the case's own.
        progress: told as entries are done.
    """

    def __init__(
        self,
        bench: Bench,
        work: Import,
        holder: str,
        caller: Caller,
        file: CaseFile,
        collection: Collection,
        progress: Progress,
    ) -> None:
        self._bench = bench
        self._guard, self._desk, self._store = bench.guard, bench.desk, bench.store
        self._work = work
        self._holder = holder
        self._caller = caller
        self._file = file
        self._collection = collection
        self._progress = progress
        self._engine = bench.engines.of(collection.pack)
        self._known = KnownHashes()
        self._lists: tuple[str, ...] = ()
        self._going: dict[Future[None], bytes] = {}
        self._fruitless: list[ImportItem] = []
        self._noted_at = time.monotonic()
        self._done, self._total = 0, 0
        with self._desk.db.read() as c:
            self._begun_at = self._guard.now(c)

    def go(self, source: Source, *, workers: int, halted: Callable[[], bool]) -> bool:
        """Bring in what isn't done yet, and return whether that is all; it isn't if it was halted.

        Args:
            source: what is brought in.
            workers: images that are looked at at once.
            halted: whether to end early.

        Raises:
            Lost: if another holds the import by now, or it was stopped.
            CustodesError: if a rule forbids it, or something isn't there.
        """
        with self._desk.db.read() as c:
            done = self._store.done(c, self._work.id)
        self._done, self._total = len(done), len(source.entries)
        self._progress(self._done, self._total)
        self._refresh()
        with ThreadPoolExecutor(workers, thread_name_prefix="import") as pool:
            try:
                for entry in source.entries:
                    if entry.number not in done:
                        if halted():
                            return False
                        self._take(entry, pool, workers)
                self._settle()
                return True
            finally:
                pool.shutdown(cancel_futures=True)  # what is being looked at is done first
                self._note_fruitless()

    def _take(self, entry: Entry, pool: ThreadPoolExecutor, workers: int) -> None:
        """Read an entry, and have it looked at if it can be an image that the case hasn't."""
        data = self._sifted(entry)
        if data is not None:
            key = self._desk.key(data)
            self._settle(2 * workers - 1, key)
            if not self._is_there(entry, key):
                self._going[pool.submit(self._bring, entry, data, key)] = key
        if len(self._fruitless) >= _TOGETHER or time.monotonic() - self._noted_at >= _SECONDS:
            self._note_fruitless()
            self._refresh()

    def _settle(self, most: int = 0, key: bytes | None = None) -> None:
        """Wait until at most so many images are being looked at, and none of the same bytes as one.

        Raises:
            CustodesError: if one can't be brought in, and so no other.
        """
        while len(self._going) > most or (key is not None and key in self._going.values()):
            for future in wait(self._going, return_when=FIRST_COMPLETED).done:
                del self._going[future]
                future.result()
                self._tell()

    def _tell(self) -> None:
        self._done += 1
        self._progress(self._done, self._total)

    def _refresh(self) -> None:
        """Open the lists of known hashes, if there are others than before."""
        lists, organisation = self._bench.lists, self._file.organisation
        with self._desk.db.read() as c:
            stamp = lists.stamp(c, organisation)
            if stamp != self._lists:
                self._known, self._lists = lists.known(c, organisation), stamp

    # --- what comes to nothing ---

    def _sifted(self, entry: Entry) -> bytes | None:
        """Return an entry's bytes if it may be a photo, by what it says of itself; nothing of it is decoded."""
        try:
            data = entry.read()
            known = self._known.find_exact(data)
            if known is None:
                check_content(data)
                check(data, self._bench.limits)
                if entry.told.taken_at is not None and entry.told.taken_at > self._begun_at:
                    raise unfit(Reason.DATE)
                return data
        except Invalid as error:
            self._drop(_refused(entry, error))
        else:
            self._drop(_known(entry, Reason.EXACT, known))
        return None

    def _is_there(self, entry: Entry, key: bytes) -> bool:
        """Tell whether the case has the same bytes already."""
        with self._desk.db.read() as c:
            if self._desk.images.has(c, self._file.id, key) is None:
                return False
        self._drop(_duplicate(entry))
        return True

    def _drop(self, item: ImportItem) -> None:
        self._fruitless.append(item)
        self._tell()

    def _note_fruitless(self) -> None:
        """Note what came to nothing, and that the import is being worked on.

        Raises:
            Lost: if it isn't any more, by this run.
        """
        self._noted_at = time.monotonic()
        if self._fruitless:
            with self._guard.transaction() as c:
                self._store.hold(c, self._work.id, self._holder, self._guard.now(c))
                self._store.note(c, self._work.id, self._fruitless)
            self._fruitless.clear()

    # --- what may be an image of the case ---

    def _bring(self, entry: Entry, data: bytes, key: bytes) -> None:
        """Decide on an entry, look at it, and keep it with its faces, or note why not.

        Raises:
            Refused: if a rule forbids it.
            Lost: if another holds the import by now.
        """
        origin = self._origin(entry, data)
        caller = self._desk.calling(self._caller, self._file, origin.provenance)
        with self._guard.using(caller, Action.IMPORT_IMAGES, self._collection) as using:
            using.part.note(import_id=self._work.id)
            seen = self._look(entry, data)
            good, _ = passing(self._engine, seen.faces, QualityFilter.AUTO) if isinstance(seen, Seen) else ((), ())
            templates = self._engine.embed(good)
            new = [NewReference(f.box, f.confidence, t) for f, t in zip(good, templates, strict=True)]
            with using.committing() as c:
                now = self._guard.now(c)
                self._store.hold(c, self._work.id, self._holder, now)
                hold(c, f"custodes.import.{self._file.id}")  # two imports of one case may meet the same bytes
                if isinstance(seen, ImportItem):
                    item = seen
                elif self._desk.images.has(c, self._file.id, key) is not None:  # it came another way meanwhile
                    item = _duplicate(entry)
                else:
                    image = self._keep(c, using, seen, key, origin, good, new, now)
                    item = ImportItem(entry.number, ItemOutcome.IMPORTED, "", entry.name, "", image)
                using.part.note(images=int(item.outcome == ItemOutcome.IMPORTED))
                self._store.note(c, self._work.id, [item])

    def _look(self, entry: Entry, data: bytes) -> Seen | ImportItem:
        """Decode an image and find its faces; one that a list knows by its looks isn't looked at further."""
        try:
            image = self._engine.decode(data)
        except Invalid as error:
            return _refused(entry, error)
        if self._known.near:
            known = self._known.find_near(self._desk.perceptual(image))
            if known is not None:
                return _known(entry, Reason.PERCEPTUAL, known)
        return self._desk.look(self._engine, data, image)

    def _keep(
        self,
        c: sa.Connection,
        using: Using,
        seen: Seen,
        key: bytes,
        origin: Origin,
        good: Sequence[Face],
        new: Sequence[NewReference],
        now: datetime,
    ) -> str:
        """Keep an image and enrol its faces, in a transaction; return the image's id."""
        image = new_id("img")
        references: Sequence[Reference] = ()
        if new:
            references = self._bench.references.enrol(
                self._collection.name,
                new,
                image_id=key,
                external_image_id=image,
                image_size=seen.image.size,
                provenance=origin.provenance,
            )
        ids = {id(f): r.reference_id for f, r in zip(good, references, strict=True)}
        made = self._desk.keep(
            c,
            self._file,
            seen,
            ImageRole.IMPORTED,
            origin,
            by=self._caller.principal,
            now=now,
            references=[ids.get(id(f)) for f in seen.faces],
            import_id=self._work.id,
            image_id=image,
        )
        part = using.part
        part.note(image_id=image, role=str(ImageRole.IMPORTED), faces=len(seen.faces), enrolled=len(references))
        part.note(provenance=origin.provenance, model=self._collection.pack_version)
        part.commit("image", made.sha256.encode(), owner_of_image(image))
        for number, reference in enumerate(references):
            owner = owner_of(reference.reference_id)
            part.commit(f"reference.{number}", reference.reference_id.encode(), owner)
            part.mentions.append(owner)
        return image

    def _origin(self, entry: Entry, data: bytes) -> Origin:
        """Return where an image comes from: as is said of it alone, else of all."""
        told, work = entry.told, self._work
        taken = told.taken_at or taken_at(data)
        return Origin(
            provenance=told.provenance or work.provenance,
            basis=told.basis or work.basis,
            source=told.source or work.source,
            name=printable(entry.name, _NAME),
            taken_at=taken if taken is not None and taken <= self._begun_at else None,  # a camera's clock may be wrong
            sensitive=work.sensitive if told.sensitive is None else told.sensitive,
        )


def _refused(entry: Entry, error: Invalid) -> ImportItem:
    return ImportItem(entry.number, ItemOutcome.REFUSED, reason_of(error), entry.name, error.message)


def _duplicate(entry: Entry) -> ImportItem:
    told = unfit(Reason.SAME_BYTES).message
    return ImportItem(entry.number, ItemOutcome.DUPLICATE, Reason.SAME_BYTES, entry.name, told)


def _known(entry: Entry, reason: Reason, list_id: str) -> ImportItem:
    return ImportItem(entry.number, ItemOutcome.KNOWN, reason, entry.name, list_id)
