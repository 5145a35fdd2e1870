# SPDX-License-Identifier: Apache-2.0
"""The tree: RFC 6962's own words, its published vectors, and pymerkle as an oracle."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from custodes.errors import IntegrityError, Invalid
from custodes.ledger.merkle import (
    EMPTY,
    Frontier,
    NodeReader,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_hash,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [bytes.fromhex(x) for x in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")] + [
    bytes(range(0x60, 0x70))
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
SIZES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 33, 100, 255, 256, 257, 300]
DATA = [b"entry %d" % i for i in range(300)]
HASHES = [leaf_hash(d) for d in DATA]


def _split(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def _mth(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = _split(len(leaves))
    return sha256(b"\x01" + _mth(leaves[:k]) + _mth(leaves[k:])).digest()


def _path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """RFC 6962, 2.1.1, word for word."""
    if len(leaves) == 1:
        return []
    k = _split(len(leaves))
    if m < k:
        return [*_path(m, leaves[:k]), _mth(leaves[k:])]
    return [*_path(m - k, leaves[k:]), _mth(leaves[:k])]


def _subproof(m: int, leaves: Sequence[bytes], whole: bool) -> list[bytes]:
    """RFC 6962, 2.1.2, word for word."""
    if m == len(leaves):
        return [] if whole else [_mth(leaves)]
    k = _split(len(leaves))
    if m <= k:
        return [*_subproof(m, leaves[:k], whole), _mth(leaves[k:])]
    return [*_subproof(m - k, leaves[k:], False), _mth(leaves[:k])]


def _reader(hashes: Sequence[bytes]) -> NodeReader:
    """Read nodes of a tree in memory; a subtree that isn't complete is none."""

    def read(level: int, index: int) -> bytes:
        assert (index + 1) << level <= len(hashes)
        if level == 0:
            return hashes[index]
        return node_hash(read(level - 1, 2 * index), read(level - 1, 2 * index + 1))

    return read


def _frontier(hashes: Sequence[bytes]) -> Frontier:
    edge = Frontier()
    for h in hashes:
        edge.append(h)
    return edge


@pytest.fixture(scope="module")
def oracle() -> InmemoryTree:
    tree = InmemoryTree(algorithm="sha256")
    for d in DATA:
        tree.append_entry(d)
    return tree


def test_roots_are_those_of_the_published_vectors() -> None:
    """The eight leaves that certificate transparency tests with have the roots that it states."""
    assert EMPTY.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    edge = Frontier()
    assert edge.root() == EMPTY
    for leaf, root in zip(LEAVES, ROOTS, strict=True):
        edge.append(leaf_hash(leaf))
        assert edge.root().hex() == root


@pytest.mark.parametrize("size", SIZES)
def test_roots_are_those_of_the_rfc_and_of_another_implementation(size: int, oracle: InmemoryTree) -> None:
    """The right edge, the tree read from nodes, the RFC's recursion and pymerkle agree."""
    root = _mth(DATA[:size])
    assert _frontier(HASHES[:size]).root() == root_hash(_reader(HASHES), size) == root == oracle.get_root(size)


@pytest.mark.parametrize("size", SIZES)
def test_inclusion_proofs_are_those_of_the_rfc_and_of_another_implementation(size: int, oracle: InmemoryTree) -> None:
    """Every entry's proof is the RFC's, hash for hash, has pymerkle's hashes, and verifies."""
    read, root = _reader(HASHES[:size]), _mth(DATA[:size])
    for index in range(0, size, 1 if size < 40 else 13):
        proof = inclusion_proof(read, index, size)
        assert proof == _path(index, DATA[:size])
        assert sorted(oracle.prove_inclusion(index + 1, size).path) == sorted([*proof, HASHES[index]])
        verify_inclusion(HASHES[index], index, size, proof, root)


@pytest.mark.parametrize("new", SIZES)
def test_consistency_proofs_are_those_of_the_rfc_and_verify(new: int) -> None:
    """Every smaller tree's proof is the RFC's, hash for hash, and verifies."""
    read, root = _reader(HASHES[:new]), _mth(DATA[:new])
    for old in range(1, new + 1, 1 if new < 40 else 13):
        proof = consistency_proof(read, old, new)
        assert proof == _subproof(old, DATA[:new], True)
        verify_consistency(old, new, proof, _mth(DATA[:old]), root)
    verify_consistency(0, new, consistency_proof(read, 0, new), EMPTY, root)


