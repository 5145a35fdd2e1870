# SPDX-License-Identifier: Apache-2.0
"""A server under test, and a client so light that it hardly counts: signed requests over a raw connection."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import orjson
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


@dataclass
class Server:
    """A running ``custodes serve``."""

    process: subprocess.Popen[bytes]
    endpoint: str
    key_id: str
    secret: str
    environment: dict[str, str]

    def request(self, operation: str, params: dict[str, object]) -> bytes:
        """Return the bytes of one signed request."""
        body = orjson.dumps(params)
        host = urlsplit(self.endpoint).netloc
        headers = {
            "Host": host,
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"RekognitionService.{operation}",
        }
        signed = AWSRequest("POST", self.endpoint + "/", data=body, headers=headers)
        SigV4Auth(Credentials(self.key_id, self.secret), "rekognition", "us-east-1").add_auth(signed)
        headers = dict(signed.headers) | {
            "amz-sdk-invocation-id": str(uuid.uuid4()),
            "Content-Length": str(len(body)),
        }
        head = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        return f"POST / HTTP/1.1\r\n{head}\r\n".encode() + body

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(30)


class Connection:
    """A kept-alive connection."""

    def __init__(self, endpoint: str) -> None:
        parts = urlsplit(endpoint)
        self._socket = socket.create_connection((parts.hostname, parts.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, request: bytes) -> bytes:
        """Send a request and return the answer's body.

        Raises:
            RuntimeError: unless the answer is 200.
        """
        self._socket.sendall(request)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._socket.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length"))
        while len(body) < length:
            body += self._socket.recv(65536)
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(body.decode())
        return body

    def close(self) -> None:
        """Close it."""
        self._socket.close()


def start(data: Path, **settings: str) -> tuple[Server, float]:
    """Start a server on a data folder; also return when it was started (``time.perf_counter``)."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    environment = {
        **os.environ,
        "CUSTODES_DATA": str(data),
        "CUSTODES_PORT": str(port),
        "CUSTODES_LOG_LEVEL": "warning",
        **settings,
    }
    command = [sys.executable, "-c", "from custodes.cli import main; main()"]
    made = subprocess.run([*command, "keys", "create", "--json"], env=environment, capture_output=True, check=True)
    key = orjson.loads(made.stdout)
    begun = time.perf_counter()
    process = subprocess.Popen([*command, "serve"], env=environment, stdout=subprocess.DEVNULL)
    return Server(process, key["endpoint_url"], key["access_key_id"], key["secret_access_key"], environment), begun


def connect(server: Server, seconds: float = 120.0) -> Connection:
    """Connect as soon as the server listens."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return Connection(server.endpoint)
        except OSError:
            if server.process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.005)
