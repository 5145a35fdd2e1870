# SPDX-License-Identifier: Apache-2.0
"""A report is one page that needs nothing else, tells all that was measured, and shows no face to the public."""

from __future__ import annotations

import base64
import html
import itertools
import re
from dataclasses import fields, is_dataclass, replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.evaluation import examples

import custodes.vision
from custodes.domain import Box
from custodes.evaluation.card import card_of
from custodes.evaluation.report import BROUGHT, SealedBy, report, settings_used, worst_pictures
from custodes.evaluation.results import Interval, Rate
from custodes.evaluation.runs import Worst
from custodes.vision.manifest import read

CARD = card_of(read(Path(custodes.vision.__file__).parent / "packs" / "custodes-1"))
SEALED = SealedBy("log.example.org/custodes", "log.example.org/custodes+1f+AbC=", 1234)
VOID = frozenset(("meta", "img", "br", "path", "rect", "use", "col"))


class Page(HTMLParser):
    """What a page is made of: elements with their attributes, text, and whether every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {name: report(e, card=CARD, sealed=SEALED, published=True) for name, e in examples.all_kinds().items()}


KINDS = list(examples.all_kinds())


def rates(value: object) -> list[Rate]:
    """Return all rates of an evaluation."""
    if isinstance(value, Rate):
        return [value]
    if isinstance(value, tuple):
        return [r for v in value for r in rates(v)]
    if is_dataclass(value):
        return [r for f in fields(value) for r in rates(getattr(value, f.name))]
    return []


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("name", KINDS)
def test_a_page_needs_nothing_else(pages: dict[str, str], name: str) -> None:
    """It has no script, no link to a file, no handler and no address that a browser would ask; its policy says so."""
    page = Page(pages[name])
    assert not page.all("script", "link", "iframe", "object", "embed", "base", "form", "img", "image", "a")
    attributes = [(key, value or "") for _, found in page.elements for key, value in found.items()]
    assert not [key for key, _ in attributes if key.startswith("on") or key in ("src", "srcset", "style", "poster")]
    assert all(value.startswith("#") for key, value in attributes if key.endswith("href"))
    assert not re.search(r"@import|url\((?!#)", pages[name])
    [policy] = [m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")


@pytest.mark.parametrize("name", KINDS)
def test_every_rate_is_told_with_its_counts_and_its_note(pages: dict[str, str], name: str) -> None:
    """No figure is left out, none goes without how many of how many, and none without why it is missing or rough."""
    text = flat(" ".join(Page(pages[name]).text))
    found = rates(examples.all_kinds()[name].figures)
    assert found
    for rate in found:
        assert flat(rate.note) in text
        if rate.value is not None:
            assert f"{rate.events:,} of {rate.trials:,}" in text


@pytest.mark.parametrize("name", [k for k in KINDS if k != "attacks"])
def test_a_page_tells_on_what_and_by_what(pages: dict[str, str], name: str) -> None:
    """Data, pack, hashes, settings and the ledger's entry are there, and how to check it."""
    evaluation = examples.all_kinds()[name]
    text = flat(" ".join(Page(pages[name]).text))
    for told in (
        evaluation.deployed.fingerprint,
        evaluation.dataset.sha256,
        evaluation.deployed.calibration,
        evaluation.rules_hash,
        "Portraits of staff, 2024 <b>",
        "People agreed in writing.",
        "Entry 1,234 of the log",
        f"custodes evaluations verify FILE --vkey '{SEALED.vkey}'",
        "no liveness model",
    ):
        assert told in text
    assert all(flat(n.training) in text for n in CARD.networks)


@pytest.mark.parametrize("name", KINDS)
def test_a_page_can_be_read_by_everybody(pages: dict[str, str], name: str) -> None:
    """Headings don't skip a level, tables have headings with a scope, ids are unique, wide tables can be scrolled."""
    page = Page(pages[name])
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))
    assert all(th.get("scope") in ("col", "row") for th in page.all("th"))
    ids = [found["id"] for _, found in page.elements if "id" in found]
    assert len(set(ids)) == len(ids)
    boxes = [d for d in page.all("div") if d.get("class") == "box"]
    assert len(boxes) == len(page.all("table"))
    assert all(b.get("tabindex") == "0" and b.get("aria-labelledby") in ids for b in boxes)


