# SPDX-License-Identifier: Apache-2.0
"""Write PReLU with operators that ONNX Runtime's CPU kernels keep in their blocked layout.

ONNX Runtime has no blocked PReLU: at each one it reorders the whole map there and back. With slope a and d = 1 - a,

    PReLU(x) = max(x, 0) + a * min(x, 0) = max(d * x, 0) + (a / d) * (d * x)        for d > 0,

because d * x keeps the sign of x. The factor d goes into the convolution before, so what runs is a ReLU beside a
depthwise 1x1 convolution, whose sum ONNX Runtime fuses. For d < 0 the same holds of -PReLU, with the factor
-1 / d, and the sign goes into the convolutions after.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx

from custodes.vision.convert.graph import Graph, integer, make_node

__all__ = ["split_prelus"]

Float64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_LEAST_FACTOR = 1e-6
"""Least |1 - a|: a slope of exactly 1 is taken as 1 - 1e-6, for d = 0 can't be divided by."""


def split_prelus(graph: Graph) -> None:
    """Rewrite each PRelu that has one slope a channel."""
    producers, consumers = graph.producers(), graph.consumers()
    nodes: list[onnx.NodeProto] = []
    for node in graph.nodes:
        slopes = graph.constants.get(node.input[1]) if node.op_type == "PRelu" else None
        if slopes is None or slopes.ndim < 3 or slopes.size != slopes.shape[-3]:
            nodes.append(node)
            continue
        slope = slopes.reshape(-1).astype(np.float64)
        factor = np.where(np.abs(1.0 - slope) < _LEAST_FACTOR, _LEAST_FACTOR, 1.0 - slope)
        before, after = producers.get(node.input[0]), consumers.get(node.output[0], [])
        alone = len(consumers[node.input[0]]) == 1 and not graph.is_output(node.output[0])
        turns = bool((factor < 0).any())
        if before is not None and alone and _is_conv(graph, before) and (not turns or _all_convs(graph, after)):
            _scale_outputs(graph, before, factor)
            if turns:
                _turn_inputs(graph, after, factor < 0)
            nodes += _sum_of(graph, node, np.where(factor < 0, -1.0, 1.0 - factor) / factor, None)
        else:
            nodes += _sum_of(graph, node, slope, 1.0 - slope)
    graph.nodes = nodes


def _is_conv(graph: Graph, node: onnx.NodeProto) -> bool:
    return node.op_type == "Conv" and all(name in graph.constants for name in node.input[1:] if name)


def _all_convs(graph: Graph, nodes: list[onnx.NodeProto]) -> bool:
    return bool(nodes) and all(_is_conv(graph, node) and _group(node) in (1, _channels(graph, node)) for node in nodes)


def _group(conv: onnx.NodeProto) -> int:
    return integer(conv, "group", 1)


def _channels(graph: Graph, conv: onnx.NodeProto) -> int:
    return int(graph.constants[conv.input[1]].shape[0])


def _replace(graph: Graph, node: onnx.NodeProto, index: int, value: Float64, label: str) -> None:
    name = f"{node.output[0]}/{label}"
    graph.constants[name] = value.astype(np.float32)
    node.input[index] = name


def _scale_outputs(graph: Graph, conv: onnx.NodeProto, factor: Float64) -> None:
    weights = graph.constants[conv.input[1]].astype(np.float64)
    _replace(graph, conv, 1, weights * factor.reshape(-1, 1, 1, 1), "scaled_weights")
    if len(conv.input) > 2:
        _replace(graph, conv, 2, graph.constants[conv.input[2]].astype(np.float64) * factor, "scaled_bias")


def _turn_inputs(graph: Graph, convs: list[onnx.NodeProto], turned: Bools) -> None:
    sign = np.where(turned, -1.0, 1.0)
    for conv in convs:
        weights = graph.constants[conv.input[1]].astype(np.float64)
        along = (1, -1, 1, 1) if _group(conv) == 1 else (-1, 1, 1, 1)
        _replace(graph, conv, 1, weights * sign.reshape(along), "turned_weights")


def _sum_of(graph: Graph, prelu: onnx.NodeProto, linear: Float64, positive: Float64 | None) -> list[onnx.NodeProto]:
    """Return linear * x + positive * max(x, 0), by channel; ``positive`` None means 1."""
    x, y = prelu.input[0], prelu.output[0]
    rectified = f"{y}/relu"
    nodes = [make_node("Relu", [x], rectified, {})]
    if positive is not None:
        nodes.append(_scale(graph, rectified, positive, f"{y}/positive"))
        rectified = f"{y}/positive"
    nodes.append(_scale(graph, x, linear, f"{y}/linear"))
    nodes.append(make_node("Add", [f"{y}/linear", rectified], y, {}))
    return nodes


def _scale(graph: Graph, x: str, factor: Float64, y: str) -> onnx.NodeProto:
    graph.constants[f"{y}/slopes"] = factor.reshape(-1, 1, 1, 1).astype(np.float32)
    return make_node("Conv", [x, f"{y}/slopes"], y, {"group": factor.size, "kernel_shape": [1, 1]})
