# SPDX-License-Identifier: Apache-2.0
"""Browsers that somebody has signed in with before, so that the failures of others don't hold them up.

After a sign-in a browser keeps a token that an HMAC binds to the login. It opens nothing: with it, tries are counted
apart from those of strangers, by which anybody who knows a name could lock its owner out. The counts are this
process's own and end with it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from custodes.governance.logins import Login, wait_until

__all__ = ["KNOWN", "Browsers"]

KNOWN = timedelta(days=180)
"""So long after a sign-in a browser is known."""

_FORM = re.compile(r"(?P<nonce>[A-Za-z0-9_-]{22})\.(?P<made>[0-9]{1,12})\.(?P<tag>[A-Za-z0-9_-]{43})")
_MOST = 10_000  # counts that are kept; the oldest go first


@dataclass(frozen=True, slots=True)
class _Tries:
    failures: int
    locked_until: datetime | None


class Browsers:
    """Makes and knows tokens, and counts tries by them; whoever calls it sees to it that one thread does at a time.

    Args:
        key: 32 bytes that only this installation knows.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._tries: dict[str, _Tries] = {}

    def token(self, login: Login, now: datetime) -> str:
        """Return what a browser keeps that somebody has just signed in with."""
        nonce, made = secrets.token_urlsafe(16), str(int(now.timestamp()))
        return f"{nonce}.{made}.{self._tag(login, nonce, made)}"

    def known(self, token: str, login: Login, now: datetime) -> str | None:
        """Return by what a browser's tries at a login are counted, or None if it is a stranger to it."""
        found = _FORM.fullmatch(token)
        if found is None or not hmac.compare_digest(self._tag(login, found["nonce"], found["made"]), found["tag"]):
            return None
        return found["tag"] if now.timestamp() - int(found["made"]) < KNOWN.total_seconds() else None

    def _tag(self, login: Login, nonce: str, made: str) -> str:
        told = "\0".join(("browser", login.principal, login.created_at.isoformat(), nonce, made))
        digest = hmac.digest(self._key, told.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def is_locked(self, whose: str, now: datetime) -> bool:
        """Tell whether it is too early for another try."""
        until = self._tries[whose].locked_until if whose in self._tries else None
        return until is not None and now < until

    def failed(self, whose: str, now: datetime) -> None:
        """Count a failure; from the fifth on the next try has to wait, longer each time."""
        before = self._tries.pop(whose, None)
        count = 1 if before is None else before.failures + 1
        while len(self._tries) >= _MOST:
            del self._tries[next(iter(self._tries))]
        self._tries[whose] = _Tries(count, wait_until(count, now))

    def succeeded(self, whose: str) -> None:
        """Forget failures."""
        self._tries.pop(whose, None)
