# SPDX-License-Identifier: Apache-2.0
"""The bench's report: what is printed and written is what was measured."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch):
    """The bench's report module, which isn't installed with the package."""
    monkeypatch.syspath_prepend(str(ROOT))
    yield importlib.import_module("bench.report")
    for name in [n for n in sys.modules if n == "bench" or n.startswith("bench.")]:
        del sys.modules[name]


def test_figures_are_judged_by_their_bounds(bench) -> None:
    """A figure passes up to its bound, and not beyond."""
    assert bench.at_most("a", 0.5, 0.5).passed
    assert not bench.at_most("a", 0.51, 0.5).passed
    assert bench.at_least("a", 0.995, 0.995).passed
    assert not bench.at_least("a", 0.9949, 0.995).passed


def test_figures_are_written_and_printed(bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON holds every figure, and the table says which fall short."""
    rows = [bench.at_most("fast", 0.4, 0.5, "x", "beside slow"), bench.at_most("slow", 2.0, 0.5)]
    bench.write_json(tmp_path / "deep" / "bench.json", {"part": rows})
    told = json.loads((tmp_path / "deep" / "bench.json").read_text())
    assert [(r["name"], r["passed"]) for r in told["part"]] == [("fast", True), ("slow", False)]
    bench.print_rows("part", rows)
    printed = capsys.readouterr().out
    assert "beside slow" in printed
    assert "short" in printed


def test_every_part_speaks_the_same_figures(bench) -> None:
    """The parts of the bench share one kind of figure, so that all can be printed together."""
    search, wire = importlib.import_module("bench.search"), importlib.import_module("bench.wire")
    figure = search._Figure("x", 2.0, "ms", 0.4, "reading", 0.5)
    assert isinstance(figure.row(), bench.Row)
    assert figure.row().passed
    assert all(isinstance(row, bench.Row) for row in wire.run(quick=True))
