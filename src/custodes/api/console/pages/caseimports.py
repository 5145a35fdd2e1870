# SPDX-License-Identifier: Apache-2.0
"""Imports of a case: uploading a ZIP or photos, how far each is, what became of its entries, and a table of the rest.

An upload by a script is the request's raw body, sealed to disk as it comes and never whole in memory; what is said of
it comes in a header, so that no name or source is in an address. Without scripts a form brings a smaller file.
Names of entries are whatever somebody packed: they are shown as text alone, and made harmless for spreadsheets.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import csv
import io
import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.responses import JSONResponse

from custodes.api.console.forms import Body
from custodes.api.console.pages.casedesk import (
    PROVENANCES,
    AtCase,
    Working,
    at_case,
    casework,
    origin_of,
)
from custodes.casework import Import, ImportItem, ItemOutcome
from custodes.casework.imports import inert
from custodes.errors import CustodesError, Invalid, NotFound, Throttled
from custodes.governance import Provenance
from custodes.operations.desk import Origin

__all__ = ["router"]

router = APIRouter(prefix="/console/cases/{case}")

ImportId = Annotated[str, Path(pattern="^imp-[0-9a-f]{16}$")]

_FORM = 200 * 2**20
"""Bytes of an upload by a form, which is in memory."""
_SECONDS = 6 * 3600.0
"""Within which an upload by a script must have come."""
_IDLE = 60.0
"""Seconds without a part after which it is given up."""
_LEAST = 16 * 2**10
"""Bytes a second that must come on average, once ..."""
_SLOW = 60.0
"""... so many seconds were spent waiting for them."""
_HEADER = "x-custodes-import"
_AT_ONCE = 4
_PAGE = 200
_ROWS = 100_000
"""Rows of a table of what wasn't imported."""

_uploading: set[str] = set()
"""Who uploads by a script now: each has one place."""

Uploading = Annotated[AtCase, Depends(at_case(_FORM))]


def _told(work: Import) -> dict[str, object]:
    """Return how far an import is, for a script."""
    done = sum(work.counts.values())
    return {
        "id": work.id,
        "state": str(work.state),
        "done": done,
        "total": work.total,
        "counts": {str(o): work.counts.get(o, 0) for o in ItemOutcome},
        "why": work.why,
    }


async def _find(at: AtCase, import_id: str) -> Import:
    """Return an import of the case.

    Raises:
        NotFound: if there is none.
    """
    found = await at.visit.quick(lambda: casework(at.visit).imports.get(at.caller, import_id))
    if found.case != at.file.id:
        raise NotFound("There is no such import in this case.")
    return found


# --- looking ---


@router.get("/imports")
async def imports(at: Working) -> Response:
    """List the imports of a case."""
    found = await at.visit.quick(lambda: casework(at.visit).imports.list(at.caller, at.file.id))
    if at.visit.wants_json:
        return JSONResponse([_told(i) for i in found])
    return at.page("cases_imports.html.j2", "imports", {"imports": found})


@router.get("/imports/new")
async def ask_for_upload(at: Working) -> Response:
    """Ask for a ZIP or photos."""
    return await _ask(at)


@router.get("/imports/{import_id}")
async def show_import(
    at: Working,
    import_id: ImportId,
    outcome: Annotated[ItemOutcome | None, Query()] = None,
    after: Annotated[int, Query(ge=-1, le=10**9)] = -1,
) -> Response:
    """Show an import, and what became of its entries."""
    work = await _find(at, import_id)
    if at.visit.wants_json:
        return JSONResponse(_told(work))
    shown = outcome or next((o for o in (ItemOutcome.REFUSED, ItemOutcome.KNOWN) if work.counts.get(o)), None)
    shown = shown or ItemOutcome.IMPORTED
    operations = casework(at.visit).imports
    items, rest = await at.visit.quick(
        lambda: operations.items(at.caller, import_id, outcome=shown, after=after, limit=_PAGE)
    )
    values = {
        "work": work,
        "done": sum(work.counts.values()),
        "items": items,
        "outcome": shown,
        "outcomes": list(ItemOutcome),
        "after": after,
        "rest": rest,
        "provenances": PROVENANCES,
    }
    return at.page("cases_import.html.j2", "imports", values)


@router.get("/imports/{import_id}/refused.csv")
async def table(at: Working, import_id: ImportId) -> Response:
    """Return a table of what wasn't imported, and why."""
    await _find(at, import_id)
    operations = casework(at.visit).imports

    def rows(outcome: ItemOutcome) -> Iterator[list[object]]:
        after: int | None = -1
        written = 0
        while after is not None and written < _ROWS:
            items, after = operations.items(at.caller, import_id, outcome=outcome, after=after)
            written += len(items)
            yield from (_row(i) for i in items)

    def write() -> str:
        out = io.StringIO()
        lines = csv.writer(out)
        lines.writerow(["number", "outcome", "reason", "name", "what is said of it"])
        for outcome in (ItemOutcome.REFUSED, ItemOutcome.KNOWN, ItemOutcome.DUPLICATE):
            lines.writerows(rows(outcome))
        return out.getvalue()

    text = await at.visit.quick(write)
    named = {"content-disposition": f'attachment; filename="{import_id}-not-imported.csv"'}
    return Response("\ufeff" + text, media_type="text/csv; charset=utf-8", headers=named)


def _row(item: ImportItem) -> list[object]:
    return [item.number + 1, str(item.outcome), item.reason, inert(item.name), inert(item.detail)]


# --- stopping and going on ---


