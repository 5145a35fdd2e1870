# SPDX-License-Identifier: Apache-2.0
"""What was shared is fetched: by the named officer's key, in time, and on record before the first byte.

Whatever is wrong (no such share, another key, over, revoked, an officer or agency that isn't trusted any more, a
request that was made before), the answer is the same in words. What concerns a share that there is, is an entry and the
owner's to read; who tries ids that there aren't isn't worth one: nobody guesses 128 random bits.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import sqlalchemy as sa

from custodes.cameras.footagestore import FootageStore
from custodes.cameras.links import SHARE_ID, fetch_path
from custodes.cameras.model import News, NewsKind
from custodes.cameras.moments import from_ms, to_ms
from custodes.cameras.officerkeys import SIGNATURE_LASTS
from custodes.cameras.shares import Share, ShareStore
from custodes.cameras.sharing import check_officer_signature
from custodes.db import Database
from custodes.errors import Denied, NotFound
from custodes.ledger import commit
from custodes.operations.guard import Guard
from custodes.operations.sharing import share_file, why_over

__all__ = ["Released", "Releasing"]

_NUMBER = re.compile(r"[0-9]{1,15}")
_NONCES_LAST = 2 * SIGNATURE_LASTS + timedelta(seconds=1)
_REFUSALS = 20  # entries a minute; of more the later ones together


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
        footage: knows which agencies and officers are trusted here.
        folder: where sealed packages lie.
        tell: tells the owner.
    """

    def __init__(
        self,
        guard: Guard,
        database: Database,
        store: ShareStore,
        footage: FootageStore,
        folder: Path,
        tell: Callable[[News], None] = lambda news: None,
    ) -> None:
        self._guard = guard
        self._db = database
        self._store = store
        self._footage = footage
        self._folder = folder
        self._tell = tell
        self._lock = threading.Lock()
        self._refused = _Minute()
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
            found = self._store.find(c, share) if SHARE_ID.fullmatch(share) else None
            over = why_over(c, self._footage, found, now) if found is not None else ""
        if found is None:
            raise _refusal()
        why = over if self._is_signed(found, at, nonce, signature, now) else "signature"
        if why:
            self._record_refusal(found, why, now)
            raise _refusal()
        return self._released(found, nonce)

    def _is_signed(self, share: Share, at: str, nonce: str, signature: str, now: datetime) -> bool:
        """Tell whether the officer whom it is for has signed the request, just now."""
        try:
            signed_at = from_ms(int(at)) if _NUMBER.fullmatch(at) else now - 2 * SIGNATURE_LASTS
            key = bytes.fromhex(share.recipient.signing_key)
            path = fetch_path(share.id)
            check_officer_signature(key, share.id, "GET", path, signed_at, nonce, signature=signature, now=now)
        except (Denied, OverflowError):
            return False
        return True

    def _released(self, share: Share, nonce: str) -> Released:
        try:
            file = share_file(self._folder, share.id).open("rb")
        except OSError as e:
            self._record_refusal(share, "missing", None)
            raise _refusal() from e
        try:
            with self._guard.transaction() as c:
                now = self._guard.now(c)
                why = self._why_not(c, share, nonce, now)
                if not why:
                    self._store.fetched(c, share.id, now)
                    opening = commit("share", share.id.encode())
                    self._guard.append_system(c, "share-fetched", {"organisation": share.organisation}, [opening])
            if why:
                self._record_refusal(share, why, now)
                raise _refusal()
            size = file.seek(0, 2)
            file.seek(0)
        except BaseException:
            file.close()
            raise
        self._tell(News(NewsKind.SHARE_FETCHED, share.organisation, to_ms(now), detail=share.id))
        return Released(file, size)

    def _why_not(self, c: sa.Connection, share: Share, nonce: str, now: datetime) -> str:
        """Return why a share isn't handed out after all, in a word; if it is, its nonce is noted."""
        again = self._store.find(c, share.id)
        if again is None:
            return "expired"
        over = why_over(c, self._footage, again, now)
        return over or ("" if self._store.note(c, share.id, nonce, now, _NONCES_LAST) else "repeated")

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
