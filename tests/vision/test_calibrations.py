# SPDX-License-Identifier: Apache-2.0
"""Local calibrations: kept whole, put in force, and refused where they would be easier than the pack's own."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custodes.config import Config
from custodes.errors import IntegrityError, Invalid, NotFound, Unavailable
from custodes.vision import calibrations
from custodes.vision import manifest as manifests
from custodes.vision.calibrations import read_local, remove_local, write_local
from custodes.vision.manifest import Calibration, Knot, Manifest
from custodes.vision.pack import list_packs, open_pack


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(data=tmp_path / "data", cache=tmp_path / "cache")


def shipped() -> Manifest:
    return manifests.read(Path(manifests.__file__).parent / "packs" / "custodes-1")


def own() -> Calibration:
    calibration = shipped().calibration
    assert calibration is not None
    return calibration


def shifted(by: float, similarity: float = 80.0) -> Calibration:
    """The pack's own map with one knot moved."""
    base = own()
    return Calibration(
        tuple(replace(k, cosine=k.cosine + by) if k.similarity == similarity else k for k in base.knots),
        'measured "here", on Zoë\'s photos \\ \U0001f600',
    )


def kept(config: Config) -> Path:
    return config.data / "calibrations" / "custodes-1.json"


def test_without_a_local_map_the_packs_own_is_in_force(config: Config) -> None:
    """Nothing is made by looking."""
    pack = open_pack(config, "custodes-1")
    assert not pack.is_local
    assert pack.calibration == own()
    assert read_local(config, shipped()) is None
    assert not config.data.exists()


def test_a_local_map_is_put_in_force_and_taken_away(config: Config) -> None:
    """Packs that are opened afterwards have it, bit for bit; the manifest keeps the pack's own."""
    local = shifted(0.02)
    before = open_pack(config, "custodes-1")
    write_local(config, shipped(), local)
    pack = open_pack(config, "custodes-1")
    assert pack.is_local
    assert pack.calibration == read_local(config, shipped()) == local
    assert pack.cosine(80) == local.knots[4].cosine > before.cosine(80)
    assert pack.similarity(0.43) < 80 <= before.similarity(0.43)
    assert pack.manifest.calibration == own()
    assert list_packs(config)[0].calibration == own()
    remove_local(config, "custodes-1")
    assert not open_pack(config, "custodes-1").is_local
    with pytest.raises(NotFound, match="custodes-1"):
        remove_local(config, "custodes-1")


def test_a_later_map_takes_the_place_of_an_earlier_one(config: Config) -> None:
    """The file is whole, private, and the only one in its folder."""
    write_local(config, shipped(), shifted(0.02))
    write_local(config, shipped(), shifted(0.03))
    assert read_local(config, shipped()) == shifted(0.03)
    assert [p.name for p in kept(config).parent.iterdir()] == ["custodes-1.json"]
    assert kept(config).stat().st_mode & 0o777 == 0o600
    assert kept(config).parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("similarity", [10.0, 80.0, 99.0])
def test_a_map_that_is_easier_anywhere_is_never_written(config: Config, similarity: float) -> None:
    """One knot a little lower is enough."""
    with pytest.raises(Invalid, match="can only be stricter"):
        write_local(config, shipped(), shifted(-0.001, similarity))
    assert not kept(config).exists()


def _changed(**values: object) -> Callable[[dict[str, object]], object]:
    return lambda told: told | values


def _cosine(value: object) -> Callable[[dict[str, object]], object]:
    def change(told: dict[str, object]) -> object:
        told["calibration"]["knots"][4]["cosine"] = value  # type: ignore[index]
        return told

    return change