@router.post("/imports/{import_id}/stop")
async def stop(at: Working, import_id: ImportId) -> Response:
    """Stop an import."""
    await _find(at, import_id)
    await at.visit.quick(lambda: casework(at.visit).imports.stop(at.caller, import_id))
    return at.done(f"/imports/{import_id}", "The import is stopped. What it has brought stays.")


@router.post("/imports/{import_id}/resume")
async def resume(at: Working, import_id: ImportId) -> Response:
    """Let an import go on."""
    await _find(at, import_id)
    await at.visit.quick(lambda: casework(at.visit).imports.resume(at.caller, import_id))
    return at.done(f"/imports/{import_id}", "The import goes on.")


# --- uploading ---


async def _ask(at: AtCase, error: CustodesError | None = None, status: int = 200) -> Response:
    values = {
        "error": error,
        "provenances": [(str(k), text) for k, text in PROVENANCES.items()],
        "given": {n: at.visit.text(n) for n in ("provenance", "basis", "source")},
        "most": at.visit.console.app.config.imports.upload_bytes,
        "form_most": _FORM,
    }
    return at.page("cases_imports_new.html.j2", "imports", values, status=status)


@router.post("/imports")
async def upload(at: Uploading) -> Response:
    """Begin an import with an upload: the request's body for a script, the file of a form for people."""
    if at.visit.request.headers.get(_HEADER) is not None:
        return await _stream(at)
    visit = at.visit
    try:
        file = await visit.upload("file")
        origin = origin_of(visit, name=file.name)
        parts = (file.data[i : i + 2**20] for i in range(0, len(file.data), 2**20))
        made = await visit.quick(lambda: _begin(at, origin, parts))
    except Invalid as error:
        return await _ask(at, error, 400)
    return at.done(f"/imports/{made.id}", "The upload is kept, and its images are being brought in.")


def _begin(at: AtCase, origin: Origin, chunks: Iterator[bytes]) -> Import:
    return casework(at.visit).imports.spool(
        at.caller,
        at.file.id,
        chunks,
        name=origin.name,
        provenance=origin.provenance,
        basis=origin.basis,
        source=origin.source,
        sensitive=origin.sensitive,
    )


async def _stream(at: AtCase) -> Response:
    """Keep an upload as it comes.

    Raises:
        Throttled: if too many come at once, another of theirs does, or it comes too slowly.
        Invalid: if what is said of it can't be meant.
    """
    visit, app = at.visit, at.visit.console.app
    origin = _origin(at, visit.request.headers[_HEADER])
    body = Body(visit.request, visit.console.gate, visit.session.principal, app.config.imports.upload_bytes, _SECONDS)
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        stack.enter_context(_place(visit.session.principal))
        parts = body.stream()
        stack.push_async_callback(parts.aclose)
        stack.callback(body.release)
        arrival = _Arrival()

        def chunks() -> Iterator[bytes]:
            while (part := asyncio.run_coroutine_threadsafe(_next(body, parts, arrival), loop).result()) is not None:
                yield part

        made = await asyncio.to_thread(_begin, at, origin, chunks())
    return JSONResponse({"id": made.id, "page": f"{at.path}/imports/{made.id}"})


@contextmanager
def _place(principal: str) -> Iterator[None]:
    """Take somebody's one place to upload, and give it back in the end.

    Raises:
        Throttled: if all places are taken, or theirs is.
    """
    if principal in _uploading:
        raise Throttled("Another upload of yours goes on.", remedy="Wait until it is done, or cancel it.")
    if len(_uploading) >= _AT_ONCE:
        raise Throttled("Too many uploads come at once.", remedy="Wait until another is done.")
    _uploading.add(principal)
    try:
        yield
    finally:
        _uploading.discard(principal)


@dataclass(slots=True)
class _Arrival:
    """How much of an upload has come, and for how long it was waited for."""

    size: int = 0
    waited: float = 0.0


async def _next(body: Body, parts: AsyncGenerator[bytes, None], arrival: _Arrival) -> bytes | None:
    """Return the next part of a body, which is in memory no longer than until it is on the disk; None at the end.

    Raises:
        Throttled: if nothing comes for long, or too little.
    """
    body.release()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    try:
        async with asyncio.timeout(_IDLE):
            part = await anext(parts, None)
    except TimeoutError as e:
        raise Throttled(f"Nothing of the upload came for {_IDLE:g} seconds.", remedy="Upload it again.") from e
    arrival.waited += loop.time() - begun
    arrival.size += len(part or b"")
    if part is not None and arrival.waited > _SLOW and arrival.size < _LEAST * arrival.waited:
        raise Throttled(
            f"The upload comes at less than {_LEAST // 1024} KiB a second.",
            remedy="Upload less at once, or from where the connection is better.",
        )
    return part


def _origin(at: AtCase, header: str) -> Origin:
    """Return where an upload comes from, as the header tells it: JSON in base64.

    Raises:
        Invalid: if it can't be meant.
    """
    try:
        told = json.loads(base64.b64decode(header, validate=True))
    except (ValueError, binascii.Error) as e:
        raise Invalid("What is said of the upload can't be read.", remedy="Load the page again.") from e
    if not isinstance(told, Mapping) or not all(isinstance(v, str) for v in told.values()):
        raise Invalid("What is said of the upload can't be read.", remedy="Load the page again.")
    provenance, basis, source = (told.get(name, "").strip() for name in ("provenance", "basis", "source"))
    if provenance not in set(Provenance) or not basis or not source:
        raise Invalid("Say where the images come from, on which legal basis you hold them, and who gave them to you.")
    return Origin(provenance, basis, source, told.get("name", ""), sensitive=told.get("sensitive") == "yes" or None)
