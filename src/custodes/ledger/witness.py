# SPDX-License-Identifier: Apache-2.0
"""A witness: someone else's key that vouches that a log only ever grew (https://c2sp.org/tlog-cosignature).

Pure: it remembers the largest checkpoint that it has cosigned, and whoever runs it keeps that between runs. It
cosigns a checkpoint only if the log proves that it continues that one.
"""

from __future__ import annotations

from collections.abc import Sequence

from custodes.errors import IntegrityError
from custodes.ledger.checkpoint import Checkpoint, Signer, VerifierKey, cosign, verify_checkpoint
from custodes.ledger.merkle import EMPTY, verify_consistency

__all__ = ["Witness"]


class Witness:
    """Watches one log.

    Args:
        signer: the witness's key, for cosignatures.
        log: the log's key.
        seen: the largest checkpoint that was cosigned before, or None.
    """

    def __init__(self, signer: Signer, log: VerifierKey, seen: Checkpoint | None = None) -> None:
        self._signer = signer
        self._log = log
        self.seen = seen if seen is not None else Checkpoint(log.name, 0, EMPTY)

    def cosign(self, note: str | bytes, proof: Sequence[bytes], timestamp: int) -> str:
        """Return a checkpoint with this witness's line.

        Args:
            note: the log's signed checkpoint.
            proof: that it continues the one that was :attr:`seen` last.
            timestamp: seconds since 1970.

        Raises:
            IntegrityError: if it isn't the log's, is smaller than the last, or doesn't continue it.
        """
        checkpoint, signed = verify_checkpoint(note, self._log)
        if checkpoint.size < self.seen.size:
            raise IntegrityError(f"The log has shrunk from {self.seen.size} entries to {checkpoint.size}.")
        verify_consistency(self.seen.size, checkpoint.size, proof, self.seen.root, checkpoint.root)
        self.seen = checkpoint
        return str(cosign(signed, self._signer, timestamp))
