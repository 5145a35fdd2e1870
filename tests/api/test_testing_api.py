# SPDX-License-Identifier: Apache-2.0
"""The testing interface as a tester meets it: a running server, boto3, botocore's signer for the rest.

It shares the server with other tests, and makes organisations of its own there.
"""

from __future__ import annotations

import asyncio
import base64
import configparser
import http.client
import re
import shlex
import shutil
import subprocess
import sys
import time
import tracemalloc
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from fastapi import FastAPI

from custodes.api.aws.errors import request_timeout
from custodes.api.gate import HungUp
from custodes.api.rest.testing import create_testing
from custodes.app import App
from custodes.config import load
from custodes.errors import IntegrityError, Throttled, Unavailable
from custodes.governance import OrgClass, Purpose, Role
from custodes.operations.signed import verify_signed

ROOT = Path(__file__).parents[2]
BOX = "lab-1"
STRANGER = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> Any:
        """The body as JSON."""
        return orjson.loads(self.body)

    @property
    def rules(self) -> list[str]:
        """The rules that forbid it."""
        return [rule["id"] for rule in self.told["rules"]]


@dataclass(frozen=True)
class Lab:
    """The shared server with testers on it.

    Attributes:
        server: the server.
        folder: with credentials files: ``lab``, ``rival`` (another tester), ``police``, and ``app`` (no tester).
        vkey: the ledger's key.
        ann, bob: faces in the lab's collection.
    """

    server: Any
    folder: Path
    vkey: str
    ann: str = ""
    bob: str = ""

    def key(self, name: str) -> tuple[str, str]:
        """Return the id and the secret of a credentials file."""
        read = configparser.ConfigParser(interpolation=None)
        read.read(self.folder / name)
        return read["custodes"]["aws_access_key_id"], read["custodes"]["aws_secret_access_key"]

    def client(self, name: str = "lab") -> Any:
        """Make a boto3 client."""
        key, secret = self.key(name)
        return replace(self.server, access_key_id=key, secret_access_key=secret).client()

    def sign(
        self,
        path: str,
        body: bytes | None,
        *,
        by: str = "lab",
        secret: str = "",
        service: str = "rekognition",
        headers: dict[str, str] | None = None,
    ) -> AWSRequest:
        """Sign a request as docs/testing.md does; one without a body is a GET."""
        given = {"content-type": "application/json", "amz-sdk-invocation-id": str(uuid.uuid4())} | (headers or {})
        method = "GET" if body is None else "POST"
        request = AWSRequest(method=method, url=self.server.endpoint_url + path, data=body or b"", headers=given)
        key, own = self.key(by)
        SigV4Auth(Credentials(key, secret or own), service, self.server.region).add_auth(request)
        return request

    def send(self, request: AWSRequest, body: bytes | None = None, **more: str) -> Answer:
        """Send a signed request, perhaps with another body or further headers than it was signed with."""
        made = request.prepare()
        parts = urlsplit(made.url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        data = (request.data if body is None else body) or None
        headers = {k.lower(): _text(v) for k, v in made.headers.items()} | {"content-length": str(len(data or b""))}
        connection.request(made.method, parts.path, data, headers | more)
        answer = connection.getresponse()
        found = Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        connection.close()
        return found

    def ask(self, path: str, body: object = None, **signing: Any) -> Answer:
        """Sign and send."""
        data = body if isinstance(body, bytes | None) else orjson.dumps(body)
        return self.send(self.sign(f"/v1/testing{path}", data, **signing))

    def document(self, path: str, body: object = None) -> dict[str, Any]:
        """Return the document of an answer that holds, offline, by the key that was got from elsewhere."""
        answer = self.ask(path, body)
        assert answer.status == 200, answer.body
        assert answer.headers["content-type"] == "application/json"
        found = verify_signed(answer.body, self.vkey)
        assert (found.problems, found.remarks) == ((), ())
        assert str(answer.told["seal"]["index"]) == answer.headers["x-custodes-entry"]
        return orjson.loads(answer.told["document"])


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _snippets(language: str) -> list[str]:
    text = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def _enrol(client: Any, collection: str, photo: bytes) -> str:
    made = client.index_faces(CollectionId=collection, Image={"Bytes": photo}, QualityFilter="NONE")
    return made["FaceRecords"][0]["Face"]["FaceId"]


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture(scope="module")
def operator(server) -> Iterator[App]:
    """The operator's side of the shared server: its installation, opened beside it as the command line does."""
    app = App.open(load(environ=server.environment))
    yield app
    app.close()


def _let_in(run, folder: Path) -> None:
    """Let a tester in by the commands of the manual; its key is in ``lab``."""
    org, person, key = (
        shlex.split(line, comments=True)
        for line in _snippets("sh")[0].replace("ORG", "{ORG}").replace("PERSON", "{PERSON}").splitlines()
    )
    ids: dict[str, str] = {}
    for command, made in ((org, "ORG"), (person, "PERSON"), (key, "")):
        assert command[0] == "custodes"
        told = run(*(str(folder / "lab") if w == "lab.key" else w.format_map(ids) for w in command[1:]))
        ids[made] = told.get("id", "")


@pytest.fixture(scope="module")
def lab(server, operator: App, custodes_here, people, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Two testers and a policeman on the shared server, the first let in as the manual says."""
    folder = tmp_path_factory.mktemp("keys")

    def run(*arguments: str) -> Any:
        done = custodes_here(server.data, *arguments, "--json", CUSTODES_PORT=server.environment["CUSTODES_PORT"])
        assert done.returncode == 0, done.stderr
        return orjson.loads(done.stdout)

    _let_in(run, folder)
    me = operator.identity.operator()
    for name, kind, purpose in (
        ("rival", OrgClass.TESTER, Purpose.TESTING),
        ("police", OrgClass.LAW_ENFORCEMENT, Purpose.MISSING_PERSON),
    ):
        organisation = operator.people.add_organisation(me, name, kind, "US-WA").id
        person = operator.people.add(me, organisation, f"{name}@lab.example", name, [Role.USER]).id
        made = operator.identity.create_key(me, principal=person, purpose=purpose, provenance="consented")
        operator.identity.write_credentials(folder / name, made, server.region)
    stored = f"[custodes]\naws_access_key_id={server.access_key_id}\naws_secret_access_key={server.secret_access_key}\n"
    (folder / "app").write_text(stored)
    house = Lab(server, folder, operator.ledger.vkey)
    client = house.client()
    client.create_collection(CollectionId=BOX)
    yield replace(house, ann=_enrol(client, BOX, people.ann), bob=_enrol(client, BOX, people.bob))
    client.delete_collection(CollectionId=BOX)


# --- What testers get ------------------------------------------------------------------------------------------------


def test_scores_are_those_of_rekognition_s_operations(lab: Lab, people) -> None:
    """SearchFaces, SearchFacesByImage and CompareFaces give boto3 the very similarity that is signed here."""
    client, ann, bob = lab.client(), lab.ann, lab.bob
    told = lab.document("/scores", {"collection": BOX, "pairs": [[ann, bob], [bob, ann]]})
    [[*_, cosine, similarity], backwards] = told["scores"]
    assert backwards == [bob, ann, cosine, similarity]
    [match] = client.search_faces(CollectionId=BOX, FaceId=ann, FaceMatchThreshold=0)["FaceMatches"]
    assert match["Similarity"] == similarity
    image = {"Bytes": people.ann_again}
    found = client.search_faces_by_image(CollectionId=BOX, Image=image, FaceMatchThreshold=0)["FaceMatches"]
    listed = lab.document("/search", {"collection": BOX, "image": _b64(people.ann_again)})["candidates"]
    assert [(k["face_id"], k["similarity"]) for k in listed] == [(m["Face"]["FaceId"], m["Similarity"]) for m in found]
    [line] = lab.document("/search", {"collection": BOX, "face_id": ann, "limit": 5})["candidates"]
    assert (line["face_id"], line["cosine"], line["similarity"]) == (bob, cosine, similarity)
    pictures = {"SourceImage": {"Bytes": people.bob}, "TargetImage": {"Bytes": people.both}}
    compared = client.compare_faces(**pictures, SimilarityThreshold=0)["FaceMatches"]
    faces = lab.document("/compare", {"source": _b64(people.bob), "target": _b64(people.both)})["target"]["faces"]
    assert [f["similarity"] for f in faces] == [m["Similarity"] for m in compared]
    assert len(faces) == 2


def test_what_runs_here_is_told(lab: Lab) -> None:
    """The pack with its networks, what a similarity means, the limits, and the ledger's key."""
    told = lab.document("")
    assert told["deployed"]["pack"] == "custodes-1"
    assert {n["role"] for n in told["deployed"]["networks"]} == {"detector", "landmarks", "embedder"}
    assert told["limits"]["pairs"] == 100_000
    assert told["ledger"]["vkey"] == lab.vkey
    assert told["deployed"] == lab.document("/search", {"collection": BOX, "face_id": lab.ann})["deployed"]


def test_a_tester_uses_rekognition_on_its_own_data_alone(lab: Lab, client, people) -> None:
    """A tester lists no collection but its own, and anybody else's is closed to it by every operation."""
    mine = lab.client()
    client.create_collection(CollectionId="album-of-others")
    theirs = _enrol(client, "album-of-others", people.ann)
    try:
        assert mine.list_collections()["CollectionIds"] == [BOX]
        assert lab.client("rival").list_collections()["CollectionIds"] == []
        asked = {"CollectionId": "album-of-others"}
        for operation, more in (
            ("describe_collection", {}),
            ("list_faces", {}),
            ("search_faces", {"FaceId": theirs}),
            ("search_faces_by_image", {"Image": {"Bytes": people.ann}}),
            ("index_faces", {"Image": {"Bytes": people.ann}}),
            ("delete_faces", {"FaceIds": [theirs]}),
            ("delete_collection", {}),
        ):
            with pytest.raises(mine.exceptions.AccessDeniedException, match=r"Denied by base\.own-collections"):
                getattr(mine, operation)(**asked, **more)
        for path, body in (
            ("/scores", {"collection": "album-of-others", "pairs": [[theirs, theirs]]}),
            ("/search", {"collection": "album-of-others", "face_id": theirs}),
            ("/search", {"collection": "album-of-others", "image": _b64(people.ann)}),
        ):
            answer = lab.ask(path, body)
            assert (answer.status, answer.rules) == (403, ["base.own-collections", "base.purpose-limitation"])
        answer = lab.ask("/scores", {"collection": BOX, "pairs": [[lab.ann, theirs]]})
        assert (answer.status, theirs in answer.told["message"]) == (404, True)
        assert lab.ask("/search", {"collection": BOX, "face_id": theirs}).status == 404
    finally:
        client.delete_collection(CollectionId="album-of-others")


# --- Who isn't let in ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["app", "police"])
def test_others_are_denied_and_that_is_recorded(lab: Lab, operator: App, people, by: str) -> None:
    """A 403 names the rules with what can be done, and the header where; what they send isn't even parsed."""
    photos = {"source": _b64(people.ann), "target": _b64(people.bob)}
    unread = [(path, b"{") for path in ("/scores", "/compare", "/search")]
    for path, body in (("", None), ("/compare", photos), *unread):
        answer = lab.ask(path, body, by=by)
        assert answer.status == 403
        [rule] = [r for r in answer.told["rules"] if r["id"] == "base.raw-scores"]
        assert all(rule[k] for k in ("citation", "explain", "remedy"))
        entry = operator.ledger.entry(int(answer.headers["x-custodes-entry"]))
        assert (entry["decision"], entry["request"]["action"]) == ("deny", "ScorePairs")
        assert entry["rules"] == answer.rules


def test_an_unsigned_request_is_not_let_in(lab: Lab) -> None:
    """No signature, another secret, another service, another body, another path, another header: 401, and no entry."""
    body = orjson.dumps({"collection": BOX, "pairs": [[lab.ann, lab.bob]]})
    path = "/v1/testing/scores"
    good = lab.sign(path, body)
    bare = AWSRequest(method="POST", url=good.url, data=body, headers={"content-type": "application/json"})
    moved = lab.sign("/v1/testing/search", body)
    moved.url = good.url
    for answer in (
        lab.send(bare),
        lab.send(lab.sign(path, body, secret="x" * 40)),
        lab.send(lab.sign(path, body, service="execute-api")),
        lab.send(good, body + b" "),
        lab.send(moved),
        lab.send(good, **{"amz-sdk-invocation-id": "another"}),
    ):
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == "AWS4-HMAC-SHA256"
        assert set(answer.told) == {"error", "message", "remedy", "rules"}
        assert "docs/testing.md" in answer.told["remedy"]
        assert "x-custodes-entry" not in answer.headers
    assert lab.send(good).status == 200


def test_a_copy_is_refused(lab: Lab) -> None:
    """The very bytes of a request that came before are answered by a refusal."""
    request = lab.sign("/v1/testing", None)
    assert lab.send(request).status == 200
    again = lab.send(request)
    assert (again.status, again.rules) == (403, [])
    assert "copy" in again.told["message"]


def test_grounds_are_signed_headers_here_too(lab: Lab) -> None:
    """One that isn't signed is refused, and one that names nothing denies."""
    request = lab.sign("/v1/testing", None)
    answer = lab.send(request, **{"x-custodes-place": "here"})
    assert (answer.status, "isn't signed" in answer.told["message"]) == (400, True)
    assert lab.ask("", headers={"x-custodes-place": "here"}).status == 200
    assert lab.ask("", headers={"x-custodes-nothing": "here"}).status == 400


# --- What can't be meant ---------------------------------------------------------------------------------------------

PAIR = [STRANGER, STRANGER]


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/scores", b"", "JSON"),
        ("/scores", b"{", "JSON"),
        ("/scores", b"\xff\xfe", "JSON"),
        ("/scores", b"[" * 100_000, "JSON"),
        ("/scores", b"[]", "it: Input should be an object"),
        ("/scores", {}, "collection: Field required; pairs: Field required"),
        ("/scores", {"collection": BOX, "pairs": []}, "pairs"),
        ("/scores", {"collection": BOX, "pairs": [PAIR], "more": 1}, "more: Extra inputs"),
        ("/scores", {"collection": BOX, "pairs": [PAIR], "\x1b[2J": 1}, "it: Extra inputs"),
        ("/scores", {"collection": BOX, "pairs": [PAIR]} | dict.fromkeys("abcd"), "c: Extra inputs are not permitted."),
        ("/scores", dict.fromkeys("abcdefghijklmnopq"), "more than 16 members"),
        ("/search", {"collection": BOX, "image": [[]]}, "more than 16 members"),
        ("/scores", {"collection": "a/b", "pairs": [PAIR]}, "collection"),
        ("/scores", {"collection": BOX, "pairs": [[STRANGER]]}, "pairs.0"),
        ("/scores", {"collection": BOX, "pairs": [["A", STRANGER]]}, "pairs.0.0"),
        ("/scores", {"collection": BOX, "pairs": [[1, 2]]}, "pairs.0.0"),
        ("/scores", b'{"collection": "lab-1", "pairs": [[NaN, NaN]]}', "pairs.0.0"),
        ("/compare", {"source": "*", "target": "*"}, "source is no base64"),
        ("/compare", {"source": _b64(b"no image"), "target": ""}, "neither JPEG nor PNG"),
        ("/compare", {"source": 1, "target": 2}, "source"),
        ("/search", {"collection": BOX}, "a face_id or for an image"),
        ("/search", {"collection": BOX, "face_id": STRANGER, "image": ""}, "a face_id or for an image"),
        ("/search", {"collection": BOX, "face_id": STRANGER, "limit": 0}, "limit"),
        ("/search", {"collection": BOX, "face_id": STRANGER, "limit": 4097}, "limit"),
        ("/search", {"collection": BOX, "face_id": STRANGER, "limit": "5"}, "limit"),
        ("/search", {"collection": BOX, "face_id": STRANGER, "limit": True}, "limit"),
        ("/search", b'{"collection": "lab-1", "face_id": "' + STRANGER.encode() + b'", "limit": 1e400}', "limit"),
    ],
)
def test_a_body_that_can_not_be_meant_is_refused(lab: Lab, path: str, body: object, says: str) -> None:
    """Each is a 400 that says where, in a short message that repeats nothing but names."""
    answer = lab.ask(path, body)
    assert answer.status == 400
    assert set(answer.told) == {"error", "message", "remedy"}
    assert says.lower() in answer.told["message"].lower()
    assert len(answer.body) < 1000
    assert b"\\u001b" not in answer.body


