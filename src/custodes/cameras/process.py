# SPDX-License-Identifier: Apache-2.0
"""The server's side of the process that reads a camera: it starts it, checks whatever it says, and ends it for sure.

The process takes what a network sends, so it is not believed: a message that a reader may not send, a frame whose bytes
aren't as many as its pixels, a time that can't be is an :class:`~custodes.errors.IntegrityError`, and the process is
killed; so is one that sends a frame without credit, or more messages than any camera makes. What it may say, but not so
often, is dropped: each kind has an allowance that grows with time. It gets no environment and no descriptor but its
socket; its URL goes over that alone.
"""

from __future__ import annotations

import contextlib
import io
import math
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import BinaryIO

import structlog

from custodes.cameras.codecs import MIME
from custodes.cameras.confine import ENVIRONMENT
from custodes.cameras.moments import now_ms
from custodes.cameras.paths import DAY, MOST_BYTES
from custodes.cameras.wire import (
    Begin,
    Credit,
    Down,
    Frame,
    Init,
    Live,
    Message,
    Moof,
    Motion,
    SegmentDone,
    Still,
    Stop,
    Trouble,
    Up,
    read_message,
    write_message,
)
from custodes.errors import IntegrityError, Unavailable

__all__ = ["CameraProcess"]

_log = structlog.get_logger("custodes.cameras")
_COMMAND = (sys.executable, "-I", "-m", "custodes.cameras.watcher")
_PATIENCE = struct.pack("@ll", 2, 0)  # seconds, microseconds: longer nobody waits for a process that doesn't listen
_KILL_SECONDS = 1.0
_LAST_WORDS = 2000  # characters
_MOST_SIDE = 1 << 15
_MOST_DROPPED = 1 << 31
_MOST_INIT = 1 << 16
_MOST_MOOF = 1 << 25
_CODEC = re.compile(r"[a-z0-9_]{1,32}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_GONE = {"ended", "frozen", "refused", "unreachable", "unreadable"}
_TROUBLES = {"disk-full", "disk-ok", "undecodable", "decodable", "too-large", "codec"}
_ALLOWED: dict[type[Message], tuple[float, float]] = {
    Up: (10, 1),
    Down: (10, 1),
    Trouble: (10, 1),
    Motion: (5, 0.5),
    Still: (10, 1),
    SegmentDone: (100, 5),
}
"""Messages of a kind at once, and more of them a second: motion ends after 2.5 seconds, a file takes 0.2."""
_OF_FRAMES = (10.0, 1.5)
"""Likewise of frames, each for one that is asked for in a second: what has begun is replayed."""
_OF_ALL = (20_000.0, 2_000.0)
"""Likewise of all messages; whoever says more doesn't read a camera."""


class _Allowance:
    """So many at once, and so many more a second; times are in seconds."""

    def __init__(self, most: float, rate: float) -> None:
        self._most = self._left = most
        self._rate = rate
        self._at = 0.0

    def takes(self, now: float) -> bool:
        """Tell whether one more is within it, and count it."""
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class CameraProcess:
    """A process that reads one camera. Its methods may be called by different threads.

    Args:
        begin: what to read, and what to do with it.
    """

    def __init__(self, begin: Begin) -> None:
        self._begin = begin
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._sending = threading.Lock()
        self._lock = threading.Lock()
        self._is_read = False
        self._words = ""
        self._credits = 0
        frames = tuple(n * max(1.0, begin.frames_per_second) for n in _OF_FRAMES)
        self._all = _Allowance(*_OF_ALL)
        self._kinds = {kind: _Allowance(*a) for kind, a in (*_ALLOWED.items(), (Frame, frames))}
        self._dropped: set[type[Message]] = set()

    @property
    def pid(self) -> int:
        """Its id; 0 before it has been started."""
        return 0 if self._process is None else self._process.pid

    @property
    def last_words(self) -> str:
        """What it wrote to its standard error, names of errors and lines of code, as far as it is kept."""
        return self._words

    def start(self) -> None:
        """Start it.

        Raises:
            Unavailable: if that can't be done.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - all of it is our own
                    [*_COMMAND, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    cwd="/",
                    env=ENVIRONMENT,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
        except OSError as e:
            ours.close()
            raise Unavailable(f"A camera's process can't be started: {e.strerror}.") from e
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _PATIENCE)
        self._socket = ours
        threading.Thread(target=self._hear, args=(self._process.stderr,), daemon=True).start()
        self._say(self._begin)

    def messages(self) -> Iterator[tuple[Message, bytes]]:
        """Yield what it says, until it has ended.

        Raises:
            IntegrityError: if it says what it may not; it is killed then.
        """
        with self._lock:
            if self._socket is None or self._is_read:
                return
            self._is_read = True
            listen = self._socket.makefile("rb")
        try:
            with contextlib.suppress(OSError):
                while (told := read_message(listen)) is not None:
                    _check(*told, self._begin.most_pixels)
                    if self._is_due(told[0]):
                        yield told
        except IntegrityError:
            self._kill(0)
            raise
        finally:
            listen.close()
            self._close()
            self._kill(_KILL_SECONDS)

    def credit(self) -> None:
        """Let it send one more frame; nothing happens if it has ended."""
        with self._lock:
            self._credits += 1
        self._say(Credit())

    def live(self, on: bool) -> None:
        """Let it send live fragments, or no more; nothing happens if it has ended."""
        self._say(Live(on))

    def stop(self, timeout: float) -> None:
        """End it, and return when it has ended: asked, it completes its file; it is killed if that takes longer.

        Args:
            timeout: seconds that it gets.
        """
        self._say(Stop())
        self._kill(timeout)
        with self._lock:
            is_read, self._is_read = self._is_read, True
        if not is_read:  # who reads it sees its end, after all that it has said
            self._close()

    def _is_due(self, message: Message) -> bool:
        """Tell whether a message is to be heard, or is one too many of its kind.

        Raises:
            IntegrityError: if it is a frame for which there was no credit, or there are too many of all kinds.
        """
        kind, now = type(message), time.monotonic()
        if not self._all.takes(now):
            raise IntegrityError("A camera's process says more than a camera can make it say.")
        if kind is Frame:
            with self._lock:
                if not self._credits:
                    raise IntegrityError("A camera's process has sent a frame that nobody asked for.")
                self._credits -= 1
        allowance = self._kinds.get(kind)
        if allowance is None or allowance.takes(now):
            return True
        if kind not in self._dropped:
            self._dropped.add(kind)
            _log.warning("a camera says too much", camera=self._begin.camera, about=kind.__name__)
        if kind is Frame:
            self.credit()
        return False

    def _say(self, message: Message) -> None:
        words = io.BytesIO()
        write_message(words, message)
        with self._sending:
            if self._socket is None:
                return
            try:
                self._socket.sendall(words.getbuffer())
            except OSError:  # it has ended, or doesn't listen any more
                assert self._process is not None
                self._process.kill()

    def _kill(self, timeout: float) -> None:
        """Return when it has ended; kill it after so many seconds."""
        if self._process is None:
            return
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _close(self) -> None:
        with self._sending:
            held, self._socket = self._socket, None
        if held is not None:
            held.close()

    def _hear(self, errors: BinaryIO | None) -> None:
        """Keep the first of what it writes to its standard error."""
        if errors is None:
            return
        with errors:
            while words := errors.read(_LAST_WORDS):
                told = "".join(c for c in words.decode("ascii", "replace") if c.isprintable() or c == "\n")
                self._words = (self._words + told)[:_LAST_WORDS]


# --- What it may say --------------------------------------------------------------------------------------------------


def _check(message: Message, payload: bytes, most_pixels: int) -> None:
    """Check that a reader may send this.

    Raises:
        IntegrityError: if it may not.
    """
    if not _is_sane(message, payload, most_pixels):
        raise IntegrityError(f"A camera's process has sent a message {type(message).__name__} that can't be.")


def _is_sane(message: Message, payload: bytes, most_pixels: int) -> bool:
    match message:
        case Frame():
            fits = _is_size(message.width, message.height) and message.width * message.height <= most_pixels
            right = len(payload) == message.width * message.height * 3 and 0 <= message.dropped < _MOST_DROPPED
            return fits and right and _is_time(message.at) and _is_box(message.box)
        case Moof():
            return _is_time(message.at) and 0 < len(payload) <= _MOST_MOOF
        case Init():
            return bool(MIME.fullmatch(message.mime)) and 0 < len(payload) <= _MOST_INIT
        case _:
            return not payload and _is_sane_word(message)


def _is_sane_word(message: Message) -> bool:
    """Tell whether a message without bytes may be."""
    match message:
        case Up():
            told = MIME.fullmatch(message.mime) and _CODEC.fullmatch(message.codec)
            return bool(told) and _is_size(message.width, message.height) and _is_time(message.at)
        case Down():
            return message.why in _GONE and _is_time(message.at)
        case SegmentDone():
            named = MIME.fullmatch(message.mime) and _SHA256.fullmatch(message.sha256)
            timed = _is_time(message.start) and message.start < message.end <= message.start + DAY
            return bool(named) and timed and 0 < message.size <= MOST_BYTES and _is_size(message.width, message.height)
        case Motion():
            return _is_time(message.at) and _is_box(message.box)
        case Still():
            return _is_time(message.start) and _is_time(message.end) and message.start < message.end
        case Trouble():
            return message.code in _TROUBLES and _is_time(message.at)
        case _:
            return False


def _is_time(at: int) -> bool:
    """Tell whether a time can be: nothing comes from the day after tomorrow."""
    return 0 < at < now_ms() + DAY


def _is_size(width: int, height: int) -> bool:
    return 0 < width <= _MOST_SIDE and 0 < height <= _MOST_SIDE


def _is_box(box: list[float]) -> bool:
    if len(box) != 4 or not all(type(v) in (int, float) and math.isfinite(v) and 0 <= v <= 1 for v in box):
        return False
    return box[0] < box[2] and box[1] < box[3]
