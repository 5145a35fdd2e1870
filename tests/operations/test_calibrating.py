# SPDX-License-Identifier: Apache-2.0
"""Calibrating on local photos: measured, put in force where it is stricter, taken away, and each an entry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.operations.conftest import ME, World

from custodes.errors import Denied, IntegrityError, Invalid, NotFound
from custodes.evaluation.calibration import Local, Measured
from custodes.evaluation.results import Settings
from custodes.operations import calibrating

FAST = Settings(99.0, rounds=100)


@pytest.fixture
def table(tmp_path: Path, photos: dict[str, bytes]) -> Path:
    """Three photos of two people."""
    for name in ("obama_1", "obama_2", "biden"):
        (tmp_path / f"{name}.jpg").write_bytes(photos[name])
    path = tmp_path / "photos.csv"
    path.write_text("image,subject\nobama_1.jpg,b\nobama_2.jpg,b\nbiden.jpg,j\n")
    return path


def test_too_few_photos_measure_and_change_nothing(world: World, table: Path) -> None:
    """Rates are told with their intervals; what the data can't carry is said, and the pack's map stays."""
    found = world.app.calibration.calibrate(ME, table, table.parent, FAST)
    assert (found.measured.count, found.applied) == (2, False)
    assert [s.similarity for s in found.measured.stated if s.similarity in (80, 99)] == [80, 99]
    assert all(k.cosine is None and "not enough data" in k.note for k in found.measured.local)
    assert world.entry(found.entry)["evaluation_kind"] == "calibration"
    assert not world.app.calibration.calibrate(ME, table, table.parent, FAST, apply=True).applied
    assert not (world.config.data / "calibrations").exists()


def test_a_stricter_map_is_put_in_force_and_taken_away(
    world: World, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are entries and alarms; in force from the next start; the fingerprint, and so the gate, see it."""

    def harsh(scores: np.ndarray, base: calibrating.Calibration, **_: object) -> Measured:
        return Measured(base, len(scores), (), (Local(99.0, 0.00001, 0.55),))

    monkeypatch.setattr(calibrating, "measured", harsh)
    before = world.app.engines.fingerprint("")
    assert world.app.calibration.calibrate(ME, table, table.parent, FAST, apply=True).applied
    assert world.app.oversight.alarms()[0].kind == "calibration"
    world.reopen()
    assert world.app.engines.default.pack.cosine(99.0) == 0.55
    assert world.app.engines.fingerprint("") != before
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


def test_only_the_operator_changes_the_scale(world: World, table: Path) -> None:
    """Whoever else asks is refused before anything is measured, and nothing is written."""
    with pytest.raises(Denied):
        world.app.calibration.calibrate(world.officer, table, table.parent, FAST, apply=True)
    with pytest.raises(Denied):
        world.app.calibration.remove(world.rescuer)


def test_data_that_allow_for_no_map_say_why(world: World, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rates are told all the same; to put a map in force is refused."""

    def hopeless(scores: np.ndarray, base: calibrating.Calibration, **_: object) -> Measured:
        return Measured(base, len(scores), (), (Local(99.0, 0.00001, 1.0),))

    monkeypatch.setattr(calibrating, "measured", hopeless)
    found = world.app.calibration.calibrate(ME, table, table.parent, FAST)
    assert found.stricter is None
    assert "no map rises" in found.why
    with pytest.raises(Invalid, match="no map"):
        world.app.calibration.calibrate(ME, table, table.parent, FAST, apply=True)
