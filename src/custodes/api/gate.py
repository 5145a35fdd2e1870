# SPDX-License-Identifier: Apache-2.0
"""How much happens at once: pools of threads, each behind a bounded queue.

Inference gets as many threads as there are cores (the models release the interpreter lock); whatever only asks the
database has threads of its own, so that it doesn't wait behind photos; so have the look-up of access keys, which
decides whose bodies are read, and the probes of operators. What is made of recorded video is made by a process of its
own and takes minutes: it has threads of its own, too, and nobody has more than a place or two there. What doesn't fit
into a queue, or would hold too many bytes in memory, is refused at once; what waited too long is refused without being
begun, and whose client has hung up is dropped. All bookkeeping belongs to the event loop's thread.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import TypeVar

from custodes.config import Server
from custodes.errors import Code, Throttled

__all__ = ["Cause", "Gate", "HungUp", "Places", "Pool"]

T = TypeVar("T")

_QUICK_THREADS = 8
_DOOR_THREADS = 2
_SILENT_THREADS = 2
_CLIP_THREADS, _CLIPS_EACH = 2, 1
_STILL_THREADS, _STILLS_EACH = 2, 2
_CHECK_THREADS, _CHECKS_EACH = 2, 1
_DOWNLOADS_EACH = 2
_HELD_BYTES = 512 * 2**20  # request bodies in memory, of all callers together
_SHARE_BYTES = _HELD_BYTES // 2  # and of one of them


class Cause(StrEnum):
    """Why something was throttled."""

    QUEUE = "queue"  # too many wait already
    PATIENCE = "patience"  # its turn came too late
    MEMORY = "memory"  # too many bytes are held
    SHARE = "share"  # one caller holds too many of them, or has too much in work


class HungUp(Exception):
    """The client is gone: there is nobody to answer."""


class _Throttles(Counter[Cause]):
    """How often something was throttled, by cause."""

    def count(self, cause: Cause) -> Throttled:
        """Count one more, and return its error."""
        self[cause] += 1
        own = cause == Cause.SHARE
        why = "Too much that you have asked for is in work already." if own else "Too many requests wait."
        return Throttled(why, remedy="Try again later.", code=Code.OVERLOAD)


class Places:
    """So much of something everybody may have at once.

    Args:
        each: how many places everybody has.
        throttles: where refusals are counted.
    """

    def __init__(self, each: int, throttles: _Throttles) -> None:
        self._each = each
        self._throttles = throttles
        self._taken: Counter[str] = Counter()

    def take(self, owner: str) -> None:
        """Take a place of somebody's; :meth:`leave` gives it back.

        Raises:
            Throttled: if they have no more.
        """
        if self._taken[owner] >= self._each:
            raise self._throttles.count(Cause.SHARE)
        self._taken[owner] += 1

    def leave(self, owner: str) -> None:
        """Give back a place that was taken."""
        self._taken[owner] -= 1
        if not self._taken[owner]:
            del self._taken[owner]


class Pool:
    """Threads, and the queue before them.

    Args:
        name: what operators call it.
        threads: how many run at once.
        settings: length of the queue, and patience.
        throttles: where refusals are counted.
        each: how much everybody may have in work or waiting; 0 for as much as there is room for.

    Attributes:
        running: threads at work.
        seconds: how long threads were at work, all together.
    """

    def __init__(self, name: str, threads: int, settings: Server, throttles: _Throttles, each: int = 0) -> None:
        self.name = name
        self.threads = threads
        self.running = 0
        self.seconds = 0.0
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._most_waiting = settings.queue
        self._patience = settings.timeout
        self._throttles = throttles
        self._places = Places(each, throttles) if each else None
        self._queue: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for a thread."""
        return len(self._queue)

    async def run(
        self,
        work: Callable[[], T],
        hung_up: Callable[[], Coroutine[None, None, None]] | None = None,
        *,
        owner: str = "",
    ) -> T:
        """Run ``work`` in a thread, and return what it returns.

        Args:
            work: what to do.
            hung_up: returns when the client hangs up; asked only while the work has to wait.
            owner: who asks for it, where everybody may have so much only.

        Raises:
            Throttled: if too many wait already, its turn comes too late, or the owner has too much in work.
            HungUp: if the client doesn't wait so long.
        """
        if self._places is None:
            return await self._run(work, hung_up)
        self._places.take(owner)
        try:
            return await self._run(work, hung_up)
        finally:
            self._places.leave(owner)

    async def _run(self, work: Callable[[], T], hung_up: Callable[[], Coroutine[None, None, None]] | None) -> T:
        if self.running < self.threads:
            self.running += 1
        else:
            await self._turn(hung_up)
        begun = time.perf_counter()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self.seconds += time.perf_counter() - begun
            self._pass_on()

    async def _turn(self, hung_up: Callable[[], Coroutine[None, None, None]] | None) -> None:
        """Wait until a thread is handed on."""
        if self.waiting >= self._most_waiting:
            raise self._throttles.count(Cause.QUEUE)
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        watch = asyncio.ensure_future(hung_up()) if hung_up else None
        try:
            awaited = (turn, watch) if watch else (turn,)
            await asyncio.wait(awaited, timeout=self._patience, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if turn.done():
                self._pass_on()
            raise
        finally:
            if watch:
                watch.cancel()
            if not turn.done():
                self._queue.remove(turn)
        if turn.done():
            return
        if watch and watch.done():
            raise HungUp
        raise self._throttles.count(Cause.PATIENCE)

    def _pass_on(self) -> None:
        """Hand a thread to who has waited longest."""
        if self._queue:
            self._queue.popleft().set_result(None)
        else:
            self.running -= 1

    def close(self) -> None:
        """Let what runs end, and drop what waits."""
        self._executor.shutdown(cancel_futures=True)


class Gate:
    """Runs blocking work for the event loop, and counts the bytes of bodies, within bounds.

    Args:
        settings: threads, queue and timeout.

    Attributes:
        inference: what runs the models.
        quick: what only asks the database.
        door: what looks up who asks.
        probe: what operators ask, so that a full house can still say how it is.
        clips: what makes clips of recorded video, for minutes; one of each person's at once.
        stills: what takes a picture out of recorded video, for a second.
        checks: what looks for cameras, or at one that isn't read yet, for seconds.
        downloads: places of each person's for clips that are on their way to them.
        silent: what leaves no trace; no number tells of it.
        throttled: how often something was throttled, by cause.
        held_bytes: bytes of bodies in memory.
    """

    def __init__(self, settings: Server) -> None:
        self._throttles = _Throttles()
        self.inference = self._pool("inference", settings.workers or os.cpu_count() or 1, settings)
        self.quick = self._pool("quick", _QUICK_THREADS, settings)
        self.door = self._pool("door", _DOOR_THREADS, settings)
        self.probe = self._pool("probe", 1, settings)
        self.clips = self._pool("clips", _CLIP_THREADS, settings, _CLIPS_EACH)
        self.stills = self._pool("stills", _STILL_THREADS, settings, _STILLS_EACH)
        self.checks = self._pool("checks", _CHECK_THREADS, settings, _CHECKS_EACH)
        self.downloads = Places(_DOWNLOADS_EACH, self._throttles)
        self.silent = Pool("silent", _SILENT_THREADS, settings, _Throttles())
        self.held_bytes = 0
        self._shares: dict[str, int] = {}

    def _pool(self, name: str, threads: int, settings: Server, each: int = 0) -> Pool:
        return Pool(name, threads, settings, self._throttles, each)

    @property
    def pools(self) -> tuple[Pool, ...]:
        """All pools that numbers tell of."""
        return self.inference, self.quick, self.door, self.probe, self.clips, self.stills, self.checks

    @property
    def waiting(self) -> int:
        """How many requests are in work or wait."""
        return sum(pool.running + pool.waiting for pool in self.pools)

    @property
    def throttled(self) -> dict[Cause, int]:
        """How often something was throttled, by cause."""
        return {cause: self._throttles[cause] for cause in Cause}

    def hold(self, owner: str, size: int) -> None:
        """Count bytes that a request of a caller's keeps in memory; :meth:`release` gives them back.

        Raises:
            Throttled: if all requests together, or this caller's, would keep too many.
        """
        share = self._shares.get(owner, 0) + size
        if share > _SHARE_BYTES:
            raise self._throttles.count(Cause.SHARE)
        if self.held_bytes + size > _HELD_BYTES:
            raise self._throttles.count(Cause.MEMORY)
        self._shares[owner] = share
        self.held_bytes += size

    def release(self, owner: str, size: int) -> None:
        """Give back what :meth:`hold` counted."""
        if not size:
            return
        self.held_bytes -= size
        self._shares[owner] -= size
        if not self._shares[owner]:
            del self._shares[owner]

    def close(self) -> None:
        """Let what runs end, and drop what waits."""
        for pool in (*self.pools, self.silent):
            pool.close()
