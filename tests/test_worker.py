# SPDX-License-Identifier: Apache-2.0
"""The server erases what is due by itself, and tells of alarms in its log."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
import orjson
import structlog

from custodes.app import App
from custodes.casework import ImportState, ItemOutcome
from custodes.config import Config
from custodes.errors import Unavailable
from custodes.governance import OPERATOR, Caller, ConsentKind, OrgClass, Purpose, Role
from custodes.operations.imports import SourceKind
from custodes.worker import Housekeeper, Importer, notify

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


def _case(app: App) -> tuple[Caller, str]:
    """Let a rescuer open a case."""
    rescue = app.people.add_organisation(ME, "Rescue", OrgClass.VICTIM_RESCUE, "US-CA").id
    cara = app.people.add(ME, rescue, "cara@example.org", "Cara", [Role.ADMIN, Role.USER]).id
    caller = Caller(cara, Purpose.MISSING_PERSON)
    return caller, app.casework.cases.open(caller, Purpose.MISSING_PERSON, "Lena").id


def test_imports_that_wait_are_worked_on(tmp_path: Path) -> None:
    """An upload and a folder, one after another; what a killed upload left goes at the start, and no name is logged."""
    app = App.open(Config(data=tmp_path / "data"))
    caller, case = _case(app)
    told = {"provenance": "case-file", "basis": "Art. 9", "source": "Mr Meyer"}
    imports = app.casework.imports
    first = imports.spool(caller, case, [PHOTO.read_bytes()], name="lena.jpg", **told)
    second = imports.begin(caller, case, SourceKind.FOLDER, str(PHOTO.parent), **told)
    (tmp_path / "empty").mkdir()
    third = imports.begin(caller, case, SourceKind.FOLDER, str(tmp_path / "empty"), **told)
    (app.config.spool / "imp-left").write_bytes(b"of a process that was killed")
    importer = Importer(app, 0.05)
    failing = iter([ZeroDivisionError(), Unavailable("The bucket is away.")])
    go_on = type(imports).go_on

    def failing_first(import_id: str, **more) -> object:
        for error in failing:
            raise error
        return go_on(imports, import_id, **more)

    imports.go_on = failing_first  # type: ignore[method-assign]
    with structlog.testing.capture_logs() as logged:
        importer.start()
        assert _waited_for(lambda: all(i.state == ImportState.DONE for i in imports.list(caller, case)))
        importer.stop()
    done = [imports.get(caller, i.id) for i in (first, second, third)]
    assert [d.state for d in done] == [ImportState.DONE] * 3
    assert done[1].counts[ItemOutcome.DUPLICATE] == 1
    assert list(app.config.spool.iterdir()) == []
    assert logged[0]["event"] == "removed what uploads had left"
    assert [e["event"] for e in logged[1:3]] == ["an import failed", "an import has to wait"]
    assert [e["state"] for e in logged if e["event"] == "worked on an import"] == ["done"] * 3
    assert not any(word in str(logged) for word in ("lena", "Meyer", str(PHOTO.parent)))
    app.close()


def test_an_import_waits_for_the_next_start(tmp_path: Path) -> None:
    """Ending the worker ends with the images that are being looked at."""
    app = App.open(Config(data=tmp_path / "data"))
    caller, case = _case(app)
    (tmp_path / "photos").mkdir()
    for n in range(200):
        (tmp_path / "photos" / f"{n}.png").write_bytes(
            cv2.imencode(".png", np.full((90, 90, 3), n, np.uint8))[1].tobytes()
        )
    told = {"provenance": "case-file", "basis": "Art. 9", "source": "Mr Meyer"}
    imports = app.casework.imports
    made = imports.begin(caller, case, SourceKind.FOLDER, str(tmp_path / "photos"), **told)
    Importer(app, 0.05).stop()  # one that was never started
    importer = Importer(app, 0.05)
    importer.start()
    assert _waited_for(lambda: imports.get(caller, made.id).counts)
    importer.stop()
    halted = imports.get(caller, made.id)
    assert halted.state == ImportState.WAITING
    assert 0 < halted.counts[ItemOutcome.IMPORTED] < 200
    again = Importer(app, 0.05)
    again.start()
    assert _waited_for(lambda: imports.get(caller, made.id).state == ImportState.DONE)
    again.stop()
    assert imports.get(caller, made.id).counts == {ItemOutcome.IMPORTED: 200}
    app.close()


def test_nothing_unforeseen_ends_a_thread(tmp_path: Path) -> None:
    """What is raised by one thing is told by its type alone, keeps no other from being done, and rounds go on."""
    app = App.open(Config(data=tmp_path))
    rounds: list[str] = []

    def failing(name: str):
        def run(*_: object) -> int:
            rounds.append(name)
            raise ValueError("Lena")

        return run

    app.erasure.run_retention = failing("erasing")  # type: ignore[method-assign]
    app.casework.cases.run_retention = lambda: rounds.append("cases") or 0  # type: ignore[method-assign]
    app.casework.standing.run_standing = failing("searching")  # type: ignore[method-assign]
    app.casework.imports.sweep = failing("sweeping")  # type: ignore[method-assign]
    app.casework.imports.pending = failing("importing")  # type: ignore[method-assign]
    workers = (Housekeeper(app, 0.02), Importer(app, 0.02))
    with structlog.testing.capture_logs() as told:
        for worker in workers:
            worker.start()
        assert _waited_for(lambda: all(rounds.count(n) > 1 for n in ("erasing", "cases", "sweeping", "searching")))
        for worker in workers:
            worker.stop()
    assert {(t["event"], t["error"]) for t in told} == {
        ("erasing what is due failed", "ValueError"),
        ("removing what uploads had left failed", "ValueError"),
        ("looking for imports failed", "ValueError"),
        ("standing searches failed", "ValueError"),
    }
    assert "Lena" not in str(told)
    app.close()
