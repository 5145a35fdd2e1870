# SPDX-License-Identifier: Apache-2.0
"""The board: the same bytes for everyone, and nothing of who reads it anywhere."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import structlog
from tests.cameras.agencyroom import Department, wanted
from tests.operations.conftest import ME, World, open_world

from custodes.api.server import Application
from custodes.cameras.sharing import check_request, read_board
from custodes.governance import Caller, Purpose, Role

READERS: tuple[Mapping[str, str], ...] = (
    {},
    {
        "cookie": "session=0123456789",
        "user-agent": "recorder/7 (camera at 1 Pike Place)",
        "accept-language": "de",
        "accept": "text/html",
        "x-forwarded-for": "192.0.2.7",
        "authorization": "Bearer 0123456789",
        "x-custodes-purpose": "home-security",
    },
    {"range": "bytes=0-10", "accept-encoding": "gzip", "if-none-match": '"other"', "origin": "https://home.example"},
)


@dataclass
class Public:
    """A server with a request on its board."""

    world: World
    application: Application
    department: Department

    def get(self, path: str = "/v1/board", **more: Mapping[str, str]) -> httpx.Response:
        """Get a path as a client that sends no headers of its own."""

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.application, client=("192.0.2.44", 4444))
            async with httpx.AsyncClient(transport=transport, base_url="http://agency.example") as client:
                return await client.get(path, **more)

        return asyncio.run(ask())

    def files(self) -> dict[str, bytes]:
        """Return what is on the disk, by the hashes of files."""
        folder: Path = self.world.config.data
        return {str(p): hashlib.sha256(p.read_bytes()).digest() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Public]:
    world = open_world(tmp_path_factory.mktemp("board") / "data")
    department = Department(now=world.clock.now)
    footage = world.app.footage
    footage.enrol_agency(ME, department.document)
    chief = Caller(
        world.app.people.add(ME, world.police, "chief@spd.example", "Chief", (Role.ADMIN,)).id,
        Purpose.CRIMINAL_INVESTIGATION,
    )
    document, code = b"", ""
    for name in ("ann", "bea", "cat"):
        person = world.app.people.add(ME, world.police, f"{name}@spd.example", name, (Role.USER,))
        caller, officer = Caller(person.id, Purpose.CRIMINAL_INVESTIGATION), department.officer(name)
        footage.certify(chief, officer.certificate.document, person.id)
        if not code:
            document = department.draft(officer, wanted(department.now, contact="+1 206 555 0100 <b>"))
            code = footage.submit(caller, document).code
        else:
            document = department.approve(document, officer)
            footage.approve(caller, code, document)
    application = Application(world.app)
    yield Public(world, application, department)
    application.close()
    world.app.close()


def test_everyone_gets_the_same_bytes_and_headers(public: Public) -> None:
    """Whoever asks, with whatever headers and query; no cookie is set, and anybody on the way may keep it."""
    answers = [public.get(headers=dict(headers)) for headers in READERS]
    answers.append(public.get("/v1/board?latitude=47.6&longitude=-122.3&code=FR-1"))
    assert {a.status_code for a in answers} == {200}
    assert len({a.content for a in answers}) == 1
    assert len({tuple(sorted(a.headers.items())) for a in answers}) == 1
    headers = answers[0].headers
    assert headers["cache-control"] == "public, max-age=60"
    assert headers["content-type"] == "application/json"
    assert headers["etag"] == f'"{hashlib.sha256(answers[0].content).hexdigest()}"'
    assert not {"set-cookie", "vary", "x-request-id"} & set(headers)
    found = read_board(answers[0].content)
    assert found.agencies == (public.department.document,)
    (request,) = (check_request(r, (public.department.agency,), public.world.clock.now) for r in found.requests)
    assert request.incident == "2027-000123"


def test_who_has_it_is_told_so(public: Public) -> None:
    """A tag that is right gets 304 and no bytes; one among others, or a weak one, too."""
    tag = public.get().headers["etag"]
    for told in (tag, f'"x", {tag}', f"W/{tag}"):
        answer = public.get(headers={"if-none-match": told})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)


def test_people_read_it_as_a_page(public: Public) -> None:
    """What is asked, by whom and until when, with no cookie, and nothing of it as markup."""
    answer = public.get("/console/board")
    assert (answer.status_code, "set-cookie" in answer.headers) == (200, False)
    for text in ("2027-000123", "We look for a white van.", "47.6097, -122.3425, and 300 m around", "bea, cat"):
        assert text in answer.text
    assert "&lt;b&gt;" in answer.text
    assert "<b>" not in answer.text


def test_there_is_no_part_of_it_and_no_way_to_answer(public: Public) -> None:
    """No request can be asked for alone, and nothing can be sent to the board."""
    for path in ("/v1/board/FR-0000-0000-0000", "/v1/board/", "/v1/boards", "/v1/requests", "/v1/footage"):
        assert public.get(path).status_code == 404
    described = public.get("/v1/openapi.json").json()["paths"]
    assert set(described["/v1/board"]) == {"get"}
    assert not described["/v1/board"]["get"].get("parameters")


def test_reading_it_leaves_nothing_anywhere(public: Public) -> None:
    """No byte on the disk, no entry, and no word of the reader in lines and numbers."""
    public.get()
    before, size = public.files(), public.world.app.ledger.size()
    with structlog.testing.capture_logs() as lines:
        for headers in READERS:
            public.get("/v1/board?from=1-pike-place", headers=dict(headers))
    assert public.files() == before
    assert public.world.app.ledger.size() == size
    assert [{k: v for k, v in line.items() if k != "ms"} for line in lines] == [
        {
            "event": "request",
            "log_level": "info",
            "operation": "GET /v1/board",
            "outcome": "ok",
            "status": 200,
            "request_id": "",
            "key": "",
        }
    ] * len(READERS)
    numbers = public.application.telemetry.metrics().decode()
    assert "GET /v1/board" in numbers
    for word in ("192.0.2", "recorder", "pike", "0123456789"):
        assert word not in numbers