def test_too_much_is_refused(lab: Lab) -> None:
    """100,001 pairs, a photo of more than 5 MiB, and a body whose head says that it is too large, which isn't read."""
    answer = lab.ask("/scores", {"collection": BOX, "pairs": [PAIR] * 100_001})
    assert (answer.status, "100000" in answer.told["message"]) == (400, True)
    large = _b64(bytes(5_242_881))
    answer = lab.ask("/compare", {"source": large, "target": ""})
    assert answer.status == 413
    request = lab.sign("/v1/testing/scores", b"{}")
    answer = lab.send(request, b"{}", **{"content-length": "16000001"})
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    assert "16000000" in answer.told["message"]


def test_what_is_not_there_is_told(lab: Lab, people) -> None:
    """Collections, faces, routes and methods that there aren't, and photos without a face."""
    assert lab.ask("/scores", {"collection": "nowhere", "pairs": [PAIR]}).status == 404
    answer = lab.ask("/scores", {"collection": BOX, "pairs": [PAIR, [lab.ann, lab.bob]]})
    assert answer.status == 404
    assert answer.told["message"] == f"The collection lab-1 lacks 1 of the 3 references: {STRANGER}."
    assert answer.headers["x-custodes-entry"].isdigit()
    assert lab.ask("/search", {"collection": BOX, "face_id": STRANGER}).status == 404
    assert lab.ask("/nothing", {}).status == 404
    assert lab.ask("/scores").status == 405
    answer = lab.ask("/compare", {"source": _b64(people.nobody), "target": _b64(people.ann)})
    assert (answer.status, "no face" in answer.told["message"]) == (400, True)


