# SPDX-License-Identifier: Apache-2.0
"""The files of a disclosure bundle: JSON to be checked, the same as CSV and as a page to be read, proofs, rules, faces.

Names are fixed ones or made of random ids; what is hostile is content alone. The page needs nothing else and runs
nothing; a CSV's cells begin with nothing that a spreadsheet takes for a formula.
"""

from __future__ import annotations

import csv
import hashlib
import io
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

import jinja2
import orjson
from markupsafe import Markup, escape

from custodes.casework import Import, ImportItem, Lead, Run, Standing
from custodes.casework.imports import inert
from custodes.operations.caserecord import CaseRecord
from custodes.operations.caserows import authority_row, candidate_row, image_row, instant, organisation_row
from custodes.operations.leadform import FOLLOWS, LIMITS, STATEMENT, figures_row

__all__ = ["ENTRIES", "FORM", "MANIFEST", "SEAL", "SEALED", "files_of", "manifest_of"]

FORM = "custodes/disclosure-bundle/v1"
"""What the manifest is; another number, another form."""
MANIFEST = "manifest.json"
SEAL = "seal.json"
ENTRIES = "ledger/entries.jsonl"
SEALED = "bundle"
"""Name of the commitment to a bundle's manifest in the entry of its export."""

_SHOWN = 2000
"""So many rows of a table are on the page; the CSV has all."""
_LONGEST = 600
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MARK = "\ufffd"

Row = Mapping[str, object]


def files_of(record: CaseRecord) -> dict[str, bytes]:
    """Return all files but manifest and seal, by name."""
    tables = _tables(record)
    made: dict[str, bytes] = {
        "README.txt": _readme(record).encode(),
        "index.html": _page(record, tables).encode(),
        "case.json": _json(_case(record)),
    }
    for name, table in tables.items():
        made[f"{name}.json"] = _json({name: table})
        made[f"{name}.csv"] = _csv(table)
    exhibits = record.exhibits
    made["ledger/checkpoint"] = exhibits.checkpoint.encode()
    made["ledger/vkey"] = f"{exhibits.vkey}\n".encode()
    made[ENTRIES] = b"".join(orjson.dumps(orjson.loads(d.to_json())) + b"\n" for d in exhibits.disclosures)
    made |= {f"rules/{r.hash}.json": r.text.encode() for r in record.rules if r.text}
    made |= {f"pictures/{i}-{f}.jpg": data for (i, f), data in sorted(record.pictures.items())}
    return made


def manifest_of(record: CaseRecord, made: Mapping[str, bytes]) -> bytes:
    """Return the manifest: what the bundle has, whether that is all, and the hash of each of its files."""
    exhibits = record.exhibits
    return _json(
        {
            "form": FORM,
            "statement": STATEMENT,
            "case": record.case.id,
            "organisation": record.case.organisation,
            "made_at": instant(record.made_at),
            "made_by": record.made_by,
            "complete": record.is_complete,
            "differences": list(record.differences),
            "sealed": sorted(record.sealed),
            "ledger": {
                "vkey": exhibits.vkey,
                "checkpoint": exhibits.checkpoint,
                "witnesses": list(exhibits.witnesses),
                "scanned_from": record.scanned[0],
                "scanned_before": record.scanned[1],
                "entries": [d.index for d in exhibits.disclosures],
            },
            "counts": {
                "searches": len(record.searches),
                "candidates": len(record.kept.candidates),
                "reviews": len(record.reviews),
                "leads": len(record.kept.leads),
                "images": len(record.kept.images),
                "imports": len(record.kept.imports),
            },
            "files": {name: hashlib.sha256(data).hexdigest() for name, data in sorted(made.items())},
        }
    )


# --- rows ---


def _tables(record: CaseRecord) -> dict[str, list[Row]]:
    kept = record.kept
    return {
        "searches": [s.to_json() for s in record.searches],
        "runs": [_run_row(r) for r in kept.runs],
        "candidates": [candidate_row(k) for k in kept.candidates],
        "unlisted": [
            {"entry": u.entry, "run": u.run, "reference": u.reference, "similarity": u.similarity, "why": u.why}
            for u in record.unlisted
        ],
        "reviews": [r.to_json() for r in record.reviews],
        "leads": [_lead_row(k) for k in kept.leads],
        "reviewers": [figures_row(f) for f in record.figures],
        "imports": [_import_row(i) for i in kept.imports],
        "not_brought_in": [_item_row(i, item) for i, many in kept.left_out.items() for item in many],
        "images": [image_row(i) for i in kept.images],
    }


def _case(record: CaseRecord) -> Row:
    case = record.case
    return {
        "statement": STATEMENT,
        "must_follow": list(FOLLOWS),
        "limits": list(LIMITS),
        "case": {
            "id": case.id,
            "kind": case.kind,
            "status": str(case.status),
            "title": case.title,
            "reference": case.reference,
            "opened_at": instant(case.opened_at),
            "closed_at": instant(case.closed_at),
            "authority": case.authority,
            "sensitive": case.sensitive,
        },
        "organisation": organisation_row(record.organisation),
        "authorities": [authority_row(a) for a in record.authorities],
        "standing_searches": [_standing_row(s) for s in record.kept.standing],
        "models": [m.to_json() for m in record.models.values()],
        "rules": [r.to_json() for r in record.rules],
    }


def _run_row(run: Run) -> Row:
    return {
        "id": run.id,
        "kind": str(run.kind),
        "at": instant(run.at),
        "by": run.by,
        "state": str(run.state),
        "why": run.why,
        "standing": run.standing,
        "searches": run.searches,
        "candidates": run.candidates,
    }


