# SPDX-License-Identifier: Apache-2.0
"""An ONNX network as something to rewrite: its nodes in order, and its constants as arrays.

Every rewrite of this package keeps what the network computes; what may change is the order of roundings. Written
bytes depend on nothing but the input's bytes and the pinned ``onnx`` package: names are kept, nodes stay in order,
constants are written in the order of their names, and constants are only ever combined element by element in
float64, which IEEE 754 makes the same on every processor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import helper, numpy_helper

from custodes.errors import Invalid

__all__ = ["Array", "Attribute", "Graph", "attributes", "integer", "make_node"]

Array = npt.NDArray[np.generic]
Attribute = int | float | str | Sequence[int]

_PRODUCER = "custodes"


def attributes(node: onnx.NodeProto) -> dict[str, object]:
    """Return a node's attributes by name."""
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def integer(node: onnx.NodeProto, name: str, default: int) -> int:
    """Return a node's whole-number attribute, or ``default`` where it has none."""
    return next((a.i for a in node.attribute if a.name == name), default)


def make_node(op: str, inputs: Sequence[str], output: str, given: Mapping[str, Attribute]) -> onnx.NodeProto:
    """Return a node with one output, named like it."""
    node = helper.make_node(op, inputs, [output], name=output)
    node.attribute.extend(helper.make_attribute(name, value) for name, value in sorted(given.items()))
    return node


class Graph:
    """A network under rewriting.

    Attributes:
        nodes: the operations, each after those it reads from.
        constants: what is known before the network runs, by name.
        inputs, outputs: descriptions of what goes in and comes out.
        opset: version of ONNX's operators.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        self.opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
        self._ir_version = model.ir_version
        self.constants: dict[str, Array] = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        self.nodes: list[onnx.NodeProto] = list(graph.node)
        read = {name for node in self.nodes for name in node.input}
        self.inputs = [i for i in graph.input if i.name in read and i.name not in self.constants]
        self.outputs = list(graph.output)

    @classmethod
    def parse(cls, data: bytes) -> Graph:
        """Read an ONNX file's bytes.

        Raises:
            Invalid: if they are none, or the network uses operators of its maker's own.
        """
        try:
            model = onnx.load_model_from_string(data)
        except DecodeError as e:
            raise Invalid("The file is no ONNX network.") from e
        if not model.graph.node or any(n.domain not in ("", "ai.onnx") for n in model.graph.node):
            raise Invalid("Only networks of standard ONNX operators can be converted.")
        return cls(model)

    def serialize(self) -> bytes:
        """Return the network as the bytes of an ONNX file, without constants that nothing reads."""
        read = {name for node in self.nodes for name in node.input} | {o.name for o in self.outputs}
        initializers = [
            numpy_helper.from_array(np.ascontiguousarray(value) if value.ndim else value, name)
            for name, value in sorted(self.constants.items())
            if name in read
        ]
        graph = helper.make_graph(self.nodes, _PRODUCER, self.inputs, self.outputs, initializers)
        model = helper.make_model(
            graph,
            producer_name=_PRODUCER,
            ir_version=max(self._ir_version, 8),
            opset_imports=[helper.make_opsetid("", self.opset)],
        )
        return bytes(model.SerializeToString(deterministic=True))

    def producers(self) -> dict[str, onnx.NodeProto]:
        """Return, for each computed value, the node that computes it."""
        return {name: node for node in self.nodes for name in node.output if name}

    def consumers(self) -> dict[str, list[onnx.NodeProto]]:
        """Return, for each value, the nodes that read it (a node once for each time it reads it)."""
        found: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in node.input:
                found.setdefault(name, []).append(node)
        return found

    def is_output(self, name: str) -> bool:
        """Tell whether a value leaves the network."""
        return any(o.name == name for o in self.outputs)

    def remove(self, nodes: Iterable[onnx.NodeProto]) -> None:
        """Take nodes out."""
        gone = {id(node) for node in nodes}
        self.nodes = [node for node in self.nodes if id(node) not in gone]
