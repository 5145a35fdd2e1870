# SPDX-License-Identifier: Apache-2.0
"""Carries messages to webhooks, and tries again those that didn't arrive.

What waits for another attempt is in memory alone: bounded, in order, and gone with the process. A webhook that fails
holds nobody else up.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass, field, replace

import structlog

from custodes.cameras.hooks import Hook
from custodes.cameras.reach import Reach
from custodes.cameras.webhooks import LONGEST_REST, Message, Outcome, attempt, probe
from custodes.errors import Unavailable

__all__ = ["Courier", "HookState"]

_log = structlog.get_logger("custodes.cameras")
_GONE = 410


@dataclass(frozen=True, slots=True)
class HookState:
    """How a webhook does, since this process began.

    Attributes:
        last: what became of the last attempt, or None.
        failures: attempts that failed since one succeeded.
        waiting: messages that wait.
        lost: messages that were given up.
        gone: whether the other side said that it wants no more (status 410): nothing is sent until a test succeeds.
    """

    last: Outcome | None = None
    failures: int = 0
    waiting: int = 0
    lost: int = 0
    gone: bool = False


@dataclass(eq=False, slots=True)
class _Line:
    """A webhook and what waits for it; the courier's thread alone changes it."""

    hook: Hook
    waiting: deque[Message]
    state: HookState = field(default_factory=HookState)
    failing_since: float = 0.0
    told: bool = False
    task: asyncio.Task[None] | None = None

    def lose(self, lost: int) -> None:
        self.state = replace(self.state, lost=self.state.lost + lost, waiting=len(self.waiting))


