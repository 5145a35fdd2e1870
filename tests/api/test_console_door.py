# SPDX-License-Identifier: Apache-2.0
"""The console's door at a running server: who gets in, what is refused, and what every answer carries."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from contextlib import closing
from urllib.parse import urlsplit

import httpx
import pyotp
import pytest

PASSWORD = "correct horse battery staple"
_count = iter(range(10_000))


@pytest.fixture
def person(server):
    """Adds a person of the test's own to the first organisation, and returns the id; ``identifier`` is its own too."""

    def add(identifier: str = "") -> str:
        told = identifier or f"person-{time.time_ns()}-{next(_count)}@example.org"
        made = server.cli("people", "add", "Somebody Secret", "--id", told, "--json")
        assert made.returncode == 0, made.stderr
        return json.loads(made.stdout)["id"]

    return add


@pytest.fixture
def stranger(server):
    """A browser at the door."""
    with httpx.Client(base_url=server.endpoint_url, timeout=30) as client:
        yield client


def _token(answer: httpx.Response) -> str:
    return re.search(r'name="csrf" value="([^"]+)"', answer.text)[1]


def _knock(client: httpx.Client, name: str, password: str = PASSWORD, **more: str) -> httpx.Response:
    """Load the door's form, fill it in, and send it."""
    form = {"csrf": _token(client.get("/console/sign-in")), "name": name, "password": password, **more}
    return client.post("/console/sign-in", data=form)


def _set_back(server, principal: str, seconds: float, *columns: str) -> None:
    """Let somebody's sessions be older than they are."""
    changes = ", ".join(f"{column} = {column} - {seconds}" for column in columns)
    with closing(sqlite3.connect(server.data / "custodes.sqlite3", timeout=30)) as c, c:
        c.execute(f"UPDATE sessions SET {changes} WHERE principal = ?", (principal,))


def _is_in(browser) -> bool:
    answer = browser.http.get("/console/account", follow_redirects=False)
    assert answer.status_code in (200, 303)
    return answer.status_code == 200


# --- in and out ---


def test_an_invitation_leads_in_once(server, person, stranger) -> None:
    """The link shows whom it is for, sets the password and leads to the dashboard; then it is used up."""
    who = person()
    made = json.loads(server.cli("console", "invite", who, "--purpose", "photo-library", "--json").stdout)
    assert (made["principal"], made["purposes"]) == (who, ["photo-library"])
    assert made["url"].startswith(f"{server.endpoint_url}/console/invitation/")
    path = urlsplit(made["url"]).path
    page = stranger.get(path)
    assert "Somebody Secret" in page.text
    form = {"csrf": _token(page), "password": PASSWORD, "again": "another password"}
    refused = stranger.post(path, data=form)
    assert (refused.status_code, "not the same" in refused.text) == (400, True)
    done = stranger.post(path, data=form | {"again": PASSWORD})
    assert (done.status_code, done.headers["location"]) == (303, "/console")
    assert "Dashboard" in stranger.get("/console").text
    again = stranger.get(path)
    assert (again.status_code, "used up" in again.text) == (404, True)
    assert who in server.cli("console", "logins").stdout.decode()


def test_signing_in_and_out(server, sign_in, person, stranger) -> None:
    """Name and password lead in; out, the token is no good any more, wherever it is kept."""
    who = person()
    sign_in(server, who, ["photo-library"])
    done = _knock(stranger, who)
    assert (done.status_code, done.headers["location"]) == (303, "/console")
    kept = dict(stranger.cookies)
    page = stranger.get("/console")
    out = stranger.post("/console/sign-out", data={"csrf": _token(page)})
    assert (out.status_code, out.headers["location"]) == (303, "/console/sign-in")
    assert "custodes-session" not in stranger.cookies
    answer = httpx.get(f"{server.endpoint_url}/console", cookies=kept)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/sign-in")


