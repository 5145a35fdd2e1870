# SPDX-License-Identifier: Apache-2.0
"""What handlers of all operations share: on what they work and for whom, ARNs, and pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from custodes.api.aws.pages import Pages
from custodes.app import App
from custodes.errors import NotFound
from custodes.governance import Caller

__all__ = ["Context", "Handler", "Params", "Result", "page"]

Params = Mapping[str, Any]
Result = dict[str, Any]

_ARN = re.compile(r"(?:arn:)?aws[a-z-]*:rekognition:([a-z0-9-]+):([0-9]{12}):collection/([a-zA-Z0-9_.\-]+)")
_PROCESSOR = re.compile(r"arn:aws[a-z-]*:rekognition:([a-z0-9-]+):([0-9]{12}):streamprocessor/([a-zA-Z0-9_.\-]+)")


@dataclass(frozen=True, slots=True)
class Context:
    """What a handler works on, and for whom."""

    app: App
    pages: Pages
    caller: Caller

    def arn(self, collection: str) -> str:
        """Return a collection's name in AWS's form, without the leading ``arn:``."""
        server = self.app.config.server
        return f"aws:rekognition:{server.region}:{server.account}:collection/{collection}"

    def collection_of(self, arn: str) -> str:
        """Return the collection that an ARN names.

        Raises:
            NotFound: if it names something else.
        """
        found = _ARN.fullmatch(arn)
        if found is None or not self._is_here(found):
            raise NotFound("The resource ARN names nothing of this server.")
        return found[3]

    def processor_of(self, arn: str) -> str | None:
        """Return the stream processor of this server that an ARN names; None if it names something else."""
        found = _PROCESSOR.fullmatch(arn)
        return found[3] if found is not None and self._is_here(found) else None

    def _is_here(self, found: re.Match[str]) -> bool:
        server = self.app.config.server
        return (found[1], found[2]) == (server.region, server.account)


Handler = Callable[[Context, Params], Result]


def page(result: Result, pages: Pages, scope: str, position: int | None) -> Result:
    """Add the token of the next page, if there is one, to a page of a list, which ``scope`` names."""
    if position is not None:
        result["NextToken"] = pages.write(scope, position)
    return result
