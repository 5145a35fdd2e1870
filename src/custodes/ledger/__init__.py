# SPDX-License-Identifier: Apache-2.0
"""The append-only ledger: entries in a Merkle tree, signed checkpoints, and a verifier that trusts nobody."""

from __future__ import annotations

from custodes.ledger.audit import Disclosed, Verified, check_disclosure, verify
from custodes.ledger.checkpoint import KeyKind, Note, Signer, VerifierKey
from custodes.ledger.disclosure import Disclosure
from custodes.ledger.entry import Opening, commit, parse
from custodes.ledger.log import Appended, Log, NewEntry
from custodes.ledger.publish import Published
from custodes.ledger.signer import FileSigner
from custodes.ledger.sources import Source, open_source
from custodes.ledger.witness import Witness

__all__ = [
    "Appended",
    "Disclosed",
    "Disclosure",
    "FileSigner",
    "KeyKind",
    "Log",
    "NewEntry",
    "Note",
    "Opening",
    "Published",
    "Signer",
    "Source",
    "Verified",
    "VerifierKey",
    "Witness",
    "check_disclosure",
    "commit",
    "open_source",
    "parse",
    "verify",
]
