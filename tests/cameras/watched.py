# SPDX-License-Identifier: Apache-2.0
"""A running camera's process and all that it has said, for tests that wait for it to say something."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from custodes.cameras.process import CameraProcess
from custodes.cameras.wire import Begin, Frame, Message
from custodes.errors import CustodesError

__all__ = ["CAMERA", "Watched", "begin"]

CAMERA = "cam-00c0ffee00c0ffee"
_M = TypeVar("_M", bound=Message)


def begin(url: str, folder: Path | None = None, **changes: object) -> Begin:
    """Return what a camera's process is told; segments of a second, below ``folder``/CAMERA if there is one."""
    own = "" if folder is None else str(folder / CAMERA)
    told = Begin(CAMERA, url, "", own, [], [], 1.0, 5.0, 0, 40_000_000, "")
    return replace(told, **changes)


class Watched:
    """Runs a process and collects its messages; use it with ``with``.

    Args:
        told: what it is to do.
        credit: frames that it may send; each that comes gives one more.
    """

    def __init__(self, told: Begin, credit: int = 2) -> None:
        self.process = CameraProcess(told)
        self.said: list[tuple[float, Message, bytes]] = []
        self.error: CustodesError | None = None
        self._credit = credit
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self.process.start()
        for _ in range(self._credit):
            self.process.credit()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """End it; all that it has said is there."""
        self.process.stop(5)
        self._thread.join()

    def of(self, kind: type[_M], after: float = 0.0) -> list[_M]:
        """Return the messages of a kind that came after a time (of ``time.monotonic``)."""
        return [m for at, m, _ in self.said if isinstance(m, kind) and at > after]

    def payloads(self, kind: type[Message]) -> list[bytes]:
        """Return the bytes of the messages of a kind."""
        return [payload for _, m, payload in self.said if isinstance(m, kind)]

    def wait(
        self,
        kind: type[_M],
        timeout: float = 10.0,
        *,
        after: float = 0.0,
        where: Callable[[_M], bool] = lambda _: True,
    ) -> _M:
        """Return the first message of a kind that came after a time, waiting for it."""
        found: list[_M] = []

        def there() -> bool:
            found[:] = [m for m in self.of(kind, after) if where(m)]
            return bool(found) or not self._thread.is_alive()

        with self._changed:
            self._changed.wait_for(there, timeout)
        assert found, f"no {kind.__name__} in {timeout} s; {[type(m).__name__ for _, m, _ in self.said]}"
        return found[0]

    def wait_for_end(self, timeout: float = 10.0) -> None:
        """Return when it has ended by itself."""
        self._thread.join(timeout)
        assert not self._thread.is_alive()

    def _listen(self) -> None:
        try:
            for message, payload in self.process.messages():
                with self._changed:
                    self.said.append((time.monotonic(), message, payload))
                    self._changed.notify_all()
                if isinstance(message, Frame):
                    self.process.credit()
        except CustodesError as error:
            self.error = error
        with self._changed:
            self._changed.notify_all()
