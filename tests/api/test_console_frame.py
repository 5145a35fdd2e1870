# SPDX-License-Identifier: Apache-2.0
"""What the console's pages rest on, in this process: checks, uploads, errors, messages, macros."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from markupsafe import escape
from starlette.datastructures import FormData

from custodes.api.console import visits
from custodes.api.console.cookies import Cookies, Flash
from custodes.api.console.forms import Body, reading_form
from custodes.api.console.frame import NAVIGATION, Turnstile
from custodes.api.console.shown import day, percent, plural, short, when, words
from custodes.api.console.site import ROUTERS, Site, is_console
from custodes.api.console.visits import Visit, Visitor, local_path, visiting
from custodes.api.gate import Gate, HungUp
from custodes.api.telemetry import Telemetry
from custodes.app import App
from custodes.config import Config, Server
from custodes.errors import Conflict, IntegrityError, Invalid, NotFound, Throttled, TooLarge, Unavailable
from custodes.governance import OPERATOR, Caller, OrgClass, Purpose, Role

ME = Caller(OPERATOR, Purpose.PHOTO_LIBRARY, provenance="own")
PASSWORD = "correct horse battery"
KEY = bytes(range(32))

router = APIRouter(prefix="/console/trial")
Uploader = Annotated[Visit, Depends(visiting(3_000_000))]
ERRORS = {
    "conflict": Conflict("It is there already.", remedy="Take another."),
    "invalid": Invalid("It can't be <b>meant</b>."),
    "missing": NotFound("It is nowhere."),
    "large": TooLarge("It is too large."),
    "throttled": Throttled("Too much."),
    "unavailable": Unavailable("Not here."),
    "broken": IntegrityError("It was changed."),
    "unforeseen": RuntimeError("with a secret in its text"),
    "gone": HungUp(),
}


@router.get("/fail/{kind}")
async def fail(visit: Visitor, kind: str) -> Response:
    raise ERRORS[kind]


@router.get("/number")
async def number(visit: Visitor, n: Annotated[int, Query(ge=1, le=9)]) -> Response:
    return JSONResponse({"n": n})


@router.post("/search")
async def search(visit: Visitor) -> Response:
    await visit.quick(lambda: visit.console.app.collections.create(visit.caller(provenance="own"), "watched", {}))
    return visit.done("/console", "done")


@router.post("/upload")
async def upload(visit: Uploader) -> Response:
    files = await visit.uploads("photos")
    one = (await visit.upload("photo")).name if visit.has("photo") else ""
    told = {"files": [[f.name, len(f.data)] for f in files], "one": one, "held": visit.console.gate.held_bytes}
    return JSONResponse(told | {"text": visit.text("text"), "texts": visit.texts("several"), "json": visit.wants_json})


@router.post("/raw")
async def raw(visit: Visitor) -> Response:
    body = visit.body(1_000_000)
    try:
        sizes = [len(part) async for part in body.stream()]
    finally:
        body.release()
    return JSONResponse({"bytes": sum(sizes)})


@router.post("/flash")
async def flash(visit: Visitor) -> Response:
    return visit.done("/console", visit.text("text"), kind=visit.text("kind"))


class Inside:
    """A console in this process, with somebody signed in."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.gate = Gate(app.config.server)
        self.site = Site(app, self.gate, Telemetry(self.gate), (*ROUTERS, router))

    def login(self, principal: str = OPERATOR) -> str:
        """Give somebody a login, and return a session's token."""
        made = self.app.invitations.invite(ME, principal, self.app.invitations.suited(principal))
        return self.app.invitations.accept(made.token, PASSWORD)

    @asynccontextmanager
    async def client(self, token: str) -> AsyncIterator[httpx.AsyncClient]:
        """Open a client that is signed in; its token against forgery is in ``csrf``."""
        transport = httpx.ASGITransport(self.site, raise_app_exceptions=False)
        csrf = self.app.sign_in.session(token).csrf
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            client.cookies.set("custodes-session", token)
            client.csrf = csrf
            yield client

    def ask(self, token: str, asked: Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]) -> httpx.Response:
        """Ask one thing."""

        async def go() -> httpx.Response:
            async with self.client(token) as client:
                return await asked(client)

        return asyncio.run(go())


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    app = App.open(Config(data=tmp_path_factory.mktemp("frame"), server=Server(timeout=5)))
    made = Inside(app)
    yield made
    made.gate.close()
    app.close()


