# SPDX-License-Identifier: Apache-2.0
"""The console as an ASGI application: its routers, and the headers that every answer carries."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI, Response

from custodes.api.console.frame import Console
from custodes.api.console.pages import (
    account,
    camera_checks,
    camera_events,
    camera_export,
    camera_library,
    camera_settings,
    camera_timeline,
    camera_zones,
    cameras,
    casefound,
    caseimages,
    caseimports,
    caseleads,
    cases,
    casesearch,
    casestaff,
    collection_enrol,
    collection_faces,
    collection_search,
    collection_users,
    collections,
    dashboard,
    door,
    evaluations,
    grounds,
    keys,
    ledger,
    organisations,
    oversight,
    people,
    public,
    requests,
    restraining,
    review,
    review_controls,
    rules,
    shares,
    transparency,
)
from custodes.api.console.refusals import add_refusals
from custodes.api.ending import Receive, Scope, Send
from custodes.api.gate import Gate
from custodes.api.telemetry import Telemetry
from custodes.api.warmup import WarmUp
from custodes.app import App

__all__ = ["ROUTERS", "Site", "is_console"]

ROUTERS: tuple[APIRouter, ...] = (
    public.router,
    door.router,
    account.router,
    dashboard.router,
    rules.router,
    review_controls.router,
    review.router,
    oversight.router,
    restraining.router,
    ledger.router,
    transparency.router,
    collections.router,
    collection_faces.router,
    collection_enrol.router,
    collection_search.router,
    collection_users.router,
    organisations.router,
    people.router,
    keys.router,
    cases.router,
    casestaff.router,
    caseimages.router,
    caseimports.router,
    casesearch.router,
    casefound.router,
    caseleads.router,
    grounds.router,
    evaluations.router,
    requests.router,
    shares.router,
    camera_events.router,
    camera_library.router,
    camera_timeline.router,
    camera_export.router,
    camera_zones.router,
    camera_settings.router,
    camera_checks.router,
    cameras.router,
)
"""All pages: add yours here."""

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "media-src 'self' blob:",
        "font-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
_NO_STORE = (b"cache-control", b"no-store")


def is_console(scope: Scope) -> bool:
    """Tell whether a request is for the console: a look at the public page, or anything below ``/console``."""
    path: str = scope["path"]
    if path == "/":
        return scope["method"] in ("GET", "HEAD")
    return path == "/console" or path.startswith("/console/")


class Site:
    """The ASGI application of the console.

    Args:
        app, gate, telemetry: the installation, its threads, its numbers.
        routers: its pages.
        warm_up: whether models and indexes are in memory, for the dashboard.

    Attributes:
        console: what its pages share.
    """

    def __init__(
        self,
        app: App,
        gate: Gate,
        telemetry: Telemetry,
        routers: Sequence[APIRouter] = ROUTERS,
        *,
        warm_up: WarmUp | None = None,
    ) -> None:
        console = self.console = Console(app, gate, telemetry, warm_up)
        self._site = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
        self._site.state.console = console
        add_refusals(self._site, console)
        for router in routers:
            self._site.include_router(router)

        @self._site.get("/console/static/{digest}/{name}")
        async def static(digest: str, name: str) -> Response:
            return console.statics.answer(digest, name)

        console.paths = frozenset(route.path for router in routers for route in router.routes if hasattr(route, "path"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, with the headers that keep other sites out; HEAD as GET, whose body the server drops."""
        begun = False

        async def send_sealed(message: Scope) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                known = {name.lower() for name, _ in message.get("headers", ())}
                more = [pair for pair in (*_HEADERS, _NO_STORE) if pair[0] not in known]
                message["headers"] = [*message.get("headers", ()), *more]
            await send(message)

        asked = dict(scope) | {"method": "GET"} if scope["method"] == "HEAD" else scope
        try:
            await self._site(asked, receive, send_sealed)
        except Exception:  # whatever it is, Starlette has had it answered and logged, and raises it all the same
            if not begun:
                raise
        finally:
            scope["route"] = asked.get("route")  # for whoever counts requests
