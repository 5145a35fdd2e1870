# SPDX-License-Identifier: Apache-2.0
"""Let a network take any number of pictures, or pictures of any size, where it was written for one."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from custodes.vision.convert.graph import Graph

__all__ = ["free_batch", "free_size"]


def _free_input(graph: Graph, axes: Iterable[tuple[int, str]]) -> None:
    for described in graph.inputs:
        for axis, name in axes:
            described.type.tensor_type.shape.dim[axis].dim_param = name


def _free_outputs(graph: Graph, axes: int) -> None:
    for described in graph.outputs:
        for axis, dim in enumerate(described.type.tensor_type.shape.dim[:axes]):
            dim.dim_param = "N" if axis == 0 else f"{described.name}_{axis}"


def free_batch(graph: Graph) -> None:
    """Free the first axis: the number of pictures in one run.

    A ``Reshape`` to ``(1, ...)`` would mix pictures; its leading 1 becomes 0, which keeps the axis as it is.
    """
    _free_input(graph, [(0, "N")])
    _free_outputs(graph, 1)
    for node in graph.nodes:
        shape = graph.constants.get(node.input[1]) if node.op_type == "Reshape" else None
        if shape is not None and shape.size > 1 and shape[0] == 1:
            graph.constants[node.input[1]] = np.concatenate([np.zeros(1, np.int64), shape[1:].astype(np.int64)])


def free_size(graph: Graph) -> None:
    """Free height and width of an NCHW input, and the second axis (cells) of every output."""
    _free_input(graph, [(2, "H"), (3, "W")])
    _free_outputs(graph, 2)
