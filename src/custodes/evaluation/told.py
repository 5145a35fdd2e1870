# SPDX-License-Identifier: Apache-2.0
"""Figures in plain words: for the report, the command line and the console alike, so that all say the same.

A share from 1 % on is told in percent, a smaller one as so many in 1,000, 10,000 ...; what was not seen at all is told
by the upper end of its interval and never as "none"; a value that is missing is told by its reason, and no share is put
down as about so many where its interval isn't known.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from custodes.evaluation.results import (
    LEAST_MATED,
    Attacks,
    Detection,
    Differential,
    Enrolment,
    Evaluation,
    Identification,
    IdentificationPoint,
    Interval,
    Point,
    Rate,
    Robustness,
    SizeBin,
    Spread,
    Strain,
    StrainLimit,
    Verification,
)

__all__ = [
    "age_in_words",
    "count_of",
    "expected",
    "in_words",
    "interval_in_words",
    "level_in_words",
    "listed",
    "one_in",
    "percent",
    "rate_in_words",
    "size_in_words",
    "spread_in_words",
    "summary",
    "threshold_in_words",
]

_MOST_COLUMNS = 3
"""Columns of labels whose differences a summary tells."""
_FLOOR = 1e-9
"""What is smaller is told as "less than"."""


# --- Numbers -----------------------------------------------------------------------------------------------------


def percent(value: float) -> str:
    """Return a share in percent: ``0.05 %``, ``3.4 %``, ``50 %``; near 100 with the digits that tell it from 100."""
    if value in (0.0, 1.0):
        return f"{100 * value:.0f} %"
    if value < 0.01:
        return f"{_short(100 * value)} %"
    digits = 1
    while digits < 6 and value > 0.99 and 1 - value < 10 ** -(digits + 1):
        digits += 1
    return f"{100 * value:.{digits}f}".removesuffix(".0") + " %"


def in_words(value: Rate | float) -> str:
    """Return a share in words: ``3.4 %``, ``1.2 in 100,000``, ``0``; a rate with its interval and its note."""
    if isinstance(value, Rate):
        return rate_in_words(value)
    if value == 0.0:
        return "0"
    if value < _FLOOR:
        return "less than 1 in 1,000,000,000"
    unit = _unit(value)
    return percent(value) if unit == 100 else f"{_short(value * unit)} in {unit:,}"


def interval_in_words(interval: Interval, value: float = 0.0) -> str:
    """Return both ends of an interval of shares in one unit: ``0.8 to 1.9 in 100,000``.

    Args:
        interval: of what.
        value: the share that is told before it, whose unit it takes; where it is 0, the unit is the upper end's.
    """
    unit = _unit(value or interval.high)
    if unit == 100:
        return f"{percent(interval.low).removesuffix(' %')} to {percent(interval.high)}"
    return f"{_short(interval.low * unit)} to {_short(interval.high * unit)} in {unit:,}"


def rate_in_words(rate: Rate) -> str:
    """Return a share with its interval and its note: ``1.2 in 100,000 (95 %: 0.8 to 1.9 in 100,000)``.

    What is 0 is told as ``none seen``: with more trials there may be some. Without an interval it is told how many of
    how many there were.
    """
    if rate.value is None:
        return rate.note or "not measured"
    if rate.interval is None:
        told = count_of(rate) if rate.events else f"none seen among {rate.trials:,}"
    else:
        told = in_words(rate.value) if rate.value else "none seen"
        told += f" (95 %: {interval_in_words(rate.interval, rate.value)})"
    return f"{told}; {rate.note}" if rate.note else told


def one_in(value: float) -> str:
    """Return a share as ``1 in 83,000``; from one half on in percent, and 0 as ``none``."""
    if value <= 0.0:
        return "none"
    return percent(value) if value > 0.5 else f"1 in {_whole(1 / value)}"


def expected(value: float, of: int) -> str:
    """Return how many of so many a share makes, to two digits of it or of what it lacks: ``0.43``, ``995.3``.

    Args:
        value: the share; more than 1 where it is no share but a mean.
        of: of how many.
    """
    made = value * of
    smaller = min(made, of - made)
    if smaller <= 0 or smaller >= made:
        return _short(made)
    digits = max(0, 1 - math.floor(math.log10(smaller)))
    return f"{made:,.{digits}f}"


def count_of(rate: Rate) -> str:
    """Return ``12 of 1,000,000``."""
    return f"{rate.events:,} of {rate.trials:,}"


def listed(words: Iterable[str], join: str = "and") -> str:
    """Return ``a, b and c``."""
    *most, last = list(words) or [""]
    return f"{', '.join(most)} {join} {last}" if most else last


def threshold_in_words(point: Point | IdentificationPoint) -> str:
    """Return ``at a similarity of at least 99 (the public-safety floor)``, or ``without a threshold``."""
    if point.similarity <= 0.0:
        return "without a threshold"
    number = f"{point.similarity:g}"
    name = point.name.removesuffix(number).rstrip(" ,:")
    return f"at a similarity of at least {number}" + (f" ({name})" if name else "")


def size_in_words(size: SizeBin) -> str:
    """Return ``20 to 31 pixels``, ``112 pixels and more``."""
    return _range(size.least, size.most, "pixels")


def age_in_words(least: float, most: float | None) -> str:
    """Return ``1 to 5 years``, ``10 years and more``: the end is left out."""
    if most is None:
        return f"{least:g} years and more"
    years = "year" if most == 1 else "years"
    return f"less than {most:g} {years}" if least <= 0 else f"{least:g} to less than {most:g} {years}"


def level_in_words(level: float, unit: str) -> str:
    """Return a level of damage with its unit: ``4 px``, ``40 %``, ``on``."""
    return f"{level:g} {unit}".strip()


def _range(least: float, most: float | None, unit: str) -> str:
    if most is None:
        return f"{least:g} {unit} and more"
    last = most - 1 if int(least) == least and int(most) == most and most - 1 > least else None
    if least <= 0:
        return f"less than {most:g} {unit}"
    return f"{least:g} to {last:g} {unit}" if last is not None else f"{least:g} to less than {most:g} {unit}"


def _unit(value: float) -> int:
    """Return of how many a share is told: 100 for percent, or the power of ten that leaves a digit before the point."""
    unit = 100
    while float(f"{value * unit:.1e}") < 1 and unit < 10**9:
        unit *= 10
    return unit


def _short(value: float) -> str:
    """Return a number with two digits that count."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.1e}")
    if rounded >= 10:
        return f"{rounded:,.0f}"
    digits = 1
    while rounded < 10 ** (1 - digits) and digits < 9:
        digits += 1
    return f"{rounded:.{digits}f}".rstrip("0").rstrip(".")


