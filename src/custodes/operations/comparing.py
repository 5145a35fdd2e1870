# SPDX-License-Identifier: Apache-2.0
"""What reviewers see of sittings and comparisons: values that hold nothing but what may be shown.

In a blind sitting no value tells a candidate's similarity or rank, how others judged it, which candidate or which image
it is, or whether two faces are a control: a page that prints all of a value betrays nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from custodes.casework import Answer, CaseImage, FaceRecord, FoundCandidate, ReviewerFigures, ReviewItem, Side, Sitting
from custodes.casework.judging import supports
from custodes.domain import Box
from custodes.errors import NotFound
from custodes.operations.ranking import age_gap

__all__ = [
    "Compared",
    "ItemView",
    "Queue",
    "ReviewView",
    "ReviewerView",
    "SittingResult",
    "SittingView",
    "face_of",
    "item_view",
    "result_of",
    "reviewer_view",
    "sitting_view",
    "wilson",
]

_Z = 1.959964  # the normal distribution's quantile of 97.5 %


@dataclass(frozen=True, slots=True)
class SittingView:
    """A sitting as its reviewer sees it.

    Attributes:
        case: None if it is blind.
        items: the comparisons by id, in their order.
        answered: those that are answered.
        next: the first that isn't, or None.
    """

    id: str
    case: str | None
    blind: bool
    begun_at: datetime
    ended_at: datetime | None
    items: tuple[str, ...]
    answered: tuple[str, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits for a reviewer.

    Attributes:
        first, blind: how many candidates they may judge in a first and in a blind round; none if they are locked.
        sittings: their own that go on.
        locked: why they may judge none: ``role``, ``training``, or nothing.
        trained_until: when their training ends, or None.
    """

    first: int
    blind: int
    sittings: tuple[SittingView, ...]
    locked: str
    trained_until: datetime | None


@dataclass(frozen=True, slots=True)
class Compared:
    """One of the two faces of a comparison; :meth:`PictureOperations.of_item` shows it.

    Attributes:
        side: which.
        pixels: width of the face in its photo.
        taken_at: when the photo was taken, if that is known.
        reasons: why it is hard to judge, in Rekognition's words.
        image, box: which photo, and where the face is in it, in pixels; None in a blind sitting.
    """

    side: Side
    pixels: int
    taken_at: datetime | None
    reasons: tuple[str, ...]
    image: str | None = None
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class ItemView:
    """A comparison as its reviewer sees it.

    Attributes:
        position, count: which of how many, from 1.
        age_gap: years between the photos, if both are dated.
        sensitive: whether the photos are blurred until asked for.
        similarity, rank: of the candidate; None in a blind sitting.
        answer, checklist, note: what the reviewer has said, if anything.
    """

    id: str
    sitting: str
    position: int
    count: int
    blind: bool
    probe: Compared
    other: Compared
    age_gap: float | None
    sensitive: bool
    similarity: float | None = None
    rank: int | None = None
    answer: Answer | None = None
    checklist: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True)
class SittingResult:
    """How a reviewer did in a sitting that is over; ``mistaken``: controls that they took for one person, by item."""

    sitting: str
    reviews: int
    controls: int
    mistaken: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReviewView:
    """One review of a candidate: whose, in which round, and what was found."""

    principal: str
    round: int
    blind: bool
    answer: Answer
    checklist: Mapping[str, str]
    note: str
    answered_at: datetime
    seconds: float | None
    entry: int | None


@dataclass(frozen=True, slots=True)
class ReviewerView:
    """What a reviewer did, in sittings that are over.

    Attributes:
        seconds: that one comparison took, on average; None without any.
        inconclusive: share of answers that decide nothing, 0..1.
        agreement: on which share of decided candidates they were on the decision's side.
        errors: which share of controls they took for one person; ``interval`` has the bounds of 95 % (Wilson).
        trained_until: when their training ends; None if it isn't valid.
    """

    principal: str
    name: str
    reviews: int
    seconds: float | None
    inconclusive: float | None
    decided: int
    agreed: int
    agreement: float | None
    controls: int
    control_errors: int
    errors: float | None
    interval: tuple[float, float] | None
    trained_until: datetime | None


