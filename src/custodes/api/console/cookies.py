# SPDX-License-Identifier: Apache-2.0
"""The console's cookies: the session's token, what a browser is known by at the door, a nonce, and messages.

With TLS their names begin with ``__Host-``: a browser takes them from this host alone, over TLS alone, for all paths.
What isn't a token of ours is bound to a key of the installation, so that nobody else makes one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

import orjson
from fastapi import Request, Response

from custodes.operations.browsers import KNOWN

__all__ = ["Cookies", "Flash"]

_FLASH_SECONDS = 60
_FLASHES = 5
_NONCE = re.compile(r"[A-Za-z0-9_-]{32}")
_LONGEST = 1500  # bytes of a cookie's messages
_KINDS = ("done", "note", "warning", "error")


@dataclass(frozen=True, slots=True)
class Flash:
    """A message that the next page shows. ``kind`` is ``done``, ``note``, ``warning`` or ``error``."""

    kind: str
    text: str

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise ValueError(f"a message is of one of {_KINDS}, got {self.kind!r}")


class Cookies:
    """Reads and writes cookies.

    Args:
        key: 32 bytes that only this installation knows.
        secure: whether people reach the console over TLS.
    """

    def __init__(self, key: bytes, *, secure: bool) -> None:
        self._key = key
        self.secure = secure
        prefix = "__Host-" if secure else ""
        self.session_name, self._door, self._flash = (f"{prefix}custodes-{n}" for n in ("session", "door", "flash"))
        self._browser = f"{prefix}custodes-browser"

    def _set(self, response: Response, name: str, value: str, seconds: int | None = None) -> None:
        response.set_cookie(
            name, value, max_age=seconds, path="/", secure=self.secure, httponly=True, samesite="strict"
        )

    def _drop(self, response: Response, name: str) -> None:
        response.delete_cookie(name, path="/", secure=self.secure, httponly=True, samesite="strict")

    def _tag(self, what: str, value: bytes) -> str:
        digest = hmac.digest(self._key, what.encode() + b"\0" + value, hashlib.sha256)
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    # --- the session's token ---

    def token(self, request: Request) -> str:
        """Return the token of a session that the browser says it has, or an empty string."""
        return request.cookies.get(self.session_name, "")

    def set_token(self, response: Response, token: str) -> None:
        """Give the browser a session's token, until it is closed."""
        self._set(response, self.session_name, token)

    def drop_token(self, response: Response) -> None:
        """Take it away."""
        self._drop(response, self.session_name)

    # --- what a browser is known by that was signed in with before ---

    def browser(self, request: Request) -> str:
        """Return what a browser says it is known by, or an empty string."""
        return request.cookies.get(self._browser, "")

    def set_browser(self, response: Response, token: str) -> None:
        """Give the browser what it is known by; it outlasts the session, and opens nothing."""
        self._set(response, self._browser, token, int(KNOWN.total_seconds()))

    # --- before there is a session: a nonce, and what only we make of it ---

    def nonce(self, request: Request) -> str:
        """Return the browser's nonce, or a new one."""
        known = request.cookies.get(self._door, "")
        return known if _NONCE.fullmatch(known) else secrets.token_urlsafe(24)

    def set_nonce(self, response: Response, nonce: str) -> None:
        """Give the browser a nonce."""
        self._set(response, self._door, nonce)

    def door_token(self, nonce: str) -> str:
        """Return what a form at the door has to carry beside its nonce."""
        return self._tag("door", nonce.encode("utf-8", "surrogatepass"))

    def is_from_door(self, request: Request, carried: str) -> bool:
        """Tell whether a form carries what was made for this browser's nonce."""
        nonce = request.cookies.get(self._door, "")
        wanted = self.door_token(nonce).encode()
        return bool(nonce) and hmac.compare_digest(wanted, carried.encode("utf-8", "surrogatepass"))

    # --- messages ---

    def flashes(self, request: Request) -> tuple[Flash, ...]:
        """Return the messages that the last page left."""
        value = request.cookies.get(self._flash, "")
        body, _, tag = value.partition(".")
        if not tag or not hmac.compare_digest(self._tag("flash", body.encode()).encode(), tag.encode()):
            return ()
        padded = body + "=" * (-len(body) % 4)
        return tuple(Flash(kind, text) for kind, text in orjson.loads(base64.urlsafe_b64decode(padded)))

    def set_flashes(self, response: Response, flashes: tuple[Flash, ...]) -> None:
        """Leave messages for the next page."""
        kept = [(f.kind, f.text) for f in flashes[-_FLASHES:]]
        while kept and len(orjson.dumps(kept)) > _LONGEST:
            kept = [(kind, text[: len(text) // 2] + "…") for kind, text in kept]
        body = base64.urlsafe_b64encode(orjson.dumps(kept)).decode().rstrip("=")
        self._set(response, self._flash, f"{body}.{self._tag('flash', body.encode())}", _FLASH_SECONDS)

    def drop_flashes(self, response: Response) -> None:
        """Forget them, when they have been shown."""
        self._drop(response, self._flash)
