# SPDX-License-Identifier: Apache-2.0
"""Figures are told in plain words that say no more than was measured."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from tests.evaluation import examples

from custodes.evaluation.results import Interval, Point, Rate, SizeBin, Spread
from custodes.evaluation.told import (
    age_in_words,
    expected,
    in_words,
    interval_in_words,
    listed,
    one_in,
    percent,
    rate_in_words,
    size_in_words,
    spread_in_words,
    summary,
    threshold_in_words,
)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "0"),
        (1.2e-5, "1.2 in 100,000"),
        (1e-5, "1 in 100,000"),
        (4.54e-6, "4.5 in 1,000,000"),
        (0.00999, "1 %"),
        (0.0096, "9.6 in 1,000"),
        (0.01, "1 %"),
        (0.0342, "3.4 %"),
        (0.5, "50 %"),
        (0.9953, "99.53 %"),
        (0.99996, "99.9960 %"),
        (1.0, "100 %"),
        (1e-12, "less than 1 in 1,000,000,000"),
    ],
)
def test_a_share_is_told_in_percent_or_as_so_many_in_a_round_number(value: float, words: str) -> None:
    """Two digits are told, near 1 those that tell it from 1, and nothing is rounded to none or all."""
    assert in_words(value) == words


@pytest.mark.parametrize("power", [k / 7 for k in range(-70, 1)])
def test_words_of_a_share_give_it_back(power: float) -> None:
    """What is read out of the words is the share, to two digits, at any size."""
    value = 10**power
    words = in_words(value)
    if words.startswith("less"):
        assert value < 1e-9
        return
    number, _, of = words.partition(" in ")
    read = float(number) / float(of.replace(",", "")) if of else float(number.removesuffix(" %")) / 100
    assert math.isclose(read, value, rel_tol=0.051)


def test_an_interval_is_told_in_one_unit() -> None:
    """Both ends are in the unit of the upper one, so that they can be compared at a glance."""
    assert interval_in_words(Interval(8e-6, 1.9e-5)) == "0.8 to 1.9 in 100,000"
    assert interval_in_words(Interval(0, 3.7e-6)) == "0 to 3.7 in 1,000,000"
    assert interval_in_words(Interval(0.0005, 0.013)) == "0.05 to 1.3 %"
    assert interval_in_words(Interval(0.993, 1.0)) == "99.30 to 100 %"


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (Rate(8, 10**5, 7.7e-5, Interval(4e-5, 1.2e-4)), "7.7 in 100,000 (95 %: 4 to 12 in 100,000)"),
        (Rate(8, 10**3, 0.008, Interval(0.0035, 0.016)), "8 in 1,000 (95 %: 3.5 to 16 in 1,000)"),
        (Rate(3, 200, 0.015, Interval(0.0031, 0.043)), "1.5 % (95 %: 0.31 to 4.3 %)"),
    ],
)
def test_a_rate_and_its_ends_are_told_in_one_unit(rate: Rate, words: str) -> None:
    """The unit is the value's, so that all three can be compared at a glance."""
    assert in_words(rate) == words


def test_without_an_interval_nothing_is_about_so_many() -> None:
    """A share whose interval isn't known is told by its counts alone."""
    assert in_words(Rate(0, 3, 0.0, note="few")) == "none seen among 3; few"
    assert in_words(Rate(2, 3, 2 / 3)) == "2 of 3"
    figures = examples.verification()
    point = replace(figures.points[1], false_match=Rate(0, 7, 0.0, note="few"), false_non_match=Rate(2, 3, 2 / 3))
    told = summary(examples.evaluation(replace(figures, points=(point,))))[0]
    assert "about" not in told
    assert "are taken for the same person can't be said (none among 7 so far; few)" in told
    assert "are missed can't be said (2 of 3 so far)" in told


def test_a_rate_is_told_with_its_interval_and_its_note() -> None:
    """A rough rate says so; one without a value says why, and 0 is what wasn't seen."""
    rate = Rate(12, 1_000_000, 1.2e-5, Interval(8e-6, 1.9e-5), "rough: few")
    told = "1.2 in 100,000 (95 %: 0.8 to 1.9 in 100,000); rough: few"
    assert rate_in_words(rate) == in_words(rate) == told
    assert in_words(Rate(0, 3, None, note="not enough data: 3 pairs")) == "not enough data: 3 pairs"
    assert in_words(Rate(0, 0, None)) == "not measured"
    assert in_words(Rate(0, 40, 0.0, Interval(0, 0.088))) == "none seen (95 %: 0 to 8.8 %)"


