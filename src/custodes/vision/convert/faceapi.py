# SPDX-License-Identifier: Apache-2.0
"""Write face-api's expression network, whose weights are published without a graph, as an ONNX network.

The layers are those of ``DenselyConnectedBlock4`` and ``FaceExpressionNet`` in face-api's source. The weights are
bytes on a scale of their own, and are stored as such: w = byte * scale + min.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper

from custodes.errors import Invalid
from custodes.vision.convert.graph import Array
from custodes.vision.convert.writer import Writer

__all__ = ["EXPRESSIONS", "convert_expression"]

EXPRESSIONS = ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")
"""What the seven outputs stand for."""

_SIDE = 112
_BLOCKS = 4
_STORED = {"uint8": "u1", "float32": "<f4"}
_MEAN = (122.782, 117.001, 104.298)


def convert_expression(manifest: bytes, weights: bytes) -> bytes:
    """Convert the expression network: ``image`` (N, 3, 112, 112) RGB 0..255 in, ``probabilities`` (N, 7) out.

    Args:
        manifest: ``face_expression_model-weights_manifest.json``.
        weights: ``face_expression_model.bin``.

    Raises:
        Invalid: if the weights have another size than the manifest says.
    """
    net = _Expression(manifest, weights)
    return net.written()


@dataclass(frozen=True, slots=True)
class _Weight:
    """A weight: ``stored * scale + least`` where it is stored as bytes."""

    stored: Array
    scale: float
    least: float


class _Expression:
    def __init__(self, manifest: bytes, weights: bytes) -> None:
        self._writer = Writer()
        self._weights: dict[str, _Weight] = {}
        at = 0
        for described in (w for group in json.loads(manifest) for w in group["weights"]):
            scale = described.get("quantization", {})
            stored = np.dtype(_STORED[scale.get("dtype", described["dtype"])])
            shape = tuple(int(n) for n in described["shape"])
            raw = weights[at : at + int(np.prod(shape)) * stored.itemsize]
            if len(raw) != int(np.prod(shape)) * stored.itemsize:
                raise Invalid("The weights end before their manifest does.")
            self._weights[described["name"]] = _Weight(
                np.frombuffer(raw, stored).reshape(shape), scale.get("scale", 1.0), scale.get("min", 0.0)
            )
            at += len(raw)
        if at != len(weights):
            raise Invalid(f"The weights have {len(weights)} bytes, their manifest {at}.")

    def written(self) -> bytes:
        mean = self._writer.stored(np.array(_MEAN, np.float32).reshape(1, 3, 1, 1))
        x = self._writer.node("Sub", ["image", mean])
        x = self._writer.node("Div", [x, self._writer.stored(np.array(255, np.float32))])
        for block in range(_BLOCKS):
            x = self._dense_block(x, f"dense{block}", first=block == 0)
        x = self._writer.node("AveragePool", [x], {"kernel_shape": [7, 7], "strides": [2, 2]})
        x = self._writer.node("Flatten", [x])
        x = self._writer.node("Gemm", [x, self._weight("fc/weights", (1, 0)), self._weight("fc/bias")], {"transB": 1})
        self._writer.node("Softmax", [x], {"axis": -1}, output="probabilities")
        return self._writer.written(
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, _SIDE, _SIDE])],
            [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(EXPRESSIONS)])],
        )

    def _weight(self, name: str, order: tuple[int, ...] = (), shape: tuple[int, ...] = ()) -> str:
        weight = self._weights[name]
        stored = weight.stored.transpose(order) if order else weight.stored
        stored = stored.reshape(shape or stored.shape)
        if stored.dtype == np.float32:
            return self._writer.stored(stored)
        x = self._writer.node("Cast", [self._writer.stored(stored)], {"to": TensorProto.FLOAT})
        x = self._writer.node("Mul", [x, self._writer.stored(np.array(weight.scale, np.float32))])
        return self._writer.node("Add", [x, self._writer.stored(np.array(weight.least, np.float32))])

    def _convolution(self, x: str, name: str, stride: int) -> str:
        weights = self._weight(f"{name}/filters", (3, 2, 0, 1))
        return self._writer.node(
            "Conv", [x, weights, self._weight(f"{name}/bias")], {"strides": [stride, stride], "auto_pad": "SAME_UPPER"}
        )

    def _separable(self, x: str, name: str, stride: int = 1) -> str:
        height, width, channels, many = self._weights[f"{name}/depthwise_filter"].stored.shape
        depthwise = self._weight(f"{name}/depthwise_filter", (2, 3, 0, 1), (channels * many, 1, height, width))
        x = self._writer.node(
            "Conv", [x, depthwise], {"group": channels, "strides": [stride, stride], "auto_pad": "SAME_UPPER"}
        )
        pointwise = self._weight(f"{name}/pointwise_filter", (3, 2, 0, 1))
        return self._writer.node("Conv", [x, pointwise, self._weight(f"{name}/bias")])

    def _dense_block(self, x: str, name: str, *, first: bool) -> str:
        """Four convolutions, each of which sees the sum of all before it."""
        start = self._convolution if first else self._separable
        sums = self._writer.node("Relu", [start(x, f"{name}/conv0", 2)])
        seen = sums
        for layer in (1, 2, 3):
            sums = self._writer.node("Add", [sums, self._separable(seen, f"{name}/conv{layer}")])
            seen = self._writer.node("Relu", [sums])
        return seen
