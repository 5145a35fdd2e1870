# SPDX-License-Identifier: Apache-2.0
"""Pictures that are none, or that nobody should decode: each gets a typed error at once, in bounded memory."""

from __future__ import annotations

import base64
import io
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

FORMAT = "InvalidImageFormatException"
TOO_LARGE = "ImageTooLargeException"
PARAMETER = "InvalidParameterException"
VALIDATION = "ValidationException"
SERIALIZATION = "SerializationException"
MEGABYTE = 2**20


def saved(picture: Pillow.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bomb(side: int) -> bytes:
    """Return a valid grey PNG of ``side`` x ``side`` zeros, a thousandth of its pixels in size."""
    squeeze = zlib.compressobj(9)
    row = bytes(1 + side)
    rows = b"".join([*(squeeze.compress(row) for _ in range(side)), squeeze.flush()])
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def jpeg_bomb(photo: bytes) -> bytes:
    """Return a small JPEG whose frame header claims 65,500 x 65,500 pixels."""
    at = re.search(rb"\xff[\xc0\xc2]\x00\x11", photo).start()
    return photo[: at + 5] + struct.pack(">HH", 65_500, 65_500) + photo[at + 9 :]


def scans_bomb(photo: Pillow.Image) -> bytes:
    """Return a progressive JPEG whose scans are repeated a thousand times."""
    data = saved(photo, "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * 1000 + b"\xff\xd9"


def made(name: str, ann: bytes) -> bytes:
    """Make a bad picture, out of a good one where that is needed."""
    photo = Pillow.open(io.BytesIO(ann))
    head = np.random.default_rng(3)
    makers: dict[str, Callable[[], bytes]] = {
        "one byte": lambda: b"\xff",
        "magic alone": lambda: b"\xff\xd8\xff",
        "random bytes": lambda: head.bytes(50_000),
        "truncated jpeg": lambda: ann[: len(ann) // 2],
        "jpeg header alone": lambda: ann[:400],
        "truncated png": lambda: saved(photo, "PNG")[:-2000],
        "png with a wrong sum": lambda: saved(photo, "PNG")[:-5] + b"\0" + saved(photo, "PNG")[-4:],
        "png of 30,000 x 30,000": lambda: png_bomb(30_000),
        "jpeg of 65,500 x 65,500": lambda: jpeg_bomb(ann),
        "jpeg of a thousand scans": lambda: scans_bomb(photo.resize((120, 120))),
        "png whose header claims 2^31 x 2^31": lambda: (
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0))
            + chunk(b"IEND", b"")
        ),
        "png of 0 x 0": lambda: (
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 0, 8, 2, 0, 0, 0)) + chunk(b"IEND", b"")
        ),
        "79 pixels wide": lambda: saved(photo.resize((79, 400)), "PNG"),
        "79 pixels high": lambda: saved(photo.resize((400, 79)), "JPEG"),
        "gif": lambda: saved(photo, "GIF"),
        "webp": lambda: saved(photo, "WEBP"),
        "bmp": lambda: saved(photo, "BMP"),
        "tiff": lambda: saved(photo, "TIFF"),
        "jpeg 2000": lambda: saved(photo, "JPEG2000"),
        "heic": lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(20_000),
        "svg": lambda: b'<svg xmlns="http://www.w3.org/2000/svg" width="200" height="200"></svg>',
        "pdf": lambda: saved(photo, "PDF"),
        "html": lambda: b"<!doctype html><title>Not found</title>" + bytes(100),
    }
    return makers[name]()


BAD = {
    "one byte": FORMAT,
    "magic alone": FORMAT,
    "random bytes": FORMAT,
    "truncated jpeg": FORMAT,
    "jpeg header alone": FORMAT,
    "truncated png": FORMAT,
    "png with a wrong sum": FORMAT,
    "png of 30,000 x 30,000": TOO_LARGE,
    "jpeg of 65,500 x 65,500": TOO_LARGE,
    "jpeg of a thousand scans": FORMAT,
    "png whose header claims 2^31 x 2^31": TOO_LARGE,
    "png of 0 x 0": PARAMETER,
    "79 pixels wide": PARAMETER,
    "79 pixels high": PARAMETER,
    "gif": FORMAT,
    "webp": FORMAT,
    "bmp": FORMAT,
    "tiff": FORMAT,
    "jpeg 2000": FORMAT,
    "heic": FORMAT,
    "svg": FORMAT,
    "pdf": FORMAT,
    "html": FORMAT,
}
SENTENCES = {
    FORMAT: "Request has invalid image format",
    TOO_LARGE: "Image size is too large.",
    PARAMETER: "Request has invalid parameters. ",
}


