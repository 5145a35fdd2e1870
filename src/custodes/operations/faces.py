# SPDX-License-Identifier: Apache-2.0
"""Use cases around faces: detecting, comparing, enrolling, listing, deleting, searching.

What comes out of a search is a list of candidates, however alike the first of them is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from custodes.config import Limits
from custodes.domain import (
    AttributeSet,
    Candidate,
    Face,
    ImageSize,
    QualityFilter,
    QualityReason,
    Reference,
)
from custodes.gallery import Collections, Deletion, NewReference, References
from custodes.operations.engines import Engines
from custodes.operations.images import Images, ImageSource
from custodes.operations.photos import Comparison, Detection, PhotoOperations, Skipped, no_face, passing
from custodes.operations.scores import least_cosine, score
from custodes.vision.engine import Engine
from custodes.vision.image import Image

__all__ = ["Comparison", "Detection", "FaceOperations", "FaceSearch", "ImageSearch", "Indexed", "Skipped"]


@dataclass(frozen=True, slots=True)
class Indexed:
    """What was enrolled of an image, the largest face first, and what was not."""

    size: ImageSize
    pack_version: str
    enrolled: tuple[tuple[Reference, Face], ...]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True, slots=True)
class FaceSearch:
    """A candidate list."""

    pack_version: str
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class ImageSearch:
    """A candidate list for one face, ``probe``, of an image that shows ``faces``; that one is the largest of those
    that are good enough, unless a search was made for each."""

    size: ImageSize
    faces: int
    probe: Face
    pack_version: str
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class _Probes:
    """The faces of an image that are good enough, the largest first, and the engine that makes their templates."""

    engine: Engine
    pack_version: str
    size: ImageSize
    count: int
    good: tuple[Face, ...]


class FaceOperations:
    """Use cases around faces.

    Args:
        engines, collections, references, images: what they work on.
        limits: how many faces are looked at.
    """

    def __init__(
        self,
        engines: Engines,
        collections: Collections,
        references: References,
        images: Images,
        limits: Limits,
    ) -> None:
        self._engines = engines
        self._collections = collections
        self._references = references
        self._images = images
        self._limits = limits

    def detect(self, source: ImageSource, attributes: AttributeSet | None = None) -> Detection:
        """Find the faces of an image.

        Raises:
            Invalid: if the image can't be read.
        """
        engine = self._engines.default
        return PhotoOperations(engine, self._limits).detect(self._images.decode(engine, source), attributes)

    def compare(
        self,
        source: ImageSource,
        target: ImageSource,
        *,
        threshold: float,
        quality: QualityFilter = QualityFilter.NONE,
    ) -> Comparison:
        """Compare the largest face of one image with all of another.

        Args:
            source, target: the images.
            threshold: least similarity, 0..100.
            quality: faces below are passed over.

        Raises:
            Invalid: if an image can't be read, or shows no face that is good enough (code ``no-face``).
        """
        engine = self._engines.default
        left = self._images.decode(engine, source)
        right = self._images.decode(engine, target)
        return PhotoOperations(engine, self._limits).compare(left, right, threshold=threshold, quality=quality)

    def index(
        self,
        name: str,
        source: ImageSource,
        *,
        external_image_id: str | None = None,
        attributes: AttributeSet | None = None,
        max_faces: int | None = None,
        quality: QualityFilter = QualityFilter.AUTO,
    ) -> Indexed:
        """Enrol the faces of an image; the image itself is not kept.

        Args:
            name: the collection.
            source: the image.
            external_image_id: the caller's label of the image.
            attributes: what to tell of each face.
            max_faces: enrol so many at most, the largest first.
            quality: faces below are not enrolled.

        Raises:
            NotFound: if there is no such collection.
            Invalid: if the image can't be read.
            Conflict: if the collection is full.
        """
        collection = self._collections.get(name)
        engine = self._engines.of(collection.pack)
        data = self._images.read(source)
        image = engine.decode(data)
        found = engine.detect(image, attributes=attributes or False, max_faces=self._limits.faces)
        good, skipped = passing(engine, found, quality)
        most = len(good) if max_faces is None else max_faces
        surplus = tuple(Skipped(f, (QualityReason.EXCEEDS_MAX_FACES,)) for f in good[most:])
        chosen = good[:most]
        references = self._references.enrol(
            name,
            [NewReference(f.box, f.confidence, t) for f, t in zip(chosen, engine.embed(chosen), strict=True)],
            image_id=self._images.identify(data),
            external_image_id=external_image_id,
            image_size=image.size,
        )
        return Indexed(
            image.size, collection.pack_version, tuple(zip(references, chosen, strict=True)), surplus + skipped
        )

    def list(
        self, name: str, *, after: int, limit: int, user: str | None, ids: Sequence[str] | None
    ) -> tuple[str, tuple[Reference, ...], int | None]:
        """Read a page of references: the collection's pack version, the references, and where to go on.

        Raises:
            NotFound: if there is no such collection or user.
        """
        version = self._collections.get(name).pack_version
        page, position = self._references.list(name, after=after, limit=limit, subject_id=user, reference_ids=ids)
        return version, page, position

    def delete(self, name: str, ids: Sequence[str]) -> Deletion:
        """Delete references.

        Raises:
            NotFound: if there is no such collection.
        """
        return self._references.delete(name, ids)

    def search(self, name: str, reference_id: str, *, limit: int, threshold: float) -> FaceSearch:
        """Find references that are alike to one of the collection; that one is left out.

        Raises:
            NotFound: if there is no such collection, or no such reference in it.
        """
        found = self._references.search_like(
            name,
            reference_id,
            limit=limit,
            threshold=lambda pack: least_cosine(self._engines.of(pack).pack, threshold),
        )
        engine = self._engines.of(found.collection.pack)
        return FaceSearch(found.collection.pack_version, candidates(engine, found.pairs, threshold))

    def search_by_image(
        self, name: str, source: ImageSource, *, limit: int, threshold: float, quality: QualityFilter
    ) -> ImageSearch:
        """Find references that are alike to the largest face of an image, which is not enrolled.

        Raises:
            NotFound: if there is no such collection.
            Invalid: if the image can't be read, or shows no face that is good enough (code ``no-face``).
        """
        probes = self._probes(name, source, quality)
        engine = probes.engine
        [template] = engine.embed(probes.good[:1])
        found = self._references.search(name, template, limit=limit, threshold=least_cosine(engine.pack, threshold))
        ranked = candidates(engine, found, threshold)
        return ImageSearch(probes.size, probes.count, probes.good[0], probes.pack_version, ranked)

    def search_each(
        self, name: str, source: ImageSource, *, limit: int, threshold: float, quality: QualityFilter
    ) -> tuple[ImageSearch, ...]:
        """Make one search for every face of an image that is good enough, the largest first.

        Raises:
            NotFound: if there is no such collection.
            Invalid: if the image can't be read, or shows no face that is good enough (code ``no-face``).
        """
        probes = self._probes(name, source, quality)
        engine = probes.engine
        cosine = least_cosine(engine.pack, threshold)
        lists = self._references.search_many(name, engine.embed(probes.good), limit=limit, threshold=cosine)
        return tuple(
            ImageSearch(probes.size, probes.count, face, probes.pack_version, candidates(engine, found, threshold))
            for face, found in zip(probes.good, lists, strict=True)
        )

    def _probes(self, name: str, source: ImageSource, quality: QualityFilter) -> _Probes:
        """Find the faces of an image that can be searched for in a collection.

        Raises:
            NotFound: if there is no such collection.
            Invalid: if the image can't be read, or shows no face that is good enough (code ``no-face``).
        """
        collection = self._collections.get(name)
        engine = self._engines.of(collection.pack)
        image = self._images.decode(engine, source)
        faces = self._faces(engine, image)
        good, _ = passing(engine, faces, quality)
        if not good:
            raise no_face("image")
        return _Probes(engine, collection.pack_version, image.size, len(faces), good)

    def is_indexed(self, name: str, source: ImageSource, external_image_id: str) -> bool:
        """Tell whether a face of this image is enrolled under this label.

        Raises:
            NotFound: if there is no such collection.
            Invalid: if the image can't be read.
        """
        image_id = self._images.identify(self._images.read(source))
        return self._references.has_image(name, image_id, external_image_id)

    def warm(self, name: str) -> int:
        """Bring a collection's index into memory, and return how many references it has.

        Raises:
            NotFound: if there is no such collection.
        """
        return self._references.warm(name)

    def _faces(self, engine: Engine, image: Image) -> tuple[Face, ...]:
        return engine.detect(image, max_faces=self._limits.faces)


def candidates(engine: Engine, found: Sequence[tuple[Reference, float]], threshold: float) -> tuple[Candidate, ...]:
    """Give each reference its calibrated score, and leave out what rounding has put below the threshold."""
    scored = ((r, score(engine.pack, cosine)) for r, cosine in found)
    return tuple(Candidate(r, s) for r, s in scored if s.similarity >= threshold)
