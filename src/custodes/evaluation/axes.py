# SPDX-License-Identifier: Apache-2.0
"""Axes of plots, and how rates are put on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from custodes.evaluation.results import Rate
from custodes.evaluation.told import in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["band", "decade_below", "ends_of", "few_of", "number_of", "rate_axis", "share_axis", "value_of"]

_LEAST = 1e-9


def rate_axis(plot: Axes, side: str, least: float, label: str, most: float = 1.0) -> None:
    """Give a plot a logarithmic axis of rates, which ends at 1 at the latest."""
    most = min(most, 1.0)
    ticks = [10.0**k for k in range(round(math.log10(least)), round(math.log10(most)) + 1)]
    axis = plot.xaxis if side == "x" else plot.yaxis
    words = [in_words(t) for t in ticks]
    if side == "x":
        plot.set_xscale("log")
        plot.set_xlim(least, most)
        plot.set_xlabel(label)
        words = [w.replace(" in ", " in\n") for w in words]
    else:
        plot.set_yscale("log")
        plot.set_ylim(least, most)
        plot.set_ylabel(label)
    axis.set_ticks(ticks, words)
    plot.minorticks_off()
    plot.grid(visible=True)
    plot.set_axisbelow(True)


def share_axis(plot: Axes, side: str, label: str) -> None:
    """Give a plot a linear axis of shares."""
    axis = plot.xaxis if side == "x" else plot.yaxis
    axis.set_major_formatter(lambda value, _: f"{100 * value:.4g} %")
    axis.set_label_text(label)
    plot.grid(visible=True)
    plot.set_axisbelow(True)


def decade_below(values: Sequence[float], room: float = 1.0) -> float:
    """Return the power of ten below the least value that isn't 0, 1 % at most.

    Args:
        values: of rates.
        room: how many times smaller it is at least than that value: what stands at the edge looks like nothing.
    """
    least = min((v for v in values if v > _LEAST), default=1e-3)
    return float(10.0 ** min(math.floor(math.log10(least / room) + 1e-9), -2))


def ends_of(rate: Rate) -> tuple[float, float]:
    """Return both ends of a rate's interval; the value itself where it has none, NaN where there is no value."""
    value = number_of(rate)
    return (rate.interval.low, rate.interval.high) if rate.interval else (value, value)


def number_of(rate: Rate) -> float:
    """Return a rate's value, or NaN."""
    return math.nan if rate.value is None else rate.value


def value_of(rate: Rate) -> str:
    """Return a rate's value in words; what was never seen is told by how often it could have been."""
    if rate.value is None:
        return "no value"
    return in_words(rate.value) if rate.value else f"none of {rate.trials:,}"


def few_of(values: Sequence[int], most: int = 9) -> list[int]:
    """Return at most so many of some values, evenly spaced, the first among them."""
    step = -(-len(values) // most) or 1
    return [v for at, v in enumerate(values) if at % step == 0]


def band(
    plot: Axes, x: Sequence[float], low: Sequence[float], high: Sequence[float], colour: str, label: str = ""
) -> None:
    """Draw an interval at each of some places as a band."""
    plot.fill_between(x, low, high, color=colour, alpha=0.22, linewidth=0, label=label or None)