DAMAGED: dict[str, tuple[Callable[[dict[str, object]], object], str]] = {
    "another embedder": (_changed(embedder="0" * 64), "Expected embedder"),
    "another pack": (_changed(pack="mine"), "Expected pack custodes-1, got 'mine'"),
    "another form": (_changed(form="custodes-calibration/2"), "Expected form"),
    "a key more": (_changed(more=1), "and no others"),
    "a key less": (lambda told: {k: v for k, v in told.items() if k != "pack"}, "must have the keys"),
    "no object": (lambda told: [told], "must have the keys"),
    "no calibration": (_changed(calibration=None), "calibration must be a table"),
    "no knots": (_changed(calibration={"measured_on": "x", "knots": []}), "at least two knots"),
    "easier": (_cosine(0.42), "can only be stricter"),
    "falling": (_cosine(0.9), "rises"),
    "a text": (_cosine("0.43"), "must be a number"),
    "out of range": (_cosine(1.5), "must be a number"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_map_is_refused_and_not_passed_over(config: Config, case: str) -> None:
    """The pack doesn't open: its own map would let more through than the operator meant."""
    change, word = DAMAGED[case]
    write_local(config, shipped(), shifted(0.02))
    kept(config).write_text(json.dumps(change(json.loads(kept(config).read_text()))))
    with pytest.raises(IntegrityError, match=word) as caught:
        open_pack(config, "custodes-1")
    assert "custodes calibrate" in caught.value.remedy
    assert "custodes-1" in [m.id for m in list_packs(config)]


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"form": NaN}', b" " * 300_000])
def test_what_is_no_map_at_all_is_refused(config: Config, raw: bytes) -> None:
    """Cut short, no text, nested without end, too long: a typed error."""
    kept(config).parent.mkdir(parents=True)
    kept(config).write_bytes(raw)
    with pytest.raises(IntegrityError, match="can't be used"):
        open_pack(config, "custodes-1")


def test_a_map_that_cannot_be_read_or_written_is_told(config: Config) -> None:
    """A folder in its place, or a file in the folder's, is no reason to go on without it."""
    kept(config).mkdir(parents=True)
    with pytest.raises(Unavailable, match="can't be read"):
        open_pack(config, "custodes-1")
    with pytest.raises(Unavailable, match="can't be written"):
        write_local(config, shipped(), shifted(0.02))
    with pytest.raises(Unavailable, match="can't be taken away"):
        remove_local(config, "custodes-1")
    assert [p.name for p in kept(config).parent.iterdir()] == ["custodes-1.json"]


@pytest.mark.parametrize("name", ["nothing", "../custodes-1", "", "a/b", "A"])
def test_only_a_packs_map_is_taken_away(config: Config, name: str) -> None:
    """A name that is no pack's reaches no file."""
    (config.data / "calibrations").mkdir(parents=True)
    (config.data / "custodes-1.json").write_text("precious")
    with pytest.raises(NotFound):
        remove_local(config, name)
    assert (config.data / "custodes-1.json").exists()


def test_a_pack_without_an_embedder_has_no_map(config: Config) -> None:
    """There is nothing that a map could be stricter than."""
    bare = replace(shipped(), models=(), calibration=None)
    with pytest.raises(Invalid, match="no embedder"):
        write_local(config, bare, own())
    assert read_local(config, bare) is None


_COSINES = st.lists(st.floats(-0.99, 0.99), min_size=3, max_size=3, unique=True).map(sorted)


def _map(cosines: list[float]) -> Calibration:
    inner = [Knot(c, s) for c, s in zip(cosines, (50.0, 80.0, 99.0), strict=True)]
    return Calibration((Knot(-1.0, 0.0), *inner, Knot(1.0, 100.0)), "")


@given(_COSINES, _COSINES, st.floats(0, 100))
def test_easier_is_found_wherever_it_is(one: list[float], other: list[float], similarity: float) -> None:
    """A map passes as strict exactly if none of its knots lies lower, and then needs no lower cosine anywhere."""
    first, second = _map(one), _map(other)
    at = first.easier_at(second)
    if all(a >= b for a, b in zip(one, other, strict=True)):
        assert at is None
        assert first.cosine(similarity) >= second.cosine(similarity)
    elif any(a < b - 1e-6 for a, b in zip(one, other, strict=True)):
        assert at is not None
        assert first.similarity(at) > second.similarity(at)


def test_maps_with_other_knots_are_compared_too() -> None:
    """A map that dips between the base's knots is easier, though it has none of them lower."""
    base = _map([0.3, 0.4, 0.5])
    dip = Calibration((*base.knots[:2], Knot(0.35, 70.0), *base.knots[2:]), "")
    assert dip.easier_at(base) == 0.35
    bow = Calibration((*base.knots[:2], Knot(0.35, 60.0), *base.knots[2:]), "")
    assert bow.easier_at(base) is None
    assert all(b.cosine > a.cosine for a, b in itertools.pairwise(bow.knots))
    assert calibrations.FORM == "custodes-calibration/1"
