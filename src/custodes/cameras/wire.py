# SPDX-License-Identifier: Apache-2.0
"""What the process that reads a camera and the server say to each other, over a pair of sockets.

A message is a JSON object with its ``type`` and, for some, bytes after it: four bytes with the length of the object,
four with that of the bytes (both big-endian), the object, the bytes. The reading process is not trusted with more than
its own camera: the server checks all that comes from it.

The server says: :class:`Begin` (once, first), :class:`Credit` (it takes one more frame), :class:`Live` (somebody looks,
or nobody does any more), :class:`Stop`. The reader says all others.
"""

from __future__ import annotations

import struct
from dataclasses import asdict, dataclass, field, fields
from typing import Any, BinaryIO

import orjson

from custodes.errors import IntegrityError

__all__ = [
    "Begin",
    "Credit",
    "Down",
    "Frame",
    "Init",
    "Live",
    "Message",
    "Moof",
    "Motion",
    "SegmentDone",
    "Still",
    "Stop",
    "Trouble",
    "Up",
    "read_message",
    "write_message",
]

_HEAD = struct.Struct(">II")
_MOST_HEADER = 1 << 16
_MOST_PAYLOAD = 1 << 28


@dataclass(frozen=True, slots=True)
class Begin:
    """What to read, and what to do with it.

    Attributes:
        camera: its id.
        url, substream: as :class:`~custodes.cameras.model.Camera` has them; secrets, so they go by this socket alone.
        folder: where segments are written, an absolute path; empty if nothing is kept.
        masks, zones: polygons, as ratios; ``zones`` is empty if motion counts everywhere.
        segment_seconds: least length of a segment.
        frames_per_second: at most so many frames are sent while something moves.
        free_bytes: recording stops, and says so, while the disk has less.
        most_pixels: larger pictures are recorded and never decoded.
        file_root: folder below which files may be read; empty for none.
    """

    camera: str
    url: str = field(repr=False)
    substream: str = field(repr=False)
    folder: str
    masks: list[list[list[float]]]
    zones: list[list[list[float]]]
    segment_seconds: float
    frames_per_second: float
    free_bytes: int
    most_pixels: int
    file_root: str


@dataclass(frozen=True, slots=True)
class Credit:
    """One more frame may be sent; whoever has no credit drops it."""

    frames: int = 1


@dataclass(frozen=True, slots=True)
class Live:
    """Whether live fragments are wanted."""

    on: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """End: close the segment that is being written, and the connection."""


@dataclass(frozen=True, slots=True)
class Up:
    """The camera is there.

    Attributes:
        at: when.
        width, height: pixels.
        codec: as libavcodec calls it: ``h264``.
        mime: what Media Source Extensions call it (``video/mp4; codecs="avc1.64001f"``); empty if browsers don't know
            it.
    """

    at: int
    width: int
    height: int
    codec: str
    mime: str


@dataclass(frozen=True, slots=True)
class Down:
    """The camera is gone: ``ended``, ``frozen``, ``refused`` (credentials), ``unreachable``, ``unreadable``."""

    at: int
    why: str


@dataclass(frozen=True, slots=True)
class SegmentDone:
    """A segment is complete on the disk.

    Attributes:
        start, end: of its pictures, milliseconds since 1970.
        size: of the file, in bytes.
        sha256: of the file, hexadecimal.
        width, height, mime: as of :class:`Up`.
    """

    start: int
    end: int
    size: int
    sha256: str
    width: int
    height: int
    mime: str


@dataclass(frozen=True, slots=True)
class Motion:
    """Something has begun to move, at ``at``, in a box ``left, top, right, bottom`` of ratios."""

    at: int
    box: list[float]


@dataclass(frozen=True, slots=True)
class Still:
    """Nothing moves any more; what began at ``start`` ended at ``end``."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture in which something moves; the bytes are its ``(height, width, 3)`` uint8 BGR pixels, masks black.

    Attributes:
        at: when, milliseconds since 1970.
        width, height: pixels.
        box: where something moves: left, top, right, bottom, as ratios.
        dropped: frames that weren't sent since the last one for want of credit.
    """

    at: int
    width: int
    height: int
    box: list[float]
    dropped: int


@dataclass(frozen=True, slots=True)
class Init:
    """The bytes are the initialisation segment of the live stream (ISO BMFF); a new one follows a new resolution."""

    mime: str


@dataclass(frozen=True, slots=True)
class Moof:
    """The bytes are a movie fragment of the live stream; ``key``: it begins with a picture that needs no other."""

    at: int
    key: bool


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something is wrong that people should know: ``disk-full``, ``disk-ok``, ``undecodable``, ``too-large``,
    ``codec`` (a stream that can't be recorded)."""

    at: int
    code: str


Message = Begin | Credit | Live | Stop | Up | Down | SegmentDone | Motion | Still | Frame | Init | Moof | Trouble

_TYPES: dict[str, type[Any]] = {
    t.__name__: t for t in (Begin, Credit, Live, Stop, Up, Down, SegmentDone, Motion, Still, Frame, Init, Moof, Trouble)
}
_KINDS: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,)}


def write_message(stream: BinaryIO, message: Message, payload: bytes | memoryview = b"") -> None:
    """Write a message and its bytes, and flush.

    Raises:
        OSError: if the other side is gone.
    """
    header = orjson.dumps({"type": type(message).__name__, **asdict(message)})
    stream.write(_HEAD.pack(len(header), len(payload)) + header)
    if len(payload):
        stream.write(payload)
    stream.flush()


def read_message(stream: BinaryIO) -> tuple[Message, bytes] | None:
    """Read a message and its bytes; None at the end.

    Raises:
        IntegrityError: if it is none, or is too long.
        OSError: if the connection broke.
    """
    head = _exactly(stream, _HEAD.size)
    if head is None:
        return None
    length, more = _HEAD.unpack(head)
    if length > _MOST_HEADER or more > _MOST_PAYLOAD:
        raise IntegrityError("A message of a camera's process is too long.")
    header, payload = _exactly(stream, length), _exactly(stream, more)
    if header is None or payload is None:
        return None
    return _parsed(header), payload


def _exactly(stream: BinaryIO, size: int) -> bytes | None:
    parts: list[bytes] = []
    while size:
        part = stream.read(size)
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _parsed(header: bytes) -> Message:
    try:
        told = orjson.loads(header)
        kind = _TYPES[told.pop("type")]
    except (orjson.JSONDecodeError, KeyError, AttributeError, TypeError) as e:
        raise IntegrityError("A message of a camera's process can't be read.") from e
    for f in fields(kind):
        wanted = _KINDS.get(str(f.type), (list,))
        value = told.get(f.name)
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            raise IntegrityError(f"A message {kind.__name__} of a camera's process has no good {f.name}.")
    if len(told) != len(fields(kind)):
        raise IntegrityError(f"A message {kind.__name__} of a camera's process has strange fields.")
    made: Message = kind(**told)
    return made