def test_the_answer_stands_at_the_top(pages: dict[str, str]) -> None:
    """The first thing that is read is how many strangers of 1,000 are found."""
    text = flat(" ".join(Page(pages["identification"]).text))
    answer = "Of 1,000 searches of people who are not in this gallery of 5,000, about 12 return somebody"
    assert 0 < text.index(answer) < text.index("At the thresholds in use")


def test_words_from_outside_stay_words(pages: dict[str, str]) -> None:
    """Titles and names of groups are shown as they are, and make no markup."""
    assert "2024 <b>" not in pages["bare"]
    assert "<script" not in pages["bare"]
    assert "<script>alert(1)</script>" in html.unescape(pages["bare"])


def test_a_page_that_nothing_seals_says_so() -> None:
    """Without a ledger it is the word of whoever gave it."""
    page = report(examples.evaluation(examples.attacks()), card=CARD)
    assert "No ledger commits to this page" in page
    assert "Entry" not in page


def test_a_pack_without_a_card_is_told_as_such() -> None:
    """What isn't known of a model is no blank."""
    card = replace(CARD, stated=False, about="", intended=(), out_of_scope=(), limits=(), knots=())
    page = report(examples.evaluation(examples.detection()), card=card)
    assert "This pack has no card." in page
    assert "What a similarity means" not in page


def test_attacks_are_of_a_model_that_was_brought(pages: dict[str, str]) -> None:
    """Presentations and the threshold are told, and nothing of what runs here, of which nothing was measured."""
    evaluation = examples.all_kinds()["attacks"]
    text = flat(" ".join(Page(pages["attacks"]).text))
    for told in (
        BROUGHT,
        "3,300 presentations",
        "scores of at least 0.5",
        evaluation.dataset.sha256,
        "no liveness model",
    ):
        assert told in text, told
    what = evaluation.deployed
    hashes = (
        what.fingerprint,
        what.calibration,
        what.thresholds,
        *(n.sha256 for n in (*what.networks, *CARD.networks)),
    )
    for none in (*hashes, what.pack, "fingerprint alone", "Quality filter", "photos of", "Trained on", "Similarity:"):
        assert none not in text, none


def test_only_the_settings_that_are_used_are_told() -> None:
    """Finding faces takes no threshold, photos made worse no bootstrap, and without groups none is judged."""
    names = {name: {setting for setting, _ in settings_used(e)} for name, e in examples.all_kinds().items()}
    assert names["detection"] == {"Quality filter", "Bootstrap"}
    assert names["robustness"] == {"Similarity", "Face of a photo that counts", "Quality filter", "Noise"}
    assert names["attacks"] == {"Threshold", "Bootstrap"}
    assert "A group is judged from" in names["verification"]
    assert "A group is judged from" not in names["identification"]


def test_how_intervals_are_made_is_told_by_kind(pages: dict[str, str]) -> None:
    """Photos are drawn where faces are found, and nothing where photos were made worse."""
    assert "Photos are drawn anew (bootstrap, 1,000 rounds)" in pages["detection"]
    assert "People are drawn anew (bootstrap, 1,000 rounds)" in pages["verification"]
    assert "bootstrap" not in flat(" ".join(Page(pages["robustness"]).text))


def test_strangers_who_were_never_found_are_no_zero() -> None:
    """Where nobody of 40 was found the column says so, with the interval."""
    figures = examples.identification()
    none = Rate(0, 40, 0.0, Interval(0.0, 0.088))
    points = tuple(replace(p, false_positive=none, found_of_1000=0.0) for p in figures.points)
    page = Page(report(examples.evaluation(replace(figures, points=points)), card=CARD))
    assert page.text.count("none of 40") == 3
    assert page.text.count("95\u00a0%: 0 to 88") == 3
    assert "a larger gallery returns somebody more often" in flat(" ".join(page.text))