@pytest.fixture(autouse=True)
def bounded(wire):
    """The server's memory, at its highest during the test, stays within 250 MB of where it was."""
    before = wire.resident
    peak = Path(f"/proc/{wire.process.pid}")
    if peak.exists():
        (peak / "clear_refs").write_text("5")  # proc(5): reset the peak of the resident set
    yield
    high = re.search(r"VmHWM:\s+(\d+) kB", (peak / "status").read_text()) if peak.exists() else None
    most = int(high[1]) * 1024 if high else wire.resident
    assert most - before < 250 * MEGABYTE
    assert wire.alive()


def detect(wire, data: bytes):
    return wire.call("DetectFaces", {"Image": {"Bytes": base64.b64encode(data).decode()}})


@pytest.mark.alone
@pytest.mark.parametrize("name", BAD)
def test_bad_picture_is_refused(wire, people, name: str) -> None:
    """Whatever isn't a picture within the limits is refused by a declared error within a second."""
    answer = detect(wire, made(name, people.ann))
    assert (answer.status, answer.error) == (400, BAD[name])
    assert answer.message.startswith(SENTENCES[BAD[name]])
    assert answer.seconds < 1


@pytest.mark.parametrize("operation", ["CompareFaces", "IndexFaces", "SearchFacesByImage", "SearchUsersByImage"])
def test_bad_picture_is_refused_by_every_operation(wire, collection, people, operation: str) -> None:
    """The other operations with pictures refuse them by the same errors."""
    for bad, error in ((b"GIF89a" + bytes(99), FORMAT), (jpeg_bomb(people.ann), TOO_LARGE)):
        image = {"Bytes": base64.b64encode(bad).decode()}
        good = {"Bytes": base64.b64encode(people.ann).decode()}
        bodies = (
            [{"SourceImage": image, "TargetImage": good}, {"SourceImage": good, "TargetImage": image}]
            if operation == "CompareFaces"
            else [{"CollectionId": collection, "Image": image}]
        )
        for body in bodies:
            answer = wire.call(operation, body)
            assert (answer.status, answer.error) == (400, error)


@pytest.mark.alone
def test_picture_of_5_mb_and_one_byte(wire, people) -> None:
    """A picture of 5 MB is read, one of a byte more is told by its size, and not by its bytes."""
    room = 5 * MEGABYTE - len(people.ann)
    assert detect(wire, people.ann + bytes(room)).status == 200
    answer = detect(wire, people.ann + bytes(room + 1))
    assert (answer.status, answer.error) == (400, VALIDATION)
    assert answer.message == (
        "1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim=5242881 cap=5242881]' at 'image.bytes' "
        "failed to satisfy constraint: Member must have length less than or equal to 5242880"
    )
    assert answer.seconds < 1


def test_empty_picture(wire) -> None:
    """A picture without a byte breaks the model."""
    answer = detect(wire, b"")
    assert (answer.status, answer.error) == (400, VALIDATION)
    assert "'image.bytes'" in answer.message


@pytest.mark.parametrize(
    "text", ["*", "abc", "YWJj\n", "YWJj====", "data:image/png;base64,YWJj", "-_-_", "ä", "\u0000"]
)
def test_wrong_base64(wire, text: str) -> None:
    """A blob that isn't Base64 can't be read."""
    answer = wire.call("DetectFaces", {"Image": {"Bytes": text}})
    assert (answer.status, answer.error) == (400, SERIALIZATION)


@pytest.mark.parametrize(
    "kind", ["cmyk jpeg", "16-bit png", "alpha png", "palette png", "grey png", "grey jpeg", "apng"]
)
def test_unusual_picture_is_read(wire, people, kind: str) -> None:
    """Colour models, depths and animations that JPEG and PNG allow are read, and show the face where it is."""
    photo = Pillow.open(io.BytesIO(people.ann))
    clear = photo.convert("RGBA")
    clear.putpixel((0, 0), (0, 0, 0, 0))
    deep = np.asarray(photo.convert("L"), np.uint16) * 257
    made_of: dict[str, Callable[[], bytes]] = {
        "cmyk jpeg": lambda: saved(photo.convert("CMYK"), "JPEG"),
        "16-bit png": lambda: saved(Pillow.fromarray(deep), "PNG"),
        "alpha png": lambda: saved(clear, "PNG"),
        "palette png": lambda: saved(photo.convert("P", palette=Pillow.Palette.ADAPTIVE), "PNG"),
        "grey png": lambda: saved(photo.convert("L"), "PNG"),
        "grey jpeg": lambda: saved(photo.convert("L"), "JPEG"),
        "apng": lambda: saved(photo, "PNG", save_all=True, append_images=[Pillow.new("RGB", photo.size)]),
    }
    [want] = detect(wire, people.ann).document["FaceDetails"]
    answer = detect(wire, made_of[kind]())
    [face] = answer.document["FaceDetails"]
    assert face["BoundingBox"] == pytest.approx(want["BoundingBox"], abs=0.03)
    assert abs(face["Quality"]["Brightness"] - want["Quality"]["Brightness"]) < 10
