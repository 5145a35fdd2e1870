# SPDX-License-Identifier: Apache-2.0
"""Signed results: a document, to its last byte, with the proof that the ledger commits to it (``custodes-signed/1``).

The entry of the use that gave the document commits to its SHA-256 under the name ``result``, and tells in clear by
which rules it was permitted and which model ran. So a figure that somebody publishes can be traced, with no database,
no network, and no trust in whoever shows it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

import orjson

from custodes.casework.imports import printable
from custodes.errors import IntegrityError, Invalid
from custodes.evaluation.results import FORM as EVALUATION
from custodes.evaluation.results import from_json
from custodes.evaluation.told import summary
from custodes.ledger import Disclosed, Log
from custodes.operations.exhibits import HOLDS, Findings, at, sealed

__all__ = ["FORM", "RESULT", "digest", "signed", "verify_signed"]

FORM = "custodes-signed/1"
"""What the JSON is; another number, another form."""
RESULT = "result"
"""Name of the commitment to a document in its entry."""

_ACTIONS = ("Evaluate", "Compare", "SearchReferences", "ScorePairs", "ListCollections")
"""Uses that give a document; no other entry is of one, whatever it commits to."""
_WORD = re.compile(r"[A-Za-z0-9./_-]{1,100}")
_SENTENCE = 1000  # characters of a hostile one
_COUNTED = {
    "scores": (("scores",), "pair", "pairs"),
    "compare": (("target", "faces"), "face of the target", "faces of the target"),
    "search": (("candidates",), "candidate", "candidates"),
}
"""What a tester's result has some of: where they stand, and what one and many of them are called."""
_UNVOUCHED = "It fits together, but nothing shows whose ledger it is: give --vkey."


def digest(document: bytes) -> bytes:
    """Return what an entry commits to of a document: its SHA-256 in hexadecimal."""
    return hashlib.sha256(document).hexdigest().encode()


def signed(log: Log, entry: int, document: bytes) -> bytes:
    """Return a document with the proof that an entry commits to it, as JSON; after the entry has committed.

    Args:
        log: the ledger.
        entry: index of the entry, which commits to the document as :data:`RESULT`.
        document: JSON; it stands in the result as a text, so that its bytes stay what they are.

    Raises:
        NotFound: if there is no such entry, or it commits to no document.
        IntegrityError: if it commits to another one.
    """
    seal = log.disclose(entry, [RESULT])
    if seal.openings[0].value != digest(document):
        raise IntegrityError(f"The document isn't the one that entry {entry} commits to.")
    told = {"form": FORM, "document": document.decode(), "seal": orjson.loads(seal.to_json()), "vkey": log.vkey}
    return bytes(orjson.dumps(told))


def verify_signed(raw: bytes, vkey: str | None = None) -> Findings:
    """Check a signed result offline: all of it is hostile.

    Args:
        raw: the JSON.
        vkey: the log's key, from somebody one trusts; the result's own word if omitted.

    Raises:
        Invalid: if it is no signed result, or the key is malformed.
    """
    told = _read(raw)
    text = str(told["document"])
    document = _document(text)
    what = (
        " ".join(str(w) for w in (at(document, "form"), at(document, "operation")) if w and _is_word(w))
        or "A signed result"
    )
    key = vkey or str(at(told, "vkey"))
    remarks = [] if vkey else ["The log's key is the result's own word: get it from elsewhere, and give it as --vkey."]
    try:
        found = sealed(at(told, "seal"), key)
        if found.values.get(RESULT) != digest(text.encode()):
            raise IntegrityError(f"The document isn't what entry {found.index} commits to: it was changed since.")
    except IntegrityError as e:
        return Findings(what, (), (e.message,), tuple(remarks))
    holds, problems = _holds(found, key), _problems(found, document)
    if problems or document is None:
        return Findings(what, holds, tuple(problems), tuple(remarks))
    remarks += _remarks(found, document)
    try:
        says = _says(document, text)
    except Invalid:
        says = ()
        remarks.append(f"What it says can't be told here: it is no {EVALUATION} as this version writes it.")
    shown = tuple(printable(sentence, _SENTENCE) for sentence in says)
    return Findings(what, holds, (), tuple(remarks), shown, HOLDS if vkey else _UNVOUCHED)


