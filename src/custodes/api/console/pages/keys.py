# SPDX-License-Identifier: Apache-2.0
"""Access keys of programs: one's own for everybody, other people's for those who manage them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from custodes.api.console.pages.people import NO_ADDRESS, PrincipalId, show_person
from custodes.api.console.reading import beside, known, whole
from custodes.api.console.visits import Visit, Visitor
from custodes.errors import CustodesError, Invalid
from custodes.governance import AccessKey, Provenance, Purpose
from custodes.operations.managing import Person

__all__ = ["router"]

router = APIRouter()

_HERE = "/console/keys"
_MOST_DAYS = 3650
_KeyId = Annotated[str, Path(pattern=r"^[A-Z0-9]{16,32}$")]


async def _own(visit: Visit, error: CustodesError | None = None) -> Response:
    app, caller = visit.console.app, visit.caller()

    def read() -> tuple[Person, tuple[Purpose, ...]]:
        return app.managing.oneself(caller), app.invitations.suited(caller.principal)

    person, suited = await visit.quick(read)
    values = {
        "person": person,
        "now": person.now,
        "suited": suited,
        "error": error,
        "errors": beside(error),
        "typed": {name: visit.text(name) for name in ("label", "purpose", "provenance", "days")},
    }
    return visit.page("keys.html.j2", values, status=200 if error is None else 400)


@router.get(_HERE)
async def own(visit: Visitor) -> Response:
    """Show one's own keys."""
    return await _own(visit)


async def _make(visit: Visit, principal: str) -> AccessKey:
    """Make a key as the form says.

    Raises:
        Invalid: if a field can't be meant.
        Denied: if a rule forbids it.
    """
    app, caller = visit.console.app, visit.caller()
    purpose = known("purpose", visit.text("purpose"), Purpose, "a purpose")
    named = visit.text("provenance")
    provenance = known("provenance", named, Provenance, "where images come from") if named else None
    days = whole("days", visit.text("days"), "It is valid for", 1, _MOST_DAYS) if visit.text("days") else None
    return await visit.quick(
        lambda: app.identity.create_key(
            caller,
            visit.text("label"),
            principal=principal,
            purpose=purpose,
            case=visit.text("case") or None,
            authority=visit.text("authority") or None,
            provenance=None if provenance is None else str(provenance),
            days=days,
        )
    )


def _made(visit: Visit, key: AccessKey, back: str) -> Response:
    """Show a key's secret, this once."""
    region, endpoint = visit.console.app.config.server.region, visit.address or "/"
    profile = (
        f"[custodes]\naws_access_key_id = {key.access_key_id}\naws_secret_access_key = {key.secret}\n"
        f"region = {region}\nendpoint_url = {endpoint}\n"
    )
    values = {
        "title": "A new access key",
        "trail": [("Keys", back), (key.access_key_id, "")],
        "lead": "The secret is shown this once. It belongs into a file that its holder alone can read, and into no "
        "e-mail." + ("" if visit.address else NO_ADDRESS),
        "secrets": [
            ("id", "Access key id", key.access_key_id),
            ("secret", "Secret", key.secret or ""),
            ("endpoint", "Endpoint", endpoint),
        ],
        "snippet": profile,
        "back": back,
    }
    return visit.page("shown_once.html.j2", values)


@router.post(_HERE)
async def make_own(visit: Visitor) -> Response:
    """Make a key of one's own."""
    try:
        key = await _make(visit, visit.session.principal)
    except Invalid as error:
        return await _own(visit, error)
    return _made(visit, key, _HERE)


@router.post("/console/people/{principal}/keys")
async def make(visit: Visitor, principal: PrincipalId) -> Response:
    """Make a key for somebody."""
    try:
        key = await _make(visit, principal)
    except Invalid as error:
        return await show_person(visit, principal, error, "keys")
    return _made(visit, key, f"/console/people/{principal}")


@router.post(_HERE + "/{key}/revoke")
async def revoke(visit: Visitor, key: _KeyId) -> Response:
    """Make a key useless, for good."""
    done: AccessKey = await visit.quick(lambda: visit.console.app.identity.revoke_key(visit.caller(), key))
    back = _HERE if done.principal == visit.session.principal else f"/console/people/{done.principal}"
    return visit.done(back, f"The key {key} is revoked: running servers follow within a second.")
