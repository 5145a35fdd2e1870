# SPDX-License-Identifier: Apache-2.0
"""Figures of evaluations as tables: every rate with its interval, or with the reason why there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from custodes.cli.output import console, print_table

if TYPE_CHECKING:
    from custodes.evaluation.results import (
        AtRate,
        Attacks,
        Detection,
        Differential,
        Figures,
        Identification,
        Interval,
        Robustness,
        Verification,
    )

__all__ = ["print_figures"]


def print_figures(figures: Figures) -> None:
    """Print the tables of an evaluation."""
    from custodes.evaluation import results  # here, so that --help doesn't wait

    match figures:
        case results.Verification():
            _verification(figures)
        case results.Identification():
            _identification(figures)
        case results.Detection():
            _detection(figures)
        case results.Robustness():
            _robustness(figures)
        case results.Attacks():
            _attacks(figures)


def _say(text: str) -> None:
    console.print(text, highlight=False, markup=False)


def _verification(figures: Verification) -> None:
    from custodes.evaluation.told import age_in_words, in_words

    print_table(
        ("Threshold", "Cosine", "False match rate", "False non-match rate"),
        [(p.name, f"{p.cosine:.4f}", in_words(p.false_match), in_words(p.false_non_match)) for p in figures.points],
    )
    _at_rates(("At a false match rate of", "Cosine", "False non-match rate"), figures.at_rates)
    if figures.age_gaps:
        print_table(
            ("Between both photos", "False non-match rate"),
            [(age_in_words(g.least, g.most), in_words(g.false_non_match)) for g in figures.age_gaps],
        )
    for differential in figures.differentials:
        _differential(differential)


def _at_rates(heads: tuple[str, str, str], rates: tuple[AtRate, ...]) -> None:
    from custodes.evaluation.told import in_words

    print_table(
        heads,
        [(in_words(a.target), "" if a.cosine is None else f"{a.cosine:.4f}", in_words(a.misses)) for a in rates],
    )


def _differential(told: Differential) -> None:
    from custodes.evaluation.told import in_words

    _say(f"By {told.column}, at a similarity of {told.similarity:g}:")
    print_table(
        ("Group", "People", "False match rate", "False non-match rate", "Failure to enrol", ""),
        [
            (
                g.name,
                g.subjects,
                in_words(g.false_match),
                in_words(g.false_non_match),
                in_words(g.failure),
                "" if g.enough else g.note,
            )
            for g in told.groups
        ],
    )
    if told.unlabelled:
        _say(f"People without a label, in no group: {told.unlabelled:,}.")
    if told.crosses:
        print_table(
            ("Between groups", "False match rate"),
            [(f"{x.first} and {x.second}", in_words(x.false_match)) for x in told.crosses],
        )
    print_table(
        ("Groups apart", "Highest", "Lowest", "Max/min", "Max/geometric mean", ""),
        [
            (
                s.measure,
                s.most,
                s.least,
                _ratio(s.max_min, s.max_min_interval),
                _ratio(s.max_geometric_mean, s.max_geometric_mean_interval),
                s.note,
            )
            for s in told.spreads
        ],
    )


def _ratio(value: float | None, interval: Interval | None) -> str:
    if value is None:
        return "no value"
    return f"{value:.2f}" + (f" (95 %: {interval.low:.2f} to {interval.high:.2f})" if interval else "")


def _identification(figures: Identification) -> None:
    from custodes.evaluation.told import in_words

    print_table(
        ("Threshold", "FPIR", "FNIR"),
        [(p.name, in_words(p.false_positive), in_words(p.false_negative)) for p in figures.points],
    )
    _at_rates(("At an FPIR of", "Cosine", "FNIR"), figures.at_rates)
    print_table(("Rank", "Found"), [(r.rank, in_words(r.hits)) for r in figures.ranks])


def _detection(figures: Detection) -> None:
    from custodes.evaluation.told import in_words

    print_table(
        ("Face, longer side", "Found", "False boxes"),
        [
            (
                _span(s.least, s.most, "px"),
                s.recall.events if s.recall.value is None else in_words(s.recall),
                s.false_positives,
            )
            for s in figures.sizes
        ],
    )
    for note in sorted({s.recall.note for s in figures.sizes if s.recall.value is None and s.recall.trials}):
        _say(f"Note: {note}.")


def _span(least: float, most: float | None, unit: str) -> str:
    return f"{least:g} {unit} and more" if most is None else f"{least:g} to {most:g} {unit}"


def _robustness(figures: Robustness) -> None:
    from custodes.evaluation.told import in_words

    print_table(
        ("Damage", "Level", "Missed", "Falsely matched", "No template", "Refused by AUTO"),
        [
            (
                s.kind,
                s.label or f"{s.level:g} {s.unit}",
                in_words(s.false_non_match),
                in_words(s.false_match),
                in_words(s.failure),
                in_words(s.refused),
            )
            for s in figures.strains
        ],
    )
    for said in (*(f"{x.kind}: {x.words}" for x in figures.limits), *(f"Note: {n}" for n in figures.notes)):
        _say(said)


def _attacks(figures: Attacks) -> None:
    from custodes.evaluation.told import in_words

    print_table(
        ("Presentation", "APCER: not noticed", "BPCER: taken for an attack", "No answer"),
        [
            *((a.species, in_words(a.apcer), "", in_words(a.non_response)) for a in figures.attacks),
            ("bona fide", "", in_words(figures.bpcer), in_words(figures.bona_fide_non_response)),
        ],
    )
    _at_rates(("At a worst APCER of", "Score", "BPCER"), figures.bpcer_at)