class Courier:
    """Carries messages to webhooks, in order for each, from a thread of its own that begins with the first.

    Args:
        reach: judges addresses.
        timeout: seconds that an attempt takes at most.
        delays: seconds after which it is tried again; the last for all others.
        lasts: seconds after which a message is given up.
        most: messages that wait for one webhook; the oldest are given up.
        alarm: seconds of failures after which somebody is told.
        verify: checks certificates; by default with what this machine trusts.
    """

    def __init__(
        self,
        reach: Reach,
        *,
        timeout: float = 10.0,
        delays: tuple[float, ...] = (5.0, 30.0, 120.0, LONGEST_REST),
        lasts: float = 7200.0,
        most: int = 100,
        alarm: float = 86_400.0,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        self._reach = reach
        self._timeout = timeout
        self._delays = delays
        self._lasts = lasts
        self._most = most
        self._alarm = alarm
        self._verify = verify or ssl.create_default_context()
        self._lines: dict[str, _Line] = {}
        self._failing: Callable[[Hook], None] = lambda hook: None
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closing = asyncio.Event()
        self._closed = False

    def on_failing(self, told: Callable[[Hook], None]) -> None:
        """Have somebody told, who may not take long, when a webhook has failed for too long, or wants no more."""
        self._failing = told

    def send(self, hook: Hook, message: Message) -> None:
        """Send a message as soon as may be; never waits."""
        with self._lock:
            loop = self._running()
            if loop is not None:
                loop.call_soon_threadsafe(self._put, hook, message)

    def test(self, hook: Hook) -> Outcome:
        """Send a message of type ``test`` once, now, and return what became of it.

        Raises:
            Unavailable: if the courier is closed.
        """
        with self._lock:
            loop = self._running()
            if loop is None:
                raise Unavailable("The server is closing.")
            testing = asyncio.run_coroutine_threadsafe(self._test(hook), loop)
        try:
            return testing.result(self._timeout + 2.0)
        except (CancelledError, TimeoutError) as e:
            raise Unavailable("The server is closing.") from e

    def state(self, hook_id: str) -> HookState:
        """Return how a webhook does."""
        line = self._lines.get(hook_id)
        return HookState() if line is None else line.state

    def forget(self, hook_id: str) -> None:
        """Drop what waits for a webhook that is removed."""
        with self._lock:
            if self._loop is not None and not self._closed:
                self._loop.call_soon_threadsafe(self._drop, hook_id)

    def close(self, timeout: float = 2.0) -> None:
        """Let first attempts end, for at most so many seconds; whatever waits for another is lost."""
        with self._lock:
            if self._loop is None or self._thread is None or self._closed:
                self._closed = True
                return
            self._closed = True
            asyncio.run_coroutine_threadsafe(self._end(timeout), self._loop)
        self._thread.join(timeout + 1.0)

    # --- in its own thread ---

    def _running(self) -> asyncio.AbstractEventLoop | None:
        """Return the thread's loop, which this begins; None after the end. The lock is held."""
        if self._closed:
            return None
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._run, args=(self._loop,), name="webhooks", daemon=True)
            self._thread.start()
        return self._loop

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            loop.close()

    def _put(self, hook: Hook, message: Message) -> None:
        line = self._lines.get(hook.id)
        if line is None:
            line = self._lines[hook.id] = _Line(hook, deque(maxlen=self._most))
        full = len(line.waiting) == self._most
        if not line.state.gone:
            line.waiting.append(message)
        line.lose(int(full or line.state.gone))
        if line.task is None and line.waiting:
            line.task = asyncio.ensure_future(self._serve(line))

    def _drop(self, hook_id: str) -> None:
        line = self._lines.pop(hook_id, None)
        if line is not None and line.task is not None:
            line.task.cancel()

    async def _serve(self, line: _Line) -> None:
        """Carry what waits for a webhook, until nothing does."""
        try:
            while line.waiting and not self._closing.is_set():
                message = line.waiting.popleft()
                while not await self._carried(line, message):
                    if await self._rested(line):
                        return
        finally:
            line.task = None

    async def _carried(self, line: _Line, message: Message) -> bool:
        """Try once; return whether that is the end of it, one way or another."""
        if time.monotonic() - message.made > self._lasts:
            line.lose(1)
            return True
        outcome = await attempt(line.hook, message, self._reach, self._verify, self._timeout)
        self._judge(line, outcome)
        if line.state.gone:
            given_up = 1 + len(line.waiting)
            line.waiting.clear()
            line.lose(given_up)
        return outcome.done or line.state.gone

    async def _rested(self, line: _Line) -> bool:
        """Rest before another attempt; return whether there will be none, since all ends."""
        rest = self._delays[min(line.state.failures, len(self._delays)) - 1]
        if line.state.last is not None:
            rest = max(rest, line.state.last.rest)
        try:
            await asyncio.wait_for(self._closing.wait(), rest * random.uniform(1.0, 1.2))  # noqa: S311 - no secret
        except TimeoutError:
            return False
        return True

    async def _test(self, hook: Hook) -> Outcome:
        outcome = await attempt(hook, probe(hook.organisation), self._reach, self._verify, self._timeout)
        line = self._lines.get(hook.id)
        if line is not None and outcome.done:
            self._judge(line, outcome)
        return outcome

    def _judge(self, line: _Line, outcome: Outcome) -> None:
        """Note what became of an attempt, and have somebody told of too many that failed."""
        state, now = line.state, time.monotonic()
        if outcome.done:
            line.told = False
            line.state = replace(state, last=outcome, failures=0, gone=False, waiting=len(line.waiting))
            return
        if state.failures == 0:
            line.failing_since = now
        gone = outcome.status == _GONE
        line.state = replace(
            state, last=outcome, failures=state.failures + 1, gone=gone, waiting=len(line.waiting) + (not gone)
        )
        if not line.told and (gone or now - line.failing_since >= self._alarm):
            line.told = True
            _log.warning("a webhook fails", hook=line.hook.id, why=outcome.code, status=outcome.status)
            self._failing(line.hook)

    async def _end(self, timeout: float) -> None:
        """Let tasks end that are about to, cancel the others, and stop."""
        self._closing.set()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=timeout)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        asyncio.get_running_loop().stop()