def _ratio(value: float) -> str:
    """Return a ratio with two digits that count, or two behind the point where it is nearly 1."""
    return _short(value) if abs(value - 1) >= 0.1 else f"{value:.2f}".rstrip("0").rstrip(".")


def _whole(value: float) -> str:
    return f"{float(f'{value:.1e}'):,.0f}" if value >= 10 else f"{value:.1f}".removesuffix(".0")


# --- Sentences ---------------------------------------------------------------------------------------------------


def summary(evaluation: Evaluation) -> tuple[str, ...]:
    """Return what an evaluation comes to, in two to six plain sentences; more where groups were compared."""
    match evaluation.figures:
        case Verification() as figures:
            return _verification(figures)
        case Identification() as figures:
            return _identification(figures)
        case Detection() as figures:
            return _detection(figures)
        case Robustness() as figures:
            return _robustness(figures)
        case Attacks() as figures:
            return _attacks(figures)


def spread_in_words(column: str, spread: Spread) -> str:
    """Return how far the groups of a column lie apart in one rate, as a sentence."""
    what = "falsely matched" if spread.measure == "false match rate" else "missed"
    if spread.max_min is None:
        why = f": {spread.note.rstrip('.')}" if spread.note else ""
        return f"By {column}, how often groups are {what} can't be set against each other{why}."
    times, interval = _ratio(spread.max_min), spread.max_min_interval
    ends = "" if interval is None else f"{_ratio(interval.low)} to {_ratio(interval.high)}"
    why = f"; {spread.note.rstrip('.')}" if spread.note else ""
    if times == "1":
        told = f"By {column}, no difference was seen in how often groups are {what}"
        return told + (f" (95 % interval of the ratio {ends})." if ends else f"{why}.")
    told = f"By {column}, the group {spread.most} is {what} {times} times as often as {spread.least}"
    if interval is None:
        return f"{told}{why}."
    chance = ", so that it may be chance" if interval.low <= 1.0 else ""
    return f"{told} (95 % interval {ends}{chance})."


