# SPDX-License-Identifier: Apache-2.0
"""Calibrating on local photos: measured, put in force where it is stricter, taken away, and each an entry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.operations.conftest import ME, World, open_world

from custodes.errors import Denied, IntegrityError, Invalid, NotFound
from custodes.evaluation.calibration import Local, Measured, Stated
from custodes.evaluation.results import Interval, Rate, Settings
from custodes.operations import calibrating
from custodes.operations.calibrating import Promise, calibrate_alone, promise_of

FAST = Settings(99.0, rounds=100)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An installation that the tests share which change nothing of it."""
    made = open_world(tmp_path_factory.mktemp("lab") / "data")
    yield made
    made.app.close()


@pytest.fixture
def table(tmp_path: Path, photos: dict[str, bytes]) -> Path:
    """Three photos of two people."""
    for name in ("obama_1", "obama_2", "biden"):
        (tmp_path / f"{name}.jpg").write_bytes(photos[name])
    path = tmp_path / "photos.csv"
    path.write_text("image,subject\nobama_1.jpg,b\nobama_2.jpg,b\nbiden.jpg,j\n")
    return path


def test_too_few_photos_measure_and_change_nothing(lab: World, table: Path) -> None:
    """Rates are told with their intervals; what the data can't carry is said, and the pack's map stays."""
    found = lab.app.calibration.calibrate(ME, table, table.parent, FAST)
    assert (found.measured.count, found.applied) == (2, False)
    assert [s.similarity for s in found.measured.stated if s.similarity in (80, 99)] == [80, 99]
    assert all(k.cosine is None and "not enough data" in k.note for k in found.measured.local)
    assert lab.entry(found.entry)["evaluation_kind"] == "calibration"
    assert found.rises == ()
    assert not lab.app.calibration.apply(ME, found).applied
    assert not (lab.config.data / "calibrations").exists()


