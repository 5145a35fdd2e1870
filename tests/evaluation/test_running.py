# SPDX-License-Identifier: Apache-2.0
"""From tables to figures: with the real engine on a few photos, and with one whose photos are templates on many."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from tests.conftest import DATA, SHARED

from custodes.config import Config
from custodes.domain import Box, ImageSize, QualityFilter, Template
from custodes.errors import Invalid, InvalidImage, NotFound
from custodes.evaluation import running
from custodes.evaluation.results import Detection, Identification, Settings, Verification
from custodes.evaluation.running import Run, pair_scores, run_detection, run_identification, run_verification
from custodes.evaluation.runs import ScoreTable
from custodes.evaluation.tables import read_marks, read_pairs, read_photos, read_search
from custodes.operations.photos import PhotoOperations, read
from custodes.vision.engine import Engine

SETTINGS = Settings(80.0, rounds=20)
WIDTH = 128


class Templates:
    """An engine to which a file of floats is a photo of a face with that template; or it shows nobody, or is broken."""

    dimension = WIDTH

    def __init__(self, engine: Engine) -> None:
        self.pack = engine.pack

    def load(self, data: bytes) -> SimpleNamespace:
        if data == b"broken":
            raise InvalidImage("That is no image.")
        return SimpleNamespace(data=data, size=ImageSize(100, 80))

    def detect(self, image: SimpleNamespace, *, max_faces: int) -> Sequence[SimpleNamespace]:
        if image.data.startswith(b"nobody"):
            return []
        vector = np.frombuffer(image.data[: 4 * WIDTH], np.float32)
        return [SimpleNamespace(box=Box(10, 10, 20, 20), confidence=99.0, vector=vector)] * min(max_faces, 2)

    def quality_reasons(self, face: SimpleNamespace, level: QualityFilter) -> tuple[str, ...]:
        return () if level == QualityFilter.NONE else ("dim",)

    def embed(self, faces: Sequence[SimpleNamespace]) -> list[Template]:
        return [Template(face.vector, self.pack.manifest.id) for face in faces]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.default(Config())


@pytest.fixture
def templates(engine: Engine) -> Templates:
    return Templates(engine)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photos of ``tests/data``, smaller; a copy, one that shows nobody, and one that is broken."""
    folder = tmp_path_factory.mktemp("images")
    for name in ("obama_1", "obama_2", "biden", "group"):
        picture = cv2.imread(str(DATA / f"{name}.jpg"))
        scale = 640 / max(picture.shape)
        cv2.imwrite(str(folder / f"{name}.png"), cv2.resize(picture, None, fx=scale, fy=scale))
    (folder / "copy.png").write_bytes((folder / "obama_1.png").read_bytes())
    cv2.imwrite(str(folder / "nobody.png"), np.full((200, 200, 3), 128, np.uint8))
    (folder / "broken.png").write_bytes((folder / "biden.png").read_bytes()[:5000])
    (folder / "text.png").write_text("no photo")
    return folder


