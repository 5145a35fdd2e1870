# SPDX-License-Identifier: Apache-2.0
"""What all tests share: photos, a data folder of their own, and a real server with real clients."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import orjson
import pytest
from botocore.config import Config as BotoConfig

ROOT = Path(__file__).parent.parent
DATA = Path(__file__).parent / "data"
SHARED = ROOT.parent / "shared" / "data"
_START = 60.0  # seconds


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        return int(s.getsockname()[1])


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
        return boto3.client(
            "rekognition",
            endpoint_url=self.endpoint_url,
            region_name=self.region,
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            config=BotoConfig(retries=retries, **options),
        )

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run ``custodes`` on the server's data folder."""
        return run_cli(*arguments, environment=self.environment)

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


def environment_for(data: Path, **settings: str) -> dict[str, str]:
    """Return an environment whose only Custodes settings are these; the models' cache is shared by all tests."""
    base = {k: v for k, v in os.environ.items() if not k.startswith(("CUSTODES_", "AWS_"))}
    return base | {"CUSTODES_DATA": str(data), "COLUMNS": "200", **settings}


def start_server(data: Path, **settings: str) -> Server:
    """Start ``custodes serve`` and wait until it answers."""
    port = settings.pop("CUSTODES_PORT", None) or str(free_port())
    environment = environment_for(data, CUSTODES_PORT=port, **settings)
    log = data / "server.log"
    data.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", "from custodes.cli import main; main()", "serve"],
            env=environment,
            stdout=out,
            stderr=out,
        )
    deadline = time.monotonic() + _START
    while True:
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise RuntimeError(log.read_text())
        try:
            socket.create_connection(("127.0.0.1", int(port)), 1).close()
            break
        except OSError:
            time.sleep(0.02)
    made = run_cli("keys", "create", "--json", environment=environment)
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


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with default settings that all tests share; each uses collections of its own."""
    running = start_server(tmp_path_factory.mktemp("server"))
    yield running
    running.stop()


@pytest.fixture
def client(server: Server):  # noqa: ANN201 - boto3's clients are made at run time
    """A boto3 client of the shared server."""
    return server.client()


@pytest.fixture
def collection(client, request: pytest.FixtureRequest) -> Iterator[str]:
    """A collection of the test's own."""
    name = f"test-{abs(hash(request.node.nodeid)):x}"
    client.create_collection(CollectionId=name)
    yield name
    try:
        client.delete_collection(CollectionId=name)
    except client.exceptions.ResourceNotFoundException:
        pass  # the test deleted it itself


@pytest.fixture(scope="session")
def photo() -> Callable[[str], bytes]:
    """Reads a photo of ``tests/data``."""
    return lambda name: (DATA / name).read_bytes()
