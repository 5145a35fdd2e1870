# SPDX-License-Identifier: Apache-2.0
"""Compute what can be computed before the network runs: stored weights become plain float32.

Weights may be stored as blocks of int8 with a scale (``DequantizeLinear``), as half-precision numbers (``Cast``) or
as bytes on a scale (``Cast``, ``Mul``, ``Add``): ONNX Runtime would expand some of them in every run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from custodes.vision.convert.graph import Array, Graph, integer

__all__ = ["fold_constants"]


def _dequantize(values: Sequence[Array], node: onnx.NodeProto) -> Array:
    """(x - zero point) * scale, by tensor, by axis or by block: ONNX operator DequantizeLinear, version 21."""
    axis, block = integer(node, "axis", 1), integer(node, "block_size", 0)
    x = values[0].astype(np.float32)
    scale = values[1].astype(np.float32)
    zero = values[2].astype(np.float32) if len(values) > 2 else np.zeros_like(scale)
    if block and scale.ndim == x.ndim:
        within = tuple(slice(0, size) for size in x.shape)
        scale, zero = (np.repeat(v, block, axis=axis)[within] for v in (scale, zero))
    elif scale.ndim == 1 and scale.size > 1:
        along = [1] * x.ndim
        along[axis] = -1
        scale, zero = scale.reshape(along), zero.reshape(along)
    return np.asarray((x - zero) * scale, dtype=np.float32)


def _reshape(values: Sequence[Array], node: onnx.NodeProto) -> Array:
    shape = [int(n) for n in values[1].astype(np.int64)]
    return values[0].reshape([values[0].shape[i] if n == 0 else n for i, n in enumerate(shape)])


def _cast(values: Sequence[Array], node: onnx.NodeProto) -> Array:
    kind = helper.tensor_dtype_to_np_dtype(integer(node, "to", 0))
    return values[0].astype(kind)


def _float(operation: Callable[[Array, Array], Array]) -> Callable[[Sequence[Array], onnx.NodeProto], Array]:
    return lambda values, node: np.asarray(operation(values[0], values[1]))


_FOLDERS: dict[str, Callable[[Sequence[Array], onnx.NodeProto], Array]] = {
    "Add": _float(np.add),
    "Cast": _cast,
    "DequantizeLinear": _dequantize,
    "Mul": _float(np.multiply),
    "Reshape": _reshape,
}
_PASS_THROUGH = frozenset({"Dropout", "Identity"})


def fold_constants(graph: Graph) -> None:
    """Replace every node whose inputs are all known by its value, and drop nodes that do nothing."""
    kept: list[onnx.NodeProto] = []
    alias: dict[str, str] = {}
    for node in graph.nodes:
        for i, name in enumerate(node.input):
            node.input[i] = alias.get(name, name)
        known = [graph.constants[name] for name in node.input if name in graph.constants]
        folder = _FOLDERS.get(node.op_type)
        if node.op_type == "Constant":
            graph.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        elif node.op_type in _PASS_THROUGH and not graph.is_output(node.output[0]):
            alias[node.output[0]] = node.input[0]
        elif folder and len(known) == len(node.input):
            graph.constants[node.output[0]] = folder(known, node)
        else:
            kept.append(node)
    graph.nodes = kept
