# SPDX-License-Identifier: Apache-2.0
"""What fails, as a page for people or as JSON for scripts; a denial names each rule, its source, and what to do."""

from __future__ import annotations

import contextlib
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from markupsafe import Markup
from starlette.exceptions import HTTPException

from custodes.api.console.frame import Console
from custodes.api.console.silence import is_silent
from custodes.api.console.visits import pool_of, wants_json
from custodes.api.gate import HungUp
from custodes.errors import (
    Conflict,
    CustodesError,
    Denied,
    Invalid,
    NotFound,
    Throttled,
    TooLarge,
    Unavailable,
)
from custodes.governance import Refused
from custodes.operations.signin import SIGNED_OUT, Session

__all__ = ["add_refusals", "problem_of", "status_of"]

_STATUS: dict[type[CustodesError], int] = {
    Denied: 403,
    NotFound: 404,
    Conflict: 409,
    TooLarge: 413,
    Invalid: 400,
    Throttled: 429,
    Unavailable: 503,
}
_TITLES = {
    400: "That can't be meant",
    403: "Refused",
    404: "There is nothing here",
    405: "That isn't done here",
    409: "That contradicts what is stored",
    413: "Too large",
    429: "Too much at once",
    500: "Something broke",
    503: "Not available now",
}
_AGAIN = Markup(
    '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Custodes</title>'
    '<meta http-equiv="refresh" content="0"></head><body><p><a href="{}">Go on</a></p></body></html>'
)


def status_of(error: CustodesError) -> int:
    """Return the HTTP status of an error."""
    return next((s for kind, s in _STATUS.items() if isinstance(error, kind)), 500)


def problem_of(error: CustodesError) -> dict[str, object]:
    """Return what scripts are told of an error."""
    rules = error.decision.rules if isinstance(error, Refused) else ()
    return {
        "error": type(error).__name__,
        "message": error.message,
        "remedy": error.remedy,
        "rules": [{"id": r.id, "citation": r.citation, "explain": r.explain, "remedy": r.remedy} for r in rules],
    }


def _session(request: Request) -> Session | None:
    found: Session | None = getattr(request.state, "session", None)
    return found


def _told(console: Console, request: Request, error: CustodesError, status: int) -> Response:
    if wants_json(request):
        return JSONResponse(problem_of(error), status_code=status)
    rules = error.decision.rules if isinstance(error, Refused) else ()
    values = {"error": error, "rules": rules, "title": _TITLES.get(status, _TITLES[400]), "status": status}
    return console.page(request, "error.html.j2", values, session=_session(request), status=status)


def _sign_in(console: Console, request: Request, error: CustodesError) -> Response:
    """Send a stranger to the door.

    Whoever follows a link from elsewhere may be signed in: browsers keep a strict cookie back on the way from another
    site. They get a page that asks again, from here.
    """
    if wants_json(request):
        return _told(console, request, error, 401)
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.method == "GET" and request.headers.get("sec-fetch-site") == "cross-site":
        return HTMLResponse(_AGAIN.format(wanted))
    after = f"?next={quote(wanted, safe='/')}" if request.method == "GET" and wanted != "/console" else ""
    response = RedirectResponse(f"/console/sign-in{after}", status_code=303)
    console.cookies.drop_token(response)
    return response


async def _look_up(console: Console, request: Request) -> None:
    """Note who asks for a page that there isn't, if somebody is signed in, so that they stay in the frame."""
    token = console.cookies.token(request)
    if token:
        with contextlib.suppress(CustodesError):
            note = not is_silent(request.scope)
            look_up = pool_of(console, request)
            request.state.session = await look_up.run(lambda: console.app.sign_in.session(token, note=note))


def add_refusals(site: FastAPI, console: Console) -> None:
    """Have all that fails told by a page, and logged if it isn't the visitor's."""

    def operation(request: Request) -> str:
        route = request.scope.get("route")
        return f"{request.method} {route.path}" if route else "unknown"

    @site.exception_handler(CustodesError)
    async def refuse(request: Request, error: CustodesError) -> Response:
        if error.code == SIGNED_OUT:
            return _sign_in(console, request, error)
        status = status_of(error)
        if status >= 500 and not is_silent(request.scope):
            console.telemetry.failure(error, operation=operation(request), request_id="")
        return _told(console, request, error, status)

    @site.exception_handler(HTTPException)
    async def refuse_route(request: Request, error: HTTPException) -> Response:
        await _look_up(console, request)
        told = NotFound("There is no such page.") if error.status_code == 404 else Invalid(f"{error.detail}.")
        return _told(console, request, told, error.status_code)

    @site.exception_handler(RequestValidationError)
    async def refuse_parameters(request: Request, error: RequestValidationError) -> Response:
        names = sorted({str(e["loc"][-1]) for e in error.errors()})
        return _told(console, request, Invalid(f"A value is out of bounds: {', '.join(names)}."), 400)

    @site.exception_handler(HungUp)
    async def forget(_: Request, __: HungUp) -> Response:
        return Response(status_code=400)  # nobody reads it

    @site.exception_handler(Exception)
    async def break_down(request: Request, error: Exception) -> Response:
        if not is_silent(request.scope):
            console.telemetry.failure(error, operation=operation(request), request_id="")
        told = Unavailable("Something broke in the server.", remedy="The operator finds the cause in the log.")
        return _told(console, request, told, 500)
