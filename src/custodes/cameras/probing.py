# SPDX-License-Identifier: Apache-2.0
"""What a stream really gives, measured by a process of its own: no keys, no files, little memory and little time.

``python -m custodes.cameras.probing`` reads one :class:`Ask` (JSON) from its standard input and writes one
:class:`Measured` to its standard output. It reads hostile video, so it imports no more of this house than that needs;
the URL, a secret, never stands among its arguments. Whoever asked checks what comes back.
"""

from __future__ import annotations

import contextlib
import math
import os
import selectors
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field, fields
from typing import IO, TYPE_CHECKING

import orjson

from custodes.cameras.codecs import DECODED, mime_of
from custodes.cameras.confine import ENVIRONMENT, confine
from custodes.cameras.sources import SourceKind, parse_source
from custodes.errors import CustodesError, IntegrityError

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

__all__ = ["Ask", "Measured", "measure", "probe"]

_MOST_ANSWER = 1 << 16
_MOST_PACKETS = 100_000
_STARTING = 10.0
"""Seconds that a process takes to begin, at most, on a slow machine."""
_WHY = frozenset(
    ("", "refused", "unreachable", "no-path", "no-push", "silent", "unreadable", "no-video", "unsupported", "died")
)


@dataclass(frozen=True, slots=True)
class Ask:
    """What to measure.

    Attributes:
        url: of the stream; a secret.
        file_root: folder below which files may stand in for cameras; empty for none.
        seconds: for how long it is looked at; twice as long if there was hardly a key picture.
        patience: seconds that it may say nothing.
    """

    url: str = field(repr=False)
    file_root: str
    seconds: float
    patience: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What a stream gives.

    Attributes:
        why: why there is nothing of it: ``refused`` (credentials), ``unreachable``, ``no-path``, ``no-push`` (of a
            camera that connects to us), ``silent``, ``unreadable``, ``no-video``, ``unsupported`` (the URL), ``died``
            (the process); empty if there is.
        opening: seconds until the first picture arrived.
        seconds: of the stream that was looked at.
        pictures: how many there were.
        keys: how many of them need no other.
        interval: longest time from one key picture to the next that was seen, the last one's to the end included.
        size: bytes of all.
        codec, profile: as libavcodec calls them.
        mime: what browsers call it; empty if they don't know it.
        width, height: pixels; 0 if no picture could be decoded.
        reordered: whether pictures arrive in another order than they are shown (B-pictures).
        sound: codec of the first sound track, or empty.
    """

    why: str = ""
    opening: float = 0.0
    seconds: float = 0.0
    pictures: int = 0
    keys: int = 0
    interval: float = 0.0
    size: int = 0
    codec: str = ""
    profile: str = ""
    mime: str = ""
    width: int = 0
    height: int = 0
    reordered: bool = False
    sound: str = ""

    @property
    def fps(self) -> float:
        """Pictures a second."""
        return (self.pictures - 1) / self.seconds if self.seconds > 0 else 0.0

    @property
    def bits(self) -> float:
        """Bits a second."""
        return 8 * self.size / self.seconds if self.seconds > 0 else 0.0


# --- whoever asks ---


def measure(ask: Ask) -> Measured:
    """Measure a stream in a process of its own, which is killed if it takes too long or says too much."""
    command = [sys.executable, "-P", "-m", "custodes.cameras.probing"]
    end = time.monotonic() + _STARTING + 2 * ask.seconds + 2 * ask.patience
    with subprocess.Popen(  # noqa: S603 - this very module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ENVIRONMENT
    ) as child:
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            with contextlib.suppress(BrokenPipeError):
                child.stdin.write(orjson.dumps(asdict(ask)))
                child.stdin.close()
            answer = _heard(child.stdout, end)
        finally:
            child.kill()
    try:
        return _checked(answer)
    except IntegrityError:
        return Measured(why="died")


def _heard(stream: IO[bytes], end: float) -> bytes:
    """Return what a process says until it ends, or until a time of the monotonic clock."""
    parts, size = [], 0
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while size <= _MOST_ANSWER and selector.select(max(0.0, end - time.monotonic())):
            part = os.read(stream.fileno(), _MOST_ANSWER)
            if not part:
                break
            parts.append(part)
            size += len(part)
    return b"".join(parts)


def _checked(answer: bytes) -> Measured:
    """Return what a process that nobody trusts has measured.

    Raises:
        IntegrityError: if that can't be.
    """
    kinds: dict[str, type] = {f.name: type(f.default) for f in fields(Measured)}
    try:
        told = orjson.loads(answer)
    except orjson.JSONDecodeError as e:
        raise IntegrityError("The process that looks at a stream said nothing.") from e
    if not isinstance(told, dict) or told.keys() != kinds.keys():
        raise IntegrityError("The process that looks at a stream said something else.")
    for name, kind in kinds.items():
        value = told[name]
        if type(value) is not kind:
            raise IntegrityError(f"The process that looks at a stream gave no good {name}.")
        if isinstance(value, int | float) and not (math.isfinite(value) and 0 <= value < 1e15):
            raise IntegrityError(f"The process that looks at a stream gave no good {name}.")
        if isinstance(value, str) and (len(value) > 100 or not value.isprintable()):
            raise IntegrityError(f"The process that looks at a stream gave no good {name}.")
    measured = Measured(**told)
    if measured.why not in _WHY:
        raise IntegrityError("The process that looks at a stream gave no good why.")
    return measured


# --- the process ---


def probe(ask: Ask) -> Measured:
    """Look at a stream, here."""
    import av  # not where somebody only asks

    try:
        source = parse_source(ask.url, ask.file_root)
    except CustodesError:
        return Measured(why="unsupported")
    options = {k: v for k, v in source.options.items() if k != "allowed_media_types"}  # sound is to be seen here
    begun = time.monotonic()
    try:
        patience = (ask.patience, ask.patience)
        with av.open(source.url, format=source.format, options=options, timeout=patience) as container:
            if not container.streams.video:
                return Measured(why="no-video")
            return _looked(container, ask, begun, live=source.kind != SourceKind.FILE)
    except av.error.FFmpegError as e:
        why = _why(e, time.monotonic() - begun >= ask.patience)
        return Measured(why="no-push" if source.kind == SourceKind.RTMP else why)


def _why(error: av.error.FFmpegError, late: bool) -> str:
    """Return why a stream can't be looked at; late: it took as long as it may, and libav hides that at times."""
    import av

    match error:
        case av.error.HTTPUnauthorizedError() | av.error.HTTPForbiddenError():
            return "refused"
        case av.error.HTTPNotFoundError() | av.error.HTTPBadRequestError():
            return "no-path"
        case av.error.ExitError() | av.error.TimeoutError():
            return "silent"
        case av.error.InvalidDataError() | av.error.EOFError() | av.error.PatchWelcomeError():
            return "silent" if late else "unreadable"
        case _:
            return "unreachable"


