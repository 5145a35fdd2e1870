# SPDX-License-Identifier: Apache-2.0
"""What searches for a case have found: runs, candidate lists with scores, and the photo behind a candidate.

Whoever sees the scores of a run is no blind reviewer of it any more, and that is noted before they are shown.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from custodes.casework import CaseImage, FaceRecord, FoundCandidate, ImageRole, Run, SearchRecord
from custodes.domain import Box, Reference
from custodes.errors import Conflict, Invalid, NotFound
from custodes.gallery import References
from custodes.governance import Action, Caller
from custodes.operations.cases import CaseOperations
from custodes.operations.desk import Desk, Origin, Seen
from custodes.operations.engines import Engines
from custodes.operations.guard import Guard
from custodes.operations.images import Images, ImageSource
from custodes.operations.owners import owner_of_image
from custodes.operations.ranking import advice

__all__ = ["CandidateOperations", "Listed", "ProbeCheck"]

_SAME_FACE = 0.5
"""Overlap (intersection over union) from which on a face is the one that a reference was made of."""


@dataclass(frozen=True, slots=True)
class ProbeCheck:
    """How good a face is as a probe: what is wrong with it, in Rekognition's words and in a person's."""

    image: str
    face: FaceRecord
    reasons: tuple[str, ...]
    advice: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether nothing is wrong with it."""
        return not self.reasons


@dataclass(frozen=True, slots=True)
class Listed:
    """A run with its candidate list, its searches, and the images that both speak of, by id."""

    run: Run
    candidates: tuple[FoundCandidate, ...]
    searches: tuple[SearchRecord, ...]
    images: dict[str, CaseImage]


class CandidateOperations:
    """What was found for cases.

    Args:
        guard: authorises and records.
        desk, cases: casework's.
        references, engines, images: the gallery, models and photos.
        see: notes that somebody sees the scores of runs, or refuses it.
    """

    def __init__(
        self,
        guard: Guard,
        desk: Desk,
        cases: CaseOperations,
        references: References,
        engines: Engines,
        images: Images,
        see: Callable[[Caller, str, Sequence[str]], None],
    ) -> None:
        self._guard = guard
        self._desk = desk
        self._cases = cases
        self._references = references
        self._engines = engines
        self._images = images
        self._see = see

    def check(self, caller: Caller, case: str, image: str) -> tuple[ProbeCheck, ...]:
        """Say how good each face of a photo is as a probe, and what would help.

        Raises:
            NotFound: if there is no such case or photo.
        """
        known = self._cases.photo(caller, case, image)
        return tuple(ProbeCheck(image, f, f.reasons, advice(f.reasons)) for f in known.faces)

    def runs(self, caller: Caller, case: str) -> tuple[Run, ...]:
        """List the runs of a case, the newest first.

        Raises:
            NotFound: if there is no such case.
        """
        with self._desk.db.read() as c:
            self._desk.file(c, caller, case)
            return self._desk.searches.runs(c, case)

    def listed(self, caller: Caller, run: str) -> Listed:
        """Read the candidate list of a run, with scores; that the caller has seen them is noted.

        Raises:
            NotFound: if there is none that the caller may see.
            Denied: if the caller is in the middle of judging its candidates blind.
        """
        desk = self._desk
        with desk.db.read() as c:
            found = desk.searches.run(c, run)
            desk.file(c, caller, found.case)
        self._see(caller, found.case, [run])
        with desk.db.read() as c:
            candidates = desk.searches.candidates(c, run=run)
            searches = desk.searches.searches(c, run=run)
            ids = {k.image for k in candidates if k.image} | {s.probe for k in candidates for s in k.scores}
            images = {i.id: i for i in desk.images.many(c, ids | {s.probe for s in searches})}
        return Listed(found, candidates, searches, images)

    def attach(self, caller: Caller, candidate: str, source: ImageSource, origin: Origin) -> CaseImage:
        """Keep the photo behind a candidate that was enrolled without one, so that it can be judged.

        It must be the very file that was enrolled: the gallery knows it by a keyed hash of its bytes.

        Args:
            caller: a member of the case.
            candidate: which.
            source: the photo.
            origin: where it comes from.

        Raises:
            Denied: if a rule forbids it.
            NotFound: if there is no such candidate, or its reference is gone.
            Conflict: if it has a photo already.
            Invalid: if it is another file, or doesn't show the face.
        """
        desk = self._desk
        with desk.db.read() as c:
            known = desk.searches.candidate(c, candidate)
            file = desk.file(c, caller, known.case)
        reference = self._reference(known)
        own = self._cases.collection_of(caller, known.case)
        calling = desk.calling(caller, file, origin.provenance)
        with self._guard.using(calling, Action.IMPORT_IMAGES, own) as using:
            data = self._images.read(source)
            if uuid.UUID(bytes=desk.key(data)) != uuid.UUID(reference.image_id):
                raise Invalid(
                    "This isn't the file that was enrolled.", remedy="Attach the very file, byte for byte, not a copy."
                )
            seen = desk.look(self._engines.default, data)
            face = _same_face(seen, reference.box)
            with using.committing() as c:
                self._reference(desk.searches.candidate(c, candidate))  # which may be gone or have a photo by now
                now = self._guard.now(c)
                made = desk.keep(c, file, seen, ImageRole.ATTACHED, origin, by=caller.principal, now=now)
                desk.searches.attach(c, candidate, made.id, face)
                using.part.note(images=1, image_id=made.id, role=str(made.role), provenance=origin.provenance)
                using.part.commit("image", made.sha256.encode(), owner_of_image(made.id))
            return made

    def _reference(self, candidate: FoundCandidate) -> Reference:
        """Return the reference of a candidate that has no photo.

        Raises:
            Conflict: if it has one.
            NotFound: if the reference is gone.
        """
        if candidate.image is not None:
            raise Conflict("The candidate has a photo already.")
        name = self._desk.collection(candidate.collection).name
        page, _ = self._references.list(name, after=0, limit=1, reference_ids=[candidate.reference_id])
        if not page:
            raise NotFound("The candidate's reference is erased.")
        return page[0]


def _same_face(seen: Seen, box: Box) -> int:
    """Return the number of the face that was enrolled.

    Raises:
        Invalid: if no face is where it was.
    """
    overlaps = [f.box.overlap(box) for f in seen.faces]
    if not overlaps or max(overlaps) < _SAME_FACE:
        raise Invalid("The photo doesn't show the candidate's face where it was enrolled.")
    return overlaps.index(max(overlaps))