@pytest.fixture(scope="module")
def token(inside: Inside) -> str:
    """A session of the operator."""
    return inside.login()


# --- errors ---


@pytest.mark.parametrize(
    ("kind", "status", "told"),
    [
        ("conflict", 409, "It is there already."),
        ("invalid", 400, "It can&#39;t be &lt;b&gt;meant&lt;/b&gt;."),
        ("missing", 404, "It is nowhere."),
        ("large", 413, "It is too large."),
        ("throttled", 429, "Too much."),
        ("unavailable", 503, "Not here."),
        ("broken", 500, "It was changed."),
        ("unforeseen", 500, "Something broke in the server."),
    ],
)
def test_an_error_is_a_page_or_json(inside: Inside, token: str, kind: str, status: int, told: str) -> None:
    """Each kind has its status; the page is in the frame and escaped; a script gets the same as JSON."""
    page = inside.ask(token, lambda c: c.get(f"/console/trial/fail/{kind}"))
    assert (page.status_code, told in page.text, "Sign out" in page.text) == (status, True, True)
    assert "secret" not in page.text
    assert page.headers["cache-control"] == "no-store"
    answer = inside.ask(token, lambda c: c.get(f"/console/trial/fail/{kind}", headers={"accept": "application/json"}))
    assert answer.status_code == status
    assert set(answer.json()) == {"error", "message", "remedy", "rules"}
    assert "secret" not in answer.text


def test_who_hung_up_is_not_a_failure(inside: Inside, token: str) -> None:
    """Nobody reads the answer to a client that is gone, and nothing is logged as broken."""
    assert inside.ask(token, lambda c: c.get("/console/trial/fail/gone")).text == ""


def test_a_parameter_out_of_bounds_is_told(inside: Inside, token: str) -> None:
    """The page names the parameter, not its value."""
    page = inside.ask(token, lambda c: c.get("/console/trial/number?n=77"))
    assert (page.status_code, "out of bounds: n" in page.text, "77" in page.text) == (400, True, False)
    assert inside.ask(token, lambda c: c.get("/console/trial/number?n=7")).json() == {"n": 7}


def test_a_denial_names_every_rule(inside: Inside) -> None:
    """The page shows each rule's words, its remedy, its id and its source; JSON has them too."""
    app = inside.app
    police = app.people.add_organisation(ME, "Seattle PD", OrgClass.LAW_ENFORCEMENT, "US-WA").id
    officer = inside.login(app.people.add(ME, police, "officer", "Officer", [Role.OVERSIGHT]).id)
    page = inside.ask(officer, lambda c: c.post("/console/trial/search", data={"csrf": c.csrf}))
    json_headers = {"accept": "application/json"}
    answer = inside.ask(
        officer, lambda c: c.post("/console/trial/search", headers={**json_headers, "x-csrf-token": c.csrf})
    )
    assert page.status_code == answer.status_code == 403
    rules = answer.json()["rules"]
    assert len(rules) >= 2
    assert "base.role" in {rule["id"] for rule in rules}
    assert f"{len(rules)} rules forbid this" in page.text
    for rule in rules:
        for key in ("id", "citation", "explain", "remedy"):
            assert escape(rule[key]) in page.text


# --- checks ---


def _calls(dependant: Dependant) -> Iterator[object]:
    """Return what a route depends on, directly or through others."""
    for found in dependant.dependencies:
        yield found.call
        yield from _calls(found)


def test_every_page_checks_who_asks() -> None:
    """Each asks for a visitor, or a stranger at the door, whose token is checked; none lets FastAPI read a body."""
    for route in (r for pages in ROUTERS for r in pages.routes if isinstance(r, APIRoute)):
        checked = [c for c in _calls(route.dependant) if c.__module__ == visits.__name__]
        assert checked or route.path == "/console/", f"{route.path} asks for nobody"
        assert route.body_field is None, f"{route.path} reads its body before the checks"


@pytest.mark.parametrize(
    ("method", "path", "own"),
    [
        ("GET", "/", True),
        ("HEAD", "/", True),
        ("POST", "/", False),
        ("PUT", "/", False),
        ("GET", "/console", True),
        ("POST", "/console/x", True),
        ("GET", "/consolex", False),
        ("GET", "/v1", False),
    ],
)
def test_the_console_has_its_paths_alone(method: str, path: str, own: bool) -> None:
    """What is below /console, and a look at the public page, are the console's."""
    assert is_console({"method": method, "path": path}) is own


