# SPDX-License-Identifier: Apache-2.0
"""What a report shows of figures, section by section: words, plots and tables; how it looks is the template's.

Everything that a plot shows is in a table too, and every rate comes with its interval, its counts and its note.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from custodes.evaluation import plots
from custodes.evaluation.results import (
    AtRate,
    Attacks,
    Detection,
    Differential,
    Enrolment,
    Figures,
    Identification,
    IdentificationPoint,
    Interval,
    Point,
    Rate,
    Robustness,
    Spread,
    Verification,
)
from custodes.evaluation.told import (
    age_in_words,
    count_of,
    expected,
    in_words,
    interval_in_words,
    level_in_words,
    percent,
    size_in_words,
    threshold_in_words,
)

__all__ = ["Cell", "Row", "Section", "Table", "sections"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A field of a table: what it says, what stands below it, and whether it says why there is no figure."""

    text: str
    small: tuple[str, ...] = ()
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A row: its name, its fields, and whether it has too few data to be judged by."""

    name: Cell
    cells: tuple[Cell, ...]
    weak: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        title: what it shows.
        heads: of all columns, that of the names first.
        rows: see there.
        note: below it.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page: paragraphs, plots (SVG) and tables."""

    title: str
    text: tuple[str, ...] = ()
    plots: tuple[str, ...] = ()
    tables: tuple[Table, ...] = field(default=())


def sections(figures: Figures) -> tuple[Section, ...]:
    """Return the sections that tell of figures."""
    match figures:
        case Verification():
            return tuple(_verification(figures))
        case Identification():
            return tuple(_identification(figures))
        case Detection():
            return tuple(_detection(figures))
        case Robustness():
            return tuple(_robustness(figures))
        case Attacks():
            return tuple(_attacks(figures))


# --- Fields ------------------------------------------------------------------------------------------------------


def _rate(rate: Rate) -> Cell:
    if rate.value is None:
        return Cell("no value", (rate.note or "not measured",), missing=True)
    if rate.interval is None:  # so few that no share of them says anything
        return Cell(count_of(rate) if rate.events else f"none of {rate.trials:,}", (rate.note,) if rate.note else ())
    ends = f"95 %: {interval_in_words(rate.interval, rate.value)}"
    told = in_words(rate.value) if rate.value else "none seen"
    return Cell(told, tuple(s for s in (ends, count_of(rate), rate.note) if s))


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _threshold(point: Point | IdentificationPoint) -> Cell:
    told = _capital(threshold_in_words(point))
    return Cell(told, (f"cosine {point.cosine:.4f}",) if point.similarity > 0 else ())


def _strangers(point: IdentificationPoint) -> Cell:
    """Return how many of 1,000 strangers are found, with the interval; where none was, of how many."""
    rate = point.false_positive
    if rate.value is None:
        return Cell("no value", (rate.note or "not measured",), missing=True)
    if (ends := rate.interval) is None:
        return Cell("can't be said", (rate.note,) if rate.note else (), missing=True)
    told = expected(rate.value, 1000) if rate.value else f"none of {rate.trials:,}"
    return Cell(told, (f"95 %: {expected(ends.low, 1000)} to {expected(ends.high, 1000)}",))


def _at_rates(title: str, heads: tuple[str, str, str], rates: Iterable[AtRate]) -> Table:
    """Return a table of misses at fixed rates of false positives."""
    rows = [Row(Cell(in_words(a.target)), (_cosine(a.cosine), _rate(a.misses)), a.cosine is None) for a in rates]
    return Table(title, heads, tuple(rows))


def _cosine(value: float | None) -> Cell:
    return Cell("–", missing=True) if value is None else Cell(f"{value:.4f}")


def _enrolment(title: str, enrolment: Enrolment) -> Table:
    counts = (
        ("No face was found", enrolment.no_face),
        ("Refused by the quality filter", enrolment.refused),
        ("Not readable", enrolment.unreadable),
        ("More than one face (a remark, no failure)", enrolment.several_faces),
    )
    rows = [Row(Cell("Failure to enrol (FTE)"), (_rate(enrolment.failure),))]
    rows += [Row(Cell(name), (Cell(f"{count:,}"),)) for name, count in counts]
    return Table(title, ("Photos", "How many"), tuple(rows))


