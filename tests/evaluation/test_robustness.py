# SPDX-License-Identifier: Apache-2.0
"""Damage is told level by level, failures count as misses, and what the quality filter doesn't see is said."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from custodes.domain import Face, UInt8
from custodes.errors import Conflict, Invalid, NotFound
from custodes.evaluation.deployed import deployed
from custodes.evaluation.enrolling import Progress
from custodes.evaluation.metrics import clopper_pearson
from custodes.evaluation.results import (
    Dataset,
    Evaluation,
    Interval,
    Rate,
    Robustness,
    Settings,
    Strain,
    StrainLimit,
    from_json,
    to_json,
)
from custodes.evaluation.robustness import limit, robustness
from custodes.evaluation.strains import KINDS, Kind, Level
from custodes.vision.engine import Engine

DATA = Path(__file__).parent.parent / "data"
SETTINGS = Settings(similarity=80, face="central")
Chance = np.random.Generator


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.default()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The portraits, small, and a picture without a face, one that is no picture."""
    folder = tmp_path_factory.mktemp("photos")
    for name in ("obama_1.jpg", "obama_2.jpg", "biden.jpg", "collins.png"):
        pixels = cv2.imread(str(DATA / name))
        scale = 400 / max(pixels.shape[:2])
        small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / Path(name).with_suffix(".png")), small)
    cv2.imwrite(str(folder / "empty.png"), np.full((200, 200, 3), 90, np.uint8))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    return folder


@pytest.fixture(scope="module")
def mated(photos: Path) -> list[tuple[Path, Path]]:
    return [(photos / "obama_1.png", photos / "obama_2.png"), (photos / "obama_2.png", photos / "obama_1.png")]


@pytest.fixture(scope="module")
def non_mated(photos: Path) -> list[tuple[Path, Path]]:
    return [(photos / "biden.png", photos / "collins.png"), (photos / "obama_1.png", photos / "collins.png")]


def kind(name: str, *changes: UInt8 | None) -> Kind:
    """Return a kind whose levels show other pictures than the photo; None shows the photo."""

    def change(pixels: UInt8, _face: Face, level: float, _rng: Chance) -> UInt8:
        other = changes[int(level) - 1]
        return pixels if other is None else other

    levels = tuple(Level(i + 1.0, f"{name} {i + 1}") for i in range(len(changes)))
    return Kind(name, "steps", (Level(0.0, "as it is"), *levels), change)


def rgb(path: Path) -> UInt8:
    return np.ascontiguousarray(np.asarray(cv2.imread(str(path)), np.uint8)[:, :, ::-1])


def test_levels_are_counted_from_as_it_is_to_nothing_left(
    engine: Engine, photos: Path, mated: list[tuple[Path, Path]], non_mated: list[tuple[Path, Path]]
) -> None:
    """What stays a photo stays a match; a black picture is a miss, a failure to enrol and refused; no trial is lost."""
    black = kind("curtain", None, np.zeros((200, 200, 3), np.uint8))
    found = robustness(engine, mated * 15, non_mated, SETTINGS, kinds=[black], workers=2)
    assert (found.mated, found.non_mated, found.similarity) == (30, 2, 80)
    assert found.cosine == engine.pack.calibration.cosine(80)
    before, same, after = found.strains
    none, all_ = Rate(0, 30, 0.0, clopper_pearson(0, 30)), Rate(30, 30, 1.0, clopper_pearson(30, 30))
    no_match = Rate(0, 2, 0.0, clopper_pearson(0, 2))
    for s in (before, same):
        assert (s.false_non_match, s.false_match) == (none, no_match)
        assert (s.failure.events, s.failure.trials, s.refused.events) == (0, 3, 0)
    assert (after.false_non_match, after.false_match) == (all_, no_match)
    assert (after.failure.value, after.refused.value, after.failure.trials) == (1, 1, 3)
    assert [s.label for s in found.strains] == ["as it is", "curtain 1", "curtain 2"]
    [told] = found.limits
    assert (told.dont_search, told.refused_from) == (2, 2)
    assert told.words == (
        "With curtain 2, 100 % (95 %: 88 to 100 %) of mated comparisons are missed: don't search. "
        "The quality filter AUTO refuses most photos with curtain 2."
    )


