# SPDX-License-Identifier: Apache-2.0
"""Decoding: what is taken, how it comes out, and what is refused and how fast."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pil
from PIL import ImageOps

from custodes.config import Limits
from custodes.errors import Code, InvalidImage, NotFound, TooLarge
from custodes.vision.image import Image, decode, read

LIMITS = Limits()
NOISE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
RGB = np.asarray(cv2.resize(NOISE, (160, 120), interpolation=cv2.INTER_CUBIC), np.uint8)
ALPHA = np.tile(np.arange(160, dtype=np.uint8), (120, 1))


def encoded(picture: Pil.Image, kind: str = "PNG", **options: object) -> bytes:
    made = io.BytesIO()
    picture.save(made, kind, **options)
    return made.getvalue()


def jpeg(**options: object) -> bytes:
    return encoded(Pil.fromarray(RGB), "JPEG", quality=95, **options)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def refusal(data: bytes) -> InvalidImage | TooLarge:
    with pytest.raises((InvalidImage, TooLarge)) as caught:
        decode(data, LIMITS)
    return caught.value


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_comes_out_upright(orientation: int) -> None:
    """A JPEG is turned and mirrored as its EXIF orientation says, as Pillow does it."""
    exif = Pil.Exif()
    exif[0x0112] = orientation
    data = jpeg(exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Pil.open(io.BytesIO(data))))[:, :, ::-1]
    found = decode(data, LIMITS)
    assert found.pixels.shape == expected.shape
    assert np.abs(found.pixels.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_is_read_in_both_byte_orders(order: str) -> None:
    """The TIFF header may be little or big endian."""
    mark = b"II" if order == "<" else b"MM"
    tiff = mark + struct.pack(order + "HIHHHIHHI", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)
    segment = b"Exif\0\0" + tiff
    data = jpeg()
    turned = data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]
    assert decode(turned, LIMITS).size.width == 120


@pytest.mark.parametrize(
    "tiff", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff", b"XX*\0" + bytes(30)]
)
def test_broken_exif_leaves_the_picture_as_it_lies(tiff: bytes) -> None:
    """EXIF that can't be read counts as none."""
    segment = b"Exif\0\0" + tiff
    data = jpeg()
    odd = data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]
    assert decode(odd, LIMITS).size.width == 160


def test_a_png_is_not_turned() -> None:
    """EXIF in a PNG is not looked at."""
    exif = Pil.Exif()
    exif[0x0112] = 6
    assert decode(encoded(Pil.fromarray(RGB), exif=exif), LIMITS).size.width == 160


@pytest.mark.parametrize(
    "picture",
    [
        Pil.fromarray(RGB).convert("L"),
        Pil.fromarray(RGB).convert("1"),
        Pil.fromarray(RGB).quantize(16),
        Pil.fromarray(np.dstack([RGB, ALPHA])),
        Pil.fromarray(np.dstack([RGB, ALPHA])).convert("LA"),
    ],
    ids=["grey", "bilevel", "palette", "alpha", "grey and alpha"],
)
def test_all_kinds_of_png_become_colour_on_white(picture: Pil.Image) -> None:
    """Whatever the colour type, pixels are those that a viewer shows on white."""
    white = Pil.new("RGBA", picture.size, "white")
    expected = np.asarray(Pil.alpha_composite(white, picture.convert("RGBA")).convert("RGB"))[:, :, ::-1]
    found = decode(encoded(picture), LIMITS).pixels
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_a_transparent_palette_colour_becomes_white() -> None:
    """tRNS chunks are honoured too."""
    picture = Pil.fromarray(RGB).quantize(4)
    found = decode(encoded(picture, transparency=2), LIMITS).pixels
    assert (found[np.asarray(picture) == 2] == 255).all()
    assert not (found == 255).all()


def test_sixteen_bits_lose_their_low_byte() -> None:
    """Samples of 16 bits come out as their high byte, with and without alpha."""
    deep = RGB.astype(np.uint16) * 256 + 17
    grey = encoded(Pil.fromarray(deep[:, :, 0]))
    assert np.array_equal(decode(grey, LIMITS).pixels[:, :, 1], RGB[:, :, 0])
    opaque = np.full((120, 160, 1), 65535, np.uint16)
    _, four = cv2.imencode(".png", np.concatenate([deep, opaque], axis=2))
    assert np.array_equal(decode(four.tobytes(), LIMITS).pixels, RGB)


def test_an_animated_png_shows_its_first_frame() -> None:
    """Later frames are passed over."""
    data = encoded(Pil.fromarray(RGB), save_all=True, append_images=[Pil.fromarray(255 - RGB)])
    assert np.array_equal(decode(data, LIMITS).pixels, RGB[:, :, ::-1])


def test_cmyk_becomes_colour() -> None:
    """A CMYK JPEG has the colours that Pillow gives it."""
    data = encoded(Pil.fromarray(RGB).convert("CMYK"), "JPEG", quality=95)
    expected = np.asarray(Pil.open(io.BytesIO(data)).convert("RGB"))[:, :, ::-1]
    assert np.abs(decode(data, LIMITS).pixels.astype(int) - expected).mean() < 3


def test_progressive_and_trailing_bytes_are_taken() -> None:
    """Phones append data after a JPEG's end; that harms nothing."""
    assert decode(jpeg(progressive=True) + b"\0trailer", LIMITS).size.width == 160