def test_the_log_holds_no_traceback_and_no_face(lab: Lab) -> None:
    """Whatever was sent until now, the server has failed at nothing, and has logged no id of a face."""
    lab.ask("/scores", {"collection": BOX, "pairs": [[lab.ann, lab.bob]]})
    log = lab.server.log.read_text(encoding="utf-8")
    assert "POST /v1/testing/scores" in log
    for stray in ("Traceback", "unforeseen", lab.ann, lab.bob, STRANGER):
        assert stray not in log


class _Open:
    """A door that is open, and hands in a body; the rooms behind it, where everybody tests and nothing is done."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.testing = SimpleNamespace(check=lambda caller: None)
        self.guard = SimpleNamespace(taken=tuple)
        self.quick = self.inference = self

    async def admit(self, scope: object) -> object:
        return scope

    async def read(self, *_: object) -> bytes:
        return self.body

    def authenticate(self, *_: object) -> None:
        pass

    def leave(self, _: object) -> None:
        pass

    async def run(self, work: Callable[[], None], _: object) -> None:
        work()


@pytest.mark.parametrize(
    ("path", "value", "count"),
    [
        ("scores", b"[]", 2_000_000),
        ("scores", b"[[[[[[[[]]]]]]]]", 200_000),
        ("scores", b'["A","B"]', 30_000),
        ("search", b"1", 2_000_000),
    ],
    ids=["lists", "nested", "pairs", "numbers"],
)
def test_values_that_are_not_asked_for_cost_little(path: str, value: bytes, count: int) -> None:
    """However many there are, they are refused at once, and nothing is made of them."""
    _check_cheap(path, b'{"pairs":[' + b",".join([value] * count) + b"]}")


@pytest.mark.parametrize("path", ["scores", "compare", "search"])
def test_members_that_there_are_not_cost_little(path: str) -> None:
    """Each on its own would be an error of a kilobyte."""
    _check_cheap(path, b"{" + b",".join(b'"%x":1' % n for n in range(100_000)) + b"}")


def _check_cheap(path: str, body: bytes) -> None:
    opened = _Open(body)
    rest = FastAPI()
    rest.include_router(create_testing(opened, opened, opened, opened))

    async def post() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(rest), base_url="http://test") as made:
            await made.get("/v1/nothing")  # whatever is loaded for the first request is
            tracemalloc.start()
            try:
                begun = time.perf_counter()
                answer = await made.post(f"/v1/testing/{path}")
                assert time.perf_counter() - begun < 1
                assert tracemalloc.get_traced_memory()[1] < 16_000_000
            finally:
                tracemalloc.stop()
            return answer

    answer = asyncio.run(post())
    assert answer.status_code == 400
    assert len(answer.content) < 1000


class _Broken:
    """A door that opens for nobody, for a reason; and what telemetry is told of it."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.told: list[BaseException] = []

    async def admit(self, _: object) -> None:
        raise self.error

    def failure(self, error: BaseException, **_: object) -> None:
        self.told.append(error)


