# SPDX-License-Identifier: Apache-2.0
"""Cameras that are found on the network: WS-Discovery 1.0 (2005/04), as ONVIF has it.

Whatever answers is hostile: a camera is believed to be where its answer came from, and nowhere else. Cameras are looked
for by IPv4.
"""

from __future__ import annotations

import contextlib
import ipaddress
import selectors
import socket
import struct
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from custodes.cameras.soap import parse_xml, printable, text_of
from custodes.errors import Invalid, Unavailable

__all__ = ["Found", "discover", "place_of"]

_GROUP = ("239.255.255.250", 3702)
_REPEAT = 0.4
"""Seconds after which a probe, which may get lost, is sent again, once."""
_MOST_FOUND = 256
_DATAGRAM = 1 << 16
_ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
_DISCOVERY = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
_PROBE = (
    '<?xml version="1.0" encoding="utf-8"?>'
    f'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="{_ADDRESSING}" xmlns:d="{_DISCOVERY}">'
    f"<s:Header><a:Action>{_DISCOVERY}/Probe</a:Action><a:MessageID>%s</a:MessageID>"
    "<a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To></s:Header>"
    '<s:Body><d:Probe><d:Types xmlns:n="http://www.onvif.org/ver10/network/wsdl">n:NetworkVideoTransmitter</d:Types>'
    "</d:Probe></s:Body></s:Envelope>"
)
_SCOPE = "onvif://www.onvif.org/"


@dataclass(frozen=True, slots=True)
class Found:
    """A camera that answered.

    Attributes:
        host, port: where it is to be asked for its streams.
        secure: whether by https.
        name, model: what it calls itself.
    """

    host: str
    port: int
    secure: bool
    name: str
    model: str


def discover(timeout: float = 3.0, *, to: tuple[str, int] = _GROUP) -> tuple[Found, ...]:
    """Ask who is there, on all interfaces, and return who answers in time, by address.

    Args:
        timeout: seconds.
        to: whom to ask: the group of all cameras, or one.

    Raises:
        Unavailable: if nobody can be asked.
    """
    message = f"urn:uuid:{uuid.uuid4()}"
    probe = (_PROBE % message).encode()
    found: dict[tuple[str, int], Found] = {}
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(s) for s in _sockets(to[0])]
        if not _send(sockets, probe, to):
            raise Unavailable("Nobody can be asked on this network.", remedy="Add the camera by its address.")
        selector = stack.enter_context(selectors.DefaultSelector())
        for s in sockets:
            selector.register(s, selectors.EVENT_READ)
        end = time.monotonic() + timeout
        again = time.monotonic() + _REPEAT
        while (now := time.monotonic()) < end and len(found) < _MOST_FOUND:
            if now >= again:
                _send(sockets, probe, to)
                again = end
            for key, _ in selector.select(min(again, end) - now):
                with contextlib.suppress(OSError, Invalid):
                    data, address = key.fileobj.recvfrom(_DATAGRAM)  # type: ignore[union-attr]
                    for camera in _matches(data, address[0], message):
                        found.setdefault((camera.host, camera.port), camera)
    return tuple(sorted(found.values(), key=lambda f: (ipaddress.ip_address(f.host), f.port)))


def _sockets(host: str) -> list[socket.socket]:
    """Return a socket for each interface, or one if a single host is asked."""
    made = []
    indexes = [index for index, _ in socket.if_nameindex()] if ipaddress.ip_address(host).is_multicast else [0]
    for index in indexes:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setblocking(False)
        try:
            if index:  # struct ip_mreqn: the group, an address, an interface
                s.setsockopt(
                    socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("=4s4si", bytes(4), bytes(4), index)
                )
            s.bind(("", 0))
        except OSError:  # an interface without IPv4
            s.close()
            continue
        made.append(s)
    return made


def _send(sockets: Iterable[socket.socket], data: bytes, to: tuple[str, int]) -> int:
    """Return how many could send."""
    sent = 0
    for s in sockets:
        with contextlib.suppress(OSError):
            s.sendto(data, to)
            sent += 1
    return sent


def _matches(data: bytes, sender: str, message: str) -> list[Found]:
    """Return the cameras of an answer that are where it came from.

    Raises:
        Invalid: if it is none.
    """
    root = parse_xml(data)
    if text_of(root, "RelatesTo", 100) != message:
        return []
    made = []
    for match in root.iterfind("{*}Body/{*}ProbeMatches/{*}ProbeMatch"):
        scopes = text_of(match, "Scopes", 4000).split()
        for address in text_of(match, "XAddrs", 2000).split():
            host, port, secure = place_of(address)
            if host == sender and port:
                made.append(Found(host, port, secure, _scope(scopes, "name"), _scope(scopes, "hardware")))
                break
    return made


def place_of(url: str) -> tuple[str, int, bool]:
    """Return host, port and whether it is https; no host and no port if it isn't either."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return "", 0, False
    return (
        (parts.hostname or "", port, parts.scheme == "https") if parts.scheme in ("http", "https") else ("", 0, False)
    )


def _scope(scopes: list[str], kind: str) -> str:
    prefix = f"{_SCOPE}{kind}/"
    return next((printable(unquote(s[len(prefix) :]), 64) for s in scopes if s.startswith(prefix)), "")
