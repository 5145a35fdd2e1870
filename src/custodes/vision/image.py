# SPDX-License-Identifier: Apache-2.0
"""Bytes to pixels: JPEG and PNG, upright, within limits.

The header is read before any pixel is decoded, so an image that is too large, too small, of another format or cut
short is refused in microseconds, whatever it claims to hold. A JPEG is turned by its EXIF orientation (Exif 2.32,
tag 0x0112); a PNG is taken as it lies. Colours come out as 8-bit BGR: 16-bit samples lose their low byte,
grey, palette and CMYK become colour, transparent pixels are laid on white, of an animated PNG the first frame counts.

A huge JPEG is decoded to every second, fourth or eighth pixel (its blocks of 8 x 8 are transformed to smaller ones),
as far as what is left is ample for finding faces and for their templates: that bounds memory and time.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from custodes.config import Limits
from custodes.domain import ImageSize, UInt8
from custodes.errors import Code, InvalidImage, NotFound, TooLarge

__all__ = ["Image", "check", "decode", "is_photo", "read", "read_bytes"]

_Samples = npt.NDArray[np.integer | np.floating]
"""What OpenCV decodes to: 8 or 16 bits."""

_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
_END_OF_IMAGE = b"\xff\xd9"
_START_OF_SCAN = 0xDA
_APP1 = 0xE1
_MOST_SCANS = 100
"""Scans of a progressive JPEG; encoders write about ten, and each costs a pass over the whole picture."""
_STANDALONE = frozenset((0x01, *range(0xD0, 0xD8)))
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))
"""Markers that start a frame, and a progressive one, ITU-T T.81 table B.1."""

_AMPLE_AREA = 16_000_000
"""Pixels that a JPEG which is decoded in part keeps at least: all photos below four times that many (phones' with 48
and 50 megapixels too) are decoded whole, and above, the smallest faces that the detector finds keep 60 pixels."""
_REDUCTIONS = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}
_STRIP = 256
"""Rows of a PNG that are laid on white at once."""

_TURNS: dict[int, int | None] = {
    3: cv2.ROTATE_180,
    5: cv2.ROTATE_90_CLOCKWISE,
    6: cv2.ROTATE_90_CLOCKWISE,
    7: cv2.ROTATE_90_COUNTERCLOCKWISE,
    8: cv2.ROTATE_90_COUNTERCLOCKWISE,
}
_MIRRORS = {2: 1, 4: 0, 5: 1, 7: 1}
"""After the turn: 1 swaps left and right, 0 top and bottom."""


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """An upright picture.

    Attributes:
        pixels: ``(h, w, 3)`` uint8, BGR.
        whole: size of the picture, where ``pixels`` has fewer (a huge JPEG that was decoded in part), or None.
    """

    pixels: UInt8
    whole: ImageSize | None = None

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or self.pixels.shape[2] != 3 or self.pixels.dtype != np.uint8:
            raise InvalidImage(f"Pixels are (h, w, 3) uint8, got {self.pixels.shape} {self.pixels.dtype}.")
        if not self.pixels.size:
            raise InvalidImage("An image has at least one pixel.")

    @property
    def size(self) -> ImageSize:
        """Width and height of the picture in pixels: the frame in which coordinates are stated."""
        return self.whole or ImageSize(width=self.pixels.shape[1], height=self.pixels.shape[0])

    @property
    def scale(self) -> float:
        """How many pixels of the picture, along a side, one of ``pixels`` stands for: 1 unless there are fewer."""
        if self.whole is None:
            return 1.0
        return float(max(self.whole.width, self.whole.height) / max(self.pixels.shape[:2]))

    @classmethod
    def from_array(cls, pixels: UInt8, *, order: Literal["rgb", "bgr"] = "rgb") -> Image:
        """Take pixels that are in memory already.

        Args:
            pixels: ``(h, w, 3)`` or, grey, ``(h, w)``; uint8.
            order: the order of the colours; OpenCV's is ``"bgr"``, everybody else's ``"rgb"``.

        Raises:
            InvalidImage: if shape or type differ.
        """
        if pixels.ndim == 2:
            pixels = np.repeat(pixels[:, :, None], 3, axis=2)
        if pixels.ndim == 3 and order == "rgb":
            pixels = pixels[:, :, ::-1]
        return cls(np.ascontiguousarray(pixels))


@dataclass(frozen=True, slots=True)
class _Header:
    kind: Literal["jpeg", "png"]
    width: int
    height: int
    orientation: int = 1
    transparent: bool = False


def decode(data: bytes, limits: Limits) -> Image:
    """Decode a JPEG or PNG into an upright picture.

    Args:
        data: the file's bytes.
        limits: what is taken.

    Raises:
        TooLarge: ``image-bytes`` or ``image-pixels``: more than the limits allow.
        InvalidImage: ``image-too-small``: a side is shorter than the limit; ``image-format``: neither JPEG nor
            PNG, cut short or broken.
    """
    header = _checked(data, limits)
    reduction = _reduction(header)
    pixels = _upright(_pixels(data, header, reduction), header.orientation)
    if reduction == 1:
        return Image(pixels)
    sides = (header.height, header.width) if header.orientation >= 5 else (header.width, header.height)
    return Image(pixels, whole=ImageSize(*sides))


def is_photo(data: bytes) -> bool:
    """Tell whether bytes begin as a JPEG or PNG does."""
    return data.startswith((_JPEG, _PNG))


def check(data: bytes, limits: Limits) -> None:
    """Check what a JPEG or PNG says of itself; none of its pixels is decoded.

    Raises:
        Invalid: as :func:`decode` does, unless only the pixels are broken.
    """
    _checked(data, limits)


def _checked(data: bytes, limits: Limits) -> _Header:
    """Read the header, and hold it to the limits."""
    if len(data) > limits.image_bytes:
        raise TooLarge(
            f"The image has {len(data)} bytes; at most {limits.image_bytes} are taken.", code=Code.IMAGE_BYTES
        )
    header = _header(data)
    if min(header.width, header.height) < limits.min_side:
        raise InvalidImage(
            f"The image is {header.width} x {header.height} pixels; each side needs at least {limits.min_side}.",
            code=Code.IMAGE_TOO_SMALL,
        )
    if max(header.width, header.height) > limits.image_side:
        raise TooLarge(
            f"The image is {header.width} x {header.height} pixels; a side has at most {limits.image_side}.",
            code=Code.IMAGE_PIXELS,
        )
    if header.width * header.height > limits.image_pixels:
        raise TooLarge(
            f"The image is {header.width} x {header.height} pixels; at most {limits.image_pixels} are taken.",
            code=Code.IMAGE_PIXELS,
        )
    return header


def read(path: Path, limits: Limits) -> Image:
    """Decode the picture in a file.

    Raises:
        NotFound: if there is no file that can be read.
        Invalid: as :func:`decode` does.
    """
    return decode(read_bytes(path, limits), limits)


def read_bytes(path: Path, limits: Limits) -> bytes:
    """Return a picture's file as it is; one that is too large is not read.

    Raises:
        NotFound: if there is no file that can be read.
        TooLarge: ``image-bytes``: it has more than the limit.
    """
    try:
        size = path.stat().st_size
        if size > limits.image_bytes:
            raise TooLarge(
                f"The image {path.name} has {size} bytes; at most {limits.image_bytes} are taken.",
                remedy="CUSTODES_LIMITS_IMAGE_BYTES is the limit.",
                code=Code.IMAGE_BYTES,
            )
        return path.read_bytes()
    except OSError as e:
        raise NotFound(f"No picture can be read from {path.name}: {e.strerror}.") from e


def _damaged(what: str) -> InvalidImage:
    return InvalidImage(f"The image is damaged: {what}.", code=Code.IMAGE_FORMAT)


def _header(data: bytes) -> _Header:
    if data.startswith(_JPEG):
        return _jpeg_header(data)
    if data.startswith(_PNG):
        return _png_header(data)
    raise InvalidImage("The image is neither JPEG nor PNG.", code=Code.IMAGE_FORMAT)


def _jpeg_header(data: bytes) -> _Header:
    """Walk the segments up to the first scan, as libjpeg does (ITU-T T.81 annex B)."""
    size: tuple[int, int] | None = None
    orientation = 1
    progressive = False
    at = 2
    while True:
        at = data.find(b"\xff", at)
        while 0 <= at < len(data) and data[at] == 0xFF:
            at += 1
        if not 0 < at < len(data) - 2:
            raise _damaged("it ends before its picture begins")
        marker = data[at]
        at += 1
        if marker in _STANDALONE or marker == 0x00:
            continue
        if marker == _START_OF_SCAN:
            break
        length = int.from_bytes(data[at : at + 2], "big")
        segment = data[at + 2 : at + max(length, 2)]
        if marker in _FRAMES and size is None and len(segment) >= 6:
            size = (int.from_bytes(segment[3:5], "big"), int.from_bytes(segment[1:3], "big"))
            progressive = marker in _PROGRESSIVE
        elif marker == _APP1 and segment.startswith(b"Exif\0\0"):
            orientation = _exif_orientation(segment[6:])
        at += max(length, 2)
    if size is None or 0 in size:
        raise _damaged("it states no size")
    if not data.endswith(_END_OF_IMAGE) and data.find(_END_OF_IMAGE, at) < 0:
        raise _damaged("it is cut short")
    if progressive and data.count(b"\xff\xda", at) > _MOST_SCANS:
        raise _damaged("it has too many scans")
    return _Header("jpeg", *size, orientation=orientation)


def _exif_orientation(tiff: bytes) -> int:
    """Return the orientation 1..8 that a TIFF header's first directory states; 1 when it states none."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return 1
    (start,) = struct.unpack_from(order + "I", tiff, 4)
    if start + 2 > len(tiff):
        return 1
    (count,) = struct.unpack_from(order + "H", tiff, start)
    for entry in range(start + 2, min(start + 2 + 12 * count, len(tiff) - 11), 12):
        tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, entry)
        if tag == 0x0112:
            return int(value) if kind == 3 and 1 <= value <= 8 else 1
    return 1


