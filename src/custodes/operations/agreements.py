# SPDX-License-Identifier: Apache-2.0
"""How somebody has agreed to be recognised by cameras, and what is hashed of it where there is no document."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

import orjson

from custodes.db.sealing import words
from custodes.errors import Invalid
from custodes.gallery import Collection
from custodes.governance import ConsentKind

__all__ = ["Agreement", "statement_of"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """A consent to be recognised.

    Attributes:
        by: who has given it: the person, or whoever may for a child.
        kind: how.
        until: when it ends at the latest.
        document_hash: SHA-256 of the document, in hexadecimal; a written release has one. Empty where there is none: a
            statement is made then, for the household to keep.
    """

    by: str
    kind: ConsentKind
    until: datetime
    document_hash: str = ""

    def __post_init__(self) -> None:
        words(self.by, "Who has given the consent", 200, empty=False)
        if self.until.tzinfo is None:
            raise Invalid("When a consent ends has a time zone.")
        if self.kind == ConsentKind.WRITTEN_RELEASE and not self.document_hash:
            raise Invalid(
                "A written release is a document, and it isn't said which.",
                remedy="Give its SHA-256: sha256sum FILE prints it.",
            )


def statement_of(name: str, agreement: Agreement, collection: Collection) -> tuple[bytes, str]:
    """Return a statement of consent, if there is no document of it, and the hash that is recorded.

    It has a random number, so that its hash tells nobody who can guess the rest.
    """
    if agreement.document_hash:
        return b"", agreement.document_hash
    told = {
        "statement": "The person agrees to be recognised by cameras of this organisation.",
        "person": name,
        "given_by": agreement.by,
        "kind": str(agreement.kind),
        "purpose": collection.purpose,
        "collection": collection.uid,
        "until": agreement.until.isoformat(),
        "number": secrets.token_hex(16),
    }
    statement = orjson.dumps(told, option=orjson.OPT_INDENT_2)
    return statement, hashlib.sha256(statement).hexdigest()
