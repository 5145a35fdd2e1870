# SPDX-License-Identifier: Apache-2.0
"""What each kind of network must give out: shapes that the rest of the room relies on, checked by running it once.

The decoding itself lives beside its use (``detect``, ``landmarks``, ``attributes``); here stands the contract.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from custodes.domain import Float32
from custodes.errors import Invalid, Unavailable
from custodes.vision.manifest import ModelSpec
from custodes.vision.session import Model

__all__ = ["check_outputs", "probe"]

_STRIDES = (8, 16, 32)
_PROBE_SIDE = 96
"""Width and height of the probe for networks that take any size; a multiple of 32, so that strides come out even."""

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]


def probe(spec: ModelSpec, model: Model, size: tuple[int, int] = (_PROBE_SIDE, _PROBE_SIDE)) -> Float32:
    """Return one picture of grey noise as the network's input; ``size`` is (width, height) where it takes any.

    Raises:
        Invalid: if the network doesn't take the input that its manifest describes.
    """
    height_axis = 2 if spec.input.layout == "NCHW" else 1
    fixed = model.input_shape[height_axis : height_axis + 2] if len(model.input_shape) == 4 else ()
    if len(fixed) == 2 and spec.input.size is None and fixed[0] is not None and fixed[1] is not None:
        size = (fixed[1], fixed[0])
    shape = spec.input.shape(*(spec.input.size or size))
    fits = len(model.input_shape) == 4 and all(
        have is None or have == want for have, want in zip(model.input_shape, shape, strict=True)
    )
    if not fits:
        raise Invalid(f"The {spec.role} takes {model.input_shape}, but its manifest says {shape}.")
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)
    channels = (1, 3, 1, 1) if spec.input.layout == "NCHW" else (1, 1, 1, 3)
    mean, std = (np.asarray(v, np.float32).reshape(channels) for v in (spec.input.mean, spec.input.std))
    return np.ascontiguousarray((pixels - mean) / std)


def _last(shapes: Shapes) -> list[int]:
    return sorted(shape[-1] if shape else 0 for shape in shapes.values())


def _yunet(shapes: Shapes, cells: Callable[[int], int]) -> bool:
    return all(
        shapes.get(f"{name}_{stride}") == (1, cells(stride), width)
        for name, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))
        for stride in _STRIDES
    )


def _scrfd(shapes: Shapes, cells: Callable[[int], int]) -> bool:
    """Score, box and five points for each stride, in this order, and as many anchors a cell at each stride."""
    found = [shape[-2:] for shape in shapes.values() if len(shape) in (2, 3)]
    if len(found) != len(shapes) or len(found) != 3 * len(_STRIDES):
        return False
    anchors = found[0][0] // max(1, cells(_STRIDES[0]))
    wanted = [(anchors * cells(stride), width) for width in (1, 4, 10) for stride in _STRIDES]
    return anchors > 0 and found == wanted


def _retinaface(shapes: Shapes, cells: Callable[[int], int]) -> bool:
    rows = {shape[-2] for shape in shapes.values() if len(shape) == 3}
    return _last(shapes) == [2, 4, 10] and len(rows) == 1


def _template(shapes: Shapes, cells: Callable[[int], int]) -> bool:
    shape = next(iter(shapes.values()))
    return len(shapes) == 1 and len(shape) == 2 and 16 <= shape[1] <= 4096


def _exactly(**wanted: int) -> Callable[[Shapes, Callable[[int], int]], bool]:
    return lambda shapes, cells: all(shapes.get(name) == (1, size) for name, size in wanted.items())


def _one_row(size: int) -> Callable[[Shapes, Callable[[int], int]], bool]:
    return lambda shapes, cells: list(shapes.values()) == [(1, size)]


_CONTRACTS: dict[str, tuple[Callable[[Shapes, Callable[[int], int]], bool], str]] = {
    "yunet": (_yunet, "cls, obj, bbox and kps of strides 8, 16 and 32 with (1, cells, 1, 1, 4, 10)"),
    "scrfd": (_scrfd, "scores, boxes and points of strides 8, 16 and 32 with 1, 4 and 10 columns"),
    "retinaface": (_retinaface, "boxes, scores and points with (1, priors, 4), (1, priors, 2), (1, priors, 10)"),
    "arcface": (_template, "one output (1, d)"),
    "sface": (_template, "one output (1, d)"),
    "facemesh": (_exactly(mesh=1404, flag=1), "mesh (1, 1404) and flag (1, 1)"),
    "facemesh-attention": (
        _exactly(mesh=1404, flag=1, lips=160, left_eye=142, right_eye=142, left_iris=10, right_iris=10),
        "mesh (1, 1404), flag (1, 1), lips (1, 160), eyes (1, 142) and irises (1, 10)",
    ),
    "dlib-age": (_one_row(81), "one output (1, 81)"),
    "dlib-gender": (_one_row(2), "one output (1, 2)"),
    "face-api-expression": (_one_row(7), "one output (1, 7)"),
}


def check_outputs(spec: ModelSpec, model: Model) -> str:
    """Run a network once on noise and check what comes out against its kind.

    Returns:
        What was found, for a person.

    Raises:
        Invalid: if it doesn't run, or gives other shapes, or numbers that aren't finite.
    """
    x = probe(spec, model)
    try:
        outputs = dict(zip(model.outputs, model.run(x), strict=True))
    except Unavailable as e:
        raise Invalid(f"The {spec.role} doesn't run on {x.shape}, which its manifest describes.") from e
    shapes = {name: tuple(value.shape) for name, value in outputs.items()}
    height, width = x.shape[2:] if spec.input.layout == "NCHW" else x.shape[1:3]
    fits, wanted = _CONTRACTS[spec.kind]
    if not fits(shapes, lambda stride: (height // stride) * (width // stride)):
        raise Invalid(f"A {spec.role} of kind {spec.kind} gives {wanted}; this one gives {shapes}.")
    if not all(np.isfinite(value).all() for value in outputs.values()):
        raise Invalid(f"The {spec.role} gives numbers that aren't finite.")
    return f"{spec.kind}, {x.shape} in, {len(outputs)} out"