def _many(rate: Rate, of: int, things: str, fate: str) -> str:
    """Return ``of 1,000 things about 3.4 are ... (95 % interval 2.1 to 5.2)``, or why that can't be said."""
    start = f"of {of:,} {things}"
    note = rate.note.rstrip(".")
    if rate.value is None:
        return f"how many {start} {fate} can't be said ({note or 'not measured'})"
    if rate.interval is None:
        counted = count_of(rate) if rate.events else f"none among {rate.trials:,}"
        return f"how many {start} {fate} can't be said ({'; '.join(filter(None, (f'{counted} so far', note)))})"
    told, said = _expected(rate.value, rate.interval, of, f"{rate.trials:,}")
    if rate.events == rate.trials:
        told = "all"
    return f"{start}, {told} {fate} ({'; '.join(filter(None, (said, note)))})"


def _expected(value: float, interval: Interval, of: int, among: str) -> tuple[str, str]:
    """Return ``about 3.4`` and ``95 % interval 2.1 to 5.2``; of what wasn't seen ``0 to 3.7`` and that there was none.

    Args:
        value, interval: the share, or the mean.
        of: of how many it is told.
        among: how many were tried, in words.
    """
    ends = f"{expected(interval.low, of)} to {expected(interval.high, of)}"
    if value == 0.0:
        return ends, f"95 % interval; there was none among {among}"
    return f"about {expected(value, of)}", f"95 % interval {ends}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _verification(figures: Verification) -> tuple[str, ...]:
    said = [
        _sentence(
            f"{threshold_in_words(p)}, "
            + _many(p.false_match, 1_000_000, "comparisons of two different people", "are taken for the same person")
            + "; "
            + _many(p.false_non_match, 1000, "comparisons of two photos of the same person", "are missed")
        )
        for p in sorted(figures.points, key=lambda p: -p.similarity)[:3]
    ]
    if not said:
        said.append(f"{figures.mated:,} mated and {figures.non_mated:,} non-mated comparisons were made.")
    if figures.accuracy is not None:
        accuracy = figures.accuracy
        said.append(
            f"By LFW's protocol {percent(accuracy.mean)} of comparisons are judged rightly, "
            f"over {len(accuracy.folds)} folds with a standard error of {percent(accuracy.error)}."
        )
    said.append(_failures(figures.enrolment))
    return (*said, *_differences(figures.differentials))


def _differences(differentials: Sequence[Differential]) -> list[str]:
    """Return the differences between groups in both rates, columns with the greatest first; the last are but named."""
    columns = sorted(differentials, key=lambda d: -max((s.max_min or 0.0 for s in d.spreads), default=0.0))
    told, rest = columns[:_MOST_COLUMNS], columns[_MOST_COLUMNS:]
    said = [
        spread_in_words(d.column, spread) for d in told for spread in sorted(d.spreads, key=lambda s: -(s.max_min or 0))
    ]
    if rest:
        said.append(f"Groups by {listed(d.column for d in rest)} were compared too: see the tables.")
    return said


def _failures(enrolment: Enrolment, what: str = "photos") -> str:
    return _sentence(_many(enrolment.failure, 1000, what, "give no template"))