@pytest.mark.parametrize("path", ["/console", "/console/a/b?c=d&e=%2F", "/console/ü"])
def test_a_local_path_is_kept(path: str) -> None:
    """What leads into the console is gone to."""
    assert local_path(path) == path


# --- uploads ---


def test_files_come_as_they_were_sent(inside: Inside, token: str) -> None:
    """Names and bytes arrive, empty fields are left out, and what was held in memory is given back."""
    files = [
        ("photos", ("ü.jpg", b"x" * 1_500_000)),
        ("photos", ("b.jpg", b"y")),
        ("photos", ("", b"")),
        ("photo", ("one.png", b"z")),
    ]

    async def go(client: httpx.AsyncClient) -> httpx.Response:
        data = {"csrf": client.csrf, "text": "  words  ", "several": ["a", "", "b"], "photo": "yes"}
        return await client.post("/console/trial/upload", data=data, files=files)

    told = inside.ask(token, go).json()
    assert told["files"] == [["ü.jpg", 1_500_000], ["b.jpg", 1]]
    assert (told["one"], told["text"], told["texts"], told["json"]) == ("one.png", "words", ["a", "b"], False)
    assert told["held"] > 1_500_000
    assert inside.gate.held_bytes == 0


def test_uploads_are_never_written_to_a_disk(inside: Inside, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large a photo is, no temporary file is made of it."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file was made")

    monkeypatch.setattr("tempfile.SpooledTemporaryFile.rollover", refuse)
    sent = [("photos", ("a.jpg", b"x" * 2_500_000))]
    answer = inside.ask(token, lambda c: c.post("/console/trial/upload", data={"csrf": c.csrf}, files=sent))
    assert answer.json()["files"] == [["a.jpg", 2_500_000]]


def test_an_upload_has_its_pages_limit(inside: Inside, token: str) -> None:
    """More than the page takes is refused, and nothing stays in memory."""
    sent = [("photos", ("a.jpg", b"x" * 3_100_000))]
    answer = inside.ask(token, lambda c: c.post("/console/trial/upload", data={"csrf": c.csrf}, files=sent))
    assert (answer.status_code, inside.gate.held_bytes) == (413, 0)


def test_a_missing_file_is_told(inside: Inside, token: str) -> None:
    """A page that needs a file says so."""
    answer = inside.ask(token, lambda c: c.post("/console/trial/upload", data={"csrf": c.csrf, "photo": "x"}))
    assert (answer.status_code, "No file was chosen" in answer.text) == (400, True)


def test_a_raw_body_is_read_by_its_page(inside: Inside, token: str) -> None:
    """With the token in the header a page may read a body that is no form, up to its own limit."""
    headers = {"content-type": "application/octet-stream"}

    async def go(client: httpx.AsyncClient, size: int, csrf: str) -> httpx.Response:
        return await client.post("/console/trial/raw", content=b"x" * size, headers=headers | {"x-csrf-token": csrf})

    assert inside.ask(token, lambda c: go(c, 900_000, c.csrf)).json() == {"bytes": 900_000}
    assert inside.ask(token, lambda c: go(c, 1_000_001, c.csrf)).status_code == 413
    assert inside.ask(token, lambda c: go(c, 10, "made-up")).status_code == 403
    assert inside.gate.held_bytes == 0


def _body(gate: Gate, receive: Callable[[], Awaitable[dict]], *, limit: int = 100, seconds: float = 5) -> Body:
    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", b"application/x-www-form-urlencoded")]}
    return Body(Request(scope, receive), gate, "somebody", limit, seconds)


async def _read(body: Body) -> FormData:
    async with reading_form(body._request, body) as form:
        return form


def test_a_slow_body_is_refused(inside: Inside) -> None:
    """A body that doesn't come in time is refused, and a client that hangs up is forgotten; nothing stays held."""
    sent = iter([{"type": "http.request", "body": b"a=1&", "more_body": True}])

    async def slow() -> dict:
        for message in sent:
            return message
        await asyncio.sleep(60)
        raise AssertionError

    async def gone() -> dict:
        return {"type": "http.disconnect"}

    with pytest.raises(Throttled, match=r"within 0\.05 seconds"):
        asyncio.run(_read(_body(inside.gate, slow, seconds=0.05)))
    with pytest.raises(HungUp):
        asyncio.run(_read(_body(inside.gate, gone)))
    assert inside.gate.held_bytes == 0


