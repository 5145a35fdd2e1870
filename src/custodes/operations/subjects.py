# SPDX-License-Identifier: Apache-2.0
"""Use cases around subjects: one person's references together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import orjson

from custodes.cameras.events import EventStore
from custodes.config import Limits
from custodes.domain import (
    Face,
    ImageSize,
    QualityFilter,
    QualityReason,
    Reference,
    Subject,
    SubjectCandidate,
    SubjectStatus,
    Template,
)
from custodes.errors import NotFound
from custodes.gallery import Collection, Once, References, Subjects
from custodes.gallery import Disassociation as Disassociation
from custodes.governance import Action, Caller
from custodes.operations.admission import Admission
from custodes.operations.engines import Engines
from custodes.operations.entries import CANDIDATES_TOLD, Part
from custodes.operations.guard import Guard, Using
from custodes.operations.images import Images, ImageSource, ReadOnce
from custodes.operations.owners import owner_of
from custodes.operations.scores import ASSOCIATE_THRESHOLD, least_cosine, score

__all__ = ["Associated", "Disassociation", "ImageSubjectSearch", "SubjectOperations", "SubjectSearch"]


@dataclass(frozen=True, slots=True)
class Associated:
    """What became of a request to associate references with a subject.

    ``unlike`` has their similarity 0..100, or None where a floor is not to be looked below.
    """

    associated: tuple[str, ...]
    unknown: tuple[str, ...]
    elsewhere: tuple[tuple[str, str], ...]
    unlike: tuple[tuple[str, float | None], ...]
    surplus: tuple[str, ...]
    status: SubjectStatus


@dataclass(frozen=True, slots=True)
class SubjectSearch:
    """A candidate list of subjects."""

    pack_version: str
    candidates: tuple[SubjectCandidate, ...]


@dataclass(frozen=True, slots=True)
class ImageSubjectSearch:
    """A candidate list of subjects for the largest face of an image.

    Attributes:
        size: frame of the boxes.
        probe: the face that was searched for, or None if there was none that is good enough.
        unsearched: the other faces, each with what is wrong with it and whether it wasn't the largest.
        pack_version, candidates: as in :class:`SubjectSearch`.
    """

    size: ImageSize
    probe: Face | None
    unsearched: tuple[tuple[Face, tuple[QualityReason, ...], bool], ...]
    pack_version: str
    candidates: tuple[SubjectCandidate, ...]


class SubjectOperations:
    """Use cases around subjects.

    Args:
        guard: authorises and records.
        admission: finds collections as callers may know of them.
        engines, references, subjects, images: what they work on.
        events: of cameras, in which subjects are named.
        limits: how many faces are looked at, and how many a subject has.
    """

    def __init__(
        self,
        guard: Guard,
        admission: Admission,
        engines: Engines,
        references: References,
        subjects: Subjects,
        images: Images,
        events: EventStore,
        limits: Limits,
    ) -> None:
        self._guard = guard
        self._engines = engines
        self._admission = admission
        self._references = references
        self._subjects = subjects
        self._images = images
        self._events = events
        self._limits = limits

    def create(self, caller: Caller, name: str, subject_id: str, once: Once | None) -> None:
        """Create a subject.

        Raises:
            NotFound: if there is no such collection.
            Denied: if a rule forbids it.
            Conflict: if the subject exists, or the token was used otherwise.
        """
        with self._writing(caller, Action.CREATE_SUBJECT, name):
            self._subjects.create(name, subject_id, once)

    def delete(self, caller: Caller, name: str, subject_id: str, once: Once | None) -> None:
        """Delete a subject; its references stay. Events of cameras have its name no more, and its floor is gone.

        Raises:
            NotFound: if there is no such collection or subject.
            Denied: if a rule forbids it.
            Conflict: if the token was used otherwise.
        """
        guarded = self._guard.using(caller, Action.DELETE_SUBJECT, self._admission.get(caller, name))
        with guarded as using, using.committing() as c:
            self._subjects.delete(name, subject_id, once)  # scrubs when all has committed
            if not self._is_there(name, subject_id):  # somebody else may have the name since a token was used first
                self._events.forget_subject(c, name, subject_id)
            using.part.note(erased_subjects=1)

    def _is_there(self, name: str, subject_id: str) -> bool:
        try:
            self._references.list(name, after=0, limit=1, subject_id=subject_id)
        except NotFound:
            return False
        return True

    @contextmanager
    def _writing(self, caller: Caller, action: Action, name: str) -> Iterator[Using]:
        """Authorise a change, and open its transaction."""
        guarded = self._guard.using(caller, action, self._admission.get(caller, name))
        with guarded as using, using.committing():
            yield using

    def list(self, caller: Caller, name: str, *, after: int, limit: int) -> tuple[tuple[Subject, ...], int | None]:
        """Read a page of subjects, and the position to go on from (None at the end).

        Raises:
            NotFound: if there is no such collection.
            Denied: if a rule forbids it.
        """
        with self._guard.using(caller, Action.LIST_SUBJECTS, self._admission.get(caller, name)) as using:
            page, position = self._subjects.list(name, after=after, limit=limit)
            using.part.note(listed=len(page))
            return page, position

    def associate(
        self,
        caller: Caller,
        name: str,
        subject_id: str,
        reference_ids: Sequence[str],
        *,
        threshold: float | None,
        once: Once | None,
    ) -> Associated:
        """Associate references with a subject; ``threshold`` is the least similarity from the second on.

        How alike they are is told, so that it is a comparison, and decided as one.

        Raises:
            NotFound: if there is no such collection or subject.
            Denied: if a rule forbids it.
            Conflict: if the subject is full, or the token was used otherwise.
        """
        collection = self._admission.get(caller, name)
        pack = self._engines.of(collection.pack).pack
        guarded = self._guard.using(
            caller,
            Action.ASSOCIATE,
            collection,
            threshold=threshold,
            default=ASSOCIATE_THRESHOLD,
            subjects=lambda: (f"subject:{subject_id}",),
        )
        with guarded as using, using.committing():
            least = least_cosine(pack, using.threshold)
            done = self._subjects.associate(name, subject_id, reference_ids, threshold=least, once=once)
            using.part.note(associated=len(done.associated), compared=len(reference_ids))
            _tell_references(using.part, reference_ids)
            using.weight = max(1, len(reference_ids))
            quiet = using.counted
        return Associated(
            associated=done.associated,
            unknown=done.unknown,
            elsewhere=done.elsewhere,
            unlike=tuple((i, None if quiet else pack.similarity(cosine)) for i, cosine in done.unlike),
            surplus=done.surplus,
            status=done.status,
        )

    def disassociate(
        self, caller: Caller, name: str, subject_id: str, reference_ids: Sequence[str], once: Once | None
    ) -> Disassociation:
        """Take references away from a subject.

        Raises:
            NotFound: if there is no such collection or subject.
            Denied: if a rule forbids it.
            Conflict: if the token was used otherwise.
        """
        with self._writing(caller, Action.DISASSOCIATE, name) as using:
            done = self._subjects.disassociate(name, subject_id, reference_ids, once)
            using.part.note(disassociated=len(done.disassociated))
            _tell_references(using.part, done.disassociated)
        return done

    def search_by_face(
        self, caller: Caller, name: str, reference_id: str, *, limit: int, threshold: float | None
    ) -> SubjectSearch:
        """Find subjects that are alike to a reference of the collection.

        Raises:
            NotFound: if there is no such collection or reference.
            Denied: if a rule forbids it.
        """
        word = f"reference:{reference_id}"
        collection = self._admission.get(caller, name)
        guarded = self._guard.searching(caller, Action.SEARCH_SUBJECTS, collection, threshold, lambda: (word,))
        with guarded as using:
            probe = self._references.template(name, reference_id)
            ranked = self._search(collection, probe, limit, using.threshold)
            self._show(caller, collection, ranked)
            owner = owner_of(reference_id)
            using.part.commit("probe", reference_id.encode(), owner)
            using.part.mentions.append(owner)
            self._tell_found(using.part, collection, word, ranked)
            return SubjectSearch(collection.pack_version, ranked)

    def search_by_subject(
        self, caller: Caller, name: str, subject_id: str, *, limit: int, threshold: float | None
    ) -> SubjectSearch:
        """Find subjects that are alike to one of the collection; that one is left out.

        Raises:
            NotFound: if there is no such collection or subject.
            Denied: if a rule forbids it.
        """
        word = f"subject:{subject_id}"
        collection = self._admission.get(caller, name)
        guarded = self._guard.searching(caller, Action.SEARCH_SUBJECTS, collection, threshold, lambda: (word,))
        with guarded as using:
            probe = self._subjects.template(name, subject_id)
            found = self._search(collection, probe, limit + 1, using.threshold) if probe is not None else ()
            ranked = tuple(c for c in found if c.subject.subject_id != subject_id)[:limit]
            self._show(caller, collection, ranked)
            members = self._members(name, subject_id)
            using.part.commit("probe", self._guard.pseudonym("subject", subject_id).encode())
            using.part.mentions.extend(members)
            self._tell_found(using.part, collection, word, ranked)
            return SubjectSearch(collection.pack_version, ranked)

    def search_by_image(
        self,
        caller: Caller,
        name: str,
        source: ImageSource,
        *,
        limit: int,
        threshold: float | None,
        quality: QualityFilter,
    ) -> ImageSubjectSearch:
        """Find subjects that are alike to the largest face of an image that is good enough.

        Raises:
            NotFound: if there is no such collection.
            Denied: if a rule forbids it.
            Invalid: if the image can't be read.
        """
        collection, data = self._admission.get(caller, name), ReadOnce(self._images, source)
        guarded = self._guard.searching(caller, Action.SEARCH_SUBJECTS, collection, threshold, lambda: (data.word,))
        with guarded as using:
            engine = self._engines.of(collection.pack)
            image = engine.decode(data.content)
            faces = engine.detect(image, max_faces=self._limits.faces)
            judged = [(f, engine.quality_reasons(f, quality)) for f in faces]
            probe = next((f for f, reasons in judged if not reasons), None)
            unsearched = tuple((f, reasons, f is not faces[0]) for f, reasons in judged if f is not probe)
            found: tuple[SubjectCandidate, ...] = ()
            if probe:
                [template] = engine.embed([probe])
                found = self._search(collection, template, limit, using.threshold)
                self._show(caller, collection, found)
            digest = self._images.digest(data.content)
            using.part.commit("probe", digest)
            self._tell_found(using.part, collection, f"image:{digest.decode()}", found)
            return ImageSubjectSearch(image.size, probe, unsearched, collection.pack_version, found)

    def _show(self, caller: Caller, collection: Collection, ranked: Sequence[SubjectCandidate]) -> None:
        if caller.case or self._admission.is_own(collection):
            members = [self._references_of(collection.name, k.subject.subject_id) for k in ranked]
            self._admission.show(caller, collection, [r.reference_id for some in members for r in some])

    def _references_of(self, name: str, subject_id: str) -> Sequence[Reference]:
        page, _ = self._references.list(name, after=0, limit=self._limits.subject_faces, subject_id=subject_id)
        return page

    def _members(self, name: str, subject_id: str) -> Sequence[bytes]:
        return [owner_of(r.reference_id) for r in self._references_of(name, subject_id)]

    def _tell_found(self, part: Part, collection: Collection, probe: str, ranked: Sequence[SubjectCandidate]) -> None:
        pairs = [(c.subject.subject_id, round(c.score.similarity, 4)) for c in ranked]
        told: list[tuple[str, bytes | None, float]] = []
        for subject_id, similarity in pairs[:CANDIDATES_TOLD]:
            members = self._members(collection.name, subject_id)
            part.mentions.extend(members)
            told.append((self._guard.pseudonym("subject", subject_id), members[0] if members else None, similarity))
        rest = [("", None, s) for _, s in pairs[CANDIDATES_TOLD:]]  # counted, not committed to
        part.tell_candidates([*told, *rest], collection.pack_version)
        part.results = orjson.dumps(pairs)
        part.found = (probe, *(f"subject:{c.subject.subject_id}" for c in ranked[:1]))

    def _search(
        self, collection: Collection, probe: Template, limit: int, threshold: float
    ) -> tuple[SubjectCandidate, ...]:
        pack = self._engines.of(collection.pack).pack
        found = self._subjects.search(collection.name, probe, limit=limit, threshold=least_cosine(pack, threshold))
        scored = (SubjectCandidate(s, score(pack, cosine)) for s, cosine in found)
        return tuple(c for c in scored if c.score.similarity >= threshold)


def _tell_references(part: Part, reference_ids: Sequence[str]) -> None:
    for number, reference_id in enumerate(reference_ids):
        owner = owner_of(reference_id)
        part.commit(f"reference.{number}", reference_id.encode(), owner)
        part.mentions.append(owner)
