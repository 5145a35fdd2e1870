# SPDX-License-Identifier: Apache-2.0
"""The door: signing in and out, and accepting an invitation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import APIRouter, Path, Response
from fastapi.responses import RedirectResponse

from custodes.api.console.visits import AnyVisit, Stranger, StrangerAtDoor, Visitor, local_path
from custodes.errors import Denied, Invalid
from custodes.governance import Purpose

__all__ = ["proving", "router"]

T = TypeVar("T")

router = APIRouter()


async def proving(visit: AnyVisit, work: Callable[[], T]) -> T:
    """Do what looks at a password, in a thread, one at a time.

    Raises:
        Throttled: if too many wait.
    """
    async with visit.console.turnstile:
        return await visit.quick(work)


async def _welcome(stranger: StrangerAtDoor, token: str, path: str) -> Response:
    """Let somebody in, with a token that no one has had before; who was in by this browser goes out."""
    before = stranger.console.cookies.token(stranger.request)
    if before:
        await stranger.quick(lambda: stranger.console.app.sign_in.sign_out(before))
    known_by = await stranger.quick(lambda: stranger.console.app.sign_in.browser(token))
    response = RedirectResponse(path, status_code=303)
    stranger.console.cookies.set_token(response, token)
    stranger.console.cookies.set_browser(response, known_by)
    return response


@router.get("/console/sign-in")
async def ask(stranger: Stranger, next: str = "/console") -> Response:
    """Ask for name and password."""
    return stranger.page("sign_in.html.j2", {"next": local_path(next), "error": None, "name": ""})


@router.post("/console/sign-in")
async def sign_in(stranger: Stranger) -> Response:
    """Let somebody in."""
    app = stranger.console.app
    name, password, code = stranger.text("name"), stranger.secret("password"), stranger.text("code")
    after, browser = local_path(stranger.text("next")), stranger.console.cookies.browser(stranger.request)
    try:
        token = await proving(stranger, lambda: app.sign_in.sign_in(name, password, code, browser=browser))
    except Denied as error:
        return stranger.page("sign_in.html.j2", {"next": after, "error": error, "name": name}, status=403)
    return await _welcome(stranger, token, after)


@router.post("/console/sign-out")
async def sign_out(visit: Visitor) -> Response:
    """Let somebody go."""
    await visit.quick(lambda: visit.console.app.sign_in.sign_out(visit.token))
    response = visit.done("/console/sign-in")
    visit.console.cookies.drop_token(response)
    return response


@router.post("/console/purpose")
async def switch_purpose(visit: Visitor) -> Response:
    """Work for another purpose from now on."""
    wanted = visit.text("purpose")
    if wanted not in set(Purpose):
        raise Invalid("There is no such purpose.")
    await visit.quick(lambda: visit.console.app.sign_in.switch_purpose(visit.token, Purpose(wanted)))
    return visit.done("/console", f"You work for {wanted.replace('-', ' ')} now.", kind="note")


@router.get("/console/invitation/{token}")
async def invitation(stranger: Stranger, token: Annotated[str, Path(max_length=100)]) -> Response:
    """Show an invitation, and ask for a password."""
    guest = await stranger.quick(lambda: stranger.console.app.invitations.guest(token))
    return stranger.page("invitation.html.j2", {"guest": guest, "token": token, "error": None})


@router.post("/console/invitation/{token}")
async def accept(stranger: Stranger, token: Annotated[str, Path(max_length=100)]) -> Response:
    """Set the password, and let its owner in."""
    invitations = stranger.console.app.invitations
    password, again = stranger.secret("password"), stranger.secret("again")
    try:
        if password != again:
            raise Invalid("The two passwords are not the same.", remedy="Type both again.")
        made = await proving(stranger, lambda: invitations.accept(token, password))
    except Invalid as error:
        guest = await stranger.quick(lambda: invitations.guest(token))
        values = {"guest": guest, "token": token, "error": error}
        return stranger.page("invitation.html.j2", values, status=400)
    return await _welcome(stranger, made, "/console")
