# SPDX-License-Identifier: Apache-2.0
"""HTTP by hand, for what no SDK would send, signed here and written to a socket as bytes; and a plain browser."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

if TYPE_CHECKING:
    from tests.conftest import Server

TYPE = "application/x-amz-json-1.1"


@dataclass(frozen=True)
class Answer:
    """What came back, and how long it took from the first byte sent, in seconds."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    @property
    def document(self) -> dict:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The error's name on the wire; empty for an answer without one."""
        return self.document.get("__type", "") if self.status != 200 else ""

    @property
    def message(self) -> str:
        """The error's text."""
        return self.document.get("Message") or self.document.get("message", "")


class Wire:
    """Speaks to a server byte by byte."""

    def __init__(self, server) -> None:
        self.server = server
        self.address = urlsplit(server.endpoint_url).hostname, urlsplit(server.endpoint_url).port
        self.host = "{}:{}".format(*self.address)
        self.process = psutil.Process(server.process.pid)

    def sign(
        self,
        operation: str,
        body: bytes,
        *,
        key: str = "",
        secret: str = "",
        offset: float = 0,
        region: str = "us-east-1",
        service: str = "rekognition",
        more: dict[str, str] | None = None,
    ) -> dict[str, str]:
        """Return the headers of a request as boto3 would sign it, ``offset`` seconds from now."""
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() + offset))
        signed = {
            "content-type": TYPE,
            "host": self.host,
            "x-amz-date": date,
            "x-amz-target": f"RekognitionService.{operation}",
        }
        fields = "".join(f"{name}:{value}\n" for name, value in signed.items())
        canonical = f"POST\n/\n\n{fields}\n{';'.join(signed)}\n{hashlib.sha256(body).hexdigest()}"
        scope = f"{date[:8]}/{region}/{service}/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        digest = ("AWS4" + (secret or self.server.secret_access_key)).encode()
        for part in (*scope.split("/"), text):
            digest = hmac.digest(digest, part.encode(), "sha256")
        credential = f"{key or self.server.access_key_id}/{scope}"
        authorization = (
            f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={';'.join(signed)}, Signature={digest.hex()}"
        )
        invocation = {"amz-sdk-invocation-id": str(uuid.uuid4()), "amz-sdk-request": "attempt=1"}
        return signed | {"authorization": authorization} | invocation | (more or {})

    @staticmethod
    def head(headers: dict[str, str], length: int | None, *, line: str = "POST / HTTP/1.1") -> bytes:
        """Return a request's first lines; without a length there is no Content-Length."""
        fields = headers if length is None else {**headers, "content-length": str(length)}
        return "".join([f"{line}\r\n", *(f"{k}: {v}\r\n" for k, v in fields.items()), "\r\n"]).encode("utf-8")

    def send(self, parts: Iterable[bytes], *, timeout: float = 10) -> Answer:
        """Write bytes and read one answer.

        Raises:
            OSError: if the connection breaks before an answer, or none comes in time.
        """
        begun = time.perf_counter()
        with socket.create_connection(self.address, timeout) as connection:
            try:
                for part in parts:
                    connection.sendall(part)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the server has answered already and reads no more
            response = HTTPResponse(connection)
            response.begin()
            return Answer(
                response.status,
                {k.lower(): v for k, v in response.getheaders()},
                response.read(),
                time.perf_counter() - begun,
            )

    def call(self, operation: str, body: bytes | dict, *, timeout: float = 10, **signing: object) -> Answer:
        """Sign, send and read."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = self.sign(operation, data, **signing)
        return self.send([self.head(headers, len(data)), data], timeout=timeout)

    def alive(self) -> bool:
        """Tell whether the server's process runs and answers a good request."""
        return self.process.is_running() and self.call("ListCollections", {}).status == 200

    @property
    def resident(self) -> int:
        """Memory of the server's process, in bytes."""
        return self.process.memory_info().rss


@pytest.fixture(scope="session")
def wire(server) -> Wire:
    """HTTP by hand to the shared server."""
    return Wire(server)


@pytest.fixture(scope="session")
def wire_to() -> type[Wire]:
    """Makes HTTP by hand to another server."""
    return Wire


class Browser:
    """A browser without scripts: keeps cookies, and fills the token against forgery into the forms that it sends.

    Attributes:
        page: the last page that it got; its ``text`` is the HTML.
    """

    def __init__(self, endpoint: str) -> None:
        self.http = httpx.Client(base_url=endpoint, follow_redirects=True, timeout=60)
        self.page = httpx.Response(200)

    @property
    def csrf(self) -> str:
        """The token of the last page's forms."""
        return re.search(r'name="csrf" value="([^"]+)"', self.page.text)[1]

    def get(self, path: str, **more: object) -> httpx.Response:
        """Look at a page."""
        answer = self.http.get(path, **more)
        if answer.headers.get("content-type", "").startswith("text/html"):
            self.page = answer
        return answer

    def post(self, path: str, data: dict | None = None, **more: object) -> httpx.Response:
        """Send a form of the last page; a further ``files`` goes to httpx."""
        answer = self.http.post(path, data={"csrf": self.csrf, **(data or {})}, **more)
        if answer.headers.get("content-type", "").startswith("text/html"):
            self.page = answer
        return answer

    def fetch(self, path: str, method: str = "POST", **more: object) -> httpx.Response:
        """Do what a script does by fetch()."""
        headers = {"accept": "application/json", "x-csrf-token": self.csrf, **more.pop("headers", {})}
        return self.http.request(method, path, headers=headers, **more)


PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="session")
def sign_in() -> Iterator[Callable[..., Browser]]:
    """Signs somebody in at a server: by an invitation the first time, by their password then.

    ``sign_in(server, "p-...", purposes=["missing-person"])`` returns a browser of its own on the dashboard.
    """
    known: set[tuple[str, str]] = set()
    opened: list[Browser] = []

    def go(server: Server, principal: str = "operator", purposes: Sequence[str] = ()) -> Browser:
        opened.append(Browser(server.endpoint_url))
        browser = opened[-1]
        if (server.endpoint_url, principal) in known:
            browser.get("/console/sign-in")
            browser.post("/console/sign-in", {"name": principal, "password": PASSWORD})
        else:
            named = [word for p in purposes for word in ("--purpose", p)]
            made = server.cli("console", "invite", principal, *named, "--json")
            assert made.returncode == 0, made.stderr
            path = urlsplit(json.loads(made.stdout)["url"]).path
            browser.get(path)
            browser.post(path, {"password": PASSWORD, "again": PASSWORD})
            known.add((server.endpoint_url, principal))
        assert browser.page.url.path == "/console", browser.page.text
        return browser

    yield go
    for browser in opened:
        browser.http.close()
