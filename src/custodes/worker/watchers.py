# SPDX-License-Identifier: Apache-2.0
"""The server's cameras: a process and a thread for each that is enabled, begun again whenever it ends.

Settings that change, cameras that are added and cameras that are removed are noticed within a second, whoever changed
them: another process of this installation may have. A second thread deletes video that was kept long enough, and what
stream processors have written.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor

import structlog

from custodes import __version__
from custodes.app import App
from custodes.cameras.model import Camera
from custodes.cameras.mqtt import MqttLink
from custodes.cameras.process import CameraProcess
from custodes.errors import CustodesError

__all__ = ["Watchers"]

_log = structlog.get_logger("custodes.cameras")
_LOOK_SECONDS = 1.0
_CREDIT = 2
"""Frames that may be on the way: one is looked at while the next comes."""
_REST_SECONDS = 1.0
_STOP_SECONDS = 5.0


class _Runner:
    """One camera, as it is set up now."""

    def __init__(self, app: App, camera: Camera) -> None:
        self._app = app
        self.camera = camera
        self._stopped = threading.Event()
        self._process: CameraProcess | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"camera {camera.id}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end; :meth:`join` waits for that."""
        self._stopped.set()
        with self._lock:
            process = self._process
        if process is not None:
            process.stop(_STOP_SECONDS)

    def join(self) -> None:
        self._thread.join()

    def live(self, on: bool) -> None:
        """Let the process send live fragments, or no more."""
        with self._lock:
            process = self._process
        if process is not None:
            process.live(on)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._once()
            except CustodesError as error:
                _log.error("a camera failed", camera=self.camera.id, error=type(error).__name__, why=error.message)
            except Exception as error:  # noqa: BLE001 - whatever it is, the camera is begun again, and the others go on
                _log.error("a camera failed", camera=self.camera.id, error=type(error).__name__)
            self._stopped.wait(_REST_SECONDS)

    def _once(self) -> None:
        """Run one process until it ends."""
        app = self._app
        app.keeping.recover(self.camera)
        process = CameraProcess(app.keeping.begin_of(self.camera))
        run = app.camera_run(self.camera, process.credit)
        try:
            with self._lock:
                if self._stopped.is_set():
                    return
                process.start()
                self._process = process
            for _ in range(_CREDIT):
                process.credit()
            app.live.remind(self.camera.id)
            for message, payload in process.messages():
                run.handle(message, payload)
            if not self._stopped.is_set():
                _log.warning("a camera's process has ended unasked", camera=self.camera.id)
        finally:
            with self._lock:
                self._process = None
            process.stop(_STOP_SECONDS)
            run.close()


class Watchers:
    """Runs all enabled cameras.

    Args:
        app: the installation.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._mqtt = MqttLink(app.config.mqtt, __version__) if app.config.mqtt.host else None
        self._told_of = app.config.mqtt.organisation
        self._ambiguous = False
        self._stopped = threading.Event()
        self._runners: dict[str, _Runner] = {}
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._look, name="cameras", daemon=True),
            threading.Thread(target=self._keep, name="video", daemon=True),
        ]
        app.live.on_wanted(self._wanted)

    def start(self) -> None:
        """Begin."""
        if self._mqtt is not None:
            self._mqtt.start()
            self._app.announcer.add_sink("mqtt", self._mqtt.tell)
            self._app.processors.sinks.connect(self._mqtt.send)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End: every camera closes the segment that it writes."""
        self._stopped.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        self._end(tuple(self._runners))
        if self._mqtt is not None:
            self._mqtt.close()

    def _look(self) -> None:
        while not self._stopped.is_set():
            try:
                self._round()
            except CustodesError as error:
                _log.error("looking for cameras failed", error=type(error).__name__, why=error.message)
            except Exception as error:  # noqa: BLE001 - likewise
                _log.error("looking for cameras failed", error=type(error).__name__)
            self._stopped.wait(_LOOK_SECONDS)

    def _round(self) -> None:
        wanted = {camera.id: camera for camera in self._app.keeping.enabled()}
        ended = [i for i, r in self._runners.items() if i not in wanted or wanted[i].revision != r.camera.revision]
        self._end(ended)
        self._forget([i for i in ended if i not in wanted])
        for camera_id, camera in wanted.items():
            if camera_id not in self._runners and not self._stopped.is_set():
                runner = _Runner(self._app, camera)
                with self._lock:
                    self._runners[camera_id] = runner
                runner.start()
                _log.info("a camera runs", camera=camera_id)
        if self._mqtt is not None:
            self._show(tuple(wanted.values()))
        self._app.processors.runs.tick()

    def _show(self, cameras: tuple[Camera, ...]) -> None:
        """Let the broker know of the cameras of the one organisation that it is told of."""
        assert self._mqtt is not None
        if not self._told_of:
            self._choose()
        if chosen := self._told_of:
            self._mqtt.show(chosen, {camera.id: camera.name for camera in cameras if camera.organisation == chosen})

    def _choose(self) -> None:
        """Choose of which organisation the broker is told: of the only one that has cameras, and of it for good.

        Whose the broker is, nobody has said; cameras that rest count, for with them it would go to the others.
        """
        there = self._app.keeping.organisations()
        if len(there) == 1:
            [self._told_of] = there
        elif there and not self._ambiguous:
            self._ambiguous = True
            _log.warning(
                "the MQTT broker is told nothing: several organisations have cameras",
                remedy="Set [mqtt] organisation to the id of the one whose broker it is.",
            )

    def _end(self, cameras: Collection[str]) -> None:
        """Stop cameras, and return when their processes have ended."""
        runners = [self._runners[i] for i in cameras]
        if not runners:
            return
        with ThreadPoolExecutor(len(runners), "stop") as pool:  # each may take a while
            list(pool.map(_Runner.stop, runners))
        for runner in runners:
            runner.join()
            with self._lock:
                del self._runners[runner.camera.id]
            _log.info("a camera was stopped", camera=runner.camera.id)

    def _forget(self, ended: Collection[str]) -> None:
        """Let go of those cameras that are no more: of who looks at them, and of what was recorded meanwhile."""
        gone = set(ended) - self._app.keeping.known(ended) if ended else set()
        for camera in gone:
            self._app.live.forget(camera)
        if gone:
            self._app.keeping.sweep()

    def _wanted(self, camera_id: str, on: bool) -> None:
        with self._lock:
            runner = self._runners.get(camera_id)
        if runner is not None:
            runner.live(on)

    def _keep(self) -> None:
        while not self._stopped.is_set():
            _retained("video", self._app.keeping.run_retention)
            _retained("data streams", self._app.processors.sinks.run_retention)
            self._stopped.wait(self._app.config.cameras.retention_seconds)


def _retained(what: str, delete: Callable[[], int]) -> None:
    """Delete what was kept long enough; if that fails, the next round tries it again."""
    try:
        if gone := delete():
            _log.info(f"deleted {what} kept long enough", files=gone)
    except CustodesError as error:
        _log.error(f"deleting {what} failed", error=type(error).__name__, why=error.message)
    except Exception as error:  # noqa: BLE001 - likewise
        _log.error(f"deleting {what} failed", error=type(error).__name__)
