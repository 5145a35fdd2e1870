# SPDX-License-Identifier: Apache-2.0
"""The nouns that rooms exchange: frozen, slotted, checked on construction.

Coordinates are pixels of the upright image (after EXIF orientation), origin at the top left corner, x to the
right, y down, as floats; a box may reach over the edge. Words follow ISO/IEC 2382-37: a *template* is what an
embedder makes of a face, a *reference* is a template that is stored, a *subject* groups the references of one
person, a *candidate* is what a search returns and is never an identity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from custodes.errors import Invalid

__all__ = [
    "AttributeName",
    "Attributes",
    "BinaryAttribute",
    "Box",
    "Candidate",
    "Face",
    "FaceImage",
    "Float32",
    "ImageSize",
    "Landmarks",
    "Pose",
    "Quality",
    "QualityFilter",
    "QualityReason",
    "Reference",
    "Score",
    "Subject",
    "SubjectCandidate",
    "SubjectStatus",
    "Template",
    "UInt8",
    "cosines",
]

Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]


def _finite(name: str, *values: float) -> None:
    if not all(math.isfinite(v) for v in values):
        raise Invalid(f"{name} must be finite, got {values}.")


def _percent(name: str, *values: float) -> None:
    if not all(0.0 <= v <= 100.0 for v in values):
        raise Invalid(f"{name} must lie in 0..100, got {values}.")


@dataclass(frozen=True, slots=True)
class ImageSize:
    """Width and height of an upright image, in pixels."""

    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise Invalid(f"An image has at least one pixel, got {self.width} x {self.height}.")


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels: left, top, width, height; it may reach over the image's edge."""

    left: float
    top: float
    width: float
    height: float

    def __post_init__(self) -> None:
        _finite("A box", self.left, self.top, self.width, self.height)
        if self.width <= 0 or self.height <= 0:
            raise Invalid(f"A box has a positive size, got {self.width} x {self.height}.")

    @property
    def area(self) -> float:
        """Area in square pixels."""
        return self.width * self.height

    @property
    def right(self) -> float:
        """Right edge in pixels."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """Bottom edge in pixels."""
        return self.top + self.height

    def overlap(self, other: Box) -> float:
        """Return how far two boxes are one: intersection over union, 0..1."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        shared = max(width, 0.0) * max(height, 0.0)
        return shared / (self.area + other.area - shared)

    def contains(self, x: float, y: float) -> bool:
        """Tell whether the point (x, y) lies inside."""
        return self.left <= x <= self.right and self.top <= y <= self.bottom


@dataclass(frozen=True, slots=True, eq=False)
class Landmarks:
    """Named points on a face.

    Attributes:
        names: one name a point, in the order of ``points``.
        points: ``(n, 2)`` float32, x and y in pixels.
    """

    names: tuple[str, ...]
    points: Float32

    def __post_init__(self) -> None:
        if self.points.shape != (len(self.names), 2) or self.points.dtype != np.float32:
            raise Invalid(f"Landmarks are ({len(self.names)}, 2) float32, got {self.points.shape} {self.points.dtype}.")
        if not np.isfinite(self.points).all():
            raise Invalid("Landmarks must be finite.")

    def __getitem__(self, name: str) -> tuple[float, float]:
        x, y = self.points[self.names.index(name)]
        return float(x), float(y)


@dataclass(frozen=True, slots=True)
class Pose:
    """Rotation of the head in degrees, each in -180..180, with Rekognition's signs.

    ``roll`` turns clockwise in the image, ``yaw`` is positive when the face looks to the image's right, ``pitch``
    is positive when it looks up.
    """

    roll: float
    yaw: float
    pitch: float

    def __post_init__(self) -> None:
        if not all(-180.0 <= v <= 180.0 for v in (self.roll, self.yaw, self.pitch)):
            raise Invalid(f"Angles lie in -180..180 degrees, got {(self.roll, self.yaw, self.pitch)}.")


@dataclass(frozen=True, slots=True)
class Quality:
    """Brightness and sharpness of a face, each 0..100 (higher is brighter, sharper)."""

    brightness: float
    sharpness: float

    def __post_init__(self) -> None:
        _percent("Quality", self.brightness, self.sharpness)


class QualityReason(StrEnum):
    """Why a face was not used; the values are Rekognition's own."""

    EXCEEDS_MAX_FACES = "EXCEEDS_MAX_FACES"
    EXTREME_POSE = "EXTREME_POSE"
    LOW_BRIGHTNESS = "LOW_BRIGHTNESS"
    LOW_SHARPNESS = "LOW_SHARPNESS"
    LOW_CONFIDENCE = "LOW_CONFIDENCE"
    SMALL_BOUNDING_BOX = "SMALL_BOUNDING_BOX"
    LOW_FACE_QUALITY = "LOW_FACE_QUALITY"


class QualityFilter(StrEnum):
    """How good a face must be to be used; the values are Rekognition's own. AUTO is Custodes' own bar."""

    NONE = "NONE"
    AUTO = "AUTO"
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"


class AttributeName(StrEnum):
    """What can be asked of a face's looks; the values are Rekognition's own. ``docs/attributes.md`` says why others
    are missing."""

    AGE_RANGE = "AGE_RANGE"
    EMOTIONS = "EMOTIONS"
    EYES_OPEN = "EYES_OPEN"
    GENDER = "GENDER"
    MOUTH_OPEN = "MOUTH_OPEN"
    SMILE = "SMILE"