def table(folder: Path, text: str, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def rows(scores: ScoreTable) -> list[dict[str, str]]:
    return [dict(zip(scores.header, row, strict=True)) for row in scores.rows()]


HEAD = "image_a,image_b,mated,subject_a,subject_b\n"


# --- Verification -----------------------------------------------------------------------------------------------------


def test_a_score_is_that_of_a_comparison_to_the_last_bit(engine: Engine, images: Path, tmp_path: Path) -> None:
    """Of the largest face of both photos, whatever others there are, whichever way round."""
    text = "obama_1.png,obama_2.png,1,o,o\nobama_2.png,biden.png,0,o,b\ngroup.png,obama_1.png,0,g,o\n"
    text += "biden.png,group.png,0,b,g\n"
    run = run_verification(engine, read_pairs(table(tmp_path, HEAD + text), images), SETTINGS, workers=2)
    work = PhotoOperations(engine, Config().limits)
    for row in rows(run.scores):
        a, b = (read(images / row[k], Config().limits) for k in ("image_a", "image_b"))
        compared = work.compare(a, b, threshold=0.0, quality=QualityFilter.NONE).matches
        [score] = [s for face, s in compared if face.box == work.detect(b).faces[0].box]
        assert (float(row["cosine"]), float(row["similarity"])) == (score.cosine, score.similarity)
        assert row["outcome"] == "compared"
    assert isinstance(run.figures, Verification)
    assert (run.figures.mated, run.figures.non_mated) == (1, 3)
    assert (run.figures.enrolment.several_faces, run.figures.enrolment.failure.events) == (1, 0)


def test_photos_without_a_template_stay_in_every_denominator(engine: Engine, images: Path, tmp_path: Path) -> None:
    """A mated comparison with one is a false non-match, a non-mated one no false match; the table says why."""
    text = "obama_1.png,obama_2.png,1,o,o\nobama_1.png,nobody.png,1,o,o\nnobody.png,biden.png,0,o,b\n"
    run = run_verification(engine, read_pairs(table(tmp_path, HEAD + text), images), SETTINGS)
    assert isinstance(run.figures, Verification)
    miss, match = run.figures.points[0].false_non_match, run.figures.points[0].false_match
    assert (miss.events, miss.trials, match.events, match.trials) == (1, 2, 0, 1)
    assert (run.figures.enrolment.failure.events, run.figures.enrolment.failure.trials) == (1, 4)
    assert run.figures.enrolment.no_face == 1
    told = [(r["mated"], r["outcome"], bool(r["cosine"]), bool(r["similarity"])) for r in rows(run.scores)]
    assert told == [("1", "compared", True, True), ("1", "b: no face", False, False), ("0", "a: no face", False, False)]
    assert [w.kind for w in run.worst] == ["mated, least alike"]


def test_photos_that_cannot_be_decoded_are_no_failures_to_enrol(engine: Engine, images: Path, tmp_path: Path) -> None:
    """The data set is broken: all of them are named, and nothing is measured."""
    text = "obama_1.png,obama_2.png,1,o,o\nobama_1.png,broken.png,0,o,b\ntext.png,broken.png,1,b,b\n"
    data = read_pairs(table(tmp_path, HEAD + text), images)
    with pytest.raises(
        Invalid, match=r"table.csv: a photo can't be decoded: row 3 \(broken.png\), row 4 \(text.png\)\."
    ):
        run_verification(engine, data, SETTINGS)


def test_a_photo_that_went_away_is_not_found(engine: Engine, images: Path, tmp_path: Path) -> None:
    """Between reading the tables and the photo."""
    gone = tmp_path / "gone.png"
    gone.write_bytes((images / "biden.png").read_bytes())
    (tmp_path / "here.png").write_bytes((images / "biden.png").read_bytes())
    (tmp_path / "other.png").write_bytes((images / "nobody.png").read_bytes())
    data = read_pairs(table(tmp_path, HEAD + "gone.png,here.png,1,b,b\ngone.png,other.png,0,b,o\n"), tmp_path)
    gone.unlink()
    with pytest.raises(NotFound, match=r"gone\.png"):
        run_verification(engine, data, SETTINGS)


def test_a_data_set_is_named_by_its_bytes(engine: Engine, images: Path, tmp_path: Path) -> None:
    """Its SHA-256 can be made again with sha256sum; what is least alike is there to be looked at."""
    text = "obama_1.png,obama_2.png,1,o,o\nbiden.png,obama_1.png,0,b,o\n"
    path = table(tmp_path, HEAD + text)
    run = run_verification(engine, read_pairs(path, images), SETTINGS)
    files = (path, *(images / f"{n}.png" for n in ("obama_1", "obama_2", "biden")))
    lines = "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}\n" for file in files)
    assert run.dataset.sha256 == hashlib.sha256(lines.encode()).hexdigest()
    assert (run.dataset.photos, run.dataset.subjects, run.dataset.title) == (3, 2, "")
    least = next(w for w in run.worst if w.kind == "mated, least alike")
    assert least.photos == (images / "obama_1.png", images / "obama_2.png")
    assert all(box is not None for box in least.boxes)
    assert least.similarity == engine.pack.similarity(least.cosine)