def test_counts_are_rounded_as_they_deserve() -> None:
    """Of a thousand, 995.3 is not told as a thousand, and 0.43 not as none."""
    assert [expected(v, 1000) for v in (0.00043, 0.0043, 0.012, 0.12, 0.5, 0.9953, 1.0)] == [
        "0.43",
        "4.3",
        "12",
        "120",
        "500",
        "995.3",
        "1,000",
    ]
    assert expected(2.5, 1000) == "2,500"
    assert [one_in(v) for v in (0.0, 1.2e-5, 0.3, 0.9)] == ["none", "1 in 83,000", "1 in 3.3", "90 %"]
    assert percent(0.0005) == "0.05 %"


def test_names_of_thresholds_sizes_and_years_read_as_words() -> None:
    """A threshold's number isn't told twice, and the end of a range that is left out isn't told as in it."""
    rate = examples.rate(1, 10)
    assert (
        threshold_in_words(Point("the default, 80", 80, 0.4, rate, rate))
        == "at a similarity of at least 80 (the default)"
    )
    assert threshold_in_words(Point("92.5", 92.5, 0.4, rate, rate)) == "at a similarity of at least 92.5"
    assert threshold_in_words(Point("without a threshold", 0, -1, rate, rate)) == "without a threshold"
    ranges = [(0, 20), (20, 32), (20.5, 32), (112, None)]
    assert [size_in_words(SizeBin(a, b, rate, 0)) for a, b in ranges] == [
        "less than 20 pixels",
        "20 to 31 pixels",
        "20.5 to less than 32 pixels",
        "112 pixels and more",
    ]
    assert [age_in_words(0, 1), age_in_words(1, 5), age_in_words(10, None)] == [
        "less than 1 year",
        "1 to less than 5 years",
        "10 years and more",
    ]
    assert [listed(["a"]), listed(["a", "b", "c"]), listed([])] == ["a", "a, b and c", ""]


def test_a_difference_that_may_be_chance_says_so() -> None:
    """An interval that holds 1 isn't told as a difference, and a ratio that is missing as none at all."""
    spread = Spread("false match rate", "B", "A", 2.6, Interval(1.9, 3.4), None, None)
    told = "By sex, the group B is falsely matched 2.6 times as often as A (95 % interval 1.9 to 3.4)."
    assert spread_in_words("sex", spread) == told
    chance = replace(spread, max_min_interval=Interval(0.8, 3.4))
    assert spread_in_words("sex", chance).endswith("(95 % interval 0.8 to 3.4, so that it may be chance).")
    missing = replace(spread, measure="false non-match rate", max_min=None, note="one group can be judged")
    told = "By sex, how often groups are missed can't be set against each other: one group can be judged."
    assert spread_in_words("sex", missing) == told


def test_groups_without_a_difference_are_not_set_apart() -> None:
    """Of equal rates no group is said to be ahead, and the ratio's interval is told; no error anywhere is said so."""
    equal = Spread("false non-match rate", "A", "B", 1.0, Interval(0.62, 1.71), 1.0, None)
    told = "By sex, no difference was seen in how often groups are missed (95 % interval of the ratio 0.62 to 1.7)."
    assert spread_in_words("sex", equal) == told
    unsure = replace(equal, max_min_interval=None, note="no upper end: few.")
    told = "By sex, no difference was seen in how often groups are missed; no upper end: few."
    assert spread_in_words("sex", unsure) == told
    near = replace(equal, max_min=1.013, max_min_interval=Interval(0.97, 1.04))
    told = (
        "By sex, the group A is missed 1.01 times as often as B (95 % interval 0.97 to 1.04, so that it may be chance)."
    )
    assert spread_in_words("sex", near) == told


@pytest.mark.parametrize("name", list(examples.all_kinds()))
def test_a_summary_has_two_to_six_sentences(name: str) -> None:
    """Whatever was measured, and whatever is missing, it is told in a few whole sentences."""
    told = summary(examples.all_kinds()[name])
    assert 2 <= len(told) <= 6
    assert all(s[0].isupper() and s.endswith(".") and "None" not in s and "nan" not in s for s in told)


