# SPDX-License-Identifier: Apache-2.0
"""What a camera gives, in plain words: whether that is good, and what to do if it isn't.

Streams are measured by processes of their own (:mod:`~custodes.cameras.probing`); what is said here is made of numbers,
and holds neither URLs nor anything else that a camera says.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from custodes.cameras.probing import Ask, Measured, measure
from custodes.cameras.sources import parse_source

__all__ = ["Disk", "Finding", "Findings", "Verdict", "examine", "findings_of"]

_DAY = 86_400
_GIGABYTE = 1e9
_GOOD_INTERVAL, _FAIR_INTERVAL = 2.5, 5.0
"""Seconds between key pictures: movement is noticed so late, without a substream."""
_GOOD_BITS = 8e6
_LEAST_FPS, _MOST_FPS = 5.0, 31.0
_LEAST_HEIGHT = 480
_SMALL_PIXELS, _SMALL_FPS = 1024 * 576, 16.0
"""What a substream has at most, so that looking at every picture of it costs little."""

_NAMES = {"h264": "H.264", "hevc": "H.265", "mjpeg": "Motion JPEG", "mpeg4": "MPEG-4", "vp9": "VP9", "av1": "AV1"}


class Verdict(StrEnum):
    """What to think of something."""

    GOOD = "good"
    FAIR = "fair"  # it works, and could be better
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Attributes:
        what: a word: ``connection``, ``codec``, ``pictures``, ``key-pictures``, ``size``, ``order``, ``sound``,
            ``clock``, ``substream``, ``disk``.
        verdict: what to think of it.
        told: in a sentence.
        remedy: what to do, or empty.
    """

    what: str
    verdict: Verdict
    told: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Disk:
    """Where video is kept.

    Attributes:
        free: bytes that video may still take.
        days: for which continuous video is to be kept.
    """

    free: int
    days: float


