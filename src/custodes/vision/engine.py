# SPDX-License-Identifier: Apache-2.0
"""The whole of vision behind one door: pictures in, faces, templates and scores out.

    engine = Engine.default()
    faces = engine.detect("photo.jpg")
    templates = engine.embed("photo.jpg", faces)

An :class:`Engine` keeps no state between calls and may be shared by threads. It sees no database and no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from custodes.config import Config, Limits, Vision
from custodes.domain import (
    AttributeSet,
    Box,
    Face,
    FaceImage,
    Float32,
    QualityFilter,
    QualityReason,
    Score,
    Template,
    UInt8,
)
from custodes.errors import Invalid
from custodes.vision import quality
from custodes.vision.align import aligned
from custodes.vision.attributes import AttributeReader
from custodes.vision.decoders import Detections
from custodes.vision.detect import Detector
from custodes.vision.embed import Embedder
from custodes.vision.image import Image, decode, read
from custodes.vision.landmarks import FaceMesh, Meshes, all_landmarks, five_landmarks, pose
from custodes.vision.pack import Pack, open_pack

__all__ = ["Engine", "Picture"]

Picture = Image | bytes | str | Path | UInt8
"""An image, a file's bytes, a file's path, or ``(h, w, 3)`` uint8 RGB pixels."""

_PLAIN = 0.9
"""Score and ..."""
_PLAIN_MESH = 0.98
"""... mesh probability from which a face is taken to stand upright without a closer look."""
_POSITIONS = 3
_DETECTOR_WEIGHT = 8.0
_CONFIRMED = 0.9
"""Mesh probability that makes up for a detection score below the sure one."""
_CANDIDATES = 3
"""Places that are looked at for each face that may be reported."""
_TURNED = 45.0
"""Roll in degrees from which a picture is taken to lie on its side, so that other faces may have been missed."""


class Engine:
    """Finds, describes and compares faces with the networks of one model pack.

    Args:
        pack: the networks; they are opened when they are first needed.
        config: which attributes are on.
        limits: what pictures are taken.
    """

    def __init__(self, pack: Pack, config: Vision, limits: Limits) -> None:
        self._pack = pack
        self._limits = limits
        thresholds = pack.manifest.thresholds
        self._threshold = thresholds.detection
        self._sure = (1 + thresholds.detection) / 2
        self._detector = Detector(pack.model("detector"), pack.spec("detector"), overlap=thresholds.overlap)
        self._mesh = FaceMesh(pack.model("landmarks"), pack.spec("landmarks"))
        self._embedder = Embedder(pack.model("embedder"), pack.spec("embedder"))
        self._attributes = AttributeReader(pack, config)

    @classmethod
    def default(cls, config: Config | None = None) -> Engine:
        """Return an engine with the configured pack."""
        config = config or Config()
        return cls(open_pack(config, config.vision.pack), config.vision, config.limits)

    @property
    def pack(self) -> Pack:
        """The model pack that makes this engine's templates."""
        return self._pack

    @cached_property
    def dimension(self) -> int:
        """Length of this engine's templates."""
        blank = FaceImage(np.zeros((112, 112, 3), np.uint8))
        return int(self._embedder.vectors([blank]).shape[1])

    def warm(self) -> None:
        """Run the networks once, so that the first picture doesn't wait for what they set up."""
        self.detect(np.zeros((128, 128, 3), np.uint8))
        assert self.dimension

    def decode(self, data: bytes, *, max_bytes: int | None = None) -> Image:
        """Decode a JPEG or PNG; raises as :func:`custodes.vision.image.decode` does."""
        return decode(data, self._limits, max_bytes=max_bytes)

    def load(self, picture: Picture) -> Image:
        """Return a picture in whatever form it comes.

        Raises:
            NotFound: if a path leads to no file that can be read.
            Invalid: if it is no picture within the limits.
        """
        if isinstance(picture, Image):
            return picture
        if isinstance(picture, bytes):
            return self.decode(picture)
        if isinstance(picture, str | Path):
            return read(Path(picture), self._limits)
        return Image.from_array(picture)

    def detect(
        self, picture: Picture, *, attributes: bool | AttributeSet = False, max_faces: int = 100
    ) -> tuple[Face, ...]:
        """Find the faces of a picture, the largest first.

        Args:
            picture: where to look.
            attributes: what to find out beyond the default; True is everything.
            max_faces: report at most so many.

        Raises:
            Invalid: if the picture can't be read.
        """
        pixels = self.load(picture).pixels
        found, meshes, likely = self._locate(pixels, max_faces)
        wanted = attributes if isinstance(attributes, AttributeSet) else AttributeSet.all()
        looks = self._attributes.read(pixels, meshes, wanted) if attributes else ()
        faces = []
        for i, mesh in enumerate(meshes):
            face = _face(pixels, found, i, mesh, float(likely[i]))
            if looks:
                face = replace(
                    face,
                    attributes=looks[i].attributes,
                    all_landmarks=all_landmarks(mesh, looks[i].pupils) if wanted.landmarks else None,
                )
            faces.append(face)
        return tuple(faces)

    def embed(self, picture: Picture, faces: Sequence[Face]) -> tuple[Template, ...]:
        """Make a template of each face that was found in the picture, in their order."""
        if not faces:
            return ()
        pixels = self.load(picture).pixels
        vectors = self._embedder.vectors([aligned(pixels, face.mesh) for face in faces])
        return tuple(Template(v, self._pack.manifest.id) for v in vectors)

    def compare(self, a: Template, b: Template) -> Score:
        """Return how alike two templates are.

        Raises:
            Invalid: if they were made with different packs, or not with this one.
        """
        if not a.pack == b.pack == self._pack.manifest.id:
            raise Invalid(f"Templates of {a.pack} and {b.pack} can't be compared by {self._pack.manifest.id}.")
        cosine = float(a.vector @ b.vector)
        return Score(cosine, self._pack.similarity(cosine))

    def quality_reasons(
        self, face: Face, level: QualityFilter, picture: Picture | None = None
    ) -> tuple[QualityReason, ...]:
        """Return why a face is below the bar of ``level``; nothing when it is good enough."""
        return quality.reasons(face, level)

    # --- finding -----------------------------------------------------------------------------------------------

    def _locate(self, pixels: UInt8, max_faces: int) -> tuple[Detections, Float32, Float32]:
        """Return the faces, largest first, their meshes ``(n, 468, 3)`` and how likely each is a face, 0..1."""
        found, meshes = self._accepted(pixels, self._detector.find(pixels, self._threshold), max_faces)
        for quarters in self._other_turns(found, meshes):
            turned = self._detector.find_turned(pixels, self._threshold, quarters)
            more, more_meshes = self._accepted(pixels, turned, max_faces)
            if len(more):
                found, meshes = self._merged(found, meshes, more, more_meshes)
                break
        order = np.argsort(-found.sides.prod(axis=1), kind="stable")[:max_faces]
        return found[order], meshes.points[order], meshes.likely[order]

    def _accepted(self, pixels: UInt8, found: Detections, max_faces: int) -> tuple[Detections, Meshes]:
        """Return those detections that are faces, with their meshes."""
        found = found[: max_faces * _CANDIDATES]
        meshes = self._mesh.fit(pixels, found)
        unsure = np.flatnonzero((found.scores < _PLAIN) | (meshes.likely < _PLAIN_MESH))
        for i, seen in zip(unsure, self._detector.closer(pixels, found[unsure]), strict=True):
            if not len(seen):
                continue
            seen = seen[np.argsort(-seen.scores)[:_POSITIONS]]
            fitted = self._mesh.fit(pixels, seen)
            best = int((_DETECTOR_WEIGHT * _logit(seen.scores) + _logit(fitted.likely)).argmax())
            found.scores[i] = max(found.scores[i], seen.scores[best])
            found.boxes[i], found.points[i] = seen.boxes[best], seen.points[best]
            meshes.points[i], meshes.likely[i] = fitted.points[best], fitted.likely[best]
        keep = (found.scores >= self._sure) | (meshes.likely >= _CONFIRMED)
        return found[keep], Meshes(meshes.points[keep], meshes.likely[keep])

    @staticmethod
    def _other_turns(found: Detections, meshes: Meshes) -> tuple[int, ...]:
        if not len(found):
            return (1, 3, 2)
        return ()

    def _merged(
        self, found: Detections, meshes: Meshes, more: Detections, more_meshes: Meshes
    ) -> tuple[Detections, Meshes]:
        joined = Detections.joined([found, more])
        points = np.concatenate([meshes.points, more_meshes.points])
        likely = np.concatenate([meshes.likely, more_meshes.likely])
        return joined, Meshes(points, likely)


def _logit(share: Float32) -> Float32:
    share = np.clip(share, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(share / (1 - share)))


def _face(pixels: UInt8, found: Detections, i: int, mesh: Float32, likely: float) -> Face:
    left, top, right, bottom = found.boxes[i].tolist()
    # Two witnesses: it is no face only if detector and mesh are both wrong.
    confidence = 1 - (1 - min(1.0, float(found.scores[i]))) * (1 - likely)
    return Face(
        box=Box(left, top, right - left, bottom - top),
        confidence=min(100.0, 100 * confidence),
        landmarks=five_landmarks(mesh),
        pose=pose(mesh),
        quality=quality.measure(aligned(pixels, mesh)),
        mesh=mesh,
    )
