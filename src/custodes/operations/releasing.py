# SPDX-License-Identifier: Apache-2.0
"""What was shared is fetched: by the named officer's key, in time, and on record before the first byte.

Whatever is wrong (no such share, another key, over, revoked, a request that was made before), the answer is the same in
words. What concerns a share that there is, is an entry and the owner's to read; who tries ids that there aren't isn't
worth one.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from custodes.cameras.documents import from_ms, to_ms
from custodes.cameras.links import SHARE_ID, fetch_path
from custodes.cameras.model import News, NewsKind
from custodes.cameras.officerkeys import SIGNATURE_LASTS
from custodes.cameras.shares import Share, ShareStore
from custodes.cameras.sharing import check_officer_signature
from custodes.db import Database
from custodes.errors import Denied, NotFound
from custodes.ledger import commit
from custodes.operations.guard import Guard
from custodes.operations.sharing import share_file

__all__ = ["Released", "Releasing"]

_NUMBER = re.compile(r"[0-9]{1,15}")
_MOST_NONCES = 100_000
_REFUSALS = 20  # entries a minute; of more the later ones together
_STRANGERS = 120  # unknown ids a minute that are looked for


@dataclass(frozen=True, slots=True)
class Released:
    """A package that may go: the open file, for the caller to close, and its size."""

    file: BinaryIO
    size: int


class _Minute:
    """Counts what happens in one minute."""

    def __init__(self) -> None:
        self._minute = self._count = 0

    def count(self, now: datetime) -> int:
        """Count one more, and return how many there were in its minute."""
        minute = int(now.timestamp()) // 60
        if minute != self._minute:
            self._minute, self._count = minute, 0
        self._count += 1
        return self._count


class Releasing:
    """Hands out what was shared; may be shared by threads.

    Args:
        guard: records.
        database, store: what was shared.
        folder: where sealed packages lie.
        tell: tells the owner.
    """

    def __init__(
        self,
        guard: Guard,
        database: Database,
        store: ShareStore,
        folder: Path,
        tell: Callable[[News], None] = lambda news: None,
    ) -> None:
        self._guard = guard
        self._db = database
        self._store = store
        self._folder = folder
        self._tell = tell
        self._lock = threading.Lock()
        self._nonces: dict[tuple[str, str], datetime] = {}
        self._refused, self._strangers = _Minute(), _Minute()
        self._untold = 0

    def fetch(self, share: str, *, at: str, nonce: str, signature: str) -> Released:
        """Hand out a package, once it is on record.

        Args:
            share: its id; hostile, as all else.
            at: when the officer has signed, milliseconds since 1970.
            nonce: 32 hexadecimal digits that were never used before.
            signature: the officer's, of 128 hexadecimal digits.

        Raises:
            NotFound: if it can't be fetched, or not by this key; it isn't said why.
        """
        with self._db.read() as c:
            now = self._guard.now(c)
            found = self._store.find(c, share) if self._is_looked_for(share, now) else None
        if found is None:
            raise _refusal()
        why = self._why_not(found, at, nonce, signature, now)
        if why:
            self._record_refusal(found, why, now)
            raise _refusal()
        return self._released(found)

    def _is_looked_for(self, share: str, now: datetime) -> bool:
        """Tell whether it is worth looking for a share: not if so many were looked for in vain this minute."""
        if not SHARE_ID.fullmatch(share):
            return False
        with self._lock:
            return self._strangers.count(now) <= _STRANGERS

    def _why_not(self, share: Share, at: str, nonce: str, signature: str, now: datetime) -> str:
        """Return why a share isn't handed out, in a word; nothing if it is."""
        try:
            signed_at = from_ms(int(at)) if _NUMBER.fullmatch(at) else now - 2 * SIGNATURE_LASTS
            key = bytes.fromhex(share.recipient.signing_key)
            path = fetch_path(share.id)
            check_officer_signature(key, share.id, "GET", path, signed_at, nonce, signature=signature, now=now)
        except (Denied, OverflowError):
            return "signature"
        if not self._is_new(share.id, nonce, now):
            return "repeated"
        if share.revoked_at is not None:
            return "revoked"
        return "" if now < share.expires_at else "expired"

    def _is_new(self, share: str, nonce: str, now: datetime) -> bool:
        """Note a nonce; False if it was noted before, or too many are."""
        with self._lock:
            stale = now - 2 * SIGNATURE_LASTS - timedelta(seconds=1)
            for key in [k for k, seen in self._nonces.items() if seen < stale]:
                del self._nonces[key]
            if (share, nonce) in self._nonces or len(self._nonces) >= _MOST_NONCES:
                return False
            self._nonces[share, nonce] = now
            return True

    def _released(self, share: Share) -> Released:
        try:
            file = share_file(self._folder, share.id).open("rb")
        except OSError as e:
            self._record_refusal(share, "missing", None)
            raise _refusal() from e
        try:
            with self._guard.transaction() as c:
                now = self._guard.now(c)
                again = self._store.find(c, share.id)
                if again is None or not again.is_open(now):
                    raise _refusal()
                self._store.fetched(c, share.id, now)
                opening = commit("share", share.id.encode())
                self._guard.append_system(c, "share-fetched", {"organisation": share.organisation}, [opening])
            size = file.seek(0, 2)
            file.seek(0)
        except BaseException:
            file.close()
            raise
        self._tell(News(NewsKind.SHARE_FETCHED, share.organisation, to_ms(now), detail=share.id))
        return Released(file, size)

    def _record_refusal(self, share: Share, why: str, now: datetime | None) -> None:
        """Record a fetch that came to nothing; of many in a minute the later ones together."""
        with self._guard.transaction() as c:
            at = now or self._guard.now(c)
            with self._lock:
                if self._refused.count(at) > _REFUSALS:
                    self._untold += 1
                    return
                more, self._untold = self._untold, 0
            told: dict[str, object] = {"organisation": share.organisation, "why": why}
            opening = commit("share", share.id.encode())
            self._guard.append_system(c, "share-refused", told | ({"more": more} if more else {}), [opening])


def _refusal() -> NotFound:
    return NotFound("There is nothing here that this key could fetch.", remedy="Ask whoever has shared it.")
