# SPDX-License-Identifier: Apache-2.0
"""How a sitting is put together: controls that fit to the candidates beside them, in an order by chance."""

from __future__ import annotations

from tests.operations.conftest import START

from custodes.casework import CandidateState, FoundCandidate, Similar
from custodes.governance import Principal, Role
from custodes.operations.choosing import Offer, balanced, controls_wanted, seated
from custodes.operations.controls import Control

BEN = Principal("p-1", "org-1", "person-1", "Ben", frozenset({Role.REVIEWER}), START)


def offer(number: int, probe: str = "img-a") -> Offer:
    """Return a candidate that is judged for the second or the third time."""
    name, scores = f"cand-{number}", (Similar(probe, 0, 99.0 - number), Similar("img-z", 1, 80.0))
    return Offer(
        FoundCandidate(
            name, "run-1", "case-1", number, f"ref-{number}", "uid", 99.0, CandidateState.IN_REVIEW,
            f"img-{number}", 0, None, number, None, scores,
        ),
        2 + number % 2,
    )  # fmt: skip


def control(number: int, probe: str = "img-a") -> Control:
    """Return a control."""
    return Control(probe, 0, f"ctl-{number}", 0)


def test_a_control_stands_beside_three_at_most() -> None:
    """Fewer controls than are wanted make the sitting shorter; more than one too many are left out."""
    many = [offer(n) for n in range(9)]
    assert balanced(many, []) == ([], [])
    chosen, beside = balanced(many, [control(0), control(1)])
    assert (len(chosen), len(beside)) == (6, 2)
    chosen, beside = balanced(many[:2], [control(n) for n in range(5)])
    assert (len(chosen), len(beside)) == (2, 2)
    for count in range(1, 12):
        least = (count + 2) // 3
        assert {controls_wanted(count) for _ in range(200)} == {least, least + 1}


def test_a_control_shows_a_probe_that_a_candidate_shows() -> None:
    """Others would be known by it; when that leaves too few, candidates go until it fits."""
    many = [offer(n) for n in range(3)] + [offer(3, "img-b")]
    assert balanced(many, [control(0, "img-c")]) == ([], [])
    chosen, beside = balanced(many, [control(0, "img-c"), control(1, "img-a")])
    assert (list(chosen), list(beside)) == (many[:3], [control(1, "img-a")])
    chosen, beside = balanced(many, [control(0, "img-b")])  # whose candidate isn't among the first
    assert (list(chosen), list(beside)) == ([many[3], *many[:2]], [control(0, "img-b")])


def test_the_order_tells_nothing() -> None:
    """A blind sitting is shuffled, and a control has the round of a candidate; a first one is by rank."""
    chosen, beside = [offer(n) for n in range(4)], [control(0), control(1)]
    orders = set()
    for _ in range(60):
        made = seated(BEN, chosen, beside, blind=True, now=START)
        orders.add(tuple(i.is_control for i in made.items))
        assert [i.position for i in made.items] == list(range(6))
        assert {i.round for i in made.items if i.is_control} <= {2, 3}
        assert {i.id[:4] for i in made.items} == {"cmp-"}
        assert {(i.probe, i.probe_face) for i in made.items} == {("img-a", 0)}
    assert len(orders) > 5
    plain = seated(BEN, chosen, [], blind=False, now=START)
    assert [i.candidate for i in plain.items] == [o.candidate.id for o in chosen]
    assert (plain.case, plain.principal, plain.person, plain.ended_at) == ("case-1", "p-1", "person-1", None)
