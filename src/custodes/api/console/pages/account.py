# SPDX-License-Identifier: Apache-2.0
"""The account: password, authenticator, sessions."""

from __future__ import annotations

from typing import Annotated

import segno
from fastapi import APIRouter, Path, Response

from custodes.api.console.pages.door import proving
from custodes.api.console.visits import Visit, Visitor
from custodes.errors import CustodesError, Denied, Invalid, NotFound
from custodes.operations.accounts import Accounts

__all__ = ["router"]

router = APIRouter(prefix="/console/account")

_HERE = "/console/account"


def _operations(visit: Visit) -> Accounts:
    return visit.console.app.accounts


async def _show(visit: Visit, error: CustodesError | None = None, about: str = "", status: int = 200) -> Response:
    token = visit.token
    sessions = await visit.quick(lambda: _operations(visit).sessions(token))
    has_code = await visit.quick(lambda: _operations(visit).has_totp(token))
    values = {"sessions": sessions, "has_code": has_code, "error": error, "about": about}
    return visit.page("account.html.j2", values, status=status)


@router.get("")
async def account(visit: Visitor) -> Response:
    """Show the account."""
    return await _show(visit)


@router.post("/password")
async def change_password(visit: Visitor) -> Response:
    """Set another password."""
    old, new, again = (visit.secret(name) for name in ("old", "new", "again"))
    try:
        if new != again:
            raise Invalid("The two new passwords are not the same.", remedy="Type both again.")
        await proving(visit, lambda: _operations(visit).change_password(visit.token, old, new))
    except Invalid as error:
        return await _show(visit, error, "new", 400)
    except Denied as error:
        return await _show(visit, error, "old", 403)
    return visit.done(_HERE, "Your password is changed, and all your other sessions have ended.")


@router.post("/authenticator")
async def add_authenticator(visit: Visitor) -> Response:
    """Make an authenticator, and ask for its first code."""
    password = visit.secret("password")
    try:
        await proving(visit, lambda: _operations(visit).enable_totp(visit.token, password))
    except Denied as error:
        return await _show(visit, error, "add", 403)
    return visit.done(f"{_HERE}/authenticator")


async def _show_authenticator(visit: Visit, error: CustodesError | None = None, status: int = 200) -> Response:
    made = await visit.quick(lambda: _operations(visit).pending_totp(visit.token))
    picture = segno.make(made.uri, error="m").svg_data_uri(scale=6, border=4, dark="#000", light="#fff")
    spaced = " ".join(made.secret[i : i + 4] for i in range(0, len(made.secret), 4))
    return visit.page("authenticator.html.j2", {"picture": picture, "secret": spaced, "error": error}, status=status)


@router.get("/authenticator")
async def show_authenticator(visit: Visitor) -> Response:
    """Show the authenticator that waits for its first code."""
    try:
        return await _show_authenticator(visit)
    except NotFound:
        return visit.done(_HERE)


@router.post("/authenticator/confirm")
async def confirm_authenticator(visit: Visitor) -> Response:
    """Ask for codes from now on."""
    code = visit.text("code")
    try:
        await visit.quick(lambda: _operations(visit).confirm_totp(visit.token, code))
    except Invalid as error:
        return await _show_authenticator(visit, error, 400)
    return visit.done(_HERE, "Your authenticator is set up: its code is asked for from now on.")


@router.post("/authenticator/remove")
async def remove_authenticator(visit: Visitor) -> Response:
    """Ask for codes no more."""
    password = visit.secret("password")
    try:
        await proving(visit, lambda: _operations(visit).disable_totp(visit.token, password))
    except Denied as error:
        return await _show(visit, error, "remove", 403)
    return visit.done(_HERE, "Your authenticator is removed.")


@router.post("/sessions/{key}/end")
async def end_session(visit: Visitor, key: Annotated[str, Path(pattern="^[0-9a-f]{64}$")]) -> Response:
    """End a session."""
    await visit.quick(lambda: _operations(visit).revoke(visit.token, key))
    return visit.done(_HERE, "The session is ended.")
