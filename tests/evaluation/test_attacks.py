# SPDX-License-Identifier: Apache-2.0
"""Presentation attack detection: rates by instrument, tables of presentations, verdicts."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from custodes.errors import Invalid, NotFound
from custodes.evaluation.attacks import NO_MODEL, Presentation, attacks, read_presentations
from custodes.evaluation.metrics import clopper_pearson, equal_error_rate
from custodes.evaluation.results import Attacks, Settings


def presented(**scores: list[float | None]) -> list[Presentation]:
    """Presentations by species; ``honest`` are bona fide."""
    return [Presentation("" if name == "honest" else name, s) for name, own in scores.items() for s in own]


def measured(threshold: float = 0.5, **scores: list[float | None]) -> Attacks:
    return attacks(presented(**scores), threshold, Settings(80.0, rounds=50))


def test_rates_are_told_by_instrument_and_judged_by_the_worst() -> None:
    """APCER counts attacks at or above the threshold among those with an answer; silence is counted apart."""
    told = measured(
        print=[0.1, 0.2, 0.5, None],
        screen=[0.9, 0.8, 0.1, 0.2, None, None],
        honest=[0.9, 0.5, 0.4, 0.49, None],
    )
    assert [(a.species, a.apcer.events, a.apcer.trials) for a in told.attacks] == [("print", 1, 3), ("screen", 2, 4)]
    assert [(a.non_response.events, a.non_response.trials) for a in told.attacks] == [(1, 4), (2, 6)]
    assert told.worst == "screen"
    assert (told.bpcer.events, told.bpcer.trials, told.bpcer.value) == (2, 4, 0.5)
    assert (told.bona_fide_non_response.events, told.bona_fide_non_response.trials) == (1, 5)
    assert told.attacks[1].apcer.interval == clopper_pearson(2, 4)
    assert told.bpcer.interval == clopper_pearson(2, 4)


def test_a_threshold_is_reached_to_the_bit() -> None:
    """A score that is written like the threshold passes, though it has no exact float32."""
    told = measured(0.7, print=[0.7], honest=[0.7, 0.6999999999999999])
    assert told.attacks[0].apcer.events == 1
    assert told.bpcer.events == 1


def test_of_two_instruments_as_bad_the_less_known_is_the_worst() -> None:
    """With equal APCER the one whose interval reaches higher counts."""
    told = measured(a=[0.1] * 100, b=[0.1] * 10, honest=[0.9])
    assert told.worst == "b"


def test_bpcer_at_fixed_apcer_needs_presentations_of_every_instrument() -> None:
    """The instrument with the fewest presentations decides what can be shown (rule of 3)."""
    told = measured(a=[0.1] * 1000, b=[0.2] * 59, honest=[0.9] * 30 + [0.15, 0.25])
    tenth, twentieth, hundredth = told.bpcer_at
    assert [x.target for x in told.bpcer_at] == [0.1, 0.05, 0.01]
    assert (tenth.cosine, tenth.misses.events, tenth.misses.trials) == (0.25, 1, 32)
    assert "rule of 30" in tenth.misses.note
    for lacking, needed in ((twentieth, 60), (hundredth, 300)):
        assert (lacking.cosine, lacking.misses.value) == (None, None)
        assert f"needs at least {needed} presentations" in lacking.misses.note
        assert "there are 59" in lacking.misses.note


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_bpcer_is_told_at_the_least_threshold_that_keeps_the_worst_apcer(seed: int) -> None:
    """At the threshold every instrument is kept, and at the next lower score one isn't."""
    generator = np.random.default_rng(seed)
    kinds = {n: np.round(generator.normal(m, 0.2, k), 2) for n, m, k in (("a", 0.2, 60), ("b", 0.4, 40))}
    honest = np.round(generator.normal(0.7, 0.2, 50), 2)
    told = attacks(
        presented(**{n: v.tolist() for n, v in kinds.items()}, honest=honest.tolist()), 0.5, Settings(80.0, rounds=5)
    )
    found = told.bpcer_at[0]
    assert found.cosine is not None
    assert max((v >= found.cosine).mean() for v in kinds.values()) <= 0.1
    lower = [s for s in np.concatenate([*kinds.values(), honest]) if s < found.cosine]
    assert max((v >= max(lower)).mean() for v in kinds.values()) > 0.1
    assert found.misses.value == (honest < found.cosine).mean()
    assert found.misses.interval is not None
    assert found.misses.interval.low <= found.misses.value <= found.misses.interval.high


def test_the_equal_error_is_that_of_comparisons() -> None:
    """With one instrument it is the equal error rate of the scores, and sklearn's curve meets there."""
    generator = np.random.default_rng(1)
    bad, good = generator.normal(0.3, 0.2, 200).astype(np.float32), generator.normal(0.6, 0.2, 150).astype(np.float32)
    told = measured(print=bad.tolist(), honest=good.tolist())
    scores, live = np.concatenate([bad, good]), np.repeat([False, True], [200, 150])
    assert told.equal_error == pytest.approx(equal_error_rate(scores, live), abs=1e-12)
    fpr, tpr, _ = roc_curve(live, scores, drop_intermediate=False)
    nearest = int(np.argmin(np.abs(fpr - (1 - tpr))))
    assert told.equal_error == pytest.approx((fpr[nearest] + 1 - tpr[nearest]) / 2, abs=0.005)


