# SPDX-License-Identifier: Apache-2.0
"""Plots are SVG that fits into any page: no scripts, no styles, nothing from outside, the same bytes each time."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.evaluation import examples

import custodes.vision
from custodes.evaluation import plots
from custodes.evaluation.axes import decade_below
from custodes.evaluation.drawing import Canvas, shown
from custodes.evaluation.results import Rate
from custodes.vision.manifest import read

SVG = "{http://www.w3.org/2000/svg}"
VERIFICATION, SEARCHES, ROBUST = examples.verification(), examples.identification(), examples.robustness()
SEX, MANY, ATTACKS = VERIFICATION.differentials[0], examples.many_groups(8), examples.attacks()
KNOTS = read(Path(custodes.vision.__file__).parent / "packs" / "custodes-1").calibration


def det(prefix: str) -> str:
    trials = (VERIFICATION.non_mated, VERIFICATION.mated)
    marks = plots.marks_of(VERIFICATION.points)
    return plots.det((("here", VERIFICATION.curve),), prefix=prefix, marks=marks, trials=trials)


def scale(prefix: str) -> str:
    assert KNOTS is not None
    return plots.calibration(KNOTS.knots, prefix=prefix, base=KNOTS.knots)


PLOTS: dict[str, Callable[[str], str]] = {
    "det": det,
    "no data": lambda p: plots.det((("here", examples.EMPTY),), prefix=p),
    "groups": lambda p: plots.groups(SEX, prefix=p),
    "many": lambda p: plots.groups(MANY, prefix=p),
    "crosses": lambda p: plots.crosses(MANY, prefix=p),
    "cmc": lambda p: plots.cmc(SEARCHES.ranks, prefix=p),
    "sizes": lambda p: plots.sizes(examples.detection().sizes, prefix=p),
    "robustness": lambda p: plots.robustness(ROBUST, prefix=p),
    "calibration": scale,
    "attacks": lambda p: plots.attacks(ATTACKS.attacks, ATTACKS.bpcer, prefix=p),
}


@pytest.fixture(scope="module")
def drawn() -> dict[str, ElementTree.Element]:
    return {name: ElementTree.fromstring(plot(f"p{i}")) for i, (name, plot) in enumerate(PLOTS.items())}


def texts(svg: ElementTree.Element) -> list[str]:
    return [t.text or "" for t in svg.iter(f"{SVG}text")]


@pytest.mark.parametrize("name", list(PLOTS))
def test_a_plot_needs_nothing_else(drawn: dict[str, ElementTree.Element], name: str) -> None:
    """It stands under a policy that forbids inline styles, scripts and requests."""
    svg = drawn[name]
    tags = {e.tag.removeprefix(SVG) for e in svg.iter()}
    assert tags <= {"svg", "title", "desc", "g", "path", "rect", "text", "tspan", "defs", "use", "clipPath"}
    attributes = {(key, value) for e in svg.iter() for key, value in e.attrib.items()}
    assert not {key for key, _ in attributes} & {"style", "class", "onload"} - {"class"}
    assert all(value.startswith("#") for key, value in attributes if key.endswith("href"))


@pytest.mark.parametrize("name", list(PLOTS))
def test_a_plot_is_told_to_who_cannot_see_it(drawn: dict[str, ElementTree.Element], name: str) -> None:
    """It is an image with a title and a description, to which it points."""
    svg = drawn[name]
    title, description = svg[0], svg[1]
    assert svg.get("role") == "img"
    assert svg.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert (title.text or "").strip()


def test_ids_of_plots_in_one_page_differ(drawn: dict[str, ElementTree.Element]) -> None:
    """Each begins with its plot's prefix, all that is pointed to is there, and nothing twice."""
    for i, svg in enumerate(drawn.values()):
        ids = [e.get("id", "") for e in svg.iter() if e.get("id")]
        assert len(set(ids)) == len(ids)
        assert all(id.startswith(f"p{i}-") for id in ids)
        used = {v for e in svg.iter() for a in e.attrib.values() for v in re.findall(r"(?:url\(#|^#)([\w-]+)", a)}
        assert used - {c for c in used if re.fullmatch(r"[0-9a-f]{6}", c)} <= set(ids)


def test_colours_follow_the_page(drawn: dict[str, ElementTree.Element]) -> None:
    """Every line and every letter has a colour of the page's: none is left that is only for light or dark ground."""
    for svg in drawn.values():
        colours = {v for e in svg.iter() for k, v in e.attrib.items() if k in ("fill", "stroke")}
        assert all(c in ("none", "currentColor") or c.startswith("var(--plot-") for c in colours), colours
        assert all(e.get("fill") for e in svg.iter(f"{SVG}text"))


def test_the_same_figures_give_the_same_bytes() -> None:
    """Neither the time nor another drawing at the same time changes a plot."""
    with ThreadPoolExecutor(2) as pool:
        first, second, other = pool.map(lambda plot: plot("x"), (det, det, PLOTS["sizes"]))
    assert first == second != other


def test_thresholds_in_use_and_the_rule_of_3_are_marked(drawn: dict[str, ElementTree.Element]) -> None:
    """A reader sees where 80 and 99 lie, and from where on the data say nothing."""
    told = texts(drawn["det"])
    assert {"80", "99", "rule of 3: too few data beyond", "95 % interval"} <= set(told)
    assert "not enough data for a curve" in texts(drawn["no data"])
    same = (plots.Mark("80", 0, 0.02), plots.Mark("99", 0, 0.02))
    assert "80, 99" in texts(ElementTree.fromstring(plots.det((("", examples.EMPTY),), prefix="p", marks=same)))


