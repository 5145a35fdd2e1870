# SPDX-License-Identifier: Apache-2.0
"""The signing key's file."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from custodes.errors import Invalid, Unavailable
from custodes.ledger import FileSigner, KeyKind


def test_a_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    """The file has mode 0600, and a second start reads the same key."""
    path = tmp_path / "keys" / "ledger.key"
    first = FileSigner.from_file(path, "log.example/x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert FileSigner.from_file(path, "log.example/x").verifier_key == first.verifier_key
    assert first.name == "log.example/x"
    assert [p.name for p in path.parent.iterdir()] == ["ledger.key"]


@pytest.mark.parametrize("text", [b"", b"00" * 31, b"00" * 33, b"zz" * 32, b"\xff" * 64])
def test_a_bad_key_file_is_refused_and_left_alone(tmp_path: Path, text: bytes) -> None:
    """A file that holds no key is a clear error, never overwritten."""
    path = tmp_path / "ledger.key"
    path.write_bytes(text)
    with pytest.raises(Invalid, match="signing key file must hold 64 hexadecimal digits"):
        FileSigner.from_file(path, "log.example/x")
    assert path.read_bytes() == text


def test_a_key_file_that_is_no_file_is_unavailable(tmp_path: Path) -> None:
    """A folder in the place of the key file is a typed error."""
    with pytest.raises(Unavailable, match="signing key file"):
        FileSigner.from_file(tmp_path, "log.example/x")


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u2028b", "a\x07b", "x" * 256])
def test_a_name_that_a_note_cannot_hold_is_refused(name: str) -> None:
    """A key's name stands in signature lines."""
    with pytest.raises(Invalid, match="name"):
        FileSigner(name, bytes(32))


def test_the_key_is_that_of_rfc_8032() -> None:
    """The first test vector of RFC 8032: its public key and its signature of nothing."""
    secret = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    signer = FileSigner("x", secret, KeyKind.NOTE)
    assert signer.verifier_key.public.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert signer.sign(b"").hex().startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155")
    with pytest.raises(Invalid, match="32 bytes"):
        FileSigner("x", secret + b"\0")
