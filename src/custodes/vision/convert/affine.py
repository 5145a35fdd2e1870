# SPDX-License-Identifier: Apache-2.0
"""Fold a scale and a shift of each channel into the convolution or matrix product before it.

A batch normalisation at inference, y = (x - mean) / sqrt(variance + epsilon) * gamma + beta (Ioffe and Szegedy 2015,
section 3.1), is one; a ``Mul`` or ``Add`` by a constant a channel is another. Each scales the weights and shifts the
bias of the layer that made x.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx

from custodes.vision.convert.graph import Graph, attributes

__all__ = ["fold_affine"]

Float64 = npt.NDArray[np.float64]


def fold_affine(graph: Graph) -> None:
    """Remove each scale and shift that follows a Conv or Gemm which nothing else reads."""
    producers, consumers = graph.producers(), graph.consumers()
    folded: list[onnx.NodeProto] = []
    for node in graph.nodes:
        data = node.input[0] if node.input else ""
        layer = producers.get(data)
        if layer is None or not _foldable(graph, layer) or len(consumers[data]) != 1 or graph.is_output(data):
            continue
        scale_and_shift = _scale_and_shift(graph, node, graph.constants[layer.input[1]].shape[0])
        if scale_and_shift is None:
            continue
        _fold(graph, layer, node.output[0], *scale_and_shift)
        producers[node.output[0]] = layer
        folded.append(node)
    graph.remove(folded)


def _foldable(graph: Graph, layer: onnx.NodeProto) -> bool:
    given = attributes(layer)
    plain_gemm = (
        layer.op_type == "Gemm"
        and given.get("transB", 0) == 1
        and given.get("alpha", 1.0) == 1.0
        and given.get("beta", 1.0) == 1.0
    )
    return (layer.op_type == "Conv" or plain_gemm) and all(name in graph.constants for name in layer.input[1:])


def _scale_and_shift(graph: Graph, node: onnx.NodeProto, channels: int) -> tuple[Float64, Float64] | None:
    """Return what a node does to each channel, or None when it does something else."""
    if not all(name in graph.constants for name in node.input[1:]):
        return None
    values = [graph.constants[name].astype(np.float64) for name in node.input[1:] if name]
    if node.op_type == "BatchNormalization":
        gamma, beta, mean, variance = values
        scale = gamma / np.sqrt(variance + float(str(attributes(node).get("epsilon", 1e-5))))
        return scale, beta - mean * scale
    if node.op_type in ("Add", "Mul") and len(values) == 1 and values[0].size == channels:
        value = values[0]
        by_channel = value.shape[-3:] == (channels, 1, 1) if value.ndim >= 3 else False
        if by_channel and node.op_type == "Mul":
            return value.reshape(-1), np.zeros(channels)
        if by_channel:
            return np.ones(channels), value.reshape(-1)
    return None


def _fold(graph: Graph, layer: onnx.NodeProto, result: str, scale: Float64, shift: Float64) -> None:
    weights = graph.constants[layer.input[1]].astype(np.float64)
    has_bias = len(layer.input) > 2 and layer.input[2] != ""
    bias = graph.constants[layer.input[2]].astype(np.float64) if has_bias else np.zeros_like(scale)
    graph.constants[f"{result}/weights"] = (weights * scale.reshape(-1, *[1] * (weights.ndim - 1))).astype(np.float32)
    graph.constants[f"{result}/bias"] = (bias * scale + shift).astype(np.float32)
    data = layer.input[0]
    del layer.input[:]
    layer.input.extend([data, f"{result}/weights", f"{result}/bias"])
    layer.output[0] = result
