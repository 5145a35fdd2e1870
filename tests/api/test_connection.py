# SPDX-License-Identifier: Apache-2.0
"""A connection whose head never ends, against uvicorn's protocol in this process, with little patience."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest
import uvicorn
from uvicorn.server import ServerState

from custodes.api.connection import Connection

REFUSED = b"HTTP/1.1 400 Bad Request"
GOOD = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"

pytestmark = pytest.mark.alone


class Impatient(Connection):
    """Waits 600 ms for a head of at most 1,000 bytes."""

    head_seconds = 0.6
    head_bytes = 1000


async def hello(scope: dict, receive: Callable, send: Callable) -> None:
    """Answer after a while that is longer than the patience for heads."""
    await asyncio.sleep(0.8)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


def talk(parts: list[bytes | float]) -> tuple[bytes, float]:
    """Send bytes, with pauses in seconds between them, and return what comes until the end, and how long it took."""

    async def pieces() -> AsyncIterator[bytes]:
        for part in parts:
            if isinstance(part, float):
                await asyncio.sleep(part)
            else:
                yield part

    async def session() -> tuple[bytes, float]:
        config = uvicorn.Config(hello, http=Impatient, lifespan="off", log_config=None, timeout_keep_alive=1)
        config.load()
        state = ServerState()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Impatient(config, state, {}, loop), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        begun = time.monotonic()
        async for piece in pieces():
            writer.write(piece)
        received = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        server.close()
        return received, time.monotonic() - begun

    return asyncio.run(session())


@pytest.mark.parametrize("begin", [[], [b"GET / HT"], [b"GET / HTTP/1.1\r\nhost: a\r\n"]])
def test_late_head_is_refused(begin: list[bytes]) -> None:
    """A client that sends nothing, or half a head, is refused when patience ends."""
    received, seconds = talk(list(begin))
    assert received.startswith(REFUSED)
    assert b"complete within 0.6 seconds" in received
    assert 0.55 < seconds < 2


def test_drip_is_refused() -> None:
    """A byte now and then doesn't prolong it."""
    received, seconds = talk([b"GET / HTTP/1.1\r\nx: ", *[0.15, b"a"] * 3])
    assert received.startswith(REFUSED)
    assert seconds < 0.95, "0.6 from the first byte, not from the last"


def test_long_head_is_refused() -> None:
    """A head beyond the limit is refused at once, in one header or in many."""
    for field in (b"x: " + b"a" * 2000, b"x: a\r\n" * 400):
        received, _ = talk([b"GET / HTTP/1.1\r\n" + field])
        assert received.startswith(REFUSED)
        assert b"at most 1000 bytes" in received


def test_patience_is_for_heads_alone() -> None:
    """An answer may take longer, the next request has time of its own, and an idle connection ends unrefused."""
    received, seconds = talk([GOOD, 1.0, GOOD])
    assert received.count(b"HTTP/1.1 200") == 2
    assert b"400" not in received
    assert seconds > 1
