# SPDX-License-Identifier: Apache-2.0
"""What leaves no trace: looking at requests for footage, and at what one would share.

Such a look is no line of the log and counts in no number; it doesn't keep the session that it is made in from ending,
and the threads that do it are told of nowhere. Style sheets and scripts are the same, or that a browser had asked for
those of a page would tell that somebody looked at it.
"""

from __future__ import annotations

from custodes.api.ending import Scope

__all__ = ["REQUESTS", "is_silent"]

REQUESTS = "/console/cameras/requests"
"""Where the pages of requests are."""

_STATIC = "/console/static/"
_SAFE = ("GET", "HEAD")


def is_silent(scope: Scope) -> bool:
    """Tell whether a request leaves no trace."""
    path: str = scope["path"]
    silent = path == REQUESTS or path.startswith((f"{REQUESTS}/", _STATIC))
    return silent and scope["method"] in _SAFE
