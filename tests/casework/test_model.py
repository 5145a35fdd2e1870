# SPDX-License-Identifier: Apache-2.0
"""The state machines of casework, exhaustively: what can happen to a case, and what reviews make of a candidate."""

from __future__ import annotations

from datetime import timedelta
from itertools import product

import pytest
from tests.casework.conftest import NOW

from custodes.casework import Answer, CandidateState, CaseEvent, CaseStatus, ReviewItem, Sitting
from custodes.casework.judging import agrees, next_round, outcome, supports
from custodes.casework.model import after
from custodes.errors import Conflict

S, E = CaseStatus, CaseEvent
AFTER = {
    (S.OPEN, E.SUSPEND): S.SUSPENDED,
    (S.OPEN, E.FIND): S.FOUND,
    (S.OPEN, E.CLOSE): S.CLOSED,
    (S.SUSPENDED, E.RESUME): S.OPEN,
    (S.SUSPENDED, E.FIND): S.FOUND,
    (S.SUSPENDED, E.CLOSE): S.CLOSED,
    (S.FOUND, E.REOPEN): S.OPEN,
    (S.FOUND, E.CLOSE): S.CLOSED,
}
SAME = {Answer.SUPPORTS, Answer.SUPPORTS_STRONGLY}
DIFFERENT = {Answer.CONTRADICTS, Answer.CONTRADICTS_STRONGLY}
SEQUENCES = [s for n in range(4) for s in product(Answer, repeat=n)]


@pytest.mark.parametrize(("status", "event"), list(product(CaseStatus, CaseEvent)))
def test_every_event_in_every_status(status: CaseStatus, event: CaseEvent) -> None:
    """It leads where the plan says, or is refused with what can happen instead."""
    if (status, event) in AFTER:
        assert after(status, event) == AFTER[status, event]
        return
    with pytest.raises(Conflict) as caught:
        after(status, event)
    possible = [str(e) for s, e in AFTER if s == status]
    assert all(word in caught.value.message for word in possible or ["nothing any more"])


def test_a_closed_case_is_the_end() -> None:
    """Nothing happens to it any more, and every other status can reach it."""
    assert not [e for s, e in AFTER if s == S.CLOSED]
    assert {s for (s, e), to in AFTER.items() if to == S.CLOSED} == set(CaseStatus) - {S.CLOSED}


@pytest.mark.parametrize("answers", SEQUENCES, ids=lambda a: "-".join(a) or "none")
def test_what_reviews_make_of_a_candidate(answers: tuple[Answer, ...]) -> None:
    """Two on one side decide, three on three sides are inconclusive, and until then it is in review."""
    same, different = (sum(a in side for a in answers) for side in (SAME, DIFFERENT))
    neither = len(answers) - same - different
    if same >= 2:
        expected = CandidateState.LEAD
    elif different >= 2:
        expected = CandidateState.DISMISSED
    elif neither >= 2 or len(answers) == 3:
        expected = CandidateState.INCONCLUSIVE
    else:
        expected = CandidateState.IN_REVIEW if answers else CandidateState.FOUND
    assert outcome(answers) == expected


@pytest.mark.parametrize("answers", SEQUENCES, ids=lambda a: "-".join(a) or "none")
def test_who_reviews_next(answers: tuple[Answer, ...]) -> None:
    """A second person always, a third where two disagree, and never a fourth."""
    decided = outcome(answers) in (CandidateState.LEAD, CandidateState.DISMISSED, CandidateState.INCONCLUSIVE)
    assert next_round(answers) == (None if decided else len(answers) + 1)
    if len(answers) < 2:
        assert not decided
    if len(answers) == 3:
        assert decided


def test_one_person_never_makes_a_lead() -> None:
    """Whatever the others say, a lead takes two that support it; no state is called an identity."""
    for answers in SEQUENCES:
        assert (outcome(answers) == CandidateState.LEAD) == (sum(a in SAME for a in answers) >= 2)
    words = {str(s) for s in CandidateState} | {str(a) for a in Answer}
    assert not [w for w in words if "ident" in w or "match" in w]


def test_sides_of_the_scale() -> None:
    """Either strength supports; who is on the side of the decision agrees with it."""
    assert {a for a in Answer if supports(a)} == SAME
    for answer, state in product(Answer, CandidateState):
        side = CandidateState.LEAD if answer in SAME else CandidateState.DISMISSED
        side = CandidateState.INCONCLUSIVE if answer == Answer.INCONCLUSIVE else side
        assert agrees(answer, state) == (state == side)


def test_a_sitting_knows_how_far_it_is() -> None:
    """How many controls it has, whether all is answered, and when something was last."""
    items = tuple(ReviewItem(f"cmp-{n}", "sit-1", n, "cand" if n else None, 2, "a", 0, "b", 0) for n in range(3))
    sitting = Sitting("sit-1", "case-1", "p-1", "person-1", True, NOW, None, items)
    assert (sitting.controls, sitting.is_answered, sitting.touched_at) == (1, False, NOW)
    later = NOW + timedelta(minutes=5)
    done = [
        ReviewItem(i.id, "sit-1", i.position, i.candidate, 2, "a", 0, "b", 0, later, Answer.SUPPORTS) for i in items
    ]
    over = Sitting("sit-1", "case-1", "p-1", "person-1", True, NOW, None, tuple(done))
    assert (over.is_answered, over.touched_at) == (True, later)