def test_somebody_else_in_the_photo_is_a_miss_that_no_filter_sees(
    engine: Engine, photos: Path, mated: list[tuple[Path, Path]], non_mated: list[tuple[Path, Path]]
) -> None:
    """A good photo of another person is enrolled, passes AUTO, and matches whoever it shows."""
    swap = kind("swap", rgb(photos / "biden.png"))
    found = robustness(engine, mated * 15, non_mated, SETTINGS, kinds=[swap])
    after = found.strains[1]
    assert (after.false_non_match.events, after.false_match.events) == (30, 1)
    assert (after.failure.events, after.refused.events) == (0, 0)
    assert found.limits[0].dont_search == 1
    assert found.limits[0].refused_from is None
    assert "lets most of them pass: it doesn't see this" in found.limits[0].words


def test_what_is_counted_as_it_is_is_what_a_comparison_says(
    engine: Engine, photos: Path, mated: list[tuple[Path, Path]]
) -> None:
    """Just below the engine's own similarity of two photos they match, just above they don't."""
    a, b = (engine.embed(engine.detect(photos / name))[0] for name in ("obama_1.png", "obama_2.png"))
    similarity = engine.compare(a, b).similarity
    for off, missed in ((-0.01, 0), (0.01, 2)):
        settings = Settings(similarity=similarity + off, face="central")
        found = robustness(engine, mated, [], settings, kinds=[kind("none", None)])
        assert found.strains[0].false_non_match.events == missed


def test_the_real_table_is_whole(engine: Engine, mated: list[tuple[Path, Path]]) -> None:
    """Every level of every kind is there, in order, beginning with the same photo; JSON keeps all of it."""
    found = robustness(engine, mated[:1] * 30, [], SETTINGS, workers=2)
    assert [(s.kind, s.level) for s in found.strains] == [(k.name, v.value) for k in KINDS for v in k.levels]
    assert [x.kind for x in found.limits] == [k.name for k in KINDS]
    firsts = [next(s for s in found.strains if s.kind == k.name) for k in KINDS]
    assert len({(s.false_non_match, s.false_match, s.failure, s.refused) for s in firsts}) == 1
    dark = next(x for x in found.limits if x.kind == "low light")
    assert dark.refused_from in (6, 3, 2, 1)
    whole = Evaluation(
        made_at=datetime(2026, 11, 25, tzinfo=UTC),
        deployed=deployed(engine.pack, 1),
        dataset=Dataset("", "0" * 64, 2, 1),
        settings=SETTINGS,
        figures=found,
    )
    assert from_json(to_json(whole)) == whole


def test_figures_are_the_same_for_any_number_of_workers(engine: Engine, mated: list[tuple[Path, Path]]) -> None:
    """Noise comes from the seed and the photo, so that neither threads nor the order of pairs matter."""
    noisy = [Kind(k.name, k.unit, (k.levels[0], *k.levels[3:6]), k.change) for k in KINDS if k.name == "noise"]
    one = robustness(engine, mated, [], SETTINGS, kinds=noisy)
    assert robustness(engine, mated[::-1], [], SETTINGS, kinds=noisy, workers=3) == one


def test_too_few_comparisons_are_said_to_be_too_few(
    engine: Engine, mated: list[tuple[Path, Path]], non_mated: list[tuple[Path, Path]]
) -> None:
    """Below 30 no level is judged, black pictures neither, and the notes say so before they say anything of rule 3."""
    black = kind("curtain", np.zeros((200, 200, 3), np.uint8))
    found = robustness(engine, mated, non_mated, SETTINGS, kinds=[black])
    assert (found.strains[1].false_non_match.events, found.limits) == (2, ())
    assert found.notes[0].startswith("Not enough data: 2 mated comparisons, 30 are needed.")
    enough = robustness(engine, mated * 15, [], SETTINGS, kinds=[kind("none", None)], most_missed=0.05)
    assert len(enough.limits) == 1
    assert "fewer than 5 % are missed needs at least 60 mated comparisons to show, there are 30." in enough.notes[0]
    alone = robustness(engine, mated, [], SETTINGS, kinds=[kind("none", None)])
    assert alone.strains[0].false_match == Rate(0, 0, None, note="no non-mated comparisons")


