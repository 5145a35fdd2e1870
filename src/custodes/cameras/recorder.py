# SPDX-License-Identifier: Apache-2.0
"""Writes video to files as the camera has encoded it: fragmented MP4, cut at key pictures; a crash costs half a second.

Begin's folder/<YYYYMMDD>/<HHMMSSmmm>.mp4, by UTC; 0600 in folders of 0700. What is being written is called
``.<HHMMSSmmm>.mp4.part`` and holds a fragment (ISO/IEC 14496-12, 8.8) for each half second, so that it
can be played whenever the process is killed. A complete file is synced, renamed, and its folder synced, in this order
and by a thread of its own; only then is it told of.

If the disk is full, or can't be written to, the file that is being written is given up, the trouble is told, and
recording goes on by itself when there is room again. Nothing here ever waits for anybody who looks at pictures.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import av
from av.container import OutputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from custodes.cameras.paths import MOST_BYTES, part_path, segment_path
from custodes.cameras.shapes import Shape
from custodes.cameras.stream import Picture
from custodes.cameras.wire import SegmentDone, Trouble

__all__ = ["Recorder", "add_stream", "has_room"]

_OPTIONS = {
    "movflags": "frag_keyframe+empty_moov+default_base_moof",
    "frag_duration": "500000",  # microseconds
    "frag_size": "8000000",  # bytes: if timestamps are nonsense
    "flush_packets": "1",
}
_BUFFER = 1 << 18
_REST = 5.0
"""Seconds between two tries to write to a disk that was full."""
_TRIES = 1000
"""Files may begin in the same millisecond after the clock was set back."""
_LONGEST = 3_600_000
"""Milliseconds after which a file ends at any picture; the next one begins with a key picture."""
_LARGE, _LARGEST = MOST_BYTES // 2, MOST_BYTES // 4 * 3
"""Bytes after which a file ends at a key picture, and at any picture."""
_CLOSE = 200
"""Milliseconds that lie between the beginnings of two files: a camera may change its mind with every picture."""
_MOST_BAD = 250
"""So many packets in succession that don't fit into the file end it."""


def has_room(folder: Path, free_bytes: int) -> bool:
    """Tell whether a disk has so many bytes for us."""
    try:
        there = os.statvfs(folder)
    except OSError:
        return False
    return there.f_bavail * there.f_frsize >= free_bytes


def add_stream(out: OutputContainer, template: VideoStream, shape: Shape) -> VideoStream:
    """Add a stream for a camera's packets, as they are now.

    Raises:
        ValueError: if such a file can't hold them.
        FFmpegError: likewise.
    """
    stream = out.add_stream_from_template(template, opaque=True)  # as it is: no encoder is needed for that
    context = stream.codec_context
    context.extradata = shape.extradata or None
    context.width, context.height = shape.width, shape.height
    if shape.codec == "hevc":
        context.codec_tag = "hvc1"  # parameter sets stand in the header, and Safari plays it
    return stream