def _standing_row(s: Standing) -> Row:
    return {
        "id": s.id,
        "by": s.by,
        "made_at": instant(s.made_at),
        "last_run_at": instant(s.last_run_at),
        "active": s.active,
        "threshold": s.threshold,
        "collections": list(s.collections),
    }


def _lead_row(lead: Lead) -> Row:
    return {"id": lead.id, "candidate": lead.candidate, "made_at": instant(lead.made_at), "entry": lead.entry}


def _import_row(one: Import) -> Row:
    return {
        "id": one.id,
        "kind": one.kind,
        "state": str(one.state),
        "by": one.made_by,
        "made_at": instant(one.made_at),
        "done_at": instant(one.done_at),
        "entries": one.total,
        **{str(outcome): count for outcome, count in sorted(one.counts.items())},
        "provenance": one.provenance,
        "basis": one.basis,
        "source": one.source,
        "why": one.why,
    }


def _item_row(import_id: str, item: ImportItem) -> Row:
    return {
        "import": import_id,
        "number": item.number,
        "outcome": str(item.outcome),
        "reason": item.reason,
        "name": item.name,
        "detail": item.detail,
    }


# --- forms ---


def _json(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _csv(table: Sequence[Row]) -> bytes:
    columns = list(dict.fromkeys(name for row in table for name in row))
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(columns)
    writer.writerows([_cell(row.get(name)) for name in columns] for row in table)
    return out.getvalue().encode("utf-8-sig", "replace")


def _cell(value: object) -> str:
    """Return a cell as text that no spreadsheet runs."""
    if value is None:
        return ""
    if isinstance(value, str):
        return inert(value)
    return str(value) if isinstance(value, bool | int | float) else orjson.dumps(value).decode()


def _told(value: object) -> Markup:
    """Return a hostile value for the page: nothing in it is hidden, and it turns no other text's direction."""
    if value is None or value == "":
        return Markup("–")
    text = value if isinstance(value, str) else _cell(value)
    if len(text) > _LONGEST:
        text = text[: _LONGEST - 1] + "…"
    shown = "".join(_MARK if unicodedata.category(ch) in _HIDDEN and ch != "\n" else ch for ch in text)
    return Markup("<bdi>{}</bdi>").format(escape(shown))


def _instant(value: object) -> Markup:
    """Return a time as it is read."""
    return _told(f"{value[:10]} {value[11:16]} UTC") if isinstance(value, str) else Markup("–")


def _page(record: CaseRecord, tables: Mapping[str, list[Row]]) -> str:
    return _template().render(
        record=record,
        tables={name: rows[:_SHOWN] for name, rows in tables.items()},
        totals={name: len(rows) for name, rows in tables.items()},
        outcomes=Counter(s.outcome for s in record.searches),
        states=Counter(str(k.state) for k in record.kept.candidates),
        outside=sum(s.search is None for s in record.searches),
        faces={k.id: _face(record, k.image, k.face) for k in record.kept.candidates if record.leads_to(k)},
        probes={(s.probe, s.face): _face(record, s.probe, s.face) for s in record.kept.records},
        by_id={k.id: k for k in record.kept.candidates},
        case=_case(record),
        statement=STATEMENT,
        follows=FOLLOWS,
        limits=LIMITS,
    )


def _face(record: CaseRecord, image: str | None, face: int) -> str:
    """Return the name of a picture in the bundle, or nothing if it isn't there."""
    return f"pictures/{image}-{face}.jpg" if (image or "", face) in record.pictures else ""


@cache
def _template() -> jinja2.Template:
    text = files("custodes.operations").joinpath("bundle.html.j2").read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["told"] = _told
    environment.filters["instant"] = _instant
    return environment.from_string(text)


def _readme(record: CaseRecord) -> str:
    holds = "It is complete: the ledger agrees with what is in it."
    if not record.is_complete:
        holds = "IT ISN'T COMPLETE: the ledger doesn't agree with what is in it. manifest.json says where."
    return f"""Disclosure bundle of {record.case.id}, made {instant(record.made_at)}

{STATEMENT}

{holds}

Read index.html first. What holds are the .json files; each .csv has the same rows.

  case.json            whose case, on which authority, by which models and rules
  searches             every search and comparison of the case: also those that found nobody, were denied or failed,
                       and those that an access key made which named the case
  runs, candidates     what was searched together, and everybody who was found, whatever became of them
  unlisted             what searches found beyond the lists
  reviews, reviewers   how candidates were judged, and how often reviewers were wrong on controls
  leads                candidates that two reviewers support
  imports, images      where images come from; not_brought_in: what was refused, and why
  ledger/              the signed checkpoint, the log's key as the log says, every entry that is about the case,
                       opened as far as that is possible, with proofs
  rules/               the rules that decided, by the hash that the entries name
  pictures/            faces of probes and of leads
  manifest.json        what is in it, whether that is all, and the SHA-256 of every file
  seal.json            the ledger's entry of this export, which commits to the SHA-256 of manifest.json

To check it, offline, with no access to the system and no trust in who runs it:

  custodes leads check-bundle THIS.zip --vkey KEY
  custodes leads check-bundle THIS.zip --vkey KEY --ledger URL-OR-FOLDER

KEY is the log's verifier key; have it from somebody else than who gave you this. With --ledger the whole published
log is verified, and looked through for entries of this case that the bundle leaves out.
"""
