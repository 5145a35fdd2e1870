# SPDX-License-Identifier: Apache-2.0
"""Pictures of a video file as a connection would yield them, without waiting for their time to come."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av

from custodes.cameras.shapes import shape_of
from custodes.cameras.stream import Picture, Timeline

__all__ = ["BEGUN", "Tape"]

BEGUN = 1_795_651_200_000
"""Milliseconds since 1970: 2026-11-26, midnight."""


class Tape:
    """An open video file whose pictures come at once, over and over; close it with ``with``."""

    def __init__(self, path: Path, at: int = BEGUN, *, passes: int = 1) -> None:
        self.container = av.open(str(path))
        self.pictures: list[Picture] = []
        stream = self.container.streams.video[0]
        base = stream.time_base or Fraction(1, 90_000)
        timeline = Timeline(base)
        context = stream.codec_context
        shape = None
        for n in range(passes):
            if n:
                self.container.seek(0)
            packets = [p for p in self.container.demux(stream) if p.size]
            begun = at if not n else self.pictures[-1].end
            for packet in packets:
                if packet.is_keyframe:
                    size = (context.width, context.height)
                    shape = shape_of(context.name, context.extradata or b"", bytes(packet), size)
                now = begun + round(float((packet.dts - packets[0].dts) * base) * 1000)
                key, first = packet.is_keyframe, n > 0 and packet is packets[0]
                stamp = timeline.stamp(packet.pts, packet.dts, key=key, now=now, restarted=first)
                assert shape is not None
                self.pictures.append(Picture(packet, key, stamp, base, shape))

    def __enter__(self) -> Tape:
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()