class _Tape:
    """A file that is being written; it counts and hashes what goes through it. libav writes it from begin to end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.digest = hashlib.sha256()
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def write(self, data: bytes) -> int:
        """Write all of it."""
        left = memoryview(data)
        while left:
            left = left[os.write(self._descriptor, left) :]
        self.size += len(data)
        self.digest.update(data)
        return len(data)

    def finish(self, path: Path) -> None:
        """Sync it, give it its name, and sync that."""
        os.fsync(self._descriptor)
        self.path.rename(path)
        _sync(path.parent)

    def close(self) -> None:
        os.close(self._descriptor)


@dataclass(slots=True)
class _Segment:
    """What is being written.

    Attributes:
        start: of its name, milliseconds since 1970.
        origin: the tick at which it begins.
        end: of its last picture, milliseconds since 1970.
        bad: packets in succession that didn't fit.
    """

    path: Path
    tape: _Tape
    out: OutputContainer
    stream: VideoStream
    shape: Shape
    start: int
    first: int
    origin: int
    end: int
    bad: int = 0


class Recorder:
    """Records one camera; :meth:`take` and :meth:`close` may come from different threads.

    Args:
        folder: the camera's own, called by its id; it is made if it isn't there.
        segment_seconds: least length of a file.
        free_bytes: what the disk must have left.
        tell: is told what happens, perhaps by another thread.
    """

    def __init__(
        self,
        folder: Path,
        segment_seconds: float,
        free_bytes: int,
        tell: Callable[[SegmentDone | Trouble], None],
    ) -> None:
        with contextlib.suppress(OSError):  # there is no room then, which is told
            folder.mkdir(0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._length = segment_seconds * 1000
        self._free = free_bytes
        self._tell = tell
        self._lock = threading.Lock()
        self._closed = False
        self._segment: _Segment | None = None
        self._full = False
        self._tried = 0.0
        self._begun_at = -_CLOSE
        self._unfit: Shape | None = None
        self._finisher = ThreadPoolExecutor(1, "finish")

    def take(self, picture: Picture) -> None:
        """Record a picture."""
        with self._lock:
            if self._closed:
                return
            if picture.key:
                self._turn(picture)
            if self._segment is not None:
                self._write(self._segment, picture)

    def interrupt(self) -> None:
        """End the file that is being written: no more pictures come for now."""
        with self._lock:
            self._finish()

    def close(self) -> None:
        """End the file that is being written, and wait until it is on the disk."""
        with self._lock:
            self._closed = True
            self._finish()
        self._finisher.shutdown()

    # --- files ---

    def _turn(self, key: Picture) -> None:
        """Begin a file with a key picture if it's time to."""
        now = self._segment
        if now is not None:
            going_on = key.at - now.first < self._length and now.tape.size < _LARGE
            going_on = going_on and not key.stamp.cut and key.shape == now.shape
            if not has_room(self._folder, self._free):
                self._finish()
                self._give_up(key.at)
            elif going_on:
                return
            self._finish()
        if self._full and time.monotonic() - self._tried < _REST:
            return
        if 0 <= key.at - self._begun_at < _CLOSE and not key.stamp.cut:
            return
        self._tried = time.monotonic()
        if key.shape == self._unfit:
            return
        try:
            if not has_room(self._folder, self._free):
                raise OSError(0, "the disk is full")
            self._segment = self._begun(key)
        except OSError:
            self._give_up(key.at)
            return
        except (FFmpegError, ValueError):
            self._unfit = key.shape
            self._tell(Trouble(key.at, "codec"))
            return
        self._begun_at = key.at
        if self._full:
            self._full = False
            self._tell(Trouble(key.at, "disk-ok"))

    def _begun(self, key: Picture) -> _Segment:
        """Open a file.

        Raises:
            OSError: if it can't be written.
            FFmpegError: if it can't hold such pictures.
            ValueError: likewise.
        """
        start, path, tape = self._opened(key.at)
        try:
            out = av.open(tape, "w", format="mp4", options=_OPTIONS, buffer_size=_BUFFER)
            stream = add_stream(out, key.packet.stream, key.shape)
            out.start_encoding()
        except BaseException:
            tape.close()
            tape.path.unlink(missing_ok=True)
            raise
        return _Segment(path, tape, out, stream, key.shape, start, key.at, key.stamp.dts, key.end)

    def _opened(self, at: int) -> tuple[int, Path, _Tape]:
        """Open a new file for video from ``at`` on, or a few milliseconds later if there is one.

        Raises:
            OSError: if there can be none.
        """
        for start in range(max(0, at), max(0, at) + _TRIES):
            path = segment_path(self._folder.parent, self._folder.name, start)
            part = part_path(self._folder.parent, self._folder.name, start)
            if not path.parent.is_dir():
                path.parent.mkdir(0o700)
                _sync(self._folder)
            if not path.exists():
                with contextlib.suppress(FileExistsError):
                    return start, path, _Tape(part)
        raise FileExistsError(0, "there is video of this time")

    def _write(self, segment: _Segment, picture: Picture) -> None:
        packet = picture.packed(segment.origin)
        packet.stream = segment.stream
        try:
            segment.out.mux(packet)
        except OSError:
            self._drop(segment, picture.at)
            return
        except (FFmpegError, ValueError):  # it is no picture; what it was is lost, and no more
            segment.bad += 1
            if segment.bad >= _MOST_BAD:
                self._finish()
            return
        segment.bad = 0
        segment.end = max(segment.end, picture.end)
        if picture.at - segment.first > _LONGEST or segment.tape.size > _LARGEST:
            self._finish()

    def _finish(self) -> None:
        """Complete the file that is being written, if there is one."""
        segment, self._segment = self._segment, None
        if segment is None:
            return
        try:
            segment.out.close()
        except (FFmpegError, OSError, ValueError):
            self._discard(segment)
            self._give_up(segment.end)
            return
        self._finisher.submit(self._complete, segment)

    def _complete(self, segment: _Segment) -> None:
        """Put a file on the disk for good, and tell of it."""
        tape, shape = segment.tape, segment.shape
        try:
            tape.finish(segment.path)
        except OSError:
            self._discard(segment)
            self._give_up(segment.end)
            return
        tape.close()
        end = segment.start + max(1, segment.end - segment.first)
        self._tell(
            SegmentDone(segment.start, end, tape.size, tape.digest.hexdigest(), shape.width, shape.height, shape.mime)
        )

    def _drop(self, segment: _Segment, at: int) -> None:
        """Give up the file that is being written: there is no room for more."""
        self._segment = None
        with contextlib.suppress(FFmpegError, OSError, ValueError):
            segment.out.close()
        self._discard(segment)
        self._give_up(at)

    def _discard(self, segment: _Segment) -> None:
        segment.tape.close()
        with contextlib.suppress(OSError):
            segment.tape.path.unlink(missing_ok=True)

    def _give_up(self, at: int) -> None:
        self._tried = time.monotonic()
        if not self._full:
            self._full = True
            self._tell(Trouble(at, "disk-full"))


def _sync(folder: Path) -> None:
    """Make names of a folder last.

    Raises:
        OSError: if that can't be done.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
