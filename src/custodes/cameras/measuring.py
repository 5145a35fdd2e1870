# SPDX-License-Identifier: Apache-2.0
"""Files of recorded video are measured by a process of its own: what lies in them came from a camera.

That process (``python -m custodes.cameras.measuring DESCRIPTOR``) is confined before it reads anything: it has no
files, no network, no keys. Each file comes to it as an open descriptor, to be read alone. What it says is checked. A
process that dies, or says nothing for long, tells nothing of the file; the next file gets another one.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import asdict, fields
from types import TracebackType
from typing import BinaryIO, Self

import av.logging
import orjson

from custodes.cameras.codecs import MIME
from custodes.cameras.confine import ENVIRONMENT, confine
from custodes.cameras.mp4 import Measured, measured
from custodes.cameras.paths import DAY
from custodes.errors import IntegrityError, Unavailable

__all__ = ["Measurer"]

_COMMAND = (sys.executable, "-I", "-m", "custodes.cameras.measuring")
_PATIENCE = 120.0  # seconds that a file may take, on a slow disk
_MOST_ANSWER = 1 << 12
_MOST_SIDE = 1 << 15
_MOST_DEATHS = 3
"""After so many nothing is measured any more: somebody has made many such files."""
_FILE, _END = b"F", b"\n"


class Measurer:
    """Measures files by a process, which begins with the first one and ends with the ``with`` statement."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._deaths = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def measure(self, file: BinaryIO) -> Measured:
        """Measure a file, as :func:`~custodes.cameras.mp4.measured` does.

        Raises:
            IntegrityError: if there is no video in it, or it is damaged.
            Unavailable: if it couldn't be found out.
        """
        if self._deaths >= _MOST_DEATHS:
            raise _unknown()
        try:
            answer = self._answer(file)
            return _checked(answer)
        except (OSError, Unavailable) as e:
            self._deaths += 1
            self._end()
            raise _unknown() from e

    def _answer(self, file: BinaryIO) -> bytes:
        """Return what the process says of a file.

        Raises:
            OSError: if it can't be begun, or says nothing for long.
        """
        control = self._socket or self._begun()
        socket.send_fds(control, [_FILE], [file.fileno()])
        told = b""
        while not told.endswith(_END) and len(told) < _MOST_ANSWER:
            part = control.recv(_MOST_ANSWER)
            if not part:
                break
            told += part
        return told

    def _begun(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        self._socket = ours
        ours.settimeout(_PATIENCE)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this very module
                [*_COMMAND, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=ENVIRONMENT,
                pass_fds=(theirs.fileno(),),
            )
        return ours

    def _end(self) -> None:
        process, self._process = self._process, None
        held, self._socket = self._socket, None
        if held is not None:
            held.close()
        if process is not None:
            process.kill()
            process.wait()


def _unknown() -> Unavailable:
    return Unavailable("A file of recorded video can't be measured.")


def _checked(answer: bytes) -> Measured:
    """Return what a process that nobody trusts has measured.

    Raises:
        IntegrityError: if it says that this is no video.
        Unavailable: if what it says can't be meant.
    """
    try:
        told = orjson.loads(answer)
    except orjson.JSONDecodeError as e:
        raise _unknown() from e
    if told is None:
        raise IntegrityError("A file of recorded video has no pictures, or is damaged.")
    if not isinstance(told, dict) or told.keys() != {f.name for f in fields(Measured)}:
        raise _unknown()
    length, width, height, mime = (told[name] for name in ("length", "width", "height", "mime"))
    numbers = ((length, DAY), (width, _MOST_SIDE), (height, _MOST_SIDE))
    if not all(type(value) is int and 0 < value <= most for value, most in numbers):
        raise _unknown()
    if not isinstance(mime, str) or not MIME.fullmatch(mime):
        raise _unknown()
    return Measured(length, width, height, mime)


# --- the process ------------------------------------------------------------------------------------------------------


def main(arguments: list[str]) -> int:
    """Measure the files that come over a socket until nobody sends any, and return the process's exit code."""
    av.logging.set_level(None)
    with socket.socket(fileno=int(arguments[0])) as control:
        confine("", (), 0, writes=0)
        while True:
            told, descriptors, _, _ = socket.recv_fds(control, len(_FILE), 1)
            if not told:
                return 0
            with os.fdopen(descriptors[0], "rb") as file:
                control.sendall(_said(file) + _END)


def _said(file: BinaryIO) -> bytes:
    try:
        return orjson.dumps(asdict(measured(file)))
    except IntegrityError:
        return orjson.dumps(None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
