# SPDX-License-Identifier: Apache-2.0
"""What the rooms' stores share of values: random ids, and times as columns keep them."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

__all__ = ["new_id", "seconds", "time_of"]


def new_id(prefix: str) -> str:
    """Return a random id that tells nothing but its kind."""
    return f"{prefix}-{secrets.token_hex(8)}"


def time_of(value: float) -> datetime:
    """Return the time of seconds since 1970."""
    return datetime.fromtimestamp(value, UTC)


def seconds(value: datetime | None) -> float | None:
    """Return seconds since 1970, or None."""
    return None if value is None else value.timestamp()
