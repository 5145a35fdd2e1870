# SPDX-License-Identifier: Apache-2.0
"""News of cameras, told to whoever listens: MQTT, webhooks.

Who tells never waits and never fails: each listener has a thread and queues of its own, and one that is too slow loses
the oldest of the longest. Each organisation has a queue, and one more of what must not be lost for whatever a camera
does: that somebody came with an order, or has fetched what was shared. So nobody's news cost another's. Nothing is kept
across a restart.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

import structlog

from custodes.cameras.model import News, NewsKind
from custodes.errors import Conflict

__all__ = ["Announcer"]

_log = structlog.get_logger("custodes.cameras")
_MOST_WAITING = 200
"""News that wait for one listener; a picture has some hundred thousand bytes."""
_NOTICES = {NewsKind.LEGAL_PROCESS, NewsKind.SHARE_FETCHED}


class _Queues:
    """News that wait, by organisation, notices apart; each queue gets its turn."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0
        self._queues: dict[tuple[str, bool], deque[News]] = {}

    def __bool__(self) -> bool:
        return bool(self._queues)

    def put(self, news: News) -> bool:
        """Add news; tell whether others were lost for them, the oldest of the longest queue."""
        self._queues.setdefault((news.organisation, news.kind in _NOTICES), deque()).append(news)
        self._count += 1
        if self._count <= self._most:
            return False
        longest = max(self._queues, key=lambda k: (len(self._queues[k]), not k[1]))
        self._take(longest)
        return True

    def pop(self) -> News:
        """Return the oldest of the queue whose turn it is."""
        key = next(iter(self._queues))
        news = self._take(key)
        if key in self._queues:
            self._queues[key] = self._queues.pop(key)  # the others' turn first
        return news

    def _take(self, key: tuple[str, bool]) -> News:
        queue = self._queues[key]
        self._count -= 1
        news = queue.popleft()
        if not queue:
            del self._queues[key]
        return news


class _Sink:
    """A listener, its queues and its thread."""

    def __init__(self, name: str, sink: Callable[[News], None], most: int) -> None:
        self.name = name
        self.lost = 0
        self._sink = sink
        self._waiting = _Queues(most)
        self._changed = threading.Condition()
        self._closed = False
        self._losing = False
        self._thread = threading.Thread(target=self._run, name=f"news {name}", daemon=True)
        self._thread.start()

    def put(self, news: News) -> None:
        with self._changed:
            if self._closed:
                return
            full = self._waiting.put(news)
            self.lost += full
            begins, self._losing = full and not self._losing, full
            self._changed.notify()
        if begins:
            _log.warning("news are lost: a listener is too slow", listener=self.name, lost=self.lost)

    def close(self, until: float) -> None:
        """Let it hear what waits, until a time of the monotonic clock."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    if self._closed:
                        return
                    self._changed.wait()
                news = self._waiting.pop()
            try:
                self._sink(news)
            except Exception as error:  # noqa: BLE001 - whatever ails a listener, it hears what comes next
                _log.error("a listener failed", listener=self.name, news=str(news.kind), error=type(error).__name__)


class Announcer:
    """Tells news.

    Args:
        most: news that wait for each listener.
    """

    def __init__(self, most: int = _MOST_WAITING) -> None:
        self._most = most
        self._sinks: dict[str, _Sink] = {}
        self._lock = threading.Lock()

    def add_sink(self, name: str, sink: Callable[[News], None]) -> None:
        """Let somebody hear all news from now on, in a thread of their own, in order, organisation by organisation.

        Args:
            name: what logs call the listener.
            sink: is called with each; what it raises is logged.

        Raises:
            Conflict: if there is a listener of this name.
        """
        with self._lock:
            if name in self._sinks:
                raise Conflict(f"There is a listener {name} already.")
            self._sinks = self._sinks | {name: _Sink(name, sink, self._most)}

    def tell(self, news: News) -> None:
        """Tell everybody, without waiting for anybody; after :meth:`close` nobody hears it."""
        for sink in self._sinks.values():
            sink.put(news)

    def lost(self) -> dict[str, int]:
        """Return how many news each listener has lost."""
        return {name: sink.lost for name, sink in self._sinks.items()}

    def close(self, timeout: float = 2.0) -> None:
        """Let the listeners hear what waits, for at most so many seconds, and end."""
        until = time.monotonic() + timeout
        for sink in self._sinks.values():
            sink.close(until)
