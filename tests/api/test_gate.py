# SPDX-License-Identifier: Apache-2.0
"""Pools and their queues, with work that waits until the test lets it go."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from custodes.api.gate import Cause, Gate, HungUp
from custodes.config import Server
from custodes.errors import Throttled

pytestmark = pytest.mark.alone


@pytest.fixture
def gate() -> Iterator[Gate]:
    """One inference thread, and a queue of two who wait 300 ms."""
    made = Gate(Server(workers=1, queue=2, timeout=0.3))
    yield made
    made.close()


async def never() -> None:
    """Never hang up."""
    await asyncio.Event().wait()


async def at_once() -> None:
    """Hang up at once."""


def test_client_that_hung_up_gets_no_inference(gate: Gate) -> None:
    """Work that waits is dropped when its client goes, and what waits behind it comes in its place."""
    done: list[str] = []

    async def session() -> None:
        go = threading.Event()
        first = asyncio.create_task(gate.inference.run(go.wait, never))
        await asyncio.sleep(0)
        with pytest.raises(HungUp):
            await gate.inference.run(lambda: done.append("gone"), at_once)
        last = asyncio.create_task(gate.inference.run(lambda: done.append("last"), never))
        await asyncio.sleep(0.02)
        assert (gate.inference.running, gate.inference.waiting) == (1, 1)
        go.set()
        await asyncio.gather(first, last)

    asyncio.run(session())
    assert done == ["last"]
    assert (gate.inference.running, gate.inference.waiting) == (0, 0)
    assert gate.inference.seconds > 0.01


def test_clips_of_one_hold_up_nobody_else(gate: Gate) -> None:
    """Nobody has a second one in work, whoever waits for another's gets its turn, and models and stills go on."""

    async def session() -> None:
        go = threading.Event()
        first = asyncio.create_task(gate.clips.run(go.wait, owner="ana"))
        await asyncio.sleep(0)
        with pytest.raises(Throttled, match="you have asked for"):
            await gate.clips.run(lambda: 0, owner="ana")
        assert await gate.clips.run(lambda: 1, owner="ben") == 1
        assert await gate.stills.run(lambda: 2, owner="ana") == 2
        assert await gate.inference.run(lambda: 3, owner="ana") == 3
        go.set()
        await first
        assert await gate.clips.run(lambda: 4, owner="ana") == 4

    asyncio.run(session())
    assert gate.throttled[Cause.SHARE] == 1
    assert not gate.clips._places._taken


def test_queue_is_bounded_in_length_and_time(gate: Gate) -> None:
    """Who finds the queue full is refused at once, who waits too long later; other pools go on."""
    done: list[int] = []

    async def session() -> list[BaseException | None]:
        go = threading.Event()
        first = asyncio.create_task(gate.inference.run(go.wait))
        await asyncio.sleep(0)
        others = [asyncio.create_task(gate.inference.run(lambda n=n: done.append(n))) for n in range(3)]
        assert await gate.quick.run(lambda: 5) == 5
        got = await asyncio.gather(*others, return_exceptions=True)
        go.set()
        await first
        assert await gate.inference.run(lambda: 6) == 6
        return got

    got = asyncio.run(session())
    assert [type(e) for e in got] == [Throttled] * 3
    assert done == []
    assert gate.throttled == {Cause.QUEUE: 1, Cause.PATIENCE: 2, Cause.MEMORY: 0, Cause.SHARE: 0}
    assert gate.waiting == 0


def test_cancelled_waiter_loses_no_thread(gate: Gate) -> None:
    """A task that ends while it waits, or just as its turn comes, leaves the thread to the next."""

    async def session() -> int:
        go = threading.Event()
        first = asyncio.create_task(gate.inference.run(go.wait))
        await asyncio.sleep(0)
        waiting = [asyncio.create_task(gate.inference.run(lambda: 1)) for _ in range(2)]
        await asyncio.sleep(0.02)
        waiting[0].cancel()
        go.set()
        await first
        waiting[1].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return await gate.inference.run(lambda: 7)

    assert asyncio.run(session()) == 7
    assert (gate.inference.running, gate.inference.waiting) == (0, 0)


def test_error_of_the_work_frees_the_thread(gate: Gate) -> None:
    """What the work raises is raised, and the next one runs."""
    with pytest.raises(ZeroDivisionError):
        asyncio.run(gate.inference.run(lambda: 1 / 0))
    assert asyncio.run(gate.inference.run(lambda: 3)) == 3


def test_one_caller_fills_half_of_the_memory_at_most(gate: Gate) -> None:
    """Bodies of one caller leave room for others', and all together have a bound."""
    part = 64 * 2**20
    for _ in range(4):
        gate.hold("greedy", part)
    with pytest.raises(Throttled):
        gate.hold("greedy", 1)
    for _ in range(4):
        gate.hold("modest", part)
    with pytest.raises(Throttled):
        gate.hold("third", 1)
    assert (gate.throttled[Cause.SHARE], gate.throttled[Cause.MEMORY]) == (1, 1)
    for owner in ("greedy", "modest"):
        gate.release(owner, 4 * part)
    assert gate.held_bytes == 0
    gate.hold("greedy", 1)
