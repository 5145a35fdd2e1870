# SPDX-License-Identifier: Apache-2.0
"""Kinds of networks: what fits its kind passes, what doesn't is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from custodes.domain import Float32
from custodes.errors import Invalid, Unavailable
from custodes.vision.engine import Engine
from custodes.vision.kinds import check_outputs, probe
from custodes.vision.manifest import InputSpec, ModelSpec
from custodes.vision.session import Model

STRIDES = (8, 16, 32)
SIDE = 96
CELLS = tuple((SIDE // s) ** 2 for s in STRIDES)
Shapes = dict[str, tuple[int, ...]]

YUNET: Shapes = {
    f"{name}_{stride}": (1, cells, width)
    for name, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))
    for stride, cells in zip(STRIDES, CELLS, strict=True)
}
SCRFD: Shapes = {f"o{i}": (CELLS[i % 3] * 2, (1, 4, 10)[i // 3]) for i in range(9)}
RETINAFACE: Shapes = {"loc": (1, 378, 4), "conf": (1, 378, 2), "landms": (1, 378, 10)}
MESH: Shapes = {"mesh": (1, 1404), "flag": (1, 1)}
ATTENTION: Shapes = MESH | {
    "lips": (1, 160),
    "left_eye": (1, 142),
    "right_eye": (1, 142),
    "left_iris": (1, 10),
    "right_iris": (1, 10),
}
FITTING: dict[str, Shapes] = {
    "yunet": YUNET,
    "scrfd": SCRFD,
    "retinaface": RETINAFACE,
    "arcface": {"y": (1, 512)},
    "sface": {"y": (1, 128)},
    "facemesh": MESH,
    "facemesh-attention": ATTENTION,
    "dlib-age": {"y": (1, 81)},
    "dlib-gender": {"y": (1, 2)},
    "face-api-expression": {"y": (1, 7)},
}


class FakeModel:
    """A network whose outputs have these shapes and one value throughout."""

    def __init__(self, outputs: Shapes, value: float = 0.5, takes: tuple[int | None, ...] = (None, 3, None, None)):
        self.outputs = tuple(outputs)
        self.input_shape = takes
        self._made = tuple(np.full(shape, value, np.float32) for shape in outputs.values())

    def run(self, x: Float32) -> tuple[Float32, ...]:
        return self._made


class Failing(FakeModel):
    """A network that takes the input and fails nevertheless."""

    def run(self, x: Float32) -> tuple[Float32, ...]:
        raise Unavailable("The network failed.")


@pytest.fixture
def spec(engine: Engine) -> ModelSpec:
    """A network of any size, three channels first."""
    return replace(engine.pack.spec("detector"), input=InputSpec("NCHW", "BGR", (0,) * 3, (1,) * 3, None, 32))


def check(spec: ModelSpec, kind: str, model: FakeModel) -> str:
    return check_outputs(replace(spec, kind=kind), model)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", FITTING)
def test_outputs_that_fit_their_kind_pass(spec: ModelSpec, kind: str) -> None:
    """Each kind's own shapes pass, and the answer names the kind and the input."""
    found = check(spec, kind, FakeModel(FITTING[kind]))
    assert found == f"{kind}, (1, 3, {SIDE}, {SIDE}) in, {len(FITTING[kind])} out"


@pytest.mark.parametrize("kind", FITTING)
@pytest.mark.parametrize("other", ["one output less", "another size", "nothing in common"])
def test_outputs_that_do_not_fit_are_refused(spec: ModelSpec, kind: str, other: str) -> None:
    """A missing output, an axis of another length or another network altogether is an error that names the kind."""
    shapes = dict(FITTING[kind])
    last = list(shapes)[-1]
    if other == "one output less" and len(shapes) > 1:
        del shapes[last]
    elif other == "another size":
        shapes[last] = (*shapes[last][:-1], 5)
    else:
        shapes = {"a": (3,), "b": ()}
    with pytest.raises(Invalid, match=f"of kind {kind} gives"):
        check(spec, kind, FakeModel(shapes))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(spec: ModelSpec, value: float) -> None:
    """A network whose weights overflow is no network."""
    with pytest.raises(Invalid, match="finite"):
        check(spec, "sface", FakeModel(FITTING["sface"], value))


def test_a_network_that_fails_on_its_own_input_is_refused(spec: ModelSpec) -> None:
    """What doesn't run on what its manifest describes is the pack's fault, not the machine's."""
    with pytest.raises(Invalid, match="doesn't run"):
        check(spec, "sface", Failing(FITTING["sface"]))


@pytest.mark.parametrize("takes", [(None, 1, None, None), (1, 3, 64, 64), (None, 3), (None, None, None, 3, 3)])
def test_an_input_that_is_not_the_manifests_is_refused(spec: ModelSpec, takes: tuple[int | None, ...]) -> None:
    """Channels, a fixed size or a number of axes that the manifest doesn't say is an error before anything runs."""
    sized = replace(spec, input=replace(spec.input, size=(112, 112)))
    with pytest.raises(Invalid, match="manifest says"):
        check(sized, "sface", FakeModel(FITTING["sface"], takes=takes))


@pytest.mark.parametrize(
    ("layout", "size", "takes", "shape"),
    [
        ("NCHW", None, (None, 3, None, None), (1, 3, 96, 96)),
        ("NCHW", None, (1, 3, 48, 64), (1, 3, 48, 64)),
        ("NHWC", (80, 60), (None, 60, 80, 3), (1, 60, 80, 3)),
    ],
)
def test_the_probe_has_the_inputs_shape(
    spec: ModelSpec,
    layout: str,
    size: tuple[int, int] | None,
    takes: tuple[int | None, ...],
    shape: tuple[int, ...],
) -> None:
    """Noise is made as large as the manifest says, else as the network says, else 96 x 96, and scaled as pixels are."""
    scaled = replace(spec.input, layout=layout, size=size, mean=(127.5,) * 3, std=(127.5,) * 3)
    x = probe(replace(spec, input=scaled), FakeModel({}, takes=takes))  # type: ignore[arg-type]
    assert x.shape == shape
    assert x.dtype == np.float32
    assert -1 <= x.min() < -0.9 < 0.9 < x.max() <= 1


@pytest.mark.parametrize("role", ["detector", "landmarks", "embedder"])
def test_the_default_pack_fits(engine: Engine, role: str) -> None:
    """The real networks keep their contracts."""
    spec, model = engine.pack.spec(role), engine.pack.model(role)
    assert isinstance(model, Model)
    assert check_outputs(spec, model).startswith(spec.kind)
