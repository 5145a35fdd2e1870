# SPDX-License-Identifier: Apache-2.0
"""Moments as video and documents have them: whole milliseconds since 1970 (UTC), and how they are written."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

__all__ = ["from_ms", "now_ms", "to_ms", "written"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def to_ms(at: datetime) -> int:
    """Return milliseconds since 1970 of a time that knows its zone."""
    return (at - _EPOCH) // _MS


def from_ms(ms: int) -> datetime:
    """Return the UTC time of milliseconds since 1970."""
    return _EPOCH + timedelta(milliseconds=ms)


def now_ms() -> int:
    """Return this machine's clock in milliseconds since 1970."""
    return int(time.time() * 1000)


def written(at: datetime) -> str:
    """Return a UTC time as it is written (RFC 3339), to the millisecond."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
