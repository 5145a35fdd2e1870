# SPDX-License-Identifier: Apache-2.0
"""Clips of recorded video: cut without loss, or picture by picture for whoever makes a derivative.

A cut begins with the last picture at or before the time asked for that needs no other, and its packets are those that
the camera sent, bit by bit. Where nothing was recorded, a clip stands still for as long.

A file whose hash is not the one in the index is not used.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from io import RawIOBase
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, cast

import av
import numpy as np
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from custodes.cameras.codecs import DECODED
from custodes.cameras.model import Segment, Span
from custodes.cameras.moments import from_ms
from custodes.cameras.mp4 import Video, digest, reading
from custodes.cameras.paths import open_segment
from custodes.domain import UInt8
from custodes.errors import IntegrityError, Invalid, NotFound, TooLarge, Unavailable

__all__ = ["Cut", "cut", "frames"]

_TICKS = 90  # of a millisecond, in clips
_BUFFER = 1 << 18
_MOST_PIXELS = 40_000_000
_PADDED, _PADDING = 2, 1 << 14  # decoders count the edges that they add


@dataclass(frozen=True, slots=True)
class Cut:
    """What a clip is.

    Attributes:
        asked: the stretch of time that was asked for.
        real: from the first picture to the end of the last one: it may begin earlier, and end earlier or a little
            later.
        packets: how many it has.
        packets_sha256: SHA-256 of the bytes of all packets, one after the other in the order of decoding: what
            ``ffmpeg -i CLIP -c copy -f hash -hash sha256 -`` tells of the clip.
        codec: as libavcodec calls it.
        width, height: pixels.
    """

    asked: Span
    real: Span
    packets: int
    packets_sha256: bytes
    codec: str
    width: int
    height: int


def cut(segments: Sequence[Segment], folder: Path, span: Span, out: BinaryIO | Path) -> Cut:
    """Cut a clip out of recorded video, without decoding anything, into an MP4 file that can be played while it loads.

    Args:
        segments: of one camera, among them all that overlap the span; others aren't opened.
        folder: where video lies, of all cameras.
        span: what is asked for.
        out: where the clip is written to. A file appears when it is complete, readable by its owner alone; a stream
            gets nothing before the clip is complete, which is in memory until then: no disk sees anything.

    Raises:
        NotFound: if nothing was recorded then, or a file was deleted meanwhile.
        Invalid: if size or encoding of the pictures change within the span.
        IntegrityError: if a file is damaged, or isn't the one that was recorded.
        Unavailable: if the clip can't be written, or a file can't be read.
    """
    pieces = _pieces(segments, span)
    for one, other in pairwise(pieces):
        if (one.width, one.height, one.mime) != (other.width, other.height, other.mime):
            raise _changed(other)
    try:
        with _draft(folder, out) as draft:
            return _written(pieces, folder, span, draft)
    except FFmpegError as e:
        raise IntegrityError("No clip can be made of this video.") from e
    except OSError as e:
        raise Unavailable(f"The clip can't be written: {e.strerror}.") from e


def frames(
    segments: Sequence[Segment], folder: Path, span: Span, *, threads: int = 1, most_pixels: int = _MOST_PIXELS
) -> Iterator[tuple[int, UInt8]]:
    """Decode the pictures of a stretch of time; those that are damaged beyond decoding are left out.

    Args:
        segments: of one camera, among them all that overlap the span; others aren't opened.
        folder: where video lies, of all cameras.
        span: from when to when.
        threads: that decode.
        most_pixels: larger pictures aren't decoded.

    Returns:
        An iterator of times (milliseconds since 1970) and pictures, ``(height, width, 3)`` uint8 BGR, whose size may
        change. It raises what is told here, too.

    Raises:
        NotFound: if nothing was recorded then, or a file was deleted meanwhile.
        TooLarge: if the pictures are larger.
        IntegrityError: if a file is damaged, or isn't the one that was recorded.
        Unavailable: if a file can't be read.
    """
    return _decoded(_pieces(segments, span), folder, span, threads, most_pixels)


# --- what is needed ---


def _pieces(segments: Sequence[Segment], span: Span) -> list[Segment]:
    needed = sorted((s for s in segments if s.span.overlaps(span)), key=lambda s: s.start)
    if not needed:
        raise NotFound("Nothing was recorded then.", remedy="The timeline shows what there is.")
    return needed


def _changed(segment: Segment) -> Invalid:
    at = datetime.fromtimestamp(segment.start // 1000, UTC)
    return Invalid(
        f"The size or the encoding of the pictures changes at {at:%Y-%m-%d %H:%M:%S} UTC, within this stretch of time.",
        remedy="Make one clip that ends before, and one that begins after that.",
    )


@contextmanager
def _piece(folder: Path, segment: Segment) -> Iterator[Video]:
    """Open a file of video that is what the index says."""
    with open_segment(folder, segment.camera, segment.start) as file:
        if digest(file) != segment.sha256:
            raise IntegrityError("A file of recorded video isn't the one that was recorded.")
        with reading(file) as video:
            yield video


def _chosen(video: Video, segment: Segment, span: Span) -> Iterator[tuple[Packet[VideoStream], int]]:
    """Yield what is needed of a file, and the ticks of its first packet: from the last key picture at or before the
    beginning, to the last packet that is decoded before the end.
    """
    held: list[Packet[VideoStream]] = []
    first: int | None = None
    begun = False
    for packet in video.packets():
        assert packet.pts is not None
        assert packet.dts is not None
        if first is None:
            if not packet.is_keyframe:
                continue
            first = packet.pts
        if _at(segment, packet.dts - first, video.base) >= span.end:
            break
        if packet.is_keyframe and not begun:
            if _at(segment, packet.pts - first, video.base) > span.start:
                begun = True
                yield from ((p, first) for p in held)
            held.clear()
        if begun:
            yield packet, first
        else:
            held.append(packet)
    if first is not None:
        yield from ((p, first) for p in held)


def _at(segment: Segment, ticks: int, base: Fraction) -> int:
    return segment.start + round(ticks * base * 1000)


# --- cutting ---


@dataclass(slots=True)
class _Writer:
    """A clip that is being written; times in ticks of 1/90000 second since its first picture."""

    container: OutputContainer
    stream: VideoStream | None = None
    codec: str = ""
    extradata: bytes = b""
    start: int = 0
    end: int = 0
    packets: int = 0
    sha256: hashlib._Hash = field(default_factory=hashlib.sha256)
    decoded: int | None = None  # when the last packet was
    shown: int = 0  # to when all packets are

    def take(self, video: Video, segment: Segment, span: Span) -> None:
        """Write what is needed of a file."""
        lift: int | None = None
        for packet, first in _chosen(video, segment, span):
            assert packet.pts is not None
            assert packet.dts is not None
            if self.stream is None:
                self._begin(video, _at(segment, packet.pts - first, video.base))
            elif (video.codec, video.extradata) != (self.codec, self.extradata):
                raise _changed(segment)
            lasting = max(0, packet.duration or 0)
            self.end = max(self.end, _at(segment, packet.pts - first + lasting, video.base))
            shown, decoded, duration = (
                round(t * video.base * 1000 * _TICKS) for t in (packet.pts - first, packet.dts - first, lasting)
            )
            if lift is None:  # files follow one another, whatever the clock did
                natural = (segment.start - self.start) * _TICKS
                lift = max(natural, self.shown - shown) if self.packets else natural
            self._write(packet, shown + lift, decoded + lift, duration)

    def _begin(self, video: Video, at: int) -> None:
        self.codec, self.extradata, self.start = video.codec, video.extradata, at
        self.stream = self.container.add_stream_from_template(video.stream)
        self.stream.time_base = Fraction(1, 1000 * _TICKS)
        if video.codec == "hevc":  # as all players know it
            self.stream.codec_context.codec_tag = "hvc1"
        self.container.metadata["creation_time"] = from_ms(at).isoformat()

    def _write(self, packet: Packet[VideoStream], shown: int, decoded: int, duration: int) -> None:
        assert self.stream is not None
        if self.decoded is not None:
            decoded = max(decoded, self.decoded + 1)
        self.sha256.update(packet)
        packet.pts, packet.dts, packet.duration = max(shown, decoded), decoded, duration
        packet.time_base = Fraction(1, 1000 * _TICKS)
        packet.stream = self.stream
        self.decoded, self.shown = decoded, max(self.shown, packet.pts + duration)
        self.packets += 1
        self.container.mux(packet)


def _written(pieces: list[Segment], folder: Path, span: Span, draft: BinaryIO) -> Cut:
    """Write a clip to an empty file."""

    def again(_url: str, _flags: int, _options: dict[str, str]) -> _Again:
        draft.flush()
        return _Again(draft)

    options = {"movflags": "+faststart"}
    with av.open(draft, "w", format="mp4", options=options, buffer_size=_BUFFER, io_open=again) as container:
        writer = _Writer(container)
        for segment in pieces:
            with _piece(folder, segment) as video:
                writer.take(video, segment, span)
        if not writer.packets:
            raise NotFound("Nothing was recorded then.", remedy="The timeline shows what there is.")
    return Cut(
        asked=span,
        real=Span(writer.start, max(writer.end, writer.start + 1)),
        packets=writer.packets,
        packets_sha256=writer.sha256.digest(),
        codec=writer.codec,
        width=pieces[0].width,
        height=pieces[0].height,
    )


class _Again(RawIOBase):
    """The draft, read from its beginning while it is written: libavformat moves the index to the front so."""

    def __init__(self, draft: BinaryIO) -> None:
        super().__init__()
        self._draft = draft
        self._at = 0

    def readable(self) -> bool:
        """Tell that it is read from."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be read from anywhere."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Read up to ``size`` bytes."""
        told = os.pread(self._draft.fileno(), size, self._at)
        self._at += len(told)
        return told

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to an offset from the beginning; libavformat asks for nothing else."""
        assert whence == os.SEEK_SET
        self._at = offset
        return self._at

    def tell(self) -> int:
        """Tell where it is."""
        return self._at


