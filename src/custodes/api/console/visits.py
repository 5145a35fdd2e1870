# SPDX-License-Identifier: Apache-2.0
"""Who visits a page: somebody who is signed in, or a stranger at the door.

A page that asks for a :data:`Visitor` (or a :data:`Stranger`) has had its request checked: it comes from a page of
this console (``Origin``, ``Sec-Fetch-Site``), from somebody who is signed in, and if it changes anything it carries the
session's token against forgery, in the field ``csrf`` or the header ``X-CSRF-Token``. The checks that need no body come
before the first byte of it is read.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from fastapi import Depends, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData, UploadFile

from custodes.api.console.cookies import Flash
from custodes.api.console.forms import FORM_BYTES, Body, reading_form
from custodes.api.console.frame import Console, console_of
from custodes.api.console.silence import is_silent
from custodes.api.gate import Pool
from custodes.errors import Denied, Invalid
from custodes.governance import Caller
from custodes.operations.signin import Session

__all__ = [
    "AnyVisit",
    "Stranger",
    "StrangerAtDoor",
    "Upload",
    "Visit",
    "Visitor",
    "check_origin",
    "local_path",
    "visiting",
]

T = TypeVar("T")
_SAFE = frozenset({"GET", "HEAD"})
_HOST = re.compile(r"[A-Za-z0-9.-]+(:[0-9]+)?|\[[0-9A-Fa-f:.]+\](:[0-9]+)?")
_ANYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - listening there, the server has no name of its own


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that somebody uploads; its name is personal data, for the page alone."""

    name: str
    data: bytes


class AnyVisit:
    """What all who visit can do.

    Attributes:
        console, request: where, and what is asked.
        form: the form that was sent; empty for a page that is only looked at.
    """

    def __init__(self, console: Console, request: Request, form: FormData) -> None:
        self.console = console
        self.request = request
        self.form = form

    @property
    def wants_json(self) -> bool:
        """Whether a script asks, by fetch(), rather than a person."""
        return wants_json(self.request)

    @property
    def address(self) -> str:
        """The address at which people reach the server, or an empty string where nobody has configured it.

        What a browser calls the host is believed only if that is this machine or the address that is listened on:
        a link for others must not lead to whatever a request says.
        """
        server = self.console.app.config.server
        if server.endpoint:
            return server.endpoint.rstrip("/")
        named = self.request.headers.get("host", "")
        try:
            told = urlsplit("//" + named)
            host, port = told.hostname or "", told.port
        except ValueError:
            return ""
        if _HOST.fullmatch(named) is None:
            return ""
        if not _is_loopback(host) and (host in _ANYWHERE or host != server.host.lower()):
            return ""
        bare = f"[{host}]" if ":" in host else host
        return f"{self.request.url.scheme}://{bare}" + ("" if port is None else f":{port}")

    async def quick(self, work: Callable[[], T]) -> T:
        """Do what only asks the database, in a thread.

        Raises:
            Throttled: if too many wait already.
        """
        return await pool_of(self.console, self.request).run(work)

    async def inference(self, work: Callable[[], T]) -> T:
        """Do what runs the models, in a thread.

        Raises:
            Throttled: if too many wait already.
        """
        return await self.console.gate.inference.run(work)

    def text(self, name: str, default: str = "") -> str:
        """Return a field of the form, without spaces around it."""
        value = self.form.get(name, default)
        return value.strip() if isinstance(value, str) else default

    def secret(self, name: str) -> str:
        """Return a field of the form as it is: a password."""
        value = self.form.get(name, "")
        return value if isinstance(value, str) else ""

    def texts(self, name: str) -> tuple[str, ...]:
        """Return all values of a field that may come several times, empty ones left out."""
        return tuple(v.strip() for v in self.form.getlist(name) if isinstance(v, str) and v.strip())

    def has(self, name: str) -> bool:
        """Tell whether a checkbox is ticked."""
        return name in self.form

    async def uploads(self, name: str) -> tuple[Upload, ...]:
        """Return the files of a field, empty ones left out."""
        files = [f for f in self.form.getlist(name) if isinstance(f, UploadFile) and f.filename]
        return tuple([Upload(f.filename or "", await f.read()) for f in files])

    async def upload(self, name: str) -> Upload:
        """Return the one file of a field.

        Raises:
            Invalid: if there is none.
        """
        found = await self.uploads(name)
        if not found:
            raise Invalid("No file was chosen.", remedy="Choose one.")
        return found[0]


