# SPDX-License-Identifier: Apache-2.0
"""How a candidate is judged, as nouns and pure functions: answers, comparisons, sittings, and what reviews make of it.

Reviews of one candidate come in rounds: two different people, the second blind, and a third where they disagree.
Only two reviews that support one source make a lead (:func:`outcome`). The scale has five steps in the manner of
ENFSI's verbal scales and FISWG's "Facial Comparison Overview", the middle one being inconclusive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from custodes.casework.model import CandidateState

__all__ = [
    "CHECKLIST",
    "Answer",
    "Lead",
    "Pending",
    "ReviewItem",
    "Side",
    "Sitting",
    "agrees",
    "next_round",
    "outcome",
    "supports",
]


class Answer(StrEnum):
    """What a reviewer finds when comparing two faces. There is no "identified"."""

    SUPPORTS_STRONGLY = "supports-strongly"  # one source, with many agreeing details
    SUPPORTS = "supports"
    INCONCLUSIVE = "inconclusive"
    CONTRADICTS = "contradicts"
    CONTRADICTS_STRONGLY = "contradicts-strongly"  # two sources, with a difference that nothing explains


_LEADS_TO = {
    Answer.SUPPORTS_STRONGLY: CandidateState.LEAD,
    Answer.SUPPORTS: CandidateState.LEAD,
    Answer.INCONCLUSIVE: CandidateState.INCONCLUSIVE,
    Answer.CONTRADICTS: CandidateState.DISMISSED,
    Answer.CONTRADICTS_STRONGLY: CandidateState.DISMISSED,
}
"""The three sides of the scale, by what a candidate becomes if two reviewers are on one."""

_ROUNDS = 3
_CONCUR = 2


def outcome(answers: Sequence[Answer]) -> CandidateState:
    """Return where a candidate stands after its reviews, in the order of their rounds.

    Two that are on the same side decide; three on three different sides are inconclusive.

    >>> outcome([Answer.SUPPORTS]), outcome([Answer.SUPPORTS, Answer.SUPPORTS_STRONGLY])
    (<CandidateState.IN_REVIEW: 'in-review'>, <CandidateState.LEAD: 'lead'>)
    """
    sides = [_LEADS_TO[a] for a in answers]
    for side in sides:
        if sides.count(side) >= _CONCUR:
            return side
    if len(sides) >= _ROUNDS:
        return CandidateState.INCONCLUSIVE
    return CandidateState.IN_REVIEW if sides else CandidateState.FOUND


def next_round(answers: Sequence[Answer]) -> int | None:
    """Return the number of the review that a candidate needs next, from 1, or None if it needs none."""
    decided = outcome(answers) not in (CandidateState.FOUND, CandidateState.IN_REVIEW)
    return None if decided else len(answers) + 1


def supports(answer: Answer) -> bool:
    """Tell whether an answer takes two faces for one person's."""
    return _LEADS_TO[answer] == CandidateState.LEAD


def agrees(answer: Answer, state: CandidateState) -> bool:
    """Tell whether an answer is on the side to which a candidate was decided."""
    return _LEADS_TO[answer] == state


CHECKLIST: Mapping[str, str] = {
    "face-shape": "Shape and proportions of the face",
    "hairline": "Hairline and forehead",
    "eyebrows": "Eyebrows",
    "eyes": "Eyes: shape, lids, distance",
    "nose": "Nose: bridge, tip, nostrils",
    "cheeks": "Cheeks",
    "mouth": "Mouth and lips",
    "chin": "Chin and jaw line",
    "ears": "Ears",
    "neck": "Neck",
    "facial-hair": "Facial hair",
    "lines": "Lines and wrinkles",
    "scars": "Scars, moles, other marks",
    "alterations": "Alterations: make-up, piercings, surgery",
}
"""Components of the FISWG "Facial Image Comparison Feature List for Morphological Analysis", one line each.

For each a reviewer says ``similar``, ``different`` or ``not-visible``, or nothing.
"""


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """One comparison that somebody is asked for.

    Attributes:
        id: random; it doesn't tell what is compared.
        candidate: which; None if it is a control.
        round: of the candidate, from 1; a control has that of a candidate beside it, so that its entry tells nothing.
        probe, probe_face, image, face: the two faces that are shown.
        answer, checklist, note, seconds: what was found, and how long it took; None and empty until it is answered.
        entry: index in the ledger of the answer.
    """

    id: str
    sitting: str
    position: int
    candidate: str | None
    round: int
    probe: str
    probe_face: int
    image: str
    face: int
    answered_at: datetime | None = None
    answer: Answer | None = None
    checklist: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    seconds: float | None = None
    entry: int | None = None

    @property
    def is_control(self) -> bool:
        """Whether two people are shown who are known to be different."""
        return self.candidate is None


class Side(StrEnum):
    """Which of the two faces of a comparison."""

    PROBE = "probe"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Sitting:
    """Comparisons that one reviewer makes in one go, in shuffled order; ``blind``: without scores, with controls."""

    id: str
    case: str
    principal: str
    person: str
    blind: bool
    begun_at: datetime
    ended_at: datetime | None
    items: tuple[ReviewItem, ...]

    @property
    def controls(self) -> int:
        """How many known non-mates are among the comparisons."""
        return sum(i.is_control for i in self.items)

    @property
    def is_answered(self) -> bool:
        """Whether nothing is left to be answered."""
        return all(i.answer is not None for i in self.items)

    @property
    def touched_at(self) -> datetime:
        """When something was last answered, or it was begun."""
        return max([self.begun_at, *(i.answered_at for i in self.items if i.answered_at is not None)])


@dataclass(frozen=True, slots=True)
class Pending:
    """A candidate that is judged, as far as is needed to choose who may.

    Attributes:
        judges: the people who have judged it, in the order of their rounds.
        kin: ids of all candidates of the case that are the same reference, this one too, of their runs, and of the
            reference: whoever has seen the scores of one has seen them.
    """

    candidate: str
    case: str
    reference_id: str
    state: CandidateState
    judges: tuple[str, ...]
    kin: frozenset[str]

    @property
    def round(self) -> int:
        """Number of the review that comes next."""
        return len(self.judges) + 1

    @property
    def is_decided(self) -> bool:
        """Whether nobody needs to judge it any more."""
        return self.state not in (CandidateState.FOUND, CandidateState.IN_REVIEW)


@dataclass(frozen=True, slots=True)
class Lead:
    """A candidate that two reviewers support: a lead for investigators, and no ground for an arrest."""

    id: str
    case: str
    candidate: str
    made_at: datetime
    entry: int
