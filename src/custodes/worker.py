# SPDX-License-Identifier: Apache-2.0
"""What the server does beside answering: erasing what is due, at its start and then from time to time."""

from __future__ import annotations

import threading

import structlog

from custodes.app import App
from custodes.errors import CustodesError

__all__ = ["Housekeeper", "notify"]

_log = structlog.get_logger("custodes.worker")


def notify(kind: str, alarm: str) -> None:
    """Tell the server's log of an alarm to oversight."""
    _log.warning("alarm to oversight", kind=kind, alarm=alarm)


class Housekeeper:
    """Erases what is due, in a thread of its own.

    Args:
        app: the installation.
        seconds: how often.
    """

    def __init__(self, app: App, seconds: float) -> None:
        self._app = app
        self._seconds = seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeper", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, when what is under way is done."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                gone = self._app.erasure.run_retention()
            except CustodesError as error:  # it is tried again; what is due stays due
                _log.error("erasing what is due failed", error=type(error).__name__, why=error.message)
            else:
                if gone:
                    _log.info("erased what was due", references=gone)
            self._stopped.wait(self._seconds)
