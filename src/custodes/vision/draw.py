# SPDX-License-Identifier: Apache-2.0
"""Pictures of results, for people: a box, five points and a caption for each face."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from custodes.domain import Face, UInt8
from custodes.errors import Invalid
from custodes.vision.image import Image
from custodes.vision.landmarks import scaled

__all__ = ["draw", "encode_jpeg", "save"]

_ACCENT = (96, 220, 140)
_INK = (24, 32, 24)
_QUALITY = 92
_FINE = 4
"""Coordinates are drawn in sixteenths of a pixel: 2 to the power of this."""
_FONT = cv2.FONT_HERSHEY_DUPLEX


def draw(image: Image, faces: Sequence[Face], labels: Sequence[str]) -> Image:
    """Return a copy of the image with each face marked and captioned; an empty label leaves the caption out.

    The copy of a huge JPEG that was decoded in part is as large as its pixels are many.

    Raises:
        Invalid: if there isn't a label for each face.
    """
    if len(faces) != len(labels):
        raise Invalid(f"Each face needs a label: {len(faces)} faces, {len(labels)} labels.")
    canvas = image.pixels.copy()
    line = max(1, round(max(canvas.shape[:2]) / 640))
    placed = [face if image.whole is None else scaled(face, 1 / image.scale) for face in faces]
    for face in placed:
        _mark(canvas, face, line)
    for face, label in zip(placed, labels, strict=True):
        if label:
            _caption(canvas, face, label, line)
    return Image(canvas)


def encode_jpeg(image: Image) -> bytes:
    """Return the image as a JPEG file's bytes."""
    _, data = cv2.imencode(".jpg", image.pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return data.tobytes()


def save(image: Image, path: Path) -> None:
    """Write the image as a JPEG.

    Raises:
        Invalid: if the file can't be written.
    """
    try:
        path.write_bytes(encode_jpeg(image))
    except OSError as e:
        raise Invalid(f"The picture can't be written to {path.name}: {e.strerror}.") from e


def _fine(x: float, y: float) -> tuple[int, int]:
    return round(x * 2**_FINE), round(y * 2**_FINE)


def _mark(canvas: UInt8, face: Face, line: int) -> None:
    """Draw the box as four corners, with a fine frame between, and a dot at each point."""
    box = face.box
    corners = ((box.left, box.top), (box.right, box.bottom))
    cv2.rectangle(canvas, _fine(*corners[0]), _fine(*corners[1]), _ACCENT, line, cv2.LINE_AA, _FINE)
    arm_x, arm_y = box.width * 0.22, box.height * 0.22
    for x, dx in ((box.left, arm_x), (box.right, -arm_x)):
        for y, dy in ((box.top, arm_y), (box.bottom, -arm_y)):
            for end in ((x + dx, y), (x, y + dy)):
                cv2.line(canvas, _fine(x, y), _fine(*end), _ACCENT, line * 3, cv2.LINE_AA, _FINE)
    radius = round(max(line, box.width / 70) * 2**_FINE)
    for x, y in face.landmarks.points.tolist():
        cv2.circle(canvas, _fine(x, y), radius + line * 2**_FINE, _INK, cv2.FILLED, cv2.LINE_AA, _FINE)
        cv2.circle(canvas, _fine(x, y), radius, _ACCENT, cv2.FILLED, cv2.LINE_AA, _FINE)


def _caption(canvas: UInt8, face: Face, label: str, line: int) -> None:
    """Write the label on a plate above the box, or inside it where the image ends."""
    height, width = canvas.shape[:2]
    scale = float(np.clip(face.box.width / 260, 0.4 * line, 0.75 * line))
    (text_width, text_height), below = cv2.getTextSize(label, _FONT, scale, line)
    pad = max(3, round(text_height * 0.45))
    plate_width, plate_height = text_width + 2 * pad, text_height + below + 2 * pad
    left = int(np.clip(face.box.left - line, 0, max(0, width - plate_width)))
    top = round(face.box.top) - plate_height
    if top < 0:
        top = int(np.clip(round(face.box.top), 0, max(0, height - plate_height)))
    cv2.rectangle(canvas, (left, top), (left + plate_width, top + plate_height), _ACCENT, cv2.FILLED)
    foot = (left + pad, top + pad + text_height)
    cv2.putText(canvas, label, foot, _FONT, scale, _INK, line, cv2.LINE_AA)
