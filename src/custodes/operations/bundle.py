# SPDX-License-Identifier: Apache-2.0
"""The disclosure bundle of a case, for the defence: all that was searched, found and judged, and the ledger's proof.

Not only what speaks for a lead: searches that found nobody, that were denied or that a key made outside of the case's
desk; candidates that were dismissed; images that were refused. The ledger is looked through from the case's opening
on, and what differs is said. Faces of people who have nothing to do with a lead aren't in it unless they are asked for.

The export is a use: its entry commits to the SHA-256 of ``manifest.json``, which has the SHA-256 of every other file.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import sqlalchemy as sa

from custodes.casework import CandidateState, CaseFile, CaseImage, ImportItem, Imports, ItemOutcome, RunKind
from custodes.errors import Conflict, Unavailable
from custodes.governance import Action, Caller
from custodes.ledger import Log, parse
from custodes.operations.bundlefiles import MANIFEST, SEAL, SEALED, files_of, manifest_of
from custodes.operations.caserecord import CaseRecord, Kept, differences
from custodes.operations.caserows import Reviewed, Searched, found_in, is_review, is_search, unlisted
from custodes.operations.desk import Desk
from custodes.operations.dossier import Dossier
from custodes.operations.exhibits import Exhibits, names_case
from custodes.operations.guard import Guard
from custodes.operations.leads import cut_out, packs_of
from custodes.operations.owners import owner_of
from custodes.operations.pictures import PictureOperations

__all__ = ["Bundle", "BundleOperations"]

See = Callable[[Caller, str, Sequence[str]], None]

_ALL = 1_000_000
_PAGE = 1000
_DATED = (1980, 1, 1, 0, 0, 0)
"""Date of each file in the ZIP: the same bundle gives the same bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A bundle.

    Attributes:
        case: of which case.
        files: its files by their names, which are fixed ones; manifest and seal too.
        complete: whether the ledger agrees with what is in it.
        differences: what doesn't.
        entry: index of the export's entry.
    """

    case: str
    files: Mapping[str, bytes]
    complete: bool
    differences: tuple[str, ...]
    entry: int

    def to_zip(self) -> bytes:
        """Return it as a ZIP."""
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in self.files.items():
                made = zipfile.ZipInfo(name, _DATED)
                made.compress_type = zipfile.ZIP_DEFLATED
                made.external_attr = 0o600 << 16
                archive.writestr(made, data)
        return out.getvalue()

    def write(self, place: Path) -> None:
        """Write it: to a file that ends in ``.zip``, or into a new folder.

        Raises:
            Conflict: if there is something already.
            Unavailable: if it can't be written.
        """
        if place.exists():
            raise Conflict(f"{place} is there already.", remedy="Name another.")
        try:
            if place.suffix.lower() == ".zip":
                place.write_bytes(self.to_zip())
                return
            for name, data in self.files.items():
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                (place / name).write_bytes(data)
        except OSError as e:
            raise Unavailable(f"The bundle can't be written: {e.strerror}.") from e


class BundleOperations:
    """Disclosure bundles.

    Args:
        guard: authorises and records.
        desk, pictures, imports: casework's.
        dossier: models, rules and authorities.
        log: the ledger.
        see: notes who sees scores and answers, or refuses it.
    """

    def __init__(
        self,
        guard: Guard,
        desk: Desk,
        pictures: PictureOperations,
        imports: Imports,
        dossier: Dossier,
        log: Log,
        see: See,
    ) -> None:
        self._guard = guard
        self._desk = desk
        self._pictures = pictures
        self._imports = imports
        self._dossier = dossier
        self._log = log
        self._see = see

    def make(self, caller: Caller, case: str, *, pictures: bool = False, with_sensitive: bool = False) -> Bundle:
        """Make the bundle of a case, which leaves the house.

        Args:
            caller: a member of the case.
            case: which.
            pictures: whether the faces of all candidates are in it, not of leads alone.
            with_sensitive: whether sensitive pictures are too; for each the caller asks to see it.

        Raises:
            Denied: if a rule forbids it, or the caller is judging candidates of the case blind.
            NotFound: if there is no such case.
        """
        desk = self._desk
        with desk.db.read() as c:
            file = desk.file(c, caller, case)
            own = desk.own_collection(c, file)
            seen = [r.id for r in desk.searches.runs(c, case, limit=_ALL)]
            seen += [k.id for k in desk.searches.candidates(c, case=case)]
        if seen:
            self._see(caller, case, seen)
        with self._guard.using(desk.calling(caller, file), Action.EXPORT_LEAD, own) as using:
            record = self._gather(caller, file)
            shown = self._cut_out(caller, record, every=pictures, with_sensitive=with_sensitive)
            record = replace(record, pictures=shown)
            files = files_of(record)
            manifest = manifest_of(record, files)
            digest = hashlib.sha256(manifest).hexdigest()
            part = using.part
            part.note(export="bundle", searches=len(record.searches), candidates=len(record.kept.candidates))
            part.note(entries=len(record.exhibits.disclosures), complete=record.is_complete, pictures=len(shown))
            part.commit(SEALED, digest.encode())
            part.mentions.extend(dict.fromkeys(owner_of(k.reference_id) for k in record.kept.candidates))
            with using.committing():
                pass
        [entry] = self._guard.written
        seal = self._log.disclose(entry, [SEALED]).to_json()
        whole = files | {MANIFEST: manifest, SEAL: seal}
        return Bundle(case, whole, record.is_complete, record.differences, entry)

    # --- what is in it ---

    def _gather(self, caller: Caller, file: CaseFile) -> CaseRecord:
        desk, dossier = self._desk, self._dossier
        start, stop = self._log.index_at(file.opened_at), self._log.size()
        entries = dict(self._about(file.id, start, stop))
        with desk.db.read() as c:
            now = self._guard.now(c)
            kept = self._kept(c, file)
            recorded = {r.entry: r for r in kept.records}
            searches = tuple(Searched.of(i, e, recorded.get(i)) for i, e in entries.items() if is_search(e))
            sealed = dossier.sealed(c, searches, now)
            going_on = {s.id for s in desk.reviews.open_sittings(c, case=file.id)}
            known = {f.principal: f for f in desk.reviews.figures(c, file.organisation)}
            rules = dossier.rules(c, {str(e["rules_hash"]) for e in entries.values() if "rules_hash" in e})
            authorities = dossier.authorities(c, [file.authority, *(s.authority for s in searches)])
            organisation = dossier.organisation(c, file.organisation)
            models = dossier.models(packs_of(desk, searches))
        shut = sealed | {i for i, e in entries.items() if e.get("sitting") in going_on and not _is_decided(kept, i)}
        exhibits = Exhibits.gather(self._log, entries, lambda i: i not in shut)
        opened = {d.index: {o.name: o.value for o in d.openings} for d in exhibits.disclosures}
        items = {i: item for i, item in kept.items.items() if i not in shut}
        reviews = tuple(Reviewed.of(i, e, opened[i], items.get(i)) for i, e in entries.items() if is_review(e))
        found = {i: found_in(v) for i, v in opened.items()}
        standing = frozenset(r.id for r in kept.runs if r.kind == RunKind.STANDING)
        judges = {r.by for r in reviews if r.by}
        return CaseRecord(
            case=file,
            organisation=organisation,
            authorities=authorities,
            kept=_unsealed(kept, sealed),
            searches=searches,
            unlisted=unlisted(searches, found, kept.candidates, standing),
            reviews=reviews,
            figures=tuple(f for p, f in known.items() if p in judges),
            models=models,
            rules=rules,
            exhibits=exhibits,
            scanned=(start, stop),
            sealed=sealed,
            differences=differences(entries, kept),
            pictures={},
            made_at=now,
            made_by=caller.principal,
        )

    def _about(self, case: str, start: int, stop: int) -> Iterator[tuple[int, Mapping[str, object]]]:
        """Look through the ledger for what is about a case."""
        needle = case.encode()
        for index, data in enumerate(self._log.entries(start, stop), start):
            if needle in data:
                entry = parse(data)
                if names_case(entry, case):
                    yield index, entry

    def _kept(self, c: sa.Connection, file: CaseFile) -> Kept:
        """Read what the case's stores hold."""
        desk, searches = self._desk, self._desk.searches
        candidates = searches.candidates(c, case=file.id)
        reviews = desk.reviews.of_many(c, [k.id for k in candidates])
        imports = self._imports.list(c, file.id)
        return Kept(
            runs=searches.runs(c, file.id, limit=_ALL),
            records=searches.searches(c, case=file.id),
            candidates=candidates,
            leads=searches.leads(c, file.id),
            standing=searches.standing(c, case=file.id),
            items={i.entry: i for many in reviews.values() for i, _ in many if i.entry is not None},
            answered=desk.reviews.entries_of(c, file.id),
            images=self._images(c, file),
            imports=imports,
            left_out={i.id: self._left_out(c, i.id) for i in imports},
        )

    def _images(self, c: sa.Connection, file: CaseFile) -> tuple[CaseImage, ...]:
        found: list[CaseImage] = []
        after: str | None = None
        while True:
            page, after = self._desk.images.list(c, file.id, after=after, limit=_PAGE)
            found += page
            if after is None:
                return tuple(found)

    def _left_out(self, c: sa.Connection, import_id: str) -> tuple[ImportItem, ...]:
        """Read what an import has not brought in."""
        found: list[ImportItem] = []
        for outcome in (ItemOutcome.REFUSED, ItemOutcome.KNOWN, ItemOutcome.DUPLICATE):
            after: int | None = -1
            while after is not None:
                page, after = self._imports.items(c, import_id, outcome=outcome, after=after, limit=_PAGE)
                found += page
        return tuple(sorted(found, key=lambda i: i.number))

    def _cut_out(
        self, caller: Caller, record: CaseRecord, *, every: bool, with_sensitive: bool
    ) -> dict[tuple[str, int], bytes]:
        """Cut out the faces of probes and of candidates: of those that became leads, or of all."""
        shown = [k for k in record.kept.candidates if every or record.leads_to(k)]
        wanted = [(s.probe, s.face) for s in record.kept.records]
        wanted += [(k.image, k.face) for k in shown if k.image is not None]
        images = {i.id: i for i in record.kept.images}
        return cut_out(self._pictures, caller, record.case.id, images, wanted, with_sensitive=with_sensitive)


def _is_decided(kept: Kept, entry: int) -> bool:
    """Tell whether the candidate of a review, by its entry, is decided."""
    item, open_ = kept.items.get(entry), (CandidateState.FOUND, CandidateState.IN_REVIEW)
    return item is not None and any(k.id == item.candidate and k.state not in open_ for k in kept.candidates)


def _unsealed(kept: Kept, sealed: frozenset[int]) -> Kept:
    """Return what is kept without the candidates of runs in which something sealed was found."""
    shut = {r.run for r in kept.records if r.entry in sealed}
    return replace(kept, candidates=tuple(k for k in kept.candidates if k.run not in shut)) if shut else kept