def test_the_turnstile_lets_one_in_after_another() -> None:
    """Passwords are looked at one at a time; who comes when too many wait is sent away, and the others get in."""
    seen: list[int] = []

    async def go() -> list[object]:
        turnstile, inside = Turnstile(), 0
        turnstile.most_waiting = 3

        async def pass_through(number: int) -> None:
            nonlocal inside
            async with turnstile:
                inside += 1
                assert inside == 1
                await asyncio.sleep(0.001)
                inside -= 1
                seen.append(number)

        first = await asyncio.gather(*(pass_through(n) for n in range(6)), return_exceptions=True)
        waiting = asyncio.ensure_future(pass_through(9))
        async with turnstile:
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        await pass_through(7)
        return first

    told = asyncio.run(go())
    assert [type(t) for t in told] == [type(None)] * 4 + [Throttled] * 2
    assert seen == [0, 1, 2, 3, 7]


# --- messages ---


def test_a_message_is_shown_once(inside: Inside, token: str) -> None:
    """What a page leaves the next one shows, escaped; the one after doesn't."""

    async def go(client: httpx.AsyncClient) -> list[str]:
        form = {"csrf": client.csrf, "text": "<i>Done</i>, ü", "kind": "warning"}
        assert (await client.post("/console/trial/flash", data=form)).status_code == 303
        return [(await client.get("/console")).text for _ in range(2)]

    first, second = inside.ask(token, go)
    assert '<p class="flash warning">&lt;i&gt;Done&lt;/i&gt;, ü</p>' in first
    assert "Done" not in second


def test_a_message_is_only_ever_ours() -> None:
    """A made-up or changed cookie shows nothing; a long message is cut, and of many the last ones stay."""
    ours, others = Cookies(KEY, secure=False), Cookies(bytes(32), secure=False)

    def read(cookies: Cookies, value: str) -> tuple[Flash, ...]:
        header = f"custodes-flash={value}".encode("latin-1")
        return cookies.flashes(Request({"type": "http", "headers": [(b"cookie", header)]}))

    def written(cookies: Cookies, *flashes: Flash) -> str:
        response = Response()
        cookies.set_flashes(response, flashes)
        assert len(response.headers["set-cookie"]) < 4096
        return response.headers["set-cookie"].partition("=")[2].partition(";")[0]

    told = (Flash("done", "ü"), Flash("error", "b"))
    assert read(ours, written(ours, *told)) == told
    assert read(ours, written(others, *told)) == ()
    for bad in ("", ".", "a.b", "é.é", written(ours, *told)[1:]):
        assert read(ours, bad) == ()
    assert [f.text for f in read(ours, written(ours, *(Flash("note", str(n)) for n in range(9))))] == list("45678")
    assert read(ours, written(ours, Flash("note", "x" * 9000)))[0].text.endswith("…")
    with pytest.raises(ValueError, match="is of one of"):
        Flash("nonsense", "")


# --- the frame ---


def test_the_navigation_is_by_role(inside: Inside) -> None:
    """What has no page isn't shown; overseers have nothing to do with faces, administrators people, homes cameras."""
    console = inside.site._site.state.console
    console.paths, before = console.paths | {item.path for item in NAVIGATION}, console.paths

    def labels(purpose: Purpose, *roles: Role, of: OrgClass = OrgClass.VICTIM_RESCUE) -> list[str]:
        session = SimpleNamespace(purpose=purpose, roles=frozenset(roles), organisation=SimpleNamespace(org_class=of))
        return [item.label for item in console.navigation(session)]

    everybody = ["Rules", "Ledger", "Transparency", "Accuracy"]
    assert labels(Purpose.OVERSIGHT, Role.OVERSIGHT) == ["Dashboard", *everybody]
    assert labels(Purpose.MISSING_PERSON, Role.USER) == ["Dashboard", "Collections", "Cases", "Review", *everybody]
    assert "People" in labels(Purpose.MISSING_PERSON, Role.ADMIN)
    assert "Cameras" in labels(Purpose.HOME_SECURITY, Role.USER, of=OrgClass.HOUSEHOLD)
    assert "Cameras" not in labels(Purpose.CRIMINAL_INVESTIGATION, Role.ADMIN, of=OrgClass.LAW_ENFORCEMENT)
    assert console.navigation(None) == ()
    console.paths = before
    assert "/console" in before
    assert "/console/nowhere" not in before


