# SPDX-License-Identifier: Apache-2.0
"""Plots of evaluations, each as the text of one ``<svg>`` element (:mod:`custodes.evaluation.drawing`).

What a plot shows is in a table beside it too, wherever these are used. Axes of error rates are logarithmic; what is 0
stands at the edge, with an open mark. Groups without enough data are grey, and say so. Bands and whiskers are the 95 %
intervals of the results; nothing is computed here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from custodes.evaluation.axes import band, decade_below, ends_of, few_of, number_of, rate_axis, share_axis, value_of
from custodes.evaluation.drawing import FIRST, GREY, INK, SECOND, SOFT, THIRD, Canvas, shown
from custodes.evaluation.results import (
    Attack,
    Curve,
    Differential,
    GroupFigures,
    IdentificationPoint,
    Point,
    Rank,
    Rate,
    Robustness,
    SizeBin,
    Strain,
)
from custodes.evaluation.told import expected, in_words, percent, size_in_words
from custodes.vision.manifest import Knot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "MOST_GROUPS",
    "Mark",
    "attacks",
    "calibration",
    "cmc",
    "crosses",
    "det",
    "groups",
    "marks_of",
    "robustness",
    "sizes",
]

MOST_GROUPS = 30
"""Groups in a plot, the largest; tables have all."""
_MOST_CROSSED = 12


@dataclass(frozen=True, slots=True)
class Mark:
    """A point on a curve: its name, and both rates."""

    name: str
    false_positive: float
    miss: float


def marks_of(points: Sequence[Point | IdentificationPoint]) -> tuple[Mark, ...]:
    """Return the thresholds in use as marks, as far as both rates were measured."""
    found = []
    for p in points:
        false, miss = (
            (p.false_match, p.false_non_match) if isinstance(p, Point) else (p.false_positive, p.false_negative)
        )
        if false.value is not None and miss.value is not None:
            found.append(Mark(f"{p.similarity:g}" if p.similarity else "none", false.value, miss.value))
    return tuple(found)


# --- Curves ------------------------------------------------------------------------------------------------------


def det(
    curves: Sequence[tuple[str, Curve]],
    *,
    prefix: str,
    marks: Sequence[Mark] = (),
    trials: tuple[int, int] = (0, 0),
    axes: tuple[str, str] = ("False match rate (FMR)", "False non-match rate (FNMR)"),
) -> str:
    """Plot detection error trade-offs on logarithmic axes.

    Args:
        curves: each with its name.
        prefix: of ids.
        marks: thresholds in use.
        trials: non-mated and mated comparisons or searches: rates below 3 of so many can't be shown (rule of 3).
        axes: names of both.
    """
    limits = (3 / trials[0] if trials[0] else 0.0, 3 / trials[1] if trials[1] else 0.0)
    positives = [v for _, c in curves for v in c.false_positives] + [m.false_positive for m in marks] + [limits[0]]
    misses = [v for _, c in curves for v in c.misses] + [m.miss for m in marks] + [limits[1]]
    least = (decade_below(positives), decade_below(misses))
    told = f"{axes[1]} against {axes[0]}, both on logarithmic axes. " + " ".join(
        f"Threshold {m.name}: {_seen(m.false_positive)} and {_seen(m.miss)}." for m in marks
    )
    with Canvas(prefix, "Detection error trade-off", told) as canvas:
        plot = canvas.figure.add_subplot()
        rate_axis(plot, "x", least[0], axes[0])
        rate_axis(plot, "y", least[1], axes[1])
        _beyond(plot, least, limits)
        if not any(c.thresholds for _, c in curves):
            plot.text(0.5, 0.5, "not enough data for a curve", transform=plot.transAxes, ha="center", color=SOFT)
            curves = ()
        for at, (name, curve) in enumerate(curves):
            colour = (FIRST, THIRD, SECOND)[at % 3]
            x = [max(v, least[0]) for v in curve.false_positives]
            low, middle, high = ([max(v, least[1]) for v in vs] for vs in (curve.low, curve.misses, curve.high))
            band(plot, x, low, high, colour, "" if at else "95 % interval")
            plot.plot(x, middle, color=colour, label=name)
        _mark(plot, least, marks)
        if plot.get_legend_handles_labels()[0]:
            canvas.figure.legend(loc="outside lower center", ncols=3, columnspacing=1.2, handlelength=1.6)
    return canvas.svg


def _seen(value: float) -> str:
    return in_words(value) if value else "none seen"


def _beyond(plot: Axes, least: tuple[float, float], limits: tuple[float, float]) -> None:
    """Shade where there are too few data to show anything."""
    x, y = (min(limit, 1.0) for limit in limits)
    if x > least[0]:
        plot.axvspan(least[0], x, color=GREY, alpha=0.18, linewidth=0)
        label = "rule of 3: too few data beyond"
        plot.axvline(x, color=GREY, linestyle=(0, (4, 3)), linewidth=1.2, label=label)
    if y > least[1]:
        plot.axhspan(least[1], y, color=GREY, alpha=0.18, linewidth=0)


def _mark(plot: Axes, least: tuple[float, float], marks: Sequence[Mark]) -> None:
    """Mark thresholds; those that lie in one place share their words."""
    names: dict[tuple[float, float], list[str]] = {}
    for mark in marks:
        place = (max(mark.false_positive, least[0]), max(mark.miss, least[1]))
        face = SECOND if mark.false_positive > 0 and mark.miss > 0 else "none"
        plot.plot(*([v] for v in place), "o", color=SECOND, markerfacecolor=face, markersize=7, clip_on=False)
        names.setdefault(place, []).append(mark.name)
    for place, told in names.items():
        plot.annotate(", ".join(told), place, (6, 5), textcoords="offset points", color=INK, fontweight="bold")


def cmc(ranks: Sequence[Rank], *, prefix: str) -> str:
    """Plot how often the person is among the first candidates, by how many are looked at."""
    known = [(r.rank, r.hits.value, r.hits) for r in sorted(ranks, key=lambda r: r.rank) if r.hits.value is not None]
    told = " ".join(f"Among the first {rank}: {percent(value)}." for rank, value, _ in known)
    with Canvas(prefix, "Cumulative match characteristic", told, height=300) as canvas:
        plot = canvas.figure.add_subplot()
        share_axis(plot, "y", "Share of searches that have the person")
        plot.set_xlabel("among the first so many candidates")
        x = [rank for rank, _, _ in known]
        ends = [ends_of(hits) for _, _, hits in known]
        band(plot, x, [a for a, _ in ends], [b for _, b in ends], FIRST)
        plot.plot(x, [value for _, value, _ in known], "o-", color=FIRST, markersize=4)
        lowest = min((a for a, _ in ends), default=0.0)
        plot.set_ylim(max(0.0, math.floor(20 * (lowest - 0.02)) / 20), 1.004)
        if x:
            plot.set_xscale("log") if x[-1] > 20 else None
            plot.set_xticks(few_of(x), [f"{rank:g}" for rank in few_of(x)])
            plot.minorticks_off()
    return canvas.svg


def calibration(knots: Sequence[Knot], *, prefix: str, base: Sequence[Knot] = ()) -> str:
    """Plot what a similarity means: the share of impostors that reach it.

    Args:
        knots: of the map in force.
        prefix: of ids.
        base: of the map that came with the pack, where the one in force is another.
    """
    lines = [("in force", knots, FIRST, "-"), ("of the pack", base, SECOND, "--")]
    told = [(k.similarity, k.false_match_rate) for k in knots if k.false_match_rate]
    with Canvas(
        prefix,
        "What a similarity means",
        " ".join(f"{s:g} is reached by {in_words(rate)} of comparisons of two different people." for s, rate in told),
        height=300,
    ) as canvas:
        plot = canvas.figure.add_subplot()
        known = [k.false_match_rate for _, ks, _, _ in lines for k in ks if k.false_match_rate]
        rate_axis(plot, "y", decade_below(known), "False match rate (FMR)")
        plot.set_xlim(0, 100)
        plot.set_xlabel("Similarity")
        for name, ks, colour, style in lines:
            rated = [(k.similarity, k.false_match_rate) for k in ks if k.false_match_rate]
            if rated:
                plot.plot(
                    [s for s, _ in rated],
                    [r for _, r in rated],
                    color=colour,
                    linestyle=style,
                    marker="o",
                    markersize=5,
                    label=name,
                )
        if base:
            canvas.figure.legend(loc="outside lower center", ncols=2)
    return canvas.svg


# --- Groups ------------------------------------------------------------------------------------------------------


def groups(differential: Differential, *, prefix: str) -> str:
    """Plot FMR and FNMR of each group with 95 % intervals, on logarithmic axes."""
    chosen = sorted(differential.groups, key=lambda g: (not g.enough, -g.subjects, g.name))[:MOST_GROUPS]
    chosen = sorted(chosen, key=lambda g: g.name, reverse=True)
    told = f"False match rate and false non-match rate by {shown(differential.column)}: " + "; ".join(
        f"{shown(g.name)}: {value_of(g.false_match)} and {value_of(g.false_non_match)}" for g in reversed(chosen)
    )
    with Canvas(prefix, f"Groups by {shown(differential.column)}", told, height=110 + 56 * len(chosen)) as canvas:
        plots = canvas.figure.subplots(2, 1, squeeze=False)[:, 0]
        _group_bars(
            canvas, plots[0], chosen, [g.false_match for g in chosen], FIRST, "False match rate within the group"
        )
        _group_bars(canvas, plots[1], chosen, [g.false_non_match for g in chosen], SECOND, "False non-match rate")
    return canvas.svg


def _group_bars(
    canvas: Canvas, plot: Axes, chosen: Sequence[GroupFigures], rates: Sequence[Rate], colour: str, title: str
) -> None:
    ends = [ends_of(r) for r in rates]
    known = [v for r in rates if r.value is not None for v in (r.value, *ends_of(r))]
    least = decade_below(known, room=2)
    rate_axis(plot, "x", least, "", most=10.0 ** math.ceil(math.log10(max(10 * least, *known, 0.0) * 1.001)))
    plot.grid(axis="y", visible=False)
    plot.set_title(title, loc="left", fontweight="bold")
    canvas.ticks(plot.yaxis, range(len(chosen)), [g.name for g in chosen])
    plot.tick_params(axis="y", length=0)
    plot.set_ylim(-0.6, len(chosen) - 0.4)
    for at, (group, rate, (low, high)) in enumerate(zip(chosen, rates, ends, strict=True)):
        paint = colour if group.enough else GREY
        if rate.value is not None:
            value = max(rate.value, least)
            plot.barh(at, value - least, left=least, height=0.56, color=paint, alpha=0.3, linewidth=0)
            plot.plot([max(low, least), max(high, least)], [at, at], color=paint, linewidth=2.4)
            plot.plot(
                [value],
                [at],
                "o",
                color=paint,
                markerfacecolor=paint if rate.value else "none",
                markersize=6,
                clip_on=False,
            )
        if not group.enough or rate.value is None:
            words = "not enough data" if not group.enough else "no value"
            plot.annotate(
                words, (0.995, at), xycoords=("axes fraction", "data"), ha="right", va="center", color=SOFT, fontsize=11
            )


def crosses(differential: Differential, *, prefix: str) -> str:
    """Plot FMR within groups and between them as a matrix: false matches in 1,000,000 comparisons.

    Where none was seen it says among how many comparisons: that is no rate of 0.
    """
    chosen = sorted(differential.groups, key=lambda g: (not g.enough, -g.subjects, g.name))[:_MOST_CROSSED]
    names = sorted(g.name for g in chosen)
    rates = {(g.name, g.name): g.false_match for g in chosen}
    for cross in differential.crosses:
        rates[cross.first, cross.second] = rates[cross.second, cross.first] = cross.false_match
    known = [r.value for (a, b), r in rates.items() if r.value and a in names and b in names]
    low, high = math.log10(min(known, default=1e-6)), math.log10(max(known, default=1e-6))
    told = "; ".join(
        f"{shown(a)} and {shown(b)}: {value_of(rates[a, b])}"
        for i, a in enumerate(names)
        for b in names[i:]
        if (a, b) in rates
    )
    with Canvas(
        prefix, f"False matches between groups by {shown(differential.column)}", told, height=90 + 34 * len(names)
    ) as canvas:
        from matplotlib.patches import Rectangle

        plot = canvas.figure.add_subplot()
        plot.set_title("False matches in 1,000,000 comparisons", loc="left", fontweight="bold")
        letters = 11 if len(names) < 6 else 9 if len(names) < 10 else 7
        for y, row in enumerate(names):
            for x, column in enumerate(names):
                rate = rates.get((row, column))
                value = None if rate is None else rate.value
                place, size = (x + 0.03, y + 0.03), (0.94, 0.94)
                if not value:
                    line = ":" if value is None else "-"
                    plot.add_patch(
                        Rectangle(place, *size, facecolor="none", edgecolor=GREY, linestyle=line, linewidth=1)
                    )
                else:
                    share = 1.0 if high <= low else (math.log10(value) - low) / (high - low)
                    plot.add_patch(Rectangle(place, *size, color=FIRST, alpha=0.06 + 0.44 * share, linewidth=0))
                plot.text(x + 0.5, y + 0.5, _in_a_million(rate), ha="center", va="center", fontsize=letters)
        _matrix_axes(canvas, plot, names)
    return canvas.svg


def _in_a_million(rate: Rate | None) -> str:
    """Return what a field of the matrix says, in two lines where no false match was seen."""
    if rate is None or rate.value is None:
        return "–"
    return expected(rate.value, 1_000_000) if rate.value else f"none of\n{rate.trials:,}"


def _matrix_axes(canvas: Canvas, plot: Axes, names: Sequence[str]) -> None:
    plot.set_xlim(0, len(names))
    plot.set_ylim(len(names), 0)
    places = [at + 0.5 for at in range(len(names))]
    canvas.ticks(plot.yaxis, places, names, 16)
    canvas.ticks(plot.xaxis, places, names, 16)
    if len(names) > 3:
        plot.tick_params(axis="x", labelrotation=35)
        for label in plot.get_xticklabels():
            label.set_horizontalalignment("right")
    plot.tick_params(length=0)
    plot.spines[:].set_visible(False)


# --- Shares ------------------------------------------------------------------------------------------------------


def sizes(bins: Sequence[SizeBin], *, prefix: str) -> str:
    """Plot which share of faces is found, by their size."""
    rows = [(size_in_words(b), b.recall, FIRST) for b in sorted(bins, key=lambda b: b.least)]
    return _share_bars(
        rows, prefix=prefix, title="Faces found, by their size", axis="Share of marked faces that are found"
    )


def attacks(attempts: Sequence[Attack], bpcer: Rate, *, prefix: str) -> str:
    """Plot the share of attacks that isn't noticed, by instrument (APCER), and of honest people refused (BPCER)."""
    rows = [(a.species, a.apcer, SECOND) for a in sorted(attempts, key=lambda a: -(a.apcer.value or 0.0))]
    rows.append(("honest people refused", bpcer, FIRST))
    return _share_bars(
        rows, prefix=prefix, title="Attacks not noticed (APCER), honest people refused (BPCER)", axis="Share"
    )


