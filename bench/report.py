# SPDX-License-Identifier: Apache-2.0
"""What a figure is, and how figures are printed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Attributes:
        name: what was measured.
        value: the figure.
        unit: its unit; ``"x"`` for a ratio.
        target: what it should be, as text; empty where there is none.
        passed: whether it is; None without a target.
        note: what it was measured against, or on.
    """

    name: str
    value: float
    unit: str
    target: str = ""
    passed: bool | None = None
    note: str = ""


def at_most(name: str, value: float, bound: float, unit: str = "x", note: str = "") -> Row:
    """Make a figure that should not exceed ``bound``."""
    return Row(name, value, unit, f"<= {bound:g}", value <= bound, note)


def at_least(name: str, value: float, bound: float, unit: str = "x", note: str = "") -> Row:
    """Make a figure that should reach ``bound``."""
    return Row(name, value, unit, f">= {bound:g}", value >= bound, note)


def interleaved(
    runs: int, *actions: Callable[[], object], warm: int = 2, pick: Callable[[Sequence[float]], float] = min
) -> list[float]:
    """Time actions in turn, so that what else the machine does falls on all of them alike.

    Returns:
        For each action the ``pick`` (least by default) of its times, in milliseconds.
    """
    times: list[list[float]] = [[] for _ in actions]
    for turn in range(runs + warm):
        for action, seen in zip(actions, times, strict=True):
            begun = time.perf_counter()
            action()
            if turn >= warm:
                seen.append((time.perf_counter() - begun) * 1e3)
    return [pick(seen) for seen in times]


def print_rows(title: str, rows: Sequence[Row]) -> None:
    """Print figures as a table."""
    table = Table("Figure", "Value", "Target", "", "Beside", title=title, title_justify="left", title_style="bold")
    for r in rows:
        value, mark = _shown(r)
        colour = {"ok": "green", "short": "red"}.get(mark, "")
        table.add_row(r.name, value, r.target, f"[{colour}]{mark}[/{colour}]" if colour else "", r.note)
    Console(width=150).print(table)


def _shown(row: Row) -> tuple[str, str]:
    value = f"{row.value:.4g}" if abs(row.value) < 1000 else f"{row.value:,.0f}"
    return f"{value} {row.unit}".strip(), {True: "ok", False: "short", None: ""}[row.passed]


def write_markdown(path: Path, parts: dict[str, Sequence[Row]], machine: str) -> None:
    """Write all figures as a page of the documentation."""
    lines = [
        "# Benchmarks",
        "",
        'What `make bench` printed; `make bench ARGS="--markdown docs/benchmarks.md"` writes this page anew. Times are',
        "taken in turn with those of the peer named beside them, in one run on one machine, so that the ratios mean",
        "something where the milliseconds don't. One thread unless a line says otherwise. Accuracy needs the photos of",
        "`../shared/data`, which are not part of the repository.",
        "",
        f"Measured on: {machine}.",
    ]
    for title, rows in parts.items():
        lines += ["", f"## {title.capitalize()}", "", "| figure | value | target | | beside |", "|---|---|---|---|---|"]
        for row in rows:
            value, mark = _shown(row)
            lines.append(f"| {row.name} | {value} | {row.target} | {mark} | {row.note} |")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_json(path: Path, parts: dict[str, Sequence[Row]]) -> None:
    """Write all figures as JSON."""
    told = {title: [asdict(r) for r in rows] for title, rows in parts.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2))
