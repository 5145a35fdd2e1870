# SPDX-License-Identifier: Apache-2.0
"""The nouns of governance."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

__all__ = ["AccessKey", "Principal"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes a request: the holder of an access key."""

    access_key_id: str
    label: str


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key; its secret is shown when it is made and never again."""

    access_key_id: str
    label: str
    created_at: datetime
    revoked_at: datetime | None
    secret: str | None = field(default=None, repr=False)
