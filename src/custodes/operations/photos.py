# SPDX-License-Identifier: Apache-2.0
"""Use cases around photos alone: detecting, comparing, drawing. They need a model pack, but no installation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from custodes.config import Config, Limits
from custodes.domain import AttributeSet, Face, ImageSize, QualityFilter, QualityReason, Score
from custodes.errors import Code, Invalid
from custodes.vision.engine import Engine
from custodes.vision.image import Image as Image
from custodes.vision.image import read as read
from custodes.vision.image import read_bytes as read_bytes

__all__ = [
    "Comparison",
    "Detection",
    "Image",
    "PhotoOperations",
    "Skipped",
    "draw",
    "no_face",
    "passing",
    "read",
    "read_bytes",
]


@dataclass(frozen=True, slots=True)
class Detection:
    """The faces of an image, the largest first."""

    size: ImageSize
    faces: tuple[Face, ...]


@dataclass(frozen=True, slots=True)
class Skipped:
    """A face that was not used, and why."""

    face: Face
    reasons: tuple[QualityReason, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The largest face of the source against each face of the target.

    Attributes:
        source_size, target_size: frames of the boxes.
        source: the face that was compared, the largest of ``source_count``.
        matches: the target's faces that are alike enough, the most alike first.
        unmatched: its other faces, the most alike first.
    """

    source_size: ImageSize
    source: Face
    source_count: int
    target_size: ImageSize
    matches: tuple[tuple[Face, Score], ...]
    unmatched: tuple[Face, ...]


class PhotoOperations:
    """Use cases around photos alone.

    Args:
        engine: finds and compares.
        limits: how many faces are looked at.
    """

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self._engine = engine
        self._limits = limits

    @classmethod
    def open(cls, config: Config) -> PhotoOperations:
        """Open the configured model pack; raises as :meth:`Engine.default` does."""
        return cls(Engine.default(config), config.limits)

    def detect(self, image: Image, attributes: AttributeSet | None = None) -> Detection:
        """Find the faces of an image."""
        faces = self._engine.detect(image, attributes=attributes or False, max_faces=self._limits.faces)
        return Detection(image.size, faces)

    def compare(self, source: Image, target: Image, *, threshold: float, quality: QualityFilter) -> Comparison:
        """Compare the largest face of one image with all of another.

        Args:
            source, target: the images.
            threshold: least similarity of a match, 0..100.
            quality: faces below are passed over.

        Raises:
            Invalid: if an image shows no face that is good enough (code ``no-face``).
        """
        engine = self._engine
        probes, _ = passing(engine, self.detect(source).faces, quality)
        if not probes:
            raise no_face("source")
        faces, _ = passing(engine, self.detect(target).faces, quality)
        if not faces:
            raise no_face("target")
        [probe] = engine.embed(probes[:1])
        scored = [(f, engine.compare(probe, t)) for f, t in zip(faces, engine.embed(faces), strict=True)]
        scored.sort(key=lambda pair: -pair[1].cosine)
        return Comparison(
            source_size=source.size,
            source=probes[0],
            source_count=len(probes),
            target_size=target.size,
            matches=tuple((f, s) for f, s in scored if s.similarity >= threshold),
            unmatched=tuple(f for f, s in scored if s.similarity < threshold),
        )


def passing(
    engine: Engine, faces: Sequence[Face], quality: QualityFilter
) -> tuple[tuple[Face, ...], tuple[Skipped, ...]]:
    """Part the faces that are good enough from the others; both keep their order."""
    judged = [(f, engine.quality_reasons(f, quality)) for f in faces]
    return tuple(f for f, r in judged if not r), tuple(Skipped(f, r) for f, r in judged if r)


def no_face(image: str) -> Invalid:
    """Return the refusal of an image, called ``image``, in which a face is needed and none is good enough."""
    return Invalid(f"The {image} shows no face that is good enough.", code=Code.NO_FACE)


def draw(image: Image, faces: Sequence[Face], labels: Sequence[str], path: Path) -> None:
    """Write a JPEG of the image with its faces marked, each with its label.

    Raises:
        Invalid: if the file can't be written.
    """
    from custodes.vision import draw as drawing  # here, as few look at pictures

    drawing.save(drawing.draw(image, faces, labels), path)