_NO_TEMPLATE = (
    "A photo without a template stays in every figure: a comparison of two photos of one person that it spoils counts "
    "as missed."
)


# --- One-to-one --------------------------------------------------------------------------------------------------


def _verification(figures: Verification) -> Iterator[Section]:
    heads = ("Threshold", "False match rate (FMR)", "False non-match rate (FNMR)")
    rows = [Row(_threshold(p), (_rate(p.false_match), _rate(p.false_non_match))) for p in figures.points]
    made = (
        f"{figures.mated:,} comparisons of two photos of one person (mated) and {figures.non_mated:,} of two people "
        "(non-mated) were made."
    )
    yield Section("At the thresholds in use", (made,), (), (Table("Errors at each threshold", heads, tuple(rows)),))
    told = [
        "Each point is a threshold: the further right, the more people are taken for somebody else; the further up, "
        "the more are not recognised. The better, the nearer to the lower left corner."
    ]
    if figures.equal_error == 0.0:
        told.append("There is a threshold at which no error was seen (equal error rate 0).")
    elif figures.equal_error is not None:
        told.append(f"Both errors are equally frequent at {in_words(figures.equal_error)} (equal error rate).")
    plot = plots.det(
        (("measured here", figures.curve),),
        prefix="det",
        marks=plots.marks_of(figures.points),
        trials=(figures.non_mated, figures.mated),
    )
    heads = ("At an FMR of at most", "Cosine", "False non-match rate (FNMR)")
    table = _at_rates("Misses at fixed false match rates", heads, figures.at_rates)
    yield Section("How both errors trade off", tuple(told), (plot,), (table,))
    if (accuracy := figures.accuracy) is not None:
        rows = [Row(Cell(f"Fold {i}"), (Cell(percent(value)),)) for i, value in enumerate(accuracy.folds, 1)]
        mean = Cell(percent(accuracy.mean), (f"standard error {percent(accuracy.error)}", accuracy.note))
        rows.append(Row(Cell("Mean", (f"threshold {accuracy.threshold:.4f}, a cosine",)), (mean,)))
        told = [f"Accuracy over {len(accuracy.folds)} folds, each judged at the threshold that is best on the others."]
        yield Section("By LFW's protocol", tuple(told), (), (Table("Accuracy", ("", "Judged rightly"), tuple(rows)),))
    for at, differential in enumerate(figures.differentials):
        yield _differential(differential, f"groups{at}")
    if figures.age_gaps:
        rows = [Row(Cell(age_in_words(g.least, g.most)), (_rate(g.false_non_match),)) for g in figures.age_gaps]
        table = Table("Misses by years between photos", ("Between both photos", "FNMR"), tuple(rows))
        yield Section("Years between two photos of one person", (), (), (table,))
    yield Section("Photos without a template", (_NO_TEMPLATE,), (), (_enrolment("All photos", figures.enrolment),))


def _differential(told: Differential, prefix: str) -> Section:
    """Tell of the groups of one column."""
    text = [
        f"All groups at one threshold, a similarity of {told.similarity:g} (cosine {told.cosine:.4f}). Groups are "
        "the evaluator's own labels: Custodes infers none."
    ]
    if told.unlabelled:
        text.append(f"{told.unlabelled:,} people have no label, and are in no group.")
    if len(told.groups) > plots.MOST_GROUPS:
        text.append(f"The plot shows the {plots.MOST_GROUPS} groups with the most people, the table all.")
    rows = [
        Row(
            Cell(g.name, (f"{g.subjects:,} people, {g.photos:,} photos", g.note)),
            (_rate(g.false_match), _rate(g.false_non_match), _rate(g.failure)),
            weak=not g.enough,
        )
        for g in told.groups
    ]
    heads = ("Group", "FMR within the group", "FNMR", "Failure to enrol")
    tables = [Table("Errors of each group", heads, tuple(rows), "Grey: too few people to judge the group by.")]
    spreads = tuple(Row(Cell(_capital(s.measure)), _spread(s)) for s in told.spreads)
    heads = ("Rate", "Highest, lowest", "Highest over lowest", "Highest over geometric mean")
    tables.append(
        Table("How far groups lie apart", heads, spreads, "Among groups with enough people. 1 is no difference.")
    )
    drawn = [plots.groups(told, prefix=prefix)]
    if told.crosses:
        drawn.append(plots.crosses(told, prefix=f"{prefix}x"))
        rows = [
            Row(Cell(f"{x.first} and {x.second}"), (_rate(x.false_match),), x.false_match.value is None)
            for x in told.crosses
        ]
        tables.append(Table("False matches between groups", ("Groups", "FMR"), tuple(rows)))
    return Section(f"Differences by {told.column}", tuple(text), tuple(drawn), tuple(tables))


