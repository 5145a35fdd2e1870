# SPDX-License-Identifier: Apache-2.0
"""How large the pictures of a stream are, and what a decoder and a file must know of them, read from its headers.

Nothing is decoded: of H.264 (clause 7.3.2.1.1) and H.265 (7.3.2.2) the sequence parameter set is read, of JPEG the
frame header; of other encodings what the container says is taken. A camera that changes its resolution says so in a
parameter set before a key picture, and nowhere else. The bytes are hostile: whatever can't be read is no shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from custodes.cameras.codecs import mime_of

__all__ = ["Shape", "shape_of"]

_START = re.compile(rb"\x00\x00\x01")
_ESCAPE = re.compile(rb"\x00\x00\x03")
_MOST_SIDE = 1 << 15
_MOST_SETS = 32
_MOST_HEADER = 1 << 16  # parameter sets stand in the first bytes of a picture
_LONG_PROFILES = {44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244}  # those that tell more of colours
_JPEG_FRAMES = {0xC0, 0xC1, 0xC2}


@dataclass(frozen=True, slots=True)
class Shape:
    """What is the same of all pictures of a segment.

    Attributes:
        codec: as libavcodec calls it: ``h264``.
        width, height: pixels.
        mime: what Media Source Extensions call it; empty if browsers don't know it.
        extradata: parameter sets, as libavcodec has them.
    """

    codec: str
    width: int
    height: int
    mime: str
    extradata: bytes = field(repr=False)


class _Broken(Exception):
    """A header that can't be read; it never leaves this module."""


def shape_of(codec: str, extradata: bytes, picture: bytes, declared: tuple[int, int]) -> Shape | None:
    """Return the shape of a key picture and those after it, or None if nothing tells it.

    Args:
        codec: as libavcodec calls it.
        extradata: what is known from before: of the container, or of an earlier picture.
        picture: the key picture's bytes.
        declared: width and height as the container says; zeros if it doesn't.
    """
    try:
        if codec in _SETS:
            extradata = _newest(codec, extradata, picture)
            width, height = _SIZES[codec](_first_sequence_set(codec, extradata))
        elif codec == "mjpeg":
            width, height = _jpeg(picture)
        else:
            width, height = declared
    except (_Broken, IndexError):
        return None
    if not (0 < width <= _MOST_SIDE and 0 < height <= _MOST_SIDE):
        return None
    return Shape(codec, width, height, mime_of(codec, extradata), extradata)


# --- Parameter sets ---------------------------------------------------------------------------------------------------


def _h264_kind(unit: bytes) -> int:
    return unit[0] & 0x1F


def _hevc_kind(unit: bytes) -> int:
    return unit[0] >> 1 & 0x3F


_KIND = {"h264": _h264_kind, "hevc": _hevc_kind}
_SETS = {"h264": (7, 8), "hevc": (32, 33, 34)}  # in the order in which they are needed
_SEQUENCE = {"h264": 7, "hevc": 33}
_PICTURE = {"h264": range(1, 6), "hevc": range(32)}  # where pictures begin, no set follows


def _units(data: bytes) -> Iterator[bytes]:
    """Yield the units of a byte stream (Annex B) one by one."""
    begin = -1
    for start in _START.finditer(data):
        if begin >= 0 and start.start() > begin:
            yield data[begin : start.start()].rstrip(b"\x00") or b"\x00"
        begin = start.end()
    if 0 <= begin < len(data):
        yield data[begin:].rstrip(b"\x00") or b"\x00"


def _boxed(extradata: bytes) -> bool:
    """Tell whether sets are as MP4 has them (``avcC``, ``hvcC``); pictures then have lengths instead of start codes."""
    return extradata[:1] == b"\x01"


def _sets(codec: str, units: Iterable[bytes]) -> dict[int, list[bytes]]:
    """Return the parameter sets before the first picture, by kind."""
    found: dict[int, list[bytes]] = {kind: [] for kind in _SETS[codec]}
    count = 0
    for unit in units:
        kind = _KIND[codec](unit)
        if kind in _PICTURE[codec]:
            break
        if kind in found and unit not in found[kind]:
            found[kind].append(unit)
            count += 1
        if count >= _MOST_SETS:
            break
    return found


def _newest(codec: str, extradata: bytes, picture: bytes) -> bytes:
    """Return the parameter sets that hold from this picture on."""
    if _boxed(extradata):
        return extradata
    new = _sets(codec, _units(picture[:_MOST_HEADER]))
    if not new[_SEQUENCE[codec]]:
        return extradata
    old = _sets(codec, _units(extradata))
    units = (unit for kind in _SETS[codec] for unit in new[kind] or old[kind])
    return b"".join(b"\x00\x00\x00\x01" + unit for unit in units)