def _png_header(data: bytes) -> _Header:
    """Walk the chunks to the end and check each one's sum (PNG, third edition, clause 5.3)."""
    header: _Header | None = None
    transparent = False
    at = len(_PNG)
    view = memoryview(data)
    while at + 12 <= len(data):
        length = int.from_bytes(view[at : at + 4], "big")
        kind = bytes(view[at + 4 : at + 8])
        end = at + 8 + length
        if end + 4 > len(data):
            break
        if zlib.crc32(view[at + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            raise _damaged("a chunk's check sum is wrong")
        if header is None:
            if kind != b"IHDR" or length != 13:
                raise _damaged("it doesn't begin with its size")
            width, height, _, colour = struct.unpack_from(">IIBB", data, at + 8)
            header = _Header("png", width, height)
            transparent = bool(colour & 4)
        transparent = transparent or kind == b"tRNS"
        if kind == b"IEND":
            return replace(header, transparent=transparent)
        at = end + 4
    raise _damaged("it is cut short")


def _reduction(header: _Header) -> int:
    """Return by how much a picture's sides are divided in decoding."""
    if header.kind == "png":
        return 1
    area = header.width * header.height
    return next((r for r in _REDUCTIONS if area >= r * r * _AMPLE_AREA), 1)


def _pixels(data: bytes, header: _Header, reduction: int) -> UInt8:
    colour = _REDUCTIONS.get(reduction, cv2.IMREAD_COLOR_BGR) | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        encoded = np.frombuffer(data, np.uint8)
        pixels = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED if header.transparent else colour)
    except cv2.error as e:
        raise _damaged("it can't be decoded") from e
    if pixels is None or pixels.shape[:2] != (-(-header.height // reduction), -(-header.width // reduction)):
        raise _damaged("it can't be decoded")
    return _on_white(pixels)


def _on_white(pixels: _Samples) -> UInt8:
    """Return grey, BGR or BGRA pixels of 8 or 16 bits as BGR of 8, what is transparent laid on white."""
    if pixels.dtype == np.uint8 and pixels.shape[2:] == (3,):
        return np.asarray(pixels, np.uint8)
    made = np.empty((*pixels.shape[:2], 3), np.uint8)
    for top in range(0, len(pixels), _STRIP):
        made[top : top + _STRIP] = _strip_on_white(pixels[top : top + _STRIP])
    return made


def _strip_on_white(strip: _Samples) -> UInt8:
    shallow = np.asarray(np.asarray(strip, np.uint16) >> 8 if strip.dtype == np.uint16 else strip, np.uint8)
    if shallow.ndim == 2 or shallow.shape[2] == 1:
        return np.asarray(cv2.cvtColor(shallow, cv2.COLOR_GRAY2BGR), np.uint8)
    if shallow.shape[2] == 3:
        return shallow
    alpha = cv2.extractChannel(shallow, 3)
    colour = cv2.cvtColor(shallow, cv2.COLOR_BGRA2BGR)
    shown = cv2.multiply(colour, cv2.merge([alpha] * 3), scale=1 / 255)
    return np.asarray(cv2.add(shown, cv2.cvtColor(cv2.bitwise_not(alpha), cv2.COLOR_GRAY2BGR)), np.uint8)


def _upright(pixels: UInt8, orientation: int) -> UInt8:
    turn = _TURNS.get(orientation)
    if turn is not None:
        pixels = np.asarray(cv2.rotate(pixels, turn), np.uint8)
    if orientation in _MIRRORS:
        pixels = np.asarray(cv2.flip(pixels, _MIRRORS[orientation]), np.uint8)
    return pixels
