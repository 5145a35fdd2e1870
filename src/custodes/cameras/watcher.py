# SPDX-License-Identifier: Apache-2.0
"""The process that reads a camera: ``python -m custodes.cameras.watcher DESCRIPTOR``; :mod:`.process` starts it.

It takes whatever a network sends, so it has no database, no keys, no environment and, where the kernel can, no files
but its own (:mod:`.confine`). One thread reads the one connection and records; it never waits for another. One decodes
(:mod:`.gate`), one watches the substream, if there is any, one sends what there is to say, and the main thread listens
to the server: when that says so, or is gone, or sends SIGTERM, the file that is being written is completed and the
process ends at once.

The camera's URL, which may hold credentials, comes over the socket and goes nowhere but to libav: what this process
writes to its standard error are names of errors and lines of code.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import av
import av.logging
import cv2
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext

from custodes.cameras.confine import confine
from custodes.cameras.gate import Frames, Gate, decoder_for
from custodes.cameras.live import Feed
from custodes.cameras.moments import now_ms
from custodes.cameras.motion import Masks, MotionDetector, grey
from custodes.cameras.queues import Chores, Outbox
from custodes.cameras.recorder import Recorder
from custodes.cameras.sources import Source, parse_source
from custodes.cameras.stream import Connection, Lost, Picture
from custodes.cameras.wire import (
    Begin,
    Credit,
    Down,
    Frame,
    Live,
    Stop,
    Up,
    read_message,
)
from custodes.errors import CustodesError, Invalid

__all__ = ["Watcher", "main"]

_FIRST, _MOST = 0.25, 1.5
"""Seconds between two tries to reach the camera, at first and at most: it is back within three of its return."""
_REFUSED = (5.0, 60.0)
"""Likewise where credentials are wrong: cameras lock those out who try too often."""
_STEADY = 5.0  # seconds after which a camera counts as one that doesn't come and go
_PAUSE = 2.0  # seconds before the substream is tried again
_SLEEP = 1000  # milliseconds for which pictures wait that nobody looks at yet: a thread that is woken costs something
_LOOK = 180  # milliseconds between looks at the substream
_DRAIN = 2.0  # seconds in which what is still to be said goes out
_JOIN = 0.3  # seconds in which threads end by themselves


class Watcher:
    """Reads one camera until the server says stop, or is gone.

    Args:
        begin: what to do.
        control: the socket to the server; :class:`~custodes.cameras.wire.Begin` has been read from ``listen``.
        listen: its reading side.

    Attributes:
        failed: whether something went wrong that nobody has thought of.
    """

    def __init__(self, begin: Begin, control: socket.socket, listen: BinaryIO) -> None:
        self._begin = begin
        self._control = control
        self._listen = listen
        self._speak = control.makefile("wb")
        self._out = Outbox(self._speak)
        self._frames = Frames(Masks(begin.masks), begin.frames_per_second, self._send_frame)
        detector = MotionDetector(begin.masks, begin.zones)
        self._gate = Gate(detector, self._frames, begin.most_pixels, self._out.put)
        self._chores = Chores(self._gate.interrupt)
        self._live = Feed(self._out.show)
        self._recorder: Recorder | None = None
        if begin.folder:
            self._recorder = Recorder(Path(begin.folder), begin.segment_seconds, begin.free_bytes, self._out.put)
        self._woken = 0
        self._stopping = threading.Event()
        self.failed = False
        self._threads: list[threading.Thread] = []

    def run(self) -> bool:
        """Read the camera until the end; return whether all threads have ended."""
        targets = [self._out.run, self._chores.run, self._read]
        if self._begin.substream:
            targets.append(self._read_substream)
        for target in targets:
            thread = threading.Thread(target=self._guarded, args=(target,), daemon=True)
            self._threads.append(thread)
            thread.start()
        try:
            self._obey()
        finally:
            self._end()
        return not any(t.is_alive() for t in self._threads)

    def _obey(self) -> None:
        """Do what the server says, until it says stop."""
        with contextlib.suppress(OSError):
            while (told := read_message(self._listen)) is not None:
                match told[0]:
                    case Credit(frames):
                        self._frames.credit(frames)
                    case Live(on):
                        self._live.want(on)
                    case Stop():
                        return

    def _end(self) -> None:
        """Complete the file that is being written, say so, and let all threads end."""
        self._stopping.set()
        if self._recorder is not None:
            self._recorder.close()
        self._chores.close()
        self._out.close(_DRAIN)
        deadline = time.monotonic() + _JOIN
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        with contextlib.suppress(OSError):
            self._speak.close()

    def _guarded(self, target: Callable[[], None]) -> None:
        """Run a thread; if it fails, the process ends in good order, and the server begins another."""
        try:
            target()
        except BaseException as e:  # noqa: BLE001 - whatever it is: half a watcher must not go on as if it were whole
            self.failed = True
            _confess(e)
        finally:
            with contextlib.suppress(OSError):
                if self.failed:
                    self._control.shutdown(socket.SHUT_RD)

    def _send_frame(self, frame: Frame, pixels: memoryview) -> None:
        self._out.put(frame, pixels)

    # --- the camera ---

    def _read(self) -> None:
        """Read the camera, again and again."""
        wait, why = _FIRST, ""
        while not self._stopping.is_set():
            begun = time.monotonic()
            was_up, lost = self._once(why)
            why = lost or why
            if was_up and time.monotonic() - begun > _STEADY:
                wait = _FIRST
            least, most = _REFUSED if why == "refused" else (_FIRST, _MOST)
            wait = min(max(wait, least), most)
            passed = 0.0 if was_up else time.monotonic() - begun
            self._stopping.wait(max(0.05, wait - passed))
            wait *= 2

    def _once(self, before: str) -> tuple[bool, str]:
        """Read the camera until it is lost; return whether it was there, and why it isn't any more."""
        up = False
        try:
            source = parse_source(self._begin.url, self._begin.file_root)
            with Connection(source) as connection:
                try:
                    shape = None
                    for picture in connection.pictures():
                        if picture.shape != shape:
                            shape, up = picture.shape, True
                            self._out.put(Up(now_ms(), shape.width, shape.height, shape.codec, shape.mime))
                        self._take(picture)
                        if self._stopping.is_set():
                            break
                except Lost as lost:  # told before the connection is closed, which may take a while
                    if up or lost.code != before:
                        self._out.put(Down(now_ms(), lost.code))
                    self._interrupt()
                    return up, lost.code
                finally:
                    self._live.interrupt()  # it has pictures that belong to the connection
        except (Lost, Invalid) as e:
            why = e.code if isinstance(e, Lost) else "unreachable"
            if why != before:
                self._out.put(Down(now_ms(), why))
            return False, why
        return up, ""

    def _take(self, picture: Picture) -> None:
        if self._recorder is not None:
            self._recorder.take(picture)
        self._live.take(picture)
        soon = picture.key or not self._gate.is_idle or not 0 <= picture.at - self._woken < _SLEEP
        self._woken = picture.at if soon else self._woken
        self._chores.put(lambda: self._gate.take(picture), picture.packet.size, soon=soon)

    def _interrupt(self) -> None:
        self._chores.put(self._gate.interrupt)
        if self._recorder is not None:
            self._recorder.interrupt()

    # --- the substream ---

    def _read_substream(self) -> None:
        """Look for motion in the substream, whenever it is there."""
        while not self._stopping.is_set():
            with contextlib.suppress(Lost, Invalid):
                source = parse_source(self._begin.substream, self._begin.file_root)
                self._look(source)
            self._chores.put(self._gate.alone)
            self._stopping.wait(_PAUSE)

    def _look(self, source: Source) -> None:
        """Look at the substream's pictures.

        Raises:
            Lost: when it isn't there any more.
        """
        detector = MotionDetector(self._begin.masks, self._begin.zones)
        decoder: VideoCodecContext | None = None
        shape, looked = None, 0
        with Connection(source) as connection:
            for picture in connection.pictures():
                if self._stopping.is_set():
                    return
                if picture.key and picture.shape != shape:
                    shape = picture.shape
                    fits = shape.width * shape.height <= self._begin.most_pixels
                    decoder = decoder_for(shape, self._begin.most_pixels) if fits else None
                    detector.reset()
                if decoder is None:
                    continue
                packet = picture.packed()
                packet.pts, packet.dts, packet.time_base = picture.at, None, Fraction(1, 1000)
                try:
                    frames = decoder.decode(packet)
                except (FFmpegError, ValueError):
                    continue
                for frame in frames:
                    at = picture.at if frame.pts is None else frame.pts
                    if not 0 <= at - looked < _LOOK:
                        looked = at
                        self._notice(at, detector.look(grey(frame), at))

    def _notice(self, at: int, box: tuple[float, float, float, float] | None) -> None:
        self._chores.put(lambda: self._gate.notice(at, box))


