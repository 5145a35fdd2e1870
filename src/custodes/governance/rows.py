# SPDX-License-Identifier: Apache-2.0
"""What governance's stores share: times, lists, and the version that rises with every change."""

from __future__ import annotations

from collections.abc import Iterable

import orjson
import sqlalchemy as sa

from custodes.db.values import seconds, time_of
from custodes.governance.schema import governance_state

__all__ = ["dump", "load", "rise", "seconds", "time_of", "version"]

_ROW = 1
_VERSION = sa.select(governance_state.c.version)


def version(c: sa.Connection) -> int:
    """Read the version of what decisions rest on; 0 before the installation has begun."""
    found: int | None = c.execute(_VERSION).scalar_one_or_none()
    return found or 0


def rise(c: sa.Connection) -> None:
    """Raise the version, in the transaction of the change; who decides meanwhile decides again."""
    done = c.execute(sa.update(governance_state).values(version=governance_state.c.version + 1))
    if not done.rowcount:
        c.execute(sa.insert(governance_state).values(id=_ROW, version=1))


def dump(values: Iterable[str]) -> str:
    """Return a set of texts as one."""
    return orjson.dumps(sorted(str(v) for v in values)).decode()


def load(text: str) -> frozenset[str]:
    """Read what :func:`dump` wrote."""
    return frozenset(orjson.loads(text))