@dataclass(frozen=True, slots=True)
class Findings:
    """All that was found of a camera.

    Attributes:
        main, sub: what was measured; ``sub`` is None without a substream.
        findings: in words, in order.
    """

    main: Measured
    sub: Measured | None
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of all; what isn't known doesn't count."""
        order = (Verdict.BAD, Verdict.FAIR)
        return next((v for v in order if any(f.verdict == v for f in self.findings)), Verdict.GOOD)


def examine(
    url: str,
    substream: str = "",
    *,
    file_root: str = "",
    folder: Path | None = None,
    free_bytes: int = 0,
    days: float = 1.0,
    most_pixels: int = 40_000_000,
    seconds: float = 8.0,
    patience: float = 5.0,
) -> Findings:
    """Look at a camera for some seconds, or twice as long if it has hardly any key pictures, and tell what to think.

    Args:
        url, substream: as a camera has them; secrets.
        file_root: folder below which files may stand in for cameras; empty for none.
        folder: where video is kept; None if it isn't.
        free_bytes: that are to stay free there.
        days: for which continuous video is to be kept.
        most_pixels: larger pictures are never decoded.
        seconds: for how long it is looked at.
        patience: seconds that it may say nothing.

    Raises:
        Invalid: if a URL can't be meant.
    """
    urls = [url, substream] if substream else [url]
    for told in urls:
        parse_source(told, file_root)
    asks = [Ask(told, file_root, seconds, patience) for told in urls]
    with ThreadPoolExecutor(len(asks)) as pool:
        measured = list(pool.map(measure, asks))
    disk = None if folder is None else Disk(max(0, _free(folder) - free_bytes), days)
    return findings_of(measured[0], measured[1] if substream else None, disk, most_pixels)


def _free(folder: Path) -> int:
    """Return how many bytes are free where a folder is, or will be."""
    there = next(f for f in (folder, *folder.resolve().parents) if f.exists())
    return shutil.disk_usage(there).free


def findings_of(main: Measured, sub: Measured | None, disk: Disk | None, most_pixels: int) -> Findings:
    """Tell what to think of what was measured."""
    made = [_connection(main)]
    if not main.why:
        made += [
            _codec(main),
            _pictures(main, most_pixels),
            _key_pictures(main, sub),
            _size(main),
            _order(main),
            _sound(main),
            _CLOCK,
            _substream(main, sub),
        ]
        made += list(_disk(main, disk))
    return Findings(main, sub, tuple(made))


_CONNECTION = {
    "refused": (
        "The camera refuses the user and the password, or wants some.",
        "Check them; many cameras have an account of their own for RTSP.",
    ),
    "unreachable": (
        "Nothing answers there.",
        "Check address and port, and that RTSP is switched on in the camera's settings.",
    ),
    "no-path": (
        "The camera has no stream of this path.",
        "Ask the camera for its streams by ONVIF, or look the path up in its manual.",
    ),
    "no-push": (
        "No camera has sent video to that address.",
        "Let the camera push to it. One that is set up here already must be disabled while it is examined.",
    ),
    "silent": (
        "There is a connection, and no picture comes.",
        "Restart the camera; some allow few connections at once.",
    ),
    "unreadable": (
        "What answers there is no video that can be read.",
        "Check the port: RTSP is 554 with most cameras.",
    ),
    "no-video": ("The stream has no video.", "Take another stream of the camera."),
    "unsupported": ("This can't be a camera.", "A URL begins with rtsp://, rtsps://, rtmp:// or file:."),
    "died": (
        "Looking at the stream took too much time or memory, and was ended.",
        "Try again; if it stays so, the camera sends what no camera should.",
    ),
}


def _connection(m: Measured) -> Finding:
    if m.why:
        told, remedy = _CONNECTION[m.why]
        return Finding("connection", Verdict.BAD, told, remedy)
    told = f"The camera answers, and lets us in: the first picture came after {m.opening:.1f} s."
    if m.opening > 5:
        return Finding("connection", Verdict.FAIR, told, "Check the network: after a break it takes as long again.")
    return Finding("connection", Verdict.GOOD, told)


def _codec(m: Measured) -> Finding:
    name = _NAMES.get(m.codec, "Another codec")
    if m.codec == "h264" and m.mime:
        return Finding("codec", Verdict.GOOD, f"{name}: it is recorded as it comes, and all browsers show it.")
    if m.codec == "hevc" and m.mime:
        told = f"{name}: it is recorded as it comes, and some browsers show it."
        return Finding("codec", Verdict.FAIR, told, "Set the camera to H.264 if every browser shall show it.")
    return Finding("codec", Verdict.BAD, f"{name}: browsers don't show it.", "Set the camera to H.264.")


def _pictures(m: Measured, most_pixels: int) -> Finding:
    if not m.width:
        return Finding(
            "pictures",
            Verdict.BAD,
            "No picture could be decoded: nobody would be noticed.",
            "Restart the camera, or take another stream of it.",
        )
    told = f"{m.width} x {m.height} pixels, {m.fps:.1f} pictures a second."
    if m.width * m.height > most_pixels:
        return Finding("pictures", Verdict.BAD, f"{told} They are too large to be looked at.", "Lower the resolution.")
    if m.height < _LEAST_HEIGHT and m.width < _LEAST_HEIGHT * 4 / 3:
        return Finding("pictures", Verdict.FAIR, f"{told} Faces are small there.", "Raise the resolution.")
    if m.fps < _LEAST_FPS:
        return Finding("pictures", Verdict.FAIR, f"{told} Who is fast is missed.", "Set it to 10 to 15 a second.")
    if m.fps > _MOST_FPS:
        return Finding(
            "pictures", Verdict.FAIR, f"{told} That costs more than it shows.", "Set it to 10 to 15 a second."
        )
    return Finding("pictures", Verdict.GOOD, told)


def _key_pictures(m: Measured, sub: Measured | None) -> Finding:
    remedy = "Set the interval of key pictures (I-frames, GOP) to 1 or 2 seconds."
    if m.keys < 2:
        told = f"Hardly any key pictures: in {m.seconds:.0f} s there was {'one' if m.keys else 'none'}."
        return Finding("key-pictures", Verdict.BAD, told, remedy)
    told = f"A key picture every {m.interval:.1f} s."
    if m.interval <= _GOOD_INTERVAL:
        return Finding("key-pictures", Verdict.GOOD, told)
    if sub is not None and not sub.why:
        told += " Files of video begin as rarely; movement is noticed in the substream."
        return Finding("key-pictures", Verdict.FAIR, told, remedy)
    told += " Movement is noticed as late, and what is shorter isn't."
    return Finding("key-pictures", Verdict.FAIR if m.interval <= _FAIR_INTERVAL else Verdict.BAD, told, remedy)


def _size(m: Measured) -> Finding:
    told = f"{m.bits / 1e6:.1f} Mbit a second, {_day(m) / _GIGABYTE:.1f} GB a day if all is kept."
    if m.bits > _GOOD_BITS:
        return Finding("size", Verdict.FAIR, told, "Lower the bit rate, or let the camera vary it.")
    return Finding("size", Verdict.GOOD, told)


def _order(m: Measured) -> Finding:
    if m.reordered:
        told = "Pictures come in another order than they are shown (B-frames), so live view is later."
        return Finding("order", Verdict.FAIR, told, "Switch B-frames off, or choose the profile Baseline.")
    return Finding("order", Verdict.GOOD, "Pictures come in the order in which they are shown.")


def _sound(m: Measured) -> Finding:
    if m.sound:
        return Finding("sound", Verdict.GOOD, "The camera sends sound. It isn't recorded.")
    return Finding("sound", Verdict.GOOD, "No sound. None would be recorded.")


_CLOCK = Finding(
    "clock",
    Verdict.UNKNOWN,
    "Times are those of this machine's clock when a picture arrives; the camera's own clock (RTCP) isn't read.",
    "Let the camera keep time by NTP, so that what it writes into its pictures is right.",
)


def _substream(m: Measured, sub: Measured | None) -> Finding:
    if sub is None:
        told = "None: movement is looked for in key pictures."
        if m.keys >= 2 and m.interval <= _GOOD_INTERVAL:
            return Finding("substream", Verdict.GOOD, told)
        return Finding("substream", Verdict.FAIR, told, "Add a substream of about 640 x 360 pixels.")
    if sub.why:
        return Finding("substream", Verdict.BAD, *_CONNECTION[sub.why])
    told = f"{sub.width} x {sub.height} pixels, {sub.fps:.1f} pictures a second."
    if not sub.width:
        return Finding("substream", Verdict.BAD, "No picture of it could be decoded.", "Set it to H.264.")
    if m.width and abs(sub.width / sub.height - m.width / m.height) > 0.05 * m.width / m.height:
        told += " It has another shape than the main stream: zones and masks fit only if it is the same view, squeezed."
        return Finding("substream", Verdict.FAIR, told, "Set both to the same shape, 16:9 for example.")
    if sub.width * sub.height > _SMALL_PIXELS or sub.fps > _SMALL_FPS:
        return Finding("substream", Verdict.FAIR, told, "About 640 x 360 pixels and 5 pictures a second are enough.")
    return Finding("substream", Verdict.GOOD, told)


def _disk(m: Measured, disk: Disk | None) -> Iterator[Finding]:
    """Tell whether what is to be kept fits, if anything is."""
    if disk is None or not m.bits:
        return
    days = disk.free / _day(m)
    told = f"{disk.free / _GIGABYTE:.0f} GB may be used: {days:.1f} days of this camera if all is kept."
    if days < disk.days:
        told += f" {disk.days:g} are wanted, so the oldest goes sooner."
        yield Finding("disk", Verdict.BAD, told, "Keep continuous video for less time, or get a larger disk.")
    else:
        yield Finding("disk", Verdict.GOOD, told)


def _day(m: Measured) -> float:
    """Return the bytes of a day."""
    return m.bits / 8 * _DAY
