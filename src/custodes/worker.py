# SPDX-License-Identifier: Apache-2.0
"""What the server does beside answering: erasing what is due, imports that wait, and standing searches."""

from __future__ import annotations

import threading

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
        while not self._stopped.is_set():
            try:
                gone = self._app.erasure.run_retention()
                cases = self._app.casework.cases.run_retention()
            except CustodesError as error:  # it is tried again; what is due stays due
                _log.error("erasing what is due failed", error=type(error).__name__, why=error.message)
            else:
                if gone or cases:
                    _log.info("erased what was due", references=gone, cases=cases)
            self._stopped.wait(self._seconds)


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
        imports = self._app.casework.imports
        while not self._stopped.is_set():
            try:
                if left := imports.sweep():
                    _log.info("removed what uploads had left", files=left)
                for import_id in imports.pending():
                    if not self._stopped.is_set():
                        self._go_on(import_id)
                if made := self._app.casework.standing.run_standing():
                    _log.info("made standing searches again", count=made)
            except CustodesError as error:  # it is tried again
                _log.error("looking for imports failed", error=type(error).__name__, why=error.message)
            self._stopped.wait(self._seconds)

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
