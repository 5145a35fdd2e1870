# SPDX-License-Identifier: Apache-2.0
"""Groups at one threshold: what counts where, who is judged, and how far they lie apart."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from tests.evaluation.synthetic import SCALE, synthetic

from custodes.errors import Invalid
from custodes.evaluation.differentials import differential
from custodes.evaluation.metrics import clopper_pearson
from custodes.evaluation.results import Differential, Rate, Settings
from custodes.evaluation.scored import FAILED, NOBODY, Comparisons, People

SETTINGS = Settings(80.0, rounds=100, least_subjects=5)  # a cosine of 0.4


def _small() -> Comparisons:
    """Five people: two north, two south, one without a label; two photos each, the last of which has no template."""
    rows = [
        (0, 1, 0.9, True),  # north
        (2, 3, 0.3, True),
        (4, 5, 0.4, True),  # south
        (8, 9, FAILED, True),  # nobody's
        (0, 2, 0.5, False),  # within north
        (1, 3, 0.1, False),
        (4, 6, 0.2, False),  # within south
        (0, 4, 0.45, False),  # across
        (7, 3, 0.1, False),
        (8, 0, 0.8, False),  # with nobody
    ]
    first, second, scores, mated = zip(*rows, strict=True)
    return Comparisons(
        scores=np.array(scores, np.float32),
        mated=np.array(mated),
        photos=np.array([first, second], np.int32).T,
        people=People(
            subjects=np.repeat(np.arange(5, dtype=np.int32), 2),
            enrolled=np.arange(10) < 9,
            groups={"side": (("south", "north"), np.array([1, 1, 0, 0, NOBODY], np.int32))},
        ),
    )


def _shares(rate: Rate) -> tuple[int, int]:
    return rate.events, rate.trials


def test_each_comparison_counts_where_it_belongs() -> None:
    """Mated ones in their person's group, non-mated within one or across two, those with the unlabelled in none."""
    found = differential(_small(), "side", SCALE, SETTINGS)
    north, south = found.groups
    assert (found.column, found.similarity, found.cosine, found.unlabelled) == ("side", 80.0, 0.4, 1)
    assert (north.name, north.subjects, north.photos, _shares(north.failure)) == ("north", 2, 4, (0, 4))
    assert (_shares(north.false_match), _shares(north.false_non_match)) == ((1, 2), (1, 2))
    assert (south.name, _shares(south.false_match), _shares(south.false_non_match)) == ("south", (0, 1), (0, 1))
    assert [(c.first, c.second, _shares(c.false_match)) for c in found.crosses] == [("north", "south", (1, 2))]


def test_small_groups_are_shown_and_not_judged() -> None:
    """The note says what is there and what is needed, and a ratio of fewer than two groups has none."""
    found = differential(_small(), "side", SCALE, SETTINGS)
    assert [g.enough for g in found.groups] == [False, False]
    assert found.groups[0].note.startswith("2 people; 5 are needed")
    for spread in found.spreads:
        assert (spread.most, spread.max_min, spread.max_geometric_mean) == ("", None, None)
        assert spread.note == "no group has enough data; a ratio needs two"


def test_a_group_needs_comparisons_of_both_kinds_of_people_who_can_be_drawn() -> None:
    """Enough people who are not compared with one another, or of whom too few are, are not enough."""
    data = _small()
    of_north = data.mated & (data.photos[:, 0] < 4)
    rest = Comparisons(data.scores[~of_north], data.mated[~of_north], data.photos[~of_north], data.people)
    north, south = differential(rest, "side", SCALE, replace(SETTINGS, least_subjects=2)).groups
    assert "no mated comparison within the group; one is needed at least" in north.note
    assert north.false_non_match == Rate(0, 0, None, None, "no mated comparisons")
    assert not south.enough
    assert "its non-mated comparisons (1) are of too few people" in south.note
    assert south.false_match.interval == clopper_pearson(0, 1)
    assert "takes non-mated comparisons as independent" in south.false_match.note


