# SPDX-License-Identifier: Apache-2.0
"""Write an ONNX network node by node, with names that are counted, so that the same network has the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from custodes.vision.convert.graph import Array, Attribute, make_node

__all__ = ["OPSET", "Writer"]

OPSET = 18
_IR_VERSION = 9


class Writer:
    """A network being written; nodes are numbered in the order in which they come."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._initializers: list[onnx.TensorProto] = []

    def node(
        self, op: str, inputs: Sequence[str], attributes: Mapping[str, Attribute] | None = None, *, output: str = ""
    ) -> str:
        """Add an operation and return its output's name."""
        name = output or f"v{len(self._nodes)}"
        self._nodes.append(make_node(op, inputs, name, attributes or {}))
        return name

    def stored(self, value: Array) -> str:
        """Add a constant as it is and return its name; equal ones are written once."""
        value = np.asarray(value, order="C")
        key = (value.dtype.str, value.shape, value.tobytes())
        if key not in self._constants:
            self._constants[key] = f"c{len(self._initializers)}"
            self._initializers.append(numpy_helper.from_array(value, self._constants[key]))
        return self._constants[key]

    def constant(self, value: Array) -> str:
        """Add a constant; float32 that half precision holds exactly is stored so, and widened by a Cast."""
        if value.dtype != np.float32:
            return self.stored(value)
        with np.errstate(over="ignore"):
            half = value.astype(np.float16)
        if value.size < 64 or not np.array_equal(half.astype(np.float32), value):
            return self.stored(value)
        return self.node("Cast", [self.stored(half)], {"to": TensorProto.FLOAT})

    def written(self, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]) -> bytes:
        """Return the bytes of the ONNX file, after checking that the network is well formed."""
        graph = helper.make_graph(self._nodes, "custodes", inputs, outputs, self._initializers)
        model = helper.make_model(
            graph,
            producer_name="custodes",
            ir_version=_IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString(deterministic=True))