def test_macros_render_and_escape(inside: Inside) -> None:
    """Every building block can be used, and whatever it shows is escaped."""
    templates = inside.site._site.state.console.templates
    evil = '"><script>alert(1)</script>'
    text = """{% import "macros.html.j2" as ui %}
    {{ ui.field("a", evil, value=evil, help=evil, error=evil, required=true, attributes={"min": evil}) }}
    {{ ui.textarea("b", evil, evil, evil, evil, maxlength=9) }}
    {{ ui.select("c", evil, [(evil, evil), ("x", "y")], "x", help=evil, empty=evil) }}
    {{ ui.choices("d", evil, [(evil, evil, evil), ("x", "y")], ("x",), help=evil, error=evil) }}
    {{ ui.checkbox("e", evil, true, evil) }}{{ ui.file("f", evil, help=evil, multiple=true) }}
    {{ ui.button(evil, evil, evil, evil) }}{{ ui.link_button(evil, evil) }}
    {{ ui.action(evil, evil, evil, "danger", evil, {evil: evil}) }}{{ ui.action(evil, evil, evil) }}
    {{ ui.badge(evil, "good") }}{% call ui.notice("error", evil) %}{{ evil }}{% endcall %}
    {{ ui.problem(none) }}{{ ui.problem(error) }}{{ ui.empty(evil, evil) }}
    {% call ui.empty(evil) %}{{ evil }}{% endcall %}{{ ui.progress(1, 3, evil) }}{{ ui.progress(0, 0, evil) }}
    {{ ui.stat(evil, evil, evil) }}{{ ui.stat(1, evil) }}{{ ui.pairs([(evil, evil)]) }}{{ ui.code(evil) }}
    {{ ui.crumbs([(evil, evil), (evil, "")]) }}{{ ui.pages(evil, evil, evil) }}{{ ui.pages("", "") }}
    {{ ui.head(evil, evil) }}{% call ui.head(evil) %}{{ evil }}{% endcall %}{{ ui.rules([rule]) }}"""
    rule = SimpleNamespace(id=evil, citation=evil, explain=evil, remedy=evil)
    made = templates.from_string(text).render(evil=evil, error=Invalid(evil, remedy=evil), rule=rule)
    assert "<script" not in made
    assert made.count("&lt;script&gt;") > 40
    assert 'aria-describedby="h-a e-a"' in made
    assert '<option value="x" selected>' in made
    assert 'value="x" checked' in made


def test_values_are_shown_for_people() -> None:
    """Times in UTC for people and machines, similarities never more than they are, words for identifiers."""
    at = datetime(2027, 1, 15, 8, 30, 5, tzinfo=UTC)
    assert str(when(at)) == '<time datetime="2027-01-15T08:30:05Z">2027-01-15 08:30 UTC</time>'
    assert str(day(at)) == '<time datetime="2027-01-15">2027-01-15</time>'
    assert (str(when(None)), str(day(None, "<never>"))) == ("–", "&lt;never&gt;")
    assert (percent(99.999), percent(80.0)) == ("99.99 %", "80.00 %")
    assert (plural(1, "face"), plural(1234, "face"), plural(2, "entry", "entries")) == (
        "1 face",
        "1,234 faces",
        "2 entries",
    )
    assert (words("law-enforcement"), words("")) == ("Law enforcement", "")
    assert (short("abc"), short("a" * 20)) == ("abc", "a" * 12 + "…")


def test_static_files_are_all_of_one_version(inside: Inside) -> None:
    """One hash stands for all files, so that scripts find one another; an unknown name is a mistake of the page's."""
    statics = inside.site._site.state.console.statics
    folder = Path(visits.__file__).parent / "static"
    for name in ("console.css", "console.js", "api.js", "theme.js", "mark.svg"):
        assert statics.url(name) == f"/console/static/{statics.digest}/{name}"
        assert statics.answer(statics.digest, name).body == (folder / name).read_bytes()
    with pytest.raises(KeyError):
        statics.url("nowhere.css")
