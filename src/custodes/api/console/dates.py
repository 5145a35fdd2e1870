# SPDX-License-Identifier: Apache-2.0
"""Days that people give in forms; each begins at midnight UTC, as everything here is dated."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from custodes.errors import Invalid

__all__ = ["day_of"]

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def day_of(text: str, what: str) -> datetime:
    """Return the beginning of a day.

    Raises:
        Invalid: if it is none; ``what`` names it.
    """
    try:
        if not _DAY.fullmatch(text):
            raise ValueError(text)
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError as e:
        raise Invalid(f"{what} is a day, written 2027-01-31.") from e