def test_the_answer_for_searches_is_of_1000_strangers() -> None:
    """Who asks what a search is worth is told how many strangers of a thousand are found, in this gallery."""
    told = summary(examples.evaluation(examples.identification()))
    assert told[0].startswith(
        "Of 1,000 searches of people who are not in this gallery of 5,000, about 12 return somebody at a similarity of "
        "at least 99 (the public-safety floor) (95 % interval "
    )
    assert "rough" in told[0]
    assert told[2].startswith(
        "Of 1,000 searches of people who are not in this gallery of 5,000, all return somebody without a threshold"
    )


def test_what_was_not_seen_is_no_zero() -> None:
    """No error among so many trials is told by what the interval leaves open."""
    told = summary(examples.evaluation(examples.verification()))
    assert "0 to 12 are taken for the same person (95 % interval; there was none among 298,000)" in told[0]
    bare = summary(examples.evaluation(examples.bare_verification()))
    assert "are missed can't be said (not enough data: there are no comparisons)" in bare[0]


def test_the_greatest_differences_are_told_first() -> None:
    """With many columns a summary has no room for all, and the greatest are not those that are left out."""
    figures = examples.verification()
    wide = replace(figures.differentials[0].spreads[0], max_min=31.0)
    other = replace(examples.differential("age"), spreads=(wide,))
    told = summary(examples.evaluation(replace(figures, accuracy=None, differentials=(*figures.differentials, other))))
    assert told[3].startswith("By age, the group women is falsely matched 31 times as often")


def test_both_rates_of_each_column_are_told() -> None:
    """Misses have their sentence beside false matches, also where the lowest is 0 and there is much else to tell."""
    figures = examples.verification()
    note = "the lowest rate is 0 (men: none of 980), and nothing can be divided by it"
    lacking = Spread("false non-match rate", "women", "men", None, None, None, None, note)
    found = figures.differentials[0]
    sex = replace(found, spreads=(found.spreads[0], lacking))
    own = replace(figures.points[0], name="the threshold of this evaluation, 90", similarity=90.0)
    columns = (sex, *(replace(sex, column=c) for c in ("age", "skin", "town")))
    crowded = replace(figures, points=(*figures.points, own), differentials=columns)
    told = summary(examples.evaluation(crowded))
    for column in ("sex", "age", "skin"):
        missed = f"By {column}, how often groups are missed can't be set against each other: {note}."
        assert told[told.index(missed) - 1].startswith(f"By {column}, the group women is falsely matched 2.5 times")
    assert told[-1] == "Groups by town were compared too: see the tables."


@pytest.mark.parametrize(("boxes", "high"), [(0, 0.46), (9, 0.068)])
def test_boxes_without_a_face_are_told_as_other_errors_are(boxes: int, high: float) -> None:
    """None seen is told by the interval, and that there was none; some are told as about so many."""
    low = 0.018 if boxes else 0.0
    figures = replace(
        examples.detection(), false_positives=boxes, per_image=boxes / 220, per_image_interval=Interval(low, high)
    )
    none = "In 1,000 photos, 0 to 460 boxes hold no marked face (95 % interval; there was none among 220 photos)."
    some = "In 1,000 photos, about 41 boxes hold no marked face (95 % interval 18 to 68)."
    assert summary(examples.evaluation(figures))[1] == (some if boxes else none)


def test_damage_is_not_judged_by_a_few_pairs() -> None:
    """Below 30 mated comparisons that is said first, and nothing of levels; above, how many there were."""
    figures = examples.robustness()
    told = summary(examples.evaluation(replace(figures, mated=12)))
    assert told[0] == "Not enough data: 12 mated comparisons, 30 are needed. No damage is judged."
    assert len(told) == 2
    assert "search" not in told[1]
    assert summary(examples.evaluation(figures))[0].startswith(
        "Measured on 900 pairs of photos of the same person: with photos as they are, at a similarity of at least 80, "
    )


def test_damage_that_the_filter_lets_pass_is_named() -> None:
    """Photos that are not to be searched with, and that the quality filter takes, are told by name."""
    told = " ".join(summary(examples.evaluation(examples.robustness())))
    assert "a blur of 3 px; noise of 20; 6 % of the light;" in told
    assert "lets most photos pass, for mask." in told


def test_no_damage_is_judged_where_too_many_are_missed_without_any() -> None:
    """Where photos as they are fail, the summary says so and names no level."""
    figures = examples.robustness()
    first = replace(figures.strains[0], false_non_match=Rate(200, 900, 200 / 900, Interval(0.2, 0.25)))
    told = summary(examples.evaluation(replace(figures, strains=(first, *figures.strains[1:]))))
    assert len(told) == 2
    assert told[1] == "That is more than 10 % before anything was done to them: no damage can be judged so."
