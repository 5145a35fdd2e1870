# SPDX-License-Identifier: Apache-2.0
"""The Merkle tree of RFC 6962, section 2.1: hashes, the right edge, proofs and their verification.

Pure: nothing here knows where hashes are stored. *Level* is the height of a complete subtree: the node ``(level, i)``
is the root over the leaves ``i * 2**level`` to ``(i + 1) * 2**level``. The proofs are those of RFC 6962, 2.1.1 and
2.1.2; they are verified by the algorithms of RFC 9162, 2.1.3.2 and 2.1.4.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

from custodes.errors import IntegrityError, Invalid

__all__ = [
    "EMPTY",
    "HASH",
    "Frontier",
    "NodeReader",
    "consistency_proof",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "root_hash",
    "verify_consistency",
    "verify_inclusion",
]

HASH = 32
"""Bytes of a hash."""

EMPTY = sha256().digest()
"""The root of a tree without leaves."""

NodeReader = Callable[[int, int], bytes]
"""Returns the hash of the complete subtree ``(level, index)``."""


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of an entry."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two subtrees."""
    return sha256(b"\x01" + left + right).digest()


def _fold(hashes: Sequence[bytes]) -> bytes:
    """Return the root over complete subtrees that stand side by side, the largest first."""
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


class Frontier:
    """The right edge of a growing tree: the roots of the complete subtrees that it consists of, the largest first.

    It is all that is needed to add leaves and to tell the root: one hash for each bit that is set in the size.

    Args:
        size: number of leaves.
        hashes: the subtrees' roots.

    Raises:
        IntegrityError: if there are more or fewer hashes than the size needs, or one has another length.
    """

    __slots__ = ("_hashes", "_size")

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        self._size = size
        self._hashes = list(hashes)
        got = [*map(len, self._hashes)]
        if got != [HASH] * size.bit_count():
            raise IntegrityError(
                f"The right edge of a tree of {size} leaves has {size.bit_count()} hashes of {HASH} bytes, got {got}."
            )

    @classmethod
    def from_bytes(cls, size: int, data: bytes) -> Frontier:
        """Read what :meth:`to_bytes` wrote.

        Raises:
            IntegrityError: if the bytes aren't the right edge of a tree of this size.
        """
        return cls(size, [data[i : i + HASH] for i in range(0, len(data), HASH)])

    def to_bytes(self) -> bytes:
        """Return the hashes one after the other."""
        return b"".join(self._hashes)

    def copy(self) -> Frontier:
        """Return a right edge that grows on its own."""
        return Frontier(self._size, self._hashes)

    @property
    def size(self) -> int:
        """Number of leaves."""
        return self._size

    def append(self, leaf: bytes) -> list[bytes]:
        """Add a leaf's hash.

        Returns:
            The roots of the complete subtrees that end with this leaf: at place *k* that of 2**k leaves.
        """
        made = [leaf]
        rest = self._size
        while rest & 1:
            leaf = node_hash(self._hashes.pop(), leaf)
            made.append(leaf)
            rest >>= 1
        self._hashes.append(leaf)
        self._size += 1
        return made

    def root(self) -> bytes:
        """Return the tree's root."""
        return _fold(self._hashes) if self._hashes else EMPTY


def _range_hash(read: NodeReader, start: int, stop: int) -> bytes:
    """Return the root over leaves that make up one subtree of a proof, complete or at the right edge."""
    parts = []
    while start < stop:
        level = (stop - start).bit_length() - 1
        parts.append(read(level, start >> level))
        start += 1 << level
    return _fold(parts)


def _split(count: int) -> int:
    """Return the largest power of two below ``count``, which is at least 2."""
    return 1 << ((count - 1).bit_length() - 1)


def root_hash(read: NodeReader, size: int) -> bytes:
    """Return the root of the first ``size`` leaves."""
    return _range_hash(read, 0, size) if size else EMPTY


