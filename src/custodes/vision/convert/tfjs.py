# SPDX-License-Identifier: Apache-2.0
"""Read a TensorFlow.js graph model (``model.json`` and its weights) as an ONNX network.

TensorFlow keeps pictures as NHWC, ONNX as NCHW. A value that a convolution or pooling makes stays NCHW through
everything that treats all places alike, and is transposed only for an operation that looks at its axes. Only what
leads to the wanted outputs is read. Weights that half precision holds exactly are stored so: the published files
hold nothing finer. Operators outside the two face meshes' are refused.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from custodes.errors import Invalid
from custodes.vision.convert.graph import Array, Attribute
from custodes.vision.convert.writer import Writer

__all__ = ["convert_graph_model"]

_TO_NCHW, _TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)
_END = np.iinfo(np.int64).max
_ELEMENTWISE = {
    "Add": "Add",
    "AddN": "Sum",
    "AddV2": "Add",
    "Floor": "Floor",
    "Maximum": "Max",
    "Minimum": "Min",
    "Mul": "Mul",
    "Sigmoid": "Sigmoid",
    "Sub": "Sub",
}
_REDUCTIONS = {"Max": "ReduceMax", "Min": "ReduceMin", "Prod": "ReduceProd", "Sum": "ReduceSum"}
_STORED = {"float32": "<f4", "float16": "<f2", "int32": "<i4", "uint8": "u1", "uint16": "<u2"}


@dataclass(frozen=True, slots=True)
class _Value:
    """A computed value: its name, and whether it is kept as NCHW where TensorFlow means NHWC."""

    name: str
    channels_first: bool


@dataclass(frozen=True, slots=True)
class _Node:
    """A TensorFlow node: its inputs without control edges, and its attributes by name."""

    name: str
    op: str
    inputs: tuple[str, ...]
    ints: Mapping[str, tuple[int, ...]]
    texts: Mapping[str, tuple[str, ...]]


def convert_graph_model(model: bytes, weights: bytes, outputs: Mapping[str, str]) -> bytes:
    """Convert a graph model with one picture as input, named ``image``, NCHW in the result.

    Args:
        model: ``model.json``.
        weights: its weight files, one after the other.
        outputs: for each output's name here, the name of TensorFlow's value; a leading ``~`` puts a sigmoid over it.
            Every output is flattened to (pictures, numbers).

    Returns:
        The bytes of an ONNX file.

    Raises:
        Invalid: if the model uses an operator that isn't known here, or the weights have another size.
    """
    described = json.loads(model)
    nodes = {n["name"]: _node(n) for n in described["modelTopology"]["node"]}
    importer = _Importer(nodes, _weights(described["weightsManifest"], weights))
    for name, source in outputs.items():
        importer.give_out(name, source)
    return importer.written()


def _node(raw: Mapping[str, object]) -> _Node:
    ints: dict[str, tuple[int, ...]] = {}
    texts: dict[str, tuple[str, ...]] = {}
    attr = raw.get("attr", {})
    for key, value in attr.items() if isinstance(attr, dict) else ():
        many = value.get("list", {})
        if "i" in value or "i" in many:
            ints[key] = tuple(int(i) for i in many.get("i", [value.get("i", 0)]))
        if "b" in value:
            ints[key] = (int(value["b"]),)
        if "s" in value or "s" in many:
            texts[key] = tuple(base64.b64decode(s).decode() for s in many.get("s", [value.get("s", "")]))
        if "shape" in value:
            ints[key] = tuple(int(d["size"]) for d in value["shape"].get("dim", []))
    inputs = raw.get("input", [])
    names = [str(i).removesuffix(":0") for i in inputs] if isinstance(inputs, list) else []
    return _Node(str(raw["name"]), str(raw["op"]), tuple(n for n in names if n[:1] != "^"), ints, texts)


def _weights(manifest: Sequence[Mapping[str, object]], data: bytes) -> dict[str, Array]:
    """Return the weights by name: float32, or int64 (which ONNX wants for shapes and indices)."""
    found: dict[str, Array] = {}
    at = 0
    for group in manifest:
        described = group["weights"]
        for w in described if isinstance(described, list) else ():
            shape = tuple(int(n) for n in w["shape"])
            quantized = w.get("quantization")
            stored = np.dtype(_STORED[quantized["dtype"] if quantized else w["dtype"]])
            size = int(np.prod(shape, dtype=np.int64)) * stored.itemsize
            if at + size > len(data):
                raise Invalid("The weights end before the model's description does.")
            raw = np.frombuffer(data[at : at + size], stored).reshape(shape)
            at += size
            scaled = (
                raw * np.float32(quantized["scale"]) + np.float32(quantized["min"])
                if (quantized and "scale" in quantized)
                else raw
            )
            found[w["name"]] = scaled.astype(np.float32 if w["dtype"] == "float32" else np.int64)
    if at != len(data):
        raise Invalid(f"The weights have {len(data)} bytes, the model's description {at}.")
    return found


class _Importer:
    """Reads nodes on demand, from the outputs back."""

    def __init__(self, nodes: Mapping[str, _Node], weights: Mapping[str, Array]) -> None:
        self._nodes = nodes
        self._weights = weights
        self._read: dict[str, _Value] = {}
        self._writer = Writer()
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def give_out(self, name: str, source: str) -> None:
        value = self._plain(source.removeprefix("~").removesuffix(":0"))
        if source.startswith("~"):
            value = self._emit("Sigmoid", [value])
        self._writer.node("Reshape", [value, self._writer.constant(np.array([0, -1], np.int64))], output=name)
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", f"{name}_size"]))

    def written(self) -> bytes:
        return self._writer.written(self._inputs, self._outputs)

    def _emit(self, op: str, inputs: Sequence[str], attributes: Mapping[str, Attribute] | None = None) -> str:
        return self._writer.node(op, inputs, attributes)

    def _constant(self, name: str) -> Array:
        if name not in self._weights:
            raise Invalid(f"Expected {name} to be a constant.")
        return self._weights[name]

    def _value(self, name: str) -> _Value:
        """Return a computed value, after reading what computes it."""
        if name not in self._read:
            self._read[name] = self._import(self._nodes[name])
        return self._read[name]

    def _plain(self, name: str) -> str:
        """Return a value with TensorFlow's own order of axes."""
        if name in self._weights:
            return self._writer.constant(self._weights[name])
        value = self._value(name)
        return self._emit("Transpose", [value.name], {"perm": _TO_NHWC}) if value.channels_first else value.name

    def _pictures(self, name: str) -> str:
        """Return a value as NCHW."""
        value = self._value(name)
        return value.name if value.channels_first else self._emit("Transpose", [value.name], {"perm": _TO_NCHW})

    def _import(self, node: _Node) -> _Value:
        op = node.op
        if op == "Placeholder":
            batch, height, width, channels = node.ints["shape"]
            shape = ["N" if batch < 0 else batch, channels, height, width]
            self._inputs.append(helper.make_tensor_value_info("image", TensorProto.FLOAT, shape))
            return _Value("image", channels_first=True)
        if op == "Identity":
            return self._value(node.inputs[0])
        if op in ("Conv2D", "_FusedConv2D", "DepthwiseConv2dNative"):
            return self._convolution(node)
        if op == "Prelu":
            return _Value(self._prelu(self._pictures(node.inputs[0]), node.inputs[1]), channels_first=True)
        if op == "MaxPool":
            x = self._pictures(node.inputs[0])
            return _Value(
                self._emit("MaxPool", [x], {"kernel_shape": node.ints["ksize"][1:3], **_spatial(node)}),
                channels_first=True,
            )
        if op == "Pad":
            return self._pad(node)
        if op in _ELEMENTWISE:
            return self._elementwise(node)
        return _Value(self._by_axes(node), channels_first=False)

    def _convolution(self, node: _Node) -> _Value:
        weights = self._constant(node.inputs[1])
        height, width, channels, many = weights.shape
        group = 1
        if node.op == "DepthwiseConv2dNative":
            group, weights = channels, weights.reshape(height, width, 1, channels * many)
        inputs = [self._pictures(node.inputs[0]), self._writer.constant(weights.transpose(3, 2, 0, 1))]
        fused, further = list(node.texts.get("fused_ops", ())), list(node.inputs[2:])
        if fused[:1] == ["BiasAdd"]:
            inputs.append(self._writer.constant(self._constant(further.pop(0))))
            fused.pop(0)
        y = self._emit("Conv", inputs, {"group": group, "kernel_shape": [height, width], **_spatial(node)})
        if fused == ["Prelu"]:
            y = self._prelu(y, further.pop(0))
        elif fused:
            raise Invalid(f"Can't convert a convolution fused with {', '.join(fused)}.")
        return _Value(y, channels_first=True)

    def _prelu(self, x: str, slopes: str) -> str:
        slope = self._constant(slopes)
        if slope.size != slope.shape[-1]:
            raise Invalid(f"Can't convert a PReLU with slopes {slope.shape}.")
        return self._emit("PRelu", [x, self._writer.constant(slope.reshape(-1, 1, 1))])

    def _pad(self, node: _Node) -> _Value:
        pads = self._constant(node.inputs[1])[list(_TO_NCHW)].T.reshape(-1)
        x = self._pictures(node.inputs[0])
        return _Value(self._emit("Pad", [x, self._writer.constant(pads)]), channels_first=True)

    def _elementwise(self, node: _Node) -> _Value:
        computed = [self._value(n) for n in node.inputs if n not in self._weights]
        channels_first = all(v.channels_first for v in computed)
        names = []
        for name in node.inputs:
            if not channels_first:
                names.append(self._plain(name))
            elif name in self._weights:
                names.append(self._by_channel(name))
            else:
                names.append(self._value(name).name)
        op = "Add" if node.op == "AddN" and len(names) == 2 else _ELEMENTWISE[node.op]
        return _Value(self._emit(op, names), channels_first)

    def _by_channel(self, name: str) -> str:
        """Return a constant that has a number for each channel, or one for all, as NCHW wants it."""
        value = self._constant(name)
        if value.ndim == 0:
            return self._writer.constant(value)
        if value.size != value.shape[-1]:
            raise Invalid(f"Can't convert a constant {value.shape} beside pictures.")
        return self._writer.constant(value.reshape(-1, 1, 1))

    def _by_axes(self, node: _Node) -> str:
        """Import an operation that looks at axes, and so wants TensorFlow's own order."""
        op, data = node.op, [self._plain(n) for n in node.inputs if n not in self._weights]
        if op == "Reshape":
            return self._emit("Reshape", [data[0], self._plain(node.inputs[1])])
        if op == "Transpose":
            return self._emit("Transpose", [data[0]], {"perm": self._constant(node.inputs[1]).tolist()})
        if op == "ConcatV2":
            axis = int(self._constant(node.inputs[-1]).item())
            return self._emit("Concat", [self._plain(n) for n in node.inputs[:-1]], {"axis": axis})
        if op == "GatherV2":
            axis = int(self._constant(node.inputs[2]).item())
            return self._emit("Gather", [data[0], self._plain(node.inputs[1])], {"axis": axis})
        if op == "GatherNd":
            return self._emit("GatherND", data)
        if op == "BatchMatMulV2":
            x, y = (self._plain(n) for n in node.inputs)
            # Only matrices in a batch, (n, rows, columns), stand on the transposed side.
            return self._emit(
                "MatMul",
                [x, self._emit("Transpose", [y], {"perm": (0, 2, 1)}) if node.ints.get("adj_y") == (1,) else y],
            )
        if op in _REDUCTIONS:
            axes = self._writer.constant(self._constant(node.inputs[1]).reshape(-1))
            return self._emit(_REDUCTIONS[op], [data[0], axes], {"keepdims": node.ints.get("keep_dims", (0,))[0]})
        if op == "Square":
            return self._emit("Mul", [data[0], data[0]])
        if op == "Rsqrt":
            return self._emit("Reciprocal", [self._emit("Sqrt", data)])
        if op == "Cast":
            return self._emit("Cast", data, {"to": TensorProto.INT64})
        if op == "StridedSlice":
            return self._strided_slice(node, data[0])
        raise Invalid(f"Can't convert the TensorFlow operator {op}.")

    def _strided_slice(self, node: _Node, x: str) -> str:
        """Import TensorFlow's StridedSlice, whose masks have a bit for each axis."""
        begin, end, stride = (self._constant(n).astype(np.int64) for n in node.inputs[1:4])
        masks = {k: node.ints.get(k, (0,))[0] for k in ("begin_mask", "end_mask", "shrink_axis_mask")}
        if any(node.ints.get(k, (0,))[0] for k in ("ellipsis_mask", "new_axis_mask")) or (stride < 1).any():
            raise Invalid("Can't convert a StridedSlice with an ellipsis, a new axis or a negative stride.")
        axes = range(len(begin))
        single = [bool(masks["shrink_axis_mask"] >> i & 1) for i in axes]
        first = [0 if masks["begin_mask"] >> i & 1 else int(begin[i]) for i in axes]
        last = [_END if masks["end_mask"] >> i & 1 else int(end[i]) for i in axes]
        last = [(f + 1 or _END) if one else n for f, n, one in zip(first, last, single, strict=True)]
        limits = [self._writer.constant(np.array(v, np.int64)) for v in (first, last, list(axes), stride)]
        y = self._emit("Slice", [x, *limits])
        if not any(single):
            return y
        gone = np.array([i for i in axes if single[i]], np.int64)
        return self._emit("Squeeze", [y, self._writer.constant(gone)])


def _spatial(node: _Node) -> dict[str, Attribute]:
    """Return strides and padding of a convolution or pooling as ONNX's attributes."""
    padding = node.texts["padding"][0]
    if padding not in ("SAME", "VALID") or set(node.ints.get("dilations", (1,))) != {1}:
        raise Invalid(f"Can't convert a {node.op} with padding {padding} or a dilation.")
    return {"strides": node.ints["strides"][1:3], "auto_pad": "SAME_UPPER" if padding == "SAME" else "VALID"}
