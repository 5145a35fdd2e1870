# SPDX-License-Identifier: Apache-2.0
"""Lists of hashes by which images are known without anybody looking at them: exact ones, and perceptual ones.

Exact: MD5, SHA-1 or SHA-256 of a file, as hash-sharing programmes give them. Perceptual: PDQ, 256 bits, of which two
images are taken to be one if at most 31 differ (Facebook, "The TMK+PDQF Video-Hashing Algorithm and the PDQ
Image-Hashing Algorithm", 2019, threshold for its hashes of quality 50 and more).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import pdqhash
import sqlalchemy as sa

from custodes.casework.schema import hash_lists
from custodes.db import Vault
from custodes.db.sealing import Sealer, new_id, time_of, words
from custodes.domain import UInt8
from custodes.errors import Invalid, NotFound

__all__ = [
    "NEAR",
    "HashKind",
    "HashList",
    "HashLists",
    "KnownHashes",
    "distance",
    "parse_hashes",
    "perceptual_hash",
]

NEAR = 31
"""Most bits of 256 in which two PDQ hashes of one image differ."""
_LEAST_QUALITY = 50
_BITS = 256
_MOST = 5_000_000
_CHUNK = 1 << 18  # perceptual hashes that are compared at once
_HEX = re.compile(r"[0-9a-fA-F]+")
_HEADING = re.compile(r"[A-Za-z][A-Za-z0-9 _-]{0,30}")
_LENGTHS = {32: "md5", 40: "sha1", 64: "sha256"}


class HashKind(StrEnum):
    """What a list holds."""

    EXACT = "exact"
    PERCEPTUAL = "perceptual"


@dataclass(frozen=True, slots=True)
class HashList:
    """A list of hashes that an organisation has brought; ``name`` says whose it is and is kept sealed."""

    id: str
    organisation: str
    name: str
    kind: HashKind
    count: int
    added_at: datetime
    added_by: str


def perceptual_hash(pixels: UInt8) -> bytes:
    """Return the PDQ hash of a picture, 32 bytes; none if the picture is too plain for it to say anything.

    Args:
        pixels: ``(h, w, 3)`` uint8, RGB.
    """
    bits, quality = pdqhash.compute(np.ascontiguousarray(pixels))
    return np.packbits(np.asarray(bits, np.uint8)).tobytes() if quality >= _LEAST_QUALITY else b""


def distance(a: bytes, b: bytes) -> int:
    """Return in how many bits two PDQ hashes differ; 256 if one says nothing."""
    if not a or not b:
        return _BITS
    return (int.from_bytes(a) ^ int.from_bytes(b)).bit_count()


def parse_hashes(lines: Iterable[str], kind: HashKind) -> tuple[bytes, ...]:
    """Read a list: one hexadecimal hash a line, or in the first column of a CSV; ``#`` begins a comment.

    The first line may be a heading: a few words, shorter than any hash.

    Raises:
        Invalid: if a line holds something else (its number is told), there are too many, or none.
    """
    found: dict[bytes, None] = {}
    for number, line in enumerate(lines, 1):
        text = line.removeprefix("\ufeff").split(",", 1)[0].split(";", 1)[0].strip().strip('"')
        if not text or text.startswith("#") or (number == 1 and _is_heading(text)):
            continue
        long_enough = len(text) == _BITS // 4 if kind == HashKind.PERCEPTUAL else len(text) in _LENGTHS
        if not _HEX.fullmatch(text) or not long_enough:
            want = "64 (PDQ)" if kind == HashKind.PERCEPTUAL else "32 (MD5), 40 (SHA-1) or 64 (SHA-256)"
            raise Invalid(f"Line {number} of the list is no hash: it takes {want} hexadecimal digits.")
        found[bytes.fromhex(text)] = None
        if len(found) > _MOST:
            raise Invalid(f"A list has at most {_MOST} hashes.")
    if not found:
        raise Invalid("The list holds no hash.")
    return tuple(found)


def _is_heading(text: str) -> bool:
    return bool(_HEADING.fullmatch(text)) and not _HEX.fullmatch(text)


@dataclass(frozen=True, slots=True, eq=False)
class _Exact:
    """Hashes of one length, and which list each is of.

    Attributes:
        name: of the algorithm.
        values: ``(n,)`` bytes of one length, sorted.
        owners: ``(n,)`` int32, indexes of lists.
    """

    name: str
    values: npt.NDArray[np.bytes_]
    owners: npt.NDArray[np.int32]

    def find(self, data: bytes) -> int | None:
        """Return the index of the list that has the hash of these bytes."""
        digest = hashlib.new(self.name, data, usedforsecurity=False).digest()
        wanted = np.frombuffer(digest, self.values.dtype)
        at = int(np.searchsorted(self.values, wanted)[0])
        return int(self.owners[at]) if at < len(self.values) and self.values[at] == wanted[0] else None


class KnownHashes:
    """The lists of an organisation in memory, about as large as they are, ready to be asked.

    Args:
        lists: hashes by the list's id and kind.
    """

    def __init__(self, lists: Iterable[tuple[str, HashKind, Sequence[bytes]]] = ()) -> None:
        self._ids: list[str] = []
        by_length: dict[int, list[tuple[bytes, int]]] = {}
        near: list[tuple[bytes, int]] = []
        for owner, (id_, kind, hashes) in enumerate(lists):
            self._ids.append(id_)
            for length in sorted({len(h) for h in hashes}):
                packed = b"".join(h for h in hashes if len(h) == length)
                (near if kind == HashKind.PERCEPTUAL else by_length.setdefault(length, [])).append((packed, owner))
        self._exact = tuple(_exact(length, parts) for length, parts in sorted(by_length.items(), reverse=True))
        self._near = np.frombuffer(b"".join(p for p, _ in near), np.uint64).reshape(-1, _BITS // 64)
        self._near_owners = _owners(near, _BITS // 8)

    def __bool__(self) -> bool:
        return bool(self._ids)

    @property
    def near(self) -> bool:
        """Whether any list knows images by their looks."""
        return bool(len(self._near))

    def find_exact(self, data: bytes) -> str | None:
        """Return the id of the list that knows these bytes, or None."""
        for exact in self._exact:
            owner = exact.find(data)
            if owner is not None:
                return self._ids[owner]
        return None

    def find_near(self, perceptual: bytes) -> str | None:
        """Return the id of the list that knows an image by its looks, or None."""
        if not perceptual or not self.near:
            return None
        own = np.frombuffer(perceptual, np.uint64)
        best, owner = _BITS, -1
        for start in range(0, len(self._near), _CHUNK):
            differing = np.bitwise_count(self._near[start : start + _CHUNK] ^ own).sum(axis=1)
            least = int(differing.argmin())
            if differing[least] < best:
                best, owner = int(differing[least]), int(self._near_owners[start + least])
        return self._ids[owner] if best <= NEAR else None


def _owners(parts: Sequence[tuple[bytes, int]], length: int) -> npt.NDArray[np.int32]:
    return np.repeat(np.array([o for _, o in parts], np.int32), [len(p) // length for p, _ in parts])


def _exact(length: int, parts: Sequence[tuple[bytes, int]]) -> _Exact:
    values = np.frombuffer(b"".join(p for p, _ in parts), f"S{length}")
    order = np.argsort(values, kind="stable")
    return _Exact(_LENGTHS[2 * length], values[order], _owners(parts, length)[order])


class HashLists:
    """The store of hash lists; every method works in the transaction that it is given.

    Args:
        vault: seals them.
    """

    def __init__(self, vault: Vault) -> None:
        self._sealer = Sealer(vault)

    def add(
        self,
        c: sa.Connection,
        organisation: str,
        name: str,
        kind: HashKind,
        hashes: Sequence[bytes],
        by: str,
        now: datetime,
    ) -> HashList:
        """Keep a list.

        Raises:
            Invalid: if its name is too long or says nothing.
        """
        id_ = new_id("list")
        told = {"name": words(name, "A list's name", 200, empty=False)}
        packed = b"".join(bytes([len(h)]) + h for h in hashes)
        c.execute(
            sa.insert(hash_lists).values(
                id=id_,
                organisation=organisation,
                kind=str(kind),
                count=len(hashes),
                added_at=now.timestamp(),
                added_by=by,
                **self._sealer.seal_words(id_, told),
                **self._sealer.seal(id_, packed, "hashes"),
            )
        )
        return HashList(id_, organisation, told["name"], kind, len(hashes), now, by)

    def list(self, c: sa.Connection, organisation: str) -> tuple[HashList, ...]:
        """Read which lists an organisation has, the oldest first."""
        t = hash_lists.c
        query = sa.select(t.id, t.kind, t.count, t.added_at, t.added_by, t.secret, t.secret_key)
        rows = c.execute(query.where(t.organisation == organisation).order_by(t.added_at, t.id))
        return tuple(
            HashList(
                r.id,
                organisation,
                self._sealer.open_words(r.id, r.secret, r.secret_key)["name"],
                HashKind(r.kind),
                r._mapping["count"],
                time_of(r.added_at),
                r.added_by,
            )
            for r in rows
        )

    def remove(self, c: sa.Connection, organisation: str, list_id: str) -> None:
        """Destroy a list.

        Raises:
            NotFound: if the organisation has none of this id.
        """
        mine = (hash_lists.c.id == list_id) & (hash_lists.c.organisation == organisation)
        if not c.execute(sa.delete(hash_lists).where(mine)).rowcount:
            raise NotFound(f"There is no list {list_id}.")

    def stamp(self, c: sa.Connection, organisation: str) -> tuple[str, ...]:
        """Return what changes as an organisation's lists do: their ids."""
        mine = sa.select(hash_lists.c.id).where(hash_lists.c.organisation == organisation)
        return tuple(c.execute(mine.order_by(hash_lists.c.id)).scalars())

    def known(self, c: sa.Connection, organisation: str) -> KnownHashes:
        """Open the lists of an organisation."""
        rows = c.execute(
            sa.select(hash_lists).where(hash_lists.c.organisation == organisation).order_by(hash_lists.c.id)
        )
        return KnownHashes(
            (r.id, HashKind(r.kind), _unpacked(self._sealer.open(r.id, r.hashes, r.hashes_key, "hashes"))) for r in rows
        )


def _unpacked(packed: bytes) -> tuple[bytes, ...]:
    found = []
    position = 0
    while position < len(packed):
        end = position + 1 + packed[position]
        found.append(packed[position + 1 : end])
        position = end
    return tuple(found)