@pytest.mark.parametrize("orientation", [1, 6, 8])
def test_a_huge_jpeg_is_decoded_in_part(orientation: int) -> None:
    """From 64 megapixels on every second pixel is enough; the size is still the whole picture's, upright."""
    exif = Pil.Exif()
    exif[0x0112] = orientation
    picture = Pil.fromarray(RGB).resize((8003, 8001), Pil.Resampling.BILINEAR)
    found = decode(encoded(picture, "JPEG", quality=90, exif=exif), LIMITS)
    turned = orientation != 1
    assert (found.size.width, found.size.height) == ((8001, 8003) if turned else (8003, 8001))
    assert found.pixels.shape == ((4002, 4001, 3) if turned else (4001, 4002, 3))
    assert found.scale == pytest.approx(2, abs=1e-3)
    whole = ImageOps.exif_transpose(Pil.open(io.BytesIO(encoded(picture.reduce(10), "JPEG", quality=90, exif=exif))))
    small = cv2.resize(found.pixels, whole.size, interpolation=cv2.INTER_AREA)[:, :, ::-1]
    assert np.abs(small.astype(int) - np.asarray(whole)).mean() < 3


def test_the_largest_photos_of_phones_are_decoded_whole() -> None:
    """50 megapixels keep every pixel, so that templates don't suffer."""
    found = decode(encoded(Pil.new("RGB", (8192, 6144), "grey"), "JPEG"), LIMITS)
    assert found.pixels.shape == (6144, 8192, 3)
    assert (found.whole, found.scale) == (None, 1.0)


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"GIF89a" + bytes(100), b"RIFF\0\0\0\0WEBPVP8 ", b"<svg/>", b"\0\0\0\x1cftypheic", b"BM" + bytes(60)],
)
def test_other_formats_are_refused(data: bytes) -> None:
    """Content decides, and only JPEG and PNG are taken."""
    assert refusal(data).code == Code.IMAGE_FORMAT


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.95, 0.999])
@pytest.mark.parametrize("kind", ["jpeg", "progressive", "png"])
def test_what_is_cut_short_is_refused(kind: str, share: float) -> None:
    """Half a picture could hide a face, so it is none."""
    data = {"jpeg": jpeg(), "progressive": jpeg(progressive=True), "png": encoded(Pil.fromarray(RGB))}[kind]
    assert refusal(data[: int(len(data) * share)]).code == Code.IMAGE_FORMAT


def test_random_bytes_are_refused() -> None:
    """Noise behind a right beginning is no picture."""
    rng = np.random.default_rng(1)
    for start in (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"):
        for _ in range(200):
            refusal(start + rng.bytes(300))


def test_a_png_with_a_wrong_check_sum_is_refused() -> None:
    """One changed bit is seen."""
    data = bytearray(encoded(Pil.fromarray(RGB)))
    data[len(data) // 2] ^= 1
    assert "check sum" in refusal(bytes(data)).message


def test_changed_bytes_never_raise_anything_else() -> None:
    """Whatever is changed inside a JPEG, it decodes or is refused with a typed error."""
    rng = np.random.default_rng(2)
    good = jpeg()
    taken = 0
    for _ in range(300):
        data = bytearray(good)
        for at in rng.integers(2, len(data), 3):
            data[at] = rng.integers(256)
        try:
            taken += decode(bytes(data), LIMITS).pixels.size > 0
        except (InvalidImage, TooLarge):
            continue
    assert 0 < taken < 300


@pytest.mark.alone
def test_a_decompression_bomb_is_refused_at_once() -> None:
    """30,000 x 30,000 pixels in a small file cost neither time nor memory."""
    rows = zlib.compressobj(9)
    body = b"".join(rows.compress(bytes(3751 * 1000)) for _ in range(30)) + rows.flush()
    header = struct.pack(">IIBBBBB", 30000, 30000, 1, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    tracemalloc.start()
    start = time.perf_counter()
    error = refusal(bomb)
    took = time.perf_counter() - start
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert error.code == Code.IMAGE_PIXELS
    assert took < 0.5
    assert peak < 2_000_000


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    """Each scan of a progressive JPEG costs a pass over the picture: thousands are an attack."""
    data = jpeg(progressive=True)
    assert "scans" in refusal(data[:-2] + b"\xff\xda\0\x08" * 1000 + b"\xff\xd9").message


def test_limits_of_bytes_and_sides() -> None:
    """One byte too many and one pixel too few are told apart."""
    data = jpeg()
    assert decode(data, Limits(image_bytes=len(data))).size.width == 160
    with pytest.raises(TooLarge) as caught:
        decode(data, Limits(image_bytes=len(data) - 1))
    assert caught.value.code == Code.IMAGE_BYTES
    assert decode(data, Limits(image_bytes=len(data))).size.height == 120
    assert decode(encoded(Pil.new("RGB", (80, 80))), LIMITS).size.width == 80
    assert refusal(encoded(Pil.new("RGB", (79, 200)))).code == Code.IMAGE_TOO_SMALL


def test_a_file_is_read_and_a_missing_one_named(tmp_path: Path) -> None:
    """Paths lead to the same decoding; the error names the file but not its folder."""
    (tmp_path / "a.jpg").write_bytes(jpeg())
    assert read(tmp_path / "a.jpg", LIMITS).size.width == 160
    with pytest.raises(NotFound) as caught:
        read(tmp_path / "b.jpg", LIMITS)
    assert "b.jpg" in caught.value.message
    assert str(tmp_path) not in caught.value.message


def test_arrays_come_in_either_order() -> None:
    """Pixels in memory are RGB unless said otherwise; grey is spread; floats are refused."""
    assert np.array_equal(Image.from_array(RGB).pixels, RGB[:, :, ::-1])
    assert np.array_equal(Image.from_array(RGB, order="bgr").pixels, RGB)
    assert Image.from_array(RGB[:, :, 0]).pixels.shape == (120, 160, 3)
    with pytest.raises(InvalidImage):
        Image.from_array(RGB.astype(np.float32))  # type: ignore[arg-type]
