# SPDX-License-Identifier: Apache-2.0
"""Paths and bundles, as tlog-tiles has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custodes.errors import IntegrityError, Invalid
from custodes.ledger.tiles import (
    MAX_ENTRY,
    Resource,
    decode_bundle,
    encode_bundle,
    entries_path,
    parse_path,
    resources,
    tile_path,
)


def test_paths_are_those_of_the_standard() -> None:
    """The standard's own example, and numbers around each group of digits."""
    assert tile_path(0, 1234067) == "tile/0/x001/x234/067"
    assert tile_path(3, 0, 1) == "tile/3/000.p/1"
    assert entries_path(1234067, 255) == "tile/entries/x001/x234/067.p/255"
    assert [tile_path(1, n) for n in (999, 1000, 999_999, 1_000_000)] == [
        "tile/1/999",
        "tile/1/x001/000",
        "tile/1/x999/999",
        "tile/1/x001/x000/000",
    ]


def test_a_log_has_the_files_that_the_standard_lists() -> None:
    """A tree of 70,000 entries has the tiles that the standard counts; an empty one has none."""
    tiles = [r for r in resources(70_000) if r.level is not None]
    assert len([t for t in tiles if t.level == 0 and t.width == 256]) == 273
    assert [t for t in tiles if t.width < 256] == [Resource(0, 273, 112), Resource(1, 1, 17), Resource(2, 0, 1)]
    assert [t for t in tiles if t.level == 1] == [Resource(1, 0, 256), Resource(1, 1, 17)]
    assert len([r for r in resources(70_000) if r.level is None]) == 274
    assert [r.path for r in resources(256)] == ["tile/0/000", "tile/entries/000", "tile/1/000.p/1"]
    assert list(resources(0)) == []


@given(st.one_of(st.none(), st.integers(0, 63)), st.integers(0, (1 << 56) - 1), st.integers(1, 256))
def test_paths_are_read_back(level: int | None, n: int, width: int) -> None:
    """Each file has one path, which leads back to it."""
    resource = Resource(level, n, width)
    assert parse_path(resource.path) == resource


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0/0",
        "tile/0/1000",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/x000/000",
        "tile/0/000/000",
        "tile/0/x001/00",
        "tile/0/001.p/0",
        "tile/0/001.p/256",
        "tile/0/001.p/01",
        "tile/0/001.p/",
        "tile/0/001.p/1/",
        "/tile/0/001",
        "tile/0/001\n",
        "tile/0/٠٠١",
        "tile/entries/../../etc/passwd",
        "tile/data/000",
        "tile/0/" + "x999/" * 6 + "999",
        "tile/0/" + "x999/" * 50_000 + "999",
    ],
)
def test_other_paths_are_refused(path: str) -> None:
    """Nothing but the one form is read."""
    with pytest.raises(Invalid):
        parse_path(path)


@pytest.mark.parametrize(("level", "n", "width"), [(64, 0, 1), (-1, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257)])
def test_tiles_that_cannot_be_have_no_path(level: int, n: int, width: int) -> None:
    """Numbers out of range are refused."""
    with pytest.raises(Invalid):
        tile_path(level, n, width)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=20))
def test_bundles_are_read_back(entries: list[bytes]) -> None:
    """Entries come back as they were, whatever they hold."""
    assert decode_bundle(encode_bundle(entries), len(entries)) == entries


def test_a_bundle_has_lengths_of_two_bytes() -> None:
    """Each entry stands behind its length, most significant byte first."""
    assert encode_bundle([b"ab", b"", bytes(258)]) == b"\x00\x02ab\x00\x00\x01\x02" + bytes(258)
    assert decode_bundle(encode_bundle([bytes(MAX_ENTRY)]), 1) == [bytes(MAX_ENTRY)]
    with pytest.raises(Invalid):
        encode_bundle([bytes(MAX_ENTRY + 1)])


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=8), st.data())
def test_a_bundle_that_was_cut_or_lengthened_is_refused(entries: list[bytes], data: st.DataObject) -> None:
    """A bundle holds exactly the entries that it should, and nothing behind them."""
    whole = encode_bundle(entries)
    cut = data.draw(st.integers(0, len(whole) - 1))
    for wrong, count in ((whole[:cut], len(entries)), (whole + b"\0", len(entries)), (whole, len(entries) + 1)):
        with pytest.raises(IntegrityError, match="bundle"):
            decode_bundle(wrong, count)
    if len(entries) > 1:
        with pytest.raises(IntegrityError, match="should have"):
            decode_bundle(whole, len(entries) - 1)