def _spread(spread: Spread) -> tuple[Cell, Cell, Cell]:
    missing = Cell("no value", (spread.note or "not measured",), missing=True)
    who = Cell(f"{spread.most}, {spread.least}" if spread.most else "–")

    def ratio(value: float | None, interval: Interval | None, note: str) -> Cell:
        if value is None:
            return missing
        ends = f"95 %: {interval.low:.2f} to {interval.high:.2f}" if interval else ""
        return Cell(f"{value:.2f}", tuple(s for s in (ends, note) if s))

    first = ratio(spread.max_min, spread.max_min_interval, spread.note)
    return who, first, ratio(spread.max_geometric_mean, spread.max_geometric_mean_interval, "")


# --- One-to-many -------------------------------------------------------------------------------------------------


def _identification(figures: Identification) -> Iterator[Section]:
    made = (
        f"A gallery of {figures.gallery_subjects:,} people, of {figures.gallery_photos:,} photos. It was searched "
        f"{figures.mated:,} times for people who are in it (mated) and {figures.non_mated:,} times for people who "
        f"aren't (non-mated). Lists of candidates have {figures.list_length:,} places."
    )
    rows = [
        Row(_threshold(p), (_rate(p.false_positive), _strangers(p), _rate(p.false_negative))) for p in figures.points
    ]
    heads = ("Threshold", "FPIR", "Of 1,000 strangers, so many are found", "FNIR")
    grows = "FPIR is of this gallery: a larger gallery returns somebody more often; how much more was not measured."
    table = Table("Errors at each threshold", heads, tuple(rows), "A stranger is somebody who isn't in the gallery.")
    yield Section("At the thresholds in use", (made, grows), (), (table,))
    plot = plots.det(
        (("measured here", figures.curve),),
        prefix="det",
        marks=plots.marks_of(figures.points),
        trials=(figures.non_mated, figures.mated),
        axes=("False positive identification rate (FPIR)", "False negative identification rate (FNIR)"),
    )
    fixed = ("At an FPIR of at most", "Cosine", "FNIR")
    table = _at_rates("Misses at fixed false positive rates", fixed, figures.at_rates)
    yield Section("How both errors trade off", (), (plot,), (table,))
    rows = [Row(Cell(f"Among the first {r.rank}" if r.rank > 1 else "First"), (_rate(r.hits),)) for r in figures.ranks]
    table = Table("Where the person stands in the list", ("Place", "Share of mated searches"), tuple(rows))
    told = ("Whatever the score: of searches of people who are in the gallery.",)
    yield Section("Where the person stands in the list", told, (plots.cmc(figures.ranks, prefix="cmc"),), (table,))
    enrolments = (
        _enrolment("Photos of the gallery", figures.gallery_enrolment),
        _enrolment("Photos that were searched with", figures.probe_enrolment),
    )
    yield Section("Photos without a template", (_NO_TEMPLATE,), (), enrolments)


# --- The others --------------------------------------------------------------------------------------------------


def _detection(figures: Detection) -> Iterator[Section]:
    how = (
        "A marked face counts as found where a box overlaps its box by half (intersection over union)."
        if figures.marked_by == "boxes"
        else "A marked face counts as found where a box holds the point that marks it; what isn't found has no size."
    )
    ends = figures.per_image_interval
    rows = (
        Row(Cell("Marked faces that are found"), (_rate(figures.recall),)),
        Row(
            Cell("Boxes that hold no marked face, for each photo"),
            (
                Cell(
                    f"{figures.per_image:.3g}",
                    (
                        f"95 %: {ends.low:.3g} to {ends.high:.3g}",
                        f"{figures.false_positives:,} in {figures.images:,} photos",
                    ),
                ),
            ),
        ),
    )
    plot = () if figures.marked_by == "points" else (plots.sizes(figures.sizes, prefix="sizes"),)
    tables = (Table("All faces", ("", "How many"), rows), _sizes(figures))
    yield Section("Faces that are found", (how,), plot, tables)