def _read(raw: bytes) -> Mapping[str, object]:
    try:
        told = orjson.loads(raw)
    except orjson.JSONDecodeError as e:
        raise Invalid("This is no signed result: it is no JSON.") from e
    if at(told, "form") != FORM or not isinstance(at(told, "document"), str):
        raise Invalid(f"This is no signed result: it is no JSON object of the form {FORM} with a document.")
    found: Mapping[str, object] = told
    return found


def _document(text: str) -> Mapping[str, object] | None:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def _is_word(value: object) -> bool:
    """Tell whether a value is a plain word, which can be shown whoever wrote it."""
    return isinstance(value, str) and _WORD.fullmatch(value) is not None


def _word(value: object) -> str:
    return str(value) if _is_word(value) else "?"


def _holds(found: Disclosed, key: str) -> tuple[str, ...]:
    entry = found.entry
    action = at(entry, "request", "action") or at(entry, "change")
    holds = [
        f"The checkpoint of {found.size} entries is signed by {key.split('+')[0]}.",
        f"Entry {found.index} is in the log at the checkpoint: {_word(entry.get('kind'))} {_word(action)} of "
        f"{_word(entry.get('organisation'))}, {entry.get('at')}.",
        "The entry commits to this document, to the last byte.",
    ]
    named = {"rules": entry.get("rules_hash"), "model": entry.get("model"), "fingerprint": entry.get("fingerprint")}
    holds += [f"The entry names the {name} {value}." for name, value in named.items() if _is_word(value)]
    return tuple(holds)


def _problems(found: Disclosed, document: Mapping[str, object] | None) -> list[str]:
    entry, problems = found.entry, []
    action = at(entry, "request", "action")
    if entry.get("kind") != "use" or action not in _ACTIONS:
        told = f"{_word(entry.get('kind'))} {_word(action)}"
        problems.append(f"Entry {found.index} is of nothing that gives a signed result: {told}.")
    if (entry.get("decision"), entry.get("outcome")) != ("permit", "done"):
        problems.append(f"Entry {found.index} isn't of something that was permitted and done.")
    if document is None:
        return [*problems, "The document is no JSON object."]
    ran, named = at(document, "deployed", "fingerprint"), entry.get("fingerprint")
    if ran != named or not _is_word(ran):
        problems.append(f"The document is of the model {_word(ran)}, and entry {found.index} of {_word(named)}.")
    if document.get("operation") != entry.get("testing"):
        asked, answered = _word(document.get("operation")), _word(entry.get("testing"))
        problems.append(f"The document answers {asked}, and entry {found.index} is of {answered}.")
    if "organisation" in document and document["organisation"] != entry.get("organisation"):
        asked, answered = _word(document["organisation"]), _word(entry.get("organisation"))
        problems.append(f"The document is for {asked}, and entry {found.index} of {answered}.")
    return problems


def _says(document: Mapping[str, object], text: str) -> tuple[str, ...]:
    """Return what a document tells, in sentences; whoever has a page with its figures can see whether they are these.

    Raises:
        Invalid: if it is no evaluation and says that it is one.
    """
    if document.get("form") == EVALUATION:
        made = from_json(text)
        data = f"An evaluation ({made.figures.kind}) of {made.made_at.isoformat()}, on data {made.dataset.sha256}."
        scores = (f"The CSV of its scores has the SHA-256 {made.scores_sha256}.",) if made.scores_sha256 else ()
        return data, *summary(made), *scores
    operation = document.get("operation")
    if not _is_word(operation):
        return ()
    place, one, many = _COUNTED.get(str(operation), ((), "", ""))
    found = at(document, *place)
    told = f", {len(found):,} {one if len(found) == 1 else many}" if isinstance(found, list) else ""
    return (f"The answer to {operation} of {document.get('at')}{told}.",)


def _remarks(found: Disclosed, document: Mapping[str, object]) -> list[str]:
    begun, decided = document.get("rules_hash"), found.entry.get("rules_hash")
    if begun == decided:
        return []
    return [f"The rules changed meanwhile: it was begun under {_word(begun)}, and permitted by {_word(decided)}."]