def test_many_comparisons_of_two_people_make_no_group_that_is_judged() -> None:
    """Thousands of non-mated comparisons of the same two people have a narrow interval, and are not enough."""
    people, repeats = 12, 4000
    mated = np.arange(2 * people, dtype=np.int32).reshape(-1, 2)
    photos = np.concatenate([mated, np.repeat(np.int32([[0, 2]]), repeats, axis=0)])
    same = Comparisons(
        scores=np.where(np.arange(len(photos)) < people, 0.9, 0.1).astype(np.float32),
        mated=np.arange(len(photos)) < people,
        photos=photos,
        people=People(
            subjects=np.repeat(np.arange(people, dtype=np.int32), 2),
            enrolled=np.ones(2 * people, bool),
            groups={"side": (("one",), np.zeros(people, np.int32))},
        ),
    )
    [group] = differential(same, "side", SCALE, SETTINGS).groups
    assert group.compared == people > SETTINGS.least_subjects
    assert group.false_match.interval == clopper_pearson(0, repeats)
    assert (group.enough, group.note) == (False, "its non-mated comparisons (4,000) are of too few people")


def _grouped(seed: int = 1, groups: tuple[str, ...] = ("b", "c", "a")) -> Comparisons:
    return synthetic(150, 3000, 6000, seed=seed, groups=groups, failing=0.01)


def test_spreads_are_nists_ratios() -> None:
    """Highest to lowest, and highest to the geometric mean, of groups with enough data; intervals hold the ratios."""
    found = differential(_grouped(), "group", SCALE, replace(SETTINGS, similarity=50.0))
    assert [g.name for g in found.groups] == ["a", "b", "c"]
    assert all(g.enough for g in found.groups)
    for spread, rates in zip(
        found.spreads,
        ([g.false_match for g in found.groups], [g.false_non_match for g in found.groups]),
        strict=True,
    ):
        values = {g.name: r.value or 0.0 for g, r in zip(found.groups, rates, strict=True)}
        assert spread.max_min == pytest.approx(max(values.values()) / min(values.values()), abs=1e-12)
        mean = math.prod(values.values()) ** (1 / 3)
        assert spread.max_geometric_mean == pytest.approx(max(values.values()) / mean, abs=1e-12)
        assert (values[spread.most], values[spread.least]) == (max(values.values()), min(values.values()))
        assert spread.max_min_interval is not None
        assert spread.max_min_interval.low < spread.max_min < spread.max_min_interval.high
        assert spread.max_geometric_mean_interval is not None
        assert spread.max_geometric_mean_interval.low < spread.max_geometric_mean


def _without_misses(data: Comparisons, group: int, but: int = 0) -> Comparisons:
    """Make every mated comparison of a group a match, but so many."""
    labels = data.people.groups["group"][1]
    ours = np.flatnonzero(data.mated & (labels[data.subjects[:, 0]] == group))
    scores = data.scores.copy()
    scores[ours] = 0.9
    scores[ours[:but]] = 0.0
    return replace(data, scores=scores)


def test_nothing_is_divided_by_no_error() -> None:
    """A group without an error has no ratio, the note says which, and its rate keeps an upper end."""
    found = differential(_without_misses(_grouped(), 2), "group", SCALE, SETTINGS)
    spread, best = found.spreads[1], found.groups[0]
    assert (spread.least, spread.max_min, spread.max_min_interval, spread.max_geometric_mean) == ("a", None, None, None)
    assert spread.note.startswith("the lowest rate is 0 (a: none of ")
    assert best.false_non_match.interval is not None
    assert best.false_non_match.interval.high >= clopper_pearson(0, best.false_non_match.trials).high


def _alike(misses: int, matches: int) -> Comparisons:
    """Two groups of twenty people whose comparisons are the same, with so many errors of each kind in each group."""
    mated = np.arange(80, dtype=np.int32).reshape(-1, 2)
    around = np.array([(i, (i + step) % 20) for step in (1, 2, 3) for i in range(20)], np.int32) * 2
    non_mated = np.concatenate([around, around + 40])
    scores = np.concatenate(
        [
            np.tile(np.where(np.arange(n) < errors, wrong, 1 - wrong), 2)
            for n, errors, wrong in ((20, misses, 0.1), (60, matches, 0.9))
        ]
    )
    return Comparisons(
        scores=scores.astype(np.float32),
        mated=np.arange(160) < 40,
        photos=np.concatenate([mated, non_mated]),
        people=People(
            subjects=np.repeat(np.arange(40, dtype=np.int32), 2),
            enrolled=np.ones(80, bool),
            groups={"side": (("a", "b"), np.repeat(np.int32([0, 1]), 20))},
        ),
    )


