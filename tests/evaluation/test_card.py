# SPDX-License-Identifier: Apache-2.0
"""Every network that ships has a card that says what is known of it, and a pack without one says that it has none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import custodes.vision
from custodes.errors import Invalid
from custodes.evaluation.card import CARD, SILENCE, card_of
from custodes.vision import pack as packs
from custodes.vision.manifest import Manifest, read

BUNDLED = Path(custodes.vision.__file__).parent / "packs" / "custodes-1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A pack's folder with the manifest of the bundled one, and no card."""
    shutil.copyfile(BUNDLED / "manifest.toml", tmp_path / "manifest.toml")
    return tmp_path


def manifest(folder: Path) -> Manifest:
    return read(folder)


def test_every_network_that_ships_has_an_entry() -> None:
    """No network of the bundled pack goes without what is known of its training data, its limits and sources."""
    card = card_of(manifest(BUNDLED))
    assert card.stated
    assert {n.role for n in card.networks} == {m.role for m in manifest(BUNDLED).models}
    assert all(n.training != SILENCE and n.limits and n.sources and n.does for n in card.networks)
    assert card.intended
    assert card.out_of_scope
    assert "no liveness model" in card.liveness
    assert "measured by Custodes' makers" in card.about


def test_the_card_states_what_is_uncomfortable() -> None:
    """That the embedder's photos aren't known, where they may come from, and whom it errs with is said."""
    card = card_of(manifest(BUNDLED))
    training = next(n.training for n in card.networks if n.role == "embedder")
    assert "not known" in training
    assert "withdrew MS-Celeb-1M in 2019" in training
    assert any("2.6 times as frequent between women" in text for text in card.limits)
    assert any("77 % of them men" in text for text in card.limits)


def test_licence_and_hash_come_from_the_manifest() -> None:
    """A card can't contradict what is checked: licences, origins and hashes stand in the manifest alone."""
    bundled = manifest(BUNDLED)
    card = card_of(bundled)
    for network, spec in zip(card.networks, bundled.models, strict=True):
        assert (network.licence, network.origin, network.sha256) == (spec.licence, spec.origin, spec.sha256)
    assert card.knots == bundled.calibration.knots if bundled.calibration else False
    assert card.measured_on


def test_a_pack_without_a_card_says_that_it_has_none(folder: Path) -> None:
    """What nobody states isn't made up: the manifest is told, and that its makers say nothing."""
    card = card_of(manifest(folder))
    assert not card.stated
    assert all(n.training == SILENCE for n in card.networks)
    assert card.limits == card.intended == ()


def test_what_is_inherited_has_the_card_of_the_pack_that_brought_it(folder: Path) -> None:
    """A pack that extends another is told of by both cards, each of its own networks."""
    own = manifest(folder)
    embedder = own.spec("embedder")
    assert embedder is not None
    bare = Manifest(own.id, own.version, own.licence, own.description, "", (embedder,), own.thresholds, None, folder)
    card = card_of(bare.inherit(manifest(BUNDLED)))
    trained = {n.role: n.training for n in card.networks}
    assert trained["embedder"] == SILENCE
    assert "WIDER FACE" in trained["detector"]


def test_an_added_pack_keeps_its_card(tmp_path: Path) -> None:
    """What is copied to the data folder has the card beside the manifest."""
    copied = tmp_path / "copied"
    packs._copy(manifest(BUNDLED), copied)
    assert (copied / CARD).read_bytes() == (BUNDLED / CARD).read_bytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("about = ", "can't be read"),
        ("about = 'x'", "intended"),
        ("about = 1\nintended = []\nout_of_scope = []\nlimits = []\nliveness = 'x'", "about"),
        ("about = 'x'\nintended = []\nout_of_scope = []\nlimits = []\nliveness = 'x'\nlimitz = []", "limitz"),
        ("about = 'x'\nintended = 'x'\nout_of_scope = []\nlimits = []\nliveness = 'x'", "intended"),
        (
            "about = 'x'\nintended = []\nout_of_scope = []\nlimits = []\nliveness = 'x'\n"
            "[networks.embeder]\nname = 'x'\ndoes = 'x'\ntraining = 'x'",
            "embeder",
        ),
    ],
)
def test_a_card_is_read_strictly(folder: Path, text: str, message: str) -> None:
    """A misspelt key or role, a wrong type or a missing part is refused, by its name and without the server's path."""
    (folder / CARD).write_text(text)
    with pytest.raises(Invalid, match=message) as refused:
        card_of(manifest(folder))
    assert str(folder) not in refused.value.message


def test_a_card_of_megabytes_is_refused(folder: Path) -> None:
    """A file that is no card isn't read into memory."""
    (folder / CARD).write_text("#" * 300_000)
    with pytest.raises(Invalid, match="at most"):
        card_of(manifest(folder))
