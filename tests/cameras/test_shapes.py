# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from pathlib import Path

import av
import pytest
from tests.cameras.footage import footage

from custodes.cameras.shapes import Shape, shape_of


def _first(path: Path) -> tuple[str, bytes, bytes, bytes]:
    """Return a video's codec, parameter sets, first packet, and that packet as a camera would send it."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        codec = stream.codec_context.name
        packet = next(container.demux(stream))
        plain = bytes(packet)
        if codec in ("h264", "hevc"):
            plain = bytes(av.BitStreamFilterContext(f"{codec}_mp4toannexb", stream).filter(packet)[0])
        return codec, stream.codec_context.extradata or b"", bytes(packet), plain


@pytest.mark.parametrize("size", [(640, 360), (480, 270), (322, 182)])
@pytest.mark.parametrize("codec", ["libx264", "libx265", "mjpeg"])
def test_the_size_is_read_from_headers(codec: str, size: tuple[int, int], videos: Path) -> None:
    """Width and height, cropping included, are read from what a camera sends and from what a file holds."""
    path = footage(videos, size=size, seconds=0.3, fps=10, codec=codec)
    name, extradata, packet, plain = _first(path)
    for sets, picture in ((extradata, packet), (b"", plain)):
        shape = shape_of(name, sets, picture, (0, 0))
        assert shape is not None
        assert (shape.codec, shape.width, shape.height) == (name, *size)
    assert shape.mime.startswith({"h264": 'video/mp4; codecs="avc1.', "hevc": 'video/mp4; codecs="hvc1.'}.get(name, ""))


def test_the_newest_parameter_set_counts(videos: Path) -> None:
    """A set before a key picture replaces what was known; without one, that holds on."""
    codec, _, _, small = _first(footage(videos, size=(320, 180), seconds=0.3))
    _, _, _, large = _first(footage(videos, size=(640, 360), seconds=0.3))
    before = shape_of(codec, b"", small, (0, 0))
    assert before is not None
    after = shape_of(codec, before.extradata, large, (0, 0))
    assert after is not None
    assert (after.width, after.height) == (640, 360)
    slice_alone = b"\x00\x00\x01\x65" + bytes(100)
    assert shape_of(codec, after.extradata, slice_alone, (0, 0)) == after


def test_other_encodings_are_as_the_container_says() -> None:
    """What has no header that is read here is as large as the container says, and unknown to browsers."""
    assert shape_of("vp9", b"", b"", (640, 360)) == Shape("vp9", 640, 360, "", b"")
    assert shape_of("vp9", b"", b"", (0, 0)) is None
    assert shape_of("vp9", b"", b"", (1 << 20, 9)) is None


def test_broken_headers_have_no_shape(videos: Path) -> None:
    """Whatever is broken in a header is no shape and no crash: cut off, changed, or noise."""
    picked = random.Random(5)
    firsts = [_first(footage(videos, size=(320, 180), seconds=0.3, codec=c)) for c in ("libx264", "libx265", "mjpeg")]
    for codec, extradata, packet, plain in firsts:
        for sets, picture in ((extradata, packet[:80]), (b"", plain[:200])):
            for _ in range(300):
                broken = [bytearray(sets), bytearray(picture)]
                for part in broken:
                    for _ in range(picked.randrange(4) if part else 0):
                        part[picked.randrange(len(part))] = picked.randrange(256)
                cut = picked.randrange(len(picture) + 1)
                found = shape_of(codec, bytes(broken[0]), bytes(broken[1][:cut]), (0, 0))
                assert found is None or 0 < found.width <= 1 << 15
    for codec in ("h264", "hevc", "mjpeg"):
        assert shape_of(codec, b"", b"", (0, 0)) is None
        assert shape_of(codec, b"\x01", b"\x01", (0, 0)) is None
        assert shape_of(codec, b"\x00\x00\x01", b"\x00\x00\x01", (0, 0)) is None