def test_equal_groups_are_two_and_may_differ() -> None:
    """Of equal rates the ratio is 1, of two groups, and its interval is the bootstrap's: wider than 1 to 1."""
    for spread in differential(_alike(10, 20), "side", SCALE, SETTINGS).spreads:
        assert ({spread.most, spread.least}, spread.max_min) == ({"a", "b"}, 1.0)
        assert spread.max_min_interval is not None
        assert spread.max_min_interval.low < 0.9
        assert spread.max_min_interval.high > 1.1


def test_no_error_in_any_group_is_said_so() -> None:
    """Where all rates are 0 no group is the one with the most."""
    for spread, trials in zip(differential(_alike(0, 0), "side", SCALE, SETTINGS).spreads, (120, 40), strict=True):
        assert (spread.most, spread.least, spread.max_min) == ("", "", None)
        assert spread.note == f"no error was seen in any of these 2 groups (none of {trials})"


def test_a_ratio_without_an_upper_end_says_so() -> None:
    """Where a single error makes the lowest rate, most rounds have none: the ratio is told, and no interval."""
    spread = differential(_without_misses(_grouped(), 2, but=1), "group", SCALE, SETTINGS).spreads[1]
    assert spread.max_min is not None
    assert spread.max_min_interval is None
    assert "rough: fewer than 10 errors in a" in spread.note
    assert "no upper end" in spread.note


def test_groups_that_are_alike_may_be_alike() -> None:
    """Of samples without any difference the ratio's interval reaches to 1 in most."""
    reached = 0
    for seed in range(12):
        spread = differential(_grouped(seed, ("a", "b")), "group", SCALE, SETTINGS).spreads[1]
        assert spread.max_min_interval is not None
        reached += spread.max_min_interval.low <= 1.0
    assert reached >= 9


def test_order_of_names_does_not_matter() -> None:
    """The same people under names in another order give the same groups."""
    data = _grouped()
    names, labels = data.people.groups["group"]
    turned = {"group": (names[::-1], (2 - labels).astype(np.int32))}
    other = replace(data, people=replace(data.people, groups=turned))
    assert differential(data, "group", SCALE, SETTINGS) == differential(other, "group", SCALE, SETTINGS)


def test_nobody_labelled_makes_no_group() -> None:
    """A column without a label in it has no groups and no ratio."""
    data = _small()
    nobody = {"side": ((), np.full(5, NOBODY, np.int32))}
    found = differential(replace(data, people=replace(data.people, groups=nobody)), "side", SCALE, SETTINGS)
    assert (found.groups, found.crosses, found.unlabelled) == ((), (), 5)


def _refused(groups: tuple[str, ...], labels: list[int]) -> Differential:
    data = _small()
    column = {"side": (groups, np.array(labels, np.int32))}
    return differential(replace(data, people=replace(data.people, groups=column)), "side", SCALE, SETTINGS)


def test_labels_that_do_not_fit_are_refused() -> None:
    """A missing column, too many groups, labels of other people or of no group are named at once."""
    with pytest.raises(Invalid, match="no column 'age'"):
        differential(_small(), "age", SCALE, SETTINGS)
    with pytest.raises(Invalid, match="has 101 groups; 100 can be compared"):
        _refused(tuple(map(str, range(101))), [0] * 5)
    with pytest.raises(Invalid, match="4 labels of 2 groups for 5 people"):
        _refused(("a", "b"), [0] * 4)
    with pytest.raises(Invalid, match="5 labels of 2 groups"):
        _refused(("a", "b"), [0, 1, 2, 0, 0])