# --- The process ------------------------------------------------------------------------------------------------------


def _confess(error: BaseException) -> None:
    """Write which error it was and where, without its text, which may be a secret."""
    lines = [type(error).__name__]
    place: TracebackType | None = error.__traceback__
    while place is not None:
        lines.append(f"  {Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}")
        place = place.tb_next
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write("\n".join(lines) + "\n")
        sys.stderr.flush()


def main(arguments: list[str]) -> int:
    """Read the camera that the server tells of over a socket, and return the process's exit code."""
    av.logging.set_level(None)
    logging.disable()
    cv2.setNumThreads(1)
    faulthandler.enable()
    ended = False
    try:
        control = socket.socket(fileno=int(arguments[0]))
        listen = control.makefile("rb")
        told = read_message(listen)
        if told is None or not isinstance(told[0], Begin):
            return 2
        begin = told[0]
        if begin.folder:
            Path(begin.folder).mkdir(0o700, parents=True, exist_ok=True)
        readable, urls = [begin.file_root] if begin.file_root else [], (begin.url, begin.substream)
        if not confine(begin.folder, readable, begin.most_pixels, urls=urls):
            sys.stderr.write("This kernel has no Landlock: files aren't closed to the process.\n")
        watcher = Watcher(begin, control, listen)
        signal.signal(signal.SIGTERM, lambda *_: control.shutdown(socket.SHUT_RD))  # as if the server were gone
        ended = watcher.run()
    except (CustodesError, OSError, ValueError, IndexError) as e:
        _confess(e)
        return 2
    if not ended:
        os._exit(int(watcher.failed))  # a thread waits for a camera that says nothing; all that matters is on the disk
    return int(watcher.failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
