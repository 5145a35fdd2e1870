# SPDX-License-Identifier: Apache-2.0
"""The whole of vision behind one door: pictures in, faces, templates and scores out.

    engine = Engine.default()
    faces = engine.detect("photo.jpg")
    templates = engine.embed(faces)

An :class:`Engine` keeps no state between calls and may be shared by threads. It sees no database and no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from custodes.config import Config, Limits, Vision, load
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
    cosines,
)
from custodes.errors import Invalid
from custodes.vision import quality
from custodes.vision.align import aligned
from custodes.vision.attributes import AttributeReader
from custodes.vision.detect import Detector
from custodes.vision.embed import Embedder
from custodes.vision.find import Finder
from custodes.vision.image import Image, decode, read
from custodes.vision.landmarks import FaceMesh, all_landmarks, five_landmarks, pose, scaled
from custodes.vision.pack import Pack, open_pack

__all__ = ["Engine", "Picture"]

Picture = Image | bytes | str | Path | UInt8
"""An image, a file's bytes, a file's path, or ``(h, w, 3)`` uint8 RGB pixels."""


class Engine:
    """Finds, describes and compares faces with the networks of one model pack.

    Args:
        pack: the networks; they are opened when they are first needed.
        config: which attributes are on.
        limits: what pictures are taken.
    """

    def __init__(self, pack: Pack, config: Vision, limits: Limits) -> None:
        cv2.setNumThreads(config.threads)  # OpenCV's own, of the whole process
        self._pack = pack
        self._limits = limits
        thresholds = pack.manifest.thresholds
        self._finder = Finder(
            Detector(pack.model("detector"), pack.spec("detector"), overlap=thresholds.overlap, detail=config.detail),
            FaceMesh(pack.model("landmarks"), pack.spec("landmarks")),
            thresholds,
        )
        self._embedder = Embedder(pack.model("embedder"), pack.spec("embedder"))
        self._attributes = AttributeReader(pack, config)

    @classmethod
    def default(cls, config: Config | None = None) -> Engine:
        """Return an engine with the configured pack; settings are read as the command reads them if none are given.

        Raises:
            Invalid: if a setting or the pack's manifest can't be meant.
            NotFound: if there is no such pack.
            Unavailable: if a package that carries a network isn't installed.
            IntegrityError: if a network isn't the one that the manifest describes.
        """
        config = config or load()
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

    def decode(self, data: bytes) -> Image:
        """Decode a JPEG or PNG; raises as :func:`custodes.vision.image.decode` does."""
        return decode(data, self._limits)

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
        """Find the faces of a picture, the largest first; coordinates are those of the whole picture.

        Args:
            picture: where to look.
            attributes: what to find out beyond the default; True is everything.
            max_faces: report at most so many.

        Raises:
            Invalid: if the picture can't be read.
        """
        image = self.load(picture)
        pixels = image.pixels
        found = self._finder.find(pixels, max_faces)
        wanted = attributes if isinstance(attributes, AttributeSet) else AttributeSet.all()
        looks = self._attributes.read(pixels, found.meshes, wanted) if attributes else ()
        faces = []
        for i, mesh in enumerate(found.meshes):
            face = _face(pixels, found.boxes[i], float(found.confidences[i]), mesh)
            if looks:
                face = replace(
                    face,
                    attributes=looks[i].attributes,
                    all_landmarks=all_landmarks(mesh, looks[i].pupils) if wanted.landmarks else None,
                )
            faces.append(face if image.whole is None else scaled(face, image.scale))
        return tuple(faces)

    def glance(self, pixels: UInt8, *, side: int = 640, max_faces: int = 20) -> tuple[Face, ...]:
        """Find the upright faces in a picture of a video, the largest first: quick, and content to miss some.

        Args:
            pixels: ``(h, w, 3)`` uint8 BGR.
            side: the picture is looked at with at most so many pixels a side; faces below about a thirtieth of it are
                missed.
            max_faces: report at most so many.
        """
        found = self._finder.glance(pixels, max_faces, side)
        return tuple(
            _face(pixels, box, float(confidence), mesh)
            for box, confidence, mesh in zip(found.boxes, found.confidences, found.meshes, strict=True)
        )

    def embed(self, faces: Sequence[Face]) -> tuple[Template, ...]:
        """Make a template of each face, in their order."""
        if not faces:
            return ()
        vectors = self._embedder.vectors([face.image for face in faces])
        return tuple(Template(v, self._pack.manifest.id) for v in vectors)

    def compare(self, a: Template, b: Template) -> Score:
        """Return how alike two templates are.

        Raises:
            Invalid: if they were made with different packs, or not with this one.
        """
        if not a.pack == b.pack == self._pack.manifest.id:
            raise Invalid(f"Templates of {a.pack} and {b.pack} can't be compared by {self._pack.manifest.id}.")
        [cosine] = cosines(a.vector[None], b.vector).tolist()
        return Score(cosine, self._pack.similarity(cosine))

    @staticmethod
    def quality_reasons(face: Face, level: QualityFilter) -> tuple[QualityReason, ...]:
        """Return why a face is below the bar of ``level``; nothing when it is good enough."""
        return quality.reasons(face, level)


def _face(pixels: UInt8, box: Float32, confidence: float, mesh: Float32) -> Face:
    left, top, right, bottom = box.tolist()
    image = aligned(pixels, mesh)
    return Face(
        box=Box(left, top, right - left, bottom - top),
        confidence=confidence,
        landmarks=five_landmarks(mesh),
        pose=pose(mesh),
        quality=quality.measure(image),
        image=image,
        mesh=mesh,
    )