def test_a_stricter_map_is_put_in_force_and_taken_away(
    world: World, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are entries and alarms; in force from the next start; the fingerprint, and so the gate, see it."""

    def harsh(scores: np.ndarray, base: calibrating.Calibration, **_: object) -> Measured:
        return Measured(base, len(scores), (), (Local(99.0, 0.00001, 0.55),))

    monkeypatch.setattr(calibrating, "measured", harsh)
    before = world.app.engines.fingerprint("")
    found = world.app.calibration.calibrate(ME, table, table.parent, FAST)
    assert [(r.similarity, r.before, r.after) for r in found.rises] == [(99.0, 0.4828, 0.55)]
    assert (found.is_local, found.applied) == (False, False)
    assert world.app.engines.fingerprint("") == before
    assert world.app.calibration.apply(ME, found).applied
    assert world.app.oversight.alarms()[0].kind == "calibration"
    world.reopen()
    assert world.app.engines.default.pack.cosine(99.0) == 0.55
    assert world.app.engines.fingerprint("") != before
    assert world.app.calibration.calibrate(ME, table, table.parent, FAST).is_local
    manifest = world.app.packs.get("custodes-1")
    local = world.app.packs.local(manifest)
    assert local is not None
    assert local.cosine(99.0) == 0.55
    assert not world.app.evaluations.gate(world.officer).current
    world.app.calibration.remove(ME)
    assert "calibration-removed" in [world.entry(-k).get("change") for k in (1, 2, 3)]
    world.reopen()
    assert world.app.engines.fingerprint("") == before
    with pytest.raises(NotFound):
        world.app.calibration.remove(ME)


def test_a_damaged_map_stops_the_engine_and_can_be_taken_away(world: World, table: Path) -> None:
    """Nothing falls back to an easier map in silence."""
    folder = world.config.data / "calibrations"
    folder.mkdir()
    (folder / "custodes-1.json").write_text("{}")
    world.reopen()
    with pytest.raises(IntegrityError, match="local calibration"):
        world.app.calibration.calibrate(ME, table, table.parent, FAST)
    world.app.calibration.remove(ME)
    world.reopen()
    assert world.app.calibration.calibrate(ME, table, table.parent, FAST).measured.count == 2


def test_only_the_operator_changes_the_scale(lab: World, table: Path) -> None:
    """Whoever else asks is refused, before anything is measured and after, and nothing is written."""
    with pytest.raises(Denied):
        lab.app.calibration.check(lab.officer)
    found = lab.app.calibration.calibrate(ME, table, table.parent, FAST)
    with pytest.raises(Denied):
        lab.app.calibration.apply(lab.officer, found)
    with pytest.raises(Denied):
        lab.app.calibration.remove(lab.rescuer)


def test_data_that_allow_for_no_map_say_why(lab: World, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rates are told all the same; to put a map in force is refused."""

    def hopeless(scores: np.ndarray, base: calibrating.Calibration, **_: object) -> Measured:
        return Measured(base, len(scores), (), (Local(99.0, 0.00001, 1.0),))

    monkeypatch.setattr(calibrating, "measured", hopeless)
    found = lab.app.calibration.calibrate(ME, table, table.parent, FAST)
    assert found.stricter is None
    assert "no map rises" in found.why
    with pytest.raises(Invalid, match="no map"):
        lab.app.calibration.apply(ME, found)


@pytest.mark.parametrize(
    ("events", "trials", "interval", "promise"),
    [
        (50, 1_000_000, (3.7e-5, 6.6e-5), Promise.KEPT),
        (160, 1_000_000, (1.3e-4, 1.9e-4), Promise.BROKEN),
        (12, 100_000, (0.6e-4, 2.1e-4), Promise.PERHAPS_BROKEN),
        (8, 100_000, (0.3e-4, 1.6e-4), Promise.PERHAPS_KEPT),
        (0, 29_000, (0.0, 1.3e-4), Promise.UNTOLD),
        (4, 25_000, (0.4e-4, 4.1e-4), Promise.PERHAPS_BROKEN),
        (0, 5, None, Promise.UNTOLD),
    ],
)
def test_a_promise_is_kept_or_broken_where_the_whole_interval_says_so(
    events: int, trials: int, interval: tuple[float, float] | None, promise: Promise
) -> None:
    """Otherwise data tell that more or fewer passed, and that they are too few; or nothing, by the rule of 3."""
    rate = Rate(events, trials, events / trials, None if interval is None else Interval(*interval))
    assert promise_of(Stated(80.0, 0.4265, 1e-4, rate)) == promise


def test_a_rise_that_may_be_chance_is_left_out(lab: World, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A knot moves only where the lower end of the interval lies above what the pack promises."""

    def close(scores: np.ndarray, base: calibrating.Calibration, **_: object) -> Measured:
        unsure = Rate(33, 300_000, 1.1e-4, Interval(0.7e-4, 1.6e-4))
        sure = Rate(90, 3_000_000, 3e-5, Interval(2.4e-5, 3.7e-5))
        stated = (Stated(80.0, 0.4265, 1e-4, unsure), Stated(99.0, 0.4828, 1e-5, sure))
        return Measured(base, 3_000_000, stated, (Local(80.0, 1e-4, 0.43), Local(99.0, 1e-5, 0.5)))

    monkeypatch.setattr(calibrating, "measured", close)
    found = lab.app.calibration.calibrate(ME, table, table.parent, FAST)
    assert found.left == (80.0,)
    assert [(r.similarity, r.after) for r in found.rises] == [(99.0, 0.5)]


def test_without_an_installation_nothing_is_kept(lab: World, table: Path, tmp_path: Path) -> None:
    """The same figures, no entry, no folder."""
    config = replace(lab.config, data=tmp_path / "none")
    found = calibrate_alone(config, table, table.parent, FAST)
    assert (found.measured.count, found.entry) == (2, None)
    assert not (tmp_path / "none").exists()