def _identification(figures: Identification) -> tuple[str, ...]:
    place = f"searches of people who are not in this gallery of {figures.gallery_subjects:,}"
    said = [
        _sentence(
            _many(p.false_positive, 1000, place, f"return somebody {threshold_in_words(p)}")
            + "; "
            + _many(p.false_negative, 1000, "searches of people who are in it", "don't return them")
        )
        for p in sorted(figures.points, key=lambda p: -p.similarity)[:4]
    ]
    if first := next((r for r in figures.ranks if r.rank == 1), None):
        said.append(
            _sentence(
                _many(first.hits, 1000, "searches of people who are in the gallery", "have them as the first candidate")
            )
        )
    said.append(_failures(figures.probe_enrolment, "photos that are searched with"))
    return tuple(said)


def _detection(figures: Detection) -> tuple[str, ...]:
    boxes, ends = _expected(figures.per_image, figures.per_image_interval, 1000, f"{figures.images:,} photos")
    said = [
        _sentence(_many(figures.recall, 1000, "marked faces", "are found")),
        f"In 1,000 photos, {boxes} boxes hold no marked face ({ends}).",
    ]
    sizes = [s for s in sorted(figures.sizes, key=lambda s: s.least) if s.recall.value is not None]
    for size in ([sizes[0]] if sizes else []) + ([sizes[-1]] if len(sizes) > 1 else []):
        said.append(_sentence(_many(size.recall, 1000, f"faces of {size_in_words(size)}", "are found")))
    return tuple(said)


def _robustness(figures: Robustness) -> tuple[str, ...]:
    said, undamaged = [], next(iter(figures.strains), None)
    few = figures.mated < LEAST_MATED
    if few:
        said.append(
            f"Not enough data: {figures.mated:,} mated comparisons, {LEAST_MATED} are needed. No damage is judged."
        )
    if undamaged is not None:
        pairs = "" if few else f"measured on {figures.mated:,} pairs of photos of the same person: "
        said.append(
            _sentence(
                f"{pairs}with photos as they are, at a similarity of at least {figures.similarity:g}, "
                + _many(undamaged.false_non_match, 1000, "comparisons of two photos of the same person", "are missed")
            )
        )
    if few:
        return tuple(said)
    most = percent(figures.most_missed)
    if undamaged and (undamaged.false_non_match.value or 0.0) > figures.most_missed:
        return (*said, f"That is more than {most} before anything was done to them: no damage can be judged so.")
    if bad := [_label(figures.strains, x) for x in figures.limits if x.dont_search is not None]:
        said.append(
            f"More than {most} are missed from these levels on, so don't search with such photos: {'; '.join(bad)}."
        )
    if good := [x.kind for x in figures.limits if x.dont_search is None]:
        said.append(f"No level that was tried makes more than {most} missed for {listed(good)}.")
    if late := [x.kind for x in figures.limits if _is_late(figures.strains, x)]:
        said.append(f"At that level the quality filter still lets most photos pass, for {listed(late)}.")
    elif bad:
        said.append("From there on the quality filter refuses most of them.")
    if not said:
        said.append("Nothing was tried.")
    return tuple(said)


def _label(strains: Sequence[Strain], limit: StrainLimit) -> str:
    """Return the first level that is too much, in words."""
    found = next((s for s in strains if s.kind == limit.kind and s.level == limit.dont_search), None)
    return (
        found.label if found and found.label else f"{limit.kind} {level_in_words(limit.dont_search or 0, limit.unit)}"
    )


def _is_late(strains: Sequence[Strain], limit: StrainLimit) -> bool:
    """Tell whether photos are accepted that should not be searched with; levels are in the order of the table."""
    if limit.dont_search is None:
        return False
    levels = [s.level for s in strains if s.kind == limit.kind]
    if limit.refused_from not in levels or limit.dont_search not in levels:
        return limit.refused_from is None
    return levels.index(limit.refused_from) > levels.index(limit.dont_search)


def _attacks(figures: Attacks) -> tuple[str, ...]:
    said = []
    if worst := next((a for a in figures.attacks if a.species == figures.worst), None):
        said.append(
            _sentence(
                _many(worst.apcer, 1000, f"attacks with {worst.species}, the worst instrument", "are not noticed")
            )
        )
    said.append(_sentence(_many(figures.bpcer, 1000, "honest presentations", "are taken for attacks")))
    if figures.verdict:
        said.append(figures.verdict)
    return tuple(said)
