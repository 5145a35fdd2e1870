# SPDX-License-Identifier: Apache-2.0
"""Use cases around subjects: one person's references together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from custodes.config import Limits
from custodes.domain import (
    Face,
    ImageSize,
    QualityFilter,
    QualityReason,
    Subject,
    SubjectCandidate,
    SubjectStatus,
    Template,
)
from custodes.gallery import Collection, Collections, Once, References, Subjects
from custodes.gallery import Disassociation as Disassociation
from custodes.operations.engines import Engines
from custodes.operations.images import Images, ImageSource
from custodes.operations.scores import least_cosine, score

__all__ = ["Associated", "Disassociation", "ImageSubjectSearch", "SubjectOperations", "SubjectSearch"]


@dataclass(frozen=True, slots=True)
class Associated:
    """What became of a request to associate references with a subject; ``unlike`` has their similarity 0..100."""

    associated: tuple[str, ...]
    unknown: tuple[str, ...]
    elsewhere: tuple[tuple[str, str], ...]
    unlike: tuple[tuple[str, float], ...]
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
    """Use cases around subjects."""

    def __init__(
        self,
        engines: Engines,
        collections: Collections,
        references: References,
        subjects: Subjects,
        images: Images,
        limits: Limits,
    ) -> None:
        self._engines = engines
        self._collections = collections
        self._references = references
        self._subjects = subjects
        self._images = images
        self._limits = limits

    def create(self, name: str, subject_id: str, once: Once | None) -> None:
        """Create a subject.

        Raises:
            NotFound: if there is no such collection.
            Conflict: if the subject exists, or the token was used otherwise.
        """
        self._subjects.create(name, subject_id, once)

    def delete(self, name: str, subject_id: str, once: Once | None) -> None:
        """Delete a subject; its references stay.

        Raises:
            NotFound: if there is no such collection or subject.
            Conflict: if the token was used otherwise.
        """
        self._subjects.delete(name, subject_id, once)

    def list(self, name: str, *, after: int, limit: int) -> tuple[tuple[Subject, ...], int | None]:
        """Read a page of subjects, and the position to go on from (None at the end).

        Raises:
            NotFound: if there is no such collection.
        """
        return self._subjects.list(name, after=after, limit=limit)

    def associate(
        self, name: str, subject_id: str, reference_ids: Sequence[str], *, threshold: float, once: Once | None
    ) -> Associated:
        """Associate references with a subject; ``threshold`` is the least similarity from the second on.

        Raises:
            NotFound: if there is no such collection or subject.
            Conflict: if the subject is full, or the token was used otherwise.
        """
        pack = self._engines.of(self._collections.get(name).pack).pack
        done = self._subjects.associate(
            name, subject_id, reference_ids, threshold=least_cosine(pack, threshold), once=once
        )
        return Associated(
            associated=done.associated,
            unknown=done.unknown,
            elsewhere=done.elsewhere,
            unlike=tuple((i, pack.similarity(cosine)) for i, cosine in done.unlike),
            surplus=done.surplus,
            status=done.status,
        )

    def disassociate(
        self, name: str, subject_id: str, reference_ids: Sequence[str], once: Once | None
    ) -> Disassociation:
        """Take references away from a subject.

        Raises:
            NotFound: if there is no such collection or subject.
            Conflict: if the token was used otherwise.
        """
        return self._subjects.disassociate(name, subject_id, reference_ids, once)

    def search_by_face(self, name: str, reference_id: str, *, limit: int, threshold: float) -> SubjectSearch:
        """Find subjects that are alike to a reference of the collection.

        Raises:
            NotFound: if there is no such collection or reference.
        """
        collection = self._collections.get(name)
        probe = self._references.template(name, reference_id)
        return SubjectSearch(collection.pack_version, self._search(collection, probe, limit, threshold))

    def search_by_subject(self, name: str, subject_id: str, *, limit: int, threshold: float) -> SubjectSearch:
        """Find subjects that are alike to one of the collection; that one is left out.

        Raises:
            NotFound: if there is no such collection or subject.
        """
        collection = self._collections.get(name)
        probe = self._subjects.template(name, subject_id)
        if probe is None:
            return SubjectSearch(collection.pack_version, ())
        found = self._search(collection, probe, limit + 1, threshold)
        others = tuple(c for c in found if c.subject.subject_id != subject_id)
        return SubjectSearch(collection.pack_version, others[:limit])

    def search_by_image(
        self, name: str, source: ImageSource, *, limit: int, threshold: float, quality: QualityFilter
    ) -> ImageSubjectSearch:
        """Find subjects that are alike to the largest face of an image that is good enough.

        Raises:
            NotFound: if there is no such collection.
            Invalid: if the image can't be read.
        """
        collection = self._collections.get(name)
        engine = self._engines.of(collection.pack)
        image = self._images.decode(engine, source)
        faces = engine.detect(image, max_faces=self._limits.faces)
        judged = [(f, engine.quality_reasons(f, quality)) for f in faces]
        probe = next((f for f, reasons in judged if not reasons), None)
        unsearched = tuple((f, reasons, f is not faces[0]) for f, reasons in judged if f is not probe)
        found: tuple[SubjectCandidate, ...] = ()
        if probe:
            [template] = engine.embed([probe])
            found = self._search(collection, template, limit, threshold)
        return ImageSubjectSearch(image.size, probe, unsearched, collection.pack_version, found)

    def _search(
        self, collection: Collection, probe: Template, limit: int, threshold: float
    ) -> tuple[SubjectCandidate, ...]:
        pack = self._engines.of(collection.pack).pack
        found = self._subjects.search(collection.name, probe, limit=limit, threshold=least_cosine(pack, threshold))
        scored = (SubjectCandidate(s, score(pack, cosine)) for s, cosine in found)
        return tuple(c for c in scored if c.score.similarity >= threshold)
