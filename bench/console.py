# SPDX-License-Identifier: Apache-2.0
"""The console's pages with 100,000 faces enrolled: every page that links lead to, one after another, again and again.

Time is that of the whole answer at a client on the same machine; scripts, styles and pictures aren't pages. The health
route, asked in turn with them, says what the server and the client take without a page.
"""

from __future__ import annotations

import re
import statistics
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx

from bench.client import connect, start
from bench.report import Row, at_most
from bench.service import PORTRAIT, enrol_random, photo
from custodes.app import App
from custodes.casework import RunKind
from custodes.config import load
from custodes.governance import Caller, OrgClass, Purpose, Role
from custodes.operations.desk import Origin

__all__ = ["run"]

_BOUND = 100.0  # milliseconds
_PASSWORD = "correct horse battery staple"
_SKIPPED = re.compile(r"/console/(static|sign-out)|\.(jpg|png|pdf|zip|json|csv)$|^/ledger/|^/v1/")
_EACH = 3  # links of one shape that are followed: cases, entries and faces are many
_ORIGIN = Origin("case-file", "bench", "bench")


def run(quick: bool) -> list[Row]:
    """Return the figures of the console's pages."""
    faces, rounds = (10_000, 5) if quick else (100_000, 30)
    with tempfile.TemporaryDirectory() as folder:
        token = _furnish(Path(folder), faces, cases=10 if quick else 50)
        server, _ = start(Path(folder))
        connect(server).close()  # waits until it answers
        try:
            with httpx.Client(base_url=server.endpoint, follow_redirects=True, timeout=60) as client:
                _enter(client, token)
                pages = _pages(client)
                times = _timed(client, ["/v1/health", *pages], rounds)
        finally:
            server.stop()
    health = times.pop("/v1/health")
    every = [t for many in times.values() for t in many]
    worst = max(times, key=lambda page: _p95(times[page]))
    note = f"{len(pages)} pages, {faces:,} faces; /v1/health {statistics.median(health):.1f} ms"
    return [
        at_most("console pages, p95", _p95(every), _BOUND, "ms", note),
        at_most("the slowest page, p95", _p95(times[worst]), _BOUND, "ms", _shape(worst)),
        Row("console pages, median", statistics.median(every), "ms"),
        Row("a page beside /v1/health, medians", statistics.median(every) / statistics.median(health), "x"),
    ]


def _furnish(folder: Path, faces: int, cases: int) -> str:
    """Make an installation with an organisation of rescuers, and return the invitation of one who has every role."""
    app = App.open(replace(load(environ={}), data=folder))
    operator = app.identity.operator()
    organisation = app.people.add_organisation(operator, "Rescue", OrgClass.VICTIM_RESCUE, "US-CA").id
    roles = (Role.ADMIN, Role.USER, Role.REVIEWER)
    person = app.people.add(operator, organisation, "cara@rescue.example", "Cara", roles)
    cara = Caller(person.id, Purpose.MISSING_PERSON, provenance="case-file")
    with app._database.read() as c:
        now = app.guard.now(c)
    app.people.train(operator, person.id, "face comparison", now, now + timedelta(days=300))
    enrol_random(app, "people", faces, caller=cara)
    jpeg = photo(640, 100_000)
    for number in range(cases):
        case = app.casework.cases.open(cara, Purpose.MISSING_PERSON, f"Case {number}").id
        app.casework.cases.use_collection(cara, case, "people")
        app.casework.cases.sight(cara, case, seen_at=now, place="Station")
        if number < 3:
            app.casework.cases.add_photo(cara, case, jpeg, _ORIGIN)
            app.casework.cases.keep_probe(cara, case, PORTRAIT.read_bytes(), _ORIGIN)
            app.casework.searches.search_references(cara, case, threshold=1.0)
            assert app.casework.candidates.runs(cara, case)[0].kind == RunKind.REFERENCES
    token = app.invitations.invite(operator, person.id, [Purpose.MISSING_PERSON]).token
    app.close()
    return token


def _enter(client: httpx.Client, token: str) -> None:
    """Accept the invitation, which signs in."""
    page = client.get(f"/console/invitation/{token}")
    csrf = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert csrf is not None
    form = {"csrf": csrf[1], "password": _PASSWORD, "again": _PASSWORD}
    client.post(f"/console/invitation/{token}", data=form).raise_for_status()


def _shape(path: str) -> str:
    """Return a path with its ids left out."""
    return re.sub(r"[0-9a-f]{8,}|[0-9]+", "*", path)


def _pages(client: httpx.Client) -> list[str]:
    """Follow the console's links, and return the pages that there are: a few of each shape."""
    found, waiting, shapes = [], ["/", "/console"], dict[str, int]()
    while waiting:
        path = waiting.pop(0)
        answer = client.get(path)
        if not answer.headers.get("content-type", "").startswith("text/html") or answer.status_code != 200:
            continue
        found.append(path)
        for link in _links(answer.text, path):
            shape = _shape(link)
            if link not in found and link not in waiting and shapes.get(shape, 0) < _EACH:
                shapes[shape] = shapes.get(shape, 0) + 1
                waiting.append(link)
    return found


def _links(text: str, base: str) -> Iterable[str]:
    for href in re.findall(r'<a[^>]* href="([^"#]+)', text):
        parts = urlsplit(urljoin(base, href.replace("&amp;", "&")))
        link = parts.path + (f"?{parts.query}" if parts.query else "")
        if not parts.netloc and not _SKIPPED.search(parts.path) and link.startswith("/"):
            yield link


def _timed(client: httpx.Client, paths: list[str], rounds: int) -> dict[str, list[float]]:
    """Ask for pages in turn; return the milliseconds of each."""
    times: dict[str, list[float]] = {p: [] for p in paths}
    for turn in range(rounds + 1):
        for path in paths:
            begun = time.perf_counter()
            client.get(path).read()
            if turn:
                times[path].append((time.perf_counter() - begun) * 1e3)
    return times


def _p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[-1]
