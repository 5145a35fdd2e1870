# SPDX-License-Identifier: Apache-2.0
"""Engines are opened once, and a pack that isn't there is this server's trouble rather than the caller's."""

from __future__ import annotations

import pytest

from custodes.errors import CustodesError, IntegrityError, Invalid, NotFound, Unavailable
from custodes.operations.engines import Engines


class _Engine:
    """Stands for an engine."""


def test_an_engine_is_opened_once_for_its_pack() -> None:
    """Two packs have two engines, asked for as often as may be."""
    opened: list[str] = []

    def open_engine(pack: str) -> _Engine:
        opened.append(pack)
        return _Engine()

    engines = Engines("one", open_engine)  # type: ignore[arg-type]
    assert engines.of("one") is engines.default
    assert engines.of("two") is engines.of("two")
    assert opened == ["one", "two"]


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

    def open_engine(_: str) -> _Engine:
        raise error

    engines = Engines("gone", open_engine)  # type: ignore[arg-type]
    with pytest.raises(raised) as e:
        engines.of("gone")
    assert error in (e.value, e.value.__cause__)


def test_a_pack_that_comes_later_is_found() -> None:
    """A failure isn't remembered."""
    there: list[str] = []

    def open_engine(pack: str) -> _Engine:
        if pack not in there:
            raise NotFound("There is no model pack.")
        return _Engine()

    engines = Engines("late", open_engine)  # type: ignore[arg-type]
    with pytest.raises(Unavailable, match="late"):
        engines.of("late")
    there.append("late")
    assert isinstance(engines.of("late"), _Engine)