def sitting_view(sitting: Sitting) -> SittingView:
    """Return what a reviewer sees of a sitting."""
    items = tuple(i.id for i in sitting.items)
    answered = tuple(i.id for i in sitting.items if i.answer is not None)
    rest = (i for i in items if i not in answered)
    case = None if sitting.blind else sitting.case
    return SittingView(
        sitting.id, case, sitting.blind, sitting.begun_at, sitting.ended_at, items, answered, next(rest, None)
    )


def item_view(
    item: ReviewItem,
    sitting: Sitting,
    probe: CaseImage,
    other: CaseImage,
    candidate: FoundCandidate | None,
    *,
    sensitive: bool,
) -> ItemView:
    """Return what a reviewer sees of a comparison.

    Args:
        item: the comparison.
        sitting: whose it is.
        probe, other: the two photos.
        candidate: what is judged, if that may be told.
        sensitive: whether the photos are blurred until asked for.

    Raises:
        NotFound: if a face isn't there any more.
    """
    blind = sitting.blind
    left = _compared(Side.PROBE, probe, item.probe_face, blind=blind)
    right = _compared(Side.OTHER, other, item.face, blind=blind, dated=not blind)
    return ItemView(
        id=item.id,
        sitting=sitting.id,
        position=1 + [i.id for i in sitting.items].index(item.id),
        count=len(sitting.items),
        blind=blind,
        probe=left,
        other=right,
        age_gap=age_gap(left.taken_at, right.taken_at),
        sensitive=sensitive,
        similarity=None if blind or candidate is None else candidate.similarity,
        rank=None if blind or candidate is None else candidate.rank,
        answer=item.answer,
        checklist=item.checklist,
        note=item.note,
    )


def _compared(side: Side, image: CaseImage, number: int, *, blind: bool, dated: bool = True) -> Compared:
    """Return what is seen of a face; a date that a candidate has and a control hasn't would tell them apart."""
    face = face_of(image, number)
    box = Box(face.left, face.top, face.width, face.height)
    return Compared(
        side=side,
        pixels=round(face.width),
        taken_at=image.taken_at if dated else None,
        reasons=face.reasons,
        image=None if blind else image.id,
        box=None if blind else box,
    )


def face_of(image: CaseImage, number: int) -> FaceRecord:
    """Return a face of a photo.

    Raises:
        NotFound: if there is none of this number.
    """
    found = next((f for f in image.faces if f.number == number), None)
    if found is None:
        raise NotFound("The photo has no such face.")
    return found


def result_of(sitting: Sitting) -> SittingResult:
    """Return how a reviewer did in a sitting."""
    answered = [(i, i.answer) for i in sitting.items if i.answer is not None]
    controls = [(i, a) for i, a in answered if i.is_control]
    return SittingResult(sitting.id, len(answered), len(controls), tuple(i.id for i, a in controls if supports(a)))


def reviewer_view(figures: ReviewerFigures, name: str, trained_until: datetime | None) -> ReviewerView:
    """Return what a reviewer did as rates, each None where there is nothing to be a rate of."""
    f = figures
    return ReviewerView(
        principal=f.principal,
        name=name,
        reviews=f.reviews,
        seconds=_share(f.seconds, f.reviews),
        inconclusive=_share(f.inconclusive, f.reviews),
        decided=f.decided,
        agreed=f.agreed,
        agreement=_share(f.agreed, f.decided),
        controls=f.controls,
        control_errors=f.control_errors,
        errors=_share(f.control_errors, f.controls),
        interval=wilson(f.control_errors, f.controls),
        trained_until=trained_until,
    )


def wilson(count: int, of: int) -> tuple[float, float] | None:
    """Return the interval that a rate lies in with 95 % confidence (Wilson's score interval), or None of nothing.

    >>> tuple(round(v, 3) for v in wilson(1, 10))
    (0.018, 0.404)
    """
    if of == 0:
        return None
    rate, z = count / of, _Z**2 / of
    middle, half = rate + z / 2, _Z * (rate * (1 - rate) / of + z / (4 * of)) ** 0.5
    return max(0.0, (middle - half) / (1 + z)), min(1.0, (middle + half) / (1 + z))


def _share(part: float, whole: int) -> float | None:
    return part / whole if whole else None
