# SPDX-License-Identifier: Apache-2.0
"""Grounds that a use may rest on: authorities, consents, and duties that somebody attests to.

Of a document only its SHA-256 is kept: the file is read here, hashed and forgotten.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from custodes.api.console.reading import Misread, beside, chosen, collection_name, first_instant, known, label, whole
from custodes.api.console.visits import Visit, Visitor, visiting
from custodes.errors import CustodesError, Invalid, NotFound
from custodes.governance import Authority, AuthorityKind, Consent, ConsentKind, Purpose, Role
from custodes.operations.grounds import Attested

__all__ = ["router"]

router = APIRouter(prefix="/console/grounds")

_HERE = "/console/grounds"
_PAGE = 100
_MOST_DAYS = 3650
_DOCUMENT_BYTES = 100_000_000
_Sender = Annotated[Visit, Depends(visiting(_DOCUMENT_BYTES))]
_KINDS = (
    (AuthorityKind.WARRANT, "Warrant"),
    (AuthorityKind.COURT_ORDER, "Court order"),
    (AuthorityKind.CONSENT, "Consent to a search"),
)
_CONSENTS = (
    (ConsentKind.EXPLICIT, "Explicit consent (GDPR)"),
    (ConsentKind.WRITTEN_RELEASE, "Written release (BIPA)"),
)
_Page = Annotated[int, Query(ge=1, le=100_000)]


def _part(page: int, count: int) -> dict[str, object]:
    return {"page": page, "pages": -(-count // _PAGE), "count": count}


async def _document(visit: Visit) -> str:
    """Return the SHA-256 of the document that was chosen, or the one that was typed.

    Raises:
        Misread: if there is neither, or both.
    """
    typed, files = visit.text("sha256").lower(), await visit.uploads("document")
    if bool(typed) == bool(files):
        raise Misread("document", "Choose the document, or type its SHA-256; one of them.")
    return typed or hashlib.sha256(files[0].data).hexdigest()


def _collections(visit: Visit) -> tuple[str, ...]:
    """Return the collections that were typed, one a line.

    Raises:
        Misread: if there is none, or one can't be a name.
    """
    names = tuple(dict.fromkeys(visit.text("collections").split()))
    try:
        found = tuple(map(collection_name, names))
    except Misread as error:
        raise Misread("collections", error.message) from error
    if not found:
        raise Misread("collections", "Name at least one collection.")
    return found


# --- authorities ---


async def _authorities(visit: Visit, page: int = 1, error: CustodesError | None = None) -> Response:
    app, caller = visit.console.app, visit.caller()

    def read() -> tuple[tuple[Authority, ...], tuple[Purpose, ...], datetime]:
        return app.managing.authorities(caller), app.invitations.suited(caller.principal), app.overview.now()

    found, suited, now = await visit.quick(read)
    satisfied = {a.satisfies for a in found}
    waiting = [a for a in found if a.kind == AuthorityKind.EXIGENCY and a.id not in satisfied]
    names = ("kind", "issuer", "sha256", "collections", "not_before", "not_after", "subjects", "satisfies")
    values = {
        "tab": "authorities",
        "found": found[(page - 1) * _PAGE : page * _PAGE],
        "waiting": waiting,
        "now": now,
        "kinds": _KINDS,
        "purposes": [(str(p), p) for p in suited],
        "typed": {n: visit.text(n) for n in names},
        "chosen": visit.texts("purposes"),
        "error": error,
        "errors": beside(error),
    } | _part(page, len(found))
    return visit.page("grounds_authorities.html.j2", values, status=200 if error is None else 400)


@router.get("")
async def authorities(visit: Visitor, page: _Page = 1) -> Response:
    """List the authorities, and the exigencies that wait for one."""
    return await _authorities(visit, page)


@router.post("")
async def file(visit: _Sender) -> Response:
    """File an authority."""
    app, caller = visit.console.app, visit.caller()
    try:
        kind = known("kind", visit.text("kind"), AuthorityKind, "what it is")
        if not visit.text("issuer"):
            raise Misread("issuer", "This is needed.")
        digest, purposes = await _document(visit), chosen("purposes", visit.texts("purposes"), Purpose, "a purpose")
        names = _collections(visit)
        begins = first_instant("not_before", visit.text("not_before"))
        ends = first_instant("not_after", visit.text("not_after")) + timedelta(days=1)
        made: Authority = await visit.quick(
            lambda: app.grounds.file(
                caller,
                kind,
                issuer=visit.text("issuer"),
                document_hash=digest,
                purposes=purposes,
                collections=names,
                not_before=begins,
                not_after=ends,
                subjects=visit.text("subjects").split(),
                satisfies=visit.text("satisfies") or None,
            )
        )
    except (Invalid, NotFound, OverflowError) as error:
        told = Misread("not_after", "This ends too late.") if isinstance(error, OverflowError) else error
        return await _authorities(visit, error=told)
    return visit.done(_HERE, f"{made.id} is filed.")


# --- consents ---


async def _consents(visit: Visit, page: int = 1, error: CustodesError | None = None) -> Response:
    app, caller = visit.console.app, visit.caller()

    def read() -> tuple[tuple[Consent, ...], tuple[Purpose, ...], datetime]:
        return app.managing.consents(caller), app.invitations.suited(caller.principal), app.overview.now()

    found, suited, now = await visit.quick(read)
    values = {
        "tab": "consents",
        "found": found[(page - 1) * _PAGE : page * _PAGE],
        "now": now,
        "kinds": _CONSENTS,
        "purposes": [(str(p), p) for p in suited],
        "typed": {n: visit.text(n) for n in ("kind", "collections", "label", "sha256", "days")},
        "chosen": visit.texts("purposes"),
        "error": error,
        "errors": beside(error),
    } | _part(page, len(found))
    return visit.page("grounds_consents.html.j2", values, status=200 if error is None else 400)


@router.get("/consents")
async def consents(visit: Visitor, page: _Page = 1) -> Response:
    """List the consents to being enrolled."""
    return await _consents(visit, page)


@router.post("/consents")
async def record(visit: _Sender) -> Response:
    """Record a consent."""
    app, caller = visit.console.app, visit.caller()
    try:
        kind = known("kind", visit.text("kind"), ConsentKind, "what it is")
        names, mark = _collections(visit), label(visit.text("label"))
        if len(names) > 1:
            raise Misread("collections", "A consent is for one collection.")
        if mark is None:
            raise Misread("label", "This is needed: it says which photos the consent is for.")
        digest, purposes = await _document(visit), chosen("purposes", visit.texts("purposes"), Purpose, "a purpose")
        days = whole("days", visit.text("days"), "It lasts", 1, _MOST_DAYS)
        made: Consent = await visit.quick(
            lambda: app.grounds.consent(
                caller,
                kind,
                collection=names[0],
                external_image_id=mark,
                purposes=purposes,
                document_hash=digest,
                days=days,
            )
        )
    except (Invalid, NotFound) as error:
        return await _consents(visit, error=error)
    return visit.done(f"{_HERE}/consents", f"{made.id} is recorded.")


@router.post("/consents/{consent}/withdraw")
async def withdraw(visit: Visitor, consent: Annotated[str, Path(pattern=r"^consent-[0-9a-f]{16}$")]) -> Response:
    """Withdraw a consent, and erase what was enrolled on it."""
    app, caller = visit.console.app, visit.caller()

    def act() -> int:
        app.grounds.withdraw(caller, consent)
        return app.erasure.run_retention()

    gone = await visit.quick(act)
    return visit.done(f"{_HERE}/consents", f"{consent} is withdrawn; {gone} faces are erased.")


# --- duties ---


async def _duties(visit: Visit, org: str = "", error: CustodesError | None = None, about: str = "") -> Response:
    app, caller = visit.console.app, visit.caller()
    owner = org or visit.session.organisation.id
    whole_house = Role.OPERATOR in visit.session.roles

    def read() -> tuple[tuple[Attested, ...], datetime, Mapping[str, str]]:
        names = {o.id: o.name for o in app.people.organisations()} if whole_house else {}
        return app.managing.duties(caller, owner), app.overview.now(), names

    duties, now, names = await visit.quick(read)
    values = {
        "tab": "duties",
        "duties": duties,
        "now": now,
        "org": owner,
        "names": names,
        "error": error,
        "about": about,
    }
    return visit.page("grounds_duties.html.j2", values, status=200 if error is None else 400)


@router.get("/duties")
async def duties(visit: Visitor, org: Annotated[str, Query(max_length=64)] = "") -> Response:
    """List what software can't enforce, and who attests to it."""
    return await _duties(visit, org)


@router.post("/duties")
async def attest(visit: Visitor) -> Response:
    """Attest to a duty."""
    app, caller = visit.console.app, visit.caller()
    duty, org = visit.text("duty"), visit.text("org") or visit.session.organisation.id
    try:
        days = whole("days", visit.text("days"), "An attestation is for", 1, _MOST_DAYS)
        await visit.quick(lambda: app.grounds.attest(caller, duty, days, org))
    except Invalid as error:
        return await _duties(visit, org, error, duty)
    return visit.done(f"{_HERE}/duties?org={org}", "It is attested to, in your name.")
