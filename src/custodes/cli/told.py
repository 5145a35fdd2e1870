# SPDX-License-Identifier: Apache-2.0
"""How faces and boxes are told, in JSON and in words."""

from __future__ import annotations

from typing import Any

from custodes.domain import Box, Candidate, Face

__all__ = ["box_json", "box_words", "candidate_json", "face_json", "looks"]


def box_json(box: Box) -> dict[str, float]:
    """Return a box in pixels, to a tenth."""
    return {name: round(getattr(box, name), 1) for name in ("left", "top", "width", "height")}


def box_words(box: Box) -> str:
    """Return left, top, width and height in whole pixels."""
    return f"{box.left:.0f}, {box.top:.0f}, {box.width:.0f}, {box.height:.0f}"


def face_json(face: Face) -> dict[str, Any]:
    """Return all that was found out of a face."""
    told: dict[str, Any] = {
        "box": box_json(face.box),
        "confidence": round(face.confidence, 2),
        "pose": {k: round(getattr(face.pose, k), 1) for k in ("roll", "yaw", "pitch")},
        "quality": {k: round(getattr(face.quality, k), 1) for k in ("brightness", "sharpness")},
    }
    a = face.attributes
    if a is not None:
        told["age"] = a.age
        for name in ("smile", "eyes_open", "mouth_open", "male"):
            answer = getattr(a, name)
            if answer is not None:
                told[name] = {"value": answer.value, "confidence": round(answer.confidence, 1)}
        if a.expression is not None:
            told["expression"] = dict(a.expression)
    return told


def looks(face: Face) -> str:
    """Return a face's attributes in a few words."""
    a = face.attributes
    if a is None:
        return ""
    words = [f"{a.age[0]}-{a.age[1]} years"] if a.age else []
    for answer, yes, no in (
        (a.smile, "smiles", ""),
        (a.eyes_open, "eyes open", "eyes closed"),
        (a.mouth_open, "mouth open", ""),
        (a.male, "looks male", "looks female"),
    ):
        if answer is not None:
            words.append(yes if answer.value else no)
    return ", ".join(w for w in words if w)


def candidate_json(candidate: Candidate) -> dict[str, object]:
    """Return one line of a candidate list."""
    return {
        "face_id": candidate.reference.reference_id,
        "external_image_id": candidate.reference.external_image_id,
        "user_id": candidate.reference.subject_id,
        "similarity": round(candidate.score.similarity, 2),
        "cosine": round(candidate.score.cosine, 4),
    }
