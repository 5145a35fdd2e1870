# SPDX-License-Identifier: Apache-2.0
"""What similarity stands for on local data, and the stricter map that is made of it."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custodes.config import Config
from custodes.errors import Invalid
from custodes.evaluation.calibration import Local, measured, stricter
from custodes.evaluation.deployed import deployed
from custodes.evaluation.metrics import clopper_pearson
from custodes.evaluation.results import Settings
from custodes.evaluation.scored import FAILED
from custodes.vision.calibrations import remove_local, write_local
from custodes.vision.manifest import Calibration, Knot
from custodes.vision.pack import open_pack

BASE = Calibration(
    (
        Knot(-1.0, 0.0),
        Knot(0.2, 10.0, 1e-1),
        Knot(0.3, 50.0, 1e-2),
        Knot(0.4, 80.0, 1e-3),
        Knot(0.5, 99.0, 1e-4),
        Knot(1.0, 100.0),
    ),
    "the pack's own data",
)


def spread(count: int, top: float = 0.6) -> np.ndarray:
    """Scores at equal distances up to ``top``: a share f of them lies above ``top - f``."""
    return np.linspace(top - 1, top, count, dtype=np.float32)


def test_the_false_match_rate_of_the_packs_map_is_stated() -> None:
    """At 80, 99 and every knot it is told how many of the local comparisons pass, with an interval."""
    scores = np.array([-0.5] * 96 + [0.35, 0.4001, 0.45, 0.5001], np.float32)
    told = measured(scores, BASE)
    assert told.count == 100
    assert [s.similarity for s in told.stated] == [10.0, 50.0, 80.0, 99.0]
    assert [s.cosine for s in told.stated] == [0.2, 0.3, 0.4, 0.5]
    assert [s.promised for s in told.stated] == [1e-1, 1e-2, 1e-3, 1e-4]
    assert [s.false_match.events for s in told.stated] == [4, 4, 3, 1]
    assert [s.false_match.interval for s in told.stated] == [clopper_pearson(k, 100) for k in (4, 4, 3, 1)]
    assert "rule of 30" in told.stated[0].false_match.note
    assert "needs at least 30,000" in told.stated[3].false_match.note


def test_80_and_99_are_stated_whatever_the_knots() -> None:
    """A map without knots there is asked between them; its promise is that of the knot below."""
    base = Calibration((Knot(-1, 0), Knot(0.3, 60, 0.01), Knot(0.5, 90), Knot(1, 100)), "")
    told = measured(spread(100), base)
    assert [(s.similarity, s.promised) for s in told.stated] == [(60, 0.01), (80, 0.01), (90, 0.01), (99, 0.01)]
    assert told.stated[1].cosine == pytest.approx(0.3 + 0.2 * 2 / 3)
    assert [m.similarity for m in told.local] == [60]


def test_a_knot_is_measured_with_30_expected_false_matches() -> None:
    """300 comparisons carry 1e-1, not 1e-2; the note says how many would."""
    told = measured(spread(300), BASE)
    assert told.local[0].cosine == pytest.approx(0.5, abs=0.005)
    assert (spread(300) >= told.local[0].cosine).sum() == 30
    assert [m.cosine for m in told.local[1:]] == [None, None, None]
    assert "needs 3,000 non-mated comparisons (rule of 30), there are 300" in told.local[1].note
    assert measured(spread(299), BASE).local[0].cosine is None


def test_failures_stay_in_the_denominator() -> None:
    """A comparison without two templates is no false match, and counts."""
    scores = np.concatenate([spread(300), np.full(300, FAILED, np.float32)])
    told = measured(scores, BASE)
    assert (told.stated[0].false_match.trials, told.count) == (600, 600)
    assert told.local[0].cosine is not None
    assert (spread(300) >= told.local[0].cosine).sum() == 60


def test_people_widen_the_interval() -> None:
    """With who is compared with whom, intervals are a bootstrap over people."""
    generator = np.random.default_rng(1)
    pairs = np.array(list(itertools.combinations(range(40), 2)), np.int32)
    odd = (pairs < 4).any(axis=1)  # the comparisons of four people match
    scores = np.where(odd, 0.45, generator.uniform(-0.5, 0.1, len(pairs))).astype(np.float32)
    alone = measured(scores, BASE).stated[2].false_match
    people = measured(scores, BASE, subjects=pairs, settings=Settings(80.0, rounds=200)).stated[2].false_match
    assert alone.value == people.value == pytest.approx(150 / 780)
    assert alone.interval is not None
    assert people.interval is not None
    assert people.interval.high - people.interval.low > 2 * (alone.interval.high - alone.interval.low)


def test_many_pairs_of_two_people_have_no_interval() -> None:
    """Photos of the same two people keep no promise, however many there are: only the counts are told."""
    scores = np.full(40_000, 0.1, np.float32)
    two = np.tile(np.int32([[0, 1]]), (len(scores), 1))
    found = measured(scores, BASE, subjects=two, settings=Settings(80.0, rounds=50)).stated[-1].false_match
    assert (found.events, found.trials, found.interval) == (0, 40_000, None)
    assert found.note.endswith("people are too few for an interval")


def test_the_stricter_map_has_the_higher_cosine_at_each_knot() -> None:
    """Where local people look more alike the knot rises, where they don't it stays, and the ends stay."""
    local = (Local(10.0, 1e-1, 0.25), Local(50.0, 1e-2, 0.28), Local(80.0, 1e-3, None, "few"), Local(99.0, 1e-4, 0.55))
    made = stricter(BASE, local, "1,000 comparisons here")
    assert [k.cosine for k in made.knots] == [-1.0, 0.25, 0.3, 0.4, 0.55, 1.0]
    assert [(k.similarity, k.false_match_rate) for k in made.knots] == [
        (k.similarity, k.false_match_rate) for k in BASE.knots
    ]
    assert made.measured_on == "the pack's own data; nowhere easier than 1,000 comparisons here ask for"
    assert made.easier_at(BASE) is None
    assert BASE.easier_at(made) is not None


