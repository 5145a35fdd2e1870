# SPDX-License-Identifier: Apache-2.0
"""``custodes serve``: its settings, its announcement, and how it refuses to start."""

from __future__ import annotations

import ast
import os
import pty
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from custodes.cli.server import _announce
from custodes.config import Config, Server

Serve = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts ``custodes serve`` with some variables set."""
    started: list[subprocess.Popen[str]] = []

    def start(stdout: int = subprocess.PIPE, **settings: str) -> subprocess.Popen[str]:
        base = {k: v for k, v in os.environ.items() if not k.startswith(("CUSTODES_", "AWS_"))}
        started.append(
            subprocess.Popen(
                [sys.executable, "-u", "-c", "from custodes.cli import main; main()", "serve"],
                env=base | {"CUSTODES_DATA": str(tmp_path / "data"), "COLUMNS": "60"} | settings,
                stdout=stdout,
                stderr=subprocess.PIPE,
                text=True,
                cwd=tmp_path,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _announcement(process: subprocess.Popen[str]) -> str:
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "ctrl-c" in line:
            return "".join(lines)
    raise AssertionError(process.communicate())


def _refusal(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (1, "")
    [line] = err.splitlines()
    return line


def test_the_snippet_that_is_printed_works(serve: Serve, tmp_path: Path) -> None:
    """Host, port and data folder are those of the variables, and pasting the snippet lists the collections."""
    process = serve(CUSTODES_PORT="0", CUSTODES_HOST="127.0.0.1", CUSTODES_REGION="eu-west-1")
    told = _announcement(process)
    assert str(tmp_path / "data") in told
    assert "plain HTTP" not in told
    snippet = told[told.index("import boto3") : told.index("ctrl-c")].strip()
    ast.parse(snippet)
    printed = subprocess.run(
        [sys.executable, "-c", snippet], capture_output=True, text=True, timeout=60, check=False, env={**os.environ}
    )
    assert "'CollectionIds': []" in printed.stdout, printed.stderr
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Traceback" not in err


def test_a_restart_tells_the_same_key(serve: Serve, tmp_path: Path) -> None:
    """The first key survives, in a file that is its owner's alone; a journal gets its secret once at most."""
    process = serve(CUSTODES_PORT="0")
    told = _announcement(process)
    key = re.search(r'access_key_id="(.+)"', told).group(1)
    secret = re.search(r'secret_access_key="(.+)"', told).group(1)
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    process = serve(CUSTODES_PORT="0")
    again = _announcement(process)
    assert secret not in again
    assert key in again
    snippet = again[again.index("import os") : again.index("ctrl-c")].strip()
    printed = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True, timeout=60, check=False)
    assert "'CollectionIds': []" in printed.stdout, printed.stderr
    modes = {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "data").rglob("*") if p.is_file()}
    assert modes == {0o600}
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_a_file_steers_the_server(serve: Serve, tmp_path: Path) -> None:
    """CUSTODES_CONFIG names a TOML file; a variable beats it."""
    file = tmp_path / "custodes.toml"
    file.write_text(f'data = "{tmp_path / "elsewhere"}"\n[server]\nport = 0\nregion = "from-file"\nqueue = 7\n')
    process = serve(CUSTODES_CONFIG=str(file), CUSTODES_DATA="", CUSTODES_REGION="from-variable")
    told = _announcement(process)
    assert 'region_name="from-variable"' in told
    assert (tmp_path / "elsewhere" / "custodes.sqlite3").exists()


def test_a_terminal_is_told_the_secret_at_every_start(serve: Serve) -> None:
    """A person who looks gets the whole snippet, whether the key is new or not."""
    for _ in range(2):
        controller, terminal = pty.openpty()
        process = serve(CUSTODES_PORT="0", stdout=terminal)
        os.close(terminal)
        told = b""
        while b"ctrl-c" not in told:
            told += os.read(controller, 4096)
        assert b"aws_secret_access_key=" in told
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        os.close(controller)


def test_a_free_port_is_known_to_the_command_line_while_the_server_runs(
    serve: Serve, custodes_here, tmp_path: Path
) -> None:
    """With port 0 keys create tells where the server really answers; without a server it makes no key."""
    data = tmp_path / "data"
    refused = custodes_here(data, "keys", "create", "--json", CUSTODES_PORT="0")
    assert refused.returncode == 1
    assert b"CUSTODES_PORT is 0" in refused.stderr
    process = serve(CUSTODES_PORT="0", CUSTODES_HOST="0.0.0.0")
    told = _announcement(process)
    endpoint = re.search(r'endpoint_url="(.+)"', told).group(1)
    assert re.fullmatch(r"http://127\.0\.0\.1:[1-9][0-9]*", endpoint)
    assert "plain HTTP" in told
    made = custodes_here(data, "keys", "create", "--json", CUSTODES_PORT="0")
    assert orjson.loads(made.stdout)["endpoint_url"] == endpoint
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    assert not (data / "endpoint").exists()
    assert custodes_here(data, "keys", "create", CUSTODES_PORT="0").returncode == 1
    assert [k["label"] for k in orjson.loads(custodes_here(data, "keys", "list", "--json").stdout)] == ["first key", ""]


