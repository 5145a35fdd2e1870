# SPDX-License-Identifier: Apache-2.0
"""Run the parallel heads of a detector as one.

YuNet ends, at each scale, in heads of 1, 1, 4 and 10 channels: a 1x1 convolution of the same map, then a depthwise
3x3 one, then a transposition to cells by channels. ONNX Runtime pads each to a block of 16 channels; side by side
they fill exactly one. The joint map is transposed once and split by columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from custodes.vision.convert.graph import Array, Graph, attributes, integer, make_node

__all__ = ["join_heads"]


@dataclass(frozen=True, slots=True)
class _Head:
    """The nodes of one head, in order; the last gives (N, cells, channels)."""

    pointwise: onnx.NodeProto
    depthwise: onnx.NodeProto
    transpose: onnx.NodeProto
    reshape: onnx.NodeProto
    channels: int


def join_heads(graph: Graph) -> None:
    """Join heads that read one map; whatever is built otherwise is left alone."""
    consumers = graph.consumers()
    groups = {name: _heads(graph, consumers, nodes) for name, nodes in consumers.items()}
    for name, heads in groups.items():
        if len(heads) > 1:
            _join(graph, name, heads)


def _heads(graph: Graph, consumers: dict[str, list[onnx.NodeProto]], readers: list[onnx.NodeProto]) -> list[_Head]:
    found = [_head(graph, consumers, node) for node in readers]
    heads = [head for head in found if head is not None]
    alike = all(_settings(h) == _settings(heads[0]) for h in heads)
    return heads if alike else []


def _settings(head: _Head) -> tuple[object, ...]:
    """Return what heads must have in common to be joined."""
    return tuple(
        {k: v for k, v in attributes(node).items() if k != "group"} for node in (head.pointwise, head.depthwise)
    )


def _head(graph: Graph, consumers: dict[str, list[onnx.NodeProto]], first: onnx.NodeProto) -> _Head | None:
    chain = [first]
    for _ in range(3):
        readers = consumers.get(chain[-1].output[0], [])
        if len(readers) != 1 or graph.is_output(chain[-1].output[0]):
            return None
        chain.append(readers[0])
    if [node.op_type for node in chain] != ["Conv", "Conv", "Transpose", "Reshape"]:
        return None
    pointwise, depthwise, transpose, reshape = chain
    if not all(len(c.input) == 3 and all(i in graph.constants for i in c.input[1:]) for c in chain[:2]):
        return None
    channels = int(graph.constants[pointwise.input[1]].shape[0])
    target = graph.constants.get(reshape.input[1], np.zeros(0)).tolist()
    fits = (
        integer(pointwise, "group", 1) == 1
        and integer(depthwise, "group", 1) == channels
        and graph.constants[depthwise.input[1]].shape[:2] == (channels, 1)
        and attributes(transpose).get("perm") == [0, 2, 3, 1]
        and target in ([0, -1, channels], [1, -1, channels])
    )
    return _Head(pointwise, depthwise, transpose, reshape, channels) if fits else None


def _join(graph: Graph, source: str, heads: Sequence[_Head]) -> None:
    base, total = f"{source}/heads", sum(head.channels for head in heads)

    def stacked(values: Sequence[Array], label: str) -> str:
        graph.constants[f"{base}/{label}"] = np.concatenate(values)
        return f"{base}/{label}"

    nodes = []
    data = source
    for label, convs in (
        ("pointwise", [h.pointwise for h in heads]),
        ("depthwise", [h.depthwise for h in heads]),
    ):
        weights, bias = (stacked([graph.constants[c.input[i]] for c in convs], f"{label}_{i}") for i in (1, 2))
        joint = make_node("Conv", [data, weights, bias], f"{base}/{label}", {})
        joint.attribute.extend(a for a in convs[0].attribute if a.name != "group")
        joint.attribute.append(onnx.helper.make_attribute("group", 1 if label == "pointwise" else total))
        nodes.append(joint)
        data = joint.output[0]
    leading = int(graph.constants[heads[0].reshape.input[1]].tolist()[0])
    graph.constants[f"{base}/cells"] = np.array([leading, -1, total], np.int64)
    graph.constants[f"{base}/widths"] = np.array([head.channels for head in heads], np.int64)
    split = make_node("Split", [f"{base}/by_cell", f"{base}/widths"], heads[0].reshape.output[0], {"axis": 2})
    split.output.extend(head.reshape.output[0] for head in heads[1:])
    nodes += [
        make_node("Transpose", [data], f"{base}/transposed", {"perm": [0, 2, 3, 1]}),
        make_node("Reshape", [f"{base}/transposed", f"{base}/cells"], f"{base}/by_cell", {}),
        split,
    ]
    place = next(i for i, node in enumerate(graph.nodes) if node is heads[0].pointwise)
    graph.nodes[place:place] = nodes
    graph.remove(node for h in heads for node in (h.pointwise, h.depthwise, h.transpose, h.reshape))