class Visit(AnyVisit):
    """A visit of somebody who is signed in.

    Attributes:
        session: theirs.
        token: the session's.
    """

    def __init__(self, console: Console, request: Request, form: FormData, session: Session, token: str) -> None:
        super().__init__(console, request, form)
        self.session = session
        self.token = token

    def caller(
        self,
        *,
        case: str | None = None,
        authority: str | None = None,
        consent: str | None = None,
        provenance: str | None = None,
        place: str | None = None,
        exigency: str | None = None,
    ) -> Caller:
        """Return who asks, for the purpose that was chosen, on these grounds; operations take it first."""
        return replace(
            self.session.caller,
            case=case,
            authority=authority,
            consent=consent,
            provenance=provenance,
            place=place,
            exigency=exigency,
        )

    def page(self, template: str, values: Mapping[str, object] | None = None, *, status: int = 200) -> Response:
        """Return a page in the console's frame."""
        return self.console.page(self.request, template, values or {}, session=self.session, status=status)

    def done(self, path: str, text: str = "", *, kind: str = "done") -> Response:
        """Go on to another page after something was done (303), with a message there."""
        response = RedirectResponse(path, status_code=303)
        if text:
            self.console.cookies.set_flashes(response, (*self.console.cookies.flashes(self.request), Flash(kind, text)))
        return response

    def body(self, limit: int) -> Body:
        """Return the request's raw body, for what is too large for a form; the token came in ``X-CSRF-Token``."""
        return self.console.body(self.request, self.session.principal, limit)


class StrangerAtDoor(AnyVisit):
    """A visit of somebody who isn't signed in, or need not be."""

    def page(self, template: str, values: Mapping[str, object] | None = None, *, status: int = 200) -> Response:
        """Return a page in the frame for strangers, whose forms carry a token made for this browser."""
        cookies = self.console.cookies
        nonce = cookies.nonce(self.request)
        told = {"csrf": cookies.door_token(nonce)} | dict(values or {})
        response = self.console.page(self.request, template, told, session=None, status=status)
        cookies.set_nonce(response, nonce)
        return response


def pool_of(console: Console, request: Request) -> Pool:
    """Return the threads that ask the database for a request."""
    return console.gate.silent if is_silent(request.scope) else console.gate.quick


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def wants_json(request: Request) -> bool:
    """Tell whether a script asks, by fetch(), rather than a person."""
    accepted = request.headers.get("accept", "")
    return "application/json" in accepted and "text/html" not in accepted


def local_path(path: str) -> str:
    """Return where to go after signing in: a path of the console's own, or its beginning."""
    told = urlsplit(path) if path.isprintable() and "\\" not in path else urlsplit("")
    own = told.path == "/console" or told.path.startswith("/console/")
    return path if own and not told.scheme and not told.netloc and ".." not in path else "/console"


def check_origin(console: Console, request: Request) -> None:
    """Refuse what another site makes a browser send.

    Raises:
        Denied: if it comes from elsewhere.
    """
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    if site not in ("same-origin", "none") or (origin is not None and not console.is_own(origin, request)):
        raise _forged()


def _forged() -> Denied:
    return Denied(
        "This form was not sent from a page of this console, or the page was open for too long.",
        remedy="Go back, load the page again, and send it once more.",
        code="forged",
    )


def _check_token(wanted: str, request: Request, form: FormData) -> None:
    """Refuse what carries no token against forgery.

    Raises:
        Denied: if it carries none, or another one.
    """
    carried = request.headers.get("x-csrf-token") or form.get("csrf")
    told = carried if isinstance(carried, str) else ""
    if not hmac.compare_digest(wanted.encode(), told.encode("utf-8", "surrogatepass")):
        raise _forged()


@asynccontextmanager
async def _form(console: Console, request: Request, owner: str, limit: int) -> AsyncIterator[FormData]:
    """Read the form of a request that changes something; a raw body is left to the page."""
    if request.method in _SAFE:
        yield FormData()
        return
    async with reading_form(request, console.body(request, owner, limit)) as form:
        yield form


def visiting(
    limit: int = FORM_BYTES, admit: Callable[[Visit], Awaitable[None]] | None = None
) -> Callable[[Request], AsyncIterator[Visit]]:
    """Return the dependency of a page for people who are signed in.

    Args:
        limit: most bytes of its form, files included.
        admit: refuses whom the page isn't for, before the form is read.
    """

    async def visit(request: Request) -> AsyncIterator[Visit]:
        console = console_of(request)
        if request.method not in _SAFE:
            check_origin(console, request)
        token = console.cookies.token(request)
        note = not is_silent(request.scope)
        session = await pool_of(console, request).run(lambda: console.app.sign_in.session(token, note=note))
        request.state.session = session
        header = request.headers.get("x-csrf-token")
        if request.method not in _SAFE and header is not None:
            _check_token(session.csrf, request, FormData())
        if request.method not in _SAFE and admit is not None:
            await admit(Visit(console, request, FormData(), session, token))
        async with _form(console, request, session.principal, limit) as form:
            if request.method not in _SAFE:
                _check_token(session.csrf, request, form)
            yield Visit(console, request, form, session, token)

    return visit


async def _stranger(request: Request) -> AsyncIterator[StrangerAtDoor]:
    console = console_of(request)
    if request.method not in _SAFE:
        check_origin(console, request)
    client = request.client.host if request.client else ""
    async with _form(console, request, f"door {client}", FORM_BYTES // 16) as form:
        carried = form.get("csrf", "")
        if request.method not in _SAFE and not console.cookies.is_from_door(request, str(carried)):
            raise _forged()
        yield StrangerAtDoor(console, request, form)


Visitor = Annotated[Visit, Depends(visiting())]
"""Somebody who is signed in; the page's form, if it has one, has at most a mebibyte and no files."""

Stranger = Annotated[StrangerAtDoor, Depends(_stranger)]
"""Anybody."""
