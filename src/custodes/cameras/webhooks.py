# SPDX-License-Identifier: Apache-2.0
"""What webhooks are sent, and one attempt to send it, as Standard Webhooks 1.0 has it.

The connection goes to an address that was judged. Redirects aren't followed, nothing but the status of an answer is
read, no cookie is kept and no proxy is asked, and an attempt ends after some seconds, however slowly the other side
talks.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import secrets
import ssl
import time
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from custodes.cameras.hooks import Hook
from custodes.cameras.model import News
from custodes.cameras.reach import Reach
from custodes.db.sealing import time_of
from custodes.errors import Invalid, Unavailable

__all__ = ["LONGEST_REST", "Message", "Outcome", "attempt", "message_of", "probe", "signature"]

LONGEST_REST = 600.0
"""Seconds between two attempts, at most, whatever the other side asks for."""

_AGENT = "Custodes"
_CONNECTING = 3.0
"""Seconds after which another address of the same host is tried."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent, whichever attempt it is.

    Attributes:
        id: random, the same for all attempts.
        body: JSON.
        made: time of the monotonic clock.
    """

    id: str
    body: bytes
    made: float = field(default_factory=time.monotonic)


def message_of(news: News, *, picture: bool = False) -> Message:
    """Write news down; pictures are left out unless they are asked for."""
    data: dict[str, object] = {
        "organisation": news.organisation,
        "camera": news.camera,
        "name": news.name,
        "event": news.event,
        "zone": news.zone,
        "people": news.people,
        "unknown": news.unknown,
        "detail": news.detail,
    }
    if picture:
        data["picture"] = base64.b64encode(news.picture).decode()
    return _message(str(news.kind).replace("-", "."), news.at / 1000, data)


def probe(organisation: str) -> Message:
    """Return a message of type ``test``."""
    return _message("test", time.time(), {"organisation": organisation})


def _message(kind: str, at: float, data: dict[str, object]) -> Message:
    when = time_of(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Message(f"msg_{secrets.token_hex(16)}", orjson.dumps({"type": kind, "timestamp": when, "data": data}))


def signature(key: bytes, message: Message, at: int) -> str:
    """Return the header ``webhook-signature`` of an attempt at a time (seconds since 1970)."""
    signed = hmac.digest(key, f"{message.id}.{at}.".encode() + message.body, hashlib.sha256)
    return f"v1,{base64.b64encode(signed).decode()}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt.

    Attributes:
        code: ``done``, ``status`` (another than 2xx), ``timeout``, ``unreachable``, ``certificate``, ``unknown-host``,
            ``barred``.
        status: of the answer, or 0.
        rest: seconds for which the other side asks to be left alone.
    """

    code: str
    status: int = 0
    rest: float = 0.0

    @property
    def done(self) -> bool:
        """Whether it arrived."""
        return self.code == "done"


async def attempt(hook: Hook, message: Message, reach: Reach, verify: ssl.SSLContext, timeout: float) -> Outcome:
    """Try once; whatever the other side does, this ends in time.

    Args:
        hook: where to.
        message: what.
        reach: judges addresses.
        verify: checks certificates.
        timeout: seconds that it may take.
    """
    try:
        async with asyncio.timeout(timeout):
            addresses = await asyncio.to_thread(reach.judged, hook.url)
            outcome = Outcome("unreachable")
            for address in addresses:
                outcome = await _post(hook, message, address, verify, timeout)
                if outcome.code != "unreachable":
                    break
            return outcome
    except TimeoutError:
        return Outcome("timeout")
    except Invalid:
        return Outcome("barred")
    except Unavailable:
        return Outcome("unknown-host")


async def _post(hook: Hook, message: Message, address: str, verify: ssl.SSLContext, timeout: float) -> Outcome:
    url, at = httpx.URL(hook.url), int(time.time())
    headers = {
        "host": url.netloc.decode(),
        "content-type": "application/json",
        "user-agent": _AGENT,
        "connection": "close",
        "webhook-id": message.id,
        "webhook-timestamp": str(at),
    }
    if hook.secret:  # the operator's own URLs of data streams may have none
        headers["webhook-signature"] = signature(hook.key, message, at)
    limits = dict.fromkeys(("read", "write", "pool"), timeout) | {"connect": min(_CONNECTING, timeout)}
    extensions: dict[str, Any] = {"timeout": limits}
    if not _is_address(url.host):
        extensions["sni_hostname"] = url.raw_host.decode()  # the certificate is the name's, not the address's
    request = httpx.Request(
        "POST", url.copy_with(host=address), headers=headers, content=message.body, extensions=extensions
    )
    try:
        # no client, which would follow redirects, keep cookies, ask proxies and log the URL
        async with httpx.AsyncHTTPTransport(verify=verify) as transport:
            response = await transport.handle_async_request(request)
            await response.aclose()
    except (httpx.ReadTimeout, httpx.WriteTimeout):
        return Outcome("timeout")
    except (httpx.HTTPError, OSError) as e:
        return Outcome("certificate" if "CERTIFICATE_VERIFY_FAILED" in str(e) else "unreachable")
    if response.is_success:
        return Outcome("done", response.status_code)
    wanted = response.headers.get("retry-after", "")
    rest = min(float(wanted), LONGEST_REST) if wanted.isascii() and wanted.isdigit() else 0.0
    return Outcome("status", response.status_code, rest)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
