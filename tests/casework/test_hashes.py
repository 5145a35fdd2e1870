# SPDX-License-Identifier: Apache-2.0
"""Lists of hashes: how they are read, kept and asked; and perceptual hashes, against a computation of their own."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path

import cv2
import numpy as np
import pdqhash
import pytest

from custodes.casework import HashKind, HashLists, KnownHashes
from custodes.casework.hashes import NEAR, distance, parse_hashes, perceptual_hash
from custodes.db import Vault
from custodes.errors import Invalid, NotFound

from .conftest import NOW, Stores

PHOTO = Path(__file__).parents[1] / "data" / "obama_1.jpg"
MD5, SHA1, SHA256 = (hashlib.new(n, b"photo").hexdigest() for n in ("md5", "sha1", "sha256"))

TILES = np.kron(np.random.default_rng(7).integers(0, 256, (12, 16, 3), np.uint8), np.ones((20, 20, 1), np.uint8))
"""A picture that is the same everywhere: 16 x 12 tiles of 20 pixels."""


def rgb(side: int = 512) -> np.ndarray:
    picture = cv2.imread(str(PHOTO))
    scale = side / max(picture.shape)
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[:, :, ::-1]


# --- PDQ --------------------------------------------------------------------------------------------------------------


def _box(line: np.ndarray, window: int) -> np.ndarray:
    """Return the moving mean of lines, with the window cut at the ends (the paper's "Jarosz filter", one pass)."""
    after, before = window // 2 + window % 2 - 1, window // 2
    sums = np.concatenate([np.zeros((len(line), 1)), np.cumsum(line, axis=1)], axis=1)
    n = line.shape[1]
    start = np.clip(np.arange(n) - after, 0, n)
    stop = np.clip(np.arange(n) + before + 1, 0, n)
    return (sums[:, stop] - sums[:, start]) / (stop - start)


def _pdq(pixels: np.ndarray) -> str:
    """Compute PDQ from its description alone (Facebook, 2019): luma, two tent filters, 64 x 64, DCT, median."""
    luma = pixels @ np.array([0.299, 0.587, 0.114])
    rows, columns = luma.shape
    for _ in range(2):
        luma = _box(luma, (columns + 127) // 128)
        luma = _box(luma.T, (rows + 127) // 128).T
    at = [((np.arange(64) + 0.5) * n / 64).astype(int) for n in (rows, columns)]
    small = luma[np.ix_(*at)]
    i, j = np.arange(1, 17)[:, None], np.arange(64)[None, :]
    dct = np.sqrt(2 / 64) * np.cos(np.pi / 2 / 64 * i * (2 * j + 1))
    coefficients = dct @ small @ dct.T
    bits = (coefficients > np.median(coefficients)).ravel()  # bit k is that of row k // 16, column k % 16
    return f"{sum(1 << k for k in np.flatnonzero(bits).tolist()):064x}"


def test_a_perceptual_hash_is_pdq_as_its_paper_describes_it() -> None:
    """An independent computation gives the same 256 bits, but for one or two that may lie at the median itself."""
    ours = perceptual_hash(rgb()).hex()
    theirs = _pdq(rgb().astype(np.float64))
    assert (int(ours, 16) ^ int(theirs, 16)).bit_count() <= 2


def test_a_perceptual_hash_stands_as_lists_write_it() -> None:
    """The first hexadecimal digit holds bits 255 to 252, as the reference implementation prints them."""
    vector, quality = pdqhash.compute(TILES)
    assert quality == 100
    assert perceptual_hash(TILES).hex() == f"{int(''.join(map(str, vector)), 2):064x}"
    assert perceptual_hash(TILES).hex() == "59f532dcbe258b99f426f0e6c9ca4d2b261af0459ab55011f0ded9cf92839662"


def test_near_is_near_and_far_is_far() -> None:
    """The same photo smaller and as another JPEG is near; mirrored, or another one, it isn't."""
    own = perceptual_hash(rgb())
    again = cv2.imdecode(cv2.imencode(".jpg", rgb(300)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 1)[:, :, ::-1]
    assert distance(own, perceptual_hash(again)) <= NEAR
    assert distance(own, perceptual_hash(rgb()[:, ::-1])) > NEAR
    assert distance(own, own) == 0
    assert distance(own, b"") == 256


def test_a_picture_that_shows_nothing_has_no_hash() -> None:
    """Or else all grey ones were one."""
    assert perceptual_hash(np.full((100, 100, 3), 128, np.uint8)) == b""
    assert perceptual_hash(np.zeros((1, 1, 3), np.uint8)) == b""


# --- reading lists ----------------------------------------------------------------------------------------------------


def test_lists_are_read_in_the_forms_that_they_come_in() -> None:
    """Comments, empty lines, a heading, further columns, capitals, a byte order mark; each hash once."""
    lines = ["\ufeffMD5 hash;source", "# exported", "", f"{MD5.upper()},x,y", f'"{SHA1}"', f" {SHA256} \n", MD5]
    assert [h.hex() for h in parse_hashes(lines, HashKind.EXACT)] == [MD5, SHA1, SHA256]
    assert [h.hex() for h in parse_hashes([f"\ufeff{SHA256}"], HashKind.PERCEPTUAL)] == [SHA256]


@pytest.mark.parametrize(
    ("lines", "kind", "says"),
    [
        ([MD5, "no hash"], HashKind.EXACT, "Line 2"),
        ([MD5[:-1]], HashKind.EXACT, "Line 1"),
        ([MD5[:20]], HashKind.EXACT, "Line 1"),
        ([MD5[:-1] + "g"], HashKind.EXACT, "Line 1"),
        ([MD5], HashKind.PERCEPTUAL, "64"),
        (["hash", "# nothing"], HashKind.EXACT, "no hash"),
        ([], HashKind.EXACT, "no hash"),
    ],
)
def test_what_is_no_list_is_refused(lines: list[str], kind: HashKind, says: str) -> None:
    """With the number of the line; a first line that was meant as a hash isn't taken for a heading."""
    with pytest.raises(Invalid, match=says):
        parse_hashes(lines, kind)


# --- asking -----------------------------------------------------------------------------------------------------------


def test_exact_hashes_are_found_by_any_of_three() -> None:
    """And each tells the list that it is of; hashes that end in zeros too."""
    zero = b"\x07" * 15 + b"\0"
    known = KnownHashes(
        [
            ("md5s", HashKind.EXACT, [hashlib.md5(str(n).encode()).digest() for n in range(500)] + [zero]),
            ("others", HashKind.EXACT, [hashlib.sha1(b"one").digest(), hashlib.sha256(b"two").digest()]),
        ]
    )
    assert [known.find_exact(str(n).encode()) for n in range(500)] == ["md5s"] * 500
    assert [known.find_exact(d) for d in (b"one", b"two", b"three", b"500")] == ["others", "others", None, None]
    assert known
    assert not known.near
    assert not KnownHashes()
    assert KnownHashes().find_exact(b"1") is None


def test_the_nearest_perceptual_hash_is_found_within_the_bound() -> None:
    """31 bits are near, 32 are not; in whatever list, among many."""
    rng = np.random.default_rng(0)
    many = [rng.bytes(32) for _ in range(3000)]
    known = KnownHashes([("a", HashKind.PERCEPTUAL, many[:1000]), ("b", HashKind.PERCEPTUAL, many[1000:])])
    for place in (0, 999, 1000, 2999):
        bits = np.unpackbits(np.frombuffer(many[place], np.uint8))
        for differing, expected in ((0, True), (NEAR, True), (NEAR + 1, False)):
            other = bits.copy()
            other[rng.choice(256, differing, replace=False)] ^= 1
            found = known.find_near(np.packbits(other).tobytes())
            assert found == ("a" if place < 1000 else "b") if expected else found is None
    assert known.find_near(b"") is None
    assert known.find_exact(many[0]) is None


def test_lists_are_kept_sealed_for_their_organisation(stores: Stores) -> None:
    """Neither name nor hash is in the clear; another organisation has none of it; a removed one is gone."""
    lists = HashLists(Vault(bytes(range(32))))
    with stores.database.transaction() as c:
        made = lists.add(c, "org-1", " Interpol ", HashKind.EXACT, [bytes.fromhex(MD5)], "p-1", NOW)
        looks = lists.add(c, "org-1", "PDQ", HashKind.PERCEPTUAL, [bytes(32)], "p-1", NOW + timedelta(seconds=1))
        assert lists.list(c, "org-1") == (made, looks)
        assert (made.name, made.count, made.kind) == ("Interpol", 1, HashKind.EXACT)
        assert lists.list(c, "org-2") == ()
        known = lists.known(c, "org-1")
        assert (known.find_exact(b"photo"), known.find_near(bytes(32))) == (made.id, looks.id)
        assert not lists.known(c, "org-2")
        with pytest.raises(NotFound):
            lists.remove(c, "org-2", made.id)
        before = lists.stamp(c, "org-1")
        lists.remove(c, "org-1", made.id)
        assert lists.stamp(c, "org-1") == (looks.id,) != before
        assert lists.known(c, "org-1").find_exact(b"photo") is None
        with pytest.raises(Invalid):
            lists.add(c, "org-1", " ", HashKind.EXACT, [bytes(16)], "p-1", NOW)