def test_a_token_is_new_at_every_sign_in(server, sign_in, person, stranger) -> None:
    """A token that somebody planted, or had before, is never taken over: signing in makes one and ends the old."""
    who = person()
    first = sign_in(server, who, ["photo-library"]).http.cookies["custodes-session"]
    for planted in ("planted-by-somebody-else", first):
        stranger.cookies.set("custodes-session", planted, domain=urlsplit(server.endpoint_url).hostname)
        token = _token(stranger.get("/console/sign-in"))
        answer = stranger.post("/console/sign-in", data={"csrf": token, "name": who, "password": PASSWORD})
        made = re.search(r"custodes-session=([^;]+);", answer.headers["set-cookie"])[1]
        assert made not in (planted, first)
        assert httpx.get(f"{server.endpoint_url}/console", cookies={"custodes-session": planted}).status_code == 303
        assert httpx.get(f"{server.endpoint_url}/console", cookies={"custodes-session": made}).status_code == 200
        stranger.cookies.clear()


def test_a_wrong_sign_in_tells_nothing(server, sign_in, person, stranger) -> None:
    """An unknown name, a wrong password and a locked login read alike, but for the name that was typed."""
    who = person("known@example.org")
    sign_in(server, who, ["photo-library"])

    def told(name: str, password: str) -> str:
        answer = _knock(stranger, name, password)
        assert answer.status_code == 403
        assert "custodes-session" not in stranger.cookies
        return answer.text.replace(name, "NAME")

    seen = {told("nobody@example.org", PASSWORD), *(told("known@example.org", "wrong password") for _ in range(5))}
    seen.add(told("known@example.org", PASSWORD))  # locked by now
    assert len({re.sub(r'value="[^"]{43}"', "", text) for text in seen}) == 1


def test_a_code_of_an_authenticator_is_used_once(server, sign_in, person, stranger) -> None:
    """Set up by its page, it is asked for; the code that confirmed it, and one that was used, are refused."""
    who = person()
    browser = sign_in(server, who, ["photo-library"])
    browser.get("/console/account")
    page = browser.post("/console/account/authenticator", {"password": "wrong password"})
    assert (page.status_code, "not your password" in page.text) == (403, True)
    page = browser.post("/console/account/authenticator", {"password": PASSWORD})
    assert 'src="data:image/svg+xml' in page.text
    secret = re.search(r'class="secret">([A-Z2-7 ]+)<', page.text)[1].replace(" ", "")
    totp = pyotp.TOTP(secret)
    wrong = browser.post("/console/account/authenticator/confirm", {"code": "000000"})
    assert (wrong.status_code, "not the code of now" in wrong.text) == (400, True)
    at = time.time()
    assert "is set up" in browser.post("/console/account/authenticator/confirm", {"code": totp.at(at)}).text
    assert _knock(stranger, who).status_code == 403
    assert _knock(stranger, who, code=totp.at(at)).status_code == 403
    code = totp.at(at + 30)  # which holds already: a clock may be off by as much
    assert _knock(stranger, who, code=code).status_code == 303
    stranger.cookies.clear()
    assert _knock(stranger, who, code=code).status_code == 403
    browser.get("/console/account")
    assert "is removed" in browser.post("/console/account/authenticator/remove", {"password": PASSWORD}).text
    assert _knock(stranger, who).status_code == 303


# --- what ends a session ---


def test_a_session_ends_by_itself(server, sign_in, person) -> None:
    """After half an hour without use, and after twelve hours in any case, the door is shut."""
    who = person()
    browser = sign_in(server, who, ["photo-library"])
    _set_back(server, who, 29 * 60, "seen_at")
    assert _is_in(browser)
    _set_back(server, who, 30 * 60, "seen_at")
    assert not _is_in(browser)
    browser = sign_in(server, who)
    _set_back(server, who, 12 * 3600, "made_at", "expires_at")
    assert not _is_in(browser)


