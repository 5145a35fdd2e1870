# SPDX-License-Identifier: Apache-2.0
"""News wait in queues, so that whoever has much to tell costs nobody else a word."""

from __future__ import annotations

import threading

import structlog

from custodes.cameras.model import News, NewsKind
from custodes.operations.announcing import Announcer


def heard(most: int, *told: News) -> list[News]:
    """Return what a listener hears that was busy while all of it was told."""
    announcer, found = Announcer(most), []
    begun, free = threading.Event(), threading.Event()

    def listen(news: News) -> None:
        begun.set()
        free.wait(5)
        found.append(news)

    announcer.add_sink("busy", listen)
    announcer.tell(News(NewsKind.STILL, "first", 0))
    assert begun.wait(5)
    with structlog.testing.capture_logs():
        for news in told:
            announcer.tell(news)
    free.set()
    announcer.close(5)
    return found[1:]


def test_a_camera_that_tells_too_much_costs_its_own_news_alone() -> None:
    """Not another organisation's, and not that somebody has come with an order or fetched what was shared."""
    order, fetched = News(NewsKind.LEGAL_PROCESS, "a", 1), News(NewsKind.SHARE_FETCHED, "a", 2)
    other = News(NewsKind.MOTION, "b", 3)
    flood = [News(NewsKind.MOTION, "a", 10 + n) for n in range(50)]
    found = heard(6, order, other, fetched, *flood)
    assert sorted(n.at for n in found) == [1, 2, 3, 57, 58, 59]
    assert [n.at for n in found if n.kind == NewsKind.MOTION and n.organisation == "a"] == [57, 58, 59]


def test_each_organisation_has_its_turn() -> None:
    """Who has told one thing isn't behind all that another has told before."""
    flood = [News(NewsKind.MOTION, "a", n) for n in range(4)]
    assert [n.at for n in heard(9, *flood, News(NewsKind.MOTION, "b", 9))] == [0, 9, 1, 2, 3]