@given(st.data())
def test_a_proof_proves_nothing_else(data: st.DataObject) -> None:
    """A proof that is shortened, lengthened, changed, or used for another entry, size or root is refused."""
    size = data.draw(st.integers(2, 70))
    index = data.draw(st.integers(0, size - 1))
    root, proof = _mth(DATA[:size]), inclusion_proof(_reader(HASHES[:size]), index, size)
    at = data.draw(st.integers(0, len(proof) - 1))
    changed = [bytes([h[0] ^ 1]) + h[1:] if i == at else h for i, h in enumerate(proof)]
    other = data.draw(st.integers(0, size - 1).filter(lambda i: i != index))
    wrong = [
        (HASHES[index], index, size, proof[:-1], root),
        (HASHES[index], index, size, [*proof, HASHES[0]], root),
        (HASHES[index], index, size, changed, root),
        (HASHES[other], index, size, proof, root),
        (HASHES[index], index, size, proof, HASHES[0]),
        (HASHES[index], size, size, proof, root),
        (HASHES[index], -1, size, proof, root),
        (HASHES[index], index, size, [proof[0] + b"x", *proof[1:]], root),
    ]
    for case in wrong:
        with pytest.raises(IntegrityError, match=r"expected root|too (many|few) hashes|no such entry|32 bytes"):
            verify_inclusion(*case)


@given(st.data())
def test_a_tree_that_was_changed_is_not_consistent(data: st.DataObject) -> None:
    """No proof leads from an older tree to one whose beginning is another, or to a smaller one."""
    new = data.draw(st.integers(2, 70))
    old = data.draw(st.integers(1, new - 1))
    at = data.draw(st.integers(0, old - 1))
    changed = [*DATA[:at], b"another", *DATA[at + 1 : new]]
    forged = consistency_proof(_reader([leaf_hash(d) for d in changed]), old, new)
    honest = consistency_proof(_reader(HASHES), old, new)
    for proof in (forged, honest, forged[:-1], [*forged, EMPTY], []):
        with pytest.raises(IntegrityError, match="not proven to continue"):
            verify_consistency(old, new, proof, _mth(DATA[:old]), _mth(changed))
    with pytest.raises(IntegrityError, match="smaller"):
        verify_consistency(new, old, honest, _mth(DATA[:new]), _mth(DATA[:old]))
    for same in (0, new):
        with pytest.raises(IntegrityError, match="empty"):
            verify_consistency(same, new, honest, EMPTY, EMPTY)
    with pytest.raises(IntegrityError, match="expected root"):
        verify_consistency(new, new, [], _mth(DATA[:new]), _mth(changed))


@given(st.integers(0, 300), st.integers(0, 300))
def test_a_right_edge_survives_being_written(size: int, more: int) -> None:
    """What is read back grows as the original does, and a copy grows on its own."""
    edge = _frontier(HASHES[:size])
    back = Frontier.from_bytes(size, edge.to_bytes())
    copy = back.copy()
    for h in HASHES[size : size + more]:
        back.append(h)
    assert back.root() == _mth(DATA[: size + more][:300])
    assert (copy.size, copy.root()) == (size, edge.root())


def test_completed_subtrees_are_told() -> None:
    """Adding a leaf returns the roots of the complete subtrees that end with it."""
    edge, read = Frontier(), _reader(HASHES)
    for i, h in enumerate(HASHES):
        made = edge.append(h)
        assert made == [read(level, ((i + 1) >> level) - 1) for level in range(len(made))]
        assert len(made) == ((i + 1) & -(i + 1)).bit_length()


@pytest.mark.parametrize(("size", "data"), [(0, b"x"), (3, bytes(32)), (1, bytes(31)), (1, bytes(64)), (2, bytes(33))])
def test_a_right_edge_that_does_not_fit_its_size_is_refused(size: int, data: bytes) -> None:
    """There is one hash for each bit of the size."""
    with pytest.raises(IntegrityError, match=f"tree of {size} leaves"):
        Frontier.from_bytes(size, data)


def test_proofs_of_what_there_is_not_are_refused() -> None:
    """An entry beyond the end, or a tree larger than its successor, has no proof."""
    read = _reader(HASHES)
    for index, size in ((5, 5), (-1, 5), (0, 0)):
        with pytest.raises(Invalid):
            inclusion_proof(read, index, size)
    with pytest.raises(Invalid):
        consistency_proof(read, 6, 5)
