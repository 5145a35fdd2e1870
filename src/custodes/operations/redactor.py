# SPDX-License-Identifier: Apache-2.0
"""Clips are cut and encoded in a process of their own, which decodes what a camera once sent and has no keys.

It gets a job on its standard input (where recorded video lies, which of it, what to hide), and says on its standard
output how far it is, what becomes of it, and in the end the clip. It has no database, no vault, and may not write
files once it decodes; nothing that it does is seen in the numbers of the server's own process. :mod:`.redactorwork` is
that process. Where the kernel can't close files to it, the server's log says so.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from typing import IO

import orjson
import structlog

from custodes.cameras.confine import ENVIRONMENT
from custodes.cameras.model import Segment, Span, Zone
from custodes.config import Config
from custodes.db.sealing import words
from custodes.errors import Conflict, CustodesError, IntegrityError, Invalid, NotFound, TooLarge, Unavailable
from custodes.operations.redacting import Derivative
from custodes.operations.redactorwork import HEAD, MOST_PART

__all__ = ["Clip", "Progress", "Redactor"]

_log = structlog.get_logger("custodes.cameras")
_COMMAND = [sys.executable, "-B", "-m", "custodes.operations.redactorwork"]
_PATIENCE = 120.0
"""Seconds without a word after which the process is ended."""
_ENDS = 5.0
"""Seconds for which it may take its leave, when all is said."""
_WORD = 32
_KEPT = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "LD_LIBRARY_PATH", "COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")
"""Variables that the process gets."""
_ERRORS: dict[str, type[CustodesError]] = {
    e.__name__: e for e in (Conflict, IntegrityError, Invalid, NotFound, TooLarge, Unavailable)
}

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """What became of a stretch of recorded video.

    Attributes:
        data: the MP4: cut out as it was recorded, or encoded anew.
        asked, real: what was asked for, and what was cut out: it begins at the key picture before.
        codec, width, height: of what was recorded.
        packets, packets_sha256: of what was cut out.
        derivative: what was encoded anew of it, or None if the data is what was cut out.
    """

    data: bytes
    asked: Span
    real: Span
    codec: str
    width: int
    height: int
    packets: int
    packets_sha256: bytes
    derivative: Derivative | None


class Redactor:
    """Makes clips, each in a process of its own.

    Args:
        config: where recorded video and models lie.
    """

    def __init__(self, config: Config) -> None:
        self._config = config

    def make(
        self,
        segments: Sequence[Segment],
        span: Span,
        masks: Sequence[Zone],
        *,
        blurred: bool,
        progress: Progress = lambda done, of: None,
        still: Callable[[bytes], None] = lambda jpeg: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Clip:
        """Make a clip: as it was recorded if nothing is to be hidden in it, and otherwise encoded anew.

        Args:
            segments: what was recorded.
            span: what of it.
            masks: of the camera.
            blurred: whether faces are hidden.
            progress: told how many milliseconds of how many are done.
            still: given a picture of it (JPEG) now and then.
            stopped: asked now and then whether nobody wants it any more.

        Raises:
            NotFound: if there is no video of that time.
            Unavailable: if it can't be made, or takes too long.
            Conflict: if it was stopped.
        """
        job = self._job(segments, span, masks, "blurred" if blurred else "plain")
        with self._working(job) as (stream, watch):
            return _result(stream, watch, progress, still, stopped)

    def still(self, segment: Segment, masks: Sequence[Zone]) -> bytes:
        """Return the last picture of a file of recorded video (JPEG), with privacy masks black.

        Raises:
            NotFound: if there is none.
            Unavailable: if it can't be decoded.
        """
        with self._working(self._job([segment], segment.span, masks, "still")) as (stream, watch):
            kind, payload = _heard(stream, watch)
            if kind == b"E":
                raise _told(payload)
            return payload

    @contextmanager
    def _working(self, job: bytes) -> Iterator[tuple[IO[bytes], _Watch]]:
        """Give a job to a new process, which ends with this.

        Raises:
            Unavailable: if it ends too early.
        """
        pipe, kept = subprocess.PIPE, {k: os.environ[k] for k in _KEPT if k in os.environ}
        try:
            with subprocess.Popen(  # noqa: S603 - all of it is our own
                _COMMAND,
                stdin=pipe,
                stdout=pipe,
                stderr=subprocess.DEVNULL,
                env=ENVIRONMENT | kept,
                close_fds=True,
            ) as process:
                watch = _Watch(process)
                try:
                    assert process.stdin is not None
                    assert process.stdout is not None
                    process.stdin.write(job)
                    process.stdin.close()
                    yield process.stdout, watch
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(_ENDS)
                finally:
                    watch.end()
        except (OSError, struct.error) as e:
            raise _broken() from e

    def _job(self, segments: Sequence[Segment], span: Span, masks: Sequence[Zone], kind: str) -> bytes:
        config = self._config
        told = {
            "video": str(config.video),
            "segments": [asdict(s) | {"sha256": s.sha256.hex()} for s in segments],
            "span": [span.start, span.end],
            "masks": [[m.name, m.points] for m in masks],
            "kind": kind,
            "data": str(config.data),
            "cache": str(config.cache),
            "vision": asdict(config.vision),
        }
        return orjson.dumps(told)


class _Watch:
    """Ends a process that says nothing for too long, and at the end in any case."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._alive = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="redactor", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.is_set():
            if not self._alive.wait(_PATIENCE):
                break
            self._alive.clear()
        self._process.kill()

    def alive(self) -> None:
        """Note that it has said something."""
        self._alive.set()

    def end(self) -> None:
        """End it."""
        self._over.set()
        self._alive.set()
        self._thread.join()


