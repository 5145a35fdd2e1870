# SPDX-License-Identifier: Apache-2.0
"""Where a log's tiles and entry bundles are, and how entries lie in a bundle (https://c2sp.org/tlog-tiles).

A tile holds up to 256 consecutive hashes of one level; level *l* counts in steps of eight: its hashes are the roots of
complete subtrees of 256**l entries. Only the last tile of a level may hold fewer, and says so in its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from custodes.errors import IntegrityError, Invalid

__all__ = [
    "CHECKPOINT",
    "MAX_ENTRY",
    "VKEY",
    "WIDTH",
    "Resource",
    "decode_bundle",
    "encode_bundle",
    "entries_path",
    "parse_path",
    "resources",
    "tile_path",
]

WIDTH = 256
"""Hashes of a full tile, and entries of a full bundle."""

MAX_ENTRY = 65_535
"""Bytes of the longest entry: its length is written as a uint16."""

CHECKPOINT = "checkpoint"
VKEY = "vkey"
_MAX_LEVEL = 63
_MAX_TILE = 1 << 56  # a log has fewer than 2**63 entries
_PATH = re.compile(
    r"tile/(?:(?P<level>0|[1-9][0-9]?)|entries)/(?P<n>(?:x[0-9]{3}/)*[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


class Resource(NamedTuple):
    """One file of a log.

    Attributes:
        level: the tile's level, or None for a bundle of entries.
        n: its place in its level.
        width: how many hashes or entries it holds.
    """

    level: int | None
    n: int
    width: int

    @property
    def path(self) -> str:
        """Its path below the log's prefix."""
        return entries_path(self.n, self.width) if self.level is None else tile_path(self.level, self.n, self.width)

    @property
    def full_path(self) -> str:
        """The path of the full tile or bundle that takes its place one day."""
        return self._replace(width=WIDTH).path


def _number(n: int, width: int) -> str:
    if not 1 <= width <= WIDTH or not 0 <= n < _MAX_TILE:
        raise Invalid(f"A tile has a number from 0 and 1 to {WIDTH} hashes, got tile {n} with {width}.")
    text = f"{n % 1000:03d}"
    while n := n // 1000:
        text = f"x{n % 1000:03d}/{text}"
    return text if width == WIDTH else f"{text}.p/{width}"


def tile_path(level: int, n: int, width: int = WIDTH) -> str:
    """Return the path of a tile of hashes.

    Raises:
        Invalid: if a number is out of range.
    """
    if not 0 <= level <= _MAX_LEVEL:
        raise Invalid(f"A tile's level lies in 0..{_MAX_LEVEL}, got {level}.")
    return f"tile/{level}/{_number(n, width)}"


def entries_path(n: int, width: int = WIDTH) -> str:
    """Return the path of a bundle of entries.

    Raises:
        Invalid: if a number is out of range.
    """
    return f"tile/entries/{_number(n, width)}"


def parse_path(path: str) -> Resource:
    """Read a path; each resource has exactly one.

    Raises:
        Invalid: if it is no tile's or bundle's path.
    """
    found = _PATH.fullmatch(path) if len(path) < 64 else None
    if found:
        level = found["level"] and int(found["level"])
        n = int(found["n"].replace("x", "").replace("/", ""))
        resource = Resource(None if level is None else int(level), n, int(found["width"] or WIDTH))
        known = resource.width < WIDTH or not found["width"]
        if known and n < _MAX_TILE and (level or 0) <= _MAX_LEVEL and resource.path == path:
            return resource
    raise Invalid("The path must be tile/LEVEL/N, tile/entries/N, or one of these with .p/WIDTH.")


def resources(size: int) -> Iterator[Resource]:
    """List all files of a log of this size but its checkpoint: level by level, of each the full ones first.

    A bundle of entries follows the tile that holds its hashes.
    """
    level, count = 0, size
    while count:
        for n in range(-(-count // WIDTH)):
            tile = Resource(level, n, min(WIDTH, count - n * WIDTH))
            yield tile
            if level == 0:
                yield tile._replace(level=None)
        level, count = level + 1, count // WIDTH


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Write entries one after the other, each behind its length as a big-endian uint16.

    Raises:
        Invalid: if an entry is too long.
    """
    if any(len(e) > MAX_ENTRY for e in entries):
        raise Invalid(f"An entry has at most {MAX_ENTRY} bytes.")
    return b"".join([part for e in entries for part in (len(e).to_bytes(2, "big"), e)])


def decode_bundle(data: bytes, count: int) -> list[bytes]:
    """Read exactly ``count`` entries.

    Raises:
        IntegrityError: if the bytes end early, or go on.
    """
    entries, at, end = [], 0, len(data)
    for i in range(count):
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        if start > end or at > end:
            raise IntegrityError(f"A bundle of {count} entries ends within entry {i} of it, after {end} bytes.")
        entries.append(data[start:at])
    if at != end:
        raise IntegrityError(f"A bundle of {count} entries should have {at} bytes, got {end}.")
    return entries