def test_groups_without_enough_data_say_so(drawn: dict[str, ElementTree.Element]) -> None:
    """A group of 3 people isn't drawn as one that was judged."""
    told = texts(drawn["groups"])
    assert {"men", "women", "not stated"} <= set(told)
    assert told.count("not enough data") == 2
    assert "not enough data" in texts(drawn["attacks"])


def test_names_from_outside_are_shown_and_nothing_else(drawn: dict[str, ElementTree.Element]) -> None:
    """Markup, formulas, other scripts and control characters in a group's name are letters, and no more."""
    told = texts(drawn["many"])
    assert "<script>alert(1)</script>" in told
    assert "$x$ _under" in told
    assert "日本の名前" in told
    assert "\ufffd \ufffdbad" in told
    assert not [t for t in told if re.fullmatch("n{3,}", t)]
    assert "<script" not in PLOTS["many"]("p")


def test_the_matrix_tells_false_matches_in_a_million(drawn: dict[str, ElementTree.Element]) -> None:
    """Groups' false matches within and between them are told; what wasn't compared is a dash."""
    told = texts(ElementTree.fromstring(plots.crosses(SEX, prefix="p")))
    assert {"800", "320", "4.3", "–"} <= set(told)


def test_no_false_match_seen_is_no_measured_zero() -> None:
    """Where none was seen, the matrix says among how many comparisons, to who can't see it too."""
    crosses = tuple(replace(c, false_match=examples.rate(0, 1407)) for c in SEX.crosses)
    svg = ElementTree.fromstring(plots.crosses(replace(SEX, crosses=crosses), prefix="p"))
    told = texts(svg)
    assert {"none of", "1,407"} <= {t.strip() for text in told for t in text.split("\n")}
    assert "0" not in told
    assert "men and women: none of 1,407" in (svg[1].text or "")


def ticks(svg: str) -> list[str]:
    found = ElementTree.fromstring(svg)
    return [" ".join((t.text or "").split()) for t in found.iter(f"{SVG}text")]


@pytest.mark.parametrize("events", [(1, 1), (100, 100), (39, 320), (0, 1407), (3, 298_000)])
def test_an_axis_of_rates_ends_at_all(events: tuple[int, int]) -> None:
    """No tick is above 100 % or has more digits than it needs, and no bar begins at the axis' very end."""
    rate = examples.rate(*events)
    groups = tuple(replace(g, false_match=rate, false_non_match=rate) for g in SEX.groups)
    shares = [t for t in ticks(plots.groups(replace(SEX, groups=groups), prefix="p")) if t.endswith("%")]
    assert all(float(t.removesuffix(" %")) <= 100 for t in shares)
    assert all(len(t) <= len("100 %") for t in shares)


def test_bars_have_room() -> None:
    """12 % and 1.1 % begin a decade lower than the one that they are in; curves need none, and 1 % is the least."""
    assert decade_below([0.12, 0.4], room=2) == pytest.approx(0.01)
    assert decade_below([0.011], room=2) == pytest.approx(0.001)
    assert decade_below([0.05], room=2) == pytest.approx(0.01)
    assert decade_below([0.5]) == pytest.approx(0.01)
    assert decade_below([1e-5]) == pytest.approx(1e-5)


def test_values_that_are_missing_are_not_drawn() -> None:
    """Rates without a value, without an interval or of 0 make a plot too, and no error."""
    none = Rate(0, 0, None, note="none")
    groups = tuple(replace(g, false_match=none, false_non_match=Rate(0, 5, 0.0)) for g in SEX.groups)
    svg = plots.groups(replace(SEX, groups=groups), prefix="p")
    assert svg.count("no value") >= 2
    assert plots.robustness(replace(ROBUST, strains=(), limits=()), prefix="p").startswith("<svg")
    assert plots.cmc((), prefix="p").startswith("<svg")
    bins = tuple(replace(b, recall=none) for b in examples.detection().sizes)
    assert "not enough data" in plots.sizes(bins, prefix="p")


def test_a_drawing_that_fails_leaves_the_next_one_alone() -> None:
    """An error is raised as it is, and holds nothing."""
    with pytest.raises(ValueError, match="no style"), Canvas("p", "t", "d") as canvas:
        canvas.figure.add_subplot().plot([1], [1], "no style")
    with Canvas("p", "t", "d & <d>") as canvas:
        pass
    assert "d &amp; &lt;d&gt;" in canvas.svg


def test_long_names_are_cut_by_their_width() -> None:
    """A name takes no more room than there is, in letters of any width, and an empty one is told as such."""
    assert shown("a" * 40) == "a" * 25 + "…"
    assert shown("名" * 40) == "名" * 12 + "…"
    assert shown(" \u200b") == "\ufffd"
    assert shown("") == "(empty)"


def test_nothing_is_paid_before_something_is_drawn() -> None:
    """No module of evaluations imports matplotlib when it is imported itself: a server starts as fast as before."""
    for source in Path(plots.__file__).parent.glob("*.py"):
        for statement in ast.parse(source.read_text()).body:
            if isinstance(statement, ast.Import | ast.ImportFrom):
                assert "matplotlib" not in ast.unparse(statement), source.name
