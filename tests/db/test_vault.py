# SPDX-License-Identifier: Apache-2.0
"""Sealing: what opens, what doesn't, and the key file."""

from __future__ import annotations

import hashlib
import hmac
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from custodes.db import Database, Sealed, Vault
from custodes.errors import IntegrityError, Invalid, Unavailable

MASTER = bytes(range(32))


def _hkdf(master: bytes, info: bytes) -> bytes:
    """HKDF-SHA256 for one block, without salt, as RFC 5869 writes it."""
    return hmac.digest(hmac.digest(bytes(32), master, hashlib.sha256), info + b"\x01", hashlib.sha256)


@given(st.binary(max_size=600), st.binary(max_size=40))
def test_what_is_sealed_opens_for_its_owner(value: bytes, owner: bytes) -> None:
    """Opening gives back what was sealed."""
    vault = Vault(MASTER)
    assert vault.open(*vault.seal(value, owner), owner) == value


def test_the_structure_is_the_documented_one() -> None:
    """The value lies under its own key and a constant nonce; that key under one derived from the master key."""
    sealed = Vault(MASTER).seal(b"value", b"owner")
    wrapping = AESGCM(_hkdf(MASTER, b"custodes/wrap"))
    key = wrapping.decrypt(sealed.wrapped_key[:12], sealed.wrapped_key[12:], b"owner")
    assert len(key) == 32
    assert AESGCM(key).decrypt(bytes(12), sealed.ciphertext, b"owner") == b"value"
    assert (len(sealed.ciphertext), len(sealed.wrapped_key)) == (5 + 16, 12 + 32 + 16)


def test_a_golden_value_of_the_first_version_opens() -> None:
    """What was sealed when the format was fixed still opens."""
    key, nonce, owner = bytes(range(100, 132)), bytes(range(12)), b"face:7"
    wrapped = nonce + AESGCM(_hkdf(MASTER, b"custodes/wrap")).encrypt(nonce, key, owner)
    golden = Sealed(
        bytes.fromhex("3d478ff71de5c31c332f362e08c7eb4ac40e69d48c2b6722543d"),
        bytes.fromhex(
            "000102030405060708090a0bd38587f75b8a5c95c33374e4fd66e52912753767f30db2d9946d54e60d83834d357b3a01915399229f6349af4019e031"
        ),
    )
    assert golden.wrapped_key == wrapped
    assert Vault(MASTER).open(*golden, owner) == b"a template"


def test_equal_values_look_different() -> None:
    """Neither ciphertext nor wrapped key tells that two values are equal."""
    vault = Vault(MASTER)
    sealed = [vault.seal(b"value", b"owner") for _ in range(50)]
    assert len({s.ciphertext for s in sealed}) == len({s.wrapped_key for s in sealed}) == 50


def test_derived_keys_follow_rfc_5869_and_differ() -> None:
    """Keys for other purposes are HKDF's and tell nothing of one another."""
    vault = Vault(MASTER)
    assert vault.derive("image-id") == _hkdf(MASTER, b"custodes/image-id")
    assert len({vault.derive(p) for p in ("image-id", "page-token", "wrap", "")}) == 4


def test_a_value_does_not_open_for_another_owner() -> None:
    """A sealed value that is moved to another row is refused."""
    vault = Vault(MASTER)
    with pytest.raises(IntegrityError):
        vault.open(*vault.seal(b"value", b"face:1"), b"face:2")


def test_a_value_does_not_open_with_another_values_key() -> None:
    """Keys can't be exchanged between rows, even of one owner."""
    vault = Vault(MASTER)
    one, two = vault.seal(b"one", b"owner"), vault.seal(b"two", b"owner")
    with pytest.raises(IntegrityError):
        vault.open(one.ciphertext, two.wrapped_key, b"owner")


def test_a_value_does_not_open_under_another_master_key() -> None:
    """Without the master key there is nothing to read."""
    sealed = Vault(MASTER).seal(b"value", b"owner")
    with pytest.raises(IntegrityError):
        Vault(bytes(32)).open(*sealed, b"owner")