def test_faces_below_the_largest_size_are_told(engine: Engine, mated: list[tuple[Path, Path]]) -> None:
    """Of faces that are smaller than a level asks for, the notes say how many there are."""
    sizes = next(k for k in KINDS if k.name == "size")
    large = Kind("size", "px", (sizes.levels[0], Level(1000, "a face of 1000 px")), sizes.change)
    found = robustness(engine, mated, [], SETTINGS, kinds=[large])
    assert found.notes[0].startswith("2 of 2 faces have less than 1000 px")


def test_pairs_that_show_no_face_are_left_out_and_told(
    engine: Engine, photos: Path, mated: list[tuple[Path, Path]]
) -> None:
    """One pair of thirty-one without a face counts at no level, and the notes say so; thirty are enough to judge by."""
    pairs = [*mated * 15, (photos / "obama_1.png", photos / "empty.png")]
    found = robustness(engine, pairs, [], SETTINGS, kinds=[kind("none", None)])
    assert found.mated == 30
    assert found.strains[0].failure.trials == 2
    assert found.notes[0].startswith("1 of 31 pairs count at no level")
    assert not any("Not enough data" in note for note in found.notes)


@pytest.mark.parametrize("name", ["empty.png", "broken.png"])
def test_many_pairs_without_a_face_are_refused(
    engine: Engine, photos: Path, mated: list[tuple[Path, Path]], name: str
) -> None:
    """More than a tenth is an error that says how many, whichever photo of the pair it is."""
    with pytest.raises(Invalid, match=r"1 of 3 pairs have a photo in which no face is found .* at most 10 %"):
        robustness(engine, [*mated, (photos / name, photos / "obama_1.png")], [], SETTINGS)
    others = [(photos / "biden.png", photos / "collins.png")] * 10
    with pytest.raises(Invalid, match="In no mated pair"):
        robustness(engine, [(photos / "biden.png", photos / name)], others, SETTINGS)


def test_what_cant_be_meant_is_refused(engine: Engine, photos: Path, mated: list[tuple[Path, Path]]) -> None:
    """No mated pairs, a share beyond reason and a missing photo say so."""
    with pytest.raises(Invalid, match="no mated pairs"):
        robustness(engine, [], [], SETTINGS)
    for share in (0.0, 1.0):
        with pytest.raises(Invalid, match="between 0 and 1"):
            robustness(engine, mated, [], SETTINGS, most_missed=share)
    with pytest.raises(NotFound, match=r"nobody\.png"):
        robustness(engine, [(photos / "biden.png", photos / "nobody.png")], [], SETTINGS)


def test_a_photo_that_changes_meanwhile_is_a_conflict(engine: Engine, photos: Path, tmp_path: Path) -> None:
    """A file that was a photo when it was first read, and is none later, ends the run."""
    moving = tmp_path / "moving.png"
    moving.write_bytes((photos / "obama_2.png").read_bytes())

    def ruin(_step: str, done: int, of: int) -> None:
        if done == of:
            moving.write_bytes(b"gone")

    progress: Progress = ruin
    with pytest.raises(Conflict, match=r"moving\.png"):
        robustness(engine, [(photos / "obama_1.png", moving)], [], SETTINGS, progress=progress)


def test_progress_tells_both_steps(
    engine: Engine, mated: list[tuple[Path, Path]], non_mated: list[tuple[Path, Path]]
) -> None:
    """Each photo is counted once as it is, and each second one once more."""
    steps: list[tuple[str, int, int]] = []
    robustness(engine, mated, non_mated, SETTINGS, kinds=[kind("none", None)], progress=lambda *s: steps.append(s))
    assert steps == [("Photos", i + 1, 4) for i in range(4)] + [("Photos made worse", i + 1, 3) for i in range(3)]


# --- The verdict ------------------------------------------------------------------------------------------------------


