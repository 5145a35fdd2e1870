# SPDX-License-Identifier: Apache-2.0
"""Engines are opened once, and a pack that isn't there is this server's trouble rather than the caller's."""

from __future__ import annotations

import pytest

from custodes.errors import CustodesError, IntegrityError, Invalid, NotFound, Unavailable
from custodes.operations.engines import Engines


class _Engine:
    """Stands for an engine."""


class _House:
    """Stands for what is installed: packs are their versions, and an engine needs its networks.

    Attributes:
        packs: the version of each.
        opened: what was opened, in order.
        broken: raised when a pack is read.
        absent: raised when an engine is opened.
    """

    def __init__(self, **packs: str) -> None:
        self.packs = packs
        self.opened: list[str] = []
        self.broken: CustodesError | None = None
        self.absent: CustodesError | None = None

    def open_pack(self, pack: str) -> str:
        """Read a pack."""
        self.opened.append(f"pack {pack}")
        if self.broken is not None:
            raise self.broken
        if pack not in self.packs:
            raise NotFound("There is no model pack.")
        return self.packs[pack]

    def open_engine(self, pack: str) -> _Engine:
        """Open an engine."""
        self.opened.append(f"engine {pack}")
        if self.absent is not None:
            raise self.absent
        return _Engine()

    def engines(self) -> Engines:
        """Return engines of which the pack ``one`` is that of new collections."""
        return Engines("one", self.open_pack, self.open_engine, lambda pack: f"runs {pack}")  # type: ignore[arg-type,return-value]


def test_an_engine_is_opened_once_for_its_pack() -> None:
    """Two packs have two engines, asked for as often as may be."""
    house = _House(one="1", two="2")
    engines = house.engines()
    assert engines.of("one") is engines.default
    assert engines.of("two") is engines.of("two")
    assert house.opened == ["pack one", "engine 1", "pack two", "engine 2"]


def test_what_runs_is_told_without_opening_it() -> None:
    """A fingerprint needs no network; it is made once, and that of the default pack if none is named."""
    house = _House(one="1", two="2")
    engines = house.engines()
    assert (engines.fingerprint(""), engines.fingerprint("one"), engines.fingerprint("two")) == (
        "runs 1",
        "runs 1",
        "runs 2",
    )
    assert house.opened == ["pack one", "pack two"]


def test_what_is_told_is_what_runs() -> None:
    """A pack whose files change while its networks run stays what it was, until it is opened anew."""
    house = _House(one="1", two="1")
    engines = house.engines()
    assert isinstance(engines.default, _Engine)
    assert engines.fingerprint("two") == "runs 1"
    house.packs = {"one": "2", "two": "2"}
    assert engines.fingerprint("one") == "runs 1"
    assert isinstance(engines.of("two"), _Engine)
    assert engines.fingerprint("two") == "runs 1"
    assert house.opened == ["pack one", "engine 1", "pack two", "engine 1"]
    assert house.engines().fingerprint("") == "runs 2"


def test_a_pack_that_is_mended_is_read_anew() -> None:
    """An engine that can't be opened leaves nothing behind by which its successor would be told."""
    house = _House(one="1")
    house.absent = IntegrityError("Another hash was expected.")
    engines = house.engines()
    assert engines.fingerprint("") == "runs 1"
    with pytest.raises(IntegrityError):
        engines.of("one")
    house.absent, house.packs = None, {"one": "2"}
    assert isinstance(engines.default, _Engine)
    assert engines.fingerprint("") == "runs 2"


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (NotFound("There is no model pack."), Unavailable),
        (Invalid("The manifest has no version."), Unavailable),
        (IntegrityError("Another hash was expected."), IntegrityError),
    ],
)
def test_a_pack_that_can_not_be_opened_is_the_servers_trouble(
    error: CustodesError, raised: type[CustodesError]
) -> None:
    """Who searches a collection can't help it that its pack is gone; what was wrong is the cause, for the log."""
    house = _House(gone="1")
    house.broken = error
    engines = house.engines()
    for ask in (engines.of, engines.fingerprint):
        with pytest.raises(raised) as e:
            ask("gone")
        assert error in (e.value, e.value.__cause__)
    house.broken, house.absent = None, error
    with pytest.raises(raised) as e:
        engines.of("gone")
    assert error in (e.value, e.value.__cause__)


def test_a_pack_that_comes_later_is_found() -> None:
    """A failure isn't remembered."""
    house = _House()
    engines = house.engines()
    with pytest.raises(Unavailable, match="late"):
        engines.of("late")
    with pytest.raises(Unavailable, match="late"):
        engines.fingerprint("late")
    house.packs = {"late": "1"}
    assert isinstance(engines.of("late"), _Engine)
    assert engines.fingerprint("late") == "runs 1"