def test_every_changed_bit_is_noticed() -> None:
    """Flipping any bit of ciphertext or wrapped key is refused."""
    vault = Vault(MASTER)
    sealed = vault.seal(b"value", b"owner")
    for part in range(2):
        for bit in range(8 * len(sealed[part])):
            changed = [bytearray(p) for p in sealed]
            changed[part][bit // 8] ^= 1 << bit % 8
            with pytest.raises(IntegrityError):
                vault.open(bytes(changed[0]), bytes(changed[1]), b"owner")


@pytest.mark.parametrize("length", [0, 1, 11, 12, 27, 28, 59])
def test_a_truncated_value_is_an_integrity_error(length: int) -> None:
    """However short what is left of a value, the error is the same."""
    vault = Vault(MASTER)
    sealed = vault.seal(b"x" * 60, b"owner")
    with pytest.raises(IntegrityError):
        vault.open(sealed.ciphertext[:length], sealed.wrapped_key, b"owner")
    with pytest.raises(IntegrityError):
        vault.open(sealed.ciphertext, sealed.wrapped_key[:length], b"owner")


def test_a_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    """The file has mode 0600, its folder 0700, and a second start reads the same key."""
    path = tmp_path / "keys" / "master.key"
    first = Vault.from_file(path).derive("x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert Vault.from_file(path).derive("x") == first
    assert [p.name for p in path.parent.iterdir()] == ["master.key"]


def test_a_race_for_the_key_file_has_one_winner(tmp_path: Path) -> None:
    """Whoever starts at once, all use one key."""
    with ThreadPoolExecutor(16) as pool:
        for attempt in range(20):
            path = tmp_path / str(attempt) / "master.key"
            assert len(set(pool.map(lambda _, path=path: Vault.from_file(path).derive("x"), range(16)))) == 1
            assert [p.name for p in path.parent.iterdir()] == ["master.key"]


@pytest.mark.parametrize(
    "text", [b"", b"secret", b"00" * 31, b"00" * 33, b"zz" * 32, b"\xff" * 64, "ключ".encode(), b"00" * 32 + b" 1"]
)
def test_a_bad_key_file_is_refused_and_left_alone(tmp_path: Path, text: bytes) -> None:
    """A file that holds no key is a clear error, never overwritten."""
    path = tmp_path / "master.key"
    path.write_bytes(text)
    with pytest.raises(Invalid, match="64 hexadecimal digits"):
        Vault.from_file(path)
    assert path.read_bytes() == text


def test_a_key_file_that_is_no_file_is_unavailable(tmp_path: Path) -> None:
    """A folder in the place of the key file is a typed error."""
    with pytest.raises(Unavailable, match="key file"):
        Vault.from_file(tmp_path)


def test_a_master_key_has_32_bytes() -> None:
    """Other lengths can't be meant."""
    with pytest.raises(Invalid, match="32 bytes"):
        Vault(bytes(16))


def test_a_database_is_not_opened_under_another_master_key(database: Database, tmp_path: Path) -> None:
    """A key file that was exchanged is noticed at the start, before anything is sealed with it."""
    database.migrate()
    path = tmp_path / "keys" / "master.key"
    own = Vault.for_database(database, path).derive("x")
    assert Vault.for_database(database, path).derive("x") == own
    path.write_text("00" * 32)
    with pytest.raises(IntegrityError, match="not the one"):
        Vault.for_database(database, path)


def test_a_lost_master_key_is_not_replaced(database: Database, tmp_path: Path) -> None:
    """When the key file is gone no new key is made, since nothing would open with it."""
    database.migrate()
    path = tmp_path / "keys" / "master.key"
    Vault.for_database(database, path)
    path.unlink()
    with pytest.raises(IntegrityError, match="gone"):
        Vault.for_database(database, path)
    assert not path.exists()


def test_the_master_key_is_not_in_the_database(sqlite: Database, tmp_path: Path) -> None:
    """What the database remembers of the key is one-way."""
    sqlite.migrate()
    path = tmp_path / "keys" / "master.key"
    vault = Vault.for_database(sqlite, path)
    sqlite.scrub()
    raw = (tmp_path / "test.sqlite3").read_bytes()
    key = path.read_text().strip()
    assert vault.derive("fingerprint") in raw
    for secret in (key.encode(), bytes.fromhex(key), vault.derive("wrap")):
        assert secret not in raw
    with sqlite.read() as c:
        assert c.scalar(sa.text("SELECT count(*) FROM master_key")) == 1
