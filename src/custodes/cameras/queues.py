# SPDX-License-Identifier: Apache-2.0
"""What the threads of a camera's process hand to one another; to put something in never waits.

Whoever records puts pictures in for whoever decodes, and everybody puts messages in for the server: neither may ever
hold up a recording, so what is too much is forgotten.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import BinaryIO

from custodes.cameras.wire import Init, Message, Moof, write_message

__all__ = ["Chores", "Outbox"]

_WAITING = 1 << 26  # bytes of pictures that wait for being decoded
_SENDING = 1 << 22  # bytes of live fragments that wait for being sent
_MOST_SAID = 10_000  # messages; the index is rebuilt from the files if some were lost


class Outbox:
    """Sends messages in their order, by a thread of its own; to put one in never waits."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._changed = threading.Condition()
        self._queue: deque[tuple[Message, bytes | memoryview]] = deque()
        self._live = 0
        self._closed = False

    def put(self, message: Message, payload: bytes | memoryview = b"") -> None:
        """Send a message."""
        with self._changed:
            if not self._closed and len(self._queue) < _MOST_SAID:
                self._queue.append((message, payload))
                self._changed.notify_all()

    def show(self, message: Init | Moof, payload: bytes) -> bool:
        """Send a part of the live view, unless too much of it waits; return whether it is sent."""
        with self._changed:
            if self._closed or self._live + len(payload) > _SENDING:
                return False
            self._live += len(payload)
            self._queue.append((message, payload))
            self._changed.notify_all()
            return True

    def run(self) -> None:
        """Send until it is closed, or nobody is there."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if not self._queue:
                    return
                message, payload = self._queue[0]
            try:
                write_message(self._stream, message, payload)
            except (OSError, ValueError):  # the server is gone
                self.close(0)
                return
            with self._changed:
                if self._queue:
                    self._queue.popleft()
                if isinstance(message, Init | Moof):
                    self._live -= len(payload)
                self._changed.notify_all()

    def close(self, timeout: float) -> None:
        """Take no more messages, and wait until those that there are have gone."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            if timeout:
                self._changed.wait_for(lambda: not self._queue, timeout)
            self._queue.clear()


class Chores:
    """What is to be done with pictures, in order; if too much waits, all of it is forgotten."""

    def __init__(self, forgotten: Callable[[], None]) -> None:
        self._forgotten = forgotten
        self._changed = threading.Condition()
        self._queue: deque[tuple[Callable[[], None], int]] = deque()
        self._bytes = 0
        self._closed = False

    def put(self, chore: Callable[[], None], size: int = 0, *, soon: bool = True) -> None:
        """Let something be done that keeps so many bytes; or, if not ``soon``, when anything else is."""
        with self._changed:
            if self._bytes + size > _WAITING:
                self._queue.clear()
                self._bytes = 0
                self._queue.append((self._forgotten, 0))
            self._queue.append((chore, size))
            self._bytes += size
            if soon:
                self._changed.notify()

    def run(self) -> None:
        """Do what there is to do until it is closed."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if self._closed:
                    return
                chore, size = self._queue.popleft()
                self._bytes -= size
            chore()

    def close(self) -> None:
        """Do no more."""
        with self._changed:
            self._closed = True
            self._changed.notify()