def test_a_pair_of_one_file_twice_is_refused(engine: Engine, images: Path, tmp_path: Path) -> None:
    """It compares nothing and would flatter every figure: all such pairs are named, whatever their files are called."""
    text = "obama_1.png,copy.png,1,o,o\nobama_2.png,copy.png,1,o,o\nbiden.png,copy.png,0,b,o\n"
    with pytest.raises(Invalid, match=r"same file.*row 2.*copy\.png is obama_1\.png"):
        run_verification(engine, read_pairs(table(tmp_path, HEAD + text), images), SETTINGS)


def test_every_score_is_told_and_the_worst_are_shown(
    templates: Templates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve of each kind, the worst first; blocks don't change scores."""
    random = np.random.default_rng(3)
    vectors = _people(random, tmp_path, dict.fromkeys(range(30), 3))
    text = "image\n" + "".join(f"{name}\n" for name in vectors)
    data = read_photos(table(tmp_path, text), tmp_path)
    steps: list[tuple[str, int, int]] = []
    monkeypatch.setattr(running, "_BLOCK", 1000)
    run = run_verification(templates, data, SETTINGS, progress=lambda *step: steps.append(step))
    told = rows(run.scores)
    assert len(told) == len(data.pairs) == 90 * 89 // 2
    for row in told:
        a, b = (vectors[row[k]].astype(np.float64) for k in ("image_a", "image_b"))
        assert np.float32(row["cosine"]) == pytest.approx(float(a @ b), abs=1e-6)
        assert (row["mated"] == "1") == (row["subject_a"] == row["subject_b"])
    assert told == rows(run.scores)
    comparisons = [s for s in steps if s[0] == "Comparisons"]
    assert comparisons == [("Comparisons", n, 4005) for n in (1000, 2000, 3000, 4000, 4005)]
    for kind, mated, falling in (("non-mated, most alike", "0", True), ("mated, least alike", "1", False)):
        scores = sorted((float(r["cosine"]) for r in told if r["mated"] == mated), reverse=falling)
        assert [w.cosine for w in run.worst if w.kind == kind] == scores[:12]


def test_pairs_of_photos_without_templates_fail() -> None:
    """Whatever their vectors are."""
    enrolled = SimpleNamespace(vectors=np.eye(3, 4, dtype=np.float32), enrolled=np.array([True, False, True]))
    pairs = np.array([[0, 1], [0, 2], [1, 2], [0, 0]], np.int32)
    assert pair_scores(enrolled, pairs).tolist() == [float("-inf"), 0.0, float("-inf"), 1.0]


def test_lfw_is_read_and_measured_by_folds(engine: Engine, tmp_path: Path) -> None:
    """A handful of LFW's pairs, as its table has them."""
    root = SHARED / "lfw-dev"
    if not root.is_dir():
        pytest.skip(f"{root} isn't there: the photos of LFW are no part of the repository")
    every = list(csv.DictReader((root / "pairs.csv").read_text().splitlines()))
    few = [
        r for fold in "01" for mated in "10" for r in [r for r in every if (r["fold"], r["mated"]) == (fold, mated)][:2]
    ]
    text = "fold,image_a,image_b,mated\n" + "".join(",".join(r.values()) + "\n" for r in few)
    run = run_verification(engine, read_pairs(table(tmp_path, text), root / "images"), SETTINGS, workers=2)
    assert isinstance(run.figures, Verification)
    assert run.figures.accuracy is not None
    assert len(run.figures.accuracy.folds) == 2
    assert run.figures.enrolment.failure.events == 0
    scores = {mated: [float(r["cosine"]) for r in rows(run.scores) if r["mated"] == mated] for mated in "10"}
    assert min(scores["1"]) > 0.4265 > max(scores["0"])


# --- Identification ---------------------------------------------------------------------------------------------------


def _people(
    random: np.random.Generator, folder: Path, counts: dict[int, int], spread: float = 1.2
) -> dict[str, np.ndarray]:
    """Write photos of people for the engine of templates; return their templates by name."""
    made = {}
    for person, count in counts.items():
        centre = random.normal(size=WIDTH)
        for i in range(count):
            vector = centre + spread * random.normal(size=WIDTH)
            made[f"p{person:02}/{i}"] = (vector / np.linalg.norm(vector)).astype(np.float32)
    for name, vector in made.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(vector.tobytes())
    return made


def _search(engine: Templates | Engine, folder: Path, gallery: list[str], probes: list[str], **more: object) -> Run:
    paths = [
        table(folder, "image\n" + "".join(f"{n}\n" for n in names), f"{kind}.csv")
        for kind, names in (("gallery", gallery), ("probes", probes))
    ]
    return run_identification(engine, read_search(*paths, folder), SETTINGS, **more)


def test_a_search_ranks_people_by_their_best_reference(templates: Templates, tmp_path: Path) -> None:
    """As a search by brute force does, person by person."""
    random = np.random.default_rng(4)
    vectors = _people(random, tmp_path, {p: 1 + p % 4 + (p < 20) for p in range(30)})
    probes = [n for n in vectors if n.endswith("/0")]
    gallery = [n for n in vectors if n not in probes and n < "p20"]
    random.shuffle(gallery)
    run = _search(templates, tmp_path, gallery, probes, list_length=5)
    told = rows(run.scores)
    missed = 0
    for probe in probes:
        best: dict[str, tuple[float, str]] = {}
        for name in gallery:
            score = float(vectors[name].astype(np.float64) @ vectors[probe].astype(np.float64))
            best[name[:3]] = max(best.get(name[:3], (-2.0, "")), (score, name))
        expected = sorted(best.items(), key=lambda item: -item[1][0])
        own = [r for r in told if r["probe"] == probe]
        listed = [r for r in own if r["rank"]]
        assert [(r["candidate_subject"], r["candidate_image"]) for r in listed] == [
            (p, n) for p, (_, n) in expected[:5]
        ]
        assert [float(r["cosine"]) for r in listed] == pytest.approx([s for _, (s, _) in expected[:5]], abs=1e-6)
        assert {r["mated"] for r in own} == {str(int(probe < "p20"))}
        beyond = [r for r in own if not r["rank"]]
        absent = probe < "p20" and probe[:3] not in [p for p, _ in expected[:5]]
        assert [(r["candidate_subject"], r["outcome"]) for r in beyond] == [(probe[:3], "not listed")] * absent
        missed += absent
    figures = run.figures
    assert isinstance(figures, Identification)
    assert (figures.mated, figures.non_mated, figures.list_length) == (20, 10, 5)
    assert (figures.gallery_subjects, figures.gallery_photos) == (20, len(gallery))
    assert figures.points[0].false_negative.events >= missed
    assert (run.dataset.photos, run.dataset.subjects) == (len(gallery) + 30, 30)


def test_worst_searches_are_shown_with_the_photo_of_the_gallery(templates: Templates, tmp_path: Path) -> None:
    """The most alike strangers, and the least alike of those who are there, even beyond the list."""
    random = np.random.default_rng(6)
    vectors = _people(random, tmp_path, dict.fromkeys(range(40), 2), spread=3.0)
    gallery, probes = [n for n in vectors if n.endswith("/1") and n < "p20"], [n for n in vectors if n.endswith("/0")]
    run = _search(templates, tmp_path, gallery, probes, list_length=1)
    matrix = np.array([[vectors[p] @ vectors[g] for g in gallery] for p in probes])
    strangers, own = np.sort(matrix[20:].max(axis=1))[::-1], np.sort(np.diag(matrix[:20]))
    for kind, expected in (("non-mated, most alike", strangers), ("mated, least alike", own)):
        found = [w for w in run.worst if w.kind == kind]
        assert [w.cosine for w in found] == pytest.approx(expected[:12].tolist(), abs=1e-6)
        for w in found:
            probe, reference = (str(p.relative_to(tmp_path)) for p in w.photos)
            assert float(vectors[probe] @ vectors[reference]) == pytest.approx(w.cosine, abs=1e-6)


def test_people_and_probes_without_templates_stay_in_every_denominator(templates: Templates, tmp_path: Path) -> None:
    """A person without one is never found, a probe without one finds nobody; the table says so."""
    _people(np.random.default_rng(7), tmp_path, {0: 2, 1: 2, 2: 2, 3: 1})
    for name in ("p01/1", "p02/0", "p03/0"):
        (tmp_path / name).write_bytes(f"nobody, {name}".encode())
    run = _search(templates, tmp_path, ["p00/1", "p01/1", "p02/1"], ["p00/0", "p01/0", "p02/0", "p03/0"])
    assert isinstance(run.figures, Identification)
    misses = run.figures.points[0].false_negative
    assert (misses.events, misses.trials) == (2, 3)
    assert run.figures.points[0].false_positive.trials == 1
    assert run.figures.gallery_enrolment.failure.events == 1
    assert run.figures.probe_enrolment.failure.events == 2
    told = [(r["probe"], r["rank"], r["candidate_subject"], r["outcome"]) for r in rows(run.scores)]
    assert told[:2] == [("p00/0", "1", "p00", "listed"), ("p00/0", "2", "p02", "listed")]
    assert ("p01/0", "", "p01", "gallery: no template") in told
    assert told[-2:] == [("p02/0", "", "", "probe: no face"), ("p03/0", "", "", "probe: no face")]


def test_equal_scores_come_in_the_order_of_the_gallery(templates: Templates, tmp_path: Path) -> None:
    """So that a run can be repeated."""
    vectors = _people(np.random.default_rng(8), tmp_path, {0: 1, 1: 1, 2: 1, 3: 1})
    for i, name in enumerate(("p00/0", "p01/0", "p02/0")):
        (tmp_path / name).write_bytes(vectors["p00/0"].tobytes() + bytes([i]))
    run = _search(templates, tmp_path, ["p02/0", "p01/0", "p00/0"], ["p03/0"], list_length=2)
    assert [r["candidate_subject"] for r in rows(run.scores)] == ["p02", "p01"]


def test_a_probe_that_is_a_copy_of_a_reference_is_refused(templates: Templates, tmp_path: Path) -> None:
    """By its bytes, under whatever name and person; both rows are named. Broken photos of both tables are told too."""
    vectors = _people(np.random.default_rng(9), tmp_path, {0: 2, 1: 2, 2: 2})
    (tmp_path / "p02/0").write_bytes(vectors["p01/1"].tobytes())
    gallery, probes = ["p00/1", "p01/1"], ["p00/0", "p02/0"]
    with pytest.raises(Invalid) as caught:
        _search(templates, tmp_path, gallery, probes)
    assert "probes.csv: a probe is the same, byte for byte, as a photo in the gallery" in caught.value.message
    assert "row 3 (p02/0; row 3 of the gallery gallery.csv: p01/1)" in caught.value.message
    for name in ("p00/1", "p02/0"):
        (tmp_path / name).write_bytes(b"broken")
    with pytest.raises(Invalid) as caught:
        _search(templates, tmp_path, gallery, probes)
    assert "gallery.csv: a photo can't be decoded: row 2 (p00/1)" in caught.value.message
    assert "probes.csv: a photo can't be decoded: row 3 (p02/0)" in caught.value.message


def test_probes_that_are_copies_of_one_another_are_told(templates: Templates, tmp_path: Path) -> None:
    """They count each, and a note says how many there are."""
    vectors = _people(np.random.default_rng(10), tmp_path, {0: 2, 1: 2, 2: 2})
    (tmp_path / "p02/0").write_bytes(vectors["p02/1"].tobytes())
    run = _search(templates, tmp_path, ["p00/1", "p01/1"], ["p00/0", "p02/0", "p02/1"])
    assert run.dataset.notes[-1] == "probes that are the same as others, byte for byte: 1"
    with pytest.raises(Invalid, match="at least 1 place"):
        _search(templates, tmp_path, ["p00/1", "p01/1"], ["p00/0"], list_length=0)


# --- Detection --------------------------------------------------------------------------------------------------------


def test_marked_faces_are_found(engine: Engine, images: Path, tmp_path: Path) -> None:
    """By the deployed detector, whose boxes are told."""
    faces = engine.detect(images / "group.png")
    noses = [f.landmarks.points[f.landmarks.names.index("nose")] for f in faces]
    text = "image,x,y\n" + "".join(f"group.png,{x},{y}\n" for x, y in noses) + "nobody.png,,\n"
    run = run_detection(engine, read_marks(table(tmp_path, text), images), SETTINGS)
    assert isinstance(run.figures, Detection)
    assert (run.figures.images, run.figures.marked_by) == (2, "points")
    assert (run.figures.recall.events, run.figures.recall.trials, run.figures.false_positives) == (4, 4, 0)
    told = [tuple(float(row[k]) for k in ("left", "top", "width", "height", "confidence")) for row in rows(run.scores)]
    assert told == [(f.box.left, f.box.top, f.box.width, f.box.height, f.confidence) for f in faces]
    assert "photos of the folder that no row names, and that weren't evaluated: 6" in run.dataset.notes
    assert (run.dataset.photos, run.worst) == (2, ())


def test_marks_outside_a_photo_and_broken_photos_are_refused(templates: Templates, tmp_path: Path) -> None:
    """They are those of another photo, or of one that isn't upright; the photos of the test have 100 x 80 pixels."""
    for name, data in (("a.jpg", b"nobody"), ("b.jpg", b"nobody"), ("c.jpg", b"broken")):
        (tmp_path / name).write_bytes(data)
    points = table(tmp_path, "image,x,y\na.jpg,100,80\na.jpg,101,5\nb.jpg,5,81\nc.jpg,1,1\n")
    with pytest.raises(Invalid) as caught:
        run_detection(templates, read_marks(points, tmp_path), SETTINGS)
    assert "a photo can't be decoded: row 5 (c.jpg)" in caught.value.message
    assert "a mark lies outside its photo: row 3 (a.jpg, 100 x 80 pixels), row 4 (b.jpg" in caught.value.message
    boxes = table(tmp_path, "image,left,top,width,height\na.jpg,-5,-5,20,20\nb.jpg,95,5,20,20\n")
    with pytest.raises(Invalid, match=r"outside its photo: row 3 \(b"):
        run_detection(templates, read_marks(boxes, tmp_path), SETTINGS)


def test_faces_below_the_quality_filter_are_not_found(templates: Templates, tmp_path: Path) -> None:
    """As when faces are indexed with it; a limit of faces is kept."""
    (tmp_path / "a.jpg").write_bytes(bytes(4 * WIDTH))
    marks = read_marks(table(tmp_path, "image,x,y\na.jpg,20,20\n"), tmp_path)
    for quality, most, found, false in (("NONE", 100, 1, 1), ("NONE", 1, 1, 0), ("HIGH", 100, 0, 0)):
        run = run_detection(templates, marks, Settings(80.0, quality=quality, rounds=20), most_faces=most)
        assert isinstance(run.figures, Detection)
        assert (run.figures.recall.events, run.figures.false_positives) == (found, false)