def verdict(missed: list[int], refused: list[int], matched: list[int] | None = None) -> StrainLimit:
    """Return the verdict on levels of which so many of a hundred are missed, refused and falsely matched."""
    rates = [missed, refused, matched or [0] * len(missed)]
    strains = []
    for i, (m, r, f) in enumerate(zip(*rates, strict=True)):
        miss, refuse, false = (Rate(n, 100, n / 100, clopper_pearson(n, 100)) for n in (m, r, f))
        label = f"a blur of {i} px" if i else "as it is"
        strains.append(Strain("blur", float(i), "px", miss, false, refuse, refuse, label))
    return limit(KINDS[0], strains, 0.10)


@pytest.mark.parametrize(
    ("missed", "refused", "dont_search", "refused_from", "words"),
    [
        (
            [2, 4, 10, 10],
            [0, 0, 0, 50],
            None,
            None,
            "At no level more than 10 % of mated comparisons are missed; at most 10 % (95 %: 4.9 to 18 %), "
            "with a blur of 2 px.",
        ),
        (
            [0, 0, 0, 0],
            [0, 0, 0, 0],
            None,
            None,
            "At no level more than 10 % of mated comparisons are missed; at most 0 % (95 %: 0 to 3.6 %).",
        ),
        (
            [2, 4, 6, 8],
            [0, 0, 0, 51],
            None,
            3,
            "At no level more than 10 % of mated comparisons are missed; at most 8 % (95 %: 3.5 to 15 %), "
            "with a blur of 3 px. The quality filter AUTO refuses most photos with a blur of 3 px.",
        ),
        (
            [2, 4, 23, 90],
            [0, 51, 80, 100],
            2,
            1,
            "From a blur of 2 px on, 23 % (95 %: 15 to 32 %) of mated comparisons are missed: don't search. "
            "The quality filter AUTO refuses most photos from a blur of 1 px on.",
        ),
        (
            [2, 11, 23, 90],
            [0, 0, 60, 100],
            1,
            2,
            "From a blur of 1 px on, 11 % (95 %: 5.6 to 19 %) of mated comparisons are missed: don't search. "
            "The quality filter AUTO refuses most photos from a blur of 2 px on; milder damage it lets pass.",
        ),
        (
            [2, 50, 4, 90],
            [0, 90, 4, 90],
            1,
            1,
            "With a blur of 1 px, though not at every level beyond, 50 % (95 %: 40 to 60 %) of mated comparisons are "
            "missed: don't search. The quality filter AUTO refuses most photos with a blur of 1 px, though not at "
            "every level beyond.",
        ),
        (
            [12, 14, 20, 30],
            [60, 70, 70, 80],
            0,
            0,
            "Of photos as they are, 12 % (95 %: 6.4 to 20 %) of mated comparisons are missed already: no level can be "
            "judged. The quality filter AUTO refuses most photos as they are.",
        ),
    ],
)
def test_the_verdict_says_where_to_stop_and_whether_the_filter_sees_it(
    missed: list[int], refused: list[int], dont_search: float | None, refused_from: float | None, words: str
) -> None:
    """First level with too many misses, first with most refused, and both in plain words."""
    found = verdict(missed, refused)
    assert (found.dont_search, found.refused_from) == (dont_search, refused_from)
    assert found.words == words


def test_the_verdict_says_when_different_people_look_alike() -> None:
    """More false matches than chance explains are told; a few are not."""
    assert "False matches" not in verdict([0, 0], [0, 0], [1, 5]).words
    told = verdict([0, 0, 0], [0, 0, 0], [0, 3, 30]).words
    assert told.endswith("False matches rise: 30 % (95 %: 21 to 40 %) of non-mated comparisons, with a blur of 2 px.")


def test_figures_are_of_their_own_kind(engine: Engine, mated: list[tuple[Path, Path]]) -> None:
    """Robustness names itself, so that it is read again as what it is."""
    found = robustness(engine, mated, [], SETTINGS, kinds=[kind("none", None)])
    assert isinstance(found, Robustness)
    assert found.kind == "robustness"
    assert found.strains[0].false_non_match.interval == Interval(0.0, clopper_pearson(0, 2).high)
