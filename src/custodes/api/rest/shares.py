# SPDX-License-Identifier: Apache-2.0
"""``/v1/shares/{share}``: the one way in which video leaves, once its owner has shared it, for the officer's key alone.

Whatever is wrong with a request, the answer is the same: that there is no such share, or that it isn't for this key, or
not any more, nobody can tell apart. What comes is sealed for the officer's other key.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, BinaryIO

from fastapi import APIRouter, Header, Path, Response
from fastapi.responses import StreamingResponse

from custodes.api.gate import Gate
from custodes.api.rest.problems import Problem
from custodes.app import App

__all__ = ["create_shares"]

_PIECE = 1 << 18
_LONGEST = 200


def create_shares(app: App, gate: Gate) -> APIRouter:
    """Make the route of shares."""
    router = APIRouter()

    @router.get(
        "/v1/shares/{share}",
        summary="Fetch what was shared with you",
        response_class=Response,
        responses={
            200: {"content": {"application/octet-stream": {}}, "description": "The sealed package: docs/sharing.md."},
            404: {"model": Problem, "description": "There is nothing here that this key could fetch."},
        },
    )
    async def share(
        share: Annotated[str, Path(description="The share's id, from its link.")],
        x_custodes_at: Annotated[str, Header(description="When it is signed: milliseconds since 1970.")] = "",
        x_custodes_nonce: Annotated[str, Header(description="32 hexadecimal digits, new for each request.")] = "",
        x_custodes_signature: Annotated[str, Header(description="The officer's signature, Ed25519, in hex.")] = "",
    ) -> Response:
        at, nonce, signature = (v[:_LONGEST] for v in (x_custodes_at, x_custodes_nonce, x_custodes_signature))
        found = await gate.quick.run(
            lambda: app.releasing.fetch(share[:_LONGEST], at=at, nonce=nonce, signature=signature)
        )
        headers = {"content-length": str(found.size), "cache-control": "no-store"}
        return StreamingResponse(_pieces(found.file), media_type="application/octet-stream", headers=headers)

    return router


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    """Read a file to its end, and close it however that comes."""
    with file:
        while piece := file.read(_PIECE):
            yield piece