@dataclass(frozen=True, slots=True)
class AttributeSet:
    """What to find out of each face, beyond where it is.

    Attributes:
        names: attributes; those that are switched off or that no model does come out as None.
        landmarks: whether to report all landmarks rather than five.
    """

    names: frozenset[AttributeName] = frozenset()
    landmarks: bool = False

    @classmethod
    def all(cls) -> AttributeSet:
        """Return everything that can be asked."""
        return cls(frozenset(AttributeName), landmarks=True)


@dataclass(frozen=True, slots=True)
class BinaryAttribute:
    """A yes/no property of how a face looks, with the confidence (50..100) of the answer given."""

    value: bool
    confidence: float

    def __post_init__(self) -> None:
        _percent("Confidence", self.confidence)


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a model says of a face's looks; an attribute that no bundled model does honestly is None.

    ``age`` is (low, high) in years. ``expression`` maps Rekognition's emotion names to 0..100; ``male`` holds the
    perceived-gender answer: both are None unless the operator has switched them on.
    """

    age: tuple[int, int] | None = None
    smile: BinaryAttribute | None = None
    eyes_open: BinaryAttribute | None = None
    mouth_open: BinaryAttribute | None = None
    male: BinaryAttribute | None = None
    expression: tuple[tuple[str, float], ...] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FaceImage:
    """An aligned face, ready for the embedder: ``pixels`` is ``(112, 112, 3)`` uint8, RGB."""

    pixels: UInt8

    def __post_init__(self) -> None:
        if self.pixels.shape != (112, 112, 3) or self.pixels.dtype != np.uint8:
            raise Invalid(f"A face image is (112, 112, 3) uint8, got {self.pixels.shape} {self.pixels.dtype}.")


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A face that was found in one image.

    Attributes:
        box: where it is.
        confidence: 0..100, that this is a face.
        landmarks: five points: eyeLeft, eyeRight, nose, mouthLeft, mouthRight (left as seen in the image).
        pose: rotation of the head.
        quality: brightness and sharpness.
        image: the face aligned, from which its template is made.
        mesh: ``(468, 3)`` float32, MediaPipe's face mesh in pixels (z in the same unit), which alignment uses.
        all_landmarks: 25 to 30 points, when they were asked for.
        attributes: when they were asked for.
    """

    box: Box
    confidence: float
    landmarks: Landmarks
    pose: Pose
    quality: Quality
    image: FaceImage
    mesh: Float32
    all_landmarks: Landmarks | None = None
    attributes: Attributes | None = None

    def __post_init__(self) -> None:
        _percent("Confidence", self.confidence)


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """What the embedder of one model pack makes of one face.

    Attributes:
        vector: ``(d,)`` float32 of unit length.
        pack: id of the model pack; templates of different packs can't be compared.
    """

    vector: Float32
    pack: str

    def __post_init__(self) -> None:
        if self.vector.ndim != 1 or self.vector.dtype != np.float32:
            raise Invalid(f"A template is (d,) float32, got {self.vector.shape} {self.vector.dtype}.")
        norm = float(np.linalg.norm(self.vector))
        if not abs(norm - 1.0) < 1e-3:
            raise Invalid(f"A template has unit length, got {norm}.")


def cosines(vectors: Float32, query: Float32) -> Float32:
    """Compute scores, the one way in which anything here does: summed in float64 and rounded once to float32.

    A row's score depends on that row and the query alone, so that whoever compares the same two templates, one by one
    or in a search of millions, gets the same number to the last bit.

    Args:
        vectors: ``(n, d)`` float32 of unit length.
        query: ``(d,)`` float32 of unit length, or ``(n, d)``, one for each row.

    Returns:
        ``(n,)`` float32, -1..1.
    """
    scores: Float32 = np.vecdot(vectors.astype(np.float64), query.astype(np.float64)).astype(np.float32)
    return scores


@dataclass(frozen=True, slots=True)
class Score:
    """How alike two templates are: ``cosine`` in -1..1 and ``similarity`` 0..100, calibrated by the pack."""

    cosine: float
    similarity: float

    def __post_init__(self) -> None:
        if not -1.001 <= self.cosine <= 1.001:
            raise Invalid(f"A cosine lies in -1..1, got {self.cosine}.")
        _percent("Similarity", self.similarity)


@dataclass(frozen=True, slots=True)
class Reference:
    """A stored face, without its template.

    Attributes:
        reference_id: UUID text; Rekognition's FaceId.
        image_id: UUID text that the same image in the same collection shares.
        external_image_id: the caller's own label, or None.
        box, image_size: where the face was in which frame.
        confidence: 0..100 of the detection.
        pack_version: the model version that made the template.
        subject_id: the subject (Rekognition's UserId) that it belongs to, or None.
    """

    reference_id: str
    image_id: str
    external_image_id: str | None
    box: Box
    image_size: ImageSize
    confidence: float
    pack_version: str
    subject_id: str | None = None


class SubjectStatus(StrEnum):
    """State of a subject: whether it has references; the values are Rekognition's own."""

    CREATED = "CREATED"
    ACTIVE = "ACTIVE"


@dataclass(frozen=True, slots=True)
class Subject:
    """One person's group of references in a collection."""

    subject_id: str
    status: SubjectStatus
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Candidate:
    """One line of a candidate list: a reference and how alike it is. Never an identity."""

    reference: Reference
    score: Score


@dataclass(frozen=True, slots=True)
class SubjectCandidate:
    """One line of a candidate list of subjects. Never an identity."""

    subject: Subject
    score: Score