def test_data_that_ask_for_nothing_leave_the_packs_own() -> None:
    """Easier data, or too few, change no knot: there is nothing to put in force."""
    assert measured(spread(50_000, top=-0.2), BASE).stricter is BASE
    assert measured(spread(10), BASE).stricter is BASE


def test_measured_data_make_the_map() -> None:
    """On data where more pass than the pack says, the local map keeps the promise at every knot that they carry."""
    scores = (np.random.default_rng(2).normal(0.15, 0.13, 40_000)).clip(-1, 0.99).astype(np.float32)
    made = measured(scores, BASE).stricter
    assert "40,000 non-mated comparisons of local photos" in made.measured_on
    for knot, before in zip(made.knots[1:4], BASE.knots[1:4], strict=True):
        assert knot.cosine > before.cosine
        assert (scores >= knot.cosine).mean() <= (knot.false_match_rate or 0)
        assert (scores >= before.cosine).mean() > (knot.false_match_rate or 0)


def test_a_knot_that_isnt_measured_is_lifted_only_past_one_that_is() -> None:
    """It stays where the pack has it, or goes as far above the knot that rose past it as the pack has it."""
    stays = stricter(BASE, (Local(80.0, 1e-3, 0.49),), "x")
    assert [k.cosine for k in stays.knots] == [-1.0, 0.2, 0.3, 0.49, 0.5, 1.0]
    assert "lifted" not in stays.measured_on
    lifted = stricter(BASE, (Local(50.0, 1e-2, 0.55),), "x")
    assert [k.cosine for k in lifted.knots] == pytest.approx([-1.0, 0.2, 0.55, 0.65, 0.75, 1.0])
    assert "similarity 80, 99 lifted with those below" in lifted.measured_on


