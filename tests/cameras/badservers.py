# SPDX-License-Identifier: Apache-2.0
"""Servers that speak RTSP badly, on ports of 127.0.0.1, and one that speaks TLS for another that doesn't."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["bad_server", "garbage", "mute", "redirecting", "rude", "tls_before", "yes_man"]


@contextlib.contextmanager
def bad_server(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve each client by a thread of its own; yield the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    clients: list[socket.socket] = []

    def client(connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError, IndexError):
            serve(connection)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                clients.append(listener.accept()[0])
                threading.Thread(target=client, args=(clients[-1],), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()
        for connection in clients:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


def mute(client: socket.socket) -> None:
    """Take all and say nothing."""
    while client.recv(4096):
        pass


def garbage(client: socket.socket) -> None:
    """Send random bytes as long as somebody takes them."""
    while True:
        client.sendall(os.urandom(4096))


def rude(client: socket.socket) -> None:
    """Answer with headers that don't end."""
    client.recv(4096)
    client.sendall(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n")
    while True:
        client.sendall(b"X-Padding: " + b"a" * 4096 + b"\r\n")


def redirecting(target: str) -> Callable[[socket.socket], None]:
    """Send everybody elsewhere."""

    def serve(client: socket.socket) -> None:
        client.recv(4096)
        client.sendall(f"RTSP/1.0 302 Moved\r\nCSeq: 1\r\nLocation: {target}\r\n\r\n".encode())
        client.recv(4096)

    return serve


def yes_man(client: socket.socket) -> None:
    """Agree to everything, describe an impossible stream, and play noise, among it packets of every size."""
    sdp = (
        b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
        b"a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z2QAFg==,aO8=;profile-level-id=640016\r\na=control:t\r\n"
    )
    with client.makefile("rb") as said:
        while request := said.readline():
            sequence = b"1"
            while line := said.readline().strip():
                if line.lower().startswith(b"cseq:"):
                    sequence = line.split(b":")[1].strip()
            head = b"RTSP/1.0 200 OK\r\nCSeq: " + sequence + b"\r\nSession: 1\r\n"
            if request.startswith(b"DESCRIBE"):
                head += b"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n" % len(sdp) + sdp
            elif request.startswith(b"SETUP"):
                head += b"Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n"
            else:
                head += b"\r\n"
            client.sendall(head)
            if request.startswith(b"PLAY"):
                break
        for n in range(100_000):
            size = int.from_bytes(os.urandom(2)) % 1400 + 12
            rtp = b"\x80\x60" + n.to_bytes(4)[2:] + (n * 6000).to_bytes(4) + bytes(4) + os.urandom(size - 12)
            client.sendall(b"$\x00" + size.to_bytes(2) + rtp)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError, ValueError):
        while data := source.recv(65536):
            target.sendall(data)


@contextlib.contextmanager
def tls_before(port: int, certificate: Path, key: Path) -> Iterator[int]:
    """Speak TLS for a server on another port; yield the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def serve(client: socket.socket) -> None:
        with (
            context.wrap_socket(client.dup(), server_side=True) as outer,
            socket.create_connection(("127.0.0.1", port)) as inner,
        ):
            thread = threading.Thread(target=_pass_on, args=(inner, outer), daemon=True)
            thread.start()
            _pass_on(outer, inner)
            inner.shutdown(socket.SHUT_RDWR)
            thread.join()

    with bad_server(serve) as outside:
        yield outside