def test_a_session_is_ended_from_another_one(server, sign_in, person) -> None:
    """The account lists one's sessions, and ends another one's at a word."""
    who = person()
    one, two = sign_in(server, who, ["photo-library"]), sign_in(server, who)
    page = one.get("/console/account")
    [path] = re.findall(r"/console/account/sessions/[0-9a-f]{64}/end", page.text)
    assert "is ended" in one.post(path).text
    assert (_is_in(one), _is_in(two)) == (True, False)


def test_a_changed_password_ends_other_sessions(server, sign_in, person, stranger) -> None:
    """The page asks for the old one; the new one leads in, the old one doesn't."""
    who = person()
    one, two = sign_in(server, who, ["photo-library"]), sign_in(server, who)
    one.get("/console/account")
    form = {"old": PASSWORD, "new": "another long password", "again": "another long password"}
    assert one.post("/console/account/password", form | {"again": "a third one"}).status_code == 400
    assert one.post("/console/account/password", form | {"old": "wrong password"}).status_code == 403
    assert "is changed" in one.post("/console/account/password", form).text
    assert (_is_in(one), _is_in(two)) == (True, False)
    assert _knock(stranger, who).status_code == 403
    assert _knock(stranger, who, "another long password").status_code == 303


def test_a_suspended_person_is_out_at_once(server, sign_in, person, stranger) -> None:
    """Their session ends, and they can't sign in, until they are resumed; the old session stays over."""
    who = person()
    browser = sign_in(server, who, ["photo-library"])
    server.cli("people", "suspend", who)
    assert not _is_in(browser)
    assert _knock(stranger, who).status_code == 403
    server.cli("people", "resume", who)
    assert not _is_in(browser)
    assert _knock(stranger, who).status_code == 303


# --- what other sites can't do ---


@pytest.mark.parametrize(
    ("token", "headers"),
    [
        ("", {}),
        ("made-up", {}),
        ("ü", {}),
        ("another's", {}),
        ("own", {"origin": "https://evil.example"}),
        ("own", {"origin": "null"}),
        ("own", {"sec-fetch-site": "cross-site"}),
        ("own", {"sec-fetch-site": "same-site"}),
        ("own", {"x-csrf-token": "made-up"}),
    ],
)
def test_a_forged_form_does_nothing(server, sign_in, token: str, headers: dict[str, str]) -> None:
    """Without the session's own token, or from elsewhere, a form is refused, and nothing happens."""
    mine, other = sign_in(server), sign_in(server)
    mine.get("/console/account")
    other.get("/console/account")
    carried = {"own": mine.csrf, "another's": other.csrf}.get(token, token)
    answer = mine.http.post("/console/sign-out", data={"csrf": carried}, headers=headers)
    assert answer.status_code == 403
    assert "not sent from a page of this console" in answer.text
    assert _is_in(mine)


def test_a_form_of_the_own_origin_is_taken(server, sign_in) -> None:
    """What browsers send with a form of the page itself passes; so does a script with the token in its header."""
    browser = sign_in(server)
    browser.get("/console/account")
    own = {"origin": server.endpoint_url, "sec-fetch-site": "same-origin"}
    data = {"csrf": browser.csrf, "purpose": "access-control"}
    assert browser.http.post("/console/purpose", data=data, headers=own, follow_redirects=False).status_code == 303
    assert "Access control" in browser.get("/console/account").text
    answer = browser.fetch("/console/purpose", data={"purpose": "photo-library"}, follow_redirects=False)
    assert answer.status_code == 303


def test_a_forged_form_is_refused_before_it_is_read(server, sign_in, wire) -> None:
    """From elsewhere, or from a stranger, not a byte of the body is waited for."""
    browser = sign_in(server)
    cookie = f"custodes-session={browser.http.cookies['custodes-session']}"
    form = "application/x-www-form-urlencoded"
    for more, status in (
        ({"origin": "https://evil.example", "cookie": cookie}, 403),
        ({"x-csrf-token": "made-up", "cookie": cookie}, 403),
        ({"cookie": "custodes-session=made-up"}, 303),
    ):
        headers = {"host": wire.host, "content-type": form, **more}
        answer = wire.send([wire.head(headers, 900_000, line="POST /console/purpose HTTP/1.1")])
        assert (answer.status, answer.headers["connection"]) == (status, "close")


