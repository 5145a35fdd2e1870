# SPDX-License-Identifier: Apache-2.0
"""Custodes' nouns in Rekognition's words: ratios of the image instead of pixels, percent, ``Face`` for a reference."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from custodes.domain import (
    AttributeName,
    AttributeSet,
    BinaryAttribute,
    Box,
    Candidate,
    Face,
    ImageSize,
    Landmarks,
    Reference,
    Subject,
    SubjectCandidate,
)

__all__ = [
    "attributes",
    "bounding_box",
    "compared_face",
    "face",
    "face_detail",
    "face_match",
    "user",
    "user_match",
]

_ALL = "ALL"
_KNOWN = {a.value: a for a in AttributeName}


def attributes(names: Iterable[str]) -> AttributeSet | None:
    """Turn Rekognition's ``Attributes`` into what is asked of the engine.

    ``ALL`` wins over ``DEFAULT`` and brings all landmarks. Names of attributes that no bundled model does honestly
    (``BEARD``, ``FACE_OCCLUDED``, ...) ask for nothing: the attribute is absent from the answer.
    """
    wanted = set(names)
    if _ALL in wanted:
        return AttributeSet.all()
    known = frozenset(_KNOWN[n] for n in wanted if n in _KNOWN)
    return AttributeSet(known) if known else None


def bounding_box(box: Box, size: ImageSize) -> dict[str, float]:
    """Return a ``BoundingBox``: ratios of the image, below 0 or above 1 where the box reaches over the edge."""
    return {
        "Width": box.width / size.width,
        "Height": box.height / size.height,
        "Left": box.left / size.width,
        "Top": box.top / size.height,
    }


def _landmarks(landmarks: Landmarks, size: ImageSize) -> list[dict[str, Any]]:
    points = landmarks.points.tolist()
    return [
        {"Type": name, "X": x / size.width, "Y": y / size.height}
        for name, (x, y) in zip(landmarks.names, points, strict=True)
    ]


def compared_face(found: Face, size: ImageSize) -> dict[str, Any]:
    """Return a ``ComparedFace``, which is also a ``FaceDetail`` without attributes."""
    pose, quality = found.pose, found.quality
    return {
        "BoundingBox": bounding_box(found.box, size),
        "Confidence": found.confidence,
        "Landmarks": _landmarks(found.all_landmarks or found.landmarks, size),
        "Pose": {"Roll": pose.roll, "Yaw": pose.yaw, "Pitch": pose.pitch},
        "Quality": {"Brightness": quality.brightness, "Sharpness": quality.sharpness},
    }


def _binary(answer: BinaryAttribute) -> dict[str, Any]:
    return {"Value": answer.value, "Confidence": answer.confidence}


def face_detail(found: Face, size: ImageSize) -> dict[str, Any]:
    """Return a ``FaceDetail``; an attribute that wasn't asked for, or that we can't do, is absent."""
    detail = compared_face(found, size)
    a = found.attributes
    if a is None:
        return detail
    if a.age:
        detail["AgeRange"] = {"Low": a.age[0], "High": a.age[1]}
    for name, answer in (("Smile", a.smile), ("EyesOpen", a.eyes_open), ("MouthOpen", a.mouth_open)):
        if answer:
            detail[name] = _binary(answer)
    if a.male:
        detail["Gender"] = {"Value": "Male" if a.male.value else "Female", "Confidence": a.male.confidence}
    if a.expression:
        ranked = sorted(a.expression, key=lambda item: -item[1])
        detail["Emotions"] = [{"Type": kind, "Confidence": confidence} for kind, confidence in ranked]
    return detail


def face(reference: Reference) -> dict[str, Any]:
    """Return a ``Face``."""
    told = {
        "FaceId": reference.reference_id,
        "BoundingBox": bounding_box(reference.box, reference.image_size),
        "ImageId": reference.image_id,
        "Confidence": reference.confidence,
        "IndexFacesModelVersion": reference.pack_version,
    }
    if reference.external_image_id is not None:
        told["ExternalImageId"] = reference.external_image_id
    if reference.subject_id is not None:
        told["UserId"] = reference.subject_id
    return told


def face_match(candidate: Candidate) -> dict[str, Any]:
    """Return a ``FaceMatch``: Rekognition's word for a candidate."""
    return {"Similarity": candidate.score.similarity, "Face": face(candidate.reference)}


def user(subject: Subject) -> dict[str, Any]:
    """Return a ``User`` or ``MatchedUser``."""
    return {"UserId": subject.subject_id, "UserStatus": subject.status.value}


def user_match(candidate: SubjectCandidate) -> dict[str, Any]:
    """Return a ``UserMatch``."""
    return {"Similarity": candidate.score.similarity, "User": user(candidate.subject)}
