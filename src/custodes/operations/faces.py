# SPDX-License-Identifier: Apache-2.0
"""Use cases around faces: detecting, comparing, enrolling, listing, deleting, searching.

What comes out of a search is a list of candidates, however alike the first of them is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from custodes.config import Limits
from custodes.domain import (
    AttributeName,
    AttributeSet,
    Candidate,
    Face,
    ImageSize,
    QualityFilter,
    QualityReason,
    Reference,
)
from custodes.errors import Invalid
from custodes.gallery import Collection, Deletion, NewReference, References
from custodes.governance import Action, Caller
from custodes.operations.admission import Admission
from custodes.operations.engines import Engines
from custodes.operations.entries import Part, erased_parts, tell_found
from custodes.operations.erasure import Eraser
from custodes.operations.guard import Guard, Using
from custodes.operations.images import Images, ImageSource, ReadOnce
from custodes.operations.owners import owner_of
from custodes.operations.photos import Comparison, Detection, PhotoOperations, Skipped, no_face, passing
from custodes.operations.scores import MATCH_THRESHOLD, least_cosine, score
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
    """An image by its hash, its good enough faces, the largest first, and the engine for their templates."""

    engine: Engine
    pack_version: str
    digest: bytes
    size: ImageSize
    count: int
    good: tuple[Face, ...]


class FaceOperations:
    """Use cases around faces.

    Args:
        guard: authorises and records.
        admission: finds collections as callers may know of them.
        engines, references, images: what they work on.
        eraser: lets the ledger's openings go with what they are about.
        limits: how many faces are looked at.
        switched_on: attributes that can be asked for here.
    """

    def __init__(
        self,
        guard: Guard,
        admission: Admission,
        engines: Engines,
        references: References,
        images: Images,
        eraser: Eraser,
        limits: Limits,
        switched_on: frozenset[AttributeName] = frozenset(AttributeName),
    ) -> None:
        self._guard = guard
        self._eraser = eraser
        self._switched_on = switched_on
        self._engines = engines
        self._admission = admission
        self._references = references
        self._images = images
        self._limits = limits

    def detect(self, caller: Caller, source: ImageSource, attributes: AttributeSet | None = None) -> Detection:
        """Find the faces of an image.

        Raises:
            Denied: if a rule forbids it.
            Invalid: if the image can't be read.
        """
        with self._guard.using(caller, Action.DETECT, attributes=self._asked(attributes)) as using:
            engine = self._engines.default
            found = PhotoOperations(engine, self._limits).detect(self._images.decode(engine, source), attributes)
            using.part.note(faces=len(found.faces), model=engine.pack.manifest.version)
            return found

    def compare(
        self,
        caller: Caller,
        source: ImageSource,
        target: ImageSource,
        *,
        threshold: float | None,
        quality: QualityFilter = QualityFilter.NONE,
        tell: Callable[[Using, Comparison], None] | None = None,
    ) -> Comparison:
        """Compare the largest face of one image with all of another.

        Args:
            caller: who asks.
            source, target: the images.
            threshold: least similarity, 0..100; None takes the default, or the floor that the rules set.
            quality: faces below are passed over.
            tell: adds what else the entry tells of what came out.

        Raises:
            Denied: if a rule forbids it.
            Invalid: if an image can't be read, or shows no face that is good enough (code ``no-face``).
        """
        guarded = self._guard.using(caller, Action.COMPARE, threshold=threshold, default=MATCH_THRESHOLD)
        with guarded as using:
            engine = self._engines.default
            left, right = self._images.read(source), self._images.read(target)
            found = PhotoOperations(engine, self._limits).compare(
                engine.decode(left), engine.decode(right), threshold=using.threshold, quality=quality
            )
            using.part.note(matches=len(found.matches), faces=len(found.matches) + len(found.unmatched))
            using.part.note(model=engine.pack.manifest.version)
            using.part.commit("source", self._images.digest(left))
            using.part.commit("target", self._images.digest(right))
            if tell is not None:
                tell(using, found)
            return found

    def index(
        self,
        caller: Caller,
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
            caller: who asks.
            name: the collection.
            source: the image.
            external_image_id: the caller's label of the image.
            attributes: what to tell of each face.
            max_faces: enrol so many at most, the largest first.
            quality: faces below are not enrolled.

        Raises:
            NotFound: if there is no such collection.
            Denied: if a rule forbids it.
            Invalid: if the image can't be read.
            Conflict: if the collection is full.
        """
        collection = self._admission.get(caller, name)
        asked = self._asked(attributes)
        guarded = self._guard.using(caller, Action.ENROL, collection, attributes=asked, label=external_image_id)
        with guarded as using:
            engine = self._engines.of(collection.pack)
            data = self._images.read(source)
            image = engine.decode(data)
            found = engine.detect(image, attributes=attributes or False, max_faces=self._limits.faces)
            good, skipped = passing(engine, found, quality)
            most = len(good) if max_faces is None else max_faces
            surplus = tuple(Skipped(f, (QualityReason.EXCEEDS_MAX_FACES,)) for f in good[most:])
            chosen = good[:most]
            if using.consent is not None and len(chosen) > 1:
                raise Invalid(
                    f"The image shows {len(chosen)} faces, and the consent is one person's.",
                    remedy="Crop it, or enrol the largest face alone (MaxFaces 1).",
                )
            templates = engine.embed(chosen)
            with using.committing():
                references = self._references.enrol(
                    name,
                    [NewReference(f.box, f.confidence, t) for f, t in zip(chosen, templates, strict=True)],
                    image_id=self._images.identify(data),
                    external_image_id=external_image_id,
                    image_size=image.size,
                    provenance=caller.provenance,
                    consent=using.consent,
                )
                self._tell_enrolled(using, references, collection.pack_version, data)
            return Indexed(
                image.size, collection.pack_version, tuple(zip(references, chosen, strict=True)), surplus + skipped
            )

    def _tell_enrolled(self, using: Using, references: Sequence[Reference], version: str, data: bytes) -> None:
        part = using.part
        part.note(enrolled=len(references), model=version, provenance=using.caller.provenance, consent=using.consent)
        for number, reference in enumerate(references):
            owner = owner_of(reference.reference_id)
            part.commit(f"reference.{number}", reference.reference_id.encode(), owner)
            part.mentions.append(owner)
        if references:  # an opening of the image is about whom it shows first
            part.commit("image", self._images.digest(data), owner_of(references[0].reference_id))

    def _asked(self, attributes: AttributeSet | None) -> frozenset[str]:
        """Return the attributes that are asked for and switched on, as the rules name them."""
        names = attributes.names & self._switched_on if attributes else frozenset()
        return frozenset(n.value.lower().replace("_", "-") for n in names)

    def list(
        self, caller: Caller, name: str, *, after: int, limit: int, user: str | None, ids: Sequence[str] | None
    ) -> tuple[str, tuple[Reference, ...], int | None]:
        """Read a page of references: the collection's pack version, the references, and where to go on.

        Raises:
            NotFound: if there is no such collection or user.
            Denied: if a rule forbids it.
        """
        collection = self._admission.get(caller, name)
        with self._guard.using(caller, Action.LIST_REFERENCES, collection) as using:
            page, position = self._references.list(name, after=after, limit=limit, subject_id=user, reference_ids=ids)
            using.part.note(listed=len(page))
            return collection.pack_version, page, position

    def delete(self, caller: Caller, name: str, ids: Sequence[str]) -> Deletion:
        """Delete references; what the ledger's openings tell of them is destroyed with them.

        Raises:
            NotFound: if there is no such collection.
            Denied: if a rule forbids it.
        """
        collection = self._admission.get(caller, name)
        with self._guard.using(caller, Action.DELETE_REFERENCES, collection) as using:
            with using.committing() as c:
                done = self._eraser.delete(c, collection, ids)
                using.parts = erased_parts(done.deleted)
            return done

    def search(
        self,
        caller: Caller,
        name: str,
        reference_id: str,
        *,
        limit: int,
        threshold: float | None,
        tell: Callable[[Using, FaceSearch], None] | None = None,
    ) -> FaceSearch:
        """Find references that are alike to one of the collection; that one is left out.

        Args:
            caller: who asks.
            name: the collection.
            reference_id: which of its references.
            limit: length of the candidate list.
            threshold: least similarity, 0..100; None takes the default, or the floor that the rules set.
            tell: adds what else the entry tells of what came out.

        Raises:
            NotFound: if there is no such collection, or no such reference in it.
            Denied: if a rule forbids it.
        """
        collection = self._admission.get(caller, name)
        word = f"reference:{reference_id}"
        guarded = self._guard.searching(caller, Action.SEARCH_REFERENCES, collection, threshold, lambda: (word,))
        with guarded as using:
            found = self._references.search_like(
                name,
                reference_id,
                limit=limit,
                threshold=lambda pack: least_cosine(self._engines.of(pack).pack, using.threshold),
            )
            engine = self._engines.of(found.collection.pack)
            ranked = candidates(engine, found.pairs, using.threshold)
            self._show(caller, collection, ranked)
            owner = owner_of(reference_id)
            using.part.commit("probe", reference_id.encode(), owner)
            using.part.mentions.append(owner)
            tell_found(using.part, found.collection.pack_version, word, ranked)
            done = FaceSearch(found.collection.pack_version, ranked)
            if tell is not None:
                tell(using, done)
            return done

    def search_by_image(
        self,
        caller: Caller,
        name: str,
        source: ImageSource,
        *,
        limit: int,
        threshold: float | None,
        quality: QualityFilter,
        number: int = 0,
        tell: Callable[[Using, ImageSearch], None] | None = None,
    ) -> ImageSearch:
        """Find references that are alike to a face of an image, which is not enrolled.

        Args:
            caller: who asks.
            name: the collection.
            source: the image.
            limit: length of the candidate list.
            threshold: least similarity, 0..100; None takes the default, or the floor that the rules set.
            quality: faces below are passed over.
            number: which of the other faces; 0 is the largest, 1 the next.
            tell: adds what else the entry tells of what came out.

        Raises:
            NotFound: if there is no such collection.
            Denied: if a rule forbids it.
            Invalid: if the image can't be read, or shows no such face that is good enough (code ``no-face``).
        """
        collection, data = self._admission.get(caller, name), ReadOnce(self._images, source)
        guarded = self._guard.searching(caller, Action.SEARCH_REFERENCES, collection, threshold, lambda: (data.word,))
        with guarded as using:
            probes = self._probes(collection, data, quality)
            engine = probes.engine
            if not 0 <= number < len(probes.good):
                raise no_face("chosen place of the image")
            [template] = engine.embed(probes.good[number : number + 1])
            least = least_cosine(engine.pack, using.threshold)
            found = self._references.search(name, template, limit=limit, threshold=least)
            ranked = candidates(engine, found, using.threshold)
            self._show(caller, collection, ranked)
            self._tell_probe(using.part, probes, ranked, number)
            done = ImageSearch(probes.size, probes.count, probes.good[number], probes.pack_version, ranked)
            if tell is not None:
                tell(using, done)
            return done

    def search_each(
        self,
        caller: Caller,
        name: str,
        source: ImageSource,
        *,
        limit: int,
        threshold: float | None,
        quality: QualityFilter,
    ) -> tuple[ImageSearch, ...]:
        """Make one search for every face of an image that is good enough, the largest first.

        Each is a search of its own, with its own entry, and counts on its own; if the rules forbid one, none is told.

        Raises:
            NotFound: if there is no such collection.
            Denied: if a rule forbids it.
            Invalid: if the image can't be read, or shows no face that is good enough (code ``no-face``).
        """
        collection, data = self._admission.get(caller, name), ReadOnce(self._images, source)
        guarded = self._guard.searching(caller, Action.SEARCH_REFERENCES, collection, threshold, lambda: (data.word,))
        with guarded as using:
            probes = self._probes(collection, data, quality)
            engine = probes.engine
            cosine = least_cosine(engine.pack, using.threshold)
            lists = self._references.search_many(name, engine.embed(probes.good), limit=limit, threshold=cosine)
            searches = tuple(
                ImageSearch(
                    probes.size,
                    probes.count,
                    face,
                    probes.pack_version,
                    candidates(engine, found, using.threshold),
                )
                for face, found in zip(probes.good, lists, strict=True)
            )
            self._show(caller, collection, [k for one in searches for k in one.candidates])
            using.parts = [Part() for _ in searches]
            for number, (part, one) in enumerate(zip(using.parts, searches, strict=True)):
                self._tell_probe(part, probes, one.candidates, number)
            return searches

    def _show(self, caller: Caller, collection: Collection, ranked: Sequence[Candidate]) -> None:
        self._admission.show(caller, collection, [k.reference.reference_id for k in ranked])

    def _tell_probe(self, part: Part, probes: _Probes, ranked: Sequence[Candidate], number: int = 0) -> None:
        part.note(face=number)
        part.commit("probe", probes.digest)
        tell_found(part, probes.pack_version, f"image:{probes.digest.decode()}#{number}", ranked)

    def _probes(self, collection: Collection, data: ReadOnce, quality: QualityFilter) -> _Probes:
        """Find the faces of an image that can be searched for in a collection.

        Raises:
            Invalid: if the image can't be read, or shows no face that is good enough (code ``no-face``).
        """
        engine = self._engines.of(collection.pack)
        image = engine.decode(data.content)
        faces = self._faces(engine, image)
        good, _ = passing(engine, faces, quality)
        if not good:
            raise no_face("image")
        return _Probes(engine, collection.pack_version, self._images.digest(data.content), image.size, len(faces), good)

    def is_indexed(self, caller: Caller, name: str, source: ImageSource, external_image_id: str) -> bool:
        """Tell whether a face of this image is enrolled under this label, so that enrolling a folder can go on.

        Of another organisation's collection nothing is told.

        Raises:
            NotFound: if there is no such collection.
            Invalid: if the image can't be read.
        """
        if self._admission.get(caller, name).owner != self._guard.organisation_of(caller):
            return False
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
