# SPDX-License-Identifier: Apache-2.0
"""What a process can't do any more once it is confined."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from tests.cameras.kernel import landlock

_SCRIPT = """
import errno, json, os, socket, sys
from pathlib import Path
from custodes.cameras.confine import confine

def told(what, *words):
    try:
        what(*words)
    except OSError as e:
        return errno.errorcode[e.errno]
    return ""

def connect(kind, to):
    with socket.socket(kind) as s:
        s.connect(to)

def listen():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))

folder, port, abstract, *urls = sys.argv[1:]
own, key = Path(folder, "own"), Path(folder, "key")
closed = confine(str(own), [], 0, urls=urls, writes=1000)
print(json.dumps({
    "closed": closed,
    "key": told(key.read_bytes),
    "own": told((own / "a").write_bytes, bytes(1000)),
    "large": told((own / "b").write_bytes, bytes(1001)),
    "connect": told(connect, socket.AF_INET, ("127.0.0.1", int(port))),
    "listen": told(listen),
    "abstract": told(connect, socket.AF_UNIX, chr(0) + abstract),
    "signal": told(os.kill, os.getppid(), 0),
}))
"""


@pytest.mark.parametrize(
    ("urls", "connects", "listens"),
    [
        ((), "EACCES", "EACCES"),
        (("file:a.mp4", ""), "EACCES", "EACCES"),
        (("RTSP://192.0.2.1/a", ""), "", "EACCES"),
        (("rtmp://0.0.0.0/a", "rtsps://192.0.2.1/a"), "", ""),
    ],
)
def test_a_confined_process_has_what_its_camera_takes(
    tmp_path: Path, urls: tuple[str, ...], connects: str, listens: str
) -> None:
    """Its own folder, files of a size, and so much of the network; no keys, no signals, no sockets of others."""
    (tmp_path / "own").mkdir()
    (tmp_path / "key").write_bytes(b"secret")
    with socket.socket(socket.AF_UNIX) as abstract, socket.create_server(("127.0.0.1", 0)) as server:
        abstract.bind(f"\0custodes-test-{os.getpid()}")
        abstract.listen()
        words = (str(tmp_path), str(server.getsockname()[1]), f"custodes-test-{os.getpid()}", *urls)
        run = subprocess.run([sys.executable, "-c", _SCRIPT, *words], capture_output=True, timeout=20, check=True)
    told = orjson.loads(run.stdout)
    assert (told["own"], told["large"]) == ("", "EFBIG")
    version = landlock()
    assert told["closed"] == (version > 0)
    if version < 6:
        pytest.skip("this kernel's Landlock closes less")
    assert (told["key"], told["abstract"], told["signal"]) == ("EACCES", "EPERM", "EPERM")
    assert (told["connect"], told["listen"]) == (connects, listens)
