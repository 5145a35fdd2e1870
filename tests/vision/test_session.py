# SPDX-License-Identifier: Apache-2.0
"""One network, ready to run."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from custodes.errors import Invalid, Unavailable
from custodes.vision.session import Model, available_providers

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def network(inputs: dict[str, tuple[int, list[str | int]]], nodes: list[onnx.NodeProto], outputs: list[str]) -> bytes:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
    )
    model = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 18)])
    return bytes(model.SerializeToString())


def doubler(shape: list[str | int]) -> bytes:
    nodes = [helper.make_node("Neg", ["x"], ["negative"]), helper.make_node("Add", ["x", "x"], ["twice"])]
    return network({"x": (FLOAT, shape)}, nodes, ["negative", "twice"])


def test_outputs_come_in_the_order_of_their_names() -> None:
    """A run answers with one array an output, in the order that the model states."""
    model = Model(doubler(["N", 3]))
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    negative, twice = model.run(x)
    assert (model.inputs, model.outputs) == (("x",), ("negative", "twice"))
    np.testing.assert_array_equal(negative, -x)
    np.testing.assert_array_equal(twice, 2 * x)


def test_a_model_runs_from_a_file(tmp_path: Path) -> None:
    """A path does as well as bytes."""
    (tmp_path / "m.onnx").write_bytes(doubler(["N", 1]))
    assert Model(tmp_path / "m.onnx").run(np.ones((1, 1), np.float32))[1] == 2


@pytest.mark.parametrize(
    ("shape", "expected", "fixed"),
    [(["N", 3, "H", "W"], (None, 3, None, None), False), ([1, 3, 8, 8], (1, 3, 8, 8), True)],
)
def test_free_axes_are_told_from_fixed_ones(
    shape: list[str | int], expected: tuple[int | None, ...], fixed: bool
) -> None:
    """The input's shape has None where any size is taken, and says whether pictures go in one by one."""
    model = Model(doubler(shape))
    assert (model.input_shape, model.fixed_batch) == (expected, fixed)


@pytest.mark.parametrize(
    "x",
    [np.zeros((2, 4), np.float32), np.zeros((2, 3), np.float64), np.zeros(3, np.float32)],
    ids=["size", "type", "axes"],
)
def test_an_input_of_another_shape_or_type_is_refused(x: np.ndarray) -> None:
    """What the network can't take is a typed error that says what it takes."""
    with pytest.raises(Invalid, match=r"takes \(None, 3\) float32"):
        Model(doubler(["N", 3])).run(x)


def expander(*shape: int) -> bytes:
    """Return a network that spreads its input over ``shape``."""
    constant = helper.make_node("Constant", [], ["s"], value=helper.make_tensor("shape", INT64, [len(shape)], shape))
    expand = helper.make_node("Expand", ["x", "s"], ["y"])
    return network({"x": (FLOAT, ["N", "D"])}, [constant, expand], ["y"])


@pytest.mark.parametrize("shape", [(2**22, 2**22), (2, 7)], ids=["memory", "inner shape"])
def test_a_run_that_fails_is_not_the_callers_fault(shape: tuple[int, int]) -> None:
    """An input that the network takes but that fails inside, for want of memory or otherwise, is unavailable."""
    with pytest.raises(Unavailable, match="failed on cpu") as caught:
        Model(expander(*shape)).run(np.ones((1, 3 if shape == (2, 7) else 1), np.float32))
    assert caught.value.code == ""


def test_a_model_survives_a_run_that_failed() -> None:
    """The next input is computed as if nothing had happened."""
    model = Model(expander(2, 7))
    with pytest.raises(Unavailable):
        model.run(np.ones((1, 3), np.float32))
    assert model.run(np.ones((1, 7), np.float32))[0].shape == (2, 7)


@pytest.mark.parametrize("data", [b"", b"no network", doubler(["N", 3])[:40]], ids=["empty", "text", "cut"])
def test_what_is_no_network_is_refused(data: bytes) -> None:
    """Damaged or foreign bytes are a typed error."""
    with pytest.raises(Invalid):
        Model(data)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A path where nothing lies is a typed error, and the message doesn't tell the path."""
    with pytest.raises(Invalid) as caught:
        Model(tmp_path / "none.onnx")
    assert str(tmp_path) not in caught.value.diagnostics()


def test_a_network_with_two_inputs_is_refused() -> None:
    """A model takes one array."""
    data = network({"a": (FLOAT, [1]), "b": (FLOAT, [1])}, [helper.make_node("Add", ["a", "b"], ["y"])], ["y"])
    with pytest.raises(Invalid, match="one float32 input"):
        Model(data)


def test_a_network_that_takes_whole_numbers_is_refused() -> None:
    """A model takes float32."""
    node = helper.make_node("Cast", ["x"], ["y"], to=FLOAT)
    with pytest.raises(Invalid, match="one float32 input"):
        Model(network({"x": (INT64, [1])}, [node], ["y"]))


def test_an_unknown_provider_is_refused() -> None:
    """Only three providers have a name here."""
    with pytest.raises(Invalid, match="cpu, cuda, openvino"):
        Model(doubler(["N", 3]), provider="tpu")


@pytest.mark.parametrize("provider", ["cuda", "openvino"])
def test_a_provider_that_is_not_installed_says_what_to_install(provider: str) -> None:
    """An installation without the provider is unavailable, and the remedy names the extra."""
    if provider in available_providers():
        pytest.skip(f"{provider} is installed here")
    with pytest.raises(Unavailable) as caught:
        Model(doubler(["N", 3]), provider=provider)
    assert f"custodes[{provider}]" in caught.value.remedy


def test_no_threads_are_refused() -> None:
    """At least one thread must run a model: ONNX Runtime would read 0 as all cores."""
    with pytest.raises(Invalid, match="at least one thread"):
        Model(doubler(["N", 3]), threads=0)


def test_threads_share_one_model() -> None:
    """Runs from many threads at once don't disturb one another."""
    model = Model(doubler(["N", 3]))

    def run(i: int) -> bool:
        x = np.full((1 + i % 4, 3), i, np.float32)
        return bool((model.run(x)[1] == 2 * i).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(run, range(400)))
