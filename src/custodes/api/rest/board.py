# SPDX-License-Identifier: Apache-2.0
"""``/v1/board``: all public requests for footage, as the same bytes for everyone, whoever asks and whatever they ask.

There is no way to ask for a part of it, by place, time or code: whoever reads it reads all of it, and nobody learns
what concerned them. Nothing of who reads is looked at, kept or sent: no key, no cookie, no address, no language; its
tag is the SHA-256 of the bytes, by which nobody can be told apart, and a query is not heeded.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Response

from custodes.api.gate import Gate
from custodes.api.rest.problems import Problem
from custodes.app import App

__all__ = ["create_board"]

_AGE = 60  # seconds for which anybody on the way may keep it


def create_board(app: App, gate: Gate) -> APIRouter:
    """Make the route of the board."""
    router = APIRouter()

    @router.get(
        "/v1/board",
        summary="Read the public requests for footage: all of them, the same for everyone",
        response_class=Response,
        responses={
            200: {"content": {"application/json": {}}, "description": "`custodes-footage-board-1`: signed documents."},
            304: {"description": "It is what the client has."},
            503: {"model": Problem},
        },
    )
    async def board(if_none_match: Annotated[str, Header(include_in_schema=False)] = "") -> Response:
        found = await gate.quick.run(app.footage.board)
        headers = {"etag": f'"{found.tag}"', "cache-control": f"public, max-age={_AGE}"}
        if headers["etag"] in (tag.strip().removeprefix("W/") for tag in if_none_match.split(",")):
            return Response(status_code=304, headers=headers)
        return Response(found.document, media_type="application/json", headers=headers)

    return router