@pytest.mark.parametrize(
    ("error", "status", "says", "logged"),
    [
        (RuntimeError("a detail"), 500, "Something is wrong here.", True),
        (IntegrityError("a detail"), 500, "Something is wrong here.", True),
        (Unavailable("The database can't be reached."), 503, "The database can't be reached.", True),
        (Throttled("Too many requests wait."), 429, "Too many requests wait.", False),
        (request_timeout(30), 408, "not complete within 30 seconds", False),
        (HungUp(), 499, "", False),
    ],
)
def test_failures_of_the_server_are_told_without_details(
    error: Exception, status: int, says: str, logged: bool
) -> None:
    """What fails inside is answered by a Problem, and logged if it is the server's; who hung up gets nothing."""
    broken = _Broken(error)
    rest = FastAPI()
    rest.include_router(create_testing(None, SimpleNamespace(quick=None), broken, broken))

    async def get() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(rest), base_url="http://test") as made:
            return await made.get("/v1/testing")

    answer = asyncio.run(get())
    assert answer.status_code == status
    assert says in answer.text
    assert "a detail" not in answer.text
    assert broken.told == ([error] if logged else [])


# --- As it is documented ---------------------------------------------------------------------------------------------


def test_the_documented_script_works(lab: Lab, custodes_here, photo, people, tmp_path: Path) -> None:
    """With the server's address and the tester's key it scores two pairs, and the command finds its files sound."""
    [script] = _snippets("python")
    assert "http://127.0.0.1:8420" in script
    script = script.replace("http://127.0.0.1:8420", lab.server.endpoint_url).replace("lab-1", "lab-of-the-manual")
    for name, data in (("a.jpg", people.ann), ("b.jpg", people.ann_again), ("c.jpg", people.bob)):
        (tmp_path / name).write_bytes(data)
    environment = lab.server.environment | {"AWS_SHARED_CREDENTIALS_FILE": str(lab.folder / "lab")}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    head, *rows = [line.split() for line in done.stdout.splitlines()]
    assert [len(word) for word in head] == [64, 64]
    assert float(rows[0][3]) > 95 > 50 > float(rows[1][3])
    for name in ("scores.json", "setup.json"):
        checked = custodes_here(tmp_path / "nowhere", "testing", "verify", str(tmp_path / name), "--vkey", lab.vkey)
        assert checked.returncode == 0, checked.stdout