@pytest.mark.parametrize(
    ("host", "endpoint", "warned"),
    [
        ("127.0.0.1", "", False),
        ("localhost", "", False),
        ("0.0.0.0", "", True),
        ("0.0.0.0", "https://faces.example", False),
    ],
)
def test_an_open_address_is_told(host: str, endpoint: str, warned: bool, capfd: pytest.CaptureFixture[str]) -> None:
    """Who listens for other machines without TLS is told what that means."""
    _announce(Config(server=Server(host=host, endpoint=endpoint)), "http://here", "", "")
    assert ("plain HTTP" in capfd.readouterr().out) is warned


def test_a_port_in_use_is_one_clear_line(serve: Serve) -> None:
    """The line names address, port and remedy; nothing else is printed."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = _refusal(serve(CUSTODES_PORT=str(port)))
    assert f"127.0.0.1 port {port}" in line
    assert "CUSTODES_PORT" in line


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"CUSTODES_PORT": "70000"}, "CUSTODES_PORT"),
        ({"CUSTODES_HOST": "203.0.113.1"}, "203.0.113.1"),
        ({"CUSTODES_HOST": "no such host"}, "no such host"),
        ({"CUSTODES_PORT": "0", "CUSTODES_DATABASE": "mysql://x/y"}, "sqlite or postgresql"),
        ({"CUSTODES_PORT": "0", "CUSTODES_DATABASE": "postgresql://nobody@127.0.0.1:1/x"}, "can't be reached"),
        ({"CUSTODES_CONFIG": "nowhere.toml"}, "nowhere.toml"),
    ],
)
def test_what_cannot_be_meant_is_one_clear_line(serve: Serve, settings: dict[str, str], said: str) -> None:
    """A server that can't start says why in one line and leaves with status 1."""
    assert said in _refusal(serve(**settings))


def test_a_server_and_the_command_line_share_a_data_folder(start_server, tmp_path: Path) -> None:
    """What the command line changes the server knows at once, and the other way round; a revoked key ends soon."""
    server = start_server(tmp_path / "data")
    try:
        client = server.client()
        assert server.cli("collections", "create", "made").returncode == 0
        assert client.list_collections()["CollectionIds"] == ["made"]
        client.delete_collection(CollectionId="made")
        assert b"made" not in server.cli("collections", "list").stdout
        assert server.cli("keys", "revoke", server.access_key_id).returncode == 0
        time.sleep(1.1)
        with pytest.raises(client.exceptions.ClientError, match="UnrecognizedClient"):
            client.list_collections()
    finally:
        server.stop()


def test_two_servers_share_a_data_folder(start_server, people, tmp_path: Path) -> None:
    """Each finds what the other has enrolled in its next search, and no longer what it has deleted."""
    servers = [start_server(tmp_path / "data") for _ in range(2)]
    one, two = (s.client() for s in servers)
    try:
        one.create_collection(CollectionId="c")
        for writer, reader in ((one, two), (two, one)):
            made = writer.index_faces(CollectionId="c", Image={"Bytes": people.ann})["FaceRecords"][0]["Face"]["FaceId"]
            found = reader.search_faces_by_image(CollectionId="c", Image={"Bytes": people.ann})["FaceMatches"]
            assert [m["Face"]["FaceId"] for m in found] == [made]
            writer.delete_faces(CollectionId="c", FaceIds=[made])
            assert reader.search_faces_by_image(CollectionId="c", Image={"Bytes": people.ann})["FaceMatches"] == []
    finally:
        for server in servers:
            server.stop()


def test_nothing_personal_is_left_in_the_data_folder(start_server, people, tmp_path: Path) -> None:
    """After deletions through the API no file, logs included, holds labels, user ids or names of collections."""
    server = start_server(tmp_path / "data")
    client = server.client()
    try:
        client.create_collection(CollectionId="secret-collection", Tags={"secret-key": "secret-value"})
        made = client.index_faces(
            CollectionId="secret-collection", Image={"Bytes": people.both}, ExternalImageId="secret-label"
        )["FaceRecords"]
        ids = [m["Face"]["FaceId"] for m in made]
        client.create_user(CollectionId="secret-collection", UserId="secret-user")
        client.associate_faces(CollectionId="secret-collection", UserId="secret-user", FaceIds=ids[:1])
        assert client.search_users(CollectionId="secret-collection", UserId="secret-user") is not None
        files = [p for p in (tmp_path / "data").rglob("*") if p.is_file()]
        assert any(b"secret-user" in p.read_bytes() for p in files)
        client.delete_user(CollectionId="secret-collection", UserId="secret-user")
        assert not [p.name for p in files if b"secret-user" in p.read_bytes()]
        client.delete_faces(CollectionId="secret-collection", FaceIds=ids)
        assert not [p.name for p in files if b"secret-label" in p.read_bytes()]
        client.delete_collection(CollectionId="secret-collection")
        for p in files:
            raw = p.read_bytes()
            for needle in (b"secret-", *(bytes.fromhex(i.replace("-", "")) for i in ids), *(i.encode() for i in ids)):
                assert needle not in raw, (p.name, needle)
    finally:
        server.stop()
