# SPDX-License-Identifier: Apache-2.0
"""Notes, keys, checkpoints and cosignatures: golden ones, and hostile ones."""

from __future__ import annotations

import base64
import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custodes.errors import IntegrityError, Invalid
from custodes.ledger import FileSigner, KeyKind, Note, VerifierKey
from custodes.ledger.checkpoint import (
    Checkpoint,
    Signature,
    cosign,
    sign_checkpoint,
    verify_checkpoint,
    verify_cosignatures,
)

NEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NEUMANN_SECRET = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
NEUMANN_NOTE = """\
If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
"""
"""Key and note of the documentation of Go's golang.org/x/mod/sumdb/note."""

SUM = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
BEHIND_THE_SOFA = """\
example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa \
Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 \
jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
"""
"""The example of tlog-cosignature."""

LOG = FileSigner("log.example/one", bytes(32))
ROOT = bytes(range(32))
NOTE = sign_checkpoint(LOG, Checkpoint("log.example/one", 5, ROOT))


def test_a_note_of_go_is_verified_and_made() -> None:
    """The note that Go's package documents verifies, and the same key makes the same note."""
    key = VerifierKey.parse(NEUMANN)
    note = Note.parse(NEUMANN_NOTE)
    assert note.verified(key).name == "PeterNeumann"
    signer = FileSigner("PeterNeumann", base64.b64decode(NEUMANN_SECRET)[1:])
    assert str(signer.verifier_key) == str(key) == NEUMANN
    made = Signature(signer.name, key.key_id, signer.sign(note.text.encode()))
    assert str(Note(note.text, (made,))) == NEUMANN_NOTE


def test_a_key_of_the_go_checksum_database_is_read() -> None:
    """A key whose base64 has a plus sign is taken apart at the right places."""
    assert str(VerifierKey.parse(SUM + "\n")) == SUM


def test_the_example_of_the_standard_is_read() -> None:
    """Origin, size, root, and a witness's line with its time."""
    note = Note.parse(BEHIND_THE_SOFA)
    checkpoint = Checkpoint.parse(note.text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert str(checkpoint) == note.text
    assert str(note) == BEHIND_THE_SOFA
    assert int.from_bytes(note.signatures[1].data[:8], "big") == 1679315147


def test_a_checkpoint_is_signed_and_verified() -> None:
    """What the log signs, its key verifies."""
    checkpoint, note = verify_checkpoint(str(NOTE), LOG.verifier_key)
    assert checkpoint == Checkpoint("log.example/one", 5, ROOT)
    assert str(note) == str(NOTE)
    assert str(NOTE).startswith(
        "log.example/one\n5\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n\n— log.example/one "
    )


@pytest.mark.parametrize("at", range(3))
def test_a_checkpoint_that_was_changed_is_refused(at: int) -> None:
    """Another origin, size or root is not what was signed."""
    lines = str(NOTE).split("\n")
    lines[at] = ["log.example/two", "6", base64.b64encode(bytes(32)).decode()][at]
    with pytest.raises(IntegrityError, match=r"another log|not the key's own"):
        verify_checkpoint("\n".join(lines), LOG.verifier_key)


def test_a_checkpoint_by_another_key_is_refused() -> None:
    """A key of the same name that isn't the log's makes no checkpoint of the log's."""
    impostor = FileSigner("log.example/one", bytes([1]) * 32)
    forged = sign_checkpoint(impostor, Checkpoint("log.example/one", 5, ROOT))
    with pytest.raises(IntegrityError, match=r"not signed by log\.example/one"):
        verify_checkpoint(str(forged), LOG.verifier_key)
    claims = replace(forged.signatures[0], key_id=LOG.verifier_key.key_id)
    with pytest.raises(IntegrityError, match="not the key's own"):
        verify_checkpoint(str(replace(forged, signatures=(claims,))), LOG.verifier_key)
    with pytest.raises(IntegrityError, match="not the key's own"):  # one good line doesn't excuse a bad one
        verify_checkpoint(str(replace(NOTE, signatures=(*NOTE.signatures, claims))), LOG.verifier_key)


def test_lines_by_unknown_keys_are_ignored() -> None:
    """A line that shares a name or an id with a known key, but not both, means nothing."""
    other = FileSigner("log.example/one", bytes([1]) * 32)
    line = sign_checkpoint(other, Checkpoint.parse(NOTE.text)).signatures[0]
    verify_checkpoint(str(replace(NOTE, signatures=(line, *NOTE.signatures))), LOG.verifier_key)


_SIGNED = str(NOTE)
_LINE = _SIGNED.split("\n")[4]


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "\n",
        "\n\n",
        "x",
        NOTE.text,
        NOTE.text + "\n",
        "\n\n" + _LINE + "\n",
        _SIGNED.rstrip("\n"),
        _SIGNED + "\n",
        _SIGNED.replace("— ", "- "),
        _SIGNED.replace("— ", "—  "),
        _SIGNED.replace("\n\n", "\n\n— x \n"),
        _SIGNED.replace("\n\n", "\n\n— x AAAA\n"),
        _SIGNED.replace("\n\n", "\n\n— x AAAAAAB=\n"),
        _SIGNED.replace("\n\n", "\n\n— a+b AAAAAAA=\n"),
        _SIGNED.replace("\n\n", "\n\n— x AAAAAAA= \n"),
        _SIGNED.replace("\n\n", "\n\n— x AAAA_AA=\n"),
        _SIGNED.replace("\n", "\r\n"),
        _SIGNED.replace("one", "o\x00e"),
        _SIGNED.encode().replace(b"one", b"\xff"),
        _SIGNED.replace("one", "\ud800"),
        _SIGNED + f"{_LINE}\n" * 100,
        "x" * 70_000 + _SIGNED,
    ],
    ids=range(23),
)
def test_what_is_no_note_is_refused(raw: str | bytes) -> None:
    """Nothing but the standard's form is read, however it deviates."""
    with pytest.raises(IntegrityError, match="A sign"):
        Note.parse(raw)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "o\n",
        "o\n1\n",
        "o\n1\nAAAA\n",
        "\n1\n{}\n",
        "o\n01\n{}\n",
        "o\n-1\n{}\n",
        "o\n+1\n{}\n",
        "o\n１\n{}\n",
        "o\n1 \n{}\n",
        "o\n9223372036854775808\n{}\n",
        "o\n99999999999999999999999999\n{}\n",
        "o\n1\n{}",
        "o\n1\n{} \n",
        "o\n1\n{}\n\nx\n",
        "o\n1\n{}\n\n",
        "o\n1\n{}AA==\n",
        "o\n1\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    """Each of the three lines has one form, and further lines aren't empty."""
    with pytest.raises(IntegrityError, match="A checkpoint"):
        Checkpoint.parse(text.format(base64.b64encode(ROOT).decode()))