def _first_sequence_set(codec: str, extradata: bytes) -> bytes:
    units = _unboxed(codec, extradata) if _boxed(extradata) else _units(extradata)
    found = _sets(codec, units)[_SEQUENCE[codec]]
    if not found:
        raise _Broken
    return found[0]


def _unboxed(codec: str, box: bytes) -> Iterator[bytes]:
    """Yield the units of ``avcC`` or ``hvcC`` (ISO/IEC 14496-15, 5.3.3.1 and 8.3.3.1), a broken end left out."""
    if codec == "h264":
        groups, at = [(box[5] & 0x1F)], 6
    else:
        groups, at = [0] * box[22], 23
    for group in groups:
        count = group
        if codec == "hevc":
            count, at = int.from_bytes(box[at + 1 : at + 3]), at + 3
        for _ in range(count):
            size = int.from_bytes(box[at : at + 2])
            unit = box[at + 2 : at + 2 + size]
            at += 2 + size
            if not size or len(unit) < size:
                return
            yield unit


class _Bits:
    """Reads the bits of a unit."""

    def __init__(self, unit: bytes) -> None:
        plain = _ESCAPE.sub(b"\x00\x00", unit[:1024])
        self._bits = int.from_bytes(plain)
        self._left = len(plain) * 8

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise _Broken
        return self._bits >> self._left & ((1 << count) - 1)

    def golomb(self) -> int:
        """Read an unsigned number (``ue(v)``)."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 32:
                raise _Broken
        return (1 << zeros) - 1 + self.take(zeros)

    def signed(self) -> int:
        """Read a signed number (``se(v)``)."""
        told = self.golomb()
        return (told + 1) // 2 if told & 1 else -(told // 2)


def _h264_size(unit: bytes) -> tuple[int, int]:
    bits = _Bits(unit[1:])
    profile = bits.take(8)
    bits.take(16)
    bits.golomb()
    chroma, separate = 1, 0
    if profile in _LONG_PROFILES:
        chroma = bits.golomb()
        separate = bits.take(1) if chroma == 3 else 0
        bits.golomb(), bits.golomb(), bits.take(1)
        if bits.take(1):
            _skip_scaling(bits, 12 if chroma == 3 else 8)
    bits.golomb()
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.take(1), bits.golomb(), bits.golomb()
        for _ in range(min(bits.golomb(), 256)):
            bits.golomb()
    bits.golomb(), bits.take(1)
    width, height = (bits.golomb() + 1) * 16, (bits.golomb() + 1) * 16
    frames_only = bits.take(1)
    height *= 2 - frames_only
    if not frames_only:
        bits.take(1)
    bits.take(1)
    across = 2 if chroma in (1, 2) and not separate else 1
    down = (2 if chroma == 1 and not separate else 1) * (2 - frames_only)
    return _cropped(bits, width, height, across, down)


def _skip_scaling(bits: _Bits, lists: int) -> None:
    for n in range(lists):
        if not bits.take(1):
            continue
        last = following = 8
        for _ in range(16 if n < 6 else 64):
            if following:
                following = (last + bits.signed()) & 0xFF
            last = following or last


def _hevc_size(unit: bytes) -> tuple[int, int]:
    bits = _Bits(unit[2:])
    bits.take(4)
    layers = bits.take(3)
    bits.take(1 + 96)  # what decoders it needs
    more = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    if layers:
        bits.take(2 * (8 - layers))
    for profile, level in more:
        bits.take(88 * profile + 8 * level)
    bits.golomb()
    chroma = bits.golomb()
    separate = bits.take(1) if chroma == 3 else 0
    width, height = bits.golomb(), bits.golomb()
    across = 2 if chroma in (1, 2) and not separate else 1
    return _cropped(bits, width, height, across, 2 if chroma == 1 else 1)


def _cropped(bits: _Bits, width: int, height: int, across: int, down: int) -> tuple[int, int]:
    """Take off what isn't shown."""
    if bits.take(1):
        left, right, top, bottom = bits.golomb(), bits.golomb(), bits.golomb(), bits.golomb()
        width -= (left + right) * across
        height -= (top + bottom) * down
    return width, height


_SIZES = {"h264": _h264_size, "hevc": _hevc_size}


def _jpeg(picture: bytes) -> tuple[int, int]:
    """Read a JPEG's size (ITU-T T.81, B.2.2)."""
    at = 2
    while picture[at] == 0xFF:
        marker, size = picture[at + 1], int.from_bytes(picture[at + 2 : at + 4])
        if marker in _JPEG_FRAMES:
            return int.from_bytes(picture[at + 7 : at + 9]), int.from_bytes(picture[at + 5 : at + 7])
        at += 2 + size
    raise _Broken