def _result(
    stream: IO[bytes],
    watch: _Watch,
    progress: Progress,
    still: Callable[[bytes], None],
    stopped: Callable[[], bool],
) -> Clip:
    facts: object = None
    while True:
        kind, payload = _heard(stream, watch)
        if stopped():
            raise Conflict("Nobody wants this clip any more.")
        if kind == b"P":
            progress(*struct.unpack(">QQ", payload))
        elif kind == b"S":
            still(payload)
        elif kind == b"E":
            raise _told(payload)
        elif kind == b"R":
            facts = orjson.loads(payload)
        else:
            return _clip(facts, payload)


def _told(payload: bytes) -> CustodesError:
    """Return the error that the process tells of."""
    try:
        told = orjson.loads(payload)
        return _ERRORS.get(told["error"], Unavailable)(str(told["message"]), remedy=str(told["remedy"]))
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return _broken()


def _heard(stream: IO[bytes], watch: _Watch) -> tuple[bytes, bytes]:
    """Return the next part of what the process says, but for that it couldn't be confined.

    Raises:
        Unavailable: if it has ended.
    """
    kind = b"U"
    while kind == b"U":
        kind, payload = _read(stream)
        watch.alive()
        if kind == b"U":
            _warn()
    return kind, payload


@cache
def _warn() -> None:
    _log.warning("this kernel has no Landlock: files aren't closed to the processes that decode recorded video")


def _read(stream: IO[bytes]) -> tuple[bytes, bytes]:
    """Read a part of what the process says.

    Raises:
        Unavailable: if it has ended.
    """
    head = stream.read(HEAD.size)
    if len(head) != HEAD.size:
        raise _broken()
    kind, size = HEAD.unpack(head)
    if size > MOST_PART:
        raise _broken()
    payload = stream.read(size)
    if len(payload) != size:
        raise _broken()
    return kind, payload


def _broken() -> Unavailable:
    return Unavailable("The clip can't be made: what was recorded can't be decoded, or it took too long.")


def _clip(facts: object, data: bytes) -> Clip:
    """Read what the process says of a clip; it has read what a camera sent, and may have been taken over.

    Raises:
        Unavailable: if it can't be meant.
    """
    try:
        if not isinstance(facts, dict):
            raise TypeError(type(facts).__name__)
        made = facts["derivative"]
        return Clip(
            data=data,
            asked=Span(*_whole(facts["asked"], 2)),
            real=Span(*_whole(facts["real"], 2)),
            codec=words(facts["codec"], "A codec", _WORD, empty=False),
            width=_whole([facts["width"]], 1)[0],
            height=_whole([facts["height"]], 1)[0],
            packets=_whole([facts["packets"]], 1)[0],
            packets_sha256=bytes.fromhex(facts["packets_sha256"]),
            derivative=None if made is None else _derivative(made),
        )
    except (AttributeError, KeyError, ValueError, TypeError, Invalid) as e:
        raise _broken() from e


def _derivative(told: Mapping[str, object]) -> Derivative:
    names = ("width", "height", "pictures", "hidden", "packets")
    width, height, pictures, hidden, packets = _whole([told[n] for n in names], len(names))
    return Derivative(width, height, pictures, hidden, packets, bytes.fromhex(str(told["packets_sha256"])))


def _whole(value: object, count: int) -> list[int]:
    """Return so many whole numbers from 0 on.

    Raises:
        ValueError: if it is anything else.
    """
    if not isinstance(value, list) or len(value) != count or not all(type(v) is int and v >= 0 for v in value):
        raise ValueError(count)
    return value