def test_a_map_that_cannot_rise_is_refused_with_the_reason() -> None:
    """Equal scores at two rates, photos under two names, no room for what isn't measured: each says what to do."""
    for local in (
        (Local(10.0, 1e-1, 0.45), Local(50.0, 1e-2, 0.45)),
        (Local(99.0, 1e-4, 1.0),),
        (Local(50.0, 1e-2, 0.95),),
    ):
        with pytest.raises(Invalid, match="no map rises") as caught:
            stricter(BASE, local, "x")
        assert "under two names" in caught.value.remedy
    told = measured(np.ones(300, np.float32), BASE)
    assert told.stated[2].false_match.value == 1.0
    with pytest.raises(Invalid):
        assert told.stricter


def test_a_local_map_makes_earlier_evaluations_void(tmp_path: Path) -> None:
    """What is deployed has another fingerprint with a local map in force, and the old one again without it."""
    config = Config(data=tmp_path / "data", cache=tmp_path / "cache")
    pack = open_pack(config, "custodes-1")
    before = deployed(pack, 1280)
    top = pack.calibration.knots[-2]
    local = stricter(pack.calibration, (Local(top.similarity, top.false_match_rate or 0.0, 0.6),), "a test")
    write_local(config, pack.manifest, local)
    after = deployed(open_pack(config, "custodes-1"), 1280)
    assert after.calibration != before.calibration
    assert after.fingerprint != before.fingerprint
    assert (after.networks, after.thresholds) == (before.networks, before.thresholds)
    remove_local(config, "custodes-1")
    assert deployed(open_pack(config, "custodes-1"), 1280) == before


_COSINES = st.lists(st.floats(-0.99, 0.99), min_size=4, max_size=4, unique=True).map(sorted)
_TARGETS = (1e-1, 1e-2, 1e-3, 1e-4)
_SIMILARITIES = (10.0, 50.0, 80.0, 99.0)


@given(_COSINES, st.lists(st.none() | st.floats(-1, 1), min_size=4, max_size=4), st.lists(st.floats(0, 100)))
@settings(max_examples=150, deadline=None)
def test_no_similarity_ever_gets_easier(own: list[float], asked: list[float | None], similarities: list[float]) -> None:
    """Whatever the data ask for, each similarity needs at least the cosine that it needed before, to the last bit."""
    inner = [Knot(c, s, t) for c, s, t in zip(own, _SIMILARITIES, _TARGETS, strict=True)]
    base = Calibration((Knot(-1.0, 0.0), *inner, Knot(1.0, 100.0)), "")
    local = [Local(s, t, c) for s, t, c in zip(_SIMILARITIES, _TARGETS, asked, strict=True)]
    try:
        made = stricter(base, local, "x")
    except Invalid:
        raised = [max(b, a) if a is not None else b for a, b in zip(asked, own, strict=True)]
        assert any(b <= a for a, b in itertools.pairwise([*raised, 1.0]))
        return
    assert made.easier_at(base) is None
    for similarity in (*similarities, *_SIMILARITIES, 0.0, 100.0, 79.99, 98.7):
        assert made.cosine(similarity) >= base.cosine(similarity)
    for cosine in (*own, *(a for a in asked if a is not None)):
        assert made.similarity(cosine) <= base.similarity(cosine) + 1e-9


@pytest.mark.parametrize(
    ("scores", "word"),
    [
        (np.array([], np.float32), "at least one"),
        (np.array([0.1]), "float32"),
        (np.array([[0.1]], np.float32), "float32"),
        (np.array([np.nan], np.float32), "not a number"),
        (np.array([np.inf], np.float32), "not a number"),
    ],
)
def test_scores_that_are_none_are_refused(scores: np.ndarray, word: str) -> None:
    """None at all, another type, NaN."""
    with pytest.raises(Invalid, match=word):
        measured(scores, BASE)


def test_people_are_those_of_the_scores() -> None:
    """As many pairs as scores."""
    with pytest.raises(Invalid, match="subjects"):
        measured(spread(3), BASE, subjects=np.zeros((2, 2), np.int32))
