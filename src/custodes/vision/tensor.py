# SPDX-License-Identifier: Apache-2.0
"""Pictures as a network wants them: order of colours and axes, mean and deviation, from the manifest's input spec."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from custodes.domain import Float32, UInt8
from custodes.vision.manifest import InputSpec

__all__ = ["tensor"]


def tensor(
    pictures: Sequence[UInt8], spec: InputSpec, *, given: str = "BGR", width: int = 0, height: int = 0
) -> Float32:
    """Return pictures as one float32 array, in the layout of ``spec``.

    Args:
        pictures: each ``(h, w, 3)`` uint8.
        spec: the network's input.
        given: order of the pictures' colours, ``"BGR"`` or ``"RGB"``.
        width: pixels to fill, with zeros on the right; 0 takes the first picture's.
        height: likewise, at the bottom.
    """
    width, height = width or pictures[0].shape[1], height or pictures[0].shape[0]
    made = np.empty(spec.shape(width, height, len(pictures)), np.float32)
    channels = (2, 1, 0) if spec.colour != given else (0, 1, 2)
    for i, picture in enumerate(pictures):
        h, w = picture.shape[:2]
        if (h, w) != (height, width):
            made[i] = 0
        planes = cv2.split(picture)  # converting whole planes is twice as fast as every third byte
        for to, channel in enumerate(channels):
            plane = made[i, to, :h, :w] if spec.layout == "NCHW" else made[i, :h, :w, to]
            plane[...] = planes[channel]
            if spec.mean[to]:
                plane -= np.float32(spec.mean[to])
            if spec.std[to] != 1:
                plane *= np.float32(1 / spec.std[to])
    return made
