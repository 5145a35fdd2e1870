# SPDX-License-Identifier: Apache-2.0
"""How the command line tells of an evaluation: sentences and tables for people, the whole of it as JSON, files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from custodes.cli.output import console, print_json, print_table, write
from custodes.errors import Invalid

if TYPE_CHECKING:
    from custodes.evaluation.card import ModelCard
    from custodes.evaluation.results import Differential, Evaluation, Rate
    from custodes.evaluation.running import Run
    from custodes.governance import EvaluationRecord

__all__ = ["Written", "record_json", "tell"]


@dataclass(frozen=True, slots=True)
class Written:
    """Files that are asked for.

    Attributes:
        report: an HTML page.
        scores: a CSV of every score.
        save: JSON, sealed where there is a ledger.
    """

    report: Path | None
    scores: Path | None
    save: Path | None

    @property
    def discloses(self) -> frozenset[str]:
        """What they hold beyond figures: ``scores`` of single comparisons, ``faces``."""
        asked = {"scores": self.scores, "faces": self.report}
        return frozenset(what for what, path in asked.items() if path is not None)

    def check(self) -> None:
        """See, before the work of minutes, that files can be written.

        Raises:
            Invalid: if a folder isn't there.
        """
        for path in (self.report, self.scores, self.save):
            if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
                raise Invalid(f"{path} can't be written: its folder isn't there, or it is a folder itself.")

    def write(self, evaluation: Evaluation, run: Run, card: ModelCard, signed: bytes | None) -> None:
        """Write them.

        Raises:
            Invalid: if one can't be written.
        """
        from custodes.evaluation.report import report, worst_pictures
        from custodes.evaluation.results import to_json
        from custodes.evaluation.scorefile import write_scores

        if self.report is not None:
            page = report(evaluation, card=card, worst=worst_pictures(run.worst))
            write(self.report, page.encode(), private=True)  # it shows faces
        if self.scores is not None:
            write_scores(self.scores, run.scores.header, run.scores.rows())
        if self.save is not None:
            write(self.save, signed or to_json(evaluation))


def record_json(record: EvaluationRecord) -> dict[str, object]:
    """Return what is on record of an evaluation, for scripts."""
    verdict = record.verdict
    return {
        "id": record.id,
        "kind": record.kind,
        "title": record.title,
        "organisation": record.organisation,
        "pack": record.pack,
        "fingerprint": record.fingerprint,
        "dataset": record.dataset,
        "by": record.column,
        "made_at": record.made_at,
        "made_by": record.made_by,
        "entry": record.entry,
        "published_at": record.published_at,
        "verdict": None
        if verdict is None
        else {
            "similarity": verdict.similarity,
            "groups": verdict.groups,
            "enough": verdict.enough,
            "false_match_ppm": verdict.false_match_ppm,
            "false_non_match_ppm": verdict.false_non_match_ppm,
        },
    }


def tell(
    evaluation: Evaluation,
    record: EvaluationRecord | None,
    written: Written,
    *,
    as_json: bool,
    faces: bool = False,
) -> None:
    """Print an evaluation; ``faces`` says whether the page that was written shows any."""
    from custodes.evaluation.results import to_json

    if as_json:
        told = orjson.loads(to_json(evaluation))
        print_json({"record": None if record is None else record_json(record), "evaluation": told})
        return
    from custodes.evaluation.told import summary

    for sentence in summary(evaluation):
        console.print(sentence, highlight=False, markup=False)
    for note in evaluation.dataset.notes:
        console.print(f"Note: {note}.", highlight=False, markup=False)
    _tables(evaluation)
    for path in (written.report, written.scores, written.save):
        if path is not None:
            console.print(f"Written: {path}", highlight=False, markup=False)
    if written.report is not None and faces:
        console.print("The page shows faces of the worst pairs: it isn't for publication.", highlight=False)
    if record is not None:
        console.print(
            f"Kept as {record.id}, entry {record.entry} of the ledger. "
            f"custodes evaluations publish {record.id} shows it to everybody.",
            highlight=False,
            markup=False,
        )


def _tables(evaluation: Evaluation) -> None:
    from custodes.evaluation.results import Detection, Identification, Robustness, Verification
    from custodes.evaluation.told import in_words

    figures = evaluation.figures
    if isinstance(figures, Verification):
        print_table(
            ("Threshold", "Cosine", "False match rate", "False non-match rate"),
            [(p.name, f"{p.cosine:.4f}", in_words(p.false_match), in_words(p.false_non_match)) for p in figures.points],
        )
        print_table(
            ("At a false match rate of", "Cosine", "False non-match rate"),
            [
                (f"{a.target:g}", "" if a.cosine is None else f"{a.cosine:.4f}", in_words(a.misses))
                for a in figures.at_rates
            ],
        )
        for differential in figures.differentials:
            _differential(differential)
    if isinstance(figures, Identification):
        print_table(
            ("Threshold", "FPIR", "FNIR"),
            [(p.name, in_words(p.false_positive), in_words(p.false_negative)) for p in figures.points],
        )
        print_table(("Rank", "Found"), [(r.rank, in_words(r.hits)) for r in figures.ranks])
    if isinstance(figures, Detection):
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
            console.print(f"Note: {note}.", highlight=False, markup=False)
    if isinstance(figures, Robustness):
        print_table(
            ("Damage", "Level", "Missed", "No template", "Refused by AUTO"),
            [
                (
                    s.kind,
                    s.label or f"{s.level:g} {s.unit}",
                    _share(s.false_non_match),
                    _share(s.failure),
                    _share(s.refused),
                )
                for s in figures.strains
            ],
        )
        for said in (*(f"{x.kind}: {x.words}" for x in figures.limits), *(f"Note: {n}" for n in figures.notes)):
            console.print(said, highlight=False, markup=False)


def _differential(told: Differential) -> None:
    from custodes.evaluation.told import in_words

    console.print(f"By {told.column}, at a similarity of {told.similarity:g}:", highlight=False, markup=False)
    print_table(
        ("Group", "People", "False match rate", "False non-match rate", ""),
        [
            (g.name, g.subjects, in_words(g.false_match), in_words(g.false_non_match), "" if g.enough else g.note)
            for g in told.groups
        ],
    )


def _share(rate: Rate) -> str:
    return "" if rate.value is None else f"{100 * rate.value:.1f} %"


def _span(least: float, most: float | None, unit: str) -> str:
    return f"{least:g} {unit} and more" if most is None else f"{least:g} to {most:g} {unit}"