def test_extension_lines_are_kept() -> None:
    """What a log may add below its root is part of what it signs."""
    text = f"o\n0\n{base64.b64encode(ROOT).decode()}\nmore\nand more\n"
    assert Checkpoint.parse(text).extensions == ("more", "and more")
    assert str(Checkpoint.parse(text)) == text


@given(st.text(max_size=300), st.binary(max_size=300))
def test_whatever_comes_is_read_or_refused(text: str, data: bytes) -> None:
    """Hostile input never ends in any other error."""
    for read in (lambda: Note.parse(text), lambda: Note.parse(data), lambda: Checkpoint.parse(text)):
        try:
            read()
        except IntegrityError:
            continue
    with contextlib.suppress(Invalid):
        VerifierKey.parse(text)


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "x",
        "PeterNeumann",
        NEUMANN.replace("c74f20a3", "c74f20a4"),
        NEUMANN.replace("c74f20a3", "C74F20A3"),
        NEUMANN.replace("Peter", "Paul"),
        NEUMANN[:-4],
        NEUMANN + "AAAA",
        "a b+" + NEUMANN.partition("+")[2],
        "+" + NEUMANN.partition("+")[2],
        "x+00000000+Ag==",
        "x+00000000+",
    ],
)
def test_what_is_no_verifier_key_is_refused(vkey: str) -> None:
    """A key has one form, an id that is its own, and a kind that is known."""
    with pytest.raises(Invalid):
        VerifierKey.parse(vkey)


def test_cosignatures_are_counted_by_key(witness: FileSigner, other_witness: FileSigner) -> None:
    """As many different trusted witnesses as are needed must have signed; nobody counts twice."""
    both = [witness.verifier_key, other_witness.verifier_key]
    once = cosign(NOTE, witness, 1_700_000_000)
    assert verify_cosignatures(once, both, 1) == (witness.name,)
    twice = cosign(once, witness, 1_700_000_001)
    with pytest.raises(IntegrityError, match="by 2 of 2 witnesses, got 1"):
        verify_cosignatures(twice, both, 2)
    alias = FileSigner("witness.example/alias", bytes(range(32)), KeyKind.COSIGNATURE)
    with pytest.raises(IntegrityError, match="got 1"):
        verify_cosignatures(cosign(once, alias, 1), [witness.verifier_key, alias.verifier_key], 2)
    assert verify_cosignatures(cosign(once, other_witness, 0), both, 2) == (witness.name, other_witness.name)


def test_a_forged_cosignature_condemns_the_note(witness: FileSigner) -> None:
    """A witness's line whose date or signature was changed is refused, even if it isn't needed."""
    line = cosign(NOTE, witness, 1_700_000_000).signatures[-1]
    for data in (bytes(8) + line.data[8:], line.data[:-1] + b"\0", line.data[:8], line.data + b"\0"):
        forged = replace(NOTE, signatures=(*NOTE.signatures, replace(line, data=data)))
        with pytest.raises(IntegrityError, match="not the key's own"):
            verify_cosignatures(forged, [witness.verifier_key], 0)
    other = sign_checkpoint(LOG, Checkpoint("log.example/one", 6, ROOT))
    with pytest.raises(IntegrityError, match="not the key's own"):
        verify_cosignatures(replace(other, signatures=(line,)), [witness.verifier_key], 1)


def test_a_log_key_makes_no_cosignature(witness: FileSigner) -> None:
    """A log's signature isn't taken for a witness's, nor the other way round."""
    with pytest.raises(Invalid):
        cosign(NOTE, LOG, 0)
    with pytest.raises(IntegrityError, match="got 0"):
        verify_cosignatures(NOTE, [witness.verifier_key], 1)
    plain = FileSigner(witness.name, bytes(range(32)))
    assert plain.verifier_key.key_id != witness.verifier_key.key_id
