# SPDX-License-Identifier: Apache-2.0
"""The ledger: its entries, one entry with its proof, opening one to somebody, and checking it all in the browser."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Path, Query, Response

from custodes.api.console.accuracy import kind_words
from custodes.api.console.entries import Wanted, checkpoint_shown, commitments, ledger_url, line_of, newest
from custodes.api.console.facts import Group, facts_of
from custodes.api.console.shown import words
from custodes.api.console.visits import Visit, Visitor
from custodes.api.console.wording import ACTIONS
from custodes.app import App
from custodes.errors import CustodesError, Invalid, NotFound
from custodes.governance import Role
from custodes.governance.request import from_json
from custodes.ledger import Disclosure, Note
from custodes.ledger.checkpoint import Checkpoint

__all__ = ["router"]

router = APIRouter(prefix="/console/ledger")

_PAGE = 50
_KINDS = (("use", "Uses of faces"), ("act", "Acts of those who govern"), ("system", "What happened by itself"))
_DECISIONS = (("permit", "Permitted"), ("deny", "Refused"))
_TOLD = frozenset(
    {"v", "at", "kind", "request", "rules_hash", "decision", "rules", "errors", "notice", "outcome", "event", "change"}
)
_TERMS = {
    "evaluation_kind": "What was measured",
    "fingerprint": "Fingerprint of what ran",
    "photos": "Photos it was measured on",
}
"""What details are called that have no plain name of their own."""
Index = Annotated[int, Path(ge=0, le=2**53)]


@router.get("")
async def entries(
    visit: Visitor,
    before: Annotated[int | None, Query(ge=0, le=2**53)] = None,
    kind: Annotated[str, Query(pattern="^(use|act|system)?$")] = "",
    action: Annotated[str, Query(pattern="^[A-Za-z]{0,40}$")] = "",
    decision: Annotated[str, Query(pattern="^(permit|deny)?$")] = "",
    case: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """List entries, the newest first."""
    app, wanted = visit.console.app, Wanted(kind, action, decision, case.strip())
    found = await visit.quick(lambda: newest(app.ledger, wanted.takes, before, _PAGE))
    checkpoint = await visit.quick(lambda: checkpoint_shown(app))
    chosen = {"kind": kind, "action": action, "decision": decision, "case": wanted.case}
    query = urlencode({name: value for name, value in chosen.items() if value})
    values = {
        "found": found,
        "before": before,
        "chosen": chosen,
        "query": query,
        "checkpoint": checkpoint,
        "kinds": _KINDS,
        "actions": sorted(((str(a), text) for a, text in ACTIONS.items()), key=lambda pair: pair[1]),
        "decisions": _DECISIONS,
    }
    return visit.page("ledger.html.j2", values)


@router.get("/verify")
async def verify(visit: Visitor) -> Response:
    """Check the log, an entry or a receipt in the browser."""
    checkpoint = await visit.quick(lambda: checkpoint_shown(visit.console.app))
    return visit.page("ledger_verify.html.j2", {"checkpoint": checkpoint, "url": ledger_url(visit)})


# --- one entry ---


def _entry(app: App, index: int) -> Mapping[str, Any]:
    """Read an entry, and see to it that a checkpoint covers it, so that it can be checked at once."""
    entry = app.ledger.entry(index)
    if Checkpoint.parse(Note.parse(app.ledger.checkpoint()).text).size <= index:
        app.ledger.checkpoint(fresh=True)
    return entry


def _groups(entry: Mapping[str, Any]) -> tuple[Group, ...]:
    if "request" not in entry:
        return ()
    try:
        return facts_of(from_json(entry["request"]))
    except Invalid:  # of another version; the raw bytes say it all
        return ()


def _details(entry: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what else an entry says in clear, in words."""
    hidden = {name for name, _ in commitments(entry)} | _TOLD
    told = []
    for name, value in entry.items():
        if name not in hidden and not isinstance(value, Mapping):
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            text = kind_words(text) if name == "evaluation_kind" else text
            told += [(_TERMS.get(name, words(name)), {"True": "yes", "False": "no"}.get(text, text))] if text else []
    return told


def _evaluation(visit: Visit, entry: Mapping[str, Any]) -> str:
    """Return the id of the evaluation that an entry tells of, if the visitor may see it."""
    told, session = entry.get("evaluation"), visit.session
    sees = entry.get("organisation") == session.organisation.id or session.roles & {Role.OVERSIGHT, Role.OPERATOR}
    return told if isinstance(told, str) and sees else ""


async def _show(visit: Visit, index: int, error: CustodesError | None = None, status: int = 200) -> Response:
    app = visit.console.app
    entry = await visit.quick(lambda: _entry(app, index))
    raw = orjson.dumps(entry, option=orjson.OPT_SORT_KEYS)  # the form that an entry has, or it would not be read
    values = {
        "index": index,
        "size": await visit.quick(app.ledger.size),
        "line": line_of(index, entry),
        "at": datetime.fromisoformat(str(entry["at"])),
        "decided": "request" in entry,
        "rules_hash": str(entry.get("rules_hash", "")),
        "evaluation": _evaluation(visit, entry),
        "details": _details(entry),
        "groups": _groups(entry),
        "commitments": commitments(entry),
        "raw": raw.decode(),
        "pretty": orjson.dumps(entry, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode(),
        "raw64": base64.b64encode(raw).decode(),
        "discloses": bool(visit.session.roles & {Role.ADMIN, Role.OPERATOR}),
        "url": ledger_url(visit),
        "error": error,
    }
    return visit.page("ledger_entry.html.j2", values, status=status)


@router.get("/{index}")
async def entry(visit: Visitor, index: Index) -> Response:
    """Show an entry."""
    return await _show(visit, index)


@router.get("/{index}/proof")
async def proof(visit: Visitor, index: Index) -> Response:
    """Hand an entry out with its proof, nothing opened."""
    data = await visit.quick(lambda: visit.console.app.ledger.prove(index))
    headers = {"content-disposition": f'attachment; filename="entry-{index}.json"'}
    return Response(data, media_type="application/json", headers=headers)


@router.post("/{index}/disclose")
async def disclose(visit: Visitor, index: Index) -> Response:
    """Open an entry to somebody: what its commitments stand for, with the proof; that is an entry too."""
    names = None if visit.has("all") else visit.texts("names")
    app = visit.console.app
    try:
        if names is not None and not names:
            raise Invalid("Nothing is chosen.", remedy="Choose what is to be opened.")
        data = await visit.quick(lambda: app.ledger.disclose(visit.caller(), index, names))
    except (Invalid, NotFound) as error:
        return await _show(visit, index, error, 400)
    told = Disclosure.from_json(data)
    values = {
        "index": index,
        "opened": [(o.name, o.value.decode("utf-8", "backslashreplace")) for o in told.openings],
        "data64": base64.b64encode(data).decode(),
    }
    return visit.page("ledger_disclosed.html.j2", values)
