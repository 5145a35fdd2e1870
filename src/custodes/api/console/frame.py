# SPDX-License-Identifier: Apache-2.0
"""What all pages of the console share: templates, static files, cookies, navigation, and who may do the work."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import jinja2
from fastapi import Request, Response
from fastapi.responses import HTMLResponse

import custodes
from custodes.api.console.cookies import Cookies
from custodes.api.console.forms import Body
from custodes.api.console.shown import FILTERS
from custodes.api.console.statics import Statics
from custodes.api.gate import Gate
from custodes.api.telemetry import Telemetry
from custodes.api.warmup import WarmUp
from custodes.app import App
from custodes.errors import Code, Throttled
from custodes.governance import OrgClass, Purpose, Role
from custodes.operations.signin import Session

__all__ = ["Console", "NavItem", "Turnstile", "console_of"]


@dataclass(frozen=True, slots=True)
class NavItem:
    """A place in the navigation. ``roles`` and ``classes`` are those that have something there; none for all.

    Households have cameras and know who lives there: ``households`` tells whether they have something there too.
    """

    path: str
    label: str
    roles: frozenset[Role] = frozenset()
    faces: bool = False
    classes: frozenset[OrgClass] = frozenset()
    households: bool = True

    def is_for(self, session: Session) -> bool:
        """Tell whether somebody has something there."""
        if self.faces and session.purpose == Purpose.OVERSIGHT:
            return False
        if self.classes and session.organisation.org_class not in self.classes:
            return False
        if session.organisation.org_class == OrgClass.HOUSEHOLD and not self.households:
            return False
        return not self.roles or bool(self.roles & session.roles)


_USES = frozenset({Role.USER, Role.REVIEWER, Role.ADMIN, Role.OPERATOR})
_JUDGES = frozenset({Role.USER, Role.REVIEWER, Role.ADMIN})
_MANAGES = frozenset({Role.ADMIN, Role.OPERATOR})
_FILMS = frozenset({OrgClass.HOUSEHOLD, OrgClass.GENERAL})

NAVIGATION = (
    NavItem("/console", "Dashboard", households=False),
    NavItem("/console/cameras", "Cameras", _USES, faces=True, classes=_FILMS),
    NavItem("/console/collections", "Collections", _USES, faces=True),
    NavItem("/console/cases", "Cases", _USES, faces=True, households=False),
    NavItem("/console/review", "Review", _JUDGES, faces=True, households=False),
    NavItem("/console/people", "People", _MANAGES),
    NavItem("/console/grounds", "Grounds", _MANAGES, households=False),
    NavItem("/console/rules", "Rules"),
    NavItem("/console/ledger", "Ledger"),
    NavItem("/console/transparency", "Transparency"),
    NavItem("/console/evaluations", "Accuracy", households=False),
)
"""In the order of the page's head; what has no page (yet) isn't shown."""


class Turnstile:
    """Lets one in after another; who comes when too many wait is sent away.

    Argon2id takes a core and 19 MiB for a moment: without this, a crowd at the door would hold all threads of those
    who are inside.
    """

    most_waiting = 20

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(1)
        self._there = 0

    async def __aenter__(self) -> None:
        """Wait for one's turn.

        Raises:
            Throttled: if too many wait.
        """
        if self._there > self.most_waiting:
            raise Throttled("Too many people are at the door.", remedy="Try again later.", code=Code.OVERLOAD)
        self._there += 1
        try:
            await self._turn.acquire()
        except BaseException:  # cancelled while it waited
            self._there -= 1
            raise

    async def __aexit__(self, *_: object) -> None:
        """Let the next one in."""
        self._there -= 1
        self._turn.release()


class Console:
    """What all pages share.

    Args:
        app, gate, telemetry: the installation, its threads, its numbers.
        warm_up: whether models and indexes are in memory, or None where nobody tells.

    Attributes:
        templates: Jinja's environment; what a template doesn't know is an error, and everything is escaped.
        statics, cookies: see there.
        turnstile: before whatever looks at a password.
        paths: of all pages there are.
    """

    def __init__(self, app: App, gate: Gate, telemetry: Telemetry, warm_up: WarmUp | None = None) -> None:
        self.warm_up = warm_up
        self.app = app
        self.gate = gate
        self.telemetry = telemetry
        self.statics = Statics()
        self.cookies = Cookies(app.door_key, secure=app.config.server.endpoint.startswith("https://"))
        self.turnstile = Turnstile()
        self.paths: frozenset[str] = frozenset()
        self.templates = jinja2.Environment(
            loader=jinja2.PackageLoader("custodes.api.console"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self.templates.filters.update(FILTERS)
        self.templates.globals.update(asset=self.statics.url, version=custodes.__version__)

    def page(
        self,
        request: Request,
        template: str,
        values: Mapping[str, object],
        *,
        session: Session | None,
        status: int = 200,
    ) -> Response:
        """Return a page in the frame.

        Args:
            request: what is answered.
            template: a file of ``templates``.
            values: what it shows.
            session: of who looks, or None for a stranger.
            status: of HTTP.
        """
        flashes = self.cookies.flashes(request)
        frame: dict[str, object] = {
            "session": session,
            "csrf": session.csrf if session else "",
            "nav": self.navigation(session),
            "here": request.url.path,
            "flashes": flashes,
        }
        text = self.templates.get_template(template).render(frame | dict(values))
        response = HTMLResponse(text, status_code=status)
        if flashes:
            self.cookies.drop_flashes(response)
        return response

    def navigation(self, session: Session | None) -> tuple[NavItem, ...]:
        """Return the places where somebody has something."""
        if session is None:
            return ()
        return tuple(item for item in NAVIGATION if item.path in self.paths and item.is_for(session))

    def leads(self, session: Session, path: str) -> bool:
        """Tell whether a place is in somebody's navigation."""
        return any(item.path == path for item in self.navigation(session))

    def body(self, request: Request, owner: str, limit: int) -> Body:
        """Return the body of a request, which is counted as its owner's."""
        return Body(request, self.gate, owner, limit, self.app.config.server.timeout)

    def is_own(self, origin: str, request: Request) -> bool:
        """Tell whether an ``Origin`` is the console's own: the endpoint's, or that of the host that is asked."""
        told = urlsplit(origin)
        endpoint = self.app.config.server.endpoint
        if endpoint:
            own = urlsplit(endpoint)
            if (told.scheme, told.netloc.lower()) == (own.scheme, own.netloc.lower()):
                return True
        return told.scheme in ("http", "https") and told.netloc.lower() == request.headers.get("host", "").lower()


def console_of(request: Request) -> Console:
    """Return the console that a request came to."""
    found: Console = request.app.state.console
    return found
