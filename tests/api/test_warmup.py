# SPDX-License-Identifier: Apache-2.0
"""Loading in the background, and what is told of it."""

from __future__ import annotations

import threading
import time

from structlog.testing import capture_logs

from custodes.api.warmup import Warmth, WarmUp
from custodes.errors import Unavailable


def ended(warm_up: WarmUp) -> Warmth:
    """Wait for the end."""
    deadline = time.monotonic() + 5
    while warm_up.state is Warmth.WARMING and time.monotonic() < deadline:
        time.sleep(0.005)
    return warm_up.state


def test_state_follows_the_loading() -> None:
    """It is cold, warming while it loads, and warm in the end."""
    go = threading.Event()
    warm_up = WarmUp(lambda: go.wait(5) or None)
    assert warm_up.state is Warmth.COLD
    warm_up.start()
    assert warm_up.state is Warmth.WARMING
    go.set()
    assert ended(warm_up) is Warmth.WARM


def test_failure_is_told_and_logged() -> None:
    """What can't be loaded is no secret of a thread's."""

    def fail() -> None:
        raise Unavailable("There is no such pack.")

    with capture_logs() as logs:
        warm_up = WarmUp(fail)
        warm_up.start()
        assert ended(warm_up) is Warmth.FAILED
        time.sleep(0.05)
    assert [line["event"] for line in logs] == ["warm-up failed"]