def test_the_equal_error_is_that_of_the_worst_instrument() -> None:
    """A harmless instrument beside it changes nothing."""
    alone = measured(screen=[0.1, 0.4, 0.6, 0.7], honest=[0.3, 0.5, 0.8, 0.9])
    beside = measured(screen=[0.1, 0.4, 0.6, 0.7], paper=[0.0] * 50, honest=[0.3, 0.5, 0.8, 0.9])
    assert alone.equal_error == beside.equal_error == 0.5


def test_attacks_or_bona_fide_presentations_may_be_missing() -> None:
    """What wasn't presented, or never got an answer, has no rate, and the verdict says so."""
    told = measured(honest=[0.9, 0.1])
    assert (told.attacks, told.worst, told.equal_error) == ((), "", None)
    assert told.bpcer.value == 0.5
    assert "No attack got an answer" in told.verdict
    assert {x.misses.note for x in told.bpcer_at} == {"no attack with an answer"}
    told = measured(print=[0.9, None], mask=[None])
    assert told.worst == "print"
    assert told.attacks[0].apcer.value is None
    assert told.attacks[0].non_response.value == 1.0
    assert (told.bpcer.value, told.equal_error) == (None, None)
    assert "No bona fide presentation got an answer" in told.verdict
    assert {x.misses.note for x in told.bpcer_at} == {"no bona fide presentation with an answer"}


def test_the_verdict_is_honest() -> None:
    """It says what few presentations can't show, what the worst may be, and when scores say nothing."""
    few = measured(print=[0.1] * 50, honest=[0.9] * 50).verdict
    assert re.search(r"With 50 presentations of print no APCER below 6(\.0)? % can be shown \(rule of 3\)\.", few)
    assert "worst instrument" in few
    assert "Up to 7.1 % of attacks" in few
    many = measured(print=[0.1] * 400, honest=[0.9] * 50).verdict
    assert "rule of 3" not in many
    coin = measured(print=[0.1, 0.9] * 10, honest=[0.1, 0.9] * 10).verdict
    assert "no more than a coin would" in coin
    assert "nothing can be shown" in measured(print=[0.1], honest=[0.9]).verdict
    assert "none is claimed" in NO_MODEL
    assert "0.46 to 0.78" in NO_MODEL


def test_the_seed_decides() -> None:
    """The same presentations come to the same figures."""
    made = presented(print=[i / 100 for i in range(60)], honest=[i / 70 for i in range(60)])
    assert attacks(made, 0.5, Settings(80.0, rounds=30)) == attacks(made, 0.5, Settings(80.0, rounds=30))


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_scores_and_thresholds_are_finite(score: float) -> None:
    """NaN is refused and never taken for an answer, nor for none."""
    with pytest.raises(Invalid, match="finite"):
        Presentation("print", score)
    with pytest.raises(Invalid, match="finite"):
        attacks([Presentation("", 0.5)], score, Settings(80.0))
    with pytest.raises(Invalid, match="no presentations"):
        attacks([], 0.5, Settings(80.0))


# --- tables ------------------------------------------------------------------------------------------------------


def table(folder: Path, text: str) -> Path:
    path = folder / "attacks.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_of_presentations_is_read(tmp_path: Path) -> None:
    """Bona fide in any spelling, instruments by their names, an empty score for no answer."""
    text = "Presentation,Score,note\nbona fide,0.9,\nBona-Fide,,x\nprinted photo,-1.5e-1,\n\nscreen,,\n"
    assert read_presentations(table(tmp_path, text)) == (
        Presentation("", 0.9),
        Presentation("", None),
        Presentation("printed photo", -0.15),
        Presentation("screen", None),
    )


def test_everything_wrong_with_a_table_is_told_with_its_rows(tmp_path: Path) -> None:
    """Nothing is passed over: each kind of fault names its rows."""
    text = (
        "presentation,score\nbona fide,NaN\nscreen,inf\n,0.5\nnan,0.5\nscreen,high\nprint,0.1\nPrint,0.2\n"
        "screen,0.5,0.6\n" + "x" * 101 + ",0.1\n"
    )
    with pytest.raises(Invalid) as caught:
        read_presentations(table(tmp_path, text))
    told = caught.value.message
    assert "a score is no number: row 2 (NaN), row 3 (inf), row 6 (high)." in told
    assert "no presentation is named: row 4." in told
    assert "a presentation is no name: row 5 (nan), row 10" in told
    assert "written in two ways: row 8 (Print, and print)." in told
    assert "row 9" in told
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("text", "word"),
    [("presentation,score\n", "no rows"), ("species,score\nprint,0.1\n", "no column presentation"), ("", "no column")],
)
def test_a_table_that_is_none_is_refused(tmp_path: Path, text: str, word: str) -> None:
    """A heading without rows, another heading, nothing at all."""
    with pytest.raises(Invalid, match=word):
        read_presentations(table(tmp_path, text))


def test_one_presentation_is_one(tmp_path: Path) -> None:
    """The verdict speaks of it in the singular."""
    made = [Presentation("screen", 0.1), Presentation("", 0.9), Presentation("", 0.8)]
    assert "With 1 presentation of screen nothing can be shown" in attacks(made, 0.5, Settings(99.0)).verdict


def test_a_table_that_isnt_there(tmp_path: Path) -> None:
    """A missing file is told by its name."""
    with pytest.raises(NotFound, match=r"nothing\.csv"):
        read_presentations(tmp_path / "nothing.csv")