def test_the_doors_form_belongs_to_a_browser(server, stranger) -> None:
    """A sign-in form that was made for another browser, or for none, is refused."""
    token = _token(stranger.get("/console/sign-in"))
    form = {"csrf": token, "name": "operator", "password": "some password"}
    with httpx.Client(base_url=server.endpoint_url) as other:
        assert "not sent from a page" in other.post("/console/sign-in", data=form).text
        other.get("/console/sign-in")
        assert "not sent from a page" in other.post("/console/sign-in", data=form).text
    assert "That is not right" in stranger.post("/console/sign-in", data=form).text


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example/console",
        "//evil.example/console",
        "/\\evil.example",
        "\\\\evil.example",
        "/console/../v1/health",
        "/consolex",
        "javascript:alert(1)",
        "/v1/health",
        "",
        "/console\r\nx: y",
        "http:/console",
        "/console@evil.example",
    ],
)
def test_next_leads_nowhere_else(server, sign_in, person, stranger, path: str) -> None:
    """Where a link says to go after signing in is the console's own, whatever it says, on the page and in the form."""
    sign_in(server)
    page = stranger.get("/console/sign-in", params={"next": path})
    assert 'name="next" value="/console"' in page.text
    form = {"csrf": _token(page), "name": "operator", "password": PASSWORD, "next": path}
    answer = stranger.post("/console/sign-in", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console")


def test_next_leads_back(server, sign_in, stranger) -> None:
    """Who is asked to sign in on the way to a page gets there, with its question; a script is told so instead."""
    sign_in(server)
    asked = stranger.get("/console/account?a=1&b=%C3%BC")
    assert asked.status_code == 303
    page = stranger.get(asked.headers["location"])
    after = re.search(r'name="next" value="([^"]+)"', page.text)[1].replace("&amp;", "&")
    form = {"csrf": _token(page), "name": "operator", "password": PASSWORD, "next": after}
    assert stranger.post("/console/sign-in", data=form).headers["location"] == "/console/account?a=1&b=%C3%BC"
    stranger.cookies.clear()
    answer = stranger.get("/console/account", headers={"accept": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (401, "Denied")


def test_a_link_from_elsewhere_finds_who_is_signed_in(stranger) -> None:
    """A strict cookie stays back on the way from another site: the page asks again, from here, instead of the door."""
    answer = stranger.get("/console/account?a=1", headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 200
    assert 'http-equiv="refresh"' in answer.text
    assert 'href="/console/account?a=1"' in answer.text


# --- what every answer carries ---


def test_cookies_are_for_the_server_alone(server, sign_in, person, stranger) -> None:
    """No script reads them, and no other site sends them."""
    who = person()
    sign_in(server, who, ["photo-library"])
    stranger.get("/console/sign-in")
    session, browser = _knock(stranger, who).headers.get_list("set-cookie")
    for header in (stranger.get("/console/sign-in").headers["set-cookie"], session, browser):
        assert "httponly" in header.lower()
        assert "samesite=strict" in header.lower()
        assert "path=/" in header.lower()
        assert "domain" not in header.lower()
        assert ("max-age" in header.lower()) == (header is browser)
    assert browser.startswith("custodes-browser=")
    assert who not in browser


def test_strangers_lock_nobody_out_of_their_own_browser(server, sign_in, person, stranger) -> None:
    """Five wrong tries from elsewhere keep strangers out, and not a browser that was signed in with before."""
    who = person()
    own = sign_in(server, who, ["photo-library"])
    own.get("/console/account")
    own.post("/console/sign-out")
    for _ in range(5):
        assert _knock(stranger, who, "wrong password").status_code == 403
    assert _knock(stranger, who).status_code == 403
    own.get("/console/sign-in")
    own.post("/console/sign-in", {"name": who, "password": PASSWORD})
    assert _is_in(own)
    assert _knock(stranger, who).status_code == 403


def test_with_tls_cookies_are_the_hosts_own(start_server, tmp_path) -> None:
    """Behind https their names have the prefix that binds them to the host, and they never go over plain HTTP."""
    server = start_server(tmp_path / "data", CUSTODES_ENDPOINT="https://faces.example")
    try:
        port = server.environment["CUSTODES_PORT"]
        made = json.loads(server.cli("console", "invite", "operator", "--json").stdout)
        assert made["url"].startswith("https://faces.example/console/invitation/")
        url = f"http://127.0.0.1:{port}{urlsplit(made['url']).path}"
        page = httpx.get(url)
        nonce = page.headers["set-cookie"]
        assert re.match(r"__Host-custodes-door=[^;]+; HttpOnly; Path=/; SameSite=strict; Secure$", nonce)
        sent = {"cookie": nonce.partition(";")[0], "origin": "https://faces.example"}
        form = {"csrf": _token(page), "password": PASSWORD, "again": PASSWORD}
        evil = httpx.post(url, data=form, headers=sent | {"origin": "https://evil.example"})
        assert evil.status_code == 403
        done = httpx.post(url, data=form, headers=sent)
        assert done.status_code == 303
        assert re.match(
            r"__Host-custodes-session=[^;]+; HttpOnly; Path=/; SameSite=strict; Secure$",
            done.headers.get_list("set-cookie")[0],
        )
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/console/sign-in", 200),
        ("/console", 303),
        ("/console/", 308),
        ("/console/nowhere", 404),
        ("/console/sign-out", 405),
        ("/console/static/0000000000000000/console.css", 404),
        ("/console/invitation/made-up", 404),
        (f"/console/invitation/{'x' * 101}", 400),
    ],
)
def test_headers_are_on_every_answer(stranger, path: str, status: int) -> None:
    """Pages, redirects and errors alike forbid frames, inline scripts, sniffing and keeping."""
    answer = stranger.get(path)
    assert answer.status_code == status
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' blob: data:",
        "connect-src": "'self'",
        "media-src": "'self' blob:",
        "font-src": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers


def test_pages_hold_no_inline_scripts_or_styles(server, sign_in, stranger) -> None:
    """What the policy forbids no page has; whatever file a page names is there, with its type, to be kept for ever."""
    browser = sign_in(server)
    texts = [stranger.get(path).text for path in ("/", "/console/sign-in", "/console/nowhere")]
    texts += [browser.get(path).text for path in ("/console", "/console/account", "/console/nowhere")]
    files = set()
    for text in texts:
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son[a-z]+=|javascript:", text)
        files |= set(re.findall(r'(?:src|href)="(/console/static/[^"]+)"', text))
    types = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
    assert {f.rpartition(".")[2] for f in files} == set(types)
    for file in files:
        answer = stranger.get(file)
        assert answer.status_code == 200, file
        assert answer.headers["content-type"] == types[file.rpartition(".")[2]]
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("name", ["..%2fsite.py", "../site.py", "console.py", "", "%00", "base.html.j2"])
def test_no_other_file_is_served(server, wire, stranger, name: str) -> None:
    """Below the files' address there are the files alone."""
    digest = re.search(r"/console/static/([0-9a-f]{16})/", stranger.get("/").text)[1]
    head = wire.head({"host": wire.host}, None, line=f"GET /console/static/{digest}/{name} HTTP/1.1")
    assert wire.send([head]).status == 404


def test_a_missing_page_is_a_page(server, sign_in, stranger) -> None:
    """People get the frame with what happened, scripts get JSON."""
    answer = sign_in(server).get("/console/nowhere")
    assert (answer.status_code, "There is no such page" in answer.text, "Sign out" in answer.text) == (404, True, True)
    answer = stranger.get("/console/nowhere", headers={"accept": "application/json"})
    assert answer.json() == {"error": "NotFound", "message": "There is no such page.", "remedy": "", "rules": []}


def test_other_addresses_are_not_the_consoles(stranger) -> None:
    """The API's answers are its own: JSON, and without the console's headers."""
    for path, status in (("/v1/health", 200), ("/consolex", 404), ("/v1/nowhere", 404)):
        answer = stranger.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
        assert "content-security-policy" not in answer.headers


def test_head_is_a_page_without_its_body(stranger) -> None:
    """Who asks for the head alone gets that, and the connection goes on."""
    for path, status in (("/", 200), ("/console", 303), ("/console/nowhere", 404), ("/console/sign-in", 200)):
        answer = stranger.head(path)
        assert (answer.status_code, answer.content) == (status, b"")
        assert answer.headers["content-security-policy"]
    assert stranger.get("/").status_code == 200


# --- bodies ---


def test_a_large_form_is_refused(server, sign_in, stranger) -> None:
    """A form has at most a mebibyte, at the door 64 KiB; announced or not, what is larger isn't read."""
    browser = sign_in(server)
    browser.get("/console/account")
    for told in ({"purpose": "x" * 2**20}, {f"x{n}": "" for n in range(2000)}):
        answer = browser.http.post("/console/purpose", data={"csrf": browser.csrf, **told}, follow_redirects=False)
        assert answer.status_code in (400, 413)

    def parts():
        for _ in range(64):
            yield b"x" * 65_536

    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = browser.http.post("/console/purpose", content=parts(), headers=headers, follow_redirects=False)
    assert answer.status_code == 413
    assert stranger.post("/console/sign-in", data={"csrf": "x", "name": "x" * 70_000}).status_code == 413
    assert _is_in(browser)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b"--y\r\nno form"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\nv\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=csrf\r\n\r\nv"),
        (
            "multipart/form-data; boundary=x; charset=nonsense",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n',
        ),
        ("application/x-www-form-urlencoded", b"%%%=%zz&&&==;\xff\x00"),
        ("application/json", b'{"csrf": "x"}'),
        ("text/plain", b"csrf=x"),
        ("nonsense", b"\x00" * 100),
    ],
)
def test_a_form_that_is_none_is_refused(server, sign_in, kind: str, body: bytes) -> None:
    """Whatever bytes come, the answer is the client's fault, and the session goes on."""
    browser = sign_in(server)
    answer = browser.http.post("/console/purpose", content=body, headers={"content-type": kind}, follow_redirects=False)
    assert answer.status_code in (400, 403)
    assert _is_in(browser)


