# SPDX-License-Identifier: Apache-2.0
"""How much happens at once: two thread pools behind a bounded queue.

Inference gets as many threads as there are cores (the models release the interpreter lock); whatever only asks the
database has threads of its own, so that it doesn't wait behind photos. What doesn't fit into the queue, or would
hold too many bytes in memory, is refused at once; what waited too long is refused without being begun.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from custodes.config import Server
from custodes.errors import Code, Throttled

__all__ = ["Gate"]

T = TypeVar("T")

_QUICK_THREADS = 8
_HELD_BYTES = 512 * 2**20  # request bodies in memory, of all requests together


def _overload() -> Throttled:
    return Throttled("Too many requests wait.", remedy="Try again later.", code=Code.OVERLOAD)


class Gate:
    """Runs blocking work for the event loop, within bounds.

    Args:
        settings: threads, queue and timeout.
    """

    def __init__(self, settings: Server) -> None:
        self.inference_threads = settings.workers or os.cpu_count() or 1
        self._inference = ThreadPoolExecutor(self.inference_threads, thread_name_prefix="inference")
        self._quick = ThreadPoolExecutor(_QUICK_THREADS, thread_name_prefix="quick")
        self._queue = settings.queue
        self._timeout = settings.timeout
        self.waiting = 0
        self.held_bytes = 0

    def hold(self, size: int) -> None:
        """Count bytes that a request keeps in memory; :meth:`release` gives them back.

        Raises:
            Throttled: if all requests together would keep too many.
        """
        if self.held_bytes + size > _HELD_BYTES:
            raise _overload()
        self.held_bytes += size

    def release(self, size: int) -> None:
        """Give back what :meth:`hold` counted."""
        self.held_bytes -= size

    async def run(self, work: Callable[[], T], *, inference: bool) -> T:
        """Run ``work`` in a thread, and return what it returns.

        Args:
            work: what to do.
            inference: whether it runs models.

        Raises:
            Throttled: if too many wait already, or its turn comes too late.
        """
        if self.waiting >= self._queue:
            raise _overload()
        deadline = time.monotonic() + self._timeout

        def begin() -> T:
            if time.monotonic() > deadline:
                raise _overload()
            return work()

        self.waiting += 1
        try:
            pool = self._inference if inference else self._quick
            return await asyncio.get_running_loop().run_in_executor(pool, begin)
        finally:
            self.waiting -= 1

    def close(self) -> None:
        """Let what runs end, and drop what waits."""
        self._inference.shutdown(cancel_futures=True)
        self._quick.shutdown(cancel_futures=True)
