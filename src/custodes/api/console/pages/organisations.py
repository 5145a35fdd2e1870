# SPDX-License-Identifier: Apache-2.0
"""Organisations: the operator's alone. Class and place decide which rules bind one, and are fixed from the start."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Path, Response

from custodes.api.console.reading import Misread, beside, known
from custodes.api.console.visits import Visit, Visitor
from custodes.errors import CustodesError, Invalid
from custodes.governance import Organisation, OrgClass
from custodes.governance.request import NO_JURISDICTION

__all__ = ["router"]

router = APIRouter(prefix="/console/people/organisations")

_HERE = "/console/people/organisations"
_PLACE = r"[A-Z]{2}(-[A-Z0-9]{1,3})?"
_OrganisationId = Annotated[str, Path(pattern=r"^(local|org-[0-9a-f]{16})$")]
_CLASSES = (
    (OrgClass.GENERAL, "General: photo library, access control, identity verification"),
    (OrgClass.HOUSEHOLD, "Household: photo library, home security"),
    (OrgClass.VICTIM_RESCUE, "Victim rescue: missing persons, victim identification"),
    (OrgClass.LAW_ENFORCEMENT, "Law enforcement"),
    (OrgClass.OVERSIGHT, "Oversight: uses no faces"),
    (OrgClass.TESTER, "Tester: measures accuracy"),
)


async def _list(visit: Visit, error: CustodesError | None = None, typed: Mapping[str, str] | None = None) -> Response:
    app, caller = visit.console.app, visit.caller()

    def read() -> tuple[tuple[Organisation, ...], Counter[str]]:
        return app.managing.organisations(caller), Counter(p.organisation for p in app.people.principals())

    organisations, counts = await visit.quick(read)
    values = {
        "organisations": organisations,
        "counts": counts,
        "classes": _CLASSES,
        "error": error,
        "errors": beside(error),
        "typed": {"name": "", "org_class": "", "place": ""} | dict(typed or {}),
    }
    return visit.page("organisations.html.j2", values, status=200 if error is None else 400)


@router.get("")
async def organisations(visit: Visitor) -> Response:
    """List all organisations."""
    return await _list(visit)


@router.post("")
async def add(visit: Visitor) -> Response:
    """Add an organisation."""
    app, caller = visit.console.app, visit.caller()
    name, place = visit.text("name"), visit.text("place").upper()
    try:
        if not name:
            raise Misread("name", "This is needed.")
        org_class = known("org_class", visit.text("org_class"), OrgClass, "what it is")
        if place and not re.fullmatch(_PLACE, place):
            raise Misread("place", "A place is the code of a country (DE) or of a state of the United States (US-WA).")
        await visit.quick(lambda: app.people.add_organisation(caller, name, org_class, place or NO_JURISDICTION))
    except Invalid as error:
        return await _list(visit, error, {"name": name, "org_class": visit.text("org_class"), "place": place})
    return visit.done(_HERE, "The organisation is added. Add its first administrator now, under People.")


@router.post("/{organisation}/suspend")
async def suspend(visit: Visitor, organisation: _OrganisationId) -> Response:
    """Let an organisation do nothing any more."""
    app, caller = visit.console.app, visit.caller()
    await visit.quick(lambda: app.people.suspend_organisation(caller, organisation, suspended=True))
    return visit.done(_HERE, "The organisation is suspended, and its people are signed out.")


@router.post("/{organisation}/resume")
async def resume(visit: Visitor, organisation: _OrganisationId) -> Response:
    """Let a suspended organisation act again."""
    app, caller = visit.console.app, visit.caller()
    await visit.quick(lambda: app.people.suspend_organisation(caller, organisation, suspended=False))
    return visit.done(_HERE, "The organisation may act again.")