def test_curl_works_as_documented(lab: Lab, tmp_path: Path) -> None:
    """The request of the manual, signed by curl itself."""
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed.")
    version = subprocess.run([curl, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    if tuple(map(int, version.split(".")[:2])) < (7, 86):
        pytest.skip(f"curl {version} signs too little.")
    [command] = [s for s in _snippets("sh") if "curl" in s]
    (tmp_path / "pairs.json").write_bytes(orjson.dumps({"collection": BOX, "pairs": [[lab.ann, lab.bob]]}))
    key, secret = lab.key("lab")
    command = command.replace("http://127.0.0.1:8420", lab.server.endpoint_url)
    done = subprocess.run(
        ["/bin/sh", "-c", command.replace("curl ", "curl --silent --noproxy '*' ", 1)],
        cwd=tmp_path,
        env={"PATH": str(Path(curl).parent), "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert verify_signed(done.stdout, lab.vkey).sound, done.stdout


def test_the_description_has_bodies_and_answers(lab: Lab) -> None:
    """OpenAPI says what each route takes and gives, and that it is signed."""
    told = httpx.get(f"{lab.server.endpoint_url}/v1/openapi.json").json()
    for path, members in (
        ("scores", {"collection", "pairs"}),
        ("compare", {"source", "target"}),
        ("search", {"collection", "face_id", "image", "limit"}),
    ):
        route = told["paths"][f"/v1/testing/{path}"]["post"]
        schema = route["requestBody"]["content"]["application/json"]["schema"]
        assert set(schema["properties"]) == members
        assert schema["additionalProperties"] is False
        assert route["security"] == [{"SigV4": []}]
        assert {"200", "400", "401", "403", "404", "413", "429"} <= set(route["responses"])
    assert told["paths"]["/v1/testing"]["get"]["responses"]["200"]["content"]["application/json"]
