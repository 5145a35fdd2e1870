# SPDX-License-Identifier: Apache-2.0
"""Where this server may connect to when somebody who isn't its operator names a URL.

A home's own network is fine: the home automation is there. This server itself isn't, nor are link-local addresses,
among them those where clouds tell their secrets, in whatever way they are written. What was judged is an address, not a
name: whoever connects takes one of those, so that a name that changes its address gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket

import httpx

from custodes.errors import Invalid, Unavailable

__all__ = ["Reach", "check_url"]

_MOST_URL = 2000
_BARRED = tuple(
    ipaddress.ip_network(n)
    for n in (
        "0.0.0.0/8",  # this machine, by another name
        "169.254.0.0/16",  # link-local: clouds tell their secrets there
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/128",
        "fe80::/10",
        "ff00::/8",
        "fd00:ec2::254/128",  # a cloud's secrets again
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_ADDRESSES_TRIED = 3

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def check_url(url: str) -> str:
    """Return a URL that news may be sent to, as far as its text tells.

    Raises:
        Invalid: if it is none, or has a user, a password or a fragment.
    """
    told = url.strip()
    remedy = "It looks like https://home.example/api/webhook/..."
    if not (told.isascii() and told.isprintable()) or " " in told or len(told) > _MOST_URL:
        raise Invalid(
            f"A webhook's URL has at most {_MOST_URL} printable ASCII characters and no spaces.", remedy=remedy
        )
    try:
        parsed = httpx.URL(told)
    except httpx.InvalidURL as e:
        raise Invalid("That is no URL.", remedy=remedy) from e
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise Invalid("A webhook's URL begins with https:// or http:// and has a host.", remedy=remedy)
    if not 0 < _port(parsed) < 1 << 16:
        raise Invalid("A port is a number from 1 to 65535.", remedy=remedy)
    if parsed.userinfo or parsed.fragment:
        raise Invalid("A webhook's URL has no user, no password and no fragment.", remedy=remedy)
    return told


class Reach:
    """Judges addresses.

    Args:
        own_port: port that this server listens on; 0 if it doesn't.
    """

    def __init__(self, own_port: int = 0) -> None:
        self._own_port = own_port

    def judged(self, url: str) -> tuple[str, ...]:
        """Look up the addresses of a URL's host, and return those to connect to.

        Raises:
            Invalid: if any of them may not be reached.
            Unavailable: if the host isn't known.
        """
        parsed = httpx.URL(url)
        port = _port(parsed)
        try:
            found = socket.getaddrinfo(parsed.raw_host.decode(), port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as e:
            raise Unavailable("The host isn't known here.", remedy="Check its name, or use its address.") from e
        addresses = tuple(dict.fromkeys(str(f[4][0]) for f in found))
        if any(self._is_barred(address, port) for address in addresses):
            raise Invalid(
                "This server itself, and link-local addresses, where clouds keep their secrets, aren't connected to.",
                remedy="Use another address of the machine that is meant.",
            )
        return addresses[:_ADDRESSES_TRIED]

    def _is_barred(self, text: str, port: int) -> bool:
        address = _plain(ipaddress.ip_address(text))
        if any(address.version == n.version and address in n for n in _BARRED):
            return True
        return port == self._own_port and _is_of_this_machine(address)


def _plain(address: _Address) -> _Address:
    """Return the IPv4 address that an IPv6 address stands for, if it does."""
    if address.version == 4:
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, address))[1]


def _is_of_this_machine(address: _Address) -> bool:
    """Tell whether an address is one of this machine: only such can be bound."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as trial:
            trial.bind((str(address), 0))
    except OSError:
        return False
    return True


def _port(url: httpx.URL) -> int:
    return url.port if url.port is not None else 443 if url.scheme == "https" else 80
