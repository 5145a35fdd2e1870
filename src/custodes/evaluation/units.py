# SPDX-License-Identifier: Apache-2.0
"""Shares whose trials come in units: the searches of a person, the faces of a photo.

Units are drawn by the bootstrap, not trials. Of few units it says too little (of one, nothing), and the interval then
reaches as far as Clopper and Pearson's too, as it does where few trials went one way.
"""

from __future__ import annotations

from dataclasses import replace

from custodes.evaluation.metrics import FEW, Float64, clopper_pearson, rate
from custodes.evaluation.results import Interval, Rate

__all__ = ["rate_by_units"]


def rate_by_units(events: int, trials: int, rounds: Float64, units: int, *, of: str, note: str = "") -> Rate:
    """Make a share with its 95 % interval, which holds the share itself.

    Args:
        events, trials: how many of how many.
        rounds: the share in each round of the bootstrap, NaN in those without a trial.
        units: from how many units the trials are.
        of: what the trials are.
        note: why the value is a rough one.
    """
    made = rate(events, trials, rounds, of=of, note=note)
    if made.interval is None:
        return made
    ends = [events / trials, made.interval.low, made.interval.high]
    if units < FEW:
        exact = clopper_pearson(events, trials)
        ends += [exact.low, exact.high]
    return replace(made, interval=Interval(min(ends), max(ends)))