def inclusion_proof(read: NodeReader, index: int, size: int) -> list[bytes]:
    """Return the audit path of a leaf in the tree of the first ``size`` leaves (RFC 6962, 2.1.1).

    Raises:
        Invalid: if that tree has no such leaf.
    """
    if not 0 <= index < size:
        raise Invalid(f"A tree of {size} entries has no entry {index}.")
    start, stop, path = 0, size, []
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            path.append(_range_hash(read, middle, stop))
            stop = middle
        else:
            path.append(_range_hash(read, start, middle))
            start = middle
    path.reverse()
    return path


def consistency_proof(read: NodeReader, old: int, new: int) -> list[bytes]:
    """Return the proof that the tree of ``new`` leaves begins with that of ``old`` (RFC 6962, 2.1.2).

    Raises:
        Invalid: if the sizes are not in order.
    """
    if not 0 <= old <= new:
        raise Invalid(f"A tree of {new} entries doesn't continue one of {old}.")
    start, stop, path = 0, new, []
    if old == 0:
        return []
    while old != stop:
        middle = start + _split(stop - start)
        if old <= middle:
            path.append(_range_hash(read, middle, stop))
            stop = middle
        else:
            path.append(_range_hash(read, start, middle))
            start = middle
    if start:
        path.append(_range_hash(read, start, stop))
    path.reverse()
    return path


def _expect(what: str, expected: bytes, got: bytes) -> None:
    if expected != got:
        raise IntegrityError(f"{what}: expected root {expected.hex()}, got {got.hex()}.")


def _check_lengths(what: str, hashes: Iterable[bytes]) -> None:
    """Refuse hashes of another length, which could stand for two nodes at once."""
    if any(len(h) != HASH for h in hashes):
        raise IntegrityError(f"{what}: a hash has {HASH} bytes.")


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that a leaf's hash is at ``index`` of the tree with this size and root (RFC 9162, 2.1.3.2).

    Raises:
        IntegrityError: if the proof doesn't lead to the root.
    """
    what = f"Entry {index} is not proven to be in the tree of {size} entries"
    if not 0 <= index < size:
        raise IntegrityError(f"{what}: it has no such entry.")
    _check_lengths(what, (leaf, *proof))
    place, last, hashed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise IntegrityError(f"{what}: the proof has too many hashes, {len(proof)}.")
        if place & 1 or place == last:
            hashed = node_hash(sibling, hashed)
            while place and not place & 1:
                place >>= 1
                last >>= 1
        else:
            hashed = node_hash(hashed, sibling)
        place >>= 1
        last >>= 1
    if last:
        raise IntegrityError(f"{what}: the proof has too few hashes, {len(proof)}.")
    _expect(what, root, hashed)


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Check that the tree of ``new`` leaves begins with that of ``old`` (RFC 9162, 2.1.4.2).

    Raises:
        IntegrityError: if the proof doesn't lead from one root to the other.
    """
    what = f"The tree of {new} entries is not proven to continue that of {old}"
    if not 0 <= old <= new:
        raise IntegrityError(f"{what}: it is smaller.")
    _check_lengths(what, (old_root, *proof))
    if old in (0, new):
        if proof:
            raise IntegrityError(f"{what}: the proof should be empty, got {len(proof)} hashes.")
        _expect(what, EMPTY if old == 0 else new_root, old_root)
        return
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        raise IntegrityError(f"{what}: the proof is empty.")
    place, last = old - 1, new - 1
    while place & 1:
        place >>= 1
        last >>= 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise IntegrityError(f"{what}: the proof has too many hashes, {len(proof)}.")
        if place & 1 or place == last:
            first = node_hash(sibling, first)
            second = node_hash(sibling, second)
            while place and not place & 1:
                place >>= 1
                last >>= 1
        else:
            second = node_hash(second, sibling)
        place >>= 1
        last >>= 1
    if last:
        raise IntegrityError(f"{what}: the proof has too few hashes, {len(proof)}.")
    _expect(f"{what} (older tree)", old_root, first)
    _expect(f"{what} (newer tree)", new_root, second)