# --- what operators see ---


def test_requests_are_counted_and_names_are_not_told(server, sign_in, person, stranger) -> None:
    """Metrics and log name routes by their templates; no token, name or identifier is in the log."""
    who = person("very-secret@example.org")
    browser = sign_in(server, who, ["photo-library"])
    _knock(stranger, "very-secret@example.org", "my secret password")
    token = browser.http.cookies["custodes-session"]
    metrics = stranger.get("/v1/metrics").text
    for operation in ("GET /console", "POST /console/sign-in", "POST /console/invitation/{token}"):
        assert f'operation="{operation}"' in metrics
    log = server.log.read_text()
    assert "/console/invitation/{token}" in log
    for secret in ("very-secret", "my secret", "Somebody", token, PASSWORD):
        assert secret not in log


def test_the_first_start_invites_the_operator(start_server, tmp_path) -> None:
    """A new installation prints a link that works; a later start whose output is a file prints none."""
    server = start_server(tmp_path / "data")
    try:
        [link] = re.findall(r"http\S+/console/invitation/\S+", (server.data / "server.out").read_text())
        with httpx.Client() as client:
            page = client.get(link)
            assert "Operator" in page.text
            form = {"csrf": _token(page), "password": PASSWORD, "again": PASSWORD}
            assert client.post(link, data=form).status_code == 303
    finally:
        server.stop()
    again = start_server(tmp_path / "data")
    again.stop()
    assert (server.data / "server.out").read_text().count("/console/invitation/") == 1
