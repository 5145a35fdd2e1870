# SPDX-License-Identifier: Apache-2.0
"""One connection to a camera: packets of pictures with times, until it is lost, which is always said why.

Only video is read: sound is left out, since the law treats what people say at a door otherwise than what they look
like, and no part of the house needs it.

Times: the first packet's is the clock's when it arrived, each further one's lies as much later as its timestamp. Where
timestamps jump, they are shifted so that the clock is right again; where the two drift apart by more than two
seconds, the clock is set anew at a key picture, which says so (``cut``), and a new segment begins there.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Self

import av
import av.logging
from av.error import (
    ExitError,
    FFmpegError,
    HTTPForbiddenError,
    HTTPUnauthorizedError,
    InvalidDataError,
)
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from custodes.cameras.moments import now_ms
from custodes.cameras.shapes import Shape, shape_of
from custodes.cameras.sources import Source, SourceKind
from custodes.errors import Unavailable

__all__ = ["Connection", "Lost", "Picture", "Stamp", "Timeline"]

_PATIENCE = 4.0
"""Seconds until a camera that says nothing is lost; with what closing takes it is noticed within five."""
_LISTEN = 15.0
"""Seconds for which a camera is waited for that pushes; who connects and says nothing has no more either."""
_DRIFT = 2000  # milliseconds
_LATE = 3000  # milliseconds for which pictures may come late, as after a jam of the network
_RUNAWAY = 30_000  # milliseconds by which times may be ahead while no key picture comes
_BACK, _AHEAD = -1, 10
"""Seconds by which a timestamp may lie before and after the one before it; beyond, it has jumped."""
_STEP = Fraction(1, 15)  # seconds between pictures, until it is known
_BLIND = 10.0
"""Seconds for which no key picture may come with a header that can be read, at the beginning."""


class Lost(Unavailable):
    """The camera is gone; ``code`` is what :class:`~custodes.cameras.wire.Down` says of it."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The camera is gone: {why}.", code=why)


# --- Times ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a picture is shown and decoded.

    Attributes:
        pts, dts: ticks that only rise (``dts``), without jumps; ``dts`` is at most ``pts``.
        at: milliseconds since 1970.
        step: ticks until the next picture, as far as can be told.
        cut: whether the clock was set anew here.
    """

    pts: int
    dts: int
    at: int
    step: int
    cut: bool


class Timeline:
    """Makes times of a connection's timestamps.

    Args:
        base: seconds of a tick.
    """

    def __init__(self, base: Fraction) -> None:
        self._base = base
        self._shift = 0
        self._raw: int | None = None  # the last packet's timestamp as it came
        self._dts = 0
        self._seen = 0
        self._step = max(1, self._ticks(_STEP))
        self._anchor = (0, 0)  # a tick, and its time
        self._late_since: int | None = None

    def _ticks(self, seconds: float | Fraction) -> int:
        return round(seconds / self._base)

    def stamp(self, pts: int | None, dts: int | None, *, key: bool, now: int, restarted: bool = False) -> Stamp:
        """Return the times of the next packet.

        Args:
            pts, dts: as the container says.
            key: whether it is a key picture.
            now: milliseconds since 1970.
            restarted: whether timestamps have begun again.
        """
        first = self._raw is None
        if pts is None:
            pts = dts if dts is not None else (0 if self._raw is None else self._raw + self._step)
        raw = pts if dts is None else dts
        if self._raw is not None:
            moved = raw - self._raw
            runs_away = self._at(raw + self._shift) - now > _RUNAWAY
            if restarted or runs_away or not self._ticks(_BACK) <= moved <= self._ticks(_AHEAD):
                elapsed = min(self._ticks(Fraction(max(0, now - self._seen), 1000)), self._ticks(3600))
                self._shift = self._dts + max(1 if runs_away else self._step, elapsed) - raw
        self._raw, self._seen = raw, now
        pts += self._shift
        dts = None if dts is None else dts + self._shift
        if first:
            self._anchor, self._dts = (pts, now), pts if dts is None else min(dts, pts)
        else:
            dts = self._dts + 1 if dts is None or dts > pts else max(dts, self._dts + 1)
            if dts - self._dts > 1:
                self._step = dts - self._dts
            self._dts = dts
        pts = max(pts, self._dts)
        cut = key and not first and self._has_drifted(pts, now)
        if cut:
            self._anchor, self._late_since = (pts, now), None
        return Stamp(pts, self._dts, self._at(pts), self._step, cut)

    def _at(self, pts: int) -> int:
        return self._anchor[1] + round((pts - self._anchor[0]) * self._base * 1000)

    def _has_drifted(self, pts: int, now: int) -> bool:
        late = now - self._at(pts)
        if late <= _DRIFT:
            self._late_since = None
            return late < -_DRIFT
        if self._late_since is None:
            self._late_since = now
        return now - self._late_since >= _LATE


@dataclass(frozen=True, slots=True)
class Picture:
    """A packet: a picture as the camera has encoded it.

    Attributes:
        packet: its bytes; never changed, so that several may read it.
        key: whether it needs no other.
        stamp: when.
        base: seconds of a tick.
        shape: of this picture, and those after it.
    """

    packet: Packet[VideoStream]
    key: bool
    stamp: Stamp
    base: Fraction
    shape: Shape

    @property
    def at(self) -> int:
        """When, in milliseconds since 1970."""
        return self.stamp.at

    @property
    def end(self) -> int:
        """When the next one is due, in milliseconds since 1970."""
        return self.stamp.at + max(1, round(self.stamp.step * self.base * 1000))

    def packed(self, origin: int = 0) -> Packet[Stream]:
        """Return a packet of the same bytes, which aren't copied; its ticks count from ``origin``."""
        made: Packet[Stream] = Packet(self.packet)  # type: ignore[arg-type]  # whatever has a buffer will do
        made.pts, made.dts, made.duration = self.stamp.pts - origin, self.stamp.dts - origin, self.stamp.step
        made.time_base = self.base
        made.is_keyframe = self.key
        return made


