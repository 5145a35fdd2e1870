# SPDX-License-Identifier: Apache-2.0
"""Addresses that this server doesn't connect to on anybody's behalf, and those that are its own machine's.

A home's own network is fine. Link-local addresses aren't, among them those where clouds tell their secrets, nor is the
port at which this server itself answers, in whatever way an address is written.
"""

from __future__ import annotations

import ipaddress
import socket

__all__ = ["is_barred", "is_of_this_machine", "looked_up"]

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

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def looked_up(host: str, port: int) -> tuple[str, ...]:
    """Look up the addresses of a host, each once.

    Raises:
        OSError: if it isn't known.
        UnicodeError: if it can't be a host's name.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(f[4][0]) for f in found))


def is_barred(text: str, port: int, own_port: int) -> bool:
    """Tell whether a port of an address isn't connected to.

    Args:
        text: the address.
        port: the port.
        own_port: at which this server answers; 0 if it doesn't.
    """
    address = _plain(ipaddress.ip_address(text))
    if any(address.version == n.version and address in n for n in _BARRED):
        return True
    return port == own_port and is_of_this_machine(str(address))


def is_of_this_machine(text: str) -> bool:
    """Tell whether an address is one of this machine: only such can be bound."""
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as trial:
            trial.bind((text, 0))
    except OSError:
        return False
    return True


def _plain(address: _Address) -> _Address:
    """Return the IPv4 address that an IPv6 address stands for, if it does."""
    if address.version == 4:
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, address))[1]
