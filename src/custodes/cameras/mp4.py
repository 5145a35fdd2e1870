# SPDX-License-Identifier: Apache-2.0
"""Files of recorded video, opened and measured: fragmented MP4 (ISO/IEC 14496-12) with one stream of pictures.

Their bytes came from a camera by way of a process that is not trusted: they are opened as MP4 and nothing else, from
an open file and no name, and whatever is wrong with them is one error.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

from custodes.cameras.codecs import mime_of
from custodes.cameras.paths import MOST_BYTES
from custodes.errors import IntegrityError

__all__ = ["Measured", "Video", "digest", "measured", "reading", "size_of", "whole"]

_BUFFER = 1 << 18
_OPTIONS = {  # to open decodes nothing, and begins no decoder
    "protocol_whitelist": "file",
    "enable_drefs": "0",
    "codec_whitelist": "none",
    "skip_frame": "all",
}
_MOST_BOXES = 1 << 17  # an hour has some thousands
_DAY = 86_400  # seconds


@dataclass(frozen=True, slots=True)
class Measured:
    """What a file holds: milliseconds from its first picture to the end of its last, pixels, what browsers call it."""

    length: int
    width: int
    height: int
    mime: str


class Video:
    """An open file of video.

    Attributes:
        stream: its pictures.
        codec: as libavcodec calls it.
        extradata: parameter sets.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._container = container
        self.stream = stream
        self.codec = stream.codec_context.name
        self.extradata = stream.codec_context.extradata or b""

    @property
    def base(self) -> Fraction:
        """Seconds of a tick of its packets' times."""
        return self.stream.time_base or Fraction(1, 1000)

    def packets(self) -> Iterator[Packet[VideoStream]]:
        """Yield its packets in the order of decoding; those without times or bytes are left out.

        Raises:
            IntegrityError: if it is damaged, or its times lie more than a day apart.
        """
        most = _DAY / self.base
        first: int | None = None
        with _told():
            for packet in self._container.demux(self.stream):
                if not packet.size or packet.pts is None or packet.dts is None:
                    continue
                first = packet.pts if first is None else first
                away = max(abs(packet.pts - first), abs(packet.dts - first), abs(packet.duration or 0))
                if away > most:
                    raise IntegrityError("A file of recorded video has impossible times.")
                yield packet


@contextmanager
def reading(file: BinaryIO) -> Iterator[Video]:
    """Open a file of video, which stays the caller's to close.

    Raises:
        IntegrityError: if it is no MP4 with a stream of pictures.
    """
    file.seek(0)
    with _told():
        container = av.open(file, "r", format="mp4", options=_OPTIONS, buffer_size=_BUFFER)
    with container:
        streams = container.streams.video
        if len(streams) != 1 or streams[0].codec_context is None:
            raise IntegrityError("A file of recorded video has no stream of pictures.")
        yield Video(container, streams[0])


def measured(file: BinaryIO) -> Measured:
    """Measure a file by all of its packets; none is decoded. The first one's time is that of the file's name.

    Raises:
        IntegrityError: if it is no MP4 with pictures, is damaged, or would be longer than a day.
    """
    with reading(file) as video:
        first = until = last = None
        for packet in video.packets():
            assert packet.pts is not None
            step = max(0, packet.duration or (0 if last is None else packet.pts - last))
            first = packet.pts if first is None else first
            until = max(first if until is None else until, packet.pts + step)
            last = packet.pts
        codec = video.stream.codec_context
        if first is None or until is None or not (codec.width > 0 and codec.height > 0):
            raise IntegrityError("A file of recorded video has no pictures.")
        length = (until - first) * video.base
        if length > _DAY:
            raise IntegrityError("A file of recorded video has impossible times.")
        return Measured(max(1, round(length * 1000)), codec.width, codec.height, mime_of(video.codec, video.extradata))


def whole(file: BinaryIO) -> int:
    """Return how many bytes of a file that was being written are whole fragments; 0 if none is.

    What lies behind a hole, as a power cut may leave one, is none.
    """
    size = min(_solid(file), MOST_BYTES)
    at = end = boxes = 0
    begun = moving = False  # a movie box has been; a fragment waits for its data
    while at + 8 <= size and boxes < _MOST_BOXES:
        boxes += 1
        file.seek(at)
        head = file.read(16)
        length, kind = struct.unpack(">I4s", head[:8])
        if length == 1 and len(head) == 16:
            length = struct.unpack(">Q", head[8:])[0]
        if length < 8 or at + length > size or (at == 0) != (kind == b"ftyp"):
            break
        at += length
        begun = begun or kind == b"moov"
        if (kind == b"mdat" and moving) or (kind == b"mfra" and end):
            end = at
        moving = begun and (kind == b"moof" or (moving and kind != b"mdat"))
    return end


def size_of(file: BinaryIO) -> int:
    """Return how many bytes a complete file has.

    Raises:
        IntegrityError: if no recorder has written it: there are none, more than it writes, or holes between them.
    """
    size = file.seek(0, os.SEEK_END)
    if not 0 < size <= MOST_BYTES or _solid(file) < size:
        raise IntegrityError("A file of recorded video hasn't the size that it can have.")
    return size


def _solid(file: BinaryIO) -> int:
    """Return how many bytes a file has before its first hole."""
    size = file.seek(0, os.SEEK_END)
    try:
        return os.lseek(file.fileno(), 0, os.SEEK_HOLE)
    except (AttributeError, OSError):  # this system can't tell, or the file is empty
        return size
    finally:
        os.lseek(file.fileno(), size, os.SEEK_SET)  # where the file believes that it is


def digest(file: BinaryIO) -> bytes:
    """Return the SHA-256 of a file's bytes."""
    made = hashlib.sha256()
    file.seek(0)
    while part := file.read(1 << 20):
        made.update(part)
    return made.digest()


@contextmanager
def _told() -> Iterator[None]:
    """Raise what libavformat and libavcodec say as an error of this house."""
    try:
        yield
    except (FFmpegError, ValueError, OverflowError) as e:
        raise IntegrityError("A file of recorded video is damaged.") from e
