# SPDX-License-Identifier: Apache-2.0
"""Checking the report of a lead offline: with no database, no network, and no trust in whoever made it.

The JSON is what is checked; a PDF that Custodes made has it attached, and its pages are for people to read. What holds
is: the checkpoint is signed; every entry is in the log at the checkpoint; what is opened is what the entries commit
to; searches, candidates, reviews and the lead are what the entries say; and the report is, to the last letter, the one
that was exported, as the entry of its export has committed to it.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping

import orjson

from custodes.errors import IntegrityError, Invalid
from custodes.operations.crosscheck import Crosscheck
from custodes.operations.exhibits import Findings, Proven, at, digest_of, prove, rows, sealed
from custodes.operations.leadform import FORM, SEALED

__all__ = ["ATTACHED", "attached", "check_seal", "verify_report"]

ATTACHED = "lead-report.json"
"""What the JSON is called in the PDF."""

_MOST = 256 << 20
_HEAD = 1000  # bytes of an attachment's dictionary
_KIND = b"/Type /EmbeddedFile"
_STREAM = b">>\nstream\n"
_LENGTH = re.compile(rb"/Length (\d{1,10})\b")


def verify_report(raw: bytes, vkey: str | None = None) -> Findings:
    """Check the report of a lead.

    Args:
        raw: the JSON, or the PDF with the JSON in it.
        vkey: the log's key, from somebody one trusts; the report's own word if omitted.

    Raises:
        Invalid: if it is no report of a lead, or the key is malformed.
    """
    told = _read(attached(raw) if raw.startswith(b"%PDF") else raw)
    key = vkey or str(at(told, "ledger", "vkey"))
    held = at(told, "ledger", "disclosures")
    witnesses = at(told, "ledger", "witnesses")
    proven = prove(
        held if isinstance(held, list) else [],
        str(at(told, "ledger", "checkpoint")),
        key,
        [w for w in witnesses if isinstance(w, str)] if isinstance(witnesses, list) else [],
    )
    check = Crosscheck(proven.entries, str(at(told, "case", "id")), list(proven.problems))
    _check_parts(check, told)
    entry = check_seal(check, at(told, "seal"), key, SEALED, digest_of({k: v for k, v in told.items() if k != "seal"}))
    if entry is not None and entry.get("lead_id") != at(told, "lead", "id"):
        check.problems.append("The seal is of the export of another lead.")
    return _findings(told, check, proven, key, given=vkey is not None)


def _read(raw: bytes) -> Mapping[str, object]:
    try:
        told = orjson.loads(raw)
    except orjson.JSONDecodeError as e:
        raise Invalid("This is no report of a lead: it is no JSON.") from e
    if at(told, "form") != FORM:
        raise Invalid(f"This is no report of a lead: its form isn't {FORM}.")
    found: Mapping[str, object] = told
    return found


def _check_parts(check: Crosscheck, told: Mapping[str, object]) -> None:
    """Hold every part against the entries."""
    run, lead = at(told, "run"), at(told, "lead")
    run_row: Mapping[str, object] = run if isinstance(run, Mapping) else {}
    lead_row: Mapping[str, object] = lead if isinstance(lead, Mapping) else {}
    images = at(told, "images")
    searches, reviews, candidates = rows(told, "searches"), rows(told, "reviews"), rows(told, "candidates")
    check.searches(searches, images if isinstance(images, Mapping) else {})
    if any(s.get("run") != run_row.get("id") for s in searches):
        check.problems.append("A search is of another run than the report.")
    count = run_row.get("searches")
    if count != len(searches):
        check.problems.append(f"The run has made {count} searches, and {len(searches)} are told.")
    check.candidates(candidates, searches, rows(told, "unlisted"), run_row)
    if any(k.get("run") != run_row.get("id") for k in candidates):
        check.problems.append("A candidate is of another run than the report.")
    if not any(k.get("candidate") == lead_row.get("candidate") for k in candidates):
        check.problems.append("The lead isn't among the candidates.")
    check.reviews(reviews)
    check.lead(lead_row, reviews)


def check_seal(check: Crosscheck, seal: object, vkey: str, name: str, digest: str) -> Mapping[str, object] | None:
    """Check that an export has committed to what is at hand, and return its entry, or None if it hasn't.

    Args:
        check: told what doesn't hold.
        seal: the disclosure of the export's entry, as JSON values.
        vkey: the log's key.
        name: of the commitment.
        digest: of what is at hand, in hexadecimal.
    """
    try:
        found = sealed(seal, vkey)
    except IntegrityError as e:
        check.problems.append(e.message)
        return None
    if found.entry.get("case") != check.case:
        check.problems.append("The seal is of the export of another case.")
    if found.values.get(name) != digest.encode():
        check.problems.append(
            f"This isn't what was exported in entry {found.index}: something in it was changed since, or left out."
        )
        return None
    return found.entry


def _findings(told: Mapping[str, object], check: Crosscheck, proven: Proven, vkey: str, *, given: bool) -> Findings:
    holds = []
    if proven.size:
        holds.append(f"The checkpoint of {proven.size} entries is signed by {vkey.split('+')[0]}.")
        holds.append(f"{len(proven.entries)} entries are in the log at the checkpoint, and say what is opened of them.")
    if proven.witnesses:
        holds.append(f"The checkpoint is cosigned by {', '.join(proven.witnesses)}, by the keys in the report.")
    if not check.problems:
        parts = [f"{name}: {len(rows(told, name))}" for name in ("searches", "candidates", "reviews")]
        holds.append(f"All are what the entries say ({', '.join(parts)}).")
        holds.append("The report is the one that was exported, to the last letter.")
    remarks = list(dict.fromkeys(check.remarks))
    if not given:
        remarks.append("The log's key is the report's own word: get it from elsewhere, and give it as --vkey.")
    return Findings(str(at(told, "lead", "id")), tuple(holds), tuple(check.problems), tuple(remarks))


def attached(raw: bytes) -> bytes:
    """Return the JSON that is attached to a PDF which Custodes made.

    Raises:
        Invalid: if there is none. (A program that writes the PDF anew may store it otherwise.)
    """
    refusal = Invalid(
        "The PDF has no report attached in the way Custodes does it.",
        remedy="Detach the file with a PDF reader (pdfdetach -saveall), and check that.",
    )
    middle = raw.find(_KIND)
    start, end = raw.rfind(b" obj\n", 0, max(middle, 0)), raw.find(_STREAM, middle)
    head = raw[start:end] if middle >= 0 and start >= 0 and middle - start < _HEAD and end - middle < _HEAD else b""
    length = _LENGTH.search(head)
    if length is None:
        raise refusal
    data = raw[end + len(_STREAM) :][: int(length[1])]
    if b"/FlateDecode" not in head:
        return data
    try:
        inflate = zlib.decompressobj()
        whole = inflate.decompress(data, _MOST)
    except zlib.error as e:
        raise refusal from e
    if inflate.unconsumed_tail:
        raise Invalid(f"The report in the PDF has more than {_MOST} bytes.")
    return whole
