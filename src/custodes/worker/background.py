# SPDX-License-Identifier: Apache-2.0
"""Erasing what is due, imports that wait, and standing searches.

Each thread goes on whatever happens to one thing or in one round: what nobody has foreseen is told and tried again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from custodes.app import App
from custodes.errors import Conflict, CustodesError

__all__ = ["Housekeeper", "Importer", "notify"]

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
        app = self._app
        while not self._stopped.is_set():
            gone = _tried(lambda: app.erasure.run_retention(), "erasing what is due failed")
            cases = _tried(lambda: app.casework.cases.run_retention(), "erasing what is due failed")
            if gone or cases:
                _log.info("erased what was due", references=gone, cases=cases)
            self._stopped.wait(self._seconds)


def _tried(work: Callable[[], int], failed: str) -> int:
    """Do a part of a round, and return how much that was; 0 if it failed, for then the next round tries it again."""
    try:
        return work()
    except CustodesError as error:
        _log.error(failed, error=type(error).__name__, why=error.message)
    except Exception as error:  # noqa: BLE001 - whatever it is, the rest goes on; its text may tell of people
        _log.error(failed, error=type(error).__name__)
    return 0


class Importer:
    """Works on imports that nobody works on, then makes standing searches again, in a thread of its own.

    Args:
        app: the installation.
        seconds: how often to look for some.
    """

    def __init__(self, app: App, seconds: float) -> None:
        self._app = app
        self._seconds = seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="importer", daemon=True)

    def start(self) -> None:
        """Begin, by removing what is left of uploads: of a process that was killed, or of a case that is erased."""
        self._thread.start()

    def stop(self) -> None:
        """End, when the images that are being looked at are done; the import waits for the next start."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._round()
            self._stopped.wait(self._seconds)

    def _round(self) -> None:
        work = self._app.casework
        if left := _tried(lambda: work.imports.sweep(), "removing what uploads had left failed"):
            _log.info("removed what uploads had left", files=left)
        if abandoned := _tried(lambda: work.searches.abandon_runs(), "looking for runs that nobody makes failed"):
            _log.info("stopped runs that nobody makes any more", count=abandoned)
        _tried(self._imports, "looking for imports failed")
        if self._stopped.is_set():
            return
        if made := _tried(lambda: work.standing.run_standing(_standing_failed), "standing searches failed"):
            _log.info("made standing searches again", count=made)

    def _imports(self) -> int:
        for import_id in self._app.casework.imports.pending():
            if not self._stopped.is_set():
                self._go_on(import_id)
        return 0

    def _go_on(self, import_id: str) -> None:
        try:
            found = self._app.casework.imports.go_on(import_id, halted=self._stopped.is_set)
        except Conflict:
            return  # another was faster
        except CustodesError as error:
            _log.error("an import has to wait", id=import_id, error=type(error).__name__, why=error.message)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and the other imports go on
            _log.error("an import failed", id=import_id, error=type(error).__name__)
        else:
            if found is not None:
                counts = {str(o): n for o, n in found.counts.items()}
                _log.info("worked on an import", id=import_id, state=str(found.state), **counts)


def _standing_failed(standing: str, error: Exception) -> None:
    _log.error("a standing search failed", id=standing, error=type(error).__name__)
