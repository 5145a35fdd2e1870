# SPDX-License-Identifier: Apache-2.0
"""Checkpoints and cosignatures in the database."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from custodes.errors import Conflict, IntegrityError, Invalid, NotFound
from custodes.ledger import FileSigner, KeyKind, Note, VerifierKey, Witness
from custodes.ledger.checkpoint import Checkpoint, cosign, sign_checkpoint, verify_checkpoint, verify_cosignatures

from .conftest import KEY, ORIGIN, Ledger


def _size(note: str) -> int:
    return Checkpoint.parse(Note.parse(note).text).size


def test_a_checkpoint_is_signed_over_the_log(ledger: Ledger) -> None:
    """Size and root are the log's, and its own key signed them; an empty log has one too."""
    for count in (0, 7):
        ledger.fill(count)
        checkpoint, _ = verify_checkpoint(ledger.log.checkpoint(fresh=True), VerifierKey.parse(ledger.log.vkey))
        assert checkpoint == Checkpoint(ORIGIN, count, ledger.log.root())


def test_a_checkpoint_is_made_when_the_last_is_old(ledger: Ledger) -> None:
    """Until its time is up the last one is handed out, unless the newest is asked for."""
    ledger.fill(3)
    assert _size(ledger.log.checkpoint()) == 3
    ledger.fill(1)
    ledger.clock.now += 9.9
    assert _size(ledger.log.checkpoint()) == 3
    assert _size(ledger.log.checkpoint(fresh=True)) == 4
    ledger.fill(1)
    ledger.clock.now += 10
    assert _size(ledger.log.checkpoint()) == 5
    ledger.clock.now += 100
    assert ledger.count("ledger_checkpoints") == 3
    assert _size(ledger.log.checkpoint()) == 5
    assert ledger.count("ledger_checkpoints") == 3


def test_two_roots_are_never_signed_for_one_size(ledger: Ledger) -> None:
    """If another checkpoint of this size turns out to be stored, the log doesn't hand out its own."""
    ledger.fill(2)

    def meanwhile() -> int:
        with ledger.database.transaction() as c:
            c.execute(sa.text("INSERT INTO ledger_checkpoints VALUES (2, 'another', 0)"))
        return 0

    ledger.log._notes._clock = meanwhile  # is asked between looking and storing
    with pytest.raises(IntegrityError, match="another checkpoint for its size 2"):
        ledger.log.checkpoint(fresh=True)


def test_a_witness_line_is_kept_and_handed_out(ledger: Ledger, witness: FileSigner, other_witness: FileSigner) -> None:
    """Lines of registered witnesses stand under their checkpoint from then on."""
    for w in (other_witness, witness, witness):
        ledger.log.add_witness(str(w.verifier_key))
    keys = ledger.log.witnesses()
    assert [k.name for k in keys] == [witness.name, other_witness.name]
    ledger.fill(3)
    note = Note.parse(ledger.log.checkpoint())
    with pytest.raises(NotFound):
        ledger.log.cosigned()
    assert ledger.log.accept_cosignature(str(cosign(note, witness, 1))) == (witness.name,)
    assert ledger.log.accept_cosignature(str(cosign(note, witness, 2))) == (witness.name,)  # later, of the same
    assert ledger.log.accept_cosignature(str(cosign(note, other_witness, 3))) == (other_witness.name,)
    found = Note.parse(ledger.log.checkpoint())
    assert verify_cosignatures(found, keys, 2) == (witness.name, other_witness.name)
    assert [int.from_bytes(s.data[:8], "big") for s in found.signatures[1:]] == [2, 3]
    ledger.fill(1)
    assert len(Note.parse(ledger.log.checkpoint(fresh=True)).signatures) == 1
    assert ledger.log.cosigned(2) == str(found)


