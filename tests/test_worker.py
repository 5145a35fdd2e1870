# SPDX-License-Identifier: Apache-2.0
"""The server erases what is due by itself, and tells of alarms in its log."""

from __future__ import annotations

import time
from pathlib import Path

import orjson
import structlog

from custodes.app import App
from custodes.config import Config
from custodes.errors import Unavailable
from custodes.governance import OPERATOR, Caller, ConsentKind, Purpose
from custodes.worker import Housekeeper, notify

ME = Caller(OPERATOR, Purpose.PHOTO_LIBRARY, provenance="own")
PHOTO = Path(__file__).parent / "data" / "obama_1.jpg"
SECONDS = 20.0


def _waited_for(what) -> bool:
    deadline = time.monotonic() + SECONDS
    while not what() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(what())


def test_what_is_due_goes_by_itself(tmp_path: Path) -> None:
    """At the start, and again from time to time; an error doesn't end it."""
    app = App.open(Config(data=tmp_path))
    app.collections.create(ME, "album", {})
    consent = app.grounds.consent(
        ME,
        ConsentKind.EXPLICIT,
        collection="album",
        external_image_id="ann",
        purposes=[Purpose.PHOTO_LIBRARY],
        document_hash="ab" * 32,
        days=9,
    )
    app.faces.index(ME, "album", PHOTO.read_bytes(), external_image_id="ann")
    housekeeper = Housekeeper(app, 0.05)
    runs = iter([Unavailable("The database is busy.")])
    run = type(app.erasure).run_retention

    def failing_once() -> int:
        for error in runs:
            raise error
        return run(app.erasure)

    app.erasure.run_retention = failing_once  # type: ignore[method-assign]
    with structlog.testing.capture_logs() as told:
        housekeeper.start()
        app.grounds.withdraw(ME, consent.id)
        assert _waited_for(lambda: app.collections.enrolled().faces == 0)
        housekeeper.stop()
    assert [(t["event"], t.get("why"), t.get("references")) for t in told] == [
        ("erasing what is due failed", "The database is busy.", None),
        ("erased what was due", None, 1),
    ]
    app.close()


def test_alarms_are_logged_without_names() -> None:
    """Kind and id, as custodes alarms list has them."""
    with structlog.testing.capture_logs() as told:
        notify("tracking", "alarm-0123456789abcdef")
    assert orjson.loads(orjson.dumps(told)) == [
        {"event": "alarm to oversight", "kind": "tracking", "alarm": "alarm-0123456789abcdef", "log_level": "warning"}
    ]
