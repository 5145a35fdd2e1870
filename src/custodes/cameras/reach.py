# SPDX-License-Identifier: Apache-2.0
"""Where this server may connect to when somebody who isn't its operator names a URL.

A home's own network is fine: the home automation is there. This server itself isn't, nor are the other addresses that
``addresses`` bars. What was judged is an address, not a name: whoever connects takes one of those, so that a name that
changes its address gains nothing.
"""

from __future__ import annotations

import httpx

from custodes.cameras.addresses import is_barred, looked_up
from custodes.errors import Invalid, Unavailable

__all__ = ["Reach", "check_url"]

_MOST_URL = 2000
_ADDRESSES_TRIED = 3


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
            addresses = looked_up(parsed.raw_host.decode(), port)
        except (OSError, UnicodeError) as e:
            raise Unavailable("The host isn't known here.", remedy="Check its name, or use its address.") from e
        if any(is_barred(address, port, self._own_port) for address in addresses):
            raise Invalid(
                "This server itself, and link-local addresses, where clouds keep their secrets, aren't connected to.",
                remedy="Use another address of the machine that is meant.",
            )
        return addresses[:_ADDRESSES_TRIED]


def _port(url: httpx.URL) -> int:
    return url.port if url.port is not None else 443 if url.scheme == "https" else 80
