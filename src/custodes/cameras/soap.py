# SPDX-License-Identifier: Apache-2.0
"""SOAP 1.2 as ONVIF cameras speak it, with a device that isn't trusted.

The connection goes to an address that was judged, redirects aren't followed, an answer is read up to a limit and is
never unpacked. A message with a document type is refused before it is parsed, as SOAP forbids one (SOAP 1.2 part 1,
section 5): there are no entities then, neither bombs nor files. Passwords go out as digests alone (WS-Security
UsernameToken 1.1, HTTP Digest).
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

import httpx

from custodes.errors import Denied, Invalid, TooLarge, Unavailable

__all__ = ["Credentials", "Service", "parse_xml", "printable", "text_of"]

_MOST_BYTES = 1 << 19
_ENVELOPE = "http://www.w3.org/2003/05/soap-envelope"
_OASIS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"
_SECURITY = f"{_OASIS}-wssecurity-secext-1.0.xsd"
_UTILITY = f"{_OASIS}-wssecurity-utility-1.0.xsd"
_DIGEST = f"{_OASIS}-username-token-profile-1.0#PasswordDigest"
_BASE64 = f"{_OASIS}-soap-message-security-1.0#Base64Binary"
_NOT_AUTHORIZED = "NotAuthorized"
_PORT = "ONVIF may have a port of its own (80, 8000, 8080 or 2020), or be switched off in the camera's settings."


@dataclass(frozen=True, slots=True)
class Credentials:
    """An account of a camera.

    Attributes:
        user, password: of the account; no user for none.
        ahead: by how much the camera's clock is ahead of this machine's: a digest holds for some seconds.
    """

    user: str
    password: str = field(repr=False)
    ahead: timedelta = timedelta()

    def header(self, now: datetime) -> str:
        """Return the header of a message, or nothing without a user."""
        if not self.user:
            return ""
        nonce, created = secrets.token_bytes(16), f"{now + self.ahead:%Y-%m-%dT%H:%M:%SZ}"
        secret = hashlib.sha1(nonce + created.encode() + self.password.encode())  # noqa: S324 - the profile has it so
        return (
            f'<s:Header><w:Security xmlns:w="{_SECURITY}" s:mustUnderstand="1"><w:UsernameToken>'
            f"<w:Username>{escape(self.user)}</w:Username>"
            f'<w:Password Type="{_DIGEST}">{_base64(secret.digest())}</w:Password>'
            f'<w:Nonce EncodingType="{_BASE64}">{_base64(nonce)}</w:Nonce>'
            f'<u:Created xmlns:u="{_UTILITY}">{created}</u:Created>'
            "</w:UsernameToken></w:Security></s:Header>"
        )


@dataclass(frozen=True, slots=True)
class Service:
    """A service of a camera.

    Attributes:
        url: where it is, with an address that was judged as host.
        host: what the camera calls itself, host and port.
        verify: checks certificates.
    """

    url: str
    host: str
    verify: ssl.SSLContext | bool = True

    async def call(self, body: str, credentials: Credentials) -> Element:
        """Send a message and return the answer's body.

        Args:
            body: XML, from this house.
            credentials: on whose behalf.

        Raises:
            Denied: if the camera doesn't accept them.
            Invalid: if the answer is no SOAP, or says that it can't be done.
            TooLarge: if the answer is longer than any should be.
            Unavailable: if there is none.
        """
        header = credentials.header(datetime.now(UTC))
        content = (
            f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{_ENVELOPE}">{header}'
            f"<s:Body>{body}</s:Body></s:Envelope>"
        ).encode()
        try:
            async with httpx.AsyncHTTPTransport(verify=self.verify) as transport:
                status, answer = await self._exchange(transport, content, credentials)
        except (httpx.HTTPError, OSError) as e:
            raise Unavailable("The camera doesn't answer.", remedy="Check its address and its port.") from e
        if status in (401, 403):
            raise _refused()
        return _body_of(answer)

    async def _exchange(
        self, transport: httpx.AsyncHTTPTransport, content: bytes, credentials: Credentials
    ) -> tuple[int, bytes]:
        """Post, and once more with a digest if that is asked for."""
        headers = {
            "host": self.host,
            "content-type": "application/soap+xml; charset=utf-8",
            "accept-encoding": "identity",
            "connection": "close",
        }
        request = httpx.Request("POST", self.url, headers=headers, content=content)
        flow = httpx.DigestAuth(credentials.user, credentials.password).auth_flow(request)
        response = await transport.handle_async_request(next(flow))
        response.request = request
        try:
            again = flow.send(response) if response.status_code == 401 and credentials.user else None
        except (StopIteration, LookupError, ValueError, NotImplementedError, httpx.ProtocolError):
            again = None  # it asks for something else than a digest, or for none that can be understood
        if again is not None:
            await response.aclose()
            response = await transport.handle_async_request(again)
        try:
            return response.status_code, await _read(response)
        finally:
            await response.aclose()


async def _read(response: httpx.Response) -> bytes:
    """Read an answer as it came.

    Raises:
        Invalid: if it is packed.
        TooLarge: if it doesn't end soon.
    """
    if response.headers.get("content-encoding", "identity") != "identity":
        raise Invalid("The camera's answer is packed, though nobody asked for that.")
    parts, size = [], 0
    async for part in response.aiter_raw():
        parts.append(part)
        size += len(part)
        if size > _MOST_BYTES:
            raise TooLarge(f"The camera's answer is longer than {_MOST_BYTES} bytes.")
    return b"".join(parts)


def parse_xml(data: bytes) -> Element:
    """Parse a hostile document; it is taken for UTF-8, whatever it says.

    Raises:
        Invalid: if it isn't well-formed, or has a document type.
    """
    text = data.decode("utf-8", "replace")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise Invalid("What answers there isn't ONVIF: it sends a document type, as web pages do.", remedy=_PORT)
    try:
        return ElementTree.fromstring(text)  # noqa: S314 - without a document type there are no entities
    except ElementTree.ParseError as e:
        raise Invalid("What answers there isn't ONVIF: it sends no XML.", remedy=_PORT) from e


def text_of(element: Element | None, path: str, most: int = 64) -> str:
    """Return the printable text of an element somewhere below another, cut off; empty if there is none.

    Args:
        element: where to look.
        path: names, without namespaces, from the outer to the inner: ``RateControl/FrameRateLimit``.
        most: characters.
    """
    if element is None:
        return ""
    found = element.find(".//" + "/".join(f"{{*}}{name}" for name in path.split("/")))
    return "" if found is None else printable(found.text or "", most)


def printable(text: str, most: int) -> str:
    """Return a text's printable characters, cut off, without spaces around them."""
    return "".join(c for c in text[: 8 * most] if c.isprintable()).strip()[:most]


def _body_of(answer: bytes) -> Element:
    """Return the body of an answer.

    Raises:
        Denied: if it is a fault that says that the account isn't accepted.
        Invalid: if it is another fault, or no SOAP.
    """
    root = parse_xml(answer)
    body = root.find("{*}Body")
    if body is None:
        raise Invalid("What answers there isn't ONVIF: it sends no SOAP message.", remedy=_PORT)
    fault = body.find("{*}Fault")
    if fault is None:
        return body
    if any(_NOT_AUTHORIZED in code for code in _codes(fault)):
        raise _refused()
    raise Invalid("The camera says that it can't do that.")


def _codes(fault: Element) -> Iterator[str]:
    return (value.text or "" for value in fault.iter() if value.tag.endswith("}Value"))


def _refused() -> Denied:
    return Denied(
        "The camera doesn't accept the user and the password.",
        remedy="Many cameras have accounts of their own for ONVIF: look in its settings.",
    )


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
