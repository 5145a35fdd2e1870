# SPDX-License-Identifier: Apache-2.0
"""The process that makes clips: ``python -m custodes.operations.redactorwork``; :mod:`.redactor` starts it.

It decodes what a camera once sent. Before it opens a file of video it is confined to that camera's folder, and to the
networks if it looks for faces; it has no network and little memory. A driver of a device opens files as it likes, so
there the networks are loaded first. Where the kernel can't close files to it, it works all the same, and says so.
"""

from __future__ import annotations

import io
import os
import resource
import struct
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import cv2
import numpy as np
import orjson

import custodes
from custodes.cameras.clips import cut, frames
from custodes.cameras.confine import confine
from custodes.cameras.model import Segment, Span, Spot, Zone
from custodes.config import Config, Vision
from custodes.domain import UInt8
from custodes.errors import CustodesError
from custodes.operations.redacting import black_out, redact

if TYPE_CHECKING:
    from custodes.vision.engine import Engine

__all__ = ["HEAD", "MOST_PART", "main"]

HEAD = struct.Struct(">cI")
"""Before each part of what it says: which part it is, and how many bytes follow."""
MOST_PART = 1 << 30
"""Bytes of a part."""
_STILL_EVERY = 15
"""Pictures from one that is shown on the way to the next."""
_STILL_SIDE = 640
_WIDEST = 1920
_LAST = 1000  # milliseconds, in which there is a picture
_NICE = 10
_MOST_PIXELS = 40_000_000
_MEMORY = 4 << 30
"""Bytes that it may use, pictures apart: the networks, an encoder, and the clip, perhaps twice."""


def _say(stream: BinaryIO, kind: bytes, payload: bytes | memoryview) -> None:
    stream.write(HEAD.pack(kind, len(payload)))
    stream.write(payload)
    stream.flush()


def _work(job: Mapping[str, Any], out: BinaryIO) -> None:
    """Do a job, and say what comes of it."""
    segments = [Segment(**s | {"sha256": bytes.fromhex(s["sha256"])}) for s in job["segments"]]
    span, folder = Span(*job["span"]), Path(job["video"])
    masks = [Zone(name, tuple((x, y) for x, y in points), Spot.MASK) for name, points in job["masks"]]
    engine = _confined(job, {s.camera for s in segments}, out)
    if job["kind"] == "still":
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        _say(out, b"V", _last_picture(segments, folder, span, masks))
        return
    clip = io.BytesIO()
    found = cut(segments, folder, span, clip)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # from here on it writes nothing but what it says
    facts: dict[str, object] = {
        "asked": [found.asked.start, found.asked.end],
        "real": [found.real.start, found.real.end],
        "codec": found.codec,
        "width": found.width,
        "height": found.height,
        "packets": found.packets,
        "packets_sha256": found.packets_sha256.hex(),
        "derivative": None,
    }
    if engine is not None or masks:
        clip = io.BytesIO()
        made = redact(
            frames(segments, folder, span, most_pixels=_MOST_PIXELS),
            clip,
            engine,
            masks,
            span,
            progress=lambda done, of: _say(out, b"P", struct.pack(">QQ", done, of)),
            still=_Stills(out),
        )
        facts["derivative"] = asdict(made) | {"packets_sha256": made.packets_sha256.hex()}
    _say(out, b"R", orjson.dumps(facts))
    _say(out, b"V", clip.getbuffer())


def _confined(job: Mapping[str, Any], cameras: set[str], out: BinaryIO) -> Engine | None:
    """Confine this process, say so if its files can't be closed, and return what looks for faces, if anything does."""
    blurred, on_cpu = job["kind"] == "blurred", job["vision"]["provider"] == "cpu"
    readable = [Path(job["video"], camera) for camera in cameras]
    if blurred:
        data = Path(job["data"])
        code = Path(custodes.__file__).parent, Path(cv2.__file__).parents[1]
        readable += [data / "packs", data / "calibrations", Path(job["cache"]), *code, Path("/sys/devices/system/cpu")]
        readable += [Path(folder) for folder in job["vision"]["pack_dirs"]]
    engine = _engine(job) if blurred and not on_cpu else None
    if engine is not None:
        engine.glance(np.zeros((128, 128, 3), np.uint8))
    if not confine("", [str(path) for path in readable], _MOST_PIXELS, writes=MOST_PART, spare=_MEMORY):
        _say(out, b"U", b"")
    return _engine(job) if blurred and engine is None else engine


def _engine(job: Mapping[str, Any]) -> Engine:
    from custodes.vision.engine import Engine  # begins threads, which are to be confined, too

    vision = Vision(**_tuples(job["vision"]))
    return Engine.default(Config(data=Path(job["data"]), cache=Path(job["cache"]), vision=vision))


def _tuples(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}


def _last_picture(segments: Sequence[Segment], folder: Path, span: Span, masks: Sequence[Zone]) -> bytes:
    last = deque(frames(segments, folder, Span(max(span.start, span.end - _LAST), span.end)), maxlen=1)
    return _jpeg(black_out(last[0][1], masks), _WIDEST)


def _jpeg(pixels: UInt8, side: int) -> bytes:
    """Return a picture as JPEG, of at most so many pixels a side."""
    scale = min(1.0, side / max(pixels.shape[:2]))
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else pixels
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()


class _Stills:
    """Says what some of the pictures look like that are written."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._seen = 0

    def __call__(self, pixels: UInt8) -> None:
        self._seen += 1
        if self._seen % _STILL_EVERY == 1:
            _say(self._out, b"S", _jpeg(pixels, _STILL_SIDE))


def main() -> None:
    """Do the job that comes on standard input."""
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)  # what libraries print is no part of what is said
        try:
            _work(orjson.loads(sys.stdin.buffer.read()), out)
        except CustodesError as e:
            told = {"error": type(e).__name__, "message": e.message, "remedy": e.remedy}
            _say(out, b"E", orjson.dumps(told))


if __name__ == "__main__":
    main()