def _share_bars(rows: Sequence[tuple[str, Rate, str]], *, prefix: str, title: str, axis: str) -> str:
    told = "; ".join(f"{shown(name)}: {value_of(rate)}" for name, rate, _ in rows)
    with Canvas(prefix, title, told, height=76 + 30 * len(rows)) as canvas:
        plot = canvas.figure.add_subplot()
        share_axis(plot, "x", axis)
        plot.set_xlim(0, 1)
        plot.grid(axis="y", visible=False)
        canvas.ticks(plot.yaxis, range(len(rows)), [name for name, _, _ in rows])
        plot.tick_params(axis="y", length=0)
        plot.set_ylim(len(rows) - 0.4, -0.6)
        for at, (_, rate, colour) in enumerate(rows):
            if rate.value is None:
                plot.text(0.01, at, "not enough data", va="center", color=SOFT, fontsize=11)
                continue
            plot.barh(at, rate.value, height=0.56, color=colour, alpha=0.3, linewidth=0)
            plot.plot(ends_of(rate), [at, at], color=colour, linewidth=2.4, clip_on=False)
            plot.plot([rate.value], [at], "o", color=colour, markersize=6, clip_on=False)
    return canvas.svg


def robustness(figures: Robustness, *, prefix: str) -> str:
    """Plot, for each kind of damage, the share that is missed and the share that the quality filter refuses."""
    kinds = list(dict.fromkeys(s.kind for s in figures.strains))
    limits = {limit.kind: limit for limit in figures.limits}
    told = " ".join(limits[kind].words for kind in kinds if kind in limits)
    rows = -(-len(kinds) // 2) or 1
    with Canvas(prefix, "What damage to photos does", told, height=70 + 180 * rows) as canvas:
        plots = canvas.figure.subplots(rows, 2, squeeze=False, sharey=True).ravel()
        for plot, kind in zip(plots, kinds, strict=False):
            strains = [s for s in figures.strains if s.kind == kind]
            _strains(plot, strains, figures.most_missed, limits[kind].dont_search if kind in limits else None)
            canvas.name(plot.set_title("", loc="left", fontweight="bold"), kind)
            canvas.name(plot.set_xlabel("", fontsize=10, color=SOFT), strains[0].unit, 40)
        for plot in plots[len(kinds) :]:
            plot.set_axis_off()
        handles, labels = plots[0].get_legend_handles_labels()
        canvas.figure.legend(handles, labels, loc="outside lower center", ncols=2, columnspacing=1.2)
    return canvas.svg


def _strains(plot: Axes, strains: Sequence[Strain], most: float, limit: float | None) -> None:
    share_axis(plot, "y", "")
    plot.set_ylim(-0.03, 1.03)
    x = range(len(strains))
    shown_at = few_of(list(x), 8)
    plot.set_xticks(shown_at, ["as is" if at == 0 else f"{strains[at].level:g}" for at in shown_at])
    plot.set_xlim(-0.3, max(len(strains) - 0.7, 0.7))
    ends = [ends_of(s.false_non_match) for s in strains]
    plot.axhline(
        most, color=INK, linewidth=1, linestyle=(0, (2, 2)), alpha=0.7, label=f"{percent(most)} missed: don't search"
    )
    band(plot, x, [a for a, _ in ends], [b for _, b in ends], FIRST, "95 % interval")
    plot.plot(
        x, [number_of(s.false_non_match) for s in strains], "o-", color=FIRST, markersize=4, label="missed (FNMR)"
    )
    plot.plot(
        x,
        [number_of(s.refused) for s in strains],
        "s--",
        color=SECOND,
        markersize=4,
        label="refused by the quality filter",
    )
    bad = [at for at in x if limit is not None and strains[at].level == limit]
    if bad:
        plot.axvspan(bad[0], len(strains) - 0.7, color=GREY, alpha=0.2, linewidth=0)
