# SPDX-License-Identifier: Apache-2.0
"""Loading models and indexes in the background of a server that starts, and what became of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import StrEnum

import structlog

__all__ = ["WarmUp", "Warmth"]


class Warmth(StrEnum):
    """How far it is."""

    COLD = "cold"
    WARMING = "warming"
    WARM = "warm"
    FAILED = "failed"  # the first request that needs it tries again, and tells what is wrong


class WarmUp:
    """A thread that does the loading once.

    Args:
        load: loads everything.
    """

    def __init__(self, load: Callable[[], None]) -> None:
        self._load = load
        self.state = Warmth.COLD

    def start(self) -> None:
        """Begin; the process may end meanwhile."""
        self.state = Warmth.WARMING
        threading.Thread(target=self._run, name="warm-up", daemon=True).start()

    def _run(self) -> None:
        try:
            self._load()
        except Exception:  # noqa: BLE001 - the end of a thread: whatever fails is logged, and told by the state
            self.state = Warmth.FAILED
            structlog.get_logger("custodes.api").exception("warm-up failed")
        else:
            self.state = Warmth.WARM
