# SPDX-License-Identifier: Apache-2.0
"""Small videos for tests: a still room with a little noise, through which people of ``tests/data`` come and go.

A video begins and ends still, so that it can be looped. It is made once for each folder and set of parameters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import cv2
import numpy as np

__all__ = ["Visit", "footage", "giant", "pictures"]

DATA = Path(__file__).parent.parent / "data"
_EASE = ((0.0, 0.3, 0.7, 1.0), (0.0, 0.35, 0.65, 1.0))
"""Somebody comes in fast, is slow in the middle, and leaves fast: parts of the time, and of the way."""


@dataclass(frozen=True)
class Visit:
    """Somebody goes through the picture.

    Attributes:
        who: a file of ``tests/data``.
        start, end: seconds; before and after there is nobody.
        height: of the person, as a ratio of the picture's.
        leftwards: whether they come from the right.
        top: of the person, as a ratio of the picture's height.
    """

    who: str = "obama_1.jpg"
    start: float = 1.0
    end: float = 3.0
    height: float = 0.7
    leftwards: bool = False
    top: float = 0.25


@lru_cache(maxsize=16)
def _person(who: str, height: int) -> np.ndarray:
    picture = cv2.imread(str(DATA / who), cv2.IMREAD_COLOR)
    scale = height / picture.shape[0]
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _room(width: int, height: int, seed: int) -> np.ndarray:
    """Paint a wall, a floor and some furniture."""
    random = np.random.default_rng(seed)
    rows = np.linspace(150, 90, height)[:, None, None]
    room = np.broadcast_to(rows, (height, width, 3)).astype(np.uint8).copy()
    for _ in range(12):
        x, y = int(random.integers(0, width)), int(random.integers(height // 2, height))
        color = tuple(int(c) for c in random.integers(40, 200, 3))
        cv2.rectangle(room, (x, y), (x + width // 8, y + height // 6), color, -1)
    return room


def pictures(
    size: tuple[int, int], fps: int, seconds: float, visits: tuple[Visit, ...], *, noise: float = 1.5, seed: int = 1
) -> Iterator[np.ndarray]:
    """Yield the pictures of a video, BGR."""
    width, height = size
    room = _room(width, height, seed)
    random = np.random.default_rng(seed)
    grains = [random.normal(0, noise, room.shape).astype(np.int16) for _ in range(4)] if noise else []
    for n in range(round(seconds * fps)):
        picture = room.copy()
        for visit in visits:
            part = (n / fps - visit.start) / (visit.end - visit.start)
            if not 0 < part < 1:
                continue
            person = _person(visit.who, round(visit.height * height))
            way = float(np.interp(part, *_EASE))
            x = round(-person.shape[1] + (1 - way if visit.leftwards else way) * (width + person.shape[1]))
            y = round(visit.top * height)
            left, right, bottom = max(0, x), min(width, x + person.shape[1]), min(height, y + person.shape[0])
            if left < right:
                picture[y:bottom, left:right] = person[: bottom - y, left - x : right - x]
        if grains:
            picture = np.clip(picture + grains[n % len(grains)], 0, 255).astype(np.uint8)
        yield picture


def footage(
    folder: Path,
    *,
    size: tuple[int, int] = (640, 360),
    fps: int = 10,
    seconds: float = 6.0,
    visits: tuple[Visit, ...] = (),
    key_seconds: float = 1.0,
    codec: str = "libx264",
    reordered: bool = False,
    noise: float = 1.5,
    seed: int = 1,
) -> Path:
    """Make a video, unless it is there, and return its MP4 file (or Matroska, if MP4 has no place for it).

    Args:
        folder: where it is kept; give tests of a session the same.
        size: width and height.
        fps: pictures a second.
        seconds: how long it is.
        visits: who comes and goes when.
        key_seconds: so often there is a picture that needs no other.
        codec: libavcodec's name of an encoder: libx264, libx265, mjpeg, libvpx.
        reordered: whether there are B-pictures.
        noise: standard deviation of the sensor's noise.
        seed: another one gives another room.
    """
    told = repr((size, fps, seconds, visits, key_seconds, codec, reordered, noise, seed))
    ending, form = (".mkv", "matroska") if codec == "libvpx" else (".mp4", "mp4")
    path = folder / f"{hashlib.sha256(told.encode()).hexdigest()[:16]}{ending}"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with av.open(str(part), "w", format=form) as out:
        stream = out.add_stream(codec, rate=fps)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, fps)
        stream.codec_context.gop_size = round(fps * key_seconds)
        stream.codec_context.max_b_frames = 2 if reordered else 0
        stream.codec_context.options = _OPTIONS.get(codec, {})
        for n, picture in enumerate(pictures(size, fps, seconds, visits, noise=noise, seed=seed)):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts, frame.time_base = n, Fraction(1, fps)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    part.rename(path)
    return path


_OPTIONS = {
    "libx264": {"preset": "veryfast", "crf": "23", "sc_threshold": "0", "threads": "1"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:pools=1:scenecut=0"},
}


def giant(folder: Path, size: tuple[int, int] = (15360, 8640)) -> Path:
    """Make a video of two black pictures of 16k, a second apart, and return its MP4 file."""
    path = folder / f"giant-{size[0]}.mp4"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with av.open(str(part), "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=1)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.options = {
            "preset": "ultrafast",
            "qp": "40",
            "rc-lookahead": "0",
            "threads": "1",
            "g": "1",
        }
        frame = av.VideoFrame(*size, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.pts, frame.time_base = 0, Fraction(1, 1)
        [picture] = [*stream.encode(frame), *stream.encode(None)]
        for n in range(2):  # to encode it twice takes twice as long
            packet = av.Packet(bytes(picture))
            packet.pts = packet.dts = n
            packet.time_base, packet.is_keyframe, packet.stream = Fraction(1, 1), True, stream
            out.mux(packet)
    part.rename(path)
    return path