@contextmanager
def _draft(folder: Path, out: BinaryIO | Path) -> Iterator[BinaryIO]:
    """Open an empty file for a clip, and hand the clip over when it is complete.

    For a stream it is in memory alone, so that nothing stays behind, whatever happens.
    """
    if not isinstance(out, Path):
        with _unwritten(folder) as file:
            yield file
            file.seek(0)
            shutil.copyfileobj(file, out, _BUFFER)
        return
    descriptor, name = tempfile.mkstemp(prefix=".clip-", dir=out.parent)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(out)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _unwritten(folder: Path) -> BinaryIO:
    """Return an empty file that is in memory alone, or where there is no such thing has no name."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("clip"), "w+b")
    return cast(BinaryIO, tempfile.TemporaryFile(dir=folder))


# --- pictures ---


def _decoded(
    pieces: list[Segment], folder: Path, span: Span, threads: int, most_pixels: int
) -> Iterator[tuple[int, UInt8]]:
    found = False
    for segment in pieces:
        with _piece(folder, segment) as video:
            codec = video.stream.codec_context
            if video.codec not in DECODED:
                raise IntegrityError("No camera records what is in this file.")
            if codec.width * codec.height > most_pixels:
                raise TooLarge(f"The pictures have {codec.width}x{codec.height} pixels, more than are decoded here.")
            codec.options = {"max_pixels": str(_PADDED * most_pixels + _PADDING)}  # a stream may tell another size
            codec.thread_count, codec.thread_type = threads, "NONE" if threads == 1 else "AUTO"
            for at, picture in _pictures(video, segment, span, most_pixels):
                found = True
                yield at, picture
    if not found:
        raise NotFound("There is no picture in this stretch of time.")


def _pictures(video: Video, segment: Segment, span: Span, most_pixels: int) -> Iterator[tuple[int, UInt8]]:
    for frame, first in _frames(video, segment, span):
        at = -1 if frame.pts is None else _at(segment, frame.pts - first, video.base)
        if span.start <= at < span.end and frame.width * frame.height <= most_pixels:
            yield at, np.ascontiguousarray(frame.to_ndarray(format="bgr24"), np.uint8)


def _frames(video: Video, segment: Segment, span: Span) -> Iterator[tuple[VideoFrame, int]]:
    """Yield what is decoded of a file, and the ticks of its first packet."""
    first = 0
    for packet, first in _chosen(video, segment, span):
        yield from ((frame, first) for frame in _decode(video, packet))
    yield from ((frame, first) for frame in _decode(video, None))


def _decode(video: Video, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
    """Decode a packet, or at the end what is left; nothing comes of one that is damaged, or needs one that is."""
    try:
        return video.stream.codec_context.decode(packet)
    except FFmpegError:
        return []