# --- The connection ---------------------------------------------------------------------------------------------------


class Connection:
    """An open source; use it with ``with``, and read its :meth:`pictures`.

    Args:
        source: what to open.
        patience: seconds until silence counts as lost.

    Raises:
        Lost: ``refused`` if credentials (or a pushing camera's key) are wrong, ``unreachable`` if nobody answers,
            ``unreadable`` if what answers isn't what the source says, or sends us to another place.
    """

    def __init__(self, source: Source, *, patience: float = _PATIENCE) -> None:
        self._source = source
        self._patience = patience
        timeout = (_LISTEN if source.kind == SourceKind.RTMP else patience, patience)
        begun = time.monotonic()
        try:
            with _heard(source) as heard:
                self._container = av.open(
                    source.url, "r", format=source.format, options=source.options, timeout=timeout
                )
        except (FFmpegError, OSError, ValueError) as e:
            waited = time.monotonic() - begun >= timeout[0] * 0.9
            raise Lost("unreachable" if waited else _why_not_open(e)) from None  # the error's text has the URL in it
        try:
            if any("Unexpected stream" in line or "App field" in line for line in heard):
                raise Lost("refused")
            if not self._container.streams.video or self._container.streams.video[0].codec_context is None:
                raise Lost("unreadable")
        except BaseException:
            self._container.close()
            raise
        self._stream = self._container.streams.video[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._container.close()

    def pictures(self) -> Iterator[Picture]:
        """Yield the camera's pictures, from the first on of which is known how large it is.

        Raises:
            Lost: always in the end: ``ended``, ``frozen`` if nothing came for a while, ``unreadable``.
        """
        context = self._stream.codec_context
        base = self._stream.time_base or Fraction(1, 90_000)
        timeline = Timeline(base)
        extradata, begun = context.extradata or b"", time.monotonic()
        declared = (context.width, context.height)
        shape = shape_of(context.name, extradata, b"", declared)
        for packet, restarted in self._packets():
            key = packet.is_keyframe
            now = now_ms()
            stamp = timeline.stamp(packet.pts, packet.dts, key=key, now=now, restarted=restarted)
            if packet.has_sidedata("new_extradata"):
                extradata = bytes(packet.get_sidedata("new_extradata"))
            if key:
                found = shape_of(context.name, extradata, bytes(packet), declared)
                shape = found or shape
                extradata = extradata if found is None else found.extradata
            if shape is not None:
                yield Picture(packet, key, stamp, base, shape)
            elif time.monotonic() - begun > _BLIND:
                raise Lost("unreadable")

    def _packets(self) -> Iterator[tuple[Packet[VideoStream], bool]]:
        """Yield packets, and whether timestamps begin again with them."""
        if self._source.kind == SourceKind.FILE:
            yield from self._over_and_over()
        asked = time.monotonic()
        try:
            for packet in self._container.demux(self._stream):
                silent = time.monotonic() - asked > self._patience * 0.95
                if packet.size:
                    yield packet, False
                if silent:  # libav gives out what it still had, and keeps to itself that it has waited in vain
                    raise Lost("frozen")
                asked = time.monotonic()
        except (FFmpegError, OSError, ValueError) as e:
            raise Lost(_why_lost(e)) from None
        raise Lost("ended")

    def _over_and_over(self) -> Iterator[tuple[Packet[VideoStream], bool]]:
        """Yield a file's packets as fast as they were taken, again and again."""
        while True:
            pace = _Pace(self._stream.time_base or Fraction(1, 90_000))
            try:
                for packet in self._container.demux(self._stream):
                    if packet.size:
                        pace.wait(packet.dts if packet.dts is not None else packet.pts)
                        yield packet, pace.packets == 1
            except (FFmpegError, OSError, ValueError):
                pass  # it is cut off or damaged here: what there was is shown again
            if not pace.packets:
                raise Lost("unreadable")
            pace.wait(None)
            try:
                self._container.seek(0)
            except (FFmpegError, OSError, ValueError):
                raise Lost("unreadable") from None


class _Pace:
    """Lets packets of a file out in time; the last one, too, lasts as long as one before."""

    def __init__(self, base: Fraction) -> None:
        self.packets = 0
        self._base = base
        self._first = 0
        self._last = 0
        self._step = 0.04
        self._begun = time.monotonic()

    def wait(self, tick: int | None) -> None:
        """Wait until a packet is due, at most a second."""
        if tick is None:
            time.sleep(min(max(self._step, 0.001), 1.0))
            return
        self._first = tick if not self.packets else self._first
        if self.packets and tick > self._last:
            self._step = float((tick - self._last) * self._base)
        self._last = tick
        self.packets += 1
        due = self._begun + float((tick - self._first) * self._base)
        late = time.monotonic() - due
        if late > 1 or late < -1:  # its times are nonsense, or this machine slept
            self._begun += late + (self._step if late < 0 else 0)
            late = -min(self._step, 1.0) if late < 0 else 0
        if late < 0:
            time.sleep(-late)


# --- What libav says --------------------------------------------------------------------------------------------------


class _Ear:
    """Lets libav speak while anybody listens to it; threads hear what is said to themselves, every word of it."""

    def __init__(self) -> None:
        av.logging.set_skip_repeated(False)  # else the same wrong key might pass the second time
        self._lock = threading.Lock()
        self._listening = 0

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Let it speak."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, more: int) -> None:
        with self._lock:
            self._listening += more
            av.logging.set_level(av.logging.WARNING if self._listening else None)


_EAR = _Ear()


@contextlib.contextmanager
def _heard(source: Source) -> Iterator[list[str]]:
    """Collect what libav says while a camera that pushes connects; nothing of it is shown.

    libav's RTMP server takes any key, and only grumbles about a wrong one: whoever heeds that refuses it.
    """
    lines: list[str] = []
    if source.kind != SourceKind.RTMP:
        yield lines
        return
    with _EAR.listening(), av.logging.Capture() as logs:
        yield lines
        lines.extend(line for _, name, line in logs if name == "rtmp")


def _why_not_open(error: Exception) -> str:
    if isinstance(error, (HTTPUnauthorizedError, HTTPForbiddenError)):
        return "refused"
    if isinstance(error, InvalidDataError) or (isinstance(error, ValueError) and not isinstance(error, OSError)):
        return "unreadable"
    return "unreachable"


def _why_lost(error: Exception) -> str:
    if isinstance(error, ExitError):
        return "frozen"
    return "ended" if isinstance(error, OSError) else "unreadable"
