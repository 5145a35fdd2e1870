# SPDX-License-Identifier: Apache-2.0
"""Templates: golden values, batches as singles, and any network of ArcFace's kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from custodes.domain import FaceImage, Float32
from custodes.vision.align import aligned
from custodes.vision.embed import Embedder
from custodes.vision.engine import Engine
from custodes.vision.image import Image

GOLDEN = {
    "collins": [-0.0294, -0.1394, 0.0848, 0.152, 0.0246, 0.0073, 0.0939, 0.0448],
    "obama_1": [0.0264, 0.007, 0.0067, 0.0223, 0.1009, 0.0964, 0.0935, -0.1179],
}


class Recorder:
    """An embedding network that keeps what it was given and answers with means of channels."""

    outputs = ("template",)

    def __init__(self, *, fixed_batch: bool = False) -> None:
        self.fixed_batch = fixed_batch
        self.given: list[Float32] = []

    def run(self, x: Float32) -> tuple[Float32, ...]:
        self.given.append(x)
        return (np.concatenate([x.mean(axis=(2, 3)), np.ones((len(x), 1), np.float32)], axis=1),)


def face(red: int, green: int, blue: int) -> FaceImage:
    return FaceImage(np.full((112, 112, 3), (red, green, blue), np.uint8))


def test_templates_of_portraits_are_the_golden_ones(engine: Engine, portraits: dict[str, Image]) -> None:
    """The first eight numbers of two templates are those that were recorded when the pack was made."""
    for name, expected in GOLDEN.items():
        [template] = engine.embed(engine.detect(portraits[name]))
        assert template.vector.shape == (128,)
        assert template.pack == "custodes-1"
        assert template.vector[:8] == pytest.approx(expected, abs=0.01)


def test_one_person_is_alike_and_two_are_not(engine: Engine, portraits: dict[str, Image]) -> None:
    """Two photos of one man compare far above two of different persons."""
    made = {n: engine.embed(engine.detect(p))[0] for n, p in portraits.items() if n != "group"}
    assert engine.compare(made["obama_1"], made["obama_2"]).cosine > 0.6
    names = [n for n in made if n != "obama_2"]
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            assert engine.compare(made[a], made[b]).cosine < 0.3, (a, b)


def test_a_batch_is_embedded_as_each_alone(engine: Engine, portraits: dict[str, Image]) -> None:
    """Forty faces at once, over several runs, give the vectors that they give one by one."""
    faces = [aligned(portraits[n].pixels, f.mesh) for n in ("group", "obama_1") for f in engine.detect(portraits[n])]
    many = [faces[i % len(faces)] for i in range(40)]
    embedder = Embedder(engine.pack.model("embedder"), engine.pack.spec("embedder"))
    together = embedder.vectors(many)
    alone = np.concatenate([embedder.vectors([f]) for f in faces])
    assert together.shape == (40, 128)
    assert np.allclose(together, alone[np.arange(40) % len(faces)], atol=1e-5)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_pixels_go_in_as_the_manifest_says(engine: Engine) -> None:
    """Order of colours, mean and deviation come from the input spec."""
    spec = engine.pack.spec("embedder")
    plain, arcface = Recorder(), Recorder()
    Embedder(plain, spec).vectors([face(10, 20, 30)])  # type: ignore[arg-type]
    assert plain.given[0].shape == (1, 3, 112, 112)
    assert plain.given[0][0, :, 5, 5].tolist() == [10, 20, 30]
    scaled = replace(spec.input, colour="BGR", mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5))
    Embedder(arcface, replace(spec, input=scaled)).vectors([face(255, 127, 0)])  # type: ignore[arg-type]
    assert arcface.given[0][0, :, 5, 5] == pytest.approx([-1, -0.5 / 127.5, 1], abs=1e-6)


def test_a_network_of_batch_one_is_run_once_a_face(engine: Engine) -> None:
    """Where the first axis is fixed, faces go in one by one and come out in order."""
    network = Recorder(fixed_batch=True)
    vectors = Embedder(network, engine.pack.spec("embedder")).vectors(  # type: ignore[arg-type]
        [face(200, 0, 0), face(0, 200, 0), face(0, 0, 200)]
    )
    assert [len(g) for g in network.given] == [1, 1, 1]
    assert vectors.argmax(axis=1).tolist() == [0, 1, 2]
