# SPDX-License-Identifier: Apache-2.0
"""Bodies of requests to the console: read within limits of size and time, and kept in memory alone.

Nothing is spooled to a disk: what people upload are photos of people.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request
from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData
from starlette.formparsers import FormParser, MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from custodes.api.gate import Gate, HungUp
from custodes.errors import Code, Invalid, Throttled, TooLarge

__all__ = ["FORM_BYTES", "Body", "reading_form"]

FORM_BYTES = 2**20
"""Most bytes of a form without files."""

_FIELDS = 1000
_FILES = 200


class _InMemory(MultiPartParser):
    """A parser that never writes to a file."""

    spool_max_size = 2**40


class Body:
    """The body of one request, counted while it is read.

    Args:
        request: whose body.
        gate: counts bytes in memory.
        owner: who sends it.
        limit: most bytes.
        seconds: within which it must come.

    Attributes:
        held: bytes read by now; :meth:`release` must be called in the end.
    """

    def __init__(self, request: Request, gate: Gate, owner: str, limit: int, seconds: float) -> None:
        self._request = request
        self._gate = gate
        self._owner = owner
        self._limit = limit
        self._seconds = seconds
        self.held = 0

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Read on, part by part.

        Raises:
            TooLarge: if it is larger than its limit.
            Throttled: if too many bytes are in memory already, or it doesn't come in time.
            HungUp: if the client is gone.
        """
        declared = self._request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > self._limit:
            raise self._too_large()
        parts, deadline = self._request.stream(), asyncio.get_running_loop().time() + self._seconds
        while (part := await self._next(parts, deadline)) is not None:
            if self.held + len(part) > self._limit:
                raise self._too_large()
            self._gate.hold(self._owner, len(part))
            self.held += len(part)
            yield part

    async def _next(self, parts: AsyncGenerator[bytes, None], deadline: float) -> bytes | None:
        """Return the next part, or None at the end."""
        try:
            async with asyncio.timeout_at(deadline):
                return await anext(parts, None)
        except TimeoutError as e:
            raise Throttled(f"The request's body didn't come within {self._seconds:g} seconds.") from e
        except ClientDisconnect as e:
            raise HungUp from e

    def _too_large(self) -> TooLarge:
        return TooLarge(f"A request to this page has at most {self._limit} bytes.", code=Code.BODY_BYTES)

    def release(self) -> None:
        """Give back what was counted."""
        self._gate.release(self._owner, self.held)
        self.held = 0


@asynccontextmanager
async def reading_form(request: Request, body: Body) -> AsyncIterator[FormData]:
    """Read a form, with its files, and forget it in the end.

    Raises:
        Invalid: if it is none that can be read.
        TooLarge: if it is larger than its limit, or has too many fields or files.
        Throttled: if too many bytes are in memory already, or it doesn't come in time.
        HungUp: if the client is gone.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    stream = body.stream()
    try:
        if kind == "multipart/form-data":
            form = await _InMemory(
                request.headers, stream, max_files=_FILES, max_fields=_FIELDS, max_part_size=FORM_BYTES
            ).parse()
        elif kind == "application/x-www-form-urlencoded":
            form = await FormParser(request.headers, stream, max_fields=_FIELDS, max_part_size=FORM_BYTES).parse()
        else:
            form = FormData()
    except (MultiPartException, FormParserError, KeyError, UnicodeError) as e:
        body.release()
        raise Invalid("The form can't be read.", remedy="Send it again.") from e
    except BaseException:
        body.release()
        raise
    try:
        yield form
    finally:
        await form.close()
        body.release()