def test_lines_that_do_not_belong_are_refused(ledger: Ledger, witness: FileSigner, other_witness: FileSigner) -> None:
    """Unregistered witnesses, forged lines, other logs' and never signed checkpoints are refused, and nothing kept."""
    ledger.fill(3)
    note = Note.parse(ledger.log.checkpoint())
    with pytest.raises(Invalid, match="registered witness"):
        ledger.log.accept_cosignature(str(cosign(note, witness, 1)))
    ledger.log.add_witness(str(witness.verifier_key))
    for unsigned in (str(note), str(cosign(note, other_witness, 1))):
        with pytest.raises(Invalid, match="registered witness"):
            ledger.log.accept_cosignature(unsigned)
    impostor = FileSigner(witness.name, bytes(32), KeyKind.COSIGNATURE)
    with pytest.raises(Invalid, match="registered witness"):
        ledger.log.accept_cosignature(str(cosign(note, impostor, 1)))
    forged = str(cosign(note, witness, 1))[:-9] + "AAAAAA==\n"
    with pytest.raises(IntegrityError):
        ledger.log.accept_cosignature(forged)
    for other in (
        Checkpoint(ORIGIN, 3, bytes(32)),
        Checkpoint(ORIGIN, 2, ledger.log.root(2)),
        Checkpoint("x", 3, bytes(32)),
    ):
        with pytest.raises(IntegrityError, match="not one that this ledger signed"):
            ledger.log.accept_cosignature(str(cosign(sign_checkpoint(ledger.signer, other), witness, 1)))
    for hostile in ("", "x\n\n", note.text, "a\nb\nc\n\n— x AAAAAAA=\n"):
        with pytest.raises(IntegrityError):
            ledger.log.accept_cosignature(hostile)
    assert ledger.count("ledger_cosignatures") == 0


def test_witnesses_have_one_name_and_one_key(ledger: Ledger, witness: FileSigner) -> None:
    """A registered name or key can't be taken by another, and the log is no witness of its own."""
    ledger.log.add_witness(str(witness.verifier_key))
    for clash in (
        FileSigner(witness.name, bytes(32), KeyKind.COSIGNATURE),
        FileSigner("witness.example/alias", bytes(range(32)), KeyKind.COSIGNATURE),
    ):
        with pytest.raises(Conflict):
            ledger.log.add_witness(str(clash.verifier_key))
    for wrong in (
        FileSigner("witness.example/w9", bytes(32)),
        FileSigner("witness.example/w9", KEY, KeyKind.COSIGNATURE),
        FileSigner(ORIGIN, bytes(32), KeyKind.COSIGNATURE),
    ):
        with pytest.raises(Invalid):
            ledger.log.add_witness(str(wrong.verifier_key))
    with pytest.raises(Invalid):
        ledger.log.add_witness("x+y+z")
    assert ledger.log.witnesses() == (witness.verifier_key,)


def test_a_witness_cosigns_a_log_that_grows(ledger: Ledger, witness: FileSigner) -> None:
    """With each checkpoint and proof the witness moves on, and the log takes its lines."""
    ledger.log.add_witness(str(witness.verifier_key))
    watching = Witness(witness, ledger.signer.verifier_key)
    for count in (0, 3, 0, 300):
        ledger.fill(count)
        note = ledger.log.checkpoint(fresh=True)
        proof = ledger.log.consistency(watching.seen.size)
        assert ledger.log.accept_cosignature(watching.cosign(note, proof, 1_800_000_000)) == (witness.name,)
    assert watching.seen.size == 303


def test_a_witness_catches_a_log_that_was_rewritten(new_ledger: Callable[[str], Ledger], witness: FileSigner) -> None:
    """A log that dropped an entry and signed anew gets no line, whatever proof it offers."""
    honest, rewritten = new_ledger("honest"), new_ledger("rewritten")
    honest.fill(40)
    watching = Witness(witness, honest.signer.verifier_key)
    watching.cosign(honest.log.checkpoint(), [], 1)
    rewritten.fill(20)
    rewritten.fill(30, 21)
    forged = rewritten.log.checkpoint()
    for proof in (rewritten.log.consistency(40), [], honest.log.inclusion(3)):
        with pytest.raises(IntegrityError, match="not proven to continue"):
            watching.cosign(forged, proof, 2)
    short = new_ledger("short")
    short.fill(39)
    with pytest.raises(IntegrityError, match="shrunk from 40 entries to 39"):
        watching.cosign(short.log.checkpoint(), [], 2)
    assert watching.seen.size == 40