def test_faces_marked_by_points_are_counted() -> None:
    """Where faces that weren't found have no size, those that were are counted by size, and no share is drawn."""
    text = flat(" ".join(Page(report(examples.evaluation(examples.detection_by_points()), card=CARD)).text))
    assert "Marked faces found, how many" in text
    assert "20 to 31 pixels 3 1 32 to 47 pixels 15 2 48 to 111 pixels 3 3" in text
    assert "so there is no share by size" in text
    assert "no value" not in text
    assert "not enough data" not in text


def test_a_number_stays_with_its_percent_sign(pages: dict[str, str]) -> None:
    """On a phone none is broken from its sign, in what is written here and in what is counted."""
    for page in pages.values():
        assert not re.search(r"\d %", page)
    assert "95\u00a0% interval" in pages["verification"]


def test_who_measured_the_scale_is_told(pages: dict[str, str]) -> None:
    """Figures of the card aren't passed off as those of the networks' makers."""
    assert "were measured by Custodes' makers" in html.unescape(pages["verification"])
    assert "As the pack's makers measured it" in html.unescape(pages["verification"])


# --- Faces ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo of 800 x 600 that is black, with a white square at (500, 100) of 200 x 200."""
    pixels = np.zeros((600, 800, 3), np.uint8)
    pixels[100:300, 500:700] = 255
    path = tmp_path / "photo.png"
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return path


def seen(data: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR), np.uint8)


def test_a_thumbnail_shows_the_face(photo: Path) -> None:
    """The face is in the middle, with a margin around it, at a size at which two can be compared."""
    made = worst_pictures([Worst("mated, least alike", (photo, photo), (Box(500, 100, 200, 200), None), 0.1, 4.2)])
    first, second = seen(made[0].first), seen(made[0].second)
    assert first.shape == second.shape == (144, 144, 3)
    assert first[72, 72].min() > 250
    assert first[72, 10].max() < 5
    assert second[36 + 10, 100].min() > 200
    assert made[0].names == ("photo.png", "photo.png")


def test_a_face_at_the_edge_and_a_small_one_are_shown(photo: Path) -> None:
    """What lies outside the photo is grey, and a face of a few pixels is made larger."""
    boxes = (Box(-100, -100, 200, 200), Box(590, 190, 8, 8))
    made = worst_pictures([Worst("mated, least alike", (photo, photo), boxes, 0.1, 4.2)])
    assert seen(made[0].first)[20, 20].tolist() == pytest.approx([128, 128, 128], abs=6)
    assert seen(made[0].second).min() > 250


def test_a_photo_that_is_gone_is_told(tmp_path: Path, photo: Path) -> None:
    """A photo that was deleted, or is none, leaves a blank and no error."""
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no photo")
    pictures = worst_pictures([Worst("mated, least alike", (tmp_path / "gone.jpg", broken), (None, None), 0.1, 4.2)])
    assert (pictures[0].first, pictures[0].second) == ("", "")
    page = report(examples.evaluation(examples.detection()), card=CARD, worst=pictures)
    assert page.count("can't be shown") == 2


def test_faces_are_shown_to_the_evaluator_alone(photo: Path) -> None:
    """A page with faces says that it isn't for publication, and what is published has none, though they are given."""
    worst = worst_pictures([Worst("non-mated, most alike", (photo, photo), (Box(500, 100, 200, 200), None), 0.6, 99.9)])
    evaluation = examples.evaluation(examples.detection())
    own = Page(report(evaluation, card=CARD, worst=worst))
    assert [str(i["src"])[:23] for i in own.all("img")] == ["data:image/jpeg;base64,"] * 2
    assert all(i["alt"] for i in own.all("img"))
    assert "Not for publication." in own.text
    said = flat(" ".join(own.text))
    assert "The CSV of scores, where one was written, holds names" in said
    assert "writes the page without faces" not in said
    sealed = Page(report(evaluation, card=CARD, worst=worst, sealed=SEALED))
    assert "writes the page without faces" in flat(" ".join(sealed.text))
    published = report(evaluation, card=CARD, worst=worst, published=True)
    assert not Page(published).all("img")
    assert "photo.png" not in published
    assert "Not for publication." not in published
