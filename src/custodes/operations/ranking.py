# SPDX-License-Identifier: Apache-2.0
"""How the candidates of several searches become one list: pure functions, without database or models.

The best of a candidate's scores counts: photos of different ages are used together, and each is right about its own
time. Near-duplicates of one image are folded into the most alike of them, and candidates whose templates are alike
enough are given one number, as far as templates tell: that is help for the eye, not a finding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from custodes.casework import CandidateState, CaseImage, FoundCandidate, Similar
from custodes.casework.hashes import NEAR, distance
from custodes.db.sealing import new_id
from custodes.domain import Float32

__all__ = ["ADVICE", "Hit", "advice", "age_gap", "fused", "grouped"]

_YEAR = 365.2425 * 86_400

ADVICE: Mapping[str, str] = {
    "EXTREME_POSE": "The head is turned away: use a photo that shows the face from the front.",
    "LOW_BRIGHTNESS": "The face is too dark: use a brighter photo, or lighten this one.",
    "LOW_SHARPNESS": "The face is blurred: use a sharper photo, the original instead of a copy or a screenshot.",
    "LOW_CONFIDENCE": "It is hardly seen that this is a face: it may be covered, cut off or drawn. Use another photo.",
    "SMALL_BOUNDING_BOX": "The face is small: use a photo with more pixels, or taken from nearer.",
    "LOW_FACE_QUALITY": "The face is over-exposed: use a photo with less light on it.",
}
"""What would help, by Rekognition's reason why a face is poor."""


def advice(reasons: Sequence[str]) -> tuple[str, ...]:
    """Say what is wrong with a probe, and what would help."""
    return tuple(ADVICE[r] for r in reasons if r in ADVICE)


@dataclass(frozen=True, slots=True)
class Hit:
    """One reference that one probe has found, and by which label and subject the gallery knows it."""

    reference_id: str
    collection: str
    label: str | None
    subject: str | None
    probe: str
    face: int
    similarity: float


def age_gap(one: datetime | None, other: datetime | None) -> float | None:
    """Return the years between two dates, or None if one isn't known."""
    return None if one is None or other is None else abs((one - other).total_seconds()) / _YEAR


def fused(
    hits: Sequence[Hit],
    *,
    run: str,
    case: str,
    limit: int,
    behind: Mapping[str, tuple[str, int]],
    images: Mapping[str, CaseImage],
    persons: Mapping[str, int],
) -> tuple[FoundCandidate, ...]:
    """Make one candidate list of what several probes have found.

    Args:
        hits: what was found.
        run, case: whose list it is.
        limit: length of the list.
        behind: which face of which image each reference was made of, if the case keeps it.
        images: the case's images, of probes and candidates, by id.
        persons: the number that :func:`grouped` gives each reference.

    Returns:
        Candidates, the most alike first, ranked from 1.
    """
    by_reference: dict[str, list[Hit]] = {}
    for hit in hits:
        by_reference.setdefault(hit.reference_id, []).append(hit)
    lists = sorted(by_reference.values(), key=lambda many: (-max(h.similarity for h in many), many[0].reference_id))
    made: list[FoundCandidate] = []
    numbers: dict[int, int] = {}
    for rank, many in enumerate(lists[:limit], 1):
        many.sort(key=lambda h: -h.similarity)
        first = many[0]
        image, face = behind.get(first.reference_id, (None, 0))
        number = numbers.setdefault(persons.get(first.reference_id, -rank), len(numbers) + 1)
        made.append(
            FoundCandidate(
                id=new_id("cand"),
                run=run,
                case=case,
                rank=rank,
                reference_id=first.reference_id,
                collection=first.collection,
                similarity=first.similarity,
                state=CandidateState.FOUND,
                image=image,
                face=face,
                label=first.label,
                person=number,
                folded_into=_twin(image, made, images),
                scores=tuple(
                    Similar(h.probe, h.face, h.similarity, _gap(images.get(h.probe), images.get(image or "")))
                    for h in many
                ),
            )
        )
    return tuple(made)


def _gap(probe: CaseImage | None, candidate: CaseImage | None) -> float | None:
    return None if probe is None or candidate is None else age_gap(probe.taken_at, candidate.taken_at)


def _twin(image: str | None, earlier: Sequence[FoundCandidate], images: Mapping[str, CaseImage]) -> str | None:
    """Return the candidate of which an image is a near-duplicate: the same picture, as its perceptual hash tells."""
    mine = images.get(image or "")
    if mine is None:
        return None
    for other in earlier:
        theirs = images.get(other.image or "")
        if other.folded_into is not None or theirs is None or theirs.id == mine.id:
            continue
        if distance(mine.perceptual, theirs.perceptual) <= NEAR:
            return other.id
    return None


def grouped(
    references: Sequence[str], vectors: Float32, subjects: Sequence[str | None], least: float
) -> dict[str, int]:
    """Number references so that those that seem to show one person have the same number.

    Two belong together if the cosine of their templates is at least ``least``, if the gallery has them under one
    subject, or if both belong together with a third (single linkage).

    Args:
        references: ids.
        vectors: ``(n, d)`` float32, of unit length, in their order.
        subjects: the gallery's subject of each, or None.
        least: cosine.
    """
    count = len(references)
    alike = vectors @ vectors.T >= least if count else np.zeros((0, 0), bool)
    for i, subject in enumerate(subjects):
        if subject is not None:
            alike[i] |= np.array([s == subject for s in subjects])
    numbers = np.full(count, -1)
    for i in range(count):
        if numbers[i] >= 0:
            continue
        numbers[i], waiting = i, [i]
        while waiting:
            near = np.flatnonzero((alike[waiting.pop()]) & (numbers < 0))
            numbers[near] = i
            waiting.extend(near.tolist())
    return {r: int(n) for r, n in zip(references, numbers, strict=True)}