def _sizes(figures: Detection) -> Table:
    """Return what is found by size: shares, or where points mark faces how many, as those that aren't have no size."""
    heads, note = ("Longer side of the face", "Found", "Boxes that hold no marked face"), ""
    cells = [_rate(s.recall) for s in figures.sizes]
    if figures.marked_by == "points":
        heads = ("Longer side of the box", "Marked faces found, how many", heads[2])
        cells = [Cell(f"{s.recall.events:,}") for s in figures.sizes]
        note = " ".join(f"{_capital(n)}." for n in sorted({s.recall.note for s in figures.sizes} - {""}))
    rows = [
        Row(Cell(_capital(size_in_words(s))), (cell, Cell(f"{s.false_positives:,}")))
        for s, cell in zip(figures.sizes, cells, strict=True)
    ]
    return Table("By size", heads, tuple(rows), note)


def _robustness(figures: Robustness) -> Iterator[Section]:
    told = (
        f"{figures.mated:,} mated and {figures.non_mated:,} non-mated comparisons at each level, at a similarity of "
        f"{figures.similarity:g} (cosine {figures.cosine:.4f}). The second photo of each was made worse. Where more "
        f"than {percent(figures.most_missed)} are missed (grey), a photo isn't to be searched with.",
        *figures.notes,
    )
    rows = tuple(
        Row(
            Cell(_capital(x.kind), (x.unit,)),
            (
                _level(figures, x.kind, x.unit, x.dont_search),
                _level(figures, x.kind, x.unit, x.refused_from),
                Cell(x.words),
            ),
        )
        for x in figures.limits
    )
    columns = ("Damage", "Don't search from", "Most are refused from", "In words")
    limits = Table("When not to search", columns, rows, "Refused by the quality filter AUTO, or without a face.")
    yield Section("When not to search", told, (plots.robustness(figures, prefix="strains"),), (limits,))
    heads = ("Level", "FNMR", "FMR", "No template", "Refused by the quality filter")
    tables = []
    for kind in dict.fromkeys(s.kind for s in figures.strains):
        levels = tuple(
            Row(
                Cell(_capital(s.label or level_in_words(s.level, s.unit))),
                (_rate(s.false_non_match), _rate(s.false_match), _rate(s.failure), _rate(s.refused)),
            )
            for s in figures.strains
            if s.kind == kind
        )
        tables.append(Table(_capital(kind), heads, levels))
    yield Section("All levels", (), (), tuple(tables))


def _level(figures: Robustness, kind: str, unit: str, level: float | None) -> Cell:
    if level is None:
        return Cell("no level that was tried")
    found = next((s.label for s in figures.strains if s.kind == kind and s.level == level), "")
    return Cell(_capital(found or level_in_words(level, unit)))


def _attacks(figures: Attacks) -> Iterator[Section]:
    told = (
        f"{figures.verdict} Scores of at least {figures.threshold:g} are taken for honest (bona fide) presentations. "
        "ISO/IEC 30107-3 judges by the worst instrument and not by a mean.",
    )
    rows = [
        Row(
            Cell(a.species, ("the worst",) if a.species == figures.worst else ()),
            (_rate(a.apcer), _rate(a.non_response)),
            a.apcer.value is None,
        )
        for a in figures.attacks
    ]
    attempts = Table("Attacks", ("Instrument", "APCER: not noticed", "APNRR: no answer"), tuple(rows))
    honest = Table(
        "Honest presentations",
        ("", "BPCER: taken for attacks", "BPNRR: no answer"),
        (Row(Cell("All"), (_rate(figures.bpcer), _rate(figures.bona_fide_non_response))),),
    )
    fixed = _at_rates("At a fixed APCER", ("At a worst APCER of at most", "Score", "BPCER"), figures.bpcer_at)
    if figures.equal_error is not None:
        fixed = replace(fixed, note=f"Worst APCER and BPCER are equal at {in_words(figures.equal_error)}.")
    plot = plots.attacks(figures.attacks, figures.bpcer, prefix="attacks")
    yield Section("Attacks and honest presentations", told, (plot,), (attempts, honest, fixed))
