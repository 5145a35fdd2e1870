# SPDX-License-Identifier: Apache-2.0
"""Boards are read at fixed times, and what was shared and is over is deleted: in a thread of its own each.

When boards are read depends on nothing but the clock: not on what stands on them, nor on who looks.
"""

from __future__ import annotations

import threading
import time

import structlog

from custodes.app import App
from custodes.errors import CustodesError

__all__ = ["Boards"]

_log = structlog.get_logger("custodes.cameras")
_SWEEP_SECONDS = 60.0


class Boards:
    """Reads boards, and sweeps shares.

    Args:
        app: the installation.
        seconds: how often boards are read.
    """

    def __init__(self, app: App, seconds: float) -> None:
        self._app = app
        self._seconds = seconds
        self._stopped = threading.Event()
        self._threads = (
            threading.Thread(target=self._read, name="boards", daemon=True),
            threading.Thread(target=self._sweep, name="shares", daemon=True),
        )

    def start(self) -> None:
        """Begin, with a first reading of the boards."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, when what is under way is done; a board that is being read is left at that."""
        self._stopped.set()
        if self._threads[1].is_alive():
            self._threads[1].join()

    def _read(self) -> None:
        due = time.monotonic()
        while not self._stopped.is_set():
            try:
                self._app.boards.round()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next round comes when it would have come
                _log.error("reading boards failed", error=type(error).__name__)
            due = max(due + self._seconds, time.monotonic())  # rounds that were slept through are left out
            self._stopped.wait(due - time.monotonic())

    def _sweep(self) -> None:
        while not self._stopped.is_set():
            try:
                if gone := self._app.sharing.sweep():
                    _log.info("deleted packages that are over", count=gone)
            except CustodesError as error:
                _log.error("deleting packages failed", error=type(error).__name__, why=error.message)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next round tries it again
                _log.error("deleting packages failed", error=type(error).__name__)
            self._app.previews.sweep()
            self._stopped.wait(_SWEEP_SECONDS)
