# SPDX-License-Identifier: Apache-2.0
"""One entry, opened to someone: what an outsider needs to check it without database, network or trust.

A receipt is a disclosure too, often one that opens nothing. Its form is a JSON object; bytes are in base64.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import orjson

from custodes.errors import CustodesError, IntegrityError
from custodes.ledger.entry import Opening
from custodes.ledger.merkle import HASH

__all__ = ["Disclosure"]

_FORM = "custodes/disclosure/v1"
_MAX_PROOF = 64


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass(frozen=True, slots=True)
class Disclosure:
    """An entry with its proof.

    Attributes:
        index: its place in the log.
        entry: its bytes.
        openings: what commitments in it stand for.
        proof: hashes from the entry to the checkpoint's root.
        checkpoint: a signed note.
        vkey: the key that the log says is its own; who checks should have it from elsewhere.
    """

    index: int
    entry: bytes
    openings: tuple[Opening, ...]
    proof: tuple[bytes, ...]
    checkpoint: str
    vkey: str

    def to_json(self) -> bytes:
        """Return the form that is handed out."""
        shown = {
            "form": _FORM,
            "index": self.index,
            "entry": _base64(self.entry),
            "openings": [{"name": o.name, "value": _base64(o.value), "salt": _base64(o.salt)} for o in self.openings],
            "proof": [_base64(h) for h in self.proof],
            "checkpoint": self.checkpoint,
            "vkey": self.vkey,
        }
        return bytes(orjson.dumps(shown, option=orjson.OPT_INDENT_2))

    @classmethod
    def from_json(cls, raw: str | bytes) -> Disclosure:
        """Read what :meth:`to_json` wrote; nothing is checked yet but the form.

        Raises:
            IntegrityError: if it has another form.
        """
        try:
            shown = orjson.loads(raw)
            if shown["form"] != _FORM or type(shown["index"]) is not int or len(shown["proof"]) > _MAX_PROOF:
                raise ValueError(_FORM)
            texts = shown["checkpoint"], shown["vkey"]
            if not all(isinstance(t, str) for t in texts):
                raise ValueError(_FORM)
            proof = tuple(base64.b64decode(h, validate=True) for h in shown["proof"])
            if any(len(h) != HASH for h in proof):
                raise ValueError(_FORM)
            return cls(
                shown["index"],
                base64.b64decode(shown["entry"], validate=True),
                tuple(
                    Opening(
                        o["name"],
                        base64.b64decode(o["value"], validate=True),
                        base64.b64decode(o["salt"], validate=True),
                    )
                    for o in shown["openings"]
                ),
                proof,
                *texts,
            )
        except (ValueError, KeyError, TypeError, CustodesError) as e:
            raise IntegrityError(f"A disclosure is a JSON object of the form {_FORM}.") from e
