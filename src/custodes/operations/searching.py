# SPDX-License-Identifier: Apache-2.0
"""Searching for a case: one photo, many, every face of a group, an import in bulk, and searches that stand.

Each face in each collection is a search of its own, authorised and recorded on its own; what they find is one list
(see ``ranking``). A search that finds nothing is kept as well, and if a rule forbids the next one, what was found
before stays. Nothing here says who somebody is: candidates are leads for people to judge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa

from custodes.casework import (
    CaseFile,
    CaseImage,
    CaseStatus,
    FoundCandidate,
    ImageRole,
    Run,
    RunKind,
    RunState,
    SearchRecord,
    Standing,
)
from custodes.db.sealing import new_id
from custodes.domain import Candidate, Face, Template
from custodes.errors import Conflict, CustodesError, Invalid, NotFound
from custodes.gallery import Collection, References
from custodes.governance import Action, Caller
from custodes.operations.desk import Desk
from custodes.operations.engines import Engines
from custodes.operations.entries import tell_found
from custodes.operations.faces import candidates as scored
from custodes.operations.guard import Guard, Using
from custodes.operations.owners import owner_of_image
from custodes.operations.ranking import Hit, fused, grouped
from custodes.operations.scores import least_cosine

__all__ = ["LIMIT", "CaseSearches", "Watch", "check_bounds", "must_be_open"]

LIMIT = 100
"""Length of a candidate list unless the caller says otherwise."""
_MOST = 1000
_ONE_PERSON = 99.0
"""Similarity from which on two candidates are shown as one person."""
_PROBES = 2000
_ABANDONED = "What made it has ended, as by a restart. Search again."

Watch = Callable[[Run, int, int], None]
"""Told of a run before each of its searches: how many are made, and how many there will be. What it raises ends it."""


def _unwatched(run: Run, made: int, of: int) -> None:
    """Let a run go on."""


@dataclass(frozen=True, slots=True)
class _Probe:
    """One face that is searched for: its template for each model pack is made when it is needed."""

    image: CaseImage
    number: int
    face: Face


@dataclass(slots=True)
class _Making:
    """A run that is being made; ``begun``: whether it is kept yet."""

    run: Run
    begun: bool = False


class CaseSearches:
    """Searches for cases.

    Args:
        guard: authorises and records.
        desk: casework's.
        references, engines: the gallery and the models.
    """

    def __init__(
        self,
        guard: Guard,
        desk: Desk,
        references: References,
        engines: Engines,
    ) -> None:
        self._guard = guard
        self._desk = desk
        self._references = references
        self._engines = engines

    def search_references(
        self,
        caller: Caller,
        case: str,
        *,
        collections: Sequence[str] | None = None,
        threshold: float | None = None,
        limit: int = LIMIT,
        watch: Watch = _unwatched,
    ) -> Run:
        """Search for the person of a case with all its reference photos together.

        Args:
            caller: who searches; a member of the case.
            case: which.
            collections: by random id; all that the case may use unless some are named.
            threshold: least similarity, 0..100; None takes the default, or the floor that the rules set.
            limit: length of the candidate list.
            watch: follows the run.

        Raises:
            Denied: if a rule forbids the first search.
            NotFound: if there is no such case, or it doesn't use such a collection.
            Invalid: if the case has no reference photo, or a value is out of range.
        """
        with self._desk.db.read() as c:
            self._desk.file(c, caller, case)
            photos, _ = self._desk.images.list(c, case, ImageRole.REFERENCE, limit=_PROBES)
        if not photos:
            raise Invalid("The case has no reference photo.", remedy="Add one of the person first.")
        wanted = [(p, None) for p in photos]
        return self._run(caller, case, RunKind.REFERENCES, wanted, collections, threshold, limit, watch=watch)

    def search_images(
        self,
        caller: Caller,
        case: str,
        images: Sequence[str],
        *,
        every_face: bool = False,
        faces: Sequence[int] | None = None,
        collections: Sequence[str] | None = None,
        threshold: float | None = None,
        limit: int = LIMIT,
        watch: Watch = _unwatched,
    ) -> Run:
        """Search for faces of photos that the case keeps: the largest of each, every one, or those of some numbers.

        Raises:
            As :meth:`search_references`.
        """
        with self._desk.db.read() as c:
            self._desk.file(c, caller, case)
            found = {i.id: i for i in self._desk.images.many(c, images) if i.case == case}
        strays = [i for i in images if i not in found]
        if strays:
            raise NotFound(f"The case has no image {strays[0]}.")
        numbers = None if every_face else (faces or (0,))
        kind = RunKind.GROUP if every_face and len(images) == 1 else RunKind.BULK if every_face else RunKind.PHOTO
        wanted = [(found[i], numbers) for i in dict.fromkeys(images)]
        return self._run(caller, case, kind, wanted, collections, threshold, limit, watch=watch)

    def search_import(
        self,
        caller: Caller,
        case: str,
        import_id: str,
        *,
        collections: Sequence[str] | None = None,
        threshold: float | None = None,
        limit: int = LIMIT,
        watch: Watch = _unwatched,
    ) -> Run:
        """Search for every face of an import, in bulk; not in the case's own collection, which has them.

        Raises:
            As :meth:`search_references`.
        """
        with self._desk.db.read() as c:
            file = self._desk.file(c, caller, case)
            photos, rest = self._desk.images.list(c, case, ImageRole.IMPORTED, import_id=import_id, limit=_PROBES)
            own = self._desk.own_collection(c, file)
            others = [k.uid for k in self._desk.collections(c, file) if own is None or k.uid != own.uid]
        if rest is not None:
            raise Invalid(f"A search in bulk takes at most {_PROBES} photos.", remedy="Search for some of them.")
        if not photos:
            raise NotFound("The case has no such import, or it brought no photo.")
        wanted = [(p, None) for p in photos if p.faces]
        return self._run(caller, case, RunKind.BULK, wanted, collections or others, threshold, limit, watch=watch)

    def search_again(self, caller: Caller, standing: Standing, collections: Sequence[str]) -> Run:
        """Make a standing search again; its list has only what no earlier search of the case has found.

        If its first search is forbidden, there is no run, but for the entry of that.

        Args:
            caller: who searches.
            standing: which.
            collections: where, by random id.

        Raises:
            As :meth:`search_references`.
        """
        with self._desk.db.read() as c:
            photos, _ = self._desk.images.list(c, standing.case, ImageRole.REFERENCE, limit=_PROBES)
        wanted = [(p, None) for p in photos]
        threshold, limit = standing.threshold, standing.limit
        return self._run(caller, standing.case, RunKind.STANDING, wanted, collections, threshold, limit, standing.id)

    def abandon_runs(self) -> int:
        """Note that runs are stopped whose process has shown no sign of life for long; return how many these were."""
        searches = self._desk.searches
        with self._desk.db.read() as c:
            if not searches.has_abandoned(c, self._guard.now(c)):
                return 0
        with self._guard.transaction() as c:
            return searches.abandon_runs(c, self._guard.now(c), _ABANDONED)

    def _run(
        self,
        caller: Caller,
        case: str,
        kind: RunKind,
        wanted: Sequence[tuple[CaseImage, Sequence[int] | None]],
        collections: Sequence[str] | None,
        threshold: float | None,
        limit: int,
        standing: str | None = None,
        watch: Watch = _unwatched,
    ) -> Run:
        """Make the searches of a run; see :meth:`search_references` for the arguments."""
        desk = self._desk
        check_bounds(threshold, limit)
        with desk.db.read() as c:
            file = desk.file(c, caller, case)
            must_be_open(file)
            places = self.places(c, file, collections)
            now = self._guard.now(c)
        making = _Making(Run(new_id("run"), case, kind, now, caller.principal, standing))
        if standing is None:  # of those that come by themselves, only what the rules permit at first is kept
            self._begin(making)
        hits: list[Hit] = []
        largest = kind in (RunKind.REFERENCES, RunKind.STANDING)
        told = [(image, (0,) if largest else numbers) for image, numbers in wanted]
        made, of = 0, len(places) * sum(len(i.faces if n is None else n) for i, n in told)
        failed: CustodesError | None = None
        try:
            try:
                for image, numbers in told:
                    for probe in self._probes(image, numbers):
                        for place in places:
                            watch(making.run, made, of)
                            hits += self._search(caller, file, making, probe, place, threshold, limit)
                            made += 1
            except CustodesError as error:  # what was found until then stays
                if not making.begun:
                    raise
                failed = error
            self._begin(making)  # where there was nothing to search with
            ended = self._end(making.run, hits, limit, failed)
        except BaseException as error:  # whatever it is, nobody goes on with this run
            self._break_off(making, error)
            raise
        if failed is not None and not ended.searches:
            raise failed
        return ended

    def _begin(self, making: _Making) -> None:
        if not making.begun:
            with self._guard.transaction() as c:
                self._desk.searches.begin_run(c, making.run)
            making.begun = True

    def _end(self, run: Run, hits: Sequence[Hit], limit: int, failed: CustodesError | None) -> Run:
        found = self._listed(run.case, run.id, hits, limit, unseen=run.standing is not None)
        state, why = (RunState.DONE, "") if failed is None else (RunState.STOPPED, failed.diagnostics())
        with self._guard.transaction() as c:
            return self._desk.searches.end_run(c, run.id, state, found, why)

    def _break_off(self, making: _Making, error: BaseException) -> None:
        if making.begun:
            why = error.diagnostics() if isinstance(error, CustodesError) else "It was broken off."
            with self._guard.transaction() as c:
                self._desk.searches.end_run(c, making.run.id, RunState.STOPPED, (), why)

    def places(self, c: sa.Connection, file: CaseFile, wanted: Sequence[str] | None) -> tuple[Collection, ...]:
        """Return the collections to search: those that are named, by random id, or all that the case may use.

        Raises:
            NotFound: if the case doesn't use one that is named.
            Invalid: if there is nothing to search.
        """
        usable = {k.uid: k for k in self._desk.collections(c, file)}
        if wanted is None:
            chosen = tuple(k for k in usable.values() if k.face_count)
        else:
            strays = [w for w in wanted if w not in usable]
            if strays:
                raise NotFound("The case doesn't use such a collection.", remedy="Add it to the case first.")
            chosen = tuple(usable[w] for w in dict.fromkeys(wanted))
        if not chosen:
            raise Invalid(
                "There is nothing to search: no collection of the case has a face.",
                remedy="Import images into the case, or let it use a collection of your organisation.",
            )
        return chosen

    def _probes(self, image: CaseImage, numbers: Sequence[int] | None) -> list[_Probe]:
        """Find the faces of a kept photo again; models and their order are the same, so numbers are too."""
        with self._desk.db.read() as c:
            data = self._desk.images.original(c, image.id)
        seen = self._desk.look(self._engines.default, data)
        chosen = range(len(seen.faces)) if numbers is None else [n for n in numbers if n < len(seen.faces)]
        return [_Probe(image, n, seen.faces[n]) for n in chosen]

    def _search(
        self,
        caller: Caller,
        file: CaseFile,
        making: _Making,
        probe: _Probe,
        place: Collection,
        threshold: float | None,
        limit: int,
    ) -> list[Hit]:
        """Make one search, which is one entry, and return what it found but for the probe's own photo."""
        word = f"image:{probe.image.sha256}"
        calling = self._desk.calling(caller, file, probe.image.provenance)
        guarded = self._guard.searching(calling, Action.SEARCH_REFERENCES, place, threshold, lambda: (word,))
        with guarded as using:
            self._begin(making)
            engine = self._engines.of(place.pack)
            [template] = engine.embed([probe.face])
            least = least_cosine(engine.pack, using.threshold)
            found = self._references.search(place.name, template, limit=limit + len(probe.image.faces), threshold=least)
            own = {f.reference_id for f in probe.image.faces}
            ranked = tuple(k for k in scored(engine, found, using.threshold) if k.reference.reference_id not in own)[
                :limit
            ]
            self._tell(using, making.run, probe, place, ranked)
        return [
            Hit(
                k.reference.reference_id,
                place.uid,
                k.reference.external_image_id,
                k.reference.subject_id,
                probe.image.id,
                probe.number,
                k.score.similarity,
            )
            for k in ranked
        ]

    def _tell(self, using: Using, run: Run, probe: _Probe, place: Collection, ranked: Sequence[Candidate]) -> None:
        """Tell the entry what was found, and keep the search in its transaction."""
        search, part = new_id("srch"), using.part
        digest = probe.image.sha256.encode()
        part.note(search=search, run=run.id, face=probe.number, searched=place.face_count)
        part.commit("probe", digest, owner_of_image(probe.image.id))
        tell_found(part, place.pack_version, f"image:{probe.image.sha256}#{probe.number}", ranked)

        def keep(c: sa.Connection, entries: Sequence[int]) -> None:
            self._desk.searches.hold_run(c, run.id, self._guard.now(c))
            self._desk.searches.record(
                c,
                SearchRecord(
                    id=search,
                    run=run.id,
                    case=run.case,
                    probe=probe.image.id,
                    face=probe.number,
                    collection=place.uid,
                    collection_name=place.name,
                    at=self._guard.now(c),
                    by=run.by,
                    threshold=using.threshold,
                    candidates=len(ranked),
                    entry=entries[0],
                    pack_version=place.pack_version,
                    rules=using.permit.state.rules.hash,
                ),
            )

        using.then = keep

    def _listed(
        self, case: str, run: str, hits: Sequence[Hit], limit: int, *, unseen: bool
    ) -> tuple[FoundCandidate, ...]:
        """Make the candidate list of a run; ``unseen``: of those alone that no earlier run of the case has found."""
        desk = self._desk
        with desk.db.read() as c:
            known = desk.searches.seen(c, case) if unseen else frozenset()
            fresh = [h for h in hits if h.reference_id not in known]
            references = list(dict.fromkeys(h.reference_id for h in fresh))
            behind = desk.images.behind(c, case, references)
            shown = {h.probe for h in fresh} | {image for image, _ in behind.values()}
            images = {i.id: i for i in desk.images.many(c, shown)}
        return fused(
            fresh,
            run=run,
            case=case,
            limit=limit,
            behind=behind,
            images=images,
            persons=self._persons(fresh),
        )

    def _persons(self, hits: Sequence[Hit]) -> dict[str, int]:
        """Number the references that seem to show one person, within each collection: templates of others differ."""
        numbers: dict[str, int] = {}
        for uid in dict.fromkeys(h.collection for h in hits):
            mine = {h.reference_id: h for h in hits if h.collection == uid}
            templates = self._templates(uid, list(mine))
            ids = [i for i in mine if i in templates]
            if not ids:
                continue
            pack = self._engines.of(templates[ids[0]].pack).pack
            vectors = np.stack([templates[i].vector for i in ids])
            subjects = [mine[i].subject for i in ids]
            base = len(numbers)
            found = grouped(ids, vectors, subjects, least_cosine(pack, _ONE_PERSON))
            numbers |= {i: base + n for i, n in found.items()}
        return numbers

    def _templates(self, uid: str, references: Sequence[str]) -> dict[str, Template]:
        name = self._desk.collection(uid).name
        found = {}
        for reference in references[:_MOST]:
            try:
                found[reference] = self._references.template(name, reference)
            except NotFound:  # it was erased meanwhile
                continue
        return found


def check_bounds(threshold: float | None, limit: int) -> None:
    """Refuse what can't be a search.

    Raises:
        Invalid: if the threshold lies outside 0..100, or the list would be empty or too long.
    """
    if not 1 <= limit <= _MOST:
        raise Invalid(f"A candidate list has 1 to {_MOST} lines.")
    if threshold is not None and not 0 <= threshold <= 100:
        raise Invalid("A threshold is a similarity from 0 to 100.")


def must_be_open(file: CaseFile) -> None:
    """Refuse to search for a case that isn't open.

    Raises:
        Conflict: if it isn't.
    """
    if file.status != CaseStatus.OPEN:
        raise Conflict(f"The case is {file.status}: nobody searches for it.", remedy="Resume it first.")