@dataclass(slots=True)
class _Seen:
    """What has been seen of a stream: of each packet its time, or None, when it arrived, and whether it is a key."""

    times: list[float | None] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    keys: list[bool] = field(default_factory=list)
    size: int = 0

    def span(self) -> list[float]:
        """Return the packets' times; one without is put where it arrived."""
        shift = next((t - a for t, a in zip(self.times, self.arrivals, strict=True) if t is not None), 0.0)
        return [a + shift if t is None else t for t, a in zip(self.times, self.arrivals, strict=True)]


def _looked(container: InputContainer, ask: Ask, begun: float, *, live: bool) -> Measured:
    """Look at an open stream for as long as is asked."""
    stream, seen, opening, picture = container.streams.video[0], _Seen(), 0.0, None
    reordered, latest = False, -math.inf
    for packet in container.demux(stream):
        if packet.size == 0 or len(seen.times) >= _MOST_PACKETS:
            break
        now = time.monotonic() - begun
        opening = opening or now
        at = None if packet.pts is None else float(packet.pts * packet.time_base)
        seen.times.append(at)
        seen.arrivals.append(now)
        seen.keys.append(packet.is_keyframe)
        seen.size += packet.size
        if at is not None:
            reordered, latest = reordered or at < latest, max(latest, at)
        if packet.is_keyframe and picture is None:
            picture = _decoded(stream, packet)
        if _is_enough(seen, ask.seconds, now - opening if live else None):
            break
    if not seen.times:
        return Measured(why="silent")
    return _summed(stream, seen, opening, picture or (0, 0), reordered, container)


def _is_enough(seen: _Seen, seconds: float, waited: float | None) -> bool:
    """Tell whether a stream was looked at for long enough; twice as long if there was hardly a key picture."""
    if waited is None:
        known = [t for t in (seen.times[0], seen.times[-1]) if t is not None]
        waited = known[-1] - known[0] if known else 0.0
    return waited >= (seconds if sum(seen.keys) > 2 else 2 * seconds)


def _decoded(stream: VideoStream, packet: av.Packet[VideoStream]) -> tuple[int, int]:
    """Return the size of a key picture; nothing if it can't be decoded."""
    import av

    if stream.codec_context.name not in DECODED:
        return (0, 0)
    try:
        decoder = av.CodecContext.create(stream.codec_context.name, "r")
        decoder.extradata = stream.codec_context.extradata
        decoder.thread_count = 1
        copy = av.Packet(bytes(packet))
        frames = [*decoder.decode(copy), *decoder.decode(None)]  # type: ignore[attr-defined]
    except (av.error.FFmpegError, MemoryError, ValueError):
        return (0, 0)
    return (frames[0].width, frames[0].height) if frames else (0, 0)


def _summed(
    stream: VideoStream,
    seen: _Seen,
    opening: float,
    picture: tuple[int, int],
    reordered: bool,
    container: InputContainer,
) -> Measured:
    times = seen.span()
    first, last = min(times), max(times)
    keys = [t for t, key in zip(times, seen.keys, strict=True) if key]
    about = stream.codec_context
    sound = container.streams.audio
    return Measured(
        opening=opening,
        seconds=last - first,
        pictures=len(times),
        keys=len(keys),
        interval=max((b - a for a, b in zip([first, *keys], [*keys, last], strict=True)), default=last - first),
        size=seen.size,
        codec=about.name,
        profile=str(about.profile or ""),
        mime=mime_of(about.name, bytes(about.extradata or b"")),
        width=picture[0],
        height=picture[1],
        reordered=reordered,
        sound=sound[0].codec_context.name if sound else "",
    )


def _limit(ask: Ask) -> None:
    """Take from this process what it doesn't need."""
    import resource

    confine("", [ask.file_root] if ask.file_root else [], 0, urls=[ask.url], writes=0)
    seconds = math.ceil(_STARTING + 2 * ask.seconds + 2 * ask.patience)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))


def main() -> None:
    """Answer one question."""
    import av

    ask = Ask(**orjson.loads(sys.stdin.buffer.read(_MOST_ANSWER)))
    av.logging.set_level(None)
    _limit(ask)
    try:
        told = probe(ask)
    except MemoryError:
        told = Measured(why="unreadable")
    sys.stdout.buffer.write(orjson.dumps(asdict(told)))
    sys.stdout.buffer.flush()
    os._exit(0)  # a connection that hangs isn't waited for


if __name__ == "__main__":
    main()
